"""PyLops's tutorials and examples that cannot pass, each with its reason."""

from __future__ import annotations

from tests.peers.differences.difference import Difference

GALLERY: tuple[Difference, ...] = ()
