"""The measurements: plots, tables and a summary, made from the file of results when the documentation is built."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks import report, smallreport, solverreport
from benchmarks.figure import STYLES, Row, draw, save, strips
from benchmarks.results import load
from benchmarks.tabulating import table

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results.json"


def write(folder: Path) -> None:
    """Write the page of all results, the parts of the page on benchmarks, and its plots into ``folder``."""
    results = load(RESULTS)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(RESULTS, folder)  # the page of all results links to it
    tables = report.render(results).replace("# Benchmarks", "# All measurements", 1)
    (folder / "results.md").write_text(tables, encoding="utf-8")
    # included by the page, and so named that they are no pages themselves
    (folder / "summary.inc").write_text(report.summary(results) + "\n", encoding="utf-8")
    (folder / "targets.inc").write_text(_targets(results) + "\n", encoding="utf-8")
    draw(results, folder / "operators.png")
    save(_solvers(results), folder / "solvers.png")
    save(_small(results), folder / "small.png")
    save(_memory(results), folder / "memory.png")


def _targets(results: dict[str, Any]) -> str:
    found = report.targets(results)
    missed = [[target.goal, target.found] for target in found if not target.reached]
    return f"{len(missed)} of {len(found)} targets are missed.\n\n{table(['target', 'found'], missed, side='---')}"


def _solvers(results: dict[str, Any]) -> Figure:
    """Plot the speed of each solver on a batch, relative to a loop over that of another library."""
    records = solverreport.gathered(results)["batches"]
    rows = []
    for problem in dict.fromkeys(record["problem"] for record in records):
        here = [record for record in records if record["problem"] == problem]
        ratios = {
            dtype: [solverreport.faster(record) for record in here if record["dtype"] == dtype]
            for dtype in ("float32", "float64")
        }
        rows.append(Row(problem, ratios))
    return strips(rows, "times as fast as a loop over 64 samples", one="one solver each")


def _small(results: dict[str, Any]) -> Figure:
    """Plot the speed of each operator on small NumPy vectors, relative to PyLops's."""
    records = results["small"]["small"]["operators"]
    rows = []
    for size in dict.fromkeys(record["size"] for record in records):
        here = [record for record in records if record["size"] == size]
        ratios = {
            mode: [1 / value for record in here if (value := smallreport.relative(record, mode))]
            for mode in smallreport.MODES
        }
        rows.append(Row(f"{size} samples", ratios))
    return strips(rows, "times as fast as PyLops   (left of 1: PyLops is faster)", one="one operator each")


def _memory(results: dict[str, Any]) -> Figure:
    """Plot the memory that autograd keeps for the derivative of solutions, by the number of iterations."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    records = solverreport.gathered(results)["derivatives"]
    for (colour, marker), (way, words) in zip(
        STYLES, (("implicit", "implicit differentiation"), ("unroll", "iterations unrolled")), strict=True
    ):
        for record, dashes in zip(records, ("-", "--", ":"), strict=False):
            counts = [int(count) for count in record["kept"]]
            kept = [each[way] / 2**20 for each in record["kept"].values()]
            axes.plot(counts, kept, dashes, marker=marker, color=colour, label=f"{words}, {record['solver']}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    counts = sorted({int(count) for record in records for count in record["kept"]})
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    axes.set_xlabel("iterations")
    axes.set_ylabel("kept for the backward pass, MiB")
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure
