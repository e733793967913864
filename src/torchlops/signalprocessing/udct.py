"""Uniform discrete curvelet transform."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import DType, complex_dtype, real_dtype
from torchlops.extras import import_extra
from torchlops.linearoperator import LinearOperator
from torchlops.memory import in_blocks
from torchlops.shapes import Dims, as_dims
from torchlops.signalprocessing._realfft import with_fft_errors


class UDCT(LinearOperator):
    r"""Uniform discrete curvelet transform along all axes of a model.

    A real transform has windows on one side of the frequency plane, takes real models only and returns complex
    coefficients. A complex transform also has the mirrored windows, without the factor :math:`\sqrt 2`.

    The windows are computed by the package curvelets.

    Forward:
        .. math:: c_w = F^{-1}\, D_w\, (\sqrt 2\, W_w \cdot F x)

        for each window :math:`W_w` of the frequency plane, a wedge of one scale and direction. :math:`F` is the unitary
        FFT, and :math:`D_w` folds the wedge into a smaller plane, which decimates :math:`c_w`. The coarsest scale, a
        low-pass, has no factor :math:`\sqrt 2`. The data contains the coefficients of all windows, scale by scale,
        flattened into one axis.

    Adjoint:
        .. math:: A^H c = \mathrm{Re}\, F^{-1} \sum_w \sqrt 2\, W_w \cdot D_w^T F c_w

        The transform is a tight frame: the adjoint inverts it. With ``high_frequency_mode="wavelet"`` it is not,
        because the finest scale is counted twice (PyLops then returns the inverse in place of the adjoint).
        ``inverse``, or ``A / y``, is the least-squares inverse in all modes.

    Args:
        dims: Shape of the model, with at least two axes.
        num_scales: Number of scales including the low-pass, at least 2. Defaults to 3.
        wedges_per_direction: Number of wedges per direction at the coarsest scale, a multiple of 3, which doubles from
            scale to scale. Defaults to 3.
        window_overlap: Overlap of neighbouring windows. By default, it is chosen for the number of wedges.
        radial_frequency_params: Four radial frequencies, in radians per sample, that define the transitions between
            scales. Defaults to :math:`(\pi/3, 2\pi/3, 2\pi/3, 4\pi/3)`.
        window_threshold: Values of windows below this threshold are set to zero.
        high_frequency_mode: ``"curvelet"``, or ``"wavelet"`` for a single non-directional window at the finest scale.
        transform_kind: ``"real"`` or ``"complex"``.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ImportError: If the package curvelets is not installed.
        ValueError: If ``dims`` has fewer than two axes or is not divisible as required by the windows, or another
            argument is out of range.

    References:
        T. T. Nguyen and H. Chauris, Uniform discrete curvelet transform, IEEE Transactions on Signal Processing 58
        (2010), 3618-3634.

    Example:
        >>> A = UDCT((8, 8), num_scales=2)
        >>> x = torch.arange(64.0).reshape(8, 8)
        >>> torch.allclose(A.H(A(x)), x, atol=1e-4), A.dimsd
        (True, (160,))
    """

    sources: Tensor
    targets: Tensor
    windows: Tensor

    def __init__(
        self,
        dims: Dims,
        num_scales: int | None = None,
        wedges_per_direction: int | None = None,
        window_overlap: float | None = None,
        radial_frequency_params: tuple[float, float, float, float] | None = None,
        window_threshold: float = 1e-5,
        high_frequency_mode: Literal["curvelet", "wavelet"] = "curvelet",
        transform_kind: Literal["real", "complex"] = "real",
        dtype: DType = "complex128",
        name: str = "C",
    ) -> None:
        owner, dims = type(self).__name__, as_dims(dims)
        if len(dims) < 2:
            raise ValueError(f"{owner}: dims must have at least two axes, got {dims}")
        for what, value, known in (
            ("high_frequency_mode", high_frequency_mode, ("curvelet", "wavelet")),
            ("transform_kind", transform_kind, ("real", "complex")),
        ):
            if value not in known:
                raise ValueError(f"{owner}: {what} must be {known[0]!r} or {known[1]!r}, got {value!r}")
        num_scales = 3 if num_scales is None else num_scales
        wedges = 3 if wedges_per_direction is None else wedges_per_direction
        if num_scales < 2 or wedges < 3 or wedges % 3:
            raise ValueError(
                f"{owner}: num_scales must be 2 or more, and wedges_per_direction a multiple of 3, got "
                f"{num_scales!r} and {wedges!r}"
            )
        step = 1 << num_scales - 1
        step = math.lcm(4, step, step * wedges // 3)
        if any(size % step for size in dims):
            raise ValueError(
                f"{owner}: with num_scales={num_scales} and wedges_per_direction={wedges} each of dims={dims} must be "
                f"a multiple of {step}, otherwise the windows are not a tight frame: pad the model (see Pad)"
            )
        self.transform = import_extra("curvelets.numpy", owner).UDCT(
            dims,
            num_scales=num_scales,
            wedges_per_direction=wedges,
            window_overlap=window_overlap,
            radial_frequency_params=radial_frequency_params,
            window_threshold=window_threshold,
            high_frequency_mode=high_frequency_mode,
            transform_kind=transform_kind,
        )
        blocks = list(_blocks(self.transform, dims))
        is_real = transform_kind == "real"
        size = sum(math.prod(block.shape) for block in blocks)
        super().__init__(dims, size, dtype=dtype, clinear=not is_real, real_model=is_real, name=name)
        self.num_scales, self.wedges_per_direction = num_scales, wedges
        self.high_frequency_mode, self.transform_kind = high_frequency_mode, transform_kind
        self._planes = _joined([block.shape for block in blocks])
        for table in ("sources", "targets", "windows"):
            values = np.concatenate([getattr(block, table) for block in blocks])
            self.register_buffer(table, torch.from_numpy(values), persistent=False)
        self._is_tight = bool((self._power(torch.float64) - 1).abs().max() < 1e-12)

    def _forward(self, x: Tensor) -> Tensor:
        return self._guarded(x, self._analyse)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._guarded(y, self._synthesise)

    def _fast_forward(self, x: Tensor) -> Tensor:
        flat = x.reshape((*x.shape[: x.ndim - len(self.dims)], math.prod(self.dims)))
        dtype = complex_dtype(x.dtype)
        return in_blocks(
            flat, self.dimsd, dtype, (-1,), lambda part: self._forward(torch.unflatten(part, -1, self.dims))
        )

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        size, dtype = math.prod(self.dims), complex_dtype(y.dtype)
        dtype = real_dtype(dtype) if self.real_model else dtype
        flat = in_blocks(y, (size,), dtype, (-1,), lambda part: self._adjoint(part).reshape(part.shape[0], size))
        return torch.unflatten(flat, -1, self.dims)

    def _inverse(self, y: Tensor) -> Tensor:
        x = self._adjoint(y)
        if self._is_tight or x.numel() == 0:
            return x
        axes = tuple(range(-len(self.dims), 0))
        return self._of_kind(torch.fft.ifftn(torch.fft.fftn(x, dim=axes) / self._power(real_dtype(x.dtype)), dim=axes))

    def _power(self, dtype: torch.dtype) -> Tensor:
        """Return the factor of each frequency in ``A^H A``, averaged with the mirrored frequency for real models."""
        squares = self.windows.to(dtype).square()
        power = squares.new_zeros(math.prod(self.dims)).scatter_add(0, self.sources, squares).reshape(self.dims)
        if not self.real_model:
            return power
        axes = tuple(range(power.ndim))
        return (power + power.flip(axes).roll([1] * power.ndim, axes)) / 2

    def _of_kind(self, x: Tensor) -> Tensor:
        return x.real.clone() if self.real_model else x

    def _guarded(self, x: Tensor, transform: Any) -> Tensor:
        return with_fft_errors(self.name_and_type, "cast its input, for example by x.float()", transform, x)

    def _analyse(self, x: Tensor) -> Tensor:
        ndim = len(self.dims)
        batch, axes = x.shape[: x.ndim - ndim], tuple(range(-ndim, 0))
        if x.numel() == 0:  # the CPU FFT rejects an empty batch
            return _of_empty(x, ndim, self.dimsd).to(complex_dtype(x.dtype))
        spectrum = torch.fft.fftn(x, dim=axes, norm="ortho").reshape((*batch, math.prod(self.dims)))
        wedges = spectrum.gather(-1, self.sources.expand(*batch, -1)) * self.windows.to(real_dtype(x.dtype))
        folded = wedges.new_zeros((*batch, *self.dimsd))
        folded = folded.scatter_add(-1, self.targets.expand(*batch, -1), wedges)
        return self._on_planes(torch.fft.ifftn, folded)

    def _synthesise(self, y: Tensor) -> Tensor:
        batch, axes = y.shape[:-1], tuple(range(-len(self.dims), 0))
        dtype = complex_dtype(y.dtype)
        if y.numel() == 0:
            x = _of_empty(y, 1, self.dims).to(dtype)
            return self._of_kind(x)
        folded = self._on_planes(torch.fft.fftn, y.to(dtype))
        wedges = folded.gather(-1, self.targets.expand(*batch, -1)) * self.windows.to(real_dtype(dtype))
        spectrum = wedges.new_zeros((*batch, math.prod(self.dims)))
        spectrum = spectrum.scatter_add(-1, self.sources.expand(*batch, -1), wedges)
        x = torch.fft.ifftn(spectrum.reshape((*batch, *self.dims)), dim=axes, norm="ortho")
        return self._of_kind(x)

    def _on_planes(self, transform: Any, coefficients: Tensor) -> Tensor:
        """Apply an FFT to the plane of each window; consecutive planes of the same shape are transformed at once."""
        start, pieces = 0, []
        for count, shape in self._planes:
            length = count * math.prod(shape)
            planes = coefficients.narrow(-1, start, length).reshape((*coefficients.shape[:-1], count, *shape))
            planes = transform(planes, dim=tuple(range(-len(shape), 0)), norm="ortho")
            pieces.append(planes.reshape((*coefficients.shape[:-1], length)))
            start += length
        return torch.cat(pieces, -1)

    def extra_repr(self) -> str:
        return (
            f"num_scales={self.num_scales}, wedges_per_direction={self.wedges_per_direction}, "
            f"high_frequency_mode={self.high_frequency_mode!r}, transform_kind={self.transform_kind!r}"
        )


class _Block(NamedTuple):
    """The indices of one window in the flat spectrum (``sources``) and in the data (``targets``), and its values."""

    shape: tuple[int, ...]
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    windows: NDArray[np.float64]


def _blocks(transform: Any, dims: tuple[int, ...]) -> Iterator[_Block]:
    """Yield the windows in the order of the coefficients."""
    is_real, start = transform.transform_kind == "real", 0
    for scale, directions in enumerate(transform.coefficient_shapes()):
        windows = transform.windows[scale]
        for direction, shapes in enumerate(directions):
            is_mirrored = scale > 0 and direction >= len(dims)
            wedges = windows[min(direction - is_mirrored * len(dims), len(windows) - 1)]
            for window, shape in zip(wedges, shapes, strict=True):
                places = list(np.unravel_index(window.indices, dims))
                if is_mirrored:
                    places = [-place % n for place, n in zip(places, dims, strict=True)]
                folded = [place % n for place, n in zip(places, shape, strict=True)]
                yield _Block(
                    tuple(shape),
                    np.asarray(np.ravel_multi_index(tuple(places), dims), dtype=np.int64),
                    np.asarray(np.ravel_multi_index(tuple(folded), shape), dtype=np.int64) + start,
                    window.values * (math.sqrt(2) if is_real and scale else 1.0),
                )
                start += math.prod(shape)


def _joined(shapes: list[tuple[int, ...]]) -> list[tuple[int, tuple[int, ...]]]:
    """Return consecutive equal shapes as pairs of count and shape.

    >>> _joined([(2, 2), (1, 4), (1, 4)])
    [(1, (2, 2)), (2, (1, 4))]
    """
    return [(len(list(group)), shape) for shape, group in groupby(shapes)]


def _of_empty(x: Tensor, ndim: int, dims: tuple[int, ...]) -> Tensor:
    """Return an empty result that depends on ``x``, so that backward works."""
    batch = x.shape[: x.ndim - ndim]
    return x.sum(tuple(range(-ndim, 0))).reshape((*batch, *(1,) * len(dims))).expand(*batch, *dims).clone()
