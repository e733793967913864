"""Spreading samples along curves, and stacking samples along them.

A model sample ``(ix0, it0)`` is added to one sample ``i`` of every data trace ``ix``, or distributed over two samples,
``i`` and ``i + 1``, with weights ``1 - w`` and ``w``. The kernels take the curves as an index ``i`` (negative where a
curve leaves the data) and a weight ``w`` for each ``(ix0, it0, ix)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from torchlops.arrays import DType, real_dtype
from torchlops.basicoperators._positions import in_result_dtype, weight_dtype
from torchlops.basicoperators._sparse import SparseProducts, sparse_matrix
from torchlops.basicoperators._wide import AccumulatingOperator

CHUNK = 1 << 20
"""Number of curve entries ``(ix0, it0, ix)`` that a kernel processes at a time."""

Curves: TypeAlias = "tuple[Tensor, Tensor | None]"
"""Target samples of some model traces, as tensors ``(count, nt0, nx)``: the index of the first sample in each data
trace, negative where there is none, and the weight of the next sample, or None for curves without interpolation."""


class CurveOperator(AccumulatingOperator):
    r"""Spreading along curves, with stacking along them as the adjoint. Subclasses define the curves.

    Args:
        dims: Shape of the model, ``(nx0, nt0)``.
        dimsd: Shape of the data, ``(nx, nt)``.
        interp: Whether each sample is distributed over two data samples.
        is_constant: Whether the curves never change, so that they can be stored as a sparse matrix.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
    """

    _is_fast_without_autocast = True

    def __init__(
        self,
        dims: tuple[int, int],
        dimsd: tuple[int, int],
        interp: bool,
        is_constant: bool,
        dtype: DType,
        name: str | None,
    ) -> None:
        super().__init__(dims, dimsd, dtype=dtype, name=name)
        self.interp = interp
        self._is_constant = is_constant
        self._products = SparseProducts()
        self._work = self.dimsd[0]  # each model sample is added to every data trace

    def _curves(self, start: int, count: int, device: torch.device) -> Curves:
        """Return the curves of ``count`` model traces, beginning with ``start``."""
        raise NotImplementedError

    def _chunks(self) -> Iterator[tuple[int, int]]:
        rows = max(1, CHUNK // (self.dims[1] * self.dimsd[0]))
        return ((start, min(rows, self.dims[0] - start)) for start in range(0, self.dims[0], rows))

    def _taps(self, start: int, count: int, x: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield the flat data index and the weight of the one or two samples that each model sample is added to.

        Skipped samples get the index after the last one, where the kernels have a scratch sample that is discarded.
        """
        nx, nt = self.dimsd
        index, weight = self._curves(start, count, x.device)
        index = index.to(torch.int64)
        trace = torch.arange(nx, device=x.device) * nt
        if weight is None:
            yield torch.where((index >= 0) & (index < nt), index + trace, nx * nt), None
            return
        weight = weight.to(weight_dtype(self, x))
        for shift, share in ((0, 1 - weight), (1, weight)):
            inside = (index >= 0) & (index < nt - shift)
            yield torch.where(inside, index + trace + shift, nx * nt), share

    def _forward(self, x: Tensor) -> Tensor:
        x = in_result_dtype(self, x)
        nx, nt = self.dimsd
        batch = x.shape[:-2]
        y = x.new_zeros((*batch, nx * nt + 1))
        for start, count in self._chunks():
            samples = x.narrow(-2, start, count).unsqueeze(-1)
            size = count * self.dims[1] * nx
            for index, weight in self._taps(start, count, x):
                shares = samples.expand((*batch, *index.shape)) if weight is None else samples * weight
                y = y.scatter_add(-1, index.reshape(size).expand((*batch, size)), shares.reshape((*batch, size)))
        return y.narrow(-1, 0, nx * nt).reshape((*batch, nx, nt))

    def _adjoint(self, y: Tensor) -> Tensor:
        y = in_result_dtype(self, y)
        nx, nt = self.dimsd
        batch = y.shape[:-2]
        flat = torch.cat((y.reshape((*batch, nx * nt)), y.new_zeros((*batch, 1))), -1)
        parts = []
        for start, count in self._chunks():
            size = count * self.dims[1] * nx
            part = None
            for index, weight in self._taps(start, count, y):
                taken = flat.gather(-1, index.reshape(size).expand((*batch, size))).reshape((*batch, *index.shape))
                stacked = (taken if weight is None else taken * weight).sum(-1)
                part = stacked if part is None else part + stacked
            assert part is not None
            parts.append(part)
        return torch.cat(parts, -2)

    # -- products with a sparse matrix, several times faster on a CPU --------------------------------------------

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        entries = self.dims[0] * self.dims[1] * self.dimsd[0] * (2 if self.interp else 1)
        return self._is_constant and SparseProducts.suit(x, self._tables(), entries)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._multiply(x, False)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._multiply(y, True)

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:
        batch = x.shape[:-2]
        flat = x.reshape((*batch, x.shape[-2] * x.shape[-1]))
        y = self._products.multiply(flat, adjoint, self._tables(), self._make_matrix)
        return y.reshape((*batch, *(self.dims if adjoint else self.dimsd)))

    def _tables(self) -> tuple[Tensor, ...]:
        """Return the tensors from which the curves of a constant operator are derived."""
        raise NotImplementedError

    def _make_matrix(self, x: Tensor, adjoint: bool) -> Tensor:
        nt0, (nx, nt) = self.dims[1], self.dimsd
        found: list[list[Tensor]] = [[], [], []]
        for start, count in self._chunks():
            taps = list(self._taps(start, count, x))
            columns = torch.stack([index for index, _ in taps], -1).flatten()
            inside = (columns < nx * nt).nonzero().squeeze(1)
            found[0].append((start * nt0 + inside // (nx * len(taps))).to(torch.int32))
            found[1].append(columns[inside].to(torch.int32))
            if self.interp:
                found[2].append(torch.stack([weight for _, weight in taps if weight is not None], -1).flatten()[inside])
        samples, columns = (torch.cat(part) for part in found[:2])
        values = torch.cat(found[2]) if self.interp else samples.new_ones(samples.shape, dtype=real_dtype(x.dtype))
        if adjoint:
            return sparse_matrix(samples, columns, values, (self.shape[1], self.shape[0]))
        order = torch.argsort(columns, stable=True)
        return sparse_matrix(columns[order], samples[order], values[order], self.shape)
