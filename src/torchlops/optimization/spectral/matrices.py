"""Requirements on an operator to have eigenvalues or a determinant, and random vectors for it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import real_dtype
from torchlops.linearoperator import CompositeOperator, LinearOperator
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import norm
from torchlops.torchoperator import aslinearoperator


def clinear(Op: Any, name: str) -> LinearOperator:
    """Return ``Op`` as an operator; raise if it has no matrix.

    An operator from real models to real data, such as ``F.H @ G @ F`` with real FFTs, has a real one.
    """
    A: LinearOperator = aslinearoperator(Op)
    if A.real_model and not _image_of_zero(A).is_complex():
        return RealMatrixOperator(A)
    if not A.clinear:
        raise TypeError(
            f"{name}: {A.name_and_type} is only real-linear, so it has no complex matrix, and hence no eigenvalues, "
            "complex singular vectors, determinant or trace"
        )
    return A


def _image_of_zero(A: LinearOperator) -> Tensor:
    with torch.no_grad():
        return A.apply_nd(torch.zeros(A.dims, dtype=real_dtype(A._torch_dtype()), device=A._device()), False)


class RealMatrixOperator(CompositeOperator):
    """An operator from real models to real data, as that of its real matrix, which takes complex models, too.

    Args:
        part: The operator.
    """

    def __init__(self, part: LinearOperator) -> None:
        super().__init__((part,), dims=part.dims, dimsd=part.dimsd, clinear=True, name=part.name)

    def _nominal_dtype(self) -> torch.dtype:
        return real_dtype(super()._nominal_dtype())

    def _forward(self, x: Tensor) -> Tensor:
        if x.is_complex():
            return torch.complex(self._forward(x.real), self._forward(x.imag))
        return self.operators[0].apply_nd(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        if y.is_complex():
            return torch.complex(self._adjoint(y.real), self._adjoint(y.imag))
        x: Tensor = self.operators[0].apply_nd(y, True)
        return x.real if x.is_complex() else x


def square(Op: Any, name: str) -> LinearOperator:
    """Return ``Op`` as an operator; raise if it has no square complex matrix."""
    A = clinear(Op, name)
    if A.shape[0] != A.shape[1]:
        raise ValueError(
            f"{name} takes square operators, but {A.name_and_type} has shape {A.shape}: use its singular values"
        )
    return A


def must_be_hermitian(A: LinearOperator, name: str, remedy: str) -> None:
    """Raise unless ``A x = A^H x`` for a random ``x``, without derivatives."""
    with torch.no_grad():
        flat = VectorOperator(A)
        x = random(flat, (), source(None))
        y = flat.forward(x)
        if not norm(flat.adjoint(x) - y) <= flat.rounding**0.5 * norm(y):
            raise ValueError(f"{name} takes Hermitian operators, but {A.name_and_type} is not Hermitian: {remedy}")


def at_most(count: int, size: int, what: str) -> int:
    """Return ``count``, but at most ``size``; raise if it is not positive."""
    if count < 1:
        raise ValueError(f"{what} must be 1 or more, got {count}")
    return min(count, size)


# -- random vectors -------------------------------------------------------------------------------------------


def source(generator: torch.Generator | None) -> torch.Generator:
    """Return the given generator, or one with a fixed seed. The global random state is not touched."""
    return torch.Generator("cpu").manual_seed(0) if generator is None else generator


def random(flat: VectorOperator, batch: tuple[int, ...], generator: torch.Generator, size: int | None = None) -> Tensor:
    """Return normal random vectors of the size of a model, or of another ``size``."""
    shape = (*batch, flat.columns if size is None else size)
    return torch.randn(shape, generator=generator, dtype=flat.dtype, device=generator.device).to(flat.device)


def signs(flat: VectorOperator, count: int, generator: torch.Generator) -> Tensor:
    """Return vectors of random signs, or of random phases if complex."""
    real = real_dtype(flat.dtype)
    drawn = torch.rand(count, flat.columns, generator=generator, dtype=real, device=generator.device).to(flat.device)
    if flat.dtype.is_complex:
        return torch.polar(torch.ones_like(drawn), 2 * math.pi * drawn)
    return 1 - 2 * drawn.round()
