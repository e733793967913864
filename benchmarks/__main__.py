"""Run the benchmark, ``python -m benchmarks``, or rewrite its report, ``python -m benchmarks --report``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import cataloguereport, smallreport, solverreport
from benchmarks.figure import draw
from benchmarks.report import insert, render, summary, wrong_answers
from benchmarks.results import load, save

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

# Each in its own process: reusing memory cannot be undone, and the peak memory of a process never decreases.
PROCESSES = {
    "default": ["overheads", "units", "ratios"],
    "catalogue": ["catalogue"],
    "small": ["small"],
    "solvers": ["solvers"],
    "solvers reused": ["images", "--reuse-memory"],
    "reused": ["units", "large", "--reuse-memory"],
    "memory ours default": ["memory", "--library", "ours"],
    "memory pylops default": ["memory", "--library", "pylops"],
    "memory ours reused": ["memory", "--library", "ours", "--reuse-memory"],
    "memory pylops reused": ["memory", "--library", "pylops", "--reuse-memory"],
}


SECTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "catalogue": lambda results: cataloguereport.section(results["catalogue"]["catalogue"]),
    "small": lambda results: smallreport.section(results["small"]["small"], results["small"]["facts"]["cpu"]),
    "solvers": lambda results: solverreport.section(solverreport.gathered(results)),
}

# A quick run does not measure speed, so it uses two processes only.
QUICK_PROCESSES = {
    "default": ["overheads", "units", "ratios", "memory", "catalogue", "small", "solvers"],
    "reused": ["units", "large", "memory", "images", "--library", "pylops", "--reuse-memory"],
}


def measure(
    quick: bool, operators: Sequence[str] | None, threads: int, only: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return the measurements of all processes, or of those in ``only``, which run one after the other."""
    common = ["--threads", str(threads), *["--quick"] * quick, *(["--operators", *operators] if operators else [])]
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "figures.json")
        for name, arguments in _processes(quick, only).items():
            command = [sys.executable, "-m", "benchmarks.measure", *arguments, "--json", str(file), *common]
            if subprocess.run(command, cwd=ROOT, check=False).returncode:
                raise SystemExit(f"the measurement '{name}' failed: see above")
            results[name] = json.loads(file.read_text())
    for name in () if only else PROCESSES:
        results.setdefault(name, results["reused" if "pylops" in name or name == "solvers reused" else "default"])
    return results


def _processes(quick: bool, only: Sequence[str] | None) -> dict[str, list[str]]:
    if only:
        return {name: PROCESSES[name] for name in only}
    return QUICK_PROCESSES if quick else PROCESSES


def write_report(results: dict[str, Any], folder: Path) -> None:
    """Write the tables and the plot. Those of the repository's own results are also written to its README."""
    (folder / "RESULTS.md").write_text(render(results), encoding="utf-8")
    if folder.resolve() != HERE:
        draw(results, folder / "benchmark.png")
        return
    draw(results, ROOT / "docs" / "images" / "benchmark.png")
    readme = ROOT / "README.md"
    readme.write_text(insert(readme.read_text(encoding="utf-8"), summary(results)), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure our operators against PyLops's and plain torch; write results.json, RESULTS.md and the README summary."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="a few operators at small sizes, to check that it runs")
    parser.add_argument("--operators", nargs="+", metavar="NAME", help="only operators whose names begin with NAME")
    parser.add_argument("--output", type=Path, default=HERE, help="folder for the results (default: benchmarks)")
    parser.add_argument("--threads", type=int, default=2, help="number of torch threads for ratios (default: 2)")
    parser.add_argument(
        "--only", choices=list(SECTIONS), help="only this section, to a file with its name in the output folder"
    )
    parser.add_argument(
        "--update", action="store_true", help="with --only: replace the section in results.json, and rewrite the report"
    )
    parser.add_argument(
        "--report", action="store_true", help="measure nothing; rewrite the tables and the plot from results.json"
    )
    options = parser.parse_args(arguments)
    own = options.output.resolve() == HERE
    threads = options.threads != parser.get_default("threads")
    if options.report and (options.quick or options.operators or options.only or threads):
        parser.error("--report measures nothing: the only option it takes is --output")
    if options.update and not options.only:
        parser.error("--update replaces a section: name it with --only")
    if own and (options.update or not options.only) and (options.quick or options.operators):
        parser.error("--quick and --operators measure only a part: choose another folder with --output")
    stored = options.output / "results.json"
    if options.report:
        write_report(load(stored), options.output)
        print(f"report written from {stored}")
        return 0
    start = time.perf_counter()
    results = measure(
        options.quick,
        options.operators,
        options.threads,
        options.only and [name for name in PROCESSES if name.startswith(options.only)],
    )
    options.output.mkdir(parents=True, exist_ok=True)
    if options.update:
        results = load(stored) | results
    elif options.only:
        path = options.output / f"{options.only.upper()}.md"
        path.write_text(SECTIONS[options.only](results), encoding="utf-8")
        print(f"{path} written after {time.perf_counter() - start:.0f} s")
        return 0
    save(results, stored)
    results = load(stored)  # report exactly what is stored
    write_report(results, options.output)
    print(summary(results))
    print(f"\n{options.output / 'RESULTS.md'} and {stored.name} written after {time.perf_counter() - start:.0f} s")
    wrong = wrong_answers(results)
    if wrong:
        print("answers differ:", ", ".join(wrong), file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
