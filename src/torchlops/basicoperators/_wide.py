"""Sums of 16-bit numbers, accumulated in float32 and rounded once.

A running sum of bfloat16 numbers stagnates after 256 equal terms, because the next term is less than half a unit in
the last place of the sum. For this reason, matrix products and reductions in torch accumulate in float32. Operators
that sum term by term, over the taps of a filter or the samples of a curve, must do the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchlops.arrays import HALF_PRECISIONS, complex_dtype, promote, real_dtype
from torchlops.linearoperator import LinearOperator

WIDE = {torch.bfloat16: torch.float32, torch.float16: torch.float32, torch.complex32: torch.complex64}
"""The dtype in which numbers of a 16-bit dtype are summed."""


class AccumulatingOperator(LinearOperator):
    """An operator that sums several terms for each sample of its result.

    In 16-bit precision the operator, including its own tensors, is evaluated in float32 and the result is rounded once.
    Other precisions are not affected.
    """

    _adds_up = (True, True)
    """Whether the forward, and whether the adjoint, sums several terms."""

    def apply_nd(self, x: Tensor, adjoint: bool = False) -> Tensor:
        if x.dtype not in HALF_PRECISIONS or not self._adds_up[adjoint]:
            return super().apply_nd(x, adjoint)
        own = [tensor.dtype for tensor in self._own_tensors() if tensor.ndim]
        y = super().apply_nd(x.to(WIDE[x.dtype]), adjoint)
        return _rounded(y, real_dtype(promote([x.dtype, *own])))


def _rounded(y: Tensor, precision: torch.dtype) -> Tensor:
    """Return ``y`` rounded to a real precision. Complex bfloat16 does not exist, so such results stay in complex64."""
    if y.is_complex():
        return y if precision == torch.bfloat16 else y.to(complex_dtype(precision))
    return y.to(precision)
