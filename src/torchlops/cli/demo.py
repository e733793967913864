"""``torchlops demo``: the main job, on real photographs."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

PACKAGES = ("matplotlib", "skimage", "tqdm")
"""The packages of the extra ``demo``, by import name."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("demo", help="deblur real photographs, in under 3 minutes on 2 cores")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for the figures")
    parser.add_argument("--seed", type=int, default=0, help="seed for the noise and the training")
    parser.add_argument("--steps", type=int, default=1500, help="number of training steps of the network")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the demo, or say which packages it needs; return the exit status."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"torchlops demo needs packages that are not installed ({', '.join(missing)}): "
            "pip install 'torchlops[demo]'",
            file=sys.stderr,
        )
        return 1
    from torchlops.demo.run import run  # imports the extras

    run(options.output, options.seed, options.steps, show_progress=not options.no_progress)
    return 0
