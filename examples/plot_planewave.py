r"""
Noise removed along the layers of a section
===========================================

How can noise be removed from a seismic section without smearing its layers? The section of folded and faulted
layers is that of the demo of torchlops, with noise.

``PWSmoother2D`` spreads each sample along the local slopes to neighbouring traces and gathers it back, :math:`P^H P`.
Divided by the same for a section of ones, it is a mean along the layers. The slopes come from the structure tensor of
the noisy section. ``Smoothing2D`` takes the mean over a horizontal window instead.
"""

import matplotlib.pyplot as plt
import torch

from torchlops import FirstDerivative, LinearOperator, Smoothing2D, plot, ricker
from torchlops.demo.impedance import DT, NT, NX, layered_model
from torchlops.signalprocessing import Convolve1D, PWSmoother2D
from torchlops.utils.signalprocessing import slope_estimate

DIMS, RADIUS = (NT, NX), 4
torch.manual_seed(0)
wavelet, _, center = ricker(torch.arange(15, dtype=torch.float64) * DT, f0=25)
reflectivity = torch.tanh(0.5 * FirstDerivative(DIMS, axis=0, kind="forward")(layered_model()))
clean = Convolve1D(DIMS, wavelet, offset=center, axis=0)(reflectivity)
data = clean + 0.7 * clean.std() * torch.randn_like(clean)


def decibels(x: torch.Tensor) -> float:
    """Return the signal-to-noise ratio of a section."""
    return float(10 * (clean.square().mean() / (x - clean).square().mean()).log10())


def mean(A: LinearOperator, y: torch.Tensor) -> torch.Tensor:
    return A(y) / A(torch.ones_like(y))


# %%
# The best of several horizontal windows, against one mean along the slopes.

slopes = -torch.as_tensor(slope_estimate(data, smooth=6.0)[0]).clamp(-2, 2)
P = PWSmoother2D(DIMS, slopes, radius=RADIUS, alpha=1.0)
windows = [(rows, columns) for rows in (1, 3, 5) for columns in (3, 5, 7, 9, 11)]
horizontal = {window: mean(Smoothing2D(window, DIMS), data) for window in windows}
best = max(windows, key=lambda window: decibels(horizontal[window]))
sections = {
    "clean": clean,
    "with noise": data,
    f"mean over {best[0]} x {best[1]} samples": horizontal[best],
    "mean along the slopes": mean(P, data),
}
scores = {name: decibels(x) for name, x in list(sections.items())[1:]}
print("signal to noise: " + ", ".join(f"{name} {score:.1f} dB" for name, score in scores.items()))
noisy, flat, along = scores.values()
assert along > flat + 1.2
assert along > noisy + 7

# %%
# The adjoint of the smoother is itself, so impulses show where the means are taken. Layers stay sharp; the fault, where
# slopes are not defined, does not.

impulses = torch.zeros(DIMS, dtype=torch.float64)
impulses[20:NT:28, 12:NX:18] = 1
figure, panels = plt.subplot_mosaic("abc;dee", figsize=(11, 8), layout="constrained")
axes = list(panels.values())
limit = 2.5 * float(clean.std())
where = {"y": DT * torch.arange(NT), "x": torch.arange(NX), "xlabel": "trace", "ylabel": "time / s", "colorbar": False}
for axis, (name, x) in zip(axes, sections.items(), strict=False):
    title = f"{name}: {scores[name]:.1f} dB" if name in scores else name
    plot.image(x, axis, symmetric=True, vmin=-limit, vmax=limit, title=title, **where)
plot.image(P(impulses), axes[4], cmap="gray_r", title="means of some samples", vmax=4, **where)
