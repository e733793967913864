"""Photographs that come with scikit-image, and the blur of a defocused lens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from torchlops import LinearOperator, Pad
from torchlops.signalprocessing import Convolve2D

TRAINING = ("astronaut", "chelsea", "motorcycle_left", "rocket", "brick", "grass", "gravel", "moon", "text")
"""The photographs for training the network and tuning the baselines."""

TEST = ("camera", "coffee", "coins", "page")
"""The photographs used only in the final comparison."""


def photograph(name: str) -> Tensor:
    """Return a photograph in grey values from 0 to 1, as a float32 tensor ``(rows, columns)``."""
    import skimage.color
    import skimage.data
    import skimage.io
    import skimage.util

    path = next(Path(skimage.data.__file__).parent.glob(f"{name}.*"))
    image = skimage.util.img_as_float32(skimage.io.imread(path))  # type: ignore[no-untyped-call]
    if image.ndim == 3:
        image = skimage.color.rgb2gray(image[..., :3])
    return torch.from_numpy(image).float()


def central_crops(names: Sequence[str], size: int) -> Tensor:
    """Return the central ``size x size`` parts of photographs, ``(len(names), size, size)``."""
    return torch.stack([central_crop(photograph(name), (size, size)) for name in names])


def central_crop(image: Tensor, most: tuple[int, int]) -> Tensor:
    """Return the central part of an image, with even numbers of rows and columns, at most ``most``."""
    rows, columns = (min(n, m) // 2 * 2 for n, m in zip(image.shape, most, strict=True))
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return image[top : top + rows, left : left + columns]


def defocus_psf(
    half: int = 7,
    f_number: float = 5.6,
    defocus: float = 100.0,
    wavelength: float = 0.55,
    pixel: float = 3.45,
    oversampling: int = 5,
) -> Tensor:
    r"""Return the point-spread function of a diffraction-limited lens out of focus, ``(2 half + 1, 2 half + 1)``.

    The amplitude at a distance :math:`r` from the axis is that of a circular aperture, with the path difference
    :math:`W \rho^2` due to a displacement of the sensor along the axis,

    .. math:: U(r) = \int_0^1 J_0\left(\frac{\pi r \rho}{\lambda N}\right)
        e^{2 \pi i W \rho^2 / \lambda} \rho\,d\rho, \qquad W = \frac{\delta}{8 N^2}

    and its intensity is averaged over each pixel.

    Args:
        half: Number of pixels from the centre to the edge.
        f_number: Focal length divided by the aperture, :math:`N`.
        defocus: Displacement :math:`\delta` of the sensor in µm.
        wavelength: :math:`\lambda` in µm (green light).
        pixel: Pixel pitch in µm.
        oversampling: Number of points along a pixel over which the intensity is averaged.

    Source: Goodman, Introduction to Fourier Optics, section 6.4; Hopkins, Proc. R. Soc. A 231, 91 (1955).
    """
    n = 2 * half + 1
    points = (torch.arange(n * oversampling, dtype=torch.float64) + 0.5) / oversampling - n / 2
    radius = torch.hypot(points[:, None], points) * pixel
    rho = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    phase = 2 * math.pi * defocus / (8 * f_number**2) / wavelength * rho**2
    bessel = torch.special.bessel_j0(math.pi / (wavelength * f_number) * radius.flatten()[:, None] * rho)
    amplitude = torch.complex(bessel @ (rho * phase.cos()), bessel @ (rho * phase.sin()))
    intensity = amplitude.abs().square().reshape(n, oversampling, n, oversampling).mean((1, 3))
    return (intensity / intensity.sum()).float()


def blur(dims: tuple[int, int], psf: Tensor) -> LinearOperator:
    """Return the blur of a scene, restricted to the pixels that receive no light from outside the scene."""
    half = psf.shape[0] // 2
    frame = Pad([n - 2 * half for n in dims], ((half, half), (half, half)))
    A: LinearOperator = frame.H @ Convolve2D(dims, psf, offset=(half, half))
    return A
