"""The state of an iteration: a value, apart from the solver that moves it on."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum

import torch
from torch import Tensor

from torchlops.optimization.solver.vectors import Scalar, is_one_problem, where


class Status(IntEnum):
    """Why a solver stopped on a sample. From 10 on, it failed."""

    RUNNING = 0
    """Still iterating, as only callbacks see."""
    CONVERGED = 1
    """A tolerance was met."""
    MAXITER = 2
    """``niter`` iterations were done before."""
    STOPPED = 3
    """A callback stopped it."""
    ILL_CONDITIONED = 4
    """The estimate of the condition number has passed its limit, or a gradient ends at the rounding of its parts."""
    INDEFINITE = 10
    """The operator (or the preconditioner) is not positive definite, which CG needs."""
    BREAKDOWN = 11
    """A short recurrence cannot go on."""
    UNREACHABLE = 12
    """No model has a residual as small as asked for."""
    NONFINITE = 13
    """NaN or infinity on the way; the solution of the sample is NaN."""
    NONFINITE_INPUT = 14
    """NaN or infinity in the data, the initial guess or the damping; the solution of the sample is NaN."""


WORK = {"work": True}
"""Metadata of a field of a state that is not needed any more when its sample has stopped."""


@dataclass(kw_only=True)
class State:
    """Where an iteration is. A solver adds the vectors and numbers that it needs.

    Vectors are ``(*batch, n)``, numbers as in ``vectors.py``. A solver overwrites vectors in place where no graph is
    recorded.

    Attributes:
        x: The solution so far.
        cost: The last entry of the history.
        active: Whether each sample still iterates.
        status: Why each sample stopped, as far as known on the way (:class:`Status`).
        iters: Number of iterations of each sample.
        count: Number of iterations of the slowest one.
        mismatch: Whether the adjoint seems to be wrong, where that has been seen.
    """

    x: Tensor
    cost: Scalar
    active: Scalar = field(init=False)
    status: Scalar = field(init=False)
    iters: Scalar = field(init=False)
    count: int = field(init=False, default=0)
    mismatch: Scalar = field(init=False, default=False)

    def __post_init__(self) -> None:
        if is_one_problem(self.x):
            self.active, self.status, self.iters = True, 0, 0
        else:
            shape = (*self.x.shape[:-1], 1)
            self.active = torch.ones(shape, dtype=torch.bool, device=self.x.device)
            self.status = torch.zeros(shape, dtype=torch.int64, device=self.x.device)
            self.iters = torch.zeros(shape, dtype=torch.int64, device=self.x.device)

    def stop(self, condition: Scalar, why: Status) -> None:
        """Stop the active samples on which ``condition`` holds, and keep the reason."""
        hit = condition & self.active
        self.status = where(hit, int(why), self.status)
        self.active = self.active & ~hit if isinstance(hit, Tensor) else self.active and not hit

    def go_on(self, condition: Scalar) -> None:
        """Stop the active samples on which ``condition`` does not hold: they have converged."""
        self.active = self.active & condition

    @classmethod
    def work(cls) -> tuple[str, ...]:
        """Return the names of the work vectors."""
        return tuple(each.name for each in fields(cls) if each.metadata.get("work"))


def tensors_of(state: State) -> dict[str, Tensor]:
    """Return the tensors among the fields of a state."""
    return {name: value for name, value in vars(state).items() if isinstance(value, Tensor)}
