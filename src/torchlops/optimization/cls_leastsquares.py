"""Least squares with weights, regularisers or a preconditioner: the equations, written for one of the basic solvers."""

from __future__ import annotations

import math
import time
from collections import namedtuple
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator, scaled
from torchlops.optimization.arguments import memory_usage, read_arguments
from torchlops.optimization.basesolver import _RULE, Solver, with_callback
from torchlops.optimization.callback import Callbacks
from torchlops.optimization.cls_basic import CG, CGLS, LSQR
from torchlops.optimization.equations import Data, RegularizedOperator, read
from torchlops.optimization.implicit.solve import NO_GRAPH
from torchlops.optimization.solver.options import SolveOptions
from torchlops.optimization.solver.problem import read_guess
from torchlops.optimization.solver.result import Result, Solution
from torchlops.optimization.solver.state import Status
from torchlops.torch_internals import uncompiled
from torchlops.torchoperator import aslinearoperator

__all__ = ["NormalEquationsInversion", "PreconditionedInversion", "RegularizedInversion", "RegularizedOperator"]


_NormalEquationsResult = namedtuple("_NormalEquationsResult", "x istop")


class NormalEquationsResult(Result, _NormalEquationsResult):
    """The result of an inversion of normal equations, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        istop: Of each sample: 0 a tolerance was met, positive the number of iterations that did not reach it,
            negative a breakdown. (PyLops gives None with ``engine="pylops"``.)
        solution: The record of the solver: ``status``, ``iters``, ``converged``, ``cost`` and so on.
    """


_RegularizedResult = namedtuple("_RegularizedResult", "x istop itn r1norm r2norm")


class RegularizedResult(Result, _RegularizedResult):
    """The result of a regularised or preconditioned inversion, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        istop: Why each sample stopped, in the numbers of the solver that ran.
        itn: Number of iterations (of the slowest sample).
        r1norm: Norm of the residual of the equations that were solved, regularisation included.
        r2norm: The same with the damping, where there is one.
        solution: The record of the solver: ``status``, ``iters``, ``converged``, ``cost`` and so on.
    """


class Inversion:
    """Base of the inversions as PyLops has them: ``setup`` writes the equations, ``run`` solves them.

    Args:
        Op: The operator: what :func:`~torchlops.aslinearoperator` takes.
        callbacks: Objects that watch the solver, and may stop it.
    """

    setup_order: ClassVar[str] = "y Regs Weight dataregs epsRs show"
    solve_order: ClassVar[str] = "y Regs x0 Weight dataregs epsRs engine show"
    """The arguments of ``setup`` and ``solve`` in the order that they have in PyLops; ``solve`` takes those of the
    solver by name."""
    required: ClassVar[str] = "y Regs"
    vectors: ClassVar[tuple[int, int]] = (5, 4)
    """How many vectors of the size of the model, and of the data, are alive at once."""

    _data: Data

    @uncompiled(NO_GRAPH)
    def __init__(self, Op: Any, callbacks: Sequence[Callbacks] | None = None) -> None:
        self.Op: LinearOperator = aslinearoperator(Op)
        self.callbacks = callbacks
        self.tstart = time.time()

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Write the equations; arguments as in ``solve``."""
        name, order = type(self).__name__, self.setup_order.split()
        given = read_arguments(f"{name}.setup", order, order, self.required, args, kwargs)
        self.y, self.tstart, show = given.pop("y"), time.time(), given.pop("show", False)
        self._data = read(self.Op, self.y, name)
        with self._data.records():
            text = self._write(self._data, **given)
        if show:
            print(f"{name}\n{_RULE}\n{text}\n{_RULE}")

    def run(self, x: Any, engine: str = "scipy", show: bool = False, **kwargs_solver: Any) -> Any:
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
        K, y = self._equations()
        kind, options = self._solver(engine, options)
        how = {name: options.pop(name) for name in (*SolveOptions.__annotations__, "M") if name in options}
        solver = with_callback(kind(K, self.callbacks, **how), options.pop("callback", None))
        guess = self._guess(x)
        if guess is not None:  # it may have other axes
            guess = guess.reshape(*y.shape[: y.ndim - len(K.dimsd)], *K.dims)
        solver.solve(y, guess, **options)
        return self._result(solver.solution)

    @uncompiled(NO_GRAPH)
    def solve(self, *args: Any, **kwargs: Any) -> Any:
        """Set up, run and finalize; the arguments are those of the function, in the order of PyLops's class."""
        order = self.solve_order.split()
        given = read_arguments(
            f"{type(self).__name__}.solve", order, (*order, *kwargs), self.required, args, kwargs
        )  # fmt: skip
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
            print(f"Total time (s) = {self.telapsed:.2f}\n{_RULE}\n")

    def memory_usage(self, nopRegs: Any = None, show: bool = False, unit: str = "B") -> float:
        """Return, and print with ``show``, the memory of the vectors of one sample.

        Args:
            nopRegs: Number of data of the regularisers.
            show: Whether to print it.
            unit: ``B``, ``KB``, ``MB`` or ``GB``.
        """
        more_rows = 0 if nopRegs is None else math.prod(nopRegs) if hasattr(nopRegs, "__len__") else int(nopRegs)
        return memory_usage(type(self).__name__, self.Op, self.vectors, more_rows, show, unit)

    def _write(self, data: Data, *args: Any, **kwargs: Any) -> str:
        """Write the equations, and return the arguments as text."""
        raise NotImplementedError

    def _equations(self) -> tuple[LinearOperator, Any]:
        """Return the operator of the equations, and their right-hand side."""
        raise NotImplementedError

    def _guess(self, x: Any) -> Tensor | None:
        """Return the initial guess of the solution of the equations."""
        return read_guess(self.Op, x, self._data.y, self._data.name)

    def _solver(self, engine: str, options: dict[str, Any]) -> tuple[type[Solver], dict[str, Any]]:
        """Return what solves the equations, with all of its options: in the least-squares sense."""
        if engine == "pylops":
            return CGLS, options
        return LSQR, {
            "atol": 1e-6,
            "btol": 1e-6,
            "niter": 2 * self._equations()[0].shape[1],
            "calc_var": False,
            **options,
        }

    def _result(self, solution: Solution) -> Any:
        """Return the solution of the equations as ``solve`` does."""
        return RegularizedResult.of(solution, x=self._data.model(solution.x), itn=solution.iiter)


class NormalEquationsInversion(Inversion):
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
        squares = [aslinearoperator(part) for part in NRegs or ()]
        epsilons = [1.0] * len(squares) if epsNRs is None or not squares else list(epsNRs)
        if len(squares) != len(epsilons):
            raise ValueError(
                f"{data.name}: NRegs and epsNRs must have the same length, got {len(squares)} and {len(epsilons)}"
            )
        weighted, weighted_data = data.weighted(Weight)
        normal = self.Op.H @ weighted
        rhs = self.Op.apply_nd(weighted_data.reshape(data.y.shape), True)
        for part, value, eps in data.regularizers(Regs, dataregs, epsRs):
            term = part.H @ part
            factor = data.factor(eps, term, "epsRs")
            normal = normal + scaled(factor**2, term)
            if value is not None:
                value = value.expand(*data.batch, *part.dimsd)
                rhs = rhs + (factor**2 * part.apply_nd(value, True)).reshape(rhs.shape)
        for term, eps in zip(squares, epsilons, strict=True):
            normal = normal + scaled(data.factor(eps, term, "epsNRs") ** 2, term)
        self.Op_normal, self.y_normal = normal, data.given(rhs.reshape(*data.batch, *normal.dimsd))
        self._damp = data.number(epsI, "epsI") ** 2
        self.Regs, self.epsRs, self.epsI = Regs, epsRs, epsI
        return f"Regs={Regs}\nepsRs={epsRs}     epsI={epsI}"

    def _equations(self) -> tuple[LinearOperator, Any]:
        return self.Op_normal, self.y_normal

    def _solver(self, engine: str, options: dict[str, Any]) -> tuple[type[Solver], dict[str, Any]]:
        if engine == "scipy":
            atol = options.pop("tol", options.pop("atol", 0.0))
            tolerances = {"rtol1": options.pop("rtol", 1e-5), "tol": float(atol) ** 2}
            options = {"niter": 10 * self.Op.shape[1], **tolerances, **options}
        return CG, {"damp": self._damp, **options}

    def _result(self, solution: Solution) -> NormalEquationsResult:
        iters, failed = solution.iters, solution.status >= Status.INDEFINITE
        if isinstance(iters, int):
            istop: Any = 0 if solution.converged else -1 if failed else iters
        else:
            istop = (iters * ~failed - 1 * failed) * ~solution.converged
        return NormalEquationsResult.of(solution, x=self._data.model(solution.x), istop=istop)


class RegularizedInversion(Inversion):
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
            rows, factor = (*data.batch, part.shape[0]), data.factor(eps, part, "epsRs")
            if value is None:
                pieces.append(top.new_zeros(rows))
            else:
                pieces.append((factor * value.expand(*data.batch, *part.dimsd)).reshape(rows))
            parts.append(part)
            factors.append(factor)
        self.RegOp, self.datatot = RegularizedOperator(weighted, parts, factors), data.given(torch.cat(pieces, dim=-1))
        self.Regs, self.epsRs, self.dataregs = Regs, epsRs, dataregs
        return f"Regs={Regs}\nepsRs={epsRs}"

    def _equations(self) -> tuple[LinearOperator, Any]:
        return self.RegOp, self.datatot


class PreconditionedInversion(Inversion):
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
        self.POp = self.Op @ self.P
        self._rows = data.y.reshape(*data.batch, *self.POp.dimsd)
        return f"Prec={self.P}"

    def _equations(self) -> tuple[LinearOperator, Any]:
        return self.POp, self._data.given(self._rows)

    def _guess(self, x: Any) -> Tensor | None:
        return read_guess(self.POp, x, self._rows, self._data.name)

    def _result(self, solution: Solution) -> RegularizedResult:
        x = self.P(solution.x.reshape((*self._data.batch, *self.P.dims)))
        return RegularizedResult.of(solution, x=self._data.model(x), itn=solution.iiter)
