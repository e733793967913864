"""Fourier transform along two axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchlops.arrays import DType
from torchlops.shapes import Dims, as_dims, as_engine
from torchlops.signalprocessing._fouriertransform import FourierTransform


class FFT2D(FourierTransform):
    r"""Fast Fourier transform along two axes.

    For every norm, ``A / y`` is the exact inverse (unlike in PyLops with its SciPy engine), or the least-squares
    solution if ``nffts`` pad.

    Forward:
        .. math:: y_{kl} = s \sum_{i,j} x_{ij} \, e^{-2 \pi i (i k / n_1 + j l / n_2)}

        with :math:`n_1, n_2` = ``nffts`` and :math:`s = 1/\sqrt{n_1 n_2}`, :math:`1` or :math:`1/(n_1 n_2)`, depending
        on ``norm``. With ``real=True`` only the nonnegative frequencies are computed along the last of ``axes``, where
        paired ones are multiplied by :math:`\sqrt 2`; see :class:`~torchlops.signalprocessing.FFT`.

    Adjoint:
        .. math:: (A^H y)_{ij} = s \sum_{k,l} y_{kl} \, e^{2 \pi i (i k / n_1 + j l / n_2)}

        With ``real=True``, it is that under :math:`\mathrm{Re}\langle\cdot,\cdot\rangle`.

    Args:
        dims: Shape of the model, with at least two axes.
        axes: The two axes.
        nffts: Number of samples of the FFT along each axis, or one number for both. None stands for the number of
            samples of the model. Larger values pad with zeros; smaller values truncate, with a warning.
        sampling: Sampling step along each axis, or one step for both.
        norm: ``"ortho"``, ``"none"`` or ``"1/n"``: the scaling, of both the forward and the adjoint.
        real: Whether the model is real and only the nonnegative frequencies along the last of ``axes`` are computed.
        ifftshift_before: Move the sample in the middle of an axis to its beginning before the FFT. One value for both
            axes, or one per axis.
        fftshift_after: Move the zero frequency to the middle of its axis. One value for both axes, or one per axis.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        dtype: Nominal dtype of the operator, as in FFT.
        name: A name for error messages.
        **kwargs_fft: Options of the FFT engines in PyLops, such as ``workers``. They have no effect.

    Attributes:
        f1: The frequencies along ``axes[0]``, in cycles per unit of ``sampling``, as a NumPy array.
        f2: The frequencies along ``axes[1]``.
        nffts: Numbers of samples of the FFT.
        axes: The axes, counted from the end.

    Raises:
        ValueError: If ``axes`` are not two different axes of ``dims``, another argument does not have one or two
            values, or ``norm`` is unknown.
        TypeError: If an option is unknown.

    Example:
        >>> import torch
        >>> F = FFT2D((2, 2), norm="none")
        >>> F(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).real
        tensor([[10., -2.],
                [-4.,  0.]])
    """

    def __init__(
        self,
        dims: Dims,
        axes: Sequence[int] = (-2, -1),
        nffts: int | Sequence[int | None] | None = None,
        sampling: float | Sequence[float] = 1.0,
        norm: str = "ortho",
        real: bool = False,
        ifftshift_before: bool | Sequence[bool] = False,
        fftshift_after: bool | Sequence[bool] = False,
        engine: str = "numpy",
        dtype: DType = "complex128",
        name: str = "F",
        **kwargs_fft: Any,
    ) -> None:
        self.engine = as_engine(engine)
        dims = as_dims(dims)
        if len(dims) < 2:
            raise ValueError(f"FFT2D takes dims with at least two axes, got {dims}: use FFT for one axis")
        if not hasattr(axes, "__len__") or len(axes) != 2:
            raise ValueError(f"FFT2D takes exactly two axes, got axes={axes!r}: use FFT or FFTND instead")
        super().__init__(
            dims, axes, nffts, sampling, norm, real, ifftshift_before, fftshift_after, dtype, name, kwargs_fft
        )
        self.f1: NDArray[np.float64]
        self.f2: NDArray[np.float64]
        self.f1, self.f2 = self._frequencies()
