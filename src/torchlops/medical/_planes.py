"""Sums of bilinear interpolations in a stack of planes: what a ray meets of a volume, what views hold of a voxel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchlops.basicoperators._taps import CHUNK, TapOperator

AXES = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
"""The axes of a volume in the order plane, row, column, for each axis along which it can be cut."""


@dataclass(frozen=True)
class Crossings:
    """Where some samples of the data cross the planes of a stack.

    Attributes:
        axis: The axis of the volume along which the planes are stacked.
        samples: Which of the data samples they are, counted from the first of a chunk; None for all of the chunk.
        grid: Positions ``(planes, samples, 1, 2)`` in columns and rows, as :func:`scale` has them.
        weight: Weights, ``(samples,)`` or ``(planes, samples)``.
    """

    axis: int
    samples: Tensor | None
    grid: Tensor
    weight: Tensor


def scale(size: int) -> tuple[float, float]:
    """Return the factor and the shift from positions on an axis to those of ``grid_sample``.

    These are -1 and 1 at the outer edges of the first and the last sample.
    """
    return 2 / size, 1 / size - 1


class PlaneOperator(TapOperator):
    """Sums over planes, in each of which a data sample is interpolated between four samples, with zeros around.

    Subclasses define ``_taps`` and, for kernels without derivatives and without tables, ``_crossings``.
    """

    def _crossings(self, start: int, count: int, like: Tensor) -> Iterator[Crossings]:
        """Yield where ``count`` samples of the data, beginning with ``start``, cross planes, in the dtype of ``like``.

        Each sample is in one of them.
        """
        raise NotImplementedError

    def _keeps_matrix(self, x: Tensor) -> bool:  # noqa: ARG002
        return False  # interpolation takes less time than reading the weights of a matrix

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:
        given, wanted = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        batch = x.shape[: x.ndim - len(given)]
        with torch.no_grad():
            parts = torch.view_as_real(x.resolve_conj()).movedim(-1, 0) if x.is_complex() else x.unsqueeze(0)
            items = parts.reshape((len(parts) * math.prod(batch), *given))
            y = self._spread(items) if adjoint else self._sum(items)
            y = y.reshape((len(parts), *batch, *wanted))
            return torch.complex(y[0], y[1]) if x.is_complex() else y.squeeze(0)

    def _volume(self) -> tuple[int, ...]:
        """The shape of the volume that is cut into planes: the model with three axes."""
        return (*self.dims[:-1], *(1,) * (3 - len(self.dims)), self.dims[-1])

    def _pieces(self, items: int) -> Iterator[tuple[int, int]]:
        """Return ranges of data samples: each adds as many samples as a model has, which one pass over it is worth."""
        rows = self.shape[0]
        most = max(1, max(CHUNK, items * self.shape[1]) // (max(self._volume()) * max(1, items)))
        return ((start, min(most, rows - start)) for start in range(0, rows, most))

    def _sum(self, x: Tensor) -> Tensor:
        """Return the data ``(items, rows)`` of models ``(items, *dims)``."""
        items = len(x)
        x, y = x.reshape((items, *self._volume())), x.new_empty((items, self.shape[0]))
        stacks: dict[int, Tensor] = {}
        for start, count in self._pieces(items):
            part = y.narrow(1, start, count)
            for crossings in self._crossings(start, count, x):
                if crossings.axis not in stacks:
                    stacks[crossings.axis] = _cut(x, crossings.axis)
                planes = stacks[crossings.axis]
                taken = torch.nn.functional.grid_sample(planes, crossings.grid, align_corners=False)
                found = _summed(taken.squeeze(-1), crossings.weight)
                if crossings.samples is None:
                    part.copy_(found)
                else:
                    part.index_copy_(1, crossings.samples, found)
        return y

    def _spread(self, y: Tensor) -> Tensor:
        """Return the models ``(items, *volume)`` of data ``(items, *dimsd)``."""
        items, volume = len(y), self._volume()
        y, stacks = y.reshape(items, self.shape[0]), {}
        for start, count in self._pieces(items):
            part = y.narrow(1, start, count)
            for crossings in self._crossings(start, count, y):
                axis = crossings.axis
                if axis not in stacks:
                    stacks[axis] = y.new_zeros([volume[k] if k >= 0 else items for k in _order(axis)])
                some = part if crossings.samples is None else part.index_select(1, crossings.samples)
                planes = stacks[axis]
                shares = (some * crossings.weight.unsqueeze(-2)).expand(len(planes), *some.shape).unsqueeze(-1)
                planes += _grid_sample_adjoint(shares, planes, crossings.grid)
        x = y.new_zeros((items, *volume))
        for axis, planes in stacks.items():
            x += _joined(planes, axis)
        return x


def _order(axis: int) -> tuple[int, int, int, int]:
    """The axes of a stack of planes: plane, item (-1), row, column."""
    plane, row, column = AXES[axis]
    return plane, -1, row, column


def _cut(x: Tensor, axis: int) -> Tensor:
    """Return the planes ``(planes, items, rows, columns)`` of volumes ``(items, z, y, x)``."""
    return x.permute([k + 1 for k in _order(axis)]).contiguous()


def _joined(planes: Tensor, axis: int) -> Tensor:
    """Return the volumes ``(items, z, y, x)`` of planes."""
    order = _order(axis)
    return planes.permute([order.index(k) for k in (-1, 0, 1, 2)])


def _summed(taken: Tensor, weight: Tensor) -> Tensor:
    """Return weighted sums over the planes of interpolated samples, ``(planes, items, samples)``."""
    if weight.ndim == 1:
        return taken.sum(0) * weight
    return taken.mul_(weight.unsqueeze(1)).sum(0)


def _grid_sample_adjoint(y: Tensor, planes: Tensor, grid: Tensor) -> Tensor:
    """Return planes with what their samples gave, in the shape of ``planes``, whose values are not used."""
    spread = torch.ops.aten.grid_sampler_2d_backward
    result: Tensor = spread(y, planes, grid, 0, 0, False, [True, False])[0]  # bilinear, with zeros around
    return result


def taps_around(
    positions: Sequence[Tensor],
    weight: Tensor,
    first: Tensor,
    strides: Sequence[Tensor | int],
    sizes: Sequence[Tensor | int],
) -> tuple[Tensor, Tensor]:
    """Return indices and weights of the samples around each position in a plane, or on a line.

    Args:
        positions: Positions along each axis, in samples, ``(count, planes)``.
        weight: Weights, zero where there is no plane.
        first: Index of the first sample of each plane.
        strides: Strides of the axes, as numbers or ``(count, 1)``.
        sizes: Numbers of samples along the axes.

    Returns:
        Two tensors ``(count, taps * planes)``, with two taps for each axis.
    """
    indices, weights = [], []
    below = [position.detach().floor() for position in positions]
    parts = [position - whole for position, whole in zip(positions, below, strict=True)]
    for steps in itertools.product((0, 1), repeat=len(positions)):
        index, share = first, weight
        for whole, part, step, stride, size in zip(below, parts, steps, strides, sizes, strict=True):
            place = whole + step
            is_outside = (place < 0) | (place >= size)
            share = torch.where(is_outside, 0, share * (part if step else 1 - part))  # NaN stays
            index = index + torch.where(is_outside | place.isnan(), 0, place).to(torch.int64) * stride
        indices.append(index)
        weights.append(share)
    return torch.cat(indices, -1), torch.cat(weights, -1)
