"""Least squares with weights, several regularisers or a preconditioner, as one operator for one solver."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import HALF_PRECISIONS, as_tensor, promote, real_dtype
from torchlops.linearoperator import LinearOperator, VerticalStack, scaled
from torchlops.optimization._problem import read_data
from torchlops.optimization.basesolver import _UNITS
from torchlops.optimization.basic import cg, cgls, lsqr
from torchlops.optimization.callback import Callbacks

__all__ = ["NormalEquationsInversion", "PreconditionedInversion", "RegularizedInversion", "RegularizedOperator"]


class _NormalEquationsResult(NamedTuple):
    x: Any
    istop: Any


class NormalEquationsResult(_NormalEquationsResult):
    """The result of an inversion of normal equations, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        istop: Of each sample: 0 a tolerance was met, positive the number of iterations that did not reach it,
            negative a breakdown. (PyLops gives None with ``engine="pylops"``.)
        solution: The result of the solver: ``status``, ``iters``, ``converged``, ``cost`` and so on.
    """

    solution: Any


class _RegularizedResult(NamedTuple):
    x: Any
    istop: Any
    itn: int
    r1norm: Any
    r2norm: Any


class RegularizedResult(_RegularizedResult):
    """The result of a regularised or preconditioned inversion, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        istop: Why each sample stopped, in the numbers of the solver that ran.
        itn: Number of iterations (of the slowest sample).
        r1norm: Norm of the residual of the equations that were solved, regularisation included.
        r2norm: The same with the damping, where there is one.
        solution: The result of the solver: ``status``, ``iters``, ``converged``, ``cost`` and so on.
    """

    solution: Any


class Inversion:
    """Base of the inversions: reads data and options, and writes the equations for one of the solvers.

    Args:
        Op: The operator: what :func:`~torchlops.aslinearoperator` takes.
        callbacks: Objects that watch the solver, and may stop it.
    """

    y: Any
    _dims: tuple[int, ...]
    """Shape of one solution."""

    def __init__(self, Op: Any, callbacks: Sequence[Callbacks] | None = None) -> None:
        from torchlops.torchoperator import aslinearoperator

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
            print(f"Total time (s) = {self.telapsed:.2f}\n{'-' * 65}\n")

    def _read(self, y: Any) -> Tensor:
        """Keep the data and what is known of them; return them as ``(*batch, *dimsd)``."""
        A = self.Op
        self.y = y
        self.tstart = time.time()
        tensor, self.batch, self._nd, self._back = read_data(A, y)
        self._device = tensor.device
        own = [tensor.dtype for tensor in A._given_tensors()]
        self._real = real_dtype(promote([tensor.dtype, *own]))
        if self._real in HALF_PRECISIONS:
            raise TypeError(
                f"{type(self).__name__} does not iterate in {tensor.dtype}: cast the data, for example by y.float()"
            )
        return tensor.reshape(*self.batch, *A.dimsd)

    def _factor(self, eps: Any, part: LinearOperator, name: str) -> Any:
        """Return a number, or one of each sample with an axis for each of the data of ``part``."""
        eps = self._of_each_sample(eps, name)
        return eps.reshape((*eps.shape, *(1,) * len(part.dimsd))) if isinstance(eps, Tensor) and eps.ndim else eps

    def _of_each_sample(self, eps: Any, name: str) -> Any:
        if not isinstance(eps, Tensor) and not (hasattr(eps, "shape") and eps.shape):
            return float(eps)
        tensor = as_tensor(eps, f"{type(self).__name__}: {name}")
        try:
            shape = torch.broadcast_shapes(tensor.shape, self.batch)  # type: ignore[no-untyped-call]
        except RuntimeError:
            shape = None
        if tensor.is_complex() or shape != self.batch:
            raise ValueError(
                f"{type(self).__name__}: each of {name} must be a real number, or have the shape of the batch "
                f"{self.batch}, got {tensor.dtype} of shape {tuple(tensor.shape)}"
            )
        return tensor.to(self._device, self._real)

    def _weighted(self, Weight: Any, part: LinearOperator) -> LinearOperator:
        """Return ``W A`` for an operator, or for one weight of each sample of the data."""
        if isinstance(Weight, Tensor | np.ndarray):
            return scaled(self._weights(Weight), part)
        weighted: LinearOperator = self._as_operator(Weight) @ part
        return weighted

    def _weighted_data(self, Weight: Any, y: Tensor) -> Tensor:
        if isinstance(Weight, Tensor | np.ndarray):
            return y * self._weights(Weight)
        W = self._as_operator(Weight)
        return W.apply_nd(y.reshape(*self.batch, *W.dims), False).reshape(*self.batch, *W.dimsd)

    def _weights(self, Weight: Any) -> Tensor:
        A = self.Op
        weights = as_tensor(Weight, f"{type(self).__name__}: Weight").to(self._device)
        for dims in (A.dimsd, A.shape[:1]):
            batch = tuple(weights.shape[: -len(dims)])
            if tuple(weights.shape[-len(dims) :]) == dims and batch in ((), self.batch):
                return weights.reshape(*batch, *A.dimsd)
        raise ValueError(
            f"{type(self).__name__}: Weight must be an operator, or weights of the shape (*batch, "
            f"{', '.join(map(str, A.dimsd))}) of the data, with the batch {self.batch} or without it, "
            f"got {tuple(weights.shape)}"
        )

    def _as_operator(self, part: Any) -> LinearOperator:
        from torchlops.torchoperator import aslinearoperator

        return aslinearoperator(part)

    def _regularizers(
        self, Regs: Any, dataregs: Any, epsRs: Any
    ) -> tuple[list[LinearOperator], list[Tensor | None], list[Any]]:
        """Return the regularisers, their data (None for zero) and their epsilons, as many of each."""
        parts = [self._as_operator(part) for part in (() if Regs is None else Regs)]
        data = [None] * len(parts) if dataregs is None or not parts else list(dataregs)
        epsilons = [1.0] * len(parts) if epsRs is None or not parts else list(epsRs)
        if not len(parts) == len(data) == len(epsilons):
            raise ValueError(
                f"{type(self).__name__}: Regs, dataregs and epsRs must be as many, got {len(parts)}, {len(data)} "
                f"and {len(epsilons)}"
            )
        return parts, [self._datareg(value, part) for value, part in zip(data, parts, strict=True)], epsilons

    def _datareg(self, value: Any, part: LinearOperator) -> Tensor | None:
        if value is None:
            return None
        tensor = as_tensor(value, f"{type(self).__name__}: dataregs").to(self._device)
        for dims in (part.dimsd, part.shape[:1]):
            if tuple(tensor.shape[-len(dims) :]) == dims:
                batch = tuple(tensor.shape[: -len(dims)])
                if batch in ((), self.batch):
                    return tensor.reshape(*batch, *part.dimsd).expand(*self.batch, *part.dimsd)
        raise ValueError(
            f"{type(self).__name__}: the data of {part.name_and_type} must have the shape {part.dimsd}, after the "
            f"batch {self.batch} or without it, got {tuple(tensor.shape)}"
        )

    def _guess(self, x0: Any, dims: tuple[int, ...]) -> Any:
        if x0 is None:
            return None
        tensor = as_tensor(x0, f"{type(self).__name__}: x0").to(self._device)
        if tensor.numel() != math.prod(self.batch) * math.prod(dims):
            raise ValueError(
                f"{type(self).__name__}: x0 must have the shape {(*self.batch, *dims)}, or be flattened, "
                f"got {tuple(tensor.shape)}"
            )
        return tensor.reshape(*self.batch, *dims)

    def _given(self, tensor: Tensor) -> Any:
        """Return a tensor as the kind of array that the data were."""
        return tensor if self._back is None else self._back(tensor)

    def _shaped(self, x: Any) -> Any:
        """Return a solution in the shape that goes with that of the data."""
        dims = self._dims if self._nd else (math.prod(self._dims),)
        return x.reshape((*self.batch, *dims))

    def _runs_graph(self) -> torch.set_grad_enabled:
        return torch.set_grad_enabled(torch.is_grad_enabled() and self._back is None)

    def _memory(self, of_model: int, of_data: int, nopRegs: Any, show: bool, unit: str) -> float:
        """Return the memory of so many models and stacked data."""
        rows, columns = self.Op.shape
        size = rows + (0 if nopRegs is None else math.prod(nopRegs) if hasattr(nopRegs, "__len__") else int(nopRegs))
        usage = float((of_model * columns + of_data * size) * self.Op.dtype.itemsize) / _UNITS[unit]
        if show:
            print(f"{type(self).__name__} predicted memory usage: {usage:.2f} {unit}")
        return usage

    def _least_squares(self, K: LinearOperator, y: Any, x0: Any, engine: str, show: bool, options: Any) -> Any:
        """Solve ``K x = y`` in the least-squares sense."""
        solver, chosen = _of_engine(engine, options, lsqr, cgls)
        if engine == "scipy":
            chosen = {"atol": 1e-6, "btol": 1e-6, "niter": 2 * K.shape[1], "calc_var": False, **chosen}
        return solver(K, y, x0, callbacks=self.callbacks, show=show, **chosen)


def _of_engine(engine: str, options: dict[str, Any], of_scipy: Any, of_pylops: Any) -> tuple[Any, dict[str, Any]]:
    """Return the solver that ``engine`` stands for, and its options in our names."""
    if engine not in ("scipy", "pylops"):
        raise NotImplementedError(f"engine must be 'scipy' or 'pylops', got {engine!r}")
    chosen = dict(options)
    for name in ("iter_lim", "maxiter"):
        niter = chosen.pop(name, None)
        if niter is not None:
            chosen["niter"] = niter
    return (of_scipy if engine == "scipy" else of_pylops), chosen


class NormalEquationsInversion(Inversion):
    r"""Inversion of the normal equations of weighted and regularised least squares, by conjugate gradients.

    .. math::

        \Bigl(A^H W A + \sum_i \epsilon_{R_i}^2 R_i^H R_i + \sum_i \epsilon_{N_i}^2 N_i + \epsilon_I^2 I\Bigr) x
        = A^H W y + \sum_i \epsilon_{R_i}^2 R_i^H y_{R_i}

    This squares the condition number: :class:`RegularizedInversion` is the more accurate way, where it can be taken.

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
        """Write the normal equations; arguments as in :meth:`solve`."""
        data = self._read(y)
        A = self.Op
        parts, regdata, epsilons = self._regularizers(Regs, dataregs, epsRs)
        squares = [self._as_operator(part) for part in (() if NRegs is None else NRegs)]
        epsilons_of_squares = [1.0] * len(squares) if epsNRs is None or not squares else list(epsNRs)
        if len(squares) != len(epsilons_of_squares):
            raise ValueError(
                f"{type(self).__name__}: NRegs and epsNRs must be as many, got {len(squares)} and "
                f"{len(epsilons_of_squares)}"
            )
        with self._runs_graph():
            weighted = data if Weight is None else self._weighted_data(Weight, data)
            rhs = A.apply_nd(weighted.reshape(data.shape), True)
            normal = A.H @ (A if Weight is None else self._weighted(Weight, A))
            for eps, part, value in zip(epsilons, parts, regdata, strict=True):
                term = part.H @ part
                factor = self._factor(eps, term, "epsRs")
                normal = normal + scaled(factor**2, term)
                if value is not None:
                    rhs = rhs + (factor**2 * part.apply_nd(value, True)).reshape(rhs.shape)
            for eps, term in zip(epsilons_of_squares, squares, strict=True):
                normal = normal + scaled(self._factor(eps, term, "epsNRs") ** 2, term)
            damp = self._of_each_sample(epsI, "epsI")
            self._damp = damp**2
        self._dims = A.dims
        self.Regs, self.epsRs, self.epsI = Regs, epsRs, epsI
        self.Op_normal, self.y_normal = normal, self._given(rhs.reshape(*self.batch, *normal.dimsd))
        if show:
            print(f"{type(self).__name__}\n{'-' * 65}\nRegs={Regs}\nepsRs={epsRs}     epsI={epsI}\n{'-' * 65}")

    def run(self, x: Any, engine: str = "scipy", show: bool = False, **kwargs_solver: Any) -> NormalEquationsResult:
        """Solve the normal equations from the initial guess ``x`` (or None); arguments as in :meth:`solve`."""
        _, options = _of_engine(engine, kwargs_solver, cg, cg)
        if engine == "scipy":
            atol = options.pop("tol", options.pop("atol", 0.0))
            tolerances = {"rtol1": options.pop("rtol", 1e-5), "tol": float(atol) ** 2}
            options = {"niter": 10 * self.Op.shape[1], **tolerances, **options}
        N = self.Op_normal
        solution: Any = cg(
            N,
            self.y_normal,
            self._guess(x, N.dims),
            damp=self._damp,
            show=show,
            callbacks=self.callbacks,
            **options,
        )
        failed = solution.status >= 10
        reached = solution.converged
        if isinstance(solution.iters, int):
            istop: Any = 0 if reached else -1 if failed else solution.iters
        else:
            istop = (solution.iters * ~failed - 1 * failed) * ~reached
        result = NormalEquationsResult(self._shaped(solution.x), istop)
        result.solution = solution
        return result

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
        r"""Solve the normal equations.

        Args:
            y: Data, ``(*batch, *dimsd)`` or flattened.
            Regs: Regularisers :math:`R_i`, or None.
            x0: Initial guess; zero by default.
            Weight: An operator :math:`W`, Hermitian and positive, or real weights of the shape of the data (of one
                sample, or of the batch). It weights squares: the root of it would weight the residual.
            dataregs: Data :math:`y_{R_i}` of the regularisers, of one sample or of the batch; zero by default, or
                where one is None.
            epsI: The damping: a number, or one for each sample.
            epsRs: The epsilons of ``Regs``, each a number, or one for each sample; 1 by default.
            NRegs: Regularisers :math:`N_i` that are Hermitian and positive already.
            epsNRs: The epsilons of ``NRegs``; 1 by default.
            engine: See the class.
            show: Whether to print a table.
            **kwargs_solver: Arguments of :func:`~torchlops.optimization.basic.cg`.
        """
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


def RegularizedOperator(Op: Any, Regs: Sequence[Any], epsRs: Sequence[Any] = (1,)) -> LinearOperator:
    r"""Return the operator on top of its regularisers, :math:`(A;\ \epsilon_1 R_1;\ \epsilon_2 R_2; \ldots)`.

    Args:
        Op: The operator.
        Regs: The regularisers.
        epsRs: As many numbers, or tensors that broadcast against the data of the regularisers.

    Example:
        >>> import torch, torchlops
        >>> RegularizedOperator(torchlops.Identity(2), [torchlops.Identity(2)], epsRs=[3.0])(torch.ones(2))
        tensor([1., 1., 3., 3.])
    """
    from torchlops.torchoperator import aslinearoperator, operators_of

    if len(Regs) != len(epsRs):
        raise ValueError(f"RegularizedOperator takes as many Regs as epsRs, got {len(Regs)} and {len(epsRs)}")
    parts = [scaled(eps, aslinearoperator(part)) for eps, part in zip(epsRs, Regs, strict=True)]
    return VerticalStack(operators_of([Op, *parts], "RegularizedOperator"))


class RegularizedInversion(Inversion):
    r"""Inversion of weighted and regularised least squares.

    .. math:: \min_x \|W (A x - y)\|^2 + \sum_i \epsilon_{R_i}^2 \|R_i x - y_{R_i}\|^2

    The regularisers are stacked below the operator, so that the condition number is not squared.

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
        """Stack operators and data; arguments as in :meth:`solve`."""
        data = self._read(y)
        parts, regdata, epsilons = self._regularizers(Regs, dataregs, epsRs)
        with self._runs_graph():
            top = self.Op if Weight is None else self._weighted(Weight, self.Op)
            stacked = (data if Weight is None else self._weighted_data(Weight, data)).reshape(*self.batch, top.shape[0])
            factors = [self._factor(eps, part, "epsRs") for eps, part in zip(epsilons, parts, strict=True)]
            self.RegOp = RegularizedOperator(top, parts, factors)
            pieces = [stacked]
            for factor, part, value in zip(factors, parts, regdata, strict=True):
                rows = (*self.batch, part.shape[0])
                pieces.append(stacked.new_zeros(rows) if value is None else (factor * value).reshape(rows))
            self.datatot = self._given(torch.cat(pieces, dim=-1))
        self._dims = self.Op.dims
        self.Regs, self.epsRs, self.dataregs = Regs, epsRs, dataregs
        if show:
            print(f"{type(self).__name__}\n{'-' * 65}\nRegs={Regs}\nepsRs={epsRs}\n{'-' * 65}")

    def run(self, x: Any, engine: str = "scipy", show: bool = False, **kwargs_solver: Any) -> RegularizedResult:
        """Solve from the initial guess ``x`` (or None); arguments as in :meth:`solve`."""
        K = self.RegOp
        solution = self._least_squares(K, self.datatot, self._guess(x, K.dims), engine, show, kwargs_solver)
        result = RegularizedResult(self._shaped(solution.x), *solution[1:5])
        result.solution = solution
        return result

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
        r"""Solve the regularised least-squares problem.

        Args:
            y: Data, ``(*batch, *dimsd)`` or flattened.
            Regs: Regularisers :math:`R_i`, or None.
            x0: Initial guess; zero by default.
            Weight: An operator :math:`W`, or weights of the shape of the data (of one sample, or of the batch). It
                weights the residual, and not its square.
            dataregs: Data :math:`y_{R_i}` of the regularisers, of one sample or of the batch; zero by default, or
                where one is None.
            epsRs: The epsilons of ``Regs``, each a number, or one for each sample; 1 by default.
            engine: See the class.
            show: Whether to print a table.
            **kwargs_solver: Arguments of :func:`~torchlops.optimization.basic.lsqr` (``engine="scipy"``) or
                :func:`~torchlops.optimization.basic.cgls` (``engine="pylops"``).
        """
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


class PreconditionedInversion(Inversion):
    r"""Inversion of least squares in other coordinates, :math:`x = P p`.

    .. math:: \min_p \|A P p - y\|^2

    ``engine`` is as in :class:`RegularizedInversion`.

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
        """Make the preconditioned operator; arguments as in :meth:`solve`."""
        data = self._read(y)
        self.P = self._as_operator(P)
        self.POp = self.Op @ self.P
        self._data = self._given(data.reshape(*self.batch, *self.POp.dimsd))
        self._dims = self.Op.dims
        if show:
            print(f"{type(self).__name__}\n{'-' * 65}\nPrec={self.P}\n{'-' * 65}")

    def run(self, x: Any, engine: str = "scipy", show: bool = False, **kwargs_solver: Any) -> RegularizedResult:
        """Solve from the initial guess ``x`` (or None) of ``p``; arguments as in :meth:`solve`."""
        K = self.POp
        solution = self._least_squares(K, self._data, self._guess(x, K.dims), engine, show, kwargs_solver)
        p = solution.x.reshape((*self.batch, *self.P.dims))
        result = RegularizedResult(self._shaped(self.P(p)), *solution[1:5])
        result.solution = solution
        return result

    def solve(
        self,
        y: Any,
        P: Any,
        x0: Any = None,
        engine: str = "scipy",
        show: bool = False,
        **kwargs_solver: Any,
    ) -> RegularizedResult:
        """Solve the preconditioned least-squares problem.

        Args:
            y: Data, ``(*batch, *dimsd)`` or flattened.
            P: The preconditioner: the operator from the new coordinates to the model.
            x0: Initial guess of ``p`` (and not of ``x``); zero by default.
            engine: See the class.
            show: Whether to print a table.
            **kwargs_solver: Arguments of :func:`~torchlops.optimization.basic.lsqr` (``engine="scipy"``) or
                :func:`~torchlops.optimization.basic.cgls` (``engine="pylops"``).
        """
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
