"""Memory: outputs on huge pages, blocks that stay in the cache, and reuse of freed memory.

On large arrays, kernels are limited by memory, not by arithmetic. The first touch of an array that torch
allocates costs about eight passes over it, page by page. NumPy asks the system for huge pages, which reduce that
cost to one pass. A kernel that passes over its data several times stays in the cache if it finishes one block before
it starts the next.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

BLOCK = 1 << 18
"""Number of elements of a block, chosen such that a block and its results fit in the cache of one core."""

_HUGE = 1 << 22  # size in bytes from which NumPy asks for huge pages
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST = 2**31 - 1  # mallopt takes a C int


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return an uninitialised tensor on the CPU, on huge pages if it is large."""
    size = math.prod(shape) * dtype.itemsize
    if size < _HUGE:
        return torch.empty(shape, dtype=dtype, device="cpu")  # whatever the default device
    return torch.from_numpy(np.empty(size, dtype=np.uint8)).view(dtype).view(*shape)


def in_blocks(
    x: Tensor, dims: Sequence[int], dtype: torch.dtype, axes: Sequence[int], transform: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return ``transform(x)``, computed block by block, for a transform that acts only along ``axes``.

    Args:
        x: Input of shape ``(*batch, *dims_in)``.
        dims: Shape of one output.
        dtype: Data type of the output.
        axes: The axes that ``transform`` needs whole, counted from the end.
        transform: Function of one block. A block has all axes from the first of ``axes`` on, and one before them.
    """
    ndim = len(dims)
    y = empty((*x.shape[: x.ndim - ndim], *dims), dtype)
    for xs, ys, _ in blocks(x, y, -min(axes), axes):
        ys.copy_(transform(xs))
    return y


def blocks(x: Tensor, y: Tensor, ndim: int, axes: Sequence[int]) -> Iterator[tuple[Tensor, Tensor, slice]]:
    """Yield matching pieces of ``x`` and ``y`` of about ``BLOCK`` elements.

    The axes before the last ``ndim`` are flattened into one and divided. If one item along it is too large, and the
    last axis is not among ``axes``, the last axis is divided as well. The slice is the part of the last axis that the
    pieces cover.
    """
    x, y = _flattened(x, ndim), _flattened(y, ndim)
    item = max(math.prod(x.shape[1:]), math.prod(y.shape[1:]))
    rows = max(BLOCK // item, 1)
    columns = x.shape[-1]
    width = columns if -1 in axes else min(max(BLOCK * columns // item, 16), columns)
    for i in range(0, x.shape[0], rows):
        count = min(rows, x.shape[0] - i)
        for j in range(0, columns, width):
            part = slice(j, min(j + width, columns)) if width < columns else slice(None)
            yield x.narrow(0, i, count)[..., part], y.narrow(0, i, count)[..., part], part


def _flattened(x: Tensor, ndim: int) -> Tensor:
    """Return ``x`` with the axes before the last ``ndim`` flattened into one, even if ``x`` is empty."""
    return x.reshape(math.prod(x.shape[: x.ndim - ndim]), *x.shape[x.ndim - ndim :])


def reuse_memory(limit: int = _MOST) -> bool:
    """Let the C library keep the memory of freed tensors for reuse, instead of returning it to the system.

    On Linux, glibc obtains every block of more than about 32 MB from the kernel and returns it when it is freed. The
    first touch of each fresh page then costs more than the arithmetic of most operators. Call this function once to
    raise the two thresholds (``mallopt`` with ``M_MMAP_THRESHOLD`` and ``M_TRIM_THRESHOLD``). The drawback is that the
    process keeps the memory of its peak. The call affects CPU memory of the whole process, from then on.

    The environment variables ``MALLOC_MMAP_THRESHOLD_`` and ``MALLOC_TRIM_THRESHOLD_`` have the same effect, also
    for blocks of 2 GiB and more.

    Args:
        limit: Size in bytes up to which blocks are kept, at most 2 GiB.

    Returns:
        True if the thresholds were raised. False if the C library is not glibc; nothing is changed then.

    Raises:
        ValueError: If ``limit`` is not between 1 byte and 2 GiB.

    Example:
        >>> isinstance(reuse_memory(), bool)
        True
    """
    if not 0 < limit <= _MOST:
        raise ValueError(f"limit must be between 1 and {_MOST} bytes, got {limit}")
    mallopt = _mallopt()
    return mallopt is not None and all(mallopt(option, limit) == 1 for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))


def can_reuse_memory() -> bool:
    """Whether :func:`reuse_memory` has an effect on this system."""
    return _mallopt() is not None


def _mallopt() -> Callable[[int, int], int] | None:
    """Return the function of glibc that sets the allocator, or None if this is another C library."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        mallopt: Callable[[int, int], int] = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return None
    return mallopt
