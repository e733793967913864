"""Least squares with weights, regularisers or a preconditioner: the equations, written for one of the basic solvers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import as_tensor
from torchlops.linearoperator import LinearOperator, VerticalStack, scaled
from torchlops.optimization.basesolver import _RULE, memory_usage, with_callback
from torchlops.optimization.callback import Callbacks
from torchlops.optimization.cls_basic import CG, CGLS, LSQR
from torchlops.optimization.implicit.solve import NO_GRAPH
from torchlops.optimization.solver.options import SolveOptions
from torchlops.optimization.solver.problem import iteration_dtype, read_data, read_guess, read_number
from torchlops.optimization.solver.result import Result
from torchlops.optimization.solver.state import Status
from torchlops.torch_internals import uncompiled
from torchlops.torchoperator import aslinearoperator, operators_of

__all__ = ["NormalEquationsInversion", "PreconditionedInversion", "RegularizedInversion", "RegularizedOperator"]


class _NormalEquationsResult(NamedTuple):
    x: Any
    istop: Any


class NormalEquationsResult(Result, _NormalEquationsResult):
    """The result of an inversion of normal equations, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        istop: Of each sample: 0 a tolerance was met, positive the number of iterations that did not reach it,
            negative a breakdown. (PyLops gives None with ``engine="pylops"``.)
        solution: The record of the solver: ``status``, ``iters``, ``converged``, ``cost`` and so on.
    """


class _RegularizedResult(NamedTuple):
    x: Any
    istop: Any
    itn: int
    r1norm: Any
    r2norm: Any


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


# -- the equations -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """Data of a user, and how further arguments go with them.

    Attributes:
        name: The name of the inversion, for messages.
        A: The operator.
        y: The data, ``(*batch, *dimsd)``.
        has_axes: Whether the user's data have the axes of the operator, or are flattened.
        back: What turns a tensor into the kind of array that the data were; None for tensors.
        like: An empty vector for each sample, of the type of the iterations.
    """

    name: str
    A: LinearOperator
    y: Tensor
    has_axes: bool
    back: Callable[[Tensor], Any] | None
    like: Tensor

    @property
    def batch(self) -> tuple[int, ...]:
        """Shape of the batch."""
        return tuple(self.like.shape[:-1])

    def number(self, value: Any, what: str) -> Any:
        """Return a number, or a tensor: one value, or one per sample.

        Raises:
            ValueError: when it is complex, or its shape is not that of the batch.
        """
        is_one = not getattr(value, "shape", ())
        number = read_number(value, self.name, what, self.like.new_empty(0) if is_one else self.like)
        return number.reshape(() if is_one else self.batch) if isinstance(number, Tensor) else number

    def factor(self, value: Any, part: LinearOperator, what: str) -> Any:
        """Return a number that multiplies the data of ``part``, with an axis for each of theirs."""
        number = self.number(value, what)
        return number.reshape((*number.shape, *(1,) * len(part.dimsd))) if hasattr(number, "shape") else number

    def array(self, value: Any, part: LinearOperator, what: str) -> Tensor:
        """Return data of ``part``, of one sample or of the batch, flattened or not, with their axes.

        Raises:
            ValueError: when they have another shape.
        """
        tensor = as_tensor(value, f"{self.name}: an array").to(self.y.device)
        for dims in (part.dimsd, part.shape[:1]):
            batch = tuple(tensor.shape[: tensor.ndim - len(dims)])
            if tuple(tensor.shape) in (dims, (*self.batch, *dims)):
                return tensor.reshape(*batch, *part.dimsd)
        raise ValueError(
            f"{self.name}: {what} the shape {part.dimsd}, after the batch {self.batch} or without it, "
            f"got {tuple(tensor.shape)}"
        )

    def weighted(self, Weight: Any) -> tuple[LinearOperator, Tensor]:
        """Return ``W A`` and ``W y``, for an operator, or for one weight per sample of the data."""
        A, y = self.A, self.y
        if Weight is None:
            return A, y
        if isinstance(Weight, Tensor | np.ndarray):
            weights = self.array(Weight, A, "Weight must be an operator, or have")
            return scaled(weights, A), y * weights
        W = aslinearoperator(Weight)
        return W @ A, W.apply_nd(y.reshape(*self.batch, *W.dims), False)

    def regularizers(
        self, Regs: Sequence[Any] | None, dataregs: Sequence[Any] | None, epsRs: Sequence[Any] | None
    ) -> list[tuple[LinearOperator, Tensor | None, Any]]:
        """Return each regulariser with its data, or None for zero, and its epsilon."""
        parts = [aslinearoperator(part) for part in Regs or ()]
        data = [None] * len(parts) if dataregs is None or not parts else list(dataregs)
        epsilons = [1.0] * len(parts) if epsRs is None or not parts else list(epsRs)
        if not len(parts) == len(data) == len(epsilons):
            raise ValueError(
                f"{self.name}: Regs, dataregs and epsRs must have the same length, got {len(parts)}, {len(data)} and "
                f"{len(epsilons)}"
            )
        values = [
            None if value is None else self.array(value, part, f"the data of {part.name_and_type} must have")
            for part, value in zip(parts, data, strict=True)
        ]
        return list(zip(parts, values, epsilons, strict=True))

    def records(self) -> torch.set_grad_enabled:
        """Return a context without a graph, where the data are no tensors."""
        return torch.set_grad_enabled(torch.is_grad_enabled() and self.back is None)

    def given(self, tensor: Tensor) -> Any:
        """Return a tensor as the kind of array that the data were."""
        return tensor if self.back is None else self.back(tensor)

    def model(self, x: Any) -> Any:
        """Return a solution in the shape that goes with that of the data."""
        return x.reshape((*self.batch, *(self.A.dims if self.has_axes else self.A.shape[1:])))


def read(A: LinearOperator, y: Any, name: str) -> Data:
    """Read the data of a user.

    Raises:
        ValueError: when their shape is not that of the data of ``A``.
        TypeError: when they are of a 16-bit type.
    """
    data, has_axes, back = read_data(A, y)
    batch = data.shape[: data.ndim - len(A.dimsd)]
    like = data.new_empty((*batch, 0), dtype=iteration_dtype(A, (data,), name))
    return Data(name, A, data, has_axes, back, like)


def normal_equations(
    data: Data,
    Regs: Sequence[Any] | None,
    Weight: Any,
    dataregs: Sequence[Any] | None,
    epsRs: Sequence[Any] | None,
    NRegs: Sequence[Any] | None,
    epsNRs: Sequence[Any] | None,
) -> tuple[LinearOperator, Tensor]:
    """Return operator and right-hand side of weighted and regularised normal equations."""
    A = data.A
    squares = [aslinearoperator(part) for part in NRegs or ()]
    epsilons = [1.0] * len(squares) if epsNRs is None or not squares else list(epsNRs)
    if len(squares) != len(epsilons):
        raise ValueError(
            f"{data.name}: NRegs and epsNRs must have the same length, got {len(squares)} and {len(epsilons)}"
        )
    weighted, weighted_data = data.weighted(Weight)
    normal = A.H @ weighted
    rhs = A.apply_nd(weighted_data.reshape(data.y.shape), True)
    for part, value, eps in data.regularizers(Regs, dataregs, epsRs):
        term = part.H @ part
        factor = data.factor(eps, term, "epsRs")
        normal = normal + scaled(factor**2, term)
        if value is not None:
            value = value.expand(*data.batch, *part.dimsd)
            rhs = rhs + (factor**2 * part.apply_nd(value, True)).reshape(rhs.shape)
    for term, eps in zip(squares, epsilons, strict=True):
        normal = normal + scaled(data.factor(eps, term, "epsNRs") ** 2, term)
    return normal, rhs.reshape(*data.batch, *normal.dimsd)


def stacked_equations(
    data: Data,
    Regs: Sequence[Any] | None,
    Weight: Any,
    dataregs: Sequence[Any] | None,
    epsRs: Sequence[Any] | None,
) -> tuple[LinearOperator, Tensor]:
    """Return operator and data of weighted least squares, on top of its regularisers."""
    weighted, weighted_data = data.weighted(Weight)
    regularizers = data.regularizers(Regs, dataregs, epsRs)
    factors = [data.factor(eps, part, "epsRs") for part, _, eps in regularizers]
    top = weighted_data.reshape(*data.batch, weighted.shape[0])
    pieces = [top]
    for (part, value, _), factor in zip(regularizers, factors, strict=True):
        rows = (*data.batch, part.shape[0])
        if value is None:
            pieces.append(top.new_zeros(rows))
        else:
            pieces.append((factor * value.expand(*data.batch, *part.dimsd)).reshape(rows))
    return RegularizedOperator(weighted, [part for part, *_ in regularizers], factors), torch.cat(pieces, dim=-1)


def RegularizedOperator(Op: Any, Regs: Sequence[Any], epsRs: Sequence[Any] = (1,)) -> LinearOperator:
    r"""Return the operator on top of its regularisers, :math:`(A;\ \epsilon_1 R_1;\ \epsilon_2 R_2; \ldots)`.

    Args:
        Op: The operator.
        Regs: The regularisers.
        epsRs: As many numbers, or tensors that broadcast against the data of the regularisers.

    Raises:
        ValueError: when there are not as many ``epsRs`` as ``Regs``.

    Example:
        >>> import torch, torchlops
        >>> RegularizedOperator(torchlops.Identity(2), [torchlops.Identity(2)], epsRs=[3.0])(torch.ones(2))
        tensor([1., 1., 3., 3.])
    """
    if len(Regs) != len(epsRs):
        raise ValueError(f"RegularizedOperator takes as many Regs as epsRs, got {len(Regs)} and {len(epsRs)}")
    parts = [scaled(eps, aslinearoperator(part)) for eps, part in zip(epsRs, Regs, strict=True)]
    return VerticalStack(operators_of([Op, *parts], "RegularizedOperator"))


# -- the solvers ---------------------------------------------------------------------------------------------------


def _solve(
    solver: Callable[..., Any],
    K: LinearOperator,
    y: Any,
    x0: Tensor | None,
    callbacks: Sequence[Callbacks] | None,
    options: dict[str, Any],
) -> Any:
    """Solve ``K x = y`` with the options of a function of ``basic``, from a guess that may have other axes."""
    how = {name: options.pop(name) for name in (*SolveOptions.__annotations__, "M") if name in options}
    one = with_callback(solver(K, callbacks, **how), options.pop("callback", None))
    if x0 is not None:
        x0 = x0.reshape(*y.shape[: y.ndim - len(K.dimsd)], *K.dims)
    return one.solve(y, x0, **options)


def _options(engine: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a solver in our names.

    Raises:
        NotImplementedError: when the engine is not known.
    """
    if engine not in ("scipy", "pylops"):
        raise NotImplementedError(f"engine must be 'scipy' or 'pylops', got {engine!r}")
    chosen = dict(options)
    for name in ("iter_lim", "maxiter"):
        niter = chosen.pop(name, None)
        if niter is not None:
            chosen["niter"] = niter
    return chosen


def _least_squares(
    K: LinearOperator,
    y: Any,
    x0: Tensor | None,
    engine: str,
    callbacks: Sequence[Callbacks] | None,
    show: bool,
    options: dict[str, Any],
) -> Any:
    """Solve ``K x = y`` in the least-squares sense."""
    chosen = {"show": show, **_options(engine, options)}
    if engine == "pylops":
        return _solve(CGLS, K, y, x0, callbacks, chosen)
    defaults = {"atol": 1e-6, "btol": 1e-6, "niter": 2 * K.shape[1], "calc_var": False}
    return _solve(LSQR, K, y, x0, callbacks, {**defaults, **chosen})


# -- as PyLops has them --------------------------------------------------------------------------------------------


class Inversion:
    """Base of the inversions as PyLops has them: ``setup`` writes the equations, ``run`` solves them.

    Args:
        Op: The operator: what :func:`~torchlops.aslinearoperator` takes.
        callbacks: Objects that watch the solver, and may stop it.
    """

    _data: Data

    @uncompiled(NO_GRAPH)
    def __init__(self, Op: Any, callbacks: Sequence[Callbacks] | None = None) -> None:
        self.Op: LinearOperator = aslinearoperator(Op)
        self.callbacks = callbacks
        self.tstart = time.time()

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

    def _read(self, y: Any) -> Data:
        self.y, self.tstart = y, time.time()
        self._data = read(self.Op, y, type(self).__name__)
        return self._data

    def _print_setup(self, text: str) -> None:
        print(f"{type(self).__name__}\n{_RULE}\n{text}\n{_RULE}")

    def _memory(self, of_model: int, of_data: int, nopRegs: Any, show: bool, unit: str) -> float:
        more_rows = 0 if nopRegs is None else math.prod(nopRegs) if hasattr(nopRegs, "__len__") else int(nopRegs)
        return memory_usage(type(self).__name__, self.Op, (of_model, of_data), more_rows, show, unit)


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

    def setup(
        self,
        y: Any,
        Regs: Sequence[Any] | None,
        Weight: Any = None,
        dataregs: Sequence[Any] | None = None,
        epsI: Any = 0,
        epsRs: Sequence[Any] | None = None,
        NRegs: Sequence[Any] | None = None,
        epsNRs: Sequence[Any] | None = None,
        show: bool = False,
    ) -> None:
        """Write the normal equations."""
        data = self._read(y)
        with data.records():
            self.Op_normal, rhs = normal_equations(data, Regs, Weight, dataregs, epsRs, NRegs, epsNRs)
            self._damp = data.number(epsI, "epsI") ** 2
        self.y_normal = data.given(rhs)
        self.Regs, self.epsRs, self.epsI = Regs, epsRs, epsI
        if show:
            self._print_setup(f"Regs={Regs}\nepsRs={epsRs}     epsI={epsI}")

    def run(self, x: Any, engine: str = "scipy", show: bool = False, **kwargs_solver: Any) -> NormalEquationsResult:
        """Solve the normal equations from the initial guess ``x`` (or None)."""
        options = _options(engine, kwargs_solver)
        if engine == "scipy":
            atol = options.pop("tol", options.pop("atol", 0.0))
            tolerances = {"rtol1": options.pop("rtol", 1e-5), "tol": float(atol) ** 2}
            options = {"niter": 10 * self.Op.shape[1], **tolerances, **options}
        guess = read_guess(self.Op, x, self._data.y, self._data.name)
        options = {"damp": self._damp, "show": show, **options}
        solution = _solve(CG, self.Op_normal, self.y_normal, guess, self.callbacks, options).solution
        status, iters = solution.status, solution.iters
        failed = status >= Status.INDEFINITE
        if isinstance(iters, int):
            istop: Any = 0 if solution.converged else -1 if failed else iters
        else:
            istop = (iters * ~failed - 1 * failed) * ~solution.converged
        result = NormalEquationsResult(self._data.model(solution.x), istop)
        result.solution = solution
        return result

    @uncompiled(NO_GRAPH)
    def solve(
        self,
        y: Any,
        Regs: Sequence[Any] | None,
        x0: Any = None,
        Weight: Any = None,
        dataregs: Sequence[Any] | None = None,
        epsI: Any = 0,
        epsRs: Sequence[Any] | None = None,
        NRegs: Sequence[Any] | None = None,
        epsNRs: Sequence[Any] | None = None,
        engine: str = "scipy",
        show: bool = False,
        **kwargs_solver: Any,
    ) -> NormalEquationsResult:
        """Set up, run and finalize."""
        self.setup(y, Regs, Weight, dataregs, epsI, epsRs, NRegs, epsNRs, show)
        result = self.run(x0, engine, show, **kwargs_solver)
        self.finalize(show)
        return result

    def memory_usage(self, nopRegs: Any = None, show: bool = False, unit: str = "B") -> float:
        """Return, and print with ``show``, the memory of the vectors of one sample.

        Args:
            nopRegs: Number of data of the regularisers.
            show: Whether to print it.
            unit: ``B``, ``KB``, ``MB`` or ``GB``.
        """
        return self._memory(6, 1, nopRegs, show, unit)


class _StackedInversion(Inversion):
    """Base of the inversions that are one least-squares problem ``K x = d``."""

    def _solve_stacked(
        self, K: LinearOperator, d: Any, x0: Tensor | None, engine: str, show: bool, options: dict[str, Any],
        model: Callable[[Any], Any],
    ) -> RegularizedResult:  # fmt: skip
        solved = _least_squares(K, d, x0, engine, self.callbacks, show, options)
        result = RegularizedResult(self._data.model(model(solved.x)), *solved[1:5])
        result.solution = solved.solution
        return result


class RegularizedInversion(_StackedInversion):
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

    def setup(
        self,
        y: Any,
        Regs: Sequence[Any] | None,
        Weight: Any = None,
        dataregs: Sequence[Any] | None = None,
        epsRs: Sequence[Any] | None = None,
        show: bool = False,
    ) -> None:
        """Stack operators and data."""
        data = self._read(y)
        with data.records():
            self.RegOp, datatot = stacked_equations(data, Regs, Weight, dataregs, epsRs)
        self.datatot = data.given(datatot)
        self.Regs, self.epsRs, self.dataregs = Regs, epsRs, dataregs
        if show:
            self._print_setup(f"Regs={Regs}\nepsRs={epsRs}")

    def run(self, x: Any, engine: str = "scipy", show: bool = False, **kwargs_solver: Any) -> RegularizedResult:
        """Solve from the initial guess ``x`` (or None)."""
        guess = read_guess(self.Op, x, self._data.y, self._data.name)
        return self._solve_stacked(self.RegOp, self.datatot, guess, engine, show, kwargs_solver, lambda x: x)

    @uncompiled(NO_GRAPH)
    def solve(
        self,
        y: Any,
        Regs: Sequence[Any] | None,
        x0: Any = None,
        Weight: Any = None,
        dataregs: Sequence[Any] | None = None,
        epsRs: Sequence[Any] | None = None,
        engine: str = "scipy",
        show: bool = False,
        **kwargs_solver: Any,
    ) -> RegularizedResult:
        """Set up, run and finalize."""
        self.setup(y, Regs, Weight, dataregs, epsRs, show)
        result = self.run(x0, engine, show, **kwargs_solver)
        self.finalize(show)
        return result

    def memory_usage(self, nopRegs: Any = None, show: bool = False, unit: str = "B") -> float:
        """Return, and print with ``show``, the memory of the vectors of one sample.

        Args:
            nopRegs: Number of data of the regularisers.
            show: Whether to print it.
            unit: ``B``, ``KB``, ``MB`` or ``GB``.
        """
        return self._memory(5, 4, nopRegs, show, unit)


class PreconditionedInversion(_StackedInversion):
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

    def setup(self, y: Any, P: Any, show: bool = False) -> None:
        """Make the preconditioned operator."""
        self._read(y)
        self.P = aslinearoperator(P)
        self.POp = self.Op @ self.P
        if show:
            self._print_setup(f"Prec={self.P}")

    def run(self, x: Any, engine: str = "scipy", show: bool = False, **kwargs_solver: Any) -> RegularizedResult:
        """Solve from the initial guess ``x`` (or None) of ``p``."""
        data, K, P = self._data, self.POp, self.P
        rows = data.y.reshape(*data.batch, *K.dimsd)
        guess = read_guess(K, x, rows, data.name)
        return self._solve_stacked(
            K, data.given(rows), guess, engine, show, kwargs_solver, lambda p: P(p.reshape((*data.batch, *P.dims)))
        )

    @uncompiled(NO_GRAPH)
    def solve(
        self,
        y: Any,
        P: Any,
        x0: Any = None,
        engine: str = "scipy",
        show: bool = False,
        **kwargs_solver: Any,
    ) -> RegularizedResult:
        """Set up, run and finalize."""
        self.setup(y, P, show)
        result = self.run(x0, engine, show, **kwargs_solver)
        self.finalize(show)
        return result

    def memory_usage(self, show: bool = False, unit: str = "B") -> float:
        """Return, and print with ``show``, the memory of the vectors of one sample.

        Args:
            show: Whether to print it.
            unit: ``B``, ``KB``, ``MB`` or ``GB``.
        """
        return self._memory(5, 4, None, show, unit)
