"""A problem as a solver sees it: data, guess and damping as vectors, and an operator between vectors."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch
from torch import Tensor

from torchlops.arrays import HALF_PRECISIONS, as_tensor, complex_dtype, from_array, promote, real_dtype, to_numpy
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import Scalar, is_one_problem, largest_modulus
from torchlops.torch_internals import is_plain_eager

if TYPE_CHECKING:
    from numpy import ndarray

T = TypeVar("T")


class OperatorOnVectors(Protocol):
    """A linear map between vectors ``(*batch, n)``."""

    def forward(self, x: Tensor) -> Tensor: ...

    def adjoint(self, y: Tensor) -> Tensor: ...


@dataclass(kw_only=True)
class Problem:
    r"""What is solved: ``A x = y``, with a guess, a damping or another weight, and a preconditioner, as vectors.

    Vectors are in units of ``scale``, a power of two for each sample which makes the largest datum about 1, so that no
    square of a norm underflows or overflows: :math:`y = \mathrm{scale} \cdot \mathrm{y}`, and so for ``x``.

    Attributes:
        solver_name: The name of the solver, for messages.
        operator: The operator.
        y: The data.
        x: The initial guess, or zero.
        r: The residual ``y - A x`` of the guess.
        has_guess: Whether there is one.
        damp: The damping, or what the solver has in its place, for each sample.
        is_damped: Whether it is other than zero.
        M: The preconditioner.
        scale: Unit of the vectors.
        offset: What is added to the gradient ``A^H r``, a model.
    """

    solver_name: str
    operator: OperatorOnVectors
    y: Tensor
    x: Tensor
    r: Tensor
    has_guess: bool = False
    damp: Scalar = 0.0
    is_damped: bool = False
    M: OperatorOnVectors | None = None
    scale: Scalar = 1.0
    offset: Tensor | None = None

    @property
    def vectors(self) -> VectorOperator:
        """The operator, where its vectors are arrays of the user."""
        assert isinstance(self.operator, VectorOperator)
        return self.operator

    @property
    def batch(self) -> tuple[int, ...]:
        """Shape of the batch."""
        return tuple(self.y.shape[:-1])

    @property
    def rounding(self) -> float:
        """Rounding of the vectors."""
        return torch.finfo(self.x.dtype).eps

    def forward(self, x: Tensor) -> Tensor:
        """Return ``A x``."""
        return self.operator.forward(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return ``A^H y``."""
        return self.operator.adjoint(y)

    def precondition(self, r: Tensor) -> Tensor:
        """Return ``M r``."""
        return r if self.M is None else self.M.forward(r)

    def per_sample(self, value: Any, name: str, power: int = 0) -> Scalar:
        """Return a number, or one per sample, that the user gives, in units of ``scale ** power``.

        Raises:
            ValueError: when its shape is not that of the batch.
        """
        return in_units(read_number(value, self.solver_name, name, self.y), self.scale, power)


def select(fields: T, keep: Tensor, size: int) -> T:
    """Return a copy whose tensors of ``size`` samples, also those in tuples, are those of the samples ``keep``."""

    def kept(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[keep] if value.ndim > 1 and value.shape[0] == size else value
        return tuple(map(kept, value)) if isinstance(value, tuple) else value

    new = copy.copy(fields)
    vars(new).update({name: kept(value) for name, value in vars(fields).items()})
    return new


@dataclass(frozen=True)
class Layout:
    """How the user sees arrays.

    Attributes:
        A: The operator.
        back: What turns a tensor into the kind of array that the data were; None for tensors.
        flat: Whether models are flat: where the initial guess is, or the operator has ``forceflat=True``.
    """

    A: LinearOperator
    back: Callable[[Tensor], Any] | None
    flat: bool

    def given(self, tensor: Tensor) -> Any:
        """Return a tensor as the kind of array that the data were."""
        return tensor if self.back is None else self.back(tensor)

    def model(self, tensor: Tensor) -> Any:
        """Return a solution ``(*batch, *dims)`` as the user sees it."""
        if self.flat:
            tensor = tensor.reshape(*tensor.shape[: tensor.ndim - len(self.A.dims)], self.A.shape[1])
        return self.given(tensor)

    def number(self, value: Scalar) -> Any:
        """Return a number per sample as the user sees it: a Python number for one sample, else an array."""
        if not isinstance(value, Tensor):
            return value
        value = value.squeeze(-1)
        if not value.ndim and not value.requires_grad and can_look():
            return value.item()
        return value if self.back is None else to_numpy(value)

    def array(self, value: Tensor) -> Tensor | ndarray[Any, Any]:
        """Return what is known of a solution: a tensor where the data were one, else a NumPy array."""
        return value if self.back is None else to_numpy(value)


def with_axes(number: Any, dims: tuple[int, ...]) -> Any:
    """Return a number, or one per sample, with an axis for each of ``dims``, to multiply ``(*batch, *dims)``.

    >>> with_axes(torch.ones(3), (4, 5)).shape, with_axes(2.0, (4, 5))
    (torch.Size([3, 1, 1]), 2.0)
    """
    return number.reshape((*number.shape, *(1,) * len(dims))) if isinstance(number, Tensor) else number


def can_look() -> bool:
    """Return whether values may be read: not inside a transform that records."""
    return is_plain_eager() or not torch.is_grad_enabled()


def read_number(value: Any, solver_name: str, name: str, vector: Tensor) -> Scalar:
    """Return a number, or one per sample of ``vector``, that a user gives; an array of one element is a number.

    Raises:
        ValueError: when its shape is not that of the batch.
    """
    if not hasattr(value, "shape"):
        return float(value)
    batch = tuple(vector.shape[:-1])
    tensor = as_tensor(value, f"{solver_name}: {name}")
    if tensor.is_complex():
        raise ValueError(f"{solver_name}: {name} must be real, got {tensor.dtype}")
    tensor = tensor.to(vector.device, real_dtype(vector.dtype))
    if tensor.numel() == 1:
        tensor = tensor.reshape(())
    sizes = zip(reversed(tensor.shape), reversed(batch), strict=False)
    if tensor.ndim > len(batch) or any(size not in (1, of_batch) for size, of_batch in sizes):
        raise ValueError(
            f"{solver_name}: {name} must be a number or have the shape of the batch {batch}, got {tuple(tensor.shape)}"
        )
    if not batch and tensor.is_cpu and not torch.is_grad_enabled():
        return tensor.item()
    return tensor.unsqueeze(-1).expand(*batch, 1) if batch else tensor.reshape(1)


def read_data(A: LinearOperator, y: Any, x0: Any = None) -> tuple[Tensor, Layout]:
    """Return data as ``(*batch, *dimsd)``, and how the user, who may give an initial guess, sees arrays.

    Raises:
        ValueError: when they have another shape.
    """
    back: Callable[[Tensor], Any] | None = None
    if not isinstance(y, Tensor):
        y, back = from_array(y, A.name_and_type)
    if not (y.is_floating_point() or y.is_complex()):
        y = y.to(torch.float64)
    has_axes = tuple(y.shape[-len(A.dimsd) :]) == A.dimsd
    if not has_axes and (y.ndim == 0 or y.shape[-1] != A.shape[0]):
        shape = ", ".join(map(str, A.dimsd))
        flat = "" if len(A.dimsd) == 1 else f", or flat (*batch, {A.shape[0]})"
        columns = ": transpose data in columns" if y.ndim == 2 and y.shape[0] == A.shape[0] else ""
        raise ValueError(
            f"the data of {A.name_and_type} must be (*batch, {shape}){flat}, got {tuple(y.shape)}. Batch axes come "
            f"first{columns}."
        )
    return (y if has_axes else y.reshape(*y.shape[:-1], *A.dimsd)), Layout(A, back, bool(A.forceflat) or is_flat(A, x0))


def has_columns(A: LinearOperator, y: Any) -> bool:
    """Return whether an array is several data in columns, as PyLops has them, and cannot be a batch."""
    shape: tuple[int, ...] = tuple(getattr(y, "shape", ()))
    return (
        not isinstance(y, Tensor)
        and len(A.dimsd) == len(A.dims) == 1
        and len(shape) == 2
        and (shape[0] == A.shape[0] != shape[1])
    )


def is_flat(A: LinearOperator, x0: Any) -> bool:
    """Return whether an initial guess, if there is one, is flattened."""
    return x0 is not None and tuple(getattr(x0, "shape", (len(x0),)))[-len(A.dims) :] != A.dims


def read_guess(A: LinearOperator, x0: Any, data: Tensor, solver_name: str) -> Tensor | None:
    """Return the initial guess of a user as ``(*batch, *dims)``.

    Raises:
        ValueError: when it has another shape.
    """
    if x0 is None:
        return None
    batch = tuple(data.shape[: data.ndim - len(A.dimsd)])
    guess = as_tensor(x0, f"{solver_name}: x0").to(data.device)
    if tuple(guess.shape) not in ((*batch, *A.dims), (*batch, A.shape[1])):
        raise ValueError(
            f"{solver_name}: x0 must have the shape {(*batch, *A.dims)} (or flattened {(*batch, A.shape[1])}), "
            f"got {tuple(guess.shape)}"
        )
    return guess.reshape(*batch, *A.dims)


def iteration_dtype(A: LinearOperator, tensors: tuple[Tensor | None, ...], solver_name: str) -> torch.dtype:
    """Return the type of the data in the iterations.

    Raises:
        TypeError: when that is a 16-bit one.
    """
    given = [tensor.dtype for tensor in tensors if tensor is not None]
    dtype = promote([*given, *(real_dtype(tensor.dtype) for tensor in A._given_tensors())])
    if A._torch_dtype().is_complex:  # and not for a real operator that has complex tensors, such as MDC
        dtype = complex_dtype(dtype)
    if dtype in HALF_PRECISIONS:
        raise TypeError(
            f"{solver_name} on {A.name_and_type} does not iterate in {dtype}: cast the data, for example by y.float()"
        )
    return dtype


def in_units(number: Scalar, scale: Scalar, power: float) -> Scalar:
    """Return ``number / scale ** power``, also where the square of the scale underflows."""
    while power > 1:
        number, power = number / scale, power - 1
    return number / scale**power if power else number


def unit_of(y: Tensor) -> Scalar:
    """Return the power of two at the largest modulus of each sample; 1 where that is 0 or not finite."""
    largest = largest_modulus(y)
    if is_one_problem(y):
        size = largest.item()
        return 2.0 ** math.frexp(size)[1] if 0 < size < math.inf else 1.0
    good = (largest > 0) & torch.isfinite(largest)
    return torch.exp2(torch.where(good, largest, 1.0).log2().floor())
