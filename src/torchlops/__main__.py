"""The command line: ``torchlops`` or ``python -m torchlops``, with the commands of ``torchlops.cli``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from torchlops.cli import check, demo, info
from torchlops.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="torchlops", description="Linear operators that PyTorch differentiates.")
    parser.add_argument("--version", action="version", version=f"torchlops {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in (demo, check, info):
        command.add(commands)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
