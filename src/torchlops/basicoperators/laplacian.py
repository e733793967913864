"""Laplacian."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import DType
from torchlops.attributes import Computed
from torchlops.basicoperators._stencils import (
    as_number,
    from_axis,
    sum_of_array_stencils,
    sum_of_stencils,
    write_sum_of_stencils,
)
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.basicoperators.secondderivative import SecondDerivative, second_derivative
from torchlops.linearoperator import LinearOperator, added
from torchlops.memory import empty
from torchlops.shapes import Dims, as_trailing_axes, per_axis


class Laplacian(AccumulatingOperator):
    r"""Weighted sum of the second derivatives along several axes.

    Each :math:`\partial_a^2` is a :class:`SecondDerivative`; all are computed in one pass.

    Forward:
        .. math:: y = \sum_a w_a \, \partial_a^2 x

    Adjoint:
        .. math:: A^H y = \sum_a w_a \, (\partial_a^2)^H y

    Args:
        dims: Shape of the model.
        axes: Axes along which to differentiate.
        weights: Real weight :math:`w_a` of each axis, or one weight for all axes.
        sampling: Sampling step of each axis, or one step for all axes.
        edge: Whether the centered kind is also computed at the ends (the other kinds ignore it).
        kind: ``"forward"``, ``"centered"`` or ``"backward"``.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``weights`` or ``sampling`` does not have one value per axis, or for the reasons given in
            :class:`SecondDerivative`.

    Example:
        >>> import torch
        >>> x, y = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
        >>> Laplacian((4, 4), edge=True)(x**2 + 3 * y**2)[0]
        tensor([8., 8., 8., 8.])
    """

    Op = Computed(lambda self: added(*_weighted_derivatives(self)))

    def __init__(
        self,
        dims: Dims,
        axes: Sequence[int] = (-2, -1),
        weights: float | Sequence[float] = (1.0, 1.0),
        sampling: float | Sequence[float] = (1.0, 1.0),
        edge: bool = False,
        kind: Literal["forward", "centered", "backward"] = "centered",
        dtype: DType = "float64",
        name: str = "L",
    ) -> None:
        super().__init__(dims, dtype=dtype, name=name)
        self.axes = as_trailing_axes(axes, self.dims)
        if not self.axes:
            raise ValueError(f"Laplacian takes at least one axis, got axes={axes!r}")
        self.weights = per_axis(weights, len(self.axes), "Laplacian: weights")
        self.sampling = per_axis(sampling, len(self.axes), "Laplacian: sampling")
        self.edge, self.kind = edge, kind
        self._stencils = tuple(
            second_derivative(self.dims[axis], step, kind, edge, "Laplacian", as_number(weight, "Laplacian: weights"))
            for axis, weight, step in zip(self.axes, self.weights, self.sampling, strict=True)
        )

    def _forward(self, x: Tensor) -> Tensor:
        return sum_of_stencils([x] * len(self.axes), self._stencils, self.axes)

    def _adjoint(self, y: Tensor) -> Tensor:
        return sum_of_stencils([y] * len(self.axes), self._stencils, self.axes, adjoint=True)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        return sum_of_array_stencils([x] * len(self.axes), self._stencils, self.axes, adjoint)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._fast(x, False)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._fast(y, True)

    def _fast(self, x: Tensor, adjoint: bool) -> Tensor:
        x = x.contiguous()
        y = empty(x.shape, x.dtype)
        leading = min(self.axes)
        inputs = [from_axis(x, leading)] * len(self.axes)
        write_sum_of_stencils(inputs, self._stencils, self.axes, from_axis(y, leading), adjoint)
        return y

    def extra_repr(self) -> str:
        return (
            f"axes={self.axes}, weights={self.weights}, sampling={self.sampling}, kind={self.kind!r}, edge={self.edge}"
        )


def _weighted_derivatives(laplacian: Laplacian) -> Iterator[LinearOperator]:
    for axis, step, weight in zip(laplacian.axes, laplacian.sampling, laplacian.weights, strict=True):
        yield weight * SecondDerivative(
            laplacian.dims, axis=axis, sampling=step, kind=laplacian.kind, edge=laplacian.edge, dtype=laplacian.dtype
        )
