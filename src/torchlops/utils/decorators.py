"""The decorator with which operators written for PyLops reshape their flat vectors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def reshaped(func: Callable[..., Any] | None = None, forward: bool | None = None, swapaxis: bool = False) -> Any:
    """Let a method on arrays of shape ``dims`` (``dimsd`` for the adjoint) serve as one on flat vectors.

    Args:
        func: The method, ``_matvec`` or ``_rmatvec``.
        forward: Whether it is the forward; by default its name tells.
        swapaxis: Bring the operator's ``axis`` last, and back.

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
        return functools.partial(reshaped, forward=forward, swapaxis=swapaxis)
    is_forward = func.__name__ != "_rmatvec" if forward is None else forward

    @functools.wraps(func)
    def method(self: Any, x: Any) -> Any:
        x = x.reshape(self.dims if is_forward else self.dimsd)
        y = func(self, x.swapaxes(self.axis, -1) if swapaxis else x)
        return (y.swapaxes(self.axis, -1) if swapaxis else y).ravel()

    return method
