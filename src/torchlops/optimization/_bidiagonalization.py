"""What LSQR and LSMR share: options, Golub-Kahan bidiagonalisation, stopping rules and the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from torchlops.optimization.solver.vectors import (
    Scalar,
    axpy,
    maximum,
    norm,
    ratio,
    reciprocal,
    scale,
    sqrt,
    squared_norm,
    where,
)
from torchlops.optimization.basesolver import Solver, Status


class BidiagonalizationSolver(Solver):
    r"""Base of the solvers of :math:`\min_x \|y - A x\|^2 + \epsilon^2 \|x\|^2` by bidiagonalisation.

    :math:`\beta u` and :math:`\alpha v` come from ``A v - alpha u`` and ``A^H u - beta v``. With an initial guess and
    damping, the operator is the stack of ``A`` and ``damp I``, so that the damping is that of ``x``, and not that of
    its distance to the guess, as in PyLops and SciPy.
    """

    vectors: ClassVar[tuple[str, ...]] = ("u", "v")
    scalars: ClassVar[tuple[str, ...]] = (
        "alpha", "beta", "bnorm", "arnorm0", "estimates", "atol_each", "btol_each",
    )  # fmt: skip

    def setup(
        self,
        y: Any,
        x0: Any = None,
        damp: Any = 0.0,
        atol: Any = 1e-8,
        btol: Any = 1e-8,
        conlim: float = 1e8,
        niter: int | None = 10,
        calc_var: bool = True,
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False,
    ) -> Any:
        """Read the data, start, and return the first ``x``; arguments as in :meth:`solve`."""
        self.atol, self.btol, self.conlim, self.calc_var = atol, btol, conlim, calc_var
        return self._setup(y, x0, damp, niter, show)

    def solve(
        self,
        y: Any,
        x0: Any = None,
        damp: Any = 0.0,
        atol: Any = 1e-8,
        btol: Any = 1e-8,
        conlim: float = 1e8,
        niter: int = 10,
        calc_var: bool = True,
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False,
        itershow: Sequence[int] = (10, 10, 10),
    ) -> Any:
        r"""Solve the least-squares problem.

        A sample stops where the data are fitted, :math:`\|r\| \le btol \|y\| + atol \|A\| \|x\|`, where the normal
        equations are, :math:`\|A^H r\| \le atol \|A\| \|r\|`, or where the condition number passes ``conlim``.

        Args:
            y: Data, ``(*batch, *dimsd)`` or flattened.
            x0: Initial guess; zero by default.
            damp: The damping: a number, or one for each sample.
            atol: Relative accuracy of the operator: a number, or one for each sample. (PyLops 2.8 takes it relative to
                the initial gradient.)
            btol: Relative accuracy of the data, in the same way.
            conlim: Limit of the condition number; 0 for none.
            niter: Most iterations.
            calc_var: Whether to estimate the diagonal of the inverse of the normal matrix (LSQR).
            preallocate: Accepted and ignored: work vectors are always reused.
            show: Whether to print a table.
            itershow: Which lines of it: the first, the last, and every so many between.
        """
        options = {"atol": atol, "btol": btol, "conlim": conlim, "niter": niter, "calc_var": calc_var}
        return self._solve(y, x0, show, itershow, damp=damp, **options)

    def _multiply(self, v: Tensor) -> Tensor:
        u = self.forward(v)
        return torch.cat([u, self._damp * v], -1) if self.is_stacked else u

    def _multiply_adjoint(self, u: Tensor) -> Tensor:
        if not self.is_stacked:
            return self.adjoint(u)
        size = self.y.shape[-1]
        return axpy(self.adjoint(u[..., :size].contiguous()), self._damp, u[..., size:])

    def _start(self) -> None:
        self.is_stacked = self.has_guess and self.is_damped
        self.rotated_damp = 0.0 if self.is_stacked else self._damp  # what the rotations have to bring in
        if not self.has_guess:
            self.u = self.y.clone()
        elif self.is_stacked:
            self.u = torch.cat([self.y - self.forward(self.x), -self._damp * self.x], -1)
        else:
            self.u = self.y - self.forward(self.x)
        self.atol_each, self.btol_each = (
            self._of_each_sample(self.atol, "atol"),
            self._of_each_sample(self.btol, "btol"),
        )
        self.beta = norm(self.u)
        self.bnorm = self.beta
        self.u = scale(self.u, reciprocal(self.beta))
        self.v = self._multiply_adjoint(self.u)
        self.alpha = norm(self.v)
        self.v = scale(self.v, reciprocal(self.alpha))
        self.arnorm0 = self.alpha * self.beta
        self.cost.append(self._data_residual(self.beta))
        self.active = self.active & (self.arnorm0 > 0)
        zero = 0.0 * self.arnorm0
        self._estimate(zero + self.beta, self.arnorm0, zero, zero, norm(self.x), start=True)

    def _bidiagonalize(self) -> None:
        u = self._multiply(self.v)
        if self.iiter == 1:
            self._check_adjoint(u, self.u, self.alpha)
        self.u = axpy(u, self.alpha, self.u, -1)
        self.beta = norm(self.u)
        self.u = scale(self.u, reciprocal(self.beta))
        v = self._multiply_adjoint(self.u)
        self.v = axpy(v, self.beta, self.v, -1)
        self.alpha = norm(self.v)
        self.v = scale(self.v, reciprocal(self.alpha))

    def _data_residual(self, rnorm: Scalar) -> Scalar:
        """Return ``||y - A x||``, given the norm of the residual with the damping."""
        return sqrt(rnorm * rnorm - self._damp**2 * squared_norm(self.x)) if self.is_damped else rnorm

    def _estimate(
        self, rnorm: Scalar, arnorm: Scalar, anorm: Scalar, acond: Scalar, xnorm: Scalar, start: bool = False
    ) -> None:
        """Keep the estimates of the active samples, and stop those that meet a rule."""
        now = (rnorm, arnorm, anorm, acond, xnorm)
        kept = torch.cat(now, -1) if isinstance(rnorm, Tensor) else now
        if start:
            self.estimates = kept
            return
        self.estimates = where(self.active, kept, self.estimates)
        self.cost.append(where(self.active, self._data_residual(rnorm), self.cost[-1]))
        fitted, normal, singular = self._rules(*now)
        if isinstance(fitted, Tensor):
            self.active = self.active > (fitted | normal | singular)
        else:
            self.active = self.active and not (fitted or normal or singular)

    def _rules(self, rnorm: Scalar, arnorm: Scalar, anorm: Scalar, acond: Scalar, xnorm: Scalar) -> tuple[Any, ...]:
        rounding = torch.finfo(self.x.dtype).eps / 2
        fitted = rnorm <= (self.btol_each + rounding) * self.bnorm + (self.atol_each + rounding) * (anorm * xnorm)
        normal = arnorm <= maximum(self.atol_each, rounding) * (anorm * rnorm)
        limit = 1 / rounding if self.conlim <= 0 else min(self.conlim, 1 / rounding)
        return fitted, normal, acond >= limit

    def _unpacked(self) -> tuple[Scalar, ...]:
        """Return the five estimates."""
        estimates = self.estimates
        return estimates if isinstance(estimates, tuple) else torch.split(estimates, 1, -1)

    def _conclude(self) -> None:
        super()._conclude()
        values = [torch.as_tensor(value, dtype=torch.float64) for value in self._unpacked()]
        rnorm, arnorm, anorm, acond, xnorm = values
        rules = self._rules(rnorm, arnorm, anorm, acond, xnorm)
        fitted, normal, singular = (torch.as_tensor(rule).reshape(self.status.shape) for rule in rules)
        istop = torch.where(singular, 3, 7)
        istop = torch.where(normal, 2, istop)
        istop = torch.where(fitted, 1, istop)
        arnorm0 = torch.as_tensor(self.arnorm0).reshape(self.status.shape)
        istop = torch.where(arnorm0 == 0, 0, istop)
        early = self.status == Status.CONVERGED
        self.status = torch.where(early & (istop == 3), int(Status.ILL_CONDITIONED), self.status)
        self.istop = torch.where(early, istop, 7)

    def _accuracy(self) -> Scalar:
        return ratio(self._unpacked()[1], self.arnorm0)

    def _columns(self) -> dict[str, Scalar]:
        rnorm, arnorm, anorm, acond, _ = self._unpacked()
        return {"r1norm": self.cost[-1], "r2norm": rnorm, "arnorm": arnorm, "Norm A": anorm, "Cond A": acond}
