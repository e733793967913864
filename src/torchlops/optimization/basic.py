"""The basic solvers as functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torchlops.optimization import cls_basic
from torchlops.optimization.callback import Callbacks, CostToDataCallback, CostToInitialCallback  # noqa: F401
from torchlops.optimization.cls_basic import (  # noqa: F401  # the classes are found here as well, as in PyLops
    CG,
    CGLS,
    LSQR,
    CGLSResult,
    CGResult,
    LSMRResult,
    LSQRResult,
)
from torchlops.optimization.solver.options import SolveOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack


def cg(
    Op: Any,
    y: Any,
    x0: Any = None,
    niter: int = 10,
    damp: Any = 0.0,
    tol: Any = 1e-4,
    rtol: Any = 0.0,
    rtol1: Any = 0.0,
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    preallocate: bool = False,
    *,
    callbacks: Sequence[Callbacks] | None = None,
    M: Any = None,
    **how: Unpack[SolveOptions],
) -> CGResult:
    """Solve ``(A + damp I) x = y`` for a Hermitian positive definite ``A``.

    By conjugate gradients, :class:`~torchlops.optimization.krylov.CG`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        niter: Maximum number of iterations.
        damp: A multiple of the identity that is added to the operator: a number, or one per sample.
        tol: Absolute tolerance on the *squared* norm of the residual, as in PyLops. The first tolerance that is met
            stops a sample: ``tol=0`` leaves it to the others.
        rtol: Tolerance on the norm of the residual, relative to the initial one of the sample.
        rtol1: The same, relative to the norm of the data of the sample.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored: work vectors are always reused.
        callbacks: Objects that watch the solver, and may stop it: :class:`torchlops.optimization.callback.Callbacks`.
        M: Preconditioner, an approximate inverse of the operator.
        **how: Derivatives, failures, batches: see :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> x, iiter, cost = cg(torchlops.Diagonal(torch.tensor([1.0, 2.0, 4.0])), torch.ones(3), niter=3)
        >>> x
        tensor([1.0000, 0.5000, 0.2500])
    """
    return cls_basic.CG(Op, callbacks, M, **how).solve(
        y, x0, niter, damp, tol, preallocate, show, itershow, callback=callback, rtol=rtol, rtol1=rtol1
    )


def cgls(
    Op: Any,
    y: Any,
    x0: Any = None,
    niter: int = 10,
    damp: Any = 0.0,
    tol: Any = 1e-4,
    rtol: Any = 0.0,
    rtol1: Any = 0.0,
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    preallocate: bool = False,
    *,
    callbacks: Sequence[Callbacks] | None = None,
    gtol: Any = 0.0,
    **how: Unpack[SolveOptions],
) -> CGLSResult:
    """Minimise ``||y - A x||^2 + damp^2 ||x||^2``, by :class:`~torchlops.optimization.krylov.CGLS`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default. (:func:`lsqr` and :func:`lsmr` damp the distance to it, this does not.)
        niter: Maximum number of iterations.
        damp: The damping: a number, or one per sample.
        tol: Absolute tolerance on the *squared* norm of the gradient ``A^H r - damp^2 x``, as in PyLops. The first
            tolerance that is met stops a sample: ``tol=0`` leaves it to the others.
        rtol: Tolerance on the norm of the residual, relative to the initial one of the sample.
        rtol1: The same, relative to the norm of the data of the sample.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored: work vectors are always reused.
        callbacks: Objects that watch the solver, and may stop it: :class:`torchlops.optimization.callback.Callbacks`.
        gtol: Tolerance on the norm of the gradient, relative to that at ``x = 0``: the one to use where the
            data cannot be fitted.
        **how: Derivatives, failures, batches: see :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.FirstDerivative(4, kind="forward", dtype="float32")
        >>> x = cgls(A, torch.tensor([1.0, 1.0, 1.0, 0.0]), niter=10, gtol=1e-6, tol=0).x
        >>> torch.allclose(x, torch.tensor([-1.5, -0.5, 0.5, 1.5]), atol=1e-5)
        True
    """
    return cls_basic.CGLS(Op, callbacks, **how).solve(
        y, x0, niter, damp, tol, preallocate, show, itershow, callback=callback, rtol=rtol, rtol1=rtol1, gtol=gtol
    )


def lsqr(
    Op: Any,
    y: Any,
    x0: Any = None,
    damp: Any = 0.0,
    atol: Any = 1e-8,
    btol: Any = 1e-8,
    conlim: float = 1e8,
    niter: int = 10,
    calc_var: bool = True,
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    preallocate: bool = False,
    *,
    callbacks: Sequence[Callbacks] | None = None,
    **how: Unpack[SolveOptions],
) -> LSQRResult:
    """Minimise ``||y - A x||^2 + damp^2 ||x - x0||^2``, by :class:`~torchlops.optimization.krylov.LSQR`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default. With ``damp``, what the solution is drawn to, as in SciPy and PyLops: to
            damp ``x`` itself, use :func:`cgls` or leave ``x0`` out.
        damp: The damping: a number, or one per sample.
        atol: Relative accuracy of the operator.
        btol: Relative accuracy of the data.
        conlim: Limit of the condition number; 0 for none.
        niter: Maximum number of iterations.
        calc_var: Whether to estimate the diagonal of the inverse of the normal matrix.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored: work vectors are always reused.
        callbacks: Objects that watch the solver, and may stop it: :class:`torchlops.optimization.callback.Callbacks`.
        **how: Derivatives, failures, batches: see :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> x, istop, *_ = lsqr(torchlops.Diagonal(torch.tensor([1.0, 2.0, 4.0])), torch.ones(3), atol=1e-6, btol=1e-6)
        >>> torch.allclose(x, torch.tensor([1.0, 0.5, 0.25])), istop
        (True, 1)
    """
    return cls_basic.LSQR(Op, callbacks, **how).solve(
        y, x0, damp, atol, btol, conlim, niter, calc_var, preallocate, show, itershow, callback=callback
    )


def lsmr(
    Op: Any,
    y: Any,
    x0: Any = None,
    damp: Any = 0.0,
    atol: Any = 1e-6,
    btol: Any = 1e-6,
    conlim: float = 1e8,
    niter: int = 100,
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    *,
    callbacks: Sequence[Callbacks] | None = None,
    **how: Unpack[SolveOptions],
) -> LSMRResult:
    """Minimise ``||y - A x||^2 + damp^2 ||x - x0||^2``, by :class:`~torchlops.optimization.krylov.LSMR`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default. With ``damp``, what the solution is drawn to, as in SciPy and PyLops: to
            damp ``x`` itself, use :func:`cgls` or leave ``x0`` out.
        damp: The damping: a number, or one per sample.
        atol: Relative accuracy of the operator.
        btol: Relative accuracy of the data.
        conlim: Limit of the condition number; 0 for none.
        niter: Maximum number of iterations.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        callbacks: Objects that watch the solver, and may stop it: :class:`torchlops.optimization.callback.Callbacks`.
        **how: Derivatives, failures, batches: see :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> x = lsmr(torchlops.Diagonal(torch.tensor([1.0, 2.0, 4.0])), torch.ones(3)).x
        >>> torch.allclose(x, torch.tensor([1.0, 0.5, 0.25]))
        True
    """
    solver = cls_basic.LSMR(Op, callbacks, **how)
    return solver.solve(y, x0, damp, atol, btol, conlim, niter, show, itershow, callback=callback)


def minres(
    Op: Any,
    y: Any,
    x0: Any = None,
    niter: int = 100,
    damp: Any = 0.0,
    tol: Any = 0.0,
    rtol: Any = 0.0,
    rtol1: Any = 1e-6,
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    *,
    callbacks: Sequence[Callbacks] | None = None,
    M: Any = None,
    **how: Unpack[SolveOptions],
) -> CGResult:
    """Solve ``(A + damp I) x = y`` for a Hermitian ``A``, by :class:`~torchlops.optimization.krylov.MINRES`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        niter: Maximum number of iterations.
        damp: A multiple of the identity that is added to the operator: a number, or one per sample.
        tol: Absolute tolerance on the *squared* norm of the residual.
        rtol: Tolerance on the norm of the residual, relative to the initial one of the sample.
        rtol1: The same, relative to the norm of the data of the sample.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        callbacks: Objects that watch the solver, and may stop it: :class:`torchlops.optimization.callback.Callbacks`.
        M: Preconditioner, an approximate inverse of the operator.
        **how: Derivatives, failures, batches: see :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 2.0], [2.0, -1.0]]))
        >>> torch.allclose(minres(A, torch.tensor([3.0, 1.0])).x, torch.ones(2), atol=1e-5)
        True
    """
    return cls_basic.MINRES(Op, callbacks, M, **how).solve(
        y, x0, niter, damp, tol, show=show, itershow=itershow, callback=callback, rtol=rtol, rtol1=rtol1
    )


def gmres(
    Op: Any,
    y: Any,
    x0: Any = None,
    niter: int = 100,
    damp: Any = 0.0,
    tol: Any = 0.0,
    rtol: Any = 0.0,
    rtol1: Any = 1e-6,
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    *,
    callbacks: Sequence[Callbacks] | None = None,
    M: Any = None,
    restart: int = 30,
    flexible: bool = False,
    **how: Unpack[SolveOptions],
) -> CGResult:
    """Solve ``(A + damp I) x = y`` for any square ``A``, by :class:`~torchlops.optimization.krylov.GMRES`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        niter: Maximum number of iterations.
        damp: A multiple of the identity that is added to the operator: a number, or one per sample.
        tol: Absolute tolerance on the *squared* norm of the residual.
        rtol: Tolerance on the norm of the residual, relative to the initial one of the sample.
        rtol1: The same, relative to the norm of the data of the sample.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        callbacks: Objects that watch the solver, and may stop it: :class:`torchlops.optimization.callback.Callbacks`.
        M: Preconditioner, an approximate inverse of the operator.
        restart: Number of vectors that are kept.
        flexible: Whether the preconditioner may change from one iteration to the next.
        **how: Derivatives, failures, batches: see :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 2.0], [2.0, -1.0]]))
        >>> torch.allclose(gmres(A, torch.tensor([3.0, 1.0])).x, torch.ones(2), atol=1e-5)
        True
    """
    return cls_basic.GMRES(Op, callbacks, M, **how).solve(
        y, x0, niter, damp, tol, show=show, itershow=itershow, callback=callback, rtol=rtol, rtol1=rtol1,
        restart=restart, flexible=flexible,
    )  # fmt: skip


def bicgstab(
    Op: Any,
    y: Any,
    x0: Any = None,
    niter: int = 100,
    damp: Any = 0.0,
    tol: Any = 0.0,
    rtol: Any = 0.0,
    rtol1: Any = 1e-6,
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    *,
    callbacks: Sequence[Callbacks] | None = None,
    M: Any = None,
    **how: Unpack[SolveOptions],
) -> CGResult:
    """Solve ``(A + damp I) x = y`` for any square ``A``, by :class:`~torchlops.optimization.krylov.BiCGSTAB`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        niter: Maximum number of iterations.
        damp: A multiple of the identity that is added to the operator: a number, or one per sample.
        tol: Absolute tolerance on the *squared* norm of the residual.
        rtol: Tolerance on the norm of the residual, relative to the initial one of the sample.
        rtol1: The same, relative to the norm of the data of the sample.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        callbacks: Objects that watch the solver, and may stop it: :class:`torchlops.optimization.callback.Callbacks`.
        M: Preconditioner, an approximate inverse of the operator.
        **how: Derivatives, failures, batches: see :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 2.0], [2.0, -1.0]]))
        >>> torch.allclose(bicgstab(A, torch.tensor([3.0, 1.0])).x, torch.ones(2), atol=1e-5)
        True
    """
    return cls_basic.BiCGSTAB(Op, callbacks, M, **how).solve(
        y, x0, niter, damp, tol, show=show, itershow=itershow, callback=callback, rtol=rtol, rtol1=rtol1
    )
