"""Checks of shapes, batches and memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from torchlops.linearoperator import LinearOperator
from torchlops.testing.matrix import BATCHES, Draw, Function, Side, norm, sides
from torchlops.testing.verdicts import agree, blaming, require, require_refusal


def check_shapes(A: LinearOperator) -> None:
    """Check that N-D and flattened inputs give outputs of the same form, and that errors name the operator."""
    with blaming(A, "shapes"):
        require(A, "shape", A.shape == (math.prod(A.dimsd), math.prod(A.dims)), f"got {A.shape}")
        for side in sides(A):
            draw = Draw(A)
            for batch in BATCHES:
                x = draw((*batch, *side.dims), side.fields[-1])
                nd = side.operator(x)
                flat = side.operator(x.reshape(*batch, math.prod(side.dims)))
                what = f"{side.label} of batch shape {batch}"
                require(A, "shapes", nd.shape == (*batch, *side.dimsd), f"{what} has shape {tuple(nd.shape)}")
                is_nd = len(side.dims) == 1 or (*batch[-1:], math.prod(side.dims)) == side.dims  # then N-D wins
                wanted = tuple(nd.shape) if is_nd else (*batch, math.prod(side.dimsd))
                require(A, "shapes", flat.shape == wanted, f"flattened {what} has shape {tuple(flat.shape)}")
                agree(A, f"shapes: flattened {what}", flat.reshape(nd.shape), nd, 0.0)
            _check_refusals(A, side, draw)
        _check_repr(A)


def _check_refusals(A: LinearOperator, side: Side, draw: Draw) -> None:
    B, dims, size = side.operator, side.dims, math.prod(side.dims)
    wrong = next(n for n in range(dims[-1] + 1, size + dims[-1] + 3) if n not in (size, dims[-1]))
    bad = draw((2, *dims[:-1], wrong), torch.float64)
    numbers = [str(size) for size in dims] + [str(tuple(bad.shape))]
    name = A.name_and_type.removesuffix(".H")  # the adjoint of A.H is A
    require_refusal(A, ValueError, lambda: B(bad), [name, *numbers], f"{side.label} of shape {tuple(bad.shape)}")
    bad = draw((size + 1, 2, 2), torch.float64)
    require_refusal(A, ValueError, lambda: B @ bad, [name, str(tuple(bad.shape))], f"@ with shape {tuple(bad.shape)}")
    integers = torch.ones(dims, dtype=torch.int64, device=draw.device)
    require_refusal(A, TypeError, lambda: B(integers), [name, "int64"], f"{side.label} of integers")
    if not side.takes_complex:
        unreal = draw(dims, torch.complex128)
        require_refusal(A, TypeError, lambda: B(unreal), [name, "complex128"], f"{side.label} of a complex model")


def _check_repr(A: LinearOperator) -> None:
    text = repr(A)
    for part in (str(A.dims), str(A.dimsd), "x".join(map(str, A.shape))):
        require(A, "repr", part in text, f"{part} is not in {text}")


def check_batches(A: LinearOperator) -> None:
    """Check that a batch is answered sample by sample, without a loop in Python, in any memory layout."""
    with blaming(A, "batches"):
        for side in sides(A):
            B, draw = side.operator, Draw(A)
            for dtype in side.fields:
                for batch in BATCHES:
                    x = draw((*batch, *side.dims), dtype)
                    y = B(x)
                    what = f"batches: {side.label} of batch shape {batch}"
                    require(A, what, y.shape == (*batch, *side.dimsd), f"has shape {tuple(y.shape)}")
                    samples = x.reshape(math.prod(batch), *side.dims)
                    alone = [B(sample) for sample in samples]
                    want = torch.stack(alone).reshape(y.shape) if alone else y
                    agree(A, what, y, want, side.norm * norm(x), "The result of a sample depends on the others.")
                x = draw((3, *side.dims), dtype)
                want = B(x)
                for layout, other in layouts(x).items():
                    what = f"batches: {side.label} of {layout}"
                    agree(A, what, B(other), want, side.norm * norm(x))
            with _Calls() as few:
                B(draw((3, *side.dims), side.fields[0]))
            with _Calls() as many:
                B(draw((7, *side.dims), side.fields[0]))
            require(
                A,
                f"batches: {side.label}",
                many.count <= few.count,
                f"calls torch {few.count} times for a batch of 3 and {many.count} times for a batch of 7: "
                "it loops over the batch in Python",
            )


def layouts(x: Tensor) -> dict[str, Tensor]:
    """Return tensors equal to ``x`` with other memory layouts."""
    wide = torch.empty((*x.shape, 2), dtype=x.dtype, device=x.device)
    wide[..., 0] = x
    reversed_axes = tuple(range(x.ndim - 1, -1, -1))
    layouts = {
        "a strided tensor": wide[..., 0],
        "a transposed tensor": x.permute(reversed_axes).contiguous().permute(reversed_axes),
    }
    if x.is_complex():
        layouts["a tensor with the conjugate bit"] = x.conj().resolve_conj().conj()
    return layouts


class _Calls(TorchFunctionMode):
    """Counts the calls of torch functions."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def check_no_aliasing(A: LinearOperator) -> None:
    """Check that an output shares no memory, and that a call changes neither its input nor the operator."""
    with blaming(A, "no aliasing"):
        own = {tensor.untyped_storage().data_ptr() for tensor in A._all_tensors()}
        before = [tensor.clone() for tensor in A._all_tensors()]
        for side in sides(A):
            B, draw, size = side.operator, Draw(A), math.prod(side.dims)
            for dtype in side.fields:
                model = draw(side.dims, dtype)
                columns = draw((*side.dims, 3), dtype)
                calls: dict[str, tuple[Function, Tensor]] = {
                    f"{side.label}": (B, model),
                    f"{side.label} of a batch": (B, draw((2, *side.dims), dtype)),
                    f"{side.label} of a batch of one": (B, draw((1, *side.dims), dtype)),
                    f"{side.label} of a flattened model": (B, model.reshape(size)),
                    "@ with a vector": (B.__matmul__, model.reshape(size)),
                    "@ with columns": (B.__matmul__, columns),
                    "matmat": (B.matmat, columns.reshape(size, 3)),
                    "matmat of one column": (B.matmat, model.reshape(size, 1)),
                    "rmatvec of A.H": (B.H.rmatvec, model.reshape(size)),
                }
                if dtype.is_complex:
                    calls[f"{side.label} of a conjugated model"] = (B, model.conj())
                for what, (apply, x) in calls.items():
                    with torch.no_grad():
                        _check_output_is_new(A, what, apply, x, own)
                array = model.cpu().numpy()
                if not A._all_tensors() or A._all_tensors()[0].is_cpu:
                    shares = np.shares_memory(B(array), array)
                    require(A, "no aliasing", not shares, f"{side.label} of a NumPy array shares its memory")
        for tensor, kept in zip(A._all_tensors(), before, strict=True):
            require(A, "no aliasing", torch.equal(tensor, kept), "a call changed a tensor of the operator")


def _check_output_is_new(A: LinearOperator, what: str, apply: Function, x: Tensor, own: set[int]) -> None:
    kept = x.clone()
    out = apply(x)
    memory = out.untyped_storage().data_ptr()
    require(A, "no aliasing", torch.equal(x, kept), f"{what} changed its input")
    require(A, "no aliasing", memory != x.untyped_storage().data_ptr(), f"{what} shares memory with its input")
    require(A, "no aliasing", memory not in own, f"{what} shares memory with a tensor of the operator")
    out.add_(1)  # raises if elements of an expanded output share memory
