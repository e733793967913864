"""Gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import DType
from torchlops.attributes import Computed
from torchlops.basicoperators._stencils import (
    from_axis,
    slabs,
    sum_of_array_stencils,
    sum_of_stencils,
    write_sum_of_stencils,
)
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.basicoperators.firstderivative import first_derivative, first_derivatives
from torchlops.linearoperator import VerticalStack
from torchlops.memory import empty
from torchlops.shapes import Dims, as_dims, per_axis


class Gradient(AccumulatingOperator):
    r"""First derivatives along all axes, stacked on a new first axis.

    Each :math:`\partial_a` is a :class:`FirstDerivative`, with three points if it is centered. As a penalty, write
    ``kind="forward"``: centered differences of samples that alternate in sign are zero, so that a solution may
    oscillate from sample to sample.

    Forward:
        .. math:: y_a = \partial_a x

    Adjoint:
        .. math:: A^H y = \sum_a \partial_a^H y_a

        The negative adjoint is the divergence.

    Args:
        dims: Shape of the model, with ``d`` axes. The data has the shape ``(d, *dims)``.
        sampling: Sampling step of each axis, or one step for all axes.
        edge: Whether the centered kind is also computed at the ends (the other kinds ignore it).
        kind: ``"forward"``, ``"centered"`` or ``"backward"``.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``sampling`` does not have one value per axis, or for the reasons given in
            :class:`FirstDerivative`.

    Example:
        >>> import torch
        >>> x, y = torch.meshgrid(torch.arange(3.0), torch.arange(3.0), indexing="ij")
        >>> Gradient((3, 3), kind="forward")(x + 2 * y)[:, 0, 0]
        tensor([1., 2.])
    """

    Op = Computed(lambda self: VerticalStack(list(first_derivatives(self))))

    def __init__(
        self,
        dims: Dims,
        sampling: float | Sequence[float] = 1.0,
        edge: bool = False,
        kind: Literal["forward", "centered", "backward"] = "centered",
        dtype: DType = "float64",
        name: str = "G",
    ) -> None:
        dims = as_dims(dims)
        super().__init__(dims, (len(dims), *dims), dtype=dtype, name=name)
        self.sampling, self.edge, self.kind = per_axis(sampling, len(dims), "Gradient: sampling"), edge, kind
        self.axes = tuple(range(-len(dims), 0))
        self._stencils = tuple(
            first_derivative(n, step, kind, edge, 3, "Gradient") for n, step in zip(dims, self.sampling, strict=True)
        )

    def _forward(self, x: Tensor) -> Tensor:
        parts = [stencil.apply(x, axis) for stencil, axis in zip(self._stencils, self.axes, strict=True)]
        return torch.stack(parts, self.axes[0] - 1)

    def _adjoint(self, y: Tensor) -> Tensor:
        return sum_of_stencils(y.unbind(self.axes[0] - 1), self._stencils, self.axes, adjoint=True)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        stacked = self.axes[0] - 1
        if adjoint:
            return sum_of_array_stencils(np.moveaxis(x, stacked, 0), self._stencils, self.axes, adjoint)
        y = np.empty((*x.shape[: x.ndim - len(self.dims)], *self.dimsd), x.dtype)
        for part, stencil, axis in zip(np.moveaxis(y, stacked, 0), self._stencils, self.axes, strict=True):
            part[...] = stencil.of_array(x, axis)
        return y

    def _fast_forward(self, x: Tensor) -> Tensor:
        x = x.contiguous()
        leading = self.axes[0]
        y = empty((*x.shape[:leading], *self.dimsd), x.dtype)
        source = from_axis(x, leading)
        targets = from_axis(y, leading - 1).unbind(1)
        for slab in slabs(source):
            for stencil, axis, target in zip(self._stencils, self.axes, targets, strict=True):
                stencil.write_slab(source, slab, target[slab], axis)
                if stencil.scale != 1:
                    target[slab].mul_(stencil.scale)
        return y

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        y = y.contiguous()
        leading = self.axes[0]
        x = empty((*y.shape[: leading - 1], *self.dims), y.dtype)
        inputs = from_axis(y, leading - 1).unbind(1)
        write_sum_of_stencils(inputs, self._stencils, self.axes, from_axis(x, leading), adjoint=True)
        return x

    def extra_repr(self) -> str:
        return f"sampling={self.sampling}, kind={self.kind!r}, edge={self.edge}"
