"""Tomography: our projectors against ASTRA's on the CPU: ``python -m benchmarks.tomography [CASES]``.

One thread; processor times, best of several that take turns, in ms per image, and their ratio to ASTRA's, beside the
target. The time and the memory of tables stand in lines of their own: ASTRA has none. ``CASES`` are names, as
``uniform``; ``cone`` are the products of a cone beam and of its reconstruction, which ASTRA has on GPUs only.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.timing import best
from torchlops.config import get_sparse_limit, set_sparse_limit
from torchlops.medical import CT2D, CT3D, FDK, cone_vectors

Run = Callable[[], Any]


def astras(kernel: str, n: int, thetas: NDArray[np.float64], distances: tuple[float, float] | None) -> tuple[Run, Run]:
    """Return the two products of ASTRA's projector, with one image."""
    import astra

    geometry = "parallel" if distances is None else "fanflat"
    views = astra.create_proj_geom(geometry, 1.0, n, thetas, *(distances or ()))
    name = kernel if distances is None else f"{kernel}_fanflat"
    A = astra.OpTomo(astra.create_projector(name, views, astra.create_vol_geom(n, n)))
    x, y = (np.random.default_rng(0).random(size, dtype=np.float32) for size in reversed(A.shape))
    return lambda: A.FP(x.reshape(n, n)), lambda: A.BP(y.reshape(len(thetas), n))


def ours(A: CT2D, batch: int) -> tuple[Run, Run]:
    """Return the two products of our operator, with a batch of images."""
    numbers = torch.Generator().manual_seed(0)
    x, y = (torch.rand(batch, *dims, generator=numbers) for dims in (A.dims, A.dimsd))
    return lambda: A(x), lambda: A.adjoint(y)


Case = tuple[str, str, int, int, Callable[[int], NDArray[np.float64]], "tuple[float, float] | None", str]


def uniform(count: int) -> NDArray[np.float64]:
    """Return angles over a half turn."""
    return np.linspace(0, np.pi, count, endpoint=False)


def golden(count: int) -> NDArray[np.float64]:
    """Return angles by the golden ratio, which have no symmetry."""
    return np.asarray(np.arange(count) * (np.pi * (math.sqrt(5) - 1) / 2) % np.pi, dtype=np.float64)


CASES: tuple[Case, ...] = (
    ("uniform", "linear", 256, 180, uniform, None, "linear"),
    ("uniform", "strip", 256, 180, uniform, None, "linear"),
    ("uniform, large", "linear", 512, 360, uniform, None, "linear"),
    ("golden", "linear", 256, 180, golden, None, "linear"),
    ("golden", "line", 256, 180, golden, None, "linear"),
    ("golden", "strip", 256, 180, golden, None, "linear"),
    ("fan", "line", 256, 180, golden, (500.0, 100.0), "line"),
)
"""Name, kernel, size, views, angles, distances of a fan beam, and the kernel of ASTRA that it is compared with."""
TARGETS = {"uniform": (0.12, 0.12), "matrix": (0.35, 0.12), "none": (2.5, 4.5)}


def measure(case: Case) -> None:
    """Measure one case with and without tables, and print."""
    name, kernel, n, views, angles, distances, rival = case
    thetas = angles(views)
    fan: dict[str, Any] = {}
    if distances is not None:
        fan = {"source_origin_dist": distances[0], "origin_detector_dist": distances[1], "proj_geom_type": "fanflat"}
    A = CT2D((n, n), 1.0, n, thetas, projector_type=kernel, **fan)
    theirs = astras(rival, n, thetas, distances)
    own = theirs if kernel == rival else astras(kernel, n, thetas, distances)
    limit = get_sparse_limit()
    kind = "uniform" if name.startswith("uniform") else "matrix"
    for form, batches in ((kind, (1, 16)), ("none", (1, 16))):
        set_sparse_limit(limit if form != "none" else 0)
        if form != "none" and A.plan.kernel == "gather":
            print(f"{name} {kernel}: no table within the limit", flush=True)
            continue
        for batch in batches:
            for side, product, rivals, kernels in zip(("A x", "A^H y"), ours(A, batch), theirs, own, strict=True):
                theirs_by_kernel = {rival: rivals, kernel: kernels}
                taken = best({"ours": product, **theirs_by_kernel}, 2 if n > 256 else 4)
                mine = taken.pop("ours") / batch
                targets = TARGETS[form]
                target = targets[side != "A x"] if form == "none" else targets[batch > 1]
                ratios = ", ".join(f"{mine / t:.2f} of ASTRA's {what} ({1e3 * t:.1f})" for what, t in taken.items())
                print(
                    f"{name} {kernel} {n} x {n}, {views} views, {A.plan.kernel}, batch {batch}, {side}: "
                    f"{1e3 * mine:.1f} ms, {ratios}; target {target} of {rival}",
                    flush=True,
                )
        if form != "none":
            plan = A.plan
            print(f"  tables: {plan.nbytes / 2**20:.0f} MiB, built in {plan.build_time:.2f} s", flush=True)
    set_sparse_limit(limit)


def measure_cone(n: int, views: int) -> None:
    """Measure a cone beam of ``views`` times ``n`` by ``n`` pixels, and print; it has no tables."""
    vectors = cone_vectors(np.arange(views) * 2 * np.pi / views, 3.0 * n, 1.5 * n, 1.5)
    C = CT3D((n, n, n), (n, n), vectors, dtype="float32")
    F = FDK(C)
    for batch in (1, 4):
        x, y = torch.randn(batch, *C.dims), torch.randn(batch, *C.dimsd)
        products = {"A x": (C, x), "A^H y": (C.H, y), "FDK y": (F, y), "FDK^H x": (F.H, x)}
        taken = best({what: partial(A, z) for what, (A, z) in products.items()}, 3)
        times = ", ".join(f"{what} {1e3 * t / batch:.0f}" for what, t in taken.items())
        print(f"cone {n} x {n} x {n}, {views} views, batch {batch}: {times} ms", flush=True)


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    wanted = sys.argv[1:]
    for case in CASES:
        if not wanted or case[0] in wanted or case[1] in wanted:
            measure(case)
    if not wanted or "cone" in wanted:
        measure_cone(64, 64)


if __name__ == "__main__":
    main()
