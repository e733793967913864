"""Spectral projected gradients for basis pursuit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchlops.optimization import _activeset  # noqa: F401  (it makes the equation known)
from torchlops.optimization._sparsesolver import SparseSolver
from torchlops.optimization._thresholds import project_on_l1_ball
from torchlops.optimization.basesolver import Status
from torchlops.optimization.cls_ista import ISTA
from torchlops.optimization.solver.vectors import Scalar

_SMALLEST_STEP, _LARGEST_STEP = 1e-16, 1e16


class _SPGL1Result(NamedTuple):
    x: Any
    p: Any
    info: dict[str, Any]


class SPGL1Result(_SPGL1Result):
    """The result of SPGL1, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        p: The sparse coefficients: ``x`` itself without ``SOp``.
        info: ``tau`` (``||p||_1`` may be up to this), ``rnorm`` (norm of the residual), ``gnorm`` (largest modulus of
            ``A^H r``, which is the multiplier), ``rgap`` (relative duality gap), ``niters``, ``n_newton``
            (updates of ``tau``), ``rnorm2`` (history of ``rnorm``), ``stat`` (see ``Status``).
        status, iters, converged: As in :class:`~torchlops.optimization.cls_cg.CGResult`.
    """


class SPGL1(ISTA):
    r"""Spectral projected gradients for basis pursuit denoising.

    .. math:: \min_x \|x\|_1 \quad \text{such that} \quad \|y - A x\| \le \sigma

    (basis pursuit for :math:`\sigma = 0`), or, given a radius, the lasso

    .. math:: \min_x \|y - A x\| \quad \text{such that} \quad \|x\|_1 \le \tau.

    The residual of the second, :math:`\phi(\tau) = \|r_\tau\|`, is a convex function with the derivative
    :math:`-\|A^H r_\tau\|_\infty / \|r_\tau\|`, so that Newton's method finds the :math:`\tau` at which it is
    :math:`\sigma`. Each lasso is solved by projected gradients with Barzilai-Borwein steps, just so well that the
    duality gap allows the next step of Newton. A projected step that is not below the largest of the last few costs is
    shortened to the minimum along it, which is exact, since the cost is quadratic; so each iteration takes one
    forward and one adjoint. All this is done for each sample by itself.

    See :class:`~torchlops.optimization.basesolver.Solver` for the arguments. PyLops needs the package ``spgl1``
    for it. A sample whose :math:`\sigma` is below the residual of all models fails with the status ``UNREACHABLE``, at
    a least-squares solution.

    With ``grad="implicit"`` derivatives are those of the solution on its support, with respect to the
    data, ``sigma`` (or ``tau``) and the operators.

    Source: E. van den Berg and M. P. Friedlander, Probing the Pareto frontier for basis pursuit solutions, SIAM J. Sci.
    Comput. 31 (2008), 890-912. E. G. Birgin, J. M. Martinez and M. Raydan, Nonmonotone spectral projected gradient
    methods on convex sets, SIAM J. Optimization 10 (2000), 1196-1211.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]], dtype=torch.float64))
        >>> x, p, info = SPGL1(A).solve(torch.tensor([1.2, 1.6], dtype=torch.float64), sigma=0.5)
        >>> x.round(decimals=4), round(info["rnorm"], 4)
        (tensor([0.0000, 0.0000, 1.5000], dtype=torch.float64), 0.5)
    """

    equation = "basis pursuit"
    weight_name = "sigma"
    has_first_cost = True
    vectors = ("r", "g", "history")
    scalars = ("tau_each", "rnorm", "gnorm", "gap", "f", "bb", "newton", "update", "fixed", "sigma_each", "steepest")

    def setup(  # type: ignore[override]  # the arguments are PyLops's
        self,
        y: Any,
        SOp: Any = None,
        tau: Any = 0.0,
        sigma: Any = 0.0,
        show: bool = False,
        *,
        x0: Any = None,
        iter_lim: int | None = None,
        opt_tol: float = 1e-4,
        bp_tol: float = 1e-6,
        n_prev_vals: int = 3,
    ) -> Any:
        """Read the data, start, and return the first ``x``; arguments as in :meth:`solve`."""
        if SOp is not None:
            x0 = self._compose(SOp, x0)
        self.tau, self.opt_tol, self.bp_tol, self.n_prev_vals = tau, opt_tol, bp_tol, n_prev_vals
        return self._setup(y, x0, sigma, 10 * self.Op.shape[0] if iter_lim is None else iter_lim, show)

    def solve(  # type: ignore[override]
        self,
        y: Any,
        x0: Any = None,
        SOp: Any = None,
        tau: Any = 0.0,
        sigma: Any = 0.0,
        show: bool = False,
        itershow: Sequence[int] = (10, 10, 10),
        *,
        iter_lim: int | None = None,
        opt_tol: float = 1e-4,
        bp_tol: float = 1e-6,
        n_prev_vals: int = 3,
    ) -> SPGL1Result:
        """Solve the problem.

        Args:
            y: Data, ``(*batch, *dimsd)`` or flattened.
            x0: Initial guess; zero by default.
            SOp: Sparsifying operator: the model is ``SOp^H`` of the sparse coefficients, as in PyLops. (It is
                ``SOp`` in ``ista``.)
            tau: Radius of the lasso, where ``sigma`` is 0 and this is not: a number, or one for each sample.
                With ``sigma`` it is where the search begins.
            sigma: Norm of the residual: a number, or one for each sample.
            show: Whether to print a table.
            itershow: Which lines of it: the first, the last, and every so many between.
            iter_lim: Most iterations; ten for each datum by default.
            opt_tol: Relative duality gap of the solution.
            bp_tol: Tolerance on ``| ||r|| - sigma |``, relative to ``||r||`` (or 1, if that is more).
            n_prev_vals: Of how many costs the largest bounds the next.
        """
        self._decompose()
        adjoint_SOp = None
        if SOp is not None:
            from torchlops.torchoperator import aslinearoperator

            adjoint_SOp = aslinearoperator(SOp).H
            x0 = self._compose(adjoint_SOp, x0)
        result: SPGL1Result = self._solve(
            y, x0, show, itershow, damp=sigma, tau=tau, iter_lim=iter_lim, opt_tol=opt_tol, bp_tol=bp_tol,
            n_prev_vals=n_prev_vals,
        )  # fmt: skip
        if adjoint_SOp is not None:
            if result.x is self._public:  # that is the model already
                p = self._coefficients()
                result = self._result(result.x, p)
            else:
                result = self._result(self.SOp(result.x), result.x)
        return result

    def _coefficients(self) -> Any:
        SOp, self.SOp = self.SOp, None
        p = self._shown()
        self.SOp = SOp
        return p

    def _start(self) -> None:
        one = torch.zeros_like(self.y[..., :1])
        self.sigma_each = one + self._damp
        self.tau_each = one + self._of_each_sample(self.tau, "tau")
        self.fixed = (self.sigma_each == 0) & (self.tau_each > 0)
        self.x = self._project(self.x)
        self.r = self.y - self.forward(self.x)
        self.g = -self.adjoint(self.r)
        self.bb = one + 1
        self.newton, self.update, self.steepest = one + 0, one + 1, one + 0
        self.history = torch.full_like(one, -torch.inf).repeat_interleave(self.n_prev_vals, -1)
        self._look()
        first = self._complex(self.x - self._project(self.x - self.g)).abs().amax(-1, keepdim=True)
        self.bb = torch.where(first > 0, 1 / torch.where(first > 0, first, 1.0), 1.0)

    def _project(self, x: Tensor) -> Tensor:
        return self._real(project_on_l1_ball(self._complex(x), self.tau_each))

    def _iterate(self) -> None:
        active = torch.as_tensor(self.active, device=self.x.device)
        d = self._project(self.x - self.bb * self.g) - self.x
        Ad = self.forward(d)
        slope, curvature = _dot(self.g, d), _dot(Ad, Ad)
        highest = self.history.amax(-1, keepdim=True)
        full = self.f + slope + curvature / 2 <= highest + 1e-4 * slope
        minimum = torch.where(curvature > 0, -slope / torch.where(curvature > 0, curvature, 1.0), 0.0)
        step = torch.where(active, torch.where(full, 1.0, minimum.clamp(0, 1)), 0.0)
        d, Ad = step * d, step * Ad
        self.x, self.r = torch.add(self.x, d), torch.sub(self.r, Ad)
        if self.iiter % 50 == 0:  # the recurrence of the residual collects rounding
            self.r = torch.where(active, self.y - self.forward(self.x), self.r)
        g = -self.adjoint(self.r)
        dd, dg = _dot(d, d), _dot(d, g - self.g)
        bb = torch.where(dg > 0, dd / torch.where(dg > 0, dg, 1.0), _LARGEST_STEP).clamp(_SMALLEST_STEP, _LARGEST_STEP)
        self.bb = torch.where(dd > 0, bb, self.bb)
        self.update = torch.where(active, _root(dd), self.update)
        self.g = torch.where(active, g, self.g)
        self._look()

    def _look(self) -> None:
        """Compute the gap of the lasso, stop where it and the residual are good, and choose the next radius."""
        self.f = _dot(self.r, self.r) / 2
        self.rnorm = _root(2 * self.f)
        self.gnorm = self._complex(self.g).abs().amax(-1, keepdim=True)
        self.gap = (_dot(self.r, self.r - self.y) + self.tau_each * self.gnorm).detach().abs()
        self.cost.append(self._as_scalar(self.rnorm))
        active = torch.as_tensor(self.active, device=self.x.device)
        sigma = self.sigma_each
        misfit = (self.rnorm - sigma).detach()
        closed = self.gap <= self.opt_tol * self.f.detach().clamp(min=1)
        reached = misfit.abs() <= self.bp_tol * self.rnorm.detach().clamp(min=1)
        unbound = (self.tau_each == 0) & (misfit <= 0)  # zero is good enough
        done = torch.where(self.fixed, closed, (closed & reached) | unbound)
        slope = self.gnorm.detach() / torch.where(self.rnorm > 0, self.rnorm, 1.0).detach()
        self.steepest = torch.maximum(self.steepest, slope)
        flat = slope <= torch.finfo(slope.dtype).eps ** (2 / 3) * self.steepest
        lost = flat & (misfit > 0) & ~done & ~reached & ~self.fixed  # no residual is smaller, so no radius will do
        self._stop(lost if isinstance(self.ynorm, Tensor) else bool(lost), Status.UNREACHABLE)
        active = active & ~lost
        stuck = self.update.detach() == 0  # no step changes anything any more
        ready = self.gap <= 0.1 * (self.f - sigma**2 / 2).detach().abs()
        renew = active & ~done & ~self.fixed & ~reached & (ready | stuck | (closed & ~reached))
        can = self.gnorm > 0
        radius = self.tau_each + torch.where(can, self.rnorm * (self.rnorm - sigma), 0.0) / torch.where(
            can, self.gnorm, 1.0
        )
        radius = torch.where(renew, radius.clamp(min=0), self.tau_each)
        self.history = torch.cat([self.history[..., 1:], self.f.detach()], -1)
        going = active & ~done & torch.isfinite(self.f) & ~(stuck & ~renew)
        self.active = going if isinstance(self.ynorm, Tensor) else bool(going.item())
        self._change_radius(radius, renew)

    def _change_radius(self, radius: Tensor, renew: Tensor) -> None:
        shrunk = radius < self.tau_each
        self.tau_each = radius
        self.newton = self.newton + renew
        if not torch.is_grad_enabled() and not bool(shrunk.any()):
            return
        x = torch.where(shrunk, self._project(self.x), self.x)
        self.r = torch.where(shrunk, self.y - self.forward(x), self.r)
        self.g = torch.where(shrunk, -self.adjoint(self.r), self.g)
        self.x = x
        self.f = torch.where(shrunk, _dot(self.r, self.r) / 2, self.f)
        self.history = torch.where(renew, self.f.detach(), self.history)

    def _relative_gap(self) -> Tensor:
        gap: Tensor = self.gap / self.f.detach().clamp(min=1)
        return gap

    def _accuracy(self) -> Scalar:
        rnorm = self.rnorm.detach()
        excess = (rnorm - self.sigma_each.detach()) / rnorm.clamp(min=1)
        excess = torch.where(self.tau_each == 0, excess.clamp(min=0), excess.abs())  # zero may be below sigma
        return torch.maximum(self._relative_gap(), torch.where(self.fixed, 0.0, excess))

    def _history(self) -> Any:
        return SparseSolver._history(self)

    def _columns(self) -> dict[str, Scalar]:
        return {"r2norm": self.rnorm, "tau": self.tau_each, "rgap": self._relative_gap()}

    def _option_text(self) -> str:
        return f"{SparseSolver._option_text(self)}\ttau = {self._text(self.tau_each)}"

    def _result(self, x: Any, p: Any = None) -> SPGL1Result:
        info = {
            "tau": self._number(self.tau_each),
            "rnorm": self._number(self.rnorm),
            "gnorm": self._number(self.gnorm),
            "rgap": self._number(self._relative_gap()),
            "niters": self.iiter,
            "n_newton": self._number(self.newton),
            "rnorm2": self.cost,
        }
        result: SPGL1Result = self._report(SPGL1Result(x, x if p is None else p, info))
        info["stat"] = result.status  # type: ignore[attr-defined]
        return result


def _dot(a: Tensor, b: Tensor) -> Tensor:
    product: Tensor = torch.linalg.vecdot(a, b).unsqueeze(-1)
    return product


def _root(a: Tensor) -> Tensor:
    positive = a > 0
    return torch.where(positive, torch.where(positive, a, 1.0).sqrt(), 0.0)


__all__ = ["SPGL1", "SPGL1Result", "Status"]
