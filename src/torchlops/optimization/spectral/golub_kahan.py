"""Singular triplets and norms by Golub-Kahan bidiagonalisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import norm, orthogonalized
from torchlops.optimization.spectral.derivatives import differentiable_pairs
from torchlops.optimization.spectral.hermitian import Hermitian
from torchlops.optimization.spectral.matrices import at_most, clinear, random, source
from torchlops.optimization.spectral.restarts import basis_sizes, converge, new_direction, unit
from torchlops.optimization.spectral.results import SingularTriplets, warn_not_converged
from torchlops.torchoperator import aslinearoperator


class GolubKahan:
    r"""Golub-Kahan bidiagonalisation, with full reorthogonalisation of the bases of models and of data.

    .. math:: A V = U B, \qquad A^H U = V B^H + \beta v e_k^H

    Args:
        flat: An operator with at most as many columns as rows, so that there is no structural null space.
        capacity: Number of vectors to allocate.
        generator: Generator of random vectors.

    Source: G. Golub and W. Kahan, Calculating the singular values and pseudo-inverse of a matrix, SIAM J. Numer. Anal.
    2 (1965), 205-224.
    """

    def __init__(self, flat: VectorOperator, capacity: int, generator: torch.Generator) -> None:
        self.flat, self.generator = flat, generator
        self.whole = flat.columns
        self.U = torch.zeros(0, flat.rows, dtype=flat.dtype, device=flat.device)
        self.V = torch.zeros(1, flat.columns, dtype=flat.dtype, device=flat.device)
        self.B = torch.zeros(0, 0, dtype=flat.dtype, device=flat.device)
        self.capacity = self.size = self.products = 0
        self.beta = self.largest = 0.0
        self.grow(capacity)
        self.V[0] = self._new_direction(self.V[:0])

    def _new_direction(self, basis: Tensor) -> Tensor:
        return new_direction(random(self.flat, (), self.generator, basis.shape[-1]), basis)

    def grow(self, capacity: int) -> None:
        """Allocate space for more vectors."""
        more = capacity - self.capacity
        self.U, self.V = (torch.cat([W, W.new_zeros(more, W.shape[1])]) for W in (self.U, self.V))
        self.B = torch.nn.functional.pad(self.B, (0, more, 0, more))
        self.capacity = capacity

    def extend(self) -> None:
        """Extend the bases to their capacity."""
        for j in range(self.size, self.capacity):
            u = self.flat.forward(self.V[j])
            self.largest = max(self.largest, float(norm(u)))
            u, self.B[:j, j] = orthogonalized(u, self.U[:j])
            alpha = float(norm(u))
            if alpha <= self.flat.rounding * self.largest:
                alpha, u = 0.0, self._new_direction(self.U[:j])
            self.B[j, j] = alpha
            self.U[j] = unit(u)
            w, _ = orthogonalized(self.flat.adjoint(self.U[j]), self.V[: j + 1])
            self.beta = float(norm(w))
            if self.beta <= self.flat.rounding * self.largest or j + 1 == self.whole:
                self.beta = 0.0
                w = self._new_direction(self.V[: j + 1]) if j + 1 < self.whole else torch.zeros_like(w)
            self.V[j + 1] = unit(w)
            self.products += 1
        self.size = self.capacity

    def ritz(self, which: str) -> tuple[Tensor, Tensor]:
        """Return approximate singular values, wanted ones first, and the norms of their residuals ``A^H u - s v``."""
        X, S, Yh = torch.linalg.svd(self.B)
        self.X, self.S, self.Y = (X, S, Yh.mH) if which == "LM" else (X.flip(-1), S.flip(0), Yh.mH.flip(-1))
        return self.S, self.beta * self.X[-1].abs()

    def vectors(self, count: int) -> tuple[Tensor, Tensor]:
        """Return the left and right vectors of the first ``count`` values of the last ``ritz``, as rows."""
        return self.X[:, :count].mT @ self.U, self.Y[:, :count].mT @ self.V[:-1]

    def restart(self, count: int, fresh: bool) -> None:
        """Keep only the first ``count`` triplets (J. Baglama and L. Reichel, SIAM J. Sci. Comput. 27 (2005), 19)."""
        following = self.V[-1].clone()
        self.U[:count], self.V[:count] = self.vectors(count)
        self.V[count] = self._new_direction(self.V[:count]) if fresh else following
        self.B.zero_()
        self.B.diagonal()[:count] = self.S[:count].to(self.B.dtype)
        self.size = count


def triplets(
    flat: VectorOperator,
    count: int,
    which: str,
    niter: int,
    tol: float,
    *,
    basis: int | None = None,
    generator: torch.Generator | None = None,
    looks_for_copies: bool = True,
    name: str = "golub_kahan",
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return singular values, left and right vectors as rows, and whether each has converged, wanted ones first."""
    if flat.rows < flat.columns:
        S, V, U, converged = triplets(
            flat.H,
            count,
            which,
            niter,
            tol,
            basis=basis,
            generator=generator,
            looks_for_copies=looks_for_copies,
            name=name,
        )
        return S, U, V, converged
    first, limit = basis_sizes(count, basis, flat.columns, flat.rows + flat.columns, flat.dtype.itemsize)
    process = GolubKahan(flat, first, source(generator))
    S, converged, residual = converge(process, count, which, niter, tol, limit, looks_for_copies)
    warn_not_converged(name, converged, f"the largest residual is {float(residual):.2g}, tol is {tol:.2g}")
    U, V = process.vectors(count)
    return S, U, V, converged


def golub_kahan(
    Op: LinearOperator,
    k: int = 6,
    which: Literal["LM", "SM"] = "LM",
    niter: int = 300,
    tol: float | None = None,
    *,
    basis: int | None = None,
    generator: torch.Generator | None = None,
) -> SingularTriplets:
    r"""Return singular triplets, by Golub-Kahan bidiagonalisation with thick restarts.

    The method projects the operator onto two bases, of models and of data, :math:`U^H A V`, with full
    reorthogonalisation. It never forms products with :math:`A^H A`, which would square the condition number.

    Args:
        Op: The operator.
        k: Number of triplets.
        which: ``"LM"`` for the largest, ``"SM"`` for the smallest singular values. (The smallest of a large operator
            converge slowly if many others are close to them, relative to the largest.)
        niter: Maximum number of rounds. Each round doubles the bases or, from a few hundred vectors on, restarts.
        tol: Tolerance for the norm of the residuals ``A^H u - sigma v``, relative to the largest singular value. The
            error of a value is about its square. By default, the machine epsilon to the power 3/4.
        basis: Size of the bases, which is then fixed.
        generator: Generator of the random first vector.

    Sources: G. Golub and W. Kahan, Calculating the singular values and pseudo-inverse of a matrix, SIAM J. Numer. Anal.
    2 (1965), 205-224; J. Baglama and L. Reichel, Augmented implicitly restarted Lanczos bidiagonalization methods, SIAM
    J. Sci. Comput. 27 (2005), 19-42.

    Example:
        >>> import torchlops
        >>> torch.allclose(golub_kahan(torchlops.Diagonal(torch.arange(100.0)), k=2).S, torch.tensor([99.0, 98.0]))
        True
    """
    if which not in ("LM", "SM"):
        raise ValueError(f"golub_kahan: which must be 'LM' or 'SM', got {which!r}")
    A = clinear(Op, "golub_kahan")
    count = at_most(k, min(A.shape), "k")

    def compute(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        accuracy = flat.rounding**0.75 if tol is None else tol
        found = triplets(flat, count, which, niter, accuracy, basis=basis, generator=generator)
        return found if which == "LM" else tuple(each.flip(0) for each in found)  # type: ignore[return-value]

    return differentiable_triplets(A, compute)


def operator_norm(
    Op: LinearOperator, niter: int = 100, tol: float | None = None, *, generator: torch.Generator | None = None
) -> Tensor:
    r"""Return the spectral norm :math:`\|A\|`, the largest singular value, as a differentiable tensor.

    It is computed by Golub-Kahan bidiagonalisation. An operator that is only real-linear is treated as a real matrix.
    For step lengths, which must not exceed ``1 / norm ** 2``, use the upper bound :func:`largest_eigenvalue`.

    Args:
        Op: The operator.
        niter: Maximum number of rounds, as in :func:`golub_kahan`.
        tol: Tolerance for the norm of the residual, relative to the norm. The error of the norm is about its square. By
            default, the square root of the machine epsilon, which gives the norm to rounding.
        generator: Generator of the random first vector.

    Example:
        >>> import torchlops
        >>> d = torch.tensor([1.0, -3.0], requires_grad=True)
        >>> norm = operator_norm(torchlops.Diagonal(d))
        >>> norm.backward()
        >>> round(norm.item(), 4), d.grad.round(decimals=4)
        (3.0, tensor([ 0., -1.]))
    """

    def compute(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        accuracy = flat.rounding**0.5 if tol is None else tol
        return triplets(
            flat, 1, "LM", niter, accuracy, generator=generator, looks_for_copies=False, name="operator_norm"
        )

    return singular_values(aslinearoperator(Op), compute)[0][0]


Compute = Callable[[VectorOperator], tuple[Tensor, Tensor, Tensor, Tensor]]
"""Function that returns singular values, left and right vectors as rows, and whether each has converged."""


def differentiable_triplets(A: LinearOperator, compute: Compute, used: Sequence[int] | None = None) -> SingularTriplets:
    """Return singular triplets with their derivatives; ``used`` are the indices of the requested ones."""
    S, joined, converged = _pairs(A, compute, used)
    U, V = torch.split(math.sqrt(2) * joined, list(A.shape), -1)
    return SingularTriplets(U.mT, S, V.conj(), converged)


def singular_values(A: LinearOperator, compute: Compute, used: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
    """Return singular values with their derivatives; those of the real matrix if there is no complex one."""
    S, _, converged = _pairs(A, compute, used)
    return S, converged


def _pairs(A: LinearOperator, compute: Compute, used: Sequence[int] | None) -> tuple[Tensor, Tensor, Tensor]:
    def pairs(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor]:
        S, U, V, converged = compute(flat)
        return S, torch.cat([U, V], -1) / math.sqrt(2), converged

    return differentiable_pairs(Hermitian(A, doubled=True, as_pairs=not A.clinear), pairs, used)
