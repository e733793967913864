"""Solvers of inverse problems: batched, preconditioned and differentiable."""

from torchlops.optimization.basic import bicgstab, cg, cgls, gmres, lsmr, lsqr, minres
from torchlops.optimization.leastsquares import (
    normal_equations_inversion,
    preconditioned_inversion,
    regularized_inversion,
)
from torchlops.optimization.solver.options import Implicit, Options, Unroll, WarmStart
from torchlops.optimization.solver.result import SolverError, SolverWarning
from torchlops.optimization.solver.state import Status

__all__ = [
    "Implicit",
    "Options",
    "SolverError",
    "SolverWarning",
    "Status",
    "Unroll",
    "WarmStart",
    "bicgstab",
    "cg",
    "cgls",
    "gmres",
    "lsmr",
    "lsqr",
    "minres",
    "normal_equations_inversion",
    "preconditioned_inversion",
    "regularized_inversion",
]
