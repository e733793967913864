"""Wavefields in the frequency-wavenumber domain: half spectra, vertical wavenumbers, numbers of the medium."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.basicoperators._positions import carries_derivative, is_readable, register_positions
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import PER_SAMPLE
from torchlops.signalprocessing._fourierradon import signals


def register_number(operator: LinearOperator, name: str, value: Any, is_positive: bool = False) -> bool:
    """Store one real number in ``operator``, and return whether it is a tensor of the user, which may learn.

    Raises:
        TypeError: If it is complex.
        ValueError: If it is not one number, or not positive where it must be.
    """
    learns = register_positions(operator, name, value, is_tabulated=True)
    held = getattr(operator, name)
    if held.is_complex():
        raise TypeError(f"{operator.name_and_type}: {name} must be a real number, got one of dtype {held.dtype}")
    if held.numel() != 1:
        raise ValueError(
            f"{operator.name_and_type}: {name} must be one number, got shape {tuple(held.shape)}. {PER_SAMPLE}"
        )
    if is_positive and is_readable(held) and not bool(held > 0):
        raise ValueError(f"{operator.name_and_type}: {name} must be positive, got {value!r}")
    return learns


def as_constant(value: Any, what: str) -> float:
    """Return a user's number that is a constant.

    Raises:
        TypeError: If it is not one real number, or carries a derivative, which would be lost.
    """
    if isinstance(value, Tensor) and carries_derivative(value):
        raise TypeError(f"{what} is a constant, which carries no derivative: pass a number, or call detach()")
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{what} must be one real number, got {value!r}") from None


def as_step(value: Any, what: str) -> float:
    """Return the step of an axis, or another positive number, as a constant.

    Raises:
        TypeError: As :func:`as_constant`.
        ValueError: If it is not positive and finite.
    """
    step = as_constant(value, what)
    if not 0 < step < math.inf:
        raise ValueError(f"{what} must be positive and finite, got {value!r}")
    return step


def as_learning_step(value: Any, what: str) -> Any:
    """Return the step of an axis: a number, or a tensor as it is, which may carry derivatives.

    Raises:
        TypeError: If it is not real.
        ValueError: If it is not one number, or not positive and finite.
    """
    if not isinstance(value, Tensor):
        return as_step(value, what)
    if value.is_complex():
        raise TypeError(f"{what} must be a real number, got one of dtype {value.dtype}")
    if value.numel() != 1:
        raise ValueError(f"{what} must be one number, got shape {tuple(value.shape)}. {PER_SAMPLE}")
    if is_readable(value):
        as_step(value.detach(), what)
    return value


def spectrum_of(x: Tensor, time: int, nt: int, axes: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Return the spectrum of real wavefields: half along the axis ``time``, whole along the receiver ``axes``.

    Only the traces that are there are transformed along time: those that pad the receivers are zero.
    """
    result: Tensor = torch.fft.fftn(torch.fft.rfft(x, n=nt, dim=time), s=sizes, dim=axes)
    return result


def wavefield_of(spectrum: Tensor, time: int, nt: int, axes: Sequence[int], dims: Sequence[int]) -> Tensor:
    """Return the real wavefields of ``nt`` samples with such a spectrum, cut to the last axes ``dims``."""
    traces = torch.fft.ifftn(spectrum, dim=axes)
    for axis in axes:
        traces = traces.narrow(axis, 0, dims[axis])
    wavefield = signals(traces.movedim(time, -1), nt, 0).movedim(-1, time)
    return wavefield.narrow(time, 0, dims[time]).contiguous()


def root_where(condition: Tensor, square: Tensor) -> Tensor:
    """Return the square root where ``condition`` holds, and 0 elsewhere, with the derivative 0 there."""
    return torch.where(condition, torch.where(condition, square, 1).sqrt(), 0)
