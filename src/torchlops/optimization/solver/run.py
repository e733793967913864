"""From a problem to the end of the iteration."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.batch import Batch
from torchlops.optimization.solver.options import Options
from torchlops.optimization.solver.problem import Problem, can_look
from torchlops.optimization.solver.result import Outcome, complain, conclude, say
from torchlops.optimization.solver.solver import Solver

Drive = Callable[[Batch[Any], int], bool]
"""A loop of its own over a batch, to at most so many iterations; returns whether it was told to stop."""


def run(
    solver: Solver[Any],
    problem: Problem,
    A: LinearOperator,
    niter: int,
    options: Options,
    drive: Drive | None = None,
) -> Outcome:
    """Iterate from the first state to the last, and tell of failures.

    Args:
        solver: The solver.
        problem: The problem.
        A: The operator, for messages.
        niter: Maximum number of iterations.
        options: How to iterate.
        drive: The loop, if it is not that of :meth:`Batch.run`.
    """
    batch = Batch(solver, problem)
    stopped = False
    if drive is not None:
        stopped = drive(batch, niter)
    else:
        with progress(solver.name, niter, options) as advance:
            batch.run(niter, options, advance)
    return finish(batch, A, options, stopped)


def finish(batch: Batch[Any], A: LinearOperator, options: Options, stopped: bool = False) -> Outcome:
    """End an iteration, and tell of failures."""
    solver = batch.solver
    outcome = conclude(solver, batch, stopped)
    if options.on_fail != "ignore" and can_look():
        if bool(torch.as_tensor(outcome.batch.state.mismatch, device=outcome.x.device).any()):
            say(
                f"the adjoint of {A.name_and_type} seems to be wrong: <A p, r> and <p, A^H r> differ. Check it with "
                "torchlops.dottest(A); on_fail='ignore' silences this.",
                options.on_fail,
            )
        complain(solver, A.name_and_type, outcome, options.on_fail)
    return outcome


@contextmanager
def progress(name: str, niter: int, options: Options) -> Iterator[Callable[[int], None] | None]:
    """Give what moves a progress bar on, which is quiet where the output is no terminal; None where none is wanted.

    Raises:
        ImportError: when tqdm is missing.
    """
    if not options.progress:
        yield None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("a progress bar needs tqdm: pip install tqdm, or leave progress=False") from None
    with tqdm(total=niter, desc=name, leave=False, disable=not sys.stderr.isatty()) as bar:
        yield bar.update
