"""An operator as a Hermitian matrix on vectors, whose eigenvalues also give singular values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.hidden import refuse_tensors_of_transforms
from torchlops.optimization.implicit.rebind import own_tensors, rebound
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.torch_internals import is_plain_eager


class Hermitian(LinearOperator):
    """An operator as a Hermitian matrix on vectors: ``A`` itself or, with ``doubled``, ``[[0, A], [A^H, 0]]``."""

    def __init__(self, A: LinearOperator, doubled: bool = False, as_pairs: bool = False) -> None:
        flat = VectorOperator(A, as_pairs=as_pairs)
        super().__init__(flat.rows + flat.columns if doubled else flat.columns, dtype=flat.dtype, name=A.name_and_type)
        theta = own_tensors([A])
        (self.A,) = rebound([A], theta, theta)  # it keeps these tensors, whatever A holds when a derivative is taken
        self.as_pairs = as_pairs
        refuse_tensors_of_transforms([self.A])
        self.rows = flat.rows if doubled else 0
        """Length of the data vectors; 0 if the matrix is not doubled."""

    @property
    def flat(self) -> VectorOperator:
        """The operator on flat vectors."""
        return VectorOperator(self.A, as_pairs=self.as_pairs)

    def _forward(self, x: Tensor) -> Tensor:
        flat = self.flat
        if not self.rows:
            return flat.forward(x)
        u, v = torch.split(x, [flat.rows, flat.columns], -1)
        return torch.cat([flat.forward(v), flat.adjoint(u)], -1)

    _adjoint = _forward

    def _given_tensors(self) -> list[Tensor]:
        return []  # the vectors may be real although the tensors are complex

    def with_tensors(self, theta: Sequence[Tensor]) -> Hermitian:
        """Return the operator with other tensors."""
        return rebound([self], own_tensors([self]), theta)[0]


def all_known(rows: int, values: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return all known pairs: the given ones and, for a doubled matrix with ``rows`` data, their counterparts."""
    if not rows:
        return values, vectors
    u, v = torch.split(vectors, [rows, vectors.shape[-1] - rows], -1)
    return torch.cat([values, -values], -1), torch.cat([vectors, torch.cat([u, -v], -1)], -2)


def may_be_differentiated(A: LinearOperator) -> bool:
    """Whether derivatives with respect to the tensors of ``A`` may be requested."""
    wants = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in A._all_tensors())
    return wants or not is_plain_eager()
