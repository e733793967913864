"""Rays through an image: where they cross its rows or its columns, and the weights of the pixels along them.

Positions are in pixels, from the center of the image: x to the right along a row, y downwards along a column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from torchlops.basicoperators._positions import constants, given_or_kept, is_readable, register_or_keep
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import PER_SAMPLE

Number: TypeAlias = "float | Tensor"
Point: TypeAlias = tuple[Tensor, Tensor]
"""The coordinates x and y of points or of directions."""

TIE = 1e-11
"""Distance in pixels within which a ray along the border of two pixels is on it."""


# -- numbers of a scan -----------------------------------------------------------------------------------------------


def keep_numbers(operator: LinearOperator, name: str, value: Any, views: int, least: float | None = None) -> None:
    """Store a number, or one for each view, in ``operator``, as an attribute of this name.

    Tensors are stored as they are, and may learn. Others are constants in float64, which casts of the operator do not
    change.

    Args:
        operator: The operator.
        name: Its argument, and attribute.
        value: What was given.
        views: Number of views.
        least: What the numbers must be greater than.

    Raises:
        TypeError: If they are not real.
        ValueError: If they are of another shape, not finite, or not greater than ``least``.
    """
    what = f"{type(operator).__name__}: {name}"
    numbers = value if isinstance(value, Tensor) else constants(value, what)
    if numbers.is_complex():
        raise TypeError(f"{what} must be real, got {numbers.dtype}")
    if numbers.shape not in ((), (views,)):
        raise ValueError(
            f"{what} must be one number, or one for each of {views} views, got shape {tuple(numbers.shape)}. "
            f"{PER_SAMPLE}"
        )
    if is_readable(numbers):
        if not bool(numbers.isfinite().all()):
            raise ValueError(f"{what} must be finite, got {value!r}")
        if least is not None and not bool((numbers > least).all()):
            raise ValueError(f"{what} must be greater than {least:g}, got {value!r}")
    if isinstance(value, Tensor):
        operator._register(name, value)
    elif numbers.ndim:
        register_or_keep(operator, name, numbers, False)
    else:
        setattr(operator, name, float(numbers))


def numbers_of(operator: LinearOperator, name: str) -> Number:
    """Return what was stored by :func:`keep_numbers`: a number, or a tensor in float64."""
    if operator._held(name) is None:
        value: float = getattr(operator, name)
        return value
    return given_or_kept(operator, name).to(torch.float64)


def at_views(number: Number, views: Tensor) -> Number:
    """Return a number of each view of a ray, or the number of all of them."""
    if not isinstance(number, Tensor) or not number.ndim:
        return number
    return number.gather(0, views.reshape(-1)).reshape(views.shape)


# -- lines -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lines:
    """Lines, by where each crosses slices of an image: its rows, or its columns if the line is flatter than 45 degrees.

    Attributes:
        is_steep: Whether the slices are rows.
        start: Position at which it crosses the center of the first slice, in samples of the slice.
        slope: How far it gets from one slice to the next, in samples.
        along: Component of its direction from slice to slice.
    """

    is_steep: Tensor
    start: Tensor
    slope: Tensor
    along: Tensor


def lines(origin: Point, direction: Point, dims: tuple[int, int], is_steep: Tensor | None = None) -> Lines:
    """Return the lines through points ``origin``.

    Args:
        origin: Points on them.
        direction: Their directions.
        dims: Shape of the image.
        is_steep: Whether their slices are rows; by default, this follows from the direction.
    """
    (x, y), (vx, vy) = origin, direction
    if is_steep is None:
        is_steep = vx.detach().abs() < vy.detach().abs()
    along, across = torch.where(is_steep, vy, vx), torch.where(is_steep, vx, vy)
    slope = across / along
    there, here = torch.where(is_steep, x, y), torch.where(is_steep, y, x)
    slices, samples = sizes(is_steep, dims)
    start = there - (here + (slices - 1) / 2) * slope + (samples - 1) / 2
    return Lines(is_steep, start, slope, along)


def sizes(is_steep: Tensor, dims: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the number of slices of an image, and of samples of a slice, as integers."""
    ny, nx = dims
    return torch.where(is_steep, ny, nx), torch.where(is_steep, nx, ny)


# -- kernels ---------------------------------------------------------------------------------------------------------

Shares: TypeAlias = tuple[Tensor, Tensor]
"""The first sample, as a whole number in floating point, and the weights of all, ``(..., taps)``."""


def linear(p: Tensor, lines: Lines) -> Shares:
    """Return the two samples around a position and their weights in linear interpolation (Joseph's method).

    Args:
        p: Positions on the slices, ``(rays, slices)``.
        lines: The lines, ``(rays, 1)``.
    """
    first = p.detach().floor()
    share = (p - first) * _length(lines)
    return first, torch.stack((_length(lines) - share, share), -1)


def line(p: Tensor, lines: Lines) -> Shares:
    """Return the two samples that a ray crosses in a slice, with the lengths in them.

    A ray on the border of two pixels, along it, is shared by both.
    """
    half = lines.slope.abs() / 2
    first = (p.detach() - half.detach() - 0.5 - TIE).ceil()
    border = p - first - 0.5
    is_straight = half < TIE
    crossed = ((border + half) / torch.where(is_straight, 1, 2 * half)).clamp(0, 1)
    share = torch.where(is_straight, torch.where(border.abs() <= TIE, 0.5, (border > 0).to(p.dtype)), crossed)
    share = share * _length(lines)
    return first, torch.stack((_length(lines) - share, share), -1)


def strip(p: tuple[Tensor, Tensor], edges: tuple[Lines, Lines], samples: Tensor, taps: int) -> Shares:
    """Return the samples of a slice between two lines, with the area of each that is between them.

    The area is positive where the second line crosses later samples. It is NaN where the lines have more than ``taps``
    of the ``samples`` of a slice between them.
    """
    halves = [edge.slope.abs() / 2 for edge in edges]
    begin, end = between(p, edges)
    first, last = (begin + 0.5 + TIE).floor().clamp(min=0), torch.minimum((end - 0.5 - TIE).ceil(), samples - 1)
    steps = torch.arange(taps + 1, dtype=first.dtype, device=first.device) - 0.5
    borders = first.unsqueeze(-1) + steps
    before, after = (
        _mean_ramp(q.unsqueeze(-1) - borders, half.unsqueeze(-1)) for q, half in zip(p, halves, strict=True)
    )
    below = after - before
    area = below[..., :-1] - below[..., 1:]
    return first, torch.where((last - first >= taps).unsqueeze(-1), torch.nan, area)


def between(p: tuple[Tensor, Tensor], edges: tuple[Lines, Lines]) -> tuple[Tensor, Tensor]:
    """Return where the part of a slice between two lines begins and ends."""
    (a, b), (c, d) = (q.detach() for q in p), (edge.slope.detach().abs() / 2 for edge in edges)
    return torch.minimum(a - c, b - d), torch.maximum(a + c, b + d)


def _mean_ramp(middle: Tensor, half: Tensor) -> Tensor:
    """Return the mean of ``max(z, 0)`` over intervals, which are straight edges across slices of height one."""
    upper = (middle + half).clamp(min=0)
    part = upper * upper / (4 * torch.where(half == 0, 1, half))
    return torch.where(middle >= half, middle, part)


def _length(lines: Lines) -> Tensor:
    return (1 + lines.slope * lines.slope).sqrt()


Kernel: TypeAlias = Callable[[Tensor, Lines], Shares]
KERNELS: dict[str, Kernel] = {"linear": linear, "line": line}
