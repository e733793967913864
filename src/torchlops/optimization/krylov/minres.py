"""MINRES."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from torchlops.optimization.krylov.square import SquareSolver, SquareState
from torchlops.optimization.solver.problem import Problem
from torchlops.optimization.solver.state import WORK, Status
from torchlops.optimization.solver.vectors import Scalar, axpy, hypot, inner, maximum, reciprocal, scale, sqrt, where


@dataclass(kw_only=True)
class MINRESState(SquareState):
    """Vectors and rotations of the Lanczos process; ``size`` estimates the norm of the operator."""

    r1: Tensor = field(metadata=WORK)
    r2: Tensor = field(metadata=WORK)
    z: Tensor = field(metadata=WORK)
    w: Tensor = field(metadata=WORK)
    w2: Tensor = field(metadata=WORK)
    beta: Scalar
    oldinverse: Scalar
    dbar: Scalar
    epsilon: Scalar
    phibar: Scalar
    cs: Scalar
    sn: Scalar
    size: Scalar


@dataclass(frozen=True, eq=False)
class MINRES(SquareSolver[MINRESState]):
    r"""Minimal residuals for a Hermitian operator, which may be indefinite.

    .. math:: (A + \epsilon I) x = y

    A preconditioner ``M`` is Hermitian positive definite; norms are then those of :math:`M`, also in ``cost`` and the
    tolerances. A sample whose residual is in the null space of the operator stops with the status ``UNREACHABLE``, at a
    least-squares solution.

    Source: C. C. Paige and M. A. Saunders, Solution of sparse indefinite systems of linear equations, SIAM J. Numer.
    Anal. 12 (1975), 617-629.
    """

    vectors = (8, 1)

    def start(self, problem: Problem) -> MINRESState:
        r = self.residual(problem)
        z = problem.precondition(r).clone()
        square = self.square(problem, r, z)
        beta = sqrt(square)
        zero = 0.0 * beta
        ynorm = None if problem.M is None else beta
        state = MINRESState(
            r1=r, r2=r.clone(), z=z, w=problem.x * 0.0, w2=problem.x * 0.0, beta=beta, oldinverse=zero, dbar=zero,
            epsilon=zero, phibar=beta, cs=zero - 1.0, sn=zero, size=zero, **self.first(problem, beta * beta, ynorm),
        )  # fmt: skip
        state.stop(square < 0, Status.INDEFINITE)
        state.go_on(state.rr > state.limit)
        return state

    def iterate(self, problem: Problem, state: MINRESState) -> None:
        s = state
        inverse = reciprocal(s.beta)
        v = scale(s.z, inverse)
        z = self.multiply(problem, v)
        z = axpy(z, s.beta * s.oldinverse, s.r1, -1)
        alpha = inner(v, z)
        z = axpy(z, alpha * inverse, s.r2, -1)
        s.r1, s.r2 = s.r2, z
        s.z = problem.precondition(z).clone()
        s.oldinverse = inverse
        square = self.square(problem, z, s.z)
        s.stop(square < 0, Status.INDEFINITE)
        s.beta = sqrt(square)
        s.size = maximum(s.size, hypot(alpha, s.beta))

        oldepsilon = s.epsilon
        delta = s.cs * s.dbar + s.sn * alpha
        gbar = s.sn * s.dbar - s.cs * alpha
        s.epsilon, s.dbar = s.sn * s.beta, -s.cs * s.beta
        gamma = hypot(gbar, s.beta)
        s.stop(gamma <= problem.rounding * s.size, Status.UNREACHABLE)  # A r = 0: no model has a smaller residual
        inverse = reciprocal(gamma)
        s.cs, s.sn = gbar * inverse, s.beta * inverse
        phi, s.phibar = where(s.active, s.cs * s.phibar, 0.0), where(s.active, s.sn * s.phibar, s.phibar)

        w = axpy(axpy(v, oldepsilon, s.w2, -1), delta, s.w, -1)
        s.w2, s.w = s.w, scale(w, inverse)
        s.x = axpy(s.x, phi, s.w)
        self.watch(s, s.phibar * s.phibar)
