"""Cases of the Born operators of the acoustic wave equation, on grids of a few nodes and a few steps in time."""

from __future__ import annotations

import torch

from tests.every_operator.case import Case, random

NO_DEVITO = "PyLops runs Devito, which is not installed, and damps where the layers here are perfectly matched"


def _born(nodes, sources, receivers, **options):
    parameter = options.pop("parameter", "velocity")

    def build(lops, *tensors):
        positions = {"sources": sources, "receivers": receivers}
        positions.update(zip(positions, tensors[2:], strict=False))
        modelling = lops.waveeqprocessing.AcousticModelling(
            nodes, **{"spacing": 10.0, "dt": 0.002, "nt": 5, "max_velocity": 2600.0, "frequency": 40.0,
                      "space_order": 2, "pml_width": 2, **positions, **options},
        )  # fmt: skip
        return lops.waveeqprocessing.AcousticBorn(modelling, *tensors[:2], parameter=parameter)

    return build


def _twoway(**options):
    tn = options.pop("tn", 8.0)

    def build(lops, vp):
        return lops.waveeqprocessing.AcousticWave2D(
            (4, 5), (10.0, 0.0), (10.0, 12.0), vp, [20.0, 33.0], [12.0, 24.0], [20.0, 37.0], 10.0, 0.0, tn,
            **{"space_order": 2, "nbl": 2, "f0": 5.0, "dt": 2.0, "max_velocity": 3000.0, "dtype": "float64",
               **options},
        )  # fmt: skip

    return build


def _velocity(*shape):
    return 1800 + 200 * random(*shape).sigmoid()


def _case(name, nodes, sources, receivers, wavelet, *more, **options):
    velocity = _velocity(*nodes) * options.get("max_velocity", 2600.0) / 2600.0
    return Case(name, _born(nodes, sources, receivers, **options), (velocity, wavelet, *more), NO_DEVITO)


BUILT = {"compiled_building": "positions are checked while it is built, which a compiled graph cannot do"}

CASES = [
    _case("AcousticBorn", (3, 4), [[1, 2]], [[1, 2], [1, 1]], random(4), nt=4, pml_width=1),
    _case(
        "AcousticBorn receivers that differ between shots, slowness",
        (4, 5),
        [[1, 2], [3, 0]],
        [[[0, 4], [2, 1]], [[1, 1], [-1, -1]]],
        random(2, 5),
        parameter="slowness2",
        spacing=0.01,  # in km
        max_velocity=2.6,
    ),
    _case("AcousticBorn between nodes", (5, 4), [[1.3, 2]], [[0.5, 2.25]], random(5), space_order=4, pml_width=1),
    _case(
        "AcousticBorn positions that learn",
        (4, 4),
        None,
        None,
        random(1, 2, 5),
        torch.tensor([[[1.3, 2.1], [0.4, 1.7]]], dtype=torch.float64),
        torch.tensor([[0.6, 2.25]], dtype=torch.float64),
    ),
    _case("AcousticBorn without layers, order 8", (4, 4), [[1, 2]], [[3, 3]], random(5), space_order=8, pml_width=0),
    _case("AcousticBorn in 3-D", (3, 2, 3), [[1, 1, 1]], [[0, 1, 2]], random(4), nt=4, pml_width=1),
    _case("AcousticBorn in 1-D", (6,), [[1]], [[4]], random(5)),
    Case("AcousticWave2D", _twoway(tn=4.0), (_velocity(4, 5),), NO_DEVITO, BUILT),
    Case("AcousticWave2D order 4", _twoway(space_order=4, nbl=3, tn=6.0), (_velocity(4, 5),), NO_DEVITO, BUILT),
    Case(
        "AcousticWave2D Gabor, order 6",
        _twoway(src_type="Gabor", space_order=6, tn=6.0),
        (_velocity(4, 5),),
        NO_DEVITO,
        BUILT,
    ),
]
