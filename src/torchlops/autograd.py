"""Fast kernels, where they are provably safe.

Every native operator is differentiable torch code, and autograd passes through it. Some operators also
have kernels that autograd could not follow (they write in place) but that run several times faster:
``_fast_forward`` and ``_fast_adjoint``. :func:`run_fast` uses them in plain eager execution alone. Where
anything else may be watching (a compiler, a functorch transform, forward-mode differentiation, a dispatch
mode, a tensor subclass, a tensor of the operator that wants a gradient) it declines, and the differentiable
kernel runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import Parameter

from torchlops.torch_internals import is_batched_by_legacy_vmap, is_plain_eager, is_wrapped

FAST_FROM = 32_768
"""Operations from which a fast kernel is worth its Function (about 13 µs forward and 30 µs backward)."""


class HasFastKernels(Protocol):
    """What is asked of an operator here."""

    @property
    def name_and_type(self) -> str: ...
    def apply_nd(self, x: Tensor, adjoint: bool = False) -> Tensor: ...
    def _fast_forward(self, x: Tensor, /) -> Tensor: ...
    def _fast_adjoint(self, y: Tensor, /) -> Tensor: ...
    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool: ...
    def _own_tensors(self) -> tuple[Tensor, ...]: ...
    def _held_tensors(self) -> tuple[Tensor, ...]: ...
    def _snapshot(self) -> HasFastKernels: ...


def run_fast(operator: HasFastKernels, x: Tensor, adjoint: bool) -> Tensor | None:
    """Run a fast kernel of ``operator`` on ``x``, or return None where that might not be safe.

    Fast kernels are written for, and measured on, the CPU: other devices take the differentiable ones.
    """
    if (
        not is_plain_eager()
        or not x.is_cpu
        or type(x) not in (Tensor, Parameter)
        or is_batched_by_legacy_vmap(x)
        or not operator._is_fast_for(x, adjoint)
    ):
        return None
    tracked = torch.is_grad_enabled()
    for tensor in operator._own_tensors():
        if type(tensor) not in (Tensor, Parameter) or is_wrapped(tensor) or (tracked and tensor.requires_grad):
            return None
    if tracked and x.requires_grad:
        result: Tensor = _FastKernel.apply(x, operator, adjoint)  # type: ignore[no-untyped-call]
        return result
    plain: Tensor = _kernel(operator, adjoint)(x)
    return plain


def _kernel(operator: HasFastKernels, adjoint: bool) -> Callable[[Tensor], Tensor]:
    return operator._fast_adjoint if adjoint else operator._fast_forward


class _FastKernel(torch.autograd.Function):
    """A fast kernel with the operator's adjoint as its backward.

    The backward goes through the operator again, under the same policy, so that a second derivative, a
    batched gradient or a gradient taken in forward mode is exact too. It takes the tensors of the forward pass, as the
    differentiable kernels do, whatever the operator holds by then (``torch.func.functional_call`` gives them back, a
    cast or a move replaces them); one that was changed in place raises, as there. It is written in the ctx-first style:
    ``setup_context`` would cost 8 µs a call, and functorch, which needs it, never comes here.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, operator: HasFastKernels, adjoint: bool) -> Tensor:
        ctx.operator, ctx.adjoint, ctx.is_real = operator._snapshot(), adjoint, not x.is_complex()
        ctx.save_for_backward(*operator._held_tensors())
        result: Tensor = _kernel(operator, adjoint)(x)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        _ = ctx.saved_tensors  # raises where one of them was changed in place
        result = ctx.operator.apply_nd(grad, not ctx.adjoint)
        return (result.real if ctx.is_real and result.is_complex() else result), None, None
