"""All eigenpairs and singular triplets of a small operator, from its matrix.

Their derivatives are those of ``derivatives.py``, and not those of ``torch.linalg``, which are infinite where values
are equal.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.spectral.derivatives import Hermitian, differentiable_pairs, may_be_differentiated
from torchlops.optimization.spectral.golub_kahan import differentiable_triplets, singular_values
from torchlops.optimization.spectral.matrices import dense_matrix, must_be_hermitian
from torchlops.optimization.spectral.results import Eigenpairs, SingularTriplets


def dense_eigenpairs(A: LinearOperator, used: Sequence[int] | None = None) -> Eigenpairs:
    """Return all eigenpairs of a Hermitian operator, smallest first.

    Args:
        A: The operator.
        used: The places of the pairs that are asked for, all by default.
    """

    def compute(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor]:
        _must_be_hermitian(flat.A)
        values, vectors = torch.linalg.eigh(dense_matrix(flat.A))
        return values, vectors.mT, torch.ones_like(values, dtype=torch.bool)

    values, vectors, converged = differentiable_pairs(Hermitian(A), compute, used)
    return Eigenpairs(values, vectors.mT, converged)


def dense_eigenvalues(A: LinearOperator, used: Sequence[int] | None = None) -> Tensor:
    """Return all eigenvalues of a Hermitian operator, smallest first."""
    if may_be_differentiated(A):
        return dense_eigenpairs(A, used).eigenvalues
    _must_be_hermitian(A)
    values: Tensor = torch.linalg.eigvalsh(dense_matrix(A))
    return values


def dense_triplets(A: LinearOperator, used: Sequence[int] | None = None) -> SingularTriplets:
    """Return all singular triplets, largest first."""
    return differentiable_triplets(A, _triplets, used)


def dense_singular_values(A: LinearOperator, used: Sequence[int] | None = None) -> Tensor:
    """Return all singular values, largest first; those of the real matrix where there is no complex one."""
    if may_be_differentiated(A):
        return singular_values(A, _triplets, used)[0]
    values: Tensor = torch.linalg.svdvals(dense_matrix(A))
    return values


def _triplets(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    U, S, Vh = torch.linalg.svd(dense_matrix(flat.A), full_matrices=False)
    return S, U.mT, Vh.conj(), torch.ones_like(S, dtype=torch.bool)


def _must_be_hermitian(A: LinearOperator) -> None:
    must_be_hermitian(A, "eigh", "take linalg.eigvals, or its singular values")
