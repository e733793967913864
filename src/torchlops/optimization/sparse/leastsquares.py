"""The least-squares problems inside other solvers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import add_up
from torchlops.optimization.krylov.cgls import CGLS
from torchlops.optimization.solver.batch import Batch
from torchlops.optimization.solver.options import Options
from torchlops.optimization.solver.problem import OperatorOnVectors, Problem
from torchlops.optimization.solver.vectors import Scalar, scale

_OPTIONS = Options(grad=None, compact=False)


@dataclass(frozen=True)
class Stack:
    """Operators on vectors, whose rows are times weights, one below the other.

    Attributes:
        parts: The operator, the weights of its rows, or one number per sample for all, and their number, of each.
    """

    parts: Sequence[tuple[OperatorOnVectors, Scalar, int]]

    def forward(self, x: Tensor) -> Tensor:
        """Return the results of all operators in one vector."""
        return torch.cat([scale(A.forward(x), weights) for A, weights, _ in self.parts], -1)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the sum of the adjoints."""
        pieces = y.split_with_sizes([rows for *_, rows in self.parts], -1)
        return add_up(A.adjoint(weights * piece) for (A, weights, _), piece in zip(self.parts, pieces, strict=True))


@dataclass(frozen=True)
class Inner:
    """How an inner problem is solved.

    Attributes:
        niter: Maximum number of iterations; by default, as many as the solver says.
        rtol: Tolerance on the norm of the gradient, relative to that at ``x = 0``.
        damp: Damping of the change from the initial guess.
    """

    niter: int | None = None
    rtol: float = 1e-10
    damp: float = 0.0


def least_squares(
    A: OperatorOnVectors, y: Tensor, x: Tensor, has_guess: bool, damp: Scalar, niter: int, rtol: float
) -> Tensor:
    """Minimise ``||y - A x||^2 + damp^2 ||x||^2`` by CGLS, from a guess or from zero.

    Args:
        A: The operator.
        y: The data.
        x: The guess, or without one, zeros.
        has_guess: Whether it is one.
        damp: A number per sample.
        niter: Maximum number of iterations.
        rtol: Tolerance on the norm of the gradient, relative to that at ``x = 0``.
    """
    problem = Problem(
        solver_name="CGLS", operator=A, y=y, x=x, r=y - A.forward(x) if has_guess else y, has_guess=has_guess,
        damp=damp, is_damped=isinstance(damp, Tensor) or damp != 0,
    )  # fmt: skip
    batch = Batch(CGLS(tol=0.0, gtol=rtol), problem)
    batch.run(niter, _OPTIONS)
    return batch.restore()


def read_inner_options(name: str, engine: str, options: Mapping[str, Any]) -> Inner:
    """Return how to solve inner problems, out of the options of PyLops's engines.

    Raises:
        ValueError: for an option that has no meaning here.
    """
    if engine not in ("scipy", "pylops"):
        raise ValueError(f"{name}: engine must be 'scipy' or 'pylops', got {engine!r}")
    ignored = {"btol", "tol", "conlim", "calc_var", "preallocate", "show"}
    unknown = set(options) - ignored - {"iter_lim", "niter", "maxiter", "rtol", "atol", "damp"}
    if unknown:
        raise ValueError(
            f"{name} does not know {', '.join(sorted(unknown))}: options of its inner solver are niter (iter_lim), "
            "rtol (atol) and damp"
        )
    counts = [options[key] for key in ("iter_lim", "niter", "maxiter") if options.get(key) is not None]
    rtol = options.get("rtol", options.get("atol", 1e-10))
    return Inner(counts[0] if counts else None, 0.0 if rtol is None else float(rtol), float(options.get("damp", 0.0)))
