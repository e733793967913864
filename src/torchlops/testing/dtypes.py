"""Checks of dtypes, and of the ``meta`` device."""

from __future__ import annotations

import copy

import torch

from torchlops.arrays import promote, real_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.testing.matrix import (
    BATCHES,
    Draw,
    Side,
    converted,
    fields,
    norm,
    quartic,
    result_type,
    sides,
)
from torchlops.testing.verdicts import TOLERANCE, agree, blaming, require


def check_dtypes(A: LinearOperator) -> None:
    """Check that the output has the dtype to which the input and the operator's tensors promote, in full precision.

    bfloat16 and float16 must work, or raise an error that names the operator.
    """
    with blaming(A, "dtypes"):
        for precision in (torch.float64, torch.float32):
            for B in (A, converted(A, torch.float32)):
                for side in sides(B):
                    for dtype in fields(side.takes_complex, precision):
                        _check_precision(A, B, side, dtype)
        for half in (torch.bfloat16, torch.float16):
            _check_half(A, half)


def _check_precision(A: LinearOperator, B: LinearOperator, side: Side, dtype: torch.dtype) -> None:
    x = Draw(A)((2, *side.dims), dtype)
    out = side.operator(x)
    exact = side.operator(x.to(promote([dtype, torch.float64])))
    allowed = [real_dtype(result_type(x, tensors)) for tensors in (B._given_tensors(), B._all_tensors())]
    what = f"dtypes: {side.label} of {dtype} x"
    found = ", ".join(sorted({str(tensor.dtype) for tensor in B._given_tensors()})) or "none"
    require(
        A,
        what,
        real_dtype(out.dtype) in allowed,
        f"gives {out.dtype}; torch.result_type of x and of the operator's tensors ({found}) is {allowed[0]}",
    )
    require(
        A, what, out.is_complex() == exact.is_complex(), f"gives {out.dtype}, but {exact.dtype} in double precision"
    )
    agree(A, what, out, exact, side.norm * norm(x), "Precision was lost.", TOLERANCE[real_dtype(dtype)])
    leaf = x.clone().requires_grad_()
    quartic(side.operator(leaf)).backward()  # type: ignore[no-untyped-call]
    gradient = None if leaf.grad is None else leaf.grad.dtype
    require(A, what, gradient == dtype, f"the gradient is {gradient}")


def _parts(A: LinearOperator) -> list[LinearOperator]:
    """Return the operator and, recursively, its parts."""
    return [A, *(inner for part in getattr(A, "operators", ()) for inner in _parts(part))]


def _check_half(A: LinearOperator, half: torch.dtype) -> None:
    names = {type(part).__name__ for part in _parts(A)} | {A.name_and_type}
    try:
        B = converted(A, half)
        C = copy.deepcopy(B).to(torch.float64)
        results = [(side, x := Draw(A)((2, *side.dims), half), side.operator(x)) for side in sides(C, B)]
    except Exception as error:
        text = str(error)
        if any(name in text for name in names):
            return
        raise AssertionError(
            f"{A.name_and_type}: dtypes: {half} raises an error that does not name the operator: "
            f"{type(error).__name__}: {text}"
        ) from error
    for (side, x, out), exact in zip(results, sides(C), strict=True):
        what = f"dtypes: {side.label} of {half} x"
        require(A, what, torch.finfo(out.dtype).bits <= 32, f"gives {out.dtype}")
        agree(A, what, out, exact.operator(x.double()), exact.norm * norm(x), "", TOLERANCE[half])


def check_meta(A: LinearOperator) -> None:
    """Check that the operator runs on the ``meta`` device, so that it never synchronises with the host on a GPU."""
    with blaming(A, "meta device"):
        B = copy.deepcopy(A).to("meta")
        for side, without_values in zip(sides(A), (B, B.H), strict=True):
            for dtype in side.fields:
                for batch in BATCHES:
                    x = Draw(A)((*batch, *side.dims), dtype)
                    want = side.operator(x)
                    what = f"meta device: {side.label} of batch shape {batch}"
                    with blaming(A, f"{what} (does it read a value, as .item() does, or hold an unregistered tensor?)"):
                        leaf = x.to("meta").requires_grad_()
                        got = without_values(leaf)
                        if x.numel():
                            quartic(got).backward()  # type: ignore[no-untyped-call]
                    require(A, what, got.is_meta, f"the result is on {got.device}")
                    same = (got.shape, got.dtype) == (want.shape, want.dtype)
                    require(A, what, same, f"gives {tuple(got.shape)} {got.dtype}, but {want.dtype} with values")
