"""LSQR."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from torchlops.optimization._bidiagonalization import BidiagonalizationSolver
from torchlops.optimization._vectors import axpy, hypot, norm, quotient, ratio, sqrt, squared_norm, xpay


class _LSQRResult(NamedTuple):
    x: Any
    istop: Any
    iiter: int
    r1norm: Any
    r2norm: Any
    anorm: Any
    acond: Any
    arnorm: Any
    xnorm: Any
    var: Any
    cost: Any


class LSQRResult(_LSQRResult):
    """The result of LSQR, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        istop: Of each sample: 0 the solution is zero (or the guess), 1 the data are fitted, 2 the normal equations
            are, 3 the condition number is too large, 7 ``niter`` iterations were done. (SciPy's and PyLops's 4 to
            6, the same at machine precision, are 1 to 3 here.)
        iiter: Number of iterations (of the slowest sample).
        r1norm: ``||y - A x||``.
        r2norm: ``sqrt(||y - A x||^2 + damp^2 ||x||^2)``.
        anorm: Estimate of the Frobenius norm of the operator (and damping).
        acond: Estimate of its condition number.
        arnorm: Norm of the gradient, ``||A^H r - damp^2 x||``.
        xnorm: ``||x||``.
        var: Estimate of the diagonal of the inverse of the normal matrix, or None.
        cost: ``r1norm`` after each iteration, ``(iiter + 1, *batch)``.
        status, iters, converged: As in :class:`~torchlops.optimization.cls_cg.CGResult`.
    """


class LSQR(BidiagonalizationSolver):
    r"""LSQR for (damped) least squares.

    .. math:: \min_x \|y - A x\|^2 + \epsilon^2 \|x\|^2

    See :class:`~torchlops.optimization.basesolver.Solver` for the arguments.

    Source: C. C. Paige and M. A. Saunders, LSQR: an algorithm for sparse linear equations and sparse least squares,
    ACM Trans. Math. Software 8 (1982), 43-71.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
        >>> result = LSQR(A).solve(A(torch.ones(2)), atol=1e-6, btol=1e-6)
        >>> torch.allclose(result.x, torch.ones(2), atol=1e-5), result.istop
        (True, 1)
    """

    vectors = ("u", "v", "w", "variance")
    scalars = (*BidiagonalizationSolver.scalars, "rhobar", "phibar", "anorm2", "ddnorm", "psi2")

    def _start(self) -> None:
        super()._start()
        self.w = self.v.clone()
        self.rhobar, self.phibar = self.alpha, self.beta
        self.anorm2 = self.ddnorm = self.psi2 = 0.0 * self.arnorm0
        self.variance: Tensor | None = self.x * 0.0 if self.calc_var else None

    def _iterate(self) -> None:
        alpha = self.alpha
        self._bidiagonalize()
        self.anorm2 = self.anorm2 + alpha * alpha + self.beta * self.beta + self.rotated_damp**2
        rhobar1 = self.rhobar
        if self.is_damped and not self.is_stacked:
            rhobar1 = hypot(self.rhobar, self.rotated_damp)
            psi = ratio(self.rotated_damp, rhobar1) * self.phibar
            self.psi2 = self.psi2 + psi * psi
            self.phibar = ratio(self.rhobar, rhobar1) * self.phibar
        rho = hypot(rhobar1, self.beta)
        c, s = ratio(rhobar1, rho), ratio(self.beta, rho)
        theta, self.rhobar = s * self.alpha, -c * self.alpha
        phi, self.phibar = c * self.phibar, s * self.phibar

        self.ddnorm = self.ddnorm + ratio(squared_norm(self.w), rho * rho)
        if self.variance is not None:
            self.variance = axpy(self.variance, quotient(1.0, rho * rho, self.active), self.w * self.w)
        self.x = axpy(self.x, quotient(phi, rho, self.active), self.w)
        self.w = xpay(self.v, -ratio(theta, rho), self.w)
        anorm = sqrt(self.anorm2)
        rnorm = sqrt(self.phibar * self.phibar + self.psi2)
        self._estimate(rnorm, self.alpha * abs(s * phi), anorm, anorm * sqrt(self.ddnorm), norm(self.x))

    def _vector_count(self) -> tuple[int, int]:
        return 5, 3  # x, v, w, variance, A^H u and y, u, A v

    def _result(self, x: Any) -> LSQRResult:
        rnorm, arnorm, anorm, acond, xnorm = map(self._number, self._unpacked())
        r1norm = self._number(self._data_residual(self._unpacked()[0]))
        istop = self._number(self.istop.unsqueeze(-1))
        result = LSQRResult(
            x, istop, self.iiter, r1norm, rnorm, anorm, acond, arnorm, xnorm, self._diagonal(), self.cost
        )
        report: LSQRResult = self._report(result)
        return report

    def _diagonal(self) -> Any:
        if self.variance is None:
            return None
        variance = self.variance
        if self._model_dtype.is_complex:
            variance = variance[..., ::2] + variance[..., 1::2]
        return variance if self._back is None else self._back(variance)
