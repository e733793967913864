"""Common base of the Fourier transforms along one, two and more axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import at, complex_of, placed, real_of_dtype, rolled
from torchlops.arrays import DType, complex_dtype, numpy_dtype, real_dtype, torch_dtype
from torchlops.attributes import Computed
from torchlops.linearoperator import LinearOperator
from torchlops.memory import BLOCK, in_blocks
from torchlops.shapes import Dims, as_dims, as_trailing_axes, per_axis
from torchlops.signalprocessing._engineoptions import accept_engine_options
from torchlops.signalprocessing._realfft import pair_weights, real_fft, real_fft_adjoint, with_fft_errors
from torchlops.warning import warn

_NORMS = {  # values of ``norm`` in torch for the FFT and the inverse FFT, such that one is the adjoint of the other
    "ortho": ("ortho", "ortho"),
    "none": ("backward", "forward"),
    "1/n": ("forward", "backward"),
}


class FourierTransform(LinearOperator):
    """The discrete Fourier transform along several axes; see :class:`FFTND` for the arguments.

    ``options`` are keywords of the FFT engines in PyLops (``workers``, ``overwrite_x`` and ``plan`` of SciPy,
    ``threads``, ``flags`` and others of pyFFTW). They never change the result, and have no effect here.
    """

    pair_weights: Tensor

    ndim = Computed(lambda self: len(self.dims))
    doifftpad = Computed(lambda self: any(n < self.dims[a] for a, n in zip(self.axes, self.nffts, strict=True)))

    def __init__(
        self,
        dims: Dims,
        axes: Dims,
        nffts: Any,
        sampling: Any,
        norm: str,
        real: bool,
        ifftshift_before: Any,
        fftshift_after: Any,
        dtype: DType,
        name: str,
        options: dict[str, Any],
    ) -> None:
        kind = type(self).__name__
        accept_engine_options(kind, options)
        dims = as_dims(dims)
        trailing = as_trailing_axes(axes, dims)
        count = len(trailing)
        given = per_axis(nffts, count, f"{kind}: nffts")
        sizes = as_dims(
            [dims[axis] if n is None else n for axis, n in zip(trailing, given, strict=True)], f"{kind}: nffts"
        )
        label = torch_dtype(dtype)
        data = list(dims)
        for axis, size in zip(trailing, sizes, strict=True):
            data[axis] = size
        if real:
            data[trailing[-1]] = sizes[-1] // 2 + 1
        real_model = real or not label.is_complex
        super().__init__(
            dims,
            data,
            dtype=torch.promote_types(complex_dtype(label), torch.complex64),
            clinear=not real_model,
            real_model=real_model,
            name=name,
        )
        self.axes, self.nffts, self.real = trailing, sizes, real
        self._norm = _as_norm(norm, kind)
        if real:
            self.register_buffer("pair_weights", pair_weights(sizes[-1], trailing[-1]), persistent=False)
        self.sampling = tuple(float(step) for step in per_axis(sampling, count, f"{kind}: sampling"))
        self._shifts_before = tuple(map(bool, per_axis(ifftshift_before, count, f"{kind}: ifftshift_before")))
        self._shifts_after = tuple(map(bool, per_axis(fftshift_after, count, f"{kind}: fftshift_after")))
        self.ifftshift_before: Any = self._shifts_before
        self.fftshift_after: Any = self._shifts_after
        self._before = _chosen(trailing, self._shifts_before)
        self._after = _chosen(trailing, self._shifts_after)
        self._warn_of_rare_choices()

    def _warn_of_rare_choices(self) -> None:
        for axis, size in zip(self.axes, self.nffts, strict=True):
            if size < self.dims[axis]:
                warn(
                    f"{self.name_and_type}: nfft={size} is smaller than the {self.dims[axis]} samples of the signal "
                    f"along axis {axis}, so the signal is truncated. This is rarely intended.",
                )
        if self.real and self._shifts_after[-1]:
            warn(
                f"{self.name_and_type}: fftshift_after moves the zero frequency to the middle of the axis, but with "
                f"real=True axis {self.axes[-1]} has no negative frequencies. This is rarely intended.",
            )

    def _frequencies(self) -> tuple[NDArray[np.float64], ...]:
        frequencies: list[NDArray[np.float64]] = []
        for i, (size, step) in enumerate(zip(self.nffts, self.sampling, strict=True)):
            halved = self.real and i == len(self.nffts) - 1
            f = (np.fft.rfftfreq if halved else np.fft.fftfreq)(size, step).astype(np.float64)
            frequencies.append(np.fft.fftshift(f) if self._shifts_after[i] else f)
        return tuple(frequencies)

    @property
    def cdtype(self) -> np.dtype[Any]:
        """The nominal dtype of the data, which is complex."""
        return self.dtype

    @property
    def rdtype(self) -> np.dtype[Any]:
        """The nominal dtype of the model, which is real if the operator takes real models only."""
        label = self._torch_dtype()
        return numpy_dtype(real_dtype(label) if self.real_model else label)

    def _forward(self, x: Tensor) -> Tensor:
        return self._guarded(x, self._transform)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._guarded(y, self._transform_back)

    def _fast_forward(self, x: Tensor) -> Tensor:
        def transform(x: Tensor) -> Tensor:
            return self._transform(x, in_place=True)

        if x.numel() <= BLOCK:
            return self._guarded(x, transform)
        dtype = complex_dtype(x.dtype)
        return self._guarded(x, lambda x: in_blocks(x, self.dimsd, dtype, self.axes, transform))

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        def transform(y: Tensor) -> Tensor:
            return self._transform_back(y, in_place=True)

        if y.numel() <= BLOCK:
            return self._guarded(y, transform)
        dtype = complex_dtype(y.dtype)
        dtype = real_dtype(dtype) if self.real_model else dtype
        return self._guarded(y, lambda y: in_blocks(y, self.dims, dtype, self.axes, transform))

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        y = self._array_back(x) if adjoint else self._array_transform(x)
        return y.astype(complex_of(x.dtype) if y.dtype.kind == "c" else real_of_dtype(x.dtype), copy=False)

    def _array_transform(self, x: NDArray[Any]) -> NDArray[Any]:
        norm: Any = _NORMS[self._norm][0]
        for axis in self._before:
            x = rolled(x, -(x.shape[axis] // 2), axis)
        one = len(self.axes) == 1
        if self.real:
            axis, size = self.axes[-1], self.nffts[-1]
            y = np.fft.rfft(x, size, axis, norm) if one else np.fft.rfftn(x, self.nffts, self.axes, norm)
            y[at(axis, 1, 1 + (size - 1) // 2)] *= math.sqrt(2)
        elif one:
            y = np.fft.fft(x, self.nffts[0], self.axes[0], norm)
        else:
            y = np.fft.fftn(x, self.nffts, self.axes, norm)
        for axis in self._after:
            y = rolled(y, y.shape[axis] // 2, axis)
        return y

    def _array_back(self, y: NDArray[Any]) -> NDArray[Any]:
        x: NDArray[Any]
        norm: Any = _NORMS[self._norm][1]
        for axis in self._after:
            y = rolled(y, -(y.shape[axis] // 2), axis)
        one = len(self.axes) == 1
        if self.real:
            axis, size = self.axes[-1], self.nffts[-1]
            spectrum = y.astype(complex_of(y.dtype)) if one else np.fft.ifftn(y, axes=self.axes[:-1], norm=norm)
            spectrum[at(axis, 1, 1 + (size - 1) // 2)] *= math.sqrt(0.5)
            x = np.fft.irfft(spectrum, size, axis, norm)
        elif one:
            x = np.fft.ifft(y, None, self.axes[0], norm)
        else:
            x = np.fft.ifftn(y, None, self.axes, norm)
        for axis, size in zip(self.axes, self.nffts, strict=True):
            if size != self.dims[axis]:
                x = placed(x, axis, self.dims[axis])
        if self.real_model and not self.real:
            x = x.real.copy()
        for axis in self._before:
            x = rolled(x, x.shape[axis] // 2, axis)
        return x

    def _inverse(self, y: Tensor) -> Tensor:
        if any(size < self.dims[axis] for axis, size in zip(self.axes, self.nffts, strict=True)):
            raise ValueError(
                f"{self.name_and_type} has no inverse, because nfft={self.nffts} truncates dims={self.dims}: use nfft "
                "of at least the number of samples"
            )
        norm = _NORMS[self._norm][0]  # the same norm in both directions gives the inverse
        return self._guarded(y, lambda y: self._transform_back(y, norm=norm))

    def _guarded(self, x: Tensor, transform: Callable[[Tensor], Tensor]) -> Tensor:
        return with_fft_errors(self.name_and_type, "cast its input, for example by x.float()", transform, x)

    def _transform(self, x: Tensor, in_place: bool = False) -> Tensor:
        if x.numel() == 0:  # the CPU FFT rejects an empty batch
            return self._of_empty(x, self.dimsd, complex_dtype(x.dtype))
        norm = _NORMS[self._norm][0]
        if self._before:
            x = torch.fft.ifftshift(x, self._before)
        if self.real:
            y = real_fft(x, self.nffts, self.axes, norm, self.pair_weights, in_place)
        else:
            y = torch.fft.fftn(x, s=self.nffts, dim=self.axes, norm=norm)
        return torch.fft.fftshift(y, self._after) if self._after else y

    def _transform_back(self, y: Tensor, in_place: bool = False, norm: str | None = None) -> Tensor:
        if y.numel() == 0:
            dtype = complex_dtype(y.dtype)
            return self._of_empty(y, self.dims, real_dtype(dtype) if self.real_model else dtype)
        norm = _NORMS[self._norm][1] if norm is None else norm
        if self._after:
            y = torch.fft.ifftshift(y, self._after)
        if self.real:
            x = real_fft_adjoint(y, self.nffts, self.axes, norm, in_place)
        else:
            x = torch.fft.ifftn(y, dim=self.axes, norm=norm)
        for axis, size in zip(self.axes, self.nffts, strict=True):
            missing = self.dims[axis] - size
            if missing < 0:
                x = x.narrow(axis, 0, self.dims[axis])
            elif missing > 0:
                shape = [missing if i == x.ndim + axis else n for i, n in enumerate(x.shape)]
                x = torch.cat((x, x.new_zeros(shape)), axis)
        if self.real_model and not self.real:
            x = x.real.clone()  # a copy, which frees the memory of the imaginary part
        return torch.fft.fftshift(x, self._before) if self._before else x

    def _of_empty(self, x: Tensor, dims: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return an empty result that depends on ``x``, so that backward works."""
        ndim = len(dims)
        x = x.sum(tuple(range(-ndim, 0)), keepdim=True)
        if x.is_complex() and not dtype.is_complex:
            x = x.real
        return x.expand(*x.shape[: x.ndim - ndim], *dims).to(dtype).clone()

    def extra_repr(self) -> str:
        nffts = tuple(self.dims[axis] for axis in self.axes)
        options = [f"axes={self.axes}", f"norm={self._norm!r}"]
        options += [f"nffts={self.nffts}"] if self.nffts != nffts else []
        options += ["real=True"] if self.real else []
        options += [f"ifftshift_before={self._shifts_before}"] if any(self._shifts_before) else []
        options += [f"fftshift_after={self._shifts_after}"] if any(self._shifts_after) else []
        return ", ".join(options)


def _chosen(axes: tuple[int, ...], flags: tuple[bool, ...]) -> tuple[int, ...]:
    return tuple(axis for axis, flag in zip(axes, flags, strict=True) if flag)


def _as_norm(norm: str, kind: str) -> str:
    lower = norm.lower() if isinstance(norm, str) else ""
    if lower in _NORMS:
        return lower
    explanations = {
        "backward": 'for an unscaled forward transform use "none"; the adjoint is then not scaled by 1/n either',
        "forward": 'for a forward transform scaled by 1/n use "1/n"; the adjoint is then scaled by 1/n as well',
    }
    why = explanations.get(lower, "use 'ortho', 'none' or '1/n'")
    raise ValueError(f"{kind}: norm={norm!r} is unknown: {why}")
