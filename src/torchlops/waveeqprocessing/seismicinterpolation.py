"""Interpolation of seismic data on a regular grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import Array, complex_dtype, real_part
from torchlops.basicoperators import Laplacian, Real, Restriction, SecondDerivative
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.leastsquares import regularized_inversion
from torchlops.optimization.sparsity import fista
from torchlops.shapes import Dims, as_dims, as_engine, per_axis
from torchlops.signalprocessing import (
    FFTND,
    ChirpRadon2D,
    ChirpRadon3D,
    Radon2D,
    Radon3D,
    Sliding2D,
    Sliding3D,
)
from torchlops.signalprocessing._interpolation import refuse_repeated
from torchlops.signalprocessing.interp import LinearInterpolation
from torchlops.utils.dottest import dottest as check_adjoint
from torchlops.waveeqprocessing._inversion import as_real_tensors

__all__ = ["SeismicInterpolation"]

KINDS = (
    "spatial",
    "fk",
    "radon-linear",
    "radon-parabolic",
    "radon-hyperbolic",
    "chirpradon-linear",
    "sliding",
    "chirp-sliding",
)


def SeismicInterpolation(
    data: Array,
    nrec: Dims,
    iava: Array,
    iava1: Array | None = None,
    kind: str = "fk",
    nffts: Dims | None = None,
    sampling: Sequence[float] | None = None,
    spataxis: Array | None = None,
    spat1axis: Array | None = None,
    taxis: Array | None = None,
    paxis: Array | None = None,
    p1axis: Array | None = None,
    centeredh: bool = True,
    nwins: Dims | None = None,
    nwin: Dims | None = None,
    nover: Dims | None = None,
    engine: str = "numba",
    dottest: bool = False,
    **kwargs_solver: Any,
) -> tuple[Any, Any, Any]:
    r"""Interpolate irregularly sampled traces on a regular grid, by inversion.

    With the operator :math:`R` that takes the traces at the given positions out of those of the grid (by
    :class:`Restriction` at whole positions, by linear :func:`~torchlops.signalprocessing.Interp` at others),

    .. math::

        \min_x \|y - R x\|^2 + \epsilon^2 \|\nabla^2 x\|^2, \qquad \text{or} \qquad
        \min_p \|y - R P p\|^2 + \epsilon \|p\|_1, \quad x = P p

    where :math:`\nabla^2` is a second derivative in space, and :math:`P` the transform that ``kind`` names, in which
    the data are sparse. Gathers of a batch are interpolated at once, and each stops by itself. Results carry implicit
    derivatives with respect to ``data`` and the positions, if they are a tensor that is not of integers. (After
    ``"fk"``, coefficients come in pairs that depend on each other. The solve of the derivative may then stop before its
    tolerance, with a warning: ``grad="unroll"`` has no such solve.)

    In PyLops, positions that are not whole raise an error.

    Args:
        data: The traces, ``(*batch, n, nt)``, or ``(*batch, n, n1, nt)`` if ``nrec`` is a pair.
        nrec: Number of traces of the grid, or a pair of them.
        iava: Positions of the traces along the first spatial axis of the grid, counted in its traces.
        iava1: The same along the second; None if it is sampled regularly.
        kind: ``"spatial"``, or sparsity after ``"fk"`` (:class:`~torchlops.signalprocessing.FFTND`),
            ``"radon-linear"``, ``"radon-parabolic"`` or ``"radon-hyperbolic"``
            (:class:`~torchlops.signalprocessing.Radon2D` and 3D), ``"chirpradon-linear"``
            (:class:`~torchlops.signalprocessing.ChirpRadon2D` and 3D), or ``"sliding"`` or ``"chirp-sliding"`` (linear
            ones in windows, :class:`~torchlops.signalprocessing.Sliding2D` and 3D).
        nffts: Number of samples of the FFT along each axis, for ``"fk"``; those of the grid by default.
        sampling: Sampling along each axis, for ``"fk"``. It has no effect on the result, as in PyLops.
        spataxis: First spatial axis of the grid, for all Radon transforms.
        spat1axis: Second spatial axis.
        taxis: Time axis.
        paxis: Slopes along the first spatial axis. (The largest one, for chirp transforms.)
        p1axis: Slopes along the second.
        centeredh: Whether the spatial axes are centered, for ``"radon-..."``.
        nwins: Number of windows along each spatial axis, for ``"sliding"`` and ``"chirp-sliding"``.
        nwin: Number of traces of a window.
        nover: Number of traces in which windows overlap.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        dottest: Whether the operator passes a dot test first.
        **kwargs_solver: Options of :func:`~torchlops.regularized_inversion` (``epsRs``, ``damp``, ``iter_lim``) for
            ``"spatial"``, and of :func:`~torchlops.fista` (``eps``, ``niter``, ``alpha``) otherwise.

    Returns:
        The traces on the grid, ``(*batch, *nrec, nt)``; the model of the transform (None for ``"spatial"``); and the
        history of the cost (likewise).

    Raises:
        ValueError: If ``kind`` is unknown, the shape of the data is not that of the positions, or an axis is missing.
        TypeError: If the data are complex.

    Example:
        >>> t = torch.linspace(0, 1, 5, dtype=torch.float64)
        >>> x = torch.stack([t, 2 * t, 3 * t])
        >>> found, _, _ = SeismicInterpolation(x[[0, 2]], 3, [0, 2], kind="spatial", iter_lim=50)
        >>> torch.allclose(found, x)
        True
    """
    (traces,), give = as_real_tensors(
        "SeismicInterpolation",
        {"data": data},
        *(iava, iava1, spataxis, spat1axis, taxis, paxis, p1axis),
        *kwargs_solver.values(),
    )
    if kind not in KINDS:
        raise ValueError(f"SeismicInterpolation: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    as_engine(engine)
    grid = as_dims(nrec, "SeismicInterpolation: nrec")
    count = len(grid)
    if count > 2 or (iava1 is not None and count == 1):
        raise ValueError(
            f"SeismicInterpolation: nrec must be one number of traces, or a pair (with iava1, it must), got {nrec}"
        )
    if traces.ndim < count + 1:
        raise ValueError(
            f"SeismicInterpolation: data for nrec={nrec} must have {count + 1} axes or more, got shape "
            f"{tuple(traces.shape)}"
        )
    dims = (*grid, traces.shape[-1])
    label = complex_dtype(traces.dtype) if kind == "fk" else traces.dtype
    R = _sampled(dims, iava, 0, label)
    if iava1 is not None:
        R = _sampled(R.dimsd, iava1, 1, label) @ R
    if tuple(traces.shape[-count - 1 :]) != R.dimsd:
        raise ValueError(
            f"SeismicInterpolation: data for these positions must be (*batch, {', '.join(map(str, R.dimsd))}), got "
            f"shape {tuple(traces.shape)}"
        )
    if kind == "spatial":
        if dottest:
            check_adjoint(R, verb=True)
        smoothness = Laplacian(dims, (0, 1)) if iava1 is not None else SecondDerivative(dims, axis=0)
        return give(regularized_inversion(R, traces, [smoothness], **kwargs_solver).x), None, None
    if kind == "fk":
        P, shape = _fourier(dims, nffts, sampling, label)
    else:
        names = {"spataxis": spataxis, "spat1axis": spat1axis, "paxis": paxis, "p1axis": p1axis, "taxis": taxis}
        if count == 1:
            names = {name: axis for name, axis in names.items() if "1" not in name}
        *places, time = [_axis(name, axis, kind) for name, axis in names.items()]
        space, slopes = places[:count], places[count:]
        lengths = tuple(len(axis) for axis in (*space, time))
        if lengths != dims:
            raise ValueError(
                f"SeismicInterpolation: the axes of space and time have {lengths} samples, but the grid has {dims}"
            )
        if "sliding" in kind:
            P, shape = _windows(kind, dims, space, slopes, time, nwins, nwin, nover, traces.dtype)
        else:
            P, shape = _radon(kind, space, slopes, time, centeredh, traces.dtype)
    A = (Real(R.dimsd, dtype=label) @ R if kind == "fk" else R) @ P
    if dottest:
        check_adjoint(A, complexflag=1 if kind == "fk" else 0, verb=True)
    result = fista(A, traces, **kwargs_solver)
    batch = tuple(traces.shape[: traces.ndim - count - 1])
    x = real_part(P(result.x.reshape(*batch, *P.dims))).reshape(*batch, *dims)
    return give(x), give(result.x.reshape(*batch, *shape)), give(result.cost)


def _sampled(dims: tuple[int, ...], positions: Array, axis: int, dtype: torch.dtype) -> LinearOperator:
    """Return the operator that takes the traces at positions along an axis."""
    given = positions if isinstance(positions, Tensor) else np.asarray(positions)
    is_whole = not given.is_floating_point() if isinstance(given, Tensor) else given.dtype.kind != "f"
    if is_whole:
        return Restriction(dims, given, axis=axis, dtype=dtype)
    refuse_repeated(given, "SeismicInterpolation")
    return LinearInterpolation(dims, given, axis, dtype)  # without Interp's array of positions, for use in transforms


def _axis(name: str, axis: Any, kind: str) -> Any:
    if axis is None:
        raise ValueError(f"SeismicInterpolation: kind={kind!r} needs {name}")
    return axis if isinstance(axis, Tensor) else np.asarray(axis, dtype=float)


def _fourier(
    dims: tuple[int, ...], nffts: Dims | None, sampling: Sequence[float] | None, dtype: torch.dtype
) -> tuple[LinearOperator, tuple[int, ...]]:
    steps: float | Sequence[float] = 1.0 if sampling is None else sampling
    F = FFTND(dims, axes=range(len(dims)), nffts=nffts, sampling=steps, dtype=dtype)
    return F.H, F.dimsd


def _radon(
    kind: str, space: Sequence[Any], slopes: Sequence[Any], time: Any, centeredh: bool, dtype: torch.dtype
) -> tuple[LinearOperator, tuple[int, ...]]:
    P: LinearOperator
    if kind.startswith("chirp"):
        P = _chirp(space, _largest(space, slopes, time), time, dtype)
        return P, P.dims
    radon: Any = (Radon2D, Radon3D)[len(space) - 1]
    P = radon(time, *space, *slopes, centeredh=centeredh, kind=kind.removeprefix("radon-"), dtype=dtype)
    return P, tuple(len(axis) for axis in (*slopes, time))


def _chirp(space: Sequence[Any], largest: Sequence[Any], time: Any, dtype: torch.dtype) -> LinearOperator:
    if len(space) == 1:
        return ChirpRadon2D(time, space[0], largest[0], dtype=dtype).H
    pmax: Any = tuple(largest)
    if any(isinstance(value, Tensor) for value in largest):
        pmax = torch.stack([torch.as_tensor(value) for value in largest])
    return ChirpRadon3D(time, space[0], space[1], pmax, dtype=dtype).H


def _largest(space: Sequence[Any], slopes: Sequence[Any], time: Any) -> list[Any]:
    """Return the largest slope along each spatial axis, in samples per trace."""
    return [p.max() * _step(x) / (time[1] - time[0]) for x, p in zip(space, slopes, strict=True)]


def _step(axis: Any) -> Any:
    return abs(axis[1] - axis[0])


def _windows(
    kind: str, dims: tuple[int, ...], space: Sequence[Any], slopes: Sequence[Any], time: Any, nwins: Dims | None,
    nwin: Dims | None, nover: Dims | None, dtype: torch.dtype,
) -> tuple[LinearOperator, tuple[int, ...]]:  # fmt: skip
    """Return Radon transforms in windows, and the shape of their models."""
    count, sizes = len(space), []
    for name, value in (("nwins", nwins), ("nwin", nwin), ("nover", nover)):
        if value is None:
            raise ValueError(f"SeismicInterpolation: kind={kind!r} needs {name}")
        sizes.append(per_axis(value, count, f"SeismicInterpolation: {name}"))
    windows, traces, overlaps = sizes
    local = []
    for axis, n in zip(space, traces, strict=True):
        half = _step(axis) * n / 2
        unit = np.linspace(-1, 1, n)
        local.append(half * (torch.from_numpy(unit).to(half) if isinstance(half, Tensor) else unit))
    Op: LinearOperator
    if kind == "sliding":
        radon: Any = (Radon2D, Radon3D)[count - 1]
        Op, counts = radon(time, *local, *slopes, centeredh=True, dtype=dtype), tuple(map(len, slopes))
    else:
        Op, counts = _chirp(local, _largest(space, slopes, time), time, dtype), tuple(traces)
    model = (*(a * b for a, b in zip(windows, counts, strict=True)), dims[-1])
    if count == 1:
        return Sliding2D(Op, model, dims, traces[0], overlaps[0], tapertype="cosine"), model
    sliding = Sliding3D(Op, model, dims, traces, overlaps, counts, tapertype="cosine")
    return sliding, (*windows, *counts, dims[-1])
