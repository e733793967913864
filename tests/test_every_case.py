"""What every case is held to once more: memory goes where the input is, and every result has a graph."""

from __future__ import annotations

import itertools

import pytest
import torch

from tests.every_operator.test_promises import CASES
from torchlops import autograd
from torchlops.testing.matrix import Draw, sides

pytestmark = pytest.mark.slow

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(params=[1, 10**9], ids=["fast kernels", "differentiable kernels"])
def kernels(request, monkeypatch):
    monkeypatch.setattr(autograd, "FAST_FROM", request.param)


@every_case
def test_memory_goes_where_the_input_is(case, monkeypatch):
    """An operator built, and applied to arrays and tensors of the CPU, under another default device."""
    monkeypatch.setattr(autograd, "FAST_FROM", 1)  # the promise of the kit has the differentiable kernels
    A = case.make()
    inputs = [Draw(A)((2, *side.dims), side.fields[-1]) for side in sides(A)]
    wanted = [A(inputs[0]).detach(), A.H(inputs[1]).detach()]
    tensors = [tensor.clone() for tensor in case.tensors]
    torch.set_default_device("meta")
    try:
        for B in (A, case.make(*tensors)):
            for side, x, want in zip((B, B.H), inputs, wanted, strict=True):
                leaf = x.clone().requires_grad_()
                y = side(leaf)
                y.backward(torch.ones_like(y))
                assert y.is_cpu
                assert leaf.grad.is_cpu
                torch.testing.assert_close(y.detach(), want)
                side(x.numpy())
            B.todense()
    finally:
        torch.set_default_device(None)


@every_case
def test_every_result_has_a_graph(case, kernels):
    A = case.make()
    for side, batch in itertools.product(sides(A), [(), (2,), (0,)]):
        for dtype in side.fields:
            x = Draw(A)((*batch, *side.dims), dtype).requires_grad_()
            y = side.operator(x)
            assert y.requires_grad, f"{side.label} of {dtype} {batch}"
            y.abs().sum().backward()
            assert x.grad.shape == x.shape
