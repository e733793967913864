"""Operators and applications of medical imaging."""

from torchlops.medical.ct import CT2D

__all__ = ["CT2D"]
