r"""
Missing traces by a Radon transform in sliding windows
======================================================

What did the receivers that failed record? In a synthetic gather of five hyperbolic events with 90 receivers 10 m apart,
half of the traces are missing at random, and the others have noise of a tenth of the standard deviation.

Hyperbolas are nearly straight lines in a window of a few traces. ``Sliding2D`` applies a linear ``FourierRadon2D``
:math:`R_w` to overlapping windows, with one sparse panel per window. With a ``Restriction`` :math:`M` to the traces
that are there, ``fista`` minimises

.. math:: \|M R \, c - d\|^2 + \epsilon \|c\|_1,

and :math:`R c` has all traces. A linear Radon transform of the whole gather at once has no lines to find.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from torchlops import Restriction, fista, hyperbolic2d, plot, ricker
from torchlops.signalprocessing import FourierRadon2D, Sliding2D, sliding2d_design

NX, NT, DX, DT = 90, 160, 10.0, 0.004
WIN, OVER, SLOPES = 18, 9, 31
"""Traces of a window, those in two windows, slopes of a panel."""

generator = np.random.default_rng(0)
t, x = np.arange(NT) * DT, np.arange(NX) * DX - NX * DX / 2
wavelet = np.asarray(ricker(t[:11], f0=22)[0])
events = (0.08, 0.16, 0.25, 0.34, 0.44), (1500, 1700, 1900, 2100, 2400), (1.0, -0.8, 0.7, 0.9, -0.7)
clean = torch.from_numpy(hyperbolic2d(x, t, *events, wavelet)[1])
noise = 0.1 * clean.std() * torch.from_numpy(generator.standard_normal(clean.shape))
there = np.sort(generator.permutation(NX)[: NX // 2])
M = Restriction((NX, NT), there, axis=0)
data = M(clean + noise)

# %%
# The slopes are those of waves slower than 1,200 m/s in no direction.

slopes = np.linspace(-1, 1, SLOPES) / 1200


def radon(traces: int) -> FourierRadon2D:
    positions = (np.arange(traces) - traces // 2) * DX
    return FourierRadon2D(t, positions, slopes, nfft=256, flims=(0, 64))


windows, dims, _, ends = sliding2d_design((NX, NT), WIN, OVER, (SLOPES, NT))
assert ends[1][-1] == NX  # the windows cover all traces
S = Sliding2D(radon(WIN), dims, (NX, NT), WIN, OVER, tapertype="cosine")
print(f"{windows} windows; panels {dims}")

# %%
# Both transforms fit the traces that are there. What is compared are the missing ones.

missing = np.setdiff1d(np.arange(NX), there)
results, found, errors = {}, {}, {}
for name, R in {"windows": S, "whole gather": radon(NX)}.items():
    results[name] = fista(M @ R, data, eps=0.4, niter=150, tol=0, progress=True)
    found[name] = R(results[name].x)
    errors[name] = float((found[name] - clean)[missing].norm() / clean[missing].norm())
    misfit = float((M(found[name]) - data).norm() / data.norm())
    print(f"{name}: missing traces {100 * errors[name]:.0f} % off, misfit of the others {100 * misfit:.0f} %")

assert errors["windows"] < 0.25
assert errors["windows"] < 0.5 * errors["whole gather"]

# %%
# Locally, few slopes are enough.

figure, panels = plt.subplot_mosaic("abc;dee", figsize=(11, 8), layout="constrained")
axes = list(panels.values())
where = {"x": x, "y": t, "xlabel": "offset / m", "ylabel": "time / s", "colorbar": False}
limit = float(clean.abs().max())
pictures = {
    "data": M.H(data),
    f"windows: {100 * errors['windows']:.0f} % off": found["windows"],
    f"whole gather: {100 * errors['whole gather']:.0f} % off": found["whole gather"],
    "clean": clean,
}
for axis, (title, gather) in zip(axes, pictures.items(), strict=False):
    plot.image(gather.T, axis, symmetric=True, vmin=-limit, vmax=limit, title=title, **where)
panels = results["windows"].x.reshape(windows * SLOPES, NT)
plot.image(panels.T, axes[4], y=t, symmetric=True, colorbar=False, title=f"{windows} panels of {SLOPES} slopes",
           xlabel="slope, window after window", ylabel="time / s")  # fmt: skip
