"""Sums over a moving window along one axis, zero outside the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import placed
from torchlops.arrays import DType
from torchlops.attributes import Computed
from torchlops.basicoperators._stencils import from_axis, slabs, zeros_along
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.memory import empty
from torchlops.shapes import Dims, as_integer, as_trailing_axes, per_axis


def window_sum(x: Tensor, half: int, axis: int) -> Tensor:
    """Return ``y[i] = sum(x[i - half : i + half + 1])`` along ``axis``; differentiable.

    Sums of 2, 4, 8, ... samples are built from each other, and the window sum from those. This takes about
    2 log2(width) additions, with the small rounding error of pairwise summation. (The difference of two running sums
    needs a single pass, but in float32 it loses digits along the axis.)
    """
    n = x.shape[axis]
    half = min(half, n - 1)
    if half == 0:
        return x
    if torch.compiler.is_compiling():  # the compiler generates better loops from cat than from pad
        zeros = zeros_along(x, axis, half)
        power = torch.cat([zeros, x, zeros], axis)
    else:
        power = torch.constant_pad_nd(x, (0, 0) * (-axis - 1) + (half, half))
    # power[i] is the sum of `width` samples starting at i, total[i] that of the first `done` samples of window i.
    total = power.narrow(axis, 0, n)
    done, width = 1, 1
    while done < 2 * half + 1:
        size = power.shape[axis] - width
        power = power.narrow(axis, 0, size) + power.narrow(axis, width, size)
        width *= 2
        if (2 * half + 1) & width:
            total = total + power.narrow(axis, done, n)
            done += width
    return total


def window_sum_of_array(x: NDArray[Any], half: int, axis: int) -> NDArray[Any]:
    """Return the result of :func:`window_sum` for a small array, in the same order of additions."""
    n = x.shape[axis]
    half = min(half, n - 1)
    if half == 0:
        return x
    power = placed(x, axis, n + 2 * half, half).swapaxes(axis, -1)
    total = power[..., :n]
    done, width = 1, 1
    while done < 2 * half + 1:
        power = power[..., :-width] + power[..., width:]
        width *= 2
        if (2 * half + 1) & width:
            total = total + power[..., done : done + n]
            done += width
    return total.swapaxes(axis, -1)


class SmoothingOperator(AccumulatingOperator):
    """A self-adjoint moving average with equal weights. Subclasses differ in the number of axes."""

    nh = Computed(lambda self: self._widths)

    def __init__(
        self, nsmooth: int | Sequence[int], dims: Dims, axes: Sequence[int], dtype: DType, name: str | None
    ) -> None:
        super().__init__(dims, dtype=dtype, name=name)
        self._axes = as_trailing_axes(axes, self.dims)
        owner = type(self).__name__
        if not self._axes:
            raise ValueError(f"{owner} takes at least one axis, got axes={axes!r}")
        nsmooth = per_axis(nsmooth, len(self._axes), f"{owner}: nsmooth")
        self._widths = tuple(_as_odd(width, f"{owner}: nsmooth") for width in nsmooth)
        self._weight = 1 / math.prod(self._widths)

    def _forward(self, x: Tensor) -> Tensor:
        for width, axis in zip(self._widths, self._axes, strict=True):
            x = window_sum(x, width // 2, axis)
        return x * self._weight

    _adjoint = _forward

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:  # noqa: ARG002
        for width, axis in zip(self._widths, self._axes, strict=True):
            x = window_sum_of_array(x, width // 2, axis)
        return x * self._weight

    def _fast_forward(self, x: Tensor) -> Tensor:
        x = x.contiguous()
        y = empty(x.shape, x.dtype)
        # Slabs are cut along the leading axis. It is summed first, since its windows extend into the next slab.
        windows = sorted(zip(self._axes, self._widths, strict=True))
        leading = windows[0][0]
        source, target = from_axis(x, leading), from_axis(y, leading)
        for lead, rows in slabs(target, least=2 * windows[0][1]):
            part = target[lead, rows]
            for axis, width in windows:
                if axis == leading:
                    _write_average(source[lead], part, width, axis, rows.start)
                else:
                    _write_average(part, part, width, axis)
        return y

    _fast_adjoint = _fast_forward


def _write_average(x: Tensor, out: Tensor, width: int, axis: int, start: int = 0) -> None:
    """Write the averages, beginning at sample ``start``, into ``out``, which may be ``x``; see :func:`window_sum`."""
    n, count = x.shape[axis], out.shape[axis]
    half = min(width // 2, n - 1)
    if half == 0:
        torch.mul(x.narrow(axis, start, count), 1 / width, out=out)
        return
    shape = list(out.shape)
    shape[axis] = size = count + 2 * half
    padded, power, spare = x.new_empty((3, *shape)).unbind()
    before = max(0, half - start)
    inside = min(n, start + count + half) - (start - half + before)
    padded.narrow(axis, 0, before).zero_()
    padded.narrow(axis, before + inside, size - before - inside).zero_()
    torch.mul(x.narrow(axis, start - half + before, inside), 1 / width, out=padded.narrow(axis, before, inside))
    total, last = padded.narrow(axis, 0, count), padded
    done, step = 1, 1
    while done < 2 * half + 1:
        size -= step
        next_power = power.narrow(axis, 0, size)
        torch.add(last.narrow(axis, 0, size), last.narrow(axis, step, size), out=next_power)
        last, power, spare = next_power, spare, power
        step *= 2
        if (2 * half + 1) & step:
            total = torch.add(total, last.narrow(axis, done, count), out=out)
            done += step


def _as_odd(length: Any, what: str) -> int:
    width = as_integer(length, what, least=1)
    return width + 1 - width % 2
