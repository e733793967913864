"""The kernels of the non-uniform fast Fourier transform.

A model is divided by the transform of a window, and transformed by an FFT over a grid of twice its size; the window
then interpolates the grid at the points. On the CPU, without derivatives, points are taken in the order of their cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import DType, complex_dtype, promote, real_dtype, real_part, torch_dtype
from torchlops.basicoperators._positions import (
    Constants,
    constants,
    given_or_kept,
    in_result_dtype,
    is_readable,
    keep_constants,
    kept_constants,
    register_or_keep,
)
from torchlops.basicoperators._sparse import SparseProducts, compressed_matrix, multiply, sparse_matrix
from torchlops.basicoperators._taps import Plan, TapOperator
from torchlops.extras import import_extra
from torchlops.memory import empty
from torchlops.shapes import Dims, as_dims
from torchlops.signalprocessing._fourierradon import zeros_of
from torchlops.signalprocessing._gridding import (
    COARSEST,
    FINEST,
    inverse_transform,
    polynomials,
    powers,
    shape_parameter,
    smooth_length,
    width_of,
)

NORMS = ("none", "ortho")

PIECE = 1 << 16
"""Number of taps that are computed at a time without derivatives, so that they stay in the cache."""

FEW, MANY = 1 << 20, 1 << 24
"""Number of samples of the grids that are computed at a time: with a sparse matrix, and without."""


@dataclass(frozen=True)
class Table:
    """A sparse matrix from the grid to the points in the order of their cells, or back.

    Attributes:
        matrix: The matrix.
        order: Which points its rows are or, of that of the adjoint, its columns.
        places: What the points are gathered by, from or to this order.
    """

    matrix: Tensor
    order: Tensor
    places: Tensor

    def pieces(self, width: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield some points, and the indices and weights of their taps."""
        step = max(1, PIECE // width)
        indices, weights = self.matrix.col_indices().view(-1, width), self.matrix.values().view(-1, width)
        for start in range(0, len(self.order), step):
            some = slice(start, start + step)
            yield self.order[some], indices[some], weights[some]


class Finufft:
    """The transforms of one or several trajectories by finufft, whose plans are made when they are needed.

    Args:
        points: The points ``(*samples, M, d)``.
        axes: Shape of one model.
        tol: Relative error.
        scale: Factor of both transforms.
    """

    def __init__(self, points: NDArray[np.float64], axes: tuple[int, ...], tol: float, scale: float) -> None:
        self.points = points.reshape(-1, *points.shape[-2:]).transpose(0, 2, 1).copy()
        self.axes, self.tol, self.scale = axes, tol, scale
        self._plans: dict[tuple[bool, np.dtype[Any], int], Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_plans": {}}

    def __call__(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        """Apply to a batch."""
        samples, side = len(self.points), (self.points.shape[-1],) if adjoint else self.axes
        flat = x.astype(np.promote_types(x.dtype, np.complex64), copy=False).reshape(-1, samples, *side)
        found = [
            self._plan(adjoint, flat.dtype, sample).execute(item[sample]) for item in flat for sample in range(samples)
        ]
        y: NDArray[Any] = np.stack(found) * flat.real.dtype.type(self.scale)
        return y

    def _plan(self, adjoint: bool, dtype: np.dtype[Any], sample: int) -> Any:
        key = (adjoint, dtype, sample)
        if key not in self._plans:
            kind, sign = (1, 1) if adjoint else (2, -1)
            finufft = import_extra("finufft", "NUFFT(engine='finufft')")
            plan = finufft.Plan(
                kind, self.axes, eps=self.tol, isign=sign, dtype=dtype.name, nthreads=torch.get_num_threads()
            )
            plan.setpts(*self.points[sample].astype(dtype.type(0).real.dtype))
            self._plans[key] = plan
        return self._plans[key]

    def __repr__(self) -> str:
        return "finufft"


class NonUniformTransform(TapOperator):
    """Fourier transform of samples on a grid at arbitrary frequencies.

    Arguments as in :class:`~torchlops.signalprocessing.NUFFT`.
    """

    points = Constants()

    def __init__(
        self,
        dims: Dims,
        points: Any,
        tol: float,
        norm: str,
        dtype: DType,
        name: str,
        engine: str,
    ) -> None:
        axes = axes_of(dims)
        learns = isinstance(points, Tensor)
        points = points if learns else constants(points, "NUFFT: points")
        shape = tuple(points.shape)
        _check(axes, shape, tol, norm)
        self.tol, self.width, self._norm = float(tol), width_of(tol), norm
        samples = shape[:-2]
        grid = tuple(2 * smooth_length(n) for n in axes)
        label = torch_dtype(dtype)
        super().__init__(
            (*samples, *axes),
            (*samples, shape[-2]),
            self.width ** len(axes),
            promote([complex_dtype(label), torch.complex64]),
            name,
            grid=(*samples, *grid),
            real_model=not label.is_complex,
        )
        self._axes, self._sizes = axes, grid
        self._scale = scale_of(axes, norm)
        for axis, (n, size) in enumerate(zip(axes, grid, strict=True)):
            parameter = shape_parameter(self.width, n, size)
            keep_constants(self, f"window{axis}", polynomials(self.width, parameter))
            keep_constants(self, f"factors{axis}", inverse_transform(self.width, parameter, n, size))
        register_or_keep(self, "points", points, learns)
        self._check_points()
        self.engine = engine
        if engine == "finufft":
            if learns:
                raise TypeError(
                    "NUFFT: points are a tensor, but finufft gives no gradient by them here: pass an array, or use "
                    "engine='torch'"
                )
            import_extra("finufft", "NUFFT(engine='finufft')")
            self._take_function(Finufft(points.numpy(), axes, self.tol, self._scale), self._torch_dtype())
        elif engine != "torch":
            raise ValueError(f"NUFFT: engine must be 'torch' or 'finufft', got {engine!r}")

    def _check_points(self) -> None:
        held = given_or_kept(self, "points")
        if held.is_complex():
            raise TypeError(f"NUFFT: points must be real, got {held.dtype}")
        if is_readable(held) and not bool(held.detach().isfinite().all()):
            raise ValueError("NUFFT: points must be finite, got NaN or infinity: drop those samples")

    # -- the window --------------------------------------------------------------------------------------------------

    def _taps(self, start: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        points = self._flat_points().narrow(0, start, count)
        sample = torch.arange(start, start + count, device=device).div(self.dimsd[-1], rounding_mode="floor")
        return self._taps_at(points, sample)

    def _flat_points(self) -> Tensor:
        return given_or_kept(self, "points").to(torch.float64).reshape(self.shape[0], len(self._axes))

    def _taps_at(self, points: Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
        """Return the taps of points ``(count, d)`` of samples ``(count,)``; indices have the dtype of the latter."""
        index, weight = sample.unsqueeze(-1), points
        shift = torch.arange(self.width, device=points.device, dtype=sample.dtype)
        for axis, size in enumerate(self._sizes):
            place, first = self._places(points, axis)
            offset = 2 * (place - first) - (self.width - 1)  # within the cell, from -1 to 1
            taps = powers(offset, self.width + 6) @ kept_constants(self, f"window{axis}")
            cells = (first.to(sample.dtype).unsqueeze(-1) + shift).remainder(size)
            index = (index.unsqueeze(-1) * size + cells.unsqueeze(-2)).flatten(-2)
            weight = (weight.unsqueeze(-1) * taps.unsqueeze(-2)).flatten(-2) if axis else taps
        return index, weight

    def _places(self, points: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """Return positions along an axis of the grid, and that of the first tap of each."""
        turns = points.select(-1, axis) / (2 * math.pi)
        place = (turns - turns.floor()) * self._sizes[axis]
        return place, (place - self.width / 2).floor() + 1

    # -- the transform of the grid -----------------------------------------------------------------------------------

    def _weighted(self, x: Tensor) -> Tensor:
        """Return models divided by the transform of the window, and scaled."""
        for axis in range(len(self._axes)):
            factors = kept_constants(self, f"factors{axis}") * (self._scale if axis == 0 else 1.0)
            x = x * factors.to(real_dtype(x.dtype)).reshape(-1, *(1,) * (len(self._axes) - 1 - axis))
        return x

    def _spectrum(self, x: Tensor) -> Tensor:
        """Return the samples on the grid of frequencies of models in the dtype of the result."""
        x = self._weighted(x)
        x = x.to(complex_dtype(x.dtype))
        if x.numel() == 0:  # the CPU FFT rejects an empty batch
            return zeros_of(x, len(self.dims), self._grid)
        for axis in range(-1, -len(self._axes) - 1, -1):
            n, size = self._axes[axis], self._sizes[axis]
            shape = [size - n if i == x.ndim + axis else extent for i, extent in enumerate(x.shape)]
            right, left = x.narrow(axis, n // 2, n - n // 2), x.narrow(axis, 0, n // 2)
            x = torch.fft.fft(torch.cat((right, x.new_zeros(shape), left), axis), dim=axis)
        return x

    def _image(self, grid: Tensor) -> Tensor:
        """Return the adjoint of :meth:`_spectrum`."""
        x = grid.to(complex_dtype(grid.dtype))
        if x.numel() == 0:
            return zeros_of(x, len(self._grid), self.dims)
        for axis in range(-len(self._axes), 0):
            n, size = self._axes[axis], self._sizes[axis]
            x = torch.fft.ifft(x, dim=axis, norm="forward")
            x = torch.cat((x.narrow(axis, size - n // 2, n // 2), x.narrow(axis, 0, n - n // 2)), axis)
        return self._weighted(x)

    # -- differentiable ----------------------------------------------------------------------------------------------

    def _forward(self, x: Tensor) -> Tensor:
        if self._function is not None:
            return self._function(x, False)
        return self._gathered(self._spectrum(in_result_dtype(self, x)))

    def _adjoint(self, y: Tensor) -> Tensor:
        if self._function is not None:
            return self._function(y, True)
        x = self._image(self._scattered(in_result_dtype(self, y)))
        return real_part(x) if self.real_model else x

    def _tensor_gradients(self, model: Tensor, data: Tensor) -> tuple[Tensor, ...]:
        """Return the gradient by the points, of which the derivative is the transform of ``-i n x``."""
        ndim, moments = len(self._axes), []
        for axis, n in enumerate(self._axes):
            place = torch.arange(-(n // 2), n - n // 2, device=model.device, dtype=real_dtype(model.dtype))
            moments.append(model * place.reshape(-1, *(1,) * (ndim - 1 - axis)))
        products = self.apply_nd(torch.stack(moments)).conj() * data
        batch = tuple(range(1, products.ndim - len(self.dimsd)))
        gradient = -(products.imag.sum(batch) if batch else products.imag)
        return (gradient.movedim(0, -1).to(self.points.dtype),)

    # -- without derivatives -----------------------------------------------------------------------------------------

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:
        has_short_indices = math.prod(self._grid) < 2**31
        return self._function is None and has_short_indices and super()._is_fast_for(x, adjoint)

    def _keeps_matrix(self, x: Tensor) -> bool:
        """Whether the matrix of the forward is kept; that of the adjoint is too, unless the points learn."""
        return x.is_cpu and SparseProducts.suit(x, self._held_tensors(), self.shape[0] * self._width)

    @property
    def plan(self) -> Plan:
        """How products with one model are computed on the CPU, in the dtype of the operator."""
        if self._function is not None:
            return Plan("finufft", 0, None)
        plan = super().plan
        return replace(plan, nbytes=plan.nbytes // 2) if self._learns else plan

    @property
    def _learns(self) -> bool:
        return any(tensor.requires_grad for tensor in self._own_tensors())

    def _fast_forward(self, x: Tensor) -> Tensor:
        if not x.is_cpu:
            with torch.no_grad():
                return self._forward(x)
        x = in_result_dtype(self, x)
        batch = x.shape[: x.ndim - len(self.dims)]
        y = empty((*batch, *self.dimsd), complex_dtype(x.dtype))
        rows, table = y.view(math.prod(batch), self.shape[0]), self._table(x)
        for items, models in self._in_items(x, self.dims, FEW if table else MANY):
            grids = self._spectrum(models).flatten(1)
            if table:
                rows[items] = multiply(table.matrix, grids).index_select(1, table.places)
            else:
                self._interpolate(grids, rows[items])
        return y

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        if not y.is_cpu:
            with torch.no_grad():
                return self._adjoint(y)
        y = in_result_dtype(self, y)
        y = y.to(complex_dtype(y.dtype)).resolve_conj()
        batch = y.shape[: y.ndim - len(self.dimsd)]
        x = empty((*batch, *self.dims), real_dtype(y.dtype) if self.real_model else y.dtype)
        models, table = x.view(math.prod(batch), *self.dims), None
        if self._keeps_matrix(y) and not self._learns:
            table = self._products.kept(y, True, self._held_tensors(), self._make_adjoint)
        for items, data in self._in_items(y, self.dimsd, FEW if table else MANY):
            if table:
                grids = multiply(table.matrix, data.flatten(1).index_select(1, table.places))
            else:
                grids = self._grid_of(data.flatten(1))
            image = self._image(grids.view(-1, *self._grid))
            models[items] = image.real if self.real_model else image
        return x

    def _table(self, x: Tensor) -> Table | None:
        """Return the matrix of the forward, unless it is too large."""
        if not self._keeps_matrix(x):
            return None
        return self._products.kept(x, False, self._held_tensors(), self._make_forward)

    def _in_items(self, x: Tensor, dims: tuple[int, ...], most: int) -> Iterator[tuple[slice, Tensor]]:
        """Yield items of a batch, and their places: some at a time, which share what is read or computed of taps."""
        count = math.prod(x.shape[: x.ndim - len(dims)])
        flat, step = x.reshape(count, *dims), max(1, most // math.prod(self._grid))
        return ((slice(i, i + step), flat[i : i + step]) for i in range(0, count, step))

    def _sorted(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the points in the order of their cells, the sample of each, and which ones they are."""
        points = self._flat_points()
        sample = torch.arange(self.shape[0], device=points.device).div(self.dimsd[-1], rounding_mode="floor")
        cell = sample
        for axis, size in enumerate(self._sizes):
            cell = cell * size + self._places(points, axis)[1].to(torch.int64).remainder(size)
        order = torch.argsort(cell)
        return points.index_select(0, order), sample.index_select(0, order), order

    def _in_order(self, integers: torch.dtype) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield points in the order of their cells, with their taps: which points, and indices and weights."""
        with torch.no_grad():
            points, sample, order = self._sorted()
            sample, step = sample.to(integers), max(1, PIECE // self._width)
            for start in range(0, self.shape[0], step):
                some = slice(start, start + step)
                yield (order[some], *self._taps_at(points[some], sample[some]))

    def _interpolate(self, grids: Tensor, y: Tensor) -> None:
        """Write grids ``(items, size)`` at the points to ``y``, ``(items, points)``."""
        parts = torch.view_as_real(grids).transpose(0, 1).reshape(grids.shape[1], -1)
        starts = torch.arange(PIECE // self._width + 2, dtype=torch.int32, device="cpu") * self._width
        for order, index, weight in self._in_order(torch.int32):
            shape, values = (len(index), len(parts)), weight.to(parts.dtype).flatten()
            matrix = compressed_matrix(starts[: len(index) + 1], index.flatten(), values, shape)
            found = torch.mm(matrix, parts).view(len(index), -1, 2).transpose(0, 1)
            y.index_copy_(1, order, torch.view_as_complex(found.contiguous()))

    def _grid_of(self, y: Tensor) -> Tensor:
        """Return data ``(items, points)`` spread on grids."""
        grids, table = y.new_zeros((len(y), math.prod(self._grid))), self._table(y)
        for order, index, weight in table.pieces(self._width) if table else self._in_order(torch.int64):
            index, weight = index.to(torch.int64).flatten(), weight.to(real_dtype(y.dtype))
            for item, grid in zip(y, grids, strict=True):
                grid.scatter_add_(0, index, (item[order].unsqueeze(1) * weight).flatten())
        return grids

    def _make_forward(self, x: Tensor, adjoint: bool) -> Table:  # noqa: ARG002
        orders, columns, values = zip(*self._in_order(torch.int32), strict=True)
        rows = self.shape[0]
        starts = torch.arange(rows + 1, dtype=torch.int32, device="cpu") * self._width
        value = torch.cat(values).to(real_dtype(x.dtype)).flatten()
        matrix = compressed_matrix(starts, torch.cat(columns).flatten(), value, (rows, math.prod(self._grid)))
        order = torch.cat(orders)
        return Table(matrix, order, torch.empty_like(order).scatter_(0, order, torch.arange(rows, device="cpu")))

    def _make_adjoint(self, x: Tensor, adjoint: bool) -> Table:  # noqa: ARG002
        order, columns, values = map(torch.cat, zip(*self._in_order(torch.int32), strict=True))
        column, value = columns.flatten(), values.to(real_dtype(x.dtype)).flatten()
        column, by_cell = torch.sort(column, stable=True)
        point, shape = by_cell // self._width, (math.prod(self._grid), self.shape[0])
        return Table(sparse_matrix(column, point, value[by_cell], shape), order, order)

    def extra_repr(self) -> str:
        samples = "" if len(self.dims) == len(self._axes) else f", {self.dims[: -len(self._axes)]} trajectories"
        norm = "" if self._norm == "none" else f", norm={self._norm!r}"
        return f"{self.dimsd[-1]} points{samples}, tol={self.tol:g}{norm}"


def axes_of(dims: Dims) -> tuple[int, ...]:
    """Return the axes of a grid, of which there are at most three."""
    axes = as_dims(dims)
    if len(axes) > 3:
        raise ValueError(
            f"NUFFT: dims must have one to three axes, got {axes}. Points of shape (*samples, M, d) give each sample "
            "a trajectory; models have leading batch axes without being told"
        )
    return axes


def scale_of(axes: tuple[int, ...], norm: str) -> float:
    """Return the factor of the transform."""
    return 1 / math.sqrt(math.prod(axes)) if norm == "ortho" else 1.0


def _check(axes: tuple[int, ...], points: tuple[int, ...], tol: float, norm: str) -> None:
    if len(points) < 2 or points[-1] != len(axes) or 0 in points:
        raise ValueError(
            f"NUFFT: points must be of shape (*samples, M, {len(axes)}), one coordinate for each axis of dims={axes}, "
            f"with one point at least, got shape {points}"
        )
    if not FINEST <= tol <= COARSEST:
        raise ValueError(f"NUFFT: tol must be from {FINEST:g} to {COARSEST:g}, got {tol!r}")
    if norm not in NORMS:
        raise ValueError(f"NUFFT: norm must be 'none' or 'ortho', got {norm!r}")
