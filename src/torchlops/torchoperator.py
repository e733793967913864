"""Foreign operators and matrices as operators of torchlops, and operators as layers in a chain of torch functions."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import Unsuitable, scattered, view_of
from torchlops.arrays import DType, conjugate, numpy_dtype, to_numpy, torch_dtype
from torchlops.attributes import Computed
from torchlops.extras import import_extra
from torchlops.foreignfunction import JaxFunction, MatrixProducts, PairOfFunctions, Source
from torchlops.linearoperator import CompositeOperator, LinearOperator, ShapedOperator, apply_reshaped
from torchlops.shapes import Dims, as_dims


def aslinearoperator(
    Op: Any,
    dims: Dims | None = None,
    dimsd: Dims | None = None,
    dtype: DType | None = None,
    arrays: str | None = None,
    name: str | None = None,
    device: str | None = None,
    key: str | None = None,
) -> LinearOperator:
    """Convert ``Op`` to a linear operator that PyTorch can differentiate.

    Forward:
        .. math:: y = A x

        with the matrix :math:`A`, the method ``matvec`` of the object, or the function.

    Adjoint:
        .. math:: A^H y

        with the matrix, ``rmatvec``, the second function, or what autograd derives from the first.

    Args:
        Op: One of the following. An operator of torchlops is returned as it is, or reshaped if ``dims`` or ``dimsd`` is
            given. A dense matrix (array or tensor) or a sparse one (SciPy) becomes a native, differentiable
            :class:`~torchlops.MatrixMult`. An operator of PyLops or SciPy, or any object with ``shape``, ``matvec`` and
            ``rmatvec``, a function, and a pair of functions (forward, adjoint) become foreign operators.
        dims: Shape of one model. Required for functions; by default that of the operator.
        dimsd: Shape of one data. By default that of the operator; for functions, ``dims``.
        dtype: Data type of the operator. Foreign code computes in at least this precision; the output has the precision
            of the input. By default that of the operator; for functions, float64.
        arrays: Kind of arrays that functions take: ``"numpy"`` arrays of shape ``dims`` (the default), ``"jax"`` arrays
            (the adjoint is then JAX's transpose), or ``"torch"`` tensors. Torch functions are differentiated by
            autograd, also with respect to the tensors that they close over, and batched by ``torch.vmap``, which
            ``torch.export`` does not support (to export, subclass LinearOperator). Their adjoint may be omitted.
        name: A name for error messages.
        device: Device on which foreign code computes: ``"cpu"`` (the default), or ``"cuda"`` with CuPy arrays.
        key: A name by which a program exported by one process finds a foreign operator in another.

    Raises:
        TypeError: If ``Op`` is none of these.
        ValueError: If ``dims`` is missing for a function, a shape does not have the size of the operator, or an
            argument does not apply to this kind of operator.

    Example:
        >>> A = aslinearoperator((lambda x: x[::-1], lambda y: y[::-1]), dims=3)
        >>> A(torch.tensor([1.0, 2.0, 3.0]))
        tensor([3., 2., 1.])
    """
    if isinstance(Op, LinearOperator):
        _refuse(f"{Op.name_and_type}, an operator of torchlops", arrays=arrays, name=name, device=device, key=key)
        return _labelled(_shaped(Op, dims, dimsd), dtype)
    if _is_matrix(Op):
        _refuse("a matrix, which becomes a native operator", arrays=arrays, device=device, key=key)
        matrix = MatrixMult(Op) if name is None else MatrixMult(Op, name=name)
        return _labelled(_shaped(matrix, dims, dimsd), dtype)
    if hasattr(Op, "matvec") and hasattr(Op, "shape"):
        if arrays not in (None, "numpy"):
            raise ValueError(f"arrays={arrays!r} applies only to functions: {type(Op).__name__} takes NumPy arrays")
        return _of_matrix_products(Op, dims, dimsd, dtype, name, device, key)
    functions = Op if isinstance(Op, tuple) and len(Op) == 2 else (Op, None)
    if not callable(functions[0]) or not (functions[1] is None or callable(functions[1])):
        raise TypeError(
            f"{type(Op).__name__} is not a linear operator: pass a LinearOperator of torchlops, PyLops or SciPy, "
            "a matrix, a function with dims=, or a pair of functions (forward, adjoint) with dims="
        )
    if dims is None:
        raise ValueError("the shape of the model of a function is unknown: give dims (and dimsd, if it differs)")
    dtype = "float64" if dtype is None else dtype
    if arrays == "jax":
        if functions[1] is not None:
            raise ValueError("the adjoint of a JAX function is JAX's transpose of it: pass only the forward function")
        _refuse("a JAX function, which computes on the CPU", device=None if device == "cpu" else device)
        source = JaxFunction(functions[0], as_dims(dims), numpy_dtype(torch_dtype(dtype)))
        if dimsd is not None and as_dims(dimsd, "dimsd") != source.dimsd:
            raise ValueError(f"the JAX function returns data of shape {source.dimsd}, but dimsd={dimsd} was declared")
        label = np.promote_types(source.dtype, source.dtype_out)
        is_real = source.dtype.kind != "c" and source.dtype_out.kind == "c"
        return ForeignOperator(
            source, dims, source.dimsd, label, clinear=not is_real, real_model=is_real, name=name, key=key
        )
    if arrays == "torch":
        _refuse("a function of tensors, which is native", device=device, key=key)
        return FunctionsOfTensors(*functions, dims=dims, dimsd=dimsd, dtype=dtype, name=name)
    if arrays not in (None, "numpy"):
        raise ValueError(f"arrays must be 'numpy', 'jax' or 'torch', got {arrays!r}")
    return ForeignOperator(PairOfFunctions(*functions), dims, dimsd, dtype, name=name, device=device or "cpu", key=key)


def _refuse(what: str, **options: str | None) -> None:
    given = [f"{option}={value!r}" for option, value in options.items() if value is not None]
    if given:
        raise ValueError(f"aslinearoperator: {' and '.join(given)} would have no effect on {what}: omit it")


def _shaped(A: LinearOperator, dims: Dims | None, dimsd: Dims | None) -> LinearOperator:
    """Return ``A`` with models of shape ``dims`` and data of shape ``dimsd``, if given."""
    shape = _shape(dims, A.dims, A.shape[1], f"models of {A.name_and_type}", "dims")
    shape_out = _shape(dimsd, A.dimsd, A.shape[0], f"data of {A.name_and_type}", "dimsd")
    return A if (shape, shape_out) == (A.dims, A.dimsd) else ShapedOperator(A, shape, shape_out)


def _shape(given: Dims | None, own: Dims, size: int, of: str, what: str) -> tuple[int, ...]:
    shape = as_dims(own if given is None else given, what)
    if math.prod(shape) != size:
        raise ValueError(f"{what}={shape} has {math.prod(shape)} elements, but the {of} have {size}")
    return shape


def _labelled(A: LinearOperator, dtype: DType | None) -> LinearOperator:
    """Return ``A``; raise if its data type is not ``dtype``."""
    if dtype is not None and torch_dtype(dtype) != A._torch_dtype():
        raise ValueError(
            f"{A.name_and_type} is of {A._torch_dtype()}, but {torch_dtype(dtype)} was requested: "
            "cast it first, for example a matrix with A.astype(dtype), an operator with A.to(dtype)"
        )
    return A


def _of_matrix_products(
    Op: Any,
    dims: Dims | None,
    dimsd: Dims | None,
    dtype: DType | None,
    name: str | None,
    device: str | None,
    key: str | None,
) -> LinearOperator:
    own = np.dtype(Op.dtype if Op.dtype is not None else np.float64) if dtype is None else dtype
    own = own if not isinstance(own, torch.dtype) else numpy_dtype(own)
    clinear = bool(getattr(Op, "clinear", True))
    is_real = np.dtype(own).kind != "c"
    # PyLops's FFTs of real signals silently drop the imaginary part of a complex model.
    takes_real = hasattr(Op, "cdtype") and np.dtype(getattr(Op, "rdtype", own)).kind != "c"
    rows, columns = Op.shape
    kind = type(Op).__name__
    return ForeignOperator(
        MatrixProducts(Op),
        _shape(dims, getattr(Op, "dims", columns), columns, f"models of {kind}", "dims"),
        _shape(dimsd, getattr(Op, "dimsd", rows), rows, f"data of {kind}", "dimsd"),
        dtype=own,
        clinear=clinear,
        real_model=not clinear and (is_real or takes_real),
        name=name or getattr(Op, "name", None),
        device=device or "cpu",
        key=key,
    )


def operators_of(ops: Sequence[Any], name: str) -> list[LinearOperator]:
    """Return ``ops`` as operators; matrices become MatrixMult."""
    if len(ops) == 0:
        raise ValueError(f"{name} takes at least one operator, got none")
    return [aslinearoperator(op) for op in ops]


class MatrixMult(LinearOperator):
    """Multiplication by a matrix, dense or sparse.

    Forward:
        .. math:: y = A x

    Adjoint:
        .. math:: A^H y

    Args:
        A: The matrix ``(M, N)``: an array, a tensor, or a SciPy sparse matrix. A dense matrix becomes the tensor
            ``matrix``; the stored entries of a sparse one become the tensor ``values``. These can be trained, and are
            the names in ``state_dict()``. The attribute ``A`` is the matrix in the kind that was given.
        otherdims: Further axes of the model. The matrix acts along the first axis: models are ``(N, *otherdims)``, data
            ``(M, *otherdims)``.
        forceflat: Whether ``A @ x`` is always flat; see :class:`~torchlops.attributes.Attributes`.
        dtype: Label of the operator; by default the dtype of the matrix. (In PyLops, the default is float64.)
        name: A name for error messages.

    Raises:
        ValueError: If ``A`` is not a matrix.

    Example:
        >>> A = MatrixMult(torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
        >>> A(torch.tensor([1.0, 1.0])), A.H(torch.tensor([1.0, 1.0]))
        (tensor([3., 3.]), tensor([1., 5.]))
    """

    matrix: Tensor
    values: Tensor
    rows: Tensor
    columns: Tensor

    complex = Computed(lambda self: (self.values if self.sparse else self.matrix).is_complex())
    otherdims = Computed(lambda self: np.array(self.dims[1:], dtype=int))
    reshape = Computed(lambda self: len(self.dims) > 1)
    dimsflatten = Computed(lambda self: np.array((self.dims[0], math.prod(self.dims[1:]))))
    dimsdflatten = Computed(lambda self: np.array((self.dimsd[0], math.prod(self.dimsd[1:]))))

    def __init__(
        self,
        A: Any,
        otherdims: Dims | None = None,
        forceflat: bool | None = None,
        dtype: DType | None = None,
        name: str = "M",
    ) -> None:
        if len(A.shape) != 2:
            raise ValueError(f"MatrixMult takes a matrix (rows, columns), got an array of shape {tuple(A.shape)}")
        other = () if otherdims is None else as_dims(otherdims, "otherdims")
        super().__init__((A.shape[1], *other), (A.shape[0], *other), dtype=dtype, forceflat=forceflat, name=name)
        self.explicit = not other  # in PyLops, only then is A the matrix of the operator
        self.sparse = hasattr(A, "tocoo")
        self._given = type(A)
        if self.sparse:
            entries = A.tocsr().tocoo()
            self._register("values", entries.data)
            self.register_buffer("rows", torch.from_numpy(entries.row.astype("int64")))
            self.register_buffer("columns", torch.from_numpy(entries.col.astype("int64")))
        else:
            self._register("matrix", A)

    @property
    def A(self) -> Any:
        """The matrix, as an array or a SciPy sparse matrix if such was given, otherwise the tensor ``matrix``.

        An array shares memory with the tensor, if that is on the CPU; changes of a sparse matrix are not seen.
        """
        if not self.sparse:
            return to_numpy(self.matrix) if issubclass(self._given, np.ndarray) else self.matrix
        coo_matrix = import_extra("scipy.sparse", f"the sparse matrix of {self.name_and_type}").coo_matrix
        places = to_numpy(self.rows), to_numpy(self.columns)
        return self._given(coo_matrix((to_numpy(self.values), places), shape=(self.dimsd[0], self.dims[0])))

    @A.setter
    def A(self, A: Any) -> None:
        if self.sparse or hasattr(A, "tocoo") or tuple(A.shape) != tuple(self.matrix.shape):
            raise ValueError(
                f"{self.name_and_type}: its matrix may be replaced by a dense one of the same shape, "
                f"{self.dimsd[0]} x {self.dims[0]}, got {type(A).__name__} of shape {tuple(A.shape)}: build a new "
                "MatrixMult"
            )
        self._given = type(A)
        self.matrix = A

    def _forward(self, x: Tensor) -> Tensor:
        return self._multiply(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._multiply(y, True)

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:
        other = self.dims[1:]
        if other:  # the matrix acts on the first axis of the model: move it to the end and back
            x = x.movedim(-len(self.dims), -1)
        y = self._multiply_sparse(x, adjoint) if self.sparse else self._multiply_dense(x, adjoint)
        return y.movedim(-1, -len(self.dims)).contiguous() if other else y

    def _multiply_dense(self, x: Tensor, adjoint: bool) -> Tensor:
        matrix = self.matrix.mH if adjoint else self.matrix
        dtype = torch.promote_types(x.dtype, matrix.dtype)
        x, matrix = x.to(dtype), matrix.to(dtype)
        if x.ndim == 1:
            return torch.mv(matrix, x)
        return torch.matmul(x, matrix.mT)

    def _multiply_sparse(self, x: Tensor, adjoint: bool) -> Tensor:
        gathered, scattered = (self.rows, self.columns) if adjoint else (self.columns, self.rows)
        values = conjugate(self.values) if adjoint else self.values
        batch = x.shape[:-1]
        products = x.gather(-1, gathered.expand((*batch, -1))) * values
        y = products.new_zeros((*batch, self.dims[0] if adjoint else self.dimsd[0]))
        return y.scatter_add(-1, scattered.expand(products.shape), products)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        axis = -len(self.dims)  # the matrix acts on the first axis of the model
        if self.sparse:
            taken, given = view_of(self, "columns"), view_of(self, "rows")
            values = view_of(self, "values")
            if adjoint:
                taken, given, values = given, taken, values.conj()
            values = values if axis == -1 else values.reshape((-1, *(1,) * (-axis - 1)))
            products = x.take(taken, axis) * values
            return scattered(products, given, axis, self.dims[0] if adjoint else self.dimsd[0])
        matrix = view_of(self, "matrix")
        if x.ndim == 1:
            result: NDArray[Any] = matrix.T.dot(x.conj()).conj() if adjoint else matrix.dot(x)
            return result
        matrix = matrix.T.conj() if adjoint else matrix
        if axis == -1:
            return x @ matrix.T
        columns = x.reshape((*x.shape[:axis], x.shape[axis], math.prod(self.dims[1:])))
        return (matrix @ columns).reshape((*x.shape[:axis], matrix.shape[0], *self.dims[1:]))

    def inv(self) -> Any:
        """Return the inverse matrix, in the kind of ``A``: an array, a tensor, or a sparse matrix."""
        if not self.sparse:
            inverse = torch.linalg.inv(self.matrix)
            return to_numpy(inverse) if issubclass(self._given, np.ndarray) else inverse
        linalg = import_extra("scipy.sparse.linalg", f"{self.name_and_type}.inv")
        return linalg.inv(import_extra("scipy.sparse", f"{self.name_and_type}.inv").csc_matrix(self.A))

    def _inverse(self, y: Tensor) -> Tensor:
        if self.sparse or self.shape[0] != self.shape[1]:
            raise NotImplementedError(f"{self.name_and_type}: only a square dense matrix implements its inverse")
        axis = -len(self.dims)
        dtype = torch.promote_types(y.dtype, self.matrix.dtype)
        data = y.movedim(axis, 0).to(dtype)
        columns = solve_matrix(self.matrix.to(dtype), data.reshape(self.dimsd[0], math.prod(data.shape[1:])))
        return columns.reshape(data.shape).movedim(0, axis).contiguous()

    def extra_repr(self) -> str:
        return f"{self.dimsd[0]}x{self.dims[0]}" + (", sparse" if self.sparse else "")


class ForeignOperator(LinearOperator):
    """An operator whose forward and adjoint are a :class:`~torchlops.foreignfunction.ForeignFunction`.

    Args:
        source: The map on a batch of arrays.
        dims: Shape of one model.
        dimsd: Shape of one data; ``dims`` by default.
        dtype: Data type of the operator. The output is complex if this or the input is, in the precision of the input.
        clinear: False if the operator is only real-linear.
        real_model: True if the operator takes only real models.
        name: A name for error messages.
        device: Device on which the foreign code computes, ``"cpu"`` or ``"cuda"``.
        key: A name by which a program exported by one process finds the operator in another.
    """

    def __init__(
        self,
        source: Source,
        dims: Dims,
        dimsd: Dims | None = None,
        dtype: DType = "float64",
        clinear: bool = True,
        real_model: bool = False,
        name: str | None = None,
        device: str = "cpu",
        key: str | None = None,
    ) -> None:
        super().__init__(dims, dimsd, dtype=dtype, clinear=clinear, real_model=real_model, name=name)
        self.source = source
        self._take_function(source, dtype, device, key)

    def extra_repr(self) -> str:
        return repr(self.source)


class FunctionsOfTensors(LinearOperator):
    """A forward and an adjoint function on one tensor at a time, written in torch; see :func:`aslinearoperator`."""

    def __init__(
        self, forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor] | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.functions = forward, adjoint

    def _forward(self, x: Tensor) -> Tensor:
        return _batched(self.functions[0], x, self.dims, self.dimsd)

    def _adjoint(self, y: Tensor) -> Tensor:
        function = self.functions[1]
        return super()._adjoint(y) if function is None else _batched(function, y, self.dimsd, self.dims)

    def extra_repr(self) -> str:
        return getattr(self.functions[0], "__name__", type(self.functions[0]).__name__)


def _batched(
    function: Callable[[Tensor], Tensor], x: Tensor, dims: tuple[int, ...], dims_out: tuple[int, ...]
) -> Tensor:
    batch = x.shape[: x.ndim - len(dims)]
    if batch.numel() == 0:
        dtype = function(x.new_zeros(dims)).dtype
        return x.new_zeros((*batch, *dims_out), dtype=dtype) + x.sum() * 0  # stays attached to its input
    x = x.clone()  # the function may work on it in place, and return it
    out = _owned(torch.func.vmap(function)(x.reshape((batch.numel(), *dims))) if batch else function(x))
    if tuple(out.shape[len(batch[:1]) :]) != dims_out:
        raise ValueError(
            f"{function!r} returned shape {tuple(out.shape[len(batch[:1]) :])}, but {dims_out} was declared"
        )
    return out.reshape((*batch, *dims_out))


def _owned(out: Tensor) -> Tensor:
    """Return ``out``, or a copy if the function may keep that tensor, or a tensor of which it is a view."""
    if torch.compiler.is_compiling():
        return out.clone()
    is_free = sys.getrefcount(out) <= _REFERENCES_OF_A_FREE_ONE and out._base is None
    return out if is_free else out.clone()


def _references_of(out: Tensor) -> int:
    return sys.getrefcount(out)


_REFERENCES_OF_A_FREE_ONE = _references_of(torch.empty(0, device="cpu"))


class TorchOperator(CompositeOperator):
    r"""A linear operator, native or foreign, as a layer: PyLops's ``TorchOperator``, differentiable in every mode.

    Forward:
        .. math:: y = A x

    Adjoint:
        The backward pass applies the adjoint, :math:`\bar x = A^H \bar y`.

    Args:
        Op: The operator: anything that :func:`aslinearoperator` takes.
        batch: Whether the first axis of the input is a batch axis. Inferred from the shape if omitted.
        flatten: Whether models are flattened (with ``batch=True``). Inferred from the shape if omitted.
        device: Device on which the operator computes: ``"cpu"``, ``"gpu"`` or a torch device. By default, native
            operators compute on the device of their input, foreign ones on the CPU.
        devicetorch: Device of the output; by default that of the input.

    Raises:
        ValueError: If the shape of an input contradicts ``batch`` or ``flatten``.

    Example:
        >>> import numpy as np, torchlops
        >>> Aop = TorchOperator(torchlops.MatrixMult(np.array([[1.0, 2.0], [3.0, 4.0]])))
        >>> x = torch.ones(2, dtype=torch.float64, requires_grad=True)
        >>> Aop.apply(torch.sin(x)).sum().backward()
        >>> torch.allclose(x.grad, torch.cos(x.detach()) * torch.tensor([4.0, 6.0]))
        True
    """

    def __init__(
        self,
        Op: Any,
        batch: bool | None = None,
        flatten: bool | None = None,
        device: str | torch.device | None = None,
        devicetorch: str | torch.device | None = None,
    ) -> None:
        kind = None if device is None else torch.device("cuda" if device == "gpu" else device)
        is_native = isinstance(Op, LinearOperator) or _is_matrix(Op)
        part = aslinearoperator(Op) if is_native or kind is None else aslinearoperator(Op, device=str(kind))
        super().__init__((part,), dims=part.dims, dimsd=part.dimsd, name=part.name, real_model=part.real_model)
        self.batch, self.flatten = batch, flatten
        self.device = kind
        self.devicetorch = (
            None if devicetorch is None else torch.device("cuda" if devicetorch == "gpu" else devicetorch)
        )

    def apply(self, x: Any) -> Any:
        """Return ``A x``. If ``x`` is a function of modules, do the same as ``nn.Module.apply``."""
        if callable(x) and not hasattr(x, "shape"):
            return super().apply(x)
        return self(x)

    def Top(
        self,
        x: Tensor,
        forw: Callable[..., Any],
        adj: Callable[..., Any],
        device: str | torch.device | None = None,
        devicetorch: str | torch.device | None = None,
    ) -> Tensor:
        """Return ``A x``, as PyLops's function of a vector, the two maps of this operator, and two devices.

        Args:
            x: The model or, with the maps exchanged, the data.
            forw: ``matvec`` of this operator.
            adj: ``rmatvec`` of this operator.
            device: ``"cpu"``, or that of this operator.
            devicetorch: ``"cpu"``, or that of this operator.

        Raises:
            ValueError: If the maps or the devices are others.
        """
        maps = (self.matvec, self.rmatvec)
        if (forw, adj) not in (maps, maps[::-1]):
            raise ValueError(
                f"{self.name_and_type}.Top takes matvec and rmatvec of this operator: use TorchOperator for others"
            )
        for given, own in ((device, self.device), (devicetorch, self.devicetorch)):
            if given not in (None, own) and torch.device(given) not in (own, torch.device("cpu")):
                raise ValueError(f"{self.name_and_type}.Top computes on {own}, got {given}: give it to TorchOperator")
        return self._apply_to(x, forw == self.rmatvec)

    def _apply_to(self, x: Tensor, adjoint: bool) -> Tensor:
        if self.batch is not None or self.flatten is not None:
            self._check_batch_and_flatten(tuple(x.shape), adjoint)
        return super()._apply_to(x, adjoint)

    def apply_nd(self, x: Tensor, adjoint: bool = False) -> Tensor:
        origin = x.device
        out = super().apply_nd(x if self.device is None else x.to(self.device), adjoint)
        return out.to(origin if self.devicetorch is None else self.devicetorch)

    def _check_batch_and_flatten(self, shape: tuple[int, ...], adjoint: bool) -> None:
        dims = self.dimsd if adjoint else self.dims
        size = self.shape[0 if adjoint else 1]
        if self.batch is None:
            accepted = shape[-1:] == (size,) if self.flatten else shape[-len(dims) :] == dims
        else:
            one = shape[1:] if self.batch else shape
            flat, nd = one == (size,), one == dims
            if self.flatten is None or (self.flatten and not self.batch):  # without a batch, PyLops takes both
                accepted = flat or nd
            else:
                accepted = flat if self.flatten else nd
        if not accepted:
            raise ValueError(
                f"{self.name_and_type} with batch={self.batch}, flatten={self.flatten} got an input of shape {shape}, "
                f"but one model is {dims}, or flattened ({size},). Omit batch and flatten to infer them from the shape."
            )

    def _forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.operators[0](x)
        return y

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.operators[0].apply_nd(y, True)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        if (self.batch, self.flatten, self.device, self.devicetorch) != (None,) * 4:
            raise Unsuitable
        return apply_reshaped(self.operators[0], x, self.dimsd if adjoint else self.dims, adjoint)

    def expression(self) -> str:
        return f"TorchOperator({self.operators[0].expression()})"


def solve_matrix(matrix: Tensor, columns: Tensor) -> Tensor:
    """Return the solution of ``matrix x = columns``.

    It has the derivatives of ``torch.linalg.solve``, and also those of nested forward mode, in which that function
    loses tangents (seen in torch 2.13).

    Raises:
        torch.linalg.LinAlgError: If the matrix is singular.
    """
    try:
        factors = torch.linalg.lu_factor(matrix)
    except RuntimeError as error:
        if "is zero" not in str(error):
            raise
        raise torch.linalg.LinAlgError(  # type: ignore[attr-defined]
            f"the matrix is singular, so it has no inverse; torch says: {error}"
        ) from error
    solution: Tensor = torch.linalg.lu_solve(*factors, columns)
    return solution


def _is_matrix(Op: Any) -> bool:
    return isinstance(Op, Tensor | np.ndarray) or (hasattr(Op, "tocoo") and hasattr(Op, "nnz"))
