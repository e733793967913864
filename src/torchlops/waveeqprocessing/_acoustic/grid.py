"""Grids of the scalar wave equation: stencils, absorbing layers, and the limits of stability and dispersion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchlops.warning import warn

FIRST = {2: (1 / 2,), 4: (2 / 3, -1 / 12), 6: (3 / 4, -3 / 20, 1 / 60), 8: (4 / 5, -1 / 5, 4 / 105, -1 / 280)}
"""Weights of ``u[i + m] - u[i - m]``, m = 1, 2, ..., in the first derivative, by the order of accuracy."""

SECOND = {2: (1.0,), 4: (4 / 3, -1 / 12), 6: (3 / 2, -3 / 20, 1 / 90), 8: (8 / 5, -1 / 5, 8 / 315, -1 / 560)}
"""Weights of ``u[i + m] - 2 u[i] + u[i - m]`` in the second derivative."""

REFLECTION = 3e-6
"""The reflection coefficient, at normal incidence, for which the continuous absorbing layer is designed.

A layer of ten nodes reflects more, since it is discrete, and least for about this one.
"""

POINTS_PER_WAVELENGTH = {2: 10.0, 4: 5.0, 6: 4.0, 8: 3.5}
"""Grid points per shortest wavelength below which numerical dispersion shows within some tens of wavelengths."""

HIGHEST_OF_RICKER = 2.5
"""Highest frequency of note of a Ricker wavelet, in multiples of its peak frequency."""


@dataclass(frozen=True)
class Grid:
    """A regular grid with absorbing layers on every side.

    Args:
        shape: Number of nodes along each axis, without the layers.
        spacing: Distance of the nodes along each axis.
        dt: Time step.
        space_order: Order of accuracy in space: 2, 4, 6 or 8.
        pml_width: Number of nodes of the absorbing layer on each side.
        max_velocity: Velocity for which the layers are designed.
        frequency: Frequency for which they are designed.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    dt: float
    space_order: int
    pml_width: int
    max_velocity: float
    frequency: float

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def padded(self) -> tuple[int, ...]:
        """Number of nodes along each axis, with the layers."""
        return tuple(n + 2 * self.pml_width for n in self.shape)

    @property
    def reach(self) -> int:
        """Number of neighbours on each side that a stencil reads."""
        return self.space_order // 2

    def first(self, axis: int) -> tuple[float, ...]:
        """Return the weights of the first derivative along ``axis``."""
        return tuple(c / self.spacing[axis] for c in FIRST[self.space_order])

    def second(self, axis: int) -> tuple[float, ...]:
        """Return the weights of the second derivative along ``axis``."""
        return tuple(c / self.spacing[axis] ** 2 for c in SECOND[self.space_order])

    def damping(self, axis: int, like: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return the coefficients :math:`a` and :math:`b` of the memory of the layers, for each node."""
        n, width = self.padded[axis], self.pml_width
        nodes = torch.arange(n, dtype=torch.float64, device=like.device)
        if width == 0:
            return torch.zeros_like(nodes).to(like.dtype), torch.zeros_like(nodes).to(like.dtype)
        depth = torch.maximum(width - nodes, nodes - (n - 1 - width)).clamp(min=0) / width
        strength = -3 * self.max_velocity * math.log(REFLECTION) / (2 * width * self.spacing[axis])
        sigma, alpha = strength * depth**2, math.pi * self.frequency * (1 - depth)
        total = sigma + alpha
        inside = (depth > 0).to(torch.float64)
        b = inside * sigma / (total + (1 - inside)) * torch.expm1(-total * self.dt)
        return (inside * torch.exp(-total * self.dt)).to(like.dtype), b.to(like.dtype)

    def matrices(self, axis: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the matrices of the first and second derivatives along ``axis``, with zeros outside the grid."""
        n = self.padded[axis]
        first, second = self.first(axis), self.second(axis)
        D = like.new_zeros((n, n))
        D2 = torch.diag(like.new_full((n,), -2 * math.fsum(second)))
        for m in range(1, min(self.reach, n - 1) + 1):
            ones = torch.diag(like.new_ones((n - m,)), m)
            D, D2 = D + first[m - 1] * (ones - ones.mT), D2 + second[m - 1] * (ones + ones.mT)
        return D, D2


def stable_step(spacing: tuple[float, ...], max_velocity: float, space_order: int) -> float:
    r"""Return the largest time step for which the scheme is stable in an unbounded medium.

    The eigenvalues of :math:`-v^2 \Delta t^2 \nabla^2` must not exceed 4.
    """
    highest = sum(
        2 * sum(c * (1 - math.cos(math.pi * m)) for m, c in enumerate(SECOND[space_order], 1)) / h**2 for h in spacing
    )
    return 2 / (max_velocity * math.sqrt(highest))


def check_stability(owner: str, grid: Grid, highest: float) -> None:
    """Raise if the time step is too long for the velocity ``highest``."""
    limit = stable_step(grid.spacing, highest, grid.space_order)
    if grid.dt > limit:
        raise ValueError(
            f"{owner}: dt={grid.dt:g} is unstable: with space_order={grid.space_order}, spacing={grid.spacing} "
            f"and velocities up to {highest:g} it must be at most {limit:.4g}. Take a shorter dt, and interpolate "
            "the wavelet and the data to it, or a coarser grid"
        )


def check_dispersion(owner: str, grid: Grid, lowest: float) -> None:
    """Warn if the grid is too coarse for the shortest waves of a Ricker wavelet of the peak frequency of the grid."""
    highest = HIGHEST_OF_RICKER * grid.frequency
    points = lowest / (highest * max(grid.spacing))
    needed = POINTS_PER_WAVELENGTH[grid.space_order]
    if points < needed:
        warn(
            f"{owner}: numerical dispersion: {points:.2g} nodes per wavelength at {highest:g} ({HIGHEST_OF_RICKER} "
            f"times the peak frequency) where the velocity is {lowest:g}; space_order={grid.space_order} needs about "
            f"{needed:g}. Take a spacing of at most {lowest / (highest * needed):.3g}, a higher space_order, or a "
            "lower frequency",
        )
