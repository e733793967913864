"""``torchlops check``: the promises of the library, on an operator of the user."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import operator
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torchlops.linearoperator import LinearOperator
from torchlops.testing import PROMISES, findings


class UsageError(Exception):
    """What was asked for cannot be checked; the message says why."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "check",
        help="check every promise on an operator of yours",
        description="Check every promise on a small operator of yours, as torchlops.testing.check does. The exit "
        "status is 0 if all hold, 1 if one fails, and 2 if there is nothing to check.",
    )
    parser.add_argument(
        "operator",
        metavar="module:operator",
        help="a module, or the path of a file (file.py:operator), and in it an operator, or a function or class that "
        "gives one without arguments",
    )
    parser.add_argument(
        "--no-compile", action="store_true", help="skip torch.compile and torch.export, which take most of the time"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the verdict on each promise and return the exit status."""
    try:
        A = load(options.operator)
        return _report(A, compile=not options.no_compile)
    except UsageError as error:
        print(f"torchlops check: {error}", file=sys.stderr)
        return 2


def load(where: str) -> LinearOperator:
    """Return the operator at ``module:attribute`` or ``file.py:attribute``.

    Raises:
        UsageError: If there is none.
    """
    place, _, name = where.rpartition(":")
    if not place or not name:
        raise UsageError(f"expected module:operator or file.py:operator, got {where!r}")
    module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    try:
        found: Any = operator.attrgetter(name)(module)
    except AttributeError:
        raise UsageError(f"{place} has no {name!r}") from None
    if isinstance(found, type) or (callable(found) and not hasattr(found, "matvec")):
        try:
            found = found()
        except Exception as error:
            raise UsageError(
                f"{where}() raised {type(error).__name__}: {error}. Name an operator, or a function or class that "
                "gives one without arguments"
            ) from error
    if not isinstance(found, LinearOperator):
        hint = "; wrap it by torchlops.aslinearoperator" if hasattr(found, "matvec") else ""
        raise UsageError(f"{where} gives a {type(found).__name__}, not a torchlops.LinearOperator{hint}")
    return found


def _load_module(name: str) -> ModuleType:
    sys.path.insert(0, "")  # as python -m does, so that modules of the current folder are found
    with _blaming_import(name):
        return importlib.import_module(name)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    sys.path.insert(0, str(path.resolve().parent))  # for what the file imports
    name = path.stem if path.stem not in sys.modules else f"checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # where pickle finds its classes
    with _blaming_import(path):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _blaming_import(name: str | Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise UsageError(f"importing {name} raised {type(error).__name__}: {error}") from error


def _report(A: LinearOperator, compile: bool) -> int:
    """Check ``A``, print the verdicts as they come, and return the exit status."""
    rows, columns = A.shape
    print(f"{A.name_and_type}, {rows} x {columns}")
    width = max(map(len, PROMISES))
    failed, number, start = 0, 0, time.perf_counter()
    try:
        for name, failure in findings(A, compile=compile):
            number += 1
            failed += failure is not None
            print(f"  {name.ljust(width)}  {'holds' if failure is None else f'FAILS: {failure}'}", flush=True)
    except ValueError as error:  # the operator is too large
        raise UsageError(str(error)) from error
    verdict = f"{failed} of {number} promises fail" if failed else f"all {number} promises hold"
    print(f"{verdict} ({time.perf_counter() - start:.1f} s)")
    return 1 if failed else 0
