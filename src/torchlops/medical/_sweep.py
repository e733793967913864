"""Sums of two neighboring samples in each slice along rays, in place: for products without tables or derivatives."""

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
        self._lines, self._kernel, self._dims = lines, kernel, dims

    def gather(self, x: Tensor) -> Tensor:
        """Return the data ``(items, rays)`` of real images."""
        items = len(x)
        y = x.new_empty((len(self._lines.start), items))
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
            slices, samples = self._dims if is_steep else self._dims[::-1]
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

    def _crossings(
        self, is_steep: bool, items: int, dtype: torch.dtype
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield rays, where they are in the tables, the share of the second sample, and the length in a slice."""
        count, samples = self._dims if is_steep else self._dims[::-1]
        slices = torch.arange(count, dtype=torch.float64)
        offset = slices * (samples + 2 * BORDER) + BORDER
        chosen = (self._lines.is_steep == is_steep).nonzero().reshape(-1)
        whole = torch.int32 if count * (samples + 2 * BORDER) * items < 2**31 else torch.int64
        at_once = max(1, AT_ONCE // (count * max(1, items)))
        for begin in range(0, len(chosen), at_once):
            rays = chosen[begin : begin + at_once]
            start, slope = (part[rays].unsqueeze(1) for part in (self._lines.start, self._lines.slope))
            p = torch.addcmul(start, slope, slices)
            if self._kernel == "linear":
                first = p.floor()
                p -= first
            else:
                first = _line_in_place(p, slope)
            index = first.clamp_(-BORDER, samples).add_(offset).to(whole).unsqueeze(-1)
            if items > 1:
                index = index * items + torch.arange(items, dtype=whole)
            yield rays, index.reshape(-1), p.to(dtype), (1 + slope * slope).sqrt_().to(dtype)


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
