"""Analytic reconstruction: right densities, in all geometries, and what it refuses or warns of."""

from __future__ import annotations

import copy
import math
import pickle
import warnings

import numpy as np
import pytest
import torch

import torchlops
from torchlops.medical import CT2D, CT3D, FBP, FDK, cone_vectors, parallel3d_vectors

N = 64
ROW, COLUMN = (grid - (N - 1) / 2 for grid in np.mgrid[:N, :N])
RADIUS = np.hypot(ROW, COLUMN)
DISC = np.clip(0.35 * N + 0.5 - RADIUS, 0, 1)
INSIDE = RADIUS < 0.25 * N
TURN = np.arange(120) * 2 * math.pi / 120
IRREGULAR = np.sort(np.random.default_rng(0).uniform(0, 2 * math.pi, 400))


def _random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def _chords(thetas, width, count, offset=0.0, distances=None, center=(0.0, 0.0), radius=0.35 * N):
    """Return the lengths of rays in a disc."""
    u = ((np.arange(count) - (count - 1) / 2) * width + offset)[None]
    t = np.asarray(thetas)[:, None]
    point = np.stack((u * np.cos(t), u * np.sin(t)))
    direction = np.stack((np.sin(t), -np.cos(t))) + 0 * point
    if distances is not None:
        source = distances[0] * np.stack((np.sin(t), -np.cos(t)))
        point = point + distances[1] * np.stack((-np.sin(t), np.cos(t)))
        direction = point - source
    x, y = point[0] - center[0], point[1] - center[1]
    off = (x * direction[1] - y * direction[0]) / np.hypot(*direction)
    return 2 * np.sqrt(np.clip(radius**2 - off**2, 0, None))


SCANS = {
    "parallel": ({"thetas": TURN[:60], "det_width": 1.0, "det_count": 93}, {}),
    "parallel, a turn": ({"thetas": TURN, "det_width": 0.8, "det_count": 116}, {}),
    "parallel, offset": ({"thetas": TURN, "det_width": 1.1, "det_count": 95, "det_offset": 2.3}, {}),
    "parallel, irregular": ({"thetas": IRREGULAR[::-1].copy(), "det_width": 1.0, "det_count": 93}, {}),
    "parallel, both ends": ({"thetas": np.linspace(0, math.pi, 61), "det_width": 1.0, "det_count": 93}, {}),
    "fan": ({"thetas": TURN, "det_width": 1.5, "det_count": 100}, {}),
    "fan, offset": ({"thetas": TURN + 0.1, "det_width": 1.5, "det_count": 100, "det_offset": -2.7}, {}),
    "fan, irregular": ({"thetas": IRREGULAR, "det_width": 1.4, "det_count": 100}, {}),
    "fan, short": ({"thetas": np.linspace(0.4, 4.2, 110), "det_width": 1.5, "det_count": 90}, {"short_scan": True}),
    "fan, short, back": ({"thetas": -np.linspace(2, 6.1, 90), "det_width": 1.5, "det_count": 90}, {"short_scan": True}),
}  # fmt: skip


def _scan(name):
    arguments, options = SCANS[name]
    fan = {"source_origin_dist": 150.0, "origin_detector_dist": 75.0, "proj_geom_type": "fanflat"}
    C = CT2D((N, N), **arguments, **(fan if name.startswith("fan") else {}), dtype="float64")
    return C, FBP(C, **options)


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("center", [(0.0, 0.0), (6.0, -4.0)])
def test_density_of_a_disc(scan: str, center: tuple[float, float]) -> None:
    """From the exact lengths of its chords, to one percent, also if the disc is not in the center."""
    C, F = _scan(scan)
    distances = None if C.source_origin_dist is None else (150.0, 75.0)
    thetas, width, count = C.thetas, C.det_width, C.det_count
    y = _chords(thetas, width, count, C.det_offset, distances, center, radius=0.3 * N)
    x = F(y)
    off = np.hypot(COLUMN - center[0], -ROW - center[1])
    inside, outside = off < 0.22 * N, (off > 0.38 * N) & (RADIUS < 0.5 * N)
    assert abs(x[inside].mean() - 1) < 0.005
    assert abs(x[inside] - 1).max() < 0.1
    assert abs(x[outside].mean()) < 0.01
    edge = (off > 0.26 * N) & (off < 0.34 * N)  # where a disc that is shifted by a pixel would show
    truth = np.clip(0.3 * N + 0.5 - off, 0, 1)
    assert abs((x - truth)[edge]).mean() < 0.08


def test_windows() -> None:
    C, _ = _scan("parallel")
    y, noise = C(DISC), np.random.default_rng(0).standard_normal(C.dimsd)
    variance = []
    for options in (("ramp",), ("shepp-logan",), ("hann",), ("hann", 0.5), ("ramp", 0.5)):
        F = FBP(C, *options)
        assert abs(F(y)[INSIDE].mean() - 1) < 0.01
        variance.append(F(noise).std())
    assert variance[0] > variance[1] > variance[2] > variance[3]
    assert variance[0] > variance[4]


def test_filter_is_that_of_the_formula() -> None:
    """The ramp is sampled in space: 1/4, -1 / (pi n)^2 for odd n; a window multiplies its spectrum."""
    C = CT2D((4, 4), 1.0, 9, [0.0], dtype="float64")
    impulse = torch.zeros(1, 9, dtype=torch.float64)
    impulse[0, 4] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a single view
        F, windowed = FBP(C), FBP(C, "hann")
    lag = np.arange(9) - 4
    expected = np.where(lag == 0, 0.25, np.where(lag % 2, -1 / (math.pi * np.where(lag == 0, 1, lag)) ** 2, 0))
    assert np.allclose(F._filter(impulse)[0], expected, rtol=1e-14, atol=0)
    kernel = np.array([0, 0.5, 0.25])  # of the Hann window: 1/2 at lag 0, 1/4 at lags -1 and 1
    wide = np.where(
        np.arange(-20, 21) % 2, -1 / (math.pi * np.where(np.arange(-20, 21) == 0, 1, np.arange(-20, 21))) ** 2, 0
    )
    wide[20] = 0.25
    smooth = np.convolve(wide, [kernel[2], kernel[1], kernel[2]], "same")[16:25]
    assert np.allclose(windowed._filter(impulse)[0], smooth, atol=2e-3)


@pytest.mark.parametrize("scan", SCANS)
def test_adjoint_and_fast_kernel(scan: str) -> None:
    F = _scan(scan)[1]
    B = F.backprojection
    x, y = _random(2, *F.dimsd), _random(2, *F.dims, seed=1)
    assert abs(torch.sum(F(y) * x) - torch.sum(y * F.H(x))) <= 1e-13 * F(y).norm() * x.norm() * 10
    torch.testing.assert_close(B._fast_forward(y), B._forward(y), rtol=0, atol=1e-11)
    torch.testing.assert_close(B._fast_adjoint(x), B._adjoint(x), rtol=0, atol=1e-11)
    single = F(y.float())
    assert single.dtype == torch.float32
    assert (single - F(y)).norm() < 2e-5 * F(y).norm()


def test_parker_weights_of_opposite_rays_add_up() -> None:
    from torchlops.medical._filteredbackprojection import _parker

    fan = torch.linspace(-0.19, 0.19, 9, dtype=torch.float64)
    for rest in (0.2, 0.35):
        for start in np.linspace(0, 2 * rest, 7):
            turned = torch.tensor([[start], [math.pi + 2 * rest]], dtype=torch.float64)
            weight = _parker(turned, fan)[0]
            opposite = (math.pi + start - 2 * fan).clamp(max=math.pi + 2 * rest)
            there = _parker(torch.stack((opposite, turned[1].expand(9))), -fan)[0]
            is_measured_twice = start - 2 * fan <= 2 * rest
            total = weight + torch.where(is_measured_twice, there, 0)
            assert torch.allclose(total, torch.ones_like(total), atol=1e-12)


@pytest.mark.parametrize(
    ("angles", "offset", "options"),
    [
        (TURN, 0.0, {}),
        (TURN[::-1] + 0.3, (1.5, -2.3), {}),
        (np.linspace(0.3, 4.3, 90), 0.0, {"short_scan": True}),
    ],
)
def test_density_of_a_ball(angles, offset, options) -> None:
    n = 32
    z, y, x = (grid - (n - 1) / 2 for grid in np.mgrid[:n, :n, :n])
    distance = np.sqrt(x**2 + y**2 + z**2)
    C = CT3D((n, n, n), (46, 46), cone_vectors(angles, 3.0 * n, 1.5 * n, 1.3, offset))
    F = FDK(C, **options)
    found = F(C(np.clip(0.35 * n + 0.5 - distance, 0, 1)))
    inside = distance < 0.25 * n
    middle = inside & (abs(z) < 1)
    assert abs(found[middle].mean() - 1) < 0.005
    assert abs(found[inside].mean() - 1) < 0.01
    assert abs(found[middle] - 1).max() < 0.1
    r, y = _random(*F.dimsd), _random(*F.dims)
    assert abs(torch.sum(F(y) * r) - torch.sum(y * F.H(r))) <= 1e-12 * F(y).norm() * r.norm()


def test_the_plane_of_the_source_is_that_of_a_fan() -> None:
    """A cone over a volume that is constant in z is, in that plane, the fan of a detector with one row."""
    fan = CT2D((N, N), 1.5, 95, TURN, proj_geom_type="fanflat", source_origin_dist=150.0, origin_detector_dist=75.0)
    y = _random(*fan.dimsd)
    cone = CT3D((1, N, N), (1, 95), cone_vectors(TURN, 150.0, 75.0, 1.5))
    torch.testing.assert_close(FDK(cone)(y.unsqueeze(1))[0], FBP(fan)(y), rtol=1e-11, atol=1e-11)


def test_angles_by_another_turn_or_order_do_not_matter() -> None:
    y = _random(60, 93)
    thetas = TURN[:60]
    x = FBP(CT2D((N, N), 1.0, 93, thetas, dtype="float64"))(y)
    order = np.random.default_rng(0).permutation(60)
    other = thetas[order] + 2 * math.pi * (order % 3)
    assert torch.allclose(FBP(CT2D((N, N), 1.0, 93, other, dtype="float64"))(y[order]), x, atol=1e-10)
    opposite = FBP(CT2D((N, N), 1.0, 93, thetas + math.pi, dtype="float64"))(y.flip(-1))
    assert torch.allclose(opposite, x, atol=1e-10)


def test_gradients_to_the_geometry() -> None:
    """Against finite differences, through the projector and the reconstruction."""
    thetas = TURN[::4] + 0.05  # so that no pixel is seen right between two detectors, where there is a kink
    x = torch.from_numpy(np.clip(6 - np.hypot(*(g - 7.5 for g in np.mgrid[:16, :16])), 0, 1))
    y = CT2D((16, 16), 1.4, 24, thetas, "cpu", "fanflat", 40.0, 20.0, "line", "float64", det_offset=0.7)(x)

    def error(thetas, offset, source):
        C = CT2D((16, 16), 1.4, 24, thetas, "cpu", "fanflat", source, 20.0, "line", "float64", det_offset=offset)
        return (FBP(C)(y) - x).square().sum()

    numbers = [torch.from_numpy(thetas), torch.tensor(0.3).double(), torch.tensor(40.0).double()]
    assert torch.autograd.gradcheck(error, [number.requires_grad_() for number in numbers], atol=1e-4, rtol=1e-5)


def test_the_tensors_of_the_projector_are_its_own() -> None:
    thetas = torch.nn.Parameter(torch.from_numpy(TURN[:60].copy()))
    C = CT2D((N, N), 1.0, 93, thetas, dtype="float64")
    F, y = FBP(C), _random(60, 93)
    assert [id(p) for p in F.parameters()] == [id(thetas)]
    before = F(y).detach()
    with torch.no_grad():
        thetas += 0.01
    assert (F(y).detach() - before).abs().max() > 1e-3
    F(y).square().sum().backward()
    assert thetas.grad.abs().min() > 0
    for other in (copy.deepcopy(F), pickle.loads(pickle.dumps(F))):
        assert torch.equal(other(y), F(y))
    assert F.projector is C
    assert F.plan.kernel == "gather"


def test_a_backward_pass_keeps_no_interpolation() -> None:
    C, F = _scan("fan")
    y = _random(*C.dimsd).requires_grad_()
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        F(y)
    assert sum(kept) <= 3 * y.numel()


def test_missing_views_are_warned_of() -> None:
    fan = {"proj_geom_type": "fanflat", "source_origin_dist": 150.0, "origin_detector_dist": 75.0}
    half = CT2D((N, N), 1.5, 95, np.linspace(0, 3.8, 80), **fan)
    with pytest.warns(UserWarning, match=r"gap of 142\.\d degrees.*short_scan"):
        FBP(half)
    with pytest.warns(UserWarning, match="rays are missing"):
        FBP(CT2D((N, N), 1.5, 95, np.linspace(0, 3.3, 80), **fan), short_scan=True)
    with pytest.warns(UserWarning, match="half a turn, but they leave a gap of 60"):
        FBP(CT2D((N, N), 1.0, 95, np.linspace(0, 2 * math.pi / 3, 80)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FBP(half, short_scan=True)
        for views in (1, 2, 5, 40):
            FBP(CT2D((N, N), 1.0, 95, np.arange(views) * math.pi / views))
        FBP(CT2D((N, N), 1.0, 95, np.arange(50) * math.pi * (math.sqrt(5) - 1) / 2))  # the golden ratio


def test_refusals() -> None:
    C = CT2D((N, N), 1.0, 93, TURN)
    with pytest.raises(TypeError, match="a CT2D"):
        FBP(torchlops.Identity(3))
    with pytest.raises(ValueError, match="window must be ramp, shepp-logan or hann"):
        FBP(C, "square")
    for cutoff in (0.0, 1.5, math.nan):
        with pytest.raises(ValueError, match="cutoff"):
            FBP(C, cutoff=cutoff)
    with pytest.raises(ValueError, match="parallel rays need half a turn"):
        FBP(C, short_scan=True)
    with pytest.raises(TypeError, match="CT3D with proj_geom_type='cone'"):
        FDK(C)
    with pytest.raises(TypeError, match="cone"):
        FDK(CT3D((4, 4, 4), (4, 4), parallel3d_vectors(TURN), "parallel3d"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: cone_vectors(TURN, 40.0, 20.0, pitch=30.0), "circle around the z axis"),
        (lambda v: cone_vectors(TURN, 40.0 + 10 * np.sin(TURN), 20.0), "circle around the z axis"),
        (lambda v: v @ np.kron(np.eye(4), np.roll(np.eye(3), 1, 0)), "circle around the z axis"),
        (lambda v: v[:, [0, 1, 2, 3, 4, 5, 9, 10, 11, 6, 7, 8]], "rows are not across"),
        (lambda v: v + np.r_[np.zeros(9), 0.3 * np.ones(2), 0], "columns are not along"),
        (lambda v: v * np.r_[np.ones(3), -2.0 * np.ones(3), np.ones(6)], "in front of the source"),
        (lambda v: v * np.r_[np.ones(3), -3.0 * np.ones(3), np.ones(6)], "in front of the source"),
    ],
)
def test_fdk_refuses_other_trajectories(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        FDK(CT3D((4, 4, 4), (4, 4), change(cone_vectors(TURN, 40.0, 20.0))))


def test_fdk_follows_a_scan_that_is_a_little_off() -> None:
    """Shifts and angles of a real scan, if they are known, cost little."""
    n, numbers = 24, np.random.default_rng(0)
    z, y, x = (grid - (n - 1) / 2 for grid in np.mgrid[:n, :n, :n])
    ball = np.clip(0.3 * n + 0.5 - np.sqrt((x - 2) ** 2 + y**2 + z**2), 0, 1)
    ideal = cone_vectors(TURN, 60.0, 30.0, 1.3)
    shifts = numbers.uniform(-1.5, 1.5, (2, 120))
    real = cone_vectors(TURN + numbers.uniform(-0.01, 0.01, 120), 60.0, 30.0, 1.3, tuple(shifts))
    C, wrong = (CT3D((n, n, n), (36, 36), vectors) for vectors in (real, ideal))
    data, exact = C(ball), FDK(wrong)(wrong(ball))
    error, ignorant, least = (np.linalg.norm(v - ball) for v in (FDK(C)(data), FDK(wrong)(data), exact))
    assert error < 1.1 * least
    assert ignorant > 1.5 * least


@pytest.mark.slow
def test_it_is_as_good_as_scikit_image() -> None:
    """For parallel rays, on its phantom and by its own projections of a finer image."""
    transform, data = pytest.importorskip("skimage.transform"), pytest.importorskip("skimage.data")
    n, thetas = 129, np.arange(180) * math.pi / 180  # odd, so that its center is ours
    fine = transform.resize(data.shepp_logan_phantom(), (3 * n, 3 * n), anti_aliasing=True)
    image = transform.resize(fine, (n, n), anti_aliasing=True)
    C = CT2D((3 * n, 3 * n), 3.0, 185, thetas, dtype="float64")
    y = C(fine) / 3
    row, column = np.mgrid[:n, :n] - (n - 1) / 2
    inside = np.hypot(row, column) < n / 2

    def psnr(found):
        return 10 * np.log10(image.max() ** 2 / np.mean((found - image)[inside] ** 2))

    ours = psnr(FBP(CT2D((n, n), 1.0, 185, thetas, dtype="float64"))(y))
    theirs = psnr(transform.iradon(y.T, np.degrees(thetas), output_size=n, circle=False))
    assert ours > 30
    assert ours > theirs - 0.05, (ours, theirs)


def test_offsets_of_each_view() -> None:
    image = torch.zeros(16, 17, dtype=torch.float64)
    image[5:11, 6:12] = 1
    offsets = torch.linspace(-1, 1, 40, dtype=torch.float64)
    C = CT2D(
        (16, 17), 1.0, 26, torch.arange(40, dtype=torch.float64) * math.pi / 40, dtype="float64", det_offset=offsets
    )
    for scale in (1.0, 1e-12, 1e12):
        found = FBP(C)(scale * C(image)) / scale
        assert abs(found[7:9, 8:10].mean() - 1) < 0.02
        assert found[:3].abs().mean() < 0.02
