"""The comparison of PyLops's gallery, on made-up results: ``make pylops-gallery`` runs the gallery itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.peers.gallery import Outcome, Result, compare, problems, summary
from tests.peers.script import MOST, thinned, variables


def _result(error: str = "", seconds: float = 1.0, **arrays: Any) -> Result:
    found = {name: np.asarray(value) for name, value in arrays.items()}
    types = {name: type(value).__name__ for name, value in arrays.items()}
    return Result(found, types, {name: list(array.shape) for name, array in found.items()}, error, seconds)


def _compared(theirs: Any, ours: Any) -> Outcome:
    return compare("examples/plot_x", _result(x=theirs), _result(x=ours))


GRID = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("theirs", "ours", "field"),
    [
        (GRID, GRID + 1e-7, "equal"),
        (GRID, GRID.ravel(), "reshaped"),
        (GRID, GRID + 1e-5, "differences"),
        (GRID, GRID.T.ravel(), "differences"),
        (GRID, GRID[:1], "differences"),
        (GRID.astype(np.float32), GRID + 1e-4, "equal"),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), "equal"),
        (np.array([1.0, np.nan]), np.array([1.0, 0.0]), "differences"),
        (np.array([1.0, np.inf]), np.array([1.0, -np.inf]), "differences"),
        (1.0, 1.0 + 1j, "differences"),
    ],
)
def test_variables_are_compared(theirs: Any, ours: Any, field: str) -> None:
    outcome = _compared(theirs, ours)
    assert [name for name in ("equal", "reshaped", "differences") if getattr(outcome, name)] == [field]
    assert problems(outcome) == (["examples/plot_x::x"] if field == "differences" else [])


def test_types_missing_variables_timings_and_errors_are_told_apart() -> None:
    assert "int64" in _compared(np.arange(3), np.arange(3.0)).types["x"]
    assert not _compared(np.float64(1.0), 1.0).types
    assert compare("examples/plot_x", _result(x=1.0), _result()).differences == {"x": "missing in ours"}
    assert not compare("tutorials/linearoperator", _result(t1=1.0), _result(t1=2.0)).differences
    ours = compare("examples/plot_x", _result(x=1.0), _result("TypeError: no"))
    both = compare("examples/plot_x", _result("ImportError: no"), _result("ImportError: no"))
    assert problems(ours) == ["examples/plot_x"]
    assert problems(both) == []
    assert summary([ours, both, _compared(1.0, 1.0)], set()).startswith("1 of the 2 scripts")


def test_scripts_keep_numbers_by_their_place_and_thin_large_arrays() -> None:
    found = variables({"a": [1.0, {"b": GRID}], "_c": 1.0, "d": "text", "e": np.array(["text"])})
    assert sorted(found) == ["a[0]", "a[1]['b']"]
    assert thinned(GRID) is GRID
    large = thinned(np.zeros((3, MOST)))
    assert large.ndim == 1
    assert MOST // 2 < large.size <= MOST
