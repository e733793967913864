"""Operators that were written for PyLops, after one changed import."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import torchlops as pylops
from torchlops.utils.decorators import reshaped


class Running(pylops.LinearOperator):
    """As a PyLops user would have written it."""

    def __init__(self, dims, axis=-1, dtype="float64"):
        self.axis = axis
        super().__init__(dtype=np.dtype(dtype), dims=dims, dimsd=dims, explicit=False, name="R")

    @reshaped(swapaxis=True)
    def _matvec(self, x):
        return np.cumsum(x, axis=-1)

    @reshaped(swapaxis=True)
    def _rmatvec(self, x):
        return np.flip(np.cumsum(np.flip(x, axis=-1), axis=-1), axis=-1)


class Scaled(pylops.LinearOperator):
    def __init__(self, weight):
        super().__init__(shape=(3, 3), dtype=np.float64)
        self.weight = weight

    def _matvec(self, x):
        return self.weight.numpy() * x


def test_the_operator_works_in_every_mode():
    A = Running((3, 4), axis=0)
    B = pylops.CausalIntegration((3, 4), axis=0)
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(A(x), B(x))
    torch.testing.assert_close(A.H(x), B.H(x))
    assert gradcheck(A, (x,), check_forward_ad=True)
    assert gradgradcheck(A, (x,))
    assert pylops.dottest(A, complexflag=3)
    torch.testing.assert_close(torch.vmap(A)(x), B(x))
    np.testing.assert_allclose((A.H @ A).todense(), (B.H @ B).todense())


def test_copies():
    A = Running((3, 4))
    x = torch.randn(3, 4, dtype=torch.float64)
    for copied in (copy.deepcopy(A), pickle.loads(pickle.dumps(A))):
        torch.testing.assert_close(copied(x), A(x))
        copied.axis = 0  # the copy calls its own methods, and A those of A
        torch.testing.assert_close(copied(x), x.cumsum(0))
        torch.testing.assert_close(A(x), x.cumsum(1))


def test_a_tensor_that_wants_a_gradient_raises():
    weight = torch.ones(3, dtype=torch.float64)
    assert Scaled(weight)(torch.ones(3, dtype=torch.float64)).tolist() == [1, 1, 1]
    for wanted in (weight.requires_grad_(), torch.nn.Parameter(weight.detach())):
        with pytest.raises(RuntimeError, match="requires a gradient"):
            Scaled(wanted)(torch.ones(3, dtype=torch.float64))


def test_a_missing_adjoint_says_so():
    with pytest.raises(NotImplementedError, match="does not define _rmatvec"):
        Scaled(torch.ones(3)).H(torch.ones(3))
