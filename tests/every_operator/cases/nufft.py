"""Cases of the non-uniform Fourier transform."""

from __future__ import annotations

import numpy as np

from tests.every_operator.case import Case, random

NO_TWIN = "PyLops has no non-uniform FFT"
POINTS = 3 * random(3, 2).numpy()


def _nufft(dims, points=None, **options):
    """Return a function that builds the operator, given the points or not."""

    def build(lops, *tensors):
        return lops.signalprocessing.NUFFT(dims, *(tensors or [points]), **options)

    return build


def _gram(dims, points=None, weights=None, **options):
    """Return a function that builds the normal operator, given points, or points and weights, or neither."""

    def build(lops, *tensors):
        given = [*tensors, *[points, weights][len(tensors) :]]
        return lops.signalprocessing.NUFFTGram(dims, *given, **options)

    return build


CASES = [
    Case("NUFFT", _nufft((2, 3), POINTS, tol=1e-4), oracle=NO_TWIN),
    Case("NUFFT one axis", _nufft(5, np.array([[-np.pi], [0.0], [7.5], [1.0]]), tol=1e-12), oracle=NO_TWIN),
    Case("NUFFT ortho real", _nufft((3, 2), POINTS, norm="ortho", dtype="float64"), oracle=NO_TWIN),
    Case("NUFFT three axes", _nufft((2, 1, 3), random(2, 3).numpy(), tol=1e-2), oracle=NO_TWIN),
    Case("NUFFT of each sample", _nufft((2, 2), 2 * random(2, 3, 2).numpy(), tol=1e-3), oracle=NO_TWIN),
    Case("NUFFT points that learn", _nufft(4, tol=1e-6), [2 * random(3, 1)], oracle=NO_TWIN),
    Case("NUFFT two axes that learn", _nufft((2, 3), tol=1e-8, norm="ortho"), [2 * random(2, 2)], oracle=NO_TWIN),
    Case("NUFFT real that learns", _nufft((3, 2), dtype="float64"), [2 * random(2, 2)], oracle=NO_TWIN),
    Case("NUFFT of each sample that learns", _nufft((2,), tol=1e-3), [2 * random(2, 2, 1)], oracle=NO_TWIN),
    Case("NUFFTGram", _gram((2, 3), POINTS, np.array([0.5, 1.0, 2.0])), oracle=NO_TWIN),
    Case("NUFFTGram real", _gram((3, 2), POINTS, norm="ortho", dtype="float64"), oracle=NO_TWIN),
    Case("NUFFTGram of each sample", _gram((3,), 2 * random(2, 3, 1).numpy(), tol=1e-3), oracle=NO_TWIN),
    Case("NUFFTGram three axes", _gram((1, 2, 2), random(2, 3).numpy(), tol=1e-2), oracle=NO_TWIN),
    Case("NUFFTGram points that learn", _gram((2, 2), tol=1e-8), [2 * random(2, 2)], oracle=NO_TWIN),
    Case(
        "NUFFTGram real points and weights that learn",
        _gram(4, dtype="float64", tol=1e-8),
        [2 * random(3, 1), random(3, seed=1)],
        oracle=NO_TWIN,
    ),
]
