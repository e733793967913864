"""The measurements as Markdown: ``RESULTS.md``, and a summary for the README."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.cataloguereport import line as catalogue_line
from benchmarks.cataloguereport import section as catalogue_section
from benchmarks.solverreport import gathered
from benchmarks.solverreport import section as solver_section
from benchmarks.solverreport import targets as solver_targets
from benchmarks.solverreport import wrong as wrong_solutions
from benchmarks.tabulating import geometric_mean, milliseconds, table, times

BEGIN, END = "<!-- benchmark -->", "<!-- /benchmark -->"
MODES = {"forward": "forward", "both": "forward + backward"}
MEMORY = {"default": "memory as the system gives it", "reused": "memory reused"}
ONE_SMALL_MODEL = (
    "one small model: our kernel makes more calls of torch, of 1 to 2 µs each, than PyLops's makes calls of NumPy"
)
Record = dict[str, Any]
Results = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """What was to be reached, what was found, and whether that is enough."""

    goal: str
    found: str
    reached: bool


# -- figures -----------------------------------------------------------------------------------------------------


def ratio(record: Record, mode: str, other: str) -> float | None:
    """Return how many times longer the ``other`` takes, or None where one of the two was not timed."""
    there, here = (record["times"].get(f"{mode} {name}") for name in (other, "ours"))
    return there / here if there and here else None


def times_faster(records: Sequence[Record], mode: str, other: str = "pylops") -> float | None:
    return geometric_mean(ratio(record, mode, other) for record in records)


def slower_cases(records: Sequence[Record]) -> list[tuple[float, Record, str]]:
    """Return (ratio, record, mode) of every case in which PyLops is faster, the worst first."""
    cases = [(ratio(record, mode, "pylops"), record, mode) for record in records for mode in MODES]
    slower = [(value, record, mode) for value, record, mode in cases if value is not None and value < 1]
    return sorted(slower, key=lambda case: case[0])


def wrong_answers(results: Results) -> list[str]:
    """Return the operators (of all but PyLops's own defects) whose answers differ from ours."""
    return sorted(
        {
            f"{record['operator']} ({name})"
            for record in (*results["default"]["ratios"], *results["reused"]["large"])
            for name, note in record["notes"].items()
            if note == "differs from ours"
        }
        | set(wrong_solutions(gathered(results)))
    )


# -- targets -----------------------------------------------------------------------------------------------------


def targets(results: Results) -> list[Target]:
    """Return every target with what was found."""
    default, reused = results["default"], results["reused"]
    small = [r for r in default["ratios"] if r["size"].endswith("samples") and r["batch"] == 256]
    cells = {(r["size"], r["batch"], r["dtype"]) for r in reused["large"]}
    large = [r for r in default["ratios"] if (r["size"], r["batch"], r["dtype"]) in cells]
    return [
        *_overhead_targets(default["overheads"]),
        *(
            _at_least(f"256 models of 64 to 256 samples, {MODES[mode]}", least, times_faster(small, mode))
            for mode, least in (("forward", 10.0), ("both", 5.0))
        ),
        _none_slower(default["ratios"]),
        *(
            _at_least(f"32 images of 512 x 512, float32, {MODES['both']}, {MEMORY[name]}", 2.0, value)
            for name, value in (
                ("default", times_faster(large, "both")),
                ("reused", times_faster(reused["large"], "both")),
            )
        ),
        *(_memory_target(results, name) for name in MEMORY),
        *_unit_targets(reused["units"]),
        *(Target(*target) for target in solver_targets(gathered(results))),
    ]


def _at_least(what: str, least: float, found: float | None) -> Target:
    goal = f"{what}: {least:g} times as fast as PyLops (geometric mean)"
    return Target(goal, "not measured" if found is None else times(found), found is not None and found >= least)


def _overhead_targets(overheads: Sequence[Record]) -> list[Target]:
    native = [r for r in overheads if "hand" in r]
    kinds = {"our own torch expression": "kernel", "the hand-written one": "hand"}
    found = []
    for what, name in kinds.items():
        above = {r["operator"]: r["ours"] - r[name] for r in native}
        over = sorted((operator for operator, value in above.items() if value > 5), key=lambda o: -above[o])
        middle = statistics.median(above.values()) if above else math.nan
        said = (
            f"median {middle:.1f} µs; above 5 µs: {_few([f'{operator} ({above[operator]:.0f})' for operator in over])}"
        )
        found.append(Target(f"a call on 64 samples: at most 5 µs above {what}", said, not over))
    return found


def _none_slower(records: Sequence[Record]) -> Target:
    slower = slower_cases(records)
    count = sum(ratio(record, mode, "pylops") is not None for record in records for mode in MODES)
    names = list(dict.fromkeys(record["operator"] for _, record, _ in slower))
    return Target("no operator slower than PyLops's", f"{len(slower)} of {count} cases: {_few(names)}", not slower)


def _memory_target(results: Results, name: str) -> Target:
    ours, theirs = (results[f"memory {library} {name}"]["memory"]["peak"] for library in ("ours", "pylops"))
    goal = f"peak memory of a chain of five, {MODES['both']}, {MEMORY[name]}: at most half of PyLops's"
    return Target(goal, f"{mebibytes(ours)} against {mebibytes(theirs)}", 2 * ours <= theirs)


def _unit_targets(units: Sequence[Record]) -> list[Target]:
    found = []
    for name in dict.fromkeys(unit["operator"] for unit in units):
        here = [unit for unit in units if unit["operator"] == name]
        low, high = min(unit["copies"] for unit in here), max(unit["copies"] for unit in here)
        span = f"{low:.2f}" if len(here) == 1 else f"{low:.2f} to {high:.2f}, by axis"
        goal = f"{name}, forward, one thread, memory reused: at most {here[0]['target']:g} copies"
        found.append(Target(goal, span, high <= here[0]["target"]))
    return found


# -- text --------------------------------------------------------------------------------------------------------


def mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"


def _few(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def target_table(results: Results) -> str:
    rows = [[t.goal, t.found, "yes" if t.reached else "**no**"] for t in targets(results)]
    return table(["target", "found", "reached"], rows, side="---")


def mean_table(records: Sequence[Record], with_dtype: bool = True) -> str:
    """Return the geometric means over the operators, a row for each size, batch and dtype."""
    rows = []
    for size, batch, dtype, cell in cells_of(records):
        means = [times_faster(cell, mode, other) for other in ("pylops", "hand") for mode in MODES]
        if any(means):
            rows.append([f"{size}, batch {batch}" + (f", {dtype}" if with_dtype else ""), *map(times, means)])
    return table(
        ["", "x PyLops, forward", "x PyLops, both", "x hand-written, forward", "x hand-written, both"],
        rows,
    )


def cells_of(records: Sequence[Record]) -> list[tuple[str, int, str, list[Record]]]:
    """Return the records by size, batch and dtype."""
    keys = list(dict.fromkeys((record["size"], record["batch"], record["dtype"]) for record in records))
    order = {dtype: i for i, dtype in enumerate(sorted({key[2] for key in keys}))}
    keys.sort(key=lambda key: order[key[2]])
    sizes = list(dict.fromkeys(key[0] for key in keys))
    keys.sort(key=lambda key: (sizes.index(key[0]), key[1], order[key[2]]))
    return [(*key, [r for r in records if (r["size"], r["batch"], r["dtype"]) == key]) for key in keys]


def cell_table(records: Sequence[Record]) -> str:
    """Return the times of all operators at one size, batch and dtype."""
    rows = []
    for r in records:
        copies = ratio(r, "forward", "copy")
        rows.append(
            [
                r["operator"],
                milliseconds(r["times"].get("forward ours")),
                times(ratio(r, "forward", "pylops")),
                times(ratio(r, "forward", "hand")),
                times(1 / copies if copies else None),
                milliseconds(r["times"].get("both ours")),
                times(ratio(r, "both", "pylops")),
                times(ratio(r, "both", "hand")),
            ]
        )
    means = {(mode, other): times(times_faster(records, mode, other)) for mode in MODES for other in ("pylops", "hand")}
    rows.append(
        [
            "**geometric mean**",
            "",
            means["forward", "pylops"],
            means["forward", "hand"],
            "",
            "",
            means["both", "pylops"],
            means["both", "hand"],
        ]
    )
    header = ["operator", "forward, ms", "x PyLops", "x hand", "copies", "fwd + bwd, ms", "x PyLops", "x hand"]
    return table(header, rows)


def slower_table(records: Sequence[Record], why: dict[str, str]) -> str:
    slower = slower_cases(records)
    rows = []
    for name in dict.fromkeys(record["operator"] for _, record, _ in slower):
        cases = [case for case in slower if case[1]["operator"] == name]
        value, record, mode = cases[0]
        where = f"{record['size']}, batch {record['batch']}, {record['dtype']}, {MODES[mode]}"
        small = all(r["size"].endswith("samples") and r["batch"] == 1 for _, r, _ in cases)
        rows.append([name, str(len(cases)), f"{value:.2f}", where, why.get(name) or (ONE_SMALL_MODEL if small else "")])
    return table(["operator", "cases", "worst", "where", "why"], rows, side="---") if rows else "Nowhere."


def unit_table(default: Sequence[Record], reused: Sequence[Record]) -> str:
    rows = []
    for here, there in zip(default, reused, strict=True):
        axis = "all" if here["axis"] is None else str(here["axis"])
        shape = " x ".join(map(str, here["shape"]))
        found = [f"{here['copies']:.2f}", f"{there['copies']:.2f}", f"{there['target']:g}"]
        copy = [milliseconds(there["copy"])]
        rows.append(
            [here["operator"], shape, axis, *found, "" if there["copies"] <= there["target"] else "miss", *copy]
        )
    header = ["operator", "shape", "axis", "as the system gives it", "reused", "target", "", "a copy, ms"]
    return table(header, rows)


def overhead_table(overheads: Sequence[Record]) -> str:
    rows = [
        [
            r["operator"],
            f"{r['ours']:.1f}",
            f"{r['hand']:.1f}" if "hand" in r else "n/a",
            f"{r['ours'] - r['hand']:+.1f}" if "hand" in r else "n/a",
            f"{r['ours'] - r['kernel']:+.1f}",
            f"{r['pylops']:.1f}",
        ]
        for r in overheads
    ]
    return table(["operator", "ours", "hand-written", "difference", "above our kernel", "PyLops"], rows)


def memory_table(results: Results) -> str:
    rows = []
    for name, words in MEMORY.items():
        for library, who in (("ours", "torchlops"), ("pylops", "PyLops")):
            found = results[f"memory {library} {name}"]["memory"]
            inputs = found["peak"] / found["input"]
            rows.append([f"{who}, {words}", mebibytes(found["peak"]), f"{inputs:.1f}", milliseconds(found["seconds"])])
    return table(["", "peak", "in units of the input", "forward + backward, ms"], rows)


def notes(records: Sequence[Record]) -> str:
    """Return what was not timed, and why."""
    found: dict[str, list[str]] = {}
    for record in records:
        for name, note in record["notes"].items():
            what = "" if name == "all" else f" ({name.replace('both', MODES['both']).replace('pylops', 'PyLops')})"
            where = f"{record['size']}, batch {record['batch']}, {record['dtype']}"
            found.setdefault(f"{record['operator']}{what}: {note}", []).append(where)
    return "\n".join(f"- {what}: {'; '.join(where)}" for what, where in found.items()) or "Everything was timed."


def machine(results: Results) -> str:
    f = results["default"]["facts"]
    return (
        f"{f['cores']} cores, {f['cpu']}, {f['system']}, Python {f['python']}, torch {f['torch']}, NumPy {f['numpy']}, "
        f"SciPy {f['scipy']}, PyLops {f['pylops']}, torchlops {f['torchlops']}; threads: {f['threads']}, where nothing "
        "else is said."
    )


def render(results: Results) -> str:
    """Return ``RESULTS.md``."""
    default, reused = results["default"], results["reused"]
    records = default["ratios"]
    wrong = wrong_answers(results)
    parts = [
        "# Benchmarks",
        "Written by `make bench` (`python -m benchmarks`).",
        machine(results),
        "## How to read",
        "Every operator is timed against PyLops's operator of the same name and arguments in PyLops's own "
        "`TorchOperator`, and against the torch code that one would write by hand, on the same data, in the same "
        "process, taking turns. Times are medians of `torch.utils.benchmark`, of the wall clock, on one thread of the "
        "time that the process had the CPU. Before anything is timed, the answers and the gradients are compared.\n\n"
        "- *x PyLops*, *x hand*: how many times longer PyLops and the hand-written code take than we do. Above 1, we "
        "are faster.\n"
        "- *copies*: our forward time in units of `y.copy_(x)` of the input, the limit that memory sets.\n"
        "- *both*, *fwd + bwd*: forward and `torch.autograd.grad`.\n"
        "- n/a: not timed, for the reasons at the end. A case is left out where it would take more than 3 GiB or one "
        "call would take more than 5 s, both by estimate.\n"
        "- Models of 64 and 256 samples are 8 x 8 and 16 x 16 for operators that need two axes. Real, Imag, Conj and "
        "the complex FFTs take complex models of the same precision.\n\n"
        "The C library takes fresh memory from the system for each large output, and the first touch of its pages "
        "costs more than the arithmetic of most operators (less for NumPy, which asks for huge pages, than for torch). "
        "That is what a user gets, and what the tables show where they do not say *memory reused*: that is a process "
        "that has called `torchlops.utils.reuse_memory()`.",
        "## Targets",
        target_table(results),
        *(["**Answers differ from ours:** " + ", ".join(wrong)] if wrong else []),
        "## Geometric means",
        mean_table(records),
        "Memory reused:",
        mean_table(reused["large"]),
        "## Where PyLops is faster",
        "Ratios below 1, the worst case of each operator. Where the size is large and no reason stands, it is the "
        "pages: torch takes fresh memory page by page, NumPy on huge pages. In the table with memory reused, of "
        "(512, 512) in batches of 32, none of those is slower. The reason of MatrixMult dense on one model is not "
        "known.",
        slower_table(records, default["why"]),
    ]
    for size, batch, dtype, cell in cells_of(records):
        if any(record["times"] for record in cell):
            parts += [f"## {size}, batch {batch}, {dtype}", cell_table(cell)]
    for size, batch, dtype, cell in cells_of(reused["large"]):
        parts += [f"## {size}, batch {batch}, {dtype}, memory reused", cell_table(cell)]
    parts += [
        "## In copies",
        "Forward passes in float32 on one thread, in units of `y.copy_(x)` of the input (of the output for the "
        "restriction).",
        unit_table(default["units"], reused["units"]),
        "## A call",
        "Microseconds of one call on 64 samples in float64 on one thread. *Difference*: ours less the hand-written "
        "expression. *Above our kernel*: ours less our own kernel called bare, which is what the checks of shape and "
        "type cost.",
        overhead_table(default["overheads"]),
        catalogue_section(results["catalogue"]["catalogue"]),
        solver_section(gathered(results)),
        "## Memory",
        "Peak memory of smoothing, first derivative, Fourier transform (real to complex), restriction to half and "
        "weights, forward and backward on 32 images of 512 x 512 in float32, above what stood before (the input among "
        "it); each in a process of its own. PyLops's layer returns a complex gradient to a real input, which torch "
        "refuses, so its chain casts to complex before the transform.",
        memory_table(results),
        "## Not timed",
        notes((*records, *reused["large"])),
    ]
    return "\n\n".join(parts) + "\n"


def summary(results: Results) -> str:
    """Return what goes into the README."""
    single = [record for record in results["default"]["ratios"] if record["dtype"] == "float32"]
    return "\n\n".join(
        [
            f"How many times longer PyLops {results['default']['facts']['pylops']} (in its own `TorchOperator`) and "
            "hand-written torch take, geometric means over the operators in float32:",
            mean_table(single, with_dtype=False),
            target_table(results),
            catalogue_line(results["catalogue"]["catalogue"]),
            machine(results),
        ]
    )


def insert(readme: str, text: str) -> str:
    """Return ``readme`` with ``text`` between the markers, or as it is where it has none.

    >>> insert("a <!-- benchmark --> old <!-- /benchmark --> b", "new").split()
    ['a', '<!--', 'benchmark', '-->', 'new', '<!--', '/benchmark', '-->', 'b']
    """
    if BEGIN not in readme or END not in readme:
        return readme
    before, rest = readme.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"
