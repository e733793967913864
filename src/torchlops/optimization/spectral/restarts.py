"""Krylov spaces that grow, and then restart with the best of their vectors, until the wanted values have converged."""

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
        capacity: How many vectors a basis has room for.
        whole: Number of vectors of a basis of the whole space.
        products: Number of steps so far, each with one product (with an operator and its adjoint, of Golub and Kahan).
    """

    capacity: int
    whole: int
    products: int

    def extend(self) -> None:
        """Extend the bases to their capacity."""

    def grow(self, capacity: int) -> None:
        """Make room for more vectors."""

    def ritz(self, which: str) -> tuple[Tensor, Tensor]:
        """Return the approximate values, wanted ones first, and the norms of their residuals."""

    def restart(self, count: int, fresh: bool) -> None:
        """Keep the first ``count`` pairs of the last ``ritz`` only; go on from a random direction if ``fresh``."""


def converge(
    process: Process, count: int, which: str, niter: int, tol: float, limit: int | None, looks_for_copies: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a process until ``count`` values have converged.

    The bases grow to twice their size until they reach their limit, since a Krylov space that is kept whole converges
    fastest; from there on, thick restarts keep the wanted half of the vectors.

    Args:
        process: The process.
        count: How many values.
        which: Which ones, as ``process.ritz`` knows.
        niter: Maximum number of rounds.
        tol: Norm of the residuals to reach, relative to the largest modulus.
        limit: Largest size of a basis; that of the process by default.
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
    """Return the first and the largest number of vectors of a basis of a space of ``smaller`` dimensions.

    Args:
        count: How many values are wanted.
        basis: What the user asks for; this is then both.
        smaller: Number of dimensions.
        larger: Number of samples of all that is stored with one vector.
        itemsize: Bytes of a sample.
    """
    if basis is not None:
        size = min(smaller, max(basis, count + 2))
        return size, size
    first = min(smaller, max(2 * count + 20, 40))
    return first, min(smaller, max(first, min(_MOST_VECTORS, _MOST_BYTES // (larger * itemsize))))


def new_direction(drawn: Tensor, basis: Tensor) -> Tensor:
    """Return the random vectors ``drawn`` as unit vectors that are orthogonal to the rows of ``basis``."""
    return unit(orthogonalized(drawn, basis)[0])


def unit(a: Tensor, length: Scalar = None) -> Tensor:
    """Return vectors divided by their lengths; zero stays zero."""
    result: Tensor = a * reciprocal(norm(a) if length is None else length)
    return result


class _Copies:
    """Looks for the copies of multiple values, of which a Krylov space has but one.

    When the wanted values have converged, the method goes on from a new random direction, for as many products as it
    took so far. They are complete when they have converged again and are the same.
    """

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.values: Tensor | None = None
        self.until = 0

    def check(self, done: bool, values: Tensor, close: Tensor, products: int) -> tuple[bool, bool]:
        """Return whether the values are complete, and whether to go on from a new direction."""
        if not self.enabled:
            return True, False
        if not done or products < self.until:
            return False, False
        if self.values is not None and bool(((values - self.values).abs() <= close).all()):
            return True, False
        self.values, self.until = values, 2 * products
        return False, True
