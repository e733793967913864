"""Foreign functions: opaque linear maps on NumPy, CuPy or JAX arrays, differentiated as linear maps."""

from __future__ import annotations

import functools
import math
import sys
import uuid
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.dlpack import from_dlpack

from torchlops.arraykernels import Unsuitable, complex_of, real_of_dtype
from torchlops.arrays import HALF_PRECISIONS, PLAIN_DTYPES, DType, complex_dtype, numpy_dtype, real_dtype, torch_dtype
from torchlops.dispatcher import apply_foreign, lock_of, register
from torchlops.extras import import_extra
from torchlops.memory import empty
from torchlops.torch_internals import is_followed, undisturbed
from torchlops.warning import warn


class Source(Protocol):
    """A foreign linear map on arrays ``(batch, *dims)``."""

    def __call__(self, x: Any, adjoint: bool) -> Any:
        """Apply the map to a batch of models or, with ``adjoint``, its adjoint to a batch of data."""


class Named(Protocol):
    """The operator that a foreign function belongs to, which error messages name."""

    @property
    def name_and_type(self) -> str: ...


class ForeignFunction:
    """An opaque linear map with its adjoint: NumPy, CuPy or JAX code, a compiled library, a simulator.

    It is called on tensors ``(*batch, *dims)`` and returns results in the precision of its input. The derivative is
    that of a linear map, in every mode: the backward pass applies the adjoint, forward mode applies the map.

    The foreign code computes in the precision of ``dtype`` or of its input, whichever is higher. It gets its own
    copy of the input, so it may work in place. Its result is copied if anything else may hold the memory. Arrays are
    passed on the CPU (``device="cpu"``) or on the GPU (``device="cuda"``, as CuPy arrays). A tensor on another device
    is moved there and back, with a warning. A lock serialises the calls, since foreign objects are rarely re-entrant.
    A real map is applied to the real and the imaginary part of a complex input in turn.

    Foreign code runs with gradients enabled, on arrays that carry none. So torch refuses to convert a tensor that
    requires a gradient to an array or a number there, wherever that tensor comes from. Call ``detach()`` in the
    foreign code to drop its gradient deliberately.

    Args:
        source: The map on a batch of arrays.
        owner: The operator that it belongs to, named in error messages. Only a weak reference is kept.
        dims: Shape of one model.
        dimsd: Shape of one data.
        dtype: Data type of the map.
        clinear: False if the map is only real-linear.
        real_model: True if the map takes only real models.
        device: Device on which the foreign code computes, ``"cpu"`` or ``"cuda"``.
        key: A name by which a program exported by one process finds the map in another.

    Raises:
        RuntimeError: If the foreign code uses a tensor that requires a gradient.
        TypeError: If the result is complex but ``dtype`` is real.
        ValueError: If the result does not have the declared size.
    """

    def __init__(
        self,
        source: Source,
        owner: Named,
        dims: tuple[int, ...],
        dimsd: tuple[int, ...],
        dtype: DType,
        clinear: bool,
        real_model: bool,
        device: str = "cpu",
        key: str | None = None,
    ) -> None:
        self.source, self.dims, self.dimsd, self.dtype = source, dims, dimsd, torch_dtype(dtype)
        self.clinear, self.real_model = clinear, real_model
        self.device = torch.device({"gpu": "cuda"}.get(device, device))
        self.key = key
        self.origin = uuid.uuid4().hex
        self._key = register(self, key)
        self._owner: Callable[[], Named | None] = weakref.ref(owner)

    def belongs_to(self, owner: Named) -> None:
        """Use the name of ``owner`` in error messages, unless this function already belongs to another operator."""
        if self._owner() is None:
            self._owner = weakref.ref(owner)

    @property
    def name_and_type(self) -> str:
        """The name of this function in error messages."""
        owner = self._owner()
        return repr(self.source) if owner is None else owner.name_and_type

    def __call__(self, x: Tensor, adjoint: bool) -> Tensor:
        """Apply the map or its adjoint; the result has the precision of ``x``."""
        dims, dims_out = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        if adjoint and x.is_complex() and not self.clinear and not self.dtype.is_complex:
            raise TypeError(f"{self.name_and_type}.H takes real data, got {x.dtype}: pass y.real")
        dtype = real_dtype(x.dtype)
        if (x.is_complex() or self.dtype.is_complex) and not (adjoint and self.real_model):
            dtype = complex_dtype(dtype)
        # An exported program may be loaded by another process, which finds the function by its user-given name.
        key = self._key if self.key is None or not torch.compiler.is_exporting() else self.key
        return apply_foreign(x, key, adjoint, len(dims), dims_out, dims, dtype)

    def evaluate(self, x: Tensor, adjoint: bool) -> Tensor:
        """Apply the foreign code to a plain tensor ``(batch, *dims)``."""
        if x.device.type != self.device.type or self.device.index not in (None, x.device.index):
            warn(
                f"{self.name_and_type} computes on {self.device}: tensors on {x.device} are moved there and back",
            )
        x = x.detach()
        precision = torch.promote_types(real_dtype(x.dtype), real_dtype(self.dtype))
        if precision in HALF_PRECISIONS:  # NumPy lacks bfloat16, most foreign code lacks both
            precision = torch.float32
        if x.is_complex() and self.clinear and not self.dtype.is_complex:
            return torch.complex(
                self._call_source(x.real, adjoint, precision), self._call_source(x.imag, adjoint, precision)
            )
        return self._call_source(x, adjoint, complex_dtype(precision) if x.is_complex() else precision)

    def of_array(self, x: np.ndarray[Any, Any], adjoint: bool) -> np.ndarray[Any, Any]:
        """Return what :meth:`__call__` returns for an array ``(*batch, *dims)``.

        Raises:
            Unsuitable: If the foreign code takes or gives anything but arrays of the expected kind.
        """
        dims, dims_out = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        is_complex, takes_complex = x.dtype.kind == "c", self.dtype.is_complex
        own = numpy_dtype(real_dtype(self.dtype))
        if self.device.type != "cpu" or self.dtype in HALF_PRECISIONS or (is_complex and not takes_complex):
            raise Unsuitable
        if not torch.is_grad_enabled():  # foreign code runs with gradients enabled, see above
            raise Unsuitable
        precision = real_of_dtype(x.dtype)
        given = np.promote_types(precision, own)
        batch = x.shape[: x.ndim - len(dims)]
        # Always a copy: nothing else keeps code in other languages from writing into the caller's array.
        copied = np.array(x, complex_of(given) if is_complex else given, order="C").reshape((math.prod(batch), *dims))
        with lock_of(self):
            y = self._run_watched(copied, adjoint)
        if y.size != math.prod(batch) * math.prod(dims_out) or y.dtype not in PLAIN_DTYPES:
            raise Unsuitable
        dtype = complex_of(precision) if takes_complex and not (adjoint and self.real_model) else precision
        if y.dtype.kind == "c" and dtype.kind != "c":
            if not takes_complex:
                raise Unsuitable
            y = y.real
        return np.ascontiguousarray(y.reshape((*batch, *dims_out)), dtype)

    def _call_source(self, x: Tensor, adjoint: bool, dtype: torch.dtype) -> Tensor:
        name = self._side(adjoint)
        if self.device.type == "cpu":
            # Always a copy: nothing else keeps code in other languages from writing into the caller's tensor.
            result = self._run(empty(x.shape, dtype).copy_(x).numpy(), adjoint)
            try:
                out = torch.from_numpy(result)
            except TypeError:
                raise TypeError(
                    f"{name} returned an array of dtype {result.dtype}, which torch does not support: "
                    "return float32, float64, complex64 or complex128"
                ) from None
        else:
            given = torch.empty(x.shape, dtype=dtype, device=self.device).copy_(x)
            out = from_dlpack(self._run(_cupy().from_dlpack(given), adjoint)).clone()
        dims = self.dims if adjoint else self.dimsd
        if out.numel() != x.shape[0] * math.prod(dims):
            raise ValueError(f"{name} returned shape {tuple(out.shape[1:])}, but {dims} was declared")
        if out.is_complex() and not (x.is_complex() or self.dtype.is_complex):
            raise TypeError(
                f"{name} returned {out.dtype}, but dtype {numpy_dtype(self.dtype)} was declared: "
                "declare a complex dtype"
            )
        return out.reshape((x.shape[0], *dims)).contiguous()  # as the shape rule promises

    def _side(self, adjoint: bool) -> str:
        return f"the {'adjoint' if adjoint else 'forward'} of {self.name_and_type}"

    def _run(self, given: Any, adjoint: bool) -> Any:
        with torch.enable_grad(), undisturbed():
            return self._run_watched(given, adjoint)

    def _run_watched(self, given: Any, adjoint: bool) -> Any:
        try:
            with _NO_HIDDEN_GRADIENTS:
                return owned(self.source(given, adjoint)) if self.device.type == "cpu" else self.source(given, adjoint)
        except (RuntimeError, BufferError) as error:
            if not any(words in str(error) for words in _REFUSALS):
                raise
            raise RuntimeError(
                f"{self._side(adjoint)} uses a tensor that requires a gradient, which would be lost in foreign code. "
                f"Detach the tensor, or write the operator in torch (a subclass of LinearOperator with _forward). "
                f"torch says: {error}"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_key", "_owner")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._key = register(self, self.key)
        self._owner = _nobody  # until its operator, which is restored after its parts, claims it


def _nobody() -> None:
    return None


_REFUSALS = ("requires grad", "require gradient")
"""Parts of the messages by which torch refuses to convert a tensor that requires a gradient to an array."""

_TO_NUMBERS = frozenset(
    getattr(Tensor, name) for name in ("item", "tolist", "__float__", "__int__", "__complex__", "__bool__", "__index__")
)


class _NoHiddenGradients(TorchFunctionMode):
    """Refuses two cases in foreign code that torch lets pass.

    These are to convert a tensor that requires a gradient to a number, about which torch only warns, and to compute
    with a tensor that is tracked by a transform of ``torch.func`` or by forward-mode differentiation.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _TO_NUMBERS and args[0].requires_grad:
            raise RuntimeError("Can't convert a Tensor that requires grad to a number. Use tensor.detach() first.")
        kwargs = kwargs or {}
        for argument in (*args, *kwargs.values()):
            for tensor in argument if isinstance(argument, tuple | list) else (argument,):
                if isinstance(tensor, Tensor) and is_followed(tensor):
                    raise RuntimeError("A torch.func transform, or forward mode, requires gradients of this Tensor.")
        return func(*args, **kwargs)


_NO_HIDDEN_GRADIENTS = _NoHiddenGradients()


def owned(result: Any) -> np.ndarray[Any, Any]:
    """Return the array ``result`` if nothing else can access its memory, else a copy.

    Foreign code may return a buffer that it keeps and reuses, its input, or a view of either. An array is not shared
    if it has no more references than a temporary one, and owns its memory or is a view of an array that does.
    """
    array = np.asarray(result)
    del result
    references, references_of_base = _references(array)
    if not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    is_view = array.base is not None
    owner = array.base if is_view else array
    is_free = (
        type(owner) is np.ndarray
        and owner.flags.owndata
        and array.flags.writeable
        and min((0, *array.strides)) >= 0
        and references <= _REFERENCES_OF_A_FREE_ONE
        and (not is_view or references_of_base <= _REFERENCES_OF_A_FREE_BASE)
    )
    return array if is_free else array.copy()


def _references(array: np.ndarray[Any, Any]) -> tuple[int, int]:
    return sys.getrefcount(array), sys.getrefcount(array.base)


def _references_of(result: Any) -> tuple[int, int]:
    """Return the counts that :func:`owned` takes of ``result``; Python versions differ in what a call adds."""
    array = np.asarray(result)
    del result
    return _references(array)


_REFERENCES_OF_A_FREE_ONE = _references_of(np.empty(1))[0]
_REFERENCES_OF_A_FREE_BASE = _references_of(np.empty(1)[:])[1]


def _apply_to_each(function: Callable[[Any], Any], x: Any) -> Any:
    """Apply a function that takes one sample at a time to a batch."""
    if len(x) == 1:
        return owned(function(x[0]))[None]
    return np.stack([owned(function(sample)) for sample in x])


class MatrixProducts:
    """A PyLops or SciPy operator. Its own ``matmat`` and ``rmatmat``, if any, take the whole batch as columns.

    The default ``matmat`` of both libraries is a loop that collects the results before it copies them, which is wrong
    for an operator that returns a reused buffer.
    """

    def __init__(self, operator: Any) -> None:
        self.operator = operator
        self.has_products = _has_own(operator, "matmat"), _has_own(operator, "rmatmat")

    def __call__(self, x: Any, adjoint: bool) -> Any:
        """Apply to a batch."""
        rows = x.reshape(len(x), x[0].size)
        if len(x) > 1 and self.has_products[adjoint]:
            return (self.operator.rmatmat if adjoint else self.operator.matmat)(rows.T).T
        return _apply_to_each(self.operator.rmatvec if adjoint else self.operator.matvec, rows)

    def __repr__(self) -> str:
        return type(self.operator).__name__


def _has_own(operator: Any, method: str) -> bool:
    """Whether ``operator`` implements products with matrices itself, not by the default loop of SciPy or PyLops."""
    if not hasattr(operator, method):
        return False
    inner = getattr(type(operator), f"_{method}", None)
    if getattr(inner, "__qualname__", "").startswith("_CustomLinearOperator"):  # built by SciPy from functions
        return vars(operator).get(f"_CustomLinearOperator__{method}_impl") is not None
    return getattr(inner, "__qualname__", None) != f"LinearOperator._{method}"


class PairOfFunctions:
    """A forward and an adjoint function on one array at a time."""

    def __init__(self, forward: Callable[[Any], Any], adjoint: Callable[[Any], Any] | None) -> None:
        self.functions = forward, adjoint

    def __call__(self, x: Any, adjoint: bool) -> Any:
        """Apply to a batch."""
        function = self.functions[adjoint]
        if function is None:
            raise NotImplementedError(
                f"Adjoint not implemented: {self.functions[0]!r} was given without its adjoint, which backward and A.H "
                "require: pass both"
            )
        return _apply_to_each(function, x)

    def __repr__(self) -> str:
        return getattr(self.functions[0], "__name__", type(self.functions[0]).__name__)


class FlatMethods:
    """The methods ``_matvec`` and ``_rmatvec`` of an operator written for PyLops, which take flat vectors."""

    def __init__(self, operator: Any) -> None:
        self.operator = operator

    def __call__(self, x: Any, adjoint: bool) -> Any:
        """Apply to a batch."""
        name = "_rmatvec" if adjoint else "_matvec"
        method = getattr(self.operator, name, None)
        if method is None:
            raise NotImplementedError(f"{type(self.operator).__name__} does not define {name}")
        return _apply_to_each(method, x.reshape(len(x), x[0].size))

    def __repr__(self) -> str:
        return type(self.operator).__name__


class JaxFunction:
    """A linear JAX function, transposed by ``jax.linear_transpose`` and batched by ``jax.vmap``."""

    def __init__(self, function: Callable[[Any], Any], dims: tuple[int, ...], dtype: DType) -> None:
        self.function, self.dims, self.dtype = function, dims, np.dtype(dtype)  # type: ignore[arg-type]
        out = _jax().eval_shape(function, self._struct())
        self.dimsd, self.dtype_out = tuple(out.shape), np.dtype(out.dtype)

    def _struct(self) -> Any:
        return _jax().ShapeDtypeStruct(self.dims, self.dtype)

    @functools.cached_property
    def _compiled(self) -> tuple[Any, Any]:
        jax = _jax()
        transpose = jax.linear_transpose(self.function, self._struct())
        return jax.jit(jax.vmap(self.function)), jax.jit(jax.vmap(lambda y: transpose(y.conj())[0].conj()))

    def __call__(self, x: Any, adjoint: bool) -> Any:
        """Apply to a batch; arrays are exchanged by DLPack."""
        wanted = self.dtype_out if adjoint else self.dtype
        if x.dtype != wanted:
            if np.promote_types(x.dtype, wanted) != wanted:
                raise TypeError(
                    f"the JAX function was declared for {wanted}, got {x.dtype}: cast the input, or declare dtype "
                    f"'{x.dtype}' (64-bit types require jax.config.update('jax_enable_x64', True))"
                )
            x = x.astype(wanted)
        jax = _jax()
        result = self._compiled[adjoint](jax.numpy.from_dlpack(x))
        return np.from_dlpack(result)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_compiled"}

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


def _jax() -> Any:
    return import_extra("jax", "a JAX function as an operator")


def _cupy() -> Any:
    try:
        import cupy
    except ImportError:
        raise ImportError("a foreign operator on the GPU requires CuPy: pip install cupy-cuda12x") from None
    return cupy
