"""Operators along plane waves, under the name of PyLops's module."""

from torchlops.signalprocessing.pwsmoother2d import PWSmoother2D
from torchlops.signalprocessing.pwsprayer2d import PWSprayer2D

__all__ = ["PWSmoother2D", "PWSprayer2D"]
