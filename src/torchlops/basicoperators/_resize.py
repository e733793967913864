"""Cropping and zero padding along several axes at once."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import pad as pad_last_axes_first


def pad(x: Tensor, pads: Sequence[tuple[int, int]]) -> Tensor:
    """Pad the last ``len(pads)`` axes of ``x`` with zeros (negative numbers crop). The result is always a copy."""
    if not any(before or after for before, after in pads):
        return x.clone()
    return pad_last_axes_first(x, [n for before_after in reversed(pads) for n in before_after])


def resize(x: Tensor, dims: tuple[int, ...], wanted: tuple[int, ...]) -> Tensor:
    """Crop ``x`` of trailing shape ``dims`` to ``wanted``, or pad it with zeros, at the end of each axis."""
    return pad(x, [(0, new - old) for old, new in zip(dims, wanted, strict=True)])
