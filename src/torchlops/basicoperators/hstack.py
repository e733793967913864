"""Operators side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchlops.algebra import CompositeOperator
from torchlops.arrays import DType
from torchlops.basicoperators.vstack import operators_of, shared, stack_data, sum_models
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import accept_pylops_options


class HStack(CompositeOperator):
    r"""Stack operators horizontally, :math:`y = \sum_i A_i x_i`, with :math:`A^H y = (A_1^H y, A_2^H y, \ldots)`.

    Args:
        ops: The operators, or matrices, of as many rows. The list itself is left alone.
        nproc: See :func:`~torchlops.shapes.accept_pylops_options`, as for the three that follow.
        forceflat: See there.
        inoutengine: See there.
        parallel_kind: See there.
        dtype: Label of the operator; what the parts promote to by default.

    The data has the shape that the parts share, or is flat where they differ; the model is flat.

    Raises:
        ValueError: when the numbers of rows differ.

    Example:
        >>> import torch, torchlops
        >>> A = HStack([torchlops.Identity(2), torchlops.Flip(2)])
        >>> A(torch.tensor([1.0, 2.0, 10.0, 20.0]))
        tensor([21., 12.])
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
        parts = operators_of(ops, "HStack")
        rows = {part.shape[0] for part in parts}
        if len(rows) > 1:
            shapes = [part.shape for part in parts]
            raise ValueError(f"HStack takes operators of as many rows, got the shapes {shapes}")
        dimsd = shared([part.dimsd for part in parts]) or (rows.pop(),)
        columns = [part.shape[1] for part in parts]
        super().__init__(
            parts, dims=sum(columns), dimsd=dimsd, dtype=dtype, real_model=any(part.real_model for part in parts)
        )
        self.columns = columns
        self.ops = self.operators

    def _forward(self, x: Tensor) -> Tensor:
        return sum_models(self.operators, x.split_with_sizes(self.columns, dim=-1), self.dimsd, adjoint=False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return stack_data(self.operators, y, self.dimsd, adjoint=True)
