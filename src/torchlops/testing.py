r"""The promises of every operator, as checks to run on your own.

:func:`check` runs them all on one operator; each is also a function by itself. They compare the operator with
its matrix, which they measure one unit vector at a time: a derivative must equal :math:`A t` or
:math:`A^H y`, and not merely agree with another derivative of the same code. So give them a small operator
(a few dozen elements): what they find does not depend on the size.

A failed check raises an ``AssertionError`` that names the operator, the promise, and what was measured.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import io
import math
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

from torchlops import autograd, linearoperator
from torchlops.arrays import complex_dtype, real_dtype
from torchlops.linearoperator import LinearOperator, promote

Function: TypeAlias = Callable[[Tensor], Tensor]
Builder: TypeAlias = Callable[..., LinearOperator]

BATCHES = ((), (3,), (2, 3), (0,), (2, 0))

_TOLERANCE = {torch.float64: 1e-13, torch.float32: 1e-5, torch.float16: 2e-2, torch.bfloat16: 1e-1}
_DERIVATIVE_TOLERANCE = 1e-10
_SMALL = 1 << 20
_HAS_SCIPY = importlib.util.find_spec("scipy") is not None


def check(
    A: LinearOperator, *, build: Builder | None = None, tensors: Sequence[Tensor] = (), compile: bool = True
) -> None:
    """Hold an operator to every promise of the library.

    Args:
        A: The operator, a small one: its matrix is measured column by column.
        build: Builds the operator from ``tensors``; with it, the derivatives with respect to them are checked
            too, and that a change of theirs is seen.
        tensors: The floating or complex tensors that ``build`` takes and that carry gradients.
        compile: False leaves out ``torch.compile`` and ``torch.export``, which take most of the time.

    Raises:
        AssertionError: when a promise does not hold.
        ValueError: when the operator is too large to measure its matrix.

    Example:
        >>> import torchlops
        >>> class Flip(torchlops.LinearOperator):
        ...     def _forward(self, x):
        ...         return x.flip(-1)
        ...     _adjoint = _forward
        >>> check(Flip(dims=3), compile=False)

        >>> class Twice(torchlops.LinearOperator):
        ...     def _forward(self, x):
        ...         return 2 * x
        ...     def _adjoint(self, y):
        ...         return y
        >>> check(Twice(dims=3), compile=False)
        Traceback (most recent call last):
        ...
        AssertionError: Twice: adjoint: ... <A x, y> / <x, A^H y> = 2 ...
    """
    for name, promise in PROMISES.items():
        if compile or name not in ("compile", "export"):
            promise(A)
    if build is not None:
        check_tensor_gradients(build, tensors)


# -- the adjoint and the matrix --------------------------------------------------------------------------------


def check_adjoint(A: LinearOperator) -> None:
    """Check that ``<A x, y> = <x, A^H y>`` to rounding, real and complex, in float64 and float32."""
    with _blaming(A, "adjoint"):
        full = A.clinear and not A.real_model
        for precision in (torch.float64, torch.float32):
            B = A if precision == torch.float64 else _converted(A, precision)
            draw = _Draw(B)
            for model_dtype in _fields(not A.real_model, precision):
                for data_dtype in _fields(True, precision):
                    pairs = []
                    scale = 0.0
                    for _ in range(3):
                        x, y = draw(B.dims, model_dtype), draw(B.dimsd, data_dtype)
                        data, model = B(x), B.H(y)
                        pairs.append((_inner(data, y), _inner(x, model)))
                        scale = max(scale, _norm(data) * _norm(y) + _norm(x) * _norm(model))
                    _compare_inner_products(A, pairs, full, scale, (model_dtype, data_dtype))


def _compare_inner_products(
    A: LinearOperator, pairs: list[tuple[complex, complex]], full: bool, scale: float, dtypes: tuple[Any, Any]
) -> None:
    left, right = np.array(pairs).T
    if not full:  # the adjoint of an R-linear map is the one under Re<.,.>
        left, right = left.real, right.real
    allowed = _TOLERANCE[real_dtype(dtypes[0])] * scale
    errors = np.abs(left - right)
    worst = int(np.argmax(errors))
    if errors[worst] <= allowed:
        return
    norm = np.vdot(right, right).real
    factor = f"{np.vdot(right, left) / norm:.4g}" if norm else "infinite"
    hint = (
        "Their real parts agree: an operator that is linear over the real numbers only is declared by clinear=False."
        if np.all(np.abs(left.real - right.real) <= allowed)
        else "A steady factor means a wrong scale, a changing one a wrong adjoint."
    )
    raise AssertionError(
        f"{A.name_and_type}: adjoint: <A x, y> = {left[worst]:.6g} but <x, A^H y> = {right[worst]:.6g} "
        f"for {dtypes[0]} x and {dtypes[1]} y, allowed difference {allowed:.2g}; "
        f"fitted factor <A x, y> / <x, A^H y> = {factor} over {len(pairs)} pairs. {hint}"
    )


def check_linear(A: LinearOperator) -> None:
    """Check that ``A (a x + b z) = a A x + b A z``, with complex ``a`` and ``b`` unless ``clinear=False``."""
    with _blaming(A, "linear"):
        for side in _sides(A):
            for dtype in side.fields:
                draw = _Draw(A)
                x, z = draw(side.dims, dtype), draw(side.dims, dtype)
                is_complex = side.takes_complex and A.clinear and dtype.is_complex
                a, b = (0.7 - 1.3j, -0.4 + 0.9j) if is_complex else (0.7, -1.9)
                scale = side.norm * (_norm(x) + _norm(z))
                got = side.operator(a * x + b * z)
                want = a * side.operator(x) + b * side.operator(z)
                hint = "With complex factors: is an imaginary part lost, or should clinear be False?"
                _agree(A, f"linear: {side.label}", got, want, scale, hint if is_complex else "")
                zero = side.operator(torch.zeros_like(x))
                _require(A, f"linear: {side.label}", not zero.count_nonzero(), "a zero input gives a nonzero output")
                if A.clinear and side.takes_complex and not dtype.is_complex:
                    got = side.operator(x.to(complex_dtype(dtype)))
                    hint = "The same real input, once as a real and once as a complex tensor: what did the first lose?"
                    _agree(A, f"linear: {side.label}", side.operator(x), got, scale, hint)


def check_dense(A: LinearOperator) -> None:
    """Check the matrix: forward against adjoint, column by column, and both against ``todense``."""
    with _blaming(A, "dense"):
        forward, adjoint = _sides(A)
        P, Q = _measure(adjoint.operator, A.dimsd, not adjoint.takes_complex)
        hint = "The adjoint is not the conjugate transpose of the forward."
        _agree(A, "dense: matrix of A.H", P, adjoint.P, forward.norm, hint)
        _agree(A, "dense: matrix of A.H", Q, adjoint.Q, forward.norm, hint)
        if A.clinear and not A.real_model:
            hint = "It is linear over the real numbers only: declare clinear=False."
            _agree(A, "dense: part that conjugates x", forward.Q, torch.zeros_like(P.mT), forward.norm, hint)
        matrix = forward.P + forward.Q
        draw = _Draw(A)
        for side in (forward, adjoint):
            for dtype in side.fields:
                x = draw(side.dims, dtype)
                hint = "Unit vectors give the columns of the matrix, a random vector another result: lost precision?"
                _agree(A, f"dense: {side.label}", side.operator(x), side.exact(x), side.norm * _norm(x), hint)
        _agree(A, "todense('torch')", A.todense(backend="torch"), matrix, forward.norm)
        _agree(A, "todense()", torch.from_numpy(A.todense()), matrix.cpu(), forward.norm)
        _require(
            A,
            "dtype",
            A.dtype.kind == "c" or float(matrix.imag.abs().max()) == 0,
            f"its matrix is complex and its dtype {A.dtype}: SciPy would drop the imaginary part. Declare dtype=complex",
        )
        if _HAS_SCIPY:
            _agree(A, "tosparse()", torch.from_numpy(A.tosparse().toarray()), matrix.cpu(), forward.norm)


# -- shapes and batches ----------------------------------------------------------------------------------------


def check_shapes(A: LinearOperator) -> None:
    """Check that N-D and flattened inputs are answered in kind, and that a wrong input is refused by name."""
    with _blaming(A, "shapes"):
        _require(A, "shape", A.shape == (math.prod(A.dimsd), math.prod(A.dims)), f"got {A.shape}")
        for side in _sides(A):
            draw = _Draw(A)
            for batch in BATCHES:
                x = draw((*batch, *side.dims), side.fields[-1])
                nd = side.operator(x)
                flat = side.operator(x.reshape(*batch, math.prod(side.dims)))
                what = f"{side.label} of batch shape {batch}"
                _require(A, "shapes", nd.shape == (*batch, *side.dimsd), f"{what} has shape {tuple(nd.shape)}")
                wanted = (*batch, math.prod(side.dimsd))
                _require(A, "shapes", flat.shape == wanted, f"flattened {what} has shape {tuple(flat.shape)}")
                _agree(A, f"shapes: flattened {what}", flat.reshape(nd.shape), nd, 0.0)
            _check_refusals(A, side, draw)
        _check_repr(A)


def _check_refusals(A: LinearOperator, side: _Side, draw: _Draw) -> None:
    B, dims, size = side.operator, side.dims, math.prod(side.dims)
    wrong = next(n for n in range(dims[-1] + 1, size + dims[-1] + 3) if n not in (size, dims[-1]))
    bad = draw((2, *dims[:-1], wrong), torch.float64)
    numbers = [str(size) for size in dims] + [str(tuple(bad.shape))]
    name = A.name_and_type
    _require_refusal(A, ValueError, lambda: B(bad), [name, *numbers], f"{side.label} of shape {tuple(bad.shape)}")
    bad = draw((size + 1, 2, 2), torch.float64)
    _require_refusal(A, ValueError, lambda: B @ bad, [name, str(tuple(bad.shape))], f"@ with shape {tuple(bad.shape)}")
    integers = torch.ones(dims, dtype=torch.int64, device=draw.device)
    _require_refusal(A, TypeError, lambda: B(integers), [name, "int64"], f"{side.label} of integers")
    if not side.takes_complex:
        unreal = draw(dims, torch.complex128)
        _require_refusal(A, TypeError, lambda: B(unreal), [name, "complex128"], f"{side.label} of a complex model")


def _check_repr(A: LinearOperator) -> None:
    text = repr(A)
    for part in (str(A.dims), str(A.dimsd), "x".join(map(str, A.shape))):
        _require(A, "repr", part in text, f"{part} is not in {text}")


def check_batches(A: LinearOperator) -> None:
    """Check that a batch is answered sample by sample, without a loop in Python, in any memory layout."""
    with _blaming(A, "batches"):
        for side in _sides(A):
            B, draw = side.operator, _Draw(A)
            for dtype in side.fields:
                for batch in BATCHES:
                    x = draw((*batch, *side.dims), dtype)
                    y = B(x)
                    what = f"batches: {side.label} of batch shape {batch}"
                    _require(A, what, y.shape == (*batch, *side.dimsd), f"has shape {tuple(y.shape)}")
                    samples = x.reshape(math.prod(batch), *side.dims)
                    alone = [B(sample) for sample in samples]
                    want = torch.stack(alone).reshape(y.shape) if alone else y
                    _agree(A, what, y, want, side.norm * _norm(x), "A sample depends on the others.")
                x = draw((3, *side.dims), dtype)
                want = B(x)
                for layout, other in _layouts(x).items():
                    what = f"batches: {side.label} of {layout}"
                    _agree(A, what, B(other), want, side.norm * _norm(x))
            with _Calls() as few:
                B(draw((3, *side.dims), side.fields[0]))
            with _Calls() as many:
                B(draw((7, *side.dims), side.fields[0]))
            _require(
                A,
                f"batches: {side.label}",
                many.count <= few.count,
                f"calls torch {few.count} times for a batch of 3 and {many.count} times for a batch of 7: "
                "it loops over the batch in Python",
            )


def _layouts(x: Tensor) -> dict[str, Tensor]:
    """Return tensors equal to ``x`` that lie in memory in other ways."""
    wide = torch.empty((*x.shape, 2), dtype=x.dtype, device=x.device)
    wide[..., 0] = x
    reversed_axes = tuple(range(x.ndim - 1, -1, -1))
    layouts = {
        "a strided tensor": wide[..., 0],
        "a transposed tensor": x.permute(reversed_axes).contiguous().permute(reversed_axes),
    }
    if x.is_complex():
        layouts["a tensor with the conjugate bit"] = x.conj().resolve_conj().conj()
    return layouts


class _Calls(TorchFunctionMode):
    """Counts the calls of torch functions."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def check_no_aliasing(A: LinearOperator) -> None:
    """Check that an output shares memory with nothing, and that a call changes neither input nor operator."""
    with _blaming(A, "no aliasing"):
        own = {tensor.untyped_storage().data_ptr() for tensor in A._all_tensors()}
        before = [tensor.clone() for tensor in A._all_tensors()]
        for side in _sides(A):
            B, draw, size = side.operator, _Draw(A), math.prod(side.dims)
            for dtype in side.fields:
                model = draw(side.dims, dtype)
                columns = draw((*side.dims, 3), dtype)
                calls: dict[str, tuple[Function, Tensor]] = {
                    f"{side.label}": (B, model),
                    f"{side.label} of a batch": (B, draw((2, *side.dims), dtype)),
                    f"{side.label} of a batch of one": (B, draw((1, *side.dims), dtype)),
                    f"{side.label} of a flattened model": (B, model.reshape(size)),
                    "@ with a vector": (B.__matmul__, model.reshape(size)),
                    "@ with columns": (B.__matmul__, columns),
                    "matmat": (B.matmat, columns.reshape(size, 3)),
                    "matmat of one column": (B.matmat, model.reshape(size, 1)),
                    "rmatvec of A.H": (B.H.rmatvec, model.reshape(size)),
                }
                if dtype.is_complex:
                    calls[f"{side.label} of a conjugated model"] = (B, model.conj())
                for what, (apply, x) in calls.items():
                    with torch.no_grad():
                        _check_output_is_new(A, what, apply, x, own)
                array = model.cpu().numpy()
                if not A._all_tensors() or A._all_tensors()[0].is_cpu:
                    shares = np.shares_memory(B(array), array)
                    _require(A, "no aliasing", not shares, f"{side.label} of a NumPy array shares its memory")
        for tensor, kept in zip(A._all_tensors(), before, strict=True):
            _require(A, "no aliasing", torch.equal(tensor, kept), "a call changed a tensor of the operator")


def _check_output_is_new(A: LinearOperator, what: str, apply: Function, x: Tensor, own: set[int]) -> None:
    kept = x.clone()
    out = apply(x)
    memory = out.untyped_storage().data_ptr()
    _require(A, "no aliasing", torch.equal(x, kept), f"{what} changed its input")
    _require(A, "no aliasing", memory != x.untyped_storage().data_ptr(), f"{what} shares memory with its input")
    _require(A, "no aliasing", memory not in own, f"{what} shares memory with a tensor of the operator")
    out.add_(1)  # raises where elements of an expanded output share memory


# -- derivatives -----------------------------------------------------------------------------------------------


def check_derivatives(A: LinearOperator) -> None:
    """Check the modes of ``torch.autograd``, alone and nested, against the matrix.

    Reverse, forward, reverse over reverse, forward over reverse, reverse over forward, batched
    (``is_grads_batched``), third order, and the derivative with respect to the cotangent.
    """
    with _blaming(A, "derivatives"):
        for side in _sides(A):
            for dtype in side.fields:
                draw = _Draw(A)
                x, t, z = (draw((2, *side.dims), dtype) for _ in range(3))
                out_dtype = side.operator(x).dtype
                Y = draw((3, 2, *side.dimsd), out_dtype)
                _compare_modes(A, "derivatives", side, dtype, lambda f, x=x, t=t, z=z, Y=Y: _modes(f, x, t, z, Y))
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
        return grad(_loss(f(model)), model, create_graph=True)

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


def _check_autograd_states(A: LinearOperator, side: _Side, x: Tensor) -> None:
    B = side.operator
    want = B(x)
    _require(A, "derivatives", not _tracks(A) or want.requires_grad, f"{side.label} does not track the operator")
    with torch.no_grad():
        bare = B(x.clone().requires_grad_())
    _require(A, "derivatives", not bare.requires_grad, f"{side.label} under no_grad wants a gradient")
    with torch.inference_mode():
        _agree(A, f"derivatives: {side.label} in inference mode", B(x.clone()), want.detach(), 0.0)
    model = x.clone().requires_grad_()
    _require(A, "derivatives", B(model).requires_grad, f"{side.label} has lost the graph of its input")
    (got,) = torch.autograd.grad(B(model), model, torch.ones_like(want))
    _require(A, "derivatives", got.dtype == x.dtype, f"the gradient of {x.dtype} {side.label} is {got.dtype}")


def _tracks(A: LinearOperator) -> bool:
    return any(tensor.requires_grad for tensor in A._own_tensors())


def check_functorch(A: LinearOperator) -> None:
    """Check the transforms of ``torch.func``, alone and composed, against the matrix."""
    with _blaming(A, "torch.func"):
        for side in _sides(A):
            for dtype in side.fields:
                draw = _Draw(A)
                X, T = draw((3, *side.dims), dtype), draw((3, *side.dims), dtype)
                Y = draw((3, *side.dimsd), side.operator(X).dtype)
                _compare_modes(A, "torch.func", side, dtype, lambda f, X=X, T=T, Y=Y: _transforms(f, X, T, Y))


def _transforms(f: Function, X: Tensor, T: Tensor, Y: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Return what every transform of ``torch.func``, and compositions of them, make of ``f``."""
    from torch.fx.experimental.proxy_tensor import make_fx

    fn = torch.func
    x, t = X[0], T[0]
    data_dtype = f(X).dtype
    Y = Y.to(data_dtype)
    y = Y[0]
    r, R = _to_real(x), _to_real(X)

    def loss(x: Tensor) -> Tensor:
        return _loss(f(x))

    def jvp(function: Function, x: Tensor, t: Tensor) -> Tensor:
        result: Tensor = fn.jvp(function, (x,), (t,))[1]
        return result

    def vjp(function: Function, x: Tensor, y: Tensor) -> Tensor:
        return fn.vjp(function, x)[1](y)[0]  # type: ignore[no-any-return]

    def real_f(r: Tensor) -> Tensor:
        return _as_real_pair(f(_from_real(r, x)))

    def real_loss(r: Tensor) -> Tensor:
        return _loss(f(_from_real(r, x)))

    def slope(x: Tensor, t: Tensor) -> Tensor:  # of the loss along t
        return _inner_tensor(fn.grad(loss)(x), t)

    def traced(function: Function) -> Tensor:
        return make_fx(function)(x)(t)  # type: ignore[no-any-return]

    modes: dict[str, Callable[[], Tensor]] = {
        "vmap": lambda: fn.vmap(f)(X),
        "vmap along the last axis": lambda: fn.vmap(f, in_dims=-1, out_dims=-1)(X.movedim(0, -1)),
        "vmap(vmap)": lambda: fn.vmap(fn.vmap(f))(X[None]),
        "grad": lambda: fn.grad(loss)(x),
        "vjp": lambda: vjp(f, x, y),
        "jvp": lambda: jvp(f, x, t),
        "value of jvp": lambda: fn.jvp(f, (x,), (t,))[0],
        "linearize": lambda: fn.linearize(f, x)[1](t),
        "vmap(grad)": lambda: fn.vmap(fn.grad(loss))(X),
        "vmap(vjp)": lambda: fn.vmap(lambda x, y: vjp(f, x, y))(X, Y),
        "vmap(jvp)": lambda: fn.vmap(lambda x, t: jvp(f, x, t))(X, T),
        "grad(vmap)": lambda: fn.grad(lambda X: _loss(fn.vmap(f)(X)))(X),
        "jvp(vmap)": lambda: jvp(fn.vmap(f), X, T),
        "vjp(vjp)": lambda: vjp(lambda y: vjp(f, x, y), y, t),
        "jvp(vjp), by the cotangent": lambda: jvp(lambda y: vjp(f, x, y), y, y),
        "vjp(jvp), by the tangent": lambda: vjp(lambda t: jvp(f, x, t), t, y),
        "grad(grad)": lambda: fn.grad(lambda x: slope(x, t))(x),
        "jvp(grad)": lambda: jvp(fn.grad(loss), x, t),
        "grad(jvp)": lambda: fn.grad(lambda x: jvp(loss, x, t))(x),
        "jvp(jvp)": lambda: jvp(lambda x: jvp(loss, x, t), x, X[1]),
        "jvp(jvp(grad))": lambda: jvp(lambda x: jvp(fn.grad(loss), x, t), x, X[1]),
        "grad(grad(grad))": lambda: fn.grad(lambda x: _inner_tensor(fn.grad(lambda z: slope(z, t))(x), X[1]))(x),
        "vmap(jvp(grad))": lambda: fn.vmap(lambda x, t: jvp(fn.grad(loss), x, t))(X, T),
        "jacrev": lambda: fn.jacrev(real_f)(r),
        "jacfwd": lambda: fn.jacfwd(real_f)(r),
        "vmap(jacrev)": lambda: fn.vmap(fn.jacrev(real_f))(R),
        "vmap(jacfwd)": lambda: fn.vmap(fn.jacfwd(real_f))(R),
        "hessian": lambda: fn.hessian(real_loss)(r),
        "jacrev(jacfwd)": lambda: fn.jacrev(fn.jacfwd(real_loss))(r),
        "jacrev(jacrev)": lambda: fn.jacrev(fn.jacrev(real_loss))(r),
        "jacfwd(jacfwd)": lambda: fn.jacfwd(fn.jacfwd(real_loss))(r),
        "vmap(hessian)": lambda: fn.vmap(fn.hessian(real_loss))(R),
        "functionalize": lambda: fn.functionalize(f)(x),
        "make_fx": lambda: traced(f),
        "make_fx(grad)": lambda: traced(fn.grad(loss)),
    }
    return modes


def _compare_modes(
    A: LinearOperator, promise: str, side: _Side, dtype: torch.dtype, modes: Callable[[Function], dict[str, Any]]
) -> None:
    """Compare every mode on the operator with the same mode on its matrix; both scaled to norm one."""
    scale = 1 / side.norm if side.norm else 1.0
    of_operator = modes(lambda x: side.operator(x) * scale)
    of_matrix = modes(lambda x: side.exact(x) * scale)
    for mode, of_operator_mode in of_operator.items():
        what = f"{promise}: {mode} of {side.label} on {dtype}"
        with _blaming(A, what):
            got = of_operator_mode()
        want = of_matrix[mode]()
        size = max(float(want.detach().abs().max()), 1e-3)
        _agree(A, what, got, want, size, "It is not that of the matrix of A.", _DERIVATIVE_TOLERANCE)


def check_tensor_gradients(build: Builder, tensors: Sequence[Tensor]) -> None:
    """Check the derivatives with respect to the tensors that an operator is built from.

    First and second derivatives, reverse and forward, against finite differences; building inside
    ``torch.func`` transforms; that a parameter stays one and a graph is kept; and that the next call sees a
    tensor that was changed in place.

    Args:
        build: Builds the operator from the tensors.
        tensors: Floating or complex tensors in double precision.
    """
    if not tensors:
        return
    originals = [tensor.detach().clone() for tensor in tensors]

    def fresh() -> list[Tensor]:
        return [tensor.clone() for tensor in originals]

    def others(factor: float) -> list[Tensor]:  # near enough to stay inside the range of a position
        return [tensor * factor for tensor in originals]

    A = build(*fresh())
    with _blaming(A, "gradients to its tensors"):
        for side in _sides(A):
            draw = _Draw(A)
            for dtype in side.fields:
                _check_finite_differences(A, build, fresh, side, draw(side.dims, dtype))
            x = draw(side.dims, side.fields[-1])
            _check_building_inside(A, build, originals, others(0.96), side, x)
        _check_kinds_of_tensors(A, build, originals)


def _apply_built(build: Builder, adjoint: bool) -> Callable[..., Tensor]:
    def apply(x: Tensor, *tensors: Tensor) -> Tensor:
        A = build(*tensors)
        result: Tensor = A.H(x) if adjoint else A(x)
        return result

    return apply


def _check_finite_differences(
    A: LinearOperator, build: Builder, fresh: Callable[[], list[Tensor]], side: _Side, x: Tensor
) -> None:
    apply = _apply_built(build, side.is_adjoint)
    inputs = [value.requires_grad_() for value in (x.clone(), *fresh())]
    what = f"gradients to its tensors: {side.label} of {x.dtype} x"
    with _blaming(A, what):
        torch.autograd.gradcheck(apply, inputs, check_forward_ad=True, check_batched_grad=True, fast_mode=True)
        torch.autograd.gradgradcheck(apply, inputs, check_fwd_over_rev=True, check_batched_grad=True, fast_mode=True)


def _check_building_inside(
    A: LinearOperator, build: Builder, ones: list[Tensor], twos: list[Tensor], side: _Side, x: Tensor
) -> None:
    fn = torch.func
    apply = functools.partial(_apply_built(build, side.is_adjoint), x)
    both = [torch.stack(pair) for pair in zip(ones, twos, strict=True)]
    every = tuple(range(len(ones)))

    def loss(*tensors: Tensor) -> Tensor:
        return _loss(apply(*tensors) / (side.norm or 1.0))

    def plain_gradient(tensors: list[Tensor]) -> list[Tensor]:
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        return list(torch.autograd.grad(loss(*leaves), leaves, materialize_grads=True))

    where = f"gradients to its tensors: {side.label} built inside"
    with _blaming(A, f"{where} vmap"):
        got = fn.vmap(apply)(*both)
        _agree(A, f"{where} vmap", got, torch.stack([apply(*ones), apply(*twos)]), side.norm * _norm(x))
    want = plain_gradient(ones)
    wants = [torch.stack(pair) for pair in zip(want, plain_gradient(twos), strict=True)]
    results: dict[str, Callable[[], Any]] = {
        "grad": lambda: fn.grad(loss, every)(*ones),
        "vjp": lambda: fn.vjp(loss, *ones)[1](torch.ones((), dtype=x.real.dtype, device=x.device)),
        "vmap(grad)": lambda: fn.vmap(fn.grad(loss, every))(*both),
    }
    for mode, compute in results.items():
        with _blaming(A, f"{where} {mode}"):
            gradients = compute()
        for got, expected in zip(gradients, wants if mode == "vmap(grad)" else want, strict=True):
            size = max(float(expected.abs().max()), 1e-3)
            _agree(A, f"{where} {mode}", got, expected, size, "Autograd has another.", _DERIVATIVE_TOLERANCE)
    with _blaming(A, f"{where} jvp"):
        slope = fn.jvp(loss, tuple(ones), tuple(ones))[1]
    expected = sum((_inner_tensor(g, t) for g, t in zip(want, ones, strict=True)), start=torch.zeros(()))
    size = max(float(expected.abs()), 1e-3)
    _agree(A, f"{where} jvp", slope, expected, size, "Reverse mode has another.", _DERIVATIVE_TOLERANCE)


def _check_kinds_of_tensors(A: LinearOperator, build: Builder, originals: list[Tensor]) -> None:
    promise = "its tensors"
    x = _Draw(A)(A.dims, torch.float64)
    y = _Draw(A)(A.dimsd, torch.float64)

    parameters = [nn.Parameter(tensor.clone()) for tensor in originals]
    B = build(*parameters)
    adjoint, square = B.H, B.H @ B
    before = B(x), adjoint(y)
    known = list(B.parameters())
    for parameter in parameters:
        kept = any(parameter is other for other in known)
        _require(A, promise, kept, "a parameter that it was built from is none of its parameters() any more")
    _require(A, promise, len(known) == len(parameters), f"{len(parameters)} parameters became {len(known)}")
    with torch.no_grad():
        for parameter in parameters:
            parameter.mul_(0.97)
    C = build(*(parameter.detach().clone() for parameter in parameters))
    hint = "A parameter was changed in place: is something derived from it kept?"
    scale = max(_sides(A)[0].norm, _sides(C)[0].norm) * _norm(x)
    _agree(A, f"{promise}: A(x) after a change in place", B(x), C(x), scale, hint)
    _agree(A, f"{promise}: A.H(y) after a change in place", adjoint(y), C.H(y), scale * _norm(y), hint)
    _agree(A, f"{promise}: (A.H @ A)(x) after it", square(x), C.H(C(x)), scale**2 + scale, hint)
    _require(
        A, promise, not torch.equal(before[0], B(x)) or not torch.equal(before[1], adjoint(y)), "they have no effect"
    )

    leaves = [tensor.clone().requires_grad_() for tensor in originals]
    D = build(*(1 * leaf for leaf in leaves))
    _loss(D(x)).backward()  # type: ignore[no-untyped-call]
    reached = [leaf.grad is not None for leaf in leaves]
    _require(A, promise, all(reached), "a tensor with a graph was given, and no gradient reaches what it came from")

    names = {id(tensor): name for name, tensor in [*B.named_parameters(), *B.named_buffers()]}
    values = {names[id(parameter)]: tensor for parameter, tensor in zip(parameters, originals, strict=True)}
    got = torch.func.functional_call(B, values, (x,))
    _agree(A, f"{promise}: functional_call", got, build(*originals)(x), scale * 2)


# -- compiling and exporting -----------------------------------------------------------------------------------


def check_compile(A: LinearOperator, backend: str = "aot_eager") -> None:
    """Check ``torch.compile(fullgraph=True)`` of a call, of its gradient, and of transforms of it.

    Args:
        A: The operator.
        backend: A backend of ``torch.compile``; ``"inductor"`` also generates and compiles code.
    """
    with _blaming(A, "compile"):
        forward, adjoint = _sides(A)
        for dtype in forward.fields:
            draw = _Draw(A)
            X = draw((2, *A.dims), dtype)
            Y = draw((2, *A.dimsd), torch.promote_types(A(X).dtype, dtype))
            _compile_everything(A, forward, adjoint, X, Y, backend)
            _compile_backward(A, forward, X, Y, backend)
        torch.compiler.reset()


def _compiled_functions(f: Function, h: Function, x: Tensor) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Return the functions of ``(X, Y)`` that have to compile, for a forward ``f`` and an adjoint ``h``."""
    fn = torch.func

    def loss(x: Tensor) -> Tensor:
        return _loss(f(x))

    def real_f(r: Tensor) -> Tensor:
        return _as_real_pair(f(_from_real(r, x)))

    def real_loss(r: Tensor) -> Tensor:
        return _loss(f(_from_real(r, x)))

    functions: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "A(x)": lambda X, Y: f(X),
        "A.H(y)": lambda X, Y: h(Y),
        "grad of A(x)": lambda X, Y: fn.grad(loss)(X),
        "grad of A.H(y)": lambda X, Y: fn.grad(lambda y: _loss(h(y)))(Y),
        "vmap": lambda X, Y: fn.vmap(f)(X),
        "vmap(grad)": lambda X, Y: fn.vmap(fn.grad(loss))(X),
        "jvp": lambda X, Y: fn.jvp(f, (X,), (X,))[1],
        "jacfwd": lambda X, Y: fn.jacfwd(real_f)(_to_real(X[0])),
        "hessian": lambda X, Y: fn.hessian(real_loss)(_to_real(X[0])),
    }
    if not x.is_complex():
        functions["jacrev"] = lambda X, Y: fn.jacrev(real_f)(_to_real(X[0]))
    else:  # as loops over real pairs they compile to the same kernels as the real ones, at twice the time
        del functions["jacfwd"], functions["hessian"]
    return functions


def _compile_everything(A: LinearOperator, forward: _Side, adjoint: _Side, X: Tensor, Y: Tensor, backend: str) -> None:
    scale = 1 / forward.norm if forward.norm else 1.0
    B, H = A, A.H
    functions = _compiled_functions(lambda x: B(x) * scale, lambda y: H(y) * scale, X[0])
    of_matrix = _compiled_functions(lambda x: forward.exact(x) * scale, lambda y: adjoint.exact(y) * scale, X[0])
    wants = {name: function(X, Y) for name, function in of_matrix.items()}

    def everything(X: Tensor, Y: Tensor) -> tuple[Tensor, ...]:
        return tuple(function(X, Y) for function in functions.values())

    torch.compiler.reset()
    try:  # one graph costs half the time of one each
        results = dict(zip(functions, _compiled(everything, backend)(X, Y), strict=True))
    except Exception:
        results = {}
    for name, function in functions.items():
        what = f"compile: {name} on {X.dtype}"
        if name not in results:  # find out which
            torch.compiler.reset()
            with _blaming(A, what):
                results[name] = _compiled(function, backend)(X, Y)
        size = max(float(wants[name].detach().abs().max()), 1e-3)
        hint = "The compiled function has another result than the matrix of A."
        _agree(A, what, results[name], wants[name], size, hint, _DERIVATIVE_TOLERANCE)
    if not results:  # each compiled alone: only together they do not
        raise AssertionError(f"{A.name_and_type}: compile: its transforms do not compile into one graph")


def _compile_backward(A: LinearOperator, forward: _Side, X: Tensor, Y: Tensor, backend: str) -> None:
    torch.compiler.reset()
    what = f"compile: the module A and its backward on {X.dtype}"
    leaf, same = X.clone().requires_grad_(), X.clone().requires_grad_()
    with _blaming(A, what):
        out = _compiled(A, backend)(leaf)
        cotangent = Y.to(out.dtype) if out.is_complex() or not Y.is_complex() else Y.real.to(out.dtype)
        (got,) = torch.autograd.grad(out, leaf, cotangent)
    exact = forward.exact(same)
    (want,) = torch.autograd.grad(exact, same, cotangent.to(exact.dtype))
    _agree(A, what, out, exact, forward.norm * _norm(X))
    _agree(A, what, got, want, forward.norm * _norm(Y))


def _compiled(function: Callable[..., Any], backend: str) -> Callable[..., Any]:
    return torch.compile(function, fullgraph=True, backend=backend)


def check_export(A: LinearOperator) -> None:
    """Check ``torch.export.export`` of the operator and its adjoint, with a fixed and with any batch size."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.A, self.H = A, A.H

        def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return self.A(x), self.H(y)

    with _blaming(A, "export"):
        forward, adjoint = _sides(A)
        draw = _Draw(A)
        batch = torch.export.Dim("batch")
        for shapes, sizes in ((None, ((), ())), (({0: batch}, {0: batch}), ((3,), (5,)))):
            kind = "a fixed shape" if shapes is None else "any batch size"
            x, y = (draw((*sizes[0], *side.dims), side.fields[-1]) for side in (forward, adjoint))
            with _blaming(A, f"export with {kind}"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program = torch.export.export(Both(), (x, y), dynamic_shapes=shapes).module()
            x, y = (draw((*sizes[1], *side.dims), side.fields[-1]) for side in (forward, adjoint))
            with _blaming(A, f"export with {kind}, run on batch shape {sizes[1]}"):
                results = program(x, y)
            for side, value, got in zip((forward, adjoint), (x, y), results, strict=True):
                what = f"export with {kind}: {side.label}"
                _agree(A, what, got, side.exact(value), side.norm * _norm(value))


# -- dtypes and devices ----------------------------------------------------------------------------------------


def check_dtypes(A: LinearOperator) -> None:
    """Check that the output has the dtype of the input and the operator's tensors, and its full precision.

    bfloat16 and float16 have to work, or to raise an error that names the operator.
    """
    with _blaming(A, "dtypes"):
        for precision in (torch.float64, torch.float32):
            for B in (A, _converted(A, torch.float32)):
                for side in _sides(B):
                    for dtype in _fields(side.takes_complex, precision):
                        _check_precision(A, B, side, dtype)
        for half in (torch.bfloat16, torch.float16):
            _check_half(A, half)


def _check_precision(A: LinearOperator, B: LinearOperator, side: _Side, dtype: torch.dtype) -> None:
    x = _Draw(A)((2, *side.dims), dtype)
    out = side.operator(x)
    exact = side.operator(x.to(promote([dtype, torch.float64])))
    own = [tensor.dtype for tensor in _given_tensors(B)]
    every = [tensor.dtype for tensor in B._all_tensors() if tensor.is_floating_point() or tensor.is_complex()]
    allowed = [real_dtype(promote([dtype, *dtypes])) for dtypes in (own, every)]
    what = f"dtypes: {side.label} of {dtype} x"
    found = {str(tensor_dtype) for tensor_dtype in own} or "none"
    _require(
        A,
        what,
        real_dtype(out.dtype) in allowed,
        f"gives {out.dtype}; torch.result_type of x and of the operator's tensors ({found}) is {allowed[0]}",
    )
    _require(A, what, out.is_complex() == exact.is_complex(), f"gives {out.dtype}, in double precision {exact.dtype}")
    hint = "Precision was lost."
    tolerance = _TOLERANCE[real_dtype(out.dtype)]
    if real_dtype(out.dtype) == torch.float64:  # the matrix, measured on zeros and ones, is exact
        exact = side.exact(x)
    _agree(A, what, out, exact, side.norm * _norm(x), hint, tolerance)
    leaf = x.clone().requires_grad_()
    _loss(side.operator(leaf)).backward()  # type: ignore[no-untyped-call]
    gradient = None if leaf.grad is None else leaf.grad.dtype
    _require(A, what, gradient == dtype, f"the gradient is {gradient}")


def _check_half(A: LinearOperator, half: torch.dtype) -> None:
    names = {type(module).__name__ for module in A.modules()} | {A.name_and_type}
    try:
        B = _converted(A, half)
        C = copy.deepcopy(B).to(torch.float64)
        results = [(side, x := _Draw(A)((2, *side.dims), half), side.operator(x)) for side in _sides(C, B)]
    except Exception as error:
        text = str(error)
        if any(name in text for name in names):
            return
        raise AssertionError(
            f"{A.name_and_type}: dtypes: {half} raises an error that does not name the operator: "
            f"{type(error).__name__}: {text}"
        ) from error
    for (side, x, out), exact in zip(results, _sides(C), strict=True):
        what = f"dtypes: {side.label} of {half} x"
        _require(A, what, torch.finfo(out.dtype).bits <= 32, f"gives {out.dtype}")
        _agree(A, what, out, exact.operator(x.double()), exact.norm * _norm(x), "", _TOLERANCE[half])


def check_meta(A: LinearOperator) -> None:
    """Check that the operator runs where there are no values, so that on a GPU nothing waits for the host."""
    with _blaming(A, "meta device"):
        B = copy.deepcopy(A).to("meta")
        for side, without_values in zip(_sides(A), (B, B.H), strict=True):
            for dtype in side.fields:
                for batch in BATCHES:
                    x = _Draw(A)((*batch, *side.dims), dtype)
                    want = side.operator(x)
                    what = f"meta device: {side.label} of batch shape {batch}"
                    with _blaming(
                        A, f"{what} (does it read a value, as .item() does, or hold an unregistered tensor?)"
                    ):
                        leaf = x.to("meta").requires_grad_()
                        got = without_values(leaf)
                        _loss(got).backward()
                    _require(A, what, got.is_meta, f"the result is on {got.device}")
                    same = (got.shape, got.dtype) == (want.shape, want.dtype)
                    _require(A, what, same, f"gives {tuple(got.shape)} {got.dtype}, with values {want.dtype}")
                    _require(A, what, leaf.grad is not None and leaf.grad.shape == x.shape, "has lost the gradient")


# -- arrays and modules ----------------------------------------------------------------------------------------


def check_arrays(A: LinearOperator) -> None:
    """Check NumPy in, NumPy out, in every reading, and the way through SciPy where it is installed."""
    with _blaming(A, "arrays"):
        for side in _sides(A):
            for dtype in side.fields:
                _check_numpy(A, side, dtype)
        if _HAS_SCIPY:
            _check_scipy(A)


def _check_numpy(A: LinearOperator, side: _Side, dtype: torch.dtype) -> None:
    B, draw = side.operator, _Draw(A)
    size, size_out = math.prod(side.dims), math.prod(side.dimsd)
    X = draw((3, *side.dims), dtype)
    Y = B(X).detach().numpy()
    X = X.numpy()
    x, y = X[0], Y[0]
    columns, out_columns = X.reshape(3, size).T, Y.reshape(3, size_out).T
    read_only = x.copy()
    read_only.flags.writeable = False
    readings: dict[str, tuple[Callable[[], Any], Any]] = {
        "A(x)": (lambda: B(x), y),
        "A(x) of a batch": (lambda: B(X), Y),
        "A(x) flattened": (lambda: B(x.reshape(size)), y.reshape(size_out)),
        "A(x) of a read-only array": (lambda: B(read_only), y),
        "A(x) of a reversed array": (lambda: B(X[::-1]), Y[::-1]),
        "A @ vector": (lambda: B @ x.reshape(size), B(x.reshape(size))),
        "A @ model": (lambda: B @ x, y),
        "A * model": (lambda: B * x, y),
        "A.dot(model)": (lambda: B.dot(x), y),
        "A @ columns": (lambda: B @ columns, out_columns),
        "A @ models, columns last": (lambda: B @ np.moveaxis(X, 0, -1), np.moveaxis(Y, 0, -1)),
        "matvec": (lambda: B.matvec(x.reshape(size)), y.reshape(size_out)),
        "matvec of a column": (lambda: B.matvec(x.reshape(size, 1)), y.reshape(size_out, 1)),
        "matmat": (lambda: B.matmat(columns), out_columns),
        "A.H.rmatvec": (lambda: B.H.rmatvec(x.reshape(size)), y.reshape(size_out)),
        "A.H.rmatvec of a column": (lambda: B.H.rmatvec(x.reshape(size, 1)), y.reshape(size_out, 1)),
        "A.H.rmatmat": (lambda: B.H.rmatmat(columns), out_columns),
        "A.H.H @ model": (lambda: B.H.H @ x, y),
        "A.H.adjoint(model)": (lambda: B.H.adjoint(x), y),
    }
    for reading, (compute, want) in readings.items():
        what = f"arrays: {reading} with A = {side.label.partition(' of ')[0]}, {dtype}"
        with _blaming(A, what):
            got = compute()
        _require(A, what, isinstance(got, np.ndarray), f"gives a {type(got).__name__}")
        _require(A, what, got.dtype == Y.dtype, f"gives {got.dtype}, the tensor {Y.dtype}")
        _agree(
            A, what, torch.from_numpy(got.copy()), torch.from_numpy(want.copy()), side.norm * _norm(torch.from_numpy(X))
        )


def _check_scipy(A: LinearOperator) -> None:
    from scipy.sparse.linalg import aslinearoperator

    S = aslinearoperator(A)
    draw = _Draw(A)
    for dtype in _fields(not A.real_model, torch.float64):
        x = draw((3, A.shape[1]), dtype).numpy()
        y = draw((3, A.shape[0]), dtype).numpy()
        forward = A(x.reshape(3, *A.dims)).reshape(3, A.shape[0])
        adjoint = A.H(y.reshape(3, *A.dimsd)).reshape(3, A.shape[1])
        results = {
            "matvec": (S.matvec(x[0]), forward[0]),
            "rmatvec": (S.rmatvec(y[0]), adjoint[0]),
            "@ vector": (S @ x[0], forward[0]),
            "matmat": (S.matmat(x.T), forward.T),
            "rmatmat": (S.rmatmat(y.T), adjoint.T),
            "H": (S.H @ y[0], adjoint[0]),
        }
        for name, (got, want) in results.items():
            what = f"arrays: {name} of SciPy's aslinearoperator(A) on {dtype}"
            _agree(
                A, what, torch.from_numpy(got.copy()), torch.from_numpy(want.copy()), 1e2 * float(np.abs(want).max())
            )


def check_module(A: LinearOperator) -> None:
    """Check what an ``nn.Module`` owes: copies, pickles, state, parameters, casts, hooks, ``nn.Sequential``."""
    with _blaming(A, "module"):
        draw = _Draw(A)
        x = draw((2, *A.dims), _sides(A)[0].fields[-1])
        want = A(x).detach()
        _check_copies(A, x, want)
        _check_state(A, x, want)
        _check_casts(A)
        pair = nn.Sequential(nn.Identity(), A, A.H)
        _agree(A, "module: nn.Sequential(A, A.H)", pair(x), A.H(A(x)), 0.0)
        for view in (A.H, A.T, A.H @ A, 2 * A):
            same = {id(p) for p in view.parameters()} == {id(p) for p in A.parameters()}
            _require(A, "module", same, f"{view} has other parameters than the operator")
            memory = [tensor.data_ptr() for tensor in view.state_dict().values() if tensor.numel()]
            _require(A, "module", len(memory) == len(set(memory)), f"state_dict of {view} holds a tensor twice")
        calls: list[int] = []
        handle = A.register_forward_hook(lambda *_: calls.append(1))
        A(x)
        handle.remove()
        _require(A, "module", len(calls) == 1, f"a forward hook ran {len(calls)} times in one call")


def _check_copies(A: LinearOperator, x: Tensor, want: Tensor) -> None:
    copies = {"deepcopy": copy.deepcopy(A)}
    if all(_is_importable(type(module)) for module in A.modules()):
        copies["pickle"] = pickle.loads(pickle.dumps(A))
        file = io.BytesIO()
        torch.save(A, file)
        file.seek(0)
        copies["torch.save and torch.load"] = torch.load(file, weights_only=False)
    for how, B in copies.items():
        what = f"module: after {how}"
        _agree(A, what, B(x).detach(), want, 0.0)
        _agree(A, what, B.H(want).detach(), A.H(want).detach(), 0.0)
        _require(A, what, repr(B) == repr(A), f"repr is {B!r}, it was {A!r}")
        old = {tensor.data_ptr() for tensor in A._all_tensors() if tensor.numel()}
        new = {tensor.data_ptr() for tensor in B._all_tensors() if tensor.numel()}
        _require(A, what, not old & new, "the copy shares tensors with the operator")


def _is_importable(kind: type) -> bool:
    """Whether pickle can find the class; it cannot where it was defined inside a function."""
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind


def _check_state(A: LinearOperator, x: Tensor, want: Tensor) -> None:
    state = {name: tensor.detach().clone() for name, tensor in A.state_dict().items()}
    B = copy.deepcopy(A)
    with torch.no_grad():
        for tensor in B.state_dict().values():
            if tensor.is_floating_point() or tensor.is_complex():
                tensor.mul_(0.5)
    B.load_state_dict(state)
    _agree(A, "module: after load_state_dict", B(x).detach(), want, 0.0, "Something is kept that the state decides.")
    given = {id(tensor) for tensor in _given_tensors(A)}
    held = {id(tensor) for tensor in A.state_dict(keep_vars=True).values()}
    _require(A, "module", given <= held, "a tensor of the operator is not in its state_dict")


def _check_casts(A: LinearOperator) -> None:
    casts: dict[str, tuple[torch.dtype, Callable[[LinearOperator], Any]]] = {
        "A.to(torch.float32)": (torch.float32, lambda B: B.to(torch.float32)),
        "A.float()": (torch.float32, lambda B: B.float()),
        "A.double()": (torch.float64, lambda B: B.double()),
    }
    for what, (wanted, cast) in casts.items():
        B = copy.deepcopy(A)
        cast(B)
        for before, after in zip(A._all_tensors(), B._all_tensors(), strict=True):
            kept = before.is_complex() == after.is_complex() and before.shape == after.shape
            _require(A, f"module: {what}", kept, f"a {before.dtype} tensor became {after.dtype}")
            if before.is_floating_point() or before.is_complex():
                _require(A, f"module: {what}", real_dtype(after.dtype) == wanted, f"left a tensor {after.dtype}")
            else:
                _require(A, f"module: {what}", before.dtype == after.dtype, f"{before.dtype} became {after.dtype}")
        _require(A, f"module: {what}", A.dtype.kind == B.dtype.kind, f"dtype {A.dtype} became {B.dtype}")


# -- fast kernels ----------------------------------------------------------------------------------------------


def check_fast_kernels(A: LinearOperator) -> None:
    """Check fast kernels, if the operator or a part of it has any, called directly and through the policy.

    For the policy, fast kernels are taken from one element up; then every derivative goes through them.
    """
    if not any(getattr(module, "_has_fast_kernels", False) for module in A.modules()):
        return
    with _blaming(A, "fast kernels"):
        if A._has_fast_kernels:
            for side, kernel in zip(_sides(A), (A._fast_forward, A._fast_adjoint), strict=True):
                _check_kernel(A, side, kernel)
        with _fast_from(0):
            for side in _sides(A):
                for dtype in side.fields:
                    _check_policy(A, side, _Draw(A)((2, *side.dims), dtype))
            _check_changed_tensor(A)
            for promise in (check_adjoint, check_batches, check_no_aliasing, check_derivatives, check_functorch):
                with _blaming(A, "with its fast kernels"):
                    promise(A)


def _check_kernel(A: LinearOperator, side: _Side, kernel: Function) -> None:
    draw = _Draw(A)
    for precision in (torch.float64, torch.float32):
        for dtype in _fields(side.takes_complex, precision):
            for batch in BATCHES:
                x = draw((*batch, *side.dims), dtype)
                want = side.exact(x)
                scale = side.norm * _norm(x)
                what = f"fast kernels: {side.label} of {dtype} x of batch shape {batch}"
                plain = side.operator(x).dtype
                for layout, value in {"a plain tensor": x, **_layouts(x)}.items():
                    if not A._is_fast_for(value, side.is_adjoint):
                        continue
                    kept = value.clone()
                    with torch.no_grad(), _blaming(A, f"{what}, {layout}"):
                        got = kernel(value)
                    _require(A, what, got.dtype == plain, f"gives {got.dtype}, the plain kernel {plain}")
                    _agree(A, f"{what}, {layout}", got, want, scale, "", _TOLERANCE[real_dtype(got.dtype)])
                    _require(A, what, torch.equal(value, kept), "changed its input")


def _check_policy(A: LinearOperator, side: _Side, x: Tensor) -> None:
    B = side.operator
    what = f"fast kernels: {side.label} of {x.dtype} x"
    leaf = x.clone().requires_grad_()
    if A._has_fast_kernels and A._is_fast_for(x, side.is_adjoint) and not _tracks(A):
        taken = type(B(leaf).grad_fn).__name__
        _require(A, what, taken == "_FastKernelBackward", f"the fast kernel was not taken, but {taken}")
    with _blaming(A, what):
        torch.autograd.gradcheck(B, (leaf,), check_batched_grad=True, check_forward_ad=True, fast_mode=True)
        torch.autograd.gradgradcheck(B, (leaf,), check_batched_grad=True, check_fwd_over_rev=True, fast_mode=True)


def _check_changed_tensor(A: LinearOperator) -> None:
    for index, tensor in enumerate(A._own_tensors()):
        B = copy.deepcopy(A)
        x = _Draw(A)(A.dims, torch.float64).requires_grad_()
        out = B(x)
        if type(out.grad_fn).__name__ != "_FastKernelBackward" or not tensor.is_floating_point():
            continue
        with torch.no_grad():
            B._own_tensors()[index].mul_(2)
        try:
            out.backward(torch.ones_like(out))
        except RuntimeError:
            continue
        raise AssertionError(
            f"{A.name_and_type}: fast kernels: a tensor changed in place between forward and backward goes unnoticed"
        )


@contextmanager
def _fast_from(elements: int) -> Iterator[None]:
    """Take fast kernels from this many elements up."""
    before = autograd.FAST_FROM
    try:
        autograd.FAST_FROM = linearoperator.FAST_FROM = elements
        yield
    finally:
        autograd.FAST_FROM = linearoperator.FAST_FROM = before


# -- the measured matrix ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Side:
    """An operator or its adjoint, with its measured matrices: ``P x + Q conj(x)`` (``Q`` is 0 if C-linear)."""

    operator: LinearOperator
    P: Tensor
    Q: Tensor
    takes_complex: bool
    is_adjoint: bool

    @property
    def dims(self) -> tuple[int, ...]:
        return self.operator.dims

    @property
    def dimsd(self) -> tuple[int, ...]:
        return self.operator.dimsd

    @property
    def label(self) -> str:
        return "A.H(y)" if self.is_adjoint else "A(x)"

    @property
    def fields(self) -> tuple[torch.dtype, ...]:
        return _fields(self.takes_complex, torch.float64)

    @functools.cached_property
    def norm(self) -> float:
        return float((self.P.abs().square().sum() + self.Q.abs().square().sum()).sqrt())

    def exact(self, x: Tensor) -> Tensor:
        """Return what the matrices make of ``x``, by torch code that every mode differentiates."""
        batch = x.shape[: x.ndim - len(self.dims)]
        rows = x.reshape(*batch, 1, math.prod(self.dims)).to(torch.complex128)
        return (self.P * rows + self.Q * rows.conj()).sum(-1).reshape(*batch, *self.dimsd)


def _sides(A: LinearOperator, operator: LinearOperator | None = None) -> tuple[_Side, _Side]:
    """Return ``A`` and ``A.H`` with their matrices, both taken from the forward of ``A``.

    With ``operator``, the matrices of ``A`` come with that operator and its adjoint.
    """
    if A.shape[0] * A.shape[1] > _SMALL:
        raise ValueError(
            f"{A.name_and_type} has a matrix of {A.shape[0]} x {A.shape[1]}, which the checks would measure "
            "column by column: check a smaller one of its kind"
        )
    P, Q = _measure(A, A.dims, A.real_model)
    H = (P.mH / 2, P.mT / 2) if A.real_model else (P.mH, Q.mT)
    B = A if operator is None else operator
    forward = _Side(B, P, Q, not A.real_model, is_adjoint=False)
    return forward, _Side(B.H, *H, takes_complex=True, is_adjoint=True)


def _measure(A: LinearOperator, dims: tuple[int, ...], real_model: bool) -> tuple[Tensor, Tensor]:
    """Return ``P`` and ``Q`` of ``A x = P x + Q conj(x)`` from unit vectors, each applied by itself."""
    size = math.prod(dims)
    device = _Draw(A).device
    units = torch.eye(size, dtype=torch.float64, device=device)

    def columns(factor: complex) -> Tensor:
        inputs = units if factor == 1 and real_model else units * factor
        return torch.stack([A(unit.reshape(dims)).detach().reshape(-1) for unit in inputs], -1).to(torch.complex128)

    if real_model:
        P = columns(1)
        return P, torch.zeros_like(P)
    along, across = columns(1 + 0j), columns(1j) / 1j
    return (along + across) / 2, (along - across) / 2


class _Draw:
    """Draws the same normal numbers every time, on the device of an operator."""

    def __init__(self, A: LinearOperator) -> None:
        tensors = A._all_tensors()
        self.device = tensors[0].device if tensors else torch.get_default_device()
        self._generator = torch.Generator().manual_seed(20240229)

    def __call__(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        wide = complex_dtype(torch.float64) if dtype.is_complex else torch.float64
        numbers = torch.randn(shape, dtype=wide, generator=self._generator, device="cpu")
        return numbers.to(dtype).to(self.device)


def _fields(takes_complex: bool, precision: torch.dtype) -> tuple[torch.dtype, ...]:
    return (precision, complex_dtype(precision)) if takes_complex else (precision,)


def _converted(A: LinearOperator, dtype: torch.dtype) -> LinearOperator:
    return copy.deepcopy(A).to(dtype)


def _given_tensors(A: LinearOperator) -> list[Tensor]:
    """Return the floating and complex tensors that ``A`` and its parts were built from."""
    given: list[Tensor] = []
    for module in A.modules():
        if isinstance(module, LinearOperator):
            given += module._own_tensors()
        else:
            given += [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return [tensor for tensor in given if tensor.is_floating_point() or tensor.is_complex()]


def _loss(data: Tensor) -> Tensor:
    """Return a real number with derivatives of every order up to four."""
    square = data.real.square() + data.imag.square() if data.is_complex() else data.square()
    return (square + square.square()).sum()


def _to_real(x: Tensor) -> Tensor:
    return torch.stack([x.real, x.imag], -1) if x.is_complex() else x


def _from_real(r: Tensor, like: Tensor) -> Tensor:
    return torch.complex(r[..., 0], r[..., 1]) if like.is_complex() else r


def _as_real_pair(data: Tensor) -> Tensor:
    parts = (data.real, data.imag) if data.is_complex() else (data, torch.zeros_like(data))
    return torch.stack(parts, -1)


def _inner_tensor(x: Tensor, y: Tensor) -> Tensor:
    """Return ``Re<x, y>``."""
    product = x.conj() * y
    return (product.real if product.is_complex() else product).sum()


def _inner(x: Tensor, y: Tensor) -> complex:
    wide = torch.complex128
    return complex((x.detach().to(wide).conj() * y.detach().to(wide)).sum())


def _norm(x: Tensor) -> float:
    return float(x.detach().abs().double().square().sum().sqrt())


# -- verdicts --------------------------------------------------------------------------------------------------


def _agree(
    A: LinearOperator,
    what: str,
    got: Tensor,
    want: Tensor,
    scale: float,
    hint: str = "",
    tolerance: float = _TOLERANCE[torch.float64],
) -> None:
    """Raise unless ``got`` has the shape of ``want`` and is within ``tolerance * scale`` of it."""
    if got.shape != want.shape:
        raise AssertionError(f"{A.name_and_type}: {what}: got shape {tuple(got.shape)}, expected {tuple(want.shape)}")
    if not got.numel():
        return
    wide = torch.complex128
    error = float((got.detach().to(wide) - want.detach().to(wide)).abs().max())
    allowed = tolerance * scale
    if not error <= allowed:  # so that nan fails
        raise AssertionError(f"{A.name_and_type}: {what}: off by {error:.2g}, allowed {allowed:.2g}. {hint}".rstrip())


def _require(A: LinearOperator, what: str, holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(f"{A.name_and_type}: {what}: {message}")


def _require_refusal(
    A: LinearOperator, kind: type[Exception], call: Callable[[], Any], parts: Sequence[str], what: str
) -> None:
    """Raise unless ``call`` raises ``kind`` with every one of ``parts`` in its message."""
    try:
        call()
    except Exception as error:
        missing = [part for part in parts if part not in str(error)]
        if isinstance(error, kind) and not missing:
            return
        raise AssertionError(
            f"{A.name_and_type}: shapes: {what} raises {type(error).__name__}: {error}; "
            f"expected a {kind.__name__} that says {', '.join(parts)}"
        ) from error
    raise AssertionError(f"{A.name_and_type}: shapes: {what} raises nothing, expected a {kind.__name__}")


@contextmanager
def _blaming(A: LinearOperator, what: str) -> Iterator[None]:
    """Turn an error of torch or of the operator into a verdict that says where it came up."""
    try:
        yield
    except AssertionError as error:
        if str(error).startswith(A.name_and_type):
            raise
        raise AssertionError(f"{A.name_and_type}: {what}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{A.name_and_type}: {what}: raised {type(error).__name__}: {error}") from error


PROMISES: dict[str, Callable[[LinearOperator], None]] = {
    "adjoint": check_adjoint,
    "linear": check_linear,
    "dense": check_dense,
    "shapes": check_shapes,
    "batches": check_batches,
    "no_aliasing": check_no_aliasing,
    "derivatives": check_derivatives,
    "functorch": check_functorch,
    "dtypes": check_dtypes,
    "meta": check_meta,
    "arrays": check_arrays,
    "module": check_module,
    "fast_kernels": check_fast_kernels,
    "compile": check_compile,
    "export": check_export,
}
"""The checks that :func:`check` runs, by name; the derivatives to an operator's tensors need a builder."""
