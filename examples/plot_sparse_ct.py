r"""
Computed tomography from few views
==================================

How good is an image of computed tomography from 40 views instead of hundreds? The image is a slice through an abdomen
of the Pancreas-CT collection of the National Institutes of Health (The Cancer Imaging Archive), which the package
``pydicom-data`` has as ``explicit_VR-UN.dcm``. The data are simulated from it on a grid that is twice as fine as that
of the reconstructions, with :math:`10^5` photons for each ray, and Poisson noise. Four methods reconstruct it with
:class:`~torchlops.medical.CT2D`:

- Filtered back-projection, :class:`~torchlops.medical.FBP`, which is one product, and needs many views.
- SIRT, :math:`x \leftarrow \max(x + C A^T R (y - A x), 0)`, with the reciprocal sums of the rows of :math:`A` in
  :math:`R` and of its columns in :math:`C` (A. H. Andersen and A. C. Kak, Ultrasonic Imaging 6, 81, 1984). It must be
  stopped before it fits the noise.
- CGLS on the same weighted equations, :math:`\min \|R^{1/2} (A x - y)\|` with :math:`x = C^{1/2} z`, which needs fewer
  iterations for the same.
- Total variation, :math:`\min_x \tfrac12 \|A x - y\|^2 + w \|G x\|_1`, by ``splitbregman``.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from pydicom import dcmread
from pydicom.data import get_testdata_file
from torch import Tensor

from torchlops import Diagonal, Gradient, cgls, splitbregman
from torchlops.medical import CT2D, FBP

SIZE, VIEWS, PHOTONS = 128, 40, 1e5
"""Pixels along an axis of the reconstructions, number of views, photons of a ray without the patient."""

# %%
# The slice in units of the attenuation of water, 0.02 per mm: values in Hounsfield units are -1000 for air, 0 for
# water. A pixel of a reconstruction has a side of 3.4 mm. The scan is uniform over a half turn, with a detector for
# each pixel of the diagonal.

path = get_testdata_file("explicit_VR-UN.dcm", download=False)
assert path is not None, "the package pydicom-data is not installed"
scan = dcmread(path)
attenuation = torch.from_numpy(1 + scan.pixel_array.astype(np.float32) / 1000).clamp(min=0)
fine = attenuation.reshape(2 * SIZE, 2, 2 * SIZE, 2).mean((1, 3))
truth = fine.reshape(SIZE, 2, SIZE, 2).mean((1, 3))
pixel = 4 * float(scan.PixelSpacing[0])  # mm

thetas = np.linspace(0, np.pi, VIEWS, endpoint=False)
count = math.ceil(math.sqrt(2) * SIZE)
A = CT2D((SIZE, SIZE), 1.0, count, thetas)
exact = CT2D((2 * SIZE, 2 * SIZE), 2.0, count, thetas)(fine) / 2  # from pixels of the fine grid to ours
lengths = 0.02 * pixel
photons = torch.poisson(PHOTONS * torch.exp(-lengths * exact), torch.Generator().manual_seed(0))
data = -torch.log(photons.clamp(min=1) / PHOTONS) / lengths
print(f"{VIEWS} views of {count} detectors for {SIZE} x {SIZE} pixels: {data.numel() / truth.numel():.2f} data a pixel")
print(f"noise: {float((data - exact).norm() / exact.norm()):.2%} of the data; at least {int(photons.min())} photons")

# %%
# The methods. A smooth window keeps noise out of the filtered back-projection. In SIRT and CGLS, rays beside the image
# have no weight, so that their data are left out.


def psnr(x: Tensor) -> float:
    """Return the PSNR in dB, for a range of 2."""
    return float(10 * torch.log10(4 / (x - truth).square().mean()))


images = {"FBP": FBP(A, window="hann")(data)}

rows, columns = A(torch.ones(A.dims)), A.adjoint(torch.ones(A.dimsd))
R = torch.where(rows > 0, 1 / rows, 0)
C = 1 / columns

x, sirt = torch.zeros(A.dims), []
for _ in range(400):
    x = (x + C * A.adjoint(R * (data - A(x)))).clamp(min=0)
    sirt.append(psnr(x))
images["SIRT"] = x

weighted = Diagonal(R.sqrt()) @ A @ Diagonal(C.sqrt())
conjugate = []
for niter in range(1, 31):
    z = cgls(weighted, R.sqrt() * data, niter=niter, tol=0)[0]
    conjugate.append(psnr(C.sqrt() * z))
best = conjugate.index(max(conjugate)) + 1
images["CGLS"] = C.sqrt() * cgls(weighted, R.sqrt() * data, niter=best, tol=0)[0]

G = Gradient(A.dims, kind="forward", dtype="float32")
weights, variation = (0.6, 1.2, 2.4, 4.8), []
for weight in weights:
    solved = splitbregman(
        A, data, [G], mu=0.05**2 / weight, epsRL1s=[0.05], niter_outer=60, niter_inner=1, niter=8, tol=0
    )
    variation.append(solved[0])
scores = [psnr(image) for image in variation]
said = [f"{weight:g} ({score:.2f} dB)" for weight, score in zip(weights, scores, strict=True)]
print("weights of total variation:", ", ".join(said))
chosen = scores.index(max(scores))
assert 0 < chosen < len(weights) - 1  # the best weight must be inside the grid
images["total variation"] = variation[chosen]

# %%
# Filtered back-projection has streaks, since its views are too few. CGLS is at its best after some ten iterations, and
# fits the noise from there on. SIRT takes hundreds, but knows that attenuation is not negative, which is worth two
# decibels from so few views. Total variation adds more than one to that. (Weights and numbers of iterations are the
# best for the known image.)

for name, image in images.items():
    print(f"{name}: {psnr(image):.2f} dB")
print(f"SIRT after {len(sirt)} iterations, CGLS after {best}")
assert 5 < best < 20
assert psnr(images["FBP"]) < max(conjugate)
assert max(sirt) > max(conjugate) + 1.5
assert psnr(images["total variation"]) > max(sirt) + 1

figure, axes = plt.subplots(1, 6, figsize=(12, 2.6), layout="constrained")
axes[0].imshow(data, cmap="gray", aspect="auto")
axes[0].set(title="data", xlabel="detector", ylabel="view")
for axis, (name, image) in zip(axes[1:], {"slice": truth, **images}.items(), strict=True):
    axis.imshow(image, cmap="gray", vmin=0.6, vmax=1.4)
    axis.set(title=name if name == "slice" else f"{name}: {psnr(image):.1f} dB", xticks=[], yticks=[])

figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.semilogx(range(1, len(sirt) + 1), sirt, label="SIRT")
axis.semilogx(range(1, len(conjugate) + 1), conjugate, label="CGLS")
axis.axhline(psnr(images["total variation"]), color="C2", label="total variation")
axis.axhline(psnr(images["FBP"]), color="C3", label="FBP")
axis.set(xlabel="iterations", ylabel="PSNR in dB", title="Iterations that fit the data, then the noise")
axis.legend()
