"""The numbers of the last whole runs on torchlops, which the documentation shows."""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).with_name("record.json")


def load() -> dict[str, str]:
    """Return what each run gave, in words, by its name."""
    record: dict[str, str] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return record


def save(name: str, text: str) -> None:
    """Write what a run gave."""
    record = {**load(), name: text}
    FILE.write_text(json.dumps(dict(sorted(record.items())), indent=2) + "\n", encoding="utf-8")
