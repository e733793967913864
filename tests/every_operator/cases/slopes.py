"""Cases of the operators that follow the slopes of events."""

from __future__ import annotations

import numpy as np
import torch

from tests.every_operator.case import Case, random

CASES = [
    Case("Seislet", lambda lops, slopes: lops.signalprocessing.Seislet(slopes), [0.4 * random(3, 2)]),
    Case("Seislet three levels", lambda lops, slopes: lops.signalprocessing.Seislet(slopes), [0.4 * random(5, 3)]),
    Case(
        "Seislet linear",
        lambda lops, slopes: lops.signalprocessing.Seislet(slopes, sampling=(2.0, 0.5), level=2, kind="linear"),
        [0.2 * random(4, 3)],
    ),
    Case(
        "Seislet linear to one trace, whole slopes",
        lambda lops, slopes: lops.signalprocessing.Seislet(slopes, level=2, kind="linear"),
        [torch.tensor([[1.0, 0.0], [0.0, -1.0], [2.0, 0.0]], dtype=torch.float64)],
    ),
    Case(
        "Seislet two traces",
        lambda lops, slopes: lops.signalprocessing.Seislet(slopes, level=1),
        [0.4 * random(2, 4)],
    ),
    Case(
        "PWSprayer2D",
        lambda lops, sigma: lops.signalprocessing.PWSprayer2D((2, 3), sigma, radius=2),
        [0.8 * random(2, 3)],
    ),
    Case(
        "PWSprayer2D beyond the section",
        lambda lops, sigma: lops.signalprocessing.PWSprayer2D((2, 3), sigma, radius=5, alpha=1.0),
        [3.0 * random(2, 3)],
    ),
    Case("PWSprayer2D flat", lambda lops: lops.signalprocessing.PWSprayer2D((3, 3), np.zeros((3, 3)))),
    Case("PWSprayer2D one trace", lambda lops: lops.signalprocessing.PWSprayer2D((3, 1), np.ones((3, 1)))),
    Case(
        "PWSprayer2D no radius",
        lambda lops: lops.signalprocessing.PWSprayer2D((2, 2), np.ones((2, 2)), radius=0),
    ),
    Case(
        "PWSmoother2D",
        lambda lops, sigma: lops.signalprocessing.PWSmoother2D((2, 3), sigma, radius=2),
        [0.8 * random(2, 3)],
    ),
    Case(
        "PWSmoother2D without decay",
        lambda lops, sigma: lops.signalprocessing.PWSmoother2D((3, 2), sigma, radius=1, alpha=1.0),
        [0.8 * random(3, 2)],
    ),
    Case(
        "PWSmoother2D one row",
        lambda lops, sigma: lops.signalprocessing.PWSmoother2D((1, 4), sigma, radius=3, alpha=0.5),
        [0.8 * random(1, 4)],
    ),
]
