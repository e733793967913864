"""Zero padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import DType
from torchlops.basicoperators._resize import pad as pad_zeros
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims, as_dims, as_integer


class Pad(LinearOperator):
    """Pad each axis with zeros before and after.

    Forward:
        .. math:: y_{i + b} = x_i

        with :math:`b` zeros before the axis; the samples after it are zero, too.

    Adjoint:
        Crop the zeros, :math:`(A^H y)_i = y_{i + b}`.

    Args:
        dims: Shape of the model.
        pad: One pair ``(before, after)`` per axis; for a model of one axis, also a single pair.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``pad`` is not one pair of nonnegative numbers per axis.

    Example:
        >>> import torch
        >>> Pad(2, (1, 2))(torch.tensor([1.0, 2.0]))
        tensor([0., 1., 2., 0., 0.])
    """

    def __init__(
        self,
        dims: Dims,
        pad: tuple[int, int] | Sequence[tuple[int, int]],
        dtype: DType = "float64",
        name: str = "P",
    ) -> None:
        dims = as_dims(dims)
        pairs: list[Any] = [pad] if len(dims) == 1 and not hasattr(pad[0], "__len__") else list(pad)
        given = [tuple(as_integer(count, "Pad: pad") for count in pair) for pair in pairs]
        if len(given) != len(dims) or any(len(pair) != 2 or min(pair) < 0 for pair in given):
            raise ValueError(
                f"Padding must be positive or zero: Pad takes one pair (before, after) per axis of dims={dims}, "
                f"got {pad}"
            )
        pads = [(before, after) for before, after in given]
        dimsd = tuple(n + before + after for n, (before, after) in zip(dims, pads, strict=True))
        super().__init__(dims, dimsd, dtype=dtype, name=name)
        self.pad = pads

    def _forward(self, x: Tensor) -> Tensor:
        return pad_zeros(x, self.pad)

    def _adjoint(self, y: Tensor) -> Tensor:
        return pad_zeros(y, [(-before, -after) for before, after in self.pad])

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        inside: Any = (..., *(slice(before, before + n) for n, (before, _) in zip(self.dims, self.pad, strict=True)))
        if adjoint:
            inner: NDArray[Any] = x[inside]
            return inner.copy()
        y = np.zeros((*x.shape[: x.ndim - len(self.dims)], *self.dimsd), x.dtype)
        y[inside] = x
        return y

    def extra_repr(self) -> str:
        return f"pad={self.pad}"
