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

_BLOCK = 2**22
"""Maximum number of elements in a batch of unit vectors."""


@dataclass(frozen=True, eq=False)
class SignedLogDeterminant(Unpacked):
    """A determinant, which unpacks as ``(sign, logabsdet)``.

    Attributes:
        sign: The sign, or phase, of the determinant.
        logabsdet: The logarithm of the modulus.
        error: The standard error of the logarithm if it is a stochastic estimate, else zero.
        converged: Whether ``error`` covers the whole error of the logarithm.
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

    The iterative method is a stochastic estimate by Lanczos quadrature, for Hermitian positive definite operators only,
    whose sign is 1; see :func:`torchlops.optimization.eigs.logdet`. For other operators, the logarithm of the modulus
    is ``logdet(A.H @ A) / 2``.

    Args:
        A: The operator.
        method: See :mod:`torchlops.linalg`. Passing any of the following options implies ``"iterative"``.
        nprobes: Number of random vectors; 30 by default.
        niter: Maximum number of Lanczos steps per random vector; 200 by default.
        generator: Generator of the random vectors; by default one with a fixed seed.

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
        raise ValueError(f"slogdet: method='dense' does not take the options {list(given)}")
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
    """Return the logarithm of the determinant of a square operator: complex if ``A`` is, NaN if negative.

    Beyond the limit of the dense method, it is a stochastic estimate, for Hermitian positive definite operators only.
    The arguments are those of :func:`slogdet`, which also returns the standard error.

    Example:
        >>> import torchlops
        >>> logdet(torchlops.Diagonal(torch.tensor([1.0, 1.0])))
        tensor(0.)
    """
    sign, logabsdet = slogdet(A, method=method, nprobes=nprobes, niter=niter, generator=generator)
    return logabsdet + sign.log()


def diagonal(A: LinearOperator) -> Tensor:
    """Return the diagonal of the matrix of an operator. It takes one product per entry, in batches.

    Example:
        >>> import torchlops
        >>> diagonal(torchlops.MatrixMult(torch.tensor([[1.0, 2.0], [3.0, 4.0]])))
        tensor([1., 4.])
    """
    A = clinear(A, "diagonal")
    rows, columns = A.shape
    step = max(1, _BLOCK // max(rows, columns, 1))
    parts = []
    for some in torch.split(torch.arange(min(rows, columns), device=A._device()), step):
        units = torch.nn.functional.one_hot(some, columns).to(A._torch_dtype())
        images = A.apply_nd(units.reshape(-1, *A.dims), False).reshape(-1, rows)
        parts.append(images.gather(-1, some.unsqueeze(-1)).squeeze(-1))
    return torch.cat(parts)


def trace(A: LinearOperator) -> Tensor:
    """Return the exact trace of a square operator, the sum of its :func:`diagonal`.

    For a large operator, :func:`estimate_trace` returns an estimate and its standard error, from few products.

    Example:
        >>> import torchlops
        >>> trace(torchlops.MatrixMult(torch.tensor([[1.0, 2.0], [3.0, 4.0]])))
        tensor(5.)
    """
    return diagonal(square(A, "trace")).sum()
