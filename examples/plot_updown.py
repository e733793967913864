r"""
Up- and down-going waves at the sea floor
=========================================

Which waves at the sea floor come from below, and how fast do waves travel there? Cables on the sea floor record the
pressure :math:`p` and the vertical velocity :math:`v_z`. Both are modelled here: the direct wave and a multiple come
from above, the waves of three scatterers from below; with noise.

``WavefieldDecomposition`` separates them by :math:`p^\pm = \tfrac12 (p \pm W(c) \, v_z)`, where :math:`W(c)` scales
each plane wave by its angle and by the impedance at the sea floor. With a wrong velocity :math:`c`, some of the
direct wave is taken for a wave from below. But nothing comes from below as early as that: the velocity, a tensor with
a gradient, is the one with the least energy there.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from tqdm import tqdm

from torchlops import ricker
from torchlops.waveeqprocessing import WavefieldDecomposition

NT, NR, DT, DR = 256, 96, 0.004, 6.25
"""Samples, receivers, and their distances in s and m."""
DENSITY, VELOCITY = 1000.0, 1600.0
"""Density in kg/m^3, and velocity in m/s, which is to be found."""

x = (np.arange(NR) - NR // 2) * DR
freq = np.fft.rfftfreq(2 * NT, DT)
wavelet, _, center = ricker(np.arange(31) * DT, f0=25)
spectrum = np.fft.rfft(np.roll(np.pad(wavelet, (0, 2 * NT - len(wavelet))), -center))


def waves(points: list[tuple[float, float, float]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pressure and velocity, far from points ``(x, z, amplitude)`` above (z < 0) or below, ``(NR, NT)``."""
    position, depth, amplitude = np.array(points).T
    distance = np.hypot(x[:, None] - position, depth)
    parts = amplitude * np.exp(-2j * np.pi * freq[:, None, None] * distance / VELOCITY) / np.sqrt(distance / 400)
    fields = spectrum[:, None] * parts.sum(-1), spectrum[:, None] * (parts * -depth / distance).sum(-1)
    p, vz = (torch.from_numpy(np.fft.irfft(field, axis=0)[:NT].T.copy()) for field in fields)
    return p, vz / (DENSITY * VELOCITY)


(p_down, v_down), (p_up, v_up) = (
    waves([(0.0, -400.0, 1.0), (0.0, -1100.0, -0.6)]),
    waves([(-120.0, 650.0, 0.7), (150.0, 800.0, -0.7), (0.0, 1250.0, 0.8)]),
)
generator = torch.Generator().manual_seed(0)
p, vz = p_down + p_up, v_down + v_up
p, vz = (u + 0.02 * u.std() * torch.randn(u.shape, dtype=u.dtype, generator=generator) for u in (p, vz))

# %%
# The window holds the direct wave alone, and none of the waves from below.


def separated(velocity: torch.Tensor | float) -> tuple[torch.Tensor, torch.Tensor]:
    options = {"nffts": (256, 512), "critical": 85.0, "ntaper": 5, "kind": "analytical"}
    return WavefieldDecomposition(p, vz, NT, NR, DT, DR, DENSITY, velocity, **options)


early = torch.arange(NT) * DT < 0.37
velocity = torch.tensor(1900.0, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.Adam([velocity], lr=20.0)
velocities = []
for _ in tqdm(range(100), desc="learning the velocity", disable=None):
    velocities.append(velocity.item())
    optimizer.zero_grad()
    energy = (separated(velocity)[0] * early).square().mean()
    energy.backward()
    optimizer.step()
print(f"velocity at the sea floor: {velocities[0]:.0f} -> {velocities[-1]:.0f} m/s, true {VELOCITY:.0f} m/s")
assert abs(velocities[-1] - VELOCITY) < 0.02 * VELOCITY

# %%
# With it, the waves from below stand alone.

with torch.no_grad():
    first, (up, down) = separated(velocities[0])[0], separated(velocities[-1])


def error(field: torch.Tensor) -> float:
    return float((field - p_up).norm() / p_up.norm())


print(f"error of the waves from below: {error(first):.2f} at 1900 m/s, {error(up):.2f} in the end")
assert error(up) < 0.6 * error(first)
assert float((down - p_down).norm() / p_down.norm()) < 0.15

figure, axes = plt.subplots(1, 4, figsize=(11, 4.4), sharey=True, layout="constrained")
titles = ("pressure", "from below, at 1900 m/s", f"from below, at {velocities[-1]:.0f} m/s", "from above")
for axis, title, field in zip(axes, titles, (p, first, up, down), strict=True):
    axis.imshow(field.T, cmap="gray", vmin=-0.5, vmax=0.5, extent=(x[0], x[-1], NT * DT, 0), aspect="auto")
    axis.set(title=title, xlabel="receiver (m)")
axes[0].set_ylabel("time (s)")

figure, axis = plt.subplots(figsize=(7, 2.8), layout="constrained")
axis.plot(velocities)
axis.axhline(VELOCITY, color="k", lw=0.8, ls="--", label="true")
axis.set(title="Velocity at the sea floor", xlabel="step", ylabel="velocity (m/s)")
axis.legend()
