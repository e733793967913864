"""Cases of one-way wavefields: their obliquity, their propagation, and their blending."""

from __future__ import annotations

import numpy as np
import torch

from tests.every_operator.case import Case

MEDIUM = (0.004, 5.0, 1000.0, 1500.0)  # dt, dr, rho, vel


def weights(nffts, steps, rho, vel, critical, ntaper, topressure):
    """Return the weights of all frequencies, smoothed by sums over neighbours, for spectra of any symmetry."""
    *wavenumbers, f = np.meshgrid(*map(np.fft.fftfreq, nffts, steps), indexing="ij")
    kh = np.sqrt(sum(k**2 for k in wavenumbers))
    square = (f / vel) ** 2 - kh**2
    inside = (kh < critical / 100 * np.abs(f) / vel) & (np.abs(square) > 1e-13 * kh**2)
    kz = np.sqrt(np.where(inside, np.abs(square), 1)) + 0j
    nyquist = (nffts[-1] % 2 == 0) & (f == f.min())
    kz = np.where((square < 0) & inside, -1j * np.sign(f) * kz, kz)
    f = np.where(inside, np.abs(f), 1)
    found = np.where(inside & ~(nyquist & (square < 0)), rho * f / kz if topressure else kz / (rho * f), 0)
    for axis in range(found.ndim if ntaper else 0):
        for step in (-1, 1):
            found = sum(np.roll(found, step * i, axis) for i in range(ntaper)) / ntaper
    return found


def obliquity(lops, nt, nr, dt, dr, rho, vel, nffts, critical, ntaper, topressure=False):
    """Return PressureToVelocity made of PyLops's parts, with smoothing on the circle."""
    steps = (*np.broadcast_to(dr, np.size(nr)), dt)
    dims = (*np.atleast_1d(nr), nt)
    F = lops.signalprocessing.FFTND(dims, axes=range(len(dims)), nffts=nffts, sampling=steps)
    factors = weights(nffts, steps, float(rho), float(vel), critical, ntaper, topressure)
    return F.H * lops.Diagonal(factors.ravel(), dtype="complex128") * F


def composition(lops, scaling, *arguments):
    """Return UpDownComposition made of PyLops's parts."""
    A = obliquity(lops, *arguments)
    s, one = float(scaling), lops.Identity(A.shape[0], dtype="complex128")
    U = lops.Block([[one, one], [s * A, -s * A]])
    U.dims = U.dimsd = (2, *np.atleast_1d(arguments[1]), arguments[0])
    return U


def depths(lops, dz, *arguments):
    """Return the wavefields at several depths, made of PyLops's parts."""
    A = lops.VStack([lops.waveeqprocessing.PhaseShift(arguments[0], z, *arguments[1:]) for z in dz])
    A.dimsd = (len(dz), *A.dims)
    return A


def grouped(lops, nt, nr, times, nfft, is_half):
    """Return the blending in groups made of PyLops's parts, on a longer axis."""
    options = {"axis": 1, "nfft": nfft, "sampling": 0.5, "real": True, "dtype": "float64"}
    shift = [[lops.signalprocessing.Shift((nr, nt), t, **options) for t in row] for row in times]
    if is_half:
        B = lops.HStack([lops.BlockDiag(row) for row in shift])
    else:
        B = lops.BlockDiag([lops.HStack(group) for group in zip(*shift, strict=True)])
    B.dims, B.dimsd = (np.size(times), nr, nt), (np.shape(times)[1], nr, nt)
    return B


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def velocity(nt, nr, medium, nffts, critical, ntaper, topressure=False, oracle=True):
    """Return the arguments of a case of PressureToVelocity."""
    dt, dr, rho, vel = medium
    options = {"critical": critical, "ntaper": ntaper, "topressure": topressure}
    return {
        "build": lambda lops: lops.waveeqprocessing.PressureToVelocity(nt, nr, dt, dr, rho, vel, nffts, **options),
        "twin": lambda lops: obliquity(lops, nt, nr, dt, dr, rho, vel, nffts, critical, ntaper, topressure),
        "oracle": oracle,
    }


FREQ, FREQ_ODD = np.fft.rfftfreq(6, 0.004), np.fft.rfftfreq(5, 0.004)
KX, KX_ODD = (np.fft.fftshift(np.fft.fftfreq(n, 5.0)) for n in (4, 3))
TIMES = [[0.0, 0.7], [0.9, 0.3]]

CASES = [
    Case("PressureToVelocity", **velocity(6, 3, MEDIUM, (4, 8), 90.0, 2)),
    Case("PressureToVelocity to pressure odd", **velocity(5, 3, MEDIUM, (5, 5), 80.0, 3, True)),
    Case("PressureToVelocity 3-D", **velocity(4, (2, 3), (0.004, (5.0, 6.0), 1e3, 1500.0), (3, 4, 4), 100.0, 2)),
    Case("PressureToVelocity evanescent", **velocity(6, 4, MEDIUM, (4, 6), 180.0, 2)),
    Case("PressureToVelocity to pressure evanescent", **velocity(7, 3, MEDIUM, (4, 7), 300.0, 0, True)),
    Case(
        "PressureToVelocity medium that learns",
        lambda lops, rho, vel: lops.waveeqprocessing.PressureToVelocity(
            4, 3, 0.004, 5.0, rho, vel, nffts=(4, 5), critical=90.0, ntaper=2
        ),
        [tensor(1.2), tensor(1500.0)],
        twin=lambda lops, rho, vel: obliquity(lops, 4, 3, 0.004, 5.0, rho, vel, (4, 5), 90.0, 2),
    ),
    Case(
        "PressureToVelocity to pressure evanescent medium that learns",
        lambda lops, rho, vel: lops.waveeqprocessing.PressureToVelocity(
            4, 3, 0.004, 5.0, rho, vel, critical=150.0, ntaper=2, topressure=True
        ),
        [tensor(1.2), tensor([1500.0])],
        twin=lambda lops, rho, vel: obliquity(lops, 4, 3, 0.004, 5.0, rho, vel.item(), (3, 4), 150.0, 2, True),
    ),
    Case(
        "UpDownComposition2D",
        lambda lops: lops.waveeqprocessing.UpDownComposition2D(4, 3, *MEDIUM, (4, 6), ntaper=2, scaling=2e6),
        twin=lambda lops: composition(lops, 2e6, 4, 3, *MEDIUM, (4, 6), 100.0, 2),
    ),
    Case(
        "UpDownComposition2D odd evanescent",
        lambda lops: lops.waveeqprocessing.UpDownComposition2D(5, 3, *MEDIUM, critical=130.0, ntaper=0),
        twin=lambda lops: composition(lops, 1.0, 5, 3, *MEDIUM, (3, 5), 130.0, 0),
    ),
    Case(
        "UpDownComposition2D that learns",
        lambda lops, rho, vel, s: lops.waveeqprocessing.UpDownComposition2D(
            4, 2, 0.004, 5.0, rho, vel, ntaper=2, scaling=s
        ),
        [tensor(1.2), tensor(1500.0), tensor(700.0)],
        twin=lambda lops, rho, vel, s: composition(lops, s, 4, 2, 0.004, 5.0, rho, vel, (2, 4), 100.0, 2),
    ),
    Case(
        "UpDownComposition3D",
        lambda lops: lops.waveeqprocessing.UpDownComposition3D(
            4, (2, 3), 0.004, (5.0, 6.0), 1e3, 1500.0, (3, 4, 4), ntaper=2, scaling=2e6
        ),
        twin=lambda lops: composition(lops, 2e6, 4, (2, 3), 0.004, (5.0, 6.0), 1e3, 1500.0, (3, 4, 4), 100.0, 2),
    ),
    Case(
        "UpDownComposition3D default sizes",
        lambda lops: lops.waveeqprocessing.UpDownComposition3D(3, (2, 2), 0.004, 5.0, 1e3, 1500.0, critical=80.0),
        twin=lambda lops: composition(lops, 1.0, 3, (2, 2), 0.004, 5.0, 1e3, 1500.0, (2, 2, 3), 80.0, 10),
    ),
    Case(
        "UpDownComposition3D that learns",
        lambda lops, rho, vel, s: lops.waveeqprocessing.UpDownComposition3D(
            3, (2, 2), 0.004, 5.0, rho, vel, ntaper=2, scaling=s
        ),
        [tensor(1.2), tensor(1500.0), tensor(700.0)],
        twin=lambda lops, *given: composition(
            lops, given[2], 3, (2, 2), 0.004, 5.0, given[0], given[1], (2, 2, 3), 100.0, 2
        ),
    ),
    Case("PhaseShift", lambda lops: lops.waveeqprocessing.PhaseShift(1500.0, 9.0, 6, FREQ, KX)),
    Case("PhaseShift up odd", lambda lops: lops.waveeqprocessing.PhaseShift(1500.0, -4.0, 5, FREQ_ODD, KX_ODD)),
    Case(
        "PhaseShift 3-D",
        lambda lops: lops.waveeqprocessing.PhaseShift(1500.0, 9.0, 6, FREQ, KX_ODD, np.array([-0.05, 0.0])),
    ),
    Case(
        "PhaseShift axes in any order",
        lambda lops: lops.waveeqprocessing.PhaseShift(1500.0, 9.0, 4, np.array([60.0, 0.0, 30.0]), KX[[2, 0, 1]]),
    ),
    Case(
        "PhaseShift many depths",
        lambda lops: lops.waveeqprocessing.PhaseShift(1500.0, [3.0, -4.0, 9.0], 5, FREQ_ODD, KX),
        twin=lambda lops: depths(lops, [3.0, -4.0, 9.0], 1500.0, 5, FREQ_ODD, KX),
    ),
    Case(
        "PhaseShift that learns",
        lambda lops, vel, dz: lops.waveeqprocessing.PhaseShift(vel, dz, 4, np.fft.rfftfreq(4, 0.004), KX),
        [tensor(1500.0), tensor(9.0)],
    ),
    Case(
        "PhaseShift depths that learn",
        lambda lops, vel, dz: lops.waveeqprocessing.PhaseShift(vel, dz, 3, FREQ_ODD[:2], KX_ODD, KX_ODD[:2]),
        [tensor(1500.0), tensor([9.0, -3.0])],
        twin=lambda lops, vel, dz: depths(lops, dz, vel, 3, FREQ_ODD[:2], KX_ODD, KX_ODD[:2]),
    ),
    Case(
        "PhaseShift axes that learn",
        lambda lops, freq, kx: lops.waveeqprocessing.PhaseShift(1500.0, 5.0, 4, freq, kx),
        [tensor([1.0, 60.0, 125.0]), tensor([-0.05, 0.0, 0.03])],
    ),
    Case(
        "BlendingContinuous",
        lambda lops: lops.waveeqprocessing.BlendingContinuous(4, 2, 3, 0.5, np.array([0, 0.7, 2.9])),
    ),
    Case(
        "BlendingContinuous longer record",
        lambda lops: lops.waveeqprocessing.BlendingContinuous(
            5, 1, 3, 0.5, np.array([1.5, 0.0, 0.75]), shiftall=True, nttot=12
        ),
    ),
    Case(
        "BlendingContinuous whole samples",
        lambda lops: lops.waveeqprocessing.BlendingContinuous(3, 2, 2, 0.5, np.array([0.5, 2.0])),
    ),
    Case(
        "BlendingContinuous times that learn",
        lambda lops, times: lops.waveeqprocessing.BlendingContinuous(3, 2, 3, 0.5, times, nttot=8),
        [tensor([0.2, 0.7, 1.9])],
    ),
    Case(
        "BlendingGroup",
        lambda lops: lops.waveeqprocessing.BlendingGroup(4, 2, 4, 0.5, np.array(TIMES), 2, 2),
        twin=lambda lops: grouped(lops, 4, 2, TIMES, 6, is_half=False),
    ),
    Case(
        "BlendingGroup before and after",
        lambda lops: lops.waveeqprocessing.BlendingGroup(5, 1, 3, 0.5, np.array([[-0.7], [0.0], [0.6]]), 3, 1),
        twin=lambda lops: grouped(lops, 5, 1, [[-0.7], [0.0], [0.6]], 8, is_half=False),
    ),
    Case(
        "BlendingGroup times that learn",
        lambda lops, times: lops.waveeqprocessing.BlendingGroup(3, 2, 4, 0.5, times, 2, 2),
        [tensor(TIMES)],
        twin=lambda lops, times: grouped(lops, 3, 2, times, 6, is_half=False),
    ),
    Case(
        "BlendingHalf",
        lambda lops: lops.waveeqprocessing.BlendingHalf(4, 2, 4, 0.5, np.array(TIMES), 2, 2),
        twin=lambda lops: grouped(lops, 4, 2, TIMES, 6, is_half=True),
    ),
    Case(
        "BlendingHalf three vessels",
        lambda lops: lops.waveeqprocessing.BlendingHalf(5, 1, 6, 0.5, np.array([*TIMES, [-0.7, 0.0]]), 3, 2),
        twin=lambda lops: grouped(lops, 5, 1, [*TIMES, [-0.7, 0.0]], 8, is_half=True),
    ),
    Case(
        "BlendingHalf times that learn",
        lambda lops, times: lops.waveeqprocessing.BlendingHalf(3, 2, 4, 0.5, times, 2, 2),
        [tensor(TIMES)],
        twin=lambda lops, times: grouped(lops, 3, 2, times, 6, is_half=True),
    ),
]
