"""Eigenpairs by the locally optimal block preconditioned conjugate gradient method."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from torchlops.arrays import as_tensor
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import gram, norm, orthonormal_rows
from torchlops.optimization.spectral.derivatives import differentiable_pairs
from torchlops.optimization.spectral.hermitian import Hermitian
from torchlops.optimization.spectral.matrices import must_be_hermitian, random, source, square
from torchlops.optimization.spectral.restarts import unit
from torchlops.optimization.spectral.results import Eigenpairs, warn_not_converged
from torchlops.torchoperator import aslinearoperator


def lobpcg(
    Op: LinearOperator,
    neigs: int = 6,
    which: Literal["LA", "SA"] = "LA",
    niter: int = 300,
    tol: float | None = None,
    *,
    M: LinearOperator | None = None,
    X: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Eigenpairs:
    r"""Return eigenpairs of a Hermitian operator, by the LOBPCG method.

    LOBPCG is the locally optimal block preconditioned conjugate gradient method.

    Each iteration computes the Ritz vectors in the span of the current vectors, their preconditioned residuals
    :math:`M (A x - \lambda x)`, and the previous steps, with one orthonormal basis of that span.

    Args:
        Op: A Hermitian operator.
        neigs: Number of eigenpairs; at most a third of the size. For more, use :func:`lanczos`.
        which: ``"LA"`` for the largest, ``"SA"`` for the smallest.
        niter: Maximum number of iterations. Each takes ``neigs`` products, as one batch.
        tol: Tolerance for the norm of the residuals, relative to the largest modulus. By default, the machine epsilon
            to the power 3/4.
        M: Preconditioner, an approximate inverse of the operator (for ``"SA"``).
        X: First vectors as columns, ``(n, neigs)``; random by default.
        generator: Generator of the random first vectors.

    Sources: A. V. Knyazev, Toward the optimal preconditioned eigensolver: locally optimal block preconditioned
    conjugate gradient method, SIAM J. Sci. Comput. 23 (2001), 517-541; the basis as in J. A. Duersch et al., SIAM J.
    Sci. Comput. 40 (2018), C655-C676.

    Example:
        >>> import torchlops
        >>> values, vectors = lobpcg(torchlops.Diagonal(torch.arange(1.0, 101.0)), neigs=2, which="SA")
        >>> torch.allclose(values, torch.tensor([1.0, 2.0]), rtol=1e-4)
        True
    """
    if which not in ("LA", "SA"):
        raise ValueError(f"lobpcg: which must be 'LA' or 'SA', got {which!r}")
    A = square(Op, "lobpcg")
    if not 1 <= neigs <= max(A.shape[0] // 3, 1):
        raise ValueError(
            f"lobpcg computes 1 to {max(A.shape[0] // 3, 1)} eigenpairs of {A.name_and_type}, got {neigs}: use lanczos"
        )
    preconditioner = None if M is None else aslinearoperator(M)
    first = None if X is None else as_tensor(X, "lobpcg: X").detach()
    if first is not None and first.shape != (A.shape[0], neigs):
        raise ValueError(f"lobpcg: X must have the shape {(A.shape[0], neigs)}, got {tuple(first.shape)}")

    def compute(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor]:
        must_be_hermitian(flat.A, "lobpcg", "use golub_kahan, or the eigenvalues of its matrix")
        accuracy = flat.rounding**0.75 if tol is None else tol
        drawn = random(flat, (neigs,), source(generator)) if first is None else first.to(flat.device, flat.dtype).mT
        inverse = None if preconditioner is None else VectorOperator(preconditioner, flat.data_dtype)
        values, vectors, residuals = _lobpcg(flat, drawn, which, niter, accuracy, inverse)
        converged = residuals <= accuracy
        warn_not_converged(
            "lobpcg", converged, f"the largest residual is {float(residuals.max()):.2g}, tol {accuracy:.2g}"
        )
        return values, vectors, converged

    values, vectors, converged = differentiable_pairs(Hermitian(A), compute)
    return Eigenpairs(values, vectors.mT, converged)


def _lobpcg(
    flat: VectorOperator, X: Tensor, which: str, niter: int, tol: float, M: VectorOperator | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return eigenvalues, vectors as rows, and the norms of their residuals, relative to the largest modulus."""
    count = X.shape[0]
    X = orthonormal_rows(X)
    AX = flat.forward(X)
    P, AP, size = X[:0], AX[:0], norm(AX).max()
    for iteration in range(niter + 1):
        theta, C = _ritz(X, AX, which)  # exact Ritz values of X
        X, AX = C.mT @ X, C.mT @ AX
        R = AX - theta[:, None].to(AX.dtype) * X
        lengths = norm(R).squeeze(-1)
        active = lengths > tol * size  # the others are near rounding, where new directions are meaningless
        if not bool(active.any()) or iteration == niter:
            break
        W = R[active] if M is None else M.forward(R[active])
        basis, W = torch.cat([X, P]), unit(W)
        for _ in range(2):  # once is not enough if residuals are small
            W = orthonormal_rows(W - gram(basis, W).mT @ basis)
        basis, products = torch.cat([basis, W]), torch.cat([AX, AP, flat.forward(W)])
        theta, C = _ritz(basis, products, which)
        size = torch.maximum(size, theta.abs().max())
        C = C[:, :count]
        step = C[:, active]  # the new directions: what was added to X, orthogonal to the new X
        step = torch.cat([torch.zeros_like(step[:count]), step[count:]])
        for _ in range(2):
            step = torch.linalg.qr(step - C @ (C.mH @ step))[0]
        X, AX, P, AP = C.mT @ basis, C.mT @ products, step.mT @ basis, step.mT @ products
    return theta, X, torch.where(lengths > 0, lengths / size, lengths)


def _ritz(X: Tensor, AX: Tensor, which: str) -> tuple[Tensor, Tensor]:
    """Return Ritz values in the span of the rows of ``X``, wanted ones first, and their vectors in that basis."""
    theta, C = torch.linalg.eigh(gram(X, AX))
    order = torch.argsort(-theta if which == "LA" else theta, stable=True)
    return theta[order], C[:, order]
