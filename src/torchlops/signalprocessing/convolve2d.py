"""Convolution along two axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torchlops.arrays import Array, DType, as_tensor
from torchlops.shapes import PER_SAMPLE, Dims
from torchlops.signalprocessing.convolvend import ConvolveND


class Convolve2D(ConvolveND):
    r"""Convolution with a filter along two axes, with zero boundaries.

    See :class:`~torchlops.signalprocessing.ConvolveND`.

    Forward:
        .. math:: y_{ij} = \sum_{k,l} h_{kl} \, x_{i + o_1 - k,\; j + o_2 - l}

        with :math:`(o_1, o_2)` = ``offset``.

    Adjoint:
        .. math:: (A^H y)_{ij} = \sum_{k,l} \overline{h_{kl}} \, y_{i - o_1 + k,\; j - o_2 + l}

    Args:
        dims: Shape of the model.
        h: The filter, with two axes. It may require gradients.
        offset: Indices of the center of the filter.
        axes: The two axes of the model along which to convolve.
        method: ``"direct"``, ``"fft"``, or ``"auto"`` for the faster one.
        dtype: Nominal dtype of the operator, and dtype of ``h`` if it is a list.
        name: A name for error messages.

    Raises:
        ValueError: If ``h`` does not have two axes, or for the reasons given in ConvolveND.

    Example:
        >>> import torch
        >>> blur = Convolve2D((3, 4), torch.full((3, 3), 1 / 9), offset=(1, 1), method="direct")
        >>> blur(torch.ones(3, 4))[1]
        tensor([0.6667, 1.0000, 1.0000, 0.6667])
    """

    def __init__(
        self,
        dims: Dims,
        h: Array,
        offset: int | Sequence[int] = (0, 0),
        axes: Dims = (-2, -1),
        method: Literal["auto", "direct", "fft"] | None = "fft",
        dtype: DType = "float64",
        name: str = "C",
    ) -> None:
        h = as_tensor(h, "Convolve2D: h", dtype)
        if h.ndim != 2:
            raise ValueError(
                f"Convolve2D: h must have two axes, got shape {tuple(h.shape)}: use ConvolveND. {PER_SAMPLE}"
            )
        super().__init__(dims, h, offset, axes, method, dtype, name)
