"""What the sparse solvers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torchlops.optimization.solver.problem import Problem
from torchlops.optimization.solver.solver import Solver
from torchlops.optimization.solver.state import State, Status
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import Scalar, norm, ratio


class Relative(float):
    """A tolerance that is relative to the size of the problem, in the place of an absolute one.

    The defaults of the sparse solvers are PyLops's numbers, taken like this: an absolute default would depend on
    the units of the data.

    >>> Relative(1e-10) == 1e-10
    True
    """


TOL = Relative(1e-10)
SIGMA = Relative(1e-4)


def tolerance(problem: Problem, value: Any, name: str, size: Scalar) -> Scalar:
    """Return a tolerance of the user, in units of ``problem``; a relative one is that of ``size``."""
    return float(value) * size if isinstance(value, Relative) else problem.per_sample(value, name, 1)


def vectors_of(problem: Problem) -> VectorOperator:
    """Return the operator of a problem whose vectors are arrays of the user."""
    operator = problem.operator
    assert isinstance(operator, VectorOperator)
    return operator


def is_in_pairs(problem: Problem) -> bool:
    """Return whether models are complex, as pairs of real numbers."""
    operator = vectors_of(problem)
    return operator.as_pairs and operator.model_dtype.is_complex


@dataclass(kw_only=True)
class SparseState(State):
    """The state of a sparse solver.

    Attributes:
        update: Norm of the last change of the solution.
        first: The first cost.
        zero_cost: The cost of ``x = 0``.
    """

    update: Scalar
    first: Scalar
    zero_cost: Scalar


S = TypeVar("S", bound=SparseState)


@dataclass(frozen=True, eq=False)
class SparseSolver(Solver[S], Generic[S]):
    """Base of the solvers that stop where the solution, or the cost, does not change any more.

    Args:
        tol: Stop a sample when the norm of a change of ``x`` is not above it; by default 1e-10 times the norm of ``x``.
        rtol: Stop a sample when its cost is below this times the first.
        rtol1: The same, relative to the cost of ``x = 0``. (PyLops compares the cost, a square, with the norm of the
            data.)
    """

    tol: Any = TOL
    rtol: float = 0.0
    rtol1: float = 0.0

    has_first_cost = False

    def stop_small(self, problem: Problem, s: S) -> None:
        """Stop the samples whose last change, or whose cost, is small."""
        if s.count == 1:
            s.first = s.cost
        s.stop(0 * s.cost != 0, Status.NONFINITE)
        size = norm(s.x) if isinstance(self.tol, Relative) else 0.0
        s.go_on(s.update > tolerance(problem, self.tol, "tol", size))
        if self.rtol:
            s.go_on(s.cost >= self.rtol * s.first)
        if self.rtol1:
            s.go_on(s.cost >= self.rtol1 * s.zero_cost)

    def accuracy(self, problem: Problem, state: S) -> Scalar:  # noqa: ARG002
        return ratio(state.update, norm(state.x))

    def columns(self, problem: Problem, state: S) -> dict[str, Scalar]:
        return {"cost": state.cost * problem.scale**self.cost_power, "xupdate": state.update * problem.scale}
