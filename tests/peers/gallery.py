"""Run PyLops's tutorials and examples on PyLops and on torchlops, and compare their numbers.

``python -m tests.peers.gallery [SCRIPTS]``
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.peers.differences import GALLERY
from tests.peers.sdist import fetched
from tests.peers.suite import PEERS, ROOT

MISSING_PACKAGES = ("waveeqprocessing", "avo", "medical")
TOLERANCE = {"double": 1e-6, "single": 1e-3}


@dataclass
class Outcome:
    """What a script gave.

    Args:
        script: Its folder and name.
        error: The last line of what ended it on torchlops; empty if nothing did.
        peer_error: The same on PyLops.
        seconds: Time on PyLops and on torchlops, without imports.
        differences: What differs, by variable.
        compared: How many variables agree.
    """

    script: str
    error: str = ""
    peer_error: str = ""
    seconds: tuple[float, float] = (float("nan"), float("nan"))
    differences: dict[str, str] = field(default_factory=dict)
    compared: int = 0


def scripts(folder: Path) -> list[str]:
    """Return the scripts that need only sub-packages that are here."""
    found = sorted([*folder.glob("tutorials/*.py"), *folder.glob("examples/plot_*.py")])
    return [
        f"{path.parent.name}/{path.stem}"
        for path in found
        if not any(package in path.read_text(encoding="utf-8") for package in MISSING_PACKAGES)
    ]


def run(folder: Path, script: str, package: str, result: Path) -> str:
    """Run a script on ``package``; return the last line of its error, or nothing."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.peers.script", package, str(folder / f"{script}.py"), str(result)]
    done = subprocess.run(
        command,
        cwd=(folder / script).parent,
        env={**os.environ, **threads, "PYTHONPATH": paths, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else (lines[-1] if lines else f"exit status {done.returncode}")


def compare(theirs: Any, ours: Any) -> str:
    """Return how two numeric variables differ, or nothing."""
    if theirs.shape != ours.shape:
        return f"shape {theirs.shape} of PyLops's, {ours.shape} of ours"
    if theirs.size == 0:
        return ""
    single = {np.dtype("float32"), np.dtype("complex64")} & {theirs.dtype, ours.dtype}
    scale = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0)) or 1.0
    with np.errstate(invalid="ignore"):
        error = np.where(np.isnan(theirs) & np.isnan(ours), 0.0, np.abs(np.subtract(theirs, ours, dtype=complex)))
        error = np.where(theirs == ours, 0.0, error)
    largest = float(error.max()) / scale
    return "" if largest <= TOLERANCE["single" if single else "double"] else f"relative error {largest:.2g}"


def outcome_of(folder: Path, script: str) -> Outcome:
    """Run a script on both packages."""
    with tempfile.TemporaryDirectory() as place:
        theirs, ours = Path(place) / "theirs.npz", Path(place) / "ours.npz"
        outcome = Outcome(script)
        outcome.peer_error = run(folder, script, "pylops", theirs)
        outcome.error = run(folder, script, "torchlops", ours)
        if outcome.error or outcome.peer_error:
            return outcome
        a, b = dict(np.load(theirs)), dict(np.load(ours))
    outcome.seconds = float(a.pop("seconds of the script")), float(b.pop("seconds of the script"))
    for name, value in a.items():
        difference = compare(value, b[name]) if name in b else "missing in ours"
        if difference:
            outcome.differences[name] = difference
        else:
            outcome.compared += 1
    return outcome


def main() -> int:
    """Run the gallery; return 1 if anything differs that the list does not explain."""
    folder = fetched("pylops", PEERS["pylops"].version, PEERS["pylops"].folders)
    chosen = sys.argv[1:] or scripts(folder)
    explained = {name: entry for entry in GALLERY for name in entry.tests}
    failures, seen, total = [], set(), np.zeros(2)
    with ThreadPoolExecutor(2) as pool:
        for outcome in pool.map(lambda script: outcome_of(folder, script), chosen):
            problems = [outcome.script] if outcome.error and not outcome.peer_error else []
            problems += [f"{outcome.script}::{name}" for name in outcome.differences]
            seen.update(problems)
            failures += [name for name in problems if name not in explained]
            if outcome.peer_error:
                print(f"{outcome.script}: PyLops: {outcome.peer_error} | torchlops: {outcome.error or 'runs'}")
                continue
            print(
                f"{outcome.script}: {outcome.seconds[0]:.2f} s, {outcome.seconds[1]:.2f} s, "
                f"{outcome.compared} variables equal {outcome.error}",
                flush=True,
            )
            for name, difference in outcome.differences.items():
                print(f"    {name}: {difference}{' (explained)' if f'{outcome.script}::{name}' in explained else ''}")
            if not outcome.error:
                total += outcome.seconds
    print(f"{total[0]:.1f} s on PyLops, {total[1]:.1f} s on torchlops")
    stale = [name for name in explained if name.partition("::")[0] in chosen and name not in seen]
    for name in stale:
        print(f"the list explains {name}, which is equal")
    for name in failures:
        print(f"not explained: {name}")
    return 1 if failures or stale else 0


if __name__ == "__main__":
    sys.exit(main())
