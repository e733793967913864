"""Every public name of PyLops's packages that are here is here, too, in the same place."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import operator
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import torchlops

pylops = pytest.importorskip("pylops")

ROOT = Path(pylops.__file__).parent
NAMES_NOT_HERE = {
    **dict.fromkeys(("pylops", "deps", "pytensor_message"), "what a module of PyLops without __all__ imports"),
    "utils.utils.ScoobyReport": "a class of another package, which Report needs there",
    "config.Config": "the class of the object that holds the switch there; here the switch belongs to a thread",
}  # fmt: skip
"""What PyLops has and torchlops has not, each with its reason."""

IN_PASSING = {
    "avo.prestack": ("_linearizations",),
    "linearoperator.LinearOperator": ("_matvec", "_rmatvec"),
    "optimization.basic": ("CG", "CGLS", "LSQR", "CostToDataCallback", "CostToInitialCallback"),
    "optimization.callback": ("_callback_stop",),
    "optimization.cls_sparsity": (
        "_halfthreshold", "_halfthreshold_percentile", "_hardthreshold", "_hardthreshold_percentile", "_softthreshold",
        "_softthreshold_percentile",
    ),
    "signalprocessing._baseffts": ("_FFTNorms",),
    "optimization.leastsquares": ("NormalEquationsInversion", "PreconditionedInversion", "RegularizedInversion"),
    "optimization.sparsity": ("FISTA", "IRLS", "ISTA", "OMP", "SPGL1", "SplitBregman", "CostNanInfCallback"),
    "signalprocessing.seislet": ("_predict_haar", "_predict_lin", "_predict_trace"),
    "utils._internal": ("_raise_on_wrong_dtype", "_value_or_sized_to_array", "_value_or_sized_to_tuple"),
}  # fmt: skip
"""Names that PyLops does not export, but that its own gallery, or other packages, reach in these modules."""


def _modules() -> list[str]:
    """Return the public modules of PyLops, without its name."""
    paths = [path.relative_to(ROOT).with_suffix("").parts for path in sorted(ROOT.rglob("*.py"))]
    public = [parts for parts in paths if not any(part.startswith("_") for part in parts)]
    packages = [(), *((path.name,) for path in ROOT.iterdir() if (path / "__init__.py").exists())]
    return sorted(".".join(parts) for parts in [*public, *packages])


def _defined(module: str) -> set[str]:
    """Return the classes and functions that a module of PyLops defines, and what it says to export."""
    place = ROOT.joinpath(*module.split(".")) if module else ROOT
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        targets = [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif "__all__" in targets:
            found |= set(ast.literal_eval(node.value))
        elif module in ("utils.deps", "utils.typing"):  # whose variables are what they are for
            found |= set(targets)
    return {name for name in found if not name.startswith("_")}


def _absent() -> set[str]:
    """Return the gateways to other libraries that are not there yet, as modules and as classes."""
    gateways = {"jaxoperator": "JaxOperator", "pytensoroperator": "PyTensorOperator"}
    absent = {module for module in gateways if importlib.util.find_spec(f"torchlops.{module}") is None}
    return absent | {gateways[module] for module in absent}


@pytest.mark.parametrize("module", _modules())
def test_every_name_is_in_the_same_place(module: str) -> None:
    """What a module of PyLops defines or exports is an attribute of the module of torchlops of the same name."""
    if module in _absent():
        pytest.skip("comes with the gateway to another library")
    ours = importlib.import_module(f"torchlops.{module}" if module else "torchlops")
    prefix = f"{module}." if module else ""
    missing = {name for name in _defined(module) if not hasattr(ours, name)}
    assert not {name for name in missing if prefix + name not in NAMES_NOT_HERE}


def test_whatever_an_import_of_pylops_reaches_is_reached() -> None:
    """``import pylops`` alone makes sub-packages, modules and names of them attributes, and so does ours."""
    theirs = """
import json, sys, types, pylops
def belongs(item):
    module = item.__name__ if isinstance(item, types.ModuleType) else getattr(item, "__module__", None) or "pylops"
    return module.startswith("pylops")
places = ["", "avo", "basicoperators", "optimization", "signalprocessing", "utils"]
print(json.dumps({
    place: [name for name, item in vars(sys.modules[f"pylops.{place}".rstrip(".")]).items()
            if not name.startswith("_") and belongs(item)]
    for place in places
}))"""
    ours = """
import json, sys, torchlops, operator
names = json.loads(sys.argv[1])
print(json.dumps([f"{place}.{name}".strip(".") for place in names for name in names[place]
                  if not hasattr(operator.attrgetter(place)(torchlops) if place else torchlops, name)]))"""
    reached = json.loads(_output(theirs))
    reached[""] = sorted(set(reached[""]) - set(NAMES_NOT_HERE) - _absent())
    assert sum(map(len, reached.values())) > 200
    assert json.loads(_output(ours, json.dumps(reached))) == []


def _output(*arguments: str) -> str:
    return subprocess.run([sys.executable, "-c", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("place", "names"), IN_PASSING.items(), ids=str)
def test_names_with_an_underscore_that_others_import(place: str, names: tuple[str, ...]) -> None:
    owner = operator.attrgetter(place)(torchlops)
    assert not [name for name in names if not hasattr(owner, name)]


@pytest.mark.parametrize("name", ["soft", "hard", "half"])
@pytest.mark.parametrize("percentile", ["", "_percentile"])
def test_thresholds_are_those_of_pylops(name: str, percentile: str) -> None:
    theirs = importlib.import_module("pylops.optimization.cls_sparsity")
    ours = importlib.import_module("torchlops.optimization.cls_sparsity")
    function = f"_{name}threshold{percentile}"
    x = np.random.default_rng(0).standard_normal((3, 20))
    level = 40 if percentile else 0.3
    wanted = getattr(theirs, function)(x, level)
    found = getattr(ours, function)(x, level)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    np.testing.assert_allclose(getattr(ours, function)(torch.from_numpy(x), level), wanted, atol=1e-12)


@pytest.mark.parametrize("function", ["_predict_haar", "_predict_lin"])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("repeat", [0, 1])
@pytest.mark.parametrize("adj", [False, True])
def test_predictions_are_those_of_pylops(function: str, backward: bool, repeat: int, adj: bool) -> None:
    theirs = importlib.import_module("pylops.signalprocessing.seislet")
    ours = importlib.import_module("torchlops.signalprocessing.seislet")
    rng = np.random.default_rng(0)
    traces, slopes = rng.standard_normal((4, 12)), 0.2 * rng.standard_normal((4 * 2 ** (repeat + 1), 12))
    arguments = (0.004, 2.0, slopes * 0.004, repeat, backward, adj)
    wanted = getattr(theirs, function)(traces, *arguments)
    np.testing.assert_allclose(getattr(ours, function)(traces, *arguments), wanted, atol=1e-12)
    found = getattr(ours, function)(torch.from_numpy(traces), *arguments)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)
    trace = (traces[0], np.arange(12) * 0.004, 0.004, 2.0, slopes[0] * 0.004, adj)
    np.testing.assert_allclose(ours._predict_trace(*trace), theirs._predict_trace(*trace), atol=1e-12)


def test_functions_of_arrays() -> None:
    """Functions for NumPy, torch and JAX arrays answer in kind."""
    ours, theirs = torchlops.utils.backend, importlib.import_module("pylops.utils.backend")
    jnp = pytest.importorskip("jax.numpy")
    x = np.arange(1.0, 5.0)
    kinds = {"numpy": x, "torch": torch.from_numpy(x), "jax": jnp.asarray(x)}
    for name, array in kinds.items():
        module = ours.get_array_module(array)
        assert ours.get_module_name(module) == name
        assert module is ours.get_module(name)
        assert isinstance(ours.to_numpy(array), np.ndarray)
        assert type(ours.randn(2, 3, backend=name)) is type(array)
        zeros = module.zeros(6)
        assert ours.inplace_set(array, zeros, slice(1, 5)).tolist() == [0, 1, 2, 3, 4, 0]
        y = module.ones(6)
        for function in (ours.inplace_add, ours.inplace_multiply, ours.inplace_divide, ours.inplace_multiply):
            y = function(module.full((2,), 2.0), y, slice(0, 2))  # 1 + 2, times 2, through 2, times 2
        assert y.tolist() == [6, 6, 1, 1, 1, 1]
        assert ours.to_numpy_conditional(x, array) is not None
        assert ours.to_cupy_conditional(array, x) is x
    for name in theirs.__all__:
        if name.startswith("get_") and name not in ("get_module", "get_module_name", "get_array_module"):
            argument = () if "axis" in name else ("complex64",) if name.endswith("dtype") else (x,)
            assert getattr(ours, name)(*argument) == getattr(theirs, name)(*argument), name
    twice = ours.inplace_add(np.ones(2), np.zeros(2), np.array([1, 1]), accumulate=True)
    assert twice.tolist() == [0, 2]
    places = (torch.tensor([1, 1]),)
    assert ours.inplace_add(torch.ones(2), torch.zeros(2), places, accumulate=True).tolist() == [0, 2]
    with pytest.raises(NotImplementedError, match="to_numpy"):
        ours.get_convolve(torch.ones(2))
    with pytest.raises(ValueError, match="backend must be"):
        ours.get_module("tensorflow")


def test_flags_of_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    deps, theirs = torchlops.utils.deps, importlib.import_module("pylops.utils.deps")
    for name in theirs.__all__:
        assert getattr(deps, name) == getattr(theirs, name), name
    assert torchlops.utils.numba_enabled == theirs.numba_enabled
    assert deps.torch_import("this") is None
    monkeypatch.setitem(deps.PACKAGES, "devito", "devito")
    assert "this requires devito" in deps.devito_import("this")
    monkeypatch.setenv("JAX_PYLOPS", "0")
    assert not deps.jax_enabled
    with pytest.raises(AttributeError):
        deps.nothing_enabled  # noqa: B018


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
