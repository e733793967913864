"""Regularised, weighted and preconditioned least squares: dense algebra, PyLops, batches, derivatives, failures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, vmap

import torchlops
from torchlops import MatrixMult
from torchlops.optimization import Implicit
from torchlops.optimization.callback import Callbacks
from torchlops.optimization.cls_leastsquares import (
    NormalEquationsInversion,
    PreconditionedInversion,
    RegularizedInversion,
)
from torchlops.optimization.leastsquares import (
    RegularizedOperator,
    normal_equations_inversion,
    preconditioned_inversion,
    regularized_inversion,
)

pylops = pytest.importorskip("pylops")

REAL, COMPLEX = torch.float64, torch.complex128
NORMAL: dict[str, Any] = {"niter": 60, "rtol": 1e-14}
STACKED: dict[str, Any] = {"niter": 60, "atol": 1e-14, "btol": 1e-14, "conlim": 0.0}


def problem(dtype: torch.dtype = REAL) -> tuple[Tensor, list[Tensor], Tensor, list[Tensor]]:
    """Return a matrix, two regularisers, a batch of data, and data of the regularisers."""
    torch.manual_seed(0)
    A, R, S = (torch.randn(rows, 5, dtype=dtype) for rows in (7, 4, 5))
    return A, [R, S], torch.randn(3, 7, dtype=dtype), [torch.randn(3, 4, dtype=dtype), torch.randn(5, dtype=dtype)]


def exact(
    A: Tensor, y: Tensor, Regs: Any = (), data: Any = None, eps: Any = (), W: Any = None, N: Any = None, damp: Any = 0.0
) -> Tensor:
    """Return the solution of the normal equations, whose weights ``W`` are those of the squares, a sample a row."""
    W = torch.ones(y.shape, dtype=REAL) if W is None else W
    matrix = A.mH @ (W[..., :, None] * A) + torch.as_tensor(damp, dtype=REAL)[..., None, None] ** 2 * torch.eye(
        A.shape[1]
    )
    matrix = matrix if N is None else matrix + N
    rhs = (A.mH @ (W * y)[..., None])[..., 0]
    for index, (R, e) in enumerate(zip(Regs, eps, strict=True)):
        square = torch.as_tensor(e, dtype=REAL)[..., None] ** 2
        matrix = matrix + square[..., None] * (R.mH @ R)
        if data is not None and data[index] is not None:
            rhs = rhs + square * (R.mH @ data[index][..., None])[..., 0]
    return (torch.linalg.inv(matrix) @ rhs[..., None])[..., 0]


def close(a: Any, b: Any, rtol: float = 1e-9) -> None:
    a, b = (torch.as_tensor(t) for t in (a, b))
    torch.testing.assert_close(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
def test_the_solution_is_that_of_dense_algebra(dtype):
    A, Regs, y, data = problem(dtype)
    eps = [torch.tensor([0.5, 1.0, 2.0]), 0.3]
    weights = torch.rand(3, 7, dtype=REAL) + 0.5
    ops = [MatrixMult(R) for R in Regs]
    wanted = exact(A, y, Regs, data, eps, weights**2)
    result = regularized_inversion(MatrixMult(A), y, ops, None, weights, data, eps, **STACKED)
    close(result.x, wanted)
    assert bool(result.solution.converged.all())
    x, istop = normal_equations_inversion(MatrixMult(A), y, ops, None, weights**2, data, 0.0, eps, **NORMAL)
    close(x, wanted)
    assert istop.tolist() == [0, 0, 0]
    guess = torch.randn(3, 5, dtype=dtype)
    close(regularized_inversion(MatrixMult(A), y, ops, guess, weights, data, eps, **STACKED).x, wanted)
    close(normal_equations_inversion(MatrixMult(A), y, ops, guess, weights**2, data, 0, eps, **NORMAL).x, wanted)


def test_normal_regularizers_and_damping():
    A, Regs, y, _ = problem()
    N, damp = Regs[0].mT @ Regs[0], torch.tensor([0.0, 1.0, 2.0])
    x = normal_equations_inversion(MatrixMult(A), y, None, epsI=damp, NRegs=[MatrixMult(N)], epsNRs=[2.0], **NORMAL).x
    close(x, exact(A, y, N=4 * N, damp=damp))
    x = normal_equations_inversion(MatrixMult(A), y, None, NRegs=[MatrixMult(N)], **NORMAL).x  # PyLops drops these
    close(x, exact(A, y, N=N))


@pytest.mark.parametrize("engine", ["scipy", "pylops"])
@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
def test_iterations_are_those_of_pylops(engine, dtype):
    A, Regs, y, data = problem(dtype)
    A, y = A.numpy(), y[0].numpy()
    Regs, data = [R.numpy() for R in Regs], [data[0][0].numpy(), data[1].numpy()]
    weights = np.arange(1.0, 8.0)
    eps = [0.5, 2.0]
    niter = {"scipy": "maxiter", "pylops": "niter"}[engine]
    theirs = pylops.MatrixMult(A, dtype=A.dtype)
    their_regs = [pylops.MatrixMult(R, dtype=R.dtype) for R in Regs]
    W = pylops.Diagonal(weights, dtype=A.dtype)
    options: dict[str, Any] = {"rtol": 0.0} if engine == "scipy" else {"tol": 0.0}
    for count in (1, 3):
        options[niter] = count
        arguments: Any = (None, W, data, 0.3, eps, None, None, engine)
        wanted = pylops.optimization.leastsquares.normal_equations_inversion(
            theirs, y, their_regs, *arguments, **options
        )
        for Weight in (weights, torchlops.Diagonal(weights)):
            ours = (None, Weight, data, 0.3, eps, None, None, engine)
            x, istop = normal_equations_inversion(A, y, Regs, *ours, **options)
            np.testing.assert_allclose(x, wanted[0], rtol=1e-8)
            assert istop == count
    niter = {"scipy": "iter_lim", "pylops": "niter"}[engine]
    options = {"tol": 0.0} if engine == "pylops" else {"atol": 0.0, "btol": 0.0}
    P = np.triu(np.ones((5, 5)))
    for count in (1, 3):
        options[niter] = count
        wanted = pylops.optimization.leastsquares.regularized_inversion(
            theirs, y, their_regs, None, W, data, eps, engine, **options
        )
        x, *numbers = regularized_inversion(A, y, Regs, None, weights, data, eps, engine, **options)
        np.testing.assert_allclose(x, wanted[0], rtol=1e-8)
        assert isinstance(x, np.ndarray)
        assert numbers[1] == count
        if engine == "scipy":
            np.testing.assert_allclose(numbers[2:], wanted[3:], rtol=1e-8)
        wanted = pylops.optimization.leastsquares.preconditioned_inversion(
            theirs, y, pylops.MatrixMult(P, dtype=A.dtype), None, engine, **options
        )
        np.testing.assert_allclose(preconditioned_inversion(A, y, P, None, engine, **options)[0], wanted[0], rtol=1e-8)


def test_both_names_of_the_number_of_iterations_go_with_both_engines():
    A, Regs, y, _ = problem()
    for engine in ("scipy", "pylops"):
        for name in ("iter_lim", "niter", "maxiter"):
            assert regularized_inversion(A, y, Regs, engine=engine, **{name: 2}).itn == 2
            tolerance = {"rtol": 0.0, "tol": 0.0}
            assert (
                normal_equations_inversion(A, y, Regs, engine=engine, **{name: 2}, **tolerance).istop.tolist()
                == [2] * 3
            )


def test_defaults_are_those_of_the_engine():
    A, Regs, y, _ = problem()
    scaled_y = 1e-6 * y  # the absolute tolerance of PyLops stops at once on these
    close(normal_equations_inversion(A, scaled_y, Regs).x, exact(A, scaled_y, Regs, eps=(1, 1)), 1e-10)
    close(regularized_inversion(A, scaled_y, Regs).x, exact(A, scaled_y, Regs, eps=(1, 1)), 1e-10)
    assert not bool(normal_equations_inversion(A, scaled_y, Regs, engine="pylops").x.any())
    with pytest.raises(NotImplementedError, match="engine must be"):
        regularized_inversion(A, y, Regs, engine="jax")


@pytest.mark.parametrize("function", [normal_equations_inversion, regularized_inversion])
def test_a_batch_is_a_loop(function):
    A, Regs, y, data = problem()
    eps = [torch.tensor([0.1, 1.0, 3.0]), torch.tensor(0.3, dtype=REAL)]
    weights = torch.rand(3, 7, dtype=REAL) + 0.5
    options = NORMAL if function is normal_equations_inversion else STACKED
    whole = function(A, y, Regs, Weight=weights, dataregs=data, epsRs=eps, **options)
    for index in range(3):
        one = function(
            A,
            y[index],
            Regs,
            Weight=weights[index],
            dataregs=[data[0][index], data[1]],
            epsRs=[eps[0][index], eps[1]],
            **options,
        )
        close(whole.x[index], one.x, 1e-12)
        assert one.x.shape == (5,)
    shape = (2, 3, 7)
    twice = function(
        A, y.expand(shape), Regs, Weight=weights.expand(shape), dataregs=[data[0].expand(2, 3, 4), None],
        epsRs=[eps[0].expand(2, 3), 0.3], **options,
    )  # fmt: skip
    zero = function(A, y, Regs, Weight=weights, dataregs=[data[0], None], epsRs=eps, **options)
    close(twice.x[1], zero.x, 1e-9)
    assert function(A, y[:0], Regs).x.shape == (0, 5)


def test_arrays_come_back_in_kind_and_in_shape():
    torch.manual_seed(0)
    A = torchlops.FirstDerivative((4, 3), kind="forward", dtype="float32")
    R, P = torchlops.Identity(12), torchlops.Diagonal(torch.full((4, 3), 0.5))
    y = torch.randn(2, 4, 3)
    for solve in (
        lambda y: normal_equations_inversion(A, y, [R], epsRs=[0.5]),
        lambda y: regularized_inversion(A, y, [R], epsRs=[0.5]),
        lambda y: preconditioned_inversion(A, y, P, damp=0.1),
    ):
        x = solve(y).x
        assert (x.shape, x.dtype) == ((2, 4, 3), torch.float32)
        close(solve(y.flatten(1)).x, x, 1e-5)
        array = solve(y.numpy())
        assert isinstance(array.x, np.ndarray)
        assert isinstance(array.solution.iters, np.ndarray)
        close(array.x, x, 1e-5)
    eps = torch.tensor(0.5, dtype=torch.float64)  # a number has no say in the dtype
    close(regularized_inversion(A, y, [R], epsRs=[eps]).x, regularized_inversion(A, y, [R], epsRs=[0.5]).x)


def test_preconditioning_changes_the_coordinates():
    A, _, y, _ = problem(COMPLEX)
    P = torch.randn(5, 5, dtype=COMPLEX)
    wanted = exact(A, y)
    close(preconditioned_inversion(A, y, P, **STACKED).x, wanted)
    guess = torch.randn(3, 5, dtype=COMPLEX)
    close(preconditioned_inversion(A, y, P, guess, **STACKED).x, wanted)
    close(preconditioned_inversion(A, y, P, guess, niter=0).x, (P @ guess.mT).mT)  # x0 is one of p


@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
@pytest.mark.parametrize("function", [normal_equations_inversion, regularized_inversion])
def test_derivatives(function, dtype):
    A, Regs, y, data = problem(dtype)
    y, data, weights = y[:2], [data[0][:2], data[1]], torch.rand(2, 7, dtype=REAL) + 0.5
    eps = torch.tensor([0.7, 1.5], dtype=REAL)
    options = NORMAL if function is normal_equations_inversion else STACKED

    def solve(A: Tensor, R: Tensor, y: Tensor, b: Tensor, w: Tensor, e: Tensor, f: Tensor) -> Tensor:
        x: Tensor = function(
            MatrixMult(A), y, [MatrixMult(R), MatrixMult(Regs[1])], Weight=w, dataregs=[b, data[1]], epsRs=[e, f],
            grad=Implicit(rtol=1e-14), **options,
        ).x  # fmt: skip
        return x

    arguments = [A, Regs[0], y, data[0], weights, eps, torch.tensor(0.3, dtype=REAL)]
    arguments = [tensor.clone().requires_grad_() for tensor in arguments]
    assert gradcheck(solve, arguments, fast_mode=True, check_forward_ad=True)
    assert gradgradcheck(solve, arguments, fast_mode=True)


@pytest.mark.parametrize("name", ["epsI", "epsNRs"])
def test_derivatives_of_dampings(name):
    A, Regs, y, _ = problem()
    N = MatrixMult(Regs[0].mT @ Regs[0])

    def solve(e: Tensor) -> Tensor:
        chosen = {"epsI": e} if name == "epsI" else {"NRegs": [N], "epsNRs": [e]}
        x: Tensor = normal_equations_inversion(MatrixMult(A), y, None, **chosen, **NORMAL).x
        return x

    e = torch.tensor([0.5, 1.0, 2.0], dtype=REAL, requires_grad=True)
    assert gradcheck(solve, (e,), check_forward_ad=True)
    assert gradgradcheck(solve, (e,))


@pytest.mark.parametrize("function", [normal_equations_inversion, regularized_inversion])
def test_transforms(function):
    A, Regs, y, _ = problem()
    options = NORMAL if function is normal_equations_inversion else STACKED

    def ours(e: Tensor) -> Tensor:
        x: Tensor = function(A, y[0], Regs[:1], epsRs=[e], grad=Implicit(rtol=1e-14), **options).x
        return x.sum()

    def dense(e: Tensor) -> Tensor:
        return (torch.linalg.inv(A.mT @ A + e**2 * Regs[0].mT @ Regs[0]) @ (A.mT @ y[0])).sum()

    several = torch.tensor([0.5, 1.0, 2.0], dtype=REAL)
    for transform in (grad, hessian, jacfwd, lambda f: jacfwd(jacfwd(f))):
        close(transform(ours)(several[0]), transform(dense)(several[0]), 1e-11)
        close(vmap(transform(ours))(several), vmap(transform(dense))(several), 1e-11)


def test_samples_that_have_stopped_are_dropped():
    A, Regs, _, _ = problem()
    y, eps = torch.randn(64, 7, dtype=REAL), torch.logspace(-2, 2, 64, dtype=REAL)
    wanted = exact(A, y, Regs[:1], None, [eps])
    close(regularized_inversion(A, y, Regs[:1], epsRs=[eps], atol=1e-13, btol=1e-13, check_every=1).x, wanted, 1e-11)
    close(normal_equations_inversion(A, y, Regs[:1], epsRs=[eps], rtol=1e-13, check_every=1).x, wanted, 1e-11)


def test_derivatives_through_a_preconditioner():
    A, _, y, _ = problem()
    P = torch.randn(5, 3, dtype=REAL)

    def solve(A: Tensor, P: Tensor, y: Tensor) -> Tensor:
        x: Tensor = preconditioned_inversion(MatrixMult(A), y, MatrixMult(P), grad=Implicit(rtol=1e-14), **STACKED).x
        return x

    arguments = [tensor.clone().requires_grad_() for tensor in (A, P, y)]
    assert gradcheck(solve, arguments, fast_mode=True, check_forward_ad=True)
    assert gradgradcheck(solve, arguments, fast_mode=True)


def test_learning_an_epsilon_keeps_the_parameter():
    A, Regs, y, _ = problem()
    eps = torch.nn.Parameter(torch.ones(3))
    K = RegularizedOperator(MatrixMult(A), [MatrixMult(Regs[0])], [eps[:, None]])
    assert K(torch.ones(3, 5)).shape == (3, 11)
    regularized_inversion(A, y, Regs[:1], epsRs=[eps], atol=1e-12, btol=1e-12).x.sum().backward()
    assert eps.grad is not None
    assert bool((eps.grad != 0).all())


def test_classes_keep_the_equations(capsys):
    A, Regs, y, _ = problem()
    seen = []

    class Watch(Callbacks):
        def on_step_end(self, solver: Any, x: Any) -> None:
            seen.append(type(solver).__name__)

    inversion = RegularizedInversion(A, callbacks=[Watch()])
    inversion.setup(y, Regs, epsRs=[1.0, 2.0], show=True)
    assert inversion.RegOp.shape == (16, 5)
    assert inversion.datatot.shape == (3, 16)
    x = inversion.run(None, niter=2, show=True).x
    inversion.finalize(True)
    assert x.shape == (3, 5)
    assert seen == ["LSQR", "LSQR"]
    normal = NormalEquationsInversion(A)
    normal.solve(y, Regs, show=True, niter=1, tol=0)
    assert normal.Op_normal.shape == (5, 5)
    preconditioned = PreconditionedInversion(A)
    preconditioned.solve(y, torch.eye(5), show=True)
    assert preconditioned.POp.shape == (7, 5)
    out = capsys.readouterr().out
    assert all(name in out for name in ("RegularizedInversion", "NormalEquationsInversion", "Prec=", "Total time"))
    for one in (inversion, normal, preconditioned):
        with pytest.raises(NotImplementedError, match="no steps"):
            one.step()
        assert one.memory_usage(unit="KB") > 0
    inversion.memory_usage((4, 5), show=True)


def test_wrong_arguments_are_named():
    A, Regs, y, _ = problem()
    with pytest.raises(ValueError, match="must have the same length, got 2, 2 and 1"):
        regularized_inversion(A, y, Regs, epsRs=[1.0])
    with pytest.raises(ValueError, match="the same length, got 1 and 2"):
        normal_equations_inversion(A, y, None, NRegs=[torch.eye(5)], epsNRs=[1, 2])
    with pytest.raises(ValueError, match="shape of the batch"):
        regularized_inversion(A, y, Regs, epsRs=[torch.ones(2), 1])
    with pytest.raises(ValueError, match="Weight must be"):
        regularized_inversion(A, y, Regs, Weight=torch.ones(2, 7))
    with pytest.raises(ValueError, match="the data of MatrixMult 'M' must have the shape"):
        regularized_inversion(A, y, Regs, dataregs=[torch.ones(3), None])
    with pytest.raises(ValueError, match="x0 must have the shape"):
        preconditioned_inversion(A, y, torch.eye(5), x0=torch.ones(4))
    with pytest.raises(ValueError, match="MatrixMult"):
        normal_equations_inversion(A, y[:, :5], Regs)
    with pytest.raises(ValueError, match="as many Regs as epsRs"):
        RegularizedOperator(A, Regs)
    with pytest.raises(TypeError, match="does not iterate in"):
        normal_equations_inversion(torchlops.Identity(3), torch.ones(3, dtype=torch.bfloat16), None)
