"""Sums along rays and edges of strips, in place: for products without tables or derivatives."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from torchlops.medical._rays import TIE, Lines

AT_ONCE = 1 << 17
"""Number of crossings of rays and slices that are computed at a time: their vectors stay in a cache."""
BORDER = 2
"""Zeros on both sides of a slice, so that a ray beside the image needs no case of its own."""


class Sweep:
    """Sums along rays through images, ``(items, ny, nx)``, and the adjoint.

    Args:
        lines: The rays, finite.
        kernel: ``"linear"`` or ``"line"``, see ``_rays.py``.
        dims: Shape of the images.
    """

    def __init__(self, lines: Lines, kernel: str, dims: tuple[int, int]) -> None:
        self.lines, self._kernel, self._dims = lines, kernel, dims

    def gather(self, x: Tensor) -> Tensor:
        """Return the data ``(items, rays)`` of real images."""
        items = len(x)
        y = x.new_empty((len(self.lines.start), items))
        for is_steep in (True, False):
            image = pad(x if is_steep else x.mT, (BORDER, BORDER)).movedim(0, -1).reshape(-1, items)
            table = image.new_empty((len(image), items, 2))  # samples, and their differences to the next ones
            table[..., 0] = image
            torch.sub(image[1:], image[:-1], out=table[:-1, :, 1])
            table[-1] = 0
            flat = torch.view_as_complex(table).reshape(-1)
            for rays, index, share, length in self._crossings(is_steep, items, x.dtype):
                pairs = torch.view_as_real(flat.index_select(0, index)).reshape(*share.shape, items, 2)
                sums = torch.addcmul(pairs[..., 0], pairs[..., 1], share.unsqueeze(-1)).sum(1)
                y[rays] = sums * length
        return y.mT

    def scatter(self, y: Tensor) -> Tensor:
        """Return the sums ``(items, ny, nx)`` over the rays of real data ``(items, rays)``."""
        items = len(y)
        x = y.new_zeros((items, *self._dims))
        for is_steep in (True, False):
            slices, samples = self._shape(is_steep)
            table = torch.zeros(slices * (samples + 2 * BORDER), items, 2, dtype=y.dtype)
            flat = torch.view_as_complex(table).reshape(-1)
            for rays, index, share, length in self._crossings(is_steep, items, y.dtype):
                pairs = y.new_empty((*share.shape, items, 2))
                values = (y[:, rays].mT * length).unsqueeze(1)
                torch.mul(values, share.unsqueeze(-1), out=pairs[..., 1])
                torch.sub(values, pairs[..., 1], out=pairs[..., 0])
                flat.index_add_(0, index, torch.view_as_complex(pairs).reshape(-1))
            sums = table[..., 0]
            sums[1:] += table[:-1, :, 1]
            image = sums.reshape(slices, -1, items)[:, BORDER:-BORDER].movedim(-1, 0)
            x += image if is_steep else image.mT
        return x

    def _shape(self, is_steep: bool) -> tuple[int, int]:
        """Return the number of slices, and of samples of each."""
        ny, nx = self._dims
        return (ny, nx) if is_steep else (nx, ny)

    def _crossings(
        self, is_steep: bool, items: int, dtype: torch.dtype
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield rays, where they are in the tables, the share of the second sample, and the length in a slice."""
        for rays, p, slope in self._positions(is_steep, items):
            if self._kernel == "linear":
                first = p.floor()
                p -= first
            else:
                first = _line_in_place(p, slope)
            yield rays, self._index(is_steep, first, items), p.to(dtype), (1 + slope * slope).sqrt_().to(dtype)

    def _positions(self, is_steep: bool, items: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield lines, where they cross slices, and their slopes."""
        count, _ = self._shape(is_steep)
        slices = torch.arange(count, dtype=torch.float64)
        chosen = (self.lines.is_steep == is_steep).nonzero().reshape(-1)
        at_once = max(1, AT_ONCE // (count * items))
        for begin in range(0, len(chosen), at_once):
            some = chosen[begin : begin + at_once]
            start, slope = (part[some].unsqueeze(1) for part in (self.lines.start, self.lines.slope))
            yield some, torch.addcmul(start, slope, slices), slope

    def _index(self, is_steep: bool, first: Tensor, items: int) -> Tensor:
        """Return the indices of samples of slices in the tables of all items; ``first`` is overwritten."""
        count, samples = self._shape(is_steep)
        length = samples + 2 * BORDER
        whole = torch.int32 if count * length * items < 2**31 else torch.int64
        offset = torch.arange(count, dtype=torch.float64) * length + BORDER
        index = first.clamp_(-BORDER, samples + BORDER - 1).add_(offset).to(whole).unsqueeze(-1)
        return (index if items == 1 else index * items + torch.arange(items, dtype=whole)).reshape(-1)


class EdgeSweep(Sweep):
    """What is before lines in each slice, summed over the slices: strips are differences of two such sums.

    It is computed in float64, since these are differences of large numbers.

    Args:
        lines: The lines, finite.
        dims: Shape of the images.
    """

    def __init__(self, lines: Lines, dims: tuple[int, int]) -> None:
        super().__init__(lines, "strip", dims)

    def gather(self, x: Tensor) -> Tensor:
        """Return the sums ``(items, lines)`` of real images, in float64."""
        items = len(x)
        y = torch.empty(len(self.lines.start), items, dtype=torch.float64)
        for is_steep in (True, False):
            image = pad((x if is_steep else x.mT).to(torch.float64), (BORDER, BORDER))
            before, image = (part.movedim(0, -1).reshape(-1, items) for part in (image.cumsum(-1) - image, image))
            table = torch.view_as_complex(torch.stack((before, image), -1)).reshape(-1)
            steps = torch.cat((image[1:] - image[:-1], image[-1:])).reshape(-1)
            for some, index, inside, beyond in self._shares(is_steep, items):
                pairs = torch.view_as_real(table.index_select(0, index)).reshape(*inside.shape, items, 2)
                sums = torch.addcmul(pairs[..., 0], pairs[..., 1], inside.unsqueeze(-1))
                y[some] = sums.addcmul_(steps.index_select(0, index).reshape(sums.shape), beyond.unsqueeze(-1)).sum(1)
        return y.mT

    def scatter(self, y: Tensor) -> Tensor:
        """Return the adjoint, ``(items, ny, nx)``, of sums ``(items, lines)`` in float64."""
        items = len(y)
        x = y.new_zeros((items, *self._dims))
        for is_steep in (True, False):
            slices, samples = self._shape(is_steep)
            table = y.new_zeros((slices * (samples + 2 * BORDER), items, 2))
            flat, steps = torch.view_as_complex(table).reshape(-1), y.new_zeros(table.shape[:2])
            for some, index, inside, beyond in self._shares(is_steep, items):
                pairs = y.new_empty((*inside.shape, items, 2))
                values = y[:, some].mT.unsqueeze(1)
                pairs[..., 0] = values
                torch.mul(values, inside.unsqueeze(-1), out=pairs[..., 1])
                flat.index_add_(0, index, torch.view_as_complex(pairs).reshape(-1))
                steps.reshape(-1).index_add_(0, index, (values * beyond.unsqueeze(-1)).reshape(-1))
            sums = table[..., 1] - steps
            sums[1:] += steps[:-1]
            after = table[..., 0].reshape(slices, -1, items)
            after = after.flip(1).cumsum(1).flip(1) - after
            image = (sums.reshape(after.shape) + after)[:, BORDER:-BORDER].movedim(-1, 0)
            x += image if is_steep else image.mT
        return x

    def _shares(self, is_steep: bool, items: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield lines, the first sample that each meets in a slice, and the shares of it and of the next before it.

        The first share is that of the sample and the next one together, as if both were alike.
        """
        _, samples = self._shape(is_steep)
        for some, p, slope in self._positions(is_steep, items):
            half = slope.abs() / 2
            p.clamp_(-1.5, samples + 0.5)  # nothing changes beyond
            first = torch.sub(p, half - 0.5).floor_()
            p -= first
            beyond = torch.add(p, half - 0.5).clamp_(min=0)
            beyond.square_().mul_(1 / (4 * torch.where(half == 0, 1, half)))
            yield some, self._index(is_steep, first, items), p.add_(0.5), beyond


def _line_in_place(p: Tensor, slope: Tensor) -> Tensor:
    """Return the first sample, and write the share of the second one to ``p``: see ``line`` in ``_rays.py``."""
    half = slope.abs() / 2
    first = torch.sub(p, half + 0.5 + TIE).ceil_()
    p -= first
    is_straight = half < TIE
    straight = None
    if bool(is_straight.any()):
        border = p - 0.5
        straight = torch.where(border.abs() <= TIE, 0.5, (border > 0).to(p.dtype))
    p.sub_(0.5 - half).mul_(1 / (2 * torch.where(is_straight, 1, half))).clamp_(0, 1)
    if straight is not None:
        torch.where(is_straight, straight, p, out=p)
    return first
