"""Checks of the derivatives with respect to the tensors that an operator is built from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchlops.linearoperator import LinearOperator
from torchlops.testing.matrix import Builder, Draw, Side, inner_tensor, norm, quartic, sides
from torchlops.testing.verdicts import DERIVATIVE_TOLERANCE, agree, blaming, require
from torchlops.torch_internals import load_forward_mode


def check_tensor_gradients(build: Builder, tensors: Sequence[Tensor]) -> None:
    """Check the derivatives with respect to the tensors that an operator is built from.

    First and second derivatives in reverse and forward mode are compared with finite differences. The operator is
    built inside ``torch.func`` transforms. Parameters must stay parameters, graphs must be kept, and the next call
    must see a tensor that was modified in place.

    Args:
        build: Function that builds the operator from the tensors.
        tensors: Floating-point or complex tensors in double precision.
    """
    if not tensors:
        return
    load_forward_mode()
    originals = [tensor.detach().clone() for tensor in tensors]

    def fresh() -> list[Tensor]:
        return [tensor.clone() for tensor in originals]

    def others(factor: float) -> list[Tensor]:  # close enough that positions stay in range
        return [tensor * factor for tensor in originals]

    A = build(*fresh())
    with blaming(A, "gradients to its tensors"):
        for side in sides(A):
            draw = Draw(A)
            for dtype in side.fields:
                _check_finite_differences(A, build, fresh, side, draw(side.dims, dtype))
            x = draw(side.dims, side.fields[-1])
            _check_building_inside(A, build, originals, others(0.96), side, x)
        _check_kinds_of_tensors(A, build, originals)


def apply_built(build: Builder, adjoint: bool) -> Callable[..., Tensor]:
    """Return a function of ``x`` and the tensors that builds the operator and applies it."""

    def apply(x: Tensor, *tensors: Tensor) -> Tensor:
        A = build(*tensors)
        result: Tensor = A.H(x) if adjoint else A(x)
        return result

    return apply


def _check_finite_differences(
    A: LinearOperator, build: Builder, fresh: Callable[[], list[Tensor]], side: Side, x: Tensor
) -> None:
    apply = apply_built(build, side.is_adjoint)
    inputs = [value.requires_grad_() for value in (x.clone(), *fresh())]
    what = f"gradients to its tensors: {side.label} of {x.dtype} x"
    with blaming(A, what):
        torch.autograd.gradcheck(apply, inputs, check_forward_ad=True, check_batched_grad=True, fast_mode=True)
        torch.autograd.gradgradcheck(
            apply,
            inputs,
            check_fwd_over_rev=True,
            check_batched_grad=True,
            check_undefined_grad=False,  # covered by the first order; here it would double the time
            fast_mode=True,
        )


def _check_building_inside(
    A: LinearOperator, build: Builder, ones: list[Tensor], twos: list[Tensor], side: Side, x: Tensor
) -> None:
    fn = torch.func
    apply = functools.partial(apply_built(build, side.is_adjoint), x)
    both = [torch.stack(pair) for pair in zip(ones, twos, strict=True)]
    every = tuple(range(len(ones)))

    def loss(*tensors: Tensor) -> Tensor:
        return quartic(apply(*tensors) / (side.norm or 1.0))

    def plain_gradient(tensors: list[Tensor]) -> list[Tensor]:
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        return list(torch.autograd.grad(loss(*leaves), leaves, materialize_grads=True))

    where = f"gradients to its tensors: {side.label} built inside"
    with blaming(A, f"{where} vmap"):
        got = fn.vmap(apply)(*both)
        agree(A, f"{where} vmap", got, torch.stack([apply(*ones), apply(*twos)]), side.norm * norm(x))
    want = plain_gradient(ones)
    wants = [torch.stack(pair) for pair in zip(want, plain_gradient(twos), strict=True)]
    results: dict[str, Callable[[], Any]] = {
        "grad": lambda: fn.grad(loss, every)(*ones),
        "vjp": lambda: fn.vjp(loss, *ones)[1](torch.ones((), dtype=x.real.dtype, device=x.device)),
        "vmap(grad)": lambda: fn.vmap(fn.grad(loss, every))(*both),
    }
    for mode, compute in results.items():
        with blaming(A, f"{where} {mode}"):
            gradients = compute()
        for got, expected in zip(gradients, wants if mode == "vmap(grad)" else want, strict=True):
            size = max(float(expected.abs().max()), 1e-3)
            agree(A, f"{where} {mode}", got, expected, size, "It differs from that of autograd.", DERIVATIVE_TOLERANCE)
    with blaming(A, f"{where} jvp"):
        slope = fn.jvp(loss, tuple(ones), tuple(ones))[1]
    expected = sum((inner_tensor(g, t) for g, t in zip(want, ones, strict=True)), start=torch.zeros(()))
    size = max(float(expected.abs()), 1e-3)
    agree(A, f"{where} jvp", slope, expected, size, "It differs from that of reverse mode.", DERIVATIVE_TOLERANCE)


def _check_kinds_of_tensors(A: LinearOperator, build: Builder, originals: list[Tensor]) -> None:
    promise = "its tensors"
    x = Draw(A)(A.dims, torch.float64)
    y = Draw(A)(A.dimsd, torch.float64)

    parameters = [nn.Parameter(tensor.clone()) for tensor in originals]
    B = build(*parameters)
    adjoint, square = B.H, B.H @ B
    before = B(x), adjoint(y)
    known = list(B.parameters())
    for parameter in parameters:
        kept = any(parameter is other for other in known)
        require(A, promise, kept, "a parameter that it was built from is not among its parameters()")
    require(A, promise, len(known) == len(parameters), f"{len(parameters)} parameters became {len(known)}")
    with torch.no_grad():
        for parameter in parameters:
            parameter.mul_(0.97)
    C = build(*(parameter.detach().clone() for parameter in parameters))
    hint = "A parameter was changed in place: is something derived from it cached?"
    scale = max(sides(A)[0].norm, sides(C)[0].norm) * norm(x)
    agree(A, f"{promise}: A(x) after a change in place", B(x), C(x), scale, hint)
    agree(A, f"{promise}: A.H(y) after a change in place", adjoint(y), C.H(y), scale * norm(y), hint)
    agree(A, f"{promise}: (A.H @ A)(x) after it", square(x), C.H(C(x)), scale**2 + scale, hint)
    require(
        A,
        promise,
        not torch.equal(before[0], B(x)) or not torch.equal(before[1], adjoint(y)),
        "the parameters have no effect",
    )

    leaves = [tensor.clone().requires_grad_() for tensor in originals]
    D = build(*(1 * leaf for leaf in leaves))
    quartic(D(x)).backward()  # type: ignore[no-untyped-call]
    reached = [leaf.grad is not None for leaf in leaves]
    require(
        A, promise, all(reached), "built from a tensor with a graph, but no gradient reaches the leaves of the graph"
    )

    names = {id(tensor): name for name, tensor in [*B.named_parameters(), *B.named_buffers()]}
    values = {names[id(parameter)]: tensor for parameter, tensor in zip(parameters, originals, strict=True)}
    got = torch.func.functional_call(B, values, (x,))
    agree(A, f"{promise}: functional_call", got, build(*originals)(x), scale * 2)
