"""The policy of array kernels: used for small NumPy arrays where nothing else is watching, and nowhere else."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import torchlops
from tests.every_operator.cases import CASES
from torchlops import (
    Diagonal,
    FirstDerivative,
    Flip,
    HStack,
    LinearOperator,
    MatrixMult,
    Restriction,
    Smoothing1D,
    VStack,
    arraykernels,
)
from torchlops.linearoperator import AdjointOperator, ProductOperator, SumOperator


class Weights(LinearOperator):
    """``h x``, which counts the calls of its array kernel."""

    def __init__(self, h: Tensor) -> None:
        super().__init__(tuple(h.shape))
        self._register("h", h)
        self.calls = 0

    def _forward(self, x: Tensor) -> Tensor:
        return x * self.h

    def _adjoint(self, y: Tensor) -> Tensor:
        return y * self.h.conj()

    def _array_kernel(self, x: Any, adjoint: bool) -> Any:
        self.calls += 1
        h = arraykernels.view(self.h)
        return x * (h.conj() if adjoint else h)


class Doubled(Weights):
    """Overrides the kernel on tensors only."""

    def _forward(self, x: Tensor) -> Tensor:
        return 2 * super()._forward(x)


H = torch.linspace(1, 2, 6, dtype=torch.float64)
X = np.random.default_rng(0).standard_normal(6)


class Watching(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


class Dispatching(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "call",
    [
        lambda A: A @ X,
        lambda A: A * X,
        lambda A: A(X),
        lambda A: A.matvec(X),
        lambda A: A.rmatvec(X),
        lambda A: A.H @ X,
        lambda A: A.adjoint(X),
        lambda A: A @ X[::-1],
        lambda A: A @ X.astype(np.complex64),
        lambda A: (2 * A) @ X,
        lambda A: (A @ Flip(6)) @ X,
        lambda A: (A @ Flip(6) + Flip(6)).H @ X,
    ],
)
def test_used_for_a_small_array(call: Any) -> None:
    A = Weights(H)
    call(A)
    assert A.calls == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda A: A(torch.from_numpy(X)),
        lambda A: A @ X.astype(np.float16),
        lambda A: A @ X.astype(X.dtype.newbyteorder()),
        lambda A: A @ np.arange(6),
        lambda A: A @ np.ma.masked_array(X),
        lambda A: A @ np.random.default_rng(0).standard_normal((6, 2)),
        lambda A: A(np.empty((0, 6))),
        lambda A: torch.vmap(lambda _: torch.from_numpy(A @ X))(torch.zeros(2)),
    ],
)
def test_not_used_for_anything_else(call: Any) -> None:
    A = Weights(H)
    call(A)
    assert A.calls == 0


@pytest.mark.parametrize("mode", [Watching, Dispatching, lambda: torch.autocast("cpu")])
def test_not_used_where_a_mode_watches(mode: Any) -> None:
    A = Weights(H)
    with mode():
        A @ X
    assert A.calls == 0


def test_not_used_for_a_large_array() -> None:
    A = Weights(torch.ones(arraykernels.SMALL + 1, dtype=torch.float64))
    A @ np.ones(arraykernels.SMALL + 1)
    assert A.calls == 0


def test_not_inherited_by_a_subclass_that_overrides_the_kernel() -> None:
    A = Doubled(H)
    np.testing.assert_allclose(A @ X, 2 * X * H.numpy())
    np.testing.assert_allclose((A @ Flip(6)) @ X, 2 * X[::-1] * H.numpy())
    assert A.calls == 0


@pytest.mark.parametrize("name", ["__call__", "forward", "apply_nd", "_apply_to", "_forward", "_adjoint"])
def test_not_inherited_past_any_method_that_it_stands_for(name: str) -> None:
    changed = type("Changed", (FirstDerivative,), {name: lambda self, *args: NotImplemented})
    assert FirstDerivative._has_array_kernel
    assert not changed._has_array_kernel


def test_not_used_if_the_kernel_is_replaced_on_the_instance() -> None:
    A = Weights(H)
    A._forward = lambda x: 3 * x  # type: ignore[method-assign]
    np.testing.assert_allclose(A @ X, 3 * X)


@pytest.mark.parametrize(
    "tensor",
    [
        nn.Parameter(H.clone()),
        H.to(torch.complex128).mul(1j).conj(),
        H.to(torch.bfloat16),
        H.float(),
    ],
    ids=["parameter", "conjugate bit", "bfloat16", "float32"],
)
def test_gives_what_tensors_give(tensor: Tensor) -> None:
    A = Weights(tensor)
    for dtype in (np.float32, np.float64, np.complex64):
        x = X.astype(dtype)
        want = A(torch.from_numpy(x)).detach().resolve_conj().numpy()
        got = A @ x
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def test_a_change_in_place_is_seen() -> None:
    A = 0.5 * Weights(nn.Parameter(H.clone()))
    before = A @ X
    with torch.no_grad():
        next(iter(A.parameters())).mul_(3)
    np.testing.assert_allclose(A @ X, 3 * before)


def test_hooks_of_parts_are_called() -> None:
    first, last = Smoothing1D(3, 6), Flip(6)
    A = first @ last
    want = A @ X
    seen: list[tuple[int, ...]] = []
    last.register_forward_hook(lambda _module, _args, output: seen.append(tuple(output.shape)))
    first.register_forward_pre_hook(lambda _module, args: (2 * args[0],))
    np.testing.assert_allclose(A @ X, 2 * want)
    assert seen == [(6,)]
    handle = nn.modules.module.register_module_forward_hook(lambda *_: seen.append(()))
    A @ X
    handle.remove()
    assert len(seen) > 2


def test_nan_and_infinity_are_values_like_others() -> None:
    x = np.array([1.0, np.inf, 0.0, np.nan, 1e308, 1e308])
    with np.errstate(all="raise"):
        for A in (Diagonal(torch.zeros(6)), Smoothing1D(3, 6), 3 * Flip(6), FirstDerivative(6) + Flip(6)):
            got = A @ x
            want = A(torch.from_numpy(x)).numpy()
            np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))


def test_foreign_code_sees_the_error_state_of_its_caller() -> None:
    A = 2 * torchlops.FunctionOperator(lambda x: x / 0, lambda y: y, 6)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        A @ X
    with np.errstate(all="ignore"):
        assert not np.isfinite(A @ X).any()


def test_foreign_code_may_not_hide_a_gradient() -> None:
    secret = torch.ones(6, requires_grad=True)
    A = torchlops.FunctionOperator(lambda x: x * secret.numpy(), lambda y: y, 6)
    with pytest.raises(RuntimeError, match="uses a tensor that requires a gradient"):
        A @ X


def test_foreign_code_gets_a_copy_and_may_keep_its_result() -> None:
    kept = np.zeros(6)

    def double_in_place(x: Any) -> Any:
        x *= 2
        kept[:] = x
        return kept

    A = torchlops.FunctionOperator(double_in_place, lambda y: y, 6)
    x = X.copy()
    first = A @ x
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(first, 2 * X)
    A @ (3 * X)
    np.testing.assert_array_equal(first, 2 * X)


@pytest.mark.parametrize(
    ("view", "built"),
    [
        (lambda A: A.H, AdjointOperator),
        (lambda A: (A + 2 * A).H, SumOperator),
        (lambda A: (A @ Flip(6) @ A).H, ProductOperator),
    ],
)
def test_a_view_is_what_its_constructor_makes(view: Any, built: Any) -> None:
    A = Weights(nn.Parameter(H.clone()))
    fast = view(A)
    slow = built(fast.operators[0] if built is AdjointOperator else fast.operators)
    assert type(fast) is type(slow)
    assert vars(fast).keys() == vars(slow).keys()
    for name, value in vars(slow).items():
        if name != "_modules":
            assert type(vars(fast)[name]) is type(value), name
            assert vars(fast)[name] == value, name
    assert list(fast.state_dict()) == list(slow.state_dict())
    assert [id(p) for p in fast.parameters()] == [id(p) for p in slow.parameters()]
    fast.register_forward_hook(lambda *_: None)
    assert not view(A)._forward_hooks  # nothing is shared with the next view
    for other in (copy.deepcopy(view(A)), pickle.loads(pickle.dumps(view(A)))):
        np.testing.assert_array_equal(other @ X, fast @ X)


def test_large_tables_are_left_to_the_tensor_kernel() -> None:
    rng = np.random.default_rng(0)
    slopes = 0.1 * rng.standard_normal((4, 700))
    for A in (
        torchlops.signalprocessing.Convolve2D((60, 60), rng.standard_normal((15, 15)), (7, 7), method="direct"),
        torchlops.signalprocessing.Seislet(slopes, sampling=(1.0, 1.0)),
    ):
        x = rng.standard_normal(A.dims)
        assert A._of_small(x, False) is None
        np.testing.assert_allclose(A @ x, A(torch.from_numpy(x)).numpy())


def test_stacks_of_parts_with_and_without_array_kernels() -> None:
    class Cubes(LinearOperator):
        def _forward(self, x: Tensor) -> Tensor:
            return x.flip(-1)

        _adjoint = _forward

    A = MatrixMult(np.random.default_rng(1).standard_normal((4, 6)))
    for B in (VStack([A, Cubes(6), Restriction(6, [1, 1, 4])]), HStack([A.H, Cubes(6)]), A @ Cubes(6) @ A.H):
        for C in (B, B.H):
            x = np.random.default_rng(2).standard_normal(C.shape[1])
            np.testing.assert_allclose(C @ x, C(torch.from_numpy(x)).numpy())


def test_every_array_kernel_runs_on_some_case():
    """A kernel that never suits, for example because it reads a tensor by a name that is gone, is of no use."""
    runs = {}
    for case in CASES:
        A = case.make()
        if A._has_array_kernel and not runs.get(case.class_name):
            runs[case.class_name] = A._of_array(np.ones(A.dims), False) is not None
    assert [name for name, has_run in runs.items() if not has_run] == []
