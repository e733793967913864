"""What the sparse solvers share."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from torchlops.arrays import as_tensor
from torchlops.optimization.basesolver import Solver, Status
from torchlops.optimization.implicit import needs_attaching
from torchlops.optimization.solver.vectors import Scalar, norm, ratio


class _SparseResult(NamedTuple):
    x: Any
    iiter: int
    cost: Any


class SparseResult(_SparseResult):
    """The result of a sparse solver, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        iiter: Number of iterations (of the slowest sample).
        cost: The cost after each iteration.
        status, iters, converged: As in :class:`~torchlops.optimization.cls_cg.CGResult`.
    """


class SparseSolver(Solver):
    """Base of the sparse solvers. One number of each sample, such as ``eps``, takes the place of the damping."""

    has_first_cost: ClassVar[bool] = True
    """Whether the cost that the user sees begins with that of the initial guess."""
    update: Scalar
    """Length of the last change of the solution."""

    def _go(self, y: Any, x0: Any, show: bool = False, itershow: Any = (10, 10, 10), **options: Any) -> None:
        options[self.weight_name] = options.pop("damp")
        x = self.setup(y, x0=x0, show=show, **options)  # type: ignore[attr-defined]  # each solver has its own
        self.run(x, show=show, itershow=itershow)
        self.finalize(show)

    def _refuse_implicit(self, y: Any, weight: Any, others: Any, what: str) -> None:
        """Raise where the derivative of the exact solution is wanted, and there is none."""
        if self.grad != "implicit":
            return
        tensors = [t for part in others for t in (part._all_tensors() if hasattr(part, "_all_tensors") else (part,))]
        wanted = torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in tensors)
        if wanted or (isinstance(y, Tensor) and needs_attaching(self, y, weight)):
            raise ValueError(
                f"{type(self).__name__} has no implicit derivative{what}: take grad='unroll' for that of the "
                "iterations as they run, or grad=None for none"
            )

    def _complex(self, vector: Tensor, size: int | None = None) -> Tensor:
        """Return a vector of models, ``(*batch, n)``, with complex samples where models are complex."""
        return self._as_array(vector, (self.Op.shape[1] if size is None else size,), self._model_dtype)

    def _real(self, array: Tensor) -> Tensor:
        """Return the inverse of ``_complex``."""
        return self._as_vector(array, (array.shape[-1],), self._model_dtype)

    def _as_scalar(self, value: Tensor) -> Scalar:
        """Return a tensor ``(*batch, 1)`` as a number of each sample."""
        return value if isinstance(self.ynorm, Tensor) else value.item()

    def _accuracy(self) -> Scalar:
        return ratio(self.update, norm(self.x))

    def _history(self) -> Any:
        history = super()._history()
        return history if self.has_first_cost else history[1:]

    def _columns(self) -> dict[str, Scalar]:
        return {"cost": self.cost[-1], "xupdate": self.update}

    def _option_text(self) -> str:
        return f"{self.weight_name} = {self._text(self._damp)}"

    def _print_setup(self) -> None:
        rows, columns = self.Op.shape
        batch = f", batch {self.batch}" if self.batch else ""
        print(f"{type(self).__name__}\n{'-' * 65}\nThe Operator Op has {rows} rows and {columns} cols{batch}")
        print(f"{self._option_text()}\tniter = {self.niter}\n{'-' * 65}\n")
        print("    Itn          x[0]      " + "".join(f"{name:>14}" for name in self._columns()))

    def _result(self, x: Any) -> Any:
        return self._report(SparseResult(x, self.iiter, self.cost))

    def _stop_small(self, tol: float, rtol: float = 0.0, rtol1: float = 0.0) -> None:
        """Stop the samples whose last change, or whose cost, is small (or NaN)."""
        cost = self.cost[-1]
        self.active = self.active & (self.update > float(tol))
        if rtol:
            self.active = self.active & (cost >= rtol * self.first)
        if rtol1:
            self.active = self.active & (cost >= rtol1 * self.ynorm)

    first: Scalar
    """The first cost."""


def as_numbers(value: Any, what: str, like: Tensor) -> Tensor:
    """Return numbers of the user as a tensor that goes with ``like``."""
    return as_tensor(value, what).to(like.device, like.dtype)


__all__ = ["SparseResult", "SparseSolver", "Status", "as_numbers"]
