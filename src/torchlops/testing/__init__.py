r"""The promises of every operator, as checks to run on your own.

:func:`check` runs them all on one operator; each is also a function by itself. They compare the operator with
its matrix, which they measure one unit vector at a time: a derivative must equal :math:`A t` or
:math:`A^H y`, and not merely agree with another derivative of the same code. So give them a small operator
(a few dozen elements): what they find does not depend on the size.

A failed check raises an ``AssertionError`` that names the operator, the promise, and what was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.testing.adjoint import check_adjoint, check_dense, check_linear
from torchlops.testing.compiling import check_compile, check_compiled_building, check_export
from torchlops.testing.derivatives import check_derivatives, check_functorch
from torchlops.testing.dtypes import check_dtypes, check_meta
from torchlops.testing.fastkernels import check_fast_kernels
from torchlops.testing.matrix import Builder
from torchlops.testing.modules import check_arrays, check_module
from torchlops.testing.shapes import check_batches, check_no_aliasing, check_shapes
from torchlops.testing.tensors import check_tensor_gradients

PROMISES: dict[str, Callable[[LinearOperator], None]] = {
    "adjoint": check_adjoint,
    "linear": check_linear,
    "dense": check_dense,
    "shapes": check_shapes,
    "batches": check_batches,
    "no_aliasing": check_no_aliasing,
    "derivatives": check_derivatives,
    "functorch": check_functorch,
    "dtypes": check_dtypes,
    "meta": check_meta,
    "arrays": check_arrays,
    "module": check_module,
    "fast_kernels": check_fast_kernels,
    "compile": check_compile,
    "export": check_export,
}
"""The checks that take an operator, by name."""

BUILDER_PROMISES: dict[str, Callable[[Builder, Sequence[Tensor]], None]] = {
    "tensor_gradients": check_tensor_gradients,
    "compiled_building": check_compiled_building,
}
"""The checks that take a builder and the tensors that it builds an operator from, by name."""

__all__ = [
    "BUILDER_PROMISES",
    "PROMISES",
    "check",
    "check_adjoint",
    "check_arrays",
    "check_batches",
    "check_compile",
    "check_compiled_building",
    "check_dense",
    "check_derivatives",
    "check_dtypes",
    "check_export",
    "check_fast_kernels",
    "check_functorch",
    "check_linear",
    "check_meta",
    "check_module",
    "check_no_aliasing",
    "check_shapes",
    "check_tensor_gradients",
]


def check(
    A: LinearOperator, *, build: Builder | None = None, tensors: Sequence[Tensor] = (), compile: bool = True
) -> None:
    """Hold an operator to every promise of the library.

    Args:
        A: The operator, a small one, built from leaf tensors: it is copied, and its matrix is measured column by
            column.
        build: Builds the operator from ``tensors``; with it, the derivatives with respect to them are checked
            too, and that a change of theirs is seen.
        tensors: The floating or complex tensors, in double precision, that ``build`` takes and that carry
            gradients.
        compile: False leaves out ``torch.compile`` and ``torch.export``, which take most of the time.

    Raises:
        AssertionError: when a promise does not hold.
        ValueError: when the operator is too large to measure its matrix.

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
    left_out = () if compile else ("compile", "export", "compiled_building")
    for name, promise in PROMISES.items():
        if name not in left_out:
            promise(A)
    if build is not None:
        for name, builder_promise in BUILDER_PROMISES.items():
            if name not in left_out:
                builder_promise(build, tensors)
