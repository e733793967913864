"""The basic solvers of PyLops as classes, and their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torchlops.optimization import krylov
from torchlops.optimization.basesolver import Solver
from torchlops.optimization.solver.result import Result, Solution
from torchlops.optimization.solver.state import Status

__all__ = ["CG", "CGLS", "LSQR"]


class _CGResult(NamedTuple):
    x: Any
    iiter: int
    cost: Any


class CGResult(Result, _CGResult):
    """The result of CG, MINRES, GMRES and BiCGSTAB, which unpacks as that of PyLops's ``cg``.

    Attributes:
        x: The solution.
        iiter: Number of iterations (of the slowest sample).
        cost: Norm of the residual after each iteration, ``(iiter + 1, *batch)``.
        rnorm: Norm of the residual of each sample.
        status, iters, converged: As in :class:`~torchlops.optimization.solver.result.Result`.
    """


class _CGLSResult(NamedTuple):
    x: Any
    istop: Any
    iiter: int
    r1norm: Any
    r2norm: Any
    cost: Any


class CGLSResult(Result, _CGLSResult):
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
        status, iters, converged: As in :class:`~torchlops.optimization.solver.result.Result`.
    """


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


class LSQRResult(Result, _LSQRResult):
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
        status, iters, converged: As in :class:`~torchlops.optimization.solver.result.Result`.
    """


def cg_result(solution: Solution) -> CGResult:
    """Return a solution as PyLops's ``cg`` does."""
    result = CGResult(solution.x, solution.iiter, solution.cost)
    result.solution = solution
    return result


def _cgls_result(solution: Solution) -> CGLSResult:
    numbers, status = solution.numbers, solution.status
    stopped = int(Status.STOPPED)
    istop = min(status, stopped) if isinstance(status, int) else status.clip(max=stopped)
    result = CGLSResult(solution.x, istop, solution.iiter, numbers["r1norm"], numbers["r2norm"], solution.cost)
    result.solution = solution
    return result


def _lsqr_result(solution: Solution) -> LSQRResult:
    names = ("r1norm", "r2norm", "anorm", "acond", "arnorm", "xnorm", "var")
    numbers = (solution.numbers[name] for name in names)
    result = LSQRResult._make((solution.x, solution.numbers["istop"], solution.iiter, *numbers, solution.cost))
    result.solution = solution
    return result


class CG(Solver):
    """Conjugate gradients as an object that may be stepped; see :func:`~torchlops.cg` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
        >>> x, iiter, cost = CG(A).solve(torch.tensor([3.0, 4.0]), niter=2, tol=0)
        >>> torch.allclose(x, torch.ones(2))
        True
    """

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
        """Read the data, start, and return the first ``x``."""
        return self._setup(krylov.CG(tol, rtol, rtol1), y, x0, niter, damp, show)

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
        """Solve ``(A + damp I) x = y``."""
        return cg_result(self._solve(krylov.CG(tol, rtol, rtol1), y, x0, niter, damp, show, itershow))


class CGLS(Solver):
    """Conjugate gradients for least squares; see :func:`~torchlops.cgls` for the arguments.

    Other than in PyLops 2.8, an initial guess and damping go together, and iterations past the rounding of the
    gradient stop (there, they diverge).

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
        >>> x = CGLS(A).solve(A(torch.ones(4, 2)), niter=2, tol=0).x
        >>> torch.allclose(x, torch.ones(4, 2), atol=1e-5)
        True
    """

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
        """Read the data, start, and return the first ``x``."""
        return self._setup(krylov.CGLS(tol, rtol, rtol1, gtol), y, x0, niter, damp, show)

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
        """Minimise ``||y - A x||^2 + damp^2 ||x||^2``."""
        solver = krylov.CGLS(tol, rtol, rtol1, gtol)
        return _cgls_result(self._solve(solver, y, x0, niter, damp, show, itershow))


class LSQR(Solver):
    """LSQR; see :func:`~torchlops.lsqr` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
        >>> result = LSQR(A).solve(A(torch.ones(2)), atol=1e-6, btol=1e-6)
        >>> torch.allclose(result.x, torch.ones(2), atol=1e-5), result.istop
        (True, 1)
    """

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
        """Read the data, start, and return the first ``x``."""
        return self._setup(krylov.LSQR(atol, btol, conlim, calc_var), y, x0, niter, damp, show)

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
    ) -> LSQRResult:
        """Minimise ``||y - A x||^2 + damp^2 ||x||^2``."""
        solver = krylov.LSQR(atol, btol, conlim, calc_var)
        return _lsqr_result(self._solve(solver, y, x0, niter, damp, show, itershow))
