"""Iteratively reweighted least squares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from torchlops.optimization.arguments import UnknownOptionError
from torchlops.optimization.solver.problem import OperatorOnVectors, Problem
from torchlops.optimization.solver.solver import Solver, as_text
from torchlops.optimization.solver.state import WORK, State
from torchlops.optimization.solver.vectors import (
    Scalar,
    as_complex,
    keep,
    largest,
    norm,
    ratio,
    sqrt,
    where,
)
from torchlops.optimization.sparse.leastsquares import Inner, Stack, least_squares
from torchlops.optimization.sparse.sparsesolver import TOL, is_in_pairs, tolerance, vectors_of


@dataclass(kw_only=True)
class IRLSState(State):
    """The state of IRLS.

    Attributes:
        dx: The change from the initial guess.
        guess: The guess.
        shifted: The data, less those of the guess; with rows of zeros for ``datamodel``.
        r: The residual.
        smallest: The smallest residual that weights tell apart.
        update: Norm of the last change.
        root: The square roots of the weights of the last iteration; ones before the second.
    """

    dx: Tensor
    guess: Tensor = field(metadata=WORK)
    shifted: Tensor = field(metadata=WORK)
    r: Tensor = field(metadata=WORK)
    smallest: Scalar
    update: Scalar
    root: Tensor = field(metadata=WORK)


class _Identity:
    def forward(self, x: Tensor) -> Tensor:
        return x.clone()

    adjoint = forward


@dataclass(frozen=True)
class _Weighted:
    """``A`` with its rows, or its columns, times weights."""

    A: OperatorOnVectors
    rows: Tensor | None = None
    columns: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        y = self.A.forward(x if self.columns is None else self.columns * x)
        return y if self.rows is None else self.rows * y

    def adjoint(self, y: Tensor) -> Tensor:
        x = self.A.adjoint(y if self.rows is None else self.rows * y)
        return x if self.columns is None else self.columns * x


@dataclass(frozen=True, eq=False)
class IRLS(Solver[IRLSState]):
    r"""Iteratively reweighted least squares.

    ``variant="data"``: a misfit that outliers hardly touch, :math:`\min_x \|y - A x\|_1`, by

    .. math:: x \leftarrow \arg\min_x \|W^{1/2} (y - A x)\|^2 + \epsilon_I^2 \|x\|^2, \quad
        W_i = 1 / (|r_i| + \epsilon_R)

    (or :math:`1 / \max(|r_i|, \epsilon_R)` with ``threshR``), scaled so that the largest weight is 1.
    ``variant="model"``: a sparse model, :math:`\min_x \|x\|_1` for :math:`y = A x`, by

    .. math:: x \leftarrow R A^H (A R A^H + \epsilon_I^2)^{-1} y, \quad R_j = |x_j| / \max |x|.

    It is computed as :math:`R^{1/2} z`, where :math:`z` is the damped least-squares solution for
    :math:`A R^{1/2}`, which does not square the condition number. ``variant="datamodel"``: both, which is
    ``data`` on the rows of :math:`A` and :math:`\epsilon_I I`.

    There is no implicit derivative: take ``grad="unroll"``, or ``grad=None``.

    Args:
        threshR: Which weights, see above.
        epsR: Smallest residual that weights tell apart; by default 1e-10 times the largest datum.
        tolIRLS: Stop a sample when the norm of a change of ``x`` is below it; by default 1e-10 times the norm of the
            solution.
        variant: ``data``, ``model`` or ``datamodel``: the ``kind`` of :func:`~torchlops.optimization.sparsity.irls`.
        warm: Whether inner solves start from the last ``x`` (not for ``model``).
        inner: How inner problems are solved.

    Source: J. A. Scales and A. Gersztenkorn, Robust methods in inverse theory, Inverse Problems 4 (1988), 1071-1091.
    R. Chartrand and W. Yin, Iteratively reweighted algorithms for compressive sensing, ICASSP 2008.
    """

    threshR: bool = False  # noqa: N815  (PyLops's names)
    epsR: Any = TOL  # noqa: N815
    tolIRLS: Any = TOL  # noqa: N815
    variant: str = "data"
    warm: bool = False
    inner: Inner = field(default_factory=Inner)

    weight_name = "epsI"
    vectors = (7, 5)

    def __post_init__(self) -> None:
        if self.variant not in ("data", "model", "datamodel"):
            raise UnknownOptionError(f"{self.name}: `kind` must be model, data or datamodel, got {self.variant!r}")
        if self.inner.damp:
            raise ValueError(f"{self.name}: the damping of its inner problems is epsI")

    def start(self, problem: Problem) -> IRLSState:
        shifted = problem.r
        if self.variant == "datamodel":
            shifted = torch.cat([shifted, -problem.damp * problem.x], -1)
        cost = norm(shifted)
        size = largest(problem.y.detach().abs())
        return IRLSState(
            x=problem.x, cost=cost, dx=torch.zeros_like(problem.x), guess=problem.x, shifted=shifted, r=shifted,
            smallest=tolerance(problem, self.epsR, "epsR", size), update=0 * cost + 1,
            root=torch.ones_like(problem.x.detach() if self.variant == "model" else shifted.detach()),
        )  # fmt: skip

    def iterate(self, problem: Problem, state: IRLSState) -> None:
        s = state
        A, in_model, is_first = self._rows(problem), self.variant == "model", s.count == 1
        columns = _root_of_weights(s.dx, self._in_pairs(problem), None) if in_model and not is_first else None
        rows = None if in_model or is_first else self._root_of_data(problem, s)
        warm = self.warm and not in_model
        dx = least_squares(
            _Weighted(A, rows, columns), s.shifted if rows is None else rows * s.shifted,
            s.dx if warm else torch.zeros_like(s.dx), warm, 0.0 if self.variant == "datamodel" else problem.damp,
            self.inner.niter or 2 * max(vectors_of(problem).A.shape), self.inner.rtol,
        )  # fmt: skip
        dx = dx if columns is None else columns * dx
        root = columns if rows is None else rows
        s.root = s.root if root is None else root
        update = norm(dx - s.dx)
        s.dx, s.update = keep(s.active, dx, s.dx), where(s.active, update, s.update)
        s.x = s.guess + s.dx
        s.r = s.shifted - A.forward(s.dx)
        s.cost = norm(s.r)
        s.go_on(update >= tolerance(problem, self.tolIRLS, "tolIRLS", norm(s.dx)))

    def moved(self, problem: Problem, state: IRLSState, x: Tensor) -> None:  # noqa: ARG002
        """Go on from another ``x``: as in PyLops, the weights of the data remain those of the last iteration."""
        state.x, state.dx = x, x - state.guess

    def _rows(self, problem: Problem) -> OperatorOnVectors:
        if self.variant != "datamodel":
            return problem.operator
        size = problem.x.shape[-1]
        return Stack(((problem.operator, 1.0, problem.y.shape[-1]), (_Identity(), problem.damp, size)))

    def _root_of_data(self, problem: Problem, s: IRLSState) -> Tensor:
        """Return the square roots of the weights of the residual."""
        return _root_of_weights(s.r, self._in_pairs(problem), s.smallest, self.threshR)

    def weights(self, problem: Problem, state: IRLSState) -> Tensor:
        """Return the weights of the last iteration: of the data or, with ``model``, of the model."""
        weights = state.root * state.root
        return weights[..., ::2] if self._in_pairs(problem) else weights

    def _in_pairs(self, problem: Problem) -> bool:
        if self.variant == "model":
            return is_in_pairs(problem)
        operator = vectors_of(problem)
        return operator.as_pairs and operator.data_dtype.is_complex

    def accuracy(self, problem: Problem, state: IRLSState) -> Scalar:  # noqa: ARG002
        return ratio(state.update, norm(state.x))

    def columns(self, problem: Problem, state: IRLSState) -> dict[str, Scalar]:
        return {"r2norm": state.cost * problem.scale, "xupdate": state.update * problem.scale}

    def option_text(self, problem: Problem) -> str:
        return f"epsI = {as_text(problem.damp)}\tkind = {self.variant}\tthreshR = {self.threshR}\tepsR = {self.epsR}"


def _root_of_weights(v: Tensor, in_pairs: bool, smallest: Scalar | None, threshold: bool = False) -> Tensor:
    """Return the square roots of ``|v|``, or of ``1 / |v|`` where that is above ``smallest``; the largest is 1."""
    z = as_complex(v, in_pairs)
    size = torch.where(z != 0, torch.where(z != 0, z, 1.0).abs(), 0.0)  # with a derivative at zero, too
    size = size.repeat_interleave(2, -1) if in_pairs else size
    if smallest is not None:
        size = 1 / (torch.clamp(size, min=smallest) if threshold else size + smallest)
    root: Tensor = sqrt(size * ratio(1.0, largest(size)))
    return root
