"""The zero operator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import DType, zeros_from
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims, as_dims


class Zero(LinearOperator):
    """The zero operator.

    Forward:
        .. math:: y = 0

    Adjoint:
        .. math:: A^H y = 0

    Args:
        N: Shape of the data, an integer or a sequence.
        M: Shape of the model. Defaults to ``N``.
        forceflat: Whether ``A @ x`` is always flat; see :class:`~torchlops.attributes.Attributes`.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Example:
        >>> import torch
        >>> Zero(3, 2)(torch.ones(2))
        tensor([0., 0., 0.])
    """

    def __init__(
        self,
        N: Dims,
        M: Dims | None = None,
        forceflat: bool | None = None,
        dtype: DType = "float64",
        name: str = "Z",
    ) -> None:
        super().__init__(
            as_dims(N if M is None else M, "M"), as_dims(N, "N"), dtype=dtype, forceflat=forceflat, name=name
        )

    # The zeros are computed from the input, so that derivatives of every mode exist and are zero.

    def _forward(self, x: Tensor) -> Tensor:
        return _zeros(x, self.dims, self.dimsd)

    def _adjoint(self, y: Tensor) -> Tensor:
        return _zeros(y, self.dimsd, self.dims)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        dims, wanted = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        return np.zeros((*x.shape[: x.ndim - len(dims)], *wanted), x.dtype)

    def _is_zero(self) -> bool:
        return True


def _zeros(x: Tensor, dims: tuple[int, ...], wanted: tuple[int, ...]) -> Tensor:
    axes = tuple(range(-len(dims), 0))
    total = zeros_from(x.sum(dim=axes))
    return total.reshape((*total.shape, *(1,) * len(wanted))).repeat((*(1,) * total.ndim, *wanted))
