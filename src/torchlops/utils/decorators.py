"""Decorators for operators and solvers written for PyLops."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torchlops.config import disabled_ndarray_multiplication


def reshaped(
    func: Callable[..., Any] | None = None, forward: bool | None = None, swapaxis: bool = False, axis: int = -1
) -> Any:
    """Convert a method on arrays of shape ``dims`` (``dimsd`` for the adjoint) to a method on flat vectors.

    Args:
        func: The method, such as ``_matvec`` or ``_rmatvec``.
        forward: Whether it takes models. By default, it takes data if its name contains ``rmat``, or is ``div`` or
            ``__truediv__``.
        swapaxis: Exchange the operator's ``axis`` and ``axis``, and back.
        axis: See ``swapaxis``.

    Example:
        >>> import numpy as np, torchlops
        >>> class Twice(torchlops.LinearOperator):
        ...     @reshaped
        ...     def _matvec(self, x):
        ...         return 2 * x
        ...     _rmatvec = _matvec
        >>> Twice(dims=(2, 2)) @ np.ones(4)
        array([2., 2., 2., 2.])
    """
    if func is None:
        return functools.partial(reshaped, forward=forward, swapaxis=swapaxis, axis=axis)
    takes_data = "rmat" in func.__name__ or func.__name__ in ("div", "__truediv__")
    is_forward = not takes_data if forward is None else forward

    @functools.wraps(func)
    def method(self: Any, x: Any) -> Any:
        x = x.reshape(self.dims if is_forward else self.dimsd)
        y = func(self, x.swapaxes(self.axis, axis) if swapaxis else x)
        return (y.swapaxes(self.axis, axis) if swapaxis else y).ravel()

    return method


def count(func: Callable[..., Any] | None = None, forward: bool | None = None, matmat: bool = False) -> Any:
    """Count the calls of a method of an operator.

    The count is an attribute of the operator: ``matvec_count`` or ``rmatvec_count`` or, with ``matmat``,
    ``matmat_count`` or ``rmatmat_count``.

    Args:
        func: The method, such as ``_matvec`` or ``_rmatvec``.
        forward: Whether it is the forward; by default inferred from its name.
        matmat: Whether it takes several vectors, as columns.

    Example:
        >>> import numpy as np, torchlops
        >>> class Twice(torchlops.LinearOperator):
        ...     @count
        ...     def _matvec(self, x):
        ...         return 2 * x
        >>> A = Twice(dims=2)
        >>> A._matvec(A._matvec(np.ones(2))), A.matvec_count
        (array([4., 4.]), 2)
    """
    if func is None:
        return functools.partial(count, forward=forward, matmat=matmat)
    is_forward = "rmat" not in func.__name__ if forward is None else forward
    counter = f"{'' if is_forward else 'r'}{'matmat' if matmat else 'matvec'}_count"

    @functools.wraps(func)
    def method(self: Any, x: Any) -> Any:
        y = func(self, x)
        setattr(self, counter, getattr(self, counter, 0) + 1)
        return y

    return method


def add_ndarray_support_to_solver(func: Callable[..., Any]) -> Callable[..., Any]:
    """Let a solver for flat vectors, ``func(A, b, *args, **kwargs)``, take data and an ``x0`` of any shape.

    The solution, the first result of ``func``, is reshaped to ``A.dims``, unless a flat ``x0`` was given or
    ``A.forceflat`` is True. Within ``func``, ``A @ x`` is flat for a flat ``x``.

    Example:
        >>> import numpy as np, scipy.sparse.linalg, torchlops
        >>> solve = add_ndarray_support_to_solver(scipy.sparse.linalg.lsqr)
        >>> solve(2 * torchlops.Identity((2, 3)), np.ones((2, 3)))[0].round(3)
        array([[0.5, 0.5, 0.5],
               [0.5, 0.5, 0.5]])
    """

    @functools.wraps(func)
    def solve(A: Any, b: Any, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        x0 = kwargs.get("x0")
        if x0 is not None:
            kwargs["x0"] = x0.reshape(-1)
        with disabled_ndarray_multiplication():
            x, *others = func(A, b.reshape(-1), *args, **kwargs)
        if (x0 is None or x0.ndim > 1) and not getattr(A, "forceflat", None):
            x = x.reshape(getattr(A, "dims", (A.shape[1],)))
        return x, *others

    return solve


def disable_ndarray_multiplication(func: Callable[..., Any]) -> Callable[..., Any]:
    """Let ``A @ x`` within ``func`` take only vectors and matrices, and give such; see ``torchlops.config``."""

    @functools.wraps(func)
    def function(*args: Any, **kwargs: Any) -> Any:
        with disabled_ndarray_multiplication():
            return func(*args, **kwargs)

    return function
