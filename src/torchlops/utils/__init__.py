"""Helpers around operators: tests, wavelets, tapers, metrics; and names that code written for PyLops expects here."""

from typing import Any

from torchlops.memory import reuse_memory
from torchlops.utils import (
    _internal,  # noqa: F401
    backend,
    decorators,
    deps,
    metrics,
    multiproc,
    seismicevents,
    tapers,
    typing,
    utils,
    wavelets,
)
from torchlops.utils.backend import *  # noqa: F403
from torchlops.utils.dottest import dottest
from torchlops.utils.metrics import mae, mse, psnr, snr
from torchlops.utils.multiproc import scalability_test
from torchlops.utils.typing import *  # noqa: F403
from torchlops.utils.utils import Report

__all__ = [
    "Report",
    "backend",
    "decorators",
    "deps",
    "dottest",
    "mae",
    "metrics",
    "mse",
    "multiproc",
    "psnr",
    "reuse_memory",
    "scalability_test",
    "seismicevents",
    "snr",
    "tapers",
    "typing",
    "utils",
    "wavelets",
]
__all__ += backend.__all__ + typing.__all__


def __getattr__(name: str) -> Any:
    if name.endswith("_enabled"):
        return getattr(deps, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
