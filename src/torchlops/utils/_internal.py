"""Reading of arguments, for operators that were written for PyLops."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _value_or_sized_to_array(value_or_sized: Any, repeat: int = 1) -> NDArray[Any]:
    """Return a sequence as an array, or one value ``repeat`` times.

    >>> _value_or_sized_to_array(2, repeat=3)
    array([2, 2, 2])
    """
    return np.asarray(value_or_sized) if isinstance(value_or_sized, Sized) else np.full(repeat, value_or_sized)


def _value_or_sized_to_tuple(value_or_sized: Any, repeat: int = 1) -> tuple[Any, ...]:
    """Return a sequence as a tuple, or one value ``repeat`` times."""
    return tuple(_value_or_sized_to_array(value_or_sized, repeat))


def _raise_on_wrong_dtype(arr: NDArray[Any], dtype: Any, name: str) -> None:
    """Raise a TypeError if the array ``name`` is not of ``dtype``, such as ``np.integer``."""
    if not np.issubdtype(arr.dtype, dtype):
        raise TypeError(f"Wrong input type for `{name}`: it must be {dtype}, got {arr.dtype}")
