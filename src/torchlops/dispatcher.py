"""Foreign operators as one operator of torch's dispatcher, differentiated exactly in every mode.

A foreign operator is an opaque pair of functions on NumPy arrays. The dispatcher operator
``torchlops::apply`` calls it by key; its shape and dtype rule depends on its arguments alone (so that a compiled
or exported program never looks an operator up), its batching rule moves the mapped axis to the front, where
the foreign operator takes any number of batch axes, and its autograd rule is that of a linear map: the
backward is the adjoint, the forward derivative is the operator itself. A plain ``autograd.Function`` around
NumPy would bake its results as constants into traced programs; ``torch.library.custom_op`` would lose
forward-mode tangents. Where torch has lost the private names that this takes (``torch_internals.py``), a public
Function stands in that raises where it would be wrong.
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
    """What the dispatcher calls: an opaque linear map on plain tensors ``(batch, *dims)``, any dtype."""

    origin: str
    """The same for all copies of a map, different for others."""

    def evaluate(self, x: Tensor, adjoint: bool) -> Tensor: ...


_foreign: weakref.WeakValueDictionary[str, Foreign] = weakref.WeakValueDictionary()
_named: dict[str, weakref.WeakValueDictionary[str, Foreign]] = {}
_locks: weakref.WeakKeyDictionary[Foreign, threading.RLock] = weakref.WeakKeyDictionary()


def register(function: Foreign, name: str | None = None) -> str:
    """Enter ``function`` for as long as it lives, and return its key, which no other function ever has.

    Args:
        function: The map.
        name: A further key, for programs of other processes. Copies of a map share it.
    """
    key = uuid.uuid4().hex
    _foreign[key] = function
    _locks[function] = threading.RLock()
    if name is not None:
        _named.setdefault(name, weakref.WeakValueDictionary())[key] = function
    return key


def _after_fork() -> None:
    for function in list(_locks):  # a thread of the parent may have held one
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
            f"the foreign operator {key!r} is not in this process: it has been deleted, or this is an exported or "
            "cached program of another process. Build the operator and compile or export again."
        )
    if len(named) > 1:
        gc.collect()  # deleted ones may lie in reference cycles
        named = _functions_named(key)
    if len(named) > 1:
        raise RuntimeError(
            f"{len(named)} foreign operators of this process have the key {key!r}, and a program that names it could "
            "mean any of them: give each its own key, or delete all but one (torch keeps one that was compiled or "
            "exported until torch.compiler.reset())."
        )
    return named[0]


def _functions_named(name: str) -> list[Foreign]:
    """Return the functions of one name, copies but once."""
    functions = list(_named.get(name, {}).values())
    return list({function.origin: function for function in reversed(functions)}.values())


def _evaluate(
    x: Tensor, key: str, adjoint: bool, ndim: int, dims_out: list[int], dims_in: list[int], dtype: torch.dtype
) -> Tensor:
    function = _lookup(key)
    batch = x.shape[: x.ndim - ndim]
    if x.numel() == 0:
        return x.new_empty((*batch, *dims_out), dtype=dtype)
    with _locks[function]:
        out = function.evaluate(x.reshape((batch.numel(), *dims_in)), adjoint)
    if out.is_complex() and not dtype.is_complex:  # of a real model: the adjoint under Re<.,.>
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
        """The derivative rule of a linear map, at one level of autograd; the outer levels dispatch again."""

        @staticmethod
        def forward(ctx: Any, x: Tensor, arguments: tuple[Any, ...], keyset: Any) -> Tensor:
            ctx.arguments, ctx.x_dtype = arguments, x.dtype
            ctx.function = _foreign.get(arguments[0])  # alive until backward, even where nobody else holds it
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


class _PublicLinear(torch.autograd.Function):  # pragma: no cover - only where torch lost its private names
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
            "this version of torch lacks what compiling a foreign operator exactly takes: leave it out of the "
            "compiled function (torch.compiler.disable), or use a native operator"
        )
    public: Tensor = _PublicLinear.apply(x, arguments)  # type: ignore[no-untyped-call]  # pragma: no cover
    return public  # pragma: no cover
