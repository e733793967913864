"""The sparse solvers of PyLops as classes, and their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch

from torchlops.linearoperator import LinearOperator
from torchlops.optimization import sparse
from torchlops.optimization.basesolver import Solver
from torchlops.optimization.implicit.solve import Attach
from torchlops.optimization.implicit.support import (
    attach_basis_pursuit,
    attach_lasso,
    attach_pursuit,
    refuse_derivative,
)
from torchlops.optimization.implicit.zeros import attach_split_bregman
from torchlops.optimization.solver.result import Result, Solution
from torchlops.optimization.sparse.leastsquares import read_inner_options
from torchlops.optimization.sparse.sparsesolver import SIGMA, TOL
from torchlops.torchoperator import aslinearoperator

__all__ = ["FISTA", "IRLS", "ISTA", "OMP", "SPGL1", "SplitBregman"]


class _SparseResult(NamedTuple):
    x: Any
    iiter: int
    cost: Any


class SparseResult(Result, _SparseResult):
    """The result of ISTA, FISTA, OMP and split Bregman, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        iiter: Number of iterations (of the slowest sample).
        cost: The cost after each iteration.
        status, iters, converged: As in :class:`~torchlops.optimization.solver.result.Result`.
    """


class _IRLSResult(NamedTuple):
    x: Any
    nouter: int


class IRLSResult(Result, _IRLSResult):
    """The result of IRLS, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        nouter: Number of outer iterations (of the slowest sample).
        cost: Norm of the residual after each of them, ``(nouter + 1, *batch)``.
        status, iters, converged: As in :class:`~torchlops.optimization.solver.result.Result`.
    """


class _SPGL1Result(NamedTuple):
    x: Any
    p: Any
    info: dict[str, Any]


class SPGL1Result(Result, _SPGL1Result):
    """The result of SPGL1, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        p: The sparse coefficients: ``x`` itself without ``SOp``.
        info: ``tau`` (``||p||_1`` may be up to this), ``rnorm`` (norm of the residual), ``gnorm`` (largest modulus of
            ``A^H r``, which is the multiplier), ``rgap`` (relative duality gap), ``niters``, ``n_newton``
            (updates of ``tau``), ``rnorm2`` (history of ``rnorm``), ``stat`` (see ``Status``).
        status, iters, converged: As in :class:`~torchlops.optimization.solver.result.Result`.
    """


def _sparse_result(solution: Solution) -> SparseResult:
    result = SparseResult(solution.x, solution.iiter, solution.cost)
    result.solution = solution
    return result


class SynthesisSolver(Solver):
    """A solver whose model is ``S`` of what is solved for: a change of variables outside of the solver."""

    S: LinearOperator | None = None
    coefficients: Any = None
    """What was solved for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._alone = self.Op

    def _compose(self, S: LinearOperator | None, x0: Any) -> Any:
        """Solve for the coefficients of ``S`` from now on; return the initial ones."""
        self.Op, self.S = self._alone if S is None else self._alone @ S, S
        return x0 if S is None or x0 is None else S.H(x0)

    def _view(self) -> Any:
        x = super()._view()
        return x if self.S is None else self.S(x)

    def _go_to(self, x: Any) -> None:
        super()._go_to(x if self.S is None or x is self._shown or x is None else self.S.H(x))

    def _end(self, solution: Solution, show: bool) -> None:
        self.coefficients = solution.x
        if self.S is not None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.options.grad is not None):
                solution.x = self.S(solution.x)
        super()._end(solution, show)


class ISTA(SynthesisSolver):
    """Iterative shrinkage-thresholding; see :func:`~torchlops.ista` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> x, iiter, cost = ISTA(torchlops.Identity(3)).solve(torch.tensor([2.0, 0.1, -1.0]), niter=20, eps=0.4)
        >>> x
        tensor([ 1.8000,  0.0000, -0.8000])
    """

    _kind: ClassVar[type[sparse.ISTA]] = sparse.ISTA

    def setup(
        self, y: Any, x0: Any = None, niter: int | None = None, SOp: Any = None, eps: Any = 0.1, alpha: Any = None,
        eigsdict: Mapping[str, Any] | None = None, tol: Any = TOL, threshkind: str = "soft", perc: float | None = None,
        decay: Any = None, monitorres: bool = False, preallocate: bool = False,  # noqa: ARG002
        show: bool = False, *, rtol: float = 0.0, rtol1: float = 0.0,
    ) -> Any:  # fmt: skip
        """Read the data, start, and return the first ``x``."""
        solver = self._kind(tol, rtol, rtol1, alpha, eigsdict, threshkind, perc, decay, monitorres).checked(niter)
        x0 = self._compose(None if SOp is None else aslinearoperator(SOp), x0)
        return self._setup(solver, y, x0, niter, eps, show)

    def solve(
        self, y: Any, x0: Any = None, niter: int = 10, SOp: Any = None, eps: Any = 0.1, alpha: Any = None,
        eigsdict: Mapping[str, Any] | None = None, tol: Any = TOL, threshkind: str = "soft", perc: float | None = None,
        decay: Any = None, monitorres: bool = False, preallocate: bool = False,  # noqa: ARG002
        show: bool = False, itershow: Sequence[int] = (10, 10, 10), *, rtol: float = 0.0, rtol1: float = 0.0,
    ) -> SparseResult:  # fmt: skip
        """Minimise ``||y - A x||^2 + eps ||x||_p^p``."""
        solver = self._kind(tol, rtol, rtol1, alpha, eigsdict, threshkind, perc, decay, monitorres).checked(niter)
        x0 = self._compose(None if SOp is None else aslinearoperator(SOp), x0)
        attach: Attach = attach_lasso
        if threshkind != "soft" or decay is not None:
            with_decay = " and a decay" if decay is not None else ""
            attach = refuse_derivative(f" with threshkind={threshkind!r}{with_decay}")
        return _sparse_result(self._solve(solver, y, x0, niter, eps, show, itershow, attach, (decay,)))


class FISTA(ISTA):
    """Fast iterative shrinkage-thresholding; see :func:`~torchlops.fista` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.5]]))
        >>> FISTA(A).solve(torch.tensor([[0.5, 1.0], [0.0, 0.0]]), niter=200, eps=0.2).x
        tensor([[0.0000, 0.9200, 0.0000],
                [0.0000, 0.0000, 0.0000]])
    """

    _kind = sparse.FISTA


class OMP(Solver):
    """Orthogonal matching pursuit; see :func:`~torchlops.omp` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]]))
        >>> x, niter, cost = OMP(A).solve(torch.tensor([[3.0, 0.0], [1.2, 1.6]]))
        >>> x
        tensor([[3., 0., 0.],
                [0., 0., 2.]])
    """

    def _make(self, niter_inner: int, sigma: Any, rtol: float, normalizecols: bool, Opbasis: Any, best: bool) -> Any:
        basis = None if Opbasis is None else aslinearoperator(Opbasis)
        return sparse.OMP(niter_inner, sigma, rtol, normalizecols, basis, best)

    def setup(
        self, y: Any, niter_outer: int = 10, niter_inner: int = 40, sigma: Any = SIGMA, normalizecols: bool = False,
        Opbasis: Any = None, optimal_coeff: bool = False, preallocate: bool = False,  # noqa: ARG002
        show: bool = False, *, rtol: float = 0.0, rtol1: float = 0.0,
    ) -> Any:  # fmt: skip
        """Read the data, start, and return the first ``x``."""
        solver = self._make(niter_inner, sigma, max(rtol, rtol1), normalizecols, Opbasis, optimal_coeff)
        return self._setup(solver, y, None, niter_outer, 0.0, show)

    def solve(
        self, y: Any, niter_outer: int = 10, niter_inner: int = 40, sigma: Any = SIGMA, normalizecols: bool = False,
        Opbasis: Any = None, optimal_coeff: bool = False, engine: str = "scipy",  # noqa: ARG002
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False, itershow: Sequence[int] = (10, 10, 10), *, rtol: float = 0.0, rtol1: float = 0.0,
    ) -> SparseResult:  # fmt: skip
        """Fit the data by few columns of the operator."""
        solver = self._make(niter_inner, sigma, max(rtol, rtol1), normalizecols, Opbasis, optimal_coeff)
        attach = attach_pursuit if niter_inner else refuse_derivative(" for matching pursuit (niter_inner=0)")
        return _sparse_result(self._solve(solver, y, None, niter_outer, 0.0, show, itershow, attach))


class IRLS(Solver):
    """Iteratively reweighted least squares; see :func:`~torchlops.optimization.sparsity.irls` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.ones(5, 1, dtype=torch.float64))
        >>> IRLS(A).solve(torch.tensor([1.0, 1.1, 0.9, 50.0, 1.0], dtype=torch.float64), nouter=50).x
        tensor([1.0000], dtype=torch.float64)
    """

    def setup(
        self, y: Any, nouter: int | None = None, threshR: bool = False, epsR: Any = TOL, epsI: Any = 1e-10,
        tolIRLS: Any = TOL, warm: bool = False, kind: str = "data", preallocate: bool = False,  # noqa: ARG002
        show: bool = False, *, x0: Any = None, engine: str = "scipy", **kwargs_solver: Any,
    ) -> Any:  # fmt: skip
        """Read the data, start, and return the first ``x``."""
        inner = read_inner_options(type(self).__name__, engine, kwargs_solver)
        return self._setup(sparse.IRLS(threshR, epsR, tolIRLS, kind, warm, inner), y, x0, nouter, epsI, show)

    def solve(
        self, y: Any, x0: Any = None, nouter: int = 10, threshR: bool = False, epsR: Any = TOL, epsI: Any = 1e-10,
        tolIRLS: Any = TOL, kind: str = "data", warm: bool = False, engine: str = "scipy",
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False, itershow: Sequence[int] = (10, 10, 10), **kwargs_solver: Any,
    ) -> IRLSResult:  # fmt: skip
        """Fit data but for outliers, or by a sparse model, or both."""
        inner = read_inner_options(type(self).__name__, engine, kwargs_solver)
        solver = sparse.IRLS(threshR, epsR, tolIRLS, kind, warm, inner)
        solution = self._solve(solver, y, x0, nouter, epsI, show, itershow, refuse_derivative(""))
        result = IRLSResult(solution.x, solution.iiter)
        result.solution = solution
        return result


class SPGL1(SynthesisSolver):
    """Spectral projected gradients for basis pursuit; see :func:`~torchlops.spgl1` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]], dtype=torch.float64))
        >>> x, p, info = SPGL1(A).solve(torch.tensor([1.2, 1.6], dtype=torch.float64), sigma=0.5)
        >>> x.round(decimals=4), round(info["rnorm"], 4)
        (tensor([0.0000, 0.0000, 1.5000], dtype=torch.float64), 0.5)
    """

    def setup(
        self, y: Any, SOp: Any = None, tau: Any = 0.0, sigma: Any = 0.0, show: bool = False, *, x0: Any = None,
        iter_lim: int | None = None, opt_tol: float = 1e-4, bp_tol: float = 1e-6, n_prev_vals: int = 3,
    ) -> Any:  # fmt: skip
        """Read the data, start, and return the first ``x``."""
        x0 = self._compose(None if SOp is None else aslinearoperator(SOp).H, x0)
        niter = 10 * self.Op.shape[0] if iter_lim is None else iter_lim
        return self._setup(sparse.SPGL1(tau, opt_tol, bp_tol, n_prev_vals), y, x0, niter, sigma, show)

    def solve(
        self, y: Any, x0: Any = None, SOp: Any = None, tau: Any = 0.0, sigma: Any = 0.0, show: bool = False,
        itershow: Sequence[int] = (10, 10, 10), *, iter_lim: int | None = None, opt_tol: float = 1e-4,
        bp_tol: float = 1e-6, n_prev_vals: int = 3, verbosity: int = 0, iscomplex: bool = False,  # noqa: ARG002
    ) -> SPGL1Result:  # fmt: skip
        """Minimise ``||x||_1`` for ``||y - A x|| <= sigma``."""
        x0 = self._compose(None if SOp is None else aslinearoperator(SOp).H, x0)
        niter = 10 * self.Op.shape[0] if iter_lim is None else iter_lim
        solver = sparse.SPGL1(tau, opt_tol, bp_tol, n_prev_vals)
        solution = self._solve(solver, y, x0, niter, sigma, show, itershow, attach_basis_pursuit, (tau,))
        info = {name: solution.numbers[name] for name in ("tau", "rnorm", "gnorm", "rgap", "n_newton")}
        info |= {"niters": solution.iiter, "rnorm2": solution.cost, "stat": solution.status}
        result = SPGL1Result(solution.x, self.coefficients, info)
        result.solution = solution
        return result


class SplitBregman(Solver):
    """Split Bregman; see :func:`~torchlops.splitbregman` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> D = torchlops.FirstDerivative(5, edge=True, kind="forward", dtype="float64")
        >>> y = torch.tensor([0.0, 0.1, 0.0, 2.0, 2.1], dtype=torch.float64)
        >>> SplitBregman(torchlops.Identity(5)).solve(y, [D], epsRL1s=[0.5], niter_outer=500, niter_inner=1).x
        tensor([0.1167, 0.1167, 0.1167, 1.9250, 1.9250], dtype=torch.float64)
    """

    def _make(
        self, RegsL1: Sequence[Any], RegsL2: Sequence[Any] | None, *options: Any, engine: str,
        kwargs_lsqr: Mapping[str, Any],
    ) -> sparse.SplitBregman:  # fmt: skip
        Regs1, Regs2 = (tuple(map(aslinearoperator, Regs or ())) for Regs in (RegsL1, RegsL2))
        inner = read_inner_options(type(self).__name__, engine, kwargs_lsqr)
        tol, rtol, rtol1, data, eps1, eps2, niter_inner, tau, restart = options
        return sparse.SplitBregman(tol, rtol, rtol1, Regs1, Regs2, data, eps1, eps2, niter_inner, tau, restart, inner)

    def setup(
        self, y: Any, RegsL1: Sequence[Any], x0: Any = None, niter_outer: int = 3, niter_inner: int = 5,
        RegsL2: Sequence[Any] | None = None, dataregsL2: Sequence[Any] | None = None, mu: Any = 1.0,
        epsRL1s: Sequence[Any] | None = None, epsRL2s: Sequence[Any] | None = None, tol: Any = TOL, tau: float = 1.0,
        restart: bool = False, preallocate: bool = False,  # noqa: ARG002
        show: bool = False, *, rtol: float = 0.0, rtol1: float = 0.0, engine: str = "scipy", **kwargs_lsqr: Any,
    ) -> Any:  # fmt: skip
        """Read the data, start, and return the first ``x``."""
        solver = self._make(
            RegsL1, RegsL2, tol, rtol, rtol1, dataregsL2, epsRL1s, epsRL2s, niter_inner, tau, restart, engine=engine,
            kwargs_lsqr=kwargs_lsqr,
        )  # fmt: skip
        return self._setup(solver, y, x0, niter_outer, mu, show)

    def solve(
        self, y: Any, RegsL1: Sequence[Any], x0: Any = None, niter_outer: int = 3, niter_inner: int = 5,
        RegsL2: Sequence[Any] | None = None, dataregsL2: Sequence[Any] | None = None, mu: Any = 1.0,
        epsRL1s: Sequence[Any] | None = None, epsRL2s: Sequence[Any] | None = None, tol: Any = TOL, tau: float = 1.0,
        restart: bool = False, engine: str = "scipy", preallocate: bool = False,  # noqa: ARG002
        show: bool = False, itershow: Sequence[int] = (10, 10, 10), show_inner: bool = False,  # noqa: ARG002
        *, rtol: float = 0.0, rtol1: float = 0.0, **kwargs_lsqr: Any,
    ) -> SparseResult:  # fmt: skip
        """Minimise a misfit with L2 and L1 penalties of ``R x``."""
        solver = self._make(
            RegsL1, RegsL2, tol, rtol, rtol1, dataregsL2, epsRL1s, epsRL2s, niter_inner, tau, restart, engine=engine,
            kwargs_lsqr=kwargs_lsqr,
        )  # fmt: skip
        assert solver.epsRL1s is not None
        assert solver.epsRL2s is not None
        others = (*solver.RegsL1, *solver.RegsL2, *solver.epsRL1s, *solver.epsRL2s, *(dataregsL2 or ()))
        return _sparse_result(self._solve(solver, y, x0, niter_outer, mu, show, itershow, attach_split_bregman, others))
