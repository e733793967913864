"""Chirp Radon transform in time and one spatial axis."""

from __future__ import annotations

from torchlops.arrays import Array, DType
from torchlops.attributes import Computed
from torchlops.basicoperators._positions import step_of
from torchlops.signalprocessing._chirpradon import ChirpRadon


class ChirpRadon2D(ChirpRadon):
    r"""Linear Radon transform in time and space, computed by FFTs and chirps.

    The operator stacks and its adjoint spreads, unlike :class:`FourierRadon2D`, where the roles are exchanged. The real
    and imaginary parts of complex models are transformed separately.

    Forward:
        .. math:: Y(p, f) = \sum_h e^{2 \pi i f p h} X(h, f)

        between the real FFTs of model and data over the time axis, on which traces are periodic. Position and slope
        have ``nh`` samples around the middle, :math:`h = m \, \Delta h` and
        :math:`p = 2 m \, p_{\max} \Delta t / (n_h \Delta h)` for
        :math:`m = \lfloor n_h/2 \rfloor - n_h, \ldots, \lfloor n_h/2 \rfloor - 1`.

    Adjoint:
        .. math:: (A^H Y)(h, f) = \sum_p e^{-2 \pi i f p h} Y(p, f)

    Args:
        taxis: Time axis; only its length matters.
        haxis: Spatial axis; only its length matters.
        pmax: Maximum slope :math:`p_{\max}` in samples, the tangent of the maximum stacking angle: a maximum slowness
            :math:`1/c` corresponds to :math:`\Delta h / (c \, \Delta t)`. A tensor carries gradients and affects the
            dtype of the result; a number does neither.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Models and data have shape ``(nh, nt)``.

    Raises:
        ValueError: If ``pmax`` is not one number.

    References:
        F. Andersson, J. Robertsson, Fast τ-p transforms by chirp modulation, Geophysics 84 (2019), A13-A17.

    Example:
        >>> import torch
        >>> R = ChirpRadon2D(range(4), range(2), pmax=1.0)
        >>> flat = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
        >>> R(flat)[1].round(decimals=4).abs()  # the slope of zero
        tensor([0., 2., 0., 0.])
    """

    nh = Computed(lambda self: self.dims[0])

    def __init__(
        self, taxis: Array, haxis: Array, pmax: float | Array, dtype: DType = "float64", name: str = "C"
    ) -> None:
        super().__init__((len(haxis),), len(taxis), pmax, dtype, name)
        self.dt, self.dh = step_of(taxis), step_of(haxis)
