"""Cases of the operators of AVO."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.every_operator.case import Case, random

C128 = torch.complex128
THETA = torch.tensor([5.0, 20.0, 35.0], dtype=torch.float64)
ANGLES = THETA.numpy()
RATIOS = torch.tensor([0.4, 0.5, 0.6, 0.45], dtype=torch.float64)

PS = "the PS linearisation lacks a factor 1 / g (about half of the exact coefficients)"
SPATIAL = "vsvp has no axes in space"
FUNCTION = "a function as linearization is taken with explicit=True only"
LONG = "a wavelet longer than the model gives data of its own length"
PER_ANGLE = "no wavelets per angle"


def two_terms(theta: Any, vsvp: Any, n: int = 1) -> tuple[Any, Any]:
    """Return a linearisation of a user, with two coefficients, of which one has no axis of time."""
    slope = (theta * (np.pi / 180)) ** 2
    return 1 + slope, slope[:, None] * vsvp[None] ** 2


def tilted(theta: Tensor, vsvp: Tensor, n: int = 1) -> list[Tensor]:
    """Return a linearisation of a user for ratios that vary in space."""
    return [torch.sin(torch.deg2rad(theta)).reshape(-1, *(1,) * vsvp.ndim) * vsvp, vsvp[None] ** 2]


def quiet(build: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that builds PyLops's operator without the warning of its convmtx about itself."""

    def built(*arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return build(*arguments)

    return built


def warning_case(name: str, build: Callable[..., Any], *tensors: Tensor, oracle: bool | str = True) -> Case:
    """Return a case in which PyLops warns of its convmtx."""
    return Case(name, build, tensors, oracle=oracle, twin=quiet(build))


PULSE = random(3).numpy()

CASES = [
    Case("AVOLinearModelling", lambda lops, theta: lops.avo.AVOLinearModelling(theta, 0.5, nt0=4), [THETA]),
    Case(
        "AVOLinearModelling fatti ratios spatdims",
        lambda lops, theta, vsvp: lops.avo.AVOLinearModelling(theta, vsvp, spatdims=2, linearization="fatti"),
        [THETA, RATIOS],
    ),
    Case("AVOLinearModelling constant", lambda lops: lops.avo.AVOLinearModelling(ANGLES, 0.5, nt0=2, spatdims=(2, 3))),
    Case(
        "AVOLinearModelling ps",
        lambda lops, theta, vsvp: lops.avo.AVOLinearModelling(theta, vsvp, linearization="ps"),
        [THETA, RATIOS],
        oracle=PS,
    ),
    Case(
        "AVOLinearModelling ratios in space",
        lambda lops, vsvp: lops.avo.AVOLinearModelling(ANGLES, vsvp, spatdims=2),
        [0.5 + 0.05 * random(4, 2)],
        oracle=SPATIAL,
    ),
    Case(
        "AVOLinearModelling function",
        lambda lops, theta, vsvp: lops.avo.AVOLinearModelling(theta, vsvp, spatdims=2, linearization=two_terms),
        [THETA, RATIOS],
        oracle=FUNCTION,
    ),
    Case(
        "AVOLinearModelling function in space",
        lambda lops, theta, vsvp: lops.avo.AVOLinearModelling(theta, vsvp, spatdims=2, linearization=tilted),
        [THETA, 0.5 + 0.05 * random(4, 2)],
        oracle=FUNCTION,
    ),
    Case("PoststackLinearModelling", lambda lops, wav: lops.PoststackLinearModelling(wav, 6), [random(3)]),
    Case(
        "PoststackLinearModelling forward spatdims",
        lambda lops, wav: lops.PoststackLinearModelling(wav, 5, (2, 1), kind="forward"),
        [random(4)],
    ),
    Case(
        "PoststackLinearModelling long wavelet",
        lambda lops, wav: lops.PoststackLinearModelling(wav, 4, 2),
        [random(11)],
        oracle=LONG,
    ),
    Case(
        "PoststackLinearModelling nonstationary",
        lambda lops, wav: lops.PoststackLinearModelling(wav, 5, 2),
        [random(5, 3)],
    ),
    warning_case(
        "PoststackLinearModelling explicit",
        lambda lops, wav: lops.PoststackLinearModelling(wav, 5, 2, explicit=True),
        random(4),
    ),
    warning_case(
        "PoststackLinearModelling explicit nonstationary forward",
        lambda lops, wav: lops.PoststackLinearModelling(wav, 4, explicit=True, kind="forward"),
        random(4, 7),
    ),
    warning_case(
        "PoststackLinearModelling explicit array",
        lambda lops: lops.PoststackLinearModelling(PULSE, 5, 2, explicit=True),
    ),
    warning_case(
        "PoststackLinearModelling explicit sparse array",
        lambda lops: lops.PoststackLinearModelling(PULSE, 5, explicit=True, sparse=True),
    ),
    Case(
        "PoststackLinearModelling complex",
        lambda lops, wav: lops.PoststackLinearModelling(wav, 5),
        [random(3, dtype=C128)],
        oracle="the adjoint of a complex filter lacks the conjugate (defect 6)",
    ),
    warning_case(
        "PoststackLinearModelling explicit complex",
        lambda lops, wav: lops.PoststackLinearModelling(wav, 4, explicit=True),
        random(3, dtype=C128),
    ),
    Case(
        "PrestackLinearModelling",
        lambda lops, wav, theta: lops.PrestackLinearModelling(wav, theta, 0.5, nt0=4),
        [random(3), THETA[:2]],
    ),
    Case(
        "PrestackLinearModelling fatti ratios spatdims forward",
        lambda lops, wav, theta, vsvp: lops.PrestackLinearModelling(
            wav, theta, vsvp, spatdims=(2,), linearization="fatti", kind="forward"
        ),
        [random(5), THETA, RATIOS],
        twin=lambda lops, wav, theta, vsvp: lops.PrestackLinearModelling(
            wav[:4], theta, vsvp, spatdims=(2,), linearization="fatti", kind="forward"
        ),
        oracle=LONG,
    ),
    Case(
        "PrestackLinearModelling wavelet per angle",
        lambda lops, wav, theta: lops.PrestackLinearModelling(wav, theta, nt0=4, spatdims=2),
        [random(3, 5), THETA],
        oracle=PER_ANGLE,
    ),
    Case(
        "PrestackLinearModelling ratios in space",
        lambda lops, wav, vsvp: lops.PrestackLinearModelling(wav, ANGLES, vsvp, spatdims=2, linearization="PS"),
        [random(3), 0.5 + 0.05 * random(4, 2)],
        oracle=SPATIAL,
    ),
    warning_case(
        "PrestackLinearModelling explicit",
        lambda lops, wav, theta, vsvp: lops.PrestackLinearModelling(wav, theta, vsvp, spatdims=(2,), explicit=True),
        random(3),
        THETA[:2],
        RATIOS[:3],
    ),
    warning_case(
        "PrestackLinearModelling explicit function wavelet per angle",
        lambda lops, wav, theta: lops.PrestackLinearModelling(
            wav, theta, nt0=3, linearization=two_terms, explicit=True, kind="forward"
        ),
        random(2, 3),
        THETA[:2],
        oracle=PER_ANGLE,
    ),
    warning_case(
        "PrestackLinearModelling explicit array",
        lambda lops: lops.PrestackLinearModelling(PULSE, ANGLES, nt0=3, explicit=True, kind="forward"),
    ),
    warning_case(
        "PrestackWaveletModelling",
        lambda lops, m, theta: lops.PrestackWaveletModelling(m, theta, nwav=4),
        random(5, 3),
        THETA[:2],
    ),
    warning_case(
        "PrestackWaveletModelling off centre ratios fatti",
        lambda lops, m, vsvp: lops.PrestackWaveletModelling(m, ANGLES, 7, 1, vsvp, "fatti"),
        random(4, 3),
        RATIOS,
    ),
    warning_case(
        "PrestackWaveletModelling function",
        lambda lops, m, theta, vsvp: lops.PrestackWaveletModelling(m, theta, 3, 2, vsvp, two_terms),
        random(4, 2),
        THETA,
        RATIOS,
    ),
    warning_case(
        "PrestackWaveletModelling complex profiles",
        lambda lops, m: lops.PrestackWaveletModelling(m, ANGLES, 3),
        random(4, 3, dtype=C128),
        oracle="the coefficients are cast to complex numbers, and sines of these are not differentiable there",
    ),
]
