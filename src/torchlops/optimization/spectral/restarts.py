"""Krylov spaces that grow, and then restart with their best vectors, until the wanted values have converged."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from torchlops.optimization.solver.vectors import Scalar, norm, orthogonalized, reciprocal

_MOST_VECTORS = 640
_MOST_BYTES = 2**29


class Process(Protocol):
    """A Krylov process with its bases, as :func:`converge` sees it.

    Attributes:
        capacity: Number of vectors that a basis can hold.
        whole: Number of vectors in a basis of the whole space.
        products: Number of steps so far. Each takes one product (for Golub-Kahan, with the operator and its adjoint).
    """

    capacity: int
    whole: int
    products: int

    def extend(self) -> None:
        """Extend the bases to their capacity."""

    def grow(self, capacity: int) -> None:
        """Allocate space for more vectors."""

    def ritz(self, which: str) -> tuple[Tensor, Tensor]:
        """Return the approximate values, wanted ones first, and the norms of their residuals."""

    def restart(self, count: int, fresh: bool) -> None:
        """Keep only the first ``count`` pairs of the last ``ritz``; continue from a random direction if ``fresh``."""


def converge(
    process: Process, count: int, which: str, niter: int, tol: float, limit: int | None, looks_for_copies: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a process until ``count`` values have converged.

    The bases double in size up to the limit, since an unrestarted Krylov space converges fastest. From then on, thick
    restarts keep the wanted half of the vectors.

    Args:
        process: The process.
        count: Number of values.
        which: The wanted values, as in ``process.ritz``.
        niter: Maximum number of rounds. Each round doubles the bases, or restarts.
        tol: Tolerance for the norm of the residuals, relative to the largest modulus.
        limit: Maximum size of a basis; by default the capacity of the process.
        looks_for_copies: Whether to look for the copies of multiple values.

    Returns:
        The values, whether each has converged, and the largest residual relative to the largest modulus.
    """
    limit = process.capacity if limit is None else limit
    copies = _Copies(looks_for_copies)
    for restart in range(niter):
        process.extend()
        values, residuals = process.ritz(which)
        size = values.abs().max()
        values, residuals = values[:count], residuals[:count]
        converged = residuals <= tol * size
        done = bool(converged.all())
        is_whole = process.capacity == process.whole
        complete, fresh = copies.check(done, values, 100 * tol * size, process.products)
        if (done and (complete or is_whole)) or restart == niter - 1:
            break
        if fresh:
            process.restart(count, True)
        elif not done and process.capacity < limit:
            process.grow(min(2 * process.capacity, limit))
        else:
            process.restart(min(count + (process.capacity - count) // 2, process.capacity - 1), False)
    largest = residuals.max()
    return values, converged, torch.where(largest > 0, largest / size, largest)


def basis_sizes(count: int, basis: int | None, smaller: int, larger: int, itemsize: int) -> tuple[int, int]:
    """Return the initial and the maximum number of vectors in a basis of a space of ``smaller`` dimensions.

    Args:
        count: Number of wanted values.
        basis: Size requested by the user, which is then used for both.
        smaller: Number of dimensions.
        larger: Number of elements stored per vector.
        itemsize: Size of an element in bytes.
    """
    if basis is not None:
        size = min(smaller, max(basis, count + 2))
        return size, size
    first = min(smaller, max(2 * count + 20, 40))
    return first, min(smaller, max(first, min(_MOST_VECTORS, _MOST_BYTES // (larger * itemsize))))


def new_direction(drawn: Tensor, basis: Tensor) -> Tensor:
    """Return the random vectors ``drawn``, orthogonalised against the rows of ``basis`` and normalised."""
    return unit(orthogonalized(drawn, basis)[0])


def unit(a: Tensor, length: Scalar = None) -> Tensor:
    """Return normalised vectors; zero stays zero."""
    result: Tensor = a * reciprocal(norm(a) if length is None else length)
    return result


class _Copies:
    """Looks for the copies of multiple values, of which a Krylov space contains only one.

    When the wanted values have converged, the method continues from a new random direction, for the same number of
    products as before. The values are complete if they then converge to the same values again.
    """

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.values: Tensor | None = None
        self.until = 0

    def check(self, done: bool, values: Tensor, close: Tensor, products: int) -> tuple[bool, bool]:
        """Return whether the values are complete, and whether to continue from a new direction."""
        if not self.enabled:
            return True, False
        if not done or products < self.until:
            return False, False
        if self.values is not None and bool(((values - self.values).abs() <= close).all()):
            return True, False
        self.values, self.until = values, 2 * products
        return False, True
