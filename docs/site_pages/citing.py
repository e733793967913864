"""The BibTeX entry of the package, from ``CITATION.cff``, and the papers that docstrings name."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import yaml

from . import api

FILE = Path(__file__).resolve().parents[2] / "CITATION.cff"


def write(folder: Path) -> None:
    """Write the entry to ``citation.bib``, and the papers to ``papers.inc``, in ``folder``."""
    folder.mkdir(exist_ok=True)
    citation = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    (folder / "citation.bib").write_text(entry(citation), encoding="utf-8")
    (folder / "papers.inc").write_text(papers(), encoding="utf-8")


def entry(citation: dict[str, Any]) -> str:
    """Return a BibTeX entry for what ``CITATION.cff`` holds."""
    fields = {
        "author": " and ".join(map(_author, citation["authors"])),
        "title": f"{{{citation['title']}}}",
        "version": str(citation["version"]),
        "year": str(citation.get("date-released", ""))[:4],
        "doi": citation.get("doi", ""),
        "url": citation["repository-code"],
    }
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    return "@software{torchlops,\n" + ",\n".join(lines) + "\n}\n"


def _author(author: dict[str, str]) -> str:
    if "name" in author:  # an entity, which BibTeX must not split into names
        return f"{{{author['name']}}}"
    return f"{author['family-names']}, {author['given-names']}"


def papers() -> str:
    """Return a list of the sources that the docstrings of the reference name, and of what comes from them."""
    found: dict[str, list[str]] = {}
    for module, names in api.homes().items():
        for name in names:
            path = api.path(module, name)
            for source in sources(inspect.getdoc(api.value_of(module, name)) or ""):
                found.setdefault(source, []).append(f"{{obj}}`~{path}`")
    lines = [f"- {', '.join(of)}: {source}" for source, of in sorted(found.items(), key=_surname)]
    return "\n".join([*lines, ""])


def sources(text: str) -> list[str]:
    """Return the sources that a docstring names: a paragraph ``Source: ...``, or a section ``References:``."""
    found = re.findall(r"^Sources?: (.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    found += re.findall(r"^References:\n(.*?)(?=\n\n\S|\Z)", text, re.DOTALL | re.MULTILINE)
    return [" ".join(source.split()) for source in found]


def _surname(row: tuple[str, list[str]]) -> str:
    return re.sub(r"^(?:[A-Z]\.[- ]?)+ ?", "", row[0])
