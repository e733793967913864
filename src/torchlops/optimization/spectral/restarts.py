"""Krylov processes, which grow, and then restart with their best vectors, until the wanted values have converged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import Scalar, norm, orthogonalized, reciprocal, where
from torchlops.optimization.spectral.matrices import random, source
from torchlops.optimization.spectral.results import warn_not_converged

_MOST_VECTORS = 640
_MOST_BYTES = 2**29


class Process:
    """Base of the Krylov processes: orthonormal bases, and the operator projected onto them.

    The first basis has one vector more than the others, with which the process goes on.

    Args:
        flat: The operator.
        start: First vectors ``(*batch, n)`` of the first basis.
        capacity: Number of vectors to allocate.
        generator: Generator of random vectors, used to continue from an invariant subspace.

    Attributes:
        bases: The bases ``(*batch, capacity + 1, n)``, vectors as rows.
        H: The projected operator, ``(*batch, capacity, capacity)``.
        beta: The coupling of the last step with the next one; 0 in an invariant subspace.
        largest: The largest norm of a product, below whose rounding a vector counts as zero.
        size: Number of steps in the bases.
        products: Number of steps so far. Each takes one product (for Golub-Kahan, with the operator and its adjoint).
        whole: Number of vectors in a basis of the whole space.
    """

    sides: ClassVar[int] = 1
    """Number of bases: of models, and of data."""

    def __init__(self, flat: VectorOperator, start: Tensor, capacity: int, generator: torch.Generator) -> None:
        self.flat, self.generator = flat, generator
        self.bases = [start.new_zeros((*start.shape[:-1], 1, length)) for length in self.lengths(flat)]
        self.H = start.new_zeros((*start.shape[:-1], 0, 0))
        self.whole = flat.columns
        self.capacity = self.size = self.products = 0
        self.beta: Scalar = 0.0
        self.largest: Scalar = 0.0
        self.grow(capacity)
        self.bases[0][..., 0, :] = unit(start)

    @classmethod
    def lengths(cls, flat: VectorOperator) -> tuple[int, ...]:
        """Return the lengths of the vectors of each basis."""
        return (flat.columns, flat.rows)[: cls.sides]

    def grow(self, capacity: int) -> None:
        """Allocate space for more vectors."""
        more = capacity - self.capacity
        self.bases = [torch.nn.functional.pad(basis, (0, 0, 0, more)) for basis in self.bases]
        self.H = torch.nn.functional.pad(self.H, (0, more, 0, more))
        self.capacity = capacity

    def extend(self, size: int | None = None) -> None:
        """Extend the bases to ``size`` vectors; to their capacity by default."""
        for j in range(self.size, self.capacity if size is None else size):
            self.step(j)
            self.products += 1
            self.size = j + 1

    def step(self, j: int) -> None:
        """Fill column ``j`` of ``H``, and append a vector to each basis."""
        raise NotImplementedError

    def append(self, basis: Tensor, j: int, w: Tensor) -> tuple[Scalar, Tensor]:
        """Append ``w``, less its part in the first ``j`` vectors, to them: a random direction where that is zero.

        Returns:
            The norm of what was appended, 0 where that is random, and the coefficients of the part.
        """
        known = basis[..., :j, :]
        w, coefficients = orthogonalized(w, known)
        length = norm(w)
        if j == self.whole:
            return 0.0 * length, coefficients
        ended = length <= self.flat.rounding * self.largest
        w = unit(w, length)
        if bool(ended.any()) if isinstance(ended, Tensor) else ended:
            w = where(ended, self._new_direction(known), w)
        basis[..., j, :] = w
        return where(ended, 0.0 * length, length), coefficients

    def _new_direction(self, basis: Tensor) -> Tensor:
        drawn = random(self.flat, tuple(basis.shape[:-2]), self.generator, basis.shape[-1])
        return unit(orthogonalized(drawn, basis)[0])

    def decompose(self, which: str) -> tuple[Tensor, list[Tensor]]:
        """Return the values of ``H`` of a single process, wanted ones first, and their vectors in each basis.

        The vectors are the columns. The residual of a value is ``beta`` times the last entry of the last of them.
        """
        raise NotImplementedError

    def vectors(self, coefficients: list[Tensor]) -> list[Tensor]:
        """Return the combinations of each basis with the columns of its ``coefficients``, as rows."""
        return [C.mT @ basis[: self.capacity] for C, basis in zip(coefficients, self.bases, strict=True)]

    def restart(self, values: Tensor, coefficients: list[Tensor], fresh: bool) -> None:
        """Keep only some values and their vectors; continue from a random direction if ``fresh``.

        Sources: K. Wu and H. Simon, SIAM J. Matrix Anal. Appl. 22 (2000), 602; J. Baglama and L. Reichel, SIAM J. Sci.
        Comput. 27 (2005), 19.
        """
        first, count = self.bases[0], values.shape[0]
        following = first[self.capacity].clone()
        for basis, vectors in zip(self.bases, self.vectors(coefficients), strict=True):
            basis[:count] = vectors
        first[count] = self._new_direction(first[:count]) if fresh else following
        self.H.zero_()
        self.H.diagonal()[:count] = values.to(self.H.dtype)
        self.size = count


@dataclass(frozen=True)
class Wanted:
    """What is asked of a process.

    Attributes:
        name: Name of the method, for the warning that it has not converged.
        count: Number of values.
        which: The wanted values, as the process knows them.
        niter: Maximum number of rounds. Each round doubles the bases, or restarts.
        tol: Tolerance for the norm of the residuals, relative to the largest modulus; by default, the machine epsilon
            to the power 3/4.
        basis: Size of the bases, which is then fixed.
        generator: Generator of random vectors.
        looks_for_copies: Whether to look for the copies of multiple values.
    """

    name: str
    count: int
    which: str
    niter: int
    tol: float | None = None
    basis: int | None = None
    generator: torch.Generator | None = None
    looks_for_copies: bool = True


def converge(kind: type[Process], flat: VectorOperator, wanted: Wanted) -> tuple[Tensor, list[Tensor], Tensor]:
    """Run a process until the wanted values have converged; warn if they have not.

    The bases double in size up to a limit, since an unrestarted Krylov space converges fastest. From then on, thick
    restarts keep the wanted half of the vectors.

    A Krylov space contains only one of the copies of a multiple value. When the wanted values have converged, the
    process therefore continues from a new random direction, for the same number of products as before. The values are
    complete if they then converge to the same values again.

    Returns:
        The values, their vectors for each basis, and whether each has converged.
    """
    count, generator = wanted.count, source(wanted.generator)
    tol = flat.rounding**0.75 if wanted.tol is None else wanted.tol
    capacity, limit = _basis_sizes(count, wanted.basis, flat.columns, sum(kind.lengths(flat)) * flat.dtype.itemsize)
    process = kind(flat, random(flat, (), generator), capacity, generator)
    before, until = None, 0
    for restart in range(wanted.niter):
        process.extend()
        every, coefficients = process.decompose(wanted.which)
        size = every.abs().max()
        values, residuals = every[:count], process.beta * coefficients[-1][-1, :count].abs()
        converged = residuals <= tol * size
        done = bool(converged.all())
        if done and (not wanted.looks_for_copies or process.capacity == process.whole):
            break
        done_again = done and process.products >= until
        is_same = before is not None and bool(((values - before).abs() <= 100 * tol * size).all())
        if (done_again and is_same) or restart == wanted.niter - 1:
            break
        if not done and process.capacity < limit:
            process.grow(min(2 * process.capacity, limit))
            continue
        kept = min(count + (process.capacity - count) // 2, process.capacity - 1)
        if done_again:
            kept, before, until = count, values, 2 * process.products
        process.restart(every[:kept], [C[:, :kept] for C in coefficients], fresh=done_again)
    residual = residuals.max() / torch.where(size > 0, size, 1.0)
    warn_not_converged(wanted.name, converged, f"the largest residual is {float(residual):.2g}, tol is {tol:.2g}")
    return values, process.vectors([C[:, :count] for C in coefficients]), converged


def _basis_sizes(count: int, basis: int | None, whole: int, nbytes: int) -> tuple[int, int]:
    """Return the initial and the maximum number of vectors in a basis.

    Args:
        count: Number of wanted values.
        basis: Size requested by the user, which is then used for both.
        whole: Number of vectors in a basis of the whole space.
        nbytes: Memory per step of the process.
    """
    if basis is not None:
        size = min(whole, max(basis, count + 2))
        return size, size
    first = min(whole, max(2 * count + 20, 40))
    return first, min(whole, max(first, min(_MOST_VECTORS, _MOST_BYTES // nbytes)))


def unit(a: Tensor, length: Scalar = None) -> Tensor:
    """Return normalised vectors; zero stays zero."""
    result: Tensor = a * reciprocal(norm(a) if length is None else length)
    return result
