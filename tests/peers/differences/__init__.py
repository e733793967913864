"""What differs from the peers, each with its reason: tests and scripts of theirs that cannot give the same here."""

from tests.peers.differences import ct, decisions, gallery, oneway, operators
from tests.peers.differences.difference import KINDS, TOPICS, Difference
from tests.peers.differences.pyproximal import PYPROXIMAL

DECISIONS = decisions.DECISIONS + oneway.UNSHOWN + ct.UNSHOWN
GALLERY = gallery.GALLERY + oneway.SCRIPTS + ct.SCRIPTS
OPERATORS = operators.OPERATORS + oneway.TESTS

LISTS = {"pylops": OPERATORS, "gallery": GALLERY, "pyproximal": PYPROXIMAL}

__all__ = ["DECISIONS", "GALLERY", "KINDS", "LISTS", "OPERATORS", "PYPROXIMAL", "TOPICS", "Difference"]
