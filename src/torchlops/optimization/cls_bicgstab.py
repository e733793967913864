"""BiCGSTAB."""

from __future__ import annotations

import torch

from torchlops.optimization.solver.vectors import axpy, inner, norm, quotient, squared_norm, xpay
from torchlops.optimization.basesolver import Status
from torchlops.optimization.cls_cg import SquareSolver


class BiCGSTAB(SquareSolver):
    r"""Stabilised biconjugate gradients for any square operator, with short recurrences.

    .. math:: (A + \epsilon I) x = y

    The preconditioner ``M`` acts from the right. A sample whose recurrence cannot go on stops with the status
    ``BREAKDOWN``: use GMRES, or another initial guess.

    See :class:`~torchlops.optimization.basesolver.Solver` for the arguments.

    Source: H. A. van der Vorst, Bi-CGSTAB: a fast and smoothly converging variant of Bi-CG for the solution of
    nonsymmetric linear systems, SIAM J. Sci. Stat. Comput. 13 (1992), 631-644.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))
        >>> torch.allclose(BiCGSTAB(A).solve(torch.tensor([3.0, 1.0]), tol=0).x, torch.ones(2), atol=1e-5)
        True
    """

    vectors = ("r", "shadow", "p", "v")
    scalars = ("rr", "limit", "rho", "alpha", "omega", "shadow_norm")
    keeps_complex = True

    def _start(self) -> None:
        self.r = self._residual()
        self.shadow = self.r.clone()
        self.p, self.v = self.r * 0.0, self.r * 0.0
        self.shadow_norm = norm(self.shadow)
        self.rho = self.alpha = self.omega = 0.0 * inner(self.r, self.r) + 1.0
        self._watch(squared_norm(self.r))

    def _iterate(self) -> None:
        rounding = torch.finfo(self.x.dtype).eps
        rho = inner(self.shadow, self.r)
        self._stop(abs(rho) <= rounding**2 * self.shadow_norm * norm(self.r), Status.BREAKDOWN)
        beta = quotient(rho, self.rho, self.active) * quotient(self.alpha, self.omega, self.active)
        self.p = xpay(self.r, beta, axpy(self.p, -self.omega, self.v))
        direction = self.precondition(self.p)
        self.v = self._multiply(direction)
        angle = inner(self.shadow, self.v)
        self._stop(abs(angle) <= rounding**2 * self.shadow_norm * norm(self.v), Status.BREAKDOWN)
        self.rho, self.alpha = rho, quotient(rho, angle, self.active)
        self.x = axpy(self.x, self.alpha, direction)
        self.r = axpy(self.r, -self.alpha, self.v)
        step = self.precondition(self.r)
        t = self._multiply(step)
        self.omega = quotient(inner(t, self.r), squared_norm(t), self.active)
        self.x = axpy(self.x, self.omega, step)
        self.r = axpy(self.r, -self.omega, t)
        self._watch(squared_norm(self.r))

    def _vector_count(self) -> tuple[int, int]:
        return 7, 1
