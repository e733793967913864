"""Determinants, diagonals and traces."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchlops.linalg.dense import Method, dense_matrix, dense_slogdet, is_dense
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.spectral import stochastic
from torchlops.optimization.spectral.matrices import clinear, square
from torchlops.optimization.spectral.results import Unpacked


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
        method: See :mod:`torchlops.linalg`. To name one of the following means ``"iterative"``.
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
