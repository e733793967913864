"""Kirchhoff demigration and least-squares migration, against sums written out, and against PyLops where it is right."""

from __future__ import annotations

import copy
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

import torchlops
from torchlops.config import get_sparse_limit, set_sparse_limit
from torchlops.utils.wavelets import ricker
from torchlops.waveeqprocessing import LSM, AcousticWave2D, Kirchhoff

RNG = np.random.default_rng(0)
X, Z, Y, T = np.arange(8) * 10.0, np.arange(7) * 6.0, np.arange(5) * 9.0, np.arange(60) * 0.004
SRCS = np.array([[1.3, 31.0, 66.0], [11.0, 2.0, 0.7]])
RECS = np.array([[3.1, 20.9, 41.0, 68.8], [13.0, 0.3, 1.9, 0.1]])
SRCS3, RECS3 = np.vstack(([2.3, 17.7, 30.0], SRCS)), np.vstack(([15.1, 0.9, 30.0, 22.0], RECS))
WAV, _, CENTER = ricker(np.arange(7) * 0.004, 30)
SPEED = 1100.0


@pytest.fixture
def on_the_fly():
    before = get_sparse_limit()
    set_sparse_limit(0)
    yield
    set_sparse_limit(before)


def _taper(value, limits):
    """Return the 20 steps of PyLops's taper."""
    ramp = np.r_[1.0, np.hanning(39)[19::-1]]
    low, high = limits
    if value >= high:
        return 0.0
    return 1.0 if value < low else ramp[int(20 * (value - low) / (high - low))]


def _truth(m, axes, srcs, recs, t, dynamic=False, angles=None, aperture=None, speed=SPEED, tables=None):
    """Return demigrated data without a wavelet, summed point by point; ``recs`` are of each shot, or of all."""
    grid = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")])
    steps = [axis[1] - axis[0] for axis in axes]

    def way(position):
        return np.sqrt(((grid - position[:, None]) ** 2).sum(0))

    def rays(times):
        parts = np.gradient(times.reshape([len(axis) for axis in axes]), *steps)
        return np.stack([part.ravel() for part in parts])

    ns, nr = srcs.shape[1], recs.shape[-1]
    ways = [[way(p) for p in positions.reshape(len(axes), -1).T] for positions in (srcs, recs)]
    e = 0.01 * sum(np.nanmax(np.stack(some)) for some in ways)
    power = 0.5 if len(axes) == 2 else 1.0
    velocity = np.broadcast_to(np.ravel(speed), grid.shape[1])
    y = np.zeros((ns, nr, len(t)))
    for s in range(ns):
        for r in range(nr):
            column = s * nr + r if recs.ndim == 3 else r
            receiver = recs.reshape(len(axes), -1)[:, column]
            if np.isnan(receiver).any():
                continue
            if tables is None:
                times = [ways[0][s] / speed, ways[1][column] / speed]
                amps = [(ways[0][s] + e) ** -power, (ways[1][column] + e) ** -power]
            else:
                (ts, tr), (bs, br) = tables
                times, amps = [ts[:, s], tr[:, column]], [bs[:, s], br[:, column]]
            both = [rays(time) for time in times]
            for i in range(grid.shape[1]):
                weight = 1.0
                a, b = (one[:, i] for one in both)
                if dynamic:
                    cosine = np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)
                    weight = 2 * np.cos(np.arccos(cosine) / 2) * amps[0][i] * amps[1][i] / velocity[i]
                if angles is not None:
                    for ray in (a, b):
                        angle = np.arctan2(np.linalg.norm(ray[:-1]), ray[-1])
                        weight *= _taper(np.rad2deg(angle), angles)
                if aperture is not None:
                    offset = np.linalg.norm((srcs[:, s] - receiver)[:-1])
                    weight *= _taper(offset / grid[-1, i] if grid[-1, i] > 0 else np.inf, aperture)
                position = (times[0][i] + times[1][i] - t[0]) / (t[1] - t[0])
                if 0 <= position < len(t) - 1:
                    k = int(position)
                    y[s, r, k] += m.ravel()[i] * weight * (1 - position + k)
                    y[s, r, k + 1] += m.ravel()[i] * weight * (position - k)
    return y


def _kirchhoff(axes=(X, Z), srcs=SRCS, recs=RECS, vel=SPEED, wav=(1.0,), center=0, t=T, **options):
    y = axes[0] if len(axes) == 3 else None
    return Kirchhoff(axes[-1], axes[-2], t, srcs, recs, vel, wav, center, y=y, **{"mode": "analytic", **options})


# -- against the sum that is written out -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "truth"),
    [
        ({}, {}),
        ({"dynamic": True, "angleaperture": None}, {"dynamic": True}),
        ({"dynamic": True}, {"dynamic": True, "angles": (72, 90)}),
        ({"dynamic": True, "angleaperture": (30, 61)}, {"dynamic": True, "angles": (30, 61)}),
        ({"angleaperture": 60}, {"angles": (48, 60)}),
        ({"aperture": 1.7}, {"aperture": (0.8 * 1.7, 1.7)}),
        ({"dynamic": True, "angleaperture": None, "aperture": (0.4, 2.1)}, {"dynamic": True, "aperture": (0.4, 2.1)}),
        ({"aperture": (1.0, 1.0)}, {"aperture": (1.0, 1.0)}),
    ],
    ids=str,
)
@pytest.mark.parametrize("ndim", [2, 3])
def test_sum_written_out(options, truth, ndim):
    """Rays that turn upwards (sources below image points), unequal steps, apertures with and without amplitudes."""
    axes, srcs, recs = ((X, Z), SRCS, RECS) if ndim == 2 else ((Y, X[:5], Z), SRCS3, RECS3)
    m = RNG.standard_normal([len(axis) for axis in axes])
    got = _kirchhoff(axes, srcs, recs, **options)(m)
    want = _truth(m, axes, srcs, recs, T, **truth)
    assert np.abs(want).max() > 0
    np.testing.assert_allclose(got, want, atol=1e-12 * np.abs(want).max())


def test_apertures_have_an_effect():
    m = np.ones((8, 7))
    plain = _kirchhoff()(m)
    for options in ({"aperture": 2.0}, {"angleaperture": 45.0}):
        assert np.abs(_kirchhoff(**options)(m) - plain).max() > 0.1 * np.abs(plain).max()
    np.testing.assert_array_equal(_kirchhoff(angleaperture=90.0)(m), plain)  # the default, as in PyLops


def test_given_tables_have_angles_in_the_units_of_the_axes():
    grid = np.stack([a.ravel() for a in np.meshgrid(X, Z, indexing="ij")])
    ways = [np.sqrt(((grid[:, :, None] - p[:, None]) ** 2).sum(0)) for p in (SRCS, RECS)]
    tables = [way / 1000 for way in ways], [1 / (way + 5) for way in ways]
    speed = RNG.uniform(900, 1300, (8, 7))
    m = RNG.standard_normal((8, 7))
    K = _kirchhoff(
        vel=speed, mode="byot", dynamic=True, trav=tuple(tables[0]), amp=tuple(tables[1]), angleaperture=(40, 70)
    )
    want = _truth(m, (X, Z), SRCS, RECS, T, True, (40, 70), speed=speed, tables=tables)
    np.testing.assert_allclose(K(m), want, atol=1e-12 * np.abs(want).max())


def test_both_horizontal_axes_are_alike():
    options = {"dynamic": True, "angleaperture": 80.0, "aperture": 3.0}
    m = RNG.standard_normal((5, 8, 7))
    K = _kirchhoff((Y, X, Z), SRCS3, RECS3, **options)
    swapped = _kirchhoff((X, Y, Z), SRCS3[[1, 0, 2]], RECS3[[1, 0, 2]], **options)
    assert K.dims == (5, 8, 7)
    np.testing.assert_allclose(K(m), swapped(m.swapaxes(0, 1)), atol=1e-18)


def test_a_time_axis_may_begin_at_any_time():
    m = RNG.standard_normal((8, 7))
    whole = _kirchhoff(t=np.arange(100) * 0.004)(m)
    later = _kirchhoff(t=np.arange(25, 75) * 0.004)
    earlier = _kirchhoff(t=np.arange(-20, 80) * 0.004)
    reached = np.abs(whole[..., 25:]).max()
    assert reached > 0
    np.testing.assert_allclose(earlier(m)[..., 20:], whole[..., :80], atol=1e-11)
    inside = later(m)[..., 1:-1]  # an arrival must be between two samples
    np.testing.assert_allclose(inside, whole[..., 26:74], atol=1e-11)


# -- against PyLops ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"wavfilter": True},
        {"dynamic": True},
        {"dynamic": True, "angleaperture": (20.0, 55.0)},
        {"mode": "byot"},
        {"mode": "byot", "wavfilter": True},
    ],
    ids=str,
)
def test_numbers_of_pylops(options):
    theirs = pytest.importorskip("pylops.waveeqprocessing.kirchhoff")
    if options.get("mode") == "byot":
        options = {**options, "trav": tuple(RNG.uniform(0, 0.12, (56, n)) for n in (3, 4))}
    arguments = (Z, X, T, SRCS, RECS, SPEED, WAV, CENTER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        P = theirs.Kirchhoff(*arguments, **{"mode": "analytic", **options})
    K = Kirchhoff(*arguments, **{"mode": "analytic", **options})
    m, d = RNG.standard_normal(56), RNG.standard_normal(3 * 4 * 60)
    for got, want in ((K @ m, P @ m), (K.H @ d, P.H @ d)):
        np.testing.assert_allclose(got, want, atol=1e-12 * np.abs(want).max())
    for name in ("trav_srcs", "trav_recs", *(("amp_srcs", "amp_recs") if options.get("dynamic") else ())):
        np.testing.assert_allclose(getattr(K, name), getattr(P, name), rtol=1e-12)
    if options.get("dynamic"):
        np.testing.assert_allclose(K.angle_srcs, P.angle_srcs, atol=1e-12)
        assert K.maxdist == pytest.approx(P.maxdist)


# -- kernels -----------------------------------------------------------------------------------------------------


def _large(**options):
    """Return an operator whose arrivals come in many chunks, are partly too early and too late, and the truth."""
    x, z, t = np.arange(60) * 10.0, np.arange(50) * 8.0, np.arange(40) * 0.012 + 0.1
    positions = np.stack((np.linspace(0, 590, 10), np.zeros(10)))
    return _kirchhoff((x, z), positions, positions, 1500.0, WAV, CENTER, t, **options)


KINDS = {
    "kinematic": {},
    "dynamic": {"dynamic": True},
    "apertures": {"dynamic": True, "aperture": 2.0, "angleaperture": 50.0},
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.complex128])
@pytest.mark.parametrize("limit", [0, 2**28])
def test_fast_kernels(options, dtype, limit):
    K = _large(**options).sums
    before = get_sparse_limit()
    set_sparse_limit(limit)
    try:
        for batch in ((), (3,), (2, 2)):
            x, y = torch.randn(*batch, *K.dims, dtype=dtype), torch.randn(*batch, *K.dimsd, dtype=dtype)
            for fast, slow in ((K(x), K._forward(x)), (K.H(y), K._adjoint(y))):
                assert (fast.dtype, fast.shape) == (slow.dtype, slow.shape)
                tolerance = 1e-5 if dtype == torch.float32 else 1e-13
                torch.testing.assert_close(fast, slow, rtol=0, atol=tolerance * float(slow.abs().max()))
        assert bool(K._products._kept) == (limit > 0)
    finally:
        set_sparse_limit(before)


@pytest.mark.usefixtures("on_the_fly")
def test_a_large_image_is_divided(monkeypatch):
    """An image of more points than a chunk has is summed in parts, and differentiable kernels do the same."""
    monkeypatch.setattr("torchlops.waveeqprocessing._arrivals.CHUNK", 700)
    K = _large().sums
    x, y = torch.randn(2, *K.dims, dtype=torch.float64), torch.randn(2, *K.dimsd, dtype=torch.float64)
    results = [K(x), K._forward(x), K.H(y), K._adjoint(y)]
    monkeypatch.undo()
    for got, want in zip(results, [K._forward(x)] * 2 + [K._adjoint(y)] * 2, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


def test_unusual_times(on_the_fly):
    """Times that are NaN, infinite, too early or too late add nothing."""
    trav = np.full((3000, 10), 0.06)
    trav[0], trav[1], trav[2], trav[3] = np.nan, np.inf, -0.2, 0.1 + 39.5 * 0.012 - 0.05
    x = torch.ones(60, 50, dtype=torch.float64)
    K = _large(mode="byot", trav=(trav, np.full((3000, 10), 0.05)))
    y = K.sums(x)
    torch.testing.assert_close(y, K.sums._forward(x))
    assert y.isfinite().all()
    assert y[0].sum() == pytest.approx(2996)
    set_sparse_limit(2**28)
    torch.testing.assert_close(K.sums(x), y)


BOUNDED = """
import resource, numpy as np, torch, torchlops
from torchlops.waveeqprocessing import Kirchhoff
torch.set_num_threads(1)
x = np.arange(100) * 10.0
positions = np.stack((np.linspace(0, 990, 50), np.zeros(50)))
K = Kirchhoff(x, x, np.arange(500) * 0.004, positions, positions, 1100.0, np.ones(1), 0, mode="analytic")
m, d = torch.ones(K.dims, dtype=torch.float64), torch.ones(K.dimsd, dtype=torch.float64)
small = Kirchhoff(x, x[:9], np.arange(500) * 0.004, positions, positions, 1100.0, np.ones(1), 0, mode="analytic")
small.H(small(torch.ones(small.dims, dtype=torch.float64)))  # what torch needs once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
K(m)
K.H(d)
leaf = m.requires_grad_()
K(leaf).sum().backward()
assert not K.sums._products._kept
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
def test_memory_is_bounded():
    """50 x 50 pairs and 100 x 100 points take less than 100 MiB, where a matrix would take 600."""
    done = subprocess.run([sys.executable, "-c", BOUNDED], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 100


def test_data_in_single_precision():
    """Times stay in float64, also in an operator that is cast."""
    K, x = _large(), torch.randn(60, 50)
    exact = K(x.double())
    K.wav = K.wav.float()
    got = [K(x), copy.deepcopy(K).float()(x), K.sums._forward(x)]
    scale = float(exact.abs().max())
    assert all(y.dtype == torch.float32 for y in got)
    assert (got[0].double() - exact).abs().max() < 1e-6 * scale
    assert (got[1].double() - exact).abs().max() < 1e-6 * scale
    assert (got[2].double() - K.sums(x.double())).abs().max() < 1e-6 * scale


def test_complex_models_have_separate_parts():
    K = _large()
    x, y = torch.randn(60, 50, dtype=torch.complex128), torch.randn(K.dimsd, dtype=torch.complex128)
    torch.testing.assert_close(K(x), torch.complex(K(x.real), K(x.imag)))
    torch.testing.assert_close(K.H(y), torch.complex(K.H(y.real), K.H(y.imag)))


def test_tables_that_are_replaced_are_seen():
    K = _large()
    x = torch.ones(60, 50, dtype=torch.float64)
    K(x)
    later = K.trav_srcs + 0.1
    with pytest.raises(ValueError, match="read-only"):
        K.trav_srcs[0] = 0.0
    K.trav_srcs = later
    np.testing.assert_array_equal(K.trav_srcs, later)
    torch.testing.assert_close(K.sums(x), K.sums._forward(x))
    with pytest.raises(ValueError, match="shape"):
        K.trav_srcs = later[:5]
    with pytest.raises(AttributeError, match="none was given"):
        K.amp_srcs = later
    with pytest.raises(AttributeError, match="constant"):
        K.trav_srcs = torch.tensor(later, requires_grad=True)
    with pytest.raises(AttributeError, match="build a new operator"):
        _large(dynamic=True).vel = 1600.0


@pytest.mark.parametrize("factor", [1e-12, 1e12])
@pytest.mark.parametrize("options", [{}, {"dynamic": True, "aperture": 2.0}], ids=str)
def test_no_scale_is_special(factor, options):
    m = RNG.standard_normal((8, 7))
    want = _kirchhoff(**options)(m)
    got = _kirchhoff((X * factor, Z * factor), SRCS * factor, RECS * factor, SPEED * factor, **options)(m)
    scale = factor**2 if options else 1.0
    np.testing.assert_allclose(got * scale, want, atol=1e-9 * np.abs(want).max())
    np.testing.assert_allclose(_kirchhoff(**options)(m * factor), want * factor, rtol=1e-9, atol=0)


# -- receivers of each shot --------------------------------------------------------------------------------------

SPREADS = np.array(
    [
        [[3.1, 20.9, 41.0], [20.9, np.nan, np.nan], [np.nan, 41.0, 68.8]],
        [[3.0, 0.3, 1.9], [0.3, np.nan, np.nan], [np.nan, 1.9, 0.1]],
    ]
)
STATIONS = np.array([[3.1, 20.9, 41.0, 68.8], [3.0, 0.3, 1.9, 0.1]])
INDEX = np.array([[0, 1, 2], [1, -1, -1], [-1, 2, 3]])


@pytest.mark.parametrize(
    "options", [{}, {"aperture": 1.8}, {"mode": "eikonal", "vel": np.full((8, 7), SPEED)}], ids=str
)
def test_receivers_of_each_shot(options):
    """The data are those of a loop over operators of one shot each; absent traces are zero, and not looked at."""
    K = _kirchhoff(recs=SPREADS, wav=WAV, center=CENTER, **options)
    J = _kirchhoff(recs=STATIONS, receivers=INDEX, wav=WAV, center=CENTER, **options)
    assert K.dimsd == J.dimsd == (3, 3, 60)
    m, d = RNG.standard_normal((2, 8, 7)), RNG.standard_normal((3, 3, 60))
    absent = np.isnan(SPREADS[0])
    want, image = np.zeros((2, 3, 3, 60)), np.zeros((8, 7))
    for s in range(3):
        present = ~absent[s]
        one = _kirchhoff(srcs=SRCS[:, s : s + 1], recs=SPREADS[:, s, present], wav=WAV, center=CENTER, **options)
        want[:, s, present] = one(m)[:, 0]
        image += one.H(d[s : s + 1, present])
    d[absent] = np.nan
    for A in (K, J):
        np.testing.assert_allclose(A(m), want, atol=1e-12)
        assert not A(m)[:, absent].any()
        np.testing.assert_allclose(A.H(d), image, atol=1e-12)
    assert K.sums.dimsd == (6, 60)  # traces that are computed
    assert K.trav_recs.shape == (56, 4)  # stations that shots share are one


@pytest.mark.parametrize("mode", ["analytic", "eikonal"])
def test_absent_receivers_have_no_part_in_amplitudes(mode):
    """One percent of the longest way is added to all, so receivers that are not there must not be at the origin."""
    if mode == "eikonal":
        pytest.importorskip("skfmm")
    far = np.array([1e3, 20.0])[:, None]
    recs = np.stack([RECS, RECS[:, ::-1], RECS], 1)
    recs[:, 0, 2] = recs[:, 1, 0] = np.nan
    x = torch.tensor(RNG.normal(size=(8, 7)))

    def build(recs, **options):
        shift = torch.tensor(far) if isinstance(recs, torch.Tensor) else far
        return Kirchhoff(Z + 20, X + 1e3, T, SRCS + far, recs + shift[..., None], SPEED, WAV, CENTER, mode=mode,
                         dynamic=True, **options)  # fmt: skip

    want = build(recs)(x)
    for given in (torch.tensor(recs), torch.tensor(recs, dtype=torch.float64).requires_grad_(mode == "analytic")):
        torch.testing.assert_close(build(given)(x).detach(), want, rtol=1e-12, atol=1e-12 * float(want.abs().max()))
    if mode == "eikonal":
        return
    learned = torch.tensor(recs, requires_grad=True)
    (slope,) = torch.autograd.grad(build(learned)(x).square().sum(), learned)
    step = np.where(np.isnan(recs), 0, RNG.normal(size=recs.shape)) * 1e-5
    change = sum(sign * float(build(recs + sign * step)(x).square().sum()) for sign in (1, -1)) / 2
    assert float((slope * torch.tensor(step)).sum()) == pytest.approx(change, rel=1e-5)


def test_given_times_of_each_shot():
    K = _kirchhoff(recs=SPREADS, dynamic=True)
    trav = K.trav_srcs, np.full((56, 9), np.nan)
    amp = K.amp_srcs, np.full((56, 9), np.nan)
    _, number = np.unique(SPREADS[:, INDEX >= 0], axis=1, return_inverse=True)
    trav[1][:, (INDEX >= 0).ravel()] = K.trav_recs[:, number.ravel()]
    amp[1][:, (INDEX >= 0).ravel()] = K.amp_recs[:, number.ravel()]
    m = RNG.standard_normal((8, 7))
    want = K(m)
    J = _kirchhoff(recs=SPREADS, mode="byot", dynamic=True, trav=trav, amp=amp)
    np.testing.assert_allclose(J(m), want, atol=1e-15 * np.abs(want).max())
    table = (trav[0][:, :, None] + trav[1].reshape(56, 3, 3)).reshape(56, 9)
    I = _kirchhoff(recs=SPREADS, mode="byot", trav=table)  # noqa: E741
    np.testing.assert_allclose(I(m), _kirchhoff(recs=SPREADS)(m), atol=1e-12)


def test_gradients_reach_the_receivers_of_each_shot():
    recs = torch.tensor(SPREADS, requires_grad=True)
    K = _kirchhoff(recs=recs)
    K(torch.ones(8, 7, dtype=torch.float64)).pow(2).sum().backward()
    assert recs.grad.isfinite().all()
    assert (recs.grad[:, INDEX < 0] == 0).all()
    assert (recs.grad[:, INDEX >= 0] != 0).any()


# -- derivatives -------------------------------------------------------------------------------------------------


def _slopes(loss, tensor, step):
    """Return the derivative of a loss along a random direction, by autograd and by central differences."""
    direction = torch.randn(tensor.shape, dtype=tensor.dtype, generator=torch.Generator().manual_seed(1))
    direction = direction * tensor.detach().abs().mean()
    tensor.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(tensor), tensor)
    tensor = tensor.detach()
    difference = (loss(tensor + step * direction) - loss(tensor - step * direction)) / (2 * step)
    return float((gradient * direction).sum()), float(difference)


@pytest.mark.parametrize("what", ["trav", "vel", "srcs", "recs", "amp"])
def test_derivatives_against_differences(what):
    x, z = np.arange(30) * 10.0, np.arange(25) * 8.0
    m = torch.randn(30, 25, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    positions = np.stack((np.linspace(1.7, 288.1, 6), np.full(6, 1.1)))
    plain = Kirchhoff(z, x, T, positions, positions, SPEED, WAV, CENTER, mode="analytic", dynamic=True)
    tables = {name: torch.tensor(np.array(getattr(plain, name))) for name in ("trav_srcs", "trav_recs", "amp_srcs")}

    def loss(tensor):
        places = {"srcs": positions, "recs": positions, "vel": SPEED} | {what: tensor}
        if what in ("trav", "amp"):
            options = {"mode": "byot", "trav": (tables["trav_srcs"], tables["trav_recs"])}
            options |= {"dynamic": True, "amp": (tensor, plain.amp_recs)} if what == "amp" else {}
            options |= {"trav": (tensor, tables["trav_recs"])} if what == "trav" else {}
        else:
            options = {"mode": "analytic", "dynamic": True, "angleaperture": None}
        K = Kirchhoff(z, x, T, places["srcs"], places["recs"], places["vel"], WAV, CENTER, **options)
        return K(m).pow(2).sum()

    given = {
        "trav": tables["trav_srcs"],
        "amp": tables["amp_srcs"],
        "vel": torch.tensor(SPEED, dtype=torch.float64),
        "srcs": torch.tensor(positions),
        "recs": torch.tensor(positions),
    }[what]
    slope, difference = _slopes(loss, given, 1e-8)
    assert slope == pytest.approx(difference, rel=1e-6)


def test_the_wavelet_learns_with_fast_sums():
    K = _large()
    m = torch.randn(60, 50, dtype=torch.float64)
    K.wav = torch.tensor(WAV, requires_grad=True)
    d = torch.randn(K.dimsd, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((K(m) * d).sum(), K.wav)
    assert K.sums._products._kept
    unit = torch.zeros(len(WAV), dtype=torch.float64)
    unit[3] = 1.0
    K.wav = unit
    torch.testing.assert_close(gradient[3], (K(m) * d).sum())


# -- eikonal -----------------------------------------------------------------------------------------------------


def _accuracy(places):
    """Return the mean errors in ms of the times from places, in a velocity that increases with depth."""
    x = np.arange(100) * 10.0
    grid_x, grid_z = np.meshgrid(x, x, indexing="ij")
    velocity = 1500.0 + grid_z
    errors = []
    K = Kirchhoff(x, x, T, places, places[:, :1], velocity, np.ones(1), 0, mode="eikonal")
    for (px, pz), times in zip(places.T, K.trav_srcs.T, strict=True):
        square = (grid_x - px) ** 2 + (grid_z - pz) ** 2
        exact = np.arccosh(1 + square / (2 * (1500 + pz) * velocity))
        errors.append(1e3 * np.abs(times - exact.ravel()).mean())
    return errors


def test_eikonal():
    pytest.importorskip("skfmm")
    numbers = np.random.default_rng(3)
    on = numbers.integers(0, 99, (2, 10)) * np.array([[10.0], [5.0]]) // 10 * 10
    off = numbers.uniform(0, 990, (2, 10)) * np.array([[1.0], [0.5]])
    assert np.mean(_accuracy(on)) < 0.7
    assert np.mean(_accuracy(off)) < 0.7


def test_eikonal_moves_with_its_source():
    pytest.importorskip("skfmm")
    x = np.arange(30) * 4.0
    velocity = np.full((30, 30), 1000.0)
    places = np.array([[40.0, 41.9], [8.0, 8.0]])
    K = Kirchhoff(x, x, T, places, places, velocity, np.ones(1), 0, mode="eikonal")
    grid_x, grid_z = np.meshgrid(x, x, indexing="ij")
    for place, times in zip(places.T, K.trav_srcs.T, strict=True):
        exact = np.hypot(grid_x - place[0], grid_z - place[1]).ravel() / 1000.0
        assert np.abs(times - exact).mean() < 0.4e-3  # a tenth of a cell
        assert np.abs(times - exact).max() < 1e-3
    assert np.abs(K.trav_srcs[:, 0] - K.trav_srcs[:, 1]).max() > 1.5e-3
    with pytest.raises(ValueError, match=r"a source at \(-1.0, 0.0\) is outside of the grid"):
        Kirchhoff(x, x, T, np.array([[-1.0], [0.0]]), places, velocity, np.ones(1), 0, mode="eikonal")


@pytest.mark.parametrize("order", [lambda v: v.T.copy().T, lambda v: np.broadcast_to(v[0], v.shape)])
def test_the_order_of_the_velocity_in_memory_is_of_no_account(order):
    """scikit-fmm reads the memory of an array as if it were contiguous."""
    pytest.importorskip("skfmm")
    velocity = np.tile(np.linspace(900, 1500, 7), (8, 1))
    want, got = (_kirchhoff(mode="eikonal", vel=vel).trav_srcs for vel in (velocity, order(velocity)))
    np.testing.assert_array_equal(got, want)


def test_eikonal_in_3d_and_on_grids_smaller_than_the_sphere():
    pytest.importorskip("skfmm")
    tables = [
        Kirchhoff._traveltime_table(Z, X, SRCS3, RECS3, vel, y=Y, mode=mode)
        for vel, mode in ((SPEED, "analytic"), (np.full((5, 8, 7), SPEED), "eikonal"))
    ]
    for exact, got in zip(tables[0][:4], tables[1][:4], strict=True):
        np.testing.assert_allclose(got, exact, atol=6e-3 if exact.max() < 1 else 1e-9)  # cells of 9 ms
        assert np.abs(got - exact).mean() < 1e-3
    x = np.arange(3) * 10.0
    K = Kirchhoff(x, x, T, SRCS[:, :1], SRCS[:, :1], 1000.0, np.ones(1), 0, mode="eikonal")
    exact = Kirchhoff(x, x, T, SRCS[:, :1], SRCS[:, :1], 1000.0, np.ones(1), 0, mode="analytic")
    np.testing.assert_allclose(K.trav_srcs, exact.trav_srcs, atol=1e-12)


# -- what is refused ---------------------------------------------------------------------------------------------

REFUSED = {
    "mode": ({"mode": "foo"}, ValueError, "mode must be either 'analytic', 'eikonal' or 'byot'"),
    "velocity of a shape": ({"vel": np.ones((8, 7))}, ValueError, "vel must be scalar"),
    "transposed velocity": ({"vel": np.ones((7, 8)), "mode": "eikonal"}, ValueError, r"of shape \(8, 7\)"),
    "negative velocity": ({"vel": -1.0}, ValueError, "positive"),
    "positions": ({"srcs": SRCS3}, ValueError, r"srcs must be positions \(2, n\)"),
    "nan positions": ({"recs": RECS * np.nan}, ValueError, "NaN"),
    "complex positions": ({"recs": RECS + 1j}, TypeError, "real numbers"),
    "receivers of other shots": ({"recs": SPREADS[:, :2]}, ValueError, "2 shots, but srcs 3"),
    "no receivers": ({"recs": SPREADS * np.nan}, ValueError, "no shot has a receiver"),
    "receivers twice": ({"recs": SPREADS, "receivers": INDEX}, ValueError, "stations"),
    "receivers out of range": ({"receivers": INDEX + 2}, ValueError, "from -1"),
    "receivers as fractions": ({"receivers": INDEX + 0.5}, ValueError, "integers"),
    "long wavelet": ({"wav": np.ones(61)}, ValueError, "wav must be"),
    "center": ({"wav": WAV, "center": 20}, ValueError, "offset"),
    "no times": ({"mode": "byot"}, ValueError, "needs travel times"),
    "one table, dynamic": ({"mode": "byot", "trav": np.ones((56, 12)), "dynamic": True}, NotImplementedError, "pair"),
    "no amplitudes": (
        {"mode": "byot", "trav": (np.ones((56, 3)), np.ones((56, 4))), "dynamic": True}, NotImplementedError, "amp"
    ),
    "times of another shape": ({"mode": "byot", "trav": (np.ones((56, 4)), np.ones((56, 4)))}, ValueError, "56, 3"),
    "times of the wrong order": ({"mode": "byot", "trav": (np.ones((3, 56)), np.ones((56, 4)))}, ValueError, "56, 3"),
    "limits": ({"aperture": (2.0, 1.0)}, ValueError, "aperture must be"),
    "three limits": ({"angleaperture": (1.0, 2.0, 3.0)}, ValueError, "angleaperture must be"),
    "irregular times": ({"t": T**2}, ValueError, "t must increase in equal steps"),
    "irregular depths": ({"axes": (X, Z**2), "dynamic": True}, ValueError, "z must increase"),
    "axis that learns": ({"axes": (torch.tensor(X, requires_grad=True), Z)}, TypeError, "detach"),
    "engine": ({"engine": "abacus"}, ValueError, "engine"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(options, error, message):
    with pytest.raises(error, match=message):
        _kirchhoff(**options)


@pytest.mark.parametrize("learns", [False, True])
def test_positions_that_are_none_are_refused_as_tensors(learns):
    """They would be at the origin."""
    for what, positions in (("srcs", SRCS), ("recs", RECS)):
        given = torch.tensor(np.where(positions == positions[0, 1], np.nan, positions), requires_grad=learns)
        with pytest.raises(ValueError, match=f"{what} has NaN"):
            Kirchhoff(Z, X, T, **{"srcs": SRCS, "recs": RECS, what: given}, vel=SPEED, wav=WAV, wavcenter=CENTER,
                      mode="analytic")  # fmt: skip
    srcs = torch.tensor(SRCS)
    K = Kirchhoff(Z, X, T, srcs, RECS, SPEED, WAV, CENTER, mode="analytic")
    x = torch.ones(8, 7, dtype=torch.float64)
    before = K(x)
    srcs[:, 1] = float("nan")  # in place, this source has no arrivals
    torch.testing.assert_close(K(x)[::2], before[::2], rtol=0, atol=0)
    assert not K(x)[1].any()


def test_complex_geometry_is_refused_as_tensors():
    times = torch.full((56, 3), 0.1), torch.full((56, 4), 0.1)
    for given in (
        {"srcs": torch.tensor(SRCS + 0j)},
        {"recs": torch.tensor(RECS + 0j)},
        {"vel": torch.tensor(SPEED + 0j)},
        {"mode": "byot", "trav": (times[0], times[1] + 0j)},
        {"mode": "byot", "dynamic": True, "trav": times, "amp": (times[0] + 0j, times[1])},
        {"mode": "byot", "dynamic": True, "trav": times, "amp": times, "vel": torch.full((8, 7), 1 + 0j)},
    ):
        options = {"srcs": SRCS, "recs": RECS, "vel": SPEED, "mode": "analytic", **given}
        with pytest.raises(TypeError, match="must be real"):
            Kirchhoff(Z, X, T, wav=WAV, wavcenter=CENTER, **options)


def test_tables_in_another_order_are_refused():
    """Tables may have the axes of the model and of the pairs, but not transposed."""
    K = _kirchhoff_of_tables((56, 3), (56, 4))
    x = RNG.normal(size=(8, 7))
    np.testing.assert_array_equal(_kirchhoff_of_tables((8, 7, 3), (8, 7, 4)) @ x, K @ x)
    for shapes in (((7, 8, 3), (56, 4)), ((56, 3), (7, 8, 4)), ((3, 56), (56, 4)), ((28, 2, 3), (56, 4))):
        with pytest.raises(ValueError, match="in the order of models"):
            _kirchhoff_of_tables(*shapes)
    for shape in ((56, 12), (8, 7, 12), (56, 3, 4), (8, 7, 3, 4)):
        assert _kirchhoff_of_tables(shape).dimsd == (3, 4, 60)
    for shape in ((56, 4, 3), (7, 8, 12), (8, 7, 4, 3)):
        with pytest.raises(ValueError, match="in the order of models"):
            _kirchhoff_of_tables(shape)


def _kirchhoff_of_tables(*shapes):
    tables = [np.linspace(0.01, 0.1, np.prod(shape)).reshape(shape) for shape in shapes]
    trav = tuple(tables) if len(tables) == 2 else tables[0]
    return Kirchhoff(Z, X, T, SRCS, RECS, SPEED, WAV, CENTER, mode="byot", trav=trav)


def test_eikonal_refuses_what_it_cannot_differentiate():
    pytest.importorskip("skfmm")
    velocity = torch.full((8, 7), SPEED, dtype=torch.float64)
    K = _kirchhoff(mode="eikonal", vel=velocity)
    assert K.trav_srcs.shape == (56, 3)
    for key, value in {"vel": velocity, "srcs": torch.tensor(SRCS), "recs": torch.tensor(RECS)}.items():
        with pytest.raises(TypeError, match=f"{key} carries a derivative"):
            _kirchhoff(mode="eikonal", **{"vel": velocity.detach(), key: value.clone().requires_grad_()})


def test_tangents_are_not_lost():
    """Forward-mode derivatives of what is read as numbers raise, too."""
    pytest.importorskip("skfmm")
    forward = torch.autograd.forward_ad
    velocity = torch.full((8, 7), SPEED, dtype=torch.float64)
    depths = torch.tensor(Z)
    with forward.dual_level():
        with pytest.raises(TypeError, match="vel carries a derivative"):
            _kirchhoff(mode="eikonal", vel=forward.make_dual(velocity, velocity))
        with pytest.raises(TypeError, match="z is a grid"):
            _kirchhoff((X, forward.make_dual(depths, depths)))
    with pytest.raises(TypeError, match="vel carries a derivative"):
        torch.func.jvp(lambda vel: _kirchhoff(mode="eikonal", vel=vel)(velocity), (velocity,), (velocity,))


def test_what_is_not_used_is_said():
    with pytest.warns(UserWarning, match="not used"):
        _kirchhoff(trav=np.ones((56, 12)))


# -- least-squares migration -------------------------------------------------------------------------------------


def _lsm(**options):
    x, z, t = np.arange(21) * 4.0, np.arange(15) * 4.0, np.arange(80) * 0.004
    srcs = np.stack((np.linspace(8, 72, 4), np.full(4, 1.0)))
    recs = np.stack((np.linspace(4, 76, 5), np.full(5, 2.0)))
    wav, _, center = ricker(t[:11], 25)
    return LSM(z, x, t, srcs, recs, 1000.0, wav, center, **{"mode": "analytic", **options})


def test_lsm_has_the_numbers_of_pylops():
    pylops = pytest.importorskip("pylops")
    lsm = _lsm(dottest=True)
    m = np.zeros((21, 15))
    m[:, 7] = 1.0
    d = lsm.Demop @ m
    from scipy.sparse.linalg import lsqr

    matrix = pylops.MatrixMult(lsm.Demop.todense())
    few = {"iter_lim": 15, "atol": 0, "btol": 0}
    want = lsqr(matrix, d.ravel(), **few)[0].reshape(21, 15)
    for data in (d, d.ravel(), d.reshape(20, 80)):
        got = lsm.solve(data, **few)
        assert got.shape == (21, 15)
        np.testing.assert_allclose(got, want, atol=1e-8)
    np.testing.assert_allclose(lsm.solve(d, solver=lsqr, **few), want, atol=1e-8)
    with pytest.raises(ValueError, match="data must be of shape"):
        lsm.solve(d[:2])


def test_lsm_solves_each_sample_of_a_batch():
    lsm = _lsm()
    d = lsm.Demop(torch.randn(2, 3, 21, 15, dtype=torch.float64)) * torch.tensor([1.0, 1e-8, 1e8])[:, None, None, None]
    got = lsm.solve(d, niter=15)
    assert got.shape == (2, 3, 21, 15)
    for index in np.ndindex(2, 3):
        want = lsm.solve(d[index], niter=15)
        torch.testing.assert_close(got[index], want, rtol=0, atol=1e-6 * float(want.abs().max()))
    flat = lsm.solve(d.flatten(-3), solver=torchlops.cgls, niter=15, tol=0.0)[1, 0]
    torch.testing.assert_close(flat, got[1, 0], rtol=0, atol=1e-3 * float(flat.abs().max()))


def test_lsm_is_differentiable():
    wav = torch.tensor(ricker(np.arange(11) * 0.004, 25)[0])
    lsm = _lsm()
    d = lsm.Demop(torch.randn(21, 15, dtype=torch.float64))

    def loss(wav, d):
        lsm.Demop.wav = wav
        return lsm.solve(d, solver=torchlops.cgls, damp=1.0, niter=500, tol=1e-24).pow(2).sum()

    for tensor, function in ((wav, lambda w: loss(w, d)), (d.clone(), lambda d: loss(wav.detach(), d))):
        slope, difference = _slopes(function, tensor, 1e-5)
        assert slope == pytest.approx(difference, rel=1e-5)


def _lsm_by_waves(**given):
    x, z = np.arange(12) * 10.0, np.arange(10) * 10.0
    wav, _, center = ricker(np.arange(11) * 0.004, 15)
    arguments = {
        "z": z, "x": x, "t": np.arange(30) * 0.004 + 0.02, "srcs": np.array([[20.0, 80.0], [10.0, 10.0]]),
        "recs": np.array([[30.0, 55.0, 90.0], [10.0, 10.0, 20.0]]), "vel": 1500.0, "wav": wav, "wavcenter": center,
        "nbl": 8, "f0": 10.0, "dtype": "float64", **given,
    }  # fmt: skip
    return LSM(**arguments, kind="twowayac")


def test_lsm_by_the_wave_equation():
    """Times are in ms, of the axis and not of its number of samples, and the wavelet is the source."""
    A = _lsm_by_waves().Demop
    step = A.geometry.dt
    assert A.geometry.t0 == pytest.approx(20.0 - 40.0)
    assert 136.0 <= A.geometry.tn < 136.0 + step
    m = RNG.normal(size=(12, 10))
    by_waves = AcousticWave2D(
        (12, 10), (0, 0), (10, 10), np.full((12, 10), 1500.0), [20.0, 80.0], 10.0, [30.0, 55.0, 90.0],
        [10.0, 10.0, 20.0], A.geometry.t0, 136.0, nbl=8, f0=10.0, dtype="float64",
    )  # fmt: skip
    times = np.arange(0, 80.0, step)  # of the wavelet, from its first sample
    wav = ricker(np.arange(11) * 0.004, 15)[0]
    by_waves.updatesrc(np.sinc(times[:, None] / 4 - np.arange(len(wav))) @ wav)
    np.testing.assert_allclose(A @ m, by_waves @ m, rtol=0, atol=1e-12 * np.abs(A @ m).max())


@pytest.mark.slow
def test_lsm_by_the_wave_equation_is_solved():
    A, m = _lsm_by_waves().Demop, RNG.normal(size=(12, 10))
    solved = _lsm_by_waves().solve(A @ m, iter_lim=150, atol=1e-12, btol=1e-12)
    assert np.linalg.norm(A @ solved - A @ m) < 1e-2 * np.linalg.norm(A @ m)


def test_lsm_by_the_wave_equation_follows_a_wavelet_that_learns():
    wav = ricker(np.arange(11) * 0.004, 15)[0]
    learned = torch.nn.Parameter(torch.tensor(wav))
    A, m = _lsm_by_waves(wav=learned).Demop, torch.tensor(RNG.normal(size=(12, 10)))
    before = A(m).detach()
    (slope,) = torch.autograd.grad(A(m).square().sum(), learned)
    with torch.no_grad():
        learned *= 2
    torch.testing.assert_close(A(m).detach(), 2 * before)
    torch.testing.assert_close(torch.autograd.grad(A(m).square().sum(), learned)[0], 2 * slope)


def test_lsm_by_the_wave_equation_with_a_wavelet_of_one_sample():
    A = _lsm_by_waves(wav=np.ones(1), wavcenter=0).Demop
    B = _lsm_by_waves(wav=np.array([1.0, 0.0]), wavcenter=0).Demop
    m = RNG.normal(size=(12, 10))
    assert np.abs(A @ m).max() > 0.1 * np.abs(B @ m).max()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"x": np.r_[0.0, 10.0, np.arange(10) * 10.0 + 25.0]}, ValueError, "LSM: x must increase in equal steps"),
        ({"z": np.arange(10)[::-1] * 10.0}, ValueError, "LSM: z must increase in equal steps"),
        ({"t": np.r_[0.0, 0.004, np.arange(20) * 0.004 + 0.01]}, ValueError, "LSM: t must increase in equal steps"),
        ({"x": torch.arange(12) * torch.tensor(10.0, requires_grad=True)}, TypeError, "carries no gradient"),
        ({"wavcenter": -1}, ValueError, "wavcenter must be at least 0"),
        ({"wavcenter": 2.5}, TypeError, "wavcenter must be an integer"),
        ({"wavcenter": 50}, ValueError, "wavcenter=50 is not an index"),
        ({"wav": np.ones(200)}, ValueError, "at most"),
        ({"wav": 1j * np.ones(11)}, TypeError, "wav must be real"),
        ({"srcs": np.zeros((3, 2))}, ValueError, r"takes srcs of shape \(2, n\)"),
        ({"recs": np.zeros((2, 2, 3))}, ValueError, r"takes recs of shape \(2, n\)"),
        ({"y": np.arange(3) * 10.0}, ValueError, "two axes"),
    ],
)
def test_lsm_by_the_wave_equation_refuses(given, error, message):
    with pytest.raises(error, match=message):
        _lsm_by_waves(**given)


def test_lsm_refuses_another_kind():
    with pytest.raises(ValueError, match="kind must be"):
        LSM(Z, X, T, SRCS, RECS, SPEED, WAV, CENTER, kind="born")


# -- the setting -------------------------------------------------------------------------------------------------


def test_the_limit_of_sparse_matrices_is_a_setting():
    before = get_sparse_limit()
    assert before == 2**28
    K, x = _large(), torch.ones(60, 50, dtype=torch.float64)
    size = 2 * 100 * 3000 * 12
    try:
        for limit, kept in ((size - 1, []), (size, [False])):
            set_sparse_limit(limit)
            K(x)
            assert list(K.sums._products._kept) == kept
        with pytest.raises(ValueError, match="limit must be at least 0"):
            set_sparse_limit(-1)
        with pytest.raises(TypeError, match="limit must be an integer"):
            set_sparse_limit(1e9)
    finally:
        set_sparse_limit(before)
