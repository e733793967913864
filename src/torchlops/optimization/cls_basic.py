"""The basic solvers of PyLops as classes, and their results."""

from __future__ import annotations

from collections import namedtuple
from typing import ClassVar

from torchlops.optimization import krylov
from torchlops.optimization.iterativesolver import IterativeSolver
from torchlops.optimization.solver.result import Result, Solution

__all__ = ["CG", "CGLS", "LSQR"]


class CGResult(Result, namedtuple("CGResult", "x iiter cost")):
    """The result of CG, MINRES, GMRES and BiCGSTAB, which unpacks as that of PyLops's ``cg``.

    Attributes:
        x: The solution.
        iiter: Number of iterations (of the slowest sample).
        cost: Norm of the residual after each iteration, ``(iiter + 1, *batch)``.
        rnorm: Norm of the residual of each sample.
        status: As in :class:`~torchlops.optimization.solver.result.Result`, and so are ``iters`` and ``converged``.
    """


class CGLSResult(Result, namedtuple("CGLSResult", "x istop iiter r1norm r2norm cost")):
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
        status: As in :class:`~torchlops.optimization.solver.result.Result`, and so are ``iters`` and ``converged``.
    """


class LSQRResult(Result, namedtuple("LSQRResult", "x istop iiter r1norm r2norm anorm acond arnorm xnorm var cost")):
    """The result of LSQR, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        istop: Of each sample: 0 the solution is zero (or the guess), 1 the data are fitted, 2 the normal equations
            are, 3 the condition number is too large, 7 ``niter`` iterations were done. (SciPy's and PyLops's 4 to
            6, the same at machine precision, are 1 to 3 here.)
        iiter: Number of iterations (of the slowest sample).
        r1norm: ``||y - A x||``.
        r2norm: ``sqrt(||y - A x||^2 + damp^2 ||x - x0||^2)``.
        anorm: Estimate of the Frobenius norm of the operator (and damping).
        acond: Estimate of its condition number.
        arnorm: Norm of the gradient, ``||A^H r - damp^2 (x - x0)||``.
        xnorm: ``||x||``.
        var: Estimate of the diagonal of the inverse of the normal matrix, or None.
        cost: ``r1norm`` after each iteration, ``(iiter + 1, *batch)``.
        status: As in :class:`~torchlops.optimization.solver.result.Result`, and so are ``iters`` and ``converged``.
    """


class LSMRResult(Result, namedtuple("LSMRResult", "x istop iiter normr normar norma conda normx")):
    """The result of LSMR, which unpacks as SciPy's.

    Attributes:
        x: The solution.
        istop: As in :class:`~torchlops.optimization.cls_basic.LSQRResult`.
        iiter: Number of iterations (of the slowest sample).
        normr: ``sqrt(||y - A x||^2 + damp^2 ||x - x0||^2)``.
        normar: Norm of the gradient, ``||A^H r - damp^2 (x - x0)||``.
        norma: Estimate of the norm of the operator.
        conda: Estimate of its condition number.
        normx: ``||x||``.
        cost: ``||y - A x||`` after each iteration, ``(iiter + 1, *batch)``.
        status: As in :class:`~torchlops.optimization.solver.result.Result`, and so are ``iters`` and ``converged``.
    """


class SquareSolver(IterativeSolver[CGResult]):
    """Base of the solvers of square systems."""

    result = CGResult
    setup_order = "y x0 niter damp tol preallocate show"
    solve_order = f"{setup_order} itershow"


class CG(SquareSolver):
    """Conjugate gradients as an object that may be stepped; see :func:`~torchlops.cg` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
        >>> x, iiter, cost = CG(A).solve(torch.tensor([3.0, 4.0]), niter=2, tol=0)
        >>> torch.allclose(x, torch.ones(2))
        True
    """

    algorithm = krylov.CG


class MINRES(SquareSolver):
    """Minimum residuals; see :func:`~torchlops.minres` for the arguments."""

    algorithm = krylov.MINRES


class GMRES(SquareSolver):
    """Generalized minimum residuals; see :func:`~torchlops.gmres` for the arguments."""

    algorithm = krylov.GMRES


class BiCGSTAB(SquareSolver):
    """Stabilised biconjugate gradients; see :func:`~torchlops.bicgstab` for the arguments."""

    algorithm = krylov.BiCGSTAB


class CGLS(IterativeSolver[CGLSResult]):
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

    algorithm = krylov.CGLS
    result = CGLSResult
    setup_order = "y x0 niter damp tol preallocate show"
    solve_order = f"{setup_order} itershow"


class LSQR(IterativeSolver[LSQRResult]):
    """LSQR; see :func:`~torchlops.lsqr` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
        >>> result = LSQR(A).solve(A(torch.ones(2)), atol=1e-6, btol=1e-6)
        >>> torch.allclose(result.x, torch.ones(2), atol=1e-5), result.istop
        (True, 1)
    """

    algorithm = krylov.LSQR
    result = LSQRResult
    setup_order = "y x0 damp atol btol conlim niter calc_var preallocate show"
    solve_order = f"{setup_order} itershow"
    defaults: ClassVar = {"niter": 10}


class LSMR(IterativeSolver[LSMRResult]):
    """LSMR; see :func:`~torchlops.lsmr` for the arguments."""

    algorithm = krylov.LSMR
    result = LSMRResult
    setup_order = "y x0 damp atol btol conlim niter show"
    solve_order = f"{setup_order} itershow"

    def _result(self, solution: Solution) -> LSMRResult:
        names = {"normr": "r2norm", "normar": "arnorm", "norma": "anorm", "conda": "acond", "normx": "xnorm"}
        return LSMRResult.of(solution, **{name: solution.numbers[ours] for name, ours in names.items()})
