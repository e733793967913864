"""Pressure and particle velocity of a wavefield, and its up- and down-going parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from torchlops.arrays import DType, add_up, as_tensors, complex_dtype, conjugate, real_dtype
from torchlops.basicoperators._positions import in_result_dtype, precise, whole_numbers
from torchlops.basicoperators.blockdiag import BlockDiag
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims, accept_pylops_options, as_dims, as_integer, per_axis
from torchlops.signalprocessing._fourierradon import zeros_of
from torchlops.signalprocessing._parts import with_parts_as_batch
from torchlops.signalprocessing._realfft import with_fft_errors
from torchlops.torchoperator import aslinearoperator
from torchlops.utils.dottest import dottest as check_adjoint
from torchlops.waveeqprocessing._inversion import (
    Solver,
    batch_of,
    batch_of_restricted,
    label_for,
    on_device_of,
    solved,
)
from torchlops.waveeqprocessing._wavefields import (
    as_constant,
    as_step,
    register_number,
    root_where,
    spectrum_of,
    wavefield_of,
)

__all__ = ["PressureToVelocity", "UpDownComposition2D", "UpDownComposition3D", "WavefieldDecomposition"]

Sizes: TypeAlias = "Sequence[int | None] | None"
Number: TypeAlias = "float | Tensor"


class _Obliquity(LinearOperator):
    """Base of the operators that scale plane waves by their obliquity; see :class:`PressureToVelocity`.

    Args:
        lead: Axes of the model before those of the wavefield.
        nt: Number of samples along time.
        nr: Number of receivers along each axis.
        topressure: Whether the weights are those from velocity to pressure.
    """

    rho: Tensor
    vel: Tensor
    horizontal: Tensor
    frequencies: Tensor
    weights: Tensor

    def __init__(
        self,
        lead: tuple[int, ...],
        nt: int,
        nr: tuple[int, ...],
        dt: float,
        dr: float | Sequence[float],
        rho: Number,
        vel: Number,
        nffts: Sizes,
        critical: float,
        ntaper: int,
        topressure: bool,
        dtype: DType,
        name: str,
    ) -> None:
        field = (*nr, *as_dims(nt, "nt"))
        super().__init__((*lead, *field), dtype=dtype, name=name)
        self.nffts = self._sizes(nffts, field)
        self.critical = as_constant(critical, f"{self.name_and_type}: critical")
        if not self.critical >= 0:
            raise ValueError(f"{self.name_and_type}: critical must not be negative, got {critical!r}")
        self.ntaper, self.topressure = as_integer(ntaper, "ntaper", 0), bool(topressure)
        self._axes = tuple(range(-len(field), -1))
        steps = [
            as_step(step, f"{self.name_and_type}: dr") for step in per_axis(dr, len(nr), f"{self.name_and_type}: dr")
        ]
        steps += [as_step(dt, f"{self.name_and_type}: dt")]
        *wavenumbers, f = (_frequencies(n, step) for n, step in zip(self.nffts, steps, strict=True))
        squares = torch.meshgrid(*(k**2 for k in wavenumbers), indexing="ij")
        self.register_buffer("horizontal", add_up(squares).sqrt().unsqueeze(-1), persistent=False)
        self.register_buffer("frequencies", f, persistent=False)
        learns = [register_number(self, n, value, is_positive=True) for n, value in (("rho", rho), ("vel", vel))]
        self._weights_learn = any(learns)
        if not self._weights_learn:
            self.register_buffer("weights", self._make_weights(), persistent=False)

    def _sizes(self, nffts: Sizes, field: tuple[int, ...]) -> tuple[int, ...]:
        given = list((None,) * len(field) if nffts is None else nffts)
        if all(n is None for n in given):  # the default of three, in two dimensions, too
            given = [None] * len(field)
        if len(given) != len(field):
            raise ValueError(f"{self.name_and_type}: nffts must be sizes for the axes {field}, got {nffts!r}")
        sizes = as_dims([n if size is None else size for n, size in zip(field, given, strict=True)], "nffts")
        if any(size < n for n, size in zip(field, sizes, strict=True)):
            raise ValueError(
                f"{self.name_and_type}: nffts={sizes} must be at least the numbers of samples {field}: smaller ones "
                "would cut the wavefield"
            )
        return sizes

    def _make_weights(self) -> Tensor:
        """Return the weights of all wavenumbers at the frequencies from zero on, smoothed around the cut-off."""
        vel, rho = (precise(tensor.reshape(())) for tensor in (self.vel, self.rho))
        f, kh, critical = self.frequencies, self.horizontal, self.critical / 100
        square = (f / vel) ** 2 - kh**2
        # On the critical angle itself kz is 0, and rounding would decide whether its reciprocal is taken.
        limit = 64 * torch.finfo(square.dtype).eps * kh**2
        inside = (kh < critical * f.abs() / vel) & (square.abs() > limit)
        kz = root_where(inside, square.abs())
        size = torch.where(inside, f.abs(), 1)
        weights = torch.where(inside, size / torch.where(inside, kz, 1), 0) if self.topressure else kz / size
        if critical > 1:  # evanescent waves, with kz = -i |kz| at positive frequencies, as in PhaseShift
            sign = f.sign()
            if len(f) % 2 == 0:  # at the Nyquist frequency, spectra of real signals have real weights
                sign = torch.where(f == f.min(), 0, sign)
            turned = weights * (sign if self.topressure else -sign)
            weights = torch.complex(weights.masked_fill(square < 0, 0), turned.masked_fill(square > 0, 0))
        weights = self._smoothed(weights).narrow(-1, 0, len(f) // 2 + 1)
        scaled: Tensor = weights * rho if self.topressure else weights / rho
        return scaled

    def _smoothed(self, weights: Tensor) -> Tensor:
        """Apply the mean of ``ntaper`` samples forth and back along each axis, on which the spectrum is periodic."""
        if self.ntaper < 2:
            return weights
        axes = tuple(range(-len(self.nffts), 0))
        spectrum = torch.fft.fftn(weights, dim=axes)
        for axis, n in zip(axes, self.nffts, strict=True):
            samples, lags = (whole_numbers(0, count, self.frequencies) for count in (n, self.ntaper))
            angle = (2 * math.pi / n) * samples.unsqueeze(-1) * lags
            gain = (angle.cos().mean(-1) ** 2 + angle.sin().mean(-1) ** 2).to(real_dtype(weights.dtype))
            spectrum = spectrum * gain.reshape(-1, *(1,) * (-axis - 1))
        smoothed: Tensor = torch.fft.ifftn(spectrum, dim=axes)
        return smoothed if weights.is_complex() else smoothed.real

    def _scaled(self, x: Tensor, adjoint: bool) -> Tensor:
        """Return wavefields ``(*batch, *nr, nt)`` with their plane waves scaled."""

        def of_real(x: Tensor) -> Tensor:
            if x.numel() == 0:
                return zeros_of(x, 1, x.shape[-1:])
            weights = self._make_weights() if self._weights_learn else self.weights
            weights = weights.to(complex_dtype(x.dtype) if weights.is_complex() else x.dtype)
            weights = conjugate(weights) if adjoint else weights
            nt, sizes = self.nffts[-1], self.nffts[:-1]
            return wavefield_of(spectrum_of(x, -1, nt, self._axes, sizes) * weights, -1, nt, self._axes, self.dims)

        remedy = "cast its input, for example by x.float()"
        return with_fft_errors(self.name_and_type, remedy, lambda x: with_parts_as_batch(of_real, x), x)

    def extra_repr(self) -> str:
        nffts = "" if self.nffts == self.dims[-len(self.nffts) :] else f", nffts={self.nffts}"
        return f"critical={self.critical}, ntaper={self.ntaper}{nffts}"


def _frequencies(n: int, step: float) -> Tensor:
    frequencies: Tensor = torch.fft.fftfreq(n, step, dtype=torch.float64, device="cpu")
    return frequencies


class PressureToVelocity(_Obliquity):
    r"""Conversion of the pressure of a one-way wavefield to its vertical particle velocity, or the reverse.

    The wavefield is recorded at a level where the medium is constant. Each plane wave is scaled by its obliquity.

    Forward:
        .. math:: v_z = F^H \, \mathrm{diag}(S w) \, F p, \qquad w(k_x, k_y, f) = \frac{k_z}{\rho \, |f|}, \qquad
            k_z = \sqrt{f^2 / c^2 - k_x^2 - k_y^2}

        with the unitary FFT :math:`F` of ``nffts`` samples, and :math:`w = 0` where
        :math:`\sqrt{k_x^2 + k_y^2} \ge \frac{\mathrm{critical}}{100} |f| / c`. With ``topressure=True`` the weights are
        :math:`\rho |f| / k_z`. :math:`S` smooths them: the mean of ``ntaper`` samples, forth and back along each axis.

    Adjoint:
        .. math:: A^H v = F^H \, \mathrm{diag}(\overline{S w}) \, F v

    The smoothing is periodic, as the spectrum is, so that the velocity of a real pressure is real. (PyLops extends
    the spectrum at the ends of its arrays, where the smallest and the largest frequencies are neighbours: its
    velocities have imaginary parts of some percent, and real parts that differ by as much.) Waves on the critical
    angle itself, where :math:`k_z = 0`, are left out. Evanescent ones, with ``critical`` above 100, have
    :math:`k_z = -i |k_z|` for :math:`f > 0`, as in :class:`~torchlops.waveeqprocessing.PhaseShift`; PyLops's sign makes
    their velocity imaginary.

    Args:
        nt: Number of samples along time.
        nr: Number of receivers, or that along each of two axes.
        dt: Time step, in s.
        dr: Step between receivers, in m: one number, or one per axis.
        rho: Density at the receivers, in kg/m^3. A tensor carries gradients.
        vel: Velocity :math:`c` at the receivers, in m/s. A tensor carries gradients; which waves are left out does not
            depend smoothly on it.
        nffts: Numbers of samples of the FFT along the receivers and time, at least those of the wavefield; None for
            those.
        critical: Largest angle that is kept, as a percentage of the critical one.
        ntaper: Number of samples of the smoothing; none with 0 or 1.
        topressure: Convert velocity to pressure.
        backend: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Nominal dtype of the operator. The result has the dtype of the wavefield.
        name: A name for error messages.

    Models and data have shape ``(nr, nt)`` or ``(*nr, nt)``.

    Raises:
        ValueError: If a size, a step, ``rho`` or ``vel`` is not positive, ``critical`` is negative, or ``nffts`` are
            too small.

    References:
        K. Wapenaar, Reciprocity properties of one-way propagators, Geophysics 63 (1998), 1795-1798.

    Example:
        >>> A = PressureToVelocity(4, 1, dt=0.5, dr=1.0, rho=2.0, vel=5.0, ntaper=0)
        >>> A(torch.tensor([[1.0, -1.0, 1.0, -1.0]]))  # a plane wave that arrives from below: 1 / (rho vel)
        tensor([[ 0.1000, -0.1000,  0.1000, -0.1000]])
    """

    def __init__(
        self,
        nt: int,
        nr: Dims,
        dt: float,
        dr: float | Sequence[float],
        rho: Number,
        vel: Number,
        nffts: Sizes = (None, None, None),
        critical: float = 100.0,
        ntaper: int = 10,
        topressure: bool = False,
        backend: str = "numpy",
        dtype: DType = "complex128",
        name: str = "P",
    ) -> None:
        accept_pylops_options(backend=backend)
        receivers = as_dims(nr, "nr")
        if len(receivers) > 2:
            raise ValueError(f"PressureToVelocity takes receivers along one or two axes, got nr={nr!r}")
        super().__init__((), nt, receivers, dt, dr, rho, vel, nffts, critical, ntaper, topressure, dtype, name)

    def _forward(self, x: Tensor) -> Tensor:
        return self._scaled(in_result_dtype(self, x), False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._scaled(in_result_dtype(self, y), True)


class _UpDownComposition(_Obliquity):
    """Base of the compositions of wavefields."""

    scaling: Tensor

    def __init__(self, *arguments: Any, scaling: Number) -> None:
        super().__init__((2,), *arguments)
        register_number(self, "scaling", scaling)

    def _forward(self, x: Tensor) -> Tensor:
        down, up = in_result_dtype(self, x).unbind(-len(self.dims))
        velocity = self._scaled(down - up, False)
        return torch.stack((down + up, velocity * self._factor(velocity)), -len(self.dims))

    def _adjoint(self, y: Tensor) -> Tensor:
        pressure, velocity = in_result_dtype(self, y).unbind(-len(self.dims))
        velocity = self._scaled(velocity * self._factor(velocity), True)
        return torch.stack((pressure + velocity, pressure - velocity), -len(self.dims))

    def _factor(self, x: Tensor) -> Tensor:
        return self.scaling.reshape(()).to(real_dtype(x.dtype))


class UpDownComposition2D(_UpDownComposition):
    r"""Composition of pressure and vertical particle velocity from down- and up-going pressure, along a line.

    Forward:
        .. math:: \begin{bmatrix} p \\ s v_z \end{bmatrix}
            = \begin{bmatrix} I & I \\ s W & -s W \end{bmatrix} \begin{bmatrix} p^+ \\ p^- \end{bmatrix}

        with :math:`W` the :class:`~torchlops.waveeqprocessing.PressureToVelocity` of the same arguments, and the
        ``scaling`` :math:`s`.

    Adjoint:
        .. math:: A^H \begin{bmatrix} p \\ v \end{bmatrix}
            = \begin{bmatrix} p + s W^H v \\ p - s W^H v \end{bmatrix}

    The pressure needs no Fourier transform, and the velocity one for both parts, of real data: PyLops has four, of
    complex data.

    Args:
        nt: Number of samples along time.
        nr: Number of receivers.
        dt: Time step, in s.
        dr: Step between receivers, in m.
        rho: Density at the receivers, in kg/m^3. A tensor carries gradients.
        vel: Velocity at the receivers, in m/s. A tensor carries gradients.
        nffts: As in :class:`~torchlops.waveeqprocessing.PressureToVelocity`.
        critical: Likewise.
        ntaper: Likewise.
        scaling: The factor of the velocities, which balances the two kinds of data in an inversion. A tensor carries
            gradients.
        backend: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Nominal dtype of the operator. The result has the dtype of the wavefields.
        name: A name for error messages.

    Models are :math:`(p^+, p^-)`, and data :math:`(p, s v_z)`, of shape ``(2, nr, nt)``.

    Raises:
        ValueError: If a size, a step, ``rho`` or ``vel`` is not positive, ``critical`` is negative, or ``nffts`` are
            too small.

    References:
        K. Wapenaar, Reciprocity properties of one-way propagators, Geophysics 63 (1998), 1795-1798.

    Example:
        >>> A = UpDownComposition2D(2, 1, dt=0.5, dr=1.0, rho=2.0, vel=5.0, ntaper=0, scaling=10.0)
        >>> A(torch.tensor([[[1.0, -1.0]], [[0.0, 0.0]]])).squeeze(1)
        tensor([[ 1., -1.],
                [ 1., -1.]])
    """

    def __init__(
        self,
        nt: int,
        nr: int,
        dt: float,
        dr: float,
        rho: Number,
        vel: Number,
        nffts: Sizes = (None, None),
        critical: float = 100.0,
        ntaper: int = 10,
        scaling: Number = 1.0,
        backend: str = "numpy",
        dtype: DType = "complex128",
        name: str = "U",
    ) -> None:
        accept_pylops_options(backend=backend)
        receivers = as_dims(nr, "nr")
        if len(receivers) != 1:
            raise ValueError(f"UpDownComposition2D takes receivers along one axis, got nr={nr!r}")
        super().__init__(nt, receivers, dt, dr, rho, vel, nffts, critical, ntaper, False, dtype, name, scaling=scaling)


class UpDownComposition3D(_UpDownComposition):
    r"""Composition of pressure and vertical particle velocity from down- and up-going pressure, on a plane.

    Forward:
        .. math:: \begin{bmatrix} p \\ s v_z \end{bmatrix}
            = \begin{bmatrix} I & I \\ s W & -s W \end{bmatrix} \begin{bmatrix} p^+ \\ p^- \end{bmatrix}

        as in :class:`~torchlops.waveeqprocessing.UpDownComposition2D`.

    Adjoint:
        .. math:: A^H \begin{bmatrix} p \\ v \end{bmatrix}
            = \begin{bmatrix} p + s W^H v \\ p - s W^H v \end{bmatrix}

    Args:
        nt: Number of samples along time.
        nr: Numbers of receivers along the two axes.
        dt: Time step, in s.
        dr: Steps between receivers, in m: one number, or one per axis.
        rho: Density at the receivers, in kg/m^3. A tensor carries gradients.
        vel: Velocity at the receivers, in m/s. A tensor carries gradients.
        nffts: As in :class:`~torchlops.waveeqprocessing.PressureToVelocity`.
        critical: Likewise.
        ntaper: Likewise.
        scaling: The factor of the velocities. A tensor carries gradients.
        fftengine: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        backend: Likewise.
        dtype: Nominal dtype of the operator. The result has the dtype of the wavefields.
        name: A name for error messages.

    Models are :math:`(p^+, p^-)`, and data :math:`(p, s v_z)`, of shape ``(2, *nr, nt)``.

    Raises:
        ValueError: If a size, a step, ``rho`` or ``vel`` is not positive, ``critical`` is negative, or ``nffts`` are
            too small.

    References:
        K. Wapenaar, Reciprocity properties of one-way propagators, Geophysics 63 (1998), 1795-1798.

    Example:
        >>> A = UpDownComposition3D(2, (1, 1), 0.5, (1.0, 1.0), rho=2.0, vel=5.0, ntaper=0, scaling=10.0)
        >>> A(torch.tensor([[[[0.0, 0.0]]], [[[1.0, -1.0]]]])).flatten(1)
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """

    def __init__(
        self,
        nt: int,
        nr: Sequence[int],
        dt: float,
        dr: float | Sequence[float],
        rho: Number,
        vel: Number,
        nffts: Sizes = (None, None, None),
        critical: float = 100.0,
        ntaper: int = 10,
        scaling: Number = 1.0,
        fftengine: str = "scipy",
        backend: str = "numpy",
        dtype: DType = "complex128",
        name: str = "U",
    ) -> None:
        accept_pylops_options(fftengine=fftengine, backend=backend)
        receivers = as_dims(nr, "nr")
        if len(receivers) != 2:
            raise ValueError(f"UpDownComposition3D takes receivers along two axes, got nr={nr!r}")
        super().__init__(nt, receivers, dt, dr, rho, vel, nffts, critical, ntaper, False, dtype, name, scaling=scaling)


def WavefieldDecomposition(
    p: Any,
    vz: Any,
    nt: int,
    nr: Dims,
    dt: float,
    dr: float | Sequence[float],
    rho: Number,
    vel: Number,
    nffts: Sizes = (None, None, None),
    critical: float = 100.0,
    ntaper: int = 10,
    scaling: Number = 1.0,
    kind: Literal["inverse", "analytical"] = "inverse",
    restriction: Any = None,
    sptransf: Any = None,
    solver: Solver = None,
    dottest: bool = False,
    dtype: DType = "complex128",
    **kwargs_solver: Any,
) -> tuple[Any, Any]:
    r"""Separate pressure and vertical particle velocity into up- and down-going pressure.

    With ``kind="analytical"``,

    .. math:: p^\pm = \tfrac12 (p \pm W' v_z)

    with :math:`W'` the :class:`~torchlops.waveeqprocessing.PressureToVelocity` with ``topressure=True``. With
    ``kind="inverse"``, the solution of

    .. math:: \begin{bmatrix} p \\ s v_z \end{bmatrix} = R \, U \begin{bmatrix} S & \\ & S \end{bmatrix} m, \qquad
        \begin{bmatrix} p^+ \\ p^- \end{bmatrix} = \begin{bmatrix} S & \\ & S \end{bmatrix} m

    with :math:`U` the :class:`~torchlops.waveeqprocessing.UpDownComposition2D` or
    :class:`~torchlops.waveeqprocessing.UpDownComposition3D` of the arguments.

    Args:
        p: Pressure, ``(*batch, *nr, nt)``, or what the restriction leaves of it, with as many axes.
        vz: Vertical particle velocity, of the same shape.
        nt: Number of samples along time.
        nr: Number of receivers, or that along each of two axes.
        dt: Time step, in s.
        dr: Step between receivers, in m: one number, or one per axis.
        rho: Density at the receivers, in kg/m^3. A tensor carries gradients.
        vel: Velocity at the receivers, in m/s. A tensor carries gradients.
        nffts: As in :class:`~torchlops.waveeqprocessing.PressureToVelocity`.
        critical: Likewise.
        ntaper: Likewise.
        scaling: Factor of the velocities in the inversion, such as ``1 / vz.max()``. A tensor carries gradients.
        kind: ``"inverse"`` or ``"analytical"``, which needs no solver: ``solver`` and its options have no effect then.
        restriction: The operator :math:`R` on ``(2, *nr, nt)``, both kinds of data, if some are missing.
        sptransf: The operator :math:`S` from coefficients to one wavefield, if the solution is sparse in them.
        solver: A function that takes an operator and data and returns the solution first. By default,
            :func:`~torchlops.optimization.basic.lsqr` with the options of SciPy's (``iter_lim``, and ``atol`` and
            ``btol`` of 1e-6).
        dottest: Apply the dot test to the operator that is inverted.
        dtype: Nominal dtype of the operators.
        **kwargs_solver: Options of the solver.

    Returns:
        The up-going and the down-going pressure, ``(*batch, *nr, nt)``, arrays for arrays and tensors for tensors.
        Derivatives of the solution are implicit: with respect to the data, and to the tensors of the operators.

    Raises:
        ValueError: If ``kind`` is unknown, or shapes do not match.

    References:
        K. Wapenaar, Reciprocity properties of one-way propagators, Geophysics 63 (1998), 1795-1798.

    Example:
        >>> U = UpDownComposition2D(8, 4, 0.004, 5.0, 1000.0, 1500.0, ntaper=0)
        >>> down_up = torch.zeros(2, 4, 8)
        >>> down_up[1, :, 2], down_up[1, :, 3] = 1.0, -1.0
        >>> p, vz = U(down_up)
        >>> up, down = WavefieldDecomposition(p, vz, 8, 4, 0.004, 5.0, 1000.0, 1500.0, ntaper=0, kind="analytical")
        >>> torch.allclose(up, down_up[1], atol=1e-6), torch.allclose(down, down_up[0], atol=1e-6)
        (True, True)
    """
    name = "WavefieldDecomposition"
    if kind not in ("inverse", "analytical"):
        raise ValueError(f"{name}: kind must be 'inverse' or 'analytical', got {kind!r}")
    receivers = as_dims(nr, "nr")
    field = (*receivers, *as_dims(nt, "nt"))
    (pressure, velocity), back = as_tensors(name, {"p": p, "vz": vz}, (rho, vel, scaling, *kwargs_solver.values()))
    if pressure.shape != velocity.shape:
        raise ValueError(f"{name}: p and vz must have the same shape, got {p.shape} and {vz.shape}")
    medium = (nt, nr, dt, dr, rho, vel, nffts, critical, ntaper)
    if kind == "analytical":
        batch_of(pressure, field, f"{name}: p")
        if restriction is not None or sptransf is not None:
            raise ValueError(f"{name}: restriction and sptransf are for kind='inverse', got kind='analytical'")
        converted = on_device_of(velocity, PressureToVelocity(*medium, topressure=True)).apply_nd(velocity, False)
        return back((pressure - converted) / 2), back((pressure + converted) / 2)
    composition: Any = UpDownComposition2D if len(receivers) == 1 else UpDownComposition3D
    Op = on_device_of(pressure, composition(*medium, scaling, dtype=label_for(pressure, dtype)))
    if restriction is None:
        batch = batch_of(pressure, field, f"{name}: p")
    else:
        restriction = aslinearoperator(restriction)
        batch = batch_of_restricted(pressure, len(field), 2, restriction, f"{name}: p")
        Op = restriction @ Op
    if sptransf is not None:
        S = BlockDiag([aslinearoperator(sptransf)] * 2)
        Op = Op @ S
    if dottest:
        check_adjoint(Op, *Op.shape, verb=True)
    factor = scaling if isinstance(scaling, Tensor) else float(scaling)
    data = torch.stack((pressure, velocity * factor), len(batch)).reshape((*batch, *Op.dimsd))
    model = solved(name, Op, data, solver, kwargs_solver, back)
    fields = model if sptransf is None else S.apply_nd(model, False)
    down, up = fields.reshape((*batch, 2, *field)).unbind(len(batch))
    return back(up.contiguous()), back(down.contiguous())
