"""The imaginary part."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import complex_of
from torchlops.arrays import DType, numpy_dtype, real_dtype, zeros_from
from torchlops.attributes import Computed
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims


class Imag(LinearOperator):
    r"""The imaginary part, which is only real-linear.

    Forward:
        .. math:: y = \mathrm{Im}\,x

    Adjoint:
        .. math:: A^H y = i\,\mathrm{Re}\,y

        under :math:`\mathrm{Re}\langle\cdot,\cdot\rangle`.

    Args:
        dims: Shape of the model.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Example:
        >>> Imag(2)(torch.tensor([1 + 2j, 3 - 1j]))
        tensor([ 2., -1.])
    """

    rdtype = Computed(lambda self: numpy_dtype(real_dtype(self._label())))

    def __init__(self, dims: Dims, dtype: DType = "complex128", name: str = "I") -> None:
        super().__init__(dims, dtype=dtype, clinear=False, name=name)

    def _gives_real(self) -> bool:
        return True

    def _forward(self, x: Tensor) -> Tensor:
        return x.imag.clone() if x.is_complex() else zeros_from(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        real = y.real if y.is_complex() else y
        return torch.complex(torch.zeros_like(real), real)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        if not adjoint:
            return x.imag.copy()
        y = np.zeros(x.shape, complex_of(x.dtype))
        y.imag = x.real
        return y
