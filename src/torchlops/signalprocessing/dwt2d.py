"""Discrete wavelet transform along two axes."""

from __future__ import annotations

from torchlops.arrays import DType
from torchlops.shapes import Dims
from torchlops.signalprocessing._wavelettransform import WaveletTransform


class DWT2D(WaveletTransform):
    """Discrete wavelet transform of periodic signals along two axes.

    Beforehand, each of the axes is padded with zeros to the next power of two, and to at least :math:`2^L` for
    ``level`` :math:`L`.

    Forward:
        One level applies that of :class:`DWT` along each of the axes in turn; the next level is applied to the corner
        with the approximations along all axes. The details of a level are stored in the three quarters of its block
        that begin beyond the middle of some axis, and the last approximations in the first corner.

    Adjoint:
        That of the levels of :class:`DWT`, in the reverse order. It is exact for every wavelet, and for orthogonal
        wavelets it is also the inverse. For biorthogonal wavelets ``inverse``, or ``A / y``, inverts the transform
        with the reconstruction filters.

    Args:
        dims: Shape of the model.
        axes: The two axes.
        wavelet: Name of the wavelet, one of ``pywt.wavelist(kind="discrete")``.
        level: Number of levels, at least 0.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ImportError: If PyWavelets, which provides the filters, is not installed.
        ValueError: If ``wavelet`` is not a discrete wavelet of PyWavelets, ``level`` is negative, or
            there are not two ``axes``.

    References:
        S. Mallat, A Wavelet Tour of Signal Processing, third edition, Academic Press, 2009, chapter 7.

    Example:
        >>> import torch
        >>> A = DWT2D((2, 2), wavelet="haar", level=1)
        >>> A(torch.tensor([[1.0, 2.0], [3.0, 6.0]])).round(decimals=4)
        tensor([[ 6., -2.],
                [-3.,  1.]])
    """

    def __init__(
        self,
        dims: Dims,
        axes: Dims = (-2, -1),
        wavelet: str = "haar",
        level: int = 1,
        dtype: DType = "float64",
        name: str = "D",
    ) -> None:
        super().__init__(dims, axes, wavelet, level, dtype, name)
        if len(self.axes) != 2:
            raise ValueError(
                f"{self.name_and_type} takes two axes, got {axes!r}: use DWT for one axis, DWTND for any number of axes"
            )
