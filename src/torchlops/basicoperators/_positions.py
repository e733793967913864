"""Axes and positions given by the user: tensors, which may require gradients, or arrays, which are constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchlops.arrays import Array, as_tensor, complex_dtype, promote, real_dtype, to_numpy
from torchlops.linearoperator import LinearOperator
from torchlops.torch_internals import is_plain_eager, is_wrapped


class Positions:
    """An attribute of the axis or positions that a user gave: the tensor itself, or an array of the constants.

    The buffer of the constants has an underscore before its name, since torch takes buffers to be tensors.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, operator: LinearOperator | None, kind: type | None = None) -> Any:
        if operator is None:
            return self
        held = operator._held(self.name)
        if held is None:
            raise AttributeError(f"{type(operator).__name__} has no attribute {self.name!r}")
        return to_numpy(held) if self.name in operator._constant_names else held

    def __set__(self, operator: LinearOperator, value: Tensor) -> None:
        operator._buffers[f"_{self.name}"] = value


def register_positions(operator: LinearOperator, name: str, value: Any, is_tabulated: bool = False) -> bool:
    """Store the axis or positions ``value`` in ``operator``, and return whether they are a tensor of the user.

    A tensor becomes a tensor of the operator: it carries gradients, in-place changes are seen by the next call, and
    it affects the dtype of the result. An array, a list or a range is geometry. It becomes a float64 buffer of
    constants, from which tables can be precomputed (``is_tabulated``; they can then not be replaced). It is not part of
    the state and does not affect the dtype of the result.
    """
    if isinstance(value, Tensor):
        operator._register(name, value)
        return True
    held = f"_{name}" if isinstance(getattr(type(operator), name, None), Positions) else name
    operator.register_buffer(held, constants(value, f"{type(operator).__name__}: {name}"), persistent=False)
    operator._constant_names += (name,)
    if is_tabulated:
        operator._fixed_names += (name,)
    return False


class Constants:
    """An attribute of what a user gave: the tensor itself, or a read-only array of the constants that are kept."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, operator: LinearOperator | None, kind: type | None = None) -> Any:
        if operator is None:
            return self
        if operator._held(self.name) is None:
            raise AttributeError(f"{type(operator).__name__} has no attribute {self.name!r}")
        values = given_or_kept(operator, self.name)
        return read_only(values) if self.name in operator._constant_names else values


def read_only(values: Tensor) -> NDArray[Any]:
    """Return values as an array that cannot be changed in place, which what is derived from it would not see."""
    array = to_numpy(values).view()
    array.flags.writeable = False
    return array


def register_or_keep(operator: LinearOperator, name: str, value: Tensor, learns: bool) -> None:
    """Store what a user gave: a tensor as in :func:`register_positions`, constants as :func:`keep_constants` does."""
    if learns:
        operator._register(name, value)
    else:
        keep_constants(operator, name, value)
        operator._constant_names += (name,)
        operator._fixed_names += (name,)


def given_or_kept(operator: LinearOperator, name: str) -> Tensor:
    """Return what :func:`register_or_keep` stored."""
    return kept_constants(operator, name) if name in operator._constant_names else operator._tensor(name)


def keep_constants(operator: LinearOperator, name: str, values: Tensor) -> None:
    """Keep float64 constants in ``operator`` that its casts do not change, where float32 is too short for them."""
    bits = values.contiguous().reshape(-1).view(torch.int64).reshape(values.shape)
    operator.register_buffer(f"_{name}", bits, persistent=False)


def kept_constants(operator: LinearOperator, name: str) -> Tensor:
    """Return what :func:`keep_constants` keeps."""
    bits = operator._held(name)
    assert bits is not None
    return bits.reshape(-1).view(torch.float64).reshape(bits.shape)


def constants(value: Any, what: str) -> Tensor:
    """Return an array, list or range of numbers as a new float64 tensor."""
    if torch.compiler.is_compiling():  # which cannot follow the checks below
        return torch.from_numpy(np.array(value, dtype=np.float64))
    try:
        array = value.copy() if isinstance(value, np.ndarray) else np.array(value)  # a masked one stays so
    except (TypeError, ValueError):
        array = np.array(None)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} must be an array of real numbers, got {value!r}")
    return as_tensor(array, what).to(torch.float64)


def is_readable(tensor: Tensor) -> bool:
    """Return whether the values of ``tensor`` can be read: it is neither traced by a transform nor on ``meta``."""
    return (
        not torch.compiler.is_compiling()
        and is_plain_eager()
        and type(tensor) in (Tensor, nn.Parameter)
        and not tensor.is_meta
        and not is_wrapped(tensor)
    )


def carries_derivative(tensor: Tensor) -> bool:
    """Whether a tensor requires a gradient, or may be part of a transform."""
    return tensor.requires_grad or not is_readable(tensor)


def weight_dtype(operator: LinearOperator, x: Tensor) -> torch.dtype:
    """Return the real dtype of the weights that ``operator`` derives from its positions and applies to ``x``.

    As in torch's type promotion, zero-dimensional tensors do not affect the dtype.
    """
    own = [real_dtype(tensor.dtype) for tensor in operator._own_tensors() if tensor.ndim]
    return promote([real_dtype(x.dtype), *own])


def in_result_dtype(operator: LinearOperator, x: Tensor) -> Tensor:
    """Return ``x`` in the dtype of the result, promoted from ``x`` and the operator's tensors."""
    dtype = weight_dtype(operator, x)
    return x.to(complex_dtype(dtype) if x.is_complex() else dtype)


def precise(positions: Tensor) -> Tensor:
    """Return positions in at least float32: half precision cannot resolve the samples of a long axis."""
    return positions.to(torch.promote_types(positions.dtype, torch.float32))


def whole_numbers(start: int, stop: int, like: Tensor) -> Tensor:
    """Return the integers from ``start`` to ``stop - 1``, in the dtype and on the device of ``like``."""
    return torch.arange(start, stop, dtype=like.dtype, device=like.device)


def step_of(axis: Array) -> float | None:
    """Return the step of an axis as a number; None if it has one sample, or if its values are not known."""
    if len(axis) < 2 or (isinstance(axis, Tensor) and not is_readable(axis)) or torch.compiler.is_compiling():
        return None
    return float(axis[1] - axis[0])
