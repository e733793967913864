r"""
Phase retrieval: a photograph from magnitudes of Fourier transforms
===================================================================

Can a photograph be recovered from intensities in the far field, without their phases? The data are simulated photon
counts of a photograph of scikit-image behind six known random phase masks :math:`m`.

A detector in the far field counts photons: it measures :math:`|F(m \odot x)|^2`, and the phase is lost. L-BFGS
minimises

.. math:: \tfrac12 \sum_m \bigl\| \, |F(m \odot x)| - d_m \bigr\|^2

through a chain from a real image to real data, with a complex operator between a product and a magnitude. The masks
pass through one ``FFT2D`` as a batch. (PyLops's ``TorchOperator`` loops over them in Python.)
"""

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from tqdm import tqdm

from torchlops.demo.deblurring import quality
from torchlops.demo.photographs import photograph
from torchlops.signalprocessing import FFT2D

SHOWN = (0, 2, 4, 12)
"""Iterations after which the image is drawn."""


# %%
# The photograph, the masks, and the data: counts of photons, on average a few thousand per pixel.

torch.manual_seed(0)
truth = photograph("camera")[40:168, 150:278].double()
F = FFT2D(truth.shape)
masks = torch.polar(torch.ones(6, *truth.shape).double(), 2 * torch.pi * torch.rand(6, *truth.shape).double())


def magnitudes(x: Tensor) -> Tensor:
    return (F(masks * x).abs().square() + 1e-12).sqrt()  # smooth at zero


photons = 4000 * magnitudes(truth).square()
data = (torch.poisson(photons) / 4000).sqrt()

# %%
# Gradient descent from a grey image.

x = (0.5 + 0.01 * torch.randn_like(truth)).requires_grad_()
optimizer = torch.optim.LBFGS(
    [x],
    max_iter=1,
    max_eval=25,
    history_size=10,
    tolerance_grad=0,
    tolerance_change=0,
    line_search_fn="strong_wolfe",
)


def closure() -> Tensor:
    optimizer.zero_grad()
    misfit = 0.5 * (magnitudes(x) - data).square().sum()
    misfit.backward()
    return misfit


images, misfits, scores = {}, [], []
for i in tqdm(range(SHOWN[-1] + 1), desc="L-BFGS", disable=None):
    image = x.detach().clone()
    scores.append(quality(image, truth)[0])
    if i in SHOWN:
        images[i] = image
    misfits.append(float((magnitudes(image) - data).norm() / data.norm()))
    optimizer.step(closure)

# %%
# The phases of the transform, which were not measured, are found with the image.

phases = torch.polar(torch.ones_like(truth), F(truth).angle())
agreement = float((F(image) * phases.conj()).real.sum() / F(image).abs().sum())
noise = float((magnitudes(truth) - data).norm() / data.norm())
print(f"from {scores[0]:.1f} to {scores[-1]:.1f} dB in {len(misfits) - 1} iterations")
print(f"misfit {misfits[-1]:.4f}, that of the truth {noise:.4f}; mean cosine of the phase errors {agreement:.5f}")
assert scores[-1] > 30
assert misfits[-1] < 1.1 * noise
assert agreement > 0.98

# %%
# Twelve iterations are enough.

figure, axes = plt.subplots(2, 4, figsize=(11.5, 6), layout="constrained")
axes[0, 0].imshow(truth, cmap="gray", vmin=0, vmax=1)
axes[0, 0].set(title="photograph (grey values)", xticks=[], yticks=[])
shown = axes[0, 1].imshow(masks[0].angle(), cmap="twilight")
axes[0, 1].set(title="phase of the first mask", xticks=[], yticks=[])
figure.colorbar(shown, ax=axes[0, 1], shrink=0.8, label="rad")
shown = axes[0, 2].imshow(data[0], cmap="magma", vmin=0, vmax=2)
axes[0, 2].set(title="its data: magnitudes", xticks=[], yticks=[])
figure.colorbar(shown, ax=axes[0, 2], shrink=0.8, label="grey values")
axes[0, 3].semilogy(misfits, "C3", label="image")
axes[0, 3].axhline(noise, color="0.5", linestyle="--", label="photograph (noise)")
axes[0, 3].set(title="misfit / data", xlabel="iteration of L-BFGS", ylabel="relative norm")
axes[0, 3].legend()
for axis, (i, picture) in zip(axes[1], images.items(), strict=True):
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axis.set(title=f"after {i} iterations\n{scores[i]:.1f} dB", xticks=[], yticks=[])
