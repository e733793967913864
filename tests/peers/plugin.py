"""A plugin of pytest: a peer's tests on torchlops, with a list of those that cannot pass.

Every entry of the list is checked: a test of it that passes, or an entry that names no test, fails the run.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

import torchlops.compat.pylops
from tests.peers.differences import LISTS
from tests.peers.record import save

torchlops.compat.pylops.install()

_entries = LISTS[os.environ["TORCHLOPS_PEER"]]
_record = os.environ.get("TORCHLOPS_RECORD")
_found: set[str] = set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the tests of the list to fail."""
    for item in items:
        test = f"{item.path.stem}::{item.nodeid.partition('::')[2]}"
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        for entry in _entries:
            given = entry.names(test, parameters)
            if given is not None:
                _found.add(given)
                item.add_marker(pytest.mark.xfail(reason=f"{entry.kind}: {entry.reason}", strict=entry.always))
                break


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse entries that name no test, where all tests were asked for."""
    unknown = {given for entry in _entries for given in entry.tests} - _found
    if unknown and _is_whole(session.config):
        raise pytest.UsageError(f"entries of the list that name no test: {sorted(unknown)}")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the numbers of a whole run that gave what the list says, if asked to."""
    stats = {outcome: len(reports) for outcome, reports in terminalreporter.stats.items()}
    if _record and _is_whole(config) and not stats.get("failed") and not stats.get("error"):
        save(_record, _numbers([report.wasxfail for report in terminalreporter.stats.get("xfailed", ())], stats))


def _numbers(reasons: list[str], stats: dict[str, int]) -> str:
    types = sum(reason.startswith("type: ") for reason in reasons)
    listed, passed, skipped = len(reasons) - types, stats.get("passed", 0), stats.get("skipped", 0)
    text = f"{passed} pass, {listed} of {passed + listed} are in the list of differences"
    if types:
        text += f", {types} more need types that torch does not have"
    return f"{text}, {skipped} are skipped" if skipped else text


def _is_whole(config: pytest.Config) -> bool:
    return all(os.path.isdir(argument) for argument in config.args) and not config.option.keyword
