"""Figures of models, data, solvers and operators.

They need matplotlib: ``pip install 'torchlops[plot]'``. Each function draws into ``ax``, or into a new figure, and
returns the axes, on which everything else can be set. It takes tensors, with a graph or on a device, as well as arrays.

Example:
    >>> import torch, torchlops
    >>> gather = torch.randn(40, 100, requires_grad=True)  # (traces, time)
    >>> ax = torchlops.plot.image(gather.T, symmetric=True, label="amplitude", xlabel="trace", ylabel="sample")
    >>> ax.get_xlabel(), ax.get_images()[0].get_array().shape
    ('trace', (100, 40))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from torchlops import linalg
from torchlops.arrays import as_tensor, to_numpy
from torchlops.extras import import_extra
from torchlops.linearoperator import LinearOperator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["convergence", "image", "sparsity", "spectrum", "wiggle"]

LARGEST_MATRIX = 2000
"""The largest number of rows and columns that :func:`sparsity` draws: a figure has no more pixels."""


def image(
    data: Any,
    ax: Axes | None = None,
    *,
    x: Any = None,
    y: Any = None,
    symmetric: bool = False,
    colorbar: bool = True,
    label: str = "",
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    **options: Any,
) -> Axes:
    """Draw a model or data as an image, with the first row on top.

    Args:
        data: Values, ``(rows, columns)``: for a seismic section ``(time, traces)``.
        ax: Where to draw; by default a new figure.
        x: Coordinates of the columns, evenly spaced, which the pixels are centred on; by default their numbers.
        y: Coordinates of the rows, in the same way.
        symmetric: Whether the scale of colours is symmetric about zero, as for data that have a sign.
        colorbar: Whether to draw the scale of colours.
        label: What the colours show, with its unit, beside that scale.
        title: Title of the axes.
        xlabel: What the columns are, with the unit.
        ylabel: What the rows are, with the unit.
        **options: Arguments of ``Axes.imshow``, such as ``cmap``, ``vmin`` and ``vmax``.

    Example:
        >>> import torch
        >>> ax = image(torch.tensor([[-1.0, 3.0]]), x=[0, 10], symmetric=True, xlabel="offset / m")
        >>> ax.get_images()[0].get_clim()
        (-3.0, 3.0)
    """
    values = _real(data, 2, "image", "(rows, columns)")
    columns, rows = (_edges(axis, n, name) for axis, n, name in ((x, values.shape[1], "x"), (y, values.shape[0], "y")))
    limits: dict[str, Any] = {}
    if symmetric:
        limit = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
        limits = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    ax = _axes(ax, "image")
    given = {"extent": (*columns, *rows[::-1]), "aspect": "auto" if x is not None or y is not None else "equal"}
    shown = ax.imshow(values, **{"cmap": "viridis", **limits, **given, **options})
    if colorbar:
        ax.figure.colorbar(shown, ax=ax, label=label)
    return _labelled(ax, title, xlabel, ylabel)


def wiggle(
    traces: Any,
    ax: Axes | None = None,
    *,
    x: Any = None,
    t: Any = None,
    scale: float = 1.0,
    color: str = "black",
    title: str = "",
    xlabel: str = "trace",
    ylabel: str = "sample",
) -> Axes:
    """Draw traces as wiggles downward, with the positive parts filled.

    Args:
        traces: Values, ``(traces, samples)``.
        ax: Where to draw; by default a new figure.
        x: Coordinates of the traces; by default their numbers.
        t: Times or depths of the samples; by default their numbers.
        scale: Distances between neighbouring traces that the largest amplitude covers.
        color: Colour of the lines.
        title: Title of the axes.
        xlabel: What the coordinates of the traces are, with the unit.
        ylabel: What the samples are, with the unit.

    Example:
        >>> import torch
        >>> len(wiggle(torch.randn(5, 50), xlabel="offset / m", ylabel="time / s").lines)
        5
    """
    values = _real(traces, 2, "wiggle", "(traces, samples)")
    places = _coordinates(x, values.shape[0], "x")
    times = _coordinates(t, values.shape[1], "t")
    step = float(np.median(np.abs(np.diff(places)))) if len(places) > 1 else 1.0
    largest = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    ax = _axes(ax, "wiggle")
    for place, trace in zip(places, values * (scale * step / largest), strict=True):
        ax.plot(place + trace, times, color=color, linewidth=0.6)
        ax.fill_betweenx(times, place, place + trace, where=(trace > 0).tolist(), color=color, linewidth=0)
    ax.set_ylim(float(times.max()), float(times.min()))
    return _labelled(ax, title, xlabel, ylabel)


def convergence(
    result: Any,
    ax: Axes | None = None,
    *,
    relative: bool = True,
    label: str = "",
    title: str = "",
    xlabel: str = "iteration",
    ylabel: str = "",
    **options: Any,
) -> Axes:
    """Draw the cost of a solver against its iterations, a line for each sample up to where it stopped.

    The cost is that of the solver: the norm of the residual for :func:`torchlops.cg`, for example.

    Args:
        result: What a solver returned, or a history of costs, ``(iterations + 1, *batch)``.
        ax: Where to draw; by default a new figure.
        relative: Whether to divide by the cost before the first iteration.
        label: Name in the legend, which stands once for all samples.
        title: Title of the axes.
        xlabel: Name of the horizontal axis.
        ylabel: Name of the vertical axis; by default ``cost``, or ``relative cost``.
        **options: Arguments of ``Axes.plot``, such as ``color``.

    Example:
        >>> import torch, torchlops
        >>> result = torchlops.cg(torchlops.Diagonal(torch.tensor([1.0, 2.0])), torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        >>> [len(line.get_xdata()) for line in convergence(result).lines]  # the cost of zero, and of each iteration
        [2, 3]
    """
    history = _real(getattr(result, "cost", result), None, "convergence", "(iterations + 1, *batch)")
    if not history.size:
        raise ValueError(
            "convergence: the result has no history of the cost, give one of shape (iterations + 1, *batch)"
        )
    history = history.reshape(len(history), -1)
    ends = np.full(history.shape[1], len(history) - 1)
    if hasattr(result, "iters"):
        ends = np.broadcast_to(
            _real(result.iters, None, "convergence", "(*batch,)").astype(int).reshape(-1), ends.shape
        )
    if relative:
        history = history / np.where(history[0] == 0, 1, history[0])
    ax = _axes(ax, "convergence")
    many = history.shape[1] > 1
    for sample, end in enumerate(ends):
        style = {"linewidth": 0.8 if many else 1.5, "marker": ".", "markevery": [int(end)], **options}
        style.setdefault("color", f"C{len(ax.lines) % 10}")
        ax.plot(history[: end + 1, sample], label=label if sample == 0 else None, **style)
    ax.set_yscale("log")
    ax.grid(alpha=0.3)
    if label:
        ax.legend()
    return _labelled(ax, title, xlabel, ylabel or ("relative cost" if relative else "cost"))


def spectrum(
    A: LinearOperator,
    ax: Axes | None = None,
    *,
    values: Literal["singular values", "eigenvalues"] = "singular values",
    k: int | None = None,
    label: str = "",
    title: str = "",
    **options: Any,
) -> Axes:
    """Draw the singular values of an operator in descending order, or its eigenvalues.

    Eigenvalues that are real are drawn in descending order, too, others in the complex plane.

    Args:
        A: The operator.
        ax: Where to draw; by default a new figure.
        values: Which values.
        k: How many of them, those of largest modulus; by default all, which takes the matrix of the operator.
        label: Name in the legend.
        title: Title of the axes.
        **options: Arguments of ``Axes.plot``.

    Example:
        >>> import torch, torchlops
        >>> spectrum(torchlops.Diagonal(torch.tensor([3.0, -4.0]))).lines[0].get_ydata()
        array([4., 3.], dtype=float32)
    """
    if values not in ("singular values", "eigenvalues"):
        raise ValueError(f"spectrum: values must be 'singular values' or 'eigenvalues', got {values!r}")
    with torch.no_grad():
        if values == "singular values":
            found = to_numpy(linalg.svdvals(A, k))
        else:
            found = to_numpy(as_tensor(linalg.eigvals(A) if k is None else A.eigs(k), "the eigenvalues"))
    ax = _axes(ax, "spectrum")
    options = {"marker": ".", **options}
    if np.abs(found.imag).max() > 1e-6 * np.abs(found).max():
        ax.plot(found.real, found.imag, label=label, **{"linestyle": "", **options})
        ax.set(xlabel="real part", ylabel="imaginary part")
    else:
        ax.plot(np.arange(1, len(found) + 1), np.sort(found.real)[::-1], label=label, **options)
        ax.set(xlabel="number", ylabel=values.removesuffix("s"))
        if values == "singular values" and found.real.min() > 0:
            ax.set_yscale("log")
    ax.grid(alpha=0.3)
    if label:
        ax.legend()
    return _labelled(ax, title or f"{values} of {A.name_and_type}", "", "")


def sparsity(A: LinearOperator, ax: Axes | None = None, *, title: str = "", **options: Any) -> Axes:
    """Draw the matrix of a small operator, where zeros are white; of a complex one, the moduli.

    Args:
        A: The operator, with at most ``LARGEST_MATRIX`` rows and columns.
        ax: Where to draw; by default a new figure.
        title: Title of the axes; by default what the operator is, and how many of its entries are not zero.
        **options: Arguments of :func:`image`.

    Raises:
        ValueError: If the operator is larger.

    Example:
        >>> import torchlops
        >>> sparsity(torchlops.FirstDerivative(4, kind="forward")).get_title()
        "FirstDerivative 'F': 6 of 16 entries"
    """
    if max(A.shape) > LARGEST_MATRIX:
        raise ValueError(
            f"sparsity draws at most {LARGEST_MATRIX} rows and columns, and {A.name_and_type} has "
            f"{A.shape[0]} x {A.shape[1]}: draw the operator for smaller dims, or some columns, "
            "A.apply_columns([...])"
        )
    with torch.no_grad():
        matrix = as_tensor(A.todense(backend="torch"), "the matrix")
    matrix = matrix.abs() if matrix.is_complex() else matrix
    count = int(matrix.count_nonzero())
    title = title or f"{A.name_and_type}: {count} of {matrix.numel()} entries"
    labels = {"label": "entry", "xlabel": "column", "ylabel": "row", "interpolation": "nearest"}
    return image(matrix, ax, symmetric=True, title=title, **{**labels, **options})


def _axes(ax: Axes | None, owner: str) -> Axes:
    """Return where to draw."""
    if ax is not None:
        return ax
    plt = import_extra("matplotlib.pyplot", f"plot.{owner}")
    new: Axes = plt.figure(layout="constrained").add_subplot()
    return new


def _labelled(ax: Axes, title: str, xlabel: str, ylabel: str) -> Axes:
    """Set the texts that are given, and leave the others as they are."""
    ax.set(**{name: text for name, text in {"title": title, "xlabel": xlabel, "ylabel": ylabel}.items() if text})
    return ax


def _real(values: Any, ndim: int | None, owner: str, shape: str) -> NDArray[Any]:
    """Return a user's real values as an array."""
    tensor = as_tensor(values, f"plot.{owner}: the values")
    if tensor.is_complex():
        raise ValueError(f"{owner} draws real values, and these are complex: give x.real, x.imag, x.abs() or x.angle()")
    if tensor.ndim != ndim and ndim is not None:
        raise ValueError(
            f"{owner} takes values of shape {shape}, got {tuple(tensor.shape)}: reshape them, or draw the samples of a "
            "batch one by one"
        )
    return to_numpy(tensor)


def _coordinates(axis: Any, size: int, name: str) -> NDArray[Any]:
    """Return the coordinates of the samples of an axis."""
    if axis is None:
        return np.arange(size, dtype=float)
    places = _real(axis, 1, name, "(samples,)")
    if len(places) != size:
        raise ValueError(f"{name} must have a coordinate for each of the {size} samples, got {len(places)}")
    return places


def _edges(axis: Sequence[float] | None, size: int, name: str) -> tuple[float, float]:
    """Return the edges of the first and of the last pixel."""
    places = _coordinates(axis, size, name)
    first, last = float(places[0]), float(places[-1])
    half = 0.5 * (last - first) / (size - 1) if size > 1 else 0.5
    if size > 1 and np.abs(np.diff(places) - 2 * half).max() > 1e-3 * abs(2 * half):
        raise ValueError(f"image: {name} must be evenly spaced; for other coordinates, use Axes.pcolormesh")
    return first - half, last + half
