"""A plugin of pytest: a peer's tests on torchlops, with a list of those that cannot pass.

Every entry of the list is checked: one that passes, or that names no test, fails the run.
"""

from __future__ import annotations

import os

import pytest

import torchlops.compat.pylops
from tests.peers.differences import LISTS

torchlops.compat.pylops.install()

_reasons = {test: entry.reason for entry in LISTS[os.environ["TORCHLOPS_PEER"]] for test in entry.tests}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the tests of the list to fail."""
    for item in items:
        name = _name(item)
        if name in _reasons:
            item.add_marker(pytest.mark.xfail(reason=_reasons[name], strict=True))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse entries that name no test, where all tests were asked for."""
    whole = all(os.path.isdir(argument) for argument in session.config.args)
    unknown = set(_reasons) - {_name(item) for item in session.items}
    if whole and unknown and not session.config.option.keyword:
        raise pytest.UsageError(f"entries of the list that name no test: {sorted(unknown)}")


def _name(item: pytest.Item) -> str:
    return f"{item.path.stem}::{item.nodeid.partition('::')[2]}"
