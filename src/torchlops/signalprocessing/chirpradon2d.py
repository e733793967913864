"""The Radon transform of time and one spatial axis, by chirps."""

from __future__ import annotations

from typing import Any

from torchlops.arrays import DType
from torchlops.signalprocessing._chirpradon import ChirpRadon


class ChirpRadon2D(ChirpRadon):
    r"""Linear Radon transform in time and space, by FFTs and chirps.

    .. math::

        Y(p, f) = \sum_h e^{2 \pi i f p h} X(h, f), \qquad (A^H Y)(h, f) = \sum_p e^{-2 \pi i f p h} Y(p, f)

    between the real FFTs of model and data over the time axis, on which traces wrap round. Position and slope run
    over ``nh`` samples around the middle, :math:`h = m \, \Delta h` and
    :math:`p = 2 m \, p_{\max} \Delta t / (n_h \Delta h)` for :math:`m = \lfloor n_h/2 \rfloor - n_h, \ldots,
    \lfloor n_h/2 \rfloor - 1`.

    The operator stacks and its adjoint spreads, so that it is :class:`FourierRadon2D` with the two exchanged. Complex
    models are transformed by their real and imaginary parts.

    Args:
        taxis: Time axis; only its length matters.
        haxis: Spatial axis; only its length matters.
        pmax: Largest slope :math:`p_{\max}` in samples, the tangent of the largest angle of stacking: a velocity
            :math:`c` of the smallest slowness gives :math:`c \, \Delta h / \Delta t`. A tensor carries gradients and
            takes part in the dtype of the result; a number does neither.
        dtype: Label of the operator.
        name: A name for errors.

    Models and data are ``(nh, nt)``.

    Raises:
        ValueError: when ``pmax`` is not one number.

    References:
        F. Andersson, J. Robertsson, Fast τ-p transforms by chirp modulation, Geophysics 84 (2019), A13-A17.

    Example:
        >>> import torch
        >>> R = ChirpRadon2D(range(4), range(2), pmax=1.0)
        >>> flat = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
        >>> R(flat)[1].round(decimals=4).abs()  # the slope of zero
        tensor([0., 2., 0., 0.])
    """

    def __init__(self, taxis: Any, haxis: Any, pmax: Any, dtype: DType = "float64", name: str = "C") -> None:
        super().__init__((len(haxis),), len(taxis), pmax, dtype, name)
