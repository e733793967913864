"""A difference from a peer, and its kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["type", "defect", "decision", "private", "environment"]


@dataclass(frozen=True)
class Difference:
    """A difference from a peer.

    Args:
        kind: ``"type"``, a type that torch lacks; ``"defect"``, the peer is wrong; ``"decision"``, ours differs on
            purpose; ``"private"``, a private name of the peer; ``"environment"``, the peer fails as well.
        reason: What differs, who is right, and what to write instead.
        tests: The tests, as ``module::test[parameters]``, or the scripts that show it.
    """

    kind: Kind
    reason: str
    tests: tuple[str, ...] = ()


KINDS: dict[Kind, str] = {
    "decision": "Decisions",
    "defect": "Where PyLops 2.8.0 is wrong",
    "type": "Types that torch does not have",
    "private": "Private names",
    "environment": "Tests and scripts that fail on PyLops as well",
}
"""The kinds, with their titles on the page."""
