"""Dual-tree complex wavelet transform along one axis."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchlops.arrays import DType
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.memory import in_blocks
from torchlops.shapes import Dims, accept_pylops_options, as_dims, as_integer, as_trailing_axis
from torchlops.signalprocessing._dualtree import (
    FIRST,
    QUARTER_SHIFT,
    analysis,
    filtered,
    filtered_adjoint,
    first_analysis,
    first_filters,
    first_synthesis,
    synthesis,
)
from torchlops.signalprocessing._parts import on_parts


class Pyramid(NamedTuple):
    """The coefficients of a :class:`DTCWT`, by level."""

    lowpass: Any
    highpasses: tuple[Any, ...]


class DTCWT(AccumulatingOperator):
    r"""Dual-tree complex wavelet transform along one axis.

    Two real wavelet transforms, whose wavelets are approximate Hilbert transforms of each other, compute the real and
    imaginary parts of complex coefficients. Their magnitude is nearly invariant to shifts of the signal. The first
    level uses symmetric biorthogonal filters, whose outputs at even and odd samples form the two trees. Each further
    level halves the samples of each tree with orthonormal quarter-sample-shift filters, which are
    time-reversed between the trees. The signal is extended by symmetric reflection. If the number of samples of a level
    is not a multiple of four, its two end samples are doubled.

    The data has the real and imaginary parts along a new first axis. Along ``axis`` are the complex coefficients,
    beginning with the first level, followed by the real low-pass samples. The transform is a real matrix. It is applied
    to both parts of complex models, which results in complex data.

    Forward:
        .. math:: y = [d_1, \ldots, d_L, a_L]

        with the complex coefficients :math:`d_l = u_l + i v_l` of level :math:`l`, :math:`u` and :math:`v` from one
        tree each, and the low-pass samples :math:`a_L`.

    Adjoint:
        The exact adjoint, which filters and upsamples with the time-reversed filters. The transform is redundant, and
        only approximately a tight frame. (PyLops returns the inverse in place of the adjoint.) The inverse is
        ``A / y``.

    Args:
        dims: Shape of the model.
        biort: Filters of the first level: ``"antonini"`` (9 and 7 taps), ``"legall"`` (5, 3), ``"near_sym_a"``
            (5, 7) or ``"near_sym_b"`` (13, 19).
        qshift: Filters of the further levels: ``"qshift_06"`` (10 taps, 6 of them nonzero), ``"qshift_a"`` (10),
            ``"qshift_b"`` (14), ``"qshift_c"`` (16) or ``"qshift_d"`` (18).
        level: Number of levels, at least 1.
        include_scale: Accepted for compatibility; it has no effect. In PyLops the data does not contain the scales
            either.
        axis: Axis along which to transform, with an even number of samples.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``biort`` or ``qshift`` is unknown, ``level`` is less than 1, or the number of samples is odd.

    References:
        N. Kingsbury, Complex wavelets for shift invariant analysis and filtering of signals, Applied and
        Computational Harmonic Analysis 10 (2001), 234-253. I. W. Selesnick, R. G. Baraniuk and N. Kingsbury, The
        dual-tree complex wavelet transform, IEEE Signal Processing Magazine 22 (2005), 123-151.

    Example:
        >>> A = DTCWT(16, level=2)
        >>> x = torch.arange(16.0)
        >>> y = A(x)
        >>> y.shape, torch.allclose(A / y, x, atol=1e-4)
        (torch.Size([2, 20]), True)
    """

    def __init__(
        self,
        dims: Dims,
        biort: str = "near_sym_a",
        qshift: str = "qshift_a",
        level: int = 3,
        include_scale: bool = False,
        axis: int = -1,
        dtype: DType = "float64",
        name: str = "C",
    ) -> None:
        accept_pylops_options(include_scale=include_scale)
        owner, dims = type(self).__name__, as_dims(dims)
        trailing = as_trailing_axis(axis, dims)
        for what, value, known in (("biort", biort, FIRST), ("qshift", qshift, QUARTER_SHIFT)):
            if value not in known:
                raise ValueError(f"{owner}: {what} must be one of {', '.join(known)}, got {value!r}")
        level = as_integer(level, f"{owner}: level", least=1)
        n = dims[trailing]
        if n % 2:
            raise ValueError(
                f"{owner}: axis {axis} of dims={dims} must have an even number of samples: pad the model (see Pad)"
            )
        # numbers of input samples of each level, and of output samples of the last level
        self._lengths = [n, n]
        for _ in range(level - 1):
            self._lengths.append(-(-self._lengths[-1] // 4) * 2)
        self.highpass_sizes = [n // 2, *(length // 2 for length in self._lengths[2:])]
        self.lowpass_size = self._lengths[-1]
        dimsd = [2, *dims]
        dimsd[trailing] = sum(self.highpass_sizes) + self.lowpass_size
        super().__init__(dims, dimsd, dtype=dtype, name=name)
        self.axis, self.level, self.biort, self.qshift = trailing, level, biort, qshift
        h0, h1, g0, g1 = first_filters(biort)
        self._analyses = [first_analysis(h0, h1)] + [analysis(QUARTER_SHIFT[qshift])] * (self.level - 1)
        self._syntheses = [first_synthesis(g0, g1)] + [synthesis(QUARTER_SHIFT[qshift])] * (self.level - 1)

    def get_pyramid(self, y: Any) -> Pyramid:
        """Return the low-pass samples and the complex coefficients of each level from data ``(*batch, *dimsd)``."""
        every = (slice(None),) * len(self.dims)
        real, imaginary = y[(..., 0, *every)], y[(..., 1, *every)]
        places: list[Any] = []
        start = 0
        for size in (*self.highpass_sizes, self.lowpass_size):
            places.append((..., slice(start, start + size), *every[1 : -self.axis]))
            start += size
        highpasses = tuple(real[place] + 1j * imaginary[place] for place in places[:-1])
        return Pyramid(real[places[-1]], highpasses)

    def _forward(self, x: Tensor) -> Tensor:
        return on_parts(self._analyse, x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return on_parts(self._analyse_adjoint, y)

    def _inverse(self, y: Tensor) -> Tensor:
        return on_parts(self._synthesise, y)

    def _fast_forward(self, x: Tensor) -> Tensor:
        first = -len(self.dimsd)  # the model has one axis fewer than the data
        axes = (first, self.axis)
        return in_blocks(x.unsqueeze(first), self.dimsd, x.dtype, axes, lambda part: self._forward(part.squeeze(first)))

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        first, dims = -len(self.dimsd), (1, *self.dims)
        axes = (first, self.axis)
        return in_blocks(y, dims, y.dtype, axes, lambda part: self._adjoint(part).unsqueeze(first)).squeeze(first)

    def _analyse(self, x: Tensor) -> Tensor:
        low = x.movedim(self.axis, -1)
        real, imaginary = [], []
        for level in self._analyses:
            y = filtered(low, level)
            low = _joined(y.narrow(-1, 0, 2))
            real.append(y.select(-1, 2))
            imaginary.append(y.select(-1, 3))
        real.append(low)
        imaginary.append(torch.zeros_like(low))
        parts = torch.stack((torch.cat(real, -1), torch.cat(imaginary, -1)), -1 - len(self.dims))
        return parts.movedim(-1, self.axis)

    def _analyse_adjoint(self, y: Tensor) -> Tensor:
        low, highs = self._parted(y)
        for i in reversed(range(self.level)):
            pairs = low.reshape((*low.shape[:-1], low.shape[-1] // 2, 2))
            low = filtered_adjoint(torch.cat((pairs, highs[i]), -1), self._analyses[i], self._lengths[i])
        return low.movedim(-1, self.axis)

    def _synthesise(self, y: Tensor) -> Tensor:
        low, highs = self._parted(y)
        for i in reversed(range(self.level)):
            of_low, of_high = self._syntheses[i]
            low = _joined(filtered(low, of_low) + filtered(_joined(highs[i]), of_high))
            doubled = (low.shape[-1] - self._lengths[i]) // 2
            low = low.narrow(-1, doubled, self._lengths[i])
        return low.movedim(-1, self.axis)

    def _parted(self, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the low-pass samples, and the real and imaginary parts of each level along a new last axis."""
        y = y.movedim(self.axis, -1)
        real, imaginary = y.select(-1 - len(self.dims), 0), y.select(-1 - len(self.dims), 1)
        highs, start = [], 0
        for size in self.highpass_sizes:
            highs.append(torch.stack((real.narrow(-1, start, size), imaginary.narrow(-1, start, size)), -1))
            start += size
        return real.narrow(-1, start, self.lowpass_size), highs

    def extra_repr(self) -> str:
        return f"axis={self.axis}, biort={self.biort!r}, qshift={self.qshift!r}, level={self.level}"


def _joined(pairs: Tensor) -> Tensor:
    return pairs.reshape((*pairs.shape[:-2], pairs.shape[-2] * pairs.shape[-1]))
