"""Results of the methods for eigenvalues, singular values and determinants, and the warning that they are inexact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple

from torch import Tensor

from torchlops.optimization.solver.result import SolverWarning
from torchlops.warning import warn


class Unpacked:
    """A result that unpacks as its first ``length`` fields, like results of ``torch.linalg``."""

    length: ClassVar[int]

    def __iter__(self) -> Iterator[Tensor]:
        return (getattr(self, field.name) for field in fields(self)[: self.length])  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Tensor:
        return tuple(self)[index]

    def __len__(self) -> int:
        return self.length


@dataclass(frozen=True, eq=False)
class Eigenpairs(Unpacked):
    """Eigenpairs, which unpack as ``(eigenvalues, eigenvectors)``.

    Attributes:
        eigenvalues: Eigenvalues ``(k,)``.
        eigenvectors: Eigenvectors, as the columns of ``(n, k)``.
        converged: Whether each pair met the tolerance, ``(k,)``.
    """

    eigenvalues: Tensor
    eigenvectors: Tensor
    converged: Tensor
    length = 2


@dataclass(frozen=True, eq=False)
class SingularTriplets(Unpacked):
    """Singular triplets, which unpack as ``(U, S, Vh)``.

    Attributes:
        U: Left singular vectors, as the columns of ``(m, k)``.
        S: Singular values ``(k,)``, largest first.
        Vh: Right singular vectors, conjugated, as the rows of ``(k, n)``.
        converged: Whether each triplet met the tolerance, ``(k,)``.
    """

    U: Tensor
    S: Tensor
    Vh: Tensor
    converged: Tensor
    length = 3


class Estimate(NamedTuple):
    """A stochastic estimate, and its standard error."""

    value: Tensor
    error: Tensor


@dataclass(frozen=True, eq=False)
class LogDeterminant(Unpacked):
    """An estimate of a log-determinant, which unpacks as ``(estimate, error)``.

    Attributes:
        estimate: The estimate.
        error: Its standard error.
        converged: Whether the Lanczos steps have converged, so that the standard error covers the whole error.
    """

    estimate: Tensor
    error: Tensor
    converged: Tensor
    length = 2


def warn_not_converged(name: str, converged: Tensor, missing: str) -> None:
    """Warn if not all values computed by ``name`` have converged."""
    if not bool(converged.all()):
        which = (~converged).nonzero().flatten().tolist() if converged.ndim else "the value"
        warn(
            f"{name} stopped at niter before {which} met the tolerance: {missing}. Raise niter, basis or tol.",
            SolverWarning,
        )
