"""Fast kernels, used only where they are provably safe.

Every native operator is differentiable torch code, which autograd traces. Some operators also have kernels
that autograd cannot trace (they write in place) but that are several times faster: ``_fast_forward`` and
``_fast_adjoint``. :func:`run_fast` uses them only in plain eager execution. If anything else may be active (a
compiler, a functorch transform, forward-mode differentiation, a dispatch mode, a tensor subclass, a tensor of
the operator that requires a gradient), it declines, and the differentiable kernel runs.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import Parameter

from torchlops.torch_internals import is_batched_by_legacy_vmap, is_plain_eager, is_wrapped

FAST_FROM = 32_768
"""Number of operations from which a fast kernel pays for its ``Function`` (about 13 µs forward, 30 µs backward)."""


class HasFastKernels(Protocol):
    """The interface of an operator that this module needs."""

    _is_fast_anywhere: bool
    _is_fast_without_autocast: bool
    _has_tensor_gradients: bool

    @property
    def name_and_type(self) -> str: ...
    def apply_nd(self, x: Tensor, adjoint: bool = False) -> Tensor: ...
    def _fast_forward(self, x: Tensor, /) -> Tensor: ...
    def _fast_adjoint(self, y: Tensor, /) -> Tensor: ...
    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool: ...
    def _own_tensors(self) -> tuple[Tensor, ...]: ...
    def _held_tensors(self) -> tuple[Tensor, ...]: ...
    def _tensor_gradients(self, model: Tensor, data: Tensor, /) -> tuple[Tensor, ...]: ...
    def _snapshot(self) -> HasFastKernels: ...


def run_fast(operator: HasFastKernels, x: Tensor, adjoint: bool) -> Tensor | None:
    """Run a fast kernel of ``operator`` on ``x``, or return None if that might not be safe.

    Fast kernels are written for and measured on the CPU. Other devices use the differentiable kernels, unless the
    operator says otherwise: where autograd would keep much for a backward pass that is the adjoint anyway.
    """
    if (
        not is_plain_eager()
        or not (x.is_cpu or operator._is_fast_anywhere)
        or x.is_meta
        or type(x) not in (Tensor, Parameter)
        or is_batched_by_legacy_vmap(x)
        or not operator._is_fast_for(x, adjoint)
    ):
        return None
    tracked, own, learns = torch.is_grad_enabled(), operator._own_tensors(), False
    for tensor in own:
        if type(tensor) not in (Tensor, Parameter) or is_wrapped(tensor):
            return None
        if tracked and tensor.requires_grad:
            if not operator._has_tensor_gradients or is_batched_by_legacy_vmap(tensor):
                return None
            learns = True
    if learns:
        learned: Tensor = _LearningKernel.apply(operator, adjoint, x, *own)  # type: ignore[no-untyped-call, unused-ignore]
        return learned
    if tracked and x.requires_grad:
        result: Tensor = _FastKernel.apply(x, operator, adjoint)  # type: ignore[no-untyped-call, unused-ignore]
        return result
    return _run(operator, x, adjoint)


def _run(operator: HasFastKernels, x: Tensor, adjoint: bool) -> Tensor:
    kernel = operator._fast_adjoint if adjoint else operator._fast_forward
    if operator._is_fast_without_autocast and torch.is_autocast_enabled(x.device.type):
        with torch.autocast(x.device.type, enabled=False):
            return kernel(x)
    return kernel(x)


def _gradient(ctx: Any, grad: Tensor) -> Tensor:
    """Return the gradient with respect to the input of a fast kernel."""
    result: Tensor = ctx.operator.apply_nd(grad, not ctx.adjoint)
    return result.real if ctx.is_real and result.is_complex() else result


class _FastKernel(torch.autograd.Function):
    """A fast kernel whose backward is the adjoint of the operator.

    The backward applies the operator under the same policy, so second derivatives, batched gradients and gradients
    in forward mode are exact as well. Like the differentiable kernels, it uses the tensors of the forward pass even if
    the operator holds others by then (``torch.func.functional_call`` restores them, a cast or a move replaces them). A
    tensor that was modified in place raises, as it does there. The ctx-first style avoids ``setup_context``, which
    would cost 8 µs per call and is needed only by functorch, which never reaches this code.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, operator: HasFastKernels, adjoint: bool) -> Tensor:
        ctx.operator, ctx.adjoint, ctx.is_real = operator._snapshot(), adjoint, not x.is_complex()
        ctx.save_for_backward(*operator._held_tensors())
        return _run(operator, x, adjoint)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        _ = ctx.saved_tensors  # raises if one of them was modified in place
        return _gradient(ctx, grad), None, None


class _LearningKernel(torch.autograd.Function):
    """A fast kernel of an operator whose tensors learn.

    The gradient by a tensor is that of ``Re<y, A x>``, in which forward and adjoint are alike. It is computed by the
    operator, too, under the same policy: so derivatives of all orders are exact.
    """

    @staticmethod
    def forward(ctx: Any, operator: HasFastKernels, adjoint: bool, x: Tensor, *_: Tensor) -> Tensor:
        ctx.operator, ctx.adjoint, ctx.is_real = operator._snapshot(), adjoint, not x.is_complex()
        ctx.save_for_backward(x, *operator._held_tensors())
        return _run(operator, x, adjoint)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, operator = ctx.saved_tensors[0], ctx.operator
        by_x = _gradient(ctx, grad) if ctx.needs_input_grad[2] else None
        if not any(ctx.needs_input_grad[3:]):
            return None, None, by_x, *(None for _ in ctx.needs_input_grad[3:])
        return None, None, by_x, *operator._tensor_gradients(*((grad, x) if ctx.adjoint else (x, grad)))
