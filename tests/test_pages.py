"""The Python blocks of the pages of the documentation run, where the packages that they need are installed.

A section (a heading of the second level) stands alone, and begins with its imports: its blocks run in order, in one
namespace. A section with the line ``<!-- slow -->`` is left to the full gate. Where a block catches an error, the error
must be raised.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
import torch

DOCS = Path(__file__).parents[1] / "docs"
WRITTEN_BY_THE_BUILD = ("api", "catalogue", "citation", "gallery", "measurements")
PART = re.compile(
    r"^## (?P<heading>[^\n]+)$|^```python\n(?P<code>.*?)^```$|^```.*?^```$|^(?P<mark><!-- slow -->)$",
    re.DOTALL | re.MULTILINE,
)
ALONE = ("coming_from_pylops",)
"""Pages whose blocks need a process of their own: they change what ``import pylops`` gives."""

OTHERS = {"as_linear_physics": "deepinv", "as_gpytorch_operator": "linear_operator"}
"""Packages that a view needs, and that its users need not import."""


def pages() -> list[Path]:
    """Return the pages that are written by hand."""
    found = (path.relative_to(DOCS) for path in DOCS.rglob("*.md"))
    return sorted(page for page in found if page.parts[0] not in WRITTEN_BY_THE_BUILD)


@dataclass
class Section:
    """A section of a page, or what comes before the first one.

    Attributes:
        page: The page, relative to the folder of the documentation.
        heading: The heading; empty for what comes before the first one.
        is_slow: Whether it is left to the full gate.
        blocks: The Python blocks, each below as many empty lines as it has lines above it on the page.
    """

    page: Path
    heading: str = ""
    is_slow: bool = False
    blocks: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.page.with_suffix('').as_posix()}: {self.heading}"


def sections(page: Path) -> list[Section]:
    """Return the sections of a page."""
    found = [Section(page)]
    text = (DOCS / page).read_text(encoding="utf-8")
    for match in PART.finditer(text):
        if match["heading"]:
            found.append(Section(page, match["heading"]))
        elif match["code"]:
            found[-1].blocks.append("\n" * text.count("\n", 0, match.start("code")) + match["code"])
        elif match["mark"]:
            found[-1].is_slow = True
    return found


def _examples() -> list[Any]:
    found = [section for page in pages() for section in sections(page) if section.blocks]
    return [pytest.param(each, id=str(each), marks=[pytest.mark.slow] * each.is_slow) for each in found]


def _require_packages(code: str) -> None:
    """Skip the test if a package that the code needs is missing."""
    packages = re.findall(r"^\s*(?:import|from) (\w+)", code, re.MULTILINE)
    packages += [package for view, package in OTHERS.items() if view in code]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for package in packages:
            pytest.importorskip(package, exc_type=ImportError)
    if "cupy" in packages and not torch.cuda.is_available():
        pytest.skip("CuPy needs a GPU")


class _Raising(ast.NodeTransformer):
    """Lets a ``try`` fail that raises nothing, unless it says what is to be done then."""

    def visit_Try(self, node: ast.Try) -> ast.Try:
        if node.handlers and not node.orelse:
            node.orelse = ast.parse("raise AssertionError('no error was raised')").body
            for part in node.orelse:
                ast.copy_location(part, node.handlers[0])
        return node


def _compiled(code: str, page: Path) -> CodeType:
    tree = _Raising().visit(ast.parse(code))
    return compile(ast.fix_missing_locations(tree), str(DOCS / page), "exec")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:os.fork:RuntimeWarning")
@pytest.mark.parametrize("section", _examples())
def test_the_blocks_run(section: Section, monkeypatch: pytest.MonkeyPatch) -> None:
    if section.page.stem in ALONE:
        subprocess.run([sys.executable, "-c", "\n".join(section.blocks)], check=True, timeout=120)
        return
    torch.manual_seed(0)
    module = ModuleType("page")  # where torch.compile and pickle look for what the blocks define
    monkeypatch.setitem(sys.modules, "page", module)
    with warnings.catch_warnings():
        if section.page.stem == "interoperation":
            warnings.simplefilter("ignore")  # those of other packages
        for code in section.blocks:
            _require_packages(code)
            exec(_compiled(code, section.page), vars(module))


@pytest.mark.parametrize("page", pages(), ids=str)
def test_the_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    targets = [DOCS / page.parent / link for link in links if "://" not in link]
    missing = [target for target in targets if not target.exists()]
    assert not [target for target in missing if not set(WRITTEN_BY_THE_BUILD) & set(target.parts)]


def test_the_start_page_names_the_extras() -> None:
    project = (DOCS.parent / "pyproject.toml").read_text(encoding="utf-8")
    table = project.split("[project.optional-dependencies]\n")[1].split("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", table, re.MULTILINE)) - {"docs", "test"}
    rows = re.findall(r"^\| (`.*?`) \|", (DOCS / "start.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == extras


def test_an_error_that_is_not_raised_fails() -> None:
    code = "try:\n    pass\nexcept ValueError:\n    pass\n"
    with pytest.raises(AssertionError, match="no error was raised"):
        exec(_compiled(code, Path("page.md")), {})
