"""GMRES."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from torchlops.optimization.krylov.square import SquareSolver, SquareState
from torchlops.optimization.solver.problem import Problem
from torchlops.optimization.solver.state import WORK, Status
from torchlops.optimization.solver.vectors import Scalar, maximum, norm, orthogonalized, reciprocal, squared_norm, where


@dataclass(kw_only=True)
class GMRESState(SquareState):
    """Arnoldi basis and Hessenberg matrix of a cycle, which began at ``x`` with a residual of norm ``begin``."""

    basis: Tensor = field(metadata=WORK)
    directions: Tensor = field(metadata=WORK)
    hessenberg: Tensor = field(metadata=WORK)
    null: Tensor = field(metadata=WORK)
    begin: Scalar
    square: Scalar

    @property
    def columns(self) -> int:
        """How many columns the Hessenberg matrix has."""
        return self.null.shape[-1] - 1


@dataclass(frozen=True, eq=False)
class GMRES(SquareSolver[GMRESState]):
    r"""Generalised minimal residuals for any square operator, restarted.

    .. math:: (A + \epsilon I) x = y

    The preconditioner ``M`` acts from the right, so that residuals are the true ones. With ``flexible=True`` it may
    change from one iteration to the next (an inner solver, a network), for twice the memory. Iterations count the
    products with the operator; every ``restart`` of them there is one more.

    Args:
        restart: Number of vectors that are kept.
        flexible: Whether the preconditioner may change.

    Source: Y. Saad and M. H. Schultz, GMRES: a generalized minimal residual algorithm for solving nonsymmetric linear
    systems, SIAM J. Sci. Stat. Comput. 7 (1986), 856-869; flexible: Y. Saad, SIAM J. Sci. Comput. 14 (1993), 461-469;
    norm of the residual without rotations: E. H. Ayachour, A fast implementation for GMRES method, J. Comput. Appl.
    Math. 159 (2003), 269-283.
    """

    restart: int = 30
    flexible: bool = False

    keeps_complex = True
    vectors = (33, 1)

    def __post_init__(self) -> None:
        if self.restart < 1:
            raise ValueError(f"restart must be 1 or more, got {self.restart}")

    def start(self, problem: Problem) -> GMRESState:
        r = self.residual(problem)
        begin = norm(r)
        state = GMRESState(**self._cycle(problem, r, begin), **self.first(problem, begin * begin))
        state.go_on(state.rr > state.limit)
        return state

    def _cycle(self, problem: Problem, r: Tensor, begin: Scalar) -> dict[str, Any]:
        """Return the fields of a cycle that begins with the residual ``r``, of norm ``begin``."""
        k, batch = min(self.restart, problem.x.shape[-1]), problem.batch
        basis = _put(r.new_empty((*batch, k + 1, r.shape[-1])), 0, r * reciprocal(norm(r)))
        directions = torch.empty_like(basis[..., :k, :] if self.flexible else r[..., :0])
        return {
            "basis": basis, "directions": directions, "hessenberg": r.new_zeros((*batch, k, k + 1)),
            "null": r.new_ones((*batch, 1)), "begin": begin, "square": 0.0 * begin + 1.0,
        }  # fmt: skip

    def _begin_again(self, problem: Problem, state: GMRESState) -> None:
        r = problem.y - self.multiply(problem, state.x)
        vars(state).update(self._cycle(problem, r, where(state.active, norm(r), state.cost)))

    def iterate(self, problem: Problem, state: GMRESState) -> None:
        s = state
        if s.columns == s.hessenberg.shape[-2]:
            s.x = self.solution(problem, s)
            self._begin_again(problem, s)
        j = s.columns
        direction = problem.precondition(s.basis[..., j, :].contiguous())
        if self.flexible:
            s.directions = _put(s.directions, j, direction)
        w, column = orthogonalized(self.multiply(problem, direction), s.basis[..., : j + 1, :])
        self._append(s, column, w)

    def _append(self, s: GMRESState, column: Tensor, w: Tensor) -> None:
        """Append a column to the Hessenberg matrix, ``w`` to the basis, and watch the norm of the residual.

        It is that of the first vector, times the first entry of the unit vector which is orthogonal to all columns:
        ``null / sqrt(square)``, which grows by one entry with each column. A next vector that vanishes is taken
        to be of a hundredth of the rounding of its column, so that no division is by zero. The space is invariant
        then, and has the solution, unless the operator is singular on it.
        """
        j = s.columns + 1
        length = norm(w)
        floor = norm(column) * (0.01 * torch.finfo(w.dtype).eps)
        below = maximum(length, floor)
        s.basis = _put(s.basis, j, w * reciprocal(below))
        entry = (s.null * column).sum(-1, keepdim=True) * -reciprocal(below)
        square = s.square + squared_norm(entry)
        is_last = length <= floor
        is_singular = is_last & (square * torch.finfo(w.dtype).eps < s.square)  # it would be many orders more
        s.stop(is_singular & (s.begin * s.begin / square > s.limit), Status.BREAKDOWN)
        grows = torch.as_tensor(s.active, device=w.device)
        s.null = torch.cat([s.null, torch.where(grows, entry, 0.0)], -1)
        below = torch.as_tensor(below, dtype=w.dtype, device=w.device).expand(*column.shape[:-1], 1)
        column = torch.cat([column, below, column.new_zeros((*column.shape[:-1], s.hessenberg.shape[-1] - 1 - j))], -1)
        unit = torch.zeros_like(column)
        unit[..., j] = 1.0  # of a stopped sample: an equation whose solution is zero
        s.hessenberg = _put(s.hessenberg, j - 1, torch.where(grows, column, unit))
        s.square = where(s.active, square, s.square)
        self.watch(s, where(s.active, s.begin * s.begin / s.square, s.rr))
        s.go_on(length > floor)

    def solution(self, problem: Problem, state: GMRESState) -> Tensor:
        s = state
        k = s.columns
        if not k:
            return s.x
        # the residual of the small least-squares problem is known, and without its first row that is triangular
        residual = s.null[..., 1 : k + 1].conj() * (s.begin / s.square)
        triangle = s.hessenberg[..., :k, 1 : k + 1].mT
        weights: Tensor = torch.linalg.solve_triangular(triangle, -residual.unsqueeze(-1), upper=True).mT
        if self.flexible:
            return torch.add(s.x, (weights @ s.directions[..., :k, :]).squeeze(-2))
        return torch.add(s.x, problem.precondition((weights @ s.basis[..., :k, :]).squeeze(-2)))

    def moved(self, problem: Problem, state: GMRESState, x: Tensor) -> None:
        state.x = x
        self._begin_again(problem, state)


def _put(array: Tensor, index: int, row: Tensor) -> Tensor:
    """Return ``array`` with ``row`` in its last axis but one: in place where no graph is recorded."""
    if torch.is_grad_enabled():
        return torch.cat([array[..., :index, :], row.unsqueeze(-2), array[..., index + 1 :, :]], -2)
    array[..., index, :] = row
    return array
