"""Cases of the Radon transforms and of spreading along curves."""

from __future__ import annotations

import numpy as np
import torch

from tests.every_operator.case import Case, random

NUMBERS = np.random.default_rng(0)
TABLE = NUMBERS.integers(0, 4, (2, 3, 3)).astype(float)
TABLE[0, 1, 2] = TABLE[1, 2, 0] = np.nan
WEIGHTS = NUMBERS.random((2, 3, 3))


def _fh(ix0, it0):
    return np.array([it0 + ix0 - 1, it0, np.nan]) % 5


def _fh_pair(ix0, it0):
    return np.array([it0, np.nan, min(it0 + ix0, 2)]), np.array([0.25 * ix0, np.nan, 0.5])


def _radon2d(nt, nh, **options):
    def build(lops, pxaxis=None):
        taxis, haxis = np.arange(nt) * 0.25, np.arange(nh) * 2.0 - 1.0
        given = np.linspace(-0.13, 0.19, 3) if pxaxis is None else pxaxis
        return lops.signalprocessing.Radon2D(taxis, haxis, given, **options)

    return build


def _radon3d(nt, nhy, nhx, **options):
    def build(lops, pyaxis=None, pxaxis=None):
        taxis, hyaxis, hxaxis = np.arange(nt) * 0.5, np.arange(nhy) * 1.5, np.arange(nhx) * 2.0 + 2.0
        py = np.linspace(-0.11, 0.17, 2) if pyaxis is None else pyaxis
        px = np.linspace(-0.13, 0.21, 2) if pxaxis is None else pxaxis
        return lops.signalprocessing.Radon3D(taxis, hyaxis, hxaxis, py, px, **options)

    return build


def _fourier2d(nt, nh, npx, **options):
    def build(lops, pxaxis=None):
        taxis, haxis = np.arange(nt) * 0.5, np.arange(nh) * 1.5 - 1.0
        px = np.linspace(-0.3, 0.5, npx) if pxaxis is None else pxaxis
        return lops.signalprocessing.FourierRadon2D(taxis, haxis, px, **options)

    return build


def _fourier3d(nt, **options):
    def build(lops, pyaxis=None, pxaxis=None):
        taxis, hyaxis, hxaxis = np.arange(nt) * 0.5, np.arange(2) * 1.5, np.arange(3) * 0.7 - 1.0
        py = np.array([-0.3, 0.4]) if pyaxis is None else pyaxis
        px = np.array([0.2, 0.6]) if pxaxis is None else pxaxis
        return lops.signalprocessing.FourierRadon3D(taxis, hyaxis, hxaxis, py, px, **options)

    return build


def _chirp2d(nt, nh):
    def build(lops, pmax=1.3):
        return lops.signalprocessing.ChirpRadon2D(np.arange(nt) * 0.5, np.arange(nh) * 2.0, pmax)

    return build


def _chirp3d(nt, nhy, nhx, slopes=None):
    def build(lops, pmax=slopes):
        return lops.signalprocessing.ChirpRadon3D(np.arange(nt) * 0.5, np.arange(nhy) * 2.0, np.arange(nhx) * 3.0, pmax)

    return build


def _bent(h, t, p):
    return t + p * h * (1 + t / 10)


P3 = torch.tensor([-0.13, 0.037, 0.19], dtype=torch.float64)
P2 = torch.tensor([-0.11, 0.17], dtype=torch.float64)
SPEEDS = np.array([0.31, 0.7, 1.9]) * 8

CASES = [
    Case("Spread table", lambda lops: lops.Spread((2, 3), (3, 5), table=TABLE)),
    Case(
        "Spread table and dtable",
        lambda lops: lops.Spread((2, 3), (3, 5), table=TABLE, dtable=WEIGHTS, interp=True),
    ),
    Case(
        "Spread dtable that learns",
        lambda lops, dtable: lops.Spread((2, 3), (3, 5), table=TABLE, dtable=dtable),
        [random(2, 3, 3).abs()],
    ),
    Case("Spread fh", lambda lops: lops.Spread((2, 3), (3, 5), fh=_fh)),
    Case("Spread fh with weights", lambda lops: lops.Spread((2, 3), (3, 4), fh=_fh_pair, interp=True)),
    Case("Radon2D linear", _radon2d(5, 4)),
    Case("Radon2D linear nearest", _radon2d(5, 3, interp=False)),
    Case("Radon2D linear not centred", _radon2d(4, 4, centeredh=False)),
    Case("Radon2D parabolic", _radon2d(5, 3, kind="parabolic")),
    Case("Radon2D parabolic nearest on the fly", _radon2d(4, 4, kind="parabolic", interp=False, onthefly=True)),
    Case("Radon2D two samples", _radon2d(2, 2)),
    Case(
        "Radon2D hyperbolic",
        lambda lops: lops.signalprocessing.Radon2D(np.arange(5) * 0.5, np.arange(4) * 4.0, SPEEDS, kind="hyperbolic"),
    ),
    Case(
        "Radon2D hyperbolic nearest on the fly",
        lambda lops: lops.signalprocessing.Radon2D(
            np.arange(5) * 0.5, np.arange(3) * 4.0, SPEEDS, kind="hyperbolic", interp=False, onthefly=True
        ),
    ),
    Case("Radon2D function", _radon2d(5, 3, kind=_bent)),
    Case("Radon2D function on the fly", _radon2d(4, 3, kind=_bent, onthefly=True)),
    Case("Radon2D linear pxaxis that learns", _radon2d(4, 4), [P3]),
    Case("Radon2D parabolic pxaxis that learns", _radon2d(5, 3, kind="parabolic", centeredh=False), [P3]),
    Case(
        "Radon2D hyperbolic pxaxis that learns",
        lambda lops, p: lops.signalprocessing.Radon2D(np.arange(4) * 0.5, np.arange(3) * 4.0, p, kind="hyperbolic"),
        [torch.from_numpy(SPEEDS)],
    ),
    Case(
        "Radon2D all axes that learn",
        lambda lops, t, h, p: lops.signalprocessing.Radon2D(t, h, p, centeredh=False),
        [torch.arange(4, dtype=torch.float64) * 0.5, torch.tensor([-1.0, 1.0, 3.0], dtype=torch.float64), P2],
    ),
    Case("Radon3D linear", _radon3d(4, 2, 3)),
    Case("Radon3D linear nearest not centred", _radon3d(4, 2, 2, interp=False, centeredh=False)),
    Case("Radon3D parabolic", _radon3d(4, 3, 2, kind="parabolic")),
    Case("Radon3D axes that learn", _radon3d(3, 2, 2), [P2, P2 * 1.3]),
    Case(
        "Radon3D hyperbolic",
        lambda lops: lops.signalprocessing.Radon3D(
            np.arange(4) * 0.5, np.arange(2) * 4.0, np.arange(3) * 4.0, SPEEDS[:2], SPEEDS[1:], kind="hyperbolic"
        ),
    ),
    Case(
        "Radon3D hyperbolic axes that learn",
        lambda lops, py, px: lops.signalprocessing.Radon3D(
            np.arange(3) * 0.5, np.arange(2) * 4.0, np.arange(3) * 4.0, py, px, kind="hyperbolic"
        ),
        [torch.from_numpy(SPEEDS[:2]), torch.from_numpy(SPEEDS[1:])],
    ),
    Case("FourierRadon2D linear", _fourier2d(5, 4, 3, nfft=8)),
    Case("FourierRadon2D parabolic odd", _fourier2d(4, 3, 2, nfft=5, kind="parabolic")),
    Case("FourierRadon2D flims", _fourier2d(6, 3, 3, nfft=6, flims=(1, 3))),
    Case("FourierRadon2D flims to Nyquist", _fourier2d(4, 2, 3, nfft=4, flims=(2, 3))),
    Case("FourierRadon2D pxaxis that learns", _fourier2d(4, 3, 3, nfft=6), [P3]),
    Case(
        "FourierRadon2D all axes that learn",
        lambda lops, t, h, p: lops.signalprocessing.FourierRadon2D(t, h, p, nfft=5, kind="parabolic"),
        [torch.arange(4, dtype=torch.float64) * 0.5, torch.tensor([-1.0, 1.0, 2.5], dtype=torch.float64), P2],
    ),
    Case("FourierRadon3D linear", _fourier3d(4, nfft=6)),
    Case("FourierRadon3D linear and parabolic", _fourier3d(3, nfft=4, kind=("linear", "parabolic"))),
    Case("FourierRadon3D parabolic flims", _fourier3d(4, nfft=7, flims=(0, 2), kind=("parabolic", "parabolic"))),
    Case("FourierRadon3D axes that learn", _fourier3d(3, nfft=4), [P2, P2 * 1.3]),
    Case("ChirpRadon2D even", _chirp2d(4, 4)),
    Case("ChirpRadon2D odd", _chirp2d(5, 3)),
    Case("ChirpRadon2D two samples", _chirp2d(2, 2)),
    Case("ChirpRadon2D pmax that learns", _chirp2d(4, 3), [torch.tensor(1.3, dtype=torch.float64)]),
    Case("ChirpRadon3D even", _chirp3d(4, 2, 2, (1.3, 1.3))),
    Case("ChirpRadon3D odd", _chirp3d(3, 3, 2, (0.7, 0.7))),
    Case(
        "ChirpRadon3D two slopes",
        _chirp3d(3, 2, 3, (0.7, 1.3)),
        twin=_chirp3d(3, 2, 3, (1.3, 0.7)),  # PyLops takes them in the other order
    ),
    Case(
        "ChirpRadon3D pmax that learns",
        _chirp3d(3, 2, 2),
        [torch.tensor([0.7, 1.3], dtype=torch.float64)],
        oracle="PyLops takes pmax in the order opposite to its documentation",
    ),
]
