"""MINRES."""

from __future__ import annotations

from torchlops.optimization.solver.vectors import axpy, hypot, inner, reciprocal, scale, sqrt, squared_norm, where
from torchlops.optimization.basesolver import Status
from torchlops.optimization.cls_cg import SquareSolver


class MINRES(SquareSolver):
    r"""Minimal residuals for a Hermitian operator, which may be indefinite.

    .. math:: (A + \epsilon I) x = y

    A preconditioner ``M`` is Hermitian positive definite; norms are then those of :math:`M`, also in ``cost`` and the
    tolerances.

    See :class:`~torchlops.optimization.basesolver.Solver` for the arguments.

    Source: C. C. Paige and M. A. Saunders, Solution of sparse indefinite systems of linear equations, SIAM J. Numer.
    Anal. 12 (1975), 617-629.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.Diagonal(torch.tensor([1.0, -2.0]))
        >>> torch.allclose(MINRES(A).solve(torch.tensor([1.0, 2.0]), tol=0).x, torch.tensor([1.0, -1.0]))
        True
    """

    vectors = ("r1", "r2", "z", "w", "w2")
    scalars = ("rr", "limit", "beta", "oldinverse", "dbar", "epsilon", "phibar", "cs", "sn")

    def _start(self) -> None:
        self.r1 = self._residual()
        self.r2 = self.r1.clone()
        self.z = self.precondition(self.r1).clone()
        square = squared_norm(self.r1) if self.M is None else inner(self.r1, self.z)
        self._stop(square < 0, Status.INDEFINITE)
        self.beta = sqrt(square)
        zero = 0.0 * self.beta
        self.oldinverse = self.dbar = self.epsilon = self.sn = zero
        self.phibar, self.cs = self.beta, zero - 1.0
        self.w, self.w2 = self.x * 0.0, self.x * 0.0
        if self.M is not None:
            self.ynorm = self.beta
        self._watch(self.beta * self.beta)

    def _iterate(self) -> None:
        inverse = reciprocal(self.beta)
        v = scale(self.z, inverse)
        z = self._multiply(v)
        z = axpy(z, self.beta * self.oldinverse, self.r1, -1)
        alpha = inner(v, z)
        z = axpy(z, alpha * inverse, self.r2, -1)
        self.r1, self.r2 = self.r2, z
        self.z = self.precondition(z).clone()
        self.oldinverse = inverse
        square = squared_norm(z) if self.M is None else inner(z, self.z)
        self._stop(square < 0, Status.INDEFINITE)
        self.beta = sqrt(square)

        oldepsilon = self.epsilon
        delta = self.cs * self.dbar + self.sn * alpha
        gbar = self.sn * self.dbar - self.cs * alpha
        self.epsilon, self.dbar = self.sn * self.beta, -self.cs * self.beta
        inverse = reciprocal(hypot(gbar, self.beta))
        self.cs, self.sn = gbar * inverse, self.beta * inverse
        phi, self.phibar = self.cs * self.phibar, self.sn * self.phibar

        w = axpy(axpy(v, oldepsilon, self.w2, -1), delta, self.w, -1)
        self.w2, self.w = self.w, scale(w, inverse)
        self.x = axpy(self.x, where(self.active, phi, 0.0), self.w)
        self._watch(where(self.active, self.phibar * self.phibar, self.rr))

    def _vector_count(self) -> tuple[int, int]:
        return 8, 1
