"""Finite differences, running sums and moving averages."""

from __future__ import annotations

from typing import Any

import torch

from tests.every_operator.case import Case, random

C128 = torch.complex128
REAL_LABEL = "the real label of the operator makes PyLops drop the imaginary part of v"
WIDE = "PyLops's data are as long as the window where it is longer than the axis, against its documentation"


def _case(operator: str, *args: Any, oracle: bool | str = True, **options: Any) -> Case:
    shown = ", ".join([*map(str, args), *(f"{name}={value!r}" for name, value in options.items())])
    return Case(f"{operator}({shown})", lambda lops: getattr(lops, operator)(*args, **options), oracle=oracle)


def _along(name: str, operator: str, dims: tuple[int, ...], v: torch.Tensor, **options: Any) -> Case:
    oracle: bool | str = REAL_LABEL if v.is_complex() else True
    return Case(f"{operator} {name}", lambda lops, v: getattr(lops, operator)(dims, v, **options), (v,), oracle)


CASES = [
    _case("FirstDerivative", 9),
    _case("FirstDerivative", (2, 5), sampling=0.5, dtype="complex64"),
    _case("FirstDerivative", 1, kind="forward"),
    _case("FirstDerivative", 7, kind="forward", sampling=0.4),
    _case("FirstDerivative", (3, 4), axis=0, kind="forward", sampling=-2),
    _case("FirstDerivative", 2, kind="backward"),
    _case("FirstDerivative", (2, 3, 4), axis=1, kind="backward", sampling=0.4),
    _case("FirstDerivative", 2, kind="centered"),
    _case("FirstDerivative", (2, 1, 5), axis=1, kind="centered"),
    _case("FirstDerivative", (4, 3), axis=0, kind="centered", sampling=0.4),
    _case("FirstDerivative", 2, kind="centered", edge=True, sampling=0.7),
    _case("FirstDerivative", (2, 7, 2), axis=1, kind="centered", edge=True, sampling=0.7),
    _case("FirstDerivative", 4, kind="centered", order=5),
    _case("FirstDerivative", (7, 2), axis=0, kind="centered", order=5, sampling=0.4),
    _case("FirstDerivative", 2, edge=True, order=5, oracle="PyLops raises on two samples: an index out of range"),
    _case(
        "FirstDerivative", 3, edge=True, order=5, oracle="PyLops's adjoint counts the middle one of three rows twice"
    ),
    _case("FirstDerivative", 4, edge=True, order=5, sampling=0.7),
    _case("FirstDerivative", (3, 8), edge=True, order=5, sampling=0.7),
    _case("SecondDerivative", 9),
    _case("SecondDerivative", 2),
    _case("SecondDerivative", (2, 1, 5), axis=1),
    _case("SecondDerivative", (4, 3), axis=0, kind="centered", sampling=0.4),
    _case("SecondDerivative", 3, edge=True),
    _case("SecondDerivative", (2, 6, 2), axis=1, edge=True, sampling=0.4),
    _case("SecondDerivative", (2, 7), kind="forward", sampling=0.4),
    _case("SecondDerivative", (5, 3), axis=-2, kind="backward", sampling=0.4),
    _case("Laplacian", (4, 5)),
    _case("Laplacian", (4, 5), weights=(2.0, -0.5), sampling=(0.4, 0.7)),
    _case("Laplacian", (4, 5), axes=(1, 0), weights=(1.0, 3.0), sampling=(0.4, 0.7), edge=True),
    _case("Laplacian", (2, 4), axes=(0, 1), weights=(0.0, 1.0), sampling=(0.4, 0.4), kind="forward"),
    _case("Laplacian", (3, 2, 5), axes=(0, 2), weights=(1.0, 2.0), kind="backward"),
    _case("Laplacian", (3, 3, 4), axes=(0, 1, 2), weights=(1.0, 2.0, 3.0), sampling=(1.0, 0.5, 2.0)),
    _case("Laplacian", (2, 2)),
    _case("Laplacian", (6,), axes=(0,), weights=(1.5,), sampling=(0.5,), edge=True),
    _case("Gradient", (4, 5)),
    _case("Gradient", (4, 5), sampling=(0.4, 0.7), edge=True),
    _case("Gradient", (3, 4), sampling=0.7, kind="forward"),
    _case("Gradient", (2, 3, 4), sampling=(1.0, 0.5, 2.0), kind="backward"),
    _case("Gradient", (1, 4), sampling=0.5),
    _case("Gradient", 6, edge=True),
    _along("one direction", "FirstDirectionalDerivative", (3, 4), random(2, seed=1)),
    _along("field", "FirstDirectionalDerivative", (3, 4), random(2, 3, 4, seed=2), sampling=(0.4, 0.7), edge=True),
    _along("forward 3-D", "FirstDirectionalDerivative", (2, 3, 2), random(3, 2, 3, 2, seed=3), kind="forward"),
    _along("one axis", "FirstDirectionalDerivative", (6,), random(1, 6, seed=4), sampling=0.5, kind="backward"),
    _along("thin", "FirstDirectionalDerivative", (1, 4), random(2, 1, 4, seed=5)),
    _along("complex direction", "FirstDirectionalDerivative", (3, 4), random(2, seed=6, dtype=C128)),
    _along("complex field", "FirstDirectionalDerivative", (3, 3), random(2, 3, 3, seed=7, dtype=C128), edge=True),
    _along("one direction", "SecondDirectionalDerivative", (4, 3), random(2, seed=8), sampling=(0.4, 0.7)),
    _along("field", "SecondDirectionalDerivative", (3, 4), random(2, 3, 4, seed=9), edge=True),
    _along(
        "complex field", "SecondDirectionalDerivative", (3, 3), random(2, 3, 3, seed=10, dtype=C128), kind="forward"
    ),
    _case("CausalIntegration", 5),
    _case("CausalIntegration", 1, kind="half"),
    _case("CausalIntegration", (4, 3), axis=0, sampling=0.4, kind="full"),
    _case("CausalIntegration", (2, 3, 4), axis=1, sampling=0.4, kind="full", removefirst=True),
    _case("CausalIntegration", (4, 3), axis=0, sampling=0.4, kind="half"),
    _case("CausalIntegration", (2, 7), sampling=0.4, kind="half", removefirst=True),
    _case("CausalIntegration", 2, kind="trapezoidal", removefirst=True),
    _case("CausalIntegration", (2, 7), sampling=0.4, kind="trapezoidal"),
    _case("CausalIntegration", (5, 2), axis=-2, sampling=0.4, kind="trapezoidal", removefirst=True),
    _case("Smoothing1D", 5, 9),
    _case("Smoothing1D", 4, 8),
    _case("Smoothing1D", 1, (2, 3)),
    _case("Smoothing1D", 7, (8, 3), axis=0),
    _case("Smoothing1D", 3, (2, 5, 2), axis=1),
    _case("Smoothing1D", 9, 5, oracle=WIDE),
    _case("Smoothing1D", 3, 1, oracle=WIDE),
    _case("Smoothing2D", (3, 5), (5, 7)),
    _case("Smoothing2D", (2, 3), (4, 2, 5), axes=(0, 2)),
    _case("Smoothing2D", (7, 9), (3, 4), axes=(0, 1)),
    _case("Smoothing2D", (5, 1), (6, 3), axes=(1, 0), oracle="PyLops takes the axes in ascending order"),
    _case("SmoothingND", (3, 5), (5, 7)),
    _case("SmoothingND", (3, 2, 3), (3, 4, 4), axes=(0, 1, 2)),
    _case("SmoothingND", (3,), (2, 7), axes=(-1,)),
    _case("SmoothingND", (3, 2, 3), (3, 4, 2)),
]
