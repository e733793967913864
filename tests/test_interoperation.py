"""The page on interoperation (its examples run in ``test_pages.py``), and the views for DeepInverse and GPyTorch."""

from __future__ import annotations

import importlib
import re
import warnings
from pathlib import Path

import pytest
import torch

import torchlops
from tests.test_pages import DOCS, sections
from torchlops import jaxoperator, pytensoroperator
from torchlops.interop import as_gpytorch_operator, as_linear_physics, gpytorch

PAGE = Path("interoperation.md")


def test_every_package_of_the_table_has_an_example():
    linked = set(re.findall(r"^\| \[(.+?)\]", (DOCS / PAGE).read_text(encoding="utf-8"), re.MULTILINE))
    assert linked == {section.heading for section in sections(PAGE) if section.blocks}


@pytest.fixture
def deepinv():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("deepinv", exc_type=ImportError)


@pytest.mark.filterwarnings("ignore::UserWarning")
class TestDeepInverse:
    """A physics of DeepInverse that applies an operator."""

    def test_it_is_the_operator(self, deepinv):
        A = torchlops.signalprocessing.Convolve2D((8, 6), torch.rand(3, 3), offset=(1, 1))
        physics = as_linear_physics(A)
        assert isinstance(physics, deepinv.physics.LinearPhysics)
        x = torch.randn(2, 3, 8, 6)
        assert torch.equal(physics(x), A(x))
        assert torch.equal(physics.A_adjoint(x), A.H(x))
        assert physics.img_size == (8, 6)
        assert physics.adjointness_test(x).abs() < 1e-4

    def test_gradients_reach_the_tensors_of_the_operator(self, deepinv):
        A = torchlops.signalprocessing.Convolve1D(16, torch.nn.Parameter(torch.rand(3)), offset=1)
        physics = as_linear_physics(A)
        assert dict(physics.named_parameters()) == {"forw.h": A.h}
        physics.A_adjoint(physics(torch.randn(2, 1, 16))).square().sum().backward()
        assert A.h.grad.abs().sum() > 0

    def test_data_fidelity_and_pseudoinverse(self, deepinv):
        A = torchlops.MatrixMult(torch.randn(6, 4, dtype=torch.float64))
        physics = as_linear_physics(A, max_iter=100, tol=1e-10)
        x, y = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 3, 6, dtype=torch.float64)
        gradient = deepinv.optim.data_fidelity.L2().grad(x, y, physics)
        torch.testing.assert_close(gradient, A.H(A(x) - y))
        torch.testing.assert_close(physics.A_dagger(y), y @ torch.linalg.pinv(A.A).mT)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
class TestGPyTorch:
    """A lazy matrix of GPyTorch that applies an operator."""

    @pytest.fixture(autouse=True)
    def package(self):
        pytest.importorskip("linear_operator")

    @pytest.fixture
    def operator(self):
        torch.manual_seed(0)
        B = torchlops.MatrixMult(torch.nn.Parameter(torch.randn(5, 4, dtype=torch.float64)))
        return B.H @ B + torchlops.Diagonal(torch.nn.Parameter(torch.ones(4, dtype=torch.float64)))

    def test_it_is_the_matrix(self, operator):
        A, M = as_gpytorch_operator(operator), operator.todense("torch")
        x = torch.randn(3, 4, 2, dtype=torch.float64)
        assert (A.shape, A.dtype) == (M.shape, M.dtype)
        torch.testing.assert_close(A.to_dense(), M)
        torch.testing.assert_close(A @ x, M @ x)
        torch.testing.assert_close(A @ x[0, :, 0], M @ x[0, :, 0])
        torch.testing.assert_close(A.mT @ x, M.mT @ x)
        torch.testing.assert_close(A.diagonal(), M.diagonal())
        torch.testing.assert_close((A + A).to_dense(), 2 * M)

    def test_a_rectangular_one_of_images(self):
        operator = torchlops.Sum((3, 2), axis=0)
        A, M = as_gpytorch_operator(operator), torch.from_numpy(operator.todense())
        x = torch.randn(2, 6, 3, dtype=torch.float64)
        torch.testing.assert_close(A @ x, M @ x)
        torch.testing.assert_close(A.mT @ (M @ x), M.mT @ M @ x)

    def test_gradients_reach_the_tensors_of_the_operator(self, operator):
        y = torch.randn(4, 1, dtype=torch.float64)
        quadratic, logdet = as_gpytorch_operator(operator).inv_quad_logdet(y, logdet=True)
        got = torch.autograd.grad(quadratic + logdet, list(operator.parameters()))
        M = operator.todense("torch")
        expected = torch.autograd.grad(
            (y.mT @ torch.linalg.solve(M, y)).sum() + M.logdet(), list(operator.parameters())
        )
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-8)

    def test_complex_operators_are_refused(self):
        with pytest.raises(ValueError, match="GPyTorch's matrices are real"):
            as_gpytorch_operator(torchlops.signalprocessing.FFT(4))


@pytest.mark.parametrize(
    ("view", "package", "extra"),
    [
        (as_linear_physics, "deepinv", "deepinv"),
        (as_gpytorch_operator, "linear_operator", "gpytorch"),
        (torchlops.PyTensorOperator, "pytensor", "pytensor"),
        (torchlops.JaxOperator, "jax", "jax"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, view, package, extra):
    def find_nothing(name):
        raise ImportError(name)

    for cache in (jaxoperator._primitive, pytensoroperator._operation, gpytorch._matrix_class):
        cache.cache_clear()
    monkeypatch.setattr(importlib, "import_module", find_nothing)
    with pytest.raises(ImportError, match=rf"requires {package}.*torchlops\[{extra}\]"):
        view(torchlops.Identity(3))
