"""Eigenvalues, singular values, condition numbers, norms and traces against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchlops
from torchlops.linalg import dense
from torchlops.utils import estimators

RNG = np.random.default_rng(0)
SQUARE = RNG.standard_normal((12, 12)) + 1j * RNG.standard_normal((12, 12))
TALL = RNG.standard_normal((15, 9))


@pytest.fixture(params=["dense", "iterative"])
def way(request, monkeypatch):
    if request.param == "iterative":
        monkeypatch.setattr(dense, "DENSE_UP_TO", dict.fromkeys(dense.DENSE_UP_TO, 0))


@pytest.mark.usefixtures("way")
def test_eigenvalues():
    wanted = np.linalg.eigvals(SQUARE)
    wanted = -np.sort(-wanted[np.argsort(-abs(wanted))][:3])
    np.testing.assert_allclose(torchlops.MatrixMult(SQUARE).eigs(3), wanted, rtol=1e-10)
    hermitian = SQUARE + SQUARE.conj().T
    largest = np.linalg.eigvalsh(hermitian)[::-1]
    values = torchlops.MatrixMult(hermitian).eigs(symmetric=True)
    assert np.isrealobj(values)
    np.testing.assert_allclose(values, largest, rtol=1e-10)
    np.testing.assert_allclose(torchlops.MatrixMult(TALL).eigs(4), np.linalg.svd(TALL)[1][:4], rtol=1e-10)


def test_lobpcg():
    matrix = np.diag(np.arange(1.0, 41.0))
    values = torchlops.MatrixMult(matrix).eigs(2, symmetric=True, uselobpcg=True, niter=200)
    np.testing.assert_allclose(values, [40, 39], rtol=1e-4)
    with pytest.raises(ValueError, match="symmetric=True"):
        torchlops.MatrixMult(matrix).eigs(2, uselobpcg=True)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("matrix", [SQUARE, TALL, TALL.T])
def test_singular_values(matrix):
    A = torchlops.MatrixMult(matrix)
    assert A.cond() == pytest.approx(np.linalg.cond(matrix), rel=1e-7)
    assert isinstance(A.cond(), float)
    if matrix is not SQUARE:
        np.testing.assert_allclose(A.eigs(3), np.linalg.svd(matrix, compute_uv=False)[:3], rtol=1e-10)


def test_a_singular_operator_has_an_infinite_condition_number():
    assert torchlops.MatrixMult(np.ones((3, 3))).cond() == float("inf")


def test_an_r_linear_operator_has_no_spectrum():
    with pytest.raises(TypeError, match="only real-linear"):
        torchlops.Conj(4).eigs()


def test_the_trace_is_exact_by_default():
    assert torchlops.MatrixMult(SQUARE).trace() == pytest.approx(SQUARE.trace(), rel=1e-12)
    assert (3 * torchlops.Identity(40)).trace() == 120
    with pytest.raises(ValueError, match="square"):
        torchlops.MatrixMult(TALL).trace()
    with pytest.raises(ValueError, match="method"):
        torchlops.MatrixMult(SQUARE).trace(method="guess")


@pytest.mark.parametrize("sampler", ["gaussian", "rayleigh", "rademacher"])
@pytest.mark.parametrize("method", ["hutchinson", "hutch++", "na-hutch++"])
def test_estimators_are_unbiased(method, sampler):
    """Also for a complex matrix that is not Hermitian, which PyLops gets wrong."""
    torch.manual_seed(0)
    A = torchlops.MatrixMult(SQUARE)
    estimates = np.array([A.trace(neval=15, method=method, sampler=sampler) for _ in range(300)])
    error = estimates.std() / np.sqrt(len(estimates))
    assert abs(estimates.mean() - SQUARE.trace()) < 4 * error


@pytest.mark.parametrize("method", ["hutch++", "na-hutch++"])
def test_a_low_rank_trace_is_exact(method):
    u, v = RNG.standard_normal((2, 12, 2)) + 1j * RNG.standard_normal((2, 12, 2))
    A = torchlops.MatrixMult(u @ v.T)
    assert A.trace(neval=36, method=method) == pytest.approx((u @ v.T).trace(), rel=1e-8)


def test_all_unit_vectors_give_the_exact_trace():
    A = torchlops.MatrixMult(SQUARE)
    trace = estimators.trace_hutchinson(A, neval=12, batch_size=5, sampler="unitvector")
    assert trace == pytest.approx(SQUARE.trace(), rel=1e-12)


def test_estimates_are_differentiable():
    d = torch.arange(1.0, 7.0, requires_grad=True)
    trace = estimators.trace_hutchinson(torchlops.Diagonal(d), neval=3, backend="torch")
    trace.backward()
    torch.testing.assert_close(d.grad, torch.ones(6))


def test_estimators_name_what_is_wrong():
    A = torchlops.MatrixMult(SQUARE)
    with pytest.raises(ValueError, match="sampler must be"):
        estimators.trace_hutchpp(A, sampler="uniform", neval=6)
    with pytest.raises(ValueError, match="too few"):
        estimators.trace_hutchpp(A, neval=2)
    with pytest.raises(ValueError, match="backend"):
        estimators.trace_hutchinson(A, backend="jax")
