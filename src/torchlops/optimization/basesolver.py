"""Solvers as PyLops has them: objects that are set up, stepped, run and finalized, and watched by callbacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from torchlops.arrays import as_tensor
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.arguments import memory_usage, read_arguments
from torchlops.optimization.callback import Callbacks, _callback_stop
from torchlops.optimization.implicit.solve import NO_GRAPH, Attach, check, solve
from torchlops.optimization.solver.batch import Batch
from torchlops.optimization.solver.options import Options, SolveOptions
from torchlops.optimization.solver.problem import Layout, read_data, read_guess
from torchlops.optimization.solver.result import Result, Solution, SolverError, SolverWarning, describe, solution_of
from torchlops.optimization.solver.run import finish, progress
from torchlops.optimization.solver.solver import Solver as _Solver
from torchlops.optimization.solver.solver import as_text
from torchlops.optimization.solver.state import Status
from torchlops.torch_internals import uncompiled
from torchlops.torchoperator import aslinearoperator

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Solver", "SolverError", "SolverWarning", "Status"]

_RULE = "-" * 65
_DEFAULTS = {"x0": None, "preallocate": False, "show": False, "itershow": (10, 10, 10)}
"""Of arguments that all solvers have; ``preallocate`` is accepted and ignored."""


class Solver:
    """An iterative solver as PyLops has it.

    ``solve`` is ``setup``, ``run`` (which calls ``step``) and ``finalize``, and returns a named tuple. Data are
    ``(*batch, *dimsd)`` or flattened, NumPy arrays or tensors, and the model comes back in kind. Each sample of a
    batch stops by itself. The methods may be called by hand, too; derivatives are then those of the iterations
    (``grad="unroll"``) or none.

    Args:
        Op: The operator: what :func:`~torchlops.aslinearoperator` takes.
        callbacks: Objects that watch the solver, and may stop it; see :class:`Callbacks`.
        M: Preconditioner, an approximate inverse of the operator, where the solver takes one.
        **how: See :class:`~torchlops.optimization.solver.options.Options`.

    Attributes:
        y: The data, as they were given.
        x: The solution so far.
        iiter: Number of iterations so far.
        cost: History of the cost, one entry per iteration.
        status: A :class:`Status` for each sample, after ``finalize``.
    """

    algorithm: ClassVar[type[_Solver[Any]]]
    """What iterates: its options are arguments of ``setup`` and ``solve``."""
    result: ClassVar[type[Result]]
    """What ``solve`` returns."""
    setup_order: ClassVar[str]
    solve_order: ClassVar[str]
    """The arguments of ``setup`` and ``solve`` in the order that they have in PyLops; further ones go by name."""
    by_name: ClassVar[str] = "x0"
    """Arguments that go by name only, where they are not in order, apart from the options of the algorithm."""
    required: ClassVar[str] = "y"
    niter_name: ClassVar[str] = "niter"
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Of arguments that are no options of the algorithm, where they differ from the usual ones."""

    solution: Solution
    niter: int | None

    @uncompiled(NO_GRAPH)
    def __init__(
        self, Op: Any, callbacks: Sequence[Callbacks] | None = None, M: Any = None, **how: Unpack[SolveOptions]
    ) -> None:
        self.Op: LinearOperator = aslinearoperator(Op)
        self.M: LinearOperator | None = None if M is None else aslinearoperator(M)
        self.callbacks = tuple(callbacks or ())
        unknown = sorted(set(how) - set(SolveOptions.__annotations__))
        if unknown:
            raise TypeError(
                f"{type(self).__name__} does not know {', '.join(unknown)}: it takes the arguments that its "
                f"documentation lists, and the options of all solvers, {', '.join(SolveOptions.__annotations__)}"
            )
        self.options = Options(**how)
        self.niter = None
        self.tstart = time.time()
        self._begun: tuple[Batch[Any], Layout] | None = None
        self._shown: Any = None
        self._stopped = False
        self._show = False
        self._itershow: Sequence[int] = (10, 10, 10)

    # -- the public methods ----------------------------------------------------------------------------------

    def setup(self, *args: Any, **kwargs: Any) -> Any:
        """Read the data, start, and return the first ``x``; arguments as in ``solve``."""
        given = self._read("setup", self.setup_order, args, kwargs)
        niter, weight = given[self.niter_name], given[self.algorithm.weight_name]
        return self._setup(self._algorithm(given), given["y"], given["x0"], niter, weight, given["show"])

    def solve(self, *args: Any, **kwargs: Any) -> Any:
        """Solve; the arguments are those of the function with the name of the class, in the order of PyLops's class."""
        given = self._read("solve", self.solve_order, args, kwargs)
        niter, weight = given[self.niter_name], given[self.algorithm.weight_name]
        solver, show, itershow = self._algorithm(given), given["show"], given["itershow"]
        solution = self._solve(solver, given["y"], given["x0"], niter, weight, show, itershow, *self._attach(solver))
        return self._result(solution)

    def _algorithm(self, given: Mapping[str, Any]) -> _Solver[Any]:
        """Return what iterates, out of the arguments of ``setup`` or ``solve``."""
        names = [field.name for field in fields(self.algorithm)]
        return self.algorithm(**{name: given[name] for name in names if name in given})

    def _attach(self, solver: Any) -> tuple[Attach | None, Sequence[Any]]:  # noqa: ARG002
        """Return what gives a solution its derivatives, and what it depends on besides the operator and the data."""
        return None, ()

    def _result(self, solution: Solution) -> Any:
        """Return a solution as the function with the name of the class does."""
        return self.result.of(solution)

    def _names(self, order: str) -> list[str]:
        """Return the names of the arguments, given those that have a place."""
        further = (*(field.name for field in fields(self.algorithm)), *self.by_name.split())
        return list(dict.fromkeys((*order.split(), *further)))

    def _read(self, method: str, order: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments by name."""
        what, known = f"{type(self).__name__}.{method}", self._names(order)
        given = read_arguments(what, order.split(), known, self.required, args, kwargs)
        usual = {self.niter_name: 10 if method == "solve" else None, self.algorithm.weight_name: 0.0}
        return {**_DEFAULTS, **usual, **self.defaults, **given}

    def _setup(self, solver: _Solver[Any], y: Any, x0: Any, niter: int | None, weight: Any, show: bool) -> Any:
        """Read the data and start: what the ``setup`` of each solver calls."""
        self.y = y
        self._call("on_setup_begin", x0)
        A = self.Op
        check(solver, A, self.M, self.options)
        data, has_axes, back = read_data(A, y)
        guess = read_guess(A, x0, data, solver.name)
        with self._grad_mode(back is None):
            problem = solver.problem(A, data, guess, weight, self.M)
            self._begin(Batch(solver, problem), niter, show, (has_axes, back))
        self._call("on_setup_end", self._shown, last_first=True)
        return self._shown

    def step(self, x: Any, show: bool = False) -> Any:
        """Do one iteration from ``x`` (what ``setup`` or the last step returned), and return the new ``x``."""
        batch, _ = self._running()
        self._call("on_step_begin", x)
        with self._grad_mode():
            self._go_to(x)
            batch.step()
            self._shown = self._view()
        if show:
            self._print_step()
        self._call("on_step_end", self._shown, last_first=True)
        return self._shown

    def run(self, x: Any, niter: int | None = None, show: bool = False, itershow: Sequence[int] = (10, 10, 10)) -> Any:
        """Iterate until every sample has stopped, or ``niter`` iterations are done, and return ``x``."""
        batch, _ = self._running()
        niter = self.niter if niter is None else niter
        if niter is None:
            raise ValueError("niter must be given, to setup or to run")
        self.niter, self._show, self._itershow = niter, show, itershow
        self._call("on_run_begin", x)
        with self._grad_mode():
            self._go_to(x)
            if self._is_watched():
                self._run_watched(batch, niter)
            else:
                options = replace(self.options, compact=False)  # x shows all samples
                with progress(batch.solver.name, niter, options) as advance:
                    batch.run(niter, options, advance)
            self._shown = self._view()
        self._call("on_run_end", self._shown, last_first=True)
        return self._shown

    def finalize(self, show: bool = False) -> None:
        """End the solution: put all samples back, and say of each why it stopped."""
        batch, layout = self._running()
        with self._grad_mode():
            outcome = finish(batch, self.Op, self.options, self._stopped)
            self._end(solution_of(batch.solver, outcome, layout), show)

    def callback(self, x: Any) -> None:
        """Called with ``x`` after each step; assign a function to it, or override it."""

    def memory_usage(self, show: bool = False, unit: str = "B") -> float:
        """Return, and print with ``show``, the memory of the vectors of one sample, apart from the operator's own.

        Args:
            show: Whether to print it.
            unit: ``B``, ``KB``, ``MB`` or ``GB``.
        """
        return memory_usage(type(self).__name__, self.Op, self._vectors(), 0, show, unit)

    def _vectors(self) -> tuple[int, int]:
        """Return how many vectors of the size of the model, and of the data, are alive at once."""
        return (2, 1) if self._begun is None else self._begun[0].solver.vectors

    @property
    def iiter(self) -> int:
        """Number of iterations so far."""
        if "solution" in vars(self):
            return self.solution.iiter
        return 0 if self._begun is None else self._begun[0].count

    @property
    def cost(self) -> Any:
        """History of the cost: a list while the solver runs, an array at the end."""
        if "solution" in vars(self):
            return self.solution.cost
        batch, layout = self._running()
        unit = batch.problem.scale**batch.solver.cost_power
        return [layout.number(entry * unit) for entry in batch.history]

    def __getattr__(self, name: str) -> Any:
        solution = vars(self).get("solution")
        if solution is None and name == "x" and vars(self).get("_shown") is not None:
            return self._shown
        if solution is not None and name in ("status", "iters", "converged", "x"):
            return getattr(solution, name)
        if solution is not None and name in solution.numbers:
            return solution.numbers[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # -- from the functions ----------------------------------------------------------------------------------

    @uncompiled(NO_GRAPH)
    def _solve(
        self,
        solver: _Solver[Any],
        y: Any,
        x0: Any,
        niter: int,
        weight: Any,
        show: bool,
        itershow: Sequence[int],
        attach_solution: Attach | None = None,
        others: Sequence[Any] = (),
    ) -> Solution:
        """Set up, run and finalize, with derivatives: what the ``solve`` of each solver calls."""
        self.y, self._show, self._itershow, self._stopped = y, show, itershow, False
        vars(self).pop("solution", None)
        self._call("on_setup_begin", x0)
        drive = self._drive if self._is_watched() else None
        self.tstart = time.time()
        if drive is not None:
            self._layout_of = _seen(self.Op, y)
        solution = solve(
            solver, self.Op, y, x0, niter=niter, weight=weight, M=self.M, options=self.options, drive=drive,
            attach_solution=attach_solution, others=others,
        )  # fmt: skip
        self.niter = niter
        self._end(solution, show)
        return solution

    def _drive(self, batch: Batch[Any], niter: int) -> bool:
        self._begin(batch, niter, self._show, self._layout_of)
        self._call("on_setup_end", self._shown, last_first=True)
        self._call("on_run_begin", self._shown)
        self._run_watched(batch, niter)
        self._call("on_run_end", self._shown, last_first=True)
        return self._stopped

    # -- the loop --------------------------------------------------------------------------------------------

    def _begin(self, batch: Batch[Any], niter: int | None, show: bool, seen: tuple[bool, Any]) -> None:
        vars(self).pop("solution", None)
        layout = Layout(self.Op, batch.problem.operator, *seen)  # type: ignore[arg-type]
        self._begun, self._stopped = (batch, layout), False
        self.niter, self.tstart = niter, time.time()
        self.ynorm = layout.number(_norm_of_data(batch) * batch.problem.scale)
        self._shown = self._view()
        if show:
            self._print_setup()

    def _end(self, solution: Solution, show: bool) -> None:
        self.solution = solution
        self.tend = time.time()
        self.telapsed = self.tend - self.tstart
        if show:
            self._print_finalize()

    def _run_watched(self, batch: Batch[Any], niter: int) -> None:
        first, last, every = self._itershow
        with progress(batch.solver.name, niter, self.options) as advance:
            while batch.count < niter and batch.goes_on():
                count, left = batch.count, niter - batch.count
                x = self.step(self._shown, self._show and (count < first or left < last or not count % every))
                self.callback(x)
                if advance is not None:
                    advance(1)
                if _callback_stop(self.callbacks):
                    self._stopped = True
                    break

    def _running(self) -> tuple[Batch[Any], Layout]:
        if self._begun is None:
            raise RuntimeError(f"{type(self).__name__}: call setup first")
        return self._begun

    def _is_watched(self) -> bool:
        own_callback = "callback" in vars(self) or type(self).callback is not Solver.callback
        return self._show or bool(self.callbacks) or own_callback

    def _call(self, name: str, x: Any, last_first: bool = False) -> None:
        for callback in reversed(self.callbacks) if last_first else self.callbacks:
            getattr(callback, name)(self, x)

    def _grad_mode(self, may_record: bool = True) -> torch.set_grad_enabled:
        may_record = may_record and (self._begun is None or self._begun[1].back is None)
        return torch.set_grad_enabled(torch.is_grad_enabled() and may_record and self.options.unrolls)

    def _view(self) -> Any:
        """Return the solution so far as the user sees it, in memory of its own."""
        batch, layout = self._running()
        return layout.model(batch.solver.solution(batch.problem, batch.state) * batch.problem.scale)

    def _go_to(self, x: Any) -> None:
        """Go on from another ``x`` than ours, if the user gives one."""
        if x is self._shown or x is None:
            return
        batch, layout = self._running()
        vector = layout.vector(x, batch.problem.y) / batch.problem.scale
        batch.solver.moved(batch.problem, batch.state, vector)

    # -- printing --------------------------------------------------------------------------------------------

    def _print_setup(self) -> None:
        batch, _ = self._running()
        rows, columns = self.Op.shape
        shape = f", batch {batch.problem.batch}" if batch.problem.batch else ""
        solver, problem = batch.solver, batch.problem
        print(f"{solver.name}\n{_RULE}\nThe Operator Op has {rows} rows and {columns} cols{shape}")
        print(f"{solver.option_text(problem)}\tniter = {self.niter}\n{_RULE}\n")
        print("    Itn          x[0]      " + "".join(f"{name:>14}" for name in solver.columns(problem, batch.state)))

    def _print_step(self) -> None:
        batch, _ = self._running()
        first = as_tensor(self._shown, "x").detach().flatten()[0].item()
        columns = batch.solver.columns(batch.problem, batch.state).values()
        print(f"{batch.count:6g}   {first:14.4e}    " + "".join(f"{as_text(value):>14}" for value in columns))

    def _print_finalize(self) -> None:
        status = torch.as_tensor(self.solution.status)
        counts = [describe(status, code, names=False) for code in Status]
        print(f"\nIterations = {self.solution.iiter}        Total time (s) = {self.telapsed:.2f}")
        print(f"{', '.join(filter(None, counts))}\n{_RULE}\n")


def with_callback(solver: Any, callback: Callable[[Any], None] | None) -> Any:
    """Return ``solver``, which calls ``callback`` after each step, if there is one."""
    if callback is not None:
        solver.callback = callback
    return solver


def _norm_of_data(batch: Batch[Any]) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(batch.problem.y.detach(), dim=-1, keepdim=True)
    return length


def _seen(A: LinearOperator, y: Any) -> tuple[bool, Any]:
    _, has_axes, back = read_data(A, y)
    return has_axes, back
