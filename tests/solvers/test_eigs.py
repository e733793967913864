"""Eigenvalues, singular values, norms and log-determinants against dense algebra, with their derivatives."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, vmap

import torchlops
from torchlops import MatrixMult
from torchlops.optimization import SolverWarning
from torchlops.optimization.eigs import (
    golub_kahan,
    lanczos,
    largest_eigenvalue,
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
    close(lanczos(torchlops.Zero(6), 2).eigenvalues, torch.zeros(2, dtype=REAL))
    close(lanczos(MatrixMult(hermitian(5)), 9).eigenvalues, torch.linalg.eigvalsh(hermitian(5)).flip(0), 1e-11)


def test_multiple_values_are_found():
    A = torchlops.SecondDerivative((12, 8), axis=0)  # each value eight times
    every = torch.as_tensor(np.linalg.svd(A.todense())[1])
    close(golub_kahan(A, 3).S, every[:3])
    close(golub_kahan(A, 10).S, every[:10])
    H = -1 * torchlops.SecondDerivative((12, 8), axis=0, edge=False)
    N = H.H @ H
    close(lanczos(N, 10).eigenvalues, torch.linalg.eigvalsh(N.todense(backend="torch")).flip(0)[:10])


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
            close(lobpcg(MatrixMult(A), 3, which, niter=60, M=MatrixMult(near)).eigenvalues, wanted, 1e-9)
    close(lobpcg(MatrixMult(A), 3, which, niter=30, X=vectors).eigenvalues, wanted, 1e-9)


def test_lobpcg_finds_multiple_eigenvalues():
    d = torch.cat([torch.full((3,), 9.0, dtype=REAL), torch.linspace(0, 5, 40, dtype=REAL)])
    close(lobpcg(torchlops.Diagonal(d), 4).eigenvalues, d.sort(descending=True)[0][:4])


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
    for tol in (1e-1, 1e-3, 1e-6):
        bound = largest_eigenvalue(MatrixMult(A), A.new_zeros(40), tol=tol)
        assert wanted**2 <= bound <= (1 + tol) * wanted**2


def test_the_norm_of_an_r_linear_operator():
    A = MatrixMult(matrix(5, 5, COMPLEX))
    B = A @ torchlops.Conj(5, dtype="complex128") + MatrixMult(matrix(5, 5, COMPLEX).mT)
    units = torch.eye(5, dtype=COMPLEX)
    columns = torch.view_as_real(torch.cat([B(units), B(1j * units)])).flatten(-2)
    close(operator_norm(B), torch.linalg.matrix_norm(columns, 2), 1e-10)
    with pytest.raises(TypeError, match="only real-linear"):
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
    with pytest.raises(ValueError, match="positive definite"):
        logdet(MatrixMult(-A))


@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_of_eigenvalues(dtype):
    A = hermitian(9, dtype, positive=True).requires_grad_()

    def values(method: Any, A: Tensor) -> Tensor:
        found: Tensor = method(MatrixMult((A + A.mH) / 2), 2, "SA").eigenvalues
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


# -- derivatives of vectors, and higher ones of values -------------------------------------------------------------


def probes(dtype: torch.dtype, *sizes: int) -> list[Tensor]:
    turns = [torch.arange(1.0, size + 1, dtype=REAL) * (index + 1) for index, size in enumerate(sizes)]
    return [(torch.exp(1j * turn) if dtype.is_complex else turn.sin()).to(dtype) for turn in turns]


def as_real(x: Tensor) -> Tensor:
    return torch.view_as_real(x) if x.is_complex() else x


def of_pairs(values: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return what does not depend on the signs or phases of eigenvectors."""
    a, b = probes(vectors.dtype, *[vectors.shape[0]] * 2)
    return values, as_real((vectors.mH @ a).conj() * (vectors.mH @ b))


def of_triplets(U: Tensor, S: Tensor, Vh: Tensor) -> tuple[Tensor, Tensor]:
    a, b = probes(U.dtype, U.shape[0], Vh.shape[1])
    return S, as_real((a @ U) * (Vh @ b))


def dense_pairs(A: Tensor, count: int, which: str) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh((A + A.mH) / 2)
    order = torch.argsort({"LA": -values, "SA": values, "LM": -values.abs()}[which])[:count]
    return of_pairs(values[order], vectors[:, order])


def dense_triplets(A: Tensor, count: int, which: str) -> tuple[Tensor, Tensor]:
    U, S, Vh = torch.linalg.svd(A, full_matrices=False)
    chosen = slice(0, count) if which == "LM" else slice(S.shape[0] - count, S.shape[0])
    return of_triplets(U[:, chosen], S[chosen], Vh[chosen])


def power_pair(A: Tensor) -> tuple[Tensor, Tensor]:
    value, vector, _ = power_iteration(MatrixMult(A), 400, 0.0, A.dtype, "torch")
    return value.real[None], vector[:, None]


METHODS = {
    "lanczos LA": (lambda A: of_pairs(*lanczos(MatrixMult((A + A.mH) / 2), 2)), dense_pairs, (2, "LA")),
    "lanczos SA": (lambda A: of_pairs(*lanczos(MatrixMult((A + A.mH) / 2), 1, "SA")), dense_pairs, (1, "SA")),
    "lanczos LM": (lambda A: of_pairs(*lanczos(MatrixMult((A + A.mH) / 2), 3, "LM")), dense_pairs, (3, "LM")),
    "lobpcg": (lambda A: of_pairs(*lobpcg(MatrixMult((A + A.mH) / 2), 1, tol=1e-13)), dense_pairs, (1, "LA")),
    "power": (lambda A: of_pairs(*power_pair((A + A.mH) / 2)), dense_pairs, (1, "LM")),
    "golub_kahan LM": (lambda A: of_triplets(*golub_kahan(MatrixMult(A), 2)), dense_triplets, (2, "LM")),
    "golub_kahan SM": (lambda A: of_triplets(*golub_kahan(MatrixMult(A), 2, "SM")), dense_triplets, (2, "SM")),
    "randomized_svd": (lambda A: of_triplets(*randomized_svd(MatrixMult(A), 2)), dense_triplets, (2, "LM")),
}
OF_MATRICES = ("golub_kahan LM", "golub_kahan SM", "randomized_svd")


def fast_first(methods, *fast):
    """Return methods as parameters, slow but for those named."""
    return [pytest.param(name, marks=[] if name in fast else [pytest.mark.slow]) for name in methods]


def shapes_for(method: str) -> list[tuple[int, int]]:
    return [(5, 3), (3, 4)] if method in OF_MATRICES else [(4, 4)]


@pytest.mark.parametrize("dtype", [REAL, pytest.param(COMPLEX, marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", fast_first(METHODS, "lanczos LA", "golub_kahan LM"))
def test_derivatives_of_vectors(method, dtype):
    """The first against dense algebra; all of the first and second order against differences."""
    ours, dense, options = METHODS[method]
    for shape in shapes_for(method):
        A = matrix(*shape, dtype).requires_grad_()
        for mine, wanted in zip(ours(A), dense(A, *options), strict=True):
            close(mine, wanted, 1e-10)
            weight = torch.linspace(1, 2, mine.numel(), dtype=REAL).reshape(mine.shape)
            gradients = [torch.autograd.grad((x * weight).sum(), A, retain_graph=True)[0] for x in (mine, wanted)]
            close(*gradients, 1e-9)
        assert gradcheck(ours, (A,), check_forward_ad=True, fast_mode=True)
        assert gradgradcheck(ours, (A,), check_fwd_over_rev=True, fast_mode=True)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_nesting_of_modes(method):
    ours, dense, options = METHODS[method]
    A = matrix(*shapes_for(method)[0])

    def total(function: Any) -> Any:
        return lambda A: sum((x**3).sum() for x in function(A))

    mine, wanted = total(ours), total(lambda A: dense(A, *options))
    first, second = grad(wanted)(A), torch.autograd.functional.hessian(wanted, A)
    close(jacfwd(mine)(A), first)
    for outer in (jacfwd, jacrev):
        for inner in (jacfwd, jacrev):
            close(outer(inner(mine))(A), second, 1e-8)
    stack = torch.stack([A, 2 * A.flip(0)])
    close(vmap(grad(mine))(stack), torch.stack([grad(wanted)(B) for B in stack]))
    close(vmap(hessian(mine))(stack)[0], second, 1e-8)


@pytest.mark.slow
def test_third_derivatives_of_vectors():
    A, B = hermitian(5), matrix(5, 5)

    def along(function: Any) -> Any:
        return lambda t: (function(A + t * B)[1] ** 3).sum()

    t = torch.zeros((), dtype=REAL)
    wanted = jacrev(jacrev(jacrev(along(lambda A: dense_pairs(A, 2, "LA")))))(t)
    for transforms in itertools.product((jacfwd, jacrev), repeat=3):
        mine = along(METHODS["lanczos LA"][0])
        for transform in transforms:
            mine = transform(mine)
        close(mine(t), wanted, 1e-8)


def test_the_phase_of_a_derivative():
    """It is constant, so that derivatives of the vectors themselves have a symmetric Hessian."""
    A, B, C = (
        matrix(4, 4, COMPLEX) @ torch.diag(torch.tensor(d, dtype=COMPLEX))
        for d in ([1, 2, 3, 4], [1, 1, -1, 2], [1j, 0, 2, 1])
    )

    def vectors(t: Tensor) -> Tensor:
        M = A + t[0] * B + t[1] * C
        return torch.view_as_real(lanczos(MatrixMult((M + M.mH) / 2), 2).eigenvectors)

    t = torch.zeros(2, dtype=REAL)
    v = torch.view_as_complex(vectors(t))
    first = torch.view_as_complex(jacfwd(vectors)(t).movedim(-1, 0).contiguous())
    close((v.conj() * first).sum(-2), torch.zeros(2, 2, dtype=COMPLEX))
    close(jacrev(vectors)(t), jacfwd(vectors)(t))
    found = [outer(inner(vectors))(t) for outer in (jacfwd, jacrev) for inner in (jacfwd, jacrev)]
    for second in found:
        close(second, second.mT)
        close(second, found[0])
    assert found[0].abs().max() > 0.1


def with_values(*values: float) -> Tensor:
    Q = torch.linalg.qr(matrix(len(values), len(values)))[0]
    return Q @ torch.diag(torch.tensor(values, dtype=REAL)) @ Q.mT


@pytest.mark.parametrize("which", ["values", "projector"])
def test_equal_values(which):
    """Their sum has two derivatives, the projector one; a warning tells that a single value has none."""
    A, B, W = with_values(5, 5, 5, 3, 2, 1, 0), hermitian(7), matrix(7, 7)

    def ours(t: Tensor) -> Tensor:
        values, V = lanczos(MatrixMult(A + t * B), 4)
        return values[:3].sum() if which == "values" else (W * (V[:, :3] @ V[:, :3].mT)).sum()

    def dense(t: float) -> Tensor:
        values, V = torch.linalg.eigh(A + t * B)
        return values[-3:].sum() if which == "values" else (W * (V[:, -3:] @ V[:, -3:].mT)).sum()

    h, t = 1e-4, torch.zeros((), dtype=REAL)
    first = (dense(h) - dense(-h)) / (2 * h)
    second = (dense(h) - 2 * dense(0.0) + dense(-h)) / h**2
    for transform in (grad, jacfwd):
        with pytest.warns(SolverWarning, match=r"values \[0, 1, 2\] .* equal to another"):
            close(transform(ours)(t), first, 1e-6)
    if which == "values":
        for transforms in itertools.product((jacfwd, jacrev), repeat=2):
            with pytest.warns(SolverWarning, match="equal to another"):
                close(transforms[0](transforms[1](ours))(t), second, 1e-5)


def test_a_vector_that_has_no_derivative():
    A = with_values(5, 5, 3, 2, 1, 0).requires_grad_()
    with pytest.warns(SolverWarning, match=r"values \[0, 1\]"):
        lanczos(MatrixMult(A), 2)
    for B in (A, with_values(5, 5 - 1e-9, 3, 2, 1, 0).requires_grad_(), torch.eye(6, dtype=REAL, requires_grad=True)):
        vectors = lanczos(MatrixMult(B), 1).eigenvectors  # nobody can know of the other one yet
        with pytest.warns(SolverWarning, match="Request more values"):
            (vectors * matrix(6, 1)).sum().backward()
    with pytest.warns(SolverWarning, match="singular values of zero"):
        golub_kahan(MatrixMult(matrix(4, 1).requires_grad_() @ matrix(1, 3)), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lanczos(MatrixMult(A.detach()), 2)  # no derivative is wanted


@pytest.mark.slow
def test_second_derivatives_of_the_norm():
    A, B = matrix(3, 3, COMPLEX).requires_grad_(), MatrixMult(matrix(3, 3, COMPLEX).mT)
    J = torchlops.Conj(3, dtype="complex128")
    for function in (lambda A: operator_norm(MatrixMult(A)), lambda A: operator_norm(MatrixMult(A) @ J + B)):
        assert gradcheck(function, (A,), check_forward_ad=True)
        assert gradgradcheck(function, (A,), check_fwd_over_rev=True)
    F = torchlops.signalprocessing.FFT(6, real=True)
    d = torch.linspace(1, 2, 6, dtype=REAL).requires_grad_()
    assert gradcheck(lambda d: operator_norm(torchlops.Diagonal(d) @ F.H), (d,), check_forward_ad=True)
    A = matrix(4, 3)
    second = torch.autograd.functional.hessian(lambda A: torch.linalg.matrix_norm(A, 2), A)
    close(hessian(lambda A: operator_norm(MatrixMult(A)))(A), second)


def test_second_derivatives_of_the_log_determinant():
    d = torch.linspace(1, 3, 5, dtype=REAL)  # of a diagonal operator, each probe is exact

    def ours(d: Tensor) -> Tensor:
        return logdet(torchlops.Diagonal(d), 3).estimate

    for transforms in itertools.product((jacfwd, jacrev), repeat=2):
        close(transforms[0](transforms[1](ours))(d), torch.diag(-1 / d**2))
    close(jacfwd(jacrev(jacfwd(ours)))(d), jacrev(jacrev(jacrev(lambda d: d.log().sum())))(d))
    close(vmap(grad(ours))(torch.stack([d, 2 * d])), torch.stack([1 / d, 0.5 / d]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_second_derivatives_of_the_log_determinant_in_the_mean(dtype):
    A, B = hermitian(4, dtype, positive=True), hermitian(4, dtype).flip(0).flip(1)

    def ours(t: Tensor) -> Tensor:
        return logdet(MatrixMult(A + t * B), 4000).estimate

    wanted = -torch.linalg.matrix_power(torch.linalg.solve(A, B), 2).trace().real
    t = torch.zeros((), dtype=REAL)
    for transforms in itertools.product((jacfwd, jacrev), repeat=2):
        assert abs(transforms[0](transforms[1](ours))(t) - wanted) < 0.05 * abs(wanted)


def test_a_matrix_that_is_not_hermitian_has_no_derivative_by_power_iteration():
    A = matrix(4, 4).requires_grad_()
    with pytest.raises(ValueError, match="Hermitian operators"):
        power_iteration(MatrixMult(A), backend="torch")
    with torch.no_grad():
        power_iteration(MatrixMult(A), backend="torch")
    assert isinstance(power_iteration(MatrixMult(A))[1], np.ndarray)


def test_a_hidden_tensor_is_refused():
    A = matrix(6, 4).requires_grad_()

    class Hidden(torchlops.LinearOperator):
        def _forward(self, x: Tensor) -> Tensor:
            return x @ A

        def _adjoint(self, y: Tensor) -> Tensor:
            return y @ A.mT

    with pytest.raises(ValueError, match="Register the tensor"):
        operator_norm(Hidden(6, 4))


@pytest.mark.slow
def test_models_with_axes():
    """Vectors come flat, in the order of the samples; derivatives reach a filter."""
    h = torch.tensor([0.3, 1.0, 0.5], dtype=REAL).requires_grad_()

    def ours(h: Tensor) -> tuple[Tensor, Tensor]:
        C = torchlops.signalprocessing.Convolve1D((4, 3), h, offset=1, axis=0)
        D = torchlops.Diagonal(torch.linspace(1, 2, 12, dtype=REAL).reshape(4, 3))
        return of_triplets(*golub_kahan(C @ D, 2))

    assert gradcheck(ours, (h,), check_forward_ad=True)
    assert gradgradcheck(ours, (h,), check_fwd_over_rev=True)


def test_derivatives_in_single_precision():
    A = matrix(30, 20).float().requires_grad_()
    gradients = [
        torch.autograd.grad(f(B)[1].sum(), B)[0]
        for f, B in (
            (METHODS["golub_kahan LM"][0], A),
            (lambda A: dense_triplets(A, 2, "LM"), A.detach().double().requires_grad_()),
        )
    ]
    assert gradients[0].dtype == torch.float32
    torch.testing.assert_close(gradients[0].double(), gradients[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_single_precision(dtype):
    A = matrix(40, 30, dtype)
    for S in (golub_kahan(MatrixMult(A), 3).S, randomized_svd(MatrixMult(A), 3, niter=30).S):
        assert S.dtype == torch.float32
        close(S, torch.linalg.svdvals(A)[:3], 1e-4)
    H = A.mH @ A
    wanted = torch.linalg.eigvalsh(H)[-3:].flip(0)
    for values in (lanczos(MatrixMult(H), 3).eigenvalues, lobpcg(MatrixMult(H), 3).eigenvalues):
        close(values, wanted, 1e-4)
    assert logdet(MatrixMult(H + torch.eye(30))).estimate.dtype == torch.float32


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
