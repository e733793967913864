r"""
Sensitivities of coils from their own data
==========================================

The data of several coils can be unfolded into an image if the sensitivities of the coils are known. How good is the
image if they are estimated from the data themselves? The image is a slice through an abdomen, measured by magnetic
resonance at 1.5 T; the eight coils and their data are simulated.

(The slice, ``MR-SIEMENS-DICOM-WithOverlays.dcm``, comes with the package ``pydicom-data``, anonymised.)

A few lines in the middle of k-space are measured completely, to calibrate. Two methods read the sensitivities from
them: Walsh's, from images of low resolution, and ESPIRiT, from k-space.
"""

import math

import matplotlib.pyplot as plt
import pydicom
import torch
from pydicom.data import get_testdata_file
from torch import Tensor

from torchlops.medical import MRI2D, SENSE, espirit_maps, walsh_maps
from torchlops.signalprocessing import FFT2D
from torchlops.utils.metrics import psnr

N, COILS, CALIBRATION, NOISE = 192, 8, 24, 0.003
"""Pixels per axis, coils, lines in the middle, standard deviation of the noise of a datum (largest grey value 1)."""

torch.manual_seed(0)
slice_ = torch.from_numpy(pydicom.dcmread(get_testdata_file("MR-SIEMENS-DICOM-WithOverlays.dcm")).pixel_array / 1.0)
image = torch.nn.functional.interpolate(slice_[None, None], (N, N), mode="area")[0, 0]
image = image / image.max()
r = torch.linspace(-1, 1, N, dtype=torch.float64)
x = image * torch.exp(1j * (0.8 * r[:, None] + 0.4 * r))  # images of this kind have a smooth phase

# %%
# Eight coils stand on an ellipse around the body. Each is most sensitive nearby, with a phase of its own.


def sensitivities(count: int) -> Tensor:
    """Return coils whose squares add up to 1."""
    maps = []
    for angle in 2 * math.pi * torch.arange(count, dtype=torch.float64) / count:
        v, u = r[:, None] - 1.3 * angle.sin(), r - 1.5 * angle.cos()
        along, across = u * angle.cos() + v * angle.sin(), v * angle.cos() - u * angle.sin()
        maps.append(1 / torch.complex(along - 0.3, across))
    truth = torch.stack(maps)
    return truth / truth.abs().square().sum(0).sqrt()


truth = sensitivities(COILS)

# %%
# Of the 192 lines of k-space, 24 in the middle are measured, and every third of the others: 80 in all.

sampling = MRI2D((N, N), "vertical-reg", nlines=56, perc_center=CALIBRATION / N)
A = SENSE(truth, sampling).Op
y = A(x)
y = y + NOISE / math.sqrt(2) * torch.complex(*torch.randn(2, *y.shape, dtype=torch.float64))
print(f"{len(sampling.mask)} of {N} lines are measured")

middle = N // 2 - CALIBRATION // 2
kspace = sampling.ROp.H(y)
calibration = kspace[:, middle : middle + CALIBRATION, middle : middle + CALIBRATION]
espirit, eigenvalues = espirit_maps(calibration, (N, N))

window = torch.hann_window(CALIBRATION, periodic=False, dtype=torch.float64)
padding = (middle, N - middle - CALIBRATION) * 2
low = FFT2D((N, N), fftshift_after=True).H(torch.nn.functional.pad(calibration * window[:, None] * window, padding))
walsh = walsh_maps(low, 7)

# %%
# Sensitivities are known up to a phase at each pixel, which the image takes over. Compared at each pixel as vectors of
# eight numbers, estimates and truth are nearly parallel inside of the body.

inside = image > 0.05
found = {"ESPIRiT": espirit, "Walsh": walsh}
parallel = {name: (maps * truth.conj()).sum(0).abs() for name, maps in found.items()}
for name, cosine in parallel.items():
    print(f"{name}: cosine of the angle to the truth, median {cosine[inside].median():.5f}, "
          f"1 percent below {cosine[inside].quantile(0.01):.4f}")  # fmt: skip
    assert cosine[inside].quantile(0.01) > {"ESPIRiT": 0.985, "Walsh": 0.94}[name]
print(f"largest eigenvalues of ESPIRiT: {eigenvalues[inside].median():.3f} inside, "
      f"{eigenvalues[image < 0.01].median():.3f} outside")  # fmt: skip
assert eigenvalues[inside].median() > 0.99 > 0.95 > eigenvalues[image < 0.01].median()

figure, axes = plt.subplots(3, 5, figsize=(12, 7.4), layout="constrained")
for row, (name, maps) in zip(axes, {"truth": truth, **found}.items(), strict=True):
    for c, ax in enumerate(row[:4]):
        ax.imshow(maps[2 * c].abs(), vmin=0, vmax=0.9)
        ax.set_title(f"coil {2 * c + 1}, {name}")
axes[0, 4].imshow(image, cmap="gray", vmax=0.6)
axes[0, 4].set_title("image")
picture = axes[1, 4].imshow(eigenvalues, vmin=0.5, vmax=1)
axes[1, 4].set_title("eigenvalue of ESPIRiT")
figure.colorbar(picture, ax=axes[1, 4])
angle = torch.rad2deg(torch.arccos(parallel["ESPIRiT"].clamp(max=1))) * inside
picture = axes[2, 4].imshow(angle, vmin=0, vmax=5, cmap="magma")
axes[2, 4].set_title("angle, ESPIRiT (degrees)")
figure.colorbar(picture, ax=axes[2, 4])
for ax in axes.flat:
    ax.set_axis_off()

# %%
# The images: without unfolding (the root of the sum of squares), and by SENSE with the true and the estimated
# sensitivities. What remains with the estimates comes from the arms, which the field of view cuts: the sensitivities
# jump from one of its edges to the other, which no smooth estimate does, and folding carries the error to the kidneys.

images = {"no unfolding": sampling.H(y).abs().square().sum(0).sqrt()}
for name, maps in {"true coils": truth, **found}.items():
    images[name] = SENSE(maps, sampling).solve(y, damp=0.05, rtol=1e-4).abs()
quality = {name: float(psnr(image, estimate)) for name, estimate in images.items()}
for name, decibel in quality.items():
    print(f"{name}: {decibel:.1f} dB")
assert quality["true coils"] > quality["ESPIRiT"] > quality["Walsh"] > quality["no unfolding"] + 1.5

figure, axes = plt.subplots(2, 4, figsize=(12, 6.4), layout="constrained")
for column, (name, estimate) in zip(axes.T, images.items(), strict=True):
    column[0].imshow(estimate, cmap="gray", vmin=0, vmax=0.6)
    column[0].set_title(f"{name}, {quality[name]:.1f} dB")
    column[1].imshow((estimate - image).abs(), cmap="magma", vmin=0, vmax=0.1)
    column[1].set_title("error, up to 0.1")
for ax in axes.flat:
    ax.set_axis_off()
