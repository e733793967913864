"""Spectral projected gradients for basis pursuit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchlops.optimization.solver.problem import Problem, can_look
from torchlops.optimization.solver.solver import Solver, as_text
from torchlops.optimization.solver.state import State, Status
from torchlops.optimization.solver.vectors import (
    Scalar,
    as_complex,
    as_pairs,
    inner,
    keep,
    largest,
    maximum,
    minimum,
    negate,
    norm,
    ratio,
    sqrt,
    squared_norm,
    where,
)
from torchlops.optimization.sparse.prox import project_on_l1_ball
from torchlops.optimization.sparse.sparsesolver import is_in_pairs


@dataclass(kw_only=True)
class SPGL1State(State):
    """The state of SPGL1; ``cost`` is the norm of the residual.

    Attributes:
        r, g: The residual, and the gradient ``-A^H r``.
        costs: Half the squares of the last norms of the residual, by which the next one is bounded.
        sigma, tau: Norm of the residual to reach, and the radius.
        is_lasso: Whether the radius is fixed.
        f: Half the square of the norm of the residual.
        gnorm: Largest modulus of the gradient.
        gap: Duality gap of the lasso.
        step: The step of Barzilai and Borwein.
        newton: Number of updates of the radius.
        update: Norm of the last change.
        steepest: Steepest slope of the Pareto curve so far.
        size: Root mean square of the data.
    """

    r: Tensor
    g: Tensor
    costs: Tensor
    sigma: Scalar
    tau: Scalar
    is_lasso: Scalar
    f: Scalar
    gnorm: Scalar
    gap: Scalar
    step: Scalar
    newton: Scalar
    update: Scalar
    steepest: Scalar
    size: Scalar


@dataclass(frozen=True, eq=False)
class SPGL1(Solver[SPGL1State]):
    r"""Spectral projected gradients for basis pursuit denoising.

    .. math:: \min_x \|x\|_1 \quad \text{such that} \quad \|y - A x\| \le \sigma

    (basis pursuit for :math:`\sigma = 0`), or, given a radius, the lasso

    .. math:: \min_x \|y - A x\| \quad \text{such that} \quad \|x\|_1 \le \tau.

    The residual of the second, :math:`\phi(\tau) = \|r_\tau\|`, is a convex function with the derivative
    :math:`-\|A^H r_\tau\|_\infty / \|r_\tau\|`, so that Newton's method finds the :math:`\tau` at which it is
    :math:`\sigma`. Each lasso is solved by projected gradients with Barzilai-Borwein steps, just so well that the
    duality gap allows the next step of Newton, which takes the gap off: the line
    :math:`(\langle y, r \rangle - \tau \|A^H r\|_\infty) / \|r\|` is nowhere above :math:`\phi`, so that its root is no
    radius too large, whose lasso would have other solutions. A projected step that is not below the largest of the last
    few costs is shortened to the minimum along it, which is exact, since the cost is quadratic; so each iteration takes
    one forward and one adjoint. All this is done for each sample by itself.

    PyLops needs the package ``spgl1`` for it. A sample whose :math:`\sigma` is below the residual of
    all models fails with the status ``UNREACHABLE``, at a least-squares solution.

    With ``grad="implicit"`` derivatives are those of the solution on its support, with respect to the
    data, ``sigma`` (or ``tau``) and the operators.

    Args:
        tau: Radius of the lasso, where ``sigma`` is 0 and this is not: a number, or one per sample. With ``sigma`` it
            is where the search begins.
        opt_tol: Relative duality gap of the solution. It is relative to half the square of the norm of the residual (or
            of the root mean square of the data, if that is more).
        bp_tol: Tolerance on ``| ||r|| - sigma |``, relative to ``||r||`` (or to the root mean square of the data, if
            that is more). (The reference implementation has 1 in the place of the root mean square.)
        n_prev_vals: Of how many costs the largest bounds the next.

    Source: E. van den Berg and M. P. Friedlander, Probing the Pareto frontier for basis pursuit solutions, SIAM J. Sci.
    Comput. 31 (2008), 890-912. E. G. Birgin, J. M. Martinez and M. Raydan, Nonmonotone spectral projected gradient
    methods on convex sets, SIAM J. Optimization 10 (2000), 1196-1211.
    """

    tau: Any = 0.0
    opt_tol: float = 1e-4
    bp_tol: float = 1e-6
    n_prev_vals: int = 3

    weight_name = "sigma"
    weight_power = 1
    vectors = (5, 3)

    def start(self, problem: Problem) -> SPGL1State:
        y = problem.y
        zero = 0 * norm(y)
        sigma, tau = zero + problem.damp, zero + problem.per_sample(self.tau, "tau", 1)
        x = _project(problem, problem.x, tau)
        r = y - problem.forward(x) if problem.has_guess else y
        g = -problem.adjoint(r)
        history = torch.full_like(y[..., :1], -torch.inf).repeat_interleave(self.n_prev_vals, -1)
        s = SPGL1State(
            x=x, cost=zero, r=r, g=g, costs=history, sigma=sigma, tau=tau, is_lasso=(sigma == 0) & (tau > 0), f=zero,
            gnorm=zero, gap=zero, step=zero, newton=0 * zero, update=zero + 1, steepest=0 * zero,
            size=norm(y.detach()) / max(y.shape[-1], 1) ** 0.5,
        )  # fmt: skip
        self._look(problem, s)
        s.step = ratio(s.tau, s.gnorm)
        return s

    def iterate(self, problem: Problem, state: SPGL1State) -> None:
        s = state
        d = _project(problem, s.x - s.step * s.g, s.tau) - s.x
        Ad = problem.forward(d)
        slope, curvature = inner(s.g, d), squared_norm(Ad)
        is_full = s.f + slope + curvature / 2 <= largest(s.costs) + 1e-4 * slope
        to_minimum = minimum(maximum(ratio(-slope, curvature), 0.0), 1.0)
        length = where(s.active, where(is_full, 0 * slope + 1, to_minimum), 0 * slope)
        d, Ad = length * d, length * Ad
        s.x, s.r = s.x + d, s.r - Ad
        if s.count % 50 == 0:  # the recurrence of the residual collects rounding
            s.r = keep(s.active, problem.y - problem.forward(s.x), s.r)
        g = -problem.adjoint(s.r)
        dd = squared_norm(d)
        step = ratio(dd, inner(d, g - s.g))
        s.step = where((step > 0) & (step < torch.inf), step, s.step)
        s.update = where(s.active, sqrt(dd), s.update)
        s.g = keep(s.active, g, s.g)
        self._look(problem, s)

    def moved(self, problem: Problem, state: SPGL1State, x: Tensor) -> None:
        self._go_to(problem, state, x, True)

    def _go_to(self, problem: Problem, s: SPGL1State, x: Tensor, which: Scalar) -> None:
        """Go to the point of the ball that is closest to ``x``, on some samples."""
        s.x = keep(which, _project(problem, x, s.tau), s.x)
        s.r = keep(which, problem.y - problem.forward(s.x), s.r)
        s.g = keep(which, -problem.adjoint(s.r), s.g)
        s.f = where(which, squared_norm(s.r) / 2, s.f)

    def _look(self, problem: Problem, s: SPGL1State) -> None:
        """Compute the gap of the lasso, stop where it and the residual are good, and choose the next radius."""
        rr = squared_norm(s.r)
        s.f, s.cost = rr / 2, sqrt(rr)
        s.gnorm = largest(as_complex(s.g, is_in_pairs(problem)).abs())
        f, rnorm, gnorm, sigma = (_detached(value) for value in (s.f, s.cost, s.gnorm, s.sigma))
        below = inner(s.r, problem.y) - s.tau * s.gnorm
        s.gap = abs(_detached(rr - below))
        misfit = rnorm - sigma
        closed = s.gap <= self.opt_tol * maximum(f, s.size**2 / 2)
        reached = abs(misfit) <= self.bp_tol * maximum(rnorm, s.size)
        unbound = (s.tau == 0) & (misfit <= 0)  # zero is good enough
        done = where(s.is_lasso, closed, (closed & reached) | unbound)
        slope = ratio(gnorm, rnorm)
        s.steepest = maximum(s.steepest, slope)
        flat = slope <= torch.finfo(s.x.dtype).eps ** (2 / 3) * s.steepest
        searches = negate(done) & negate(reached) & negate(s.is_lasso)
        s.stop(flat & (misfit > 0) & searches, Status.UNREACHABLE)  # no residual is smaller, so no radius will do
        stuck = _detached(s.update) == 0  # no step changes anything any more
        ready = s.gap <= 0.1 * rnorm * abs(misfit)
        at_rounding = s.gap <= 16 * problem.rounding * rnorm * s.size * problem.y.shape[-1] ** 0.5
        renew = s.active & searches & (ready | stuck | at_rounding)
        # (<y, r> - tau |A^H r|) / |r| is below the Pareto curve at each tau: its root is no radius too large
        excess = where(ready, below, rr) - s.sigma * s.cost
        radius = maximum(s.tau + ratio(excess, s.gnorm), 0.0)
        last = torch.zeros_like(s.costs[..., :1]) + f
        s.costs = torch.cat([s.costs[..., 1:], last], -1)
        s.go_on(negate(done) & (abs(f) < torch.inf) & (negate(stuck) | renew))
        radius = where(renew, radius, s.tau)
        shrunk, s.tau, s.newton = radius < s.tau, radius, s.newton + renew
        if not can_look() or bool(shrunk.any() if isinstance(shrunk, Tensor) else shrunk):
            self._go_to(problem, s, s.x, shrunk)
            s.costs = keep(renew, torch.zeros_like(s.costs) + _detached(s.f), s.costs)

    def accuracy(self, problem: Problem, state: SPGL1State) -> Scalar:  # noqa: ARG002
        s = state
        rnorm, sigma = _detached(s.cost), _detached(s.sigma)
        excess = ratio(rnorm - sigma, maximum(rnorm, s.size))
        excess = where(s.tau == 0, maximum(excess, 0.0), abs(excess))  # zero may be below sigma
        return maximum(self._relative_gap(s), where(s.is_lasso, 0 * excess, excess))

    def _relative_gap(self, s: SPGL1State) -> Scalar:
        return ratio(s.gap, maximum(_detached(s.f), s.size**2 / 2))

    def numbers(self, problem: Problem, state: SPGL1State) -> dict[str, tuple[Scalar, int]]:  # noqa: ARG002
        s = state
        return {
            "tau": (s.tau, 1), "rnorm": (s.cost, 1), "gnorm": (s.gnorm, 1), "rgap": (self._relative_gap(s), 0),
            "n_newton": (s.newton, 0),
        }  # fmt: skip

    def columns(self, problem: Problem, state: SPGL1State) -> dict[str, Scalar]:
        unit = problem.scale
        return {"r2norm": state.cost * unit, "tau": state.tau * unit, "rgap": self._relative_gap(state)}

    def option_text(self, problem: Problem) -> str:
        return f"sigma = {as_text(problem.damp * problem.scale)}\topt_tol = {self.opt_tol}\tbp_tol = {self.bp_tol}"


def _project(problem: Problem, x: Tensor, radius: Scalar) -> Tensor:
    return as_pairs(project_on_l1_ball(as_complex(x, is_in_pairs(problem)), radius))


def _detached(value: Scalar) -> Scalar:
    return value.detach() if isinstance(value, Tensor) else value
