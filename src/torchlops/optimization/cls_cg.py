"""Conjugate gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torchlops.optimization.solver.vectors import axpy, inner, quotient, ratio, sqrt, squared_norm, xpay
from torchlops.optimization.basesolver import Solver, Status


class _CGResult(NamedTuple):
    x: Any
    iiter: int
    cost: Any


class CGResult(_CGResult):
    """The result of CG, MINRES, GMRES and BiCGSTAB, which unpacks as that of PyLops's ``cg``.

    Attributes:
        x: The solution.
        iiter: Number of iterations (of the slowest sample).
        cost: Norm of the residual after each iteration, ``(iiter + 1, *batch)``.
        status: A :class:`~torchlops.optimization.basesolver.Status` for each sample.
        iters: Number of iterations of each sample.
        converged: Whether each sample met a tolerance.
        rnorm: Norm of the residual of each sample.
    """


class SquareSolver(Solver):
    """Base of the solvers of square systems ``(A + damp I) x = y``, which share options, tolerances and result."""

    equation = "square"
    takes_preconditioner = True

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
    ) -> Any:
        """Read the data, start, and return the first ``x``; arguments as in :meth:`solve`."""
        self.tol, self.rtol, self.rtol1 = tol, rtol, rtol1
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
    ) -> CGResult:
        """Solve ``(A + damp I) x = y``.

        Args:
            y: Data, ``(*batch, *dimsd)`` or flattened.
            x0: Initial guess; zero by default.
            niter: Most iterations.
            damp: A multiple of the identity that is added to the operator: a number, or one for each sample.
            tol: Absolute tolerance on the *squared* norm of the residual, as in PyLops. This, and each other tolerance,
                is a number, or one for each sample.
            preallocate: Accepted and ignored: work vectors are always reused.
            show: Whether to print a table.
            itershow: Which lines of it: the first, the last, and every so many between.
            rtol: Tolerance on the norm of the residual, relative to the initial one of the sample.
            rtol1: The same, relative to the norm of the data of the sample.
        """
        options = {"niter": niter, "damp": damp, "tol": tol, "rtol": rtol, "rtol1": rtol1}
        result: CGResult = self._solve(y, x0, show, itershow, **options)
        return result

    def _residual(self) -> Any:
        """Return ``y - (A + damp I) x``, in memory of its own."""
        if not self.has_guess:
            return self.y.clone()
        r = self.y - self.forward(self.x)
        return axpy(r, -self._damp, self.x) if self.is_damped else r

    def _multiply(self, p: Any) -> Any:
        """Return ``(A + damp I) p``."""
        q = self.forward(p)
        return q + self._damp * p if self.is_damped else q

    def _watch(self, rr: Any) -> None:
        """Keep the squared norm of the residual, and stop the samples where it is small."""
        if not self.cost:
            self.limit = self._limit(sqrt(rr), self.ynorm, self.tol, self.rtol, self.rtol1)
        self.rr = rr
        self.cost.append(sqrt(rr))
        self.active = self.active & (rr > self.limit)

    def _accuracy(self) -> Any:
        return ratio(sqrt(self.rr), self.ynorm)

    def _result(self, x: Any) -> CGResult:
        result = CGResult(x, self.iiter, self.cost)
        result.rnorm = self._number(sqrt(self.rr))  # type: ignore[attr-defined]
        report: CGResult = self._report(result)
        return report


class CG(SquareSolver):
    r"""Conjugate gradients for a Hermitian positive definite operator.

    .. math:: (A + \epsilon I) x = y

    With a preconditioner ``M``, which is Hermitian positive definite too and approximates the inverse. A direction
    of negative curvature stops the sample with the status ``INDEFINITE``. (PyLops goes on, and diverges.)

    See :class:`~torchlops.optimization.basesolver.Solver` for the arguments.

    Source: M. R. Hestenes and E. Stiefel, Methods of conjugate gradients for solving linear systems, J. Res. Nat.
    Bur. Standards 49 (1952), 409-436.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
        >>> x, iiter, cost = CG(A).solve(torch.tensor([3.0, 4.0]), niter=2, tol=0)
        >>> torch.allclose(x, torch.ones(2))
        True
    """

    vectors = ("r", "p")
    scalars = ("rz", "rr", "limit")

    def _start(self) -> None:
        self.r = self._residual()
        z = self.precondition(self.r)
        self.p = z.clone()
        rr = squared_norm(self.r)
        self.rz = rr if self.M is None else inner(self.r, z)
        self._watch(rr)

    def _iterate(self) -> None:
        q = self._multiply(self.p)
        curvature = inner(self.p, q)
        self._stop(curvature <= 0, Status.INDEFINITE)
        alpha = quotient(self.rz, curvature, self.active)
        self.x = axpy(self.x, alpha, self.p)
        self.r = axpy(self.r, -alpha, q)
        z = self.precondition(self.r)
        rr = squared_norm(self.r)
        rz = rr if self.M is None else inner(self.r, z)
        if self.M is not None:
            self._stop((rz <= 0) & (rr > self.limit), Status.INDEFINITE)
        beta = quotient(rz, self.rz, self.active)
        self.p = xpay(z, beta, self.p)
        self.rz = rz
        self._watch(rr)
