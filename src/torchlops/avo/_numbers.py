"""Numbers, arrays or tensors of a user as tensors of one precision, and results as the kind that the user gave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from torchlops.arrays import as_tensor, complex_dtype, promote, real_dtype, to_numpy


def as_tensors(owner: str, **values: Any) -> tuple[list[Tensor], Callable[[Tensor], Any]]:
    """Return ``values`` as tensors of one precision, and the function that gives a result back to the user.

    A result is a NumPy array if none of the values is a tensor. Plain numbers do not affect the dtype.

    >>> (theta, vsvp), back = as_tensors("f", theta=[0.0, 10.0], vsvp=0.5)
    >>> theta.dtype, vsvp.shape, type(back(theta)).__name__
    (torch.float64, torch.Size([]), 'ndarray')

    Raises:
        TypeError: If a value is not made of numbers.
    """
    tensors = [as_tensor(value, f"{owner}: {name}") for name, value in values.items()]
    kinds = zip(values.values(), tensors, strict=True)
    dtype = promote([tensor.dtype for value, tensor in kinds if not isinstance(value, int | float | complex)])
    of_user = [value for value in values.values() if isinstance(value, Tensor)]
    converted = []
    for tensor in tensors:
        wanted = complex_dtype(dtype) if tensor.is_complex() else real_dtype(dtype)
        converted.append(tensor.to(device=of_user[0].device if of_user else tensor.device, dtype=wanted))
    return converted, _as_it_is if of_user else to_numpy


def _as_it_is(x: Tensor) -> Tensor:
    return x
