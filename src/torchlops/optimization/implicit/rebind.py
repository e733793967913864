"""Operators with other tensors in the place of their own, made without touching the operators themselves.

``torch.func.functional_call`` puts the other tensors into the module for the time of the call: another thread that
applies the module meanwhile computes with them, and two such calls at once may leave them there for good.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def own_tensors(modules: Iterable[nn.Module]) -> list[Tensor]:
    """Return the parameters and buffers of modules, each once."""
    found: dict[int, Tensor] = {}
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            found.setdefault(id(tensor), tensor)
    return list(found.values())


def rebound(modules: Sequence[M], old: Sequence[Tensor], new: Sequence[Tensor]) -> tuple[M, ...]:
    """Return copies of ``modules`` in which the tensors ``new`` stand in the place of ``old``.

    What holds none of these tensors is shared with the originals. Modules are found as submodules, and as attributes,
    also in tuples, lists, dicts and methods.

    >>> import torch
    >>> layer = nn.Linear(2, 1, bias=False)
    >>> (other,) = rebound([layer], [layer.weight], [torch.ones(1, 2)])
    >>> other(torch.tensor([1.0, 2.0])), layer.weight is other.weight
    (tensor([3.]), False)
    """
    replaced = {id(tensor): other for tensor, other in zip(old, new, strict=True)}
    memo: dict[int, Any] = {}
    return tuple(_rebound(module, replaced, memo) for module in modules)


def _rebound(item: Any, replaced: Mapping[int, Tensor], memo: dict[int, Any]) -> Any:
    if isinstance(item, Tensor):
        return replaced.get(id(item), item)
    if isinstance(item, nn.Module):
        return _rebound_module(item, replaced, memo)
    if type(item) in (tuple, list):
        parts = [_rebound(part, replaced, memo) for part in item]
        return item if all(a is b for a, b in zip(parts, item, strict=True)) else type(item)(parts)
    if isinstance(item, dict):
        values = {key: _rebound(value, replaced, memo) for key, value in item.items()}
        if all(values[key] is item[key] for key in values):
            return item
        other = item.copy()  # a subclass stays one
        other.update(values)
        return other
    if isinstance(item, types.MethodType):
        owner = _rebound(item.__self__, replaced, memo)
        return item if owner is item.__self__ else types.MethodType(item.__func__, owner)
    return item


def _rebound_module(module: nn.Module, replaced: Mapping[int, Tensor], memo: dict[int, Any]) -> nn.Module:
    if id(module) in memo:
        known: nn.Module = memo[id(module)]
        return known
    if not any(id(tensor) in replaced for tensor in (*module.parameters(), *module.buffers())):
        memo[id(module)] = module
        return module
    other = object.__new__(type(module))
    memo[id(module)] = other
    for name, value in vars(module).items():
        new = _rebound(value, replaced, memo)
        own = name in ("_parameters", "_buffers", "_modules")  # what is put into the original later is not put here
        other.__dict__[name] = new.copy() if own and new is value else new
    return other
