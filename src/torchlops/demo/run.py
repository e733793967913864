"""Runs the four parts of the demo, which print tables and write figures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from torchlops.demo import chain, deblurring, figures, impedance, waveform
from torchlops.demo.photographs import TEST, TRAINING
from torchlops.utils import reuse_memory


def run(
    output: Path, seed: int = 0, steps: int = 1500, show_progress: bool = True, wave_iterations: int = 20
) -> dict[str, Any]:
    """Run the demo, print its tables, write its figures to ``output`` and return the results.

    Args:
        output: Folder for the figures; created if it does not exist.
        seed: Seed for the noise and the training.
        steps: Number of training steps of the network.
        show_progress: Show a progress bar if the output is a terminal.
        wave_iterations: Number of iterations of the inversion of waveforms.
    """
    start = time.perf_counter()
    reuse_memory()
    torch.manual_seed(seed)
    output.mkdir(parents=True, exist_ok=True)
    form = "{desc}{percentage:3.0f} % |{bar}| {elapsed}"  # the steps differ too much for an estimate
    disable = None if show_progress else True  # None: tqdm is quiet if the output is not a terminal
    with tqdm(total=deblurring.ticks(steps) + 5, disable=disable, leave=False, bar_format=form) as bar:

        def tick(what: str) -> None:
            bar.set_description(what)
            bar.update()

        derivatives = chain.differentiate()
        inversion = impedance.solve(tick)
        waves = waveform.invert(wave_iterations, tick)
        comparison = deblurring.compare(steps, tick)

    _print_chain(derivatives)
    _print_deblurring(comparison)
    _print_inversion(inversion)
    _print_waveform(waves)
    paths = [
        figures.draw_chain(derivatives, output / "chain.png"),
        figures.draw_deblurring(comparison, output / "deblurring.png"),
        figures.draw_training(comparison, output / "training.png"),
        figures.draw_inversion(inversion, output / "inversion.png"),
        figures.draw_waveform(waves, output / "waveform.png"),
    ]
    print(f"\nFigures, after {time.perf_counter() - start:.0f} s:")
    for path in paths:
        print(f"  {path}")
    return {"chain": derivatives, "deblurring": comparison, "inversion": inversion, "waveform": waves, "figures": paths}


def _print_chain(derivatives: chain.Chain) -> None:
    print("\n1. Derivatives of the chain A sin(x), automatic and analytical")
    rows = [(what, mode, f"{norm:.6f}", f"{error:.1e}") for what, mode, norm, error in derivatives.rows()]
    _print_table(("", "by mode", "norm", "largest difference"), rows)


def _print_deblurring(comparison: deblurring.Comparison) -> None:
    print(f"\n2. Deblurring: trained and tuned on {', '.join(TRAINING)};\n   tested on {', '.join(TEST)}")
    rows = []
    for method, (psnr, ssim) in comparison.means().items():
        weight = comparison.tuned.get(method)
        each = [f"{comparison.scores[method][name][0]:.2f}" for name in TEST]
        rows.append((method, "" if weight is None else f"{weight:g}", f"{psnr:.2f}", f"{ssim:.4f}", *each))
    _print_table(("method", "weight", "PSNR / dB", "SSIM", *TEST), rows)
    means = comparison.means()
    best = max(value[0] for method, value in means.items() if method != "unrolled network")
    gain = means["unrolled network"][0] - best
    print(f"Mean gain of the network over the best baseline on the test photographs: {gain:+.2f} dB.")


def _print_inversion(problem: impedance.Problem) -> None:
    print("\n3. Impedance from a noisy seismic section, d = W tanh(D m / 2), by L-BFGS")
    rows = []
    for name, inversion in problem.inversions.items():
        to_data = inversion.reached(inversion.misfits, 1.1)
        to_model = inversion.reached(inversion.errors, 0.07)
        rows.append(
            (
                name,
                "-" if to_data is None else str(to_data),
                "-" if to_model is None else str(to_model),
                f"{inversion.misfits[-1]:.2f}",
                f"{100 * inversion.errors[-1]:.2f} %",
            )
        )
    _print_table(("", "iterations to 1.1 x noise", "to an error of 7 %", "final misfit / noise", "final error"), rows)


def _print_waveform(waves: waveform.Waveform) -> None:
    print("\n4. Velocity from the waves of a seismic line, with a salt body, by L-BFGS")
    rows = [
        ("start", f"{waves.misfits[0]:.2g}", f"{waves.error(waves.start):.0f}"),
        (f"after {len(waves.misfits)} gradients", f"{waves.misfits[-1]:.2g}", f"{waves.error(waves.found):.0f}"),
    ]
    _print_table(("", "misfit / energy of the data", "error in m/s"), rows)


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, ["-" * width for width in widths], *rows):
        cells = (
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "  ".join(cells))
