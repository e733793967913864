"""Sums of 16-bit numbers, taken in float32 and rounded once.

A running sum of bfloat16 numbers stagnates after 256 equal terms, since the next one is less than half a unit in
the last place of the sum. Matrix products and reductions of torch add in float32 for that reason; sums that an operator
makes term by term, over the taps of a filter or the samples of a curve, have to as well.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchlops.arrays import HALF_PRECISIONS, complex_dtype, promote, real_dtype
from torchlops.linearoperator import LinearOperator

WIDE = {torch.bfloat16: torch.float32, torch.float16: torch.float32, torch.complex32: torch.complex64}
"""The type in which numbers of a 16-bit type are added up."""


class AccumulatingOperator(LinearOperator):
    """An operator that adds up several terms for a sample of its result.

    In 16-bit precision it runs in float32, tensors of its own included, and its result is rounded once. Other
    precisions are left alone.
    """

    _adds_up = (True, True)
    """Whether the forward, and whether the adjoint, adds up terms."""

    def apply_nd(self, x: Tensor, adjoint: bool = False) -> Tensor:
        if x.dtype not in HALF_PRECISIONS or not self._adds_up[adjoint]:
            return super().apply_nd(x, adjoint)
        own = [tensor.dtype for tensor in self._own_tensors() if tensor.ndim]
        y = super().apply_nd(x.to(WIDE[x.dtype]), adjoint)
        return _rounded(y, real_dtype(promote([x.dtype, *own])))


def _rounded(y: Tensor, precision: torch.dtype) -> Tensor:
    """Return ``y`` in a real precision; complex numbers of bfloat16, which do not exist, stay in complex64."""
    if y.is_complex():
        return y if precision == torch.bfloat16 else y.to(complex_dtype(precision))
    return y.to(precision)
