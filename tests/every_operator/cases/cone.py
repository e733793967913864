"""Cases of tomography in three dimensions."""

from __future__ import annotations

import numpy as np
import torch

import torchlops
from tests.every_operator.case import Case

NEW = "PyLops has no projector of volumes"
NO_INVERSE = "PyLops has no filtered back-projection"
ANGLES = np.array([0.3, 2.1, 4.4])


def _vectors(seed=0):
    """Views from all sides, along each of the axes of the volume in turn."""
    numbers = np.random.default_rng(seed)
    source = np.array([[9.0, 1.0, 0.5], [-1.5, 8.0, 1.0], [0.7, -0.9, 10.0]])
    across = np.array([[0.1, 1.1, 0.0], [1.2, 0.2, 0.1], [0.9, 0.3, 0.1]])
    along = np.array([[0.1, 0.0, 1.0], [0.0, 0.2, 1.1], [-0.2, 1.0, 0.2]])
    return torch.from_numpy(np.hstack((source, -0.7 * source, across, along)) + 0.05 * numbers.random((3, 12)))


def _circle():
    return torch.from_numpy(torchlops.medical.cone_vectors(ANGLES, 9.0, 4.0, (1.2, 1.1), 0.3))


def _fan(lops, thetas, width, offset, source, detector, short_scan=False):
    C = lops.medical.CT2D(
        (4, 3), width, 5, thetas, "cpu", "fanflat", source, detector, dtype="float64", det_offset=offset
    )
    return lops.medical.FBP(C, short_scan=short_scan)


def _numbers(*values):
    return [torch.tensor(value, dtype=torch.float64) for value in values]


CASES = [
    Case("CT3D cone", lambda lops: lops.medical.CT3D((2, 3, 3), (2, 3), _vectors().numpy()), oracle=NEW),
    Case(
        "CT3D cone with vectors that learn",
        lambda lops, vectors: lops.medical.CT3D((3, 2, 3), (2, 2), vectors),
        [_vectors()],
        oracle=NEW,
    ),
    Case(
        "CT3D parallel",
        lambda lops: lops.medical.CT3D(
            (3, 3, 2), (2, 2), lops.medical.parallel3d_vectors(np.array([0.0, 0.9, 2.0]), 1.2, 0.1, 0.3), "parallel3d"
        ),
        oracle=NEW,
    ),
    Case(
        "CT3D parallel with vectors that learn",
        lambda lops, vectors: lops.medical.CT3D((2, 3, 2), (2, 2), vectors, "parallel3d"),
        [_vectors(1)],
        oracle=NEW,
    ),
    Case(
        "CT3D helix",
        lambda lops: lops.medical.CT3D(
            (4, 2, 3), (2, 3), lops.medical.cone_vectors(np.arange(4) * 1.3, 9.0, 4.0, pitch=2)
        ),
        oracle=NEW,
    ),
    Case(
        "FBP parallel",
        lambda lops: lops.medical.FBP(lops.medical.CT2D((3, 4), 1.1, 4, ANGLES, dtype="float64")),
        oracle=NO_INVERSE,
    ),
    Case(
        "FBP parallel with angles that learn",
        lambda lops, thetas, width: lops.medical.FBP(
            lops.medical.CT2D((3, 4), width, 5, thetas, projector_type="linear", dtype="float64"), "shepp-logan"
        ),
        [torch.from_numpy(ANGLES), *_numbers(1.2)],
        oracle=NO_INVERSE,
    ),
    Case(
        "FBP fan that learns",
        lambda lops, *numbers: _fan(lops, *numbers),
        [torch.from_numpy(ANGLES), *_numbers(1.2, 0.3, 8.0, 4.0)],
        oracle=NO_INVERSE,
    ),
    Case(
        "FBP short scan",
        lambda lops: _fan(lops, np.linspace(0.2, 4.4, 5), 1.1, 0.1, 9.0, 3.0, True),
        oracle=NO_INVERSE,
    ),
    Case(
        "FDK",
        lambda lops: lops.medical.FDK(lops.medical.CT3D((2, 3, 3), (2, 3), _circle().numpy())),
        oracle=NO_INVERSE,
    ),
    Case(
        "FDK with vectors that learn",
        lambda lops, vectors: lops.medical.FDK(lops.medical.CT3D((2, 2, 3), (3, 2), vectors), "hann", 0.9),
        [_circle()],
        oracle=NO_INVERSE,
    ),
    Case(
        "FDK short scan",
        lambda lops: lops.medical.FDK(
            lops.medical.CT3D((2, 3, 3), (2, 3), lops.medical.cone_vectors(np.linspace(0.2, 4.4, 5), 9.0, 3.0)),
            short_scan=True,
        ),
        oracle=NO_INVERSE,
    ),
]
