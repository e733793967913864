"""Run PyLops's tutorials and examples on PyLops and on torchlops, and compare their numbers.

``python -m tests.peers.gallery [SCRIPTS]``

What PyLops gives is kept in ``build/peers/results``. A list of scripts, as ``examples/plot_tvreg``, runs only those; a
run of all of them writes its numbers for the documentation.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.peers.differences import GALLERY
from tests.peers.record import save
from tests.peers.script import REPORT
from tests.peers.sdist import fetched
from tests.peers.suite import PEERS, ROOT, environment

RESULTS = ROOT / "build" / "peers" / "results"
MISSING_PACKAGES = re.compile(r"\bAcousticWave2D\b")  # which PyLops has with Devito only
TIMINGS = {
    "tutorials/linearoperator": re.compile(r"t[1-4]\b"),
    "examples/plot_nmo": re.compile(r"start\b|end\b"),
    "examples/plot_multiproc": re.compile(r"compute_times|speedup"),
}
"""Variables that hold measured times."""
TOLERANCE = {"double": 1e-6, "single": 1e-3}
SLOW = 1.3
"""Above this multiple of PyLops's processor time, and a second, a script is named as slow."""


@dataclass
class Outcome:
    """What a script gave.

    Args:
        script: Its folder and name.
        error: What ended it on torchlops; empty if nothing did.
        peer_error: The same on PyLops.
        seconds: Processor time on PyLops and on torchlops, without imports.
        equal: The variables that agree.
        reshaped: Those that agree but for their shape, flat for ``dims``, and how.
        differences: What differs, by variable.
        types: The variables that have another type or dtype, and how.
    """

    script: str
    error: str = ""
    peer_error: str = ""
    seconds: tuple[float, float] = (float("nan"), float("nan"))
    equal: list[str] = field(default_factory=list)
    reshaped: dict[str, str] = field(default_factory=dict)
    differences: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """Whether it ran to its end on both packages."""
        return not (self.error or self.peer_error)


@dataclass(frozen=True)
class Result:
    """What a script gave on one package: its variables, their types and shapes, what ended it, its processor time."""

    variables: dict[str, Any]
    types: dict[str, str]
    shapes: dict[str, list[int]]
    error: str
    seconds: float


def scripts(folder: Path) -> list[str]:
    """Return the scripts that need only sub-packages that are here."""
    found = sorted([*folder.glob("tutorials/*.py"), *folder.glob("examples/plot_*.py")])
    return [
        f"{path.parent.name}/{path.stem}"
        for path in found
        if not MISSING_PACKAGES.search(path.read_text(encoding="utf-8"))
    ]


def run(folder: Path, script: str, package: str) -> Result:
    """Run a script on ``package``; what PyLops gave is kept for the next time."""
    key = hashlib.sha256(Path(__file__).with_name("script.py").read_bytes()).hexdigest()[:8]
    place = RESULTS / f"{package}-{key}" / f"{script}.npz"
    if package != "pylops" or not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.peers.script", package, str(folder / f"{script}.py"), str(place)]
        done = subprocess.run(
            command,
            cwd=(folder / script).parent,
            env=environment(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"),
            capture_output=True,
            text=True,
            check=False,
        )
        place.with_suffix(".log").write_text(done.stdout + done.stderr, encoding="utf-8")
        if not place.exists():
            return Result({}, {}, {}, f"exit status {done.returncode}", float("nan"))
    variables = dict(np.load(place))
    report = json.loads(str(variables.pop(REPORT)))
    return Result(variables, report["types"], report["shapes"], report["error"], report["processor"])


def difference(theirs: Any, ours: Any) -> str:
    """Return how the numbers of two variables differ, read flat, or nothing."""
    if theirs.size == 0:
        return ""
    theirs, ours = theirs.ravel(), ours.ravel()
    single = {np.dtype("float32"), np.dtype("complex64")} & {theirs.dtype, ours.dtype}
    scale = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0)) or 1.0
    with np.errstate(invalid="ignore"):
        error = np.where(np.isnan(theirs) & np.isnan(ours), 0.0, np.abs(np.subtract(theirs, ours, dtype=complex)))
        error = np.where(theirs == ours, 0.0, error)
    largest = float(error.max()) / scale
    return "" if largest <= TOLERANCE["single" if single else "double"] else f"relative error {largest:.2g}"


def compare(script: str, theirs: Result, ours: Result) -> Outcome:
    """Compare what a script gave on both packages."""
    outcome = Outcome(script, ours.error, theirs.error, (theirs.seconds, ours.seconds))
    if not outcome.runs:
        return outcome
    for name, a in theirs.variables.items():
        if script in TIMINGS and TIMINGS[script].match(name):
            continue
        if name not in ours.variables:
            outcome.differences[name] = "missing in ours"
            continue
        b = ours.variables[name]
        shapes = [tuple(result.shapes[name]) for result in (theirs, ours)]
        unlike = f"shape {shapes[0]} of PyLops's, {shapes[1]} of ours" if shapes[0] != shapes[1] else ""
        if math.prod(shapes[0]) != math.prod(shapes[1]):
            outcome.differences[name] = unlike
        elif wrong := difference(a, b):
            outcome.differences[name] = wrong
        elif unlike:
            outcome.reshaped[name] = unlike
        else:
            outcome.equal.append(name)
        types = [f"{_kind(result.types[name])} of {result.variables[name].dtype}" for result in (theirs, ours)]
        if types[0] != types[1]:
            outcome.types[name] = f"{types[0]} of PyLops's, {types[1]} of ours"
    return outcome


def _kind(name: str) -> str:
    return name if name in ("ndarray", "Tensor") else "number"


def problems(outcome: Outcome) -> list[str]:
    """Return what the list of differences must explain."""
    if outcome.peer_error:
        return []
    return [outcome.script] if outcome.error else [f"{outcome.script}::{name}" for name in outcome.differences]


def show(outcome: Outcome, explained: set[str]) -> None:
    """Print what a script gave."""
    if not outcome.runs:
        print(f"{outcome.script}: PyLops: {outcome.peer_error or 'runs'} | torchlops: {outcome.error or 'runs'}")
        return
    theirs, ours = outcome.seconds
    slow = " SLOW" if ours > max(SLOW * theirs, theirs + 1.0) else ""
    print(f"{outcome.script}: {theirs:.2f} s, {ours:.2f} s ({ours / theirs:.2f}){slow}, {len(outcome.equal)} equal")
    for name, text in outcome.reshaped.items():
        print(f"    {name}: equal but for the {text}")
    for name, text in outcome.differences.items():
        print(f"    {name}: {text}{' (explained)' if f'{outcome.script}::{name}' in explained else ''}")
    for name, text in outcome.types.items():
        print(f"    {name}: {text}")


def summary(outcomes: list[Outcome], explained: set[str]) -> str:
    """Return the numbers of a run, in words."""
    able = [outcome for outcome in outcomes if not outcome.peer_error]
    ran = [outcome for outcome in able if outcome.runs]
    equal = sum(len(outcome.equal) for outcome in ran)
    reshaped = sum(len(outcome.reshaped) for outcome in ran)
    accounted = sum(name in explained for outcome in ran for name in problems(outcome))
    types = sum(len(outcome.types) for outcome in ran)
    theirs, ours = np.sum([outcome.seconds for outcome in ran], axis=0) if ran else (0.0, 0.0)
    shapes = f"{reshaped} more but for their shape, " if reshaped else ""
    return (
        f"{len(ran)} of the {len(able)} scripts that PyLops runs here and that need only existing sub-packages run to "
        f"the end; of their variables {equal} are equal, {shapes}{types} have another "
        f"type, and {accounted} are explained below; processor time {theirs:.0f} s on PyLops, {ours:.0f} s on torchlops"
    )


def _outcome(folder: Path, script: str) -> Outcome:
    return compare(script, run(folder, script, "pylops"), run(folder, script, "torchlops"))


def main() -> int:
    """Run the gallery; return 1 if anything differs that the list does not explain."""
    folder = fetched("pylops", PEERS["pylops"].version, PEERS["pylops"].folders)
    whole = scripts(folder)
    chosen = sys.argv[1:] or whole
    explained = {name for entry in GALLERY for name in entry.tests}
    everywhere = {name for entry in GALLERY if entry.always for name in entry.tests}
    outcomes = []
    with ThreadPoolExecutor(2) as pool:  # of scripts that run in processes of their own, with one thread each
        for outcome in pool.map(partial(_outcome, folder), chosen):
            outcomes.append(outcome)
            show(outcome, explained)
            sys.stdout.flush()
    found = {name for outcome in outcomes for name in problems(outcome)}
    stale = {name for name in everywhere - found if name.partition("::")[0] in chosen}
    print(summary(outcomes, explained))
    for name in sorted(stale):
        print(f"the list explains {name}, which is equal")
    for name in sorted(found - explained):
        print(f"not explained: {name}")
    if chosen == whole:
        save("PyLops's gallery", summary(outcomes, explained))
    return 1 if stale or found - explained else 0


if __name__ == "__main__":
    sys.exit(main())
