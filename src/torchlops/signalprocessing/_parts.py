"""Parts of signals: real and imaginary parts, and every second sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def on_parts(transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``transform(x)`` for a real linear ``transform``, applied to each part of a complex ``x`` separately.

    >>> on_parts(lambda part: 2 * part, torch.tensor([1 + 3j]))
    tensor([2.+6.j])
    """
    return torch.complex(transform(x.real), transform(x.imag)) if x.is_complex() else transform(x)


def with_parts_as_batch(transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the result of :func:`on_parts`, with both parts stacked along a new first axis.

    This pays for a ``transform`` that computes matrices or phases in each call, which both parts then share. Otherwise
    the copy into one tensor costs more than it saves.

    >>> with_parts_as_batch(lambda part: 2 * part, torch.tensor([1 + 3j]))
    tensor([2.+6.j])
    """
    if not x.is_complex():
        return transform(x)
    real, imaginary = transform(torch.stack((x.real, x.imag))).unbind()
    return torch.complex(real, imaginary)


def every_other(axis: int, start: int) -> Any:
    """Return the index of every second sample along ``axis``, counted from the end.

    >>> torch.arange(6).reshape(3, 2)[every_other(-2, 0)]
    tensor([[0, 1],
            [4, 5]])
    """
    return (..., slice(start, None, 2), *(slice(None),) * (-axis - 1))
