r"""
Echoes of the sea surface
=========================

What would the sea bottom reflect, if there were no water above it? Cables on the sea bottom record a wavefield that
travels down, the one of the airgun with all of its echoes between the surface and the bottom, and another that travels
up, which is the reflection of all of that. Correlating the two finds the reflections, but their echoes with them.
Deconvolution looks for the response of which the upgoing wavefield is made,

.. math:: u(x_s, x_v, t) = \int d(x_s, x_r, t) * R(x_r, x_v, t) \, dx_r,

with :func:`~torchlops.waveeqprocessing.MDD`: from all shots at :math:`x_s` and all receivers at :math:`x_r`, with a
virtual source at a receiver :math:`x_v`. The sea, the three layers below it and their wavefields are computed plane
wave by plane wave, so that the true response is known.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from torchlops.waveeqprocessing import MDC, MDD

water, velocity = 1500.0, np.array([1700.0, 2000.0, 2300.0])  # m/s
density = np.array([1000.0, 1800.0, 2100.0, 2300.0])  # kg/m^3, of the water first
sea, thickness = 90.0, np.array([150.0, 210.0])  # m
n, dx = 61, 12.5  # shots, and receivers on the bottom
x = (np.arange(n) - n // 2) * dx
nt, dt = 160, 0.006
t = np.arange(nt) * dt

# %%
# The two wavefields
# ------------------
# For one frequency and horizontal wavenumber, everything is a number: the reflection ``R`` of all that is below the
# water, the wave ``direct`` that travels down the first time, and its echoes, a geometric series. Times are damped, so
# that late ones do not wrap around.


def ricker(f):
    """Return the spectrum of a zero-phase wavelet."""
    return (f / 18) ** 2 * np.exp(1 - (f / 18) ** 2)


nf, nk = 1024, 512
damping = 3.0 / (nf * dt)
f = np.fft.rfftfreq(nf, dt)
f = f[f < 60]
w = 2 * np.pi * f[:, None] - 1j * damping
k = 2 * np.pi * np.fft.fftfreq(nk, dx)
speeds = np.concatenate([[water], velocity])
kz = [np.sqrt((w / v) ** 2 - k**2) for v in speeds]
kz = [np.where(q.imag > 0, -q, q) for q in kz]  # such that waves decay
R = 0.0
for i in reversed(range(3)):
    up, down = density[i] * kz[i + 1], density[i + 1] * kz[i]
    R = R * np.exp(-2j * kz[i + 1] * thickness[i]) if i < 2 else R
    mirror = (down - up) / (down + up)
    R = (mirror + R) / (1 + mirror * R)
slowness = abs(k) / np.maximum(2 * np.pi * f[:, None], 1e-9) * speeds.max()
angles = 0.5 + 0.5 * np.cos(np.pi * np.clip((slowness - 0.6) / 0.3, 0, 1))
direct = np.exp(-1j * kz[0] * sea) * angles * ricker(f[:, None])
downgoing = direct / (1 + R * np.exp(-2j * kz[0] * sea))  # the surface reflects with -1


def section(spectrum):
    """Return what a point source gives at lateral distances, ``(nk, nt)``: distance ``j dx`` is row ``j``."""
    full = np.zeros((nf // 2 + 1, nk), complex)
    full[: len(f)] = np.fft.ifft(spectrum, axis=1)
    return np.fft.irfft(full, nf, axis=0)[:nt].T * np.exp(damping * t) / (dx * dt)


distance = (np.arange(n)[:, None] - np.arange(n)) % nk
d, u = (torch.from_numpy(section(field)[distance]) for field in (downgoing, R * downgoing))
noise = torch.randn(u.shape, dtype=u.dtype, generator=torch.Generator().manual_seed(0))
u = u + 0.02 * u.std() * noise

# %%
# Deconvolution, and correlation
# ------------------------------
# Five virtual sources are five problems in one batch, ``(5, shots, 1, nt)``. Each stops by itself. The adjoint is the
# correlation of the wavefields, and the point-spread function is what the deconvolution makes of a spike.

sources = torch.arange(10, 51, 10)
data = u[:, sources].movedim(1, 0).unsqueeze(2)
spectrum = torch.fft.rfft(torch.nn.functional.pad(d, (nt - 1, 0))).movedim(-1, 0)
A = MDC(spectrum, 2 * nt - 1, 1, dt, dx)  # the operator that is inverted
largest = dt * dx * (2 * nt - 1) ** 0.5 * float(torch.linalg.matrix_norm(spectrum, 2).max())
wavelet = np.fft.fftshift(np.fft.irfft(ricker(np.fft.rfftfreq(101, dt)), 101))
found, correlated, spike, spread = (
    part * (2 * nt - 1) ** 0.5
    for part in MDD(
        d, data, dt, dx, wav=torch.from_numpy(wavelet), adjoint=True, psf=True, damp=0.03 * largest, iter_lim=30
    )
)
print(f"{len(sources)} virtual sources, each with {n} receivers: {A.shape[0]} equations for {A.shape[1]} unknowns")

# %%
# Is it what the bottom reflects?
# -------------------------------
# The true response has no waves in the water. The correlation has the echoes, at intervals of the two-way time in the
# water, because the downgoing wavefield is no spike when correlated with itself: that is the point-spread function.

true = section(R * angles * ricker(f[:, None]))
true = np.stack([true[(np.arange(n) - int(s)) % nk] for s in sources])
causal = slice(nt - 1, None)
found, correlated = (part[:, :, 0, causal].numpy() for part in (found, correlated))


def likeness(a, b):
    """Return the correlation of two arrays."""
    return (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())


scores = [[likeness(a, b) for a, b in zip(part, true, strict=True)] for part in (found, correlated)]
print("likeness to the true response, by virtual source")
for name, score in zip(("deconvolution", "correlation"), scores, strict=True):
    print(f"    {name:14}" + "".join(f"{value:7.3f}" for value in score))
energy = [float((part[n // 2, n // 2] ** 2).amax() / (part[n // 2, n // 2] ** 2).sum()) for part in (spike, spread)]
print(f"share of the largest sample in a point-spread function: {energy[0]:.2f}, by correlation {energy[1]:.2f}")
assert min(scores[0]) > 0.94 > 0.9 > max(scores[1])
assert energy[0] > 1.3 * energy[1]

middle = len(sources) // 2
pictures = {
    "Upgoing waves": u[:, sources[middle]].numpy(),
    "Correlation": correlated[middle],
    "Deconvolution": found[middle],
    "True response": true[middle],
}
figure, axes = plt.subplots(1, 4, figsize=(12, 5), sharey=True, layout="constrained")
for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
    limit = 0.4 * abs(picture).max()
    axis.imshow(picture.T, aspect="auto", cmap="gray", vmin=-limit, vmax=limit, extent=(x[0], x[-1], t[-1], 0))
    axis.set(title=title, xlabel="position (m)")
axes[0].set_ylabel("time (s)")
plt.show()
