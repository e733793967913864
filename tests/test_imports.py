"""The arrows of the layout: who may import whom, read from the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

import pytest

import torchlops

ROOT = Path(torchlops.__file__).parent
CATALOGUE = ("basicoperators", "signalprocessing", "waveeqprocessing", "avo", "medical")
FLOORS: tuple[tuple[str, ...], ...] = (
    ("arrays", "config", "extras", "shapes", "memory", "torch_internals", "utils", "version", "warning"),
    ("arraykernels", "attributes", "dispatcher", "autograd", "foreignfunction"),
    ("contract",),
    ("linearoperator",),
    ("persample", "state", "torchoperator"),
    ("basicoperators",),
    ("signalprocessing",),
    ("utils.describe", "utils.signalprocessing"),
    ("optimization",),
    ("waveeqprocessing", "avo", "medical"),
    ("linalg", "utils.estimators"),
    ("_methods", "_pylops_names", "testing"),
    ("compat", "interop", "jaxoperator", "plot", "pytensoroperator"),
    ("__init__",),
    ("demo",),
    ("cli",),
    ("__main__",),
)
"""Who stands on whom. A module may import from its own floor and from those above it in this list, which lie lower; the
longest prefix of its name tells its floor."""

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
    if _name(path).startswith("demo/"):
        pytest.skip("the demo brings extras")
    roots = {name.partition(".")[0] for name in _imports(_parse(path), at_module_level=True)}
    foreign = roots - THIRD_PARTIES - {"torchlops"} - set(sys.stdlib_module_names)
    assert not foreign, f"{_name(path)} imports {foreign} at module level: import extras where they are used"


def _graph() -> dict[str, set[str]]:
    """Return what each module of the library imports from it, lazy imports and those for type checkers included."""
    trees = {_name(path).removesuffix("/__init__").replace("/", "."): _parse(path) for path in _modules()}
    return {
        module: {
            _resolve(name, trees) for name in _imports(tree, at_module_level=False) if name.startswith("torchlops")
        }
        for module, tree in trees.items()
    }


def _resolve(name: str, modules: Container[str]) -> str:
    """Return the module that an import of ``name`` reads: the package itself is called ``__init__``."""
    while (inner := name.removeprefix("torchlops").removeprefix(".") or "__init__") not in modules:
        name = name.rpartition(".")[0]
    return inner


def _circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the strongly connected components of more than one module, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    circles = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in order:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], order[other])
        if lowest[module] == order[module]:
            start = stack.index(module)
            if len(stack) - start > 1 or module in graph[module]:
                circles.append(set(stack[start:]))
            del stack[start:]

    for module in sorted(graph):
        if module not in order:
            visit(module)
    return circles


def _floor(module: str) -> int:
    parts = module.split(".")
    for count in range(len(parts), 0, -1):
        prefix = ".".join(parts[:count])
        for number, rooms in enumerate(FLOORS):
            if prefix in rooms:
                return number
    raise AssertionError(f"{module} stands on no floor: enter it in FLOORS")


def test_there_is_no_circle() -> None:
    assert _circles(_graph()) == []


def test_arrows_go_down() -> None:
    graph = _graph()
    upward = [
        f"{module} imports {other}" for module in graph for other in graph[module] if _floor(other) > _floor(module)
    ]
    assert not upward, "\n".join(upward)


def test_solvers_import_no_catalogue() -> None:
    graph = _graph()
    wrong = [
        f"{module} imports {other}"
        for module in graph
        for other in graph[module]
        if module.startswith("optimization") and other.startswith(CATALOGUE)
    ]
    assert not wrong, "\n".join(wrong)


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}
    assert sorted(map(sorted, _circles(graph))) == [["b", "c"], ["d"]]


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
        if name == "MatrixMult":  # the gateway makes one of every matrix
            continue
        kind = getattr(getattr(torchlops, package), name)
        stem = elsewhere.get(name, name.lower())
        assert kind.__module__ == f"torchlops.{package}.{stem}", f"{name} stands in {kind.__module__}"


def test_importing_needs_no_extra() -> None:
    """Importing the library loads neither SciPy nor any other extra."""
    import subprocess

    code = (
        "import sys, torch; before = set(sys.modules); import torchlops; "
        "extras = {'scipy', 'matplotlib', 'pylops', 'pywt', 'tqdm', 'skimage', 'jax', 'pytensor', 'deepinv'}; "
        "extras &= set(sys.modules) - before; "
        "sys.exit(f'loaded {extras}' if extras else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
