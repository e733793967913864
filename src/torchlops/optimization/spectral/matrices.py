"""What an operator must be to have eigenvalues or a determinant, and its matrix where that is small."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from torchlops.arrays import real_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import norm
from torchlops.torchoperator import aslinearoperator

Method: TypeAlias = Literal["dense", "iterative"] | None

DENSE_UP_TO = {"solve": 3000, "values": 2000, "vectors": 1200}
"""Numbers of unknowns up to which the matrix of an operator is formed: each takes a second or two, on one core.

``"solve"`` stands for an LU decomposition, ``"values"`` for eigenvalues of Hermitian operators and singular values, and
``"vectors"`` for all singular vectors, pseudo-inverses, and the eigenvalues of other operators. Of a matrix that is not
square, it is the root of the product of its sizes and the smaller one that counts.
"""

_MOST_ENTRIES = 2**24


def is_dense(A: LinearOperator, method: Method, what: str, niter: int | None = None) -> bool:
    """Whether to form the matrix of ``A``: ``what`` is a key of :data:`DENSE_UP_TO`; ``niter`` asks to iterate."""
    if method not in ("dense", "iterative", None):
        raise ValueError(f"method must be 'dense', 'iterative' or None, got {method!r}")
    if niter is not None and method == "dense":
        raise ValueError(f"method='dense' takes no niter, got {niter}")
    if method is not None or niter is not None:
        return method == "dense"
    entries = math.prod(A.shape)
    return entries * min(A.shape) <= DENSE_UP_TO[what] ** 3 and entries <= _MOST_ENTRIES


def dense_matrix(A: LinearOperator, dtype: torch.dtype | None = None) -> Tensor:
    """Return the matrix of ``A`` with its graph, at least in single precision.

    That of an operator that is linear over the real numbers only is the real one between pairs.

    Args:
        A: The operator.
        dtype: Type of its data; by default that of the operator.
    """
    flat = VectorOperator(A, dtype, as_pairs=not A.clinear)
    if A.clinear:
        matrix: Tensor = A.todense(backend="torch").to(flat.dtype)
        return matrix
    return flat.forward(torch.eye(flat.columns, dtype=flat.dtype, device=flat.device)).mT


def clinear(Op: Any, name: str) -> LinearOperator:
    """Return ``Op`` as an operator, which must have a complex matrix."""
    A: LinearOperator = aslinearoperator(Op)
    if not A.clinear:
        raise TypeError(
            f"{name}: {A.name_and_type} is only real-linear, so it has no complex matrix, and no eigenvalues, complex "
            "singular vectors, determinant or trace"
        )
    return A


def square(Op: Any, name: str) -> LinearOperator:
    """Return ``Op`` as an operator, which must have a square complex matrix."""
    A = clinear(Op, name)
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"{name} takes square operators, {A.name_and_type} is {A.shape}: take its singular values")
    return A


def must_be_hermitian(A: LinearOperator, name: str, remedy: str) -> None:
    """Raise unless ``A x = A^H x`` for a random ``x``, without derivatives."""
    with torch.no_grad():
        flat = VectorOperator(A)
        x = random(flat, (), source(None))
        y = flat.forward(x)
        if not norm(flat.adjoint(x) - y) <= flat.rounding**0.5 * norm(y):
            raise ValueError(f"{name} takes Hermitian operators, which {A.name_and_type} is not: {remedy}")


def at_most(count: int, size: int, what: str) -> int:
    """Return how many of ``size`` values there are if ``count`` are asked for."""
    if count < 1:
        raise ValueError(f"{what} must be 1 or more, got {count}")
    return min(count, size)


# -- random vectors -------------------------------------------------------------------------------------------


def source(generator: torch.Generator | None) -> torch.Generator:
    """Return the generator that is given, or one of a fixed seed: global random numbers are left alone."""
    return torch.Generator().manual_seed(0) if generator is None else generator


def random(flat: VectorOperator, batch: tuple[int, ...], generator: torch.Generator, size: int | None = None) -> Tensor:
    """Return random normal vectors of models, or of another ``size``."""
    shape = (*batch, flat.columns if size is None else size)
    return torch.randn(shape, generator=generator, dtype=flat.dtype, device=generator.device).to(flat.device)


def signs(flat: VectorOperator, count: int, generator: torch.Generator) -> Tensor:
    """Return random signs, or random phases of complex vectors."""
    real = real_dtype(flat.dtype)
    drawn = torch.rand(count, flat.columns, generator=generator, dtype=real, device=generator.device).to(flat.device)
    if flat.dtype.is_complex:
        return torch.polar(torch.ones_like(drawn), 2 * math.pi * drawn)
    return 1 - 2 * drawn.round()
