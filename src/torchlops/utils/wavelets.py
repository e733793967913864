"""Seismic wavelets. Each function returns the samples, the time axis and the index of the centre."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from torchlops.warning import warn

Array: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Taper: TypeAlias = "Callable[[int], Array] | None"


def ricker(t: ArrayLike | Tensor, f0: float = 10, taper: Taper = None) -> tuple[Array, Array, int]:
    r"""Return a Ricker wavelet, :math:`w(t) = (1 - 2 \pi^2 f_0^2 t^2)\, e^{-\pi^2 f_0^2 t^2}`.

    Args:
        t: Time axis from 0 on, in seconds. If the number of samples is even, the last is dropped, with a warning.
        f0: Peak frequency in Hz.
        taper: Function that returns a window of a given number of samples.

    Returns:
        The wavelet on the mirrored time axis, that axis, and the index of the centre.

    >>> w, t, center = ricker(np.arange(3) * 0.01, 20)
    >>> w.shape, center, float(w[center])
    ((5,), 2, 1.0)
    """
    times = _two_sided(t)
    squared = (np.pi * f0 * times) ** 2
    return _finish((1 - 2 * squared) * np.exp(-squared), times, taper)


def gaussian(t: ArrayLike | Tensor, std: float = 1.0) -> tuple[Array, Array, int]:
    r"""Return a Gaussian wavelet, :math:`w_i = e^{-i^2 / 2 \sigma^2}` for sample ``i`` from the centre.

    Args:
        t: Time axis from 0 on, in seconds.
        std: Standard deviation in samples.

    >>> gaussian(np.arange(3) * 0.1, 1.0)[0].round(3)
    array([0.135, 0.607, 1.   , 0.607, 0.135])
    """
    times = _two_sided(t)
    samples = np.arange(len(times)) - len(times) // 2
    return _finish(np.exp(-(samples**2) / (2 * std**2)), times, None)


def klauder(t: ArrayLike | Tensor, f: Sequence[float] = (5.0, 20.0), taper: Taper = None) -> tuple[Array, Array, int]:
    """Return a Klauder wavelet: the autocorrelation of a linear sweep.

    Args:
        t: Time axis from 0 on, in seconds.
        f: Minimum and maximum frequency of the sweep in Hz.
        taper: Function that returns a window of a given number of samples.

    >>> w, t, center = klauder(np.arange(51) * 0.004, (10.0, 60.0))
    >>> center, float(w[center])
    (50, 1.0)
    """
    times = _two_sided(t)
    low, high = f
    start = low + (high - low) / 2.0
    rate = (high - start) / times[-1]
    sweep = np.cos(2 * np.pi * (start * times + 0.5 * rate * times**2))
    autocorrelation = np.correlate(sweep, sweep, mode="same")
    return _finish(autocorrelation / autocorrelation.max(), times, taper)


def ormsby(
    t: ArrayLike | Tensor, f: Sequence[float] = (5.0, 10.0, 45.0, 50.0), taper: Taper = None
) -> tuple[Array, Array, int]:
    """Return an Ormsby wavelet, whose spectrum is a trapezoid.

    Args:
        t: Time axis from 0 on, in seconds.
        f: The four corner frequencies of the trapezoid in Hz, in ascending order.
        taper: Function that returns a window of a given number of samples.

    >>> w, t, center = ormsby(np.arange(51) * 0.004)
    >>> center, float(w[center])
    (50, 1.0)
    """
    times = _two_sided(t)

    def corner(frequency: float) -> Array:
        return np.asarray(np.sinc(frequency * times) ** 2 * (np.pi * frequency) ** 2)

    f1, f2, f3, f4 = f
    w = (corner(f4) - corner(f3)) / (np.pi * (f4 - f3)) - (corner(f2) - corner(f1)) / (np.pi * (f2 - f1))
    return _finish(w / w.max(), times, taper)


def _two_sided(t: ArrayLike | Tensor) -> Array:
    times: Array = np.asarray(t, dtype=np.float64)
    if len(times) % 2 == 0:
        warn("One sample removed from time axis...")
        times = times[:-1]
    return np.concatenate((-times[:0:-1], times))


def _finish(w: Array, times: Array, taper: Taper) -> tuple[Array, Array, int]:
    center = int(np.argmax(np.abs(w)))
    return (w if taper is None else w * taper(len(times))), times, center
