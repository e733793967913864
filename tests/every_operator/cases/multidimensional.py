"""Cases of multi-dimensional convolution."""

from __future__ import annotations

import torch

from tests.every_operator.case import Case, random

C128 = torch.complex128


def _mdc(nt, nv, **options):
    return lambda lops, G: lops.waveeqprocessing.MDC(G, nt, nv, **options)


def _steps(lops, G, dt, dr):
    dt, dr = (step.item() if type(step).__module__ == "numpy" else step for step in (dt, dr))
    return lops.waveeqprocessing.MDC(G, 5, 1, dt, dr)


CASES = [
    Case("MDC", _mdc(3, 1, dt=0.5, dr=2.0), [random(2, 3, 2, dtype=C128)]),
    Case("MDC fewer frequencies", _mdc(5, 2), [random(2, 2, 3, dtype=C128)]),
    Case("MDC one-sided, even", _mdc(4, 2, twosided=False), [random(3, 2, 2, dtype=C128)]),
    Case("MDC conj", _mdc(5, 2, conj=True, prescaled=True), [random(3, 2, 2, dtype=C128)]),
    Case("MDC one receiver, real kernel", _mdc(3, 2), [random(2, 2, 1)], "it cannot take one receiver with nv > 1"),
    Case(
        "MDC steps",
        _steps,
        [random(3, 2, 2, dtype=C128), torch.tensor(0.5, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)],
    ),
]
