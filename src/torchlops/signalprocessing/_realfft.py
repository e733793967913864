r"""The FFT of real signals as an isometry, and the errors that FFTs share.

Of the spectrum of a real signal only the frequencies from zero up are kept. Those that stand for a pair
:math:`\pm f` as well (all but zero and, for even lengths, Nyquist) are multiplied by :math:`\sqrt 2`, so that
the norm of the half spectrum is that of the whole one, and the adjoint is the inverse where the FFT is unitary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from torchlops.arrays import HALF_PRECISIONS, real_dtype


def pair_weights(size: int, axis: int) -> Tensor:
    """Return by what the frequencies of a half spectrum are multiplied, on the axis ``axis``, counted from the end.

    >>> pair_weights(4, -1)
    tensor([1.0000, 1.4142, 1.0000], dtype=torch.float64)
    """
    weights = torch.ones(size // 2 + 1, dtype=torch.float64, device="cpu")
    weights[1 : 1 + (size - 1) // 2] = math.sqrt(2)
    return weights.reshape((-1, *(1,) * (-axis - 1)))


def real_fft(
    x: Tensor, sizes: Sequence[int], axes: Sequence[int], norm: str, weights: Tensor, in_place: bool = False
) -> Tensor:
    """Return the scaled half spectrum of a real ``x``, halved along the last of ``axes``.

    Args:
        x: Real signals.
        sizes: Number of samples of the FFT along each of ``axes``.
        axes: Axes, counted from the end.
        norm: Scaling of the forward FFT, as in ``torch.fft``.
        weights: What :func:`pair_weights` returns.
        in_place: Write into the fresh spectrum, which autograd cannot follow.
    """
    y: Tensor = torch.fft.rfftn(x, s=sizes, dim=axes, norm=norm)
    if in_place:
        y.narrow(axes[-1], 1, (sizes[-1] - 1) // 2).mul_(math.sqrt(2))
        return y
    return y * weights.to(real_dtype(y.dtype))


def real_fft_adjoint(y: Tensor, sizes: Sequence[int], axes: Sequence[int], norm: str, in_place: bool = False) -> Tensor:
    r"""Return the adjoint of :func:`real_fft` under :math:`\mathrm{Re}\langle\cdot,\cdot\rangle`.

    Each frequency of :math:`y` counts once, as :math:`\mathrm{Re}(y e^{i \omega t})`; the inverse real FFT counts
    pairs twice, hence the division by :math:`\sqrt 2`. The imaginary parts at zero and Nyquist have no effect.
    MKL ignores them; cuFFT does so for some sizes only (and makes spectra of several axes symmetric), so here
    they are dropped, and the other axes transformed by themselves.

    Args:
        y: Half spectra.
        sizes: As in :func:`real_fft`.
        axes: As in :func:`real_fft`.
        norm: Scaling of the inverse FFT, as in ``torch.fft``.
        in_place: Write into fresh arrays, and leave the imaginary parts to MKL: for the CPU alone.
    """
    axis, size = axes[-1], sizes[-1]
    paired = (size - 1) // 2
    if len(axes) > 1:
        spectrum = torch.fft.ifftn(y, dim=axes[:-1], norm=norm)
    elif in_place:
        spectrum = y.clone()
    else:
        spectrum = y
    if in_place:
        spectrum.narrow(axis, 1, paired).mul_(math.sqrt(0.5))
    else:
        zero, pairs, nyquist = _split(spectrum, axis, paired)
        if y.is_complex() or len(axes) > 1:
            zero, nyquist = zero.real, nyquist.real
        spectrum = torch.cat((zero, pairs * math.sqrt(0.5), nyquist), axis)
    x: Tensor = torch.fft.irfft(spectrum, n=size, dim=axis, norm=norm)
    return x


def _split(y: Tensor, axis: int, paired: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the zero frequency, the paired ones, and Nyquist (none where the length is odd)."""
    rest = y.shape[axis] - 1 - paired
    return y.narrow(axis, 0, 1), y.narrow(axis, 1, paired), y.narrow(axis, 1 + paired, rest)


def with_fft_errors(name: str, remedy: str, transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``transform(x)``, saying what to do where torch has no FFT of this precision.

    Raises:
        TypeError: for bfloat16, which no FFT of torch takes, and for float16 off CUDA or of a size that is no
            power of two.
    """
    if x.dtype not in HALF_PRECISIONS:
        return transform(x)
    try:
        return transform(x)
    except RuntimeError as error:
        raise TypeError(
            f"{name} needs an FFT, and torch has none for {x.dtype} on {x.device.type} (float16 works on CUDA for "
            f"sizes that are powers of two): {remedy}. torch says: {error}"
        ) from error
