"""Norms, singular values and eigenvalues."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from torchlops.linalg.dense import (
    DENSE_UP_TO,
    Method,
    dense_eigenpairs,
    dense_eigenvalues,
    dense_eigvals,
    dense_matrix,
    dense_singular_values,
    dense_triplets,
    is_dense,
)
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.spectral.golub_kahan import differentiable_triplets, golub_kahan, operator_norm, triplets
from torchlops.optimization.spectral.lanczos import lanczos
from torchlops.optimization.spectral.matrices import at_most, clinear, square
from torchlops.optimization.spectral.restarts import Wanted
from torchlops.optimization.spectral.results import Eigenpairs, SingularTriplets
from torchlops.torchoperator import aslinearoperator

_ROUNDS = 20
"""Default number of rounds of an iteration for singular values and eigenvalues: about 5,000 steps."""

Moduli: TypeAlias = Literal["LM", "SM"]
"""The largest or the smallest singular values."""
Ends: TypeAlias = Literal["LA", "SA"]
"""The largest or the smallest eigenvalues."""
Order: TypeAlias = Literal["fro", "nuc", 1, -1, 2, -2] | float | None


# -- norms and singular values --------------------------------------------------------------------------------


def norm(A: LinearOperator, ord: Order = None, *, method: Method = None, niter: int | None = None) -> Tensor:
    r"""Return a norm of the matrix of an operator.

    Args:
        A: The operator.
        ord: Order of the norm. ``2``, the spectral norm, and ``-2``, the smallest singular value, support operators of
            any size, including operators that are only real-linear. The other norms need the matrix: ``"fro"`` or None,
            the Frobenius norm (the default, as in ``torch.linalg``); ``"nuc"``, the sum of the singular values; ``1``
            and ``inf``, the maximum absolute column and row sum, ``-1`` and ``-inf``, the minimum.
        niter: Maximum number of rounds of the iteration, each of which doubles its basis or restarts; 20 by default.
        method: See :mod:`torchlops.linalg`. Norms that need the matrix raise beyond the limit, unless the method is
            ``"dense"``. The square of the Frobenius norm can be estimated by ``estimate_trace(A.H @ A)``.

    Example:
        >>> import torchlops
        >>> A = torchlops.Diagonal(torch.tensor([3.0, -4.0]))
        >>> norm(A), norm(A, 2)
        (tensor(5.), tensor(4.))
    """
    A = aslinearoperator(A)
    if ord not in (None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ValueError(f"norm: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf, -inf or None, got {ord!r}")
    if ord in (2, -2):
        if is_dense(A, method, "values", niter):
            place = 0 if ord == 2 else -1
            return dense_singular_values(A, (place,))[place]
        return operator_norm(A, niter or _ROUNDS) if ord == 2 else _smallest_singular_value(A, "norm", niter)
    clinear(A, f"norm of order {ord}")
    _must_be_dense(A, method, "values", f"norm of order {ord}")
    if ord == "nuc":
        return dense_singular_values(A).sum()
    value: Tensor = torch.linalg.matrix_norm(dense_matrix(A), "fro" if ord is None else ord)
    return value


def cond(A: LinearOperator, *, method: Method = None, niter: int | None = None) -> Tensor:
    """Return the condition number, the ratio of the largest to the smallest singular value.

    For an operator that is only real-linear, it is that of its real matrix. It is infinite if the smallest singular
    value is zero to rounding: smaller than the largest one times the machine epsilon times the larger size.

    Args:
        A: The operator.
        method: See :mod:`torchlops.linalg`.
        niter: Maximum number of rounds of the iteration, as in :func:`norm`. Many are needed if the smallest singular
            value is many orders of magnitude below the largest.

    Example:
        >>> import torchlops
        >>> cond(torchlops.Diagonal(torch.tensor([1.0, 10.0])))
        tensor(10.)
    """
    A = aslinearoperator(A)
    if is_dense(A, method, "values", niter):
        values = dense_singular_values(A, (0, -1))
        largest, smallest = values[0], values[-1]
    else:
        largest, smallest = operator_norm(A, niter or _ROUNDS), _smallest_singular_value(A, "cond", niter)
    regular = smallest > max(A.shape) * torch.finfo(smallest.dtype).eps * largest
    return torch.where(regular, largest / torch.where(regular, smallest, 1.0), math.inf)


def _smallest_singular_value(A: LinearOperator, name: str, niter: int | None) -> Tensor:
    wanted = Wanted(f"linalg.{name}", 1, "SM", niter or _ROUNDS, looks_for_copies=False)
    return differentiable_triplets(A, lambda flat: triplets(flat, wanted)).S[0]


def svdvals(
    A: LinearOperator, k: int | None = None, which: Moduli = "LM", *, method: Method = None, niter: int | None = None
) -> Tensor:
    """Return singular values in descending order.

    Args:
        A: The operator.
        k: Number of singular values; all by default, which needs the matrix.
        which: ``"LM"`` for the largest, ``"SM"`` for the smallest.
        method: See :mod:`torchlops.linalg`.
        niter: Maximum number of rounds of the iteration, as in :func:`norm`.

    Example:
        >>> import torchlops
        >>> svdvals(torchlops.Diagonal(torch.tensor([3.0, -4.0])))
        tensor([4., 3.])
    """
    A = clinear(A, "svdvals")
    count, places = _places(A, k, which, "LM", method, "values", "svdvals", niter)
    if places is None:
        return golub_kahan(A, count, which, niter or _ROUNDS).S
    return dense_singular_values(A, places)[places.start : places.stop]


def svd(
    A: LinearOperator, k: int | None = None, which: Moduli = "LM", *, method: Method = None, niter: int | None = None
) -> SingularTriplets:
    """Return singular triplets, which unpack as ``(U, S, Vh)``, like ``torch.linalg.svd(A, full_matrices=False)``.

    The arguments are those of :func:`svdvals`. The signs or phases of the vectors are arbitrary, and constant in
    derivatives. The vectors of equal singular values have no derivatives; a warning is issued.

    Example:
        >>> import torchlops
        >>> U, S, Vh = svd(torchlops.Diagonal(torch.tensor([3.0, -4.0])))
        >>> torch.allclose((U * S) @ Vh, torch.diag(torch.tensor([3.0, -4.0])), atol=1e-6)
        True
    """
    A = clinear(A, "svd")
    count, places = _places(A, k, which, "LM", method, "vectors", "svd", niter)
    if places is None:
        return golub_kahan(A, count, which, niter or _ROUNDS)
    found, part = dense_triplets(A, places), slice(places.start, places.stop)
    return SingularTriplets(found.U[:, part], found.S[part], found.Vh[part], found.converged[part])


# -- eigenvalues ----------------------------------------------------------------------------------------------


def eigvalsh(
    A: LinearOperator, k: int | None = None, which: Ends = "LA", *, method: Method = None, niter: int | None = None
) -> Tensor:
    """Return eigenvalues of a Hermitian operator in ascending order.

    Args:
        A: The operator. Raises if it is not Hermitian.
        k: Number of eigenvalues; all by default, which needs the matrix.
        which: ``"LA"`` for the largest, ``"SA"`` for the smallest.
        method: See :mod:`torchlops.linalg`.
        niter: Maximum number of rounds of the iteration, as in :func:`norm`.

    Example:
        >>> import torchlops
        >>> eigvalsh(torchlops.Diagonal(torch.tensor([3.0, -4.0])))
        tensor([-4.,  3.])
    """
    A = square(A, "eigvalsh")
    count, places = _places(A, k, which, "SA", method, "values", "eigvalsh", niter)
    if places is None:
        return _lanczos(A, count, which, niter or _ROUNDS).eigenvalues
    return dense_eigenvalues(A, places)[places.start : places.stop]


def eigh(
    A: LinearOperator, k: int | None = None, which: Ends = "LA", *, method: Method = None, niter: int | None = None
) -> Eigenpairs:
    """Return eigenpairs of a Hermitian operator in ascending order, which unpack as ``(eigenvalues, eigenvectors)``.

    The arguments are those of :func:`eigvalsh`. The remarks on vectors in :func:`svd` apply here as well.

    Example:
        >>> import torchlops
        >>> values, vectors = eigh(torchlops.Diagonal(torch.tensor([3.0, -4.0])))
        >>> values, vectors.abs()
        (tensor([-4.,  3.]), tensor([[0., 1.],
                [1., 0.]]))
    """
    A = square(A, "eigh")
    count, places = _places(A, k, which, "SA", method, "vectors", "eigh", niter)
    if places is None:
        return _lanczos(A, count, which, niter or _ROUNDS)
    found, part = dense_eigenpairs(A, places), slice(places.start, places.stop)
    return Eigenpairs(found.eigenvalues[part], found.eigenvectors[:, part], found.converged[part])


def _lanczos(A: LinearOperator, count: int, which: Ends, niter: int) -> Eigenpairs:
    found = lanczos(A, count, which, niter)
    if which == "SA":
        return found
    return Eigenpairs(found.eigenvalues.flip(0), found.eigenvectors.flip(-1), found.converged.flip(0))


def eigvals(A: LinearOperator, *, method: Method = None) -> Tensor:
    """Return all eigenvalues of a square operator, as complex numbers in no particular order.

    The matrix is needed. If it is defective, or close to that, the derivatives are infinite, or large and inexact.

    Args:
        A: The operator.
        method: See :mod:`torchlops.linalg`. There is no iterative method, so an operator beyond the limit raises unless
            the method is ``"dense"``. (``A.eigs(k)`` computes some eigenvalues, without derivatives.)

    Example:
        >>> import torchlops
        >>> eigvals(torchlops.MatrixMult(torch.tensor([[0.0, -1.0], [1.0, 0.0]]))).imag.sort()[0]
        tensor([-1.,  1.])
    """
    A = square(A, "eigvals")
    _must_be_dense(A, method, "vectors", "eigvals")
    return dense_eigvals(dense_matrix(A))


def _places(
    A: LinearOperator, k: int | None, which: str, first: str, method: Method, what: str, name: str, niter: int | None
) -> tuple[int, range | None]:
    """Return how many values are requested, and their indices in the order of ``first``: None to iterate."""
    known = ("LM", "SM") if first == "LM" else ("LA", "SA")
    if which not in known:
        raise ValueError(f"{name}: which must be {known[0]!r} or {known[1]!r}, got {which!r}")
    size = min(A.shape)
    count = size if k is None else at_most(k, size, f"{name}: k")
    if not is_dense(A, method, what, niter):
        if k is None:
            raise ValueError(
                f"{name} of all values needs the matrix of {A.name_and_type}, {A.shape}, which exceeds the limit of "
                f"{DENSE_UP_TO[what]} unknowns: pass k, or method='dense'"
            )
        return count, None
    return count, range(count) if which == first else range(size - count, size)


def _must_be_dense(A: LinearOperator, method: Method, what: str, name: str) -> None:
    if not is_dense(A, method, what):
        raise ValueError(
            f"{name} needs the matrix of {A.name_and_type}, {A.shape}, which exceeds the limit of "
            f"{DENSE_UP_TO[what]} unknowns: pass method='dense' to form it"
        )
