"""Scans that reflections of a square image map to themselves: an eighth of the rays has the weights of all.

A ray in a view is one of another view in the image reflected at its axes or a diagonal. So the products with all rays
are those of few rays with eight images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ALIKE = 4e-15
"""Difference of angles in radians that is rounding."""


@dataclass(frozen=True)
class Orbits:
    """The rays of a scan as those of few rays through reflected images.

    Attributes:
        rays: The angle of each of the few rays, and its place, in detectors from the middle.
        slots: For each ray of the scan, the number of the ray and of the image, ``8 * ray + image``.
    """

    rays: tuple[Tensor, Tensor]
    slots: Tensor

    def __len__(self) -> int:
        return len(self.rays[0])

    def multiply(self, matrix: Tensor, x: Tensor, adjoint: bool) -> Tensor:
        """Return the products of real images or, with ``adjoint``, of their data.

        Args:
            matrix: The weights of the few rays, ``(few, pixels)``, or the transpose.
            x: The images ``(items, n, n)``, or the data ``(items, rays)``.
            adjoint: Whether these are data.
        """
        items, few, n = len(x), len(self), math.isqrt(matrix.shape[0] if adjoint else matrix.shape[1])
        if not adjoint:
            y = torch.mm(matrix, reflected(x)).reshape(few, items, 8)
            return y.transpose(0, 1).reshape(items, 8 * few).index_select(1, self.slots)
        y = x.new_zeros((items, 8 * few)).scatter_add_(1, self.slots.to(torch.int64).expand(x.shape), x)
        y = y.reshape(items, few, 8).transpose(0, 1).reshape(few, 8 * items)
        return reflected_back(torch.mm(matrix, y).reshape(n, n, items, 8))


def orbits(thetas: NDArray[np.float64], detectors: int, is_fan: bool) -> Orbits:
    """Return the orbits of the rays of a scan that is centered.

    Angles are folded to the first eighth of the circle. In each reflection, the view sees the detectors in reverse
    order. Parallel rays in reverse order are those of the opposite view, which is the image turned by a half turn.
    """
    folded, image, is_reversed = thetas % (2 * math.pi), np.zeros(len(thetas), np.int64), np.zeros(len(thetas), bool)
    for bit, (limit, total) in enumerate(((1.0, 2.0), (0.5, 1.0), (0.25, 0.5))):
        is_beyond = folded > limit * math.pi
        folded = np.where(is_beyond, total * math.pi - folded, folded)
        image, is_reversed = image + (is_beyond << bit), is_reversed ^ is_beyond
    order = np.argsort(folded)
    is_new = np.diff(folded[order], prepend=-np.inf) > ALIKE
    view = np.empty(len(thetas), np.int64)
    view[order] = np.cumsum(is_new) - 1

    place = np.where(is_reversed[:, None], np.arange(detectors)[::-1], np.arange(detectors))
    images = np.broadcast_to(image[:, None], place.shape)
    first = 0 if is_fan else detectors // 2
    is_opposite = place < detectors - 1 - place if not is_fan else np.zeros_like(place, bool)
    place = np.where(is_opposite, detectors - 1 - place, place)
    rays = view[:, None] * (detectors - first) + place - first
    slots = 8 * rays + np.where(is_opposite, images ^ 3, images)
    angles = folded[order][is_new]
    middle = np.arange(first, detectors) - (detectors - 1) / 2
    few = np.repeat(angles, len(middle)), np.tile(middle, len(angles))
    return Orbits(
        (torch.from_numpy(few[0]), torch.from_numpy(few[1])),
        torch.from_numpy(slots.reshape(-1).astype(np.int32)),
    )


def reflected(x: Tensor) -> Tensor:
    """Return the eight reflections of images ``(items, n, n)`` as the columns of a matrix ``(n * n, items * 8)``."""
    images = x.movedim(0, -1).unsqueeze(-1)
    images = torch.cat((images, images.flip(1)), -1)
    images = torch.cat((images, images.flip(0)), -1)
    return torch.cat((images, images.transpose(0, 1)), -1).reshape(x.shape[1] * x.shape[2], 8 * len(x))


def reflected_back(images: Tensor) -> Tensor:
    """Return the sums ``(items, n * n)`` of eight images ``(n, n, items, 8)``, each reflected back.

    This is the adjoint of :func:`reflected`.
    """
    images = images[..., :4] + images[..., 4:].transpose(0, 1)
    images = images[..., :2] + images[..., 2:].flip(0)
    sums = images[..., 0] + images[..., 1].flip(1)
    return sums.reshape(-1, sums.shape[-1]).mT
