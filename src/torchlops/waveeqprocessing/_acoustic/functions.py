"""Data of the wave equation, and their derivatives, in the form that suits: in place, or differentiable in every mode.

In plain eager execution the wavefields are computed in place, and derivatives by the adjoint state with checkpoints:
first and second derivatives in reverse mode are those of four functions (the data, their perturbation, the gradient,
and its perturbation), each of which is the derivative of another. Everywhere else (a transform of ``torch.func``,
forward mode, a compiler), and for third derivatives, the functional step runs, which torch differentiates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from torchlops.torch_internals import is_batched_by_legacy_vmap, is_plain_eager, is_wrapped
from torchlops.waveeqprocessing._acoustic.checkpoints import Checkpoints
from torchlops.waveeqprocessing._acoustic.compiled import CompiledStep, can_compile
from torchlops.waveeqprocessing._acoustic.fast import FastStep
from torchlops.waveeqprocessing._acoustic.grid import Grid
from torchlops.waveeqprocessing._acoustic.propagation import Back, Drive, EveryStep, Tape, back, run
from torchlops.waveeqprocessing._acoustic.sampling import Points
from torchlops.waveeqprocessing._acoustic.step import FunctionalStep

Maybe: TypeAlias = "Tensor | None"

COMPILE_FROM = 2e9
"""Number of nodes times time steps times shots from which compiling, which takes half a minute, is worth its time."""


class Problem(NamedTuple):
    """What the data depend on, and is not differentiated here.

    Args:
        grid: The grid.
        sources: Nodes of the sources.
        receivers: Nodes and weights of the receivers.
        compiles: Whether to compile the step in place; None if it pays.
    """

    grid: Grid
    sources: Points
    receivers: Points
    compiles: bool | None = None

    def is_fast_for(self, *tensors: Maybe) -> bool:
        """Whether nothing but eager reverse mode may see these tensors."""
        given = [tensor for tensor in (*tensors, self.receivers.weights) if tensor is not None]
        return (
            is_plain_eager()
            and FastStep.suits(self.grid)
            and all(
                type(t) in (Tensor, torch.nn.Parameter)
                and not (t.is_meta or is_batched_by_legacy_vmap(t) or is_wrapped(t))
                and t.numel() > 0
                for t in given
            )
        )

    def fast_step(self, w: Tensor, models: int, nt: int) -> FastStep:
        """Return the step in place."""
        work = math.prod(self.grid.padded) * models * self.sources.shots * nt
        compiles = work >= COMPILE_FROM and (w.is_cuda or can_compile()) if self.compiles is None else self.compiles
        return (CompiledStep if compiles else FastStep)(self.grid, w, self.sources, self.receivers)


# -- the functions ----------------------------------------------------------------------------------------------


def data(problem: Problem, w: Tensor, f: Tensor) -> Tensor:
    """Return the data ``(nt, *batch, shots, receivers)`` of ``w`` and ``f``."""
    if not problem.is_fast_for(w, f):
        return run(_functional(problem, w), Drive(f))[0]
    if _tracks(w, f):
        result: Tensor = _Data.apply(w, f, problem)  # type: ignore[no-untyped-call]
        return result
    return _Fast(problem, w, f).run()[0]


def born(problem: Problem, w: Tensor, f: Tensor, dw: Maybe, df: Maybe = None) -> Tensor:
    """Return the perturbation of the data by those of ``w`` and ``f``."""
    if not problem.is_fast_for(w, f, dw, df):
        perturbed = run(_functional(problem, w), Drive(f, dw, df))[1]
    elif _tracks(w, f, dw, df):
        perturbed = _Born.apply(w, f, dw, df, problem)  # type: ignore[no-untyped-call]
    else:
        perturbed = _Fast(problem, w, f, dw, df).run()[1]
    assert perturbed is not None
    return perturbed


def gradient(problem: Problem, w: Tensor, f: Tensor, r: Tensor, fast: Any = None) -> tuple[Tensor, Tensor]:
    """Return the derivatives of ``sum(r * data)`` by ``w`` and ``f``, with all batch axes.

    Args:
        problem: The problem.
        w: The squared velocities times the squared time step.
        f: What is added at the sources.
        r: What the data are multiplied with.
        fast: The run in place that gave the data, if there was one.
    """
    if not problem.is_fast_for(w, f, r):
        step, tape = _functional(problem, w), EveryStep()
        run(step, Drive(f), tape)
        result = back(step, Drive(f), tape, r)
        return result.w, result.f
    if _tracks(w, f, r):
        both: tuple[Tensor, Tensor] = _Gradient.apply(w, f, r, problem, fast)  # type: ignore[no-untyped-call]
        return both
    result = _gradient_in_place(problem, w, f, r, fast)
    return result.w, result.f


class Second(NamedTuple):
    """The gradient, its perturbation, and that of the data."""

    w: Tensor
    f: Tensor
    dw: Tensor
    df: Tensor
    data: Tensor


def second(problem: Problem, w: Tensor, f: Tensor, r: Tensor, dw: Maybe, df: Maybe, dr: Maybe = None) -> Second:
    """Return the gradient, its perturbation by those of ``w``, ``f`` and ``r``, and the perturbation of the data."""
    if not problem.is_fast_for(w, f, r, dw, df, dr):
        return _second(problem, w, f, r, dw, df, dr)
    if _tracks(w, f, r, dw, df, dr):
        return Second(*_Second.apply(w, f, r, dw, df, dr, problem))  # type: ignore[no-untyped-call]
    return _second_in_place(problem, w, f, r, dw, df, dr)


def _second(problem: Problem, w: Tensor, f: Tensor, r: Tensor, dw: Maybe, df: Maybe, dr: Maybe) -> Second:
    step, drive, tape = _functional(problem, w), Drive(f, dw, df), EveryStep()
    _, perturbed = run(step, drive, tape)
    return _complete(back(step, drive, tape, r, dr), perturbed)


def _complete(result: Back, perturbed: Maybe) -> Second:
    assert result.dw is not None
    assert result.df is not None
    assert perturbed is not None
    return Second(result.w, result.f, result.dw, result.df, perturbed)


def _functional(problem: Problem, w: Tensor) -> FunctionalStep:
    return FunctionalStep(problem.grid, w, problem.sources, problem.receivers)


def _tracks(*tensors: Maybe) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


# -- in place -----------------------------------------------------------------------------------------------------


class _Fast:
    """A run in place, with all batch axes flattened into one.

    Args:
        problem: The problem.
        w: The squared velocities times the squared time step, ``(*batch, 1, *nodes)``.
        f: What is added at the sources, ``(nt, *batch, shots, points)``.
        dw: Perturbation of ``w``.
        df: Perturbation of ``f``.
        r: Data, or their perturbations, that are to come with batch axes of their own.
    """

    def __init__(
        self, problem: Problem, w: Tensor, f: Tensor, dw: Maybe = None, df: Maybe = None, r: tuple[Maybe, ...] = ()
    ) -> None:
        self.of_nodes = 1 + problem.grid.ndim
        batches = [t.shape[: -self.of_nodes] for t in (w, dw) if t is not None]
        batches += [t.shape[1:-2] for t in (f, df, *r) if t is not None]
        self.batch = torch.broadcast_shapes(*batches)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.step = problem.fast_step(self._items(w, self.of_nodes), math.prod(self.batch), f.shape[0])
            perturbation = None if dw is None else self.step.flat(self._items(dw, self.of_nodes))
            self.drive = Drive(self.in_time(f), perturbation, None if df is None else self.in_time(df))
        self.tape = Checkpoints(self.step, self.drive)

    def _items(self, x: Tensor, trailing: int) -> Tensor:
        """Return ``x`` with one batch axis, of one item if all are the same."""
        shape, rest = x.shape[: x.ndim - trailing], x.shape[x.ndim - trailing :]
        if math.prod(shape) == 1:
            return x.reshape(1, *rest)
        return x.expand(*self.batch, *rest).reshape(-1, *rest)

    def in_time(self, x: Tensor) -> Tensor:
        """Return a function of time ``(nt, *batch, shots, points)`` with one batch axis."""
        nt, shape, points = x.shape[0], x.shape[1:-2], x.shape[-2:]
        if math.prod(shape) == 1:
            return x.detach().reshape(nt, 1, *points)
        ones = (1,) * (len(self.batch) - len(shape))
        return x.detach().reshape(nt, *ones, *shape, *points).expand(nt, *self.batch, *points).reshape(nt, -1, *points)

    def apart(self, x: Tensor, axis: int) -> Tensor:
        """Return a result with its batch axes."""
        shape = self.batch if x.shape[axis] > 1 else (1,) * len(self.batch)
        return x.reshape(*x.shape[:axis], *shape, *x.shape[axis + 1 :])

    def run(self, keeps: bool = False) -> tuple[Tensor, Maybe]:
        """Return the data and their perturbation."""
        with torch.no_grad(), _flushing(self.step.w):
            kept: Tape | None = self.tape if keeps else None
            plain, perturbed = run(self.step, self.drive, kept)
        return self.apart(plain, 1), None if perturbed is None else self.apart(perturbed, 1)

    def back(self, r: Tensor, dr: Maybe = None) -> Back:
        """Return the way back, after a run that kept its checkpoints."""
        with torch.no_grad(), _flushing(self.step.w):
            given = None if dr is None else self.in_time(dr)
            result = back(self.step, self.drive, self.tape, self.in_time(r), given)
        by_dw, by_df = (None if x is None else self.apart(x, i) for i, x in ((0, result.dw), (1, result.df)))
        return Back(self.apart(result.w, 0), self.apart(result.f, 1), by_dw, by_df)


def _gradient_in_place(problem: Problem, w: Tensor, f: Tensor, r: Tensor, fast: _Fast | None) -> Back:
    if fast is None:
        fast = _Fast(problem, w, f, r=(r,))
        fast.run(keeps=True)
    return fast.back(r)


def _second_in_place(problem: Problem, w: Tensor, f: Tensor, r: Tensor, dw: Maybe, df: Maybe, dr: Maybe) -> Second:
    fast = _Fast(problem, w, f, dw, df, (r, dr))
    _, perturbed = fast.run(keeps=True)
    return _complete(fast.back(r, dr), perturbed)


@contextmanager
def _flushing(like: Tensor) -> Iterator[None]:
    """Take the smallest numbers for zero: before a wave arrives they are everywhere, and arithmetic on them is slow."""
    smallest = torch.full((), torch.finfo(like.dtype).tiny / 4, dtype=like.dtype, device="cpu")
    already = not bool(smallest.mul(1.0))
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(already)


# -- for reverse mode ---------------------------------------------------------------------------------------------


def _like(result: Maybe, given: Tensor) -> Maybe:
    """Return a derivative, summed over the batch axes along which what was given is broadcast."""
    return None if result is None else result.sum_to_size(given.shape)


def _like_in_time(result: Maybe, given: Tensor) -> Maybe:
    """Return the same for functions of time, whose batch axes come after that of time."""
    if result is None:
        return None
    return result.movedim(0, -3).sum_to_size(given.movedim(0, -3).shape).movedim(-3, 0)


class _Data(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor, f: Tensor, problem: Problem) -> Tensor:
        ctx.save_for_backward(w, f)
        ctx.problem, ctx.fast = problem, _Fast(problem, w, f)
        result: Tensor = ctx.fast.run(keeps=True)[0]
        return result

    @staticmethod
    def backward(ctx: Any, r: Tensor) -> Any:
        w, f = ctx.saved_tensors
        by_w, by_f = gradient(ctx.problem, w, f, r, ctx.fast)
        return _like(by_w, w), _like_in_time(by_f, f), None


class _Born(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor, f: Tensor, dw: Maybe, df: Maybe, problem: Problem) -> Tensor:
        ctx.save_for_backward(w, f, dw, df)
        ctx.problem = problem
        perturbed = _Fast(problem, w, f, dw, df).run()[1]
        assert perturbed is not None
        return perturbed

    @staticmethod
    def backward(ctx: Any, s: Tensor) -> Any:
        w, f, dw, df = ctx.saved_tensors
        of_w = of_f = None
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            both = second(ctx.problem, w, f, s, dw, df)
            by_w, by_f, of_w, of_f = both.w, both.f, _like(both.dw, w), _like_in_time(both.df, f)
        else:
            by_w, by_f = gradient(ctx.problem, w, f, s)
        return (
            of_w,
            of_f,
            None if dw is None else _like(by_w, dw),
            None if df is None else _like_in_time(by_f, df),
            None,
        )


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor, f: Tensor, r: Tensor, problem: Problem, fast: _Fast | None) -> Any:
        ctx.save_for_backward(w, f, r)
        ctx.problem = problem
        ctx.set_materialize_grads(False)
        result = _gradient_in_place(problem, w, f, r, fast)
        return result.w, result.f

    @staticmethod
    def backward(ctx: Any, cw: Maybe, cf: Maybe) -> Any:
        w, f, r = ctx.saved_tensors
        if cw is None and cf is None:
            return None, None, None, None, None
        if not (ctx.needs_input_grad[0] or ctx.needs_input_grad[1]):
            return None, None, _like_in_time(born(ctx.problem, w, f, cw, cf), r), None, None
        both = second(ctx.problem, w, f, r, cw, cf)
        return _like(both.dw, w), _like_in_time(both.df, f), _like_in_time(both.data, r), None, None


class _Second(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor, f: Tensor, r: Tensor, dw: Maybe, df: Maybe, dr: Maybe, problem: Problem) -> Any:
        ctx.save_for_backward(w, f, r, dw, df, dr)
        ctx.problem = problem
        ctx.set_materialize_grads(False)
        return tuple(_second_in_place(problem, w, f, r, dw, df, dr))

    @staticmethod
    def backward(ctx: Any, *cotangents: Maybe) -> Any:
        creates_graph = torch.is_grad_enabled()
        with torch.enable_grad():
            # Views, since one of them may depend on another, by which only the results are to be differentiated.
            given: list[Any] = [None if x is None else x.view_as(x) for x in ctx.saved_tensors]
            results = _second(ctx.problem, *given)
        wanted = [i for i, x in enumerate(given) if x is not None and ctx.needs_input_grad[i]]
        pairs = [(x, c) for x, c in zip(results, cotangents, strict=True) if c is not None]
        found = torch.autograd.grad(
            [x for x, _ in pairs], [given[i] for i in wanted], [c for _, c in pairs],
            create_graph=creates_graph, allow_unused=True,
        )  # fmt: skip
        derivatives: list[Maybe] = [None] * 7
        for i, derivative in zip(wanted, found, strict=True):
            derivatives[i] = derivative
        return tuple(derivatives)


def snapshots(problem: Problem, w: Tensor, f: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the wavefield ``(*batch, shots, *nodes)`` at each time, and ``q`` of the step after it; None at the end.

    What is yielded is overwritten by the next step.
    """
    if problem.is_fast_for(w, f) and not _tracks(w, f):
        fast = _Fast(problem, w, f)
        step: Any = fast.step
        drive = fast.drive

        def nodes(field: Tensor) -> Tensor:
            return fast.apart(fast.step.nodes(field), 0)
    else:
        step, drive = _functional(problem, w), Drive(f)
        nodes = step.nodes
    u, _ = drive.start(step)
    room = step.room(u)
    for n in range(f.shape[0]):
        at_time = nodes(u.now)
        if n == f.shape[0] - 1:
            yield at_time, None
        else:
            before = at_time.clone() if room is not None else at_time
            u, q = step.forward(u, drive.f[n], keep=room)
            yield before, nodes(q)


class WithSecond(NamedTuple):
    """Data and their perturbation, and what is needed for the way back from both."""

    data: Tensor
    perturbed: Tensor
    back: Any


def with_perturbation(problem: Problem, w: Tensor, f: Tensor, dw: Tensor) -> WithSecond:
    """Return the data and their perturbation, and a function of ``r`` and ``dr`` that gives the way back."""
    if problem.is_fast_for(w, f, dw):
        fast = _Fast(problem, w, f, dw)
        plain, perturbed = fast.run(keeps=True)
        back_from: Any = fast.back
    else:
        step, drive, tape = _functional(problem, w), Drive(f, dw), EveryStep()
        plain, perturbed = run(step, drive, tape)

        def back_from(r: Tensor, dr: Tensor) -> Back:
            return back(step, drive, tape, r, dr)

    assert perturbed is not None
    return WithSecond(plain, perturbed, back_from)
