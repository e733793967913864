"""Tensors without their derivatives, or without those of forward mode, also inside transforms."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchlops.torch_internals import is_plain_eager


class _Drop(torch.autograd.Function):
    """The identity, which takes the tangents of forward mode off, and lets gradients through where it is told to."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, keeps_gradient: bool) -> Tensor:  # noqa: ARG004
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.keeps_gradient = inputs[1]
        if not ctx.keeps_gradient:
            ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad if ctx.keeps_gradient else torch.zeros_like(grad), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor | None:
        return torch.zeros_like(tangent) if ctx.keeps_gradient else None


_drop: Any = _Drop.apply


def constant(x: Any) -> Any:
    """Return a tensor without its derivatives, also inside transforms; anything else as it is."""
    if isinstance(x, Tensor) and is_plain_eager():
        return x.detach()
    return _drop(x, False) if _is_differentiable(x) else x


def without_tangent(x: Any) -> Any:
    """Return a tensor without the tangents of forward mode, but with its graph; anything else as it is."""
    return _drop(x, True) if _is_differentiable(x) else x


def with_derivative_of(value: Tensor, again: Tensor) -> Tensor:
    """Return ``value``, a constant, with the derivatives of ``again``."""
    result: Tensor = value + (again - constant(again))
    return result


def _is_differentiable(x: Any) -> bool:
    return isinstance(x, Tensor) and (x.is_floating_point() or x.is_complex())
