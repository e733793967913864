r"""Eigenvalues, singular values, the norm and the log-determinant of an operator, without its matrix.

They are differentiable in the tensors of the operator, in every mode and to any order, by what perturbation theory says
of them, and not through the iterations (see ``_spectral.py``):

.. math::

    \dot\lambda = \mathrm{Re}\langle v, \dot A v\rangle, \qquad
    \dot v = -(A - \lambda)^+ \dot A v, \qquad
    \dot\sigma = \mathrm{Re}\langle u, \dot A v\rangle, \qquad
    \dot{\log\det A} = \mathrm{E}\, \mathrm{Re}\langle A^{-1} z, \dot A z\rangle.

First derivatives of values cost one product; those of vectors, and higher ones, one solve by MINRES, all vectors as one
batch. They are derivatives of exact pairs, and as inexact as these have been found. Signs and phases of vectors are
arbitrary, and may jump when a tensor changes: they are constant in a derivative, :math:`\langle v, \dot v \rangle = 0`
(of singular vectors: :math:`\mathrm{Im}(\langle u, \dot u \rangle + \langle v, \dot v \rangle) = 0`), and a function
to be differentiated should not depend on them. A value that others equal, up to the root of the rounding, has no
derivative, and its vector has none: a warning tells. The sum over all equal values still has its first and second
derivatives, and the projector on their vectors the first; ask for all of them. Operators are single matrices; under
``torch.vmap`` over their tensors, they are decomposed one after the other.

Random numbers come from the ``generator`` that is given, or from one of a fixed seed, never from the global one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchlops.arrays import DType, real_dtype, to_numpy, torch_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.optimization._flat import Flat
from torchlops.optimization._spectral import (
    Hermitian,
    differentiable_log,
    differentiable_pairs,
    may_be_differentiated,
)
from torchlops.optimization.basesolver import SolverWarning
from torchlops.optimization.implicit import _constant

__all__ = ["golub_kahan", "lanczos", "lobpcg", "logdet", "operator_norm", "power_iteration", "randomized_svd"]


class Eigenpairs(NamedTuple):
    """Eigenvalues ``(k,)`` and, as columns, eigenvectors ``(n, k)``."""

    values: Tensor
    vectors: Tensor


class SingularTriplets(NamedTuple):
    """Left singular vectors ``(m, k)``, singular values ``(k,)``, largest first, and right ones as rows ``(k, n)``."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class LogDeterminant(NamedTuple):
    """An estimate of a log-determinant, and its standard error."""

    estimate: Tensor
    error: Tensor


def power_iteration(
    Op: Any,
    niter: int = 10,
    tol: float = 1e-5,
    dtype: DType = "float32",
    backend: str = "numpy",
    *,
    generator: torch.Generator | None = None,
) -> tuple[Any, Any, int]:
    r"""Return the eigenvalue of largest modulus, its vector, and the number of iterations, by the power method.

    .. math:: b \leftarrow A b / \|A b\|, \qquad \lambda \approx \langle b, A b\rangle

    It converges as :math:`|\lambda_2 / \lambda_1|^k`: :func:`lanczos` needs far fewer products, and
    :func:`operator_norm` takes operators that are not square. With ``backend="torch"``, value and vector carry
    derivatives, if the operator is Hermitian: those of the exact pair, so run until it converges.

    Args:
        Op: A square operator.
        niter: Most iterations.
        tol: Stop where the eigenvalue changes by less than this fraction of it. (PyLops compares without moduli, so
            that it never stops early on a negative eigenvalue.)
        dtype: Type of the first vector, which is random.
        backend: ``"numpy"`` for NumPy, ``"torch"`` for tensors.
        generator: Source of the random vector.

    Raises:
        ValueError: where a derivative is wanted, and the operator is not Hermitian.

    Example:
        >>> import torchlops
        >>> value, vector, iiter = power_iteration(torchlops.Diagonal(torch.tensor([1.0, 4.0, -9.0])), niter=100)
        >>> round(float(value), 4)
        -9.0
    """
    if backend not in ("numpy", "torch"):
        raise ValueError(f"backend must be 'numpy' or 'torch', got {backend!r}")
    A = _square(Op, "power_iteration")
    wanted = torch_dtype(dtype)
    if backend == "numpy" or not may_be_differentiated(A):
        with torch.no_grad():
            value, b, iiter = _power_iteration(A, niter, tol, wanted, _source(generator))
        return (value, b, iiter) if backend == "torch" else (to_numpy(value)[()], to_numpy(b), iiter)
    counts = []

    def compute(flat: Flat) -> tuple[Tensor, Tensor]:
        _must_be_hermitian(flat, _source(None))
        start = wanted if flat.dtype.is_complex else real_dtype(wanted)
        value, b, iiter = _power_iteration(flat.A, niter, tol, start, _source(generator))
        counts.append(iiter)
        return value.real[None].to(real_dtype(flat.dtype)), b[None].to(flat.dtype)

    values, vectors = differentiable_pairs(Hermitian(A), compute)
    return values[0].to(vectors.dtype), vectors[0], max(counts)


def _power_iteration(
    A: LinearOperator, niter: int, tol: float, wanted: torch.dtype, source: torch.Generator
) -> tuple[Tensor, Tensor, int]:
    b = torch.rand(A.shape[1], generator=source, dtype=torch.float64)
    if wanted.is_complex:
        b = torch.complex(b, torch.rand(A.shape[1], generator=source, dtype=torch.float64))
    b = b.to(A._device() or torch.device("cpu"), wanted)
    b = b / _length(b)
    value, iiter = torch.zeros((), dtype=b.dtype), 0
    for iiter in range(1, niter + 1):
        before, product = value, A._apply_to(b, False)
        value = (b.to(product.dtype).conj() * product).sum()
        b = product / _length(product)
        if iiter > 1 and bool((value - before.to(value.device)).abs() < tol * before.abs()):
            break
    return value, b, iiter


def _must_be_hermitian(flat: Flat, source: torch.Generator) -> None:
    x = flat.random(1, flat.columns, source)
    y = flat.forward(x)
    if _length(flat.adjoint(x) - y) > flat.rounding**0.5 * _length(y):
        raise ValueError(
            f"power_iteration has derivatives of Hermitian operators only, which {flat.A.name_and_type} is not: call "
            "it under torch.no_grad(), or take operator_norm"
        )


def lanczos(
    Op: Any,
    neigs: int = 6,
    which: str = "LA",
    niter: int = 3000,
    tol: float | None = None,
    *,
    basis: int | None = None,
    generator: torch.Generator | None = None,
) -> Eigenpairs:
    r"""Return eigenpairs of a Hermitian operator, by the Lanczos method with thick restarts.

    A basis :math:`V` of a Krylov space gives the Ritz pairs of :math:`V^H A V`; it is kept orthogonal in full. When it
    is full, the method goes on from the wanted half of the Ritz vectors.

    Args:
        Op: A Hermitian operator.
        neigs: How many eigenpairs.
        which: ``"LA"`` the largest, ``"SA"`` the smallest, ``"LM"`` those of largest modulus.
        niter: Most restarts.
        tol: Norm of the residuals ``A v - lambda v`` to reach, relative to the largest modulus; by default the
            rounding of the dtype to the power of three quarters. The error of a value is about the square of it.
        basis: Size of the basis; at least 40, and a bit more than twice ``neigs``, by default.
        generator: Source of the random first vector.

    A Krylov space has one vector of a multiple eigenvalue. For the others the method goes on from new random vectors,
    until they bring nothing new.

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
    A = _square(Op, "lanczos")
    count = _at_most(neigs, A.shape[0], "neigs")

    def compute(flat: Flat) -> tuple[Tensor, Tensor]:
        return _lanczos(flat, count, which, niter, tol, basis, _source(generator))

    values, vectors = differentiable_pairs(Hermitian(A), compute)
    return Eigenpairs(values, vectors.mT)


def _lanczos(
    flat: Flat, count: int, which: str, niter: int, tol: float | None, basis: int | None, source: torch.Generator
) -> tuple[Tensor, Tensor]:
    size = flat.columns
    m = min(size, max(2 * count + 20, 40) if basis is None else max(basis, count + 2))
    V = flat.zeros(m + 1, size)
    H = flat.zeros(m, m)
    V[0] = _new_direction(V[:0], flat.random(1, size, source)[0])
    first, largest, tol = 0, 0.0, flat.rounding**0.75 if tol is None else tol
    copies = _Copies(m < size)
    for restart in range(niter):
        beta = 0.0
        for j in range(first, m):
            w = flat.forward(V[j : j + 1])[0]
            largest = max(largest, float(_length(w)))
            w, h = _orthogonalized(w, V[: j + 1])
            H[: j + 1, j], H[j, : j + 1] = h, h.conj()
            H[j, j] = h[j].real
            beta = float(_length(w))
            if beta <= flat.rounding * largest:  # the space is invariant: go on in another one
                beta = 0.0
                w = _new_direction(V[: j + 1], flat.random(1, size, source)[0]) if j + 1 < size else w
            V[j + 1] = w / _length(w) if j + 1 < size else 0.0
        theta, S = torch.linalg.eigh(H)
        order = torch.argsort({"LA": -theta, "SA": theta, "LM": -theta.abs()}[which], stable=True)
        theta, S = theta[order], S[:, order]
        residuals = beta * S[-1, :count].abs()
        scale = tol * theta.abs().max()
        done = bool((residuals <= scale).all())
        complete, fresh = copies.check(done, theta[:count], scale)
        if complete or restart == niter - 1:
            if not done:
                _not_converged("lanczos", residuals, scale)
            break
        first = count if fresh else min(count + (m - count) // 2, m - 1)  # the others have a residual still
        V[:first], V[first] = S[:, :first].mT @ V[:m], V[m].clone()
        if fresh:
            V[first] = _new_direction(V[:first], flat.random(1, size, source)[0])
        H.zero_()
        H.diagonal()[:first] = theta[:first].to(H.dtype)
    return theta[:count], S[:, :count].mT @ V[:m]


def lobpcg(
    Op: Any,
    neigs: int = 6,
    which: str = "LA",
    niter: int = 300,
    tol: float | None = None,
    *,
    M: Any = None,
    X: Any = None,
    generator: torch.Generator | None = None,
) -> Eigenpairs:
    r"""Return eigenpairs of a Hermitian operator, by the locally optimal block preconditioned conjugate gradients.

    Each iteration takes the best vectors in the span of the current ones, of their preconditioned residuals
    :math:`M (A x - \lambda x)`, and of the last steps. It is kept as one orthogonal basis.

    Args:
        Op: A Hermitian operator.
        neigs: How many eigenpairs; at most a third of the size, otherwise :func:`lanczos` is the method.
        which: ``"LA"`` the largest, ``"SA"`` the smallest.
        niter: Most iterations, with ``neigs`` products each, as one batch.
        tol: Norm of the residuals to reach, relative to the largest modulus; by default the rounding of the dtype to
            the power of three quarters.
        M: Preconditioner, an approximate inverse of the operator (for ``"SA"``).
        X: First vectors as columns, ``(n, neigs)``; random by default.
        generator: Source of these.

    Sources: A. V. Knyazev, Toward the optimal preconditioned eigensolver: locally optimal block preconditioned
    conjugate gradient method, SIAM J. Sci. Comput. 23 (2001), 517-541; the basis as in J. A. Duersch et al., SIAM J.
    Sci. Comput. 40 (2018), C655-C676.

    Example:
        >>> import torchlops
        >>> values, vectors = lobpcg(torchlops.Diagonal(torch.arange(1.0, 101.0)), neigs=2, which="SA")
        >>> torch.allclose(values, torch.tensor([1.0, 2.0]), rtol=1e-4)
        True
    """
    from torchlops.torchoperator import aslinearoperator

    if which not in ("LA", "SA"):
        raise ValueError(f"lobpcg: which must be 'LA' or 'SA', got {which!r}")
    A = _square(Op, "lobpcg")
    if not 1 <= neigs <= max(A.shape[0] // 3, 1):
        raise ValueError(
            f"lobpcg takes 1 to {max(A.shape[0] // 3, 1)} eigenpairs of {A.name_and_type}, got {neigs}: take lanczos"
        )
    preconditioner = None if M is None else aslinearoperator(M)

    def compute(flat: Flat) -> tuple[Tensor, Tensor]:
        return _lobpcg(flat, neigs, which, niter, tol, preconditioner, X, _source(generator))

    values, vectors = differentiable_pairs(Hermitian(A), compute)
    return Eigenpairs(values, vectors.mT)


def _lobpcg(
    flat: Flat,
    count: int,
    which: str,
    niter: int,
    tol: float | None,
    M: LinearOperator | None,
    X0: Any,
    source: torch.Generator,
) -> tuple[Tensor, Tensor]:
    size = flat.columns
    tol = flat.rounding**0.75 if tol is None else tol
    start = flat.random(count, size, source) if X0 is None else torch.as_tensor(X0).to(flat.device, flat.dtype).mT
    X = _orthonormal_rows(start)
    AX = flat.forward(X)
    P, AP, scale = X[:0], AX[:0], torch.linalg.vector_norm(AX, dim=-1).max()
    for iteration in range(niter + 1):
        theta, C = torch.linalg.eigh(X.conj() @ AX.mT)  # exact Ritz values of X
        order = torch.argsort(-theta if which == "LA" else theta, stable=True)
        theta, C = theta[order], C[:, order]
        X, AX = C.mT @ X, C.mT @ AX
        R = AX - theta[:, None].to(AX.dtype) * X
        residuals = torch.linalg.vector_norm(R, dim=-1)
        active = residuals > tol * scale  # the others are close to rounding, where a new direction means nothing
        if not bool(active.any()) or iteration == niter:
            if bool(active.any()):
                _not_converged("lobpcg", residuals, tol * scale)
            break
        W = R[active]
        W = W if M is None else flat.as_vectors(M.apply_nd(flat.as_model(W), False), M.dimsd, flat.dtype)
        basis = torch.cat([X, P])
        W = W / torch.linalg.vector_norm(W, dim=-1, keepdim=True).clamp(min=torch.finfo(W.dtype).tiny)
        for _ in range(2):  # once is not enough where residuals are small
            W = _orthonormal_rows(W - (W @ basis.mH) @ basis)
        basis, products = torch.cat([basis, W]), torch.cat([AX, AP, flat.forward(W)])
        theta, C = torch.linalg.eigh(basis.conj() @ products.mT)
        scale = torch.maximum(scale, theta.abs().max())
        C = C[:, torch.argsort(-theta if which == "LA" else theta, stable=True)[:count]]
        step = C[:, active]  # the new directions: what was added to X, orthogonal to the new X
        step = torch.cat([torch.zeros_like(step[:count]), step[count:]])
        step = torch.linalg.qr(step - C @ (C.mH @ step))[0]
        step = torch.linalg.qr(step - C @ (C.mH @ step))[0]
        X, AX, P, AP = C.mT @ basis, C.mT @ products, step.mT @ basis, step.mT @ products
    return theta, X


def golub_kahan(
    Op: Any,
    k: int = 6,
    which: str = "LM",
    niter: int = 3000,
    tol: float | None = None,
    *,
    basis: int | None = None,
    generator: torch.Generator | None = None,
) -> SingularTriplets:
    r"""Return singular triplets, by Golub-Kahan bidiagonalisation with thick restarts.

    Two bases, of models and of data, give :math:`U^H A V`; both are kept orthogonal in full. The products with
    :math:`A^H A`, which would square the condition number, are never formed.

    Args:
        Op: The operator.
        k: How many triplets.
        which: ``"LM"`` the largest, ``"SM"`` the smallest singular values. (The smallest of a large operator come
            slowly, where many are close to them.)
        niter: Most restarts.
        tol: Norm of the residuals ``A^H u - sigma v`` to reach, relative to the largest singular value; by default the
            rounding of the dtype to the power of three quarters. The error of a value is about the square of it.
        basis: Size of the bases; at least 40, and a bit more than twice ``k``, by default.
        generator: Source of the random first vector.

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
    A = _clinear(Op, "golub_kahan")
    count = _at_most(k, min(A.shape), "k")

    def compute(flat: Flat) -> tuple[Tensor, Tensor, Tensor]:
        return _golub_kahan(flat, count, which, niter, tol, basis, _source(generator))

    return _triplets(A, compute)


def _golub_kahan(
    flat: Flat,
    count: int,
    which: str,
    niter: int,
    tol: float | None,
    basis: int | None,
    source: torch.Generator,
    looks_for_copies: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    if flat.rows < flat.columns:  # the bases grow in the smaller space, so that no null space comes in
        S, V, U = _golub_kahan(flat.H, count, which, niter, tol, basis, source, looks_for_copies)
        return S, U, V
    size = flat.columns
    m = min(size, max(2 * count + 20, 40) if basis is None else max(basis, count + 2))
    V, U = flat.zeros(m + 1, size), flat.zeros(m, flat.rows)
    B = flat.zeros(m, m)
    V[0] = _new_direction(V[:0], flat.random(1, size, source)[0])
    first, largest, tol = 0, 0.0, flat.rounding**0.75 if tol is None else tol
    copies = _Copies(looks_for_copies and m < size)
    for restart in range(niter):
        beta = 0.0
        for j in range(first, m):
            u = flat.forward(V[j : j + 1])[0]
            largest = max(largest, float(_length(u)))
            u, h = _orthogonalized(u, U[:j])
            alpha = float(_length(u))
            if alpha <= flat.rounding * largest:
                alpha, u = 0.0, _new_direction(U[:j], flat.random(1, flat.rows, source)[0])
            B[:j, j], B[j, j] = h, alpha
            U[j] = u / _length(u)
            w = flat.adjoint(U[j : j + 1])[0]
            w, _ = _orthogonalized(w, V[: j + 1])
            beta = float(_length(w))
            if beta <= flat.rounding * largest:
                beta = 0.0
                w = _new_direction(V[: j + 1], flat.random(1, size, source)[0]) if j + 1 < size else w
            V[j + 1] = w / _length(w) if j + 1 < size else 0.0
        X, S, Yh = torch.linalg.svd(B)
        if which == "SM":
            X, S, Yh = X.flip(-1), S.flip(0), Yh.flip(0)
        residuals = beta * X[-1, :count].abs()
        scale = tol * S.max()
        done = bool((residuals <= scale).all())
        complete, fresh = copies.check(done, S[:count], scale)
        if complete or restart == niter - 1:
            if not done:
                _not_converged("golub_kahan", residuals, scale)
            break
        first = count if fresh else min(count + (m - count) // 2, m - 1)  # the others have a residual still
        V[:first], V[first] = Yh.conj()[:first] @ V[:m], V[m].clone()
        U[:first] = X[:, :first].mT @ U
        if fresh:
            V[first] = _new_direction(V[:first], flat.random(1, size, source)[0])
        B.zero_()
        B.diagonal()[:first] = S[:first].to(B.dtype)
    S, U, V = S[:count], X[:, :count].mT @ U, Yh.conj()[:count] @ V[:m]
    return (S.flip(0), U.flip(0), V.flip(0)) if which == "SM" else (S, U, V)


def randomized_svd(
    Op: Any,
    k: int = 6,
    oversampling: int = 10,
    niter: int = 2,
    *,
    generator: torch.Generator | None = None,
) -> SingularTriplets:
    r"""Return the ``k`` largest singular triplets, by a random sketch of the range.

    .. math:: Q = \mathrm{orth}((A A^H)^q A\, \Omega), \qquad Q^H A = \hat U S V^H, \qquad U = Q \hat U

    With :math:`2 + 2q` products, each with a batch of ``k + oversampling`` vectors. It is exact up to what the operator
    does beyond its first ``k + oversampling`` singular values; :func:`golub_kahan` is exact up to its tolerance.

    Args:
        Op: The operator.
        k: How many triplets.
        oversampling: How many more vectors are sketched.
        niter: Number ``q`` of power iterations.
        generator: Source of the random vectors.

    Source: N. Halko, P. G. Martinsson and J. A. Tropp, Finding structure with randomness: probabilistic algorithms for
    constructing approximate matrix decompositions, SIAM Review 53 (2011), 217-288.

    Example:
        >>> import torchlops
        >>> A = torchlops.MatrixMult(torch.outer(torch.ones(30), torch.arange(20.0)))
        >>> U, S, Vh = randomized_svd(A, k=1)
        >>> torch.allclose(S, torch.linalg.norm(A.A)[None])
        True
    """
    A = _clinear(Op, "randomized_svd")
    count = _at_most(k, min(A.shape), "k")
    if oversampling < 0 or niter < 0:
        raise ValueError(f"oversampling and niter must be 0 or more, got {oversampling} and {niter}")

    def compute(flat: Flat) -> tuple[Tensor, Tensor, Tensor]:
        sketch = min(count + oversampling, flat.rows, flat.columns)
        Q = _orthonormal_rows(flat.forward(flat.random(sketch, flat.columns, _source(generator))))
        for _ in range(niter):
            Q = _orthonormal_rows(flat.forward(_orthonormal_rows(flat.adjoint(Q))))
        X, S, Yh = torch.linalg.svd(flat.adjoint(Q).conj(), full_matrices=False)
        return S[:count], X[:, :count].mT @ Q, Yh[:count].conj()

    return _triplets(A, compute)


def operator_norm(
    Op: Any,
    niter: int = 100,
    tol: float | None = None,
    *,
    safe: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Return the spectral norm :math:`\|A\|`, the largest singular value, as a tensor with its derivative.

    By Golub-Kahan bidiagonalisation. Also of an operator that is linear over the real numbers only, as a real matrix.

    Args:
        Op: The operator.
        niter: Most restarts, of 40 steps each.
        tol: Norm of the residual to reach, relative to the norm. The error of the norm is about its square; by default
            the rounding of the dtype to the power of one half, which gives the norm to rounding.
        safe: Add the norm of the residual, and a percent: for step lengths, which must not exceed ``1 / norm ** 2``. An
            estimate from below would let them diverge.
        generator: Source of the random first vector.

    Example:
        >>> import torchlops
        >>> d = torch.tensor([1.0, -3.0], requires_grad=True)
        >>> norm = operator_norm(torchlops.Diagonal(d))
        >>> norm.backward()
        >>> round(norm.item(), 4), d.grad.round(decimals=4)
        (3.0, tensor([ 0., -1.]))
    """
    A = _operator(Op)

    def compute(flat: Flat) -> tuple[Tensor, Tensor]:
        accuracy = flat.rounding**0.5 if tol is None else tol
        with warnings.catch_warnings():
            if safe:  # the bound covers what is missing
                warnings.simplefilter("ignore", SolverWarning)
            S, U, V = _golub_kahan(flat, 1, "LM", niter, accuracy, None, _source(generator), False)
        return S, _joined(U, V)

    M = Hermitian(A, doubled=True, as_real=True)
    values, vectors = differentiable_pairs(M, compute)
    if not safe:
        return values[0]
    residual = math.sqrt(2) * torch.linalg.vector_norm(M.apply_nd(vectors, False) - values.to(vectors.dtype) * vectors)
    bound: Tensor = 1.01 * (values[0] + _constant(residual))
    return bound


def logdet(
    Op: Any,
    nprobes: int = 30,
    niter: int = 30,
    *,
    rtol: float = 1e-8,
    generator: torch.Generator | None = None,
) -> LogDeterminant:
    r"""Estimate the log-determinant of a Hermitian positive definite operator, by stochastic Lanczos quadrature.

    .. math::

        \log\det A = \mathrm{tr} \log A = \mathrm{E}\, z^H \log(A) z
        \approx \frac{n}{q} \sum_{i=1}^q \sum_j |s^{(i)}_{1j}|^2 \log \theta^{(i)}_j

    with random signs (or phases) ``z`` and the Ritz pairs of ``niter`` Lanczos steps from each, all as one batch. The
    standard error tells of the random vectors, and not of too few steps. Derivatives are estimated with the same random
    vectors, and right in the mean, to any order.

    Args:
        Op: The operator.
        nprobes: Number ``q`` of random vectors.
        niter: Lanczos steps, each with one product.
        rtol: Relative tolerance of the solve ``A w = z`` for the derivative, done in the backward pass.
        generator: Source of the random vectors.

    Raises:
        ValueError: where the operator is not positive definite.

    Source: S. Ubaru, J. Chen and Y. Saad, Fast estimation of tr(f(A)) via stochastic Lanczos quadrature, SIAM J. Matrix
    Anal. Appl. 38 (2017), 1075-1099.

    Example:
        >>> import torchlops
        >>> estimate, error = logdet(torchlops.Diagonal(torch.linspace(1.0, 2.0, 50)))
        >>> abs(estimate - torch.linspace(1.0, 2.0, 50).log().sum()) < 3 * error + 1e-4
        tensor(True)
    """
    A = _square(Op, "logdet")
    if nprobes < 1 or niter < 1:
        raise ValueError(f"nprobes and niter must be 1 or more, got {nprobes} and {niter}")

    def compute(flat: Flat) -> tuple[Tensor, Tensor]:
        z = flat.signs(nprobes, flat.columns, _source(generator))
        return _log_quadrature(flat, z, niter, A.name_and_type), z

    values = differentiable_log(Hermitian(A), compute, max(10 * niter, 200), rtol)
    spread = values.detach().std() if nprobes > 1 else values.new_tensor(math.inf)
    return LogDeterminant(values.mean(), spread / math.sqrt(nprobes))


def _log_quadrature(flat: Flat, probes: Tensor, niter: int, name: str) -> Tensor:
    """Return ``z^H log(A) z`` of each probe, each by Lanczos with its own basis."""
    steps, (count, size) = min(niter, flat.columns), probes.shape
    V = flat.zeros(steps, count, size)
    T = torch.zeros(count, steps, steps, dtype=real_dtype(flat.dtype), device=flat.device)
    V[0] = probes / math.sqrt(size)
    beta = T.new_zeros(count)
    largest = T.new_zeros(count)
    for j in range(steps):
        w = flat.forward(V[j])
        largest = torch.maximum(largest, torch.linalg.vector_norm(w, dim=-1))
        T[:, j, j] = (V[j].conj() * w).sum(-1).real
        ended = (V[j] == 0).all(-1)
        T[:, j, j] = torch.where(ended, 1.0, T[:, j, j])  # of weight 0
        for _ in range(2):
            w = w - torch.einsum("jcn,jc->cn", V[: j + 1], torch.einsum("jcn,cn->jc", V[: j + 1].conj(), w))
        beta = torch.linalg.vector_norm(w, dim=-1)
        beta = torch.where(beta > 10 * flat.rounding * largest, beta, 0.0)
        if j + 1 < steps:
            T[:, j, j + 1] = T[:, j + 1, j] = beta
            V[j + 1] = torch.where(beta[:, None] > 0, w / torch.where(beta > 0, beta, 1.0)[:, None], 0.0)
    theta, S = torch.linalg.eigh(T)
    if not bool((theta > 0).all()):
        raise ValueError(f"logdet: {name} is not positive definite, it has the Ritz value {float(theta.min()):.3g}")
    values: Tensor = size * (S[:, 0] ** 2 * theta.log()).sum(-1)
    return values


# -- multiple values, bases ---------------------------------------------------------------------------------


class _Copies:
    """Looks for the copies of multiple values, of which a Krylov space has but one.

    When the wanted values have converged, the method goes on from a new random direction, for as many restarts as it
    took so far. They are complete when they have converged again and are the same.
    """

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.values: Tensor | None = None
        self.restarts = self.until = 0

    def check(self, done: bool, values: Tensor, scale: Tensor) -> tuple[bool, bool]:
        """Return whether the values are complete, and whether to go on from a new direction."""
        if not self.enabled:
            return done, False
        self.restarts += 1
        if not done or self.restarts < self.until:
            return False, False
        if self.values is not None and bool(((values - self.values).abs() <= 100 * scale).all()):
            return True, False
        self.values, self.until = values, max(2 * self.restarts, self.restarts + 3)
        return False, True


def _source(generator: torch.Generator | None) -> torch.Generator:
    return torch.Generator().manual_seed(0) if generator is None else generator


def _length(x: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(x)
    return length


def _orthogonalized(w: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``w`` less its part in the rows of ``basis``, and the coefficients of that; twice is enough."""
    first = basis.conj() @ w
    w = w - first @ basis
    second = basis.conj() @ w
    return w - second @ basis, first + second


def _new_direction(basis: Tensor, drawn: Tensor) -> Tensor:
    w = _orthogonalized(drawn, basis)[0]
    return w / _length(w)


def _orthonormal_rows(x: Tensor) -> Tensor:
    rows: Tensor = torch.linalg.qr(x.mT)[0].mT
    return rows


# -- arguments and failures -----------------------------------------------------------------------------------


def _operator(Op: Any) -> LinearOperator:
    from torchlops.torchoperator import aslinearoperator

    A: LinearOperator = aslinearoperator(Op)
    return A


def _clinear(Op: Any, name: str) -> LinearOperator:
    A = _operator(Op)
    if not A.clinear:
        raise TypeError(f"{name}: {A.name_and_type} is linear over the real numbers only: it is no complex matrix")
    return A


def _square(Op: Any, name: str) -> LinearOperator:
    A = _clinear(Op, name)
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"{name} takes square operators, {A.name_and_type} is {A.shape}: take singular values")
    return A


def _at_most(count: int, size: int, what: str) -> int:
    if count < 1:
        raise ValueError(f"{what} must be 1 or more, got {count}")
    return min(count, size)


def _not_converged(name: str, residuals: Tensor, limit: Tensor) -> None:
    missing = (residuals > limit).nonzero().flatten().tolist()
    warnings.warn(
        f"{name} stopped at niter before the residuals of {missing} met the tolerance: the largest is "
        f"{float(residuals.max()):.2g}, the limit {float(limit):.2g}. Raise niter, the basis or tol.",
        SolverWarning,
        stacklevel=2,
    )


def _triplets(A: LinearOperator, compute: Callable[[Flat], tuple[Tensor, Tensor, Tensor]]) -> SingularTriplets:
    def pairs(flat: Flat) -> tuple[Tensor, Tensor]:
        S, U, V = compute(flat)
        return S, _joined(U, V)

    S, joined = differentiable_pairs(Hermitian(A, doubled=True), pairs)
    U, V = torch.split(math.sqrt(2) * joined, list(A.shape), -1)
    return SingularTriplets(U.mT, S, V.conj())


def _joined(U: Tensor, V: Tensor) -> Tensor:
    """Return the eigenvectors of ``[[0, A], [A^H, 0]]`` that singular vectors make."""
    return torch.cat([U, V], -1) / math.sqrt(2)
