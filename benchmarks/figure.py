"""The plot of the README: the speed of every operator relative to PyLops's, by size and batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from benchmarks.report import MODES, cells_of
from benchmarks.tabulating import Record, geometric_mean, ratio, times

# Blue and vermilion of Okabe and Ito, which are distinguishable with any colour vision. The markers differ as well.
STYLES = {"forward": ("#0072b2", "o", -0.2), "both": ("#d55e00", "D", 0.2)}
TICKS = {0.1: "0.1", 0.3: "0.3", 1: "1", 3: "3", 10: "10", 30: "30", 100: "100", 300: "300"}


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the ratios of all operators in float32 and their geometric means, and write the plot to ``path``."""
    default = results["default"]
    cells = cells_of([record for record in default["ratios"] if record["dtype"] == "float32"])
    figure = Figure(figsize=(8, 1.4 + 0.42 * len(cells)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(1, color="0.2", linewidth=1.8, zorder=1)
    for mode, (colour, marker, shift) in STYLES.items():
        means = []
        for row, (_, _, _, records) in enumerate(cells):
            found = [value for record in records if (value := ratio(record, mode, "pylops"))]
            axes.plot(found, [row + shift] * len(found), "|", color=colour, alpha=0.35, markersize=9, zorder=2)
            means.append(geometric_mean(found))
        rows = [row + shift for row in range(len(cells))]
        axes.plot(
            [mean or float("nan") for mean in means], rows, marker, color=colour, markersize=8,
            markeredgecolor="white", label=f"{MODES[mode]}, geometric mean", zorder=3,
        )  # fmt: skip
        for mean, height in zip(means, rows, strict=True):
            if mean:
                axes.annotate(
                    times(mean), (1, height), xycoords=("axes fraction", "data"), xytext=(6, 0),
                    textcoords="offset points", color=colour, va="center", fontsize=9.5,
                )  # fmt: skip
    axes.plot([], [], "|", color="0.4", markersize=9, label="one operator each")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(TICKS)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(TICKS), list(TICKS.values()))
    axes.set_yticks(range(len(cells)), [_label(size, batch) for size, batch, _, _ in cells])
    axes.set_ylim(len(cells) - 0.4, -0.6)
    _separate(axes, cells)
    axes.grid(axis="x", color="0.9", zorder=0)
    axes.tick_params(labelsize=10.5, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    facts = default["facts"]
    axes.set_xlabel(f"times as fast as PyLops {facts['pylops']}   (left of 1: PyLops is faster)", fontsize=10.5)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=10)
    figure.savefig(path, dpi=200, metadata={"Software": None})


def _label(size: str, batch: int) -> str:
    noun = "model" if size.endswith("samples") else "image"
    return f"{batch} {noun}{'s' * (batch > 1)} of {size.strip('()').replace(', ', ' x ')}"


def _separate(axes: Any, cells: Sequence[tuple[str, int, str, list[Record]]]) -> None:
    """Draw a line between two sizes."""
    for row in range(1, len(cells)):
        if cells[row][0] != cells[row - 1][0]:
            axes.axhline(row - 0.5, color="0.85", linewidth=1)
