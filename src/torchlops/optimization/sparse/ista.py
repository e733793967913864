"""Iterative shrinkage and thresholding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import as_tensor
from torchlops.optimization.solver.problem import Problem
from torchlops.optimization.solver.solver import as_text
from torchlops.optimization.solver.state import WORK, Status
from torchlops.optimization.solver.vectors import (
    Scalar,
    as_complex,
    as_pairs,
    keep,
    norm,
    ratio,
    sqrt,
    squared_norm,
    where,
    xpay,
)
from torchlops.optimization.sparse.prox import KINDS, THRESHOLDS, penalty, percentile
from torchlops.optimization.sparse.sparsesolver import SparseSolver, SparseState, is_in_pairs, vectors_of
from torchlops.optimization.spectral.lanczos import largest_eigenvalue


@dataclass(kw_only=True)
class ISTAState(SparseState):
    """The state of ISTA.

    Attributes:
        Ax: The operator applied to ``x``.
        z, Az: The point from which to descend, and the operator applied to it.
        t: The momentum, of FISTA.
        alpha: The step.
        decay: Factors of the threshold.
        rnorm: Norm of the residual, if it is monitored.
        violation: How far the last step went.
        gradient: Norm of the gradient at ``x = 0``.
    """

    Ax: Tensor = field(metadata=WORK)
    z: Tensor = field(metadata=WORK)
    Az: Tensor = field(metadata=WORK)
    t: Scalar
    alpha: Scalar
    decay: Tensor | None
    rnorm: Scalar
    violation: Scalar
    gradient: Scalar


@dataclass(frozen=True, eq=False)
class ISTA(SparseSolver[ISTAState]):
    r"""Iterative shrinkage-thresholding.

    .. math:: \min_x J(x), \qquad J(x) = \|y - A x\|^2 + \epsilon \|x\|_p^p,

    with :math:`p = 1` for soft thresholding, :math:`1/2` for half and 0 (the number of nonzeros) for hard. With a
    synthesis operator ``SOp`` (:math:`S`), :math:`x = S c` and the penalty is that of :math:`c`; the solution is
    :math:`x`. An iteration, with the step :math:`\alpha`, is

    .. math:: x \leftarrow \mathrm{prox}(x + \alpha A^H (y - A x)),

    where the proximal operator is that of :math:`\alpha \epsilon / 2 \, \|x\|_p^p`. ``cost`` is :math:`J`; with the
    percentile variants, which have no weight, only :math:`\|y - A x\|^2`.

    Solutions are those of PyLops, apart
    from three errors of PyLops 2.8: the cost that it prints is another than its threshold minimises (half the misfit
    plus all of the penalty, always that of :math:`p = 1`, at two different models); half thresholding takes half of
    ``eps``; and an ``SOp`` that is not orthonormal changes the problem. Also, the residual of a batch is not shared
    between its samples, which have a step, a threshold and an end each.

    With ``grad="implicit"`` (soft thresholding) derivatives are those of the solution on its support, with respect
    to the data, ``eps`` and the operators. They exist where no :math:`|A^H (y - A x)|` off the support reaches
    :math:`\epsilon / 2`. The step has no influence there; one that is given
    may learn with ``grad="unroll"``, where the automatic one is a constant.

    Args:
        alpha: Step: a number, or one per sample. By default one over the largest eigenvalue of ``A^H A``, which a
            Lanczos process bounds.
        eigsdict: ``niter`` and ``tol`` of that process; other entries, which are for SciPy, are ignored.
        threshkind: ``soft``, ``hard``, ``half``, or one of these with ``-percentile``.
        perc: How many percent of the samples survive each iteration, for the percentile variants.
        decay: Factors of the threshold, one per iteration.
        monitorres: Whether an increase of the residual stops a sample, with the status ``BREAKDOWN``; where it is that
            of every sample, as in a single problem, a :class:`~torchlops.optimization.SolverError` is raised, which is
            a ValueError as in PyLops (``on_fail="ignore"`` keeps from it).

    Source: I. Daubechies, M. Defrise and C. De Mol, An iterative thresholding algorithm for linear inverse problems
    with a sparsity constraint, Comm. Pure Appl. Math. 57 (2004), 1413-1457.
    """

    alpha: Any = None
    eigsdict: Mapping[str, Any] | None = None
    threshkind: str = "soft"
    perc: float | None = None
    decay: Any = None
    monitorres: bool = False

    weight_name = "eps"
    cost_power = 2
    breakdown_text = "It stopped due to residual increasing: choose another alpha or eps. "
    vectors = (4, 3)

    def __post_init__(self) -> None:
        if self.threshkind not in KINDS:
            raise ValueError(f"{self.name}: `threshkind` must be one of {', '.join(KINDS)}, got {self.threshkind!r}")
        if isinstance(self.alpha, int | float) and self.alpha <= 0:
            raise ValueError(f"{self.name}: the step alpha must be positive, got {self.alpha}")
        if self.perc is None and self.threshkind.endswith("-percentile"):
            raise ValueError(f"{self.name}: Provide a percentile (perc) with threshkind={self.threshkind!r}")
        if self.perc is not None and not self.threshkind.endswith("-percentile"):
            raise ValueError(
                f"{self.name}: perc goes with a percentile threshold, got threshkind={self.threshkind!r}, "
                f"perc={self.perc!r}"
            )

    def checked(self, niter: int | None) -> ISTA:
        """Return the solver, whose ``decay`` must suffice for ``niter`` iterations.

        Raises:
            ValueError: when it does not.
        """
        if self.decay is not None and niter is not None and len(self.decay) < niter:
            raise ValueError(
                f"{self.name}: decay must have one factor for each of {niter} iterations, got {len(self.decay)}"
            )
        return self

    @property
    def weight_power(self) -> float:  # type: ignore[override]  # it depends on an option
        return {"soft": 1.0, "hard": 2.0, "half": 1.5}[self._kind]

    @property
    def raises_on_breakdown(self) -> bool:
        return self.monitorres

    @property
    def _kind(self) -> str:
        return self.threshkind.removesuffix("-percentile")

    def start(self, problem: Problem) -> ISTAState:
        x, y = problem.x, problem.y
        Ax = y - problem.r if problem.has_guess else torch.zeros_like(y)
        zero_cost = squared_norm(y)
        one = 0 * zero_cost + 1
        with torch.no_grad():
            gradient = norm(problem.adjoint(y))
        cost = self._cost(problem, x, Ax)
        return ISTAState(
            x=x, Ax=Ax, z=x, Az=Ax, t=one, cost=cost, first=cost, zero_cost=zero_cost, update=one, violation=one,
            alpha=problem.per_sample(self._step(problem), "alpha"), gradient=gradient,
            rnorm=norm(y - Ax) if self.monitorres else one,
            decay=None if self.decay is None else as_tensor(self.decay, "decay").to(y.device, y.dtype),
        )  # fmt: skip

    def _step(self, problem: Problem) -> Any:
        if self.alpha is not None:
            return self.alpha
        known = {name: value for name, value in (self.eigsdict or {}).items() if name in ("niter", "tol")}
        operator = vectors_of(problem)
        bound = largest_eigenvalue(operator.A, operator.as_model(problem.x).detach(), **known)
        return ratio(torch.ones_like(bound), bound).squeeze(-1)

    def iterate(self, problem: Problem, state: ISTAState) -> None:
        """Go to ``prox(z + alpha A^H (y - A z))``."""
        s = state
        r = problem.y - s.Az
        if self.monitorres:
            rnorm = norm(r)
            s.stop(rnorm > s.rnorm * (1 + 1e-12), Status.BREAKDOWN)
            s.rnorm = rnorm
        x = self._threshold(problem, s, xpay(s.z, s.alpha, problem.adjoint(r)))
        Ax = problem.forward(x)
        change, of_data = x - s.x, Ax - s.Ax
        update = norm(change)
        with torch.no_grad():
            violation = update if s.z is s.x else norm(x - s.z)
        s.violation, s.update = where(s.active, violation, s.violation), where(s.active, update, s.update)
        s.x, s.Ax = keep(s.active, x, s.x), keep(s.active, Ax, s.Ax)
        s.cost = self._cost(problem, s.x, s.Ax)
        self.stop_small(problem, s)
        self._go_beyond(s, change, of_data)

    def _go_beyond(self, s: ISTAState, change: Tensor, of_data: Tensor) -> None:  # noqa: ARG002
        """Choose the point from which to descend next, given by how much ``x`` and ``A x`` have changed."""
        s.z, s.Az = s.x, s.Ax

    def moved(self, problem: Problem, state: ISTAState, x: Tensor) -> None:
        state.x = state.z = x
        state.Ax = state.Az = problem.forward(x)

    def _threshold(self, problem: Problem, s: ISTAState, z: Tensor) -> Tensor:
        z = as_complex(z, is_in_pairs(problem))
        if self.perc is not None:
            return as_pairs(percentile(self._kind, z, self.perc))
        tau = 0.5 * problem.damp * s.alpha
        if s.decay is not None:
            factor = s.decay[s.count - 1]
            tau = tau * (factor if isinstance(tau, Tensor) else factor.item())
        return as_pairs(THRESHOLDS[self._kind](z, tau))

    def _cost(self, problem: Problem, x: Tensor, Ax: Tensor) -> Scalar:
        misfit = squared_norm(problem.y - Ax)
        if self.perc is not None:
            return misfit
        return misfit + problem.damp * penalty(self._kind, as_complex(x, is_in_pairs(problem)))

    def accuracy(self, problem: Problem, state: ISTAState) -> Scalar:  # noqa: ARG002
        """Return ``|x - z| / alpha`` relative to ``|A^H y|``, which bounds how far ``x`` is from a fixed point.

        It does as long as the step is not too long, since the iteration then brings no two points further apart.
        """
        return ratio(ratio(state.violation, state.alpha), state.gradient)

    def numbers(self, problem: Problem, state: ISTAState) -> dict[str, tuple[Scalar, int]]:  # noqa: ARG002
        return {"alpha": (state.alpha, 0)}

    def option_text(self, problem: Problem) -> str:
        kind = self.threshkind if self.perc is None else f"{self.threshkind} {self.perc}"
        return (
            f"eps = {as_text(problem.damp * problem.scale**self.weight_power)}\tthreshkind = {kind}\ttol = {self.tol}"
        )


@dataclass(frozen=True, eq=False)
class FISTA(ISTA):
    r"""Fast iterative shrinkage-thresholding: :class:`~torchlops.optimization.sparse.ISTA` with momentum.

    .. math::
        x_k = \mathrm{prox}(z_k + \alpha A^H (y - A z_k)), \quad
        t_{k+1} = \tfrac{1}{2} (1 + \sqrt{1 + 4 t_k^2}), \quad
        z_{k+1} = x_k + \frac{t_k - 1}{t_{k+1}} (x_k - x_{k-1}).

    The problem, the arguments, the derivatives and the differences from PyLops are those of
    :class:`~torchlops.optimization.sparse.ISTA`. The cost needs no further application of the operator.

    Source: A. Beck and M. Teboulle, A fast iterative shrinkage-thresholding algorithm for linear inverse problems,
    SIAM J. Imaging Sciences 2 (2009), 183-202.
    """

    vectors = (5, 4)

    def moved(self, problem: Problem, state: ISTAState, x: Tensor) -> None:
        """Go on from another ``x``, and from the same ``z``, as PyLops's steps do."""
        state.x, state.Ax = x, problem.forward(x)

    def _go_beyond(self, s: ISTAState, change: Tensor, of_data: Tensor) -> None:
        t, s.t = s.t, (1 + sqrt(1 + 4 * s.t * s.t)) / 2
        momentum = (t - 1) / s.t
        s.z, s.Az = xpay(s.x, momentum, change), xpay(s.Ax, momentum, of_data)
