"""All private names of torch that the library uses, with fallbacks if they are missing.

Without the first group, fast and array kernels are never used: every operator runs its differentiable kernels.
Without the second, solutions are corrected for two levels of forward mode.
Without the third, gradients are switched off by a public context, which is slower.
Without the fourth, foreign operators fall back to a public ``autograd.Function`` (see ``dispatcher.py``).
Without the compiler's name, ``torchlops info`` cannot say it.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as module_hooks

try:
    from torch._C import _is_any_autocast_enabled, _len_torch_dispatch_stack, _len_torch_function_stack
    from torch._C._functorch import (
        get_unwrapped,
        is_batchedtensor,
        is_functorch_wrapped_tensor,
        is_legacy_batchedtensor,
    )

    _are_transforms_active: Any = torch._C._are_functorch_transforms_active
    forward_ad._current_level  # noqa: B018  (the import is the test)
    _global_hooks: tuple[dict[int, Any], ...] = (
        module_hooks._global_forward_hooks,
        module_hooks._global_forward_pre_hooks,
        module_hooks._global_backward_hooks,
        module_hooks._global_backward_pre_hooks,
    )
    CAN_SEE_MODES = True
except (ImportError, AttributeError):  # pragma: no cover - a torch that moved these names
    CAN_SEE_MODES = False

try:
    from torch._C._functorch import TransformType, get_interpreter_stack

    CAN_COUNT_LEVELS = CAN_SEE_MODES
except (ImportError, AttributeError):  # pragma: no cover
    CAN_COUNT_LEVELS = False

try:
    from torch._C import _set_grad_enabled

    CAN_SET_GRADIENTS = True
except ImportError:  # pragma: no cover
    CAN_SET_GRADIENTS = False

try:
    from torch._C import (
        _after_autograd_keyset,
        _AutoDispatchBelowAutograd,
        _dispatch_tls_local_exclude_set,
        _dispatch_tls_local_include_set,
        _ForceDispatchKeyGuard,
    )
    from torch._functorch.utils import enable_single_level_autograd_function
    from torch.autograd.forward_ad import _set_fwd_grad_enabled
    from torch.autograd.function import _SingleLevelFunction

    disable_dynamo: Any = getattr(torch, "_disable_dynamo")  # noqa: B009
    _UNDISTURBED = _dispatch_tls_local_include_set(), _dispatch_tls_local_exclude_set()
    HAS_SINGLE_LEVEL = True
except (ImportError, AttributeError):  # pragma: no cover
    HAS_SINGLE_LEVEL = False
    disable_dynamo = torch.compiler.disable


P = ParamSpec("P")
R = TypeVar("R")


def uncompiled(reason: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator for functions that ``torch.compile`` excludes from its graphs.

    Args:
        reason: The error message if a graph break is not allowed (``fullgraph=True``).
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        outside = disable_dynamo(function)
        outside._torchdynamo_disable, outside._torchdynamo_disable_msg = True, reason

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if torch.compiler.is_dynamo_compiling():
                result: R = outside(*args, **kwargs)
                return result
            return function(*args, **kwargs)

        return call

    return decorate


def undisturbed() -> Any:
    """Return a context that restores the default state of the dispatcher: autograd tracks, autocast is off.

    A kernel of the dispatcher runs below autograd, where torch would not track gradients.
    """
    return _ForceDispatchKeyGuard(*_UNDISTURBED) if HAS_SINGLE_LEVEL else nullcontext()


def is_plain_eager() -> bool:
    """Whether nothing but eager reverse-mode autograd can be active."""
    return (
        CAN_SEE_MODES
        and not torch.compiler.is_compiling()
        and not _are_transforms_active()
        and forward_ad._current_level < 0
        and not _len_torch_dispatch_stack()
    )


def is_unwatched() -> bool:
    """Whether nothing at all would see or change the calls of torch: as above, and no function mode, no autocast."""
    return is_plain_eager() and not _len_torch_function_stack() and not _is_any_autocast_enabled()


def has_hooks(module: nn.Module) -> bool:
    """Whether calling ``module`` calls hooks."""
    own = vars(module)
    return not CAN_SEE_MODES or bool(
        own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
        or any(_global_hooks)
    )


def without_gradients(function: Callable[[Tensor], R], x: Tensor) -> R:
    """Return ``function(x)`` under ``torch.no_grad()``, whose context would cost 2 µs."""
    if not CAN_SET_GRADIENTS or torch.compiler.is_compiling():
        with torch.no_grad():
            return function(x)
    before = torch.is_grad_enabled()
    _set_grad_enabled(False)
    try:
        return function(x)
    finally:
        _set_grad_enabled(before)


def load_forward_mode() -> None:
    """Load what torch loads when forward mode is first used, without its warnings about itself (``torch.jit``).

    They would be errors in tests that turn warnings into errors.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*torch\.jit", DeprecationWarning)  # torch 2.13
        warnings.filterwarnings("ignore", r".*torch\.jit", FutureWarning)  # torch 2.14
        with forward_ad.dual_level():
            forward_ad.make_dual(*torch.ones(2, 1, device="cpu"))  # type: ignore[no-untyped-call]


def compiler_of_inductor() -> str | None:
    """Return the C++ compiler that ``torch.compile`` calls, or None if it finds none."""
    try:
        from torch._inductor.cpp_builder import get_cpp_compiler

        return str(get_cpp_compiler())
    except Exception:  # torch raises one of its own if there is no compiler
        return None


def is_batched_by_legacy_vmap(x: Tensor) -> bool:
    """Whether ``x`` is a batched tensor of ``is_grads_batched=True``, which looks like a plain one."""
    return bool(is_legacy_batchedtensor(x))


def is_wrapped(x: Tensor) -> bool:
    """Whether ``x`` belongs to a functorch transform, which may already have ended."""
    return bool(is_functorch_wrapped_tensor(x))


def requires_gradient(x: Tensor) -> bool:
    """Whether reverse mode follows ``x``, at any level of nested transforms."""
    while CAN_SEE_MODES and is_functorch_wrapped_tensor(x):
        if x.requires_grad:
            return True
        x = get_unwrapped(x)
    return x.requires_grad


def is_mapped(x: Tensor) -> bool:
    """Whether ``torch.vmap`` maps over ``x``, at any level of nested transforms."""
    while CAN_SEE_MODES and is_functorch_wrapped_tensor(x):
        if is_batchedtensor(x):
            return True
        x = get_unwrapped(x)
    return False


def is_followed(x: Tensor) -> bool:
    """Whether an outer transform, or forward mode, tracks ``x`` in a kernel of the dispatcher."""
    if not CAN_SEE_MODES:  # pragma: no cover
        return False
    if is_functorch_wrapped_tensor(x):
        return not _are_transforms_active()  # in a kernel, only its own transforms are
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(x).tangent is not None  # type: ignore[no-untyped-call]


def count_forward_levels() -> int:
    """Return the number of active levels of forward-mode differentiation; 2 if torch does not report it."""
    if not CAN_COUNT_LEVELS:  # pragma: no cover
        return 2
    levels = sum(level.key() == TransformType.Jvp for level in get_interpreter_stack() or ())
    return levels or int(forward_ad._current_level >= 0)


__all__ = [
    "CAN_COUNT_LEVELS",
    "CAN_SEE_MODES",
    "CAN_SET_GRADIENTS",
    "HAS_SINGLE_LEVEL",
    "_AutoDispatchBelowAutograd",
    "_SingleLevelFunction",
    "_after_autograd_keyset",
    "_set_fwd_grad_enabled",
    "compiler_of_inductor",
    "count_forward_levels",
    "disable_dynamo",
    "enable_single_level_autograd_function",
    "has_hooks",
    "is_batched_by_legacy_vmap",
    "is_followed",
    "is_mapped",
    "is_plain_eager",
    "is_unwatched",
    "is_wrapped",
    "load_forward_mode",
    "requires_gradient",
    "uncompiled",
    "undisturbed",
    "without_gradients",
]
