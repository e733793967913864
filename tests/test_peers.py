"""The lists of differences from the peers."""

from __future__ import annotations

import pytest

from tests.peers.differences import LISTS, Difference


def test_an_entry_names_tests_by_patterns_and_parameters():
    entry = Difference("decision", "why", tests=("test_a::test_b[float32-*]",), where=lambda given: given["n"] > 1)
    assert entry.names("test_a::test_b[float32-par1]", {"n": 2}) == "test_a::test_b[float32-*]"
    assert entry.names("test_a::test_b[float32-par1]", {"n": 1}) is None
    assert entry.names("test_a::test_b[float64-par1]", {"n": 2}) is None
    assert Difference("decision", "why", tests=("test_a::test_b",)).names("test_a::test_b[par1]", {}) is None


@pytest.mark.parametrize("peer", LISTS)
def test_every_difference_has_a_reason_of_its_own(peer):
    for entry in LISTS[peer]:
        assert entry.reason.strip().endswith(".")
