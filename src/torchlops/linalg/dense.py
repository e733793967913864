"""The matrix of a small operator, with its eigenpairs, singular triplets and determinant.

The derivatives of pairs and triplets come from ``derivatives.py``. Those of ``torch.linalg`` are infinite for equal
values. ``torch.linalg.slogdet`` and ``eigvals`` lose tangents in nested forward mode (seen in torch 2.13), so they are
not used there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from torchlops.arrays import complex_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.tangents import constant, without_tangent
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.spectral.derivatives import differentiable_pairs
from torchlops.optimization.spectral.golub_kahan import Found, differentiable_triplets
from torchlops.optimization.spectral.hermitian import Hermitian, may_be_differentiated
from torchlops.optimization.spectral.matrices import must_be_hermitian
from torchlops.optimization.spectral.results import Eigenpairs, SingularTriplets
from torchlops.torch_internals import count_forward_levels

Method: TypeAlias = Literal["dense", "iterative"] | None

DENSE_UP_TO = {"solve": 3000, "values": 2000, "vectors": 1200}
"""Numbers of unknowns up to which the matrix of an operator is formed. Each takes a second or two on one core.

``"solve"`` stands for an LU decomposition, ``"values"`` for singular values and eigenvalues of Hermitian operators, and
``"vectors"`` for all singular vectors, pseudo-inverses, and eigenvalues of other operators. The number of unknowns of
an ``m`` by ``n`` matrix counts as the cube root of ``m n min(m, n)``.
"""

_MOST_ENTRIES = 2**24


def is_dense(A: LinearOperator, method: Method, what: str, niter: int | None = None) -> bool:
    """Whether to form the matrix of ``A``. ``what`` is a key of :data:`DENSE_UP_TO`; ``niter`` asks to iterate."""
    if method not in ("dense", "iterative", None):
        raise ValueError(f"method must be 'dense', 'iterative' or None, got {method!r}")
    if niter is not None and method == "dense":
        raise ValueError(f"method='dense' takes no niter, got {niter}")
    if method is not None or niter is not None:
        return method == "dense"
    entries = math.prod(A.shape)
    return entries * min(A.shape) <= DENSE_UP_TO[what] ** 3 and entries <= _MOST_ENTRIES


def dense_matrix(A: LinearOperator, dtype: torch.dtype | None = None) -> Tensor:
    """Return the differentiable matrix of ``A``, in at least single precision.

    For an operator that is only real-linear, it is the real matrix that acts on real and imaginary parts.

    Args:
        A: The operator.
        dtype: Data type of its data; by default that of the operator.
    """
    flat = VectorOperator(A, dtype, as_pairs=not A.clinear)
    if A.clinear:
        matrix: Tensor = A.todense(backend="torch").to(flat.dtype)
        return matrix
    return flat.forward(torch.eye(flat.columns, dtype=flat.dtype, device=flat.device)).mT


def dense_eigenpairs(A: LinearOperator, used: Sequence[int] | None = None) -> Eigenpairs:
    """Return all eigenpairs of a Hermitian operator in ascending order.

    Args:
        A: The operator.
        used: Indices of the requested pairs; all by default.
    """

    def compute(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor]:
        _must_be_hermitian(flat.A)
        values, vectors = torch.linalg.eigh(dense_matrix(flat.A))
        return values, vectors.mT, torch.ones_like(values, dtype=torch.bool)

    values, vectors, converged = differentiable_pairs(Hermitian(A), compute, used)
    return Eigenpairs(values, vectors.mT, converged)


def dense_eigenvalues(A: LinearOperator, used: Sequence[int] | None = None) -> Tensor:
    """Return all eigenvalues of a Hermitian operator in ascending order."""
    if may_be_differentiated(A):
        return dense_eigenpairs(A, used).eigenvalues
    _must_be_hermitian(A)
    values: Tensor = torch.linalg.eigvalsh(dense_matrix(A))
    return values


def dense_triplets(A: LinearOperator, used: Sequence[int] | None = None) -> SingularTriplets:
    """Return all singular triplets in descending order; those of the real matrix if there is no complex one."""

    def compute(flat: VectorOperator) -> Found:
        U, S, Vh = torch.linalg.svd(dense_matrix(flat.A), full_matrices=False)
        return S, U.mT, Vh.conj(), torch.ones_like(S, dtype=torch.bool)

    return differentiable_triplets(A, compute, used)


def dense_singular_values(A: LinearOperator, used: Sequence[int] | None = None) -> Tensor:
    """Return all singular values in descending order; those of the real matrix if there is no complex one."""
    if may_be_differentiated(A):
        return dense_triplets(A, used).S
    values: Tensor = torch.linalg.svdvals(dense_matrix(A))
    return values


def dense_eigvals(matrix: Tensor) -> Tensor:
    r"""Return the eigenvalues of a matrix, as complex numbers in no particular order.

    In forward mode, tangents are stripped first. One step of Newton's method per active forward level restores them
    (see ``derivatives.py``), for :math:`V^{-1} A V (I + X) = (I + X) \Lambda`, with the eigenvectors :math:`V` of the
    constant matrix.
    """
    levels = count_forward_levels()
    if not levels:
        every: Tensor = torch.linalg.eigvals(matrix)
        return every
    matrix = matrix.to(complex_dtype(matrix.dtype))
    values, V = _eig(without_tangent(matrix))
    B, inverse_gaps = torch.linalg.inv(V) @ matrix @ V, _inverse_gaps(values)
    X, new = torch.zeros_like(B), values
    unit = torch.eye(B.shape[-1], dtype=B.dtype, device=B.device)
    for _ in range(levels):
        R = B @ (unit + X) - (unit + X) * new.unsqueeze(-2)
        R = R - constant(R)
        new, X = new + R.diagonal(dim1=-2, dim2=-1), X + inverse_gaps * R
    result: Tensor = new
    return result


def _inverse_gaps(values: Tensor) -> Tensor:
    gaps = values.unsqueeze(-2) - values.unsqueeze(-1)
    return torch.where(gaps == 0, 0.0, 1.0 / torch.where(gaps == 0, 1.0, gaps))


class _Eig(torch.autograd.Function):
    r"""Eigenvalues and eigenvectors, for functions that do not depend on the norms of the eigenvectors.

    .. math:: \dot\Lambda_{ii} = (V^{-1} \dot A V)_{ii}, \qquad
        (V^{-1} \dot V)_{ij} = (V^{-1} \dot A V)_{ij} / (\lambda_j - \lambda_i), \quad i \ne j

    The rules of ``torch.linalg.eig`` write in place, and give NaN if modes are nested (torch 2.13). In forward mode,
    the results are constants.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(matrix: Tensor) -> tuple[Tensor, Tensor]:
        values, V = torch.linalg.eig(matrix)
        return values, V

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG004
        ctx.save_for_backward(*output)
        ctx.save_for_forward(*output)

    @staticmethod
    def backward(ctx: Any, of_values: Tensor, of_vectors: Tensor) -> Tensor:
        values, V = ctx.saved_tensors
        inside = torch.diag_embed(of_values) + V.mH @ of_vectors * _inverse_gaps(values).conj()
        gradient: Tensor = torch.linalg.inv(V).mH @ inside @ V.mH
        return gradient

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG004
        return tuple(torch.zeros_like(tensor) for tensor in ctx.saved_tensors)


_eig: Any = _Eig.apply


def dense_slogdet(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sign (or phase) of the determinant of a matrix, and the logarithm of its modulus."""
    lu, pivots, _ = torch.linalg.lu_factor_ex(matrix)
    diagonal = lu.diagonal(dim1=-2, dim2=-1)
    exchanged = pivots != torch.arange(1, pivots.shape[-1] + 1, device=pivots.device)
    parity = 1 - 2 * (exchanged.sum(-1) % 2)
    return parity * diagonal.sgn().prod(-1), diagonal.abs().log().sum(-1)


def _must_be_hermitian(A: LinearOperator) -> None:
    must_be_hermitian(A, "eigh", "use linalg.eigvals, or singular values")
