"""Weights that make the adjoint of a non-uniform FFT an approximate inverse."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import to_numpy
from torchlops.basicoperators._positions import carries_derivative, given_or_kept
from torchlops.shapes import as_integer
from torchlops.signalprocessing._nonuniformfft import NonUniformTransform
from torchlops.signalprocessing.nufft import NUFFT

METHODS = ("pipe-menon", "ramp")
WINDOW = 1e-2
"""The tolerance of the transform whose window smooths the density: it is narrow, and positive."""


def density_compensation(A: NUFFT, method: str = "pipe-menon", niter: int = 20) -> Any:
    r"""Return weights with which :math:`A^H W A` is near the identity: the inverse of the density of the points.

    ``A.H(weights * y)`` is then a first image, and ``A.gram(weights)`` a well-conditioned operator.

    ``"pipe-menon"`` iterates :math:`w \leftarrow w / (G G^H w)` with a narrow window :math:`G`, for any points.
    ``"ramp"`` is :math:`|\omega|^{d - 1}`, with the share of a ball at zero, for the diameters of a radial trajectory
    whose samples are evenly spaced. Both are scaled so that :math:`A A^H w`, which would be 1, is so in the mean over
    the points by their density :math:`1 / w`. They are differentiable in the points, if these are a tensor.

    Args:
        A: The non-uniform FFT, of which the points and the scaling are taken.
        method: ``"pipe-menon"`` or ``"ramp"``.
        niter: Number of iterations of the former.

    Returns:
        The weights ``(*samples, M)``, in float64: a tensor if the points are one, otherwise an array.

    Raises:
        ValueError: If the method is unknown, or ``niter`` is not positive.
        TypeError: If ``A`` is not a NUFFT.

    Source: J. G. Pipe and P. Menon, Sampling density compensation in MRI: rationale and an iterative numerical
    solution, Magn. Reson. Med. 41 (1999), 179-186.

    Example:
        >>> import numpy as np
        >>> A = NUFFT(4, 2 * np.pi / 4 * np.array([[-2.0], [-1.0], [0.0], [1.0]]))
        >>> density_compensation(A).round(4)
        array([0.25, 0.25, 0.25, 0.25])
    """
    if not isinstance(A, NUFFT):
        raise TypeError(f"density_compensation takes a NUFFT, got {type(A).__name__}")
    if method not in METHODS:
        raise ValueError(f"density_compensation: method must be 'pipe-menon' or 'ramp', got {method!r}")
    points = given_or_kept(A, "points").to(torch.float64)
    with torch.set_grad_enabled(torch.is_grad_enabled() and carries_derivative(points)):
        w = _ramp(points) if method == "ramp" else _smoothed(A, points, as_integer(niter, "niter", least=1))
        response = A.apply_nd(A.apply_nd(w.to(torch.complex128), True)).real
        w = w * ((1 / w).sum(-1, keepdim=True) / (response / w).sum(-1, keepdim=True))
    return w if isinstance(A.points, Tensor) else to_numpy(w)


def _smoothed(A: NUFFT, points: Tensor, niter: int) -> Tensor:
    """Return the weights of Pipe and Menon."""
    G = NonUniformTransform(A._axes, points, WINDOW, "none", "complex128", "G", "torch")
    w = points.new_ones(A.dimsd)
    for _ in range(niter):
        w = w / G._gathered(G._scattered(w))
    return w


def _ramp(points: Tensor) -> Tensor:
    """Return a power of the distance from zero and, at zero, the share of each diameter in a ball."""
    d = points.shape[-1]
    turns = points / (2 * math.pi)
    radius = torch.linalg.vector_norm(2 * math.pi * (turns - turns.round()), dim=-1)
    step = torch.where(radius > 0, radius, math.inf).amin(-1, keepdim=True)
    share = torch.where(step < math.inf, (step / 2) ** (d - 1) / d, 1.0)
    return torch.where(radius > 0, radius ** (d - 1), share)
