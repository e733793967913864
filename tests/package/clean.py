"""Build the distributions, check them, and try the wheel in a clean environment: ``python -m tests.package.clean``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"
TRIAL = Path(__file__).with_name("trial.py")
TORCH = f"torch=={torch.__version__.partition('+')[0]}"
"""The torch of the clean environment, installed before the wheel, so that pip's settings say from where it comes."""


def build(folder: Path) -> tuple[Path, Path]:
    """Build the source distribution and, from it, the wheel; check both with twine; return the wheel and the source.

    Raises:
        RuntimeError: If a step fails; the message is what it printed.
    """
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, source)
    return wheel, source


def contents(wheel: Path) -> set[str]:
    """Return the names of the files in the wheel, but for its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def sources() -> set[str]:
    """Return the names of the files that belong into the wheel."""
    files = [*SOURCES.rglob("*.py"), *SOURCES.rglob("py.typed")]
    return {path.relative_to(SOURCES).as_posix() for path in files}


def modules() -> list[str]:
    """Return the names of all modules of the library, without ``__main__``, which runs when it is imported by name."""
    paths = [Path(name).with_suffix("") for name in sorted(sources()) if name.endswith(".py")]
    return [".".join(path.parts).removesuffix(".__init__") for path in paths]


@contextmanager
def environment() -> Iterator[Path]:
    """Give the Python of a fresh environment that has torch and what torch requires, and remove it afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        run(python, "-m", "pip", "install", TORCH)
        yield python


def try_out(python: Path, wheel: Path) -> None:
    """Install the wheel with what it requires into an environment, and run the trial there.

    Raises:
        RuntimeError: If something is wrong; the message says what.
    """
    run(python, "-m", "pip", "uninstall", "--yes", "torchlops")  # a version that is there already would stay
    run(python, "-m", "pip", "install", wheel)
    run(python, "-m", "pip", "check")
    run(python, "-I", TRIAL, json.dumps(modules()))  # the modules that the sources have, whatever the wheel has


def run(*command: str | Path) -> None:
    """Run a command outside of the checkout; raise what it printed if it fails."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*map(str, command)], cwd=folder, env=clean, capture_output=True, text=True, check=False)
    if done.returncode:
        words = " ".join(map(str, command[1:3]))
        raise RuntimeError(f"{words} failed with exit status {done.returncode}:\n{done.stdout}{done.stderr}")


def main() -> None:
    """Build into ``dist``, or take a wheel, and try it out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help="try this wheel, and build nothing")
    options = parser.parse_args()
    wheel = options.wheel
    if wheel is None:
        folder = ROOT / "dist"
        for old in (*folder.glob("*.whl"), *folder.glob("*.tar.gz")):
            old.unlink()
        wheel, source = build(folder)
        print(f"built and checked {wheel.name} and {source.name}", flush=True)
    with environment() as python:
        try_out(python, wheel.resolve())
    print(f"{wheel.name} works where only what it requires is installed")


if __name__ == "__main__":
    main()
