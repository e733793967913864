"""The sparse solvers: optimality, PyLops, batches, thresholds, failures and derivatives."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import torchlops
from torchlops.optimization import SolverError, SolverWarning, Status, Unroll, sparsity
from torchlops.optimization.callback import Callbacks
from torchlops.optimization.cls_sparsity import FISTA, ISTA, SplitBregman
from torchlops.optimization.sparse import prox

pylops = pytest.importorskip("pylops")

REAL, COMPLEX = torch.float64, torch.complex128
DTYPES = [REAL, COMPLEX]
COMPLEX_IS_SLOW = [REAL, pytest.param(COMPLEX, marks=pytest.mark.slow)]
D = torchlops.FirstDerivative(6, edge=True, kind="forward")


def problem(dtype: torch.dtype = REAL, rows: int = 9, columns: int = 6, batch: int = 3) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(rows, columns, dtype=dtype), 2 * torch.randn(batch, rows, dtype=dtype)


def sparse_problem(dtype: torch.dtype = REAL) -> tuple[Tensor, Tensor, Tensor]:
    """Return a wide matrix, sparse models and their data."""
    torch.manual_seed(0)
    A, x = torch.randn(14, 24, dtype=dtype), torch.zeros(3, 24, dtype=dtype)
    x[0, 3], x[0, 7], x[1, 5], x[1, 20], x[2, 2] = 1.0, -2.0, 1.5, 1.0, 4.0
    return A, x, x @ A.mT


def close(a: Any, b: Any, tol: float = 1e-9) -> None:
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tol, atol=tol)


OPTIONS: dict[str, dict[str, Any]] = {
    "ista": {"eps": 3.0, "niter": 60},
    "fista": {"eps": 3.0, "niter": 60},
    "omp": {"niter_outer": 3},
    "irls": {"nouter": 4, "epsI": 0.1, "epsR": 0.1},
    "spgl1": {"sigma": 7.0, "iter_lim": 60},
    "splitbregman": {"RegsL1": [D], "epsRL1s": [0.5], "niter_outer": 4, "niter_inner": 2},
}


def solve(name: str, A: Any, y: Any, **options: Any) -> Any:
    A = A if isinstance(A, torchlops.LinearOperator) else torchlops.MatrixMult(A)
    return getattr(sparsity, name)(A, y, **{**OPTIONS[name], **options})


@pytest.fixture(params=OPTIONS)
def name(request):
    return request.param


# -- optimality ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("solver", ["ista", "fista"])
def test_a_lasso_obeys_its_optimality_conditions(solver, dtype):
    A, y = problem(dtype)
    eps = torch.tensor([3.0, 8.0, 12.0], dtype=REAL)
    result = solve(solver, A, y, eps=eps, niter=5000, tol=1e-15)
    x = result.x
    g = (y - x @ A.mT) @ A.conj()
    on = x != 0
    limit = eps[:, None] / 2
    assert result.converged.all()
    assert on.any()
    assert not on.all()
    close(torch.where(on, g, 0.0), torch.where(on, limit * x / torch.where(on, x, 1.0).abs(), 0.0), 1e-8)
    assert (g.abs() <= limit + 1e-8).all()
    close(result.cost[-1], ((y - x @ A.mT).abs() ** 2).sum(-1) + eps * x.abs().sum(-1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_basis_pursuit_meets_its_residual_and_its_optimality_conditions(dtype):
    A, _, y = sparse_problem(dtype)
    sigma = torch.tensor([0.1, 0.3, 0.2], dtype=REAL)
    x, p, info = solve("spgl1", A, y, sigma=sigma, iter_lim=3000, opt_tol=1e-12, bp_tol=1e-10)
    r = y - x @ A.mT
    g = r @ A.conj()
    close(r.norm(dim=-1), sigma, 1e-8)
    on, limit = x != 0, g.abs().amax(-1, keepdim=True)
    close(torch.where(on, g, 0.0), torch.where(on, limit * x / torch.where(on, x, 1.0).abs(), 0.0), 1e-6)
    close(info["rnorm"], sigma, 1e-8)
    close(p, x)


def test_basis_pursuit_without_noise_finds_the_model():
    A, x, y = sparse_problem()
    close(solve("spgl1", A, y, sigma=0.0, iter_lim=3000, opt_tol=1e-9, bp_tol=1e-9).x, x, 1e-6)


def test_a_residual_that_no_model_has_is_told():
    A, y = problem()
    smallest = (y @ (torch.eye(9, dtype=REAL) - A @ torch.linalg.pinv(A))).norm(dim=-1)
    sigma = smallest * torch.tensor([0.99, 1.01, 0.0], dtype=REAL)
    with pytest.warns(SolverWarning, match="UNREACHABLE"):
        result = solve("spgl1", A, y, sigma=sigma, iter_lim=3000)
    assert result.status.tolist() == [Status.UNREACHABLE, Status.CONVERGED, Status.UNREACHABLE]
    assert result.iters.max() < 200
    close(result.info["rnorm"], torch.maximum(smallest, sigma), 1e-3)
    close(result.x[::2], (y @ torch.linalg.pinv(A).T)[::2], 1e-6)
    with pytest.warns(SolverWarning, match="UNREACHABLE"):
        assert solve("spgl1", A, y[0], sigma=0.0, iter_lim=3000).status == Status.UNREACHABLE


def test_the_accuracy_is_that_of_the_optimality_conditions():
    A, y = problem(batch=2)
    L = float(torch.linalg.matrix_norm(A, 2) ** 2)
    for niter in (1, 3, 10, 40):
        for solver in (ISTA(torchlops.MatrixMult(A)), FISTA(torchlops.MatrixMult(A))):
            x = solver.solve(y, niter=niter, eps=3.0).x
            g = (y - x @ A.T) @ A
            violation = L * (x - prox.soft(x + g / L, 1.5 / L)).norm(dim=-1) / (y @ A).norm(dim=-1)
            accuracy = solver.solution.accuracy
            assert (violation <= 1.01 * accuracy + 1e-14).all()
            assert (accuracy <= 10 * violation + 1e-14).all()
    bregman = SplitBregman(torchlops.MatrixMult(A))
    options = {"niter_inner": 1, "epsRL1s": [1.0], "mu": 0.5, "niter": 20, "atol": 1e-15}
    best = bregman.solve(y, [D], niter_outer=3000, tol=1e-14, **options).x
    for niter in (1, 10, 100):
        x = bregman.solve(y, [D], niter_outer=niter, **options).x
        error = (x - best).norm(dim=-1) / best.norm(dim=-1)
        accuracy = bregman.solution.accuracy
        assert (error <= 100 * accuracy).all()
        assert (accuracy <= 100 * error + 1e-12).all()


def test_a_lasso_with_a_radius_fills_it():
    A, _, y = sparse_problem()
    x = solve("spgl1", A, y, sigma=0.0, tau=1.5, iter_lim=1000, opt_tol=1e-12).x
    close(x.abs().sum(-1), torch.full((3,), 1.5, dtype=REAL))
    g = (y - x @ A.T) @ A
    close(torch.where(x != 0, g, 0.0), torch.where(x != 0, g.abs().amax(-1, keepdim=True) * x.sgn(), 0.0), 1e-6)


def test_total_variation_is_minimised():
    A, y = problem()
    result = solve("splitbregman", A, y, niter_outer=3000, niter_inner=1, epsRL1s=[1.0], mu=0.5)
    x = result.x
    # 0 is in the subdifferential: mu A^H (y - A x) = R^H u, with u the sign of R x, or at most 1 where that is 0.
    R = torch.as_tensor(D.todense())[:-1]
    g = 0.5 * (y - x @ A.T) @ A
    u = g @ torch.linalg.pinv(R)
    close(u @ R, g, 1e-7)
    jump = (x @ R.T).abs() > 1e-7
    assert jump.any()
    assert not jump.all()
    close(torch.where(jump, u, 0.0), torch.where(jump, (x @ R.T).sgn(), 0.0), 1e-6)
    assert (u.abs() <= 1 + 1e-6).all()
    close(result.cost[-1], 0.25 * ((y - x @ A.T) ** 2).sum(-1) + (x @ R.T).abs().sum(-1))


@pytest.mark.parametrize("kind", ["soft", "hard", "half"])
def test_thresholds_minimise_the_cost_that_is_printed(kind):
    z = torch.tensor([-3.1, -1.0, -0.3, 0.2, 0.9, 1.7, 4.0], dtype=REAL)
    grid = torch.linspace(-5, 5, 200001, dtype=REAL)
    eps = 1.3
    result = solve("ista", torchlops.Identity(7), z, eps=eps, niter=1, alpha=1.0, threshkind=kind)
    size = {"soft": grid.abs(), "hard": (grid.abs() > 1e-9).to(REAL), "half": grid.abs().sqrt()}[kind]
    costs = (z[:, None] - grid) ** 2 + eps * size
    best = costs.min(-1)
    close(result.x, grid[best.indices], 1e-4)
    close(result.cost[-1], best.values.sum(), 1e-6)
    turned = prox.THRESHOLDS[kind](z * 1j, eps / 2)
    close(turned, result.x * 1j)


def test_the_projection_on_the_l1_ball_is_the_closest_point():
    torch.manual_seed(0)
    z = torch.randn(4, 5, dtype=COMPLEX)
    radius = torch.tensor([[0.0], [0.5], [2.0], [100.0]], dtype=REAL)
    x = prox.project_on_l1_ball(z, radius)
    close(x.abs().sum(-1), torch.minimum(radius.squeeze(-1), z.abs().sum(-1)))
    for _ in range(50):  # no other point of the ball is closer
        other = torch.randn(4, 5, dtype=COMPLEX)
        other = other * (radius / other.abs().sum(-1, keepdim=True)).clamp(max=1)
        assert ((z - x).norm(dim=-1) <= (z - other).norm(dim=-1) + 1e-12).all()


# -- PyLops --------------------------------------------------------------------------------------------------


def loop(name: str, A: Tensor, y: Tensor, **options: Any) -> tuple[Tensor, list[Any]]:
    results = [getattr(pylops, name, None) or getattr(pylops.optimization.sparsity, name) for _ in y]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = [f(pylops.MatrixMult(A.numpy(), dtype=A.numpy().dtype), row.numpy(), **options)
               for f, row in zip(results, y, strict=True)]  # fmt: skip
    return torch.as_tensor(np.stack([entry[0] for entry in out])), out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("solver", ["ista", "fista"])
@pytest.mark.parametrize(
    "kind", ["soft", "hard", "soft-percentile", "hard-percentile", "half-percentile", "decay", "SOp"]
)
def test_shrinkage_does_the_iterations_of_pylops(solver, kind, dtype):
    if kind == "half-percentile" and dtype == COMPLEX:
        pytest.skip("PyLops 2.8 clips real and imaginary parts apart")
    A, y = problem(dtype)
    alpha = 1 / float(torch.linalg.matrix_norm(A, 2) ** 2)
    options: dict[str, Any] = {"niter": 25, "eps": 2.0, "alpha": alpha, "tol": 1e-10}
    theirs: dict[str, Any] = {}
    if kind == "decay":
        options["decay"] = np.linspace(2, 1, 25)
    elif kind == "SOp":
        Q = torch.linalg.qr(torch.randn(6, 6, dtype=dtype)).Q
        options["SOp"], theirs["SOp"] = torchlops.MatrixMult(Q), pylops.MatrixMult(Q.numpy(), dtype=Q.numpy().dtype)
    else:
        options["threshkind"] = kind
        if "percentile" in kind:
            options["perc"] = 50  # between two of six values: PyLops's rounding may keep one that equals the threshold
    x, out = loop(solver, A, y, **{**options, **theirs})
    result = solve(solver, A, y, **options)
    close(result.x, x, 1e-10)
    assert [int(i) for i in result.iters] == [entry[1] for entry in out]
    assert len(result.cost) == max(len(entry[2]) for entry in out)


def test_matching_pursuits_find_the_columns_that_pylops_finds():
    for dtype in DTYPES:
        A, x, y = sparse_problem(dtype)
        for options in ({}, {"normalizecols": True}, {"niter_inner": 0, "optimal_coeff": True}):
            expected, out = loop("omp", A, y, niter_outer=4, sigma=1e-6, **options)
            result = solve("omp", A, y, niter_outer=4, sigma=1e-6, **options)
            close(result.x, expected, 1e-5)
            assert [int(i) for i in result.iters] == [entry[1] for entry in out]
        close(solve("omp", A, y, niter_outer=4, sigma=1e-6).x, x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["data", "datamodel", "model"])
def test_reweighting_does_the_iterations_of_pylops(kind, dtype):
    A, y = problem(dtype) if kind != "model" else problem(dtype, 4, 8)
    inner = {"atol": 1e-15, "btol": 1e-15}
    expected, _ = loop("irls", A, y, nouter=4, kind=kind, epsI=0.1, epsR=1e-3, iter_lim=300, **inner)
    result = solve("irls", A, y, nouter=4, kind=kind, epsI=0.1, epsR=1e-3, niter=300, rtol=1e-15)
    close(result.x, expected, 1e-7)


def test_split_bregman_does_the_iterations_of_pylops():
    A, y = problem()
    P, P2 = pylops.FirstDerivative(6, edge=True, kind="forward"), pylops.SecondDerivative(6)
    ours = {"RegsL1": [D, torchlops.Identity(6)], "RegsL2": [torchlops.SecondDerivative(6)]}
    theirs = {"RegsL1": [P, pylops.Identity(6)], "RegsL2": [P2]}
    common = {"epsRL1s": [0.3, 0.2], "epsRL2s": [0.7], "mu": 2.0, "niter_outer": 4, "niter_inner": 2, "tau": 0.9}
    expected, _ = loop("splitbregman", A, y, iter_lim=100, atol=1e-15, btol=1e-15, **theirs, **common)
    close(solve("splitbregman", A, y, niter=100, atol=1e-15, **ours, **common).x, expected)


def test_early_least_squares_of_split_bregman_part_from_pylops_by_amplified_rounding_only():
    rng = np.random.default_rng(0)
    n, wavelet = 256, np.exp(-(np.linspace(-2, 2, 41) ** 2))
    P = pylops.signalprocessing.Convolve1D(n, wavelet, offset=20, dtype="float64")
    y = np.zeros(n)
    y[rng.choice(n, 8, False)] = rng.standard_normal(8)
    y = P @ y + 0.01 * rng.standard_normal(n)
    A = torchlops.signalprocessing.Convolve1D(n, torch.as_tensor(wavelet), offset=20)
    common = {"epsRL1s": [0.3], "niter_outer": 10, "niter_inner": 3}

    def ours(niter: int) -> np.ndarray:
        return sparsity.splitbregman(A, y, [torchlops.FirstDerivative(n)], niter=niter, atol=0.0, **common).x

    def theirs(P: Any, niter: int) -> np.ndarray:
        return pylops.splitbregman(P, y, [pylops.FirstDerivative(n)], iter_lim=niter, atol=0, btol=0, **common)[0]

    def far(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a - b) / np.linalg.norm(b))

    assert far(ours(6), theirs(P, 6)) < 1e-12
    from_itself = far(theirs(pylops.MatrixMult(P.todense()), 40), theirs(P, 40))
    assert from_itself > 1e-3
    assert far(ours(40), theirs(P, 40)) < 10 * from_itself


# -- every solver --------------------------------------------------------------------------------------------


def test_a_batch_is_solved_as_its_samples_are(name):
    A, y = problem(batch=12)
    batch = solve(name, A, y)
    alone = [solve(name, A, row) for row in y]
    close(batch.x, torch.stack([entry.x for entry in alone]), 1e-7 if name == "spgl1" else 1e-10)
    assert batch.iters.tolist() == [entry.iters for entry in alone]
    close(solve(name, A, y.reshape(3, 4, 9)).x.reshape(12, 6), batch.x, 1e-12)
    assert solve(name, A, y[:0]).x.shape == (0, 6)


def test_each_sample_stops_by_itself():
    A, y = problem(batch=16)
    y = y * torch.logspace(-3, 0, 16, dtype=REAL)[:, None]
    batch = solve("fista", A, y, niter=3000, tol=1e-9)
    alone = [solve("fista", A, row, niter=3000, tol=1e-9) for row in y]
    assert batch.iters.tolist() == [entry.iters for entry in alone]
    assert len(set(batch.iters.tolist())) > 3
    close(batch.x, torch.stack([entry.x for entry in alone]), 1e-12)


def test_a_bad_sample_does_not_touch_the_others(name):
    A, y = problem()
    good = solve(name, A, y).x
    y = y.clone()
    y[1, 0] = torch.nan
    with pytest.warns(SolverWarning, match="NONFINITE_INPUT"):
        result = solve(name, A, y)
    close(result.x[::2], good[::2], 1e-12)
    assert result.x[1].isnan().all()
    assert result.status[1] == Status.NONFINITE_INPUT
    with pytest.raises(SolverError):
        solve(name, A, y, on_fail="raise")


def test_types_and_arrays_come_back_as_they_went_in(name):
    A, y = problem()
    x = solve(name, A, y)[0]
    single = solve(name, A.float(), y.float())[0]
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), x, rtol=2e-3, atol=2e-3)
    array = solve(name, A, y.numpy())[0]
    assert isinstance(array, np.ndarray)
    close(array, x, 1e-12)
    assert solve(name, A.to(COMPLEX), y.to(COMPLEX))[0].dtype == COMPLEX


def test_callbacks_see_each_iteration_and_may_stop(name, capsys):
    A, y = problem()
    seen: list[Any] = []
    result = solve(name, A, y, callback=lambda x: seen.append(x.clone()), show=True)
    assert len(seen) == int(result.iters.max())
    assert type(result).__name__ != "tuple"
    close(seen[-1], result.x)
    assert "Iterations" in capsys.readouterr().out

    class Stop(Callbacks):
        stop = False

        def on_step_end(self, solver: Any, x: Any) -> None:
            self.stop = solver.iiter >= 2

    assert solve(name, A, y, callbacks=[Stop()]).iters.max() == 2


def test_models_and_data_may_have_many_axes():
    torch.manual_seed(0)
    A = torchlops.Smoothing2D((3, 3), (4, 5))
    y = A(torch.randn(2, 4, 5, dtype=REAL))
    x = sparsity.fista(A, y, eps=0.1, niter=30).x
    assert x.shape == (2, 4, 5)
    close(sparsity.fista(A, y.reshape(2, 20), eps=0.1, niter=30).x, x)
    R = [torchlops.FirstDerivative((4, 5), axis=axis) for axis in (0, 1)]
    assert sparsity.splitbregman(A, y, R, epsRL1s=[0.1, 0.1]).x.shape == (2, 4, 5)


def test_a_step_may_be_given_for_each_sample():
    A, y = problem()
    alpha = torch.tensor([0.01, 0.02, 0.03], dtype=REAL)
    x = solve("ista", A, y, alpha=alpha, niter=7).x
    close(x, torch.stack([solve("ista", A, y[i], alpha=float(alpha[i]), niter=7).x for i in range(3)]))


def test_an_array_of_one_element_is_a_number():
    """Such as the step ``0.9 / Op.eigs(1)``."""
    A, y = problem()
    for data in (y, y[0]):
        expected = solve("ista", A, data, alpha=0.01, eps=0.2, niter=3).x
        close(solve("ista", A, data, alpha=np.array([0.01]), eps=torch.tensor([0.2]), niter=3).x, expected)


def test_the_automatic_step_is_safe_and_close():
    A, y = problem()
    solver = FISTA(torchlops.MatrixMult(A))
    solver.solve(y, niter=1)
    largest = float(torch.linalg.matrix_norm(A, 2) ** 2)
    assert 0.99 < float(solver.alpha[0]) * largest <= 1 + 1e-12


def test_an_increasing_residual_is_told():
    A, y = problem()
    with pytest.raises(ValueError, match="due to residual increasing"):
        solve("ista", A, y, alpha=1.0, monitorres=True)
    assert (solve("ista", A, y, alpha=1.0, monitorres=True, on_fail="ignore").status == Status.BREAKDOWN).all()
    some = torch.tensor([1.0] + [1e-4] * (len(y) - 1), dtype=y.dtype)
    with pytest.warns(SolverWarning, match="BREAKDOWN in 1 of"):
        solve("fista", A, y, alpha=some, monitorres=True, niter=3)


def test_a_cost_that_overflows_ends_the_iteration():
    A, y = problem()
    with pytest.warns(SolverWarning, match="NONFINITE"):
        result = solve("ista", A, y[0], alpha=1e5, niter=200, tol=0)
    assert result.iiter < 100
    assert torch.isinf(result.cost[-1])


@pytest.mark.parametrize(
    ("solver", "options", "message"),
    [
        ("ista", {"threshkind": "firm"}, "`threshkind` must be one of"),
        ("fista", {"threshkind": "soft-percentile"}, "Provide a percentile"),
        ("ista", {"perc": 10}, "perc goes with"),
        ("ista", {"decay": [1.0]}, "decay must have"),
        ("ista", {"eps": torch.ones(2)}, "eps must be a number"),
        ("irls", {"kind": "both"}, "`kind` must be"),
        ("irls", {"engine": "cuda"}, "engine must be"),
        ("splitbregman", {"epsRL1s": [1.0, 2.0]}, "epsRL1s must have 1"),
        ("splitbregman", {"itrlim": 3}, "does not know itrlim"),
    ],
)
def test_wrong_arguments_are_told(solver, options, message):
    A, y = problem()
    with pytest.raises(ValueError, match=message):
        solve(solver, A, y, **options)


# -- derivatives ---------------------------------------------------------------------------------------------


def learnable(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().clone().requires_grad_() for tensor in tensors)


@pytest.mark.parametrize("dtype", COMPLEX_IS_SLOW)
def test_a_lasso_has_the_derivatives_of_its_solution(dtype):
    A, y = problem(dtype, 4, 2, 2)
    arguments = learnable(A, y, torch.tensor([3.0, 4.0], dtype=REAL))

    def f(A: Tensor, y: Tensor, eps: Tensor) -> Tensor:
        return solve("fista", A, y, eps=eps, niter=300, tol=1e-15).x

    assert gradcheck(f, arguments, check_forward_ad=dtype == REAL)
    assert gradgradcheck(lambda y, eps: f(A, y, eps).abs() ** 2, arguments[1:], fast_mode=True)


def test_a_lasso_in_a_transform():
    A, y = problem(batch=2)

    def loss(y: Tensor) -> Tensor:
        return solve("fista", A, y, eps=6.0, niter=2000, tol=1e-15).x.square().sum()

    close(torch.func.vmap(torch.func.grad(loss))(y), torch.func.grad(loss)(y))


def test_a_synthesis_operator_learns_too():
    A, y = problem(batch=2)
    S = torch.linalg.qr(torch.randn(6, 6, dtype=REAL)).Q[:, :4]

    def f(A: Tensor, S: Tensor, y: Tensor) -> Tensor:
        return solve("fista", A, y, SOp=torchlops.MatrixMult(S), eps=3.0, niter=2000, tol=1e-15).x

    close(f(A, S, y), f(*learnable(A, S, y)).detach())
    assert gradcheck(f, learnable(A, S, y), fast_mode=True)


def test_basis_pursuit_has_the_derivatives_of_its_solution():
    A, y = problem(REAL, 5, 3, 2)
    options = {"iter_lim": 300, "opt_tol": 1e-13, "bp_tol": 1e-13}
    sigma, tau = 0.9 * y.norm(dim=-1), torch.tensor([0.2, 0.3], dtype=REAL)

    def to_residual(A: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        return solve("spgl1", A, y, sigma=sigma, **options).x

    def to_radius(A: Tensor, y: Tensor) -> Tensor:
        return solve("spgl1", A, y, sigma=0.0, tau=tau, **options).x

    assert gradcheck(to_residual, learnable(A, y, sigma), fast_mode=True, atol=1e-4)
    assert gradcheck(to_radius, learnable(A, y), fast_mode=True, atol=1e-4)


@pytest.mark.slow
def test_complex_basis_pursuit_has_the_derivatives_of_its_solution():
    torch.manual_seed(1)
    A, y = torch.randn(6, 4, dtype=COMPLEX), 2 * torch.randn(2, 6, dtype=COMPLEX)
    sigma, tau = 0.7 * y.norm(dim=-1), torch.tensor([0.2, 0.5], dtype=REAL)
    options = {"iter_lim": 2000, "opt_tol": 1e-14, "bp_tol": 1e-14}

    def to_residual(A: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        return solve("spgl1", A, y, sigma=sigma, **options).x

    def to_radius(A: Tensor, y: Tensor, tau: Tensor) -> Tensor:
        return solve("spgl1", A, y, sigma=0.0, tau=tau, **options).x

    on = to_residual(A, y, sigma) != 0
    assert on.any(-1).all()
    assert not on.all()
    # The precision of the duality gap is that of the square of the solution: hence the steps.
    coarse = {"eps": 1e-4, "fast_mode": True}
    assert gradcheck(to_residual, learnable(A, y, sigma), atol=1e-5, **coarse)
    assert gradcheck(lambda A, y: to_radius(A, y, tau), learnable(A, y), atol=1e-5, **coarse)
    few = learnable(y[1:], sigma[1:])
    alone = lambda y, sigma: to_residual(A, y, sigma)  # noqa: E731
    assert gradcheck(alone, few, check_forward_ad=True, atol=1e-5, **coarse)
    assert gradgradcheck(lambda *few: alone(*few).abs() ** 2, few, atol=1e-4, **coarse)

    leaves = learnable(A, y, torch.stack([1e3 * sigma[0], sigma[1]]))
    to_residual(*leaves).abs().sum().backward()  # a sample that is zero
    assert all(leaf.grad.isfinite().all() for leaf in leaves)
    assert not leaves[1].grad[0].any()
    (single,) = learnable(y[1])
    to_residual(A, single, sigma[1]).abs().sum().backward()
    close(single.grad, leaves[1].grad[1], 1e-6)


@pytest.mark.parametrize("dtype", COMPLEX_IS_SLOW)
def test_matching_pursuit_has_the_derivatives_of_its_solution(dtype):
    A, y = problem(dtype, 6, 4, 2)
    f = lambda A, y: solve("omp", A, y).x  # noqa: E731
    assert gradcheck(f, learnable(A, y), check_forward_ad=True)


@pytest.mark.parametrize(
    ("solver", "options"),
    [
        ("ista", {"niter": 5, "alpha": 0.03}), ("fista", {"niter": 5, "alpha": 0.03, "threshkind": "half", "eps": 0.5}),
        ("fista", {"niter": 5, "alpha": 0.03, "threshkind": "soft-percentile", "perc": 50}), ("omp", {}), ("irls", {}),
        ("irls", {"kind": "datamodel"}), ("splitbregman", {"niter_outer": 2, "niter_inner": 1}),
        ("spgl1", {"iter_lim": 8}), ("spgl1", {"iter_lim": 8, "sigma": 0.0, "tau": 1.0}),
    ],
)  # fmt: skip
def test_iterations_have_derivatives_as_they_run(solver, options):
    A, y = problem()
    f = lambda A, y: solve(solver, A, y, grad="unroll", **options).x  # noqa: E731
    assert gradcheck(f, learnable(A, y), fast_mode=True)
    close(f(A, y), f(*learnable(A, y)).detach())


def test_the_residual_and_the_radius_learn_where_iterations_are_differentiated():
    A, y = problem(COMPLEX)
    for options in ({"sigma": torch.tensor([3.0, 4.0, 2.0], dtype=REAL)}, {"tau": torch.tensor(0.7, dtype=REAL)}):
        ((what, value),) = options.items()

        def f(A: Tensor, y: Tensor, value: Tensor, what: str = what) -> Tensor:
            return solve("spgl1", A, y, iter_lim=6, grad="unroll", **{"sigma": 0.0, what: value}).x

        assert gradcheck(f, learnable(A, y, value), fast_mode=True)


def test_the_step_and_the_thresholds_learn_where_iterations_are_differentiated():
    A, y = problem()
    a, e = torch.tensor(0.03, dtype=REAL), torch.tensor(0.4, dtype=REAL)
    assert gradcheck(lambda a: solve("ista", A, y, alpha=a, niter=4, grad="unroll").x, learnable(a))
    assert gradcheck(lambda e: solve("splitbregman", A, y, epsRL1s=[e], niter_outer=2, grad="unroll").x, learnable(e))


def test_checkpoints_change_nothing():
    A, y = problem()
    grads = []
    for every in (None, 3):
        (leaf,) = learnable(y)
        for name, count in (("fista", "niter"), ("splitbregman", "niter_outer"), ("spgl1", "iter_lim")):
            x = solve(name, A, leaf, grad=Unroll(checkpoint_every=every), **{count: 8}).x
            x.square().sum().backward()
        grads.append(leaf.grad)
    close(grads[0], grads[1], 1e-13)


@pytest.mark.parametrize(
    ("solver", "options"),
    [
        ("irls", {}), ("ista", {"threshkind": "hard"}),
        ("fista", {"decay": [1.0] * 60}), ("omp", {"niter_inner": 0}),
    ],
)  # fmt: skip
def test_a_derivative_that_is_not_there_is_never_silently_missing(solver, options):
    A, y = problem()
    with pytest.raises(ValueError, match="grad='unroll'"):
        solve(solver, A, *learnable(y), **options)
    assert not solve(solver, A, *learnable(y), grad=None, **options).x.requires_grad


# -- derivatives of total variation --------------------------------------------------------------------------

EXACTLY: dict[str, Any] = {"niter_outer": 2000, "niter_inner": 1, "tol": 1e-12, "niter": 8, "atol": 1e-13}


def variation(A: Tensor, y: Tensor, mu: Any, eps: Any, R: Tensor | None = None, **options: Any) -> Tensor:
    R1 = D if R is None else torchlops.MatrixMult(R)
    return solve("splitbregman", A, y, RegsL1=[R1], mu=mu, epsRL1s=[eps], **{**EXACTLY, **options}).x


def steps(dtype: torch.dtype = REAL) -> Tensor:
    return (torch.eye(6, dtype=dtype)[1:] - torch.eye(6, dtype=dtype)[:-1]).clone()


@pytest.mark.slow
def test_total_variation_has_the_derivatives_of_its_solution():
    A, y = problem(batch=2)
    S, target = torch.randn(4, 6, dtype=REAL), torch.randn(2, 4, dtype=REAL)
    mu, eps = torch.tensor(0.5, dtype=REAL), torch.tensor([1.0, 0.8], dtype=REAL)

    def f(A: Tensor, y: Tensor, mu: Tensor, eps: Tensor, eps2: Tensor, S: Tensor, target: Tensor, R: Tensor) -> Tensor:
        more = {"RegsL2": [torchlops.MatrixMult(S)], "epsRL2s": [eps2], "dataregsL2": [target]}
        return variation(A, y, mu, eps, R, **more)

    arguments = learnable(A, y, mu, eps, torch.tensor(0.3, dtype=REAL), S, target, steps())
    x = f(*arguments)
    zeros = (x @ steps().T).abs() < 1e-8
    assert zeros.any(-1).all()
    assert not zeros.all(-1).any()
    assert torch.equal(x, f(*(tensor.detach() for tensor in arguments)))
    assert gradcheck(f, arguments, fast_mode=True)


@pytest.mark.slow
def test_total_variation_has_further_derivatives_of_its_solution():
    A, y = problem(batch=2)
    few = learnable(y, torch.tensor(0.5, dtype=REAL), torch.tensor([1.0, 0.8], dtype=REAL))
    assert gradcheck(lambda *few: variation(A, *few), few, fast_mode=True, check_forward_ad=True)
    assert gradgradcheck(lambda *few: variation(A, *few) ** 2, few, fast_mode=True)


@pytest.mark.slow
def test_complex_total_variation_has_the_derivatives_of_its_solution():
    torch.manual_seed(2)
    A, y = torch.randn(9, 6, dtype=COMPLEX), 2 * torch.randn(2, 9, dtype=COMPLEX)
    mu, eps = torch.tensor(0.5, dtype=REAL), torch.tensor([1.2, 0.9], dtype=REAL)
    zeros = (variation(A, y, mu, eps) @ steps(COMPLEX).T).abs() < 1e-8
    assert zeros.any(-1).all()
    assert not zeros.all(-1).any()
    assert gradcheck(variation, learnable(A, y, mu, eps, steps(COMPLEX)), fast_mode=True)
    few = learnable(y[:1], eps[:1])
    assert gradgradcheck(lambda y, eps: variation(A, y, mu, eps).abs() ** 2, few, fast_mode=True)


def test_total_variation_agrees_with_a_dense_system():
    A, y = problem(batch=1)
    mu, eps = 0.5, 1.0
    (leaf,) = learnable(y[0])
    x = variation(A, leaf, mu, eps)
    R = steps()
    zero = R[(R @ x.detach()).abs() < 1e-8]
    free = torch.linalg.qr(zero.T, mode="complete").Q[:, len(zero) :]  # of the null space
    H = mu * A.T @ A
    g = torch.randn(6, dtype=REAL)
    w = free @ torch.linalg.inv(free.T @ H @ free) @ free.T @ g
    close(torch.autograd.grad(x @ g, leaf)[0], mu * A @ w, 1e-10)


@pytest.mark.slow
def test_total_variation_of_images_has_rows_that_depend_on_each_other():
    torch.manual_seed(0)
    image = torch.zeros(5, 4, dtype=REAL)
    image[1:4, 1:3] = 2
    y = image + 0.2 * torch.randn(2, 5, 4, dtype=REAL)
    R = [torchlops.FirstDerivative((5, 4), axis=axis, kind="backward") for axis in (0, 1)]
    eps = torch.tensor([0.7, 0.9], dtype=REAL)
    exactly = {**EXACTLY, "tol": 1e-11, "atol": 1e-12}

    def f(y: Tensor, eps: Tensor) -> Tensor:
        return sparsity.splitbregman(torchlops.Identity((5, 4)), y, R, mu=1.5, epsRL1s=[eps, 0.8], **exactly).x

    assert gradcheck(f, learnable(y, eps), fast_mode=True)
    leaf, weight = learnable(y, eps)
    f(leaf, weight).square().sum().backward()
    for i in range(2):
        alone, its = learnable(y[i], eps[i])
        f(alone, its).square().sum().backward()
        close(leaf.grad[i], alone.grad)
        close(weight.grad[i], its.grad)


@pytest.mark.slow
def test_total_variation_in_transforms():
    A, y = problem()
    As = torch.stack([A, 0.9 * A, A.flip(0)])
    eps = torch.tensor([1.0, 0.7, 1.3], dtype=REAL)

    def loss(A: Tensor, y: Tensor, eps: Tensor, R: Tensor) -> Tensor:
        return variation(A, y, 0.5, eps, R).square().sum()

    derivative = torch.func.grad(loss, argnums=(0, 1, 2, 3))
    mapped = torch.func.vmap(derivative, in_dims=(0, 0, 0, None))(As, y, eps, steps())
    alone = [derivative(As[i], y[i], eps[i], steps()) for i in range(3)]
    for index, part in enumerate(mapped):
        close(part, torch.stack([entry[index] for entry in alone]))
    few = lambda y: loss(A, y, eps[0], steps())  # noqa: E731
    reference = torch.func.jacrev(torch.func.jacrev(few))(y[0])
    for outer in (torch.func.jacfwd, torch.func.jacrev):
        close(outer(torch.func.jacfwd(few))(y[0]), reference)


def test_total_variation_that_has_not_converged_warns_of_its_derivative():
    A, y = problem()
    with pytest.warns(SolverWarning, match="stopped at niter=3"):
        x = variation(A, *learnable(y), 0.5, 1.0, niter_outer=3)
    assert x.requires_grad
    assert not variation(A, *learnable(y), 0.5, 1.0, niter_outer=3, grad=None).requires_grad


def test_data_of_a_penalty_may_be_shared_by_the_samples():
    A, y = problem()
    more = {"RegsL2": [torchlops.SecondDerivative(6)], "epsRL2s": [2.0]}
    target = torch.linspace(-1, 1, 6, dtype=REAL)
    shared = solve("splitbregman", A, y, dataregsL2=[target], **more).x
    close(shared, solve("splitbregman", A, y, dataregsL2=[target.expand(3, 6)], **more).x, 1e-14)
    assert (shared - solve("splitbregman", A, y, **more).x).abs().max() > 1e-3
    with pytest.raises(ValueError, match="dataregsL2 must have the shape"):
        solve("splitbregman", A, y, dataregsL2=[target[:5]], **more)


def test_a_regulariser_that_learns_is_noticed():
    A, y = problem()
    (R,) = learnable(steps())
    x = variation(A, y, 0.5, 1.0, R)
    (gradient,) = torch.autograd.grad(x.square().sum(), R)
    assert gradient.abs().max() > 0.01
    gain = torch.tensor(1.0, dtype=REAL, requires_grad=True)
    hidden = torchlops.FunctionOperator(lambda x: gain * x, lambda x: gain * x, 6, arrays="torch")
    with pytest.raises(ValueError, match="none of its parameters"):
        solve("splitbregman", A, y, RegsL1=[hidden])


@pytest.mark.slow
def test_total_variation_of_many_samples_and_of_real_models_with_complex_data():
    A, y = problem(batch=40)
    y = y * torch.logspace(-2, 1, 40, dtype=REAL)[:, None]  # so that most stop early
    (leaf,) = learnable(y.reshape(2, 20, 9))
    mu = torch.tensor([[0.5], [0.6]], dtype=REAL)
    variation(A, leaf, mu, 0.5).square().sum().backward()
    for row, (few,) in enumerate(map(learnable, y.reshape(2, 20, 9))):
        variation(A, few, mu[row], 0.5).square().sum().backward()
        close(leaf.grad[row], few.grad)

    F = torchlops.signalprocessing.FFT(6, real=True)
    (spectrum,) = learnable(F(y[:2, :6]))
    loss = lambda spectrum: solve("splitbregman", F, spectrum, mu=2.0, **EXACTLY).x.square().sum()  # noqa: E731
    (gradient,) = torch.autograd.grad(loss(spectrum), spectrum)
    step = 1e-5 * torch.randn_like(spectrum)
    close((gradient.conj() * step).real.sum(), ((loss(spectrum + step) - loss(spectrum - step)) / 2).detach(), 1e-9)


def test_an_operator_that_returns_its_input():
    """Solvers write into what an operator returns: a user's function may return what it was given."""

    def same(x):
        return x

    y = torch.randn(2, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    D = torchlops.FirstDerivative(12, kind="forward")
    found = [
        torchlops.splitbregman(A, y, [D], niter_outer=5, mu=3.0, epsRL1s=[0.4], niter=12)[0]
        for A in (torchlops.FunctionOperator(same, same, 12, arrays="torch"), torchlops.Identity(12))
    ]
    assert torch.allclose(*found, rtol=1e-12)
