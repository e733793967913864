"""Every public name of PyLops's packages that are here is here, too, in the same place."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import torchlops

pylops = pytest.importorskip("pylops")
utils = importlib.import_module("pylops.utils")

NOT_HERE = {
    "backend": "chooses between NumPy, CuPy and JAX",
    "deps": "looks for packages that PyLops needs",
    "typing": "types of NumPy, CuPy and JAX arrays",
}
NAMES_NOT_HERE = {"ScoobyReport": "a class of another package, which Report needs there"}


@pytest.mark.parametrize("package", ["basicoperators", "signalprocessing"])
def test_every_operator_is_here(package: str) -> None:
    theirs, ours = importlib.import_module(f"pylops.{package}"), getattr(torchlops, package)
    missing = {name for name in theirs.__all__ if not hasattr(ours, name)}
    assert not missing


@pytest.mark.parametrize("package", ["basicoperators", "signalprocessing"])
def test_arguments_come_in_the_same_order_with_the_same_defaults(package: str) -> None:
    theirs, ours = importlib.import_module(f"pylops.{package}"), getattr(torchlops, package)
    wrong = {}
    for name in theirs.__all__:
        expected, got = (inspect.signature(getattr(place, name)).parameters for place in (theirs, ours))
        wanted = [parameter for parameter in expected if parameter not in ("args", "kwargs")]
        if [parameter for parameter in got if parameter in wanted] != wanted:
            wrong[name] = f"takes {list(got)}, PyLops's takes {list(expected)}"
        other = {
            key: got[key].default for key in wanted if key != "dtype" and got[key].default != expected[key].default
        }
        if other:
            wrong[name] = f"has the defaults {other}"
    assert not wrong


SOLVERS = {
    "cls_basic": ["CG", "CGLS", "LSQR"],
    "cls_leastsquares": ["NormalEquationsInversion", "PreconditionedInversion", "RegularizedInversion"],
    "cls_sparsity": ["FISTA", "IRLS", "ISTA", "OMP", "SPGL1", "SplitBregman"],
}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in SOLVERS.items() for name in names])
@pytest.mark.parametrize("method", ["setup", "solve"])
def test_arguments_of_solvers_come_in_the_same_order(module: str, name: str, method: str) -> None:
    theirs = getattr(importlib.import_module(f"pylops.optimization.{module}"), name)
    ours = getattr(importlib.import_module(f"torchlops.optimization.{module}"), name)
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    expected = [
        parameter.name
        for parameter in inspect.signature(getattr(theirs, method)).parameters.values()
        if parameter.kind in kinds and parameter.name != "self"
    ]
    assert getattr(ours, f"{method}_order").split()[: len(expected)] == expected


@pytest.mark.parametrize(
    "module",
    [module.name for module in pkgutil.iter_modules(utils.__path__) if not module.name.startswith("_")],
)
def test_every_utility_is_here(module: str) -> None:
    if module in NOT_HERE:
        pytest.skip(NOT_HERE[module])
    theirs = importlib.import_module(f"pylops.utils.{module}")
    ours = importlib.import_module(f"torchlops.utils.{module}")
    missing = {name for name in _public(theirs) if not hasattr(ours, name)} - set(NAMES_NOT_HERE)
    assert not missing


def _public(module: ModuleType) -> set[str]:
    return {
        name
        for name, item in vars(module).items()
        if not name.startswith("_") and getattr(item, "__module__", None) == module.__name__
    }
