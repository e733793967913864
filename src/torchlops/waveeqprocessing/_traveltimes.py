"""Travel times between positions and image points: straight rays, the eikonal equation, and their derivatives.

Positions are ``(axes, count)`` and grids of points ``(axes, points)``, in the order (y,) x, z. Tables are
``(count, points)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.basicoperators._positions import carries_derivative
from torchlops.extras import import_extra
from torchlops.waveeqprocessing._arrivals import safe_sqrt

CELLS = 3
"""Radius, in grid cells, of the sphere around a source from which fronts are computed: straight rays within it."""


def distances(positions: Tensor, grid: Tensor) -> Tensor:
    """Return the distances between positions and points, with a derivative of zero at zero."""
    square = grid.new_zeros(())
    for position, coordinate in zip(positions.unbind(), grid.unbind(), strict=True):
        square = square + (coordinate - position.unsqueeze(-1)) ** 2
    return safe_sqrt(square)


def gradient(table: Tensor, dims: Sequence[int], sampling: Sequence[float]) -> list[Tensor]:
    """Return the derivative of a table along each axis of the grid, as :func:`numpy.gradient` does."""
    count = table.shape[0]
    volume = table.reshape(count, *dims)
    parts = []
    for axis, step in enumerate(sampling, start=1):
        size = volume.shape[axis]

        def rise(start: int, stop: int, axis: int = axis) -> Tensor:
            return volume.narrow(axis, stop, 1) - volume.narrow(axis, start, 1)

        inner = (volume.narrow(axis, 2, size - 2) - volume.narrow(axis, 0, size - 2)) / (2 * step)
        first, last = rise(0, 1) / step, rise(size - 2, size - 1) / step
        parts.append(torch.cat((first, inner, last), axis).reshape(table.shape))
    return parts


def unit(vectors: Sequence[Tensor]) -> Tensor:
    """Return unit vectors ``(axes, *shape)``; downwards where there is no direction."""
    square = torch.stack([part**2 for part in vectors]).sum(0)
    is_known = square > 0
    length = torch.where(is_known, square, 1).sqrt()
    down = len(vectors) - 1
    return torch.stack([torch.where(is_known, part / length, float(axis == down)) for axis, part in enumerate(vectors)])


def eikonal(
    positions: NDArray[np.float64],
    velocity: NDArray[np.float64],
    origin: Sequence[float],
    sampling: Sequence[float],
    what: str,
) -> NDArray[np.float64]:
    """Return the first arrivals from positions to all points of a grid, ``(count, points)``, by scikit-fmm.

    A front from one grid cell would be inaccurate, and have its source in the middle of the cell. So it begins on a
    sphere of three cells around the position. Within it, rays are straight and see the mean of the slowness at both
    ends.

    Raises:
        ValueError: If a position is outside of the grid.
    """
    fmm = import_extra("skfmm", 'Kirchhoff with mode="eikonal"')
    steps, velocity = np.asarray(sampling), np.ascontiguousarray(velocity)  # scikit-fmm ignores strides
    axes = [start + step * np.arange(n) for start, step, n in zip(origin, sampling, velocity.shape, strict=True)]
    grid = np.meshgrid(*axes, indexing="ij")
    places = (positions.T - np.asarray(origin)) / steps
    inside = ((places >= -1e-6) & (places <= np.asarray(velocity.shape) - 1 + 1e-6)).all(1)
    if not inside.all():
        wrong = positions[:, ~inside].T[0]
        raise ValueError(
            f"Kirchhoff: {what} at {tuple(map(float, wrong))} is outside of the grid, where the eikonal equation has "
            "no velocity: extend the axes, or give times by mode='byot'"
        )
    radius = CELLS * steps.max()
    tables = np.empty((positions.shape[1], velocity.size))
    for table, position, place in zip(tables, positions.T, places, strict=True):
        distance = np.sqrt(sum((x - p) ** 2 for x, p in zip(grid, position, strict=True)))
        slowness = 1 / _interpolated(velocity, place)
        times = distance * (slowness + 1 / velocity) / 2
        outside = distance > radius
        if outside.any():
            front = fmm.travel_time(distance - radius, velocity, dx=list(steps))
            times = np.where(outside, np.ma.filled(front, np.inf) + radius * slowness, times)
        table[:] = times.ravel()
    return tables


def _interpolated(values: NDArray[np.float64], place: NDArray[np.float64]) -> float:
    """Return the value at a place, given in samples, by linear interpolation."""
    for p in place:
        low = int(np.clip(np.floor(p), 0, len(values) - 2)) if len(values) > 1 else 0
        share = float(np.clip(p - low, 0, 1))
        values = values[low] * (1 - share) + values[min(low + 1, len(values) - 1)] * share
    return float(values)


def grid_of(axes: Sequence[NDArray[np.float64]]) -> Tensor:
    """Return the coordinates of the points of a grid, ``(axes, points)``."""
    return torch.from_numpy(np.stack([coordinate.ravel() for coordinate in np.meshgrid(*axes, indexing="ij")]))


def as_axis(axis: Any, what: str, owner: str = "Kirchhoff") -> NDArray[np.float64]:
    """Return an axis with at least two samples.

    Raises:
        ValueError: If it has another shape.
        TypeError: If it carries a gradient.
    """
    if isinstance(axis, Tensor):
        if carries_derivative(axis):
            raise TypeError(f"{owner}: {what} is a grid, which carries no gradient: pass {what}.detach()")
        axis = axis.cpu().numpy()
    samples = np.array(axis, dtype=np.float64)
    if samples.ndim != 1 or len(samples) < 2:
        raise ValueError(f"{owner}: {what} must be an axis of at least two samples, got shape {samples.shape}")
    return samples


def step_of(axis: NDArray[np.float64], what: str, owner: str = "Kirchhoff") -> float:
    """Return the step of a regular axis that increases.

    Raises:
        ValueError: If it is not regular.
    """
    step = (axis[-1] - axis[0]) / (len(axis) - 1)
    if not (step > 0 and np.abs(np.diff(axis) - step).max() <= 0.01 * step):
        raise ValueError(
            f"{owner}: {what} must increase in equal steps, got steps from {np.diff(axis).min()} to "
            f"{np.diff(axis).max()}"
        )
    return float(step)
