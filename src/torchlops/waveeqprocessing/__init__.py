"""Operators and applications of seismic wave-equation processing."""

from torchlops.waveeqprocessing.kirchhoff import Kirchhoff
from torchlops.waveeqprocessing.lsm import LSM

__all__ = ["LSM", "Kirchhoff"]
