"""Methods that solve, decompose or convert, attached to :class:`LinearOperator` here.

Solvers depend on operators, so the operator modules must not import solvers. ``torchlops/__init__.py`` therefore
imports this module last. As in PyLops, these methods return numbers and arrays; the functions of
:mod:`torchlops.linalg` return differentiable tensors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops import linalg
from torchlops.arrays import to_numpy
from torchlops.extras import import_extra
from torchlops.linalg.decompositions import Order
from torchlops.linalg.dense import is_dense
from torchlops.linalg.solutions import LEAST_SQUARES_SOLVERS, iterate, solve_exactly
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.arguments import UnknownOptionError
from torchlops.optimization.eigs import lanczos, lobpcg
from torchlops.optimization.solver.problem import has_columns, read_data
from torchlops.optimization.spectral.matrices import clinear
from torchlops.optimization.spectral.stochastic import Backend, trace_hutchinson, trace_hutchpp, trace_nahutchpp
from torchlops.torchoperator import aslinearoperator


def eigs(
    A: LinearOperator,
    neigs: int | None = None,
    symmetric: bool = False,
    niter: int | None = None,
    uselobpcg: bool = False,
    **kwargs_eig: Any,
) -> NDArray[Any]:
    """Return the eigenvalues of largest modulus, or the singular values if the operator is not square.

    They come in descending order, complex ones by their real part, as in PyLops; with ``uselobpcg``, or ``which`` among
    the arguments for SciPy, they are those that these ask for: LOBPCG finds the algebraically largest.

    The result is a NumPy array, without derivatives. For differentiable results, use
    :func:`torchlops.linalg.eigvalsh`, ``eigvals`` or ``svdvals``. The eigenvalues of a large non-Hermitian operator
    are computed by SciPy's ARPACK.

    Args:
        neigs: Number of eigenvalues; all by default.
        symmetric: Whether the operator is Hermitian, so that its eigenvalues are real.
        niter: Maximum number of iterations (rounds for Lanczos) for a large operator.
        uselobpcg: Use LOBPCG. Requires a Hermitian operator.
        **kwargs_eig: Arguments of SciPy's ``eigs``, ``eigsh`` or ``lobpcg``. If any is given, SciPy is used.

    Raises:
        TypeError: If the operator is only real-linear.
        ValueError: If ``symmetric`` is set and the operator is not Hermitian.
    """
    A = clinear(A, "eigs")
    rows, size = A.shape
    if uselobpcg and not symmetric and rows == size:
        raise ValueError("uselobpcg requires a symmetric operator: pass symmetric=True if the operator is symmetric")
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
            values = lanczos(A, count, which="LM", niter=rounds).eigenvalues
        size_of = values if uselobpcg else values.abs()
        largest = values[torch.argsort(size_of, descending=True, stable=True)[:count]]
    return -np.sort(-to_numpy(largest))


def _by_scipy(
    A: LinearOperator, count: int, symmetric: bool, niter: int | None, uselobpcg: bool, **options: Any
) -> NDArray[Any]:
    scipy = import_extra("scipy.sparse.linalg", "the computation of these eigenvalues")
    found: NDArray[Any]
    if uselobpcg:
        start = np.random.default_rng(0).standard_normal((A.shape[0], count)).astype(A.dtype)
        found = scipy.lobpcg(A.matmat, start, maxiter=niter, **options)[0]
    else:
        solver = scipy.eigsh if symmetric else scipy.eigs
        found = solver(A, k=min(count, A.shape[0] - 2), maxiter=niter, return_eigenvectors=False, **options)
    return found.copy()


def cond(A: LinearOperator, uselobpcg: bool = False, **kwargs_eig: Any) -> float:  # noqa: ARG001
    """Return the condition number, the ratio of the largest to the smallest singular value.

    It is infinite for a singular operator. (PyLops returns a ratio of eigenvalues, which is another number unless the
    operator is Hermitian and positive.) For a differentiable result, use :func:`torchlops.linalg.cond`.

    Args:
        uselobpcg: Accepted for compatibility with PyLops, and ignored.
        **kwargs_eig: Likewise: how PyLops finds eigenvalues.
    """
    with torch.no_grad():
        return float(linalg.cond(A))


def norm(A: LinearOperator, ord: Order = 2) -> Tensor:
    """Return a norm of the operator, by default the spectral one: :func:`torchlops.linalg.norm`, with derivatives."""
    return linalg.norm(A, ord)


def trace(
    A: LinearOperator, neval: int | None = None, method: str | None = None, backend: Backend = "numpy", **kwargs: Any
) -> Any:
    """Return the trace as a number: exact for a small operator, a stochastic estimate for a large one or on request.

    For differentiable results, use :func:`torchlops.linalg.trace`, which is exact, or
    :func:`torchlops.linalg.estimate_trace`, which also returns the standard error.

    Args:
        neval: Number of random vectors.
        method: The estimator: ``hutchinson``, ``hutch++`` or ``na-hutch++`` (see ``torchlops.utils.estimators``), or
            ``explicit`` for the exact trace. By default the exact one where the matrix is small enough to be formed.
            (PyLops's default is the exact one for operators that hold their matrix, and ``hutch++`` for the others.)
        backend: ``"numpy"`` for a NumPy number of the type of the operator, ``"torch"`` for a tensor.
        **kwargs: Further arguments of the estimator.
    """
    how = method if method is None else method.lower()
    if how is None and neval is None and not kwargs and is_dense(A, None, "solve"):
        how = "explicit"
    if how == "explicit":
        value = linalg.trace(A)
        return value if backend == "torch" else to_numpy(value)[()]
    estimators: dict[str | None, Any] = {
        None: trace_hutchpp,
        "hutchinson": trace_hutchinson,
        "hutch++": trace_hutchpp,
        "na-hutch++": trace_nahutchpp,
    }
    if how not in estimators:
        raise UnknownOptionError(f"method must be explicit, hutchinson, hutch++ or na-hutch++, got {method!r}")
    return estimators[how](A, neval, backend=backend, **kwargs)


def div(A: LinearOperator, y: Any, niter: int | None = None, densesolver: str | None = None) -> Any:  # noqa: ARG001
    """Return the solution of ``A x = y``: exact if the operator implements its inverse, otherwise by least squares.

    Warns if LSQR stops before convergence. (PyLops stops after 100 iterations without a warning.)

    Args:
        y: Data, ``(*batch, *dimsd)`` or flattened.
        niter: Maximum number of LSQR iterations, if the operator does not implement its inverse. By default, four times
            the number of unknowns, but at least 100 and at most 1000.
        densesolver: Accepted for compatibility with PyLops, and ignored.

    Returns:
        The model ``(*batch, *dims)``.
    """
    data, layout = read_data(A, y)
    x = solve_exactly(A, data)
    if x is None:
        most = min(max(100, 4 * min(A.shape)), 1000) if niter is None else niter
        x = iterate(A, data, "lsqr", {"niter": most}, LEAST_SQUARES_SOLVERS)[0]
    return layout.model(x)


def _solved(A: LinearOperator, y: Any) -> Any:
    """Return ``A / y``: :func:`div`, but for arrays whose columns are data, as in PyLops.

    Raises:
        ValueError: If rows and columns of an array may both be data.
    """
    if has_columns(A, y):
        return A.div(y.T).T
    if not isinstance(y, Tensor) and len(A.dimsd) == 1 and tuple(getattr(y, "shape", ())) == 2 * A.dimsd:
        raise ValueError(
            f"{A.name_and_type} / y: the rows and the columns of y, {y.shape}, may both be data: write A.div(y) if "
            "each row is one, and A.div(y.T).T if each column is"
        )
    return A.div(y)


def inverse(A: LinearOperator, solver: str | None = None, **options: Any) -> LinearOperator:
    """Return the inverse of a square operator, as an operator; see :func:`torchlops.linalg.inv`.

    (Transforms that have a method ``inverse`` in PyLops keep that method: it takes data and returns ``A / y``.)

    Args:
        solver: Name of the iterative solver, to solve iteratively.
        **options: Further arguments of :func:`torchlops.linalg.inv`.
    """
    return linalg.inv(A, solver=solver, **options)


def pinv(A: LinearOperator, solver: str | None = None, **options: Any) -> LinearOperator:
    """Return the pseudo-inverse, as an operator; see :func:`torchlops.linalg.pinv`. With ``damp``, it is regularised.

    Args:
        solver: Name of the iterative solver, to solve iteratively.
        **options: Further arguments of :func:`torchlops.linalg.pinv`.
    """
    return linalg.pinv(A, solver=solver, **options)


def _convert(A: LinearOperator, x: Any) -> LinearOperator:  # noqa: ARG001
    """Return an operator of SciPy or PyLops, the other part of a composition with ``A``, as one of ours."""
    return aslinearoperator(x)


for _method in (eigs, cond, norm, trace, div, _solved, inverse, pinv, _convert):
    setattr(LinearOperator, _method.__name__, _method)
