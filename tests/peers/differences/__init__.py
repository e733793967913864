"""What differs from the peers, each with its reason: tests and scripts of theirs that cannot give the same here."""

from tests.peers.differences.decisions import DECISIONS
from tests.peers.differences.difference import KINDS, TOPICS, Difference
from tests.peers.differences.gallery import GALLERY
from tests.peers.differences.operators import OPERATORS
from tests.peers.differences.pyproximal import PYPROXIMAL

LISTS = {"pylops": OPERATORS, "gallery": GALLERY, "pyproximal": PYPROXIMAL}

__all__ = ["DECISIONS", "GALLERY", "KINDS", "LISTS", "OPERATORS", "PYPROXIMAL", "TOPICS", "Difference"]
