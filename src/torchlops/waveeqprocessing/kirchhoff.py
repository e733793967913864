"""Kirchhoff demigration and migration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import Array, DType, as_tensor, to_numpy
from torchlops.attributes import Computed
from torchlops.basicoperators._positions import carries_derivative, is_readable, precise
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.shapes import as_engine
from torchlops.signalprocessing._parts import with_parts_as_batch
from torchlops.signalprocessing.convolve1d import Convolve1D
from torchlops.utils.tapers import taper
from torchlops.warning import warn
from torchlops.waveeqprocessing._traveltimes import (
    as_axis,
    distances,
    eikonal,
    gradient,
    grid_of,
    step_of,
)
from torchlops.waveeqprocessing._traveltimesums import (
    TravelTimeSums,
    amplitudes,
    damping_of,
    offsets_of,
    pairs_of,
    to_vertical,
)

__all__ = ["Kirchhoff"]

Limits: TypeAlias = "float | Sequence[float] | None"
Numbers: TypeAlias = "NDArray[np.float64]"


def _of_sums(name: str) -> Any:
    """Return a property that is an attribute of the sums."""

    def get(operator: Kirchhoff) -> Any:
        return getattr(operator.sums, name)

    def put(operator: Kirchhoff, value: Any) -> None:
        if name == "vel" and operator.mode != "byot" and not operator.sums.is_positional:
            raise AttributeError(
                f"{operator.name_and_type}: travel times were computed from vel: build a new operator for another one"
            )
        setattr(operator.sums, name, value)

    return property(get, put)


class Kirchhoff(AccumulatingOperator):
    r"""Kirchhoff demigration: seismic data of a reflectivity, summed along travel times.

    The adjoint is Kirchhoff migration.

    Forward:
        .. math::

            y_{srn} = \Big(\tilde w * \sum_i A_{sri} \, m_i \, \delta_{sri}\Big)_n, \qquad
            \delta_{sri} = (1 - f) \, \delta_{n,k} + f \, \delta_{n,k+1}, \qquad
            k + f = (t_{si} + t_{ri} - t_0) / \Delta t

        with the travel times :math:`t_{si}` and :math:`t_{ri}` from the source :math:`s` and the receiver :math:`r` to
        the image point :math:`i`, the time axis that begins at :math:`t_0`, and the wavelet :math:`\tilde w`. Arrivals
        are counted if :math:`0 \le k < n_t - 1`. The weight is :math:`A = 1` or, with ``dynamic``,

        .. math:: A_{sri} = \frac{2 \cos \theta_{sri}}{v_i} \, a_{si} \, a_{ri}

        where :math:`\theta` is half of the angle between both rays at the image point, and the amplitudes are
        :math:`a = 1 / \sqrt{\ell + e}` in 2-D and :math:`1 / (\ell + e)` in 3-D at the distance :math:`\ell`, with
        :math:`e` one percent of the longest way. Both are multiplied by the tapers of the apertures.

    Adjoint:
        Migration: the data, correlated with the wavelet, are interpolated at the travel times and summed:

        .. math::

            (A^H y)_i = \sum_{s,r} A_{sri} \left[(1 - f) \, z_{srk} + f \, z_{sr,k+1}\right], \qquad
            z = \tilde w \star y

    Args:
        z: Depth axis of the image, in m (or another unit of length throughout).
        x: Horizontal axis of the image.
        t: Time axis of the data, in s, regular. It may begin at any time.
        srcs: Positions of the sources, ``(2, ns)`` or ``(3, ns)``, in the order (y,) x, z.
        recs: Positions of the receivers, ``(2, nr)`` or ``(3, nr)``; for different receivers of each shot,
            ``(2, ns, nr)`` or ``(3, ns, nr)``, with NaN where a shot has fewer than ``nr``.
        vel: Velocity: a number, or of shape ``(nx, nz)`` or ``(ny, nx, nz)``.
        wav: Wavelet, with the sampling of ``t`` and at most as many samples.
        wavcenter: Index of the center of the wavelet.
        y: The other horizontal axis of the image, in 3-D.
        mode: ``"analytic"``: straight rays in a constant velocity. ``"eikonal"``: first arrivals, which needs the extra
            ``eikonal`` (scikit-fmm); sources and receivers must lie within the grid. ``"byot"``: given by ``trav``.
        wavfilter: Whether to filter the wavelet by :math:`\sqrt{i \omega}` in 2-D, :math:`-i \omega` in 3-D,
            periodically over its length.
        dynamic: Whether to apply the weights.
        trav: Travel times: a pair of tables ``(ni, ns)`` and ``(ni, nr)``, or one table ``(ni, ns * nr)``, with the
            ``ni`` image points in the order of the model. With ``recs`` of each shot, the second one is
            ``(ni, ns * nr)``.
        amp: Amplitudes, a pair of tables of the same shapes, if ``mode="byot"`` and ``dynamic``.
        aperture: Limit of the ratio of the horizontal distance between source and receiver, over the depth ``z`` of the
            image point. A number tapers from 80% of it; a pair is where a taper begins and ends.
        angleaperture: Limit of the angle between either ray and the vertical, in degrees: a number, which tapers from
            80%, a pair, or None. The default of 90 is no limit if ``dynamic`` is False, as in PyLops.
        snell: Accepted for compatibility: it has no effect in PyLops, either.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
        receivers: The receivers of each shot as indices ``(ns, nr)`` into ``recs``, -1 where there is none. So shots
            share the tables of stations that they have in common.

    Models have shape ``(nx, nz)`` or ``(ny, nx, nz)``, data ``(ns, nr, nt)``. Traces without a receiver are zero, cost
    nothing, and are ignored by the adjoint.

    Tensors in the place of ``wav``, ``trav`` and ``amp``, and of ``vel``, ``srcs`` and ``recs`` where these enter the
    result otherwise (``mode="analytic"``, and the velocity of dynamic weights), carry gradients. Travel times are kept
    and computed in float64. The steps of tapers have no derivative. Axes are constants.

    Up to :func:`torchlops.config.get_sparse_limit`, the sums are products with sparse matrices that are kept, made in
    the first call of the forward and of the adjoint. (In float64, they hold 24 bytes for each image point and trace.)
    Above it, or if travel times require gradients, they are computed in each product, in bounded memory. Derivatives
    with respect to travel times keep about 50 bytes for each image point and trace.

    Unlike in PyLops 2.8, complex models and a time axis that does not begin at zero work, 3-D models have three axes,
    ``aperture`` has an effect, also in 3-D, measures lengths rather than samples, and works as ``angleaperture`` does
    without ``dynamic``; ``angleaperture=None`` is no taper, given travel times have angles in the units of
    the axes, and in 3-D the angle between rays is that of their directions, so that :math:`\cos\theta \ge 0` and the
    two horizontal axes are alike. The eikonal equation is solved from a sphere around the position itself, not from
    the nearest grid cell.

    Attributes:
        ndims: Number of spatial axes.
        ny: Number of samples in y, 1 in 2-D.
        nx: Number of samples in x.
        nz: Number of samples in z.
        dt: Sampling step in time.
        nt: Number of samples in time.
        ni: Number of image points.
        ns: Number of sources.
        nr: Number of receivers of a shot.
        nsnr: Number of traces.
        travsrcrec: Whether sources and receivers have separate travel times.
        trav_srcs: Travel times from sources, ``(ni, ns)``; with ``trav_recs`` and, if ``dynamic``, ``amp_srcs`` and
            ``amp_recs``.
        trav: Travel times of the pairs, ``(ni, ns * nr)``, where those were given.
        cop: The convolution with the wavelet.
        wav: The wavelet that was given.
        aperture: Where the taper of the aperture begins and ends, or None.
        angleaperture: Where that of angles does, in radians, or None.

    Raises:
        ValueError: If a mode is unknown, or shapes, axes or limits do not match.
        TypeError: If axes, or the velocity or positions of ``mode="eikonal"``, require gradients.
        NotImplementedError: If ``dynamic`` lacks pairs of tables.

    Source: N. Bleistein, J. K. Cohen and J. W. Stockwell, Mathematics of Multidimensional Seismic Imaging, Migration,
    and Inversion, Springer (2001).

    Example:
        >>> x = z = np.arange(3) * 10.0
        >>> srcs = recs = np.array([[0.0, 20.0], [0.0, 0.0]])
        >>> K = Kirchhoff(z, x, np.arange(8) * 0.01, srcs, recs, 1000.0, np.ones(1), 0, mode="analytic")
        >>> m = torch.zeros(3, 3, dtype=torch.float64)
        >>> m[0, 2] = 1.0  # 20 m below the first position: 0.04 s there and back
        >>> K(m)[0, 0]
        tensor([0., 0., 0., 0., 1., 0., 0., 0.], dtype=torch.float64)
    """

    wav: Tensor
    sums: TravelTimeSums
    _traces: Tensor
    _places: Tensor

    trav, trav_srcs, trav_recs = _of_sums("trav"), _of_sums("trav_srcs"), _of_sums("trav_recs")
    amp_srcs, amp_recs, vel = _of_sums("amp_srcs"), _of_sums("amp_recs"), _of_sums("vel")
    itrav = Computed(lambda self: (self.trav / self.dt).astype("int32"))
    travd = Computed(lambda self: self.trav / self.dt - self.itrav)
    angle_srcs = Computed(lambda self: self._angles("trav_srcs"))
    angle_recs = Computed(lambda self: self._angles("trav_recs"))
    aperturetap = Computed(lambda _: taper(41, 20, "hanning")[20:])
    cop = Computed(lambda self: self._convolution())

    def __init__(
        self,
        z: Array,
        x: Array,
        t: Array,
        srcs: Array,
        recs: Array,
        vel: float | Array,
        wav: Array,
        wavcenter: int,
        y: Array | None = None,
        mode: Literal["analytic", "eikonal", "byot"] = "eikonal",
        wavfilter: bool = False,
        dynamic: bool = False,
        trav: Array | tuple[Array, Array] | None = None,
        amp: tuple[Array, Array] | None = None,
        aperture: Limits = None,
        angleaperture: Limits = 90.0,
        snell: Limits = None,  # noqa: ARG002
        engine: str = "numpy",
        dtype: DType = "float64",
        name: str = "K",
        *,
        receivers: Any = None,
    ) -> None:
        self.engine = as_engine(engine)
        if mode not in ("analytic", "eikonal", "byot"):
            raise ValueError(f"mode must be either 'analytic', 'eikonal' or 'byot', got {mode!r}")
        axes = [as_axis(axis, what) for axis, what in ((y, "y"), (x, "x"), (z, "z")) if axis is not None]
        dims = tuple(map(len, axes))
        time = as_axis(t, "t")
        self.ndims, self.mode, self.dynamic, self.wavfilter = len(axes), mode, bool(dynamic), bool(wavfilter)
        self.ny, (self.nx, self.nz) = dims[0] if len(axes) == 3 else 1, dims[-2:]
        self.dt, self.nt, self.ni = step_of(time, "t"), len(time), math.prod(dims)
        positions = _as_positions(srcs, "srcs", len(axes)), _as_positions(recs, "recs", len(axes))
        index = _receivers_of(*positions, receivers)
        self.ns, self.nr = positions[0].shape[1], positions[1].shape[1] if index is None else index.shape[1]
        self.nsnr = self.ns * self.nr
        super().__init__(dims, (self.ns, self.nr, self.nt), dtype=dtype, name=name)

        self.aperture = _as_limits(aperture, "aperture")
        if not dynamic and np.array_equal(angleaperture, 90.0):  # type: ignore[arg-type]
            angleaperture = None
        self.angleaperture = _as_limits(angleaperture, "angleaperture", math.pi / 180)
        has_angles = self.dynamic or self.angleaperture is not None
        sampling = None
        if has_angles or mode == "eikonal":
            sampling = tuple(step_of(axis, what) for axis, what in zip(axes, "yxz"[-len(axes) :], strict=True))
        grid = grid_of(axes)

        if mode == "byot":
            given = self._given_tables(trav, amp, vel, dims, tuple(positions[1].shape[1:]), has_angles)
        else:
            if trav is not None or amp is not None:
                warn(f"Kirchhoff: trav and amp are not used in mode={mode!r}, only in 'byot'")
            of_shots = positions[1]
            is_constant = not isinstance(of_shots, Tensor) or (mode == "eikonal" and not carries_derivative(of_shots))
            if of_shots.ndim == 3 and is_constant:
                stations, index = _stations(np.asarray(_as_array(of_shots), dtype=np.float64), index)
                positions = positions[0], stations
            given = self._given_by_positions(*positions, vel, dims, grid, axes, sampling)
        self.travsrcrec = "trav" not in given
        of_source, of_receiver, trace = pairs_of(self.ns, self.nr, index)
        offsets = None
        if aperture is not None and "srcs" not in given:
            places = [_flat_constants(place) for place in positions]
            offsets = offsets_of(places[0], places[1], of_source, of_receiver)
        self.sums = TravelTimeSums(
            dims,
            self.nt,
            float(time[0]),
            self.dt,
            (of_source, of_receiver) if self.travsrcrec else (trace,),
            given,
            grid,
            sampling if has_angles else None,
            self.dynamic,
            self.angleaperture,
            self.aperture,
            offsets,
            dtype,
            name,
        )
        self._is_irregular = len(trace) < self.nsnr
        if self._is_irregular:
            place = torch.full((self.nsnr,), len(trace), device="cpu")
            place[trace] = torch.arange(len(trace), device="cpu")
            self.register_buffer("_traces", trace, persistent=False)
            self.register_buffer("_places", place, persistent=False)
        wav = self._register("wav", wav, dtype)
        if wav.ndim != 1 or not 0 < len(wav) <= self.nt:
            raise ValueError(
                f"Kirchhoff: wav must be a wavelet of 1 to {self.nt} samples, the length of t, got shape "
                f"{tuple(wav.shape)}"
            )
        self.wavcenter = wavcenter
        self._convolution()  # checks wavcenter

    # -- what is given -----------------------------------------------------------------------------------------------

    def _given_tables(
        self, trav: Any, amp: Any, vel: Any, dims: tuple[int, ...], stations: tuple[int, ...], has_angles: bool
    ) -> dict[str, Any]:
        """Return the tables of a user, by name."""
        is_pair = isinstance(trav, tuple | list) and len(trav) == 2
        if trav is None:
            raise ValueError("Kirchhoff: mode='byot' needs travel times: pass trav, one table or a pair of tables")
        if (self.dynamic or has_angles) and not is_pair:
            raise NotImplementedError(
                "separate traveltime tables for sources and receivers must be provided when selecting mode='dynamic', "
                "or an angle aperture: pass trav as a pair"
            )
        if self.dynamic and not (isinstance(amp, tuple | list) and len(amp) == 2):
            raise NotImplementedError(
                "amp must be provided as a tuple of source and receiver amplitude tables when selecting mode='dynamic'"
            )
        if amp is not None and not self.dynamic:
            warn("Kirchhoff: amp is only used with dynamic=True")
        given: dict[str, Any] = dict(zip(("trav_srcs", "trav_recs"), trav, strict=True)) if is_pair else {"trav": trav}
        if self.dynamic:
            given |= {"amp_srcs": amp[0], "amp_recs": amp[1], "vel": _as_velocity(vel, dims)}
        counts = {"trav": (self.ns, self.nr), "trav_srcs": (self.ns,), "amp_srcs": (self.ns,)}
        return {
            key: value if key == "vel" else _as_table(value, key, dims, counts.get(key, stations))
            for key, value in given.items()
        }

    def _given_by_positions(
        self,
        srcs: Any,
        recs: Any,
        vel: Any,
        dims: tuple[int, ...],
        grid: Tensor,
        axes: list[Numbers],
        sampling: tuple[float, ...] | None,
    ) -> dict[str, Any]:
        """Return what travel times come from: positions and the velocity if one of them learns, else tables."""
        learning = [key for key, value in (("srcs", srcs), ("recs", recs), ("vel", vel)) if isinstance(value, Tensor)]
        if self.mode == "analytic":
            velocity = _real(vel, "vel")
            if velocity.ndim != 0:
                raise ValueError(
                    f"vel must be scalar for mode='analytic', got shape {tuple(velocity.shape)}: use mode='eikonal', "
                    "or 'byot' with travel times"
                )
            _check_positive(velocity)
            if learning:
                return {"srcs": srcs, "recs": recs, "vel": velocity}
            ways = [distances(_flat_constants(positions), grid) for positions in (srcs, recs)]
            times = [to_numpy((way / float(velocity)).mT) for way in ways]
        else:
            for key in learning:
                if carries_derivative({"srcs": srcs, "recs": recs, "vel": vel}[key]):
                    raise TypeError(
                        f"Kirchhoff: {key} carries a derivative, which the eikonal solver does not give: detach it, "
                        "use mode='analytic', or give travel times with a gradient by mode='byot'"
                    )
            velocity = _as_array(_as_velocity(vel, dims))
            assert sampling is not None
            volume = np.broadcast_to(velocity.reshape(dims if velocity.ndim else ()), dims).astype(np.float64)
            origin = [axis[0] for axis in axes]
            places = [_flat_constants(positions) for positions in (srcs, recs)]
            times = [
                eikonal(to_numpy(place), volume, origin, sampling, what).T
                for place, what in zip(places, ("a source", "a receiver"), strict=True)
            ]
            ways = [distances(place, grid) for place in places]
        given: dict[str, Any] = {"trav_srcs": times[0], "trav_recs": times[1]}
        if self.dynamic:
            self.maxdist = float(damping_of(ways))
            tables = [to_numpy(table.mT) for table in amplitudes(ways, self.ndims)]
            given |= {"amp_srcs": tables[0], "amp_recs": tables[1], "vel": velocity}
        return given

    # -- products ----------------------------------------------------------------------------------------------------

    def _convolution(self) -> Convolve1D:
        wav = self.wav
        if self.wavfilter:
            wav = with_parts_as_batch(self._filtered, precise(wav))
        return Convolve1D(self.sums.dimsd, wav, offset=self.wavcenter, axis=-1)

    def _filtered(self, wav: Tensor) -> Tensor:
        f = torch.fft.rfftfreq(self.wav.shape[-1], self.dt, dtype=wav.dtype, device=wav.device)
        factor = (2j * math.pi * f).sqrt() if self.ndims == 2 else -2j * math.pi * f
        filtered: Tensor = torch.fft.irfft(torch.fft.rfft(wav) * factor, n=wav.shape[-1])
        return filtered

    def _forward(self, x: Tensor) -> Tensor:
        y = self._convolution().apply_nd(self.sums.apply_nd(x))
        batch = y.shape[:-2]
        if self._is_irregular:
            y = torch.cat((y, y.new_zeros((*batch, 1, self.nt))), -2)
            y = y.gather(-2, self._places.unsqueeze(-1).expand((*batch, self.nsnr, self.nt)))
        return y.reshape((*batch, *self.dimsd))

    def _adjoint(self, y: Tensor) -> Tensor:
        batch = y.shape[: y.ndim - 3]
        y = y.reshape((*batch, self.nsnr, self.nt))
        if self._is_irregular:
            y = y.gather(-2, self._traces.unsqueeze(-1).expand((*batch, len(self._traces), self.nt)))
        x: Tensor = self.sums.apply_nd(self._convolution().apply_nd(y, True), True)
        return x

    def _angles(self, name: str) -> Any:
        """Return the angles between rays and the vertical, with the sign of their direction in x, as in PyLops."""
        if self.sums._sampling is None:
            raise AttributeError(f"{self.name_and_type} has no angles, since it is not dynamic")
        slopes = self.sums.slopes(self.sums.tables()[name].detach())
        sign = torch.where(slopes[-2] < 0, -1.0, 1.0)
        return to_numpy((sign * to_vertical(slopes)).mT)

    def extra_repr(self) -> str:
        options = [f"mode={self.mode!r}", *(f"{key}=True" for key in ("dynamic", "wavfilter") if getattr(self, key))]
        return f"{self.ns} sources, {self.nr} receivers, {', '.join(options)}"

    # -- geometry, as functions of their own -------------------------------------------------------------------------

    @staticmethod
    def _identify_geometry(z: Any, x: Any, srcs: Any, recs: Any, y: Any = None) -> tuple[Any, ...]:
        """Return the sizes, steps and origin of a survey, in the order of PyLops."""
        dz, dx = np.abs(z[1] - z[0]), np.abs(x[1] - x[0])
        nx, nz, ny, dy = len(x), len(z), 1, None
        dims, dsamp, origin = np.array([nx, nz]), np.array([dx, dz]), np.array([x[0], z[0]])
        if y is not None:
            ny, dy = len(y), np.abs(y[1] - y[0])
            dims, dsamp, origin = (np.r_[one, more] for one, more in ((ny, dims), (dy, dsamp), (y[0], origin)))
        shiftdim = int(y is not None)
        ns, nr = srcs.shape[1], recs.shape[1]
        return 2 + shiftdim, shiftdim, dims, ny, nx, nz, ns, nr, dy, dx, dz, dsamp, origin

    @staticmethod
    def _traveltime_table(
        z: Any, x: Any, srcs: Any, recs: Any, vel: Any, y: Any = None, mode: str = "eikonal"
    ) -> tuple[Any, ...]:
        """Return travel times, distances and derivatives of travel times, each of sources and receivers, as PyLops."""
        t = np.arange(2.0)
        K = Kirchhoff(z, x, t, np.asarray(srcs), np.asarray(recs), vel, np.ones(1), 0, y, mode, dynamic=True)  # type: ignore[arg-type]
        axes = [as_axis(axis, "") for axis in (y, x, z) if axis is not None]
        grid = grid_of(axes)
        times = [np.array(K.trav_srcs), np.array(K.trav_recs)]
        ways = [to_numpy(distances(_flat_constants(p), grid).mT) for p in (np.asarray(srcs), np.asarray(recs))]
        assert K.sums._sampling is not None
        slopes = [
            [
                to_numpy(part.mT).reshape(*K.dims, -1)
                for part in gradient(torch.from_numpy(table.T), K.dims, K.sums._sampling)
            ]
            for table in times
        ]
        return (*times, *ways, *slopes)


def _numbers(values: Any, what: str) -> Numbers:
    """Return an array, list or number as a new array."""
    array = np.array(np.nan if np.ma.is_masked(values) else values)
    if array.dtype.kind not in "biuf" or np.ma.is_masked(values):
        raise TypeError(f"Kirchhoff: {what} must be an array of real numbers, got {values!r}")
    return array.astype(np.float64)


def _real(values: Any, what: str) -> Any:
    """Return a tensor of the user, if it is real, or an array."""
    if not isinstance(values, Tensor):
        return _numbers(values, what)
    if values.is_complex():
        raise TypeError(f"Kirchhoff: {what} must be real, got {values.dtype}")
    return values


def _as_positions(positions: Any, what: str, axes: int) -> Any:
    """Return positions as a tensor of the user, or as an array."""
    positions = _real(positions, what)
    shapes = f"({axes}, n)" + (f" or, for receivers of each shot, ({axes}, ns, nr)" if what == "recs" else "")
    if positions.ndim not in ((2, 3) if what == "recs" else (2,)) or positions.shape[0] != axes or 0 in positions.shape:
        raise ValueError(f"Kirchhoff: {what} must be positions {shapes}, got shape {tuple(positions.shape)}")
    return positions


def _receivers_of(srcs: Any, recs: Any, receivers: Any) -> NDArray[np.int64] | None:
    """Return the receivers of each shot as indices, -1 where there is none; None if all shots have all."""
    ns = srcs.shape[1]
    if recs.ndim == 3:
        if receivers is not None:
            raise ValueError("Kirchhoff: pass receivers with recs of all stations (axes, n), not of each shot")
        if recs.shape[1] != ns:
            raise ValueError(f"Kirchhoff: recs has the receivers of {recs.shape[1]} shots, but srcs {ns} sources")
        if isinstance(recs, Tensor) and not is_readable(recs):
            raise ValueError(
                "Kirchhoff: recs of each shot are read, for those that are NaN, which is impossible here: pass recs of "
                "stations (axes, n), and receivers"
            )
        absent = np.isnan(_as_array(recs)).any(0)
        index = np.where(absent, -1, np.arange(absent.size).reshape(absent.shape))
    elif receivers is None:
        for what, positions in (("srcs", srcs), ("recs", recs)):
            if _has_nan(positions):
                raise ValueError(f"Kirchhoff: {what} has NaN: for absent receivers, pass recs of each shot")
        return None
    else:
        index = np.asarray(receivers.cpu() if isinstance(receivers, Tensor) else receivers)
        if index.dtype.kind not in "iu" or index.ndim != 2 or len(index) != ns:
            raise ValueError(
                f"Kirchhoff: receivers must be integers of shape (ns, nr) with ns={ns}, got {index.dtype} of shape "
                f"{index.shape}"
            )
        index = index.astype(np.int64)
        if index.size == 0 or index.min() < -1 or index.max() >= recs.shape[1]:
            raise ValueError(f"Kirchhoff: receivers must be from -1 (none) to {recs.shape[1] - 1}, got {index}")
    if not (index >= 0).any():
        raise ValueError("Kirchhoff: no shot has a receiver")
    return index


def _has_nan(values: Any) -> bool:
    """Whether a value is NaN, as far as values can be read."""
    if isinstance(values, Tensor):
        return is_readable(values) and bool(values.isnan().any())
    return bool(np.isnan(values).any())


def _stations(recs: Numbers, index: NDArray[np.int64] | None) -> tuple[Numbers, NDArray[np.int64]]:
    """Return the distinct positions of the receivers of all shots, and the indices of those of each shot."""
    assert index is not None
    present = index >= 0
    stations, number = np.unique(recs[:, present], axis=1, return_inverse=True)
    index = np.full(index.shape, -1)
    index[present] = number.ravel()
    return stations, index


def _flat_constants(positions: Any) -> Tensor:
    """Return positions as constants ``(axes, count)``, zero where there is none."""
    tensor = as_tensor(positions, "Kirchhoff: positions").detach().to(torch.float64)
    return tensor.nan_to_num(0.0).reshape(len(tensor), -1)


def _as_array(values: Any) -> Numbers:
    return to_numpy(values.detach()) if isinstance(values, Tensor) else values


def _as_velocity(vel: Any, dims: tuple[int, ...]) -> Any:
    """Return a velocity, one number or one per image point, as a tensor of the user or as an array."""
    velocity = _real(vel, "vel")
    if tuple(velocity.shape) not in ((), dims, (math.prod(dims),)):
        raise ValueError(f"Kirchhoff: vel must be a number or of shape {dims}, got shape {tuple(velocity.shape)}")
    _check_positive(velocity)
    return velocity


def _check_positive(velocity: Any) -> None:
    if not (isinstance(velocity, Tensor) and not is_readable(velocity)) and not bool((velocity > 0).all()):
        raise ValueError(f"Kirchhoff: vel must be positive, got {velocity}")


def _as_table(table: Any, what: str, dims: tuple[int, ...], counts: tuple[int, ...]) -> Any:
    """Return a table, of image points by positions, as a tensor of the user or as an array.

    Its points, and its pairs of a source and a receiver, may have several axes.
    """
    table = _real(table, what)
    rows, columns = {(math.prod(dims),), dims}, {(math.prod(counts),), counts}
    if tuple(table.shape) not in {(*row, *column) for row in rows for column in columns}:
        raise ValueError(
            f"Kirchhoff: {what} must be of shape {(math.prod(dims), math.prod(counts))}, its rows in the order of "
            f"models {dims}, got {tuple(table.shape)}"
        )
    return table


def _as_limits(limits: Limits, what: str, unit: float = 1.0) -> tuple[float, float] | None:
    """Return where a taper begins and ends, with the rounding of PyLops."""
    if limits is None:
        return None
    values = [float(value) * unit for value in np.atleast_1d(np.asarray(limits, dtype=np.float64))]
    low, high = (0.8 * values[0], values[0]) if len(values) == 1 else values if len(values) == 2 else (1.0, 0.0)
    if not 0 <= low <= high:
        raise ValueError(f"Kirchhoff: {what} must be a limit, or a pair where a taper begins and ends, got {limits}")
    return low, high
