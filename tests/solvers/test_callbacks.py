"""What callbacks see of a solver while it runs: vectors of the kind that the user gave."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchlops
from torchlops.optimization.callback import Callbacks
from torchlops.optimization.cls_basic import CG, CGLS, LSQR
from torchlops.optimization.cls_sparsity import FISTA, IRLS, ISTA, OMP


class See(Callbacks):
    """Keeps what it sees."""

    def __init__(self):
        self.seen = []

    def on_setup_end(self, solver, x):
        self.seen.append((x, solver.x, solver.y))

    def on_step_end(self, solver, x):
        self.seen.append((x, solver.x, solver.y))


OPTIONS = {
    ISTA: {"eps": 0.1, "niter": 3},
    FISTA: {"eps": 0.1, "niter": 3},
    OMP: {"niter_outer": 2},
    IRLS: {"nouter": 2},
}


@pytest.mark.parametrize("kind", [CG, CGLS, LSQR, ISTA, FISTA, OMP, IRLS])
@pytest.mark.parametrize("as_arrays", [False, True])
@pytest.mark.parametrize("flat", [False, True])
def test_vectors_are_of_the_kind_that_was_given(kind, as_arrays, flat):
    A = torchlops.Diagonal(torch.arange(1.0, 7.0, dtype=torch.float64).reshape(2, 3))
    y = torch.ones(6 if flat else (2, 3), dtype=torch.float64)
    y = y.numpy() if as_arrays else y
    see = See()
    solver = kind(A, callbacks=[see])
    result = solver.solve(y, **OPTIONS.get(kind, {"niter": 3}))
    assert len(see.seen) > 1
    for x, of_solver, data in see.seen:
        assert isinstance(x, np.ndarray) == as_arrays
        assert of_solver is x
        assert data is y
        assert x.size == 6 if as_arrays else x.numel() == 6
    assert solver.x is result[0]


@pytest.mark.parametrize("kind", ["data", "model", "datamodel"])
@pytest.mark.parametrize("field", ["float64", "complex128"])
def test_the_weights_of_irls(kind, field):
    """They are those of PyLops, step by step."""
    pylops = pytest.importorskip("pylops")
    rng = np.random.default_rng(0)
    shape = (8, 3) if kind != "model" else (3, 8)
    matrix = rng.standard_normal((2, *shape))
    matrix = (matrix[0] + 1j * matrix[1] if field == "complex128" else matrix[0]).astype(field)
    y = matrix @ np.ones(shape[1])
    y[0] += 10
    found = []
    for package in (pylops, torchlops):

        class Keep(package.optimization.callback.Callbacks):
            def __init__(self):
                self.weights = []

            def on_step_end(self, solver, x):
                if solver.iiter > 1:
                    self.weights.append(solver.rw.copy())

        keep = Keep()
        solver = package.optimization.cls_sparsity.IRLS(package.MatrixMult(matrix, dtype=field), callbacks=[keep])
        how = {"atol": 1e-14, "btol": 1e-14, "iter_lim": 200} if package is pylops else {}
        solver.solve(y, nouter=4, epsR=1e-2, epsI=1e-3, tolIRLS=1e-14, kind=kind, **how)
        found.append(keep.weights)
    assert len(found[0]) == len(found[1]) == 3
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-4, atol=1e-6)
    assert isinstance(found[1][0], np.ndarray)


class Project(Callbacks):
    """Keeps the model nonnegative, in place, as a user of PyLops does."""

    def on_step_end(self, solver, x):
        x[...] = np.maximum(x, 0) if isinstance(x, np.ndarray) else x.clamp(min=0)


@pytest.mark.parametrize("as_tensors", [False, True])
@pytest.mark.parametrize("solver", [ISTA, FISTA, CGLS, IRLS])
def test_a_callback_may_change_the_model_in_place(solver, as_tensors):
    pylops = pytest.importorskip("pylops")
    matrix, y = np.arange(12.0).reshape(4, 3) + 5 * np.eye(4, 3), np.array([1.0, -1.0, 2.0, -3.0])
    options = {
        ISTA: {"niter": 5, "alpha": 1e-3, "tol": 0.0},
        FISTA: {"niter": 5, "alpha": 1e-3, "tol": 0.0},
        CGLS: {"niter": 3, "tol": 0.0},
        IRLS: {"nouter": 3, "atol": 1e-15, "btol": 1e-15},
    }[solver]
    module = pylops.optimization.cls_basic if solver is CGLS else pylops.optimization.cls_sparsity
    theirs = getattr(module, solver.__name__)(pylops.MatrixMult(matrix), callbacks=[Project()]).solve(y, **options)[0]
    ours = solver(torchlops.MatrixMult(matrix), callbacks=[Project()])
    x = ours.solve(torch.from_numpy(y) if as_tensors else y, **options)[0]
    assert isinstance(x, torch.Tensor) == as_tensors
    np.testing.assert_allclose(np.asarray(x), theirs, atol=1e-8)
    assert (np.asarray(x) >= 0).all()


@pytest.mark.parametrize("solver", [CG, CGLS, LSQR])
def test_steps_by_hand_look_at_no_tolerance(solver):
    """PyLops's do not, and neither is a model ignored that was changed in place."""
    pylops = pytest.importorskip("pylops")
    y, costs = np.random.default_rng(0).standard_normal((2, 12)), []
    for package in (pylops, torchlops):
        A = package.CausalIntegration(12)
        A = A.H @ A + package.Identity(12) if solver is CG else A
        stepper = getattr(package.optimization.cls_basic, solver.__name__)(A)
        tolerances = {"atol": 1e-1, "btol": 1e-1} if solver is LSQR else {"tol": 1e-1}
        x = stepper.setup(y=y[0], x0=np.zeros(12), niter=8, **tolerances)
        for _ in range(8):
            x = stepper.step(x)
        costs.append([*stepper.cost, np.linalg.norm(x)])
        if solver is CG:
            x[:] = 5.0
            costs[-1].extend(stepper.step(x))
    np.testing.assert_allclose(costs[1], costs[0], rtol=1e-6, atol=1e-6)


def test_steps_by_hand_of_a_batch():
    A = torchlops.Diagonal(np.arange(1.0, 7.0))
    solver = CGLS(A)
    x = solver.setup(np.array([np.ones(6), 1e-9 * np.ones(6)]), niter=6)
    for _ in range(6):
        x = solver.step(x)
    solver.finalize()
    np.testing.assert_allclose(x * np.arange(1.0, 7.0), [np.ones(6), 1e-9 * np.ones(6)], rtol=1e-9)
    assert solver.iiter == 6
