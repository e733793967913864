"""Spreading along curves given by a table or a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import DType, as_tensor
from torchlops.basicoperators._curves import CurveOperator, Curves
from torchlops.basicoperators._positions import is_readable, register_positions
from torchlops.shapes import PER_SAMPLE, Dims, as_dims, as_engine
from torchlops.warning import warn


class Spread(CurveOperator):
    r"""Spread the samples of a model along curves.

    The curves are given by a table or by a function ``fh``, which is evaluated in every call of the operator and whose
    results are not stored.

    Forward:
        Every sample of the model is added to one sample of each data trace, or distributed over two:

        .. math::

            y[ix, i] \mathrel{+}= (1 - w) \, x[ix_0, it_0], \qquad y[ix, i + 1] \mathrel{+}= w \, x[ix_0, it_0]

        with the index :math:`i = \mathrm{table}[ix_0, it_0, ix]` and the weight
        :math:`w = \mathrm{dtable}[ix_0, it_0, ix]`, 0 without a ``dtable``. Entries outside the data are skipped, as
        are NaN entries.

    Adjoint:
        The data is stacked along the same curves:

        .. math:: (A^H y)[ix_0, it_0] = \sum_{ix} (1 - w) \, y[ix, i] + w \, y[ix, i + 1]

    Args:
        dims: Shape of the model, ``(nx0, nt0)``.
        dimsd: Shape of the data, ``(nx, nt)``.
        table: Indices ``(nx0, nt0, nx)`` into the data traces, integers or NaN.
        dtable: Weights ``(nx0, nt0, nx)``. A tensor carries gradients and affects the dtype of the result; an
            array does neither.
        fh: Instead of ``table``, a function of the integers ``ix0`` and ``it0`` that returns ``nx`` indices, or a pair
            of indices and weights: arrays or, for weights that carry gradients, tensors.
        interp: Whether samples are distributed over two. It is inferred from ``dtable`` or ``fh``; a different value
            is not used, with a warning.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Attributes:
        usetable: Whether the curves come from a table.
        interp: Whether samples are distributed over two.

    Raises:
        ValueError: If both or neither of ``table`` and ``fh`` are given, or a shape is wrong.
        TypeError: If indices are fractions.

    Example:
        >>> table = [[[0, 1], [1, 2], [2, 3]]]  # one model trace of 3 samples, two data traces of 3
        >>> S = Spread((1, 3), (2, 3), table=np.array(table))
        >>> S(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[1., 2., 3.],
                [0., 1., 2.]])
    """

    table: Tensor
    dtable: Tensor

    def __init__(
        self,
        dims: Dims,
        dimsd: Dims,
        table: Tensor | np.ndarray[Any, Any] | None = None,
        dtable: Tensor | np.ndarray[Any, Any] | None = None,
        fh: Callable[[int, int], Any] | None = None,
        interp: bool | None = None,
        engine: str = "numpy",
        dtype: DType = "float64",
        name: str = "S",
    ) -> None:
        self.engine = as_engine(engine)
        model, data = as_dims(dims), as_dims(dimsd, "dimsd")
        if len(model) != 2 or len(data) != 2:
            raise ValueError(f"Spread takes models and data with two axes, got dims={model} and dimsd={data}")
        if (table is None) == (fh is None):
            given = "neither" if fh is None else "both"
            raise ValueError(f"Spread takes either a table or a function fh, got {given}")
        if table is None and dtable is not None:
            raise ValueError("Spread takes a dtable only together with a table: return the weights from fh instead")
        shape = (*model, data[0])
        for what, array in (("table", table), ("dtable", dtable)):
            if array is not None and tuple(array.shape) != shape:
                raise ValueError(
                    f"Spread takes a {what} of shape (nx0, nt0, nx) = {shape}, got {tuple(array.shape)}. {PER_SAMPLE}"
                )
        is_pair = dtable is not None if fh is None else _is_pair(fh(0, 0))
        if interp is not None and bool(interp) != is_pair:
            warn(f"Spread: interp={is_pair} is inferred from the curves; interp={interp} is not used")
        is_constant = table is not None and not isinstance(dtable, Tensor)
        super().__init__((model[0], model[1]), (data[0], data[1]), is_pair, is_constant, dtype, name)
        self.usetable = table is not None
        self.fh = fh
        if table is not None:
            self.register_buffer("table", _as_indices(table), persistent=False)
        if dtable is not None:
            register_positions(self, "dtable", dtable)

    def _curves(self, start: int, count: int, device: torch.device) -> Curves:
        if self.fh is not None:
            return self._call_fh(self.fh, start, count, device)
        index = self.table.narrow(0, start, count)
        if not self.interp:
            return index, None
        weight = self.dtable.narrow(0, start, count)
        return index, torch.where(index >= 0, weight, 0)  # weights of skipped samples may be NaN

    def _call_fh(self, fh: Callable[[int, int], Any], start: int, count: int, device: torch.device) -> Curves:
        nt0 = self.dims[1]
        shape = (count, nt0, self.dimsd[0])
        found = [fh(ix0, it0) for ix0 in range(start, start + count) for it0 in range(nt0)]
        if not self.interp:
            return _as_indices(_stack(found)).reshape(shape).to(device), None
        index = _as_indices(_stack([pair[0] for pair in found])).reshape(shape).to(device)
        weight = _stack([pair[1] for pair in found]).reshape(shape).to(device)
        return index, torch.where(index >= 0, weight, 0)

    def _tables(self) -> tuple[Tensor, ...]:
        return (self.table, self.dtable) if self.interp else (self.table,)

    def extra_repr(self) -> str:
        return f"{'table' if self.usetable else 'fh'}, interp={self.interp}"


def _is_pair(found: Any) -> bool:
    return isinstance(found, tuple | list) and len(found) == 2 and np.ndim(found[0]) > 0


def _stack(found: list[Any]) -> Tensor:
    if isinstance(found[0], Tensor):
        return torch.stack(found)
    return torch.from_numpy(np.stack([np.asarray(values) for values in found]))


def _as_indices(table: Any) -> Tensor:
    """Return indices as int32, and -1 for those that are skipped: NaN and numbers out of the range of int32."""
    if isinstance(table, Tensor):
        numbers = table.detach()
    elif torch.compiler.is_compiling():  # which cannot follow the checks of as_tensor
        numbers = torch.from_numpy(np.array(table))
    else:
        numbers = as_tensor(table, "Spread: indices")
    inside = (numbers >= 0) & (numbers < 2**31 - 1)
    if numbers.is_floating_point() and is_readable(numbers) and bool((inside & (numbers != numbers.floor())).any()):
        raise TypeError("Spread takes integers or NaN as indices, got fractions: pass those as weights (dtable)")
    return torch.where(inside, numbers, -1).to(torch.int32)
