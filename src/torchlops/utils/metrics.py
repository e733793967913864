"""Measures of the distance between two arrays or tensors."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = TypeVar("Array", Tensor, NDArray[Any])


def mae(xref: Array, xcmp: Array) -> Any:
    """Return the mean absolute error, ``mean |xref - xcmp|``.

    >>> import numpy as np
    >>> float(mae(np.ones(3), np.zeros(3)))
    1.0
    """
    return abs(xref - xcmp).mean()


def mse(xref: Array, xcmp: Array) -> Any:
    """Return the mean squared error, ``mean |xref - xcmp|^2``.

    >>> import numpy as np
    >>> float(mse(np.ones(3), 3 * np.ones(3)))
    4.0
    """
    return (abs(xref - xcmp) ** 2).mean()


def snr(xref: Array, xcmp: Array) -> Any:
    """Return the signal-to-noise ratio in dB, ``10 log10(mean |xref|^2 / mse)``.

    >>> import numpy as np
    >>> round(float(snr(np.ones(3), 0.9 * np.ones(3))), 6)
    20.0
    """
    return _decibel((abs(xref) ** 2).mean() / mse(xref, xcmp))


def psnr(xref: Array, xcmp: Array, xmax: float | None = None, xmin: float | None = 0.0) -> Any:
    """Return the peak signal-to-noise ratio in dB, ``10 log10((xmax - xmin)^2 / mse)``.

    Args:
        xref: Reference.
        xcmp: Array to compare with the reference.
        xmax: Maximum value; by default that of the reference.
        xmin: Minimum value; that of the reference if None.

    >>> import numpy as np
    >>> round(float(psnr(np.ones(3), 0.9 * np.ones(3))), 6)
    20.0
    """
    high = xref.max() if xmax is None else xmax
    low = xref.min() if xmin is None else xmin
    return _decibel((high - low) ** 2 / mse(xref, xcmp))


def _decibel(ratio: Any) -> Any:
    if isinstance(ratio, Tensor):
        return 10 * ratio.log() / math.log(10)
    return 10 * np.log10(ratio)
