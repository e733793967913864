"""Callbacks: what a user may watch, and stop, a solver with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from torchlops.arrays import as_tensor
from torchlops.linearoperator import LinearOperator
from torchlops.utils.metrics import mae, mse, psnr, snr


class Solver(Protocol):
    """What callbacks read of a solver."""

    @property
    def iiter(self) -> int:
        """Number of iterations so far."""

    @property
    def cost(self) -> Sequence[Any]:
        """History of the cost, one entry per iteration."""

    @property
    def ynorm(self) -> Any:
        """Norm of the data."""


class Callbacks:
    """What is called before and after each method of a solver, with the solver and the vector ``x``.

    A subclass overrides what it needs. It ends the run when it sets its attribute ``stop`` to True.

    Example:
        >>> from torchlops import MatrixMult
        >>> from torchlops.optimization.cls_basic import CG
        >>> class Count(Callbacks):
        ...     count = 0
        ...     def on_step_end(self, solver, x):
        ...         self.count = solver.iiter
        >>> count = Count()
        >>> A = MatrixMult(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
        >>> x = CG(A, callbacks=[count]).solve(torch.ones(2), tol=0, niter=2)[0]
        >>> count.count
        2
    """

    stop = False

    def on_setup_begin(self, solver: Solver, x0: Any) -> None:
        """Run before the setup, with the initial guess, if any."""

    def on_setup_end(self, solver: Solver, x: Any) -> None:
        """Run after the setup."""

    def on_step_begin(self, solver: Solver, x: Any) -> None:
        """Run before a step."""

    def on_step_end(self, solver: Solver, x: Any) -> None:
        """Run after a step."""

    def on_run_begin(self, solver: Solver, x: Any) -> None:
        """Run before all steps."""

    def on_run_end(self, solver: Solver, x: Any) -> None:
        """Run after all steps."""


class CostToDataCallback(Callbacks):
    """Stop when the cost of every sample is below ``rtol`` times the norm of its data."""

    def __init__(self, rtol: float) -> None:
        self.rtol = rtol

    def on_step_end(self, solver: Solver, x: Any) -> None:  # noqa: ARG002
        self.stop = self.stop or _all(solver.cost[-1] < self.rtol * solver.ynorm)


class CostToInitialCallback(Callbacks):
    """Stop when the cost of every sample is below ``rtol`` times its initial cost."""

    def __init__(self, rtol: float) -> None:
        self.rtol = rtol

    def on_step_end(self, solver: Solver, x: Any) -> None:  # noqa: ARG002
        self.stop = self.stop or _all(solver.cost[-1] < self.rtol * solver.cost[0])


class CostNanInfCallback(Callbacks):
    """Stop when the cost of a sample is NaN or infinite."""

    def on_step_end(self, solver: Solver, x: Any) -> None:  # noqa: ARG002
        self.stop = self.stop or not bool(torch.isfinite(as_tensor(solver.cost[-1], "the cost")).all())


class MetricsCallback(Callbacks):
    """Keep measures of the distance to a known model, after each step.

    Args:
        xtrue: The true model.
        Op: Applied to the solution before the comparison.
        which: Some of ``mae``, ``mse``, ``snr`` and ``psnr`` (see ``torchlops.utils.metrics``).

    Attributes:
        metrics: A list of values for each measure.
    """

    def __init__(
        self, xtrue: Any, Op: LinearOperator | None = None, which: Sequence[str] = ("mae", "mse", "snr", "psnr")
    ) -> None:
        measures = {"mae": mae, "mse": mse, "snr": snr, "psnr": psnr}
        unknown = set(which) - set(measures)
        if unknown:
            raise ValueError(f"MetricsCallback knows {', '.join(measures)}, got {sorted(unknown)}")
        self.xtrue, self.Op, self.which = xtrue, Op, which
        self._measures = {name: measures[name] for name in which}
        self.metrics: dict[str, list[Any]] = {name: [] for name in which}

    def on_step_end(self, solver: Solver, x: Any) -> None:  # noqa: ARG002
        x = x if self.Op is None else self.Op(x)
        for name, measure in self._measures.items():
            self.metrics[name].append(measure(self.xtrue, x))


def _callback_stop(callbacks: Sequence[Callbacks] | None) -> bool:
    """Whether any of the callbacks has set its ``stop``; PyLops's own name for it, which others import."""
    return any(getattr(callback, "stop", False) for callback in callbacks or ())


def _all(condition: Any) -> bool:
    return bool(condition.all()) if isinstance(condition, Tensor) else bool(condition)
