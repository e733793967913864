"""Comparisons and error messages of the checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator

TOLERANCE = {torch.float64: 1e-13, torch.float32: 1e-5, torch.float16: 2e-2, torch.bfloat16: 1e-1}
DERIVATIVE_TOLERANCE = 1e-10


def agree(
    A: LinearOperator,
    what: str,
    got: Tensor,
    want: Tensor,
    scale: float,
    hint: str = "",
    tolerance: float = TOLERANCE[torch.float64],
) -> None:
    """Raise unless ``got`` has the shape of ``want`` and is within ``tolerance * scale`` of it."""
    if got.shape != want.shape:
        raise AssertionError(f"{A.name_and_type}: {what}: got shape {tuple(got.shape)}, expected {tuple(want.shape)}")
    if not got.numel():
        return
    wide = torch.complex128
    error = float((got.detach().to(wide) - want.detach().to(wide)).abs().max())
    allowed = tolerance * scale
    if not error <= allowed:  # NaN must fail
        raise AssertionError(f"{A.name_and_type}: {what}: off by {error:.2g}, allowed {allowed:.2g}. {hint}".rstrip())


def require(A: LinearOperator, what: str, holds: bool, message: str) -> None:
    """Raise an ``AssertionError`` with ``message`` unless ``holds`` is true."""
    if not holds:
        raise AssertionError(f"{A.name_and_type}: {what}: {message}")


def require_refusal(
    A: LinearOperator, kind: type[Exception], call: Callable[[], Any], parts: Sequence[str], what: str
) -> None:
    """Raise unless ``call`` raises ``kind`` with all ``parts`` in its message."""
    try:
        call()
    except Exception as error:
        missing = [part for part in parts if part not in str(error)]
        if isinstance(error, kind) and not missing:
            return
        raise AssertionError(
            f"{A.name_and_type}: shapes: {what} raises {type(error).__name__}: {error}; "
            f"expected a {kind.__name__} that says {', '.join(parts)}"
        ) from error
    raise AssertionError(f"{A.name_and_type}: shapes: {what} raises nothing, expected a {kind.__name__}")


@contextmanager
def blaming(A: LinearOperator, what: str) -> Iterator[None]:
    """Convert an error of torch or of the operator to an ``AssertionError`` that says where it occurred."""
    try:
        yield
    except AssertionError as error:
        if str(error).startswith(A.name_and_type):
            raise
        raise AssertionError(f"{A.name_and_type}: {what}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{A.name_and_type}: {what}: raised {type(error).__name__}: {error}") from error
