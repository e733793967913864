"""What the solvers of square systems share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from torchlops.optimization.solver.problem import Problem
from torchlops.optimization.solver.solver import Solver, limit_of
from torchlops.optimization.solver.state import State
from torchlops.optimization.solver.vectors import Scalar, inner, norm, ratio, sqrt, squared_norm


@dataclass(kw_only=True)
class SquareState(State):
    """The state of a solver of square systems.

    Attributes:
        rr: Squared norm of the residual.
        limit: Up to which that is small.
        ynorm: Norm of the data.
    """

    rr: Scalar
    limit: Scalar
    ynorm: Scalar


S = TypeVar("S", bound=SquareState)


@dataclass(frozen=True, eq=False)
class SquareSolver(Solver[S], Generic[S]):
    """Base of the solvers of square systems ``(A + damp I) x = y``.

    Args:
        tol: Absolute tolerance on the *squared* norm of the residual, as in PyLops. This, and each other tolerance, is
            a number, or one per sample.
        rtol: Tolerance on the norm of the residual, relative to the initial one of the sample.
        rtol1: The same, relative to the norm of the data of the sample.
    """

    tol: Any = 0.0
    rtol: Any = 0.0
    rtol1: Any = 1e-6

    kind = "square"
    takes_preconditioner = True

    def residual(self, problem: Problem) -> Tensor:
        """Return ``y - (A + damp I) x`` of the guess, in memory of its own."""
        if not problem.has_guess or not problem.is_damped:
            return problem.r.clone()
        return torch.sub(problem.r, problem.damp * problem.x)

    def multiply(self, problem: Problem, p: Tensor) -> Tensor:
        """Return ``(A + damp I) p``."""
        q = problem.forward(p)
        return q + problem.damp * p if problem.is_damped else q

    def square(self, problem: Problem, r: Tensor, z: Tensor) -> Scalar:
        """Return ``<r, M r>``, given ``z = M r``."""
        return squared_norm(r) if problem.M is None else inner(r, z)

    def first(self, problem: Problem, rr: Scalar, ynorm: Scalar | None = None) -> dict[str, Any]:
        """Return the fields that all states have, given the squared norm of the first residual."""
        ynorm = norm(problem.y) if ynorm is None else ynorm
        limit = limit_of(problem, sqrt(rr), ynorm, self.tol, self.rtol, self.rtol1)
        return {"x": problem.x.clone(), "cost": sqrt(rr), "rr": rr, "limit": limit, "ynorm": ynorm}

    def watch(self, state: S, rr: Scalar) -> None:
        """Keep the squared norm of the residual, and stop the samples where it is small."""
        state.rr = rr
        state.cost = sqrt(rr)
        state.go_on(rr > state.limit)

    def smallest_rr(self, state: S) -> Scalar:
        """Return the squared norm of the residual of the solution."""
        return state.rr

    def accuracy(self, problem: Problem, state: S) -> Scalar:  # noqa: ARG002
        return ratio(sqrt(self.smallest_rr(state)), state.ynorm)

    def numbers(self, problem: Problem, state: S) -> dict[str, tuple[Scalar, int]]:  # noqa: ARG002
        return {"rnorm": (sqrt(self.smallest_rr(state)), 1)}
