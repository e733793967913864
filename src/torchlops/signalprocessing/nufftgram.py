"""The normal operator of a non-uniform FFT, as a convolution."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import DType, complex_dtype, promote, real_dtype, real_part, torch_dtype
from torchlops.basicoperators._positions import (
    Constants,
    constants,
    given_or_kept,
    in_result_dtype,
    is_readable,
    keep_constants,
    kept_constants,
    register_or_keep,
)
from torchlops.basicoperators._sparse import FAST_DTYPES, SparseProducts
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.memory import BLOCK
from torchlops.shapes import Dims
from torchlops.signalprocessing._fourierradon import zeros_of
from torchlops.signalprocessing._gridding import smooth_length
from torchlops.signalprocessing._nonuniformfft import NonUniformTransform, axes_of, scale_of


class NUFFTGram(AccumulatingOperator):
    r"""The normal operator :math:`F^H W F` of a non-uniform FFT with real weights, by one pair of FFTs.

    For a :class:`~torchlops.signalprocessing.NUFFT` :math:`F`, it is a matrix of Toeplitz blocks: a
    convolution with the transform of the weights, whose spectrum on a grid of twice the size is computed once.
    ``F.gram()`` makes it, and solvers of normal equations use it by themselves.

    Forward:
        .. math:: y_n = c^2 \sum_{n'} k_{n - n'} x_{n'}, \qquad k_n = \sum_m w_m e^{i \omega_m \cdot n}

        with :math:`c` as in :class:`~torchlops.signalprocessing.NUFFT`, and :math:`k` to its tolerance.

    Adjoint:
        The same, since the operator is Hermitian.

    Args:
        dims: Shape of the grid, one to three axes.
        points: As in :class:`~torchlops.signalprocessing.NUFFT`.
        weights: One real number per point, ``(*samples, M)``; 1 by default. A tensor carries gradients and affects the
            dtype of the result; an array is constant.
        tol: Relative error of the kernel, as in :class:`~torchlops.signalprocessing.NUFFT`.
        norm: As in :class:`~torchlops.signalprocessing.NUFFT`.
        dtype: Nominal dtype of the operator. With a real one, models and data are real.
        name: A name for error messages.
        engine: What computes the kernel, as in :class:`~torchlops.signalprocessing.NUFFT`.

    Raises:
        ValueError: If the shape of the weights is not that of the data, weights are not finite, or as in NUFFT.
        TypeError: If the weights are complex, or as in NUFFT.

    Source: J. A. Fessler, S. Lee, V. T. Olafsson, H. R. Shi and D. C. Noll, Toeplitz-based iterative image
    reconstruction for MRI with correction for magnetic field inhomogeneity, IEEE Trans. Signal Process. 53 (2005),
    3393-3402.

    Example:
        >>> import numpy as np
        >>> from torchlops.signalprocessing import NUFFT
        >>> points = np.array([[0.3, 0.1], [1.0, -2.0]])
        >>> F, T = NUFFT((4, 4), points, tol=1e-8), NUFFTGram((4, 4), points, tol=1e-8)
        >>> x = np.arange(16.0).reshape(4, 4)
        >>> np.allclose(T(x), F.H(F(x)), rtol=1e-6)
        True
    """

    weights = Constants()

    _is_fast_anywhere = True

    def __init__(
        self,
        dims: Dims,
        points: Any,
        weights: Any = None,
        tol: float = 1e-6,
        norm: str = "none",
        dtype: DType = "complex128",
        name: str = "T",
        *,
        engine: str = "torch",
    ) -> None:
        axes, label = axes_of(dims), torch_dtype(dtype)
        differences, complex_label = [2 * n - 1 for n in axes], promote([complex_dtype(label), torch.complex64])
        transform = NonUniformTransform(differences, points, tol, "none", complex_label, name, engine)
        samples, real_model = transform.dimsd[:-1], not label.is_complex
        super().__init__((*samples, *axes), dtype=label, clinear=not real_model, real_model=real_model, name=name)
        self.tol, self._axes, self._norm = transform.tol, axes, norm
        self._sizes = tuple(2 * smooth_length(n) for n in axes)
        self._scale = scale_of(axes, norm)
        self.transform = transform
        self._is_weighted = weights is not None
        if weights is not None:
            self._take_weights(weights)
        self._work = max(1, transform._work)
        self._spectra = SparseProducts()
        self._is_constant = not isinstance(points, Tensor) and not isinstance(weights, Tensor)
        if self._is_constant:
            with torch.no_grad():
                keep_constants(self, "spectrum", self._new_spectrum())

    def _take_weights(self, weights: Any) -> None:
        learns = isinstance(weights, Tensor)
        weights = weights if learns else constants(weights, "NUFFTGram: weights")
        if weights.is_complex():
            raise TypeError(f"NUFFTGram: weights must be real, got {weights.dtype}")
        if tuple(weights.shape) != self.transform.dimsd:
            raise ValueError(
                f"NUFFTGram: weights must be of the shape of the data, {self.transform.dimsd}, got "
                f"{tuple(weights.shape)}"
            )
        if is_readable(weights) and not bool(weights.detach().isfinite().all()):
            raise ValueError("NUFFTGram: weights must be finite, got NaN or infinity")
        register_or_keep(self, "weights", weights, learns)

    @property
    def points(self) -> Any:
        """The points, a tensor or an array, as they were given."""
        return self.transform.points

    def _own_tensors(self) -> tuple[Tensor, ...]:
        return (*self.transform._own_tensors(), *super()._own_tensors())

    def _new_spectrum(self) -> Tensor:
        """Return the spectrum of the kernel, which is real, ``(*samples, *sizes)``."""
        transform, data = self.transform, self.transform.dimsd
        if self._is_weighted:
            weights = given_or_kept(self, "weights").to(torch.float64)
        else:
            weights = given_or_kept(transform, "points").new_ones(data, dtype=torch.float64)
        learns = torch.is_grad_enabled() and transform._learns
        # once is not worth a matrix, unless its derivative follows
        kernel = transform.apply_nd(weights, True) if learns else transform._adjoint(weights)
        for axis, (n, size) in enumerate(zip(self._axes, self._sizes, strict=True), start=-len(self._axes)):
            shape = [size - 2 * n + 1 if i == kernel.ndim + axis else extent for i, extent in enumerate(kernel.shape)]
            right, left = kernel.narrow(axis, n - 1, n), kernel.narrow(axis, 0, n - 1)
            kernel = torch.fft.fft(torch.cat((right, kernel.new_zeros(shape), left), axis), dim=axis)
        return kernel.real * self._scale**2

    def _convolved(self, x: Tensor, spectrum: Tensor) -> Tensor:
        if x.numel() == 0:  # the CPU FFT rejects an empty batch
            return zeros_of(x if self.real_model else x.to(complex_dtype(x.dtype)), len(self.dims), self.dims)
        y, axes = x, range(-len(self._axes), 0)
        for axis in reversed(axes):
            y = torch.fft.fft(y, n=self._sizes[axis], dim=axis)
        y = y * spectrum.to(real_dtype(y.dtype))
        for axis in axes:
            y = torch.fft.ifft(y, dim=axis).narrow(axis, 0, self._axes[axis])
        return y.real.clone() if self.real_model else y.contiguous()

    def _forward(self, x: Tensor) -> Tensor:
        x = in_result_dtype(self, x)
        return self._convolved(x, kept_constants(self, "spectrum") if self._is_constant else self._new_spectrum())

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(real_part(y) if self.real_model else y)

    def _fast_forward(self, x: Tensor) -> Tensor:
        x = in_result_dtype(self, x)
        if self._is_constant:
            spectrum = kept_constants(self, "spectrum")
        else:
            spectrum = self._spectra.kept(x, False, self._held_tensors(), self._make_spectrum)
        count = math.prod(x.shape[: x.ndim - len(self.dims)])
        some = max(1, BLOCK // math.prod(spectrum.shape))  # as many as fit in the cache
        items = [self._convolved(part, spectrum) for part in torch.split(x.reshape(count, *self.dims), some)]
        return (items[0] if len(items) == 1 else torch.cat(items)).reshape(x.shape)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._fast_forward(real_part(y) if self.real_model else y)

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return x.dtype in FAST_DTYPES and x.numel() > 0 and not any(t.is_inference() for t in self._held_tensors())

    def _make_spectrum(self, x: Tensor, adjoint: bool) -> Tensor:  # noqa: ARG002
        return self._new_spectrum()

    def _gives_real(self) -> bool:
        return self.real_model

    def extra_repr(self) -> str:
        return f"{self.transform.dimsd[-1]} points, {'weighted, ' if self._is_weighted else ''}tol={self.tol:g}"
