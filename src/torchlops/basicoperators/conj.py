"""The complex conjugate."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import DType
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims


class Conj(LinearOperator):
    r"""The complex conjugate, which is its own inverse and only real-linear.

    Forward:
        .. math:: y = \bar x

    Adjoint:
        The operator is its own adjoint, :math:`\bar y`, under :math:`\mathrm{Re}\langle\cdot,\cdot\rangle`.

    Args:
        dims: Shape of the model.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Example:
        >>> Conj(2)(torch.tensor([1 + 2j, 3 - 1j]))
        tensor([1.-2.j, 3.+1.j])
    """

    def __init__(self, dims: Dims, dtype: DType = "complex128", name: str = "C") -> None:
        super().__init__(dims, dtype=dtype, clinear=False, name=name)

    def _forward(self, x: Tensor) -> Tensor:
        return torch.complex(x.real, -x.imag) if x.is_complex() else x.clone()

    _adjoint = _inverse = _forward

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:  # noqa: ARG002
        result: NDArray[Any] = np.conjugate(x)
        return result
