"""Solvers of inverse problems: batched, preconditioned and differentiable."""

from torchlops.optimization.basic import bicgstab, cg, cgls, gmres, lsmr, lsqr, minres

__all__ = ["bicgstab", "cg", "cgls", "gmres", "lsmr", "lsqr", "minres"]
