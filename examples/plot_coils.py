r"""
Accelerated magnetic resonance imaging, one mask per image
==========================================================

How many lines of a measurement can be left out, if several coils receive the signal? The image is scikit-image's head
phantom, and six measurements with more and more lines left out are one batch.

Coil :math:`c` with sensitivity :math:`s_c` measures lines of the Fourier transform of the image, selected by a mask:

.. math:: y_c = M_k \, F (s_c \odot x) + \mathrm{noise}.

``per_sample`` makes one operator of the masks :math:`M_k` of all measurements, and one call of ``cgls`` solves for all
images.
"""

import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from torchlops import Diagonal, LinearOperator, VStack, cgls, per_sample, plot
from torchlops.demo.photographs import photograph
from torchlops.signalprocessing import FFT2D

N, COILS, NOISE = 96, 8, 0.02
"""Pixels per axis, coils, standard deviation of the noise of a datum (grey values, unitary transform)."""

FACTORS = (1, 2, 3, 4, 6, 8)
"""Every so many lines are measured, beside eight in the middle."""

torch.manual_seed(0)
image = torch.nn.functional.interpolate(photograph("phantom")[None, None], (N, N), mode="area")[0, 0].double()
line = torch.arange(N)
middle = (line - N // 2).abs() < 4
masks = torch.stack([((line % factor == 0) | middle).double() for factor in FACTORS])
masks = torch.fft.ifftshift(masks, dim=-1)[:, :, None].expand(-1, -1, N)  # low frequencies are in the corners

# %%
# Eight coils around the head, each with a smooth sensitivity and a phase of its own. Together, they are as sensitive as
# one uniform coil.

r = torch.linspace(-1, 1, N, dtype=torch.float64)
angles = 2 * math.pi * torch.arange(COILS, dtype=torch.float64)[:, None, None] / COILS
near = torch.exp(-((r[:, None] - 1.1 * angles.sin()) ** 2) - (r - 1.1 * angles.cos()) ** 2)
sensitivities = torch.polar(near, angles + r * angles.cos())
sensitivities = sensitivities / sensitivities.abs().square().sum(0).sqrt()


def measurement(mask: Tensor, coils: Tensor) -> LinearOperator:
    """Return the operator of one measurement."""
    S = VStack([Diagonal(coil) for coil in coils])
    F = FFT2D((len(coils), N, N), axes=(-2, -1), norm="ortho", dtype="complex128")
    return Diagonal(mask.expand(len(coils), -1, -1).to(coils.dtype)) @ F @ S


# %%
# All six measurements are one batch, with eight coils and with one uniform coil.

images = {}
for name, coils in {"eight coils": sensitivities, "one coil": torch.ones_like(sensitivities[:1])}.items():
    A = per_sample(lambda mask, coils=coils: measurement(mask, coils), masks)
    noise = NOISE * torch.randn((*A.dimsd, 2), dtype=torch.float64) / math.sqrt(2)
    y = A(image.expand(len(FACTORS), -1, -1).to(torch.complex128))
    selected = masks[:, None].expand(-1, len(coils), -1, -1).reshape(y.shape)
    y = y + selected * torch.view_as_complex(noise)
    result = cgls(A, y, niter=100, damp=0.05, tol=0, gtol=1e-3)
    images[name] = result.x.real
    iterations = "1 iteration" if result.iters == 1 else f"{int(result.iters)} iterations"
    print(f"{name}: {iterations} for {len(FACTORS)} images")
    assert bool(result.converged)

psnr = {name: -10 * (x - image).square().mean((-2, -1)).log10() for name, x in images.items()}
for k, factor in enumerate(FACTORS):
    share = float(masks[k, :, 0].mean())
    lines = "all lines" if factor == 1 else f"one line in {factor} ({share:.0%})"
    print(f"{lines}: " + ", ".join(f"{name} {score[k]:.1f} dB" for name, score in psnr.items()))
gains = psnr["eight coils"] - psnr["one coil"]
assert float(psnr["eight coils"][1]) > 30
assert float(gains[1]) > 8
assert float(gains[1:].min()) > 1.5

# %%
# With eight coils, half of the lines are nearly enough.

shown = (1, 3, 5)
figure, axes = plt.subplots(2, 4, figsize=(12, 6), layout="constrained")
for row, (name, x) in zip(axes, images.items(), strict=True):
    for axis, k in zip(row, shown, strict=False):
        title = f"{name}, {float(masks[k, :, 0].mean()):.0%} of lines\n{float(psnr[name][k]):.1f} dB"
        plot.image(x[k], axis, cmap="gray", vmin=0, vmax=1, colorbar=False, title=title, xlabel="pixel", ylabel="pixel")
shares = 100 * masks[:, :, 0].mean(-1)
for name, score in psnr.items():
    axes[0, 3].plot(shares, score, "o-", label=name)
axes[0, 3].set(title="quality", xlabel="lines measured / %", ylabel="PSNR / dB")
axes[0, 3].legend(loc="upper left")
axes[0, 3].grid(alpha=0.3)
plot.image(
    sensitivities[1].abs(), axes[1, 3], title="sensitivity of a coil", label="modulus", xlabel="pixel", ylabel="pixel"
)
