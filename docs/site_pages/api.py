"""The reference: a page for each public module, with a table that leads to a page for each of its names."""

from __future__ import annotations

import importlib
import inspect
import shutil
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_origin

import torchlops

MODULES = {
    "torchlops": "Operators: the base class, foreign operators, and what is made of operators",
    "torchlops.attributes": "Attributes of operators",
    "torchlops.basicoperators": "Basic operators",
    "torchlops.signalprocessing": "Signal processing",
    "torchlops.signalprocessing.interp": "Kinds of interpolation",
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
    "torchlops.testing": "Tests for operators of your own",
    "torchlops.interop": "Views for other packages",
    "torchlops.compat.pylops": "The alias of PyLops",
    "torchlops.shapes": "Options of PyLops",
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
}
"""The public modules, in the order of the reference, with their titles."""

ONLY = {
    "torchlops.signalprocessing.interp": ["LinearInterpolation", "SincInterpolation"],
    "torchlops.attributes": ["Attributes"],
    "torchlops.shapes": ["accept_pylops_options", "as_engine"],
}
"""Modules of which a part is documented, because others export the rest."""

TYPES = {
    "Array": "A tensor, a NumPy array, or a sequence of numbers. (In ``torchlops.utils``, a NumPy array of float64.)",
    "DType": "A data type of torch or NumPy, a Python type, or the name of one.",
    "Dims": "An integer, or a sequence of integers.",
    "Events": "A number for all events, or a number for each.",
}
"""Names of types in signatures, with what they stand for."""

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
    names = ONLY.get(module.__name__, names)
    return [name for name in names if not _is_module_or_type(getattr(module, name))]


def _is_module_or_type(value: Any) -> bool:
    """Whether a value is a module, or a type for annotations, which has no documentation of its own."""
    is_alias = isinstance(value, (str, TypeVar)) or get_origin(value) is not None
    is_of_others = inspect.isclass(value) and not value.__module__.startswith("torchlops")
    return inspect.ismodule(value) or is_alias or is_of_others


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
    (folder / "index.rst").write_text(INDEX + "".join(f"   {title}\n" for title in (*pages, "types")), encoding="utf-8")
    (folder / "types.rst").write_text(_types(), encoding="utf-8")
    for title, names in pages.items():
        (folder / f"{title}.rst").write_text(_page(title, names), encoding="utf-8")


def _page(title: str, names: list[str]) -> str:
    heading = f"{MODULES[title]}: {title}"
    lines = [heading, "=" * len(heading), "", f".. automodule:: {title}", "   :no-members:", ""]
    lines += [".. currentmodule:: torchlops", "", ".. autosummary::", "   :toctree: generated", ""]
    return "\n".join([*lines, *(f"   ~{path(title, name).removeprefix('torchlops.')}" for name in names), ""])


def _types() -> str:
    entries = [f".. py:type:: {name}\n   :no-index-entry:\n\n   {says}" for name, says in TYPES.items()]
    return "\n\n".join(["Types in signatures\n===================", *entries]) + "\n"


def public_bases(*event: Any) -> None:
    """Show the public classes from which a class derives in the place of internal ones."""
    bases = event[-1]
    shown = []
    for base in bases:
        ancestors = inspect.getmro(base) if inspect.isclass(base) else (base,)
        first = next((a for a in ancestors if id(a) in _documented() or not a.__module__.startswith("torchlops")), base)
        if first not in shown:
            shown.append(first)
    bases[:] = shown


@lru_cache(maxsize=1)
def _documented() -> frozenset[int]:
    return frozenset(id(getattr(importlib.import_module(m), name)) for m, names in homes().items() for name in names)


def path(module: str, name: str) -> str:
    """Return the name by which users reach what a module exports: that of ``torchlops`` if it has one, too."""
    value = getattr(importlib.import_module(module), name)
    return f"torchlops.{name}" if getattr(torchlops, name, None) is value else f"{module}.{name}"
