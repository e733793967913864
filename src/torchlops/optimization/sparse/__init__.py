"""Solvers of problems with sparse solutions."""

from torchlops.optimization.sparse.irls import IRLS
from torchlops.optimization.sparse.ista import FISTA, ISTA
from torchlops.optimization.sparse.omp import OMP
from torchlops.optimization.sparse.spgl1 import SPGL1
from torchlops.optimization.sparse.splitbregman import SplitBregman

__all__ = ["FISTA", "IRLS", "ISTA", "OMP", "SPGL1", "SplitBregman"]
