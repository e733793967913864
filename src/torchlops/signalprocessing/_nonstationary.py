r"""Convolution with filters that vary from sample to sample.

The filters are given on a coarse regular grid of samples and interpolated linearly along each axis in between; outside
of the grid, the nearest filter is used. With ``h_i`` the interpolated filter at sample ``i``, ``c`` its middle tap, and
``x`` zero outside,

.. math::

    y_j = \sum_i h_i[j - i + c] \, x_i, \qquad (A^H y)_i = \sum_j \overline{h_i[j - i + c]} \, y_j

Both are a sum over the taps ``k`` of a filter, where each term is a shifted product over the whole grid and batch:
:math:`y_j = \sum_k (x \, h[k])_{j + c - k}` and :math:`x_i = \sum_k \overline{h_i[k]} \, y_{i + k - c}`. In both,
the sample read from the signal, padded with ``c`` zeros on both sides, is ``j`` plus an offset, ``2 c - k`` or ``k``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import Array, DType, as_tensor, conjugate, real_dtype
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.memory import BLOCK, empty
from torchlops.shapes import PER_SAMPLE, Dims, as_dims
from torchlops.signalprocessing._convolution import window

_FILTERS = 32  # number of filters that are interpolated by one product with a small matrix


class NonStationary(AccumulatingOperator):
    """Common base of nonstationary convolutions and of the estimation of their filters.

    The kernels take signals with a grid of two or three trailing axes (one-dimensional signals get a first axis of one
    sample), and filters ``(*batch, *counts, *hshape)``.

    Args:
        dims: Shape of the model.
        dimsd: Shape of the data.
        grid: Shape of the grid.
        indices: First index, step and number of the given filters along each axis of the grid.
        hshape: Shape of a filter.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
    """

    def __init__(
        self,
        dims: Dims,
        dimsd: Dims,
        grid: Sequence[int],
        indices: Sequence[tuple[int, int, int]],
        hshape: Sequence[int],
        dtype: DType,
        name: str,
    ) -> None:
        super().__init__(dims, dimsd, dtype=dtype, name=name)
        self._grid = tuple(grid)
        self._indices = tuple(indices)
        self._taps = tuple(hshape)
        self._work = math.prod(hshape)
        self._margins = tuple(length // 2 for length in hshape)

    def _ends(self) -> tuple[int, ...]:
        """Return the index of the last given filter along each axis."""
        return tuple(first + step * (number - 1) for first, step, number in self._indices)

    # -- interpolation -------------------------------------------------------------------------------------------

    def _weights(self, axis: int, start: int, count: int, like: Tensor) -> tuple[int, Tensor]:
        """Return the index of the first filter needed at some samples, and the weights of this and the next filters.

        Args:
            axis: Axis of the grid.
            start: First sample. It may be in the margin before the grid, where weights are zero.
            count: Number of samples.
            like: Filters, which define the dtype and device.
        """
        first, step, number = self._indices[axis]
        low = max(start, 0)
        high = max(min(start + count, self._grid[axis]), low)
        lowest = min(max((low - first) // step, 0), number - 1)
        highest = min(max(-((first + 1 - high) // step), lowest), number - 1)
        position = torch.arange(low, high, device=like.device).clamp(first, first + step * (number - 1)) - first
        known = torch.arange(lowest, highest + 1, device=like.device) * step
        distance = (step - (position[:, None] - known).abs()).clamp(min=0)  # integers, exact in every dtype
        dtype = real_dtype(like.dtype)
        weights = (distance.to(torch.promote_types(dtype, torch.float32)) / step).to(dtype)
        return lowest, window(weights, 0, start - low, count).to(like.dtype)

    def _pieces(self, axis: int, start: int, count: int, like: Tensor) -> list[tuple[int, Tensor]]:
        """Return the weights of all samples of an axis, in pieces of a few filters each."""
        length = _FILTERS * self._indices[axis][1]
        pieces = range(start, start + count, length)
        return [self._weights(axis, i, min(length, start + count - i), like) for i in pieces]

    def _taps_at(
        self, hs: Tensor, adjoint: bool, start: int = 0, count: int | None = None
    ) -> Iterator[tuple[tuple[int, ...], Tensor]]:
        """Yield the offsets of each tap, and its values ``(*batch, count, *grid[1:])``.

        Args:
            hs: The filters.
            adjoint: Whether the taps are those of the adjoint.
            start: First sample of the output along the first axis of the grid.
            count: Number of samples along that axis. Defaults to all samples.
        """
        hs = conjugate(hs) if adjoint else hs
        ndim = len(self._grid)
        count = self._grid[0] if count is None else count
        outside = (0,) * ndim if adjoint else self._margins
        rows = count + 2 * outside[0]
        first, weights = self._weights(0, start - outside[0], rows, hs)
        others = [
            self._pieces(axis, -outside[axis], self._grid[axis] + 2 * outside[axis], hs) for axis in range(1, ndim)
        ]
        hs = hs.narrow(-2 * ndim, first, weights.shape[1])
        for tap in range(self._taps[0]):
            offset, at = self._offset(0, tap, adjoint)
            values = _contract(hs.select(-ndim, tap), 2 * ndim - 1, [(0, weights.narrow(0, at, count))])
            for pieces in others:
                values = _contract(values, 2 * ndim - 1, pieces)
            along = product(
                *([self._offset(axis, k, adjoint) for k in range(self._taps[axis])] for axis in range(1, ndim))
            )
            each = _merged(values, 1 - 2 * ndim, -ndim - 1).unbind(-ndim - 1)
            for value, places in zip(each, along, strict=True):
                for axis, (_, at) in enumerate(places, start=1):
                    value = value.narrow(axis - ndim, at, self._grid[axis])
                yield (offset, *(shift for shift, _ in places)), value

    def _offset(self, axis: int, tap: int, adjoint: bool) -> tuple[int, int]:
        """Return the offset of the samples used by a tap, in the padded signal and in the tap's own values."""
        return (tap, 0) if adjoint else (self._taps[axis] - 1 - tap,) * 2

    def _interpolated(self, hs: Tensor) -> Tensor:
        """Return the filters of all samples, ``(*grid, *hshape)``."""
        ndim = len(self._grid)
        for axis, size in enumerate(self._grid):
            hs = _contract(hs, 2 * ndim, self._pieces(axis, 0, size, hs))
        return hs.movedim(tuple(range(ndim)), tuple(range(-ndim, 0))).contiguous()

    # -- the kernels ---------------------------------------------------------------------------------------------

    def _convolve(self, x: Tensor, hs: Tensor, adjoint: bool) -> Tensor:
        """Return the convolution of ``x`` with ``hs``, or its adjoint. Either tensor may have batch axes."""
        dtype = torch.promote_types(x.dtype, hs.dtype)
        x, hs = self._padded(x.to(dtype)), hs.to(dtype)
        y = x.new_zeros(())
        for offsets, value in self._taps_at(hs, adjoint):
            y = torch.addcmul(y, self._samples(x, offsets, self._grid[0]), value)
        return y

    def _convolve_in_place(self, x: Tensor, hs: Tensor, adjoint: bool) -> Tensor:
        """Return what :meth:`_convolve` does, block by block in the cache, without autograd support."""
        dtype = torch.promote_types(x.dtype, hs.dtype)
        ndim = len(self._grid)
        signals, filters = x.shape[: x.ndim - ndim], hs.shape[: hs.ndim - 2 * ndim]
        batch = signals or filters
        padded = empty((math.prod(signals), *(size + 2 * margin for size, margin in self._sizes())), dtype).zero_()
        inside = padded
        for axis, (size, margin) in enumerate(self._sizes(), start=1):
            inside = inside.narrow(axis, margin, size)
        inside.copy_(x.reshape(math.prod(signals), *self._grid))
        hs = hs.to(dtype).reshape(math.prod(filters), *hs.shape[len(filters) :])
        y = empty((math.prod(batch), *self._grid), dtype)
        row = math.prod(self._grid[1:])
        if filters:  # the values for all samples and all taps along the last axes have to fit the cache
            row *= math.prod(self._taps[1:])
        rows = min(max(BLOCK // (row * (1 if filters else max(len(y), 1))), 1), self._grid[0])
        items = max(BLOCK // (rows * row), 1)
        for start in range(0, self._grid[0], rows):
            count = min(rows, self._grid[0] - start)
            for i in range(0, len(y), items):
                part = y.narrow(1, start, count)[i : i + items].zero_()
                signal = padded.narrow(1, start, count + 2 * self._margins[0])
                signal = signal[i : i + items] if signals else signal
                for offsets, value in self._taps_at(hs[i : i + items] if filters else hs, adjoint, start, count):
                    part.addcmul_(self._samples(signal, offsets, count), value)
        return y.reshape((*batch, *self._grid))

    def _correlate(self, y: Tensor, inp: Tensor) -> Tensor:
        """Return the adjoint of :meth:`_convolve` as a function of the filters, for grids of two axes.

        Args:
            y: Data ``(*batch, *grid)``.
            inp: The signal that was convolved.
        """
        dtype = torch.promote_types(y.dtype, inp.dtype)
        y, inp = self._padded(y.to(dtype)), conjugate(inp.to(dtype))
        first, weights = self._weights(0, 0, self._grid[0], y)
        weights = weights.mT.contiguous()
        pieces = self._pieces(1, 0, self._grid[1], y)
        rows = []
        for tap in range(self._taps[0]):
            spread = [self._samples(y, (tap, k), self._grid[0]) * inp for k in range(self._taps[1])]
            shared = torch.matmul(weights, torch.stack(spread, -3))
            rows.append(_contract_back(shared, pieces, self._indices[1][2]))
        filters = torch.stack(rows, -4)  # (*batch, *hshape, *counts)
        return window(filters, -2, -first, self._indices[0][2]).movedim((-2, -1), (-4, -3)).contiguous()

    def _sizes(self) -> Iterator[tuple[int, int]]:
        return zip(self._grid, self._margins, strict=True)

    def _padded(self, x: Tensor) -> Tensor:
        for axis, (size, margin) in zip(range(-len(self._grid), 0), self._sizes(), strict=True):
            x = window(x, axis, -margin, size + 2 * margin)
        return x

    def _samples(self, padded: Tensor, offsets: tuple[int, ...], rows: int) -> Tensor:
        """Return the samples of a padded signal that a tap uses."""
        sizes = (rows, *self._grid[1:])
        for axis, offset, size in zip(range(-len(sizes), 0), offsets, sizes, strict=True):
            padded = padded.narrow(axis, offset, size)
        return padded


class NonStationaryConvolution(NonStationary):
    """Nonstationary convolution on a grid of two or three axes.

    Args:
        dims: Shape of the model, which is the grid.
        hs: The filters ``(*counts, *hshape)``.
        indices: The samples where the filters are given, by the name of the argument for each axis.
        dtype: Nominal dtype of the operator, and dtype of ``hs`` if it is a list.
        name: A name for error messages.
    """

    hs: Tensor

    def __init__(self, dims: Dims, hs: Array, indices: dict[str, Sequence[int]], dtype: DType, name: str) -> None:
        operator = type(self).__name__
        grid = as_dims(dims)
        if len(grid) != len(indices):
            raise ValueError(f"{operator}: dims must have {len(indices)} axes, got {grid}")
        hs = as_tensor(hs, f"{operator}: hs", dtype)
        known = {
            key: regular_indices(indices[key], size, operator, key) for key, size in zip(indices, grid, strict=True)
        }
        hshape = check_filters(hs.shape, known, operator)
        super().__init__(grid, grid, grid, tuple(known.values()), hshape, dtype, name)
        self._register("hs", hs)
        self.hshape = hshape

    @property
    def hsinterp(self) -> Tensor:
        """The filters of all samples, ``(*dims, *hshape)``."""
        return self._interpolated(self.hs)

    def _forward(self, x: Tensor) -> Tensor:
        return self._convolve(x, self.hs, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._convolve(y, self.hs, True)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._convolve_in_place(x, self.hs, False)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._convolve_in_place(y, self.hs, True)

    def extra_repr(self) -> str:
        return filters_repr(self._indices, self.hshape)


def _merged(x: Tensor, first: int, last: int) -> Tensor:
    """Return ``x.flatten(first, last)`` by ``reshape``, because torch has no batching rule for flatten's view."""
    first, last = first % x.ndim, last % x.ndim
    return x.reshape((*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def _contract(values: Tensor, ndim: int, pieces: list[tuple[int, Tensor]]) -> Tensor:
    """Interpolate along axis ``-ndim``, and move that axis to the end."""
    axis = values.ndim - ndim
    parts = [
        torch.tensordot(values.narrow(axis, first, weights.shape[1]), weights, dims=([axis], [1]))
        for first, weights in pieces
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def _contract_back(values: Tensor, pieces: list[tuple[int, Tensor]], number: int) -> Tensor:
    """Apply the adjoint of the interpolation between ``number`` filters along the last axis."""
    samples = values.split_with_sizes([weights.shape[0] for _, weights in pieces], -1)
    parts = [
        window(torch.matmul(part, weights.mT.contiguous().mT), -1, -first, number)  # MKL is faster with this layout
        for part, (first, weights) in zip(samples, pieces, strict=True)
    ]
    return sum(parts[1:], start=parts[0])


def filters_repr(indices: Sequence[tuple[int, int, int]], hshape: Sequence[int]) -> str:
    """Return the representation of the filters of an operator.

    >>> filters_repr(((2, 5, 3),), (7,))
    '3 filters of 7, at 2:13:5'
    """
    counts = " x ".join(str(number) for _, _, number in indices)
    lengths = " x ".join(map(str, hshape))
    slices = ", ".join(f"{first}:{first + step * (number - 1) + 1}:{step}" for first, step, number in indices)
    return f"{counts} filters of {lengths}, at {slices}"


def regular_indices(indices: Sequence[Any], size: int, operator: str, name: str) -> tuple[int, int, int]:
    """Return the first index, the step and the number of regularly sampled indices.

    Raises:
        TypeError: If they are not integers.
        ValueError: If they are not regular, or out of range for an axis of ``size`` samples.

    >>> regular_indices((2, 5, 8), 10, "NonStationaryConvolve1D", "ih")
    (2, 3, 3)
    """
    values = [float(index) for index in indices]
    if any(value != int(value) for value in values):
        raise TypeError(f"{operator}: {name} must be integers, got {tuple(values)}")
    whole = [int(value) for value in values]
    steps = {after - before for before, after in pairwise(whole)} or {1}
    if not whole or len(steps) > 1 or min(steps) < 1:
        raise ValueError(f"{operator}: {name} must be regularly sampled, increasing indices, got {tuple(whole)}")
    if whole[0] < 0 or whole[-1] >= size:
        raise ValueError(
            f"{operator}: {name} must be between 0 and {size - 1}, because the axis has {size} samples, got {whole}"
        )
    return whole[0], steps.pop(), len(whole)


def check_filters(
    shape: Sequence[int], indices: dict[str, tuple[int, int, int]], operator: str, what: str = "hs"
) -> tuple[int, ...]:
    """Check the shape of all filters, and return the shape of one.

    Raises:
        ValueError: If the number of filters is not the number of indices, or filters have even lengths.
    """
    ndim = len(indices)
    if len(shape) != 2 * ndim:
        raise ValueError(
            f"{operator} takes filters {what} with {2 * ndim} axes, got shape {tuple(shape)}. {PER_SAMPLE}"
        )
    counts = tuple(number for _, _, number in indices.values())
    if tuple(shape[:ndim]) != counts:
        raise ValueError(
            f"{operator} takes one filter per index of {', '.join(indices)}, "
            f"so {what} of shape ({', '.join(map(str, counts))}, ...), got {tuple(shape)}"
        )
    hshape = tuple(shape[ndim:])
    if any(length % 2 == 0 for length in hshape):
        raise ValueError(f"{operator}: filters must have odd length, so that they have a middle tap, got {hshape}")
    return hshape
