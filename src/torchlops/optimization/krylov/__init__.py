"""Krylov methods for linear systems and least squares."""

from torchlops.optimization.krylov.bicgstab import BiCGSTAB
from torchlops.optimization.krylov.cg import CG
from torchlops.optimization.krylov.cgls import CGLS
from torchlops.optimization.krylov.gmres import GMRES
from torchlops.optimization.krylov.lsmr import LSMR
from torchlops.optimization.krylov.lsqr import LSQR
from torchlops.optimization.krylov.minres import MINRES

__all__ = ["CG", "CGLS", "GMRES", "LSMR", "LSQR", "MINRES", "BiCGSTAB"]
