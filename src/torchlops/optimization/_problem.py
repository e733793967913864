"""A problem as a solver sees it: its data, guess and damping as vectors, and its operator between vectors."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from torchlops.arrays import HALF_PRECISIONS, as_tensor, complex_dtype, from_array, promote, real_dtype, to_numpy
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.vectors import Scalar
from torchlops.torch_internals import is_plain_eager


class Problem:
    """What of a solver reads what the user gives, and shows what the user gets.

    Attributes:
        Op: The operator.
        M: The preconditioner, if there is one.
        x: The solution so far, a vector (see ``solver/vectors.py``).
        y: The data, a vector.
        batch: Shape of the batch.
        has_guess: Whether there is an initial guess.
        is_damped: Whether there is a damping other than zero.
    """

    keeps_complex: ClassVar[bool] = False
    """Whether complex vectors stay complex."""

    weight_name: ClassVar[str] = "damp"
    """What the user calls the number in the place of the damping."""

    Op: LinearOperator
    M: LinearOperator | None
    x: Tensor
    y: Tensor
    batch: tuple[int, ...]
    is_damped: bool
    has_guess: bool
    _damp: Scalar
    _back: Any
    _public: Any
    _nd: bool
    _is_complex: bool
    _model_dtype: torch.dtype
    _data_dtype: torch.dtype

    def _read(self, y: Any, x0: Any, damp: Any) -> None:
        A = self.Op
        y, self.batch, self._nd, self._back = read_data(A, y)
        given = None if x0 is None else as_tensor(x0, f"{type(self).__name__}: x0")
        self._set_dtypes(y, given)
        self.y = self._as_vector(y, A.dimsd, self._data_dtype)
        if given is None:
            size = A.shape[1] * (2 if self._model_dtype.is_complex and not self._is_complex else 1)
            dtype = self._model_dtype if self._is_complex else real_dtype(self._model_dtype)
            self.x = self.y.new_zeros((*self.batch, size), dtype=dtype)
        else:
            self._check_guess(given)
            self.x = self._as_vector(given.to(self.y.device), A.dims, self._model_dtype).clone()
        self.has_guess = given is not None
        self.damp = damp
        self._damp = self._of_each_sample(damp, self.weight_name)
        self.is_damped = isinstance(damp, Tensor) or bool(torch.as_tensor(damp).any())

    def _set_dtypes(self, y: Tensor, x0: Tensor | None) -> None:
        A = self.Op
        tensors = [tensor.dtype for tensor in A._given_tensors()]
        dtype = promote([y.dtype, *tensors, *([] if x0 is None else [x0.dtype])])
        if A._torch_dtype().is_complex:
            dtype = complex_dtype(dtype)
        if dtype in HALF_PRECISIONS:
            raise TypeError(
                f"{type(self).__name__} on {A.name_and_type} does not iterate in {dtype}: cast the data, for example "
                "by y.float()"
            )
        self._data_dtype = dtype
        self._model_dtype = real_dtype(dtype) if A.real_model else dtype
        self._is_complex = self.keeps_complex and A.clinear and dtype.is_complex

    def _check_guess(self, x0: Tensor) -> None:
        A = self.Op
        if tuple(x0.shape) not in ((*self.batch, *A.dims), (*self.batch, A.shape[1])):
            raise ValueError(
                f"{type(self).__name__}: x0 must have the shape {(*self.batch, *A.dims)} (or flattened "
                f"{(*self.batch, A.shape[1])}), got {tuple(x0.shape)}"
            )

    def _of_each_sample(self, value: Any, name: str) -> Scalar:
        """Return a number, or one of each sample, that the user gives."""
        if not hasattr(value, "shape"):
            return float(value)
        tensor = self._checked(value, name)
        if not self.batch and tensor.is_cpu and not torch.is_grad_enabled():
            return tensor.item()
        return tensor.unsqueeze(-1).expand(*self.batch, 1) if self.batch else tensor.reshape(1)

    def _checked(self, value: Any, name: str) -> Tensor:
        """Return what has a shape as a tensor that broadcasts to the batch."""
        tensor = as_tensor(value, f"{type(self).__name__}: {name}").to(self.y.device, real_dtype(self._model_dtype))
        try:
            torch.broadcast_shapes(tensor.shape, self.batch)  # type: ignore[no-untyped-call]
        except RuntimeError:
            raise ValueError(
                f"{type(self).__name__}: {name} must be a number or of the shape of the batch {self.batch}, "
                f"got {tuple(tensor.shape)}"
            ) from None
        return tensor

    def _as_vector(self, array: Tensor, dims: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return ``(*batch, *dims)`` or flattened as a vector of ``dtype``."""
        if array.is_complex() and not dtype.is_complex:
            raise TypeError(
                f"{self.Op.name_and_type} gave {array.dtype} where {dtype} was expected: label the operator as "
                "complex (dtype=), or as one of real models"
            )
        vector = array.to(dtype).reshape(*self.batch, math.prod(dims))
        if not dtype.is_complex or self._is_complex:
            return vector
        return torch.view_as_real(vector.resolve_conj()).flatten(-2)

    def _as_array(self, vector: Tensor, dims: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a vector as ``(*batch, *dims)`` of ``dtype``."""
        if dtype.is_complex and not self._is_complex:
            vector = torch.view_as_complex(vector.reshape(*self.batch, math.prod(dims), 2))
        return vector.reshape(*self.batch, *dims)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``A x`` of vectors."""
        A = self.Op
        y = A.apply_nd(self._as_array(x, A.dims, self._model_dtype), False)
        return _apart(self._as_vector(y, A.dimsd, self._data_dtype), x)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return ``A^H y`` of vectors."""
        A = self.Op
        x = A.apply_nd(self._as_array(y, A.dimsd, self._data_dtype), True)
        if x.is_complex() and not self._model_dtype.is_complex and A.real_model:
            x = x.real
        return _apart(self._as_vector(x, A.dims, self._model_dtype), y)

    def precondition(self, r: Tensor) -> Tensor:
        """Return ``M r`` of vectors."""
        if self.M is None:
            return r
        M = self.M
        return self._as_vector(
            M.apply_nd(self._as_array(r, M.dims, self._model_dtype), False), M.dimsd, self._model_dtype
        )

    def _shown(self) -> Any:
        """Return the solution so far as the user sees it."""
        A = self.Op
        x = self._as_array(self._current(), A.dims, self._model_dtype)
        if not self._nd:
            x = x.reshape(*self.batch, A.shape[1])
        return x if self._back is None else self._back(x)

    def _adopt(self, x: Any) -> None:
        """Go on from another ``x`` than ours, if the user gives one."""
        if x is self._public or x is None:
            return
        self.x = self._as_vector(as_tensor(x, "x").to(self.y.device), self.Op.dims, self._model_dtype).clone()

    def _current(self) -> Tensor:
        """Return the solution so far, for a solver that does not keep ``x`` up to date."""
        return self.x

    def _can_look(self) -> bool:
        return is_plain_eager() or not torch.is_grad_enabled()

    def _number(self, value: Scalar) -> Any:
        """Return a number of each sample as the user sees it: a Python number for one sample, else an array."""
        if not isinstance(value, Tensor):
            return value
        value = value.squeeze(-1)
        if not self.batch and not value.requires_grad and self._can_look():
            return value.item()
        return value if self._back is None else to_numpy(value)


def _apart(result: Tensor, given: Tensor) -> Tensor:
    """Return ``result``, which solvers write into, in memory of its own, as an operator of a user may not."""
    if torch.is_grad_enabled() or not is_plain_eager():
        return result
    shares = result.untyped_storage().data_ptr() == given.untyped_storage().data_ptr()
    return result.clone() if shares else result


def read_data(A: LinearOperator, y: Any) -> tuple[Tensor, tuple[int, ...], bool, Any]:
    """Return data as a tensor, their batch, whether they have the axes of ``A``, and what brings a result back."""
    back: Any = None
    if not isinstance(y, Tensor):
        y, back = from_array(y, A.name_and_type)
    if not (y.is_floating_point() or y.is_complex()):
        y = y.to(torch.float64)
    has_axes = tuple(y.shape[-len(A.dimsd) :]) == A.dimsd
    if not has_axes and (y.ndim == 0 or y.shape[-1] != A.shape[0]):
        raise A._wrong_shape(y, True)
    return y, tuple(y.shape[: -len(A.dimsd)] if has_axes else y.shape[:-1]), has_axes, back
