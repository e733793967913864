"""Operators and applications of seismic wave-equation processing."""

from torchlops.waveeqprocessing.acousticmodelling import AcousticBorn, AcousticModelling
from torchlops.waveeqprocessing.blending import BlendingContinuous, BlendingGroup, BlendingHalf
from torchlops.waveeqprocessing.kirchhoff import Kirchhoff
from torchlops.waveeqprocessing.lsm import LSM
from torchlops.waveeqprocessing.marchenko import Marchenko
from torchlops.waveeqprocessing.mdd import MDC, MDD
from torchlops.waveeqprocessing.oneway import Deghosting, PhaseShift
from torchlops.waveeqprocessing.seismicinterpolation import SeismicInterpolation
from torchlops.waveeqprocessing.twoway import AcousticWave2D
from torchlops.waveeqprocessing.wavedecomposition import (
    PressureToVelocity,
    UpDownComposition2D,
    UpDownComposition3D,
    WavefieldDecomposition,
)

__all__ = [
    "LSM",
    "MDC",
    "MDD",
    "AcousticBorn",
    "AcousticModelling",
    "AcousticWave2D",
    "BlendingContinuous",
    "BlendingGroup",
    "BlendingHalf",
    "Deghosting",
    "Kirchhoff",
    "Marchenko",
    "PhaseShift",
    "PressureToVelocity",
    "SeismicInterpolation",
    "UpDownComposition2D",
    "UpDownComposition3D",
    "WavefieldDecomposition",
]
