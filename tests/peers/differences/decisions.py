"""Differences that no test or script of the peers shows."""

from __future__ import annotations

from tests.peers.differences.difference import Difference

DECISIONS: tuple[Difference, ...] = ()
