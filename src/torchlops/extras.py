"""Optional packages, imported where they are used."""

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
    "jax": "jax",
    "pytensor": "pytensor",
    "deepinv": "deepinv",
    "linear_operator": "gpytorch",
    "skfmm": "eikonal",
    "segyio": "segy",
    "deepwave": "deepwave",
    "finufft": "finufft",
}
"""The extra that installs each package, by import name."""


def import_extra(module: str, owner: str) -> Any:
    """Return a module of a package in ``EXTRAS``.

    Args:
        module: Name of the module.
        owner: Name of the function or class that needs it, for the error message.

    Raises:
        ImportError: If the package is not installed, or broken. The message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        missing = isinstance(error, ModuleNotFoundError) and error.name in (package, module)
        what = "which is not installed" if missing else f"whose import fails ({error})"
        raise ImportError(f"{owner} requires {package}, {what}: pip install 'torchlops[{EXTRAS[package]}]'") from error
