"""Seislet transform of a section along the slopes of its events."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import limit_table, on_parts, promoted, view_of
from torchlops.arrays import HALF_PRECISIONS, Array, DType, as_tensor, from_array
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.shapes import PER_SAMPLE, as_integer
from torchlops.signalprocessing._parts import with_parts_as_batch
from torchlops.signalprocessing.interp import sinc_of_sums

_TRACES_OF = 1 << 22  # elements of the sinc matrices that are computed at a time

Traces: TypeAlias = "Any"  # a tensor or an array


class Seislet(AccumulatingOperator):
    r"""Seislet transform: a wavelet transform over the traces of a section that follows the slopes of its events.

    A prediction from one trace to the next evaluates it at :math:`t - \Delta x\, \sigma(x, t)` by sinc interpolation. A
    prediction over several traces proceeds from trace to trace. For ``kind="haar"``, ``P`` predicts a trace from its
    left neighbour, and ``U`` from its right neighbour. For ``kind="linear"``, both average the predictions from both
    sides. Where one neighbour is missing, as in PyLops, ``P`` gives the last trace the full weight of its only
    neighbour, and ``U`` uses the full weight of the nearer one.

    The section is padded with zero traces to a power of two.

    Forward:
        Each level splits the traces into even traces :math:`e` and odd traces :math:`o`, predicts the odd traces from
        their neighbours along the slopes, stores the residual :math:`r`, and updates the even traces to :math:`c`,
        which are passed to the next level:

        .. math:: r = o - P e, \qquad c = e + U r / 2

        The data contains the residuals, beginning with those of the first level, followed by the remaining traces.

    Adjoint:
        Each level, beginning with the last, gives

        .. math:: o = r + U^H c / 2, \qquad e = c - P^H o

        The transform is not orthogonal: its inverse, ``inverse`` or ``A / y``, is exact but differs from the
        adjoint.

    Args:
        slopes: Slopes :math:`\sigma` of shape ``(nx, nt)``, in units of time per unit of length, positive for events
            that arrive later to the right. They may carry gradients.
        sampling: Sampling steps :math:`(\Delta x, \Delta t)` between traces and between samples.
        level: Number of levels, from 0 to the binary logarithm of the number of traces. By default, two traces remain.
        kind: ``"haar"`` or ``"linear"``.
        inv: Whether to use the inverse in place of the adjoint. Such an operator fails the dot test, but is useful
            for solvers that require the inverse instead. Derivatives are still exact.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If the slopes are complex or not two-dimensional, ``sampling`` is not two nonzero steps, ``level``
            is out of range, or ``kind`` is unknown.

    References:
        S. Fomel and Y. Liu, Seislet transform and seislet frame, Geophysics 75 (2010), V25-V38.

    Example:
        >>> A = Seislet(torch.zeros(4, 3), level=1)  # no slopes: the Haar transform, unscaled, of each row
        >>> A(torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0], [5.0, 5.0, 5.0]]))
        tensor([[1.0000, 1.0000, 1.0000],
                [2.0000, 2.0000, 2.0000],
                [1.5000, 1.5000, 1.5000],
                [4.0000, 4.0000, 4.0000]])
    """

    slopes: Tensor

    def __init__(
        self,
        slopes: Array,
        sampling: Sequence[float] = (1.0, 1.0),
        level: int | None = None,
        kind: Literal["haar", "linear"] = "haar",
        inv: bool = False,
        dtype: DType = "float64",
        name: str = "S",
    ) -> None:
        owner = type(self).__name__
        slopes = as_tensor(slopes, f"{owner}: slopes", dtype)
        shape = tuple(slopes.shape)
        if len(shape) != 2:
            raise ValueError(f"{owner}: slopes must have two axes (nx, nt), got shape {shape}. {PER_SAMPLE}")
        levels = (shape[0] - 1).bit_length()
        super().__init__(shape, (1 << levels, shape[1]), dtype=dtype, name=name)
        if self._register("slopes", slopes).is_complex():
            raise ValueError(f"{self.name_and_type}: slopes must be real, got {self.slopes.dtype}")
        if len(sampling) != 2 or not all(sampling):
            raise ValueError(f"{self.name_and_type}: sampling must be two nonzero steps (dx, dt), got {sampling!r}")
        if kind not in ("haar", "linear"):
            raise ValueError(f"{self.name_and_type}: kind must be 'haar' or 'linear', got {kind!r}")
        level = max(levels - 1, 0) if level is None else as_integer(level, f"{self.name_and_type}: level", least=0)
        if level > levels:
            raise ValueError(
                f"{self.name_and_type}: level must be between 0 and {levels} for {shape[0]} traces, got {level!r}"
            )
        self.nx, self.nt = self.dimsd
        self._work = self.nt
        self.dx, self.dt = sampling
        self.level = level
        self.kind, self.inv = kind, inv

    @property
    def levels_size(self) -> NDArray[Any]:
        """Number of residual traces of each level."""
        return np.array([self.nx >> i + 1 for i in range(self.level)], dtype=int)

    @property
    def levels_cum(self) -> NDArray[Any]:
        """The first trace of each level in the data, followed by that of the remaining traces."""
        return np.array(self._starts())

    def _starts(self) -> tuple[int, ...]:
        return tuple(self.nx - (self.nx >> i) for i in range(self.level + 1))

    def _forward(self, x: Tensor) -> Tensor:
        return self._on_traces(self._decompose, x, self.dims)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._on_traces(self._compose if self.inv else self._compose_adjoint, y, self.dimsd)

    def _inverse(self, y: Tensor) -> Tensor:
        return self._on_traces(self._compose, y, self.dimsd)

    def inverse(self, x: Any) -> Any:  # type: ignore[override]  # PyLops's name
        """Return the exact inverse transform of the data ``x``: ``A / x``, but flattened where they are."""
        model = self.div(x)
        return model if tuple(x.shape[-2:]) == self.dimsd else model.reshape((*x.shape[:-1], self.shape[1]))

    # The kernels are the same. As fast kernels, their backward recomputes the sinc matrices instead of storing them.
    _fast_forward = _forward
    _fast_adjoint = _adjoint

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return not self.inv  # otherwise the backward would be the inverse

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        back = self._compose if self.inv else self._compose_adjoint
        transform, dims = (back, self.dimsd) if adjoint else (self._decompose, self.dims)
        slopes = view_of(self, "slopes")

        def of_real(x: NDArray[Any]) -> NDArray[Any]:
            batch = x.shape[: x.ndim - 2]
            out = transform(x.reshape((math.prod(batch), *dims)).swapaxes(0, 1), slopes).swapaxes(0, 1)
            result: NDArray[Any] = out.reshape((*batch, *out.shape[1:]))
            return result

        return on_parts(of_real, promoted(x, self._own_tensors()))

    def _on_traces(self, transform: Any, x: Tensor, dims: tuple[int, ...]) -> Tensor:
        """Apply ``transform`` to real traces of shape ``(traces, batch, samples)``."""

        def of_real(x: Tensor) -> Tensor:
            batch = x.shape[: x.ndim - 2]
            traces = x.reshape((math.prod(batch), *dims)).transpose(0, 1)
            traces = traces.to(torch.promote_types(x.dtype, self.slopes.dtype))
            out: Tensor = transform(traces, self.slopes).transpose(0, 1)
            return out.reshape((*batch, *out.shape[1:]))

        return with_parts_as_batch(of_real, x)

    # The following take tensors, or arrays.

    def _decompose(self, traces: Traces, slopes: Traces) -> Traces:
        slopes, traces = _with_empty_traces(slopes, self.nx), _with_empty_traces(traces, self.nx)
        data = []
        for level in range(self.level):
            even, odd = traces[::2], traces[1::2]
            residual = odd - self._predict(even, slopes, level, 1, False)
            traces = even + self._predict(residual, slopes, level, -1, False) / 2
            data.append(residual)
        return _joined(*data, traces)

    def _compose(self, data: Traces, slopes: Traces) -> Traces:
        slopes = _with_empty_traces(slopes, self.nx)
        *residuals, traces = (data[start:stop] for start, stop in pairwise((*self._starts(), self.nx)))
        for level in reversed(range(self.level)):
            even = traces - self._predict(residuals[level], slopes, level, -1, False) / 2
            odd = residuals[level] + self._predict(even, slopes, level, 1, False)
            traces = _interleaved(even, odd)
        return traces[: self.dims[0]]

    def _compose_adjoint(self, data: Traces, slopes: Traces) -> Traces:
        slopes = _with_empty_traces(slopes, self.nx)
        *residuals, traces = (data[start:stop] for start, stop in pairwise((*self._starts(), self.nx)))
        for level in reversed(range(self.level)):
            odd = residuals[level] + self._predict(traces, slopes, level, -1, True) / 2
            even = traces - self._predict(odd, slopes, level, 1, True)
            traces = _interleaved(even, odd)
        return traces[: self.dims[0]]

    def _predict(self, traces: Traces, slopes: Traces, level: int, way: int, adjoint: bool) -> Traces:
        return _predicted(self.kind, traces, slopes * (self.dx / self.dt), level, way, adjoint)

    def extra_repr(self) -> str:
        inv = ", inv=True" if self.inv else ""
        return f"sampling={(self.dx, self.dt)}, level={self.level}, kind={self.kind!r}{inv}"


def _predicted(kind: str, traces: Traces, delays: Traces, level: int, way: int, adjoint: bool) -> Traces:
    """Predict the other half of the traces of a level: odd traces for ``way=1``, even traces for ``way=-1``.

    Args:
        kind: ``"haar"`` or ``"linear"``.
        traces: The traces ``(traces, K, samples)`` of one half.
        delays: Delays in samples from each trace of the section to the next, ``(section traces, samples)``.
        level: The level: traces are ``2**level`` apart.
        way: 1 to the right, -1 to the left.
        adjoint: Apply the adjoint.
    """
    distance = 1 << level
    first = 0 if way == 1 else distance
    if kind == "haar":
        return _carried(traces, delays, first, distance, way, adjoint)
    n = traces.shape[0]
    skipped = 1 if way == 1 else 0  # first trace with a neighbour on the other side
    if adjoint:
        near = _carried(_weighed(traces), delays, first, distance, way, True)
        far, place = traces[1 - skipped : n - skipped], skipped
    else:
        near = _weighed(_carried(traces, delays, first, distance, way, False))
        far, place = traces[skipped : skipped + n - 1], 1 - skipped
    if n == 1:
        return near
    far = _carried(far, delays, first + 2 * distance * skipped, distance, -way, adjoint) / 2
    none = _empty_traces(traces, 1)
    return near + (_joined(none, far) if place else _joined(far, none))


def _carried(traces: Traces, delays: Traces, first: int, distance: int, way: int, adjoint: bool) -> Traces:
    """Predict traces over a ``distance``, from trace to trace along the slopes.

    The traces are ``2 * distance`` apart in the section, beginning with trace ``first``.
    """
    steps = range(distance)
    for i in reversed(steps) if adjoint else steps:
        rows = delays[first + way * i :: 2 * distance][: traces.shape[0]]
        traces = _interpolated(traces, rows * way, adjoint)
    return traces


def _predict_trace(trace: Any, t: Any, dt: float, dx: float, slope: Any, adj: bool = False) -> Any:
    """Return a trace ``(samples,)`` predicted over one step ``dx``, as PyLops's function of this name.

    Args:
        trace: The trace, a tensor or an array; the result is of the same kind.
        t: Times of the samples, which are those of a trace: only their number matters.
        dt: Sampling step of the trace.
        dx: Step between traces, negative to the left.
        slope: Slope at each sample, or of all samples.
        adj: Apply the adjoint.
    """
    if len(t) != len(trace):
        raise ValueError(f"_predict_trace takes one time per sample, got {len(t)} times and {len(trace)} samples")
    return _on_tensors(
        lambda x, slopes: _interpolated(x[None, None], slopes.expand(1, *x.shape) * (dx / dt), adj)[0, 0], trace, slope
    )


def _predict_haar(
    traces: Any, dt: float, dx: float, slopes: Any, repeat: int = 0, backward: bool = False, adj: bool = False
) -> Any:
    """Return traces predicted from one neighbour over ``2**repeat`` traces, as PyLops's function of this name.

    Args:
        traces: Every ``2**(repeat + 1)``-th trace of a section, a tensor or an array ``(traces, samples)``.
        dt: Sampling step of the traces.
        dx: Step between the traces of the section.
        slopes: Slopes ``(2**(repeat + 1) * traces, samples)``.
        repeat: Level of the transform.
        backward: Predict to the left.
        adj: Apply the adjoint.
    """
    return _predict_section("haar", traces, dt, dx, slopes, repeat, backward, adj)


def _predict_lin(
    traces: Any, dt: float, dx: float, slopes: Any, repeat: int = 0, backward: bool = False, adj: bool = False
) -> Any:
    """Return traces predicted from both neighbours; see :func:`_predict_haar`."""
    return _predict_section("linear", traces, dt, dx, slopes, repeat, backward, adj)


def _predict_section(
    kind: str, traces: Any, dt: float, dx: float, slopes: Any, repeat: int, backward: bool, adj: bool
) -> Any:
    def predict(x: Tensor, slopes: Tensor) -> Tensor:
        predicted: Tensor = _predicted(kind, x[:, None], slopes * (dx / dt), repeat, -1 if backward else 1, adj)
        return predicted[:, 0]

    return _on_tensors(predict, traces, slopes)


def _on_tensors(function: Callable[[Tensor, Tensor], Tensor], traces: Any, slopes: Any) -> Any:
    """Return what a function of traces and slopes gives, in the kind of the traces."""
    slopes = as_tensor(slopes, "slopes")
    if isinstance(traces, Tensor):
        return function(traces, slopes)
    tensor, back = from_array(traces, "a prediction of traces")
    return back(function(tensor, slopes))


def _joined(*parts: Traces) -> Traces:
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else torch.cat(parts)


def _empty_traces(x: Traces, count: int) -> Traces:
    shape = (count, *x.shape[1:])
    return np.zeros(shape, x.dtype) if isinstance(x, np.ndarray) else x.new_zeros(shape)


def _with_empty_traces(x: Traces, count: int) -> Traces:
    missing = count - x.shape[0]
    return _joined(x, _empty_traces(x, missing)) if missing else x


def _interleaved(even: Traces, odd: Traces) -> Traces:
    stacked = np.stack((even, odd), 1) if isinstance(even, np.ndarray) else torch.stack((even, odd), 1)
    return stacked.reshape((2 * even.shape[0], *even.shape[1:]))


def _weighed(traces: Traces) -> Traces:
    return _joined(traces[:-1] / 2, traces[-1:])


def _interpolated(traces: Traces, delays: Traces, adjoint: bool) -> Traces:
    """Return ``traces`` of shape ``(traces, K, samples)`` delayed by ``delays`` of shape ``(traces, samples)``."""
    if isinstance(delays, np.ndarray):
        limit_table(delays.size * delays.shape[-1])
        arrays = _sinc_arrays(delays).astype(traces.dtype, copy=False)
        return traces @ (arrays.swapaxes(-1, -2) if adjoint else arrays)
    count, samples = delays.shape
    at_once = max(_TRACES_OF // samples**2, 1)
    pieces = []
    for start in range(0, count, at_once):
        length = min(at_once, count - start)
        matrices = _sinc_matrices(delays.narrow(0, start, length)).to(traces.dtype)
        pieces.append(traces.narrow(0, start, length) @ (matrices.mT if adjoint else matrices))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _sinc_matrices(delays: Tensor) -> Tensor:
    r"""Return :math:`S_{kij} = \mathrm{sinc}(j - d_{kj} - i)` for delays in samples."""
    if delays.dtype in HALF_PRECISIONS:  # these represent integers only up to a few hundred
        delays = delays.float()
    whole = delays.detach().round()
    rest = whole - delays
    index = torch.arange(delays.shape[-1], dtype=delays.dtype, device=delays.device)
    return sinc_of_sums(rest[:, None, :], (index - whole)[:, None, :], index[:, None])


def _sinc_arrays(delays: NDArray[Any]) -> NDArray[Any]:
    """Return the result of :func:`_sinc_matrices` for an array."""
    whole = np.round(delays)
    rest = whole - delays
    index = np.arange(delays.shape[-1], dtype=delays.dtype)
    m = (index - whole)[:, None, :] - index[:, None]
    middle = m == 0
    sine = np.sin(math.pi * rest) / math.pi * (1 - 2 * ((index - whole) % 2))
    quotient = sine[:, None, :] / np.where(middle, 1, rest[:, None, :] + m) * (1 - 2 * (index % 2))[:, None]
    result: NDArray[Any] = np.where(middle, np.sinc(rest)[:, None, :], quotient)
    return result
