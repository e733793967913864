"""The data type of a result, for frameworks that must know it before they compute."""

from __future__ import annotations

import torch

from torchlops.linearoperator import LinearOperator


def dtype_of_result(operator: LinearOperator, dtype: str, adjoint: bool = False) -> str:
    """Return the name of the data type of ``A x`` or ``A^H x`` for ``x`` of ``dtype``, as an empty batch gives it.

    Args:
        operator: The operator.
        dtype: Name of a data type.
        adjoint: Whether the adjoint is applied.

    Raises:
        TypeError: If ``dtype`` is not a floating-point or complex type, or the result has none outside of torch.

    Example:
        >>> import torchlops
        >>> dtype_of_result(torchlops.signalprocessing.FFT(8), "float32")
        'complex64'
    """
    given = getattr(torch, dtype, None)
    if not isinstance(given, torch.dtype) or not (given.is_floating_point or given.is_complex):
        raise TypeError(
            f"{operator.name_and_type} takes floating-point or complex arrays, got {dtype}: "
            "cast it first, for example with x.astype('float64')"
        )
    dims = operator.dimsd if adjoint else operator.dims
    with torch.no_grad():
        batch = torch.empty((0, *dims), dtype=given, device=operator._device())
        result = operator.apply_nd(batch, adjoint).dtype
    if result == torch.complex32:
        raise TypeError(
            f"{operator.name_and_type} gives complex32 for {dtype}, which only torch has: cast its input to float32"
        )
    return str(result).removeprefix("torch.")
