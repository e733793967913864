"""Born modelling and migration with the two-way acoustic wave equation, with PyLops's interface."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from torchlops.arrays import Array, DType, as_tensor, numpy_dtype, torch_dtype
from torchlops.basicoperators._positions import carries_derivative, is_readable
from torchlops.shapes import Dims, accept_pylops_options, as_dims, as_integer
from torchlops.waveeqprocessing._acoustic import functions
from torchlops.waveeqprocessing._acoustic.grid import SECOND, check_dispersion
from torchlops.waveeqprocessing.acousticmodelling import AcousticBorn, AcousticModelling

__all__ = ["AcousticWave2D"]


@dataclass(frozen=True)
class TimeAxis:
    """The samples in time: their number, the first and the last, and their distance, in ms."""

    start: float
    stop: float
    step: float
    num: int

    @property
    def time_values(self) -> NDArray[np.float64]:
        """The times in ms."""
        return np.linspace(self.start, self.stop, self.num)


@dataclass(frozen=True)
class Source:
    """The wavelets of the sources, ``(nt, nsrc)``, and where they are."""

    data: NDArray[Any]
    coordinates: NDArray[np.float64]


@dataclass(frozen=True)
class Geometry:
    """Sources, receivers and times, with the names of Devito's ``AcquisitionGeometry``; times in ms, ``f0`` in kHz."""

    src_positions: NDArray[np.float64]
    rec_positions: NDArray[np.float64]
    time_axis: TimeAxis
    src_type: str | None
    f0: float
    src: Source

    @property
    def nsrc(self) -> int:
        """Number of sources."""
        return len(self.src_positions)

    @property
    def nrec(self) -> int:
        """Number of receivers."""
        return len(self.rec_positions)

    @property
    def nt(self) -> int:
        """Number of samples in time."""
        return self.time_axis.num

    @property
    def dt(self) -> float:
        """Time step in ms."""
        return self.time_axis.step

    @property
    def t0(self) -> float:
        """First time in ms."""
        return self.time_axis.start

    @property
    def tn(self) -> float:
        """Last time in ms."""
        return self.time_axis.stop


@dataclass(frozen=True)
class Model:
    """The grid, with the names of Devito's ``SeismicModel``."""

    origin: tuple[float, ...]
    spacing: tuple[float, ...]
    shape: tuple[int, ...]
    space_order: int
    nbl: int
    critical_dt: float


class AcousticWave2D(AcousticBorn):
    r"""Born modelling with the two-way acoustic wave equation in two dimensions; its adjoint is reverse-time migration.

    Forward:
        .. math:: d_{s, r}(t) = \delta u_s(x_r, t), \qquad m \frac{\partial^2 \delta u_s}{\partial t^2} = \nabla^2
                  \delta u_s - \delta m \frac{\partial^2 u_s}{\partial t^2}, \qquad m \frac{\partial^2 u_s}{\partial
                  t^2} = \nabla^2 u_s + w(t) \, \delta(x - x_s)

        with :math:`m = 1 / v^2` and models :math:`\delta m`.

    Adjoint:
        .. math:: A^H d = - \sum_s \int \lambda_s \frac{\partial^2 u_s}{\partial t^2} \, dt

        where the data at the receivers drive :math:`\lambda_s` in reverse time. It is the exact adjoint of the discrete
        forward.

    Args:
        shape: Number of nodes ``(nx, nz)``.
        origin: Position of the first node ``(ox, oz)`` in m.
        spacing: Distance of the nodes ``(dx, dz)`` in m.
        vp: Velocity ``(nx, nz)`` in m/s. A tensor may require a gradient; an array is taken in ``dtype``.
        src_x: Positions of the sources along x in m.
        src_z: Positions along z in m, one for all sources or one each.
        rec_x: Positions of the receivers along x in m.
        rec_z: Positions along z in m.
        t0: First time in ms.
        tn: Last time in ms.
        src_type: ``"Ricker"`` or ``"Gabor"``, of peak frequency ``f0``.
        space_order: Order of accuracy in space: 2, 4, 6 or 8.
        nbl: Number of nodes of the absorbing layers.
        f0: Peak frequency in Hz.
        checkpointing: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`: wavefields are
            always kept at checkpoints.
        dtype: Dtype of the wavelet, of ``vp`` if it is an array, and of the operator in the absence of data.
        name: A name for error messages.
        dt: Time step in ms. By default the one of Devito for the highest velocity, to four digits.
        max_velocity: The highest velocity to be expected, in m/s, for which the time step must be stable and the layers
            absorb. By default that of ``vp``; it must be given with ``dt`` where values cannot be read, as in the
            transforms of ``torch.func``. Derivatives do not follow either.
        compile: Whether to compile the steps in time; see :class:`AcousticModelling`.

    Models are perturbations of the squared slowness in s²/km² (that is, ms²/m²) of shape ``(nx, nz)``, data have shape
    ``(nsrc, nrec, nt)``. The perturbation is zero in the layers.

    The time axis, the time step, the wavelets and the scale of the data are those of PyLops, which runs Devito.
    (Perturbations in s²/m², as in PyLops's example, give data that are smaller by 1e-6, there as here.) Differences:
    the layers are perfectly matched (10 nodes reflect less than 0.05%; Devito's damp, and 40 reflect 2%); points
    between nodes are windowed sinc functions, where Devito interpolates linearly; the adjoint is exact to rounding;
    all shots are computed at once.

    Attributes:
        geometry: Sources, receivers and times, with Devito's names: ``nt``, ``dt``, ``time_axis``, ``src``, ...
        model: The grid, likewise.
        src_illumination: The source wavefield squared, summed over shots and times; see
            :meth:`srcillumination_allshots`.
        src_wavefield: The wavefields of the sources, if they were to be kept.

    Raises:
        ValueError: If a shape does not fit, a position is outside of the grid, or the time step is not stable.

    Example:
        >>> import numpy as np
        >>> A = AcousticWave2D((12, 16), (0, 0), (10, 10), np.full((12, 16), 1500.0), [20.0, 80.0], 10.0,
        ...                    [40.0, 60.0, 95.0], 10.0, 0.0, 120.0, nbl=8, f0=10.0)
        >>> A.dimsd == (2, 3, A.geometry.nt)
        True
        >>> (A @ np.ones((12, 16), dtype=np.float32)).dtype
        dtype('float32')
    """

    _replicates = False

    def __init__(
        self,
        shape: Dims,
        origin: Sequence[float],
        spacing: Sequence[float],
        vp: Array,
        src_x: ArrayLike,
        src_z: ArrayLike,
        rec_x: ArrayLike,
        rec_z: ArrayLike,
        t0: float,
        tn: float,
        src_type: str = "Ricker",
        space_order: int = 6,
        nbl: int = 20,
        f0: float = 20.0,
        checkpointing: bool = False,
        dtype: DType = "float32",
        name: str = "A",
        *,
        dt: float | None = None,
        max_velocity: float | None = None,
        compile: bool | None = None,
    ) -> None:
        accept_pylops_options(checkpointing=checkpointing)
        dims = as_dims(shape, "AcousticWave2D: shape")
        if len(dims) != 2 or len(spacing) != 2 or len(origin) != 2:
            raise ValueError(
                f"AcousticWave2D: shape, origin and spacing must have two numbers each, got {shape}, {origin}, "
                f"{spacing}"
            )
        if not torch_dtype(dtype).is_floating_point:
            raise ValueError(f"AcousticWave2D: dtype must be a real floating-point one, got {dtype!r}")
        velocity = as_tensor(vp, "AcousticWave2D: vp", dtype)
        if velocity.is_complex():
            raise TypeError(f"AcousticWave2D: vp must be real, got {velocity.dtype}")
        if not isinstance(vp, Tensor):
            velocity = velocity.to(torch_dtype(dtype))
        if tuple(velocity.shape) != dims:
            raise ValueError(f"AcousticWave2D: vp must be of shape {dims}, got {tuple(velocity.shape)}")
        if space_order not in SECOND:
            raise ValueError(f"AcousticWave2D: space_order must be 2, 4, 6 or 8, got {space_order!r}")
        steps = float(spacing[0]), float(spacing[1])
        if not 0 < min(steps) <= max(steps) < math.inf:
            raise ValueError(f"AcousticWave2D: spacing must be positive and finite, got {spacing}")
        readable = is_readable(velocity)
        if readable:
            lowest, fastest = (float(v) for v in velocity.detach().aminmax())
            if not 0 < lowest <= fastest < math.inf:  # also if one is NaN
                raise ValueError(
                    f"AcousticWave2D: vp must be positive and finite, got from {lowest:g} to {fastest:g} m/s"
                )
        if max_velocity is None:
            if not readable:
                raise ValueError(
                    "AcousticWave2D: the values of vp cannot be read here: give max_velocity= in m/s, and dt= in ms"
                )
            max_velocity = fastest
        if not 0 < float(max_velocity) < math.inf:
            raise ValueError(f"AcousticWave2D: max_velocity must be positive and finite, got {max_velocity}")
        highest = max_velocity * 1e-3
        critical = _critical_step(steps, highest, space_order)
        step = critical if dt is None else float(dt)
        axis = _time_axis(float(t0), float(tn), step)
        sources, receivers = _pairs(src_x, src_z, "src"), _pairs(rec_x, rec_z, "rec")
        first = np.array([float(o) for o in origin])
        modelling = AcousticModelling(
            dims,
            steps,
            step,
            axis.num,
            _in_nodes(sources, first, steps, dims, "src"),
            _in_nodes(receivers, first, steps, dims, "rec"),
            max_velocity=highest,
            frequency=f0 * 1e-3,
            space_order=space_order,
            pml_width=as_integer(nbl, "AcousticWave2D: nbl", 0),
            compile=compile,
            name=name,
        )
        if readable:
            check_dispersion("AcousticWave2D", modelling.grid, lowest * 1e-3)
        wavelet = _wavelet(src_type, f0 * 1e-3, axis.time_values).astype(numpy_dtype(torch_dtype(dtype)))
        super().__init__(modelling, velocity, torch.from_numpy(wavelet), "slowness2", dtype=dtype, name=name)
        self._step_of_wavelet: float | None = None
        self.space_order = space_order
        self.model = Model(tuple(first), steps, dims, space_order, modelling.grid.pml_width, critical)
        source = Source(np.repeat(wavelet[:, None], len(sources), 1), sources)
        self.geometry = Geometry(sources, receivers, axis, src_type, f0 * 1e-3, source)

    def _background(self) -> Tensor:
        return self.velocity * 1e-3  # in m/ms

    def _source(self) -> Tensor:
        wav, nt, step = self.wavelet, self.geometry.nt, self._step_of_wavelet
        if step is not None:
            times = torch.arange(self._resampled(len(wav)), dtype=torch.float64, device=wav.device) * self.geometry.dt
            samples = torch.arange(len(wav), dtype=torch.float64, device=wav.device)
            wav = torch.sinc(times.unsqueeze(-1) / step - samples).to(wav.dtype) @ wav
        return torch.cat((wav, wav.new_zeros(nt - len(wav))))

    def _resampled(self, samples: int) -> int:
        """Return the number of samples of the wavelet with the time step of the grid."""
        step = self._step_of_wavelet
        return samples if step is None else math.floor((samples - 1) * step / self.geometry.dt * (1 + 1e-9)) + 1

    def updatesrc(self, wav: Array) -> None:
        """Replace the wavelet of all sources.

        Args:
            wav: The wavelet, of at most ``nt`` samples, to which zeros are appended. A tensor may require a gradient,
                and changes of its values are seen by the next product.

        Raises:
            ValueError: If it has no or more samples, or more than one axis.
            TypeError: If it is complex.
        """
        self._take_wavelet(wav, None)

    def _take_wavelet(self, wav: Array, step: float | None) -> None:
        """Replace the wavelet by one that is band-limited, with another step in ms; None for that of the grid."""
        given = as_tensor(wav, f"{self.name_and_type}: wav", self.wavelet.dtype)
        nt, before = self.geometry.nt, self._step_of_wavelet
        if given.is_complex():
            raise TypeError(f"{self.name_and_type}: wav must be real, got {given.dtype}")
        self._step_of_wavelet = step
        if given.ndim != 1 or len(given) == 0 or self._resampled(len(given)) > nt:
            self._step_of_wavelet = before
            raise ValueError(
                f"{self.name_and_type}: wav must have one axis of at most {nt} samples of {self.geometry.dt:g} ms, got "
                f"shape {tuple(given.shape)}" + ("" if step is None else f" of {step:g} ms")
            )
        if not isinstance(wav, Tensor):
            given = given.to(self.wavelet.dtype)
        self._parameters.pop("wavelet", None)
        self._buffers.pop("wavelet", None)
        self._tensor_names = tuple(name for name in self._tensor_names if name != "wavelet")
        self._register("wavelet", given)

    def srcillumination_allshots(self, savewav: bool = False) -> None:
        """Compute the wavefields of all sources squared, summed over shots and times: ``src_illumination``.

        Args:
            savewav: Whether to keep the wavefields, ``(nt, nx + 2 nbl, nz + 2 nbl)`` for each shot, as
                ``src_wavefield``. (In PyLops, they are then used by the adjoint. Here it keeps checkpoints of its own.)
        """
        with torch.no_grad():
            survey = self.modelling.survey(self._background(), self._source())
            total = torch.zeros(self.dims, dtype=survey.compute, device=self.velocity.device)
            nbl = self.model.nbl
            kept = []
            for u, _ in functions.snapshots(survey.problem, survey.w, survey.f):
                inside = u[0] if u.ndim == 4 else u
                if savewav:
                    kept.append(inside.clone())
                total += inside[:, nbl : nbl + self.dims[0], nbl : nbl + self.dims[1]].square().sum(0)
        self.src_illumination = total.cpu().numpy()
        if savewav:
            self.src_wavefield = [shot.cpu().numpy() for shot in torch.stack(kept, 1)]


def _critical_step(spacing: tuple[float, float], highest: float, space_order: int) -> float:
    """Return Devito's time step in ms: that of a stencil of twice the order, to four digits in single precision."""
    reach = space_order
    # The weights of the second derivative of order 2 n: 2 (-1)^(m+1) (n!)^2 / (m^2 (n-m)! (n+m)!).
    weights = [
        2 * math.factorial(reach) ** 2 / (m**2 * math.factorial(reach - m) * math.factorial(reach + m))
        for m in range(1, reach + 1)
    ]
    centre = 2 * math.fsum(w * (-1) ** (m + 1) for m, w in enumerate(weights, 1))
    total = 2 * math.fsum(weights) + centre
    return float(np.float32(f"{math.sqrt(4 / (2 * total)) * min(spacing) / highest:.3e}"))


def _time_axis(start: float, stop: float, step: float) -> TimeAxis:
    if not (step > 0 and stop >= start):
        raise ValueError(f"AcousticWave2D: tn={stop:g} must not be less than t0={start:g}, and dt={step:g} be positive")
    num = math.ceil((stop - start + step) / step)
    return TimeAxis(start, step * (num - 1) + start, step, num)


def _pairs(x: ArrayLike, z: ArrayLike, what: str) -> NDArray[np.float64]:
    for axis, values in (("x", x), ("z", z)):
        if isinstance(values, Tensor) and carries_derivative(values):
            raise TypeError(
                f"AcousticWave2D: {what}_{axis} carries no gradient: detach it, or use AcousticBorn, where positions "
                "may learn"
            )
    along_x = np.atleast_1d(np.asarray(x, dtype=np.float64))
    along_z = np.asarray(z, dtype=np.float64)
    if along_x.ndim != 1 or along_z.shape not in ((), (1,), along_x.shape):
        raise ValueError(
            f"AcousticWave2D: {what}_x must have one axis, and {what}_z be one number or as many, got shapes "
            f"{along_x.shape} and {along_z.shape}"
        )
    return np.stack((along_x, np.broadcast_to(along_z, along_x.shape)), -1)


def _in_nodes(
    positions: NDArray[np.float64],
    first: NDArray[np.float64],
    steps: tuple[float, float],
    dims: tuple[int, ...],
    what: str,
) -> NDArray[np.float64]:
    nodes = (positions - first) / steps
    whole = np.round(nodes)
    nodes = np.where(np.abs(nodes - whole) < 1e-9 * (1 + np.abs(whole)), whole, nodes)
    outside = ((nodes < 0) | (nodes > np.array(dims) - 1)).any(-1)
    if outside.any():
        last = first + (np.array(dims) - 1) * steps
        raise ValueError(
            f"AcousticWave2D: {what}_x, {what}_z must lie in the model, from {first.tolist()} to {last.tolist()} m; "
            f"one is at {positions[outside][0].tolist()}"
        )
    return nodes


def _wavelet(kind: str, f0: float, t: NDArray[np.float64]) -> NDArray[np.float64]:
    if kind == "Ricker":
        r = (np.pi * (f0 * t - 1)) ** 2
        return np.asarray((1 - 2 * r) * np.exp(-r))
    if kind == "Gabor":
        s = 0.5 * f0 * t - 1.5
        return np.asarray(np.exp(-2 * s**2) * np.cos(2 * np.pi * s))
    raise ValueError(f"AcousticWave2D: src_type must be 'Ricker' or 'Gabor', got {kind!r}")
