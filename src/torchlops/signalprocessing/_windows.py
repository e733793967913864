r"""An operator applied to overlapping windows, which are tapered and summed.

With ``Z`` the overlap-add of windows, ``W`` their tapers and scalings, and ``A`` the operator of one window,

.. math::

    y = Z W \, \mathrm{diag}(A, \ldots, A) \, x, \qquad A^H y = \mathrm{diag}(A^H, \ldots, A^H) \, \bar W Z^T y

The windows are an additional batch axis: ``A`` is applied to all windows of the whole batch in one call.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import product
from logging import Logger
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchlops.arraykernels import quietly, real_of_dtype, view
from torchlops.arrays import Array, as_tensor, conjugate, promote, real_dtype
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.linearoperator import CompositeOperator, LinearOperator, apply_reshaped, part_of_array
from torchlops.memory import empty
from torchlops.shapes import Dims, as_dims
from torchlops.signalprocessing._convolution import window
from torchlops.torchoperator import aslinearoperator
from torchlops.utils.tapers import TaperType, taper
from torchlops.warning import warn

Steps = tuple[NDArray[np.int64], NDArray[np.int64]]


def sliding_steps(size: int, nwin: int, nover: int) -> Steps:
    """Return the starts and the ends of the windows along an axis of ``size`` samples.

    Raises:
        ValueError: If a window is longer than the axis, or not longer than its overlap.

    >>> sliding_steps(10, 4, 1)
    (array([0, 3, 6]), array([ 4,  7, 10]))
    """
    if nwin > size:
        raise ValueError(f"nwin={nwin} is bigger than ntr={size}: use windows that are not longer than their axis")
    if not 0 <= nover < nwin:
        raise ValueError(f"nover={nover} must be between 0 and {nwin - 1}, less than nwin={nwin}")
    starts = np.arange(0, size - nwin + 1, nwin - nover)
    return starts, starts + nwin


def design(
    logger: Logger, dimsd: Sequence[int], nwin: Sequence[int], nover: Sequence[int], nop: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[Steps, ...], tuple[Steps, ...]]:
    """Return the numbers of windows, the shape of the model, and the starts and ends of the model and data windows.

    Args:
        logger: Logger to which the result is written, as in PyLops.
        dimsd: Shape of the data, at least along the leading axes that are divided into windows.
        nwin: Length of a window along each of these axes.
        nover: Overlap of the windows.
        nop: Shape of the model of one window, followed by that along the axes without windows.
    """
    data = tuple(sliding_steps(*sizes) for sizes in zip(dimsd, nwin, nover, strict=False))
    nwins = tuple(len(starts) for starts, _ in data)
    dims = tuple(n * count for n, count in zip(nop, nwins, strict=False)) + tuple(nop[len(nwins) :])
    model = tuple(sliding_steps(size, n, 0) for size, n in zip(dims, nop, strict=False))[: len(nwins)]
    logger.info("%s windows required...", "-".join(map(str, nwins)))
    for what, wins in (("Data", data), ("Model", model)):
        logger.info("%s wins - %s", what, " / ".join(f"start:{starts}, end:{ends}" for starts, ends in wins))
    return nwins, dims, model, data


class Windowed(CompositeOperator):
    """An operator on overlapping windows along the first axes of the data.

    Args:
        Op: The operator of one window, or of all windows at once.
        dims: Shape of the model, with all windows along each axis concatenated.
        dimsd: Shape of the data.
        ndim: Number of axes of model and data.
        nwin: Length of a window along each axis that is divided into windows.
        nover: Overlap of the windows.
        nop: Shape of the model of one window. Inferred from ``dims`` if None. An ``Op`` of all windows does not use it.
        tapertype: Type of the tapers, or a tensor of tapers ``(*nwins, *nwin)``.
        scalings: One factor per window.
        name: A name for error messages.
    """

    savetaper = True  # tapers are never computed again
    taps: Tensor | None
    scalings: Tensor | None

    def __init__(
        self,
        Op: Any,
        dims: Dims,
        dimsd: Dims,
        ndim: int,
        nwin: Sequence[int],
        nover: Sequence[int],
        nop: Sequence[int] | None,
        tapertype: TaperType | Tensor | None,
        scalings: Array | None,
        name: str,
    ) -> None:
        dims, dimsd = as_dims(dims), as_dims(dimsd, "dimsd")
        if len(dims) != ndim or len(dimsd) != ndim or len(nover) != len(nwin) or len(nwin) > ndim:
            raise ValueError(
                f"{type(self).__name__} takes model and data with {ndim} axes, nwin and nover for leading axes, got "
                f"dims={dims}, dimsd={dimsd}, nwin={tuple(nwin)}, nover={tuple(nover)}"
            )
        part = aslinearoperator(Op)
        ends = tuple(sliding_steps(*sizes) for sizes in zip(dimsd, nwin, nover, strict=False))
        nwins = tuple(len(starts) for starts, _ in ends)
        of_window = tuple(size // count for size, count in zip(dims, nwins, strict=False)) + dims[len(nwins) :]
        self._check_sizes(part, dims, nwins, of_window, (*nwin, *dimsd[len(nwins) :]), nop)
        super().__init__((part,), dims=(*nwins, *of_window), dimsd=dimsd, name=name, real_model=part.real_model)
        self.simOp = part.shape[1] == math.prod(dims)
        self._nwin, self._nover, self._ends = tuple(nwin), tuple(nover), ends
        self._overlap = OverlapAdd(nwins, nwin, nover, dimsd)
        if isinstance(tapertype, Tensor):
            self.tapertype: str | None = "a tensor"
            if tuple(self._register("taps", tapertype).shape) != (*nwins, *nwin):
                raise ValueError(
                    f"{type(self).__name__} takes tapers of shape (*nwins, *nwin) = {(*nwins, *nwin)}, "
                    f"got {tuple(tapertype.shape)}"
                )
        else:
            self.tapertype = tapertype
            tapers = None if tapertype is None else self._tapers(tapertype, part._torch_dtype())
            self.register_buffer("taps", tapers)
            self._constant_names = ("taps",)
        if scalings is None:
            self.register_buffer("scalings", None)
        else:
            self._register("scalings", self._one_per_window(scalings, nwins), part._torch_dtype())

    def _one_per_window(self, scalings: Array, nwins: tuple[int, ...]) -> Array:
        count, wanted = math.prod(getattr(scalings, "shape", (len(scalings),))), math.prod(nwins)
        if count < wanted:
            raise ValueError(f"{type(self).__name__} takes one scaling per window, {nwins} windows, got {scalings}")
        if count == wanted:
            return scalings
        warn(
            f"{type(self).__name__} takes one scaling per window, and has {wanted} windows {nwins}: the last "
            f"{count - wanted} of {count} scalings are not used",
        )
        return as_tensor(scalings, f"{type(self).__name__}: scalings").flatten()[:wanted]

    def _check_sizes(
        self,
        part: LinearOperator,
        dims: tuple[int, ...],
        nwins: tuple[int, ...],
        model: tuple[int, ...],
        data: tuple[int, ...],
        nop: Sequence[int] | None,
    ) -> None:
        """Raise unless the operator matches the model and data shapes of one window, or of all windows."""
        kind, every = type(self).__name__, math.prod(nwins)
        fits = part.shape[1] in (math.prod(dims), math.prod(model)) and every * math.prod(model) == math.prod(dims)
        of_all = part.shape[1] == math.prod(dims) and every > 1
        if not fits or not (nop is None or of_all or tuple(nop)[: len(nwins)] == model[: len(nwins)]):
            raise ValueError(
                f"{kind}: the model dims={dims} is not consistent with {nwins} windows, with Op, which takes models of "
                f"size {part.shape[1]} for one or all windows{'' if nop is None else f', and with nop={tuple(nop)}'}: "
                f"call {kind.lower()}_design to compute the right dims"
            )
        size = math.prod(data) * (every if part.shape[1] == math.prod(dims) else 1)
        if part.shape[0] != size:
            raise ValueError(
                f"{kind}: Op returns data of size {part.shape[0]}, {part.dimsd}, but the size of "
                f"{'one window' if size == math.prod(data) else f'all {nwins} windows'} of shape {data} is {size}"
            )

    @property
    def Op(self) -> LinearOperator:
        """The operator of one window, or of all windows at once."""
        return self.operators[0]

    def _tapers(self, tapertype: TaperType, dtype: torch.dtype) -> Tensor:
        """Return the tapers of all windows, which are 1 at the ends of the data."""
        ndim = len(self._nwin)
        tapers = []
        for axis, (count, nwin, nover) in enumerate(zip(self.dims, self._nwin, self._nover, strict=False)):
            along = np.tile(taper(nwin, nover, tapertype), (count, 1))
            along[0, :nover] = 1
            along[-1, nwin - nover :] = 1
            shape = [1] * (2 * ndim)
            shape[axis], shape[axis + ndim] = count, nwin
            tapers.append(along.reshape(shape))
        return torch.from_numpy(reduce(np.multiply, tapers)).to(real_dtype(dtype))

    def _leaves(self) -> tuple[nn.Module, ...]:
        return (self,)

    def _nominal_dtype(self) -> torch.dtype:
        return promote([super()._nominal_dtype(), *(tensor.dtype for tensor in self._own_tensors())])

    def _forward(self, x: Tensor) -> Tensor:
        batch = x.shape[: x.ndim - len(self.dims)]
        windows: Tensor = self.Op(x.reshape((*batch, *self._counts(), *self.Op.dims)))
        windows = windows.reshape((*batch, *self._overlap.dims))
        weights = self._weights(windows.dtype)
        return self._overlap.apply_nd(windows if weights is None else windows * weights, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        batch = y.shape[: y.ndim - len(self.dimsd)]
        windows = self._overlap.apply_nd(y, True)
        weights = self._weights(windows.dtype)
        windows = windows if weights is None else windows * conjugate(weights)
        x = self.Op.apply_nd(windows.reshape((*batch, *self._counts(), *self.Op.dimsd)), True)
        return x.reshape((*batch, *self.dims))

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        overlap, part = self._overlap, self.Op
        if adjoint:
            batch = x.shape[: x.ndim - len(self.dimsd)]
            windows = part_of_array(overlap, x, adjoint)
            weights = self._weights_of_array(windows.dtype)
            windows = windows if weights is None else quietly(operator.mul, windows, weights.conj())
            windows = windows.reshape((*batch, *self._counts(), *part.dimsd))
            return apply_reshaped(part, windows, part.dimsd, adjoint).reshape((*batch, *self.dims))
        batch = x.shape[: x.ndim - len(self.dims)]
        windows = apply_reshaped(part, x.reshape((*batch, *self._counts(), *part.dims)), part.dims)
        windows = windows.reshape((*batch, *overlap.dims))
        weights = self._weights_of_array(windows.dtype)
        windows = windows if weights is None else quietly(operator.mul, windows, weights)
        return part_of_array(overlap, windows, adjoint)

    def _weights_of_array(self, dtype: np.dtype[Any]) -> NDArray[Any] | None:
        """Return the result of :meth:`_weights` as an array."""
        weights = None if self.taps is None else view(self.taps)
        if weights is not None and "taps" not in self._tensor_names:
            weights = weights.astype(real_of_dtype(dtype), copy=False)
        if self.scalings is not None:
            ndim = len(self._nwin)
            scalings = view(self.scalings).reshape((*self.dims[:ndim], *(1 for _ in range(ndim))))
            weights = scalings if weights is None else quietly(operator.mul, weights, scalings)
        if weights is None:
            return None
        return weights.reshape((*weights.shape, *(1 for _ in self.dimsd[len(self._nwin) :])))

    def _counts(self) -> tuple[int, ...]:
        """Return the shape of the batch of windows that the operator takes."""
        return () if self.simOp else self.dims[: len(self._nwin)]

    def _weights(self, dtype: torch.dtype) -> Tensor | None:
        """Return the tapers times the scalings. Built-in tapers are cast to the precision of the data."""
        weights = self.taps
        if weights is not None and "taps" not in self._tensor_names:
            weights = weights.to(real_dtype(dtype))
        if self.scalings is not None:
            ndim = len(self._nwin)
            scalings = self.scalings.reshape((*self.dims[:ndim], *(1 for _ in range(ndim))))
            weights = scalings if weights is None else weights * scalings
        if weights is None:
            return None
        return weights.reshape((*weights.shape, *(1 for _ in self.dimsd[len(self._nwin) :])))

    def extra_repr(self) -> str:
        nwin, nover = (sizes[0] if len(sizes) == 1 else sizes for sizes in (self._nwin, self._nover))
        scalings = "" if self.scalings is None else ", scalings"
        return f"{self.Op.expression()}, nwin={nwin}, nover={nover}, tapertype={self.tapertype!r}{scalings}"


class OverlapAdd(AccumulatingOperator):
    """The sum of overlapping windows; its adjoint extracts the windows from the data.

    The windows ``(*nwins, *nwin, *rest)`` are split into pieces as long as the step between windows. All first pieces
    are contiguous in the data, all second pieces as well, and so on, so the result is a sum of a few shifted arrays.

    Args:
        nwins: Number of windows along each axis that is divided into windows.
        nwin: Length of a window along each of these axes.
        nover: Overlap of the windows.
        dimsd: Shape of the data, beginning with these axes.
    """

    def __init__(self, nwins: Sequence[int], nwin: Sequence[int], nover: Sequence[int], dimsd: Sequence[int]) -> None:
        super().__init__((*nwins, *nwin, *dimsd[len(nwins) :]), dimsd)
        self._nwins, self._nwin = tuple(nwins), tuple(nwin)
        self._steps = tuple(length - overlap for length, overlap in zip(nwin, nover, strict=True))
        self._pieces = tuple(-(-length // step) for length, step in zip(nwin, self._steps, strict=True))
        self._shifts = tuple(self._shift_of(pieces) for pieces in product(*map(range, self._pieces)))

    def _shift_of(self, pieces: tuple[int, ...]) -> tuple[list[int], list[int], Any]:
        """Return the first samples and the lengths of a piece of every window, and its index in an array of windows."""
        starts = [i * step for i, step in zip(pieces, self._steps, strict=True)]
        lengths = [min(step, nwin - start) for nwin, step, start in zip(self._nwin, self._steps, starts, strict=True)]
        along = (slice(start, start + length) for start, length in zip(starts, lengths, strict=True))
        return starts, lengths, (..., *along, *(slice(None),) * (len(self.dimsd) - len(pieces)))

    def _forward(self, x: Tensor) -> Tensor:
        ndim = len(self._nwins)
        for axis, (count, nwin, step, pieces) in enumerate(self._sizes()):
            wins, samples = axis - len(self.dims), axis - len(self.dimsd)
            shifted = []
            for i in range(pieces):
                piece = window(x.narrow(samples, i * step, min(step, nwin - i * step)), samples, 0, step)
                shifted.append(window(piece, wins, -i, count + pieces - 1))
            x = sum(shifted[1:], start=shifted[0])
        batch = x.ndim - len(self.dims)
        paired = [batch + axis + of for axis in range(ndim) for of in (0, ndim)]
        x = x.permute(*range(batch), *paired, *range(batch + 2 * ndim, x.ndim))
        joined = [(count + pieces - 1) * step for count, _, step, pieces in self._sizes()]
        x = x.reshape((*x.shape[:batch], *joined, *self.dimsd[ndim:]))
        for axis, size in zip(range(-len(self.dimsd), 0), self.dimsd[:ndim], strict=False):
            x = window(x, axis, 0, size)
        return x.contiguous()

    def _adjoint(self, y: Tensor) -> Tensor:
        ndim = len(self._nwins)
        batch = y.ndim - len(self.dimsd)
        for axis, (count, _, step, pieces) in enumerate(self._sizes()):
            y = window(y, axis - len(self.dimsd), 0, (count + pieces - 1) * step)
        split = [size for count, _, step, pieces in self._sizes() for size in (count + pieces - 1, step)]
        y = y.reshape((*y.shape[:batch], *split, *self.dimsd[ndim:]))
        pairs = [batch + 2 * axis + of for of in (0, 1) for axis in range(ndim)]
        y = y.permute(*range(batch), *pairs, *range(batch + 2 * ndim, y.ndim))
        for axis, (count, nwin, step, pieces) in enumerate(self._sizes()):
            wins, samples = axis - len(self.dims), axis - len(self.dimsd)
            parts = [y.narrow(wins, i, count).narrow(samples, 0, min(step, nwin - i * step)) for i in range(pieces)]
            y = torch.cat(parts, samples)
        return y

    def _fast_forward(self, x: Tensor) -> Tensor:
        y = empty((*x.shape[: x.ndim - len(self.dims)], *self.dimsd), x.dtype).zero_()
        for starts, lengths, inside in self._shifts:
            self._windows(y, starts, lengths).add_(x[inside])
        return y

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        windows = self._windows(y, [0] * len(self._nwin), self._nwin)
        return empty(windows.shape, y.dtype).copy_(windows)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        if adjoint:
            return self._array_windows(np.ascontiguousarray(x), [0] * len(self._nwin), self._nwin).copy()
        y = np.zeros((*x.shape[: x.ndim - len(self.dims)], *self.dimsd), x.dtype)
        for starts, lengths, inside in self._shifts:
            windows = self._array_windows(y, starts, lengths)
            windows += x[inside]
        return y

    def _array_windows(self, y: NDArray[Any], starts: Sequence[int], lengths: Sequence[int]) -> NDArray[Any]:
        """Return the result of :meth:`_windows` for a contiguous array."""
        batch, ndim = y.ndim - len(self.dimsd), len(self._nwins)
        lead, along, rest = y.strides[:batch], y.strides[batch : batch + ndim], y.strides[batch + ndim :]
        offset = sum(start * stride for start, stride in zip(starts, along, strict=True))
        steps = [step * stride for step, stride in zip(self._steps, along, strict=True)]
        shape = (*y.shape[:batch], *self._nwins, *lengths, *y.shape[batch + ndim :])
        return np.ndarray(shape, y.dtype, y, offset, (*lead, *steps, *along, *rest))

    def _sizes(self) -> Iterator[tuple[int, int, int, int]]:
        return zip(self._nwins, self._nwin, self._steps, self._pieces, strict=True)

    def _windows(self, y: Tensor, starts: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """Return some samples of every window of ``y`` as a view ``(*batch, *nwins, *lengths, *rest)``."""
        ndim = len(self._nwins)
        batch = y.ndim - len(self.dimsd)
        ends = batch + ndim
        for axis, (count, step, start, length) in enumerate(
            zip(self._nwins, self._steps, starts, lengths, strict=True), start=batch
        ):
            y = y.narrow(axis, start, (count - 1) * step + length).unfold(axis, length, step)
        return y.permute(*range(ends), *range(y.ndim - ndim, y.ndim), *range(ends, y.ndim - ndim))
