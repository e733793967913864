r"""
A blur that grows toward the edges of a photograph
==================================================

Can a photograph be sharpened whose blur is not the same everywhere? The photograph ``camera`` of scikit-image is
blurred by a simple lens: in the middle it is sharp, and toward the corners the point-spread function becomes wide and
oblique.

``NonStationaryConvolve2D`` has a filter on a grid of 5 x 5 points, bilinearly interpolated for every pixel :math:`i`,

.. math:: y_j = \sum_i h_i[j - i] \, x_i.

``regularized_inversion`` solves for the photograph, with a Laplacian as regularisation, with this operator and with one
filter for the whole photograph, the mean of all.
"""

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from torchlops import Laplacian, plot, regularized_inversion
from torchlops.demo.photographs import photograph
from torchlops.signalprocessing import Convolve2D, NonStationaryConvolve2D

N, HALF, NOISE = 129, 6, 0.01
"""Pixels per axis, pixels from the middle of a filter to its ends, standard deviation of the noise."""

DIMS, GRID = (N, N), tuple(range(0, N, 32))
torch.manual_seed(0)


def point_spread(row: Tensor, column: Tensor) -> Tensor:
    """Return the point-spread function at a point, coordinates from -1 to 1: wider across than along the radius."""
    k = torch.arange(-HALF, HALF + 1, dtype=torch.float64)
    radius, angle = torch.hypot(row, column), torch.atan2(row, column)
    across = k[:, None] * angle.cos() - k * angle.sin()
    along = k[:, None] * angle.sin() + k * angle.cos()
    h = torch.exp(-0.5 * (across / (0.6 + 1.6 * radius)) ** 2 - 0.5 * (along / (0.6 + 0.5 * radius)) ** 2)
    return h / h.sum()


sharp = photograph("camera")[40:298:2, 140:398:2].double()
grid = torch.linspace(-1, 1, len(GRID), dtype=torch.float64)
filters = torch.stack([torch.stack([point_spread(row, column) for column in grid]) for row in grid])
A = NonStationaryConvolve2D(DIMS, filters, ihx=GRID, ihz=GRID)
data = A(sharp) + NOISE * torch.randn(DIMS, dtype=torch.float64)

# %%
# Both operators, each with the best of a grid of weights, which are solved for as one batch.

mean = Convolve2D(DIMS, filters.mean((0, 1)), offset=(HALF, HALF))
L = Laplacian(DIMS, edge=True)
weights = torch.tensor([0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3])
inside = (slice(HALF, -HALF), slice(HALF, -HALF))


def psnr(x: Tensor) -> Tensor:
    return -10 * (x - sharp)[..., HALF:-HALF, HALF:-HALF].square().mean((-2, -1)).log10()


options = {"engine": "pylops", "niter": 200, "tol": 0, "gtol": 1e-4, "progress": True}
curves, restored, scores = {}, {}, {"blurred, with noise": float(psnr(data))}
for name, B in {"one filter": mean, "varying filter": A}.items():
    x = regularized_inversion(B, data.expand(len(weights), -1, -1), [L], epsRs=[weights], **options).x
    curves[name] = psnr(x)
    best = int(curves[name].argmax())
    assert 0 < best < len(weights) - 1  # the best weight must be inside the grid
    restored[name], scores[name] = x[best], float(curves[name][best])
print(", ".join(f"{name} {score:.2f} dB" for name, score in scores.items()))
assert scores["varying filter"] > scores["one filter"] + 1.2
assert scores["varying filter"] > scores["blurred, with noise"] + 2.5

# %%
# With one filter, which is wrong nearly everywhere, hardly anything is gained.

figure, grid = plt.subplots(2, 3, figsize=(11.5, 7), layout="constrained")
axes = grid.flatten()
tiles = torch.nn.functional.pad(filters / filters.amax((-2, -1), keepdim=True), (0, 1, 0, 1))
tiles = tiles.transpose(1, 2).flatten(2).flatten(0, 1)
plot.image(tiles, axes[0], cmap="magma", title="filters at 5 x 5 points", label="relative to the largest value",
           xlabel="tap", ylabel="tap")  # fmt: skip
pictures = {"photograph": sharp, "blurred, with noise": data, **restored}
for axis, (name, x) in zip(axes[1:5], pictures.items(), strict=True):
    title = f"{name}: {scores[name]:.1f} dB" if name in scores else f"{name} (grey values)"
    plot.image(x, axis, cmap="gray", vmin=0, vmax=1, colorbar=False, title=title, xlabel="column", ylabel="row")
for name, curve in curves.items():
    axes[5].plot(weights, curve, "o-", label=name)
axes[5].axhline(scores["blurred, with noise"], color="k", linestyle=":", label="blurred, with noise")
axes[5].set(title="quality", xlabel="weight of the Laplacian", ylabel="PSNR / dB")
axes[5].legend()
