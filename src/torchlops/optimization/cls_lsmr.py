"""LSMR."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torchlops.optimization._bidiagonalization import BidiagonalizationSolver
from torchlops.optimization.solver.vectors import Scalar, axpy, hypot, maximum, minimum, norm, reciprocal, where, xpay


class _LSMRResult(NamedTuple):
    x: Any
    istop: Any
    iiter: int
    normr: Any
    normar: Any
    norma: Any
    conda: Any
    normx: Any


class LSMRResult(_LSMRResult):
    """The result of LSMR, which unpacks as SciPy's.

    Attributes:
        x: The solution.
        istop: As in :class:`~torchlops.optimization.cls_lsqr.LSQRResult`.
        iiter: Number of iterations (of the slowest sample).
        normr: ``sqrt(||y - A x||^2 + damp^2 ||x||^2)``.
        normar: Norm of the gradient, ``||A^H r - damp^2 x||``.
        norma, conda: Estimates of the norm and the condition number of the operator.
        normx: ``||x||``.
        cost: ``||y - A x||`` after each iteration, ``(iiter + 1, *batch)``.
        status, iters, converged: As in :class:`~torchlops.optimization.cls_cg.CGResult`.
    """


class LSMR(BidiagonalizationSolver):
    r"""LSMR for (damped) least squares: MINRES on the normal equations.

    .. math:: \min_x \|y - A x\|^2 + \epsilon^2 \|x\|^2

    The norm of the gradient falls in every iteration, so that this is the solver to stop early on it.

    See :class:`~torchlops.optimization.basesolver.Solver` for the arguments.

    Source: D. C.-L. Fong and M. Saunders, LSMR: an iterative algorithm for sparse least-squares problems, SIAM J. Sci.
    Comput. 33 (2011), 2950-2971.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
        >>> torch.allclose(LSMR(A).solve(A(torch.ones(2)), atol=1e-6, btol=1e-6).x, torch.ones(2), atol=1e-5)
        True
    """

    vectors = ("u", "v", "h", "hbar")
    scalars = (
        *BidiagonalizationSolver.scalars, "zetabar", "alphabar", "rho", "rhobar", "cbar", "sbar", "zeta",
        "betadd", "betad", "rhodold", "tautildeold", "thetatilde", "damped", "anorm", "maxrbar", "minrbar",
    )  # fmt: skip

    def _start(self) -> None:
        super()._start()
        self.h, self.hbar = self.v.clone(), self.v * 0.0
        zero = 0.0 * self.arnorm0
        one = zero + 1.0
        self.zetabar, self.alphabar = self.arnorm0, self.alpha
        self.rho = self.rhobar = self.cbar = self.rhodold = one
        self.sbar = self.zeta = self.betad = self.tautildeold = self.thetatilde = self.damped = self.maxrbar = zero
        self.betadd, self.minrbar = self.beta, zero + math.inf
        self.anorm = self.alpha

    def _iterate(self) -> None:
        self._bidiagonalize()
        alphahat, betaacute = self.alphabar, self.betadd
        if self.is_damped and not self.is_stacked:
            chat, shat, alphahat = _rotation(self.alphabar, self.rotated_damp)
            betaacute = chat * self.betadd
            self.damped = hypot(self.damped, shat * self.betadd)
        inverse = reciprocal(self.rho * self.rhobar)
        c, s, self.rho = _rotation(alphahat, self.beta)
        thetanew, self.alphabar = s * self.alpha, c * self.alpha

        rhobarold, zetaold = self.rhobar, self.zeta
        thetabar, rhotemp = self.sbar * self.rho, self.cbar * self.rho
        self.cbar, self.sbar, self.rhobar = _rotation(rhotemp, thetanew)
        self.zeta, self.zetabar = self.cbar * self.zetabar, -self.sbar * self.zetabar

        self.hbar = xpay(self.h, thetabar * self.rho * inverse, self.hbar, -1)
        step = where(self.active, self.zeta * reciprocal(self.rho * self.rhobar), 0.0)
        self.x = axpy(self.x, step, self.hbar)
        self.h = xpay(self.v, thetanew * reciprocal(self.rho), self.h, -1)

        # the norm of the residual, by two more rotations of the right-hand side
        betahat, self.betadd = c * betaacute, -s * betaacute
        thetatildeold = self.thetatilde
        ctilde, stilde, rhotilde = _rotation(self.rhodold, thetabar)
        self.thetatilde, self.rhodold = stilde * self.rhobar, ctilde * self.rhobar
        self.betad = ctilde * betahat - stilde * self.betad
        self.tautildeold = (zetaold - thetatildeold * self.tautildeold) * reciprocal(rhotilde)
        taud = (self.zeta - self.thetatilde * self.tautildeold) * reciprocal(self.rhodold)
        rnorm = hypot(self.betad - taud, self.betadd)
        if self.is_damped:
            rnorm = hypot(rnorm, self.damped)

        anorm = hypot(self.anorm, self.beta)
        self.anorm = hypot(anorm, self.alpha)
        self.maxrbar = maximum(self.maxrbar, rhobarold)
        if self.iiter > 1:
            self.minrbar = minimum(self.minrbar, rhobarold)
        acond = maximum(self.maxrbar, rhotemp) * reciprocal(minimum(self.minrbar, rhotemp))
        self._estimate(rnorm, abs(self.zetabar), anorm, acond, norm(self.x))

    def _vector_count(self) -> tuple[int, int]:
        return 5, 3  # x, v, h, hbar, A^H u and y, u, A v

    def _result(self, x: Any) -> LSMRResult:
        estimates = map(self._number, self._unpacked())
        result = LSMRResult(x, self._number(self.istop.unsqueeze(-1)), self.iiter, *estimates)
        result.cost = self.cost  # type: ignore[attr-defined]
        report: LSMRResult = self._report(result)
        return report


def _rotation(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """Return ``c, s, r`` with ``c a + s b = r`` and ``s a = c b``."""
    r = hypot(a, b)
    inverse = reciprocal(r)
    return a * inverse, b * inverse, r
