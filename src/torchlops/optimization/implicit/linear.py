"""The equations of linear systems and of least squares."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.equation import Equation, Input, Operators, attach
from torchlops.optimization.implicit.tangents import constant
from torchlops.optimization.krylov.cgls import CGLS
from torchlops.optimization.solver.batch import Drive
from torchlops.optimization.solver.options import Implicit, OnFail, Options
from torchlops.optimization.solver.problem import with_axes
from torchlops.optimization.solver.result import Outcome, describe, run, say
from torchlops.optimization.solver.solver import Solver
from torchlops.optimization.solver.state import Status


class Solved(Equation):
    """What a user asked to be solved: the first inputs are data, the weight (or None) and the initial guess.

    Args:
        solver: The solver.
        A: The operator.
        M: The preconditioner.
        weight: The damping, or what the solver has in its place, where it is a number and no input.
        niter: Maximum number of iterations.
        rounding: Rounding of the iterations.
        options: How to solve.
        drive: The loop, if the user has one.
    """

    def __init__(
        self,
        solver: Solver[Any],
        A: LinearOperator,
        M: LinearOperator | None,
        weight: float,
        niter: int,
        rounding: float,
        options: Options,
        drive: Drive | None = None,
    ) -> None:
        super().__init__((A,) if M is None else (A, M), (len(A.dimsd), 0, len(A.dims)), A.dims)
        self.solver, self.weight, self.niter, self.rounding = solver, weight, niter, rounding
        self.options, self.drive, self.warm_start = options, drive, options.implicit.warm_start
        self.outcomes: list[Outcome] = []
        """How the solution went, until somebody takes it from here."""

    def solve(self, operators: Operators, *inputs: Input) -> Tensor:
        return model_of(self.outcome_of(operators, inputs))

    def outcome_of(self, operators: Operators, inputs: Sequence[Input]) -> Outcome:
        """Return how the solution goes, and keep it."""
        data, weight, guess, *others = inputs
        assert data is not None
        solver, M = self.solver_of(operators[1:], others)
        outcome = solve_once(
            solver, operators[0], data, guess, self.weight if weight is None else weight, M, self.niter, self.options,
            self.drive,
        )  # fmt: skip
        self.outcomes.append(outcome)
        return outcome

    def solver_of(self, operators: Operators, others: Sequence[Input]) -> tuple[Solver[Any], LinearOperator | None]:  # noqa: ARG002
        """Return the solver and the preconditioner, given the further operators and inputs."""
        return self.solver, operators[0] if operators else None

    @property
    def accuracy(self) -> dict[str, Any]:
        """Tolerance and iterations of the solves of derivatives."""
        how, rtol = self.options.implicit, self.options.implicit.rtol
        if rtol is None:
            own = self.solver.relative_tolerances()
            rtol = max(min(own), 10 * self.rounding) if own else self.rounding**0.75
        return {"rtol": rtol, "niter": how.niter or max(self.niter, self.operators[0].shape[1])}


def solve_once(
    solver: Solver[Any],
    A: LinearOperator,
    data: Tensor,
    guess: Tensor | None,
    weight: Any,
    M: LinearOperator | None,
    niter: int,
    options: Options,
    drive: Drive | None = None,
    offset: Tensor | None = None,
) -> Outcome:
    """Solve for data ``(*batch, *dimsd)``, without implicit derivatives."""
    if guess is not None:
        guess = guess.expand(*data.shape[: data.ndim - len(A.dimsd)], *A.dims)
    return run(solver, solver.problem(A, data, guess, weight, M, offset), niter, options, drive)


def model_of(outcome: Outcome) -> Tensor:
    """Return a solution as ``(*batch, *dims)``, in memory of its own, so that it may be changed in place."""
    model = outcome.model
    return model.clone() if model._is_view() else model


class LeastSquares(Solved):
    """``A^H (y - A x) - damp^2 x = 0``."""

    def residual(self, operators: Operators, x: Tensor, *inputs: Input) -> Tensor:
        A, (data, damp, _) = operators[0], inputs
        assert data is not None
        return A.apply_nd(data - A.apply_nd(x, False), True) - _factor(damp, self.weight, A) ** 2 * x

    def pull(self, operators: Operators, w: Tensor) -> Tensor:
        return operators[0].apply_nd(w, False)

    def linearised(self, adjoint: bool) -> Equation:  # noqa: ARG002
        return Normal(self.operators[0], self.weight, self.options, **self.accuracy)

    def pass_on(self, inputs: Any) -> Any:
        return inputs[1:2]


class Normal(Equation):
    """``g - (A^H A + damp^2) x = 0``, by CGLS; the inputs are ``g``, a model, and the damping."""

    is_linear = True

    def __init__(self, A: LinearOperator, weight: float, options: Options, rtol: float, niter: int) -> None:
        super().__init__((A,), (len(A.dims), 0), A.dims)
        self.weight, self.rtol, self.niter = weight, rtol, niter
        self.options, self.on_fail = replace(options, grad=None, on_fail="ignore", progress=False), options.on_fail

    def solve(self, operators: Operators, *inputs: Input) -> Tensor:
        outcome = self._solved(operators[0], *inputs)
        complain_of_derivative(outcome, operators[0], self.on_fail)
        return model_of(outcome)

    def _solved(self, A: LinearOperator, *inputs: Input) -> Outcome:
        g, damp = inputs
        assert g is not None
        no_data = g.new_zeros((*g.shape[: g.ndim - len(A.dims)], *A.dimsd))
        solver = CGLS(tol=0.0, gtol=self.rtol)
        weight = self.weight if damp is None else damp
        return solve_once(solver, A, no_data, self.guess, weight, None, self.niter, self.options, offset=g)

    def residual(self, operators: Operators, x: Tensor, *inputs: Input) -> Tensor:
        A, (g, damp) = operators[0], inputs
        assert g is not None
        return g - A.apply_nd(A.apply_nd(x, False), True) - _factor(damp, self.weight, A) ** 2 * x

    def linearised(self, adjoint: bool) -> Equation:  # noqa: ARG002
        other = copy.copy(self)
        other.guess = None
        return other


class SmallestSquares(LeastSquares):
    """Least squares with a null space: the equation of the part of the solution that is orthogonal to that."""

    def linearised(self, adjoint: bool) -> Equation:  # noqa: ARG002
        return SingularNormal(self.operators[0], self.weight, self.options, **self.accuracy)


class SingularNormal(Normal):
    """``x = (A^H A)^+ g``."""

    def solve(self, operators: Operators, *inputs: Input) -> Tensor:
        A = operators[0]
        outcome = self._solved(A, *inputs)
        if bool((outcome.status == Status.CONVERGED).all()):
            return model_of(outcome)
        return self._closest(A, self._closest(A.H, inputs[0]))  # part of g is in the null space

    def _closest(self, A: LinearOperator, y: Any) -> Tensor:
        outcome = solve_once(CGLS(tol=0.0, gtol=self.rtol), A, y, None, 0.0, None, self.niter, self.options)
        complain_of_derivative(outcome, A, self.on_fail)
        return model_of(outcome)


class Square(Solved):
    """``y - (A + damp) x = 0``."""

    def residual(self, operators: Operators, x: Tensor, *inputs: Input) -> Tensor:
        A, (data, damp, _) = operators[0], inputs
        assert data is not None
        return data - A.apply_nd(x, False) - (_factor(damp, self.weight, A) * x).reshape(data.shape)

    def linearised(self, adjoint: bool) -> Equation:
        return System(self.solver, self.operators, self.weight, self.options, adjoint, **self.accuracy)

    def pass_on(self, inputs: Any) -> Any:
        return inputs[1:2]


class System(Equation):
    """``g - (A + damp) x = 0``, or with ``A^H``, by a solver of the user; the inputs are ``g`` and the damping."""

    is_linear = True

    def __init__(
        self, solver: Solver[Any], operators: Operators, weight: float, options: Options, adjoint: bool, rtol: float,
        niter: int,
    ) -> None:  # fmt: skip
        A = operators[0]
        rhs_dims, dims = (A.dims, A.dimsd) if adjoint else (A.dimsd, A.dims)
        super().__init__(operators, (len(rhs_dims), 0), dims)
        self.solver = replace(solver, tol=0.0, rtol=0.0, rtol1=rtol)  # type: ignore[call-arg]
        self.weight, self.adjoint, self.niter, self.rtol = weight, adjoint, niter, rtol
        self.options, self.on_fail = replace(options, grad=None, on_fail="ignore", progress=False), options.on_fail

    def solve(self, operators: Operators, *inputs: Input) -> Tensor:
        A, M = operators[0], operators[1] if len(operators) > 1 else None
        if self.adjoint:
            A, M = A.H, None if M is None else M.H
        g, damp = inputs
        assert g is not None
        weight = self.weight if damp is None else damp
        outcome = solve_once(self.solver, A, g, self.guess, weight, M, self.niter, self.options)
        complain_of_derivative(outcome, A, self.on_fail)
        return model_of(outcome)

    def residual(self, operators: Operators, x: Tensor, *inputs: Input) -> Tensor:
        A, (g, damp) = operators[0], inputs
        assert g is not None
        return g - A.apply_nd(x, self.adjoint) - (_factor(damp, self.weight, A) * x).reshape(g.shape)

    def linearised(self, adjoint: bool) -> Equation:
        other = System(
            self.solver, self.operators, self.weight, self.options, self.adjoint != adjoint, self.rtol, self.niter
        )
        other.on_fail = self.on_fail
        other.theta = self.theta
        return other


def attach_smallest(equation: SmallestSquares, data: Tensor, damp: Input, guess: Input) -> Tensor:
    r"""Return the least-squares solution of smallest norm, ``A^+ y``, with its derivatives.

    Those of the normal equations leave out that the null space of the operator moves, where there is one. The smallest
    solution is orthogonal to it,

    .. math:: x = A^H z, \qquad z = \mathrm{argmin}_z \|A^H z - x\|,

    and this second problem, whose residual is zero, has the rest of the derivatives. All systems on the way are
    singular, and consistent, as long as the rank stays the same. (From an initial guess :math:`x_0`, it is the solution
    closest to that: :math:`x_0 + A^H z`, with :math:`x - x_0` in the place of :math:`x`.)
    """
    x = attach(equation, data, damp, guess)
    A, accuracy = equation.operators[0], equation.accuracy
    how = Implicit(rtol=accuracy["rtol"], niter=accuracy["niter"])
    options = replace(equation.options, grad=how, progress=False)
    solver = CGLS(tol=0.0, gtol=accuracy["rtol"])
    of_rows = SmallestSquares(solver, A.H, None, 0.0, accuracy["niter"], equation.rounding, options)
    start = x if guess is None else x - guess
    rows = attach(of_rows, start, None, None)
    complain_of_derivative(of_rows.outcomes.pop(), A.H, options.on_fail)
    projected: Tensor = A.apply_nd(rows, True)
    projected = projected if guess is None else projected + guess
    result: Tensor = constant(x) + (projected - constant(projected))
    return result


def complain_of_derivative(outcome: Outcome, A: LinearOperator, on_fail: OnFail) -> None:
    """Warn, or raise, about a solve for a derivative that has not reached its tolerance."""
    bad = outcome.early() | outcome.failed()
    if on_fail == "ignore" or not bool(bad.any()):
        return
    say(
        f"the derivative of a solution on {A.name_and_type} is inexact, since its solve stopped early "
        f"({which(bad)}): raise niter or rtol of grad=Implicit(...), or add damping",
        on_fail,
    )


def which(hit: Tensor) -> str:
    """Return how many samples did not converge, and which."""
    return describe(hit * int(Status.MAXITER), Status.MAXITER)


def _factor(damp: Input, weight: float, A: LinearOperator) -> float | Tensor:
    number: float | Tensor = with_axes(weight if damp is None else damp, A.dims)
    return number
