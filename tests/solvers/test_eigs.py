"""Eigenvalues, singular values, norms and log-determinants against dense algebra, with their derivatives."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

import torchlops
from torchlops import MatrixMult
from torchlops.optimization.basesolver import SolverWarning
from torchlops.optimization.eigs import (
    golub_kahan,
    lanczos,
    lobpcg,
    logdet,
    operator_norm,
    power_iteration,
    randomized_svd,
)

pylops = pytest.importorskip("pylops")

REAL, COMPLEX = torch.float64, torch.complex128
DTYPES = [REAL, COMPLEX]


def hermitian(size: int, dtype: torch.dtype = REAL, positive: bool = False) -> Tensor:
    torch.manual_seed(1)
    A = torch.randn(size, size, dtype=dtype)
    return A @ A.mH + torch.eye(size) if positive else A + A.mH


def matrix(rows: int, columns: int, dtype: torch.dtype = REAL) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(rows, columns, dtype=dtype)


def close(a: Any, b: Any, rtol: float = 1e-9) -> None:
    a, b = (torch.as_tensor(t) for t in (a, b))
    torch.testing.assert_close(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("which", ["LA", "SA", "LM"])
@pytest.mark.parametrize("size", [5, 60])
def test_lanczos(which, dtype, size):
    A = hermitian(size, dtype)
    every = torch.linalg.eigvalsh(A)
    order = torch.argsort({"LA": -every, "SA": every, "LM": -every.abs()}[which])
    values, vectors = lanczos(MatrixMult(A), 3, which)
    close(values, every[order][:3], 1e-11)
    close(A @ vectors, values * vectors, 1e-9)
    close(vectors.mH @ vectors, torch.eye(3, dtype=dtype), 1e-11)


def test_lanczos_in_an_invariant_space():
    values, vectors = lanczos(torchlops.Identity(9), 4)
    close(values, torch.ones(4, dtype=REAL))
    close(vectors.mT @ vectors, torch.eye(4, dtype=REAL))
    close(lanczos(torchlops.Zero(6), 2).values, torch.zeros(2, dtype=REAL))
    close(lanczos(MatrixMult(hermitian(5)), 9).values, torch.linalg.eigvalsh(hermitian(5)).flip(0), 1e-11)


def test_multiple_values_are_found():
    A = torchlops.SecondDerivative((12, 8), axis=0)  # each value eight times
    every = torch.as_tensor(np.linalg.svd(A.todense())[1])
    close(golub_kahan(A, 3).S, every[:3])
    close(golub_kahan(A, 10).S, every[:10])
    H = -1 * torchlops.SecondDerivative((12, 8), axis=0, edge=False)
    N = H.H @ H
    close(lanczos(N, 10).values, torch.linalg.eigvalsh(N.todense(backend="torch")).flip(0)[:10])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("which", ["LA", "SA"])
def test_lobpcg(which, dtype):
    A = hermitian(60, dtype, positive=True)
    every = torch.linalg.eigvalsh(A)
    wanted = every.flip(0)[:3] if which == "LA" else every[:3]
    values, vectors = lobpcg(MatrixMult(A), 3, which, niter=500)
    close(values, wanted, 1e-9)
    close(A @ vectors, values * vectors, 1e-7)
    close(vectors.mH @ vectors, torch.eye(3, dtype=dtype), 1e-11)
    near = torch.linalg.inv(A + 0.5 * torch.eye(60))
    if which == "SA":
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            close(lobpcg(MatrixMult(A), 3, which, niter=60, M=MatrixMult(near)).values, wanted, 1e-9)
    close(lobpcg(MatrixMult(A), 3, which, niter=30, X=vectors).values, wanted, 1e-9)


def test_lobpcg_finds_multiple_eigenvalues():
    d = torch.cat([torch.full((3,), 9.0, dtype=REAL), torch.linspace(0, 5, 40, dtype=REAL)])
    close(lobpcg(torchlops.Diagonal(d), 4).values, d.sort(descending=True).values[:4])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(8, 5), (70, 50), (50, 70)])
@pytest.mark.parametrize("which", ["LM", "SM"])
def test_golub_kahan(which, shape, dtype):
    A = matrix(*shape, dtype)
    every = torch.linalg.svdvals(A)
    U, S, Vh = golub_kahan(MatrixMult(A), 3, which)
    close(S, every[:3] if which == "LM" else every[-3:], 1e-11)
    close(A @ Vh.mH, U * S, 1e-9)
    close(A.mH @ U, Vh.mH * S, 1e-9)
    close(Vh @ Vh.mH, torch.eye(3, dtype=dtype), 1e-10)


def test_golub_kahan_of_low_rank():
    A = matrix(20, 2) @ matrix(2, 30)
    close(golub_kahan(MatrixMult(A), 4).S, torch.linalg.svdvals(A)[:4], 1e-10)
    close(golub_kahan(torchlops.Zero(4, 6), 2).S, torch.zeros(2, dtype=REAL))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(40, 30), (30, 40)])
def test_randomized_svd(shape, dtype):
    A = matrix(shape[0], 8, dtype) @ matrix(8, shape[1], dtype)
    U, S, Vh = randomized_svd(MatrixMult(A), 8, oversampling=4)
    close((U * S) @ Vh, A, 1e-10)
    A = matrix(*shape, dtype)
    exact = torch.linalg.svdvals(A)[:4]
    errors = [(1 - randomized_svd(MatrixMult(A), 4, niter=q).S / exact).abs().max() for q in (0, 2, 6)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
def test_power_iteration(dtype):
    A = hermitian(12, dtype, positive=True)
    value, vector, iiter = power_iteration(MatrixMult(A), niter=2000, tol=1e-14, dtype=str(dtype)[6:])
    assert isinstance(vector, np.ndarray)
    np.testing.assert_allclose(value, torch.linalg.eigvalsh(A)[-1], rtol=1e-8)
    assert 1 < iiter < 2000
    value, vector, _ = power_iteration(MatrixMult(-A), niter=2000, tol=1e-14, dtype=dtype, backend="torch")
    close(value.real, -torch.linalg.eigvalsh(A)[-1], 1e-8)
    theirs = pylops.optimization.eigs.power_iteration(
        pylops.MatrixMult(A.numpy(), dtype=str(dtype)[6:]), niter=2000, tol=1e-14
    )
    np.testing.assert_allclose(abs(theirs[0]), abs(value), rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_norm(dtype):
    A = matrix(30, 40, dtype)
    wanted = torch.linalg.matrix_norm(A, 2)
    close(operator_norm(MatrixMult(A)), wanted, 1e-12)
    for niter in (1, 2, 20):
        safe = operator_norm(MatrixMult(A), niter, safe=True)
        assert wanted <= safe < 1.2 * wanted


def test_the_norm_of_an_r_linear_operator():
    A = MatrixMult(matrix(5, 5, COMPLEX))
    B = A @ torchlops.Conj(5, dtype="complex128") + MatrixMult(matrix(5, 5, COMPLEX).mT)
    units = torch.eye(5, dtype=COMPLEX)
    columns = torch.view_as_real(torch.cat([B(units), B(1j * units)])).flatten(-2)
    close(operator_norm(B), torch.linalg.matrix_norm(columns, 2), 1e-10)
    with pytest.raises(TypeError, match="linear over the real numbers only"):
        golub_kahan(B)


def test_the_norm_of_an_operator_of_real_models():
    F = torchlops.signalprocessing.FFT(16, real=True)
    close(operator_norm(3 * F), torch.tensor(3.0, dtype=REAL), 1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_log_determinant(dtype):
    A = hermitian(40, dtype, positive=True)
    wanted = torch.linalg.slogdet(A).logabsdet
    for seed in range(3):
        source = torch.Generator().manual_seed(seed)
        estimate, error = logdet(MatrixMult(A), 200, 40, generator=source)
        assert abs(estimate - wanted) < 4 * error
        assert error < 0.1 * abs(wanted)
    d = torch.tensor([2.0, 2.0, 2.0], dtype=REAL)  # Lanczos ends after one step
    close(logdet(torchlops.Diagonal(d), 2).estimate, d.log().sum())
    close(logdet(torchlops.Identity(4)).estimate, torch.zeros((), dtype=REAL))
    with pytest.raises(ValueError, match="not positive definite"):
        logdet(MatrixMult(-A))


@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_of_eigenvalues(dtype):
    A = hermitian(9, dtype, positive=True).requires_grad_()

    def values(method: Any, A: Tensor) -> Tensor:
        found: Tensor = method(MatrixMult((A + A.mH) / 2), 2, "SA").values
        return found

    assert gradcheck(lambda A: values(lanczos, A), (A,), fast_mode=True)
    assert gradcheck(lambda A: values(lambda *a: lobpcg(*a, tol=1e-12), A), (A,), fast_mode=True)
    wanted = torch.autograd.grad(torch.linalg.eigvalsh((A + A.mH) / 2)[:2].sum(), A)[0]
    close(torch.autograd.grad(values(lanczos, A).sum(), A)[0], wanted)
    close(torch.func.grad(lambda A: values(lanczos, A).sum())(A.detach()), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7, 4), (4, 7)])
def test_derivatives_of_singular_values(shape, dtype):
    A = matrix(*shape, dtype).requires_grad_()
    assert gradcheck(lambda A: golub_kahan(MatrixMult(A), 3).S, (A,), fast_mode=True)
    assert gradcheck(lambda A: golub_kahan(MatrixMult(A), 2, "SM").S, (A,), fast_mode=True)
    assert gradcheck(lambda A: randomized_svd(MatrixMult(A), 3).S, (A,), fast_mode=True)
    assert gradcheck(lambda A: operator_norm(MatrixMult(A)), (A,), fast_mode=True)
    if dtype.is_complex:
        R = torchlops.Conj(4, dtype="complex128")
        B = matrix(4, 4, dtype).requires_grad_()
        assert gradcheck(lambda B: operator_norm(MatrixMult(B) @ R), (B,), fast_mode=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_of_the_log_determinant(dtype):
    """Of one probe each it is the exact derivative in the mean; a diagonal operator has no variance."""
    A = hermitian(6, dtype, positive=True).requires_grad_()
    (got,) = torch.autograd.grad(logdet(MatrixMult(A), 4000).estimate, A)
    wanted = torch.linalg.inv(A.detach())
    assert torch.linalg.norm(got - wanted) < 0.1 * torch.linalg.norm(wanted)
    d = torch.linspace(1, 3, 8, dtype=REAL).requires_grad_()
    assert gradcheck(lambda d: logdet(torchlops.Diagonal(d), 3).estimate, (d,))


def test_a_derivative_that_is_not_there_raises():
    A = matrix(6, 4).requires_grad_()
    U, S, _ = golub_kahan(MatrixMult(A), 2)
    with pytest.raises(NotImplementedError, match="carry no derivative"):
        U.sum().backward()
    (first,) = torch.autograd.grad(S.sum(), A, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second one"):
        (first.sum() + A.sum()).backward()
    with pytest.raises((NotImplementedError, RuntimeError)):
        torch.func.jvp(lambda A: operator_norm(MatrixMult(A)), (A.detach(),), (A.detach(),))

    class Hidden(torchlops.LinearOperator):
        def _forward(self, x: Tensor) -> Tensor:
            return x @ A

        def _adjoint(self, y: Tensor) -> Tensor:
            return y @ A.mT

    with pytest.raises(ValueError, match="Register the tensor"):
        operator_norm(Hidden(6, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_single_precision(dtype):
    A = matrix(40, 30, dtype)
    for S in (golub_kahan(MatrixMult(A), 3).S, randomized_svd(MatrixMult(A), 3, niter=30).S):
        assert S.dtype == torch.float32
        close(S, torch.linalg.svdvals(A)[:3], 1e-4)
    H = A.mH @ A
    wanted = torch.linalg.eigvalsh(H)[-3:].flip(0)
    for values in (lanczos(MatrixMult(H), 3).values, lobpcg(MatrixMult(H), 3).values):
        close(values, wanted, 1e-4)
    assert logdet(MatrixMult(H + torch.eye(30))).estimate.dtype == torch.float32


def test_a_large_spectrum_is_numpy(monkeypatch):
    """What the methods of an operator give where it is large, against what they give where it is small."""
    A, H = MatrixMult(matrix(50, 40, COMPLEX)), MatrixMult(hermitian(40, COMPLEX, positive=True).requires_grad_())
    J = torchlops.Conj(8, dtype="complex128")

    def found() -> list[Any]:
        return [
            H.eigs(3, symmetric=True),
            H.eigs(3, symmetric=True, uselobpcg=True),
            A.svds(3)[1],
            A.svds(2, which="SM")[1],
            A.cond(),
            A.norm(),
            (2 * J).norm(),
        ]

    small, logdets = found(), [H.logdet()]
    monkeypatch.setattr("torchlops.spectrum.DENSE_UP_TO", 0)
    for a, b in zip(found(), small, strict=True):
        assert type(a) is type(b)
        np.testing.assert_allclose(a, b, rtol=1e-9)
    logdets.append(H.logdet(nprobes=400, niter=40))
    assert abs(logdets[0] - logdets[1]) < 0.05 * abs(logdets[0])
    assert isinstance(logdets[1], float)
    np.testing.assert_allclose(logdets[0], np.linalg.slogdet(H.todense())[1])
    with pytest.raises(ValueError, match="determinant"):
        A.logdet()
    monkeypatch.undo()
    with pytest.raises(ValueError, match="positive definite"):
        (-1 * H).logdet()


def test_missing_convergence_is_told():
    A = MatrixMult(hermitian(200))
    for method in (lanczos, lobpcg, golub_kahan):
        with pytest.warns(SolverWarning, match="stopped at niter"):
            method(A, 3, niter=1)


def test_the_global_random_numbers_are_left_alone():
    A = MatrixMult(hermitian(8, positive=True))
    state = torch.get_rng_state()
    for method in (lanczos, golub_kahan, randomized_svd, operator_norm, logdet, power_iteration):
        first, second = (method(A) for _ in range(2))
        assert type(first) is type(second)
    lobpcg(A, 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_wrong_arguments_are_named():
    A = MatrixMult(matrix(6, 4))
    for method in (lanczos, lobpcg, logdet, power_iteration):
        with pytest.raises(ValueError, match="takes square operators"):
            method(A)
    square = MatrixMult(hermitian(6))
    for method in (lanczos, lobpcg, golub_kahan):
        with pytest.raises(ValueError, match="which must be"):
            method(square, 1, "SI")
    with pytest.raises(ValueError, match="1 to 2 eigenpairs"):
        lobpcg(square, 3)
    with pytest.raises(ValueError, match="k must be 1 or more"):
        golub_kahan(A, 0)
    with pytest.raises(ValueError, match="oversampling and niter"):
        randomized_svd(A, oversampling=-1)
    with pytest.raises(ValueError, match="nprobes and niter"):
        logdet(square, 0)
    with pytest.raises(ValueError, match="backend"):
        power_iteration(square, backend="jax")
