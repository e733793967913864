"""Operators and applications of seismic wave-equation processing."""

from torchlops.waveeqprocessing.blending import BlendingContinuous, BlendingGroup, BlendingHalf
from torchlops.waveeqprocessing.oneway import Deghosting, PhaseShift
from torchlops.waveeqprocessing.wavedecomposition import (
    PressureToVelocity,
    UpDownComposition2D,
    UpDownComposition3D,
    WavefieldDecomposition,
)

__all__ = [
    "BlendingContinuous",
    "BlendingGroup",
    "BlendingHalf",
    "Deghosting",
    "PhaseShift",
    "PressureToVelocity",
    "UpDownComposition2D",
    "UpDownComposition3D",
    "WavefieldDecomposition",
]
