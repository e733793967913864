"""Where the source of an object can be read."""

from __future__ import annotations

import importlib
import inspect
from functools import reduce
from pathlib import Path

import torchlops

REPOSITORY = "https://github.com/torchlops/torchlops"
ROOT = Path(torchlops.__file__).parents[1]


def resolve(domain: str, info: dict[str, str]) -> str | None:
    """Return the address of the lines that define an object, or None if they are not known."""
    if domain != "py" or not info["module"]:
        return None
    try:
        module = importlib.import_module(info["module"])
        found = inspect.unwrap(reduce(getattr, info["fullname"].split("."), module))
        path = Path(inspect.getsourcefile(found) or "").relative_to(ROOT)
        lines, first = inspect.getsourcelines(found)
    except (AttributeError, ImportError, OSError, TypeError, ValueError):  # a constant, a property, a part of torch
        return None
    return f"{REPOSITORY}/blob/main/src/{path}#L{first}-L{first + len(lines) - 1}"
