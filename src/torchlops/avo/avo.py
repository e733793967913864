r"""Reflection and transmission of plane waves at an interface: exact, linearised, and as a linear operator.

All angles are in degrees, and those of the incident P-wave in the upper medium. Index 1 is the upper medium and index 0
the lower one, as in PyLops. In the linearisations, :math:`g = V_S / V_P`.

Beyond a critical angle a transmitted or converted wave is evanescent: it travels along the interface and decays away
from it, and coefficients are complex. Their phase is that of the Fourier transform of NumPy and torch,
:math:`X(f) = \int x(t) \, e^{-2 \pi i f t} \, dt`, so that a reflected signal is ``irfft(R * rfft(x))``. A wave is then
:math:`e^{i \omega (t - p x - q z)}` with :math:`q = -i \sqrt{p^2 - 1 / v^2}`, which decays with depth :math:`z`. (Books
with :math:`e^{-i \omega t}`, such as Aki and Richards, have the conjugate.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from torchlops.arrays import Array, DType, as_tensor, as_tensors, conjugate, to_numpy
from torchlops.basicoperators._positions import (
    constants,
    in_result_dtype,
    is_readable,
    precise,
    register_positions,
    weight_dtype,
)
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.shapes import PER_SAMPLE, Dims, as_dims, as_integer

__all__ = [
    "AVOLinearModelling",
    "akirichards",
    "approx_zoeppritz_pp",
    "fatti",
    "ps",
    "zoeppritz_element",
    "zoeppritz_pp",
    "zoeppritz_scattering",
]

Linearization: TypeAlias = "str | Callable[..., Sequence[Any]]"
"""The name of a linearisation, or a function with the arguments of :func:`akirichards`."""

WAVES = ("Pd", "Sd", "Pu", "Su")
"""Downgoing and upgoing P- and S-waves, in the order of the columns of the scattering matrix."""

SCATTERED = ("Pu", "Su", "Pd", "Sd")
"""The waves that leave the interface, in the order of its rows."""


# -- exact -------------------------------------------------------------------------------------------------------


def zoeppritz_scattering(vp1: Any, vs1: Any, rho1: Any, vp0: Any, vs0: Any, rho0: Any, theta1: Any) -> Any:
    r"""Return the scattering matrix of an interface: the solution of Zoeppritz's equations for all incident waves.

    Displacement and stress are continuous at the interface. With the ray parameter :math:`p = \sin\theta_1 / V_{P1}`,
    the sines of all waves are :math:`s = p v`. For each interface and each angle that is a system of four equations
    for the amplitudes of the four waves that leave it. All systems are solved at once.

    Args:
        vp1: P-wave velocity of the upper medium.
        vs1: S-wave velocity of the upper medium. (One of both media may be a fluid, of S-wave velocity 0.)
        rho1: Density of the upper medium.
        vp0: P-wave velocity of the lower medium.
        vs0: S-wave velocity of the lower medium.
        rho0: Density of the lower medium.
        theta1: Angles of the incident P-wave in degrees. The other incident waves have its ray parameter.

    All arguments broadcast, for instance velocities ``(n, 1)`` and angles ``(n_theta,)``; they may be tensors, to all
    of which derivatives reach. (At a critical angle itself, derivatives are infinite.)

    Returns:
        The matrix ``(4, 4, *shape)`` for the broadcast shape, ``(4, 4, 1)`` for numbers alone: rows for the scattered
        waves, columns for the incident ones, in the order of :func:`zoeppritz_element`. For tensors it is complex. For
        arrays it is real where no angle is beyond a critical one, as in PyLops, and complex otherwise. (PyLops gives
        NaN beyond the critical angle.) For the sign of the phase, see :mod:`torchlops.avo.avo`.

    Source: Aki and Richards, Quantitative Seismology, 2nd edition (2002), section 5.2.4.

    Example:
        >>> zoeppritz_scattering(2200.0, 1300.0, 2000.0, 2300.0, 1400.0, 2100.0, [0.0, 20.0])[0, 0].round(4)
        array([0.0466, 0.0332])
    """
    values, back = as_tensors(
        "zoeppritz_scattering",
        {"vp1": vp1, "vs1": vs1, "rho1": rho1, "vp0": vp0, "vs0": vs0, "rho0": rho0, "theta1": theta1},
    )
    return _as_real_as_possible(_scattering(*values), values, back)


def zoeppritz_element(
    vp1: Any, vs1: Any, rho1: Any, vp0: Any, vs0: Any, rho0: Any, theta1: Any, element: str = "PdPu"
) -> Any:
    """Return one coefficient of :func:`zoeppritz_scattering`, which has the other arguments.

    Args:
        vp1: P-wave velocity of the upper medium.
        vs1: S-wave velocity of the upper medium.
        rho1: Density of the upper medium.
        vp0: P-wave velocity of the lower medium.
        vs0: S-wave velocity of the lower medium.
        rho0: Density of the lower medium.
        theta1: Angles of the incident P-wave in degrees.
        element: The incident wave and the scattered one, each ``Pd`` or ``Sd`` (down) or ``Pu`` or ``Su`` (up):
            ``"PdSu"`` is the converted wave that a P-wave from above reflects.

    Returns:
        The coefficients, of the broadcast shape of the arguments; one number, as in PyLops, for one angle and media
        of numbers.

    Raises:
        ValueError: If there is no such element.

    Example:
        >>> zoeppritz_element(2200.0, 1300.0, 2000.0, 2300.0, 1400.0, 2100.0, [0.0, 20.0], "PdSu").round(4)
        array([-0.    , -0.0434])
    """
    incident, scattered = element[:2], element[2:]
    if incident not in WAVES or scattered not in SCATTERED:
        raise ValueError(
            f"zoeppritz_element: element must join two of {', '.join(WAVES)}, the incident wave and the scattered one, "
            f"got {element!r}"
        )
    matrix = zoeppritz_scattering(vp1, vs1, rho1, vp0, vs0, rho0, theta1)
    coefficient = matrix[SCATTERED.index(scattered), WAVES.index(incident)]
    return coefficient.reshape(()) if coefficient.shape == (1,) else coefficient


def zoeppritz_pp(vp1: Any, vs1: Any, rho1: Any, vp0: Any, vs0: Any, rho0: Any, theta1: Any) -> Any:
    """Return the exact PP reflection coefficient: ``"PdPu"`` of :func:`zoeppritz_element`, whose arguments it has.

    Args:
        vp1: P-wave velocity of the upper medium.
        vs1: S-wave velocity of the upper medium.
        rho1: Density of the upper medium.
        vp0: P-wave velocity of the lower medium.
        vs0: S-wave velocity of the lower medium.
        rho0: Density of the lower medium.
        theta1: Angles of the incident P-wave in degrees.

    Example:
        >>> beyond = zoeppritz_pp(2000.0, 900.0, 2000.0, 3000.0, 1500.0, 2300.0, [30.0, 50.0])  # critical at 41.8
        >>> beyond.imag.round(3), abs(beyond).round(3)
        (array([-0.  ,  0.76]), array([0.229, 0.8  ]))
    """
    return zoeppritz_element(vp1, vs1, rho1, vp0, vs0, rho0, theta1, "PdPu")


def approx_zoeppritz_pp(vp1: Any, vs1: Any, rho1: Any, vp0: Any, vs0: Any, rho0: Any, theta1: Any) -> Any:
    """Return the PP reflection coefficient by a formula, without systems of equations.

    It is called approximate, as in PyLops, but is the exact solution of Zoeppritz's equations for PP in a closed form.

    Args:
        vp1: P-wave velocity of the upper medium, a number or an array.
        vs1: S-wave velocity of the upper medium, not 0.
        rho1: Density of the upper medium.
        vp0: P-wave velocity of the lower medium.
        vs0: S-wave velocity of the lower medium, not 0.
        rho0: Density of the lower medium.
        theta1: Angles of the incident P-wave in degrees, ``(n_theta,)``.

    Returns:
        The coefficients ``(n_theta, *shape)`` for media of the broadcast shape ``shape``, without it for numbers, real
        or complex as those of :func:`zoeppritz_scattering`.

    Source: Aki and Richards, Quantitative Seismology, 2nd edition (2002), equation 5.40; Dvorkin et al., Seismic
    Reflections of Rock Properties (2014).

    Example:
        >>> approx_zoeppritz_pp(2200.0, 1300.0, 2000.0, 2300.0, 1400.0, 2100.0, [0.0, 20.0]).round(4)
        array([0.0466, 0.0332])
    """
    values, back = as_tensors(
        "approx_zoeppritz_pp",
        {"vp1": vp1, "vs1": vs1, "rho1": rho1, "vp0": vp0, "vs0": vs0, "rho0": rho0, "theta1": theta1},
    )
    if any(is_readable(vs) and bool((vs == 0).any()) for vs in (values[1], values[4])):
        raise ValueError("approx_zoeppritz_pp: vs1 and vs0 must not be 0: for a fluid, use zoeppritz_pp")
    media = torch.broadcast_shapes(*(value.shape for value in values[:6]))  # type: ignore[no-untyped-call]
    if math.prod(media) > 1:
        values[6] = values[6].reshape(*values[6].shape, *(1,) * len(media))
    vp1, vs1, rho1, vp0, vs0, rho0, theta1 = values
    theta1 = torch.deg2rad(theta1)
    p = torch.sin(theta1) / vp1
    eta1, eta0, xi1, xi0 = (
        torch.cos(theta1) / vp1,
        _cosine(p * vp0) / vp0,
        _cosine(p * vs1) / vs1,
        _cosine(p * vs0) / vs0,
    )
    shear1, shear0 = 2 * rho1 * (p * vs1) ** 2, 2 * rho0 * (p * vs0) ** 2
    a = rho0 - shear0 - (rho1 - shear1)
    b = rho0 - shear0 + shear1
    c = rho1 - shear1 + shear0
    d = 2 * (rho0 * vs0**2 - rho1 * vs1**2)
    F = b * xi1 + c * xi0
    H = (a - d * eta0 * xi1) * p**2
    D = (b * eta1 + c * eta0) * F + (a - d * eta1 * xi0) * H
    reflected = ((b * eta1 - c * eta0) * F - (a + d * eta1 * xi0) * H) / D
    return _as_real_as_possible(reflected, values, back)


def _scattering(
    vp1: Tensor, vs1: Tensor, rho1: Tensor, vp0: Tensor, vs0: Tensor, rho0: Tensor, theta1: Tensor
) -> Tensor:
    """Return the scattering matrix ``(4, 4, *shape)``."""
    if is_readable(vs1) and is_readable(vs0) and bool(((vs1 == 0) & (vs0 == 0)).any()):
        raise ValueError("zoeppritz_scattering: both media are fluids (vs1 = vs0 = 0), which only one of them may be")
    theta1 = torch.deg2rad(theta1)
    p = torch.sin(theta1) / vp1
    # Sines and cosines of the P- and S-waves in the upper (p1, s1) and the lower medium (p0, s0).
    sin_p1, sin_s1, sin_p0, sin_s0 = torch.sin(theta1), p * vs1, p * vp0, p * vs0
    cos_p1, cos_s1, cos_p0, cos_s0 = torch.cos(theta1), _cosine(sin_s1), _cosine(sin_p0), _cosine(sin_s0)
    # Stresses are in units of rho1 vp1, so that all equations are of one size.
    shear1, shear0 = vs1 / vp1, rho0 * vs0 / (rho1 * vp1)
    normal0 = rho0 * vp0 / (rho1 * vp1)
    turned1, turned0 = 1 - 2 * sin_s1**2, 1 - 2 * sin_s0**2
    rows = [
        [-sin_p1, -cos_s1, sin_p0, cos_s0],
        [cos_p1, -sin_s1, cos_p0, -sin_s0],
        [2 * shear1 * sin_s1 * cos_p1, shear1 * turned1, 2 * shear0 * sin_s0 * cos_p0, shear0 * turned0],
        [-turned1, 2 * shear1 * sin_s1 * cos_s1, normal0 * turned0, -2 * shear0 * sin_s0 * cos_s0],
    ]
    shape = torch.broadcast_shapes(*(entry.shape for row in rows for entry in row)) or (1,)  # type: ignore[no-untyped-call]
    dtype = cos_s1.dtype
    M = torch.stack([torch.stack([entry.to(dtype).expand(shape) for entry in row], -1) for row in rows], -2)
    # The same wave that goes the other way has the opposite displacement along the interface, and normal stress.
    N = M * torch.tensor([-1, 1, 1, -1], dtype=M.dtype, device=M.device)[:, None]
    solution: Tensor = torch.linalg.solve(M, N)
    return solution.movedim((-2, -1), (0, 1)).contiguous()


def _cosine(sine: Tensor) -> Tensor:
    """Return the complex cosine of a wave's angle; that of an evanescent wave is negative imaginary."""
    square = 1 - sine**2
    if square.is_complex():  # velocities of a medium with losses have a positive imaginary part in this convention
        return torch.sqrt(square)
    return conjugate(torch.sqrt(torch.complex(square, torch.zeros_like(square))))


def _as_real_as_possible(result: Tensor, values: list[Tensor], back: Callable[[Tensor], Any]) -> Any:
    """Return a complex result: a tensor as it is, an array without the imaginary part if all waves propagate."""
    if back is not to_numpy or any(value.is_complex() for value in values):
        return back(result)
    vp1, vs1, _, vp0, vs0, _, theta1 = values
    p = torch.sin(torch.deg2rad(theta1)) / vp1
    evanesces = any(bool(((p * v).abs() > 1).any()) for v in (vs1, vp0, vs0))
    return back(result if evanesces else result.real.contiguous())


# -- linearised --------------------------------------------------------------------------------------------------


def akirichards(theta: Any, vsvp: Any, n: int = 1) -> Any:
    r"""Return the coefficients of the linearisation of Aki and Richards for PP reflections.

    .. math:: R(\theta) = \frac{1}{2 \cos^2 \theta} \frac{\Delta V_P}{V_P} - 4 g^2 \sin^2 \theta \frac{\Delta V_S}{V_S}
        + \left(\frac12 - 2 g^2 \sin^2 \theta\right) \frac{\Delta \rho}{\rho}

    Args:
        theta: Mean of the angles of the incident and the transmitted P-wave, in degrees, ``(n_theta,)``.
        vsvp: The ratio :math:`g`: a number, or an array of any shape.
        n: Number of samples, for a number.

    Returns:
        The three coefficients, each ``(n_theta, *vsvp.shape)``, or ``(n_theta,)`` for one ratio.

    Source: Aki and Richards, Quantitative Seismology, 2nd edition (2002), equation 5.46.

    Example:
        >>> [G.round(4) for G in akirichards([0.0, 30.0], 0.5)]
        [array([0.5   , 0.6667]), array([-0.  , -0.25]), array([0.5  , 0.375])]
    """
    return _given_back(_akirichards, "akirichards", theta, vsvp, n)


def fatti(theta: Any, vsvp: Any, n: int = 1) -> Any:
    r"""Return the coefficients of the linearisation of Fatti et al., for contrasts of impedances and density.

    .. math:: R(\theta) = \frac{1 + \tan^2 \theta}{2} \frac{\Delta I_P}{I_P} - 4 g^2 \sin^2 \theta
        \frac{\Delta I_S}{I_S} + \frac{4 g^2 \sin^2 \theta - \tan^2 \theta}{2} \frac{\Delta \rho}{\rho}

    It is that of Aki and Richards, written for :math:`I_P = \rho V_P` and :math:`I_S = \rho V_S`.

    Args:
        theta: Mean of the angles of the incident and the transmitted P-wave, in degrees, ``(n_theta,)``.
        vsvp: The ratio :math:`g`: a number, or an array of any shape.
        n: Number of samples, for a number.

    Returns:
        The three coefficients, each ``(n_theta, *vsvp.shape)``, or ``(n_theta,)`` for one ratio.

    Source: Fatti, Smith, Vail, Strauss and Levitt, Geophysics 59 (1994), 1362-1376.

    Example:
        >>> [G.round(4) for G in fatti([0.0, 30.0], 0.5)]
        [array([0.5   , 0.6667]), array([-0.  , -0.25]), array([ 0.    , -0.0417])]
    """
    return _given_back(_fatti, "fatti", theta, vsvp, n)


def ps(theta: Any, vsvp: Any, n: int = 1) -> Any:
    r"""Return the coefficients of the linearised reflection from P to S.

    .. math:: R(\theta) = \frac{\tan \phi}{2 g} \left[\left(4 \sin^2 \phi - 4 g \cos\theta \cos\phi\right)
        \frac{\Delta V_S}{V_S} - \left(1 - 2 \sin^2 \phi + 2 g \cos\theta \cos\phi\right)
        \frac{\Delta \rho}{\rho}\right], \qquad \sin \phi = g \sin \theta

    The sign is that of ``"PdSu"`` of :func:`zoeppritz_element`, of which this is the limit for small contrasts. (In
    PyLops 2.8 the coefficients are about half of it, since a factor :math:`1 / g` is missing, and the formula of its
    documentation is a third one.)

    Args:
        theta: Mean of the angles of the incident and the transmitted P-wave, in degrees, ``(n_theta,)``.
        vsvp: The ratio :math:`g`: a number, or an array of any shape. :math:`g \sin\theta` must be less than 1.
        n: Number of samples, for a number.

    Returns:
        The three coefficients, of which that of :math:`V_P` is zero, each ``(n_theta, *vsvp.shape)``, or
        ``(n_theta,)`` for one ratio.

    Source: Aki and Richards, Quantitative Seismology, 2nd edition (2002), equation 5.46; Xu and Bancroft, Joint AVO
    analysis of PP and PS seismic data, CREWES Research Report 9 (1997).

    Example:
        >>> [G.round(4) for G in ps([0.0, 30.0], 0.5)]
        [array([0., 0.]), array([-0.    , -0.3685]), array([-0.    , -0.4424])]
    """
    return _given_back(_ps, "ps", theta, vsvp, n)


def _akirichards(theta: Tensor, g: Tensor) -> list[Tensor]:
    shear = (g * torch.sin(theta)) ** 2
    return [0.5 / torch.cos(theta) ** 2, -4 * shear, 0.5 - 2 * shear]


def _fatti(theta: Tensor, g: Tensor) -> list[Tensor]:
    shear, square = (g * torch.sin(theta)) ** 2, torch.tan(theta) ** 2
    return [0.5 * (1 + square), -4 * shear, 0.5 * (4 * shear - square)]


def _ps(theta: Tensor, g: Tensor) -> list[Tensor]:
    square = (g * torch.sin(theta)) ** 2
    cosine = torch.sqrt(1 - square)
    half_slope, product = 0.5 * torch.sin(theta) / cosine, 2 * g * torch.cos(theta) * cosine  # tan(phi) / (2 g)
    return [torch.zeros_like(square), half_slope * (4 * square - 2 * product), -half_slope * (1 - 2 * square + product)]


FORMULAS = {"akirich": _akirichards, "fatti": _fatti, "ps": _ps}


def _given_back(formula: Callable[[Tensor, Tensor], list[Tensor]], owner: str, theta: Any, vsvp: Any, n: int) -> Any:
    """Return the coefficients as the user's kind of array, in PyLops's shapes."""
    (theta, vsvp), back = as_tensors(owner, {"theta": theta, "vsvp": vsvp})
    ratios = vsvp.expand(as_integer(n, f"{owner}: n", least=1)) if vsvp.ndim == 0 else vsvp
    if ratios.numel() > 1:
        theta = theta.reshape(*theta.shape, *(1,) * ratios.ndim)
    return tuple(back(G) for G in _all_of_one_shape(formula(torch.deg2rad(theta), ratios)))


def _all_of_one_shape(coefficients: list[Tensor]) -> list[Tensor]:
    shape = torch.broadcast_shapes(*(G.shape for G in coefficients))  # type: ignore[no-untyped-call]
    return [G.expand(shape).contiguous() for G in coefficients]


# -- the operator ------------------------------------------------------------------------------------------------


class AVOLinearModelling(AccumulatingOperator):
    r"""Linearised reflectivity at all angles from profiles of elastic parameters.

    Forward:
        .. math:: r(t, \theta, x, y) = \sum_i G_i(\theta, t, x, y) \, m_i(t, x, y)

        with the coefficients :math:`G_i` of a linearisation.

    Adjoint:
        .. math:: (A^H r)_i(t, x, y) = \sum_\theta G_i(\theta, t, x, y) \, r(t, \theta, x, y)

    Args:
        theta: Angles in degrees, ``(n_theta,)``.
        vsvp: Ratio of the velocities of S- and P-waves: a number, one per sample ``(nt0,)``, or one per sample of each
            trace, ``(nt0, *spatdims)``. (PyLops has no ratios that vary in space.)
        nt0: Number of samples in time, if ``vsvp`` is a number.
        spatdims: Sizes of the axes in space; None if there is none.
        linearization: ``"akirich"`` (:func:`akirichards`), ``"fatti"`` (:func:`fatti`), ``"ps"`` (:func:`ps`; also
            ``"PS"``), or a function with the arguments ``(theta, vsvp, n)`` of these, which returns any number of
            coefficients. (PyLops takes functions in some places only.)
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Models have shape ``(nt0, n_m, *spatdims)``, data ``(nt0, n_theta, *spatdims)``. A tensor in the place of ``theta``
    or ``vsvp`` carries gradients and affects the dtype of the result; other numbers do neither.

    Attributes:
        ntheta: Number of angles.
        npars: Number of elastic parameters, :math:`n_m`.
        G: The coefficients ``(nt0, n_m, n_theta, *ones)``, or ``(nt0, n_m, n_theta, *spatdims)``.

    Raises:
        ValueError: If a shape does not fit.
        NotImplementedError: If ``linearization`` is not known.

    Example:
        >>> A = AVOLinearModelling(torch.tensor([0.0, 30.0]), vsvp=0.5, nt0=1)
        >>> A(torch.tensor([[0.3, 0.0, 0.0]]))
        tensor([[0.1500, 0.2000]])
    """

    _adds_up = (True, True)

    theta: Tensor
    vsvp: Tensor
    table: Tensor

    def __init__(
        self,
        theta: Array,
        vsvp: float | Array = 0.5,
        nt0: int = 1,
        spatdims: Dims | None = None,
        linearization: Linearization = "akirich",
        dtype: DType = "float64",
        name: str = "A",
    ) -> None:
        owner = type(self).__name__
        angles, ratios = (
            value if isinstance(value, Tensor) else constants(value, f"{owner}: {what}")
            for what, value in (("theta", theta), ("vsvp", vsvp))
        )
        self.spatdims = () if spatdims is None else as_dims(spatdims, f"{owner}: spatdims")
        self.nt0 = ratios.shape[0] if ratios.ndim else as_integer(nt0, f"{owner}: nt0", least=1)
        if angles.ndim != 1 or angles.numel() == 0:
            raise ValueError(f"{owner}: theta must be angles (n_theta,), got shape {tuple(angles.shape)}. {PER_SAMPLE}")
        allowed = ((), (self.nt0,), (self.nt0, *self.spatdims))
        if tuple(ratios.shape) not in allowed:
            raise ValueError(
                f"{owner}: vsvp must be a number, (nt0,) or (nt0, *spatdims) for spatdims={self.spatdims}, got shape "
                f"{tuple(ratios.shape)}. {PER_SAMPLE}"
            )
        self.ntheta = angles.shape[0]
        self.linearization = linearization
        self._formula = _formula_of(linearization, owner)
        with torch.no_grad():  # how many parameters a function of the user has, it only says by its result
            table = self._coefficients(theta, vsvp, angles, ratios)
        self.npars = table.shape[1]
        dims, dimsd = (self.nt0, self.npars, *self.spatdims), (self.nt0, self.ntheta, *self.spatdims)
        super().__init__(dims, dimsd, dtype=dtype, name=name)
        self._learns = isinstance(theta, Tensor) or isinstance(vsvp, Tensor)
        for what, value in (("theta", theta), ("vsvp", vsvp)):
            register_positions(self, what, value, is_tabulated=not self._learns)
        if not self._learns:
            self.register_buffer("table", table.to(torch.promote_types(table.dtype, torch.float64)), persistent=False)

    @property
    def G(self) -> Any:
        """The coefficients, as an array, or as a tensor if the operator was built from tensors."""
        table = self._table()
        table = table.expand(self.nt0, *table.shape[1:])
        return table.contiguous() if self._learns else to_numpy(table).astype(self.dtype)

    def _coefficients(self, theta: Any, vsvp: Any, angles: Tensor, ratios: Tensor) -> Tensor:
        """Return the coefficients ``(nt0 or 1, n_m, n_theta, *spatdims or ones)``.

        Args:
            theta: The angles as the user gave them, for a function of the user.
            vsvp: The ratios as the user gave them.
            angles: The angles as a tensor.
            ratios: The ratios as a tensor.
        """
        shape = tuple(ratios.shape) or (1,)
        if isinstance(self._formula, str):
            given = FORMULAS[self._formula](
                torch.deg2rad(precise(angles)).reshape(-1, *(1,) * len(shape)), precise(ratios).reshape(shape)
            )
        else:
            shape = tuple(ratios.shape) or (self.nt0,)
            vsvp = ratios.expand(shape) if isinstance(theta, Tensor) or isinstance(vsvp, Tensor) else vsvp
            theta = angles if isinstance(vsvp, Tensor) else to_numpy(angles)
            vsvp = vsvp if isinstance(vsvp, Tensor) else to_numpy(ratios.expand(shape))
            given = [self._read(G, shape) for G in self._formula(theta, vsvp, n=self.nt0)]
        coefficients = torch.stack([G.expand(len(angles), *shape) for G in given])  # (n_m, n_theta, nt0, *spatdims)
        coefficients = coefficients.movedim(2, 0)
        return coefficients.reshape(*coefficients.shape, *(1,) * (len(self.spatdims) + 1 - len(shape)))

    def _read(self, coefficient: Any, shape: tuple[int, ...]) -> Tensor:
        """Return a coefficient of a function of the user, with axes for the angles and the samples."""
        G = as_tensor(coefficient, f"{type(self).__name__}: a coefficient of the linearization")
        G = G.reshape(-1, *(1,) * len(shape)) if G.ndim == 1 else G
        wanted = (self.ntheta, *shape)
        if G.ndim != len(wanted) or any(n not in (1, size) for n, size in zip(G.shape, wanted, strict=True)):
            raise ValueError(
                f"{type(self).__name__}: the function linearization must return coefficients of shape {wanted}, got "
                f"{tuple(G.shape)}"
            )
        return G

    def _table(self) -> Tensor:
        if not self._learns:
            return self.table
        theta, vsvp = self.theta, self.vsvp
        dtype = torch.promote_types(precise(theta).dtype, precise(vsvp).dtype)
        theta, vsvp = theta.to(dtype), vsvp.to(dtype)
        return self._coefficients(theta, vsvp, theta, vsvp)

    def _forward(self, x: Tensor) -> Tensor:
        table, x, axis = self._table().to(weight_dtype(self, x)), in_result_dtype(self, x), 1 - len(self.dims)
        y = table.select(1, 0) * x.narrow(axis, 0, 1)
        for i in range(1, self.npars):
            y = torch.addcmul(y, table.select(1, i), x.narrow(axis, i, 1))
        return y

    def _adjoint(self, y: Tensor) -> Tensor:
        table, y, axis = self._table().to(weight_dtype(self, y)), in_result_dtype(self, y), 1 - len(self.dims)
        sums = [(table.select(1, i) * y).sum(axis, keepdim=True) for i in range(self.npars)]
        return torch.cat(sums, axis)

    def extra_repr(self) -> str:
        name = self._formula if isinstance(self._formula, str) else getattr(self._formula, "__name__", "a function")
        spatdims = f", spatdims={self.spatdims}" if self.spatdims else ""
        return f"{self.ntheta} angles, nt0={self.nt0}{spatdims}, linearization={name!r}"


def _formula_of(linearization: Linearization, owner: str) -> Linearization:
    """Return the name of a formula, or the function of a user.

    Raises:
        NotImplementedError: If it is neither.
    """
    if callable(linearization):
        return linearization
    if isinstance(linearization, str) and linearization.lower() in FORMULAS:
        return linearization.lower()
    raise NotImplementedError(
        f"{owner}: linearization must be {', '.join(map(repr, FORMULAS))} or a function (theta, vsvp, n), "
        f"got {linearization!r}"
    )
