"""The sums of :class:`~torchlops.waveeqprocessing.Kirchhoff`, without the wavelet, and what they come from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import DType, real_dtype
from torchlops.basicoperators._positions import constants, in_result_dtype, keep_constants, kept_constants, read_only
from torchlops.basicoperators._sparse import FAST_DTYPES, SparseProducts
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.waveeqprocessing._arrivals import Arrivals, fast_spread, fast_stack, matrix, spread, stack, taper
from torchlops.waveeqprocessing._traveltimes import distances, gradient, unit

DAMPING = 1e-2
"""What is added to distances in amplitudes, as a part of the longest way."""

Limits = tuple[float, float]


class Given:
    """A table, positions or a velocity that a user gave: the tensor itself, or a read-only array of the constants.

    Tables that follow from given positions are computed when they are read.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, operator: TravelTimeSums | None, kind: type | None = None) -> Any:
        if operator is None:
            return self
        if operator.has(self.name):
            held = operator.given(self.name)
            return held if self.name in operator._tensor_names else read_only(held)
        if operator.is_positional:
            tables = operator.tables()
            if self.name in tables:
                return tables[self.name].mT
        raise AttributeError(f"{type(operator).__name__} has no attribute {self.name!r}")

    def __set__(self, operator: TravelTimeSums, value: Any) -> None:
        if not operator.has(self.name):
            raise AttributeError(f"{operator.name_and_type}: {self.name} cannot be set, since none was given")
        if isinstance(value, Tensor) and value.requires_grad:
            raise AttributeError(
                f"{operator.name_and_type}: {self.name} was given as an array, so it is constant. Build a new operator "
                "with a tensor, which carries gradients"
            )
        old, values = operator.given(self.name), constants(value, f"{operator.name_and_type}: {self.name}")
        if values.numel() != old.numel():
            raise ValueError(
                f"{operator.name_and_type}: {self.name} is of shape {tuple(old.shape)}, got {tuple(values.shape)}"
            )
        operator.keep(self.name, values.to(old.device).reshape(old.shape))


TIMES = ("trav", "trav_srcs", "trav_recs")
AMPLITUDES = ("amp_srcs", "amp_recs")


class TravelTimeSums(AccumulatingOperator):
    """Sums of image points into traces, and of traces into image points.

    Args:
        dims: Shape of the image.
        nt: Number of samples of a trace.
        start: Time of the first sample.
        dt: Sampling step in time.
        rows: For each table of times, the column of each pair, ``(pairs,)``.
        given: What the times come from: the tables ``trav``, or ``trav_srcs`` and ``trav_recs``, ``(points, count)``,
            or the positions ``srcs`` and ``recs`` with the velocity ``vel``; and the amplitudes ``amp_srcs`` and
            ``amp_recs`` and the velocity of dynamic weights.
        grid: Coordinates of the image points, ``(axes, points)``.
        sampling: Steps of the grid, for the angles of rays; None if they are not needed.
        dynamic: Whether there are amplitudes.
        angles: Limits of the angles between rays and the vertical, in radians; or None.
        aperture: Limits of offset over depth, or None.
        offsets: Offset of each pair, where there is an aperture and ``given`` has no positions.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
    """

    _is_fast_without_autocast = True

    trav, trav_srcs, trav_recs, amp_srcs, amp_recs = Given(), Given(), Given(), Given(), Given()
    srcs, recs, vel = Given(), Given(), Given()

    _rows: Tensor

    def __init__(
        self,
        dims: tuple[int, ...],
        nt: int,
        start: float,
        dt: float,
        rows: tuple[Tensor, ...],
        given: Mapping[str, Any],
        grid: Tensor,
        sampling: tuple[float, ...] | None,
        dynamic: bool,
        angles: Limits | None,
        aperture: Limits | None,
        offsets: Tensor | None,
        dtype: DType,
        name: str,
    ) -> None:
        pairs = len(rows[0])
        super().__init__(dims, (pairs, nt), dtype=dtype, name=name)
        self._start, self._dt, self._sampling = start, dt, sampling
        self._dynamic, self._angles, self._limits = dynamic, angles, aperture
        self.is_positional = False  # as long as there is nothing to compute tables from
        self.register_buffer("_rows", torch.stack(rows), persistent=False)
        if "srcs" in given or aperture is not None:
            self.keep("grid", grid)
        if offsets is not None:
            self.keep("offsets", offsets)
        for key, value in given.items():
            if isinstance(value, Tensor):
                self._register(key, value)
            else:
                self.keep(key, torch.from_numpy(np.array(value, dtype=np.float64)))
        self.is_positional = "srcs" in given
        self._products = SparseProducts()
        self._work = pairs  # each image point is added to all traces

    def keep(self, name: str, values: Tensor) -> None:
        """Keep constants, which a cast of the operator does not change: float32 is too short for times."""
        keep_constants(self, name, values)

    def has(self, name: str) -> bool:
        """Whether something of this name was given."""
        return name in self._tensor_names or f"_{name}" in self._buffers

    def given(self, name: str) -> Tensor:
        """Return what was given: a tensor of the user, or float64 constants."""
        return self._tensor(name) if name in self._tensor_names else kept_constants(self, name)

    # -- tables ------------------------------------------------------------------------------------------------------

    def tables(self) -> dict[str, Tensor]:
        """Return the tables of times and amplitudes, ``(count, points)``."""
        if not self.is_positional:
            points, names = math.prod(self.dims), filter(self.has, (*TIMES, *AMPLITUDES))
            return {name: self.given(name).reshape(points, -1).mT.to(torch.float64).contiguous() for name in names}
        ways = [distances(self._positions_of(name), self.given("grid")) for name in ("srcs", "recs")]
        velocity = self.given("vel").to(torch.float64)
        tables = {name: way / velocity for name, way in zip(TIMES[1:], ways, strict=True)}
        if self._dynamic:
            tables |= zip(AMPLITUDES, amplitudes(ways, len(self.dims)), strict=True)
        return tables

    def _positions_of(self, name: str) -> Tensor:
        """Return positions ``(axes, count)``; where a shot has no receiver, the first one, so that no way is longer."""
        positions = self.given(name).to(torch.float64)
        if positions.ndim == 2:
            return positions
        flat = positions.reshape(len(self.dims), -1)
        present = ~flat.isnan().any(0)
        first = flat.gather(1, present.long().argmax(-1, keepdim=True).expand(len(self.dims), 1))
        return torch.where(present, flat, first)

    def slopes(self, times: Tensor) -> list[Tensor]:
        """Return the derivative of times along each axis of the grid."""
        assert self._sampling is not None
        return gradient(times, self.dims, self._sampling)

    def arrivals(self) -> Arrivals:
        """Return the positions and weights of all arrivals."""
        tables = self.tables()
        times, rows = [tables[name] for name in TIMES if name in tables], self._rows.unbind()
        weights: tuple[Tensor, ...] = ()
        slopes = [] if self._sampling is None else [self.slopes(table) for table in times]
        if self._dynamic:
            velocity = self.given("vel").to(torch.float64)
            over_velocity = tables["amp_recs"] / velocity.reshape(-1 if velocity.numel() > 1 else ())
            weights = (tables["amp_srcs"], over_velocity)
        if self._angles is not None:
            tapers = tuple(taper(to_vertical(parts), self._angles) for parts in slopes)
            weights = tuple(w * t for w, t in zip(weights, tapers, strict=True)) if weights else tapers
        directions = tuple(unit(parts) for parts in slopes) if self._dynamic else ()
        samples = ((times[0] - self._start) / self._dt, *(table / self._dt for table in times[1:]))
        ratios = None
        if self._limits is not None:
            ratios = self._offsets_of_pairs(), self.given("grid")[-1], self._limits
        return Arrivals(self.dimsd[-1], rows, samples, weights, directions, ratios)

    def _offsets_of_pairs(self) -> Tensor:
        if not self.is_positional:
            return self.given("offsets")
        return offsets_of(*(self._positions_of(name).detach() for name in ("srcs", "recs")), *self._rows.unbind())

    # -- products ----------------------------------------------------------------------------------------------------

    def _flat(self, x: Tensor) -> Tensor:
        return x.reshape((*x.shape[: x.ndim - len(self.dims)], math.prod(self.dims)))

    def _forward(self, x: Tensor) -> Tensor:
        x = self._flat(in_result_dtype(self, x))
        return spread(self.arrivals(), x, real_dtype(x.dtype))

    def _adjoint(self, y: Tensor) -> Tensor:
        y = in_result_dtype(self, y)
        return stack(self.arrivals(), y, real_dtype(y.dtype)).reshape((*y.shape[:-2], *self.dims))

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return x.dtype in FAST_DTYPES

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._multiply(self._flat(in_result_dtype(self, x)), False)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._multiply(in_result_dtype(self, y), True)

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:
        """Return products with the sparse matrix, or without it if it is too large or may change in each call."""
        (pairs, nt), points = self.dimsd, math.prod(self.dims)
        batch = x.shape[: x.ndim - (2 if adjoint else 1)]
        sources = self._held_tensors()
        is_kept = not any(source.requires_grad for source in sources)
        if is_kept and SparseProducts.suit(x, sources, 2 * pairs * points):
            flat = x.reshape((*batch, pairs * nt)) if adjoint else x
            y = self._products.multiply(
                flat, adjoint, sources, lambda x, adjoint: matrix(self.arrivals(), adjoint, x.dtype)
            )
        else:
            with torch.no_grad():
                arrivals = self.arrivals()
                parts = torch.view_as_real(x.resolve_conj()).movedim(-1, 0) if x.is_complex() else x
                items = parts.reshape((-1, pairs, nt) if adjoint else (-1, points))
                y = fast_stack(arrivals, items) if adjoint else fast_spread(arrivals, items)
            if x.is_complex():
                y = torch.complex(*(part.contiguous() for part in y.chunk(2)))
        return y.reshape((*batch, *(self.dims if adjoint else self.dimsd)))


def amplitudes(ways: list[Tensor], axes: int) -> tuple[Tensor, Tensor]:
    """Return the amplitudes of Green's functions at distances from the sources and from the receivers."""
    damping = damping_of(ways)
    first, last = (1 / ((way + damping).sqrt() if axes == 2 else way + damping) for way in ways)
    return first, last


def damping_of(ways: list[Tensor]) -> Tensor:
    """Return what is added to distances, so that amplitudes are finite at sources and receivers."""
    return DAMPING * (ways[0].amax() + ways[1].amax())


def to_vertical(slopes: Sequence[Tensor]) -> Tensor:
    """Return the angles, from 0 to pi, between the vertical and rays, whose times have these slopes."""
    *across, down = [part.detach() for part in slopes]
    length = across[0].abs() if len(across) == 1 else torch.stack([part**2 for part in across]).sum(0).sqrt()
    return torch.atan2(length, down)


def offsets_of(srcs: Tensor, recs: Tensor, of_source: Tensor, of_receiver: Tensor) -> Tensor:
    """Return the horizontal distance between source and receiver of each pair."""
    axes, pairs = len(srcs) - 1, len(of_source)
    across = srcs[:-1].gather(1, of_source.expand(axes, pairs)) - recs[:-1].gather(1, of_receiver.expand(axes, pairs))
    return (across**2).sum(0).sqrt()


def pairs_of(ns: int, nr: int, index: NDArray[np.int64] | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return the source, the receiver and the trace of each pair; ``index`` has -1 where there is no receiver."""
    index = np.broadcast_to(np.arange(nr), (ns, nr)) if index is None else index
    of_source, place = np.nonzero(index >= 0)
    of_receiver = index[of_source, place]
    return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in (of_source, of_receiver, of_source * nr + place))  # type: ignore[return-value]
