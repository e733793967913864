"""``torchlops info``: what a bug report needs."""

from __future__ import annotations

import argparse
import json

from torchlops.utils.environment import environment


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("info", help="print versions, devices, threads, the compiler and settings of memory")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the report and return the exit status."""
    sections = environment()
    print(json.dumps(sections, indent=2) if options.json else text(sections))
    return 0


def text(sections: dict[str, dict[str, str]]) -> str:
    """Return the sections as text, with the values of all of them in one column."""
    width = max(len(name) for entries in sections.values() for name in entries)
    blocks = [
        "\n".join([title, *(f"  {name.ljust(width)}  {value}" for name, value in entries.items())])
        for title, entries in sections.items()
    ]
    return "\n\n".join(blocks)
