r"""
Thresholds of wavelets and curvelets, learned from noisy data
=============================================================

Which thresholds denoise best, if no clean data are known? They are learned from a synthetic seismic gather and from a
photograph of scikit-image, with noise, by an estimate of the error.

Denoising by thresholding in a wavelet or curvelet domain needs one threshold per scale. Stein's unbiased risk estimate
gives the error of a denoiser :math:`f` without the clean data, up to a constant:

.. math:: \|f(y) - y\|^2 + 2 \sigma^2 \, \mathrm{div} f(y).

The divergence is a forward-mode derivative through the transform and its adjoint, and reverse mode over it gives the
gradient for the thresholds: second derivatives through ``DWT2D`` and ``UDCT``, which PyLops cannot compute. The learned
thresholds match those learned from the clean data, which are not available in practice. Curvelets, which are redundant
and follow edges, gain most on the curved events of a seismic gather.
"""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from torchlops import LinearOperator
from torchlops.demo.photographs import photograph
from torchlops.signalprocessing import DWT2D, UDCT
from torchlops.utils import seismicevents
from torchlops.utils.wavelets import ricker

SIZE, SIGMA, STEPS = 192, 0.1, 40

# %%
# Thresholding, smooth so that it has derivatives, and the scale of each coefficient.


def shrink(c: Tensor, threshold: Tensor) -> Tensor:
    """Keep real or complex coefficients above the threshold and remove those below, with a smooth transition."""
    energy = c.real.square() + (c.imag.square() if c.is_complex() else 0)
    return c * energy**2 / (energy**2 + threshold**4)


def scales(A: LinearOperator) -> Tensor:
    """Return the scale of each coefficient, where the finest is 0."""
    if isinstance(A, DWT2D):
        index = torch.arange(A.dimsd[0])
        block = torch.maximum(index[:, None], index)
        edges = torch.tensor([A.dimsd[0] >> k for k in range(A.level, 0, -1)])
        return A.level - torch.bucketize(block, edges, right=True)
    # For curvelets, the scale is that of the frequency band in which white noise gives the largest coefficient.
    f = torch.fft.fftfreq(SIZE, dtype=torch.float64)
    ring = torch.maximum(f[:, None].abs(), f.abs())
    bands = [(ring > 1 / 6), (ring <= 1 / 6) & (ring > 1 / 12), ring <= 1 / 12]
    noise = torch.fft.fft2(torch.randn(8, SIZE, SIZE, dtype=torch.float64))
    return torch.stack([A(torch.fft.ifft2(noise * band).real).abs().square().mean(0) for band in bands]).argmax(0)


# %%
# The risk and its gradient. With the truth, the same function learns from the error itself, for comparison.


def learn(A: LinearOperator, y: Tensor, truth: Tensor | None = None) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the thresholds with the smallest estimated risk, or with the smallest error if the truth is known."""
    scale = scales(A)
    number = int(scale.max())  # the coarsest scale is not thresholded
    logs = torch.full((number,), SIGMA, dtype=torch.float64).log().requires_grad_()
    optimizer = torch.optim.Adam([logs], lr=0.1)
    probes = torch.randn_like(y).sign()

    def denoise(y: Tensor, logs: Tensor) -> Tensor:
        thresholds = torch.cat((logs.exp(), torch.full((1,), 1e-3 * SIGMA, dtype=logs.dtype)))
        return A.adjoint(shrink(A(y), thresholds.take(scale))).real

    for _ in tqdm(range(STEPS), desc="learning thresholds", disable=None):
        if truth is None:
            x, tangent = torch.func.jvp(lambda y: denoise(y, logs), (y,), (probes,))
            risk = (x - y).square().mean() + 2 * SIGMA**2 * (probes * tangent).mean()
        else:
            risk = (denoise(y, logs) - truth).square().mean()
        optimizer.zero_grad()
        risk.backward()
        optimizer.step()
    return logs.detach().exp(), lambda y: denoise(y, logs.detach())


# %%
# A gather of hyperbolic events.


def section() -> Tensor:
    """Return a gather of hyperbolic events, with a maximum amplitude of 1."""
    t, x = np.arange(SIZE) * 0.004, (np.arange(SIZE) - SIZE / 2) * 12.5
    wavelet = np.asarray(ricker(t[:21], f0=20)[0])
    events = (0.08, 0.2, 0.3, 0.42, 0.55), (1500, 1700, 1800, 2000, 2300), (1.0, -0.7, 0.8, -0.6, 0.7)
    gather = seismicevents.hyperbolic2d(x, t, *events, wavelet)[1].T
    return torch.from_numpy(gather / np.abs(gather).max())


def decibels(x: Tensor, truth: Tensor) -> float:
    """Return the PSNR in dB, for a range of 1."""
    return -10 * float((x - truth).square().mean().log10())


# %%
# Both transforms on both pictures. The gains are within 0.15 dB of those with the truth known.

torch.manual_seed(0)
dims = (SIZE, SIZE)
transforms = {"wavelets": DWT2D(dims, wavelet="sym8", level=4), "curvelets": UDCT(dims, wedges_per_direction=3)}
pictures = {"seismic events": section(), "photograph": photograph("camera")[20:212, 130:322].double()}
figure, axes = plt.subplots(2, 4, figsize=(11.5, 6.2), layout="constrained")
gains = {}
for row, (what, truth) in zip(axes, pictures.items(), strict=True):
    y = truth + SIGMA * torch.randn_like(truth)
    shown = {"clean": truth, "with noise": y}
    for name, A in transforms.items():
        thresholds, denoise = learn(A, y)
        _, oracle = learn(A, y, truth)
        shown[name] = denoise(y)
        gains[what, name], best = (decibels(f(y), truth) - decibels(y, truth) for f in (denoise, oracle))
        print(
            f"{what}, {name}: {gains[what, name]:.2f} dB gained, {best:.2f} dB with the truth known; thresholds / "
            f"sigma {(thresholds / SIGMA).numpy().round(2)}, finest scale first"
        )
        assert gains[what, name] > best - 0.15
    limits = (-1, 1) if what == "seismic events" else (0, 1)
    for axis, (title, image) in zip(row, shown.items(), strict=True):
        seismic = what == "seismic events"
        extent = (-1200, 1200, 0.768, 0) if seismic else None
        cmap, aspect = ("RdBu_r", "auto") if seismic else ("gray", "equal")
        axis.imshow(image, cmap=cmap, vmin=limits[0], vmax=limits[1], extent=extent, aspect=aspect)
        score = "" if title == "clean" else f": {decibels(image, truth):.1f} dB"
        axis.set(title=title + score)
        if seismic:
            axis.set(xlabel="offset / m")
        else:
            axis.set(xticks=[], yticks=[])
    row[0].set_ylabel("time / s" if seismic else what)
assert gains["seismic events", "curvelets"] > gains["seismic events", "wavelets"] + 1
assert min(gains.values()) > 5
