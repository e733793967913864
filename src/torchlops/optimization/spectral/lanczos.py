"""The Lanczos process, eigenpairs, and a bound of the largest eigenvalue of ``A^H A`` for step lengths."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from torchlops.arrays import complex_dtype, real_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import (
    Scalar,
    inner,
    maximum,
    norm,
    orthogonalized,
    where,
)
from torchlops.optimization.spectral.derivatives import differentiable_pairs
from torchlops.optimization.spectral.hermitian import Hermitian
from torchlops.optimization.spectral.matrices import at_most, must_be_hermitian, random, source, square
from torchlops.optimization.spectral.restarts import basis_sizes, converge, new_direction, unit
from torchlops.optimization.spectral.results import Eigenpairs, warn_not_converged


class Lanczos:
    r"""The Lanczos process for a Hermitian operator, for a batch of first vectors.

    .. math:: A V = V H + \beta v e_k^H

    ``V`` is orthonormal, with full reorthogonalisation, and ``H`` is tridiagonal. (After a restart, the leading block
    of ``H`` is an arrowhead matrix.)

    Args:
        apply: The operator, on vectors ``(*batch, n)``.
        start: First vectors.
        capacity: Number of vectors to allocate.
        draw: Function that returns random vectors, used to continue from an invariant subspace.

    Source: C. Lanczos, J. Res. Nat. Bur. Standards 45 (1950), 255-282.
    """

    def __init__(
        self, apply: Callable[[Tensor], Tensor], start: Tensor, capacity: int, draw: Callable[[], Tensor]
    ) -> None:
        self.apply, self.draw = apply, draw
        self.rounding = torch.finfo(start.dtype).eps
        self.whole = start.shape[-1]
        self.V = start.new_zeros((*start.shape[:-1], 0, self.whole))
        self.H = start.new_zeros((*start.shape[:-1], 0, 0))
        self.capacity = self.size = self.products = 0
        self.beta: Scalar = 0.0
        self.largest: Scalar = 0.0
        self.grow(capacity)
        self.V[..., 0, :] = unit(start)

    def grow(self, capacity: int) -> None:
        """Allocate space for more vectors."""
        more = capacity - self.capacity
        rows = more if self.capacity else more + 1  # plus one for the next vector
        self.V = torch.cat([self.V, self.V.new_zeros((*self.V.shape[:-2], rows, self.whole))], -2)
        self.H = torch.nn.functional.pad(self.H, (0, more, 0, more))
        self.capacity = capacity

    def extend(self, size: int | None = None) -> None:
        """Extend the basis to ``size`` vectors; to its capacity by default."""
        for j in range(self.size, self.capacity if size is None else size):
            w = self.apply(self.V[..., j, :])
            self.largest = maximum(self.largest, norm(w))
            w, h = orthogonalized(w, self.V[..., : j + 1, :])
            self.H[..., : j + 1, j], self.H[..., j, : j + 1] = h, h.conj()
            self.H[..., j, j] = h[..., j].real
            length = norm(w)
            ended = length <= 10 * self.rounding * self.largest  # an invariant subspace: continue in another one
            self.beta = where(ended, 0.0 * length, length)
            if j + 1 == self.whole:
                self.beta = 0.0 * length
            else:
                w = unit(w, length)
                if bool(ended.any()) if isinstance(ended, Tensor) else ended:
                    w = where(ended, new_direction(self.draw(), self.V[..., : j + 1, :]), w)
                self.V[..., j + 1, :] = w
                self._couple(j)
            self.products += 1
            self.size = j + 1

    def _couple(self, j: int) -> None:
        if j + 1 < self.capacity:
            beta = self.beta.squeeze(-1) if isinstance(self.beta, Tensor) else self.beta
            self.H[..., j, j + 1] = self.H[..., j + 1, j] = beta

    def ritz(self, which: str) -> tuple[Tensor, Tensor]:
        """Return the Ritz values of a single process, wanted ones first, and the norms of their residuals."""
        theta, S = torch.linalg.eigh(self.H)
        order = torch.argsort({"LA": -theta, "SA": theta, "LM": -theta.abs()}[which], stable=True)
        self.theta, self.S = theta[order], S[:, order]
        residuals: Tensor = self.beta * self.S[-1].abs()
        return self.theta, residuals

    def vectors(self, count: int) -> Tensor:
        """Return the Ritz vectors of the first ``count`` values of the last ``ritz``, as rows."""
        vectors: Tensor = self.S[:, :count].mT @ self.V[: self.capacity]
        return vectors

    def restart(self, count: int, fresh: bool) -> None:
        """Keep only the first ``count`` Ritz pairs (K. Wu and H. Simon, SIAM J. Matrix Anal. Appl. 22 (2000), 602)."""
        following = self.V[self.capacity].clone()
        self.V[:count] = self.vectors(count)
        self.V[count] = new_direction(self.draw(), self.V[:count]) if fresh else following
        self.H.zero_()
        self.H.diagonal()[:count] = self.theta[:count].to(self.H.dtype)
        self.size = count


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
    count = at_most(neigs, A.shape[0], "neigs")

    def compute(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor]:
        must_be_hermitian(flat.A, "lanczos", "use golub_kahan, or the eigenvalues of its matrix")
        drawn = source(generator)
        first, limit = basis_sizes(count, basis, flat.columns, flat.columns, flat.dtype.itemsize)
        process = Lanczos(flat.forward, random(flat, (), drawn), first, lambda: random(flat, (), drawn))
        accuracy = flat.rounding**0.75 if tol is None else tol
        values, converged, residual = converge(process, count, which, niter, accuracy, limit, True)
        warn_not_converged("lanczos", converged, f"the largest residual is {float(residual):.2g}, tol {accuracy:.2g}")
        return values, process.vectors(count), converged

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
        drawn = torch.randn(flat.columns, generator=source(None), dtype=torch.float64, device="cpu")
        v = drawn.to(x.device, flat.dtype)
        batch = x.shape[: x.ndim - len(A.dims)]
        if not _is_shared(flat, v):
            v = v.expand(*batch, flat.columns).clone()
        v = unit(v)
        first = norm(flat.forward(v))  # products in units of this, whose squares do not leave the range of the dtype
        size = first.max().item() if isinstance(first, Tensor) else first
        size = 2.0 ** math.frexp(size)[1] if 0.0 < size < math.inf else 1.0
        old, beta = torch.zeros_like(v), _number(0.0 * norm(v), v)
        most = min(niter, 2 * flat.columns)  # more steps than the size, since orthogonality is lost
        T = torch.zeros(*v.shape[:-1], most, most, dtype=real_dtype(flat.dtype), device=v.device)
        for k in range(most):
            w = flat.adjoint(flat.forward(v) / size) / size - beta * old
            alpha = _number(inner(v, w).real, v)
            w = w - alpha * v
            beta = _number(norm(w), v)
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
        return bound


def _is_shared(flat: VectorOperator, v: Tensor) -> bool:
    """Whether the operator is the same for all samples of a batch."""
    try:
        return flat.forward(v).ndim == 1
    except RuntimeError:
        return False


def _number(value: Scalar, v: Tensor) -> Tensor:
    """Return one real number per vector as a tensor ``(*batch, 1)``."""
    return value if isinstance(value, Tensor) else torch.full((1,), value, dtype=real_dtype(v.dtype), device=v.device)
