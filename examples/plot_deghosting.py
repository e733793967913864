r"""
The depth of a marine cable, learned from ghosts
================================================

How deep is a cable of hydrophones, if its record is all that is known? The sea surface reflects each wave that comes
from below: the pressure :math:`p` has its *ghost*, of the opposite sign, as late as the wave travels to the surface
and back. The record is modelled: four points scatter a Ricker wavelet, and the ghost is what the mirror image of the
cable above the surface would record; with noise.

``Deghosting`` finds the up-going wavefield :math:`p^-` by least squares,

.. math:: \min_{p^-} \|(I - \Phi(z)) \, p^- - p\|^2 + \epsilon^2 \|p^-\|^2,

where :math:`\Phi(z)`, a ``PhaseShift``, propagates from the cable at the depth :math:`z` to the surface and back. With
a wrong depth, what is found has echoes of the errors: its mean modulus is larger. The depth is a tensor with a
gradient, which comes through the solution, by one more solve.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from tqdm import tqdm

from torchlops import ricker
from torchlops.waveeqprocessing import Deghosting

NT, NR, DT, DR = 144, 48, 0.004, 6.25
"""Samples, receivers, and their distances in s and m."""
VELOCITY, DEPTH = 1500.0, 14.0
"""Velocity of the water in m/s, and the depth of the cable in m, which is to be found."""

x = (np.arange(NR) - NR // 2) * DR
freq = np.fft.rfftfreq(2 * NT, DT)
wavelet, _, center = ricker(np.arange(31) * DT, f0=28)
spectrum = np.fft.rfft(np.roll(np.pad(wavelet, (0, 2 * NT - len(wavelet))), -center))
points = np.array([(-150.0, 180.0, 1.0), (60.0, 260.0, -0.8), (90.0, 420.0, 1.2), (-80.0, 560.0, -1.0)])


def arrivals(depth: float) -> torch.Tensor:
    """Return what receivers at a depth record of the scattered waves, ``(NT, NR)``."""
    distance = np.hypot(x[:, None] - points[:, 0], points[:, 1] - depth)
    waves = np.exp(-2j * np.pi * freq[:, None, None] * distance / VELOCITY) * points[:, 2] / np.sqrt(distance / 300)
    return torch.from_numpy(np.fft.irfft(spectrum[:, None] * waves.sum(-1), axis=0)[:NT])


up = arrivals(DEPTH)
pressure = up - arrivals(-DEPTH)
noise = torch.randn(pressure.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
pressure = pressure + 0.02 * pressure.std() * noise

# %%
# From a depth that is 3 m off, gradient descent finds the right one.


def deghosted(depth: torch.Tensor | float) -> torch.Tensor:
    options = {"npad": 12, "ntaper": 7, "damp": 0.2, "atol": 1e-4, "btol": 1e-4, "iter_lim": 60}
    return Deghosting(pressure, NT, NR, DT, DR, VELOCITY, depth, **options)[0]


depth = torch.tensor(11.0, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.Adam([depth], lr=0.25)
depths, moduli = [], []
for _ in tqdm(range(40), desc="learning the depth", disable=None):
    optimizer.zero_grad()
    modulus = deghosted(depth).abs().mean()
    modulus.backward()
    depths.append(depth.item())
    moduli.append(modulus.item())
    optimizer.step()
found = depths[int(np.argmin(moduli))]
print(f"depth of the cable: {depths[0]:.2f} -> {found:.2f} m, true {DEPTH:.2f} m")
assert abs(found - DEPTH) < 0.1

# %%
# At that depth, the ghosts are gone. The trace in the middle shows what they do to the wavelet.

with torch.no_grad():
    first, last = deghosted(depths[0]), deghosted(found)


def error(field: torch.Tensor) -> float:
    return float((field - up).norm() / up.norm())


print(
    f"error of the record as it is: {error(pressure):.2f}, at 11 m: {error(first):.2f}, in the end: {error(last):.2f}"
)
assert error(last) < 0.6 * error(first)
assert error(last) < 0.4 * error(pressure)

figure, axes = plt.subplots(1, 4, figsize=(11, 4.2), sharey=True, layout="constrained")
extent = (x[0], x[-1], NT * DT, 0)
titles = ("record", "deghosted at 11 m", f"deghosted at {found:.1f} m", "true up-going wave")
for axis, title, field in zip(axes, titles, (pressure, first, last, up), strict=True):
    axis.imshow(field, cmap="gray", vmin=-0.5, vmax=0.5, extent=extent, aspect="auto")
    axis.set(title=title, xlabel="receiver (m)")
axes[0].set_ylabel("time (s)")

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3), layout="constrained")
left.plot(depths, ".-")
left.axhline(DEPTH, color="k", lw=0.8, ls="--", label="true")
left.set(title="Depth of the cable", xlabel="step", ylabel="depth (m)")
left.legend()
time = np.arange(NT) * DT
right.plot(time, pressure[:, NR // 2], "C7", lw=1, label="record")
right.plot(time, last[:, NR // 2], label="deghosted")
right.plot(time, up[:, NR // 2], "k:", label="true")
right.set(title="Trace in the middle", xlabel="time (s)", xlim=(0.1, 0.5))
right.legend()
