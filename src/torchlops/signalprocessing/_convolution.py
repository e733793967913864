r"""Convolution with a filter along some axes, :math:`y_i = \sum_k h_k x_{i + o - k}`, with ``x`` zero outside.

Here ``i``, ``k`` and the offset ``o`` have one index per axis. The adjoint is the same sum with ``conj(h)`` reversed
and the offset ``n_h - 1 - o``, so that one set of kernels computes both.

In all kernels, ``axes`` count from the end in ascending order. Along ``axes``, ``h`` contains the taps of the filter;
along other axes its size is 1 or that of ``x``, and leading axes may be missing. ``sizes`` are the numbers of samples
of ``y`` along ``axes``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import Unsuitable, at, limit_table, on_parts, placed, real_of_dtype, view_of
from torchlops.arrays import DType, conjugate, real_dtype
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.memory import blocks, empty

Sizes = Sequence[int]

DIRECT_PRODUCTS = 1 << 17
"""Up to so many products, numpy.convolve of one trace takes a tenth to two thirds of the time of the FFTs."""


class Convolution(AccumulatingOperator):
    """Common base of the convolutions along one and several axes.

    Args:
        dims: Shape of the model.
        dimsd: Shape of the data.
        h: The filter.
        axes: The axis of the model, counted from the end, that corresponds to each axis of the filter. If ``h`` has all
            axes of the model, the remaining axes index the filters of different traces.
        offsets: The index of the center of the filter along each of ``axes``.
        method: The kernel: "direct", "fft", "overlapadd", or None for the fastest one.
        dtype: Nominal dtype of the operator, and dtype of ``h`` if it has none.
        name: A name for error messages.
    """

    h: Tensor

    def __init__(
        self,
        dims: tuple[int, ...],
        dimsd: tuple[int, ...],
        h: Tensor,
        axes: tuple[int, ...],
        offsets: tuple[int, ...],
        method: str | None,
        dtype: DType,
        name: str,
    ) -> None:
        super().__init__(dims, dimsd, dtype=dtype, name=name)
        self.method = method
        self._register("h", h)
        # the kernels require the filter axes in the order of the model axes, beginning with the first convolved axis
        order = sorted(range(len(axes)), key=lambda i: axes[i])
        self._axes = tuple(axes[i] for i in order)
        self._offsets = tuple(offsets[i] for i in order)
        if h.ndim == len(axes):
            lengths = dict(zip(axes, h.shape, strict=True))
            self._order = tuple(order)
            self._filter_shape = tuple(lengths.get(axis, 1) for axis in range(self._axes[0], 0))
        else:
            shape = tuple(h.shape)
            while shape[0] == 1 and len(shape) > -self._axes[0]:
                shape = shape[1:]
            self._order = tuple(range(h.ndim))
            self._filter_shape = shape
        self._lengths = tuple(self._filter_shape[axis] for axis in self._axes)

    def _forward(self, x: Tensor) -> Tensor:
        return self._convolve(x, False, _KERNELS)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._convolve(y, True, _KERNELS)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._convolve(x, False, _FAST_KERNELS)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._convolve(y, True, _FAST_KERNELS)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        if self.h.ndim != len(self._axes):
            raise Unsuitable  # one filter per trace
        h = view_of(self, "h").transpose(self._order)
        dtype = np.promote_types(x.dtype, h.dtype)
        axes, offsets = self._axes, self._offsets
        if adjoint:
            h = h[(slice(None, None, -1),) * h.ndim].conj()
            offsets = tuple(length - 1 - o for length, o in zip(self._lengths, offsets, strict=True))
        sizes = tuple((self.dims if adjoint else self.dimsd)[axis] for axis in axes)
        method = self.method
        if method is None:
            method = self._fastest()
            if method == "fft" and x.ndim == 1 and x.size * h.size <= DIRECT_PRODUCTS and np.isfinite(np.vdot(x, x)):
                method = "direct"  # by the FFT, NaN would reach all samples
        if method == "overlapadd":
            raise Unsuitable
        convolve = convolve_array_directly if method == "direct" else convolve_array_by_fft
        if h.dtype.kind == "c":
            return convolve(x.astype(dtype, copy=False), h.astype(dtype, copy=False), axes, offsets, sizes)
        h = h.astype(real_of_dtype(dtype), copy=False)  # keeps the real and imaginary parts separate
        return on_parts(lambda x: convolve(x, h, axes, offsets, sizes), x.astype(dtype, copy=False))

    def _convolve(self, x: Tensor, adjoint: bool, kernels: dict[str, Any]) -> Tensor:
        h = self.h.permute(self._order).reshape(self._filter_shape)
        dtype = torch.promote_types(x.dtype, h.dtype)
        x, axes, offsets = x.to(dtype), self._axes, self._offsets
        h = h.to(dtype if h.is_complex() else real_dtype(dtype))
        if adjoint:
            h = conjugate(h).flip(axes)
            offsets = tuple(length - 1 - o for length, o in zip(self._lengths, offsets, strict=True))
        sizes = tuple((self.dims if adjoint else self.dimsd)[axis] for axis in axes)
        method = self._fastest() if self.method is None else self.method
        kernel = kernels[method]
        if method == "direct":
            y: Tensor = kernel(x, h, axes, offsets, sizes)
            return y
        if x.is_complex() and not h.is_complex():  # keeps the real and imaginary parts exactly separate
            real, imag = kernel(torch.stack((x.real, x.imag)), h, axes, offsets, sizes)
            return torch.complex(real, imag)
        return kernel(x, h.to(dtype), axes, offsets, sizes)  # type: ignore[no-any-return]

    def _fastest(self) -> str:
        """Return the fastest method, as measured on the CPU.

        The gradient with respect to the filter costs several passes per tap of the direct sum, unless it is compiled.
        The FFT of a long axis exceeds the cache, while blocks of it do not.
        """
        few = 15 if len(self._axes) == 1 else 25
        if self.h.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            few = 5
        if math.prod(self._lengths) <= few:
            return "direct"
        samples = self.dims[self._axes[0]]
        return "overlapadd" if len(self._axes) == 1 and samples >= max(65536, 64 * self._lengths[0]) else "fft"

    def _options(self) -> list[str]:
        method = [] if self.method is None else [f"method={self.method!r}"]
        return [f"h={tuple(self.h.shape)}", *method]


def fast_length(n: int) -> int:
    """Return the next length for which FFTs are fast: a product of powers of 2, 3, 5 and 7, with enough factors of 2.

    In MKL, real FFTs of odd length take three times as long; multiples of 16 are the fastest.

    >>> fast_length(514), fast_length(11), fast_length(1)
    (560, 12, 2)
    """
    step = 16 if n > 64 else 2
    length = -(-n // step)
    while not is_smooth(length):
        length += 1
    return step * length


def is_smooth(n: int, primes: tuple[int, ...] = (2, 3, 5, 7)) -> bool:
    """Return whether a number is a product of powers of some primes."""
    for prime in primes:
        while n % prime == 0:
            n //= prime
    return n == 1


def window(x: Tensor, axis: int, start: int, length: int) -> Tensor:
    """Return samples ``start`` to ``start + length - 1`` along ``axis``, with zeros outside of ``x``.

    >>> window(torch.tensor([1.0, 2.0, 3.0]), -1, -1, 3)
    tensor([0., 1., 2.])
    """
    size = x.shape[axis]
    low, high = min(max(start, 0), size), min(max(start + length, 0), size)
    inside = x.narrow(axis, low, high - low)
    if high - low == length:
        return inside
    before = min(max(-start, 0), length)
    return torch.cat((_zeros(x, axis, before), inside, _zeros(x, axis, length - before - (high - low))), axis)


def _zeros(x: Tensor, axis: int, length: int) -> Tensor:
    shape = list(x.shape)
    shape[axis] = length
    return x.new_zeros(shape)


def convolve_directly(x: Tensor, h: Tensor, axes: Sizes, offsets: Sizes, sizes: Sizes) -> Tensor:
    """Convolve by a sum over the taps of the filter."""
    h = h.to(x.dtype)
    lengths = [h.shape[axis] for axis in axes]
    for axis, length, offset, size in zip(axes, lengths, offsets, sizes, strict=True):
        x = window(x, axis, offset - length + 1, size + length - 1)
    y = x.new_zeros(())
    for taps in product(*map(range, lengths)):
        piece, tap = x, h
        for axis, k, length, size in zip(axes, taps, lengths, sizes, strict=True):
            piece, tap = piece.narrow(axis, length - 1 - k, size), tap.narrow(axis, k, 1)
        y = torch.addcmul(y, piece, tap)
    return y


def convolve_by_fft(x: Tensor, h: Tensor, axes: Sizes, offsets: Sizes, sizes: Sizes) -> Tensor:
    """Convolve by a product of spectra."""
    if x.numel() == 0:  # the CPU FFT rejects an empty batch
        return _of_empty(x, h, axes, sizes)
    lengths = _fft_lengths(x, h, axes, offsets, sizes)
    return _through_spectrum(x, _spectrum(h, axes, lengths), axes, offsets, sizes, lengths)


def convolve_by_overlap_add(x: Tensor, h: Tensor, axes: Sizes, offsets: Sizes, sizes: Sizes) -> Tensor:
    """Convolve block by block along one axis, by FFTs several times as long as the filter, and add the overlaps."""
    (axis,), (offset,), (size,) = axes, offsets, sizes
    if x.numel() == 0:
        return _of_empty(x, h, axes, sizes)
    overlap = h.shape[axis] - 1
    length = fast_length(8 * (overlap + 1))
    block = length - overlap
    count = -(-x.shape[axis] // block)
    if count == 1:
        return convolve_by_fft(x, h, axes, offsets, sizes)
    blocks = _split_axis(window(x, axis, 0, count * block), axis, count)
    spectrum = _spectrum(_split_axis(h, axis, 1), axes, (length,))
    y = _through_spectrum(blocks, spectrum, axes, (0,), (length,), (length,))
    head, tail = y.narrow(axis, 0, block), window(y, axis, block, block)
    y = window(head, axis - 1, 0, count + 1) + window(tail, axis - 1, -1, count + 1)
    joined = (*y.shape[: axis - 1], (count + 1) * block, *y.shape[y.ndim + axis + 1 :])
    return window(y.reshape(joined), axis, offset, size)


def _split_axis(x: Tensor, axis: int, count: int) -> Tensor:
    """Return ``x`` with ``axis`` split into ``count`` blocks, which form a new axis before it."""
    shape = list(x.shape)
    shape[axis] = x.shape[axis] // count
    shape.insert(x.ndim + axis, count)
    return x.reshape(shape)


def convolve_directly_in_place(x: Tensor, h: Tensor, axes: Sizes, offsets: Sizes, sizes: Sizes) -> Tensor:
    """Convolve by a sum over the taps, as :func:`convolve_directly`, without autograd support."""
    y = _empty_result(x, axes, sizes)
    lengths = [h.shape[axis] for axis in axes]
    same = h.numel() == math.prod(lengths)  # one filter for all traces, so each tap is a number
    values = h.flatten().tolist() if same else []
    for xs, ys, part in blocks(x, y, h.ndim, axes):
        ys.zero_()
        filters = h.to(x.dtype)[..., part] if not same and h.shape[-1] > 1 else h.to(x.dtype)
        for i, taps in enumerate(product(*map(range, lengths))):
            source, target, tap = xs, ys, filters
            for axis, k, offset in zip(axes, taps, offsets, strict=True):
                shift = offset - k
                first, last = max(-shift, 0), min(ys.shape[axis], xs.shape[axis] - shift)
                if first >= last:  # this tap reads only zeros outside of x
                    break
                source = source.narrow(axis, first + shift, last - first)
                target = target.narrow(axis, first, last - first)
                tap = tap.narrow(axis, k, 1)
            else:
                if same:
                    target.add_(source, alpha=values[i])
                else:
                    target.addcmul_(source, tap)
    return y


def convolve_by_fft_in_place(x: Tensor, h: Tensor, axes: Sizes, offsets: Sizes, sizes: Sizes) -> Tensor:
    """Convolve by a product of spectra, as :func:`convolve_by_fft`, block by block to save memory."""
    y = _empty_result(x, axes, sizes)
    if x.numel() == 0:
        return y
    lengths = _fft_lengths(x, h, axes, offsets, sizes)
    spectrum = _spectrum(h, axes, lengths)
    for xs, ys, part in blocks(x, y, h.ndim, axes):
        own = spectrum[..., part] if spectrum.shape[-1] > 1 else spectrum
        ys.copy_(_through_spectrum(xs, own, axes, offsets, sizes, lengths, in_place=True))
    return y


def _fft_lengths(x: Any, h: Any, axes: Sizes, offsets: Sizes, sizes: Sizes) -> tuple[int, ...]:
    """Return FFT lengths for which no wrap-around reaches the samples of the result."""
    lengths = []
    for axis, offset, size in zip(axes, offsets, sizes, strict=True):
        n, taps = x.shape[axis], h.shape[axis]
        lengths.append(fast_length(max(n + taps - 1 - max(offset, 0), size + offset, n, taps)))
    return tuple(lengths)


def _spectrum(h: Tensor, axes: Sizes, lengths: Sizes) -> Tensor:
    spectrum: Tensor = (torch.fft.fftn if h.is_complex() else torch.fft.rfftn)(h, s=lengths, dim=axes)
    return spectrum


def _through_spectrum(
    x: Tensor, spectrum: Tensor, axes: Sizes, offsets: Sizes, sizes: Sizes, lengths: Sizes, in_place: bool = False
) -> Tensor:
    forward, back = (torch.fft.fftn, torch.fft.ifftn) if x.is_complex() else (torch.fft.rfftn, torch.fft.irfftn)
    y: Tensor = forward(x, s=lengths, dim=axes)
    y = back(y.mul_(spectrum) if in_place else y * spectrum, s=lengths, dim=axes)
    for axis, offset, size in zip(axes, offsets, sizes, strict=True):
        y = window(y, axis, offset, size)
    return y


def _of_empty(x: Tensor, h: Tensor, axes: Sizes, sizes: Sizes) -> Tensor:
    """Return an empty result that depends on ``x`` and ``h``, so that backward works."""
    for axis, size in zip(axes, sizes, strict=True):
        x, h = window(x, axis, 0, size), h.narrow(axis, 0, 1)
    return x * h


def _empty_result(x: Tensor, axes: Sizes, sizes: Sizes) -> Tensor:
    shape = list(x.shape)
    for axis, size in zip(axes, sizes, strict=True):
        shape[axis] = size
    return empty(shape, x.dtype)


def convolve_array_directly(
    x: NDArray[Any], h: NDArray[Any], axes: Sizes, offsets: Sizes, sizes: Sizes
) -> NDArray[Any]:
    """Convolve a small array as :func:`convolve_directly` does; ``h`` has the filter axes only."""
    if x.ndim == 1:
        y = np.convolve(x, h)
        (offset,), (size,) = offsets, sizes
        return y[offset : offset + size] if 0 <= offset <= len(y) - size else placed(y, -1, size, -offset)
    limit_table(math.prod(sizes) * (x.size // math.prod(x.shape[axis] for axis in axes)) * h.size)
    last = tuple(range(-len(axes), 0))
    moved = tuple(axes) != last
    x = np.moveaxis(x, axes, last) if moved else x
    for axis, length, offset, size in zip(last, h.shape, offsets, sizes, strict=True):
        x = placed(x, axis, size + length - 1, length - 1 - offset)
    lead, steps = x.shape[: x.ndim - len(axes)], x.strides[x.ndim - len(axes) :]
    windows: NDArray[Any] = np.ndarray((*lead, *sizes, *h.shape), x.dtype, x, 0, (*x.strides, *steps))
    taps = h[(slice(None, None, -1),) * h.ndim].reshape(h.size)
    y = windows.reshape((*lead, *sizes, h.size)) @ taps
    return np.ascontiguousarray(np.moveaxis(y, last, axes)) if moved else y


def convolve_array_by_fft(x: NDArray[Any], h: NDArray[Any], axes: Sizes, offsets: Sizes, sizes: Sizes) -> NDArray[Any]:
    """Convolve a small array as :func:`convolve_by_fft` does; ``h`` has the filter axes only."""
    filters = h
    if axes != tuple(range(-len(axes), 0)):
        filters = h.reshape([1 if axis not in axes else h.shape[axes.index(axis)] for axis in range(axes[0], 0)])
    lengths = _fft_lengths(x, filters, axes, offsets, sizes)
    real = x.dtype.kind != "c"
    if len(axes) == 1:
        (length,), (axis,) = lengths, axes
        one, back_one = (np.fft.rfft, np.fft.irfft) if real else (np.fft.fft, np.fft.ifft)
        y: NDArray[Any] = back_one(one(x, length, axis) * one(filters, length, axis), length, axis)
    else:
        forward, back = (np.fft.rfftn, np.fft.irfftn) if real else (np.fft.fftn, np.fft.ifftn)
        y = back(forward(x, lengths, axes) * forward(filters, lengths, axes), lengths, axes)
    for axis, offset, size in zip(axes, offsets, sizes, strict=True):
        whole = 0 <= offset <= y.shape[axis] - size
        y = y[at(axis, offset, offset + size)] if whole else placed(y, axis, size, -offset)
    return y.astype(x.dtype, copy=False)


_KERNELS = {"direct": convolve_directly, "fft": convolve_by_fft, "overlapadd": convolve_by_overlap_add}
_FAST_KERNELS = {
    "direct": convolve_directly_in_place,
    "fft": convolve_by_fft_in_place,
    "overlapadd": convolve_by_overlap_add,
}
