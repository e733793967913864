"""Synthetic seismic gathers: linear, parabolic and hyperbolic events in two and three dimensions.

Each function returns the gather of spikes and the gather convolved with the wavelet, each ``(nx, nt)`` or
``(ny, nx, nt)``. An event is a curve of arrival times ``t(x, y)``; its amplitude is distributed linearly over the two
nearest samples. Arrivals outside the time axis are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Events: TypeAlias = "float | Sequence[float] | Array"


def makeaxis(par: Mapping[str, float]) -> tuple[Array, Array, Array, Array | None]:
    """Return the axes ``t``, ``t2`` (two-sided), ``x`` and ``y`` (None without ``oy``) described by ``par``.

    Args:
        par: Origins ``ot, ox, oy``, samplings ``dt, dx, dy`` and sizes ``nt, nx, ny``, in seconds and metres.

    >>> t, t2, x, y = makeaxis({"ox": 0, "dx": 2, "nx": 3, "ot": 0, "dt": 0.5, "nt": 2})
    >>> x, t2, y
    (array([0, 2, 4]), array([-0.5,  0. ,  0.5]), None)
    """
    x = par["ox"] + np.arange(par["nx"]) * par["dx"]
    t = par["ot"] + np.arange(par["nt"]) * par["dt"]
    t2 = np.arange(-par["nt"] + 1, par["nt"]) * par["dt"]
    y = par["oy"] + np.arange(par["ny"]) * par["dy"] if "oy" in par else None
    return t, t2, x, y


def linear2d(x: Array, t: Array, v: float, t0: Events, theta: Events, amp: Events, wav: Array) -> tuple[Array, Array]:
    r"""Linear events, :math:`t(x) = t_0 + \sin(\theta)\, x / v`.

    Args:
        x: Offsets in metres.
        t: Times in seconds.
        v: Velocity in metres per second.
        t0: Intercept times in seconds, one per event.
        theta: Angles in degrees, one per event.
        amp: Amplitudes, one per event.
        wav: Wavelet, centred in the middle.

    >>> d, dwav = linear2d(np.arange(3.0), np.arange(4.0), 1.0, 1.0, 0.0, 2.0, np.ones(1))
    >>> d[0]
    array([0., 2., 0., 0.])
    """
    t0, theta, amp = _per_event(1, t0, theta, amp)
    return _gather(t0 + np.sin(np.deg2rad(theta)) / v * x, t, amp, wav)


def parabolic2d(
    x: Array, t: Array, t0: Events, px: Events, pxx: Events, amp: Events, wav: Array
) -> tuple[Array, Array]:
    r"""Parabolic events, :math:`t(x) = t_0 + p_x x + p_{xx} x^2`; arguments as in :func:`linear2d`."""
    t0, px, pxx, amp = _per_event(1, t0, px, pxx, amp)
    return _gather(t0 + px * x + pxx * x**2, t, amp, wav)


def hyperbolic2d(x: Array, t: Array, t0: Events, vrms: Events, amp: Events, wav: Array) -> tuple[Array, Array]:
    r"""Hyperbolic events, :math:`t(x) = \sqrt{t_0^2 + x^2 / v_{rms}^2}`; arguments as in :func:`linear2d`."""
    t0, vrms, amp = _per_event(1, t0, vrms, amp)
    return _gather(np.sqrt(t0**2 + (x / vrms) ** 2), t, amp, wav)


def linear3d(
    x: Array, y: Array, t: Array, v: float, t0: Events, theta: Events, phi: Events, amp: Events, wav: Array
) -> tuple[Array, Array]:
    r"""Linear events, :math:`t(x, y) = t_0 + (\sin\theta\cos\phi\, x + \sin\theta\sin\phi\, y) / v`.

    The arguments are as in :func:`linear2d`, with the crossline offsets ``y`` in metres and the azimuths ``phi`` in
    degrees.
    """
    t0, theta, phi, amp = _per_event(2, t0, theta, phi, amp)
    slope = np.sin(np.deg2rad(theta)) / v
    azimuth = np.deg2rad(phi)
    return _gather(t0 + slope * np.cos(azimuth) * x + slope * np.sin(azimuth) * y[:, None], t, amp, wav)


def parabolic3d(
    x: Array,
    y: Array,
    t: Array,
    t0: Events,
    px: Events,
    py: Events,
    pxx: Events,
    pyy: Events,
    amp: Events,
    wav: Array,
) -> tuple[Array, Array]:
    r"""Parabolic events, :math:`t(x, y) = t_0 + p_x x + p_y y + p_{xx} x^2 + p_{yy} y^2`."""
    t0, px, py, pxx, pyy, amp = _per_event(2, t0, px, py, pxx, pyy, amp)
    rows = y[:, None]
    return _gather(t0 + px * x + py * rows + pxx * x**2 + pyy * rows**2, t, amp, wav)


def hyperbolic3d(
    x: Array, y: Array, t: Array, t0: Events, vrms_x: Events, vrms_y: Events, amp: Events, wav: Array
) -> tuple[Array, Array]:
    r"""Hyperbolic events, :math:`t(x, y) = \sqrt{t_0^2 + x^2 / v_x^2 + y^2 / v_y^2}`."""
    t0, vrms_x, vrms_y, amp = _per_event(2, t0, vrms_x, vrms_y, amp)
    return _gather(np.sqrt(t0**2 + (x / vrms_x) ** 2 + (y[:, None] / vrms_y) ** 2), t, amp, wav)


def _per_event(axes: int, *values: Events) -> list[Array]:
    """Return each of ``values`` as ``(events, 1, ...)``, one number per event, to broadcast with the offsets."""
    arrays = [np.atleast_1d(np.asarray(value, dtype=np.float64)) for value in values]
    if len({len(array) for array in arrays}) > 1:
        raise ValueError(f"each event takes one value of each kind, got {[len(array) for array in arrays]} values")
    return [array.reshape((-1, *(1,) * axes)) for array in arrays]


def _gather(times: Array, t: Array, amp: Array, wav: Array) -> tuple[Array, Array]:
    center, nt = len(wav) // 2, len(t)
    samples = (times - t[0]) / (t[1] - t[0])
    first = np.floor(samples).astype(int)
    fraction = samples - first
    inside = (first >= 0) & (first < nt + center - 1)
    amp = np.broadcast_to(amp, samples.shape)
    traces = np.broadcast_to(np.arange(samples[0].size).reshape(samples[0].shape), samples.shape)[inside]
    spikes = np.zeros((samples[0].size, nt + center))
    np.add.at(spikes, (traces, first[inside]), (amp * (1 - fraction))[inside])
    np.add.at(spikes, (traces, first[inside] + 1), (amp * fraction)[inside])
    spikes = spikes.reshape((*samples.shape[1:], nt + center))
    convolved = np.apply_along_axis(np.convolve, -1, spikes, wav)
    return spikes[..., :nt], convolved[..., center : nt + center]
