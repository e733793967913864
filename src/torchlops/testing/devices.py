"""Check with a default device that differs from the device of the input."""

from __future__ import annotations

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.testing.fastkernels import _fast_from
from torchlops.testing.matrix import Draw, Side, norm, quartic, sides
from torchlops.testing.verdicts import agree, blaming, require


def check_default_device(A: LinearOperator) -> None:
    """Check that memory is allocated on the device of the input, whatever the default device of torch.

    The default device is set to ``"meta"``, which has no values, while the operator and its inputs stay where they are.
    Memory that is allocated without a device is then on the wrong one, and the call fails or returns no values. The
    fast kernels are checked as well.
    """
    with blaming(A, "default device"):
        for side in sides(A):
            for dtype in side.fields:
                draw = Draw(A)
                for batch in ((), (2, 3)):
                    x = draw((*batch, *side.dims), dtype)
                    _check_result_is_there(A, side, x, f"default device: {side.label} of batch shape {batch}")
                    with _fast_from(0):
                        what = f"default device: {side.label} of batch shape {batch}, with fast kernels"
                        _check_result_is_there(A, side, x, what)


def _check_result_is_there(A: LinearOperator, side: Side, x: Tensor, what: str) -> None:
    leaf, same = x.clone().requires_grad_(), x.clone().requires_grad_()
    hint = "(is memory allocated without device=x.device?)"
    with blaming(A, f"{what} {hint}"), torch.device("meta"):
        bare = side.operator(x)
        out = side.operator(leaf)
    for got in (bare, out):
        require(A, f"{what} {hint}", got.device == x.device, f"the result is on {got.device}, the input on {x.device}")
        agree(A, what, got, side.exact(x), side.norm * norm(x))
    with blaming(A, f"{what}: its gradient {hint}"), torch.device("meta"):
        quartic(out).backward()  # type: ignore[no-untyped-call]
    want = side.operator(same)
    quartic(want).backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    assert same.grad is not None
    agree(A, f"{what}: its gradient", leaf.grad, same.grad, max(float(same.grad.abs().max()), 1e-3))
