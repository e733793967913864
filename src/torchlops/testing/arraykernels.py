"""Checks of the kernels on small NumPy arrays: they give what the kernels on tensors give."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from torchlops.arraykernels import suits
from torchlops.arrays import numpy_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.testing.matrix import BATCHES, Draw, Side, fields, norm, sides
from torchlops.testing.verdicts import TOLERANCE, agree, blaming, require, require_refusal

Array = NDArray[Any]


def check_array_kernels(A: LinearOperator) -> None:
    """Check the kernels of the operator on NumPy arrays, if it has any, against those on tensors.

    Results have the same shape, dtype and values, up to rounding, whatever the batch, the layout and the byte order of
    the array are, and are NaN or infinite in the same places. They are new memory, and follow changes of the tensors
    of the operator. Hooks are called.
    """
    if not A._has_array_kernel:
        return
    with blaming(A, "array kernels"), torch.no_grad():
        for side in sides(A):
            for precision in (torch.float64, torch.float32):
                for dtype in fields(side.takes_complex, precision):
                    _check_values(A, side, dtype)
                    _check_special_values(A, side, dtype)
            _check_refusal(A, side)
        _check_changes(A)
        _check_hooks(A)


def _through_tensors(A: LinearOperator, x: Array) -> Array:
    result: Array = A(torch.from_numpy(x.copy())).resolve_conj().numpy()
    return result


def _check_values(A: LinearOperator, side: Side, dtype: torch.dtype) -> None:
    B, draw = side.operator, Draw(A)
    for batch in BATCHES:
        x = draw((*batch, *side.dims), dtype).numpy()
        if not suits(x):
            continue
        want = _through_tensors(B, x)
        for layout, value in _layouts(x):
            what = f"array kernels: {side.label} of {dtype} x of batch shape {batch}, {layout}"
            kept = value.copy()
            with blaming(A, what):
                got = B._of_array(value, False)
            if got is not None:
                _compare(A, what, got, want, side.norm * norm(torch.from_numpy(x)), TOLERANCE[_precision(dtype)])
                _check_memory(A, what, got, value)
            require(A, what, np.array_equal(value, kept), "changed its input")
    _check_calls(A, side, draw((*side.dims,), dtype).numpy())


def _check_calls(A: LinearOperator, side: Side, x: Array) -> None:
    """Check what a user calls, on arrays that the kernels take and on some that they do not."""
    B = side.operator
    want = _through_tensors(B, x)
    scale, tolerance = side.norm * norm(torch.from_numpy(x)), TOLERANCE[_precision(torch.from_numpy(x).dtype)]
    swapped = x.astype(x.dtype.newbyteorder())
    for what, got in {
        "A(x)": B(x),
        "A @ x": B @ x,
        "matvec": B.matvec(x.ravel()).reshape(want.shape),
        "rmatvec of A.H": B.H.rmatvec(x.ravel()).reshape(want.shape),
        "A.H.H @ x": B.H.H @ x,
        "A(x) of swapped bytes": B(swapped),
    }.items():
        _compare(A, f"array kernels: {what} with A = {side.label}", got, want, scale, tolerance)
    whole = np.arange(x.size).reshape(x.shape)
    want = _through_tensors(B, whole.astype(np.float64))
    _compare(A, f"array kernels: {side.label} of integers", B(whole), want, side.norm * float(np.abs(whole).sum()))


def _check_special_values(A: LinearOperator, side: Side, dtype: torch.dtype) -> None:
    """Check that NaN and infinity reach the samples that they reach through tensors.

    They may reach more: how they spread in an FFT depends on its algorithm.
    """
    B = side.operator
    for value in (np.nan, np.inf):
        x = Draw(A)(side.dims, dtype).numpy()
        x.reshape(-1)[x.size // 2] = value
        got = B._of_array(x, False)
        if got is None:
            continue
        want = _through_tensors(B, x)
        what = f"array kernels: {side.label} of {dtype} x with one {value}"
        finite = np.isfinite(got)
        require(A, what, bool(np.isfinite(want[finite]).all()), f"gives\n{got}, but through tensors\n{want}")
        scale = side.norm * float(np.abs(x[np.isfinite(x)]).sum())
        _compare(A, what, got[finite], want[finite], scale, TOLERANCE[_precision(dtype)])


def _check_refusal(A: LinearOperator, side: Side) -> None:
    if not side.takes_complex:
        unreal = Draw(A)(side.dims, torch.complex128).numpy()
        name = A.name_and_type.removesuffix(".H")
        require_refusal(A, TypeError, lambda: side.operator(unreal), [name, "complex128"], "a complex array")


def _check_changes(A: LinearOperator) -> None:
    """Check that a change in place of any tensor of the operator is seen."""
    for name, tensor in A.state_dict().items():
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        B = copy.deepcopy(A)
        x = Draw(A)(A.dims, torch.float64).numpy()
        B @ x
        with torch.no_grad():
            B.state_dict()[name].mul_(0.75)
        want = _through_tensors(B, x)
        _compare(A, f"array kernels: A x after a change of {name} in place", B @ x, want, float(np.abs(want).sum()))
        want = _through_tensors(B.H, want)
        y = _through_tensors(B, x)
        _compare(A, f"array kernels: A^H y after a change of {name}", B.H @ y, want, float(np.abs(want).sum()))


def _check_hooks(A: LinearOperator) -> None:
    """Check that the hooks of the operator and of its parts are called as often as for a tensor."""
    B = copy.deepcopy(A)
    x = Draw(A)(A.dims, torch.float64)
    calls: list[nn.Module] = []
    handles = [part.register_forward_hook(lambda part, *_: calls.append(part)) for part in B.modules()]
    B(x)
    through_tensors = len(calls)
    B(x.numpy())
    for handle in handles:
        handle.remove()
    message = f"called {through_tensors} hooks for a tensor, {len(calls) - through_tensors} for an array"
    require(A, "array kernels", len(calls) == 2 * through_tensors, message)


def _compare(
    A: LinearOperator, what: str, got: Any, want: Array, scale: float, tolerance: float = TOLERANCE[torch.float64]
) -> None:
    require(A, what, type(got) is np.ndarray, f"gives a {type(got).__name__}")
    require(A, what, got.dtype == want.dtype, f"gives {got.dtype}, but {want.dtype} for a tensor")
    agree(A, what, torch.from_numpy(got.copy()), torch.from_numpy(want.copy()), scale, "", tolerance)


def _check_memory(A: LinearOperator, what: str, got: Array, x: Array) -> None:
    require(A, what, got.flags.writeable, "gives an array that cannot be written")
    require(A, what, not np.shares_memory(got, x), "shares memory with its input")
    for tensor in A._all_tensors():
        owns = tensor.is_cpu and tensor.dtype != torch.bfloat16
        shares = owns and np.shares_memory(got, tensor.detach().resolve_conj().numpy())
        require(A, what, not shares, "shares memory with a tensor of the operator")
    counts = np.zeros(got.shape, got.dtype)
    counts += got
    got += 1
    require(A, what, np.array_equal(got, counts + 1), "gives elements that share memory")
    got -= 1


def _layouts(x: Array) -> Iterator[tuple[str, Array]]:
    """Yield arrays equal to ``x`` with other memory layouts."""
    yield "a plain array", x
    wide = np.empty((*x.shape, 2), x.dtype)
    wide[..., 0] = x
    yield "a strided array", wide[..., 0]
    yield "a transposed array", np.asfortranarray(x)
    yield "a reversed array", x[..., ::-1].copy()[..., ::-1]
    read_only = x.copy()
    read_only.flags.writeable = False
    yield "a read-only array", read_only


def _precision(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if numpy_dtype(dtype).itemsize == (8 if dtype.is_complex else 4) else torch.float64
