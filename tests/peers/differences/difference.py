"""A difference from a peer, and its kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["type", "defect", "decision", "private", "environment"]
Topic = Literal["operators", "solvers", "types", "digits", "attributes", "own"]


@dataclass(frozen=True)
class Difference:
    """A difference from a peer.

    Args:
        kind: ``"type"``, a type that torch lacks; ``"defect"``, the peer is wrong; ``"decision"``, ours differs on
            purpose; ``"private"``, a private name of the peer; ``"environment"``, the peer fails as well.
        reason: What differs, who is right, and what to write instead.
        tests: The tests, as ``module::test[parameters]``, where ``*`` stands for any text, or the scripts that show it.
        where: Of these tests, whether it is shown with given parameters; by default it is with all.
        always: Whether the tests fail everywhere; not where the last bits of a machine decide.
        topic: What a decision is about.
    """

    kind: Kind
    reason: str
    tests: tuple[str, ...] = ()
    where: Callable[[Mapping[str, Any]], bool] = lambda _: True
    always: bool = True
    topic: Topic = "operators"

    def names(self, test: str, parameters: Mapping[str, Any]) -> str | None:
        """Return which of ``tests`` names a test with these parameters, or None."""
        return next((given for given in self.tests if _fits(given, test) and self.where(parameters)), None)


def _fits(given: str, test: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, given.split("*"))), test) is not None


KINDS: dict[Kind, str] = {
    "decision": "Decisions",
    "defect": "Where PyLops 2.8.0 is wrong",
    "type": "Types that torch does not have",
    "private": "Private names",
    "environment": "Tests and scripts that fail on PyLops as well",
}
"""The kinds, with their titles on the page."""

TOPICS: dict[Topic, str] = {
    "solvers": "Solvers, inverses, eigenvalues",
    "types": "Types of numbers",
    "operators": "Products and options of operators",
    "attributes": "Attributes, and what is set or counted",
    "own": "Functions, matrices and classes of yours",
    "digits": "Last digits",
}
"""The topics of decisions, with their titles on the page."""
