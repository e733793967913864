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

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from torchlops.arrays import as_tensor, real_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.equation import Input, Operators, attach, value_of
from torchlops.optimization.implicit.linear import Solved, System, model_of
from torchlops.optimization.implicit.solve import Call, inputs_of, with_derivative_of
from torchlops.optimization.implicit.support import SolvedWith, adjoint
from torchlops.optimization.krylov.minres import MINRES
from torchlops.optimization.solver.problem import iteration_dtype
from torchlops.optimization.solver.vectors import as_complex
from torchlops.optimization.sparse.prox import phase
from torchlops.optimization.sparse.sparsesolver import is_in_pairs
from torchlops.optimization.sparse.splitbregman import SplitBregman, flat_target


class _Splitting(SolvedWith):
    """Split Bregman, whose solution is ``x``, and then ``d``, in one vector."""

    def solve(self, operators: Operators, *inputs: Input) -> Tensor:
        outcome = self.outcome_of(operators, inputs)
        x = model_of(outcome).flatten(outcome.x.ndim - 1)
        batch = outcome.batch
        return torch.cat([x, as_complex(batch.state.d * batch.problem.scale, is_in_pairs(batch.problem))], -1)


def attach_split_bregman(call: Call) -> tuple[Tensor, Solved]:
    """Attach the solution of split Bregman, with its derivatives with respect to all that it depends on."""
    A, solver, data = call.A, call.solver, call.data
    assert isinstance(solver, SplitBregman)
    Regs1, Regs2 = solver.RegsL1, solver.RegsL2
    batch = tuple(data.shape[: data.ndim - len(A.dimsd)])
    dtype = iteration_dtype(A, (data, call.guess), solver.name)
    dtype = real_dtype(dtype) if A.real_model else dtype
    targets = [
        flat_target(as_tensor(target, "dataregsL2").to(data.device, dtype), R.dimsd, batch)
        for target, R in zip(solver.dataregsL2 or (), Regs2, strict=False)
    ]
    eps = [_as_number(value, data) for value in (*(solver.epsRL2s or ()), *(solver.epsRL1s or ()))]

    def solver_with(operators: Operators, others: Sequence[Input]) -> SplitBregman:
        weights = others[len(targets) :]
        return replace(
            solver, RegsL2=operators[: len(Regs2)], RegsL1=operators[len(Regs2) :],
            dataregsL2=others[: len(targets)] if targets else None, epsRL2s=weights[: len(Regs2)],
            epsRL1s=weights[len(Regs2) :],
        )  # fmt: skip

    equation = _Splitting(call, (*Regs2, *Regs1), (*[1] * len(targets), *[0] * len(eps)), solver_with)
    equation.dims = (A.shape[1] + sum(R.shape[0] for R in Regs1),)
    both = value_of(equation, *inputs_of(call), *targets, *eps)
    x, d = both.narrow(-1, 0, A.shape[1]), both.narrow(-1, A.shape[1], both.shape[-1] - A.shape[1])
    if call.options.grad is not None:
        if solver.restart and solver.inner.damp:
            raise ValueError(
                f"{solver.name} has no implicit derivative with restart=True and damp: take grad='unroll' for that of "
                "the iterations as they run, or grad=None for none"
            )
        x = with_derivative_of(x, _again(call, solver, targets, [number.unsqueeze(-1) for number in eps], d))
    return x.reshape(*batch, *A.dims), equation


def _again(call: Call, solver: SplitBregman, targets: list[Tensor], weights: list[Tensor], d: Tensor) -> Tensor:
    """Return the solution as a function of all tensors, given its constant ``d``."""
    A, Regs1, Regs2 = call.A, solver.RegsL1, solver.RegsL2
    eps2, eps1 = weights[: len(Regs2)], weights[len(Regs2) :]
    lengths, size, batch = [R.shape[0] for R in Regs1], A.shape[1], d.shape[:-1]
    mu = _as_number(call.weight, call.data).unsqueeze(-1)
    eps = torch.cat([e.expand(*batch, length) for e, length in zip(eps1, lengths, strict=True)], -1)
    fixed = mu * adjoint(A, call.data).reshape(*batch, size)
    for R, e, target in zip(Regs2, eps2, targets, strict=False):  # without data, they are zero
        fixed = fixed + e * _apply(R, target, True)
    how = call.options.implicit
    rtol = how.rtol or torch.finfo(eps.dtype).eps ** 0.75
    niter = how.niter or 10 * (size + d.shape[-1])
    x, v = fixed, d
    for step in range(2 if d.is_complex() else 1):
        if step:
            v = (d != 0).to(d.abs().dtype) * torch.cat([_apply(R, x, False) for R in Regs1], -1)
        g = fixed
        for R, part in zip(Regs1, torch.split(eps**2 * phase(v), lengths, -1), strict=True):
            g = g - _apply(R, part, True)
        K = _KeepingZeros(A, Regs1, Regs2, mu, eps2, eps, v)
        equation = System(MINRES(), (K,), 0.0, call.options, False, rtol, niter)
        x = attach(equation, torch.cat([g, torch.zeros_like(d)], -1), None).narrow(-1, 0, size)
    return x


class _KeepingZeros(LinearOperator):
    """The symmetric system of ``x`` and the multipliers; a multiplier of no zero is 0, by a row of its own."""

    mu: Tensor
    eps: Tensor
    nonzero: Tensor
    phase_root: Tensor
    A: LinearOperator

    def __init__(
        self, A: LinearOperator, Regs1: Operators, Regs2: Operators, mu: Tensor, eps2: list[Tensor], eps: Tensor,
        v: Tensor,
    ) -> None:  # fmt: skip
        parts = (A, *Regs1, *Regs2)
        self_adjoint = all(part.clinear for part in parts) and not v.is_complex()
        size = A.shape[1] + v.shape[-1]
        super().__init__((size,), (size,), v.dtype, self_adjoint, name=A.name)
        self.A, self.Regs1, self.Regs2 = A, nn.ModuleList(Regs1), nn.ModuleList(Regs2)
        self._register("mu", mu)
        for index, weight in enumerate(eps2):
            self._register(f"eps2_{index}", weight)
        zero = v == 0
        self._register("eps", torch.where(zero, eps, 0.0))
        self._register("nonzero", (~zero).to(eps.dtype))
        self.has_phase = v.is_complex()
        if self.has_phase:
            length = torch.where(zero, 1.0, v.abs())
            self._register("phase_root", torch.where(zero, 0.0, 1j * phase(v) * eps / length**0.5))

    def _forward(self, z: Tensor) -> Tensor:
        Regs1, Regs2 = _operators(self.Regs1), _operators(self.Regs2)
        lengths = [R.shape[0] for R in Regs1]
        x, *multipliers = torch.split(z, [self.A.shape[1], *lengths], -1)
        top = self.mu * _normal(self.A, x)
        for index, R in enumerate(Regs2):
            top = top + getattr(self, f"eps2_{index}") * _normal(R, x)
        first, bottom = 0, []
        for R, length, b in zip(Regs1, lengths, multipliers, strict=True):
            Rx = _apply(R, x, False)
            eps, nonzero = self.eps.narrow(-1, first, length), self.nonzero.narrow(-1, first, length)
            upper = eps * b
            if self.has_phase:
                root = self.phase_root.narrow(-1, first, length)
                upper = upper + root * (root.conj() * Rx).real
            top = top + _apply(R, upper, True)
            bottom.append(eps * Rx + nonzero * b)
            first += length
        return torch.cat([top, *bottom], -1)

    _adjoint = _forward


def _operators(modules: Iterable[nn.Module]) -> list[LinearOperator]:
    return [module for module in modules if isinstance(module, LinearOperator)]


def _normal(A: LinearOperator, x: Tensor) -> Tensor:
    return _apply(A, _apply(A, x, False), True)


def _apply(A: LinearOperator, x: Tensor, is_adjoint: bool) -> Tensor:
    """Apply ``A`` to flat samples."""
    dims, out_dims = (A.dimsd, A.dims) if is_adjoint else (A.dims, A.dimsd)
    batch = x.shape[:-1]
    array = x.reshape(*batch, *dims)
    out = adjoint(A, array) if is_adjoint else A.apply_nd(array, False)
    return out.reshape(*batch, math.prod(out_dims))


def _as_number(value: Tensor | float, data: Tensor) -> Tensor:
    """Return a weight as a tensor that goes with the data."""
    return as_tensor(value, "weight").to(data.device, real_dtype(data.dtype))
