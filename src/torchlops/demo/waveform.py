"""Full-waveform inversion: the velocity under a line of sources and receivers, from the waves that they record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from torchlops import Diagonal, Smoothing2D
from torchlops.waveeqprocessing import AcousticBorn, AcousticModelling

NZ, NX, SPACING = 30, 60, 30.0
FREQUENCY = 5.0
LIMITS = (1500.0, 3600.0)
UNIT = 100.0
"""Size of an update in m/s, in which the search counts."""


@dataclass
class Waveform:
    """The models, and the history of the inversion."""

    truth: Tensor
    start: Tensor
    found: Tensor
    misfits: list[float]

    def error(self, model: Tensor) -> float:
        """Return the root mean square error of a model in m/s."""
        return float((model - self.truth).square().mean().sqrt())


def invert(iterations: int, tick: Callable[[str], None]) -> Waveform:
    """Model the data of layers with a salt body, and find the velocity by L-BFGS, from a smooth start.

    Args:
        iterations: Number of iterations.
        tick: Called once, with a description of what was done.
    """
    z, x = torch.meshgrid(torch.arange(NZ) * SPACING, torch.arange(NX) * SPACING, indexing="ij")
    truth = torch.full((NZ, NX), 1800.0)
    for depth, velocity in ((220.0, 2050.0), (420.0, 2350.0), (650.0, 2650.0)):
        truth[z > depth + 30 * torch.sin(x / 300)] = velocity
    truth[((x - 900) / 300) ** 2 + ((z - 450) / 120) ** 2 < 1] = 3200.0
    start = 1800 + 1.05 * (z - 90).clamp(min=0)
    sources = [[1, i] for i in range(4, NX, 13)]
    receivers = [[1, i] for i in range(1, NX, 2)] + [[i, j] for i in range(3, NZ, 2) for j in (1, NX - 2)]
    modelling = AcousticModelling(
        (NZ, NX), SPACING, 0.0038, 260, sources, receivers, max_velocity=LIMITS[1], frequency=FREQUENCY, pml_width=8
    )
    wavelet = modelling.ricker()
    observed = modelling(truth, wavelet)
    illumination = AcousticBorn(modelling, start, wavelet).illumination()
    weight = (illumination / illumination.median() + 0.05).rsqrt() * (z > 75)
    S = Smoothing2D((3, 3), (NZ, NX)) @ Diagonal(weight, (NZ, NX))
    change = torch.zeros(NZ, NX, requires_grad=True)
    misfits: list[float] = []

    def model() -> Tensor:
        velocity: Tensor = start + UNIT * S(change)
        return velocity.clamp(*LIMITS)

    def closure() -> float:
        search.zero_grad()
        misfit = (observed - modelling(model(), wavelet)).square().sum() / observed.square().sum()
        misfit.backward()
        misfits.append(float(misfit.detach()))
        return misfits[-1]

    search = torch.optim.LBFGS([change], max_iter=iterations, history_size=10, line_search_fn="strong_wolfe")
    search.step(closure)  # type: ignore[no-untyped-call]
    tick("waveforms: inverted")
    return Waveform(truth, start, model().detach(), misfits)
