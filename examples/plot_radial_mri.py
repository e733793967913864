r"""
Radial imaging with eight coils, and a trajectory that learns
=============================================================

Magnetic resonance imaging may sample k-space along any curves. Which curves are best for a given number of them? Image
and training slice are real, an abdomen and a shoulder, measured at 1.5 T; the eight coils and the data are simulated.

(The slices, ``MR-SIEMENS-DICOM-WithOverlays.dcm`` and ``MR2_UNCR.dcm``, come with the package ``pydicom-data``,
anonymised.)

Sixteen lines through the middle of k-space are a ninth of what the image needs by the theorem of sampling. Coils and an
assumption about the image replace the rest. Then each line is bent, such that the image becomes better: by the
gradient with respect to all positions of samples, through the reconstruction.
"""

import math

import matplotlib.pyplot as plt
import pydicom
import torch
from pydicom.data import get_testdata_file
from torch import Tensor

from torchlops import fista
from torchlops.medical import SENSE
from torchlops.optimization import Implicit
from torchlops.signalprocessing import DWT2D, NUFFT, density_compensation
from torchlops.utils.metrics import psnr

N, COILS, LINES, NOISE = 96, 8, 16, 0.01
"""Pixels per axis, coils, lines, standard deviation of the noise of a datum (largest grey value 1, unitary scale)."""

torch.manual_seed(0)
r = torch.linspace(-1, 1, N)


def slice_of(file: str) -> Tensor:
    """Return a slice with values from 0 to 1, and a smooth phase, as images of this kind have."""
    values = torch.from_numpy(pydicom.dcmread(get_testdata_file(file)).pixel_array.astype("float32"))
    image = torch.nn.functional.interpolate(values[None, None], (N, N), mode="area")[0, 0]
    return image / image.max() * torch.exp(1j * (0.8 * r[:, None] + 0.4 * r))


image, training = slice_of("MR-SIEMENS-DICOM-WithOverlays.dcm"), slice_of("MR2_UNCR.dcm")

maps = []
for angle in 2 * math.pi * torch.arange(COILS) / COILS:
    v, u = r[:, None] - 1.5 * angle.sin(), r - 1.5 * angle.cos()
    maps.append(1 / torch.complex(u * angle.cos() + v * angle.sin(), v * angle.cos() - u * angle.sin()))
coils = torch.stack(maps)
coils = coils / coils.abs().square().sum(0).sqrt()

# %%
# Lines with the golden angle between them. Positions are in radians per pixel, from -pi to pi.

angles = torch.arange(LINES) * math.pi * (math.sqrt(5) - 1) / 2
along = torch.linspace(-1, 1, N + 1)[:-1] * math.pi
lines = torch.stack((angles.sin()[:, None] * along, angles.cos()[:, None] * along), -1)  # (lines, samples, 2)


def scanner(points: Tensor) -> NUFFT:
    """Return the transform of the image of one coil to samples of k-space."""
    return NUFFT((N, N), points.reshape(-1, 2), tol=1e-4, norm="ortho", dtype="complex64")


def measured(points: Tensor, x: Tensor) -> Tensor:
    """Return the data of all coils, with noise."""
    y = SENSE(coils, scanner(points)).Op(x)
    return y + NOISE / math.sqrt(2) * torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))


def quality(x: Tensor, estimate: Tensor) -> float:
    """Return the PSNR of an image in dB."""
    return float(psnr(x.abs(), estimate.abs(), xmax=1.0))


# %%
# Three images from the same data. The adjoint, with weights for the density of samples, has streaks. SENSE uses that
# each coil sees the image in another way, and finds the image of least squares. With wavelets, it is the image of few
# coefficients among those that explain the data.


def gridded(points: Tensor, y: Tensor) -> Tensor:
    """Return the adjoint of weighted data."""
    E = scanner(points)
    return SENSE(coils, E).Op.H(y * density_compensation(E))


def least_squares(points: Tensor, y: Tensor) -> Tensor:
    """Return the image by SENSE."""
    return SENSE(coils, scanner(points)).solve(y, damp=0.1, rtol=1e-3)


def with_wavelets(points: Tensor, y: Tensor) -> Tensor:
    """Return the image by SENSE whose wavelet coefficients are sparse."""
    A, W = SENSE(coils, scanner(points)).Op, DWT2D((N, N), wavelet="db4", level=4, dtype="complex64")
    return W.H(fista(A @ W.H, y, niter=50, eps=0.005, tol=0.0)[0])


METHODS = {"adjoint": gridded, "SENSE": least_squares, "SENSE, wavelets": with_wavelets}
y = measured(lines, image)
straight = {name: method(lines, y) for name, method in METHODS.items()}
for name, estimate in straight.items():
    print(f"lines, {name}: {quality(image, estimate):.1f} dB")
assert quality(image, straight["adjoint"]) + 2 < quality(image, straight["SENSE"])
assert quality(image, straight["SENSE"]) + 0.5 < quality(image, straight["SENSE, wavelets"])

# %%
# Each line is bent by five cosines along it, for each of its two coordinates. The loss is the error of the image by
# SENSE, of the shoulder: its derivative with respect to the positions passes through the solution, by one more solve,
# and through the data, which are measured at the positions of each step. (The samples keep their order along smooth
# curves; the limits of a scanner's gradients would be further terms of the loss.)

order = torch.arange(1, 6)
cosines = torch.cos(order * (along[:, None] + math.pi) / 2)
bend = torch.zeros(LINES, len(order), 2, requires_grad=True)
optimizer = torch.optim.Adam([bend], lr=0.05)
losses = []
for _ in range(25):
    points = lines + torch.einsum("sk,lkd->lsd", cosines, bend)
    data = measured(points, training)
    estimate = SENSE(coils, scanner(points)).solve(data, damp=0.1, niter=60, rtol=1e-3, grad=Implicit(rtol=1e-2))
    loss = (estimate - training).abs().square().sum() / training.abs().square().sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(float(loss.detach()))
curves = (lines + torch.einsum("sk,lkd->lsd", cosines, bend)).detach()
print(f"shoulder, on which the curves were trained: error {losses[0]:.3f}, then {losses[-1]:.3f} of the energy")
assert losses[-1] < 0.6 * losses[0]

# %%
# The abdomen, which had no part in this, gains as well.

y = measured(curves, image)
bent = {name: method(curves, y) for name, method in METHODS.items() if name != "adjoint"}
for name, estimate in bent.items():
    gain = quality(image, estimate) - quality(image, straight[name])
    print(f"curves, {name}: {quality(image, estimate):.1f} dB, {gain:.1f} dB more")
    assert gain > 1

figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for ax, name, trajectory in zip(axes, ("lines", "curves that have learned"), (lines, curves), strict=False):
    for line in trajectory / math.pi:
        ax.plot(line[:, 1], line[:, 0], ".-", markersize=2, linewidth=0.6)
    ax.set(title=name, xlabel="horizontal frequency (of the Nyquist frequency)", ylabel="vertical", aspect="equal")
axes[2].semilogy(losses)
axes[2].set(title="error of the shoulder", xlabel="step", ylabel="part of the energy")

shown = {
    "truth": image,
    **{f"lines, {name}": estimate for name, estimate in straight.items()},
    **{f"curves, {name}": estimate for name, estimate in bent.items()},
}
figure, axes = plt.subplots(2, 6, figsize=(12, 4.6), layout="constrained")
for column, (name, estimate) in zip(axes.T, shown.items(), strict=True):
    column[0].imshow(estimate.abs(), cmap="gray", vmin=0, vmax=0.7)
    column[0].set_title(name if name == "truth" else f"{name}\n{quality(image, estimate):.1f} dB", fontsize=9)
    column[1].imshow((estimate.abs() - image.abs()).abs(), cmap="magma", vmin=0, vmax=0.15)
axes[1, 0].set_title("errors, up to 0.15", fontsize=9)
for ax in axes.flat:
    ax.set_axis_off()
