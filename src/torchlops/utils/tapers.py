"""Taper windows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Literal, TypeAlias

import numpy as np

TaperType: TypeAlias = Literal["hanning", "cosine", "cosinesquare", "cosinesqrt"]
Array: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"


def hanningtaper(nmask: int, ntap: int) -> Array:
    """Return a window of ``nmask`` samples with Hanning ramps of ``ntap`` samples at both ends.

    Raises:
        ValueError: If two ramps do not fit into the window.

    >>> hanningtaper(5, 2)
    array([0., 1., 1., 1., 0.])
    """
    return _ramped(nmask, np.hanning(2 * ntap - 1)[:ntap]) if ntap > 0 else np.ones(nmask)


def cosinetaper(nmask: int, ntap: int, square: bool = False, exponent: float | None = None) -> Array:
    """Return a window of ``nmask`` samples with raised-cosine ramps of ``ntap`` samples at both ends.

    Args:
        nmask: Number of samples of the window.
        ntap: Number of samples of a ramp. A value of 1 means no ramp, as in PyLops.
        square: Square the ramps.
        exponent: Raise the ramps to this power, instead of ``square``.

    Raises:
        ValueError: If two ramps do not fit into the window.

    >>> cosinetaper(6, 3)
    array([0. , 0.5, 1. , 1. , 0.5, 0. ])
    """
    ntap = 0 if ntap == 1 else ntap
    power = (2 if square else 1) if exponent is None else exponent
    ramp = 0.5 * (np.cos((np.arange(ntap) / max(ntap - 1, 1) - 1) * np.pi) + 1.0)
    return _ramped(nmask, ramp**power)


def taper(nmask: int, ntap: int, tapertype: TaperType | None) -> Array:
    """Return a window of the type ``hanning``, ``cosine``, ``cosinesquare`` or ``cosinesqrt``; ones for None.

    Raises:
        ValueError: If the type is unknown, or two ramps do not fit into the window.
    """
    if tapertype is None:
        return np.ones(nmask)
    if tapertype == "hanning":
        return hanningtaper(nmask, ntap)
    exponents = {"cosine": 1.0, "cosinesquare": 2.0, "cosinesqrt": 0.5}
    if tapertype not in exponents:
        raise ValueError(f"tapertype must be hanning, {', '.join(exponents)} or None, got {tapertype!r}")
    return cosinetaper(nmask, ntap, exponent=exponents[tapertype])


def taper2d(nt: int, nmask: int, ntap: int | tuple[int, int], tapertype: TaperType | None = "hanning") -> Array:
    """Return a window ``(nmask, nt)``, tapered along its first axis or, with two values of ``ntap``, along both."""
    if isinstance(ntap, tuple | list):
        return np.outer(taper(nmask, ntap[0], tapertype), taper(nt, ntap[1], tapertype))
    return np.tile(taper(nmask, ntap, tapertype)[:, None], (1, nt))


def taper3d(nt: int, nmask: tuple[int, int], ntap: tuple[int, int], tapertype: TaperType | None = "hanning") -> Array:
    """Return a window ``(*nmask, nt)``, tapered along its first two axes."""
    return np.tile(tapernd(nmask, ntap, tapertype)[..., None], (1, 1, nt))


def tapernd(nmask: Sequence[int], ntap: Sequence[int], tapertype: TaperType | None = "hanning") -> Array:
    """Return a window of shape ``nmask``, tapered along each axis by ``ntap`` samples."""
    windows = [taper(n, ramp, tapertype) for n, ramp in zip(nmask, ntap, strict=True)]
    return reduce(np.multiply.outer, windows)


def _ramped(nmask: int, ramp: Array) -> Array:
    ntap = len(ramp)
    if 2 * ntap > nmask:
        raise ValueError(f"ntap={ntap} must be at most {nmask // 2}, half of the {nmask} samples")
    return np.concatenate([ramp, np.ones(nmask - 2 * ntap), ramp[::-1]])
