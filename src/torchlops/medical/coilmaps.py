"""Sensitivities of receiver coils, estimated from their own data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import Array, as_tensors, complex_dtype, promote
from torchlops.basicoperators._positions import carries_derivative
from torchlops.shapes import Dims, as_dims, per_axis

__all__ = ["espirit_maps", "walsh_maps"]

POINTS = 1 << 16
"""Number of pixels whose matrices are decomposed at a time."""


def walsh_maps(images: Array, width: Dims = 5, *, ndim: int | None = None) -> Any:
    r"""Estimate the sensitivities of coils from their images, by Walsh's adaptive combination.

    At each pixel :math:`n` they are the eigenvector of the largest eigenvalue of the covariance of the coils in a
    window around it,

    .. math:: R_n = \sum_{m \in W(n)} y_m y_m^H

    Images of low resolution, from the middle of k-space, are enough: sensitivities are smooth.

    Args:
        images: The images of the coils, ``(*batch, coils, *dims)``.
        width: Width of the window in pixels along each axis; odd. It is cut off at the edges of the image.
        ndim: Number of axes of an image. By default all axes but the first.

    Returns:
        The sensitivities, in the shape of ``images``. The sum of their squares over the coils is 1 at each pixel; there
        they are known up to a phase only. It is chosen so that the strongest combination of the coils over the whole
        image, in which the coil with the largest weight has a positive one, is positive. Zero where all images are.

    Raises:
        ValueError: If ``width`` is even, or ``images`` has no axis for the coils or is not finite.
        TypeError: If ``images`` carries a derivative: there is none to give.

    Source: D. O. Walsh, A. F. Gmitro and M. W. Marcellin, Adaptive reconstruction of phased array MR imagery, Magnetic
    Resonance in Medicine 43 (2000), 682-690.

    Example:
        >>> truth = torch.tensor([0.6, 0.8j]).reshape(2, 1, 1)
        >>> image = torch.rand(8, 8) + 1
        >>> maps = walsh_maps(truth * image, 3)
        >>> bool(((maps * truth.conj()).sum(0).abs() - 1).abs().max() < 1e-5)
        True
    """
    images, give, axes = _read("walsh_maps", images, "images", ndim)
    widths = as_dims(per_axis(width, len(axes), "walsh_maps: width"), "walsh_maps: width")
    if any(w % 2 == 0 for w in widths):
        raise ValueError(f"walsh_maps: width must be odd, so that a window has a middle, got {widths}")
    images = _unit(images, len(axes))
    coils = images.shape[-len(axes) - 1]
    rows = []
    for c in range(coils):  # of the covariance: all at once would need as much memory again
        row = images * images.narrow(-len(axes) - 1, c, 1).conj()
        for axis, w in zip(axes, widths, strict=True):
            row = _moving_sum(row, axis, w)
        rows.append(row)
    R = torch.stack(rows, -len(axes) - 1)  # (*batch, coils, coils, *dims), R[a, b] = sum y_a conj(y_b)
    maps, power = _strongest(R, len(axes))
    maps = torch.where(power.unsqueeze(-len(axes) - 1) > 0, maps, 0.0)
    return give(_in_phase(maps, _covariance(images, len(axes)), len(axes)))


def espirit_maps(
    kspace: Array,
    dims: Dims,
    width: Dims = 6,
    threshold: float = 0.02,
    crop: float = 0.95,
    *,
    ifftshift_before: bool = False,
) -> tuple[Any, Any]:
    r"""Estimate the sensitivities of coils from the middle of their k-space, by ESPIRiT.

    All windows of the calibration data, of all coils, span a space of few dimensions, to which each window of the full
    k-space belongs. To project all of them onto it, and average where they overlap, is in the image a product with a
    small Hermitian matrix at each pixel. The sensitivities are its eigenvector of the eigenvalue 1.

    Args:
        kspace: The middle of k-space, completely sampled, ``(*batch, coils, *calibration)``, with frequency zero in the
            middle of each axis, at the index ``n // 2``. 20 to 30 samples an axis are usual.
        dims: Shape of the image, whose k-space ``kspace`` is a part of.
        width: Width of the windows in samples of k-space along each axis.
        threshold: Singular values of the windows below this part of the largest are noise.
        crop: Eigenvalue, from 0 to 1, below which the sensitivities are zero: where there is no object.
        ifftshift_before: Whether the origin of the image is its sample in the middle, as in
            :class:`~torchlops.signalprocessing.NUFFT` and for the same option of
            :class:`~torchlops.signalprocessing.FFT2D`. By default it is the first sample, as in
            :class:`~torchlops.medical.MRI2D`.

    Returns:
        The sensitivities ``(*batch, coils, *dims)``, of which the sum of squares and the phase are as of
        :func:`walsh_maps`, and the eigenvalues ``(*batch, *dims)``.

    Raises:
        ValueError: If the calibration data have fewer samples than a window, or more than the image, or are not finite,
            or a threshold is not between 0 and 1.
        TypeError: If ``kspace`` carries a derivative: there is none to give.

    Source: M. Uecker et al., ESPIRiT: an eigenvalue approach to autocalibrating parallel MRI, Magnetic Resonance in
    Medicine 71 (2014), 990-1001.

    Example:
        >>> from torchlops.signalprocessing import FFT2D
        >>> truth = torch.tensor([0.6, 0.8j]).reshape(2, 1, 1)
        >>> kspace = FFT2D((16, 16), fftshift_after=True)(truth * torch.rand(16, 16))
        >>> maps, eigenvalues = espirit_maps(kspace, (16, 16), width=3)
        >>> bool(((maps * truth.conj()).sum(0).abs() - 1).abs().max() < 1e-5)
        True
    """
    dims = as_dims(dims, "espirit_maps: dims")
    kspace, give, axes = _read("espirit_maps", kspace, "kspace", len(dims))
    widths = as_dims(per_axis(width, len(dims), "espirit_maps: width"), "espirit_maps: width")
    sizes = tuple(kspace.shape[axis] for axis in axes)
    if any(not w <= n <= m for w, n, m in zip(widths, sizes, dims, strict=True)):
        raise ValueError(
            f"espirit_maps: kspace must have at least width={widths} and at most dims={dims} samples, got {sizes}"
        )
    for what, value in (("threshold", threshold), ("crop", crop)):
        if not 0 <= value <= 1:
            raise ValueError(f"espirit_maps: {what} must be from 0 to 1, got {value}")
    kspace = _unit(kspace, len(dims))
    R = _pointwise(_projection(kspace, widths, threshold), widths, dims)
    maps, eigenvalues = _strongest(R, len(dims))
    if ifftshift_before:
        maps, eigenvalues = torch.fft.fftshift(maps, axes), torch.fft.fftshift(eigenvalues, axes)
    maps = torch.where((eigenvalues >= crop).unsqueeze(axes[0] - 1), maps, 0.0)
    return give(_in_phase(maps, _covariance(kspace, len(dims)), len(dims))), give(eigenvalues)


def _read(
    owner: str, values: Array, what: str, ndim: int | None
) -> tuple[Tensor, Callable[[Tensor], Any], tuple[int, ...]]:
    """Return data of coils as a complex tensor, what gives results back, and the axes of an image."""
    (tensor,), give = as_tensors(owner, {what: values})
    count = tensor.ndim - 1 if ndim is None else ndim
    if not 1 <= count < tensor.ndim or 0 in tensor.shape[-count - 1 :]:
        raise ValueError(f"{owner}: {what} must be of shape (*batch, coils, *dims), got {tuple(tensor.shape)}")
    if carries_derivative(tensor):
        raise TypeError(f"{owner}: {what} carries a derivative, which the estimate does not have: detach it")
    if not bool(tensor.isfinite().all()):
        raise ValueError(f"{owner}: {what} must be finite, got NaN or infinity")
    return tensor.to(promote([complex_dtype(tensor.dtype), torch.complex64])), give, tuple(range(-count, 0))


def _unit(y: Tensor, ndim: int) -> Tensor:
    """Return data in units of their largest modulus, so that squares neither overflow nor vanish."""
    largest = y.abs().amax(tuple(range(-ndim - 1, 0)), keepdim=True)
    return y / torch.where(largest > 0, largest, 1.0)


def _covariance(y: Tensor, ndim: int) -> Tensor:
    """Return the covariance of the coils, ``(*batch, coils, coils)``."""
    flat = y.flatten(-ndim)
    return flat @ flat.mH


def _moving_sum(x: Tensor, axis: int, width: int) -> Tensor:
    """Return sums over a window around each sample, cut off at the edges."""
    size, half = x.shape[axis], width // 2
    shifted = x.movedim(axis, -1)
    padded = torch.nn.functional.pad(shifted, (half, half))
    total = padded.narrow(-1, 0, size)
    for start in range(1, width):
        total = total + padded.narrow(-1, start, size)
    return total.movedim(-1, axis)


def _strongest(R: Tensor, ndim: int) -> tuple[Tensor, Tensor]:
    """Return the eigenvector of the largest eigenvalue of Hermitian matrices ``(*batch, coils, coils, *dims)``."""
    batch, coils, dims = R.shape[: R.ndim - ndim - 2], R.shape[-ndim - 1], R.shape[R.ndim - ndim :]
    matrices = R.flatten(-ndim).movedim(-1, -3).reshape(-1, coils, coils)
    vectors, values = [], []
    for part in torch.split(matrices, POINTS):
        value, vector = torch.linalg.eigh(part)
        values.append(value[:, -1])
        vectors.append(vector[..., -1])
    vector, value = torch.cat(vectors), torch.cat(values)
    vector = vector.reshape(*batch, math.prod(dims), coils).mT.reshape(*batch, coils, *dims)
    return vector, value.reshape(*batch, *dims)


def _in_phase(maps: Tensor, covariance: Tensor, ndim: int) -> Tensor:
    """Return maps whose combination by the strongest eigenvector of the covariance is positive."""
    reference = torch.linalg.eigh(covariance)[1][..., -1]
    largest = reference.gather(-1, reference.abs().argmax(-1, keepdim=True))
    reference = reference * (largest.conj() / largest.abs())
    combined = (maps * reference.conj().reshape(*reference.shape, *(1,) * ndim)).sum(-ndim - 1, keepdim=True)
    modulus = combined.abs()
    return maps * torch.where(modulus > 0, combined.conj() / torch.where(modulus > 0, modulus, 1.0), 1.0)


def _projection(kspace: Tensor, widths: Sequence[int], threshold: float) -> Tensor:
    """Return the projection onto the space of the windows, ``(*batch, coils, *widths, coils, *widths)``."""
    ndim, coils = len(widths), kspace.shape[-len(widths) - 1]
    windows = kspace
    for i, width in enumerate(widths):  # each moves the samples of a window to the end
        windows = windows.unfold(kspace.ndim - ndim + i, width, 1)
    first = kspace.ndim - ndim
    windows = windows.movedim(first - 1, first - 1 + ndim).flatten(first - 1, first - 2 + ndim).flatten(first)
    U, values, _ = torch.linalg.svd(windows.mT, full_matrices=False)  # the columns span the windows
    kept = values >= threshold * values.narrow(-1, 0, 1)
    U = U * (kept & (values > 0)).to(U.dtype).unsqueeze(-2)
    P: Tensor = U @ U.mH
    return P.reshape(*P.shape[:-2], coils, *widths, coils, *widths)


def _pointwise(P: Tensor, widths: Sequence[int], dims: tuple[int, ...]) -> Tensor:
    """Return the matrices in the image, ``(*batch, coils, coils, *dims)``, of an average of projected windows.

    A sample ``j`` of a projected window is a sum over the samples ``i``; as a convolution of k-space, it depends on
    ``j - i`` only. Its transform is the product with a matrix at each pixel.
    """
    ndim = len(widths)
    batch, coils = P.shape[: P.ndim - 2 * ndim - 2], P.shape[-ndim - 1]
    at = P.ndim - 2 * ndim - 2
    order = [*range(at), at, at + ndim + 1, *range(at + 1, at + 1 + ndim), *range(at + ndim + 2, P.ndim)]
    flat = P.permute(order).reshape(*batch, coils, coils, math.prod(widths) ** 2)
    index = torch.zeros((1,), dtype=torch.int64, device=P.device)
    grids = torch.meshgrid(*(torch.arange(w, device=P.device) for w in (*widths, *widths)), indexing="ij")
    for j, i, w in zip(grids[:ndim], grids[ndim:], widths, strict=True):
        index = index * (2 * w - 1) + (j - i + w - 1)
    spans = [2 * w - 1 for w in widths]
    kernel = flat.new_zeros(*batch, coils, coils, math.prod(spans))
    kernel = kernel.scatter_add(-1, index.flatten().expand(flat.shape), flat).reshape(*batch, coils, coils, *spans)
    axes = tuple(range(-ndim, 0))
    whole = _at_zero(kernel, widths, dims)
    if whole.numel() == 0:  # which the FFT does not take
        return whole
    result: Tensor = torch.fft.ifftn(whole, dim=axes, norm="forward") / math.prod(widths)
    return result


def _at_zero(kernel: Tensor, widths: Sequence[int], dims: tuple[int, ...]) -> Tensor:
    """Return a kernel of shifts from ``1 - width`` to ``width - 1`` on a grid, with shift zero at its first sample."""
    for axis, width, size in zip(range(-len(dims), 0), widths, dims, strict=True):
        after = kernel.narrow(axis, width - 1, width)
        before = kernel.narrow(axis, 0, width - 1)
        whole = kernel.new_zeros(*(size if i == kernel.ndim + axis else n for i, n in enumerate(kernel.shape)))
        whole.narrow(axis, 0, width).add_(after)
        whole.narrow(axis, size - width + 1, width - 1).add_(before)
        kernel = whole
    return kernel
