"""Operators whose data samples are weighted sums of few model samples: rays through an image, points on a grid.

Subclasses say which samples, with which weights, for a range of rows; everything else is here: a gather with its
scatter_add as the adjoint, which carry derivatives in every mode, also to what the weights come from; and products with
a sparse matrix on the CPU, where it fits in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from torchlops.arrays import DType, real_dtype
from torchlops.basicoperators._positions import in_result_dtype
from torchlops.basicoperators._sparse import FAST_DTYPES, SparseProducts, compressed_matrix, sparse_bytes
from torchlops.basicoperators._wide import AccumulatingOperator

CHUNK = 1 << 20
"""Number of taps that a kernel computes at a time."""


@dataclass(frozen=True)
class Plan:
    """How an operator computes its products.

    Attributes:
        kernel: What it uses on the CPU: a ``"sparse matrix"``, perhaps of some rows from which the others follow, or
            ``"gather"``, which keeps no table.
        nbytes: Memory in bytes of the tables, in the dtype of the operator, for the forward and the adjoint together,
            at most.
        build_time: Seconds that it took to build the tables that are there; None before the first product.
    """

    kernel: str
    nbytes: int
    build_time: float | None


class TapOperator(AccumulatingOperator):
    r"""Sums :math:`y_m = \sum_k w_{mk} x_{i_{mk}}`, and the adjoint :math:`x_n = \sum_{m, k: i_{mk} = n} w_{mk} y_m`.

    Args:
        dims: Shape of the model.
        dimsd: Shape of the data.
        taps: Number of taps of a data sample.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
        grid: Shape of what the taps are of, where a subclass transforms the model before; ``dims`` by default.
        real_model: Whether the operator takes only real models.
    """

    _is_fast_anywhere = _is_fast_without_autocast = True
    _form = "sparse matrix"  # what the plan calls it

    def __init__(
        self,
        dims: tuple[int, ...],
        dimsd: tuple[int, ...],
        taps: int,
        dtype: DType,
        name: str | None,
        grid: tuple[int, ...] | None = None,
        real_model: bool = False,
    ) -> None:
        super().__init__(dims, dimsd, dtype=dtype, clinear=not real_model, real_model=real_model, name=name)
        self._grid = self.dims if grid is None else grid
        self._products = SparseProducts()
        self._set_taps(taps)

    def _set_taps(self, taps: int) -> None:
        """Set the number of taps of a data sample."""
        self._width = taps
        self._work = max(1, math.prod(self.dimsd) * taps // math.prod(self.dims))

    @property
    def plan(self) -> Plan:
        """How products with one model are computed on the CPU, in the dtype of the operator."""
        like = torch.empty(0, dtype=self._torch_dtype(), device="cpu")
        if not self._keeps_matrix(like):
            return Plan("gather", 0, None)
        return Plan(self._form, 2 * sparse_bytes(like, self._entries(like)), self._products.build_time)

    def _entries(self, x: Tensor) -> int:  # noqa: ARG002
        """Return the number of entries of the matrix for products with ``x``, at most."""
        return self.shape[0] * self._width

    def _taps(self, start: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the taps of ``count`` data samples, beginning with ``start``, as tensors ``(count, taps)``.

        They are indices into the flattened model, all inside of it, and weights, zero where there is no sample.
        """
        raise NotImplementedError

    def _chunks(self) -> Iterator[tuple[int, int]]:
        rows, most = math.prod(self.dimsd), self._rows_at_once()
        return ((start, min(most, rows - start)) for start in range(0, rows, most))

    def _rows_at_once(self) -> int:
        return max(1, CHUNK // self._width)

    # -- differentiable ----------------------------------------------------------------------------------------------

    def _forward(self, x: Tensor) -> Tensor:
        return self._gathered(in_result_dtype(self, x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._scattered(in_result_dtype(self, y))

    def _scattered(self, y: Tensor) -> Tensor:
        batch = y.shape[: y.ndim - len(self.dimsd)]
        x, flat = y.new_zeros((*batch, math.prod(self._grid))), y.reshape((*batch, self.shape[0]))
        for start, count in self._chunks():
            index, shares = self._shares(flat, start, count)
            x = x.scatter_add(-1, index, shares)
        return x.reshape((*batch, *self._grid))

    def _gathered(self, x: Tensor) -> Tensor:
        batch = x.shape[: x.ndim - len(self._grid)]
        flat, parts = x.reshape((*batch, math.prod(self._grid))), []
        for start, count in self._chunks():
            index, weight = self._taps(start, count, x.device)
            taken = flat.gather(-1, index.reshape(-1).expand((*batch, index.numel())))
            weighted = taken.reshape((*batch, *index.shape)) * weight.to(real_dtype(x.dtype))
            parts.append(weighted.sum(-1))
        y = torch.cat(parts, -1) * 1.0  # torch 2.13 fails to compile jacfwd of a view of what was summed or joined
        return y.reshape((*batch, *self.dimsd))

    def _shares(self, flat: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Return the model samples that data samples are added to, and what is added to each, ``(*batch, ...)``."""
        batch = flat.shape[:-1]
        index, weight = self._taps(start, count, flat.device)
        shares = flat.narrow(-1, start, count).unsqueeze(-1) * weight.to(real_dtype(flat.dtype))
        size = index.numel()
        return index.reshape(-1).expand((*batch, size)), shares.reshape((*batch, size))

    # -- without derivatives -----------------------------------------------------------------------------------------

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return x.dtype in FAST_DTYPES

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._multiply(in_result_dtype(self, x), False)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._multiply(in_result_dtype(self, y), True)

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:
        given, wanted = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        batch = x.shape[: x.ndim - len(given)]
        flat = x.reshape((*batch, math.prod(given)))
        if self._keeps_matrix(flat):
            y = self._products.multiply(flat, adjoint, self._held_tensors(), self._make_matrix)
        else:
            with torch.no_grad():  # real, since a product of complex and real numbers makes the latter complex
                parts = torch.view_as_real(flat.resolve_conj()).movedim(-1, 0) if x.is_complex() else flat
                y = self._scattered_fast(parts) if adjoint else self._gathered_fast(parts)
                if x.is_complex():
                    y = torch.complex(y[0], y[1])
        return y.reshape((*batch, *wanted))

    def _keeps_matrix(self, x: Tensor) -> bool:
        sources = self._held_tensors()
        if not x.is_cpu or any(source.requires_grad for source in sources):
            return False
        return SparseProducts.suit(x, sources, self._entries(x))

    def _gathered_fast(self, flat: Tensor) -> Tensor:
        """Return the data of real models ``(*batch, samples)``, without derivatives."""
        return self._gathered(flat.reshape((*flat.shape[:-1], *self._grid)))

    def _scattered_fast(self, flat: Tensor) -> Tensor:
        """Return the models of real data ``(*batch, samples)``, without derivatives."""
        x = flat.new_zeros((*flat.shape[:-1], math.prod(self._grid)))
        for start, count in self._chunks():
            x.scatter_add_(-1, *self._shares(flat, start, count))
        return x

    def _make_matrix(self, x: Tensor, adjoint: bool) -> Tensor:
        parts = (self._taps(start, count, x.device) for start, count in self._chunks())
        return matrix_of(parts, self.shape, real_dtype(x.dtype), adjoint)


def matrix_of(
    parts: Iterable[tuple[Tensor, Tensor]], shape: tuple[int, int], dtype: torch.dtype, adjoint: bool
) -> Tensor:
    """Return a sparse matrix, or its transpose, without the weights that are zero.

    Args:
        parts: The taps of some rows after each other, as ``_taps`` returns them.
        shape: Shape of the matrix.
        dtype: Its dtype.
        adjoint: Whether to return the transpose.
    """
    counts, columns, values = [], [], []
    for index, weight in parts:
        value = weight.to(dtype).reshape(-1)
        kept = value.nonzero().reshape(-1)
        counts.append(torch.count_nonzero(value.reshape(weight.shape), -1))
        columns.append(index.to(torch.int32).reshape(-1).index_select(0, kept))
        values.append(value.index_select(0, kept))
        del index, weight, value, kept
    count, column, entry = torch.cat(counts), joined(columns), joined(values)
    if not adjoint:
        return compressed_matrix(_starts(count), column, entry, shape)
    ends = torch.bincount(column, minlength=shape[1])
    order = column.sort(stable=True)[1]  # less than half of the time of argsort
    del column
    row = torch.arange(shape[0], dtype=torch.int32, device=count.device).repeat_interleave(count)
    row = row.index_select(0, order)
    return compressed_matrix(_starts(ends), row, entry.index_select(0, order), (shape[1], shape[0]))


def joined(parts: list[Tensor]) -> Tensor:
    """Return vectors after each other, and free each of them."""
    whole, end = parts[0].new_empty(sum(map(len, parts))), 0
    parts.reverse()
    while parts:
        part = parts.pop()
        whole[end : end + len(part)] = part
        end += len(part)
    return whole


def _starts(counts: Tensor) -> Tensor:
    """Return where each row begins, and the last one ends."""
    starts = torch.zeros(len(counts) + 1, dtype=torch.int32, device=counts.device)
    torch.cumsum(counts, 0, out=starts[1:])
    return starts
