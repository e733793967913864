"""Conjugate gradients for least squares."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from torchlops.optimization.solver.problem import Layout, Problem, can_look, unit_of
from torchlops.optimization.solver.solver import Solver, limit_of, mismatch
from torchlops.optimization.solver.state import WORK, State, Status
from torchlops.optimization.solver.vectors import Scalar, axpy, minimum, norm, quotient, ratio, sqrt, squared_norm, xpay


@dataclass(kw_only=True)
class CGLSState(State):
    """The state of CGLS. Gradients are in units of ``unit``, so that their squares do not underflow.

    Attributes:
        r: The residual.
        p: The direction.
        k: Squared norm of the gradient.
        rr: Squared norm of the residual.
        scale: Norm of the gradient at ``x = 0``.
        limit, residual_limit: Up to which ``k`` and ``rr`` are small.
        shortest: The shortest step so far.
        unit: Unit of gradients, a power of two; None for 1.
    """

    r: Tensor = field(metadata=WORK)
    p: Tensor = field(metadata=WORK)
    k: Scalar
    rr: Scalar
    scale: Scalar
    limit: Scalar
    residual_limit: Scalar
    shortest: Scalar
    unit: Scalar | None


@dataclass(frozen=True, eq=False)
class CGLS(Solver[CGLSState]):
    r"""Conjugate gradients for (damped) least squares.

    .. math:: \min_x \|y - A x\|^2 + \epsilon^2 \|x\|^2

    Mathematically the conjugate gradients on the normal equations, which are never formed. With an ``offset``
    :math:`g` of the problem they are :math:`(A^H A + \epsilon^2) x = A^H y + g`.

    Args:
        tol: Absolute tolerance on the *squared* norm of the gradient ``A^H r - damp^2 x``, as in PyLops. This, and
            each other tolerance, is a number, or one per sample.
        rtol: Tolerance on the norm of the residual, relative to the initial one of the sample.
        rtol1: The same, relative to the norm of the data of the sample.
        gtol: Tolerance on the norm of the gradient, relative to that at ``x = 0``.

    Source: M. R. Hestenes and E. Stiefel, Methods of conjugate gradients for solving linear systems, J. Res. Nat.
    Bur. Standards 49 (1952), 409-436, section 10.
    """

    tol: Any = 1e-4
    rtol: Any = 0.0
    rtol1: Any = 0.0
    gtol: Any = 0.0

    kind = "least squares"
    vectors = (3, 3)  # x, p, s and y, r, q

    def start(self, problem: Problem) -> CGLSState:
        r, at_zero = problem.r.clone(), None
        s = _gradient(problem, r, problem.x, None)
        if problem.has_guess:
            at_zero = problem.offset if problem.offset is not None else problem.adjoint(problem.y)
        unit = _unit_of_gradients(s if at_zero is None else torch.cat([s, at_zero], -1))
        if unit is not None:
            s, at_zero = s / unit, None if at_zero is None else at_zero / unit
        k, rr = squared_norm(s), squared_norm(r)
        scale = sqrt(k) if at_zero is None else norm(at_zero)
        state = CGLSState(
            x=problem.x.clone(), cost=sqrt(rr), r=r, p=s.clone(), k=k, rr=rr, scale=scale,
            limit=limit_of(problem, sqrt(k), scale, self.tol, 0.0, self.gtol, unit=unit),
            residual_limit=limit_of(problem, sqrt(rr), norm(problem.y), 0.0, self.rtol, self.rtol1, has_floor=False),
            shortest=0.0 * k + math.inf, unit=unit,
        )  # fmt: skip
        state.go_on((k > state.limit) & ((rr > state.residual_limit) | (rr == 0)))
        return state

    def iterate(self, problem: Problem, state: CGLSState) -> None:
        s = state
        q = problem.forward(s.p)
        if s.count == 1 and not problem.has_guess and problem.offset is None:
            s.mismatch = mismatch(q, s.r, s.k if s.unit is None else s.k * s.unit)
        qq = squared_norm(q)
        if problem.is_damped:
            qq = qq + problem.damp**2 * squared_norm(s.p)
        alpha = quotient(s.k, qq, s.active)
        step = alpha if s.unit is None else alpha * s.unit  # p and q are in units of gradients, too
        s.x = axpy(s.x, step, s.p)
        s.r = axpy(s.r, step, q, -1)
        gradient = _gradient(problem, s.r, s.x, s.unit)
        k = squared_norm(gradient)
        s.p = xpay(gradient, quotient(k, s.k, s.active), s.p)
        s.k, s.rr = k, squared_norm(s.r)
        s.cost = sqrt(s.rr)
        # the shortest step is above 1 / ||A||^2; a gradient below the rounding of A^H r would make ever longer ones
        s.shortest = minimum(s.shortest, alpha)
        size = s.shortest if s.unit is None else s.shortest * s.unit * s.unit
        is_noise = k * size <= (4 * problem.rounding) ** 2 * s.rr
        s.active = (s.active & (k > s.limit) & (s.rr > s.residual_limit)) > is_noise

    def final_status(self, problem: Problem, state: CGLSState, status: Tensor) -> Tensor:
        s = state
        is_noise = (s.k > s.limit) & (s.k > s.scale * s.scale * problem.rounding) & (s.rr > s.residual_limit)
        is_noise = torch.as_tensor(is_noise, device=status.device).reshape(status.shape) & (status == Status.CONVERGED)
        return torch.where(is_noise, int(Status.ILL_CONDITIONED), status)

    def accuracy(self, problem: Problem, state: CGLSState) -> Scalar:  # noqa: ARG002
        return ratio(sqrt(state.k), state.scale)

    def numbers(self, problem: Problem, state: CGLSState) -> dict[str, tuple[Scalar, int]]:
        arnorm = sqrt(state.k) if state.unit is None else sqrt(state.k) * state.unit
        r2norm = sqrt(state.rr + problem.damp**2 * squared_norm(state.x))
        return {"r1norm": (sqrt(state.rr), 1), "r2norm": (r2norm, 1), "arnorm": (arnorm, 1)}

    def report(self, problem: Problem, state: CGLSState, status: Tensor, layout: Layout) -> dict[str, Any]:  # noqa: ARG002
        return {"istop": layout.number(status.clamp(max=int(Status.STOPPED)).unsqueeze(-1))}

    def columns(self, problem: Problem, state: CGLSState) -> dict[str, Scalar]:
        return {name: value * problem.scale for name, (value, _) in self.numbers(problem, state).items()}


def _gradient(problem: Problem, r: Tensor, x: Tensor, unit: Scalar | None) -> Tensor:
    s = problem.adjoint(r)
    if problem.is_damped:
        s = s - problem.damp**2 * x
    if problem.offset is not None:
        s = s + problem.offset
    return s if unit is None else s / unit


def _unit_of_gradients(s: Tensor) -> Scalar | None:
    """Return a power of two at the largest modulus of each sample; None where all are of ordinary size."""
    unit = unit_of(s)
    is_ordinary = torch.as_tensor((unit > 2.0**-20) & (unit < 2.0**20), device=s.device)
    return None if can_look() and bool(is_ordinary.all()) else unit
