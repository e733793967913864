"""Weighted, regularised and preconditioned least squares as functions; see ``cls_leastsquares`` for the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchlops.optimization import cls_leastsquares
from torchlops.optimization.cls_leastsquares import (  # noqa: F401  # the classes are found here as well, as in PyLops
    NormalEquationsInversion,
    NormalEquationsResult,
    PreconditionedInversion,
    RegularizedInversion,
    RegularizedOperator,
    RegularizedResult,
)

__all__ = [
    "RegularizedOperator",
    "normal_equations_inversion",
    "preconditioned_inversion",
    "regularized_inversion",
]


def normal_equations_inversion(
    Op: Any,
    y: Any,
    Regs: Sequence[Any] | None,
    x0: Any = None,
    Weight: Any = None,
    dataregs: Sequence[Any] | None = None,
    epsI: Any = 0.0,
    epsRs: Sequence[Any] | None = None,
    NRegs: Sequence[Any] | None = None,
    epsNRs: Sequence[Any] | None = None,
    engine: str = "scipy",
    show: bool = False,
    **kwargs_solver: Any,
) -> NormalEquationsResult:
    r"""Solve weighted and regularised normal equations, by :class:`NormalEquationsInversion`.

    .. math::

        \Bigl(A^H W A + \sum_i \epsilon_{R_i}^2 R_i^H R_i + \sum_i \epsilon_{N_i}^2 N_i + \epsilon_I^2 I\Bigr) x
        = A^H W y + \sum_i \epsilon_{R_i}^2 R_i^H y_{R_i}

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        Regs: Regularisers :math:`R_i`, or None.
        x0: Initial guess; zero by default.
        Weight: An operator :math:`W`, Hermitian and positive, or real weights of the shape of the data (of one
            sample, or of the batch). It weights squares: the root of it would weight the residual.
        dataregs: Data :math:`y_{R_i}` of the regularisers, of one sample or of the batch; zero by default, or where
            one is None.
        epsI: The damping: a number, or one per sample.
        epsRs: The epsilons of ``Regs``, each a number, or one per sample; 1 by default.
        NRegs: Regularisers :math:`N_i` that are Hermitian and positive already.
        epsNRs: The epsilons of ``NRegs``; 1 by default.
        engine: The defaults of the options of :func:`~torchlops.optimization.basic.cg`: ``"scipy"`` for ``rtol=1e-5``
            (of the norm of the right-hand side), ``atol=0`` (of the residual) and ``maxiter`` of ten times the number
            of unknowns, as in SciPy; ``"pylops"`` for ``niter=10`` and ``tol=1e-4``, as in PyLops.
        show: Whether to print a table.
        **kwargs_solver: Arguments of ``cg``. The maximum number of iterations may be called ``maxiter`` or ``niter``
            with both.

    Data, epsilons, weights and the tensors of all operators get exact derivatives.

    Example:
        >>> import torch, torchlops
        >>> eps = torch.tensor(2.0, requires_grad=True)
        >>> I = torchlops.Identity(3)
        >>> x, istop = normal_equations_inversion(I, torch.ones(3), [I], epsRs=[eps])
        >>> x.sum().backward()  # x = 1 / (1 + eps^2)
        >>> eps.grad
        tensor(-0.4800)
    """
    return cls_leastsquares.NormalEquationsInversion(Op).solve(
        y, Regs, x0, Weight, dataregs, epsI, epsRs, NRegs, epsNRs, engine, show, **kwargs_solver
    )


def regularized_inversion(
    Op: Any,
    y: Any,
    Regs: Sequence[Any] | None,
    x0: Any = None,
    Weight: Any = None,
    dataregs: Sequence[Any] | None = None,
    epsRs: Sequence[Any] | None = None,
    engine: str = "scipy",
    show: bool = False,
    **kwargs_solver: Any,
) -> RegularizedResult:
    r"""Solve weighted and regularised least squares, by :class:`RegularizedInversion`.

    .. math:: \min_x \|W (A x - y)\|^2 + \sum_i \epsilon_{R_i}^2 \|R_i x - y_{R_i}\|^2

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        Regs: Regularisers :math:`R_i`, or None.
        x0: Initial guess; zero by default.
        Weight: An operator :math:`W`, or weights of the shape of the data (of one sample, or of the
            batch): of the residual, and not of its square.
        dataregs: Data :math:`y_{R_i}` of the regularisers, of one sample or of the batch; zero by default, or where
            one is None.
        epsRs: The epsilons of ``Regs``, each a number, or one per sample; 1 by default.
        engine: The solver, and the defaults of its options: ``"scipy"`` for :func:`~torchlops.optimization.basic.lsqr`
            with ``atol=1e-6``, ``btol=1e-6``, ``conlim=1e8`` and ``iter_lim`` of twice the number of unknowns, as in
            SciPy; ``"pylops"`` for :func:`~torchlops.optimization.basic.cgls` with ``niter=10`` and ``tol=1e-4``, as in
            PyLops.
        show: Whether to print a table.
        **kwargs_solver: Arguments of that solver. The maximum number of iterations may be called ``iter_lim`` or
            ``niter`` with both.

    Data, epsilons, weights and the tensors of all operators get exact derivatives.

    Example:
        >>> import torch, torchlops
        >>> D = torchlops.SecondDerivative(5)
        >>> y = torch.tensor([0.0, 2.0, 1.0, 3.0, 4.0], dtype=torch.float64)
        >>> x, istop, itn, r1norm, r2norm = regularized_inversion(torchlops.Identity(5), y, [D], epsRs=[1e3])
        >>> bool((x.diff().diff().abs() < 1e-3).all())  # a straight line
        True
    """
    return cls_leastsquares.RegularizedInversion(Op).solve(
        y, Regs, x0, Weight, dataregs, epsRs, engine, show, **kwargs_solver
    )


def preconditioned_inversion(
    Op: Any, y: Any, P: Any, x0: Any = None, engine: str = "scipy", show: bool = False, **kwargs_solver: Any
) -> RegularizedResult:
    r"""Solve :math:`\min_p \|A P p - y\|^2` and return :math:`x = P p`, by :class:`PreconditionedInversion`.

    Args:
        Op: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        P: The preconditioner: the operator from the new coordinates to the model.
        x0: Initial guess of ``p`` (and not of ``x``); zero by default.
        engine: The solver, and the defaults of its options: ``"scipy"`` for :func:`~torchlops.optimization.basic.lsqr`
            with ``atol=1e-6``, ``btol=1e-6``, ``conlim=1e8`` and ``iter_lim`` of twice the number of unknowns, as in
            SciPy; ``"pylops"`` for :func:`~torchlops.optimization.basic.cgls` with ``niter=10`` and ``tol=1e-4``, as in
            PyLops.
        show: Whether to print a table.
        **kwargs_solver: Arguments of that solver. The maximum number of iterations may be called ``iter_lim`` or
            ``niter`` with both.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.Diagonal(torch.tensor([1.0, 4.0]))
        >>> x, istop, itn, r1norm, r2norm = preconditioned_inversion(A, torch.ones(2), torchlops.Identity(2))
        >>> torch.allclose(x, torch.tensor([1.0, 0.25]))
        True
    """
    return cls_leastsquares.PreconditionedInversion(Op).solve(y, P, x0, engine, show, **kwargs_solver)
