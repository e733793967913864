"""Options of the FFT engines of PyLops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENGINE_OPTIONS = frozenset(
    ("workers", "overwrite_x", "plan", "flags", "threads", "planning_timelimit", "normalise_idft", "ortho")
)


def accept_engine_options(operator: str, options: Mapping[str, Any]) -> None:
    """Accept keywords of SciPy's, pyFFTW's and MKL's FFTs, which have no effect here, and refuse others.

    Raises:
        TypeError: when an option is none of theirs.
    """
    unknown = sorted(set(options) - ENGINE_OPTIONS)
    if unknown:
        raise TypeError(
            f"{operator} got the unexpected argument {unknown[0]!r}; beside its own it takes the options of PyLops's "
            f"FFT engines, which have no effect: {', '.join(sorted(ENGINE_OPTIONS))}"
        )
