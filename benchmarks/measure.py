"""The measurements. Each process runs some of them and writes the results as JSON; see ``__main__.py``."""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pylops
import torch
from torch import Tensor

import torchlops
from benchmarks import small, solvers
from benchmarks.catalogue import QUICK_ENTRIES, catalogue
from benchmarks.operators import OPERATORS, Dims, Operator, chain_of_five, kept
from benchmarks.timing import QUICK, Effort, median_times, seconds_of

MEMORY_LIMIT = 3 * 2**30  # estimated bytes that one combination may take
TIME_LIMIT = 5.0  # estimated seconds that one call may take
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}


@dataclass(frozen=True)
class Size:
    """A model size, for operators along one axis and for operators that need two axes."""

    label: str
    one: Dims
    two: Dims
    batches: tuple[int, ...]


SIZES = (
    Size("64 samples", (64,), (8, 8), (1, 32, 256)),
    Size("256 samples", (256,), (16, 16), (256,)),
    Size("(256, 256)", (256, 256), (256, 256), (1, 32, 256)),
    Size("(512, 512)", (512, 512), (512, 512), (1, 32, 256)),
)
QUICK_SIZES = (Size("64 samples", (64,), (8, 8), (1, 256)), Size("(64, 64)", (64, 64), (64, 64), (32,)))
LARGE = (Size("(512, 512)", (512, 512), (512, 512), (32,)),)
QUICK_OPERATORS = ("Diagonal", "FirstDerivative centered", "FFT real", "Gradient")


def random(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    return torch.randn(tuple(shape), dtype=dtype, generator=torch.Generator().manual_seed(0))


# -- times against PyLops and plain torch ------------------------------------------------------------------------


class Contest:
    """One operator on models of one shape and dtype: ours, PyLops's and the hand-written one, on the same data."""

    def __init__(self, operator: Operator, dims: Dims, precision: str) -> None:
        dtype = operator.dtype(precision)
        self.precision = precision
        self.ours = operator.build(torchlops, dims, dtype)
        self.theirs = operator.build(pylops, dims, dtype)
        self.by_hand = operator.by_hand and operator.by_hand(dims, dtype)
        self.dims, self.dtype = self.ours.dims, getattr(torch, dtype)
        self.dtype_out = self.ours(torch.zeros(self.dims, dtype=self.dtype)).dtype

    def bytes_of(self, batch: int) -> int:
        """Return an upper estimate of the memory that a forward and backward pass takes."""
        rows, columns = self.ours.shape
        return 5 * batch * (columns * self.dtype.itemsize + rows * self.dtype_out.itemsize)

    def functions(self, batch: int, x: Tensor | None = None) -> dict[str, Callable[[], Any]]:
        """Return the functions to time, by mode and contestant."""
        leading = (batch,) if batch > 1 else ()
        x = random((*leading, *self.dims), self.dtype) if x is None else x
        grad = random((*x.shape[: len(leading)], *self.ours.dimsd), self.dtype_out)
        # PyLops's layer takes N-D batches only if the data have the same number of axes as the model.
        flatten = len(self.theirs.dims) != len(self.theirs.dimsd)
        layer = pylops.TorchOperator(self.theirs, batch=batch > 1, flatten=flatten)
        flat = x.reshape(*x.shape[: len(leading)], -1) if flatten else x
        flat_grad = grad.reshape(*x.shape[: len(leading)], -1) if flatten else grad
        contestants = {
            "ours": (self.ours, x, grad),
            "pylops": (layer, flat, flat_grad),
            "hand": (self.by_hand, x, grad),
        }
        y = torch.empty_like(x)
        result: dict[str, Callable[[], Any]] = {"forward copy": lambda: y.copy_(x)}
        for name, (apply, given, cotangent) in contestants.items():
            if apply is not None:
                result[f"forward {name}"], result[f"both {name}"] = _passes(apply, given, cotangent)
        return result

    def disagreements(self, batch: int) -> dict[str, str]:
        """Return the errors in the results and gradients of PyLops and of the hand-written function, by name."""
        leading = (min(batch, 2 if math.prod(self.dims) > 4096 else batch),) if batch > 1 else ()
        functions = self.functions(batch, random((*leading, *self.dims), self.dtype))
        wrong = {}
        for name in [name for name in functions if not name.endswith(("ours", "copy"))]:
            mode = name.split()[0]
            try:
                there = functions[name]()
            except Exception as error:  # PyLops may raise anything
                wrong[name] = f"raises {type(error).__name__}: {str(error).strip().splitlines()[0]}"
                continue
            here = functions[f"{mode} ours"]()
            here, there = (t[0] if isinstance(t, tuple) else t for t in (here, there))
            here, there = here.reshape(-1), there.reshape(-1)
            if not (here - there).abs().max() <= TOLERANCE[self.precision] * here.abs().max():
                wrong[name] = "differs from ours"
        return wrong


def _passes(apply: Callable[[Tensor], Tensor], x: Tensor, grad: Tensor) -> tuple[Callable[[], Any], Callable[[], Any]]:
    leaf = x.detach().requires_grad_()
    return lambda: apply(x), lambda: torch.autograd.grad(apply(leaf), leaf, grad)


def ratios(
    operators: Sequence[Operator], sizes: Sequence[Size], precisions: Sequence[str], effort: Effort
) -> Iterator[dict[str, Any]]:
    """Yield the times of each operator at each size, batch and precision."""
    for number, operator in enumerate(operators, 1):
        start = time.perf_counter()
        for precision in precisions:
            pace: dict[str, float] = {}  # last measured seconds per element
            for size in sizes:
                dims = size.two if operator.axes == 2 else size.one
                contest = Contest(operator, dims, precision)
                for batch in size.batches:
                    yield {
                        "operator": operator.name,
                        "size": size.label,
                        "batch": batch,
                        "dtype": precision,
                        **_compare(contest, batch, pace, effort),
                    }
        took = time.perf_counter() - start
        print(f"[{number}/{len(operators)}] {operator.name}: {took:.0f} s", file=sys.stderr, flush=True)


def _compare(contest: Contest, batch: int, pace: dict[str, float], effort: Effort) -> dict[str, Any]:
    if contest.bytes_of(batch) > MEMORY_LIMIT:
        return {"times": {}, "notes": {"all": "takes too much memory"}}
    elements = batch * math.prod(contest.dims)
    expected = {name: seconds * elements for name, seconds in pace.items()}
    notes = {name: "takes too long" for name, seconds in expected.items() if seconds > TIME_LIMIT}
    torch.set_num_threads(effort.threads)
    notes |= contest.disagreements(batch)
    functions = {name: function for name, function in contest.functions(batch).items() if name not in notes}
    slow = {name: seconds for name, seconds in expected.items() if seconds > 0.1}
    times = median_times(functions, effort, slow)
    pace.update({name: seconds / elements for name, seconds in times.items()})
    return {"times": times, "notes": notes}


# -- the overhead of a call --------------------------------------------------------------------------------------


def overheads(operators: Sequence[Operator], effort: Effort) -> Iterator[dict[str, Any]]:
    """Yield the microseconds of one call on 64 samples in float64, and of the torch expression alone."""
    for operator in operators:
        contest = Contest(operator, (8, 8) if operator.axes == 2 else (64,), "float64")
        x = random(contest.dims, contest.dtype)
        layer = pylops.TorchOperator(contest.theirs)
        calls = {"ours": contest.ours, "kernel": contest.ours._forward, "hand": contest.by_hand, "pylops": layer}
        functions = {name: _call(function, x) for name, function in calls.items() if function is not None}
        times = median_times(functions, effort)
        yield {"operator": operator.name, **{name: 1e6 * seconds for name, seconds in times.items()}}


def _call(function: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], Any]:
    return lambda: function(x)


# -- times in units of a copy ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unit:
    """An operator whose time should be at most ``target`` copies (``y.copy_(x)``)."""

    name: str
    target: float
    build: Callable[[Dims, int], Any]
    per_axis: bool = True
    of_output: bool = False


UNITS = (
    Unit("first derivative", 2, lambda dims, axis: torchlops.FirstDerivative(dims, axis=axis)),
    Unit("second derivative", 2.5, lambda dims, axis: torchlops.SecondDerivative(dims, axis=axis)),
    Unit("Laplacian", 4, lambda dims, _: torchlops.Laplacian(dims), per_axis=False),
    Unit("gradient, centered", 2.5, lambda dims, _: torchlops.Gradient(dims), per_axis=False),
    Unit("gradient, forward", 2.5, lambda dims, _: torchlops.Gradient(dims, kind="forward"), per_axis=False),
    Unit("box smoothing, width 5", 4.5, lambda dims, axis: torchlops.Smoothing1D(5, dims, axis=axis)),
    Unit("causal integration", 4, lambda dims, axis: torchlops.CausalIntegration(dims, axis=axis)),
    Unit(
        "restriction to half",
        2.5,
        lambda dims, axis: torchlops.Restriction(dims, kept(dims[axis]), axis=axis),
        of_output=True,
    ),
)


def units(quick: bool, effort: Effort) -> Iterator[dict[str, Any]]:
    """Yield the times of forward passes in units of a copy, on one thread, along each axis of images and volumes."""
    shapes = ((2, 64, 64),) if quick else ((32, 512, 512), (8, 128, 128, 128))
    for shape in shapes:
        dims = shape[1:]
        x = random(shape, torch.float32)
        for unit in UNITS:
            if not unit.per_axis and len(dims) > 2:
                continue
            for axis in range(-1, -len(dims) - 1, -1) if unit.per_axis else (None,):
                A = unit.build(dims, axis)
                target = torch.empty((shape[0], *A.dimsd) if unit.of_output else shape)
                source = random(target.shape, torch.float32)
                functions = {"ours": _call(A, x), "copy": lambda y=target, x=source: y.copy_(x)}
                times = median_times(functions, effort)
                yield {
                    "operator": unit.name,
                    "shape": list(shape),
                    "axis": axis,
                    "unit": "output" if unit.of_output else "input",
                    "target": unit.target,
                    "copies": times["ours"] / times["copy"],
                    "copy": times["copy"],
                }


# -- memory ------------------------------------------------------------------------------------------------------


def memory(library: str, quick: bool) -> dict[str, Any]:
    """Return the additional peak memory of a chain of five operators on (32, 512, 512) float32, and its time."""
    batch, dims = (2, (64, 64)) if quick else (32, (512, 512))
    if library == "ours":
        layers = chain_of_five(torchlops, dims)
    else:
        layers = [pylops.TorchOperator(A, batch=True, flatten=False) for A in chain_of_five(pylops, dims)]
        # PyLops's layer returns a complex gradient for a real input, which torch refuses: cast before the FFT.
        layers.insert(2, lambda x: x.to(torch.complex64))

    def run(x: Tensor, grad: Tensor) -> None:
        y = x
        for layer in layers:
            y = layer(y)
        y.backward(grad)
        x.grad = None

    x = random((batch, *dims), torch.float32).requires_grad_()
    grad = random((batch, *dims[:-1], dims[-1] // 2), torch.complex64)
    run(x[:1].detach().requires_grad_(), grad[:1])  # creates plans and thread pools
    gc.collect()
    before = resident_bytes()
    seconds_of(lambda: run(x, grad))
    peak = peak_bytes() - before
    seconds = min(seconds_of(lambda: run(x, grad)) for _ in range(3))
    return {"library": library, "peak": peak, "seconds": seconds, "input": x.nbytes}


def resident_bytes() -> int:
    """Return the current memory of this process."""
    return _status("VmRSS") or _most_resident()


def peak_bytes() -> int:
    """Return the peak memory of this process."""
    return _status("VmHWM") or _most_resident()


def _status(key: str) -> int:
    """Read the value from Linux's ``/proc``; ``getrusage`` includes the peak of the parent process."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(key)), 0)


def _most_resident() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


# -- the machine -------------------------------------------------------------------------------------------------


def facts(threads: int) -> dict[str, Any]:
    """Return the facts about the machine and the software that the measurements depend on."""
    versions = {name: version(name) for name in ("torch", "numpy", "scipy", "pylops", "torchlops")}
    return {
        "cores": os.cpu_count(),
        "cpu": f"{_cpu_family()} ({platform.machine()}, {torch.backends.cpu.get_cpu_capability()})",
        "system": platform.system(),
        "python": platform.python_version(),
        "threads": threads,
        **versions,
    }


def _cpu_family() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "CPU"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "CPU"


PARTS = ("overheads", "ratios", "large", "units", "memory", "catalogue", "small", "solvers", "images")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the requested measurements and write them to a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure", description=main.__doc__)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    parser.add_argument("--library", choices=("ours", "pylops"), default="ours", help="library of the chain (memory)")
    parser.add_argument("--reuse-memory", action="store_true", help="call torchlops.utils.reuse_memory() first")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--operators", nargs="*", metavar="NAME")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # PyLops on complex values, torch on sparse matrices
    if options.reuse_memory:
        from torchlops.memory import reuse_memory

        reuse_memory()
    threads = 1 if options.quick else min(options.threads, os.cpu_count() or 1)
    torch.set_num_threads(threads)
    chosen = selected(options.operators, options.quick)
    sizes = QUICK_SIZES if options.quick else SIZES
    large = QUICK_SIZES[1:] if options.quick else LARGE
    precisions = ("float32",) if options.quick else ("float32", "float64")
    result: dict[str, Any] = {
        "facts": facts(threads),
        "why": {operator.name: operator.why_slower for operator in OPERATORS if operator.why_slower},
    }
    for part in options.parts:
        if part == "overheads":
            effort = QUICK if options.quick else Effort(rounds=7, block=0.01, threads=1)
            result[part] = list(overheads(chosen, effort))
        elif part == "units":
            effort = QUICK if options.quick else Effort(rounds=7, block=0.05, threads=1)
            result[part] = list(units(options.quick, effort))
        elif part == "small":
            effort = QUICK if options.quick else Effort(rounds=15, block=0.002, threads=1)
            result[part] = small.measure(options.quick, options.operators, effort)
        elif part == "memory":
            result[part] = memory(options.library, options.quick)
        elif part == "solvers":
            result[part] = solvers.measure(options.quick)
        elif part == "images":
            result[part] = solvers.images(options.quick)
        elif part == "catalogue":
            effort = QUICK if options.quick else Effort(rounds=3, block=0.004, threads=threads)
            names = options.operators or (QUICK_ENTRIES if options.quick else None)
            result[part] = list(catalogue(names, ("float32",), effort))
        else:
            effort = QUICK if options.quick else Effort(rounds=3, block=0.004, threads=threads)
            chosen_sizes, dtypes = (large, ("float32",)) if part == "large" else (sizes, precisions)
            result[part] = list(ratios(chosen, chosen_sizes, dtypes, effort))
    options.json.write_text(json.dumps(result))


def selected(names: Sequence[str] | None, quick: bool) -> list[Operator]:
    """Return the operators whose name starts with one of ``names``; by default all, or a few of them if ``quick``."""
    wanted = names or (QUICK_OPERATORS if quick else None)
    return [o for o in OPERATORS if wanted is None or any(o.name.lower().startswith(w.lower()) for w in wanted)]


if __name__ == "__main__":
    main()
