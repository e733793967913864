"""Operators along the diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchlops.arrays import DType
from torchlops.linearoperator import DiagonalStack, LinearOperator
from torchlops.shapes import accept_pylops_options
from torchlops.torchoperator import operators_of


class BlockDiag(DiagonalStack):
    r"""Put operators on a diagonal, :math:`y_i = A_i x_i`.

    Args:
        ops: The operators or matrices. The list itself is left alone.
        nproc: See :func:`~torchlops.shapes.accept_pylops_options`, as for the three that follow.
        forceflat: See there.
        inoutengine: See there.
        parallel_kind: See there.
        dtype: Label of the operator; what the parts promote to by default.

    Where the parts share the shape of their models, the model is ``(len(ops), *dims)``, otherwise flat; so is
    the data.

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
        accept_pylops_options(nproc=nproc, forceflat=forceflat, inoutengine=inoutengine, parallel_kind=parallel_kind)
        super().__init__(operators_of(ops, "BlockDiag"), dtype)
