"""The front door of all solvers: from arrays of the user to a solution with its derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import as_tensor
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.equation import attach, value_of
from torchlops.optimization.implicit.hidden import refuse_hidden_tensors
from torchlops.optimization.implicit.linear import Call, LeastSquares, Solved, Square, attach_smallest, solve_once
from torchlops.optimization.implicit.tangents import with_derivative_of
from torchlops.optimization.solver.batch import Drive
from torchlops.optimization.solver.options import Options
from torchlops.optimization.solver.problem import read_data, read_guess
from torchlops.optimization.solver.result import Outcome, Solution, describe, say
from torchlops.optimization.solver.solver import Solver
from torchlops.optimization.solver.state import Status
from torchlops.torch_internals import is_plain_eager, is_wrapped, uncompiled

Attach = Callable[[Call], Tensor]
"""Returns a solution with its derivatives."""


NO_GRAPH = (
    "a solver of torchlops iterates until a tolerance is met, which no graph can record. Compile the function around "
    "it without fullgraph=True; export what comes before and after the solve"
)
"""What errors say to a user who wants a solver inside one graph."""


@uncompiled(NO_GRAPH)
def solve(
    solver: Solver[Any],
    A: LinearOperator,
    y: Any,
    x0: Any = None,
    *,
    niter: int,
    weight: Any = 0.0,
    M: LinearOperator | None = None,
    options: Options | None = None,
    drive: Drive | None = None,
    attach_solution: Attach | None = None,
    others: Sequence[Any] = (),
) -> Solution:
    """Solve a problem, with derivatives.

    Args:
        solver: The solver.
        A: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        niter: Maximum number of iterations.
        weight: The damping, or what the solver has in its place: a number, or one per sample.
        M: Preconditioner.
        options: How to solve.
        drive: The loop, if the caller has one.
        attach_solution: What gives the solution its implicit derivatives, for solvers that are not linear.
        others: Further operators and tensors that the solution depends on.
    """
    if torch.compiler.is_exporting():
        raise NotImplementedError(f"{solver.name} on {A.name_and_type} cannot be exported: {NO_GRAPH}")
    options = Options() if options is None else options
    check(solver, A, M, options)
    data, layout = read_data(A, y, x0)
    guess = read_guess(A, x0, data, solver.name)
    weight = as_tensor(weight, f"{solver.name}: {solver.weight_name}") if hasattr(weight, "shape") else float(weight)
    call = Call(solver, A, M, data, guess, weight, niter, options, drive)
    if layout.back is None and not options.unrolls and needs_attaching(call, others):
        x = (_attach_linear if attach_solution is None else attach_solution)(call)
        outcome = call.outcomes.pop()
        if options.grad is not None:
            _complain_of_early_stop(call, outcome)
        x = x.clone()  # a backward pass reads the solution, which the user may change in place
        with torch.no_grad():
            return outcome.solution(layout, x)
    with torch.set_grad_enabled(torch.is_grad_enabled() and layout.back is None and options.unrolls):
        return solve_once(solver, A, data, guess, weight, M, niter, options, drive).solution(layout)


def check(solver: Solver[Any], A: LinearOperator, M: LinearOperator | None, options: Options) -> None:
    """Raise where a solver does not take an operator, a preconditioner or an option.

    Raises:
        ValueError: then.
    """
    rows, columns = A.shape
    if solver.kind == "square" and rows != columns:
        raise ValueError(
            f"{solver.name} solves square systems, {A.name_and_type} is {rows} x {columns}: use cgls, lsqr or lsmr"
        )
    if M is not None and not solver.takes_preconditioner:
        raise ValueError(f"{solver.name} takes no preconditioner M: solve for (Op M) and apply M instead")
    if M is not None and M.shape != A.shape:
        raise ValueError(f"M must have the shape {A.shape} of the operator, got {M.shape}")
    if not options.implicit.full_rank and solver.kind != "least squares":
        raise ValueError(f"full_rank=False is for cgls, lsqr and lsmr: {solver.name} needs an inverse")


def needs_attaching(call: Call, others: Sequence[Any] = ()) -> bool:
    """Return True if autograd or a torch.func transform is active, so that the solution must carry derivatives.

    Raises:
        ValueError: where an operator computes with a tensor that requires a gradient and that it does not register.
    """
    if not is_plain_eager():
        return True
    if not torch.is_grad_enabled() or call.options.grad is None:
        return False
    guess = call.guess if call.depends_on_guess else None
    operators = [part for part in (call.A, *others) if isinstance(part, LinearOperator)]
    tensors = [call.data, call.weight, guess, *(part for part in others if isinstance(part, Tensor))]
    tensors += [tensor for part in operators for tensor in part._all_tensors()]
    if any(isinstance(tensor, Tensor) and tensor.requires_grad for tensor in tensors):
        return True
    for part in operators:
        refuse_hidden_tensors(part, call.batch)
    return False


def _attach_linear(call: Call) -> Tensor:
    if call.options.grad is not None and call.has_null_space:
        return attach_smallest(call)
    equation = Square(call) if call.solver.kind == "square" else LeastSquares(call)
    return (value_of if call.options.grad is None else attach)(equation, *call.inputs)


def attach_again(equation: Solved, again: Callable[[Tensor], Tensor], *others: Tensor) -> Tensor:
    """Return the solution of ``equation``, with the derivatives that it has as the function ``again`` of its value."""
    x = value_of(equation, *equation.call.inputs, *others)
    return x if equation.call.options.grad is None else with_derivative_of(x, again(x))


def _complain_of_early_stop(call: Call, outcome: Outcome) -> None:
    """Warn where the derivative is that of a solution that was not reached."""
    if call.options.on_fail == "ignore" or is_wrapped(outcome.status):  # by a transform that unrolls
        return
    early = outcome.early()
    if not bool(early.any()):
        return
    status = torch.where(early, outcome.status, int(Status.RUNNING))
    reasons = [describe(status, code) for code in Status if code is not Status.RUNNING]
    at = f"at niter={call.niter}, " if bool((status == Status.MAXITER).any()) else ""
    say(
        f"{call.solver.name} on {call.A.name_and_type} stopped {at}before a tolerance was met "
        f"({', '.join(filter(None, reasons))}): the derivative assumes convergence, so it is as inaccurate as the "
        "solution. Raise niter, loosen the tolerance, or take grad='unroll' or grad=None.",
        "warn",
    )
