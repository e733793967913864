"""The Fourier transform along two axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchlops.arrays import DType
from torchlops.shapes import Dims, accept_pylops_options, as_dims
from torchlops.signalprocessing._fouriertransform import FourierTransform


class FFT2D(FourierTransform):
    r"""Fast Fourier transform along two axes.

    .. math::

        y_{kl} = s \sum_{i,j} x_{ij} \, e^{-2 \pi i (i k / n_1 + j l / n_2)}, \qquad
        (A^H y)_{ij} = s \sum_{k,l} y_{kl} \, e^{2 \pi i (i k / n_1 + j l / n_2)}

    with :math:`n_1, n_2` = ``nffts`` and :math:`s = 1/\sqrt{n_1 n_2}`, :math:`1` or :math:`1/(n_1 n_2)` by ``norm``.
    ``A / y`` is the exact inverse for every norm (PyLops's is not for its SciPy engine), or the least-squares
    solution where ``nffts`` pad. With ``real=True`` the last of ``axes`` has the frequencies from zero up only,
    the paired ones times :math:`\sqrt 2`; see :class:`~torchlops.signalprocessing.fft.FFT`.

    Args:
        dims: Shape of the model, of two axes at least.
        axes: The two axes.
        nffts: Number of samples of the FFT along each axis, or one for both; None for that of the model. More pad
            with zeros; fewer cut off, with a warning.
        sampling: Step between samples along each axis, or one for both.
        norm: ``"ortho"``, ``"none"`` or ``"1/n"``: the scale, of the forward and the adjoint alike.
        real: Take real models only, and give the frequencies from zero up along the last of ``axes``.
        ifftshift_before: Move the sample in the middle of an axis to its beginning before the FFT; one for both
            axes, or one for each.
        fftshift_after: Move the zero frequency to the middle of its axis; one for both axes, or one for each.
        engine: See :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Label of the operator, as in FFT.
        name: A name for errors.
        **kwargs_fft: Options of PyLops's FFT engines, such as ``workers``; they have no effect.

    Attributes:
        f1: The frequencies along ``axes[0]``, in cycles per unit of ``sampling``: a NumPy array.
        f2: The frequencies along ``axes[1]``.
        nffts: Numbers of samples of the FFT.
        axes: The axes, counted from the end.

    Raises:
        ValueError: when ``axes`` are not two different axes of ``dims``, another argument has neither one value
            nor two, or ``norm`` is not known.
        TypeError: when an option is not known.

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
        accept_pylops_options(engine=engine)
        dims = as_dims(dims)
        if len(dims) < 2:
            raise ValueError(f"FFT2D takes dims of two axes at least, got {dims}: for one axis take FFT")
        if not hasattr(axes, "__len__") or len(axes) != 2:
            raise ValueError(f"FFT2D takes exactly two axes, got axes={axes!r}: for others take FFT or FFTND")
        super().__init__(
            dims, axes, nffts, sampling, norm, real, ifftshift_before, fftshift_after, dtype, name, kwargs_fft
        )
        self.f1: NDArray[np.float64]
        self.f2: NDArray[np.float64]
        self.f1, self.f2 = self._frequencies()
