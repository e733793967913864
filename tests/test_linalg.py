"""``torchlops.linalg`` against ``torch.linalg`` on the matrix, by the dense and the iterative methods."""

from __future__ import annotations

import itertools
import math
import time
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

import torchlops
from torchlops import MatrixMult, linalg
from torchlops.linalg import SingularTriplets
from torchlops.optimization import SolverError, SolverWarning

REAL, COMPLEX = torch.float64, torch.complex128
DTYPES = [REAL, COMPLEX]
METHODS = ["dense", "iterative"]


def numbers(*shape: int, dtype: torch.dtype = REAL, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def regular(size: int, dtype: torch.dtype = REAL) -> Tensor:
    return numbers(size, size, dtype=dtype) + 2 * math.sqrt(size) * torch.eye(size)


def positive(size: int, dtype: torch.dtype = REAL) -> Tensor:
    A = numbers(size, size, dtype=dtype)
    return A @ A.mH / size + torch.eye(size)


def hermitian(size: int, dtype: torch.dtype = REAL) -> Tensor:
    A = numbers(size, size, dtype=dtype)
    return A + A.mH


def with_values(*values: float) -> Tensor:
    Q = torch.linalg.qr(numbers(len(values), len(values)))[0]
    return Q @ torch.diag(torch.tensor(values, dtype=REAL)) @ Q.mT


def close(a: Any, b: Any, rtol: float = 1e-9) -> None:
    a, b = (torch.as_tensor(t) for t in (a, b))
    torch.testing.assert_close(a, b, rtol=rtol, atol=rtol)


# -- solutions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_solve(method: str, dtype: torch.dtype) -> None:
    A, y = regular(12, dtype), numbers(2, 3, 12, dtype=dtype)
    wanted = torch.linalg.solve(A, y.reshape(-1, 12).mT).mT.reshape(2, 3, 12)
    close(linalg.solve(MatrixMult(A), y, method=method), wanted, 1e-8)
    close(linalg.solve(MatrixMult(A), y[0, 0].numpy(), method=method), wanted[0, 0].numpy(), 1e-8)
    assert linalg.solve(MatrixMult(A), y[:0], method="dense").shape == (0, 3, 12)
    B = MatrixMult(regular(3, dtype), (4,))
    flat = linalg.solve(B, B(torch.ones(12, dtype=dtype)), method=method)
    assert flat.shape == (3, 4)  # models, whether the data were flat or not
    close(flat, torch.ones(3, 4, dtype=dtype), 1e-8)


def test_solve_by_the_named_solver() -> None:
    H, y = positive(12), numbers(12)
    for solver in ("cg", "minres", "gmres", "bicgstab", "cgls", "lsqr", "lsmr"):
        close(linalg.solve(MatrixMult(H), y, solver=solver), torch.linalg.solve(H, y), 1e-7)
    close(linalg.solve(MatrixMult(H), y, solver="cg", M=torchlops.Diagonal(1 / H.diagonal())), torch.linalg.solve(H, y))


def test_solve_uses_an_inverse_that_the_operator_knows() -> None:
    F = torchlops.signalprocessing.FFT(5000, dtype="complex128")
    y = numbers(5000, dtype=COMPLEX)
    close(F(linalg.solve(F, y)), y)


@pytest.mark.parametrize("method", METHODS)
def test_solve_of_mixed_dtypes(method: str) -> None:
    A, y = MatrixMult(regular(4)), numbers(4, dtype=COMPLEX)
    close(linalg.solve(A, y, method=method), torch.linalg.solve(regular(4).to(COMPLEX), y), 1e-8)
    single = linalg.solve(MatrixMult(regular(4).float()), numbers(4).float(), method=method)
    assert single.dtype == torch.float32
    D = torchlops.SecondDerivative(6, edge=True) + torchlops.Identity(6)  # without tensors: it computes as its input
    assert linalg.solve(D, numbers(6).float(), method=method).dtype == torch.float32
    F = torchlops.signalprocessing.FFT(6, dtype="complex128")
    P = F @ (3 * torchlops.Identity(6))
    assert linalg.solve(P, numbers(6), method=method).dtype == COMPLEX


@pytest.mark.parametrize("method", METHODS)
def test_solve_with_an_r_linear_operator(method: str) -> None:
    J = torchlops.Conj(5, dtype="complex128")
    A = MatrixMult(regular(5, COMPLEX)) + MatrixMult(numbers(5, 5, dtype=COMPLEX)) @ J
    x = numbers(2, 5, dtype=COMPLEX)
    close(linalg.solve(A, A(x), method=method), x, 1e-7)
    F = torchlops.signalprocessing.FFT(6, real=True)
    m = numbers(6)
    close(linalg.lstsq(F, F(m), method=method).solution, m, 1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(9, 6), (6, 9), (6, 6)])
def test_lstsq(shape: tuple[int, int], method: str, dtype: torch.dtype) -> None:
    A, y = numbers(*shape, dtype=dtype), numbers(3, shape[0], dtype=dtype)
    solution, residuals, converged = linalg.lstsq(MatrixMult(A), y, method=method)
    wanted = y @ torch.linalg.pinv(A).mT
    close(solution, wanted, 1e-8)
    close(residuals, torch.linalg.vector_norm(y - wanted @ A.mT, dim=-1), 1e-8)
    assert converged.tolist() == [True] * 3
    assert isinstance(linalg.lstsq(MatrixMult(A), y.numpy(), method=method).solution, np.ndarray)


def test_lstsq_with_dependent_columns_is_the_smallest_solution() -> None:
    A, y = numbers(9, 3) @ numbers(3, 6, seed=1), numbers(9)
    for method in METHODS:
        close(linalg.lstsq(MatrixMult(A), y, method=method).solution, torch.linalg.pinv(A) @ y, 1e-8)
    close(linalg.lstsq(MatrixMult(with_values(4, 1, 1e-3)), y[:3], 1e-2).solution.norm() < 10, torch.tensor(True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_inverses_are_operators(method: str, dtype: torch.dtype) -> None:
    A, B = regular(5, dtype), numbers(6, 4, dtype=dtype)
    inverse, pseudo = linalg.inv(MatrixMult(A), method=method), linalg.pinv(MatrixMult(B), method=method)
    close(inverse.todense("torch"), torch.linalg.inv(A), 1e-8)
    close(inverse.H.todense("torch"), torch.linalg.inv(A).mH, 1e-8)
    close(pseudo.todense("torch"), torch.linalg.pinv(B), 1e-8)
    close(pseudo.H.todense("torch"), torch.linalg.pinv(B).mH, 1e-8)
    close((inverse @ MatrixMult(A)).todense("torch"), torch.eye(5, dtype=dtype), 1e-8)
    torchlops.dottest(pseudo, complexflag=3 if dtype.is_complex else 0, rtol=1e-6, atol=1e-6)
    assert method in repr(inverse)
    damped = linalg.pinv(MatrixMult(B), damp=0.5)
    close(damped.todense("torch"), torch.linalg.solve(B.mH @ B + 0.25 * torch.eye(4), B.mH), 1e-7)


def test_a_parameter_changed_in_place_is_seen_by_an_inverse() -> None:
    d = torch.nn.Parameter(torch.ones(3))
    inverse = linalg.inv(MatrixMult(torch.eye(3)) @ torchlops.Diagonal(d))
    with torch.no_grad():
        d.mul_(2)
    close(inverse(torch.ones(3)), torch.full((3,), 0.5))


SOLUTIONS = {
    "solve": (lambda A, y, m: linalg.solve(MatrixMult(A), y, method=m), lambda A, y: torch.linalg.solve(A, y), (4, 4)),
    "lstsq": (
        lambda A, y, m: linalg.lstsq(MatrixMult(A), y, method=m).solution,
        lambda A, y: torch.linalg.pinv(A) @ y,
        (5, 3),
    ),
    "lstsq wide": (
        lambda A, y, m: linalg.lstsq(MatrixMult(A), y, method=m).solution,
        lambda A, y: torch.linalg.pinv(A) @ y,
        (3, 5),
    ),
    "pinv": (
        lambda A, y, m: linalg.pinv(MatrixMult(A), method=m)(y),
        lambda A, y: torch.linalg.pinv(A) @ y,
        (5, 3),
    ),
    "inv": (lambda A, y, m: linalg.inv(MatrixMult(A), method=m)(y), lambda A, y: torch.linalg.inv(A) @ y, (4, 4)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SOLUTIONS)
def test_derivatives_of_solutions(name: str, method: str, dtype: torch.dtype) -> None:
    ours, _, shape = SOLUTIONS[name]
    A = (numbers(*shape, dtype=dtype) + 3 * torch.eye(*shape)).requires_grad_()
    y = numbers(shape[0], dtype=dtype, seed=1).requires_grad_()
    assert gradcheck(lambda A, y: ours(A, y, method), (A, y), check_forward_ad=True, fast_mode=True)
    assert gradgradcheck(lambda A, y: ours(A, y, method), (A, y), check_fwd_over_rev=True, fast_mode=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["solve", "lstsq"])
def test_transforms_of_solutions(name: str, method: str) -> None:
    ours, dense, shape = SOLUTIONS[name]
    A, y = numbers(3, *shape) + 3 * torch.eye(*shape), numbers(3, shape[0], seed=1)

    def total(function: Any) -> Any:
        return lambda A, y: (function(A, y) ** 3).sum()

    def mine(A: Tensor, y: Tensor) -> Tensor:
        return ours(A, y, method)

    close(vmap(mine)(A, y), torch.stack([dense(*each) for each in zip(A, y, strict=True)]), 1e-8)
    close(vmap(grad(total(mine)))(A, y), vmap(grad(total(dense)))(A, y), 1e-7)
    second = torch.autograd.functional.hessian(lambda A: total(dense)(A, y[0]), A[0])
    for outer, inner in itertools.product((jacfwd, jacrev), repeat=2):
        close(outer(inner(lambda A: total(mine)(A, y[0])))(A[0]), second, 1e-6)
    close(vmap(mine, (None, 0))(A[0], y), torch.stack([dense(A[0], each) for each in y]), 1e-8)


# -- norms, singular values, eigenvalues ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_norms(dtype: torch.dtype) -> None:
    A = numbers(7, 5, dtype=dtype)
    for order in (None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        wanted = torch.linalg.matrix_norm(A, "fro" if order is None else order)
        close(linalg.norm(MatrixMult(A), order), wanted, 1e-12)
        if order in (2, -2):
            close(linalg.norm(MatrixMult(A), order, method="iterative"), wanted, 1e-10)
    with pytest.raises(ValueError, match="ord must be"):
        linalg.norm(MatrixMult(A), 3)
    with pytest.raises(ValueError, match="needs the matrix"):
        linalg.norm(MatrixMult(A), "fro", method="iterative")


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_condition_numbers_and_singular_values_at_every_scale(method: str, dtype: torch.dtype, scale: float) -> None:
    for shape in ((60, 50), (50, 60), (55, 55)):
        A = numbers(*shape, dtype=dtype)
        every = torch.linalg.svdvals(A)
        close(linalg.cond(MatrixMult(scale * A), method=method), torch.linalg.cond(A), 1e-8)
        close(linalg.svdvals(MatrixMult(scale * A), 3, method=method) / scale, every[:3], 1e-9)
        close(linalg.svdvals(MatrixMult(scale * A), 2, "SM", method=method) / scale, every[-2:], 1e-9)
        found = linalg.svd(MatrixMult(scale * A), 3, method=method)
        U, S, Vh = found
        close(A @ Vh.mH, U * S / scale, 1e-8)
        assert found.converged.all()
        assert len(found) == 3


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_eigenvalues_of_hermitian_operators(method: str, dtype: torch.dtype, scale: float) -> None:
    A = hermitian(60, dtype)
    every = torch.linalg.eigvalsh(A)
    for which, wanted in (("LA", every[-3:]), ("SA", every[:3])):
        close(linalg.eigvalsh(MatrixMult(scale * A), 3, which, method=method) / scale, wanted, 1e-10)
        values, vectors = linalg.eigh(MatrixMult(scale * A), 3, which, method=method)
        close(values / scale, wanted, 1e-10)
        close(A @ vectors, values / scale * vectors, 1e-8)
    with pytest.raises(ValueError, match="takes Hermitian operators"):
        linalg.eigvalsh(MatrixMult(regular(60, dtype)), 3, method=method)


def test_all_values_as_of_torch_linalg() -> None:
    A, H = numbers(7, 5), hermitian(6, COMPLEX)
    close(linalg.svdvals(MatrixMult(A)), torch.linalg.svdvals(A))
    U, S, Vh = linalg.svd(MatrixMult(A))
    close((U * S) @ Vh, A)
    values, vectors = linalg.eigh(MatrixMult(H))
    close(values, torch.linalg.eigvalsh(H))
    close((vectors * values) @ vectors.mH, H)
    close(linalg.eigvalsh(MatrixMult(H)), values)
    B = numbers(6, 6)
    ours, wanted = linalg.eigvals(MatrixMult(B)), torch.linalg.eigvals(B)
    close(ours[ours.real.argsort()], wanted[wanted.real.argsort()])


def test_a_singular_operator_has_an_infinite_condition_number() -> None:
    for method in METHODS:
        assert linalg.cond(MatrixMult(numbers(20, 3) @ numbers(3, 20)), method=method) == math.inf
        assert linalg.cond(torchlops.Zero(5), method=method) == math.inf


def test_condition_of_an_r_linear_operator_is_that_of_its_real_matrix() -> None:
    B = MatrixMult(regular(5, COMPLEX)) @ torchlops.Conj(5, dtype="complex128") + MatrixMult(
        numbers(5, 5, dtype=COMPLEX)
    )
    units = torch.eye(5, dtype=COMPLEX)
    columns = torch.view_as_real(torch.cat([B(units), B(1j * units)])).flatten(-2)
    for method in METHODS:
        close(linalg.cond(B, method=method), torch.linalg.cond(columns), 1e-8)
        close(linalg.norm(B, 2, method=method), torch.linalg.matrix_norm(columns, 2))


def test_an_operator_without_a_complex_matrix_is_refused() -> None:
    J = torchlops.Conj(4, dtype="complex128")
    for function in (
        linalg.svd,
        linalg.svdvals,
        linalg.eigh,
        linalg.eigvalsh,
        linalg.eigvals,
        linalg.slogdet,
        linalg.logdet,
        linalg.trace,
        linalg.diagonal,
        linalg.norm,
    ):
        with pytest.raises(TypeError, match="only real-linear"):
            function(J)


def test_a_well_conditioned_operator_of_medium_size_takes_a_blink() -> None:
    """By both methods: the smallest singular values of a random matrix are many, and close to each other."""
    A = numbers(600, 600) + 60 * torch.eye(600)
    wanted = torch.linalg.cond(A)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in METHODS:
            start = time.perf_counter()
            close(linalg.cond(MatrixMult(A), method=method), wanted, 1e-8)
            assert time.perf_counter() - start < 60


VALUES = {
    "norm 2": (lambda A, m: linalg.norm(MatrixMult(A), 2, method=m), lambda A: torch.linalg.matrix_norm(A, 2)),
    "norm -2": (lambda A, m: linalg.norm(MatrixMult(A), -2, method=m), lambda A: torch.linalg.matrix_norm(A, -2)),
    "cond": (lambda A, m: linalg.cond(MatrixMult(A), method=m), torch.linalg.cond),
    "svdvals": (lambda A, m: linalg.svdvals(MatrixMult(A), 2, method=m), lambda A: torch.linalg.svdvals(A)[:2]),
    "eigvalsh": (
        lambda A, m: linalg.eigvalsh(MatrixMult(A + A.mH), 2, method=m),
        lambda A: torch.linalg.eigvalsh(A + A.mH)[-2:],
    ),
}
OF_MATRICES = {
    "norm": (lambda A: linalg.norm(MatrixMult(A)), torch.linalg.matrix_norm),
    "norm nuc": (lambda A: linalg.norm(MatrixMult(A), "nuc"), lambda A: torch.linalg.matrix_norm(A, "nuc")),
    "norm inf": (
        lambda A: linalg.norm(MatrixMult(A), math.inf),
        lambda A: torch.linalg.matrix_norm(A, math.inf),
    ),
    "all eigenvalues": (
        lambda A: linalg.eigvals(MatrixMult(A)).abs().square().sum(),
        lambda A: torch.linalg.eigvals(A).abs().square().sum(),
    ),
    "logdet": (
        lambda A: linalg.logdet(MatrixMult(A @ A.mH)).real,
        lambda A: torch.linalg.slogdet(A @ A.mH).logabsdet,
    ),
    "slogdet": (lambda A: linalg.slogdet(MatrixMult(A)).logabsdet, lambda A: torch.linalg.slogdet(A).logabsdet),
    "trace": (lambda A: (linalg.trace(MatrixMult(A @ A))).real, lambda A: torch.trace(A @ A).real),
    "diagonal": (lambda A: linalg.diagonal(MatrixMult(A @ A)).real, lambda A: torch.diagonal(A @ A).real),
}
ALL = {
    **{f"{name} {m}": (lambda A, f=f, m=m: f(A, m), g) for name, (f, g) in VALUES.items() for m in METHODS},
    **OF_MATRICES,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL)
def test_derivatives_of_values(name: str, dtype: torch.dtype) -> None:
    ours, dense = ALL[name]
    A = (numbers(4, 4, dtype=dtype) + torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0]))).requires_grad_()
    close(ours(A), dense(A), 1e-10)
    assert gradcheck(ours, (A,), check_forward_ad=True, fast_mode=True)
    assert gradgradcheck(ours, (A,), check_fwd_over_rev=True, fast_mode=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_transforms_of_values(name: str) -> None:
    ours, dense = ALL[name]
    A = numbers(2, 4, 4) + torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0]))

    def total(function: Any) -> Any:
        return lambda A: (function(A) ** 2).sum()

    close(vmap(ours)(A), torch.stack([dense(each) for each in A]))
    close(vmap(grad(total(ours)))(A), torch.stack([grad(total(dense))(each) for each in A]), 1e-8)
    second = torch.autograd.functional.hessian(total(dense), A[0])
    for outer, inner in itertools.product((jacfwd, jacrev), repeat=2):
        close(outer(inner(total(ours)))(A[0]), second, 1e-7)


def test_third_derivatives_of_matrices() -> None:
    """Where forward mode is nested, ``torch.linalg.solve``, ``slogdet`` and ``eigvals`` lose tangents."""
    A, B, C, y = regular(4), numbers(4, 4, seed=1), numbers(4, 4), numbers(4)
    functions = [
        lambda t: linalg.solve(MatrixMult(A + t * B), y, method="dense").sum(),
        lambda t: MatrixMult(A + t * B).div(y).sum(),
        lambda t: linalg.slogdet(MatrixMult(A + t * B)).logabsdet,
        lambda t: linalg.eigvals(MatrixMult(C + t * B)).abs().square().sum(),
        lambda t: linalg.pinv(MatrixMult((A + t * B)[:, :2]))(y).sum(),
    ]
    t = torch.zeros((), dtype=REAL)
    for function in functions:
        wanted = jacrev(jacrev(jacrev(function)))(t)
        for transforms in itertools.product((jacfwd, jacrev), repeat=3):
            derivative = function
            for transform in transforms:
                derivative = transform(derivative)
            close(derivative(t), wanted, 1e-7)


def test_vectors_have_derivatives_by_both_methods() -> None:
    A, W = numbers(6, 6), numbers(6, 6, seed=1)

    def of_eigenvectors(A: Tensor, method: str) -> Tensor:
        V = linalg.eigh(MatrixMult(A + A.mT), 2, method=method).eigenvectors
        return (W * (V @ V.mT)).sum()

    def of_singular_vectors(A: Tensor, method: str) -> Tensor:
        U, _, Vh = linalg.svd(MatrixMult(A), 2, method=method)
        return (W * (U @ Vh)).sum()

    for function in (of_eigenvectors, of_singular_vectors):
        first, second = (grad(lambda A, m=method, f=function: f(A, m))(A) for method in METHODS)
        close(first, second, 1e-8)
        assert first.abs().max() > 1e-3
        close(*(hessian(lambda A, m=method, f=function: f(A, m))(A) for method in METHODS), 1e-7)


def test_equal_values_by_the_matrix() -> None:
    """Where ``torch.linalg`` gives NaN, what has a derivative has it, and what has none says so."""
    A, W = with_values(5, 5, 3, 2, 1), numbers(5, 5)
    with pytest.warns(SolverWarning, match=r"values \[0, 1\] .* equal"):
        linalg.svd(MatrixMult(A.clone().requires_grad_()))
    with pytest.warns(SolverWarning, match="equal"):
        first = grad(lambda A: (W * projector(A)).sum())(A)
    B, h = hermitian(5), 1e-5
    step = sum((W * dense_projector(A + s * h * B)).sum() * s for s in (1, -1)) / (2 * h)
    close((first * B).sum(), step, 1e-5)
    with pytest.warns(SolverWarning, match="equal"):
        gradient = grad(lambda A: linalg.norm(MatrixMult(A), 2))(A)  # a subgradient: its trace with A is the norm
    close((gradient * A).sum(), torch.tensor(5.0, dtype=REAL))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grad(lambda A: linalg.norm(MatrixMult(A), -2))(A)  # that of the others does not matter
        linalg.svd(MatrixMult(A))  # no derivative is asked for


def projector(A: Tensor) -> Tensor:
    V = linalg.eigh(MatrixMult((A + A.mT) / 2), 2).eigenvectors
    return V @ V.mT


def dense_projector(A: Tensor) -> Tensor:
    V = torch.linalg.eigh((A + A.mT) / 2)[1][:, -2:]
    return V @ V.mT


# -- determinants and traces ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_determinants(dtype: torch.dtype) -> None:
    A, H = regular(6, dtype), positive(80, dtype)
    found, wanted = linalg.slogdet(MatrixMult(-A)), torch.linalg.slogdet(-A)
    close(torch.stack(tuple(found)).to(dtype), torch.stack(tuple(wanted)).to(dtype))
    assert found.error == 0
    assert found.converged
    close(linalg.logdet(MatrixMult(A)), torch.logdet(A), 1e-9)
    estimate = linalg.slogdet(MatrixMult(H), method="iterative", nprobes=100)
    exact = linalg.slogdet(MatrixMult(H))
    assert estimate.sign == 1
    assert estimate.converged
    assert 0 < estimate.error < 0.1 * exact.logabsdet
    assert abs(estimate.logabsdet - exact.logabsdet) < 4 * estimate.error
    assert linalg.logdet(MatrixMult(H), nprobes=5).dtype == linalg.logdet(MatrixMult(H)).dtype
    for B, says in ((A, "Hermitian"), (-H, "positive definite")):
        with pytest.raises(ValueError, match=says):
            linalg.slogdet(MatrixMult(B), method="iterative")


def test_logdet_of_a_negative_determinant_is_nan() -> None:
    assert linalg.logdet(torchlops.Diagonal(torch.tensor([1.0, -2.0]))).isnan()
    assert linalg.logdet(torchlops.Diagonal(torch.tensor([1.0, 0.0]))) == -math.inf


def test_too_few_lanczos_steps_are_told() -> None:
    d = torch.logspace(-6, 0, 120, dtype=REAL)
    with pytest.warns(SolverWarning, match="logdet stopped at niter"):
        found = linalg.slogdet(torchlops.Diagonal(d), niter=10)
    assert not found.converged
    found = linalg.slogdet(torchlops.Diagonal(d), niter=120)
    assert found.converged
    close(found.logabsdet, d.log().sum(), 1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_gaussian_process_finds_its_optimum(method: str) -> None:
    """The likelihood of ``y ~ N(0, s^2 K)`` is largest at ``s^2 = y^T K^-1 y / n``."""
    K, y = positive(30), numbers(30)
    best = (y @ torch.linalg.solve(K, y) / 30).log() / 2
    s = torch.zeros((), dtype=REAL, requires_grad=True)
    optimizer = torch.optim.LBFGS([s], max_iter=50, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        A = MatrixMult((2 * s).exp() * K)
        loss = linalg.logdet(A, method=method) + y @ linalg.solve(A, y, method=method)
        loss.backward()
        return loss

    optimizer.step(closure)
    close(s, best, 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_diagonals_and_traces(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    for shape in ((5, 7), (7, 5), (6, 6)):
        A = numbers(*shape, dtype=dtype)
        close(linalg.diagonal(MatrixMult(A)), A.diagonal())
    close(linalg.trace(MatrixMult(A)), A.trace())
    monkeypatch.setattr("torchlops.linalg.determinants._BLOCK", 12)  # two at once
    close(linalg.trace(MatrixMult(A)), A.trace())
    value, error = linalg.estimate_trace(MatrixMult(positive(200, dtype)), 60)
    assert abs(value - positive(200, dtype).trace()) < 4 * error


def test_estimates_of_traces_of_low_rank_have_finite_derivatives() -> None:
    u = numbers(40).requires_grad_()
    value, error = linalg.estimate_trace(MatrixMult(torch.outer(u, u)), 30)
    assert error < 1e-9
    value.backward()
    close(u.grad, 2 * u.detach())
    tangent = jvp(
        lambda u: linalg.estimate_trace(MatrixMult(torch.outer(u, u)), 30).value, (u.detach(),), (u.detach(),)
    )
    close(tangent[1], 2 * u.detach().square().sum())


# -- convergence, limits, arguments ---------------------------------------------------------------------------


def test_what_stops_short_says_so() -> None:
    A = MatrixMult(numbers(60, 60))
    y = numbers(2, 60)
    with pytest.warns(SolverWarning, match=r"LSMR .* stopped at niter=5.*MAXITER in 2 of 2 samples"):
        linalg.solve(A, y, niter=5)
    with pytest.warns(SolverWarning, match=r"LSQR .* stopped at niter=5.*MAXITER in 2"):
        assert not linalg.lstsq(A, y, solver="lsqr", niter=5).converged.any()
    for operator in (linalg.inv(A, solver="gmres", niter=5), A.inverse("bicgstab", niter=2), A.pinv(niter=5)):
        with pytest.warns(SolverWarning, match="stopped at niter|failed"):
            operator(y)
    with pytest.warns(SolverWarning, match="LSQR .* stopped at niter=5"):
        (2 * A).div(y, niter=5)
    with pytest.raises(SolverError, match="stopped at niter=5"):
        linalg.solve(A, y, niter=5, on_fail="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linalg.solve(A, y, niter=5, on_fail="ignore")
        close((2 * A)((2 * A) / y), y, 1e-6)
    D = torchlops.Diagonal(torch.logspace(0, -9, 500, dtype=REAL))
    with pytest.warns(SolverWarning, match=r"linalg.cond stopped at niter"):
        linalg.cond(D, niter=1)
    with pytest.warns(SolverWarning, match="lanczos stopped at niter"):
        assert not linalg.eigh(D, 2, "SA", niter=1).converged.any()


def test_beyond_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchlops.linalg.dense.DENSE_UP_TO", {"solve": 5, "values": 5, "vectors": 5})
    A = MatrixMult(hermitian(8))
    for function in (linalg.svdvals, linalg.svd, linalg.eigvalsh, linalg.eigh, linalg.eigvals, linalg.norm):
        with pytest.raises(ValueError, match=r"needs the matrix .* method='dense'"):
            function(A)
        function(A, method="dense")
    assert isinstance(linalg.svd(A, 2), SingularTriplets)
    tall = MatrixMult(numbers(100, 1))  # it is the work that counts
    close(linalg.svdvals(tall), torch.linalg.svdvals(tall.A))


def test_wrong_arguments_are_named() -> None:
    A, B = MatrixMult(numbers(4, 4)), MatrixMult(numbers(4, 3))
    cases = [
        (lambda: linalg.solve(B, numbers(4)), "square operators.*lstsq"),
        (lambda: linalg.inv(B), "use linalg.pinv"),
        (lambda: linalg.solve(A, numbers(3)), "got \\(3,\\)"),
        (lambda: linalg.solve(A, numbers(4), solver="qr"), "solver must be one of"),
        (lambda: linalg.lstsq(A, numbers(4), solver="cg"), "solver must be one of"),
        (lambda: linalg.pinv(A, solver="qr"), "solver must be one of"),
        (lambda: linalg.solve(A, numbers(4), method="exact"), "method must be"),
        (lambda: linalg.solve(A, numbers(4), method="dense", niter=3), "takes no solver"),
        (lambda: linalg.slogdet(A, method="dense", niter=3), "does not take the options"),
        (lambda: linalg.slogdet(B), "takes square operators"),
        (lambda: linalg.trace(B), "takes square operators"),
        (lambda: linalg.svdvals(A, 0), "k must be 1 or more"),
        (lambda: linalg.svd(A, 1, "LA"), "which must be"),
        (lambda: linalg.eigh(A, 1, "LM"), "which must be"),
    ]
    for call, says in cases:
        with pytest.raises(ValueError, match=says):
            call()
    with pytest.raises(torch.linalg.LinAlgError):
        linalg.solve(MatrixMult(torch.zeros(3, 3)), torch.ones(3))


@pytest.mark.parametrize("method", METHODS)
def test_everything_is_where_the_operator_is(method: str) -> None:
    """Whatever the default device."""
    A, H, y = MatrixMult(regular(6)), MatrixMult(positive(6)), numbers(6)
    with torch.device("meta"):
        found = [
            linalg.solve(2 * A, y, method=method),
            linalg.lstsq(A, y, method=method).solution,
            linalg.inv(H, solver="cg")(y),
            linalg.pinv(A, solver="cgls")(y),
            linalg.cond(A, method=method),
            linalg.norm(A, 2, method=method),
            linalg.svd(A, 1, method=method).S,
            linalg.eigh(H, 1, method=method).eigenvectors,
            linalg.logdet(H, method=method),
            linalg.trace(A),
            linalg.estimate_trace(A, 6).value,
            torchlops.optimization.eigs.power_iteration(H, dtype="float64", backend="torch")[0],
            torchlops.optimization.eigs.largest_eigenvalue(A, y),
            torchlops.optimization.eigs.lobpcg(H, 1).eigenvalues,
            torchlops.optimization.eigs.randomized_svd(H, 1).S,
        ]
    assert all(tensor.is_cpu for tensor in found)


def test_least_squares_of_a_real_linear_operator_takes_batches():
    A, y = torchlops.Conj(dims=4, dtype="complex128"), torch.randn(3, 4, dtype=torch.complex128)
    torch.testing.assert_close(torchlops.linalg.lstsq(A, y).solution, y.conj())
    torch.testing.assert_close(torchlops.linalg.pinv(A)(y), y.conj())
