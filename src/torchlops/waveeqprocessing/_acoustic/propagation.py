r"""Data, perturbed data, gradients and their perturbations, by steps forward and backward in time.

For data :math:`d_n = R u_n` from :math:`u_{n+1} = 2 u_n - u_{n-1} + w q_n`, a perturbation :math:`\delta w` drives
:math:`\delta u` with :math:`\delta w \, q_n`. With the adjoint :math:`\mu`, driven by the data :math:`r`,

.. math:: \frac{\partial}{\partial w} \sum_n r_n^T d_n = \frac1w \sum_n \mu_{n+1} q_n, \quad
          \frac{\partial}{\partial f_n} = S^T \mu_{n+1}

The adjoint obeys the transposed recursion :math:`\mu_n = 2 \mu_{n+1} - \mu_{n+2} + w \kappa_n`, so a perturbation of
it is driven with :math:`\delta w \, \kappa_n` in the same way. These functions are linear in what they take, and need
nothing of a step but its interface: they run on the functional step, which every mode of differentiation can follow,
and on the fast one, which writes in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

Fields: TypeAlias = "tuple[Any, Any]"
"""The states of the wavefield and of its perturbation, or what both left; None where there is no perturbation."""


class Step(Protocol):
    """What steps of both forms have in common; ``keep`` is where a step that writes in place leaves ``q``."""

    w: Tensor

    def batch_of(self, perturbation: Tensor) -> torch.Size: ...
    def start(self, *batches: torch.Size) -> Any: ...
    def room(self, state: Any) -> Any: ...
    def forward(self, state: Any, f: Tensor | None, push: Any = None, keep: Any = None) -> tuple[Any, Any]: ...
    def transposed(self, state: Any, r: Tensor | None, push: Any = None, keep: Any = None) -> tuple[Any, Any]: ...
    def at_receivers(self, state: Any) -> Tensor: ...
    def at_sources(self, state: Any) -> Tensor: ...
    def accumulate(self, image: Any, state: Any, q: Any) -> Any: ...
    def image(self, image: Any) -> Tensor: ...
    def nodes(self, field: Tensor) -> Tensor: ...


class Drive(NamedTuple):
    """What drives the wavefield and its perturbation.

    Args:
        f: What is added at the sources, ``(nt, *batch, shots, points)``.
        dw: Perturbation of ``w``, or None.
        df: Perturbation of ``f``, or None.
    """

    f: Tensor
    dw: Tensor | None = None
    df: Tensor | None = None

    def start(self, step: Step) -> Fields:
        """Return the fields at rest."""
        batch = self.f.shape[1:-2]
        u = step.start(batch)
        if self.dw is None and self.df is None:
            return u, None
        of_dw = () if self.dw is None else (step.batch_of(self.dw),)
        of_df = () if self.df is None else (self.df.shape[1:-2],)
        return u, step.start(batch, *of_dw, *of_df)

    def advance(self, step: Step, n: int, fields: Fields, keep: Fields) -> tuple[Fields, Fields]:
        """Return the fields one step later, and what their ``q`` were."""
        u, du = fields
        u, q = step.forward(u, self.f[n], keep=keep[0])
        if du is None:
            return (u, None), (q, None)
        push = None if self.dw is None else (self.dw, q)
        du, dq = step.forward(du, None if self.df is None else self.df[n], push, keep=keep[1])
        return (u, du), (q, dq)

    def room(self, step: Step, fields: Fields) -> Fields:
        """Return where the ``q`` of a step can be kept."""
        return step.room(fields[0]), None if fields[1] is None else step.room(fields[1])


class Tape(Protocol):
    """What remembers the wavefields for the way back."""

    def before(self, n: int, fields: Fields) -> None: ...
    def after(self, q: Fields) -> None: ...
    def backwards(self) -> Iterator[Fields]: ...


class EveryStep:
    """A tape of all ``q``."""

    def __init__(self) -> None:
        self.kept: list[Fields] = []

    def before(self, n: int, fields: Fields) -> None:
        """Nothing is kept before a step."""

    def after(self, q: Fields) -> None:
        """Keep the ``q`` of a step."""
        self.kept.append(q)

    def backwards(self) -> Iterator[Fields]:
        """Yield them from the last to the first."""
        return reversed(self.kept)


def run(step: Step, drive: Drive, tape: Tape | None = None) -> tuple[Tensor, Tensor | None]:
    """Return the data ``(nt, *batch, shots, receivers)`` and their perturbation."""
    nt = drive.f.shape[0]
    fields = drive.start(step)
    needs_q = drive.dw is not None
    keep: Fields = (step.room(fields[0]) if needs_q else None, None)
    data: list[Tensor] = []
    perturbed: list[Tensor] = []
    for n in range(nt):
        data.append(step.at_receivers(fields[0]))
        if fields[1] is not None:
            perturbed.append(step.at_receivers(fields[1]))
        if n == nt - 1:
            break
        if tape is not None:
            tape.before(n, fields)
        fields, q = drive.advance(step, n, fields, keep)
        if tape is not None:
            tape.after(q)
    return torch.stack(data), torch.stack(perturbed) if perturbed else None


class Back(NamedTuple):
    """The way back: derivatives by ``w`` and ``f`` of the inner product with ``r``, and their perturbations."""

    w: Tensor
    f: Tensor
    dw: Tensor | None
    df: Tensor | None


def back(step: Step, drive: Drive, tape: Tape, r: Tensor, dr: Tensor | None = None) -> Back:
    """Return the derivatives of ``sum(r * data)`` by ``w`` and ``f``, and their perturbations by ``drive`` and ``dr``.

    The derivative by ``w`` has the batch axes of all that is given. There are no perturbations without one in
    ``drive``.
    """
    nt = drive.f.shape[0]
    perturbs = drive.dw is not None or drive.df is not None or dr is not None
    batches = [drive.f.shape[1:-2], r.shape[1:-2]]
    mu = step.start(*batches)
    for given in (drive.df, dr):
        if given is not None:
            batches.append(given.shape[1:-2])
    if drive.dw is not None:
        batches.append(step.batch_of(drive.dw))
    nu = step.start(*batches) if perturbs else None
    keep = step.room(mu) if drive.dw is not None else None
    image = changed = None
    of_f, of_df = [torch.zeros_like(step.at_sources(mu))], [torch.zeros_like(step.at_sources(nu))] if perturbs else []
    for n, (q, dq) in zip(range(nt - 1, 0, -1), tape.backwards(), strict=True):
        push = None
        mu, kappa = step.transposed(mu, r[n], keep=keep)
        if nu is not None:
            push = None if drive.dw is None else (drive.dw, kappa)
            nu, _ = step.transposed(nu, None if dr is None else dr[n], push)
            changed = step.accumulate(changed, nu, q)
            if dq is not None:
                changed = step.accumulate(changed, mu, dq)
            of_df.append(step.at_sources(nu))
        image = step.accumulate(image, mu, q)
        of_f.append(step.at_sources(mu))
    if image is None:  # without a step
        image = step.accumulate(None, mu, mu.now)
        changed = None if nu is None else step.accumulate(None, nu, nu.now)
    w = step.nodes(step.w)
    by_w = step.image(image) / w
    by_dw = None
    if changed is not None:
        by_dw = step.image(changed) / w
        if drive.dw is not None:
            by_dw = by_dw - step.nodes(drive.dw) * by_w / w
    return Back(by_w, torch.stack(of_f[::-1]), by_dw, torch.stack(of_df[::-1]) if perturbs else None)
