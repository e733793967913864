"""Operators along the diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.algebra import CompositeOperator, apply_reshaped, reshaped
from torchlops.arrays import DType
from torchlops.basicoperators.vstack import operators_of, shared
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import accept_pylops_options


class BlockDiag(CompositeOperator):
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
        >>> import torchlops
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
        parts = operators_of(ops, "BlockDiag")
        dims, dimsd = shared([part.dims for part in parts]), shared([part.dimsd for part in parts])
        super().__init__(
            parts,
            dims=sum(part.shape[1] for part in parts) if dims is None else (len(parts), *dims),
            dimsd=sum(part.shape[0] for part in parts) if dimsd is None else (len(parts), *dimsd),
            dtype=dtype,
            real_model=any(part.real_model for part in parts),
        )
        self.ops = self.operators

    def _forward(self, x: Tensor) -> Tensor:
        return self._apply_parts(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._apply_parts(y, True)

    def _apply_parts(self, x: Tensor, adjoint: bool) -> Tensor:
        dims, out = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        side, other = (0, 1) if adjoint else (1, 0)
        flat = reshaped(x, dims, (self.shape[side],))
        pieces = flat.split_with_sizes([part.shape[side] for part in self.operators], dim=-1)
        results = [
            reshaped(
                apply_reshaped(part, piece, (part.shape[side],), adjoint),
                part.dims if adjoint else part.dimsd,
                (part.shape[other],),
            )
            for part, piece in zip(self.operators, pieces, strict=True)
        ]
        return reshaped(torch.cat(results, dim=-1), (self.shape[other],), out)
