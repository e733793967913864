"""Cases of tomography in three dimensions."""

from __future__ import annotations

import numpy as np
import torch

from tests.every_operator.case import Case

NEW = "PyLops has no projector of volumes"


def _vectors(seed=0):
    """Views from all sides, along each of the axes of the volume in turn."""
    numbers = np.random.default_rng(seed)
    source = np.array([[9.0, 1.0, 0.5], [-1.5, 8.0, 1.0], [0.7, -0.9, 10.0]])
    across = np.array([[0.1, 1.1, 0.0], [1.2, 0.2, 0.1], [0.9, 0.3, 0.1]])
    along = np.array([[0.1, 0.0, 1.0], [0.0, 0.2, 1.1], [-0.2, 1.0, 0.2]])
    return torch.from_numpy(np.hstack((source, -0.7 * source, across, along)) + 0.05 * numbers.random((3, 12)))


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
]
