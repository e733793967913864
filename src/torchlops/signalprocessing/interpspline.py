"""Interpolation by cubic splines, under the name of PyLops's module."""

from torchlops.signalprocessing.interpcubicspline import InterpCubicSpline

__all__ = ["InterpCubicSpline"]
