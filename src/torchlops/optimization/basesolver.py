"""The template of solvers, under the name of PyLops's module: what a solver written by a user derives from."""

from __future__ import annotations

import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from torchlops.optimization.callback import Callbacks
from torchlops.warning import warn

__all__ = ["Solver"]


class Solver(ABC):
    """Template of solvers: a subclass writes ``setup``, ``step``, ``run``, ``solve`` and ``memory_usage``.

    What is inherited is the callbacks, the clock and the printing, as in PyLops, so that solvers that were written for
    PyLops work as they stand. The solvers of torchlops itself are subclasses as well
    (:class:`torchlops.optimization.iterativesolver.IterativeSolver`).

    Args:
        Op: The operator, in the attribute of this name.
        callbacks: Objects that watch the solver; see :class:`~torchlops.optimization.callback.Callbacks`. They are told
            of each call of ``setup``, ``step`` and ``run``, with what the first of these returns, or what the others
            were given, and return.

    Attributes:
        iiter: Number of iterations, which the subclass counts.
        tstart: When the solver was made.
        tend: When it was finalized.
        telapsed: The seconds between.
        preallocate: After ``_setpreallocate``, whether work arrays are made beforehand.

    Example:
        >>> import numpy as np, torchlops
        >>> class Landweber(Solver):
        ...     def setup(self, y):
        ...         self.y = y
        ...         return np.zeros(self.Op.shape[1])
        ...     def step(self, x):
        ...         self.iiter += 1
        ...         return x + 0.1 * self.Op.rmatvec(self.y - self.Op.matvec(x))
        ...     def run(self, x, niter):
        ...         while self.iiter < niter:
        ...             x = self.step(x)
        ...         return x
        ...     def solve(self, y, niter=100):
        ...         x = self.run(self.setup(y), niter)
        ...         self.finalize()
        ...         return x
        ...     def memory_usage(self):
        ...         return 0.0
        >>> Landweber(torchlops.Diagonal(np.array([1.0, 2.0]))).solve(np.ones(2)).round(3)
        array([1. , 0.5])
    """

    def __init__(self, Op: Any, callbacks: Sequence[Callbacks] | None = None) -> None:
        self.Op = Op
        self.callbacks = callbacks
        self._registercallbacks()
        self.iiter = 0
        self.tstart = time.time()

    def _registercallbacks(self) -> None:
        """Tell the callbacks of each call of ``setup``, ``step`` and ``run`` from now on."""
        for name in ("setup", "step", "run"):
            method = getattr(self, name)
            setattr(self, name, functools.update_wrapper(functools.partial(_watched, self, name, method), method))

    def _call(self, name: str, x: Any) -> None:
        """Call a method of each callback, those of an end in reverse order."""
        callbacks = self.callbacks or ()
        for callback in reversed(callbacks) if name.endswith("_end") else callbacks:
            getattr(callback, name)(self, x)

    def _setpreallocate(self, preallocate: bool) -> None:
        """Set ``preallocate``, which JAX arrays (``self.isjax``) do not allow."""
        is_jax = bool(getattr(self, "isjax", False))
        self.preallocate = preallocate and not is_jax
        if preallocate and is_jax:
            warn("JAX arrays do not allow preallocate=True: it is False here")

    def _print_solver(self, text: str = "", nbar: int = 80) -> None:
        rows, columns = self.Op.shape
        print(f"{type(self).__name__}{text}\n{'-' * nbar}\nThe Operator Op has {rows} rows and {columns} cols")

    def _print_setup(self, *args: Any, **kwargs: Any) -> None:  # noqa: B027
        """Print the head of the table: nothing, until it is overridden."""

    def _print_step(self, *args: Any, **kwargs: Any) -> None:  # noqa: B027
        """Print a line of the table: nothing, until it is overridden."""

    def _print_finalize(self, *args: Any, nbar: int = 80, **kwargs: Any) -> None:  # noqa: ARG002
        print(f"\nIterations = {self.iiter}        Total time (s) = {self.telapsed:.2f}\n{'-' * nbar}\n")

    @abstractmethod
    def memory_usage(self, *args: Any, **kwargs: Any) -> Any:
        """Return the memory that the solver needs, in bytes or in a unit that is asked for."""

    @abstractmethod
    def setup(self, *args: Any, **kwargs: Any) -> Any:
        """Prepare the first step, from the data."""

    @abstractmethod
    def step(self, *args: Any, **kwargs: Any) -> Any:
        """Do one step from ``x``, and return the new one, first if there is more."""

    @abstractmethod
    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Do several steps from ``x``, and return the new one, first if there is more."""

    @abstractmethod
    def solve(self, *args: Any, **kwargs: Any) -> Any:
        """Set up, run and finalize."""

    def finalize(self, *args: Any, show: bool = False, **kwargs: Any) -> Any:  # noqa: ARG002
        """Stop the clock."""
        self.tend = time.time()
        self.telapsed = self.tend - self.tstart
        if show:
            self._print_finalize()

    def callback(self, x: Any, *args: Any, **kwargs: Any) -> None:  # noqa: B027
        """Called with ``x`` after each step: assign a function to it, or override it."""


def _watched(solver: Solver, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a method of a solver, between the callbacks of its beginning and its end."""
    given = kwargs.get("x0") if name == "setup" else args[0] if args else kwargs.get("x")
    solver._call(f"on_{name}_begin", given)
    result = method(*args, **kwargs)
    x = first_of(result)
    solver._call(f"on_{name}_end", given if x is None else x)
    return result


def first_of(result: Any) -> Any:
    """Return ``x``, which comes first in what a step returns."""
    return result[0] if isinstance(result, tuple) else result
