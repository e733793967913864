"""The policy of fast kernels: used where nothing else is watching, and nowhere else."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import grad, hessian, jacfwd, jvp, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from torchlops import FirstDerivative, LinearOperator, Restriction, autograd, testing


class Difference(LinearOperator):
    """``h (x[i] - x[i-1])``, which counts the calls of its fast kernels."""

    def __init__(self, h: Tensor, dims: int = 6) -> None:
        super().__init__(dims)
        self._register("h", h)
        self.fast_calls = 0

    def _forward(self, x: Tensor) -> Tensor:
        return self.h * torch.cat([x[..., :1], x[..., 1:] - x[..., :-1]], -1)

    def _adjoint(self, y: Tensor) -> Tensor:
        y = self.h * y
        return torch.cat([y[..., :-1] - y[..., 1:], y[..., -1:]], -1)

    def _fast_forward(self, x: Tensor) -> Tensor:
        self.fast_calls += 1
        out = torch.empty(x.shape, dtype=torch.result_type(x, self.h))
        out[..., :1] = x[..., :1]
        torch.sub(x[..., 1:], x[..., :-1], out=out[..., 1:])
        return out.mul_(self.h)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        self.fast_calls += 1
        out = self.h * y
        out[..., :-1] -= out[..., 1:].clone()
        return out

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:
        return x.dtype != torch.float16


@pytest.fixture
def A(monkeypatch: pytest.MonkeyPatch) -> Iterator[Difference]:
    monkeypatch.setattr(autograd, "FAST_FROM", 0)
    return Difference(torch.linspace(1, 2, 6, dtype=torch.float64))


X = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
MATRIX = Difference(torch.linspace(1, 2, 6, dtype=torch.float64)).todense("torch")


def quartic(y: Tensor) -> Tensor:
    return (y**4).sum()


def test_taken_bare_where_no_gradient_is_wanted(A: Difference) -> None:
    torch.testing.assert_close(A(X), X @ MATRIX.mT)
    torch.testing.assert_close(A.H(X), X @ MATRIX)
    with torch.no_grad():
        A(X.clone().requires_grad_())
    with torch.inference_mode():
        A(X)
    assert A.fast_calls == 4


def test_taken_below_a_function_where_one_is(A: Difference) -> None:
    x = X.clone().requires_grad_()
    y = A(x)
    assert type(y.grad_fn).__name__ == "_FastKernelBackward"
    (first,) = torch.autograd.grad(quartic(y), x, create_graph=True)
    torch.testing.assert_close(first, 4 * (X @ MATRIX.mT) ** 3 @ MATRIX)
    torch.autograd.gradcheck(A, (x,), check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True)
    torch.autograd.gradgradcheck(A, (x,), check_fwd_over_rev=True, check_batched_grad=True)
    testing.check_derivatives(A)
    testing.check_functorch(A)


def test_from_the_threshold_up_only() -> None:
    A = Difference(torch.ones(6, dtype=torch.float64))
    rows = autograd.FAST_FROM // 6
    A(torch.ones(rows, 6))
    assert A.fast_calls == 0
    A(torch.ones(rows + 1, 6))
    assert A.fast_calls == 1


def test_left_where_the_operator_says_that_they_are_not_the_faster_ones(A: Difference) -> None:
    A(X.half())
    assert A.fast_calls == 0


def test_left_in_every_transform(A: Difference) -> None:
    x = X[0]
    vmap(A)(X)
    grad(lambda x: quartic(A(x)))(x)
    jvp(A, (x,), (x,))
    jacfwd(A)(x)
    hessian(lambda x: quartic(A(x)))(x)
    vmap(lambda _: A(x))(X)
    assert A.fast_calls == 0


def test_left_in_forward_mode(A: Difference) -> None:
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(A(forward_ad.make_dual(X, X))).tangent
        A(X)
    torch.testing.assert_close(tangent, X @ MATRIX.mT)
    assert A.fast_calls == 0


def test_left_when_compiled(A: Difference) -> None:
    torch.compiler.reset()
    torch.testing.assert_close(torch.compile(A, fullgraph=True, backend="aot_eager")(X), X @ MATRIX.mT)
    torch.export.export(A, (X,))
    assert A.fast_calls == 0
    torch.compiler.reset()


class _Watch(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def test_left_under_a_dispatch_mode_and_for_subclasses(A: Difference) -> None:
    class Tagged(Tensor):
        pass

    with _Watch():
        A(X)
    assert A.fast_calls == 0
    A(X.as_subclass(Tagged))
    assert A.fast_calls == 0
    A(nn.Parameter(X.clone()))
    assert A.fast_calls == 1


def test_left_for_batched_gradients(A: Difference) -> None:
    x = X.clone().requires_grad_()
    y = A(x)
    before = A.fast_calls
    cotangents = torch.stack([X, 2 * X])
    (got,) = torch.autograd.grad(y, x, cotangents, is_grads_batched=True)
    torch.testing.assert_close(got, cotangents @ MATRIX)
    assert A.fast_calls == before


def test_left_where_a_tensor_of_the_operator_learns() -> None:
    h = nn.Parameter(torch.ones(6, dtype=torch.float64))
    A = Difference(h, 6)
    large = torch.ones(autograd.FAST_FROM, 6, dtype=torch.float64)
    A(large).sum().backward()
    assert h.grad is not None
    assert A.fast_calls == 0
    with torch.no_grad():
        A(large)
    assert A.fast_calls == 1
    h.requires_grad_(False)
    A(large)
    assert A.fast_calls == 2


def test_left_for_a_tensor_inside_a_transform(A: Difference) -> None:
    def loss(h: Tensor) -> Tensor:
        return quartic(Difference(h)(X))

    h = A.h.clone()
    torch.testing.assert_close(grad(loss)(h), 4 * h**3 * ((X @ MATRIX.mT / h) ** 4).sum(0))


@pytest.mark.parametrize("threshold", [0, 1 << 40], ids=["fast", "differentiable"])
def test_what_happens_before_backward_is_the_same_for_both_kernels(
    threshold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tensor that is replaced, cast or given back does not reach the gradient; one changed in place raises."""
    monkeypatch.setattr(autograd, "FAST_FROM", threshold)
    h = torch.linspace(1, 2, 6, dtype=torch.float64)

    def replaced(A: LinearOperator) -> None:
        A.h = 2 * A.h

    happenings = [replaced, lambda A: A.float(), lambda A: A.to("meta"), lambda A: setattr(A, "h", nn.Parameter(h))]
    for happen in happenings:
        A = Difference(h.clone())
        x = X.clone().requires_grad_()
        y = A(x)
        fast = A.fast_calls
        assert fast == (threshold == 0)
        if happen is happenings[-1]:
            del A.h
        happen(A)
        (first,) = torch.autograd.grad(quartic(y), x, create_graph=True)
        torch.testing.assert_close(first, 4 * (X @ MATRIX.mT) ** 3 @ MATRIX)
        (second,) = torch.autograd.grad(first.sum(), x)
        torch.testing.assert_close(second, 12 * ((X @ MATRIX.mT) ** 2 * (MATRIX.sum(1))) @ MATRIX)
    A = Difference(torch.ones(6, dtype=torch.float64))
    y = torch.func.functional_call(A, {"h": h}, (x,))
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], MATRIX.sum(0).expand(3, 6))
    y = A(x)
    A.h.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("n", [100, 2 * autograd.FAST_FROM])
def test_an_index_that_changes_before_backward(n: int) -> None:
    """Replaced, it does not reach the gradient; changed in place, it raises: with either kernel."""
    x = torch.ones(n, dtype=torch.float64, requires_grad=True)
    A = Restriction(n, torch.arange(0, n, 2))
    y = A(x)
    A.indices = A.indices + 1
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient[::2].eq(1).all()
    assert gradient[1::2].eq(0).all()
    y = A(x)
    A.indices.sub_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_real_model_of_a_complex_operator_gets_a_real_gradient(A: Difference) -> None:
    B = Difference(A.h * (1 + 1j))
    x = X.clone().requires_grad_()
    y = B(x)
    assert type(y.grad_fn).__name__ == "_FastKernelBackward"
    y.abs().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.float64


def test_in_a_composition_of_a_copy(A: Difference) -> None:
    B = copy.deepcopy(A)
    chain = B.H @ B
    torch.testing.assert_close(chain(X), X @ MATRIX.mT @ MATRIX)
    assert (A.fast_calls, B.fast_calls) == (0, 2)
    testing.check_derivatives(chain)


@pytest.mark.parametrize("n", [100, 1 << 20])
def test_memory_is_where_the_input_is_whatever_the_default_device(n: int) -> None:
    A = FirstDerivative(n)
    x = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    want = A(x)
    torch.set_default_device("meta")
    try:
        got = A(x)
    finally:
        torch.set_default_device(None)
    torch.testing.assert_close(got, want)
