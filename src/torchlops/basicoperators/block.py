"""A matrix of operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchlops.arrays import DType
from torchlops.basicoperators.hstack import HStack
from torchlops.basicoperators.vstack import VStack
from torchlops.basicoperators.zero import Zero
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import accept_pylops_options
from torchlops.torchoperator import aslinearoperator


class Block(VStack):
    r"""A matrix of operators.

    Forward:
        .. math:: y_i = \sum_j A_{ij} x_j

    Adjoint:
        .. math:: (A^H y)_j = \sum_i A_{ij}^H y_i

    Args:
        ops: The rows of operators or matrices. None stands for a block of zeros (PyLops requires a ``Zero``).
        nproc: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        forceflat: Whether ``A @ x`` is always flat; see :class:`~torchlops.attributes.Attributes`.
        parallel_kind: As ``nproc``.
        dtype: Nominal dtype of the operator. Defaults to the promoted dtype of the parts.

    Raises:
        ValueError: If the shapes of the blocks do not match, or a row or column consists of Nones only.

    Example:
        >>> import torch, torchlops
        >>> A = Block([[torchlops.Identity(2), None], [None, torchlops.Flip(2)]])
        >>> A(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        tensor([1., 2., 4., 3.])
    """

    def __init__(
        self,
        ops: Sequence[Sequence[LinearOperator | Any | None]],
        nproc: int = 1,
        forceflat: bool | None = None,
        parallel_kind: str = "multiproc",
        dtype: DType | None = None,
    ) -> None:
        accept_pylops_options(nproc=nproc, parallel_kind=parallel_kind)
        if len({len(row) for row in ops}) != 1:
            raise ValueError(
                f"all rows of a Block must have the same number of blocks, got rows of {[len(row) for row in ops]}"
            )
        blocks = [[None if op is None else aslinearoperator(op) for op in row] for row in ops]
        heights = [_size(row, 0, f"row {i}") for i, row in enumerate(blocks)]
        widths = [_size(column, 1, f"column {j}") for j, column in enumerate(zip(*blocks, strict=True))]
        rows = [
            HStack([Zero(heights[i], widths[j]) if op is None else op for j, op in enumerate(row)])
            for i, row in enumerate(blocks)
        ]
        super().__init__(rows, forceflat=forceflat, dtype=dtype)

    @property
    def Op(self) -> Block:
        """The stack of rows, which PyLops's class keeps, and this one is."""
        return self


def _size(blocks: Sequence[LinearOperator | None], side: int, where: str) -> int:
    sizes = {block.shape[side] for block in blocks if block is not None}
    if len(sizes) != 1:
        what = "only Nones, so its size is unknown" if not sizes else f"blocks of different sizes, {sorted(sizes)}"
        raise ValueError(f"Block: {where} has {what}")
    return sizes.pop()
