"""The BibTeX entry of the package, from ``CITATION.cff``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).resolve().parents[2] / "CITATION.cff"


def write(folder: Path) -> None:
    """Write the entry to ``citation.bib`` in ``folder``."""
    folder.mkdir(exist_ok=True)
    citation = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    (folder / "citation.bib").write_text(entry(citation), encoding="utf-8")


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
