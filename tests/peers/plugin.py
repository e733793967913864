"""A plugin of pytest: a peer's tests on torchlops, with a list of those that cannot pass.

Every entry of the list is checked: one that passes, or that names no test, fails the run. A whole run that succeeds
records its numbers.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

import torchlops.compat.pylops
from tests.peers.differences import LISTS
from tests.peers.record import save
from tests.peers.suite import PEERS

torchlops.compat.pylops.install()

_name_of_peer = os.environ["TORCHLOPS_PEER"]
_reasons = {test: entry.reason for entry in LISTS[_name_of_peer] for test in entry.tests}

OUTCOMES = {"passed": "", "xfailed": "differ for a reason that is given below", "skipped": "are skipped"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the tests of the list to fail."""
    for item in items:
        name = _name(item)
        if name in _reasons:
            item.add_marker(pytest.mark.xfail(reason=_reasons[name], strict=True))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse entries that name no test, where all tests were asked for."""
    unknown = set(_reasons) - {_name(item) for item in session.items}
    if unknown and _is_whole(session.config):
        raise pytest.UsageError(f"entries of the list that name no test: {sorted(unknown)}")


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Record how many tests pass."""
    if exitstatus == pytest.ExitCode.OK and _is_whole(config):
        counts = {outcome: len(terminalreporter.stats.get(outcome, ())) for outcome in OUTCOMES}
        peer = PEERS[_name_of_peer]
        others = [f", {count} {OUTCOMES[outcome]}" for outcome, count in counts.items() if OUTCOMES[outcome] and count]
        save(
            f"{peer.title} {peer.version}'s tests",
            f"{counts['passed']} of {sum(counts.values())} pass{''.join(others)}",
        )


def _is_whole(config: pytest.Config) -> bool:
    return all(os.path.isdir(argument) for argument in config.args) and not config.option.keyword


def _name(item: pytest.Item) -> str:
    return f"{item.path.stem}::{item.nodeid.partition('::')[2]}"
