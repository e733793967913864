"""Small NumPy vectors, in and out, on one thread: the road there and back, the whole catalogue, and compositions."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pylops
import torch

import torchlops
from benchmarks.operators import OPERATORS, Operator, kept, numbers
from benchmarks.timing import Effort, least_times

SIZES = {64: ((64,), (8, 8), (4, 4, 4)), 512: ((512,), (16, 32), (8, 8, 8))}
"""The numbers of samples, each as one, two and three axes."""

TOLERANCE = 1e-4  # PyLops keeps some tables in float32
QUICK_ENTRIES = ("Flip", "Smoothing1D", "composition: normal")


WHY_SLOWER = {
    "FunctionOperator of NumPy functions": (
        "each call guards against gradients that are lost, results that the function keeps, and concurrent calls"
    ),
    "FunctionOperator of torch functions": "its functions take tensors; PyLops's take arrays",
    "MatrixMult sparse": "SciPy multiplies in one pass in C, NumPy gathers, multiplies and adds up",
}


@dataclass(frozen=True)
class Entry:
    """One operator.

    Attributes:
        name: The class, followed by its variant, or the composition.
        build: Builds the operator from a library and its number of samples.
        is_complex: Whether its models are complex.
        why_slower: Why PyLops may be faster; shown if it is.
    """

    name: str
    build: Callable[[Any, int], Any]
    is_complex: bool = False
    why_slower: str = ""


def _of(name: str, axes: int, *args: Any, **options: Any) -> Callable[[Any, int], Any]:
    """Return a builder of an operator of ``signalprocessing`` on a model with this number of axes."""

    def build(lops: ModuleType, n: int) -> Any:
        made = getattr(lops.signalprocessing, name)(SIZES[n][axes - 1], *args, **options)
        return made[0] if isinstance(made, tuple) else made

    return build


def _measured(operator: Operator) -> Entry:
    """Return the entry of an operator that is also measured on tensors."""

    def build(lops: ModuleType, n: int) -> Any:
        return operator.build(lops, SIZES[n][operator.axes - 1], operator.dtype("float64"))

    return Entry(operator.name, build, operator.is_complex, WHY_SLOWER.get(operator.name, ""))


def _places(n: int) -> np.ndarray:
    return np.arange(n // 2) * 1.9 + 0.3


def _interp(kind: str) -> Callable[[Any, int], Any]:
    return lambda lops, n: lops.signalprocessing.Interp(n, _places(n), kind=kind)[0]


def _radon(name: str, *more: Any, **options: Any) -> Callable[[Any, int], Any]:
    def build(lops: ModuleType, n: int) -> Any:
        nx, nt = SIZES[n][1]
        t, h, p = np.arange(nt) * 0.004, np.arange(nx) * 10.0, np.linspace(-4e-4, 4e-4, nx)
        given = {"Radon2D": (t, h, p), "FourierRadon2D": (t, h, p, nt), "ChirpRadon2D": (t, h, 4e-4)}[name]
        return getattr(lops.signalprocessing, name)(*given, *more, **options)

    return build


def _windows(lops: ModuleType, n: int) -> Any:
    op = lops.MatrixMult(numbers(16, 16) / 4)
    count = (n - 16) // 8 + 1
    return lops.signalprocessing.Sliding1D(op, count * 16, n, 16, 8)


def _patches(lops: ModuleType, n: int) -> Any:
    nx, nt = SIZES[n][1]
    op = lops.Identity((4, 4))
    counts = ((nx - 4) // 2 + 1, (nt - 4) // 2 + 1)
    dims = (counts[0] * 4, counts[1] * 4)
    return lops.signalprocessing.Patch2D(op, dims, (nx, nt), (4, 4), (2, 2), (4, 4), tapertype="hanning")


def _shifts(lops: ModuleType, n: int) -> Any:
    dims = SIZES[n][1]
    return lops.signalprocessing.Shift(dims, numbers(dims[0]), real=True, dtype="float64")


def _fredholm(lops: ModuleType, n: int) -> Any:
    slices, rows, columns = SIZES[n][2]
    return lops.signalprocessing.Fredholm1(numbers(slices, rows, columns), nz=columns)


def _spread(lops: ModuleType, n: int) -> Any:
    nx, nt = SIZES[n][1]
    table = np.random.default_rng(0).integers(0, nt - 1, (nx, nt, nx)).astype(float)
    return lops.Spread((nx, nt), (nx, nt), table=table)


def _bilinear(lops: ModuleType, n: int) -> Any:
    nx, nt = SIZES[n][1]
    rng = np.random.default_rng(0)
    return lops.signalprocessing.Bilinear(rng.uniform(0.1, (nx - 1.1, nt - 1.1), (n // 2, 2)).T, (nx, nt))


def _slopes(n: int) -> np.ndarray:
    nx, nt = SIZES[n][1]
    return 0.4 * np.sin(np.arange(nx)[:, None] / 4) * np.cos(np.arange(nt) / 5)


def _seislet(lops: ModuleType, n: int) -> Any:
    return lops.signalprocessing.Seislet(_slopes(n), sampling=(1.0, 1.0))


def _sprayer(lops: ModuleType, n: int) -> Any:
    return lops.signalprocessing.PWSprayer2D(SIZES[n][1], _slopes(n), radius=2)


def _nonstationary(lops: ModuleType, n: int) -> Any:
    return lops.signalprocessing.NonStationaryConvolve1D(n, numbers(3, 7), (n // 4, n // 2, 3 * n // 4))


def _nonstationary_2d(lops: ModuleType, n: int) -> Any:
    nx, nt = SIZES[n][1]
    places = (nx // 4, 3 * nx // 4), (nt // 4, 3 * nt // 4)
    return lops.signalprocessing.NonStationaryConvolve2D((nx, nt), numbers(2, 2, 3, 3), *places)


def _nonstationary_filters(lops: ModuleType, n: int) -> Any:
    return lops.signalprocessing.NonStationaryFilters1D(numbers(n), 7, (n // 4, n // 2, 3 * n // 4))


def _filters_of_traces(lops: ModuleType, n: int) -> Any:
    dims = SIZES[n][1]
    return lops.signalprocessing.Convolve1D(dims, numbers(dims[0], 5), offset=2)


def _radon_3d(name: str) -> Callable[[Any, int], Any]:
    def build(lops: ModuleType, n: int) -> Any:
        ny, nx, nt = SIZES[n][2]
        t, hy, hx = np.arange(nt) * 0.004, np.arange(ny) * 10.0, np.arange(nx) * 10.0
        py, px = np.linspace(-4e-4, 4e-4, ny), np.linspace(-4e-4, 4e-4, nx)
        more: dict[str, tuple[Any, ...]] = {
            "Radon3D": (py, px),
            "FourierRadon3D": (py, px, nt),
            "ChirpRadon3D": ((4e-4, 4e-4),),
        }
        return getattr(lops.signalprocessing, name)(t, hy, hx, *more[name])

    return build


def _windows_2d(lops: ModuleType, n: int) -> Any:
    nx, nt = SIZES[n][1]
    op = lops.FirstDerivative((4, nt), axis=0)
    count = (nx - 4) // 2 + 1
    return lops.signalprocessing.Sliding2D(op, (count * 4, nt), (nx, nt), 4, 2)


def _curvelets(lops: ModuleType, n: int) -> Any:
    return lops.signalprocessing.UDCT((16, 16) if n == 64 else (16, 32), num_scales=2, dtype="complex128")


def _posterior(lops: ModuleType, n: int) -> Any:
    """The covariance of the Bayesian tutorial: a sum of a product of four and a diagonal."""
    S, R = lops.Smoothing1D(5, n), lops.Restriction(n, kept(n))
    return S @ R.H @ R @ S.H + lops.Diagonal(np.abs(numbers(n)))


def _poststack(lops: ModuleType, n: int) -> Any:
    return 0.5 * lops.signalprocessing.Convolve1D(n, numbers(9), offset=4) @ lops.FirstDerivative(n)


def _regularized(lops: ModuleType, n: int) -> Any:
    return lops.VStack([lops.Restriction(n, kept(n)), 0.1 * lops.SecondDerivative(n)])


def _spectral(lops: ModuleType, n: int) -> Any:
    return lops.Restriction(n, kept(n), dtype="complex128") @ lops.signalprocessing.FFT(n).H


def _normal(lops: ModuleType, n: int) -> Any:
    D = lops.FirstDerivative(n)
    return D.H @ D


def _deblurring(lops: ModuleType, n: int) -> Any:
    dims = SIZES[n][1]
    C = lops.signalprocessing.Convolve2D(dims, np.ones((3, 3)) / 9, offset=(1, 1))
    return C.H @ C + 0.1 * lops.Laplacian(dims)


ENTRIES = (
    *map(_measured, OPERATORS),
    Entry("Regression", lambda lops, n: lops.Regression(np.linspace(-1, 1, n), order=3)),
    Entry("LinearRegression", lambda lops, n: lops.LinearRegression(np.linspace(-1, 1, n))),
    Entry("Spread", _spread),
    Entry("Shift", _of("Shift", 1, 3.7, real=True, dtype="float64")),
    Entry("Shift for each trace", _shifts),
    Entry("NonStationaryConvolve1D", _nonstationary),
    Entry("Interp nearest", _interp("nearest")),
    Entry("Interp linear", _interp("linear")),
    Entry("Interp sinc", _interp("sinc")),
    Entry("InterpCubicSpline", _interp("cubic_spline")),
    Entry("Bilinear", _bilinear),
    Entry("Radon2D", _radon("Radon2D")),
    Entry("FourierRadon2D", _radon("FourierRadon2D")),
    Entry("ChirpRadon2D", _radon("ChirpRadon2D")),
    Entry("Sliding1D", _windows),
    Entry("Patch2D", _patches),
    Entry("Fredholm1", _fredholm),
    Entry("DWT", _of("DWT", 1, wavelet="db2", level=2)),
    Entry("DWT2D", _of("DWT2D", 2, wavelet="haar", level=2)),
    Entry("DCT", _of("DCT", 1)),
    Entry("DCT of two axes", _of("DCT", 2)),
    Entry("DWTND", _of("DWTND", 3, wavelet="haar", level=1)),
    Entry("UDCT", _curvelets),
    Entry(
        "Convolve1D by FFT",
        lambda lops, n: lops.signalprocessing.Convolve1D(n, numbers(31), offset=15),
        why_slower="three FFTs, as for tensors, so that NaN spreads alike; PyLops adds up the taps",
    ),
    Entry("Convolve1D for each trace", _filters_of_traces),
    Entry("NonStationaryConvolve2D", _nonstationary_2d),
    Entry("NonStationaryFilters1D", _nonstationary_filters),
    Entry("FourierRadon3D", _radon_3d("FourierRadon3D")),
    Entry("ChirpRadon3D", _radon_3d("ChirpRadon3D")),
    Entry("Radon3D", _radon_3d("Radon3D")),
    Entry("Sliding2D", _windows_2d),
    Entry("MemoizeOperator", lambda lops, n: lops.MemoizeOperator(lops.FirstDerivative(n))),
    Entry("Seislet", _seislet),
    Entry("PWSprayer2D", _sprayer, why_slower="numba's compiled loop against a sequence of calls of torch"),
    Entry("composition: normal", _normal),
    Entry("composition: S @ R.H @ R @ S.H + D", _posterior),
    Entry("composition: post-stack", _poststack),
    Entry("composition: regularized", _regularized),
    Entry("composition: restricted spectrum", _spectral, is_complex=True),
    Entry("composition: deblurring", _deblurring),
)


def measure(quick: bool, names: Sequence[str] | None, effort: Effort) -> dict[str, Any]:
    """Return the cost of a call beyond its kernel, and the times of every operator, ours and PyLops's."""
    return {"road": road(effort), "operators": list(operators(quick, names, effort))}


def operators(quick: bool, names: Sequence[str] | None, effort: Effort) -> Iterator[dict[str, Any]]:
    wanted = names or (QUICK_ENTRIES if quick else None)
    chosen = [e for e in ENTRIES if wanted is None or any(e.name.lower().startswith(n.lower()) for n in wanted)]
    for number, entry in enumerate(chosen, 1):
        start = time.perf_counter()
        for size in (64,) if quick else SIZES:
            yield _figures(entry, size, effort)
        took = time.perf_counter() - start
        print(f"[{number}/{len(chosen)}] {entry.name}: {took:.1f} s", file=sys.stderr, flush=True)


def _figures(entry: Entry, size: int, effort: Effort) -> dict[str, Any]:
    record: dict[str, Any] = {"operator": entry.name, "size": size, "times": {}, "note": "", "why": entry.why_slower}
    ours, theirs = entry.build(torchlops, size), entry.build(pylops, size)
    x, y = _vector(ours.shape[1], entry.is_complex), _vector(ours.shape[0], ours.dtype.kind == "c")
    try:
        errors = [
            np.abs(here.ravel() - there.ravel()).max() / (np.abs(there).max() or 1)
            for here, there in ((ours @ x, theirs @ x), (ours.H @ y, theirs.H @ y))
        ]
    except Exception as error:  # PyLops may raise anything
        record["note"] = f"raises {type(error).__name__}: {str(error).strip().splitlines()[0][:90]}"
        return record
    if not max(errors) <= TOLERANCE:
        record["note"] = "differs from ours by {:.1g} (A x) and {:.1g} (A^H y)".format(*errors)
        return record
    calls: dict[str, Callable[[], Any]] = {
        "forward ours": lambda: ours @ x,
        "forward pylops": lambda: theirs @ x,
        "adjoint ours": lambda: ours.H @ y,
        "adjoint pylops": lambda: theirs.H @ y,
    }
    record["times"] = least_times(calls, effort.rounds, effort.block)
    return record


def _vector(size: int, is_complex: bool) -> np.ndarray:
    return numbers(size) + 1j * numbers(size, seed=1) if is_complex else numbers(size)


class _Copy(torchlops.LinearOperator):
    """Copies, by torch: all of its time beyond one call of torch is spent on the way from the array and back."""

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    _adjoint = _forward


class _ArrayCopy(_Copy):
    """Copies an array by an array kernel."""

    def _array_kernel(self, x: Any, adjoint: bool) -> Any:  # noqa: ARG002
        return x.copy()

    _forward = _adjoint = _Copy._forward


def road(effort: Effort, size: int = 64, parts: int = 8) -> dict[str, float]:
    """Return the microseconds that a call takes beyond its kernel, and that each part of a product adds."""
    x = numbers(size)
    t = torch.from_numpy(x)
    by_tensor, by_array = _Copy(size), _ArrayCopy(size)
    chain = by_array
    for _ in range(parts - 1):
        chain = chain @ _ArrayCopy(size)
    found = least_times(
        {
            "tensor to tensor": lambda: by_tensor @ t,
            "copy": x.copy,
            "tensors": lambda: by_tensor @ x,
            "arrays": lambda: by_array @ x,
            "chain": lambda: chain @ x,
        },
        effort.rounds,
        effort.block,
    )
    return {
        "tensors": 1e6 * (found["tensors"] - found["tensor to tensor"]),
        "arrays": 1e6 * (found["arrays"] - found["copy"]),
        "part": 1e6 * (found["chain"] - found["arrays"] - (parts - 1) * found["copy"]) / (parts - 1),
    }
