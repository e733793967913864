"""Options of the FFT engines of PyLops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENGINE_OPTIONS = frozenset(
    ("workers", "overwrite_x", "plan", "flags", "threads", "planning_timelimit", "normalise_idft", "ortho")
)


def accept_engine_options(operator: str, options: Mapping[str, Any]) -> None:
    """Accept the keywords of the SciPy, pyFFTW and MKL FFTs, which have no effect here, and reject all others.

    Raises:
        TypeError: If an option is unknown.
    """
    unknown = sorted(set(options) - ENGINE_OPTIONS)
    if unknown:
        raise TypeError(
            f"{operator} got an unexpected argument {unknown[0]!r}. Besides its own arguments it takes the options of "
            f"the FFT engines in PyLops, which have no effect: {', '.join(sorted(ENGINE_OPTIONS))}"
        )
