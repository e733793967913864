"""The basic solvers as functions; see the classes of ``cls_basic`` for what they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torchlops.optimization.cls_cg import CG, CGResult
from torchlops.optimization.cls_cgls import CGLS, CGLSResult


def cg(
    Op: Any,
    y: Any,
    x0: Any = None,
    niter: int = 10,
    damp: Any = 0.0,
    tol: float = 1e-4,
    rtol: float = 0.0,
    rtol1: float = 0.0,
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    preallocate: bool = False,
    *,
    M: Any = None,
    **how: Any,
) -> CGResult:
    """Solve ``(A + damp I) x = y`` for a Hermitian positive definite ``A``, by :class:`CG`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        niter: Most iterations.
        damp: A multiple of the identity that is added to the operator: a number, or one for each sample.
        tol: Absolute tolerance on the *squared* norm of the residual, as in PyLops.
        rtol: Tolerance on the norm of the residual, relative to the initial one of the sample.
        rtol1: The same, relative to the norm of the data of the sample.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored: work vectors are always reused.
        M: Preconditioner, an approximate inverse of the operator.
        **how: Derivatives, failures, batches: the keyword arguments of
            :class:`~torchlops.optimization.basesolver.Solver`.

    Example:
        >>> import torch, torchlops
        >>> x, iiter, cost = cg(torchlops.Diagonal(torch.tensor([1.0, 2.0, 4.0])), torch.ones(3), niter=3)
        >>> x
        tensor([1.0000, 0.5000, 0.2500])
    """
    solver = _with_callback(CG(Op, M=M, **how), callback)
    result: CGResult = solver.solve(y, x0, niter, damp, tol, preallocate, show, itershow, rtol=rtol, rtol1=rtol1)
    return result


def cgls(
    Op: Any,
    y: Any,
    x0: Any = None,
    niter: int = 10,
    damp: Any = 0.0,
    tol: float = 1e-4,
    rtol: float = 0.0,
    rtol1: float = 0.0,
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    preallocate: bool = False,
    *,
    gtol: float = 0.0,
    **how: Any,
) -> CGLSResult:
    """Minimise ``||y - A x||^2 + damp^2 ||x||^2``, by :class:`CGLS`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        niter: Most iterations.
        damp: The damping: a number, or one for each sample.
        tol: Absolute tolerance on the *squared* norm of the gradient ``A^H r - damp^2 x``, as in PyLops.
        rtol: Tolerance on the norm of the residual, relative to the initial one of the sample.
        rtol1: The same, relative to the norm of the data of the sample.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored: work vectors are always reused.
        gtol: Tolerance on the norm of the gradient, relative to that at ``x = 0``: the one to use where the
            data cannot be fitted.
        **how: Derivatives, failures, batches: the keyword arguments of
            :class:`~torchlops.optimization.basesolver.Solver`.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.FirstDerivative(4, kind="forward", dtype="float32")
        >>> x = cgls(A, torch.tensor([1.0, 1.0, 1.0, 0.0]), niter=10, gtol=1e-6, tol=0).x
        >>> torch.allclose(x, torch.tensor([-1.5, -0.5, 0.5, 1.5]), atol=1e-5)
        True
    """
    solver = _with_callback(CGLS(Op, **how), callback)
    result: CGLSResult = solver.solve(
        y, x0, niter, damp, tol, preallocate, show, itershow, rtol=rtol, rtol1=rtol1, gtol=gtol
    )
    return result


def _with_callback(solver: Any, callback: Callable[[Any], None] | None) -> Any:
    if callback is not None:
        solver.callback = callback
    return solver
