"""A report of the software versions."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from torchlops.utils.environment import version_of


class Report:
    """The versions of Python and of the relevant packages, and the machine.

    ``torchlops info`` prints more: extras, devices, threads, the compiler and the settings of memory.

    Args:
        add_pckg: Names of further packages.
        ncol: Number of columns of the table.
        text_width: Width of the table in characters.
        sort: Sort the packages by name.

    Example:
        >>> "torch" in str(Report())
        True
    """

    def __init__(
        self, add_pckg: Sequence[str] | None = None, ncol: int = 3, text_width: int = 80, sort: bool = False
    ) -> None:
        names = ["torchlops", "torch", "numpy", "scipy", "PyWavelets", "matplotlib", *(add_pckg or ())]
        names = sorted(set(names), key=str.lower) if sort else list(dict.fromkeys(names))
        self.versions = {name: version_of(name) for name in names}
        self.ncol, self.text_width = ncol, text_width

    def __repr__(self) -> str:
        entries = [("Python", platform.python_version()), ("machine", platform.machine()), ("OS", platform.system())]
        entries += list(self.versions.items())
        width = self.text_width // self.ncol
        cells = [f"{name}: {value}".ljust(width) for name, value in entries]
        rows = ["".join(cells[i : i + self.ncol]).rstrip() for i in range(0, len(cells), self.ncol)]
        line = "-" * self.text_width
        return "\n".join([line, *rows, line])
