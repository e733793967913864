"""Our non-uniform FFT against finufft, torchkbnufft and pytorch_finufft: ``python -m benchmarks.nufft``.

One thread; processor times, best of several that take turns, in ms. Finufft runs planned, at the better of its two
upsampling factors. ``--quick`` leaves the three-dimensional cases out. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import best
from torchlops.config import get_sparse_limit, set_sparse_limit
from torchlops.signalprocessing import NUFFT

MiB = 2**20


def radial(spokes: int, samples: int) -> Any:
    """Return the points of diameters, ``(spokes * samples, 2)``."""
    angle, radius = np.arange(spokes) * np.pi / spokes, np.linspace(-np.pi, np.pi, samples, endpoint=False)
    return np.stack([np.outer(np.cos(angle), radius).ravel(), np.outer(np.sin(angle), radius).ravel()], -1)


@contextmanager
def limit(size: int) -> Iterator[None]:
    """Bound the sparse matrices within a ``with`` block."""
    before = get_sparse_limit()
    set_sparse_limit(size)
    try:
        yield
    finally:
        set_sparse_limit(before)


def exact(x: Tensor, points: Any) -> Tensor:
    """Return the sum itself at some points."""
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in x.shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, x.ndim)
    return torch.exp(-1j * (torch.from_numpy(points) @ grid.mT)) @ x.flatten().to(torch.complex128)


def finuffts(points: Any, dims: tuple[int, ...], tol: float, items: int, x: Tensor, y: Tensor) -> dict[str, Any]:
    """Return the planned transforms of finufft, by name."""
    try:
        import finufft
    except ImportError:
        return {}
    found = {}
    for factor in (2.0, 1.25):
        for kind, sign, given in ((2, -1, x), (1, 1, y)):
            plan = finufft.Plan(kind, dims, items, tol, sign, given.numpy().dtype.name, upsampfac=factor, nthreads=1)
            plan.setpts(*np.ascontiguousarray(points.T.astype(given.real.numpy().dtype)))
            found[f"{'forward' if kind == 2 else 'adjoint'} {factor}"] = partial(plan.execute, given.numpy())
    return found


def products(dims: tuple[int, ...], points: Any, dtype: torch.dtype, tol: float, items: int, target: float) -> None:
    """Measure forward and adjoint, with a matrix and without."""
    x = torch.randn(*((items,) if items > 1 else ()), *dims, dtype=dtype)
    kept, free = NUFFT(dims, points, tol), NUFFT(dims, points, tol)
    y = torch.randn(*x.shape[: x.ndim - len(dims)], len(points), dtype=dtype)
    functions: dict[str, Callable[[], Any]] = {"forward": lambda: kept(x), "adjoint": lambda: kept.H(y)}

    def without(A: Any, given: Tensor) -> Callable[[], Any]:
        def run() -> Any:
            with limit(0):
                return A(given)

        return run

    functions |= {"forward without": without(free, x), "adjoint without": without(free.H, y)}
    functions |= finuffts(points, dims, tol, items, x, y)
    taken = best(functions)
    plan = kept.plan
    nbytes = 2 * kept.shape[0] * kept.width ** len(dims) * (4 + dtype.itemsize // 2)
    shape = " x ".join(map(str, dims))
    print(f"{shape}, {len(points)} points, {dtype}, {tol:g}, batch {items}: ", end="")
    print(f"matrices {nbytes / MiB:.0f} MiB in {plan.build_time:.2f} s")
    for side in ("forward", "adjoint"):
        theirs = min((taken[name] for name in taken if name.startswith(side) and name[-1].isdigit()), default=math.nan)
        print(
            f"  {side} {1e3 * taken[side]:.1f}, finufft {1e3 * theirs:.1f}: {taken[side] / theirs:.2f} "
            f"(target {target}); without a matrix {taken[f'{side} without'] / theirs:.1f}",
            flush=True,
        )


def kbnufft(dims: tuple[int, int], points: Any, items: int) -> None:
    """Measure torchkbnufft, and its error."""
    try:
        import torchkbnufft
    except ImportError:
        return
    x, places = torch.randn(1, items, *dims, dtype=torch.complex64), torch.from_numpy(points.T.copy()).float()
    A = NUFFT(dims, points, 1e-5)
    forward, adjoint = torchkbnufft.KbNufft(dims), torchkbnufft.KbNufftAdjoint(dims)
    y = forward(x, places)
    taken = best(
        {"ours": lambda: A(x), "theirs": lambda: forward(x, places), "our adjoint": lambda: A.H(y),
         "their adjoint": lambda: adjoint(y, places)}, 2,
    )  # fmt: skip
    some = slice(0, None, 97)
    wanted = exact(x[0, 0], points[some])
    errors = [float((found - wanted).norm() / wanted.norm()) for found in (A(x)[0, 0, some], y[0, 0, some])]
    print(
        f"torchkbnufft, batch {items}: {taken['theirs'] / taken['ours']:.1f} times the time of the forward, "
        f"{taken['their adjoint'] / taken['our adjoint']:.1f} of the adjoint (target 5), "
        f"{errors[1] / errors[0]:.0f} times the error, {errors[1]:.1g} (target 100)",
        flush=True,
    )


def gradient(points: Any, dtype: torch.dtype, tol: float) -> None:
    """Measure the value and the gradient by the points for 8 coils."""
    try:
        import pytorch_finufft
    except ImportError:
        return
    x, p = torch.randn(8, 256, 256, dtype=dtype), torch.from_numpy(points).to(dtype.to_real())

    def loss(function: Callable[[Tensor], Tensor]) -> Callable[[], Tensor]:
        def run() -> Tensor:
            leaf = p.clone().requires_grad_()
            function(leaf).abs().square().sum().backward()  # type: ignore[no-untyped-call]
            assert leaf.grad is not None
            return leaf.grad

        return run

    def theirs_at(factor: float, leaf: Tensor) -> Tensor:
        transform: Tensor = pytorch_finufft.functional.finufft_type2(
            leaf.mT.contiguous(), x, eps=tol, isign=-1, modeord=0, nthreads=1, upsampfac=factor
        )
        return transform

    functions: dict[str, Callable[[], Any]] = {"ours": loss(lambda leaf: NUFFT((256, 256), leaf, tol)(x))}
    functions |= {f"{factor}": loss(partial(theirs_at, factor)) for factor in (2.0, 1.25)}
    taken = best(functions, 3)
    theirs = min(taken["2.0"], taken["1.25"])
    print(
        f"gradient by the points, 8 coils, {dtype}: {1e3 * taken['ours']:.0f}, pytorch_finufft {1e3 * theirs:.0f}: "
        f"{taken['ours'] / theirs:.2f} (target 2)",
        flush=True,
    )


def gram() -> None:
    """Measure the normal operator: 128 x 128, 8 coils, a batch of 4."""
    A, x = NUFFT((128, 128), radial(50, 256)), torch.randn(4, 8, 128, 128, dtype=torch.complex128)
    began = time.perf_counter()
    G = A.gram()
    built = time.perf_counter() - began
    taken = best({"gram": lambda: G(x), "fast": lambda: A.H(A(x)), "native": lambda: A._adjoint(A._forward(x))}, 3)
    error = float((G(x) - A.H(A(x))).norm() / A.H(A(x)).norm())
    print(
        f"gram {1e3 * taken['gram']:.0f}, built in {built:.2f} s, differs by {error:.1g}: the differentiable A^H A "
        f"takes {taken['native'] / taken['gram']:.1f} times as long (target 5), "
        f"with matrices {taken['fast'] / taken['gram']:.1f}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    plane, space = radial(402, 256), np.random.default_rng(0).uniform(-np.pi, np.pi, (100_000, 3))
    kinds = ((torch.complex64, 1e-5), (torch.complex128, 1e-6))
    for dtype, tol in kinds:
        for items in (1, 8):
            products((256, 256), plane, dtype, tol, items, 1.3)
    for items in (1, 8):
        kbnufft((256, 256), plane, items)
    for dtype, tol in kinds:
        gradient(plane, dtype, tol)
    gram()
    for dtype, tol in () if quick else kinds:
        for items in (1, 8):
            with limit(2**30):
                products((64, 64, 64), space, dtype, tol, items, 3)


if __name__ == "__main__":
    main()
