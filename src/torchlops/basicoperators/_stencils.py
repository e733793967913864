"""Weighted sums of shifted samples along one axis, such as finite differences.

A stencil is a list of bands, and so is its adjoint. Both are computed by the same two kernels: a differentiable one,
and one that writes in place, slab by slab in the cache.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import DType, zeros_from
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.memory import empty
from torchlops.shapes import Dims, as_trailing_axis

Slab: TypeAlias = "tuple[slice, slice]"

SLAB_BYTES = 2**21
"""Size of the part of the input that a fast kernel processes at a time, so that its passes run in the cache."""


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
    r"""A matrix of operators.

    Forward:
        .. math:: y_i = \sum_j A_{ij} x_j

    Adjoint:
        .. math:: (A^H y)_j = \sum_i A_{ij}^H y_i
    """

    start: int
    stop: int
    first: int | None
    rest: tuple[tuple[int, float], ...]
    factor: float


class Stencil:
    """The map ``y = scale * sum(bands)`` of ``size`` samples.

    Methods named ``unscaled`` omit ``scale``, for callers that fuse it with another operation.
    """

    def __init__(self, bands: Sequence[Band], size: int, scale: float = 1.0) -> None:
        bands = [band for band in bands if band.start < band.stop]
        self.scale = scale
        self.forward_blocks = _as_blocks(bands, size)
        self.adjoint_blocks = _as_blocks([band.transposed() for band in bands], size)
        self._forward_trimmed = _without_zero_ends(self.forward_blocks)
        self._adjoint_trimmed = _without_zero_ends(self.adjoint_blocks)

    def apply(self, x: Tensor, axis: int, adjoint: bool = False) -> Tensor:
        """Apply the stencil or its adjoint along ``axis``, counted from the end; differentiable."""
        y = self.unscaled(x, axis, adjoint)
        return y if self.scale == 1 else y * self.scale

    def unscaled(self, x: Tensor, axis: int, adjoint: bool = False) -> Tensor:
        """Return the result of :meth:`apply` without ``scale``."""
        blocks, before, after = self._adjoint_trimmed if adjoint else self._forward_trimmed
        if not blocks:
            return zeros_from(x)
        if (before or after) and torch.compiler.is_compiling():
            # Eagerly, one pad replaces several calls. A compiler fuses a single cat of all blocks into one loop.
            blocks, before, after = self.adjoint_blocks if adjoint else self.forward_blocks, 0, 0
        pieces = [_block_of(x, axis, *block) for block in blocks]
        if not before and not after:
            return torch.cat(pieces, axis)
        y = pieces[0] if len(pieces) == 1 else torch.cat(pieces, axis)
        return torch.constant_pad_nd(y, (0, 0) * (-axis - 1) + (before, after))

    def fast(self, x: Tensor, axis: int, adjoint: bool = False) -> Tensor:
        """Return the result of :meth:`apply`, computed by the in-place kernel."""
        x = x.contiguous()
        y = empty(x.shape, x.dtype)
        source, target = from_axis(x, axis), from_axis(y, axis)
        for slab in slabs(target):
            part = target[slab]
            self.write_slab(source, slab, part, axis, adjoint)
            if self.scale != 1:
                part.mul_(self.scale)
        return y

    def of_array(self, x: NDArray[Any], axis: int, adjoint: bool = False) -> NDArray[Any]:
        """Return the result of :meth:`apply` for a small array."""
        y: NDArray[Any] = np.empty(x.shape, x.dtype)
        source, target = x.swapaxes(axis, -1), y.swapaxes(axis, -1)
        for start, stop, first, rest, factor in self.adjoint_blocks if adjoint else self.forward_blocks:
            part = target[..., start:stop]
            if first is None:
                part.fill(0)
                continue
            total = source[..., start + first : stop + first]
            for offset, ratio in rest:
                term = source[..., start + offset : stop + offset]
                if abs(ratio) != 1:
                    term = term * ratio
                total = (np.subtract if ratio == -1 else np.add)(total, term, out=part)
            np.multiply(total, factor * self.scale, out=part)
        return y

    def write_slab(self, x: Tensor, slab: Slab, out: Tensor, axis: int, adjoint: bool = False) -> None:
        """Write one slab of the output, without ``scale``, into ``out``; ``x`` is the whole input."""
        lead, rows = slab
        if axis == 1 - x.ndim:  # the stencil extends beyond the slab
            self.write_unscaled(x[lead], out, axis, adjoint, rows.start)
        else:
            self.write_unscaled(x[slab], out, axis, adjoint)

    def write_unscaled(self, x: Tensor, out: Tensor, axis: int, adjoint: bool = False, start: int = 0) -> None:
        """Write the output samples that begin at ``start``, without ``scale``, into ``out``."""
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


def zeros_along(x: Tensor, axis: int, size: int) -> Tensor:
    """Return zeros with the shape of ``x``, except for ``size`` samples along ``axis``."""
    shape = list(x.shape)
    shape[axis] = size
    return x.new_zeros(shape)


def _block_of(
    x: Tensor, axis: int, start: int, stop: int, first: int | None, rest: tuple[tuple[int, float], ...], factor: float
) -> Tensor:
    size = stop - start
    if first is None:
        return zeros_along(x, axis, size)
    y = x.narrow(axis, start + first, size)
    for offset, ratio in rest:
        term = x.narrow(axis, start + offset, size)
        y = y + term if ratio == 1 else y - term if ratio == -1 else torch.add(y, term, alpha=ratio)
    return y if factor == 1 else y * factor


def _without_zero_ends(blocks: tuple[Block, ...]) -> tuple[tuple[Block, ...], int, int]:
    """Return the blocks without the zero blocks at both ends, and the numbers of zeros removed before and after."""
    size, kept = blocks[-1].stop, blocks
    if kept[0].first is None:
        kept = kept[1:]
    if kept and kept[-1].first is None:
        kept = kept[:-1]
    return kept, (kept[0].start if kept else size), (size - kept[-1].stop if kept else 0)


def _as_blocks(bands: Sequence[Band], size: int) -> tuple[Block, ...]:
    """Return disjoint blocks that cover ``size`` samples, each with a single list of taps."""
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
    # Weights of equal magnitude are adjacent, so that opposite signs cancel exactly on a constant.
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


def sum_of_array_stencils(
    inputs: Iterable[NDArray[Any]], stencils: Sequence[Stencil], axes: Sequence[int], adjoint: bool = False
) -> NDArray[Any]:
    """Return the result of :func:`sum_of_stencils` for small arrays."""
    terms = (stencil.of_array(x, axis, adjoint) for x, stencil, axis in zip(inputs, stencils, axes, strict=True))
    total = next(terms)
    for term in terms:
        total += term
    return total


def write_sum_of_stencils(
    inputs: Sequence[Tensor], stencils: Sequence[Stencil], axes: Sequence[int], out: Tensor, adjoint: bool = False
) -> None:
    """Write ``sum_k S_k x_k`` into ``out``. All tensors have the form of :func:`from_axis` for the first axis."""
    scratch = scratch_for(out)
    for slab in slabs(out):
        total = out[slab]
        stencils[0].write_slab(inputs[0], slab, total, axes[0], adjoint)
        if stencils[0].scale != 1:
            total.mul_(stencils[0].scale)
        term = scratch[: total.shape[0], : total.shape[1]]
        for x, stencil, axis in zip(inputs[1:], stencils[1:], axes[1:], strict=True):
            stencil.write_slab(x, slab, term, axis, adjoint)
            total.add_(term, alpha=stencil.scale)


def from_axis(x: Tensor, axis: int) -> Tensor:
    """Return contiguous ``x`` with all axes before ``axis`` merged into one, as slabs require."""
    return x.view(math.prod(x.shape[:axis]), *x.shape[axis:])


def leads(x: Tensor) -> Iterator[slice]:
    """Split ``x`` along its first axis into parts of at least one item that fit the cache if possible."""
    step = _slab_sizes(x, 1)[0]
    for start in range(0, x.shape[0], step):
        yield slice(start, min(x.shape[0], start + step))


def slabs(x: Tensor, least: int = 1) -> Iterator[Slab]:
    """Split ``x`` along its first two axes into slabs that fit the cache, with at least ``least`` rows if possible."""
    rows, step = x.shape[1], _slab_sizes(x, least)[1]
    for lead in leads(x):
        for start in range(0, rows, step):
            yield lead, slice(start, min(rows, start + step))


def scratch_for(x: Tensor) -> Tensor:
    """Return uninitialized memory for one slab of ``x``."""
    lead, rows = _slab_sizes(x, 1)
    return x.new_empty((min(lead, x.shape[0]), rows, *x.shape[2:]))


def _slab_sizes(x: Tensor, least: int) -> tuple[int, int]:
    limit = SLAB_BYTES // x.element_size()
    rows, row = x.shape[1], math.prod(x.shape[2:])
    return max(1, limit // (rows * row)), min(rows, max(1, least, limit // row))


class StencilOperator(AccumulatingOperator):
    """An operator that applies one stencil along one axis. Subclasses set ``self._stencil``."""

    _stencil: Stencil

    def __init__(self, dims: Dims, axis: int, dtype: DType, name: str | None) -> None:
        super().__init__(dims, dtype=dtype, name=name)
        self.axis = as_trailing_axis(axis, self.dims)

    def _forward(self, x: Tensor) -> Tensor:
        return self._stencil.apply(x, self.axis)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._stencil.apply(y, self.axis, adjoint=True)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._stencil.fast(x, self.axis)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._stencil.fast(y, self.axis, adjoint=True)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        return self._stencil.of_array(x, self.axis, adjoint)


def as_number(value: Any, what: str) -> float:
    """Return ``value`` as a Python float. Tensors are rejected, because their gradients would be lost."""
    if isinstance(value, Tensor):
        raise TypeError(
            f"{what} must be a number, got a tensor: pass float({what.rpartition(' ')[2]}). For a factor that requires "
            "gradients, multiply the operator by a tensor, as in `factor * A`."
        )
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{what} must be a real number, got {value!r}") from None


def as_step(value: Any, what: str) -> float:
    """Return a sampling step as a nonzero Python float."""
    step = as_number(value, what)
    if step == 0:
        raise ValueError(f"{what} must not be 0")
    return step
