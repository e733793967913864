"""Operators on vectors, as the methods for eigenpairs and singular triplets see them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchlops.arrays import HALF_PRECISIONS, complex_dtype, real_dtype
from torchlops.linearoperator import LinearOperator


class Flat:
    """An operator on vectors ``(*batch, n)``; with ``as_real`` on real ones, where it is linear over the reals only."""

    def __init__(self, A: LinearOperator, as_real: bool) -> None:
        self.A = A
        self.device = A._device() or torch.device("cpu")
        dtype = A._torch_dtype()
        if dtype in HALF_PRECISIONS:
            dtype = torch.complex64 if dtype.is_complex else torch.float32
        self.data_dtype = dtype
        self.model_dtype = real_dtype(dtype) if A.real_model else dtype
        self.in_pairs = as_real and not A.clinear and complex_dtype(dtype) == dtype
        self.is_adjoint = False
        self.dtype = real_dtype(dtype) if self.in_pairs else dtype
        self.rounding = torch.finfo(dtype).eps
        two = 2 if self.in_pairs else 1
        self.rows = A.shape[0] * two
        self.columns = A.shape[1] * (1 if A.real_model else two)

    @property
    def H(self) -> Flat:
        """The adjoint, on vectors."""
        other = Flat.__new__(Flat)
        vars(other).update(vars(self))
        other.is_adjoint, other.rows, other.columns = not self.is_adjoint, self.columns, self.rows
        return other

    def forward(self, x: Tensor) -> Tensor:
        return self._run(x, self.is_adjoint)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._run(y, not self.is_adjoint)

    def _run(self, x: Tensor, adjoint: bool) -> Tensor:
        out = self.A.apply_nd(self.as_data(x) if adjoint else self.as_model(x), adjoint)
        if not adjoint:
            return self.as_vectors(out, self.A.dimsd, self.data_dtype)
        out = out.real if self.A.real_model and out.is_complex() else out
        return self.as_vectors(out, self.A.dims, self.model_dtype)

    def as_vectors(self, array: Tensor, dims: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        flat = array.to(dtype).reshape(*array.shape[: array.ndim - len(dims)], math.prod(dims))
        return torch.view_as_real(flat.resolve_conj()).flatten(-2) if self.in_pairs and flat.is_complex() else flat

    def as_model(self, x: Tensor) -> Tensor:
        return self._as_array(x, self.A.dims, self.model_dtype)

    def as_data(self, y: Tensor) -> Tensor:
        return self._as_array(y, self.A.dimsd, self.data_dtype)

    def _as_array(self, x: Tensor, dims: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        if self.in_pairs and dtype.is_complex:
            x = torch.view_as_complex(x.reshape(*x.shape[:-1], math.prod(dims), 2))
        return x.to(dtype).reshape(*x.shape[:-1], *dims)

    def zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def random(self, count: int, size: int, source: torch.Generator) -> Tensor:
        drawn: Tensor = torch.randn(count, size, generator=source, dtype=self.dtype, device=source.device)
        return drawn.to(self.device)

    def signs(self, count: int, size: int, source: torch.Generator) -> Tensor:
        """Return random signs, or random phases of complex vectors."""
        drawn = torch.rand(count, size, generator=source, dtype=real_dtype(self.dtype), device=source.device)
        drawn = drawn.to(self.device)
        if self.dtype.is_complex:
            return torch.polar(torch.ones_like(drawn), 2 * math.pi * drawn)
        return 1 - 2 * drawn.round()
