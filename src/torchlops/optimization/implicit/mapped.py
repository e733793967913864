"""Operators whose tensors ``torch.vmap`` maps over."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.rebind import rebound


class MappedOperator(LinearOperator):
    """An operator whose tensors differ from sample to sample along the first batch axis (``torch.vmap``)."""

    def __init__(
        self, part: LinearOperator, old: Sequence[Tensor], new: Sequence[Tensor], in_dims: Sequence[int | None]
    ) -> None:
        super().__init__(
            part.dims, part.dimsd, part._torch_dtype(), part.clinear, part.real_model, name=part.name_and_type
        )
        self.of = (part, tuple(old))  # its tensors are not ours
        self.in_dims: list[int | None] = []
        for index, (tensor, axis) in enumerate(zip(new, in_dims, strict=True)):
            self.register_buffer(f"tensor{index}", tensor if axis is None else tensor.movedim(axis, 0))
            self.in_dims.append(None if axis is None else 0)

    def _forward(self, x: Tensor) -> Tensor:
        return self._mapped(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._mapped(y, True)

    def _mapped(self, x: Tensor, adjoint: bool) -> Tensor:
        part, old = self.of
        tensors = [getattr(self, f"tensor{index}") for index in range(len(self.in_dims))]

        def one(x: Tensor, *tensors: Tensor) -> Tensor:
            return rebound([part], old, tensors)[0].apply_nd(x, adjoint)

        out: Tensor = torch.func.vmap(one, in_dims=(0, *self.in_dims))(x, *tensors)
        return out
