r"""
What a borehole would record
============================

What would receivers down a borehole record, if there is no borehole, and all measurements are at the surface?
Marchenko redatuming answers that. It takes the reflection data of the surface and a smooth model of velocities, which
gives direct waves, and finds the whole wavefield at any point below, with all multiples between the layers. The data
are exact ones of five layers, computed plane wave by plane wave, and so are the wavefields in the borehole, to compare
with.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from torchlops.waveeqprocessing import Marchenko

c = np.array([1800.0, 2000.0, 2200.0, 2050.0, 2500.0])  # velocities, m/s
rho = np.array([1300.0, 2800.0, 1300.0, 2900.0, 1500.0])  # densities, kg/m^3
thickness = np.array([280.0, 240.0, 280.0, 240.0, np.inf])  # m
top = np.concatenate([[0.0], np.cumsum(thickness[:-1])])

n, dx = 101, 15.0  # receivers, which are sources as well
x = (np.arange(n) - n // 2) * dx
nt, dt = 248, 0.006
t = np.arange(nt) * dt
depths = np.linspace(60.0, 1160.0, 50)

# %%
# Plane waves in layers
# ---------------------
# For one frequency and horizontal wavenumber, layers multiply. The response of those above a depth is the reflection
# ``R`` from above, ``r`` from below, and the transmission ``T``; that of those beneath is ``below``. Times are damped,
# so that late ones do not wrap around.

nf, nk = 1024, 512
damping = 3.0 / (nf * dt)
f = np.fft.rfftfreq(nf, dt)
f = f[f < 70]
w = 2 * np.pi * f[:, None] - 1j * damping
k = 2 * np.pi * np.fft.fftfreq(nk, dx)
kz = [np.conj(np.sqrt(np.conj((w / v) ** 2 - k**2))) for v in c]  # such that waves decay
kz = [np.where(q.imag > 0, -q, q) for q in kz]
mirror = [
    (rho[i + 1] * kz[i] - rho[i] * kz[i + 1]) / (rho[i + 1] * kz[i] + rho[i] * kz[i + 1]) for i in range(len(c) - 1)
]


def layers_above(depth):
    """Return the responses of what is above a depth, and the direct wave without any losses."""
    R, r, T, direct = 0.0, 0.0, 1.0, 1.0
    for i in range(len(c)):
        step = np.exp(-1j * kz[i] * min(thickness[i], depth - top[i]))
        R, r, T, direct = R, r * step**2, T * step, direct * step
        if depth <= top[i] + thickness[i]:
            return R, r, T, direct
        m = mirror[i]
        many = 1 / (1 - r * m)
        R, r, T = R + T**2 * m * many, -m + (1 - m**2) * r * many, T * np.sqrt(1 - m**2) * many
    raise AssertionError


def layers_below(depth):
    """Return the reflection of what is beneath a depth."""
    R = 0.0
    for i in reversed(range(len(c) - 1)):
        if top[i] + thickness[i] <= depth:
            break
        R = (mirror[i] + R) / (1 + mirror[i] * R)
        R = R * np.exp(-2j * kz[i] * (top[i] + thickness[i] - max(depth, top[i])))
    return R


def taper(values, first, last):
    """Return a half cosine from 1 at ``first`` to 0 at ``last``."""
    return 0.5 + 0.5 * np.cos(np.pi * np.clip((values - first) / (last - first), 0, 1))


def section(spectrum):
    """Return what a point source gives at lateral distances, ``(nk, nt)``: distance ``j dx`` is row ``j``."""
    full = np.zeros((nf // 2 + 1, nk), complex)
    full[: len(f)] = np.fft.ifft(spectrum, axis=1)
    return np.fft.irfft(full, nf, axis=0)[:nt].T * np.exp(damping * t) / (dx * dt)


slowness = abs(k) / np.maximum(2 * np.pi * f[:, None], 1e-9) * c.max()
peak = 15.0
wavelet = (f[:, None] / peak) ** 2 * np.exp(1 - (f[:, None] / peak) ** 2)
source = wavelet * taper(slowness, 0.3, 0.6) * dt  # angles that travel through all layers
everything = taper(f[:, None], 55, 70) * taper(slowness, 0.82, 0.97)

response = section(layers_below(0.0) * everything)
R = torch.from_numpy(response[(np.arange(n)[:, None] - np.arange(n)) % nk])
offsets = (np.arange(n) - n // 2) % nk

# %%
# All points at once
# ------------------
# The direct waves are those of the velocities alone: no reflection, no transmission loss. Travel times are those of
# rays. The 50 points of the borehole are 50 problems with windows of their own, which LSQR solves as one batch.

G0 = torch.from_numpy(np.stack([section(layers_above(depth)[3] * source)[offsets] for depth in depths]))
rays = np.linspace(0, 0.999 / c.max(), 2000)
times = []
for depth in depths:
    path = np.clip(depth - top, 0, thickness)[:, None]
    cosine = np.sqrt(1 - (rays * c[:, None]) ** 2)
    distance, time = (path * rays * c[:, None] / cosine).sum(0), (path / c[:, None] / cosine).sum(0)
    times.append(np.interp(abs(x), distance, time))
travel_times = torch.from_numpy(np.stack(times))

redatuming = Marchenko(R, dt=dt, dr=dx, toff=0.042, nsmooth=6)
_, _, single, up, down = redatuming.apply_onepoint(travel_times, G0, rtm=True, greens=True, iter_lim=10)
print(f"{len(depths)} points, each with {n} receivers: wavefields {tuple(up.shape)}")

# %%
# Is it what a borehole would record?
# -----------------------------------
# The source is at the surface, above the borehole. Downgoing waves end at the receiver from above, upgoing ones from
# below. Redatuming by single scattering takes multiples between the layers above for reflections from below; the more
# layers there are above, the more it does.

true_up, true_down = [], []
for depth in depths:
    _, r, T, _ = layers_above(depth)
    below = layers_below(depth)
    arriving = T / (1 - r * below)
    true_down.append(section(arriving * source)[0])
    true_up.append(section(below * arriving * source)[0])
true_up, true_down = np.stack(true_up), np.stack(true_down)
middle = slice(nt - 1, None)
found_up, found_down, found_single = (g[:, n // 2, middle].numpy() for g in (up, down, single))
found_single = found_single * (t > travel_times[:, n // 2, None].numpy() - 0.04)  # nothing comes before the direct wave


def misfit(a, b):
    """Return the share of the energy of traces ``b`` that no multiple of ``a`` explains."""
    return 1 - (a * b).sum(1) ** 2 / ((a**2).sum(1) * (b**2).sum(1))


clear = abs(depths[:, None] - top[1:]).min(1) > 60  # from the interfaces, where direct and reflected waves overlap
print("energy not explained    downgoing    upgoing    upgoing, single scattering")
errors = []
for i in range(len(c) - 1):
    here = clear & (depths > top[i]) & (depths < top[i] + thickness[i])
    pairs = ((found_down, true_down), (found_up, true_up), (found_single, true_up))
    errors.append([np.median(misfit(a[here], b[here])) for a, b in pairs])
    print("    layer {}         {:10.2%} {:10.2%} {:20.2%}".format(i + 1, *errors[-1]))
assert max(error[0] for error in errors) < 0.03
assert errors[-1][1] < 0.1 < 0.25 < errors[-1][2]

figure, axes = plt.subplots(1, 4, figsize=(12, 5), sharey=True, layout="constrained")
pictures = {
    "True wavefield": true_up + true_down,
    "From the surface": found_up + found_down,
    "True upgoing waves": true_up,
    "Single scattering": found_single,
}
for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
    limit = 0.25 * abs(true_down[25]).max()
    axis.imshow(
        picture.T, aspect="auto", cmap="gray", vmin=-limit, vmax=limit, extent=(depths[0], depths[-1], t[-1], 0)
    )
    for depth in top[1:]:
        line = axis.axvline(depth, color="tab:orange", lw=0.8, ls=":")
    axis.set(title=title, xlabel="depth (m)", ylim=(1.2, 0))
axes[0].set_ylabel("time (s)")
axes[0].legend([line], ["interfaces"], loc="lower left")
plt.show()
