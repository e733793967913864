"""Sums of image points into traces at their arrival times, and of traces into image points.

An image point ``i`` arrives in the trace of a pair ``p`` of a source and a receiver at a position (a time in samples),
which is the sum of a time of the source and one of the receiver, and is added to the two samples around it, with
linear weights. Tables are ``(positions, points)``, and a pair has a row in each table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import real_dtype
from torchlops.basicoperators._sparse import compressed_matrix

CHUNK = 1 << 18
"""Number of arrivals, times the models of a batch, that a kernel processes at a time: they stay in the cache."""

STEPS = 20
"""Number of steps of a taper."""

Take = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Arrivals:
    """The positions and weights of all arrivals, as what they are sums and products of.

    Attributes:
        nt: Number of samples of a trace.
        rows: For each table, the row of each pair.
        times: One table of times, in samples, or two that are added.
        weights: For each table of times, a table of factors; or none.
        directions: For each table of times, a table ``(axes, positions, points)`` of the unit vectors along rays,
            the last axis downwards; or none. The weight has the factor ``|s + r|``, twice the cosine of half the angle
            between both rays.
        ratios: The offset of each pair, the depth of each point, and the limits of the ratio of the two; or none.
    """

    nt: int
    rows: tuple[Tensor, ...]
    times: tuple[Tensor, ...]
    weights: tuple[Tensor, ...] = ()
    directions: tuple[Tensor, ...] = ()
    ratios: tuple[Tensor, Tensor, tuple[float, float]] | None = None

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return len(self.rows[0])

    @property
    def points(self) -> int:
        """Number of image points."""
        return self.times[0].shape[-1]

    @cached_property
    def are_positive(self) -> bool:
        """Whether all times are numbers that are not negative."""
        return all(bool((table >= 0).all()) for table in self.times)

    def of_points(self, start: int, count: int) -> Arrivals:
        """Return the arrivals of some image points."""
        if count == self.points:
            return self

        def cut(tables: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(table.narrow(-1, start, count) for table in tables)

        ratios = self.ratios
        if ratios is not None:
            ratios = ratios[0], ratios[1].narrow(-1, start, count), ratios[2]
        times, weights, directions = map(cut, (self.times, self.weights, self.directions))
        return replace(self, times=times, weights=weights, directions=directions, ratios=ratios)

    def of_pairs(self, start: int, count: int, take: Take) -> tuple[Tensor, Tensor | None]:
        """Return the positions and the weights, both ``(count, points)``, of some pairs."""
        rows = [row.narrow(0, start, count) for row in self.rows]
        position = _combined(self.times, rows, take, torch.add)
        weight = _combined(self.weights, rows, take, torch.mul) if self.weights else None
        if self.directions and weight is not None:
            square = position.new_zeros(())
            for axis in range(len(self.directions[0])):
                square = square + _combined([d[axis] for d in self.directions], rows, take, torch.add) ** 2
            weight = weight * safe_sqrt(square)
        if self.ratios is not None:
            offsets, depths, limits = self.ratios
            offset = offsets.narrow(0, start, count).unsqueeze(-1)
            ratio = torch.where(offset == 0, 0, offset / depths.abs())
            tapered = taper(ratio, limits)
            weight = tapered if weight is None else weight * tapered
        return position, weight

    def chunks(self, models: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield ranges of points and of pairs, as start, count, start, count, for a number of models at a time."""
        some_points = max(1, min(self.points, CHUNK // max(1, models)))
        some_pairs = max(1, CHUNK // (some_points * max(1, models)))
        for point in range(0, self.points, some_points):
            for pair in range(0, self.pairs, some_pairs):
                yield point, min(some_points, self.points - point), pair, min(some_pairs, self.pairs - pair)


def taper(value: Tensor, limits: tuple[float, float]) -> Tensor:
    """Return a taper of non-negative values: 1 below the first limit, 0 from the second on, 20 steps between.

    The steps are those of PyLops, a Hanning ramp. So the taper has no derivative.
    """
    low, high = limits
    step = (STEPS * (value.detach() - low)).floor_divide((high - low) or 1.0)  # rounded as in PyLops
    ramp = 0.5 - 0.5 * torch.cos((STEPS - step).clamp(0, STEPS - 1) * (math.pi / (STEPS - 1)))
    return torch.where(value.detach() < high, ramp, 0)


def safe_sqrt(square: Tensor) -> Tensor:
    """Return the square root, with a derivative of zero at zero."""
    is_positive = square > 0
    return torch.where(is_positive, torch.where(is_positive, square, 1).sqrt(), square.detach())


def _combined(
    tables: tuple[Tensor, ...] | list[Tensor], rows: list[Tensor], take: Take, join: Callable[..., Tensor]
) -> Tensor:
    found = [take(table, row) for table, row in zip(tables, rows, strict=True)]
    return found[0] if len(found) == 1 else join(*found)


# -- differentiable kernels --------------------------------------------------------------------------------------


def gather_rows(table: Tensor, rows: Tensor) -> Tensor:
    """Return rows of a table; differentiable in every mode."""
    return table.gather(0, rows.unsqueeze(-1).expand(len(rows), table.shape[-1]))


def _taps(position: Tensor, weight: Tensor | None, nt: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return the index of the first sample of each arrival, and the weights of this and the next one.

    Arrivals outside of the trace have the index after its end, where the kernels have two scratch samples.
    """
    inside = (position >= 0) & (position < nt - 1)
    known = torch.where(inside, position, 0)
    whole = known.detach().floor()
    fraction = known - whole
    index = torch.where(inside, whole, nt).to(torch.int64)
    if weight is None:
        return index, (1 - fraction).to(dtype), fraction.to(dtype)
    weight = torch.where(inside, weight, 0)
    return index, (weight * (1 - fraction)).to(dtype), (weight * fraction).to(dtype)


def spread(arrivals: Arrivals, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return traces ``(*batch, pairs, nt)`` of models ``(*batch, points)``, with weights of a real dtype."""
    batch, nt = x.shape[:-1], arrivals.nt
    traces: dict[int, Tensor] = {}
    for point, points, pair, pairs in arrivals.chunks(1):
        index, *shares = _taps(*arrivals.of_points(point, points).of_pairs(pair, pairs, gather_rows), nt, dtype)
        y = traces[pair] if pair in traces else x.new_zeros((*batch, pairs, nt + 2))
        values = x.narrow(-1, point, points).unsqueeze(-2)
        for tap, share in enumerate(shares):
            y = y.scatter_add(-1, (index + tap).expand((*batch, *index.shape)), values * share)
        traces[pair] = y
    return torch.cat(list(traces.values()), -2).narrow(-1, 0, nt)


def stack(arrivals: Arrivals, y: Tensor, dtype: torch.dtype) -> Tensor:
    """Return models ``(*batch, points)`` of traces ``(*batch, pairs, nt)``, with weights of a real dtype."""
    batch, nt = y.shape[:-2], arrivals.nt
    y = torch.cat((y, y.new_zeros((*y.shape[:-1], 2))), -1)
    models: dict[int, Tensor] = {}
    for point, points, pair, pairs in arrivals.chunks(1):
        index, *shares = _taps(*arrivals.of_points(point, points).of_pairs(pair, pairs, gather_rows), nt, dtype)
        some = y.narrow(-2, pair, pairs)
        for tap, share in enumerate(shares):
            stacked = (some.gather(-1, (index + tap).expand((*batch, *index.shape))) * share).sum(-2)
            models[point] = models[point] + stacked if point in models else stacked
    return torch.cat(list(models.values()), -1)


# -- fast kernels ------------------------------------------------------------------------------------------------


def _select_rows(table: Tensor, rows: Tensor) -> Tensor:
    return table.index_select(0, rows)


def _fast_taps(
    arrivals: Arrivals, pair: int, pairs: int, dtype: torch.dtype, index_dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the flat index, the fraction and the weight of each arrival of some pairs.

    Indices are those of traces with a scratch sample after the end, where late arrivals are. Those between the last
    two samples and later have the index of the last sample or this one, which are not used.
    """
    nt = arrivals.nt
    position, weight = arrivals.of_pairs(pair, pairs, _select_rows)
    if not arrivals.are_positive:
        early = (position >= 0).logical_not_()  # or NaN
        position.masked_fill_(early, nt)
        weight = None if weight is None else weight.masked_fill_(early, 0)
    position.clamp_(max=nt)
    index = position.to(index_dtype)
    if pairs > 1:
        index += torch.arange(0, pairs * (nt + 1), nt + 1, dtype=index_dtype, device="cpu").unsqueeze(-1)
    return index.view(-1), position.frac_().to(dtype), None if weight is None else weight.to(dtype)


def fast_spread(arrivals: Arrivals, x: Tensor) -> Tensor:
    """Return the result of :func:`spread` for real models ``(items, points)``, chunk by chunk, in bounded memory."""
    items, nt = x.shape[0], arrivals.nt
    sums = x.new_zeros((2, arrivals.pairs * (nt + 1), items))  # of the values, and of these times the fractions
    for point, points, pair, pairs in arrivals.chunks(items):
        some = arrivals.of_points(point, points)
        index, fraction, weight = _fast_taps(some, pair, pairs, x.dtype, torch.int64)
        values = x.narrow(-1, point, points).mT.expand(pairs, points, items)
        values = values.contiguous() if weight is None else values * weight.unsqueeze(-1)
        parts = values, fraction.unsqueeze(-1) * values
        for target, part in zip(sums.narrow(1, pair * (nt + 1), pairs * (nt + 1)), parts, strict=True):
            if items == 1:
                target.view(-1).scatter_add_(0, index, part.view(-1))
            else:
                target.index_add_(0, index, part.reshape(len(index), items))
    whole, share = sums.view(2, arrivals.pairs, nt + 1, items).narrow(2, 0, nt - 1).permute(0, 3, 1, 2)
    y = x.new_zeros((items, arrivals.pairs, nt))
    torch.sub(whole, share, out=y[..., :-1])
    y[..., 1:] += share
    return y


def fast_stack(arrivals: Arrivals, y: Tensor) -> Tensor:
    """Return the result of :func:`stack` for real traces ``(items, pairs, nt)``, chunk by chunk, in bounded memory."""
    items, nt = y.shape[0], arrivals.nt
    x = y.new_zeros((arrivals.points, items))
    for point, points, pair, pairs in arrivals.chunks(items):
        some = arrivals.of_points(point, points)
        index, fraction, weight = _fast_taps(some, pair, pairs, y.dtype, torch.int32)
        traces = y.narrow(1, pair, pairs).permute(1, 2, 0)
        samples = y.new_zeros((2, pairs, nt + 1, items))  # the traces, and their steps
        samples[0, :, : nt - 1] = traces[:, :-1]
        torch.sub(traces[:, 1:], traces[:, :-1], out=samples[1, :, : nt - 1])
        whole, step = (table.view(-1, items).index_select(0, index).view(pairs, points, items) for table in samples)
        part = whole.addcmul_(step, fraction.unsqueeze(-1))
        if weight is not None:
            part *= weight.unsqueeze(-1)
        x.narrow(0, point, points).add_(part.sum(0))
    return x.mT.contiguous()


# -- sparse matrices ---------------------------------------------------------------------------------------------


def matrix(arrivals: Arrivals, adjoint: bool, dtype: torch.dtype) -> Tensor:
    """Return the sparse matrix of :func:`spread` or :func:`stack`, with entries of the precision of ``dtype``."""
    size = 2 * arrivals.pairs * arrivals.points
    entries = _Entries(
        torch.empty(size, dtype=torch.int32, device="cpu"),
        torch.empty(size, dtype=real_dtype(dtype), device="cpu"),
    )
    traces = arrivals.pairs * arrivals.nt
    rows = arrivals.points if adjoint else traces
    starts = torch.empty(rows + 1, dtype=torch.int32, device="cpu")
    if adjoint:
        some = max(1, CHUNK // arrivals.pairs)
        for start in range(0, arrivals.points, some):
            count = min(some, arrivals.points - start)
            starts[start : start + count] = entries.add_points(arrivals.of_points(start, count))
    else:
        some = max(1, CHUNK // arrivals.points)
        for start in range(0, arrivals.pairs, some):
            count = min(some, arrivals.pairs - start)
            starts[start * arrivals.nt : (start + count) * arrivals.nt] = entries.add_pairs(arrivals, start, count)
    starts[-1] = entries.filled
    return compressed_matrix(starts, *entries.all(), (rows, traces if adjoint else arrivals.points))


class _Entries:
    """The columns and values of a sparse matrix that is filled row by row."""

    def __init__(self, columns: Tensor, values: Tensor) -> None:
        self._columns, self._values, self.filled = columns, values, 0

    def all(self) -> tuple[Tensor, Tensor]:
        """Return the entries; without the memory that was not needed."""
        parts = self._columns[: self.filled], self._values[: self.filled]
        return parts if 4 * self.filled >= 3 * len(self._columns) else (parts[0].clone(), parts[1].clone())

    def add_points(self, arrivals: Arrivals) -> Tensor:
        """Add the rows of image points, which need no sorting; return where they start."""
        nt, pairs = arrivals.nt, arrivals.pairs
        position, weight = arrivals.of_pairs(0, pairs, _select_rows)
        position, weight = position.mT.contiguous(), None if weight is None else weight.mT.contiguous()
        inside = _is_needed(position, weight, nt)
        index = torch.where(inside, position, 0).to(torch.int32)
        fraction = position.sub_(index)
        index += torch.arange(0, pairs * nt, nt, dtype=torch.int32, device="cpu")
        shares = list(_shares(fraction, weight))
        ends = inside.sum(-1).cumsum(0) * 2
        count = int(ends[-1])
        if count < 2 * inside.numel():
            index, *shares = (part.masked_select(inside) for part in (index, *shares))
        for target, parts in ((self._columns, (index, index + 1)), (self._values, shares)):
            both = target[self.filled : self.filled + count].view(-1, 2)
            for column, part in zip(both.unbind(1), parts, strict=True):
                column.copy_(part.view(-1))
        starts = torch.cat((ends.new_zeros(1), ends[:-1])) + self.filled
        self.filled += count
        return starts

    def add_pairs(self, arrivals: Arrivals, start: int, count: int) -> Tensor:
        """Add the rows of the samples of some traces, sorted by counting; return where they start.

        An arrival between the samples ``k`` and ``k + 1`` has an entry in both rows. With ``before[k]`` arrivals before
        ``k``, row ``k`` begins at ``before[k] + before[k - 1]``, with the ``before[k + 1] - before[k]`` entries of the
        arrivals after ``k``, followed by those of the arrivals after ``k - 1``.
        """
        nt = arrivals.nt
        position, weight = arrivals.of_pairs(start, count, _select_rows)
        inside = _is_needed(position, weight, nt)
        key = torch.where(inside, position, nt).to(torch.int32)
        shares = _shares(position.sub_(key), weight)
        small = np.uint16 if nt < 2**16 else np.int32  # NumPy sorts 16-bit integers by counting
        order = torch.from_numpy(np.argsort(key.numpy().astype(small), axis=-1, kind="stable"))
        rank = order + torch.arange(0, key.numel(), key.shape[-1], device="cpu").unsqueeze(-1)
        sample = torch.take(key, rank)
        is_kept = sample < nt
        sample = sample + torch.arange(0, count * nt, nt, dtype=torch.int32, device="cpu").unsqueeze(-1)
        if bool(is_kept.all()):
            order, rank, sample = order.view(-1), rank.view(-1), sample.view(-1)
        else:
            order, rank, sample = (part.masked_select(is_kept) for part in (order, rank, sample))
        before = torch.zeros(count * nt + 2, dtype=torch.int64, device="cpu")  # of sample - 1
        torch.cumsum(torch.bincount(sample, minlength=count * nt), 0, out=before[2:])
        number = torch.arange(self.filled, self.filled + len(sample), device="cpu")
        points = order.to(torch.int32)
        for share, place in zip(shares, (before, before[3:]), strict=True):
            target = number + place.index_select(0, sample)
            self._columns.scatter_(0, target, points)
            self._values.scatter_(0, target, torch.take(share, rank).to(self._values.dtype))
        starts = before[1:-1] + before[:-2] + self.filled
        self.filled += 2 * len(sample)
        return starts


def _is_needed(position: Tensor, weight: Tensor | None, nt: int) -> Tensor:
    inside = (position >= 0) & (position < nt - 1)
    return inside if weight is None else inside & (weight != 0)


def _shares(fraction: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    if weight is None:
        return 1 - fraction, fraction
    return weight * (1 - fraction), weight * fraction
