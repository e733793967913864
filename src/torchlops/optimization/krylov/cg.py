"""Conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from torchlops.optimization.krylov.square import SquareSolver, SquareState
from torchlops.optimization.solver.problem import Problem
from torchlops.optimization.solver.state import WORK, Status
from torchlops.optimization.solver.vectors import Scalar, axpy, inner, minimum, quotient, squared_norm, xpay


@dataclass(kw_only=True)
class CGState(SquareState):
    """Residual ``r``, direction ``p``, ``<r, M r>``, and the shortest step so far, of conjugate gradients."""

    r: Tensor = field(metadata=WORK)
    p: Tensor = field(metadata=WORK)
    rz: Scalar
    shortest: Scalar


@dataclass(frozen=True, eq=False)
class CG(SquareSolver[CGState]):
    r"""Conjugate gradients for a Hermitian positive definite operator.

    .. math:: (A + \epsilon I) x = y

    With a preconditioner ``M``, which is Hermitian positive definite too and approximates the inverse. A direction
    of negative curvature, or of none, stops the sample with the status ``INDEFINITE``. (PyLops goes on, and diverges.)

    Source: M. R. Hestenes and E. Stiefel, Methods of conjugate gradients for solving linear systems, J. Res. Nat.
    Bur. Standards 49 (1952), 409-436.
    """

    tol: Any = 1e-4
    rtol1: Any = 0.0

    vectors = (4, 1)

    def start(self, problem: Problem) -> CGState:
        r = self.residual(problem)
        z = problem.precondition(r)
        rr = squared_norm(r)
        rz = rr if problem.M is None else inner(r, z)
        longest = 0.0 * rr + torch.finfo(r.dtype).max
        state = CGState(r=r, p=z.clone(), rz=rz, shortest=longest, **self.first(problem, rr))
        state.go_on(rr > state.limit)
        return state

    def iterate(self, problem: Problem, state: CGState) -> None:
        s = state
        q = self.multiply(problem, s.p)
        curvature = inner(s.p, q)
        # the shortest step is above 1 / ||A||: one that is longer by 1 / rounding has no curvature
        s.stop(curvature * s.shortest <= problem.rounding * s.rz, Status.INDEFINITE)
        alpha = quotient(s.rz, curvature, s.active)
        s.shortest = minimum(s.shortest, alpha)
        s.x = axpy(s.x, alpha, s.p)
        s.r = axpy(s.r, alpha, q, -1)
        z = problem.precondition(s.r)
        rr = squared_norm(s.r)
        rz = rr if problem.M is None else inner(s.r, z)
        if problem.M is not None:
            s.stop((rz <= 0) & (rr > s.limit), Status.INDEFINITE)
        s.p = xpay(z, quotient(rz, s.rz, s.active), s.p)
        s.rz = rz
        self.watch(s, rr)

    def final_status(self, problem: Problem, state: CGState, status: Tensor) -> Tensor:
        near = torch.as_tensor(state.rr <= problem.rounding * state.ynorm * state.ynorm, device=status.device)
        near = near.reshape(status.shape)
        return torch.where((status == Status.INDEFINITE) & near, int(Status.ILL_CONDITIONED), status)
