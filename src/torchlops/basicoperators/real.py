"""The real part."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import complex_of
from torchlops.arrays import DType, numpy_dtype, real_dtype
from torchlops.attributes import Computed
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims


class Real(LinearOperator):
    r"""The real part, which is only real-linear.

    Forward:
        .. math:: y = \mathrm{Re}\,x

    Adjoint:
        .. math:: A^H y = \mathrm{Re}\,y

        under :math:`\mathrm{Re}\langle\cdot,\cdot\rangle`, returned as a complex model.

    Args:
        dims: Shape of the model.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Example:
        >>> Real(2)(torch.tensor([1 + 2j, 3 - 1j]))
        tensor([1., 3.])
    """

    rdtype = Computed(lambda self: numpy_dtype(real_dtype(self._label())))

    def __init__(self, dims: Dims, dtype: DType = "complex128", name: str = "R") -> None:
        super().__init__(dims, dtype=dtype, clinear=False, name=name)

    def _gives_real(self) -> bool:
        return True

    def _forward(self, x: Tensor) -> Tensor:
        return x.real.clone() if x.is_complex() else x.clone()

    def _adjoint(self, y: Tensor) -> Tensor:
        real = y.real if y.is_complex() else y
        return torch.complex(real, torch.zeros_like(real))

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        return x.real.astype(complex_of(x.dtype)) if adjoint else x.real.copy()
