"""Operators and applications of medical imaging."""

from torchlops.medical.coilmaps import espirit_maps, walsh_maps
from torchlops.medical.mri import MRI2D
from torchlops.medical.sense import SENSE
from torchlops.medical.sensitivity import Sensitivity

__all__ = [
    "MRI2D",
    "SENSE",
    "Sensitivity",
    "espirit_maps",
    "walsh_maps",
]
