"""Least squares with weights, regularisers or a preconditioner: the equations, written for one of the basic solvers."""

from __future__ import annotations

import time
from collections import namedtuple
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Generic

import torch

from torchlops.linearoperator import LinearOperator, scaled
from torchlops.optimization.arguments import RULE, Face, as_list, number_of_rows, one_for_each
from torchlops.optimization.callback import Callbacks
from torchlops.optimization.cls_basic import CG, CGLS, LSQR
from torchlops.optimization.equations import Data, RegularizedOperator, read
from torchlops.optimization.implicit.solve import NO_GRAPH
from torchlops.optimization.iterativesolver import IterativeSolver, R, constructor_options
from torchlops.optimization.solver.problem import is_flat, read_guess
from torchlops.optimization.solver.result import Result, Solution
from torchlops.optimization.solver.state import Status
from torchlops.torch_internals import uncompiled
from torchlops.torchoperator import aslinearoperator

__all__ = ["NormalEquationsInversion", "PreconditionedInversion", "RegularizedInversion", "RegularizedOperator"]


class NormalEquationsResult(Result, namedtuple("NormalEquationsResult", "x istop")):
    """The result of an inversion of normal equations, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        istop: Of each sample: 0 a tolerance was met, positive the number of iterations that did not reach it,
            negative a breakdown. (PyLops gives None with ``engine="pylops"``.)
        solution: The record of the solver: ``status``, ``iters``, ``converged``, ``cost`` and so on.
    """


class RegularizedResult(Result, namedtuple("RegularizedResult", "x istop itn r1norm r2norm")):
    """The result of a regularised or preconditioned inversion, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        istop: Why each sample stopped, in the numbers of the solver that ran.
        itn: Number of iterations (of the slowest sample).
        r1norm: Norm of the residual of the equations that were solved, regularisation included.
        r2norm: The same with the damping, where there is one.
        solution: The record of the solver: ``status``, ``iters``, ``converged``, ``cost`` and so on.
    """


class Inversion(Face, Generic[R]):
    """Base of the inversions as PyLops has them: ``setup`` writes the equations, ``run`` solves them.

    Args:
        Op: The operator: what :func:`~torchlops.aslinearoperator` takes.
        callbacks: Objects that watch the solver, and may stop it.
    """

    setup_order = "y Regs Weight dataregs epsRs show"
    solve_order = "y Regs x0 Weight dataregs epsRs engine show"  # and, by name, the arguments of the solver
    required = "y Regs"
    vectors: ClassVar[tuple[int, int]] = (5, 4)
    """How many vectors of the size of the model, and of the data, are alive at once."""

    _data: Data
    _equations: tuple[LinearOperator, Any]
    """The operator of the equations, and their right-hand side."""
    _guessed: LinearOperator
    """The operator whose models initial guesses are."""

    @uncompiled(NO_GRAPH)
    def __init__(self, Op: Any, callbacks: Sequence[Callbacks] | None = None) -> None:
        self.Op = self._guessed = aslinearoperator(Op)
        self.callbacks = callbacks
        self.tstart = time.time()

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Write the equations; arguments as in ``solve``."""
        name, given = type(self).__name__, self._arguments("setup", self.setup_order.split(), args, kwargs)
        self.y, self.tstart, show = given.pop("y"), time.time(), given.pop("show", False)
        self._data = read(self.Op, self.y, name)
        with self._data.records():
            text = self._write(self._data, **given)
        if show:
            print(f"{name}\n{RULE}\n{text}\n{RULE}")

    def run(self, x: Any, engine: str = "scipy", show: bool = False, **kwargs_solver: Any) -> R:
        """Solve the equations from the initial guess ``x`` (or None).

        Raises:
            NotImplementedError: when the engine is not known.
        """
        if engine not in ("scipy", "pylops"):
            raise NotImplementedError(f"engine must be 'scipy' or 'pylops', got {engine!r}")
        options = {"show": show, **kwargs_solver}
        for name in ("iter_lim", "maxiter"):
            niter = options.pop(name, None)
            if niter is not None:
                options["niter"] = niter
        (K, y), (kind, options) = self._equations, self._solver(engine, options)
        solver = kind(K, **{"callbacks": self.callbacks, **constructor_options(options)})
        data = self._data
        guess = read_guess(self._guessed, x, data.y.reshape(*data.batch, *self._guessed.dimsd), data.name)
        if self._guessed is self.Op and is_flat(self.Op, x):
            self._data = replace(data, layout=replace(data.layout, flat=True))
        if guess is not None:  # it may have other axes
            guess = guess.reshape(*data.batch, *K.dims)
        solver.solve(y, guess, **options)
        return self._result(solver.solution)

    @uncompiled(NO_GRAPH)
    def solve(self, *args: Any, **kwargs: Any) -> R:
        """Set up, run and finalize; the arguments are those of the function, in the order of PyLops's class."""
        given = self._arguments("solve", (*self.solve_order.split(), *kwargs), args, kwargs)
        show, equations = given.get("show", False), self.setup_order.split()
        self.setup(**{name: given.pop(name) for name in equations if name in given})
        result = self.run(given.pop("x0", None), show=show, **given)
        self.finalize(show)
        return result

    def step(self, *_: Any, **__: Any) -> None:
        """Raise: as in PyLops, an inversion runs as a whole.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no steps: use solve, or step a CG or CGLS on the operator that setup made"
        )

    def finalize(self, show: bool = False) -> None:
        """Take the time."""
        self.tend = time.time()
        self.telapsed = self.tend - self.tstart
        if show:
            print(f"Total time (s) = {self.telapsed:.2f}\n{RULE}\n")

    def memory_usage(self, nopRegs: Any = None, show: bool = False, unit: str = "B") -> float:
        """Return, and print with ``show``, the memory of the vectors of one sample.

        Args:
            nopRegs: Number of data of the regularisers.
            show: Whether to print it.
            unit: ``B``, ``KB``, ``MB`` or ``GB``.
        """
        return self._memory_usage(self.vectors, number_of_rows(nopRegs), show, unit)

    def _write(self, data: Data, *args: Any, **kwargs: Any) -> str:
        """Write the equations, and return the arguments as text."""
        raise NotImplementedError

    def _solver(self, engine: str, options: dict[str, Any]) -> tuple[type[IterativeSolver[Any]], dict[str, Any]]:
        """Return what solves the equations, with all of its options."""
        raise NotImplementedError

    def _result(self, solution: Solution) -> R:
        """Return the solution of the equations as ``solve`` does."""
        raise NotImplementedError


class NormalEquationsInversion(Inversion[NormalEquationsResult]):
    r"""Inversion of the normal equations of weighted and regularised least squares, by conjugate gradients.

    .. math::

        \Bigl(A^H W A + \sum_i \epsilon_{R_i}^2 R_i^H R_i + \sum_i \epsilon_{N_i}^2 N_i + \epsilon_I^2 I\Bigr) x
        = A^H W y + \sum_i \epsilon_{R_i}^2 R_i^H y_{R_i}

    This squares the condition number: :class:`RegularizedInversion` is the more accurate way, where it can be taken.
    See :func:`~torchlops.optimization.leastsquares.normal_equations_inversion` for the arguments.

    ``engine`` chooses the names of the options of the solver and their defaults: ``rtol=1e-5`` (of the norm of the
    right-hand side), ``atol=0`` (of the residual) and ``maxiter`` of ten times the size of the model, as in SciPy, or
    ``niter=10`` and ``tol=1e-4`` of :func:`~torchlops.optimization.basic.cg`, as in PyLops. The number of iterations
    may be called ``maxiter`` or ``niter`` with both; other arguments of ``cg`` go with both, too. The solver is always
    our own CG, for batches, and differentiable.

    Other than in PyLops 2.8, ``NRegs`` without ``epsNRs`` are not dropped in silence, and an indefinite operator is
    reported.

    Args:
        Op: The operator: what :func:`~torchlops.aslinearoperator` takes.
        callbacks: Objects that watch the solver, and may stop it.

    Attributes:
        Op_normal: The operator of the normal equations, without :math:`\epsilon_I^2 I`, after ``setup``.
        y_normal: Their right-hand side.

    Example:
        >>> import torch, torchlops
        >>> inversion = NormalEquationsInversion(torchlops.Identity(3))
        >>> x, istop = inversion.solve(torch.ones(3), [torchlops.Identity(3)], epsRs=[2.0])
        >>> x, istop
        (tensor([0.2000, 0.2000, 0.2000]), 0)
    """

    setup_order = "y Regs Weight dataregs epsI epsRs NRegs epsNRs show"
    solve_order = "y Regs x0 Weight dataregs epsI epsRs NRegs epsNRs engine show"
    vectors = (6, 1)

    def _write(
        self, data: Data, Regs: Sequence[Any] | None, Weight: Any = None, dataregs: Sequence[Any] | None = None,
        epsI: Any = 0, epsRs: Sequence[Any] | None = None, NRegs: Sequence[Any] | None = None,
        epsNRs: Sequence[Any] | None = None,
    ) -> str:  # fmt: skip
        squares = [aslinearoperator(part) for part in as_list(NRegs, f"{data.name}: NRegs")]
        epsilons = one_for_each(squares, epsNRs, 1.0, f"{data.name}: epsNRs")
        if len(squares) != len(epsilons):
            raise ValueError(
                f"{data.name}: NRegs and epsNRs must have the same length, got {len(squares)} and {len(epsilons)}"
            )
        weighted, weighted_data = data.weighted(Weight)
        normal = data.normal(weighted, Weight)
        rhs = self.Op.apply_nd(weighted_data.reshape(data.y.shape), True)
        for part, value, eps in data.regularizers(Regs, dataregs, epsRs):
            term = part.gram()
            factor = data.factor(eps, term, "epsRs")
            normal = normal + scaled(factor**2, term)
            if value is not None:
                value = value.expand(*data.batch, *part.dimsd)
                rhs = rhs + (factor**2 * part.apply_nd(value, True)).reshape(rhs.shape)
        for term, eps in zip(squares, epsilons, strict=True):
            normal = normal + scaled(data.factor(eps, term, "epsNRs") ** 2, term)
        self.Op_normal, self.y_normal = normal, data.layout.given(rhs.reshape(*data.batch, *normal.dimsd))
        self._equations = self.Op_normal, self.y_normal
        self._damp = data.number(epsI, "epsI") ** 2
        self.Regs, self.epsRs, self.epsI = Regs, epsRs, epsI
        return f"Regs={Regs}\nepsRs={epsRs}     epsI={epsI}"

    def _solver(self, engine: str, options: dict[str, Any]) -> tuple[type[IterativeSolver[Any]], dict[str, Any]]:
        if engine == "scipy":
            atol = options.pop("tol", options.pop("atol", 0.0))
            tolerances = {"rtol": options.pop("rtol", 1e-5), "tol": float(atol) ** 2}
            options = {"niter": 10 * self.Op.shape[1], **tolerances, **options}
        return CG, {"damp": self._damp, **options}

    def _result(self, solution: Solution) -> NormalEquationsResult:
        iters, failed = solution.iters, solution.status >= Status.INDEFINITE
        if isinstance(iters, int):
            istop: Any = 0 if solution.converged else -1 if failed else iters
        else:
            istop = (iters * ~failed - 1 * failed) * ~solution.converged
        return NormalEquationsResult.of(solution, x=self._data.model(solution.x), istop=istop)


class _LeastSquaresInversion(Inversion[RegularizedResult]):
    """An inversion whose equations are solved in the least-squares sense."""

    def _solver(self, engine: str, options: dict[str, Any]) -> tuple[type[IterativeSolver[Any]], dict[str, Any]]:
        if engine == "pylops":
            return CGLS, options
        niter = 2 * self._equations[0].shape[1]
        return LSQR, {"atol": 1e-6, "btol": 1e-6, "niter": niter, "calc_var": False, **options}

    def _result(self, solution: Solution) -> RegularizedResult:
        return RegularizedResult.of(solution, x=self._data.model(solution.x), itn=solution.iiter)


class RegularizedInversion(_LeastSquaresInversion):
    r"""Inversion of weighted and regularised least squares.

    .. math:: \min_x \|W (A x - y)\|^2 + \sum_i \epsilon_{R_i}^2 \|R_i x - y_{R_i}\|^2

    The regularisers are stacked below the operator, so that the condition number is not squared. See
    :func:`~torchlops.optimization.leastsquares.regularized_inversion` for the arguments.

    ``engine`` chooses the solver, the names of its options and their defaults: ``"scipy"`` our own
    :func:`~torchlops.optimization.basic.lsqr` with SciPy's ``atol=1e-6``, ``btol=1e-6``, ``conlim=1e8`` and an
    ``iter_lim`` of twice the size of the model, ``"pylops"`` :func:`~torchlops.optimization.basic.cgls` with PyLops's
    ``niter=10`` and ``tol=1e-4``. The number of iterations may be called ``iter_lim`` or ``niter`` with both. (In
    PyLops each engine raises on the name of the other.)

    Args:
        Op: The operator: what :func:`~torchlops.aslinearoperator` takes.
        callbacks: Objects that watch the solver, and may stop it.

    Attributes:
        RegOp: The stacked operator, after ``setup``.
        datatot: The stacked data.

    Source: C. C. Paige and M. A. Saunders, LSQR: an algorithm for sparse linear equations and sparse least squares,
    ACM Trans. Math. Software 8 (1982), 43-71.

    Example:
        >>> import torch, torchlops
        >>> inversion = RegularizedInversion(torchlops.Identity(3))
        >>> inversion.solve(torch.ones(3), [torchlops.Identity(3)], epsRs=[2.0]).x
        tensor([0.2000, 0.2000, 0.2000])
    """

    def _write(
        self, data: Data, Regs: Sequence[Any] | None, Weight: Any = None, dataregs: Sequence[Any] | None = None,
        epsRs: Sequence[Any] | None = None,
    ) -> str:  # fmt: skip
        weighted, weighted_data = data.weighted(Weight)
        top = weighted_data.reshape(*data.batch, weighted.shape[0])
        parts, factors, pieces = [], [], [top]
        for part, value, eps in data.regularizers(Regs, dataregs, epsRs):
            factor = data.factor(eps, part, "epsRs")
            value = top.new_zeros(part.dimsd) if value is None else factor * value
            pieces.append(value.expand(*data.batch, *part.dimsd).reshape(*data.batch, part.shape[0]))
            parts.append(part)
            factors.append(factor)
        self.RegOp = RegularizedOperator(weighted, parts, factors)
        self.datatot = data.layout.given(torch.cat(pieces, dim=-1))
        self._equations = self.RegOp, self.datatot
        self.Regs, self.epsRs, self.dataregs = Regs, epsRs, dataregs
        return f"Regs={Regs}\nepsRs={epsRs}"


class PreconditionedInversion(_LeastSquaresInversion):
    r"""Inversion of least squares in other coordinates, :math:`x = P p`.

    .. math:: \min_p \|A P p - y\|^2

    ``engine`` is as in :class:`RegularizedInversion`. See
    :func:`~torchlops.optimization.leastsquares.preconditioned_inversion` for the arguments.

    Args:
        Op: The operator: what :func:`~torchlops.aslinearoperator` takes.
        callbacks: Objects that watch the solver, and may stop it.

    Attributes:
        POp: The preconditioned operator :math:`A P`, after ``setup``.

    Example:
        >>> import torch, torchlops
        >>> A, P = torchlops.Diagonal(torch.tensor([1.0, 2.0])), torchlops.Diagonal(torch.tensor([1.0, 0.5]))
        >>> PreconditionedInversion(A).solve(torch.ones(2), P).x
        tensor([1.0000, 0.5000])
    """

    setup_order = "y P show"
    solve_order = "y P x0 engine show"
    required = "y P"

    def memory_usage(self, show: bool = False, unit: str = "B") -> float:  # type: ignore[override]  # as in PyLops
        """Return, and print with ``show``, the memory of the vectors of one sample, as :class:`Inversion` does."""
        return super().memory_usage(None, show, unit)

    def _write(self, data: Data, P: Any) -> str:
        self.P = aslinearoperator(P)
        self.POp = self._guessed = self.Op @ self.P
        self._equations = self.POp, data.layout.given(data.y.reshape(*data.batch, *self.POp.dimsd))
        return f"Prec={self.P}"

    def _result(self, solution: Solution) -> RegularizedResult:
        x = self.P(solution.x.reshape((*self._data.batch, *self.P.dims)))
        return RegularizedResult.of(solution, x=self._data.model(x), itn=solution.iiter)
