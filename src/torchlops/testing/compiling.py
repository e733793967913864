"""Checks of ``torch.compile`` and ``torch.export``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from torchlops.linearoperator import LinearOperator
from torchlops.testing.matrix import Builder, Draw, Function, Side, as_real_pair, norm, quartic, sides
from torchlops.testing.verdicts import DERIVATIVE_TOLERANCE, agree, blaming
from torchlops.torch_internals import load_forward_mode

Calls: TypeAlias = dict[str, tuple[Function, Tensor]]
"""Functions and their arguments, by name."""


def check_compile(A: LinearOperator, backend: str = "aot_eager") -> None:
    """Check ``torch.compile(fullgraph=True)`` of the operator and its adjoint, with their backward.

    Args:
        A: The operator.
        backend: A backend of ``torch.compile``. ``"inductor"`` also generates and compiles code.
    """
    with blaming(A, "compile"):
        forward, adjoint = sides(A)
        calls: Calls = {}
        exact: Calls = {}
        for side in (forward, adjoint):
            for dtype in side.fields:
                x = Draw(A)((2, *side.dims), dtype)
                calls[f"{side.label} on {dtype}"] = side.operator, x
                exact[f"{side.label} on {dtype}"] = side.exact, x
        _compare_compiled(A, calls, exact, forward.norm, backend)


def check_compiled_gradients(A: LinearOperator, backend: str = "aot_eager") -> None:
    """Check ``torch.compile(fullgraph=True)`` of the gradients of a batch, ``vmap(grad)``.

    Args:
        A: The operator.
        backend: A backend of ``torch.compile``.
    """
    with blaming(A, "compile"):
        forward, _ = sides(A)
        calls: Calls = {}
        exact: Calls = {}
        for dtype in forward.fields:
            X = Draw(A)((2, *A.dims), dtype)
            calls.update(_gradients(forward, X))
            exact.update(_gradients(forward, X, exact=True))
        _compare_compiled(A, calls, exact, forward.norm, backend)


def check_compiled_jacobians(A: LinearOperator, backend: str = "aot_eager") -> None:
    """Check ``torch.compile(fullgraph=True)`` of ``vmap``, ``jacfwd``, ``jacrev`` and ``hessian`` of the operator.

    Only real input is checked, since torch does not support complex Jacobians.

    Args:
        A: The operator.
        backend: A backend of ``torch.compile``.
    """
    load_forward_mode()
    with blaming(A, "compile"):
        forward, _ = sides(A)
        X = Draw(A)((2, *A.dims), torch.float64)
        _compare_compiled(A, _jacobians(forward, X), _jacobians(forward, X, exact=True), forward.norm, backend)


def _scaled(side: Side, exact: bool) -> Function:
    """Return the operator, or its matrix, scaled to unit norm."""
    scale = 1 / side.norm if side.norm else 1.0
    function = side.exact if exact else side.operator
    return lambda x: function(x) * scale


def _gradients(side: Side, X: Tensor, exact: bool = False) -> Calls:
    f = _scaled(side, exact)
    return {f"vmap(grad) on {X.dtype}": (torch.func.vmap(torch.func.grad(lambda x: quartic(f(x)))), X)}


def _jacobians(side: Side, X: Tensor, exact: bool = False) -> Calls:
    fn, f = torch.func, _scaled(side, exact)
    return {
        "vmap on torch.float64": (fn.vmap(f), X),
        "jacfwd on torch.float64": (fn.jacfwd(lambda x: as_real_pair(f(x))), X[0]),
        "jacrev on torch.float64": (fn.jacrev(lambda x: as_real_pair(f(x))), X[0]),
        "hessian on torch.float64": (fn.hessian(lambda x: quartic(f(x))), X[0]),
    }


class _Together(nn.Module):
    """Calls every function on its argument. Operators are registered as modules, as in a network."""

    def __init__(self, functions: Sequence[Function]) -> None:
        super().__init__()
        self.operators = nn.ModuleList(function for function in functions if isinstance(function, nn.Module))
        self.functions = functions

    def forward(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        return tuple(function(x) for function, x in zip(self.functions, arguments, strict=True))


def _compare_compiled(A: LinearOperator, calls: Calls, exact: Calls, norm_of_A: float, backend: str) -> None:
    """Compile all ``calls`` as one graph, at half the cost of separate graphs, and compare with those of the matrix.

    The input of an operator that is called directly requires a gradient, so that the backward is compiled too.
    """

    def arguments() -> list[Tensor]:
        return [x.clone().requires_grad_(isinstance(f, nn.Module)) for f, x in calls.values()]

    names, functions, leaves = list(calls), [f for f, _ in calls.values()], arguments()
    torch.compiler.reset()
    try:
        results = _compiled(_Together(functions), backend)(*leaves)
    except Exception:
        for name, function, x in zip(names, functions, arguments(), strict=True):  # find out which
            torch.compiler.reset()
            with blaming(A, f"compile: {name}"):
                _compiled(function, backend)(x)
        raise
    hint = "The compiled function has another result than the matrix of A."
    same = arguments()
    wants = [function(x) for (function, _), x in zip(exact.values(), same, strict=True)]
    for name, x, got, want in zip(names, leaves, results, wants, strict=True):
        what = f"compile: {name}"
        if x.requires_grad:
            agree(A, what, got, want, norm_of_A * norm(x), hint)
        else:
            agree(A, what, got, want, max(float(want.abs().max()), 1e-3), hint, DERIVATIVE_TOLERANCE)
    tracked = [index for index, x in enumerate(leaves) if x.requires_grad]
    if not tracked:
        return
    cotangents = {index: Draw(A)(tuple(results[index].shape), results[index].dtype) for index in tracked}
    what = "compile: backward"
    with blaming(A, what):
        gradients = torch.autograd.grad(
            [results[index] for index in tracked], [leaves[index] for index in tracked], list(cotangents.values())
        )
    expected = torch.autograd.grad(
        [wants[index] for index in tracked],
        [same[index] for index in tracked],
        [cotangents[index].to(wants[index].dtype) for index in tracked],
    )
    for index, got, want in zip(tracked, gradients, expected, strict=True):
        agree(A, f"{what} of {names[index]}", got, want, norm_of_A * norm(cotangents[index]))


def _compiled(function: Callable[..., Any], backend: str) -> Callable[..., Any]:
    return torch.compile(function, fullgraph=True, backend=backend)


def check_compiled_building(build: Builder, tensors: Sequence[Tensor]) -> None:
    """Check that an operator can be built inside ``torch.compile(fullgraph=True)``, from tensors with gradients.

    Torch does not support ``A @ B`` and ``tensor * A`` there, so a builder that composes operators cannot pass.
    """
    if not tensors:
        return
    A = build(*(tensor.clone() for tensor in tensors))
    with blaming(A, "built inside torch.compile"):
        forward, adjoint = sides(A)
        draw, scale = Draw(A), 1 / forward.norm if forward.norm else 1.0
        x, y = (draw(side.dims, side.fields[-1]) for side in (forward, adjoint))

        def both(x: Tensor, y: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
            B = build(*tensors)
            return B(x) * scale, B.H(y) * scale

        def loss(x: Tensor, y: Tensor, *tensors: Tensor) -> Tensor:
            data, model = both(x, y, *tensors)
            return quartic(data) + quartic(model)

        def everything(x: Tensor, y: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
            gradient = torch.func.grad(loss, tuple(range(2, len(tensors) + 2)))
            return *both(x, y, *tensors), *gradient(x, y, *tensors)

        torch.compiler.reset()
        results = _compiled(everything, "aot_eager")(x, y, *tensors)
        names = ["A(x)", "A.H(y)", *("gradient to a tensor" for _ in tensors)]
        for name, got, want in zip(names, results, everything(x, y, *tensors), strict=True):
            what, size = f"built inside torch.compile: {name}", max(float(want.abs().max()), 1e-3)
            agree(A, what, got, want, size, "Eager mode has another result.", DERIVATIVE_TOLERANCE)


def check_export(A: LinearOperator) -> None:
    """Check ``torch.export.export`` of the operator and its adjoint, with a fixed and with a dynamic batch size."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.A, self.H = A, A.H

        def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return self.A(x), self.H(y)

    with blaming(A, "export"):
        forward, adjoint = sides(A)
        draw = Draw(A)
        batch = torch.export.Dim("batch")
        for shapes, sizes in ((None, ((), ())), (({0: batch}, {0: batch}), ((3,), (5,)))):
            kind = "a fixed shape" if shapes is None else "any batch size"
            x, y = (draw((*sizes[0], *side.dims), side.fields[-1]) for side in (forward, adjoint))
            with blaming(A, f"export with {kind}"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program = torch.export.export(Both(), (x, y), dynamic_shapes=shapes).module()
            x, y = (draw((*sizes[1], *side.dims), side.fields[-1]) for side in (forward, adjoint))
            with blaming(A, f"export with {kind}, run on batch shape {sizes[1]}"):
                results = program(x, y)
            for side, value, got in zip((forward, adjoint), (x, y), results, strict=True):
                what = f"export with {kind}: {side.label}"
                agree(A, what, got, side.exact(value), side.norm * norm(value))
