"""The Fourier transform along several axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchlops.arrays import DType
from torchlops.shapes import Dims, accept_pylops_options
from torchlops.signalprocessing._fouriertransform import FourierTransform


class FFTND(FourierTransform):
    r"""Fast Fourier transform along any axes.

    .. math::

        y_k = s \sum_j x_j \, e^{-2 \pi i \sum_a j_a k_a / n_a}, \qquad
        (A^H y)_j = s \sum_k y_k \, e^{2 \pi i \sum_a j_a k_a / n_a}

    where :math:`j` and :math:`k` have one index an axis :math:`a`, :math:`n_a` are ``nffts``, :math:`n_F` is their
    product, and :math:`s = 1/\sqrt{n_F}`, :math:`1` or :math:`1/n_F` by ``norm``. ``A / y`` is the exact inverse for
    every norm, or the least-squares solution where ``nffts`` pad. With ``real=True`` the last of ``axes`` has the
    frequencies from zero up only, the paired ones times :math:`\sqrt 2`; see
    :class:`~torchlops.signalprocessing.fft.FFT`.

    Args:
        dims: Shape of the model.
        axes: The axes, all different (PyLops warns and goes on where one repeats).
        nffts: Number of samples of the FFT along each axis, or one for all; None for that of the model. More pad
            with zeros; fewer cut off, with a warning.
        sampling: Step between samples along each axis, or one for all.
        norm: ``"ortho"``, ``"none"`` or ``"1/n"``: the scale, of the forward and the adjoint alike.
        real: Take real models only, and give the frequencies from zero up along the last of ``axes``.
        ifftshift_before: Move the sample in the middle of an axis to its beginning before the FFT; one for all
            axes, or one for each.
        fftshift_after: Move the zero frequency to the middle of its axis; one for all axes, or one for each.
        engine: See :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Label of the operator, as in FFT.
        name: A name for errors.
        **kwargs_fft: Options of PyLops's FFT engines, such as ``workers``; they have no effect.

    Attributes:
        fs: The frequencies along each axis, in cycles per unit of ``sampling``: a tuple of NumPy arrays.
        nffts: Numbers of samples of the FFT.
        axes: The axes, counted from the end.

    Raises:
        ValueError: when an axis is out of range or repeats, another argument has neither one value nor one an
            axis, or ``norm`` is not known.
        TypeError: when an option is not known.

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
        accept_pylops_options(engine=engine)
        super().__init__(
            dims, axes, nffts, sampling, norm, real, ifftshift_before, fftshift_after, dtype, name, kwargs_fft
        )
        self.fs: tuple[NDArray[np.float64], ...] = self._frequencies()
