"""Magnetic resonance imaging of one coil."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import Array, DType, as_tensor, complex_dtype, conjugate, real_dtype
from torchlops.attributes import Computed
from torchlops.basicoperators import Diagonal, Restriction
from torchlops.basicoperators._positions import Positions
from torchlops.linearoperator import LinearOperator, Weights
from torchlops.shapes import PER_SAMPLE, Dims, accept_pylops_options, as_dims, as_integer
from torchlops.signalprocessing import FFT2D
from torchlops.signalprocessing._engineoptions import accept_engine_options
from torchlops.signalprocessing.nufft import NUFFT
from torchlops.warning import warn

__all__ = ["MRI2D"]

Generator = torch.Generator | np.random.Generator
"""A generator of random numbers, of torch or of NumPy."""

MASKS = ("vertical-reg", "vertical-uni", "radial-reg", "radial-uni")


class _Mask(Positions):
    """The mask: what a user gave, the columns of vertical lines, or the positions on radial lines."""

    def __get__(self, operator: LinearOperator | None, kind: type | None = None) -> Any:
        if operator is None:
            return self
        modules = operator._modules
        if "lines" in modules:
            return modules["lines"].iava  # type: ignore[union-attr]
        if "samples" in modules:
            return vars(operator)["_positions"]
        return super().__get__(operator, kind)


class MRI2D(LinearOperator):
    r"""Magnetic resonance imaging in two dimensions: samples of the Fourier transform of an image, its k-space.

    Forward:
        .. math:: y(k) = w(k) \frac{1}{\sqrt{n_y n_x}} \sum_{i,j} x_{ij} \, e^{-2 \pi i (k_y i / n_y + k_x j / n_x)}

        at the frequencies :math:`k` that ``mask`` selects. Frequency zero is in the middle, at the index ``n // 2`` of
        each axis of k-space. The phase is that of an image whose origin is its first sample, for all kinds of masks.
        (Measured data often have it in the middle: shift the image by ``torch.fft.fftshift``.)
        The weights :math:`w` are those of an array of weights, and 1 otherwise.

    Adjoint:
        .. math::

            (A^H y)_{ij} = \frac{1}{\sqrt{n_y n_x}} \sum_k \overline{w(k)} \, y(k) \,
            e^{2 \pi i (k_y i / n_y + k_x j / n_x)}

    Args:
        dims: Shape of the image, ``(ny, nx)``.
        mask: What is sampled:

            - an array of weights ``(ny, nx)``, 1 where k-space is sampled and 0 where not. A tensor carries gradients,
              and affects the dtype of the data. An array, or a mask of booleans or integers, does neither.
            - ``"vertical-reg"``: whole columns. Without a central part they begin with the first, in steps of
              ``nx // nlines``. With one, they are spread over the other columns as evenly as whole numbers allow.
            - ``"vertical-uni"``: whole columns, drawn at random from those outside of the central part.
            - ``"radial-reg"``: lines through the middle of k-space, whose angles divide a half turn into equal parts.
            - ``"radial-uni"``: the same with angles drawn at random.
        nlines: Number of lines; those of the central part are added.
        perc_center: Part of the columns, from 0 to 1, that are sampled in the middle of k-space. For vertical lines
            only.
        engine: Accepted for compatibility: ``"numpy"`` or ``"jax"``. See
            :func:`~torchlops.shapes.accept_pylops_options`.
        fft_engine: Accepted likewise: ``"numpy"``, ``"scipy"`` or ``"mkl_fft"``.
        dtype: Nominal dtype of the operator. A real one is for real images.
        name: A name for error messages.
        generator: Generator of random masks, of torch or of NumPy. By default it is torch's own, which
            ``torch.manual_seed`` seeds.
        tol: Relative accuracy of radial samples.
        **kwargs_fft: Options of the FFT engines in PyLops, such as ``workers``. They have no effect.

    The shape of the data is ``(ny, nx)`` for an array, with zeros where nothing is sampled; ``(ny, columns)`` for
    vertical lines; and ``(nlines, samples)`` for radial ones. A radial line goes from edge to edge of k-space, inside
    of the grid, and has ``2 * ((max(ny, nx) - 1) // 2) + 1`` samples at equal steps, of which the one in the middle is
    frequency zero. An angle is counted from the first axis towards the second.

    Radial samples are exact to ``tol``, by :class:`~torchlops.signalprocessing.NUFFT`. PyLops interpolates k-space
    between the samples of its grid, which is far from these values (64 percent for a phantom), and it drops lines or
    parts of them.

    Attributes:
        mask: The array or tensor that was given; the columns of vertical lines, as an array; or the positions of radial
            samples in samples of the grid of k-space, an array ``(2, nlines * samples)``, line after line.
        ROp: The operator that samples k-space, whose frequency zero is in the middle: a
            :class:`~torchlops.Diagonal`, a :class:`~torchlops.Restriction`, or for radial lines the trigonometric
            interpolation.

    Raises:
        ValueError: If ``mask`` is unknown or an array of another shape, ``nlines`` or ``perc_center`` is missing or
            asks for more columns than there are, or an engine is unknown.
        TypeError: If ``mask`` is not made of numbers, or ``generator`` is no generator.

    Source: J. A. Fessler, Model-based image reconstruction for MRI, IEEE Signal Processing Magazine 27 (2010), 81-89.

    Example:
        >>> A = MRI2D((4, 6), "vertical-reg", nlines=2, perc_center=0.34)
        >>> A.mask, A(torch.ones(4, 6)).shape
        (array([0, 2, 3, 4]), torch.Size([4, 4]))
    """

    lines: Restriction
    samples: NUFFT
    _phase: Tensor

    mask: Any = _Mask()
    ROp = Computed(lambda self: self._sampling_of_kspace())

    def __init__(
        self,
        dims: Dims,
        mask: str | Array,
        nlines: int | None = None,
        perc_center: float | None = 0.1,
        engine: str = "numpy",
        fft_engine: str = "numpy",
        dtype: DType = "complex128",
        name: str = "M",
        *,
        generator: Generator | None = None,
        tol: float = 1e-6,
        **kwargs_fft: Any,
    ) -> None:
        dims = as_dims(dims)
        if len(dims) != 2:
            raise ValueError(f"MRI2D takes images of two axes, dims=(ny, nx), got {dims}")
        accept_engine_options("MRI2D", kwargs_fft)
        fft_engine = _as_fft_engine(engine, fft_engine)
        kspace = FFT2D(dims, fftshift_after=True, dtype=dtype, name="k-space of MRI2D")
        if not isinstance(mask, str):
            self._build_of(kspace, dims, name)
            self._take_weights(mask)
        else:
            self._take_pattern(kspace, mask, nlines, perc_center, _Draw(generator), tol, dtype, name)
        self.engine, self.fft_engine = engine, fft_engine

    def _take_pattern(
        self,
        kspace: FFT2D,
        mask: str,
        nlines: int | None,
        perc_center: float | None,
        draw: _Draw,
        tol: float,
        dtype: DType,
        name: str,
    ) -> None:
        """Sample k-space along columns or radial lines."""
        if mask not in MASKS:
            raise ValueError(
                "MRI2D: `mask` must be an array, 'vertical-reg', 'vertical-uni', 'radial-reg', or 'radial-uni', got "
                f"{mask!r}"
            )
        if nlines is None or perc_center is None:
            raise ValueError(
                "MRI2D: `nlines` and `perc_center` must be specified providing mask as string, got "
                f"nlines={nlines}, perc_center={perc_center}"
            )
        nlines = as_integer(nlines, "MRI2D: nlines", least=1)
        dims = kspace.dims
        if mask.startswith("vertical"):
            columns = _vertical(dims[1], nlines, _central(perc_center, dims[1]), draw if mask.endswith("uni") else None)
            self._build_of(kspace, (dims[0], len(columns)), name)
            self.lines = Restriction(dims, columns, dtype=kspace._torch_dtype())
        else:
            angles = draw.angles(nlines) if mask.endswith("uni") else np.pi * np.arange(nlines) / nlines
            positions = _radial(dims, angles)
            self._build_of(kspace, positions.shape[1:], name)
            self._take_positions(positions, tol, dtype)

    def _build_of(self, kspace: FFT2D, dimsd: tuple[int, ...], name: str) -> None:
        label, clinear, real_model = kspace._torch_dtype(), kspace.clinear, kspace.real_model
        super().__init__(kspace.dims, dimsd, dtype=label, clinear=clinear, real_model=real_model, name=name)
        self.kspace = kspace

    def _take_weights(self, mask: Array) -> None:
        values = as_tensor(mask, "MRI2D: mask")
        if tuple(values.shape) != self.dims:
            is_of_columns = tuple(values.shape) == self.dims[1:]
            hint = (
                "For a mask of columns, pass it expanded: numpy.broadcast_to(mask, dims)"
                if is_of_columns
                else PER_SAMPLE
            )
            raise ValueError(
                f"MRI2D: mask must be an array of weights of shape {self.dims}, got {tuple(values.shape)}. {hint}"
            )
        if isinstance(mask, Tensor) and values is mask:
            self._register("mask", values)
            return
        double = torch.complex128 if values.is_complex() else torch.float64
        self.register_buffer("_mask", values.to(double, copy=True), persistent=False)
        self._constant_names += ("mask",)

    def _take_positions(self, positions: NDArray[np.float64], tol: float, dtype: DType) -> None:
        """Sample k-space at positions ``(2, nlines, samples)``."""
        sizes = np.array(self.dims, dtype=np.float64)
        origin = np.array([n // 2 for n in self.dims])
        w = (positions.reshape(2, -1).T - origin) * (2 * np.pi / sizes)
        self._positions = positions.reshape(2, -1)
        self.samples = NUFFT(self.dims, w, tol, "ortho", dtype, name="samples of MRI2D")
        phase = torch.from_numpy(np.exp(-1j * (w @ origin)))
        self.register_buffer("_phase", phase, persistent=False)

    def _weights(self, x: Tensor) -> Tensor:
        held = self._held("mask")
        assert held is not None
        if "mask" not in self._constant_names:
            return held
        return held.to(complex_dtype(x.dtype) if held.is_complex() else real_dtype(x.dtype))

    def _forward(self, x: Tensor) -> Tensor:
        if "samples" in self._modules:
            y = self.samples.apply_nd(x)
            y = y * self._phase.to(y.dtype)
            return y.reshape((*y.shape[:-1], *self.dimsd))
        y = self.kspace.apply_nd(x)
        return self.lines.apply_nd(y) if "lines" in self._modules else y * self._weights(y)

    def _adjoint(self, y: Tensor) -> Tensor:
        if "samples" in self._modules:
            y = y.reshape((*y.shape[: y.ndim - 2], self.shape[0])).to(complex_dtype(y.dtype))
            return self.samples.apply_nd(y * conjugate(self._phase).to(y.dtype), True)
        y = self.lines.apply_nd(y, True) if "lines" in self._modules else y * conjugate(self._weights(y))
        return self.kspace.apply_nd(y, True)

    def _gram(self, W: Weights) -> LinearOperator | None:
        if "samples" not in self._modules or isinstance(W, LinearOperator):
            return None
        return self.samples._gram(None if W is None else W.reshape(-1))  # phases have the modulus 1

    def _sampling_of_kspace(self) -> LinearOperator:
        if "lines" in self._modules:
            return self.lines
        if "samples" in self._modules:
            interpolation: LinearOperator = self @ self.kspace.H
            return interpolation
        return Diagonal(self._weights(torch.empty(0, dtype=self._torch_dtype(), device="cpu")), dims=self.dims)

    def extra_repr(self) -> str:
        kind = "radial" if "samples" in self._modules else "vertical" if "lines" in self._modules else ""
        return f"{kind} lines" if kind else "array"


class _Draw:
    """Random numbers of a generator of torch or of NumPy."""

    def __init__(self, generator: Generator | None) -> None:
        if not (generator is None or isinstance(generator, torch.Generator | np.random.Generator)):
            raise TypeError(
                "MRI2D: generator must be a torch.Generator or a numpy.random.Generator, got "
                f"{type(generator).__name__}: for a seed, pass numpy.random.default_rng(seed)"
            )
        self.generator = generator

    def choice(self, values: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """Return ``count`` different ones of some values, in random order."""
        if isinstance(self.generator, np.random.Generator):
            chosen: NDArray[np.int64] = self.generator.choice(values, count, replace=False)
            return chosen
        order = torch.randperm(len(values), generator=self.generator, device=self._device())
        drawn: NDArray[np.int64] = values[order.cpu().numpy()[:count]]
        return drawn

    def angles(self, count: int) -> NDArray[np.float64]:
        """Return angles between -pi and pi."""
        if isinstance(self.generator, np.random.Generator):
            return self.generator.uniform(-np.pi, np.pi, count)
        drawn = torch.rand(count, generator=self.generator, device=self._device(), dtype=torch.float64)
        return (2 * drawn.cpu().numpy() - 1) * np.pi

    def _device(self) -> torch.device:
        return torch.device("cpu") if self.generator is None else self.generator.device  # type: ignore[union-attr]


def _as_fft_engine(engine: str, fft_engine: str) -> str:
    """Return the engine of the FFT in PyLops, which has no effect."""
    accept_pylops_options(engine=engine)
    if engine not in ("numpy", "jax"):
        raise ValueError(f"MRI2D: `engine` must be 'numpy' or 'jax', got {engine!r}")
    if fft_engine not in ("numpy", "scipy", "mkl_fft"):
        raise ValueError(f"MRI2D: `fft_engine` must be 'numpy', 'scipy', or 'mkl_fft', got {fft_engine!r}")
    if engine == "jax" and fft_engine != "numpy":
        warn("When engine='jax', fft_engine is forced to 'numpy'")
        return "numpy"
    return fft_engine


def _central(perc_center: float, size: int) -> int:
    """Return the number of columns of the central part."""
    if not 0 <= perc_center <= 1:
        raise ValueError(f"MRI2D: `perc_center` must be a part of the columns, from 0 to 1, got {perc_center}")
    return int(perc_center * size)


def _vertical(size: int, nlines: int, center: int, draw: _Draw | None) -> NDArray[np.int64]:
    """Return the indices of columns: the middle ``center``, and ``nlines`` others, regular or drawn."""
    if nlines + center > size:
        raise ValueError(
            "MRI2D: `nlines` and `perc_center` produce a number of lines greater than the total number of lines of the "
            f"k-space ({nlines + center}>{size})"
        )
    first = size // 2 - center // 2
    inside = np.arange(first, first + center)
    others = np.setdiff1d(np.arange(size), inside)
    if draw is not None:
        chosen = draw.choice(others, nlines)
    elif center == 0:
        return np.arange(nlines) * (size // nlines)
    else:
        chosen = others[np.arange(nlines) * len(others) // nlines]
    return np.sort(np.concatenate((inside, chosen))) if center else chosen


def _radial(dims: tuple[int, ...], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions ``(2, lines, samples)`` in samples of k-space on lines through its middle, to its edges."""
    half = np.array([(n - 1) // 2 for n in dims])
    middle = np.array([n // 2 for n in dims]).reshape(2, 1, 1)
    direction = np.stack((np.cos(angles), np.sin(angles)))
    direction[np.abs(direction) < 1e-15] = 0.0  # a line along an axis, which has no end in the other
    with np.errstate(divide="ignore", invalid="ignore"):
        longest = np.nanmin(half[:, None] / np.abs(direction), axis=0)
    steps = np.linspace(-1.0, 1.0, 2 * int(half.max()) + 1) if half.max() else np.zeros(1)
    offsets = (longest * direction)[:, :, None] * steps
    positions: NDArray[np.float64] = middle + np.clip(offsets, -half.reshape(2, 1, 1), half.reshape(2, 1, 1))
    return positions
