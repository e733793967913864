r"""Derivatives of sparse solutions: those of the linear system that holds on their support.

Near a solution, the support :math:`S` stays as it is (unless :math:`|A^H r|` reaches its limit off the support too,
where the solution has a kink). There, with :math:`u = x / |x|`, a lasso obeys

.. math:: A_S^H A_S x_S = A_S^H y - \lambda u,

which is linear for real models, since signs are constant. For complex models, Newton's method makes it linear:
:math:`\lambda u` has the Jacobian :math:`\lambda D`, with :math:`D h = (h - u \Re(\bar u h)) / |x|` and
:math:`D x = 0`, so that a step is

.. math:: (A_S^H A_S + \lambda D)\, x^+ = A_S^H y - \lambda u.

Each step, from a constant, makes derivatives of twice the order exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.equation import Input, Operators, attach, value_of
from torchlops.optimization.implicit.linear import Normal, Solved
from torchlops.optimization.implicit.rebind import own_tensors
from torchlops.optimization.implicit.solve import Attach, Call, equation_of, inputs_of, with_derivative_of
from torchlops.optimization.implicit.tangents import constant
from torchlops.optimization.solver.problem import with_axes
from torchlops.optimization.solver.solver import Solver
from torchlops.optimization.sparse.omp import OMP
from torchlops.optimization.sparse.prox import phase
from torchlops.optimization.sparse.spgl1 import SPGL1


class SolvedWith(Solved):
    """What is solved by a solver that has operators and tensors among its options: they are further inputs.

    Args:
        call: What was asked for.
        operators: The further operators.
        ndims: Number of axes of one sample of each further input.
        solver_with: Returns the solver with other operators and tensors.
    """

    def __init__(
        self,
        call: Call,
        operators: Sequence[LinearOperator],
        ndims: Sequence[int],
        solver_with: Callable[[Operators, Sequence[Input]], Solver[Any]],
    ) -> None:
        plain = equation_of(call, Solved)
        vars(self).update(vars(plain))
        self.operators, self.ndims = (call.A, *operators), (*plain.ndims, *ndims)
        self.theta, self.solver_with = own_tensors(self.operators), solver_with

    def solver_of(self, operators: Operators, others: Sequence[Input]) -> tuple[Solver[Any], None]:
        return self.solver_with(operators, others), None


def refuse_derivative(what: str) -> Attach:
    """Return what raises where the derivative of the exact solution is wanted, and there is none."""

    def refuse(call: Call) -> tuple[Tensor, Solved]:
        if call.options.grad is not None:
            raise ValueError(
                f"{call.solver.name} has no implicit derivative{what}: take grad='unroll' for that of the iterations "
                "as they run, or grad=None for none"
            )
        equation = equation_of(call, Solved)
        return value_of(equation, *inputs_of(call)), equation

    return refuse


def attach_lasso(call: Call) -> tuple[Tensor, Solved]:
    """Attach the solution of ``min ||y - A x||^2 + eps ||x||_1``."""
    equation = equation_of(call, Solved)
    x = value_of(equation, *inputs_of(call))
    if call.options.grad is None:
        return x, equation
    weight, g, new = with_axes(call.weight, call.A.dims) / 2, adjoint(call.A, call.data), x
    for _ in range(2 if x.is_complex() else 1):
        new = _on_support(call, new, g - weight * phase(new), weight if x.is_complex() else None)
    return with_derivative_of(x, new), equation


def attach_pursuit(call: Call) -> tuple[Tensor, Solved]:
    """Attach the least-squares solution on the support that matching pursuit finds."""
    solver = call.solver
    assert isinstance(solver, OMP)
    operators = () if solver.Opbasis is None else (solver.Opbasis,)

    def solver_with(operators: Operators, _: Sequence[Input]) -> OMP:
        return replace(solver, Opbasis=operators[0] if operators else None)

    equation = SolvedWith(call, operators, (), solver_with)
    x = value_of(equation, *inputs_of(call))
    if call.options.grad is None:
        return x, equation
    return with_derivative_of(x, _on_support(call, x, adjoint(call.A, call.data), None)), equation


def attach_basis_pursuit(call: Call) -> tuple[Tensor, Solved]:
    r"""Attach the solution of ``min ||x||_1`` for ``||y - A x|| <= sigma``, or of the lasso with a radius.

    It is the lasso :math:`x = p - \lambda q` with :math:`p = M^{-1} A_S^H y`, :math:`q = M^{-1} u` and
    :math:`M = A_S^H A_S` (plus :math:`\lambda D` for complex models, in a step of Newton's method), whose
    :math:`\lambda` is fixed by the residual: :math:`\sigma^2 = \|y - A p + \lambda A q\|^2`. With a radius,
    :math:`\lambda` is fixed by :math:`\langle u, x \rangle = \tau`.
    """
    solver = call.solver
    assert isinstance(solver, SPGL1)

    def solver_with(_: Operators, others: Sequence[Input]) -> SPGL1:
        return solver if others[0] is None else replace(solver, tau=others[0])

    tau = solver.tau if isinstance(solver.tau, Tensor) else None
    equation = SolvedWith(call, (), (0,), solver_with)
    x = value_of(equation, *inputs_of(call), tau)
    if call.options.grad is None:
        return x, equation
    is_exact = call.is_unweighted
    if is_exact and (solver.tau == 0 if tau is None else False):
        return with_derivative_of(x, _on_support(call, x, adjoint(call.A, call.data), None)), equation
    step = _to_radius if is_exact else _to_residual
    if not x.is_complex():
        return with_derivative_of(x, step(call, x, None)[0]), equation
    new, weight = x, constant(_multiplier(call, x))
    for _ in range(2):
        new, weight = step(call, new, torch.where(weight > 0, weight, 1.0))
    return with_derivative_of(x, new), equation


def _multiplier(call: Call, x: Tensor) -> Tensor:
    """Return the modulus of ``A^H r`` on the support (or 0 where that is empty)."""
    g = adjoint(call.A, call.data - call.A.apply_nd(x, False))
    axes = _axes(call.A.dims)
    size = (x != 0).to(g.abs().dtype).sum(axes, keepdim=True).clamp(min=1)
    return _inner(phase(x), g, axes) / size


def _to_radius(call: Call, x: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the next solution and the next multiplier, for a radius."""
    assert isinstance(call.solver, SPGL1)
    A, tau, axes = call.A, call.solver.tau, _axes(call.A.dims)
    u = phase(x)
    p, q = _on_support(call, x, adjoint(A, call.data), weight), _on_support(call, x, u, weight)
    excess, length = _inner(u, p, axes) - with_axes(tau, A.dims), _inner(u, q, axes)
    new = torch.where(length > 0, excess.clamp(min=0) / torch.where(length > 0, length, 1.0), 0.0)
    return p - q * new, new


def _to_residual(call: Call, x: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the next solution and the next multiplier, for a norm of the residual."""
    A, y, sigma, axes = call.A, call.data, call.weight, _axes(call.A.dimsd)
    p, q = _on_support(call, x, adjoint(A, y), weight), _on_support(call, x, phase(x), weight)
    sigma = with_axes(sigma, A.dimsd)
    r, Aq = y - A.apply_nd(p, False), A.apply_nd(q, False)
    scale = _inner(Aq, Aq, axes)
    half = 0.0 if weight is None else _inner(r, Aq, axes)  # it is orthogonal where M is A_S^H A_S
    square = half**2 + scale * (sigma**2 - _inner(r, r, axes))
    good = (square > 0) & (scale > 0)
    root = torch.where(good, square, 1.0).sqrt() - half
    new = torch.where(good, root / torch.where(good, scale, 1.0), 0.0)
    new = new.reshape((*new.shape[: new.ndim - len(A.dimsd)], *(1,) * len(A.dims)))
    return p - new * q, new


def _on_support(call: Call, x: Tensor, g: Tensor, weight: Tensor | float | None) -> Tensor:
    """Return the solution of ``(A_S^H A_S + weight D) h = g_S`` on the support of ``x``."""
    A, how = OnSupport(call.A, x, weight), call.options.implicit
    rtol, niter = how.rtol or 10 * call.rounding, how.niter or 4 * sum(call.A.shape)
    equation = Normal(A, 0.0, call.options, rtol=rtol, niter=niter)
    return A.support * attach(equation, A.support * g, None)  # gradients off the support are cut off too


class OnSupport(LinearOperator):
    """``A`` on the support of ``x``, stacked with ``sqrt(weight) T``, where ``T^H T = D``."""

    support: Tensor
    phase_root: Tensor
    A: LinearOperator

    def __init__(self, A: LinearOperator, x: Tensor, weight: Tensor | float | None) -> None:
        rows, columns = A.shape
        dimsd = A.dimsd if weight is None else (rows + columns,)
        dtype = x.dtype if weight is not None else A._torch_dtype()
        super().__init__(A.dims, dimsd, dtype, A.clinear and weight is None, A.real_model, name=A.name)
        self.A = A
        self._register("support", (x != 0).to(x.abs().dtype))
        self.has_phase = weight is not None
        if weight is not None:
            size = torch.where(x != 0, x.abs(), 1.0)
            self._register("phase_root", torch.where(x != 0, 1j * phase(x) * (weight / size) ** 0.5, 0.0))

    def _forward(self, x: Tensor) -> Tensor:
        y = self.A.apply_nd(self.support * x, False)
        if not self.has_phase:
            return y
        turned = (self.phase_root.conj() * x).real.to(y.dtype)
        return torch.cat([y.flatten(y.ndim - len(self.A.dimsd)), turned.flatten(turned.ndim - len(self.dims))], -1)

    def _adjoint(self, y: Tensor) -> Tensor:
        if not self.has_phase:
            return self.support * self.A.apply_nd(y, True)
        batch = y.shape[:-1]
        data = y.narrow(-1, 0, self.A.shape[0]).reshape(*batch, *self.A.dimsd)
        turned = y.narrow(-1, self.A.shape[0], self.A.shape[1]).reshape(*batch, *self.dims)
        return self.support * self.A.apply_nd(data, True) + self.phase_root * turned.real


def adjoint(A: LinearOperator, y: Tensor) -> Tensor:
    """Return ``A^H y``, which is real where models are."""
    x = A.apply_nd(y, True)
    return x.real if A.real_model and x.is_complex() else x


def _axes(dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(range(-len(dims), 0))


def _inner(a: Tensor, b: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return ``Re <a, b>`` of each sample."""
    product: Tensor = (a.conj() * b).real.sum(axes, keepdim=True)
    return product
