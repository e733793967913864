"""LSQR."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from torchlops.optimization.krylov.bidiagonalization import BidiagonalizationSolver, BidiagonalizationState
from torchlops.optimization.solver.problem import Layout, Problem
from torchlops.optimization.solver.state import WORK
from torchlops.optimization.solver.vectors import Scalar, axpy, hypot, norm, reciprocal, scale, where, xpay


@dataclass(kw_only=True)
class LSQRState(BidiagonalizationState):
    """Direction ``w``, the numbers of the rotations, and the diagonal ``variance`` of the inverse, if wanted."""

    w: Tensor = field(metadata=WORK)
    variance: Tensor | None
    rhobar: Scalar
    phibar: Scalar
    frobenius: Scalar
    inverse_norm: Scalar
    psi: Scalar


@dataclass(frozen=True, eq=False)
class LSQR(BidiagonalizationSolver[LSQRState]):
    r"""LSQR for (damped) least squares.

    .. math:: \min_x \|y - A x\|^2 + \epsilon^2 \|x - x_0\|^2

    Args:
        calc_var: Whether to estimate the diagonal of the inverse of the normal matrix.

    Source: C. C. Paige and M. A. Saunders, LSQR: an algorithm for sparse linear equations and sparse least squares,
    ACM Trans. Math. Software 8 (1982), 43-71.
    """

    calc_var: bool = True

    vectors = (5, 3)  # x, v, w, variance, A^H u and y, u, A v

    def start(self, problem: Problem) -> LSQRState:
        first = self.first(problem)
        zero = 0.0 * first["arnorm0"]
        variance = problem.x * 0.0 if self.calc_var else None
        state = LSQRState(
            w=first["v"].clone(), variance=variance, rhobar=first["alpha"], phibar=first["beta"], frobenius=zero,
            inverse_norm=zero, psi=zero, **first,
        )  # fmt: skip
        state.go_on(state.arnorm0 > 0)
        return state

    def iterate(self, problem: Problem, state: LSQRState) -> None:
        s = state
        alpha = s.alpha
        self.bidiagonalize(problem, s)
        s.frobenius = hypot(s.frobenius, hypot(alpha, s.beta))
        rhobar1 = s.rhobar
        if problem.is_damped:
            damp = problem.damp
            s.frobenius = hypot(s.frobenius, damp)
            rhobar1 = hypot(s.rhobar, damp)
            inverse = reciprocal(rhobar1)
            s.psi = hypot(s.psi, damp * inverse * s.phibar)
            s.phibar = s.rhobar * inverse * s.phibar
        rho = hypot(rhobar1, s.beta)
        inverse = reciprocal(rho)
        cosine, sine = rhobar1 * inverse, s.beta * inverse
        theta, s.rhobar = sine * s.alpha, -cosine * s.alpha
        phi, s.phibar = cosine * s.phibar, sine * s.phibar
        rnorm = hypot(s.phibar, s.psi) if problem.is_damped else s.phibar

        step = scale(s.w, where(s.active, inverse, 0.0))  # of stopped samples: none
        s.inverse_norm = hypot(s.inverse_norm, norm(step))
        if s.variance is not None:
            s.variance = axpy(s.variance, step, step)
        s.x = axpy(s.x, phi, step)
        s.w = xpay(s.v, theta, step, -1)
        arnorm, acond = s.alpha * abs(sine * phi), s.frobenius * s.inverse_norm
        self.estimate(problem, s, rnorm, arnorm, s.frobenius, acond, norm(s.x))

    def report(self, problem: Problem, state: LSQRState, status: Tensor, layout: Layout) -> dict[str, Any]:
        variance, vectors = state.variance, problem.vectors
        shown = None
        if variance is not None:
            if vectors.as_pairs and vectors.model_dtype.is_complex:
                variance = variance[..., ::2] + variance[..., 1::2]
            shown = layout.array(variance)
        return {**super().report(problem, state, status, layout), "var": shown}
