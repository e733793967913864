"""Operators and applications of seismic wave-equation processing."""

from torchlops.waveeqprocessing.kirchhoff import Kirchhoff

__all__ = ["Kirchhoff"]
