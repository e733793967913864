"""The base of the iterative solvers: batches, per-sample stopping, failures, callbacks and printing."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from torchlops._private import disable_dynamo, is_plain_eager
from torchlops.arrays import HALF_PRECISIONS, as_tensor, complex_dtype, from_array, real_dtype, to_numpy
from torchlops.linearoperator import LinearOperator, promote
from torchlops.optimization._vectors import Scalar, inner, maximum, norm, where
from torchlops.optimization.callback import Callbacks, _callback_stop

_UNITS = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


class Status(IntEnum):
    """Why a solver stopped on a sample. From 10 on, it failed."""

    RUNNING = 0
    CONVERGED = 1
    MAXITER = 2
    STOPPED = 3
    """By a callback."""
    ILL_CONDITIONED = 4
    """The estimate of the condition number has passed its limit."""
    INDEFINITE = 10
    """The operator (or the preconditioner) is not positive definite, which CG needs."""
    BREAKDOWN = 11
    """A short recurrence cannot go on."""
    NONFINITE = 13
    """NaN or infinity on the way: the solution of the sample is NaN."""
    NONFINITE_INPUT = 14
    """NaN or infinity in the data, the initial guess or the damping: the solution of the sample is NaN."""


class SolverError(RuntimeError):
    """A solver failed on some samples, with ``on_fail="raise"``."""


class SolverWarning(UserWarning):
    """A solver failed on some samples."""


class Solver:
    r"""Base of the iterative solvers.

    ``solve`` is ``setup``, ``run`` (which calls ``step``) and ``finalize``, and returns a named tuple. Data are
    ``(*batch, *dimsd)`` or flattened, NumPy arrays or tensors, and the model comes back in kind. Each sample of a
    batch stops by itself: it is frozen, exactly, and, once more than half of a batch with one axis has stopped,
    the batch goes on without those. (That takes an operator that treats all samples alike, as all operators of
    the catalogue do. Another is noticed by its shapes; ``compact=False`` is for it.)

    A subclass writes ``_start`` (first vectors and numbers), ``_iterate`` (one iteration) and ``_result``, and names
    what it keeps of each sample in ``vectors`` and ``scalars``. Its vectors are as in ``_vectors.py``.

    Args:
        Op: The operator: what :func:`~torchlops.aslinearoperator` takes.
        callbacks: Objects that watch the solver, and may stop it; see :class:`Callbacks`.
        M: Preconditioner, an approximate inverse of the operator, where the solver takes one.
        grad: How derivatives of the solution are taken. ``"implicit"``: those of the exact solution, in every mode
            and to any order, by one more solve; nothing is stored. ``"unroll"``: those of the iterations as they
            run. ``None``: none.
        adjoint_rtol: Relative tolerance of the solves of a derivative; by default the smallest relative tolerance of
            the solver itself, or somewhat above the rounding of the dtype where it has none.
        adjoint_niter: Most iterations of such a solve; by default those of the solver, or the size of the model if
            that is more.
        on_fail: What to do about failed samples: ``"warn"``, ``"raise"`` or ``"ignore"``; ``status`` of the result
            tells them in each case.
        check_every: Iterations between two looks at whether any sample is still active, which make a device wait.
            They are more than needed where a look comes late, and change nothing.
        compact: Whether to drop stopped samples from the batch.
        progress: Whether to show a progress bar (needs tqdm).
        checkpoint_every: With ``grad="unroll"``: store the state only every so many iterations, and repeat the
            others in the backward pass.

    Attributes:
        iiter: Number of iterations so far.
        cost: History of the cost, one entry an iteration.
        status: A :class:`Status` for each sample, after ``finalize``.
    """

    equation: ClassVar[str] = "least squares"
    """What is solved: ``"least squares"`` or a ``"square"`` system (see ``implicit.py``)."""
    vectors: ClassVar[tuple[str, ...]] = ()
    """Names of the work vectors, apart from ``x`` and ``y``."""
    scalars: ClassVar[tuple[str, ...]] = ()
    """Names of the numbers of each sample that outlive it."""
    keeps_complex: ClassVar[bool] = False
    """Whether complex vectors stay complex."""
    takes_preconditioner: ClassVar[bool] = False

    x: Tensor
    """The solution so far, a vector (see ``_vectors.py``)."""
    y: Tensor
    """The data, a vector."""
    batch: tuple[int, ...]
    cost: Any
    active: Scalar
    """Whether each sample still iterates."""
    iters: Scalar
    status_code: Scalar
    status: Tensor
    ynorm: Scalar
    is_damped: bool
    has_guess: bool
    _damp: Scalar
    _back: Any
    _public: Any
    _nd: bool
    _is_complex: bool
    _finite_input: Tensor
    _model_dtype: torch.dtype
    _data_dtype: torch.dtype

    def __init__(
        self,
        Op: Any,
        callbacks: Sequence[Callbacks] | None = None,
        M: Any = None,
        *,
        grad: str | None = "implicit",
        adjoint_rtol: float | None = None,
        adjoint_niter: int | None = None,
        on_fail: str = "warn",
        check_every: int = 10,
        compact: bool = True,
        progress: bool = False,
        checkpoint_every: int | None = None,
    ) -> None:
        from torchlops.torchoperator import aslinearoperator

        if grad not in ("implicit", "unroll", None):
            raise ValueError(f"grad must be 'implicit', 'unroll' or None, got {grad!r}")
        if on_fail not in ("warn", "raise", "ignore"):
            raise ValueError(f"on_fail must be 'warn', 'raise' or 'ignore', got {on_fail!r}")
        if check_every < 1:
            raise ValueError(f"check_every must be 1 or more, got {check_every}")
        if M is not None and not self.takes_preconditioner:
            raise ValueError(f"{type(self).__name__} takes no preconditioner M: solve for (Op M) and apply M instead")
        self.Op: LinearOperator = aslinearoperator(Op)
        self.M: LinearOperator | None = None if M is None else aslinearoperator(M)
        rows, columns = self.Op.shape
        if self.equation == "square" and rows != columns:
            raise ValueError(
                f"{type(self).__name__} solves square systems, {self.Op.name_and_type} is {rows} x {columns}: "
                "use cgls, lsqr or lsmr"
            )
        if self.M is not None and self.M.shape != self.Op.shape:
            raise ValueError(f"M must have the shape {self.Op.shape} of the operator, got {self.M.shape}")
        self.callbacks = callbacks
        self.grad, self.adjoint_rtol, self.adjoint_niter = grad, adjoint_rtol, adjoint_niter
        self.on_fail, self.check_every, self.compact = on_fail, check_every, compact
        self.progress, self.checkpoint_every = progress, checkpoint_every
        self.iiter = 0
        self.niter: int | None = None
        self.tstart = 0.0

    # -- what a subclass writes ------------------------------------------------------------------------------

    def _start(self) -> None:
        """Make the first vectors and numbers from ``y`` and ``x``; set ``active`` and append the first cost."""
        raise NotImplementedError

    def _iterate(self) -> None:
        """Do one iteration: update ``x``, ``active`` and what else there is, and append the cost."""
        raise NotImplementedError

    def _result(self, x: Any) -> Any:
        """Return the named tuple of a solution ``x``."""
        raise NotImplementedError

    def _current(self) -> Tensor:
        """Return the solution so far, for a solver that does not keep ``x`` up to date."""
        return self.x

    def _accuracy(self) -> Scalar:
        """Return, after the end, the norm of the residual of the equation relative to its right-hand side."""
        raise NotImplementedError

    # -- the public methods ----------------------------------------------------------------------------------

    def _setup(self, y: Any, x0: Any, damp: Any, niter: int | None, show: bool) -> Any:
        """Read the data and start: what the ``setup`` of each solver calls, once it has kept its options."""
        for callback in self.callbacks or ():
            callback.on_setup_begin(self, x0)
        self.niter = niter
        self.tstart = time.time()
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.grad == "unroll"):
            self._read(y, x0, damp)
            self._start()
        self._public = self._shown()
        if show:
            self._print_setup()
        for callback in reversed(self.callbacks or ()):
            callback.on_setup_end(self, self._public)
        return self._public

    def step(self, x: Any, show: bool = False) -> Any:
        """Do one iteration from ``x`` (what ``setup`` or the last step returned), and return the new ``x``."""
        for callback in self.callbacks or ():
            callback.on_step_begin(self, x)
        self._adopt(x)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.grad == "unroll"):
            self._next()
        self._public = self._shown()
        if show:
            self._print_step()
        for callback in reversed(self.callbacks or ()):
            callback.on_step_end(self, self._public)
        return self._public

    def run(self, x: Any, niter: int | None = None, show: bool = False, itershow: Sequence[int] = (10, 10, 10)) -> Any:
        """Iterate until every sample has stopped, or ``niter`` iterations are done, and return ``x``."""
        niter = self.niter if niter is None else niter
        if niter is None:
            raise ValueError("niter must be given, to setup or to run")
        self.niter = niter
        for callback in self.callbacks or ():
            callback.on_run_begin(self, x)
        self._adopt(x)
        watched = show or bool(self.callbacks) or "callback" in vars(self) or type(self).callback is not Solver.callback
        bar = _progress_bar(type(self).__name__, niter) if self.progress else None
        if watched:
            self._run_watched(niter, show, itershow, bar)
        else:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.grad == "unroll"):
                self._run_fast(niter, bar)
        if bar is not None:
            bar.close()
        self._public = self._shown()
        for callback in reversed(self.callbacks or ()):
            callback.on_run_end(self, self._public)
        return self._public

    def finalize(self, show: bool = False) -> None:
        """End the solution: put all samples back, and say of each why it stopped."""
        self.x = self._current()
        self._put_back()
        self._conclude()
        self.tend = time.time()
        self.telapsed = self.tend - self.tstart
        self.cost = self._history()
        self._public = self._shown()
        if show:
            self._print_finalize()
        if self.on_fail != "ignore":
            self._complain()

    def callback(self, x: Any) -> None:
        """Called with ``x`` after each step; assign a function to it, or override it."""

    def memory_usage(self, show: bool = False, unit: str = "B") -> float:
        """Return, and print with ``show``, the memory of the vectors of one sample, apart from the operator's own.

        Args:
            show: Whether to print it.
            unit: ``B``, ``KB``, ``MB`` or ``GB``.
        """
        rows, columns = self.Op.shape
        of_model, of_data = self._vector_count()
        usage = float((of_model * columns + of_data * rows) * self.Op.dtype.itemsize) / _UNITS[unit]
        if show:
            print(f"{type(self).__name__} predicted memory usage: {usage:.2f} {unit}")
        return usage

    def _vector_count(self) -> tuple[int, int]:
        """Return how many vectors of the size of the model, and of the data, are alive at once."""
        return len(self.vectors) + 2, 1

    # -- the loop --------------------------------------------------------------------------------------------

    def _solve(self, y: Any, x0: Any, show: bool, itershow: Sequence[int], **options: Any) -> Any:
        """Set up, run and finalize, with derivatives: what the ``solve`` of each solver calls."""
        if torch.compiler.is_compiling():  # a loop that asks its data whether to go on is no graph
            return _solve_uncompiled(self, y, x0, show, itershow, options)
        from torchlops.optimization.implicit import needs_attaching, solve_attached  # it imports this module

        if self.grad != "unroll" and isinstance(y, Tensor) and needs_attaching(self, y, options.get("damp", 0.0)):
            return self._result(solve_attached(self, y, x0, options, show, itershow))
        if isinstance(y, Tensor):
            self._go(y, x0, show, itershow, **options)
        else:
            with torch.no_grad():
                self._go(y, x0, show, itershow, **options)
        return self._result(self._public)

    def _go(self, y: Any, x0: Any, show: bool = False, itershow: Sequence[int] = (10, 10, 10), **options: Any) -> None:
        x = self.setup(y, x0, show=show, **options)  # type: ignore[attr-defined]  # each solver has its own
        self.run(x, show=show, itershow=itershow)
        self.finalize(show)

    def _run_fast(self, niter: int, bar: Any) -> None:
        records = torch.is_grad_enabled()
        every = (self.checkpoint_every or self.check_every) if records else self.check_every
        while self.iiter < niter and self._goes_on():
            count = min(every, niter - self.iiter)
            if records and self.checkpoint_every:
                self._run_checkpointed(count)
            else:
                for _ in range(count):
                    self._next()
                    if not isinstance(self.active, Tensor) and not self.active:
                        break
            if bar is not None:
                bar.update(count)
            if not records and self.compact:
                self._drop_stopped()

    def _run_watched(self, niter: int, show: bool, itershow: Sequence[int], bar: Any) -> None:
        while self.iiter < niter and self._goes_on():
            left = niter - self.iiter
            shown = show and (self.iiter < itershow[0] or left < itershow[1] or self.iiter % itershow[2] == 0)
            x = self.step(self._public, shown)
            self.callback(x)
            if bar is not None:
                bar.update(1)
            if _callback_stop(self.callbacks):
                self._stopped = True
                break

    def _next(self) -> None:
        self.iters = self.iters + self.active
        self.iiter += 1
        self._iterate()

    def _goes_on(self) -> bool:
        if not isinstance(self.active, Tensor):
            return bool(self.active)
        if not is_plain_eager() and torch.is_grad_enabled():
            return True  # a transform may not let us look: the masks keep that right
        return bool(self.active.any())

    def _run_checkpointed(self, count: int) -> None:
        names = [
            name for name in ("x", *self.vectors, *self.scalars, *_OF_EACH) if isinstance(vars(self)[name], Tensor)
        ]
        snapshot = copy.copy(self)  # the backward pass repeats these iterations, when this solver has gone on

        def segment(cost: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            solver = copy.copy(snapshot)
            solver.cost = [cost]
            vars(solver).update(zip(names, state, strict=True))
            for _ in range(count):
                solver._next()
            return (*(vars(solver)[name] for name in names), *solver.cost[1:])

        state: Any = checkpoint(segment, self.cost[-1], *(vars(self)[name] for name in names), use_reentrant=False)
        vars(self).update(zip(names, state, strict=False))
        self.cost.extend(state[len(names) :])
        self.iiter += count

    # -- samples that have stopped ---------------------------------------------------------------------------

    def _stop(self, condition: Scalar, why: Status) -> None:
        """Let the active samples on which ``condition`` holds stop, and keep the reason."""
        hit = condition & self.active
        self.status_code = where(hit, int(why), self.status_code)
        self.active = self.active & ~hit if isinstance(hit, Tensor) else self.active and not hit

    def _check_adjoint(self, Ap: Tensor, r: Tensor, right: Scalar) -> None:
        """Warn where ``<A p, r>`` is far from ``<p, A^H r>`` (``right``), which a first iteration has anyway."""
        if not self._can_look() or self.on_fail == "ignore":
            return
        far = abs(inner(Ap, r) - right) > torch.finfo(self.x.dtype).eps ** 0.25 * norm(Ap) * norm(r)
        if bool(far.any()) if isinstance(far, Tensor) else far:
            message = (
                f"the adjoint of {self.Op.name_and_type} seems to be wrong: <A p, r> and <p, A^H r> differ. "
                "torchlops.dottest(A) tells more; on_fail='ignore' silences this."
            )
            if self.on_fail == "raise":
                raise SolverError(message)
            warnings.warn(message, SolverWarning, stacklevel=2)

    def _limit(
        self, start: Scalar, scale: Scalar, tol: float, rtol: float, rtol1: float, floor: float | None = None
    ) -> Scalar:
        """Return the squared norm up to which a residual is small: the largest of three tolerances.

        They are ``tol`` (on the square), ``rtol`` times the initial norm and ``rtol1`` times ``scale``. Below them
        is a floor, deep in the rounding, under which no iteration means anything.
        """
        deep = 0.1 * torch.finfo(self.x.dtype).eps if floor is None else floor
        limit = maximum(start * start * rtol**2, scale * scale * max(rtol1, deep) ** 2)
        return maximum(limit, tol)

    def _drop_stopped(self) -> None:
        """Go on without the stopped samples, where they are more than half of a batch with one axis."""
        if len(self.batch) != 1 or not isinstance(self.active, Tensor):
            return
        active = self.active.flatten()
        if 2 * int(active.sum()) >= active.shape[0] or active.shape[0] < 8 or not bool(active.any()):
            return
        keep = active.nonzero().flatten()
        names = ("x", "y", *self.vectors, *self.scalars, *_OF_EACH)
        whole = {name: vars(self)[name] for name in names if isinstance(vars(self)[name], Tensor)}
        kept = {name: value[keep] for name, value in whole.items() if value.shape[0] == active.shape[0]}
        if not self._treats_alike(kept["x"]):
            self.compact = False
            return
        vars(self).update(kept)
        outlive = {name: whole[name] for name in ("x", *self.scalars, *_OF_EACH) if name in kept}
        self._dropped.append((keep, outlive, len(self.cost)))
        self.batch = (keep.shape[0],)

    def _treats_alike(self, x: Tensor) -> bool:
        try:
            return self.Op._run(self._as_array(x, self.Op.dims, self._model_dtype), False).shape[:1] == x.shape[:1]
        except RuntimeError:
            return False

    def _put_back(self) -> None:
        while self._dropped:
            keep, whole, first = self._dropped.pop()
            for name, value in whole.items():
                vars(self)[name] = value.index_copy(0, keep, vars(self)[name])
            last = self.cost[first - 1]
            self.cost[first:] = [last.index_copy(0, keep, entry) for entry in self.cost[first:]]
            self.batch = (last.shape[0],)

    def _conclude(self) -> None:
        """Turn what is known of each sample into its status, and its solution to NaN where there is none."""
        accuracy = torch.as_tensor(self._accuracy(), device=self.x.device)
        finite = self._finite_input & torch.isfinite(norm_of(self.x)) & torch.isfinite(accuracy.detach())
        code = torch.as_tensor(self.status_code, device=self.x.device).expand(self._finite_input.shape)
        active = torch.as_tensor(self.active, device=self.x.device).expand(code.shape)
        last = Status.STOPPED if self._stopped else Status.MAXITER
        code = torch.where(code == Status.RUNNING, torch.where(active, int(last), int(Status.CONVERGED)), code)
        code = torch.where(finite, code, int(Status.NONFINITE))
        code = torch.where(self._finite_input, code, int(Status.NONFINITE_INPUT))
        self.status = code.squeeze(-1)
        if not is_plain_eager() and torch.is_grad_enabled():
            return
        if not bool(finite.all()):
            self.x = torch.where(finite, self.x, math.nan)

    def _complain(self) -> None:
        if not is_plain_eager() and torch.is_grad_enabled():
            return
        failed = self.status >= Status.INDEFINITE
        if not bool(failed.any()):
            return
        reasons = [f"{describe(self.status, code)}" for code in Status if code >= Status.INDEFINITE]
        message = (
            f"{type(self).__name__} on {self.Op.name_and_type} failed: {', '.join(filter(None, reasons))}. "
            f"{_HINT} on_fail='ignore' silences this, status of the result tells the samples."
        )
        if self.on_fail == "raise":
            raise SolverError(message)
        warnings.warn(message, SolverWarning, stacklevel=2)

    # -- reading and showing ---------------------------------------------------------------------------------

    def _read(self, y: Any, x0: Any, damp: Any) -> None:
        A = self.Op
        self._back = None
        if not isinstance(y, Tensor):
            y, self._back = from_array(y, A.name_and_type)
        if not (y.is_floating_point() or y.is_complex()):
            y = y.to(torch.float64)
        self._nd = tuple(y.shape[-len(A.dimsd) :]) == A.dimsd
        if not self._nd and (y.ndim == 0 or y.shape[-1] != A.shape[0]):
            raise A._wrong_shape(y, True)
        self.batch = tuple(y.shape[: -len(A.dimsd)] if self._nd else y.shape[:-1])
        given = None if x0 is None else as_tensor(x0, f"{type(self).__name__}: x0")
        self._set_dtypes(y, given)
        self.y = self._as_vector(y, A.dimsd, self._data_dtype)
        if given is None:
            size = A.shape[1] * (2 if self._model_dtype.is_complex and not self._is_complex else 1)
            dtype = self._model_dtype if self._is_complex else real_dtype(self._model_dtype)
            self.x = self.y.new_zeros((*self.batch, size), dtype=dtype)
        else:
            self._check_guess(given)
            self.x = self._as_vector(given.to(self.y.device), A.dims, self._model_dtype).clone()
        self.has_guess = given is not None
        self.damp = damp
        self._damp = self._read_damp(damp)
        self.is_damped = isinstance(damp, Tensor) or bool(torch.as_tensor(damp).any())
        self.cost = []
        self.iiter = 0
        self._stopped = False
        self._dropped: list[tuple[Tensor, dict[str, Tensor], int]] = []
        one = norm(self.y)
        self.ynorm = one
        self.status_code = torch.zeros_like(one, dtype=torch.int64) if isinstance(one, Tensor) else 0
        self.iters = torch.zeros_like(one, dtype=torch.int64) if isinstance(one, Tensor) else 0
        self.active = torch.ones_like(one, dtype=torch.bool) if isinstance(one, Tensor) else True
        finite = torch.isfinite(norm_of(self.y)) & torch.isfinite(norm_of(self.x))
        self._finite_input = finite & torch.isfinite(torch.as_tensor(self._damp, device=finite.device))

    def _set_dtypes(self, y: Tensor, x0: Tensor | None) -> None:
        A = self.Op
        tensors = [tensor.dtype for tensor in A._given_tensors()]
        dtype = promote([y.dtype, *tensors, *([] if x0 is None else [x0.dtype])])
        if A._torch_dtype().is_complex:
            dtype = complex_dtype(dtype)
        if dtype in HALF_PRECISIONS:
            raise TypeError(
                f"{type(self).__name__} on {A.name_and_type} does not iterate in {dtype}: cast the data, for example "
                "by y.float()"
            )
        self._data_dtype = dtype
        self._model_dtype = real_dtype(dtype) if A.real_model else dtype
        self._is_complex = self.keeps_complex and A.clinear and dtype.is_complex

    def _check_guess(self, x0: Tensor) -> None:
        A = self.Op
        if tuple(x0.shape) not in ((*self.batch, *A.dims), (*self.batch, A.shape[1])):
            raise ValueError(
                f"{type(self).__name__}: x0 must have the shape {(*self.batch, *A.dims)} (or flattened "
                f"{(*self.batch, A.shape[1])}), got {tuple(x0.shape)}"
            )

    def _read_damp(self, damp: Any) -> Scalar:
        if not hasattr(damp, "shape"):
            return float(damp)
        tensor = as_tensor(damp, f"{type(self).__name__}: damp").to(self.y.device, real_dtype(self._model_dtype))
        try:
            torch.broadcast_shapes(tensor.shape, self.batch)  # type: ignore[no-untyped-call]
        except RuntimeError:
            raise ValueError(
                f"{type(self).__name__}: damp must be a number or of the shape of the batch {self.batch}, "
                f"got {tuple(tensor.shape)}"
            ) from None
        if not self.batch and tensor.is_cpu and not torch.is_grad_enabled():
            return tensor.item()
        return tensor.unsqueeze(-1).expand(*self.batch, 1) if self.batch else tensor.reshape(1)

    def _as_vector(self, array: Tensor, dims: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return ``(*batch, *dims)`` or flattened as a vector of ``dtype``."""
        if array.is_complex() and not dtype.is_complex:
            raise TypeError(
                f"{self.Op.name_and_type} gave {array.dtype} where {dtype} was expected: label the operator as "
                "complex (dtype=), or as one of real models"
            )
        vector = array.to(dtype).reshape(*self.batch, math.prod(dims))
        if not dtype.is_complex or self._is_complex:
            return vector
        return torch.view_as_real(vector.resolve_conj()).flatten(-2)

    def _as_array(self, vector: Tensor, dims: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a vector as ``(*batch, *dims)`` of ``dtype``."""
        if dtype.is_complex and not self._is_complex:
            vector = torch.view_as_complex(vector.reshape(*self.batch, math.prod(dims), 2))
        return vector.reshape(*self.batch, *dims)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``A x`` of vectors."""
        A = self.Op
        return self._as_vector(A._run(self._as_array(x, A.dims, self._model_dtype), False), A.dimsd, self._data_dtype)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return ``A^H y`` of vectors."""
        A = self.Op
        x = A._run(self._as_array(y, A.dimsd, self._data_dtype), True)
        if x.is_complex() and not self._model_dtype.is_complex and A.real_model:
            x = x.real
        return self._as_vector(x, A.dims, self._model_dtype)

    def precondition(self, r: Tensor) -> Tensor:
        """Return ``M r`` of vectors."""
        if self.M is None:
            return r
        M = self.M
        return self._as_vector(M._run(self._as_array(r, M.dims, self._model_dtype), False), M.dimsd, self._model_dtype)

    def _shown(self) -> Any:
        """Return the solution so far as the user sees it."""
        A = self.Op
        x = self._as_array(self._current(), A.dims, self._model_dtype)
        if not self._nd:
            x = x.reshape(*self.batch, A.shape[1])
        return x if self._back is None else self._back(x)

    def _adopt(self, x: Any) -> None:
        """Go on from another ``x`` than ours, if the user gives one."""
        if x is self._public or x is None:
            return
        self.x = self._as_vector(as_tensor(x, "x").to(self.y.device), self.Op.dims, self._model_dtype).clone()

    def _history(self) -> Any:
        if not isinstance(self.cost[0], Tensor):
            cost = torch.tensor(self.cost[: self.iiter + 1], dtype=torch.float64)
        else:
            cost = torch.stack(self.cost).squeeze(-1)
            if self._can_look():
                self.iiter = int(self.iters.max()) if self.iters.numel() else 0
                cost = cost[: self.iiter + 1]
        return cost if self._back is None else to_numpy(cost)

    def _can_look(self) -> bool:
        return is_plain_eager() or not torch.is_grad_enabled()

    def _number(self, value: Scalar) -> Any:
        """Return a number of each sample as the user sees it: a Python number for one sample, else an array."""
        if not isinstance(value, Tensor):
            return value
        value = value.squeeze(-1)
        if not self.batch and not value.requires_grad and self._can_look():
            return value.item()
        return value if self._back is None else to_numpy(value)

    def _report(self, result: Any) -> Any:
        """Hang what is known of each sample on the named tuple."""
        result.status = self._number(self.status.unsqueeze(-1))
        result.iters = self._number(self.iters)
        result.converged = result.status == Status.CONVERGED
        return result

    # -- printing --------------------------------------------------------------------------------------------

    def _columns(self) -> dict[str, Scalar]:
        """Return the columns of the table that ``show`` prints."""
        return {"r2norm": self.cost[-1]}

    def _print_setup(self) -> None:
        rows, columns = self.Op.shape
        batch = f", batch {self.batch}" if self.batch else ""
        print(f"{type(self).__name__}\n{'-' * 65}\nThe Operator Op has {rows} rows and {columns} cols{batch}")
        print(f"damp = {self._text(self._damp)}\tniter = {self.niter}\n{'-' * 65}\n")
        print("    Itn          x[0]      " + "".join(f"{name:>14}" for name in self._columns()))

    def _print_step(self) -> None:
        first = as_tensor(self._public, "x").detach().flatten()[0].item()
        numbers = "".join(f"{self._text(value):>14}" for value in self._columns().values())
        print(f"{self.iiter:6g}   {first:14.4e}    " + numbers)

    def _print_finalize(self) -> None:
        counts = [describe(self.status, code, names=False) for code in Status]
        print(f"\nIterations = {self.iiter}        Total time (s) = {self.telapsed:.2f}")
        print(f"{', '.join(filter(None, counts))}\n{'-' * 65}\n")

    def _text(self, value: Scalar) -> str:
        """Return a number as text: the largest of a batch."""
        return f"{value.detach().max().item() if isinstance(value, Tensor) else value:.4e}"

    def _copy_for(self, Op: LinearOperator, M: LinearOperator | None) -> Any:
        """Return this solver for another operator, unwatched."""
        other = copy.copy(self)
        other.Op, other.M, other.callbacks, other.progress = Op, M, None, False
        vars(other).pop("callback", None)
        return other

    def _take_state(self, other: Solver) -> None:
        """Take over how the solution by a copy for another operator went."""
        own = ("Op", "M", "callbacks", "progress", "compact")
        vars(self).update({name: value for name, value in vars(other).items() if name not in own})


@disable_dynamo  # type: ignore[untyped-decorator]
def _solve_uncompiled(
    solver: Solver, y: Any, x0: Any, show: bool, itershow: Sequence[int], options: dict[str, Any]
) -> Any:
    return solver._solve(y, x0, show, itershow, **options)


_OF_EACH = ("active", "iters", "status_code", "_finite_input", "ynorm", "_damp")
_HINT = "A wrong adjoint also shows like this: torchlops.dottest(A) finds one out."


def with_callback(solver: Any, callback: Callable[[Any], None] | None) -> Any:
    """Return ``solver``, which calls ``callback`` after each step, if there is one."""
    if callback is not None:
        solver.callback = callback
    return solver


def norm_of(x: Tensor) -> Tensor:
    """Return the largest modulus of each sample, ``(*batch, 1)``: NaN or infinite where anything is."""
    x = x.detach()
    return x.abs().amax(-1, keepdim=True)


def describe(status: Tensor, code: Status, names: bool = True) -> str:
    """Return how many samples have a status, and which."""
    hit = (status == code).flatten()
    count = int(hit.sum())
    if not count:
        return ""
    which = hit.nonzero().flatten().tolist()
    some = ", ".join(map(str, which[:8])) + (", ..." if count > 8 else "")
    return (
        f"{code.name}"
        + (f" in {count} of {hit.numel()} samples" if hit.numel() > 1 else "")
        + (f" ({some})" if names and hit.numel() > 1 else "")
    )


def _progress_bar(name: str, niter: int) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("a progress bar needs tqdm: pip install tqdm, or leave progress=False") from None
    return tqdm(total=niter, desc=name, leave=False)
