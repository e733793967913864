"""Cases of the operators on overlapping windows, and of those that wrap or move."""

from __future__ import annotations

import torch

from tests.every_operator.case import Case, random

C128 = torch.complex128
IGNORED = "it ignores the scalings"
ONE_STORE = "its forward and adjoint share one store (defect 1)"
ONE_WINDOW = "it has a wrong taper where there is one window along an axis"


def _sliding1d(dim, dimd, nwin, nover, tapertype="hanning", dtype="float64"):
    def build(lops, matrix):
        op = lops.MatrixMult(matrix, dtype=dtype)
        return lops.signalprocessing.Sliding1D(op, dim, dimd, nwin, nover, tapertype=tapertype)

    return build


def _sliding2d(dims, dimsd, nwin, nover, tapertype="hanning"):
    def build(lops, matrix):
        op = lops.MatrixMult(matrix)
        return lops.signalprocessing.Sliding2D(op, dims, dimsd, nwin, nover, tapertype=tapertype)

    return build


def _sliding3d(dims, dimsd, nwin, nover, nop, tapertype="hanning", dtype="float64"):
    def build(lops, matrix):
        op = lops.MatrixMult(matrix, dtype=dtype)
        return lops.signalprocessing.Sliding3D(op, dims, dimsd, nwin, nover, nop, tapertype=tapertype)

    return build


def _patch(name, dims, dimsd, nwin, nover, nop, tapertype="hanning"):
    def build(lops, matrix, scalings=None):
        op = lops.MatrixMult(matrix, dtype="complex128" if "complex" in str(matrix.dtype) else "float64")
        patch = getattr(lops.signalprocessing, name)
        return patch(op, dims, dimsd, nwin, nover, nop, tapertype=tapertype, scalings=scalings)

    return build


def _all_windows(name, *sizes, **options):
    def build(lops, first, second):
        op = lops.BlockDiag([lops.MatrixMult(first), lops.MatrixMult(second)])
        return getattr(lops.signalprocessing, name)(op, *sizes, **options)

    return build


def _learning_taper(lops, taps):
    return lops.signalprocessing.Sliding1D(lops.Identity(4), 8, 6, 4, 2, tapertype=taps)


CASES = [
    Case("Sliding1D", _sliding1d(9, 8, 4, 2), [random(4, 3)]),
    Case("Sliding1D windows end before the data", _sliding1d(6, 8, 3, 1, "cosine"), [random(3, 2)]),
    Case("Sliding1D complex", _sliding1d(4, 6, 3, 0, dtype="complex128"), [random(3, 2, dtype=C128)]),
    Case("Sliding1D overlaps of more than half", _sliding1d(6, 7, 5, 4, None), [random(5, 2)]),
    Case("Sliding1D one window", _sliding1d(2, 5, 5, 2), [random(5, 2)], ONE_WINDOW),
    Case("Sliding1D all windows at once", _all_windows("Sliding1D", 4, 6, 4, 2), [random(4, 2), random(4, 2, seed=1)]),
    Case("Sliding1D tapers that learn", _learning_taper, [random(2, 4)], "it takes no tapers of the user's"),
    Case("Sliding1D R-linear", lambda lops: lops.signalprocessing.Sliding1D(lops.Conj(3), 6, 5, 3, 1)),
    Case("Sliding2D", _sliding2d((3, 2), (4, 2), 2, 1), [random(4, 2)]),
    Case("Sliding2D windows end before the data", _sliding2d((4, 1), (7, 2), 4, 2, "cosinesquare"), [random(8, 2)]),
    Case("Sliding2D without tapers", _sliding2d((2, 3), (4, 1), 2, 0, None), [random(2, 3)]),
    Case(
        "Sliding2D all windows at once",
        _all_windows("Sliding2D", (2, 2), (3, 2), 2, 1, tapertype="cosinesqrt"),
        [random(4, 2), random(4, 2, seed=1)],
    ),
    Case("Sliding3D", _sliding3d((2, 2, 2), (3, 3, 2), (2, 2), (1, 1), (1, 1, 2)), [random(8, 2)]),
    Case(
        "Sliding3D long tapers", _sliding3d((4, 1, 1), (6, 2, 1), (4, 2), (2, 0), (2, 1, 1), "cosine"), [random(8, 2)]
    ),
    Case(
        "Sliding3D complex without tapers",
        _sliding3d((2, 2, 1), (3, 2, 2), (2, 1), (1, 0), (1, 1, 1), None, "complex128"),
        [random(4, 1, dtype=C128)],
    ),
    Case("Patch2D", _patch("Patch2D", (2, 4), (3, 4), (2, 2), (1, 0), (1, 2)), [random(4, 2)]),
    Case("Patch2D long tapers", _patch("Patch2D", (2, 4), (6, 5), (4, 3), (2, 1), (1, 2), "cosine"), [random(12, 2)]),
    Case(
        "Patch2D complex with scalings",
        _patch("Patch2D", (2, 2), (3, 2), (2, 1), (1, 0), (1, 1), None),
        [random(2, 1, dtype=C128), random(2, 2, dtype=C128)],
        IGNORED,
    ),
    Case(
        "Patch2D all patches at once",
        _all_windows("Patch2D", (2, 2), (3, 2), (2, 2), (1, 0), (1, 2)),
        [random(4, 2), random(4, 2, seed=1)],
        "its Op gets the model of all patches in a shape that no operator on it has",
    ),
    Case(
        "Patch2D tapers that learn",
        lambda lops, taps: lops.signalprocessing.Patch2D(
            lops.Identity((2, 2)), (4, 2), (3, 2), (2, 2), (1, 0), (2, 2), taps
        ),
        [random(2, 1, 2, 2)],
        "it takes no tapers of the user's",
    ),
    Case("Patch3D", _patch("Patch3D", (2, 1, 4), (3, 2, 2), (2, 2, 1), (1, 0, 0), (1, 1, 2)), [random(4, 2)]),
    Case(
        "Patch3D long tapers with scalings",
        _patch("Patch3D", (4, 1, 2), (6, 1, 2), (4, 1, 1), (2, 0, 0), (2, 1, 1)),
        [random(4, 2), random(4)],
        IGNORED,
    ),
    Case(
        "Patch3D complex without tapers",
        _patch("Patch3D", (1, 2, 2), (2, 3, 2), (2, 2, 1), (0, 1, 0), (1, 1, 1), None),
        [random(4, 1, dtype=C128)],
    ),
    Case("MemoizeOperator", lambda lops, A: lops.MemoizeOperator(lops.MatrixMult(A)), [random(3, 2)], ONE_STORE),
    Case("MemoizeOperator of little", lambda lops: lops.MemoizeOperator(lops.Flip((2, 3)), max_neval=1)),
    Case("MemoizeOperator R-linear", lambda lops: lops.MemoizeOperator(lops.Real(3))),
    Case("ToDevice", lambda lops: lops.ToDevice((2, 3), "cpu"), twin=lambda lops: lops.Identity((2, 3))),
    Case("ToDevice one sample", lambda lops: lops.ToDevice(1, "cpu"), twin=lambda lops: lops.Identity(1)),
    Case("ToDevice of cubes", lambda lops: lops.ToDevice((1, 2, 2), "cpu"), twin=lambda lops: lops.Identity((1, 2, 2))),
    Case("ToCupy", lambda lops: lops.ToCupy((2, 3))),
]
