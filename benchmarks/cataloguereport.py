"""The measurements of the rest of the catalogue as Markdown, a section of ``RESULTS.md``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.tabulating import Record, geometric_mean, milliseconds, ratio, table, times

LEAST_BATCH, LEAST_LOOPS = 8.0, 3.0


def means(records: Sequence[Record]) -> dict[str, float | None]:
    """Return the geometric means that have targets."""
    looping = [record for record in records if record["loops"]]
    rivals = [record for record in records if record["rival"]]

    def mean(chosen: Iterable[Record], engine: str, modes: Sequence[str]) -> float | None:
        return geometric_mean(ratio(record, mode, engine) for record in chosen for mode in modes)

    one = ("forward", "adjoint")
    return {
        "batch": mean(records, "pylops", ("batch",)),
        "loops": mean(looping, "numpy", one),
        "numba": mean(rivals, "numba", one),
    }


def slower_than_numba(records: Sequence[Record]) -> list[str]:
    """Return the operators for which numba is faster, although the target is its speed, with the ratios."""
    found = []
    for record in records:
        ratios = [ratio(record, mode, "numba") for mode in ("forward", "adjoint")]
        if record["rival"] and any(value and value < 1 for value in ratios):
            why = f": {record['why']}" if record["why"] else ""
            found.append(f"{record['operator']} ({' and '.join(map(times, ratios))}{why})")
    return found


def line(records: Sequence[Record]) -> str:
    """Return the geometric means and their targets, as a sentence."""
    found = means(records)
    count = len({record["operator"] for record in records})
    return (
        f"Geometric means of {count} operators: forward and backward on batches of 32, {times(found['batch'])} times "
        f"as fast as PyLops's layer with its fastest engine (target: {LEAST_BATCH:g}); on one model, "
        f"{times(found['loops'])} times as fast as its NumPy loops (target: {LEAST_LOOPS:g}) and "
        f"{times(found['numba'])} times as fast as its compiled numba engine (target: 1)."
    )


def section(records: Sequence[Record]) -> str:
    """Return the section of ``RESULTS.md``."""
    parts = [
        "## The rest of the catalogue",
        "One typical size each. *Batch*: forward and backward on a batch of 32, against PyLops's `TorchOperator` with "
        "its fastest engine. *NumPy* and *numba*: one model, forward and adjoint, against PyLops's engines on NumPy "
        "arrays, excluding compilation. *Set-up*: the time to build our operator and PyLops's (fastest engine). "
        "*Tables*: the memory that the operator holds, filters and matrices included, after one forward and adjoint. "
        "Ratios are PyLops's time over ours.",
        line(records),
        "Slower than numba: " + ("; ".join(slower_than_numba(records)) or "none") + ".",
    ]
    for dtype in dict.fromkeys(record["dtype"] for record in records):
        rows = [_row(record) for record in records if record["dtype"] == dtype]
        header = ["operator", "model", "batch, ms", "x PyLops", "forward, ms", "x NumPy", "x numba"]
        header += ["adjoint, ms", "x NumPy", "x numba", "set-up, ms", "PyLops's", "tables, MiB", "PyLops's"]
        parts += [f"### {dtype}", table(header, rows)]
    slower = sorted({(r["operator"], r["why"]) for r in records if (ratio(r, "batch", "pylops") or 1) < 1})
    parts += ["Slower than PyLops on the batch: " + (", ".join(_named(*item) for item in slower) or "none") + "."]
    notes = [f"- {r['operator']}, {r['dtype']}, {who}: {what}" for r in records for who, what in r["notes"].items()]
    parts += ["Where PyLops's operator was not timed, or gives a different result:", "\n".join(notes) or "none"]
    return "\n\n".join(parts)


def _named(name: str, why: str) -> str:
    return f"{name} ({why})" if why else name


def _row(record: Record) -> list[str]:
    row = [record["operator"], " x ".join(map(str, record["shapes"][0]))]
    row += [milliseconds(record["times"].get("batch ours")), times(ratio(record, "batch", "pylops"))]
    for mode in ("forward", "adjoint"):
        row.append(milliseconds(record["times"].get(f"{mode} ours")))
        row += [times(ratio(record, mode, engine)) for engine in ("numpy", "numba")]
    theirs = [seconds for who, seconds in record["set-up"].items() if who != "ours"]
    row += [milliseconds(record["set-up"]["ours"]), milliseconds(min(theirs, default=None))]
    sizes = [record.get(f"tables {who}") for who in ("ours", "pylops")]
    return row + ["n/a" if size is None else f"{size / 2**20:.2f}" for size in sizes]
