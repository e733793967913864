"""The base of the iterative solvers: batches, per-sample stopping, failures, callbacks and printing."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from torchlops.arrays import as_tensor
from torchlops.linearoperator import LinearOperator
from torchlops.optimization._samples import OF_EACH, Samples, SolverError, SolverWarning, Status, describe
from torchlops.optimization.solver.vectors import Scalar
from torchlops.optimization.callback import Callbacks, _callback_stop
from torchlops.torch_internals import disable_dynamo, is_plain_eager

__all__ = ["Solver", "SolverError", "SolverWarning", "Status", "WarmStart", "describe", "with_callback"]

_UNITS = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


class WarmStart:
    """Keeps the solution of an adjoint solve, and starts the next one from it, where the shapes agree.

    >>> import torch, torchlops
    >>> start = WarmStart()
    >>> y = torch.ones(3, requires_grad=True)
    >>> torchlops.cgls(torchlops.Diagonal(torch.ones(3)), y, adjoint_start=start).x.sum().backward()
    >>> start.w
    tensor([1., 1., 1.])

    Attributes:
        w: The last solution, or None.
    """

    def __init__(self) -> None:
        self.w: Tensor | None = None

    def of(self, rhs: Tensor, dims: tuple[int, ...]) -> Tensor | None:
        """Return where to start the solve for ``rhs``, of models (or data) of shape ``dims``, from."""
        w = self.w
        batch = rhs.shape[: rhs.ndim - len(dims)]
        fits = w is not None and tuple(w.shape) == (*batch, *dims) and w.dtype == rhs.dtype and w.device == rhs.device
        return w if fits else None


class Solver(Samples):
    r"""Base of the iterative solvers.

    ``solve`` is ``setup``, ``run`` (which calls ``step``) and ``finalize``, and returns a named tuple. Data are
    ``(*batch, *dimsd)`` or flattened, NumPy arrays or tensors, and the model comes back in kind. Each sample of a
    batch stops by itself: it is frozen, exactly, and, once more than half of a batch with one axis has stopped,
    the batch goes on without those. (That takes an operator that treats all samples alike, as all operators of
    the catalogue do. Another is noticed by its shapes; ``compact=False`` is for it.)

    A subclass writes ``_start`` (first vectors and numbers), ``_iterate`` (one iteration) and ``_result``, and names
    what it keeps of each sample in ``vectors`` and ``scalars``. Its vectors are as in ``solver/vectors.py``.

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
        adjoint_start: A :class:`WarmStart`, if the solves of derivatives are to start from the solutions of earlier
            ones: for training, where one step's are close to those of the last. It changes no derivative by more than
            their tolerance.
        full_rank: For least squares without damping: whether the columns of the operator are linearly independent. If
            not, say False: the solution is then the smallest one, or that closest to the initial guess, and its
            derivative takes a second solve. Otherwise that is wrong, in forward mode without a warning. An operator
            with fewer rows than columns needs no word.
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
    takes_preconditioner: ClassVar[bool] = False

    damp: Any
    niter: int | None

    def __init__(
        self,
        Op: Any,
        callbacks: Sequence[Callbacks] | None = None,
        M: Any = None,
        *,
        grad: str | None = "implicit",
        adjoint_rtol: float | None = None,
        adjoint_niter: int | None = None,
        adjoint_start: WarmStart | None = None,
        full_rank: bool = True,
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
        if not full_rank and self.equation != "least squares":
            raise ValueError(f"full_rank=False is for cgls, lsqr and lsmr: {type(self).__name__} needs an inverse")
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
        self.adjoint_start, self.full_rank = adjoint_start, full_rank
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

    # -- the public methods ----------------------------------------------------------------------------------

    def _setup(self, y: Any, x0: Any, damp: Any, niter: int | None, show: bool) -> Any:
        """Read the data and start: what the ``setup`` of each solver calls, once it has kept its options."""
        for callback in self.callbacks or ():
            callback.on_setup_begin(self, x0)
        self.niter = niter
        self.tstart = time.time()
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.grad == "unroll"):
            self._read(y, x0, damp)
            self._count_in()
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

        if self.grad != "unroll" and isinstance(y, Tensor) and needs_attaching(self, y, options.get("damp", 0.0), x0):
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
        names = [name for name in ("x", *self.vectors, *self.scalars, *OF_EACH) if isinstance(vars(self)[name], Tensor)]
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


def with_callback(solver: Any, callback: Callable[[Any], None] | None) -> Any:
    """Return ``solver``, which calls ``callback`` after each step, if there is one."""
    if callback is not None:
        solver.callback = callback
    return solver


def _progress_bar(name: str, niter: int) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("a progress bar needs tqdm: pip install tqdm, or leave progress=False") from None
    return tqdm(total=niter, desc=name, leave=False)
