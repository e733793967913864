"""An operator between vectors, as solvers and eigenvalue methods see it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from torchlops.arrays import HALF_PRECISIONS, complex_dtype, real_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.torch_internals import is_plain_eager


class VectorOperator:
    """An operator between vectors ``(*batch, n)``.

    Models and data of any shape become vectors, and back. With ``as_pairs``, complex samples are pairs of real
    numbers, whose inner product is ``Re<a, b>``: for operators that are linear over the real numbers only, and for
    methods that need no more.

    Args:
        A: The operator.
        dtype: Type of the data; by default that of the operator, at least in single precision.
        as_pairs: Whether complex vectors are real ones of twice the length.
        real_data: Whether data are real, as models are, though the type is complex.

    Attributes:
        dtype: Type of the vectors of models; of the vectors of data it is ``data_dtype``, or real with ``as_pairs``.
        rows, columns: Lengths of the vectors of data and of models.
        is_adjoint: Whether this is the view ``H`` of another one.
    """

    def __init__(
        self, A: LinearOperator, dtype: torch.dtype | None = None, as_pairs: bool = False, real_data: bool = False
    ) -> None:
        if dtype is None:
            dtype = A._torch_dtype()
            if dtype in HALF_PRECISIONS:
                dtype = torch.complex64 if dtype.is_complex else torch.float32
        self.A = A
        self.device = A._device() or torch.device("cpu")
        self.data_dtype = real_dtype(dtype) if real_data else dtype
        self.model_dtype = real_dtype(dtype) if A.real_model else dtype
        self.as_pairs = as_pairs and complex_dtype(dtype) == dtype
        self.dtype = real_dtype(dtype) if self.as_pairs else self.model_dtype
        self.rounding = torch.finfo(dtype).eps
        self._rows, self._columns = A.shape
        self.rows = A.shape[0] * self._width(self.data_dtype)
        self.columns = A.shape[1] * self._width(self.model_dtype)
        self.is_adjoint = False

    @property
    def H(self) -> VectorOperator:
        """The adjoint, a view."""
        other = copy.copy(self)
        other.is_adjoint, other.rows, other.columns = not self.is_adjoint, self.columns, self.rows
        return other

    def forward(self, x: Tensor) -> Tensor:
        """Return ``A x``, in memory of its own."""
        return self._apply(x, self.is_adjoint)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return ``A^H y``, in memory of its own."""
        return self._apply(y, not self.is_adjoint)

    def _apply(self, x: Tensor, adjoint: bool) -> Tensor:
        A = self.A
        A._count(("r" if adjoint else "") + ("matvec" if x.ndim == 1 else "matmat"))
        if adjoint:
            out = A.apply_nd(self.as_data(x), True)
            out = out.real if A.real_model and out.is_complex() else out
            vector = self.model_vector(out)
        else:
            vector = self.data_vector(A.apply_nd(self.as_model(x), False))
        return _apart(vector, x)

    def model_vector(self, model: Tensor) -> Tensor:
        """Return models ``(*batch, *dims)`` as vectors."""
        return self._vector(model, self.A.dims, self._columns, self.model_dtype)

    def data_vector(self, data: Tensor) -> Tensor:
        """Return data ``(*batch, *dimsd)`` as vectors."""
        return self._vector(data, self.A.dimsd, self._rows, self.data_dtype)

    def as_model(self, x: Tensor) -> Tensor:
        """Return vectors as models ``(*batch, *dims)``."""
        return self._array(x, self.A.dims, self._columns, self.model_dtype)

    def as_data(self, y: Tensor) -> Tensor:
        """Return vectors as data ``(*batch, *dimsd)``."""
        return self._array(y, self.A.dimsd, self._rows, self.data_dtype)

    def _width(self, dtype: torch.dtype) -> int:
        return 2 if self.as_pairs and dtype.is_complex else 1

    def _vector(self, array: Tensor, dims: tuple[int, ...], size: int, dtype: torch.dtype) -> Tensor:
        if array.dtype != dtype:
            if array.is_complex() and not dtype.is_complex:
                raise TypeError(
                    f"{self.A.name_and_type} gave {array.dtype} where {dtype} was expected: label the operator as "
                    "complex (dtype=), or as one of real models"
                )
            array = array.to(dtype)
        vector = array if len(dims) == 1 else array.reshape(*array.shape[: array.ndim - len(dims)], size)
        if self.as_pairs and dtype.is_complex:
            return torch.view_as_real(vector.resolve_conj()).flatten(-2)
        return vector

    def _array(self, vector: Tensor, dims: tuple[int, ...], size: int, dtype: torch.dtype) -> Tensor:
        if self.as_pairs and dtype.is_complex:
            vector = torch.view_as_complex(vector.reshape(*vector.shape[:-1], size, 2))
        if vector.dtype != dtype:
            vector = vector.to(dtype)
        return vector if len(dims) == 1 else vector.reshape(*vector.shape[:-1], *dims)


def _apart(result: Tensor, given: Tensor) -> Tensor:
    """Return ``result``, which solvers write into, in memory of its own: an operator may return its input."""
    if torch.is_grad_enabled() or not is_plain_eager():
        return result
    shares = result.untyped_storage().data_ptr() == given.untyped_storage().data_ptr()
    return result.clone() if shares else result
