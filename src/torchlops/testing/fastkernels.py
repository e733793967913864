"""Checks of fast kernels, called directly and through the policy of ``autograd.py``."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor

from torchlops import autograd
from torchlops.linearoperator import LinearOperator
from torchlops.testing.adjoint import check_adjoint
from torchlops.testing.derivatives import check_derivatives, tracks
from torchlops.testing.matrix import BATCHES, Draw, Function, Side, converted, fields, norm, sides
from torchlops.testing.shapes import check_batches, check_no_aliasing, layouts
from torchlops.testing.verdicts import TOLERANCE, agree, blaming, require


def check_fast_kernels(A: LinearOperator) -> None:
    """Check the fast kernels of the operator and its parts, if any, called directly and through the policy.

    For the policy, the size threshold is set to zero, so that every derivative uses the fast kernels.
    """
    if not any(getattr(module, "_has_fast_kernels", False) for module in A.modules()):
        return
    with blaming(A, "fast kernels"):
        if A._has_fast_kernels:
            for side, kernel in zip(sides(A), (A._fast_forward, A._fast_adjoint), strict=True):
                _check_kernel(A, side, kernel)
                _check_half(A, side)
                _check_large(A, side)
        with _fast_from(0):
            for side in sides(A):
                for dtype in side.fields:
                    _check_policy(A, side, Draw(A)((2, *side.dims), dtype))
            _check_changed_tensor(A)
            for promise in (check_adjoint, check_batches, check_no_aliasing, check_derivatives):
                with blaming(A, "with its fast kernels"):
                    promise(A)


def _check_kernel(A: LinearOperator, side: Side, kernel: Function) -> None:
    draw = Draw(A)
    for precision in (torch.float64, torch.float32):
        for dtype in fields(side.takes_complex, precision):
            for batch in BATCHES:
                x = draw((*batch, *side.dims), dtype)
                want = side.exact(x)
                scale = side.norm * norm(x)
                what = f"fast kernels: {side.label} of {dtype} x of batch shape {batch}"
                plain = side.operator(x).dtype
                for layout, value in {"a plain tensor": x, **layouts(x)}.items():
                    if not A._is_fast_for(value, side.is_adjoint):
                        continue
                    kept = value.clone()
                    with torch.no_grad(), blaming(A, f"{what}, {layout}"):
                        got = kernel(value)
                    require(A, what, got.dtype == plain, f"gives {got.dtype}, but the plain kernel {plain}")
                    agree(A, f"{what}, {layout}", got, want, scale, "", TOLERANCE[precision])
                    require(A, what, torch.equal(value, kept), "changed its input")


def _check_half(A: LinearOperator, side: Side) -> None:
    """If the plain kernel supports half precision, the fast kernel must agree with it."""
    for half in (torch.bfloat16, torch.float16):
        try:
            B = converted(A, half)
            x = Draw(B)((3, *side.dims), half)
            want = B._adjoint(x) if side.is_adjoint else B._forward(x)
        except Exception:  # torch has no kernel, or no complex tensors, of that dtype
            continue
        if not B._is_fast_for(x, side.is_adjoint):
            continue
        what = f"fast kernels: {side.label} of {half} x"
        with blaming(A, what):
            got = B._fast_adjoint(x) if side.is_adjoint else B._fast_forward(x)
        require(A, what, got.dtype == want.dtype, f"gives {got.dtype}, but the plain kernel {want.dtype}")
        agree(A, what, got, want, side.norm * norm(x), "", TOLERANCE[half])


def _check_large(A: LinearOperator, side: Side) -> None:
    """Check the fast kernels at the size from which calls use them."""
    for dtype in side.fields:
        x = Draw(A)((autograd.FAST_FROM // math.prod(side.dims) + 1, *side.dims), dtype)
        want = A._adjoint(x) if side.is_adjoint else A._forward(x)
        for layout, value in {"a plain tensor": x, **layouts(x)}.items():
            what = f"fast kernels: {side.label} of a large {dtype} x, {layout}"
            with torch.no_grad(), blaming(A, what):
                agree(A, what, side.operator(value), want, side.norm * norm(x[:100]))


def _check_policy(A: LinearOperator, side: Side, x: Tensor) -> None:
    B = side.operator
    what = f"fast kernels: {side.label} of {x.dtype} x"
    leaf = x.clone().requires_grad_()
    if A._has_fast_kernels and A._is_fast_for(x, side.is_adjoint) and not tracks(A):
        taken = type(B(leaf).grad_fn).__name__
        require(A, what, taken == "_FastKernelBackward", f"the fast kernel was not used, but {taken}")
    with blaming(A, what):
        torch.autograd.gradcheck(B, (leaf,), check_batched_grad=True, check_forward_ad=True, fast_mode=True)
        torch.autograd.gradgradcheck(B, (leaf,), check_batched_grad=True, check_fwd_over_rev=True, fast_mode=True)


def _check_changed_tensor(A: LinearOperator) -> None:
    """Check that a tensor modified between forward and backward raises, or does not affect the gradient."""
    for name, tensor in A.state_dict().items():
        B = copy.deepcopy(A)
        x = Draw(A)(A.dims, torch.float64).requires_grad_()
        out = B(x)
        if type(out.grad_fn).__name__ != "_FastKernelBackward" or not (
            tensor.is_floating_point() or tensor.is_complex()
        ):
            continue
        (before,) = torch.autograd.grad(out, x, torch.ones_like(out), retain_graph=True)
        with torch.no_grad():
            B.state_dict()[name].mul_(2)
        try:
            (after,) = torch.autograd.grad(out, x, torch.ones_like(out))
        except RuntimeError:
            continue
        if not torch.equal(before, after):
            raise AssertionError(
                f"{A.name_and_type}: fast kernels: a modification of {name} in place between forward and backward "
                "goes unnoticed"
            )


@contextmanager
def _fast_from(elements: int) -> Iterator[None]:
    """Use fast kernels from this number of elements on."""
    with mock.patch.object(autograd, "FAST_FROM", elements):
        yield
