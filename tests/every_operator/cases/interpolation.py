"""Cases of the interpolations, of shifts and of regressions."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from tests.every_operator.case import Case, random

REPEATED = "In PyLops positions must not repeat"
F64 = torch.float64


def _interp(dims, iava, **options):
    def build(lops, positions=None):
        given = np.array(iava) if positions is None else positions
        return lops.signalprocessing.Interp(dims, given, **options)[0]

    return build


def _clipped(dims, iava, **options):
    def build(lops):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both libraries warn that positions are moved
            return lops.signalprocessing.Interp(dims, np.array(iava), **options)[0]

    return build


def _spline(dims, iava, **options):
    def build(lops, positions=None):
        given = np.array(iava) if positions is None else positions
        return lops.signalprocessing.InterpCubicSpline(dims, given, **options)

    return build


def _bilinear(iava, dims, **options):
    def build(lops, positions=None):
        return lops.signalprocessing.Bilinear(np.array(iava) if positions is None else positions, dims, **options)

    return build


def _truncated_shift(lops):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both libraries warn of what this case is about
        return lops.signalprocessing.Shift((2, 5), 0.7, nfft=4, real=True, dtype="float64")


def tensor(values):
    return torch.tensor(values, dtype=F64)


PLACES = [0.3, 2.0, 1.25, 3.9]
PAIRS = [[0.3, 1.0, 1.7, 0.25], [0.6, 0.0, 1.5, 1.9]]

CASES = [
    Case("Restriction nearest", _interp(6, [0.4, 2.6, 4.5], kind="nearest")),
    Case("LinearInterpolation", _interp(5, PLACES)),
    Case("LinearInterpolation repeated", _interp(5, [0.5, 0.5, 3.0], repeated=True), oracle=REPEATED),
    Case("LinearInterpolation moved to the last sample", _clipped((2, 4), [0.5, 1.0, 7.0])),
    Case("LinearInterpolation axis 0", _interp((5, 2), PLACES, axis=0)),
    Case("LinearInterpolation middle axis", _interp((2, 3, 2), [1.5, 0.25], axis=1)),
    Case("LinearInterpolation one sample", _clipped((2, 1), [0.0])),
    Case("LinearInterpolation two samples", _interp((2, 2), [0.75, 0.0, 0.5])),
    Case("LinearInterpolation positions that learn", _interp(5, PLACES), [tensor([0.3, 2.1, 1.25, 3.9])]),
    Case("LinearInterpolation positions that learn axis 0", _interp((4, 2), PLACES, axis=0), [tensor([2.3, 0.6, 0.4])]),
    Case("SincInterpolation", _interp(5, PLACES, kind="sinc")),
    Case("SincInterpolation axis 0", _interp((4, 2), PLACES, axis=0, kind="sinc")),
    Case("SincInterpolation middle axis outside", _interp((2, 3, 2), [-0.5, 2.5], axis=1, kind="sinc")),
    Case("SincInterpolation tol", _interp(6, PLACES, kind="sinc", tol=0.15)),
    Case(
        "SincInterpolation tol axis 0 repeated",
        _interp((4, 2), [0.5, 0.5, 2.9], axis=0, kind="sinc", tol=0.2, repeated=True),
        oracle=REPEATED,
    ),
    Case("SincInterpolation positions that learn", _interp(5, PLACES, kind="sinc"), [tensor([0.3, 2.0, 1.25])]),
    Case(
        "SincInterpolation tol positions that learn axis 0",
        _interp((4, 2), PLACES, axis=0, kind="sinc", tol=0.1),
        [tensor([0.3, 2.2])],
    ),
    Case("InterpCubicSpline", _spline(6, PLACES)),
    Case("InterpCubicSpline two samples", _spline((2, 2), [0.75, 0.0])),
    Case("InterpCubicSpline three samples axis 0", _spline((3, 2), [0.5, 1.9, 1.0], axis=0)),
    Case("InterpCubicSpline middle axis", _spline((2, 5, 2), [3.5, 1.25], axis=1)),
    Case("InterpCubicSpline long", _spline(50, [0.1, 17.5, 24.0, 48.9])),
    Case("InterpCubicSpline repeated", _spline(5, [1.5, 1.5, 0.2], repeated=True), oracle=REPEATED),
    Case("InterpCubicSpline positions that learn", _spline(5, PLACES), [tensor([0.3, 2.1, 1.25])]),
    Case("InterpCubicSpline positions that learn axis 0", _spline((4, 2), PLACES, axis=0), [tensor([2.3, 0.4])]),
    Case("Bilinear", _bilinear(PAIRS, (3, 3))),
    Case("Bilinear 3-D", _bilinear(PAIRS, (3, 4, 2))),
    Case("Bilinear repeated", _bilinear([[0.5, 0.5], [1.0, 1.0]], (2, 3), repeated=True), oracle=REPEATED),
    Case(
        "Bilinear on the last samples",
        _bilinear([[1.0, 0.0], [2.0, 1.5]], (2, 3, 1)),
        oracle="PyLops raises at the last sample",
    ),
    Case("Bilinear positions that learn", _bilinear(PAIRS, (3, 3)), [tensor([[0.3, 1.1, 1.7], [0.6, 0.1, 1.9]])]),
    Case("Bilinear 3-D positions that learn", _bilinear(PAIRS, (3, 2, 2)), [tensor([[0.3, 1.7], [0.6, 0.4]])]),
    Case("Shift", lambda lops: lops.signalprocessing.Shift(5, 1.3)),
    Case("Shift even", lambda lops: lops.signalprocessing.Shift((2, 4), -0.3, sampling=0.5)),
    Case("Shift padded axis 0", lambda lops: lops.signalprocessing.Shift((3, 2), 0.4, axis=0, nfft=8)),
    Case("Shift real even", lambda lops: lops.signalprocessing.Shift((2, 4), 0.75, real=True, dtype="float64")),
    Case(
        "Shift real odd padded", lambda lops: lops.signalprocessing.Shift(5, 0.75, nfft=7, real=True, dtype="float64")
    ),
    Case("Shift real label", lambda lops: lops.signalprocessing.Shift((4, 2), 1.5, axis=0, dtype="float64")),
    Case("Shift truncated", _truncated_shift),
    Case(
        "Shift for each trace",
        lambda lops: lops.signalprocessing.Shift((3, 4), np.array([0.0, 0.5, -1.25]), real=True, dtype="float64"),
    ),
    Case(
        "Shift for each trace of the middle axis",
        lambda lops: lops.signalprocessing.Shift((2, 3, 2), np.array([[0.5, 1.5], [-0.25, 2.0]]), axis=1),
    ),
    Case("Shift that learns", lambda lops, s: lops.signalprocessing.Shift((2, 4), s), [tensor([0.7])]),
    Case(
        "Shift real that learns",
        lambda lops, s: lops.signalprocessing.Shift((2, 4), s, real=True, dtype="float64"),
        [tensor(0.7)],
    ),
    Case(
        "Shift for each trace that learns",
        lambda lops, s: lops.signalprocessing.Shift(
            (3, 2), s, axis=0, nfft=5, real=True, sampling=0.5, dtype="float64"
        ),
        [tensor([0.7, -0.3])],
    ),
    Case("Regression", lambda lops: lops.Regression(np.linspace(-1, 2, 5), order=3)),
    Case("Regression constant", lambda lops: lops.Regression(np.array([2.0, 3.0]), order=0)),
    Case(
        "Regression of whole numbers",
        lambda lops: lops.Regression(np.arange(4), order=2),
        oracle="PyLops raises on whole numbers (defect 29)",
    ),
    Case("Regression points that learn", lambda lops, t: lops.Regression(t, order=3), [random(4)]),
    Case(
        "Regression complex points that learn",
        lambda lops, t: lops.Regression(t, order=2, dtype="complex128"),
        [random(3, dtype=torch.complex128)],
        oracle="PyLops's adjoint lacks the conjugate",
    ),
    Case("LinearRegression", lambda lops: lops.LinearRegression(np.linspace(0, 1, 4))),
    Case("LinearRegression points that learn", lambda lops, t: lops.LinearRegression(t), [random(3)]),
    Case("LinearRegression one point", lambda lops: lops.LinearRegression(np.array([0.5]))),
]
