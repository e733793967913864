r"""One step of the scalar wave equation in time, as differentiable functions.

With :math:`w = (v \Delta t)^2`, derivatives :math:`D` and :math:`D_2`, and two memories of the absorbing layer per axis
(Pasalic and McGarry 2010, convolutional perfectly matched layer for isotropic and anisotropic acoustic wave equations):

.. math::

    p' = a p + b D u, \quad t = D_2 u + D p', \quad z' = a z + b t, \quad
    q = f + \sum_{axes} (t + z'), \quad u_+ = 2 u - u_- + w q

Outside the grid everything is zero, so that :math:`D^T = -D` and :math:`D_2^T = D_2`. The transposed step, for
:math:`\mu = w \lambda` where :math:`\lambda` is the adjoint of :math:`u`, has the same form:

.. math::

    Z = z + \mu, \quad g = \mu + b Z, \quad P = p - D g, \quad
    q = r + \sum_{axes} (D_2 g - D (b P)), \quad z' = a Z, \quad p' = a P, \quad \mu_- = 2 \mu - \mu_+ + w q
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from torchlops.waveeqprocessing._acoustic.grid import Grid
from torchlops.waveeqprocessing._acoustic.sampling import Points

Push: TypeAlias = "tuple[Tensor, Tensor] | None"
"""A perturbation of ``w``, and the ``q`` of the unperturbed field, whose product drives the perturbed one."""


class State(NamedTuple):
    """A wavefield ``(*batch, shots, *nodes)`` at two times, and the memories of the layers, one pair for each axis."""

    now: Tensor
    before: Tensor
    p: tuple[Tensor, ...]
    z: tuple[Tensor, ...]


class FunctionalStep:
    """The step by products with the matrices of the derivatives, for every mode of differentiation.

    Args:
        grid: The grid.
        w: The squared velocities times the squared time step, ``(*batch, 1, *nodes)``, with the layers.
        sources: Where the forward step adds what it is given.
        receivers: Where the transposed step does.
    """

    def __init__(self, grid: Grid, w: Tensor, sources: Points, receivers: Points) -> None:
        self.grid, self.w, self.sources, self.receivers = grid, w, sources, receivers
        axes = range(grid.ndim)
        self.derivatives = [tuple(_along(axis - grid.ndim, M) for M in grid.matrices(axis, w)) for axis in axes]
        self.coefficients = [
            tuple(c.reshape(-1, *(1,) * (grid.ndim - 1 - axis)) for c in grid.damping(axis, w)) for axis in axes
        ]

    def batch_of(self, perturbation: Tensor) -> torch.Size:
        """Return the batch axes of a perturbation of ``w``."""
        return perturbation.shape[: -self.grid.ndim - 1]

    def start(self, *batches: torch.Size) -> State:
        """Return a state of rest, of a batch to which that of ``w`` and ``batches`` broadcast."""
        batch = torch.broadcast_shapes(self.batch_of(self.w), *batches)  # type: ignore[no-untyped-call]
        zero = self.w.new_zeros((*batch, self.sources.shots, *self.grid.padded))
        memories = (zero,) * self.grid.ndim
        return State(zero, zero, memories, memories)

    def room(self, state: State) -> None:
        """Return nothing, since no room is needed for results that are new tensors."""

    def at_receivers(self, state: State) -> Tensor:
        """Return the wavefield at the receivers."""
        return self.receivers.take(state.now)

    def at_sources(self, state: State) -> Tensor:
        """Return the wavefield at the sources."""
        return self.sources.take(state.now)

    def accumulate(self, image: Tensor | None, state: State, q: Tensor) -> Tensor:
        """Return ``image`` with the product of a wavefield and ``q``, summed over shots, added."""
        product = (state.now * q).sum(-self.grid.ndim - 1, keepdim=True)
        return product if image is None else image + product

    def image(self, image: Tensor) -> Tensor:
        """Return what was accumulated, of the shape of ``w``."""
        return image

    def nodes(self, field: Tensor) -> Tensor:
        """Return a field on the nodes: as it is."""
        return field

    def forward(self, state: State, f: Tensor | None, push: Push = None, keep: None = None) -> tuple[State, Tensor]:  # noqa: ARG002
        """Return the next state and ``q``, with ``f`` added at the sources."""
        u, p, z = state.now, [], []
        q = self._injected(u, self.sources, f)
        for (D, D2), (a, b), p_old, z_old in zip(self.derivatives, self.coefficients, state.p, state.z, strict=True):
            p.append(a * p_old + b * D(u))
            t = D2(u) + D(p[-1])
            z.append(a * z_old + b * t)
            q = q + t + z[-1]
        return self._advanced(state, q, push, p, z)

    def transposed(self, state: State, r: Tensor | None, push: Push = None, keep: None = None) -> tuple[State, Tensor]:  # noqa: ARG002
        """Return the previous adjoint state and its ``q``, with ``r`` added at the receivers."""
        mu, p, z = state.now, [], []
        q = self._injected(mu, self.receivers, r)
        for (D, D2), (a, b), p_old, z_old in zip(self.derivatives, self.coefficients, state.p, state.z, strict=True):
            Z = z_old + mu
            g = mu + b * Z
            P = p_old - D(g)
            q = q + D2(g) - D(b * P)
            p.append(a * P)
            z.append(a * Z)
        return self._advanced(state, q, push, p, z)

    def _advanced(self, state: State, q: Tensor, push: Push, p: list[Tensor], z: list[Tensor]) -> tuple[State, Tensor]:
        after = 2 * state.now - state.before + self.w * q
        if push is not None:
            after = after + push[0] * push[1]
        return State(after, state.now, tuple(p), tuple(z)), q

    def _injected(self, field: Tensor, points: Points, values: Tensor | None) -> Tensor:
        zero = torch.zeros_like(field)
        return zero if values is None else points.add(zero, values)


def _along(axis: int, matrix: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the product with ``matrix`` along an axis, counted from the end."""
    if axis == -1:
        return lambda u: u @ matrix.mT
    if axis == -2:
        return lambda u: matrix @ u
    return lambda u: (u.movedim(axis, -1) @ matrix.mT).movedim(-1, axis)
