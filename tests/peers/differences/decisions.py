"""Differences that no test or script of the peers shows."""

from __future__ import annotations

from tests.peers.differences.difference import Difference

DECISIONS: tuple[Difference, ...] = (
    Difference(
        "defect",
        "`cgls` with `damp` and `x0`: PyLops's first gradient has `damp` where `damp**2` belongs, so that its "
        "answer is off after any number of iterations. Ours minimises `||y - A x||**2 + damp**2 ||x||**2` (`lsqr` "
        "and `lsmr`, here as in PyLops and SciPy, damp `||x - x0||`).",
    ),
    Difference(
        "defect",
        "`r1norm` of `cgls` is `||A^H r||**2` in PyLops; ours is `||y - A x||`. That norm of the gradient is "
        "`arnorm` of our result.",
    ),
    Difference(
        "defect",
        "`lsqr` with `damp`: `r1norm` and `cost` are those of the iterate here; PyLops's lag one iteration behind "
        "in the part of the damping. With `x0`, `xnorm` is that of `x` here, and of `x - x0` in PyLops. `var` of "
        "complex operators is real here; PyLops sums squares that it does not conjugate.",
    ),
    Difference(
        "decision",
        "`istop` of `lsqr` is 7 where `niter` iterations were not enough, as in SciPy; PyLops gives 0. The reasons "
        "4 to 6 (machine precision) are 1 to 3 here. `atol` is relative to the norm of the operator, as in SciPy; "
        "in PyLops, to the first gradient.",
    ),
    Difference(
        "defect",
        "`threshkind='half'` has the weight `eps` here and half of it in PyLops; with an `SOp` that is not "
        "orthonormal, PyLops solves another problem, ours that of the coefficients.",
    ),
    Difference(
        "decision",
        "`ista` and `fista` take several data in columns, `(M, K)`, from NumPy users, where that cannot be a batch "
        "`(K, M)`; with `K = M` it is a batch of rows: write `ista(A, Y.T).x.T`. Each column has a threshold of its"
        " own (of percentiles), a cost and an end, which PyLops shares between them.",
    ),
    Difference(
        "decision",
        "`monitorres=True` raises in a single problem, as in PyLops. In a batch in which some samples still "
        "descend, the others stop with the status `BREAKDOWN` and a warning.",
    ),
    Difference(
        "decision",
        "Default tolerances of the sparse solvers (`tol`, `tolIRLS`, `epsR`, `sigma`) are relative to the size of "
        "the problem; PyLops's are absolute, of the same numbers. An own number is absolute in both.",
    ),
    Difference(
        "decision",
        "`irls` with `warm=True` and a large `epsI` damps `x` here; PyLops damps its change from the last "
        "iteration, so that the damping fades out.",
    ),
    Difference(
        "decision",
        "`OMP.step`, `run` and `finalize` go from model to model here; PyLops's take and give lists of coefficients"
        " and of columns. `OMP.solve` and `omp` are the same.",
    ),
    Difference(
        "decision",
        "Manual `FISTA.step(x, z)` goes on from the `z` that the last step returned, and raises for another one.",
    ),
    Difference(
        "defect",
        "`lsqr` of float32 data answers in float32 here, in float64 in PyLops. Inversions of real operators made of"
        " complex ones (`F.H @ G @ F` with real FFTs) answer with real models; PyLops's are complex with a zero "
        "imaginary part.",
    ),
    Difference(
        "defect",
        "`A.cond()` is the ratio of the largest to the smallest singular value; in PyLops it is one of eigenvalues,"
        " which is another number unless the operator is Hermitian and positive. Its `uselobpcg` and options for "
        "SciPy are ignored.",
    ),
    Difference(
        "decision",
        "`A.eigs()` without `neigs` gives all eigenvalues; PyLops gives two less for operators without a matrix. "
        "Those of a symmetric operator are real.",
    ),
    Difference(
        "decision",
        "`A.trace()` is exact for every operator whose matrix is small enough to be formed; in PyLops it is an "
        "estimate (`method='hutch++'`) unless the operator holds its matrix.",
    ),
    Difference(
        "defect",
        "`trace_hutchpp` and `trace_nahutchpp` of complex or unsymmetric operators: PyLops leaves out conjugates, "
        "and takes `A S` for `A^H S`.",
    ),
    Difference(
        "decision",
        "Integer data are solved in float64, and answers are float64.",
    ),
)
