"""Foreign operators as one operator of torch's dispatcher, differentiated exactly in every mode.

A foreign operator is an opaque pair of functions on NumPy arrays. The dispatcher operator ``torchlops::apply``
calls it by key. Its shape and dtype rule depends only on its arguments, so compiling or exporting a program never
looks an operator up. Its batching rule moves the mapped axis to the front, since the foreign operator takes any
number of batch axes. Its autograd rule is that of a linear map: the backward is the adjoint, the forward derivative
is the operator itself. A plain ``autograd.Function`` around NumPy would bake its results as constants into traced
programs; ``torch.library.custom_op`` would lose forward-mode tangents. If torch lacks the private names that this
requires (``torch_internals.py``), a public ``Function`` is used instead, which raises where it would be wrong.
"""

from __future__ import annotations

import gc
import os
import threading
import uuid
import weakref
from typing import Any, Protocol

import torch
from torch import Tensor

from torchlops import torch_internals
from torchlops.torch_internals import HAS_SINGLE_LEVEL


class Foreign(Protocol):
    """What the dispatcher calls: an opaque linear map on plain tensors ``(batch, *dims)`` of any dtype."""

    origin: str
    """Identifies the map: the same for all of its copies, different for other maps."""

    def evaluate(self, x: Tensor, adjoint: bool) -> Tensor: ...


_foreign: weakref.WeakValueDictionary[str, Foreign] = weakref.WeakValueDictionary()
_named: dict[str, weakref.WeakValueDictionary[str, Foreign]] = {}
_locks: weakref.WeakKeyDictionary[Foreign, threading.RLock] = weakref.WeakKeyDictionary()


def register(function: Foreign, name: str | None = None) -> str:
    """Register ``function`` for as long as it is alive, and return its unique key.

    Args:
        function: The map.
        name: An additional key, for programs exported by other processes. Copies of a map share it.
    """
    key = uuid.uuid4().hex
    _foreign[key] = function
    _locks[function] = threading.RLock()
    if name is not None:
        _named.setdefault(name, weakref.WeakValueDictionary())[key] = function
    return key


def lock_of(function: Foreign) -> threading.RLock:
    """Return the lock that serialises the calls of ``function``."""
    return _locks[function]


def _after_fork() -> None:
    for function in list(_locks):  # a thread of the parent may have held its lock
        _locks[function] = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _lookup(key: str) -> Foreign:
    function = _foreign.get(key)
    if function is not None:
        return function
    named = _functions_named(key)
    if not named:
        raise RuntimeError(
            f"the foreign operator {key!r} is not in this process: it was deleted, or the program was exported or "
            "cached by another process. Build the operator, then compile or export again."
        )
    if len(named) > 1:
        gc.collect()  # deleted ones may lie in reference cycles
        named = _functions_named(key)
    if len(named) > 1:
        raise RuntimeError(
            f"{len(named)} foreign operators of this process have the key {key!r}, so a program that uses this key is "
            "ambiguous: give each operator its own key, or delete all but one (torch keeps compiled and exported "
            "operators alive until torch.compiler.reset())."
        )
    return named[0]


def _functions_named(name: str) -> list[Foreign]:
    """Return the functions registered under ``name``, one per set of copies."""
    functions = list(_named.get(name, {}).values())
    return list({function.origin: function for function in reversed(functions)}.values())


def _evaluate(
    x: Tensor, key: str, adjoint: bool, ndim: int, dims_out: list[int], dims_in: list[int], dtype: torch.dtype
) -> Tensor:
    function = _lookup(key)
    batch = x.shape[: x.ndim - ndim]
    if x.numel() == 0:
        return x.new_empty((*batch, *dims_out), dtype=dtype)
    with lock_of(function):
        out = function.evaluate(x.reshape((batch.numel(), *dims_in)), adjoint)
    if out.is_complex() and not dtype.is_complex:  # the adjoint under Re<.,.> of a map from real models
        out = out.real
    return out.reshape((*batch, *dims_out)).to(device=x.device, dtype=dtype)


def _shape_rule(
    x: Tensor, _key: str, _adjoint: bool, ndim: int, dims_out: list[int], _dims_in: list[int], dtype: torch.dtype
) -> Tensor:
    return x.new_empty((*x.shape[: x.ndim - ndim], *dims_out), dtype=dtype)


def _batching_rule(_: Any, in_dims: tuple[int | None, ...], x: Tensor, *arguments: Any) -> tuple[Tensor, int]:
    axis = in_dims[0]
    assert axis is not None
    return _apply_op(x.movedim(axis, 0), *arguments), 0


_library: Any = torch.library.Library("torchlops", "DEF")  # type: ignore[no-untyped-call]
_library.define(
    "apply(Tensor x, str key, bool adjoint, int ndim, SymInt[] dims_out, SymInt[] dims_in, ScalarType dtype) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)
_apply_op: Any = torch.ops.torchlops.apply.default
_library.impl(
    "apply", torch_internals.disable_dynamo(_evaluate) if HAS_SINGLE_LEVEL else _evaluate, "CompositeExplicitAutograd"
)
torch.library.register_fake("torchlops::apply", _shape_rule, lib=_library)
torch.library.register_vmap("torchlops::apply", _batching_rule, lib=_library)


def _transposed(ctx: Any, grad: Tensor) -> Tensor:
    key, adjoint, _, dims_out, dims_in, _ = ctx.arguments
    dtype = ctx.x_dtype if ctx.x_dtype.is_complex or not grad.is_complex() else grad.dtype
    result: Tensor = _apply_op(grad, key, not adjoint, len(dims_out), dims_in, dims_out, dtype)
    return result.real.to(ctx.x_dtype) if not ctx.x_dtype.is_complex and result.is_complex() else result


if HAS_SINGLE_LEVEL:

    class _Linear(torch_internals._SingleLevelFunction):
        """The derivative rule of a linear map, at one level of autograd; outer levels dispatch again."""

        @staticmethod
        def forward(ctx: Any, x: Tensor, arguments: tuple[Any, ...], keyset: Any) -> Tensor:
            ctx.arguments, ctx.x_dtype = arguments, x.dtype
            ctx.function = _foreign.get(arguments[0])  # keeps it alive until backward
            with (
                torch.enable_grad(),
                torch_internals._set_fwd_grad_enabled(True),
                torch_internals._AutoDispatchBelowAutograd(),
            ):
                out: Tensor = _apply_op.redispatch(keyset & torch_internals._after_autograd_keyset, x, *arguments)
            return out

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Any:
            return _transposed(ctx, grad), None, None

        @staticmethod
        def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Any:
            return _apply_op(tangent, *ctx.arguments)

    def _autograd(keyset: Any, x: Tensor, *arguments: Any) -> Any:
        with torch_internals.enable_single_level_autograd_function():
            return _Linear.apply(x, arguments, keyset)  # type: ignore[attr-defined]

    _library.impl("apply", _autograd, "Autograd", with_keyset=True)


class _PublicLinear(torch.autograd.Function):  # pragma: no cover - only if torch lacks the private names
    generate_vmap_rule = False

    @staticmethod
    def forward(x: Tensor, arguments: tuple[Any, ...]) -> Any:
        return _apply_op(x, *arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        ctx.x_dtype, ctx.arguments = inputs[0].dtype, inputs[1]
        ctx.function = _foreign.get(inputs[1][0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        key, adjoint, _, dims_out, dims_in, _ = ctx.arguments
        dtype = ctx.x_dtype if ctx.x_dtype.is_complex or not grad.is_complex() else grad.dtype
        result = apply_foreign(grad, key, not adjoint, len(dims_out), dims_in, dims_out, dtype)
        return (result.real if not ctx.x_dtype.is_complex and result.is_complex() else result), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: Any) -> Tensor:
        return apply_foreign(tangent, *ctx.arguments)

    @staticmethod
    def vmap(_: Any, in_dims: tuple[Any, ...], x: Tensor, arguments: tuple[Any, ...]) -> tuple[Tensor, int]:
        return apply_foreign(x.movedim(in_dims[0], 0), *arguments), 0


def apply_foreign(
    x: Tensor,
    key: str,
    adjoint: bool,
    ndim: int,
    dims_out: tuple[int, ...],
    dims_in: tuple[int, ...],
    dtype: torch.dtype,
) -> Tensor:
    """Apply the foreign operator ``key`` to ``x``, whose last ``ndim`` axes are ``dims_in``."""
    arguments = (key, adjoint, ndim, list(dims_out), list(dims_in), dtype)
    if HAS_SINGLE_LEVEL:
        result: Tensor = _apply_op(x, *arguments)
        return result
    if torch.compiler.is_compiling():  # pragma: no cover
        raise RuntimeError(
            "this version of torch cannot compile a foreign operator exactly: exclude it from the compiled function "
            "(torch.compiler.disable), or use a native operator"
        )
    public: Tensor = _PublicLinear.apply(x, arguments)  # type: ignore[no-untyped-call, unused-ignore]  # pragma: no cover
    return public  # pragma: no cover
