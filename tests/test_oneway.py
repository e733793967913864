"""One-way wavefields against independent truths: plane waves, images of sources, and each shot by itself."""

from __future__ import annotations

import importlib
import inspect
import warnings

import numpy as np
import pytest
import torch

import torchlops
from torchlops import BlockDiag, Diagonal, Identity, Restriction
from torchlops.optimization import cgls
from torchlops.signalprocessing import FFT2D
from torchlops.waveeqprocessing import (
    BlendingContinuous,
    BlendingGroup,
    BlendingHalf,
    Deghosting,
    PhaseShift,
    PressureToVelocity,
    UpDownComposition2D,
    UpDownComposition3D,
    WavefieldDecomposition,
)

F64 = torch.float64
DT, DR, RHO, VEL = 0.004, 5.0, 1000.0, 1500.0
DEPTH = 7.5


def random(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def gradient_and_difference(function, value, step):
    """Return the derivative of a function of one number, and its central difference."""
    x = torch.tensor(value, dtype=F64, requires_grad=True)
    (gradient,) = torch.autograd.grad(function(x), x)
    difference = (function(x.detach() + step) - function(x.detach() - step)) / (2 * step)
    return gradient.item(), difference.item()


@pytest.mark.parametrize("name", ["wavedecomposition", "oneway", "blending"])
def test_arguments_are_those_of_pylops(name):
    pytest.importorskip("pylops")
    theirs = importlib.import_module(f"pylops.waveeqprocessing.{name}")
    ours = importlib.import_module(f"torchlops.waveeqprocessing.{name}")
    for operator in theirs.__all__:
        wanted, got = (inspect.signature(getattr(module, operator)).parameters for module in (theirs, ours))
        assert list(got) == list(wanted)
        for argument in set(wanted) - {"solver"}:
            assert got[argument].default == wanted[argument].default, argument


# -- obliquity ---------------------------------------------------------------------------------------------------


def plane_wave(nr, nt, i, j):
    """Return a plane wave that is periodic on the receivers and in time, and the cosine of its angle."""
    x, t = np.arange(nr)[:, None] / nr, np.arange(nt) / nt
    f, k = j / (nt * DT), i / (nr * DR)
    return torch.from_numpy(np.cos(2 * np.pi * (j * t + i * x) + 0.3)), np.sqrt(1 - (k * VEL / f) ** 2)


@pytest.mark.parametrize(("nr", "nt"), [(16, 32), (15, 31), (16, 31), (15, 32)])
@pytest.mark.parametrize("i", [0, 1, -2])
def test_a_plane_wave_has_the_velocity_of_its_angle(nr, nt, i):
    p, cosine = plane_wave(nr, nt, i, 9)
    v = PressureToVelocity(nt, nr, DT, DR, RHO, VEL, ntaper=0)(p)
    torch.testing.assert_close(v, p * cosine / (RHO * VEL), rtol=0, atol=1e-20)
    back = PressureToVelocity(nt, nr, DT, DR, RHO, VEL, ntaper=0, topressure=True)(v)
    torch.testing.assert_close(back, p, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("nt", "nr", "nffts"), [(40, 30, (64, 128)), (41, 31, (63, 127)), (30, (9, 8), (16, 16, 32))])
@pytest.mark.parametrize("critical", [90.0, 100.0, 130.0])
@pytest.mark.parametrize("topressure", [False, True])
def test_the_weights_of_real_wavefields_are_those_of_real_wavefields(nt, nr, nffts, critical, topressure):
    """The full spectrum with the weights and their mirror image gives a real wavefield: the weights are symmetric."""
    A = PressureToVelocity(nt, nr, DT, DR, RHO, VEL, nffts, critical, 5, topressure)
    half = A.weights
    axes = tuple(range(half.ndim - 1))
    mirrored = torch.roll(half.flip(axes), (1,) * len(axes), axes).conj()
    n = nffts[-1]
    full = torch.cat((half, mirrored[..., 1 : (n + 1) // 2].flip(-1)), -1)
    x = random(*A.dims)
    padded = torch.zeros(nffts, dtype=F64)
    inside = tuple(map(slice, A.dims))
    padded[inside] = x
    y = torch.fft.ifftn(torch.fft.fftn(padded) * full)
    assert y.imag.abs().max() <= 1e-12 * y.real.abs().max()
    torch.testing.assert_close(A(x), y.real[inside], rtol=1e-10, atol=1e-12 * y.abs().max().item())


def test_waves_on_the_critical_angle_are_left_out():
    """Rounding would decide, and 1 / kz be 1e8: with this step the angles of many grid points are critical."""
    nt, nr, vel = 64, 64, 2.5 * DR / DT
    A = PressureToVelocity(nt, nr, DT, DR, RHO, vel, ntaper=0, topressure=True)
    kz = np.sqrt(1 - (np.fft.fftfreq(nr, DR)[:, None] * vel / np.maximum(np.fft.rfftfreq(nt, DT), 1e-9)) ** 2 + 0j)
    assert A.weights.max() < 20 * RHO * vel
    ordinary = kz.real > 1e-3
    ordinary[:, 0] = False  # the frequency zero has no weight
    np.testing.assert_allclose(A.weights.numpy()[ordinary], RHO * vel / kz.real[ordinary], rtol=1e-10)
    assert not A.weights.numpy()[~ordinary].any()


def test_evanescent_waves_decay_as_they_do_under_a_phase_shift():
    """The velocity is -dp/dz / (i omega rho), here by a difference of the wavefields above and below."""
    nt, nr = 32, 16
    x, t = np.arange(nr)[:, None] / nr, np.arange(nt) / nt
    p = torch.from_numpy(np.cos(2 * np.pi * (2 * t + 3 * x)))
    freq, kx = np.fft.rfftfreq(nt, DT), np.fft.fftshift(np.fft.fftfreq(nr, DR))
    dz = 1e-3
    below, above = (PhaseShift(VEL, z, nt, freq, kx)(p.T).T for z in (dz, -dz))
    decayed = torch.exp(torch.tensor(-2 * np.pi * dz * np.sqrt((3 / (nr * DR)) ** 2 - (2 / (nt * DT * VEL)) ** 2)))
    torch.testing.assert_close(below, p * decayed, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(above, p * decayed, rtol=1e-10, atol=1e-10)
    slope = (below - p) / dz  # d p / d z = - rho d v / d t
    v = PressureToVelocity(nt, nr, DT, DR, RHO, VEL, ntaper=0, critical=1e6)(p)
    omega = 2 * np.pi * 2 / (nt * DT)
    quadrature = torch.from_numpy(np.sin(2 * np.pi * (2 * t + 3 * x)))
    torch.testing.assert_close(v, slope.abs().max() / (RHO * omega) * quadrature, rtol=1e-3, atol=1e-11)


@pytest.mark.parametrize(
    ("composition", "nr", "dr"), [(UpDownComposition2D, 9, DR), (UpDownComposition3D, (5, 6), (DR, 2 * DR))]
)
def test_compositions_are_sums_and_differences(composition, nr, dr):
    A = composition(20, nr, DT, dr, RHO, VEL, ntaper=3, scaling=2e6)
    W = PressureToVelocity(20, nr, DT, dr, RHO, VEL, ntaper=3)
    down, up = x = random(*A.dims)
    torch.testing.assert_close(A(x), torch.stack((down + up, 2e6 * W(down - up))), rtol=1e-12, atol=1e-12)


def test_the_inverse_decomposition_separates_what_was_composed():
    """Plane waves that travel up and down, below the angles where the spectrum is cut."""
    up, down = plane_wave(16, 32, 1, 9)[0], plane_wave(16, 32, -2, 11)[0]
    p, vz = UpDownComposition2D(32, 16, DT, DR, RHO, VEL, ntaper=0)(torch.stack((down, up)))
    for kind, options in {"analytical": {}, "inverse": {"scaling": RHO * VEL, "atol": 1e-12, "btol": 1e-12}}.items():
        found = WavefieldDecomposition(p, vz, 32, 16, DT, DR, RHO, VEL, ntaper=0, kind=kind, **options)
        torch.testing.assert_close(torch.stack(found), torch.stack((up, down)), rtol=1e-7, atol=1e-7)


def test_decompositions_of_a_batch_are_those_of_its_samples():
    d = random(2, 3, 6, 20), random(2, 3, 6, 20, seed=1) / (RHO * VEL)
    for options in ({"kind": "analytical"}, {"scaling": RHO * VEL, "damp": 0.1}):
        batch = WavefieldDecomposition(*d, 20, 6, DT, DR, RHO, VEL, **options)
        one = WavefieldDecomposition(
            d[0][1, 2].numpy(), d[1][1, 2].numpy(), 20, np.int64(6), DT, DR, RHO, VEL, **options
        )
        for whole, part in zip(batch, one, strict=True):
            assert isinstance(part, np.ndarray)
            assert whole.shape == (2, 3, 6, 20)
            np.testing.assert_allclose(whole[1, 2].numpy(), part, rtol=1e-10, atol=1e-10)


def test_the_default_nffts_serve_two_and_three_dimensions():
    """PyLops raises for two."""
    for nr, dr in ((5, DR), ((4, 3), (DR, DR))):
        p = random(*np.atleast_1d(nr), 12)
        up, down = WavefieldDecomposition(p, p / (RHO * VEL), 12, nr, DT, dr, RHO, VEL, kind="analytical")
        torch.testing.assert_close(up + down, p)


def test_missing_receivers_come_from_a_sparse_spectrum():
    """Every second receiver is missing; the coefficients are complex, and their imaginary parts count."""
    up, down = plane_wave(16, 32, 1, 9)[0], plane_wave(16, 32, -2, 11)[0]
    p, vz = UpDownComposition2D(32, 16, DT, DR, RHO, VEL, ntaper=0)(torch.stack((down, up)))
    kept = np.arange(0, 16, 2)
    R = BlockDiag([Restriction((16, 32), kept, axis=0)] * 2)
    S = FFT2D((16, 32), real=True).H
    low = np.zeros(S.dims)
    low[:4, :], low[-4:, :] = 1, 1  # what the receivers that are left can tell apart
    options = {"restriction": R, "sptransf": S, "scaling": RHO * VEL, "solver": cgls, "niter": 300, "tol": 0}
    found = WavefieldDecomposition(
        p[kept],
        vz[kept],
        32,
        16,
        DT,
        DR,
        RHO,
        VEL,
        ntaper=0,
        **{**options, "sptransf": S @ Diagonal(torch.from_numpy(low))},
    )
    torch.testing.assert_close(torch.stack(found), torch.stack((up, down)), rtol=1e-5, atol=1e-5)


def test_decompositions_learn_the_medium():
    p, vz = random(6, 20), random(6, 20, seed=1) / (RHO * VEL)
    for options in ({"kind": "analytical"}, {"scaling": RHO * VEL, "damp": 0.3, "atol": 1e-14, "btol": 1e-14}):

        def energy(vel, options=options):
            up, down = WavefieldDecomposition(p, vz, 20, 6, DT, DR, RHO, vel, critical=80.0, ntaper=2, **options)
            return (up**3).sum() + (down**2).sum()

        gradient, difference = gradient_and_difference(energy, 1490.0, 1e-3)
        assert gradient == pytest.approx(difference, rel=1e-6)


def test_errors_of_decompositions():
    p, vz = random(5, 12), random(5, 12)
    with pytest.raises(ValueError, match="kind must be 'inverse' or 'analytical', got 'other'"):
        WavefieldDecomposition(p, vz, 12, 5, DT, DR, RHO, VEL, kind="other")
    with pytest.raises(ValueError, match=r"p must have shape \(5, 12\)"):
        WavefieldDecomposition(p.T, vz.T, 12, 5, DT, DR, RHO, VEL)
    with pytest.raises(ValueError, match="same shape"):
        WavefieldDecomposition(p, vz[:4], 12, 5, DT, DR, RHO, VEL)
    with pytest.raises(ValueError, match="vel must be positive, got 0"):
        PressureToVelocity(12, 5, DT, DR, RHO, 0.0)
    with pytest.raises(ValueError, match="rho must be one number"):
        PressureToVelocity(12, 5, DT, DR, np.ones(5), VEL)
    with pytest.raises(ValueError, match="would cut the wavefield"):
        PressureToVelocity(12, 5, DT, DR, RHO, VEL, nffts=(8, 8))
    scipy = pytest.importorskip("scipy.sparse.linalg")
    with pytest.raises(TypeError, match="takes NumPy arrays, got a tensor"):
        WavefieldDecomposition(p, vz, 12, 5, DT, DR, RHO, VEL, solver=scipy.lsqr)
    batch = np.ones((2, 5, 12))
    with pytest.raises(ValueError, match="takes one problem, got the batch"):
        WavefieldDecomposition(batch, batch, 12, 5, DT, DR, RHO, VEL, solver=scipy.lsqr)


# -- propagation and ghosts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nx", "nt"), [(16, 32), (15, 31)])
@pytest.mark.parametrize("i", [0, 2, -3])
def test_a_plane_wave_is_late_by_the_depth_times_the_cosine(nx, nt, i):
    p, cosine = plane_wave(nx, nt, i, 9)
    f, dz = 9 / (nt * DT), 13.0
    freq, kx = np.fft.rfftfreq(nt, DT), np.fft.fftshift(np.fft.fftfreq(nx, DR))
    x, t = np.arange(nx)[:, None] / nx, np.arange(nt) / nt
    late = np.cos(2 * np.pi * (9 * t + i * x - f * dz * cosine / VEL) + 0.3)
    torch.testing.assert_close(PhaseShift(VEL, dz, nt, freq, kx)(p.T), torch.from_numpy(late.T))


def test_depths_are_those_of_one_operator_each():
    freq, kx, ky = (
        np.fft.rfftfreq(9, DT),
        np.fft.fftshift(np.fft.fftfreq(4, DR)),
        np.fft.fftshift(np.fft.fftfreq(3, DR)),
    )
    A = PhaseShift(VEL, [0.0, 5.0, -8.0], 9, freq, kx, ky)
    x = random(2, 9, 4, 3)
    parts = [PhaseShift(VEL, dz, 9, freq, kx, ky)(x) for dz in (0.0, 5.0, -8.0)]
    torch.testing.assert_close(A(x), torch.stack(parts, 1))
    torch.testing.assert_close(A(x)[:, 0], x)


def test_errors_of_phase_shifts():
    freq, kx = np.fft.rfftfreq(8, DT), np.zeros(4)
    with pytest.raises(ValueError, match="the 5 nonnegative frequencies of nt=8"):
        PhaseShift(VEL, 1.0, 8, freq[:-1], kx)
    with pytest.raises(ValueError, match="kx must have one axis"):
        PhaseShift(VEL, 1.0, 8, freq, kx[:, None])
    with pytest.raises(ValueError, match="dz must be a number or have one axis"):
        PhaseShift(VEL, np.ones((2, 2)), 8, freq, kx)
    with pytest.raises(TypeError, match="unexpected argument 'wrokers'"):
        PhaseShift(VEL, 1.0, 8, freq, kx, wrokers=2)


def ghosted(nt, receivers, zrec, kind):
    """Return up-going plane waves that are periodic on the padded receivers, and the wavefield with their ghosts.

    The ghost of a plane wave is late by twice the time from the cable to the surface, with the sign of the kind.
    """
    axes = np.meshgrid(np.arange(nt), *map(np.arange, receivers), indexing="ij")
    up, whole = np.zeros((nt, *receivers)), np.zeros((nt, *receivers))
    for number, (j, *orders) in enumerate([(9, 1, 1), (13, -2, 1), (11, 0, -1)]):
        used = orders[: len(receivers)]
        f = j / (nt * DT)
        k = sum((i / (n * DR)) ** 2 for i, n in zip(used, receivers, strict=True))
        delay = 2 * zrec * np.sqrt((f / VEL) ** 2 - k)
        phase = (
            j * axes[0] / nt + sum(i * x / n for i, x, n in zip(used, axes[1:], receivers, strict=True)) + 0.1 * number
        )
        sign = -1 if kind == "p" else 1
        up += np.cos(2 * np.pi * phase)
        whole += np.cos(2 * np.pi * phase) + sign * np.cos(2 * np.pi * (phase - delay))
    return up, whole


@pytest.mark.parametrize("receivers", [(16,), (15,), (8, 7), (7, 8)])
@pytest.mark.parametrize("kind", ["p", "vz"])
def test_ghosts_of_plane_waves_are_removed(receivers, kind):
    """With even and odd numbers of receivers. (PyLops's wavenumbers are in the wrong order for odd ones.)"""
    nt = 32
    up, whole = ghosted(nt, receivers, DEPTH, kind)
    nr, dr = (receivers[0], DR) if len(receivers) == 1 else (receivers, (DR, DR))
    pup, pdown = Deghosting(whole, nt, nr, DT, dr, VEL, DEPTH, kind=kind, npad=0, ntaper=0, atol=1e-12, btol=1e-12)
    assert isinstance(pup, np.ndarray)
    np.testing.assert_allclose(pup, up, atol=1e-8)
    np.testing.assert_allclose(pdown, whole - up, atol=1e-8)


def test_direct_waves_are_removed_first():
    up, whole = ghosted(32, (16,), DEPTH, "p")
    direct = random(32, 16, seed=3).numpy()
    options = {"npad": 0, "ntaper": 0, "atol": 1e-12, "btol": 1e-12}
    pup, pdown = Deghosting(whole + direct, 32, 16, DT, DR, VEL, DEPTH, pd=direct, **options)
    np.testing.assert_allclose(pup, up, atol=1e-8)
    np.testing.assert_allclose(pdown, whole - up + direct, atol=1e-8)
    late = np.ones((32, 16))
    late[:3] = 0
    windowed = Deghosting(whole, 32, 16, DT, DR, VEL, DEPTH, win=late, damp=0.1, ntaper=0)[0]
    np.testing.assert_allclose(windowed, Deghosting(whole * late, 32, 16, DT, DR, VEL, DEPTH, damp=0.1, ntaper=0)[0])


def test_the_defaults_serve_two_and_three_dimensions():
    """PyLops raises for the default npad in two, and for a step of each axis in three."""
    for nr, dr in ((24, DR), ((23, 24), (DR, 2 * DR))):
        p = random(24, *np.atleast_1d(nr))
        up, down = Deghosting(p, 24, nr, DT, dr, VEL, DEPTH, damp=0.3)
        torch.testing.assert_close(up + down, p)


def test_ghosts_of_missing_traces_are_modelled():
    """With a restriction or a transform, the down-going wavefield is the ghost at all receivers."""
    up, whole = ghosted(32, (16,), DEPTH, "p")
    options = {"npad": 0, "ntaper": 0, "solver": cgls, "niter": 400, "tol": 0}
    S = FFT2D((32, 16)).H
    for restriction, transform in ((None, S), (Identity((32, 16)), None)):
        pup, pdown = Deghosting(
            whole, 32, 16, DT, DR, VEL, DEPTH, restriction=restriction, sptransf=transform, **options
        )
        np.testing.assert_allclose(pup, up, atol=1e-6)
        np.testing.assert_allclose(pdown, whole - up, atol=1e-6)
    kept = np.arange(0, 16, 2)
    R, low = Restriction((32, 16), kept, axis=1), np.zeros((32, 16))
    low[:, :4], low[:, -3:] = 1, 1
    pup, pdown = Deghosting(
        whole[:, kept],
        32,
        16,
        DT,
        DR,
        VEL,
        DEPTH,
        restriction=R,
        sptransf=S @ Diagonal(torch.from_numpy(low)),
        **options,
    )
    np.testing.assert_allclose(pup, up, atol=1e-6)
    np.testing.assert_allclose(pdown, whole - up, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_deghosting_of_a_batch_in_any_unit(scale):
    p = random(2, 3, 20, 7)
    options = {"npad": 2, "ntaper": 3, "damp": 0.3}
    up, down = Deghosting(p * scale, 20, 7, DT, DR, VEL, DEPTH, **options)
    one_up, one_down = Deghosting(p[1, 2], 20, 7, DT, DR, VEL, DEPTH, **options)
    torch.testing.assert_close(up[1, 2] / scale, one_up, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(down[1, 2] / scale, one_down, rtol=1e-10, atol=1e-10)
    assert Deghosting(p[:0], 20, 7, DT, DR, VEL, DEPTH, **options)[0].shape == (0, 3, 20, 7)
    single = Deghosting(p.float(), 20, 7, DT, DR, VEL, DEPTH, **options)[0]
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double() * scale, up, rtol=1e-4, atol=1e-4 * scale)


def test_the_depth_of_the_cable_and_the_velocity_learn():
    p = random(20, 7)

    def energy(zrec, vel):
        options = {"npad": 2, "ntaper": 3, "damp": 0.3, "atol": 1e-14, "btol": 1e-14}
        up, down = Deghosting(p, 20, 7, DT, DR, vel, zrec, **options)
        return (up**3).sum() + (down**2).sum()

    depth = gradient_and_difference(lambda z: energy(z, VEL), 6.0, 1e-5)
    velocity = gradient_and_difference(lambda v: energy(6.0, v), 1500.0, 1e-3)
    assert depth[0] == pytest.approx(depth[1], rel=1e-5)
    assert velocity[0] == pytest.approx(velocity[1], rel=1e-5)


def test_the_smallest_solution_learns_the_depth():
    """Without damping, a constant has no pressure: the derivative is that of the solution of least norm."""
    p = random(10, 3)

    def energy(zrec):
        return (Deghosting(p, 10, 3, DT, DR, VEL, zrec, npad=0, ntaper=0, atol=1e-14, btol=1e-14)[0] ** 3).sum()

    gradient, difference = gradient_and_difference(energy, 4.0, 1e-5)
    assert gradient == pytest.approx(difference, rel=1e-5)


def test_errors_of_deghosting():
    p = random(20, 7)
    with pytest.raises(ValueError, match="kind must be 'p' or 'vz', got 'v'"):
        Deghosting(p, 20, 7, DT, DR, VEL, DEPTH, kind="v", ntaper=0)
    with pytest.raises(ValueError, match=r"zrec must be one number, got shape \(2,\)"):
        Deghosting(p, 20, 7, DT, DR, VEL, [6.0, 7.0], ntaper=0)
    with pytest.raises(ValueError, match=r"p must have shape \(20, 7\)"):
        Deghosting(p.T, 20, 7, DT, DR, VEL, DEPTH, ntaper=0)
    with pytest.raises(ValueError, match=r"win must have the shape \(20, 7\) of p"):
        Deghosting(p, 20, 7, DT, DR, VEL, DEPTH, win=p[:1], npad=0, ntaper=0)
    with pytest.raises(ValueError, match="make up the 60 data of the restriction"):
        Deghosting(p, 20, 7, DT, DR, VEL, DEPTH, restriction=Restriction((20, 7), [0, 2, 4], axis=1), ntaper=0)


# -- blending ----------------------------------------------------------------------------------------------------


def wavelet(t):
    """Return a pulse whose spectrum vanishes below the Nyquist frequency."""
    return np.exp(-((t / 4) ** 2)) * np.cos(0.4 * t)


def shots_and_record(times, nt, nr, length, group):
    """Return pulses in shots, and their sum at the right times, from the formula of the pulse."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(25, nt - 25, (len(times), nr, 1))
    t = np.arange(max(nt, length))
    shots = wavelet(t[:nt] - centers)
    record = np.zeros((max(group) + 1, nr, length))
    for shot, (g, time) in enumerate(zip(group, times, strict=True)):
        record[g] += wavelet(t[:length] - centers[shot] - time)
    return shots, record


@pytest.mark.parametrize("nt", [80, 81])
def test_a_continuous_record_is_the_sum_of_late_pulses(nt):
    times = np.array([0.0, 30.25, 57.0, 100.8])
    A = BlendingContinuous(nt, 3, 4, DT, times * DT)
    shots, record = shots_and_record(times, nt, 3, A.nttot, [0] * 4)
    assert A.nttot == int(100.8 + nt + 1)
    assert A.shifts.tolist() == [0, 30, 57, 100]
    np.testing.assert_allclose(A @ shots, record[0], atol=1e-10)


@pytest.mark.parametrize("nt", [80, 81])
def test_records_of_groups_are_sums_of_late_pulses(nt):
    times = np.array([[0.0, 3.7, -4.2], [30.25, 40.0, 2.5]])
    for blending, order in ((BlendingGroup, times.T.ravel()), (BlendingHalf, times.ravel())):
        group = np.repeat(range(3), 2) if blending is BlendingGroup else np.tile(range(3), 2)
        A = blending(nt, 2, 6, DT, times * DT, 2, 3)
        shots, record = shots_and_record(order, nt, 2, nt, group)
        np.testing.assert_allclose(A @ shots, record, atol=1e-9)


def test_late_samples_do_not_return_at_the_beginning():
    pylops = pytest.importorskip("pylops")
    times = np.array([[0.0, 1.0], [2.0, -1.0]])
    shots = np.arange(1.0, 25.0).reshape(4, 1, 6)
    for name in ("BlendingGroup", "BlendingHalf"):
        ours, theirs = (
            getattr(library.waveeqprocessing, name)(6, 1, 4, 1.0, times, 2, 2) for library in (torchlops, pylops)
        )
        index = [[0, 1], [2, 3]] if name == "BlendingGroup" else [[0, 2], [1, 3]]
        wanted = np.zeros((2, 1, 6))
        for g, members in enumerate(index):
            for j, shot in enumerate(members):
                shift = int(times[j, g])
                inside = slice(max(shift, 0), 6 + min(shift, 0))
                wanted[g, :, inside] += shots[shot, :, max(-shift, 0) : 6 - max(shift, 0)]
        np.testing.assert_allclose(ours @ shots, wanted, atol=1e-12)
        assert np.abs(theirs @ shots - wanted).max() > 1
        shots_that_end = np.where(np.isin(np.arange(6), (2, 3)), shots, 0)  # those that fit are the same in both
        np.testing.assert_allclose(ours @ shots_that_end, theirs @ shots_that_end, atol=1e-12)


def test_groups_agree_with_one_continuous_record_each():
    """For whole samples, with the record cut at the length of a shot."""
    times = np.array([[0.0, 3.0], [4.0, 1.0]])
    shots = random(4, 2, 12)
    A = BlendingGroup(12, 2, 4, 1.0, times, 2, 2)
    for g in range(2):
        record = BlendingContinuous(12, 2, 2, 1.0, times[:, g])(shots[2 * g : 2 * g + 2])
        torch.testing.assert_close(A(shots)[g], record[:, :12])


@pytest.mark.parametrize("blending", [BlendingContinuous, BlendingGroup, BlendingHalf])
def test_times_learn_by_gradient_descent(blending):
    """The second shot of each record was fired 0.3 samples later than was noted."""
    pulse = torch.from_numpy(wavelet(np.arange(64) - 30.0)).expand(2, 1, 64).contiguous()
    more = (70,) if blending is BlendingContinuous else ()

    def record(late):
        times = torch.cat((late.new_zeros(1), late.reshape(1)))
        if more:
            return BlendingContinuous(64, 1, 2, 1.0, times, nttot=75)(pulse)
        return blending(64, 1, 2, 1.0, times.reshape(2, 1), 2, 1)(pulse)

    data = record(torch.tensor(5.5, dtype=F64))
    gradient, difference = gradient_and_difference(lambda late: ((record(late) - data) ** 2).sum(), 5.2, 1e-6)
    assert gradient == pytest.approx(difference, rel=1e-6)
    late = torch.tensor(5.2, dtype=F64, requires_grad=True)
    for _ in range(30):
        (slope,) = torch.autograd.grad(((record(late) - data) ** 2).sum(), late)
        late = (late - 0.5 * slope).detach().requires_grad_()
    assert late.item() == pytest.approx(5.5, abs=1e-3)


def test_times_that_leave_the_record_are_not_recorded():
    times = torch.nn.Parameter(torch.tensor([0.0, 4.0], dtype=F64))
    A = BlendingContinuous(6, 1, 2, 1.0, times)
    x = torch.ones(2, 1, 6, dtype=F64)
    with torch.no_grad():
        times[1] = 8.0
    torch.testing.assert_close(A(x)[0], torch.tensor([1.0] * 6 + [0, 0, 1, 1, 1], dtype=F64))
    with torch.no_grad():
        times[1] = -4.0
    torch.testing.assert_close(A(x)[0], torch.tensor([2.0, 2, 1, 1, 1, 1] + [0] * 5, dtype=F64))
    times = torch.nn.Parameter(torch.zeros(2, 1, dtype=F64))
    A = BlendingGroup(6, 1, 2, 1.0, times, 2, 1)
    for late in (6.0, 8.0, 100.0):
        with torch.no_grad():
            times[1] = late
        torch.testing.assert_close(A(x), torch.ones(1, 1, 6, dtype=F64))


def test_errors_of_blending():
    with pytest.raises(ValueError, match="times must be from 0 on, when the record begins"):
        BlendingContinuous(6, 1, 2, 1.0, [-0.5, 1.0])
    with pytest.raises(ValueError, match=r"times must have shape \(2,\), one for each shot, got \(3,\)"):
        BlendingContinuous(6, 1, 2, 1.0, [0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match="ends after 8 samples, got nttot=7"):
        BlendingContinuous(6, 1, 2, 1.0, [0.0, 1.2], nttot=7)
    with pytest.raises(ValueError, match=r"times must have shape \(2, 1\)"):
        BlendingGroup(6, 1, 2, 1.0, np.zeros((1, 2)), 2, 1)
    with pytest.raises(ValueError, match=r"ns=3 must be group_size \* n_groups = 2 \* 1"):
        BlendingHalf(6, 1, 3, 1.0, np.zeros((2, 1)), 2, 1)
    with pytest.warns(UserWarning, match="1 of the 2 shots are not recorded"):
        A = BlendingHalf(6, 1, 2, 1.0, [[0.0], [6.0]], 2, 1)
    x = torch.ones(2, 1, 6, dtype=F64)
    torch.testing.assert_close(A(x)[0, 0], torch.ones(6, dtype=F64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BlendingHalf(6, 1, 2, 1.0, [[0.0], [5.9]], 2, 1)
