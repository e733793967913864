r"""
Photographs restored from motion blur, by three regularisations
===============================================================

Which regularisation restores photographs best from motion blur and noise? Three photographs of scikit-image are
restored with weights that are tuned on a fourth one.

- Tikhonov, :math:`\min_x \|A x - y\|^2 + w^2 \|L x\|^2`: ``regularized_inversion`` with a ``Laplacian``.
- Wavelets, :math:`\min_c \|A W^H c - y\|^2 + w \|c\|_1`: ``fista`` with the adjoint of a Haar ``DWT2D`` as synthesis
  operator, averaged over four shifts of the basis (cycle spinning: Coifman and Donoho, Lecture Notes in Statistics 103,
  125, 1995).
- Total variation, :math:`\min_x \tfrac12 \|A x - y\|^2 + w \|G x\|_1`: ``splitbregman`` with the ``Gradient``.

Each sample of a batch can have its own weight. So one call per method, with copies of the astronaut, finds the weight
of a grid with the highest PSNR, and a second call restores the others. The blurred frames contain only pixels that
receive no light from outside the scene.
"""

import math
from collections.abc import Callable

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from tqdm import tqdm

from torchlops import Gradient, Laplacian, Pad, Roll, fista, regularized_inversion, splitbregman
from torchlops.demo.photographs import central_crops
from torchlops.signalprocessing import DWT2D, Convolve2D

SIZE, HALF, SIGMA = 160, 7, 0.01
"""Pixels per axis, pixels from the centre of the blur to its ends, standard deviation of the noise."""

DIMS = (SIZE, SIZE)
TUNED_ON, RESTORED = "astronaut", ("camera", "coffee", "coins")

Method = Callable[[Tensor, Tensor], Tensor]

# %%
# A camera that moves during the exposure: a convolution, and a crop, the adjoint of padding.


def motion(angle: float) -> Tensor:
    """Return the point-spread function of a camera that moves by ``2 * HALF`` pixels during the exposure."""
    path = HALF * torch.linspace(-1, 1, 401)
    pixels = torch.arange(-HALF, HALF + 1)
    rows, columns = (
        (1 - (path[:, None] * factor - pixels).abs()).clamp_min(0) for factor in (-math.sin(angle), math.cos(angle))
    )
    return rows.T @ columns / len(path)


frame = Pad((SIZE - 2 * HALF, SIZE - 2 * HALF), ((HALF, HALF), (HALF, HALF)))
A = frame.H @ Convolve2D(DIMS, motion(math.radians(30)), offset=(HALF, HALF))

# %%
# The three methods, each for a batch of photographs with a weight for each.


def tikhonov(y: Tensor, weights: Tensor) -> Tensor:
    """Minimise ``|A x - y|^2 + w^2 |L x|^2``."""
    L = Laplacian(DIMS, edge=True, dtype="float32")
    x: Tensor = regularized_inversion(A, y, [L], epsRs=[weights], engine="pylops", niter=400, tol=0, gtol=1e-5).x
    return x


def wavelets(y: Tensor, weights: Tensor) -> Tensor:
    """Minimise ``|A W^H c - y|^2 + w |c|_1``, with ``x = W^H c``, and return the mean over shifted bases ``W``."""
    W = DWT2D(DIMS, wavelet="haar", level=3, dtype="float32")
    solutions = []
    for down, right in ((0, 0), (1, 2), (2, 1), (3, 3)):
        S = Roll(DIMS, axis=0, shift=down, dtype="float32") @ Roll(DIMS, axis=1, shift=right, dtype="float32") @ W.H
        solutions.append(fista(A, y, SOp=S, eps=weights, alpha=1.0, niter=60, tol=0).x)
    return torch.stack(solutions).mean(0)


def total_variation(y: Tensor, weights: Tensor) -> Tensor:
    """Minimise ``|A x - y|^2 / 2 + w |G x|_1``, as ``mu |A x - y|^2 / 2 + eps^2 |G x|_1``."""
    G = Gradient(DIMS, kind="forward", dtype="float32")
    eps = 0.03  # the threshold of a difference affects the convergence, not the solution
    x: Tensor = splitbregman(
        A, y, [G], mu=eps**2 / weights, epsRL1s=[eps], niter_outer=40, niter_inner=1, niter=8, tol=0
    ).x
    return x


METHODS: dict[str, tuple[Method, tuple[float, ...]]] = {
    "Tikhonov": (tikhonov, (0.03, 0.05, 0.07, 0.1, 0.14)),
    "wavelets": (wavelets, tuple(SIGMA**2 * factor for factor in (16, 24, 32, 48, 64))),
    "total variation": (total_variation, tuple(SIGMA**2 * factor for factor in (2, 4, 6, 9, 13))),
}
"""The methods, each with its grid of weights."""


def psnr(x: Tensor, truth: Tensor) -> Tensor:
    """Return the PSNR in dB of each image, for a range of 1, in the region that the data cover."""
    return -10 * (x - truth)[..., HALF:-HALF, HALF:-HALF].square().mean((-2, -1)).log10()


# %%
# The weights are tuned on one photograph, and restore the others.

torch.manual_seed(0)
truth = central_crops((TUNED_ON, *RESTORED), SIZE)
data = A(truth)
data = data + SIGMA * torch.randn_like(data)
frames = Pad(A.dimsd, ((HALF, HALF), (HALF, HALF)))(data)
images = {"blurred and noisy": frames[1:]}
for name, (method, weights) in tqdm(METHODS.items(), desc="methods", disable=None):
    grid = torch.tensor(weights)
    scores = psnr(method(data[0].expand(len(grid), -1, -1), grid), truth[0])
    best = int(scores.argmax())
    assert 0 < best < len(grid) - 1  # the best weight must be inside the grid
    images[name] = method(data[1:], grid[best].expand(len(RESTORED)))
    print(f"{name}: weight {weights[best]:.3g}, chosen on the {TUNED_ON}, of", end=" ")
    print(", ".join(f"{weight:.3g} ({score:.2f} dB)" for weight, score in zip(weights, scores.tolist(), strict=True)))

# %%
# Wavelets gain a decibel over Tikhonov regularisation, and total variation about two.

scores = {name: psnr(image, truth[1:]) for name, image in images.items()}
for name, score in scores.items():
    each = ", ".join(f"{photo} {value:.2f}" for photo, value in zip(RESTORED, score.tolist(), strict=True))
    print(f"{name}: {each}; mean {float(score.mean()):.2f} dB")
assert bool((scores["Tikhonov"] > scores["blurred and noisy"] + 1).all())
assert bool((scores["wavelets"] > scores["Tikhonov"] + 0.9).all())
assert bool((scores["total variation"] > scores["Tikhonov"] + 1.6).all())

# %%
# Total variation removes the noise and keeps the edges.

figure, axes = plt.subplots(3, 5, figsize=(12, 7.8), layout="constrained")
for row, photo in enumerate(RESTORED):
    columns = {photo: truth[1 + row], **{name: image[row] for name, image in images.items()}}
    for axis, (name, image) in zip(axes[row], columns.items(), strict=True):
        axis.imshow(image[HALF:-HALF, HALF:-HALF], cmap="gray", vmin=0, vmax=1)
        score = f": {float(scores[name][row]):.2f} dB" if name in scores else ""
        axis.set(title=name + score, xticks=[], yticks=[])
