"""The classes of the basic solvers, each of which stands in a file of its own."""

from torchlops.optimization.basesolver import Solver, SolverError, SolverWarning, Status, WarmStart
from torchlops.optimization.cls_bicgstab import BiCGSTAB
from torchlops.optimization.cls_cg import CG
from torchlops.optimization.cls_cgls import CGLS
from torchlops.optimization.cls_gmres import GMRES
from torchlops.optimization.cls_lsmr import LSMR
from torchlops.optimization.cls_lsqr import LSQR
from torchlops.optimization.cls_minres import MINRES

__all__ = [
    "CG",
    "CGLS",
    "GMRES",
    "LSMR",
    "LSQR",
    "MINRES",
    "BiCGSTAB",
    "Solver",
    "SolverError",
    "SolverWarning",
    "Status",
    "WarmStart",
]
