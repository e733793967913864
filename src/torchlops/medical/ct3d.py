"""Projections of a volume in three dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from torchlops.arrays import Array, DType
from torchlops.basicoperators._positions import Constants, constants, given_or_kept, is_readable, register_or_keep
from torchlops.medical._planes import AXES, Crossings, PlaneOperator, scale, taps_around
from torchlops.shapes import Dims, as_dims

__all__ = ["CT3D"]


class CT3D(PlaneOperator):
    r"""Line integrals through a volume: views of a cone beam or a parallel beam from any trajectory.

    Rays are traced by Joseph's method: a ray is cut by the planes of voxel centers across its main axis, along which
    it advances most, and interpolated bilinearly in each of them.

    Forward:
        .. math::

            y_{vrc} = \frac{|d|}{|d_m|} \sum_k \sum_{i,j} \Lambda(p_k - i) \, \Lambda(q_k - j) \, x_{kij}, \qquad
            \Lambda(t) = \max(0, 1 - |t|)

        for the ray through the pixel :math:`(r, c)` of the view :math:`v`, with the direction :math:`d`, the main axis
        :math:`m`, the planes :math:`k` across it, and the position :math:`(p_k, q_k)` at which it meets the plane. The
        volume is zero outside of the grid. The pixel is at
        :math:`D + (c - \frac{n_c - 1}{2}) \, u + (r - \frac{n_r - 1}{2}) \, v`, and the whole line through it is
        integrated: the source must be outside of the volume, and the detector should be.

    Adjoint:
        Back-projection: each :math:`y_{vrc}` is added to the same voxels with the same weights.

    Args:
        dims: Shape of the model, ``(nz, ny, nx)``. The length of a voxel is 1.
        det_count: Number of rows and columns of the detector.
        vectors: The views, ``(views, 12)``, each with four vectors (x, y, z): the source (or, for parallel beams, the
            direction of rays), the center of the detector, the vector from its pixel (0, 0) to the pixel (0, 1), and
            the one from (0, 0) to (1, 0). These are ASTRA's ``cone_vec`` and ``parallel3d_vec``.
            :func:`~torchlops.medical.cone_vectors` and :func:`~torchlops.medical.parallel3d_vectors` make those of
            common scans.
        proj_geom_type: ``"cone"`` or ``"parallel3d"``.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    The origin is the center of the volume. As in :class:`~torchlops.medical.CT2D`, x points along columns and y
    *against* rows: the voxel :math:`(k, i, j)` has its center at
    :math:`x = j - \frac{n_x - 1}{2}, \; y = \frac{n_y - 1}{2} - i, \; z = k - \frac{n_z - 1}{2}`. (ASTRA's volumes have
    y along rows: there, a volume is ``x.flip(-2)``.) Data have shape ``(views, rows, columns)``.

    If ``vectors`` is a tensor, gradients reach it: those of a scan that is calibrated, or of a trajectory that is
    optimized. They keep about 140 bytes for each ray in each plane that it meets. An array is constant.
    Products that need no such gradient compute all weights as they go, in little memory, and their derivative is the
    adjoint, which keeps nothing.

    Attributes:
        det_count: Number of rows and columns of the detector.
        vectors: The views.
        proj_geom_type: The kind of beam.

    Raises:
        ValueError: If the kind of beam is unknown, or shapes do not match, or a vector is not finite, or a source is
            inside the volume.
        TypeError: If ``vectors`` are not real numbers.

    Source: P. M. Joseph, An improved algorithm for reprojecting rays through pixel images, IEEE Transactions on Medical
    Imaging 1 (1982).

    Example:
        >>> along_y = [[0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]
        >>> C = CT3D((2, 3, 2), (2, 2), along_y, proj_geom_type="parallel3d")
        >>> C(torch.ones(2, 3, 2))
        tensor([[[3., 3.],
                 [3., 3.]]])
    """

    vectors = Constants()

    def __init__(
        self,
        dims: Dims,
        det_count: Dims,
        vectors: Array,
        proj_geom_type: Literal["cone", "parallel3d"] = "cone",
        dtype: DType = "float64",
        name: str = "C",
    ) -> None:
        dims, det_count = as_dims(dims), as_dims(det_count, "det_count")
        if len(dims) != 3 or len(det_count) != 2:
            raise ValueError(
                f"CT3D: dims must be (nz, ny, nx), and det_count (rows, columns), got {dims} and {det_count}"
            )
        if proj_geom_type not in ("cone", "parallel3d"):
            raise ValueError(f"CT3D: proj_geom_type must be 'cone' or 'parallel3d', got {proj_geom_type!r}")
        views = _as_vectors(vectors, proj_geom_type)
        if proj_geom_type == "cone":
            _check_sources(views, dims)
        super().__init__(dims, (views.shape[0], *det_count), 4 * max(dims), dtype, name)
        self.det_count, self.proj_geom_type = det_count, proj_geom_type
        register_or_keep(self, "vectors", views, learns=isinstance(vectors, Tensor))

    def views(self) -> Tensor:
        """Return the vectors as a tensor in float64, ``(views, 12)``."""
        return given_or_kept(self, "vectors").to(torch.float64)

    def _rays(self, start: int, count: int, device: torch.device) -> tuple[Tensor, ...]:
        """Return a point and the direction of each ray, ``(3, count)``, in voxels along the axes of the model."""
        (rows, columns), (nz, ny, nx) = self.det_count, self.dims
        ray = torch.arange(start, start + count, device=device)
        view = (ray // (rows * columns)).unsqueeze(0).expand(12, count)
        vectors = self.views().mT.gather(1, view)
        first, center, across, along = vectors.reshape(4, 3, count).unbind()
        column = (ray % columns).to(torch.float64) - (columns - 1) / 2
        row = (ray // columns % rows).to(torch.float64) - (rows - 1) / 2
        pixel = center + column * across + row * along
        point, direction = (first, pixel - first) if self.proj_geom_type == "cone" else (pixel, first)
        (x, y, z), (dx, dy, dz) = point.unbind(), direction.unbind()
        place = (z + (nz - 1) / 2, (ny - 1) / 2 - y, x + (nx - 1) / 2)
        return torch.stack(place), torch.stack((dz, -dy, dx))

    def _lines(self, start: int, count: int, device: torch.device) -> tuple[Tensor, ...]:
        """Return rays as lines over the planes across their main axis.

        Returns:
            The main axis, the positions in rows and in columns at the plane in the middle, both slopes, and the
            length between planes, each ``(count,)``.
        """
        place, direction = self._rays(start, count, device)
        sizes = direction.detach().abs()
        axis = torch.where(sizes[1] > sizes[2], 1, 2)
        axis = torch.where(sizes[0] > torch.maximum(sizes[1], sizes[2]), 0, axis)
        at, row, column = _in_order(axis, place)
        step, rise, drift = _in_order(axis, direction)
        slope, tilt = rise / step, drift / step
        ahead = (_in_order(axis, self.dims)[0] - 1) / 2 - at
        length = (1 + slope**2 + tilt**2).sqrt()
        return axis, row + ahead * slope, column + ahead * tilt, slope, tilt, length

    def _taps(self, start: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        axis, row, column, slope, tilt, length = (part.unsqueeze(1) for part in self._lines(start, count, device))
        planes, rows, columns = _in_order(axis, self.dims)
        stride, *strides = _in_order(axis, (self.dims[1] * self.dims[2], self.dims[2], 1))
        plane = torch.arange(max(self.dims), device=device)
        exists = plane < planes
        past = plane - (planes - 1) / 2
        return taps_around(
            (row + past * slope, column + past * tilt),
            torch.where(exists, length, 0),
            torch.where(exists, plane, 0) * stride,
            strides,
            (rows, columns),
        )

    def _crossings(self, start: int, count: int, like: Tensor) -> Iterator[Crossings]:
        axis, *lines = self._lines(start, count, like.device)
        for number, axes in enumerate(AXES):
            (samples,) = (axis == number).nonzero(as_tuple=True)
            if len(samples):
                row, column, slope, tilt, length = (line.index_select(0, samples) for line in lines)
                planes, rows, columns = (self.dims[k] for k in axes)
                past = torch.arange(planes, dtype=like.dtype, device=like.device).unsqueeze(1) - (planes - 1) / 2
                grid = like.new_empty((planes, len(samples), 1, 2))
                for k, (position, rate, size) in enumerate(((column, tilt, columns), (row, slope, rows))):
                    factor, shift = scale(size)
                    base, rate = (position * factor + shift).to(like.dtype), (rate * factor).to(like.dtype)
                    torch.addcmul(base, past, rate, out=grid[..., 0, k])
                yield Crossings(number, None if len(samples) == count else samples, grid, length.to(like.dtype))

    def extra_repr(self) -> str:
        return f"{self.proj_geom_type}, {self.dimsd[0]} views, {self.det_count[0]}x{self.det_count[1]} pixels"


def _check_sources(views: Any, dims: tuple[int, ...]) -> None:
    """Raise where a source of a cone beam is inside the volume: its rays would be integrated to both sides."""
    vectors = torch.as_tensor(views).detach()
    if not is_readable(vectors):
        return
    edges = torch.tensor(dims[::-1], dtype=torch.float64) / 2
    (inside,) = (vectors[:, :3].cpu().to(torch.float64).abs() < edges).all(1).nonzero(as_tuple=True)
    if len(inside):
        raise ValueError(
            f"CT3D: the source of view {int(inside[0])} is inside the volume {dims}, whose center is the origin: it "
            "must be farther away; if the vectors are those of parallel rays, pass proj_geom_type='parallel3d'"
        )


def _in_order(axis: Tensor, values: Sequence[Any] | Tensor) -> list[Tensor]:
    """Return what belongs to z, y and x in the order plane, row, column of each ray, given its main axis."""
    order = zip(*([values[k] for k in axes] for axes in AXES), strict=True)
    return [torch.where(axis == 0, of_z, torch.where(axis == 1, of_y, of_x)) for of_z, of_y, of_x in order]


def _as_vectors(vectors: Any, kind: str) -> Tensor:
    """Return the vectors of a user, checked: the tensor, or the constants of an array."""
    values = vectors if isinstance(vectors, Tensor) else constants(vectors, "CT3D: vectors")
    if values.ndim != 2 or values.shape[0] == 0 or values.shape[1] != 12:
        raise ValueError(
            f"CT3D: vectors must be of shape (views, 12), the vectors x, y, z of the "
            f"{'source' if kind == 'cone' else 'rays'}, of the center of the detector and of its two axes, got shape "
            f"{tuple(values.shape)}"
        )
    if not values.is_floating_point():
        raise TypeError(f"CT3D: vectors must be real numbers, got {values.dtype}")
    if is_readable(values):
        if not bool(values.detach().isfinite().all()):
            raise ValueError("CT3D: vectors must be finite: at least one is NaN or infinite")
        if kind == "parallel3d" and not bool((values.detach()[:, :3] != 0).any(1).all()):
            raise ValueError("CT3D: the direction of rays, the first three vectors of a view, must not be zero")
    return values
