"""Analytic reconstruction: weighted and filtered views, interpolated where each voxel is seen."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from torchlops.arrays import DType, real_dtype
from torchlops.basicoperators._positions import in_result_dtype, is_readable
from torchlops.basicoperators._taps import Plan
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.linearoperator import LinearOperator
from torchlops.medical._planes import Crossings, PlaneOperator, scale, taps_around
from torchlops.signalprocessing._convolution import fast_length
from torchlops.signalprocessing._parts import with_parts_as_batch
from torchlops.warning import warn

WINDOWS = ("ramp", "shepp-logan", "hann")
GAP = 5.0, math.radians(15)
"""How many times the median step between views the largest one may be, or how large, before a user is warned."""


class Geometry:
    """The views of a projector.

    Attributes:
        first: Source of each view or, for parallel rays, their direction, ``(views, 3)``.
        center: Center of the detector.
        across: Vector from a pixel to the next in its row.
        along: Vector from a pixel to the next in its column.
        is_cone: Whether rays come from a source.
    """

    def __init__(self, vectors: Tensor, is_cone: bool) -> None:
        self.first, self.center, self.across, self.along = vectors.reshape(-1, 4, 3).unbind(1)
        self.is_cone = is_cone

    def normal(self) -> Tensor:
        """Return vectors across detectors, of some length."""
        normal: Tensor = torch.linalg.cross(self.across, self.along)
        return normal

    def angles(self) -> Tensor:
        """Return the angle of each view around the z axis."""
        return torch.atan2(self.first[:, 0], -self.first[:, 1])

    def depth(self) -> Tensor:
        """Return the distance from the source to the detector, over that to the plane through the origin along it."""
        normal = self.normal()
        return _dot(self.center - self.first, normal) / _dot(-self.first, normal)

    def cameras(self, det_count: tuple[int, int]) -> Tensor:
        """Return matrices ``(3, views, 4)`` from a point (x, y, z, 1) to row, column and depth in homogeneous numbers.

        Row and column of the pixel are those over the depth, which is 1 at the origin.
        """
        normal, found = self.normal(), []
        ray = normal if self.is_cone else self.first
        toward = torch.linalg.cross(self.across, ray), torch.linalg.cross(self.along, ray)
        depth = _plane(normal, self.first, _dot(-self.first, normal)) if self.is_cone else None
        for own, other, count in ((self.along, toward[0], det_count[0]), (self.across, toward[1], det_count[1])):
            dual = other / _dot(own, other).unsqueeze(-1)  # of length 1 for a step to the next pixel
            if depth is None:
                shift = (count - 1) / 2 - _dot(self.center, dual)
                found.append(torch.cat((dual, shift.unsqueeze(-1)), -1))
            else:
                shift = (count - 1) / 2 + _dot(self.first - self.center, dual)
                found.append(_plane(dual, self.first, 1 / self.depth()) + shift.unsqueeze(-1) * depth)
        one = torch.zeros_like(found[0]) + torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64, device=normal.device)
        return torch.stack((*found, one if depth is None else depth))

    def pixels(self, det_count: tuple[int, int]) -> Tensor:
        """Return the vectors from the source to each pixel, ``(views, rows, columns, 3)``."""
        row, column = (
            torch.arange(count, dtype=torch.float64, device=self.first.device) - (count - 1) / 2 for count in det_count
        )
        across = column.reshape(1, 1, -1, 1) * self.across.reshape(-1, 1, 1, 3)
        along = row.reshape(1, -1, 1, 1) * self.along.reshape(-1, 1, 1, 3)
        return (self.center - self.first).reshape(-1, 1, 1, 3) + across + along


class Backprojection(PlaneOperator):
    """The sum over views of what is interpolated where a voxel is seen, over the square of its depth.

    Args:
        projector: The projector of the scan, whose data are the model here.
        is_cone: Whether its rays come from a source.
    """

    def __init__(self, projector: LinearOperator, is_cone: bool) -> None:
        taps = 2 * (len(projector.dims) - 1) * projector.dimsd[0]  # on a line of detectors, or in a plane
        super().__init__(projector.dimsd, projector.dims, taps, projector.dtype, projector.name)
        self.projector, self.is_cone = projector, is_cone

    def vectors(self) -> Tensor:
        """Return the vectors of the views, ``(views, 12)``, as the tensors of the projector now are."""
        raise NotImplementedError

    def geometry(self) -> Geometry:
        """Return the views."""
        return Geometry(self.vectors(), self.is_cone)

    def det_count(self) -> tuple[int, int]:
        """Return the number of rows and columns of the detector."""
        _, rows, columns = self._volume()
        return rows, columns

    def _own_tensors(self) -> tuple[Tensor, ...]:
        return self.projector._own_tensors()

    def _points(self, start: int, count: int, device: torch.device) -> Tensor:
        """Return voxels as (x, y, z, 1), ``(4, count)``."""
        nz, ny, nx = (*(1,) * (3 - len(self.dimsd)), *self.dimsd)
        voxel = torch.arange(start, start + count, device=device)
        x, y, z = voxel % nx, voxel // nx % ny, voxel // (nx * ny)
        place = ((nx - 1) / 2, (ny - 1) / 2, (nz - 1) / 2)
        return torch.stack((x - place[0], place[1] - y, z - place[2], torch.ones_like(voxel, dtype=torch.float64)))

    def _taps(self, start: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        rows, columns = self.det_count()
        seen = torch.matmul(self.geometry().cameras((rows, columns)), self._points(start, count, device))
        row, column, depth = seen.mT.unbind()
        first = torch.arange(self.dims[0], device=device) * (rows * columns)
        if len(self.dims) == 2:
            return taps_around((column / depth,), 1 / depth**2, first, (1,), (columns,))
        return taps_around((row / depth, column / depth), 1 / depth**2, first, (columns, 1), (rows, columns))

    def _crossings(self, start: int, count: int, like: Tensor) -> Iterator[Crossings]:
        det_count = self.det_count()
        row, column, depth = self.geometry().cameras(det_count).unbind()
        parts = []
        for position, size in ((column, det_count[1]), (row, det_count[0])):
            factor, shift = scale(size)
            parts.append(position * factor + depth * shift)
        points = self._points(start, count, like.device).to(like.dtype)
        grid = like.new_empty((self.dims[0], count, 1, 2))
        if not self.is_cone:
            for k, part in enumerate(parts):
                grid[..., 0, k] = torch.matmul(part.to(like.dtype), points)
            yield Crossings(0, None, grid, like.new_ones(count))
            return
        nearness = torch.matmul(depth.to(like.dtype), points).reciprocal_()
        for k, part in enumerate(parts):
            torch.mul(torch.matmul(part.to(like.dtype), points), nearness, out=grid[..., 0, k])
        yield Crossings(0, None, grid, nearness.square_())


class FilteredBackprojection(AccumulatingOperator):
    """Weights, a filter along the rows of the detector, and back-projection."""

    def __init__(
        self,
        backprojection: Backprojection,
        window: str,
        cutoff: float,
        short_scan: bool,
        dtype: DType | None,
        name: str | None,
    ) -> None:
        kind = type(self).__name__
        if window not in WINDOWS:
            raise ValueError(f"{kind}: window must be {', '.join(WINDOWS[:-1])} or {WINDOWS[-1]}, got {window!r}")
        if not 0 < cutoff <= 1:
            raise ValueError(f"{kind}: cutoff must be a part of the Nyquist frequency, above 0 to 1, got {cutoff!r}")
        if short_scan and not backprojection.is_cone:
            raise ValueError(f"{kind}: short_scan is for beams from a source: parallel rays need half a turn, always")
        super().__init__(
            backprojection.dims, backprojection.dimsd, dtype=backprojection.dtype if dtype is None else dtype, name=name
        )
        self.backprojection, self.window, self.cutoff = backprojection, window, float(cutoff)
        self.short_scan = bool(short_scan)
        self._check_angles(kind)

    @property
    def projector(self) -> LinearOperator:
        """The projector of the scan."""
        return self.backprojection.projector

    @property
    def plan(self) -> Plan:
        """How the back-projection is computed on the CPU."""
        return self.backprojection.plan

    def _own_tensors(self) -> tuple[Tensor, ...]:
        return self.projector._own_tensors()

    # -- weights -----------------------------------------------------------------------------------------------------

    def _check_angles(self, kind: str) -> None:
        geometry = self.backprojection.geometry()
        if not is_readable(geometry.first):
            return
        angles = geometry.angles().detach()
        period = 2 * math.pi if geometry.is_cone else math.pi
        if self.short_scan:
            fan = float(_fan_angles(geometry, self.backprojection.det_count()).abs().max())
            turned = float(_from_start(angles).max())
            if turned < math.pi + 2 * fan - 1e-6 * math.pi:
                warn(
                    f"{kind}: the scan turns by {math.degrees(turned):.1f} degrees, but a short scan needs half a turn "
                    f"and the angle of the fan, {math.degrees(math.pi + 2 * fan):.1f} degrees: rays are missing"
                )
            return
        gaps = _gaps(angles.remainder(period).sort().values, period)
        gap = float(gaps.max())
        if gap > max(GAP[0] * float(gaps.median()), GAP[1]):
            hint = " Is it a short scan (short_scan=True)?" if geometry.is_cone else ""
            warn(
                f"{kind}: views should be all around {'a turn' if geometry.is_cone else 'half a turn'}, but they leave "
                f"a gap of {math.degrees(gap):.1f} degrees.{hint}"
            )

    def _weights(self) -> Tensor:
        """Return what data are multiplied by before the filter, ``(views, rows, columns)`` or with ones."""
        geometry = self.backprojection.geometry()
        spacing = geometry.across.square().sum(-1).sqrt()
        angles = geometry.angles()
        if not geometry.is_cone:
            return (_steps(angles, math.pi) / spacing).reshape(-1, 1, 1)
        pixels = geometry.pixels(self.backprojection.det_count())
        normal = geometry.normal().reshape(-1, 1, 1, 3)
        cosine = _dot(pixels, normal) / (pixels.square().sum(-1) * normal.square().sum(-1)).sqrt()
        weight = cosine.abs() * (geometry.depth() / spacing).reshape(-1, 1, 1)
        if not self.short_scan:
            return weight * (_steps(angles, 2 * math.pi) / 2).reshape(-1, 1, 1)
        turned = _from_start(angles)
        fan = _fan_angles(geometry, self.backprojection.det_count())
        return weight * _parker(turned.reshape(-1, 1, 1), fan) * _steps(turned, None).reshape(-1, 1, 1)

    def _filter(self, y: Tensor) -> Tensor:
        """Return the data filtered along rows.

        By a symmetric matrix, which takes a small part of the time of the back-projection.
        """
        count = y.shape[-1]
        place = torch.arange(count, device=y.device)
        lag = (place - place.unsqueeze(1)).abs()
        kernel = _kernel(count, self.window, self.cutoff, y.device)
        matrix = kernel.gather(0, lag.reshape(-1)).reshape(count, count).to(real_dtype(y.dtype))
        return with_parts_as_batch(lambda part: torch.matmul(part, matrix), y)

    # -- products ----------------------------------------------------------------------------------------------------

    def _weighted(self, y: Tensor) -> Tensor:
        weights = self._weights().to(real_dtype(y.dtype))
        return y * (weights if len(self.dims) == 3 else weights.squeeze(1))

    def _forward(self, x: Tensor) -> Tensor:
        return self.backprojection.apply_nd(self._filter(self._weighted(in_result_dtype(self, x))))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._weighted(self._filter(self.backprojection.apply_nd(in_result_dtype(self, y), True)))

    def extra_repr(self) -> str:
        cutoff = "" if self.cutoff == 1 else f", cutoff={self.cutoff}"
        return f"window={self.window!r}{cutoff}" + (", short_scan=True" if self.short_scan else "")


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)


def _plane(direction: Tensor, origin: Tensor, unit: Tensor) -> Tensor:
    """Return the numbers ``(views, 4)`` of the distance from ``origin`` along ``direction``, in a unit."""
    return torch.cat((direction, -_dot(origin, direction).unsqueeze(-1)), -1) / unit.unsqueeze(-1)


def _gaps(angles: Tensor, period: float | Tensor) -> Tensor:
    """Return the steps from each of some sorted angles to the next, the first one being next to the last."""
    return torch.cat((angles[1:], angles[:1] + period)) - angles


def _steps(angles: Tensor, period: float | None) -> Tensor:
    """Return the part of a period, or of what they cover, that each angle stands for: half of both steps beside it."""
    angles = angles if period is None else angles.remainder(period)
    order = torch.argsort(angles.detach())
    ordered = angles.gather(0, order)
    rest = ordered[-1:] - ordered[:1] if period is None else period
    gaps = _gaps(ordered, rest)
    return ((gaps + gaps.roll(1)) / 2).gather(0, torch.argsort(order))


def _from_start(angles: Tensor) -> Tensor:
    """Return angles counted from the first one after the largest gap."""
    ordered = angles.remainder(2 * math.pi).sort().values
    gaps = _gaps(ordered, 2 * math.pi).detach()
    start = ordered.gather(0, (gaps.argmax(0, keepdim=True) + 1) % len(gaps))
    return (angles - start).remainder(2 * math.pi)


def _fan_angles(geometry: Geometry, det_count: tuple[int, int]) -> Tensor:
    """Return the angle between each ray, seen from above, and the line from the source to the axis.

    It is positive towards later views.
    """
    x, y, _ = geometry.pixels(det_count).unbind(-1)
    sx, sy, _ = (-geometry.first).reshape(-1, 1, 1, 3).unbind(-1)
    return torch.atan2(x * sy - y * sx, x * sx + y * sy)


def _parker(turned: Tensor, fan: Tensor) -> Tensor:
    """Return weights of a short scan: smooth, and 1 in sum for each pair of opposite rays."""
    rest = (turned.max() - math.pi) / 2
    rise, fall = turned / (rest + fan), (math.pi + 2 * rest - turned) / (rest - fan)
    least = torch.minimum(_sound(rise, rest + fan), _sound(fall, rest - fan)).clamp(0, 2)
    return (math.pi / 4 * least).sin() ** 2


def _sound(ratio: Tensor, divisor: Tensor) -> Tensor:
    """Return a ratio, or 2 where the ramp is of no length."""
    return torch.where(divisor > 0, ratio, 2.0)


def _kernel(count: int, window: str, cutoff: float, device: torch.device) -> Tensor:
    """Return the kernel of the ramp filter, band-limited in space, times a window in frequency, at lags from 0."""
    n = fast_length(2 * count)
    place = torch.arange(n, device=device)
    lag = torch.minimum(place, n - place)
    ramp = torch.where(lag % 2 == 1, -1 / (math.pi * lag.to(torch.float64).clamp(min=1)) ** 2, 0)
    ramp = torch.where(lag == 0, 0.25, ramp)
    if window == "ramp" and cutoff == 1:
        return ramp
    part = torch.arange(n // 2 + 1, dtype=torch.float64, device=device) * (2 / (n * cutoff))
    response = torch.fft.rfft(ramp).real
    if window == "shepp-logan":
        response = response * torch.sinc(part / 2)
    elif window == "hann":
        response = response * (math.pi / 2 * part).cos() ** 2
    kernel: Tensor = torch.fft.irfft(torch.where(part <= 1 + 1e-12, response, 0), n=n)
    return kernel
