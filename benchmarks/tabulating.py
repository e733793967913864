"""Numbers and tables as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

Record = dict[str, Any]


def ratio(record: Record, mode: str, other: str) -> float | None:
    """Return how many times longer the ``other`` takes, or None if one of the two was not timed."""
    there, here = (record["times"].get(f"{mode} {name}") for name in (other, "ours"))
    return there / here if there and here else None


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Return the geometric mean of the available values."""
    logs = [math.log(value) for value in values if value]
    return math.exp(sum(logs) / len(logs)) if logs else None


def times(value: float | None) -> str:
    return (
        "n/a"
        if value is None
        else f"{value:.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
    )


def milliseconds(seconds: float | None) -> str:
    return "n/a" if seconds is None else f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def mebibytes(count: float, digits: int = 0) -> str:
    return f"{count / 2**20:.{digits}f} MiB"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], side: str = "---:") -> str:
    """Return a Markdown table with the first column left-aligned and the others right-aligned (or as in ``side``)."""
    lines = [f"| {' | '.join(header)} |", f"| --- |{f' {side} |' * (len(header) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
