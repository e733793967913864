"""Tomography of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from torchlops.arrays import Array, DType, real_dtype
from torchlops.basicoperators._positions import Constants, constants, is_readable
from torchlops.basicoperators._sparse import sparse_bytes
from torchlops.basicoperators._taps import CHUNK, TapOperator, matrix_of
from torchlops.config import get_sparse_limit
from torchlops.medical._degrees import warn_of_degrees
from torchlops.medical._rays import (
    KERNELS,
    TIE,
    Lines,
    Number,
    at_views,
    between,
    keep_numbers,
    lines,
    numbers_of,
    sizes,
    strip,
)
from torchlops.medical._sweep import EdgeSweep, Sweep
from torchlops.medical._symmetry import Orbits, orbits
from torchlops.shapes import PER_SAMPLE, Dims, as_dims, as_integer
from torchlops.warning import warn

__all__ = ["CT2D"]

MARGIN = 1.25
"""How much wider than at first a strip may get, where the geometry may learn."""
CACHED = 1 << 19
"""Number of pixels of reflected images that are multiplied at a time: more do not fit in a cache."""
NUMBERS = ("thetas", "det_width", "det_offset", "source_origin_dist", "origin_detector_dist")
UNREAD = 8
"""Most pixels of a row or column in a strip, where its width cannot be read while the operator is built."""


class _Rays(NamedTuple):
    """Some rays: the angle of the view, the place of the detector, in detectors from the middle, and numbers of a view.

    Each is a tensor of one number a ray, or one number for all.
    """

    theta: Tensor
    place: Tensor
    width: Number
    offset: Number
    source: Number = 0.0
    detector: Number = 0.0

    def as_columns(self) -> _Rays:
        """Return the rays with an axis for the slices that they cross."""
        return _Rays(*(value.unsqueeze(-1) if isinstance(value, Tensor) and value.ndim else value for value in self))  # type: ignore[arg-type]


class CT2D(TapOperator):
    r"""Projections of an image along rays, in parallel or from a source (computed tomography).

    Pixels have sides of length 1, and the center of the image is the origin, about which the scan rotates. Seen from
    there, :math:`X` points along a row to the right, :math:`Y` upwards along a column.

    Forward:
        .. math:: y_{vd} = \sum_i w_{vdi} \, x_i

        where :math:`w_{vdi}` is the weight of the pixel :math:`i` on the ray to the detector :math:`d` in the view
        :math:`v`. The detectors are at

        .. math::

            u_d \, (\cos\theta_v, \sin\theta_v), \qquad u_d = \left(d - \frac{n_d - 1}{2}\right) w + o

        with their width :math:`w` and offset :math:`o`. Parallel rays have the direction
        :math:`(\sin\theta_v, -\cos\theta_v)`. In a fan beam, they come from the source
        :math:`D_s (\sin\theta_v, -\cos\theta_v)` and the detectors are moved by
        :math:`D_d (-\sin\theta_v, \cos\theta_v)`. The weight is

        - ``"strip"``: the area of the pixel between the lines to both edges of the detector, over :math:`w`; in a fan
          beam, this times :math:`((D_s + D_d)^2 + u_d^2) / ((D_s + D_d) \, \ell_{vi})` with the distance
          :math:`\ell_{vi}` of source and pixel;
        - ``"line"``: the length of the ray in the pixel;
        - ``"linear"``: Joseph's method: linear interpolation between the two pixels around the ray in each row (in each
          column, if the ray is flatter than 45 degrees), times the length of the ray in the row.

    Adjoint:
        .. math:: x_i = \sum_{v, d} w_{vdi} \, y_{vd}

        which is also called back-projection, without a filter.

    Args:
        dims: Shape of the image, :math:`n_y \times n_x`.
        det_width: Width of a detector :math:`w`, in pixels.
        det_count: Number of detectors :math:`n_d`.
        thetas: Angles :math:`\theta_v` of the views, in radians. What looks like degrees is warned of.
        engine: ``"cpu"`` or ``"cuda"``. It only decides on the default of ``projector_type``, as in PyLops: torch is
            the engine, on the device of the image.
        proj_geom_type: ``"parallel"`` or ``"fanflat"``, a fan beam on a flat detector.
        source_origin_dist: Distance :math:`D_s` from the source to the origin, in pixels, for a fan beam.
        origin_detector_dist: Distance :math:`D_d` from the origin to the detector, in pixels, for a fan beam.
        projector_type: The kernel: ``"strip"`` (default), ``"line"``, ``"linear"``, or ``"cuda"``, which is
            ``"linear"`` and the default for ``engine="cuda"``. The suffix ``"_fanflat"`` of ASTRA may be left out.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
        det_offset: Shift :math:`o` of the detectors, in pixels. In a parallel scan, it moves the center of rotation.

    All lengths may be given for each view, as vectors. Tensors in the place of ``thetas``, ``det_width``,
    ``det_offset`` and both distances carry gradients. The kernels are piecewise smooth in them; derivatives at their
    kinks are one-sided. If such tensors change, strips may get 25% wider than they were when the operator was built.
    If they get wider, this is an error; in transforms and compiled code, where values cannot be read, the data are NaN.
    If the operator is built there, strips have at most 8 pixels in a row or column.

    On the CPU, products use a sparse matrix that is kept, if it is within :func:`torchlops.config.get_sparse_limit`:
    of half of the rays if they are parallel, without an offset, and of an eighth of them where the image is square and
    reflections at its axes and diagonals map the angles to each other, as uniform ones over a half turn (or, for a fan
    beam, over a full turn). ``plan`` says which form is used. Otherwise weights are computed in each product, in
    bounded memory.

    Unlike in PyLops 2.8, angles are documented in radians, which they are there, too; complex images are projected, not
    their real parts; float64 is not rounded to float32; copies do not share a projector that dies with the first of
    them; ``"linear"`` works with fan beams; and the adjoint of ``"cuda"`` is exact. ``"strip"`` of a fan beam is right
    also where the edges of a strip are on both sides of 45 degrees, where ASTRA's weights are off by several percent.
    A ray along the border of two pixels is shared by both.

    Attributes:
        thetas: The angles, an array, or the tensor that was given.
        det_width: Width of a detector: a number, an array or a tensor, as given.
        det_count: Number of detectors.
        det_offset: Shift of the detectors, as given.
        proj_geom_type: The geometry.
        source_origin_dist: Distance from the source to the origin, as given; None for parallel rays.
        origin_detector_dist: Distance from the origin to the detector, as given; None for parallel rays.
        projector_type: The kernel by its name in ASTRA.
        engine: What was given.

    Raises:
        ValueError: If shapes do not match, an option is unknown, lengths are not finite or not positive, a fan beam
            lacks its distances, its source is inside the image, a part of the image is behind it on a ray, a detector
            is wider than its distance from the source (with strips), or strips got wider than they may.
        TypeError: If numbers are not real.

    Source: P. M. Joseph, An improved algorithm for reprojecting rays through pixel images, IEEE Transactions on Medical
    Imaging 1 (1982); R. L. Siddon, Fast calculation of the exact radiological path for a three-dimensional CT array,
    Medical Physics 12 (1985).

    Example:
        >>> import numpy as np, torch
        >>> from torchlops.medical import CT2D
        >>> A = CT2D((2, 2), 1.0, 2, [0.0, np.pi / 2])
        >>> A(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))  # sums of the columns, and of the rows from below
        tensor([[4., 6.],
                [7., 3.]])
    """

    thetas, det_width, det_offset = Constants(), Constants(), Constants()
    source_origin_dist, origin_detector_dist = Constants(), Constants()

    def __init__(
        self,
        dims: Dims,
        det_width: float | Array,
        det_count: int,
        thetas: Array,
        engine: str = "cpu",
        proj_geom_type: str = "parallel",
        source_origin_dist: float | Array | None = None,
        origin_detector_dist: float | Array | None = None,
        projector_type: str | None = None,
        dtype: DType = "float32",
        name: str = "C",
        *,
        det_offset: float | Array = 0.0,
    ) -> None:
        dims = as_dims(dims)
        if len(dims) != 2:
            batch = ". Slices of a volume are a batch: call the operator of one image with (slices, ny, nx)"
            raise ValueError(
                f"CT2D: dims must be the shape of an image (ny, nx), got {dims}{batch if len(dims) == 3 else ''}"
            )
        det_count = as_integer(det_count, "CT2D: det_count", 1)
        kernel = _kernel_of(projector_type, engine, proj_geom_type)
        angles = thetas if isinstance(thetas, Tensor) else constants(thetas, "CT2D: thetas")
        if angles.ndim != 1 or not len(angles):
            raise ValueError(f"CT2D: thetas must be a vector of angles, got shape {tuple(angles.shape)}. {PER_SAMPLE}")
        warn_of_degrees(angles, "CT2D")
        views = len(angles)
        super().__init__(dims, (views, det_count), 2 * max(dims), dtype, name)
        self._image = dims[0], dims[1]
        self.det_count, self.engine, self.proj_geom_type = det_count, engine, proj_geom_type
        self._is_fan = proj_geom_type == "fanflat"
        self._kernel = "linear" if kernel == "cuda" else kernel
        self.projector_type = f"{kernel}_fanflat" if self._is_fan and kernel != "cuda" else kernel
        keep_numbers(self, "thetas", thetas, views)
        keep_numbers(self, "det_width", det_width, views, least=0.0)
        keep_numbers(self, "det_offset", det_offset, views)
        self._keep_distances(source_origin_dist, origin_detector_dist, views)
        if self._kernel == "strip":
            self._set_taps(max(dims) * min(math.ceil(self._widest_strip() - TIE) + 1, max(dims)))
        self._orbits = self._symmetry()
        self._counted: int | None = None

    def _keep_distances(self, source: Any, detector: Any, views: int) -> None:
        """Store the distances of a fan beam, which must have its source outside of the image."""
        distances = {"source_origin_dist": source, "origin_detector_dist": detector}
        if not self._is_fan:
            given = [what for what, value in distances.items() if value is not None]
            if given:
                warn(f"CT2D: {' and '.join(given)} have no effect for parallel rays")
            self.source_origin_dist = self.origin_detector_dist = None
            return
        missing = [what for what, value in distances.items() if value is None]
        if missing:
            raise ValueError(f"CT2D: proj_geom_type='fanflat' needs {' and '.join(missing)}")
        keep_numbers(self, "source_origin_dist", source, views, least=0.0)
        keep_numbers(self, "origin_detector_dist", detector, views)
        self._check_fan()

    def _check_fan(self) -> None:
        """Refuse rays that do not come from outside of the image, as far as values can be read."""
        numbers = [torch.as_tensor(numbers_of(self, what), dtype=torch.float64) for what in NUMBERS]
        thetas, width, offset, source, detector = (
            number.detach().cpu() if is_readable(number) else None for number in numbers
        )
        if source is None or detector is None:
            return
        apart = source + detector
        if not bool((apart > 0).all()):
            raise ValueError("CT2D: source_origin_dist + origin_detector_dist must be positive")
        if width is not None and self._kernel == "strip" and not bool((width <= apart).all()):
            raise ValueError(
                "CT2D: det_width must be at most source_origin_dist + origin_detector_dist for strips of a fan beam: "
                "decrease it, or use projector_type='line'"
            )
        if thetas is None:
            return
        sine, cosine, (height, length) = thetas.sin(), thetas.cos(), self._image
        if bool((((source * sine).abs() < length / 2) & ((source * cosine).abs() < height / 2)).any()):
            raise ValueError("CT2D: the source is inside the image: increase source_origin_dist")
        if width is None or offset is None:
            return
        corners = [(x * length / 2, y * height / 2) for x in (-1, 1) for y in (-1, 1)]
        seen = torch.stack([torch.atan2(x * cosine + y * sine, y * cosine - x * sine + source) for x, y in corners])
        first, last = (torch.atan((side * self.det_count / 2 * width + offset) / apart) for side in (-1, 1))
        if bool(((seen.amax(0) - first > math.pi) | (last - seen.amin(0) > math.pi)).any()):
            raise ValueError(
                "CT2D: a part of the image is behind the source, on the extension of a ray: increase "
                "source_origin_dist, or use fewer detectors"
            )

    # -- rays --------------------------------------------------------------------------------------------------------

    def _rays(self, start: int, count: int, device: torch.device) -> _Rays:
        """Return ``count`` rays, beginning with ``start``."""
        number = torch.arange(start, start + count, device=device)
        views = torch.div(number, self.det_count, rounding_mode="floor")
        place = (number - views * self.det_count).to(torch.float64) - (self.det_count - 1) / 2
        names = NUMBERS if self._is_fan else NUMBERS[:3]
        thetas, *numbers = (at_views(numbers_of(self, name), views) for name in names)
        assert isinstance(thetas, Tensor)
        return _Rays(thetas, place, *numbers)

    def _lines(self, rays: _Rays, shift: float = 0.0, is_steep: Tensor | None = None) -> Lines:
        """Return the rays to points on the detectors, shifted from their centers by a part of their width."""
        u = (rays.place + shift) * rays.width + rays.offset
        sine, cosine = rays.theta.sin(), rays.theta.cos()
        if not self._is_fan:
            return lines((u * cosine, -u * sine), (sine, cosine), self._image, is_steep)
        source, apart = rays.source, rays.source + rays.detector
        direction = u * cosine - apart * sine, -u * sine - apart * cosine
        return lines((source * sine, source * cosine), direction, self._image, is_steep)

    def _edges(self, rays: _Rays) -> tuple[Lines, Lines]:
        """Return the lines to both edges of the detectors, on the same slices as the rays."""
        is_steep = self._lines(rays).is_steep
        return self._lines(rays, -0.5, is_steep), self._lines(rays, 0.5, is_steep)

    def _widest_strip(self) -> float:
        """Return the greatest length of a slice that is between the edges of a strip, or may get between them."""
        if not self._tensor_names:
            widest = 0.0
            for chunk in self._chunks():
                edges = self._edges(self._rays(*chunk, torch.device("cpu")))
                for slices in (0, sizes(edges[0].is_steep, self._image)[0] - 1):
                    p = tuple(edge.start + slices * edge.slope for edge in edges)
                    begin, end = between(p, edges)  # type: ignore[arg-type]
                    widest = max(widest, float((end - begin).max()))
            return widest
        names = ("det_width", "source_origin_dist", "origin_detector_dist")[: 3 if self._is_fan else 1]
        numbers = [numbers_of(self, name) for name in names]
        if not all(is_readable(number) for number in numbers if isinstance(number, Tensor)):
            return UNREAD - 1
        margin = MARGIN if set(names) & set(self._tensor_names) else 1.0
        width = margin * _extreme(numbers[0], max)
        if not self._is_fan:
            return math.sqrt(2) * width + 1
        farthest = _extreme(numbers[1], max) + math.hypot(*self._image) / 2
        angle = width / (_extreme(numbers[1], min) + _extreme(numbers[2], min))  # between the edges, at most
        return (2 * farthest * angle + 1) * (1 + angle)

    # -- sparse matrices ---------------------------------------------------------------------------------------------

    def _symmetry(self) -> Orbits | None:
        """Return the few rays from which all follow, if there are few."""
        numbers = (self.det_width, self.det_offset, self.source_origin_dist, self.origin_detector_dist)
        if not all(number is None or isinstance(number, float) for number in numbers):
            return None
        if not isinstance(self.thetas, np.ndarray) or self.det_offset != 0.0:
            return None
        return orbits(self.thetas, self.det_count, self._is_fan, self._image)

    @property
    def _form(self) -> str:  # type: ignore[override]
        if self._orbits is None:
            return "sparse matrix"
        return f"sparse matrix of some rays, with {self._orbits.images} images"

    def _few_in_chunks(self) -> Iterator[_Rays]:
        """Yield the rays of which the sparse matrix has the weights."""
        if self._orbits is None:
            yield from (self._rays(*chunk, torch.device("cpu")) for chunk in self._chunks())
            return
        numbers = [numbers_of(self, name) for name in NUMBERS[1 : 5 if self._is_fan else 3]]
        at_once = self._rows_at_once()
        for start in range(0, len(self._orbits), at_once):
            theta, place = (rays[start : start + at_once] for rays in self._orbits.rays)
            yield _Rays(theta, place, *numbers)

    def _entries(self, x: Tensor) -> int:
        """Return the number of entries of the matrix: a bound or, where this is above the limit, a count."""
        most = (self.shape[0] if self._orbits is None else len(self._orbits)) * self._width
        if self._tensor_names or not x.is_cpu or sparse_bytes(x, most) <= get_sparse_limit():
            return most
        if self._counted is None:
            self._counted = sum(self._most_pixels(rays.as_columns()) for rays in self._few_in_chunks())
        return self._counted

    def _most_pixels(self, rays: _Rays) -> int:
        """Return the number of pixels that have a weight on rays, at most."""
        slices = torch.arange(max(self._image), dtype=torch.float64)
        edges = self._edges(rays) if self._kernel == "strip" else (self._lines(rays),) * 2
        begin, end = between(tuple(edge.start + slices * edge.slope for edge in edges), edges)  # type: ignore[arg-type]
        if self._kernel == "linear":
            begin = end = (begin + end) / 2
            begin, end = begin - 0.5, end + 0.5
        count, samples = sizes(edges[0].is_steep, self._image)
        first, last = (begin + 0.5 - TIE).floor_().clamp_(min=0), torch.minimum((end - 0.5 + TIE).ceil_(), samples - 1)
        return int((last - first + 1).clamp_(min=0).mul_(slices < count).sum())

    def _make_matrix(self, x: Tensor, adjoint: bool) -> Tensor:
        parts = ((index.flatten(1), weight.flatten(1)) for index, weight in map(self._weights, self._few_in_chunks()))
        rows = self.shape[0] if self._orbits is None else len(self._orbits)
        return matrix_of(parts, (rows, self.shape[1]), real_dtype(x.dtype), adjoint)

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:
        if self._orbits is None or not self._keeps_matrix(x):
            return super()._multiply(x, adjoint)
        given, wanted = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        batch = x.shape[: x.ndim - len(given)]
        parts = torch.view_as_real(x.resolve_conj()).movedim(-1, 0) if x.is_complex() else x.unsqueeze(0)
        matrix = self._products.kept(x, adjoint, self._held_tensors(), self._make_matrix)
        items = parts.reshape((-1, math.prod(given)) if adjoint else (-1, *given))
        y = parts.new_empty((len(items), math.prod(wanted)))
        at_once = max(1, CACHED // (self._orbits.images * self.shape[1]))
        for start in range(0, len(items), at_once):
            some = slice(start, start + at_once)
            y[some] = self._orbits.multiply(matrix, items[some], adjoint)
        y = y.reshape((len(parts), *batch, *wanted))
        return torch.complex(y[0], y[1]) if x.is_complex() else y[0]

    # -- without tables ----------------------------------------------------------------------------------------------

    def _has_sweep(self, x: Tensor) -> bool:
        """Whether there is a kernel in place for ``x``, which cannot have numbers that are not finite."""
        own = [numbers_of(self, name) for name in self._tensor_names]
        is_finite = all(bool(number.isfinite().all()) for number in own if isinstance(number, Tensor))
        return x.is_cpu and x.numel() > 0 and is_finite and not (self._kernel == "strip" and self._is_fan)

    def _sweeps(self) -> Iterator[tuple[slice, Sweep]]:
        """Yield the kernels of some views after each other."""
        views, at_once = self.dimsd[0], max(1, CHUNK // 4 // self.det_count)
        for first in range(0, views, at_once):
            some = slice(first, min(first + at_once, views))
            count = some.stop - first
            if self._kernel == "strip":
                yield some, EdgeSweep(self._borders(first, count), self._image)
            else:
                rays = self._rays(first * self.det_count, count * self.det_count, torch.device("cpu"))
                yield some, Sweep(self._lines(rays), self._kernel, self._image)

    def _borders(self, first: int, views: int) -> Lines:
        """Return the parallel rays to both ends of the detectors and between them, one more in each view."""
        count = self.det_count + 1
        places = torch.arange(count, dtype=torch.float64) - self.det_count / 2
        view = torch.arange(first, first + views).repeat_interleave(count)
        theta, *numbers = (at_views(numbers_of(self, name), view) for name in NUMBERS[:3])
        return self._lines(_Rays(theta, places.repeat(views), *numbers))  # type: ignore[arg-type]

    def _over_width(self, lines: Lines, views: slice) -> Tensor:
        """Return what differences of sums before the borders are multiplied by, ``(views, 1)``."""
        width, count = numbers_of(self, "det_width"), self.det_count + 1
        sign = (torch.where(lines.is_steep, 1, -1) * torch.sign(lines.along)).reshape(-1, count)[:, :1]
        return sign / (width[views].unsqueeze(-1) if isinstance(width, Tensor) and width.ndim else width)

    def _gathered_fast(self, flat: Tensor) -> Tensor:
        if not self._has_sweep(flat):
            return super()._gathered_fast(flat)
        x = flat.reshape((-1, *self._image))
        data = x.new_empty((len(x), *self.dimsd))
        for views, sweep in self._sweeps():
            y = sweep.gather(x)
            if self._kernel == "strip":
                y = y.reshape(len(x), -1, self.det_count + 1).diff(dim=-1) * self._over_width(sweep.lines, views)
            data[:, views] = y.reshape(len(x), -1, self.det_count)
        return data.reshape((*flat.shape[:-1], self.shape[0]))

    def _scattered_fast(self, flat: Tensor) -> Tensor:
        if not self._has_sweep(flat):
            return super()._scattered_fast(flat)
        data = flat.reshape((-1, *self.dimsd))
        x = flat.new_zeros((len(data), *self._image))
        for views, sweep in self._sweeps():
            y = data[:, views]
            if self._kernel == "strip":
                y = -pad(y.to(torch.float64) * self._over_width(sweep.lines, views), (1, 1)).diff(dim=-1)
            x += sweep.scatter(y.flatten(1))
        return x.reshape((*flat.shape[:-1], self.shape[1]))

    # -- weights -----------------------------------------------------------------------------------------------------

    def _taps(self, start: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        index, weight = self._weights(self._rays(start, count, device))
        return index.reshape(count, -1), weight.reshape(count, -1)

    def _weights(self, rays: _Rays) -> tuple[Tensor, Tensor]:
        """Return the pixels along rays and their weights, ``(rays, slices, taps)``."""
        columns = rays.as_columns()
        slices = torch.arange(max(self._image), dtype=torch.float64, device=rays.place.device)
        if self._kernel == "strip":
            edges = self._edges(columns)
            p = tuple(edge.start + slices * edge.slope for edge in edges)
            samples = sizes(edges[0].is_steep, self._image)[1]
            first, weight = strip(p, edges, samples, self._width // max(self._image))  # type: ignore[arg-type]
            weight = weight * self._strip_factor(columns, edges[0], slices, first, weight.shape[-1])
            is_steep = edges[0].is_steep
        else:
            middle = self._lines(columns)
            first, weight = KERNELS[self._kernel](middle.start + slices * middle.slope, middle)
            is_steep = middle.is_steep
        index, weight = self._inside(is_steep, slices, first, weight)
        if self._kernel == "strip" and self._tensor_names and is_readable(weight) and bool(weight.isnan().any()):
            raise ValueError(
                f"{self.name_and_type}: strips got wider than the {self._width // max(self._image)} pixels of a row or "
                "column for which it was built, or its tensors are not finite: build a new operator"
            )
        return index, weight

    def _strip_factor(self, rays: _Rays, edge: Lines, slices: Tensor, first: Tensor, taps: int) -> Tensor:
        """Return what the area of a strip is multiplied by: its sign, the width of the detector and, in a fan, more."""
        sign = torch.where(edge.is_steep, 1, -1) * torch.sign(edge.along.detach())
        if not self._is_fan:
            return (sign / rays.width).unsqueeze(-1)
        apart = rays.source + rays.detector
        u = rays.place * rays.width + rays.offset
        factor = -sign * (apart * apart + u * u) / (apart * rays.width)
        x, y = rays.source * rays.theta.sin(), rays.source * rays.theta.cos()
        there, here = torch.where(edge.is_steep, x, y), torch.where(edge.is_steep, y, x)
        count, samples = sizes(edge.is_steep, self._image)
        pixels = first.unsqueeze(-1) + torch.arange(taps, dtype=first.dtype, device=first.device)
        across = pixels - ((samples - 1) / 2 + there).unsqueeze(-1)
        along = slices - (count - 1) / 2 - here
        return factor.unsqueeze(-1) / (across * across + (along * along).unsqueeze(-1)).sqrt()

    def _inside(self, is_steep: Tensor, slices: Tensor, first: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pixels at samples of slices, with no weight where these are outside of the image."""
        count, samples = (size.unsqueeze(-1) for size in sizes(is_steep, self._image))
        taps = torch.arange(weight.shape[-1], dtype=first.dtype, device=first.device)
        sample, at = first.unsqueeze(-1) + taps, slices.unsqueeze(-1)
        is_outside = (sample < 0) | (sample >= samples) | (at >= count)
        sample = torch.where(is_outside | sample.isnan(), 0, sample).to(torch.int64)
        at = torch.minimum(at.to(torch.int64), count - 1)
        nx, steep = self._image[1], is_steep.unsqueeze(-1)
        index = torch.where(steep, at * nx + sample, sample * nx + at)
        return index, torch.where(is_outside, 0, weight)  # NaN stays where positions are not finite

    def extra_repr(self) -> str:
        return f"{self.dimsd[0]} views, {self.det_count} detectors, {self.projector_type}, {self.proj_geom_type}"


def _extreme(number: Number, of: Callable[[list[float]], float]) -> float:
    return of(number.reshape(-1).tolist()) if isinstance(number, Tensor) else number


def _kernel_of(projector_type: str | None, engine: str, geometry: str) -> str:
    """Return the kernel, without the suffix of the geometry."""
    if engine not in ("cpu", "cuda"):
        raise NotImplementedError(f"CT2D: engine must be 'cpu' or 'cuda', got {engine!r}")
    if geometry not in ("parallel", "fanflat"):
        raise ValueError(f"CT2D: proj_geom_type must be 'parallel' or 'fanflat', got {geometry!r}")
    if projector_type is None:
        return "cuda" if engine == "cuda" else "strip"
    kernel = str(projector_type).removesuffix("_fanflat") if geometry == "fanflat" else projector_type
    if kernel not in ("strip", "line", "linear", "cuda"):
        raise ValueError(
            f"CT2D: projector_type must be 'strip', 'line', 'linear' or 'cuda', and may end on '_fanflat' for a fan "
            f"beam, got {projector_type!r} for {geometry!r}"
        )
    return kernel
