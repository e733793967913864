"""LSQR."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from torchlops.optimization._bidiagonalization import BidiagonalizationSolver
from torchlops.optimization.solver.vectors import axpy, hypot, norm, reciprocal, scale, where, xpay


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
    scalars = (*BidiagonalizationSolver.scalars, "rhobar", "phibar", "anorm", "inverse_norm", "psi")

    def _start(self) -> None:
        super()._start()
        self.w = self.v.clone()
        self.rhobar, self.phibar = self.alpha, self.beta
        self.anorm = self.inverse_norm = self.psi = 0.0 * self.arnorm0
        self.variance: Tensor | None = self.x * 0.0 if self.calc_var else None

    def _iterate(self) -> None:
        alpha = self.alpha
        self._bidiagonalize()
        self.anorm = hypot(self.anorm, hypot(alpha, self.beta))
        rhobar1 = self.rhobar
        if self.is_damped and not self.is_stacked:
            self.anorm = hypot(self.anorm, self.rotated_damp)
            rhobar1 = hypot(self.rhobar, self.rotated_damp)
            inverse = reciprocal(rhobar1)
            self.psi = hypot(self.psi, self.rotated_damp * inverse * self.phibar)
            self.phibar = self.rhobar * inverse * self.phibar
        rho = hypot(rhobar1, self.beta)
        inverse = reciprocal(rho)
        c, s = rhobar1 * inverse, self.beta * inverse
        theta, self.rhobar = s * self.alpha, -c * self.alpha
        phi, self.phibar = c * self.phibar, s * self.phibar
        rnorm = hypot(self.phibar, self.psi) if self.is_damped else self.phibar

        step = scale(self.w, where(self.active, inverse, 0.0))  # of stopped samples: none
        self.inverse_norm = hypot(self.inverse_norm, norm(step))
        if self.variance is not None:
            self.variance = axpy(self.variance, step, step)
        self.x = axpy(self.x, phi, step)
        self.w = xpay(self.v, theta, step, -1)
        self._estimate(rnorm, self.alpha * abs(s * phi), self.anorm, self.anorm * self.inverse_norm, norm(self.x))

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
