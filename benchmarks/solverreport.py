"""The measurements of the solvers as Markdown: a section of ``RESULTS.md`` and rows of the table of targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.tabulating import Record, geometric_mean, mebibytes, milliseconds, table, times

SINGLE, OVERHEAD, BACKWARD = 1.5, 50.0, 1.3
LIBRARIES = {"pylops": "PyLops", "scipy": "SciPy"}


def gathered(results: dict[str, Any]) -> Record:
    """Return the measurements of all processes."""
    found: Record = results["solvers"]["solvers"]
    return {**found, "batches": [*found["batches"], *results["solvers reused"]["images"]]}


def faster(record: Record) -> float:
    """Return how many times longer the other library takes."""
    ratio: float = record["theirs"] / record["ours"]
    return ratio


def above(record: Record) -> float:
    """Return the microseconds of an iteration in excess of operator and vector work."""
    microseconds: float = 1e6 * (record["iteration"] - record["vectors"])
    return microseconds


def targets(found: Record) -> list[tuple[str, str, bool]]:
    """Return every target, the measured value, and whether the target is reached."""
    rows = []
    for problem in dict.fromkeys(record["problem"] for record in found["batches"]):
        here = [record for record in found["batches"] if record["problem"] == problem]
        least = here[0]["target"]
        short = sorted((record for record in here if faster(record) < least), key=faster)
        said = f"{times(geometric_mean(map(faster, here)))} (geometric mean of {len(here)})"
        if short:
            said += f"; below: {', '.join(f'{_named(record)} ({times(faster(record))})' for record in short)}"
        rows.append(
            (f"batch of 64, {problem}: each solver at least {least:g} times as fast as a loop", said, not short)
        )
    slow = [record for record in found["large"] if faster(record) < SINGLE]
    names = [f"{record['problem']}, {record['solver']}, {record['dtype']} ({times(faster(record))})" for record in slow]
    mean = times(geometric_mean(map(faster, found["large"])))
    said = f"{mean} (geometric mean of {len(found['large'])})" + (f"; below: {', '.join(names)}" if names else "")
    rows.append((f"one large problem: each solver at least {SINGLE:g} times as fast as PyLops", said, not slow))
    for batch, name in (((), "one problem"), ((64,), "a batch of 64")):
        here = [record for record in found["overheads"] if tuple(record["batch"]) == batch]
        most = ", ".join(f"{record['solver']} {above(record):.0f}" for record in here)
        goal = f"an iteration on {name} of 256 samples: at most {OVERHEAD:g} µs beyond operator and vector work"
        rows.append((goal, most, all(above(record) <= OVERHEAD for record in here)))
    cost = {record["solver"]: record["backward"] / record["forward"] for record in found["derivatives"]}
    goal = f"implicit derivative: at most {BACKWARD:g} times the time of the solution"
    said = ", ".join(f"{name} {value:.2f}" for name, value in cost.items())
    rows.append((goal, said, all(value <= BACKWARD for value in cost.values())))
    kept = [list(record["kept"].values()) for record in found["derivatives"]]
    constant = all(len({each["implicit"] for each in of_one}) == 1 for of_one in kept)
    said = ", ".join(f"{record['solver']} {mebibytes(last(record)['implicit'], 1)}" for record in found["derivatives"])
    rows.append(("implicit derivative: memory independent of the number of iterations", said, constant))
    return rows


def last(record: Record) -> Record:
    last: Record = list(record["kept"].values())[-1]
    return last


def _named(record: Record) -> str:
    return f"{record['solver'].split(',')[0]} of {LIBRARIES[record['other']]} in {record['dtype']}"


def wrong(found: Record) -> list[str]:
    """Return the solvers whose solutions differ from those of the other library by more than is allowed."""
    return [f"{r['solver']} ({r['problem']}, {r['dtype']})" for r in (*found["batches"], *found["large"]) if r["wrong"]]


def section(found: Record) -> str:
    """Return the section of ``RESULTS.md``."""
    parts = [
        "## Solvers",
        "*Batches*: 64 problems at once against a Python loop, on the same data and to the same tolerance (a gradient "
        "of 1e-4 of the first). PyLops's LSQR, whose `atol` is defined differently, FISTA and split Bregman run a "
        "fixed number of iterations instead; for split Bregman, 10 outer iterations (3 on images), each with 2 inner "
        "ones and 10 of the linear solver. The 41-tap wavelet and the 9 x 9 blur are damped by 0.1. Loops over images "
        "are timed on 4 of the samples, those of split Bregman on an eighth of them, and scaled. *Difference*: of the "
        "solutions, relative to their norm. SciPy's solvers run on PyLops's operators.",
    ]
    for problem in dict.fromkeys(record["problem"] for record in found["batches"]):
        rows = [_row(r, LIBRARIES[r["other"]]) for r in found["batches"] if r["problem"] == problem]
        header = ["solver", "against", "dtype", "batch, ms", "x loop", "difference"]
        parts += [f"### {problem}", table(header, rows)]
    rows = [_row(record, record["problem"]) for record in found["large"]]
    parts += [
        "### One large problem",
        table(["solver", "problem", "dtype", "ours, ms", "x PyLops", "difference"], rows),
    ]
    parts += [
        "### An iteration",
        "Microseconds per iteration on 256 samples in float64 with an operator that costs nothing, beside those of "
        "the same sums, norms and inner products written by hand.",
        table(["solver", "batch", "iteration", "vector work", "beyond"], map(_overhead_row, found["overheads"])),
        "### Derivatives",
        "64 deconvolutions of 1024 samples in float64, to a relative gradient (residual) of 1e-8; the derivative is "
        "with respect to the data. *Kept*: the memory that autograd keeps for the backward pass, implicit / unrolled.",
        table(*_derivative_table(found["derivatives"])),
        "Why targets are missed: on traces, about half of an iteration is two FFTs per sample, and the rest is 32 "
        "(CG) to 55 (LSQR) or 100 (LSMR) torch calls of 1 to 2 µs, since the scalars of each sample are tensors, while "
        "PyLops's sum over 41 taps is one NumPy call. An iteration of GMRES reads half of its basis four times. On "
        "images, the convolution alone is 2.6 to 2.8 times as fast as PyLops's, and in float64 fresh memory is "
        "expensive. The derivative of CGLS is another CGLS solve to the same tolerance, which takes 150 iterations "
        "here where the solution took 120.",
    ]
    return "\n\n".join(parts)


def _row(record: Record, where: str) -> list[str]:
    difference = f"{record['difference']:.1e}"
    return [
        record["solver"], where, record["dtype"], milliseconds(record["ours"]), times(faster(record)), difference,
    ]  # fmt: skip


def _overhead_row(record: Record) -> list[str]:
    batch = str(record["batch"][0]) if record["batch"] else "1"
    numbers = (1e6 * record["iteration"], 1e6 * record["vectors"], above(record))
    return [record["solver"], batch, *(f"{number:.0f}" for number in numbers)]


def _derivative_table(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    counts = list(records[0]["kept"])
    header = ["solver", "solution, ms", "derivative, ms", "ratio", *(f"kept at {count}" for count in counts)]
    rows = []
    for record in records:
        kept = [
            " / ".join(mebibytes(record["kept"][count][way], 1) for way in ("implicit", "unroll")) for count in counts
        ]
        numbers = [milliseconds(record["forward"]), milliseconds(record["backward"])]
        rows.append([record["solver"], *numbers, times(record["backward"] / record["forward"]), *kept])
    return header, rows
