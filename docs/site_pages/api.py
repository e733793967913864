"""The reference: a page for each public module, with a table that leads to a page for each of its names."""

from __future__ import annotations

import importlib
import inspect
import shutil
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar, get_origin

from sphinx.util import inspect as sphinx_inspect

import torchlops
from torchlops.optimization.solver.solver import Solver

MODULES = {
    "torchlops": "Operators: the base class, foreign operators, and what is made of operators",
    "torchlops.basicoperators": "Basic operators",
    "torchlops.signalprocessing": "Signal processing",
    "torchlops.waveeqprocessing": "Wave-equation processing",
    "torchlops.medical": "Medical imaging",
    "torchlops.avo": "Amplitudes and angles: post-stack and pre-stack data",
    "torchlops.avo.avo": "Reflection coefficients",
    "torchlops.optimization": "Solvers",
    "torchlops.optimization.leastsquares": "Least-squares inversion",
    "torchlops.optimization.sparsity": "Sparse solvers",
    "torchlops.optimization.basesolver": "Solvers of users",
    "torchlops.optimization.cls_basic": "Solvers as classes",
    "torchlops.optimization.cls_leastsquares": "Least-squares inversion as classes",
    "torchlops.optimization.cls_sparsity": "Sparse solvers as classes",
    "torchlops.optimization.krylov": "Krylov solvers as records of their options",
    "torchlops.optimization.sparse": "Sparse solvers as records of their options",
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
}
"""The public modules, in the order of the reference, with their titles."""

EXTRA = {
    "torchlops": ["attributes.Attributes", "shapes.accept_pylops_options", "shapes.as_engine"],
    "torchlops.signalprocessing": [
        "interp.LinearInterpolation",
        "interp.SincInterpolation",
        "sliding1d.sliding1d_design",
        "sliding2d.sliding2d_design",
        "sliding3d.sliding3d_design",
        "patch2d.patch2d_design",
        "patch3d.patch3d_design",
    ],
    "torchlops.waveeqprocessing": ["marchenko.directwave"],
    "torchlops.optimization": ["solver.result.Result", "iterativesolver.IterativeSolver"],
    "torchlops.optimization.cls_basic": ["CGResult", "CGLSResult", "LSQRResult", "LSMRResult"],
    "torchlops.optimization.cls_leastsquares": ["NormalEquationsResult", "RegularizedResult"],
    "torchlops.optimization.cls_sparsity": ["SparseResult", "IRLSResult", "SPGL1Result"],
    "torchlops.linalg": ["dense.DENSE_UP_TO"],
}
"""What is documented with a module, besides its public names: what these refer to, under the paths where it is."""

TYPES = {
    "Array": "A tensor, a NumPy array, or a sequence of numbers. (In ``torchlops.utils``, a NumPy array of float64.)",
    "DType": "A data type of torch or NumPy, a Python type, or the name of one.",
    "Dims": "An integer, or a sequence of integers.",
    "Events": "A number for all events, or a number for each.",
    "Kind": "The name of a kind of curve or of derivative, or a function.",
    "Linearization": "The name of a linearisation of reflection coefficients, or a function.",
    "Limits": "A number, a pair of numbers between which a taper falls, or None.",
    "Number": "A number, or a tensor with one.",
    "Sizes": "A size for each axis, or None for that of the data; or None for all.",
    "Solver": "A function that takes an operator and data, and returns the solution first; or None.",
    "TaperType": "The name of a taper.",
}
"""Names of types in signatures, with what they stand for."""

INDEX = """\
API reference
=============

Every public name, by module. What several modules export has one page: the operators of ``basicoperators`` and the
solvers, for example, under their names in ``torchlops`` itself.

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
    extra = EXTRA.get(module.__name__, [])
    elsewhere = {path.rsplit(".", 1)[-1] for path in extra}
    names = [*(name for name in names if name not in elsewhere), *extra]
    return [name for name in names if not _is_module_or_type(value_of(module.__name__, name))]


def value_of(module: str, name: str) -> Any:
    """Return what a module has under a name, which may go through its submodules."""
    *submodules, last = name.split(".")
    return getattr(importlib.import_module(".".join([module, *submodules])), last)


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
            value = value_of(title, name)
            key = id(value)
            if key not in found or _nearness(value, title) > _nearness(value, found[key][0]):
                found[key] = (title, name)
    pages: dict[str, list[str]] = {title: [] for title in MODULES}
    for title, name in found.values():
        pages[title].append(name)
    return {title: sorted(names, key=_last) for title, names in pages.items() if names}


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1].lower()


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
    (folder / "index.rst").write_text(INDEX + _index(list(pages)), encoding="utf-8")
    (folder / "types.rst").write_text(_types(), encoding="utf-8")
    for title, names in pages.items():
        (folder / f"{title}.rst").write_text(_page(title, names), encoding="utf-8")


def _index(modules: list[str]) -> str:
    """Return a list of the modules, and the tree of pages, whose short titles fit the sidebar."""
    shown = [f"* :doc:`{module} <{module}>`: {MODULES[module]}" for module in modules]
    tree = ["", ".. toctree::", "   :maxdepth: 1", "   :hidden:", ""]
    tree += [f"   {MODULES[module].split(':')[0]} <{module}>" for module in modules]
    return "\n".join([*shown, "* :doc:`Types in signatures <types>`", *tree, "   Types in signatures <types>", ""])


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
    bases[:] = _shown(bases)


def _shown(bases: Iterable[Any]) -> list[type]:
    kinds = [tuple if base is NamedTuple else get_origin(base) or base for base in bases]
    return [base for base in dict.fromkeys(map(public_ancestor, kinds)) if base not in (object, Generic)]


def without_bases() -> list[str]:
    """Return the paths of the classes that derive from no public one."""
    names = [(m, name) for m, names in homes().items() for name in names]
    classes = [(m, name, value_of(m, name)) for m, name in names if inspect.isclass(value_of(m, name))]
    return [path(m, name) for m, name, kind in classes if not _shown(getattr(kind, "__orig_bases__", kind.__bases__))]


def records() -> list[str]:
    """Return the paths of the solvers as records, whose members are for those who write one (see *Contributing*)."""
    modules = ("torchlops.optimization.krylov", "torchlops.optimization.sparse")
    return [path(m, name) for m in modules for name in homes()[m] if issubclass(value_of(m, name), Solver)]


def public_ancestor(kind: type) -> type:
    """Return the first class from which a class derives, itself included, that is documented or of another package."""
    return next(a for a in inspect.getmro(kind) if id(a) in documented() or not a.__module__.startswith("torchlops"))


@lru_cache(maxsize=1)
def documented() -> dict[int, str]:
    """Return the path of each documented object, by its identity."""
    return {id(value_of(m, name)): path(m, name) for m, names in homes().items() for name in names}


def constructor_signature(*event: Any) -> tuple[str, str] | None:
    """Return the signature of the constructor of an operator, in the place of that of ``__new__``."""
    _, what, _, thing, _, signature, returns = event
    if what == "class" and issubclass(thing, torchlops.LinearOperator):
        given = sphinx_inspect.signature(thing.__init__, bound_method=True)
        return sphinx_inspect.stringify_signature(given, show_return_annotation=False, short_literals=True), ""
    if signature and "<factory>" in signature:  # a field of a record, whose default is made anew for each
        return signature.replace("<factory>", "..."), returns
    return None


def path(module: str, name: str) -> str:
    """Return the name by which users reach what a module exports: that of ``torchlops`` if it has one, too."""
    value = value_of(module, name)
    return f"torchlops.{name}" if getattr(torchlops, name, None) is value else f"{module}.{name}"
