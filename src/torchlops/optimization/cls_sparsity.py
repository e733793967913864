"""The sparse solvers of PyLops as classes, and their results."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch

from torchlops.linearoperator import LinearOperator
from torchlops.optimization import sparse
from torchlops.optimization.arguments import number_of_rows
from torchlops.optimization.implicit.solve import Attach
from torchlops.optimization.implicit.support import (
    attach_basis_pursuit,
    attach_lasso,
    attach_pursuit,
    refuse_derivative,
)
from torchlops.optimization.implicit.zeros import attach_split_bregman
from torchlops.optimization.iterativesolver import IterativeSolver, R
from torchlops.optimization.solver.batch import Batch
from torchlops.optimization.solver.problem import has_columns
from torchlops.optimization.solver.result import Result, Solution
from torchlops.optimization.sparse.leastsquares import read_inner_options
from torchlops.optimization.thresholding import (  # noqa: F401
    _halfthreshold,
    _halfthreshold_percentile,
    _hardthreshold,
    _hardthreshold_percentile,
    _softthreshold,
    _softthreshold_percentile,
)
from torchlops.torchoperator import aslinearoperator

__all__ = ["FISTA", "IRLS", "ISTA", "OMP", "SPGL1", "SplitBregman"]


class SparseResult(Result, namedtuple("SparseResult", "x iiter cost")):
    """The result of ISTA, FISTA, OMP and split Bregman, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        iiter: Number of iterations (of the slowest sample).
        cost: The cost after each iteration.
        status: As in :class:`~torchlops.optimization.solver.result.Result`, and so are ``iters`` and ``converged``.
    """


class IRLSResult(Result, namedtuple("IRLSResult", "x nouter")):
    """The result of IRLS, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        nouter: Number of outer iterations (of the slowest sample).
        cost: Norm of the residual after each of them, ``(nouter + 1, *batch)``.
        status: As in :class:`~torchlops.optimization.solver.result.Result`, and so are ``iters`` and ``converged``.
    """


class SPGL1Result(Result, namedtuple("SPGL1Result", "x p info")):
    """The result of SPGL1, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        p: The sparse coefficients: ``x`` itself without ``SOp``.
        info: ``tau`` (``||p||_1`` may be up to this), ``rnorm`` (norm of the residual), ``gnorm`` (largest modulus of
            ``A^H r``, which is the multiplier), ``rgap`` (relative duality gap), ``niters``, ``n_newton``
            (updates of ``tau``), ``rnorm2`` (history of ``rnorm``), ``stat`` (see ``Status``).
        status: As in :class:`~torchlops.optimization.solver.result.Result`, and so are ``iters`` and ``converged``.
    """


class SynthesisSolver(IterativeSolver[R]):
    """A solver whose model is ``S`` of what is solved for: a change of variables outside of the solver."""

    S: LinearOperator | None = None
    coefficients: Any = None
    """What was solved for."""
    takes_columns: ClassVar[bool] = False
    """Whether arrays may be several data in columns."""
    _in_columns: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._alone = self.Op

    def _read(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        given = super()._read(method, args, kwargs)
        self._in_columns = self.takes_columns and has_columns(self._alone, given["y"])
        y, S, x0 = self._turned(given["y"]), self._synthesis(given.get("SOp")), self._turned(given["x0"])
        self.Op, self.S = self._alone if S is None else self._alone @ S, S
        return {**given, "y": y, "x0": x0 if S is None or x0 is None else S.H(x0)}

    def _turned(self, x: Any) -> Any:
        """Return columns as a batch, or a batch as columns, where the user has columns."""
        return x.T if self._in_columns and x is not None else x

    def _synthesis(self, SOp: Any) -> LinearOperator | None:
        return None if SOp is None else aslinearoperator(SOp)

    def _view(self) -> Any:
        x = super()._view()
        return self._turned(x if self.S is None else self.S(x))

    def _go_to(self, x: Any) -> None:
        if x is None or self._is_as_shown(x):
            return
        x = self._turned(x)
        super()._go_to(x if self.S is None else self.S.H(x))

    def _end(self, solution: Solution, show: bool) -> None:
        self.coefficients = solution.x
        if self.S is not None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.options.grad is not None):
                solution.x = self.S(solution.x)
        solution.x = self._turned(solution.x)
        super()._end(solution, show)


class ISTA(SynthesisSolver[SparseResult]):
    """Iterative shrinkage-thresholding; see :func:`~torchlops.ista` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> x, iiter, cost = ISTA(torchlops.Identity(3)).solve(torch.tensor([2.0, 0.1, -1.0]), niter=20, eps=0.4)
        >>> x
        tensor([ 1.8000,  0.0000, -0.8000])
    """

    algorithm = sparse.ISTA
    result = SparseResult
    takes_columns = True
    setup_order = "y x0 niter SOp eps alpha eigsdict tol threshkind perc decay monitorres preallocate show"
    solve_order = f"{setup_order} itershow"
    defaults: ClassVar = {"eps": 0.1}

    def _algorithm(self, given: Mapping[str, Any]) -> sparse.ISTA:
        solver = super()._algorithm(given)
        assert isinstance(solver, sparse.ISTA)
        return solver.checked(given["niter"])

    def _step_result(self, batch: Batch[Any]) -> Any:
        return self._shown, self._xupdate(batch)

    def _xupdate(self, batch: Batch[Any]) -> Any:
        return self._layout.number(batch.state.update * batch.problem.scale)

    def _attach(self, solver: sparse.ISTA) -> tuple[Attach, Sequence[Any]]:
        if solver.threshkind == "soft" and solver.decay is None:
            return attach_lasso, ()
        with_decay = " and a decay" if solver.decay is not None else ""
        return refuse_derivative(f" with threshkind={solver.threshkind!r}{with_decay}"), (solver.decay,)


class FISTA(ISTA):
    """Fast iterative shrinkage-thresholding; see :func:`~torchlops.fista` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.5]]))
        >>> FISTA(A).solve(torch.tensor([[0.5, 1.0], [0.0, 0.0]]), niter=200, eps=0.2).x
        tensor([[0.0000, 0.9200, 0.0000],
                [0.0000, 0.0000, 0.0000]])
    """

    algorithm = sparse.FISTA
    _shown_z: Any = None
    _starts_anew: bool = False
    """Whether a step begins without momentum, at the ``x`` that it is given."""

    def step(self, x: Any, z: Any = None, show: bool = False) -> Any:  # type: ignore[override]  # PyLops's
        """Do one iteration from ``x`` and ``z`` (what the last step returned), and return both and the change of ``x``.

        As in PyLops; ``z`` may be left out. Without a momentum so far, it is ``x``.
        """
        known = self._shown if self._shown_z is None or not self.iiter else self._shown_z
        if z is not None and z is not known and not bool((z == known).all()):
            raise ValueError("FISTA.step goes on from the z that the last step returned, or from x (leave z out)")
        self._starts_anew = z is None and x is not self._shown
        return super().step(x, show)

    def _go_to(self, x: Any) -> None:
        super()._go_to(x)
        if self._starts_anew:
            state = self._running().state
            state.z, state.Az = state.x, state.Ax

    def _step_result(self, batch: Batch[Any]) -> Any:
        problem = batch.problem
        z = self._layout.model(problem.vectors.as_model(batch.state.z * problem.scale))
        self._shown_z = self._turned(z if self.S is None else self.S(z))
        return self._shown, self._shown_z, self._xupdate(batch)


class OMP(IterativeSolver[SparseResult]):
    """Orthogonal matching pursuit; see :func:`~torchlops.omp` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]]))
        >>> x, niter, cost = OMP(A).solve(torch.tensor([[3.0, 0.0], [1.2, 1.6]]))
        >>> x
        tensor([[3., 0., 0.],
                [0., 0., 2.]])
    """

    algorithm = sparse.OMP
    result = SparseResult
    setup_order = "y niter_outer niter_inner sigma normalizecols Opbasis optimal_coeff preallocate show"
    solve_order = "y niter_outer niter_inner sigma normalizecols Opbasis optimal_coeff engine preallocate show itershow"
    by_name = ""
    niter_name = "niter_outer"
    defaults: ClassVar = {"niter_outer": 10}

    def _attach(self, solver: sparse.OMP) -> tuple[Attach, Sequence[Any]]:
        return attach_pursuit if solver.niter_inner else refuse_derivative(" for matching pursuit (niter_inner=0)"), ()


class _NestedSolver(IterativeSolver[R]):
    """A solver whose further arguments are options of the solver inside it."""

    by_name = "x0 engine"

    def _read(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        names = self._names(method)
        inner = {name: value for name, value in kwargs.items() if name not in names}
        given = super()._read(method, args, {name: kwargs[name] for name in kwargs if name in names})
        return {**given, "inner": read_inner_options(type(self).__name__, given.get("engine", "scipy"), inner)}

    def step(  # type: ignore[override]  # PyLops's order
        self, x: Any, engine: str = "scipy", show: bool = False, **inner: Any
    ) -> Any:
        """Do one outer iteration from ``x``; ``engine`` and options of the inner solver as in ``solve``."""
        self._choose_inner(engine, inner)
        return super().step(x, show)

    def run(  # type: ignore[override]  # PyLops's order
        self, x: Any, niter: int | None = None, engine: str = "scipy", show: bool = False,
        itershow: Sequence[int] = (10, 10, 10), **inner: Any,
    ) -> Any:  # fmt: skip
        """Iterate from ``x``; ``engine`` and options of the inner solver as in ``solve``."""
        self._choose_inner(engine, inner)
        return super().run(x, niter, show, itershow)

    def _choose_inner(self, engine: str, options: Mapping[str, Any]) -> None:
        batch = self._running()
        if options:
            inner = read_inner_options(type(self).__name__, engine, options)
            batch.solver = replace(batch.solver, inner=inner)  # type: ignore[call-arg]


class IRLS(_NestedSolver[IRLSResult]):
    """Iteratively reweighted least squares; see :func:`~torchlops.optimization.sparsity.irls` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.ones(5, 1, dtype=torch.float64))
        >>> IRLS(A).solve(torch.tensor([1.0, 1.1, 0.9, 50.0, 1.0], dtype=torch.float64), nouter=50).x
        tensor([1.0000], dtype=torch.float64)
    """

    algorithm = sparse.IRLS
    result = IRLSResult
    setup_order = "y nouter threshR epsR epsI tolIRLS warm kind preallocate show"
    solve_order = "y x0 nouter threshR epsR epsI tolIRLS kind warm engine preallocate show itershow"
    niter_name = "nouter"
    defaults: ClassVar = {"epsI": 1e-10, "kind": "data"}

    def _algorithm(self, given: Mapping[str, Any]) -> Any:
        return super()._algorithm({**given, "variant": given["kind"]})

    def _attach(self, solver: sparse.IRLS) -> tuple[Attach, Sequence[Any]]:  # noqa: ARG002
        return refuse_derivative(""), ()

    def run(  # type: ignore[override]  # PyLops's names
        self, x: Any, nouter: int | None = None, engine: str = "scipy", show: bool = False,
        itershow: Sequence[int] = (10, 10, 10), **inner: Any,
    ) -> Any:  # fmt: skip
        """Iterate from ``x``, ``nouter`` times at most; ``engine`` and options of the inner solver as in ``solve``."""
        return super().run(x, nouter, engine, show, itershow, **inner)

    def memory_usage(  # type: ignore[override]  # PyLops's order
        self,
        kind: str = "data",  # noqa: ARG002
        show: bool = False,
        unit: str = "B",
    ) -> float:
        """Return, and print with ``show``, the memory of the vectors of one sample; any ``kind`` needs as much."""
        return super().memory_usage(show, unit)

    def _result(self, solution: Solution) -> IRLSResult:
        return IRLSResult.of(solution, nouter=solution.iiter)

    @property
    def rw(self) -> Any:
        """The weights of the last iteration, of the flat data or, with ``kind="model"``, of the flat model.

        They are there while the solver is stepped or watched by callbacks.
        """
        batch = self._batch
        if batch is None:
            raise AttributeError("IRLS has weights, rw, only after setup: while it is stepped, or for its callbacks")
        assert isinstance(batch.solver, sparse.IRLS)
        return self._layout.array(batch.solver.weights(batch.problem, batch.state))


class SPGL1(SynthesisSolver[SPGL1Result]):
    """Spectral projected gradients for basis pursuit; see :func:`~torchlops.spgl1` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]], dtype=torch.float64))
        >>> x, p, info = SPGL1(A).solve(torch.tensor([1.2, 1.6], dtype=torch.float64), sigma=0.5)
        >>> x.round(decimals=4), round(info["rnorm"], 4)
        (tensor([0.0000, 0.0000, 1.5000], dtype=torch.float64), 0.5)
    """

    algorithm = sparse.SPGL1
    result = SPGL1Result
    setup_order = "y SOp tau sigma show"
    solve_order = "y x0 SOp tau sigma show itershow"
    by_name = "x0 iter_lim verbosity iscomplex"
    niter_name = "iter_lim"
    defaults: ClassVar = {"iter_lim": None}

    def _read(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        given = super()._read(method, args, kwargs)
        return {**given, "iter_lim": 10 * self.Op.shape[0] if given["iter_lim"] is None else given["iter_lim"]}

    def _synthesis(self, SOp: Any) -> LinearOperator | None:
        return None if SOp is None else aslinearoperator(SOp).H

    def _attach(self, solver: sparse.SPGL1) -> tuple[Attach, Sequence[Any]]:
        return attach_basis_pursuit, (solver.tau,)

    def _result(self, solution: Solution) -> SPGL1Result:
        info = {name: solution.numbers[name] for name in ("tau", "rnorm", "gnorm", "rgap", "n_newton")}
        info |= {"niters": solution.iiter, "rnorm2": solution.cost, "stat": solution.status}
        return SPGL1Result.of(solution, p=self.coefficients, info=info)


class SplitBregman(_NestedSolver[SparseResult]):
    """Split Bregman; see :func:`~torchlops.splitbregman` for the arguments.

    Example:
        >>> import torch, torchlops
        >>> D = torchlops.FirstDerivative(5, edge=True, kind="forward", dtype="float64")
        >>> y = torch.tensor([0.0, 0.1, 0.0, 2.0, 2.1], dtype=torch.float64)
        >>> SplitBregman(torchlops.Identity(5)).solve(y, [D], epsRL1s=[0.5], niter_outer=500, niter_inner=1).x
        tensor([0.1167, 0.1167, 0.1167, 1.9250, 1.9250], dtype=torch.float64)
    """

    algorithm = sparse.SplitBregman
    result = SparseResult
    _first = "y RegsL1 x0 niter_outer niter_inner RegsL2 dataregsL2 mu epsRL1s epsRL2s tol tau restart"
    setup_order = f"{_first} preallocate show"
    solve_order = f"{_first} engine preallocate show itershow show_inner"
    required = "y RegsL1"
    niter_name = "niter_outer"
    defaults: ClassVar = {"niter_outer": 3, "mu": 1.0}

    def step(  # type: ignore[override]  # PyLops's order
        self,
        x: Any,
        engine: str = "scipy",
        show: bool = False,
        show_inner: bool = False,  # noqa: ARG002
        **inner: Any,
    ) -> Any:
        """Do one outer iteration from ``x``; ``engine`` and options of the inner solver as in ``solve``."""
        return super().step(x, engine, show, **inner)

    def run(  # type: ignore[override]  # PyLops's order
        self, x: Any, engine: str = "scipy", show: bool = False, itershow: Sequence[int] = (10, 10, 10),
        show_inner: bool = False, **inner: Any,  # noqa: ARG002
    ) -> Any:  # fmt: skip
        """Iterate from ``x``; ``engine`` and options of the inner solver as in ``solve``."""
        return super().run(x, None, engine, show, itershow, **inner)

    def memory_usage(  # type: ignore[override]  # PyLops's order
        self, nopRegsL1: Any = None, nopRegsL2: Any = None, show: bool = False, unit: str = "B"
    ) -> float:
        """Return, and print with ``show``, the memory of the vectors of one sample.

        Args:
            nopRegsL1: Number of data of the L1 regularisers.
            nopRegsL2: Number of data of the L2 regularisers.
            show: Whether to print it.
            unit: ``B``, ``KB``, ``MB`` or ``GB``.
        """
        rows = sum(number_of_rows(each) for each in (nopRegsL1, nopRegsL2))
        return self._memory_usage(self.algorithm.vectors, rows, show, unit)

    def _attach(self, solver: sparse.SplitBregman) -> tuple[Attach, Sequence[Any]]:
        parts = (solver.RegsL1, solver.RegsL2, solver.epsRL1s, solver.epsRL2s, solver.dataregsL2)
        return attach_split_bregman, [value for part in parts if part is not None for value in part]
