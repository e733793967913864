"""Cases of Kirchhoff demigration."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from tests.every_operator.case import Case, random

X, Z, T = np.arange(3) * 10.0, np.arange(4) * 8.0, np.arange(7) * 0.01
SRCS = np.array([[1.3, 16.1], [0.7, 2.1]])
RECS = np.array([[3.1, 11.9], [1.1, 0.3]])
SPREADS = np.array([[[3.1, 11.9], [np.nan, 7.3]], [[1.1, 0.3], [np.nan, 1.9]]])  # of each shot
WAV = np.array([0.4, 1.0, -0.3])


def _tables(*counts, seed=1, low=0.002, high=0.03):
    numbers = np.random.default_rng(seed)
    return [torch.from_numpy(numbers.uniform(low, high, (12, count))) for count in counts]


def _kirchhoff(t=T, srcs=SRCS, recs=RECS, vel=1000.0, wav=WAV, **options):
    def build(lops):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of PyLops
            return lops.waveeqprocessing.Kirchhoff(Z, X, t, srcs, recs, vel, wav, 1, **options)

    return build


def _learning(mode="analytic", **options):
    def build(lops, srcs, recs, vel, wav):
        return lops.waveeqprocessing.Kirchhoff(Z, X, T, srcs, recs, vel, wav, 1, mode=mode, **options)

    return build


def _given(lops, trav_srcs, trav_recs, amp_srcs, amp_recs, vel):
    return lops.waveeqprocessing.Kirchhoff(
        Z,
        X,
        T,
        SRCS,
        RECS,
        vel,
        WAV,
        1,
        mode="byot",
        dynamic=True,
        trav=(trav_srcs, trav_recs),
        amp=(amp_srcs, amp_recs),
        angleaperture=None,
    )


BUILT = {"compiled_building": "the axes are read, for their steps, while it is built, which a compiled graph cannot do"}

CASES = [
    Case("Kirchhoff analytic", _kirchhoff(mode="analytic")),
    Case("Kirchhoff analytic filtered wavelet", _kirchhoff(mode="analytic", wavfilter=True)),
    Case("Kirchhoff dynamic", _kirchhoff(mode="analytic", dynamic=True, angleaperture=(50.0, 85.0))),
    Case(
        "Kirchhoff aperture",
        _kirchhoff(mode="analytic", dynamic=True, aperture=(0.5, 1.5), angleaperture=None),
        oracle="the taper of an aperture has no effect in PyLops, and it tapers for angleaperture=None",
    ),
    Case(
        "Kirchhoff eikonal",
        _kirchhoff(mode="eikonal", vel=np.linspace(900.0, 1200.0, 12).reshape(3, 4)),
        oracle="PyLops has its sources in the nearest cell of the grid, and biased times",
    ),
    Case(
        "Kirchhoff later time axis",
        _kirchhoff(t=T + 0.013, mode="analytic"),
        oracle="PyLops takes the time axis to begin at zero",
    ),
    Case(
        "Kirchhoff receivers of each shot",
        _kirchhoff(recs=SPREADS, mode="analytic"),
        oracle="PyLops has the same receivers for all shots",
    ),
    Case(
        "Kirchhoff 3-D",
        lambda lops: lops.waveeqprocessing.Kirchhoff(
            Z[:3],
            X,
            T,
            np.vstack(([2.3, 7.7], SRCS)),
            np.vstack(([5.1, 0.9], RECS)),
            1000.0,
            WAV,
            1,
            y=np.arange(2) * 9.0,
            mode="analytic",
            dynamic=True,
            aperture=2.0,
            angleaperture=80.0,
        ),
        oracle="PyLops's model has two axes, no aperture, and the angle between rays is wrong in 3-D",
    ),
    Case(
        "Kirchhoff given times that learn",
        _given,
        [*_tables(2, 2), *_tables(2, 2, seed=2), random(12).abs() + 1],
        opt_out=BUILT,
        oracle="PyLops takes angles in samples of the grid",
    ),
    Case(
        "Kirchhoff one table of times that learns",
        lambda lops, trav, wav: _kirchhoff(wav=wav, mode="byot", trav=trav)(lops),
        [_tables(4, low=0.004, high=0.06)[0], torch.from_numpy(WAV)],
        opt_out=BUILT,
    ),
    Case(
        "Kirchhoff positions, velocity and wavelet that learn",
        _learning(dynamic=True, wavfilter=True, angleaperture=None),
        [
            torch.from_numpy(SRCS),
            torch.from_numpy(RECS),
            torch.tensor(1000.0, dtype=torch.float64),
            torch.from_numpy(WAV),
        ],
        oracle="PyLops tapers for angleaperture=None",
        opt_out=BUILT,
    ),
]
