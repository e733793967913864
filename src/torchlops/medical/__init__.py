"""Operators and applications of medical imaging."""

from torchlops.medical.coilmaps import espirit_maps, walsh_maps
from torchlops.medical.ct import CT2D
from torchlops.medical.ct3d import CT3D
from torchlops.medical.fbp import FBP
from torchlops.medical.fdk import FDK
from torchlops.medical.mri import MRI2D
from torchlops.medical.sense import SENSE
from torchlops.medical.sensitivity import Sensitivity
from torchlops.medical.trajectories import cone_vectors, parallel3d_vectors

__all__ = [
    "CT2D",
    "CT3D",
    "FBP",
    "FDK",
    "MRI2D",
    "SENSE",
    "Sensitivity",
    "cone_vectors",
    "espirit_maps",
    "parallel3d_vectors",
    "walsh_maps",
]
