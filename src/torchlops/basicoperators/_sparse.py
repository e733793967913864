"""Products with sparse matrices on the CPU: the fastest form of an irregular gather or scatter there.

They are for fast kernels alone. torch differentiates such products in no mode but the reverse one, and neither maps,
compiles nor copies them.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

SPARSE_BYTES = 1 << 28
"""Most memory that a sparse matrix made for a fast kernel may take."""

FAST_DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
"""Types that MKL multiplies."""

HAS_MKL: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
"""Whether torch was built with MKL."""


def sparse_matrix(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the matrix of some real entries, of which ``rows`` are sorted, with indices of 32 bits."""
    ends = torch.bincount(rows, minlength=shape[0]).cumsum(0)
    starts = torch.cat((ends.new_zeros(1), ends)).to(torch.int32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this layout of torch is in beta
        return torch.sparse_csr_tensor(starts, columns.to(torch.int32), values, shape, check_invariants=False)


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
