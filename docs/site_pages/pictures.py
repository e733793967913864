"""The pictures of the catalogue: a model, its data, and what the adjoint makes of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .examples import Example

INK = "#848484"
"""Text and lines, which can be read on light and on dark pages."""
COLOURS = ("#2f86d1", "#e0742a", "#3f9e5f")
SIGNED = 0.2
"""From this share of negative values on, zero is drawn in the middle of the colours."""
ROW, TILES = 3, 4
"""Arrays of few rows are drawn as lines, and others with more axes as a row of images."""


def draw(example: Example, path: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Draw the picture of an operator, and return the shapes of the model and of the data."""
    A, x = example.make()
    y = np.asarray(A(x))
    z = np.asarray(A.H(y))
    shape, shape_of_data = tuple(A.dims), tuple(A.dimsd)
    y = example.view(A, y)
    if example.flat:
        x, y, z = (part.reshape(example.flat) if part.size == np.prod(example.flat) else part for part in (x, y, z))
    figure = Figure(figsize=(6.9, 2.1), dpi=110, layout="constrained")
    at = np.asarray(eval(example.at, {"np": np})) if example.at else None
    panels = zip(
        figure.subplots(1, 3),
        (x, y, z),
        ("x", "A x", "A^H A x"),
        (example.axes[0], example.axes[1], example.axes[0]),
        (example.scale_of_model, example.scale, example.scale_of_model),
        (None, at, None),
        strict=True,
    )
    for axes, values, title, labels, scale, places in panels:
        _panel(axes, values, example, scale, places)
        is_magnitude = (np.iscomplexobj(values) and example.complex == "magnitude") or scale != 1
        title = rf"|{title}|" if is_magnitude else title
        axes.set_title(f"${title}$" if scale == 1 else rf"${title}^{{1/{scale:g}}}$", color=INK, fontsize=11)
        axes.set_xlabel(labels[0], color=INK, fontsize=8, labelpad=2)
        axes.set_ylabel(labels[1], color=INK, fontsize=8, labelpad=2)
    figure.savefig(path, transparent=True)
    return shape, shape_of_data


def _panel(axes: Any, values: Any, example: Example, scale: float, places: Any) -> None:
    axes.tick_params(colors=INK, labelsize=7, length=2)
    for spine in axes.spines.values():
        spine.set_color(INK)
    if np.iscomplexobj(values):
        values = np.stack([values.real, values.imag]) if example.complex == "parts" else np.abs(values)
    if values.ndim == 1 or (values.ndim == 2 and min(values.shape) <= ROW and not example.section):
        return _lines(axes, np.atleast_2d(values if values.ndim == 1 or len(values) <= ROW else values.T), places)
    image = _tiles(values, example.section)
    if scale != 1:
        image = np.abs(image) ** (1 / scale)
    has_signs = np.nanmin(image) < -SIGNED * np.nanmax(np.abs(image))
    limit = np.nanpercentile(np.abs(image), 99.7) or np.nanmax(np.abs(image)) or 1.0
    colours = "RdBu_r" if example.section and has_signs else "gray"
    colours = "gray_r" if example.section and not has_signs else colours
    aspect = "auto" if example.section else "equal"
    low = -limit if has_signs else 0
    axes.imshow(image, cmap=colours, vmin=low, vmax=limit, aspect=aspect, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    return None


def _lines(axes: Any, rows: Any, places: Any) -> None:
    axes.axhline(0, color=INK, linewidth=0.6)
    for row, colour in zip(rows, COLOURS, strict=False):
        marker = "o" if row.size <= 40 else ""
        style = "none" if row.size <= 10 else "-"
        at = np.arange(row.size) if places is None else places
        axes.plot(at, row, color=colour, linewidth=1.3, marker=marker, markersize=3, linestyle=style)
        if style == "none":
            axes.vlines(at, 0, row, color=colour, linewidth=1.3)
    axes.margins(x=0.03 if rows.shape[1] > 10 else 0.15, y=0.1)
    axes.locator_params(nbins=4)


def _tiles(values: Any, is_section: bool) -> Any:
    """Return an array with two or more axes as one image: slices side by side, with a gap between them."""
    values = np.asarray(values, dtype=float)
    if values.ndim == 2:
        return values.T if is_section else values
    if values.ndim > 3 and is_section:
        values = values.reshape(-1, *values.shape[-2:])
    if values.ndim in (4, 6):  # a table of images, or of volumes, of which the first slice is drawn
        values = values if values.ndim == 4 else values[0, :, :, 0]
        values = values.repeat(max(1, 48 // values.shape[2]), 2).repeat(max(1, 48 // values.shape[3]), 3)
        columns = max(2, values.shape[2] // 24), max(2, values.shape[3] // 24)
        padded = np.pad(values, [(0, 0), (0, 0), (0, columns[0]), (0, columns[1])], constant_values=np.nan)
        return np.block([list(row) for row in padded])[: -columns[0], : -columns[1]]
    values = values[:TILES] if not is_section else values
    pieces = [piece.T if is_section else piece for piece in values]
    gap = np.full((pieces[0].shape[0], max(1, pieces[0].shape[1] // 16)), np.nan)
    if not is_section and len(pieces) == TILES:
        row = lambda a, b: np.hstack([a, gap, b])  # noqa: E731
        top, bottom = row(*pieces[:2]), row(*pieces[2:])
        return np.vstack([top, np.full((gap.shape[1], top.shape[1]), np.nan), bottom])
    return np.hstack([part for piece in pieces for part in (piece, gap)][:-1])
