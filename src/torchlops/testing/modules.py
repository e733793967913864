"""Checks of an operator on NumPy arrays, and as a module."""

from __future__ import annotations

import copy
import io
import math
import pickle
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchlops.arrays import real_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.testing.matrix import HAS_SCIPY, Draw, Side, fields, norm, sides
from torchlops.testing.verdicts import agree, blaming, require


def check_arrays(A: LinearOperator) -> None:
    """Check that NumPy inputs give NumPy outputs in every form of call, and SciPy's interface if SciPy is installed."""
    with blaming(A, "arrays"):
        for side in sides(A):
            for dtype in side.fields:
                _check_numpy(A, side, dtype)
        if HAS_SCIPY:
            _check_scipy(A)


def _check_numpy(A: LinearOperator, side: Side, dtype: torch.dtype) -> None:
    B, draw = side.operator, Draw(A)
    size, size_out = math.prod(side.dims), math.prod(side.dimsd)
    models = draw((3, *side.dims), dtype)
    X: Any = models.numpy()
    Y: Any = B(models).detach().numpy()
    x, y = X[0], Y[0]
    columns, out_columns = X.reshape(3, size).T, Y.reshape(3, size_out).T
    read_only = x.copy()
    read_only.flags.writeable = False
    readings: dict[str, tuple[Callable[[], Any], Any]] = {
        "A(x)": (lambda: B(x), y),
        "A(x) of a batch": (lambda: B(X), Y),
        "A(x) flattened": (lambda: B(x.reshape(size)).reshape(size_out), y.reshape(size_out)),
        "A(x) of a read-only array": (lambda: B(read_only), y),
        "A(x) of a reversed array": (lambda: B(X[::-1]), Y[::-1]),
        "A @ vector": (lambda: B @ x.reshape(size), B(x.reshape(size))),
        "A @ model": (lambda: B @ x, y),
        "A * model": (lambda: B * x, y),
        "A.dot(model)": (lambda: B.dot(x), y),
        "A @ columns": (lambda: (B @ columns).reshape(size_out, 3), out_columns),
        "A @ models, columns last": (lambda: B @ np.moveaxis(X, 0, -1), np.moveaxis(Y, 0, -1)),
        "matvec": (lambda: B.matvec(x.reshape(size)), y.reshape(size_out)),
        "matvec of a column": (lambda: B.matvec(x.reshape(size, 1)), y.reshape(size_out, 1)),
        "matmat": (lambda: B.matmat(columns), out_columns),
        "A.H.rmatvec": (lambda: B.H.rmatvec(x.reshape(size)), y.reshape(size_out)),
        "A.H.rmatvec of a column": (lambda: B.H.rmatvec(x.reshape(size, 1)), y.reshape(size_out, 1)),
        "A.H.rmatmat": (lambda: B.H.rmatmat(columns), out_columns),
        "A.H.H @ model": (lambda: B.H.H @ x, y),
        "A.H.adjoint(model)": (lambda: B.H.adjoint(x), y),
    }
    for reading, (compute, want) in readings.items():
        what = f"arrays: {reading} with A = {side.label.partition(' of ')[0]}, {dtype}"
        with blaming(A, what):
            got = compute()
        require(A, what, isinstance(got, np.ndarray), f"gives a {type(got).__name__}")
        require(A, what, got.dtype == Y.dtype, f"gives {got.dtype}, but {Y.dtype} for a tensor")
        scale = side.norm * norm(models)
        agree(A, what, torch.from_numpy(got.copy()), torch.from_numpy(want.copy()), scale)


def _check_scipy(A: LinearOperator) -> None:
    from scipy.sparse.linalg import aslinearoperator

    S = aslinearoperator(A)
    draw = Draw(A)
    for dtype in fields(not A.real_model, torch.float64):
        x = draw((3, A.shape[1]), dtype).numpy()
        y = draw((3, A.shape[0]), torch.float64 if A.H.real_model else dtype).numpy()
        forward = A(x.reshape(3, *A.dims)).reshape(3, A.shape[0])
        adjoint = A.H(y.reshape(3, *A.dimsd)).reshape(3, A.shape[1])
        results = {
            "matvec": (S.matvec(x[0]), forward[0]),
            "rmatvec": (S.rmatvec(y[0]), adjoint[0]),
            "@ vector": (S @ x[0], forward[0]),
            "matmat": (S.matmat(x.T), forward.T),
            "rmatmat": (S.rmatmat(y.T), adjoint.T),
            "H": (S.H @ y[0], adjoint[0]),
        }
        for name, (got, want) in results.items():
            what = f"arrays: {name} of SciPy's aslinearoperator(A) on {dtype}"
            agree(A, what, torch.from_numpy(got.copy()), torch.from_numpy(want.copy()), 1e2 * float(np.abs(want).max()))


def check_module(A: LinearOperator) -> None:
    """Check the behaviour as an ``nn.Module``: copies, pickles, state, parameters, casts, hooks, ``nn.Sequential``."""
    with blaming(A, "module"):
        draw = Draw(A)
        x = draw((2, *A.dims), sides(A)[0].fields[-1])
        want = A(x).detach()
        _check_copies(A, x, want)
        _check_state(A, x, want)
        _check_casts(A)
        for module in A.modules():
            for name, value in vars(module).items():
                message = f"{type(module).__name__}.{name} is a tensor, but neither a buffer nor a parameter"
                require(A, "module", not isinstance(value, Tensor), message)
        pair = nn.Sequential(nn.Identity(), A, A.H)
        agree(A, "module: nn.Sequential(A, A.H)", pair(x), A.H(A(x)), 0.0)
        for view in (A.H, A.T, A.H @ A, 2 * A):
            same = {id(p) for p in view.parameters()} == {id(p) for p in A.parameters()}
            require(A, "module", same, f"{view} has other parameters than the operator")
            memory = [tensor.data_ptr() for tensor in view.state_dict().values() if tensor.numel()]
            require(A, "module", len(memory) == len(set(memory)), f"state_dict of {view} holds a tensor twice")
        calls: list[int] = []
        handle = A.register_forward_hook(lambda *_: calls.append(1))
        A(x)
        handle.remove()
        require(A, "module", len(calls) == 1, f"a forward hook ran {len(calls)} times in one call")


def _check_copies(A: LinearOperator, x: Tensor, want: Tensor) -> None:
    copies = {"deepcopy": copy.deepcopy(A)}
    pickled = _pickled(A) if all(_is_importable(type(module)) for module in A.modules()) else None
    if pickled is not None:
        copies["pickle"] = pickle.loads(pickled)
        file = io.BytesIO()
        torch.save(A, file)
        file.seek(0)
        copies["torch.save and torch.load"] = torch.load(file, weights_only=False)
    for how, B in copies.items():
        what = f"module: after {how}"
        agree(A, what, B(x).detach(), want, 0.0)
        agree(A, what, B.H(want).detach(), A.H(want).detach(), 0.0)
        require(A, what, repr(B) == repr(A), f"repr is {B!r}, but was {A!r}")
        old = {tensor.data_ptr() for tensor in A._all_tensors() if tensor.numel()}
        new = {tensor.data_ptr() for tensor in B._all_tensors() if tensor.numel()}
        require(A, what, not old & new, "the copy shares tensors with the operator")


def _pickled(A: LinearOperator) -> bytes | None:
    """Return the pickle of ``A``, or None if it contains functions that pickle cannot find by name."""
    try:
        return pickle.dumps(A)
    except (AttributeError, pickle.PicklingError) as error:
        if "<lambda>" in str(error) or "<locals>" in str(error):
            return None
        raise


def _is_importable(kind: type) -> bool:
    """Whether pickle can find the class. It cannot if the class was defined inside a function."""
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind


def _check_state(A: LinearOperator, x: Tensor, want: Tensor) -> None:
    state = {name: tensor.detach().clone() for name, tensor in A.state_dict().items()}
    B = copy.deepcopy(A)
    with torch.no_grad():
        for tensor in B.state_dict().values():
            if tensor.is_floating_point() or tensor.is_complex():
                tensor.mul_(0.5)
    B.load_state_dict(state)
    agree(
        A, "module: after load_state_dict", B(x).detach(), want, 0.0, "Is something cached that depends on the state?"
    )
    given = {id(tensor) for tensor in A._given_tensors()}
    held = {id(tensor) for tensor in A.state_dict(keep_vars=True).values()}
    require(A, "module", given <= held, "a tensor of the operator is not in its state_dict")


def _check_casts(A: LinearOperator) -> None:
    casts: dict[str, tuple[torch.dtype, Callable[[LinearOperator], Any]]] = {
        "A.to(torch.float32)": (torch.float32, lambda B: B.to(torch.float32)),
        "A.float()": (torch.float32, lambda B: B.float()),
        "A.double()": (torch.float64, lambda B: B.double()),
    }
    for what, (wanted, cast) in casts.items():
        B = copy.deepcopy(A)
        cast(B)
        for before, after in zip(A._all_tensors(), B._all_tensors(), strict=True):
            kept = before.is_complex() == after.is_complex() and before.shape == after.shape
            require(A, f"module: {what}", kept, f"a {before.dtype} tensor became {after.dtype}")
            if before.is_floating_point() or before.is_complex():
                require(A, f"module: {what}", real_dtype(after.dtype) == wanted, f"left a tensor in {after.dtype}")
            else:
                require(A, f"module: {what}", before.dtype == after.dtype, f"{before.dtype} became {after.dtype}")
        require(A, f"module: {what}", A.dtype.kind == B.dtype.kind, f"dtype {A.dtype} became {B.dtype}")
