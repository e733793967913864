"""Blending of seismic shots that are fired before the record of the one before has ended."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import Array, DType, complex_dtype, conjugate, to_numpy
from torchlops.attributes import Computed
from torchlops.basicoperators._positions import (
    Positions,
    in_result_dtype,
    is_readable,
    precise,
    register_positions,
    weight_dtype,
    whole_numbers,
)
from torchlops.basicoperators._sparse import FAST_DTYPES
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import PER_SAMPLE, accept_pylops_options, as_dims
from torchlops.signalprocessing._convolution import fast_length
from torchlops.signalprocessing._engineoptions import accept_engine_options
from torchlops.signalprocessing._fourierradon import signals, zeros_of
from torchlops.signalprocessing._parts import with_parts_as_batch
from torchlops.signalprocessing._realfft import with_fft_errors
from torchlops.warning import warn
from torchlops.waveeqprocessing._wavefields import as_step

__all__ = ["BlendingContinuous", "BlendingGroup", "BlendingHalf"]


class _Blending(LinearOperator):
    """Base of the blending operators: shots ``(ns, nr, nt)``, and the times at which they are fired.

    Subclasses define ``_blend`` and ``_unblend`` for real data.

    Args:
        shape: Shape of ``times``.
        dimsd: Shape of the data.
    """

    times = Positions()
    phase: Tensor

    def __init__(
        self, nt: int, nr: int, ns: int, dt: float, times: Array, shape: tuple[int, ...], dimsd: tuple[int, ...],
        dtype: DType, name: str, options: dict[str, Any],
    ) -> None:  # fmt: skip
        kind = type(self).__name__
        accept_engine_options(kind, options)
        super().__init__((ns, nr, nt), dimsd, dtype=dtype, name=name)
        self.nt, self.nr, self.ns, self.dt = nt, nr, ns, as_step(dt, f"{kind}: dt")
        self._learns = register_positions(self, "times", times, is_tabulated=True)
        if tuple(self._firing_times().shape) != shape:
            raise ValueError(
                f"{kind}: times must have shape {shape}, one for each shot, got {tuple(self._firing_times().shape)}. "
                f"{PER_SAMPLE}"
            )

    def _firing_times(self) -> Tensor:
        times: Tensor = self._tensor("times")
        return times

    def _samples(self) -> Tensor:
        """Return the firing times in samples."""
        return precise(self._firing_times()) / self.dt

    def _phases_of(self, delays: Tensor, nfft: int, x: Tensor) -> Tensor:
        """Return the factors of the half spectrum that delay by so many samples: ``(*delays.shape, nfft // 2 + 1)``."""
        angle = (-2 * math.pi / nfft) * delays.unsqueeze(-1) * whole_numbers(0, nfft // 2 + 1, delays)
        return torch.complex(angle.cos(), angle.sin()).to(complex_dtype(weight_dtype(self, x)))

    def _blend(self, x: Tensor, in_place: bool) -> Tensor:
        raise NotImplementedError

    def _unblend(self, y: Tensor, in_place: bool) -> Tensor:
        raise NotImplementedError

    def _forward(self, x: Tensor) -> Tensor:
        return self._apply_to_parts(x, False, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._apply_to_parts(y, True, False)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._apply_to_parts(x, False, True)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._apply_to_parts(y, True, True)

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return x.dtype in FAST_DTYPES

    def _apply_to_parts(self, x: Tensor, adjoint: bool, in_place: bool) -> Tensor:
        def of_real(x: Tensor) -> Tensor:
            if x.numel() == 0:
                return zeros_of(x, len(self.dimsd if adjoint else self.dims), self.dims if adjoint else self.dimsd)
            return self._unblend(x, in_place) if adjoint else self._blend(x, in_place)

        x = in_result_dtype(self, x)
        remedy = "cast its input, for example by x.float()"
        return with_fft_errors(self.name_and_type, remedy, lambda x: with_parts_as_batch(of_real, x), x)


class BlendingContinuous(_Blending):
    r"""Blending of shots into one continuous record.

    Forward:
        .. math:: y_r(t) = \sum_s x_{sr}(t - t_s)

        Each shot is placed at its firing time :math:`t_s`: by whole samples, and the rest of a sample by a phase shift
        of the shot with one zero appended.

    Adjoint:
        .. math:: (A^H y)_{sr}(t) = y_r(t + t_s), \qquad 0 \le t < n_t \, \Delta t

        the *pseudo-deblended* shots, cut out of the record.

    Args:
        nt: Number of samples of a shot.
        nr: Number of receivers.
        ns: Number of shots.
        dt: Time step.
        times: The firing times :math:`t_s`, ``(ns,)``, from 0 on, in the unit of ``dt``. A tensor carries gradients.
        shiftall: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`: all shots are shifted
            at once.
        nttot: Number of samples of the record. By default, it ends with the last shot.
        dtype: Nominal dtype of the operator. The result has the dtype of the shots.
        name: A name for error messages.
        **kwargs_fft: Options of the FFT engines in PyLops, such as ``workers``. They have no effect.

    Models have shape ``(ns, nr, nt)``, data ``(nr, nttot)``. Real and imaginary parts of complex shots are blended
    separately. (PyLops's adjoint is not that of its forward for complex data.) If times that learn move a shot over an
    end of the record, what is outside is not recorded.

    Attributes:
        nttot: Number of samples of the record.
        shifts: The first sample of each shot in the record, as a NumPy array.

    Raises:
        ValueError: If ``times`` are negative or do not have shape ``(ns,)``, ``nttot`` is too small, or it is not given
            and the values of ``times`` are not known (in a transform or under ``torch.compile``).
        TypeError: If an option is unknown.

    References:
        A. J. Berkhout, Changing the mindset in seismic data acquisition, The Leading Edge 27 (2008), 924-938.

    Example:
        >>> A = BlendingContinuous(2, 1, 2, dt=0.5, times=[0.0, 0.5])
        >>> A(torch.tensor([[[1.0, 2.0]], [[10.0, 20.0]]])).round(decimals=4)
        tensor([[ 1., 12., 20.,  0.]])
    """

    index: Tensor

    shifts = Computed(lambda self: to_numpy(self._samples().detach().floor()).astype(np.int64))

    def __init__(
        self,
        nt: int,
        nr: int,
        ns: int,
        dt: float,
        times: Array,
        shiftall: bool = False,
        nttot: int | None = None,
        dtype: DType = "float64",
        name: str = "B",
        **kwargs_fft: Any,
    ) -> None:
        accept_pylops_options(shiftall=shiftall)
        self.shiftall = bool(shiftall)
        (nt,), (nr,), (ns,) = as_dims(nt, "nt"), as_dims(nr, "nr"), as_dims(ns, "ns")
        last = self._last_of(times, as_step(dt, "BlendingContinuous: dt"))
        if nttot is None:
            if last is None:
                raise ValueError("BlendingContinuous needs nttot where the values of times are not known")
            nttot = int(last + nt + 1)
        (self.nttot,) = as_dims(nttot, "nttot")
        super().__init__(nt, nr, ns, dt, times, (ns,), (nr, self.nttot), dtype, name, kwargs_fft)
        if last is not None and math.ceil(last) + nt > self.nttot:
            raise ValueError(
                f"BlendingContinuous: the last shot ends after {math.ceil(last) + nt} samples, got nttot={self.nttot}"
            )
        if not self._learns:
            index, delays = self._places()
            self.register_buffer("index", index, persistent=False)
            self.register_buffer("delays", delays, persistent=False)

    delays: Tensor

    @staticmethod
    def _last_of(times: Array, dt: float) -> float | None:
        """Return the last of the firing times in samples, or None if their values are not known."""
        if torch.compiler.is_compiling() or (isinstance(times, Tensor) and not is_readable(times)):
            return None
        values = to_numpy(times) if isinstance(times, Tensor) else np.asarray(times, dtype=np.float64)
        if values.size == 0 or not values.min() >= 0:
            raise ValueError(
                f"BlendingContinuous: times must be from 0 on, when the record begins, got {values}: subtract their "
                "minimum"
            )
        return float(values.max()) / dt

    def _places(self) -> tuple[Tensor, Tensor]:
        """Return the sample of the record for each of a shot, ``(ns * (nt + 1))``, and the rest of the delays.

        Samples outside of the record get the index after its last one, where the kernels have a scratch sample.
        """
        samples = self._samples()
        first = samples.detach().floor()
        index = first.to(torch.int64).unsqueeze(-1) + torch.arange(self.nt + 1, device=first.device)
        index = torch.where((index >= 0) & (index < self.nttot), index, self.nttot)
        return index.flatten(-2), samples - first

    def _blend(self, x: Tensor, in_place: bool) -> Tensor:
        index, delays = self._places() if self._learns else (self.index, self.delays)
        n, lead = self.nt + 1, x.shape[:-3]
        phase = self._phases_of(delays, n, x).unsqueeze(-2)
        shots = signals(torch.fft.rfft(x, n=n) * phase, n, 0, in_place)
        shots = shots.transpose(-3, -2).reshape((*lead, self.nr, self.ns * n))
        record = x.new_zeros((*lead, self.nr, self.nttot + 1)).scatter_add(-1, index.expand(shots.shape), shots)
        return record.narrow(-1, 0, self.nttot).contiguous()

    def _unblend(self, y: Tensor, in_place: bool) -> Tensor:
        index, delays = self._places() if self._learns else (self.index, self.delays)
        n, lead = self.nt + 1, y.shape[:-2]
        record = torch.cat((y, y.new_zeros((*y.shape[:-1], 1))), -1).unsqueeze(-3)
        shape = (*lead, self.ns, self.nr)
        index = index.reshape((*index.shape[:-1], self.ns, 1, n))
        shots = record.expand((*shape, self.nttot + 1)).gather(-1, index.expand((*shape, n)))
        phase = conjugate(self._phases_of(delays, n, y)).unsqueeze(-2)
        return signals(torch.fft.rfft(shots) * phase, n, 0, in_place).narrow(-1, 0, self.nt).contiguous()

    def extra_repr(self) -> str:
        return f"ns={self.ns}, nr={self.nr}, nt={self.nt}, nttot={self.nttot}"


class _BlendingInGroups(_Blending):
    """Base of the operators that blend the shots of each group into one record of the length of a shot.

    Args:
        is_group_first: Whether the shots come in the order of ``times``, and not in that of its transpose.
    """

    def __init__(
        self, nt: int, nr: int, ns: int, dt: float, times: Array, group_size: int, n_groups: int, is_group_first: bool,
        dtype: DType, name: str, options: dict[str, Any],
    ) -> None:  # fmt: skip
        kind = type(self).__name__
        (nt,), (nr,), (ns,) = as_dims(nt, "nt"), as_dims(nr, "nr"), as_dims(ns, "ns")
        shape = as_dims((group_size, n_groups), "(group_size, n_groups)")
        if ns != shape[0] * shape[1]:
            raise ValueError(f"{kind}: ns={ns} must be group_size * n_groups = {shape[0]} * {shape[1]}")
        super().__init__(nt, nr, ns, dt, times, shape, (shape[1], nr, nt), dtype, name, options)
        self.group_size, self.n_groups = shape
        self._lead = shape if is_group_first else shape[::-1]
        self._axis = -4 if is_group_first else -3
        reach = nt if self._learns else self._reach()
        self.nfft = fast_length(nt + reach)
        if not self._learns:
            self.register_buffer("delays", self._delays(), persistent=False)

    delays: Tensor

    def _reach(self) -> int:
        """Return the largest number of samples by which a shot that is recorded is shifted."""
        shifts = self._samples().abs()
        if bool(shifts.isnan().any()):
            raise ValueError(f"{type(self).__name__}: times must be numbers, got NaN")
        is_recorded = shifts < self.nt
        if not bool(is_recorded.all()):
            warn(
                f"{type(self).__name__}: {int((~is_recorded).sum())} of the {self.ns} shots are not recorded, because "
                f"their times are the {self.nt} samples of a record or more apart from its beginning. This is rarely "
                "intended."
            )
        return math.ceil(float(shifts.masked_fill(~is_recorded, 0).max()))

    def _delays(self) -> Tensor:
        """Return the delays in samples, in the order of the shots."""
        delays = self._samples()
        return delays if self._axis == -4 else delays.mT

    def _factors(self, x: Tensor) -> Tensor:
        delays = self._delays() if self._learns else self.delays
        is_recorded = (delays.abs() < self.nt).unsqueeze(-1)
        return torch.where(is_recorded, self._phases_of(delays, self.nfft, x), 0).unsqueeze(-2)

    def _blend(self, x: Tensor, in_place: bool) -> Tensor:
        spectra = torch.fft.rfft(x, n=self.nfft).reshape((*x.shape[:-3], *self._lead, self.nr, -1))
        spectrum = (spectra * self._factors(x)).sum(self._axis)
        return signals(spectrum, self.nfft, 0, in_place).narrow(-1, 0, self.nt).contiguous()

    def _unblend(self, y: Tensor, in_place: bool) -> Tensor:
        spectrum = torch.fft.rfft(y, n=self.nfft).unsqueeze(self._axis)
        shots = signals(spectrum * conjugate(self._factors(y)), self.nfft, 0, in_place).narrow(-1, 0, self.nt)
        return shots.reshape((*y.shape[:-3], *self.dims))

    def extra_repr(self) -> str:
        return f"{self.n_groups} groups of {self.group_size} shots, nr={self.nr}, nt={self.nt}"


class BlendingGroup(_BlendingInGroups):
    r"""Blending of groups of consecutive shots, each group into one record.

    Forward:
        .. math:: y_{gr}(t) = \sum_{j=0}^{n-1} x_{g n + j, r}(t - t_{jg})

        with ``n = group_size``. The delays are phase shifts of shots that are padded with zeros.

    Adjoint:
        .. math:: (A^H y)_{g n + j, r}(t) = y_{gr}(t + t_{jg})

    What comes after the end of a record is not recorded, nor what comes before its beginning, with negative times. (In
    PyLops it returns at the other end of the record.) Shots that are outside of it as a whole are named by a warning.

    Args:
        nt: Number of samples of a shot, and of a record.
        nr: Number of receivers.
        ns: Number of shots, ``group_size * n_groups``.
        dt: Time step.
        times: The firing times :math:`t_{jg}`, ``(group_size, n_groups)``, after the beginning of the record of the
            group, in the unit of ``dt``. A tensor carries gradients.
        group_size: Number of shots in a group.
        n_groups: Number of groups.
        nproc: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Nominal dtype of the operator. The result has the dtype of the shots.
        name: A name for error messages.
        **kwargs_fft: Options of the FFT engines in PyLops, such as ``workers``. They have no effect.

    Models have shape ``(ns, nr, nt)``, data ``(n_groups, nr, nt)``. Real and imaginary parts of complex shots are
    blended separately.

    Raises:
        ValueError: If sizes do not match.
        TypeError: If an option is unknown.

    Example:
        >>> A = BlendingGroup(3, 1, 2, dt=0.5, times=[[0.0], [0.5]], group_size=2, n_groups=1)
        >>> A(torch.tensor([[[1.0, 2.0, 3.0]], [[10.0, 20.0, 30.0]]])).round(decimals=4)
        tensor([[[ 1., 12., 23.]]])
    """

    def __init__(
        self,
        nt: int,
        nr: int,
        ns: int,
        dt: float,
        times: Array,
        group_size: int,
        n_groups: int,
        nproc: int = 1,
        dtype: DType = "float64",
        name: str = "B",
        **kwargs_fft: Any,
    ) -> None:
        accept_pylops_options(nproc=nproc)
        super().__init__(nt, nr, ns, dt, times, group_size, n_groups, False, dtype, name, kwargs_fft)


class BlendingHalf(_BlendingInGroups):
    r"""Blending of shots of several vessels that fire at nearly the same time, each time into one record.

    Forward:
        .. math:: y_{gr}(t) = \sum_{j=0}^{n-1} x_{j m + g, r}(t - t_{jg})

        with ``n = group_size`` vessels and ``m = n_groups`` shots of each. The delays are phase shifts of shots that
        are padded with zeros.

    Adjoint:
        .. math:: (A^H y)_{j m + g, r}(t) = y_{gr}(t + t_{jg})

    What comes after the end of a record is not recorded, nor what comes before its beginning, with negative times. (In
    PyLops it returns at the other end of the record.) Shots that are outside of it as a whole are named by a warning.

    Args:
        nt: Number of samples of a shot, and of a record.
        nr: Number of receivers.
        ns: Number of shots, ``group_size * n_groups``.
        dt: Time step.
        times: The firing times :math:`t_{jg}`, ``(group_size, n_groups)``, after the beginning of the record of the
            group, in the unit of ``dt``. A tensor carries gradients.
        group_size: Number of vessels.
        n_groups: Number of shots of each vessel.
        nproc: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Nominal dtype of the operator. The result has the dtype of the shots.
        name: A name for error messages.
        **kwargs_fft: Options of the FFT engines in PyLops, such as ``workers``. They have no effect.

    Models have shape ``(ns, nr, nt)``, data ``(n_groups, nr, nt)``. Real and imaginary parts of complex shots are
    blended separately.

    Raises:
        ValueError: If sizes do not match.
        TypeError: If an option is unknown.

    Example:
        >>> A = BlendingHalf(2, 1, 4, dt=0.5, times=[[0.0, 0.0], [0.5, 0.5]], group_size=2, n_groups=2)
        >>> A(torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]], [[10.0, 20.0]], [[30.0, 40.0]]])).round(decimals=4)
        tensor([[[ 1., 12.]],
        <BLANKLINE>
                [[ 3., 34.]]])
    """

    def __init__(
        self,
        nt: int,
        nr: int,
        ns: int,
        dt: float,
        times: Array,
        group_size: int,
        n_groups: int,
        nproc: int = 1,
        dtype: DType = "float64",
        name: str = "B",
        **kwargs_fft: Any,
    ) -> None:
        accept_pylops_options(nproc=nproc)
        super().__init__(nt, nr, ns, dt, times, group_size, n_groups, True, dtype, name, kwargs_fft)
