"""Sums of shifted and weighted samples along one axis: finite differences and their relatives.

A stencil is a list of bands, and its adjoint is one too, so that both run through the same two kernels:
one that is differentiable, and one that writes in place and works on slabs that stay in the cache.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchlops.arrays import DType
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import as_trailing_axis

SLAB_BYTES = 2**20
"""Size of the part of the input that a fast kernel takes at a time; its passes then run in the cache."""


class Band(NamedTuple):
    """``y[start:stop] += weight * x[start + offset : stop + offset]``."""

    start: int
    stop: int
    offset: int
    weight: float

    def transposed(self) -> Band:
        """Return the band of the adjoint."""
        return Band(self.start + self.offset, self.stop + self.offset, -self.offset, self.weight)


class Block(NamedTuple):
    """``y[i] = factor * (x[i + first] + sum_k ratio_k x[i + offset_k])`` for ``start <= i < stop``.

    The differences are taken before the factor is applied, so that a constant has a derivative of exactly 0.
    ``first`` is None where ``y`` is zero.
    """

    start: int
    stop: int
    first: int | None
    rest: tuple[tuple[int, float], ...]
    factor: float


class Stencil:
    """The map ``y = scale * sum(bands)`` from ``size`` samples to ``out_size`` (``size`` by default).

    The methods that are called ``unscaled`` leave ``scale`` out, for those who can apply it in passing.
    """

    def __init__(self, bands: Sequence[Band], size: int, scale: float = 1.0, out_size: int | None = None) -> None:
        bands = [band for band in bands if band.start < band.stop]
        self.scale = scale
        self.sizes = (size, size if out_size is None else out_size)
        self.forward_blocks = _as_blocks(bands, self.sizes[1])
        self.adjoint_blocks = _as_blocks([band.transposed() for band in bands], self.sizes[0])

    def apply(self, x: Tensor, axis: int, adjoint: bool = False) -> Tensor:
        """Return the stencil (or its adjoint) of ``x`` along ``axis``, which counts from the end."""
        y = self.unscaled(x, axis, adjoint)
        return y if self.scale == 1 else y * self.scale

    def unscaled(self, x: Tensor, axis: int, adjoint: bool = False) -> Tensor:
        """Return the same without ``scale``."""
        pieces = []
        is_zero = True
        for start, stop, first, rest, factor in self.adjoint_blocks if adjoint else self.forward_blocks:
            size = stop - start
            if first is None:
                shape = list(x.shape)
                shape[axis] = size
                pieces.append(x.new_zeros(shape))
                continue
            is_zero = False
            piece = x.narrow(axis, start + first, size)
            for offset, ratio in rest:
                piece = torch.add(piece, x.narrow(axis, start + offset, size), alpha=ratio)
            pieces.append(piece if factor == 1 else piece * factor)
        if is_zero:  # an empty part of the input ties the zeros to it: it then has a derivative, of zero
            pieces.append(x.narrow(axis, 0, 0))
        return torch.cat(pieces, axis)

    def fast(self, x: Tensor, axis: int, adjoint: bool = False) -> Tensor:
        """Return what ``apply`` returns, by the kernel that writes in place."""
        x = x.contiguous()
        shape = list(x.shape)
        shape[axis] = self.sizes[0 if adjoint else 1]
        y = x.new_empty(shape)
        source, target = from_axis(x, axis), from_axis(y, axis)
        for lead, rows in slabs(target):
            part = cut(target, lead, rows)
            self.write_unscaled(cut(source, lead), part, axis, adjoint, rows.start)
            if self.scale != 1:
                part.mul_(self.scale)
        return y

    def write_unscaled(self, x: Tensor, out: Tensor, axis: int, adjoint: bool = False, start: int = 0) -> None:
        """Write the samples of the output from ``start`` on, without ``scale``, into ``out``."""
        stop = start + out.shape[axis]
        for block in self.adjoint_blocks if adjoint else self.forward_blocks:
            begin, end = max(block.start, start), min(block.stop, stop)
            if begin >= end:
                continue
            part = out.narrow(axis, begin - start, end - begin)
            if block.first is None:
                part.zero_()
                continue
            terms = [x.narrow(axis, begin + offset, end - begin) for offset, _ in block.rest]
            first = x.narrow(axis, begin + block.first, end - begin)
            if not terms:
                torch.mul(first, block.factor, out=part)
                continue
            torch.add(first, terms[0], alpha=block.rest[0][1], out=part)
            for term, (_, ratio) in zip(terms[1:], block.rest[1:], strict=True):
                part.add_(term, alpha=ratio)
            if block.factor != 1:
                part.mul_(block.factor)


def _as_blocks(bands: Sequence[Band], size: int) -> tuple[Block, ...]:
    """Return disjoint blocks that cover ``size`` samples, each with one list of taps."""
    breaks = sorted({0, size, *(end for band in bands for end in (band.start, band.stop))})
    runs: list[tuple[int, int, dict[int, float]]] = []
    for start, stop in itertools.pairwise(breaks):
        weights: dict[int, float] = {}
        for band in bands:
            if band.start <= start and stop <= band.stop:
                weights[band.offset] = weights.get(band.offset, 0.0) + band.weight
        weights = {offset: weight for offset, weight in weights.items() if weight}
        if runs and runs[-1][2] == weights:
            runs[-1] = (runs[-1][0], stop, weights)
        else:
            runs.append((start, stop, weights))
    return tuple(_as_block(*run) for run in runs)


def _as_block(start: int, stop: int, weights: dict[int, float]) -> Block:
    if not weights:
        return Block(start, stop, None, (), 0.0)
    # Weights of one size stand together, so that those of opposite sign cancel exactly on a constant.
    (first, factor), *rest = sorted(weights.items(), key=lambda tap: (abs(tap[1]), tap[1] < 0, tap[0]))
    return Block(start, stop, first, tuple((offset, weight / factor) for offset, weight in rest), factor)


def sum_of_stencils(
    inputs: Sequence[Tensor], stencils: Sequence[Stencil], axes: Sequence[int], adjoint: bool = False
) -> Tensor:
    """Return ``sum_k S_k x_k``, each stencil along its own axis of its own input; differentiable."""
    y = stencils[0].apply(inputs[0], axes[0], adjoint)
    for x, stencil, axis in zip(inputs[1:], stencils[1:], axes[1:], strict=True):
        y = torch.add(y, stencil.unscaled(x, axis, adjoint), alpha=stencil.scale)
    return y


def write_sum_of_stencils(
    inputs: Sequence[Tensor], stencils: Sequence[Stencil], axes: Sequence[int], out: Tensor, adjoint: bool = False
) -> None:
    """Write ``sum_k S_k x_k`` into ``out``. Axis 1 of all tensors is the first of ``axes`` that leads."""
    leading = 1 - out.ndim
    scratch = None
    for lead, rows in slabs(out):
        total = cut(out, lead, rows)
        for number, (x, stencil, axis) in enumerate(zip(inputs, stencils, axes, strict=True)):
            if number and scratch is None:
                scratch = torch.empty_like(total, memory_format=torch.contiguous_format)
            part = cut(scratch, slice(len_of(lead)), slice(len_of(rows))) if number and scratch is not None else total
            if axis == leading:
                stencil.write_unscaled(cut(x, lead), part, axis, adjoint, rows.start)
            else:
                stencil.write_unscaled(cut(x, lead, rows), part, axis, adjoint)
            if number:
                total.add_(part, alpha=stencil.scale)
            elif stencil.scale != 1:
                total.mul_(stencil.scale)


def from_axis(x: Tensor, axis: int) -> Tensor:
    """Return a view of contiguous ``x`` with all axes before ``axis`` as one."""
    kept = x.shape[axis:]
    return x.view(math.prod(x.shape[:axis]), *kept)


def slabs(x: Tensor, least: int = 1) -> Iterator[tuple[slice, slice]]:
    """Split ``x`` into slabs that fit the cache: slices of its first two axes, of at least ``least`` rows."""
    lead, rows = x.shape[:2]
    limit = SLAB_BYTES // x.element_size()
    row = math.prod(x.shape[2:])
    leads = max(1, limit // max(1, rows * row))
    step = rows if rows * row <= limit else min(rows, max(least, limit // row, 1))
    for start in range(0, lead, leads):
        for first in range(0, rows, step):
            yield slice(start, min(lead, start + leads)), slice(first, min(rows, first + step))


def cut(x: Tensor, lead: slice, rows: slice | None = None) -> Tensor:
    """Return a slab of ``x``."""
    return x[lead] if rows is None else x[lead, rows]


def len_of(part: slice) -> int:
    """Return the length of a slice with both ends given (or of one that starts at zero)."""
    length: int = part.stop - (part.start or 0)
    return length


class StencilOperator(LinearOperator):
    """An operator that is one stencil along one axis. Subclasses say which, by :meth:`_make_stencil`."""

    def __init__(self, dims: Any, axis: int, dtype: DType, name: str | None) -> None:
        super().__init__(dims, dtype=dtype, name=name)
        self.axis = as_trailing_axis(axis, self.dims)

    _stencil: Stencil

    def _forward(self, x: Tensor) -> Tensor:
        return self._stencil.apply(x, self.axis)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._stencil.apply(y, self.axis, adjoint=True)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._stencil.fast(x, self.axis)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._stencil.fast(y, self.axis, adjoint=True)


def as_number(value: Any, what: str) -> float:
    """Return ``value`` as a Python float. A tensor is refused: its gradient would be lost."""
    if isinstance(value, Tensor):
        raise TypeError(
            f"{what} must be a number, got a tensor: give float({what.rpartition(' ')[2]}). For one that learns, "
            "scale the operator by a tensor, as in `factor * A`."
        )
    try:
        return float(value)
    except TypeError:
        raise TypeError(f"{what} must be a number, got {value!r}") from None


def as_step(value: Any, what: str) -> float:
    """Return a sampling step as a Python float other than zero."""
    step = as_number(value, what)
    if step == 0:
        raise ValueError(f"{what} must be a step other than 0")
    return step


def as_odd(length: Any, what: str) -> int:
    """Return the length of a window, made odd by adding 1 where it is even, as in PyLops."""
    try:
        length = operator.index(length)
    except TypeError:
        raise TypeError(f"{what} must be a whole number, got {length!r}") from None
    if length < 1:
        raise ValueError(f"{what} must be 1 or more, got {length}")
    return length + 1 - length % 2
