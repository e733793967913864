"""Helpers for interpolation: locating positions between samples, and gathering and scattering along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchlops.basicoperators._positions import constants, is_readable, precise
from torchlops.shapes import PER_SAMPLE
from torchlops.warning import warn


def as_positions(iava: Any, size: int, operator: str, clips: bool = True, least: float | None = 0.0) -> Any:
    """Return positions on an axis of ``size`` samples, as the tensor of the user or as a new NumPy array.

    Args:
        iava: The positions.
        size: Number of samples.
        operator: Name of the operator for error messages.
        clips: Whether positions at the last sample and beyond are moved to just before it, as in PyLops, with a
            warning. (A tensor is not changed here: the kernels clip it in each call.)
        least: Smallest position allowed, or None for no limit.

    Raises:
        ValueError: If there are no positions, they are not one-dimensional, or one is too small or NaN.
    """
    is_tensor = isinstance(iava, Tensor)
    positions = iava if is_tensor else constants(iava, f"{operator}: iava")
    if positions.ndim != 1 or positions.shape[0] == 0:
        raise ValueError(
            f"{operator}: iava must be a list of positions, at least one, got shape {tuple(positions.shape)}. "
            f"{PER_SAMPLE}"
        )
    last = size - 1
    if is_readable(positions):
        values = positions.detach()
        lowest, highest = float(values.min()), float(values.max())
        if np.isnan(lowest) or (least is not None and lowest < least):
            raise ValueError(
                f"{operator}: iava ranges from {lowest} to {highest}, but positions on the axis are from 0 to {last}"
            )
        if clips and highest >= last:
            warn(
                f"{operator}: iava ranges up to {highest}; positions at the last sample, {last}, and beyond are moved "
                "to just before it",
            )
    if is_tensor:
        return iava
    array = np.array(iava, dtype=np.float64)  # not from the tensor, which has no memory in a transform
    return np.where(array >= last, np.nextafter(last, -np.inf), array) if clips else array


def refuse_repeated(iava: Any, operator: str) -> None:
    """Raise an error if positions, along the last axis of ``iava``, repeat: in PyLops they must not.

    Raises:
        ValueError: If they do.
    """
    positions = iava.detach() if isinstance(iava, Tensor) else constants(iava, f"{operator}: iava")
    if not is_readable(positions):
        return
    different: Tensor = torch.unique(positions, dim=-1 if positions.ndim > 1 else None)  # much faster without
    if different.shape[-1] < positions.shape[-1]:
        raise ValueError(f"{operator}: iava has repeated positions: if this is intended, use repeated=True")


def between(positions: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the index of the sample before each position, and the distance from it, between 0 and 1.

    Positions beyond an end of the axis of ``size`` samples are moved to that end.
    """
    positions = precise(positions).clamp(0, size - 1)
    left = positions.detach().floor().clamp(0, max(size - 2, 0))
    return left.to(torch.int64), positions - left


def behind(left: Tensor, size: int) -> Tensor:
    """Return the index of the sample after each ``left``, or the last sample if there is none."""
    return (left + 1).clamp(max=size - 1)


def along(values: Tensor, axis: int) -> Tensor:
    """Reshape a one-dimensional tensor to broadcast along ``axis``, counted from the end."""
    return values if axis == -1 else values.reshape((*values.shape, *(1,) * (-axis - 1)))


def take(x: Tensor, index: Tensor, axis: int, fast: bool = False) -> Tensor:
    """Return the samples ``index`` along ``axis``, counted from the end.

    Except along the last axis, whole rows are copied, for which index_select is several times faster than gather. It is
    less safe under a compiler, and therefore used by fast kernels only.
    """
    if fast and axis != -1:
        return x.index_select(axis, index)
    return x.gather(axis, _expanded(index, x.shape, axis))


def put(values: Tensor, index: Tensor, axis: int, size: int, into: Tensor | None = None, fast: bool = False) -> Tensor:
    """Add ``values`` to the samples ``index`` along ``axis`` of ``into``, or of ``size`` zeros by default."""
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
    """Return the positions as shown to the user."""
    if not learns:
        return iava.cpu().numpy()
    return iava.clamp(0, float(np.nextafter(size - 1, -np.inf)))
