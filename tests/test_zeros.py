"""Results that are zero whatever the input is hang on it all the same."""

from __future__ import annotations

import pytest
import torch

import torchlops

ZEROS = {
    "Zero": torchlops.Zero(2, 3),
    "Zero.H": torchlops.Zero(3, 2).H,
    "Imag": torchlops.Imag(3),
    "toimag": torchlops.Identity(3).toimag(),
    "toimag of data alone": torchlops.Flip(3).toimag(forw=True, adj=False),
    "derivative of one sample": torchlops.FirstDerivative((3, 1)),
}


@pytest.mark.parametrize("A", ZEROS.values(), ids=ZEROS)
def test_zeros_have_a_graph_and_no_nan(A):
    x = torch.ones(A.dims, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    y = A(leaf)
    assert y.requires_grad
    (gradient,) = torch.autograd.grad(y, leaf, torch.ones_like(y))
    assert not y.any()
    assert not gradient.any()
    assert not A(torch.full_like(x, torch.inf)).any()
    assert not torch.func.jacrev(A)(x).any()
    assert not torch.func.jacfwd(A)(x).any()
    assert not torch.func.hessian(lambda x: A(x).square().sum())(x).any()
