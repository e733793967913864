"""PyLops's tests of operators that cannot pass, each with its reason."""

from __future__ import annotations

from tests.peers.differences.difference import Difference

OPERATORS: tuple[Difference, ...] = ()
