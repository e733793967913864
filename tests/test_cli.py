"""The commands of ``torchlops``, but for the demo, which has tests of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import torchlops
from torchlops.__main__ import main
from torchlops.testing import PROMISES, findings
from torchlops.utils import environment

OPERATORS = """
import torchlops
import numpy as np
import helpers  # beside it


class Doubled(torchlops.LinearOperator):
    def __init__(self, dims=3):
        super().__init__(dims)

    def _forward(self, x):
        return helpers.factor * x

    def _adjoint(self, y):
        return y * 1


flip = torchlops.Flip(4)
single = torchlops.Smoothing1D(3, 4, dtype="float32")
large = torchlops.Flip(2000)
matrix = np.eye(3)


class Shelf:
    flip = flip


def build():
    return torchlops.Roll(4, shift=1)


def raising():
    raise OSError("no such file")


class Foreign:
    shape, dtype = (2, 2), np.dtype(float)

    def matvec(self, x):
        return x


foreign = Foreign()
"""


@pytest.fixture
def operators(tmp_path, monkeypatch) -> Iterator[Path]:
    """Return the path of a file of operators, for a session that forgets it afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "helpers.py").write_text("factor = 2\n")
    path = tmp_path / "operators_of_a_user.py"
    path.write_text(OPERATORS)
    yield path
    for name in ("helpers", path.stem, f"checked_{path.stem}"):
        sys.modules.pop(name, None)


def check(where: object, *options: str) -> int:
    return main(["check", str(where), "--no-compile", *options])


@pytest.mark.parametrize("name", ["flip", "build", "Shelf.flip", "single"])
def test_what_holds_is_said(name, operators, capsys):
    assert check(f"{operators}:{name}") == 0
    lines = capsys.readouterr().out.splitlines()
    promises = [line.split() for line in lines[1:-1]]
    assert [verdict for _, verdict in promises] == ["holds"] * len(promises)
    assert set(PROMISES) - {promise for promise, _ in promises} == {
        "compile",
        "compiled_gradients",
        "compiled_jacobians",
        "export",
    }
    assert f"all {len(promises)} promises hold" in lines[-1]


def test_what_fails_is_said_and_the_others_are_still_checked(operators, capsys):
    assert check(f"{operators}:Doubled") == 1
    printed = capsys.readouterr().out
    verdicts = {line.split()[0]: line.split()[1] for line in printed.splitlines()[1:-1]}
    assert verdicts["adjoint"] == verdicts["dense"] == "FAILS:"
    assert verdicts["linear"] == verdicts["shapes"] == "holds"
    assert "fitted factor" in printed
    assert "promises fail" in printed


def test_a_module_of_the_current_folder(operators, monkeypatch, capsys):
    monkeypatch.chdir(operators.parent)
    assert check(f"{operators.stem}:flip") == 0
    assert "Flip" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("operators.py", "expected module:operator"),
        (":flip", "expected module:operator"),
        ("{file}:", "expected module:operator"),
        ("nowhere.py:flip", "there is no file nowhere.py"),
        ("no_such_module:flip", "importing no_such_module raised ModuleNotFoundError"),
        ("{file}:missing", "has no 'missing'"),
        ("{file}:matrix", "gives a ndarray, not a torchlops.LinearOperator"),
        ("{file}:foreign", "wrap it by torchlops.aslinearoperator"),
        ("{file}:raising", "raised OSError: no such file"),
        ("torchlops:Flip", "missing 1 required positional argument: 'dims'"),
        ("{file}:large", "check a smaller operator of the same kind"),
    ],
)
def test_bad_usage_is_explained(where, said, operators, capsys):
    assert check(where.format(file=operators)) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("torchlops check: ")
    assert said in printed.err
    assert "Traceback" not in printed.err


def test_findings_and_check_agree(operators):
    class Doubled(torchlops.LinearOperator):
        def _forward(self, x):
            return 2 * x

        def _adjoint(self, y):
            return y * 1

    first = next(failure for _, failure in findings(Doubled(dims=3), compile=False) if failure is not None)
    with pytest.raises(AssertionError) as error:
        torchlops.testing.check(Doubled(dims=3), compile=False)
    assert str(error.value) == str(first)


def test_checks_are_quiet_about_torch_where_warnings_are_errors():
    """Forward mode, when it is first used, brings warnings of torch about itself."""
    code = "import torchlops; torchlops.testing.check_derivatives(torchlops.Flip(2))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_info_as_text(capsys):
    assert main(["info"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    values = {line[2:].split("  ")[0].strip(): line for line in lines if line.startswith("  ")}
    assert torch.__version__ in values["torch"]
    assert torchlops.__version__ in values["torchlops"]
    columns = {len(line) - len(line[2:].partition("  ")[2].lstrip()) for line in values.values()}
    assert len(columns) == 1, "the values are not aligned"


def test_info_as_json(capsys, monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert main(["info", "--json"]) == 0
    sections = json.loads(capsys.readouterr().out)
    assert sections["versions"]["torch"] == torch.__version__
    assert sections["threads"]["torch, in an operation"] == str(torch.get_num_threads())
    assert sections["memory"]["MALLOC_TRIM_THRESHOLD_"] == "1000000"
    assert sections["machine"]["devices"].startswith("cpu")


def test_info_of_a_poor_machine(monkeypatch):
    """Without a compiler, without what Linux tells, and without extras, the report says so."""
    monkeypatch.setattr(environment, "compiler_of_inductor", lambda: None)
    monkeypatch.setattr(environment, "can_reuse_memory", lambda: False)
    monkeypatch.setattr(environment, "_read", lambda path: "")
    monkeypatch.setattr(environment, "version_of", lambda name: "not installed")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sysconf", raising=False)
    sections = environment.environment()
    assert sections["compiler"]["of torch.compile"] == "none found"
    assert sections["memory"]["of the machine"] == sections["memory"]["huge pages"] == "unknown"
    assert "without effect" in sections["memory"]["reuse_memory"]
    assert sections["extras"]["scipy"] == "not installed"


def test_the_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"torchlops {torchlops.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["tidy"], ["check"]])
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: torchlops" in capsys.readouterr().err


def test_without_its_packages_the_demo_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["demo"]) == 1
    said = capsys.readouterr().err
    assert "skimage" in said
    assert "pip install 'torchlops[demo]'" in said
    assert "Traceback" not in said
