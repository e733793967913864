"""Plots of the measurements: the speed of every operator relative to PyLops's, for the README, and others like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from benchmarks.report import MODES, cells_of
from benchmarks.tabulating import geometric_mean, ratio, times

# Blue and vermilion of Okabe and Ito, which are distinguishable with any colour vision. The markers differ as well.
STYLES = (("#0072b2", "o"), ("#d55e00", "D"))
TICKS = {0.01: "0.01", 0.1: "0.1", 0.3: "0.3", 1: "1", 3: "3", 10: "10", 30: "30", 100: "100", 300: "300"}


@dataclass(frozen=True)
class Row:
    """A row of a plot of ratios.

    Attributes:
        label: What was measured.
        ratios: The ratios, by the name of the series.
        group: Rows of different groups are separated by a line.
    """

    label: str
    ratios: Mapping[str, Sequence[float]]
    group: str = ""


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the ratios of all operators in float32 and their geometric means, and write the plot to ``path``."""
    default = results["default"]
    rows = []
    for size, batch, _, records in cells_of([record for record in default["ratios"] if record["dtype"] == "float32"]):
        ratios = {
            label: [value for record in records if (value := ratio(record, mode, "pylops"))]
            for mode, label in MODES.items()
        }
        rows.append(Row(_label(size, batch), ratios, group=size))
    label = f"times as fast as PyLops {default['facts']['pylops']}   (left of 1: PyLops is faster)"
    save(strips(rows, label, one="one operator each"), path)


def strips(rows: Sequence[Row], label: str, one: str) -> Figure:
    """Return a plot of ratios, a tick for each, with their geometric means.

    Args:
        rows: The rows, from top to bottom. All have the same series, of which there are at most two.
        label: Label of the horizontal axis.
        one: What a tick stands for, in the legend.
    """
    names = list(rows[0].ratios)
    figure = Figure(figsize=(8, 1.4 + 0.42 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(1, color="0.2", linewidth=1.8, zorder=1)
    shifts = (-0.2, 0.2) if len(names) == 2 else (0.0,)
    for name, (colour, marker), shift in zip(names, STYLES, shifts, strict=False):
        means = [geometric_mean(row.ratios[name]) for row in rows]
        heights = [place + shift for place in range(len(rows))]
        for row, height in zip(rows, heights, strict=True):
            found = row.ratios[name]
            axes.plot(found, [height] * len(found), "|", color=colour, alpha=0.35, markersize=9, zorder=2)
        axes.plot(
            [mean or float("nan") for mean in means], heights, marker, color=colour, markersize=8,
            markeredgecolor="white", label=f"{name}, geometric mean".lstrip(", "), zorder=3,
        )  # fmt: skip
        for mean, height in zip(means, heights, strict=True):
            if mean:
                axes.annotate(
                    times(mean), (1, height), xycoords=("axes fraction", "data"), xytext=(6, 0),
                    textcoords="offset points", color=colour, va="center", fontsize=9.5,
                )  # fmt: skip
    axes.plot([], [], "|", color="0.4", markersize=9, label=one)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(TICKS)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(TICKS), list(TICKS.values()))
    _limit(axes, [value for row in rows for values in row.ratios.values() for value in values])
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    _separate(axes, rows)
    axes.grid(axis="x", color="0.9", zorder=0)
    axes.tick_params(labelsize=10.5, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(label, fontsize=10.5)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=10)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a plot to ``path``."""
    figure.savefig(path, dpi=200, metadata={"Software": None})


def _label(size: str, batch: int) -> str:
    noun = "model" if size.endswith("samples") else "image"
    return f"{batch} {noun}{'s' * (batch > 1)} of {size.strip('()').replace(', ', ' x ')}"


def _limit(axes: Any, values: Sequence[float]) -> None:
    """Show all values, and at least two ticks."""
    low, high = min((*values, 0.8)), max((*values, 3.5))
    axes.set_xlim(low / 1.3, high * 1.3)


def _separate(axes: Any, rows: Sequence[Row]) -> None:
    """Draw a line between two groups."""
    for place in range(1, len(rows)):
        if rows[place].group != rows[place - 1].group:
            axes.axhline(place - 0.5, color="0.85", linewidth=1)
