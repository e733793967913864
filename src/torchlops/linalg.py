r"""Linear algebra of operators, with the names and the habits of ``torch.linalg``.

All functions give tensors, which carry derivatives in every mode and to any order, in the data and in the tensors of
the operator; under ``torch.vmap`` over the latter they are right, sample by sample where they iterate. A batch of
operators is an operator under ``torch.vmap``; a batch of data has leading axes.

**Dense or iterative.** Where the matrix of an operator is small, it is formed, and the result is exact. Beyond, methods
that need products only take over: ``method="dense"`` and ``method="iterative"`` choose, and so does naming an option of
the iteration. The limits are in :data:`DENSE_UP_TO`, as numbers of unknowns: 3000 for solutions and determinants, 2000
for singular values and the eigenvalues of Hermitian operators, 1200 for all singular vectors, least squares and the
eigenvalues of other operators. (Each takes a second or two on one core.) The determinant of a larger operator is a
stochastic estimate: :func:`slogdet` gives its standard error.

**Convergence.** What did not converge says so by a ``SolverWarning``, and in ``converged`` of a result that has more
than one field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.inverse import InverseOperator, LeastSquares, inv, lstsq, pinv, solve
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.spectral import stochastic
from torchlops.optimization.spectral.dense import (
    dense_eigenpairs,
    dense_eigenvalues,
    dense_eigvals,
    dense_singular_values,
    dense_slogdet,
    dense_triplets,
)
from torchlops.optimization.spectral.golub_kahan import golub_kahan, operator_norm, singular_values, triplets
from torchlops.optimization.spectral.lanczos import lanczos
from torchlops.optimization.spectral.matrices import (
    DENSE_UP_TO,
    Method,
    at_most,
    clinear,
    dense_matrix,
    is_dense,
    square,
)
from torchlops.optimization.spectral.results import Eigenpairs, SingularTriplets, Unpacked
from torchlops.optimization.spectral.stochastic import estimate_trace
from torchlops.torchoperator import aslinearoperator

__all__ = [
    "DENSE_UP_TO",
    "Eigenpairs",
    "InverseOperator",
    "LeastSquares",
    "SignedLogDeterminant",
    "SingularTriplets",
    "cond",
    "diagonal",
    "eigh",
    "eigvals",
    "eigvalsh",
    "estimate_trace",
    "inv",
    "logdet",
    "lstsq",
    "norm",
    "pinv",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "trace",
]

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
        method: See the head of this module. Beyond its limit, norms that need the matrix raise, unless it is
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
        method: See the head of this module.
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
        method: See the head of this module.
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
        method: See the head of this module.
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
        method: See the head of this module; there is no iteration, so that beyond the limit this raises, unless it is
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


# -- determinants and traces ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SignedLogDeterminant(Unpacked):
    """A determinant, which unpacks as ``(sign, logabsdet)``.

    Attributes:
        sign: Its sign, or phase.
        logabsdet: The logarithm of its modulus.
        error: The standard error of that where it is a stochastic estimate, else zero.
        converged: Whether the error is all that is missing.
    """

    sign: Tensor
    logabsdet: Tensor
    error: Tensor
    converged: Tensor
    length = 2


def slogdet(
    A: LinearOperator,
    *,
    method: Method = None,
    nprobes: int | None = None,
    niter: int | None = None,
    generator: torch.Generator | None = None,
) -> SignedLogDeterminant:
    """Return the sign (or phase) and the logarithm of the modulus of the determinant of a square operator.

    The iteration is a stochastic estimate for Hermitian positive definite operators, of sign 1, by Lanczos quadrature;
    see :func:`torchlops.optimization.eigs.logdet`. Of another one, ``logdet(A.H @ A) / 2`` is that of the modulus.

    Args:
        A: The operator.
        method: See the head of this module. To name one of the following means ``"iterative"``.
        nprobes: Number of random vectors, 30 by default.
        niter: Maximum number of Lanczos steps from each, 200 by default.
        generator: Source of the random vectors; by default one of a fixed seed.

    Example:
        >>> import torchlops
        >>> sign, logabsdet = slogdet(torchlops.Diagonal(torch.tensor([1.0, -1.0])))
        >>> sign, logabsdet
        (tensor(-1.), tensor(0.))
    """
    A = square(A, "slogdet")
    options = {"nprobes": nprobes, "niter": niter, "generator": generator}
    given = {name: value for name, value in options.items() if value is not None}
    if given and method == "dense":
        raise ValueError(f"slogdet: method='dense' takes none of {list(given)}")
    if is_dense(A, "iterative" if given else method, "solve"):
        sign, logabsdet = dense_slogdet(dense_matrix(A))
        return SignedLogDeterminant(
            sign, logabsdet, torch.zeros_like(logabsdet).detach(), torch.ones_like(logabsdet, dtype=torch.bool)
        )
    found = stochastic.logdet(A, **given)  # type: ignore[arg-type]
    sign = torch.ones_like(found.estimate.detach()).to(A._torch_dtype())
    return SignedLogDeterminant(sign, found.estimate, found.error, found.converged)


def logdet(
    A: LinearOperator,
    *,
    method: Method = None,
    nprobes: int | None = None,
    niter: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the logarithm of the determinant of a square operator: NaN if it is negative, complex if ``A`` is.

    Beyond the limit of the dense method, it is a stochastic estimate, for Hermitian positive definite operators only.
    The arguments are those of :func:`slogdet`, which gives its standard error too.

    Example:
        >>> import torchlops
        >>> logdet(torchlops.Diagonal(torch.tensor([1.0, 1.0])))
        tensor(0.)
    """
    sign, logabsdet = slogdet(A, method=method, nprobes=nprobes, niter=niter, generator=generator)
    return logabsdet + sign.log()


def diagonal(A: LinearOperator) -> Tensor:
    """Return the diagonal of the matrix of an operator, by as many products as it has entries, in blocks.

    Example:
        >>> import torchlops
        >>> diagonal(torchlops.MatrixMult(torch.tensor([[1.0, 2.0], [3.0, 4.0]])))
        tensor([1., 4.])
    """
    return stochastic.diagonal(clinear(A, "diagonal"))


def trace(A: LinearOperator) -> Tensor:
    """Return the trace of a square operator, exactly: the sum of its :func:`diagonal`.

    For a large operator, :func:`estimate_trace` gives an estimate and its standard error, from few products.

    Example:
        >>> import torchlops
        >>> trace(torchlops.MatrixMult(torch.tensor([[1.0, 2.0], [3.0, 4.0]])))
        tensor(5.)
    """
    return diagonal(square(A, "trace")).sum()
