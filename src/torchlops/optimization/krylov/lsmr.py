"""LSMR."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from torchlops.optimization.krylov.bidiagonalization import BidiagonalizationSolver, BidiagonalizationState
from torchlops.optimization.solver.problem import Problem
from torchlops.optimization.solver.state import WORK
from torchlops.optimization.solver.vectors import Scalar, axpy, hypot, maximum, minimum, norm, reciprocal, where, xpay


@dataclass(kw_only=True)
class LSMRState(BidiagonalizationState):
    """Directions ``h`` and ``hbar``, and the numbers of the rotations, in the names of the source."""

    h: Tensor = field(metadata=WORK)
    hbar: Tensor = field(metadata=WORK)
    zetabar: Scalar
    alphabar: Scalar
    rho: Scalar
    rhobar: Scalar
    cbar: Scalar
    sbar: Scalar
    zeta: Scalar
    betadd: Scalar
    betad: Scalar
    rhodold: Scalar
    tautildeold: Scalar
    thetatilde: Scalar
    damped: Scalar
    frobenius: Scalar
    maxrbar: Scalar
    minrbar: Scalar


@dataclass(frozen=True, eq=False)
class LSMR(BidiagonalizationSolver[LSMRState]):
    r"""LSMR for (damped) least squares: MINRES on the normal equations.

    .. math:: \min_x \|y - A x\|^2 + \epsilon^2 \|x - x_0\|^2

    The norm of the gradient falls in every iteration, so that this is the solver to stop early on it.

    Source: D. C.-L. Fong and M. Saunders, LSMR: an iterative algorithm for sparse least-squares problems, SIAM J. Sci.
    Comput. 33 (2011), 2950-2971.
    """

    atol: Any = 1e-6
    btol: Any = 1e-6

    vectors = (5, 3)  # x, v, h, hbar, A^H u and y, u, A v

    def start(self, problem: Problem) -> LSMRState:
        first = self.first(problem)
        zero = 0.0 * first["arnorm0"]
        one = zero + 1.0
        state = LSMRState(
            h=first["v"].clone(), hbar=first["v"] * 0.0, zetabar=first["arnorm0"], alphabar=first["alpha"], rho=one,
            rhobar=one, cbar=one, sbar=zero, zeta=zero, betadd=first["beta"], betad=zero, rhodold=one,
            tautildeold=zero, thetatilde=zero, damped=zero, frobenius=first["alpha"], maxrbar=zero,
            minrbar=zero + math.inf, **first,
        )  # fmt: skip
        state.go_on(state.arnorm0 > 0)
        return state

    def iterate(self, problem: Problem, state: LSMRState) -> None:
        s = state
        self.bidiagonalize(problem, s)
        alphahat, betaacute = s.alphabar, s.betadd
        if problem.is_damped:
            damp = problem.damp
            chat, shat, alphahat = _rotation(s.alphabar, damp)
            betaacute = chat * s.betadd
            s.damped = hypot(s.damped, shat * s.betadd)
        inverse = reciprocal(s.rho * s.rhobar)
        c, sine, s.rho = _rotation(alphahat, s.beta)
        thetanew, s.alphabar = sine * s.alpha, c * s.alpha

        rhobarold, zetaold = s.rhobar, s.zeta
        thetabar, rhotemp = s.sbar * s.rho, s.cbar * s.rho
        s.cbar, s.sbar, s.rhobar = _rotation(rhotemp, thetanew)
        s.zeta, s.zetabar = s.cbar * s.zetabar, -s.sbar * s.zetabar

        s.hbar = xpay(s.h, thetabar * s.rho * inverse, s.hbar, -1)
        step = where(s.active, s.zeta * reciprocal(s.rho * s.rhobar), 0.0)
        s.x = axpy(s.x, step, s.hbar)
        s.h = xpay(s.v, thetanew * reciprocal(s.rho), s.h, -1)

        # the norm of the residual, by two more rotations of the right-hand side
        betahat, s.betadd = c * betaacute, -sine * betaacute
        thetatildeold = s.thetatilde
        ctilde, stilde, rhotilde = _rotation(s.rhodold, thetabar)
        s.thetatilde, s.rhodold = stilde * s.rhobar, ctilde * s.rhobar
        s.betad = ctilde * betahat - stilde * s.betad
        s.tautildeold = (zetaold - thetatildeold * s.tautildeold) * reciprocal(rhotilde)
        taud = (s.zeta - s.thetatilde * s.tautildeold) * reciprocal(s.rhodold)
        rnorm = hypot(s.betad - taud, s.betadd)
        if problem.is_damped:
            rnorm = hypot(rnorm, s.damped)

        anorm = hypot(s.frobenius, s.beta)
        s.frobenius = hypot(anorm, s.alpha)
        if s.count > 1:  # the first one is a start of the recurrence, and of no rotation
            s.maxrbar, s.minrbar = maximum(s.maxrbar, rhobarold), minimum(s.minrbar, rhobarold)
        acond = maximum(s.maxrbar, rhotemp) * reciprocal(minimum(s.minrbar, rhotemp))
        self.estimate(problem, s, rnorm, abs(s.zetabar), anorm, acond, norm(s.x))


def _rotation(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """Return ``c, s, r`` with ``c a + s b = r`` and ``s a = c b``."""
    r = hypot(a, b)
    inverse = reciprocal(r)
    return a * inverse, b * inverse, r
