"""The figures of the rest of the catalogue as Markdown: a section of ``RESULTS.md`` and a line of the README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.tabulating import geometric_mean, milliseconds, table, times

Record = dict[str, Any]
LEAST_BATCH, LEAST_LOOPS = 8.0, 3.0


def faster(record: Record, mode: str, other: str) -> float | None:
    """Return how many times longer the ``other`` takes, or None where one of the two was not timed."""
    there, here = (record["times"].get(f"{mode} {name}") for name in (other, "ours"))
    return there / here if there and here else None


def means(records: Sequence[Record]) -> dict[str, float | None]:
    """Return the geometric means that are to be reached."""
    looping = [record for record in records if record["loops"]]
    rivals = [record for record in records if record["rival"]]

    def mean(chosen: Iterable[Record], engine: str, modes: Sequence[str]) -> float | None:
        return geometric_mean(faster(record, mode, engine) for record in chosen for mode in modes)

    one = ("forward", "adjoint")
    return {
        "batch": mean(records, "pylops", ("batch",)),
        "loops": mean(looping, "numpy", one),
        "numba": mean(rivals, "numba", one),
    }


def slower_than_numba(records: Sequence[Record]) -> list[str]:
    """Return the rivals that numba is faster than, with the ratios."""
    found = []
    for record in records:
        ratios = [faster(record, mode, "numba") for mode in ("forward", "adjoint")]
        if record["rival"] and any(ratio and ratio < 1 for ratio in ratios):
            why = f": {record['why']}" if record["why"] else ""
            found.append(f"{record['operator']} ({' and '.join(times(ratio) for ratio in ratios)}{why})")
    return found


def line(records: Sequence[Record]) -> str:
    """Return the line for the README."""
    found = means(records)
    count = len({record["operator"] for record in records})
    return (
        f"The rest of the catalogue, {count} rows at one size each: forward and backward on batches of 32 "
        f"{times(found['batch'])} times as fast as PyLops's layer with its fastest engine (geometric mean; to reach: "
        f"{LEAST_BATCH:g}); on one model {times(found['loops'])} times as fast as its NumPy loops (to reach: "
        f"{LEAST_LOOPS:g}) and {times(found['numba'])} times as fast as its compiled numba engine (to reach: 1)."
    )


def section(records: Sequence[Record]) -> str:
    """Return the section of ``RESULTS.md``."""
    parts = [
        "## The rest of the catalogue",
        "One typical size each. *Batch*: forward and backward on a batch of 32, against PyLops's `TorchOperator` with "
        "its fastest engine. *NumPy* and *numba*: one model, forward and adjoint, against PyLops's engines on NumPy "
        "arrays, compilation excluded. *Set-up*: the time to build the operator, of ours and of PyLops's (fastest "
        "engine). *Tables*: what the built operator keeps, filters and matrices included, after one forward and "
        "adjoint. Ratios are PyLops's time over ours.",
        line(records),
        "Slower than numba: " + ("; ".join(slower_than_numba(records)) or "none") + ".",
    ]
    for dtype in dict.fromkeys(record["dtype"] for record in records):
        rows = [_row(record) for record in records if record["dtype"] == dtype]
        header = ["operator", "model", "batch, ms", "x PyLops", "forward, ms", "x NumPy", "x numba"]
        header += ["adjoint, ms", "x NumPy", "x numba", "set-up, ms", "PyLops's", "tables, MiB", "PyLops's"]
        parts += [f"### {dtype}", table(header, rows)]
    slower = sorted({(r["operator"], r["why"]) for r in records if (faster(r, "batch", "pylops") or 1) < 1})
    parts += ["Slower than PyLops on the batch: " + (", ".join(_named(*item) for item in slower) or "none") + "."]
    notes = [f"- {r['operator']}, {r['dtype']}, {who}: {what}" for r in records for who, what in r["notes"].items()]
    parts += ["PyLops's operator, where it was not timed or gives another answer:", "\n".join(notes) or "none"]
    return "\n\n".join(parts)


def _named(name: str, why: str) -> str:
    return f"{name} ({why})" if why else name


def _row(record: Record) -> list[str]:
    row = [record["operator"], " x ".join(map(str, record["shapes"][0]))]
    row += [milliseconds(record["times"].get("batch ours")), times(faster(record, "batch", "pylops"))]
    for mode in ("forward", "adjoint"):
        row.append(milliseconds(record["times"].get(f"{mode} ours")))
        row += [times(faster(record, mode, engine)) for engine in ("numpy", "numba")]
    theirs = [seconds for who, seconds in record["set-up"].items() if who != "ours"]
    row += [milliseconds(record["set-up"]["ours"]), milliseconds(min(theirs, default=None))]
    sizes = [record.get(f"tables {who}") for who in ("ours", "pylops")]
    return row + ["n/a" if size is None else f"{size / 2**20:.2f}" for size in sizes]
