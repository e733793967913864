"""How a solver works, apart from what it solves: derivatives, failures, progress, and the samples of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypedDict

from torch import Tensor


class WarmStart:
    """Keeps the solution of an adjoint solve, and starts the next one from it, where the shapes agree.

    Attributes:
        w: The last solution, or None.

    Example:
        >>> import torch, torchlops
        >>> from torchlops.optimization import Implicit
        >>> start = WarmStart()
        >>> y = torch.ones(3, requires_grad=True)
        >>> torchlops.cgls(torchlops.Diagonal(torch.ones(3)), y, grad=Implicit(warm_start=start)).x.sum().backward()
        >>> start.w
        tensor([1., 1., 1.])
    """

    def __init__(self) -> None:
        self.w: Tensor | None = None

    def of(self, rhs: Tensor, dims: tuple[int, ...], ndim: int) -> Tensor | None:
        """Return where to start the solve for ``rhs``, whose samples have ``ndim`` axes, from."""
        w, shape = self.w, (*rhs.shape[: rhs.ndim - ndim], *dims)
        fits = w is not None and (w.shape, w.dtype, w.device) == (shape, rhs.dtype, rhs.device)
        return w if fits else None


@dataclass(frozen=True)
class Implicit:
    """Derivatives of the exact solution, in every mode and to any order, by one more solve; nothing is stored.

    Args:
        rtol: Relative tolerance of the solves of a derivative; by default the smallest relative tolerance of the
            solver itself, or somewhat above the rounding of the dtype where it has none.
        niter: Maximum number of iterations of such a solve; by default that of the solver, or the size of the model
            if that is more.
        warm_start: A :class:`WarmStart`, if the solves of derivatives are to start from the solutions of earlier
            ones, as in training, where one step is close to the last. It changes no derivative by more than their
            tolerance. (It is kept between calls: give each thread its own.)
        full_rank: Set False if the columns of the operator may be dependent (least squares without damping). The
            minimum-norm solution (or the one closest to the initial guess) is returned, and its derivative costs a
            second solve. With True and dependent columns, derivatives are wrong; forward mode does not warn. Wide
            operators are detected.
    """

    rtol: float | None = None
    niter: int | None = None
    warm_start: WarmStart | None = None
    full_rank: bool = True


@dataclass(frozen=True)
class Unroll:
    """Derivatives of the iterations as they run.

    What a solver computes before them without a derivative, such as the step of ISTA and FISTA without ``alpha``, is a
    constant.

    Args:
        checkpoint_every: Store the state only every so many iterations, and repeat the others in the backward pass.
    """

    checkpoint_every: int | None = None


Gradient = Implicit | Unroll | Literal["implicit", "unroll"] | None
"""How derivatives of a solution are taken; the names stand for the defaults, None for no derivative."""

OnFail = Literal["warn", "raise", "ignore"]


class SolveOptions(TypedDict, total=False):
    """The keyword arguments that all solvers take; see :class:`Options`."""

    grad: Gradient
    on_fail: OnFail
    progress: bool
    check_every: int
    compact: bool


@dataclass(frozen=True)
class Options:
    """The keyword arguments that all solvers take.

    Args:
        grad: How derivatives of the solution are taken: :class:`Implicit` (or ``"implicit"``, the default),
            :class:`Unroll` (or ``"unroll"``), or None for none.
        on_fail: What to do about failed samples: ``"warn"``, ``"raise"`` or ``"ignore"``. The ``status`` of the
            result names them in each case.
        progress: Whether to show a progress bar (needs tqdm). It is quiet where the output is no terminal.
        check_every: Number of iterations between two looks at whether any sample is still active, which make a device
            wait. Iterations that come too many change nothing.
        compact: Whether to drop stopped samples from the batch. That takes an operator that treats all samples alike,
            as all operators of the catalogue do. Another is noticed by its shapes; ``compact=False`` is for it.
    """

    grad: Gradient = field(default_factory=Implicit)
    on_fail: OnFail = "warn"
    progress: bool = False
    check_every: int = 10
    compact: bool = True

    def __post_init__(self) -> None:
        named = {"implicit": Implicit(), "unroll": Unroll()}
        if isinstance(self.grad, str) and self.grad in named:
            object.__setattr__(self, "grad", named[self.grad])
        if not (self.grad is None or isinstance(self.grad, Implicit | Unroll)):
            raise ValueError(
                f"grad must be 'implicit', 'unroll', None, Implicit(...) or Unroll(...), got {self.grad!r}"
            )
        if self.on_fail not in ("warn", "raise", "ignore"):
            raise ValueError(f"on_fail must be 'warn', 'raise' or 'ignore', got {self.on_fail!r}")
        if self.check_every < 1:
            raise ValueError(f"check_every must be 1 or more, got {self.check_every}")

    @property
    def implicit(self) -> Implicit:
        """How implicit derivatives are taken, the defaults where they are not asked for."""
        return self.grad if isinstance(self.grad, Implicit) else Implicit()

    @property
    def unrolls(self) -> bool:
        """Whether the iterations are recorded."""
        return isinstance(self.grad, Unroll)
