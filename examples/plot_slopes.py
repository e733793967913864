r"""
Slopes of a seismic gather, through the seislet transform
=========================================================

Which local slopes do the events of a noisy gather have? The data are six synthetic hyperbolic events with noise, whose
true slopes :math:`x / (v^2 t)` are known.

A seislet transform predicts traces from their neighbours along local slopes :math:`\sigma`; correct slopes leave small
residuals. So the slopes are found by minimising the residuals,

.. math:: \min_\sigma \|\mathrm{residuals}(S \sigma)\|^2,

with the smoothing :math:`S` by ``Smoothing2D``. They start from zero and follow the gradient through ``Seislet``, which
is differentiable in its slopes. The result is closer to the true slopes than that of the structure tensor with its best
smoothing. A few coefficients of the seislets with these slopes represent the gather. (In PyLops, slopes are fixed when
the operator is built.)
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from torchlops import Smoothing2D, plot
from torchlops.signalprocessing import Seislet
from torchlops.utils import seismicevents
from torchlops.utils.signalprocessing import slope_estimate
from torchlops.utils.wavelets import ricker

STEPS = 80
NX, NT, DX, DT, VELOCITY = 64, 160, 12.5, 0.004, 2000.0
SHARES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Fractions of the seislet coefficients that are kept."""

# %%
# Gradient descent through the transform, first on its finest level, then on three.


def estimate(data: Tensor, steps: int) -> Tensor:
    """Return the slopes in s/m with the smallest seislet residuals."""
    unit = DT / DX  # slopes are learned in samples per trace
    S = Smoothing2D((13, 25), (NX, NT))
    S = S @ S
    weight = S(torch.ones_like(data))  # smoothing pads with zeros; dividing by this gives a mean
    raw = torch.zeros_like(data, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.2, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for i in tqdm(range(steps), desc="learning slopes", disable=None):
        smooth = S(raw) / weight
        A = Seislet(smooth * unit, sampling=(DX, DT), level=1 if i < steps // 4 else 3, kind="linear")
        loss = A(data)[: A.levels_cum[-1]].square().mean() / data.var()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return (S(raw) / weight).detach() * unit


# %%
# How well few coefficients represent the gather. The inverse runs on a batch, one sample per fraction.


def compressed(clean: Tensor, slopes: Tensor) -> list[float]:
    """Return the relative error of the gather from its largest seislet coefficients, for each of ``SHARES``."""
    A = Seislet(slopes, sampling=(DX, DT), kind="linear")
    c = A(clean)
    ordered = c.abs().flatten().sort(descending=True).values
    least = torch.stack([ordered[int(share * c.numel())] for share in SHARES])[:, None, None]
    kept = A.inverse(torch.where(c.abs() > least, c, 0))  # a batch, one sample per fraction
    return ((kept - clean).norm(dim=(-2, -1)) / clean.norm()).tolist()


# %%
# The gather and its true slopes.

generator = np.random.default_rng(0)
t, x = np.arange(NT) * DT, np.arange(NX) * DX
t0, amp = (0.1, 0.2, 0.27, 0.35, 0.44, 0.52), (1.0, -0.8, 0.7, 0.9, -0.7, 0.8)
wavelet = np.asarray(ricker(t[:11], f0=25)[0])
clean = torch.from_numpy(seismicevents.hyperbolic2d(x, t, t0, [VELOCITY] * 6, amp, wavelet)[1])
data = clean + 0.2 * clean.std() * torch.from_numpy(generator.standard_normal(clean.shape))
true = torch.from_numpy(x[:, None] / VELOCITY**2 / np.maximum(t, x[:, None] / VELOCITY + DT))


def error(slopes: Tensor) -> float:
    """Return the relative error of slopes, weighted by the energy of the events."""
    weight = clean.square()
    return float(((slopes - true).square() * weight).sum().div((true.square() * weight).sum()).sqrt())


# %%
# Slopes by gradient descent and by the structure tensor.

learned = estimate(data.float(), STEPS).double()
tensors = [-slope_estimate(data.T, dz=DT, dx=DX, smooth=smooth)[0].T for smooth in (1.5, 2, 3, 4, 6)]
tensor = min(tensors, key=error)
fields = {"true": true, "gradient descent": learned, "structure tensor": tensor}
errors = {name: error(slopes) for name, slopes in fields.items()}
curves = {name: compressed(clean, slopes) for name, slopes in {"no slopes": torch.zeros_like(true), **fields}.items()}
for name in ("gradient descent", "structure tensor"):
    print(f"slopes by {name}: relative error {100 * errors[name]:.1f} %")
print(f"error of the gather from {SHARES[3]:.0%} of its coefficients:", end=" ")
print(", ".join(f"{name} {curve[3]:.3f}" for name, curve in curves.items()))
assert errors["gradient descent"] < 0.1
assert errors["gradient descent"] < errors["structure tensor"]
assert curves["gradient descent"][3] < 0.2 * curves["no slopes"][3]

# %%
# The slopes of gradient descent are close to the true ones, and as good for compression.

figure, panels = plt.subplot_mosaic("abc;dee", figsize=(11, 8), layout="constrained")
axes = list(panels.values())
limit = float(clean.abs().max())
where = {"x": x, "y": t, "colorbar": False, "xlabel": "offset / m", "ylabel": "time / s"}
plot.image(data.T, axes[0], symmetric=True, vmin=-limit, vmax=limit, title="gather, with noise", **where)
for axis, (name, slopes) in zip(axes[1:4], fields.items(), strict=True):
    axis.contour(x, t, clean.T, levels=[0.25 * limit], colors="w", linewidths=0.6)
    title = "true slopes" if name == "true" else f"{name}: error {100 * errors[name]:.1f} %"
    plot.image(1e3 * slopes.T, axis, vmin=0, vmax=0.5, title=title, **where)
figure.colorbar(axes[3].get_images()[0], ax=axes[3], label="slope / (ms/m)")
for name, curve in curves.items():
    axes[4].loglog([100 * share for share in SHARES], curve, "o--" if name == "true" else "o-", label=name)
axes[4].set(title="gather from its largest seislets", xlabel="coefficients kept / %", ylabel="relative error")
axes[4].legend()
axes[4].grid(alpha=0.3, which="both")
