r"""
Waves that travel up and down a borehole
========================================

Which part of a vertical seismic profile are reflections, and how fast do they travel? Receivers in a borehole record
the wave on its way down and, later and weaker, reflections on their way up. The profile is synthetic, with noise.

Both have the same velocity in opposite directions: slopes of opposite signs. ``ChirpRadon2D``, :math:`R`, maps the
profile to slopes by FFTs and chirps, at the cost of a few FFTs for all slopes together. The adjoint spreads slopes
over the profile, so that ``cgls`` can look for the slopes of which the data are made,

.. math:: \min_c \|R^H c - d\|^2 + \epsilon^2 \|c\|^2,

and those of one sign give one of the two wavefields. The largest slope ``pmax`` is a tensor with a gradient: the
velocity is found by gradient ascent on the energy of what is stacked along it.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from tqdm import tqdm

from torchlops import Diagonal, Pad, cgls, linear2d, plot, ricker
from torchlops.signalprocessing import ChirpRadon2D

NZ, NT, DZ, DT, VELOCITY = 80, 200, 10.0, 0.004, 2400.0
"""Receivers and their distance in m, samples and their distance in s, velocity in m/s."""

generator = np.random.default_rng(0)
t, z = np.arange(NT) * DT, np.arange(NZ) * DZ
wavelet = np.asarray(ricker(t[:11], f0=25)[0])
fields = {
    "down": linear2d(z, t, VELOCITY, (0.06, 0.14), (90.0, 90.0), (1.0, -0.5), wavelet)[1],
    "up": linear2d(z, t, VELOCITY, (0.46, 0.55, 0.66), (-90.0,) * 3, (0.25, -0.2, 0.3), wavelet)[1],
}
true = {name: torch.from_numpy(field) for name, field in fields.items()}
data = true["down"] + true["up"]
data = data + 0.1 * data.std() * torch.from_numpy(generator.standard_normal(data.shape))

# %%
# The transform is periodic in time: zeros keep its ends apart. The first of its slopes is that of ``-pmax``.

frame = Pad((NZ, NT), ((0, 0), (0, NT)))


def radon(pmax: torch.Tensor | float) -> ChirpRadon2D:
    return ChirpRadon2D(np.arange(2 * NT) * DT, z, pmax)


pmax = torch.tensor(DZ / (2200.0 * DT), dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.Adam([pmax], lr=5e-3, maximize=True)
velocities = []
for _ in tqdm(range(80), desc="learning the velocity", disable=None):
    velocities.append(DZ / (pmax.item() * DT))
    optimizer.zero_grad()
    energy = radon(pmax)(frame(data))[0].square().mean()
    energy.backward()
    optimizer.step()
print(f"velocity of the reflections: {velocities[0]:.0f} -> {velocities[-1]:.0f} m/s, true {VELOCITY:.0f}")
assert abs(velocities[-1] - VELOCITY) < 0.01 * VELOCITY

# %%
# With slopes up to twice that, the profile is separated.

R = radon(2 * pmax.item())
c = cgls(frame.H @ R.H, data, niter=50, damp=2.0, tol=0, gtol=1e-3).x
slope = torch.arange(NZ) - NZ // 2
masks = {"down": (slope > 0).double(), "up": (slope < 0).double()}
found = {name: frame.H(R.H(Diagonal(mask, dims=(NZ, 2 * NT), axis=0)(c))) for name, mask in masks.items()}
errors = {name: float((found[name] - true[name]).norm() / true[name].norm()) for name in true}
before = float((data - true["up"]).norm() / true["up"].norm())
print(f"reflections: {before:.1f} times their norm off in the data, {errors['up']:.2f} after separation;", end=" ")
print(f"wave on its way down {errors['down']:.2f}")
assert errors["up"] < 0.25 < before
assert errors["down"] < 0.12

# %%
# The reflections appear once the wave on its way down has gone.

figure, panels = plt.subplot_mosaic("abc;dee", figsize=(11, 8), layout="constrained")
axes = list(panels.values())
where = {"x": z, "y": t, "xlabel": "depth / m", "ylabel": "time / s", "colorbar": False, "symmetric": True}
plot.image(data.T, axes[0], title="profile", **where)
panel = R(frame(data))[:, :NT]
plot.image(panel.T, axes[1], x=slope * 2 * pmax.item() * DT / (NZ // 2) / DZ * 1e3, y=t, symmetric=True, colorbar=False,
           title="stacked along slopes", xlabel="slope / (ms/m)", ylabel="time / s")  # fmt: skip
plot.image(found["down"].T, axes[2], title=f"down: error {errors['down']:.2f}", **where)
limit = 1.2 * float(true["up"].abs().max())
plot.image(found["up"].T, axes[3], title=f"up: error {errors['up']:.2f}", vmin=-limit, vmax=limit, **where)
axes[4].plot(velocities)
axes[4].axhline(VELOCITY, color="k", linestyle="--", label="true")
axes[4].set(title="learning the velocity", xlabel="step of Adam", ylabel="velocity / (m/s)")
axes[4].legend()
