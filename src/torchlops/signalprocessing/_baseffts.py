"""The scalings of Fourier transforms as PyLops numbers them, for packages that import them from there."""

from __future__ import annotations

from enum import Enum, auto


class _FFTNorms(Enum):
    """The scalings; ours are given by name, ``norm="ortho"``, ``"none"`` or ``"1/n"``."""

    ORTHO = auto()
    NONE = auto()
    ONE_OVER_N = auto()
