"""The measured matrix of an operator, the reference of every check, and the random inputs of the checks."""

from __future__ import annotations

import copy
import functools
import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from torchlops.arrays import complex_dtype, promote
from torchlops.linearoperator import LinearOperator

Function: TypeAlias = Callable[[Tensor], Tensor]
Builder: TypeAlias = Callable[..., LinearOperator]

BATCHES = ((), (3,), (2, 3), (0,), (2, 0))
SMALL = 1 << 20
HAS_SCIPY = importlib.util.find_spec("scipy") is not None


@dataclass(frozen=True)
class Side:
    """An operator or its adjoint, with its measured matrices: ``P x + Q conj(x)`` (``Q = 0`` if complex-linear)."""

    operator: LinearOperator
    P: Tensor
    Q: Tensor
    is_adjoint: bool

    @property
    def takes_complex(self) -> bool:
        """Whether complex inputs are allowed."""
        return not self.operator.real_model

    @property
    def dims(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.operator.dims

    @property
    def dimsd(self) -> tuple[int, ...]:
        """Shape of one output."""
        return self.operator.dimsd

    @property
    def label(self) -> str:
        """Its name in messages."""
        return "A.H(y)" if self.is_adjoint else "A(x)"

    @property
    def fields(self) -> tuple[torch.dtype, ...]:
        """The dtypes of its inputs in double precision, the complex one last."""
        return fields(self.takes_complex, torch.float64)

    @functools.cached_property
    def norm(self) -> float:
        """Frobenius norm."""
        return float((self.P.abs().square().sum() + self.Q.abs().square().sum()).sqrt())

    def exact(self, x: Tensor) -> Tensor:
        """Apply the matrices to ``x``, with torch code that is differentiable in every mode."""
        batch = x.shape[: x.ndim - len(self.dims)]
        rows = x.reshape(*batch, 1, math.prod(self.dims)).to(torch.complex128)
        return (self.P * rows + self.Q * rows.conj()).sum(-1).reshape(*batch, *self.dimsd)


def sides(A: LinearOperator, operator: LinearOperator | None = None) -> tuple[Side, Side]:
    """Return ``A`` and ``A.H`` with their matrices, both taken from the forward of ``A``.

    If ``operator`` is given, the matrices of ``A`` are paired with that operator and its adjoint instead.
    """
    require_small(A)
    P, Q = measure(A)
    H = (P.mH / 2, P.mT / 2) if A.real_model else (P.mH, Q.mT)  # a real model takes the real part of P^H y
    B = A if operator is None else operator
    return Side(B, P, Q, is_adjoint=False), Side(B.H, *H, is_adjoint=True)


def require_small(A: LinearOperator) -> None:
    """Raise a ``ValueError`` if the matrix of ``A`` is too large to measure."""
    if A.shape[0] * A.shape[1] > SMALL:
        raise ValueError(
            f"the matrix of {A.name_and_type}, {A.shape[0]} x {A.shape[1]}, is too large to measure column by column: "
            "check a smaller operator of the same kind"
        )


def measure(A: LinearOperator) -> tuple[Tensor, Tensor]:
    """Return ``P`` and ``Q`` of ``A x = P x + Q conj(x)``, measured with one unit vector at a time."""
    units = torch.eye(math.prod(A.dims), dtype=torch.float64, device=Draw(A).device)

    def columns(inputs: Tensor) -> Tensor:
        return torch.stack([A(unit.reshape(A.dims)).detach().reshape(-1) for unit in inputs], -1).to(torch.complex128)

    if A.real_model:
        P = columns(units)
        return P, torch.zeros_like(P)
    along, across = columns(units + 0j), columns(units * 1j) / 1j
    return (along + across) / 2, (along - across) / 2


class Draw:
    """Draws reproducible normal random numbers, on the device of an operator."""

    def __init__(self, A: LinearOperator) -> None:
        self.device = A._device() or torch.get_default_device()
        self._generator = torch.Generator().manual_seed(20240229)

    def __call__(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        wide = complex_dtype(torch.float64) if dtype.is_complex else torch.float64
        numbers = torch.randn(shape, dtype=wide, generator=self._generator, device="cpu")
        return numbers.to(dtype).to(self.device)


def fields(takes_complex: bool, precision: torch.dtype) -> tuple[torch.dtype, ...]:
    """Return the real dtype and, if complex inputs are allowed, the complex dtype of the same precision."""
    return (precision, complex_dtype(precision)) if takes_complex else (precision,)


def converted(A: LinearOperator, dtype: torch.dtype) -> LinearOperator:
    """Return a copy of the operator in another precision."""
    return copy.deepcopy(A).to(dtype)


def result_type(x: Tensor, tensors: Sequence[Tensor]) -> torch.dtype:
    """Return the dtype of a product of ``x`` with all ``tensors``, ignoring integers, which are indices."""
    wide = [tensor for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]
    dtype = promote([x.dtype, *(tensor.dtype for tensor in wide if tensor.ndim)])
    for tensor in wide:
        dtype = torch.result_type(torch.empty(1, dtype=dtype), tensor)
    return dtype


def quartic(data: Tensor) -> Tensor:
    """Return a real number with non-zero derivatives up to order four."""
    square = data * data.conj()
    total = (square + square * square).sum()  # data.real would be a view, which fails in nested transforms
    return total.real if total.is_complex() else total


def to_real(x: Tensor) -> Tensor:
    """Return a complex tensor as pairs of real numbers, and a real tensor unchanged."""
    return torch.stack([x.real, x.imag], -1) if x.is_complex() else x


def from_real(r: Tensor, like: Tensor) -> Tensor:
    """Undo :func:`to_real`."""
    return torch.complex(r[..., 0], r[..., 1]) if like.is_complex() else r


def as_real_pair(data: Tensor) -> Tensor:
    """Return the real and the imaginary part, which is zero for real data, stacked along a new last axis."""
    parts = (data.real, data.imag) if data.is_complex() else (data, torch.zeros_like(data))
    return torch.stack(parts, -1)


def inner_tensor(x: Tensor, y: Tensor) -> Tensor:
    """Return ``Re<x, y>``."""
    product = x.conj() * y
    return (product.real if product.is_complex() else product).sum()


def inner(x: Tensor, y: Tensor) -> complex:
    """Return ``<x, y>`` in double precision."""
    wide = torch.complex128
    return complex((x.detach().to(wide).conj() * y.detach().to(wide)).sum())


def norm(x: Tensor) -> float:
    """Return the Euclidean norm over all axes."""
    return float(x.detach().abs().double().square().sum().sqrt())
