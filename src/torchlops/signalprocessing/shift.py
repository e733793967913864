"""Shift by a fractional number of samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import Unsuitable, complex_of, on_parts, placed, view_of
from torchlops.arrays import Array, DType, complex_dtype, conjugate, torch_dtype
from torchlops.basicoperators._positions import (
    in_result_dtype,
    precise,
    register_positions,
    weight_dtype,
    whole_numbers,
)
from torchlops.basicoperators._sparse import FAST_DTYPES
from torchlops.linearoperator import LinearOperator
from torchlops.memory import in_blocks
from torchlops.shapes import PER_SAMPLE, Dims, as_dims, as_engine, as_trailing_axis
from torchlops.signalprocessing._engineoptions import accept_engine_options
from torchlops.signalprocessing._fourierradon import signals
from torchlops.signalprocessing._parts import with_parts_as_batch
from torchlops.signalprocessing._realfft import with_fft_errors
from torchlops.warning import warn


class Shift(LinearOperator):
    r"""Shift along one axis by an arbitrary, possibly fractional, number of samples.

    With ``real=True``, or a real ``dtype``, shifted real signals are real, and the real and imaginary parts of complex
    signals are shifted separately. Otherwise the result is complex. (The two differ at the Nyquist frequency of an even
    ``nfft``, where fractional shifts of a real signal are not real.)

    Forward:
        .. math:: y = F^H \, \mathrm{diag}(e^{-2 \pi i f s}) \, F x

        with the unitary FFT :math:`F` over ``nfft`` samples, with which the signal is periodic, and the frequencies
        :math:`f`.

    Adjoint:
        The shift by :math:`-s`:

        .. math:: A^H y = F^H \, \mathrm{diag}(e^{2 \pi i f s}) \, F y

    Args:
        dims: Shape of the model.
        shift: The shift :math:`s` in the unit of ``sampling``: one number, or one per trace with a shape that
            broadcasts to ``dims`` without ``axis``. A tensor carries gradients and affects the dtype of the
            result; other numbers do neither.
        axis: Axis along which the operator is applied.
        nfft: Number of samples of the FFT. Defaults to the number of samples along ``axis``. Larger values pad with
            zeros; smaller values truncate, with a warning.
        sampling: Sampling step.
        real: Whether shifted real signals are real, computed by FFTs of half the size.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
        **kwargs_fft: Options of the FFT engines in PyLops, such as ``workers``. They have no effect.

    Raises:
        ValueError: If the shape of ``shift`` does not match ``dims``, or ``nfft`` is not positive.
        TypeError: If an option is unknown.

    Example:
        >>> Shift(4, 1.0, real=True)(torch.tensor([1.0, 2.0, 3.0, 4.0])).round(decimals=4)
        tensor([4., 1., 2., 3.])
    """

    shift: Tensor
    phase: Tensor

    def __init__(
        self,
        dims: Dims,
        shift: float | Array,
        axis: int = -1,
        nfft: int | None = None,
        sampling: float = 1.0,
        real: bool = False,
        engine: str = "numpy",
        dtype: DType = "complex128",
        name: str = "S",
        **kwargs_fft: Any,
    ) -> None:
        self.engine = as_engine(engine)
        accept_engine_options("Shift", kwargs_fft)
        dims = as_dims(dims)
        super().__init__(dims, dtype=dtype, name=name)
        self.axis = as_trailing_axis(axis, dims)
        (self.nfft,) = as_dims(dims[self.axis] if nfft is None else nfft, "Shift: nfft")
        self.sampling = float(sampling)
        self.real = bool(real) or not torch_dtype(dtype).is_complex
        size = dims[self.axis]
        if self.nfft < size:
            warn(
                f"Shift: nfft={self.nfft} is smaller than the {size} samples of the signal along axis {axis}, so the "
                "signal is truncated. This is rarely intended.",
            )
        self._learns = register_positions(self, "shift", shift, is_tabulated=True)
        self._has_one = self.shift.numel() == 1
        self._check_shape()
        if not self._learns:
            self.register_buffer("phase", self._phases(), persistent=False)

    def _check_shape(self) -> None:
        if self._has_one:
            return
        axis = len(self.dims) + self.axis
        traces, shape = self.dims[:axis] + self.dims[axis + 1 :], tuple(self.shift.shape)
        if len(shape) != len(traces) or any(n not in (1, size) for n, size in zip(shape, traces, strict=True)):
            raise ValueError(
                f"Shift: shift of shape {shape} does not match dims={self.dims}: pass one number, or one per trace "
                f"along axis {self.axis}, of shape {traces}. {PER_SAMPLE}"
            )

    def _phases(self) -> Tensor:
        """Return the factor of each frequency, broadcastable to the spectrum."""
        shift = precise(self.shift)
        if self.real:
            f = whole_numbers(0, self.nfft // 2 + 1, shift)
        else:
            positive, negative = (self.nfft + 1) // 2, self.nfft // 2
            f = torch.cat((whole_numbers(0, positive, shift), whole_numbers(-negative, 0, shift)))
        f = f.reshape((len(f), *(1,) * (-self.axis - 1))) / (self.nfft * self.sampling)
        shift = shift.reshape(()) if self._has_one else shift.unsqueeze(self.axis)
        angle = (-2 * math.pi) * f * shift
        return torch.complex(angle.cos(), angle.sin())

    def _forward(self, x: Tensor) -> Tensor:
        return self._shifted(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._shifted(y, True)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._in_blocks(x, False)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._in_blocks(y, True)

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return x.dtype in FAST_DTYPES

    def _in_blocks(self, x: Tensor, adjoint: bool) -> Tensor:
        x = in_result_dtype(self, x)
        dtype = x.dtype if self.real else complex_dtype(x.dtype)
        axes = (self.axis,) if self._has_one else tuple(range(-len(self.dims), 0))
        return in_blocks(x, self.dims, dtype, axes, lambda x: self._shifted(x, adjoint))

    def _shifted(self, x: Tensor, adjoint: bool) -> Tensor:
        def of_any(x: Tensor) -> Tensor:
            if self.real:
                return with_parts_as_batch(lambda x: self._shift_real(x, adjoint), x)
            return self._shift_complex(x, adjoint)

        x = in_result_dtype(self, x)
        return with_fft_errors(self.name_and_type, "cast its input, for example by x.float()", of_any, x)

    def _factors(self, x: Tensor, adjoint: bool) -> Tensor:
        phase = self._phases() if self._learns else self.phase
        phase = phase.to(complex_dtype(weight_dtype(self, x)))
        return conjugate(phase) if adjoint else phase

    def _shift_real(self, x: Tensor, adjoint: bool) -> Tensor:
        if x.numel() == 0:
            return x * 1
        spectrum = torch.fft.rfft(x, n=self.nfft, dim=self.axis) * self._factors(x, adjoint)
        return self._cut(signals(spectrum.movedim(self.axis, -1), self.nfft, 0).movedim(-1, self.axis), x)

    def _shift_complex(self, x: Tensor, adjoint: bool) -> Tensor:
        if x.numel() == 0:
            return (x * 1).to(complex_dtype(x.dtype))
        spectrum = torch.fft.fft(x, n=self.nfft, dim=self.axis) * self._factors(x, adjoint)
        return self._cut(torch.fft.ifft(spectrum, dim=self.axis), x)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        if self._learns:
            raise Unsuitable
        phase = view_of(self, "phase").astype(complex_of(x.dtype), copy=False)
        phase = phase.conj() if adjoint else phase
        y = on_parts(lambda x: self._shift_array(x, phase), x) if self.real else self._shift_array(x, phase)
        return placed(y, self.axis, x.shape[self.axis]) if self.nfft != x.shape[self.axis] else y

    def _shift_array(self, x: NDArray[Any], phase: NDArray[Any]) -> NDArray[Any]:
        y: NDArray[Any]
        if self.real:
            y = np.fft.irfft(np.fft.rfft(x, self.nfft, self.axis) * phase, self.nfft, self.axis)
            return y.astype(x.dtype, copy=False)
        y = np.fft.ifft(np.fft.fft(x, self.nfft, self.axis) * phase, None, self.axis)
        return y.astype(phase.dtype, copy=False)

    def _cut(self, y: Tensor, x: Tensor) -> Tensor:
        missing = x.shape[self.axis] - self.nfft
        if missing > 0:
            shape = list(x.shape)
            shape[self.axis] = missing
            y = torch.cat((y, y.new_zeros(shape)), self.axis)
        return y.narrow(self.axis, 0, x.shape[self.axis]).contiguous()

    def extra_repr(self) -> str:
        many = "one shift" if self._has_one else "one shift per trace"
        nfft = "" if self.nfft == self.dims[self.axis] else f", nfft={self.nfft}"
        return f"{many}, axis={self.axis}{nfft}, sampling={self.sampling}{', real=True' if self.real else ''}"
