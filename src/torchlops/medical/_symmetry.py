"""Scans that reflections of the image map to themselves: few of the rays have the weights of all.

A ray in a view is one of another view in the image reflected at its axes or a diagonal, and parallel rays of one side
are those of the other side in the image turned by a half turn. So the products with all rays are those of few rays
with eight or two images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FEW = 4
"""From how many times fewer rays on, products with eight images are faster than those with all rays."""
ALIKE = 4e-15
"""Difference of angles in radians that is rounding."""


@dataclass(frozen=True)
class Orbits:
    """The rays of a scan as those of few rays through reflected images.

    Attributes:
        rays: The angle of each of the few rays, and its place, in detectors from the middle.
        slots: For each ray of the scan, the number of the ray and of the image, ``images * ray + image``.
        dims: Shape of the image.
        images: Number of images: 8, or 2 if the image is only turned.
    """

    rays: tuple[Tensor, Tensor]
    slots: Tensor
    dims: tuple[int, int]
    images: int

    def __len__(self) -> int:
        return len(self.rays[0])

    def multiply(self, matrix: Tensor, x: Tensor, adjoint: bool) -> Tensor:
        """Return the products of real images or, with ``adjoint``, of their data.

        Args:
            matrix: The weights of the few rays, ``(few, pixels)``, or the transpose.
            x: The images ``(items, ny, nx)``, or the data ``(items, rays)``.
            adjoint: Whether these are data.
        """
        items, few, images = len(x), len(self), self.images
        if not adjoint:
            columns = reflected(x) if images == 8 else turned(x)
            y = torch.mm(matrix, columns.reshape(-1, items * images)).reshape(few, items, images)
            return y.transpose(0, 1).reshape(items, images * few).index_select(1, self.slots)
        y = x.new_zeros((items, images * few)).scatter_add_(1, self.slots.to(torch.int64).expand(x.shape), x)
        y = y.reshape(items, few, images).transpose(0, 1).reshape(few, images * items)
        columns = torch.mm(matrix, y).reshape(*self.dims, items, images)
        sums = reflected_back(columns) if images == 8 else columns[..., 0] + columns[..., 1].flip((0, 1))
        return sums.reshape(-1, items).mT


def orbits(thetas: NDArray[np.float64], detectors: int, is_fan: bool, dims: tuple[int, int]) -> Orbits | None:
    """Return the orbits of the rays of a scan that is centered; None if there are not much fewer of them than rays.

    Angles are folded to the first eighth of the circle. In each reflection, the view sees the detectors in reverse
    order. Parallel rays in reverse order are those of the opposite view, which is the image turned by a half turn.
    """
    if dims[0] == dims[1]:
        found = _orbits(thetas % (2 * math.pi), detectors, is_fan, dims, ((1.0, 2.0), (0.5, 1.0), (0.25, 0.5)))
        if FEW * len(found) <= len(found.slots):
            return found
    return None if is_fan or detectors == 1 else _orbits(thetas, detectors, is_fan, dims, ())


def _orbits(
    folded: NDArray[np.float64],
    detectors: int,
    is_fan: bool,
    dims: tuple[int, int],
    folds: tuple[tuple[float, float], ...],
) -> Orbits:
    """Return the orbits by reflections that fold angles beyond a limit, to a sum less them, in half turns."""
    image, is_reversed = np.zeros(len(folded), np.int64), np.zeros(len(folded), bool)
    for bit, (limit, total) in enumerate(folds):
        is_beyond = folded > limit * math.pi
        folded = np.where(is_beyond, total * math.pi - folded, folded)
        image, is_reversed = image + (is_beyond << bit), is_reversed ^ is_beyond
    order = np.argsort(folded)
    is_new = np.diff(folded[order], prepend=-np.inf) > ALIKE
    view = np.empty(len(folded), np.int64)
    view[order] = np.cumsum(is_new) - 1

    place = np.where(is_reversed[:, None], np.arange(detectors)[::-1], np.arange(detectors))
    images = np.broadcast_to(image[:, None], place.shape)
    first = 0 if is_fan else detectors // 2
    is_opposite = place < detectors - 1 - place if not is_fan else np.zeros_like(place, bool)
    place = np.where(is_opposite, detectors - 1 - place, place)
    rays = view[:, None] * (detectors - first) + place - first
    images = np.where(is_opposite, images ^ 3, images) if folds else is_opposite.astype(np.int64)
    slots = (8 if folds else 2) * rays + images
    angles = folded[order][is_new]
    middle = np.arange(first, detectors) - (detectors - 1) / 2
    few = np.repeat(angles, len(middle)), np.tile(middle, len(angles))
    return Orbits(
        (torch.from_numpy(few[0]), torch.from_numpy(few[1])),
        torch.from_numpy(slots.reshape(-1).astype(np.int32)),
        dims,
        8 if folds else 2,
    )


def turned(x: Tensor) -> Tensor:
    """Return images ``(items, ny, nx)`` and those that are turned by a half turn, ``(ny, nx, items, 2)``."""
    images = x.movedim(0, -1)
    return torch.stack((images, images.flip((0, 1))), -1)


def reflected(x: Tensor) -> Tensor:
    """Return the eight reflections of images ``(items, n, n)``, as ``(n, n, items, 8)``."""
    images = x.movedim(0, -1).unsqueeze(-1)
    images = torch.cat((images, images.flip(1)), -1)
    images = torch.cat((images, images.flip(0)), -1)
    return torch.cat((images, images.transpose(0, 1)), -1)


def reflected_back(images: Tensor) -> Tensor:
    """Return the sums ``(n, n, items)`` of eight images ``(n, n, items, 8)``, each reflected back.

    This is the adjoint of :func:`reflected`.
    """
    images = images[..., :4] + images[..., 4:].transpose(0, 1)
    images = images[..., :2] + images[..., 2:].flip(0)
    return images[..., 0] + images[..., 1].flip(1)
