"""What LSQR and LSMR share: Golub-Kahan bidiagonalisation, stopping rules and numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from torchlops.optimization.solver.problem import Layout, Problem
from torchlops.optimization.solver.solver import Solver, mismatch
from torchlops.optimization.solver.state import WORK, State, Status
from torchlops.optimization.solver.vectors import Scalar, axpy, norm, normalized, ratio, sqrt, squared_norm, where


@dataclass(kw_only=True)
class BidiagonalizationState(State):
    """The state of LSQR and LSMR.

    Attributes:
        u, v: The last vectors of the two bases.
        alpha, beta: The last entries of the bidiagonal matrix.
        bnorm: Norm of the first residual.
        arnorm0: Norm of the first gradient.
        atol, btol: Tolerances of each sample.
        estimates: Of the norms of the residual (with the damping) and of the gradient, of the norm and the condition
            number of the operator, and of the norm of the solution: five numbers, or ``(*batch, 5)``.
    """

    u: Tensor = field(metadata=WORK)
    v: Tensor = field(metadata=WORK)
    alpha: Scalar
    beta: Scalar
    bnorm: Scalar
    arnorm0: Scalar
    atol: Scalar
    btol: Scalar
    estimates: Tensor | tuple[Scalar, ...]

    def estimated(self) -> tuple[Scalar, ...]:
        """Return the five estimates."""
        return self.estimates if isinstance(self.estimates, tuple) else torch.split(self.estimates, 1, -1)


S = TypeVar("S", bound=BidiagonalizationState)


@dataclass(frozen=True, eq=False)
class BidiagonalizationSolver(Solver[S], Generic[S]):
    r"""Base of the solvers of :math:`\min_x \|y - A x\|^2 + \epsilon^2 \|x - x_0\|^2` by bidiagonalisation.

    :math:`\beta u` and :math:`\alpha v` come from ``A v - alpha u`` and ``A^H u - beta v``, where the first ``u`` is
    the residual of the guess :math:`x_0`: the damping is that of the distance to it, as in SciPy and PyLops.

    A sample stops where the data are fitted, :math:`\|r\| \le btol \|y\| + atol \|A\| \|x\|`, where the normal
    equations are, :math:`\|A^H r\| \le atol \|A\| \|r\|`, or where the condition number passes ``conlim``.

    Args:
        atol: Relative accuracy of the operator: a number, or one per sample. (PyLops 2.8 takes it relative to the
            initial gradient.)
        btol: Relative accuracy of the data, in the same way.
        conlim: Limit of the condition number; 0 for none.
    """

    atol: Any = 1e-8
    btol: Any = 1e-8
    conlim: float = 1e8

    kind = "least squares"
    damps_shift = True
    vectors = (5, 3)

    def first(self, problem: Problem) -> dict[str, Any]:
        """Return the fields that both states have."""
        u, beta = normalized(problem.r.clone())
        v, alpha = normalized(problem.adjoint(u))
        arnorm0 = alpha * beta
        zero = 0.0 * arnorm0
        return {
            "x": problem.x.clone(), "cost": beta, "u": u, "beta": beta,
            "v": v, "alpha": alpha, "bnorm": beta, "arnorm0": arnorm0,
            "atol": problem.per_sample(self.atol, "atol"), "btol": problem.per_sample(self.btol, "btol"),
            "estimates": _joined((zero + beta, arnorm0, zero, zero, zero + norm(problem.x))),
        }  # fmt: skip

    def bidiagonalize(self, problem: Problem, s: S) -> None:
        """Go on to the next ``u``, ``v``, ``alpha`` and ``beta``."""
        u = problem.forward(s.v)
        if s.count == 1:
            s.mismatch = mismatch(u, s.u, s.alpha)
        s.u, s.beta = normalized(axpy(u, s.alpha, s.u, -1))
        s.v, s.alpha = normalized(axpy(problem.adjoint(s.u), s.beta, s.v, -1))

    def estimate(self, problem: Problem, s: S, *now: Scalar) -> None:
        """Keep the estimates of the active samples, and stop those that meet a rule."""
        s.estimates = where(s.active, _joined(now), s.estimates)
        s.cost = where(s.active, _data_residual(problem, now[0], s.x), s.cost)
        fitted, normal, singular = self._rules(problem, s, now)
        if isinstance(fitted, Tensor):
            s.active = s.active > (fitted | normal | singular)
        else:
            s.active = s.active and not (fitted or normal or singular)

    def _rules(self, problem: Problem, s: S, estimates: tuple[Scalar, ...]) -> tuple[Scalar, Scalar, Scalar]:
        rnorm, arnorm, anorm, acond, xnorm = estimates
        rounding = problem.rounding / 2
        fitted = rnorm <= (s.btol + rounding) * s.bnorm + (s.atol + rounding) * (anorm * xnorm)
        normal = arnorm <= (s.atol + rounding) * (anorm * rnorm)
        limit = 1 / rounding if self.conlim <= 0 else min(self.conlim, 1 / rounding)
        return fitted, normal, acond >= limit

    def final_status(self, problem: Problem, state: S, status: Tensor) -> Tensor:
        early = status == Status.CONVERGED
        return torch.where(early & (self._reasons(problem, state, status) == 3), int(Status.ILL_CONDITIONED), status)

    def _reasons(self, problem: Problem, state: S, like: Tensor) -> Tensor:
        """Return, in the numbers of LSQR, why each sample stopped before the limit of iterations."""
        rules = self._rules(problem, state, state.estimated())
        fitted, normal, singular = (torch.as_tensor(rule, device=like.device).reshape(like.shape) for rule in rules)
        why = torch.where(fitted, 1, torch.where(normal, 2, torch.where(singular, 3, 7)))
        return torch.where(torch.as_tensor(state.arnorm0, device=like.device).reshape(like.shape) == 0, 0, why)

    def report(self, problem: Problem, state: S, status: Tensor, layout: Layout) -> dict[str, Any]:
        early = (status == Status.CONVERGED) | (status == Status.ILL_CONDITIONED)
        istop = torch.where(early, self._reasons(problem, state, status), 7)
        return {"istop": layout.number(istop.unsqueeze(-1))}

    def accuracy(self, problem: Problem, state: S) -> Scalar:  # noqa: ARG002
        return ratio(state.estimated()[1], state.arnorm0)

    def numbers(self, problem: Problem, state: S) -> dict[str, tuple[Scalar, int]]:
        rnorm, arnorm, anorm, acond, xnorm = state.estimated()
        return {
            "r1norm": (_data_residual(problem, rnorm, state.x), 1), "r2norm": (rnorm, 1), "arnorm": (arnorm, 1),
            "anorm": (anorm, 0), "acond": (acond, 0), "xnorm": (xnorm, 1),
        }  # fmt: skip

    def columns(self, problem: Problem, state: S) -> dict[str, Scalar]:
        rnorm, arnorm, anorm, acond, _ = state.estimated()
        unit = problem.scale
        return {
            "r1norm": state.cost * unit, "r2norm": rnorm * unit, "arnorm": arnorm * unit,
            "Norm A": anorm, "Cond A": acond,
        }  # fmt: skip


def _data_residual(problem: Problem, rnorm: Scalar, x: Tensor) -> Scalar:
    """Return ``||y - A x||``, given the norm of the residual with the damping."""
    if not problem.is_damped:
        return rnorm
    shift = x - problem.x if problem.has_guess else x
    return sqrt(rnorm * rnorm - problem.damp**2 * squared_norm(shift))


def _joined(numbers: tuple[Scalar, ...]) -> Tensor | tuple[Scalar, ...]:
    return torch.cat(numbers, -1) if isinstance(numbers[0], Tensor) else numbers
