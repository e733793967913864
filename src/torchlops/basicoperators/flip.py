"""Reversal along one axis."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import at
from torchlops.arrays import DType
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims, as_trailing_axis


class Flip(LinearOperator):
    """Reverse the order of the samples along one axis.

    Forward:
        .. math:: y_i = x_{n-1-i}

    Adjoint:
        The operator is its own adjoint, and its own inverse: :math:`(A^H y)_i = y_{n-1-i}`.

    Args:
        dims: Shape of the model.
        axis: Axis to reverse.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Example:
        >>> import torch
        >>> Flip(3)(torch.tensor([1.0, 2.0, 3.0]))
        tensor([3., 2., 1.])
    """

    def __init__(self, dims: Dims, axis: int = -1, dtype: DType = "float64", name: str = "F") -> None:
        super().__init__(dims, dtype=dtype, name=name)
        self.axis = as_trailing_axis(axis, self.dims)

    def _forward(self, x: Tensor) -> Tensor:
        return x.flip(self.axis)

    _adjoint = _inverse = _forward

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:  # noqa: ARG002
        result: NDArray[Any] = x[at(self.axis, None, None, -1)].copy()
        return result

    def extra_repr(self) -> str:
        return f"axis={self.axis}"
