"""Solvers of inverse problems: batched, preconditioned and differentiable."""
