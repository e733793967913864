"""Where the documentation of other packages is."""

from __future__ import annotations

from pathlib import Path

SITES = {
    "python": "https://docs.python.org/3",
    "torch": "https://docs.pytorch.org/docs/stable",
    "numpy": "https://numpy.org/doc/stable",
    "matplotlib": "https://matplotlib.org/stable",
    "scipy": "https://docs.scipy.org/doc/scipy",
    "pylops": "https://pylops.readthedocs.io/en/stable",
}


def mapping(docs: Path) -> dict[str, tuple[str, tuple[str | None, str]]]:
    """Return the sites for intersphinx, each with its own inventory and, without a network, the small one kept here."""
    return {name: (site, (None, str(docs / "inventories" / f"{name}.txt"))) for name, site in SITES.items()}
