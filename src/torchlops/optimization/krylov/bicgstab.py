"""BiCGSTAB."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from torchlops.optimization.krylov.square import SquareSolver, SquareState
from torchlops.optimization.solver.problem import Problem
from torchlops.optimization.solver.state import WORK, Status
from torchlops.optimization.solver.vectors import Scalar, axpy, inner, norm, quotient, squared_norm, xpay


@dataclass(kw_only=True)
class BiCGSTABState(SquareState):
    """Residual ``r``, its shadow, direction ``p`` and ``v = A M p``."""

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
    ``BREAKDOWN``: use GMRES, or another initial guess.

    Source: H. A. van der Vorst, Bi-CGSTAB: a fast and smoothly converging variant of Bi-CG for the solution of
    nonsymmetric linear systems, SIAM J. Sci. Stat. Comput. 13 (1992), 631-644.
    """

    keeps_complex = True
    vectors = (7, 1)

    def start(self, problem: Problem) -> BiCGSTABState:
        r = self.residual(problem)
        one = 0.0 * inner(r, r) + 1.0
        state = BiCGSTABState(
            r=r, shadow=r.clone(), p=r * 0.0, v=r * 0.0, rho=one, alpha=one, omega=one, shadow_norm=norm(r),
            **self.first(problem, squared_norm(r)),
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
        self.watch(s, squared_norm(s.r))
