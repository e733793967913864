r"""
Sixty-four traces deconvolved at once
=====================================

How much damping, and how many iterations, does the deconvolution of each trace take? Synthetic reflectivities of random
layers, with the statistics of wells, are convolved with a Ricker wavelet, and noise of eight levels is added.

The reflectivities have a blue spectrum and heavy tails, as in wells (Walden and Hosken, Geophysical Prospecting 33,
400, 1985, and 34, 1038, 1986). Damped least squares,

.. math:: \min_x \|A x - y\|^2 + \epsilon^2 \|x\|^2,

with the damping :math:`\epsilon = \sigma_\mathrm{noise} / \sigma_x` is the best linear estimate of a white
reflectivity. So the noise determines the conditioning of a trace: clean traces take ten times as many iterations as
noisy ones. One call of ``cgls`` stops each trace when the gradient of its cost has decreased to ``gtol``. The result is
the same as with one call per trace; traces that have stopped are frozen, and dropped from the batch.
"""

import time

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from torchlops import LinearOperator, cgls, ricker
from torchlops.signalprocessing import Convolve1D

NT, DT, FREQUENCY, EACH, TOLERANCE, MOST = 250, 0.004, 25.0, 8, 1e-4, 500
"""Samples per trace, sampling in s, peak frequency in Hz, traces per noise level, ``gtol``, ``niter``."""

SNR = torch.tensor([30.0, 25.0, 20.0, 15.0, 10.0, 5.0, 0.0, -5.0], dtype=torch.float64)
"""Signal-to-noise ratios of the data in dB."""


# %%
# Reflection coefficients, and a measure of convergence.


def reflectivity(count: int) -> Tensor:
    """Return reflection coefficients ``(Z' - Z) / (Z' + Z)`` of random layers, ``(count, NT)``.

    The thicknesses have a geometric distribution with a mean of three samples. The logarithms of the impedances are
    independent and have a Laplace distribution.
    """
    tops = torch.rand(count, NT + 1) < 1 / 3
    layer = torch.where(tops, torch.arange(NT + 1), 0).cummax(-1).values
    logs = torch.distributions.Laplace(0.0, 0.08).sample((count, NT + 1)).double().gather(-1, layer)
    return torch.tanh(0.5 * logs.diff(dim=-1))


def gradients(A: LinearOperator, x: Tensor, y: Tensor, damp: Tensor) -> Tensor:
    """Return the norm of the gradient of the cost of each trace."""
    return (A.H(y - A(x)) - damp[:, None] ** 2 * x).norm(dim=-1)


# %%
# The data of all traces are one batch, each with its own damping.

torch.manual_seed(0)
wavelet, _, center = ricker(torch.arange(25, dtype=torch.float64) * DT, f0=FREQUENCY)
A = Convolve1D(NT, wavelet, offset=center)
true = reflectivity(len(SNR) * EACH)
clean = A(true)
deviations = clean.std() * 10 ** (-SNR / 20)
noise = deviations.repeat_interleave(EACH)
y = clean + noise[:, None] * torch.randn_like(clean)
damp = noise / true.std()
kurtosis = float(true.pow(4).mean() / true.square().mean() ** 2)
neighbours = float((true[:, 1:] * true[:, :-1]).mean() / true.square().mean())
print(f"reflectivity: kurtosis {kurtosis:.1f} (3 if normal), correlation of neighbours {neighbours:.2f} (0 if white)")
assert kurtosis > 4
assert neighbours < -0.1

# %%
# One call solves all of them, and a second one watches the gradients by a callback. One call for each trace takes the
# same iterations, and gives the same solutions.
history = [gradients(A, torch.zeros_like(y), y, damp)]
watched = cgls(
    A, y, niter=MOST, damp=damp, tol=0, gtol=TOLERANCE, callback=lambda x: history.append(gradients(A, x, y, damp))
)
gradient = torch.stack(history) / history[0]
start = time.perf_counter()
result = cgls(A, y, niter=MOST, damp=damp, tol=0, gtol=TOLERANCE)
seconds = time.perf_counter() - start
start = time.perf_counter()
alone = [cgls(A, trace, niter=MOST, damp=d, tol=0, gtol=TOLERANCE) for trace, d in zip(y, damp.tolist(), strict=True)]
seconds_alone = time.perf_counter() - start
iterations_alone = torch.tensor([one.iters for one in alone])
alike = iterations_alone == result.iters  # rounding may tip a sample that is just at its tolerance
differences = (result.x - torch.stack([one.x for one in alone])).abs()[alike]
difference = float(differences.max() / result.x.abs().max())
print(f"{len(y)} traces: {1e3 * seconds:.0f} ms at once, {1e3 * seconds_alone:.0f} ms one by one")
print(f"    after the same iterations; largest relative difference of the solutions {difference:.0e}")
for level, iters in zip(SNR.tolist(), result.iters.unflatten(0, (-1, EACH)), strict=True):
    print(f"    {level:3.0f} dB: stopped after {int(iters.min())} to {int(iters.max())} iterations")
assert bool(result.converged.all())
assert difference < 1e-8
assert int((result.iters - iterations_alone).abs().max()) <= 1
assert int(alike.sum()) >= len(y) - 2
assert bool((gradient[watched.iters, torch.arange(len(y))] <= 1.001 * TOLERANCE).all())
assert int(result.iters.max()) > 8 * int(result.iters.min())

# %%
# Every trace with thirteen dampings are 832 problems in one call. The best damping follows the noise, and no single
# damping is best for all traces.
dampings = torch.logspace(-2, 1, 13, dtype=torch.float64)
many = cgls(
    A, y.expand(13, -1, -1), niter=MOST, damp=dampings[:, None].expand(-1, len(y)), tol=0, gtol=TOLERANCE, grad=None
)


def errors(x: Tensor) -> Tensor:
    """Return the relative error of each noise level."""
    by_level = (x - true).unflatten(-2, (-1, EACH)).square().sum((-2, -1))
    return (by_level / true.unflatten(-2, (-1, EACH)).square().sum((-2, -1))).sqrt()


curves, own = errors(many.x), errors(result.x)
common = float(curves.mean(-1).min())
print(f"mean relative error: {float(own.mean()):.3f} with own dampings, {common:.3f} with the best common one")
assert bool(many.converged.all())
assert bool((own < 1.03 * curves.min(0).values).all())
assert float(own.mean()) < 0.97 * common


# %%
# A trace of each level of noise, how all converge, and the errors against the damping.

mosaic = [["data"] * 3 + ["estimate"] * 3, ["residual"] * 2 + ["gradient"] * 2 + ["error"] * 2]
figure, axes = plt.subplot_mosaic(mosaic, figsize=(12, 8.4), layout="constrained")
colors = plt.get_cmap("viridis")(torch.linspace(0.9, 0, len(SNR)).numpy())
t = DT * torch.arange(NT)
for k, color in enumerate(colors):
    data, model, estimate = (traces[k * EACH] for traces in (y, true, watched.x))
    axes["data"].plot(t, 0.5 * data / data.abs().max() - k, color=color)
    axes["estimate"].plot(t, 0.5 * model / model.abs().max() - k, color="0.6")
    axes["estimate"].plot(t, 0.5 * estimate / model.abs().max() - k, color=color)
for name, title in (("data", "data"), ("estimate", "reflectivity: true (grey) and estimated")):
    axes[name].set(title=title, xlabel="time / s", xlim=(0, NT * DT), yticks=range(0, -len(SNR), -1))
    axes[name].set_yticklabels(f"{level:.0f}" for level in SNR.tolist())
    axes[name].set_ylabel("signal to noise / dB")

for name, history in (("residual", watched.cost / watched.cost[0]), ("gradient", gradient)):
    for sample, iters in enumerate(watched.iters.tolist()):
        color = colors[sample // EACH]
        axes[name].semilogy(history[: iters + 1, sample], color=color, linewidth=0.6)
        axes[name].semilogy(iters, history[iters, sample], "o", color=color, markersize=4)
    axes[name].grid(alpha=0.3, which="both")
axes["residual"].set(title="residual; dots: stopped", xlabel="iteration", ylabel="relative norm")
axes["gradient"].axhline(TOLERANCE, color="k", linestyle=":")
axes["gradient"].set(title="gradient, down to gtol", xlabel="iteration", ylabel="relative norm")
for k, color in enumerate(colors):
    axes["error"].semilogx(dampings, curves[:, k], color=color, label=f"{SNR[k]:.0f} dB")
    axes["error"].semilogx(damp[k * EACH], own[k], "o", color=color)
axes["error"].set(title="error; dots: own damping", xlabel="damping", ylabel="relative error", ylim=(0.65, 1.4))
axes["error"].legend()
axes["error"].grid(alpha=0.3)
