"""Orthogonal matching pursuit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.optimization import _activeset  # noqa: F401  (it makes the equation known)
from torchlops.optimization._sparsesolver import SparseResult, SparseSolver
from torchlops.optimization.basesolver import Status
from torchlops.optimization.solver.vectors import Scalar, inner, inners, norm, ratio, squared_norm, where

_CHUNK = 256


class OMP(SparseSolver):
    r"""Orthogonal matching pursuit.

    .. math:: \min_x \|x\|_0 \quad \text{such that} \quad \|y - A x\| \le \sigma,

    greedily: each iteration takes the column :math:`j` with the largest :math:`|A^H r|_j` into the support, and
    solves the least-squares problem on it, :math:`x = \arg\min \|y - A_S x\|`. This is done exactly, by an orthogonal
    basis of the columns so far (Gram-Schmidt, twice), at the cost of one forward and one adjoint. Memory grows by a
    model and a data vector an iteration. With ``niter_inner=0`` it is matching pursuit, which only takes the part of
    the new column off the residual.

    See :class:`~torchlops.optimization.basesolver.Solver` for the arguments. Other than in PyLops 2.8, the first of
    equal columns is taken (not one by chance), the least-squares problems are solved exactly however many
    ``niter_inner``, and matching pursuit with ``normalizecols`` is one on normalised columns.

    With ``grad="implicit"`` derivatives are those of the least-squares solution on the support, also for matching
    pursuit run to its end; for a truncated one take ``"unroll"``.

    Source: Y. C. Pati, R. Rezaiifar and P. S. Krishnaprasad, Orthogonal matching pursuit, Asilomar Conf. on Signals,
    Systems and Computers (1993), 40-44.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]]))
        >>> x, niter, cost = OMP(A).solve(torch.tensor([[3.0, 0.0], [1.2, 1.6]]))
        >>> x
        tensor([[3., 0., 0.],
                [0., 0., 2.]])
    """

    equation = "on support"
    weight_name = "damp"
    keeps_complex = True
    vectors = ("r", "data_basis", "model_basis")
    scalars = ("rnorm", "limit")

    def setup(
        self,
        y: Any,
        niter_outer: int = 10,
        niter_inner: int = 40,
        sigma: float = 1e-4,
        normalizecols: bool = False,
        Opbasis: Any = None,
        optimal_coeff: bool = False,
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False,
        *,
        rtol: float = 0.0,
        rtol1: float = 0.0,
        x0: Any = None,  # noqa: ARG002  (there is no initial guess)
        damp: float = 0.0,
    ) -> Any:
        """Read the data, start, and return the first ``x``; arguments as in :meth:`solve`."""
        self.niter_inner, self.sigma, self.rtol, self.rtol1 = niter_inner, sigma, rtol, rtol1
        self.normalizecols, self.Opbasis, self.optimal_coeff = normalizecols, Opbasis, optimal_coeff
        return self._setup(y, None, damp, niter_outer, show)

    def solve(
        self,
        y: Any,
        niter_outer: int = 10,
        niter_inner: int = 40,
        sigma: float = 1e-4,
        normalizecols: bool = False,
        Opbasis: Any = None,
        optimal_coeff: bool = False,
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False,
        itershow: Sequence[int] = (10, 10, 10),
        *,
        rtol: float = 0.0,
        rtol1: float = 0.0,
    ) -> SparseResult:
        """Solve the problem.

        Args:
            y: Data, ``(*batch, *dimsd)`` or flattened.
            niter_outer: Most iterations, and thus most nonzeros.
            niter_inner: 0 for matching pursuit; all other numbers mean orthogonal matching pursuit.
            sigma: Stop a sample when the norm of its residual is not above this.
            normalizecols: Whether to choose columns by ``|A^H r|`` over their norms, which takes an application of
                the operator to each unit vector.
            Opbasis: Operator whose columns are normalised instead of those of ``Op``.
            optimal_coeff: For matching pursuit: whether to take the whole part along the column off the residual,
                which ``A^H r`` is for columns of norm 1 only.
            preallocate: Accepted and ignored.
            show: Whether to print a table.
            itershow: Which lines of it: the first, the last, and every so many between.
            rtol: Stop a sample when the norm of its residual is below this times the first.
            rtol1: The same, relative to the norm of the data.
        """
        if niter_inner == 0:
            self._refuse_implicit(y, 0.0, (), " for matching pursuit (niter_inner=0)")
        result: SparseResult = self._solve(
            y, None, show, itershow, damp=0.0, niter_outer=niter_outer, niter_inner=niter_inner, sigma=sigma,
            normalizecols=normalizecols, Opbasis=Opbasis, optimal_coeff=optimal_coeff, rtol=rtol, rtol1=rtol1,
        )  # fmt: skip
        return result

    def _start(self) -> None:
        self.r = self.y.clone()
        self.data_basis = self.y.new_zeros((*self.batch, 0, self.y.shape[-1]))
        self.model_basis = self.x.new_zeros((*self.batch, 0, self.x.shape[-1]))
        self.norms = self._column_norms() if self.normalizecols else None
        self.update = self.ynorm * 0
        self.limit = self.ynorm * max(self.rtol, self.rtol1)
        self.limit = where(self.limit > self.sigma, self.limit, self.sigma + 0 * self.ynorm)
        self._note()

    def _note(self) -> None:
        self.rnorm = norm(self.r)
        self.cost.append(self.rnorm)
        self.active = self.active & (self.rnorm > self.limit)

    def _iterate(self) -> None:
        c = self.adjoint(self.r)
        score = c.detach().abs()
        if self.norms is not None:
            score = torch.where(self.norms > 0, score / torch.where(self.norms > 0, self.norms, 1.0), 0.0)
        best = torch.nan_to_num(score).argmax(-1, keepdim=True)
        column = torch.zeros_like(self.x).scatter_(-1, best, 1.0)
        image = self.forward(column)
        if self.niter_inner == 0:
            factor = c.gather(-1, best)
            if self.optimal_coeff or self.normalizecols:
                factor = factor * ratio(1.0, squared_norm(image))
            factor = torch.where(_as_tensor(self.active, best).bool(), factor, 0.0)
            self.x, self.r = torch.add(self.x, factor * column), torch.sub(self.r, factor * image)
            return self._note()

        length = norm(image)
        for _ in range(2):
            along = inners(self.data_basis, image).unsqueeze(-2)
            image = image - (along @ self.data_basis).squeeze(-2)
            column = column - (along @ self.model_basis).squeeze(-2)
        left = norm(image)
        # A residual that is orthogonal to all other columns is as small as it gets.
        new = self.active & (left > 1e3 * torch.finfo(self.x.dtype).eps * length)
        self.active = new
        scaling = where(new, ratio(1.0 + 0 * left, left), 0.0 * left)
        image, column = image * scaling, column * scaling
        self.data_basis = torch.cat([self.data_basis, image.unsqueeze(-2)], -2)
        self.model_basis = torch.cat([self.model_basis, column.unsqueeze(-2)], -2)
        factor = inner(image, self.r)
        self.x, self.r = torch.add(self.x, factor * column), torch.sub(self.r, factor * image)
        return self._note()

    def _column_norms(self) -> Tensor:
        """Return the norm of each column, ``(*batch, n)`` or broadcasting against it."""
        from torchlops.torchoperator import aslinearoperator

        A = self.Op if self.Opbasis is None else aslinearoperator(self.Opbasis)
        columns, parts = A.shape[1], []
        with torch.no_grad():
            for first in range(0, columns, _CHUNK):
                count = min(_CHUNK, columns - first)
                unit = torch.zeros(count, columns, dtype=self._model_dtype, device=self.y.device)
                unit[torch.arange(count), first + torch.arange(count)] = 1.0
                image = A.apply_nd(unit.reshape(count, *(1,) * len(self.batch), *A.dims), False)
                parts.append(image.flatten(image.ndim - len(A.dimsd)).norm(dim=-1))
            norms = torch.cat(parts).movedim(0, -1)
        return norms if norms.shape[-1] == self.x.shape[-1] else norms.repeat_interleave(2, -1)

    def _accuracy(self) -> Scalar:
        return ratio(self.rnorm * 0, self.rnorm)

    def _columns(self) -> dict[str, Scalar]:
        return {"r2norm": self.cost[-1]}

    def _option_text(self) -> str:
        return f"sigma = {self.sigma}\tniter_inner = {self.niter_inner}\tnormalizecols = {self.normalizecols}"


def _as_tensor(value: Scalar, like: Tensor) -> Tensor:
    return torch.as_tensor(value, device=like.device)


__all__ = ["OMP", "Status"]
