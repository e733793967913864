"""Conjugate gradients for least squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from torchlops.optimization.solver.vectors import axpy, maximum, minimum, norm, quotient, ratio, sqrt, squared_norm, xpay
from torchlops.optimization.basesolver import Solver, Status


class _CGLSResult(NamedTuple):
    x: Any
    istop: Any
    iiter: int
    r1norm: Any
    r2norm: Any
    cost: Any


class CGLSResult(_CGLSResult):
    """The result of CGLS, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        istop: Of each sample: 1 a tolerance was met, 2 ``niter`` iterations were done, 3 a callback stopped it (or,
            with the status ``ILL_CONDITIONED``, the gradient is at the rounding of its parts and not small).
        iiter: Number of iterations (of the slowest sample).
        r1norm: Norm of the residual, ``||y - A x||``. (PyLops 2.8 gives ``||A^H r||^2``.)
        r2norm: ``sqrt(||y - A x||^2 + damp^2 ||x||^2)``.
        cost: ``r1norm`` after each iteration, ``(iiter + 1, *batch)``.
        arnorm: Norm of the gradient, ``||A^H r - damp^2 x||``.
        status, iters, converged: As in :class:`~torchlops.optimization.cls_cg.CGResult`.
    """


class CGLS(Solver):
    r"""Conjugate gradients for (damped) least squares.

    .. math:: \min_x \|y - A x\|^2 + \epsilon^2 \|x\|^2

    Mathematically the conjugate gradients on the normal equations, which are never formed.

    See :class:`~torchlops.optimization.basesolver.Solver` for the arguments. Other than in PyLops 2.8, an initial
    guess and damping go together, and iterations past the rounding of the gradient stop (there, they diverge).

    Source: M. R. Hestenes and E. Stiefel, Methods of conjugate gradients for solving linear systems, J. Res. Nat.
    Bur. Standards 49 (1952), 409-436, section 10.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
        >>> x = CGLS(A).solve(A(torch.ones(4, 2)), niter=2, tol=0).x
        >>> torch.allclose(x, torch.ones(4, 2), atol=1e-5)
        True
    """

    vectors: ClassVar[tuple[str, ...]] = ("r", "p")
    scalars = ("k", "rr", "scale", "limit", "residual_limit", "shortest")

    def setup(
        self,
        y: Any,
        x0: Any = None,
        niter: int | None = None,
        damp: Any = 0.0,
        tol: Any = 1e-4,
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False,
        *,
        rtol: Any = 0.0,
        rtol1: Any = 0.0,
        gtol: Any = 0.0,
    ) -> Any:
        """Read the data, start, and return the first ``x``; arguments as in :meth:`solve`."""
        self.tol, self.rtol, self.rtol1, self.gtol = tol, rtol, rtol1, gtol
        return self._setup(y, x0, damp, niter, show)

    def solve(
        self,
        y: Any,
        x0: Any = None,
        niter: int = 10,
        damp: Any = 0.0,
        tol: Any = 1e-4,
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False,
        itershow: Sequence[int] = (10, 10, 10),
        *,
        rtol: Any = 0.0,
        rtol1: Any = 0.0,
        gtol: Any = 0.0,
    ) -> CGLSResult:
        """Solve the least-squares problem.

        Args:
            y: Data, ``(*batch, *dimsd)`` or flattened.
            x0: Initial guess; zero by default.
            niter: Most iterations.
            damp: The damping: a number, or one for each sample.
            tol: Absolute tolerance on the *squared* norm of the gradient ``A^H r - damp^2 x``, as in PyLops. This, and
                each other tolerance, is a number, or one for each sample.
            preallocate: Accepted and ignored: work vectors are always reused.
            show: Whether to print a table.
            itershow: Which lines of it: the first, the last, and every so many between.
            rtol: Tolerance on the norm of the residual, relative to the initial one of the sample.
            rtol1: The same, relative to the norm of the data of the sample.
            gtol: Tolerance on the norm of the gradient, relative to that at ``x = 0``: the one to use where the
                data cannot be fitted.
        """
        options = {"niter": niter, "damp": damp, "tol": tol, "rtol": rtol, "rtol1": rtol1, "gtol": gtol}
        result: CGLSResult = self._solve(y, x0, show, itershow, **options)
        return result

    def _gradient(self, r: Tensor) -> Tensor:
        s = self.adjoint(r)
        return s - self._damp**2 * self.x if self.is_damped else s

    def _gradient_at_zero(self, start: Any) -> Any:
        """Return the norm of the gradient at ``x = 0``, given that at the initial guess."""
        return norm(self.adjoint(self.y)) if self.has_guess else start

    def _start(self) -> None:
        self.r = self.y - self.forward(self.x) if self.has_guess else self.y.clone()
        s = self._gradient(self.r)
        self.p = s.clone()
        self.k, self.rr = squared_norm(s), squared_norm(self.r)
        self.shortest = 0.0 * self.k + math.inf
        start = sqrt(self.k)
        self.scale = self._gradient_at_zero(start)
        self.limit = self._limit(start, self.scale, self.tol, 0.0, self.gtol)
        self.residual_limit = self._limit(sqrt(self.rr), self.ynorm, 0.0, self.rtol, self.rtol1, floor=0.0)
        self.cost.append(sqrt(self.rr))
        self.active = self.active & (self.k > self.limit) & ((self.rr > self.residual_limit) | (self.rr == 0))

    def _iterate(self) -> None:
        q = self.forward(self.p)
        if self.iiter == 1 and not self.has_guess:
            self._check_adjoint(q, self.r, self.k)
        qq = squared_norm(q)
        if self.is_damped:
            qq = qq + self._damp**2 * squared_norm(self.p)
        alpha = quotient(self.k, qq, self.active)
        self.x = axpy(self.x, alpha, self.p)
        self.r = axpy(self.r, -alpha, q)
        s = self._gradient(self.r)
        k = squared_norm(s)
        self.p = xpay(s, quotient(k, self.k, self.active), self.p)
        self.k, self.rr = k, squared_norm(self.r)
        self.cost.append(sqrt(self.rr))
        # the shortest step is above 1 / ||A||^2; a gradient below the rounding of A^H r would make ever longer ones
        self.shortest = minimum(self.shortest, alpha)
        is_noise = k * self.shortest <= (4 * torch.finfo(self.x.dtype).eps) ** 2 * self.rr
        self.active = (self.active & (k > self.limit) & (self.rr > self.residual_limit)) > is_noise

    def _conclude(self) -> None:
        super()._conclude()
        rounding = torch.finfo(self.x.dtype).eps
        is_noise = (self.k > maximum(self.limit, self.scale * self.scale * rounding)) & (self.rr > self.residual_limit)
        is_noise = torch.as_tensor(is_noise).reshape(self.status.shape) & (self.status == Status.CONVERGED)
        self.status = torch.where(is_noise, int(Status.ILL_CONDITIONED), self.status)

    def _accuracy(self) -> Any:
        return ratio(sqrt(self.k), self.scale)

    def _vector_count(self) -> tuple[int, int]:
        return 3, 3  # x, p, s and y, r, q

    def _columns(self) -> dict[str, Any]:
        r2norm = sqrt(self.rr + self._damp**2 * squared_norm(self.x)) if self.is_damped else sqrt(self.rr)
        return {"r1norm": self.cost[-1], "r2norm": r2norm, "arnorm": sqrt(self.k)}

    def _result(self, x: Any) -> CGLSResult:
        r2norm = sqrt(self.rr + self._damp**2 * squared_norm(self.x))
        numbers = self._number(sqrt(self.rr)), self._number(r2norm)
        result = CGLSResult(x, self._istop(), self.iiter, *numbers, self.cost)
        result.arnorm = self._number(sqrt(self.k))  # type: ignore[attr-defined]
        report: CGLSResult = self._report(result)
        return report

    def _istop(self) -> Any:
        return self._number(self.status.clamp(max=int(Status.STOPPED)).unsqueeze(-1))


class NormalCGLS(CGLS):
    r"""CGLS for a gradient that is given: solves :math:`(A^H A + \epsilon^2 I) x = g`.

    It is CGLS on zero data, with ``offset`` (:math:`g`, a model) added to the gradient: more accurate than conjugate
    gradients on the product, since it computes with :math:`\|A p\|^2`.
    """

    vectors = ("r", "p", "offset_vector")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offset: Tensor | None = None

    def _start(self) -> None:
        assert self.offset is not None
        self.offset_vector = self._as_vector(self.offset, self.Op.dims, self._model_dtype)
        super()._start()

    def _gradient(self, r: Tensor) -> Tensor:
        return super()._gradient(r) + self.offset_vector

    def _gradient_at_zero(self, start: Any) -> Any:  # noqa: ARG002
        return norm(self.offset_vector)

    def _check_adjoint(self, Ap: Tensor, r: Tensor, right: Any) -> None:
        """There are no data to check it on."""
