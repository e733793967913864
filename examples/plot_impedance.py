r"""
Post-stack and pre-stack inversion of a faulted section
=======================================================

Which of the models that explain seismic data does a penalty choose? A section of folded layers with two faults is
generated, and modelled with a Ricker wavelet of 25 Hz and 10 % of noise. It is inverted for the impedance from stacked
data, and for velocities and density from angle gathers.

The wavelet passes neither the lowest frequencies nor the highest, so that the operator has no inverse. Three costs
choose among the models that explain the data:

- damping, :math:`\|A m - d\|^2 + \epsilon \|m - m_0\|^2`: a model close to the background. One Cholesky decomposition
  serves all traces;
- smoothness, :math:`\|A m - d\|^2 + \epsilon^2 \|\nabla^2 m\|^2`, from the background on;
- total variation, :math:`\tfrac12 \|A m - d\|^2 + \epsilon_t^2 \|D_t m\|_1 + \epsilon_x^2 \|D_x m\|_1 + \tfrac12
  \epsilon_0 \|S (m - m_0)\|^2`: layers with sharp tops, cut by faults. The running mean :math:`S` holds the lowest
  frequencies at those of the background.

The models are logarithms, and :math:`m_0` is the true model without all that is faster than some 2 Hz.
"""

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from torchlops import (
    Diagonal,
    FirstDerivative,
    Identity,
    LinearOperator,
    PoststackInversion,
    PoststackLinearModelling,
    PrestackInversion,
    PrestackLinearModelling,
    Smoothing1D,
    ricker,
    splitbregman,
)

NT, NX, DT, FREQUENCY = 120, 80, 0.004, 25.0
"""Samples in time, traces, sampling in s, peak frequency of the wavelet in Hz."""

NOISE = 0.1
"""Deviation of the noise, relative to that of the data."""

THETA = torch.linspace(0.0, 40.0, 9, dtype=torch.float64)

# %%
# Layers with random thicknesses, velocities that increase with depth, and Gardner's and Castagna's relations with
# scatter. They are folded, and shifted by two faults.
torch.manual_seed(3)


def section() -> Tensor:
    """Return logarithms of velocities in m/s and density in kg/m^3, ``(NT, 3, NX)``."""
    samples = torch.arange(2 * NT)
    layer = (torch.rand(2 * NT) < 1 / 9).cumsum(0)
    count = int(layer.max()) + 1
    vp = torch.linspace(2000, 3600, count, dtype=torch.float64) * (1 + 0.12 * torch.randn(count, dtype=torch.float64))
    vs = (0.8621 * vp - 900) * (1 + 0.06 * torch.randn_like(vp))
    rho = 310 * vp**0.25 * (1 + 0.03 * torch.randn_like(vp))
    of_layers = torch.stack((vp, vs, rho)).log()
    x = torch.arange(NX)
    shift = NT // 3 + 7 * torch.sin(2 * torch.pi * x / NX) + 14 * (x > 0.4 * NX) - 9 * (x > 0.72 * NX)
    place = (samples[:NT, None] + shift).round().long().clamp(0, 2 * NT - 1)
    return of_layers[:, layer[place]].transpose(0, 1).contiguous()


def background(m: Tensor) -> Tensor:
    """Return the model without frequencies above 2 Hz: a Gaussian mean of traces that go on beyond their ends."""
    width = int(0.25 / DT)
    weights = torch.exp(-0.5 * (torch.arange(-width, width + 1, dtype=m.dtype) * DT / 0.08) ** 2)
    padded = torch.cat((m[:1].expand(width, *m.shape[1:]), m, m[-1:].expand(width, *m.shape[1:])))
    return padded.unfold(0, 2 * width + 1, 1) @ (weights / weights.sum())


def noisy(d: Tensor) -> Tensor:
    """Return data with noise."""
    return d + NOISE * d.std() * torch.randn_like(d)


true = section()
start = background(true)
wavelet = torch.from_numpy(ricker(torch.arange(17) * DT, FREQUENCY)[0])

# %%
# The cost with total variation. Time is the first axis of the model, space the last.


def blocky(A: LinearOperator, d: Tensor, m0: Tensor, weights: LinearOperator) -> Tensor:
    """Return the model by split Bregman iterations. The penalties are those of the weighted model."""
    derivatives = [FirstDerivative(A.dims, axis=axis, kind="forward") @ weights for axis in (0, -1)]
    S = Smoothing1D(81, A.dims, axis=0) @ weights
    result = splitbregman(
        A, d, derivatives, x0=m0, epsRL1s=[0.04, 0.03], RegsL2=[S], dataregsL2=[S(m0)], epsRL2s=[0.01],
        niter_outer=60, niter_inner=1, iter_lim=15, on_fail="ignore",
    )  # fmt: skip
    m: Tensor = result.x
    return m


# %%
# Stacked data, for the logarithm of the impedance, :math:`\ln V_P + \ln \rho`.
half = 0.5 * wavelet
A = PoststackLinearModelling(half, NT, NX)
impedance, m0 = true[:, 0] + true[:, 2], start[:, 0] + start[:, 2]
stack = noisy(A(impedance))
impedances = {
    "background": m0,
    "damping": PoststackInversion(stack, half, m0, explicit=True, epsI=0.01)[0],
    "smoothness": PoststackInversion(stack, half, m0, epsR=0.15, iter_lim=150)[0],
    "total variation": blocky(A, stack, m0, Identity(A.dims)),
}
errors = {}
for name, m in impedances.items():
    errors[name] = float((m - impedance).norm() / (m0 - impedance).norm())
    misfit = float((A(m) - stack).std() / (NOISE * stack.std()))
    print(
        f"impedance, {name:15s} error {errors[name]:.2f} of that of the background, misfit {misfit:5.2f} of the noise"
    )
assert errors["total variation"] < 0.65 * errors["smoothness"] < 0.65 * errors["damping"]

# %%
# Angle gathers, for three parameters. The density varies four times less than the velocities, which the weights say:
# 4 in the total variation, and its square in the damping. Without them, errors of the density exceed those of the
# background.
B = PrestackLinearModelling(wavelet, THETA, nt0=NT, spatdims=NX)
gathers = noisy(B(true))
models = {
    "background": start,
    "damping": PrestackInversion(gathers, THETA, wavelet, start, explicit=True, epsI=[0.01, 0.01, 0.16]),
    "total variation": blocky(B, gathers, start, Diagonal(torch.tensor([1.0, 1.0, 4.0]).double(), B.dims, axis=1)),
}
of_parameters = {}
for name, m in models.items():
    ratio = (m - true).square().sum((0, 2)).sqrt() / (start - true).square().sum((0, 2)).sqrt()
    of_parameters[name] = ratio
    print(f"pre-stack, {name:15s} errors of V_P, V_S, density " + " ".join(f"{e:.2f}" for e in ratio))
assert (of_parameters["total variation"] < 0.85 * of_parameters["damping"]).all()

# %%
# The impedance, the data, and the inversions with their errors: the norms in the titles are relative to that of the
# error of the background.
axis = (0.0, float(NX), 1000 * NT * DT, 0.0)
low, high = float(impedance.min()), float(impedance.max())
figure, panels = plt.subplots(2, 4, figsize=(12, 6.2), layout="constrained", sharex=True, sharey=True)
image = panels[0, 0].imshow(impedance, aspect="auto", extent=axis, vmin=low, vmax=high, cmap="viridis")
panels[0, 0].set(title="true ln(impedance)", ylabel="time (ms)")
largest = float(stack.abs().max())
panels[1, 0].imshow(stack, aspect="auto", extent=axis, vmin=-largest, vmax=largest, cmap="gray")
panels[1, 0].set(title="stacked data", xlabel="trace", ylabel="time (ms)")
for column, name in enumerate(("damping", "smoothness", "total variation"), start=1):
    panels[0, column].imshow(impedances[name], aspect="auto", extent=axis, vmin=low, vmax=high, cmap="viridis")
    panels[0, column].set(title=name)
    difference = impedances[name] - impedance
    error = panels[1, column].imshow(difference, aspect="auto", extent=axis, vmin=-0.3, vmax=0.3, cmap="RdBu")
    panels[1, column].set(title=f"error: {errors[name]:.2f}", xlabel="trace")
figure.colorbar(image, ax=panels[0, 3], label="ln(impedance)")
figure.colorbar(error, ax=panels[1, 3], label="estimate - true")

# %%
# The three parameters of one trace.
figure, axes = plt.subplots(1, 4, figsize=(12, 5), layout="constrained", sharey=True)
trace, times = NX // 4, 1000 * DT * torch.arange(NT)
axes[0].imshow(gathers[..., trace], aspect="auto", extent=(0, 40, axis[2], 0), cmap="gray")
axes[0].set(title="angle gather", xlabel="angle (degrees)", ylabel="time (ms)")
for i, (panel, title) in enumerate(zip(axes[1:], ("$V_P$ (m/s)", "$V_S$ (m/s)", "density (kg/m³)"), strict=True)):
    panel.plot(true[:, i, trace].exp(), times, "k", lw=2, label="true")
    for name, colour in (("background", "0.7"), ("damping", "C0"), ("total variation", "C3")):
        panel.plot(models[name][:, i, trace].exp(), times, colour, lw=1, label=name)
    panel.set(title=title.split(" (")[0], xlabel=title)
axes[1].legend()
plt.show()
