"""Every script of the gallery runs, and holds what it claims: each asserts it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("plot_*.py"))


# NumPy says this of torch, whose tensors are drawn as they are.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_holds_what_it_claims(path, tmp_path, capsys):
    runpy.run_path(str(path))["main"](tmp_path)
    assert list(tmp_path.glob("*.png"))
    assert capsys.readouterr().out
