"""The tables of the documentation are those that the test cases give."""

from __future__ import annotations

import inspect

import pytest

import torchlops
from tests.every_operator import tables


@pytest.mark.parametrize("name", tables.TABLES)
def test_the_tables_are_up_to_date(name):
    committed = (tables.DOCS / name).read_text(encoding="utf-8")
    assert committed == tables.TABLES[name](), f"docs/{name} is stale: run {tables.COMMAND} (make docs)"


@pytest.mark.parametrize("package", ["basicoperators", "signalprocessing"])
def test_the_catalogue_has_every_operator(package):
    package = getattr(torchlops, package)
    exported = [name for name in package.__all__ if inspect.isclass(getattr(package, name))]
    catalogue = tables.catalogue()
    for name in exported:
        assert f"| `{name}` |" in catalogue, name


def test_what_must_learn_is_in_the_table():
    rows = {line.split("`")[1]: line for line in tables.parameters().splitlines() if line.startswith("| `")}
    for operator, tensor in {
        "Convolve1D": "h",
        "Diagonal": "diag",
        "MatrixMult": "A",
        "Fredholm1": "G",
        "Shift": "shift",
        "LinearInterpolation": "iava",
        "Bilinear": "iava",
        "Radon2D": "pxaxis",
        "ChirpRadon2D": "pmax",
        "Seislet": "slopes",
        "PWSprayer2D": "sigma",
        "Spread": "dtable",
        "Regression": "taxis",
        "Patch2D": "scalings",
    }.items():
        assert f"`{tensor}`" in rows[operator], operator
    assert "`tapertype`" in rows["Sliding1D"]
