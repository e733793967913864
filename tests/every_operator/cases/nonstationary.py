"""Cases of the operators whose filters or kernels change from sample to sample."""

from __future__ import annotations

import torch

from tests.every_operator.case import Case, random

C128 = torch.complex128
NO_CONJUGATE = "its adjoint lacks the conjugate of complex filters (defect 7)"
REAL_ONLY = "it takes real signals only"
SQUEEZE = "it squeezes away the axis of one sample (defect 26)"


def _convolve1d(dims, ih, axis=-1, dtype="float64"):
    return lambda lops, hs: lops.signalprocessing.NonStationaryConvolve1D(dims, hs, ih, axis=axis, dtype=dtype)


def _convolve2d(dims, ihx, ihz, dtype="float64"):
    return lambda lops, hs: lops.signalprocessing.NonStationaryConvolve2D(dims, hs, ihx, ihz, dtype=dtype)


def _convolve3d(dims, ihx, ihy, ihz, dtype="float64"):
    return lambda lops, hs: lops.signalprocessing.NonStationaryConvolve3D(dims, hs, ihx, ihy, ihz, dtype=dtype)


def _filters1d(hsize, ih, dtype="float64"):
    return lambda lops, inp: lops.signalprocessing.NonStationaryFilters1D(inp, hsize, ih, dtype=dtype)


def _filters2d(hshape, ihx, ihz, dtype="float64"):
    return lambda lops, inp: lops.signalprocessing.NonStationaryFilters2D(inp, hshape, ihx, ihz, dtype=dtype)


def _fredholm(nz=1, dtype="float64"):
    return lambda lops, G: lops.signalprocessing.Fredholm1(G, nz=nz, dtype=dtype)


CASES = [
    Case("NonStationaryConvolve1D", _convolve1d(9, (1, 4, 7)), [random(3, 3)]),
    Case("NonStationaryConvolve1D axis 0", _convolve1d((6, 2), (0, 2, 4), axis=0), [random(3, 5)]),
    Case("NonStationaryConvolve1D middle axis", _convolve1d((2, 5, 2), (1, 4), axis=1), [random(2, 3)]),
    Case(
        "NonStationaryConvolve1D complex",
        _convolve1d(6, (2, 5), dtype="complex128"),
        [random(2, 3, dtype=C128)],
        NO_CONJUGATE,
    ),
    Case("NonStationaryConvolve1D filters longer than the signal", _convolve1d(3, (0, 1)), [random(2, 9)]),
    Case("NonStationaryConvolve1D one filter", _convolve1d(4, (1,)), [random(1, 3)], "it takes two filters at least"),
    Case(
        "NonStationaryConvolve1D one sample", _convolve1d((2, 1), (0,)), [random(1, 1)], "it takes two filters at least"
    ),
    Case("NonStationaryConvolve1D many filters", _convolve1d(40, tuple(range(1, 39))), [random(38, 1)]),
    Case("NonStationaryConvolve2D", _convolve2d((4, 3), (1, 3), (0, 2)), [random(2, 2, 3, 3)]),
    Case("NonStationaryConvolve2D of other lengths", _convolve2d((6, 3), (1, 3, 5), (0, 2)), [random(3, 2, 1, 3)]),
    Case(
        "NonStationaryConvolve2D complex",
        _convolve2d((3, 4), (0, 2), (1, 3), dtype="complex128"),
        [random(2, 2, 3, 1, dtype=C128)],
        NO_CONJUGATE,
    ),
    Case(
        "NonStationaryConvolve2D filters longer than the grid",
        _convolve2d((2, 2), (0, 1), (0, 1)),
        [random(2, 2, 5, 3)],
    ),
    Case("NonStationaryConvolve3D", _convolve3d((3, 2, 4), (0, 2), (0, 1), (1, 3)), [random(2, 2, 2, 3, 1, 3)]),
    Case(
        "NonStationaryConvolve3D of other lengths",
        _convolve3d((2, 4, 2), (0, 1), (0, 3), (0, 1)),
        [random(2, 2, 2, 1, 3, 1)],
    ),
    Case(
        "NonStationaryConvolve3D complex",
        _convolve3d((2, 2, 3), (0, 1), (0, 1), (0, 2), dtype="complex128"),
        [random(2, 2, 2, 1, 1, 3, dtype=C128)],
        NO_CONJUGATE,
    ),
    Case("NonStationaryFilters1D", _filters1d(3, (1, 4, 7)), [random(9)]),
    Case("NonStationaryFilters1D long filters", _filters1d(7, (0, 2)), [random(4)]),
    Case(
        "NonStationaryFilters1D complex", _filters1d(3, (2, 5), dtype="complex128"), [random(6, dtype=C128)], REAL_ONLY
    ),
    Case("NonStationaryFilters2D", _filters2d((3, 3), (1, 3), (0, 2)), [random(4, 3)]),
    Case("NonStationaryFilters2D of other lengths", _filters2d((1, 3), (1, 2, 3), (0, 1)), [random(4, 2)]),
    Case(
        "NonStationaryFilters2D complex",
        _filters2d((3, 1), (0, 2), (1, 2), "complex128"),
        [random(3, 3, dtype=C128)],
        REAL_ONLY,
    ),
    Case("Fredholm1", _fredholm(), [random(2, 3, 4)]),
    Case("Fredholm1 nz", _fredholm(nz=3), [random(2, 3, 2)]),
    Case("Fredholm1 complex", _fredholm(nz=2, dtype="complex128"), [random(3, 2, 3, dtype=C128)]),
    Case("Fredholm1 one column, nz", _fredholm(nz=3), [random(2, 3, 1)], SQUEEZE),
    Case("Fredholm1 one slice", _fredholm(), [random(1, 2, 3)], SQUEEZE),
]
