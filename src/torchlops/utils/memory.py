"""Faster memory for large outputs, for those who ask for it."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST = 2**31 - 1  # mallopt takes a C int


def reuse_memory(limit: int = _MOST) -> bool:
    """Let the C library keep the memory of freed tensors for the next ones, instead of giving it back.

    On Linux, glibc takes every block of more than 32 MB or so from the kernel and gives it back when it is
    freed; the first touch of each fresh page then costs more than the arithmetic of most operators. This
    call, made once, raises the two thresholds (``mallopt`` of ``M_MMAP_THRESHOLD`` and ``M_TRIM_THRESHOLD``).
    The price is that a process keeps the memory of its peak. It affects the CPU only, for the whole process,
    and blocks from then on.

    The environment variables ``MALLOC_MMAP_THRESHOLD_`` and ``MALLOC_TRIM_THRESHOLD_`` do the same from
    outside, and for blocks of 2 GiB and more.

    Args:
        limit: Size in bytes up to which a block is kept, at most 2 GiB.

    Returns:
        Whether this system has that switch: True with glibc, False elsewhere, where nothing is changed.

    Raises:
        ValueError: when ``limit`` is not between 1 and 2 GiB.

    Example:
        >>> isinstance(reuse_memory(), bool)
        True
    """
    if not 0 < limit <= _MOST:
        raise ValueError(f"limit must be between 1 and {_MOST} bytes, got {limit}")
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all(mallopt(option, limit) == 1 for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))
