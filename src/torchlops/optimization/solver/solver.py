"""What a solver is: how an iteration starts, how it goes on, and how good the solution is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.problem import (
    Layout,
    OperatorOnVectors,
    Problem,
    in_units,
    iteration_dtype,
    read_number,
    unit_of,
)
from torchlops.optimization.solver.state import State
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import Scalar, inner, maximum, norm

S = TypeVar("S", bound=State)


@dataclass(frozen=True, eq=False)
class Solver(Generic[S]):
    """Base of the iterative solvers: their options, and the functions that make and move a :class:`State`.

    A solver keeps nothing between two calls: one object may serve many problems, and many threads, at once.
    """

    kind: ClassVar[Literal["least squares", "square", "other"]] = "other"
    """The problem that is solved, one of least squares, a square system, or something else."""
    damps_shift: ClassVar[bool] = False
    """Whether the damping is that of the distance to the initial guess, and not that of the solution."""
    takes_preconditioner: ClassVar[bool] = False
    keeps_complex: ClassVar[bool] = False
    """Whether complex vectors stay complex, and are not pairs of real numbers."""
    weight_name: ClassVar[str] = "damp"
    """What the user calls the number in the place of the damping."""
    weight_power: ClassVar[int] = 0
    """The power of the unit of the data by which the weight scales (see ``Problem``)."""
    cost_power: ClassVar[int] = 1
    """How the cost goes with the unit of the data."""
    has_first_cost: ClassVar[bool] = True
    """Whether the history that the user sees begins with the cost of the initial guess."""
    breakdown_text: ClassVar[str] = ""
    """What to say of the status ``BREAKDOWN``."""
    vectors: ClassVar[tuple[int, int]] = (2, 1)
    """How many vectors of the size of the model, and of the data, are alive at once."""

    @property
    def name(self) -> str:
        """The name of the solver, for messages."""
        return type(self).__name__

    @property
    def raises_on_breakdown(self) -> bool:
        """Whether to raise, and not to warn, where every sample breaks down."""
        return False

    def problem(
        self, A: LinearOperator, data: Tensor, guess: Tensor | None, weight: Any, M: LinearOperator | None = None,
        offset: Tensor | None = None,
    ) -> Problem:  # fmt: skip
        """Return the problem of data ``(*batch, *dimsd)`` and a guess ``(*batch, *dims)``.

        Args:
            A: The operator.
            data: The data.
            guess: The initial guess, if there is one.
            weight: The damping, or what the solver has in its place: a number, or one per sample.
            M: The preconditioner.
            offset: What is added to the gradient, ``(*batch, *dims)``.
        """
        dtype = iteration_dtype(A, (data, guess), self.name)
        is_real = self.kind == "square" and A.real_model and not data.is_complex()
        operator = VectorOperator(A, dtype, not (self.keeps_complex and A.clinear), is_real)
        y, g = operator.data_vector(data), None if offset is None else operator.model_vector(offset)
        zero = y.new_zeros((*y.shape[:-1], operator.columns), dtype=operator.dtype)
        x = zero if guess is None else operator.model_vector(guess)
        r = None if guess is None else y - operator.forward(x)
        scale = unit_of(torch.cat([vector for vector in (y, r, g) if vector is not None], -1))
        y, x = y / scale, x / scale
        number = read_number(weight, self.name, self.weight_name, y)
        return Problem(
            solver_name=self.name, operator=operator, y=y, x=x, r=y if r is None else r / scale,
            has_guess=guess is not None, damp=in_units(number, scale, self.weight_power),
            is_damped=isinstance(weight, Tensor) or bool(torch.as_tensor(weight, device="cpu").any()),
            M=None if M is None else VectorOperator(M, operator.model_dtype, operator.as_pairs),
            scale=scale, offset=None if g is None else g / scale,
        )  # fmt: skip

    def start(self, problem: Problem) -> S:
        """Return the first state."""
        raise NotImplementedError

    def iterate(self, problem: Problem, state: S) -> None:
        """Do one iteration: move the state on, its cost and the samples that stop included."""
        raise NotImplementedError

    def solution(self, problem: Problem, state: S) -> Tensor:  # noqa: ARG002
        """Return the solution so far: for solvers that do not keep ``x`` up to date."""
        return state.x

    def moved(self, problem: Problem, state: S, x: Tensor) -> None:  # noqa: ARG002
        """Go on from another ``x``."""
        state.x = x

    def treats_alike(self, problem: Problem, state: S) -> bool:
        """Return whether the operators take some samples as they take all: one with tensors per sample does not."""
        return treats_alike(problem.operator, state.x)

    def accuracy(self, problem: Problem, state: S) -> Scalar:
        """Return how far the condition of optimality is from being met, relative to the data."""
        raise NotImplementedError

    def final_status(self, problem: Problem, state: S, status: Tensor) -> Tensor:  # noqa: ARG002
        """Return the status of each sample ``(*batch)``, given what the loop knows."""
        return status

    def numbers(self, problem: Problem, state: S) -> dict[str, tuple[Scalar, int]]:  # noqa: ARG002
        """Return what else there is to know of each sample, by name, each with its power of the unit of the data."""
        return {}

    def report(self, problem: Problem, state: S, status: Tensor, layout: Layout) -> dict[str, Any]:  # noqa: ARG002
        """Return what else there is to know, as the user sees it."""
        return {}

    def columns(self, problem: Problem, state: S) -> dict[str, Scalar]:
        """Return the columns of the table that ``show`` prints, in units of the user."""
        return {"r2norm": state.cost * problem.scale**self.cost_power}

    def option_text(self, problem: Problem) -> str:
        """Return the options as the table shows them."""
        return f"{self.weight_name} = {as_text(problem.damp)}"

    def relative_tolerances(self) -> list[float]:
        """Return the relative tolerances that the user gave."""
        given = [getattr(self, name, 0.0) for name in ("rtol", "rtol1", "gtol", "atol", "btol")]
        smallest = [float(torch.as_tensor(each, device="cpu").min()) for each in given]  # it may be one per sample
        return [tolerance for tolerance in smallest if tolerance > 0]


def limit_of(
    problem: Problem,
    start: Scalar,
    scale: Scalar,
    tol: Any,
    rtol: Any,
    rtol1: Any,
    *,
    has_floor: bool = True,
    unit: Scalar | None = None,
) -> Scalar:
    """Return the squared norm up to which a residual is small: the largest of three tolerances.

    They are ``tol`` (on the square, in units of the user), ``rtol`` times the initial norm and ``rtol1`` times
    ``scale``. Below them is a floor, deep in the rounding, under which no iteration means anything. Norms are in units
    of ``unit``, apart from that of the data.
    """
    tol = problem.per_sample(tol, "tol", 2)
    tol = tol if unit is None else tol / unit / unit
    rtol, rtol1 = problem.per_sample(rtol, "rtol"), problem.per_sample(rtol1, "rtol1")
    deep = 0.1 * problem.rounding if has_floor else 0.0
    return maximum(maximum(start * start * maximum(rtol, deep) ** 2, scale * scale * maximum(rtol1, deep) ** 2), tol)


def treats_alike(A: OperatorOnVectors, x: Tensor) -> bool:
    """Return whether an operator takes some samples of a batch, as it takes all."""
    try:
        return A.forward(x).shape[:1] == x.shape[:1]
    except RuntimeError:
        return False


def mismatch(Ap: Tensor, r: Tensor, right: Scalar) -> Scalar:
    """Return whether ``<A p, r>`` is far from ``<p, A^H r>`` (``right``): a wrong adjoint."""
    return abs(inner(Ap, r) - right) > torch.finfo(r.dtype).eps ** 0.25 * norm(Ap) * norm(r)


def as_text(value: Scalar) -> str:
    """Return a number as text: the largest of a batch."""
    return f"{value.detach().max().item() if isinstance(value, Tensor) else value:.4e}"
