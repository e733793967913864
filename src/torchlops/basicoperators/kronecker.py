"""The Kronecker product of two operators."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import DType
from torchlops.attributes import Computed
from torchlops.linearoperator import (
    CompositeOperator,
    LinearOperator,
    Samples,
    apply_flat,
    takes_real,
)
from torchlops.torchoperator import aslinearoperator


class Kronecker(CompositeOperator):
    r"""The Kronecker product of two operators.

    Forward:
        .. math:: y = (A_1 \otimes A_2) x

        which is :math:`Y = A_1 X A_2^T` for ``x = X.ravel()`` and ``y = Y.ravel()``.

    Adjoint:
        .. math:: A^H y = (A_1^H \otimes A_2^H) y

    Args:
        Op1: The operator along the first axis of ``X``, which has shape ``(Op1.shape[1], Op2.shape[1])``.
        Op2: The operator along the second axis of ``X``.
        dtype: Nominal dtype of the operator. Defaults to the promoted dtype of both.
        name: A name for error messages.

    Example:
        >>> import torch, torchlops
        >>> A = Kronecker(torchlops.Flip(2), torchlops.Identity(2))
        >>> A(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        tensor([3., 4., 1., 2.])
    """

    Op1 = Computed(lambda self: self.operators[0])
    Op2 = Computed(lambda self: self.operators[1])
    Op1H = Computed(lambda self: self.operators[0].H)
    Op2H = Computed(lambda self: self.operators[1].H)

    def __init__(self, Op1: LinearOperator, Op2: LinearOperator, dtype: DType | None = None, name: str = "K") -> None:
        parts = (aslinearoperator(Op1), aslinearoperator(Op2))
        super().__init__(
            parts,
            dims=parts[0].shape[1] * parts[1].shape[1],
            dimsd=parts[0].shape[0] * parts[1].shape[0],
            dtype=dtype,
            real_model=takes_real(parts[::-1]),
            name=name,
        )

    def _forward(self, x: Tensor) -> Tensor:
        first, second = self.operators
        rows = x.reshape((*x.shape[:-1], first.shape[1], second.shape[1]))
        columns = _each(second, rows, False).mT
        y = _each(first, columns, False).mT
        return y.reshape((*x.shape[:-1], self.shape[0]))

    def _adjoint(self, y: Tensor) -> Tensor:
        first, second = self.operators
        columns = y.reshape((*y.shape[:-1], first.shape[0], second.shape[0])).mT
        rows = _each(first, columns, True).mT
        x = _each(second, rows, True)
        return x.reshape((*y.shape[:-1], self.shape[1]))

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        first, second = self.operators
        side = 0 if adjoint else 1
        rows = x.reshape((*x.shape[:-1], first.shape[side], second.shape[side]))
        if adjoint:
            columns = _each(first, rows.swapaxes(-1, -2), adjoint)
            y = _each(second, columns.swapaxes(-1, -2), adjoint)
        else:
            columns = _each(second, rows, adjoint)
            y = _each(first, columns.swapaxes(-1, -2), adjoint).swapaxes(-1, -2)
        return y.reshape((*x.shape[:-1], self.shape[1 - side]))


def _each(part: LinearOperator, x: Samples, adjoint: bool) -> Samples:
    """Apply ``part`` along the last axis of ``x``."""
    return apply_flat(part, x, (x.shape[-1],), adjoint)
