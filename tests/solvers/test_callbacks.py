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
