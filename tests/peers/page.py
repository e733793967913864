"""Write the page *Coming from PyLops* from the lists of differences: ``python -m tests.peers.page`` (``make docs``)."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.peers.differences import DECISIONS, GALLERY, KINDS, OPERATORS, PYPROXIMAL, TOPICS, Difference
from tests.peers.record import load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coming_from_pylops.md"
COMMAND = "python -m tests.peers.page"

INTRODUCTION = """\
# Coming from PyLops

Change one import, `import torchlops as pylops`, and code that is written for PyLops 2.8 runs: names, arguments,
defaults and sub-packages are the same, NumPy arrays come back as NumPy arrays, and solvers return what PyLops's
return, but for the differences on this page.

For code that you do not want to touch, also in packages of others, there is an alias:

```python
import torchlops.compat.pylops

torchlops.compat.pylops.install()

import pylops  # this is torchlops now

assert pylops is torchlops
torchlops.compat.pylops.uninstall()
```

From the command line, `python -m torchlops.compat.pylops script.py` runs a script so, and
`python -m torchlops.compat.pylops -m pytest tests` a module.

## The proof

PyLops's own tests, its gallery, and the tests of PyProximal, which is built on PyLops, are fetched and run on
torchlops (`make pylops-suite`, `make pylops-gallery`, `make pyproximal-suite`). Each test that cannot pass stands in a
list with its reason, and a reason that no longer holds fails the run.
"""

MISSED = """\
Of the 116 tests in the list, 56 come from the rule of the next section and 45 from float32 operators that do not cast
float64 data down; the list is 5.0 % of the tests. `tutorials/deblending` is the one script that stops: it asks for
eigenvalues of an operator that is linear over the real numbers only (see below). `plot_twoway` is not compared, since
PyLops needs Devito for it. Three scripts take more than 1.3 times PyLops's time: `plot_l1l1` (2.0 times) and
`classsolvers` (1.9), whose small solves consist of calls of torch of 1 to 3 µs each, and `plot_nmo` (1.4), most of
which is the compilation of its own functions by numba.
"""

SHAPES = """\
## Shapes: one rule

- `A(x)`, `A @ x`, `A.matvec(x)` and `A.H @ y` answer in kind: flat in, flat out; `dims`-shaped in, `dimsd`-shaped out.
- Solvers, `A / y`, `A.div(y)` and inversions answer with models of shape `(*batch, *dims)`, whether the data were flat
  or not; a flat `x0`, or `forceflat=True` of the operator, asks for flat models. (PyLops's `cg`, `cgls` and `lsqr` do
  the same; its other solvers answer flat for flat data.) For an operator with one axis, there is no difference.
- With several axes and flat data `d`, write `d - A @ x.ravel()` for the residual of such a model, and `x.ravel() - m`
  to compare it with a flat one. Otherwise NumPy raises, or broadcasts without a word where `dims` is `(n, 1)`.
"""


def page() -> str:
    """Return ``docs/coming_from_pylops.md``."""
    parts = [INTRODUCTION, _numbers(), MISSED, SHAPES, "## Differences\n"]
    for kind, title in KINDS.items():
        entries = [entry for entry in (*DECISIONS, *OPERATORS, *GALLERY, *PYPROXIMAL) if entry.kind == kind]
        if kind == "decision":
            parts += [f"### {title}\n"]
            for topic, about in TOPICS.items():
                parts += [f"#### {about}\n", _bullets([entry for entry in entries if entry.topic == topic])]
        elif entries:
            parts += [f"### {title}\n", _bullets(entries)]
    return "\n".join(parts)


def _numbers() -> str:
    rows = [f"| {name} | {text} |" for name, text in load().items()]
    return "\n".join(["| | on torchlops |", "| --- | --- |", *rows, ""])


def _bullets(entries: list[Difference]) -> str:
    lines = []
    for reason in dict.fromkeys(entry.reason for entry in entries):
        names = {test.partition("[")[0] for entry in entries if entry.reason == reason for test in entry.tests}
        count = len(names)
        shown = f" ({count} {'test or script' if count == 1 else 'tests or scripts'})" if count else ""
        lines.append(f"- {reason}{shown}")
    return "\n".join([*lines, ""])


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
