"""The window of a non-uniform FFT: its width, its taps as polynomials, and its Fourier transform.

The window is that of Kaiser and Bessel on a grid that is oversampled twice. Everything is a few torch operations on
small float64 tensors, so that an operator can be built within ``torch.compile``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchlops.signalprocessing._convolution import is_smooth

FINEST, COARSEST = 1e-12, 1e-1
"""The tolerances that the windows reach in float64, and that of the narrowest one."""


def width_of(tol: float) -> int:
    """Return the number of taps along an axis for a relative error of ``tol``.

    >>> width_of(1e-6), width_of(1e-12)
    (7, 13)
    """
    return math.ceil(-math.log10(tol) - 1e-9) + 1


def smooth_length(n: int) -> int:
    """Return the smallest number from ``n`` on that has no prime factor above 5.

    >>> smooth_length(7), smooth_length(402)
    (8, 405)
    """
    while not is_smooth(n, (2, 3, 5)):
        n += 1
    return n


def shape_parameter(width: int, n: int, size: int) -> float:
    """Return the parameter of the window for ``n`` samples on a grid of ``size``.

    Source: P. J. Beatty, D. G. Nishimura and J. M. Pauly, Rapid gridding reconstruction with a minimal oversampling
    ratio, IEEE Trans. Med. Imaging 24 (2005), 799-808, where 0.8 is for all widths; with wide windows, 1 halves the
    error in three dimensions.
    """
    ratio = size / n
    return math.pi * math.sqrt((width / ratio) ** 2 * (ratio - 0.5) ** 2 - (0.8 if width < 9 else 1.0))


def polynomials(width: int, parameter: float) -> Tensor:
    """Return the taps as polynomials in a position from -1 to 1 within a cell of the grid, ``(degrees, width)``.

    They interpolate the window at Chebyshev's nodes, to rounding.
    """
    count = width + 6
    k = torch.arange(count, dtype=torch.float64, device="cpu")
    angle = math.pi * (k + 0.5) / count
    node = angle.cos()
    place = (node.unsqueeze(1) + (width - 1)) / width - (2 / width) * k[:width]  # within the window, from -1 to 1
    root = (1 - place**2).clamp(min=0).sqrt()
    window = torch.special.i0e(parameter * root) * (parameter * (root - 1)).exp()
    of_chebyshev = (2 / count) * (k.unsqueeze(1) * angle).cos() @ window
    to_powers = torch.tensor(_chebyshev_in_powers(count), dtype=torch.float64, device="cpu")
    coefficients: Tensor = to_powers @ of_chebyshev
    return coefficients


def powers(x: Tensor, count: int) -> Tensor:
    """Return the first ``count`` powers of ``x``, from 1 on, in a new last axis.

    >>> powers(torch.tensor([3.0]), 4)
    tensor([[ 1.,  3.,  9., 27.]])
    """
    factor = x.unsqueeze(-1)
    found = torch.cat((torch.ones_like(factor), factor), -1)
    while found.shape[-1] < count:
        factor = factor * factor
        found = torch.cat((found, found.narrow(-1, 0, min(found.shape[-1], count - found.shape[-1])) * factor), -1)
    return found


def _chebyshev_in_powers(count: int) -> list[list[float]]:
    """Return the coefficients of Chebyshev's polynomials, in columns, of which the first is halved."""
    columns = [[1.0] + [0.0] * (count - 1), [0.0, 1.0] + [0.0] * (count - 2)]
    for _ in range(count - 2):
        last, before = columns[-1], columns[-2]
        columns.append([2 * a - b for a, b in zip([0.0, *last[:-1]], before, strict=True)])
    columns[0] = [0.5 * a for a in columns[0]]
    return [list(row) for row in zip(*columns, strict=True)]


def inverse_transform(width: int, parameter: float, n: int, size: int) -> Tensor:
    """Return what the samples of an axis, from ``-(n // 2)`` on, are multiplied by: 1 / the transform of the window."""
    place = torch.arange(n, dtype=torch.float64, device="cpu") - n // 2
    root = (parameter**2 - (math.pi * width / size * place) ** 2).sqrt()
    return 2 * root / (width * ((root - parameter).exp() - (-root - parameter).exp()))
