"""Checks of every mode of differentiation with respect to the input."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from torchlops.linearoperator import LinearOperator
from torchlops.testing.matrix import (
    Draw,
    Function,
    Side,
    as_real_pair,
    from_real,
    inner_tensor,
    quartic,
    sides,
    to_real,
)
from torchlops.testing.verdicts import DERIVATIVE_TOLERANCE, agree, blaming, require
from torchlops.torch_internals import load_forward_mode


def check_derivatives(A: LinearOperator) -> None:
    """Check the modes of ``torch.autograd``, alone and nested, against the matrix.

    Reverse, forward, reverse over reverse, forward over reverse, reverse over forward, batched
    (``is_grads_batched``), third order, and the derivative with respect to the cotangent.
    """
    load_forward_mode()
    with blaming(A, "derivatives"):
        for side in sides(A):
            for dtype in side.fields:
                draw = Draw(A)
                x, t, z = (draw((2, *side.dims), dtype) for _ in range(3))
                out_dtype = side.operator(x).dtype
                Y = draw((3, 2, *side.dimsd), out_dtype)
                compare_modes(A, "derivatives", side, dtype, functools.partial(_modes, x=x, t=t, z=z, Y=Y))
                _check_autograd_states(A, side, x)


def _modes(f: Function, x: Tensor, t: Tensor, z: Tensor, Y: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Return the derivatives of ``f`` by every mode of ``torch.autograd``."""

    def leaf() -> Tensor:
        return x.clone().requires_grad_()

    def grad(output: Tensor, wrt: Tensor, cotangent: Tensor | None = None, **options: Any) -> Tensor:
        if cotangent is not None:
            cotangent = cotangent.to(output.dtype)
        result: Tensor = torch.autograd.grad(output, wrt, cotangent, **options)[0]
        return result

    def loss_gradient(model: Tensor) -> Tensor:
        return grad(quartic(f(model)), model, create_graph=True)

    def forward(function: Function, model: Tensor, tangent: Tensor) -> Tensor:
        with forward_ad.dual_level():
            out = forward_ad.unpack_dual(function(forward_ad.make_dual(model, tangent))).tangent  # type: ignore[no-untyped-call]
        if out is None:
            raise AssertionError("the output has no tangent")
        result: Tensor = out
        return result

    def by_the_cotangent() -> Tensor:
        model, y = leaf(), Y[0].clone().requires_grad_()
        return grad(grad(f(model), model, y, create_graph=True), y, t)

    def twice_reverse() -> Tensor:
        model = leaf()
        return grad(loss_gradient(model), model, t)

    def third_order() -> Tensor:
        model = leaf()
        second = grad(loss_gradient(model), model, t, create_graph=True)
        return grad(second, model, z)

    def reverse_over_forward() -> Tensor:
        tangent = t.clone().requires_grad_()
        return grad(forward(f, x, tangent), tangent, Y[0])

    def plain() -> Tensor:
        model = leaf()
        return grad(f(model), model, Y[0])

    def batched() -> Tensor:
        model = leaf()
        return grad(f(model), model, Y, is_grads_batched=True)

    return {
        "reverse": plain,
        "reverse, of one batch axis more": lambda: grad(f(w := leaf()[None]), w, Y[:1]),
        "batched reverse": batched,
        "reverse over reverse": twice_reverse,
        "reverse over reverse, by the cotangent": by_the_cotangent,
        "third order": third_order,
        "forward": lambda: forward(f, x, t),
        "forward over reverse": lambda: forward(lambda w: loss_gradient(w), leaf(), t),
        "reverse over forward": reverse_over_forward,
    }


def _check_autograd_states(A: LinearOperator, side: Side, x: Tensor) -> None:
    B = side.operator
    empty = x[:0].clone().requires_grad_()
    with blaming(A, f"derivatives: gradient of {side.label} of an empty batch"):
        (nothing,) = torch.autograd.grad(B(empty).sum().abs(), empty)
    require(A, "derivatives", nothing.shape == empty.shape, "the gradient of an empty batch has another shape")
    want = B(x)
    require(A, "derivatives", not tracks(A) or want.requires_grad, f"{side.label} does not track the operator")
    with torch.no_grad():
        bare = B(x.clone().requires_grad_())
    require(A, "derivatives", not bare.requires_grad, f"{side.label} under no_grad requires a gradient")
    with torch.inference_mode():
        agree(A, f"derivatives: {side.label} in inference mode", B(x.clone()), want.detach(), float(want.abs().max()))
    model = x.clone().requires_grad_()
    require(A, "derivatives", B(model).requires_grad, f"{side.label} is detached from the graph of its input")
    (got,) = torch.autograd.grad(B(model), model, torch.ones_like(want))
    require(A, "derivatives", got.dtype == x.dtype, f"the gradient of {x.dtype} {side.label} is {got.dtype}")


def tracks(A: LinearOperator) -> bool:
    """Whether a tensor of the operator itself requires a gradient."""
    return any(tensor.requires_grad for tensor in A._own_tensors())


def check_functorch(A: LinearOperator) -> None:
    """Check the transforms of ``torch.func``, alone and in the usual compositions, against the matrix."""
    _check_transforms(A, _transforms)


def check_nested_functorch(A: LinearOperator) -> None:
    """Check recorded programs, and deeper compositions of the transforms of ``torch.func``, against the matrix."""
    load_forward_mode()
    with blaming(A, "torch.func"):
        for side in sides(A):
            draw = Draw(A)
            x, t = (draw(side.dims, torch.float64) for _ in range(2))
            traced, untraced = (functools.partial(kind, x=x, t=t) for kind in (_traced, _untraced))
            compare_modes(A, "torch.func", side, torch.float64, traced, untraced)
    _check_transforms(A, _nested_transforms)


def _check_transforms(A: LinearOperator, transforms: Callable[..., dict[str, Callable[[], Tensor]]]) -> None:
    load_forward_mode()
    with blaming(A, "torch.func"):
        for side in sides(A):
            for dtype in side.fields:
                draw = Draw(A)
                X, T = draw((3, *side.dims), dtype), draw((3, *side.dims), dtype)
                Y = draw((3, *side.dimsd), side.operator(X).dtype)
                compare_modes(A, "torch.func", side, dtype, functools.partial(transforms, X=X, T=T, Y=Y))


def _transforms(f: Function, X: Tensor, T: Tensor, Y: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Return the results of every transform of ``torch.func``, and of the usual compositions, applied to ``f``."""
    fn = torch.func
    x, t, Y = X[0], T[0], Y.to(f(X).dtype)
    y, r = Y[0], to_real(x)
    loss, real_f, real_loss = _losses(f, x)
    return {
        "vmap": lambda: fn.vmap(f)(X),
        "vmap along the last axis": lambda: fn.vmap(f, in_dims=-1, out_dims=-1)(X.movedim(0, -1)),
        "grad": lambda: fn.grad(loss)(x),
        "vjp": lambda: _vjp(f, x, y),
        "jvp": lambda: _jvp(f, x, t),
        "value of jvp": lambda: fn.jvp(f, (x,), (t,))[0],
        "vmap(grad)": lambda: fn.vmap(fn.grad(loss))(X),
        "vmap(vjp)": lambda: fn.vmap(lambda x, y: _vjp(f, x, y))(X, Y),
        "vmap(jvp)": lambda: fn.vmap(lambda x, t: _jvp(f, x, t))(X, T),
        "grad(vmap)": lambda: fn.grad(lambda X: quartic(fn.vmap(f)(X)))(X),
        "jvp(vmap)": lambda: _jvp(fn.vmap(f), X, T),
        "grad(grad)": lambda: fn.grad(lambda x: _slope(loss, x, t))(x),
        "jvp(grad)": lambda: _jvp(fn.grad(loss), x, t),
        "grad(jvp)": lambda: fn.grad(lambda x: _jvp(loss, x, t))(x),
        "jacrev": lambda: fn.jacrev(real_f)(r),
        "jacfwd": lambda: fn.jacfwd(real_f)(r),
        "hessian": lambda: fn.hessian(real_loss)(r),
    }


def _nested_transforms(f: Function, X: Tensor, T: Tensor, Y: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Return the results of deeper compositions of the transforms of ``torch.func``, applied to ``f``."""
    fn = torch.func
    x, t, Y = X[0], T[0], Y.to(f(X).dtype)
    y, r, R = Y[0], to_real(x), to_real(X)
    loss, real_f, real_loss = _losses(f, x)

    return {
        "vmap(vmap)": lambda: fn.vmap(fn.vmap(f))(X[None]),
        "vjp(vjp)": lambda: _vjp(lambda y: _vjp(f, x, y), y, t),
        "jvp(vjp), by the cotangent": lambda: _jvp(lambda y: _vjp(f, x, y), y, y),
        "vjp(jvp), by the tangent": lambda: _vjp(lambda t: _jvp(f, x, t), t, y),
        "jvp(jvp)": lambda: _jvp(lambda x: _jvp(loss, x, t), x, X[1]),
        "jvp(jvp(grad))": lambda: _jvp(lambda x: _jvp(fn.grad(loss), x, t), x, X[1]),
        "grad(grad(grad))": lambda: fn.grad(lambda x: inner_tensor(fn.grad(lambda z: _slope(loss, z, t))(x), X[1]))(x),
        "vmap(jvp(grad))": lambda: fn.vmap(lambda x, t: _jvp(fn.grad(loss), x, t))(X, T),
        "vmap(jacrev)": lambda: fn.vmap(fn.jacrev(real_f))(R),
        "vmap(jacfwd)": lambda: fn.vmap(fn.jacfwd(real_f))(R),
        "jacrev(jacfwd)": lambda: fn.jacrev(fn.jacfwd(real_loss))(r),
        "jacrev(jacrev)": lambda: fn.jacrev(fn.jacrev(real_loss))(r),
        "jacfwd(jacfwd)": lambda: fn.jacfwd(fn.jacfwd(real_loss))(r),
        "vmap(hessian)": lambda: fn.vmap(fn.hessian(real_loss))(R),
    }


def _losses(f: Function, x: Tensor) -> tuple[Function, Function, Function]:
    """Return a loss of ``f``, and ``f`` and the loss as functions of pairs of real numbers."""

    def loss(x: Tensor) -> Tensor:
        return quartic(f(x))

    def real_f(r: Tensor) -> Tensor:
        return as_real_pair(f(from_real(r, x)))

    def real_loss(r: Tensor) -> Tensor:
        return quartic(f(from_real(r, x)))

    return loss, real_f, real_loss


def _jvp(function: Function, x: Tensor, t: Tensor) -> Tensor:
    result: Tensor = torch.func.jvp(function, (x,), (t,))[1]
    return result


def _vjp(function: Function, x: Tensor, y: Tensor) -> Tensor:
    return torch.func.vjp(function, x)[1](y)[0]  # type: ignore[no-any-return]


def _slope(loss: Function, x: Tensor, t: Tensor) -> Tensor:
    return inner_tensor(torch.func.grad(loss)(x), t)


def _traced(f: Function, x: Tensor, t: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Return the results for ``t`` of programs recorded on ``x``, which reveal values baked in as constants."""
    from torch.fx.experimental.proxy_tensor import make_fx

    gradient = torch.func.grad(lambda x: quartic(f(x)))
    return {
        "linearize": lambda: torch.func.linearize(f, x)[1](t),
        "make_fx": lambda: make_fx(f)(x)(t),
        "make_fx(grad)": lambda: make_fx(gradient)(x)(t),
        "functionalize": lambda: torch.func.functionalize(f)(t),
    }


def _untraced(f: Function, x: Tensor, t: Tensor) -> dict[str, Callable[[], Tensor]]:  # noqa: ARG001
    """Return the expected results of the programs of :func:`_traced`."""
    gradient = torch.func.grad(lambda x: quartic(f(x)))
    plain = dict.fromkeys(("linearize", "make_fx", "functionalize"), lambda: f(t))
    return {**plain, "make_fx(grad)": lambda: gradient(t)}


def compare_modes(
    A: LinearOperator,
    promise: str,
    side: Side,
    dtype: torch.dtype,
    modes: Callable[[Function], dict[str, Callable[[], Tensor]]],
    exact_modes: Callable[[Function], dict[str, Callable[[], Tensor]]] | None = None,
) -> None:
    """Compare every mode on the operator with the same mode on its matrix, both scaled to unit norm."""
    scale = 1 / side.norm if side.norm else 1.0
    of_operator = modes(lambda x: side.operator(x) * scale)
    of_matrix = (exact_modes or modes)(lambda x: side.exact(x) * scale)
    for mode, of_operator_mode in of_operator.items():
        what = f"{promise}: {mode} of {side.label} on {dtype}"
        with blaming(A, what), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Attempted to insert a get_attr Node", UserWarning)  # func.linearize
            got = of_operator_mode()
            want = of_matrix[mode]()
        size = max(float(want.detach().abs().max()), 1e-3)
        agree(A, what, got, want, size, "It is not that of the matrix of A.", DERIVATIVE_TOLERANCE)
