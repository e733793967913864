"""Sum along one axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import DType
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims, as_dims, as_trailing_axis


class Sum(LinearOperator):
    r"""Sum along one axis.

    Forward:
        .. math:: y = \sum_i x_i

    Adjoint:
        The data is replicated, :math:`(A^H y)_i = y`.

    Args:
        dims: Shape of the model. A one-dimensional shape ``(n,)`` is treated as ``(n, 1)``, as in PyLops.
        axis: Axis to sum over.
        forceflat: Whether ``A @ x`` is always flat; see :class:`~torchlops.attributes.Attributes`.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Example:
        >>> Sum((2, 3), axis=0)(torch.ones(2, 3))
        tensor([2., 2., 2.])
    """

    def __init__(
        self,
        dims: Dims,
        axis: int = -1,
        forceflat: bool | None = None,
        dtype: DType = "float64",
        name: str = "S",
    ) -> None:
        dims = as_dims(dims)
        dims = (dims[0], 1) if len(dims) == 1 else dims
        trailing = as_trailing_axis(axis, dims)
        dimsd = tuple(n for i, n in enumerate(dims) if i - len(dims) != trailing)
        super().__init__(dims, dimsd, dtype=dtype, forceflat=forceflat, name=name)
        self.axis = trailing

    def _forward(self, x: Tensor) -> Tensor:
        return x.sum(self.axis)

    def _adjoint(self, y: Tensor) -> Tensor:
        batch = y.shape[: y.ndim - len(self.dimsd)]
        return y.unsqueeze(self.axis).expand((*batch, *self.dims)).clone(memory_format=torch.contiguous_format)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        return np.expand_dims(x, self.axis).repeat(self.dims[self.axis], self.axis) if adjoint else x.sum(self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"
