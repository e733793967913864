"""Chirp Radon transform in time and two spatial axes."""

from __future__ import annotations

from typing import Any

from torchlops.arrays import Array, DType
from torchlops.attributes import Computed
from torchlops.basicoperators._positions import step_of
from torchlops.shapes import as_engine
from torchlops.signalprocessing._chirpradon import ChirpRadon
from torchlops.signalprocessing._engineoptions import accept_engine_options


class ChirpRadon3D(ChirpRadon):
    r"""Linear Radon transform in time and two spatial axes, computed by FFTs and chirps.

    The axes are those of :class:`ChirpRadon2D`. ``pmax`` is in the order of the axes. (This is also PyLops's documented
    order, but its NumPy engine uses the opposite one.)

    Forward:
        .. math:: Y(p_y, p_x, f) = \sum_{h_y, h_x} e^{2 \pi i f (p_y h_y + p_x h_x)} X(h_y, h_x, f)

    Adjoint:
        .. math:: (A^H Y)(h_y, h_x, f) = \sum_{p_y, p_x} e^{-2 \pi i f (p_y h_y + p_x h_x)} Y(p_y, p_x, f)

    Args:
        taxis: Time axis; only its length matters.
        hyaxis: Slow spatial axis; only its length matters.
        hxaxis: Fast spatial axis; only its length matters.
        pmax: Maximum slopes along the slow and the fast axis, in samples. A tensor carries gradients and affects
            the dtype of the result; other numbers do neither.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
        **kwargs_fftw: Options of the FFT engine in PyLops, such as ``threads``. They have no effect.

    Models and data have shape ``(nhy, nhx, nt)``.

    Raises:
        ValueError: If ``pmax`` does not contain two numbers.
        TypeError: If an option is unknown.

    Example:
        >>> import torch
        >>> R = ChirpRadon3D(range(4), range(2), range(2), pmax=(1.0, 1.0))
        >>> flat = torch.tensor([0.0, 1.0, 0.0, 0.0]).expand(2, 2, 4)
        >>> R(flat)[1, 1].round(decimals=4).abs()  # the slopes of zero
        tensor([0., 4., 0., 0.])
    """

    ny = Computed(lambda self: self.dims[0])
    nx = Computed(lambda self: self.dims[1])

    def __init__(
        self,
        taxis: Array,
        hyaxis: Array,
        hxaxis: Array,
        pmax: float | Array,
        engine: str = "numpy",
        dtype: DType = "float64",
        name: str = "C",
        **kwargs_fftw: Any,
    ) -> None:
        self.engine = as_engine(engine)
        accept_engine_options("ChirpRadon3D", kwargs_fftw)
        super().__init__((len(hyaxis), len(hxaxis)), len(taxis), pmax, dtype, name)
        self.dt, self.dy, self.dx = step_of(taxis), step_of(hyaxis), step_of(hxaxis)
