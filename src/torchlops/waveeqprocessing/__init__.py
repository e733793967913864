"""Operators and applications of seismic wave-equation processing."""

from torchlops.waveeqprocessing.marchenko import Marchenko
from torchlops.waveeqprocessing.mdd import MDC, MDD
from torchlops.waveeqprocessing.seismicinterpolation import SeismicInterpolation

__all__ = ["MDC", "MDD", "Marchenko", "SeismicInterpolation"]
