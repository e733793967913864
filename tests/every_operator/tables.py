"""The tables of the documentation, from the test cases and docstrings: ``python -m tests.every_operator.tables``."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from pathlib import Path

from torch import nn

import torchlops
from tests.every_operator.cases import CASES
from torchlops import LinearOperator

DOCS = Path(__file__).resolve().parents[2] / "docs"
COMMAND = "python -m tests.every_operator.tables"
PACKAGES = {
    "basicoperators": "Basic operators",
    "signalprocessing": "Signal processing",
    "linearoperator": "Operators made of operators",
}
ARGUMENT_OF = {"taps": "tapertype", "matrix": "A", "values": "A"}
"""Arguments that are kept under another name."""

NAMES_OF = {"MatrixMult": {"A": "`A` (as `matrix`, or as `values` if it is sparse)"}}
"""How arguments are shown that learn under other names."""

ADJOINT = re.compile(r"\badjoint\b|A\^H|inverse")


# -- the catalogue -----------------------------------------------------------------------------------------------


def catalogue() -> str:
    """Return ``docs/catalogue.md``: a row for each operator."""
    parts = [
        "# Catalogue",
        f"Written by `{COMMAND}` (`make docs`) from the docstrings and the test cases.",
        "Model and data show the shapes of the operator's first test case; `(*batch, *model)` goes to "
        "`(*batch, *data)`, with any batch axes. Where an adjoint has no formula of its own, the docstring is quoted. "
        "Which tensors of an operator carry gradients stands in [Parameters that learn](parameters.md).",
    ]
    for package, title in PACKAGES.items():
        rows = [
            [f"`{name}`", forward, adjoint, f"`{first.dims}`", f"`{first.dimsd}`"]
            for name, first in sorted(_first_of_each(package).items(), key=lambda item: item[0].lower())
            for forward, adjoint in [formulas(type(first))]
        ]
        parts += [f"## {title}", _table(["operator", "`A x`", "`A^H y`", "model", "data"], rows)]
    return "\n\n".join(parts) + "\n"


def _first_of_each(package: str) -> dict[str, LinearOperator]:
    """Return the operators of the first cases of each class of ``package``, by the name of the class."""
    first: dict[str, LinearOperator] = {}
    for case in CASES:
        name = case.class_name
        if name not in first and _is_in(package, module := case.make()):
            first[name] = module
    return first


def _is_in(package: str, operator: LinearOperator) -> bool:
    """Whether the class of ``operator`` is exported by ``package``, or defined there."""
    kind = type(operator)
    exported = getattr(getattr(torchlops, package), "__all__", ())
    return kind.__name__ in exported or package in kind.__module__.split(".")


def formulas(operator: type[LinearOperator]) -> tuple[str, str]:
    """Return ``A x`` and ``A^H y`` of a class as Markdown: its formulas, or else the sentences that say it."""
    text = inspect.getdoc(operator) or ""
    text = re.split(r"\n(?:Args|Raises|Example):\n", text)[0]
    rows = _rows_of_grid(text)
    first_line, rest = text.split("\n", 1) if "\n" in text else (text, "")
    prose = re.sub(r"^=+ =+.*^=+ =+$", "", rest, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"\.\. math::.*?(?=\n\S|\Z)", "", prose, flags=re.DOTALL)
    blocks = [
        textwrap.dedent(block).strip()
        for block in re.findall(r"\.\. math::((?:.*\n)(?:[ \t]*\n|[ \t]+.*(?:\n|\Z))*|.*\Z)", text)
    ]
    pieces = [piece.strip().rstrip(",") for block in blocks for piece in re.split(r"\\qquad", block)]
    forward = [piece for piece in pieces if "A^H" not in piece]
    adjoint = [_math(piece) for piece in pieces if "A^H" in piece]
    if rows:
        shown = "<br>".join([*(_math(piece) for piece in forward[:1]), *rows])
    elif forward:
        shown = "<br>".join(map(_math, forward[:2] if len(forward) < 3 else forward[:1]))
    else:
        inline = [_math(found) for found in re.findall(r":math:`([^`]*)`", first_line) if "A^H" not in found]
        shown = inline[0] if inline else _markdown(first_line)
    if not adjoint:
        sentences = re.split(r"(?<=[.:])\s+(?=[A-Z(])", " ".join(f"{first_line} {_from_capital(prose)}".split()))
        sentences = [part for sentence in sentences for part in re.split(r"(?<=; )(?=the adjoint)", sentence)]
        said = [sentence for sentence in sentences if ADJOINT.search(sentence) and "PyLops" not in sentence]
        if said and "A^H" in said[0]:
            adjoint = [_math(found) for found in re.findall(r":math:`([^`]*)`", said[0]) if "A^H" in found]
        else:
            adjoint = [_markdown(sentence) for sentence in said[:1]]
    return shown, "<br>".join(adjoint) or "the conjugate transpose"


def _from_capital(prose: str) -> str:
    """Return what follows a formula without the end of the sentence in which the formula stood."""
    return re.sub(r"(?<=\n\n)[a-z(][^.]*\.", "", re.sub(r"\n(?:[ \t]*\n)+", "\n\n", prose))


def _rows_of_grid(text: str) -> list[str]:
    """Return the rows of a table of formulas, one a kind, as Markdown."""
    grid = re.search(r"^(=+) =+\n.*\n=+ =+\n((?:.*\n)*?)=+ =+$", text, flags=re.MULTILINE)
    if grid is None:
        return []
    width, rows = len(grid[1]), []
    for line in grid[2].splitlines():
        kind, formula = line[:width].strip(), line[width:].strip()
        if kind:
            rows.append(f"{kind}: {formula}")
        else:
            rows[-1] += f" {formula}"
    return [_markdown(row) for row in rows]


def _markdown(text: str) -> str:
    """Return a sentence of a docstring with its roles as Markdown."""
    text = re.sub(r":math:`([^`]*)`", lambda found: _math(found[1]), " ".join(text.split()))
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`")


def _math(formula: str) -> str:
    """Return a formula as GitHub's inline mathematics, in which no bar ends the cell of a table."""
    formula = " ".join(formula.replace("&", "").split()).rstrip(",.")
    formula = formula.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
    return f"$`{formula}`$"


# -- parameters that learn ---------------------------------------------------------------------------------------


def parameters() -> str:
    """Return ``docs/parameters.md``: which tensors of each operator carry gradients."""
    parts = [
        "# Parameters that learn",
        f"Written by `{COMMAND}` (`make docs`) from the test cases.",
        "An `nn.Parameter` in the place of these arguments is a parameter of the operator, and a tensor with a graph "
        "keeps it: gradients reach it in every mode. Each is checked on all of its cases, real and complex where it "
        "may be, by `torchlops.testing.check_tensor_gradients`: first and second derivatives, reverse and forward, "
        "against finite differences, building inside `torch.func` transforms, and that a change in place is seen by "
        "the next call. Operators of operators have the tensors of all their parts. Indices and sizes are "
        "constants.",
    ]
    for package, title in PACKAGES.items():
        rows = []
        for name in sorted({case.class_name for case in CASES}, key=str.lower):
            of_class = [case for case in CASES if case.class_name == name and case.tensors]
            learning = [case for case in of_class if "tensor_gradients" not in case.opt_out]
            built = [case.make(*(nn.Parameter(tensor.clone()) for tensor in case.tensors)) for case in learning]
            if not built or not _is_in(package, built[0]):
                continue
            given = inspect.signature(type(built[0])).parameters
            learns = {_readable(key, set(given)) for operator in built for key, _ in operator.named_parameters()}
            arrays = [argument for argument in _arrays(type(built[0])) if f"`{argument}`" not in learns]
            kinds = ["real", "complex"]
            checked = [k for k in kinds if any(t.is_complex() == (k == "complex") for c in learning for t in c.tensors)]
            rows.append(
                [
                    f"`{name}`",
                    ", ".join(sorted(NAMES_OF.get(name, {}).get(key.strip("`"), key) for key in learns)),
                    ", ".join(f"`{argument}`" for argument in arrays),
                    f"{len(learning)}, {' and '.join(checked)}",
                ]
            )
        if rows:
            header = ["operator", "carry gradients", "not checked, or constant", "cases that check it"]
            parts += [f"## {title}", _table(header, rows)]
    return "\n\n".join(parts) + "\n"


def _arrays(operator: type[LinearOperator]) -> list[str]:
    """Return the arguments of a class that take any array."""
    arguments = inspect.signature(operator).parameters.values()
    return [p.name for p in arguments if re.search(r"\b(Any|Array|ndarray)\b", str(p.annotation)) and _is_array(p)]


def _is_array(argument: inspect.Parameter) -> bool:
    plain = argument.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    return plain and argument.name not in ("Op", "ops", "f", "fh", "dtype", "part", "parts", "offset")


def _readable(key: str, arguments: set[str]) -> str:
    """Return the name of a parameter as the user knows it: an argument, an attribute, or one of a part."""
    name = key.rsplit(".", 1)[-1]
    name = ARGUMENT_OF.get(name, name)
    return f"`{name}`" if name in arguments else "the tensors of its parts"


# -- the files ---------------------------------------------------------------------------------------------------


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES = {"catalogue.md": catalogue, "parameters.md": parameters}


def main() -> int:
    """Write the tables."""
    DOCS.mkdir(exist_ok=True)
    for name, make in TABLES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
