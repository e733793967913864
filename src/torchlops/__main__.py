"""The command line: ``torchlops demo`` or ``python -m torchlops demo``."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

DEMO_PACKAGES = ("matplotlib", "skimage", "scipy", "tqdm")
"""The packages of the extra ``demo``, by import name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="torchlops", description="Linear operators that PyTorch differentiates.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="deblur real photographs, in under 3 minutes on 2 cores")
    demo.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for the figures")
    demo.add_argument("--seed", type=int, default=0, help="seed for the noise and the training")
    demo.add_argument("--steps", type=int, default=1500, help="number of training steps of the network")
    demo.add_argument("--no-progress", action="store_true", help="show no progress bar")
    options = parser.parse_args(arguments)

    missing = [name for name in DEMO_PACKAGES if importlib.util.find_spec(name) is None]
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


if __name__ == "__main__":
    sys.exit(main())
