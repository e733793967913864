"""What interpolations share: where positions lie between samples, and taking and putting samples along an axis."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchlops.basicoperators._positions import constants, is_readable, precise
from torchlops.shapes import PER_SAMPLE


def as_positions(iava: Any, size: int, operator: str, clips: bool = True, least: float | None = 0.0) -> Any:
    """Return positions on an axis of ``size`` samples as a tensor of the user's, or as a new NumPy array.

    Args:
        iava: The positions.
        size: Number of samples.
        operator: Who an error names.
        clips: Whether positions at the last sample and beyond are moved to just before it, as in PyLops, with a
            warning. (A tensor is left as it is: the kernels do so in the call.)
        least: The least position that is allowed; any by default.

    Raises:
        ValueError: when there are no positions, or not along one axis, or one is too small or not a number.
    """
    is_tensor = isinstance(iava, Tensor)
    positions = iava if is_tensor else constants(iava, f"{operator}: iava")
    if positions.ndim != 1 or positions.shape[0] == 0:
        raise ValueError(
            f"{operator} takes a list of at least one position iava, got shape {tuple(positions.shape)}. {PER_SAMPLE}"
        )
    last = size - 1
    if is_readable(positions):
        values = positions.detach()
        lowest, highest = float(values.min()), float(values.max())
        if np.isnan(lowest) or (least is not None and lowest < least):
            raise ValueError(
                f"{operator}: iava goes from {lowest} to {highest}, but the axis has positions from 0 to {last}"
            )
        if clips and highest >= last:
            warnings.warn(
                f"{operator}: iava goes up to {highest}; positions at the last sample, {last}, and beyond are moved to "
                "just before it",
                stacklevel=4,
            )
    if is_tensor:
        return iava
    array = positions.numpy()
    return np.where(array >= last, np.nextafter(last, -np.inf), array) if clips else array


def between(positions: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the sample before each position, and the distance from it, from 0 to 1 on an axis of ``size`` samples.

    Positions beyond an end of the axis are moved to it.
    """
    positions = precise(positions).clamp(0, size - 1)
    left = positions.detach().floor().clamp(0, max(size - 2, 0))
    return left.to(torch.int64), positions - left


def behind(left: Tensor, size: int) -> Tensor:
    """Return the samples behind ``left``, the last one where there is none."""
    return (left + 1).clamp(max=size - 1)


def along(values: Tensor, axis: int) -> Tensor:
    """Return a tensor of one axis as one that broadcasts along ``axis``, which counts from the end."""
    return values if axis == -1 else values.reshape((*values.shape, *(1,) * (-axis - 1)))


def take(x: Tensor, index: Tensor, axis: int, fast: bool = False) -> Tensor:
    """Return the samples ``index`` along ``axis``, counted from the end.

    Off the last axis whole rows are copied, which index_select does several times faster than gather, but not as
    safely under a compiler: it is for fast kernels.
    """
    if fast and axis != -1:
        return x.index_select(axis, index)
    return x.gather(axis, _expanded(index, x.shape, axis))


def put(values: Tensor, index: Tensor, axis: int, size: int, into: Tensor | None = None, fast: bool = False) -> Tensor:
    """Add ``values`` to the samples ``index`` along ``axis`` of zeros, of ``size`` samples, or of ``into``."""
    if into is None:
        shape = list(values.shape)
        shape[axis] = size
        into = values.new_zeros(shape)
    if not fast:
        return into.scatter_add(axis, _expanded(index, values.shape, axis), values)
    if axis == -1:
        return into.scatter_add_(axis, _expanded(index, values.shape, axis), values)
    return into.index_add_(axis, index, values)


def _expanded(index: Tensor, shape: Sequence[int], axis: int) -> Tensor:
    if len(shape) == 1:
        return index
    ndim = len(shape)
    return along(index, axis).expand((*shape[: ndim + axis], index.shape[0], *shape[ndim + axis + 1 :]))


def positions_of(iava: Tensor, size: int, learns: bool) -> Any:
    """Return the positions as the user is to see them."""
    if not learns:
        return iava.cpu().numpy()
    return iava.clamp(0, float(np.nextafter(size - 1, -np.inf)))
