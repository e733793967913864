"""The base class of operators: what a subclass defines, and the shapes, arrays, dtypes and modules derived from it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchlops import autograd
from torchlops.arraykernels import Unsuitable, inherits_array_kernel, quietly, real_of, suits
from torchlops.arrays import (
    HALF_PRECISIONS,
    DType,
    as_tensor,
    complex_dtype,
    from_array,
    is_shared,
    numpy_dtype,
    promote,
    real_dtype,
    real_part,
    to_numpy,
    torch_dtype,
)
from torchlops.foreignfunction import FlatMethods, ForeignFunction, Source
from torchlops.shapes import Dims, accept_pylops_options, as_dims
from torchlops.torch_internals import without_gradients

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_Self = TypeVar("_Self", bound="Contract")


class Contract(nn.Module):
    """A linear map and its adjoint as a PyTorch module: the methods that a subclass defines, and how they are applied.

    Derive from :class:`~torchlops.LinearOperator`, which adds the algebra and documents the arguments.
    """

    _has_fast_kernels = False
    _has_array_kernel = False
    _calls_others = False  # whether the array kernel calls other operators, or foreign code
    _function: ForeignFunction | None = None  # set if the kernels are foreign
    _work = 1  # approximate number of operations per sample of the input

    def __init__(
        self,
        dims: Dims | None = None,
        dimsd: Dims | None = None,
        dtype: DType | None = None,
        clinear: bool = True,
        real_model: bool = False,
        name: str | None = None,
        shape: tuple[int, int] | None = None,
        explicit: bool | None = None,
        forceflat: bool | None = None,
    ) -> None:
        accept_pylops_options(explicit=explicit, forceflat=forceflat)
        super().__init__()
        if dims is None:
            if shape is None:
                raise ValueError(f"{type(self).__name__} needs dims (the shape of one model) or shape (rows, columns)")
            dims, dimsd = shape[1], shape[0] if dimsd is None else dimsd
        self.dims: tuple[int, ...] = as_dims(dims)
        self.dimsd: tuple[int, ...] = self.dims if dimsd is None else as_dims(dimsd, "dimsd")
        self.clinear = clinear
        self.real_model = real_model
        self.name = name
        self._declared_dtype = None if dtype is None else torch_dtype(dtype)
        self._tensor_names: tuple[str, ...] = ()
        if hasattr(type(self), "_matvec"):
            self._take_function(FlatMethods(self), dtype or "float64")

    def _take_function(self, source: Source, dtype: DType, device: str = "cpu", key: str | None = None) -> None:
        """Use a foreign ``source`` for the forward and the adjoint."""
        self._function = ForeignFunction(
            source, self, self.dims, self.dimsd, dtype, self.clinear, self.real_model, device, key
        )
        self._calls_others, self._has_array_kernel = True, inherits_array_kernel(type(self), Contract)

    def _snapshot(self: _Self) -> _Self:
        """Return a view of this operator that keeps its present tensors, even if they are replaced later."""
        return _with_tensors_of(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if self._function is not None:
            self._function.belongs_to(self)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._has_fast_kernels = cls._fast_forward is not Contract._fast_forward
        defines = cls._array_kernel is not Contract._array_kernel
        cls._has_array_kernel = defines and inherits_array_kernel(cls, Contract)

    # -- defined by subclasses -------------------------------------------------------------------------------

    def _forward(self, x: Tensor, /) -> Tensor:
        """Return ``A x`` for ``x`` of shape ``(*batch, *dims)``."""
        if self._function is not None:
            return self._function(x, False)
        raise NotImplementedError(f"{type(self).__name__} must define _forward(self, x)")

    def _adjoint(self, y: Tensor, /) -> Tensor:
        """Return ``A^H y`` for ``y`` of shape ``(*batch, *dimsd)``; derived from ``_forward`` by default."""
        if self._function is not None:
            return self._function(y, True)
        dtype = promote([y.dtype, *(tensor.dtype for tensor in self._given_tensors() if tensor.ndim)])
        if self._torch_dtype().is_complex or not self.clinear:
            dtype = complex_dtype(dtype)
        if self.real_model:
            dtype = real_dtype(dtype)
        model = y.new_zeros((*y.shape[: y.ndim - len(self.dimsd)], *self.dims), dtype=dtype)
        pulled = torch.func.vjp(self._forward, model)
        data, pullback = pulled[0], pulled[1]
        cotangent = y if data.is_complex() or not y.is_complex() else y.real
        result: Tensor = pullback(cotangent.to(data.dtype))[0]
        return result

    def _fast_forward(self, x: Tensor, /) -> Tensor:
        """Return ``A x`` by a kernel that autograd need not be able to trace; see ``autograd.py``."""
        raise NotImplementedError

    def _fast_adjoint(self, y: Tensor, /) -> Tensor:
        """Return ``A^H y`` by a kernel that autograd need not be able to trace."""
        raise NotImplementedError

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        """Whether the fast kernel is faster for this ``x``."""
        return True

    def _array_kernel(self, x: NDArray[Any], adjoint: bool, /) -> NDArray[Any]:
        """Return ``A x`` or ``A^H x`` for a small array ``(*batch, *dims)``; see ``arraykernels.py``."""
        assert self._function is not None
        return self._function.of_array(x, adjoint)

    def _inverse(self, y: Tensor, /) -> Tensor:
        """Return the exact solution of ``A x = y``, if the operator implements it."""
        raise NotImplementedError

    def _register(self, name: str, value: Any, dtype: DType | None = None) -> Tensor:
        """Register ``value`` as a tensor of this operator: parameters stay parameters, the rest become buffers."""
        tensor = as_tensor(value, f"{type(self).__name__}: {name}", dtype)
        if isinstance(tensor, nn.Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_buffer(name, tensor)
        self._tensor_names += (name,)
        return tensor

    # -- applying --------------------------------------------------------------------------------------------

    def forward(self, x: Any) -> Any:
        """Return ``A x`` for ``(*batch, *dims)`` or flattened ``(*batch, prod(dims))`` arrays."""
        if isinstance(x, Tensor):
            return self._apply_to(x, False)
        small = self._of_small(x, False)
        if small is not None:
            return small
        if _is_called_by_scipy():  # lobpcg passes columns to any callable
            return self._matrix_product(x, False)
        return self._through_arrays(x, lambda tensor: self._apply_to(tensor, False))

    def adjoint(self, y: Any) -> Any:
        """Return ``A^H y`` for ``(*batch, *dimsd)`` or flattened ``(*batch, prod(dimsd))`` arrays."""
        if isinstance(y, Tensor):
            return self._apply_to(y, True)
        small = self._of_small(y, True)
        return self._through_arrays(y, lambda tensor: self._apply_to(tensor, True)) if small is None else small

    def _of_small(self, x: Any, adjoint: bool) -> NDArray[Any] | None:
        """Return the product with one small array, a model or a flat vector; None where it must become a tensor."""
        if not self._has_array_kernel or type(x) is not np.ndarray or not suits(x):
            return None
        dims = self.dimsd if adjoint else self.dims
        if x.shape == dims:
            return self._of_array(x, adjoint)
        if x.ndim != 1 or x.size != math.prod(dims):
            return None
        y = self._of_array(x.reshape(dims), adjoint)
        return None if y is None else y.reshape(-1)

    def _of_array(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any] | None:
        """Return the result of the array kernel for an array that suits it; None if the tensor kernel must run."""
        own = vars(self)
        if (
            not self._has_array_kernel
            or (self.real_model and not adjoint and x.dtype.kind == "c")
            or "_forward" in own
            or "_adjoint" in own
        ):
            return None
        try:
            y = self._array_kernel(x, adjoint) if self._calls_others else quietly(self._array_kernel, x, adjoint)
        except Unsuitable:
            return None
        return real_of(y) if adjoint and self.real_model else y

    def _apply_to(self, x: Tensor, adjoint: bool) -> Tensor:
        dims = self.dimsd if adjoint else self.dims
        if x.shape[-len(dims) :] == dims:
            return self.apply_nd(x, adjoint)
        size = math.prod(dims)
        if x.ndim == 0 or x.shape[-1] != size:
            raise self._wrong_shape(x, adjoint)
        batch = x.shape[:-1]
        out = self.apply_nd(x.reshape((*batch, *dims)), adjoint)
        return out.reshape((*batch, math.prod(self.dims if adjoint else self.dimsd)))

    def apply_nd(self, x: Tensor, adjoint: bool = False) -> Tensor:
        """Return ``A x`` or ``A^H x`` for a tensor ``(*batch, *dims)`` or ``(*batch, *dimsd)``, unchecked.

        Operators and solvers call each other by this method: no arrays, no flattening, no hooks. It uses the fast
        kernel if that is safe, and the differentiable kernel otherwise.

        Args:
            x: The models or, with ``adjoint``, the data.
            adjoint: Apply the adjoint.

        Raises:
            TypeError: If ``x`` holds integers, or complex numbers while the operator takes real models.
            ValueError: If the result has another shape than the operator declares.
        """
        if not (x.is_floating_point() or x.is_complex()):
            raise TypeError(
                f"{self.name_and_type} takes floating-point or complex tensors, got {x.dtype}: "
                "cast it first, for example with x.to(torch.float64)"
            )
        if self.real_model and not adjoint and x.is_complex():
            raise TypeError(
                f"{self.name_and_type} takes real models, got {x.dtype}: its imaginary part would be lost. "
                "Pass x.real, or build the operator for complex models."
            )
        if (
            self._has_fast_kernels
            and not torch.compiler.is_compiling()
            and x.numel() * self._work >= autograd.FAST_FROM
        ):
            result = autograd.run_fast(self, x, adjoint)
            if result is not None:
                return result
        if x.dtype in HALF_PRECISIONS:
            return self._run_half(x, adjoint)
        out = self._run_adjoint(x) if adjoint else self._forward(x)
        wanted = self.dims if adjoint else self.dimsd
        if out.shape[-len(wanted) :] != wanted:
            side, what = ("_adjoint", "dims") if adjoint else ("_forward", "dimsd")
            raise ValueError(
                f"{side} of {self.name_and_type} gave {tuple(out.shape)} for an input of {tuple(x.shape)}: it must "
                f"give (*batch, {', '.join(map(str, wanted))}), where {what} is {wanted}"
            )
        return out

    def _run_adjoint(self, y: Tensor) -> Tensor:
        x = self._adjoint(y)
        return real_part(x) if self.real_model else x  # under Re<.,.> the adjoint of a map from real models is real

    def _run_half(self, x: Tensor, adjoint: bool) -> Tensor:
        try:
            return self._run_adjoint(x) if adjoint else self._forward(x)
        except RuntimeError as error:
            if self.name_and_type in str(error):
                raise
            raise TypeError(
                f"{self.name_and_type} does not support {x.dtype} on this device, because torch lacks a kernel: "
                f"cast its input, for example with x.float(). torch says: {error}"
            ) from error

    def _through_arrays(self, x: Any, apply: Callable[[Tensor], Tensor]) -> Any:
        if type(x) is np.ndarray and is_shared(x):
            return to_numpy(without_gradients(apply, torch.from_numpy(x)))
        tensor, back = from_array(x, self.name_and_type)
        return back(without_gradients(apply, tensor))

    def _wrong_shape(self, x: Any, adjoint: bool) -> ValueError:
        dims = self.dimsd if adjoint else self.dims
        name = f"{self.name_and_type}.H" if adjoint else self.name_and_type
        nd = ", ".join(map(str, dims))
        flat = "" if len(dims) == 1 else f" or flattened (*batch, {math.prod(dims)})"
        return ValueError(
            f"{name} takes (*batch, {nd}){flat}, got {tuple(x.shape)}. "
            "Batch axes come first; the matrix product A @ x takes columns last."
        )

    # -- the operator as a matrix ----------------------------------------------------------------------------

    def _matrix_product(self, x: Any, adjoint: bool) -> Any:
        if not isinstance(x, Tensor):
            return self._through_arrays(x, lambda tensor: self._matrix_product(tensor, adjoint))
        dims = self.dimsd if adjoint else self.dims
        size = math.prod(dims)
        shape = tuple(x.shape)
        if shape in (dims, (size,)):
            return self._apply_to(x, adjoint)
        if shape[:-1] == dims:
            return self.apply_nd(x.movedim(-1, 0), adjoint).movedim(0, -1).contiguous()
        if x.ndim == 2 and shape[0] == size:
            out = self._apply_to(x.mT, adjoint)
            return out.reshape(x.shape[1], math.prod(self.dims if adjoint else self.dimsd)).mT.contiguous()
        one = f"({size},)" if len(dims) == 1 else f"({size},) or {dims}"
        several = f"({size}, K)" if len(dims) == 1 else f"({size}, K) or ({', '.join(map(str, dims))}, K)"
        raise ValueError(
            f"{self.name_and_type}{'.H' if adjoint else ''} @ x takes x of shape {one}, or several as columns, "
            f"{several}; got {shape}. For leading batch axes, use A(x)."
        )

    def matvec(self, x: Any) -> Any:
        """Return ``A x`` for a vector ``(N,)`` or a column ``(N, 1)``."""
        return self._flat_product("matvec", x, adjoint=False)

    def rmatvec(self, y: Any) -> Any:
        """Return ``A^H y`` for a vector ``(M,)`` or a column ``(M, 1)``."""
        return self._flat_product("rmatvec", y, adjoint=True)

    def matmat(self, x: Any) -> Any:
        """Return ``A X`` for a matrix ``(N, K)``."""
        return self._flat_product("matmat", x, adjoint=False)

    def rmatmat(self, y: Any) -> Any:
        """Return ``A^H Y`` for a matrix ``(M, K)``."""
        return self._flat_product("rmatmat", y, adjoint=True)

    def _flat_product(self, method: str, x: Any, adjoint: bool) -> Any:
        if x.ndim == 1 and method.endswith("vec"):
            small = self._of_small(x, adjoint)
            if small is not None:
                return small.reshape(-1)
        rows, columns = self.shape
        size, size_out = (rows, columns) if adjoint else (columns, rows)
        if method.endswith("vec"):
            is_right, wanted = tuple(x.shape) in ((size,), (size, 1)), f"({size},) or ({size}, 1)"
        else:
            is_right, wanted = x.ndim == 2 and x.shape[0] == size, f"({size}, K)"
        if not is_right:
            raise ValueError(f"{method} of {self.name_and_type} takes {wanted}, got {tuple(x.shape)}")
        if not isinstance(x, Tensor):
            return self._through_arrays(x, lambda tensor: self._flat_product(method, tensor, adjoint))
        dims = self.dimsd if adjoint else self.dims
        if x.ndim == 1:
            return self.apply_nd(x.reshape(dims), adjoint).reshape(size_out)
        return self.apply_nd(x.mT.reshape(x.shape[1], *dims), adjoint).reshape(x.shape[1], size_out).mT.contiguous()

    @overload
    def todense(self, backend: Literal["numpy"] = "numpy") -> NDArray[Any]: ...

    @overload
    def todense(self, backend: Literal["torch"]) -> Tensor: ...

    def todense(self, backend: Literal["numpy", "torch"] = "numpy") -> NDArray[Any] | Tensor:
        """Return the matrix of the operator: a NumPy array or, with ``backend="torch"``, a differentiable tensor."""
        if backend not in ("numpy", "torch"):
            raise ValueError(f"backend must be 'numpy' or 'torch', got {backend!r}")
        device = self._device() or ("cpu" if backend == "numpy" else None)
        dtype = self._torch_dtype()
        rows, columns = self.shape
        if rows < columns and self.clinear and not self.real_model:
            units = torch.eye(rows, dtype=dtype, device=device)
            matrix = self.apply_nd(units.reshape(rows, *self.dimsd), True).reshape(rows, columns).conj()
        else:
            dtype = real_dtype(dtype) if self.real_model else dtype
            units = torch.eye(columns, dtype=dtype, device=device)
            matrix = self.apply_nd(units.reshape(columns, *self.dims), False).reshape(columns, rows).mT
        matrix = matrix.resolve_conj().contiguous()
        return matrix if backend == "torch" else to_numpy(matrix)

    def tosparse(self) -> csr_matrix:
        """Return the matrix of the operator as a SciPy CSR matrix."""
        from scipy.sparse import csr_matrix

        return csr_matrix(self.todense())

    # -- attributes ------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix, ``(prod(dimsd), prod(dims))``."""
        return math.prod(self.dimsd), math.prod(self.dims)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the operator, as SciPy and PyLops code expect it. It is a label: nothing is cast to it."""
        return numpy_dtype(self._torch_dtype())

    def _torch_dtype(self) -> torch.dtype:
        dtypes = [] if self._declared_dtype is None else [self._declared_dtype]
        dtypes += [t.dtype for t in self._own_tensors() if t.is_floating_point() or t.is_complex()]
        return promote(dtypes)

    def _own_tensors(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, name) for name in self._tensor_names)

    def _held_tensors(self) -> tuple[Tensor, ...]:
        """Return all tensors, including indices; faster than ``_all_tensors`` for an operator without submodules."""
        if self._modules:
            return self._all_tensors()
        return tuple(t for t in (*self._parameters.values(), *self._buffers.values()) if t is not None)

    def _all_tensors(self) -> tuple[Tensor, ...]:
        return (*self.parameters(), *self.buffers())

    def _device(self) -> torch.device | None:
        """Return the device of the tensors of this operator; None, the default device, if it has none."""
        tensors = self._all_tensors()
        return tensors[0].device if tensors else None

    def _given_tensors(self) -> list[Tensor]:
        """Return the floating-point and complex tensors that this operator and its parts were built from.

        They take part in the type promotion of the result; constants made from arrays and numbers do not.
        """
        given: list[Tensor] = []
        for module in self.modules():
            if isinstance(module, Contract):
                given += module._own_tensors()
            else:
                given += [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        return [tensor for tensor in given if tensor.is_floating_point() or tensor.is_complex()]

    @property
    def name_and_type(self) -> str:
        """The name of this operator in error messages."""
        return type(self).__name__ if self.name is None else f"{type(self).__name__} '{self.name}'"

    def expression(self) -> str:
        """Return the composition as a Python expression."""
        return f"{type(self).__name__}({self.extra_repr()})"

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"<{rows}x{columns} {self.expression()}: {self.dims} -> {self.dimsd}, {self.dtype}>"

    # -- the module ------------------------------------------------------------------------------------------

    def _apply(self: _Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> _Self:
        """Move or cast the tensors. Unlike in ``nn.Module``, complex ones stay complex and integers stay integers."""

        def keep_field(tensor: Tensor) -> Tensor:
            if tensor.is_complex():
                parts = fn(torch.view_as_real(tensor))
                if parts.dtype == torch.bfloat16:
                    raise TypeError(
                        f"{self.name_and_type} has complex tensors, and bfloat16 has no complex counterpart: "
                        "cast it to float16, float32 or float64"
                    )
                return fn(tensor) if parts.is_complex() else torch.view_as_complex(parts)
            moved = fn(tensor)
            if not tensor.is_floating_point() and moved.dtype != tensor.dtype:
                return tensor.to(moved.device)
            return moved

        super()._apply(keep_field, recurse)  # type: ignore[no-untyped-call]
        if self._declared_dtype is not None:
            is_complex = self._declared_dtype.is_complex
            cast = fn(torch.empty(1, dtype=real_dtype(self._declared_dtype), device="cpu")).dtype
            self._declared_dtype = complex_dtype(cast) if is_complex else cast
        return self


def _is_called_by_scipy() -> bool:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") == nn.Module.__module__:
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__", "").startswith("scipy.sparse.linalg.")


_Module = TypeVar("_Module", bound=nn.Module)


def _with_tensors_of(module: _Module) -> _Module:
    view = object.__new__(type(module))
    parts = {name: part and _with_tensors_of(part) for name, part in module._modules.items()}
    vars(view).update(vars(module), _parameters={**module._parameters}, _buffers={**module._buffers}, _modules=parts)
    return view
