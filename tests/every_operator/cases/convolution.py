"""Cases of the convolutions."""

from __future__ import annotations

import torch

from tests.every_operator.case import Case, random

C128 = torch.complex128
COMPLEX_1D = "the adjoint of a complex filter lacks the conjugate (defect 6)"
TRACES = "the adjoint of filters of each trace is wrong on another axis than the last (defect 6)"
OVERLAP_ADD = "overlapadd raises TypeError (defect 6)"
LONG_ND = "a filter longer than the model raises ValueError on models of several axes (defect 6)"
METHOD = "PyLops has this method for models of one axis only, or of several only"

CASES = [
    Case("Convolve1D", lambda lops, h: lops.signalprocessing.Convolve1D(7, h, offset=1), [random(3)]),
    Case("Convolve1D even filter", lambda lops, h: lops.signalprocessing.Convolve1D(6, h, offset=2), [random(4)]),
    Case("Convolve1D fft", lambda lops, h: lops.signalprocessing.Convolve1D(7, h, 2, method="fft"), [random(5)]),
    Case(
        "Convolve1D direct offset 0",
        lambda lops, h: lops.signalprocessing.Convolve1D(5, h, method="direct"),
        [random(5)],
    ),
    Case("Convolve1D last offset", lambda lops, h: lops.signalprocessing.Convolve1D(5, h, offset=3), [random(4)]),
    Case("Convolve1D negative offset", lambda lops, h: lops.signalprocessing.Convolve1D(6, h, offset=-2), [random(3)]),
    Case(
        "Convolve1D fft negative offset",
        lambda lops, h: lops.signalprocessing.Convolve1D(6, h, offset=-2, method="fft"),
        [random(3)],
    ),
    Case("Convolve1D many taps", lambda lops, h: lops.signalprocessing.Convolve1D((1, 20), h, offset=8), [random(17)]),
    Case("Convolve1D one tap", lambda lops, h: lops.signalprocessing.Convolve1D((2, 3), h), [random(1)]),
    Case("Convolve1D one sample", lambda lops, h: lops.signalprocessing.Convolve1D((3, 1), h), [random(1)]),
    Case(
        "Convolve1D axis 0", lambda lops, h: lops.signalprocessing.Convolve1D((5, 3), h, offset=1, axis=0), [random(3)]
    ),
    Case(
        "Convolve1D middle axis fft",
        lambda lops, h: lops.signalprocessing.Convolve1D((2, 5, 2), h, offset=1, axis=1, method="fft"),
        [random(2)],
    ),
    Case(
        "Convolve1D middle axis direct",
        lambda lops, h: lops.signalprocessing.Convolve1D((2, 4, 3), h, offset=2, axis=-2, method="direct"),
        [random(4)],
        oracle=METHOD,
    ),
    Case(
        "Convolve1D complex",
        lambda lops, h: lops.signalprocessing.Convolve1D(6, h, offset=1, dtype="complex128"),
        [random(3, dtype=C128)],
        oracle=COMPLEX_1D,
    ),
    Case(
        "Convolve1D complex fft axis 0",
        lambda lops, h: lops.signalprocessing.Convolve1D((5, 2), h, offset=2, axis=0, method="fft", dtype="complex128"),
        [random(4, dtype=C128)],
        oracle=COMPLEX_1D,
    ),
    Case(
        "Convolve1D filter of each trace",
        lambda lops, h: lops.signalprocessing.Convolve1D((3, 5), h, offset=1, method="direct"),
        [random(3, 3)],
        twin=lambda lops, h: lops.signalprocessing.Convolve1D((3, 5), h, offset=1),
    ),
    Case(
        "Convolve1D filter of each trace fft axis 0",
        lambda lops, h: lops.signalprocessing.Convolve1D((6, 3), h, offset=1, axis=0, method="fft"),
        [random(4, 3)],
        oracle=TRACES,
    ),
    Case(
        "Convolve1D filter of some traces middle axis complex",
        lambda lops, h: lops.signalprocessing.Convolve1D((2, 4, 3), h, offset=1, axis=1, dtype="complex128"),
        [random(2, 3, 1, dtype=C128)],
        oracle=COMPLEX_1D,
    ),
    Case(
        "Convolve1D overlapadd",
        lambda lops, h: lops.signalprocessing.Convolve1D(40, h, offset=1, method="overlapadd"),
        [random(2)],
        oracle=OVERLAP_ADD,
    ),
    Case(
        "Convolve1D overlapadd axis 0 filter of each trace",
        lambda lops, h: lops.signalprocessing.Convolve1D((25, 2), h, offset=2, axis=0, method="overlapadd"),
        [random(3, 2)],
        oracle=OVERLAP_ADD,
    ),
    Case(
        "Convolve1D overlapadd complex one block",
        lambda lops, h: lops.signalprocessing.Convolve1D((2, 6), h, offset=2, method="overlapadd", dtype="complex128"),
        [random(4, dtype=C128)],
        oracle=OVERLAP_ADD,
    ),
    Case("Convolve1D long filter", lambda lops, h: lops.signalprocessing.Convolve1D(5, h, offset=2), [random(8)]),
    Case(
        "Convolve1D long filter fft even model",
        lambda lops, h: lops.signalprocessing.Convolve1D(4, h, offset=1, method="fft"),
        [random(7)],
    ),
    Case(
        "Convolve1D long filter axis 0",
        lambda lops, h: lops.signalprocessing.Convolve1D((3, 2), h, offset=1, axis=0),
        [random(5)],
        oracle=LONG_ND,
    ),
    Case(
        "Convolve1D long filter of each trace complex",
        lambda lops, h: lops.signalprocessing.Convolve1D((2, 3), h, method="fft", dtype="complex128"),
        [random(2, 4, dtype=C128)],
        oracle=LONG_ND,
    ),
    Case("Convolve2D", lambda lops, h: lops.signalprocessing.Convolve2D((5, 6), h, offset=(1, 1)), [random(3, 3)]),
    Case(
        "Convolve2D direct even filter",
        lambda lops, h: lops.signalprocessing.Convolve2D((4, 5), h, offset=(1, 0), method="direct"),
        [random(2, 4)],
    ),
    Case(
        "Convolve2D complex axes (0, 2) of 3-D",
        lambda lops, h: lops.signalprocessing.Convolve2D((3, 2, 4), h, (0, 1), axes=(0, 2), dtype="complex128"),
        [random(2, 3, dtype=C128)],
    ),
    Case(
        "Convolve2D direct complex",
        lambda lops, h: lops.signalprocessing.Convolve2D((3, 4), h, (1, 1), method="direct", dtype="complex128"),
        [random(2, 2, dtype=C128)],
    ),
    Case(
        "Convolve2D axes (0, 1) of 3-D auto",
        lambda lops, h: lops.signalprocessing.Convolve2D((3, 4, 2), h, (1, 1), axes=(0, 1), method="auto"),
        [random(3, 3)],
    ),
    Case("Convolve2D one tap", lambda lops, h: lops.signalprocessing.Convolve2D((1, 2), h), [random(1, 1)]),
    Case(
        "Convolve2D axes in another order",
        lambda lops, h: lops.signalprocessing.Convolve2D((4, 5), h, offset=(1, 0), axes=(1, 0)),
        [random(3, 2)],
        twin=lambda lops, h: lops.signalprocessing.Convolve2D((4, 5), h.T.copy(), offset=(0, 1), axes=(0, 1)),
    ),
    Case(
        "ConvolveND",
        lambda lops, h: lops.signalprocessing.ConvolveND((3, 3, 3), h, offset=(1, 0, 1)),
        [random(2, 2, 3)],
    ),
    Case(
        "ConvolveND one axis of 2-D",
        lambda lops, h: lops.signalprocessing.ConvolveND((5, 2), h, offset=(1,), axes=(0,), method="auto"),
        [random(3)],
    ),
    Case(
        "ConvolveND default offset direct",
        lambda lops, h: lops.signalprocessing.ConvolveND((2, 3, 3), h, axes=(-3, -1), method="direct"),
        [random(2, 2)],
    ),
    Case(
        "ConvolveND all axes",
        lambda lops, h: lops.signalprocessing.ConvolveND((4, 4), h, (0, 2), axes=None),
        [random(3, 3)],
    ),
    Case(
        "ConvolveND filter larger than the model",
        lambda lops, h: lops.signalprocessing.ConvolveND((2, 4), h, offset=(1, 1), method="fft"),
        [random(3, 2)],
    ),
    Case(
        "ConvolveND complex one axis",
        lambda lops, h: lops.signalprocessing.ConvolveND(6, h, (1,), axes=(-1,), method="fft", dtype="complex128"),
        [random(4, dtype=C128)],
    ),
]
