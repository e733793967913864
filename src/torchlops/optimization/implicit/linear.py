"""What a user asked to be solved, and the equations of linear systems and of least squares."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.equation import Equation, Input, Operators, attach
from torchlops.optimization.implicit.rebind import rebound
from torchlops.optimization.implicit.tangents import constant, with_derivative_of
from torchlops.optimization.krylov.cgls import CGLS
from torchlops.optimization.solver.batch import Drive
from torchlops.optimization.solver.options import Implicit, OnFail, Options
from torchlops.optimization.solver.problem import iteration_dtype, with_axes
from torchlops.optimization.solver.result import Outcome, describe, run, say
from torchlops.optimization.solver.solver import Solver
from torchlops.optimization.solver.state import Status


@dataclass(frozen=True)
class Call:
    """What a user asked for.

    Attributes:
        data: Data ``(*batch, *dimsd)``.
        weight: The damping, or what the solver has in its place: a number or a tensor.
        guess: Initial guess ``(*batch, *dims)``, or None.
        niter: Maximum number of iterations.
        drive: The loop, if the user has one.
        outcomes: How the solution went, until somebody takes it from here.
    """

    solver: Solver[Any]
    A: LinearOperator
    M: LinearOperator | None
    data: Tensor
    guess: Tensor | None
    weight: Any
    niter: int
    options: Options
    drive: Drive | None
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def batch(self) -> tuple[int, ...]:
        """Shape of the batch."""
        return tuple(self.data.shape[: self.data.ndim - len(self.A.dimsd)])

    @property
    def is_unweighted(self) -> bool:
        """Whether the weight is known to be zero: a number."""
        return not isinstance(self.weight, Tensor) and self.weight == 0

    @property
    def depends_on_guess(self) -> bool:
        """Whether the solution depends on the initial guess: one of several, or damped towards the guess."""
        return self.has_null_space or (self.solver.damps_shift and not self.is_unweighted)

    @property
    def has_null_space(self) -> bool:
        """Whether the solution is the smallest one of several."""
        rows, columns = self.A.shape
        may_have = rows < columns or not self.options.implicit.full_rank
        return self.solver.kind == "least squares" and may_have and self.is_unweighted

    @property
    def rounding(self) -> float:
        """Rounding of the iterations."""
        return torch.finfo(iteration_dtype(self.A, (self.data, self.guess), self.solver.name)).eps

    @property
    def inputs(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The first inputs of an equation: data, the weight where it is a tensor, and the guess."""
        return self.data, self.weight if isinstance(self.weight, Tensor) else None, self.guess


class Solved(Equation):
    """The equation of what a user asked for; see ``Call.inputs`` for its first inputs.

    Args:
        call: What was asked for.
        operators: Operators among the options of the solver.
        tensors: Tensors among them, which are further inputs.
        ndims: Number of axes of one sample of each of these.
    """

    def __init__(
        self, call: Call, operators: Operators = (), tensors: Sequence[Tensor] = (), ndims: Sequence[int] = ()
    ) -> None:
        A, M = call.A, () if call.M is None else (call.M,)
        super().__init__((A, *M, *operators), (len(A.dimsd), 0, len(A.dims), *ndims), A.dims)
        self.call, self.options_of_solver, self.rounding = call, (*operators, *tensors), call.rounding
        self.number = 0.0 if isinstance(call.weight, Tensor) else call.weight
        self.warm_start = call.options.implicit.warm_start

    def solve(self, operators: Operators, data: Tensor, /, *others: Input) -> Tensor:
        return model_of(self.outcome_of(operators, data, *others))

    def outcome_of(
        self, operators: Operators, data: Tensor, weight: Input = None, guess: Input = None, *others: Input
    ) -> Outcome:
        """Return how the solution goes, and keep it."""
        call, A, parts = self.call, operators[0], operators[1:]
        M, parts = (None, parts) if call.M is None else (parts[0], parts[1:])
        (solver,) = rebound([call.solver], self.options_of_solver, (*parts, *others))
        damp = self.number if weight is None else weight
        outcome = solve_once(solver, A, data, guess, damp, M, call.niter, call.options, call.drive)
        call.outcomes.append(outcome)
        return outcome

    def pass_on(self, inputs: Sequence[Input]) -> Sequence[Input]:
        return inputs[1:2]

    @property
    def accuracy(self) -> tuple[float, int]:
        """Tolerance and iterations of the solves of derivatives."""
        how = self.call.options.implicit
        rtol = how.rtol
        if rtol is None:
            own = self.call.solver.relative_tolerances()
            rtol = max(min(own), 10 * self.rounding) if own else self.rounding**0.75
        return rtol, how.niter or max(self.call.niter, self.operators[0].shape[1])


def solve_once(
    solver: Solver[Any], A: LinearOperator, data: Tensor, guess: Tensor | None, weight: Any, M: LinearOperator | None,
    niter: int, options: Options, drive: Drive | None = None, offset: Tensor | None = None,
) -> Outcome:  # fmt: skip
    """Solve for data ``(*batch, *dimsd)``, without implicit derivatives."""
    if guess is not None:
        guess = guess.expand(*data.shape[: data.ndim - len(A.dimsd)], *A.dims)
    return run(solver, solver.problem(A, data, guess, weight, M, offset), niter, options, drive)


def model_of(outcome: Outcome) -> Tensor:
    """Return a solution as ``(*batch, *dims)``, in memory of its own, so that it may be changed in place."""
    model = outcome.model
    return model.clone() if model._is_view() else model


# -- square systems -------------------------------------------------------------------------------------------


class Square(Solved):
    """``y - (A + damp) x = 0``."""

    def residual(self, operators: Operators, x: Tensor, y: Tensor, /, damp: Input = None, *_: Input) -> Tensor:
        return y - operators[0].apply_nd(x) - (_factor(self, damp) * x).reshape(y.shape)

    def linearised(self, adjoint: bool) -> Equation:
        rtol, niter = self.accuracy
        solver = replace(self.call.solver, tol=0.0, rtol=0.0, rtol1=rtol)  # type: ignore[call-arg]
        return System(solver, self.operators, self.call.options, niter, self.number).linearised(adjoint)


class System(Equation):
    """``g - (A + damp) x = 0``, or with ``A^H``, of a derivative; the inputs are ``g`` and the damping.

    Args:
        solver: The solver, with its tolerances.
        operators: The operator, and the preconditioner if there is one.
        options: Those of the user: whether to tell of a solve that stopped early.
        niter: Maximum number of iterations.
        number: The damping where it is no input.
    """

    is_linear = True
    is_adjoint = False

    def __init__(
        self, solver: Solver[Any], operators: Operators, options: Options, niter: int, number: float = 0.0
    ) -> None:
        super().__init__(operators, (len(operators[0].dimsd), 0), operators[0].dims)
        self.solver, self.niter, self.number = solver, niter, number
        self.options, self.on_fail = replace(options, grad=None, on_fail="ignore", progress=False), options.on_fail

    def solve(self, operators: Operators, g: Tensor, /, damp: Input = None, *_: Input) -> Tensor:
        A, *M = [part.H for part in operators] if self.is_adjoint else operators
        weight = self.number if damp is None else damp
        outcome = solve_once(self.solver, A, g, self.guess, weight, M[0] if M else None, self.niter, self.options)
        complain_of_derivative(outcome, A, self.on_fail)
        return model_of(outcome)

    def residual(self, operators: Operators, x: Tensor, g: Tensor, /, damp: Input = None, *_: Input) -> Tensor:
        return g - operators[0].apply_nd(x, self.is_adjoint) - (_factor(self, damp) * x).reshape(g.shape)

    def linearised(self, adjoint: bool) -> Equation:
        A, other = self.operators[0], copy.copy(self)
        other.guess, other.is_adjoint = None, self.is_adjoint != adjoint
        rhs_dims, other.dims = (A.dims, A.dimsd) if other.is_adjoint else (A.dimsd, A.dims)
        other.ndims = (len(rhs_dims), 0)
        return other


# -- least squares --------------------------------------------------------------------------------------------


class LeastSquares(Solved):
    """``A^H (y - A x) - damp^2 x = 0``, or ``damp^2 (x - x0)`` where the solver damps the shift from the guess."""

    def residual(
        self, operators: Operators, x: Tensor, y: Tensor, /, damp: Input = None, guess: Input = None, *_: Input
    ) -> Tensor:
        A = operators[0]
        damped = x if guess is None or not self.call.solver.damps_shift else x - guess
        return A.apply_nd(y - A.apply_nd(x), True) - _factor(self, damp) ** 2 * damped

    def pull(self, operators: Operators, w: Tensor) -> Tensor:
        return operators[0].apply_nd(w)

    def linearised(self, adjoint: bool) -> Equation:  # noqa: ARG002
        return Normal(self.operators[0], self.call.options, *self.accuracy, self.number)


class Normal(System):
    """``g - (A^H A + damp^2) x = 0``, by CGLS; the inputs are ``g``, a model, and the damping."""

    def __init__(self, A: LinearOperator, options: Options, rtol: float, niter: int, number: float = 0.0) -> None:
        super().__init__(CGLS(tol=0.0, gtol=rtol), (A,), options, niter, number)
        self.ndims = (len(A.dims), 0)

    def solve(self, operators: Operators, g: Tensor, /, damp: Input = None, *_: Input) -> Tensor:
        outcome = self._outcome(operators[0], g, damp)
        complain_of_derivative(outcome, operators[0], self.on_fail)
        return model_of(outcome)

    def _outcome(self, A: LinearOperator, g: Tensor, damp: Input) -> Outcome:
        no_data, weight = g.new_zeros((*self.batch_of(g), *A.dimsd)), self.number if damp is None else damp
        return solve_once(self.solver, A, no_data, self.guess, weight, None, self.niter, self.options, offset=g)

    def residual(self, operators: Operators, x: Tensor, g: Tensor, /, damp: Input = None, *_: Input) -> Tensor:
        A = operators[0]
        return g - A.apply_nd(A.apply_nd(x), True) - _factor(self, damp) ** 2 * x

    def linearised(self, adjoint: bool) -> Equation:  # noqa: ARG002
        other = copy.copy(self)
        other.guess = None
        return other


class SmallestSquares(LeastSquares):
    """Least squares with a null space: the equation of the part of the solution that is orthogonal to that."""

    def linearised(self, adjoint: bool) -> Equation:  # noqa: ARG002
        return SingularNormal(self.operators[0], self.call.options, *self.accuracy)


class SingularNormal(Normal):
    """``x = (A^H A)^+ g``."""

    def solve(self, operators: Operators, g: Tensor, /, damp: Input = None, *_: Input) -> Tensor:
        A = operators[0]
        outcome = self._outcome(A, g, damp)
        if bool((outcome.status == Status.CONVERGED).all()):
            return model_of(outcome)
        return self._closest(A, self._closest(A.H, g))  # part of g is in the null space

    def _closest(self, A: LinearOperator, y: Tensor) -> Tensor:
        outcome = solve_once(self.solver, A, y, None, 0.0, None, self.niter, self.options)
        complain_of_derivative(outcome, A, self.on_fail)
        return model_of(outcome)


def attach_smallest(call: Call) -> Tensor:
    r"""Return the least-squares solution of smallest norm, ``A^+ y``, with its derivatives.

    Those of the normal equations leave out that the null space of the operator moves, where there is one. The smallest
    solution is orthogonal to it,

    .. math:: x = A^H z, \qquad z = \mathrm{argmin}_z \|A^H z - x\|,

    and this second problem, whose residual is zero, has the rest of the derivatives. All systems on the way are
    singular, and consistent, as long as the rank stays the same. (From an initial guess :math:`x_0`, it is the solution
    closest to that: :math:`x_0 + A^H z`, with :math:`x - x_0` in the place of :math:`x`.)
    """
    equation = SmallestSquares(call)
    x = attach(equation, *call.inputs)
    rtol, niter = equation.accuracy
    of_rows = replace(
        call, solver=CGLS(tol=0.0, gtol=rtol), A=call.A.H, M=None, data=x if call.guess is None else x - call.guess,
        guess=None, weight=0.0, niter=niter, drive=None, outcomes=[],
        options=replace(call.options, grad=Implicit(rtol=rtol, niter=niter), progress=False),
    )  # fmt: skip
    rows = attach(SmallestSquares(of_rows), *of_rows.inputs)
    complain_of_derivative(of_rows.outcomes.pop(), of_rows.A, call.options.on_fail)
    projected = call.A.apply_nd(rows, True)
    return with_derivative_of(constant(x), projected if call.guess is None else projected + call.guess)


# -- what all share -------------------------------------------------------------------------------------------


def complain_of_derivative(outcome: Outcome, A: LinearOperator, on_fail: OnFail) -> None:
    """Warn, or raise, about a solve for a derivative that has not reached its tolerance."""
    bad = outcome.early() | outcome.failed()
    if on_fail == "ignore" or not bool(bad.any()):
        return
    which = describe(bad * int(Status.MAXITER), Status.MAXITER)
    say(
        f"the derivative of a solution on {A.name_and_type} is inexact, since its solve stopped early "
        f"({which}): raise niter or rtol of grad=Implicit(...), or add damping",
        on_fail,
    )


def _factor(equation: Solved | System, damp: Input) -> float | Tensor:
    """Return the damping with the axes of a solution."""
    number: float | Tensor = with_axes(equation.number if damp is None else damp, equation.dims)
    return number
