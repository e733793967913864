"""The solvers of torchlops as objects that are set up, stepped, run and finalized, and watched by callbacks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
import torch

from torchlops.arrays import as_tensor
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.arguments import RULE, Face
from torchlops.optimization.basesolver import Solver, first_of
from torchlops.optimization.callback import Callbacks, _callback_stop
from torchlops.optimization.implicit.solve import NO_GRAPH, Attach, check, solve
from torchlops.optimization.solver.batch import Batch, progress
from torchlops.optimization.solver.options import Options, SolveOptions
from torchlops.optimization.solver.problem import Layout, read_data, read_guess
from torchlops.optimization.solver.result import HasSolution, Result, Solution, finish
from torchlops.optimization.solver.solver import Solver as Algorithm
from torchlops.optimization.solver.solver import as_text
from torchlops.torch_internals import uncompiled
from torchlops.torchoperator import aslinearoperator

if TYPE_CHECKING:
    from typing_extensions import Unpack

R = TypeVar("R", bound=Result)

_DEFAULTS = {"x0": None, "preallocate": False, "show": False, "itershow": (10, 10, 10), "callback": None}
"""Of arguments that all solvers have; ``preallocate`` is accepted and ignored."""


class IterativeSolver(Face, HasSolution, Solver, Generic[R]):
    """An iterative solver as PyLops has it, on top of an algorithm.

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

    The options that were given are attributes as well, under their names.
    """

    algorithm: ClassVar[type[Algorithm[Any]]] = Algorithm
    """What iterates: its options are arguments of ``setup`` and ``solve``."""
    result: type[R]
    """What ``solve`` returns."""
    by_name: ClassVar[str] = "x0"
    """Arguments that go by name only, where they are not in order, apart from the options of the algorithm."""
    niter_name: ClassVar[str] = "niter"
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Of arguments that are no options of the algorithm, where they differ from the usual ones."""

    niter: int | None = None
    _batch: Batch[Any] | None = None
    _layout: Layout
    _shown: Any = None
    _as_shown: Any = None
    _in_run: bool = False
    _stopped: bool = False
    _show: bool = False
    _itershow: Sequence[int] = (10, 10, 10)

    @uncompiled(NO_GRAPH)
    def __init__(
        self, Op: Any, callbacks: Sequence[Callbacks] | None = None, M: Any = None, **how: Unpack[SolveOptions]
    ) -> None:
        self.Op = aslinearoperator(Op)
        self.M: LinearOperator | None = None if M is None else aslinearoperator(M)
        self.callbacks = tuple(callbacks or ())
        unknown = sorted(set(how) - set(SolveOptions.__annotations__))
        if unknown:
            iterations = {"iter_lim", "maxiter", "niter", "nouter"} & set(unknown)
            raise TypeError(
                f"{type(self).__name__} does not know {', '.join(unknown)}: it takes "
                f"{', '.join(self._names('solve'))}, and the options of all solvers, "
                f"{', '.join(SolveOptions.__annotations__)}"
                + (f". The number of iterations is {self.niter_name}" if iterations else "")
            )
        self.options = Options(**how)
        self.tstart = time.time()

    # -- the public methods ----------------------------------------------------------------------------------

    def setup(self, *args: Any, **kwargs: Any) -> Any:
        """Read the data, start, and return the first ``x``; arguments as in ``solve``."""
        solver, given = self._open("setup", args, kwargs)
        check(solver, self.Op, self.M, self.options)
        data, self._layout = read_data(self.Op, given["y"], given["x0"])
        guess = read_guess(self.Op, given["x0"], data, solver.name)
        with self._grad_mode():
            problem = solver.problem(self.Op, data, guess, given[solver.weight_name], self.M)
            self._begin(Batch(solver, problem))
        self._call("on_setup_end", self._shown)
        return self._shown

    @uncompiled(NO_GRAPH)
    def solve(self, *args: Any, **kwargs: Any) -> R:
        """Solve; the arguments are those of the function with the name of the class, in the order of PyLops's class."""
        if any(map(self._is_own, ("setup", "run", "finalize"))):
            return self._solve_by_methods(args, kwargs)
        solver, given = self._open("solve", args, kwargs)
        drive = None
        if self._is_watched():
            drive, (_, self._layout) = self._drive, read_data(self.Op, given["y"], given["x0"])
        attach, others = self._attach(solver)
        solution = solve(
            solver, self.Op, given["y"], given["x0"], niter=given[self.niter_name], weight=given[solver.weight_name],
            M=self.M, options=self.options, drive=drive, attach_solution=attach, others=others,
        )  # fmt: skip
        self._end(solution, self._show)
        return self._result(solution)

    def step(self, x: Any, show: bool = False) -> Any:
        """Do one iteration from ``x`` (what ``setup`` or the last step returned), and return the new ``x``.

        One that is called by hand looks at no tolerance, as in PyLops. A user, or a callback, may change ``x``.
        """
        batch = self._running()
        self._call("on_step_begin", x)
        with self._grad_mode():
            self._go_to(x)
            if not self._in_run:
                batch.revive()
            batch.step()
            self._show_user(self._view())
        if show:
            self._print_step()
        self._call("on_step_end", self._shown)
        return self._step_result(batch)

    def _step_result(self, batch: Batch[Any]) -> Any:  # noqa: ARG002
        """Return what a step returns: ``x``, and in some solvers more."""
        return self._shown

    def run(self, x: Any, niter: int | None = None, show: bool = False, itershow: Sequence[int] = (10, 10, 10)) -> Any:
        """Iterate until every sample has stopped, or ``niter`` iterations are done, and return ``x``."""
        batch = self._running()
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
                batch.run(niter, replace(self.options, compact=False))  # x shows all samples
            self._show_user(self._view())
        self._call("on_run_end", self._shown)
        return self._shown

    def finalize(self, show: bool = False) -> None:  # type: ignore[override]
        """End the solution: put all samples back, and say of each why it stopped."""
        batch = self._running()
        with self._grad_mode():
            self._end(finish(batch, self.options.on_fail, self._stopped).solution(self._layout), show)

    def callback(self, x: Any) -> None:
        """Called with ``x`` after each step; assign a function to it, or override it."""

    def memory_usage(self, show: bool = False, unit: str = "B") -> float:
        """Return, and print with ``show``, the memory of the vectors of one sample, apart from the operator's own.

        Args:
            show: Whether to print it.
            unit: ``B``, ``KB``, ``MB`` or ``GB``.
        """
        return self._memory_usage(self.algorithm.vectors, 0, show, unit)

    @property
    def x(self) -> Any:
        """The solution so far."""
        self._running()
        return self.solution.x if "solution" in vars(self) else self._shown

    @property
    def iiter(self) -> int:  # type: ignore[override]
        """Number of iterations so far."""
        if "solution" in vars(self):
            return self.solution.iiter
        return 0 if self._batch is None else self._batch.count

    @property
    def cost(self) -> Any:
        """History of the cost, a list while the solver runs and an array at the end."""
        if "solution" in vars(self):
            return self.solution.cost
        batch = self._running()
        unit = batch.problem.scale**batch.solver.cost_power
        return [self._layout.number(entry * unit) for entry in batch.history]

    # -- what solvers differ in ------------------------------------------------------------------------------

    def _algorithm(self, given: Mapping[str, Any]) -> Algorithm[Any]:
        """Return what iterates, out of the arguments of ``setup`` or ``solve``."""
        names = [field.name for field in fields(self.algorithm)]
        return self.algorithm(**{name: given[name] for name in names if name in given})

    def _attach(self, solver: Any) -> tuple[Attach | None, Sequence[Any]]:  # noqa: ARG002
        """Return what gives a solution its derivatives, and what it depends on besides the operator and the data."""
        return None, ()

    def _result(self, solution: Solution) -> R:
        """Return a solution as the function with the name of the class does."""
        return self.result.of(solution)

    def _names(self, method: str) -> list[str]:
        """Return the names of the arguments of ``setup`` or ``solve``, those that have a place first."""
        further = (*(field.name for field in fields(self.algorithm)), *self.by_name.split(), "callback")
        return list(dict.fromkeys((*getattr(self, f"{method}_order").split(), *further)))

    def _read(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of ``setup`` or ``solve`` by name."""
        given = self._arguments(method, self._names(method), args, kwargs)
        usual = {self.niter_name: 10 if method == "solve" else None, self.algorithm.weight_name: 0.0}
        return {**_DEFAULTS, **usual, **self.defaults, **given}

    def _solve_by_methods(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> R:
        """Solve by ``setup``, ``run`` and ``finalize``, of which a user has written some."""
        given = self._arguments("solve", self._names("solve"), args, kwargs)
        itershow, show = given.get("itershow", self._itershow), given.get("show", False)
        names = self._names("setup")
        niter = self._read("solve", args, kwargs)[self.niter_name]
        x = self.setup(**{name: value for name, value in given.items() if name in names})
        self.niter = niter
        self.run(x, show=show, itershow=itershow)
        self.finalize(show)
        return self._result(self.solution)

    # -- the loop --------------------------------------------------------------------------------------------

    def _open(
        self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Algorithm[Any], dict[str, Any]]:
        """Forget the last solution, and return what iterates and the arguments by name."""
        given = self._read(method, args, kwargs)
        solver = self._algorithm(given)
        vars(self).pop("solution", None)
        self.y = given["y"]
        options = (*(field.name for field in fields(self.algorithm)), self.algorithm.weight_name)
        vars(self).update((name, given.get(name)) for name in options if name in given)
        self.niter, self.tstart, self._stopped = given[self.niter_name], time.time(), False
        self._show, self._itershow = given["show"], given["itershow"]
        if given["callback"] is not None:
            self.callback = given["callback"]  # type: ignore[method-assign]
        self._call("on_setup_begin", given["x0"])
        return solver, given

    def _begin(self, batch: Batch[Any]) -> None:
        self._batch, problem = batch, batch.problem
        length = torch.linalg.vector_norm(problem.y.detach(), dim=-1, keepdim=True)
        self.ynorm = self._layout.number(length * problem.scale)
        self._show_user(self._view())
        if self._show:
            self._print_setup()

    def _drive(self, batch: Batch[Any], niter: int) -> bool:
        self._begin(batch)
        self._call("on_setup_end", self._shown)
        self._call("on_run_begin", self._shown)
        self._run_watched(batch, niter)
        self._call("on_run_end", self._shown)
        return self._stopped

    def _run_watched(self, batch: Batch[Any], niter: int) -> None:
        (first, last, every), x = self._itershow, self._shown
        with progress(batch.solver.name, niter, self.options) as advance, self._running_itself():
            while batch.count < niter and batch.goes_on():
                count, left = batch.count, niter - batch.count
                show = self._show and (count < first or left < last or not count % every)
                x = first_of(self.step(x, show=show))
                self.callback(x)
                advance(1)
                if _callback_stop(self.callbacks):
                    self._stopped = True
                    break
        self._go_to(x)

    def _end(self, solution: Solution, show: bool) -> None:
        self.solution = solution
        Solver.finalize(self, show=show)

    def _running(self) -> Batch[Any]:
        if self._batch is None:
            raise RuntimeError(f"{type(self).__name__}: call setup first")
        return self._batch

    def _is_watched(self) -> bool:
        return self._show or bool(self.callbacks) or self._is_own("callback") or self._is_own("step")

    def _is_own(self, name: str) -> bool:
        """Return whether a method is not one of torchlops: of a user's subclass, or assigned to the solver."""
        return name in vars(self) or not getattr(type(self), name).__module__.startswith(f"{__package__}.")

    def _registercallbacks(self) -> None:
        """Do nothing: the methods call the callbacks themselves."""

    def _grad_mode(self) -> torch.set_grad_enabled:
        records = torch.is_grad_enabled() and self._layout.back is None and self.options.unrolls
        return torch.set_grad_enabled(records)

    @contextmanager
    def _running_itself(self) -> Iterator[None]:
        """Mark the steps of a run, which stop at a tolerance."""
        self._in_run = True
        try:
            yield
        finally:
            self._in_run = False

    def _view(self) -> Any:
        """Return the solution so far as the user sees it, in memory of its own."""
        batch = self._running()
        x = batch.solver.solution(batch.problem, batch.state) * batch.problem.scale
        return self._layout.model(batch.problem.vectors.as_model(x))

    def _show_user(self, x: Any) -> None:
        """Keep what the user sees, and what shows whether the user writes into it."""
        self._shown, self._as_shown = x, x._version if isinstance(x, torch.Tensor) else np.array(x)

    def _is_as_shown(self, x: Any) -> bool:
        """Return whether ``x`` is what the user was shown, and nobody has written into it."""
        if x is not self._shown:
            return False
        if isinstance(x, torch.Tensor):
            return bool(x._version == self._as_shown)
        return np.array_equal(x, self._as_shown, equal_nan=True)

    def _go_to(self, x: Any) -> None:
        """Go on from another ``x`` than ours, if the user gives one."""
        if x is None or self._is_as_shown(x):
            return
        batch = self._running()
        problem = batch.problem
        model = as_tensor(x, "x").to(problem.y.device).reshape(*problem.batch, *self.Op.dims)
        batch.solver.moved(problem, batch.state, problem.vectors.model_vector(model) / problem.scale)

    # -- printing --------------------------------------------------------------------------------------------

    def _print_setup(self) -> None:
        batch = self._running()
        solver, problem, (rows, columns) = batch.solver, batch.problem, self.Op.shape
        shape = f", batch {problem.batch}" if problem.batch else ""
        print(f"{solver.name}\n{RULE}\nThe Operator Op has {rows} rows and {columns} cols{shape}")
        print(f"{solver.option_text(problem)}\tniter = {self.niter}\n{RULE}\n")
        print("    Itn          x[0]      " + "".join(f"{name:>14}" for name in solver.columns(problem, batch.state)))

    def _print_step(self) -> None:
        batch = self._running()
        first = as_tensor(self._shown, "x").detach().flatten()[0].item()
        columns = batch.solver.columns(batch.problem, batch.state).values()
        print(f"{batch.count:6g}   {first:14.4e}    " + "".join(f"{as_text(value):>14}" for value in columns))

    def _print_finalize(self) -> None:  # type: ignore[override]
        print(f"\nIterations = {self.solution.iiter}        Total time (s) = {self.telapsed:.2f}")
        print(f"{self.solution.summary()}\n{RULE}\n")


def constructor_options(options: dict[str, Any]) -> dict[str, Any]:
    """Take what the constructors of solvers take out of the options of one."""
    names = ("callbacks", "M", *SolveOptions.__annotations__)
    return {name: options.pop(name) for name in names if name in options}
