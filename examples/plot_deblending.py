r"""
Shots that overlap, separated
=============================

Can a marine survey fire its next shot before the echoes of the last one have come back? Forty-eight shots are fired
every 0.8 s, each a little early or late, into records of 1.6 s, so that each moment of the continuous record holds two
shots or three. The survey is modelled: four receivers on the sea floor record the direct wave, reflections of three
horizons and one point, with a Ricker wavelet.

``BlendingContinuous``, :math:`B`, makes the record from the shots. Its adjoint cuts the shots out of the record again,
each with parts of its neighbours. In the gather of one receiver, the echoes of a shot are smooth from shot to shot.
Those of its neighbours are not, since the firing times were dithered: in the Fourier domain of small patches,
:math:`S`, the former are few large coefficients, the latter many small ones. ``fista`` finds a sparse solution of

.. math:: \min_c \|B S c - d\|^2 + \epsilon \|c\|_1

for all receivers at once, which are a batch.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from torchlops import fista, ricker
from torchlops.signalprocessing import FFT2D, Patch2D, patch2d_design
from torchlops.utils.metrics import snr
from torchlops.waveeqprocessing import BlendingContinuous

NS, NT, DT, INTERVAL = 48, 200, 0.008, 0.8
"""Shots, samples of a record, their distance in s, and the time between two shots in s."""

generator = np.random.default_rng(0)
sources, receivers = np.arange(NS) * 25.0, np.array([150.0, 450.0, 750.0, 1050.0])
frequencies = np.fft.rfftfreq(2 * NT, DT)
wavelet, _, center = ricker(np.arange(41) * DT, f0=15)
spectrum = np.fft.rfft(np.roll(np.pad(wavelet, (0, 2 * NT - len(wavelet))), -center))

offset = np.abs(sources - receivers[:, None])
middle = (sources + receivers[:, None]) / 2
echoes = [(0.08 + offset / 1500, 0.6)]
horizons = ((0.35, 1600, 1.0, 1e-4), (0.6, 1900, -0.7, -1.5e-4), (0.9, 2200, 0.8, 0.0))
for zero_offset_time, velocity, amplitude, dip in horizons:
    echoes.append((np.hypot(zero_offset_time + dip * (middle - 600), offset / velocity), amplitude))
echoes.append(((np.hypot(sources - 500, 400) + np.hypot(receivers[:, None] - 500, 400)) / 1700, 0.6))
waves = sum(a * np.exp(-2j * np.pi * frequencies * time[..., None]) for time, a in echoes)
shots = torch.from_numpy(np.fft.irfft(spectrum * waves)[..., :NT])  # (receivers, shots, time)

# %%
# The shots overlap in the record, and in what the adjoint cuts out of it.

times = np.arange(NS) * INTERVAL + generator.uniform(0, 0.4, NS)
B = BlendingContinuous(NT, 1, NS, DT, times - times[0])
record = B(shots.unsqueeze(-2))
pseudo = B.H(record).squeeze(-2)
print(f"{NS} shots of {NT * DT:.1f} s in {B.nttot * DT:.0f} s; SNR of what is cut out: {snr(shots, pseudo):.1f} dB")

# %%
# Patches of 16 shots and 50 samples overlap by half of that. The Fourier transform of a patch is real in time.

window, overlap, nffts = (16, 50), (8, 25), (32, 64)
counts, dims = patch2d_design((NS, NT), window, overlap, (32, 33))[:2]
S = Patch2D(FFT2D(window, nffts=nffts, real=True).H, dims, (NS, NT), window, overlap, (32, 33), tapertype="hanning")
decay = (np.exp(-0.1 * np.arange(60)) + 0.02) / 1.02
solution = fista(B @ S, record, niter=60, eps=1.0, decay=decay)
deblended = S(solution.x)
quality = [float(snr(shots[i], deblended[i])) for i in range(len(receivers))]
print("SNR of the deblended shots:", ", ".join(f"{value:.1f}" for value in quality), "dB at the four receivers")
assert min(quality) > 10

figure, axes = plt.subplots(1, 4, figsize=(11, 4.4), sharey=True, layout="constrained")
extent = (sources[0], sources[-1], NT * DT, 0)
fields = {
    "shots": shots[1],
    f"cut out, {snr(shots[1], pseudo[1]):.1f} dB": pseudo[1],
    f"deblended, {quality[1]:.1f} dB": deblended[1],
    "error": deblended[1] - shots[1],
}
for axis, (title, field) in zip(axes, fields.items(), strict=True):
    axis.imshow(field.T, cmap="gray", vmin=-0.7, vmax=0.7, extent=extent, aspect="auto")
    axis.set(title=title, xlabel="source (m)")
axes[0].set_ylabel("time (s)")
figure.suptitle(f"Receiver at {receivers[1]:.0f} m")

figure, axis = plt.subplots(figsize=(11, 2.4), layout="constrained")
axis.plot(np.arange(B.nttot) * DT, record[1, 0], lw=0.8)
axis.vlines(times - times[0], -2, -1.7, "C3", label="firing times")
axis.set(title="The beginning of the record", xlabel="time (s)", ylabel="pressure", xlim=(0, 8))
axis.legend(loc="upper right")
