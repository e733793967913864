"""Kernels on small NumPy arrays, used only where they are provably safe.

A call of torch takes 1 to 3 µs however small its tensors are, and a call of NumPy a third of that. Some operators
therefore have a third kernel, ``_array_kernel``, which computes ``A x`` or ``A^H y`` of a NumPy array. It runs only for
a small array that a user gave, in plain eager execution: such a call has no graph, and its result is an array. In any
other case, the array becomes a tensor.

An array kernel gives what the tensor kernel gives, to rounding: the same shape and dtype, and NaN where that gives NaN.
It reads the tensors of its operator in each call, by :func:`view`, so that changes of a parameter are seen. Where it
cannot, it raises :class:`Unsuitable`, and the tensor kernel runs. It returns new memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import Parameter

from torchlops.arrays import PLAIN_DTYPES
from torchlops.torch_internals import is_unwatched, is_wrapped

SMALL = 8192
"""The largest number of elements for which array kernels run. From about there on, kernels of torch are faster."""

TABLE_LIMIT = 1 << 19
"""The largest number of elements of a table that an array kernel makes. Tensor kernels work on larger ones in parts."""

Array: TypeAlias = "NDArray[Any]"

REPLACED = frozenset({"_forward", "_adjoint", "_run_adjoint", "_apply_to", "apply_nd", "forward", "__call__"})
"""The methods for which an array kernel stands in. A subclass that defines one of them does not inherit the kernel."""


try:  # the state of numpy.errstate, to change it at a fifth of the cost
    from numpy._core.umath import _extobj_contextvar, _make_extobj

    _state: Any = _extobj_contextvar
    _QUIET: Any = _make_extobj(all="ignore")
except (ImportError, TypeError):  # NumPy 1
    _state = None


class Unsuitable(Exception):  # noqa: N818  (not an error: the tensor kernel runs)
    """Raised by an array kernel that cannot compute this product: the tensor kernel then does."""


def suits(x: Array) -> bool:
    """Whether array kernels may run for this array, now."""
    return is_unwatched() and 0 < x.size <= SMALL and x.dtype in PLAIN_DTYPES


def inherits_array_kernel(cls: type, base: type) -> bool:
    """Whether the array kernel of ``cls`` computes what its other methods do.

    Not if a method of :data:`REPLACED` is newer than it. ``base`` has an array kernel for all of its own.
    """
    for ancestor in cls.__mro__:
        defined = vars(ancestor)
        if "_array_kernel" in defined or ancestor is base:
            return True
        if not REPLACED.isdisjoint(defined):
            return False
    return False


def quietly(function: Callable[..., Array], *arguments: Any) -> Array:
    """Call a function without the warnings of NumPy: as in torch, NaN and infinity are values like others."""
    if _state is None:
        with np.errstate(all="ignore"):
            return function(*arguments)
    token = _state.set(_QUIET)
    try:
        return function(*arguments)
    finally:
        _state.reset(token)


def view(tensor: Tensor) -> Array:
    """Return the values of a tensor of an operator as an array that shares its memory.

    Raises:
        Unsuitable: If NumPy cannot represent them, or the tensor is more than its values.
    """
    kind = type(tensor)
    if kind is not Tensor and kind is not Parameter:
        raise Unsuitable
    if tensor.requires_grad:
        if is_wrapped(tensor):
            raise Unsuitable
        tensor = tensor.detach()
    try:
        array: Array = tensor.numpy()
    except (RuntimeError, TypeError):  # another device, bfloat16, the conjugate bit, a tensor of torch.vmap
        raise Unsuitable from None
    return array


def view_of(module: nn.Module, name: str) -> Array:
    """Return ``view(module.name)`` at half of its cost.

    Raises:
        Unsuitable: As :func:`view`.
    """
    own = vars(module)
    tensor = own["_buffers"].get(name)
    if tensor is None:
        tensor = own["_parameters"].get(name)
    return view(getattr(module, name) if tensor is None else tensor)


def limit_table(elements: int) -> None:
    """Raise :class:`Unsuitable` for a table of more elements than :data:`TABLE_LIMIT`."""
    if elements > TABLE_LIMIT:
        raise Unsuitable


def promoted(x: Array, tensors: Iterable[Tensor]) -> Array:
    """Return ``x`` in the dtype of its product with ``tensors``.

    Raises:
        Unsuitable: As :func:`view`.
    """
    dtype = x.dtype
    for tensor in tensors:
        dtype = np.promote_types(dtype, view(tensor).dtype) if tensor.ndim else dtype
    return x.astype(dtype, copy=False)


def at(axis: int, start: int | None, stop: int | None = None, step: int | None = None) -> tuple[Any, ...]:
    """Return the index of a slice along ``axis``, counted from the end.

    >>> np.arange(6).reshape(2, 3)[at(-2, 1)]
    array([[3, 4, 5]])
    """
    index: tuple[EllipsisType | slice, ...] = (..., slice(start, stop, step))
    return index if axis == -1 else index + (slice(None),) * (-axis - 1)


def rolled(x: Array, shift: int, axis: int) -> Array:
    """Return ``numpy.roll(x, shift, axis)`` at a fraction of its overhead."""
    shift %= x.shape[axis]
    return np.concatenate((x[at(axis, x.shape[axis] - shift)], x[at(axis, None, x.shape[axis] - shift)]), axis)


def placed(x: Array, axis: int, size: int, start: int = 0) -> Array:
    """Return ``size`` samples along ``axis``: ``x`` from sample ``start`` on, cut at both ends, and zeros elsewhere.

    >>> placed(np.array([1.0, 2.0, 3.0]), -1, 4, -1)
    array([2., 3., 0., 0.])
    """
    shape = list(x.shape)
    shape[axis] = size
    y = np.zeros(shape, x.dtype)
    first, last = max(start, 0), min(start + x.shape[axis], size)
    if first < last:
        y[at(axis, first, last)] = x[at(axis, first - start, last - start)]
    return y


def resized(x: Array, dims: Sequence[int]) -> Array:
    """Return ``x`` with its trailing axes cut, or padded by zeros, to ``dims``. The result is a copy."""
    if x.shape[-len(dims) :] == tuple(dims):
        return x.copy()
    y = np.zeros((*x.shape[: x.ndim - len(dims)], *dims), x.dtype)
    common: Any = (..., *(slice(min(pair)) for pair in zip(dims, x.shape[-len(dims) :], strict=True)))
    y[common] = x[common]
    return y


def scattered(values: Array, index: Array, axis: int, size: int) -> Array:
    """Return zeros, ``size`` along ``axis``, to which ``values`` are added at ``index`` along that axis."""
    if values.dtype.kind == "c":
        y = np.empty((*values.shape[:axis], size, *values.shape[values.ndim + axis + 1 :]), values.dtype)
        y.real, y.imag = scattered(values.real, index, axis, size), scattered(values.imag, index, axis, size)
        return y
    if values.ndim == 1:
        return np.bincount(index, values, size).astype(values.dtype, copy=False)
    last = values.swapaxes(axis, -1)
    count = last.size // last.shape[-1]
    index = index + size * np.arange(count)[:, None]
    sums = np.bincount(index.ravel(), last.ravel(), size * count).astype(values.dtype, copy=False)
    return sums.reshape((*last.shape[:-1], size)).swapaxes(axis, -1)


def on_parts(transform: Any, x: Array) -> Array:
    """Apply a real ``transform`` to the real and the imaginary part of ``x``."""
    if x.dtype.kind != "c":
        result: Array = transform(x)
        return result
    real = transform(x.real)
    y = np.empty(real.shape, x.dtype)
    y.real, y.imag = real, transform(x.imag)
    return y


def real_of(x: Array) -> Array:
    """Return a copy of the real part of ``x`` if it is complex, else ``x`` itself."""
    return x.real.copy() if x.dtype.kind == "c" else x


_REAL = {np.dtype(name): np.dtype(real) for name, real in (("complex64", "float32"), ("complex128", "float64"))}
_COMPLEX = {real: name for name, real in _REAL.items()}


def complex_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the complex dtype of the same precision."""
    return _COMPLEX.get(dtype, dtype)


def real_of_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the real dtype of the same precision."""
    return _REAL.get(dtype, dtype)


def tensor_of(x: Array) -> Tensor:
    """Return an array of an operator as a tensor, which shares its memory if torch can represent it."""
    return torch.from_numpy(x if x.flags.writeable and min((0, *x.strides)) >= 0 else x.copy())
