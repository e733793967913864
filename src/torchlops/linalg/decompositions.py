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
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.spectral.golub_kahan import golub_kahan, operator_norm, singular_values, triplets
from torchlops.optimization.spectral.lanczos import lanczos
from torchlops.optimization.spectral.matrices import at_most, clinear, square
from torchlops.optimization.spectral.results import Eigenpairs, SingularTriplets
from torchlops.torchoperator import aslinearoperator

_ROUNDS = 20
"""Rounds of an iteration for singular values and eigenvalues, by default: some 5,000 steps."""

Order: TypeAlias = Literal["fro", "nuc", 1, -1, 2, -2] | float | None


# -- norms and singular values --------------------------------------------------------------------------------


def norm(A: LinearOperator, ord: Order = None, *, method: Method = None, niter: int | None = None) -> Tensor:
    r"""Return a norm of the matrix of an operator.

    Args:
        A: The operator.
        ord: ``2``, the spectral norm, and ``-2``, the smallest singular value, are for operators of any size, also for
            those that are linear over the real numbers only. The others need the matrix: ``"fro"`` or None, the norm
            of Frobenius (the default, as in ``torch.linalg``); ``"nuc"``, the sum of the singular values; ``1`` and
            ``inf``, the largest sum of moduli of a column and of a row, ``-1`` and ``-inf``, the smallest.
        niter: Maximum number of rounds of the iteration, each of which doubles its basis or restarts; 20 by default.
        method: See :mod:`torchlops.linalg`. Beyond its limit, norms that need the matrix raise, unless it is
            ``"dense"``; the square of that of Frobenius is ``estimate_trace(A.H @ A)``.

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
    """Return the condition number: the ratio of the largest to the smallest singular value.

    That of an operator that is linear over the real numbers only is that of its real matrix. It is infinite where the
    smallest singular value is zero to rounding (less than the rounding of the dtype times the larger size).

    Args:
        A: The operator.
        method: See :mod:`torchlops.linalg`.
        niter: Maximum number of rounds of the iteration, as of :func:`norm`. A smallest singular value that is many
            orders of magnitude below the largest takes many.

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
    def compute(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return triplets(
            flat, 1, "SM", niter or _ROUNDS, flat.rounding**0.75, looks_for_copies=False, name=f"linalg.{name}"
        )

    return singular_values(A, compute)[0][0]


def svdvals(
    A: LinearOperator,
    k: int | None = None,
    which: Literal["LM", "SM"] = "LM",
    *,
    method: Method = None,
    niter: int | None = None,
) -> Tensor:
    """Return singular values, largest first.

    Args:
        A: The operator.
        k: How many; all by default, which needs the matrix.
        which: The largest, ``"LM"``, or the smallest, ``"SM"``.
        method: See :mod:`torchlops.linalg`.
        niter: Maximum number of rounds of the iteration, as of :func:`norm`.

    Example:
        >>> import torchlops
        >>> svdvals(torchlops.Diagonal(torch.tensor([3.0, -4.0])))
        tensor([4., 3.])
    """
    A = clinear(A, "svdvals")
    places = _places(A, k, which, "LM", method, "values", "svdvals", niter)
    if places is None:
        assert k is not None
        return golub_kahan(A, k, which, niter or _ROUNDS).S
    return dense_singular_values(A, places)[places[0] : places[-1] + 1]


def svd(
    A: LinearOperator,
    k: int | None = None,
    which: Literal["LM", "SM"] = "LM",
    *,
    method: Method = None,
    niter: int | None = None,
) -> SingularTriplets:
    """Return singular triplets, which unpack as ``(U, S, Vh)``, as of ``torch.linalg.svd(A, full_matrices=False)``.

    The arguments are those of :func:`svdvals`. Signs or phases of vectors are arbitrary; in derivatives they are
    constant. Of equal values, single vectors have no derivatives: a warning says so.

    Example:
        >>> import torchlops
        >>> U, S, Vh = svd(torchlops.Diagonal(torch.tensor([3.0, -4.0])))
        >>> torch.allclose((U * S) @ Vh, torch.diag(torch.tensor([3.0, -4.0])), atol=1e-6)
        True
    """
    A = clinear(A, "svd")
    places = _places(A, k, which, "LM", method, "vectors", "svd", niter)
    if places is None:
        assert k is not None
        return golub_kahan(A, k, which, niter or _ROUNDS)
    found, part = dense_triplets(A, places), slice(places[0], places[-1] + 1)
    return SingularTriplets(found.U[:, part], found.S[part], found.Vh[part], found.converged[part])


# -- eigenvalues ----------------------------------------------------------------------------------------------


def eigvalsh(
    A: LinearOperator,
    k: int | None = None,
    which: Literal["LA", "SA"] = "LA",
    *,
    method: Method = None,
    niter: int | None = None,
) -> Tensor:
    """Return eigenvalues of a Hermitian operator, smallest first.

    Args:
        A: The operator. One that is not Hermitian raises.
        k: How many; all by default, which needs the matrix.
        which: The largest, ``"LA"``, or the smallest, ``"SA"``.
        method: See :mod:`torchlops.linalg`.
        niter: Maximum number of rounds of the iteration, as of :func:`norm`.

    Example:
        >>> import torchlops
        >>> eigvalsh(torchlops.Diagonal(torch.tensor([3.0, -4.0])))
        tensor([-4.,  3.])
    """
    A = square(A, "eigvalsh")
    places = _places(A, k, which, "SA", method, "values", "eigvalsh", niter)
    if places is None:
        return _lanczos(A, k, which, niter or _ROUNDS).eigenvalues
    return dense_eigenvalues(A, places)[places[0] : places[-1] + 1]


def eigh(
    A: LinearOperator,
    k: int | None = None,
    which: Literal["LA", "SA"] = "LA",
    *,
    method: Method = None,
    niter: int | None = None,
) -> Eigenpairs:
    """Return eigenpairs of a Hermitian operator, smallest first, which unpack as ``(eigenvalues, eigenvectors)``.

    The arguments are those of :func:`eigvalsh`; of vectors, what :func:`svd` says holds here too.

    Example:
        >>> import torchlops
        >>> values, vectors = eigh(torchlops.Diagonal(torch.tensor([3.0, -4.0])))
        >>> values, vectors.abs()
        (tensor([-4.,  3.]), tensor([[0., 1.],
                [1., 0.]]))
    """
    A = square(A, "eigh")
    places = _places(A, k, which, "SA", method, "vectors", "eigh", niter)
    if places is None:
        return _lanczos(A, k, which, niter or _ROUNDS)
    found, part = dense_eigenpairs(A, places), slice(places[0], places[-1] + 1)
    return Eigenpairs(found.eigenvalues[part], found.eigenvectors[:, part], found.converged[part])


def _lanczos(A: LinearOperator, k: int | None, which: str, niter: int) -> Eigenpairs:
    assert k is not None
    found = lanczos(A, k, which, niter)
    if which == "SA":
        return found
    return Eigenpairs(found.eigenvalues.flip(0), found.eigenvectors.flip(-1), found.converged.flip(0))


def eigvals(A: LinearOperator, *, method: Method = None) -> Tensor:
    """Return all eigenvalues of a square operator, in no order, as complex numbers.

    They need the matrix. Their derivatives are infinite, or large and inexact, where it is defective or close to that.

    Args:
        A: The operator.
        method: See :mod:`torchlops.linalg`; there is no iteration, so that beyond the limit this raises, unless it is
            ``"dense"``. (``A.eigs(k)`` finds some, without derivatives.)

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
) -> range | None:
    """Return which values of the matrix are asked for, in the order of ``first``; None if they are to be iterated."""
    known = ("LM", "SM") if first == "LM" else ("LA", "SA")
    if which not in known:
        raise ValueError(f"{name}: which must be {known[0]!r} or {known[1]!r}, got {which!r}")
    size = min(A.shape)
    count = size if k is None else at_most(k, size, f"{name}: k")
    if not is_dense(A, method, what, niter):
        if k is None:
            raise ValueError(
                f"{name} of all values needs the matrix of {A.name_and_type}, {A.shape}, which is beyond the limit of "
                f"{DENSE_UP_TO[what]} unknowns: give k, or method='dense'"
            )
        return None
    return range(count) if which == first else range(size - count, size)


def _must_be_dense(A: LinearOperator, method: Method, what: str, name: str) -> None:
    if not is_dense(A, method, what):
        raise ValueError(
            f"{name} needs the matrix of {A.name_and_type}, {A.shape}, which is beyond the limit of "
            f"{DENSE_UP_TO[what]} unknowns: give method='dense' to form it"
        )
