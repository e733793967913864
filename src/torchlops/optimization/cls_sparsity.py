"""The classes of the sparse solvers, each of which stands in a file of its own."""

from torchlops.optimization.cls_irls import IRLS
from torchlops.optimization.cls_ista import FISTA, ISTA
from torchlops.optimization.cls_omp import OMP
from torchlops.optimization.cls_spgl1 import SPGL1
from torchlops.optimization.cls_splitbregman import SplitBregman

__all__ = ["FISTA", "IRLS", "ISTA", "OMP", "SPGL1", "SplitBregman"]
