"""Products with sparse matrices, the fastest form of an irregular gather or scatter on the CPU.

They are for fast kernels only: torch differentiates such products in reverse mode only, and sparse tensors work
neither with ``vmap`` nor with ``torch.compile`` nor with ``deepcopy``.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from torchlops.arrays import real_dtype
from torchlops.config import get_sparse_limit

FAST_DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
"""Data types that MKL supports."""

T = TypeVar("T")

HAS_MKL: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
"""Whether torch was built with MKL."""


class SparseProducts:
    """The sparse matrices of an operator and of its adjoint, for its fast kernels.

    Each is at most as large as :func:`~torchlops.config.get_sparse_limit` says. It is cached for as long as the dtype
    and the tensors from which it is derived, with their values, are unchanged. Copies and pickles start with an empty
    cache. Threads that share an operator may build a matrix twice.
    """

    def __init__(self) -> None:
        self._kept: dict[bool, tuple[tuple[Tensor, ...], tuple[Any, ...], Any]] = {}
        self._seconds: dict[bool, float] = {}

    def __reduce__(self) -> tuple[type[SparseProducts], tuple[()]]:
        return SparseProducts, ()

    @property
    def build_time(self) -> float | None:
        """Seconds that it took to build the matrices that are kept; None if there is none."""
        return sum(self._seconds.values()) if self._seconds else None

    @staticmethod
    def suit(x: Tensor, sources: Sequence[Tensor], entries: int) -> bool:
        """Return whether a product with a sparse matrix of ``entries`` entries is possible and safe.

        Autocast must be off, since it would change the dtype of one factor: an operator that uses this sets
        ``_is_fast_without_autocast``. Torch does not track changes of inference tensors.
        """
        return (
            HAS_MKL
            and x.dtype in FAST_DTYPES
            and sparse_bytes(x, entries) <= get_sparse_limit()
            and entries < 2**31
            and not any(source.is_inference() for source in sources)
        )

    def kept(self, x: Tensor, adjoint: bool, sources: tuple[Tensor, ...], make: Callable[[Tensor, bool], T]) -> T:
        """Return what ``make`` returns for products with ``x``, the matrix or more, built if it is not there.

        Args:
            x: What is multiplied, of which the precision matters.
            adjoint: Whether to return the matrix of the adjoint.
            sources: The tensors from which the matrix is derived.
            make: Function that builds the matrix, given ``x`` and ``adjoint``.
        """
        key = (real_dtype(x.dtype), *((source._version, source.data_ptr()) for source in sources))
        kept = self._kept.get(adjoint)
        if kept is None or kept[1] != key or any(a is not b for a, b in zip(sources, kept[0], strict=True)):
            began = time.perf_counter()
            with torch.inference_mode(False), torch.no_grad():
                kept = self._kept[adjoint] = sources, key, make(x, adjoint)
            self._seconds[adjoint] = time.perf_counter() - began
        made: T = kept[2]
        return made

    def multiply(
        self, x: Tensor, adjoint: bool, sources: tuple[Tensor, ...], make: Callable[[Tensor, bool], Tensor]
    ) -> Tensor:
        """Return the products ``(*batch, rows)`` of the matrix with the vectors of ``x``, ``(*batch, columns)``.

        The arguments are those of :meth:`kept`.
        """
        batch, matrix = x.shape[:-1], self.kept(x, adjoint, sources, make)
        return multiply(matrix, x.reshape(math.prod(batch), x.shape[-1])).reshape((*batch, matrix.shape[0]))


def sparse_bytes(x: Tensor, entries: int) -> int:
    """Return the size in bytes of a sparse matrix with ``entries`` entries, in the precision of ``x``."""
    return entries * (4 + x.element_size() // (1 + x.is_complex()))


def sparse_matrix(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the sparse matrix with the given real entries and 32-bit indices; ``rows`` must be sorted."""
    ends = torch.bincount(rows, minlength=shape[0]).cumsum(0)
    starts = torch.cat((ends.new_zeros(1), ends)).to(torch.int32)
    return compressed_matrix(starts, columns.to(torch.int32), values, shape)


def compressed_matrix(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the sparse matrix with the given entries, row by row, and 32-bit indices of the first of each row."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that sparse CSR tensors are in beta
        return torch.sparse_csr_tensor(starts, columns, values, shape, device=values.device, check_invariants=False)


def multiply(matrix: Tensor, x: Tensor) -> Tensor:
    """Return the products ``(items, rows)`` of a real sparse matrix with the rows of ``x``, ``(items, columns)``."""
    items, (rows, columns) = x.shape[0], matrix.shape
    parts = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x.unsqueeze(-1)
    width = items * parts.shape[-1]
    if width == 1:
        y = torch.mv(matrix, parts.reshape(columns)).reshape(1, rows, 1)
    else:
        y = torch.mm(matrix, parts.transpose(0, 1).reshape(columns, width))
        y = y.reshape(rows, items, parts.shape[-1]).transpose(0, 1).contiguous()
    return torch.view_as_complex(y) if x.is_complex() else y.squeeze(-1)
