"""The sparse solvers: units of the data and of the operator, options, memory, and what did not converge."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import torchlops
from torchlops.optimization import SolverWarning, Status, cls_sparsity, sparsity

DTYPES = [torch.float32, torch.float64]
D = torchlops.FirstDerivative(6, edge=True, kind="forward", dtype="float64")

# The options of each solver, and those of them that are in units of the data.
OPTIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "ista": ({"eps": 3.0, "niter": 200}, ("eps",)),
    "fista": ({"eps": 3.0, "niter": 200}, ("eps",)),
    "omp": ({"niter_outer": 3}, ()),
    "irls": ({"nouter": 5, "epsI": 0.1, "grad": None}, ()),
    "spgl1": ({"sigma": 7.0, "iter_lim": 300}, ("sigma",)),
    "splitbregman": ({"mu": 0.5, "epsRL1s": 0.5, "niter_outer": 20, "niter_inner": 2}, ("mu", "epsRL1s")),
}


def problem(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    A = torch.randn(9, 6, dtype=torch.float64, generator=source)
    return A.to(dtype), 2 * torch.randn(3, 9, dtype=torch.float64, generator=source).to(dtype)


def solve(name: str, A: Any, y: Any, scale: float = 1.0, **more: Any) -> Any:
    options, of_data = OPTIONS[name]
    options = {key: value * scale if key in of_data else value for key, value in options.items()} | more
    if name == "splitbregman":
        options = {**options, "RegsL1": [D], "epsRL1s": [options["epsRL1s"]]}
    return getattr(sparsity, name)(torchlops.MatrixMult(A), y, **options)


class EachItsOwn(torchlops.LinearOperator):
    """A diagonal of each sample."""

    each: Tensor

    def _forward(self, x: Tensor) -> Tensor:
        return self.each * x

    _adjoint = _forward


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_problem_in_other_units_has_the_same_solution_in_these_units(name, scale, dtype):
    A, y = problem(dtype)
    tol = 1e-3 if dtype == torch.float32 else 1e-6
    expected = solve(name, A, y)
    found = solve(name, A, y * scale, scale)
    assert expected.x.abs().max() > 0.1
    torch.testing.assert_close(found.x / scale, expected.x, rtol=tol, atol=tol)
    if dtype == torch.float64:  # in single precision, a change is as small as 1e-10 of the solution by chance only
        assert found.status.tolist() == expected.status.tolist()
    alone = solve(name, A, y[1] * scale, scale)
    torch.testing.assert_close(alone.x / scale, expected.x[1], rtol=tol, atol=tol)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("name", ["fista", "spgl1"])
def test_derivatives_do_not_depend_on_the_units_of_the_data(name, scale):
    A, y = problem()
    gradients = []
    for unit in (1.0, scale):
        leaf = (y * unit).requires_grad_()
        tight = {"tol": 0.0, "niter": 2000} if name == "fista" else {"opt_tol": 1e-12, "bp_tol": 1e-10}
        x = solve(name, A, leaf, unit, on_fail="ignore", **tight).x
        gradients.append(torch.autograd.grad((x * torch.arange(1.0, 7, dtype=x.dtype)).sum(), leaf)[0])
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-10, 1e10])
def test_basis_pursuit_does_not_depend_on_the_units_of_the_operator(scale):
    A, y = problem()
    expected = solve("spgl1", A, y)
    found = solve("spgl1", A * scale, y)
    torch.testing.assert_close(found.x * scale, expected.x, rtol=1e-4, atol=1e-4)
    assert found.converged.all()


def test_the_half_and_hard_penalties_have_units_of_their_own():
    A, y = problem()
    for kind, power in (("hard", 2), ("half", 1.5)):
        expected = solve("ista", A, y, threshkind=kind, eps=1.0).x
        found = solve("ista", A, 1e-9 * y, threshkind=kind, eps=1e-9**power).x
        torch.testing.assert_close(1e9 * found, expected, rtol=1e-8, atol=1e-8)


def test_a_tolerance_that_is_given_is_absolute():
    A, y = problem()
    assert (solve("fista", A, y, tol=1e-2).iters < solve("fista", A, y).iters).all()
    assert (solve("fista", A, 1e-6 * y, 1e-6, tol=1e-2).iters == 1).all()
    assert (solve("omp", A, y, sigma=100.0).iters == 0).all()


def test_the_radius_of_basis_pursuit_is_never_too_large():
    source = torch.Generator().manual_seed(0)
    A, model = torch.randn(14, 24, dtype=torch.float64, generator=source), torch.zeros(3, 24, dtype=torch.float64)
    model[0, 3], model[0, 7], model[1, 5], model[1, 20], model[2, 2] = 1.0, -2.0, 1.5, 1.0, 4.0
    for opt_tol in (1e-4, 1e-8):  # a gap that is not small must not show in the radius
        result = sparsity.spgl1(torchlops.MatrixMult(A), model @ A.mT, iter_lim=3000, opt_tol=opt_tol, bp_tol=1e-9)
        assert (result.info["tau"] <= model.abs().sum(-1) * (1 + 1e-12)).all()
        torch.testing.assert_close(result.x, model, rtol=1e-6, atol=1e-6)


def test_a_residual_that_no_column_explains_is_told():
    A = torch.eye(4, 2, dtype=torch.float64)
    y = torch.tensor([[1.0, 2.0, 0.0, 3.0], [1.0, 2.0, 0.0, 0.0]], dtype=torch.float64)
    with pytest.warns(SolverWarning, match="UNREACHABLE in 1 of 2"):
        result = sparsity.omp(torchlops.MatrixMult(A), y)
    torch.testing.assert_close(result.x, y[:, :2])
    assert result.status.tolist() == [Status.UNREACHABLE, Status.CONVERGED]


def test_split_bregman_takes_the_options_of_the_inner_lsqr_of_pylops():
    pylops = pytest.importorskip("pylops")
    A, y = problem()
    P = pylops.FirstDerivative(6, edge=True, kind="forward")
    for damp in (1e-10, 0.5):
        common = {"mu": 0.5, "epsRL1s": [0.4], "niter_outer": 4, "niter_inner": 2, "damp": damp, "iter_lim": 50}
        common |= {"atol": 1e-15, "btol": 1e-15}
        expected = [
            pylops.optimization.sparsity.splitbregman(pylops.MatrixMult(A.numpy()), row.numpy(), [P], **common)[0]
            for row in y
        ]
        found = sparsity.splitbregman(torchlops.MatrixMult(A), y, [D], **common).x
        torch.testing.assert_close(found, torch.as_tensor(np.stack(expected)), rtol=1e-8, atol=1e-8)
    small = {"mu": 0.5e-9, "epsRL1s": [0.4e-9], "damp": 0.5, "niter": 50, "atol": 1e-15}
    x = sparsity.splitbregman(torchlops.MatrixMult(A), 1e-9 * y, [D], niter_outer=4, niter_inner=2, **small).x
    torch.testing.assert_close(1e9 * x, found, rtol=1e-7, atol=1e-7)


def test_a_derivative_that_damping_changes_is_refused():
    A, y = problem()
    leaf = y.clone().requires_grad_()
    with pytest.raises(ValueError, match="no implicit derivative with restart=True and damp"):
        solve("splitbregman", A, leaf, damp=0.1, restart=True)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_unknown_option_is_refused_by_the_name_of_the_solver(name):
    A, y = problem()
    with pytest.raises((TypeError, ValueError), match=r"(?i)" + name + r".*nitre"):
        solve(name, A, y, nitre=3)


@pytest.mark.parametrize("name", OPTIONS)
def test_arrays_that_a_callback_keeps_stay_as_they_were(name):
    A, y = problem()
    for data in (y, y[1], y[1].numpy()):
        kept: list[Any] = []
        copies: list[Any] = []

        def callback(x: Any, kept: list[Any] = kept, copies: list[Any] = copies) -> None:
            kept.append(x)
            copies.append(torch.as_tensor(x).clone())

        solve(name, A, data, callback=callback)
        assert len(kept) > 1
        for a, b in zip(kept, copies, strict=True):
            assert torch.equal(torch.as_tensor(a), b)


@pytest.mark.parametrize("name", ["fista", "omp", "spgl1", "splitbregman"])
def test_a_recorded_solve_leaves_no_reference_cycle(name):
    size = 20_000
    weights = torch.nn.Parameter(torch.rand(size, dtype=torch.float64) + 1)
    y = torch.randn(size, dtype=torch.float64)
    R = torchlops.FirstDerivative(size, dtype="float64")
    options: dict[str, dict[str, Any]] = {
        "fista": {"niter": 3, "alpha": 0.2}, "omp": {"niter_outer": 3}, "spgl1": {"sigma": 1.0, "iter_lim": 3},
        "splitbregman": {"RegsL1": [R], "niter_outer": 2, "niter_inner": 1, "niter": 2},
    }  # fmt: skip

    def once() -> None:
        how = torchlops.optimization.Implicit(niter=3)
        x = getattr(sparsity, name)(torchlops.Diagonal(weights), y, on_fail="ignore", grad=how, **options[name]).x
        x.square().sum().backward()
        weights.grad = None

    def vectors() -> float:
        found = {}
        for item in gc.get_objects():
            if type(item) in (Tensor, torch.nn.Parameter):
                storage = item.untyped_storage()
                found[storage.data_ptr()] = storage.nbytes()
        return sum(found.values()) / (8 * size)

    once()
    gc.collect()
    gc.disable()
    try:
        before = vectors()
        for _ in range(3):
            once()
        assert vectors() - before < 1
    finally:
        gc.enable()


def test_a_solution_without_derivatives_has_none_of_its_synthesis_operator_either():
    A, y = problem()
    S = torchlops.MatrixMult(torch.nn.Parameter(torch.eye(6, dtype=y.dtype)))
    for name in ("fista", "spgl1"):
        assert not solve(name, A, y, SOp=S, grad=None).x.requires_grad
        assert solve(name, A, y, SOp=S, on_fail="ignore").x.requires_grad
    solver = cls_sparsity.FISTA(torchlops.MatrixMult(A), on_fail="ignore")
    x = z = solver.setup(y, niter=5, eps=3.0, SOp=S)
    for _ in range(5):
        x, z, _ = solver.step(x, z)
    solver.finalize()
    torch.testing.assert_close(solver.x, solver.solve(y, niter=5, eps=3.0, SOp=S, tol=0.0).x.detach())
    assert torch.equal(solver.x, S(solver.coefficients))


def test_stopped_samples_are_dropped_only_where_all_operators_treat_samples_alike():
    A, y = problem()
    y = y[:1] * torch.logspace(-3, 1, 16, dtype=y.dtype)[:, None]
    each = torch.linspace(0.5, 1.5, 16, dtype=y.dtype)[:, None]
    P = EachItsOwn(6, dtype="float64")
    P.each = each
    common = {"mu": 0.5, "epsRL1s": [0.3], "niter_outer": 300, "niter_inner": 1, "tol": 1e-6, "grad": None}
    found = sparsity.splitbregman(torchlops.MatrixMult(A), y, [P], **common)
    kept = sparsity.splitbregman(torchlops.MatrixMult(A), y, [P], compact=False, **common)
    torch.testing.assert_close(found.x, kept.x)
    assert found.iters.tolist() == kept.iters.tolist()
    assert len(set(found.iters.tolist())) > 2


@pytest.mark.parametrize("size", [1e-12, 1e-10, 1e10, 1e12])
def test_the_step_of_an_operator_of_any_size(size):
    """One over the largest eigenvalue of ``A^H A``, whose squares leave the range of float32."""
    A = torch.eye(3) + 0.1
    y = torch.ones(3)
    x = torchlops.fista(torchlops.MatrixMult(size * A), y, niter=200, eps=1e-4 * size).x
    torch.testing.assert_close(size * x, torchlops.fista(torchlops.MatrixMult(A), y, niter=200, eps=1e-4).x)
