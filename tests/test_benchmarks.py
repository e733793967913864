"""The benchmark runs, and its report says what was measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import BEGIN, END, geometric_mean, insert, mean_table, slower_cases, slower_table

ROOT = Path(__file__).resolve().parents[1]
RECORD = {
    "operator": "Flip",
    "size": "64 samples",
    "batch": 1,
    "dtype": "float32",
    "times": {"forward ours": 2.0, "forward pylops": 8.0, "both ours": 4.0, "both pylops": 2.0, "both hand": 1.0},
    "notes": {},
}


@pytest.mark.slow
def test_quick_run_writes_the_report(tmp_path):
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--quick",
        "--operators",
        "Diagonal",
        "FFT real",
        "Regression",
        "--output",
        tmp_path,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    for heading in (
        "## Targets",
        "## Where PyLops is faster",
        "## In copies",
        "## A call",
        "## The rest of the catalogue",
        "## Solvers",
        "## Memory",
    ):
        assert heading in report
    assert "| Diagonal |" in report
    assert "| FFT real |" in report
    assert "| Regression |" in report
    assert "differs from ours" not in report
    assert str(ROOT) not in report


def test_ratios_and_means():
    assert geometric_mean([2.0, 8.0, None]) == pytest.approx(4.0)
    assert geometric_mean([None]) is None
    assert [(value, mode) for value, _, mode in slower_cases([RECORD])] == [(0.5, "both")]
    assert mean_table([RECORD]).splitlines()[-1] == "| 64 samples, batch 1, float32 | 4.00 | 0.50 | n/a | 0.25 |"
    assert "| Flip | 1 | 0.50 |" in slower_table([RECORD], {})


def test_summary_goes_between_the_markers():
    readme = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = insert(readme, "new")
    assert "old" not in once
    assert insert(once, "new") == once
    assert once.startswith("before\n")
    assert once.endswith(f"new\n\n{END}\nafter\n")
    assert insert("no markers", "new") == "no markers"
