"""What code that was written for PyLops's solver classes, methods and options relies on."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

import torchlops
from torchlops.optimization import basic, leastsquares, sparsity
from torchlops.optimization.basesolver import Solver
from torchlops.optimization.callback import Callbacks
from torchlops.optimization.cls_basic import CG, CGLS
from torchlops.optimization.cls_sparsity import FISTA, IRLS, ISTA, SplitBregman

RNG = np.random.default_rng(0)
MATRIX = RNG.standard_normal((6, 4))
A = torchlops.MatrixMult(MATRIX)
X = np.array([1.0, 0.0, -2.0, 3.0])
Y = MATRIX @ X


class Log(Callbacks):
    def __init__(self):
        self.calls = []

    def on_setup_end(self, solver, x):
        self.calls.append(("setup", x.copy()))

    def on_step_begin(self, solver, x):
        self.calls.append(("begin", x.copy()))

    def on_step_end(self, solver, x):
        self.calls.append(("end", x.copy()))
        self.stop = solver.iiter == 3

    def on_run_end(self, solver, x):
        self.calls.append(("run", x.copy()))


class Landweber(Solver):
    """As one writes it for PyLops."""

    def memory_usage(self, show=False, unit="B"):
        return 0.0

    def setup(self, y, x0=None, preallocate=False, show=False):
        self.y, self.isjax = y, False
        self._setpreallocate(preallocate)
        if show:
            self._print_solver(" of a user", nbar=20)
        return np.zeros(self.Op.shape[1]) if x0 is None else x0

    def step(self, x, show=False):
        self.iiter += 1
        return x + 0.05 * self.Op.rmatvec(self.y - self.Op.matvec(x)), self.iiter

    def run(self, x, niter):
        for _ in range(niter):
            x, _ = self.step(x)
            self.callback(x)
            if any(callback.stop for callback in self.callbacks or ()):
                break
        return x

    def solve(self, y, niter=5):
        x = self.run(self.setup(y=y, show=True), niter)
        self.finalize(show=True)
        return x


def test_a_solver_of_a_user_is_watched(capsys):
    log = Log()
    solver = Landweber(A, callbacks=[log])
    x = solver.solve(Y)
    assert [name for name, _ in log.calls] == ["setup", *["begin", "end"] * 3, "run"]
    np.testing.assert_array_equal(log.calls[-1][1], x)
    assert solver.telapsed >= 0
    out = capsys.readouterr().out
    assert "Landweber of a user" in out
    assert "Iterations = 3" in out
    again = pickle.loads(pickle.dumps(Landweber(A)))
    np.testing.assert_array_equal(again.solve(Y, 3), x)
    with pytest.raises(TypeError, match="abstract"):
        Solver(A)
    assert issubclass(CG, Solver)


def test_methods_that_a_user_overrides_are_called():
    class Positive(CGLS):
        def setup(self, y, **options):
            self.was_set_up = True
            return super().setup(y=y, **options)

        def step(self, x, show=False):
            return np.maximum(super().step(x, show), 0)

    solver = Positive(A)
    x = solver.solve(Y, niter=3, tol=0)[0]
    assert solver.was_set_up
    assert (x >= 0).all()
    assert (basic.cgls(A, Y, niter=3, tol=0)[0] < 0).any()


def test_steps_return_what_those_of_pylops_do():
    ista, fista = ISTA(A), FISTA(A)
    x, z = ista.setup(Y, niter=5), fista.setup(Y, niter=5)
    x, update = ista.step(x)
    w, z, same = fista.step(z, z.copy())
    np.testing.assert_allclose(w, x)
    assert update == same == pytest.approx(np.linalg.norm(x))
    w, z, _ = fista.step(w, z)
    assert np.abs(z - w).max() > 0
    with pytest.raises(ValueError, match="goes on from the z"):
        fista.step(w, z + 1)
    np.testing.assert_allclose(w, fista.x)


def test_runs_take_the_options_of_inner_solvers():
    irls = IRLS(A)
    x = irls.setup(Y, epsI=0.1, kind="model", tolIRLS=0)
    x = irls.run(x, nouter=4, iter_lim=3)
    assert irls.iiter == 4
    np.testing.assert_allclose(
        x, sparsity.irls(A, Y, nouter=4, epsI=0.1, kind="model", tolIRLS=0, iter_lim=3)[0], rtol=1e-10
    )
    bregman = SplitBregman(A)
    x = bregman.run(bregman.setup(Y, [torchlops.Identity(4)], epsRL1s=[0.1]), "scipy", False, iter_lim=2)
    np.testing.assert_allclose(
        x, sparsity.splitbregman(A, Y, [torchlops.Identity(4)], epsRL1s=[0.1], iter_lim=2)[0], rtol=1e-10
    )


@pytest.mark.parametrize("name", ["ista", "fista"])
def test_arrays_of_several_data_in_columns(name):
    solve = getattr(sparsity, name)
    ys, x0 = np.stack([Y, 2 * Y, -Y], 1), RNG.standard_normal((4, 3))
    x = solve(A, ys, x0=x0, niter=7)[0]
    np.testing.assert_allclose(x, solve(A, ys.T, x0=x0.T, niter=7)[0].T)
    S = torchlops.Diagonal(np.arange(1.0, 5.0))
    np.testing.assert_allclose(solve(A, ys, SOp=S, niter=7)[0], solve(A, ys.T, SOp=S, niter=7)[0].T)
    with pytest.raises(ValueError, match="Batch axes come first"):
        solve(A, torch.as_tensor(ys), niter=7)


def test_the_quotient_reads_columns_of_arrays_and_batches_of_tensors():
    Q = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [0.0, 0.0, 4.0]])
    B, Y = torchlops.MatrixMult(Q), RNG.standard_normal((3, 2))
    np.testing.assert_allclose(B / Y, np.linalg.solve(Q, Y))
    np.testing.assert_allclose(B @ (B / Y), Y)
    np.testing.assert_allclose(B / torch.as_tensor(Y.T), np.linalg.solve(Q, Y).T)
    with pytest.raises(ValueError, match="rows and the columns"):
        B / np.eye(3)
    np.testing.assert_allclose(B.div(np.eye(3).T).T, np.linalg.inv(Q))
    np.testing.assert_allclose(B / torch.eye(3, dtype=torch.float64), np.linalg.inv(Q).T)


def test_models_are_flat_where_the_operator_says_so():
    B = torchlops.MatrixMult(2 * np.eye(6), forceflat=True)
    B.dims = B.dimsd = (2, 3)
    y = np.arange(6.0).reshape(2, 3)
    for x in (
        basic.cg(B, y)[0], basic.lsqr(B, y.ravel())[0], B / y, sparsity.ista(B, y, eps=0.0)[0],
        leastsquares.regularized_inversion(B, y, None)[0], CG(B).setup(y) + y.ravel() / 2,
    ):  # fmt: skip
        np.testing.assert_allclose(x, y.ravel() / 2, atol=1e-6)
    assert basic.lsqr(B, torch.ones(4, 2, 3))[0].shape == (4, 6)


# -- values -----------------------------------------------------------------------------------------------------


def test_damping_with_a_guess():
    """LSQR damps the distance to the guess, conjugate gradients the solution, alone and in inversions."""
    x0, H = np.full(4, 3.0), MATRIX.T @ MATRIX
    near = x0 + np.linalg.solve(H + 0.25 * np.eye(4), MATRIX.T @ (Y - MATRIX @ x0))
    small = np.linalg.solve(H + 0.25 * np.eye(4), MATRIX.T @ Y)
    options = {"x0": x0, "damp": 0.5}
    many = {"niter": 50, "atol": 1e-12, "btol": 1e-12}
    np.testing.assert_allclose(basic.lsqr(A, Y, **options, **many)[0], near, rtol=1e-8)
    np.testing.assert_allclose(basic.cgls(A, Y, **options, niter=50, tol=1e-24)[0], small, rtol=1e-8)
    I4 = torchlops.Identity(4)
    for engine, wanted in (("scipy", near), ("pylops", small)):
        tight = many if engine == "scipy" else {"niter": 50, "tol": 1e-24}
        for x in (
            leastsquares.regularized_inversion(A, Y, None, engine=engine, **options, **tight)[0],
            leastsquares.preconditioned_inversion(A, Y, I4, engine=engine, **options, **tight)[0],
        ):
            np.testing.assert_allclose(x, wanted, rtol=1e-8)
    x = leastsquares.normal_equations_inversion(A, Y, None, x0=x0, epsI=0.5, rtol=1e-12)[0]
    np.testing.assert_allclose(x, small, rtol=1e-8)
    result = basic.lsqr(A, Y, **options, **many)
    assert result.r1norm == pytest.approx(np.linalg.norm(Y - MATRIX @ near))
    assert result.r2norm == pytest.approx(np.hypot(result.r1norm, 0.5 * np.linalg.norm(near - x0)))


def real_around_complex() -> torchlops.LinearOperator:
    """Multi-dimensional convolution: a real operator, whose parts are complex."""
    F = torchlops.signalprocessing.FFT((8, 2), axis=0, real=True)
    kernel = RNG.standard_normal((5, 2, 2)) + 1j * RNG.standard_normal((5, 2, 2))
    return F.H @ torchlops.BlockDiag([torchlops.MatrixMult(part) for part in kernel]) @ F


def test_real_operators_around_complex_ones():
    G = real_around_complex()
    matrix = np.stack([(G @ unit).ravel() for unit in np.eye(16)], 1)
    y = RNG.standard_normal(16)
    tight = {"iter_lim": 200, "atol": 1e-13, "btol": 1e-13, "conlim": 0}
    damped = np.linalg.solve(matrix.T @ matrix + 0.25 * np.eye(16), matrix.T @ y).reshape(8, 2)
    I16 = torchlops.Identity((8, 2))
    for x in (
        leastsquares.normal_equations_inversion(G, y, None, epsI=0.5, rtol=1e-12)[0],
        leastsquares.regularized_inversion(G, y, [I16], epsRs=[0.5], **tight)[0],
        leastsquares.preconditioned_inversion(G, y, I16, damp=0.5, **tight)[0],
        basic.cg(G.H @ G, G.H @ y, damp=0.25, niter=100, tol=1e-26)[0],
    ):
        assert x.dtype == np.float64
        np.testing.assert_allclose(x, damped, rtol=1e-7, atol=1e-9)
    values = np.linalg.svd(matrix)[1]
    np.testing.assert_allclose((G.H @ G).eigs(3, symmetric=True), values[:3] ** 2, rtol=1e-9)
    np.testing.assert_allclose(np.abs(G.eigs()).max(), np.abs(np.linalg.eigvals(matrix)).max(), rtol=1e-9)
    np.testing.assert_allclose(G.cond(uselobpcg=True), values[0] / values[-1], rtol=1e-6)
    with pytest.raises(TypeError, match="only real-linear"):
        torchlops.signalprocessing.FFT(8, real=True).eigs(2)


def test_eigenvalues_of_largest_modulus_in_descending_order():
    for size, method in ((8, "dense"), (600, "iterative")):
        d = np.linspace(0.1, 1.0, size)
        d[[1, 3, 4]] = [-7.0, 5.0, -3.0]
        D = torchlops.Diagonal(d)
        np.testing.assert_allclose(D.eigs(3, symmetric=True), [5.0, -3.0, -7.0], rtol=1e-6, err_msg=method)
    D = torchlops.Diagonal(np.array([-7.0, 5.0, -3.0, 1.0, 0.5, 0.1, 0.2, 0.3]))
    np.testing.assert_allclose(D.eigs(2, symmetric=True, uselobpcg=True, niter=300), [5.0, 1.0], rtol=1e-6)
    M = torchlops.MatrixMult(np.diag([1j, -3.0, 2 + 2j]))
    np.testing.assert_allclose(M.eigs(2), [2 + 2j, -3.0], atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_traces_are_numbers_of_the_type_of_the_operator(dtype):
    D = torchlops.Diagonal(np.arange(1, 7).astype(dtype))
    for trace in (D.trace(), D.trace(method="explicit", backend="numpy"), D.trace(neval=3, method="Hutchinson")):
        assert (trace.dtype, type(trace)) == (np.dtype(dtype), np.dtype(dtype).type)
        assert trace == 21
    d = torch.ones(3, requires_grad=True)
    (gradient,) = torch.autograd.grad(torchlops.Diagonal(d).trace(backend="torch"), d)
    assert gradient.tolist() == [1, 1, 1]
    for kind in (ValueError, NotImplementedError):
        with pytest.raises(kind, match="method must be"):
            D.trace(method="foo")
