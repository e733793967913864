"""Common base of the Radon transforms in two and three dimensions.

All lengths are in samples: time ``t``, distance ``h`` of a trace from the middle, and parameter ``p`` of a curve.
Linear and parabolic curves have the same shape at all times, :math:`t + d` with a delay ``d`` for each pair of a curve
and a trace, so they need no table. A data trace is then a sum of model traces, each shifted by the integer part of the
delay and by one sample more, with weights given by its fractional part. Hyperbolas and user-defined curves change with
time, and are spread entry by entry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import Array, DType, real_dtype
from torchlops.attributes import Computed
from torchlops.basicoperators._curves import CHUNK, CurveOperator, Curves
from torchlops.basicoperators._positions import constants, in_result_dtype, precise, register_positions, weight_dtype
from torchlops.basicoperators._sparse import FAST_DTYPES

Kind: TypeAlias = "str | Callable[..., Any]"
Pairs: TypeAlias = "list[tuple[Any, Any]]"

KINDS = ("linear", "parabolic", "hyperbolic")
WINDOW_BYTES = 1 << 22
"""Size of the windows that a fast kernel copies at a time."""


class RadonTransform(CurveOperator):
    """Radon transform over one or two spatial axes; see :class:`Radon2D` for the arguments.

    Args:
        taxis: Time axis.
        haxes: Spatial axes, slowest first.
        paxes: Their parameters, in the same order.
        names: The names of ``haxes`` and ``paxes``, used for buffers and in error messages.
        kind: Kind of curve.
        centeredh: Whether the spatial axes are centered.
        interp: Whether to interpolate linearly between two samples of a trace.
        onthefly: Whether tables are computed in each call.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
    """

    usetable = Computed(lambda self: not self.onthefly)

    def __init__(
        self,
        taxis: Array,
        haxes: Sequence[Array],
        paxes: Sequence[Array],
        names: Sequence[str],
        kind: Kind,
        centeredh: bool,
        interp: bool,
        onthefly: bool,
        dtype: DType,
        name: str | None,
    ) -> None:
        owner = type(self).__name__
        if not callable(kind) and kind not in KINDS:
            raise ValueError(f"{owner}: kind must be one of {', '.join(map(repr, KINDS))} or a function, got {kind!r}")
        for what, axis in zip(("taxis", *names[: len(haxes)]), (taxis, *haxes), strict=True):
            if len(axis) < 2:
                raise ValueError(f"{owner}: {what} must have at least two samples, which define its step")
        self_dims = math.prod([len(axis) for axis in paxes]), len(taxis)
        data_dims = math.prod([len(axis) for axis in haxes]), len(taxis)
        axes = dict(zip(("taxis", *names), (taxis, *haxes, *paxes), strict=True))
        learns = any(isinstance(axis, Tensor) for axis in axes.values())
        super().__init__(self_dims, data_dims, bool(interp), not (learns or onthefly), dtype, name)
        self.kind, self.centeredh, self.onthefly = kind, bool(centeredh), bool(onthefly)
        self._names = tuple(names)
        self._is_delay = kind in ("linear", "parabolic")
        self._has_axes = learns or (onthefly and not self._is_delay)
        if self._has_axes:
            for what, axis in axes.items():
                register_positions(self, what, axis)
            return
        given = {what: constants(axis, f"{owner}: {what}") for what, axis in axes.items()}
        if self._is_delay:
            self._make_delays(given)
        else:
            self._make_table(given)

    # -- curves --------------------------------------------------------------------------------------------------

    def _pairs(self, axes: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Return distances ``(1, nx)`` and parameters ``(nx0, 1)`` in samples, fastest axis first."""
        count = len(self._names) // 2
        taxis = precise(axes["taxis"])
        distances, parameters = [], []
        for hname, pname in zip(self._names[:count], self._names[count:], strict=True):
            h, p = precise(axes[hname]), precise(axes[pname])
            step = (h[1] - h[0]).abs()
            parameters.append(p * (step / (taxis[1] - taxis[0]).abs()))
            if self.centeredh:
                size = h.shape[0]
                middle = size // 2 - ((size + 1) % 2) / 2
                distances.append(torch.arange(size, dtype=h.dtype, device=h.device) - middle)
            else:
                distances.append(h / step)
        if count == 2:
            distances, parameters = _grid(*distances), _grid(*parameters)
        return [(h.unsqueeze(0), p.unsqueeze(1)) for h, p in zip(distances[::-1], parameters[::-1], strict=True)]

    def _positions(self, axes: dict[str, Tensor], start: int, count: int) -> Tensor:
        """Return the positions ``(count, nt, nx)`` of some curves in the data traces, NaN where there is none."""
        nt, (nx, _) = self.dims[1], self.dimsd
        device = axes["taxis"].device
        pairs = [(h.unsqueeze(1), p.narrow(0, start, count).unsqueeze(2)) for h, p in self._pairs(axes)]
        t = torch.arange(nt, dtype=pairs[0][0].dtype, device=device).unsqueeze(1)
        if not callable(self.kind):
            return _curve(self.kind, t, pairs)
        positions = _call_kind(self.kind, t, pairs, self._has_axes)
        if not isinstance(positions, Tensor):
            positions = torch.from_numpy(np.array(positions, dtype=np.float64))
        shape = (1,) * (3 - positions.ndim) + tuple(positions.shape)
        if len(shape) != 3 or any(n not in (1, size) for n, size in zip(shape, (count, nt, nx), strict=True)):
            raise ValueError(
                f"{self.name_and_type}: the function given as kind returned shape {tuple(positions.shape)} for "
                f"arguments that broadcast to {(count, nt, nx)}: it must work elementwise"
            )
        return positions.expand(count, nt, nx)

    def _axes(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in ("taxis", *self._names)}

    def _curves(self, start: int, count: int, device: torch.device) -> Curves:  # noqa: ARG002
        if self._has_axes:
            return self._as_curves(self._positions(self._axes(), start, count))
        weight = self.table_weight.narrow(0, start, count) if self.interp else None
        return self.table_index.narrow(0, start, count), weight

    def _as_curves(self, positions: Tensor) -> Curves:
        nt = self.dimsd[1]
        inside = (positions >= 0) & (positions < nt - int(self.interp))
        known = torch.where(inside, positions, 0)
        whole = known.detach().floor()
        index = torch.where(inside, whole, -1).to(torch.int64)
        return index, known - whole if self.interp else None

    # -- tables of constant curves ---------------------------------------------------------------------------------

    table_index: Tensor
    table_weight: Tensor

    def _make_table(self, axes: dict[str, Tensor]) -> None:
        shape = (*self.dims, self.dimsd[0])
        self.register_buffer("table_index", torch.empty(shape, dtype=torch.int32, device="cpu"), persistent=False)
        if self.interp:
            self.register_buffer(
                "table_weight", torch.empty(shape, dtype=torch.float64, device="cpu"), persistent=False
            )
        for start, count in self._chunks():
            index, weight = self._as_curves(self._positions(axes, start, count))
            self.table_index[start : start + count] = index
            if weight is not None:
                self.table_weight[start : start + count] = weight

    def _tables(self) -> tuple[Tensor, ...]:
        return (self.table_index, self.table_weight) if self.interp else (self.table_index,)

    # -- delays ------------------------------------------------------------------------------------------------------

    delay: Tensor
    fraction: Tensor
    odd_model: Tensor
    odd_data: Tensor
    odd_weight: Tensor

    def _make_delays(self, axes: dict[str, Tensor]) -> None:
        pairs = self._pairs(axes)
        whole, fraction = self._split(_curve(str(self.kind), 0.0, pairs))
        self._least, self._most = int(whole.min()), int(whole.max())
        self.register_buffer("delay", whole.to(torch.int32), persistent=False)
        if self.interp:
            self.register_buffer("fraction", fraction, persistent=False)
        model, data, weight = self._odd_entries(pairs, whole, fraction)
        self._has_odd = len(model) > 0
        if self._has_odd:
            self.register_buffer("odd_model", model, persistent=False)
            self.register_buffer("odd_data", data, persistent=False)
            self.register_buffer("odd_weight", weight, persistent=False)

    def _split(self, delay: Tensor) -> tuple[Tensor, Tensor]:
        """Return the integer and fractional parts of delays. Delays longer than the time axis are clipped."""
        nt = self.dims[1]
        whole = delay.detach().floor()
        return whole.clamp(-nt, nt).nan_to_num(nt), delay - whole

    def _delays(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the integer part and the weight of the delays ``(nx0, nx)``."""
        if self._has_axes:
            whole, fraction = self._split(_curve(str(self.kind), 0.0, self._pairs(self._axes())))
        else:
            whole, fraction = self.delay, self.fraction if self.interp else self.delay
        return whole.to(torch.int64), fraction.to(weight_dtype(self, x)) if self.interp else None

    def _range(self) -> tuple[int, int]:
        """Return the smallest and largest integer delay, or bounds if delays are only known in each call."""
        nt = self.dims[1]
        return (-nt, nt) if self._has_axes else (self._least, self._most)

    def _odd_entries(self, pairs: Pairs, whole: Tensor, fraction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return corrections where ``floor(t + d)`` is not ``t + floor(d)``, as model index, data index and weight.

        This occurs where a delay is an integer up to rounding, and ``t + d`` is rounded. With ``interp`` it matters
        only at the ends of a trace, where it decides whether a sample is inside or outside.
        """
        nt = self.dims[1]
        delay = whole + fraction
        close = (delay - delay.round()).abs() <= 1e-15 * (nt + delay.abs())
        curves, traces = close.nonzero(as_tuple=True)
        found: list[list[Tensor]] = [[], [], []]
        rows = max(1, CHUNK // nt)
        t = torch.arange(nt, dtype=torch.float64, device="cpu")
        for start in range(0, len(curves), rows):
            curve, trace = curves[start : start + rows, None], traces[start : start + rows, None]
            some = [(h[0, trace], p[curve, 0]) for h, p in pairs]
            index, weight = self._as_curves(_curve(str(self.kind), t, some))
            shifted = t.to(torch.int64) + whole[curve, trace].to(torch.int64)
            shifted = torch.where((shifted >= 0) & (shifted < nt - int(self.interp)), shifted, -1)
            differs = (index >= 0) != (shifted >= 0)
            if not self.interp:
                differs |= index != shifted
            by_delay = fraction[curve, trace].expand(index.shape) if self.interp else None
            for sign, i, w in ((1.0, index, weight), (-1.0, shifted, by_delay)):
                chosen = differs & (i >= 0)
                model = (curve * nt + t.to(torch.int64))[chosen]
                data = (trace * nt + i)[chosen]
                share = torch.zeros_like(model, dtype=torch.float64) if w is None else w[chosen]
                for tap, part in ((0, 1 - share), (1, share))[: 1 + int(self.interp)]:
                    for column, values in zip(found, (model, data + tap, sign * part), strict=True):
                        column.append(values)
        empty = torch.zeros(0, dtype=torch.int64, device="cpu")
        model, data, weight = (torch.cat([empty, *column]) for column in found)
        return model, data, weight

    # -- products --------------------------------------------------------------------------------------------------

    def _forward(self, x: Tensor) -> Tensor:
        return self._apply_delays(x, False, window_sums) if self._is_delay else super()._forward(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._apply_delays(y, True, window_sums) if self._is_delay else super()._adjoint(y)

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:
        if not self._is_delay:
            return super()._is_fast_for(x, adjoint)
        return x.dtype in FAST_DTYPES

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._apply_delays(x, False, fast_window_sums) if self._is_delay else super()._fast_forward(x)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._apply_delays(y, True, fast_window_sums) if self._is_delay else super()._fast_adjoint(y)

    def _apply_delays(self, x: Tensor, adjoint: bool, sums: Callable[..., Tensor]) -> Tensor:
        x = in_result_dtype(self, x)
        whole, fraction = self._delays(x)
        y = self._stack(x, whole, fraction, sums) if adjoint else self._spread(x, whole, fraction, sums)
        return y if self._has_axes or not self._has_odd else self._add_odd(x, y, adjoint)

    def _spread(self, x: Tensor, whole: Tensor, fraction: Tensor | None, sums: Callable[..., Tensor]) -> Tensor:
        nt, (least, most) = self.dims[1], self._range()
        size = nt - int(self.interp)  # with two taps, both must be inside
        before, after = max(0, most), max(0, size - nt - least)
        x = _with_zeros(x, before, after)
        length = x.shape[-1]
        first = torch.arange(self.dims[0], device=x.device) * length + before
        starts = (first.unsqueeze(1) - whole).mT
        if fraction is None:
            return sums(x, starts, None, size).squeeze(-2)
        weights = torch.stack((1 - fraction.mT, fraction.mT), 1)
        taps = sums(x, starts, weights, size)
        return _with_zeros(taps.select(-2, 0), 0, 1) + _with_zeros(taps.select(-2, 1), 1, 0)

    def _stack(self, y: Tensor, whole: Tensor, fraction: Tensor | None, sums: Callable[..., Tensor]) -> Tensor:
        nt, (least, most) = self.dims[1], self._range()
        size = nt - int(self.interp)
        before, after = max(0, -least), max(0, nt + most - size)
        if fraction is None:
            y = _with_zeros(y, before, after)
            first = torch.arange(self.dimsd[0], device=y.device) * y.shape[-1] + before
            return sums(y, first + whole, None, nt).squeeze(-2)
        batch = y.shape[:-2]
        y = torch.stack((y.narrow(-1, 0, size), y.narrow(-1, 1, size)), -2)
        y = _with_zeros(y.reshape((*batch, 2 * self.dimsd[0], size)), before, after)
        first = torch.arange(2 * self.dimsd[0], device=y.device) * y.shape[-1] + before
        starts = first + whole.repeat_interleave(2, 1)
        weights = torch.stack((1 - fraction, fraction), -1).reshape(self.dims[0], 1, 2 * self.dimsd[0])
        return sums(y, starts, weights, nt).squeeze(-2)

    def _add_odd(self, x: Tensor, y: Tensor, adjoint: bool) -> Tensor:
        batch = x.shape[:-2]
        source, target = (self.odd_data, self.odd_model) if adjoint else (self.odd_model, self.odd_data)
        shape = (*batch, len(source))
        taken = x.reshape((*batch, math.prod(x.shape[-2:]))).gather(-1, source.expand(shape))
        added = taken * self.odd_weight.to(real_dtype(x.dtype))
        flat = y.reshape((*batch, math.prod(y.shape[-2:])))
        return flat.scatter_add(-1, target.expand(shape), added).reshape(y.shape)

    def extra_repr(self) -> str:
        kind = getattr(self.kind, "__name__", self.kind)
        onthefly = ", onthefly=True" if self.onthefly else ""
        return f"kind={kind!r}, centeredh={self.centeredh}, interp={self.interp}{onthefly}"


def _grid(slow: Tensor, fast: Tensor) -> list[Tensor]:
    """Return the flattened coordinates of a grid with two axes."""
    return [axis.reshape(len(slow) * len(fast)) for axis in torch.meshgrid(slow, fast, indexing="ij")]


def _curve(kind: str, t: Any, pairs: Pairs) -> Tensor:
    """Return the time of a curve, summed in the same order as in PyLops, so that rounding is the same."""
    if kind == "linear":
        for h, p in pairs:
            t = t + p * h
        return t  # type: ignore[no-any-return]
    if kind == "parabolic":
        for h, p in pairs:
            t = t + p * h**2
        return t  # type: ignore[no-any-return]
    square = t**2
    for h, p in pairs:
        square = square + (h / torch.where(p == 0, torch.nan, p)) ** 2  # infinite slowness: no curve
    # The square root has no derivative at zero, the apex of a hyperbola, where the curve does not depend on p.
    is_tip = square == 0
    return torch.where(is_tip, 0, torch.where(is_tip, 1, square).sqrt())


def _call_kind(kind: Callable[..., Any], t: Tensor, pairs: Pairs, with_tensors: bool) -> Any:
    distances, parameters = zip(*pairs[::-1], strict=True)
    arguments = (*distances, t, *parameters)
    return kind(*(arguments if with_tensors else [argument.numpy() for argument in arguments]))


def _with_zeros(x: Tensor, before: int, after: int) -> Tensor:
    parts = [x.new_zeros((*x.shape[:-1], before)), x, x.new_zeros((*x.shape[:-1], after))]
    return torch.cat(parts, -1)


def window_sums(x: Tensor, starts: Tensor, weights: Tensor | None, size: int) -> Tensor:
    """Return weighted sums of windows into some signals; differentiable.

    Args:
        x: The signals ``(*batch, n, length)``, treated as one concatenated signal.
        starts: First sample of each window, ``(outputs, windows)``.
        weights: Weights ``(outputs, taps, windows)``. Defaults to one tap of ones.
        size: Length of a window.

    Returns:
        The sums, ``(*batch, outputs, taps, size)``.
    """
    batch = x.shape[:-2]
    flat = x.reshape((*batch, x.shape[-2] * x.shape[-1]))
    outputs, count = starts.shape
    rows = max(1, CHUNK // max(count * size, 1))
    within = torch.arange(size, device=x.device)
    weights = None if weights is None else weights.to(x.dtype)
    sums = []
    for start in range(0, outputs, rows):
        first = starts.narrow(0, start, min(rows, outputs - start))
        shape = (*first.shape, size)
        index = (first.unsqueeze(-1) + within).reshape(math.prod(shape))
        windows = flat.gather(-1, index.expand((*batch, math.prod(shape)))).reshape((*batch, *shape))
        if weights is None:
            sums.append(windows.sum(-2, keepdim=True))
        else:
            sums.append(torch.matmul(weights.narrow(0, start, shape[0]), windows))
    return torch.cat(sums, -3)


def fast_window_sums(x: Tensor, starts: Tensor, weights: Tensor | None, size: int) -> Tensor:
    """Return the result of :func:`window_sums`, copying whole windows for a few outputs and batch items at a time."""
    batch, (signals, length) = x.shape[:-2], x.shape[-2:]
    items, (outputs, count) = math.prod(batch), starts.shape
    taps = 1 if weights is None else weights.shape[1]
    sums = x.new_empty((items, outputs, taps, size))
    if sums.numel() == 0:
        return sums.reshape((*batch, outputs, taps, size))
    weights = x.new_ones(()).expand(outputs, 1, count) if weights is None else weights.to(x.dtype)
    flat = x.reshape(items * signals * length)
    windows = flat.as_strided((flat.numel() - size + 1, size), (1, 1))
    limit = WINDOW_BYTES // (count * size * x.element_size())
    some_outputs = min(outputs, max(1, limit))
    some_items = min(items, max(1, limit // some_outputs))
    scratch = x.new_empty((some_outputs * count * some_items, size))
    products = x.new_empty(some_outputs * taps * some_items * size)
    offsets = torch.arange(items, device=x.device) * (signals * length)
    for item in range(0, items, some_items):
        offset = offsets[item : item + some_items]
        for start in range(0, outputs, some_outputs):
            first = starts[start : start + some_outputs]
            rows, columns = len(first), len(offset) * size
            copies = scratch[: first.numel() * len(offset)]
            torch.index_select(windows, 0, (first.unsqueeze(-1) + offset).reshape(len(copies)), out=copies)
            product = products[: rows * taps * columns].view(rows, taps, columns)
            torch.bmm(weights[start : start + rows], copies.view(rows, count, columns), out=product)
            part = sums[item : item + some_items, start : start + rows]
            part.copy_(product.view(rows, taps, len(offset), size).permute(2, 0, 1, 3))
    return sums.reshape((*batch, outputs, taps, size))
