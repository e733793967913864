"""Discrete wavelet transform along one axis."""

from __future__ import annotations

from torchlops.arrays import DType
from torchlops.shapes import Dims
from torchlops.signalprocessing._wavelettransform import WaveletTransform


class DWT(WaveletTransform):
    r"""Discrete wavelet transform of periodic signals along one axis.

    Beforehand, the axis is padded with zeros to the next power of two, and to at least :math:`2^L`.

    Forward:
        One level transforms :math:`n` samples to :math:`n/2` approximation coefficients :math:`a` and :math:`n/2`
        detail coefficients :math:`d`, with the decomposition filters :math:`f, g` of the wavelet, which have :math:`F`
        taps each:

        .. math::

            a_k = \sum_{j=0}^{F-1} f_j\, x_{(F/2 + 2k - j) \bmod n} \qquad
            d_k = \sum_{j=0}^{F-1} g_j\, x_{(F/2 + 2k - j) \bmod n}

        The next level is applied to the approximations. The data contains the approximations of the last level,
        followed by the details from the last to the first level, :math:`y = [a_L, d_L, d_{L-1}, \ldots, d_1]`.

    Adjoint:
        One level adds the filters, times the coefficients:

        .. math:: x_i = \sum_{k, j:\; (F/2 + 2k - j) \bmod n = i} f_j\, a_k + g_j\, d_k

        The adjoint is exact for every wavelet, and for orthogonal wavelets it is also the inverse. For biorthogonal
        wavelets ``inverse``, or ``A / y``, inverts the transform with the reconstruction filters.

    Args:
        dims: Shape of the model.
        axis: Axis along which the operator is applied.
        wavelet: Name of the wavelet, one of ``pywt.wavelist(kind="discrete")``.
        level: Number of levels, at least 0.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ImportError: If PyWavelets, which provides the filters, is not installed.
        ValueError: If ``wavelet`` is not a discrete wavelet of PyWavelets, or ``level`` is negative.

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
