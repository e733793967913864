"""Orthogonal matching pursuit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.problem import Problem
from torchlops.optimization.solver.solver import Solver
from torchlops.optimization.solver.state import WORK, State, Status
from torchlops.optimization.solver.vectors import (
    Scalar,
    combination,
    inner,
    maximum,
    negate,
    norm,
    orthogonalized,
    ratio,
    squared_norm,
    where,
)
from torchlops.optimization.sparse.sparsesolver import SIGMA, tolerance, vectors_of
from torchlops.torchoperator import aslinearoperator

_CHUNK = 256


@dataclass(kw_only=True)
class OMPState(State):
    """The state of matching pursuits.

    Attributes:
        r: The residual.
        data_basis, model_basis: Orthonormal combinations of the columns so far, and their models, ``(*batch, k, n)``.
        norms: Norms of the columns by which they are chosen.
        limit: Up to which the norm of the residual is small.
    """

    r: Tensor = field(metadata=WORK)
    data_basis: Tensor = field(metadata=WORK)
    model_basis: Tensor = field(metadata=WORK)
    norms: Tensor | None
    limit: Scalar


@dataclass(frozen=True, eq=False)
class OMP(Solver[OMPState]):
    r"""Orthogonal matching pursuit.

    .. math:: \min_x \|x\|_0 \quad \text{such that} \quad \|y - A x\| \le \sigma,

    greedily: each iteration takes the column :math:`j` with the largest :math:`|A^H r|_j` into the support, and
    solves the least-squares problem on it, :math:`x = \arg\min \|y - A_S x\|`. This is done exactly, by an orthogonal
    basis of the columns so far (Gram-Schmidt, twice), at the cost of one forward and one adjoint. Memory grows by a
    model and a data vector per iteration. With ``niter_inner=0`` it is matching pursuit, which only takes the part of
    the new column off the residual.

    Unlike PyLops 2.8, the first of equal columns is taken (not a random one), the least-squares problems are solved
    exactly however many ``niter_inner``, and matching pursuit with ``normalizecols`` is one on normalised columns. A
    residual that is orthogonal to all columns, and larger than :math:`\sigma`, fails with the status ``UNREACHABLE``.

    With ``grad="implicit"`` derivatives are those of the least-squares solution on the support. Matching pursuit has
    those of its iterations only (``grad="unroll"``).

    Args:
        niter_inner: 0 for matching pursuit; all other numbers mean orthogonal matching pursuit.
        sigma: Stop a sample when the norm of its residual is not above this; by default 1e-4 times the norm of
            the data.
        rtol: Stop a sample when the norm of its residual is not above this times that of the data.
        rtol1: The same, as there is no initial guess.
        normalizecols: Whether to choose columns by ``|A^H r|`` over their norms, which takes an application of the
            operator to each unit vector.
        Opbasis: Operator whose columns are normalised instead of those of ``Op``.
        optimal_coeff: For matching pursuit: whether to take the whole part along the column off the residual, which
            ``A^H r`` is for columns of norm 1 only.

    Source: Y. C. Pati, R. Rezaiifar and P. S. Krishnaprasad, Orthogonal matching pursuit, Asilomar Conf. on Signals,
    Systems and Computers (1993), 40-44.
    """

    niter_inner: int = 40
    sigma: Any = SIGMA
    rtol: float = 0.0
    rtol1: float = 0.0
    normalizecols: bool = False
    Opbasis: LinearOperator | None = None
    optimal_coeff: bool = False

    keeps_complex = True
    vectors = (3, 3)

    def __post_init__(self) -> None:
        if self.Opbasis is not None:
            object.__setattr__(self, "Opbasis", aslinearoperator(self.Opbasis))

    def start(self, problem: Problem) -> OMPState:
        y, x = problem.y, problem.x
        ynorm = norm(y)
        state = OMPState(
            x=x, cost=ynorm, r=y.clone(),
            data_basis=y.new_zeros((*problem.batch, 0, y.shape[-1])),
            model_basis=x.new_zeros((*problem.batch, 0, x.shape[-1])),
            norms=self._column_norms(problem) if self.normalizecols else None,
            limit=maximum(max(self.rtol, self.rtol1) * ynorm, tolerance(problem, self.sigma, "sigma", ynorm)),
        )  # fmt: skip
        state.go_on(ynorm > state.limit)
        return state

    def iterate(self, problem: Problem, state: OMPState) -> None:
        s = state
        c = problem.adjoint(s.r)
        score = c.detach().abs()
        if s.norms is not None:
            score = ratio(score, s.norms)
        best = torch.nan_to_num(score).argmax(-1, keepdim=True)
        column = torch.zeros_like(s.x).scatter_(-1, best, 1.0)
        image = problem.forward(column)
        if self.niter_inner == 0:
            factor = c.gather(-1, best)
            if self.optimal_coeff or self.normalizecols:
                factor = factor * ratio(1.0, squared_norm(image))
            self._add(s, where(s.active, factor, 0.0 * factor), column, image)
            return
        length = norm(image)
        image, along = orthogonalized(image, s.data_basis)
        column = column - combination(s.model_basis, along)
        left = norm(image)
        new = left > 1e3 * problem.rounding * length  # not so, the residual is orthogonal to all other columns
        s.stop(negate(new), Status.UNREACHABLE)
        scaling = where(s.active, ratio(1.0 + 0 * left, left), 0.0 * left)
        image, column = image * scaling, column * scaling
        s.data_basis = torch.cat([s.data_basis, image.unsqueeze(-2)], -2)
        s.model_basis = torch.cat([s.model_basis, column.unsqueeze(-2)], -2)
        self._add(s, inner(image, s.r), column, image)

    def _add(self, s: OMPState, factor: Scalar, column: Tensor, image: Tensor) -> None:
        """Add a part to the solution, and stop the samples whose residual is small."""
        s.x, s.r = s.x + factor * column, s.r - factor * image
        s.cost = norm(s.r)
        s.go_on(s.cost > s.limit)

    def moved(self, problem: Problem, state: OMPState, x: Tensor) -> None:
        state.x, state.r = x, problem.y - problem.forward(x)

    def _column_norms(self, problem: Problem) -> Tensor:
        """Return the norm of each column, ``(*batch, n)`` or broadcasting against it."""
        operator = vectors_of(problem)
        A = operator.A if self.Opbasis is None else self.Opbasis
        columns, parts = A.shape[1], []
        with torch.no_grad():
            for first in range(0, columns, _CHUNK):
                count = min(_CHUNK, columns - first)
                unit = torch.eye(count, columns, dtype=operator.model_dtype, device=problem.y.device).roll(first, -1)
                image = A.apply_nd(unit.reshape(count, *(1,) * len(problem.batch), *A.dims), False)
                parts.append(torch.as_tensor(norm(image.flatten(image.ndim - len(A.dimsd)))).squeeze(-1))
            norms = torch.cat(parts).movedim(0, -1)
        return norms if norms.shape[-1] == problem.x.shape[-1] else norms.repeat_interleave(2, -1)

    def accuracy(self, problem: Problem, state: OMPState) -> Scalar:  # noqa: ARG002
        return ratio(state.cost * 0, state.cost)  # what it finds is exact on its support, however small that is

    def option_text(self, problem: Problem) -> str:  # noqa: ARG002
        return f"sigma = {self.sigma}\tniter_inner = {self.niter_inner}\tnormalizecols = {self.normalizecols}"
