"""Parsing of the sizes, axes and options of operators."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

Dims: TypeAlias = "int | Sequence[int]"

PER_SAMPLE = "For one per sample of a batch, see torchlops.per_sample."
"""The hint in errors about a tensor with more axes than an operator takes."""


def as_dims(dims: Dims, what: str = "dims") -> tuple[int, ...]:
    """Return ``dims`` as a tuple of positive integers.

    >>> as_dims(3), as_dims([2, 3])
    ((3,), (2, 3))
    """
    sizes = _as_integers(dims, what)
    if not sizes or any(size < 1 for size in sizes):
        raise ValueError(f"{what} must contain at least one size, each at least 1, got {dims!r}")
    return sizes


def as_integer(value: Any, what: str, least: int | None = None) -> int:
    """Return ``value`` as a Python integer. Fractions and booleans are refused, not rounded.

    Raises:
        TypeError: If ``value`` is not an integer.
        ValueError: If it is smaller than ``least``.

    >>> as_integer(3, "level", least=0)
    3
    """
    try:
        number = _index(value)
    except TypeError:
        raise TypeError(f"{what} must be an integer, got {value!r}") from None
    if least is not None and number < least:
        raise ValueError(f"{what} must be at least {least}, got {number}")
    return number


def _as_integers(values: Any, what: str) -> tuple[int, ...]:
    try:
        return (_index(values),)
    except TypeError:
        pass  # a sequence
    try:
        return tuple(_index(value) for value in values)
    except TypeError:
        raise TypeError(f"{what} must be an integer or a sequence of integers, got {values!r}") from None


def _index(value: Any) -> int:
    if isinstance(value, bool) or "bool" in str(getattr(value, "dtype", "")):
        raise TypeError  # operator.index(True) is 1
    return operator.index(value)


def as_trailing_axis(axis: int, dims: tuple[int, ...]) -> int:
    """Return ``axis`` counted from the end, so that leading batch axes do not change it.

    >>> as_trailing_axis(0, (2, 3)), as_trailing_axis(-1, (2, 3))
    (-2, -1)
    """
    axis = as_integer(axis, "axis")
    ndim = len(dims)
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis {axis} is out of range for dims={dims}: it must be from {-ndim} to {ndim - 1}")
    return axis - ndim if axis >= 0 else axis


def as_trailing_axes(axes: Dims, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return distinct ``axes``, each counted from the end.

    >>> as_trailing_axes((0, -1), (2, 3, 4))
    (-3, -1)
    """
    given = _as_integers(axes, "axes")
    trailing = tuple(as_trailing_axis(axis, dims) for axis in given)
    if len(set(trailing)) != len(trailing):
        raise ValueError(f"axes {given} contain the same axis of dims={dims} twice")
    return trailing


def per_axis(value: Any, count: int, what: str) -> tuple[Any, ...]:
    """Return a tuple of one value per axis, repeating a single ``value`` for all ``count`` axes.

    >>> per_axis(2.0, 3, "sampling"), per_axis((1, 2), 2, "sampling")
    ((2.0, 2.0, 2.0), (1, 2))
    """
    is_one = not hasattr(value, "__len__") or isinstance(value, str) or getattr(value, "ndim", 1) == 0
    values = (value,) * count if is_one else tuple(value)
    if len(values) != count:
        raise ValueError(f"{what} must be one value or {count} values, one per axis, got {value!r}")
    return values


def accept_pylops_options(**_: Any) -> None:
    """Accept and ignore the options of PyLops that affect how, but not what, it computes.

    ``nproc``, ``parallel_kind``, ``inoutengine`` and ``inplace`` stay in the signatures, so that PyLops code runs
    unchanged, and so does ``engine`` (see :func:`as_engine`). They have no effect: torch is the engine and manages its
    own threads, so that a stack has no pool of processes (its ``pool`` and ``close`` do nothing), and an output never
    shares memory with its input.
    """


ENGINES = ("numpy", "scipy", "fftw", "mkl_fft", "numba", "cuda")


def as_engine(engine: str) -> str:
    """Return ``engine``, the name of an engine of PyLops, which has no effect: torch is the engine.

    Raises:
        ValueError: If PyLops has no such engine.

    >>> as_engine("numba")
    'numba'
    """
    if engine not in ENGINES:
        raise ValueError(f"`engine` must be {', '.join(ENGINES[:-1])} or {ENGINES[-1]}, got {engine!r}")
    return engine
