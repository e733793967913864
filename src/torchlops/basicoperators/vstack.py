"""Operators on top of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.algebra import CompositeOperator, add_up, apply_reshaped, reshaped
from torchlops.arrays import DType
from torchlops.basicoperators.zero import Zero
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import accept_pylops_options
from torchlops.torchoperator import aslinearoperator


class VStack(CompositeOperator):
    r"""Stack operators vertically, :math:`y = (A_1 x, A_2 x, \ldots)`, with :math:`A^H y = \sum_i A_i^H y_i`.

    Args:
        ops: The operators, or matrices, of as many columns. The list itself is left alone.
        nproc: See :func:`~torchlops.shapes.accept_pylops_options`, as for the three that follow.
        forceflat: See there.
        inoutengine: See there.
        parallel_kind: See there.
        dtype: Label of the operator; what the parts promote to by default.

    The model has the shape that the parts share, or is flat where they differ; the data is flat.

    Raises:
        ValueError: when the numbers of columns differ.

    Example:
        >>> import torchlops
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
        accept_pylops_options(nproc=nproc, forceflat=forceflat, inoutengine=inoutengine, parallel_kind=parallel_kind)
        parts = operators_of(ops, "VStack")
        columns = {part.shape[1] for part in parts}
        if len(columns) > 1:
            shapes = [part.shape for part in parts]
            raise ValueError(f"VStack takes operators of as many columns, got the shapes {shapes}")
        dims = shared([part.dims for part in parts]) or (columns.pop(),)
        rows = [part.shape[0] for part in parts]
        super().__init__(
            parts, dims=dims, dimsd=sum(rows), dtype=dtype, real_model=any(part.real_model for part in parts)
        )
        self.rows = rows
        self.ops = self.operators

    def _forward(self, x: Tensor) -> Tensor:
        return stack_data(self.operators, x, self.dims, adjoint=False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return sum_models(self.operators, y.split_with_sizes(self.rows, dim=-1), self.dims, adjoint=True)


def operators_of(ops: Sequence[Any], name: str) -> list[LinearOperator]:
    """Return ``ops`` as operators; matrices become MatrixMult."""
    if len(ops) == 0:
        raise ValueError(f"{name} takes at least one operator, got none")
    return [aslinearoperator(op) for op in ops]


def shared(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """Return the one shape in ``shapes``, or None where they differ."""
    return shapes[0] if len(set(shapes)) == 1 else None


def stack_data(parts: Sequence[LinearOperator], x: Tensor, dims: tuple[int, ...], adjoint: bool) -> Tensor:
    """Apply each part (or its adjoint) to ``x`` of trailing shape ``dims``; join the flat results."""
    flat = []
    for part in parts:
        out = part.dims if adjoint else part.dimsd
        y = apply_reshaped(part, x, dims, adjoint)
        flat.append(reshaped(y, out, (part.shape[1 if adjoint else 0],)))
    return torch.cat(flat, dim=-1)


def sum_models(
    parts: Sequence[LinearOperator], pieces: Sequence[Tensor], dims: tuple[int, ...], adjoint: bool
) -> Tensor:
    """Apply each part (or its adjoint) to its flat piece; add up the results, in the shape ``dims``."""
    kept = [pair for pair in zip(parts, pieces, strict=True) if not isinstance(pair[0], Zero)] or [
        (parts[0], pieces[0])
    ]
    terms = (
        reshaped(apply_reshaped(part, piece, (piece.shape[-1],), adjoint), part.dims if adjoint else part.dimsd, dims)
        for part, piece in kept
    )
    return add_up(terms)
