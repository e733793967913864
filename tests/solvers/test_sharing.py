"""What solvers share with others, and keep: memory, operators, threads; and what they are to a compiler."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import torchlops
from torchlops.optimization import Implicit, Unroll, basic, krylov, regularized_inversion
from torchlops.optimization.cls_basic import CGLS
from torchlops.optimization.implicit.solve import solve

REAL = torch.float64
LEAST_SQUARES = ("cgls", "lsqr", "lsmr")
SOLVERS = (*LEAST_SQUARES, "cg", "minres", "gmres", "bicgstab")
TIMEOUT = 60


def problem(name: str) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    A = torch.randn(8, 5, dtype=REAL)
    A = A if name in LEAST_SQUARES else A.mT @ A + torch.eye(5)
    return A, torch.randn(2, A.shape[0], dtype=REAL)


# -- memory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("as_arrays", [False, True])
def test_arrays_given_to_callbacks_stay(name, as_arrays):
    A, y = problem(name)
    given: list[Any] = []
    copies: list[Tensor] = []

    def keep(x: Any) -> None:
        given.append(x)
        copies.append(torch.as_tensor(x).clone())

    for data in (y, y[0]):
        result = getattr(basic, name)(
            torchlops.MatrixMult(A), data.numpy() if as_arrays else data, niter=4, callback=keep, on_fail="ignore"
        )
        keep(result.x)
        assert isinstance(result.x, np.ndarray) == as_arrays
    for x, copy in zip(given, copies, strict=True):
        assert torch.equal(torch.as_tensor(x), copy)
    assert not torch.equal(copies[0], copies[1])


@pytest.mark.parametrize("how", [Implicit(), Unroll(), None])
@pytest.mark.parametrize("name", SOLVERS)
def test_a_solution_may_be_changed_in_place(name, how):
    A, y = problem(name)
    for data in (y, y[0], y.flatten(0, -1)[: A.shape[0]]):
        b = data.clone().requires_grad_()
        x = getattr(basic, name)(torchlops.MatrixMult(A), b, niter=20, grad=how, on_fail="ignore").x
        before = x.detach().clone()
        x += 1
        x.mul_(2)
        torch.testing.assert_close(x.detach(), 2 * (before + 1))
        if how is not None:
            gradient = torch.autograd.grad(x.sum(), b)[0]
            inverse = torch.linalg.pinv(A)
            torch.testing.assert_close(gradient, (2 * inverse.sum(0)).expand_as(b), rtol=1e-4, atol=1e-4)
    plain = getattr(basic, name)(torchlops.MatrixMult(A), y, niter=20).x
    kept = y.clone()
    plain.zero_()
    torch.testing.assert_close(y, kept)


@pytest.mark.parametrize("how", [Implicit(), Unroll()])
@pytest.mark.parametrize("name", SOLVERS)
def test_a_recorded_solve_is_in_no_reference_cycle(name, how):
    """Its vectors are freed with the solution, and do not wait for the garbage collector."""
    n = 30_000
    d = nn.Parameter(torch.rand(n, dtype=REAL) + 1)
    A, y = torchlops.Diagonal(d), torch.randn(n, dtype=REAL)

    def once() -> None:
        x = getattr(basic, name)(A, y, niter=3, grad=how, on_fail="ignore").x
        x.square().sum().backward()
        d.grad = None

    def size() -> float:
        storages = {}
        for each in gc.get_objects():
            if type(each) in (Tensor, nn.Parameter):
                storages[each.untyped_storage().data_ptr()] = each.untyped_storage().nbytes()
        return sum(storages.values()) / (n * REAL.itemsize)

    once()
    gc.collect()
    gc.disable()
    try:
        before = size()
        for _ in range(4):
            once()
        assert size() - before <= 2
    finally:
        gc.enable()


# -- threads -------------------------------------------------------------------------------------------------------


def in_threads(*functions: Callable[[], Any]) -> list[Any]:
    """Run functions at the same time, and return what they return; raise what one raises."""
    results: list[Any] = [None] * len(functions)
    errors: list[BaseException] = []
    start = threading.Barrier(len(functions))

    def run(index: int) -> None:
        try:
            start.wait(TIMEOUT)
            results[index] = functions[index]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
    return results


@pytest.mark.parametrize("name", SOLVERS)
def test_an_implicit_solve_leaves_the_operator_alone(name):
    """Another thread that uses the operator meanwhile gets its gradients."""
    matrix, y = problem(name)
    weights = nn.Parameter(matrix)
    A, x = torchlops.MatrixMult(weights), torch.ones(5, dtype=REAL)
    seen: list[bool] = []

    def other() -> None:
        seen.append(A(x).requires_grad)
        seen.append(A.A is weights)
        seen.append(getattr(basic, name)(A, y, niter=3, on_fail="ignore").x.requires_grad)

    def callback(_: Any) -> None:
        thread = threading.Thread(target=other, daemon=True)
        thread.start()
        thread.join(TIMEOUT)
        assert not thread.is_alive()

    getattr(basic, name)(A, y, niter=1, callback=callback, on_fail="ignore")
    assert seen == [True] * 3


@pytest.mark.parametrize("name", SOLVERS)
def test_threads_share_an_operator(name):
    matrix, y = problem(name)
    weights = nn.Parameter(matrix)
    A = torchlops.MatrixMult(weights)

    def gradient() -> Tensor:
        for _ in range(5):
            x = getattr(basic, name)(A, y, niter=20, on_fail="ignore").x
            found = torch.autograd.grad(x.square().sum(), weights)[0]
        return found

    wanted = gradient()
    for found in in_threads(*[gradient] * 3):
        torch.testing.assert_close(found, wanted)
    assert A.A is weights
    assert dict(A.named_parameters()).keys() == {"matrix"}


def test_threads_share_a_solver():
    """A solver has options, and nothing that lives between two calls."""
    A, y = problem("cgls")
    solver, Op = krylov.CGLS(tol=0.0, gtol=1e-12), torchlops.MatrixMult(A)
    options = vars(solver).copy()

    def task(data: Tensor) -> Callable[[], Tensor]:
        def run() -> Tensor:
            for _ in range(20):
                x: Tensor = solve(solver, Op, data, niter=30).x
            return x

        return run

    tasks = [(y, task(y)), (y[0], task(y[0])), (2 * y[1], task(2 * y[1]))]
    for (data, _), x in zip(tasks, in_threads(*(run for _, run in tasks)), strict=True):
        torch.testing.assert_close(x, data @ torch.linalg.pinv(A).mT)
    assert vars(solver) == options


# -- compilers -----------------------------------------------------------------------------------------------------


class Layer(nn.Module):
    """A model with a solve in it."""

    def __init__(self, solve: Callable[[Any, Tensor], Tensor], A: Any) -> None:
        super().__init__()
        self.solve, self.A = solve, A

    def forward(self, y: Tensor) -> Tensor:
        return 2 * self.solve(self.A, y + 1)


def layers() -> dict[str, Layer]:
    matrix, _ = problem("cgls")
    A = torchlops.MatrixMult(nn.Parameter(matrix))
    return {
        "lsqr": Layer(lambda A, y: basic.lsqr(A, y, niter=30).x, A),
        "lsmr": Layer(lambda A, y: basic.lsmr(A, y, niter=30).x, A),
        "class": Layer(lambda A, y: CGLS(A).solve(y, tol=0, gtol=1e-12, niter=30).x, A),
        "inverse": Layer(lambda A, y: A(y), A.pinv("lsmr")),
        "regularized": Layer(lambda A, y: regularized_inversion(A, y, [torchlops.Identity(5)], epsRs=[0.3]).x, A),
    }


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's own, of a compiled function with a graph break
@pytest.mark.parametrize("name", ["lsqr", "class", "inverse", "regularized"])
def test_compiled_models_have_the_values_and_gradients(name):
    layer, (_, y) = layers()[name], problem("cgls")
    y.requires_grad_()
    weights = next(layer.parameters())
    wanted = layer(y)
    gradients = torch.autograd.grad(wanted.square().sum(), (y, weights))
    compiled = torch.compile(layer, backend="aot_eager")
    found = compiled(y)
    torch.testing.assert_close(found, wanted)
    for mine, other in zip(torch.autograd.grad(found.square().sum(), (y, weights)), gradients, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("name", ["lsqr", "lsmr", "class", "inverse", "regularized"])
def test_a_solver_inside_one_graph_says_what_is_not_possible(name):
    layer, (_, y) = layers()[name], problem("cgls")
    with pytest.raises(Exception, match=r"iterates until a tolerance is met, which no graph can record.*fullgraph"):
        torch.compile(layer, backend="aot_eager", fullgraph=True)(y)
    with pytest.raises(
        NotImplementedError, match=r"on (MatrixMult 'M'|VerticalStack) cannot be exported.*before and after the solve"
    ):
        torch.export.export(layer, (y,), strict=False)
    with pytest.raises(Exception, match="which no graph can record"):
        torch.export.export(layer, (y,), strict=True)
