"""The figures of the demo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from PIL import Image

from torchlops.demo import waveform
from torchlops.demo.chain import Chain
from torchlops.demo.deblurring import Comparison
from torchlops.demo.impedance import DT, NT, NX, Problem
from torchlops.demo.waveform import Waveform

ZOOMS = {"camera": (20, 130, 112), "coffee": (120, 100, 96), "coins": (60, 60, 96), "page": (40, 100, 96)}
"""The detail shown of each test photograph: first row, first column, size."""


def draw_chain(chain: Chain, path: Path) -> Path:
    """Draw the gradients, automatic and by formula, and the Hessian with its difference from the formula."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    axes[0].plot(chain.gradient_by_formula, color="0.6", linewidth=5, label="cos(x) · Aᵀv (formula)")
    axes[0].plot(chain.gradient, color="C3", linewidth=1.5, label="automatic")
    axes[0].set(title="gradient of vᵀ A sin(x)", xlabel="sample", ylabel="∂/∂x")
    axes[0].legend(fontsize=8)
    limit = float(chain.hessian.abs().max())
    shown = axes[1].imshow(chain.hessian, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes[1].set(title="Hessian of ½‖A sin(x) - y‖²", xlabel="sample", ylabel="sample")
    figure.colorbar(shown, ax=axes[1])
    shown = axes[2].imshow((chain.hessian - chain.hessian_by_formula).abs(), cmap="magma")
    axes[2].set(title="|automatic - formula|", xlabel="sample", ylabel="sample")
    figure.colorbar(shown, ax=axes[2])
    return _save(figure, path)


def draw_deblurring(comparison: Comparison, path: Path) -> Path:
    """Draw details of the test photographs, blurred and restored by each method, on a common grey scale."""
    methods = list(comparison.images)
    names = list(comparison.truth)
    figure, axes = plt.subplots(
        len(names), len(methods) + 1, figsize=(2.3 * (len(methods) + 1), 2.5 * len(names)), layout="constrained"
    )
    for i, (row, name) in enumerate(zip(axes, names, strict=True)):
        top, left, size = ZOOMS[name]
        images: dict[str, Any] = {"truth": comparison.truth[name]}
        images |= {method: comparison.images[method][name] for method in methods}
        for axis, (title, image) in zip(row, images.items(), strict=True):
            top = min(top, image.shape[0] - size)
            left = min(left, image.shape[1] - size)
            axis.imshow(image[top : top + size, left : left + size], cmap="gray", vmin=0, vmax=1)
            score = "" if title == "truth" else "{:.1f} dB, SSIM {:.2f}".format(*comparison.scores[title][name])
            axis.set_xlabel(score, fontsize=9)
            axis.set(xticks=[], yticks=[])
            if i == 0:
                axis.set_title(title, fontsize=11)
        row[0].set_ylabel(name, fontsize=11)
    _save(figure, path, dpi=80)
    with Image.open(path) as picture:  # a grey image takes a third of the space
        picture.convert("L").save(path, optimize=True)
    return path


def draw_training(comparison: Comparison, path: Path) -> Path:
    """Draw the point-spread function, the loss, and the mean scores."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    shown = axes[0].imshow(comparison.psf, cmap="magma")
    axes[0].set(title="point-spread function of the defocused lens", xlabel="pixel", ylabel="pixel")
    figure.colorbar(shown, ax=axes[0])
    losses = comparison.losses
    width = max(1, len(losses) // 30)
    means = [sum(losses[i : i + width]) / len(losses[i : i + width]) for i in range(0, len(losses), width)]
    axes[1].semilogy(losses, color="0.8", linewidth=0.7, label="each step")
    axes[1].semilogy([i * width + width / 2 for i in range(len(means))], means, color="C3", label=f"mean of {width}")
    axes[1].set(title="training of the unrolled network", xlabel="step", ylabel="absolute error, smoothed")
    axes[1].legend(fontsize=8)
    scores = {method: psnr for method, (psnr, _) in comparison.means().items()}
    bars = axes[2].barh(list(scores), list(scores.values()), color=["0.7", "C0", "C0", "C3"])
    axes[2].bar_label(bars, fmt="%.2f", padding=3)
    axes[2].invert_yaxis()
    axes[2].set(title="mean over the test photographs", xlabel="PSNR / dB", xlim=(20, max(scores.values()) + 2))
    return _save(figure, path)


def draw_inversion(problem: Problem, path: Path) -> Path:
    """Draw the data, the impedances, and the convergence."""
    figure, axes = plt.subplots(2, 4, figsize=(14, 7), layout="constrained")
    extent = (0, NX, NT * DT, 0)
    limit = float(problem.data.abs().max())
    shown = axes[0, 0].imshow(problem.data, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=extent, aspect="auto")
    axes[0, 0].set(title="data: seismic section", xlabel="trace", ylabel="time / s")
    figure.colorbar(shown, ax=axes[0, 0], label="amplitude")
    models = {"truth": problem.truth, "start": problem.start}
    models |= {name: inversion.model for name, inversion in problem.inversions.items()}
    impedances = {name: model.exp() / 1e6 for name, model in models.items()}
    low, high = float(impedances["truth"].min()), float(impedances["truth"].max())
    places = [axes[0, 1], axes[0, 2], axes[1, 0], axes[1, 1], axes[1, 2], axes[1, 3]]
    for axis, (name, impedance) in zip(places, impedances.items(), strict=True):
        shown = axis.imshow(impedance, cmap="viridis", vmin=low, vmax=high, extent=extent, aspect="auto")
        error = f": {100 * problem.inversions[name].errors[-1]:.1f} % off" if name in problem.inversions else ""
        axis.set(title=f"{name}{error}" if error else f"impedance: {name}", xlabel="trace", ylabel="time / s")
    figure.colorbar(shown, ax=[axes[0, 2], axes[1, 3]], label="10⁶ kg m⁻² s⁻¹", shrink=0.6)
    for name, inversion in problem.inversions.items():
        axes[0, 3].semilogy(inversion.misfits, label=name)
    axes[0, 3].axhline(1, color="0.5", linestyle=":", label="noise")
    axes[0, 3].set(title="convergence", xlabel="iteration of L-BFGS", ylabel="misfit / noise")
    axes[0, 3].legend(fontsize=8)
    return _save(figure, path)


def draw_waveform(waves: Waveform, path: Path) -> Path:
    """Draw the velocities, and the convergence."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 6), layout="constrained")
    extent = (0, waveform.NX * waveform.SPACING / 1000, waveform.NZ * waveform.SPACING / 1000, 0)
    models = {"truth": waves.truth, "start": waves.start, "found": waves.found}
    for axis, (name, model) in zip(axes.flat, models.items(), strict=False):
        shown = axis.imshow(model, cmap="viridis", vmin=1800, vmax=3200, extent=extent, aspect="auto")
        error = "" if name == "truth" else f": {waves.error(model):.0f} m/s off"
        axis.set(title=f"velocity, {name}{error}", xlabel="x / km", ylabel="depth / km")
    figure.colorbar(shown, ax=axes[:, 0], label="m/s", location="left")
    axes[1, 1].semilogy(waves.misfits)
    axes[1, 1].set(title="convergence", xlabel="gradients", ylabel="misfit / energy of the data")
    return _save(figure, path)


def _save(figure: Any, path: Path, dpi: int = 100) -> Path:
    figure.savefig(path, dpi=dpi)
    plt.close(figure)
    return path
