"""The Fourier transform along one axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchlops.arrays import DType
from torchlops.shapes import Dims, accept_pylops_options
from torchlops.signalprocessing._fouriertransform import FourierTransform


class FFT(FourierTransform):
    r"""Fast Fourier transform along one axis.

    .. math::

        y_k = s \sum_{j=0}^{n-1} x_j \, e^{-2 \pi i j k / n_F}, \qquad
        (A^H y)_j = s \sum_{k=0}^{n_F-1} y_k \, e^{2 \pi i j k / n_F}

    with :math:`n_F` = ``nfft`` and :math:`s = 1/\sqrt{n_F}`, :math:`1` or :math:`1/n_F` by ``norm``. The operator
    ``"ortho"`` is unitary; for every norm ``A / y`` is the exact inverse, or the least-squares solution where
    ``nfft`` pads.

    With ``real=True`` the model is real and only the :math:`\lfloor n_F/2 \rfloor + 1` frequencies from zero up are
    computed. Those that stand for a pair :math:`\pm f` (all but zero, and Nyquist for even ``nfft``) are multiplied
    by :math:`\sqrt 2`, so that ``"ortho"`` is an isometry still: :math:`\|A x\| = \|x\|`, and :math:`A^H A x = x` for
    real :math:`x`. The operator is then linear over the real numbers only, and its adjoint, which is real, is the
    one under :math:`\mathrm{Re}\langle\cdot,\cdot\rangle`. A real ``dtype`` does the same for the whole spectrum.

    Precision follows the tensors (float32 gives complex64), whatever ``dtype`` says. bfloat16 and, off CUDA,
    float16 have no FFT in torch.

    Args:
        dims: Shape of the model.
        axis: The axis.
        nfft: Number of samples of the FFT, by default that of the model along ``axis``. More pad it with zeros;
            fewer cut it off, with a warning.
        sampling: Step between samples, the inverse unit of :attr:`f`.
        norm: ``"ortho"``, ``"none"`` or ``"1/n"``: the scale, of the forward and the adjoint alike.
        real: Take real models only, and give the frequencies from zero up.
        ifftshift_before: Move the sample in the middle of the axis to its beginning before the FFT: for signals
            whose zero stands in the middle.
        fftshift_after: Move the zero frequency to the middle of the axis.
        engine: See :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Label of the operator, which is of the complex type that belongs to it. A real type makes an
            operator that takes real models only.
        name: A name for errors.
        **kwargs_fft: Options of PyLops's FFT engines, such as ``workers``; they have no effect.

    Attributes:
        f: The frequencies of the data, in cycles per unit of ``sampling``: a NumPy array.
        nfft: Number of samples of the FFT.
        axis: The axis, counted from the end.

    Raises:
        ValueError: when ``axis`` is out of range, ``nfft`` is not positive, or ``norm`` is not known (NumPy's
            "backward" and "forward" would not scale the adjoint as the forward).
        TypeError: when an option is not known.

    Example:
        >>> import torch
        >>> F = FFT(4, real=True, norm="none")
        >>> F(torch.tensor([1.0, 0.0, 0.0, 0.0])).real, F.f
        (tensor([1.0000, 1.4142, 1.0000]), array([0.  , 0.25, 0.5 ]))
        >>> F / F(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        tensor([1., 2., 3., 4.])
    """

    def __init__(
        self,
        dims: Dims,
        axis: int = -1,
        nfft: int | None = None,
        sampling: float = 1.0,
        norm: str = "ortho",
        real: bool = False,
        ifftshift_before: bool = False,
        fftshift_after: bool = False,
        engine: str = "numpy",
        dtype: DType = "complex128",
        name: str = "F",
        **kwargs_fft: Any,
    ) -> None:
        accept_pylops_options(engine=engine)
        super().__init__(
            dims, (axis,), nfft, sampling, norm, real, ifftshift_before, fftshift_after, dtype, name, kwargs_fft
        )
        self.axis: int = self.axes[0]
        self.nfft: int = self.nffts[0]
        self.f: NDArray[np.float64] = self._frequencies()[0]
