"""The file of the measurements, ``results.json``, from which all tables and plots are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DIGITS = 4


def save(results: dict[str, Any], path: Path) -> None:
    """Write the results as JSON, with four significant digits and one record per line."""
    path.write_text(_dumps(_rounded(results)) + "\n", encoding="utf-8")


def load(path: Path) -> dict[str, Any]:
    """Read a file written by :func:`save`."""
    try:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"{path} does not exist: run the benchmark without --report first") from None
    return results


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _dumps(value: Any) -> str:
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"{json.dumps(key)}: {_dumps(item)}" for key, item in value.items()) + "\n}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(json.dumps(item, ensure_ascii=False) for item in value) + "\n]"
    return json.dumps(value, ensure_ascii=False)
