"""Multi-dimensional convolution and deconvolution."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import Array, as_tensor, real_dtype
from torchlops.basicoperators import Diagonal
from torchlops.basicoperators._positions import in_result_dtype
from torchlops.basicoperators._sparse import FAST_DTYPES
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.leastsquares import preconditioned_inversion
from torchlops.shapes import PER_SAMPLE, accept_pylops_options, as_dims, as_engine, as_integer
from torchlops.signalprocessing._engineoptions import accept_engine_options
from torchlops.signalprocessing._fourierradon import signals, zeros_of
from torchlops.signalprocessing._parts import with_parts_as_batch
from torchlops.signalprocessing._realfft import with_fft_errors
from torchlops.signalprocessing._slices import multiply_adjoint, multiply_items, multiply_slices
from torchlops.utils.dottest import dottest as check_adjoint
from torchlops.warning import warn
from torchlops.waveeqprocessing._inversion import as_real_tensors, least_squares, smoothed
from torchlops.waveeqprocessing._quickfft import quick_irfft, quick_rfft
from torchlops.waveeqprocessing._wavefields import as_learning_step

__all__ = ["MDC", "MDD"]


class MDC(LinearOperator):
    r"""Multi-dimensional convolution: one matrix product per frequency of a wavefield.

    Models and data are real, and have the time along the first axis. In PyLops, this is a function that returns a
    product of five operators, which fails for one receiver and several virtual sources, and for a kernel with more
    frequencies than there are. (Here they are cut off, with a warning.)

    Forward:
        .. math::

            y = c \, F^{-1} \hat y, \qquad \hat y_{fsv} = \sum_r G_{fsr} \, (F S x)_{frv}

        with the FFT :math:`F` of real signals over time, of which the first :math:`n_{f_{max}}` frequencies are used;
        :math:`c = \Delta r \, \Delta t \sqrt{n_t}`, or 1 if ``prescaled``; and :math:`S`, which moves the middle sample
        to the beginning if ``twosided``, and is the identity otherwise. Then zero time is in the middle of the model;
        in the data, it is where the phase of :math:`G` puts it.

    Adjoint:
        .. math::

            A^H y = c \, S^T F^{-1} \hat x, \qquad \hat x_{frv} = \sum_s \overline{G_{fsr}} \, (F y)_{fsv}

    Args:
        G: The kernel in the frequency domain, ``(nfmax, ns, nr)``. It carries gradients.
        nt: Number of samples in time, of models and of data; odd if ``twosided``.
        nv: Number of virtual sources.
        dt: Sampling in time, a number or a tensor, which carries gradients.
        dr: Sampling of the receivers, likewise.
        twosided: Whether models have negative and positive times, or positive times only.
        fftengine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        saveGt: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        conj: Whether the complex conjugate of ``G`` is used.
        usematmul: Accepted as ``saveGt``.
        prescaled: Whether ``G`` contains the scaling :math:`c` already.
        name: A name for error messages.
        **kwargs_fft: Options of the FFT engines in PyLops, such as ``workers``. They have no effect.

    Models have shape ``(nt, nr, nv)``, data ``(nt, ns, nv)``.

    Attributes:
        nfmax: Number of frequencies.

    Raises:
        ValueError: If ``G`` does not have three axes, ``nt`` is even and ``twosided`` is set, or a step is not one
            positive number.
        TypeError: If an option is unknown.

    Source: K. Wapenaar et al., Seismic interferometry by crosscorrelation and by multi-dimensional deconvolution: a
    systematic comparison, Geophysical Journal International 185 (2011), 1335-1364.

    Example:
        >>> G = torch.ones(2, 1, 1, dtype=torch.complex128)  # a spike at time zero
        >>> A = MDC(G, nt=3, nv=1, twosided=False, prescaled=True)
        >>> A(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)).round(decimals=4)
        tensor([1., 2., 3.], dtype=torch.float64)
    """

    G: Tensor
    dt: float | Tensor
    dr: float | Tensor

    def __init__(
        self,
        G: Array,
        nt: int,
        nv: int,
        dt: float | Tensor = 1.0,
        dr: float | Tensor = 1.0,
        twosided: bool = True,
        fftengine: str = "numpy",
        saveGt: bool = True,
        conj: bool = False,
        usematmul: bool = False,
        prescaled: bool = False,
        name: str = "M",
        **kwargs_fft: Any,
    ) -> None:
        accept_pylops_options(saveGt=saveGt, usematmul=usematmul)
        as_engine(kwargs_fft.pop("engine", fftengine))
        accept_engine_options("MDC", kwargs_fft)
        G = as_tensor(G, "MDC: G")
        if G.ndim != 3 or G.numel() == 0:
            raise ValueError(
                f"MDC: G must have three axes (frequencies, sources, receivers), got shape {tuple(G.shape)}. "
                f"{PER_SAMPLE}"
            )
        (nt,), (nv,) = as_dims(nt, "MDC: nt"), as_dims(nv, "MDC: nv")
        if twosided and nt % 2 == 0:
            raise ValueError(
                f"MDC: nt must be odd for twosided=True, with as many negative as positive times, got {nt}: give "
                "2 * nt - 1, or twosided=False"
            )
        frequencies, ns, nr = G.shape
        self.nfmax = min(frequencies, nt // 2 + 1)
        if frequencies > self.nfmax:
            warn(
                f"MDC: G has {frequencies} frequencies, but signals of nt={nt} samples have {self.nfmax}: the others "
                "are not used"
            )
        super().__init__((nt, nr, nv), (nt, ns, nv), dtype=real_dtype(G.dtype), name=name)
        self.nt, self.nv = nt, nv
        self.twosided, self.conjugates, self.prescaled = bool(twosided), bool(conj), bool(prescaled)
        self._register("G", G)
        for what, step in (("dt", dt), ("dr", dr)):
            step = as_learning_step(step, f"MDC: {what}")
            if isinstance(step, Tensor):
                self._register(what, step)
            else:
                setattr(self, what, step)

    def _nominal_dtype(self) -> torch.dtype:
        return real_dtype(super()._nominal_dtype())

    def _scale(self) -> float | Tensor:
        if self.prescaled:
            return 1.0
        dt, dr = (step.reshape(()) if isinstance(step, Tensor) else step for step in (self.dt, self.dr))
        return dr * dt * math.sqrt(self.nt)

    def _forward(self, x: Tensor) -> Tensor:
        return self._convolved(x, False, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._convolved(y, True, False)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._convolved(x, False, True)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._convolved(y, True, True)

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return x.dtype in FAST_DTYPES

    def _convolved(self, x: Tensor, adjoint: bool, fast: bool) -> Tensor:
        if x.numel() == 0:
            return zeros_of(in_result_dtype(self, x), 3, self.dims if adjoint else self.dimsd)

        def of_any(x: Tensor) -> Tensor:
            return with_parts_as_batch(lambda part: self._convolved_real(part, adjoint, fast), x)

        return with_fft_errors(self.name_and_type, "cast its input by x.float()", of_any, in_result_dtype(self, x))

    def _convolved_real(self, x: Tensor, adjoint: bool, fast: bool) -> Tensor:
        if self.twosided and not adjoint:
            x = torch.fft.ifftshift(x, -3)
        spectrum = quick_rfft(x, -3) if fast else torch.fft.rfft(x, dim=-3)
        spectrum = self._multiplied(spectrum.narrow(-3, 0, self.nfmax), adjoint, fast)
        if fast:
            y = quick_irfft(spectrum, self.nt, -3).mul_(self._scale())
        else:
            y = signals(spectrum.movedim(-3, -1), self.nt, 0).movedim(-1, -3) * self._scale()
        y = torch.fft.fftshift(y, -3) if self.twosided and adjoint else y
        return y.contiguous()

    def _multiplied(self, spectrum: Tensor, adjoint: bool, fast: bool) -> Tensor:
        """Return the product of the kernel, or of its adjoint, with the spectrum of each frequency."""
        multiply = multiply_items if fast else multiply_slices
        G = self.G.narrow(0, 0, self.nfmax)
        if not self.conjugates:
            return multiply_adjoint(multiply, G, spectrum) if adjoint else multiply(G, spectrum)
        if adjoint:
            return multiply(G.mT, spectrum)
        return multiply_adjoint(multiply, G.mT, spectrum)

    def extra_repr(self) -> str:
        options = [f"G={tuple(self.G.shape)}", f"nt={self.nt}", f"nv={self.nv}"]
        options += ["twosided=False"] if not self.twosided else []
        options += ["conj=True"] if self.conjugates else []
        return ", ".join(options)


def MDD(
    G: Array,
    d: Array,
    dt: float | Tensor = 0.004,
    dr: float | Tensor = 1.0,
    nfmax: int | None = None,
    wav: Array | None = None,
    twosided: bool = True,
    causality_precond: bool = False,
    adjoint: bool = False,
    psf: bool = False,
    dottest: bool = False,
    saveGt: bool = True,
    add_negative: bool = True,
    smooth_precond: int = 0,
    fftengine: str = "numpy",
    **kwargs_solver: Any,
) -> Any:
    r"""Multi-dimensional deconvolution: the wavefield that, convolved with ``G``, gives the data.

    .. math:: \min_m \| A m - d \|^2

    with the operator :math:`A` of :class:`MDC` whose kernel is the Fourier transform of ``G`` over time. (It is the
    unscaled one, as in PyLops: where the data are a convolution by :math:`\Delta t` and :math:`\Delta r`, the solution
    is the wavefield divided by :math:`\sqrt{n_t}`.)

    All virtual sources of one data set are one least-squares problem, as in PyLops. Further leading axes of the data
    are a batch of problems, of which each stops by itself. The solution carries derivatives with respect to ``d``,
    ``G``, ``dt``, ``dr`` and ``wav``, those of the solve by implicit differentiation. It assumes convergence: where few
    iterations regularise, pass ``damp``, or ``grad="unroll"``.

    Other than in PyLops, axes of one virtual source or one receiver stay, and may be given.

    Args:
        G: The kernel in time, ``(ns, nr, nt)``, for times from zero on; ``(ns, nr, 2 * nt - 1)`` for
            ``add_negative=False``.
        d: Data, ``(ns, nt)`` of one virtual source, ``(ns, nv, nt)``, or a batch ``(*batch, ns, nv, nt)``. The times
            are those of ``G``.
        dt: Sampling in time.
        dr: Sampling of the receivers.
        nfmax: Number of frequencies that are used; all by default, or where there are fewer.
        wav: A wavelet with which solutions and inverted point-spread functions are convolved. Its zero time is in the
            middle.
        twosided: Whether solutions have negative and positive times, or positive times only.
        causality_precond: Whether solutions at negative times are made small, by a preconditioner that is 0 there and 1
            at positive times. For ``twosided`` only.
        adjoint: Whether the adjoint of the data is returned as well.
        psf: Whether the point-spread function is returned as well: what the method makes of ``G`` itself.
        dottest: Whether the operators pass a dot test first.
        saveGt: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        add_negative: Whether negative times, of zeros, are added to ``G`` and ``d``, which have none. For ``twosided``
            only.
        smooth_precond: Number of samples over which the preconditioner is smoothed, twice.
        fftengine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        **kwargs_solver: Options of the solver: LSQR with SciPy's names and defaults (``damp``, ``iter_lim``, ``atol``,
            ``btol``, ``show``), and those of :class:`~torchlops.optimization.solver.options.Options`. With a
            ``callback``, :func:`~torchlops.cgls`.

    Returns:
        The solution, ``(*batch, nr, [nv], nt)``, with ``2 * nt - 1`` samples if ``twosided``. With ``adjoint``, the
        adjoint of the data follows, of the same shape. With ``psf``, the inverted point-spread function
        ``(nr, nr, nt)`` is next; with both, its adjoint is last. Tensors if ``G``, ``d`` or ``wav`` is one, otherwise
        NumPy arrays.

    Raises:
        ValueError: If the shapes of ``G`` and ``d`` do not agree.
        TypeError: If ``G``, ``d`` or ``wav`` is complex.

    Source: as of :class:`MDC`.

    Example:
        >>> import torchlops
        >>> G = torch.zeros(2, 2, 4, dtype=torch.float64)
        >>> G[0, 0, 0], G[1, 1, 0], G[1, 0, 1] = 1.0, 1.0, 0.5
        >>> d = torch.zeros(2, 4, dtype=torch.float64)
        >>> d[0, 0] = 1.0
        >>> m = MDD(G, d, dt=1.0, twosided=False, iter_lim=50)
        >>> (2 * m).round(decimals=4)  # times sqrt(nt)
        tensor([[ 1.0000,  0.0000,  0.0000,  0.0000],
                [ 0.0000, -0.5000,  0.0000,  0.0000]], dtype=torch.float64)
    """
    accept_pylops_options(saveGt=saveGt)
    (kernel, data, wavelet), give = as_real_tensors(
        "MDD", {"G": G, "d": d, "wav": wav}, dt, dr, *kwargs_solver.values()
    )
    shapes = tuple(kernel.shape), tuple(data.shape)
    has_sources = data.ndim > 2
    data = data if has_sources else data.unsqueeze(-2)
    if kernel.ndim != 3 or data.ndim < 3 or (data.shape[-3], data.shape[-1]) != (kernel.shape[0], kernel.shape[2]):
        raise ValueError(
            "MDD takes a kernel G (ns, nr, nt) and data d (ns, nt), (ns, nv, nt) or (*batch, ns, nv, nt), got shapes "
            f"{shapes[0]} and {shapes[1]}"
        )
    if twosided and add_negative:
        kernel, data = (torch.nn.functional.pad(array, (array.shape[-1] - 1, 0)) for array in (kernel, data))
    _, nr, nt = kernel.shape
    count = nt // 2 + 1
    nfmax = count if nfmax is None else min(as_integer(nfmax, "MDD: nfmax", least=1), count)
    spectrum = torch.fft.rfft(kernel, dim=-1).narrow(-1, 0, nfmax).movedim(-1, 0)

    def operator(nv: int) -> MDC:
        A = MDC(spectrum, nt, nv, dt, dr, twosided, fftengine)
        if dottest:
            check_adjoint(A, verb=True)
        return A

    def with_wavelet(m: Tensor) -> Tensor:
        return m if wavelet is None else _convolved(m, wavelet)

    A, data = operator(data.shape[-2]), data.movedim(-1, -3)
    if twosided and causality_precond:
        is_causal = (torch.arange(nt, device=data.device) >= nt // 2).to(data.dtype)
        size = as_integer(smooth_precond, "MDD: smooth_precond", least=0)
        P = Diagonal(smoothed(is_causal, size), dims=A.dims, axis=0)
        m = preconditioned_inversion(A, data, P, **kwargs_solver).x
    else:
        m = least_squares(A, data, kwargs_solver)
    found = [with_wavelet(m.movedim(-3, -1))]
    found += [A.apply_nd(data, True).movedim(-3, -1)] if adjoint else []
    found = found if has_sources else [each.squeeze(-2) for each in found]
    if psf:
        A, data = operator(nr), kernel.movedim(-1, 0)
        found.append(with_wavelet(least_squares(A, data, kwargs_solver).movedim(0, -1)))
        found += [A.apply_nd(data, True).movedim(0, -1)] if adjoint else []
    results = tuple(give(each.contiguous()) for each in found)
    return results if len(results) > 1 else results[0]


def _convolved(m: Tensor, wav: Tensor) -> Tensor:
    """Return ``m``, convolved along its last axis with a wavelet whose zero time is in its middle."""
    if wav.ndim != 1 or wav.numel() == 0:
        raise ValueError(f"MDD: wav must be a wavelet (nw,), got shape {tuple(wav.shape)}")
    if m.numel() == 0:  # which the FFT does not take
        return m
    size = m.shape[-1] + wav.shape[0] - 1
    spectrum = torch.fft.rfft(m, n=size) * torch.fft.rfft(wav, n=size)
    result: Tensor = torch.fft.irfft(spectrum, n=size).narrow(-1, (wav.shape[0] - 1) // 2, m.shape[-1])
    return result
