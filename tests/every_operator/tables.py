"""The tables of the documentation, from the test cases: ``python -m tests.every_operator.tables``."""

from __future__ import annotations

import inspect
import re
import sys
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
    "waveeqprocessing": "Wave-equation processing",
    "avo": "Amplitudes and angles",
    "medical": "Medical imaging",
    "linearoperator": "Operators made of operators",
}
ARGUMENT_OF = {
    "taps": "tapertype", "matrix": "A", "values": "A", "trav_srcs": "trav", "trav_recs": "trav", "amp_srcs": "amp",
    "amp_recs": "amp", "velocity": "vp",
}  # fmt: skip
"""Arguments that are kept under another name."""

NAMES_OF = {
    "AcousticBorn": {"the tensors of its parts": "positions of `modelling`"},
    "AcousticWave2D": {"vp": "`vp` (as `velocity`)"},
    "MatrixMult": {"A": "`A` (as `matrix`, or as `values` if it is sparse)"},
}
"""How arguments are shown that learn under other names."""


# -- parameters that learn ---------------------------------------------------------------------------------------


def parameters() -> str:
    """Return ``docs/parameters.md``: which tensors of each operator carry gradients."""
    parts = [
        "# Table of parameters",
        "An `nn.Parameter` in the place of these arguments is a parameter of the operator, and a tensor with a graph "
        "keeps it: gradients reach it in every mode. Each is checked on all of its cases, real and complex where it "
        "may be, by `torchlops.testing.check_tensor_gradients`: first and second derivatives, reverse and forward, "
        "against finite differences, building inside `torch.func` transforms, and that a change in place is seen by "
        "the next call. Operators of operators have the tensors of all their parts. Indices and sizes are "
        f"constants. Operators that are not listed have no tensors. (Written by `{COMMAND}`.)",
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


def _is_in(package: str, operator: LinearOperator) -> bool:
    """Whether the class of ``operator`` is exported by ``package``, or defined there."""
    kind = type(operator)
    exported = getattr(getattr(torchlops, package), "__all__", ())
    return kind.__name__ in exported or package in kind.__module__.split(".")


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
    known = [f"`{argument}`" for argument in (name, ARGUMENT_OF.get(name)) if argument in arguments]
    return known[0] if known else "the tensors of its parts"


# -- the files ---------------------------------------------------------------------------------------------------


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES = {"parameters.md": parameters}


def main() -> int:
    """Write the tables."""
    DOCS.mkdir(exist_ok=True)
    for name, make in TABLES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
