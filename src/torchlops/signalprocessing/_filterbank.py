r"""Two-channel filter bank with downsampling on periodic signals, one step of a discrete wavelet transform.

Along an axis with an even number :math:`n` of samples, with filters :math:`f^0, f^1` with an even number :math:`F` of
taps, the analysis returns two halves, concatenated along the axis, and the synthesis is its adjoint:

.. math::
    a^c_k = \sum_j f^c_j\, x_{(F/2 + 2 k - j) \bmod n} \qquad
    x_i = \sum_c \sum_k f^c_{F/2 + 2 k - i}\, a^c_k

The order of the samples is that of PyWavelets in mode "periodization". The filters are constants, ``x`` is real, and
axes count from the end. The synthesis with the reversed reconstruction filters of a wavelet inverts the analysis with
its decomposition filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import rolled
from torchlops.arrays import torch_dtype
from torchlops.signalprocessing._parts import every_other

Filters: TypeAlias = Sequence[Sequence[float]]

_PAIRS = 8  # coefficients per filter computed by one product with a small matrix


def analyse(x: Tensor, filters: Filters, axis: int) -> Tensor:
    """Return both halves, concatenated along ``axis``, by multiplying blocks of the signal by one small matrix."""
    x = x.movedim(axis, -1)
    batch, n = x.shape[:-1], x.shape[-1]
    size = min(2 * _PAIRS, n)
    matrix = _matrix(filters, size, n, x)
    blocks = x.reshape((*batch, n // size, size))
    around = _around(matrix)
    if around:
        blocks = torch.cat([blocks.roll(-shift, -2) for shift in range(-around, around + 1)], -1)
    y = (blocks @ matrix.mT).reshape((*batch, n // size, 2, size // 2))
    return y.transpose(-3, -2).reshape((*batch, n)).movedim(-1, axis)


def synthesise(y: Tensor, filters: Filters, axis: int) -> Tensor:
    """Return the adjoint of :func:`analyse`."""
    y = y.movedim(axis, -1)
    batch, n = y.shape[:-1], y.shape[-1]
    size = min(2 * _PAIRS, n)
    matrix = _matrix(filters, size, n, y)
    halves = y.reshape((*batch, 2, n // size, size // 2)).transpose(-3, -2)
    blocks = halves.reshape((*batch, n // size, size)) @ matrix
    around = _around(matrix)
    if around:
        shifts = range(-around, around + 1)
        pieces = [blocks.narrow(-1, (shift + around) * size, size).roll(shift, -2) for shift in shifts]
        blocks = torch.stack(pieces).sum(0)
    return blocks.reshape((*batch, n)).movedim(-1, axis)


def _around(matrix: Tensor) -> int:
    """Return the number of neighbouring blocks on each side on which a coefficient depends."""
    return (matrix.shape[1] // matrix.shape[0] - 1) // 2


def _matrix(filters: Filters, size: int, n: int, like: Tensor) -> Tensor:
    """Return the matrix from a block of the signal and its neighbours to its ``size / 2`` pairs of coefficients.

    From row to row, a filter is shifted by two samples. This is obtained by repeating a row that is two elements
    longer than those of the matrix, and reading it in rows of the matrix's length.
    """
    taps = len(filters[0])
    reach = taps // 2 - 1
    around = -(-reach // size)
    width = (2 * around + 1) * size
    lead = around * size - reach
    rows = torch.tensor(
        [[0.0] * lead + list(taps_of)[::-1] + [0.0] * (width + 2 - lead - taps) for taps_of in filters],
        dtype=like.dtype,
        device=like.device,
    )
    repeated = rows[:, None].expand(2, size // 2, width + 2).reshape(2, size // 2 * (width + 2))
    matrix = repeated.narrow(1, 0, size // 2 * width).reshape(size, width)
    if n == size and around:  # all neighbouring blocks are this block
        matrix = matrix.reshape(size, 2 * around + 1, size).sum(1)
    return matrix


def analyse_array(x: NDArray[Any], filters: Filters, axis: int) -> NDArray[Any]:
    """Return the result of :func:`analyse` for a small array."""
    x = x.swapaxes(axis, -1)
    batch, n = x.shape[:-1], x.shape[-1]
    size = min(2 * _PAIRS, n)
    matrix, around = _matrix_of_array(filters, size, n, x.dtype)
    blocks = x.reshape((*batch, n // size, size))
    if around:
        blocks = np.concatenate([rolled(blocks, -shift, -2) for shift in range(-around, around + 1)], -1)
    y = (blocks @ matrix.T).reshape((*batch, n // size, 2, size // 2))
    result: NDArray[Any] = y.swapaxes(-3, -2).reshape((*batch, n)).swapaxes(-1, axis)
    return result


def synthesise_array(y: NDArray[Any], filters: Filters, axis: int) -> NDArray[Any]:
    """Return the result of :func:`synthesise` for a small array."""
    y = y.swapaxes(axis, -1)
    batch, n = y.shape[:-1], y.shape[-1]
    size = min(2 * _PAIRS, n)
    matrix, around = _matrix_of_array(filters, size, n, y.dtype)
    halves = y.reshape((*batch, 2, n // size, size // 2)).swapaxes(-3, -2)
    blocks = halves.reshape((*batch, n // size, size)) @ matrix
    x = blocks[..., around * size : (around + 1) * size]
    for shift in range(-around, around + 1):
        if shift:
            x = x + rolled(blocks[..., (shift + around) * size : (shift + around + 1) * size], shift, -2)
    result: NDArray[Any] = x.reshape((*batch, n)).swapaxes(-1, axis)
    return result


@lru_cache(maxsize=64)
def _matrix_of_array(filters: Filters, size: int, n: int, dtype: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    """Return the matrix of ``filters``, which are constants, and the number of neighbouring blocks on each side."""
    matrix = _matrix(filters, size, n, torch.empty(0, dtype=torch_dtype(dtype), device="cpu"))
    return matrix.numpy(), _around(matrix)


def analyse_into(target: Tensor, source: Tensor, filters: Filters, axis: int) -> None:
    """Write what :func:`analyse` returns into ``target``, which may be ``source``, without autograd support."""
    half = source.shape[axis] // 2
    reach = len(filters[0]) // 2 - 1
    phases = []
    for first in (-reach, 1 - reach):
        phases.append(_periodic(source[every_other(axis, first % 2)], axis, first // 2, half + reach))
    for i, taps in enumerate(filters):
        coefficients = target.narrow(axis, i * half, half)
        for j, tap in enumerate(reversed(taps)):
            _add(coefficients, phases[j % 2].narrow(axis, j // 2, half), tap, j == 0)


def synthesise_into(target: Tensor, source: Tensor, filters: Filters, axis: int) -> None:
    """Write what :func:`synthesise` returns into ``target``, which may be ``source``."""
    half = source.shape[axis] // 2
    taps = len(filters[0])
    around = taps // 4
    halves = [
        _periodic(source.narrow(axis, i * half, half), axis, -around, half + 2 * around) for i in range(len(filters))
    ]
    samples = torch.empty_like(source.narrow(axis, 0, half), memory_format=torch.contiguous_format)
    for phase in range(2):
        is_first = True
        for coefficients, taps_of in zip(halves, filters, strict=True):
            for j in range((taps // 2 - phase) % 2, taps, 2):
                shift = (j + phase - taps // 2) // 2
                _add(samples, coefficients.narrow(axis, shift + around, half), taps_of[j], is_first)
                is_first = False
        target[every_other(axis, phase)] = samples


def _add(total: Tensor, x: Tensor, factor: float, is_first: bool) -> None:
    if is_first:
        torch.mul(x, factor, out=total)
    else:
        total.add_(x, alpha=factor)


def _periodic(x: Tensor, axis: int, start: int, length: int) -> Tensor:
    """Return a copy of ``length`` samples of the periodic signal, beginning at ``start``."""
    n = x.shape[axis]
    start %= n
    pieces = []
    while length:
        count = min(n - start, length)
        pieces.append(x.narrow(axis, start, count))
        start, length = 0, length - count
    return torch.cat(pieces, axis)
