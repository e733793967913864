"""The benchmark runs, and its report says what was measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import small, smallreport
from benchmarks.__main__ import main
from benchmarks.report import BEGIN, END, insert, mean_table, render, slower_cases, slower_table, still_slower, summary
from benchmarks.results import load, save
from benchmarks.tabulating import geometric_mean
from benchmarks.timing import QUICK

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
        "## Small vectors",
        "## Solvers",
        "## Memory",
    ):
        assert heading in report
    assert "| Diagonal |" in report
    assert "| FFT real |" in report
    assert "| Regression |" in report
    assert "differs from ours" not in report
    assert str(ROOT) not in report
    assert (tmp_path / "benchmark.png").stat().st_size > 0
    assert main(["--report", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "RESULTS.md").read_text(encoding="utf-8") == report


def test_the_report_is_that_of_the_stored_results():
    results = load(ROOT / "benchmarks" / "results.json")
    assert (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8") == render(results)
    assert summary(results) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_results_are_stored_to_four_digits(tmp_path):
    stored = tmp_path / "results.json"
    results = {
        "default": {"facts": {"cores": 2, "cpu": "µ"}, "ratios": [RECORD | {"copies": 1.23456}], "kept": {25: (1,)}}
    }
    save(results, stored)
    expected = {"facts": {"cores": 2, "cpu": "µ"}, "ratios": [RECORD | {"copies": 1.235}], "kept": {"25": [1]}}
    assert load(stored) == {"default": expected}
    with pytest.raises(SystemExit, match="does not exist"):
        load(tmp_path / "other.json")


@pytest.mark.parametrize(
    "options",
    [["--quick"], ["--operators", "FFT"], ["--report", "--quick"], ["--report", "--threads", "1"], ["--update"]],
)
def test_a_part_never_replaces_the_whole(options, capsys):
    with pytest.raises(SystemExit):
        main(options)
    assert "--output" in capsys.readouterr().err


def test_ratios_and_means():
    assert geometric_mean([2.0, 8.0, None]) == pytest.approx(4.0)
    assert geometric_mean([None]) is None
    assert [(value, mode) for value, _, mode in slower_cases([RECORD])] == [(0.5, "both")]
    assert mean_table([RECORD]).splitlines()[-1] == "| 64 samples, batch 1, float32 | 4.00 | 0.50 | n/a | 0.25 |"
    assert "| Flip | 1 | 0.50 |" in slower_table([RECORD], {})
    assert still_slower([RECORD]) == "Flip, forward + backward (0.50)"


def test_small_vectors_are_compared_with_pylops():
    times = {"forward ours": 2e-6, "forward pylops": 1e-6, "adjoint ours": 1e-6, "adjoint pylops": 8e-6}
    records = [
        {"operator": "Flip", "size": 64, "times": times, "note": "", "why": "a reason"},
        {"operator": "Roll", "size": 64, "times": {}, "note": "raises ValueError: no", "why": ""},
    ]
    found = {"operators": records, "road": {"tensors": 4.0, "arrays": 2.0, "part": 3.5}}
    assert smallreport.mean(records) == pytest.approx(0.5)
    assert [reached for _, _, reached in smallreport.targets(found)] == [True, False, True, False]
    section = smallreport.section(found, "a processor")
    assert "| Flip | 2.0 | 2.00 | 1.0 | 0.12 |" in section
    assert "Flip, forward, 64 (2.00: a reason)" in section
    assert "- Roll: raises ValueError: no" in section


def test_small_vectors_are_measured():
    found = small.measure(quick=True, names=["Flip"], effort=QUICK)
    (record,) = found["operators"]
    assert record["times"].keys() == {"forward ours", "forward pylops", "adjoint ours", "adjoint pylops"}
    assert all(seconds > 0 for seconds in record["times"].values())


def test_summary_goes_between_the_markers():
    readme = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = insert(readme, "new")
    assert "old" not in once
    assert insert(once, "new") == once
    assert once.startswith("before\n")
    assert once.endswith(f"new\n\n{END}\nafter\n")
    assert insert("no markers", "new") == "no markers"
