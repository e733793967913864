r"""
Interval velocities from stacking velocities
============================================

How fast are the layers between two reflectors, if only root-mean-square velocities down to each of them are known? A
synthetic well-log of fifteen layers on a compaction trend gives the velocities, with noise of 1 %, as picked from a
velocity analysis.

The squared rms velocity, times time, is the integral of the squared interval velocity (Dix, Geophysics 20, 68, 1955):

.. math:: t \, v_\mathrm{rms}^2(t) = \int_0^t v^2(s) \, ds.

Dix's formula differentiates it, which amplifies the noise. Here, :math:`v^2` is a straight line in time, a
``LinearRegression`` with two unknowns, and a deviation with one unknown per sample, next to each other in an
``HStack``. A ``CausalIntegration`` makes data of them. The deviation is damped by its first derivative.
"""

import matplotlib.pyplot as plt
import torch

from torchlops import (
    CausalIntegration,
    Diagonal,
    FirstDerivative,
    HStack,
    Identity,
    LinearRegression,
    VStack,
    Zero,
    lsmr,
    lsqr,
    plot,
)  # fmt: skip

NT, DT, NOISE, WEIGHT = 200, 0.01, 0.01, 0.1
"""Samples, sampling of two-way time in s, relative noise of the velocities, weight of the derivative."""

# %%
# The layers, and what is picked. Times are at the end of the samples.

torch.manual_seed(0)
t = (torch.arange(NT, dtype=torch.float64) + 1) * DT
tops = torch.cat([torch.zeros(1), torch.rand(14).sort().values * NT * DT]).double()
layer = torch.searchsorted(tops, t, right=True) - 1
velocity = 1.8 + 0.9 * t + 0.35 * torch.randn(15, dtype=torch.float64)[layer]

S = CausalIntegration(NT, sampling=DT, kind="full")
rms = (S(velocity.square()) / t).sqrt()
picked = rms * (1 + NOISE * torch.randn(NT, dtype=torch.float64))

# %%
# The operator is a product of small ones. Its matrix is a triangle, with the two columns of the straight line; its
# singular values show how much integration smooths.

parts = HStack([LinearRegression(t), Identity(NT)])  # v^2 from (intercept, slope, deviations)
A = Diagonal(1 / t) @ S @ parts
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
plot.sparsity(A, axes[0], title=f"the operator, {A.shape[0]} x {A.shape[1]}", vmin=-0.05, vmax=0.05)
plot.spectrum(A, axes[1], label="velocities from lines and deviations")
plot.spectrum(S, axes[1], label="integration", title="singular values")

# %%
# Two solvers minimise the same function: the misfit, a multiple of the squared first derivative of the deviations, and
# a little damping, which decides between lines and deviations that are lines. LSQR decreases the residual in each
# iteration, and LSMR the gradient, too.

D = FirstDerivative(NT, kind="forward")
K = VStack([A, WEIGHT * HStack([Zero(NT, 2), D])])
data = torch.cat([picked.square(), torch.zeros(NT, dtype=torch.float64)])
solved = {solver.__name__: solver(K, data, damp=1e-3, niter=1000, atol=1e-10, btol=1e-10) for solver in (lsqr, lsmr)}
difference = float((solved["lsqr"].x - solved["lsmr"].x).norm() / solved["lsqr"].x.norm())
for name, result in solved.items():
    print(f"{name}: {int(result.iters)} iterations")
print(f"relative difference of the solutions {difference:.0e}")
assert difference < 1e-4

# %%
# Dix's formula takes differences of picks. Over single samples, its noise is larger than the velocities; here they are
# 0.1 s apart.

ends = torch.arange(9, NT, 10)
integral = torch.cat([torch.zeros(1, dtype=torch.float64), (t * picked.square())[ends]])
dix = (integral.diff() / (10 * DT)).clamp_min(0).sqrt().repeat_interleave(10)
found = {"Dix's formula": dix, "regularised": parts(solved["lsmr"].x).sqrt()}
intercept, slope = solved["lsmr"].x[:2]
errors = {name: float((v - velocity).square().mean().sqrt()) for name, v in found.items()}
print(", ".join(f"{name}: error {1000 * error:.0f} m/s" for name, error in errors.items()))
print(f"trend: v^2 = {intercept:.2f} + {slope:.2f} t")
assert errors["regularised"] < 0.5 * errors["Dix's formula"]

# sphinx_gallery_thumbnail_number = 2
figure, axes = plt.subplots(1, 2, figsize=(9, 6), sharey=True, layout="constrained")
axes[0].plot(picked, t, ".", color="0.6", label="picked")
axes[0].plot(rms, t, "k", label="true")
axes[0].set(title="root-mean-square velocity", xlabel="velocity / (km/s)", ylabel="two-way time / s")
for (name, v), style in zip(found.items(), ("C1-", "C0-"), strict=True):
    axes[1].plot(v, t, style, linewidth=1, label=f"{name}: {1000 * errors[name]:.0f} m/s off")
axes[1].plot(velocity, t, "k", label="true")
axes[1].set(title="interval velocity", xlabel="velocity / (km/s)", xlim=(1.4, 5.5), ylim=(NT * DT, 0))
axes[0].legend(loc="lower left")
axes[1].legend(loc="upper right")
