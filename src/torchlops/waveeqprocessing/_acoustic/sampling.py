"""Sources and receivers on the nodes of a grid, and between them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from torchlops.basicoperators._positions import is_readable, precise

HALF_WIDTH = 4
"""Number of nodes on each side of a point that represent it."""

SHARPNESS = 6.31
"""Shape parameter of the Kaiser window of that width, for at least four nodes per wavelength (Hicks 2002, table 1)."""

_TERMS = 36  # of the series of I0, below whose last term is 1e-17 at the centre of the window


class Points(NamedTuple):
    """Where to read and write wavefields: weights of nodes, for each point of each shot.

    Args:
        nodes: Flat indices of nodes ``(shots, points, K)``.
        weights: Their weights, of the same shape; None if each point is one node.
        ndim: Number of axes of the grid.
    """

    nodes: Tensor
    weights: Tensor | None
    ndim: int

    @property
    def shots(self) -> int:
        """Number of shots."""
        return self.nodes.shape[0]

    def unweighted(self) -> Points:
        """Return all nodes as points of their own."""
        return Points(self.nodes.flatten(1).unsqueeze(-1), None, self.ndim)

    def take(self, field: Tensor) -> Tensor:
        """Return the values ``(*batch, shots, points)`` of a field ``(*batch, shots, *nodes)``."""
        flat, nodes = self._flat(field), self.nodes.flatten(1)
        return self.weigh(flat.gather(-1, nodes.expand(*flat.shape[:-1], nodes.shape[-1])))

    def _flat(self, field: Tensor) -> Tensor:
        # not flatten: the vmap of is_grads_batched has no rule for it
        lead = field.ndim - self.ndim
        return field.reshape(*field.shape[:lead], math.prod(field.shape[lead:]))

    def weigh(self, values: Tensor) -> Tensor:
        """Return the values at points, given those at their nodes ``(*batch, shots, points * K)``."""
        if self.weights is None:
            return values
        return (values.reshape(*values.shape[:-1], *self.weights.shape[1:]) * self.weights.to(values.dtype)).sum(-1)

    def spread(self, values: Tensor) -> Tensor:
        """Return what the nodes of points receive, given the values at the points ``(*batch, shots, points)``."""
        if self.weights is None:
            return values
        amounts = values.unsqueeze(-1) * self.weights.to(values.dtype)
        return amounts.reshape(*amounts.shape[:-2], amounts.shape[-2] * amounts.shape[-1])

    def spread_in_time(self, values: Tensor) -> Tensor:
        """Return what nodes receive in time, ``(nt, *batch, shots, points * K)``; values end with time."""
        return self.spread(values.movedim(-1, 0))

    def add(self, field: Tensor, values: Tensor) -> Tensor:
        """Return ``field`` with ``values`` added at the points."""
        flat, nodes, amounts = self._flat(field), self.nodes.flatten(1), self.spread(values)
        shape = (*flat.shape[:-1], nodes.shape[-1])
        return flat.scatter_add(-1, nodes.expand(shape), amounts.expand(shape)).reshape(field.shape)


def is_on_nodes(positions: Tensor) -> bool:
    """Whether all positions are whole numbers, as far as their values can be read."""
    if not positions.is_floating_point():
        return True
    return not positions.requires_grad and is_readable(positions) and bool((positions == positions.round()).all())


def check_positions(positions: Tensor, shape: tuple[int, ...], what: str, may_be_absent: bool) -> None:
    """Raise for positions outside of the grid, as far as their values can be read."""
    if not is_readable(positions):
        return
    last = torch.tensor(shape, dtype=positions.dtype, device=positions.device) - 1
    inside = ((positions >= 0) & (positions <= last)).all(-1)
    if may_be_absent:
        inside = inside | (positions == -1).all(-1)
    if not bool(inside.all()):
        first = positions[~inside][0].tolist()
        absent = ", or -1 along every axis where there is none" if may_be_absent else ""
        raise ValueError(
            f"{what} must be in nodes of the grid, from 0 to {[n - 1 for n in shape]}{absent}; one is at {first}"
        )


def points(positions: Tensor, shape: tuple[int, ...], pad: int, on_nodes: bool) -> Points:
    r"""Return the points at ``positions`` in a grid that is padded by ``pad`` nodes on every side.

    Between nodes, the band-limited point is the product along the axes of
    :math:`\mathrm{sinc}(d) I_0(\beta \sqrt{1 - (d / r)^2}) / I_0(\beta)` at distance :math:`d` (Hicks 2002, Arbitrary
    source and receiver positioning in finite-difference schemes using Kaiser windowed sinc functions, Geophysics 67,
    156-166). It is differentiable in the positions.

    Args:
        positions: ``(shots, points, ndim)`` in nodes; -1 along every axis where there is none.
        shape: Number of nodes along each axis, without the padding.
        pad: Number of nodes of the padding.
        on_nodes: Whether all positions are whole numbers, so that one node represents each.
    """
    sizes = [n + 2 * pad for n in shape]
    absent = (positions < -0.5).all(-1)
    if on_nodes:
        nodes = _flat([positions[..., axis].long() + pad for axis in range(len(shape))], sizes)
        present = torch.where(absent, 0, nodes).unsqueeze(-1)
        return Points(present, (~absent).unsqueeze(-1).to(torch.float64), len(shape))
    places, weights = [], []
    offsets = torch.arange(1 - HALF_WIDTH, HALF_WIDTH + 1, device=positions.device)
    for axis, size in enumerate(sizes):
        x = precise(positions[..., axis]).unsqueeze(-1)
        base = x.detach().floor().long()
        weight = _windowed_sinc(x - base.to(x.dtype) - offsets.to(x.dtype))
        place = base + offsets + pad
        is_inside = (place >= 0) & (place < size)
        around = (1,) * axis, (1,) * (len(sizes) - 1 - axis)
        lead = place.shape[:-1]
        places.append(place.clamp(0, size - 1).reshape(*lead, *around[0], -1, *around[1]))
        weights.append((weight * is_inside.to(x.dtype)).reshape(*lead, *around[0], -1, *around[1]))
    nodes = _flat(places, sizes).flatten(2)
    weight = weights[0]
    for other in weights[1:]:
        weight = weight * other
    present = (~absent).to(weight.dtype).unsqueeze(-1)
    return Points(torch.where(absent.unsqueeze(-1), 0, nodes), weight.flatten(2) * present, len(shape))


def _flat(places: list[Tensor], sizes: list[int]) -> Tensor:
    flat = places[0]
    for place, size in zip(places[1:], sizes[1:], strict=True):
        flat = flat * size + place
    return flat


def _windowed_sinc(d: Tensor) -> Tensor:
    """Return the windowed sinc, whose derivatives exist at nodes and at the ends of the window, too."""
    # I0(sqrt(y)) is a power series in y, unlike the square root; torch.sinc has a wrong second derivative at 0.
    quarter = (SHARPNESS**2 / 4) * (1 - (d / HALF_WIDTH) ** 2)
    window, peak = torch.ones_like(d), 1.0
    for k in range(_TERMS, 0, -1):
        window = 1 + window * quarter / k**2
        peak = 1 + peak * (SHARPNESS**2 / 4) / k**2
    angle = math.pi * d
    is_small = angle.abs() < 1
    square = torch.where(is_small, angle, 0) ** 2
    near = torch.ones_like(d)
    for k in range(10, 0, -1):
        near = 1 - near * square / (2 * k * (2 * k + 1))
    far = torch.where(is_small, 1, angle)
    return torch.where(is_small, near, far.sin() / far) * window / peak
