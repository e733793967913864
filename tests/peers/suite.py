"""Run a peer's own tests on torchlops: ``python -m tests.peers.suite pylops [--record] [OPTIONS OF PYTEST]``.

With ``--record``, a whole run writes its numbers to ``record.json``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.peers.sdist import fetched

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Peer:
    """A package whose tests are run.

    Args:
        title: Its name.
        version: Its version.
        folders: What its tests need of its source distribution.
    """

    title: str
    version: str
    folders: tuple[str, ...]


PEERS = {
    "pylops": Peer(
        "PyLops",
        "2.8.0",
        ("pytests", "testdata", "tutorials", "examples"),
    ),
    "pyproximal": Peer("PyProximal", "0.13.0", ("pytests", "testdata", "pyproximal")),
}  # fmt: skip


def main() -> int:
    """Run the tests of the peer that the command line names; return the exit status of pytest."""
    name, *options = sys.argv[1:]
    peer = PEERS[name]
    record = "--record" in options
    options = [option for option in options if option != "--record"]
    folder = fetched(name, peer.version, peer.folders)
    tests = [] if any("::" in option or option.endswith(".py") for option in options) else ["pytests"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.peers.plugin", "-p", "no:cacheprovider"]
    command += ["-c", str(Path(__file__).with_name("pytest.ini")), "--rootdir", str(folder), *options, *tests]
    variables = environment(TORCHLOPS_PEER=name)
    variables.setdefault("OMP_NUM_THREADS", "1")  # the problems are small: threads would only wait for each other
    if record:
        variables["TORCHLOPS_RECORD"] = f"{peer.title} {peer.version}'s tests"
    return subprocess.run(command, cwd=folder, env=variables, check=False).returncode


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process that runs a peer's code on this library, without a screen."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "MPLBACKEND": "Agg", **more}


if __name__ == "__main__":
    sys.exit(main())
