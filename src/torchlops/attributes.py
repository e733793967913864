"""What PyLops's users read and set of an operator: its shapes, its dtype, its counters, its methods on flat vectors."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from torchlops.arrays import DType, numpy_dtype, promote, torch_dtype
from torchlops.shapes import Dims, as_dims

_Self = TypeVar("_Self", bound="Attributes")

OLD_ARGUMENTS = {
    "N": "dims or dimsd, the shapes of the model and of the data",
    "M": "dims or dimsd, the shapes of the model and of the data",
    "dir": "axis",
    "dirs": "axes",
    "nodir": "dims and axis, of which it was the one along which nothing is done",
}
"""Arguments of PyLops 1, with what PyLops 2 has instead."""

OTHER_WAY = {"matvec": "rmatvec", "rmatvec": "matvec", "matmat": "rmatmat", "rmatmat": "matmat"}
"""The products that are counted, each with that of the adjoint."""

COUNTERS = tuple(f"{method}_count" for method in OTHER_WAY)


class Computed:
    """An attribute that PyLops's operators have, computed when it is read from what this one has.

    One that is set, as a user's subclass may do, takes its place.

    >>> class Operator(nn.Module):
    ...     dims = (2, 3)
    ...     nt = Computed(lambda operator: operator.dims[-1])
    >>> Operator().nt
    3
    """

    def __init__(self, get: Callable[[Any], Any]) -> None:
        self.get = get

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, operator: nn.Module | None, kind: type | None = None) -> Any:
        if operator is None:
            return self
        own = operator._modules.get(self.name)
        return self.get(operator) if own is None else own


class FlatMethod:
    """``_matvec`` or ``_rmatvec``, which an operator written for PyLops defines in its class or sets on itself."""

    def __init__(self, adjoint: bool) -> None:
        self.adjoint = adjoint

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, operator: Attributes | None, kind: type | None = None) -> Any:
        if operator is None:
            return self
        own = vars(operator).get(self.name)
        return functools.partial(operator._apply_flat, self.name, self.adjoint) if own is None else own

    def __set__(self, operator: Attributes, method: Callable[[Any], Any]) -> None:
        vars(operator).update({self.name: method, "_has_flat_methods": True})
        operator._refresh_function()


class Attributes(nn.Module):
    """The attributes that :class:`~torchlops.LinearOperator` shares with PyLops's, and what setting them does.

    ``dims`` and ``dimsd`` may be set to other shapes of the same sizes; :attr:`dtype` and ``clinear`` may be set to
    what the operator is from then on. The class of a user may set them, and keep other operators, before it calls the
    constructor of this class; one that is written for PyLops may also set its shapes after it.

    The tensors that an operator was built from, such as the ``diag`` of a Diagonal, may be replaced by assignment: by
    tensors, and by arrays, lists and numbers as the constructor takes them. A parameter stays one, but it is a new one,
    which an optimizer does not know; to change the values of the old one, use ``copy_`` under ``torch.no_grad()``.

    Attributes:
        explicit: Whether the operator is said to have its matrix as ``A``. It has no further meaning here.
        forceflat: True if ``A @ x`` is always flat, and so are the models that solvers answer with, ``(*batch, n)``.
            Otherwise, ``A @ x`` is of shape ``dimsd`` if ``x`` is of shape ``dims``, and such models are
            ``(*batch, *dims)``.
        matvec_count: Number of calls of ``matvec``, and of ``A @ x`` for one model.
        rmatvec_count: Number of calls of ``rmatvec``, and of ``A.H @ y``.
        matmat_count: Number of calls of ``matmat``, and of ``A @ X`` for several models.
        rmatmat_count: Number of calls of ``rmatmat``.

    The counters count the calls of a user and of solvers, and the parts of a composition count with it: not ``A(x)``,
    nor what derivatives and compiled code do. Several models at once are one ``matmat``. Nothing else changes in an
    operator that is applied.
    """

    explicit: bool = False
    forceflat: bool | None = None
    matvec_count: int = 0
    rmatvec_count: int = 0
    matmat_count: int = 0
    rmatmat_count: int = 0

    _is_constructed = False
    _is_built = False
    _dims: tuple[int, ...] = ()
    _dimsd: tuple[int, ...] = ()
    _clinear = True
    _declared_dtype: torch.dtype | None = None
    _dtype_that_was_set: torch.dtype | None = None

    def __new__(cls: type[_Self], *_: Any, **options: Any) -> _Self:
        if options and not torch.compiler.is_compiling() and not OLD_ARGUMENTS.keys().isdisjoint(options):
            _refuse_old_arguments(cls, options)
        operator = super().__new__(cls)
        super(Attributes, operator).__init__()  # so that it can hold operators before its own constructor has run
        return operator

    def _class_name(self) -> str:
        """Return the name of the class in error messages."""
        return type(self).__name__

    # -- shapes ----------------------------------------------------------------------------------------------

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape of one model. It may be set to another shape of the same size, which re-reads the samples."""
        return self._dims

    @dims.setter
    def dims(self, dims: Dims) -> None:
        self._set_shape("dims", dims)

    @property
    def dimsd(self) -> tuple[int, ...]:
        """The shape of one data. It may be set as :attr:`dims`."""
        return self._dimsd

    @dimsd.setter
    def dimsd(self, dimsd: Dims) -> None:
        self._set_shape("dimsd", dimsd)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix, ``(prod(dimsd), prod(dims))``."""
        return math.prod(self._dimsd), math.prod(self._dims)

    @shape.setter
    def shape(self, shape: tuple[int, int]) -> None:
        rows, columns = as_dims(shape, "shape")
        for side, size in (("dims", columns), ("dimsd", rows)):
            own = getattr(self, side)
            if own and math.prod(own) != size:
                raise ValueError(
                    f"shape of {self._class_name()} cannot be {(rows, columns)}: it is (prod(dimsd), prod(dims)), and "
                    f"{side} is {own}, of {math.prod(own)} samples"
                )
            self._set_shape(side, own or size)

    def _set_shape(self, side: str, shape: Dims) -> None:
        wanted, own = as_dims(shape, side), getattr(self, side)
        size = math.prod(own if self._is_built else wanted)
        if math.prod(wanted) != size:
            raise ValueError(
                f"{side} of {self._class_name()} cannot be {wanted}, which has {math.prod(wanted)} samples: "
                f"it may only be set to another shape of {size} samples"
            )
        if not self._is_built:
            vars(self)[f"_{side}"] = wanted
            self._build()
        elif own != wanted:
            self._reread(**{"dims": self._dims, "dimsd": self._dimsd, side: wanted})

    def _reread(self, dims: tuple[int, ...], dimsd: tuple[int, ...]) -> None:
        """Take models of shape ``dims``, and give data of shape ``dimsd``, of the same sizes."""
        vars(self).update(_dims=dims, _dimsd=dimsd)
        self._refresh_function()

    # -- dtype and linearity ---------------------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the operator, as SciPy and PyLops code expect it. It is a label; nothing is cast to it."""
        return numpy_dtype(self._label())

    @dtype.setter
    def dtype(self, dtype: DType) -> None:
        vars(self)["_dtype_that_was_set"] = torch_dtype(dtype)
        self._refresh_function()

    def _label(self) -> torch.dtype:
        """Return :attr:`dtype` as a dtype of torch."""
        return self._nominal_dtype() if self._dtype_that_was_set is None else self._dtype_that_was_set

    def _nominal_dtype(self) -> torch.dtype:
        """Return the dtype of the operator where none has been set."""
        dtypes = [] if self._declared_dtype is None else [self._declared_dtype]
        dtypes += [t.dtype for t in self._own_tensors() if t.is_floating_point() or t.is_complex()]
        return promote(dtypes)

    def _torch_dtype(self) -> torch.dtype:
        """Return the dtype in which vectors are made for this operator: float64 if it is labelled with integers."""
        label = self._label()
        return label if label.is_floating_point or label.is_complex else torch.float64

    @property
    def clinear(self) -> bool:
        """False for an operator that is only real-linear."""
        return self._clinear

    @clinear.setter
    def clinear(self, clinear: bool) -> None:
        vars(self)["_clinear"] = bool(clinear)
        self._refresh_function()

    # -- counters --------------------------------------------------------------------------------------------

    def reset_count(self) -> None:
        """Set the counters to zero."""
        vars(self).update(dict.fromkeys(COUNTERS, 0))

    def _count(self, method: str) -> None:
        if not torch.compiler.is_compiling():  # a graph does not depend on how often it has run
            counter = f"{method}_count"
            vars(self)[counter] = getattr(self, counter) + 1

    # -- methods on flat vectors -----------------------------------------------------------------------------

    _matvec: Any = FlatMethod(adjoint=False)
    _rmatvec: Any = FlatMethod(adjoint=True)

    _has_flat_methods = False
    """Whether the class, or the operator itself, has ``_matvec`` or ``_rmatvec``: whether it is written for PyLops."""

    def _apply_flat(self, name: str, adjoint: bool, x: Any) -> Any:
        """Return ``A x`` or ``A^H x`` for a flat vector: ``_matvec`` and ``_rmatvec``, where no class defines them."""
        if not self._has_flat_methods:
            return self._flat_product(name[1:], x, adjoint)
        inner = getattr(self, "Op", None)  # the method that is overridden is that of the operator it was built from
        if inner is None:
            raise NotImplementedError(f"{type(self).__name__} does not define {name}")
        return getattr(inner, name)(x)

    def _build(self) -> None:
        """Take note of the shapes, where the class of a user sets them after its constructor."""

    def _refresh_function(self) -> None:
        """Take note of what has been set, where the kernels are foreign."""

    # -- what subclasses have --------------------------------------------------------------------------------

    def _own_tensors(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _flat_product(self, method: str, x: Any, adjoint: bool) -> Any:
        raise NotImplementedError


def _refuse_old_arguments(kind: type, options: dict[str, Any]) -> None:
    """Raise for arguments of PyLops 1, unless the class has arguments of these names."""
    arguments = inspect.signature(kind).parameters
    if any(argument.kind is inspect.Parameter.VAR_KEYWORD for argument in arguments.values()):
        return
    for name in OLD_ARGUMENTS.keys() & options.keys() - arguments.keys():
        raise TypeError(
            f"{kind.__name__} has no argument {name!r}, which is of PyLops 1: use {OLD_ARGUMENTS[name]}, as in PyLops 2"
        )
