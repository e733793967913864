"""Circular shift along one axis."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import rolled
from torchlops.arrays import DType
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims, as_integer, as_trailing_axis


class Roll(LinearOperator):
    r"""Shift the samples along one axis circularly.

    Forward:
        .. math:: y_i = x_{(i - s) \bmod n}

    Adjoint:
        .. math:: (A^H y)_i = y_{(i + s) \bmod n}

        which is also the inverse.

    Args:
        dims: Shape of the model.
        axis: Axis along which to shift.
        shift: Number of samples ``s``; positive values shift towards larger indices.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Example:
        >>> import torch
        >>> Roll(4, shift=1)(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        tensor([4., 1., 2., 3.])
    """

    def __init__(self, dims: Dims, axis: int = -1, shift: int = 1, dtype: DType = "float64", name: str = "R") -> None:
        super().__init__(dims, dtype=dtype, name=name)
        self.axis = as_trailing_axis(axis, self.dims)
        self.shift = as_integer(shift, "Roll: shift")

    def _forward(self, x: Tensor) -> Tensor:
        return x.roll(self.shift, self.axis)

    def _adjoint(self, y: Tensor) -> Tensor:
        return y.roll(-self.shift, self.axis)

    _inverse = _adjoint

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        return rolled(x, -self.shift if adjoint else self.shift, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}, shift={self.shift}"
