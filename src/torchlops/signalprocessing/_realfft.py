r"""The FFT of real signals as an isometry, and common error handling for FFTs.

Only the nonnegative frequencies of a real signal are computed. Those that represent a pair :math:`\pm f` (all but zero
and, for even lengths, the Nyquist frequency) are multiplied by :math:`\sqrt 2`. The half spectrum then has the same
norm as the full spectrum, and the adjoint is the inverse if the FFT is unitary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from torchlops.arrays import HALF_PRECISIONS, real_dtype


def pair_weights(size: int, axis: int) -> Tensor:
    """Return the factors of the frequencies of a half spectrum along ``axis``, counted from the end.

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
        weights: The result of :func:`pair_weights`.
        in_place: Whether to scale the spectrum in place, which does not support autograd.
    """
    y: Tensor = torch.fft.rfftn(x, s=sizes, dim=axes, norm=norm)
    if in_place:
        y.narrow(axes[-1], 1, (sizes[-1] - 1) // 2).mul_(math.sqrt(2))
        return y
    return y * weights.to(real_dtype(y.dtype))


def real_fft_adjoint(y: Tensor, sizes: Sequence[int], axes: Sequence[int], norm: str, in_place: bool = False) -> Tensor:
    r"""Return the adjoint of :func:`real_fft` under :math:`\mathrm{Re}\langle\cdot,\cdot\rangle`.

    Each frequency of :math:`y` counts once, as :math:`\mathrm{Re}(y e^{i \omega t})`. The inverse real FFT counts
    pairs twice, hence the division by :math:`\sqrt 2`. Imaginary parts at zero and at the Nyquist frequency have no
    effect. MKL ignores them, but cuFFT does so only for some sizes (and makes spectra of several axes symmetric).
    They are therefore dropped here, and the other axes are transformed separately.

    Args:
        y: Half spectra.
        sizes: As in :func:`real_fft`.
        axes: As in :func:`real_fft`.
        norm: Scaling of the inverse FFT, as in ``torch.fft``.
        in_place: Whether to scale in place and rely on MKL to ignore the imaginary parts. For the CPU only.
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
    """Return the zero frequency, the paired frequencies, and the Nyquist frequency (empty for odd lengths)."""
    rest = y.shape[axis] - 1 - paired
    return y.narrow(axis, 0, 1), y.narrow(axis, 1, paired), y.narrow(axis, 1 + paired, rest)


def with_fft_errors(name: str, remedy: str, transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``transform(x)``, with an error that states the remedy if torch has no FFT for this precision.

    Raises:
        TypeError: For bfloat16, which torch's FFTs do not support, and for float16 except on CUDA with sizes that are
            powers of two.
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
