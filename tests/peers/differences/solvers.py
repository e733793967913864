"""PyLops's tests of solvers that cannot pass, each with its reason."""

from __future__ import annotations

from tests.peers.differences.difference import Difference

SOLVERS: tuple[Difference, ...] = ()
