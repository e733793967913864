"""Linear operators as operations of PyTensor, which differentiates them, so that PyMC samples through them."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from torchlops.extras import import_extra
from torchlops.interop.dtypes import dtype_of_result
from torchlops.torchoperator import aslinearoperator


class PyTensorOperator:
    r"""A linear operator as an operation (``Op``) of PyTensor.

    Its pullback is the operation of the adjoint, :math:`\bar x = A^H \bar y`, and its pushforward is itself, so
    derivatives of any order are exact. (PyLops's has first derivatives only, and PyTensor takes any two of them that
    have the same shapes for the same.) To PyTensor, the operator is a constant: it sees new values of its tensors in
    the next evaluation, but does not differentiate with respect to them.

    PyTensor does not differentiate through complex variables: where gradients are wanted, use a real operator, for
    example ``A.toreal()``, or a stack of the real and the imaginary part.

    It is called with a symbolic variable of shape ``(*batch, *dims)`` or, if its static shape or its number of axes
    shows it, flattened ``(*batch, prod(dims))``, and answers in kind, with the data type of the operator for tensors.

    Args:
        LOp: The operator: anything that :func:`~torchlops.aslinearoperator` takes.

    Raises:
        ImportError: If PyTensor is not installed.
        TypeError: If it is applied to integers.
        ValueError: If the variable cannot have one of these shapes.

    Example:
        >>> import numpy as np, torchlops
        >>> A = PyTensorOperator(torchlops.FirstDerivative(4, kind="forward"))  # doctest: +SKIP
        >>> A(np.array([1.0, 2.0, 4.0, 8.0])).eval()  # doctest: +SKIP
        array([1., 2., 4., 0.])
    """

    def __new__(cls, LOp: Any) -> PyTensorOperator:  # noqa: ARG004
        kind: Any = cls
        operation: PyTensorOperator = object.__new__(_operation(kind))
        return operation

    def __init__(self, LOp: Any) -> None:
        self.LOp = aslinearoperator(LOp)
        self.dims, self.dimsd, self.shape = self.LOp.dims, self.LOp.dimsd, self.LOp.shape

    def __reduce__(self) -> tuple[Any, ...]:
        bases = type(self).__bases__  # its class is made when PyTensor is loaded
        return bases[0], (self.LOp,)

    @functools.cached_property
    def adjoint(self) -> PyTensorOperator:
        """The operation of the adjoint."""
        adjoint = PyTensorOperator(self.LOp.H)
        adjoint.__dict__["adjoint"] = self
        return adjoint

    @functools.cached_property
    def _of_real_models(self) -> PyTensorOperator:
        return PyTensorOperator(self.LOp.toreal(forw=False))

    def gives(self, dtype: str) -> str:
        """Return the data type of the data for models of ``dtype``."""
        return dtype_of_result(self.LOp, dtype)

    def make_node(self, x: Any) -> Any:
        """Return the node of a graph that applies the operator to ``x``."""
        pt = import_extra("pytensor.tensor", "PyTensorOperator")
        x = pt.as_tensor_variable(x)
        shape: tuple[int | None, ...] = x.type.shape
        count = len(self.dims)
        if len(shape) >= count and _may_be(shape[len(shape) - count :], self.dims):
            out = (*shape[: len(shape) - count], *self.dimsd)
        elif shape and _may_be(shape[-1:], (math.prod(self.dims),)):
            out = (*shape[:-1], math.prod(self.dimsd))
        else:
            raise self.LOp._wrong_shape(x.type, False)
        dtype = self.gives(x.type.dtype)
        return import_extra("pytensor.graph.basic", "PyTensorOperator").Apply(
            self, [x], [pt.tensor(dtype=dtype, shape=out)]
        )

    def perform(self, node: Any, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        """Apply the operator."""
        x = inputs[0]
        y = self.LOp(x)
        declared = node.outputs[0].type
        if y.ndim != declared.ndim or not _may_be(declared.shape, y.shape):
            raise self.LOp._wrong_shape(x, False)
        output_storage[0][0] = y

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:  # noqa: ARG002
        """Return the gradient with respect to the model, which is ``A^H`` of that with respect to the data."""
        dtype, cotangent = inputs[0].type.dtype, cotangents[0]
        adjoint = self.adjoint
        if not dtype.startswith("complex") and adjoint.gives(cotangent.type.dtype).startswith("complex"):
            adjoint = self._of_real_models.adjoint
        return [adjoint(cotangent).astype(dtype)]  # type: ignore[operator]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:  # noqa: ARG002
        """Return the derivative along a tangent, which is ``A`` of the tangent."""
        gradient = import_extra("pytensor.gradient", "PyTensorOperator")
        if isinstance(tangents[0].type, gradient.DisconnectedType):
            return [gradient.disconnected_type()]
        return [self(tangents[0])]  # type: ignore[operator]

    def infer_shape(self, fgraph: Any, node: Any, shapes: Sequence[Any]) -> list[Any]:  # noqa: ARG002
        """Return the symbolic shape of the data."""
        known = node.outputs[0].type.shape
        return [tuple(shapes[0][axis] if size is None else size for axis, size in enumerate(known))]

    def do_constant_folding(self, fgraph: Any, node: Any) -> bool:  # noqa: ARG002
        """Compute in every evaluation, since the tensors of the operator may change."""
        return False


def _may_be(shape: Sequence[int | None], known: Sequence[int]) -> bool:
    return all(size in (None, wanted) for size, wanted in zip(shape, known, strict=True))


@functools.cache
def _operation(cls: Any) -> Any:
    """Return ``cls`` as a class of operations; they are equal if they apply the same operator."""
    op = import_extra("pytensor.graph.op", "PyTensorOperator").Op
    members: dict[str, Any] = {"__props__": ("LOp",), "__module__": cls.__module__, "__doc__": cls.__doc__}
    if not hasattr(op, "pullback"):  # before PyTensor 3
        members["L_op"] = cls.pullback
        members["R_op"] = lambda self, inputs, points: [None if points[0] is None else self(points[0])]  # noqa: ARG005
    return type(cls.__name__, (cls, op), members)
