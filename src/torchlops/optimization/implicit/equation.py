r"""Derivatives of solutions, exact in every mode, at the cost of one more solve and no stored iterations.

A solution :math:`x` makes the residual :math:`r(x, b)` of an equation zero, where :math:`b` are tensors: data,
weights, the tensors :math:`\theta` of operators. The residual is linear in :math:`x`,
:math:`\partial r / \partial x = -N`. So

.. math::

    \bar w = N^{-H} \bar x, \qquad \bar b = (\partial r / \partial b)^H \bar w.

The backward pass is made of the equation and of differentiable torch code, so that it is differentiable itself, to any
order. Forward mode takes another way, since torch loses tangents of what a rule reads, where forward mode is nested:
tangents are taken off the arguments first (``tangents.py``), and put back by as many corrections
:math:`x \leftarrow x + N^{-1} r(x, b)` as forward levels are active. Each leaves the value alone and makes one more
order exact: the error obeys :math:`e \leftarrow (I - N(\hat b)^{-1} N(b)) e`. A linear equation
:math:`N x = g` then has tangents of :math:`g` alone, :math:`\dot x = N^{-1} \dot g`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.hidden import refuse_hidden_tensors, refuse_tensors_of_transforms
from torchlops.optimization.implicit.rebind import MappedOperator, own_tensors, rebound
from torchlops.optimization.implicit.tangents import constant, without_tangent
from torchlops.optimization.solver.options import WarmStart
from torchlops.torch_internals import count_forward_levels, is_batched_by_legacy_vmap, is_plain_eager

Input = Tensor | None
Operators = tuple[LinearOperator, ...]


class Equation:
    """A residual that is zero at a solution, and how to make it so.

    A subclass names the operators and the tensors (its inputs) that it depends on. Inputs have the axes of a batch,
    which broadcast, and then those of one sample; one other than the first may be None. Methods get operators that
    compute with the tensors of the derivative, and must use these.

    Args:
        operators: The operators.
        ndims: Number of axes of one sample of each input.
        dims: Shape of one solution.

    Attributes:
        theta: The tensors of the operators.
    """

    is_linear = False
    """Whether the equation is ``N x = g``, with ``g`` the first input."""
    warm_start: WarmStart | None = None
    """From where to start the solve for ``w``, which is kept there."""
    guess: Tensor | None = None
    """Where the solution of a linear equation starts."""

    def __init__(self, operators: Sequence[LinearOperator], ndims: Sequence[int], dims: tuple[int, ...]) -> None:
        self.theta = own_tensors(operators)
        # copies that keep these tensors, whatever the operators hold when a derivative is taken
        self.operators: Operators = rebound(tuple(operators), self.theta, self.theta)
        self.ndims, self.dims = tuple(ndims), dims

    def solve(self, operators: Operators, first: Tensor, /, *others: Input) -> Tensor:
        """Return the solution, without derivatives, in memory of its own."""
        raise NotImplementedError

    def residual(self, operators: Operators, x: Tensor, first: Tensor, /, *others: Input) -> Tensor:
        """Return the residual, by differentiable torch code."""
        raise NotImplementedError

    def linearised(self, adjoint: bool) -> Equation:
        """Return the linear equation ``N x = g``, or ``N^H x = g``; its inputs are ``g`` and what ``pass_on`` gives."""
        raise NotImplementedError

    def pass_on(self, inputs: Sequence[Input]) -> Sequence[Input]:
        """Return which inputs go to the linearised equation, after ``g``."""
        return inputs[1:]

    def pull(self, operators: Operators, w: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return ``(dr / db)^H w`` for the first input ``b``, if that costs less than to differentiate the residual."""
        return None

    # -- what follows ------------------------------------------------------------------------------------------

    def with_tensors(self, theta: Sequence[Tensor]) -> Operators:
        """Return the operators with other tensors."""
        if all(a is b for a, b in zip(theta, self.theta, strict=True)):
            return self.operators
        return rebound(self.operators, self.theta, theta)

    def mapped(self, theta: Sequence[Tensor], in_dims: Sequence[int | None]) -> Equation:
        """Return the equation whose tensors carry a further batch axis where ``in_dims`` says so."""
        other = copy.copy(self)
        others = {id(old): (new, axis) for old, new, axis in zip(self.theta, theta, in_dims, strict=True)}
        other.operators = tuple(MappedOperator(A, others) for A in self.operators)
        other.theta = own_tensors(other.operators)
        return other

    def batch_of(self, first: Tensor) -> tuple[int, ...]:
        """Return the shape of the batch, given the first input."""
        return tuple(first.shape[: first.ndim - self.ndims[0]])


def attach(equation: Equation, first: Tensor, *others: Input) -> Tensor:
    """Return the solution of ``equation`` with exact derivatives of every order and mode."""
    refuse_tensors_of_transforms(equation.operators, equation.batch_of(first))
    inputs, theta = (first, *others), equation.theta
    levels = count_forward_levels()
    if not levels:
        return solution_with_value(equation, True, inputs, theta)
    fixed, fixed_inputs = [without_tangent(t) for t in theta], [without_tangent(t) for t in inputs]
    x = solution_with_value(equation, True, fixed_inputs, fixed)
    operators, linear, passed_on = (
        equation.with_tensors(theta),
        equation.linearised(False),
        equation.pass_on(fixed_inputs),
    )
    for _ in range(levels):
        residual = equation.residual(operators, x, first, *others)
        x = x + solution_with_value(linear, False, (residual, *passed_on), fixed)
    return x


def value_of(equation: Equation, first: Tensor, *others: Input) -> Tensor:
    """Return the solution of ``equation`` as a constant, also inside transforms."""
    refuse_tensors_of_transforms(equation.operators, equation.batch_of(first))
    inputs, theta = (first, *others), equation.theta
    return solution_with_value(equation, True, list(map(constant, inputs)), list(map(constant, theta)))


def solution_with_value(equation: Equation, value: bool, inputs: Sequence[Input], theta: Sequence[Tensor]) -> Tensor:
    """Return the solution as a function of ``inputs`` and ``theta``; with ``value=False`` zero, with its derivatives.

    For rules of derivatives, which get their tensors from torch.
    """
    x: Tensor = _Solve.apply(equation, value, *inputs, *theta)  # type: ignore[no-untyped-call, unused-ignore]
    return x


class _Solve(torch.autograd.Function):
    """The solution of an equation; with ``value=False`` zero, with the derivatives of the solution."""

    @staticmethod
    def forward(equation: Equation, value: bool, *tensors: Any) -> Tensor:
        count = len(equation.ndims)
        inputs, theta = tensors[:count], tensors[count:]
        first, batch = inputs[0], equation.batch_of(inputs[0])
        if is_batched_by_legacy_vmap(first):
            raise NotImplementedError(
                "a solver cannot be differentiated with is_grads_batched=True: use torch.func.vmap of torch.func.vjp"
            )
        if not value:
            zero: Tensor = first.new_zeros((*batch, *equation.dims))
            return zero
        operators = equation.with_tensors([tensor.detach() for tensor in theta])
        for A in operators:
            refuse_hidden_tensors(A, batch)
        return equation.solve(operators, first.detach(), *(None if t is None else t.detach() for t in inputs[1:]))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        equation, _, *tensors = inputs
        ctx.equation = equation
        ctx.save_for_backward(output, *tensors)
        ctx.save_for_forward(output, *tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, *tensors = ctx.saved_tensors
        equation: Equation = ctx.equation
        count = len(equation.ndims)
        inputs, theta = tensors[:count], tensors[count:]
        w = _adjoint_solution(equation, grad, inputs, theta)
        wanted = [index for index in range(len(tensors)) if ctx.needs_input_grad[2 + index]]
        pulled = equation.pull(equation.with_tensors(theta), w) if 0 in wanted else None
        if pulled is not None:
            wanted.remove(0)

        def residual(*now: Any) -> Tensor:
            return equation.residual(equation.with_tensors(now[count:]), x, *now[:count])

        grads = gradients(residual, tensors, wanted, w)
        if pulled is not None:
            pulled = pulled.real if pulled.is_complex() and not inputs[0].is_complex() else pulled
            grads[0] = pulled.to(inputs[0].dtype)
        return None, None, *grads

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        x, *tensors = ctx.saved_tensors
        equation: Equation = ctx.equation
        rhs, count = tangents[2], len(equation.ndims)
        if rhs is None or not equation.is_linear:
            return torch.zeros_like(x)
        others = equation.pass_on(tensors[:count])
        return solution_with_value(equation.linearised(False), True, (rhs, *others), tensors[count:])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], equation: Equation, value: bool, *tensors: Any) -> tuple[Tensor, int]:
        size, count = info.batch_size, len(equation.ndims)
        inputs, theta = tensors[:count], tensors[count:]
        of_inputs, of_theta = in_dims[2 : 2 + count], in_dims[2 + count :]
        batch = inputs[0].ndim - equation.ndims[0] - (of_inputs[0] is not None)
        moved = [
            _with_leading_axis(tensor, axis, size, batch + ndim, index == 0)
            for index, (tensor, axis, ndim) in enumerate(zip(inputs, of_inputs, equation.ndims, strict=True))
        ]
        if any(axis is not None for axis in of_theta):
            equation = equation.mapped(theta, of_theta)
            theta = tuple(equation.theta)
        return solution_with_value(equation, value, moved, theta), 0


def gradients(
    function: Callable[..., Tensor], tensors: Sequence[Any], wanted: Sequence[int], left: Tensor
) -> list[Tensor | None]:
    """Return the gradients of ``Re <left, function(*tensors)>`` for the tensors ``wanted``, and None for the others."""

    def of_wanted(*chosen: Tensor) -> Tensor:
        now = list(tensors)
        for index, tensor in zip(wanted, chosen, strict=True):
            now[index] = tensor
        return function(*now)

    grads: list[Tensor | None] = [None] * len(tensors)
    if wanted:
        _, pullback, *_ = torch.func.vjp(of_wanted, *(tensors[index] for index in wanted))
        for index, gradient in zip(wanted, pullback(left), strict=True):
            grads[index] = gradient
    return grads


def _adjoint_solution(equation: Equation, rhs: Tensor, inputs: Sequence[Input], theta: Sequence[Tensor]) -> Tensor:
    """Return ``N^-H rhs``, from a warm start if there is one."""
    linear = equation.linearised(True)
    start = equation.warm_start if is_plain_eager() else None
    if start is not None:
        linear.guess = start.of(rhs, linear.dims, linear.ndims[0])
    w = solution_with_value(linear, True, (rhs, *equation.pass_on(inputs)), theta)
    if start is not None:
        start.w = w.detach()
    return w


def _with_leading_axis(x: Input, axis: int | None, size: int, ndim: int, expand: bool) -> Input:
    """Return an input with the mapped axis before a batch, which it may have shared so far."""
    if x is None:
        return None
    if axis is None:
        return x.expand(size, *x.shape) if expand else x
    x = x.movedim(axis, 0)
    return x.reshape(size, *(1,) * (ndim + 1 - x.ndim), *x.shape[1:])
