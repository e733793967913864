"""The measurements of small NumPy vectors as Markdown, a section of ``RESULTS.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.tabulating import Record, geometric_mean, table

MODES = ("forward", "adjoint")
ROAD_LIMIT, PART_LIMIT, MEAN_LIMIT, WORST_LIMIT = 5.0, 3.0, 1.0, 1.5


def relative(record: Record, mode: str) -> float | None:
    """Return our time relative to PyLops's, or None if it was not measured."""
    times = record["times"]
    return times[f"{mode} ours"] / times[f"{mode} pylops"] if times else None


def ratios(records: Sequence[Record]) -> Iterator[tuple[float, str]]:
    """Yield the ratios, each with the operator, the mode and the size."""
    for record in records:
        for mode in MODES:
            value = relative(record, mode)
            if value is not None:
                yield value, f"{record['operator']}, {mode}, {record['size']}"


def mean(records: Sequence[Record]) -> float | None:
    """Return the geometric mean of our times relative to PyLops's."""
    return geometric_mean(value for value, _ in ratios(records))


def targets(found: Record) -> list[tuple[str, str, bool]]:
    """Return each target, the measured value, and whether the target is reached."""
    records, road = found["operators"], found["road"]
    found_mean = mean(records)
    every = sorted(ratios(records), reverse=True)
    above = list(dict.fromkeys(what.partition(",")[0] for value, what in every if value > WORST_LIMIT))
    named = ", ".join(above[:8]) + (f" and {len(above) - 8} more" if len(above) > 8 else "")
    longest = max(road["arrays"], road["tensors"])
    small = "64 and 512 samples, NumPy in and out"
    return [
        (
            f"{small}: at most {MEAN_LIMIT:g} times PyLops's time (geometric mean)",
            _figure(found_mean),
            found_mean is not None and found_mean <= MEAN_LIMIT,
        ),
        (
            f"{small}: no operator above {WORST_LIMIT:g} times PyLops's time",
            f"{sum(value > WORST_LIMIT for value, _ in every)} of {len(every)} cases: {named or 'none'}",
            not above,
        ),
        (
            f"from an array to a tensor and back: at most {ROAD_LIMIT:g} µs",
            f"{road['tensors']:.1f} µs; without tensors {road['arrays']:.1f} µs",
            longest <= ROAD_LIMIT,
        ),
        (f"each part of a product: at most {PART_LIMIT:g} µs", f"{road['part']:.1f} µs", road["part"] <= PART_LIMIT),
    ]


def line(found: Record) -> str:
    """Return the figures and their targets, as a sentence."""
    records, road = found["operators"], found["road"]
    worst = max(ratios(records), default=(float("nan"), "none"))
    return (
        f"Time relative to PyLops's: geometric mean {_figure(mean(records))} (target: at most {MEAN_LIMIT:g}), worst "
        f"{worst[0]:.2f} ({worst[1]}; target: {WORST_LIMIT:g}). A call takes {road['arrays']:.1f} µs beyond its kernel "
        f"on arrays; to a tensor and back takes {road['tensors']:.1f} µs (target: {ROAD_LIMIT:g}), and each part "
        f"of a product {road['part']:.1f} µs (target: {PART_LIMIT:g})."
    )


def section(found: Record, cpu: str) -> str:
    """Return the section of ``RESULTS.md``; ``cpu`` is the processor on which it was measured."""
    records = found["operators"]
    sizes = list(dict.fromkeys(record["size"] for record in records))
    header = ["operator", *(f"{mode} {size}, µs{of}" for size in sizes for mode in MODES for of in ("", " x PyLops"))]
    rows = []
    for name in dict.fromkeys(record["operator"] for record in records):
        row = [name]
        for record in [record for record in records if record["operator"] == name]:
            for mode in MODES:
                value = relative(record, mode)
                row += (
                    ["n/a"] * 2 if value is None else [f"{1e6 * record['times'][f'{mode} ours']:.1f}", _figure(value)]
                )
        rows.append(row)
    slower = sorted(((v, what) for v, what in ratios(records) if v > WORST_LIMIT), reverse=True)
    why = {record["operator"]: record["why"] for record in records if record["why"]}
    notes = sorted({f"- {record['operator']}: {record['note']}" for record in records if record["note"]})
    return "\n\n".join(
        [
            "## Small vectors",
            "`A @ x` and `A.H @ y` on NumPy vectors of 64 and 512 samples in double precision, NumPy in and out, one "
            f"process, one thread, on {cpu}. Ratios are our time over PyLops's: below 1, we are faster.",
            line(found),
            "Above " + f"{WORST_LIMIT:g}: " + ("; ".join(_named(v, what, why) for v, what in slower) or "none") + ".",
            table(header, rows),
            "Not compared, because PyLops's operator raises or gives a different result:",
            "\n".join(notes) or "none",
        ]
    )


def _named(value: float, what: str, why: dict[str, str]) -> str:
    reason = why.get(what.partition(",")[0], "")
    return f"{what} ({value:.2f}{': ' + reason if reason else ''})"


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"
