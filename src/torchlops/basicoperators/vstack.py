"""Vertical stack of operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchlops.arrays import DType
from torchlops.linearoperator import LinearOperator, VerticalStack
from torchlops.shapes import accept_pylops_options
from torchlops.torchoperator import operators_of


class VStack(VerticalStack):
    r"""Stack operators vertically.

    Forward:
        .. math:: y = (A_1 x, A_2 x, \ldots)

    Adjoint:
        .. math:: A^H y = \sum_i A_i^H y_i

    Args:
        ops: Operators or matrices with the same number of columns. The list itself is not modified.
        nproc: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        forceflat: Whether ``A @ x`` is always flat; see :class:`~torchlops.attributes.Attributes`.
        inoutengine: As ``nproc``.
        parallel_kind: As ``nproc``.
        dtype: Nominal dtype of the operator. Defaults to the promoted dtype of the parts.

    The model has the common model shape of the parts, or is flat if these differ; the data is flat.

    Raises:
        ValueError: If the numbers of columns differ.

    Example:
        >>> import torch, torchlops
        >>> A = VStack([torchlops.Identity(2), torchlops.Flip(2)])
        >>> A(torch.tensor([1.0, 2.0]))
        tensor([1., 2., 2., 1.])
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
        super().__init__(operators_of(ops, "VStack"), dtype, forceflat)
