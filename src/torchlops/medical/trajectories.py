"""The vectors of common scans, for :class:`~torchlops.medical.CT3D`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import Array, to_numpy
from torchlops.basicoperators._positions import constants
from torchlops.medical._degrees import warn_of_degrees
from torchlops.shapes import per_axis

__all__ = ["cone_vectors", "parallel3d_vectors"]


def cone_vectors(
    thetas: Array,
    source_origin_dist: Any,
    origin_detector_dist: Any,
    det_spacing: Any = 1.0,
    det_offset: Any = 0.0,
    pitch: Any = 0.0,
) -> Any:
    r"""Return the vectors of cone-beam views from a circle or a helix around the z axis.

    At the angle :math:`\theta`, with the height :math:`h = p \, \theta / 2 \pi`, the distances :math:`R` and :math:`D`
    and the offsets :math:`o_r, o_c`:

    .. math::

        \text{source} &= (R \sin\theta, \; -R \cos\theta, \; h) \\
        \text{center} &= (-D \sin\theta, \; D \cos\theta, \; h) + o_c \, (\cos\theta, \sin\theta, 0) + o_r \, (0, 0, 1)

    Columns of the detector are along :math:`(\cos\theta, \sin\theta, 0)`, rows along :math:`(0, 0, 1)`.

    Args:
        thetas: The angles in radians, ``(views,)``.
        source_origin_dist: Distance from the source to the axis, in voxels: a number, or one for each view.
        origin_detector_dist: Distance from the axis to the detector.
        det_spacing: Distance between rows and between columns: a number, or a pair of numbers or ``(views,)`` tensors.
        det_offset: Shift of the detector across its rows (along z) and along them: a number for both, or a pair.
        pitch: How far source and detector rise in a turn.

    Returns:
        ``(views, 12)``: a tensor, differentiable in all arguments that are tensors, or an array if there is none.

    Raises:
        ValueError: If ``thetas`` is not one-dimensional, or another argument does not have one value for each view.

    Example:
        >>> cone_vectors([0.0], 10.0, 5.0, det_spacing=2.0).round(6) + 0.0
        array([[  0., -10.,   0.,   0.,   5.,   0.,   2.,   0.,   0.,   0.,   0.,   2.]])
    """
    spacings, offsets = per_axis(det_spacing, 2, "det_spacing"), per_axis(det_offset, 2, "det_offset")
    views = _Views("cone_vectors", thetas)
    source = views.of(source_origin_dist, "source_origin_dist")
    detector = views.of(origin_detector_dist, "origin_detector_dist")
    rows, columns = (views.of(spacing, "det_spacing") for spacing in spacings)
    up, aside = (views.of(offset, "det_offset") for offset in offsets)
    height = views.of(pitch, "pitch") * views.thetas / (2 * math.pi)
    sine, cosine, zero = views.thetas.sin(), views.thetas.cos(), torch.zeros_like(views.thetas)
    return views.result(
        (source * sine, -source * cosine, height),
        (aside * cosine - detector * sine, aside * sine + detector * cosine, height + up),
        (columns * cosine, columns * sine, zero),
        (zero, zero, rows),
    )


def parallel3d_vectors(thetas: Array, det_spacing: Any = 1.0, det_offset: Any = 0.0, tilt: Any = 0.0) -> Any:
    r"""Return the vectors of parallel-beam views around the z axis, whose rays may be inclined (laminography).

    At the angle :math:`\theta` and the tilt :math:`\varphi`, rays have the direction
    :math:`(\sin\theta \cos\varphi, \, -\cos\theta \cos\varphi, \, \sin\varphi)`, columns of the detector are along
    :math:`(\cos\theta, \sin\theta, 0)`, and rows along
    :math:`(-\sin\theta \sin\varphi, \, \cos\theta \sin\varphi, \, \cos\varphi)`.

    Args:
        thetas: The angles in radians, ``(views,)``.
        det_spacing: Distance between rows and between columns, in voxels: a number, or a pair.
        det_offset: Shift of the detector across its rows and along them: a number for both, or a pair.
        tilt: Angle between the rays and the plane z = 0, in radians.

    Returns:
        ``(views, 12)``: a tensor, differentiable in all arguments that are tensors, or an array if there is none.

    Raises:
        ValueError: If ``thetas`` is not one-dimensional, or another argument does not have one value for each view.

    Example:
        >>> parallel3d_vectors([0.0]).round(6) + 0.0
        array([[ 0., -1.,  0.,  0.,  0.,  0.,  1.,  0.,  0.,  0.,  0.,  1.]])
    """
    spacings, offsets = per_axis(det_spacing, 2, "det_spacing"), per_axis(det_offset, 2, "det_offset")
    views = _Views("parallel3d_vectors", thetas)
    rows, columns = (views.of(spacing, "det_spacing") for spacing in spacings)
    up, aside = (views.of(offset, "det_offset") for offset in offsets)
    sine, cosine, zero = views.thetas.sin(), views.thetas.cos(), torch.zeros_like(views.thetas)
    angle = views.of(tilt, "tilt")
    rise, level = angle.sin(), angle.cos()
    across, along = (cosine, sine, zero), (-sine * rise, cosine * rise, level)
    return views.result(
        (sine * level, -cosine * level, rise),
        tuple(aside * a + up * b for a, b in zip(across, along, strict=True)),
        tuple(columns * part for part in across),
        tuple(rows * part for part in along),
    )


class _Views:
    """The angles of some views, and other numbers of each of them."""

    def __init__(self, what: str, thetas: Any) -> None:
        self._what, self._has_tensors = what, isinstance(thetas, Tensor)
        self._dtypes: list[torch.dtype] = [thetas.dtype] if self._has_tensors else []
        self.thetas = self._as_tensor(thetas, "thetas")
        if self.thetas.ndim != 1 or self.thetas.shape[0] == 0:
            raise ValueError(f"{what}: thetas must be a list of angles, got shape {tuple(self.thetas.shape)}")
        warn_of_degrees(self.thetas, what)

    def _as_tensor(self, value: Any, name: str) -> Tensor:
        if not isinstance(value, Tensor):
            return constants(value, f"{self._what}: {name}")
        if not value.is_floating_point():
            raise TypeError(f"{self._what}: {name} must hold real numbers, got {value.dtype}")
        self._has_tensors = True
        return value.to(torch.float64)

    def of(self, value: Any, name: str) -> Tensor:
        """Return one number for each view."""
        numbers, count = self._as_tensor(value, name), self.thetas.shape[0]
        if tuple(numbers.shape) not in ((), (1,), (count,)):
            raise ValueError(
                f"{self._what}: {name} must be a number, or one for each of the {count} views, got shape "
                f"{tuple(numbers.shape)}"
            )
        return numbers.to(self.thetas.device) if numbers.ndim == 0 else numbers

    def result(self, *vectors: tuple[Tensor, ...]) -> Any:
        columns = [torch.zeros_like(self.thetas) + part for vector in vectors for part in vector]
        table = torch.stack(columns, -1)
        return table if self._has_tensors else to_numpy(table)
