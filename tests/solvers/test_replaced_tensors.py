"""Derivatives of solutions belong to the tensors with which the solution was computed, whatever comes later."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import torchlops

VALUES = torch.tensor([2.0, 4.0], dtype=torch.float64)
DATA = torch.tensor([1.0, 2.0], dtype=torch.float64)
SOLVERS = {
    "cgls": lambda A, y: torchlops.cgls(A, y, niter=50, tol=1e-20).x,
    "lsqr": lambda A, y: torchlops.lsqr(A, y, niter=50, atol=1e-14, btol=1e-14).x,
    "cg": lambda A, y: torchlops.cg(A, y, niter=50, tol=1e-20).x,
    "omp": lambda A, y: torchlops.omp(A, y).x,
    "spgl1": lambda A, y: torchlops.spgl1(A, y, iter_lim=500).x,
    "inverse": lambda A, y: torchlops.linalg.inv(A, method="iterative")(y),
}

every_solver = pytest.mark.parametrize("name", SOLVERS)


class Layer(torch.nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.A = torchlops.Diagonal(torch.nn.Parameter(VALUES.clone()))
        self.name = name

    def forward(self, y: Tensor) -> Tensor:
        return SOLVERS[self.name](self.A, y)


@every_solver
def test_functional_call_is_differentiated(name):
    layer = Layer(name)

    def total(values):
        return torch.func.functional_call(layer, {"A.diag": values}, (DATA,)).sum()

    exact = -DATA / VALUES**2
    torch.testing.assert_close(torch.func.grad(total)(VALUES), exact)
    torch.testing.assert_close(torch.func.hessian(total)(VALUES), torch.diag(2 * DATA / VALUES**3))
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(total))(torch.stack([VALUES] * 2)), exact.expand(2, 2))
    leaf = VALUES.clone().requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(total(leaf), leaf)[0], exact)


@every_solver
def test_other_values_for_one_call_have_their_own_derivative(name):
    y = DATA.clone().requires_grad_()
    x = torch.func.functional_call(Layer(name), {"A.diag": 3 * VALUES}, (y,))
    torch.testing.assert_close(torch.autograd.grad(x.sum(), y)[0], 1 / (3 * VALUES))


@every_solver
def test_a_parameter_replaced_before_backward_changes_nothing(name):
    layer, y = Layer(name), DATA.clone().requires_grad_()
    x = layer(y)
    layer.A.diag = torch.nn.Parameter(3 * VALUES)
    torch.testing.assert_close(torch.autograd.grad(x.sum(), y)[0], 1 / VALUES)


@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.jacrev, torch.func.hessian])
@pytest.mark.parametrize(
    "value",
    [
        lambda A: torchlops.cgls(A, DATA, niter=50, tol=1e-20).x.sum(),
        lambda A: torchlops.spgl1(A, DATA).x.sum(),
        lambda A: torchlops.linalg.norm(A, 2, method="iterative"),
    ],
    ids=["cgls", "spgl1", "norm"],
)
def test_a_hidden_tensor_is_refused_inside_a_transform(transform, value):
    def hidden(values):
        functions = (lambda x: x * values, lambda y: y * values)
        return value(torchlops.aslinearoperator(functions, dims=2, arrays="torch", dtype="float64"))

    with pytest.raises(ValueError, match="none of its parameters or buffers"):
        transform(hidden)(VALUES)


def test_checkpoints_inside_a_transform_say_that_they_do_not_work():
    how = torchlops.optimization.Unroll(checkpoint_every=2)

    def total(values):
        return torchlops.cgls(torchlops.Diagonal(values), DATA, niter=4, tol=0, grad=how).x.sum()

    with pytest.raises(NotImplementedError, match="leave checkpoint_every out"):
        torch.func.grad(total)(VALUES)
