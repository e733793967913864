r"""Derivatives of solutions with penalties :math:`\|R x\|_1`: those of the linear system that keeps its zeros.

The cosupport :math:`I` is where :math:`R x = 0`; split Bregman has exact zeros of its :math:`d` there. Near a solution
it stays as it is (unless a multiplier reaches its limit, where the solution has a kink), and so does, for real models,
the sign :math:`u` of :math:`R_S x` on the other rows :math:`S`. With the multipliers :math:`b` and the weights
:math:`\lambda = \epsilon_1^2`, the solution obeys

.. math::
    \begin{bmatrix} H & R_I^H \epsilon_1 \\ \epsilon_1 R_I & 0 \end{bmatrix} \begin{bmatrix} x \\ b \end{bmatrix}
    = \begin{bmatrix} \mu A^H y + \sum_j \epsilon_{2,j} R_{2,j}^H y_{2,j} - R_S^H \lambda u \\ 0 \end{bmatrix}, \quad
    H = \mu A^H A + \sum_j \epsilon_{2,j} R_{2,j}^H R_{2,j},

which is solved by MINRES, as it is indefinite, and singular (but consistent) where rows of :math:`R_I` depend on each
other. For complex models, Newton's method adds :math:`R_S^H \lambda D R_S` to :math:`H`, with
:math:`D h = (h - u \Re(\bar u h)) / |R x|`, as for a lasso (see ``support.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from torchlops.arrays import as_tensor, real_dtype
from torchlops.linearoperator import LinearOperator, VerticalStack
from torchlops.optimization.implicit.equation import Input, Operators, attach, value_of
from torchlops.optimization.implicit.linear import Call, Solved, System, model_of
from torchlops.optimization.implicit.support import adjoint, root_of_turn
from torchlops.optimization.implicit.tangents import with_derivative_of
from torchlops.optimization.krylov.minres import MINRES
from torchlops.optimization.solver.problem import iteration_dtype
from torchlops.optimization.solver.vectors import as_complex
from torchlops.optimization.sparse.prox import phase
from torchlops.optimization.sparse.sparsesolver import is_in_pairs
from torchlops.optimization.sparse.splitbregman import SplitBregman, flat_target


class _Splitting(Solved):
    """Split Bregman, whose solution is ``x``, and then ``d``, in one vector."""

    def solve(self, operators: Operators, data: Tensor, /, *others: Input) -> Tensor:
        outcome = self.outcome_of(operators, data, *others)
        x, batch = model_of(outcome).flatten(outcome.x.ndim - 1), outcome.batch
        return torch.cat([x, as_complex(batch.state.d * batch.problem.scale, is_in_pairs(batch.problem))], -1)


def attach_split_bregman(call: Call) -> Tensor:
    """Attach the solution of split Bregman, with its derivatives with respect to all that it depends on."""
    A, solver, data = call.A, call.solver, call.data
    assert isinstance(solver, SplitBregman)
    if call.options.grad is not None and solver.restart and solver.inner.damp:
        raise ValueError(
            f"{solver.name} has no implicit derivative with restart=True and damp: take grad='unroll' for that of the "
            "iterations as they run, or grad=None for none"
        )
    Regs1, Regs2 = solver.RegsL1, solver.RegsL2
    dtype = iteration_dtype(A, (data, call.guess), solver.name)
    dtype = real_dtype(dtype) if A.real_model else dtype
    targets = [
        flat_target(as_tensor(target, "dataregsL2").to(data.device, dtype), R.dimsd, call.batch)
        for target, R in zip(solver.dataregsL2 or (), Regs2, strict=False)
    ]
    eps2, eps1 = ([_as_number(value, data) for value in each or ()] for each in (solver.epsRL2s, solver.epsRL1s))
    call = replace(call, solver=replace(solver, dataregsL2=targets or None, epsRL2s=eps2, epsRL1s=eps1))
    tensors, ndims = (*targets, *eps2, *eps1), [1] * len(targets) + [0] * (len(eps2) + len(eps1))
    equation = _Splitting(call, (*Regs2, *Regs1), tensors, ndims)
    lengths = [A.shape[1], sum(R.shape[0] for R in Regs1)]
    equation.dims = (sum(lengths),)
    x, d = value_of(equation, *call.inputs, *tensors).split_with_sizes(lengths, -1)
    if call.options.grad is not None:
        x = with_derivative_of(x, _again(call, targets, eps2, eps1, d))
    return x.reshape(*call.batch, *A.dims)


def _again(call: Call, targets: list[Tensor], eps2: list[Tensor], eps1: list[Tensor], d: Tensor) -> Tensor:
    """Return the solution as a function of all tensors, given its constant ``d``."""
    assert isinstance(call.solver, SplitBregman)
    Q, R = VerticalStack((call.A, *call.solver.RegsL2)), VerticalStack(call.solver.RegsL1)
    weights = _of_rows([_as_number(call.weight, call.data), *eps2], Q, call.batch)
    thresholds = _of_rows(eps1, R, call.batch)
    y = torch.cat([call.data.reshape(*call.batch, call.A.shape[0]), *targets], -1)
    y = torch.nn.functional.pad(y, (0, Q.shape[0] - y.shape[-1]))  # without data, they are zero
    x = fixed = _apply(Q, weights * y, True)
    how, v, size = call.options.implicit, d, Q.shape[1]
    solver_of_system = MINRES(rtol1=how.rtol or torch.finfo(thresholds.dtype).eps ** 0.75)
    niter = how.niter or 10 * (size + d.shape[-1])
    for step in range(2 if d.is_complex() else 1):
        if step:
            v = (d != 0).to(d.abs().dtype) * _apply(R, x)
        g = fixed - _apply(R, thresholds**2 * phase(v), True)
        system = System(solver_of_system, (_KeepingZeros(Q, R, weights, thresholds, v),), call.options, niter)
        x = attach(system, torch.cat([g, torch.zeros_like(d)], -1), None).narrow(-1, 0, size)
    return x


class _KeepingZeros(LinearOperator):
    """The symmetric system of ``x`` and the multipliers; a multiplier of no zero is 0, by a row of its own.

    Args:
        Q: The operators of the squared terms of the cost, in a stack.
        R: Those of the L1 penalties.
        weights: The weight of each row of ``Q``.
        eps: The threshold of each row of ``R``.
        v: ``R x``, or what is zero where that is, and has its phase elsewhere.
    """

    weights: Tensor
    eps: Tensor
    nonzero: Tensor
    phase_root: Tensor

    def __init__(self, Q: VerticalStack, R: VerticalStack, weights: Tensor, eps: Tensor, v: Tensor) -> None:
        self_adjoint = Q.clinear and R.clinear and not v.is_complex()
        super().__init__(Q.shape[1] + R.shape[0], dtype=v.dtype, clinear=self_adjoint, name=Q.operators[0].name)
        self.Q, self.R, self.has_phase = Q, R, v.is_complex()
        self._register("weights", weights)
        self._register("eps", torch.where(v == 0, eps, 0.0))
        self._register("nonzero", (v != 0).to(eps.dtype))
        if self.has_phase:
            self._register("phase_root", root_of_turn(v, eps))

    def _forward(self, z: Tensor) -> Tensor:
        x, b = z.split_with_sizes([self.Q.shape[1], self.R.shape[0]], -1)
        Rx = _apply(self.R, x)
        upper = self.eps * b
        if self.has_phase:
            upper = upper + self.phase_root * (self.phase_root.conj() * Rx).real
        top = _apply(self.Q, self.weights * _apply(self.Q, x), True) + _apply(self.R, upper, True)
        return torch.cat([top, self.eps * Rx + self.nonzero * b], -1)

    _adjoint = _forward


def _apply(stack: LinearOperator, x: Tensor, is_adjoint: bool = False) -> Tensor:
    """Apply a stack to flat samples."""
    if is_adjoint:
        return adjoint(stack, x).reshape(*x.shape[:-1], stack.shape[1])
    return stack.apply_nd(x.reshape(*x.shape[:-1], *stack.dims))


def _of_rows(numbers: Sequence[Tensor], stack: VerticalStack, batch: tuple[int, ...]) -> Tensor:
    """Return numbers of the parts of a stack as those of its rows."""
    return torch.cat(
        [number.unsqueeze(-1).expand(*batch, rows) for number, rows in zip(numbers, stack.rows, strict=True)], -1
    )


def _as_number(value: Tensor | float, data: Tensor) -> Tensor:
    """Return a weight as a tensor that goes with the data."""
    return as_tensor(value, "weight").to(data.device, real_dtype(data.dtype))
