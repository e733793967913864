"""Multiplication by a matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchlops.algebra import conjugate
from torchlops.arrays import DType
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims, accept_pylops_options, as_dims


class MatrixMult(LinearOperator):
    r"""Multiplication by a matrix, :math:`y = A x` and :math:`A^H y`, dense or sparse.

    Args:
        A: The matrix ``(M, N)``: an array, a tensor, or a SciPy sparse matrix. A sparse one keeps its stored
            entries as the tensor ``values``, which can learn; the others are the tensor ``A``.
        otherdims: Further axes of the model, on each of which the matrix acts alike: models are
            ``(N, *otherdims)``, data ``(M, *otherdims)``.
        forceflat: See :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Label of the operator; that of the matrix by default. (PyLops labels float64 whatever ``A`` is.)
        name: A name for errors.

    Raises:
        ValueError: when ``A`` is not a matrix.

    Example:
        >>> A = MatrixMult(torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
        >>> A(torch.tensor([1.0, 1.0])), A.H(torch.tensor([1.0, 1.0]))
        (tensor([3., 3.]), tensor([1., 5.]))
    """

    A: Tensor
    values: Tensor
    rows: Tensor
    columns: Tensor

    def __init__(
        self,
        A: Any,
        otherdims: Dims | None = None,
        forceflat: bool | None = None,
        dtype: DType | None = None,
        name: str = "M",
    ) -> None:
        accept_pylops_options(forceflat=forceflat)
        if len(A.shape) != 2:
            raise ValueError(f"MatrixMult takes a matrix (rows, columns), got an array of shape {tuple(A.shape)}")
        other = () if otherdims is None else as_dims(otherdims, "otherdims")
        super().__init__((A.shape[1], *other), (A.shape[0], *other), dtype=dtype, name=name)
        self.sparse = hasattr(A, "tocoo")
        if self.sparse:
            entries = A.tocsr().tocoo()
            self._register("values", entries.data)
            self.register_buffer("rows", torch.from_numpy(entries.row.astype("int64")))
            self.register_buffer("columns", torch.from_numpy(entries.col.astype("int64")))
        else:
            self._register("A", A)

    def _forward(self, x: Tensor) -> Tensor:
        return self._multiply(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._multiply(y, True)

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:
        other = self.dims[1:]
        if other:  # the matrix acts on the first axis of the model: bring it last, then back
            x = x.movedim(-len(self.dims), -1)
        y = self._multiply_sparse(x, adjoint) if self.sparse else self._multiply_dense(x, adjoint)
        return y.movedim(-1, -len(self.dims)).contiguous() if other else y

    def _multiply_dense(self, x: Tensor, adjoint: bool) -> Tensor:
        matrix = self.A.mH if adjoint else self.A
        dtype = torch.promote_types(x.dtype, matrix.dtype)
        x, matrix = x.to(dtype), matrix.to(dtype)
        if x.ndim == 1:
            return torch.mv(matrix, x)
        return torch.matmul(x, matrix.mT)

    def _multiply_sparse(self, x: Tensor, adjoint: bool) -> Tensor:
        gathered, scattered = (self.rows, self.columns) if adjoint else (self.columns, self.rows)
        values = conjugate(self.values) if adjoint else self.values
        batch = x.shape[:-1]
        products = x.gather(-1, gathered.expand((*batch, -1))) * values
        y = products.new_zeros((*batch, self.dims[0] if adjoint else self.dimsd[0]))
        return y.scatter_add(-1, scattered.expand(products.shape), products)

    def inv(self) -> Any:
        """Return the inverse matrix: a tensor, or a SciPy sparse matrix where the operator is sparse."""
        if not self.sparse:
            return torch.linalg.inv(self.A)
        from scipy.sparse import csc_matrix
        from scipy.sparse.linalg import inv

        entries = (self.rows.cpu().numpy(), self.columns.cpu().numpy())
        return inv(csc_matrix((self.values.detach().cpu().numpy(), entries), shape=(self.dimsd[0], self.dims[0])))

    def _inverse(self, y: Tensor) -> Tensor:
        if self.sparse or self.shape[0] != self.shape[1]:
            raise NotImplementedError(f"{self.name_and_type}: only a square dense matrix knows its inverse")
        axis = -len(self.dims)
        dtype = torch.promote_types(y.dtype, self.A.dtype)
        data = y.movedim(axis, -1).to(dtype).unsqueeze(-1)
        solution: Tensor = torch.linalg.solve(self.A.to(dtype), data).squeeze(-1)
        return solution.movedim(-1, axis).contiguous()

    def extra_repr(self) -> str:
        return f"{self.dimsd[0]}x{self.dims[0]}" + (", sparse" if self.sparse else "")
