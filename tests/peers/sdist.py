"""The source distributions of the peers: tests and examples are fetched when they are wanted, and never kept here."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / "build" / "peers"


def fetched(package: str, version: str, folders: tuple[str, ...]) -> Path:
    """Return the folder with the named ``folders`` of a source distribution, fetched by pip if need be."""
    root = CACHE / f"{package}-{version}"
    if not root.exists():
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package]
        subprocess.run([*download, "--dest", str(CACHE), f"{package}=={version}"], check=True)
        archive = next(CACHE.glob(f"{package}-{version}.tar.gz"))
        with tarfile.open(archive) as tar:
            wanted = tuple(f"{package}-{version}/{folder}/" for folder in folders)
            tar.extractall(CACHE, [member for member in tar if member.name.startswith(wanted)], filter="data")
        archive.unlink()
    return root
