"""Operators made of operators: lazy, flat, and sharing the tensors of their parts.

A composition keeps its parts in ``operators`` (a part may stand there twice, or as a view such as ``A.H``)
and registers, once each, the modules that hold their tensors. So ``A.H @ A`` has the parameters of ``A``
once, in ``parameters()`` as in ``state_dict()``.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from torchlops.arrays import HALF_PRECISIONS, as_indices, as_scalar, counted_from_start, zeros_from
from torchlops.linearoperator import LinearOperator, promote


class CompositeOperator(LinearOperator):
    """An operator made of ``operators``.

    Args:
        operators: The parts, in the order in which they are written.
        holders: Further modules whose tensors the composition owns.
        **kwargs: What :class:`LinearOperator` takes.
    """

    def __init__(self, operators: Sequence[LinearOperator], holders: Sequence[nn.Module] = (), **kwargs: Any) -> None:
        kwargs.setdefault("clinear", all(part.clinear for part in operators))
        super().__init__(**kwargs)
        self.operators = tuple(operators)
        leaves = [*holders, *(leaf for part in operators for leaf in part._leaves())]
        self.leaves = nn.ModuleList(dict.fromkeys(leaves))

    def _leaves(self) -> tuple[nn.Module, ...]:
        return tuple(self.leaves)

    def _torch_dtype(self) -> torch.dtype:
        declared = [] if self._declared_dtype is None else [self._declared_dtype]
        return promote(declared + [part._torch_dtype() for part in self.operators])

    def _apply(self, fn: Any, recurse: bool = True) -> LinearOperator:
        super()._apply(fn, recurse)
        for view in _views(self):  # views hold no tensors, but their dtype labels follow
            LinearOperator._apply(view, fn, recurse=False)
        return self

    def extra_repr(self) -> str:
        return ", ".join(part.expression() for part in self.operators)


def _views(composite: CompositeOperator) -> list[LinearOperator]:
    inner = [part for part in composite.operators if isinstance(part, CompositeOperator)]
    return inner + [view for part in inner for view in _views(part)]


def apply_reshaped(part: LinearOperator, x: Tensor, dims: tuple[int, ...], adjoint: bool = False) -> Tensor:
    """Apply ``part`` to ``x`` of trailing shape ``dims``, which may be another shape of the same size."""
    own = part.dimsd if adjoint else part.dims
    if own != dims:
        x = x.reshape((*x.shape[: x.ndim - len(dims)], *own))
    out: Tensor = part._run(x, True) if adjoint else part(x)
    return out


def reshaped(x: Tensor, dims: tuple[int, ...], wanted: tuple[int, ...]) -> Tensor:
    """Return ``x`` with its trailing shape ``dims`` turned into ``wanted``."""
    return x if dims == wanted else x.reshape((*x.shape[: x.ndim - len(dims)], *wanted))


class AdjointOperator(CompositeOperator):
    """The adjoint of an operator, as a view of it."""

    def __init__(self, part: LinearOperator) -> None:
        super().__init__((part,), dims=part.dimsd, dimsd=part.dims, name=part.name)

    def _forward(self, x: Tensor) -> Tensor:
        return self.operators[0]._run(x, True)

    def _adjoint(self, y: Tensor) -> Tensor:
        part = self.operators[0]  # of a real model: A^H is real, so that the imaginary part of y meets nothing
        return part._run(_real_part(y) if part.real_model else y, False)

    @property
    def name_and_type(self) -> str:
        return f"{self.operators[0].name_and_type}.H"

    @property
    def H(self) -> LinearOperator:
        return self.operators[0]

    def expression(self) -> str:
        return f"{_bracketed(self.operators[0])}.H"


class TransposedOperator(CompositeOperator):
    """The transpose ``conj(A^H conj(y))`` of an operator, as a view of it."""

    def __init__(self, part: LinearOperator) -> None:
        super().__init__((part,), dims=part.dimsd, dimsd=part.dims, name=part.name)

    def _forward(self, x: Tensor) -> Tensor:
        return conjugate(self.operators[0]._run(conjugate(x), True))

    def _adjoint(self, y: Tensor) -> Tensor:
        part = self.operators[0]
        return conjugate(part._run(_real_part(y) if part.real_model else conjugate(y), False))

    @property
    def name_and_type(self) -> str:
        return f"{self.operators[0].name_and_type}.T"

    @property
    def T(self) -> LinearOperator:
        return self.operators[0]

    def expression(self) -> str:
        return f"{_bracketed(self.operators[0])}.T"


class ConjugatedOperator(CompositeOperator):
    """The operator ``conj(A conj(x))``, as a view of ``A``."""

    def __init__(self, part: LinearOperator) -> None:
        super().__init__((part,), dims=part.dims, dimsd=part.dimsd, name=part.name, real_model=part.real_model)

    def _forward(self, x: Tensor) -> Tensor:
        return conjugate(self.operators[0](conjugate(x)))

    def _adjoint(self, y: Tensor) -> Tensor:
        return conjugate(self.operators[0]._run(conjugate(y), True))

    @property
    def name_and_type(self) -> str:
        return f"{self.operators[0].name_and_type}.conj()"

    def conj(self) -> LinearOperator:
        return self.operators[0]

    def expression(self) -> str:
        return f"{_bracketed(self.operators[0])}.conj()"


class PartOperator(CompositeOperator):
    """``P A Re``, with ``P`` the real or the imaginary part; see ``LinearOperator.toreal`` and ``toimag``."""

    def __init__(self, part: LinearOperator, field: str, data: bool, model: bool) -> None:
        super().__init__((part,), dims=part.dims, dimsd=part.dimsd, clinear=False)
        self.field, self.of_data, self.of_model = field, data, model

    def _forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.operators[0](_real_part(x) if self.of_model else x)
        if not self.of_data:
            return y
        return _real_part(y) if self.field == "real" else _imag_part(y)

    def _adjoint(self, y: Tensor) -> Tensor:
        if self.of_data:
            y = _real_part(y) if self.field == "real" else 1j * _real_part(y)
        x = self.operators[0]._run(y, True)
        return _real_part(x) if self.of_model else x

    def expression(self) -> str:
        return f"{_bracketed(self.operators[0])}.to{self.field}(forw={self.of_data}, adj={self.of_model})"


class ColumnsOperator(CompositeOperator):
    """Some columns of an operator."""

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
        model = part._run(y, True).reshape((*batch, part.shape[1]))
        return model.gather(-1, self.columns.expand((*batch, *self.dims)))

    def expression(self) -> str:
        return f"{_bracketed(self.operators[0])}.apply_columns({self.columns.tolist()})"


class Factor(nn.Module):
    """Holds the tensor by which a :class:`ScaledOperator` scales, so that it moves, learns and is stored."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        if isinstance(value, nn.Parameter):
            self.register_parameter("value", value)
        else:
            self.register_buffer("value", value)


class ScaledOperator(CompositeOperator):
    """``alpha A``. The adjoint scales first, ``A^H (conj(alpha) y)``: right for R-linear ``A`` too.

    With ``divides``, it is ``A / alpha`` for a tensor ``alpha``: the division is done in the call, in the precision of
    the data, and sees a change of the tensor.
    """

    def __init__(self, alpha: complex | Tensor, part: LinearOperator, divides: bool = False) -> None:
        holders = (Factor(alpha),) if isinstance(alpha, Tensor) else ()
        super().__init__((part,), holders, dims=part.dims, dimsd=part.dimsd, real_model=part.real_model)
        self._number = None if holders else alpha
        self._divides = divides

    @property
    def has_number(self) -> bool:
        """Whether the factor is a number, and not a tensor."""
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

    def _torch_dtype(self) -> torch.dtype:
        dtype = self.operators[0]._torch_dtype()
        return torch.result_type(torch.empty(1, dtype=dtype, device="cpu"), self.alpha)

    def _forward(self, x: Tensor) -> Tensor:
        return self._scaled(self.operators[0](x), False)

    def _adjoint(self, y: Tensor) -> Tensor:
        x = self.operators[0]._run(self._scaled(y, True), True)
        return x.real if self.real_model and x.is_complex() else x

    def expression(self) -> str:
        alpha = self.alpha
        shown = (
            f"{alpha.item():.4g}" if isinstance(alpha, Tensor) and alpha.numel() == 1 and not alpha.is_meta else alpha
        )
        return f"{shown} * {_bracketed(self.operators[0])}"


class SumOperator(CompositeOperator):
    """``A + B + ...``."""

    def __init__(self, operators: Sequence[LinearOperator]) -> None:
        if len({part.shape for part in operators}) > 1:
            shapes = " + ".join(f"{part.name_and_type} {part.shape}" for part in operators)
            raise ValueError(f"operators of different shapes cannot be added: {shapes}")
        dims = _most_axes([part.dims for part in operators])
        dimsd = _most_axes([part.dimsd for part in operators])
        super().__init__(operators, dims=dims, dimsd=dimsd, real_model=any(part.real_model for part in operators))

    def _forward(self, x: Tensor) -> Tensor:
        return self._sum(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._sum(y, True)

    def _sum(self, x: Tensor, adjoint: bool) -> Tensor:
        dims, out = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        terms = (
            reshaped(apply_reshaped(part, x, dims, adjoint), part.dims if adjoint else part.dimsd, out)
            for part in self.operators
        )
        return add_up(terms)

    @property
    def H(self) -> LinearOperator:
        return SumOperator([part.H for part in self.operators])

    def expression(self) -> str:
        return " + ".join(_bracketed(part, (SumOperator,)) for part in self.operators)


class ProductOperator(CompositeOperator):
    """``A @ B @ ...``: the last is applied first."""

    def __init__(self, operators: Sequence[LinearOperator]) -> None:
        for left, right in pairwise(operators):
            if left.shape[1] != right.shape[0]:
                chain = " @ ".join(f"{part.name_and_type} {part.shape}" for part in operators)
                raise ValueError(
                    f"{left.name_and_type} takes models of size {left.shape[1]} {left.dims}, but "
                    f"{right.name_and_type} gives data of size {right.shape[0]} {right.dimsd}, in {chain}"
                )
        first, last = operators[0], operators[-1]
        super().__init__(operators, dims=last.dims, dimsd=first.dimsd, real_model=last.real_model)

    def _forward(self, x: Tensor) -> Tensor:
        dims = self.dims
        for part in reversed(self.operators):
            x = apply_reshaped(part, x, dims)
            dims = part.dimsd
        return x

    def _adjoint(self, y: Tensor) -> Tensor:
        dims = self.dimsd
        for part in self.operators:
            y = apply_reshaped(part, y, dims, adjoint=True)
            dims = part.dims
        return y

    @property
    def H(self) -> LinearOperator:
        return ProductOperator([part.H for part in reversed(self.operators)])

    @property
    def T(self) -> LinearOperator:
        return ProductOperator([part.T for part in reversed(self.operators)])

    def expression(self) -> str:
        return " @ ".join(_bracketed(part, (ProductOperator, SumOperator, ScaledOperator)) for part in self.operators)


class PowerOperator(CompositeOperator):
    """``A ** n``: the operator applied ``n`` times."""

    def __init__(self, part: LinearOperator, n: int) -> None:
        super().__init__((part,), dims=part.dims, dimsd=part.dimsd, real_model=part.real_model)
        self.n = n

    def _forward(self, x: Tensor) -> Tensor:
        part = self.operators[0]
        for step in range(self.n):
            x = apply_reshaped(part, x, part.dimsd if step else part.dims)
        return x

    def _adjoint(self, y: Tensor) -> Tensor:
        part = self.operators[0]
        for step in range(self.n):
            y = apply_reshaped(part, y, part.dims if step else part.dimsd, adjoint=True)
        return y

    @property
    def H(self) -> LinearOperator:
        return PowerOperator(self.operators[0].H, self.n)

    def expression(self) -> str:
        return f"{_bracketed(self.operators[0])} ** {self.n}"


class IdentityOperator(LinearOperator):
    """The identity that ``A ** 0`` is."""

    def _forward(self, x: Tensor) -> Tensor:
        return x.clone()

    _adjoint = _forward

    def _is_identity(self) -> bool:
        return True


def added(*parts: LinearOperator) -> LinearOperator:
    """Return the sum of ``parts``, flat."""
    terms = [term for part in parts for term in (part.operators if isinstance(part, SumOperator) else (part,))]
    return SumOperator(terms)


def product(left: LinearOperator, right: LinearOperator) -> LinearOperator:
    """Return ``left @ right``, flat, with identities gone and numbers in front where that is exact.

    A tensor that scales a part stays with it, so that it is held, moved and stored once.
    """
    alphas = []
    if isinstance(left, ScaledOperator) and left.has_number:
        alphas.append(left.alpha)
        left = left.operators[0]
    if (
        isinstance(right, ScaledOperator)
        and right.has_number
        and (left.clinear or not isinstance(right.alpha, complex))
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
        kept = factors  # let the constructor explain
    result = kept[0] if len(kept) == 1 else ProductOperator(kept)
    if result.dims != right.dims or result.dimsd != left.dimsd:  # an identity also carried a shape
        result = ProductOperator(factors)
    for alpha in reversed(alphas):
        result = scaled(alpha, result)
    return result


def scaled(alpha: Any, part: LinearOperator) -> LinearOperator:
    """Return ``alpha * part``, merging scalars."""
    alpha = as_scalar(alpha, f"the factor of {part.name_and_type}")
    if not isinstance(part, ScaledOperator):
        return ScaledOperator(alpha, part)
    if isinstance(alpha, Tensor) or not part.has_number:
        return ScaledOperator(alpha, part)  # a product of tensors would not see a change of one of them
    merged = alpha * part.alpha
    return part.operators[0] if merged == 1 else ScaledOperator(merged, part.operators[0])


def divided(part: LinearOperator, alpha: Any) -> LinearOperator:
    """Return ``part / alpha``."""
    alpha = as_scalar(alpha, f"the divisor of {part.name_and_type}")
    return ScaledOperator(alpha, part, divides=True) if isinstance(alpha, Tensor) else scaled(1 / alpha, part)


def power(part: LinearOperator, n: int) -> LinearOperator:
    """Return ``part ** n`` for a square operator and a whole number ``n >= 0``."""
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(f"the power of an operator is a whole number, got {n!r}") from None
    if n < 0:
        raise ValueError(f"the power of an operator is 0 or more, got {n}")
    if part.shape[0] != part.shape[1]:
        raise ValueError(f"only a square operator has powers: {part.name_and_type} is {part.shape}")
    if n == 0:
        return IdentityOperator(part.dims, dtype=part._torch_dtype())
    return part if n == 1 else PowerOperator(part, n)


def conjugate(x: Tensor) -> Tensor:
    """Return ``conj(x)`` in memory of its own, without the lazy conjugate bit."""
    return torch.complex(x.real, -x.imag) if x.is_complex() else x


def add_up(terms: Iterable[Tensor]) -> Tensor:
    """Return the sum of ``terms``. Those of 16 bits are added in float32, and the sum is rounded once."""
    total, dtype = None, torch.float64
    for term in terms:
        if total is None:
            total, dtype = term, term.dtype
            if dtype in HALF_PRECISIONS:
                total = term.to(torch.complex64 if dtype.is_complex else torch.float32)
        else:
            dtype = torch.promote_types(dtype, term.dtype)
            total = total + term
    assert total is not None
    return total.to(dtype)


def _most_axes(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return next((shape for shape in shapes if len(shape) > 1), shapes[0])


def _real_part(x: Tensor) -> Tensor:
    return x.real.clone() if x.is_complex() else x


def _imag_part(y: Tensor) -> Tensor:
    return y.imag.clone() if y.is_complex() else zeros_from(y)


def _bracketed(part: LinearOperator, kinds: tuple[type, ...] | None = None) -> str:
    kinds = (SumOperator, ProductOperator, ScaledOperator, PowerOperator) if kinds is None else kinds
    return f"({part.expression()})" if isinstance(part, kinds) else part.expression()
