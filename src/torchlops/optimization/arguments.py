"""What all of PyLops's classes have in common: arguments in its order, and the memory of their vectors."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from torchlops.linearoperator import LinearOperator

RULE = "-" * 65


class UnknownOptionError(NotImplementedError, ValueError):
    """An option has a value that is not known. PyLops raises one or the other of the two."""


_UNITS = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


def as_list(value: Any, what: str) -> list[Any]:
    """Return what a user gives as a list, nothing as an empty one.

    Raises:
        TypeError: where it is one thing, and not a list.
    """
    if value is None:
        return []
    if isinstance(value, list | tuple) or (hasattr(value, "ndim") and value.ndim == 1):
        return list(value)
    raise TypeError(
        f"{what} must be a list with an entry for each regulariser, got {type(value).__name__}: write [...]"
    )


def one_for_each(parts: Sequence[Any], value: Any, default: Any, what: str) -> list[Any]:
    """Return a list that goes with ``parts``: the default for each, unless the user gives one and there are parts."""
    return as_list(value, what) if parts and value is not None else [default] * len(parts)


def number_of_rows(shape: Any) -> int:
    """Return the number of data of regularisers, given as a shape, a number, or not at all."""
    return 0 if shape is None else math.prod(shape) if hasattr(shape, "__len__") else int(shape)


class Face:
    """Base of the classes with ``setup``, ``run``, ``finalize`` and ``solve``.

    Attributes:
        Op: The operator.
    """

    Op: LinearOperator
    setup_order: ClassVar[str]
    solve_order: ClassVar[str]
    """The arguments of ``setup`` and ``solve`` in the order that they have in PyLops; further ones go by name."""
    required: ClassVar[str] = "y"

    def _arguments(
        self, method: str, known: Collection[str], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the arguments of ``setup`` or ``solve`` by name, given all that are known.

        Raises:
            TypeError: where one is missing, unknown or there twice.
        """
        order = getattr(self, f"{method}_order").split()
        by_place = dict(zip(order, args, strict=False))
        unknown = [name for name in kwargs if name not in known]
        twice = [name for name in kwargs if name in by_place]
        missing = [name for name in self.required.split() if name not in by_place and name not in kwargs]
        faults = {"does not know": unknown, "got twice": twice, "needs": missing}
        said = [f"{fault} {', '.join(names)}" for fault, names in faults.items() if names]
        if len(args) > len(order):
            said.append(f"got {len(args)} arguments without a name, and takes {len(order)}")
        if said:
            further = ", ".join(name for name in dict.fromkeys(known) if name not in order)
            raise TypeError(
                f"{type(self).__name__}.{method} {' and '.join(said)}: it takes ({', '.join(order)})"
                + (f", and by name {further}" if further else "")
            )
        return {**by_place, **kwargs}

    def _memory_usage(self, vectors: tuple[int, int], more_rows: int, show: bool, unit: str) -> float:
        """Return, and print with ``show``, the memory of so many models, and so many data, of one sample."""
        of_model, of_data = vectors
        size = of_model * self.Op.shape[1] + of_data * (self.Op.shape[0] + more_rows)
        usage = float(size * self.Op.dtype.itemsize) / _UNITS[unit]
        if show:
            print(f"{type(self).__name__} predicted memory usage: {usage:.2f} {unit}")
        return usage
