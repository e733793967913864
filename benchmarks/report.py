"""The measurements as Markdown: ``RESULTS.md``, and a summary for the README."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.cataloguereport import means as catalogue_means
from benchmarks.cataloguereport import section as catalogue_section
from benchmarks.smallreport import section as small_section
from benchmarks.smallreport import targets as small_targets
from benchmarks.solverreport import faster as faster_than_loop
from benchmarks.solverreport import gathered
from benchmarks.solverreport import section as solver_section
from benchmarks.solverreport import targets as solver_targets
from benchmarks.solverreport import wrong as wrong_solutions
from benchmarks.tabulating import Record, geometric_mean, mebibytes, milliseconds, ratio, table, times

BEGIN, END = "<!-- benchmark -->", "<!-- /benchmark -->"
MODES = {"forward": "forward", "both": "forward + backward"}
MEMORY = {"default": "fresh memory", "reused": "memory reused"}
ONE_SMALL_MODEL = "one small model: our kernel calls torch (1 to 2 µs each) more often than PyLops's calls NumPy"
Results = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """A target, the measured value, and whether the target is reached."""

    goal: str
    found: str
    reached: bool


# -- figures -----------------------------------------------------------------------------------------------------


def times_faster(records: Sequence[Record], mode: str, other: str = "pylops") -> float | None:
    return geometric_mean(ratio(record, mode, other) for record in records)


def slower_cases(records: Sequence[Record]) -> list[tuple[float, Record, str]]:
    """Return (ratio, record, mode) for every case in which PyLops is faster, the worst first."""
    cases = [(ratio(record, mode, "pylops"), record, mode) for record in records for mode in MODES]
    slower = [(value, record, mode) for value, record, mode in cases if value is not None and value < 1]
    return sorted(slower, key=lambda case: case[0])


def overheads_above(overheads: Sequence[Record], other: str) -> dict[str, float]:
    """Return the microseconds of a call beyond the ``other``, for each operator with a hand-written counterpart."""
    return {r["operator"]: r["ours"] - r[other] for r in overheads if "hand" in r}


def median(values: Collection[float]) -> float:
    return statistics.median(values) if values else math.nan


def compared(records: Sequence[Record]) -> int:
    """Return the number of cases in which both libraries were timed."""
    return sum(ratio(record, mode, "pylops") is not None for record in records for mode in MODES)


def records_of_small_models(default: Record) -> list[Record]:
    return [r for r in default["ratios"] if r["size"].endswith("samples") and r["batch"] == 256]


def records_of_large_images(results: Results) -> list[Record]:
    """Return the records of the cases that were also measured with memory reused."""
    cells = {(r["size"], r["batch"], r["dtype"]) for r in results["reused"]["large"]}
    return [r for r in results["default"]["ratios"] if (r["size"], r["batch"], r["dtype"]) in cells]


def wrong_answers(results: Results) -> list[str]:
    """Return the operators whose results differ from ours, except for known defects of PyLops."""
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
    """Return every target with the measured value."""
    default, reused = results["default"], results["reused"]
    small, large = records_of_small_models(default), records_of_large_images(results)
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
        *(Target(*target) for target in (small_targets(results["small"]["small"]) if "small" in results else ())),
    ]


def _at_least(what: str, least: float, found: float | None) -> Target:
    goal = f"{what}: at least {least:g} times as fast as PyLops (geometric mean)"
    return Target(goal, "not measured" if found is None else times(found), found is not None and found >= least)


def _overhead_targets(overheads: Sequence[Record]) -> list[Target]:
    kinds = {"our own torch expression": "kernel", "the hand-written one": "hand"}
    found = []
    for what, name in kinds.items():
        above = overheads_above(overheads, name)
        over = sorted((operator for operator, value in above.items() if value > 5), key=lambda o: -above[o])
        names = _few([f"{operator} ({above[operator]:.0f})" for operator in over])
        said = f"median {median(above.values()):.1f} µs; above 5 µs: {names}"
        found.append(Target(f"a call on 64 samples: at most 5 µs above {what}", said, not over))
    return found


def _none_slower(records: Sequence[Record]) -> Target:
    slower = slower_cases(records)
    names = list(dict.fromkeys(record["operator"] for _, record, _ in slower))
    return Target(
        "no operator slower than PyLops's", f"{len(slower)} of {compared(records)} cases: {_few(names)}", not slower
    )


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


def _few(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def target_table(results: Results) -> str:
    rows = [[t.goal, t.found, "yes" if t.reached else "**no**"] for t in targets(results)]
    return table(["target", "found", "reached"], rows, side="---")


def mean_table(records: Sequence[Record]) -> str:
    """Return the geometric means over the operators, one row per size, batch and dtype."""
    rows = []
    for size, batch, dtype, cell in cells_of(records):
        means = [times_faster(cell, mode, other) for other in ("pylops", "hand") for mode in MODES]
        if any(means):
            rows.append([f"{size}, batch {batch}, {dtype}", *map(times, means)])
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


def still_slower(records: Sequence[Record]) -> str:
    cases = slower_cases(records)
    return ", ".join(f"{record['operator']}, {MODES[mode]} ({value:.2f})" for value, record, mode in cases) or "no case"


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
    header = ["operator", "shape", "axis", MEMORY["default"], MEMORY["reused"], "target", "", "a copy, ms"]
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
    """Return the cases that were not timed, with the reasons."""
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
        f"SciPy {f['scipy']}, PyLops {f['pylops']}, torchlops {f['torchlops']}; {f['threads']} threads unless noted."
    )


def render(results: Results) -> str:
    """Return ``RESULTS.md``."""
    default, reused = results["default"], results["reused"]
    records = default["ratios"]
    wrong = wrong_answers(results)
    parts = [
        "# Benchmarks",
        "Written by `make bench` (`python -m benchmarks`) from [results.json](results.json).",
        machine(results),
        "## How to read",
        "Every operator is timed against PyLops's operator of the same name and arguments, wrapped in PyLops's own "
        "`TorchOperator`, and against hand-written torch code, alternately, on the same data, in the same process. "
        "Times are medians by `torch.utils.benchmark`: of the wall-clock time, or of the CPU time where one thread is "
        "used. The results and gradients of all three are compared before they are timed.\n\n"
        "- *x PyLops*, *x hand*: how many times longer PyLops and the hand-written code take than we do. Above 1, we "
        "are faster.\n"
        "- *copies*: our forward time in units of `y.copy_(x)` of the input, the limit that memory sets.\n"
        "- *both*, *fwd + bwd*: forward and `torch.autograd.grad`.\n"
        "- n/a: not timed, for the reasons given at the end. A case is skipped if it is estimated to need more than "
        "3 GiB, or more than 5 s per call.\n"
        "- Models of 64 and 256 samples are 8 x 8 and 16 x 16 for operators that need two axes. Real, Imag, Conj and "
        "the complex FFTs take complex models of the same precision.\n\n"
        "The C library takes fresh memory from the system for each large output, and the first access to its pages "
        "costs more than the arithmetic of most operators (less for NumPy, which asks for huge pages, than for torch). "
        "That is the default, and what the tables show unless they say *memory reused*: these were measured in a "
        "process that had called `torchlops.utils.reuse_memory()`.",
        "## Targets",
        target_table(results),
        *(["**Answers differ from ours:** " + ", ".join(wrong)] if wrong else []),
        "## Geometric means",
        mean_table(records),
        "Memory reused:",
        mean_table(reused["large"]),
        "## Where PyLops is faster",
        "Ratios below 1, the worst case of each operator. For large sizes without a reason, the likely cause is fresh "
        "memory, which torch takes page by page and NumPy as huge pages. With memory reused, on batches of 32 of "
        f"(512, 512), PyLops is still faster in: {still_slower(reused['large'])}.",
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
        "Microseconds per call on 64 samples in float64 on one thread. *Difference*: ours minus the hand-written "
        "expression. *Above our kernel*: ours minus a direct call of our kernel, which is the cost of checking shapes "
        "and types.",
        overhead_table(default["overheads"]),
        catalogue_section(results["catalogue"]["catalogue"]),
        *([small_section(results["small"]["small"], results["small"]["facts"]["cpu"])] if "small" in results else []),
        solver_section(gathered(results)),
        "## Memory",
        "Peak memory of a chain of smoothing, first derivative, Fourier transform (real to complex), restriction to "
        "half of the samples and weighting, forward and backward on 32 images of 512 x 512 in float32, beyond what was "
        "allocated before (the input included); each in a separate process. PyLops's layer returns a complex gradient "
        "for a real input, which torch refuses, so its chain casts to complex before the transform.",
        memory_table(results),
        "## Not timed",
        notes((*records, *reused["large"])),
    ]
    return "\n\n".join(parts) + "\n"


def summary(results: Results) -> str:
    """Return the summary for the README: five lines, and the conditions of the measurement."""
    default, reused = results["default"], results["reused"]
    small, large = records_of_small_models(default), records_of_large_images(results)
    solved = gathered(results)
    derivative = solved["derivatives"][0]
    count, kept = list(derivative["kept"].items())[-1]
    rows = [
        [
            "operators on 256 models of 64 or 256 samples",
            f"**{times(times_faster(small, 'forward'))}** times as fast forward, "
            f"**{times(times_faster(small, 'both'))}** forward and backward",
        ],
        [
            "operators on 32 images of 512 x 512, forward and backward",
            f"**{times(times_faster(large, 'both'))}** times as fast, "
            f"**{times(times_faster(reused['large'], 'both'))}** with memory reused",
        ],
        [
            "Radon, wavelet, sliding-window and other transforms, batches of 32, forward and backward",
            f"**{times(catalogue_means(results['catalogue']['catalogue'])['batch'])}** times as fast",
        ],
        *solver_rows(solved),
        [
            f"memory kept for the derivative of 64 solutions, {count} iterations of {derivative['solver'].upper()}",
            f"**{mebibytes(kept['implicit'], 1)}** (implicit differentiation), where unrolling keeps "
            f"{mebibytes(kept['unroll'])}",
        ],
    ]
    slower = slower_cases(default["ratios"])
    overhead = median(overheads_above(default["overheads"], "hand").values())
    return "\n\n".join(
        [
            table(["", f"relative to PyLops {default['facts']['pylops']} (geometric means)"], rows, side="---"),
            f"PyLops is faster in {len(slower)} of {compared(default['ratios'])} cases. One call on 64 samples takes "
            f"{overhead:.1f} µs longer than hand-written torch (median). Measured on: {machine(results)}",
        ]
    )


def solver_rows(found: Record) -> list[list[str]]:
    """Return the speed of batches relative to loops, one row per problem."""
    problems: dict[str, list[float]] = {}
    for record in found["batches"]:
        problems.setdefault(record["problem"], []).append(faster_than_loop(record))
    return [
        [
            f"solvers on batches of 64: {problem}",
            f"**{times(geometric_mean(ratios))}** times as fast as loops over PyLops's and SciPy's",
        ]
        for problem, ratios in problems.items()
    ]


def insert(readme: str, text: str) -> str:
    """Return ``readme`` with ``text`` between the markers, or unchanged if it has no markers.

    >>> insert("a <!-- benchmark --> old <!-- /benchmark --> b", "new").split()
    ['a', '<!--', 'benchmark', '-->', 'new', '<!--', '/benchmark', '-->', 'b']
    """
    if BEGIN not in readme or END not in readme:
        return readme
    before, rest = readme.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"
