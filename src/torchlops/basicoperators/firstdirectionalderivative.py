"""First derivative along a direction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import view_of
from torchlops.arrays import Array, DType, conjugate
from torchlops.attributes import Computed
from torchlops.basicoperators._stencils import (
    from_axis,
    leads,
    scratch_for,
    slabs,
    sum_of_array_stencils,
    sum_of_stencils,
    write_sum_of_stencils,
)
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.basicoperators.diagonal import Diagonal
from torchlops.basicoperators.firstderivative import first_derivative, first_derivatives
from torchlops.linearoperator import LinearOperator, added
from torchlops.memory import empty
from torchlops.shapes import PER_SAMPLE, Dims, as_dims, per_axis


class FirstDirectionalDerivative(AccumulatingOperator):
    r"""First derivative along one direction, or along one direction per sample.

    Each :math:`\partial_a` is a :class:`FirstDerivative`. The operator is differentiable with respect to :math:`v`.

    Forward:
        .. math:: y = \sum_a v_a \, \partial_a x

    Adjoint:
        .. math:: A^H y = \sum_a \partial_a^H (\bar v_a y)

    Args:
        dims: Shape of the model, with ``d`` axes.
        v: The direction: a vector ``(d,)`` for all samples, or a field ``(d, *dims)``, usually of unit length. It is
            not normalized.
        sampling: Sampling step of each axis, or one step for all axes.
        edge: Whether the centered kind is also computed at the ends (the other kinds ignore it).
        kind: ``"forward"``, ``"centered"`` or ``"backward"``.
        dtype: Nominal dtype of the operator, and dtype of ``v`` if it is a list.
        name: A name for error messages.

    Raises:
        ValueError: If ``v`` has the wrong shape, or for the reasons given in :class:`Gradient`.

    Example:
        >>> x, y = torch.meshgrid(torch.arange(3.0), torch.arange(3.0), indexing="ij")
        >>> A = FirstDirectionalDerivative((3, 3), torch.tensor([0.6, 0.8]), edge=True)
        >>> A(x + 2 * y)[0]
        tensor([2.2000, 2.2000, 2.2000])
    """

    Op = Computed(lambda self: added(*_weighted_derivatives(self)))

    v: Tensor

    def __init__(
        self,
        dims: Dims,
        v: Array,
        sampling: float | Sequence[float] = 1.0,
        edge: bool = False,
        kind: Literal["forward", "centered", "backward"] = "centered",
        dtype: DType = "float64",
        name: str = "F",
    ) -> None:
        dims = as_dims(dims)
        super().__init__(dims, dtype=dtype, name=name)
        self.sampling = per_axis(sampling, len(dims), "FirstDirectionalDerivative: sampling")
        self.edge, self.kind = edge, kind
        self.axes = tuple(range(-len(dims), 0))
        shape = tuple(self._register("v", v, dtype).shape)
        if shape not in ((len(dims),), (len(dims), *dims)):
            raise ValueError(
                f"FirstDirectionalDerivative: v must have shape ({len(dims)},) or {(len(dims), *dims)}, got {shape}. "
                f"{PER_SAMPLE}"
            )
        self._stencils = tuple(
            first_derivative(n, step, kind, edge, 3, "FirstDirectionalDerivative")
            for n, step in zip(dims, self.sampling, strict=True)
        )

    def _directions(self, v: Tensor) -> tuple[Tensor, ...]:
        # A vector gets the axes of the model, so that it takes part in type promotion as a field does.
        return v.unbind() if v.ndim > 1 else v.reshape((len(self.dims), *(1,) * len(self.dims))).unbind()

    def _forward(self, x: Tensor) -> Tensor:
        directions = self._directions(self.v)
        y = self._stencils[0].apply(x, self.axes[0]) * directions[0]
        for stencil, axis, v in zip(self._stencils[1:], self.axes[1:], directions[1:], strict=True):
            y = y + stencil.apply(x, axis) * v
        return y

    def _adjoint(self, y: Tensor) -> Tensor:
        inputs = [y * v for v in self._directions(conjugate(self.v))]
        return sum_of_stencils(inputs, self._stencils, self.axes, adjoint=True)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        v = view_of(self, "v")
        v = v if v.ndim > 1 else v.reshape((len(self.dims), *(1,) * len(self.dims)))
        if adjoint:
            return sum_of_array_stencils((x * weight for weight in v.conj()), self._stencils, self.axes, adjoint)
        y: NDArray[Any] = self._stencils[0].of_array(x, self.axes[0]) * v[0]
        for stencil, axis, weight in zip(self._stencils[1:], self.axes[1:], v[1:], strict=True):
            y += stencil.of_array(x, axis) * weight
        return y

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return self.v.dtype == x.dtype  # in-place kernels do not promote

    def _fast_forward(self, x: Tensor) -> Tensor:
        x = x.contiguous()
        y = empty(x.shape, x.dtype)
        leading = self.axes[0]
        source, target = from_axis(x, leading), from_axis(y, leading)
        scratch = scratch_for(target)
        for slab in slabs(target):
            total = target[slab]
            term = scratch[: total.shape[0], : total.shape[1]]
            for stencil, axis, v in zip(self._stencils, self.axes, self._directions(self.v), strict=True):
                weight = v[slab[1]] if self.v.ndim > 1 else v
                stencil.write_slab(source, slab, term, axis)
                if axis == leading:
                    torch.mul(term, weight, out=total).mul_(stencil.scale)
                else:
                    total.addcmul_(term, weight, value=stencil.scale)
        return y

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        y = y.contiguous()
        x = empty(y.shape, y.dtype)
        leading = self.axes[0]
        source, target = from_axis(y, leading), from_axis(x, leading)
        directions = self._directions(conjugate(self.v))
        for lead in leads(target):
            inputs = [source[lead] * v for v in directions]
            write_sum_of_stencils(inputs, self._stencils, self.axes, target[lead], adjoint=True)
        return x

    def extra_repr(self) -> str:
        return f"sampling={self.sampling}, kind={self.kind!r}, edge={self.edge}"


def _weighted_derivatives(derivative: FirstDirectionalDerivative) -> Iterator[LinearOperator]:
    for along, v in zip(first_derivatives(derivative), derivative.v.unbind(), strict=True):
        yield Diagonal(v.expand(derivative.dims)) @ along
