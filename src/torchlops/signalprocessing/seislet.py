"""Seislet transform of a section along the slopes of its events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import HALF_PRECISIONS, DType, as_tensor
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.shapes import PER_SAMPLE, as_integer
from torchlops.signalprocessing._parts import with_parts_as_batch
from torchlops.signalprocessing.interp import sinc

_TRACES_OF = 1 << 22  # elements of the sinc matrices that are made at a time


class Seislet(AccumulatingOperator):
    r"""Seislet transform: a wavelet transform over the traces of a section that follows the slopes of its events.

    Each level parts the traces into even ones :math:`e` and odd ones :math:`o`, predicts the odd ones from their
    neighbours along the slopes, keeps what is left, :math:`r = o - P e`, and updates the even ones,
    :math:`c = e + U r / 2`, which are the traces of the next level. The data are the residuals of the first level,
    those of the second and so on, and last the remaining traces.

    A prediction from a trace to the next one takes its samples at :math:`t - \Delta x\, \sigma(x, t)`, by sinc
    interpolation; one over several traces goes from trace to trace. ``P`` of kind ``"haar"`` predicts a trace from
    the one on its left, and ``U`` from the one on its right. Of kind ``"linear"`` they take the mean with the
    prediction from the other side, where there is one; as in PyLops, ``P`` gives the last trace the whole weight
    of its one neighbour, and ``U`` the whole weight of the nearer one.

    The transform is no orthogonal one: its inverse, :meth:`inverse` or ``A / y``, is exact and not the adjoint. The
    section is lengthened by empty traces to a power of two.

    Args:
        slopes: Slopes :math:`\sigma` of shape ``(nx, nt)``, in units of time per units of length, positive where
            events come later to the right. They may carry gradients.
        sampling: Steps :math:`(\Delta x, \Delta t)` between traces and between samples.
        level: Number of levels, from 0 to the binary logarithm of the number of traces; the default leaves two
            traces.
        kind: ``"haar"`` or ``"linear"``.
        inv: Give the inverse where the adjoint is asked for. Such an operator fails the dot test, and is of use
            where a solver shall work with the inverse in the adjoint's place. Derivatives are exact still.
        dtype: Label of the operator.
        name: A name for errors.

    Raises:
        ValueError: when the slopes are complex or not two-dimensional, ``sampling`` is not two steps that are not 0,
            ``level`` is out of its range, or ``kind`` is another.

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
        slopes: Any,
        sampling: Sequence[float] = (1.0, 1.0),
        level: int | None = None,
        kind: str = "haar",
        inv: bool = False,
        dtype: DType = "float64",
        name: str = "S",
    ) -> None:
        owner = type(self).__name__
        slopes = as_tensor(slopes, f"{owner}: slopes", dtype)
        shape = tuple(slopes.shape)
        if len(shape) != 2:
            raise ValueError(f"{owner}: slopes must have the axes (nx, nt), got the shape {shape}. {PER_SAMPLE}")
        levels = (shape[0] - 1).bit_length()
        super().__init__(shape, (1 << levels, shape[1]), dtype=dtype, name=name)
        if self._register("slopes", slopes).is_complex():
            raise ValueError(f"{self.name_and_type}: slopes must be real, got {self.slopes.dtype}")
        if len(sampling) != 2 or not all(sampling):
            raise ValueError(
                f"{self.name_and_type}: sampling must be two steps (dx, dt) that are not 0, got {sampling!r}"
            )
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
    def levels_size(self) -> tuple[int, ...]:
        """Number of residual traces of each level."""
        return tuple(self.nx >> i + 1 for i in range(self.level))

    @property
    def levels_cum(self) -> tuple[int, ...]:
        """The trace of the data at which each level begins, and last that at which the remaining ones do."""
        return tuple(self.nx - (self.nx >> i) for i in range(self.level + 1))

    def _forward(self, x: Tensor) -> Tensor:
        return self._on_traces(self._decompose, x, self.dims)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._on_traces(self._compose if self.inv else self._compose_adjoint, y, self.dimsd)

    def _inverse(self, y: Tensor) -> Tensor:
        return self._on_traces(self._compose, y, self.dimsd)

    def inverse(self, y: Any) -> Any:  # type: ignore[override]  # PyLops's name
        """Return the inverse transform of the data ``y``, which is exact: ``A / y``."""
        return self.div(y)

    # The kernels are the same. As fast ones the backward makes the sinc matrices again; autograd would keep them.
    _fast_forward = _forward
    _fast_adjoint = _adjoint

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return not self.inv  # or the backward would be the inverse

    def _on_traces(self, transform: Any, x: Tensor, dims: tuple[int, ...]) -> Tensor:
        """Apply ``transform`` to real traces, with their axis in front: ``(traces, everything else, samples)``."""

        def of_real(x: Tensor) -> Tensor:
            batch = x.shape[: x.ndim - 2]
            traces = x.reshape((math.prod(batch), *dims)).transpose(0, 1)
            out: Tensor = transform(traces.to(torch.promote_types(x.dtype, self.slopes.dtype))).transpose(0, 1)
            return out.reshape((*batch, *out.shape[1:]))

        return with_parts_as_batch(of_real, x)

    def _decompose(self, traces: Tensor) -> Tensor:
        slopes, traces = _with_empty_traces(self.slopes, self.nx), _with_empty_traces(traces, self.nx)
        data = []
        for level in range(self.level):
            even, odd = traces[::2], traces[1::2]
            residual = odd - self._predict(even, slopes, level, 1, False)
            traces = even + self._predict(residual, slopes, level, -1, False) / 2
            data.append(residual)
        return torch.cat((*data, traces))

    def _compose(self, data: Tensor) -> Tensor:
        slopes = _with_empty_traces(self.slopes, self.nx)
        *residuals, traces = torch.split(data, [*self.levels_size, self.nx >> self.level])
        for level in reversed(range(self.level)):
            even = traces - self._predict(residuals[level], slopes, level, -1, False) / 2
            odd = residuals[level] + self._predict(even, slopes, level, 1, False)
            traces = _interleaved(even, odd)
        return traces.narrow(0, 0, self.dims[0])

    def _compose_adjoint(self, data: Tensor) -> Tensor:
        slopes = _with_empty_traces(self.slopes, self.nx)
        *residuals, traces = torch.split(data, [*self.levels_size, self.nx >> self.level])
        for level in reversed(range(self.level)):
            odd = residuals[level] + self._predict(traces, slopes, level, -1, True) / 2
            even = traces - self._predict(odd, slopes, level, 1, True)
            traces = _interleaved(even, odd)
        return traces.narrow(0, 0, self.dims[0])

    def _predict(self, traces: Tensor, slopes: Tensor, level: int, way: int, adjoint: bool) -> Tensor:
        """Predict the other half of the traces of a level: the odd ones by ``way=1``, the even ones by ``way=-1``."""
        distance = 1 << level
        first = 0 if way == 1 else distance
        if self.kind == "haar":
            return self._carry(traces, slopes, first, distance, way, adjoint)
        n = traces.shape[0]
        skipped = 1 if way == 1 else 0  # from which trace on there is one on the other side to go to
        if adjoint:
            near = self._carry(_weighed(traces), slopes, first, distance, way, True)
            far, place = traces.narrow(0, 1 - skipped, n - 1), skipped
        else:
            near = _weighed(self._carry(traces, slopes, first, distance, way, False))
            far, place = traces.narrow(0, skipped, n - 1), 1 - skipped
        if n == 1:
            return near
        far = self._carry(far, slopes, first + 2 * distance * skipped, distance, -way, adjoint) / 2
        none = torch.zeros_like(traces.narrow(0, 0, 1))
        return near + torch.cat((none, far) if place else (far, none))

    def _carry(self, traces: Tensor, slopes: Tensor, first: int, distance: int, way: int, adjoint: bool) -> Tensor:
        """Carry traces over a ``distance``, from trace to trace along the slopes.

        They stand ``2 * distance`` apart in the section, from ``first`` on.
        """
        steps = range(distance)
        for i in reversed(steps) if adjoint else steps:
            rows = slopes[first + way * i :: 2 * distance].narrow(0, 0, traces.shape[0])
            traces = _interpolated(traces, rows * (way * self.dx / self.dt), adjoint)
        return traces

    def extra_repr(self) -> str:
        inv = ", inv=True" if self.inv else ""
        return f"sampling={(self.dx, self.dt)}, level={self.level}, kind={self.kind!r}{inv}"


def _with_empty_traces(x: Tensor, count: int) -> Tensor:
    missing = count - x.shape[0]
    return torch.cat((x, x.new_zeros((missing, *x.shape[1:])))) if missing else x


def _interleaved(even: Tensor, odd: Tensor) -> Tensor:
    return torch.stack((even, odd), 1).reshape(2 * even.shape[0], *even.shape[1:])


def _weighed(traces: Tensor) -> Tensor:
    last = traces.shape[0] - 1
    return torch.cat((traces.narrow(0, 0, last) / 2, traces.narrow(0, last, 1)))


def _interpolated(traces: Tensor, delays: Tensor, adjoint: bool) -> Tensor:
    """Return ``traces`` of shape ``(traces, K, samples)`` at their samples less ``delays`` ``(traces, samples)``."""
    count, samples = delays.shape
    at_once = max(_TRACES_OF // samples**2, 1)
    pieces = []
    for start in range(0, count, at_once):
        length = min(at_once, count - start)
        matrices = _sinc_matrices(delays.narrow(0, start, length)).to(traces.dtype)
        pieces.append(traces.narrow(0, start, length) @ (matrices.mT if adjoint else matrices))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _sinc_matrices(delays: Tensor) -> Tensor:
    r"""Return :math:`S_{kij} = \mathrm{sinc}(j - d_{kj} - i)` for delays in samples.

    With :math:`r` the delay rounded and :math:`\delta = r - d` the rest, :math:`j - r - i` is a whole number
    :math:`m`, and :math:`\sin \pi (\delta + m) = (-1)^m \sin \pi \delta`: one sine a sample is enough. Where
    :math:`m = 0`, :func:`sinc` takes the place of the quotient: its derivatives are right at 0, where slopes often are.
    """
    if delays.dtype in HALF_PRECISIONS:  # which have no whole numbers beyond a few hundred
        delays = delays.float()
    whole = delays.detach().round()
    rest = whole - delays
    index = torch.arange(delays.shape[-1], dtype=delays.dtype, device=delays.device)
    m = (index - whole)[:, None, :] - index[:, None]
    middle = m == 0
    # (-1)^m has a factor for each sample and one for each place, so that nothing of the size of the matrix is needed.
    sine = torch.sin(math.pi * rest) / math.pi * _alternating(index - whole)
    quotient = sine[:, None, :] / (rest[:, None, :] + m).masked_fill(middle, 1) * _alternating(index)[:, None]
    return torch.where(middle, sinc(rest)[:, None, :], quotient)


def _alternating(m: Tensor) -> Tensor:
    """Return ``(-1)^m`` of whole numbers."""
    return 1 - 2 * torch.remainder(m, 2)
