"""The tables of the documentation are those that the test cases give, and its catalogue has every operator."""

from __future__ import annotations

import inspect
import pkgutil
import re

import pytest

import torchlops
from docs.site_pages import catalogue
from docs.site_pages.elsewhere import ELSEWHERE, NOT_IN_PYLOPS
from docs.site_pages.examples import EXAMPLES, SYMBOLS
from docs.site_pages.pictures import draw
from tests.every_operator import tables

OF_AVO = [name for name in torchlops.avo.__all__ if inspect.isclass(getattr(torchlops.avo, name))]
OF_MEDICAL = [
    name
    for name in torchlops.medical.__all__
    if isinstance(kind := getattr(torchlops.medical, name), type) and issubclass(kind, torchlops.LinearOperator)
]
EXPORTED = sorted({*torchlops.basicoperators.__all__, *torchlops.signalprocessing.__all__, *OF_AVO, *OF_MEDICAL})
IN_FAMILIES = [name for family in catalogue.FAMILIES for name in family.names.split()]


@pytest.mark.parametrize("name", tables.TABLES)
def test_the_tables_are_up_to_date(name):
    committed = (tables.DOCS / name).read_text(encoding="utf-8")
    assert committed == tables.TABLES[name](), f"docs/{name} is stale: run {tables.COMMAND} (make docs)"


@pytest.mark.parametrize("name", sorted({*EXPORTED, *IN_FAMILIES}))
def test_every_operator_has_its_formulas(name):
    sections = catalogue.sections(catalogue.operator(name))
    for section in ("Forward", "Adjoint"):
        assert sections.get(section), f"the docstring of {name} needs a section {section!r}, as other operators have"


def test_the_catalogue_has_every_operator_once():
    assert set(EXPORTED) <= set(IN_FAMILIES), "add it to FAMILIES in docs/site_pages/catalogue.py"
    assert len(IN_FAMILIES) == len(set(IN_FAMILIES))


def test_every_operator_has_a_picture():
    assert set(EXAMPLES) == set(IN_FAMILIES), "add it to EXAMPLES in docs/site_pages/examples.py"


def test_captions_explain_the_names_in_their_code():
    named = {name for example in EXAMPLES.values() for name in example.symbols()}
    assert named == set(SYMBOLS)


@pytest.mark.parametrize(
    "name", ["FirstDerivative", "FFT", "Patch3D", "Radon2D", pytest.param("", marks=pytest.mark.slow)]
)
def test_pictures_can_be_drawn(name, tmp_path):
    for each in [name] if name else EXAMPLES:
        shapes = draw(EXAMPLES[each], tmp_path / f"{each}.png")
        assert (tmp_path / f"{each}.png").stat().st_size > 1000, each
        assert all(shapes), each


def test_names_in_other_libraries():
    assert set(ELSEWHERE) <= set(IN_FAMILIES)
    pylops = pytest.importorskip("pylops")
    for name in EXPORTED:
        package = pylops.signalprocessing if name in torchlops.signalprocessing.__all__ else pylops
        package = pylops.avo if name in OF_AVO else pylops.medical if name in OF_MEDICAL else package
        assert hasattr(package, name) == (name not in NOT_IN_PYLOPS), name


@pytest.mark.parametrize("package", ["numpy", "scipy", "torch", "pywt", "curvelets"])
def test_names_in_other_libraries_exist(package):
    pytest.importorskip(package)
    names = [name for names in ELSEWHERE.values() for name in names if name.startswith(f"{package}.")]
    assert names
    for name in names:
        assert pkgutil.resolve_name(re.split(r"[( ]", name)[0]), name


def test_sections_of_a_docstring():
    def documented():
        """Say what it is.

        More of it.

        Forward:
            .. math:: y = x

            For :math:`x`.

        Models have a shape.

        Args:
            x: Forward: something.
        """

    sections = catalogue.sections(documented)
    assert sections["Forward"] == ".. math:: y = x\n\nFor :math:`x`."
    assert sections["Args"] == "x: Forward: something."
    assert sections[""] == "Say what it is.\n\nMore of it.\n\nModels have a shape."


def test_signatures_have_no_annotations():
    assert catalogue.signature(torchlops.Sum) == "Sum(dims, axis=-1, forceflat=None, dtype='float64', name='S')"
    assert inspect.signature(torchlops.Sum).parameters["axis"].annotation == "int"


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
