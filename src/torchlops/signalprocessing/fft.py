"""Fourier transform along one axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchlops.arrays import DType
from torchlops.shapes import Dims, as_engine
from torchlops.signalprocessing._fouriertransform import FourierTransform


class FFT(FourierTransform):
    r"""Fast Fourier transform along one axis.

    With ``norm="ortho"`` the operator is unitary. For every norm, ``A / y`` is the exact inverse, or the least-squares
    solution if ``nfft`` pads.

    The precision follows the input (float32 results in complex64), whatever ``dtype`` is. torch has no FFT for
    bfloat16, and none for float16 except on CUDA.

    Forward:
        .. math:: y_k = s \sum_{j=0}^{n-1} x_j \, e^{-2 \pi i j k / n_F}

        with :math:`n_F` = ``nfft`` and :math:`s = 1/\sqrt{n_F}`, :math:`1` or :math:`1/n_F`, depending on ``norm``.

        With ``real=True`` the model is real, and only the :math:`\lfloor n_F/2 \rfloor + 1` nonnegative frequencies are
        computed. Those that represent a pair :math:`\pm f` (all but zero, and Nyquist for even ``nfft``) are multiplied
        by :math:`\sqrt 2`, so that ``"ortho"`` remains an isometry: :math:`\|A x\| = \|x\|`, and :math:`A^H A x = x`
        for real :math:`x`.

    Adjoint:
        .. math:: (A^H y)_j = s \sum_{k=0}^{n_F-1} y_k \, e^{2 \pi i j k / n_F}

        With ``real=True`` the operator is only real-linear, and its real-valued adjoint is that under
        :math:`\mathrm{Re}\langle\cdot,\cdot\rangle`. With a real ``dtype`` the same holds for the full spectrum.

    Args:
        dims: Shape of the model.
        axis: Axis along which the operator is applied.
        nfft: Number of samples of the FFT. Defaults to the number of samples along ``axis``. Larger values pad with
            zeros; smaller values truncate, with a warning.
        sampling: Sampling step, in the inverse unit of ``f``.
        norm: ``"ortho"``, ``"none"`` or ``"1/n"``: the scaling, of both the forward and the adjoint.
        real: Whether the model is real and only the nonnegative frequencies are computed.
        ifftshift_before: Move the sample in the middle of the axis to its beginning before the FFT, for signals whose
            origin is in the middle.
        fftshift_after: Move the zero frequency to the middle of the axis.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        dtype: Nominal dtype of the operator, converted to the complex dtype of the same precision. With a real dtype
            the operator takes real models only.
        name: A name for error messages.
        **kwargs_fft: Options of the FFT engines in PyLops, such as ``workers``. They have no effect.

    Attributes:
        f: The frequencies of the data, in cycles per unit of ``sampling``, as a NumPy array.
        nfft: Number of samples of the FFT.
        axis: The axis, counted from the end.

    Raises:
        ValueError: If ``axis`` is out of range, ``nfft`` is not positive, or ``norm`` is unknown (NumPy's "backward"
            and "forward" would scale the forward and the adjoint differently).
        TypeError: If an option is unknown.

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
        self.engine = as_engine(engine)
        super().__init__(
            dims, (axis,), nfft, sampling, norm, real, ifftshift_before, fftshift_after, dtype, name, kwargs_fft
        )
        self.axis: int = self.axes[0]
        self.nfft: int = self.nffts[0]
        self.ifftshift_before, self.fftshift_after = self._shifts_before[0], self._shifts_after[0]
        self.f: NDArray[np.float64] = self._frequencies()[0]
