"""What a solver gives: the solution, and of each sample why it stopped, after how many iterations, how good it is."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchlops.arrays import to_numpy
from torchlops.optimization.solver.batch import Batch
from torchlops.optimization.solver.options import OnFail
from torchlops.optimization.solver.problem import Layout, can_look
from torchlops.optimization.solver.solver import Solver
from torchlops.optimization.solver.state import Status
from torchlops.optimization.solver.vectors import largest_modulus

if TYPE_CHECKING:
    from typing_extensions import Self


class SolverError(RuntimeError):
    """A solver failed on some samples, with ``on_fail="raise"``."""


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


class Result:
    """What all results have, apart from the fields that they unpack as.

    Attributes:
        solution: The record; its numbers are attributes of the result, too.
    """

    solution: Solution

    @classmethod
    def of(cls, solution: Solution, **others: Any) -> Self:
        """Return a solution in the fields of the result; ``others`` are those that are none of its numbers."""
        known = {"x": solution.x, "iiter": solution.iiter, "cost": solution.cost, **solution.numbers, **others}
        result: Self = cls._make(known[name] for name in cls._fields)  # type: ignore[attr-defined]  # a named tuple
        result.solution = solution
        return result

    @property
    def status(self) -> Any:
        """A :class:`~torchlops.optimization.Status` for each sample."""
        return self.solution.status

    @property
    def iters(self) -> Any:
        """Number of iterations of each sample."""
        return self.solution.iters

    @property
    def converged(self) -> Any:
        """Whether each sample met a tolerance."""
        return self.solution.converged

    def __getattr__(self, name: str) -> Any:
        if name == "solution" or name.startswith("__"):
            raise AttributeError(name)
        try:
            return self.solution.cost if name == "cost" else self.solution.numbers[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}") from None


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

    def early(self) -> Tensor:
        """Return which samples stopped far from the solution, without having failed."""
        far: Tensor = (self.accuracy.detach() > torch.finfo(self.x.dtype).eps ** 0.5).reshape(self.status.shape)
        return far & (self.status >= Status.MAXITER) & (self.status < Status.INDEFINITE)

    def failed(self) -> Tensor:
        """Return which samples have failed."""
        return self.status >= Status.INDEFINITE


def conclude(solver: Solver[Any], batch: Batch[Any], stopped: bool = False) -> Outcome:
    """End an iteration: put all samples back, and say of each why it stopped."""
    x = batch.restore()
    problem, state = batch.problem, batch.state
    device = x.device
    accuracy = torch.as_tensor(solver.accuracy(problem, state), device=device)
    given = torch.isfinite(torch.as_tensor(problem.damp, device=device))
    given = given & torch.isfinite(largest_modulus(problem.y)) & torch.isfinite(largest_modulus(problem.x))
    finite = given & torch.isfinite(largest_modulus(x)) & torch.isfinite(accuracy.detach())
    status = torch.as_tensor(state.status, device=device).expand(given.shape)
    active = torch.as_tensor(state.active, device=device).expand(given.shape)
    last = Status.STOPPED if stopped else Status.MAXITER
    status = torch.where(
        status == Status.RUNNING, torch.where(active, int(last), int(Status.CONVERGED)), status
    ).squeeze(-1)
    status = solver.final_status(problem, state, status)
    status = torch.where(finite.squeeze(-1), status, int(Status.NONFINITE))
    status = torch.where(given.squeeze(-1), status, int(Status.NONFINITE_INPUT))
    if can_look() and not bool(finite.all()):
        x = torch.where(finite, x, math.nan)
    return Outcome(x * problem.scale, status, accuracy, batch)


def complain(solver: Solver[Any], operator_name: str, outcome: Outcome, on_fail: OnFail) -> None:
    """Warn, or raise, about failed samples, where values may be read."""
    if not bool(outcome.failed().any()):
        return
    status = outcome.status
    reasons = [describe(status, code) for code in Status if code >= Status.INDEFINITE]
    may_be_wrong = bool(((status == Status.INDEFINITE) | (status == Status.BREAKDOWN)).any())
    hint = "A wrong adjoint also shows like this: check it with torchlops.dottest(A). " if may_be_wrong else ""
    say(
        f"{solver.name} on {operator_name} failed: {', '.join(filter(None, reasons))}. {hint}The status of the result "
        "names the samples; on_fail='ignore' silences this.",
        on_fail,
    )


def say(message: str, on_fail: OnFail) -> None:
    """Warn of a failure, or raise it."""
    if on_fail == "raise":
        raise SolverError(message)
    if on_fail == "warn":
        warnings.warn(message, SolverWarning, stacklevel=2)


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


def solution_of(solver: Solver[Any], outcome: Outcome, layout: Layout, x: Any = None) -> Solution:
    """Return the record of an iteration, with another ``x`` in the place of its own if one is given."""
    problem, state = outcome.batch.problem, outcome.batch.state
    numbers = {
        name: layout.number(value * problem.scale**power if power else value)
        for name, (value, power) in solver.numbers(problem, state).items()
    }
    numbers.update(solver.report(problem, state, outcome.status, layout))
    iiter, cost = outcome.batch.count, costs(solver, outcome.batch)
    if isinstance(state.iters, Tensor) and can_look():
        iiter = int(state.iters.max()) if state.iters.numel() else 0
        cost = cost[: iiter + 1]
    cost = cost if solver.has_first_cost else cost[1:]
    return Solution(
        layout.model(outcome.x) if x is None else x,
        layout.number(outcome.status.unsqueeze(-1)),
        layout.number(state.iters),
        iiter,
        cost if layout.back is None else to_numpy(cost),
        layout.number(outcome.accuracy),
        numbers,
    )


def costs(solver: Solver[Any], batch: Batch[Any]) -> Tensor:
    """Return the history of the cost, ``(iterations + 1, *batch)``, in units of the user."""
    scale = batch.problem.scale**solver.cost_power
    if not isinstance(batch.history[0], Tensor):
        return torch.mul(torch.tensor(batch.history, dtype=torch.float64, device="cpu"), scale)
    cost: Tensor = (torch.stack(batch.history) * scale).squeeze(-1)
    return cost
