"""One-way propagation of wavefields, and the removal of ghosts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import Array, DType, as_tensors, complex_dtype, conjugate, real_dtype
from torchlops.basicoperators._positions import in_result_dtype, precise, register_positions
from torchlops.basicoperators.diagonal import Diagonal
from torchlops.basicoperators.identity import Identity
from torchlops.basicoperators.pad import Pad
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import PER_SAMPLE, Dims, accept_pylops_options, as_dims, per_axis
from torchlops.signalprocessing._engineoptions import accept_engine_options
from torchlops.signalprocessing._fourierradon import zeros_of
from torchlops.signalprocessing._parts import with_parts_as_batch
from torchlops.signalprocessing._realfft import with_fft_errors
from torchlops.torchoperator import aslinearoperator
from torchlops.utils.dottest import dottest as check_adjoint
from torchlops.utils.tapers import taper2d, taper3d
from torchlops.waveeqprocessing._inversion import (
    Solver,
    batch_of,
    batch_of_restricted,
    label_for,
    on_device_of,
    solved,
)
from torchlops.waveeqprocessing._wavefields import as_step, register_number, root_where, spectrum_of, wavefield_of

__all__ = ["Deghosting", "PhaseShift"]

Number: TypeAlias = "float | Tensor"


class PhaseShift(LinearOperator):
    r"""Propagation of wavefields through a homogeneous layer: a shift of the phase of each plane wave.

    Forward:
        .. math:: y = F_t^H F_x \, \mathrm{diag}(e^{-2 \pi i \Delta z k_z}) \, F_x^H F_t \, x, \qquad
            k_z = \sqrt{f^2 / v^2 - k_x^2 - k_y^2}

        with the real FFT :math:`F_t` along time, and the FFT :math:`F_x` along the other axes. Evanescent waves have
        :math:`k_z = -i \, \mathrm{sign}(\Delta z) \, |k_z|` and decay by :math:`e^{-2 \pi |\Delta z| |k_z|}`.

    Adjoint:
        .. math:: A^H y = F_t^H F_x \, \mathrm{diag}(\overline{e^{-2 \pi i \Delta z k_z}}) \, F_x^H F_t \, y

        which shifts back, but for evanescent waves, which decay again. It sums over depths.

    Args:
        vel: Velocity :math:`v` of the layer. A tensor carries gradients.
        dz: Depth step :math:`\Delta z`, negative for propagation back; or several, ``(nz,)``, for the wavefields at
            all of these depths. A tensor carries gradients.
        nt: Number of samples along time.
        freq: The nonnegative frequencies, ``np.fft.rfftfreq(nt, dt)``.
        kx: Wavenumbers :math:`k_x` in cycles per unit of length, with zero in the middle:
            ``np.fft.fftshift(np.fft.fftfreq(nx, dx))``. (``ifftshift`` is another order for odd ``nx``, and wrong.)
        ky: Wavenumbers :math:`k_y` of the last axis; None in two dimensions.
        dtype: Nominal dtype of the operator. The result has the dtype of the wavefield.
        name: A name for error messages.
        fftengine: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        **kwargs_fft: Options of the FFT engines in PyLops, such as ``workers``. They have no effect.

    Models have shape ``(nt, nx)`` or ``(nt, nx, ny)``. Data have the same shape or, with several depths,
    ``(nz, nt, nx)`` or ``(nz, nt, nx, ny)``. Real and imaginary parts of complex wavefields propagate separately. The
    FFTs are periodic: waves that leave the wavefield at one end return at the other, unless it is padded.

    Raises:
        ValueError: If ``freq``, ``kx``, ``ky`` or ``dz`` have wrong shapes, or ``vel`` is not positive.
        TypeError: If an option is unknown.

    Example:
        >>> freq, kx = np.fft.rfftfreq(4, 0.004), np.zeros(1)
        >>> x = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
        >>> PhaseShift(1500.0, 6.0, 4, freq, kx)(x).squeeze(1).round(decimals=4)  # 6 m at 1500 m/s: one sample
        tensor([4., 1., 2., 3.])
    """

    vel: Tensor
    dz: Tensor
    freq: Tensor
    kx: Tensor
    ky: Tensor
    phase: Tensor

    def __init__(
        self,
        vel: Number,
        dz: Number | Array,
        nt: int,
        freq: Array,
        kx: Array,
        ky: Array | None = None,
        dtype: DType = "float64",
        name: str = "P",
        fftengine: str = "numpy",
        **kwargs_fft: Any,
    ) -> None:
        accept_pylops_options(fftengine=fftengine)
        accept_engine_options("PhaseShift", kwargs_fft)
        (nt,) = as_dims(nt, "nt")
        axes = {"freq": freq, "kx": kx} if ky is None else {"freq": freq, "kx": kx, "ky": ky}
        shapes = {axis: tuple(np.shape(values)) for axis, values in axes.items()}
        for axis, shape in shapes.items():
            if len(shape) != 1:
                raise ValueError(f"PhaseShift: {axis} must have one axis, got shape {shape}. {PER_SAMPLE}")
        if shapes["freq"] != (nt // 2 + 1,):
            raise ValueError(
                f"PhaseShift: freq must be the {nt // 2 + 1} nonnegative frequencies of nt={nt} samples, as "
                f"np.fft.rfftfreq(nt, dt), got {shapes['freq'][0]}"
            )
        dims = (nt, *(shape[0] for axis, shape in shapes.items() if axis != "freq"))
        depths = tuple(np.shape(dz))
        if len(depths) > 1 or 0 in depths:
            raise ValueError(f"PhaseShift: dz must be a number or have one axis, got shape {depths}. {PER_SAMPLE}")
        super().__init__(dims, (*depths, *dims), dtype=dtype, name=name)
        self._has_depths = bool(depths)
        learns = [register_number(self, "vel", vel, is_positive=True)]
        learns += [register_positions(self, n, v, is_tabulated=True) for n, v in {"dz": dz, **axes}.items()]
        self._learns = any(learns)
        if not self._learns:
            self.register_buffer("phase", self._phases(), persistent=False)

    def _phases(self) -> Tensor:
        """Return the factors of the spectrum, ``([nz,] nt // 2 + 1, nx[, ny])``, in the order of the FFT."""
        ndim = len(self.dims)
        vel, dz, freq = precise(self.vel.reshape(())), precise(self.dz), precise(self.freq)
        horizontal = torch.zeros((), dtype=freq.dtype, device=freq.device)
        for axis, name in enumerate(("kx", "ky")[: ndim - 1], start=2 - ndim):
            # Wavenumbers are those of an FFT with the other sign: the order is reversed, after zero has become first.
            k = torch.fft.ifftshift(precise(getattr(self, name))).flip(0).roll(1)
            horizontal = horizontal + (k**2).reshape((-1, *(1,) * (-axis)))
        square = (freq.reshape((-1, *(1,) * (ndim - 1))) / vel) ** 2 - horizontal
        dz = dz.reshape((-1, *(1,) * ndim)) if self._has_depths else dz
        angle = (-2 * math.pi) * dz * root_where(square > 0, square)
        decay = ((-2 * math.pi) * dz.abs() * root_where(square < 0, -square)).exp()
        return torch.complex(decay * angle.cos(), decay * angle.sin())

    def _forward(self, x: Tensor) -> Tensor:
        return self._propagated(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._propagated(y, True)

    def _propagated(self, x: Tensor, adjoint: bool) -> Tensor:
        ndim, dims = len(self.dims), self.dims
        axes = tuple(range(1 - ndim, 0))

        def of_real(x: Tensor) -> Tensor:
            if x.numel() == 0:
                return zeros_of(x, len(self.dimsd if adjoint else dims), dims if adjoint else self.dimsd)
            phase = (self._phases() if self._learns else self.phase).to(complex_dtype(x.dtype))
            spectrum = spectrum_of(x, -ndim, dims[0], axes, dims[1:])
            if not self._has_depths:
                spectrum = spectrum * (conjugate(phase) if adjoint else phase)
            elif adjoint:
                spectrum = (spectrum * conjugate(phase)).sum(-ndim - 1)
            else:
                spectrum = spectrum.unsqueeze(-ndim - 1) * phase
            return wavefield_of(spectrum, -ndim, dims[0], axes, dims)

        x = in_result_dtype(self, x)
        remedy = "cast its input, for example by x.float()"
        return with_fft_errors(self.name_and_type, remedy, lambda x: with_parts_as_batch(of_real, x), x)

    def extra_repr(self) -> str:
        return f"{self.dz.numel()} depths" if self._has_depths else "one depth"


def Deghosting(
    p: Any,
    nt: int,
    nr: Dims,
    dt: float,
    dr: float | Sequence[float],
    vel: Number,
    zrec: Number,
    kind: Literal["p", "vz"] = "p",
    pd: Any = None,
    win: Any = None,
    npad: int | Sequence[int] = (11, 11),
    ntaper: int | Sequence[int] = (11, 11),
    restriction: Any = None,
    sptransf: Any = None,
    solver: Solver = None,
    dottest: bool = False,
    dtype: DType = "complex128",
    **kwargs_solver: Any,
) -> tuple[Any, Any]:
    r"""Separate the pressure, or the vertical velocity, of a cable at a known depth into up- and down-going parts.

    The down-going wavefield is the ghost of the up-going one, reflected by the sea surface, and the direct wave
    :math:`p_d` from the source. With the propagator :math:`\Phi` from the cable to the surface and back,

    .. math:: p - p_d = (I - \Phi) \, p^- \quad \text{for the pressure}, \qquad
        v_z - v_{z,d} = (I + \Phi) \, v_z^- \quad \text{for the velocity,}

    which is solved for the up-going wavefield; :math:`p^+ = p - p^-` is the down-going one. :math:`\Phi` is the
    :class:`~torchlops.waveeqprocessing.PhaseShift` by :math:`2 z_\mathrm{rec}` of the tapered and padded wavefield.
    (The text of PyLops has the signs the other way round, its code as here.)

    Args:
        p: Pressure, or velocity, ``(*batch, nt, nr)`` or ``(*batch, nt, *nr)``, or what the restriction leaves of it,
            with as many axes.
        nt: Number of samples along time.
        nr: Number of receivers, or that along each of two axes.
        dt: Time step, in s.
        dr: Step between receivers, in m: one number, or one per axis.
        vel: Velocity of the water, in m/s. A tensor carries gradients.
        zrec: Depth of the cable, in m. A tensor carries gradients.
        kind: ``"p"`` for the pressure, ``"vz"`` for the velocity.
        pd: The direct wave, which is subtracted from ``p``; of the shape of ``p``, or of one sample of the batch.
        win: Weights that remove the direct wave, of the same shape, used if ``pd`` is not given. With neither, ``p``
            has no direct wave.
        npad: Number of zero traces at each end of the receivers: one number, or one per axis. In two dimensions the
            first of two is used.
        ntaper: Number of traces of the taper at each end: one number, or one per axis. In two dimensions the second of
            two is that of a taper along time.
        restriction: An operator on wavefields ``(nt, *nr)``, if some traces are missing.
        sptransf: An operator from coefficients to wavefields, if the solution is sparse in them.
        solver: A function that takes an operator and data and returns the solution first. By default,
            :func:`~torchlops.optimization.basic.lsqr` with the options of SciPy's (``iter_lim``, and ``atol`` and
            ``btol`` of 1e-6).
        dottest: Apply the dot test to :math:`I \mp \Phi`.
        dtype: Nominal dtype of the operators.
        **kwargs_solver: Options of the solver.

    Returns:
        The up-going and the down-going wavefield, ``(*batch, nt, *nr)``, arrays for arrays and tensors for tensors.
        With ``restriction`` or ``sptransf``, the down-going one is the ghost without the direct wave, at all receivers.
        Derivatives of the solution are implicit: with respect to the data, ``vel`` and ``zrec``. At the notches, where
        the ghost cancels the wave, the solution needs damping (``damp``), and its derivatives as well.

    Raises:
        ValueError: If ``kind`` is unknown, or shapes do not match.

    References:
        L. Amundsen, Wavenumber-based filtering of marine point-source data, Geophysics 58 (1993), 1335-1348.

    Example:
        >>> up = torch.zeros(16, 1, dtype=torch.float64)
        >>> up[5:9] = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
        >>> p = up - up.roll(2, 0)  # the ghost of a cable at 6 m is two samples late
        >>> pup, pdown = Deghosting(p, 16, 1, 0.004, 5.0, 1500.0, 6.0, npad=0, ntaper=0)
        >>> torch.allclose(pup, up, atol=1e-4)
        True
    """
    name = "Deghosting"
    if kind not in ("p", "vz"):
        raise ValueError(f"{name}: kind must be 'p' or 'vz', got {kind!r}")
    receivers = as_dims(nr, "nr")
    if len(receivers) > 2:
        raise ValueError(f"{name} takes receivers along one or two axes, got nr={nr!r}")
    field = (*as_dims(nt, "nt"), *receivers)
    if math.prod(np.shape(zrec)) != 1:
        raise ValueError(f"{name}: zrec must be one number, got shape {tuple(np.shape(zrec))}")
    depth = zrec.reshape(()) if isinstance(zrec, Tensor) else float(zrec)
    given = {key: value for key, value in {"p": p, "pd": pd, "win": win}.items() if value is not None}
    tensors, back = as_tensors(name, given, (vel, zrec, *kwargs_solver.values()))
    data = tensors[0]
    ghosted = _with_ghost(field, dt, dr, vel, depth, kind, npad, ntaper, data.dtype, label_for(data, dtype))
    Op = ghosted = on_device_of(data, ghosted)
    if dottest:
        check_adjoint(Op, *Op.shape, verb=True)
    if restriction is None:
        batch = batch_of(data, field, f"{name}: p")
    else:
        restriction = aslinearoperator(restriction)
        batch = batch_of_restricted(data, len(field), 1, restriction, f"{name}: p")
        Op = restriction @ Op
    for what, tensor in zip(list(given)[1:], tensors[1:], strict=True):
        if tensor.shape not in (data.shape, data.shape[len(batch) :]):
            raise ValueError(f"{name}: {what} must have the shape {tuple(data.shape)} of p, got {tuple(tensor.shape)}")
    scattered = data - tensors[1] if pd is not None else data * tensors[1] if win is not None else data
    S = None if sptransf is None else aslinearoperator(sptransf)
    Op = Op if S is None else Op @ S
    model = solved(name, Op, scattered.reshape((*batch, *Op.dimsd)), solver, kwargs_solver, back)
    up = (model if S is None else S.apply_nd(model, False)).reshape((*batch, *field))
    whole = data if restriction is None and S is None else ghosted.apply_nd(up, False)
    return back(up), back(whole - up)


def _with_ghost(
    field: tuple[int, ...],
    dt: float,
    dr: float | Sequence[float],
    vel: Number,
    zrec: Number,
    kind: str,
    npad: int | Sequence[int],
    ntaper: int | Sequence[int],
    kept: torch.dtype,
    dtype: torch.dtype,
) -> LinearOperator:
    """Return the operator that adds its ghost to an up-going wavefield; the taper is of the dtype ``kept``."""
    (nt, *receivers), name = field, "Deghosting"
    count = len(receivers)
    pads = per_axis(npad if isinstance(npad, int) or count == 2 else npad[0], count, f"{name}: npad")
    steps = [as_step(step, f"{name}: dr") for step in per_axis(dr, count, f"{name}: dr")]
    padded = [n + 2 * pad for n, pad in zip(receivers, pads, strict=True)]
    kx, *ky = (np.fft.fftshift(np.fft.fftfreq(n, step)) for n, step in zip(padded, steps, strict=True))
    if count == 1:
        ramps: Any = ntaper if isinstance(ntaper, int) else tuple(ntaper)
        taper = taper2d(nt, receivers[0], ramps).T
    else:
        first, second = per_axis(ntaper, 2, f"{name}: ntaper")
        taper = taper3d(nt, (receivers[0], receivers[1]), (first, second)).transpose(2, 0, 1)
    weights = torch.from_numpy(np.ascontiguousarray(taper)).to(real_dtype(kept))
    shift = PhaseShift(
        vel, 2 * zrec, nt, np.fft.rfftfreq(nt, as_step(dt, f"{name}: dt")), kx, ky[0] if ky else None, dtype
    )
    pad = Pad(field, ((0, 0), *((n, n) for n in pads)), dtype=dtype)
    ghost: LinearOperator = pad.H @ shift @ pad @ Diagonal(weights, dtype=dtype)
    whole: LinearOperator = Identity(field, dtype=dtype) + (-ghost if kind == "p" else ghost)
    return whole
