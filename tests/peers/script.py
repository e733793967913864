"""Run a script of PyLops's gallery, on PyLops or on torchlops, and keep its numeric variables.

``python -m tests.peers.script pylops|torchlops SCRIPT RESULT.npz``
"""

from __future__ import annotations

import importlib
import runpy
import sys
import time
import warnings
from typing import Any

import numpy as np


def numbers(value: Any) -> Any:
    """Return a value as a numeric array, or None if it holds anything else."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().resolve_conj().numpy()
    if isinstance(value, bool | int | float | complex | np.number | np.ndarray):
        array = np.asarray(value)
        return array if array.dtype.kind in "biufc" else None
    return None


def variables(namespace: dict[str, Any]) -> dict[str, Any]:
    """Return the numeric variables of a script, those in tuples, lists and dictionaries by their place."""
    found: dict[str, Any] = {}
    for name, value in namespace.items():
        if not name.startswith("_"):
            _collect(name, value, found)
    return found


def _collect(name: str, value: Any, found: dict[str, Any]) -> None:
    array = numbers(value)
    if array is not None:
        found[name] = array
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _collect(f"{name}[{index}]", item, found)
    elif isinstance(value, dict):
        for key, item in value.items():
            _collect(f"{name}[{key!r}]", item, found)


def main() -> None:
    """Run the script that the command line names."""
    package, script, result = sys.argv[1:]
    warnings.simplefilter("ignore")
    import matplotlib.pyplot as plt

    if package == "torchlops":
        import torchlops.compat.pylops

        torchlops.compat.pylops.install()
    importlib.import_module("pylops")  # now, so that its time is not that of the script
    np.random.seed(0)
    plt.show = lambda *_, **__: plt.close("all")
    sys.argv = [script]
    start = time.perf_counter()
    namespace = runpy.run_path(script, run_name="__main__")
    seconds = time.perf_counter() - start
    plt.close("all")
    np.savez(result, **variables(namespace), **{"seconds of the script": seconds})


if __name__ == "__main__":
    main()
