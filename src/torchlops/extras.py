"""Packages that the library can do without, imported where they are used."""

from __future__ import annotations

import importlib
from typing import Any

EXTRAS = {
    "scipy": "scipy",
    "sympy": "describe",
    "pywt": "wavelets",
    "curvelets": "curvelets",
    "matplotlib": "plot",
    "tqdm": "progress",
}
"""The extra that brings a package, by the name under which it is imported."""


def import_extra(module: str, owner: str) -> Any:
    """Return a module of a package in ``EXTRAS``.

    Args:
        module: Name of the module.
        owner: Who needs it, for the error.

    Raises:
        ImportError: when it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{owner} needs the package {package}, which is not installed: pip install 'torchlops[{EXTRAS[package]}]'"
        ) from error
