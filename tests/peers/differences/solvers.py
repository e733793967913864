"""PyLops's tests of solvers that cannot pass, each with its reason."""

from __future__ import annotations

from tests.peers.differences.difference import Difference

SOLVERS: tuple[Difference, ...] = (
    Difference(
        "decision",
        "Solvers answer with models of shape `(*batch, *dims)` (flat for an operator with `forceflat=True`). PyLops's "
        "`cg`, `cgls` and `lsqr` answer flat as well where `x0` is flat: write `.ravel()`.",
        tests=tuple(f"test_combine::test_BlockDiag[par{i}]" for i in range(6)),
    ),
)
