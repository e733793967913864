"""What a solver gives: the solution, and of each sample why it stopped, after how many iterations, how good it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchlops.optimization.solver.batch import Batch, Drive
from torchlops.optimization.solver.options import OnFail, Options
from torchlops.optimization.solver.problem import Layout, Problem, can_look
from torchlops.optimization.solver.solver import Solver
from torchlops.optimization.solver.state import Status
from torchlops.optimization.solver.vectors import largest_modulus
from torchlops.warning import warn

if TYPE_CHECKING:
    from typing_extensions import Self


class SolverError(RuntimeError, ValueError):
    """A solver failed on some samples, with ``on_fail="raise"``. It is a ValueError, too, as in PyLops."""


class SolverWarning(UserWarning):
    """A solver failed on some samples, or did not converge where that is expected of it."""


@dataclass
class Solution:
    """A solution with what is known of it, in arrays of the kind of the data; numbers are one per sample.

    Attributes:
        x: The solution.
        status: A :class:`Status` for each sample.
        iters: Number of iterations of each sample.
        iiter: Number of iterations of the slowest sample.
        cost: History of the cost, one entry per iteration.
        accuracy: How far the condition of optimality is from being met, relative to the data.
        numbers: Further numbers, by name.
    """

    x: Any
    status: Any
    iters: Any
    iiter: int
    cost: Any
    accuracy: Any
    numbers: dict[str, Any]

    @property
    def converged(self) -> Any:
        """Whether each sample met a tolerance."""
        return self.status == Status.CONVERGED

    def summary(self) -> str:
        """Return how many samples have which status."""
        status = torch.as_tensor(self.status)
        return ", ".join(filter(None, (describe(status, code, names=False) for code in Status)))


class HasSolution:
    """What has a solution, whose status and numbers are attributes of it, too.

    Attributes:
        solution: The record.
        status: A :class:`~torchlops.optimization.Status` for each sample.
        iters: Number of iterations of each sample.
        converged: Whether each sample met a tolerance.
    """

    solution: Solution
    status: Any
    iters: Any
    converged: Any

    def __getattr__(self, name: str) -> Any:
        solution = vars(self).get("solution")
        if solution is not None and name in ("x", "cost", "status", "iters", "converged"):
            return getattr(solution, name)
        if solution is not None and name in solution.numbers:
            return solution.numbers[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class Result(HasSolution):
    """What all results have, apart from the fields that they unpack as.

    Attributes:
        x: The solution, ``(*batch, *dims)``.
        status: Why each sample stopped, a number or a tensor ``(*batch)`` of :class:`Status`:
            ``Status(result.status).name`` of one problem. (``istop``, where a result has it, is the code of PyLops or
            SciPy, and another number.)
        iters: Number of iterations of each sample.
        converged: Whether each sample met a tolerance.
        cost: History of the cost, ``(iterations + 1, *batch)``.
    """

    @classmethod
    def of(cls, solution: Solution, **others: Any) -> Self:
        """Return a solution in the fields of the result; ``others`` are those that are none of its numbers."""
        known = {"x": solution.x, "iiter": solution.iiter, "cost": solution.cost, **solution.numbers, **others}
        result: Self = cls._make(known[name] for name in cls._fields)  # type: ignore[attr-defined]  # a named tuple
        result.solution = solution
        return result


@dataclass(frozen=True)
class Outcome:
    """The end of an iteration, in tensors.

    Attributes:
        x: The solution, vectors in units of the user; NaN where there is none.
        status: A :class:`Status` for each sample, ``(*batch)``.
        accuracy: See :class:`Solution`, ``(*batch, 1)``.
        batch: The problem, the state and the history.
    """

    x: Tensor
    status: Tensor
    accuracy: Tensor
    batch: Batch[Any]

    @property
    def model(self) -> Tensor:
        """The solution as ``(*batch, *dims)``."""
        return self.batch.problem.vectors.as_model(self.x)

    def early(self) -> Tensor:
        """Return which samples stopped far from the solution, without having failed."""
        far: Tensor = (self.accuracy.detach() > torch.finfo(self.x.dtype).eps ** 0.5).reshape(self.status.shape)
        return far & (self.status >= Status.MAXITER) & (self.status < Status.INDEFINITE)

    def failed(self) -> Tensor:
        """Return which samples have failed."""
        return self.status >= Status.INDEFINITE

    def solution(self, layout: Layout, x: Any = None) -> Solution:
        """Return the record for the user, with another ``x`` in the place of its own if one is given."""
        batch, solver = self.batch, self.batch.solver
        problem, state = batch.problem, batch.state
        numbers = {
            name: layout.number(value * problem.scale**power if power else value)
            for name, (value, power) in solver.numbers(problem, state).items()
        }
        numbers.update(solver.report(problem, state, self.status, layout))
        iiter, cost = batch.count, batch.costs()
        if isinstance(state.iters, Tensor) and can_look():
            iiter = int(state.iters.max()) if state.iters.numel() else 0
            cost = cost[: iiter + 1]
        x = layout.model(self.model if x is None else x)
        cost = cost if solver.has_first_cost else cost[1:]
        status, accuracy = layout.number(self.status.unsqueeze(-1)), layout.number(self.accuracy)
        return Solution(x, status, layout.number(state.iters), iiter, layout.array(cost), accuracy, numbers)


def run(solver: Solver[Any], problem: Problem, niter: int, options: Options, drive: Drive | None = None) -> Outcome:
    """Iterate from the first state to the last, and tell of failures.

    Args:
        solver: The solver.
        problem: The problem.
        niter: Maximum number of iterations.
        options: How to iterate.
        drive: The loop, if it is not that of :meth:`Batch.run`.
    """
    batch, stopped = Batch(solver, problem), False
    if drive is None:
        batch.run(niter, options)
    else:
        stopped = drive(batch, niter)
    return finish(batch, options.on_fail, stopped)


def finish(batch: Batch[Any], on_fail: OnFail, stopped: bool = False) -> Outcome:
    """End an iteration: put all samples back, say of each why it stopped, and tell of failures."""
    x = batch.restore()
    solver, problem, state, device = batch.solver, batch.problem, batch.state, x.device
    accuracy = torch.as_tensor(solver.accuracy(problem, state), device=device)
    given = torch.isfinite(torch.as_tensor(problem.damp, device=device))
    given = given & torch.isfinite(largest_modulus(problem.y)) & torch.isfinite(largest_modulus(problem.x))
    finite = given & torch.isfinite(largest_modulus(x)) & torch.isfinite(accuracy.detach())
    status = torch.as_tensor(state.status, device=device).expand(given.shape)
    active = torch.as_tensor(state.active, device=device).expand(given.shape)
    last = Status.STOPPED if stopped else Status.MAXITER
    ended = torch.where(active, int(last), int(Status.CONVERGED))
    status = torch.where(status == Status.RUNNING, ended, status).squeeze(-1)
    status = solver.final_status(problem, state, status)
    status = torch.where(finite.squeeze(-1), status, int(Status.NONFINITE))
    status = torch.where(given.squeeze(-1), status, int(Status.NONFINITE_INPUT))
    if can_look() and not bool(finite.all()):
        x = torch.where(finite, x, math.nan)
    outcome = Outcome(x * problem.scale, status, accuracy, batch)
    if on_fail != "ignore" and can_look():
        _complain(outcome, on_fail)
    return outcome


def _complain(outcome: Outcome, on_fail: OnFail) -> None:
    """Warn, or raise, about a wrong adjoint and about failed samples."""
    status, problem = outcome.status, outcome.batch.problem
    name = problem.vectors.A.name_and_type
    if bool(torch.as_tensor(outcome.batch.state.mismatch, device=status.device).any()):
        say(
            f"the adjoint of {name} seems to be wrong: <A p, r> and <p, A^H r> differ. Check it with "
            "torchlops.dottest(A); on_fail='ignore' silences this.",
            on_fail,
        )
    if not bool(outcome.failed().any()):
        return
    reasons = [describe(status, code) for code in Status if code >= Status.INDEFINITE]
    may_be_wrong = bool(((status == Status.INDEFINITE) | (status == Status.BREAKDOWN)).any())
    hint = "A wrong adjoint also shows like this: check it with torchlops.dottest(A). " if may_be_wrong else ""
    solver = outcome.batch.solver
    hint = f"{solver.breakdown_text}{hint}" if bool((status == Status.BREAKDOWN).any()) else hint
    if on_fail == "warn" and solver.raises_on_breakdown and bool((status == Status.BREAKDOWN).all()):
        on_fail = "raise"
    say(
        f"{problem.solver_name} on {name} failed: {', '.join(filter(None, reasons))}. {hint}The status of the result "
        "names the samples; on_fail='ignore' silences this.",
        on_fail,
    )


def say(message: str, on_fail: OnFail) -> None:
    """Warn of a failure, or raise it."""
    if on_fail == "raise":
        raise SolverError(message)
    if on_fail == "warn":
        warn(message, SolverWarning)


def describe(status: Tensor, code: Status, names: bool = True) -> str:
    """Return how many samples have a status, and which."""
    hit = (status == code).flatten()
    count = int(hit.sum())
    if not count:
        return ""
    if hit.numel() == 1:
        return code.name
    some = ", ".join(map(str, hit.nonzero().flatten()[:8].tolist())) + (", ..." if count > 8 else "")
    return f"{code.name} in {count} of {hit.numel()} samples" + (f" ({some})" if names else "")
