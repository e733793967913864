"""Parts of signals: the real and the imaginary one, and every other sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def on_parts(transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``transform(x)`` for a real linear ``transform``: of a complex ``x``, that of each of its parts.

    >>> on_parts(lambda part: 2 * part, torch.tensor([1 + 3j]))
    tensor([2.+6.j])
    """
    return torch.complex(transform(x.real), transform(x.imag)) if x.is_complex() else transform(x)


def every_other(axis: int, start: int) -> Any:
    """Return the index of every second sample along ``axis``, counted from the end.

    >>> torch.arange(6).reshape(3, 2)[every_other(-2, 0)]
    tensor([[0, 1],
            [4, 5]])
    """
    return (..., slice(start, None, 2), *(slice(None),) * (-axis - 1))
