"""Warnings that point to the code of the user."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch

LIBRARIES = tuple(f"{Path(file).parent}{Path('/')}" for file in (__file__, torch.__file__))
"""The folders of torchlops and of torch, which calls it for derivatives."""


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called the library, directly or through torch, however deep the cause lies."""
    if torch.compiler.is_compiling():  # no frames to look at
        warnings.warn(message, category, stacklevel=2)
        return
    frame = sys._getframe(1)
    while frame.f_code.co_filename.startswith(LIBRARIES) and frame.f_back is not None:
        frame = frame.f_back
    names = frame.f_globals
    warnings.warn_explicit(
        message,
        category,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=names.get("__name__"),
        registry=names.setdefault("__warningregistry__", {}),
    )
