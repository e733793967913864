"""Split Bregman iterations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import as_tensor
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.solver.problem import Problem
from torchlops.optimization.solver.solver import as_text, treats_alike
from torchlops.optimization.solver.state import WORK
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import (
    Scalar,
    as_complex,
    as_pairs,
    is_one_problem,
    keep,
    maximum,
    norm,
    ratio,
    sqrt,
    squared_norm,
    where,
)
from torchlops.optimization.sparse.leastsquares import Inner, Stack, least_squares
from torchlops.optimization.sparse.prox import penalty, soft
from torchlops.optimization.sparse.sparsesolver import SparseSolver, SparseState, is_in_pairs, vectors_of
from torchlops.torchoperator import aslinearoperator


@dataclass(kw_only=True)
class SplitBregmanState(SparseState):
    """The state of split Bregman. What belongs to several penalties is in one vector.

    Attributes:
        d, b: Splitting variables, and multipliers, of the L1 penalties.
        eps1, eps2: Thresholds of the L1 penalties and weights of the L2 penalties, ``(*batch, number of penalties)``.
        targets: Data of the L2 penalties.
        guess: The initial guess.
        operators1, operators2: The operators of the penalties.
    """

    d: Tensor
    b: Tensor
    eps1: Tensor
    eps2: Tensor
    targets: Tensor
    guess: Tensor = field(metadata=WORK)
    operators1: tuple[VectorOperator, ...]
    operators2: tuple[VectorOperator, ...]


@dataclass(frozen=True, eq=False)
class SplitBregman(SparseSolver[SplitBregmanState]):
    r"""Split Bregman for mixed L2 and L1 penalties, such as total variation.

    .. math::
        J(x) = \frac{\mu}{2} \|y - A x\|^2 + \frac{1}{2} \sum_i \epsilon_{2,i} \|y_{2,i} - R_{2,i} x\|^2
        + \sum_i \epsilon_{1,i}^2 \|R_{1,i} x\|_1.

    With :math:`d_i` for :math:`R_{1,i} x`, each outer iteration repeats ``niter_inner`` times

    .. math::
        x \leftarrow \arg\min_x \frac{\mu}{2} \|y - A x\|^2 + \frac{1}{2} \sum_i \epsilon_{2,i} \|y_{2,i}
        - R_{2,i} x\|^2 + \frac{1}{2} \sum_i \epsilon_{1,i} \|d_i - b_i - R_{1,i} x\|^2, \qquad
        d_i \leftarrow \mathrm{soft}(R_{1,i} x + b_i, \epsilon_{1,i}),

    and then adds :math:`\tau (R_{1,i} x - d_i)` to :math:`b_i`. The iterates are those of PyLops. Note the square in
    the cost: a threshold :math:`\epsilon_1` with the coupling :math:`\epsilon_1` is that of the weight
    :math:`\epsilon_1^2`, where the documentation of PyLops has :math:`\epsilon_1`, and its printed cost 1.

    With ``grad="implicit"`` derivatives are
    those of the minimiser of :math:`J`, with the entries of :math:`R_1 x` that are zero, by :math:`d`, kept zero, with
    respect to the data of all terms, all weights and all operators; so they take outer iterations until
    convergence, and a minimiser that is unique. They exist where no multiplier :math:`|b_i|` of a zero reaches
    :math:`\epsilon_{1,i}`, and, for an :math:`R_1` that changes, where the rows that are zero are independent.

    Args:
        RegsL1, RegsL2: Operators of the penalties.
        dataregsL2: Data of the L2 penalties; zero by default.
        epsRL1s: Thresholds of the L1 penalties, each a number, or one per sample; 1 by default.
        epsRL2s: Weights of the L2 penalties, in the same way.
        niter_inner: Inner iterations in each outer one.
        tau: Step of the Bregman update.
        restart: Whether least-squares solves start from the initial guess, not from the last ``x``.
        inner: How the least-squares problems are solved. Their damping is that of the change from where they start, as
            in PyLops.

    Source: T. Goldstein and S. Osher, The split Bregman method for L1-regularized problems, SIAM J. Imaging Sciences 2
    (2009), 323-343.
    """

    RegsL1: tuple[LinearOperator, ...] = ()
    RegsL2: tuple[LinearOperator, ...] = ()
    dataregsL2: Sequence[Any] | None = None  # noqa: N815  (PyLops's names)
    epsRL1s: Sequence[Any] | None = None  # noqa: N815
    epsRL2s: Sequence[Any] | None = None  # noqa: N815
    niter_inner: int = 5
    tau: float = 1.0
    restart: bool = False
    inner: Inner = field(default_factory=Inner)

    weight_name = "mu"
    weight_power = 1  # with y, x, d and b, all weights are multiplied, so that thresholds are
    cost_power = 3
    vectors = (6, 4)

    def __post_init__(self) -> None:
        for number in ("1", "2"):
            Regs = tuple(map(aslinearoperator, getattr(self, f"RegsL{number}") or ()))
            object.__setattr__(self, f"RegsL{number}", Regs)
            name = f"epsRL{number}s"
            if getattr(self, name) is None:
                object.__setattr__(self, name, (1.0,) * len(Regs))
            if len(getattr(self, name)) != len(Regs):
                raise ValueError(
                    f"{self.name}: {name} must have {len(Regs)} entries, as RegsL{number}, "
                    f"got {len(getattr(self, name))}"
                )
        if self.dataregsL2 is not None and len(self.dataregsL2) != len(self.RegsL2):
            raise ValueError(
                f"{self.name}: dataregsL2 must have {len(self.RegsL2)} entries, as RegsL2, got {len(self.dataregsL2)}"
            )

    def start(self, problem: Problem) -> SplitBregmanState:
        operator, y, x = vectors_of(problem), problem.y, problem.x
        for R in (*self.RegsL1, *self.RegsL2):
            if R.shape[1] != operator.A.shape[1]:
                raise ValueError(
                    f"{self.name}: {R.name_and_type} must take models of {operator.A.shape[1]}, not {R.shape[1]}"
                )
        operators1, operators2 = (
            tuple(VectorOperator(R, operator.model_dtype, operator.as_pairs) for R in Regs)
            for Regs in (self.RegsL1, self.RegsL2)
        )
        d = y.new_zeros((*problem.batch, sum(R.rows for R in operators1)))
        zero = 0 * norm(y)
        s = SplitBregmanState(
            x=x, cost=zero, update=zero + 1, first=zero, zero_cost=zero, d=d, b=d, guess=x,
            operators1=operators1, operators2=operators2, eps1=self._weights(problem, "epsRL1s"),
            eps2=self._weights(problem, "epsRL2s"), targets=self._targets(problem, operators2),
        )  # fmt: skip
        s.zero_cost = 0.5 * problem.damp * squared_norm(y)
        for eps, target in zip(_numbers(s.eps2), _parts(s.targets, operators2), strict=True):
            s.zero_cost = s.zero_cost + 0.5 * eps * squared_norm(target)
        s.cost = s.first = self._cost(problem, s)
        return s

    def _weights(self, problem: Problem, name: str) -> Tensor:
        one = problem.y.new_ones((*problem.batch, 1))
        weights = [one * problem.per_sample(eps, name, 1) for eps in getattr(self, name)]
        return torch.cat([one[..., :0], *weights], -1)

    def _targets(self, problem: Problem, operators2: tuple[VectorOperator, ...]) -> Tensor:
        """Return the data of the L2 penalties in one vector."""
        if self.dataregsL2 is None:
            return problem.y.new_zeros((*problem.batch, sum(R.rows for R in operators2)))
        parts = [problem.y.new_zeros((*problem.batch, 0))]
        for R, target in zip(operators2, self.dataregsL2, strict=True):
            flat = flat_target(as_tensor(target, "dataregsL2").to(problem.y.device), R.A.dimsd, problem.batch)
            parts.append(R.data_vector(flat.reshape(*problem.batch, *R.A.dimsd)) / problem.scale)
        return torch.cat(parts, -1)

    def iterate(self, problem: Problem, state: SplitBregmanState) -> None:
        s = state
        roots1, roots2 = [sqrt(eps) for eps in _numbers(s.eps1)], [sqrt(eps) for eps in _numbers(s.eps2)]
        misfit = sqrt(problem.damp)
        terms = zip((*s.operators2, *s.operators1), (*roots2, *roots1), strict=True)
        stack = Stack(((problem.operator, misfit, problem.y.shape[-1]), *((R, root, R.rows) for R, root in terms)))
        fixed = [misfit * problem.y, *(e * v for e, v in zip(roots2, _parts(s.targets, s.operators2), strict=True))]
        x, d, Rx = s.x, s.d, s.d
        for _ in range(self.niter_inner):
            coupled = (root * part for root, part in zip(roots1, _parts(d - s.b, s.operators1), strict=True))
            x = self._least_squares(problem, stack, torch.cat([*fixed, *coupled], -1), s.guess if self.restart else x)
            Rx = _apply(s.operators1, x)
            d = self._shrink(problem, s, Rx + s.b)
        b = s.b + self.tau * (Rx - d)
        update = norm(x - s.x)
        s.x, s.d, s.b = (keep(s.active, new, old) for new, old in ((x, s.x), (d, s.d), (b, s.b)))
        s.update = where(s.active, update, s.update)
        s.cost = self._cost(problem, s)
        self.stop_small(problem, s)

    def _least_squares(self, problem: Problem, stack: Stack, y: Tensor, x: Tensor) -> Tensor:
        niter = self.inner.niter or 2 * vectors_of(problem).A.shape[1]
        if not self.inner.damp:
            return least_squares(stack, y, x, True, 0.0, niter, self.inner.rtol)
        damp = self.inner.damp * sqrt(problem.damp)  # in PyLops, all is divided by mu
        return x + least_squares(stack, y - stack.forward(x), torch.zeros_like(x), False, damp, niter, self.inner.rtol)

    def _shrink(self, problem: Problem, s: SplitBregmanState, v: Tensor) -> Tensor:
        in_pairs, parts = is_in_pairs(problem), zip(_parts(v, s.operators1), _numbers(s.eps1), strict=True)
        shrunk = [as_pairs(soft(as_complex(part, in_pairs), eps)) for part, eps in parts]
        return torch.cat(shrunk, -1) if shrunk else v

    def _cost(self, problem: Problem, s: SplitBregmanState) -> Scalar:
        cost = 0.5 * problem.damp * squared_norm(problem.y - problem.forward(s.x))
        for R, eps, target in zip(s.operators2, _numbers(s.eps2), _parts(s.targets, s.operators2), strict=True):
            cost = cost + 0.5 * eps * squared_norm(target - R.forward(s.x))
        for R, eps in zip(s.operators1, _numbers(s.eps1), strict=True):
            cost = cost + eps * eps * penalty("soft", as_complex(R.forward(s.x), is_in_pairs(problem)))
        return cost

    def treats_alike(self, problem: Problem, state: SplitBregmanState) -> bool:
        operators = (problem.operator, *state.operators1, *state.operators2)
        return all(treats_alike(A, state.x) for A in operators)

    def accuracy(self, problem: Problem, state: SplitBregmanState) -> Scalar:
        """Return the gradient relative to that of ``x = 0`` or the change of ``d``, relative too, whichever is more."""
        s = state
        with torch.no_grad():
            start = problem.damp * problem.adjoint(problem.y)
            gradient = problem.damp * problem.adjoint(problem.forward(s.x))
            for R, eps, target in zip(s.operators2, _numbers(s.eps2), _parts(s.targets, s.operators2), strict=True):
                start = start + eps * R.adjoint(target)
                gradient = gradient + eps * R.adjoint(R.forward(s.x))
            for R, eps, b in zip(s.operators1, _numbers(s.eps1), _parts(s.b, s.operators1), strict=True):
                gradient = gradient + eps * R.adjoint(b)
            Rx = _apply(s.operators1, s.x) if s.operators1 else s.d
            of_d = ratio(norm(Rx - self._shrink(problem, s, Rx + s.b)), norm(Rx.abs() + s.b.abs()))
            return maximum(ratio(norm(gradient - start), norm(start)), of_d)

    def option_text(self, problem: Problem) -> str:
        mu = as_text(problem.damp * problem.scale)
        return f"mu = {mu}\tniter_inner = {self.niter_inner}\ttol = {self.tol}\ttau = {self.tau}"


def flat_target(target: Tensor, dims: tuple[int, ...], batch: tuple[int, ...]) -> Tensor:
    """Return data of a penalty, of all samples or of each, as ``(*batch, n)``.

    Raises:
        ValueError: when they have another shape.
    """
    size = math.prod(dims)
    of_sample = len(dims) if tuple(target.shape[-len(dims) :]) == dims else 1
    if of_sample == 1 and (target.ndim == 0 or target.shape[-1] != size):
        raise ValueError(
            f"SplitBregman: dataregsL2 must have the shape {dims} (or {(size,)}) of each, got {tuple(target.shape)}"
        )
    return target.reshape(*target.shape[: target.ndim - of_sample], size).expand(*batch, size)


def _apply(operators: tuple[VectorOperator, ...], x: Tensor) -> Tensor:
    return torch.cat([R.forward(x) for R in operators], -1) if operators else x[..., :0]


def _parts(v: Tensor, operators: tuple[VectorOperator, ...]) -> tuple[Tensor, ...]:
    """Return the parts of a vector that belong to several operators."""
    return torch.split(v, [R.rows for R in operators], -1) if operators else ()


def _numbers(weights: Tensor) -> tuple[Scalar, ...]:
    """Return the weights of several penalties, each a number per sample."""
    if is_one_problem(weights) or not weights.shape[-1]:
        return tuple(weights.flatten().tolist())
    return torch.split(weights, 1, -1)
