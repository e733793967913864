r"""
Cone-beam tomography from few views
===================================

What does a volume look like when a cone beam has seen it from 20 sides only: by the method of Feldkamp, Davis and
Kress (FDK), by least squares, and by total variation? A head of ellipsoids, whose views are those of a grid with half
the step, with noise of two percent, is the data.

FDK filters the views and interpolates them where each voxel is seen. It is one product with a linear operator, and
wants more views than there are voxels along an edge. The others solve

.. math:: \min_x \|C x - y\|^2 \qquad \text{and} \qquad \min_x \tfrac\mu2 \|C x - y\|^2 + \epsilon \|\nabla x\|_1

with the projector :math:`C`: by a few iterations of CGLS, and by the split Bregman method.
"""

import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from torchlops import Gradient, cgls, splitbregman
from torchlops.medical import CT3D, FDK, cone_vectors

SIZE, VIEWS, DET_COUNT, SPACING = 48, 20, (56, 64), 1.5
SOURCE, DETECTOR = 150.0, 75.0  # distances from the axis, in voxels

# %%
# The head: ellipsoids with a density, a center and half axes in parts of half an edge, and a rotation around z.

ELLIPSOIDS = (
    (1.0, (0, 0, 0), (0.69, 0.92, 0.85), 0),
    (-0.8, (0, -0.018, 0), (0.65, 0.87, 0.81), 0),
    (-0.2, (0.22, 0, 0), (0.13, 0.33, 0.25), -18),
    (-0.2, (-0.22, 0, 0), (0.16, 0.41, 0.28), 18),
    (0.1, (0, 0.35, 0.1), (0.21, 0.25, 0.4), 0),
    (0.2, (0, 0.1, -0.3), (0.08, 0.08, 0.08), 0),
    (0.2, (0.0, -0.3, 0.35), (0.2, 0.1, 0.12), 0),
    (0.2, (-0.08, -0.6, -0.05), (0.06, 0.05, 0.06), 0),
    (0.2, (0.08, -0.6, 0.05), (0.06, 0.07, 0.1), 90),
)


def head(n: int) -> Tensor:
    """Return the head on ``n`` voxels along each axis."""
    x = (torch.arange(n) - (n - 1) / 2) * (2 / n)
    z, y, x = torch.meshgrid(x, -x, x, indexing="ij")  # y points against rows
    volume = torch.zeros(n, n, n)
    for density, center, axes, angle in ELLIPSOIDS:
        sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
        a, b, c = (grid - shift for grid, shift in zip((x, y, z), center, strict=True))
        across, along = a * cosine + b * sine, b * cosine - a * sine
        volume += density * ((across / axes[0]) ** 2 + (along / axes[1]) ** 2 + (c / axes[2]) ** 2 <= 1)
    return volume


truth = head(4 * SIZE).reshape(SIZE, 4, SIZE, 4, SIZE, 4).mean((1, 3, 5))

# %%
# The scan, and its data: from a volume with half the step, by detectors of half the width, in sums of four.

thetas = torch.arange(VIEWS, dtype=torch.float64) * (2 * math.pi / VIEWS)
vectors = cone_vectors(thetas.numpy(), SOURCE, DETECTOR, SPACING)
C = CT3D((SIZE, SIZE, SIZE), DET_COUNT, vectors, dtype="float32")
fine = CT3D(
    (2 * SIZE,) * 3, [2 * n for n in DET_COUNT], cone_vectors(thetas.numpy(), 2 * SOURCE, 2 * DETECTOR, SPACING)
)
rays = fine(head(4 * SIZE).reshape(2 * SIZE, 2, 2 * SIZE, 2, 2 * SIZE, 2).mean((1, 3, 5))) / 2
clean = rays.reshape(VIEWS, DET_COUNT[0], 2, DET_COUNT[1], 2).mean((2, 4))
noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
y = clean + 0.02 * clean.std() * noise
print(f"{C.shape[0]} data for {C.shape[1]} voxels; tables of the projector: {C.plan.nbytes} bytes")

# %%
# Three reconstructions. Twelve iterations of CGLS regularise by themselves; later ones fit the noise. Both
# weights of total variation matter: their ratio for the result, and their size for how fast it is reached.

images = {
    "FDK": FDK(C)(y),
    "FDK, Hann window": FDK(C, window="hann")(y),
    "CGLS, 12 iterations": cgls(C, y, niter=12, tol=0).x,
    "total variation": splitbregman(
        C, y, [Gradient(C.dims)], mu=0.01, epsRL1s=[0.1], niter_outer=12, niter_inner=1, niter=4, tol=0
    ).x,
}


def psnr(x: Tensor) -> float:
    """Return the PSNR in dB in the cylinder that all views see, for the range of the head."""
    axis = torch.arange(SIZE) - (SIZE - 1) / 2
    inside = (torch.hypot(*torch.meshgrid(axis, axis, indexing="ij")) < SIZE / 2).expand(SIZE, SIZE, SIZE)
    return -10 * math.log10(float((x - truth)[inside].square().mean()))


quality = {name: psnr(x) for name, x in images.items()}
for name, value in quality.items():
    print(f"{name:20} {value:.1f} dB")
assert quality["CGLS, 12 iterations"] > quality["FDK, Hann window"] + 0.4
assert quality["total variation"] > quality["CGLS, 12 iterations"] + 2.5

# %%
# With 240 views, FDK is good: its error is then mostly that of the edges.

many = torch.arange(240, dtype=torch.float64) * (2 * math.pi / 240)
dense = CT3D(C.dims, DET_COUNT, cone_vectors(many.numpy(), SOURCE, DETECTOR, SPACING), dtype="float32")
enough = psnr(FDK(dense)(dense(truth)))
print(f"FDK of 240 views without noise: {enough:.1f} dB")
assert enough > quality["FDK"] + 3

# %%
# Three sections of each, through the middle.

shown = {"truth": truth, **images}
cuts = (
    ("z", lambda x: x[SIZE // 2]),
    ("y", lambda x: x[:, SIZE // 2].flip(0)),
    ("x", lambda x: x[:, :, SIZE // 2].flip(0)),
)
figure, axes = plt.subplots(3, len(shown), figsize=(12, 7.4), layout="constrained")
for column, (name, volume) in zip(axes.T, shown.items(), strict=True):
    for axis, (across, cut) in zip(column, cuts, strict=True):
        picture = axis.imshow(cut(volume), cmap="gray", vmin=0, vmax=0.5)
        axis.set(xticks=[], yticks=[])
        if name == "truth":
            axis.set_ylabel(f"section across {across}")
    column[0].set_title(name if name == "truth" else f"{name}\n{quality[name]:.1f} dB")
figure.colorbar(picture, ax=axes, shrink=0.5, label="density")
figure.suptitle(f"A head from {VIEWS} cone-beam views")

# %%
# One view, and profiles along a line through the middle.

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained", width_ratios=(1, 1.7))
picture = left.imshow(y[4], cmap="gray", origin="lower")
figure.colorbar(picture, ax=left, label="line integral")
left.set(title="a view", xlabel="column", ylabel="row")
for name, volume in shown.items():
    if name != "FDK":
        right.plot(volume[SIZE // 2, SIZE // 2], label=name, color="black" if name == "truth" else None)
right.set(title="profile along x through the middle", xlabel="x (voxels)", ylabel="density", ylim=(-0.1, 0.8))
right.legend()
plt.show()
