r"""Acoustic impedance from a seismic section: linear operators in a nonlinear model and in its cost function.

The section is :math:`d = W \tanh(D m / 2)`, with the logarithm :math:`m` of the impedance :math:`Z`, the forward
difference :math:`D` along time, and the convolution :math:`W` with a wavelet. :math:`\tanh(\Delta m / 2)` is exactly
the reflection coefficient :math:`(Z_{i+1} - Z_i) / (Z_{i+1} + Z_i)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import torchlops
from torchlops import CausalIntegration, FirstDerivative, Identity, Laplacian, LinearOperator, Smoothing1D, Smoothing2D
from torchlops.signalprocessing import Convolve1D

DT = 0.004
NT, NX = 160, 96
WEIGHT = 20.0
"""Weight of the Laplacian of the change from the start, relative to data in units of their noise."""

Step = Callable[[str], None]


@dataclass
class Inversion:
    """The history and the result of one inversion."""

    model: Tensor
    misfits: list[float]
    errors: list[float]

    @staticmethod
    def reached(history: list[float], level: float) -> int | None:
        """Return the first iteration at which ``history`` is at or below ``level``, or None."""
        return next((i for i, value in enumerate(history) if value <= level), None)


@dataclass
class Problem:
    """The true and the starting model, the section, and the inversions by name."""

    truth: Tensor
    start: Tensor
    data: Tensor
    inversions: dict[str, Inversion]


def layered_model() -> Tensor:
    """Return the logarithm of the impedance of folded and faulted layers, ``(NT, NX)``, in log(kg m^-2 s^-1).

    Sand and shale alternate on a compaction trend of the velocity; densities follow Gardner's relation
    ``rho = 310 v^0.25`` (Gardner et al., Geophysics 39, 770, 1974).
    """
    tops = torch.tensor([0.0, 0.10, 0.17, 0.22, 0.30, 0.34, 0.42, 0.47, 0.55])
    contrasts = torch.tensor([0.0, 0.12, -0.10, 0.16, -0.08, 0.20, -0.14, 0.10, 0.24])
    t = torch.arange(NT)[:, None] * DT
    x = torch.linspace(-1, 1, NX)
    structure = 0.035 * (1 - torch.exp(-(((x + 0.25) / 0.35) ** 2))) + 0.03 * (x > 0.45)
    layer = torch.searchsorted(tops, (t - structure).contiguous(), right=True).sub(1).clamp_min(0)
    velocity = (1900 + 1500 * t) * (1 + contrasts[layer])
    return torch.log(310 * velocity**1.25).double()


def section(W: LinearOperator, D: LinearOperator, m: Tensor) -> Tensor:
    """Return the seismic section of the log-impedance ``m``."""
    d: Tensor = W(torch.tanh(0.5 * D(m)))
    return d


def solve(tick: Step, niter: int = 100, noise: float = 0.05) -> Problem:
    """Invert the section with and without regularisation, and with and without a preconditioner."""
    dims = (NT, NX)
    wavelet, _, center = torchlops.ricker(torch.arange(13) * DT, f0=25)
    W = Convolve1D(dims, wavelet, offset=center, axis=0)
    D = FirstDerivative(dims, axis=0, kind="forward")
    truth = layered_model()
    background = Smoothing2D((41, 31), dims)  # pads with zeros; dividing by the smoothed ones gives a mean
    start = background(truth) / background(torch.ones_like(truth))
    clean = section(W, D, truth)
    deviation = noise * clean.std()
    data = clean + deviation * torch.randn_like(clean)

    L = Laplacian(dims, axes=(0, 1), weights=(0.3, 1.0), edge=True)
    # Integration turns reflectivity into impedance. A band-limited section does not determine the running mean.
    P = (Identity(dims) - Smoothing1D(41, dims, axis=0)) @ CausalIntegration(dims, axis=0)

    def misfit(m: Tensor) -> Tensor:
        return 0.5 * ((section(W, D, m) - data) / deviation).square().sum()

    def penalty(m: Tensor) -> Tensor:
        change: Tensor = L(m - start)
        return 0.5 * (WEIGHT * change).square().sum()

    runs: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
        "plain": (lambda q: start + q, misfit),
        "regularised": (lambda q: start + q, lambda m: misfit(m) + penalty(m)),
        "preconditioned": (lambda q: start + P(q), misfit),
        "both": (lambda q: start + P(q), lambda m: misfit(m) + penalty(m)),
    }
    inversions = {}
    for name, (model_of, cost) in runs.items():
        inversions[name] = _minimise(model_of, cost, misfit, truth, niter)
        tick("inverting for impedance")
    return Problem(truth, start, data, inversions)


def _minimise(
    model_of: Callable[[Tensor], Tensor],
    cost: Callable[[Tensor], Tensor],
    misfit: Callable[[Tensor], Tensor],
    truth: Tensor,
    niter: int,
) -> Inversion:
    """Minimise by L-BFGS, and record each iteration."""
    unknown = torch.zeros_like(truth, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [unknown],
        max_iter=1,  # to record each iteration; its line search may take several evaluations
        max_eval=25,
        history_size=10,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = cost(model_of(unknown))
        value.backward()  # type: ignore[no-untyped-call]
        return value

    misfits, errors = [], []
    for _ in range(niter + 1):
        with torch.no_grad():
            m = model_of(unknown)
            misfits.append(float((2 * misfit(m) / truth.numel()).sqrt()))
            errors.append(float((m.exp() - truth.exp()).norm() / truth.exp().norm()))
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return Inversion(m, misfits, errors)
