r"""Common base of the Radon transforms in the frequency domain.

A linear or parabolic curve delays a trace by :math:`p h^l`, which is a factor :math:`e^{-2 \pi i f p h^l}` at the
frequency ``f``. The transform is thus a product with one small matrix per frequency and spatial axis. The matrices are
computed in each call, for several frequencies at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import complex_of, limit_table, on_parts, placed, promoted, view
from torchlops.arrays import Array, DType, complex_dtype, conjugate, numpy_dtype, to_numpy
from torchlops.attributes import Computed
from torchlops.basicoperators._positions import Positions, in_result_dtype, precise, register_positions, step_of
from torchlops.basicoperators._sparse import FAST_DTYPES
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import as_integer
from torchlops.signalprocessing._parts import with_parts_as_batch
from torchlops.signalprocessing._realfft import with_fft_errors

_CHUNK = 1 << 20  # matrix elements that the differentiable kernel computes at a time
_BLOCK = 1 << 17  # the same for the fast kernel, small enough to stay in the cache


class FourierRadon(LinearOperator):
    """Frequency-domain Radon transform over one or two spatial axes; see :class:`FourierRadon2D` for the arguments.

    Args:
        taxis: Time axis.
        haxes: Spatial axes, slowest first.
        paxes: Their parameters, in the same order.
        names: The names of ``haxes`` and ``paxes``, used for buffers and in error messages.
        nfft: Number of samples of the FFT.
        flims: Index of the first frequency used, and that of the last plus one.
        kinds: Kind of curve along each of ``haxes``.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
    """

    taxis = Positions()
    nt = Computed(lambda self: self.dims[-1])
    dt = Computed(lambda self: step_of(self.taxis))
    nfft2 = Computed(lambda self: self.nfft // 2 + 1)
    cdtype = Computed(lambda self: numpy_dtype(complex_dtype(self._label())))

    def __init__(
        self,
        taxis: Array,
        haxes: Sequence[Array],
        paxes: Sequence[Array],
        names: Sequence[str],
        nfft: int,
        flims: tuple[int, int] | None,
        kinds: Sequence[str],
        dtype: DType,
        name: str | None,
    ) -> None:
        owner, nt = type(self).__name__, len(taxis)
        if nt < 2:
            raise ValueError(f"{owner}: taxis must have at least two samples, which define the time step, got {nt}")
        nfft = as_integer(nfft, f"{owner}: nfft")
        if nfft < nt:
            raise ValueError(f"{owner}: nfft must be at least {nt}, the number of samples of taxis, got {nfft}")
        for kind in kinds:
            if kind not in ("linear", "parabolic"):
                raise ValueError(f"{owner}: kind must be 'linear' or 'parabolic', got {kind!r}")
        count = nfft // 2 + 1
        first, last = (0, count) if flims is None else (as_integer(index, f"{owner}: flims") for index in flims)
        if not 0 <= first < last <= count:
            raise ValueError(
                f"{owner}: flims must be two indices (first, last) with 0 <= first < last <= {count}, got {flims}"
            )
        super().__init__((*map(len, paxes), nt), (*map(len, haxes), nt), dtype=dtype, name=name)
        self.nfft, self.flims, self.kinds = nfft, (first, last), tuple(kinds)
        self._names = tuple(zip(names[: len(haxes)], names[len(haxes) :], strict=True))
        for what, axis in zip(("taxis", *names), (taxis, *haxes, *paxes), strict=True):
            register_positions(self, what, axis)

    @property
    def f(self) -> Any:
        """The frequencies, in cycles per unit of ``taxis``, as an array, or as a tensor if ``taxis`` is one."""
        return to_numpy(self._frequencies()) if "taxis" in self._constant_names else self._frequencies()

    def _frequencies(self) -> Tensor:
        taxis = precise(self._tensor("taxis"))
        steps = torch.arange(self.nfft // 2 + 1, dtype=taxis.dtype, device=taxis.device)
        return steps / (self.nfft * (taxis[1] - taxis[0]))

    def _delays(self) -> list[Tensor]:
        """Return the delays ``(nh, np)`` along each spatial axis."""
        delays = []
        for (hname, pname), kind in zip(self._names, self.kinds, strict=True):
            h, p = precise(self._tensor(hname)), precise(self._tensor(pname))
            delays.append((h if kind == "linear" else h**2).unsqueeze(1) * p)
        return delays

    def _forward(self, x: Tensor) -> Tensor:
        return self._transform(x, False, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._transform(y, True, False)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._transform(x, False, True)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._transform(y, True, True)

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return x.dtype in FAST_DTYPES

    def _transform(self, x: Tensor, adjoint: bool, in_place: bool) -> Tensor:
        def of_real(x: Tensor) -> Tensor:
            return self._transform_real(x, adjoint, in_place)

        x = in_result_dtype(self, x)
        remedy = "cast its input, for example by x.float()"
        return with_fft_errors(self.name_and_type, remedy, lambda x: with_parts_as_batch(of_real, x), x)

    def _transform_real(self, x: Tensor, adjoint: bool, in_place: bool) -> Tensor:
        dims, dimsd = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        ndim, batch = len(dims), x.shape[: x.ndim - len(dims)]
        if x.numel() == 0:
            return zeros_of(x, ndim, dimsd)
        spectrum = torch.fft.rfft(x, n=self.nfft)
        first, last = self.flims
        count, items = last - first, math.prod(batch)
        spectrum = spectrum.narrow(-1, first, count).reshape(items, math.prod(dims[:-1]), count)
        spectrum = spectrum.permute(2, 1, 0).contiguous()
        spectrum = self._multiply(spectrum, dims[:-1], dimsd[:-1], adjoint, in_place)
        spectrum = spectrum.permute(2, 1, 0).reshape((*batch, *dimsd[:-1], count))
        return signals(spectrum, self.nfft, first, in_place).narrow(-1, 0, dims[-1]).contiguous()

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        return on_parts(lambda x: self._transform_array(x, adjoint), promoted(x, self._own_tensors()))

    def _transform_array(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        dims, dimsd = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        (first, last), nt, sizes = self.flims, dims[-1], list(dims[:-1])
        batch = x.shape[: x.ndim - len(dims)]
        taxis = _precise_array(view(self._tensor("taxis")))
        step = 1 / (self.nfft * (taxis[1] - taxis[0]))
        f = np.arange(first, last, dtype=taxis.dtype) * step
        spectrum = np.fft.rfft(x, self.nfft)[..., first:last].reshape((math.prod(batch), *sizes, last - first))
        spectrum = np.moveaxis(spectrum, (-1, 0), (0, -1))  # one system of equations for each frequency
        for axis, ((hname, pname), kind) in enumerate(zip(self._names, self.kinds, strict=True)):
            h, p = (_precise_array(view(self._tensor(name))) for name in (hname, pname))
            delays = (h if kind == "linear" else h**2)[:, None] * p
            limit_table(f.size * delays.size)
            angle = (-2 * math.pi) * f[:, None, None] * delays
            matrix = np.empty(angle.shape, complex_of(x.dtype))
            np.cos(angle, out=matrix.real, casting="same_kind")
            np.sin(angle, out=matrix.imag, casting="same_kind")
            matrix = matrix.conj().swapaxes(-1, -2) if adjoint else matrix
            moved = spectrum.swapaxes(axis + 1, 1)
            product = matrix @ moved.reshape((*moved.shape[:2], -1))
            spectrum = product.reshape((*product.shape[:2], *moved.shape[2:])).swapaxes(axis + 1, 1)
        spectrum = np.moveaxis(spectrum, (0, -1), (-1, 0))
        if first:
            spectrum = placed(spectrum, -1, last, first)
        y = np.fft.irfft(spectrum, self.nfft)[..., :nt]
        return y.reshape((*batch, *dimsd)).astype(x.dtype)

    def _multiply(
        self, x: Tensor, sizes: Sequence[int], wanted: Sequence[int], adjoint: bool, in_place: bool
    ) -> Tensor:
        """Multiply ``(frequencies, prod(sizes), items)`` at each frequency by the matrix of each axis."""
        delays, f = self._delays(), self._frequencies()
        largest = max(delay.shape[0] * delay.shape[1] for delay in delays)
        step = max(1, (_BLOCK if in_place else _CHUNK) // largest)
        items, parts = x.shape[-1], []
        for start in range(0, x.shape[0], step):
            part = x.narrow(0, start, min(step, x.shape[0] - start))
            some = f.narrow(0, self.flims[0] + start, part.shape[0])
            for axis in range(len(sizes)) if adjoint else reversed(range(len(sizes))):
                # Axes not yet multiplied have the old size: later axes in the adjoint, earlier axes in the forward.
                before = math.prod((wanted if adjoint else sizes)[:axis])
                behind = math.prod((sizes if adjoint else wanted)[axis + 1 :]) * items
                matrix = _phases(some, delays[axis], in_place).to(x.dtype).unsqueeze(1)
                matrix = conjugate(matrix).mT if adjoint else matrix
                part = torch.matmul(matrix, part.reshape(part.shape[0], before, sizes[axis], behind))
            parts.append(part.reshape(part.shape[0], math.prod(wanted), items))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def extra_repr(self) -> str:
        kind = repr(self.kinds[0] if len(self.kinds) == 1 else self.kinds)
        flims = "" if self.flims == (0, self.nfft // 2 + 1) else f", flims={self.flims}"
        return f"nfft={self.nfft}{flims}, kind={kind}"


def _precise_array(positions: NDArray[Any]) -> NDArray[Any]:
    """Return the result of :func:`precise` for an array."""
    return positions.astype(np.promote_types(positions.dtype, np.float32), copy=False)


def _phases(f: Tensor, delay: Tensor, in_place: bool) -> Tensor:
    r"""Return the factors :math:`e^{-2 \pi i f d}`, ``(len(f), *delay.shape)``, of regularly spaced frequencies."""
    if not in_place or f.dtype != torch.float64:
        angle = (-2 * math.pi) * f.reshape(-1, *(1,) * delay.ndim) * delay
        return torch.complex(angle.cos(), angle.sin())
    # The factors of the next k frequencies are those of the first k, rotated by k steps. This saves most of the sines.
    first, step = f[0], f[1] - f[0] if len(f) > 1 else f[0]
    phases = torch.empty((len(f), *delay.shape), dtype=complex_dtype(f.dtype), device=f.device)
    angle = (-2 * math.pi) * first * delay
    torch.complex(angle.cos(), angle.sin(), out=phases[0])
    done = 1
    while done < len(f):
        more = min(done, len(f) - done)
        angle = (-2 * math.pi * done) * step * delay
        torch.mul(phases[:more], torch.complex(angle.cos(), angle.sin()), out=phases[done : done + more])
        done += more
    return phases


def signals(spectrum: Tensor, nfft: int, first: int, in_place: bool = False) -> Tensor:
    """Return real signals of ``nfft`` samples, given the part of their half spectrum that begins at ``first``.

    Imaginary parts at zero and at the Nyquist frequency have no effect. MKL ignores them, but other FFTs do so only for
    some sizes. They are therefore dropped here, except with ``in_place``, which is for the CPU only.
    """
    last = first + spectrum.shape[-1]
    behind = nfft // 2 + 1 - last
    if not in_place:
        head, tail = int(first == 0), int(nfft % 2 == 0 and behind == 0 and last - first > int(first == 0))
        inner = last - first - head - tail
        zero, nyquist = spectrum.narrow(-1, 0, head), spectrum.narrow(-1, head + inner, tail)
        dtype = spectrum.dtype
        spectrum = torch.cat((zero.real.to(dtype), spectrum.narrow(-1, head, inner), nyquist.real.to(dtype)), -1)
    if first or behind:
        lead = spectrum.shape[:-1]
        before, after = spectrum.new_zeros((*lead, first)), spectrum.new_zeros((*lead, behind))
        spectrum = torch.cat((before, spectrum, after), -1)
    result: Tensor = torch.fft.irfft(spectrum, n=nfft)
    return result


def zeros_of(x: Tensor, ndim: int, dims: Sequence[int]) -> Tensor:
    """Return the results of shape ``dims`` for an empty batch, which depend on ``x`` so that backward works.

    The last ``ndim`` axes of ``x`` are those of a sample.
    """
    batch = x.shape[: x.ndim - ndim]
    summed = x.sum(tuple(range(-ndim, 0))).reshape((*batch, *(1,) * len(dims)))
    return summed.expand((*batch, *dims)).clone()
