"""Axes and positions that a user gives: tensors, which can learn, or arrays, which are constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchlops.arrays import as_tensor, complex_dtype, promote, real_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.torch_internals import is_plain_eager, is_wrapped


def register_positions(operator: LinearOperator, name: str, value: Any) -> bool:
    """Give ``operator`` the axis or positions ``value``, and return whether they are a tensor of the user's.

    A tensor becomes a tensor of the operator: it carries gradients, a change of it is seen by the next call, and
    it takes part in the dtype of the result. An array, a list or a range is geometry. It becomes a buffer of
    float64 constants, from which tables may be made once and for all, is no part of the state, and leaves the dtype
    to the data.
    """
    if isinstance(value, Tensor):
        operator._register(name, value)
        return True
    operator.register_buffer(name, constants(value, f"{type(operator).__name__}: {name}"), persistent=False)
    return False


def constants(value: Any, what: str) -> Tensor:
    """Return an array, a list or a range of numbers as a new float64 tensor."""
    try:
        array = value.copy() if isinstance(value, np.ndarray) else np.array(value)  # a masked one stays so
    except (TypeError, ValueError):
        array = np.array(None)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} must be an array of real numbers, got {value!r}")
    return as_tensor(array, what).to(torch.float64)


def is_readable(tensor: Tensor) -> bool:
    """Whether the values of ``tensor`` can be looked at: it is no tracer of a transform, and not on ``meta``."""
    return (
        not torch.compiler.is_compiling()
        and is_plain_eager()
        and type(tensor) in (Tensor, nn.Parameter)
        and not tensor.is_meta
        and not is_wrapped(tensor)
    )


def weight_dtype(operator: LinearOperator, x: Tensor) -> torch.dtype:
    """Return the real dtype of the weights that ``operator`` derives from its positions and applies to ``x``.

    As everywhere in torch, a tensor of no axis leaves the dtype to those that have some.
    """
    own = [real_dtype(tensor.dtype) for tensor in operator._own_tensors() if tensor.ndim]
    return promote([real_dtype(x.dtype), *own])


def in_result_dtype(operator: LinearOperator, x: Tensor) -> Tensor:
    """Return ``x`` in the dtype of the result: that of ``x`` and the operator's tensors."""
    dtype = weight_dtype(operator, x)
    return x.to(complex_dtype(dtype) if x.is_complex() else dtype)


def precise(positions: Tensor) -> Tensor:
    """Return positions in float32 at least: half precision does not tell the samples of a long axis apart."""
    return positions.to(torch.promote_types(positions.dtype, torch.float32))


def whole_numbers(start: int, stop: int, like: Tensor) -> Tensor:
    """Return the numbers from ``start`` to before ``stop``, in the dtype and on the device of ``like``."""
    return torch.arange(start, stop, dtype=like.dtype, device=like.device)
