"""How ``A @ x`` reads arrays of several axes: the switch of PyLops's module of this name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = [
    "disabled_ndarray_multiplication",
    "enabled_ndarray_multiplication",
    "get_ndarray_multiplication",
    "set_ndarray_multiplication",
]


_everywhere = True
_here: ContextVar[bool | None] = ContextVar("ndarray_multiplication", default=None)
"""Within the ``with`` blocks of a thread or a coroutine, what the innermost of them asks for."""


def get_ndarray_multiplication() -> bool:
    """Return whether ``A @ x`` takes arrays of shape ``dims``."""
    here = _here.get()
    return _everywhere if here is None else here


def set_ndarray_multiplication(val: bool) -> None:
    """Set whether ``A @ x`` takes arrays of shape ``dims``, and ``(*dims, K)``, in all threads.

    If not, it takes vectors ``(N,)`` and matrices ``(N, K)``, as a matrix does, and answers with such. ``A(x)`` always
    takes both. Within a ``with`` block of :func:`enabled_ndarray_multiplication` or
    :func:`disabled_ndarray_multiplication`, what this sets holds to the end of the block.
    """
    global _everywhere
    if _here.get() is None:
        _everywhere = val
    else:
        _here.set(val)


@contextmanager
def enabled_ndarray_multiplication() -> Iterator[bool]:
    """Let ``A @ x`` take arrays of shape ``dims`` within a ``with`` block of this thread."""
    with _multiplication(True) as before:
        yield before


@contextmanager
def disabled_ndarray_multiplication() -> Iterator[bool]:
    """Let ``A @ x`` take only vectors and matrices within a ``with`` block of this thread.

    Example:
        >>> import numpy as np, torchlops
        >>> A = torchlops.Sum((2, 3))
        >>> with torchlops.disabled_ndarray_multiplication():
        ...     y = A @ np.ones(6)  # a vector; an array (2, 3) raises
        >>> y
        array([3., 3.])
    """
    with _multiplication(False) as before:
        yield before


@contextmanager
def _multiplication(enabled: bool) -> Iterator[bool]:
    before = get_ndarray_multiplication()
    token = _here.set(enabled)
    try:
        yield before
    finally:
        _here.reset(token)
