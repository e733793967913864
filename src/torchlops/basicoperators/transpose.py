"""Permutation of axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import DType
from torchlops.attributes import Computed
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims, as_dims, as_trailing_axes


class Transpose(LinearOperator):
    r"""Permute the axes of the model.

    Forward:
        As ``numpy.transpose`` with ``axes``: axis :math:`k` of the data is axis :math:`\mathrm{axes}_k` of the model.

    Adjoint:
        The axes are permuted back, which is also the inverse.

    Args:
        dims: Shape of the model.
        axes: Permutation of the axes, as in ``numpy.transpose``.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``axes`` is not a permutation of the axes of ``dims``.

    Example:
        >>> Transpose((2, 3), axes=(1, 0)).dimsd
        (3, 2)
    """

    axesd = Computed(lambda self: np.argsort(self.axes).tolist())

    def __init__(self, dims: Dims, axes: Sequence[int], dtype: DType = "float64", name: str = "T") -> None:
        dims = as_dims(dims)
        trailing = as_trailing_axes(axes, dims)
        if len(trailing) != len(dims):
            raise ValueError(f"Transpose: axes must contain each axis of dims={dims} once, got {tuple(axes)}")
        super().__init__(dims, [dims[axis] for axis in trailing], dtype=dtype, name=name)
        self.axes = trailing

    def _forward(self, x: Tensor) -> Tensor:
        return _permute(x, self.axes)

    def _adjoint(self, y: Tensor) -> Tensor:
        ndim = len(self.axes)
        return _permute(y, [self.axes.index(axis) - ndim for axis in range(-ndim, 0)])

    _inverse = _adjoint

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        ndim = len(self.axes)
        axes = [self.axes.index(axis) - ndim for axis in range(-ndim, 0)] if adjoint else self.axes
        return x.transpose(*range(x.ndim - ndim), *(x.ndim + axis for axis in axes)).copy()

    def extra_repr(self) -> str:
        return f"axes={self.axes}"


def _permute(x: Tensor, axes: Sequence[int]) -> Tensor:
    permuted = x.permute(*range(x.ndim - len(axes)), *(x.ndim + axis for axis in axes))
    return permuted.clone(memory_format=torch.contiguous_format)
