"""Operators of medical imaging: tomography."""

from torchlops.medical.ct3d import CT3D
from torchlops.medical.trajectories import cone_vectors, parallel3d_vectors

__all__ = ["CT3D", "cone_vectors", "parallel3d_vectors"]
