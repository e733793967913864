"""Settings: how ``A @ x`` reads arrays of several axes, as in PyLops, and the memory of tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torchlops.shapes import as_integer

__all__ = [
    "disabled_ndarray_multiplication",
    "enabled_ndarray_multiplication",
    "get_ndarray_multiplication",
    "get_sparse_limit",
    "set_ndarray_multiplication",
    "set_sparse_limit",
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


_sparse_limit = 1 << 28


def get_sparse_limit() -> int:
    """Return the largest size in bytes of a sparse matrix that an operator keeps: 256 MiB, unless it was set."""
    return _sparse_limit


def set_sparse_limit(limit: int) -> None:
    """Set the largest size in bytes of a sparse matrix that an operator keeps.

    Operators that gather and scatter samples, such as :class:`~torchlops.waveeqprocessing.Kirchhoff`, Spread and
    Radon2D, keep a sparse matrix for their products on the CPU, and another one for those of their adjoint, where each
    is at most so large. Otherwise they compute what it would hold in each product, which is slower and takes little
    memory. With 0, none is made; those that are kept are not freed.

    Args:
        limit: The size in bytes, for the whole process.

    Raises:
        TypeError: If ``limit`` is not an integer.
        ValueError: If it is negative.

    Example:
        >>> set_sparse_limit(2 * get_sparse_limit())
        >>> get_sparse_limit() // 2**20
        512
        >>> set_sparse_limit(2**28)
    """
    global _sparse_limit
    _sparse_limit = as_integer(limit, "limit", least=0)
