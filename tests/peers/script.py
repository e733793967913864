"""Run a script of PyLops's gallery, on PyLops or on torchlops, and keep its numeric variables.

``python -m tests.peers.script pylops|torchlops SCRIPT RESULT.npz``
"""

from __future__ import annotations

import gc
import importlib
import json
import runpy
import sys
import time
import traceback
import warnings
from typing import Any

import numpy as np

REPORT = "report of the run"
"""The name, in the result, of what is no variable: the error, the times, the types and shapes of the variables."""

MOST = 1 << 19
"""Of larger arrays, only so many elements are kept, at regular distances."""

MODULES = ("pylops", "pywt", "scipy.fft", "scipy.interpolate", "scipy.signal", "scipy.sparse.linalg")
"""What PyLops imports when it is imported, and torchlops when it is used."""


def numbers(value: Any) -> Any:
    """Return a value as a numeric array, or None if it holds anything else."""
    if isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ())):
        value = value.detach().cpu().resolve_conj().numpy()
    if isinstance(value, bool | int | float | complex | np.number | np.ndarray):
        array = np.asarray(value)
        return array if array.dtype.kind in "biufc" else None
    return None


def thinned(array: Any) -> Any:
    """Return an array, flat and thinned if it is large."""
    return array if array.size <= MOST else array.reshape(-1)[:: array.size // MOST + 1]


def variables(namespace: dict[str, Any]) -> dict[str, Any]:
    """Return the numeric variables of a script, those in tuples, lists and dictionaries by their place."""
    found: dict[str, Any] = {}
    for name, value in namespace.items():
        if not name.startswith("_"):
            _collect(name, value, found)
    return found


def _collect(name: str, value: Any, found: dict[str, Any]) -> None:
    if numbers(value) is not None:
        found[name] = value
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
    for module in MODULES:  # now, so that their time is not that of the script
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what the packages hold in memory is no garbage of the script, nor its time to look for some
    np.random.seed(0)
    plt.show = lambda *_, **__: plt.close("all")
    sys.argv = [script]
    report: dict[str, Any] = {"error": ""}
    found: dict[str, Any] = {}
    start = time.perf_counter(), time.process_time()
    try:
        found = variables(runpy.run_path(script, run_name="__main__"))
    except Exception as error:
        traceback.print_exc()
        report["error"] = traceback.format_exception_only(error)[-1].strip()
    report["seconds"], report["processor"] = time.perf_counter() - start[0], time.process_time() - start[1]
    report["types"] = {name: type(value).__name__ for name, value in found.items()}
    plt.close("all")
    arrays = {name: numbers(value) for name, value in found.items()}
    report["shapes"] = {name: array.shape for name, array in arrays.items()}
    arrays = {name: thinned(array) for name, array in arrays.items()}
    np.savez_compressed(result, **arrays, **{REPORT: np.array(json.dumps(report))})


if __name__ == "__main__":
    main()
