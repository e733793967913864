"""Convolution along several axes."""

from __future__ import annotations

from typing import Any

from torchlops.arrays import DType, as_tensor
from torchlops.shapes import PER_SAMPLE, Dims, as_dims, as_integer, as_trailing_axes, per_axis
from torchlops.signalprocessing._convolution import Convolution


class ConvolveND(Convolution):
    r"""Convolution with a filter along several axes, with zeros outside.

    .. math::

        y_i = \sum_k h_k \, x_{i + o - k}, \qquad (A^H y)_j = \sum_k \overline{h_k} \, y_{j - o + k}

    where :math:`i`, :math:`j`, :math:`k` and :math:`o` = ``offset`` have one index for each of ``axes``. The data
    have the shape of the model.

    The filter can learn: gradients reach ``h`` in every mode. Its spectrum is computed in each call.

    Args:
        dims: Shape of the model.
        h: The filter, with an axis for each of ``axes`` in their order, or for each axis of the model, whatever
            ``axes`` say.
        offset: Indices of the center of the filter, that is of the tap that multiplies :math:`x_i` in :math:`y_i`;
            zeros by default.
        axes: Axes of the model along which the filter runs; None for all.
        method: ``"direct"`` sums over the taps; ``"fft"`` multiplies spectra. Both give the same to rounding.
            ``"auto"`` or None take the fastest: "direct" for up to 25 taps (15 along one axis; up to 5 for a filter
            that learns, outside of ``torch.compile``); "fft" otherwise, in blocks along a single axis of 65536
            samples or more. In 16-bit precision both compute in float32 and round once.
        dtype: Label of the operator, and the type of an ``h`` that is a list.
        name: A name for errors.

    Attributes:
        h: The filter, a tensor of the operator.
        nh: Numbers of its samples.

    Raises:
        ValueError: when ``h`` has another number of axes, ``offset`` not one index for each of them, or ``method``
            is not known.

    Example:
        >>> import torch
        >>> C = ConvolveND((3, 3), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), offset=(1, 0))
        >>> C(torch.eye(3)).round()
        tensor([[3., 5., 2.],
                [0., 3., 5.],
                [0., 0., 3.]])
    """

    def __init__(
        self,
        dims: Dims,
        h: Any,
        offset: Any = None,
        axes: Dims | None = (-2, -1),
        method: str | None = "fft",
        dtype: DType = "float64",
        name: str = "C",
    ) -> None:
        kind = type(self).__name__
        dims = as_dims(dims)
        h = as_tensor(h, f"{kind}: h", dtype)
        every = tuple(range(-len(dims), 0))
        trailing = every if axes is None else as_trailing_axes(axes, dims)
        if h.ndim == len(dims) != len(trailing):
            trailing = every
        if h.ndim != len(trailing) or h.numel() == 0:
            raise ValueError(
                f"{kind}: h must have an axis for each of axes={trailing}, or for each of dims={dims}, "
                f"got the shape {tuple(h.shape)}. {PER_SAMPLE}"
            )
        offsets = (0,) * h.ndim if offset is None else per_axis(offset, h.ndim, f"{kind}: offset")
        if method not in (None, "auto", "direct", "fft"):
            raise ValueError(f"{kind}: method must be 'auto', 'direct' or 'fft', got {method!r}")
        offsets = tuple(as_integer(o, f"{kind}: offset") for o in offsets)
        super().__init__(dims, dims, h, trailing, offsets, None if method == "auto" else method, dtype, name)
        self.axes, self.offset, self.nh = trailing, offsets, tuple(h.shape)

    def extra_repr(self) -> str:
        return ", ".join([f"{self.dims}", *self._options(), f"offset={self.offset}", f"axes={self.axes}"])
