"""PyProximal's tests that cannot pass, each with its reason."""

from __future__ import annotations

from tests.peers.differences.difference import Difference

PARAMETERS = ("par0", "par1", "par2")

PYPROXIMAL: tuple[Difference, ...] = (
    Difference(
        "environment",
        "PyProximal 0.13 calls `float` on arrays of one element, which NumPy 2.4 refuses, with PyLops as well.",
        tests=(
            *(f"test_solver::test_PG_GPG[{name}]" for name in PARAMETERS),
            *(f"test_solver::test_HQS_ADMM_L2[{flag}-{name}]" for flag in (False, True) for name in PARAMETERS),
        ),
    ),
)
