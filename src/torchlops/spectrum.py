"""Eigenvalues, singular values, condition number, norm, trace and log-determinant of an operator, as NumPy numbers.

Small operators are made dense, which is exact; large ones go to the iterations of ``optimization/eigs.py``, which
need products only. The eigenvalues of a large operator that is not Hermitian come from SciPy's ARPACK.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchlops.arrays import to_numpy
from torchlops.linearoperator import LinearOperator
from torchlops.utils import estimators

DENSE_UP_TO = 1024
"""Size up to which the matrix itself is decomposed (within seconds, on one core)."""


def eigs(
    A: LinearOperator,
    neigs: int | None = None,
    symmetric: bool = False,
    niter: int | None = None,
    uselobpcg: bool = False,
    **kwargs_eig: Any,
) -> Any:
    """Return eigenvalues, largest first; see :meth:`LinearOperator.eigs`."""
    _must_be_clinear(A)
    rows, size = A.shape
    if rows != size:
        return singular_values(A, neigs, niter=niter)
    count = size if neigs is None else min(neigs, size)
    if not uselobpcg and not kwargs_eig and (size <= DENSE_UP_TO or count >= size - 1):
        values = np.linalg.eigvalsh(A.todense()) if symmetric else np.linalg.eigvals(A.todense())
    elif uselobpcg and not symmetric:
        raise ValueError("uselobpcg is for symmetric operators: give symmetric=True, if it is one")
    elif symmetric and not kwargs_eig:
        method = _iterations().lobpcg if uselobpcg and count <= size // 3 else _iterations().lanczos
        with torch.no_grad():
            values = to_numpy(method(A, count, **_most(niter)).eigenvalues)
    elif uselobpcg:
        start = np.random.default_rng(0).standard_normal((size, count)).astype(A.dtype)
        values = _scipy().lobpcg(A.matmat, start, maxiter=niter, **kwargs_eig)[0]
    else:
        solver = _scipy().eigsh if symmetric else _scipy().eigs
        values = solver(A, k=min(count, size - 2), maxiter=niter, return_eigenvectors=False, **kwargs_eig)
    return values[np.argsort(-values if np.isrealobj(values) else -np.abs(values), kind="stable")][:count]


def svds(A: LinearOperator, k: int = 6, which: str = "LM", niter: int | None = None) -> tuple[Any, Any, Any]:
    """Return ``k`` singular triplets ``U, s, Vh``; see :meth:`LinearOperator.svds`."""
    _must_be_clinear(A)
    if which not in ("LM", "SM"):
        raise ValueError(f"which must be 'LM' (largest) or 'SM' (smallest), got {which!r}")
    smaller = min(A.shape)
    k = min(k, smaller)
    if max(A.shape) <= DENSE_UP_TO or k >= smaller - 1:
        u, s, vh = np.linalg.svd(A.todense(), full_matrices=False)
        chosen = slice(0, k) if which == "LM" else slice(smaller - k, smaller)
        return u[:, chosen], s[chosen], vh[chosen]
    with torch.no_grad():
        u, s, vh = map(to_numpy, _iterations().golub_kahan(A, k, which, **_most(niter)))
    return u, s, vh


def singular_values(A: LinearOperator, count: int | None = None, which: str = "LM", niter: int | None = None) -> Any:
    """Return singular values, largest first."""
    _must_be_clinear(A)
    smaller = min(A.shape)
    count = smaller if count is None else min(count, smaller)
    if max(A.shape) <= DENSE_UP_TO or count >= smaller - 1:
        values = np.linalg.svd(A.todense(), compute_uv=False)
        return values[:count] if which == "LM" else values[smaller - count :]
    return svds(A, count, which, niter)[1]


def cond(A: LinearOperator) -> float:
    """Return the ratio of the largest to the smallest singular value; infinity for a singular operator."""
    largest, smallest = singular_values(A, 1)[0], singular_values(A, 1, "SM")[-1]
    return float(largest / smallest) if smallest > largest * np.finfo(A.dtype).eps else float("inf")


def norm(A: LinearOperator, kind: str | int = 2) -> float:
    """Return the spectral norm (``2``) or the Frobenius norm (``"fro"``)."""
    if kind == 2 and max(A.shape) <= DENSE_UP_TO and A.clinear:
        return float(singular_values(A, 1)[0])
    if kind == 2:
        with torch.no_grad():
            return float(_iterations().operator_norm(A, 3000, np.finfo(A.dtype).eps ** 0.75))
    if kind == "fro":
        return float(np.linalg.norm(A.todense()))
    raise ValueError(f"norm must be 2 or 'fro', got {kind!r}")


def trace(A: LinearOperator, neval: int | None = None, method: str | None = None, **kwargs: Any) -> Any:
    """Return the trace; see :meth:`LinearOperator.trace`."""
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"only a square operator has a trace: {A.name_and_type} is {A.shape}")
    if method is None and neval is None and A.shape[1] <= DENSE_UP_TO:
        return A.todense().trace().item()
    estimate: dict[str | None, Any] = {
        None: estimators.trace_hutchpp,
        "hutchinson": estimators.trace_hutchinson,
        "hutch++": estimators.trace_hutchpp,
        "na-hutch++": estimators.trace_nahutchpp,
    }
    if method not in estimate:
        raise ValueError(f"method must be hutchinson, hutch++ or na-hutch++, got {method!r}")
    return estimate[method](A, neval, **kwargs)


def logdet(A: LinearOperator, nprobes: int | None = None, niter: int = 30, generator: Any = None) -> float:
    """Return the log-determinant of a positive definite operator; see :meth:`LinearOperator.logdet`."""
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"only a square operator has a determinant: {A.name_and_type} is {A.shape}")
    _must_be_clinear(A)
    if nprobes is None and A.shape[1] <= DENSE_UP_TO:
        try:
            return float(2 * np.log(np.linalg.cholesky(A.todense()).diagonal().real).sum())
        except np.linalg.LinAlgError:
            raise ValueError(f"logdet: {A.name_and_type} is not positive definite") from None
    with torch.no_grad():
        estimate = _iterations().logdet(A, 30 if nprobes is None else nprobes, niter, generator=generator).estimate
    return float(estimate)


def _most(niter: int | None) -> dict[str, int]:
    return {} if niter is None else {"niter": niter}


def _iterations() -> Any:
    from torchlops.optimization import eigs  # it imports operators

    return eigs


def _must_be_clinear(A: LinearOperator) -> None:
    if not A.clinear:
        raise TypeError(f"{A.name_and_type} is linear over the real numbers only: it is no complex matrix")


def _scipy() -> Any:
    try:
        import scipy.sparse.linalg
    except ImportError:
        raise ImportError("eigenvalues of a large operator need SciPy: pip install torchlops[demo]") from None
    return scipy.sparse.linalg
