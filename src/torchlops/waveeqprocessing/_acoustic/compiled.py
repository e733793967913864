"""The step in place with kernels compiled by ``torch.compile``."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from torchlops.torch_internals import compiler_of_inductor
from torchlops.waveeqprocessing._acoustic.fast import FastState, FastStep, Push, Stencil, Strips
from torchlops.waveeqprocessing._acoustic.grid import Grid
from torchlops.waveeqprocessing._acoustic.sampling import Points

Stencils = tuple[Stencil, ...]
Tensors = list[Tensor]

# The kernels are functional inside and copy their results in place at the end: inductor of torch 2.13 is silently
# wrong on kernels that write a view and read it again, for one item of a batch. Views that overlap are passed in
# separate calls.


def _slope(stencil: Stencil, u: Tensor) -> Tensor:
    return functools.reduce(
        torch.add, [c * (stencil.at(u, m) - stencil.at(u, -m)) for m, c in enumerate(stencil.first, 1)]
    )


def _curvature(stencil: Stencil, u: Tensor) -> Tensor:
    centre = (-2 * math.fsum(stencil.second)) * stencil.at(u)
    return functools.reduce(
        torch.add, [c * (stencil.at(u, m) + stencil.at(u, -m)) for m, c in enumerate(stencil.second, 1)], centre
    )


def _interior(stencils: Stencils, now: Tensor, before: Tensor, w: Tensor, q: Tensor | None) -> None:
    total = functools.reduce(torch.add, [_curvature(stencil, now) for stencil in stencils])
    if q is not None:
        q.copy_(total)
    before.copy_(2 * stencils[0].at(now) - before + w * total)


def _forward_first(
    stencils: Stencils, now: Tensor, before: Tensor, w: Tensor, q: Tensor | None,
    of_strips: Stencils, u: Tensors, p: Tensors, a: Tensors, b: Tensors,
) -> None:  # fmt: skip
    _interior(stencils, now, before, w, q)
    for stencil, u_, p_, a_, b_ in zip(of_strips, u, p, a, b, strict=True):
        p_.copy_(a_ * p_ + b_ * _slope(stencil, u_))


def _forward_second(
    stencil: Stencil, u: Tensor, p: Tensor, z: Tensor, a: Tensor, b: Tensor, before: Tensor, w: Tensor, q: Tensor | None
) -> None:
    slope = _slope(stencil, p)
    after = a * z + b * (_curvature(stencil, u) + slope)
    more = slope + after
    z.copy_(after)
    before.copy_(before + w * more)
    if q is not None:
        q.copy_(q + more)


def _transposed_first(
    stencils: Stencils, now: Tensor, before: Tensor, w: Tensor, q: Tensor | None,
    u: Tensors, z: Tensors, a: Tensors, b: Tensors, bz: Tensors,
) -> None:  # fmt: skip
    _interior(stencils, now, before, w, q)
    for u_, z_, a_, b_, bz_ in zip(u, z, a, b, bz, strict=True):
        after = z_ + u_
        bz_.copy_(b_ * after)
        z_.copy_(a_ * after)


def _transposed_second(
    stencils: Stencils, u: Tensors, bz: Tensors, p: Tensors, a: Tensors, b: Tensors, bp: Tensors
) -> None:
    for stencil, u_, bz_, p_, a_, b_, bp_ in zip(stencils, u, bz, p, a, b, bp, strict=True):
        after = p_ - (_slope(stencil, u_) + _slope(stencil, bz_))
        bp_.copy_(b_ * after)
        p_.copy_(a_ * after)


def _transposed_third(stencil: Stencil, bz: Tensor, bp: Tensor, before: Tensor, w: Tensor, q: Tensor | None) -> None:
    more = _curvature(stencil, bz) - _slope(stencil, bp)
    before.copy_(before + w * more)
    if q is not None:
        q.copy_(q + more)


@functools.cache
def can_compile() -> bool:
    """Whether there is a C++ compiler for the kernels of a CPU."""
    return compiler_of_inductor() is not None


class CompiledStep(FastStep):
    """The step in place, compiled: the first call of each kernel takes seconds."""

    turns = False
    kernels: ClassVar[dict[Any, Callable[..., None]]] = {}

    def __init__(self, grid: Grid, w: Tensor, sources: Points, receivers: Points) -> None:
        super().__init__(grid, w, sources, receivers)
        self._stencils = tuple(self.stencils)
        self._of_strips = tuple(strip.stencil for strip in self.strips)
        self._a, self._b = [strip.a for strip in self.strips], [strip.b for strip in self.strips]
        self._w_inside = self.stencils[0].at(self.w)
        self._w_of_strips = [strip.inside(self.w) for strip in self.strips]
        self._recent: list[tuple[Tensor, Tensor, tuple[Tensor, ...], tuple[Any, ...]]] = []

    def _compiled(self, kernel: Callable[..., None], like: Tensor) -> Callable[..., None]:
        """Return a kernel that is compiled for this grid and batch only, so that others do not evict it."""
        key = kernel, self.grid.shape, self.grid.pml_width, self.grid.space_order, like.shape, like.dtype, like.device
        if key not in self.kernels:
            self.kernels[key] = torch.compile(  # type: ignore[call-overload]
                kernel, dynamic=False, fullgraph=True, isolate_recompiles=True
            )
        return self.kernels[key]

    def forward(
        self, state: FastState, f: Tensor | None, push: Push = None, keep: Tensor | None = None
    ) -> tuple[FastState, Tensor]:
        """Advance the state; ``q`` is left in ``keep``, if there is one."""
        now, before, p, z = state
        first, second, views, contents, targets = self._of(now, before, p)
        at = self.stencils[0].at
        first(
            self._stencils, now, targets[-1], self._w_inside, None if keep is None else at(keep),
            self._of_strips, views, contents, self._a, self._b,
        )  # fmt: skip
        columns = zip(self.strips, views, p, z, targets[:-1], self._w_of_strips, strict=True)
        for strip, view, p_axis, z_axis, target, w in columns:
            kept = None if keep is None else strip.inside(keep)
            second(strip.stencil, view, p_axis, z_axis, strip.a, strip.b, target, w, kept)
        return self._complete(state, self.sources, f, push, keep)

    def _of(self, now: Tensor, before: Tensor, p: tuple[Tensor, ...]) -> tuple[Any, ...]:
        """Return the kernels of the forward step, and the views of a state, which returns every other step."""
        for known_now, known_before, known_p, found in self._recent:
            if known_now is now and known_before is before and known_p is p:
                return found
        found = (
            self._compiled(_forward_first, now),
            self._compiled(_forward_second, now),
            [strip.around(now) for strip in self.strips],
            [strip.content(p_axis) for strip, p_axis in zip(self.strips, p, strict=True)],
            [*(strip.inside(before) for strip in self.strips), self.stencils[0].at(before)],
        )
        self._recent = [*self._recent[-3:], (now, before, p, found)]
        return found

    def transposed(
        self, state: FastState, r: Tensor | None, push: Push = None, keep: Tensor | None = None
    ) -> tuple[FastState, Tensor]:
        """Go back one step with the adjoint state; its ``q`` is left in ``keep``, if there is one."""
        now, before, p, z = state
        bz = [self.scratch(f"bz{axis}", p_axis) for axis, p_axis in enumerate(p)]
        bp = [self.scratch(f"bp{axis}", p_axis) for axis, p_axis in enumerate(p)]
        in_bz, in_bp, in_p = (
            [strip.content(m) for strip, m in zip(self.strips, memories, strict=True)] for memories in (bz, bp, p)
        )
        self._compiled(_transposed_first, now)(
            *self._whole(now, before, keep),
            [strip.inside(now) for strip in self.strips],
            list(z),
            self._a,
            self._b,
            in_bz,
        )
        self._compiled(_transposed_second, now)(
            self._of_strips, [strip.around(now) for strip in self.strips], bz, in_p, self._a, self._b, in_bp
        )
        for strip, bz_axis, bp_axis in zip(self.strips, bz, bp, strict=True):
            self._compiled(_transposed_third, now)(strip.stencil, bz_axis, bp_axis, *self._targets(strip, before, keep))
        return self._complete(state, self.receivers, r, push, keep)

    def _whole(self, now: Tensor, before: Tensor, keep: Tensor | None) -> tuple[Any, ...]:
        at = self.stencils[0].at
        return self._stencils, now, at(before), self._w_inside, None if keep is None else at(keep)

    def _targets(self, strip: Strips, before: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        return strip.inside(before), strip.inside(self.w), None if keep is None else strip.inside(keep)

    def _complete(
        self, state: FastState, points: Points, values: Tensor | None, push: Push, keep: Tensor | None
    ) -> tuple[FastState, Any]:
        after = state.before
        if values is not None:
            amounts = points.spread(values)
            if keep is not None:
                self._inject(keep, points, amounts)
            self._inject(after, points, amounts * self._w_at(points))
        if push is not None:
            after.addcmul_(*push)
        return FastState(after, state.now, state.p, state.z), keep

    def _w_at(self, points: Points) -> Tensor:
        nodes = points.nodes.flatten(1)
        return self.w.expand(-1, nodes.shape[0], -1).gather(-1, nodes.expand(self.w.shape[0], *nodes.shape))
