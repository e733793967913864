"""Operators and applications of seismic wave-equation processing."""

from torchlops.waveeqprocessing.blending import BlendingContinuous, BlendingGroup, BlendingHalf
from torchlops.waveeqprocessing.marchenko import Marchenko
from torchlops.waveeqprocessing.mdd import MDC, MDD
from torchlops.waveeqprocessing.oneway import Deghosting, PhaseShift
from torchlops.waveeqprocessing.seismicinterpolation import SeismicInterpolation
from torchlops.waveeqprocessing.wavedecomposition import (
    PressureToVelocity,
    UpDownComposition2D,
    UpDownComposition3D,
    WavefieldDecomposition,
)

__all__ = [
    "MDC",
    "MDD",
    "BlendingContinuous",
    "BlendingGroup",
    "BlendingHalf",
    "Deghosting",
    "Marchenko",
    "PhaseShift",
    "PressureToVelocity",
    "SeismicInterpolation",
    "UpDownComposition2D",
    "UpDownComposition3D",
    "WavefieldDecomposition",
]
