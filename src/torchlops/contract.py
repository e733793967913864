"""The base class of operators: what a subclass defines, and the shapes, arrays, dtypes and modules derived from it."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeVar, overload

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
    is_dtype,
    is_shared,
    promote,
    real_dtype,
    real_part,
    to_numpy,
    torch_dtype,
)
from torchlops.attributes import OTHER_WAY, Attributes
from torchlops.config import get_ndarray_multiplication
from torchlops.extras import import_extra
from torchlops.foreignfunction import FlatMethods, ForeignFunction, MatrixProducts, Source
from torchlops.shapes import Dims, as_dims
from torchlops.torch_internals import without_gradients

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_Self = TypeVar("_Self", bound="Contract")


class Contract(Attributes):
    """A linear map and its adjoint as a PyTorch module: the methods that a subclass defines, and how they are applied.

    Derive from :class:`~torchlops.LinearOperator`, which adds the algebra and documents the arguments.
    """

    _has_fast_kernels = False
    _is_fast_anywhere = False  # whether the fast kernels run on all devices, since they need less memory
    _is_fast_without_autocast = False  # whether autocast, which changes nothing in the others, is off in fast kernels
    _has_tensor_gradients = False  # whether the fast kernels run also where a tensor of the operator learns
    _has_kernels = False
    _tensor_names: tuple[str, ...] = ()
    _constant_names: tuple[str, ...] = ()  # further tensors that a user knows by name: constants made from arrays
    _fixed_names: tuple[str, ...] = ()  # those of them from which tables were computed
    _options_of_ours: ClassVar[frozenset[str]] = frozenset()  # arguments of a constructor of ours, which cannot be set
    _has_array_kernel = False
    _calls_others = False  # whether the array kernel calls other operators, or foreign code
    _function: ForeignFunction | None = None  # set if the kernels are foreign
    _work = 1  # approximate number of operations per sample of the input

    def __init__(
        self,
        dims: Dims | None = None,
        dimsd: Dims | None = None,
        dtype: DType | None = None,
        clinear: bool | None = None,
        real_model: bool = False,
        name: str | None = None,
        shape: tuple[int, int] | None = None,
        explicit: bool | None = None,
        forceflat: bool | None = None,
        Op: Any = None,
    ) -> None:
        if is_dtype(dimsd) or (dims is None and dimsd is None and isinstance(dtype, tuple | list)):
            dims, dimsd, dtype, shape = self._in_the_order_of_pylops(dims, dimsd, dtype, shape, clinear, real_model)
        if hasattr(dims, "matvec"):  # where PyLops takes Op
            Op, dims = dims, None
        if Op is not None:
            self.Op = Op
            shape = Op.shape if shape is None else shape
            dims = getattr(Op, "dims", shape[1]) if dims is None else dims
            dimsd = getattr(Op, "dimsd", shape[0]) if dimsd is None else dimsd
            dtype = Op.dtype if dtype is None else dtype
            clinear = getattr(Op, "clinear", True) if clinear is None else clinear
            real_model = real_model or getattr(Op, "real_model", False)
            forceflat = getattr(Op, "forceflat", None) if forceflat is None else forceflat
            name = getattr(Op, "name", None) if name is None else name
        if shape is not None:
            dims, dimsd = shape[1] if dims is None else dims, shape[0] if dimsd is None else dimsd
        if dims is None and not self._dims and not self._has_flat_methods:  # nor set by the class before, or after
            raise ValueError(f"{type(self).__name__} needs dims (the shape of one model) or shape (rows, columns)")
        self._dims = self._dims if dims is None else as_dims(dims)
        self._dimsd = (self._dimsd or self._dims) if dimsd is None else as_dims(dimsd, "dimsd")
        if shape is not None and self.shape != tuple(shape):
            raise ValueError(
                f"{type(self).__name__}: shape={tuple(shape)} is not that of dims={self.dims}, dimsd={self.dimsd}, "
                f"which is {self.shape}"
            )
        self._clinear = self._clinear if clinear is None else bool(clinear)
        self.real_model = real_model
        self.name = name
        if explicit is not None:
            self.explicit = explicit
        if forceflat is not None:
            self.forceflat = forceflat
        if dtype is not None:
            self._declared_dtype, self._dtype_that_was_set = torch_dtype(dtype), None
        self._is_constructed = True
        self._build()

    def _in_the_order_of_pylops(
        self, Op: Any, dtype: Any, shape: Any, second_shape: Any, *others: Any
    ) -> tuple[Any, None, Any, Any]:
        """Return dims, dimsd, dtype and shape, given Op, dtype and shape in their places, where PyLops has them."""
        is_op, is_shape = Op is None or hasattr(Op, "matvec"), shape is None or isinstance(shape, tuple | list)
        if not (is_op and is_shape and others == (None, False) and (shape is None or second_shape is None)):
            raise TypeError(
                f"{self._class_name()}: the first arguments of LinearOperator are dims, dimsd and dtype; PyLops's are "
                "Op, dtype and shape. Name them: dtype=, and shape= or dims= and dimsd="
            )
        return Op, None, dtype, second_shape if shape is None else shape

    def _build(self) -> None:
        """Note that the operator is complete, if its constructor has run and its shapes are known."""
        self._is_built = self._is_constructed and bool(self._dims and self._dimsd)
        self._refresh_function()

    def _refresh_function(self) -> None:
        if not self._is_built:
            return
        function = self._function
        if function is not None:
            self._take_function(function.source, self._torch_dtype(), str(function.device), function.key)
        elif self._has_flat_methods:
            self._refuse_both_kinds_of_methods()
            self._take_function(FlatMethods(self), self._torch_dtype())
        elif not self._has_kernels and hasattr(self, "Op") and not isinstance(self.Op, Contract):
            self._take_function(MatrixProducts(self.Op), self._torch_dtype())

    def _refuse_both_kinds_of_methods(self) -> None:
        if self._has_kernels:
            raise TypeError(
                f"{type(self).__name__} has _matvec or _rmatvec on flat vectors, but also the kernels _forward and "
                "_adjoint, which are what is applied: keep one kind (the kernels are on tensors (*batch, *dims))"
            )

    def _takes_any_shape(self) -> bool:
        """Whether what is applied flattens what it is given."""
        function = self._function
        return not self._has_kernels and (function is None or isinstance(function.source, FlatMethods | MatrixProducts))

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
        own = [method for method in OTHER_WAY if method in vars(cls)]
        if own:
            raise TypeError(
                f"{cls.__name__} defines {', '.join(own)}, by which the library does not multiply: define _matvec and "
                "_rmatvec (on flat vectors), or _forward (on tensors with batch axes)"
            )
        if cls.__module__.startswith(f"{__package__}."):
            options = _arguments_of(cls) - _arguments_of(Contract)
            cls._options_of_ours = frozenset(o for o in options if not isinstance(getattr(cls, o, None), property))
        if sys.version_info < (3, 11, 4) and "__init__" in vars(cls):  # which show the signature of __new__ instead
            given = inspect.signature(cls.__init__)
            cls.__signature__ = given.replace(parameters=list(given.parameters.values())[1:])  # type: ignore[attr-defined]
        cls._has_fast_kernels = cls._fast_forward is not Contract._fast_forward
        cls._has_tensor_gradients = cls._tensor_gradients is not Contract._tensor_gradients
        cls._has_kernels = cls._forward is not Contract._forward
        cls._has_flat_methods = any(
            getattr(cls, name) is not vars(Attributes)[name] for name in ("_matvec", "_rmatvec")
        )
        defines = cls._array_kernel is not Contract._array_kernel
        cls._has_array_kernel = defines and inherits_array_kernel(cls, Contract)

    # -- defined by subclasses -------------------------------------------------------------------------------

    def _forward(self, x: Tensor, /) -> Tensor:
        """Return ``A x`` for ``x`` of shape ``(*batch, *dims)``."""
        return self._apply_given(x, False)

    def _adjoint(self, y: Tensor, /) -> Tensor:
        """Return ``A^H y`` for ``y`` of shape ``(*batch, *dimsd)``; derived from ``_forward`` by default."""
        if not self._has_kernels:
            return self._apply_given(y, True)
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

    def _apply_given(self, x: Tensor, adjoint: bool) -> Tensor:
        """Apply the foreign function or the operator that this operator was built from."""
        if self._function is not None:
            return self._function(x, adjoint)
        if not self._is_built:
            raise ValueError(
                f"{type(self).__name__} has no shape: give dims (the shape of one model) or shape (rows, columns) to "
                "super().__init__, or set them"
            )
        Op = self._modules.get("Op")
        if not isinstance(Op, Contract):
            raise NotImplementedError(f"{type(self).__name__} must define _forward(self, x)")
        side, out = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        batch = x.shape[: x.ndim - len(side)]
        y: Tensor = Op.apply_nd(x.reshape((*batch, *Op.dimsd)), True) if adjoint else Op(x.reshape((*batch, *Op.dims)))
        return y.reshape((*batch, *out))

    def _fast_forward(self, x: Tensor, /) -> Tensor:
        """Return ``A x`` by a kernel that autograd need not be able to trace; see ``autograd.py``."""
        raise NotImplementedError

    def _fast_adjoint(self, y: Tensor, /) -> Tensor:
        """Return ``A^H y`` by a kernel that autograd need not be able to trace."""
        raise NotImplementedError

    def _tensor_gradients(self, model: Tensor, data: Tensor, /) -> tuple[Tensor, ...]:
        """Return the gradient of ``Re<data, A model>`` by each tensor of the operator, by differentiable operations."""
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

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._tensor_names or name in self._constant_names:
            value = self._replacement(name, value)
        elif name in OTHER_WAY:
            raise AttributeError(f"{self.name_and_type}: {name} cannot be replaced, since products do not call it")
        elif name in self._options_of_ours and self._is_constructed and self._held(name) is None and not _is_ours(1):
            self._refuse_option(name)
        elif isinstance(value, nn.Parameter) and isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)  # nn.Module would register a parameter of that name
            return
        super().__setattr__(name, value)

    def _holds(self, name: str) -> bool:
        """Whether an attribute that is set is one of the operator: a tensor, or what its class defines."""
        is_tensor = name in self._tensor_names or name in self._constant_names
        return is_tensor or self._held(name) is not None or hasattr(type(self), name)

    def _refuse_option(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{self.name_and_type}: {name} is an option of its constructor, from which it was computed: build a new "
            "operator for another one"
        )

    def _replacement(self, name: str, value: Any) -> Any:
        """Return what replaces the tensor ``name`` where ``value``, an array or a tensor, is assigned to it.

        An array becomes a tensor on the same device, and a parameter if the old one was.
        """
        old = self._held(name)
        if value is None or old is None:  # None, or what prunes or reparametrises the tensor
            return value
        if name in self._fixed_names:
            raise AttributeError(
                f"{self.name_and_type}: {name} was given as an array, from which tables were computed. Build a new "
                f"operator, or build this one from a tensor: then {name} may be replaced"
            )
        is_constant = name in self._constant_names
        if is_constant and isinstance(value, Tensor) and value.requires_grad:
            raise AttributeError(
                f"{self.name_and_type}: {name} was given as an array, so it is constant. Build a new operator with a "
                "tensor, which carries gradients"
            )
        tensor = as_tensor(value, f"{self.name_and_type}: {name}", old.dtype)
        if not isinstance(value, Tensor):
            tensor = tensor.to(old.device)
        tensor = self._fitted(name, tensor.to(old.dtype) if is_constant else tensor, old)
        if isinstance(old, nn.Parameter) and not isinstance(value, Tensor):
            return nn.Parameter(tensor.clone(), requires_grad=old.requires_grad)
        return tensor

    def _fitted(self, name: str, tensor: Tensor, old: Tensor) -> Tensor:
        """Return ``tensor`` in the shape of ``old``, from which it may differ by axes of one sample."""
        if tensor.shape == old.shape:
            return tensor
        samples = [n for n in tensor.shape if n > 1]
        if samples == [n for n in old.shape if n > 1] and not isinstance(tensor, nn.Parameter):
            return tensor.reshape(old.shape)
        raise ValueError(
            f"{self.name_and_type}: {name} is of shape {tuple(old.shape)}, and may be replaced by an array of this "
            f"shape, got {tuple(tensor.shape)}: build a new operator for another one"
        )

    def _tensor(self, name: str) -> Tensor:
        """Return a tensor whose attribute may be an array."""
        held = self._held(name)
        tensor: Tensor = getattr(self, name) if held is None else held
        return tensor

    def _held(self, name: str) -> Tensor | None:
        for held in (self._parameters.get(name), self._buffers.get(name), self._buffers.get(f"_{name}")):
            if held is not None:
                return held
        return None

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
            small = self._of_small(x, adjoint) if get_ndarray_multiplication() else None
            if small is None:
                return self._through_arrays(x, lambda tensor: self._matrix_product(tensor, adjoint))
            self._count("matvec")
            return small.reshape(-1) if self.forceflat else small
        dims = self.dimsd if adjoint else self.dims
        size, size_out = math.prod(dims), math.prod(self.dims if adjoint else self.dimsd)
        shape = tuple(x.shape)
        if not get_ndarray_multiplication() and (x.ndim > 2 or (x.ndim == 2 and shape[0] != size)):
            raise ValueError(
                f"{self.name_and_type} can only be applied to 1D vectors ({size},) and 2D matrices ({size}, K) by @ "
                f"while other arrays are disabled, got {shape}: use A(x), or enable them with "
                "torchlops.set_ndarray_multiplication(True)"
            )
        self._count("matvec" if shape in (dims, (size,)) else "matmat")
        is_flat = self.forceflat or not get_ndarray_multiplication()
        if shape in (dims, (size,)):
            y = self._apply_to(x, adjoint)
            return y.reshape(size_out) if is_flat else y
        if shape[:-1] == dims:
            y = self.apply_nd(x.movedim(-1, 0), adjoint).movedim(0, -1).contiguous()
            return y.reshape(size_out, shape[-1]) if is_flat else y
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
        self._count("matvec")
        return self._flat_product("matvec", x, adjoint=False)

    def rmatvec(self, x: Any) -> Any:
        """Return ``A^H x`` for a vector ``(M,)`` or a column ``(M, 1)``."""
        self._count("rmatvec")
        return self._flat_product("rmatvec", x, adjoint=True)

    def matmat(self, X: Any) -> Any:
        """Return ``A X`` for a matrix ``(N, K)``."""
        self._count("matmat")
        return self._flat_product("matmat", X, adjoint=False)

    def rmatmat(self, X: Any) -> Any:
        """Return ``A^H X`` for a matrix ``(M, K)``."""
        self._count("rmatmat")
        return self._flat_product("rmatmat", X, adjoint=True)

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
        sparse = import_extra("scipy.sparse", f"{self.name_and_type}.tosparse")
        return sparse.csr_matrix(self.todense())

    # -- attributes ------------------------------------------------------------------------------------------

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
        for name in ("_declared_dtype", "_dtype_that_was_set"):
            label = getattr(self, name)
            if label is not None:
                cast = fn(torch.empty(1, dtype=real_dtype(label), device="cpu")).dtype
                vars(self)[name] = complex_dtype(cast) if label.is_complex else cast
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


def _arguments_of(kind: type) -> frozenset[str]:
    """Return the names of the arguments of a constructor."""
    code = kind.__init__.__code__  # type: ignore[misc]
    return frozenset(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])


def _is_ours(depth: int) -> bool:
    """Whether code of this library is what calls the caller; ``depth`` counts the functions between."""
    if torch.compiler.is_compiling():
        return True
    return str(sys._getframe(depth + 1).f_globals.get("__name__", "")).startswith(f"{__package__}.")
