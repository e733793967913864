"""Marchenko redatuming: wavefields between the surface and points below it, from reflection data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import Array, DType, as_it_is, as_tensor, conjugate, promote, real_dtype, to_numpy
from torchlops.basicoperators._positions import in_result_dtype, is_readable
from torchlops.basicoperators._sparse import FAST_DTYPES
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import PER_SAMPLE, accept_pylops_options, as_dims, as_engine, as_integer
from torchlops.signalprocessing._engineoptions import accept_engine_options
from torchlops.signalprocessing._fourierradon import signals, zeros_of
from torchlops.signalprocessing._parts import on_parts
from torchlops.signalprocessing._slices import multiply_slices
from torchlops.utils.dottest import dottest as check_adjoint
from torchlops.waveeqprocessing._hankel import hankel2_zero
from torchlops.waveeqprocessing._inversion import as_real_tensors, least_squares, smoothed
from torchlops.waveeqprocessing._quickfft import quick_irfft, quick_rfft
from torchlops.waveeqprocessing._wavefields import as_learning_step

__all__ = ["Marchenko"]


def directwave(
    wav: Array,
    trav: Array,
    nt: int,
    dt: float | Tensor,
    nfft: int | None = None,
    dist: Array | None = None,
    kind: str = "2d",
    derivative: bool = True,
) -> Any:
    r"""Return the direct wave of a point source in a homogeneous acoustic medium, with a zero-phase wavelet.

    Its spectrum is, with the amplitude spectrum :math:`W` of the wavelet and the travel time :math:`t`,

    .. math::

        -\frac{i}{4} W(\omega) \, H_0^{(2)}(\omega t) \quad \text{(2d)}, \qquad
        W(\omega) \, \frac{e^{-i \omega t}}{4 \pi r} \quad \text{(3d)},

    times :math:`i \omega` with ``derivative``. It carries derivatives with respect to all tensors, of every order and
    in every mode. The numbers are computed in float64.

    Args:
        wav: Wavelet ``(nw,)``, whose phase has no effect.
        trav: Travel times ``(*batch, nr)``, not negative.
        nt: Number of samples in time.
        dt: Sampling in time.
        nfft: Number of samples of the FFT, by default, and at least, ``nt``.
        dist: Distances :math:`r`, ``(*batch, nr)``, for ``"3d"``.
        kind: ``"2d"`` or ``"3d"``.
        derivative: Whether the time derivative is returned: the response to a source of volume injection rate.

    Returns:
        The direct wave, ``(*batch, nt, nr)``.

    Raises:
        ValueError: If ``kind`` is unknown, distances are missing, or a travel time is negative.
        TypeError: If an array is complex.

    Source: R. Snieder, A guided tour of mathematical methods for the physical sciences, Cambridge University Press,
    2004.

    Example:
        >>> import torch
        >>> wave = directwave(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.02, 0.03]), nt=16, dt=0.004)
        >>> wave.shape, wave.abs().argmax(0)
        (torch.Size([16, 2]), tensor([5, 7]))
    """
    (wavelet, times, distances), give = as_real_tensors("directwave", {"wav": wav, "trav": trav, "dist": dist}, dt)
    dt = as_learning_step(dt, "directwave: dt")
    dt = dt.reshape(()) if isinstance(dt, Tensor) else dt
    if wavelet.ndim != 1 or wavelet.numel() == 0:
        raise ValueError(f"directwave: wav must be a wavelet (nw,), got shape {tuple(wavelet.shape)}. {PER_SAMPLE}")
    if kind not in ("2d", "3d"):
        raise ValueError(f"directwave: kind must be '2d' or '3d', got {kind!r}")
    if kind == "3d" and distances is None:
        raise ValueError("directwave: kind='3d' needs dist, the distances from the source to the receivers")
    if distances is not None and distances.shape not in ((), times.shape):
        raise ValueError(
            f"directwave: dist must be one distance for each travel time, {tuple(times.shape)}, got shape "
            f"{tuple(distances.shape)}"
        )
    if kind == "3d" and is_readable(distances) and not bool((distances > 0).all()):
        raise ValueError(f"directwave: distances must be positive, got {float(distances.min())}")
    if is_readable(times) and bool((times < 0).any()):
        raise ValueError(f"directwave: travel times must not be negative, got {float(times.min())}")
    (nt,) = as_dims(nt, "directwave: nt")
    nfft = nt if nfft is None else max(as_integer(nfft, "directwave: nfft", least=1), nt)
    dtype = promote([tensor.dtype for tensor in (wavelet, times, distances) if tensor is not None])
    if times.numel() == 0:  # which the FFT does not take
        return give(times.new_zeros((*times.shape[:-1], nt, times.shape[-1]), dtype=dtype))
    wavelet = wavelet.double()
    w = 2 * math.pi / nfft * torch.arange(nfft // 2 + 1, dtype=wavelet.dtype, device=wavelet.device) / dt
    phase = w * times.double().unsqueeze(-1)
    if kind == "2d":
        response = -0.25j * hankel2_zero(phase + 1e-10)  # as in PyLops, where that keeps it finite at zero
    else:
        response = torch.complex(phase.cos(), -phase.sin()) / (4 * math.pi * distances.double().unsqueeze(-1))
    amplitude = torch.fft.rfft(wavelet, n=nfft).abs()
    spectrum = response * (1j * w * amplitude if derivative else amplitude)
    wave = signals(spectrum, nfft, 0).narrow(-1, 0, nt)
    return give(wave.mT.to(dtype).contiguous())


class CoupledMarchenko(LinearOperator):
    r"""The operator of the coupled Marchenko equations, on focusing functions :math:`(f^-, f^+)`.

    Forward:
        .. math::

            y^- = W f^- - W R W f^+, \qquad y^+ = W f^+ - W R^\star W f^-

        with the convolution :math:`R` by the reflection response, the correlation :math:`R^\star` with it, and the
        window :math:`W`.

    Adjoint:
        .. math:: f^- = W (y^- - R^{\star T} W y^+), \qquad f^+ = W (y^+ - R^T W y^-)

    Args:
        K: Spectrum of the causal reflection response, times the steps of the sums, ``(nf, n, n)``.
        nt: Number of samples in time, odd.
        window: Windows ``(*batch, *points, nt, n)``, or None for none.
        points: Shape of the points that are one model.

    Models and data have the shape ``(*points, 2, nt, n)``. The middle sample is zero time. That shift, with the one by
    which :math:`R^\star` turns time, is in the phase of ``K``.
    """

    K: Tensor
    window: Tensor

    def __init__(self, K: Tensor, nt: int, window: Tensor | None = None, points: tuple[int, ...] = ()) -> None:
        super().__init__((*points, 2, nt, K.shape[1]), dtype=real_dtype(K.dtype), name="Marchenko")
        self._register("K", K)
        self.has_window = window is not None
        if window is not None:
            self.register_buffer("window", window.unsqueeze(-3))

    def _nominal_dtype(self) -> torch.dtype:
        return real_dtype(super()._nominal_dtype())

    def _forward(self, x: Tensor) -> Tensor:
        return self._coupled(x, self.K, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._coupled(y, self.K.mT, False)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._coupled(x, self.K, True)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._coupled(y, self.K.mT, True)

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return x.dtype in FAST_DTYPES

    def _coupled(self, x: Tensor, kernel: Tensor, fast: bool) -> Tensor:
        """Return ``W x - W E W x``, where ``E`` exchanges the two wavefields and convolves, or correlates, each."""
        x = in_result_dtype(self, x)
        if x.numel() == 0:
            return zeros_of(x, len(self.dims), self.dims)
        x = x * self.window if self.has_window else x
        others = on_parts(lambda part: _convolved(kernel, part.flip(-3), fast, correlates=True), x)
        return x - (others * self.window if self.has_window else others)


def _convolved(kernel: Tensor, x: Tensor, fast: bool = False, correlates: bool = False) -> Tensor:
    """Return the convolution of real wavefields ``(*batch, nt, n)`` with a kernel ``(nf, n, n)``.

    With ``correlates``, wavefields are pairs ``(*batch, 2, nt, n)``, of which the second is correlated instead. That is
    a product with the conjugate kernel, for which the spectra of the wavefield are conjugated instead.
    """
    nt, nf = x.shape[-2], kernel.shape[0]
    if x.numel() == 0:  # which the FFT does not take
        return x * 1
    if not fast:
        spectrum = torch.fft.rfft(x, dim=-2).narrow(-2, 0, nf)
        spectrum = _second_conjugated(spectrum) if correlates else spectrum
        product = multiply_slices(kernel, spectrum.unsqueeze(-1)).squeeze(-1)
        product = _second_conjugated(product) if correlates else product
        return signals(product.mT, nt, 0).mT
    spectrum = quick_rfft(x, -2).narrow(-2, 0, nf)
    if correlates:
        spectrum.select(-3, 1).conj_physical_()
    product = multiply_slices(kernel, spectrum.unsqueeze(-1)).squeeze(-1)
    if correlates:
        product.select(-3, 1).conj_physical_()
    return quick_irfft(product, nt, -2)


def _second_conjugated(pairs: Tensor) -> Tensor:
    first, second = pairs.unbind(-3)
    return torch.stack((first, conjugate(second)), -3)


class Marchenko:
    r"""Marchenko redatuming: Green's functions between points in the subsurface and receivers at the surface.

    For the direct wave from a point, the focusing functions :math:`f^-` and :math:`f^+ = f_d + f_m^+` solve

    .. math::

        \begin{bmatrix} \Theta R f_d \\ 0 \end{bmatrix} =
        \begin{bmatrix} I & -\Theta R \\ -\Theta R^\star & I \end{bmatrix}
        \begin{bmatrix} f^- \\ f_m^+ \end{bmatrix}, \qquad
        \begin{bmatrix} -g^- \\ g^{+\star} \end{bmatrix} =
        \begin{bmatrix} I & -R \\ -R^\star & I \end{bmatrix}
        \begin{bmatrix} f^- \\ f^+ \end{bmatrix}

    where :math:`R` is the convolution with the reflection data, :math:`\star` is time reversal (and :math:`R^\star` the
    correlation with the data), :math:`f_d` the time-reversed direct wave, and the window :math:`\Theta` keeps times
    between the direct wave and its time reversal. The first system is solved by LSQR, in the windowed functions.

    The results carry derivatives with respect to the reflection data, the direct wave and the wavelet, those of the
    solve by implicit differentiation. The window, whose edges are at whole samples, has none with respect to the travel
    times. In PyLops, a travel time before ``toff`` opens the window at late times; here the window is then empty.

    Args:
        R: Reflection response, times 2, in time ``(ns, nr, nt)``, or in frequency ``(ns, nr, nfmax)`` and complex: of
            both negative times (of zeros) and positive ones, divided by ``sqrt(2 * nt - 1)``. The receivers are where
            the sources are.
        dt: Sampling in time.
        nt: Number of samples in time; needed if ``R`` is in frequency.
        dr: Sampling of the receivers.
        nfmax: Number of frequencies that are used; all by default, or where there are fewer.
        wav: Wavelet ``(nw,)`` of direct waves that are made from travel times.
        toff: Time that is taken off the travel times, for the window to end before the direct wave.
        nsmooth: Number of samples over which the window is smoothed, twice.
        saveRt: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        prescaled: Whether ``R`` in frequency contains the factor ``dt * dr * sqrt(2 * nt - 1)`` already.
        fftengine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        dtype: Nominal dtype, and dtype of ``R`` if it is a list. Results follow the arrays.
        kwargs_fft: Options of the FFT engines in PyLops. They have no effect.

    Attributes:
        ns: Number of sources.
        nr: Number of receivers.
        nt: Number of samples in time.
        nt2: Number of samples of two-sided times, ``2 * nt - 1``.
        t: The times, a NumPy array.
        nfmax: Number of frequencies.

    Raises:
        ValueError: If ``R`` does not have three axes or has other receivers than sources, or ``nt`` is missing.

    Sources: K. Wapenaar et al., Marchenko imaging, Geophysics 79 (2014), WA39-WA57. J. van der Neut, I. Vasconcelos and
    K. Wapenaar, On Green's function retrieval by iterative substitution of the coupled Marchenko equations, Geophysical
    Journal International 203 (2015), 792-813.

    Example:
        >>> import torch
        >>> R = torch.zeros(1, 1, 16, dtype=torch.float64)
        >>> R[0, 0, 6] = 0.5  # one reflector, below the point
        >>> G0 = torch.zeros(1, 16, dtype=torch.float64)
        >>> G0[0, 2] = 1.0
        >>> redatuming = Marchenko(R, dt=1.0, nsmooth=0)
        >>> *_, g_minus, g_plus = redatuming.apply_onepoint(torch.tensor([2.0]), G0, greens=True)
        >>> g_minus[0, 15:].argmax(), g_plus[0, 15:].argmax()  # 6 - 2 samples, and 2
        (tensor(4), tensor(2))
    """

    def __init__(
        self,
        R: Array,
        dt: float = 0.004,
        nt: int | None = None,
        dr: float = 1.0,
        nfmax: int | None = None,
        wav: Array | None = None,
        toff: float = 0.0,
        nsmooth: int = 10,
        saveRt: bool = True,
        prescaled: bool = False,
        fftengine: str = "numpy",
        dtype: DType = "float64",
        kwargs_fft: Mapping[str, Any] | None = None,
    ) -> None:
        accept_pylops_options(saveRt=saveRt)
        self.fftengine, self.saveRt = as_engine(fftengine), saveRt
        self.kwargs_fft = dict(kwargs_fft or {})
        accept_engine_options("Marchenko", self.kwargs_fft)
        self.R = as_tensor(R, "Marchenko: R", dtype)
        if self.R.ndim != 3 or self.R.shape[0] != self.R.shape[1]:
            raise ValueError(
                "Marchenko: R must be a reflection response (ns, nr, nt) with receivers where the sources are, ns = nr,"
                f" got shape {tuple(self.R.shape)}. {PER_SAMPLE}"
            )
        self.ns, self.nr, samples = self.R.shape
        self.is_in_time = not self.R.is_complex()
        if nt is None and not self.is_in_time:
            raise ValueError("Marchenko: nt must be given where R is in frequency")
        if nt is not None and self.is_in_time and nt != samples:
            raise ValueError(f"Marchenko: nt={nt} must be the number of samples in time of R, which has {samples}")
        self.nt = samples if self.is_in_time or nt is None else as_integer(nt, "Marchenko: nt", least=1)
        self.nt2 = 2 * self.nt - 1
        self.nfmax = self.nt if nfmax is None else min(as_integer(nfmax, "Marchenko: nfmax", least=1), self.nt)
        self.nfmax = self.nfmax if self.is_in_time else min(samples, self.nt)
        self.dt, self.dr = as_learning_step(dt, "Marchenko: dt"), as_learning_step(dr, "Marchenko: dr")
        self.t: NDArray[Any] = np.arange(self.nt) * float(self.dt)
        self.wav, self.toff, self.dtype = wav, toff, dtype
        self.nsmooth = as_integer(nsmooth, "Marchenko: nsmooth", least=0)
        self.prescaled = bool(prescaled)
        self._is_torch = any(isinstance(value, Tensor) for value in (R, dt, dr, wav))

    @property
    def Rtwosided_fft(self) -> Any:
        """The reflection response in frequency, ``(nfmax, ns, nr)``."""
        spectrum = self._spectrum()
        return spectrum if self._is_torch else to_numpy(spectrum)

    def _spectrum(self) -> Tensor:
        if not self.is_in_time:
            return self.R.narrow(-1, 0, self.nfmax).movedim(-1, 0)
        twosided = torch.nn.functional.pad(self.R, (self.nt - 1, 0))
        spectrum: Tensor = torch.fft.rfft(twosided, dim=-1).narrow(-1, 0, self.nfmax).movedim(-1, 0)
        return spectrum / math.sqrt(self.nt2)

    def _kernel(self) -> Tensor:
        """Return the spectrum that convolves two-sided wavefields with the causal response, steps included."""
        spectrum = self._spectrum()
        f = torch.arange(self.nfmax, dtype=torch.float64, device=spectrum.device)
        angle = (2 * math.pi * (self.nt - 1) / self.nt2) * f
        phase = torch.complex(angle.cos(), angle.sin()).to(spectrum.dtype)
        scale = 1.0 if self.prescaled else self.dt * self.dr * math.sqrt(self.nt2)
        kernel: Tensor = (spectrum * (phase * scale).reshape(-1, 1, 1)).contiguous()
        return kernel

    def apply_onepoint(
        self,
        trav: Array,
        G0: Array | None = None,
        nfft: int | None = None,
        rtm: bool = False,
        greens: bool = False,
        dottest: bool = False,
        usematmul: bool = False,
        **kwargs_solver: Any,
    ) -> tuple[Any, ...]:
        r"""Redatum to one point, or to a batch of points, each of which is a problem of its own.

        Args:
            trav: Travel times from the points to the receivers, ``(*batch, nr)``. A tensor affects the dtype of direct
                waves that are made from it; an array does not.
            G0: Direct waves ``(*batch, nr, nt)``; made from ``trav`` by :func:`directwave` if None.
            nfft: Number of samples of the FFT by which they are made.
            rtm: Whether the redatuming by single scattering, :math:`R f_d`, is returned.
            greens: Whether Green's functions are returned.
            dottest: Whether the operators pass a dot test first.
            usematmul: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
            **kwargs_solver: Options of the solver: LSQR with SciPy's names and defaults (``iter_lim``, ``damp``,
                ``atol``, ``btol``, ``show``), and those of :class:`~torchlops.optimization.solver.options.Options`.

        Returns:
            The focusing functions ``f1_inv_minus`` and ``f1_inv_plus``; with ``rtm``, ``p0_minus``; with ``greens``,
            the Green's functions ``g_inv_minus`` and ``g_inv_plus``, up- and downgoing at the point. All are
            ``(*batch, nr, 2 * nt - 1)``, with zero time in the middle.

        Raises:
            ValueError: If a shape is wrong, or neither ``G0`` nor ``wav`` and ``nfft`` are given.
        """
        accept_pylops_options(usematmul=usematmul)
        return self._redatum(trav, G0, nfft, rtm, greens, dottest, False, kwargs_solver)

    def apply_multiplepoints(
        self,
        trav: Array,
        G0: Array | None = None,
        nfft: int | None = None,
        rtm: bool = False,
        greens: bool = False,
        dottest: bool = False,
        usematmul: bool = False,
        **kwargs_solver: Any,
    ) -> tuple[Any, ...]:
        """Redatum to several points, as one problem with one end: see :meth:`apply_onepoint`, which takes batches.

        Args:
            trav: Travel times ``(*batch, nr, nvs)``.
            G0: Direct waves ``(*batch, nr, nvs, nt)``, or None.
            nfft: As of :meth:`apply_onepoint`, and so are the others.
            rtm: Likewise.
            greens: Likewise.
            dottest: Likewise.
            usematmul: Likewise.
            **kwargs_solver: Likewise.

        Returns:
            As of :meth:`apply_onepoint`, of shape ``(*batch, nr, nvs, 2 * nt - 1)``.
        """
        accept_pylops_options(usematmul=usematmul)
        return self._redatum(trav, G0, nfft, rtm, greens, dottest, True, kwargs_solver)

    def _redatum(
        self, trav: Array, G0: Array | None, nfft: int | None, rtm: bool, greens: bool, dottest: bool, joint: bool,
        options: Mapping[str, Any],
    ) -> tuple[Any, ...]:  # fmt: skip
        (times,), _ = as_real_tensors("Marchenko", {"trav": trav})  # times do not affect the precision
        (direct,), give = as_real_tensors("Marchenko", {"G0": G0}, trav, *options.values())
        give = as_it_is if self._is_torch else give
        times = times.to(self.R.device)
        shape, wanted = tuple(times.shape), "(*batch, nr, nvs)" if joint else "(*batch, nr)"
        if joint and times.ndim > 1:
            times = times.mT  # receivers last
        if times.ndim < 1 + joint or times.shape[-1] != self.nr:
            raise ValueError(f"Marchenko: trav must be travel times {wanted} with nr={self.nr}, got shape {shape}")
        if direct is None:
            if self.wav is None or nfft is None:
                raise ValueError("Marchenko: give the direct waves G0, or a wavelet wav and nfft to make them")
            wavelet = as_tensor(self.wav, "Marchenko: wav")
            direct = directwave(wavelet, times, self.nt, self.dt, nfft)
            if not isinstance(trav, Tensor):  # an array of times is geometry, as the axes of other operators
                direct = direct.to(wavelet.dtype)
        else:
            given = tuple(direct.shape)
            direct = direct.transpose(-3, -2) if joint and direct.ndim > 2 else direct
            direct = direct.mT if direct.ndim > 1 else direct
            if tuple(direct.shape) != (*times.shape[:-1], self.nt, self.nr):
                raise ValueError(
                    f"Marchenko: G0 must be direct waves {wanted[:-1]}, nt) for trav {wanted} of shape {shape} and "
                    f"nt={self.nt}, got shape {given}"
                )
        fd = torch.nn.functional.pad(direct.flip(-2), (0, 0, 0, self.nt - 1))
        points = (times.shape[-2],) if joint else ()
        K, window = self._kernel(), self._window(times).to(promote([fd.dtype, real_dtype(self.R.dtype)]))
        M = CoupledMarchenko(K, self.nt2, window, points)
        if dottest:
            every = tuple(times.shape[:-1])
            check_adjoint(CoupledMarchenko(K, self.nt2, None, every), verb=True)
            check_adjoint(CoupledMarchenko(K, self.nt2, window, every), verb=True)
        p0 = _convolved(K, fd)
        data = p0 * window
        data = torch.stack((data, torch.zeros_like(data)), -3)
        f = least_squares(M, data, options)
        f = f + torch.stack((torch.zeros_like(fd), fd), -3)
        found = [*f.unbind(-3)]
        found += [p0] if rtm else []
        if greens:
            g = CoupledMarchenko(K, self.nt2, None, points).apply_nd(f)
            found += [-g.select(-3, 0), g.select(-3, 1).flip(-2)]
        return tuple(give((each.movedim(-1, -3) if joint else each.mT).contiguous()) for each in found)

    def _window(self, trav: Tensor) -> Tensor:
        """Return the windows ``(*batch, nt2, nr)`` of travel times ``(*batch, nr)``."""
        samples = torch.round((trav.detach().double() - self.toff) / self.dt).unsqueeze(-1)
        times = torch.arange(1 - self.nt, self.nt, device=trav.device).abs()
        return smoothed((times < samples).double(), self.nsmooth).mT
