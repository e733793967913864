"""Block-diagonal operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchlops.arrays import DType
from torchlops.linearoperator import DiagonalStack, LinearOperator
from torchlops.shapes import accept_pylops_options
from torchlops.torchoperator import operators_of


class BlockDiag(DiagonalStack):
    """Operators along the diagonal of a block matrix.

    Forward:
        .. math:: y_i = A_i x_i

    Adjoint:
        .. math:: (A^H y)_i = A_i^H y_i

    Args:
        ops: The operators or matrices. The list itself is not modified.
        nproc: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        forceflat: Whether ``A @ x`` is always flat; see :class:`~torchlops.attributes.Attributes`.
        inoutengine: As ``nproc``.
        parallel_kind: As ``nproc``.
        dtype: Nominal dtype of the operator. Defaults to the promoted dtype of the parts.

    If all parts have the same model shape ``dims``, the model has the shape ``(len(ops), *dims)``; otherwise it is
    flat. The same holds for the data.

    Example:
        >>> import torch, torchlops
        >>> A = BlockDiag([torchlops.Identity(2), torchlops.Flip(2)])
        >>> A(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([[1., 2.],
                [4., 3.]])
    """

    def __init__(
        self,
        ops: Sequence[LinearOperator | Any],
        nproc: int = 1,
        forceflat: bool | None = None,
        inoutengine: tuple[str, str] | None = None,
        parallel_kind: str = "multiproc",
        dtype: DType | None = None,
    ) -> None:
        accept_pylops_options(nproc=nproc, inoutengine=inoutengine, parallel_kind=parallel_kind)
        super().__init__(operators_of(ops, "BlockDiag"), dtype, forceflat)
