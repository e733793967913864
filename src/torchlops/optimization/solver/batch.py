"""The samples of a batch in an iteration: those that go on, and the others, which are put aside."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from torchlops.extras import import_extra
from torchlops.optimization.solver.options import Options
from torchlops.optimization.solver.problem import Problem, select
from torchlops.optimization.solver.solver import Solver
from torchlops.optimization.solver.state import State, tensors_of
from torchlops.optimization.solver.vectors import Scalar, where
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
        self.state.iters = self.state.iters + self.state.active
        self.state.count += 1
        self.solver.iterate(self.problem, self.state)
        self.history.append(self.state.cost)

    def revive(self) -> None:
        """Let the samples that a tolerance has stopped go on; what broke down stays as it is."""
        state = self.state
        state.active = where(state.status == 0, True, state.active)

    def goes_on(self) -> bool:
        """Return whether any sample is active, as far as that may be seen."""
        active = self.state.active
        if not isinstance(active, Tensor):
            return bool(active)
        if not is_plain_eager() and torch.is_grad_enabled():
            return True  # a transform may not let us look: the masks keep that right
        return bool(active.any())

    def costs(self) -> Tensor:
        """Return the history, ``(iterations + 1, *batch)``, in units of the user."""
        scale = self.problem.scale**self.solver.cost_power
        if not isinstance(self.history[0], Tensor):
            return torch.mul(torch.tensor(self.history, dtype=torch.float64, device="cpu"), scale)
        cost: Tensor = (torch.stack(self.history) * scale).squeeze(-1)
        return cost

    def run(self, niter: int, options: Options) -> None:
        """Iterate until every sample has stopped, or ``niter`` iterations are done."""
        records = torch.is_grad_enabled()
        segment = getattr(options.grad, "checkpoint_every", None) if records else None
        if segment and not is_plain_eager():
            raise NotImplementedError(
                "Unroll(checkpoint_every=...) does not work inside transforms of torch.func: leave checkpoint_every out"
            )
        compacts = options.compact and not records
        with progress(self.solver.name, niter, options) as advance:
            while self.count < niter and self.goes_on():
                count = min(segment or options.check_every, niter - self.count)
                if segment:
                    self._run_checkpointed(count)
                else:
                    for _ in range(count):
                        self.step()
                        if not isinstance(self.state.active, Tensor) and not self.state.active:
                            break
                advance(count)
                compacts = compacts and self._drop_stopped()

    def _again(self) -> Batch[S]:
        """Return a copy that goes on from the same state, without the history."""
        again = copy.copy(self)
        again.state, again.history = copy.copy(self.state), []
        return again

    def _run_checkpointed(self, count: int) -> None:
        before, names = self._again(), list(tensors_of(self.state))

        def segment(*tensors: Tensor) -> tuple[Tensor, ...]:
            again = before._again()
            vars(again.state).update(zip(names, tensors, strict=True))
            for _ in range(count):
                again.step()
            after = tensors_of(again.state)
            return (*(after[name] for name in names), *again.history)

        results: Any = checkpoint(segment, *tensors_of(self.state).values(), use_reentrant=False)
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


@contextmanager
def progress(name: str, niter: int, options: Options) -> Iterator[Callable[[int], object]]:
    """Give what moves a progress bar on, if one is wanted, which is quiet where the output is no terminal.

    Raises:
        ImportError: when tqdm is missing.
    """
    if not options.progress:
        yield lambda _: None
        return
    tqdm = import_extra("tqdm.auto", "progress=True").tqdm
    with tqdm(total=niter, desc=name, leave=False, disable=not sys.stderr.isatty()) as bar:
        yield bar.update


Drive = Callable[[Batch[Any], int], bool]
"""A loop of its own over a batch, to at most so many iterations; returns whether it was told to stop."""
