"""Discrete wavelet transform along several axes."""

from __future__ import annotations

from torchlops.arrays import DType
from torchlops.shapes import Dims
from torchlops.signalprocessing._wavelettransform import WaveletTransform


class DWTND(WaveletTransform):
    r"""Discrete wavelet transform of periodic signals along several axes.

    One level is that of :class:`DWT` along each of the axes in turn; the next takes the corner that holds the
    approximations along all of them. So a level leaves its details in the parts of its block
    that begin beyond the middle of some axis, and the last one its approximations in the first corner. Before, each
    of the axes is lengthened by zeros to the next power of two, and to :math:`2^L` at least for ``level`` L.

    The adjoint is the exact one for every wavelet; for orthogonal ones it undoes the transform. For biorthogonal
    ones :meth:`inverse`, or ``A / y``, does, with the reconstruction filters.

    Args:
        dims: Shape of the model.
        axes: The axes, three by default.
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
