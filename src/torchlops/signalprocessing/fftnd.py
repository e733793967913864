"""Fourier transform along several axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchlops.arrays import DType
from torchlops.shapes import Dims, as_engine
from torchlops.signalprocessing._fouriertransform import FourierTransform


class FFTND(FourierTransform):
    r"""Fast Fourier transform along any axes.

    For every norm, ``A / y`` is the exact inverse, or the least-squares solution if ``nffts`` pad.

    Forward:
        .. math:: y_k = s \sum_j x_j \, e^{-2 \pi i \sum_a j_a k_a / n_a}

        where :math:`j` and :math:`k` have one index per axis :math:`a`, :math:`n_a` are ``nffts``, :math:`n_F` is their
        product, and :math:`s = 1/\sqrt{n_F}`, :math:`1` or :math:`1/n_F`, depending on ``norm``. With ``real=True``
        only the nonnegative frequencies are computed along the last of ``axes``, where paired ones are multiplied by
        :math:`\sqrt 2`; see :class:`~torchlops.signalprocessing.FFT`.

    Adjoint:
        .. math:: (A^H y)_j = s \sum_k y_k \, e^{2 \pi i \sum_a j_a k_a / n_a}

        With ``real=True``, it is that under :math:`\mathrm{Re}\langle\cdot,\cdot\rangle`.

    Args:
        dims: Shape of the model.
        axes: The axes, which must be different (PyLops only warns if one repeats).
        nffts: Number of samples of the FFT along each axis, or one number for all. None stands for the number of
            samples of the model. Larger values pad with zeros; smaller values truncate, with a warning.
        sampling: Sampling step along each axis, or one step for all.
        norm: ``"ortho"``, ``"none"`` or ``"1/n"``: the scaling, of both the forward and the adjoint.
        real: Whether the model is real and only the nonnegative frequencies along the last of ``axes`` are computed.
        ifftshift_before: Move the sample in the middle of an axis to its beginning before the FFT. One value for all
            axes, or one per axis.
        fftshift_after: Move the zero frequency to the middle of its axis. One value for all axes, or one per axis.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        dtype: Nominal dtype of the operator, as in FFT.
        name: A name for error messages.
        **kwargs_fft: Options of the FFT engines in PyLops, such as ``workers``. They have no effect.

    Attributes:
        fs: The frequencies along each axis, in cycles per unit of ``sampling``, as a tuple of NumPy arrays.
        nffts: Numbers of samples of the FFT.
        axes: The axes, counted from the end.

    Raises:
        ValueError: If an axis is out of range or repeats, another argument has neither one value nor one value per
            axis, or ``norm`` is unknown.
        TypeError: If an option is unknown.

    Example:
        >>> import torch
        >>> F = FFTND((2, 3, 4), real=True)
        >>> F.dimsd, [f.size for f in F.fs]
        ((2, 3, 3), [2, 3, 3])
        >>> x = torch.ones(2, 3, 4)
        >>> torch.allclose(F(x).norm(), x.norm())
        True
    """

    def __init__(
        self,
        dims: Dims,
        axes: int | Sequence[int] = (-3, -2, -1),
        nffts: int | Sequence[int | None] | None = None,
        sampling: float | Sequence[float] = 1.0,
        norm: str = "ortho",
        real: bool = False,
        ifftshift_before: bool | Sequence[bool] = False,
        fftshift_after: bool | Sequence[bool] = False,
        engine: str = "scipy",
        dtype: DType = "complex128",
        name: str = "F",
        **kwargs_fft: Any,
    ) -> None:
        self.engine = as_engine(engine)
        super().__init__(
            dims, axes, nffts, sampling, norm, real, ifftshift_before, fftshift_after, dtype, name, kwargs_fft
        )
        self.fs: tuple[NDArray[np.float64], ...] = self._frequencies()
