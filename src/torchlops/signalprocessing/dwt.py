"""Discrete wavelet transform along one axis."""

from __future__ import annotations

from torchlops.arrays import DType
from torchlops.shapes import Dims
from torchlops.signalprocessing._wavelettransform import WaveletTransform


class DWT(WaveletTransform):
    r"""Discrete wavelet transform of periodic signals along one axis.

    One level takes :math:`n` samples to :math:`n/2` approximations :math:`a` and as many details :math:`d` by the
    decomposition filters :math:`f, g` of the wavelet, which have :math:`F` taps each:

    .. math::
        a_k = \sum_{j=0}^{F-1} f_j\, x_{(F/2 + 2k - j) \bmod n} \qquad
        d_k = \sum_{j=0}^{F-1} g_j\, x_{(F/2 + 2k - j) \bmod n}

    The next level does so with the approximations. The data are those of the last level, then its details, and so
    on to the details of the first, :math:`y = [a_L, d_L, d_{L-1}, \ldots, d_1]`. Before, the axis is lengthened
    by zeros to the next power of two, and to :math:`2^L` at least.

    The adjoint is the exact one for every wavelet; for orthogonal ones it undoes the transform. For biorthogonal
    ones :meth:`inverse`, or ``A / y``, does, with the reconstruction filters.

    Args:
        dims: Shape of the model.
        axis: The axis.
        wavelet: Name of the wavelet, one of ``pywt.wavelist(kind="discrete")``.
        level: Number of levels, at least 0.
        dtype: Label of the operator.
        name: A name for errors.

    Raises:
        ImportError: when PyWavelets is missing, from which the filters are taken.
        ValueError: when ``wavelet`` is no discrete wavelet of PyWavelets, or ``level`` is below 0.

    References:
        S. Mallat, A Wavelet Tour of Signal Processing, third edition, Academic Press, 2009, chapter 7.

    Example:
        >>> import torch
        >>> A = DWT(4, wavelet="haar", level=1)
        >>> torch.round(A(torch.tensor([1.0, 3.0, 5.0, 5.0])) * 2**0.5)
        tensor([ 4., 10., -2.,  0.])
    """

    def __init__(
        self,
        dims: Dims,
        axis: int = -1,
        wavelet: str = "haar",
        level: int = 1,
        dtype: DType = "float64",
        name: str = "D",
    ) -> None:
        super().__init__(dims, axis, wavelet, level, dtype, name)

    @property
    def axis(self) -> int:
        """The axis, counted from the end."""
        return self.axes[0]

    def extra_repr(self) -> str:
        return f"axis={self.axis}, wavelet={self.wavelet!r}, level={self.level}"
