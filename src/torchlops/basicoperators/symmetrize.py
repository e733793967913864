"""Mirroring along one axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import at
from torchlops.arrays import DType
from torchlops.attributes import Computed
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.shapes import Dims, as_dims, as_trailing_axis


class Symmetrize(AccumulatingOperator):
    r"""Mirror the samples along one axis about the first sample, from ``n`` to ``2 n - 1`` samples.

    Forward:
        .. math:: y_{n-1+i} = x_i, \quad y_{n-1-i} = x_i, \quad i = 0 \ldots n-1

    Adjoint:
        The data is folded:

        .. math:: (A^H y)_i = y_{n-1+i} + y_{n-1-i} \text{ for } i > 0, \qquad (A^H y)_0 = y_{n-1}

    Args:
        dims: Shape of the model.
        axis: Axis to mirror.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Example:
        >>> Symmetrize(3)(torch.tensor([1.0, 2.0, 3.0]))
        tensor([3., 2., 1., 2., 3.])
    """

    _adds_up = (False, True)

    nsym = Computed(lambda self: self.dims[self.axis])

    def __init__(self, dims: Dims, axis: int = -1, dtype: DType = "float64", name: str = "S") -> None:
        dims = as_dims(dims)
        trailing = as_trailing_axis(axis, dims)
        dimsd = [2 * n - 1 if i - len(dims) == trailing else n for i, n in enumerate(dims)]
        super().__init__(dims, dimsd, dtype=dtype, name=name)
        self.axis = trailing

    def _forward(self, x: Tensor) -> Tensor:
        n = self.dims[self.axis]
        return torch.cat((x.narrow(self.axis, 1, n - 1).flip(self.axis), x), dim=self.axis)

    def _adjoint(self, y: Tensor) -> Tensor:
        n = self.dims[self.axis]
        mirrored = y.narrow(self.axis, 0, n - 1).flip(self.axis) + y.narrow(self.axis, n, n - 1)
        return torch.cat((y.narrow(self.axis, n - 1, 1), mirrored), dim=self.axis)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        axis, n = self.axis, self.dims[self.axis]
        if not adjoint:
            return np.concatenate((x[at(axis, None, 0, -1)], x), axis)
        y: NDArray[Any] = x[at(axis, n - 1)].copy()
        y[at(axis, 1)] += x[at(axis, None, n - 1)][at(axis, None, None, -1)]
        return y

    def extra_repr(self) -> str:
        return f"axis={self.axis}"
