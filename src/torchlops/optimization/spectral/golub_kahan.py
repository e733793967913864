"""Singular triplets and norms by Golub-Kahan bidiagonalisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import maximum, norm
from torchlops.optimization.spectral.derivatives import differentiable_pairs
from torchlops.optimization.spectral.hermitian import Hermitian
from torchlops.optimization.spectral.matrices import at_most, clinear
from torchlops.optimization.spectral.restarts import Process, Wanted, converge
from torchlops.optimization.spectral.results import SingularTriplets
from torchlops.torchoperator import aslinearoperator

Found = tuple[Tensor, Tensor, Tensor, Tensor]
"""Singular values, left and right vectors as rows, and whether each has converged."""


class GolubKahan(Process):
    r"""Golub-Kahan bidiagonalisation, with full reorthogonalisation of the bases of models and of data.

    .. math:: A V = U H, \qquad A^H U = V H^H + \beta v e_k^H

    The operator has at most as many columns as rows, so that there is no structural null space.

    Source: G. Golub and W. Kahan, Calculating the singular values and pseudo-inverse of a matrix, SIAM J. Numer. Anal.
    2 (1965), 205-224.
    """

    sides = 2

    def step(self, j: int) -> None:
        V, U = self.bases
        u = self.flat.forward(V[j])
        self.largest = maximum(self.largest, norm(u))
        self.H[j, j], self.H[:j, j] = self.append(U, j, u)
        self.beta, _ = self.append(V, j + 1, self.flat.adjoint(U[j]))

    def decompose(self, which: str) -> tuple[Tensor, list[Tensor]]:
        X, S, Yh = torch.linalg.svd(self.H)
        return (S, [Yh.mH, X]) if which == "LM" else (S.flip(0), [Yh.mH.flip(-1), X.flip(-1)])


def triplets(flat: VectorOperator, wanted: Wanted) -> Found:
    """Return the wanted triplets in descending order."""
    is_wide = flat.rows < flat.columns
    S, (V, U), converged = converge(GolubKahan, flat.H if is_wide else flat, wanted)
    found = (S, V, U, converged) if is_wide else (S, U, V, converged)
    return found if wanted.which == "LM" else tuple(each.flip(0) for each in found)  # type: ignore[return-value]


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
    wanted = Wanted("golub_kahan", at_most(k, min(A.shape), "k"), which, niter, tol, basis, generator)
    return differentiable_triplets(A, lambda flat: triplets(flat, wanted))


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
        >>> round(norm.item(), 4), d.grad.round(decimals=4) + 0.0  # not -0
        (3.0, tensor([ 0., -1.]))
    """

    def compute(flat: VectorOperator) -> Found:
        accuracy = flat.rounding**0.5 if tol is None else tol
        wanted = Wanted("operator_norm", 1, "LM", niter, accuracy, generator=generator, looks_for_copies=False)
        return triplets(flat, wanted)

    return differentiable_triplets(aslinearoperator(Op), compute).S[0]


def differentiable_triplets(
    A: LinearOperator, compute: Callable[[VectorOperator], Found], used: Sequence[int] | None = None
) -> SingularTriplets:
    """Return singular triplets with their derivatives; those of the real matrix if there is no complex one.

    Args:
        A: The operator.
        compute: Function that returns the triplets, without derivatives.
        used: Indices of the requested ones; all by default.
    """

    def pairs(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor]:
        S, U, V, converged = compute(flat)
        return S, torch.cat([U, V], -1) / math.sqrt(2), converged

    M = Hermitian(A, doubled=True, as_pairs=not A.clinear)
    S, joined, converged = differentiable_pairs(M, pairs, used)
    U, V = torch.split(math.sqrt(2) * joined, [M.rows, M.shape[1] - M.rows], -1)
    return SingularTriplets(U.mT, S, V.conj(), converged)
