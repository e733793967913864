r"""Checks of the promises that every operator keeps, to run on your own operators.

:func:`check` runs all checks on one operator; each check is also a separate function. They compare the operator with
its matrix, which they measure one unit vector at a time. So a derivative must equal :math:`A t` or :math:`A^H y`; it is
not enough that it agrees with another derivative of the same code. Use a small operator (a few dozen elements): the
findings do not depend on the size.

A failed check raises an ``AssertionError`` with the operator, the promise, and the measured values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Literal, TypeAlias, TypeVar

from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.testing.adjoint import check_adjoint, check_dense, check_linear
from torchlops.testing.arraykernels import check_array_kernels
from torchlops.testing.compiling import (
    check_compile,
    check_compiled_building,
    check_compiled_gradients,
    check_compiled_jacobians,
    check_export,
)
from torchlops.testing.derivatives import check_derivatives, check_functorch, check_nested_functorch
from torchlops.testing.devices import check_default_device
from torchlops.testing.dtypes import check_dtypes, check_meta
from torchlops.testing.fastkernels import check_fast_kernels
from torchlops.testing.matrix import Builder, require_small
from torchlops.testing.modules import check_arrays, check_module
from torchlops.testing.shapes import check_batches, check_no_aliasing, check_shapes
from torchlops.testing.tensors import check_tensor_gradients

Check = TypeVar("Check", bound=Callable[..., None])
Sample: TypeAlias = Literal["every case", "three per class", "one per class", "one per family", "one"]


@dataclass(frozen=True)
class Promise(Generic[Check]):
    """A check, and the cases of a test suite on which it runs.

    Attributes:
        check: Raises an ``AssertionError`` if the promise does not hold.
        fast: The cases on which a fast run of the suite checks it, depending on its cost.
        full: The cases on which a full run checks it.
    """

    check: Check
    fast: Sample = "every case"
    full: Sample = "every case"


PROMISES: dict[str, Promise[Callable[[LinearOperator], None]]] = {
    "adjoint": Promise(check_adjoint),
    "linear": Promise(check_linear),
    "dense": Promise(check_dense),
    "shapes": Promise(check_shapes, fast="one per class"),
    "batches": Promise(check_batches, fast="one per class"),
    "no_aliasing": Promise(check_no_aliasing, fast="one per class"),
    "derivatives": Promise(check_derivatives, fast="one per class"),
    "functorch": Promise(check_functorch, fast="one per class"),
    "nested_functorch": Promise(check_nested_functorch, fast="one per family"),
    "dtypes": Promise(check_dtypes, fast="one per class"),
    "meta": Promise(check_meta, fast="one per class"),
    "default_device": Promise(check_default_device, fast="one per class"),
    "arrays": Promise(check_arrays, fast="one per class"),
    "module": Promise(check_module, fast="one per class"),
    "fast_kernels": Promise(check_fast_kernels, fast="one per class"),
    "array_kernels": Promise(check_array_kernels, fast="one per class"),
    "compile": Promise(check_compile, fast="one per class", full="three per class"),
    "compiled_gradients": Promise(check_compiled_gradients, fast="one", full="three per class"),
    "compiled_jacobians": Promise(check_compiled_jacobians, fast="one", full="one per class"),
    "export": Promise(check_export, fast="one per class"),
}
"""The checks that take an operator, by name."""

BUILDER_PROMISES: dict[str, Promise[Callable[[Builder, Sequence[Tensor]], None]]] = {
    "tensor_gradients": Promise(check_tensor_gradients, fast="one per class"),
    "compiled_building": Promise(check_compiled_building, fast="one", full="three per class"),
}
"""The checks that take a builder, and the tensors from which it builds an operator, by name."""

__all__ = [
    "BUILDER_PROMISES",
    "PROMISES",
    "Promise",
    "Sample",
    "check",
    "check_adjoint",
    "check_array_kernels",
    "check_arrays",
    "check_batches",
    "check_compile",
    "check_compiled_building",
    "check_compiled_gradients",
    "check_compiled_jacobians",
    "check_default_device",
    "check_dense",
    "check_derivatives",
    "check_dtypes",
    "check_export",
    "check_fast_kernels",
    "check_functorch",
    "check_linear",
    "check_meta",
    "check_module",
    "check_nested_functorch",
    "check_no_aliasing",
    "check_shapes",
    "check_tensor_gradients",
    "findings",
]


def check(
    A: LinearOperator, *, build: Builder | None = None, tensors: Sequence[Tensor] = (), compile: bool = True
) -> None:
    """Check that an operator keeps every promise of the library.

    Args:
        A: The operator. It must be small, since its matrix is measured column by column, and built from leaf tensors,
            since it is copied.
        build: Function that builds the operator from ``tensors``. If given, the derivatives with respect to the tensors
            are checked as well, and that changes of the tensors are seen.
        tensors: The floating-point or complex tensors, in double precision, that ``build`` takes and that carry
            gradients.
        compile: False skips ``torch.compile`` and ``torch.export``, which take most of the time.

    Raises:
        AssertionError: If a promise does not hold.
        ValueError: If the operator is too large to measure its matrix.

    Example:
        >>> import torchlops
        >>> class Flip(torchlops.LinearOperator):
        ...     def _forward(self, x):
        ...         return x.flip(-1)
        ...     _adjoint = _forward
        >>> check(Flip(dims=3), compile=False)

        >>> class Twice(torchlops.LinearOperator):
        ...     def _forward(self, x):
        ...         return 2 * x
        ...     def _adjoint(self, y):
        ...         return y
        >>> check(Twice(dims=3), compile=False)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        AssertionError: Twice: adjoint: ... fitted factor <A x, y> / <x, A^H y> = 2+0j over 3 pairs. ...
    """
    for _, failure in findings(A, build=build, tensors=tensors, compile=compile):
        if failure is not None:
            raise failure


def findings(
    A: LinearOperator, *, build: Builder | None = None, tensors: Sequence[Tensor] = (), compile: bool = True
) -> Iterator[tuple[str, AssertionError | None]]:
    """Yield the name of each promise and its failure, or None if it holds: :func:`check` that goes on after a failure.

    The arguments are those of :func:`check`. Each promise is checked when its finding is asked for.

    Raises:
        ValueError: If the operator is too large to measure its matrix.

    Example:
        >>> import torchlops
        >>> [name for name, failure in findings(torchlops.Flip(3), compile=False) if failure is not None]
        []
    """
    require_small(A)
    checks: dict[str, Callable[[], None]] = {name: partial(promise.check, A) for name, promise in PROMISES.items()}
    if build is not None:
        checks |= {name: partial(promise.check, build, tensors) for name, promise in BUILDER_PROMISES.items()}
    left_out = () if compile else ("compile", "compiled_gradients", "compiled_jacobians", "export", "compiled_building")
    for name, run in checks.items():
        if name in left_out:
            continue
        failure = None
        try:
            run()
        except AssertionError as error:
            failure = error
        yield name, failure
