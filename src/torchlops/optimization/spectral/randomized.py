"""Methods that start from random vectors: randomised singular triplets, and the power method."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from torchlops.arrays import DType, real_dtype, to_numpy, torch_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import inner, norm, orthonormal_rows
from torchlops.optimization.spectral.derivatives import differentiable_pairs
from torchlops.optimization.spectral.golub_kahan import differentiable_triplets
from torchlops.optimization.spectral.hermitian import Hermitian, may_be_differentiated
from torchlops.optimization.spectral.matrices import at_most, clinear, must_be_hermitian, random, source, square
from torchlops.optimization.spectral.restarts import unit
from torchlops.optimization.spectral.results import SingularTriplets


def randomized_svd(
    Op: LinearOperator, k: int = 6, oversampling: int = 10, niter: int = 2, *, generator: torch.Generator | None = None
) -> SingularTriplets:
    r"""Return the ``k`` largest singular triplets, by a random sketch of the range.

    .. math:: Q = \mathrm{orth}((A A^H)^q A\, \Omega), \qquad Q^H A = \hat U S V^H, \qquad U = Q \hat U

    It takes :math:`2 + 2q` products, each with a batch of ``k + oversampling`` vectors. The error is determined by the
    singular values beyond the first ``k + oversampling``. For results accurate to a tolerance, use :func:`golub_kahan`.
    A triplet has ``converged`` if its residual :math:`|A v - \sigma u|`, relative to the largest singular value, is
    below the square root of the machine epsilon.

    Args:
        Op: The operator.
        k: Number of triplets.
        oversampling: Number of additional vectors in the sketch.
        niter: Number ``q`` of power iterations.
        generator: Generator of the random vectors.

    Source: N. Halko, P. G. Martinsson and J. A. Tropp, Finding structure with randomness: probabilistic algorithms for
    constructing approximate matrix decompositions, SIAM Review 53 (2011), 217-288.

    Example:
        >>> import torchlops
        >>> A = torchlops.MatrixMult(torch.outer(torch.ones(30), torch.arange(20.0)))
        >>> U, S, Vh = randomized_svd(A, k=1)
        >>> torch.allclose(S, torch.linalg.norm(A.A)[None])
        True
    """
    A = clinear(Op, "randomized_svd")
    count = at_most(k, min(A.shape), "k")
    if oversampling < 0 or niter < 0:
        raise ValueError(f"oversampling and niter must be 0 or more, got {oversampling} and {niter}")

    def compute(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        sketch = min(count + oversampling, flat.rows, flat.columns)
        Q = orthonormal_rows(flat.forward(random(flat, (sketch,), source(generator))))
        for _ in range(niter):
            Q = orthonormal_rows(flat.forward(orthonormal_rows(flat.adjoint(Q))))
        X, S, Yh = torch.linalg.svd(flat.adjoint(Q).conj(), full_matrices=False)
        S, U, V = S[:count], X[:, :count].mT @ Q, Yh[:count].conj()
        residuals = norm(flat.forward(V) - S[:, None].to(U.dtype) * U).squeeze(-1)
        return S, U, V, residuals <= flat.rounding**0.5 * S.max()

    return differentiable_triplets(A, compute)


def power_iteration(
    Op: LinearOperator,
    niter: int = 10,
    tol: float = 1e-5,
    dtype: DType = "float32",
    backend: Literal["numpy", "torch"] = "numpy",
    *,
    generator: torch.Generator | None = None,
) -> tuple[Any, Any, int]:
    r"""Return the eigenvalue of largest modulus, its vector, and the number of iterations, by the power method.

    .. math:: b \leftarrow A b / \|A b\|, \qquad \lambda \approx \langle b, A b\rangle

    The error decreases as :math:`|\lambda_2 / \lambda_1|^k`. :func:`lanczos` needs far fewer products, and
    :func:`operator_norm` also takes operators that are not square. With ``backend="torch"`` and a Hermitian operator,
    value and vector are differentiable. The derivatives are those of the exact pair, so iterate until convergence.

    Args:
        Op: A square operator.
        niter: Maximum number of iterations.
        tol: Stop if the relative change of the eigenvalue is below this tolerance. (PyLops compares without absolute
            values, so it never stops early for a negative eigenvalue.)
        dtype: Data type of the random first vector.
        backend: Kind of the results, ``"numpy"`` for arrays or ``"torch"`` for tensors.
        generator: Generator of the random first vector.

    Raises:
        ValueError: If a derivative is requested, but the operator is not Hermitian.

    Example:
        >>> import torchlops
        >>> value, vector, iiter = power_iteration(torchlops.Diagonal(torch.tensor([1.0, 4.0, -9.0])), niter=100)
        >>> round(float(value), 4)
        -9.0
    """
    if backend not in ("numpy", "torch"):
        raise ValueError(f"backend must be 'numpy' or 'torch', got {backend!r}")
    A = square(Op, "power_iteration")
    wanted = torch_dtype(dtype)
    if backend == "numpy" or not may_be_differentiated(A):
        with torch.no_grad():
            value, b, iiter = _power_iteration(A, niter, tol, wanted, source(generator))
        return (value, b, iiter) if backend == "torch" else (to_numpy(value)[()], to_numpy(b), iiter)
    counts = []

    def compute(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor]:
        must_be_hermitian(
            flat.A, "power_iteration with derivatives", "call it under torch.no_grad(), or use operator_norm"
        )
        start = wanted if flat.dtype.is_complex else real_dtype(wanted)
        value, b, iiter = _power_iteration(flat.A, niter, tol, start, source(generator))
        counts.append(iiter)
        converged = torch.tensor([iiter < niter], device=b.device)
        return value.real[None].to(real_dtype(flat.dtype)), b[None].to(flat.dtype), converged

    values, vectors, _ = differentiable_pairs(Hermitian(A), compute)
    return values[0].to(vectors.dtype), vectors[0], max(counts)


def _power_iteration(
    A: LinearOperator, niter: int, tol: float, wanted: torch.dtype, drawn: torch.Generator
) -> tuple[Tensor, Tensor, int]:
    b = torch.rand(A.shape[1], generator=drawn, dtype=torch.float64, device=drawn.device)
    if wanted.is_complex:
        b = torch.complex(b, torch.rand(b.shape, generator=drawn, dtype=b.dtype, device=b.device))
    b = unit(b.to(A._device() or torch.device("cpu"), wanted))
    value, iiter = torch.zeros((), dtype=b.dtype, device=b.device), 0
    for iiter in range(1, niter + 1):
        before, product = value, A._apply_to(b, False)
        value = torch.as_tensor(inner(b.to(product.dtype), product), device=b.device, dtype=product.dtype).squeeze()
        b = unit(product)
        if iiter > 1 and bool((value - before.to(value.device)).abs() < tol * before.abs()):
            break
    return value, b, iiter
