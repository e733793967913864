"""Cases of the operators of magnetic resonance imaging."""

from __future__ import annotations

import numpy as np
import torch

from tests.every_operator.case import Case, random

C128 = torch.complex128
WEIGHTS = random(4, 6).abs()
SAMPLED = np.arange(24).reshape(4, 6) % 3 > 0

NONE = "PyLops has no such operator"
CENTER = "raises for regular lines with a central part"
RANDOM = "has no generator: masks cannot be repeated"
RADIAL = "interpolates k-space between the samples of its grid, 64 percent off"


CASES = [
    Case("MRI2D", lambda lops, mask: lops.medical.MRI2D((4, 6), mask), [WEIGHTS]),
    Case("MRI2D complex weights", lambda lops, mask: lops.medical.MRI2D((3, 5), mask), [random(3, 5, dtype=C128)]),
    Case("MRI2D array", lambda lops: lops.medical.MRI2D((4, 6), SAMPLED)),
    Case(
        "MRI2D vertical-reg",
        lambda lops: lops.medical.MRI2D((3, 7), "vertical-reg", nlines=3, perc_center=0.0),
    ),
    Case(
        "MRI2D vertical-reg center", lambda lops: lops.medical.MRI2D((4, 10), "vertical-reg", nlines=3), oracle=CENTER
    ),
    Case(
        "MRI2D vertical-uni",
        lambda lops: lops.medical.MRI2D((4, 6), "vertical-uni", 2, 0.4, generator=np.random.default_rng(0)),
        oracle=RANDOM,
    ),
    Case("MRI2D radial-reg", lambda lops: lops.medical.MRI2D((3, 4), "radial-reg", nlines=2, tol=1e-3), oracle=RADIAL),
    Case(
        "MRI2D radial-uni real",
        lambda lops: lops.medical.MRI2D(
            (5, 4), "radial-uni", nlines=2, dtype="float64", generator=torch.Generator().manual_seed(0), tol=1e-3
        ),
        oracle=RADIAL,
    ),
    Case(
        "MRI2D array real",
        lambda lops: lops.medical.MRI2D((4, 6), SAMPLED, dtype="float64"),
        oracle="its data are real",
    ),
    Case("Sensitivity", lambda lops, maps: lops.medical.Sensitivity(maps), [random(3, 4, 5, dtype=C128)], oracle=NONE),
    Case("Sensitivity real", lambda lops, maps: lops.medical.Sensitivity(maps), [random(2, 6)], oracle=NONE),
    Case(
        "Sensitivity of each image",
        lambda lops, maps: lops.medical.Sensitivity(maps, dims=(4,)),
        [random(2, 3, 4, dtype=C128)],
        oracle=NONE,
    ),
]
