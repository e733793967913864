"""The samples of a batch in an iteration: those that go on, and the others, which are put aside."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from torchlops.optimization.solver.options import Options
from torchlops.optimization.solver.problem import Problem, select
from torchlops.optimization.solver.solver import Solver
from torchlops.optimization.solver.state import State, tensors_of
from torchlops.optimization.solver.vectors import Scalar
from torchlops.torch_internals import is_plain_eager

S = TypeVar("S", bound=State)


@dataclass
class _Aside(Generic[S]):
    """What there was before samples were dropped.

    Attributes:
        problem, state, x: The problem, the state without work vectors, and the solution so far.
        keep: The samples that went on.
        first: From which entry of the history.
    """

    problem: Problem
    state: S
    x: Tensor
    keep: Tensor
    first: int


class Batch(Generic[S]):
    """An iteration over the samples of a batch, each of which stops by itself.

    A stopped sample is frozen, exactly; once more than half of a batch with one axis has stopped, the others go on
    without it.

    Args:
        solver: The solver.
        problem: The problem.

    Attributes:
        state: The state of the samples that go on.
        history: The costs, one entry per iteration.
    """

    def __init__(self, solver: Solver[S], problem: Problem) -> None:
        self.solver, self.problem = solver, problem
        self.state: S = solver.start(problem)
        self.history: list[Scalar] = [self.state.cost]
        self._aside: list[_Aside[S]] = []

    @property
    def count(self) -> int:
        """Number of iterations so far."""
        return self.state.count

    def step(self) -> None:
        """Do one iteration."""
        _step(self.solver, self.problem, self.state)
        self.history.append(self.state.cost)

    def goes_on(self) -> bool:
        """Return whether any sample is active, as far as that may be seen."""
        active = self.state.active
        if not isinstance(active, Tensor):
            return bool(active)
        if not is_plain_eager() and torch.is_grad_enabled():
            return True  # a transform may not let us look: the masks keep that right
        return bool(active.any())

    def run(self, niter: int, options: Options, after: Callable[[int], None] | None = None) -> None:
        """Iterate until every sample has stopped, or ``niter`` iterations are done.

        Args:
            niter: Maximum number of iterations.
            options: How to iterate.
            after: Called with the number of iterations that were done, from time to time.
        """
        records = torch.is_grad_enabled()
        segment = getattr(options.grad, "checkpoint_every", None) if records else None
        if segment and not is_plain_eager():
            raise NotImplementedError(
                "Unroll(checkpoint_every=...) does not work inside transforms of torch.func: leave checkpoint_every out"
            )
        compacts = options.compact and not records
        while self.count < niter and self.goes_on():
            count = min(segment or options.check_every, niter - self.count)
            if segment:
                self._run_checkpointed(count)
            else:
                for _ in range(count):
                    self.step()
                    if not isinstance(self.state.active, Tensor) and not self.state.active:
                        break
            if after is not None:
                after(count)
            if compacts:
                compacts = self._drop_stopped()

    def _run_checkpointed(self, count: int) -> None:
        before, names = copy.copy(self.state), list(tensors_of(self.state))
        solver, problem = self.solver, self.problem

        def segment(*tensors: Tensor) -> tuple[Tensor, ...]:
            state = copy.copy(before)
            vars(state).update(zip(names, tensors, strict=True))
            history = []
            for _ in range(count):
                _step(solver, problem, state)
                history.append(state.cost)
            after = tensors_of(state)
            return (*(after[name] for name in names), *history)

        results: Any = checkpoint(segment, *(vars(before)[name] for name in names), use_reentrant=False)
        vars(self.state).update(zip(names, results, strict=False))
        self.history.extend(results[len(names) :])
        self.state.count += count

    # -- stopped samples -------------------------------------------------------------------------------------

    def _drop_stopped(self) -> bool:
        """Go on without the stopped samples, if they are most of the batch; return whether to try again later."""
        if not isinstance(self.state.active, Tensor) or self.state.active.ndim != 2:
            return False
        active = self.state.active.flatten()
        size = active.shape[0]
        if 2 * int(active.sum()) >= size or size < 8 or not bool(active.any()):
            return True
        keep = active.nonzero().flatten()
        problem, state = select(self.problem, keep, size), select(self.state, keep, size)
        if not self.solver.treats_alike(problem, state):
            return False
        x = self.solver.solution(self.problem, self.state)
        self._aside.append(_Aside(self.problem, self.state, x, keep, len(self.history)))
        for name in self.state.work():
            setattr(self.state, name, None)
        self.problem, self.state = problem, state
        return True

    def restore(self) -> Tensor:
        """Put all samples back, and return their solution."""
        x = self.solver.solution(self.problem, self.state)
        while self._aside:
            aside = self._aside.pop()
            state, keep = aside.state, aside.keep
            for name, value in tensors_of(state).items():
                now = vars(self.state)[name]
                if isinstance(now, Tensor) and now.ndim > 1 and now.shape[0] == keep.shape[0]:
                    setattr(state, name, value.index_copy(0, keep, now))
            x = aside.x.index_copy(0, keep, x)
            last = self.history[aside.first - 1]
            self.history[aside.first :] = [last.index_copy(0, keep, entry) for entry in self.history[aside.first :]]
            state.count = self.state.count
            self.problem, self.state = aside.problem, state
        self.state.x = x
        return x


def _step(solver: Solver[S], problem: Problem, state: S) -> None:
    state.iters = state.iters + state.active
    state.count += 1
    solver.iterate(problem, state)
