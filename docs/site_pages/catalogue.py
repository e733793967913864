"""The catalogue: every operator with its formulas, its signature, a picture, and its names in other libraries."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torchlops
from torchlops.signalprocessing import interp

from .elsewhere import ELSEWHERE, NOT_IN_PYLOPS
from .examples import EXAMPLES, SYMBOLS, Example
from .pictures import draw

DOCS = Path(__file__).resolve().parents[1]
GALLERY = DOCS.parent / "examples"
PLACES: tuple[Any, ...] = (
    torchlops,
    torchlops.basicoperators,
    torchlops.signalprocessing,
    torchlops.waveeqprocessing,
    torchlops.avo,
    torchlops.medical,
    torchlops.linearoperator,
    interp,
)


@dataclass(frozen=True)
class Family:
    """Operators that stand on one page.

    Attributes:
        page: Name of the page.
        title: Title of the page.
        says: What its operators have in common.
        names: The operators.
    """

    page: str
    title: str
    says: str
    names: str


FAMILIES = (
    Family(
        "derivatives",
        "Derivatives",
        "Finite differences along axes and directions, and their counterpart, the integral.",
        "FirstDerivative SecondDerivative Gradient Laplacian FirstDirectionalDerivative SecondDirectionalDerivative "
        "CausalIntegration",
    ),
    Family(
        "convolution",
        "Smoothing and convolution",
        "Moving averages, and filters that are the same everywhere or vary from sample to sample. The filters learn.",
        "Smoothing1D Smoothing2D SmoothingND Convolve1D Convolve2D ConvolveND NonStationaryConvolve1D "
        "NonStationaryConvolve2D NonStationaryConvolve3D NonStationaryFilters1D NonStationaryFilters2D",
    ),
    Family(
        "fourier",
        "Fourier and other transforms",
        "Spectra, also at frequencies that are on no grid, cosine transforms, and fractional shifts in the Fourier "
        "domain. See :doc:`/guide/nonuniform`.",
        "FFT FFT2D FFTND NUFFT NUFFTGram DCT Shift",
    ),
    Family(
        "wavelets",
        "Wavelets and curvelets",
        "Transforms to coefficients at several scales, few of which are large.",
        "DWT DWT2D DWTND DTCWT UDCT",
    ),
    Family(
        "radon",
        "Radon transforms",
        "Slant stacks and related transforms of seismic processing, between (slope, time) and (offset, time). Radon2D, "
        "Radon3D, FourierRadon2D, FourierRadon3D and Spread spread samples along curves, and their adjoints sum along "
        "them; ChirpRadon2D and ChirpRadon3D sum, and their adjoints spread. For the Radon transform of computed "
        "tomography (CT, sinograms), see :class:`~torchlops.medical.CT2D`. Pictures have time downward.",
        "Radon2D Radon3D FourierRadon2D FourierRadon3D ChirpRadon2D ChirpRadon3D Spread",
    ),
    Family(
        "interpolation",
        "Interpolation",
        "Values at given positions. Positions are tensors that learn, except for those of :class:`Restriction`.",
        "Interp LinearInterpolation SincInterpolation InterpCubicSpline Bilinear Restriction",
    ),
    Family(
        "windows",
        "Sliding windows",
        "One operator on all windows or patches of the data, which overlap and are tapered and summed.",
        "Sliding1D Sliding2D Sliding3D Patch2D Patch3D",
    ),
    Family(
        "seismic",
        "Seismic operators",
        "Operators along the slopes of events, and integrals over surfaces.",
        "Seislet PWSprayer2D PWSmoother2D Fredholm1",
    ),
    Family(
        "waves",
        "Wavefields",
        "Migration, by travel times and by the wave equation, convolution with wavefields, waves that go down or up "
        "at a level, and shots that overlap in a record. (For elastic waves and varying density, see "
        ":class:`~torchlops.interop.DeepwaveBorn`; for inversions, see :class:`~torchlops.waveeqprocessing.LSM`, "
        ":func:`~torchlops.waveeqprocessing.MDD`, :class:`~torchlops.waveeqprocessing.Marchenko`, "
        ":func:`~torchlops.waveeqprocessing.WavefieldDecomposition` and "
        ":func:`~torchlops.waveeqprocessing.Deghosting`.) Pictures have depth and time downward.",
        "Kirchhoff AcousticBorn AcousticWave2D MDC PhaseShift PressureToVelocity UpDownComposition2D "
        "UpDownComposition3D BlendingContinuous BlendingGroup BlendingHalf",
    ),
    Family(
        "avo",
        "Amplitudes and angles",
        "Seismic data of layers, from profiles of their elastic parameters, by linearised reflection coefficients. "
        "(For exact coefficients, see :mod:`torchlops.avo.avo`; for inversions, :func:`PoststackInversion` and "
        ":func:`PrestackInversion`.) Pictures have time downward.",
        "AVOLinearModelling PoststackLinearModelling PrestackLinearModelling PrestackWaveletModelling",
    ),
    Family(
        "tomography",
        "Tomography",
        "Projections of images and volumes along rays, and reconstruction in one step. The geometry learns.",
        "CT2D CT3D FBP FDK",
    ),
    Family(
        "mri",
        "Magnetic resonance imaging",
        "Samples of k-space, along columns and lines, and the coils that receive them. (For any trajectory, see "
        ":class:`NUFFT`; for images from the data of several coils, :class:`~torchlops.medical.SENSE`; for the "
        "sensitivities of coils, :func:`~torchlops.medical.espirit_maps` and :func:`~torchlops.medical.walsh_maps`.)",
        "MRI2D Sensitivity",
    ),
    Family(
        "algebra",
        "Stacks and algebra",
        "Operators made of operators. They have the tensors of their parts, and act on matrices, too.",
        "VStack HStack Block BlockDiag Kronecker AdjointOperator TransposedOperator ConjugatedOperator PartOperator "
        "ColumnsOperator ScaledOperator SumOperator ProductOperator PowerOperator IdentityOperator",
    ),
    Family(
        "regression",
        "Regression",
        "Values of polynomials, whose coefficients are the model.",
        "Regression LinearRegression",
    ),
    Family(
        "elementary",
        "Elementary operators and utilities",
        "Selections and permutations of samples, matrices, functions of your own, and operators of other libraries. "
        "(:class:`JaxOperator` and :class:`PyTensorOperator` make an operator part of a program in JAX or PyTensor.)",
        "Identity Zero Diagonal MatrixMult Pad Flip Roll Transpose Sum Symmetrize Real Imag Conj FunctionOperator "
        "aslinearoperator TorchOperator MemoizeOperator ToDevice ToCupy",
    ),
)

EXPRESSIONS = {
    "AdjointOperator": ("A.H", "H"),
    "TransposedOperator": ("A.T", "T"),
    "ConjugatedOperator": ("A.conj()", "conj"),
    "PartOperator": ("A.toreal(), A.toimag()", "toreal"),
    "ColumnsOperator": ("A.apply_columns(cols)", "apply_columns"),
    "ScaledOperator": ("alpha * A", ""),
    "SumOperator": ("A + B", ""),
    "ProductOperator": ("A @ B", ""),
    "PowerOperator": ("A ** n", ""),
    "IdentityOperator": ("A ** 0", ""),
}
"""Operators that are written as expressions, and the member of :class:`~torchlops.LinearOperator` that makes them."""
KINDS = {"LinearInterpolation": 'Interp(..., kind="linear")', "SincInterpolation": 'Interp(..., kind="sinc")'}
"""Operators that are made by a function."""


# -- docstrings --------------------------------------------------------------------------------------------------


def sections(thing: Any) -> dict[str, str]:
    """Return the sections of a docstring by their headers, and under "" the text outside of them."""
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in (inspect.getdoc(thing) or "").splitlines():
        header = re.fullmatch(r"([A-Z][a-z]+):", line)
        if header:
            name = header[1]
            found[name] = []
            continue
        if line and not line[0].isspace():
            name = ""
        found[name].append(line)
    return {name: textwrap.dedent("\n".join(lines)).strip() for name, lines in found.items()}


def operator(name: str) -> Any:
    """Return the class, or the function, that an entry of the catalogue describes."""
    return next(getattr(place, name) for place in PLACES if hasattr(place, name))


def signature(thing: Any) -> str:
    """Return how an operator is called: its arguments with their defaults."""
    given = inspect.signature(thing)
    plain = [argument.replace(annotation=inspect.Parameter.empty) for argument in given.parameters.values()]
    call = thing.__name__ + str(given.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    indent = " " * (len(thing.__name__) + 1)
    return textwrap.fill(call, 70, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


# -- what the entries refer to -----------------------------------------------------------------------------------


def gallery() -> Iterator[tuple[str, str, set[str]]]:
    """Yield the name, the title and the names in the code of each example in the gallery."""
    for path in sorted(GALLERY.rglob("plot_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        title = (ast.get_docstring(tree) or path.stem).splitlines()[0].rstrip(".")
        yield path.relative_to(GALLERY).with_suffix("").as_posix(), title, names_in(tree)


def names_in(tree: ast.Module) -> set[str]:
    """Return the names that the code of a script uses, without its texts and imports."""
    nodes = list(ast.walk(tree))
    return (
        {node.id for node in nodes if isinstance(node, ast.Name)}
        | {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        | {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    )


def learning() -> dict[str, str]:
    """Return the tensors of each operator that learn, from the table of the tests."""
    rows = [line.split("|") for line in (DOCS / "parameters.md").read_text(encoding="utf-8").splitlines()]
    return {row[1].strip(" `"): row[2].strip().replace("`", "``") for row in rows if len(row) > 4 and "`" in row[1]}


# -- the pages ---------------------------------------------------------------------------------------------------


def write(folder: Path) -> None:
    """Write the pages and the pictures of the catalogue into ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    shapes = {name: draw(example, folder / "images" / f"{name}.png") for name, example in EXAMPLES.items()}
    examples, learn = list(gallery()), learning()
    for family in FAMILIES:
        parts = [_heading(family.title, "="), ".. currentmodule:: torchlops", family.says]
        for name in family.names.split():
            uses = [f":doc:`{title} </gallery/{page}>`" for page, title, used in examples if name in used]
            parts += _entry(name, shapes[name], learn.get(name, ""), uses)
        (folder / f"{family.page}.rst").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    (folder / "index.rst").write_text(_index(), encoding="utf-8")


def _entry(name: str, shapes: Sequence[tuple[int, ...]], learn: str, uses: Sequence[str]) -> list[str]:
    """Return the parts of the section of one operator."""
    thing, example = operator(name), EXAMPLES[name]
    text = sections(thing)
    expression, member = EXPRESSIONS.get(name, ("", ""))
    made = KINDS.get(name) or expression or signature(thing)
    fields = {
        "Shapes": f"``{shapes[0]}`` to ``{shapes[1]}`` in the picture",
        "Names elsewhere": ", ".join(_literal(other) for other in names_elsewhere(name)),
        "Learns": f"{learn}; see :doc:`/parameters`" if learn else "",
        "Examples": ", ".join(uses),
        "Reference": _reference(name, member),
    }
    return [
        f".. _catalogue-{name.lower()}:",
        _heading(f"``{expression}``" if expression else name, "-"),
        text[""].split("\n\n")[0],
        f".. image:: images/{name}.png\n   :alt: A model, its data, and the adjoint of the data\n   :class: dark-light",
        f"``A = {example.code}``, applied to {example.says}."
        + _symbols(example)
        + (" Real parts are blue, imaginary parts orange." if example.complex == "parts" else ""),
        ".. code-block:: python\n\n" + textwrap.indent(made, "   "),
        "\n".join(
            f"{title}\n{textwrap.indent(text[title], '   ')}\n" for title in ("Forward", "Adjoint") if title in text
        ),
        "\n".join(f":{title}: {value}" for title, value in fields.items() if value),
    ]


def _symbols(example: Example) -> str:
    """Return what the names in the code of an example stand for, as a sentence."""
    said = [f"``{name}``: {SYMBOLS[name]}" for name in example.symbols()]
    return f" ({'; '.join(said)}.)" if said else ""


def names_elsewhere(name: str) -> list[str]:
    """Return what other libraries call an operator, beginning with PyLops."""
    names = list(ELSEWHERE.get(name, ()))
    if name in NOT_IN_PYLOPS or name in EXPRESSIONS:
        return names
    packages = ("signalprocessing", "waveeqprocessing", "avo", "medical")
    package = ".".join(["pylops", *(place for place in packages if hasattr(getattr(torchlops, place), name))])
    return [f"pylops.signalprocessing.{KINDS[name]}" if name in KINDS else f"{package}.{name}", *names]


def _literal(name: str) -> str:
    """Return a name as code, and what is said of it as text."""
    code, *text = re.split(r" (?=\(for |in )", name, maxsplit=1)
    return " ".join([f"``{code}``", *text])


def _reference(name: str, member: str) -> str:
    if name in EXPRESSIONS:
        return f":obj:`LinearOperator.{member}`" if member else ":class:`LinearOperator`"
    return f":obj:`{name} <{operator(name).__module__}.{name}>`"


def _index() -> str:
    """Return the index: a card for each operator, by family."""
    count = sum(len(family.names.split()) for family in FAMILIES)
    parts = [
        _heading("Catalogue", "="),
        ".. currentmodule:: torchlops",
        f"{count} operators. Each entry has the formulas of :math:`A x` and of the adjoint :math:`A^H y`, a picture of "
        ":math:`x`, :math:`A x` and :math:`A^H A x`, and the names of the operator in other libraries. Every operator "
        "takes models ``(*batch, *dims)`` to data ``(*batch, *dimsd)``, with any batch axes. Which tensors of an "
        "operator carry gradients stands in :doc:`/parameters`.",
        ".. toctree::\n   :maxdepth: 1\n   :hidden:\n\n"
        + "".join(f"   {family.page}\n" for family in FAMILIES)
        + "   /parameters\n",
    ]
    for family in FAMILIES:
        parts += [_heading(f":doc:`{family.title} <{family.page}>`", "-"), family.says]
        parts += [".. grid:: 1 2 3 3\n   :gutter: 3\n   :class-container: catalogue-cards"]
        parts += [textwrap.indent(_card(name), "   ") for name in family.names.split()]
    return "\n\n".join(parts) + "\n"


def _card(name: str) -> str:
    title = EXPRESSIONS.get(name, (name,))[0]
    summary = " ".join(sections(operator(name))[""].split("\n\n")[0].split())
    breaking = re.sub(r"(?<=[a-z])(?=[A-Z])", "\u200b", title)  # a long name breaks between its words
    return (
        f".. grid-item-card:: {breaking}\n   :img-top: images/{name}.png\n   :img-alt: {title}\n"
        f"   :class-img-top: dark-light\n   :link: catalogue-{name.lower()}\n   :link-type: ref\n\n   {_plain(summary)}"
    )


def _plain(text: str) -> str:
    """Return a sentence without links, which may not stand inside of one."""
    return re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"``\1``", text)


def _heading(title: str, line: str) -> str:
    return f"{title}\n{line * len(title)}"
