"""BiCGSTAB."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from torchlops.optimization.krylov.square import SquareSolver, SquareState
from torchlops.optimization.solver.problem import Problem
from torchlops.optimization.solver.state import WORK, Status
from torchlops.optimization.solver.vectors import Scalar, axpy, inner, norm, quotient, squared_norm, where, xpay


@dataclass(kw_only=True)
class BiCGSTABState(SquareState):
    """Residual ``r``, its shadow, direction ``p`` and ``v = A M p``; the best iterate, and its residual squared."""

    best: Tensor = field(metadata=WORK)
    best_rr: Scalar
    r: Tensor = field(metadata=WORK)
    shadow: Tensor = field(metadata=WORK)
    p: Tensor = field(metadata=WORK)
    v: Tensor = field(metadata=WORK)
    rho: Scalar
    alpha: Scalar
    omega: Scalar
    shadow_norm: Scalar


@dataclass(frozen=True, eq=False)
class BiCGSTAB(SquareSolver[BiCGSTABState]):
    r"""Stabilised biconjugate gradients for any square operator, with short recurrences.

    .. math:: (A + \epsilon I) x = y

    The preconditioner ``M`` acts from the right. A sample whose recurrence cannot go on stops with the status
    ``BREAKDOWN``: use GMRES, or another initial guess. Residuals do not fall steadily, so that the solution is the
    iterate of the smallest one.

    Source: H. A. van der Vorst, Bi-CGSTAB: a fast and smoothly converging variant of Bi-CG for the solution of
    nonsymmetric linear systems, SIAM J. Sci. Stat. Comput. 13 (1992), 631-644.
    """

    keeps_complex = True
    vectors = (8, 1)

    def start(self, problem: Problem) -> BiCGSTABState:
        r = self.residual(problem)
        rr = squared_norm(r)
        one = 0.0 * inner(r, r) + 1.0
        state = BiCGSTABState(
            best=problem.x.clone(), best_rr=rr, r=r, shadow=r.clone(), p=r * 0.0, v=r * 0.0, rho=one, alpha=one,
            omega=one, shadow_norm=norm(r), **self.first(problem, rr),
        )  # fmt: skip
        state.go_on(state.rr > state.limit)
        return state

    def iterate(self, problem: Problem, state: BiCGSTABState) -> None:
        s = state
        rounding = problem.rounding
        rho = inner(s.shadow, s.r)
        s.stop(abs(rho) <= rounding**2 * s.shadow_norm * norm(s.r), Status.BREAKDOWN)
        beta = quotient(rho, s.rho, s.active) * quotient(s.alpha, s.omega, s.active)
        s.p = xpay(s.r, beta, axpy(s.p, s.omega, s.v, -1))
        direction = problem.precondition(s.p)
        s.v = self.multiply(problem, direction)
        angle = inner(s.shadow, s.v)
        s.stop(abs(angle) <= rounding**2 * s.shadow_norm * norm(s.v), Status.BREAKDOWN)
        s.rho, s.alpha = rho, quotient(rho, angle, s.active)
        s.x = axpy(s.x, s.alpha, direction)
        s.r = axpy(s.r, s.alpha, s.v, -1)
        step = problem.precondition(s.r)
        t = self.multiply(problem, step)
        s.omega = quotient(inner(t, s.r), squared_norm(t), s.active)
        s.x = axpy(s.x, s.omega, step)
        s.r = axpy(s.r, s.omega, t, -1)
        rr = squared_norm(s.r)
        s.best = _replaced(s.best, s.x, rr < s.best_rr)
        s.best_rr = where(rr < s.best_rr, rr, s.best_rr)
        self.watch(s, rr)

    def solution(self, problem: Problem, state: BiCGSTABState) -> Tensor:  # noqa: ARG002
        return state.best

    def moved(self, problem: Problem, state: BiCGSTABState, x: Tensor) -> None:  # noqa: ARG002
        state.x, state.best, state.best_rr = x, x.clone(), state.rr

    def smallest_rr(self, state: BiCGSTABState) -> Scalar:
        return where(state.rr == state.rr, state.best_rr, state.rr)  # NaN stays


def _replaced(vector: Tensor, other: Tensor, condition: Scalar) -> Tensor:
    """Return ``other`` where the condition holds, else ``vector``: in place of it where no graph is recorded."""
    if isinstance(condition, Tensor):
        if torch.is_grad_enabled():
            return torch.where(condition, other, vector)
        return torch.where(condition, other, vector, out=vector)
    return vector.copy_(other) if condition else vector
