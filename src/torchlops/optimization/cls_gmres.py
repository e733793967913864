"""GMRES."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.optimization._vectors import inners, norm, squared_norm
from torchlops.optimization.cls_cg import SquareSolver


class GMRES(SquareSolver):
    r"""Generalised minimal residuals for any square operator, restarted.

    .. math:: (A + \epsilon I) x = y

    The preconditioner ``M`` acts from the right, so that residuals are the true ones. With ``flexible=True`` it may
    change from one iteration to the next (an inner solver, a network), for twice the memory. Iterations count the
    products with the operator; every ``restart`` of them there is one more.

    The iterations themselves cannot be differentiated (``grad="unroll"``).

    See :class:`~torchlops.optimization.basesolver.Solver` for the other arguments.

    Args:
        restart: Number of vectors that are kept.
        flexible: Whether the preconditioner may change.

    Source: Y. Saad and M. H. Schultz, GMRES: a generalized minimal residual algorithm for solving nonsymmetric linear
    systems, SIAM J. Sci. Stat. Comput. 7 (1986), 856-869; flexible: Y. Saad, SIAM J. Sci. Comput. 14 (1993), 461-469.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))
        >>> torch.allclose(GMRES(A).solve(torch.tensor([1.0, -1.0]), tol=0).x, torch.ones(2), atol=1e-5)
        True
    """

    vectors = ("basis", "directions", "triangle", "rotation", "projected")
    scalars = ("rr", "limit")
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
        if self.grad == "unroll":
            raise ValueError("GMRES is differentiated implicitly: grad='unroll' is not for it")
        self.restart, self.flexible = min(restart, self.Op.shape[1]), flexible

    def _start(self) -> None:
        self._begin(self._residual())

    def _begin(self, r: Tensor) -> None:
        """Begin a cycle from the residual ``r`` of ``x``."""
        k, batch = self.restart, r.shape[:-1]
        length = torch.as_tensor(norm(r), dtype=r.dtype, device=r.device).reshape(*batch, 1)
        self.basis = r.new_zeros((*batch, k + 1, r.shape[-1]))
        self.basis[..., 0, :] = r / torch.where(length == 0, 1.0, length)
        self.directions = self.basis[..., :k, :].clone() if self.flexible else r.new_zeros((*batch, 0))
        self.triangle = torch.eye(k, dtype=r.dtype, device=r.device).expand(*batch, k, k).clone()
        self.rotation = torch.eye(k + 1, dtype=r.dtype, device=r.device).expand(*batch, k + 1, k + 1).clone()
        self.projected = r.new_zeros((*batch, k + 1))
        self.projected[..., :1] = length
        self.count = 0
        if not self.cost:
            self._watch(squared_norm(r))

    def _iterate(self) -> None:
        if self.count == self.restart:
            self.x = self._current()
            self._begin(self.y - self._multiply(self.x))
        j = self.count
        direction = self.precondition(self.basis[..., j, :].contiguous())
        if self.flexible:
            self.directions[..., j, :] = direction
        w = self._multiply(direction)
        basis = self.basis[..., : j + 1, :]
        column = inners(basis, w)
        w = w - (basis.mT @ column.unsqueeze(-1)).squeeze(-1)
        again = inners(basis, w)  # twice is enough (Kahan)
        w = w - (basis.mT @ again.unsqueeze(-1)).squeeze(-1)
        below = torch.as_tensor(norm(w), dtype=w.dtype, device=w.device).reshape(*w.shape[:-1], 1)
        self.basis[..., j + 1, :] = w / torch.where(below == 0, 1.0, below)
        residual = self._rotate(j, column + again, below)
        self.count += 1
        self._watch(residual.item() ** 2 if not isinstance(self.active, Tensor) else residual**2)

    def _rotate(self, j: int, column: Tensor, below: Tensor) -> Tensor:
        """Bring a column of the Hessenberg matrix to triangular form, and return the norm of the residual."""
        rotated = (self.rotation[..., : j + 1, : j + 1] @ column.unsqueeze(-1)).squeeze(-1)
        top = rotated[..., j:]
        length = (top.abs() ** 2 + below.abs() ** 2).sqrt()
        safe = torch.where(length == 0, 1.0, length)
        c, s = top / safe, below / safe
        active = torch.as_tensor(self.active, device=column.device)
        still = torch.zeros_like(column)
        still[..., j] = 1.0  # of a stopped sample: an equation whose solution is zero
        rotated = torch.cat([rotated[..., :j], torch.where(length == 0, 1.0, length).to(c.dtype)], -1)
        self.triangle[..., : j + 1, j] = torch.where(active, rotated, still)
        row = self.rotation[..., j, : j + 2].clone()
        last = torch.zeros_like(row)
        last[..., j + 1] = 1.0
        self.rotation[..., j, : j + 2] = c.conj() * row + s * last
        self.rotation[..., j + 1, : j + 2] = -s * row + c * last
        old = self.projected[..., j : j + 1].clone()
        self.projected[..., j : j + 1] = torch.where(active, c.conj() * old, 0.0)
        self.projected[..., j + 1 : j + 2] = torch.where(active, -s * old, old)
        residual: Tensor = self.projected[..., j + 1 : j + 2].abs()
        return residual

    def _current(self) -> Tensor:
        k = self.count
        if not k:
            return self.x
        triangle, rhs = self.triangle[..., :k, :k], self.projected[..., :k].unsqueeze(-1)
        weights: Tensor = torch.linalg.solve_triangular(triangle, rhs, upper=True).mT
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
        self.count = 0
        super().finalize(show)

    def _vector_count(self) -> tuple[int, int]:
        return (2 if self.flexible else 1) * (self.restart + 1) + 3, 1
