"""GMRES."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.optimization.solver.vectors import inners, maximum, norm, reciprocal, squared_norm, where
from torchlops.optimization.basesolver import Status
from torchlops.optimization.cls_cg import SquareSolver


class GMRES(SquareSolver):
    r"""Generalised minimal residuals for any square operator, restarted.

    .. math:: (A + \epsilon I) x = y

    The preconditioner ``M`` acts from the right, so that residuals are the true ones. With ``flexible=True`` it may
    change from one iteration to the next (an inner solver, a network), for twice the memory. Iterations count the
    products with the operator; every ``restart`` of them there is one more.

    See :class:`~torchlops.optimization.basesolver.Solver` for the other arguments.

    Args:
        restart: Number of vectors that are kept.
        flexible: Whether the preconditioner may change.

    Source: Y. Saad and M. H. Schultz, GMRES: a generalized minimal residual algorithm for solving nonsymmetric linear
    systems, SIAM J. Sci. Stat. Comput. 7 (1986), 856-869; flexible: Y. Saad, SIAM J. Sci. Comput. 14 (1993), 461-469;
    norm of the residual without rotations: E. H. Ayachour, A fast implementation for GMRES method, J. Comput. Appl.
    Math. 159 (2003), 269-283.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))
        >>> torch.allclose(GMRES(A).solve(torch.tensor([1.0, -1.0]), tol=0).x, torch.ones(2), atol=1e-5)
        True
    """

    vectors = ("basis", "directions", "hessenberg", "null")
    scalars = ("rr", "limit", "start", "square")
    keeps_complex = True

    def __init__(
        self,
        Op: Any,
        callbacks: Sequence[Any] | None = None,
        M: Any = None,
        *,
        restart: int = 30,
        flexible: bool = False,
        **how: Any,
    ) -> None:
        super().__init__(Op, callbacks, M, **how)
        if restart < 1:
            raise ValueError(f"restart must be 1 or more, got {restart}")
        self.restart, self.flexible = min(restart, self.Op.shape[1]), flexible

    @property
    def count(self) -> int:
        """How many columns the Hessenberg matrix has."""
        return self.null.shape[-1] - 1

    def _start(self) -> None:
        self._begin(self._residual())

    def _begin(self, r: Tensor) -> None:
        """Begin a cycle from the residual ``r`` of ``x``."""
        k, batch = self.restart, r.shape[:-1]
        self.start = norm(r)
        self.basis = _put(r.new_empty((*batch, k + 1, r.shape[-1])), 0, r * reciprocal(self.start))
        self.directions = torch.empty_like(self.basis[..., :k, :] if self.flexible else r[..., :0])
        self.hessenberg = r.new_zeros((*batch, k, k + 1))
        self.null = r.new_ones((*batch, 1))
        self.square = 0.0 * self.start + 1.0
        if not self.cost:
            self._watch(self.start * self.start)

    def _iterate(self) -> None:
        if self.count == self.restart:
            self.x = self._current()
            self._begin(self.y - self._multiply(self.x))
        j = self.count
        direction = self.precondition(self.basis[..., j, :].contiguous())
        if self.flexible:
            self.directions = _put(self.directions, j, direction)
        w = self._multiply(direction)
        basis = self.basis[..., : j + 1, :]
        column = inners(basis, w)
        w = w - (basis.mT @ column.unsqueeze(-1)).squeeze(-1)
        again = inners(basis, w)  # twice is enough (Kahan)
        w = w - (basis.mT @ again.unsqueeze(-1)).squeeze(-1)
        self._append(column + again, w)

    def _append(self, column: Tensor, w: Tensor) -> None:
        """Append a column to the Hessenberg matrix, ``w`` to the basis, and watch the norm of the residual.

        It is that of the first vector, times the first entry of the unit vector which is orthogonal to all columns:
        ``null / sqrt(square)``, which grows by one entry with each column. A next vector that vanishes is taken
        to be of a hundredth of the rounding of its column, so that no division is by zero.
        """
        j = self.count + 1
        length = norm(w)
        floor = norm(column) * (0.01 * torch.finfo(w.dtype).eps)
        below = maximum(length, floor)
        self.basis = _put(self.basis, j, w * reciprocal(below))
        entry = (self.null * column).sum(-1, keepdim=True) * -reciprocal(below)
        square = self.square + squared_norm(entry)
        rr = self.start * self.start / square
        self._stop((length <= floor) & (rr > self.limit), Status.BREAKDOWN)
        grows = torch.as_tensor(self.active, device=w.device)
        self.null = torch.cat([self.null, torch.where(grows, entry, 0.0)], -1)
        below = torch.as_tensor(below, dtype=w.dtype, device=w.device).expand(*column.shape[:-1], 1)
        column = torch.cat([column, below, column.new_zeros((*column.shape[:-1], self.restart - j))], -1)
        unit = torch.zeros_like(column)
        unit[..., j] = 1.0  # of a stopped sample: an equation whose solution is zero
        self.hessenberg = _put(self.hessenberg, j - 1, torch.where(grows, column, unit))
        self.square = where(self.active, square, self.square)
        self._watch(self.start * self.start / self.square)

    def _current(self) -> Tensor:
        k = self.count
        if not k:
            return self.x
        # the residual of the small least-squares problem is known, and without its first row that is triangular
        residual = self.null[..., 1 : k + 1].conj() * (self.start / self.square)
        triangle = self.hessenberg[..., :k, 1 : k + 1].mT
        weights: Tensor = torch.linalg.solve_triangular(triangle, -residual.unsqueeze(-1), upper=True).mT
        if self.flexible:
            return torch.add(self.x, (weights @ self.directions[..., :k, :]).squeeze(-2))
        return torch.add(self.x, self.precondition((weights @ self.basis[..., :k, :]).squeeze(-2)))

    def _adopt(self, x: Any) -> None:
        if x is self._public or x is None:
            return
        super()._adopt(x)
        self._begin(self.y - self._multiply(self.x))

    def finalize(self, show: bool = False) -> None:
        self.x = self._current()
        self.null = self.null[..., :1]
        super().finalize(show)

    def _vector_count(self) -> tuple[int, int]:
        return (2 if self.flexible else 1) * (self.restart + 1) + 3, 1


def _put(array: Tensor, index: int, row: Tensor) -> Tensor:
    """Return ``array`` with ``row`` in its last axis but one: in place where no graph is recorded."""
    if torch.is_grad_enabled():
        return torch.cat([array[..., :index, :], row.unsqueeze(-2), array[..., index + 1 :, :]], -2)
    array[..., index, :] = row
    return array
