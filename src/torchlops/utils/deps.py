"""Which optional packages are there: ``numba_enabled``, and ``numba_import("this function")``, and so on.

For code that is written for PyLops. ``X_enabled`` says whether package ``X`` is installed. The environment variables
``CUPY_PYLOPS=0`` and ``JAX_PYLOPS=0`` turn it off. ``X_import`` imports it, and returns None or the reason why that is
impossible. Nothing is looked up or imported before it is asked for.

>>> from torchlops.utils import deps
>>> deps.torch_enabled, deps.torch_import("this function") is None
(True, True)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module, util
from typing import TYPE_CHECKING

PACKAGES = {
    "astra": "astra-toolbox",
    "cupy": "cupy-cuda12x",
    "curvelets": "curvelets",
    "devito": "devito",
    "dtcwt": "dtcwt",
    "jax": "jax",
    "mkl_fft": "mkl_fft",
    "numba": "numba",
    "pyfftw": "pyFFTW",
    "pytensor": "pytensor",
    "pywt": "PyWavelets",
    "skfmm": "scikit-fmm",
    "spgl1": "spgl1",
    "sympy": "sympy",
    "torch": "torch",
}
"""The packages, and what installs them."""

_IMPORT_NAMES = {**{f"{package}_import": package for package in PACKAGES}, "udct_import": "curvelets"}

if not TYPE_CHECKING:  # the names are found by __getattr__
    __all__ = [f"{package}_enabled" for package in PACKAGES]


def is_enabled(package: str) -> bool:
    """Whether a package is installed, and not turned off."""
    return os.environ.get(f"{package.upper()}_PYLOPS", "1") != "0" and util.find_spec(package) is not None


def import_message(package: str, message: str | None = None) -> str | None:
    """Import a package; return None or, if that is impossible, why and what to do.

    Args:
        package: Its import name.
        message: What needs it.
    """
    if not is_enabled(package):
        return (
            f"{message} requires {package}, which is not installed or turned off: pip install {PACKAGES[package]}, and "
            f"do not set {package.upper()}_PYLOPS=0"
        )
    try:
        import_module(package)
    except Exception as error:
        return f"{message} requires {package}, whose import fails: {error}"
    return None


def __getattr__(name: str) -> bool | Callable[[str | None], str | None]:
    package, _, what = name.rpartition("_")
    if what == "enabled" and package in PACKAGES:
        return is_enabled(package)
    if name in _IMPORT_NAMES:
        return partial(import_message, _IMPORT_NAMES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
