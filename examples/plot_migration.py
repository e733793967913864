r"""
Least-squares migration of folded and faulted layers
====================================================

How much of a reflectivity does migration recover, and how much does least-squares migration? A survey of 14 shots and
40 receivers each, over layers that are folded and cut by a fault, in a velocity that increases with depth, is the data.

Migration is the adjoint :math:`A^H d` of Kirchhoff demigration: each sample of the data is added wherever it may have
been reflected. Its amplitudes depend on how often a point is seen, and its wavelet is applied twice. Least-squares
migration solves

.. math:: \min_m \|A m - d\|^2 + \epsilon^2 \|m\|^2,

which undoes both. The data are modelled on a grid of half the step, with exact travel times, and noise is added; the
operator of the inversion has travel times of the eikonal equation on its own grid.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from torchlops.utils.wavelets import ricker
from torchlops.waveeqprocessing import LSM, Kirchhoff

SURFACE, GRADIENT = 1600.0, 0.9  # velocity in m/s, and its increase per m of depth
STEP, DT, NT = 10.0, 0.004, 330


def layers(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the reflectivity of layers, as the contrast between samples of depth."""
    across, depth = np.meshgrid(x, z, indexing="ij")
    fold = 60 * np.sin(2 * np.pi * across / 1100) * (depth / 800)
    throw = np.where(across > 900 + 0.35 * depth, 45.0, 0.0)
    original = depth + fold - throw  # the depth of deposition
    edges = [170, 240, 330, 400, 500, 560, 680]
    properties = np.array([0.0, 0.5, -0.2, 0.6, 0.0, 0.7, -0.1, 0.5])
    impedance = properties[np.searchsorted(edges, original)]
    reflectivity = np.zeros_like(impedance)
    reflectivity[:, 1:] = np.diff(impedance, axis=1)
    return reflectivity


def exact_times(x: np.ndarray, z: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return travel times in a velocity that is linear in depth."""
    across, depth = (a.ravel()[:, None] for a in np.meshgrid(x, z, indexing="ij"))
    square = (across - positions[0]) ** 2 + (depth - positions[1]) ** 2
    speeds = (SURFACE + GRADIENT * depth) * (SURFACE + GRADIENT * positions[1])
    return np.arccosh(1 + GRADIENT**2 * square / (2 * speeds)) / GRADIENT


# %%
# Data of the fine grid, by an operator that is given its travel times, with noise of a fifth of their standard
# deviation.

x, z = np.arange(0, 1800, STEP), np.arange(0, 800, STEP)
sources = np.stack((np.linspace(60, 1730, 14), np.full(14, 8.0)))
receivers = np.stack((np.linspace(20, 1770, 40), np.full(40, 3.0)))
t = np.arange(NT) * DT
wavelet, _, center = ricker(t[:21], f0=22)

fine_x, fine_z = np.arange(0, 1790 + STEP / 4, STEP / 2), np.arange(0, 790 + STEP / 4, STEP / 2)
times = tuple(exact_times(fine_x, fine_z, positions) for positions in (sources, receivers))
fine = Kirchhoff(fine_z, fine_x, t, sources, receivers, SURFACE, wavelet, center, mode="byot", trav=times)
truth = layers(x, z)
clean = torch.from_numpy(fine(layers(fine_x, fine_z))) / 2  # twice as many columns reflect
data = clean + 0.2 * clean.std() * torch.randn(
    clean.shape, generator=torch.Generator().manual_seed(0), dtype=clean.dtype
)

# %%
# Migration, and 40 iterations of LSQR. The operator keeps its arrivals as sparse matrices.

velocity = np.broadcast_to(SURFACE + GRADIENT * z, (len(x), len(z)))
lsm = LSM(z, x, t, sources, receivers, velocity, wavelet, center)
migrated = lsm.Demop.H(data)
inverted = lsm.solve(data, niter=40, damp=8.0)

# %%
# The correlation with the truth, where the survey sees it; the width of the image of an interface, as the depth within
# which its autocorrelation falls to a half; and the amplitude of the deepest interface relative to the first.


def seen(image: torch.Tensor) -> np.ndarray:
    """Return the part of an image below the direct waves and away from the ends of the survey."""
    return np.asarray(image)[20:-20, 14:72]


def correlation(image: torch.Tensor) -> float:
    a, b = seen(image), seen(truth)
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


def width(image: torch.Tensor) -> float:
    """Return the full width at half maximum of the autocorrelation in depth, in m."""
    power = np.abs(np.fft.rfft(seen(image), 512, axis=1)) ** 2
    found = np.fft.irfft(power.sum(0))
    lag = np.argmax(found < found[0] / 2)
    share = (found[lag - 1] - found[0] / 2) / (found[lag - 1] - found[lag])
    return 2 * (lag - 1 + share) * STEP


def balance(image: torch.Tensor) -> float:
    """Return the ratio of the amplitudes below and above 400 m, relative to that of the truth."""
    below, above = ([np.abs(np.asarray(one)[20:-20, part]).mean() for one in (image, truth)] for part in DEPTHS)
    return float(below[0] / above[0] / (below[1] / above[1]))


DEPTHS = slice(45, 72), slice(14, 40)
explained = {name: lsm.Demop(image) for name, image in (("migration", migrated), ("least squares", inverted))}
for name, image in (("migration", migrated), ("least squares", inverted)):
    print(
        f"{name:14} correlation {correlation(image):.2f}, width {width(image):.0f} m, "
        f"amplitudes below 400 m x {balance(image):.2f}"
    )
residual = float((explained["least squares"] - data).norm() / data.norm())
noise = float((clean - data).norm() / data.norm())
print(f"data that least squares leaves unexplained: {residual:.0%} (noise: {noise:.0%})")

assert correlation(inverted) > 1.3 * correlation(migrated)
assert width(inverted) < 0.7 * width(migrated)
assert abs(np.log(balance(inverted))) < abs(np.log(balance(migrated)))
assert residual < 1.15 * noise

# %%
# The images, each scaled by its largest values, and a shot.

fig, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
extent = (0, x[-1], z[-1], 0)
for axis, image, title in zip(
    axes, (truth, migrated, inverted), ("reflectivity", "migration", "least-squares migration"), strict=True
):
    image = np.asarray(image)
    most = np.percentile(np.abs(seen(image)), 99.5)
    axis.imshow(image.T, cmap="gray", vmin=-most, vmax=most, extent=extent, aspect="auto")
    axis.set(title=title, xlabel="x (m)")
axes[0].set_ylabel("depth (m)")
axes[0].plot(*sources, "r*", label="sources")
axes[0].plot(*receivers, "b|", label="receivers")
axes[0].legend(loc="lower left")

fig, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True, layout="constrained")
shot = 7
most = float(data[shot].abs().max()) / 2
for axis, traces, title in zip(
    axes, (data[shot], explained["least squares"][shot]), ("data of a shot", "explained by the image"), strict=True
):
    axis.imshow(traces.T, cmap="gray", vmin=-most, vmax=most, extent=(20, 1770, t[-1], 0), aspect="auto")
    axis.set(title=title, xlabel="receiver (m)")
axes[0].set_ylabel("time (s)")
