r"""Linear operators as JAX functions, which JAX differentiates, batches and compiles.

An operator becomes a JAX primitive with three rules. Its derivative is the operator itself. Its transpose, which is the
plain one in JAX, without a conjugate, is :math:`A^T y = \overline{A^H \bar y}`. A mapped axis becomes a batch axis.
Every transform follows from these rules, nested to any depth.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from torchlops.extras import import_extra
from torchlops.interop.dtypes import dtype_of_result
from torchlops.linearoperator import CompositeOperator, LinearOperator
from torchlops.torchoperator import aslinearoperator


class JaxOperator(CompositeOperator):
    r"""A linear operator that takes JAX arrays inside JAX's transforms.

    Every operator takes concrete JAX arrays. This one is, in addition, a JAX function: it works under ``jax.jit``,
    ``vmap``, ``grad``, ``jvp``, ``vjp``, ``jacfwd``, ``jacrev``, ``hessian``, ``linear_transpose``, ``checkpoint``, in
    ``scan`` and ``while_loop``, and under their compositions. A mapped axis becomes a batch axis of the operator,
    without a loop. Its adjoint and other views of it, and sums, products and powers of which it is the first operand,
    are again of this kind.

    Torch computes: in ``jit``, JAX calls back to it on the host; elsewhere, memory is shared by DLPack. An operator
    with tensors computes on their device. To JAX, the operator is a constant: JAX sees new values of its tensors, but
    does not differentiate with respect to them.

    The data type of the result is that of the operator for tensors, as far as JAX has it: 64-bit types become 32-bit
    ones unless ``jax_enable_x64`` is set, as everywhere in JAX. Complex numbers follow JAX's conventions: ``jax.vjp``
    and ``jax.linear_transpose`` give :math:`A^T y`, and ``jax.grad`` the conjugate of what ``torch.autograd`` gives.
    ``A.H`` is the adjoint.

    Args:
        Op: The operator: anything that :func:`~torchlops.aslinearoperator` takes.

    Raises:
        ImportError: If JAX is not installed.
        TypeError: If it is applied to integers.

    Example:
        >>> import jax, jax.numpy as jnp, torchlops
        >>> A = JaxOperator(torchlops.FirstDerivative(4, kind="forward"))
        >>> A(jnp.array([1.0, 2.0, 4.0, 8.0]))  # doctest: +ELLIPSIS
        Array([1., 2., 4., 0.], dtype=...)
        >>> jax.grad(lambda x: jnp.sum(A(x) ** 2) / 2)(jnp.array([1.0, 2.0, 4.0, 8.0]))  # doctest: +ELLIPSIS
        Array([-1., -1., -2.,  4.], dtype=...)
    """

    def __init__(self, Op: Any) -> None:
        _primitive()
        part = _plain(aslinearoperator(Op))
        super().__init__((part,), dims=part.dims, dimsd=part.dimsd, name=part.name, real_model=part.real_model)

    def _forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.operators[0](x)
        return y

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.operators[0].apply_nd(y, True)

    def expression(self) -> str:
        return f"JaxOperator({self.operators[0].expression()})"

    # -- applied to JAX arrays -------------------------------------------------------------------------------

    def _through_arrays(self, x: Any, apply: Callable[[Any], Any]) -> Any:
        return apply(x) if _is_jax(x) else super()._through_arrays(x, apply)

    def apply_nd(self, x: Any, adjoint: bool = False) -> Any:
        if not _is_jax(x):
            return super().apply_nd(x, adjoint)
        part = self.operators[0]
        return _primitive().bind(
            x, operator=part, adjoint=adjoint, dtype=_jax_dtype(dtype_of_result(part, str(x.dtype), adjoint))
        )

    def _matrix_product(self, x: Any, adjoint: bool) -> Any:
        if not _is_jax(x):
            return super()._matrix_product(x, adjoint)
        dims = self.dimsd if adjoint else self.dims
        size = (self.shape[0 if adjoint else 1],)
        if x.shape in (dims, size):
            return self._apply_to(x, adjoint)
        if x.shape[:-1] in (dims, size):
            return _columns(lambda column: self._apply_to(column, adjoint))(x)
        raise self._wrong_shape(x, adjoint)

    def _flat_product(self, method: str, x: Any, adjoint: bool) -> Any:
        if not _is_jax(x):
            return super()._flat_product(method, x, adjoint)
        dims = self.dimsd if adjoint else self.dims
        size, size_out = self.shape if adjoint else self.shape[::-1]
        axes = (1, 2) if method.endswith("vec") else (2,)
        if x.ndim not in axes or x.shape[0] != size or (2 not in axes and x.shape[1:] not in ((), (1,))):
            raise ValueError(f"{method} of {self.name_and_type} takes {size} rows, got {x.shape}")

        def apply(column: Any) -> Any:
            return self.apply_nd(column.reshape(dims), adjoint).reshape(size_out)

        return apply(x) if x.ndim == 1 else _columns(apply)(x)

    def rmatvecad(self, x: Any, y: Any) -> Any:
        r"""Return the vector-Jacobian product :math:`A^T y` that JAX derives from the forward, ``jax.vjp(A, x)[1](y)``.

        For a real operator, that is :math:`A^H y`.

        Args:
            x: The model, at which the derivative is taken; its shape and dtype are those of the result.
            y: The data, of the shape and dtype of ``A @ x``. (PyLops demands that of ``x``.)
        """
        return import_extra("jax", "JaxOperator").vjp(self.__matmul__, x)[1](y)[0]

    # -- the algebra -----------------------------------------------------------------------------------------

    @property
    def H(self) -> LinearOperator:
        return JaxOperator(self.operators[0].H)

    @property
    def T(self) -> LinearOperator:
        return JaxOperator(self.operators[0].T)

    def conj(self) -> LinearOperator:
        return JaxOperator(self.operators[0].conj())

    def toreal(self, forw: bool = True, adj: bool = True) -> LinearOperator:
        return JaxOperator(self.operators[0].toreal(forw, adj))

    def toimag(self, forw: bool = True, adj: bool = True) -> LinearOperator:
        return JaxOperator(self.operators[0].toimag(forw, adj))

    def apply_columns(self, cols: Any) -> LinearOperator:
        return JaxOperator(self.operators[0].apply_columns(cols))

    def __matmul__(self, x: Any) -> Any:
        return super().__matmul__(x) if _is_jax(x) else _wrapped(self.operators[0] @ _plain(x))

    def __mul__(self, x: Any) -> Any:
        return super().__mul__(x) if _is_jax(x) and x.ndim else _wrapped(self.operators[0] * _plain(x))

    def __rmul__(self, x: Any) -> Any:
        return _wrapped(self.operators[0].__rmul__(x))

    def __truediv__(self, x: Any) -> Any:
        return _wrapped(self.operators[0] / x)

    def __neg__(self) -> LinearOperator:
        return JaxOperator(-self.operators[0])

    def __add__(self, x: Any) -> Any:
        return _wrapped(self.operators[0].__add__(_plain(x)))

    __radd__ = __add__

    def __sub__(self, x: Any) -> Any:
        return _wrapped(self.operators[0].__sub__(_plain(x)))

    def __pow__(self, n: int) -> LinearOperator:
        return JaxOperator(self.operators[0] ** n)


def _plain(x: Any) -> Any:
    return x.operators[0] if isinstance(x, JaxOperator) else x


def _wrapped(x: Any) -> Any:
    return JaxOperator(x) if isinstance(x, LinearOperator) else x


def _is_jax(x: Any) -> bool:
    return isinstance(x, import_extra("jax", "JaxOperator").Array)


def _columns(function: Any) -> Any:
    """Return ``function`` of one column, mapped over the last axis."""
    return import_extra("jax", "JaxOperator").vmap(function, in_axes=-1, out_axes=-1)


def _jax_dtype(name: str) -> Any:
    """Return a data type as JAX has it: 32-bit for a 64-bit one, unless ``jax_enable_x64`` is set."""
    return import_extra("jax", "JaxOperator").dtypes.canonicalize_dtype(name)


def _evaluate(x: Tensor, operator: LinearOperator, adjoint: bool, dtype: Any) -> Tensor:
    """Apply ``operator`` to a plain tensor; the result lies where ``x`` does."""
    with torch.no_grad():
        y = operator.apply_nd(x.to(operator._device() or x.device), adjoint)
    if _jax_dtype(str(y.dtype).removeprefix("torch.")) != dtype:
        raise TypeError(
            f"{operator.name_and_type} gave {y.dtype}, but JAX compiled it for {dtype}: its tensors have another type "
            "now. Compile the function again."
        )
    return y.to(device=x.device, dtype=getattr(torch, str(dtype))).resolve_conj().contiguous()


@functools.cache
def _primitive() -> Any:
    """Return the JAX primitive that applies an operator to an array ``(*batch, *dims)``."""
    jax = import_extra("jax", "JaxOperator")
    ad = import_extra("jax.interpreters.ad", "JaxOperator")
    batching = import_extra("jax.interpreters.batching", "JaxOperator")
    mlir = import_extra("jax.interpreters.mlir", "JaxOperator")
    primitive = import_extra("jax.extend.core", "JaxOperator").Primitive("torchlops")

    def shape_rule(x: Any, *, operator: LinearOperator, adjoint: bool, dtype: Any) -> Any:
        dims, dims_out = (operator.dimsd, operator.dims) if adjoint else (operator.dims, operator.dimsd)
        return jax.core.ShapedArray((*x.shape[: x.ndim - len(dims)], *dims_out), dtype)

    def eager(x: Any, **parameters: Any) -> Any:
        return jax.numpy.from_dlpack(_evaluate(from_dlpack(x), **parameters))

    def compiled(x: Any, **parameters: Any) -> Any:
        def call(x: Any) -> Any:  # gives a NumPy array: JAX may deadlock if it is called back for one of its own
            y = _evaluate(from_dlpack(x), **parameters)
            return y.numpy() if y.dtype != torch.bfloat16 else y.view(torch.int16).numpy().view(jax.numpy.bfloat16)

        out = shape_rule(x, **parameters)
        return jax.pure_callback(call, jax.ShapeDtypeStruct(out.shape, out.dtype), x)

    def transpose_rule(y: Any, x: Any, *, operator: LinearOperator, adjoint: bool, dtype: Any) -> Any:  # noqa: ARG001
        wanted = x.aval.dtype
        opposite = _jax_dtype(dtype_of_result(operator, str(y.dtype), not adjoint))
        out = primitive.bind(y.conj(), operator=operator, adjoint=not adjoint, dtype=opposite).conj()
        is_real = not jax.numpy.issubdtype(wanted, jax.numpy.complexfloating)
        return [(out.real if is_real else out).astype(wanted)]

    def batching_rule(arguments: Any, axes: Any, **parameters: Any) -> Any:
        return primitive.bind(jax.numpy.moveaxis(arguments[0], axes[0], 0), **parameters), 0

    primitive.def_impl(eager)
    primitive.def_abstract_eval(shape_rule)
    ad.deflinear2(primitive, transpose_rule)
    batching.primitive_batchers[primitive] = batching_rule
    mlir.register_lowering(primitive, mlir.lower_fun(compiled, multiple_results=False))
    return primitive
