"""The methods of operators that solve or decompose, given to :class:`LinearOperator` from above.

Solvers are written on operators, so that operators know no solver. ``torchlops/__init__.py`` imports this module
last. PyLops's methods give numbers and arrays, as PyLops's do; the functions of :mod:`torchlops.linalg` give tensors
with derivatives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops import linalg
from torchlops.arrays import to_numpy
from torchlops.linalg.decompositions import Order
from torchlops.linalg.dense import is_dense
from torchlops.linalg.solutions import LEAST_SQUARES_SOLVERS, iterate, solve_exactly
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.eigs import lanczos, lobpcg
from torchlops.optimization.solver.problem import read_data
from torchlops.optimization.spectral.matrices import clinear
from torchlops.optimization.spectral.stochastic import trace_hutchinson, trace_hutchpp, trace_nahutchpp


def eigs(
    A: LinearOperator,
    neigs: int | None = None,
    symmetric: bool = False,
    niter: int | None = None,
    uselobpcg: bool = False,
    **kwargs_eig: Any,
) -> NDArray[Any]:
    """Return eigenvalues, largest (in modulus, where complex) first; singular values of a rectangular operator.

    As a NumPy array, so without derivatives: those are in :func:`torchlops.linalg.eigvalsh`, ``eigvals`` and
    ``svdvals``. The eigenvalues of a large operator that is not Hermitian come from SciPy's ARPACK.

    Args:
        A: The operator.
        neigs: How many; all by default.
        symmetric: Whether the operator is Hermitian; its eigenvalues are then real.
        niter: Maximum number of iterations (of Lanczos, rounds) where the operator is large.
        uselobpcg: Use LOBPCG, for Hermitian operators.
        **kwargs_eig: Arguments of SciPy's ``eigs``, ``eigsh`` or ``lobpcg``, which then does it.

    Raises:
        TypeError: for an operator that is linear over the real numbers only.
        ValueError: for one that is not Hermitian where it shall be symmetric.
    """
    clinear(A, "eigs")
    rows, size = A.shape
    if uselobpcg and not symmetric:
        raise ValueError("uselobpcg is for symmetric operators: give symmetric=True, if it is one")
    count = min(A.shape) if neigs is None else min(neigs, *A.shape)
    rounds = 300 if niter is None else niter
    dense = is_dense(A, None, "values" if symmetric or rows != size else "vectors") or count >= min(A.shape) - 1
    with torch.no_grad():
        if rows != size:
            values = linalg.svdvals(A, count, method="dense" if dense else "iterative")
        elif kwargs_eig or not (dense or symmetric):
            values = torch.from_numpy(_by_scipy(A, count, symmetric, niter, uselobpcg, **kwargs_eig))
        elif uselobpcg and count <= size // 3:
            values = lobpcg(A, count, niter=rounds).eigenvalues
        elif dense:
            values = linalg.eigvalsh(A, method="dense") if symmetric else linalg.eigvals(A, method="dense")
        else:
            values = lanczos(A, count, niter=rounds).eigenvalues
        order = torch.argsort(values.abs() if values.is_complex() else values, descending=True, stable=True)
    array: NDArray[Any] = to_numpy(values[order][:count])
    return array


def _by_scipy(
    A: LinearOperator, count: int, symmetric: bool, niter: int | None, uselobpcg: bool, **options: Any
) -> NDArray[Any]:
    try:
        import scipy.sparse.linalg
    except ImportError:
        raise ImportError("these eigenvalues come from SciPy, which is not installed: pip install scipy") from None
    found: NDArray[Any]
    if uselobpcg:
        start = np.random.default_rng(0).standard_normal((A.shape[0], count)).astype(A.dtype)
        found = scipy.sparse.linalg.lobpcg(A.matmat, start, maxiter=niter, **options)[0]
    else:
        solver = scipy.sparse.linalg.eigsh if symmetric else scipy.sparse.linalg.eigs
        found = solver(A, k=min(count, A.shape[0] - 2), maxiter=niter, return_eigenvectors=False, **options)
    return found.copy()


def cond(A: LinearOperator) -> float:
    """Return the condition number: the ratio of the largest to the smallest singular value.

    (PyLops gives a ratio of eigenvalues.) A singular operator has the condition number infinity. As a tensor with
    derivatives, it is :func:`torchlops.linalg.cond`.
    """
    with torch.no_grad():
        return float(linalg.cond(A))


def norm(A: LinearOperator, ord: Order = 2) -> Tensor:
    """Return a norm of the operator, by default the spectral one: :func:`torchlops.linalg.norm`, with derivatives."""
    return linalg.norm(A, ord)


def trace(A: LinearOperator, neval: int | None = None, method: str | None = None, **kwargs: Any) -> Any:
    """Return the trace: exact while that is cheap, otherwise, or where asked for, by a stochastic estimator.

    As a number; as a tensor with derivatives, the exact one is :func:`torchlops.linalg.trace`, and an estimate with its
    standard error is :func:`torchlops.linalg.estimate_trace`.

    Args:
        A: The operator.
        neval: Number of random vectors.
        method: ``hutchinson``, ``hutch++`` or ``na-hutch++``; see ``torchlops.utils.estimators``. (PyLops
            estimates by default.)
        **kwargs: Further arguments of the estimator.
    """
    if method is None and neval is None and not kwargs and is_dense(A, None, "solve"):
        with torch.no_grad():
            return linalg.trace(A).item()
    estimators: dict[str | None, Any] = {
        None: trace_hutchpp,
        "hutchinson": trace_hutchinson,
        "hutch++": trace_hutchpp,
        "na-hutch++": trace_nahutchpp,
    }
    if method not in estimators:
        raise ValueError(f"method must be hutchinson, hutch++ or na-hutch++, got {method!r}")
    return estimators[method](A, neval, **kwargs)


def div(A: LinearOperator, y: Any, niter: int | None = None, densesolver: str | None = None) -> Any:  # noqa: ARG001
    """Return the solution of ``A x = y``: exact where the operator knows its inverse, else by least squares.

    A warning says so where LSQR stops before it has converged. (PyLops stops after 100 iterations, without a word.)

    Args:
        A: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        niter: Maximum number of iterations of LSQR, which solves where the operator does not; by default four times the
            number of unknowns, at least 100 and at most 1000.
        densesolver: Accepted and ignored.

    Returns:
        The model ``(*batch, *dims)``.
    """
    data, _, back = read_data(A, y)
    x = solve_exactly(A, data)
    if x is None:
        most = min(max(100, 4 * min(A.shape)), 1000) if niter is None else niter
        x = iterate(A, data, "lsqr", {"niter": most}, LEAST_SQUARES_SOLVERS)[0]
    return x if back is None else back(x)


def inverse(A: LinearOperator, solver: str | None = None, **options: Any) -> LinearOperator:
    """Return the inverse of a square operator, as an operator: :func:`torchlops.linalg.inv`.

    (The transforms that have a method ``inverse`` in PyLops keep that: it takes data, and is ``A / y``.)

    Args:
        A: The operator.
        solver: Name of the iteration, if it shall iterate.
        **options: Further arguments of :func:`torchlops.linalg.inv`.
    """
    return linalg.inv(A, solver=solver, **options)


def pinv(A: LinearOperator, solver: str | None = None, **options: Any) -> LinearOperator:
    """Return the pseudo-inverse (with ``damp``: the regularised one), as an operator: :func:`torchlops.linalg.pinv`.

    Args:
        A: The operator.
        solver: Name of the iteration, if it shall iterate.
        **options: Further arguments of :func:`torchlops.linalg.pinv`.
    """
    return linalg.pinv(A, solver=solver, **options)


for _method in (eigs, cond, norm, trace, div, inverse, pinv):
    setattr(LinearOperator, _method.__name__, _method)
