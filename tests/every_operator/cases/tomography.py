"""Cases of tomography."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from tests.every_operator.case import Case

THETAS = np.linspace(0.0, np.pi, 4, endpoint=False) + 0.2
FAN = {"proj_geom_type": "fanflat", "source_origin_dist": 9.0, "origin_detector_dist": 4.0}


class InSinglePrecision:
    """An operator of PyLops whose results are float32, as what it computes is."""

    def __init__(self, operator):
        self.operator = operator

    def __getattr__(self, name):
        return getattr(self.operator, name)

    def matvec(self, x):
        return self.operator.matvec(x.astype(np.float32))

    def rmatvec(self, y):
        return self.operator.rmatvec(y.astype(np.float32))


def _scan(dims=(3, 4), width=1.0, count=4, thetas=THETAS, kernel=None, oracle=True, title="", **options):
    kernels = {} if kernel is None else {"projector_type": kernel}
    ours = {"dtype": "float64", **kernels, **options}

    def build(lops):
        return lops.medical.CT2D(dims, width, count, thetas, **ours)

    def twin(pylops):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return InSinglePrecision(pylops.medical.CT2D(dims, width, count, thetas, "cpu", **kernels, **options))

    return Case(f"CT2D {title}", build, oracle=oracle, twin=twin)


def _learning(title, tensors, names, dims=(3, 4), kernel="linear", **options):
    def build(lops, *tensors):
        given = {"det_width": 1.1, "thetas": THETAS[:2], **options, **dict(zip(names, tensors, strict=True))}
        return lops.medical.CT2D(dims, det_count=3, projector_type=kernel, dtype="float64", **given)

    return Case(
        f"CT2D {title}",
        build,
        [torch.as_tensor(tensor, dtype=torch.float64) for tensor in tensors],
        oracle="PyLops has no derivatives with respect to the geometry, and the others are compared above",
    )


DISTANCES = ("thetas", "det_width", "source_origin_dist", "origin_detector_dist", "det_offset")
LENGTHS = [THETAS[:2], 1.1, 9.0, 4.0, 0.3]

CASES = [
    _scan(title="strip"),
    _scan(kernel="line", title="line"),
    _scan(kernel="linear", title="linear"),
    _scan(width=0.7, title="strip fan", **FAN),
    _scan(kernel="line", width=0.7, title="line fan", **FAN),
    _scan(
        (4, 4),
        thetas=np.linspace(0.0, np.pi, 4, endpoint=False),
        kernel="linear",
        title="linear, uniform views",
    ),
    _scan((4, 3), kernel="linear", title="linear fan", oracle="PyLops has no linear kernel of a fan beam", **FAN),
    _scan(
        kernel="linear",
        title="with the detectors shifted",
        oracle="PyLops has no offset of the detectors",
        det_offset=0.7,
    ),
    _learning("linear fan, all that may learn", LENGTHS, DISTANCES, proj_geom_type="fanflat"),
    _learning(
        "strip, angles and offsets that learn", [THETAS[:2], [0.3, -0.1]], ("thetas", "det_offset"), kernel="strip"
    ),
    _learning("strip fan, all that may learn", LENGTHS, DISTANCES, kernel="strip", proj_geom_type="fanflat"),
    _learning("line, angles and width that learn", [THETAS[:2], [1.1, 0.9]], ("thetas", "det_width"), kernel="line"),
]
