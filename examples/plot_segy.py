r"""
Migration of a SEG-Y file with other receivers in each shot
===========================================================

How does a SEG-Y file, in which each shot has receivers of its own, become an image? The file is written here: a line of
24 shots over a dome and a flat reflector, each recorded by the stations within 700 m, some of which are dead.

A file is a list of traces. Their headers say where the source and the receiver of each were. From these follow the
stations, and for each shot the indices of its stations, padded with -1 to the longest shot: the argument ``receivers``
of ``Kirchhoff``. Its data have a row for each of them; rows without a station are zero, cost nothing and are not looked
at, so that shots of any number of traces are one operator. Stations that shots share have one table of travel times.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import segyio
from segyio import TraceField

from torchlops.utils.wavelets import ricker
from torchlops.waveeqprocessing import LSM, Kirchhoff

SPEED, DT, NT = 1800.0, 0.004, 260
FIELDS = {
    "source": (TraceField.SourceX, TraceField.SourceSurfaceElevation),
    "receiver": (TraceField.GroupX, TraceField.ReceiverGroupElevation),
}


# %%
# A file of a survey, whose coordinates are in cm, as the scalar -100 in the headers says. Elevations point upwards.


def write(path: Path) -> None:
    """Write the shots over a dome and a flat reflector, modelled trace by trace on a fine grid, with noise."""
    numbers = np.random.default_rng(0)
    x, z = np.arange(0, 1500, 5.0), np.arange(0, 620, 4.0)
    model = np.zeros((len(x), len(z)))
    dome = 380 - 120 * np.exp(-(((x - 700) / 260) ** 2))
    model[np.arange(len(x)), np.rint(dome / 4).astype(int)] = 1.0
    model[:, 125] = -0.7
    wavelet, _, center = ricker(np.arange(21) * DT, 25)
    stations = np.arange(20, 1490, 30.0) + numbers.uniform(-6, 6, 49)
    depths = 4 + 3 * np.sin(stations / 200)
    shots = np.linspace(60, 1430, 24)
    traces, headers = [], []
    for number, shot in enumerate(shots, start=1):
        near = np.nonzero((np.abs(stations - shot) < 700) & (numbers.random(49) > 0.1))[0]
        source, recs = np.array([[shot], [6.0]]), np.stack((stations, depths))[:, near]
        K = Kirchhoff(z, x, np.arange(NT) * DT, source, recs, SPEED, wavelet, center, mode="analytic")
        traces.append(K(model)[0])
        for index, station in enumerate(near):
            headers.append(
                {
                    TraceField.FieldRecord: number,
                    TraceField.TraceNumber: index + 1,
                    TraceField.SourceX: round(100 * shot),
                    TraceField.GroupX: round(100 * stations[station]),
                    TraceField.SourceSurfaceElevation: -600,
                    TraceField.ReceiverGroupElevation: round(-100 * depths[station]),
                    TraceField.SourceGroupScalar: -100,
                    TraceField.ElevationScalar: -100,
                }
            )
    samples = np.concatenate(traces).astype(np.float32)
    samples += 0.2 * samples.std() * numbers.standard_normal(samples.shape).astype(np.float32)
    spec = segyio.spec()
    spec.format, spec.samples, spec.tracecount = 5, np.arange(NT) * DT * 1000, len(samples)
    with segyio.create(str(path), spec) as file:
        file.bin[segyio.BinField.Interval] = round(DT * 1e6)
        for index, (trace, header) in enumerate(zip(samples, headers, strict=True)):
            file.trace[index] = trace
            file.header[index] = header


# %%
# The traces, the time axis, and the position of the source and the receiver of each trace, in m with depth downwards.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "line.sgy"
    write(path)
    size = path.stat().st_size
    with segyio.open(str(path), ignore_geometry=True) as file:
        traces, t = file.trace.raw[:], file.samples / 1000
        record = file.attributes(TraceField.FieldRecord)[:]
        scalars = [file.attributes(field)[:] for field in (TraceField.SourceGroupScalar, TraceField.ElevationScalar)]
        # a positive scalar multiplies, a negative one divides, and 0 stands for 1
        factors = [np.where(s > 0, s, 1 / np.where(s == 0, 1, np.abs(s))) for s in scalars]
        position = {
            what: np.stack([file.attributes(fields[0])[:] * factors[0], -file.attributes(fields[1])[:] * factors[1]])
            for what, fields in FIELDS.items()
        }
print(f"{size / 2**20:.1f} MiB, {len(traces)} traces of {len(t)} samples")

# %%
# Sources and stations are the distinct positions. Each trace has a shot, a station, and a row among those of its shot.

shots, shot = np.unique(record, return_inverse=True)
sources = np.stack([position["source"][:, shot == s][:, 0] for s in range(len(shots))], axis=1)
stations, station = np.unique(position["receiver"], axis=1, return_inverse=True)
count = np.bincount(shot)
order = np.argsort(shot, kind="stable")
row = np.empty_like(shot)
row[order] = np.concatenate([np.arange(n) for n in count])

receivers = np.full((len(shots), count.max()), -1)
receivers[shot, row] = station.ravel()
data = np.zeros((*receivers.shape, len(t)), dtype=np.float32)
data[shot, row] = traces
print(f"{len(shots)} shots with {count.min()} to {count.max()} of {stations.shape[1]} stations")
assert count.min() < count.max()

# %%
# One operator for all shots: its adjoint migrates the line, and least-squares migration inverts it.

x, z = np.arange(0, 1500, 10.0), np.arange(0, 620, 6.0)
wavelet, _, center = ricker(t[:21], 25)
lsm = LSM(z, x, t, sources, stations, SPEED, wavelet, center, mode="analytic", receivers=receivers)
migrated = lsm.Demop.H(data)
inverted = lsm.solve(data, niter=25, damp=6.0)

# %%
# The operator is that of a loop over shots, which has to be written where all shots have the same receivers.

one_by_one = np.zeros_like(migrated)
for s in range(len(shots)):
    present = receivers[s] >= 0
    own = stations[:, receivers[s, present]]
    K = Kirchhoff(z, x, t, sources[:, s : s + 1], own, SPEED, wavelet, center, mode="analytic")
    one_by_one += K.H(data[s : s + 1, present])
difference = np.abs(one_by_one - migrated).max() / np.abs(migrated).max()
print(f"relative difference from a loop over shots: {difference:.1e}")
assert difference < 1e-6

top = 380 - 120 * np.exp(-(((x - 700) / 260) ** 2))
found = z[30:70][np.abs(inverted[:, 30:70]).argmax(1)]
error = np.abs(found - top)[30:120]
print(f"depth of the dome: mean error {error.mean():.1f} m")
assert error.mean() < z[1]

# %%
# A shot as it is in the file, and the images.

fig, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
most = np.percentile(np.abs(data[5]), 99)
axes[0].imshow(data[5].T, cmap="gray", vmin=-most, vmax=most, extent=(0, data.shape[1], t[-1], 0), aspect="auto")
axes[0].set(title="shot 6, padded", xlabel="row", ylabel="time (s)")
for axis, image, title in zip(axes[1:], (migrated, inverted), ("migration", "least-squares migration"), strict=True):
    most = np.percentile(np.abs(image[:, 25:]), 99.5)
    axis.imshow(image.T, cmap="gray", vmin=-most, vmax=most, extent=(0, x[-1], z[-1], 0), aspect="auto")
    axis.plot(x, top, "r:", linewidth=1, label="true depth of the dome")
    axis.set(title=title, xlabel="x (m)", ylabel="depth (m)")
axes[1].legend(loc="lower left")
