"""Frequency-domain Radon transform in time and one spatial axis."""

from __future__ import annotations

from typing import Literal

from torchlops.arrays import Array, DType
from torchlops.attributes import Computed
from torchlops.basicoperators._positions import Positions, step_of
from torchlops.shapes import accept_pylops_options, as_engine
from torchlops.signalprocessing._fourierradon import FourierRadon


class FourierRadon2D(FourierRadon):
    r"""Linear or parabolic Radon transform in time and space, computed in the frequency domain.

    Traces are delayed by :math:`p h^l` without interpolation, and are periodic with ``nfft`` samples.

    The real and imaginary parts of complex models are transformed separately (PyLops raises). The cost is ``nh * npx``
    operations per frequency; the matrix is not stored.

    Forward:
        .. math:: Y(h, f) = \sum_p e^{-2 \pi i f p h^l} X(p, f)

        between the real FFTs over ``nfft`` samples of model and data; :math:`l` is 1 for linear and 2 for parabolic
        curves.

    Adjoint:
        .. math:: (A^H Y)(p, f) = \sum_h e^{2 \pi i f p h^l} Y(h, f)

    Args:
        taxis: Time axis, with at least two regularly spaced samples.
        haxis: Spatial axis; it may be irregular.
        pxaxis: Parameters of the curves, in units of ``taxis`` per unit of ``haxis`` (squared, if parabolic).
        nfft: Number of samples of the FFT, at least ``len(taxis)``.
        flims: Indices of the frequencies to use, ``(first, last)`` with ``last`` excluded. Defaults to all.
        kind: ``"linear"`` or ``"parabolic"``.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        num_threads_per_blocks: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Models have shape ``(npx, nt)``, data ``(nh, nt)``. An axis that is a tensor carries gradients and affects the
    dtype of the result; an array does neither.

    Attributes:
        f: The frequencies.

    Raises:
        ValueError: If ``kind`` is unknown, ``nfft`` is too small, or ``flims`` is out of range.

    References:
        M. D. Sacchi, Statistical and Transform Methods in Geophysical Signal Processing, University of Alberta, 2007.

    Example:
        >>> import torch
        >>> R = FourierRadon2D(range(4), range(3), [0.0, 1.0], nfft=8)  # one flat and one dipping line
        >>> R(torch.tensor([[0.0, 0.0, 0.0, 2.0], [0.0, 1.0, 0.0, 0.0]])).round(decimals=4).abs()
        tensor([[0., 1., 0., 2.],
                [0., 0., 1., 2.],
                [0., 0., 0., 3.]])
    """

    haxis, pxaxis = Positions(), Positions()
    px = Computed(lambda self: self.pxaxis)
    npx = Computed(lambda self: self.dims[0])
    nh = Computed(lambda self: self.dimsd[0])
    dh = Computed(lambda self: step_of(self.haxis))

    def __init__(
        self,
        taxis: Array,
        haxis: Array,
        pxaxis: Array,
        nfft: int,
        flims: tuple[int, int] | None = None,
        kind: Literal["linear", "parabolic"] = "linear",
        engine: str = "numpy",
        num_threads_per_blocks: tuple[int, int] = (32, 32),
        dtype: DType = "float64",
        name: str = "R",
    ) -> None:
        self.engine = as_engine(engine)
        accept_pylops_options(num_threads_per_blocks=num_threads_per_blocks)
        super().__init__(taxis, (haxis,), (pxaxis,), ("haxis", "pxaxis"), nfft, flims, (kind,), dtype, name)
