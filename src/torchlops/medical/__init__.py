"""Operators and applications of medical imaging."""

from torchlops.medical.ct import CT2D
from torchlops.medical.ct3d import CT3D
from torchlops.medical.fbp import FBP
from torchlops.medical.fdk import FDK
from torchlops.medical.trajectories import cone_vectors, parallel3d_vectors

__all__ = ["CT2D", "CT3D", "FBP", "FDK", "cone_vectors", "parallel3d_vectors"]
