"""The arrows of the layout: who may import whom, read from the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import torchlops

ROOT = Path(torchlops.__file__).parent
CORE = ("linearoperator", "algebra", "autograd", "arrays", "shapes", "_private", "dispatcher")
CATALOGUE = ("basicoperators", "signalprocessing", "waveeqprocessing", "avo", "medical")
ABOVE = (*CATALOGUE, "optimization", "utils", "demo", "testing")
THIRD_PARTIES = {"torch", "numpy"}


def _modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def _imports(tree: ast.AST, *, at_module_level: bool) -> Iterator[str]:
    """Yield the dotted names that a module imports; those in functions, or for type checkers, only on demand."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif at_module_level and _runs_later(node):
            continue
        else:
            yield from _imports(node, at_module_level=at_module_level)


def _runs_later(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_only_torch_and_numpy_are_needed(path: Path) -> None:
    if _name(path).startswith(("demo/", "__main__")):
        pytest.skip("the demo brings extras")
    roots = {name.partition(".")[0] for name in _imports(_parse(path), at_module_level=True)}
    foreign = roots - THIRD_PARTIES - {"torchlops"} - set(sys.stdlib_module_names)
    assert not foreign, f"{_name(path)} imports {foreign} at module level: import extras where they are used"


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_nothing_above_it(module: str) -> None:
    imported = set(_imports(_parse(ROOT / f"{module}.py"), at_module_level=True))
    above = {
        name for name in imported if name.split(".")[:1] == ["torchlops"] and set(name.split(".")[1:2]) & set(ABOVE)
    }
    assert not above, f"the core module {module} imports {above}"


@pytest.mark.parametrize("package", ["optimization"])
def test_solvers_import_no_catalogue(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        names = set(_imports(_parse(path), at_module_level=True))
        catalogue = {name for name in names if name.startswith(tuple(f"torchlops.{part}" for part in CATALOGUE))}
        assert not catalogue, f"the solver {_name(path)} imports {catalogue}"


@pytest.mark.parametrize("package", CATALOGUE)
def test_the_catalogue_imports_no_solver(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        names = set(_imports(_parse(path), at_module_level=False))
        above = {name for name in names if name.startswith(("torchlops.optimization", "torchlops.demo"))}
        assert not above, f"{_name(path)} imports {above}"


@pytest.mark.parametrize("package", ["basicoperators", "signalprocessing"])
def test_one_file_for_one_operator(package: str) -> None:
    """Every exported operator stands in the file that is named after it, or in the one where PyLops has it."""
    elsewhere = {
        "NonStationaryConvolve1D": "nonstatconvolve1d",
        "NonStationaryFilters1D": "nonstatconvolve1d",
        "NonStationaryConvolve2D": "nonstatconvolve2d",
        "NonStationaryFilters2D": "nonstatconvolve2d",
        "NonStationaryConvolve3D": "nonstatconvolve3d",
        "ToCupy": "todevice",
    }
    exports = getattr(torchlops, package).__all__
    for name in exports:
        kind = getattr(getattr(torchlops, package), name)
        stem = elsewhere.get(name, name.lower())
        assert kind.__module__ == f"torchlops.{package}.{stem}", f"{name} stands in {kind.__module__}"


def test_importing_needs_no_extra() -> None:
    """Importing the library loads neither SciPy nor any other extra."""
    import subprocess

    code = (
        "import sys, torch; before = set(sys.modules); import torchlops; "
        "extras = {'scipy', 'matplotlib', 'pylops', 'pywt', 'tqdm', 'skimage', 'jax'} & (set(sys.modules) - before); "
        "sys.exit(f'loaded {extras}' if extras else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
