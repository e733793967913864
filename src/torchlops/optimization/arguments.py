"""Arguments of solvers in the order of PyLops, and the memory of their vectors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torchlops.linearoperator import LinearOperator

_UNITS = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


def read_arguments(
    method: str, order: Sequence[str], known: Collection[str], required: str, args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Return the arguments of a method by name, given those that have a place, and all.

    Raises:
        TypeError: where one is missing, unknown or there twice.
    """
    by_place = dict(zip(order, args, strict=False))
    unknown = [name for name in kwargs if name not in known]
    twice = [name for name in kwargs if name in by_place]
    missing = [name for name in required.split() if name not in by_place and name not in kwargs]
    faults = {"does not know": unknown, "got twice": twice, "needs": missing}
    said = [f"{fault} {', '.join(names)}" for fault, names in faults.items() if names]
    if len(args) > len(order):
        said.append(f"got {len(args)} arguments without a name, and takes {len(order)}")
    if said:
        further = [name for name in dict.fromkeys(known) if name not in order]
        raise TypeError(
            f"{method} {' and '.join(said)}: it takes ({', '.join(order)})"
            + (f", and by name {', '.join(further)}" if further else "")
        )
    return {**by_place, **kwargs}


def memory_usage(
    name: str, A: LinearOperator, vectors: tuple[int, int], more_rows: int, show: bool, unit: str
) -> float:
    """Return, and print with ``show``, the memory of vectors of one sample: so many models, and so many data."""
    of_model, of_data = vectors
    usage = float((of_model * A.shape[1] + of_data * (A.shape[0] + more_rows)) * A.dtype.itemsize) / _UNITS[unit]
    if show:
        print(f"{name} predicted memory usage: {usage:.2f} {unit}")
    return usage
