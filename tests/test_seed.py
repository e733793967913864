"""The code that the library was started for, as users write it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import torchlops


@pytest.mark.parametrize(("ny", "nx"), [(10, 10), (11, 9), (9, 11)])
def test_gradient_of_a_sin_x(ny, nx):
    """The gradient of ``A sin(x)`` is ``J^T v`` with ``J = A diag(cos x)``."""
    A = np.random.default_rng(0).normal(0.0, 1.0, (ny, nx))
    Aop = torchlops.TorchOperator(torchlops.MatrixMult(A))
    x0 = torch.randn(nx, dtype=torch.float64, requires_grad=True)
    v = torch.randn(ny, dtype=torch.float64)
    y = Aop.apply(torch.sin(x0))
    y.backward(v)
    J = torch.from_numpy(A) * torch.cos(x0.detach())
    torch.testing.assert_close(x0.grad, J.T @ v, rtol=1e-14, atol=1e-14)
    assert gradcheck(lambda x: Aop.apply(torch.sin(x)), (x0,), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(lambda x: Aop.apply(torch.sin(x)), (x0,), check_fwd_over_rev=True)


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 3, padding=1)
        )

    def forward(self, x):
        return self.layers(x)


def smooth(x):
    """A 5x5 moving average with zeros outside, in plain torch."""
    return torch.nn.functional.avg_pool2d(x, 5, stride=1, padding=2, count_include_pad=True)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_network_followed_by_an_operator(batch):
    torch.manual_seed(0)
    net = Network().double()
    x = torch.randn(batch, 1, 32, 32, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(batch, 32 * 32, dtype=torch.float64)
    parameters = [x, *net.parameters()]

    expected = smooth(net(x)).reshape(batch, -1)
    expected_gradients = torch.autograd.grad((expected * weights).sum(), parameters)

    if batch == 1:
        Cop = torchlops.TorchOperator(torchlops.Smoothing2D((5, 5), dims=(32, 32)))
        y = Cop.apply(net(x).reshape(32 * 32))[None]
    else:
        Cop = torchlops.TorchOperator(torchlops.Smoothing2D((5, 5), dims=(32, 32)), batch=True)
        y = Cop.apply(net(x).reshape(3, 32 * 32))
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    gradients = torch.autograd.grad((y * weights).sum(), parameters)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-12, atol=1e-12)


def test_an_operator_in_a_sequential_trains():
    torch.manual_seed(0)
    h = torch.nn.Parameter(torch.tensor([0.1, 0.8, 0.1], dtype=torch.float64))
    model = torch.nn.Sequential(torchlops.signalprocessing.Convolve1D(16, h, offset=1), torch.nn.Tanh())
    target = torch.nn.Sequential(
        torchlops.signalprocessing.Convolve1D(16, torch.tensor([0.3, 0.4, 0.3], dtype=torch.float64), offset=1),
        torch.nn.Tanh(),
    )
    x = torch.randn(64, 16, dtype=torch.float64)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = ((model(x) - target(x)) ** 2).mean()
        loss.backward()
        optimizer.step()
    assert [name for name, _ in model.named_parameters()] == ["0.h"]
    torch.testing.assert_close(h.detach(), target[0].h, atol=1e-3, rtol=0)
