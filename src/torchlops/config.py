"""How ``A @ x`` reads arrays of several axes: the switch of PyLops's module of this name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = [
    "disabled_ndarray_multiplication",
    "enabled_ndarray_multiplication",
    "get_ndarray_multiplication",
    "set_ndarray_multiplication",
]


@dataclass
class Config:
    """The settings of the library, for all threads.

    Args:
        ndarray_multiplication: Whether ``A @ x`` takes arrays of shape ``dims``, and ``(*dims, K)``. If not, it takes
            vectors ``(N,)`` and matrices ``(N, K)``, as a matrix does, and answers with such. ``A(x)`` always takes
            both.
    """

    ndarray_multiplication: bool = True


_config = Config()


def get_ndarray_multiplication() -> bool:
    """Return whether ``A @ x`` takes arrays of shape ``dims``."""
    return _config.ndarray_multiplication


def set_ndarray_multiplication(val: bool) -> None:
    """Set whether ``A @ x`` takes arrays of shape ``dims``; see :class:`Config`."""
    _config.ndarray_multiplication = val


@contextmanager
def enabled_ndarray_multiplication() -> Iterator[bool]:
    """Let ``A @ x`` take arrays of shape ``dims`` within a ``with`` block."""
    with _multiplication(True) as before:
        yield before


@contextmanager
def disabled_ndarray_multiplication() -> Iterator[bool]:
    """Let ``A @ x`` take only vectors and matrices within a ``with`` block.

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
    set_ndarray_multiplication(enabled)
    try:
        yield before
    finally:
        set_ndarray_multiplication(before)
