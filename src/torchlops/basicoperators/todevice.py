"""Transfer between devices within a chain of operators."""

from __future__ import annotations

import torch
from torch import Tensor

from torchlops.arrays import DType
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims


class ToDevice(LinearOperator):
    """Move the model to a device, and the data back.

    The operators before and after it can thus keep their tensors on different devices. Gradients are moved back in the
    same way.

    Forward:
        .. math:: y = x

        on ``device``.

    Adjoint:
        .. math:: A^H y = y

        on ``source``.

    Args:
        dims: Shape of the model and of the data.
        device: Device to which the forward moves the model.
        source: Device to which the adjoint moves the data.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Example:
        >>> A = ToDevice(3, device="cuda" if torch.cuda.is_available() else "cpu")
        >>> A.H(A(torch.ones(3)))
        tensor([1., 1., 1.])
    """

    def __init__(
        self,
        dims: Dims,
        device: torch.device | str = "cuda",
        source: torch.device | str = "cpu",
        dtype: DType = "float64",
        name: str = "D",
    ) -> None:
        super().__init__(dims, dtype=dtype, name=name)
        self.device, self.source = torch.device(device), torch.device(source)

    def _forward(self, x: Tensor) -> Tensor:
        return _moved(x, self.device)

    def _adjoint(self, y: Tensor) -> Tensor:
        return _moved(y, self.source)

    def extra_repr(self) -> str:
        return f"{self.source} to {self.device}"


class ToCupy(ToDevice):
    """Move the model to the GPU and the data back: :class:`ToDevice` under PyLops's name.

    Without a GPU nothing is moved, as in PyLops. Only the device of the computation changes: tensors remain tensors,
    and arrays are returned as the same type of array.

    Forward:
        .. math:: y = x

        on the GPU.

    Adjoint:
        .. math:: A^H y = y

        on the CPU.

    Args:
        dims: Shape of the model and of the data.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Example:
        >>> ToCupy(2)(torch.ones(2)).cpu()
        tensor([1., 1.])
    """

    def __init__(self, dims: Dims, dtype: DType = "float64", name: str = "C") -> None:
        super().__init__(dims, "cuda" if torch.cuda.is_available() else "cpu", dtype=dtype, name=name)


def _moved(x: Tensor, device: torch.device) -> Tensor:
    # meta tensors have no values to move
    return x.clone() if x.is_meta else x.to(device, copy=True)
