r"""
A scanner that is calibrated by its own data
============================================

Where is the center of rotation of a scanner, and at which angles were its views? A fan-beam scan of a head is the
data, with a detector that is shifted by 2.6 pixels, and an encoder of angles with an eccentric disk, whose readings are
off by up to 4.5 degrees. No calibration object is needed, since only the right geometry has an image that explains all
views:

.. math:: \min_{o, c} \|A(\theta + B c, o) \, F(\theta + B c, o) \, y - y\|^2

with the projector :math:`A`, filtered back-projection :math:`F`, the offset :math:`o` of the detector, and the error of
the angles as a Fourier series of a turn with the coefficients :math:`c`. Both operators are differentiated with respect
to their geometry. The mean of the angles is not determined: it rotates the image.

The slice is a CT of the Python package pydicom-data (``693_UNCR.dcm``). Its views are simulated on a finer grid.
"""

import math

import matplotlib.pyplot as plt
import pydicom
import torch
from pydicom.data import get_testdata_file
from torch import Tensor

from torchlops.medical import CT2D, FBP

SIZE, VIEWS, DETECTORS, WIDTH = 96, 120, 120, 1.6
SOURCE, DETECTOR = 225.0, 150.0  # distances from the origin, in pixels
OFFSET = 2.6
"""The true shift of the detector, in pixels."""

# %%
# The slice: densities relative to water, on pixels of 2 x 2 and 5 x 5 of the original ones.

dataset = pydicom.dcmread(get_testdata_file("693_UNCR.dcm", download=False))
hounsfield = torch.from_numpy(dataset.pixel_array.astype("float64")) * dataset.RescaleSlope + dataset.RescaleIntercept
density = (1 + hounsfield / 1000).clamp(min=0)[16:496, 16:496]
fine, truth = (density.reshape(n, 480 // n, n, 480 // n).mean((1, 3)) for n in (240, SIZE))

# %%
# The scan, with the errors of the encoder and noise of half a percent.


def scan(thetas: Tensor, offset: Tensor | float, size: int = SIZE) -> CT2D:
    """Return the projector of a scan; lengths are those of a grid of ``SIZE`` pixels along an edge."""
    unit = size / SIZE
    return CT2D(
        (size, size),
        unit * WIDTH,
        DETECTORS,
        thetas,
        proj_geom_type="fanflat",
        source_origin_dist=unit * SOURCE,
        origin_detector_dist=unit * DETECTOR,
        projector_type="linear",
        dtype="float64",
        det_offset=unit * offset,
    )


read = torch.arange(VIEWS, dtype=torch.float64) * (2 * math.pi / VIEWS)
errors = torch.deg2rad(3 * torch.sin(read + 0.6) + 1.5 * torch.sin(2 * read))
clean = scan(read + errors, OFFSET, 240)(fine) / 2.5
noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0), dtype=clean.dtype)
y = clean + 0.005 * clean.std() * noise

# %%
# The misfit, and L-BFGS for five numbers, scaled so that all are about as large as one. The operators are built in each
# call, with the geometry of the moment.

harmonics = torch.stack([wave(k * read) for k in (1, 2) for wave in (torch.sin, torch.cos)])
unknown = torch.zeros(1 + len(harmonics), dtype=torch.float64, requires_grad=True)
history: list[float] = []


def geometry(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Return the angles and the offset."""
    return read + 0.02 * numbers[1:] @ harmonics, numbers[0]


def misfit() -> Tensor:
    """Return the part of the data that the image does not explain, and its gradient in ``unknown``."""
    search.zero_grad()
    A = scan(*geometry(unknown))
    residual = A(FBP(A, "shepp-logan")(y)) - y
    loss = residual.square().sum() / y.square().sum()
    (1000 * loss).backward()
    history.append(loss.item())
    return 1000 * loss


search = torch.optim.LBFGS([unknown], max_iter=18, line_search_fn="strong_wolfe")
search.step(misfit)
thetas, offset = geometry(unknown.detach())

# %%
# What was found, and the images before and after.


def degrees_off(angles: Tensor) -> Tensor:
    """Return the error of angles in degrees, without the mean, which the data do not determine."""
    error = torch.rad2deg(angles - read - errors)
    return error - error.mean()


def psnr(image: Tensor) -> float:
    """Return the PSNR in dB in the circle that all views see."""
    axis = torch.arange(SIZE) - (SIZE - 1) / 2
    inside = torch.hypot(*torch.meshgrid(axis, axis, indexing="ij")) < SIZE / 2 - 2
    return -10 * math.log10(float((image - truth)[inside].square().mean() / truth.max() ** 2))


images = {
    "as the encoder reads": FBP(scan(read, 0.0))(y),
    "calibrated": FBP(scan(thetas, offset))(y),
    "true geometry": FBP(scan(read + errors, OFFSET))(y),
}
quality = {name: psnr(image) for name, image in images.items()}
before, after = float(degrees_off(read).std()), float(degrees_off(thetas).std())
print(f"offset of the detector: found {float(offset):.2f}, true {OFFSET} pixels")
print(f"angles: off by {before:.2f} degrees before, {after:.2f} after, in {len(history)} evaluations")
for name, value in quality.items():
    print(f"{name:20} {value:.1f} dB")
assert abs(float(offset) - OFFSET) < 0.1
assert after < before / 3
assert quality["calibrated"] > quality["as the encoder reads"] + 10
assert quality["calibrated"] > quality["true geometry"] - 1.5

# %%
# The images. The errors of the geometry double the skull.

figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
for axis, (name, image) in zip(axes, {"slice": truth, **images}.items(), strict=True):
    picture = axis.imshow(image, cmap="gray", vmin=0.0, vmax=2.0)
    axis.set(xticks=[], yticks=[], title=name if name == "slice" else f"{name}\n{quality[name]:.1f} dB")
figure.colorbar(picture, ax=axes, label="density (water = 1)")

# %%
# The errors of the angles, and the misfit.

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.6), layout="constrained")
left.plot(torch.rad2deg(read), torch.rad2deg(errors - errors.mean()), color="black", label="true")
left.plot(torch.rad2deg(read), torch.rad2deg(thetas - read - (thetas - read).mean()), "--", label="found")
left.set(title="error of the encoder", xlabel="angle that is read (degrees)", ylabel="error (degrees)")
left.legend()
right.semilogy(history, marker=".")
right.set(title="misfit", xlabel="evaluation", ylabel="part of the data that is not explained")
plt.show()
