"""The methods of operators that solve or decompose, given to :class:`LinearOperator` from above.

Solvers are written on operators, so that operators know no solver. ``torchlops/__init__.py`` imports this module
last.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchlops import spectrum
from torchlops.linearoperator import LinearOperator
from torchlops.optimization import lsqr
from torchlops.optimization.inverse import InverseOperator


def eigs(
    A: LinearOperator,
    neigs: int | None = None,
    symmetric: bool = False,
    niter: int | None = None,
    uselobpcg: bool = False,
    **kwargs_eig: Any,
) -> Any:
    """Return eigenvalues, largest (in modulus, where complex) first; singular values of a rectangular operator.

    Args:
        A: The operator.
        neigs: How many; all by default.
        symmetric: Whether the operator is Hermitian; its eigenvalues are then real.
        niter: Most iterations (of Lanczos, restarts) where the operator is large.
        uselobpcg: Use LOBPCG, for Hermitian operators.
        **kwargs_eig: Arguments of SciPy's ``eigs``, ``eigsh`` or ``lobpcg``, which then does it.

    Raises:
        TypeError: for an operator that is linear over the real numbers only.
    """
    return spectrum.eigs(A, neigs, symmetric, niter, uselobpcg, **kwargs_eig)


def svds(A: LinearOperator, k: int = 6, which: str = "LM", niter: int | None = None) -> tuple[Any, Any, Any]:
    """Return ``U, s, Vh`` of the ``k`` largest (``which="LM"``) or smallest (``"SM"``) singular values."""
    return spectrum.svds(A, k, which, niter)


def cond(A: LinearOperator) -> float:
    """Return the condition number: the ratio of the largest to the smallest singular value.

    (PyLops gives a ratio of eigenvalues.) A singular operator has the condition number infinity.
    """
    return spectrum.cond(A)


def norm(A: LinearOperator, kind: str | int = 2) -> float:
    """Return the spectral norm (``kind=2``, the largest singular value) or the Frobenius norm (``"fro"``).

    As a tensor with its derivative, the former is ``torchlops.optimization.eigs.operator_norm``.
    """
    return spectrum.norm(A, kind)


def trace(A: LinearOperator, neval: int | None = None, method: str | None = None, **kwargs: Any) -> Any:
    """Return the trace: exact while that is cheap, otherwise, or where asked for, by a stochastic estimator.

    Args:
        A: The operator.
        neval: Number of random vectors.
        method: ``hutchinson``, ``hutch++`` or ``na-hutch++``; see ``torchlops.utils.estimators``. (PyLops
            estimates by default.)
        **kwargs: Further arguments of the estimator.
    """
    return spectrum.trace(A, neval, method, **kwargs)


def logdet(
    A: LinearOperator, nprobes: int | None = None, niter: int = 30, generator: torch.Generator | None = None
) -> float:
    """Return the log-determinant of a Hermitian positive definite operator: exact while that is cheap.

    Otherwise, or with ``nprobes``, it is an estimate: ``torchlops.optimization.eigs.logdet`` gives its standard
    error too, and derivatives.

    Args:
        A: The operator.
        nprobes: Number of random vectors.
        niter: Lanczos steps for each.
        generator: Source of the random vectors.
    """
    return spectrum.logdet(A, nprobes, niter, generator)


def div(A: LinearOperator, y: Any, niter: int = 100, densesolver: str | None = None) -> Any:  # noqa: ARG001
    """Return the solution of ``A x = y``: exact where the operator knows its inverse, else by least squares.

    Args:
        A: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        niter: Most iterations of LSQR, which solves where the operator does not.
        densesolver: Accepted and ignored.
    """
    if type(A)._inverse is not LinearOperator._inverse:
        try:
            return _divide_exactly(A, y)
        except NotImplementedError:  # not for this one, a rectangular matrix for example
            pass
    return lsqr(A, y, niter=niter, calc_var=False).x


def _divide_exactly(A: LinearOperator, y: Any) -> Any:
    if not isinstance(y, Tensor):
        return A._through_arrays(y, lambda tensor: _divide_exactly(A, tensor))
    nd = y.shape[-len(A.dimsd) :] == A.dimsd
    if not nd and (y.ndim == 0 or y.shape[-1] != A.shape[0]):
        raise A._wrong_shape(y, True)
    batch = y.shape[: -len(A.dimsd)] if nd else y.shape[:-1]
    x = A._inverse(y.reshape((*batch, *A.dimsd)))
    return x if nd else x.reshape((*batch, A.shape[1]))


def inverse(A: LinearOperator, solver: Any = "gmres", **options: Any) -> Any:
    """Return the inverse of a square operator as an operator, which solves when it is applied.

    It composes, transposes and differentiates like any other, to the tolerance of the solver. Given data ``y``
    in the place of a solver's name, as the transforms of PyLops take them, it is ``A / y``.

    Args:
        A: The operator.
        solver: ``"cg"``, ``"minres"``, ``"gmres"`` or ``"bicgstab"``, or a least-squares solver; or data.
        **options: Arguments of that function of ``torchlops.optimization``.
    """
    if not isinstance(solver, str):
        return A.div(solver, **options)
    return InverseOperator(A, solver, **options)


def pinv(A: LinearOperator, solver: str = "lsmr", **options: Any) -> LinearOperator:
    """Return the pseudo-inverse (with ``damp``: the regularised one) as an operator that solves when applied.

    Args:
        A: The operator.
        solver: ``"cgls"``, ``"lsqr"`` or ``"lsmr"``.
        **options: Arguments of that function of ``torchlops.optimization``.
    """
    return InverseOperator(A, solver, **options)


for _method in (eigs, svds, cond, norm, trace, logdet, div, inverse, pinv):
    setattr(LinearOperator, _method.__name__, _method)
