"""The Lanczos process, eigenpairs, and a bound of the largest eigenvalue of ``A^H A`` for step lengths."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from torchlops.arrays import complex_dtype, real_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import inner, maximum, norm
from torchlops.optimization.spectral.derivatives import differentiable_pairs
from torchlops.optimization.spectral.hermitian import Hermitian
from torchlops.optimization.spectral.matrices import at_most, must_be_hermitian, source, square
from torchlops.optimization.spectral.restarts import Process, Wanted, converge, unit
from torchlops.optimization.spectral.results import Eigenpairs


class Lanczos(Process):
    r"""The Lanczos process for a Hermitian operator, for a batch of first vectors.

    .. math:: A V = V H + \beta v e_k^H

    ``V`` is orthonormal, with full reorthogonalisation, and ``H`` is tridiagonal. (After a restart, the leading block
    of ``H`` is an arrowhead matrix.)

    Source: C. Lanczos, J. Res. Nat. Bur. Standards 45 (1950), 255-282.
    """

    def step(self, j: int) -> None:
        (V,) = self.bases
        w = self.flat.forward(V[..., j, :])
        self.largest = maximum(self.largest, norm(w))
        self.beta, h = self.append(V, j + 1, w)
        self.H[..., : j + 1, j], self.H[..., j, : j + 1] = h, h.conj()
        self.H[..., j, j] = h[..., j].real

    def decompose(self, which: str) -> tuple[Tensor, list[Tensor]]:
        theta, S = torch.linalg.eigh(self.H)
        order = torch.argsort({"LA": -theta, "SA": theta, "LM": -theta.abs()}[which], stable=True)
        return theta[order], [S[:, order]]


def lanczos(
    Op: LinearOperator,
    neigs: int = 6,
    which: Literal["LA", "SA", "LM"] = "LA",
    niter: int = 300,
    tol: float | None = None,
    *,
    basis: int | None = None,
    generator: torch.Generator | None = None,
) -> Eigenpairs:
    r"""Return eigenpairs of a Hermitian operator, by the Lanczos method with thick restarts.

    The method computes the Ritz pairs of :math:`V^H A V` for a basis :math:`V` of a Krylov space, with full
    reorthogonalisation. The basis grows to a few hundred vectors. Then the method restarts from the wanted half of the
    Ritz vectors.

    Args:
        Op: A Hermitian operator.
        neigs: Number of eigenpairs.
        which: ``"LA"`` for the largest, ``"SA"`` for the smallest, ``"LM"`` for those of largest modulus.
        niter: Maximum number of rounds. Each round doubles the basis, or restarts.
        tol: Tolerance for the norm of the residuals ``A v - lambda v``, relative to the largest modulus. The error of a
            value is about its square. By default, the machine epsilon to the power 3/4.
        basis: Size of the basis, which is then fixed.
        generator: Generator of the random first vector.

    A Krylov space contains only one vector of a multiple eigenvalue. To find the others, the method continues from new
    random vectors until no new values appear.

    Sources: C. Lanczos, J. Res. Nat. Bur. Standards 45 (1950), 255-282; K. Wu and H. Simon, Thick-restart Lanczos
    method for large symmetric eigenvalue problems, SIAM J. Matrix Anal. Appl. 22 (2000), 602-616.

    Example:
        >>> import torchlops
        >>> values, vectors = lanczos(torchlops.Diagonal(torch.arange(100.0)), neigs=2)
        >>> torch.allclose(values, torch.tensor([99.0, 98.0]))
        True
    """
    if which not in ("LA", "SA", "LM"):
        raise ValueError(f"lanczos: which must be 'LA', 'SA' or 'LM', got {which!r}")
    A = square(Op, "lanczos")
    wanted = Wanted("lanczos", at_most(neigs, A.shape[0], "neigs"), which, niter, tol, basis, generator)

    def compute(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor]:
        must_be_hermitian(flat.A, "lanczos", "use golub_kahan, or the eigenvalues of its matrix")
        values, (vectors,), converged = converge(Lanczos, flat, wanted)
        return values, vectors, converged

    values, vectors, converged = differentiable_pairs(Hermitian(A), compute)
    return Eigenpairs(values, vectors.mT, converged)


def largest_eigenvalue(A: LinearOperator, x: Tensor, niter: int = 60, tol: float = 1e-3) -> Tensor:
    """Return an upper bound, within the relative tolerance ``tol``, of the largest eigenvalue of ``A^H A``.

    The bound is the largest Ritz value of a Lanczos process plus the norm of its residual. Only two vectors are stored.
    The result has shape ``(*batch, 1)`` if the tensors of ``A`` differ between samples, else ``(1,)``.

    Args:
        A: The operator.
        x: A model with the batch shape, dtype and device to use. Its values are ignored.
        niter: Maximum number of iterations.
        tol: Relative tolerance.
    """
    with torch.no_grad():
        dtype = torch.promote_types(x.dtype, torch.float32)
        dtype = complex_dtype(dtype) if A._torch_dtype().is_complex else dtype
        flat = VectorOperator(A, dtype, as_pairs=not A.clinear)
        drawn = torch.randn(1, flat.columns, generator=source(None), dtype=torch.float64, device="cpu")
        v = unit(drawn.to(x.device, flat.dtype))
        is_shared = _is_shared(flat, v)
        if not is_shared:
            v = v.expand(*x.shape[: x.ndim - len(A.dims)], flat.columns)
        size = norm(flat.forward(v)).max().item()  # products in units of this have squares in the range of the dtype
        size = 2.0 ** math.frexp(size)[1] if 0.0 < size < math.inf else 1.0
        old, beta = torch.zeros_like(v), torch.zeros_like(norm(v))
        most = min(niter, 2 * flat.columns)  # more steps than the size, since orthogonality is lost
        T = torch.zeros(*v.shape[:-1], most, most, dtype=real_dtype(flat.dtype), device=v.device)
        for k in range(most):
            w = flat.adjoint(flat.forward(v) / size) / size - beta * old
            alpha = inner(v, w).real
            w = w - alpha * v
            beta = norm(w)
            old, v = v, unit(w, beta)
            T[..., k, k] = alpha.squeeze(-1)
            if (k + 1) % 5 == 0 or k + 1 == most:
                values, vectors = torch.linalg.eigh(torch.nan_to_num(T[..., : k + 1, : k + 1]))
                value = values[..., -1:].clamp(min=0)
                error = (beta * vectors[..., -1, -1:]).abs()
                if bool((error <= tol * value).all()) or k + 1 == most:
                    break
            T[..., k, k + 1] = T[..., k + 1, k] = beta.squeeze(-1)
        bound: Tensor = (value + error) * size**2
        return bound[0] if is_shared else bound


def _is_shared(flat: VectorOperator, v: Tensor) -> bool:
    """Whether the operator is the same for all samples of a batch: it takes a batch of one to one."""
    try:
        return flat.forward(v).shape[:-1] == v.shape[:-1]
    except RuntimeError:
        return False
