"""Functions from elsewhere: opaque linear maps on NumPy (CuPy, JAX) arrays, with the derivatives of linear maps."""

from __future__ import annotations

import functools
import math
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.dlpack import from_dlpack

from torchlops.arrays import DType, numpy_dtype, real_dtype, torch_dtype
from torchlops.dispatcher import apply_foreign, register
from torchlops.torch_internals import is_wrapped


class Source(Protocol):
    """A foreign linear map on arrays ``(batch, *dims)``."""

    def __call__(self, x: Any, adjoint: bool) -> Any:
        """Return the data (or, adjoint, the models) of a batch of models (data)."""


class ForeignFunction:
    """An opaque linear map with its adjoint: NumPy, CuPy or JAX code, a compiled library, a simulator.

    It is called on tensors ``(*batch, *dims)``. The derivative is that of a linear map, in every mode: the backward
    pass applies the adjoint, the forward mode the map. Arrays are handed over on the CPU (``device="cpu"``) or on the
    GPU (``device="cuda"``, as CuPy arrays); a tensor from elsewhere is moved there and back, with one warning. Calls
    are serialised by a lock, since foreign objects are seldom re-entrant. A real map gets the two parts of a complex
    input one after the other.

    Args:
        source: The map on a batch of arrays.
        dims: Shape of one model.
        dimsd: Shape of one data.
        dtype: Type of the map's numbers.
        clinear: False where the map is linear over the real numbers only.
        real_model: True where it takes real models only.
        name_and_type: How errors call it.
        device: Where the foreign code computes, ``"cpu"`` or ``"cuda"``.
        key: A name under which a program exported by one process finds the map in another.

    Raises:
        RuntimeError: when called while the foreign code closes over a tensor that requires a gradient, which
            would be lost.
        TypeError: when a complex result contradicts a real ``dtype``.
    """

    def __init__(
        self,
        source: Source,
        dims: tuple[int, ...],
        dimsd: tuple[int, ...],
        dtype: DType,
        clinear: bool,
        real_model: bool,
        name_and_type: str,
        device: str = "cpu",
        key: str | None = None,
    ) -> None:
        self.source, self.dims, self.dimsd, self.dtype = source, dims, dimsd, torch_dtype(dtype)
        self.clinear, self.real_model, self.name_and_type = clinear, real_model, name_and_type
        self.device = torch.device({"gpu": "cuda"}.get(device, device))
        self._fixed_key = key
        self._key = register(self, key)
        self._has_warned = False

    def __call__(self, x: Tensor, adjoint: bool, dtype: torch.dtype) -> Tensor:
        """Apply the map or its adjoint; the result has the type to which ``dtype`` and that of ``x`` promote."""
        dims, dims_out = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        if adjoint and x.is_complex() and not self.clinear and not self.dtype.is_complex:
            raise TypeError(f"{self.name_and_type}.H takes real data, got {x.dtype}: give it y.real")
        dtype = torch.promote_types(x.dtype, dtype)
        if adjoint and self.real_model:
            dtype = real_dtype(dtype)
        return apply_foreign(x, self._key, adjoint, len(dims), dims_out, dims, dtype)

    def evaluate(self, x: Tensor, adjoint: bool) -> Tensor:
        """Apply the foreign code to a plain tensor ``(batch, *dims)``."""
        for tensor in captured_tensors(self.source):
            if tensor.requires_grad or is_wrapped(tensor):
                raise RuntimeError(
                    f"{self.name_and_type} closes over a tensor {tuple(tensor.shape)} that requires a gradient, "
                    "which would be lost in foreign code. Detach it, or write the operator in torch "
                    "(a subclass of LinearOperator with _forward)."
                )
        if x.device.type != self.device.type:
            self._warn_once(x.device)
            x = x.to(self.device)
        x = x.detach().resolve_conj().resolve_neg()
        if x.dtype in (torch.bfloat16, torch.float16):
            x = x.float()
        if x.is_complex() and self.clinear and not self.dtype.is_complex:
            return torch.complex(
                self._call_source(x.real.contiguous(), adjoint), self._call_source(x.imag.contiguous(), adjoint)
            )
        return self._call_source(x, adjoint)

    def _call_source(self, x: Tensor, adjoint: bool) -> Tensor:
        given = x.numpy() if x.is_cpu else _cupy().from_dlpack(x)
        result = self.source(given, adjoint)
        if x.is_cpu:
            result = np.asarray(result)
            if np.may_share_memory(result, given) or not result.flags.writeable or min((0, *result.strides)) < 0:
                result = result.copy()
            out = torch.from_numpy(result)
        else:
            out = from_dlpack(result)
        dims = self.dims if adjoint else self.dimsd
        name = f"the {'adjoint' if adjoint else 'forward'} of {self.name_and_type}"
        if out.numel() != x.shape[0] * math.prod(dims):
            raise ValueError(f"{name} returned shape {tuple(out.shape[1:])}, where {dims} was declared")
        if out.is_complex() and not (x.is_complex() or self.dtype.is_complex):
            raise TypeError(
                f"{name} returned {out.dtype}, where dtype {numpy_dtype(self.dtype)} was declared: "
                "declare a complex dtype"
            )
        return out.reshape((x.shape[0], *dims)).contiguous()  # as the shape rule promises

    def _warn_once(self, device: torch.device) -> None:
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"{self.name_and_type} computes on {self.device.type}: tensors on {device} are moved there and back",
                stacklevel=2,
            )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_key"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._key = register(self, self._fixed_key)


class MatrixProducts:
    """A PyLops or SciPy operator: its ``matmat`` and ``rmatmat`` on the whole batch as columns."""

    def __init__(self, operator: Any) -> None:
        self.operator = operator

    def __call__(self, x: Any, adjoint: bool) -> Any:
        """Apply to a batch."""
        rows = x.reshape(len(x), x[0].size)
        if len(x) == 1:
            return (self.operator.rmatvec if adjoint else self.operator.matvec)(rows[0])[None]
        return (self.operator.rmatmat if adjoint else self.operator.matmat)(rows.T).T

    def __repr__(self) -> str:
        return type(self.operator).__name__


class PairOfFunctions:
    """A forward and an adjoint function on one array at a time."""

    def __init__(self, forward: Callable[[Any], Any], adjoint: Callable[[Any], Any] | None) -> None:
        self.functions = forward, adjoint

    def __call__(self, x: Any, adjoint: bool) -> Any:
        """Apply to a batch, sample by sample: one sample is all that such a function takes."""
        function = self.functions[adjoint]
        if function is None:
            raise NotImplementedError(
                f"{self.functions[0]!r} was given without its adjoint, which backward and A.H take: give both"
            )
        return np.stack([np.asarray(function(sample)) for sample in x])

    def __repr__(self) -> str:
        return getattr(self.functions[0], "__name__", type(self.functions[0]).__name__)


class FlatMethods:
    """The methods ``_matvec`` and ``_rmatvec`` of an operator written for PyLops, on flat vectors."""

    def __init__(self, operator: Any) -> None:
        self.operator = operator

    def __call__(self, x: Any, adjoint: bool) -> Any:
        """Apply to a batch, vector by vector: one is all that such a method takes."""
        name = "_rmatvec" if adjoint else "_matvec"
        method = getattr(self.operator, name, None)
        if method is None:
            raise NotImplementedError(f"{type(self.operator).__name__} does not define {name}")
        return np.stack([np.asarray(method(sample.ravel())) for sample in x])

    def __repr__(self) -> str:
        return type(self.operator).__name__


class JaxFunction:
    """A linear JAX function and its transpose, by ``jax.linear_transpose``, on a batch by ``jax.vmap``."""

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
        """Apply to a batch; arrays cross by DLPack."""
        wanted = self.dtype_out if adjoint else self.dtype
        if x.dtype != wanted:
            if np.promote_types(x.dtype, wanted) != wanted:
                raise TypeError(
                    f"the JAX function was declared for {wanted}, got {x.dtype}: cast the input, or declare dtype "
                    f"'{x.dtype}' (64-bit types need jax.config.update('jax_enable_x64', True))"
                )
            x = x.astype(wanted)
        jax = _jax()
        result = self._compiled[adjoint](jax.numpy.from_dlpack(np.ascontiguousarray(x)))
        return np.from_dlpack(result)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_compiled"}

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


_HOLDS_NO_TENSOR = {type(None), bool, int, float, complex, str, bytes, np.ndarray, np.dtype, type, types.ModuleType}


def captured_tensors(thing: Any, depth: int = 5) -> Iterator[Tensor]:
    """Yield the tensors that ``thing`` (a function, a method, a partial, an object) closes over."""
    seen = {id(thing)}
    level = [thing]
    for _ in range(depth):
        inner = []
        for item in level:
            kind = type(item)
            if kind in _HOLDS_NO_TENSOR or isinstance(item, type | np.dtype):
                continue
            if isinstance(item, Tensor):
                yield item
            elif isinstance(item, nn.Module):
                yield from item.parameters()
                yield from item.buffers()
                yield from (value for value in vars(item).values() if isinstance(value, Tensor))
            else:
                inner += [part for part in _inside(item) if type(part) not in _HOLDS_NO_TENSOR]
        level = []
        for part in inner:
            if id(part) not in seen:
                seen.add(id(part))
                level.append(part)
        if not level:
            return


def _inside(thing: Any) -> Any:
    if isinstance(thing, types.FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or () if _is_filled(cell)]
        named = [thing.__globals__.get(name) for name in thing.__code__.co_names]
        return [
            *cells,
            *(thing.__defaults__ or ()),
            *(value for value in named if isinstance(value, Tensor | nn.Module)),
        ]
    if isinstance(thing, types.MethodType):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, tuple | list):
        return thing
    if isinstance(thing, dict):
        return thing.values()
    return getattr(thing, "__dict__", {}).values()


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  (reading it is the test)
    except ValueError:
        return False
    return True


def _jax() -> Any:
    try:
        import jax
    except ImportError:
        raise ImportError("a JAX function as an operator needs JAX: pip install jax") from None
    return jax


def _cupy() -> Any:
    try:
        import cupy
    except ImportError:
        raise ImportError("a foreign operator on the GPU computes on CuPy arrays: pip install cupy-cuda12x") from None
    return cupy
