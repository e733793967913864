"""The samples of a batch: which still iterate, why the others stopped, and the batch without those."""

from __future__ import annotations

import math
import warnings
from enum import IntEnum
from typing import Any, ClassVar

import torch
from torch import Tensor

from torchlops.arrays import to_numpy
from torchlops.optimization._problem import Problem
from torchlops.optimization.solver.vectors import Scalar, inner, maximum, norm, where
from torchlops.torch_internals import is_plain_eager


class Status(IntEnum):
    """Why a solver stopped on a sample. From 10 on, it failed."""

    RUNNING = 0
    CONVERGED = 1
    MAXITER = 2
    STOPPED = 3
    """By a callback."""
    ILL_CONDITIONED = 4
    """The estimate of the condition number has passed its limit, or a gradient ends at the rounding of its parts."""
    INDEFINITE = 10
    """The operator (or the preconditioner) is not positive definite, which CG needs."""
    BREAKDOWN = 11
    """A short recurrence cannot go on."""
    UNREACHABLE = 12
    """No model has a residual as small as asked for."""
    NONFINITE = 13
    """NaN or infinity on the way: the solution of the sample is NaN."""
    NONFINITE_INPUT = 14
    """NaN or infinity in the data, the initial guess or the damping: the solution of the sample is NaN."""


class SolverError(RuntimeError):
    """A solver failed on some samples, with ``on_fail="raise"``."""


class SolverWarning(UserWarning):
    """A solver failed on some samples."""


class Samples(Problem):
    """What of a solver knows of each sample whether it goes on.

    Attributes:
        active: Whether each sample still iterates.
        iters: Number of iterations of each sample.
        status_code: Why each sample stopped, as far as known on the way.
        status: A :class:`Status` for each sample, after the end.
        cost: History of the cost, one entry an iteration.
        iiter: Number of iterations so far.
    """

    vectors: ClassVar[tuple[str, ...]] = ()
    """Names of the work vectors, apart from ``x`` and ``y``."""
    scalars: ClassVar[tuple[str, ...]] = ()
    """Names of the numbers of each sample that outlive it."""

    active: Scalar
    iters: Scalar
    status_code: Scalar
    status: Tensor
    ynorm: Scalar
    cost: Any
    iiter: int
    compact: bool
    on_fail: str
    _stopped: bool
    _finite_input: Tensor
    _dropped: list[tuple[Tensor, dict[str, Tensor], int]]

    def _accuracy(self) -> Scalar:
        """Return, after the end, the norm of the residual of the equation relative to its right-hand side."""
        raise NotImplementedError

    def _count_in(self) -> None:
        """Let all samples start."""
        self.cost = []
        self.iiter = 0
        self._stopped = False
        self._dropped = []
        one = norm(self.y)
        self.ynorm = one
        self.status_code = torch.zeros_like(one, dtype=torch.int64) if isinstance(one, Tensor) else 0
        self.iters = torch.zeros_like(one, dtype=torch.int64) if isinstance(one, Tensor) else 0
        self.active = torch.ones_like(one, dtype=torch.bool) if isinstance(one, Tensor) else True
        finite = torch.isfinite(norm_of(self.y)) & torch.isfinite(norm_of(self.x))
        self._finite_input = finite & torch.isfinite(torch.as_tensor(self._damp, device=finite.device))

    def _stop(self, condition: Scalar, why: Status) -> None:
        """Let the active samples on which ``condition`` holds stop, and keep the reason."""
        hit = condition & self.active
        self.status_code = where(hit, int(why), self.status_code)
        self.active = self.active & ~hit if isinstance(hit, Tensor) else self.active and not hit

    def _check_adjoint(self, Ap: Tensor, r: Tensor, right: Scalar) -> None:
        """Warn where ``<A p, r>`` is far from ``<p, A^H r>`` (``right``), which a first iteration has anyway."""
        if not self._can_look() or self.on_fail == "ignore":
            return
        far = abs(inner(Ap, r) - right) > torch.finfo(self.x.dtype).eps ** 0.25 * norm(Ap) * norm(r)
        if bool(far.any()) if isinstance(far, Tensor) else far:
            message = (
                f"the adjoint of {self.Op.name_and_type} seems to be wrong: <A p, r> and <p, A^H r> differ. "
                "torchlops.dottest(A) tells more; on_fail='ignore' silences this."
            )
            if self.on_fail == "raise":
                raise SolverError(message)
            warnings.warn(message, SolverWarning, stacklevel=2)

    def _limit(
        self, start: Scalar, scale: Scalar, tol: Any, rtol: Any, rtol1: Any, floor: float | None = None
    ) -> Scalar:
        """Return the squared norm up to which a residual is small: the largest of three tolerances.

        They are ``tol`` (on the square), ``rtol`` times the initial norm and ``rtol1`` times ``scale``. Below them
        is a floor, deep in the rounding, under which no iteration means anything.
        """
        deep = 0.1 * torch.finfo(self.x.dtype).eps if floor is None else floor
        tol, rtol, rtol1 = (self._of_each_sample(value, "each tolerance") for value in (tol, rtol, rtol1))
        limit = maximum(start * start * rtol**2, scale * scale * maximum(rtol1, deep) ** 2)
        return maximum(limit, tol)

    def _drop_stopped(self) -> None:
        """Go on without the stopped samples, where they are more than half of a batch with one axis."""
        if len(self.batch) != 1 or not isinstance(self.active, Tensor):
            return
        active = self.active.flatten()
        if 2 * int(active.sum()) >= active.shape[0] or active.shape[0] < 8 or not bool(active.any()):
            return
        keep = active.nonzero().flatten()
        names = ("x", "y", *self.vectors, *self.scalars, *OF_EACH)
        whole = {name: vars(self)[name] for name in names if isinstance(vars(self)[name], Tensor)}
        kept = {name: value[keep] for name, value in whole.items() if value.shape[0] == active.shape[0]}
        if not self._treats_alike(kept["x"]):
            self.compact = False
            return
        vars(self).update(kept)
        outlive = {name: whole[name] for name in ("x", *self.scalars, *OF_EACH) if name in kept}
        self._dropped.append((keep, outlive, len(self.cost)))
        self.batch = (keep.shape[0],)

    def _treats_alike(self, x: Tensor) -> bool:
        try:
            return self.Op.apply_nd(self._as_array(x, self.Op.dims, self._model_dtype), False).shape[:1] == x.shape[:1]
        except RuntimeError:
            return False

    def _put_back(self) -> None:
        while self._dropped:
            keep, whole, first = self._dropped.pop()
            for name, value in whole.items():
                vars(self)[name] = value.index_copy(0, keep, vars(self)[name])
            last = self.cost[first - 1]
            self.cost[first:] = [last.index_copy(0, keep, entry) for entry in self.cost[first:]]
            self.batch = (last.shape[0],)

    def _conclude(self) -> None:
        """Turn what is known of each sample into its status, and its solution to NaN where there is none."""
        accuracy = torch.as_tensor(self._accuracy(), device=self.x.device)
        finite = self._finite_input & torch.isfinite(norm_of(self.x)) & torch.isfinite(accuracy.detach())
        code = torch.as_tensor(self.status_code, device=self.x.device).expand(self._finite_input.shape)
        active = torch.as_tensor(self.active, device=self.x.device).expand(code.shape)
        last = Status.STOPPED if self._stopped else Status.MAXITER
        code = torch.where(code == Status.RUNNING, torch.where(active, int(last), int(Status.CONVERGED)), code)
        code = torch.where(finite, code, int(Status.NONFINITE))
        code = torch.where(self._finite_input, code, int(Status.NONFINITE_INPUT))
        self.status = code.squeeze(-1)
        if not is_plain_eager() and torch.is_grad_enabled():
            return
        if not bool(finite.all()):
            self.x = torch.where(finite, self.x, math.nan)

    def _complain(self) -> None:
        if not is_plain_eager() and torch.is_grad_enabled():
            return
        failed = self.status >= Status.INDEFINITE
        if not bool(failed.any()):
            return
        reasons = [f"{describe(self.status, code)}" for code in Status if code >= Status.INDEFINITE]
        may_be_wrong = bool(((self.status == Status.INDEFINITE) | (self.status == Status.BREAKDOWN)).any())
        message = (
            f"{type(self).__name__} on {self.Op.name_and_type} failed: {', '.join(filter(None, reasons))}. "
            f"{_HINT if may_be_wrong else ''}on_fail='ignore' silences this, status of the result tells the samples."
        )
        if self.on_fail == "raise":
            raise SolverError(message)
        warnings.warn(message, SolverWarning, stacklevel=2)

    def _history(self) -> Any:
        if not isinstance(self.cost[0], Tensor):
            cost = torch.tensor(self.cost[: self.iiter + 1], dtype=torch.float64)
        else:
            cost = torch.stack(self.cost).squeeze(-1)
            if self._can_look():
                self.iiter = int(self.iters.max()) if self.iters.numel() else 0
                cost = cost[: self.iiter + 1]
        return cost if self._back is None else to_numpy(cost)

    def _report(self, result: Any) -> Any:
        """Hang what is known of each sample on the named tuple."""
        result.status = self._number(self.status.unsqueeze(-1))
        result.iters = self._number(self.iters)
        result.converged = result.status == Status.CONVERGED
        return result


OF_EACH = ("active", "iters", "status_code", "_finite_input", "ynorm", "_damp")
_HINT = "A wrong adjoint also shows like this: torchlops.dottest(A) finds one out. "


def norm_of(x: Tensor) -> Tensor:
    """Return the largest modulus of each sample, ``(*batch, 1)``: NaN or infinite where anything is."""
    x = x.detach()
    return x.abs().amax(-1, keepdim=True)


def describe(status: Tensor, code: Status, names: bool = True) -> str:
    """Return how many samples have a status, and which."""
    hit = (status == code).flatten()
    count = int(hit.sum())
    if not count:
        return ""
    which = hit.nonzero().flatten().tolist()
    some = ", ".join(map(str, which[:8])) + (", ..." if count > 8 else "")
    return (
        f"{code.name}"
        + (f" in {count} of {hit.numel()} samples" if hit.numel() > 1 else "")
        + (f" ({some})" if names and hit.numel() > 1 else "")
    )
