"""Convolution along one axis."""

from __future__ import annotations

from typing import Literal

from torchlops.arrays import Array, DType, as_tensor
from torchlops.shapes import PER_SAMPLE, Dims, as_dims, as_integer, as_trailing_axis
from torchlops.signalprocessing._convolution import Convolution


class Convolve1D(Convolution):
    r"""Convolution with a filter along one axis, with zero boundaries.

    The operator is differentiable with respect to ``h``. The spectrum of the filter is computed in each call.

    Unlike in PyLops 2.8, the adjoint conjugates complex filters, filters per trace work along any axis, filters longer
    than the model work with several axes, and every method supports every model.

    Forward:
        .. math:: y_i = \sum_{k=0}^{n_h-1} h_k \, x_{i + o - k}

        with :math:`o` = ``offset``. The data has as many samples as the model (:math:`n`), or :math:`n_h` if the filter
        is longer than the model.

    Adjoint:
        .. math:: (A^H y)_j = \sum_{k=0}^{n_h-1} \overline{h_k} \, y_{j - o + k}

    Args:
        dims: Shape of the model.
        h: The filter ``(n_h,)``, or one filter per trace. The latter has as many axes as the model, size :math:`n_h`
            along ``axis``, and the size of the model or 1 along the others.
        offset: Index of the center of the filter, the tap that multiplies :math:`x_i` in :math:`y_i`.
        axis: Axis along which the operator is applied.
        method: ``"direct"`` sums over the taps, ``"fft"`` multiplies spectra, and ``"overlapadd"`` does so block by
            block along the axis, for short filters on very long signals. All methods agree to rounding error. None
            selects the fastest: "direct" for up to 15 taps (up to 5 if the filter requires gradients, except in
            ``torch.compile``), "overlapadd" from 65536 samples on, "fft" otherwise. In 16-bit precision all methods
            compute in float32 and round once.
        dtype: Nominal dtype of the operator, and dtype of ``h`` if it is a list.
        name: A name for error messages.

    Attributes:
        h: The filter, a tensor of the operator.
        nh: Number of samples of the filter along ``axis``.

    Raises:
        ValueError: If ``h`` has the wrong shape, ``offset`` is not less than :math:`n_h` (than :math:`n` for a filter
            longer than the model), or ``method`` is unknown.

    Example:
        >>> import torch
        >>> C = Convolve1D(4, torch.tensor([1.0, 2.0, 3.0]), offset=1)
        >>> C(torch.tensor([0.0, 1.0, 0.0, 0.0])), C.H(torch.tensor([0.0, 1.0, 0.0, 0.0]))
        (tensor([1., 2., 3., 0.]), tensor([3., 2., 1., 0.]))
    """

    def __init__(
        self,
        dims: Dims,
        h: Array,
        offset: int = 0,
        axis: int = -1,
        method: Literal["direct", "fft", "overlapadd"] | None = None,
        dtype: DType = "float64",
        name: str = "C",
    ) -> None:
        dims = as_dims(dims)
        self_axis = as_trailing_axis(axis, dims)
        h = as_tensor(h, "Convolve1D: h", dtype)
        count, samples = len(dims), dims[self_axis]
        fits = h.ndim == 1 or (
            h.ndim == count
            and all(n in (1, m) for i, (n, m) in enumerate(zip(h.shape, dims, strict=True)) if i != count + self_axis)
        )
        if not fits or h.numel() == 0:
            wanted = [f"{n} or 1" for n in dims]
            wanted[self_axis] = "nh"
            raise ValueError(
                f"Convolve1D: h must be a filter (nh,), or one filter per trace ({', '.join(wanted)}), "
                f"got {tuple(h.shape)} for dims={dims} and axis={axis}. {PER_SAMPLE}"
            )
        nh = h.shape[0] if h.ndim == 1 else h.shape[self_axis]
        offset = as_integer(offset, "Convolve1D: offset")
        if offset >= min(nh, samples):
            raise ValueError(
                f"Convolve1D: offset must be less than {min(nh, samples)}, the length of the filter or of the model, "
                f"got {offset}"
            )
        if method not in (None, "direct", "fft", "overlapadd"):
            raise ValueError(f"Convolve1D: method must be None, 'direct', 'fft' or 'overlapadd', got {method!r}")
        dimsd = list(dims)
        dimsd[self_axis] = max(samples, nh)
        super().__init__(dims, tuple(dimsd), h, (self_axis,), (offset,), method, dtype, name)
        self.axis, self.offset, self.nh = self_axis, offset, nh

    def extra_repr(self) -> str:
        return ", ".join([f"{self.dims}", *self._options(), f"offset={self.offset}", f"axis={self.axis}"])
