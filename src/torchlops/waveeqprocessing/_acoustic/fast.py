"""The step in time in place, with the memory of the absorbing layers in strips.

Wavefields are flat, with a halo of zeros around each: the neighbour of a node is then a constant number of elements
away, and a stencil is a sum of shifted slices. ``w`` is zero in the halo, so that whatever the slices compute there
has no effect. The two strips of an axis are one view. Their nodes are those of the layers and as many more as a
stencil reaches, where the memory acts, although none is kept (there :math:`b = 0`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

from torchlops.waveeqprocessing._acoustic.grid import Grid
from torchlops.waveeqprocessing._acoustic.sampling import Points

_BLOCK = 1 << 17
"""Number of elements of a block of a stencil in three arrays that fit in the cache of a core."""

Push: TypeAlias = "tuple[Tensor, Tensor] | None"


class Stencil(NamedTuple):
    """The derivatives along one axis of flat fields.

    Args:
        first: Weights of ``u[i + m] - u[i - m]`` in the first derivative, m = 1, 2, ...
        second: Weights of ``u[i + m] - 2 u[i] + u[i - m]`` in the second.
        step: Number of elements between neighbours.
        edge: Number of elements before the first and after the last for which there are results.
    """

    first: tuple[float, ...]
    second: tuple[float, ...]
    step: int
    edge: int

    def at(self, u: Tensor, m: int = 0) -> Tensor:
        """Return a view of ``u``, shifted by ``m`` neighbours."""
        return u.narrow(-1, self.edge + m * self.step, u.shape[-1] - 2 * self.edge)

    def slope(self, u: Tensor, out: Tensor) -> Tensor:
        """Return the first derivative in ``out``."""
        torch.sub(self.at(u, 1), self.at(u, -1), out=out).mul_(self.first[0])
        for m, c in enumerate(self.first[1:], 2):
            out.add_(self.at(u, m), alpha=c).sub_(self.at(u, -m), alpha=c)
        return out

    def curvature(self, u: Tensor, out: Tensor) -> Tensor:
        """Return the second derivative in ``out``."""
        return self.add_curvature(u, torch.mul(self.at(u), -2 * math.fsum(self.second), out=out))

    def add_curvature(self, u: Tensor, out: Tensor) -> Tensor:
        """Add the second derivative, without its central term, to ``out``."""
        for m, c in enumerate(self.second, 1):
            out.add_(self.at(u, m), alpha=c).add_(self.at(u, -m), alpha=c)
        return out


class FastState(NamedTuple):
    """Wavefields ``(models, shots, elements)`` at two times, and the memories ``(models, shots, outer, 2, elements)``.

    The memories ``p`` have room for a halo on both sides of a strip.
    """

    now: Tensor
    before: Tensor
    p: tuple[Tensor, ...]
    z: tuple[Tensor, ...]

    def clone(self) -> FastState:
        """Return a copy."""
        return FastState(
            self.now.clone(), self.before.clone(), tuple(p.clone() for p in self.p), tuple(z.clone() for z in self.z)
        )


class Strips:
    """The two absorbing layers of one axis.

    Args:
        grid: The grid.
        axis: The axis.
        like: A tensor of the dtype and on the device of the wavefields.
        turned: Whether the strips of the last axis are copied such that the elements along other axes are contiguous.
    """

    def __init__(self, grid: Grid, axis: int, like: Tensor, turned: bool) -> None:
        sizes = [n + 2 * grid.reach for n in grid.padded]
        self.reach, self.width = grid.reach, grid.pml_width + grid.reach
        self.outer, self.inner = math.prod(sizes[:axis]), math.prod(sizes[axis + 1 :])
        self.row = sizes[axis] * self.inner
        self.apart = (grid.padded[axis] - self.width) * self.inner
        self.turned = turned and self.inner == 1
        step = self.outer if self.turned else self.inner
        self.stencil = Stencil(grid.first(axis), grid.second(axis), step, self.reach * step)
        a, b = grid.damping(axis, like)
        self.a, self.b = (torch.stack((c[: self.width], c[-self.width :])).repeat_interleave(step, -1) for c in (a, b))

    def around(self, field: Tensor) -> Tensor:
        """Return the strips with their halos, ``(models, shots, outer, 2, elements)``: a view, unless turned."""
        view = self._view(field, self.width + 2 * self.reach, 0)
        return view.movedim(2, -1).flatten(-2).unsqueeze(2) if self.turned else view

    def inside(self, field: Tensor) -> Tensor:
        """Return the strips alone."""
        view = self._view(field, self.width, self.reach)
        return view.movedim(2, -1).flatten(-2).unsqueeze(2) if self.turned else view

    def add(self, field: Tensor, values: Tensor, sign: int = 1) -> None:
        """Add what stands in the strips to a field."""
        view = self._view(field, self.width, self.reach)
        if self.turned:
            values = values.squeeze(2)
            values = values.view(*values.shape[:-1], self.width, self.outer).movedim(-1, 2)
        view.add_(values, alpha=sign)

    def _view(self, field: Tensor, nodes: int, offset: int) -> Tensor:
        models, shots = field.shape[:2]
        shape = models, shots, self.outer, 2, nodes * self.inner
        strides = (*field.stride()[:2], self.row, self.apart, 1)
        return field.as_strided(shape, strides, field.storage_offset() + offset * self.inner)

    def memory(self, batch: tuple[int, int], like: Tensor, with_halo: bool) -> Tensor:
        """Return zeros for the memory of the strips."""
        nodes = self.width + 2 * self.reach * with_halo
        outer = 1 if self.turned else self.outer
        return like.new_zeros((*batch, outer, 2, nodes * self.stencil.step))

    def content(self, memory: Tensor) -> Tensor:
        """Return a memory without its halo."""
        return self.stencil.at(memory)


class FastStep:
    """The step in place. A state belongs to the run that advances it, and is overwritten.

    Args:
        grid: The grid, at least twice as wide as a stencil reaches.
        w: The squared velocities times the squared time step, ``(models, 1, *nodes)``, with the layers.
        sources: Where the forward step adds what it is given.
        receivers: Where the transposed step does.
    """

    turns = True

    def __init__(self, grid: Grid, w: Tensor, sources: Points, receivers: Points) -> None:
        self.grid = grid
        self.sizes = [n + 2 * grid.reach for n in grid.padded]
        self.w = self.flat(w)
        self.sources, self.receivers = self._moved(sources), self._moved(receivers)
        self.strips = [Strips(grid, axis, w, self.turns) for axis in range(grid.ndim)] if grid.pml_width else []
        steps = [math.prod(self.sizes[axis + 1 :]) for axis in range(grid.ndim)]
        self.edge = grid.reach * steps[0]
        self.stencils = [
            Stencil(grid.first(axis), grid.second(axis), steps[axis], self.edge) for axis in range(grid.ndim)
        ]
        self.centre = -2 * math.fsum(c for stencil in self.stencils for c in stencil.second)
        self._scratch: dict[Any, Tensor] = {}

    @staticmethod
    def suits(grid: Grid) -> bool:
        """Whether the strips of opposite layers do not overlap."""
        return min(grid.shape) >= 2 * grid.reach

    def flat(self, field: Tensor) -> Tensor:
        """Return a field on the nodes, flat and with its halo."""
        return pad(field, (self.grid.reach,) * (2 * self.grid.ndim)).flatten(-self.grid.ndim).contiguous()

    def nodes(self, field: Tensor) -> Tensor:
        """Return a field on the nodes, without its halo."""
        nodes = field.view(*field.shape[:-1], *self.sizes)
        for axis, n in enumerate(self.grid.padded):
            nodes = nodes.narrow(axis - self.grid.ndim, self.grid.reach, n)
        return nodes

    def _moved(self, points: Points) -> Points:
        """Return points with the indices of flat fields."""
        nodes, rest = torch.zeros_like(points.nodes), points.nodes
        stride = 1
        for n, size in zip(self.grid.padded[::-1], self.sizes[::-1], strict=True):
            nodes = nodes + (rest % n + self.grid.reach) * stride
            rest, stride = rest // n, stride * size
        weights = None if points.weights is None else points.weights.to(self.w.dtype)
        if weights is not None and nodes.shape[-1] == 1 and bool((weights == 1).all()):
            weights = None
        return Points(nodes, weights, 1)

    # -- what the loops need -----------------------------------------------------------------------------------

    def batch_of(self, perturbation: Tensor) -> torch.Size:
        """Return the batch axis of a perturbation of ``w``."""
        return perturbation.shape[:1]

    def start(self, *batches: torch.Size) -> FastState:
        """Return a state of rest."""
        (models,) = torch.broadcast_shapes(self.w.shape[:1], *batches)  # type: ignore[no-untyped-call]
        batch = models, self.sources.shots
        now, before = (self.w.new_zeros((*batch, self.w.shape[-1])) for _ in range(2))
        p = tuple(strip.memory(batch, self.w, True) for strip in self.strips)
        z = tuple(strip.memory(batch, self.w, False) for strip in self.strips)
        return FastState(now, before, p, z)

    def room(self, state: FastState) -> Tensor:
        """Return zeros for one ``q``."""
        return torch.zeros_like(state.now)

    def at_receivers(self, state: FastState) -> Tensor:
        """Return the wavefield at the receivers."""
        return self.receivers.take(state.now)

    def at_sources(self, state: FastState) -> Tensor:
        """Return the wavefield at the sources."""
        return self.sources.take(state.now)

    def accumulate(self, image: Tensor | None, state: FastState, q: Tensor) -> Tensor:
        """Add the product of a wavefield and ``q`` to ``image``, for each shot."""
        if image is None:
            return state.now * q
        if image.shape[0] < max(state.now.shape[0], q.shape[0]):
            return image + state.now * q
        return image.addcmul_(state.now, q)

    def image(self, image: Tensor) -> Tensor:
        """Return what was accumulated, summed over shots."""
        return self.nodes(image.sum(1, keepdim=True))

    def scratch(self, role: str, like: Tensor) -> Tensor:
        """Return memory that is reused in every step; zeros at first."""
        key = role, like.shape
        if key not in self._scratch:
            self._scratch[key] = torch.zeros_like(like)
        return self._scratch[key]

    # -- the step ------------------------------------------------------------------------------------------------

    def forward(
        self, state: FastState, f: Tensor | None, push: Push = None, keep: Tensor | None = None
    ) -> tuple[FastState, Tensor]:
        """Advance the state; ``q`` is left in ``keep``."""
        q = self._laplacian(state.now, keep)
        for axis, (strip, p, z) in enumerate(zip(self.strips, state.p, state.z, strict=True)):
            stencil, around, t = strip.stencil, strip.around(state.now), self.scratch(f"t{axis}", z)
            content = strip.content(p)
            content.mul_(strip.a).addcmul_(strip.b, stencil.slope(around, t))
            slope = stencil.slope(p, t)
            curved = stencil.curvature(around, self.scratch(f"c{axis}", z)).add_(slope)
            strip.add(q, slope.add_(z.mul_(strip.a).addcmul_(strip.b, curved)))
        return self._advanced(state, q, self.sources, f, push)

    def transposed(
        self, state: FastState, r: Tensor | None, push: Push = None, keep: Tensor | None = None
    ) -> tuple[FastState, Tensor]:
        """Go back one step with the adjoint state; its ``q`` is left in ``keep``."""
        q = self._laplacian(state.now, keep)
        for axis, (strip, p, z) in enumerate(zip(self.strips, state.p, state.z, strict=True)):
            stencil, around = strip.stencil, strip.around(state.now)
            t, held, g = self.scratch(f"t{axis}", z), self.scratch(f"h{axis}", p), self.scratch(f"g{axis}", p)
            content, in_held = strip.content(p), strip.content(held)
            torch.mul(z.add_(stencil.at(around)), strip.b, out=in_held)
            z.mul_(strip.a)
            strip.add(q, stencil.curvature(held, t))
            content.sub_(stencil.slope(torch.add(around, held, out=g), t))
            torch.mul(content, strip.b, out=in_held)
            content.mul_(strip.a)
            strip.add(q, stencil.slope(held, t), -1)
        return self._advanced(state, q, self.receivers, r, push)

    def _laplacian(self, now: Tensor, keep: Tensor | None) -> Tensor:
        q = self.scratch("q", now) if keep is None else keep
        u, total, edge = now.view(-1), q.view(-1), self.edge
        for start in range(edge, total.numel() - edge, _BLOCK):  # a block and what it reads stay in the cache of a core
            length = min(_BLOCK, total.numel() - edge - start)
            block, around = total.narrow(0, start, length), u.narrow(0, start - edge, length + 2 * edge)
            torch.mul(self.stencils[0].at(around), self.centre, out=block)
            for stencil in self.stencils:
                stencil.add_curvature(around, block)
        return q

    def _advanced(
        self, state: FastState, q: Tensor, points: Points, values: Tensor | None, push: Push
    ) -> tuple[FastState, Tensor]:
        if values is not None:
            self._inject(q, points, points.spread(values))
        after = state.before.lerp_(state.now, 2.0).addcmul_(self.w, q)  # 2 now - before + w q
        if push is not None:
            after.addcmul_(*push)
        return FastState(after, state.now, state.p, state.z), q

    @staticmethod
    def _inject(field: Tensor, points: Points, amounts: Tensor) -> None:
        nodes = points.nodes.flatten(1)
        shape = (*field.shape[:-1], nodes.shape[-1])
        field.scatter_add_(-1, nodes.expand(shape), amounts.expand(shape))
