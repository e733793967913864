"""Convolution matrices, and estimates of local slopes and dips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.polynomial import polynomial
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from torchlops.arrays import from_array
from torchlops.extras import import_extra

Array = TypeVar("Array", Tensor, NDArray[Any])


def convmtx(h: ArrayLike, n: int, offset: int = 0, sparse: bool = False) -> Any:
    """Return the matrix ``C`` of the full convolution with ``h``: ``C @ x`` is ``np.convolve(h, x)`` for ``n`` samples.

    Args:
        h: The filter ``(nh,)``.
        n: Number of columns.
        offset: Number of leading rows to omit; the same number of zero rows is appended.
        sparse: Return a SciPy CSR matrix.

    >>> convmtx(np.array([1.0, 2.0]), 2)
    array([[1., 0.],
           [2., 1.],
           [0., 2.]])
    """
    h = np.asarray(h)
    rows = np.arange(offset, offset + len(h) + n - 1)[:, None] - np.arange(n)
    inside = (rows >= 0) & (rows < len(h))
    return _as_asked(np.where(inside, h[np.clip(rows, 0, len(h) - 1)], 0), sparse)


def nonstationary_convmtx(
    H: ArrayLike, n: int, hc: int = 0, pad: tuple[int, int] = (0, 0), sparse: bool = False
) -> Any:
    """Return the matrix of a non-stationary convolution: column ``i`` holds the filter ``H[i]`` from row ``i - hc`` on.

    Args:
        H: The filters ``(n, nh)``, one per column.
        n: Number of rows.
        hc: Index of the centre of the filters.
        pad: Number of zeros before and after each filter, as required by the cyclic shift by ``i``.
        sparse: Return a SciPy CSR matrix.

    >>> nonstationary_convmtx(np.array([[1.0, 2.0], [3.0, 4.0]]), 2, pad=(0, 2))
    array([[1., 0.],
           [2., 3.]])
    """
    H = np.pad(np.asarray(H), ((0, 0), pad))
    nh = H.shape[1]
    rows = np.arange(pad[0] + hc, pad[0] + hc + n)
    rows = rows[rows < nh]
    columns = np.arange(len(H))
    return _as_asked(H[columns, (rows[:, None] - columns) % nh], sparse)


def slope_estimate(
    d: Array, dz: float = 1.0, dx: float = 1.0, smooth: float = 5.0, eps: float = 0.0, dips: bool = False
) -> tuple[Array, Array]:
    r"""Estimate local slopes from the smoothed structure tensor.

    Let :math:`g_z, g_x` be the gradients, and :math:`g_{zz}, g_{zx}, g_{xx}` the Gaussian means of their products. The
    slope is that of the eigenvector of the largest eigenvalue :math:`\lambda_1`,
    :math:`(\lambda_1 - g_{zz}) / g_{zx}`, and the linearity is :math:`1 - \lambda_2 / \lambda_1`.

    Args:
        d: Images ``(*batch, nz, nx)``, an array or a tensor.
        dz: Sampling along the first axis, in any unit.
        dx: Sampling along the second axis, in the same unit.
        smooth: Standard deviation of the Gaussian mean, in samples; 0 for no smoothing.
        eps: Threshold relative to the largest product. Products up to it count as zero.
        dips: Return dip angles in radians, :math:`\frac12 \mathrm{atan2}(2 g_{zx}, g_{zz} - g_{xx})`, not slopes.

    Returns:
        The slopes (or dips) and the linearity. Both are 0 where there is no gradient.

    Raises:
        ValueError: If ``smooth`` is negative.

    Source: van Vliet and Verbeek, ASCI conference (1995), 442.

    >>> z, x = np.mgrid[:32, :32]
    >>> slopes, linearity = slope_estimate(np.sin(0.4 * (z - 0.5 * x)), smooth=4)
    >>> bool(abs(slopes[16, 16] + 0.5) < 0.02), bool(linearity[16, 16] > 0.9)
    (True, True)
    """
    if not isinstance(d, Tensor):
        tensor, back = from_array(np.asarray(d), "slope_estimate")
        slopes, linearity = slope_estimate(tensor, dz, dx, smooth, eps, dips)
        return back(slopes), back(linearity)
    gz, gx = torch.gradient(d, spacing=(dz, dx), dim=(-2, -1))
    gzz, gzx, gxx = (_gaussian_mean(product, smooth) for product in (gz * gz, gz * gx, gx * gx))
    largest = torch.stack([gzz, gxx, gzx.abs()]).amax(dim=(0, -2, -1))[..., None, None]
    is_flat = largest <= eps
    gzz, gzx, gxx = (product / torch.where(is_flat, 1, largest) for product in (gzz, gzx, gxx))
    mean = 0.5 * (gzz + gxx)
    spread = 0.5 * torch.sqrt((gzz - gxx) ** 2 + 4 * gzx**2)
    first, second = mean + spread, mean - spread
    zero = torch.zeros_like(d)
    known = ~is_flat & (first > eps)
    linearity = torch.where(known, 1 - second / torch.where(known, first, 1), zero)
    if dips:
        return torch.where(is_flat, zero, 0.5 * torch.atan2(2 * gzx, gzz - gxx)), linearity
    sloped = ~is_flat & (gzx.abs() > eps)
    return torch.where(sloped, (first - gzz) / torch.where(sloped, gzx, 1), zero), linearity


def dip_estimate(
    d: Array, dz: float = 1.0, dx: float = 1.0, smooth: float = 5, eps: float = 0.0
) -> tuple[Array, Array]:
    """Estimate local dip angles in radians, by :func:`slope_estimate` with ``dips=True``."""
    return slope_estimate(d, dz=dz, dx=dx, smooth=smooth, eps=eps, dips=True)


def pwd_slope_estimate(
    d: ArrayLike,
    niter: int = 5,
    liter: int = 20,
    order: Literal[1, 2] = 2,
    smoothing: Literal["triangle", "boxcar"] = "triangle",
    nsmooth: int | Sequence[int] = 10,
    damp: float = 0.0,
    axis: int = -1,
) -> NDArray[Any]:
    r"""Estimate local slopes by plane-wave destruction.

    Gauss-Newton iterations on the filter :math:`C(\sigma)\,d`, which predicts each trace from its neighbour: each
    iteration solves :math:`C'(\sigma)\,d\;\Delta\sigma = -C(\sigma)\,d` for a smooth :math:`\Delta\sigma` by LSQR.

    Args:
        d: A section ``(nz, nx)`` or a volume ``(nz, ny, nx)``.
        niter: Number of Gauss-Newton iterations.
        liter: Number of LSQR iterations in each.
        order: 1 for a filter of three samples, 2 for five.
        smoothing: ``triangle`` (two box means) or ``boxcar``.
        nsmooth: Length of the mean in samples, one value or one per axis.
        damp: Damping of LSQR.
        axis: Axis across traces along which slopes of a volume are estimated.

    Returns:
        The slopes in samples per trace, of the shape of ``d``. Requires SciPy: ``pip install torchlops[scipy]``.

    Raises:
        ImportError: If SciPy is not installed.
        ValueError: If an option is unknown, or ``d`` does not have two or three axes.

    Source: Fomel, Geophysics 67, 1946 (2002).
    """
    from torchlops.basicoperators import Diagonal, SmoothingND

    lsqr = import_extra("scipy.sparse.linalg", "pwd_slope_estimate").lsqr
    section = np.asarray(d)
    if order not in (1, 2):
        raise ValueError(f"order must be 1 (three samples) or 2 (five samples), got {order!r}")
    if smoothing not in ("triangle", "boxcar"):
        raise ValueError(f"smoothing must be triangle or boxcar, got {smoothing!r}")
    if section.ndim not in (2, 3):
        raise ValueError(f"pwd_slope_estimate takes a section or a volume, got {section.ndim} axes")
    lengths = tuple(nsmooth) if isinstance(nsmooth, Sequence) else (nsmooth,) * section.ndim
    if axis % section.ndim == 2:
        section, lengths = section.swapaxes(1, 2), (lengths[0], lengths[2], lengths[1])
    half = [(n + 1) // 2 for n in lengths] if smoothing == "triangle" else lengths
    mean = SmoothingND(half, section.shape, axes=tuple(range(section.ndim)))
    mean = mean @ mean if smoothing == "triangle" else mean
    slopes = np.zeros_like(section, dtype=np.result_type(section, np.float32))
    for _ in range(niter):
        derivative, residual = _plane_wave_filter(section, slopes, order)
        A = Diagonal(derivative) @ mean
        update = lsqr(A, -residual.ravel(), damp=damp, iter_lim=liter)[0]
        slopes += mean(update.astype(slopes.dtype).reshape(section.shape))
    return slopes.swapaxes(1, 2) if axis % section.ndim == 2 else slopes


# The taps of the maximally flat fractional delay by s samples are polynomials in s. Here are their roots and divisors.
_DELAY_TAPS: dict[int, list[tuple[list[int], int]]] = {
    1: [([1, 2], 12), ([-2, 2], -6), ([-1, -2], 12)],
    2: [
        ([1, 2, 3, 4], 1680),
        ([-4, 2, 3, 4], -420),
        ([-4, -3, 3, 4], 280),
        ([-4, -3, -2, 4], -420),
        ([-1, -2, -3, -4], 1680),
    ],
}


def _plane_wave_filter(d: Any, slopes: Any, order: int) -> tuple[Any, Any]:
    """Return the derivative of the plane-wave destruction residual with respect to the slopes, and the residual."""
    residual, derivative = np.zeros_like(slopes), np.zeros_like(slopes)
    inner = slice(order, len(d) - order)
    s = slopes[inner, :-1]
    for tap, (roots, divisor) in enumerate(_DELAY_TAPS[order]):
        weight = polynomial.polyfromroots(roots) / divisor
        ahead, behind = tap, 2 * order - tap
        difference = d[ahead : len(d) - behind, 1:] - d[behind : len(d) - ahead, :-1]
        residual[inner, :-1] += polynomial.polyval(s, weight) * difference
        derivative[inner, :-1] += polynomial.polyval(s, polynomial.polyder(weight)) * difference
    return derivative, residual


def _gaussian_mean(x: Tensor, sigma: float) -> Tensor:
    """Return the Gaussian mean along the last two axes, with the image mirrored at its edges."""
    if sigma < 0:
        raise ValueError(f"smooth must be 0 or more, got {sigma}")
    if sigma == 0:
        return x
    for axis in (-1, -2):
        weights = _gaussian_matrix(x.shape[axis], sigma).to(device=x.device, dtype=x.dtype)
        x = x @ weights.mT if axis == -1 else weights @ x
    return x


def _gaussian_matrix(n: int, sigma: float) -> Tensor:
    radius = int(4 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    taps = np.exp(-0.5 * (offsets / sigma) ** 2)
    taps /= taps.sum()
    mirrored = (np.arange(n)[:, None] + offsets) % (2 * n)
    mirrored = np.where(mirrored < n, mirrored, 2 * n - 1 - mirrored)
    matrix = np.zeros((n, n))
    np.add.at(matrix, (np.arange(n)[:, None], mirrored), taps)
    return torch.from_numpy(matrix)


def _as_asked(matrix: Any, sparse: bool) -> Any:
    if not sparse:
        return matrix
    return import_extra("scipy.sparse", "a sparse convolution matrix").csr_matrix(matrix)
