"""Every promise on every solver: dense algebra, batches, dtypes, failures, callbacks and derivatives."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import grad, hessian, jacfwd, jacrev, vmap

import torchlops
from torchlops.linalg import InverseOperator
from torchlops.optimization import (
    Implicit,
    SolverError,
    SolverWarning,
    Status,
    Unroll,
    WarmStart,
    basic,
    krylov,
    preconditioners,
)
from torchlops.optimization.callback import (
    Callbacks,
    CostNanInfCallback,
    CostToDataCallback,
    CostToInitialCallback,
    MetricsCallback,
)
from torchlops.optimization.cls_basic import CG, CGLS, LSQR

pylops = pytest.importorskip("pylops")

LEAST_SQUARES = {"cgls": krylov.CGLS, "lsqr": krylov.LSQR, "lsmr": krylov.LSMR}
SQUARE = {"cg": krylov.CG, "minres": krylov.MINRES, "gmres": krylov.GMRES, "bicgstab": krylov.BiCGSTAB}
SOLVERS = {**LEAST_SQUARES, **SQUARE}
CLASSES = {"cg": CG, "cgls": CGLS, "lsqr": LSQR}
REAL, COMPLEX = torch.float64, torch.complex128


def tight(name: str, rtol: float = 1e-14) -> dict[str, Any]:
    """Return options that solve to rounding."""
    if name in ("lsqr", "lsmr"):
        return {"niter": 60, "atol": rtol, "btol": rtol, "conlim": 0.0}
    if name == "cgls":
        return {"niter": 60, "tol": 0.0, "gtol": rtol}
    return {"niter": 60, "tol": 0.0, "rtol1": rtol}


def problem(name: str, dtype: torch.dtype = REAL, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return a matrix that the solver takes, and data for it."""
    torch.manual_seed(seed)
    if name in LEAST_SQUARES:
        return torch.randn(7, 4, dtype=dtype), torch.randn(3, 7, dtype=dtype)
    A = torch.randn(5, 5, dtype=dtype)
    A = {"cg": A @ A.mH + torch.eye(5), "minres": A + A.mH}.get(name, A + 3 * torch.eye(5))
    return A, torch.randn(3, 5, dtype=dtype)


def exact(name: str, A: Tensor, y: Tensor, damp: Any = 0.0, x0: Any = None) -> Tensor:
    """Return the solution by dense algebra. (torch.linalg.solve is wrong in nested forward mode.)"""
    if x0 is not None and name in ("lsqr", "lsmr"):  # which damp the distance to the guess
        return x0 + exact(name, A, y - (A @ x0[..., None])[..., 0], damp)
    damp = torch.as_tensor(damp, dtype=REAL)[..., None, None]
    unit = torch.eye(A.shape[1], dtype=A.dtype)
    if name in SQUARE:
        return (torch.linalg.inv(A + damp * unit) @ y[..., None])[..., 0]
    return (torch.linalg.inv(A.mH @ A + damp**2 * unit) @ (A.mH @ y[..., None]))[..., 0]


def close(a: Any, b: Any, rtol: float = 1e-9) -> None:
    a, b = (torch.as_tensor(np.asarray(t) if isinstance(t, list | float) else t) for t in (a, b))
    torch.testing.assert_close(a, b, rtol=rtol, atol=rtol)


@pytest.fixture(params=SOLVERS)
def name(request):
    return request.param


def solve(name: str, A: Any, y: Any, **options: Any) -> Any:
    A = A if isinstance(A, torchlops.LinearOperator) else torchlops.MatrixMult(A)
    return getattr(basic, name)(A, y, **{**tight(name), **options})


@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
def test_the_solution_is_that_of_dense_algebra(name, dtype):
    A, y = problem(name, dtype)
    damp = torch.tensor([0.0, 0.3, 2.0])
    for data, damping in ((y, 0.0), (y, damp), (y[0], 0.7), (y[None, :2], 0.1), (y[:0], 0.0)):
        result = solve(name, A, data, damp=damping)
        close(result.x, exact(name, A, data, damping))
        assert result.x.dtype == dtype
    assert bool(solve(name, A, y).converged.all())


@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
def test_an_initial_guess(name, dtype):
    A, y = problem(name, dtype)
    x0 = torch.randn(3, A.shape[1], dtype=dtype)
    close(solve(name, A, y, x0=x0).x, exact(name, A, y))
    close(solve(name, A, y, x0=x0, damp=0.5).x, exact(name, A, y, 0.5, x0))
    close(solve(name, A, y[0], x0=x0[0], damp=0.5).x, exact(name, A, y[0], 0.5, x0[0]))
    started = solve(name, A, y, x0=exact(name, A, y), **({"tol": 1e-20} if "tol" in tight(name) else {}))
    assert int(started.iters.max()) <= 1


def test_single_precision_stays_single(name):
    A, y = problem(name)
    rtol = {key: 1e-6 for key in ("rtol1", "gtol", "atol", "btol") if key in tight(name)}
    for data in (y.float(), y[0].float()):
        x = solve(name, A.float(), data, **rtol).x
        assert x.dtype == torch.float32
        torch.testing.assert_close(x, exact(name, A, data.double()).float(), rtol=1e-3, atol=1e-3)


def test_arrays_in_arrays_out(name):
    A, y = problem(name)
    result = solve(name, A.numpy(), y.numpy())
    assert isinstance(result.x, np.ndarray)
    assert isinstance(result.status, np.ndarray)
    close(result.x, exact(name, A, y))
    one = solve(name, A.numpy(), y[0].numpy())
    assert isinstance(one.iiter, int)
    assert isinstance(one.status, int)


def test_shapes(name):
    """Models and data of several axes, flattened or not, with any batch."""
    torch.manual_seed(0)
    A = torchlops.Smoothing2D((3, 3), (4, 5), dtype="float64")
    A = A.H @ A + torchlops.Identity((4, 5))
    y = torch.randn(2, 3, 4, 5, dtype=REAL)
    x = solve(name, A, y).x
    assert x.shape == y.shape
    close(A(x), y, 1e-7)
    close(solve(name, A, y.flatten(-2)).x, x)
    close(solve(name, A, y[0, 0]).x, x[0, 0])
    close(solve(name, A, y[0, 0].flatten()).x, x[0, 0])
    with pytest.raises(ValueError, match="the data of"):
        solve(name, A, torch.ones(7))
    with pytest.raises(ValueError, match="x0 must have the shape"):
        solve(name, A, y, x0=torch.ones(4, 5))
    with pytest.raises(ValueError, match="damp must be"):
        solve(name, A, y, damp=torch.ones(5))


@pytest.mark.parametrize("compact", [True, False])
def test_a_batch_is_a_loop(name, compact):
    """Each sample stops by itself, after as many iterations as alone, also where the batch shrinks."""
    torch.manual_seed(0)
    n = 12
    scales = torch.linspace(0.5, 3, n, dtype=REAL)
    A = torchlops.Diagonal(scales)
    y = torch.randn(20, n, dtype=REAL) * (torch.rand(20, n) < torch.linspace(0.05, 1, 20)[:, None])
    y[:12, 2:] = 0
    y[3] = 0
    options = {key: 1e-8 for key in ("rtol1", "gtol", "atol", "btol") if key in tight(name)}
    batch = solve(name, A, y, check_every=2, compact=compact, **options)
    cost = batch.cost
    assert cost.shape == (batch.iiter + 1, 20)
    for sample in range(20):
        one = solve(name, A, y[sample], check_every=1, **options)
        close(batch.x[sample], one.x)
        assert abs(int(batch.iters[sample]) - one.iters) <= 1
        assert int(batch.status[sample]) == one.status
        if int(batch.iters[sample]) == one.iters:
            close(cost[: one.iters + 1, sample], one.cost.to(REAL), 1e-7)
            assert bool((cost[one.iters :, sample] == cost[one.iters, sample]).all())


def test_frozen_samples_do_not_move(name):
    A, y = problem(name)
    y[0] = 0
    y[1] = A.sum(1)
    result = solve(name, A, y, check_every=50)
    assert bool((result.x[0] == 0).all())
    assert int(result.iters[0]) == 0
    close(result.x[1], torch.ones(A.shape[1], dtype=REAL))


def test_an_operator_over_the_reals(name):
    """R-linear operators, under Re<., .>."""
    torch.manual_seed(0)
    x = torch.randn(2, 5, dtype=COMPLEX)
    D = torchlops.Diagonal(torch.randn(5, dtype=COMPLEX) + 3)
    A = D + 0.5 * torchlops.Conj(5)
    A = A.H @ A if name in ("cg", "minres") else A
    close(solve(name, A, A(x)).x, x, 1e-8)
    if name in LEAST_SQUARES:
        F = torchlops.signalprocessing.FFT(8, real=True)
        model = torch.randn(3, 8, dtype=REAL)
        found = solve(name, F, F(model)).x
        assert found.dtype == REAL
        close(found, model, 1e-8)


def test_a_real_vector_and_a_complex_operator(name):
    A, y = problem(name, COMPLEX)
    close(solve(name, A, y.real).x, exact(name, A, y.real.to(COMPLEX)))


@pytest.mark.parametrize("kind", ["nan", "inf"])
def test_a_bad_sample_in_a_good_batch(name, kind):
    A, y = problem(name)
    good = solve(name, A, y).x
    y = y.clone()
    y[1, 2] = float(kind)
    with pytest.warns(SolverWarning, match=r"NONFINITE_INPUT in 1 of 3 samples \(1\)"):
        result = solve(name, A, y)
    assert result.status.tolist() == [1, int(Status.NONFINITE_INPUT), 1]
    close(result.x[[0, 2]], good[[0, 2]])
    assert bool(result.x[1].isnan().all())
    with pytest.raises(SolverError, match="NONFINITE_INPUT"):
        solve(name, A, y[1], on_fail="raise")
    assert solve(name, A, y[1], on_fail="ignore").status == Status.NONFINITE_INPUT


def test_nan_on_the_way(name):
    A = torchlops.Diagonal(torch.tensor([1.0, float("nan"), 2.0]))
    result = solve(name, A, torch.ones(3), on_fail="ignore")
    assert result.status == Status.NONFINITE
    assert bool(result.x.isnan().all())


def test_cg_finds_out_an_indefinite_operator():
    A = torchlops.Diagonal(torch.tensor([1.0, -1.0, 2.0]))
    y = torch.tensor([[1.0, 0.0, 1.0], [0.1, 1.0, 0.1]])
    with pytest.warns(SolverWarning, match=r"INDEFINITE in 1 of 2 samples \(1\).*dottest"):
        result = basic.cg(A, y, tol=1e-12)
    assert result.status.tolist() == [1, int(Status.INDEFINITE)]


@pytest.mark.parametrize("solver", LEAST_SQUARES)
def test_a_wrong_adjoint_is_found_out(solver):
    class Wrong(torchlops.LinearOperator):
        def _forward(self, x):
            return x.cumsum(-1)

        _adjoint = _forward

    for y in (torch.ones(4), torch.ones(2, 4)):
        with pytest.warns(SolverWarning, match="dottest"):
            getattr(basic, solver)(Wrong(4), y, niter=1)
        with pytest.raises(SolverError, match="adjoint"):
            getattr(basic, solver)(Wrong(4), y, on_fail="raise")


def test_bicgstab_names_its_breakdown():
    A = torchlops.MatrixMult(torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))
    result = basic.bicgstab(A, torch.ones(2), on_fail="ignore")
    assert result.status == Status.BREAKDOWN


def test_a_singular_consistent_system(name):
    A = torchlops.Diagonal(torch.tensor([2.0, 0.0, 1.0], dtype=REAL))
    y = torch.tensor([2.0, 0.0, 3.0], dtype=REAL)
    close(solve(name, A, y).x, torch.tensor([1.0, 0.0, 3.0], dtype=REAL))


def test_the_smallest_solution():
    A, _ = problem("cgls")
    y = torch.randn(2, 4, dtype=REAL)
    for solver in LEAST_SQUARES:
        close(solve(solver, A.mT.contiguous(), y).x, y @ torch.linalg.pinv(A.mT).mT)


# -- against PyLops ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
@pytest.mark.parametrize("niter", [1, 3, 4])
@pytest.mark.parametrize("damp", [0.0, 0.4])
def test_pylops_does_the_same(dtype, niter, damp):
    for name in ("cg", "cgls", "lsqr"):
        A, y = problem(name, dtype)
        ours = torchlops.MatrixMult(A)
        theirs = pylops.MatrixMult(A.numpy(), dtype=A.numpy().dtype)
        tol = {"atol": 0.0, "btol": 0.0, "conlim": 0.0} if name == "lsqr" else {"tol": 0.0}
        options = {"niter": niter, "damp": damp, **tol}
        mine = getattr(basic, name)(ours, y[0].numpy(), **options)
        reference = getattr(pylops.optimization.basic, name)(theirs, y[0].numpy(), **options)
        assert len(mine) == len(reference)
        close(mine.x, reference[0], 1e-8)
        assert mine.iiter == reference[1 if name == "cg" else 2]
        if name != "lsqr" or damp == 0:  # its estimate with damping is not exact
            close(mine.cost, reference[-1], 1e-8)
        if name != "cg":
            close(mine.cost[-1], np.linalg.norm(ours(mine.x) - y[0].numpy()), 1e-8)
        if name != "cg":
            close(mine.r2norm, reference[4], 1e-8)
        if name == "lsqr":
            close([mine.anorm, mine.acond, mine.arnorm, mine.xnorm], np.array(reference[5:9]), 1e-7)
            if dtype == REAL:
                close(mine.var, reference[9], 1e-8)


def test_pylops_tolerances():
    A, y = problem("cg")
    theirs = pylops.MatrixMult(A.numpy())
    for options in ({"tol": 1e-3}, {"tol": 0, "rtol": 1e-2}, {"tol": 0, "rtol1": 1e-2}):
        mine = basic.cg(torchlops.MatrixMult(A), y[0].numpy(), niter=20, **options)
        assert mine.iiter == pylops.optimization.basic.cg(theirs, y[0].numpy(), niter=20, **options)[1]


# -- watching ----------------------------------------------------------------------------------------------------


class Recorder(Callbacks):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_setup_begin(self, solver, x0):
        self.calls.append("setup begin")

    def on_step_end(self, solver, x):
        self.calls.append("step")

    def on_run_end(self, solver, x):
        self.calls.append("run end")


def test_callbacks(name):
    A, y = problem(name)
    recorder = Recorder()
    metrics = MetricsCallback(exact(name, A, y), which=("mse",))
    shown = []
    callbacks = [recorder, metrics, CostNanInfCallback()]
    result = solve(name, A, y, callbacks=callbacks, callback=lambda x: shown.append(x.clone()))
    assert recorder.calls == ["setup begin", *["step"] * result.iiter, "run end"]
    close(shown[-1], result.x)
    assert metrics.metrics["mse"][-1] < 1e-16
    with pytest.raises(ValueError, match="mae, mse"):
        MetricsCallback(y, which=("rms",))


@pytest.mark.parametrize("stopper", [CostToInitialCallback, CostToDataCallback])
def test_a_callback_stops(stopper):
    A, y = problem("cg")
    result = CG(torchlops.MatrixMult(A), callbacks=[stopper(0.5)]).solve(y, niter=20, tol=0)
    assert result.iiter < 5
    assert int(Status.STOPPED) in result.status.tolist()


@pytest.mark.parametrize("name", CLASSES)
def test_step_by_step(name):
    A, y = problem(name)
    solver = CLASSES[name](torchlops.MatrixMult(A))
    x = solver.setup(y[0].numpy(), **tight(name))
    for _ in range(3):
        x = solver.step(x)
    solver.finalize()
    assert solver.iiter == 3
    close(x, solve(name, A, y[0].numpy(), niter=3, on_fail="ignore").x)


def test_printing(name, capsys):
    A, y = problem(name)
    solve(name, A, y, show=True, itershow=(2, 2, 5))
    printed = capsys.readouterr().out
    assert SOLVERS[name].__name__ in printed
    assert "Iterations =" in printed
    assert "batch (3,)" in printed
    if name in CLASSES:
        assert CLASSES[name](torchlops.MatrixMult(A)).memory_usage(show=True, unit="KB") > 0
        assert "KB" in capsys.readouterr().out


def test_a_progress_bar(name):
    pytest.importorskip("tqdm")
    A, y = problem(name)
    close(solve(name, A, y, progress=True).x, exact(name, A, y))


def test_wrong_options_are_refused(name):
    A, y = problem(name)
    with pytest.raises(ValueError, match="grad must be"):
        solve(name, A, y, grad="explicit")
    with pytest.raises(ValueError, match="on_fail must be"):
        solve(name, A, y, on_fail="print")
    with pytest.raises(TypeError, match="cast the data"):
        solve(name, A.half(), y.half())
    if name in SQUARE:
        with pytest.raises(ValueError, match=r"square systems.*cgls"):
            solve(name, torch.ones(3, 2), torch.ones(3))


@pytest.mark.parametrize("name", ["cgls", "lsqr", "lsmr"])
def test_iterations_past_the_rounding_do_not_diverge(name):
    """Data that no model fits: the gradient ends at the rounding of its two parts, above any tolerance."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(60, 21, generator=generator, dtype=REAL)).Q
    A = basis[:, :20] * torch.linspace(0.3, 1.0, 20)
    x = torch.randn(20, generator=generator, dtype=REAL)
    y = A @ x + 50 * basis[:, 20]
    result = solve(name, A.float(), y.float(), **tight(name, 0.0) | {"niter": 400})
    assert result.converged
    assert (result.x - x).norm() <= 2e-4 * x.norm()


def test_a_tolerance_for_each_sample(name):
    """Each sample goes on to its own, as it does alone; and a batch of which most stop early is compacted."""
    A = torch.diag(torch.linspace(1.0, 3.0, 30, dtype=REAL))
    y = torch.randn(10, 30, dtype=REAL, generator=torch.Generator().manual_seed(0))
    tolerances = torch.tensor([1e-10] * 2 + [1e-2] * 8, dtype=REAL)
    chosen = {"cgls": "gtol", "lsqr": "atol", "lsmr": "atol"}.get(name, "rtol1")
    options = tight(name, 0.0)
    result = solve(name, A, y, **options | {chosen: tolerances})
    alone = [solve(name, A, data, **options | {chosen: tol}) for data, tol in zip(y, tolerances, strict=True)]
    assert result.iters.tolist() == [one.iters for one in alone]
    assert result.iters[0] > result.iters[-1]
    close(result.x, torch.stack([one.x for one in alone]), 1e-9)
    with pytest.raises(ValueError, match="shape of the batch"):
        solve(name, A, y, **options | {chosen: tolerances[:3]})
    gradient = torch.autograd.grad(
        solve(name, A, y.requires_grad_(), **options | {chosen: tolerances * 1e-2}).x.sum(), y
    )
    close(gradient[0], torch.linalg.inv(A).sum(0).expand_as(y), 1e-6)


# -- preconditioners ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SQUARE)
@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
def test_a_preconditioner(solver, dtype):
    A, y = problem(solver, dtype)
    A = A + torch.diag(torch.logspace(0, 4, 5)).to(dtype)
    M = torchlops.Diagonal(1 / A.diagonal().abs())
    close(solve(solver, A, y, M=M, rtol1=1e-12).x, exact(solver, A, y), 1e-7)
    exact_M = torchlops.MatrixMult(torch.linalg.inv(A))
    if solver != "minres":
        assert solve(solver, A, y, M=exact_M, rtol1=1e-8).iiter <= 2
    if solver == "gmres":
        close(solve(solver, A, y, M=M, flexible=True, rtol1=1e-12).x, exact(solver, A, y), 1e-7)
        close(solve(solver, A, y, M=M, restart=3, rtol1=1e-12).x, exact(solver, A, y), 1e-7)


def test_ready_preconditioners():
    torch.manual_seed(0)
    n = 32
    generator = torch.Generator().manual_seed(0)
    d = torch.logspace(0, 4, n, dtype=REAL)
    diagonal = torchlops.Diagonal(d) + 0.1 * torchlops.MatrixMult(torch.ones(n, n, dtype=REAL))
    h = torch.tensor([0.2, 0.5, 0.2], dtype=REAL)
    C = torchlops.signalprocessing.Convolve1D(n, h, offset=1)
    smooth = C.H @ C + 1e-2 * torchlops.Identity(n, dtype="float64")
    low = torchlops.Diagonal(torch.cat([d[-6:], torch.zeros(n - 6, dtype=REAL)]))
    pairs = [
        (diagonal, preconditioners.DiagonalPreconditioner(diagonal), 0.0),
        (diagonal, preconditioners.DiagonalPreconditioner(diagonal, probes=50, generator=generator), 0.0),
        (diagonal, preconditioners.BlockDiagonalPreconditioner(diagonal, 4), 0.0),
        (smooth, preconditioners.CirculantPreconditioner(smooth), 0.0),
        (low, preconditioners.NystromPreconditioner(low, 8, shift=0.1, generator=generator), 0.1),
    ]
    y = torch.randn(3, n, dtype=REAL)
    for A, M, damp in pairs:
        options = {"damp": damp, "niter": 400, "tol": 0.0, "rtol1": 1e-8}
        plain, better = basic.cg(A, y, **options), basic.cg(A, y, M=M, **options)
        close(A(better.x) + damp * better.x, y, 1e-6)
        assert better.iiter <= 0.7 * plain.iiter
        close(M.todense(), M.todense().conj().T, 1e-9)
        assert torchlops.dottest(M)


def test_ready_preconditioners_name_what_is_wrong():
    A = torchlops.Identity(6)
    with pytest.raises(ValueError, match="divide 6"):
        preconditioners.BlockDiagonalPreconditioner(A, 4)
    with pytest.raises(ValueError, match="rank"):
        preconditioners.NystromPreconditioner(A, 7, 1.0)
    with pytest.raises(ValueError, match="positive"):
        preconditioners.NystromPreconditioner(A, 2, 0.0)
    with pytest.raises(ValueError, match="square"):
        preconditioners.DiagonalPreconditioner(torchlops.MatrixMult(torch.ones(3, 2)))


@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
def test_a_solve_is_an_operator(name, dtype):
    A, y = problem(name, dtype)
    inverse = InverseOperator(torchlops.MatrixMult(A), name, **tight(name))
    assert inverse.shape == A.shape[::-1]
    close(inverse(y), exact(name, A, y))
    dense = torch.linalg.pinv(A)
    close(inverse.todense(), dense.numpy(), 1e-8)
    close(inverse.H.todense(), dense.mH.resolve_conj().numpy(), 1e-8)
    close((2 * inverse @ torchlops.MatrixMult(A))(exact(name, A, y)), 2 * exact(name, A, y), 1e-8)
    assert torch.autograd.gradcheck(inverse, y.clone().requires_grad_())
    assert name in repr(inverse)


def test_division_and_inverse_methods():
    A, y = problem("lsqr")
    tall = torchlops.MatrixMult(A)
    close(tall / y, exact("lsqr", A, y), 1e-6)
    assert isinstance(tall / y[0].numpy(), np.ndarray)
    close(tall.pinv(damp=0.5, atol=1e-12, btol=1e-12)(y), exact("lsqr", A, y, 0.5))
    square, b = problem("gmres")
    close(torchlops.MatrixMult(square).inverse("gmres", rtol1=1e-13)(b), exact("gmres", square, b))
    with pytest.raises(ValueError, match="pinv"):
        tall.inverse()
    with pytest.raises(ValueError, match="one of cg"):
        tall.pinv("qr")


def test_only_square_solvers_take_a_preconditioner():
    solver, y = CGLS(torchlops.Identity(3), M=torchlops.Identity(3)), torch.ones(3)
    for function in (solver.solve, solver.setup):
        with pytest.raises(ValueError, match="takes no preconditioner"):
            function(y)


# -- derivatives -------------------------------------------------------------------------------------------------


def layer(name: str, damped: bool) -> tuple[Any, Any, tuple[Tensor, ...]]:
    """Return the solution as a function of its tensors, the same by dense algebra, and the tensors."""
    how = {"grad": Implicit(rtol=1e-14)}

    def ours(A, y, *damp):
        A = A @ A.mH if name == "cg" else A + A.mH if name == "minres" else A
        return solve(name, torchlops.MatrixMult(A), y, damp=damp[0] if damp else 0.0, **how).x

    def dense(A, y, *damp):
        A = A @ A.mH if name == "cg" else A + A.mH if name == "minres" else A
        return exact(name, A, y, damp[0] if damp else 0.0)

    torch.manual_seed(1)
    A = torch.randn(*((4, 3) if name in LEAST_SQUARES else (3, 3)), dtype=REAL)
    A = A if name in LEAST_SQUARES else A + 3 * torch.eye(3)
    arguments = (A, torch.randn(2, A.shape[0], dtype=REAL), torch.tensor([0.5, 0.8], dtype=REAL))
    return ours, dense, arguments if damped else arguments[:2]


@pytest.mark.parametrize("damped", [False, True])
def test_derivatives(name, damped):
    ours, dense, arguments = layer(name, damped)
    every = tuple(range(len(arguments)))
    transforms = [
        lambda f: grad(f, argnums=every),
        lambda f: jacfwd(f, argnums=every),
        lambda f: hessian(f, argnums=every),
        lambda f: jacrev(jacfwd(f, argnums=every), argnums=every),
        lambda f: vmap(grad(f, argnums=every)),
    ]
    for transform in transforms:
        stacked = transform is transforms[-1]
        inputs = tuple(torch.stack([a, 1.1 * a]) for a in arguments) if stacked else arguments
        mine = transform(lambda *a: (ours(*a) ** 3).sum())(*inputs)
        wanted = transform(lambda *a: (dense(*a) ** 3).sum())(*inputs)
        for a, b in zip(torch.utils._pytree.tree_leaves(mine), torch.utils._pytree.tree_leaves(wanted), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-7 * b.abs().max().item())


def test_third_derivatives():
    ours, dense, (A, y) = layer("cgls", False)
    for transform in (lambda f: jacfwd(jacrev(jacfwd(f))), lambda f: jacrev(jacrev(jacrev(f)))):
        close(
            transform(lambda a: (ours(A, a) ** 3).sum())(y[0]),
            transform(lambda a: (dense(A, a) ** 3).sum())(y[0]),
            1e-7,
        )


@pytest.mark.parametrize(("solver", "dtype"), [("cgls", REAL), ("cgls", COMPLEX), ("lsqr", REAL), ("gmres", COMPLEX)])
def test_gradcheck(solver, dtype):
    A, y = problem(solver, dtype)
    A, y = A[:3, :2] if solver in LEAST_SQUARES else A[:2, :2], y[0, : 3 if solver in LEAST_SQUARES else 2]
    inputs = [t.clone().requires_grad_() for t in (A, y, torch.tensor(0.5, dtype=REAL))]

    def function(A, y, damp):
        A = A @ A.mH if solver == "cg" else A
        return solve(solver, torchlops.MatrixMult(A), y, damp=damp, grad=Implicit(rtol=1e-14)).x

    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, inputs, check_fwd_over_rev=True)


@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
def test_derivatives_of_the_smallest_solution(dtype):
    torch.manual_seed(0)
    inputs = [torch.randn(2, 4, dtype=dtype).requires_grad_(), torch.randn(2, dtype=dtype).requires_grad_()]

    def function(A, y):
        return solve("cgls", torchlops.MatrixMult(A), y, grad=Implicit(rtol=1e-14)).x

    def dense(A, y):
        return A.mH @ (torch.linalg.inv(A @ A.mH) @ y)

    close(function(*inputs), dense(*inputs))
    for mine, wanted in zip(
        torch.autograd.grad(function(*inputs).abs().sum(), inputs),
        torch.autograd.grad(dense(*inputs).abs().sum(), inputs),
        strict=True,
    ):
        close(mine, wanted)
    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True)


def smallest(B: Tensor, C: Tensor, y: Tensor) -> Tensor:
    """Return the smallest least-squares solution of ``B C x = y``; ``B`` has independent columns, ``C`` rows."""
    inv = torch.linalg.inv
    return C.mH @ (inv(C @ C.mH) @ (inv(B.mH @ B) @ (B.mH @ y)))


def factors(rows: int, columns: int, rank: int, dtype: torch.dtype) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(*shape, dtype=dtype) for shape in ((rows, rank), (rank, columns), (rows,))]


WITH_NULL_SPACE = [
    ("cgls", (3, 5, 3), REAL),
    ("cgls", (3, 5, 3), COMPLEX),
    ("cgls", (3, 5, 2), REAL),
    pytest.param("cgls", (3, 5, 2), COMPLEX, marks=pytest.mark.slow),
    pytest.param("lsqr", (3, 5, 2), COMPLEX, marks=pytest.mark.slow),
    ("lsmr", (2, 6, 1), REAL),
]


@pytest.mark.parametrize(("solver", "shape", "dtype"), WITH_NULL_SPACE)
def test_derivatives_with_a_null_space(solver, shape, dtype):
    """Which moves with the operator. The data are not in the range, where that has a complement."""
    check_smallest(solver, shape, dtype)


def check_smallest(solver: str, shape: tuple[int, int, int], dtype: torch.dtype, **how: Any) -> None:
    inputs = [t.requires_grad_() for t in factors(*shape, dtype)]

    def function(B, C, y):
        return solve(solver, torchlops.MatrixMult(B @ C), y, grad=Implicit(rtol=1e-13, **how)).x

    close(function(*inputs), smallest(*inputs))
    w = torch.linspace(1, 2, shape[1], dtype=REAL).to(dtype)
    firsts = []
    for f in (function, smallest):
        first = torch.autograd.grad((f(*inputs) * w).sum().abs() ** 2, inputs, create_graph=True)
        turned = sum((g * torch.cos(t.detach()).conj()).real.sum() for g, t in zip(first, inputs, strict=True))
        firsts.append((*first, *torch.autograd.grad(turned, inputs)))
    for mine, wanted in zip(*firsts, strict=True):
        close(mine, wanted, 1e-9)
    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, check_fwd_over_rev=True, fast_mode=True)

    A = [t.detach() for t in inputs]

    def total(f: Any) -> Any:
        return lambda t: (f(*(a + t * torch.cos(a) for a in A)) * w).sum().abs() ** 2

    t = torch.zeros((), dtype=REAL)
    wanted = torch.autograd.functional.hessian(total(smallest), t)
    for outer in (jacfwd, jacrev):
        for inner in (jacfwd, jacrev):
            close(outer(inner(total(function)))(t), wanted, 1e-8)


DEFICIENT = [
    ("cgls", (5, 3, 2), REAL),
    pytest.param("cgls", (4, 4, 2), COMPLEX, marks=pytest.mark.slow),
    pytest.param("lsqr", (5, 3, 2), COMPLEX, marks=pytest.mark.slow),
    ("lsmr", (5, 3, 1), REAL),
]


@pytest.mark.parametrize(("solver", "shape", "dtype"), DEFICIENT)
def test_derivatives_with_dependent_columns(solver, shape, dtype):
    check_smallest(solver, shape, dtype, full_rank=False)


def test_full_rank_is_of_least_squares():
    with pytest.raises(ValueError, match="full_rank=False is for cgls, lsqr and lsmr"):
        basic.minres(torchlops.Identity(3), torch.ones(3), grad=Implicit(full_rank=False))


def test_vmap_with_a_null_space():
    stacks = [torch.stack([t, 1.5 * t.flip(0)]) for t in factors(3, 5, 2, REAL)]

    def total(f: Any) -> Any:
        return grad(lambda *a: (f(*a) ** 3).sum(), argnums=(0, 1, 2))

    def function(B, C, y):
        return solve("cgls", torchlops.MatrixMult(B @ C), y, grad=Implicit(rtol=1e-13)).x

    for mine, wanted in zip(vmap(total(function))(*stacks), vmap(total(smallest))(*stacks), strict=True):
        close(mine, wanted, 1e-9)


@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
def test_batches_with_a_null_space(dtype):
    """Against a loop; one of the data is in the range of the operator, and one is zero."""
    B, C, y = factors(3, 5, 2, dtype)
    y = torch.stack([y, B @ y[:2], 0 * y])
    gradients = []
    for loop in (False, True):
        inputs = [t.clone().requires_grad_() for t in (B, C, y)]
        A = torchlops.MatrixMult(inputs[0] @ inputs[1])
        data = inputs[2].unbind() if loop else [inputs[2]]
        x = torch.cat([solve("cgls", A, one, grad=Implicit(rtol=1e-13)).x.reshape(-1, 5) for one in data])
        close(x, torch.stack([smallest(B, C, one) for one in y]))
        gradients.append(torch.autograd.grad((x.abs() ** 2 + x.real).sum(), inputs))
    for mine, wanted in zip(*gradients, strict=True):
        close(mine, wanted)


def test_too_few_iterations_for_a_null_space_warn():
    A, y = factors(3, 5, 3, REAL)[1], torch.ones(3, dtype=REAL, requires_grad=True)
    with pytest.warns(SolverWarning, match=r"solution on MatrixMult 'M'\.H is inexact"):
        x = solve("cgls", A, y, grad=Implicit(niter=1)).x
    with pytest.warns(SolverWarning, match="raise niter or rtol of grad=Implicit"):
        x.sum().backward()


def test_a_guess_with_a_null_space():
    """The solution closest to the guess, which keeps the part of it in the null space."""
    B, C, y = factors(3, 5, 2, REAL)
    x0 = torch.linspace(-1, 1, 5, dtype=REAL)
    inputs = [t.requires_grad_() for t in (B, C, y, x0)]

    def function(B, C, y, x0):
        return solve("cgls", torchlops.MatrixMult(B @ C), y, x0=x0, grad=Implicit(rtol=1e-13)).x

    def dense(B, C, y, x0):
        return x0 + smallest(B, C, y - B @ (C @ x0))

    close(function(*inputs), dense(*inputs))
    alone = [t.detach() for t in inputs[:3]]
    mine, wanted = (torch.autograd.grad((f(*alone, x0) ** 3).sum(), x0)[0] for f in (function, dense))
    close(mine, wanted)
    mine, wanted = (torch.autograd.grad((f(*inputs) ** 3).sum(), inputs) for f in (function, dense))
    for a, b in zip(mine, wanted, strict=True):
        close(a, b)
    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True)


def test_vmap_over_data_only(name):
    A, y = problem(name)
    x0 = torch.randn(A.shape[1], dtype=REAL)
    close(vmap(lambda b: solve(name, A, b).x)(y), exact(name, A, y))
    close(vmap(lambda b: solve(name, A, b, x0=x0, damp=0.3).x)(y), exact(name, A, y, 0.3, x0))


@pytest.mark.parametrize("name", ["lsqr", "lsmr"])
def test_damping_towards_a_guess_is_differentiable_in_all_that_it_depends_on(name):
    A, y = problem(name)
    inputs = [A, y, torch.tensor([0.5, 0.3, 2.0], dtype=REAL), torch.randn(3, A.shape[1], dtype=REAL)]
    inputs = [tensor.clone().requires_grad_() for tensor in inputs]

    def function(A: Tensor, y: Tensor, damp: Tensor, x0: Tensor) -> Tensor:
        return solve(name, A, y, x0=x0, damp=damp).x

    def dense(A: Tensor, y: Tensor, damp: Tensor, x0: Tensor) -> Tensor:
        return exact(name, A, y, damp, x0)

    close(solve(name, A, y, x0=inputs[3], damp=0.5).x.grad_fn is not None, True)  # a number as the damping, too
    for argnums in range(4):
        for jacobian in (jacrev, jacfwd):
            close(jacobian(function, argnums)(*inputs), jacobian(dense, argnums)(*inputs), 1e-8)
    cubes = [lambda *t, f=f: (f(*t) ** 3).sum() for f in (function, dense)]
    close(*(hessian(cube, 3)(*inputs) for cube in cubes), 1e-7)


def test_parameters_of_a_composition_learn(name):
    """The weight of a regulariser and the diagonal of an operator, both modules."""
    d = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0], dtype=REAL))
    weight = torch.nn.Parameter(torch.tensor(0.5, dtype=REAL))
    y = torch.randn(2, 3, dtype=REAL)
    A = torchlops.Diagonal(d) + weight * torchlops.Identity(3, dtype="float64")
    solve(name, A, y).x.square().sum().backward()
    mine = (d.grad.clone(), weight.grad.clone())
    d.grad = weight.grad = None
    (y / (d + weight)).square().sum().backward()
    close(mine[0], d.grad)
    close(mine[1], weight.grad)


def test_a_foreign_operator(name):
    A, y = problem(name)
    y = y[0].requires_grad_()
    foreign = torchlops.aslinearoperator(pylops.MatrixMult(A.numpy()))
    x = solve(name, foreign, y).x
    x.square().sum().backward()
    wanted = torch.autograd.grad(exact(name, A, y).square().sum(), y)[0]
    close(y.grad, wanted, 1e-8)


def test_hidden_tensors_are_refused(name):
    class Hidden(torchlops.LinearOperator):
        def __init__(self, factor):
            super().__init__(3)
            self.factors = [factor]

        def _forward(self, x):
            return x * self.factors[0]

        _adjoint = _forward

    factor = torch.ones((), requires_grad=True)
    for y in (torch.ones(3), torch.ones(3, requires_grad=True)):
        with pytest.raises(ValueError, match="none of its parameters or buffers"):
            solve(name, Hidden(factor), y)
    with torch.no_grad():
        solve(name, Hidden(factor), torch.ones(3))


@pytest.mark.parametrize("checkpoint_every", [None, 3])
@pytest.mark.parametrize("solver", SOLVERS)
def test_unrolled_derivatives(solver, checkpoint_every):
    """Those of the iterations as they run: at the solution equal to the implicit ones, earlier to differences."""
    A, y = problem(solver)
    niter = A.shape[1]
    for data in (y, y[0]):
        data = data.clone().requires_grad_()
        x = solve(
            solver,
            A,
            data,
            grad=Unroll(checkpoint_every),
            niter=niter,
            compact=False,
            on_fail="ignore",
        ).x
        mine = torch.autograd.grad(x.square().sum(), data)[0]
        close(mine, torch.autograd.grad(exact(solver, A, data).square().sum(), data)[0], 1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        early = [
            torch.autograd.grad(solve(solver, A, data, grad=mode, niter=2).x.square().sum(), data)[0]
            for mode in ("unroll", "implicit")
        ]
    assert not torch.allclose(*early)
    options = {"grad": Unroll(checkpoint_every), "niter": 3}
    restarts = {"restart": 2} if solver == "gmres" else {}
    assert torch.autograd.gradcheck(lambda y: solve(solver, A, y, **options, **restarts).x, data, rtol=1e-6)


def test_the_memory_of_a_derivative_does_not_grow_with_the_iterations():
    """Nothing is kept for backward but the data, the solution and the tensors of the operator."""
    A, y = problem("cgls")
    kept = []
    for niter in (4, 40):
        count: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, c=count: c.append(t.numel()) or t, lambda t: t):
            torchlops.cgls(torchlops.MatrixMult(A), y.requires_grad_(), niter=niter, tol=0)
        kept.append(sum(count))
    assert kept[0] == kept[1] <= 2 * (A.numel() + y.numel())


def test_no_derivative(name):
    A, y = problem(name)
    assert not solve(name, A, y.requires_grad_(), grad=None).x.requires_grad
    close(grad(lambda b: solve(name, A, b, grad=None).x.sum())(y.detach()), torch.zeros_like(y))


def test_an_early_stop_warns_of_its_implicit_derivative(name):
    A, y = problem(name)
    with pytest.warns(SolverWarning, match=r"stopped at niter=1.*unroll"):
        solve(name, A, y.requires_grad_(), niter=1)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's own, of a compiled function with a graph break
def test_compiled_code_calls_solvers(name):
    """They are left out of the graph."""
    A, y = problem(name)
    y.requires_grad_()
    compiled = torch.compile(lambda b: 2 * solve(name, torchlops.MatrixMult(A), b).x, backend="aot_eager")
    close(compiled(y), 2 * exact(name, A, y))
    mine = torch.autograd.grad(compiled(y).sum(), y)[0]
    close(mine, torch.autograd.grad(2 * exact(name, A, y).sum(), y)[0], 1e-7)


@pytest.mark.parametrize("name", ["cgls", "lsqr", "cg", "gmres"])
def test_a_warm_start_of_the_adjoint_solve(name):
    """The same derivative, in no iteration where the last one was of the same gradient."""
    A, y = problem(name)
    seen: list[int] = []
    B = torchlops.FunctionOperator(*counting(A, seen), *A.shape, dtype="float64", arrays="torch")
    start = WarmStart()
    gradients, costs = [], []
    for warm in (None, start, start):
        x = solve(name, B, y.requires_grad_(), grad=Implicit(rtol=1e-9, warm_start=warm)).x
        seen.clear()
        gradients.append(torch.autograd.grad(x.square().sum(), y)[0])
        costs.append(len(seen))
    close(gradients[1], gradients[0], 1e-12)
    close(gradients[2], gradients[0], 1e-7)
    assert costs[2] <= costs[1] / 2
    assert start.w is not None
    close(
        torch.autograd.functional.vhp(
            lambda y: solve(name, B, y, grad=Implicit(warm_start=start)).x.square().sum(), y, y
        )[1],
        torch.autograd.functional.vhp(lambda y: solve(name, B, y).x.square().sum(), y, y)[1],
        1e-7,
    )
    solve(name, B, y[0].detach().requires_grad_(), grad=Implicit(warm_start=start)).x.sum().backward()  # another batch
    assert start.w.ndim == 1


def counting(A: Tensor, seen: list[int]) -> tuple[Any, Any]:
    """Return products with ``A`` and its adjoint that note each call."""

    def forward(x: Tensor) -> Tensor:
        seen.append(1)
        return x @ A.mT

    def adjoint(y: Tensor) -> Tensor:
        seen.append(1)
        return y @ A.conj()

    return forward, adjoint


def test_is_grads_batched_is_refused():
    A, y = problem("cgls")
    x = solve("cgls", A, y.requires_grad_()).x
    with pytest.raises(NotImplementedError, match=r"torch\.func\.vmap"):
        torch.autograd.grad(x, y, torch.stack([x.detach()] * 2), is_grads_batched=True)
