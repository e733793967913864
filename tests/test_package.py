"""What is published: the metadata, the contents of the distributions, and the wheel in a clean environment."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import torchlops
from tests.package import clean
from torchlops.cli.demo import PACKAGES
from torchlops.extras import EXTRAS

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

PROJECT = tomllib.loads((clean.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {"skimage": "scikit-image", "pywt": "PyWavelets", "skfmm": "scikit-fmm"}
"""The names under which pip installs packages, where they are not the names of the import."""

WITHOUT_EXTRA = {"cupy": "its name depends on the version of CUDA", "typing_extensions": "for type checkers only"}
"""Packages that no extra installs, and why."""


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\s<>=!~;\[]", requirement)[0] for requirement in requirements}


def _third_parties(*, at_module_level: bool) -> set[str]:
    """Return the packages of others that the library imports, but for those of the demo's modules."""
    found = set()
    for path in clean.SOURCES.rglob("*.py"):
        if path.relative_to(clean.SOURCES).as_posix().startswith("torchlops/demo/"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.iter_child_nodes(tree) if at_module_level else ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"torchlops"}


def test_what_is_imported_at_once_is_required():
    assert _third_parties(at_module_level=True) == _names(PROJECT["dependencies"])


def test_what_is_imported_later_has_an_extra():
    assert _third_parties(at_module_level=False) - _names(PROJECT["dependencies"]) <= {*EXTRAS, *WITHOUT_EXTRA}


@pytest.mark.parametrize("package", EXTRAS)
def test_the_extra_that_is_named_installs_the_package(package):
    extra = PROJECT["optional-dependencies"][EXTRAS[package]]
    assert _names(extra) == {DISTRIBUTIONS.get(package, package)}


def test_the_extra_of_the_demo_installs_what_it_asks_for():
    demo = _names(PROJECT["optional-dependencies"]["demo"])
    assert demo == {DISTRIBUTIONS.get(package, package) for package in PACKAGES}


def test_the_lowest_torch_that_is_declared_is_the_one_that_is_run():
    pinned = (clean.ROOT / "requirements" / "demo.txt").read_text(encoding="utf-8")
    lowest = re.search(r"torch>=([\d.]+)", " ".join(PROJECT["dependencies"])).group(1)
    assert f"\ntorch=={lowest}.0\n" in pinned


def test_there_is_one_version():
    citation = (clean.ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert PROJECT["version"] == torchlops.__version__
    assert f"\nversion: {torchlops.__version__}\n" in citation
    assert f"\n## {torchlops.__version__}" in (clean.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_is_built_works_where_only_what_it_requires_is_installed(tmp_path):
    """One test, since building and the environment take most of its time."""
    wheel, source = clean.build(tmp_path)
    assert clean.contents(wheel) == clean.sources(), "the wheel has the library and nothing else"
    with tarfile.open(source) as archive:
        names = {"/".join(Path(name).parts[1:]) for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml"} <= names
    assert not [name for name in names if name.startswith(("docs", "tests", "benchmarks", "examples"))]

    with clean.environment() as python:
        clean.try_out(python, wheel)

        # The trial is worth something: it fails for a wheel that lacks a file or a requirement.
        with pytest.raises(RuntimeError, match=r"py\.typed is missing") as error:
            clean.try_out(
                python, _without(wheel, ("torchlops/py.typed", "torchlops/demo/chain.py"), tmp_path / "broken")
            )
        assert "import torchlops.demo.chain: No module named" in str(error.value)
        subprocess.run([python, "-m", "pip", "uninstall", "--yes", "numpy"], capture_output=True, check=True)
        with pytest.raises(RuntimeError, match="No module named 'numpy'"):
            clean.try_out(python, _without(wheel, ("Requires-Dist: numpy",), tmp_path / "broken"))


def _without(wheel: Path, lost: tuple[str, ...], folder: Path) -> Path:
    """Return a copy of the wheel without some files, or lines of its metadata; ``lost`` is how they begin."""
    folder.mkdir(exist_ok=True)
    beginnings = tuple(beginning.encode() for beginning in lost)
    with zipfile.ZipFile(wheel) as original, zipfile.ZipFile(folder / wheel.name, "w") as copy:
        for name in original.namelist():
            content = original.read(name)
            if ".dist-info/" in name:
                content = b"".join(line for line in content.splitlines(True) if not line.startswith(beginnings))
            if name not in lost:
                copy.writestr(name, content)
    return folder / wheel.name
