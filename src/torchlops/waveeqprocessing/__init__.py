"""Operators and applications of seismic wave-equation processing."""

from torchlops.waveeqprocessing.acousticmodelling import AcousticBorn, AcousticModelling
from torchlops.waveeqprocessing.twoway import AcousticWave2D

__all__ = ["AcousticBorn", "AcousticModelling", "AcousticWave2D"]
