"""Numbers and tables as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Return the geometric mean of the values that are there."""
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


def table(header: Sequence[str], rows: Iterable[Sequence[str]], side: str = "---:") -> str:
    """Return a Markdown table, the first column left, the others right (or on another ``side``)."""
    lines = [f"| {' | '.join(header)} |", f"| --- |{f' {side} |' * (len(header) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
