"""FFTs of real signals of any length, for fast kernels on the CPU.

The FFT of MKL takes several times as long as NumPy's for lengths whose largest prime factor is from 17 to 53 (73 in
double precision), such as 1599 = 3 x 13 x 41, and is faster for most others. The length of a two-sided time axis is
odd, so it often has such a factor.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import complex_dtype, real_dtype, to_numpy


def quick_rfft(x: Tensor, axis: int) -> Tensor:
    """Return the half spectrum of a real ``x`` along an axis."""
    if _suits_numpy(x.shape[axis], x.dtype):
        found = torch.from_numpy(np.fft.rfft(to_numpy(x), axis=axis))
        return found.to(complex_dtype(x.dtype))  # NumPy 1 computes in float64
    result: Tensor = torch.fft.rfft(x, dim=axis)
    return result


def quick_irfft(spectrum: Tensor, size: int, axis: int) -> Tensor:
    """Return real signals of ``size`` samples, given the first part of their half spectrum along an axis."""
    if _suits_numpy(size, spectrum.dtype):
        return torch.from_numpy(np.fft.irfft(to_numpy(spectrum), size, axis)).to(real_dtype(spectrum.dtype))
    result: Tensor = torch.fft.irfft(spectrum, n=size, dim=axis)
    return result


@functools.cache
def _suits_numpy(size: int, dtype: torch.dtype) -> bool:
    """Return whether the largest prime factor of ``size`` is one for which the FFT of MKL is slow."""
    largest, factor = 1, 2
    while factor * factor <= size:
        if size % factor:
            factor += 1
        else:
            largest, size = factor, size // factor
    return 17 <= max(largest, size) <= (73 if real_dtype(dtype) == torch.float64 else 53)
