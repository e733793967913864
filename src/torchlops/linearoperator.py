"""The algebra of operators, and composite operators: lazy, flat, and sharing the tensors of their parts.

A composite keeps its parts in ``operators``, where a part may occur twice, or as a view such as ``A.H``. It registers
each module that holds tensors of the parts once. So ``A.H @ A`` has the parameters of ``A`` once, both in
``parameters()`` and in ``state_dict()``.

The models of an operator form a space over the complex numbers or, with ``real_model``, over the real numbers. Its
adjoint is the one under ``Re<.,.>`` and, with ``real_model``, it returns real models. Composites follow one rule. In
a sum or a stack, all parts see the model itself, so the composite takes real models if any part does. In a product, a
part that takes real models restricts the models of the product unless a part applied before it always returns real
data (:func:`takes_real`). The real part of the adjoint is then taken once, in ``apply_nd``. A view without it, such as
the product of the adjoints, is used only if its parts take the real part themselves.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from numbers import Number
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchlops.arraykernels import Unsuitable, quietly, real_of, tensor_of, view
from torchlops.arrays import (
    PLAIN_DTYPES,
    DType,
    add_up,
    as_indices,
    as_scalar,
    as_tensor,
    conjugate,
    counted_from_start,
    imaginary_part,
    promote,
    real_part,
)
from torchlops.attributes import COUNTERS, OTHER_WAY, Computed
from torchlops.contract import Contract
from torchlops.shapes import Dims
from torchlops.torch_internals import has_hooks

_Composite = TypeVar("_Composite", bound="CompositeOperator")
_Module = TypeVar("_Module", bound=nn.Module)
_ARRAYS = (np.ndarray, Tensor)
Samples = TypeVar("Samples", Tensor, NDArray[Any])


Weights: TypeAlias = "LinearOperator | Tensor | None"
"""An operator on data, one weight for each of their samples, or nothing."""


class LinearOperator(Contract):
    r"""A linear operator :math:`y = A x`, with its adjoint, as a PyTorch module.

    Subclasses define ``_forward`` (:math:`A x`) and usually ``_adjoint`` (:math:`A^H y`), which is derived from
    ``_forward`` by automatic differentiation by default. Both map between tensors of shape ``(*batch, *dims)`` and
    ``(*batch, *dimsd)``, already checked, with any number of leading batch axes, so they must count axes from the
    end. They are plain differentiable torch code. The base class does the rest.

    An operator is called as ``A(x)`` on ``(*batch, *dims)`` or flattened ``(*batch, prod(dims))`` arrays. The output
    is flattened if the input is; if a shape fits both, it counts as ``(*batch, *dims)``. ``A @ x`` treats ``A`` as a
    matrix: ``x`` is one model, or several as columns along its last axis. For NumPy arrays and other arrays with
    DLPack support, the output is an array of the same kind. Arithmetic uses ``torch.result_type`` of the input and
    the operator's tensors.

    Args:
        dims: Shape of one model.
        dimsd: Shape of one data; ``dims`` by default.
        dtype: The data type reported by :attr:`dtype` and used by ``todense`` and SciPy. It labels the operator, as in
            PyLops, and casts nothing. By default, that of the operator's tensors, or float64 if there are none.
        clinear: False for an operator that is only real-linear. Its adjoint is then the one under
            :math:`\mathrm{Re}\langle\cdot,\cdot\rangle`.
        real_model: True for an operator that takes only real models, and raises for complex ones.
        name: A name for error messages and plots.
        shape: ``(prod(dimsd), prod(dims))``, instead of ``dims`` and ``dimsd``.
        explicit: What the attribute ``explicit`` says; it has no effect.
        forceflat: True if ``A @ x`` is flat even for ``x`` of shape ``dims``.
        Op: An operator, also of PyLops or SciPy: by default, the new operator does what it does, and has its
            attributes. Other arguments override these.

    A subclass written for PyLops, with ``_matvec`` and ``_rmatvec`` on flat NumPy vectors, works unchanged, as a
    foreign function (see ``foreignfunction.py``). What may be set of an operator, and what is counted, is in
    :class:`~torchlops.attributes.Attributes`.

    Raises:
        ValueError: If neither ``dims`` nor ``shape`` is given, or sizes are not positive.
        TypeError: If a class has both kinds of methods, ``_forward`` and ``_matvec``.

    Example:
        >>> class Flip(LinearOperator):
        ...     def _forward(self, x):
        ...         return x.flip(-1)
        >>> A = Flip(dims=3)
        >>> A(torch.tensor([1.0, 2.0, 3.0])), A.H.shape
        (tensor([3., 2., 1.]), (3, 3))
    """

    __array_ufunc__ = None  # so that NumPy defers `array @ A` and `number * A` to this class

    def _reread(self, dims: tuple[int, ...], dimsd: tuple[int, ...]) -> None:
        if self._takes_any_shape():
            super()._reread(dims, dimsd)
            return
        # The kernels, and those that compose operators, count on the shapes that the operator was built for: so this
        # becomes a view, in the new shapes, of what it was.
        part = object.__new__(type(self))
        vars(part).update(vars(self))
        vars(self).clear()
        self.__class__ = ShapedOperator
        nn.Module.__init__(self)
        ShapedOperator.__init__(self, part, dims, dimsd)  # type: ignore[arg-type]
        self.explicit = part.explicit
        vars(self).update({counter: getattr(part, counter) for counter in COUNTERS})

    @property
    def H(self) -> LinearOperator:
        """The adjoint, as a view that shares the tensors of this operator."""
        if torch.compiler.is_compiling():  # which follows constructors only
            return AdjointOperator(self)
        return AdjointOperator._of((self,), dims=self.dimsd, dimsd=self.dims, name=self.name)

    @property
    def T(self) -> LinearOperator:
        """The transpose ``conj(A^H conj(y))``, as a view that shares the tensors of this operator."""
        return TransposedOperator(self)

    def adjoint(self, y: Any = None) -> Any:
        """Return the operator ``A^H`` or, if data ``y`` are given, the model ``A^H y``."""
        return self.H if y is None else super().adjoint(y)

    def transpose(self) -> LinearOperator:
        """Return the transpose ``A.T``."""
        return self.T

    def conj(self) -> LinearOperator:
        """Return the conjugate operator: it maps ``x`` to the conjugate of ``A`` applied to the conjugate of ``x``."""
        return ConjugatedOperator(self)

    def gram(self, W: Any = None) -> LinearOperator:
        r"""Return the normal operator :math:`A^H A`, or :math:`A^H W A`, in a shorter form where there is one.

        That of a :class:`~torchlops.signalprocessing.NUFFT` is a convolution, to its tolerance. Products, multiples,
        columns and diagonals of operators use the forms of their parts. Otherwise, it is ``A.H @ A``.

        Args:
            W: An operator on the data, or one weight for each sample of the data, an array of shape ``dimsd``.

        Raises:
            ValueError: If the weights have another shape.
        """
        if W is not None and not isinstance(W, LinearOperator):
            W = self._convert(W) if hasattr(W, "matvec") else as_tensor(W, f"{self.name_and_type}: W")
        if not isinstance(W, Tensor):
            return self._gram(W) or self.H @ (self if W is None else W @ self)
        if tuple(W.shape) != self.dimsd:
            raise ValueError(
                f"{self.name_and_type}: W must be an operator, or weights of shape {self.dimsd}, got {tuple(W.shape)}"
            )
        return self._gram(W) or self.H @ scaled(W, self)

    def toreal(self, forw: bool = True, adj: bool = True) -> LinearOperator:
        """Return ``Re A Re``: the real part of the data (``forw``) of the real part of the model (``adj``).

        PyLops takes the real part of the results of the forward (``forw``) and the adjoint (``adj``). For real vectors
        that is the same. Here, forward and adjoint also match for complex vectors.
        """
        return PartOperator(self, "real", forw, adj)

    def toimag(self, forw: bool = True, adj: bool = True) -> LinearOperator:
        """Return ``Im A Re``: the imaginary part of the data (``forw``) of the real part of the model (``adj``).

        The adjoint is exact. (PyLops returns the imaginary part of ``A^H y``, which has the wrong sign.)
        """
        return PartOperator(self, "imag", forw, adj)

    def apply_columns(self, cols: Sequence[int]) -> LinearOperator:
        """Return the operator that consists of the columns ``cols`` of this one."""
        return ColumnsOperator(self, cols)

    def dot(self, x: Any) -> Any:
        """Return ``A @ x``, the product with an operator, a number, a vector, a model, or several as columns."""
        return self * x

    def __matmul__(self, x: Any) -> Any:
        if type(x) in _ARRAYS and x.ndim:
            return self._matrix_product(x, False)
        x = self._operand(x, "@")
        if isinstance(x, LinearOperator):
            return product(self, x)
        if _is_scalar(x):
            raise TypeError(f"{self.name_and_type} @ number is not defined: use number * A")
        return self._matrix_product(x, False)

    def __rmatmul__(self, x: Any) -> Any:
        return self.T(x)

    def __mul__(self, x: Any) -> Any:
        if type(x) in _ARRAYS and x.ndim:
            return self._matrix_product(x, False)
        x = self._operand(x, "*")
        if isinstance(x, LinearOperator):
            return product(self, x)
        if _is_scalar(x):
            return scaled(x, self)
        return self._matrix_product(x, False)

    def __rmul__(self, x: Any) -> Any:
        return scaled(x, self) if _is_scalar(x) else NotImplemented

    def __truediv__(self, x: Any) -> Any:
        if isinstance(x, LinearOperator):
            return NotImplemented
        return divided(self, x) if _is_scalar(x) else self._solved(x)

    def __neg__(self) -> LinearOperator:
        return scaled(-1, self)

    def __add__(self, x: Any) -> Any:
        x = self._operand(x, "+")
        if isinstance(x, LinearOperator):
            return added(self, x)
        if isinstance(x, int) and x == 0:
            return self
        self._refuse_array(x, "+")
        return NotImplemented

    __radd__ = __add__  # so that sum([A, B]) works, which starts from 0

    def __sub__(self, x: Any) -> Any:
        x = self._operand(x, "-")
        if isinstance(x, LinearOperator):
            return added(self, -x)
        self._refuse_array(x, "-")
        return NotImplemented

    def __rsub__(self, x: Any) -> Any:
        return -self + x

    def _operand(self, x: Any, sign: str) -> Any:
        """Return an operator of SciPy or PyLops as one of ours, and anything else as it is."""
        if isinstance(x, LinearOperator):
            return x
        if hasattr(x, "tocsr"):
            raise TypeError(
                f"{self.name_and_type} {sign} {type(x).__name__}: convert the latter to an operator first, with "
                "torchlops.aslinearoperator"
            )
        return self._convert(x) if hasattr(x, "matvec") else x

    def _refuse_array(self, x: Any, sign: str) -> None:
        if hasattr(x, "shape"):
            raise TypeError(
                f"{self.name_and_type} {sign} {type(x).__name__}: an array cannot be added to an operator. Convert a "
                "matrix to an operator first, with torchlops.MatrixMult or torchlops.aslinearoperator."
            )

    def __pow__(self, n: int) -> LinearOperator:
        return power(self, n)

    def _gram(self, W: Weights) -> LinearOperator | None:  # noqa: ARG002
        """Return ``A^H W A`` in a form that is shorter than the product of its factors, or None; ``A^H A`` for None."""
        return None

    def _gives_real(self) -> bool:
        """Whether the data are real for all models, so that the adjoint depends only on the real part of ``y``."""
        return False

    def _is_identity(self) -> bool:
        return False

    def _is_zero(self) -> bool:
        return False

    def _leaves(self) -> tuple[nn.Module, ...]:
        """Return the modules that hold the tensors of this operator, each once."""
        return (self,)

    if TYPE_CHECKING:  # methods that solve, decompose or convert, attached by ``_methods.py``

        def eigs(
            self,
            neigs: int | None = None,
            symmetric: bool = False,
            niter: int | None = None,
            uselobpcg: bool = False,
            **kwargs_eig: Any,
        ) -> Any: ...
        def cond(self) -> float: ...
        def norm(self, ord: Any = 2) -> Tensor: ...
        def trace(self, neval: int | None = None, method: str | None = None, **kwargs: Any) -> Any: ...
        def div(self, y: Any, niter: int | None = None, densesolver: str | None = None) -> Any: ...
        def inverse(self, solver: str | None = None, **options: Any) -> Any: ...
        def pinv(self, solver: str | None = None, **options: Any) -> LinearOperator: ...
        def _solved(self, y: Any) -> Any: ...

        def _convert(self, x: Any) -> LinearOperator: ...


def _is_scalar(x: Any) -> bool:
    return isinstance(x, Number) or (hasattr(x, "shape") and tuple(x.shape) == () and not isinstance(x, LinearOperator))


FIRST_PART = Computed(lambda self: self.operators[0])
"""The operator of which another one is a view, under the name that PyLops has for it."""


class CompositeOperator(LinearOperator):
    """An operator composed of ``operators``.

    Args:
        operators: The parts, in written order.
        holders: Further modules whose tensors the composite owns.
        **kwargs: Arguments of :class:`LinearOperator`.
    """

    _calls_others = True
    args = Computed(lambda self: self.operators)

    def __init__(self, operators: Sequence[LinearOperator], holders: Sequence[nn.Module] = (), **kwargs: Any) -> None:
        kwargs.setdefault("clinear", all(part.clinear and not part.real_model for part in operators))
        kwargs.setdefault("forceflat", _agreed_forceflat(operators))
        super().__init__(**kwargs)
        self.operators = tuple(operators)
        self._has_array_kernel = self._has_array_kernel and any(part._has_array_kernel for part in operators)
        leaves = [*holders, *(leaf for part in operators for leaf in part._leaves())]
        self.leaves = nn.ModuleList(dict.fromkeys(leaves))

    @classmethod
    def _of(
        cls: type[_Composite],
        operators: tuple[LinearOperator, ...],
        dims: tuple[int, ...],
        dimsd: tuple[int, ...],
        real_model: bool = False,
        name: str | None = None,
    ) -> _Composite:
        """Return what the constructor would, for parts that fit: at a fifth of its cost, since ``A.H`` makes a view."""
        view = _fresh(cls, _empty_composite)
        leaves = _fresh(nn.ModuleList, nn.ModuleList)
        leaves._modules.update(
            (str(i), leaf)
            for i, leaf in enumerate(dict.fromkeys(leaf for part in operators for leaf in part._leaves()))
        )
        vars(view).update(
            _modules={"leaves": leaves},
            operators=operators,
            _dims=dims,
            _dimsd=dimsd,
            _clinear=all(part.clinear and not part.real_model for part in operators),
            real_model=real_model,
            name=name,
            _has_array_kernel=cls._has_array_kernel and any(part._has_array_kernel for part in operators),
        )
        forceflat = _agreed_forceflat(operators)
        if forceflat is not None:
            view.forceflat = forceflat
        return view

    def _leaves(self) -> tuple[nn.Module, ...]:
        return tuple(vars(self)["_modules"]["leaves"]._modules.values())

    def _replicate_for_data_parallel(self) -> NoReturn:
        raise NotImplementedError(
            f"{self.name_and_type}: nn.DataParallel would leave the tensors of its parts on the first device: use "
            "nn.parallel.DistributedDataParallel"
        )

    def _count(self, method: str) -> None:
        super()._count(method)
        for part in self.operators:
            part._count(method)

    def _gives_real(self) -> bool:
        return all(part._gives_real() for part in self.operators)

    def _nominal_dtype(self) -> torch.dtype:
        declared = [] if self._declared_dtype is None else [self._declared_dtype]
        return promote(declared + [part._label() for part in self.operators])

    def _apply(self: _Composite, fn: Any, recurse: bool = True) -> _Composite:
        super()._apply(fn, recurse)
        for part in _views(self):  # views hold no tensors, but have dtype labels
            LinearOperator._apply(part, fn, recurse=False)
        return self

    def extra_repr(self) -> str:
        return ", ".join(part.expression() for part in self.operators)


def _agreed_forceflat(operators: Sequence[LinearOperator]) -> bool | None:
    given = {part.forceflat for part in operators} - {None}
    if len(given) > 1:
        parts = ", ".join(f"{part.name_and_type} {part.forceflat}" for part in operators)
        raise ValueError(f"Operators have conflicting forceflat: {parts}. Build them with the same.")
    return next(iter(given), None)


@functools.cache
def _state_of_new(kind: Callable[[], nn.Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes of a new module that any module may share, and those that it must own."""
    new = kind()
    own = {name: value for name, value in vars(new).items() if isinstance(value, dict | set)}
    return {name: value for name, value in vars(new).items() if name not in own}, own


def _empty_composite() -> CompositeOperator:
    return CompositeOperator((), dims=1)


def _fresh(kind: type[_Module], make: Callable[[], nn.Module]) -> _Module:
    """Return a module of the class ``kind`` with the attributes that ``make`` gives, without running that again."""
    shared_state, own = _state_of_new(make)
    new = object.__new__(kind)
    vars(new).update(shared_state)
    vars(new).update((name, value.copy()) for name, value in own.items())
    return new


def _views(composite: CompositeOperator) -> list[LinearOperator]:
    inner = [part for part in composite.operators if isinstance(part, CompositeOperator)]
    return inner + [view for part in inner for view in _views(part)]


def takes_real(chain: Sequence[LinearOperator]) -> bool:
    """Whether the operators of ``chain``, applied in this order, take only real models."""
    for part in chain:
        if part.real_model:
            return True
        if part._gives_real():
            return False
    return False


def apply_reshaped(part: LinearOperator, x: Samples, dims: tuple[int, ...], adjoint: bool = False) -> Samples:
    """Apply ``part`` to a tensor or a small array, whose trailing shape ``dims`` may be another of the same size."""
    x = reshaped(x, dims, part.dimsd if adjoint else part.dims)
    if isinstance(x, np.ndarray):
        return _of_any_array(part, x, adjoint)
    out: Tensor = part.apply_nd(x, True) if adjoint else part(x)
    return out


def _of_any_array(part: LinearOperator, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
    """Apply ``part`` to a small array: by its array kernel if that may run, and otherwise by way of tensors."""
    y = part._of_array(x, adjoint) if adjoint or not has_hooks(part) else None
    if y is not None:
        return y
    with torch.no_grad():
        tensor = tensor_of(x)
        y = view(part.apply_nd(tensor, True) if adjoint else part(tensor))
    if y.dtype not in PLAIN_DTYPES:
        raise Unsuitable
    return y


def part_of_array(part: LinearOperator, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
    """Return the result of the array kernel of ``part``.

    Raises:
        Unsuitable: If it may not run.
    """
    y = part._of_array(x, adjoint)
    if y is None:
        raise Unsuitable
    return y


def reshaped(x: Samples, dims: tuple[int, ...], wanted: tuple[int, ...]) -> Samples:
    """Return ``x`` with its trailing shape ``dims`` changed to ``wanted``."""
    return x if dims == wanted else x.reshape((*x.shape[: x.ndim - len(dims)], *wanted))


def _by_either_kernel(self: LinearOperator, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
    """Return the product with an array: the array kernel of composites whose kernels take tensors and arrays alike."""
    kernel: Any = self._adjoint if adjoint else self._forward
    y: NDArray[Any] = kernel(x)
    return y


class AdjointOperator(CompositeOperator):
    """The adjoint of an operator, ``A.H``, as a view of it.

    Forward:
        .. math:: y = A^H x

    Adjoint:
        .. math:: A y
    """

    A = FIRST_PART

    def __init__(self, part: LinearOperator) -> None:
        super().__init__((part,), dims=part.dimsd, dimsd=part.dims, name=part.name)

    def _forward(self, x: Tensor) -> Tensor:
        return self.operators[0].apply_nd(x, True)

    def _adjoint(self, y: Tensor) -> Tensor:
        part = self.operators[0]  # with a real model, A^H returns real numbers, and the imaginary part of y is ignored
        return part.apply_nd(real_part(y) if part.real_model else y, False)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        part = self.operators[0]
        return part_of_array(part, real_of(x) if adjoint and part.real_model else x, not adjoint)

    def _gives_real(self) -> bool:
        return self.operators[0].real_model

    def _count(self, method: str) -> None:
        LinearOperator._count(self, method)
        self.operators[0]._count(OTHER_WAY[method])

    @property
    def name_and_type(self) -> str:
        return f"{self.operators[0].name_and_type}.H"

    @property
    def H(self) -> LinearOperator:
        return self.operators[0]

    def expression(self) -> str:
        return f"{_bracketed(self.operators[0])}.H"


class TransposedOperator(CompositeOperator):
    r"""The transpose of an operator, ``A.T``, as a view of it.

    Forward:
        .. math:: y = A^T x = \overline{A^H \bar x}

    Adjoint:
        .. math:: \overline{A \, \bar y}
    """

    A = FIRST_PART

    def __init__(self, part: LinearOperator) -> None:
        super().__init__((part,), dims=part.dimsd, dimsd=part.dims, name=part.name)

    def _forward(self, x: Tensor) -> Tensor:
        return conjugate(self.operators[0].apply_nd(conjugate(x), True))

    def _adjoint(self, y: Tensor) -> Tensor:
        part = self.operators[0]
        return conjugate(part.apply_nd(real_part(y) if part.real_model else conjugate(y), False))

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        part = self.operators[0]
        return part_of_array(part, real_of(x) if adjoint and part.real_model else x.conj(), not adjoint).conj()

    _count = AdjointOperator._count

    def _gives_real(self) -> bool:
        return self.operators[0].real_model

    @property
    def name_and_type(self) -> str:
        return f"{self.operators[0].name_and_type}.T"

    @property
    def T(self) -> LinearOperator:
        return self.operators[0]

    def expression(self) -> str:
        return f"{_bracketed(self.operators[0])}.T"


class ConjugatedOperator(CompositeOperator):
    r"""The conjugate of an operator, ``A.conj()``, as a view of it.

    Forward:
        .. math:: y = \bar A x = \overline{A \, \bar x}

    Adjoint:
        .. math:: \overline{A^H \bar y}
    """

    Op = FIRST_PART

    def __init__(self, part: LinearOperator) -> None:
        super().__init__((part,), dims=part.dims, dimsd=part.dimsd, name=part.name, real_model=part.real_model)

    def _forward(self, x: Tensor) -> Tensor:
        return conjugate(self.operators[0](conjugate(x)))

    def _adjoint(self, y: Tensor) -> Tensor:
        return conjugate(self.operators[0].apply_nd(conjugate(y), True))

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        return apply_reshaped(self.operators[0], x.conj(), self.dimsd if adjoint else self.dims, adjoint).conj()

    @property
    def name_and_type(self) -> str:
        return f"{self.operators[0].name_and_type}.conj()"

    def conj(self) -> LinearOperator:
        return self.operators[0]

    def expression(self) -> str:
        return f"{_bracketed(self.operators[0])}.conj()"


class PartOperator(CompositeOperator):
    r"""The real or the imaginary part of an operator, ``A.toreal()`` or ``A.toimag()``.

    Forward:
        .. math:: y = \mathrm{Re} (A \, \mathrm{Re} \, x) \quad \text{or} \quad y = \mathrm{Im} (A \, \mathrm{Re} \, x)

        Only one of both parts is taken with ``forw=False`` or ``adj=False``.

    Adjoint:
        .. math:: \mathrm{Re} (A^H \mathrm{Re} \, y) \quad \text{or} \quad \mathrm{Re} (A^H i \, \mathrm{Re} \, y)

        under :math:`\mathrm{Re}\langle\cdot,\cdot\rangle`.
    """

    Op = FIRST_PART
    forw = Computed(lambda self: self.of_data)
    adj = Computed(lambda self: self.of_model)
    real = Computed(lambda self: self.field == "real")

    def __init__(self, part: LinearOperator, field: str, data: bool, model: bool) -> None:
        real_model = part.real_model and not model
        super().__init__((part,), dims=part.dims, dimsd=part.dimsd, clinear=False, real_model=real_model)
        self.field, self.of_data, self.of_model = field, data, model

    def _gives_real(self) -> bool:
        return self.of_data or self.operators[0]._gives_real()

    def _forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.operators[0](real_part(x) if self.of_model else x)
        if not self.of_data:
            return y
        return real_part(y) if self.field == "real" else imaginary_part(y)

    def _adjoint(self, y: Tensor) -> Tensor:
        if self.of_data:
            y = real_part(y) if self.field == "real" else 1j * real_part(y)
        x = self.operators[0].apply_nd(y, True)
        return real_part(x) if self.of_model else x

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        part = self.operators[0]
        if not adjoint:
            y = apply_reshaped(part, real_of(x) if self.of_model else x, self.dims)
            if not self.of_data:
                return y
            return real_of(y) if self.field == "real" else y.imag.copy()
        if self.of_data:
            x = real_of(x) if self.field == "real" else quietly(operator.mul, real_of(x), 1j)
        x = apply_reshaped(part, x, self.dimsd, adjoint)
        return real_of(x) if self.of_model else x

    def expression(self) -> str:
        return f"{_bracketed(self.operators[0])}.to{self.field}(forw={self.of_data}, adj={self.of_model})"


class ColumnsOperator(CompositeOperator):
    r"""Some columns of an operator, ``A.apply_columns(cols)``.

    Forward:
        .. math:: y = \sum_j a_{c_j} x_j

        with the columns :math:`a` of :math:`A` that are listed in :math:`c`.

    Adjoint:
        .. math:: (A^H y)_j = a_{c_j}^H y
    """

    Op = FIRST_PART
    cols = Computed(lambda self: self.columns.tolist())

    def __init__(self, part: LinearOperator, columns: Sequence[int]) -> None:
        what = f"columns of {part.name_and_type}"
        wanted = counted_from_start(as_indices(columns, what), part.shape[1], what)
        super().__init__((part,), dims=len(wanted), dimsd=part.dimsd, real_model=part.real_model)
        self.register_buffer("columns", wanted, persistent=False)
        self.columns: Tensor

    def _leaves(self) -> tuple[nn.Module, ...]:
        return (self,)

    def _forward(self, x: Tensor) -> Tensor:
        part = self.operators[0]
        model = x.new_zeros((*x.shape[:-1], part.shape[1])).scatter_add(-1, self.columns.expand(x.shape), x)
        y: Tensor = part(model.reshape((*x.shape[:-1], *part.dims)))
        return y

    def _adjoint(self, y: Tensor) -> Tensor:
        part = self.operators[0]
        batch = y.shape[: y.ndim - len(self.dimsd)]
        model = part.apply_nd(y, True).reshape((*batch, part.shape[1]))
        return model.gather(-1, self.columns.expand((*batch, *self.dims)))

    def expression(self) -> str:
        return f"{_bracketed(self.operators[0])}.apply_columns({self.columns.tolist()})"


class Factor(nn.Module):
    """Holds the tensor factor of a :class:`ScaledOperator`, so that it is moved, trained and saved."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        if isinstance(value, nn.Parameter):
            self.register_parameter("value", value)
        else:
            self.register_buffer("value", value)


class ScaledOperator(CompositeOperator):
    r"""A multiple of an operator, ``alpha * A`` or ``A / alpha``.

    With ``divides``, it is ``A / alpha`` for a tensor ``alpha``. The division takes place in each call, in the
    precision of the data, so that changes of the tensor are seen.

    Forward:
        .. math:: y = \alpha A x

    Adjoint:
        .. math:: A^H (\bar \alpha y)

        The data is scaled first, so that the formula also holds for real-linear :math:`A`.
    """

    args = Computed(lambda self: (self.operators[0], self.alpha))

    def __init__(self, alpha: complex | Tensor, part: LinearOperator, divides: bool = False) -> None:
        holders = (Factor(alpha),) if isinstance(alpha, Tensor) else ()
        super().__init__((part,), holders, dims=part.dims, dimsd=part.dimsd, real_model=part.real_model)
        self._number = None if holders else alpha
        self._divides = divides

    @property
    def has_number(self) -> bool:
        """Whether the factor is a number rather than a tensor."""
        return self._number is not None

    @property
    def alpha(self) -> Any:
        """The factor, a number or a tensor."""
        return 1 / self._tensor if self._divides else self._number if self.has_number else self._tensor

    @property
    def _tensor(self) -> Any:
        return self.leaves[0].value

    def _scaled(self, x: Tensor, conjugated: bool) -> Tensor:
        if self.has_number:
            return x * (self._number.conjugate() if conjugated else self._number)  # type: ignore[union-attr, operator]
        alpha = self._tensor.conj() if conjugated else self._tensor
        scaled: Tensor = x / alpha if self._divides else x * alpha
        return scaled

    def _gram(self, W: Weights) -> LinearOperator | None:
        is_clinear = not isinstance(W, LinearOperator) or (W.clinear and not W.real_model)
        is_commuting = self.has_number and is_clinear
        inner = self.operators[0]._gram(W) if is_commuting else None
        return None if inner is None else scaled(abs(self.alpha) ** 2, inner)

    def _gives_real(self) -> bool:
        alpha = self.alpha
        is_complex = alpha.is_complex() if isinstance(alpha, Tensor) else isinstance(alpha, complex)
        return not is_complex and self.operators[0]._gives_real()

    def _nominal_dtype(self) -> torch.dtype:
        dtype = self.operators[0]._label()
        return torch.result_type(torch.empty(1, dtype=dtype, device="cpu"), self.alpha)

    def _forward(self, x: Tensor) -> Tensor:
        return self._scaled(self.operators[0](x), False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.operators[0].apply_nd(self._scaled(y, True), True)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        alpha: Any = self._number
        if alpha is None:
            tensor = self._tensor
            is_number = tensor.ndim == 0 and tensor.is_cpu and tensor.dtype.itemsize > 2
            alpha = tensor.item() if is_number else view(tensor)  # a number, as in torch, does not change the dtype
        part = self.operators[0]
        if not adjoint:
            x = apply_reshaped(part, x, self.dims)
        alpha = alpha.conjugate() if adjoint else alpha
        x = quietly(operator.truediv if self._divides else operator.mul, x, alpha)
        return apply_reshaped(part, x, self.dimsd, adjoint) if adjoint else x

    def expression(self) -> str:
        alpha = self.alpha
        shown = (
            f"{alpha.item():.4g}" if isinstance(alpha, Tensor) and alpha.numel() == 1 and not alpha.is_meta else alpha
        )
        return f"{shown} * {_bracketed(self.operators[0])}"


class SumOperator(CompositeOperator):
    r"""A sum of operators, ``A + B``.

    Forward:
        .. math:: y = A x + B x + \ldots

    Adjoint:
        .. math:: A^H y + B^H y + \ldots
    """

    def __init__(self, operators: Sequence[LinearOperator]) -> None:
        if len({part.shape for part in operators}) > 1:
            shapes = " + ".join(f"{part.name_and_type} {part.shape}" for part in operators)
            raise ValueError(f"operators of different shapes cannot be added: {shapes}")
        dims = _most_axes([part.dims for part in operators])
        dimsd = _most_axes([part.dimsd for part in operators])
        super().__init__(operators, dims=dims, dimsd=dimsd, real_model=any(part.real_model for part in operators))

    def _forward(self, x: Samples) -> Samples:
        return self._sum(x, False)

    def _adjoint(self, y: Samples) -> Samples:
        return self._sum(y, True)

    _array_kernel = _by_either_kernel

    def _sum(self, x: Samples, adjoint: bool) -> Samples:
        dims, out = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        terms = (
            reshaped(apply_reshaped(part, x, dims, adjoint), part.dims if adjoint else part.dimsd, out)
            for part in self.operators
        )
        return _total(terms, x)

    @property
    def H(self) -> LinearOperator:
        views = [part.H for part in self.operators]
        for operators in (self.operators, views):
            if len({part.real_model for part in operators}) > 1:
                return AdjointOperator(self)
        if torch.compiler.is_compiling():
            return SumOperator(views)
        real_model = any(view.real_model for view in views)
        return SumOperator._of(tuple(views), dims=self.dimsd, dimsd=self.dims, real_model=real_model)

    def expression(self) -> str:
        return " + ".join(_bracketed(part, (SumOperator,)) for part in self.operators)


class ProductOperator(CompositeOperator):
    r"""A product of operators, ``A @ B``, of which the last is applied first.

    Forward:
        .. math:: y = A B \cdots x

    Adjoint:
        .. math:: \cdots B^H A^H y
    """

    def __init__(self, operators: Sequence[LinearOperator]) -> None:
        for left, right in pairwise(operators):
            if left.shape[1] != right.shape[0]:
                chain = " @ ".join(f"{part.name_and_type} {part.shape}" for part in operators)
                raise ValueError(
                    f"{left.name_and_type} takes models of size {left.shape[1]} {left.dims}, but "
                    f"{right.name_and_type} returns data of size {right.shape[0]} {right.dimsd}, in {chain}"
                )
        first, last = operators[0], operators[-1]
        super().__init__(operators, dims=last.dims, dimsd=first.dimsd, real_model=takes_real(operators[::-1]))

    def _gives_real(self) -> bool:
        return self.operators[0]._gives_real()

    def _gram(self, W: Weights) -> LinearOperator | None:
        first, *others = self.operators
        if isinstance(self.H, AdjointOperator):  # a real part is taken within the product
            return None
        inner = first._gram(W)
        if inner is None or not others:
            return inner
        rest = others[0] if len(others) == 1 else ProductOperator(others)
        return product(rest.H, product(inner, rest))

    def _forward(self, x: Samples) -> Samples:
        dims = self.dims
        for part in reversed(self.operators):
            x = apply_reshaped(part, x, dims)
            dims = part.dimsd
        return x

    def _adjoint(self, y: Samples) -> Samples:
        dims = self.dimsd
        for part in self.operators:
            y = apply_reshaped(part, y, dims, adjoint=True)
            dims = part.dims
        return y

    _array_kernel = _by_either_kernel

    @property
    def H(self) -> LinearOperator:
        return self._reversed([part.H for part in reversed(self.operators)]) or AdjointOperator(self)

    @property
    def T(self) -> LinearOperator:
        return self._reversed([part.T for part in reversed(self.operators)]) or TransposedOperator(self)

    def _reversed(self, views: list[LinearOperator]) -> LinearOperator | None:
        """Return the product of ``views``, or None if it would miss a real part that is taken between two of them."""
        if self.real_model != self.operators[-1].real_model:
            return None
        if any(view.real_model and not before._gives_real() for view, before in pairwise(views)):
            return None
        if torch.compiler.is_compiling():
            return ProductOperator(views)
        real_model = takes_real(views[::-1])
        return ProductOperator._of(tuple(views), dims=views[-1].dims, dimsd=views[0].dimsd, real_model=real_model)

    def expression(self) -> str:
        return " @ ".join(_bracketed(part, (ProductOperator, SumOperator, ScaledOperator)) for part in self.operators)


class PowerOperator(CompositeOperator):
    """A power of an operator, ``A ** n``.

    Forward:
        .. math:: y = A^n x

    Adjoint:
        .. math:: (A^H)^n y
    """

    args = Computed(lambda self: (self.operators[0], self.n))

    def __init__(self, part: LinearOperator, n: int) -> None:
        super().__init__((part,), dims=part.dims, dimsd=part.dimsd, real_model=part.real_model)
        self.n = n

    def _forward(self, x: Samples) -> Samples:
        part = self.operators[0]
        for step in range(self.n):
            x = apply_reshaped(part, x, part.dimsd if step else part.dims)
        return x

    def _adjoint(self, y: Samples) -> Samples:
        part = self.operators[0]
        for step in range(self.n):
            y = apply_reshaped(part, y, part.dims if step else part.dimsd, adjoint=True)
        return y

    _array_kernel = _by_either_kernel

    @property
    def H(self) -> LinearOperator:
        view = self.operators[0].H
        return AdjointOperator(self) if view.real_model and not view._gives_real() else PowerOperator(view, self.n)

    def expression(self) -> str:
        return f"{_bracketed(self.operators[0])} ** {self.n}"


class ShapedOperator(CompositeOperator):
    """An operator with models and data in another shape of the same size.

    It is what :func:`~torchlops.aslinearoperator` returns for an operator in other shapes, and what an operator becomes
    whose ``dims`` or ``dimsd`` are set. Other attributes are those of the operator.
    """

    def __init__(self, part: LinearOperator, dims: tuple[int, ...], dimsd: tuple[int, ...]) -> None:
        super().__init__((part,), dims=dims, dimsd=dimsd, name=part.name, real_model=part.real_model)

    def _takes_any_shape(self) -> bool:
        return True

    def _forward(self, x: Samples) -> Samples:
        part = self.operators[0]
        self._check(x, self.dims)
        return reshaped(apply_reshaped(part, x, self.dims), part.dimsd, self.dimsd)

    def _adjoint(self, y: Samples) -> Samples:
        part = self.operators[0]
        self._check(y, self.dimsd)
        return reshaped(apply_reshaped(part, y, self.dimsd, adjoint=True), part.dims, self.dims)

    _array_kernel = _by_either_kernel

    def _check(self, x: Tensor | NDArray[Any], dims: tuple[int, ...]) -> None:
        if x.shape[x.ndim - len(dims) :] != dims:
            raise ValueError(
                f"{self.name_and_type} got (*batch, *dims) = {tuple(x.shape)} from another operator, but takes {dims}, "
                "since its shapes were set after that operator had been composed with it: set them before"
            )

    def _inverse(self, y: Tensor) -> Tensor:
        part = self.operators[0]
        return reshaped(part._inverse(reshaped(y, self.dimsd, part.dimsd)), part.dims, self.dims)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or "operators" not in vars(self):
                raise
            return getattr(self.operators[0], name)

    def __setattr__(self, name: str, value: Any) -> None:
        part = vars(self).get("operators", (None,))[0]
        is_own = part is None or hasattr(type(self), name) or name in vars(self)
        if not is_own and part._holds(name):
            setattr(part, name, value)
        elif not is_own and name in part._options_of_ours:
            part._refuse_option(name)
        else:
            super().__setattr__(name, value)

    def _class_name(self) -> str:
        return type(self.operators[0]).__name__

    @property
    def name_and_type(self) -> str:
        return self._class_name() if self.name is None else f"{self._class_name()} '{self.name}'"

    def expression(self) -> str:
        return self.operators[0].expression()


class IdentityOperator(LinearOperator):
    """The identity, the result of ``A ** 0``.

    Forward:
        .. math:: y = x

    Adjoint:
        .. math:: y
    """

    def _forward(self, x: Tensor) -> Tensor:
        return x.clone()

    _adjoint = _forward

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:  # noqa: ARG002
        return x.copy()

    def _is_identity(self) -> bool:
        return True


class NoPool:
    """What a stack has in place of PyLops's pool of processes or threads, so that code may close it."""

    def close(self) -> None:
        """Do nothing."""

    join = terminate = shutdown = close

    def __repr__(self) -> str:
        return "no pool: torch manages its threads"


class Stack(CompositeOperator):
    """Several operators in a row, in a column or along a diagonal.

    Attributes:
        nops: Number of rows.
        mops: Number of columns.
        nnops: Where the rows of each operator begin, and where the last ones end, unless they share their rows.
        mmops: Where the columns of each operator begin, and where the last ones end, unless they share them.
    """

    pool = NoPool()

    def __init__(
        self,
        operators: Sequence[LinearOperator],
        dims: Dims,
        dimsd: Dims,
        dtype: DType | None,
        forceflat: bool | None,
    ) -> None:
        real_model = any(part.real_model for part in operators)
        super().__init__(operators, dims=dims, dimsd=dimsd, dtype=dtype, forceflat=forceflat, real_model=real_model)

    nops = property(lambda self: self.shape[0])
    mops = property(lambda self: self.shape[1])

    def close(self) -> None:
        """Do nothing: there is no pool (see :func:`~torchlops.shapes.accept_pylops_options`)."""

    @property
    def ops(self) -> tuple[LinearOperator, ...]:
        """The operators."""
        return self.operators


def _grams(parts: Sequence[LinearOperator]) -> list[LinearOperator] | None:
    """Return the normal operators of ``parts``; None if none of them has a shorter form.

    Nor is there one of parts with real and with complex models: that of their stack is the real part.
    """
    if len({part.real_model for part in parts}) > 1:
        return None
    shorter = [part._gram(None) for part in parts]
    if not any(shorter):
        return None
    return [part.H @ part if gram is None else gram for part, gram in zip(parts, shorter, strict=True)]


def _ends(stack: Stack, side: int) -> NDArray[Any]:
    """Return where the rows, or columns, of each part begin, and where the last ones end."""
    return np.cumsum([0, *(part.shape[side] for part in stack.operators)])


class VerticalStack(Stack):
    """Operators on top of each other; see :class:`~torchlops.VStack`."""

    nnops = property(lambda self: _ends(self, 0))

    def __init__(
        self, operators: Sequence[LinearOperator], dtype: DType | None = None, forceflat: bool | None = None
    ) -> None:
        columns = {part.shape[1] for part in operators}
        if len(columns) > 1:
            shapes = [part.shape for part in operators]
            raise ValueError(
                f"{type(self).__name__} cannot stack operators with a different number of columns, got shapes {shapes}"
            )
        self.rows = [part.shape[0] for part in operators]
        super().__init__(
            operators,
            dims=shared([part.dims for part in operators]) or columns.pop(),
            dimsd=sum(self.rows),
            dtype=dtype,
            forceflat=forceflat,
        )

    def _gram(self, W: Weights) -> LinearOperator | None:
        parts = _grams(self.operators) if W is None else None
        return None if parts is None or any(part.dims != self.dims for part in parts) else added(*parts)

    def _forward(self, x: Samples) -> Samples:
        return stack_data(self.operators, x, self.dims, adjoint=False)

    def _adjoint(self, y: Samples) -> Samples:
        return sum_models(self.operators, _pieces_of(y, self.rows), self.dims, adjoint=True)

    _array_kernel = _by_either_kernel


class HorizontalStack(Stack):
    """Operators side by side; see :class:`~torchlops.HStack`."""

    mmops = property(lambda self: _ends(self, 1))

    def __init__(
        self, operators: Sequence[LinearOperator], dtype: DType | None = None, forceflat: bool | None = None
    ) -> None:
        rows = {part.shape[0] for part in operators}
        if len(rows) > 1:
            shapes = [part.shape for part in operators]
            raise ValueError(
                f"{type(self).__name__} cannot stack operators with a different number of rows, got shapes {shapes}"
            )
        self.columns = [part.shape[1] for part in operators]
        super().__init__(
            operators,
            dims=sum(self.columns),
            dimsd=shared([part.dimsd for part in operators]) or rows.pop(),
            dtype=dtype,
            forceflat=forceflat,
        )

    def _forward(self, x: Samples) -> Samples:
        return sum_models(self.operators, _pieces_of(x, self.columns), self.dimsd, adjoint=False)

    def _adjoint(self, y: Samples) -> Samples:
        return stack_data(self.operators, y, self.dimsd, adjoint=True)

    _array_kernel = _by_either_kernel


class DiagonalStack(Stack):
    """Operators along a diagonal; see :class:`~torchlops.BlockDiag`."""

    nnops = property(lambda self: _ends(self, 0))
    mmops = property(lambda self: _ends(self, 1))

    def __init__(
        self, operators: Sequence[LinearOperator], dtype: DType | None = None, forceflat: bool | None = None
    ) -> None:
        dims, dimsd = shared([part.dims for part in operators]), shared([part.dimsd for part in operators])
        super().__init__(
            operators,
            dims=sum(part.shape[1] for part in operators) if dims is None else (len(operators), *dims),
            dimsd=sum(part.shape[0] for part in operators) if dimsd is None else (len(operators), *dimsd),
            dtype=dtype,
            forceflat=forceflat,
        )

    def _gram(self, W: Weights) -> LinearOperator | None:
        parts = _grams(self.operators) if W is None else None
        return None if parts is None else DiagonalStack(parts)

    def _forward(self, x: Samples) -> Samples:
        return self._apply_parts(x, False)

    def _adjoint(self, y: Samples) -> Samples:
        return self._apply_parts(y, True)

    def _apply_parts(self, x: Samples, adjoint: bool) -> Samples:
        dims, out = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        sizes = [math.prod(part.dimsd if adjoint else part.dims) for part in self.operators]
        pieces = _pieces_of(reshaped(x, dims, (math.prod(dims),)), sizes)
        results = [
            apply_flat(part, piece, (size,), adjoint)
            for part, piece, size in zip(self.operators, pieces, sizes, strict=True)
        ]
        return reshaped(_joined(results), (math.prod(out),), out)

    _array_kernel = _by_either_kernel


def shared(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """Return the common shape of ``shapes``, or None if they differ."""
    return shapes[0] if len(set(shapes)) == 1 else None


def stack_data(parts: Sequence[LinearOperator], x: Samples, dims: tuple[int, ...], adjoint: bool) -> Samples:
    """Apply each part (or its adjoint) to ``x`` of trailing shape ``dims``, and concatenate the flat results."""
    return _joined([apply_flat(part, x, dims, adjoint) for part in parts])


def apply_flat(part: LinearOperator, x: Samples, dims: tuple[int, ...], adjoint: bool) -> Samples:
    """Return the result of :func:`apply_reshaped`, flattened."""
    out = part.dims if adjoint else part.dimsd
    return reshaped(apply_reshaped(part, x, dims, adjoint), out, (math.prod(out),))


def _total(terms: Iterable[Samples], like: Samples) -> Samples:
    """Return the sum of ``terms``, of which there is one at least, for a tensor or an array ``like`` them."""
    if isinstance(like, np.ndarray):
        return functools.reduce(lambda total, term: quietly(operator.add, total, term), terms)
    return add_up(terms)


def _pieces_of(x: Samples, sizes: Sequence[int]) -> Sequence[Samples]:
    """Return the pieces of these sizes of flat samples."""
    if isinstance(x, np.ndarray):
        return [x[..., stop - size : stop] for size, stop in zip(sizes, itertools.accumulate(sizes), strict=True)]
    return x.split_with_sizes(list(sizes), dim=-1)


def _joined(pieces: Sequence[Samples]) -> Samples:
    """Return the inverse of :func:`_pieces_of`."""
    if isinstance(pieces[0], np.ndarray):
        return np.concatenate(pieces, axis=-1)
    return torch.cat(list(pieces), dim=-1)


def sum_models(
    parts: Sequence[LinearOperator], pieces: Sequence[Samples], dims: tuple[int, ...], adjoint: bool
) -> Samples:
    """Apply each part (or its adjoint) to its flat piece, and add up the results in the shape ``dims``."""
    terms: list[Samples] = []
    for part, piece in zip(parts, pieces, strict=True):
        if part._is_zero() and (terms or part is not parts[-1]):
            continue
        y = apply_reshaped(part, piece, (piece.shape[-1],), adjoint)
        terms.append(reshaped(y, part.dims if adjoint else part.dimsd, dims))
    return _total(terms, pieces[0])


def added(*parts: LinearOperator) -> LinearOperator:
    """Return the sum of ``parts``, with nested sums flattened."""
    terms = [term for part in parts for term in (part.operators if isinstance(part, SumOperator) else (part,))]
    return SumOperator(terms)


def product(left: LinearOperator, right: LinearOperator) -> LinearOperator:
    """Return ``left @ right``, flattened, without identities, and with numbers moved to the front if that is exact.

    A tensor that scales a part stays with that part, so that it is registered only once.
    """
    alphas = []
    if isinstance(left, ScaledOperator) and left.has_number:
        alphas.append(left.alpha)
        left = left.operators[0]
    if (
        isinstance(right, ScaledOperator)
        and right.has_number
        and ((left.clinear and not left.real_model) or not isinstance(right.alpha, complex))
    ):
        alphas.append(right.alpha)
        right = right.operators[0]
    factors = [
        factor
        for part in (left, right)
        for factor in (part.operators if isinstance(part, ProductOperator) else (part,))
    ]
    kept = [factor for factor in factors if not factor._is_identity()] or factors[:1]
    if left.shape[1] != right.shape[0]:
        kept = factors  # the constructor raises the error
    result = kept[0] if len(kept) == 1 else ProductOperator(kept)
    if len(kept) < len(factors) and (
        (result.dims, result.dimsd) != (right.dims, left.dimsd)
        or result._label() != promote([factor._label() for factor in factors])
    ):
        result = ProductOperator(factors)  # an identity also carried a shape, or a dtype
    for alpha in reversed(alphas):
        result = scaled(alpha, result)
    return result


def scaled(alpha: Any, part: LinearOperator) -> LinearOperator:
    """Return ``alpha * part``, merging scalars."""
    alpha = as_scalar(alpha, f"the factor of {part.name_and_type}")
    if not isinstance(part, ScaledOperator):
        return ScaledOperator(alpha, part)
    if isinstance(alpha, Tensor) or not part.has_number:
        return ScaledOperator(alpha, part)  # a precomputed product would miss changes of the tensors
    merged = alpha * part.alpha
    return part.operators[0] if merged == 1 else ScaledOperator(merged, part.operators[0])


def divided(part: LinearOperator, alpha: Any) -> LinearOperator:
    """Return ``part / alpha``."""
    alpha = as_scalar(alpha, f"the divisor of {part.name_and_type}")
    return ScaledOperator(alpha, part, divides=True) if isinstance(alpha, Tensor) else scaled(1 / alpha, part)


def power(part: LinearOperator, n: int) -> LinearOperator:
    """Return ``part ** n`` for a square operator and an integer ``n >= 0``."""
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(f"the exponent of an operator must be an integer, got {n!r}") from None
    if n < 0:
        raise ValueError(f"the exponent of an operator must be 0 or more, got {n}")
    if part.shape[0] != part.shape[1]:
        raise ValueError(f"only a square operator has powers, but {part.name_and_type} has shape {part.shape}")
    if n == 0:
        return IdentityOperator(part.dims, dtype=part._torch_dtype())
    return part if n == 1 else PowerOperator(part, n)


def _most_axes(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return next((shape for shape in shapes if len(shape) > 1), shapes[0])


def _bracketed(part: LinearOperator, kinds: tuple[type, ...] | None = None) -> str:
    kinds = (SumOperator, ProductOperator, ScaledOperator, PowerOperator) if kinds is None else kinds
    return f"({part.expression()})" if isinstance(part, kinds) else part.expression()
