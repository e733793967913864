"""Checks of ``torch.compile`` and ``torch.export``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchlops.linearoperator import LinearOperator
from torchlops.testing.matrix import Builder, Draw, Function, Side, as_real_pair, norm, quartic, sides
from torchlops.testing.tensors import apply_built
from torchlops.testing.verdicts import DERIVATIVE_TOLERANCE, agree, blaming


def check_compile(A: LinearOperator, backend: str = "aot_eager") -> None:
    """Check ``torch.compile(fullgraph=True)`` of a call, of its gradient, and of transforms of it.

    Args:
        A: The operator.
        backend: A backend of ``torch.compile``; ``"inductor"`` also generates and compiles code.
    """
    with blaming(A, "compile"):
        forward, adjoint = sides(A)
        for dtype in forward.fields:
            draw = Draw(A)
            X = draw((2, *A.dims), dtype)
            Y = draw((2, *A.dimsd), torch.promote_types(A(X).dtype, dtype) if adjoint.takes_complex else torch.float64)
            _compile_transforms(A, forward, adjoint, X, Y, backend)
            _compile_backward(A, forward, X, Y, backend)
        torch.compiler.reset()


def _transforms_to_compile(f: Function, h: Function, X: Tensor, Y: Tensor) -> dict[str, tuple[Function, Tensor]]:
    """Return functions made of a forward ``f`` and an adjoint ``h``, each with its argument."""
    fn = torch.func

    def loss(x: Tensor) -> Tensor:
        return quartic(f(x))

    transforms: dict[str, tuple[Function, Tensor]] = {
        "A(x)": (f, X),
        "A.H(y)": (h, Y),
        "vmap(grad)": (fn.vmap(fn.grad(loss)), X),
    }
    if not X.is_complex():  # torch refuses complex Jacobians
        transforms["vmap"] = fn.vmap(f), X
        transforms["jacfwd"] = fn.jacfwd(lambda x: as_real_pair(f(x))), X[0]
        transforms["jacrev"] = fn.jacrev(lambda x: as_real_pair(f(x))), X[0]
        transforms["hessian"] = fn.hessian(loss), X[0]
    return transforms


def _compile_transforms(A: LinearOperator, forward: Side, adjoint: Side, X: Tensor, Y: Tensor, backend: str) -> None:
    scale = 1 / forward.norm if forward.norm else 1.0
    B, H = forward.operator, adjoint.operator
    transforms = _transforms_to_compile(lambda x: B(x) * scale, lambda y: H(y) * scale, X, Y)
    of_matrix = _transforms_to_compile(lambda x: forward.exact(x) * scale, lambda y: adjoint.exact(y) * scale, X, Y)

    def everything(*arguments: Tensor) -> tuple[Tensor, ...]:
        return tuple(function(x) for (function, _), x in zip(transforms.values(), arguments, strict=True))

    torch.compiler.reset()
    try:  # one graph costs half the time of one each
        results = _compiled(everything, backend)(*(x for _, x in transforms.values()))
    except Exception:
        for name, (function, x) in transforms.items():  # find out which
            torch.compiler.reset()
            with blaming(A, f"compile: {name} on {X.dtype}"):
                _compiled(function, backend)(x)
        raise
    for (name, (function, x)), got in zip(of_matrix.items(), results, strict=True):
        want = function(x)
        size = max(float(want.abs().max()), 1e-3)
        hint = "The compiled function has another result than the matrix of A."
        agree(A, f"compile: {name} on {X.dtype}", got, want, size, hint, DERIVATIVE_TOLERANCE)


def _compile_backward(A: LinearOperator, forward: Side, X: Tensor, Y: Tensor, backend: str) -> None:
    torch.compiler.reset()
    what = f"compile: the module A and its backward on {X.dtype}"
    leaf, same = X.clone().requires_grad_(), X.clone().requires_grad_()
    with blaming(A, what):
        out = _compiled(A, backend)(leaf)
        cotangent = Y.to(out.dtype) if out.is_complex() or not Y.is_complex() else Y.real.to(out.dtype)
        (got,) = torch.autograd.grad(out, leaf, cotangent)
    exact = forward.exact(same)
    (want,) = torch.autograd.grad(exact, same, cotangent.to(exact.dtype))
    agree(A, what, out, exact, forward.norm * norm(X))
    agree(A, what, got, want, forward.norm * norm(Y))


def _compiled(function: Callable[..., Any], backend: str) -> Callable[..., Any]:
    return torch.compile(function, fullgraph=True, backend=backend)


def check_compiled_building(build: Builder, tensors: Sequence[Tensor]) -> None:
    """Check that an operator may be built inside ``torch.compile(fullgraph=True)``, from tensors that learn.

    Torch refuses ``A @ B`` and ``tensor * A`` there: a builder that composes operators cannot pass.
    """
    if not tensors:
        return
    A = build(*(tensor.clone() for tensor in tensors))
    with blaming(A, "built inside torch.compile"):
        for side in sides(A):
            _compile_building(A, build, tensors, side, Draw(A)(side.dims, side.fields[-1]))
        torch.compiler.reset()


def _compile_building(A: LinearOperator, build: Builder, tensors: Sequence[Tensor], side: Side, x: Tensor) -> None:
    apply = apply_built(build, side.is_adjoint)
    scale = 1 / side.norm if side.norm else 1.0

    def loss(x: Tensor, *tensors: Tensor) -> Tensor:
        return quartic(apply(x, *tensors) * scale)

    def everything(x: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        return apply(x, *tensors), *torch.func.grad(loss, tuple(range(1, len(tensors) + 1)))(x, *tensors)

    what = f"built inside torch.compile: {side.label}"
    torch.compiler.reset()
    with blaming(A, what):
        results = _compiled(everything, "aot_eager")(x, *tensors)
    for got, want in zip(results, everything(x, *tensors), strict=True):
        size = max(float(want.abs().max()), 1e-3)
        agree(A, what, got, want, size, "Eager mode has another result.", DERIVATIVE_TOLERANCE)


def check_export(A: LinearOperator) -> None:
    """Check ``torch.export.export`` of the operator and its adjoint, with a fixed and with any batch size."""

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
