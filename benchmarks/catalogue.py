"""The rest of the catalogue, at one typical size each, against PyLops's layer and against its engines."""

from __future__ import annotations

import functools
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pylops
import torch
from torch import Tensor, nn

import torchlops
from benchmarks.timing import Effort, median_times, seconds_of

BATCH = 32
TOLERANCE = {"float32": 2e-3, "float64": 1e-6}  # PyLops keeps tables in float32
TIME_LIMIT = 4.0  # estimated seconds that PyLops's layer may take for a batch
HAS_NUMBA = find_spec("numba") is not None


@dataclass(frozen=True)
class Entry:
    """One operator at its size.

    Attributes:
        name: The class, followed by its variant.
        build: Builds the operator from a library, the name of a real dtype, and PyLops's engine.
        engines: PyLops's engines on a CPU.
        loops: Whether PyLops's NumPy engine loops over samples, traces or windows in Python.
        rival: Whether the target is the speed of PyLops's numba engine on one model.
        theirs: False if PyLops's operator does not run.
        why_slower: Why PyLops may be faster; shown if it is.
    """

    name: str
    build: Callable[[ModuleType, str, str], Any]
    engines: tuple[str, ...] = ("numpy",)
    loops: bool = False
    rival: bool = False
    theirs: bool = True
    why_slower: str = ""


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def _of(name: str, *args: Any, typed: bool = True, **options: Any) -> Callable[[ModuleType, str, str], Any]:
    """Return a builder of an operator of ``signalprocessing``, whose arrays have the dtype of the run."""

    def build(lops: ModuleType, dtype: str, engine: str) -> Any:
        given = [a.astype(dtype) if isinstance(a, np.ndarray) and typed else a for a in args]
        more = {} if engine == "numpy" else {"engine": engine}
        made = getattr(lops.signalprocessing, name)(*given, **options, **more, dtype=dtype)
        return made[0] if isinstance(made, tuple) else made

    return build


T, H, P = np.arange(256) * 0.004, np.arange(128) * 10.0, np.linspace(-4e-4, 4e-4, 128)
T3, H3, P3 = np.arange(64) * 0.004, np.arange(12) * 10.0, np.linspace(-4e-4, 4e-4, 12)
PLACES = np.arange(192) * 1.32 + 0.2
PAIRS = np.random.default_rng(0).uniform(0, 254, (2, 20000))
SLOPES = 0.8 * np.sin(np.arange(256)[:, None] / 40) * np.cos(np.arange(128) / 30)


def _regression(lops: ModuleType, dtype: str, _: str) -> Any:
    return lops.Regression(np.linspace(-1, 1, 1024).astype(dtype), order=4, dtype=dtype)


def _mdc(lops: ModuleType, dtype: str, _: str) -> Any:
    G = np.fft.rfft(numbers(399, 32, 32), axis=0).astype(np.result_type(dtype, np.complex64))
    return lops.waveeqprocessing.MDC(G, 399, 1)


@functools.cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (64, 256, 64)).astype(float), rng.random((64, 256, 64))


def _spread(weights: bool) -> Callable[[ModuleType, str, str], Any]:
    def build(lops: ModuleType, dtype: str, engine: str) -> Any:
        table, dtable = _table()
        more = {"dtable": dtable.astype(dtype)} if weights else {}
        return lops.Spread((64, 256), (64, 256), table=table, engine=engine, dtype=dtype, **more)

    return build


def _sliding1d(lops: ModuleType, dtype: str, _: str) -> Any:
    op = lops.MatrixMult(numbers(64, 64).astype(dtype) / 8, dtype=dtype)
    return lops.signalprocessing.Sliding1D(op, 255 * 64, 8192, 64, 32)


def _sliding2d(lops: ModuleType, dtype: str, engine: str) -> Any:
    op = lops.signalprocessing.Radon2D(T[:128], H[:32], P[:32], engine=engine, dtype=dtype)
    return lops.signalprocessing.Sliding2D(op, (7 * 32, 128), (128, 128), 32, 16)


def _sliding3d(lops: ModuleType, dtype: str, engine: str) -> Any:
    op = lops.signalprocessing.Radon3D(T3, H3[:8], H3[:8], P3[:8], P3[:8], engine=engine, dtype=dtype)
    return lops.signalprocessing.Sliding3D(op, (24, 24, 64), (16, 16, 64), (8, 8), (4, 4), (8, 8))


def _patch(ndim: int) -> Callable[[ModuleType, str, str], Any]:
    size, window = ((256, 64), (32, 16))[ndim - 2]
    count = 2 * size // window - 1

    def build(lops: ModuleType, dtype: str, _: str) -> Any:
        op = lops.signalprocessing.DCT((window,) * ndim, dtype=dtype)
        sizes = ((count * window,) * ndim, (size,) * ndim, (window,) * ndim, (window // 2,) * ndim, (window,) * ndim)
        return getattr(lops.signalprocessing, f"Patch{ndim}D")(op, *sizes)

    return build


def _planewave(name: str) -> Callable[[ModuleType, str, str], Any]:
    return lambda lops, dtype, _: getattr(lops.signalprocessing, name)(
        SLOPES.shape, SLOPES.astype(dtype), radius=8, dtype=dtype
    )


def _curvelets(lops: ModuleType, dtype: str, _: str) -> Any:
    return lops.signalprocessing.UDCT((256, 256), dtype={"float32": "complex64", "float64": "complex128"}[dtype])


def _kirchhoff(**options: Any) -> Callable[[ModuleType, str, str], Any]:
    """Return a builder of 20 x 20 pairs over 100 x 100 points."""
    axis, t = np.arange(100) * 10.0, np.arange(500) * 0.004
    srcs, recs = (np.stack((np.linspace(0, 990, 20), np.full(20, depth))) for depth in (5.0, 10.0))

    def build(lops: ModuleType, dtype: str, engine: str) -> Any:
        wav = pylops.utils.wavelets.ricker(t[:41], 20)[0].astype(dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of PyLops
            return lops.waveeqprocessing.Kirchhoff(
                axis, axis, t, srcs, recs, 1100.0, wav, 40, mode="analytic", engine=engine, dtype=dtype, **options
            )

    return build


BOTH = ("numpy", "numba")
ENTRIES = (
    Entry("Regression", _regression, loops=True),
    Entry(
        "Spread",
        _spread(False),
        BOTH,
        True,
        True,
        why_slower="numba adds sample by sample; a sparse product reads an index for each",
    ),
    Entry(
        "Spread with weights",
        _spread(True),
        BOTH,
        True,
        True,
        why_slower="numba adds sample by sample; a sparse product reads an index for each",
    ),
    Entry("Shift", _of("Shift", (128, 256), 3.7, real=True), why_slower="both are FFTs"),
    Entry("Shift for each trace", _of("Shift", (128, 256), numbers(128), real=True), why_slower="both are FFTs"),
    Entry(
        "NonStationaryConvolve1D",
        _of("NonStationaryConvolve1D", (16, 1024), numbers(8, 33), tuple(range(64, 1024, 128))),
        loops=True,
        rival=True,
    ),
    Entry(
        "NonStationaryConvolve2D",
        _of("NonStationaryConvolve2D", (128, 128), numbers(4, 4, 9, 9), (16, 48, 80, 112), (16, 48, 80, 112)),
        BOTH,
        True,
        True,
    ),
    Entry(
        "NonStationaryConvolve3D",
        _of("NonStationaryConvolve3D", (24, 24, 24), numbers(2, 2, 2, 5, 5, 5), (4, 20), (4, 20), (4, 20)),
        BOTH,
        True,
        True,
    ),
    Entry(
        "NonStationaryFilters1D",
        _of("NonStationaryFilters1D", numbers(1024), 33, tuple(range(64, 1024, 128))),
        loops=True,
        rival=True,
    ),
    Entry(
        "NonStationaryFilters2D",
        _of("NonStationaryFilters2D", numbers(96, 96), (9, 9), (16, 48, 80), (16, 48, 80)),
        BOTH,
        True,
        True,
    ),
    Entry("Interp nearest", _of("Interp", (256, 256), PLACES, kind="nearest", typed=False)),
    Entry(
        "Interp linear",
        _of("Interp", (256, 256), PLACES, kind="linear", typed=False),
        why_slower="two gathers against one pass of NumPy",
    ),
    Entry(
        "Interp sinc",
        _of("Interp", (256, 256), PLACES, kind="sinc", typed=False),
        why_slower="both are matrix products",
    ),
    Entry("InterpCubicSpline", _of("InterpCubicSpline", (256, 256), PLACES, typed=False)),
    Entry(
        "Bilinear", _of("Bilinear", PAIRS, (256, 256), typed=False), why_slower="four gathers against one pass of NumPy"
    ),
    Entry("Radon2D linear", _of("Radon2D", T, H, P, typed=False), BOTH, True, True),
    Entry("Radon2D parabolic", _of("Radon2D", T, H, P / 100, kind="parabolic", typed=False), BOTH, True, True),
    Entry(
        "Radon2D hyperbolic",
        _of("Radon2D", T, H, np.linspace(100, 300, 128), kind="hyperbolic", typed=False),
        BOTH,
        True,
        True,
        why_slower="numba adds sample by sample; a sparse product reads an index for each",
    ),
    Entry(
        "Radon2D hyperbolic on the fly",
        _of("Radon2D", T, H, np.linspace(100, 300, 128), kind="hyperbolic", onthefly=True, typed=False),
        BOTH,
        True,
        True,
        why_slower="numba makes and uses the curves sample by sample; torch passes over arrays of them",
    ),
    Entry(
        "Radon3D linear",
        _of("Radon3D", T3, H3, H3, P3, P3, typed=False),
        BOTH,
        True,
        True,
        why_slower="numba's loops stay in the cache at this size",
    ),
    Entry("FourierRadon2D", _of("FourierRadon2D", T, H, P, 256, typed=False), BOTH, False, True),
    Entry("FourierRadon3D", _of("FourierRadon3D", T3, H3, H3, P3, P3, 64, typed=False), BOTH, False, True),
    Entry("ChirpRadon2D", _of("ChirpRadon2D", T, H, 4e-4, typed=False)),
    Entry("ChirpRadon3D", _of("ChirpRadon3D", T3, H3 * 1.0, H3 * 1.0, (4e-4, 4e-4), typed=False)),
    Entry("Sliding1D of matrices", _sliding1d, loops=True),
    Entry("Sliding2D of Radon2D", _sliding2d, BOTH, True),
    Entry("Sliding3D of Radon3D", _sliding3d, BOTH, True),
    Entry("Patch2D of DCT", _patch(2), loops=True, why_slower="as DCT"),
    Entry("Patch3D of DCT", _patch(3), loops=True, why_slower="as DCT"),
    Entry("Fredholm1", _of("Fredholm1", numbers(64, 64, 64), nz=16), why_slower="both are matrix products"),
    Entry("MDC", _mdc, why_slower="both are FFTs and matrix products"),
    Entry("DWT", _of("DWT", (256, 256), wavelet="db4", level=4), why_slower="PyWavelets filters in C"),
    Entry("DWT2D", _of("DWT2D", (256, 256), wavelet="db4", level=4), why_slower="PyWavelets filters in C"),
    Entry("DWTND", _of("DWTND", (32, 32, 32), wavelet="db2", level=2), why_slower="PyWavelets filters in C"),
    Entry("DCT", _of("DCT", (256, 256)), why_slower="SciPy has a transform of its own; torch has FFTs alone"),
    Entry("DTCWT", _of("DTCWT", (64, 1024)), theirs=False),
    Entry("Seislet", _of("Seislet", SLOPES.T.copy(), kind="linear"), loops=True),
    Entry(
        "PWSprayer2D",
        _planewave("PWSprayer2D"),
        ("numba",) if HAS_NUMBA else ("numpy",),
        True,
        True,
        why_slower="numba follows one ray at a time; torch passes over the section for each step of all rays",
    ),
    Entry(
        "PWSmoother2D",
        _planewave("PWSmoother2D"),
        ("numba",) if HAS_NUMBA else ("numpy",),
        True,
        True,
        why_slower="as PWSprayer2D, twice",
    ),
    Entry("Kirchhoff", _kirchhoff(), ("numba",), rival=True),
    Entry("Kirchhoff dynamic", _kirchhoff(dynamic=True), ("numba",), rival=True),
    Entry("UDCT", _curvelets),
)
QUICK_ENTRIES = ("Regression", "Shift", "DTCWT")


def catalogue(names: Sequence[str] | None, precisions: Sequence[str], effort: Effort) -> Iterator[dict[str, Any]]:
    """Yield the measurements of the operators whose names begin with one of ``names``, at each precision."""
    if HAS_NUMBA:
        import numba

        numba.set_num_threads(effort.threads)
    chosen = [e for e in ENTRIES if names is None or any(e.name.lower().startswith(n.lower()) for n in names)]
    for number, entry in enumerate(chosen, 1):
        start = time.perf_counter()
        for precision in precisions:
            yield _figures(entry, precision, effort)
        took = time.perf_counter() - start
        print(f"[{number}/{len(chosen)}] {entry.name}: {took:.0f} s", file=sys.stderr, flush=True)


def _figures(entry: Entry, precision: str, effort: Effort) -> dict[str, Any]:
    record: dict[str, Any] = {"operator": entry.name, "dtype": precision, "times": {}, "notes": {}, "why": ""}
    record |= {"loops": entry.loops, "rival": entry.rival, "why": entry.why_slower, "engines": []}
    built = _built(record, "ours", lambda: _engineless(entry, precision))
    x = torch.from_numpy(numbers(*built.dims).astype(precision))
    y = built(x)
    y = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    record["shapes"] = [list(built.dims), list(built.dimsd)]
    record["tables ours"] = bytes_of(built)
    calls: dict[str, Callable[[], Any]] = {
        "forward ours": lambda: built(x),
        "adjoint ours": lambda: built.H(y),
        "batch ours": _both(built, x, y),
    }
    fastest: tuple[float, Any] | None = None
    for engine in [e for e in entry.engines if entry.theirs and (HAS_NUMBA or e != "numba")]:
        try:
            theirs = _built(record, engine, functools.partial(entry.build, pylops, precision, engine))
            flat, back = x.numpy().ravel(), y.numpy().ravel()
            forward, adjoint = functools.partial(theirs.matvec, flat), functools.partial(theirs.rmatvec, back)
            answers = forward(), adjoint()  # also compiles
            errors = [
                np.abs(here.numpy().ravel() - there).max() / np.abs(there).max()
                for here, there in zip((built(x), built.H(y)), answers, strict=True)
            ]
            if not max(errors) <= TOLERANCE[precision]:  # a different operator: not comparable
                record["notes"][engine] = "differs from ours by {:.1g} (A x) and {:.1g} (A^H y)".format(*errors)
                continue
        except Exception as error:  # PyLops may raise anything
            record["notes"][engine] = f"raises {type(error).__name__}: {str(error).strip().splitlines()[0][:90]}"
            continue
        record["engines"].append(engine)
        record["tables pylops"] = bytes_of(theirs)
        calls |= {f"forward {engine}": forward, f"adjoint {engine}": adjoint}
        took = seconds_of(forward) + seconds_of(adjoint)
        if fastest is None or took < fastest[0]:
            fastest = took, theirs
    if fastest is not None:
        layer = _layer(fastest[1], x, y, record["notes"])
        if layer is not None:
            estimate = min(seconds_of(layer(2)) for _ in range(2)) * BATCH / 2
            size = BATCH if estimate < TIME_LIMIT else 4
            calls["batch pylops"], record["scale"] = layer(size), BATCH / size
    record["times"] = median_times(calls, effort)
    if "batch pylops" in record["times"]:
        record["times"]["batch pylops"] *= record["scale"]
    return record


def _layer(theirs: Any, x: Tensor, y: Tensor, notes: dict[str, str]) -> Callable[[int], Callable[[], Any]] | None:
    """Return a function that makes PyLops's pass over a batch: by its layer if that takes it, or sample by sample."""
    single = pylops.TorchOperator(theirs, flatten=True)

    def one_by_one(batch: Tensor) -> Tensor:
        return torch.stack([single(sample) for sample in batch])  # each in its own shape

    for flatten in (len(theirs.dims) != len(theirs.dimsd), True, None):
        apply = one_by_one if flatten is None else pylops.TorchOperator(theirs, batch=True, flatten=flatten)
        given = (x, y) if flatten in (False, None) else (x.reshape(-1), y.reshape(-1))
        try:
            _both(apply, *given, 2)()
        except Exception as error:  # PyLops may raise anything
            notes["batch"] = f"its layer raises {type(error).__name__}: {str(error).strip().splitlines()[0][:90]}"
            continue
        if flatten is None:
            notes["batch"] += "; timed sample by sample"
        else:
            notes.pop("batch", None)
        return functools.partial(_both, apply, *given)
    return None


def _engineless(entry: Entry, precision: str) -> Any:
    return entry.build(torchlops, precision, "numpy")


def _built(record: dict[str, Any], who: str, build: Callable[[], Any]) -> Any:
    """Return the result of ``build``, and record the time of the second call, since the first may compile."""
    build()
    start = time.perf_counter()
    made = build()
    record.setdefault("set-up", {})[who] = time.perf_counter() - start
    return made


def _both(apply: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, batch: int = BATCH) -> Callable[[], Any]:
    """Return a function that runs the forward and backward pass of a batch."""
    leaf = x.expand((batch, *x.shape)).clone().requires_grad_()
    grad = y.expand((batch, *y.shape)).clone()
    return lambda: torch.autograd.grad(apply(leaf), leaf, grad)


def bytes_of(operator: Any) -> int:
    """Return the size in bytes of the arrays and tensors that an operator of either library holds."""
    found: dict[int, int] = {}
    seen: set[int] = set()

    def walk(item: Any) -> None:
        if id(item) in seen:
            return
        seen.add(id(item))
        if isinstance(item, np.ndarray):
            base = item if item.base is None else item.base
            found[id(base)] = max(item.nbytes, found.get(id(base), 0))
        elif type(item) in (Tensor, nn.Parameter):
            parts = [item]
            if item.layout is torch.sparse_csr:
                parts = [item.crow_indices(), item.col_indices(), item.values()]
            found.update({part.data_ptr(): part.untyped_storage().nbytes() for part in parts})
        elif isinstance(item, dict):
            for value in item.values():
                walk(value)
        elif isinstance(item, list | tuple | set):
            for value in item:
                walk(value)
        elif isinstance(item, nn.Module | pylops.LinearOperator) or type(item).__module__.startswith("scipy.sparse"):
            walk(vars(item))

    walk(operator)
    return sum(found.values())
