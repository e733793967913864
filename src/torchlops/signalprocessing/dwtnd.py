"""Discrete wavelet transform along several axes."""

from __future__ import annotations

from torchlops.arrays import DType
from torchlops.shapes import Dims
from torchlops.signalprocessing._wavelettransform import WaveletTransform


class DWTND(WaveletTransform):
    """Discrete wavelet transform of periodic signals along several axes.

    Beforehand, each of the axes is padded with zeros to the next power of two, and to at least :math:`2^L` for
    ``level`` :math:`L`.

    Forward:
        One level applies that of :class:`DWT` along each of the axes in turn; the next level is applied to the corner
        with the approximations along all axes. The details of a level are stored in the parts of its block that begin
        beyond the middle of some axis, and the last approximations in the first corner.

    Adjoint:
        That of the levels of :class:`DWT`, in the reverse order. It is exact for every wavelet, and for orthogonal
        wavelets it is also the inverse. For biorthogonal wavelets ``inverse``, or ``A / y``, inverts the transform
        with the reconstruction filters.

    Args:
        dims: Shape of the model.
        axes: The axes. Defaults to the last three.
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
        >>> A = DWTND((3, 4, 4), axes=(1, 2), wavelet="db2", level=2)
        >>> x = torch.arange(48.0).reshape(3, 4, 4)
        >>> torch.allclose(A.H(A(x)), x, atol=1e-4)
        True
    """

    def __init__(
        self,
        dims: Dims,
        axes: Dims = (-3, -2, -1),
        wavelet: str = "haar",
        level: int = 1,
        dtype: DType = "float64",
        name: str = "D",
    ) -> None:
        super().__init__(dims, axes, wavelet, level, dtype, name)
