"""``import pylops``, answered by torchlops.

Code that is written for PyLops, also in packages of others, runs on torchlops without a change: call :func:`install`
before its first ``import pylops``, or run a script or a module from the command line::

    python -m torchlops.compat.pylops script.py
    python -m torchlops.compat.pylops -m pytest tests

A sub-module ``pylops.x`` is the sub-module ``torchlops.x``: the same object, so that classes agree, however imported.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

PEER = "pylops"


class _Loader(importlib.abc.Loader):
    """Hands out a module of torchlops, as it is."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:  # noqa: ARG002
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # the import system has just written the alias's into it


class _Finder(importlib.abc.MetaPathFinder):
    """Finds ``pylops`` and its sub-modules in torchlops."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        root, dot, rest = fullname.partition(".")
        if root != PEER:
            return None
        ours = f"torchlops{dot}{rest}"
        try:
            module = importlib.import_module(ours)
        except ModuleNotFoundError as error:
            if error.name != ours:
                raise
            raise ModuleNotFoundError(
                f"PyLops's module {fullname} has no counterpart in torchlops: see the page Coming from PyLops",
                name=fullname,
            ) from None
        return importlib.util.spec_from_loader(fullname, _Loader(module))


_FINDER = _Finder()


def install() -> None:
    """Make ``import pylops`` give torchlops, in this process from now on.

    Raises:
        RuntimeError: If PyLops itself has been imported already, so that its classes would mix with ours.

    Example:
        >>> import torchlops.compat.pylops
        >>> torchlops.compat.pylops.install()  # doctest: +SKIP
        >>> import pylops  # doctest: +SKIP
        >>> pylops is torchlops  # doctest: +SKIP
        True
    """
    loaded = sys.modules.get(PEER)
    if loaded is not None and loaded.__name__ == PEER:
        raise RuntimeError(
            "pylops has been imported already: call torchlops.compat.pylops.install() before the first import of it, "
            "also by other packages"
        )
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    for name, module in list(
        sys.modules.items()
    ):  # an import of these would bind utils.dottest, a function, to a module
        root, dot, rest = name.partition(".")
        if root == "torchlops":
            sys.modules[f"{PEER}{dot}{rest}"] = module


def uninstall() -> None:
    """Take back :func:`install`; names that were imported meanwhile stay as they are."""
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == PEER and module.__name__.startswith("torchlops"):
            del sys.modules[name]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a script, or with ``-m`` a module, with ``import pylops`` answered by torchlops."""
    parser = argparse.ArgumentParser(
        prog="python -m torchlops.compat.pylops", usage="%(prog)s (SCRIPT | -m MODULE) [ARGUMENTS]",
        description="Run a script or a module, in which 'import pylops' gives torchlops.",
    )  # fmt: skip
    parser.add_argument("-m", action="store_true", dest="is_module", help="run a module, as python -m does")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="SCRIPT [ARGUMENTS]")
    options = parser.parse_args(arguments)
    command: list[str] = options.command
    if not command:
        parser.error("there is nothing to run")
    if not options.is_module and not Path(command[0]).is_file():
        parser.error(f"there is no script {command[0]}")
    _installer().install()
    sys.argv = command
    if options.is_module:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(command[0]).resolve().parent)
        runpy.run_path(command[0], run_name="__main__")


def _installer() -> ModuleType:
    """Return this module under its own name, which ``python -m`` runs as ``__main__``."""
    return importlib.import_module("torchlops.compat.pylops")


if __name__ == "__main__":
    main()
