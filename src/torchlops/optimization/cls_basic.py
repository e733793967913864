"""The classes of the basic solvers, each of which stands in a file of its own."""

from torchlops.optimization.basesolver import Solver, SolverError, SolverWarning, Status
from torchlops.optimization.cls_cg import CG
from torchlops.optimization.cls_cgls import CGLS

__all__ = ["CG", "CGLS", "Solver", "SolverError", "SolverWarning", "Status"]
