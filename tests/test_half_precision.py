"""Sums of many 16-bit numbers are rounded once, not after each term."""

from __future__ import annotations

import pytest
import torch

import torchlops
from torchlops import signalprocessing
from torchlops.linearoperator import SumOperator

HALVES = [torch.bfloat16, torch.float16]
either_half = pytest.mark.parametrize("half", HALVES, ids=str)


def _box(width: int, half: torch.dtype) -> torch.Tensor:
    return torch.full((width,), 1 / width, dtype=half)


@either_half
@pytest.mark.parametrize("method", ["direct", "fft", "overlapadd", None])
@pytest.mark.parametrize("adjoint", [False, True])
def test_a_long_box_filter_keeps_a_constant(half, method, adjoint):
    n = 1024
    A = signalprocessing.Convolve1D(2 * n, _box(n, half), offset=n // 2, method=method)
    y = (A.H if adjoint else A)(torch.ones(2 * n, dtype=half))
    assert y.dtype == half
    torch.testing.assert_close(y[n], torch.ones((), dtype=half), rtol=0.01, atol=0)


@either_half
def test_a_large_box_keeps_a_constant(half):
    width = 31
    h = torch.full((width, width), 1 / width**2, dtype=half)
    A = signalprocessing.Convolve2D((64, 64), h, (width // 2, width // 2), method="direct")
    y = A(torch.ones(64, 64, dtype=half))
    torch.testing.assert_close(y[32, 32], torch.ones((), dtype=half), rtol=0.01, atol=0)


@either_half
@pytest.mark.parametrize(
    "name", ["HStack", "VStack.H", "sum", "sum.H", "Block", "block with zeros"], ids=lambda name: name
)
def test_many_operators_add_up(half, name):
    count = 1024
    parts = [torchlops.Identity(2)] * count
    A = {
        "HStack": lambda: torchlops.HStack(parts),
        "VStack.H": lambda: torchlops.VStack(parts).H,
        "sum": lambda: SumOperator(parts),
        "sum.H": lambda: SumOperator(parts).H,
        "Block": lambda: torchlops.Block([parts]),
        "block with zeros": lambda: torchlops.HStack([torchlops.Zero(2), *parts, torchlops.Zero(2)]),
    }[name]()
    y = A(torch.ones(A.dims, dtype=half))
    assert y.dtype == half
    assert (y == count).all()


def test_a_sum_takes_the_widest_type_of_its_terms():
    half, single = torchlops.Identity(2), torchlops.Diagonal(torch.ones(2))
    x = torch.ones(2, dtype=torch.bfloat16)
    assert (half + half)(x).dtype == torch.bfloat16
    assert (half + single)(x).dtype == (single + half)(x).dtype == torch.float32


@either_half
def test_samples_that_meet_add_up(half):
    """Of 1,024 ones in one place, added in one call or in many, the sum is 1,024."""
    count = 1024
    ones = torch.ones(count, dtype=half)
    at_one = [3.0] * count
    for A in (
        torchlops.Restriction(8, [3] * count),
        signalprocessing.Interp(8, at_one, repeated=True)[0],
        signalprocessing.InterpCubicSpline(8, at_one, repeated=True),
        signalprocessing.Bilinear([at_one, at_one], (8, 8), repeated=True),
    ):
        x = A.H(ones)
        assert x.dtype == half
        assert x.flatten()[27 if x.ndim == 2 else 3] == count, A
    smooth = torchlops.Smoothing1D(1001, 4096)
    torch.testing.assert_close(
        smooth(torch.ones(4096, dtype=half))[2048], torch.ones((), dtype=half), rtol=0.01, atol=0
    )


@either_half
def test_gradients_of_a_filter_add_up(half):
    """The gradient of a tap is a sum over all samples: it is added up in float32 too."""
    h = torch.ones(3, dtype=half, requires_grad=True)
    A = signalprocessing.Convolve1D(2048, h, offset=1)
    A(torch.ones(2048, dtype=half)).sum().backward()
    assert h.grad.dtype == half
    torch.testing.assert_close(h.grad, torch.tensor([2047, 2048, 2047], dtype=half), rtol=0.01, atol=0)
