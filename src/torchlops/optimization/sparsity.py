"""The sparse solvers as functions; see the classes of ``cls_sparsity`` for what they do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from torchlops.optimization._sparsesolver import SparseResult
from torchlops.optimization.basesolver import Solver, with_callback
from torchlops.optimization.cls_irls import IRLS, IRLSResult
from torchlops.optimization.cls_ista import FISTA, ISTA
from torchlops.optimization.cls_omp import OMP
from torchlops.optimization.cls_spgl1 import SPGL1, SPGL1Result
from torchlops.optimization.cls_splitbregman import SplitBregman

_HOW = tuple(inspect.signature(Solver.__init__).parameters)[2:]


def irls(
    Op: Any,
    y: Any,
    x0: Any = None,
    nouter: int = 10,
    threshR: bool = False,
    epsR: float = 1e-10,
    epsI: Any = 1e-10,
    tolIRLS: float = 1e-10,
    warm: bool = False,
    kind: str = "data",
    engine: str = "scipy",
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    preallocate: bool = False,
    **kwargs_solver: Any,
) -> IRLSResult:
    """Fit data but for outliers, or by a sparse model, or both, by :class:`~.cls_irls.IRLS`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        nouter: Most outer iterations.
        threshR: Whether weights are ``1 / max(|r|, epsR)`` and not ``1 / (|r| + epsR)``.
        epsR: Smallest residual that weights tell apart.
        epsI: Damping: a number, or one for each sample.
        tolIRLS: Stop a sample when the norm of a change of ``x`` is below it.
        warm: Whether inner solves start from the last ``x`` (not for ``model``).
        kind: ``data``, ``model`` or ``datamodel``.
        engine: Accepted and ignored: inner solves are conjugate gradients.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored.
        **kwargs_solver: ``niter`` (or ``iter_lim``) and ``rtol`` of the inner solves, and the keyword arguments of
            :class:`~torchlops.optimization.basesolver.Solver`.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.5, 0.1]], dtype=torch.float64))
        >>> irls(A, torch.tensor([2.0], dtype=torch.float64), kind="model", nouter=50).x.round(decimals=6)
        tensor([2., 0., 0.], dtype=torch.float64)
    """
    how = {name: kwargs_solver.pop(name) for name in _HOW if name in kwargs_solver}
    return with_callback(IRLS(Op, **how), callback).solve(  # type: ignore[no-any-return]
        y, x0, nouter, threshR, epsR, epsI, tolIRLS, kind, warm, engine, preallocate, show, itershow, **kwargs_solver
    )


def omp(
    Op: Any,
    y: Any,
    niter_outer: int = 10,
    niter_inner: int = 40,
    sigma: float = 1e-4,
    rtol: float = 0.0,
    rtol1: float = 0.0,
    normalizecols: bool = False,
    Opbasis: Any = None,
    optimal_coeff: bool = False,
    engine: str = "scipy",  # noqa: ARG001
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    preallocate: bool = False,
    **how: Any,
) -> SparseResult:
    """Fit the data by few columns of the operator, by :class:`~.cls_omp.OMP`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        niter_outer: Most iterations, and thus most nonzeros.
        niter_inner: 0 for matching pursuit; all other numbers mean orthogonal matching pursuit.
        sigma: Stop a sample when the norm of its residual is not above this.
        rtol: Stop a sample when the norm of its residual is below this times the first.
        rtol1: The same, relative to the norm of the data.
        normalizecols: Whether to choose columns by ``|A^H r|`` over their norms.
        Opbasis: Operator whose columns are normalised instead of those of ``Op``.
        optimal_coeff: For matching pursuit: whether to take the whole part along the column off the residual.
        engine: Accepted and ignored: least-squares problems are solved exactly.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored.
        **how: The keyword arguments of :class:`~torchlops.optimization.basesolver.Solver`.

    Example:
        >>> import torch, torchlops
        >>> omp(torchlops.Identity(3), torch.tensor([1.0, -3.0, 2.0]), niter_outer=2).x
        tensor([ 0., -3.,  2.])
    """
    return with_callback(OMP(Op, **how), callback).solve(  # type: ignore[no-any-return]
        y, niter_outer, niter_inner, sigma, normalizecols, Opbasis, optimal_coeff, preallocate, show, itershow,
        rtol=rtol, rtol1=rtol1,
    )  # fmt: skip


def ista(
    Op: Any,
    y: Any,
    x0: Any = None,
    niter: int = 10,
    SOp: Any = None,
    eps: Any = 0.1,
    alpha: Any = None,
    eigsdict: dict[str, Any] | None = None,
    tol: float = 1e-10,
    rtol: float = 0.0,
    rtol1: float = 0.0,
    threshkind: str = "soft",
    perc: float | None = None,
    decay: Any = None,
    monitorres: bool = False,
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    preallocate: bool = False,
    **how: Any,
) -> SparseResult:
    """Minimise ``||y - A x||^2 + eps ||x||_p^p``, by :class:`~.cls_ista.ISTA`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        niter: Most iterations.
        SOp: Synthesis operator: the model is ``SOp`` of sparse coefficients.
        eps: Weight of the penalty: a number, or one for each sample.
        alpha: Step: a number, or one for each sample; by default one over the largest eigenvalue of ``A^H A``.
        eigsdict: ``niter`` and ``tol`` of the search for that; other entries, which are for SciPy, are ignored.
        tol: Stop a sample when the norm of a change of ``x`` is not above it.
        rtol: Stop a sample when its cost is below this times the first.
        rtol1: The same, relative to the norm of the data.
        threshkind: ``soft``, ``hard``, ``half``, or one of these with ``-percentile``.
        perc: How many percent of the samples survive each iteration, for the percentile variants.
        decay: Factors of the threshold, one for each iteration.
        monitorres: Whether an increase of the residual stops a sample, with the status ``BREAKDOWN``.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored.
        **how: The keyword arguments of :class:`~torchlops.optimization.basesolver.Solver`.

    Example:
        >>> import torch, torchlops
        >>> ista(torchlops.Identity(2), torch.tensor([[3.0, 0.2], [-1.0, 4.0]]), eps=1.0, niter=30).x
        tensor([[ 2.5000,  0.0000],
                [-0.5000,  3.5000]])
    """
    return with_callback(ISTA(Op, **how), callback).solve(  # type: ignore[no-any-return]
        y, x0, niter, SOp, eps, alpha, eigsdict, tol, threshkind, perc, decay, monitorres, preallocate, show, itershow,
        rtol=rtol, rtol1=rtol1,
    )  # fmt: skip


def fista(
    Op: Any,
    y: Any,
    x0: Any = None,
    niter: int = 10,
    SOp: Any = None,
    eps: Any = 0.1,
    alpha: Any = None,
    eigsdict: dict[str, Any] | None = None,
    tol: float = 1e-10,
    rtol: float = 0.0,
    rtol1: float = 0.0,
    threshkind: str = "soft",
    perc: float | None = None,
    decay: Any = None,
    monitorres: bool = False,
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    callback: Callable[[Any], None] | None = None,
    preallocate: bool = False,
    **how: Any,
) -> SparseResult:
    """Minimise ``||y - A x||^2 + eps ||x||_p^p``, by :class:`~.cls_ista.FISTA`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        niter: Most iterations.
        SOp: Synthesis operator: the model is ``SOp`` of sparse coefficients.
        eps: Weight of the penalty: a number, or one for each sample.
        alpha: Step: a number, or one for each sample; by default one over the largest eigenvalue of ``A^H A``.
        eigsdict: ``niter`` and ``tol`` of the search for that; other entries, which are for SciPy, are ignored.
        tol: Stop a sample when the norm of a change of ``x`` is not above it.
        rtol: Stop a sample when its cost is below this times the first.
        rtol1: The same, relative to the norm of the data.
        threshkind: ``soft``, ``hard``, ``half``, or one of these with ``-percentile``.
        perc: How many percent of the samples survive each iteration, for the percentile variants.
        decay: Factors of the threshold, one for each iteration.
        monitorres: Whether an increase of the residual stops a sample, with the status ``BREAKDOWN``.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored.
        **how: The keyword arguments of :class:`~torchlops.optimization.basesolver.Solver`.

    Example:
        >>> import torch, torchlops
        >>> fista(torchlops.Identity(2), torch.tensor([[3.0, 0.2], [-1.0, 4.0]]), eps=1.0, niter=30).x
        tensor([[ 2.5000,  0.0000],
                [-0.5000,  3.5000]])
    """
    return with_callback(FISTA(Op, **how), callback).solve(  # type: ignore[no-any-return]
        y, x0, niter, SOp, eps, alpha, eigsdict, tol, threshkind, perc, decay, monitorres, preallocate, show, itershow,
        rtol=rtol, rtol1=rtol1,
    )  # fmt: skip


def spgl1(
    Op: Any,
    y: Any,
    x0: Any = None,
    SOp: Any = None,
    tau: Any = 0.0,
    sigma: Any = 0.0,
    show: bool = False,
    **kwargs_spgl1: Any,
) -> SPGL1Result:
    """Minimise ``||x||_1`` for ``||y - A x|| <= sigma``, by :class:`~.cls_spgl1.SPGL1`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        x0: Initial guess; zero by default.
        SOp: Sparsifying operator: the model is ``SOp^H`` of the sparse coefficients.
        tau: Radius of the lasso, where ``sigma`` is 0 and this is not: a number, or one for each sample.
        sigma: Norm of the residual: a number, or one for each sample.
        show: Whether to print a table.
        **kwargs_spgl1: ``iter_lim``, ``opt_tol``, ``bp_tol`` and ``n_prev_vals`` of ``SPGL1.solve``, ``callback``,
            and the keyword arguments of :class:`~torchlops.optimization.basesolver.Solver`.

    Example:
        >>> import torch, torchlops
        >>> x, p, info = spgl1(torchlops.Identity(3), torch.tensor([3.0, 1.0, 0.0]), tau=2.0)
        >>> x
        tensor([2., 0., 0.])
    """
    how = {name: kwargs_spgl1.pop(name) for name in _HOW if name in kwargs_spgl1}
    solver = with_callback(SPGL1(Op, **how), kwargs_spgl1.pop("callback", None))
    return solver.solve(y, x0, SOp, tau, sigma, show, **kwargs_spgl1)  # type: ignore[no-any-return]


def splitbregman(
    Op: Any,
    y: Any,
    RegsL1: Sequence[Any],
    x0: Any = None,
    niter_outer: int = 3,
    niter_inner: int = 5,
    RegsL2: Sequence[Any] | None = None,
    dataregsL2: Sequence[Any] | None = None,
    mu: Any = 1.0,
    epsRL1s: Sequence[Any] | None = None,
    epsRL2s: Sequence[Any] | None = None,
    tol: float = 1e-10,
    rtol: float = 0.0,
    rtol1: float = 0.0,
    tau: float = 1.0,
    restart: bool = False,
    engine: str = "scipy",
    show: bool = False,
    itershow: Sequence[int] = (10, 10, 10),
    show_inner: bool = False,
    callback: Callable[[Any], None] | None = None,
    preallocate: bool = False,
    **kwargs_lsqr: Any,
) -> SparseResult:
    """Minimise a misfit with L2 and L1 penalties of ``R x``, by :class:`~.cls_splitbregman.SplitBregman`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        RegsL1: Operators of the L1 penalties.
        x0: Initial guess; zero by default.
        niter_outer: Most outer iterations.
        niter_inner: Inner iterations in each of them.
        RegsL2: Operators of the L2 penalties.
        dataregsL2: Data of these; zero by default.
        mu: Weight of the misfit: a number, or one for each sample.
        epsRL1s: Thresholds of the L1 penalties, each a number, or one for each sample; 1 by default.
        epsRL2s: Weights of the L2 penalties, in the same way.
        tol: Stop a sample when the norm of a change of ``x`` is not above it.
        rtol: Stop a sample when its cost is below this times the first.
        rtol1: The same, relative to the norm of the data.
        tau: Step of the Bregman update.
        restart: Whether least-squares solves start from ``x0``, not from the last ``x``.
        engine: Accepted and ignored: least-squares solves are conjugate gradients.
        show: Whether to print a table.
        itershow: Which lines of it: the first, the last, and every so many between.
        show_inner: Accepted and ignored.
        callback: Called with ``x`` after each iteration.
        preallocate: Accepted and ignored.
        **kwargs_lsqr: ``niter`` (or ``iter_lim``) and ``atol`` of the least-squares solves, and the keyword arguments
            of :class:`~torchlops.optimization.basesolver.Solver`.

    Example:
        >>> import torch, torchlops
        >>> D = torchlops.FirstDerivative(4, edge=True, kind="forward", dtype="float64")
        >>> y = torch.tensor([0.0, 0.2, 3.0, 3.2], dtype=torch.float64)
        >>> splitbregman(torchlops.Identity(4), y, [D], epsRL1s=[0.4], niter_outer=300, niter_inner=1).x
        tensor([0.1600, 0.2000, 3.0000, 3.0400], dtype=torch.float64)
    """
    how = {name: kwargs_lsqr.pop(name) for name in _HOW if name in kwargs_lsqr}
    return with_callback(SplitBregman(Op, **how), callback).solve(  # type: ignore[no-any-return]
        y, RegsL1, x0, niter_outer, niter_inner, RegsL2, dataregsL2, mu, epsRL1s, epsRL2s, tol, tau, restart, engine,
        preallocate, show, itershow, show_inner, rtol=rtol, rtol1=rtol1, **kwargs_lsqr,
    )  # fmt: skip
