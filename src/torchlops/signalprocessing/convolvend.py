"""Convolution along several axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from torchlops.arrays import Array, DType, as_tensor
from torchlops.shapes import PER_SAMPLE, Dims, as_dims, as_integer, as_trailing_axes, per_axis
from torchlops.signalprocessing._convolution import Convolution
from torchlops.warning import warn


class ConvolveND(Convolution):
    r"""Convolution with a filter along several axes, with zero boundaries.

    The data has the shape of the model. The operator is differentiable with respect to ``h``. The spectrum of the
    filter is computed in each call.

    Forward:
        .. math:: y_i = \sum_k h_k \, x_{i + o - k}

        where :math:`i`, :math:`k` and :math:`o` = ``offset`` have one index for each of ``axes``.

    Adjoint:
        .. math:: (A^H y)_j = \sum_k \overline{h_k} \, y_{j - o + k}

    Args:
        dims: Shape of the model.
        h: The filter, with one axis for each of ``axes``, in their order. A filter with as many axes as the model is
            applied along all of them, whatever ``axes`` is.
        offset: Indices of the center of the filter, the tap that multiplies :math:`x_i` in :math:`y_i`. Defaults to
            zeros. The fraction of a float is cut off, as in PyLops, with a warning.
        axes: Axes of the model along which to convolve, or None for all.
        method: ``"direct"`` sums over the taps, ``"fft"`` multiplies spectra. Both agree to rounding error. ``"auto"``
            or None select the fastest: "direct" for up to 25 taps (15 along one axis; 5 if the filter requires
            gradients, except in ``torch.compile``), "fft" otherwise, in blocks along a single axis of 65536 samples or
            more. In 16-bit precision both compute in float32 and round once.
        dtype: Nominal dtype of the operator, and dtype of ``h`` if it is a list.
        name: A name for error messages.

    Attributes:
        h: The filter, a tensor of the operator.
        nh: Shape of the filter.

    Raises:
        ValueError: If ``h`` has the wrong number of axes, ``offset`` does not have one index per axis of ``h``, or
            ``method`` is unknown.

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
        h: Array,
        offset: int | Sequence[int] | None = None,
        axes: Dims | None = (-2, -1),
        method: Literal["auto", "direct", "fft"] | None = "fft",
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
                f"{kind}: h must have one axis for each of axes={trailing}, or for each of dims={dims}, "
                f"got shape {tuple(h.shape)}. {PER_SAMPLE}"
            )
        offsets = (0,) * h.ndim if offset is None else per_axis(offset, h.ndim, f"{kind}: offset")
        if method not in (None, "auto", "direct", "fft"):
            raise ValueError(f"{kind}: method must be 'auto', 'direct' or 'fft', got {method!r}")
        offsets = tuple(_whole(o, f"{kind}: offset") for o in offsets)
        super().__init__(dims, dims, h, trailing, offsets, None if method == "auto" else method, dtype, name)
        self.axes, self.offset, self.nh = trailing, offsets, tuple(h.shape)

    def extra_repr(self) -> str:
        return ", ".join([f"{self.dims}", *self._options(), f"offset={self.offset}", f"axes={self.axes}"])


def _whole(offset: Any, what: str) -> int:
    """Return an index as an integer, without its fraction if it is a float: ``len(h) / 2`` is common."""
    if isinstance(offset, float) and math.isfinite(offset):
        if not offset.is_integer():
            warn(f"{what} {offset} is not an integer: {int(offset)} is used")
        return int(offset)
    return as_integer(offset, what)
