"""The sparse solvers as functions; see the classes of ``cls_sparsity`` for what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torchlops.optimization import cls_sparsity
from torchlops.optimization.callback import (  # noqa: F401  # these, and the classes, are found here as in PyLops
    CostNanInfCallback,
    CostToDataCallback,
    CostToInitialCallback,
)
from torchlops.optimization.cls_sparsity import (  # noqa: F401
    FISTA,
    IRLS,
    ISTA,
    OMP,
    SPGL1,
    IRLSResult,
    SparseResult,
    SPGL1Result,
    SplitBregman,
)
from torchlops.optimization.iterativesolver import constructor_options
from torchlops.optimization.solver.options import SolveOptions
from torchlops.optimization.sparse.sparsesolver import SIGMA, TOL

if TYPE_CHECKING:
    from typing_extensions import Unpack


def irls(
    Op: Any, y: Any, x0: Any = None, nouter: int = 10, threshR: bool = False, epsR: Any = TOL, epsI: Any = 1e-10,
    tolIRLS: Any = TOL, warm: bool = False, kind: str = "data", engine: str = "scipy", show: bool = False,
    itershow: Sequence[int] = (10, 10, 10), callback: Callable[[Any], None] | None = None, preallocate: bool = False,
    **kwargs_solver: Any,
) -> IRLSResult:  # fmt: skip
    """Fit data but for outliers, or by a sparse model, or both, by :class:`~torchlops.optimization.sparse.IRLS`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        nouter: Maximum number of outer iterations.
        threshR: Whether weights are ``1 / max(|r|, epsR)`` and not ``1 / (|r| + epsR)``.
        epsR: Smallest residual that weights tell apart; by default 1e-10 times the largest datum. (PyLops's default is
            absolute.)
        epsI: Damping: a number, or one per sample.
        tolIRLS: Stop a sample when the norm of a change of ``x`` is below it; by default 1e-10 times the norm of ``x``.
        warm: Whether inner solves start from the last ``x`` (not for ``model``).
        kind: ``data``, ``model`` or ``datamodel``.
        engine: Accepted and ignored: inner solves are conjugate gradients.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored.
        **kwargs_solver: ``niter`` (or ``iter_lim``) and ``rtol`` of the inner solves, and the options of
            :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.5, 0.1]], dtype=torch.float64))
        >>> irls(A, torch.tensor([2.0], dtype=torch.float64), kind="model", nouter=50).x.round(decimals=6)
        tensor([2., 0., 0.], dtype=torch.float64)
    """
    return cls_sparsity.IRLS(Op, **constructor_options(kwargs_solver)).solve(
        y, x0, nouter, threshR, epsR, epsI, tolIRLS, kind, warm, engine, preallocate, show, itershow,
        callback=callback, **kwargs_solver,
    )  # fmt: skip


def omp(
    Op: Any, y: Any, niter_outer: int = 10, niter_inner: int = 40, sigma: Any = SIGMA, rtol: float = 0.0,
    rtol1: float = 0.0, normalizecols: bool = False, Opbasis: Any = None, optimal_coeff: bool = False,
    engine: str = "scipy", show: bool = False, itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None, preallocate: bool = False, **how: Unpack[SolveOptions],
) -> SparseResult:  # fmt: skip
    """Fit the data by few columns of the operator, by :class:`~torchlops.optimization.sparse.OMP`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        niter_outer: Maximum number of iterations, and thus of nonzeros.
        niter_inner: 0 for matching pursuit; all other numbers mean orthogonal matching pursuit.
        sigma: Stop a sample when the norm of its residual is not above this; by default 1e-4 times the norm of the
            data. (PyLops's default is absolute.)
        rtol: Stop a sample when the norm of its residual is not above this times the norm of the data.
        rtol1: The same.
        normalizecols: Whether to choose columns by ``|A^H r|`` over their norms.
        Opbasis: Operator whose columns are normalised instead of those of ``Op``.
        optimal_coeff: For matching pursuit: whether to take the whole part along the column off the residual.
        engine: Accepted and ignored: least-squares problems are solved exactly.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored.
        **how: Derivatives, failures, batches: see :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> omp(torchlops.Identity(3), torch.tensor([1.0, -3.0, 2.0]), niter_outer=2).x
        tensor([ 0., -3.,  2.])
    """
    return cls_sparsity.OMP(Op, **how).solve(
        y, niter_outer, niter_inner, sigma, normalizecols, Opbasis, optimal_coeff, engine, preallocate, show, itershow,
        callback=callback, rtol=rtol, rtol1=rtol1,
    )  # fmt: skip


def ista(
    Op: Any, y: Any, x0: Any = None, niter: int = 10, SOp: Any = None, eps: Any = 0.1, alpha: Any = None,
    eigsdict: Mapping[str, Any] | None = None, tol: Any = TOL, rtol: float = 0.0, rtol1: float = 0.0,
    threshkind: str = "soft", perc: float | None = None, decay: Any = None, monitorres: bool = False,
    show: bool = False, itershow: Sequence[int] = (10, 10, 10), callback: Callable[[Any], None] | None = None,
    preallocate: bool = False, **how: Unpack[SolveOptions],
) -> SparseResult:  # fmt: skip
    """Minimise ``||y - A x||^2 + eps ||x||_p^p``, by :class:`~torchlops.optimization.sparse.ISTA`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        niter: Maximum number of iterations.
        SOp: Synthesis operator: the model is ``SOp`` of sparse coefficients.
        eps: Weight of the penalty: a number, or one per sample.
        alpha: Step: a number, or one per sample; by default one over the largest eigenvalue of ``A^H A``.
        eigsdict: ``niter`` and ``tol`` of the search for that; other entries, which are for SciPy, are ignored.
        tol: Stop a sample when the norm of a change of ``x`` is not above it; by default 1e-10 times the norm of ``x``.
            (PyLops's default is absolute, so that it depends on the units of the data.)
        rtol: Stop a sample when its cost is below this times the first.
        rtol1: The same, relative to the cost of ``x = 0``. (PyLops compares a square with the norm of the data.)
        threshkind: ``soft``, ``hard``, ``half``, or one of these with ``-percentile``.
        perc: How many percent of the samples survive each iteration, for the percentile variants.
        decay: Factors of the threshold, one per iteration.
        monitorres: Whether an increase of the residual stops a sample, with the status ``BREAKDOWN``, and raises a
            :class:`~torchlops.optimization.SolverError` where it stops all.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored.
        **how: Derivatives, failures, batches: see :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> ista(torchlops.Identity(2), torch.tensor([[3.0, 0.2], [-1.0, 4.0]]), eps=1.0, niter=30).x
        tensor([[ 2.5000,  0.0000],
                [-0.5000,  3.5000]])
    """
    return cls_sparsity.ISTA(Op, **how).solve(
        y, x0, niter, SOp, eps, alpha, eigsdict, tol, threshkind, perc, decay, monitorres, preallocate, show, itershow,
        callback=callback, rtol=rtol, rtol1=rtol1,
    )  # fmt: skip


def fista(
    Op: Any, y: Any, x0: Any = None, niter: int = 10, SOp: Any = None, eps: Any = 0.1, alpha: Any = None,
    eigsdict: Mapping[str, Any] | None = None, tol: Any = TOL, rtol: float = 0.0, rtol1: float = 0.0,
    threshkind: str = "soft", perc: float | None = None, decay: Any = None, monitorres: bool = False,
    show: bool = False, itershow: Sequence[int] = (10, 10, 10), callback: Callable[[Any], None] | None = None,
    preallocate: bool = False, **how: Unpack[SolveOptions],
) -> SparseResult:  # fmt: skip
    """Minimise ``||y - A x||^2 + eps ||x||_p^p``, by :class:`~torchlops.optimization.sparse.FISTA`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        niter: Maximum number of iterations.
        SOp: Synthesis operator: the model is ``SOp`` of sparse coefficients.
        eps: Weight of the penalty: a number, or one per sample.
        alpha: Step: a number, or one per sample; by default one over the largest eigenvalue of ``A^H A``.
        eigsdict: ``niter`` and ``tol`` of the search for that; other entries, which are for SciPy, are ignored.
        tol: Stop a sample when the norm of a change of ``x`` is not above it; by default 1e-10 times the norm of ``x``.
            (PyLops's default is absolute, so that it depends on the units of the data.)
        rtol: Stop a sample when its cost is below this times the first.
        rtol1: The same, relative to the cost of ``x = 0``. (PyLops compares a square with the norm of the data.)
        threshkind: ``soft``, ``hard``, ``half``, or one of these with ``-percentile``.
        perc: How many percent of the samples survive each iteration, for the percentile variants.
        decay: Factors of the threshold, one per iteration.
        monitorres: Whether an increase of the residual stops a sample, with the status ``BREAKDOWN``, and raises a
            :class:`~torchlops.optimization.SolverError` where it stops all.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored.
        **how: Derivatives, failures, batches: see :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> fista(torchlops.Identity(2), torch.tensor([[3.0, 0.2], [-1.0, 4.0]]), eps=1.0, niter=30).x
        tensor([[ 2.5000,  0.0000],
                [-0.5000,  3.5000]])
    """
    return cls_sparsity.FISTA(Op, **how).solve(
        y, x0, niter, SOp, eps, alpha, eigsdict, tol, threshkind, perc, decay, monitorres, preallocate, show, itershow,
        callback=callback, rtol=rtol, rtol1=rtol1,
    )  # fmt: skip


def spgl1(
    Op: Any, y: Any, x0: Any = None, SOp: Any = None, tau: Any = 0.0, sigma: Any = 0.0, show: bool = False,
    **kwargs_spgl1: Any,
) -> SPGL1Result:  # fmt: skip
    """Minimise ``||x||_1`` for ``||y - A x|| <= sigma``, by :class:`~torchlops.optimization.sparse.SPGL1`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        SOp: Sparsifying operator: the model is ``SOp^H`` of the sparse coefficients.
        tau: Radius of the lasso, where ``sigma`` is 0 and this is not: a number, or one per sample.
        sigma: Norm of the residual: a number, or one per sample.
        show: Whether to print a table.
        **kwargs_spgl1: ``iter_lim``, ``opt_tol``, ``bp_tol`` and ``n_prev_vals`` of ``SPGL1.solve``, ``callback``,
            and the options of
            :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> x, p, info = spgl1(torchlops.Identity(3), torch.tensor([3.0, 1.0, 0.0]), tau=2.0)
        >>> x
        tensor([2., 0., 0.])
    """
    solver = cls_sparsity.SPGL1(Op, **constructor_options(kwargs_spgl1))
    return solver.solve(y, x0, SOp, tau, sigma, show, **kwargs_spgl1)


def splitbregman(
    Op: Any, y: Any, RegsL1: Sequence[Any], x0: Any = None, niter_outer: int = 3, niter_inner: int = 5,
    RegsL2: Sequence[Any] | None = None, dataregsL2: Sequence[Any] | None = None, mu: Any = 1.0,
    epsRL1s: Sequence[Any] | None = None, epsRL2s: Sequence[Any] | None = None, tol: Any = TOL, rtol: float = 0.0,
    rtol1: float = 0.0, tau: float = 1.0, restart: bool = False, engine: str = "scipy", show: bool = False,
    itershow: Sequence[int] = (10, 10, 10), show_inner: bool = False, callback: Callable[[Any], None] | None = None,
    preallocate: bool = False, **kwargs_lsqr: Any,
) -> SparseResult:  # fmt: skip
    r"""Minimise a misfit with L2 and L1 penalties of ``R x``, by :class:`~torchlops.optimization.sparse.SplitBregman`.

    .. math::
        \frac{\mu}{2} \|y - A x\|^2 + \frac{1}{2} \sum_i \epsilon_{2,i} \|y_{2,i} - R_{2,i} x\|^2
        + \sum_i \epsilon_{1,i}^2 \|R_{1,i} x\|_1

    Each ``epsRL1s`` is a threshold: the weight of its penalty is its square.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        RegsL1: Operators of the L1 penalties.
        x0: Initial guess; zero by default.
        niter_outer: Maximum number of outer iterations.
        niter_inner: Inner iterations in each of them.
        RegsL2: Operators of the L2 penalties.
        dataregsL2: Data of these; zero by default.
        mu: Weight of the misfit: a number, or one per sample.
        epsRL1s: Thresholds of the L1 penalties, each a number, or one per sample; 1 by default.
        epsRL2s: Weights of the L2 penalties, in the same way.
        tol: Stop a sample when the norm of a change of ``x`` is not above it; by default 1e-10 times the norm of ``x``.
            (PyLops's default is absolute, so that it depends on the units of the data.)
        rtol: Stop a sample when its cost is below this times the first.
        rtol1: The same, relative to the cost of ``x = 0``. (PyLops compares a square with the norm of the data.)
        tau: Step of the Bregman update.
        restart: Whether least-squares solves start from ``x0``, not from the last ``x``.
        engine: Accepted and ignored: least-squares solves are conjugate gradients.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        show_inner: Accepted and ignored.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored.
        **kwargs_lsqr: ``niter`` (or ``iter_lim``), ``atol`` (on the gradient, relative to that at zero) and ``damp``
            (of the change) of the least-squares solves, and the options of
            :class:`~torchlops.optimization.solver.options.Options`.

    Example:
        >>> import torch, torchlops
        >>> D = torchlops.FirstDerivative(4, edge=True, kind="forward", dtype="float64")
        >>> y = torch.tensor([0.0, 0.2, 3.0, 3.2], dtype=torch.float64)
        >>> splitbregman(torchlops.Identity(4), y, [D], epsRL1s=[0.4], niter_outer=300, niter_inner=1).x
        tensor([0.1600, 0.2000, 3.0000, 3.0400], dtype=torch.float64)
    """
    return cls_sparsity.SplitBregman(Op, **constructor_options(kwargs_lsqr)).solve(
        y, RegsL1, x0, niter_outer, niter_inner, RegsL2, dataregsL2, mu, epsRL1s, epsRL2s, tol, tau, restart, engine,
        preallocate, show, itershow, show_inner, callback=callback, rtol=rtol, rtol1=rtol1, **kwargs_lsqr,
    )  # fmt: skip
