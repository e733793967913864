"""Split Bregman iterations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import as_tensor
from torchlops.linearoperator import IdentityOperator, LinearOperator, VerticalStack
from torchlops.optimization.arguments import as_list
from torchlops.optimization.solver.problem import Problem
from torchlops.optimization.solver.solver import as_text, treats_alike
from torchlops.optimization.solver.state import WORK
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import (
    Scalar,
    as_complex,
    as_pairs,
    inner,
    keep,
    maximum,
    norm,
    ratio,
    sqrt,
    squared_norm,
    total,
    where,
)
from torchlops.optimization.sparse.leastsquares import Inner, Stack, least_squares
from torchlops.optimization.sparse.prox import soft
from torchlops.optimization.sparse.sparsesolver import SparseSolver, SparseState, is_in_pairs, vectors_of
from torchlops.torchoperator import aslinearoperator


@dataclass(kw_only=True)
class SplitBregmanState(SparseState):
    """The state of split Bregman. What belongs to several penalties is in one vector, the L2 penalties first.

    Attributes:
        d, b: Splitting variables, and multipliers, of the L1 penalties.
        eps: Weights of the L2 penalties and thresholds of the L1 penalties.
        targets: Data of the L2 penalties.
        guess: The initial guess.
        R: The operators of the penalties.
    """

    d: Tensor
    b: Tensor
    eps: Tensor
    targets: Tensor
    guess: Tensor = field(metadata=WORK)
    R: VectorOperator


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
            Regs = as_list(getattr(self, f"RegsL{number}"), f"{self.name}: RegsL{number}")
            object.__setattr__(self, f"RegsL{number}", tuple(map(aslinearoperator, Regs)))
            name = f"epsRL{number}s"
            weights = getattr(self, name)
            weights = [1.0] * len(Regs) if weights is None else as_list(weights, f"{self.name}: {name}")
            object.__setattr__(self, name, tuple(weights))
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
        operator, y, x, zero = vectors_of(problem), problem.y, problem.x, 0 * norm(problem.y)
        Regs = (*self.RegsL2, *self.RegsL1)
        if not Regs:  # one without weight in the place of none
            solver = replace(self, RegsL2=(IdentityOperator(operator.A.dims),), epsRL2s=(0.0,), dataregsL2=None)
            return solver.start(problem)
        for R in Regs:
            if R.shape[1] != operator.A.shape[1]:
                raise ValueError(
                    f"{self.name}: {R.name_and_type} must take models of {operator.A.shape[1]}, not {R.shape[1]}"
                )
        both = Regs[0] if len(Regs) == 1 else VerticalStack(Regs)  # a stack of one is slower than that one
        weights, thresholds = self._of_rows(problem, "2"), self._of_rows(problem, "1")
        targets, d = torch.zeros_like(weights), torch.zeros_like(thresholds)
        if self.RegsL2 and self.dataregsL2 is not None:
            given = zip(self.dataregsL2, self.RegsL2, strict=True)
            parts = [flat_target(as_tensor(v, "dataregsL2").to(y.device), R.dimsd, problem.batch) for v, R in given]
            L2 = VectorOperator(VerticalStack(self.RegsL2), operator.model_dtype, operator.as_pairs)
            targets = L2.data_vector(torch.cat(parts, -1)) / problem.scale
        s = SplitBregmanState(
            x=x, cost=zero, update=zero + 1, first=zero, d=d, b=d, eps=torch.cat([weights, thresholds], -1),
            targets=targets, guess=x, R=VectorOperator(both, operator.model_dtype, operator.as_pairs),
            zero_cost=0.5 * (problem.damp * squared_norm(y) + inner(weights * targets, targets)),
        )  # fmt: skip
        s.cost = s.first = self._cost(problem, s)
        return s

    def _of_rows(self, problem: Problem, number: str) -> Tensor:
        """Return the weights, or the thresholds, of the rows of all penalties of a kind."""
        name, width = f"epsRL{number}s", 2 if is_in_pairs(problem) else 1
        parts = [
            problem.y.new_ones((*problem.batch, width * R.shape[0])) * problem.per_sample(eps, name, 1)
            for R, eps in zip(getattr(self, f"RegsL{number}"), getattr(self, name), strict=True)
        ]
        return torch.cat([problem.y.new_ones((*problem.batch, 0)), *parts], -1)

    def iterate(self, problem: Problem, state: SplitBregmanState) -> None:
        s, misfit, root = state, sqrt(problem.damp), sqrt(state.eps)
        stack = Stack(((problem.operator, misfit, problem.y.shape[-1]), (s.R, root, s.R.rows)))
        y = misfit * problem.y
        x, d, Rx = s.x, s.d, s.d
        for _ in range(self.niter_inner):
            data = torch.cat([y, root * torch.cat([s.targets, d - s.b], -1)], -1)
            x = self._least_squares(problem, stack, data, s.guess if self.restart else x)
            Rx = _parts(s, s.R.forward(x))[1]
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
        in_pairs, thresholds = is_in_pairs(problem), _parts(s, s.eps)[1]
        return as_pairs(soft(as_complex(v, in_pairs), thresholds[..., ::2] if in_pairs else thresholds))

    def _cost(self, problem: Problem, s: SplitBregmanState) -> Scalar:
        (weights, thresholds), (L2, L1) = _parts(s, s.eps), _parts(s, s.R.forward(s.x))
        misfit, sizes = s.targets - L2, as_complex(thresholds**2 * L1, is_in_pairs(problem)).abs()
        squares = problem.damp * squared_norm(problem.y - problem.forward(s.x)) + inner(weights * misfit, misfit)
        return 0.5 * squares + total(sizes)

    def treats_alike(self, problem: Problem, state: SplitBregmanState) -> bool:
        return super().treats_alike(problem, state) and treats_alike(state.R, state.x)

    def accuracy(self, problem: Problem, state: SplitBregmanState) -> Scalar:
        """Return the gradient relative to that of ``x = 0`` or the change of ``d``, relative too, whichever is more."""
        s = state

        def gradient(Ax: Tensor, *of_penalties: Tensor) -> Tensor:
            return s.R.adjoint(s.eps * torch.cat(of_penalties, -1)).add(problem.damp * problem.adjoint(Ax))

        with torch.no_grad():
            L2, L1 = _parts(s, s.R.forward(s.x))
            start = gradient(problem.y, s.targets, torch.zeros_like(s.b))
            end = gradient(problem.forward(s.x), L2, s.b)
            of_d = ratio(norm(L1 - self._shrink(problem, s, L1 + s.b)), norm(L1.abs() + s.b.abs()))
            return maximum(ratio(norm(end - start), norm(start)), of_d)

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


def _parts(s: SplitBregmanState, v: Tensor) -> list[Tensor]:
    """Return the parts of a vector that belong to the L2 penalties and to the L1 penalties."""
    return list(v.split_with_sizes([s.targets.shape[-1], s.d.shape[-1]], -1))
