"""Acoustic waves: our propagator, eager and compiled, against Deepwave: ``python -m benchmarks.waves``.

One thread; processor times, best of several that take turns, in ms per step in time. Without Deepwave, ours alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import best
from torchlops.waveeqprocessing import AcousticModelling
from torchlops.waveeqprocessing._acoustic.compiled import can_compile

CASES = ((200, 8, 200, True), (640, 4, 60, False), (200, 1, 200, False))
"""Number of nodes along both axes, of shots and of steps, and whether the gradient is measured."""


def survey(n: int, shots: int, nt: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return a velocity, the wavelets, and positions of sources and receivers."""
    v = 2000 + 200 * torch.rand(n, n, generator=torch.Generator().manual_seed(0))
    receivers = torch.stack((torch.full((100,), 3), torch.arange(100)), -1)
    return v, torch.randn(shots, 1, nt), torch.full((shots, 1, 2), 50), receivers


def ours(n: int, shots: int, nt: int, compile: bool) -> Callable[[Tensor], Tensor]:
    """Return our modelling as a function of the velocity."""
    _, wavelets, sources, receivers = survey(n, shots, nt)
    modelling = AcousticModelling(
        (n, n), 10.0, 0.001, nt, sources, receivers, max_velocity=2500.0, frequency=15.0, space_order=8, pml_width=20,
        compile=compile,
    )  # fmt: skip
    return lambda v: modelling(v, wavelets)


def deepwaves(n: int, shots: int, nt: int) -> Callable[[Tensor], Tensor] | None:
    """Return Deepwave's modelling, or None if it is not installed."""
    try:
        import deepwave
    except ImportError:
        return None
    _, wavelets, sources, receivers = survey(n, shots, nt)
    options: dict[str, Any] = {
        "source_amplitudes": wavelets, "source_locations": sources, "accuracy": 8, "pml_width": 20, "pml_freq": 15.0,
        "receiver_locations": receivers.expand(shots, -1, -1), "max_vel": 2500.0,
    }  # fmt: skip
    return lambda v: deepwave.scalar(v, 10.0, 0.001, **options).receiver_amplitudes


def gradient(function: Callable[[Tensor], Tensor], v: Tensor) -> Tensor:
    """Return the gradient of the energy of the data."""
    x = v.clone().requires_grad_()
    (result,) = torch.autograd.grad(function(x).square().sum(), x)
    return result


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for n, shots, nt, with_gradient in CASES:
        v = survey(n, shots, nt)[0]
        kinds: dict[str, Callable[[Tensor], Tensor] | None] = {
            "Deepwave": deepwaves(n, shots, nt),
            "eager": ours(n, shots, nt, False),
            "compiled": ours(n, shots, nt, True) if can_compile() else None,
        }
        present = {name: function for name, function in kinds.items() if function is not None}
        runs: dict[str, dict[str, Callable[[], Any]]] = {"data": {k: lambda f=f, v=v: f(v) for k, f in present.items()}}
        if with_gradient:
            runs["gradient"] = {k: lambda f=f, v=v: gradient(f, v) for k, f in present.items()}
        for what, functions in runs.items():
            taken = best(functions)
            reference = taken.get("Deepwave")
            row = [
                f"{name} {1e3 * seconds / nt:.2f} ms" + (f" ({seconds / reference:.2f})" if reference else "")
                for name, seconds in taken.items()
            ]
            print(f"{n} x {n}, {shots} shots, {what}: {', '.join(row)}", flush=True)


if __name__ == "__main__":
    main()
