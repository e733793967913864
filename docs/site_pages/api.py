"""The reference: a page for each public module, with a table that leads to a page for each of its names."""

from __future__ import annotations

import importlib
import inspect
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import torchlops

MODULES = {
    "torchlops": "Operators: the base class, foreign operators, and what is made of operators",
    "torchlops.basicoperators": "Basic operators",
    "torchlops.signalprocessing": "Signal processing",
    "torchlops.optimization": "Solvers",
    "torchlops.optimization.leastsquares": "Least-squares inversion",
    "torchlops.optimization.sparsity": "Sparse solvers",
    "torchlops.optimization.basesolver": "Solvers of users",
    "torchlops.optimization.cls_basic": "Solvers as classes",
    "torchlops.optimization.cls_leastsquares": "Least-squares inversion as classes",
    "torchlops.optimization.cls_sparsity": "Sparse solvers as classes",
    "torchlops.optimization.callback": "Callbacks of solvers",
    "torchlops.optimization.preconditioners": "Preconditioners",
    "torchlops.optimization.eigs": "Eigenvalues of operators",
    "torchlops.linalg": "Linear algebra",
    "torchlops.plot": "Figures",
    "torchlops.testing": "Tests for operators of your own",
    "torchlops.interop": "Views for other packages",
    "torchlops.compat.pylops": "The alias of PyLops",
    "torchlops.config": "Settings",
    "torchlops.utils": "Utilities",
    "torchlops.utils.dottest": "Dot test",
    "torchlops.utils.seismicevents": "Seismic events",
    "torchlops.utils.signalprocessing": "Signal processing utilities",
    "torchlops.utils.tapers": "Tapers",
    "torchlops.utils.wavelets": "Wavelets",
    "torchlops.utils.metrics": "Measures of quality",
    "torchlops.utils.estimators": "Trace estimators",
    "torchlops.utils.decorators": "Decorators",
    "torchlops.utils.describe": "Description of operators",
    "torchlops.utils.backend": "Array libraries",
    "torchlops.utils.deps": "Optional packages",
    "torchlops.utils.multiproc": "Processes",
    "torchlops.utils.typing": "Types",
}
"""The public modules, in the order of the reference, with their titles."""

INDEX = """\
API reference
=============

Every public name, by module. What several modules export has one page: the operators of ``basicoperators`` and the
solvers, for example, under their names in ``torchlops`` itself.

.. toctree::
   :maxdepth: 1

"""


def public(module: ModuleType) -> list[str]:
    """Return the public names of a module: those that it exports, or else those that it defines."""
    if hasattr(module, "__all__"):
        names = list(module.__all__)
    else:
        names = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
        ]
    return [name for name in names if not inspect.ismodule(getattr(module, name))]


def homes() -> dict[str, list[str]]:
    """Return the names that each module's page has: each object stands once, in the module nearest to its source."""
    found: dict[int, tuple[str, str]] = {}
    for title in MODULES:
        module = importlib.import_module(title)
        for name in public(module):
            value: Any = getattr(module, name)
            key = id(value)
            if key not in found or _nearness(value, title) > _nearness(value, found[key][0]):
                found[key] = (title, name)
    pages: dict[str, list[str]] = {title: [] for title in MODULES}
    for title, name in found.values():
        pages[title].append(name)
    return {title: sorted(names, key=str.lower) for title, names in pages.items() if names}


def _nearness(value: Any, module: str) -> int:
    """Return how many steps of the path of its source a value shares with a module."""
    source = (getattr(value, "__module__", None) or "").split(".")
    path = module.split(".")
    shared = 0
    for a, b in zip(source, path, strict=False):
        if a != b:
            break
        shared += 1
    return shared if shared == len(path) else -1


def write(folder: Path) -> None:
    """Write the pages of the reference into ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    pages = homes()
    (folder / "index.rst").write_text(INDEX + "".join(f"   {title}\n" for title in pages), encoding="utf-8")
    for title, names in pages.items():
        (folder / f"{title}.rst").write_text(_page(title, names), encoding="utf-8")


def _page(title: str, names: list[str]) -> str:
    heading = f"{MODULES[title]}: {title}"
    lines = [heading, "=" * len(heading), "", f".. automodule:: {title}", "   :no-members:", ""]
    lines += [".. currentmodule:: torchlops", "", ".. autosummary::", "   :toctree: generated", ""]
    return "\n".join([*lines, *(f"   {path(title, name)}" for name in names), ""])


def path(module: str, name: str) -> str:
    """Return the name by which users reach what a module exports: that of ``torchlops`` if it has one, too."""
    value = getattr(importlib.import_module(module), name)
    return f"torchlops.{name}" if getattr(torchlops, name, None) is value else f"{module}.{name}"
