"""Products with one matrix per slice, for example per frequency, of models ``(*batch, slices, rows, columns)``."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from torchlops.arrays import conjugate
from torchlops.memory import empty


def multiply_slices(kernel: Tensor, x: Tensor) -> Tensor:
    """Return the product in each slice, with the whole batch in the rows or columns of one matrix per slice.

    Args:
        kernel: Matrices ``(slices, nx, ny)``.
        x: Models ``(*batch, slices, ny, nz)``.
    """
    kernel, x = _of_one_dtype(kernel, x)
    batch = x.shape[: x.ndim - 3]
    items, (slices, nx, ny), nz = math.prod(batch), kernel.shape, x.shape[-1]
    x = x.reshape(items, slices, ny, nz)
    if nz == 1:  # no copy, neither before nor after
        y = torch.bmm(x.squeeze(-1).transpose(0, 1), kernel.mT).transpose(0, 1)
    else:
        y = torch.bmm(kernel, x.permute(1, 2, 0, 3).reshape(slices, ny, items * nz))
        y = y.reshape(slices, nx, items, nz).permute(2, 0, 1, 3)
    return y.reshape((*batch, slices, nx, nz)).contiguous()


def multiply_items(kernel: Tensor, x: Tensor) -> Tensor:
    """Return the result of :func:`multiply_slices`, without copies if the items of the batch are large."""
    nz = x.shape[-1]
    if nz < 64 or math.prod(x.shape[-3:]) < 1 << 14:
        return multiply_slices(kernel, x)
    kernel, x = _of_one_dtype(kernel, x)
    y = empty((*x.shape[:-3], *kernel.shape[:2], nz), x.dtype)
    for item, result in zip(x.flatten(0, -4) if x.ndim > 3 else x[None], y.view(-1, *y.shape[-3:]), strict=True):
        torch.bmm(kernel, item, out=result)
    return y


def multiply_adjoint(multiply: Callable[[Tensor, Tensor], Tensor], kernel: Tensor, y: Tensor) -> Tensor:
    """Return ``G^H y``, computed as ``conj(G^T conj(y))`` if conjugating the data is cheaper than the kernel.

    Args:
        multiply: One of the functions above.
        kernel: Matrices ``G`` of the forward, ``(slices, nx, ny)``.
        y: Data ``(*batch, slices, nx, nz)``.
    """
    _, nx, ny = kernel.shape
    if y.shape[-1] * (nx + ny) < nx * ny:
        return conjugate(multiply(kernel.mT, conjugate(y)))
    return multiply(conjugate(kernel).mT, y)


def _of_one_dtype(kernel: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(x.dtype, kernel.dtype)
    return kernel.to(dtype), x.to(dtype)
