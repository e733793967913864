"""What does not converge, breaks down or cannot be done says so, and gives the best that it has."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

import torchlops
from torchlops.optimization import Implicit, SolverError, SolverWarning, Status, Unroll, basic
from torchlops.optimization.cls_basic import CG, CGLS, LSQR

REAL = torch.float64
SQUARE = ("cg", "minres", "gmres", "bicgstab")
SOLVERS = ("cgls", "lsqr", "lsmr", *SQUARE)


def spd(n: int = 6) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    A = torch.randn(n, n, dtype=REAL)
    return A @ A.mT + torch.eye(n, dtype=REAL), torch.randn(3, n, dtype=REAL)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-16, 1.0])
@pytest.mark.parametrize("name", SOLVERS)
def test_data_that_are_nothing_against_the_guess(name, scale):
    """The Krylov space of ``A x0`` is exhausted, exactly: the last vector of it is not thrown away."""
    d = torch.tensor([2.0, 3.0, 5.0, 7.0], dtype=REAL)
    ways: list[dict[str, Any]] = [{}, {"niter": 4}]
    ways += [{"M": torchlops.Diagonal(1 / d)}] if name in SQUARE else []
    ways += [{"flexible": True}] if name == "gmres" else []
    absolute = {"tol": 1e-26} if name in ("cg", "cgls") else {}
    for how in ways:
        for batch in ((), (2,)):
            y, x0 = torch.full((*batch, 4), scale, dtype=REAL), torch.ones(*batch, 4, dtype=REAL)
            x = getattr(basic, name)(torchlops.Diagonal(d), y, x0, **{**absolute, **how}, on_fail="ignore").x
            torch.testing.assert_close(x, y / d, rtol=0, atol=1e-7)


def test_minres_on_a_residual_in_the_null_space():
    """No model has a smaller residual: that is no convergence."""
    A = torchlops.Diagonal(torch.tensor([0.0, 0.0, 1.0], dtype=REAL))
    y = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]], dtype=REAL)
    for data in (y, y[0]):
        with pytest.warns(SolverWarning, match="UNREACHABLE"):
            result = basic.minres(A, data)
        torch.testing.assert_close(result.x, data * torch.tensor([0.0, 0.0, 1.0]))
    assert basic.minres(A, y, on_fail="ignore").status.tolist() == [Status.UNREACHABLE, Status.CONVERGED]
    assert basic.minres(torchlops.Zero(3), torch.ones(3), on_fail="ignore").status == Status.UNREACHABLE


def test_bicgstab_keeps_its_best_iterate():
    """Its residuals jump: at the limit of iterations, and at a breakdown, the last one may be far from the best."""
    for seed in range(5):
        torch.manual_seed(seed)
        A, y = torch.randn(60, 60, dtype=REAL) + 2 * torch.eye(60), torch.randn(3, 60, dtype=REAL)
        for data in (y, y[0]):
            result = basic.bicgstab(torchlops.MatrixMult(A), data, niter=40, on_fail="ignore")
            rnorm = (data - result.x @ A.mT).norm(dim=-1)
            torch.testing.assert_close(rnorm, result.cost.amin(0).to(REAL), rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(torch.as_tensor(result.rnorm, dtype=REAL), rnorm, rtol=1e-6, atol=1e-6)
    y = torch.tensor([1.0, 0.0], dtype=REAL)
    broken = basic.bicgstab(
        torchlops.MatrixMult(torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=REAL)), y, on_fail="ignore"
    )
    assert broken.status == Status.BREAKDOWN
    assert broken.rnorm <= y.norm()


@pytest.mark.parametrize("name", SQUARE)
def test_an_inverse_that_stops_short_warns(name):
    A, y = spd(40)
    Op = torchlops.MatrixMult(A)
    with pytest.warns(SolverWarning, match=r"stopped at niter=2.*MAXITER in 3 of 3 samples.*solution is inaccurate"):
        Op.inverse(name, niter=2)(y)
    with pytest.warns(SolverWarning, match="solution is inaccurate"):
        Op.inverse(name, niter=2).H(y)
    with pytest.raises(SolverError, match="stopped at niter=2"):
        Op.inverse(name, niter=2, on_fail="raise")(y)
    with pytest.warns(SolverWarning, match=r"stopped at niter=2.*the derivative assumes convergence"):
        Op.inverse(name, niter=2)(y.clone().requires_grad_())
    with pytest.warns(SolverWarning, match="solution is inaccurate"):
        Op.inverse(name, niter=2, grad=Unroll())(y.clone().requires_grad_())
    with pytest.warns(SolverWarning, match="stopped at niter=2"):
        torch.func.vmap(Op.inverse(name, niter=2))(y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Op.inverse(name, rtol1=1e-10)(y)
        Op.inverse(name, niter=2, on_fail="ignore")(y)


@pytest.mark.parametrize("name", ["cgls", "lsqr", "lsmr"])
def test_a_pseudoinverse_and_a_division_that_stop_short_warn(name):
    torch.manual_seed(0)
    A = torch.randn(60, 50, dtype=REAL) * torch.logspace(0, -4, 50, dtype=REAL)
    y = torch.randn(60, dtype=REAL)
    with pytest.warns(SolverWarning, match="stopped at niter=20"):
        torchlops.MatrixMult(A).pinv(name, niter=20)(y)
    if name != "cgls":
        with pytest.warns(SolverWarning, match="ILL_CONDITIONED"):
            torchlops.MatrixMult(A).pinv(name, conlim=10.0)(y)
    with pytest.warns(SolverWarning, match="LSQR"):
        torchlops.MatrixMult(A).div(y, niter=5)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_wrong_option_fails_at_once(name):
    _, y = spd()
    calls: list[int] = []

    def count(x: Tensor) -> Tensor:
        calls.append(1)
        return x

    Op = torchlops.FunctionOperator(count, count, 6, 6, dtype="float64", arrays="torch")
    calls.clear()
    for wrong in ({"adjoint_rtol": 1e-3}, {"full_rank": False}, {"on_fial": "warn"}, {"niters": 3}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            getattr(basic, name)(Op, y, **wrong)
        with pytest.raises(TypeError, match=rf"{next(iter(wrong))}.*takes niter"):
            Op.pinv(name, **wrong) if name not in SQUARE else Op.inverse(name, **wrong)
    with pytest.raises(TypeError, match="rtoll"):
        Implicit(rtoll=1e-3)  # type: ignore[call-arg]
    for value in ({"grad": True}, {"check_every": 0}):
        with pytest.raises(ValueError, match=next(iter(value))):
            getattr(basic, name)(Op, y, **value)
    assert not calls


@pytest.mark.parametrize("kind", [CG, CGLS, LSQR])
def test_a_run_by_hand_shows_all_samples(kind):
    """Also those that have stopped, most of the batch."""
    y = torch.zeros(20, 12, dtype=REAL)
    y[:, 0], y[-1] = 1.0, torch.arange(12.0)
    d = torch.linspace(1, 3, 12, dtype=REAL)
    solver = kind(torchlops.Diagonal(d), check_every=1)
    tight = {"atol": 1e-12, "btol": 1e-12} if kind is LSQR else {"tol": 0.0, "rtol1": 1e-12}
    x = solver.run(solver.setup(y, niter=40, **tight))
    torch.testing.assert_close(x, y / d)
    assert {tuple(entry.shape) for entry in solver.cost} == {(20,)}
    solver.finalize()
    torch.testing.assert_close(solver.x, y / d)


def test_cg_stops_at_a_direction_without_curvature():
    """A singular operator, and data that it does not reach: rounding would make the next step as long as it likes."""
    d = torch.tensor([0.0, 0.0, 1.0, 1.5], dtype=REAL)
    y = torch.tensor([[1.0, 0.0, 2.0, 1.0], [0.0, 0.0, 2.0, 1.0]], dtype=REAL)
    for data in (y, y[0]):
        with pytest.warns(SolverWarning, match="INDEFINITE"):
            result = basic.cg(torchlops.Diagonal(d), data, niter=200)
        assert float(result.x.abs().max()) < 1e10
    assert basic.cg(torchlops.Diagonal(d), y, niter=200, on_fail="ignore").status.tolist() == [
        Status.INDEFINITE,
        Status.CONVERGED,
    ]
    torch.manual_seed(0)
    Q = torch.linalg.qr(torch.randn(30, 30, dtype=REAL)).Q
    A = (Q * torch.logspace(0, -12, 30, dtype=REAL)) @ Q.mT  # badly conditioned is not singular
    data = A @ torch.randn(30, dtype=REAL)
    assert basic.cg(torchlops.MatrixMult(A), data, niter=400, tol=0, rtol1=1e-6).converged
