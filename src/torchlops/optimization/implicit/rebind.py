"""Operators with other tensors in the place of their own, made without touching the operators themselves.

``torch.func.functional_call`` puts the other tensors into the module for the time of the call: another thread that
applies the module meanwhile computes with them, and two such calls at once may leave them there for good.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.solver import Solver

M = TypeVar("M", bound="nn.Module | Solver[Any]")


def own_tensors(modules: Iterable[nn.Module]) -> list[Tensor]:
    """Return the parameters and buffers of modules, each once."""
    found = {id(tensor): tensor for module in modules for tensor in (*module.parameters(), *module.buffers())}
    return list(found.values())


def rebound(modules: Sequence[M], old: Sequence[Any], new: Sequence[Any]) -> tuple[M, ...]:
    """Return copies of ``modules``, or of solvers, in which the tensors ``new`` stand in the place of ``old``.

    What holds none of these tensors is shared with the originals. Modules are found as submodules, and as attributes,
    also in tuples, lists, dicts and methods, and among the options of solvers. They may be in ``old`` themselves.

    >>> import torch
    >>> layer = nn.Linear(2, 1, bias=False)
    >>> (other,) = rebound([layer], [layer.weight], [torch.ones(1, 2)])
    >>> other(torch.tensor([1.0, 2.0])), layer.weight is other.weight
    (tensor([3.]), False)
    """
    others = {id(part): other for part, other in zip(old, new, strict=True)}
    return tuple(_rebound(module, others) for module in modules)


def _rebound(item: Any, others: dict[int, Any]) -> Any:
    """Return ``item`` with what ``others`` has for the tensors (and modules, which are added to it) in it, by id."""
    if id(item) in others:
        return others[id(item)]
    if isinstance(item, nn.Module):
        return _rebound_module(item, others)
    if isinstance(item, Solver):
        options = {each.name: getattr(item, each.name) for each in fields(item)}
        new = _rebound(options, others)
        return item if new is options else replace(item, **new)
    if type(item) in (tuple, list):
        parts = [_rebound(part, others) for part in item]
        return item if all(a is b for a, b in zip(parts, item, strict=True)) else type(item)(parts)
    if isinstance(item, dict):
        values = {key: _rebound(value, others) for key, value in item.items()}
        if all(values[key] is item[key] for key in values):
            return item
        other = item.copy()  # a subclass stays one
        other.update(values)
        return other
    if isinstance(item, types.MethodType):
        owner = _rebound(item.__self__, others)
        return item if owner is item.__self__ else types.MethodType(item.__func__, owner)
    return item


def _rebound_module(module: nn.Module, others: dict[int, Any]) -> nn.Module:
    if not any(id(tensor) in others for tensor in own_tensors([module])):
        others[id(module)] = module
        return module
    other = others[id(module)] = object.__new__(type(module))
    for name, value in vars(module).items():
        new = _rebound(value, others)
        own = name in ("_parameters", "_buffers", "_modules")  # what is put into the original later is not put here
        other.__dict__[name] = new.copy() if own and new is value else new
    return other


class MappedOperator(LinearOperator):
    """An operator whose tensors differ from sample to sample along the first batch axis (``torch.vmap``).

    Args:
        part: The operator.
        others: For each of its tensors, by id, the one in its place and the axis that is mapped over, or None.
    """

    def __init__(self, part: LinearOperator, others: Mapping[int, tuple[Tensor, int | None]]) -> None:
        super().__init__(
            part.dims, part.dimsd, part._torch_dtype(), part.clinear, part.real_model, name=part.name_and_type
        )
        self.of = (part, own_tensors([part]))  # its tensors are not ours
        self.in_dims: list[int | None] = []
        for index, old in enumerate(self.of[1]):
            tensor, axis = others[id(old)]
            self.register_buffer(f"tensor{index}", tensor if axis is None else tensor.movedim(axis, 0))
            self.in_dims.append(None if axis is None else 0)

    def _forward(self, x: Tensor) -> Tensor:
        return self._mapped(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._mapped(y, True)

    def _mapped(self, x: Tensor, adjoint: bool) -> Tensor:
        part, old = self.of
        tensors = [getattr(self, f"tensor{index}") for index in range(len(self.in_dims))]

        def one(x: Tensor, *tensors: Tensor) -> Tensor:
            return rebound([part], old, tensors)[0].apply_nd(x, adjoint)

        out: Tensor = torch.func.vmap(one, in_dims=(0, *self.in_dims))(x, *tensors)
        return out
