"""A pair of functions on flat vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from torchlops.attributes import Computed
from torchlops.linearoperator import CompositeOperator, LinearOperator, part_of_array
from torchlops.torchoperator import aslinearoperator


class FunctionOperator(CompositeOperator):
    """An operator defined by a function on flat vectors and, optionally, its adjoint.

    The signatures are ``FunctionOperator(f, n)``, ``FunctionOperator(f, m, n)``, ``FunctionOperator(f, fc, n)`` and
    ``FunctionOperator(f, fc, m, n)``.

    Forward:
        .. math:: y = f(x)

    Adjoint:
        .. math:: A^H y = f_c(y)

    Args:
        f: The forward function, from vectors ``(n,)`` to vectors ``(m,)``.
        *args: The adjoint function ``fc``, if any, and the sizes ``m`` (rows) and ``n`` (columns).
        dtype: Data type of the operator.
        name: A name for error messages.
        arrays: Type of the arrays that the functions take: ``"numpy"``, ``"jax"`` or ``"torch"``; see
            :func:`~torchlops.aslinearoperator`.

    Raises:
        TypeError: If the arguments match none of these signatures.
        NotImplementedError: If the adjoint of a NumPy function is needed but was not given.

    Example:
        >>> import torch
        >>> A = FunctionOperator(lambda x: 2 * x, lambda y: 2 * y, 3)
        >>> A(torch.ones(3, dtype=torch.float64))
        tensor([2., 2., 2.], dtype=torch.float64)
    """

    f = Computed(lambda self: _functions_of(self.operators[0])[0])
    fc = Computed(lambda self: _functions_of(self.operators[0])[1])

    def __init__(
        self, f: Callable[[Any], Any], *args: Any, dtype: Any = "float64", name: str = "F", arrays: str = "numpy"
    ) -> None:
        adjoint, sizes = (args[0], args[1:]) if args and callable(args[0]) else (None, args)
        if len(sizes) not in (1, 2) or not callable(f):
            raise TypeError("FunctionOperator takes (f, n), (f, m, n), (f, fc, n) or (f, fc, m, n)")
        part = aslinearoperator((f, adjoint), sizes[-1], sizes[0], dtype=dtype, arrays=arrays, name=name)
        super().__init__((part,), dims=part.dims, dimsd=part.dimsd, name=name, real_model=part.real_model)

    def _forward(self, x: Tensor) -> Tensor:
        return self.operators[0].apply_nd(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.operators[0].apply_nd(y, True)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        return part_of_array(self.operators[0], x, adjoint)


def _functions_of(part: LinearOperator) -> tuple[Any, Any]:
    """Return the forward and the adjoint function of a foreign operator, None for an adjoint that was not given."""
    source = getattr(part, "source", part)
    return getattr(source, "functions", (getattr(source, "function", None), None))
