"""Tensors without their derivatives, or without those of forward mode, also inside transforms."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchlops.torch_internals import is_plain_eager


class _Drop(torch.autograd.Function):
    """The identity, which takes the tangents of forward mode off, and lets gradients through."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ARG004
        return grad

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:  # noqa: ARG004
        return torch.zeros_like(tangent)


_dropped: Any = _Drop.apply


class _Constant(torch.autograd.Function):
    """The identity, without derivatives."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ARG004
        return torch.zeros_like(grad)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> None:  # noqa: ARG004
        return None


_constant: Any = _Constant.apply


def constant(x: Any) -> Any:
    """Return a tensor without its derivatives, also inside transforms; anything else as it is."""
    if not isinstance(x, Tensor):
        return x
    if is_plain_eager():
        return x.detach()
    return _constant(x) if x.is_floating_point() or x.is_complex() else x


def without_tangent(x: Any) -> Any:
    """Return a tensor without the tangents of forward mode, but with its graph; anything else as it is."""
    return _dropped(x) if isinstance(x, Tensor) and (x.is_floating_point() or x.is_complex()) else x
