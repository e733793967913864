"""Projections of volumes: against sums, rays in two dimensions, chords of a sphere, and other forms of a scan."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch

import torchlops
from torchlops.medical import CT3D, FDK, cone_vectors, parallel3d_vectors

ANGLES = np.linspace(0, 2 * math.pi, 9, endpoint=False)  # with 0, but not all of 45 and 90 degrees
SQUARE = np.arange(8) * math.pi / 4  # at 0, 45 and 90 degrees


def _random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def _by_loops(dims, det_count, vectors, kind, x):
    """Joseph's method, ray by ray and plane by plane."""
    size, y = np.array(dims), np.zeros((len(vectors), *det_count))
    signs = np.array([1, -1, 1])
    for v, r, c in np.ndindex(*y.shape):
        first, center, across, along = vectors[v].reshape(4, 3)
        pixel = center + (c - (det_count[1] - 1) / 2) * across + (r - (det_count[0] - 1) / 2) * along
        place, direction = (first, pixel - first) if kind == "cone" else (pixel, first)
        place, direction = signs * place[::-1] + (size - 1) / 2, signs * direction[::-1]
        main = int(np.argmax(np.abs(direction)))
        for k in range(size[main]):
            at = place + (k - place[main]) / direction[main] * direction
            at[main] = k
            low = np.floor(at).astype(int)
            for step in np.ndindex(*(1 if axis == main else 2 for axis in range(3))):
                voxel = low + step
                if ((voxel >= 0) & (voxel < size)).all():
                    y[v, r, c] += np.prod(1 - np.abs(at - voxel)) * x[tuple(voxel)]
        y[v, r, c] *= np.linalg.norm(direction) / abs(direction[main])
    return y


def _fan(x, thetas, count, width, source, detector):
    """Joseph's method in two dimensions for a flat detector."""
    ny, nx = x.shape
    y = np.zeros((len(thetas), count))
    for v, t in enumerate(thetas):
        for c in range(count):
            u = (c - (count - 1) / 2) * width
            s = np.array([source * math.sin(t), -source * math.cos(t)])
            d = (
                np.array([-detector * math.sin(t), detector * math.cos(t)])
                + u * np.array([math.cos(t), math.sin(t)])
                - s
            )
            by_row = abs(d[0]) < abs(d[1])
            for k in range(ny if by_row else nx):
                if by_row:
                    at = s[0] + ((ny - 1) / 2 - k - s[1]) / d[1] * d[0] + (nx - 1) / 2
                    line = x[k]
                else:
                    at = (ny - 1) / 2 - (s[1] + (k - (nx - 1) / 2 - s[0]) / d[0] * d[1])
                    line = x[:, k]
                low = math.floor(at)
                for i in (low, low + 1):
                    if 0 <= i < len(line):
                        y[v, c] += (1 - abs(at - i)) * line[i] * np.linalg.norm(d) / abs(d[1 if by_row else 0])
    return y


SCANS = {
    "cone": (cone_vectors(ANGLES, 12.0, 5.0, (1.3, 0.9), (0.4, -0.3)), "cone"),
    "cone at 45 and 90 degrees": (cone_vectors(SQUARE, 12.0, 5.0), "cone"),
    "helix": (cone_vectors(ANGLES * 2, 9.0, 5.0, pitch=1.5), "cone"),
    "parallel": (parallel3d_vectors(SQUARE), "parallel3d"),
    "inclined": (parallel3d_vectors(ANGLES, (1.2, 0.8), 0.3, tilt=0.5), "parallel3d"),
    "steep": (parallel3d_vectors(SQUARE, tilt=1.3), "parallel3d"),
}


@pytest.mark.parametrize("scan", SCANS)
def test_both_kernels_follow_the_formula(scan: str) -> None:
    vectors, kind = SCANS[scan]
    dims, det_count = (5, 4, 7), (5, 6)
    C = CT3D(dims, det_count, vectors, kind)
    x = _random(*dims)
    truth = _by_loops(dims, det_count, vectors, kind, x.numpy())
    for y in (C._forward(x), C._fast_forward(x)):
        assert abs(y.numpy() - truth).max() <= 1e-13 * abs(truth).max()


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("dims", [(5, 4, 7), (1, 6, 3), (8, 1, 1), (2, 9, 9)])
def test_adjoint(scan: str, dims: tuple[int, ...]) -> None:
    C = CT3D(dims, (5, 6), *SCANS[scan])
    for dtype in (torch.float64, torch.complex128):
        x, y = _random(2, *dims, dtype=dtype), _random(2, *C.dimsd, seed=1, dtype=dtype)
        for forward, adjoint in ((C._forward, C._adjoint), (C._fast_forward, C._fast_adjoint)):
            data, model = forward(x), adjoint(y)
            error = abs(torch.sum(data.conj() * y) - torch.sum(x.conj() * model))
            assert error <= 1e-13 * data.norm() * y.norm()
        torch.testing.assert_close(C._fast_adjoint(y), C._adjoint(y), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("rays", "across", "along", "axis"),
    [
        ((0, -1, 0), (1, 0, 0), (0, 0, 1), 1),
        ((1, 0, 0), (0, -1, 0), (0, 0, 1), 2),
        ((0, 0, 1), (1, 0, 0), (0, -1, 0), 0),
    ],
)
def test_rays_along_an_axis_sum(rays, across, along, axis) -> None:
    """Data are in the order of the voxels where the axes of the detector point as those of the volume."""
    dims = (3, 4, 5)
    rest = [n for k, n in enumerate(dims) if k != axis]
    C = CT3D(dims, rest, [[*rays, 0, 0, 0, *across, *along]], "parallel3d")
    x = _random(*dims)
    torch.testing.assert_close(C(x)[0], x.sum(axis), rtol=1e-14, atol=1e-14)


def test_axes() -> None:
    """The first slice is lowest, the first row on the side of positive y, the first column on that of negative x."""
    view = parallel3d_vectors([0.0])  # rays along -y, so that pixels are (z, x)
    x = torch.zeros(3, 3, 3, dtype=torch.float64)
    x[0, 0, 2] = 1
    y = CT3D((3, 3, 3), (3, 3), view, "parallel3d")(x)[0]
    assert y[0, 2] == 1
    pixels = torch.arange(13, dtype=torch.float64) - 6
    for angle, magnification, side in ((0.0, 6 / 4, 1), (math.pi, 6 / 2, -1)):  # the source at y = -3, then at y = 3
        y = CT3D((3, 3, 3), (13, 13), cone_vectors([angle], 3.0, 3.0))(x)[0]
        y = y / y.sum()
        assert abs(float((y.sum(1) * pixels).sum()) + magnification) < 0.2
        assert abs(float((y.sum(0) * pixels).sum()) - side * magnification) < 0.2


@pytest.mark.parametrize("shape", [(8, 8), (7, 10)])
def test_central_row_is_a_fan(shape: tuple[int, int]) -> None:
    thetas, x = np.concatenate((ANGLES, SQUARE)), _random(*shape)
    truth = _fan(x.numpy(), thetas, 9, 1.4, 20.0, 8.0)
    C = CT3D((6, *shape), (3, 9), cone_vectors(thetas, 20.0, 8.0, (1.0, 1.4)))
    row = C(x.expand(6, *shape).contiguous())[:, 1]
    assert abs(row.numpy() - truth).max() <= 1e-13 * abs(truth).max()


def test_chords_of_a_sphere_converge() -> None:
    """At first order for the edge of a ball, which is as wide as a voxel, and at second order without an edge."""
    errors: dict[str, list[float]] = {"edge": [], "inside": [], "smooth": []}
    for n in (16, 32, 64):
        z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2] * 3, indexing="ij")
        radius, distance = 0.35 * n, np.sqrt(x**2 + y**2 + z**2)
        C = CT3D((n, n, n), (24, 24), cone_vectors(ANGLES, 2.0 * n, 1.0 * n, 1.4 * n / 24))
        place, direction = C._rays(0, C.shape[0], torch.device("cpu"))
        off = torch.linalg.cross(place.mT - (n - 1) / 2, direction.mT).norm(dim=1) / direction.mT.norm(dim=1)
        square = (1 - (off / radius) ** 2).clamp(min=0)
        chords, inner = 2 * radius * square.sqrt(), off < 0.8 * radius
        ball = C(torch.from_numpy(np.clip(radius + 0.5 - distance, 0, 1))).reshape(-1)
        smooth = C(torch.from_numpy(np.clip(1 - (distance / radius) ** 2, 0, None))).reshape(-1)
        for name, data, truth in (
            ("edge", ball, chords),
            ("inside", ball[inner], chords[inner]),
            ("smooth", smooth, 4 / 3 * radius * square**1.5),
        ):
            errors[name].append(float((data - truth).norm() / truth.norm()))
    for name, rate, last in (("edge", 1.7, 0.025), ("inside", 2.0, 0.002), ("smooth", 3.5, 0.002)):
        first, second, third = errors[name]
        assert first > rate * second > rate**2 * third, (name, errors)
        assert third < last


def test_a_turn_of_a_helix_sees_the_volume_shifted() -> None:
    x = _random(9, 6, 6)
    x[:2], x[-2:] = 0, 0
    angles = np.array([0.3, 0.3 + 2 * math.pi])
    y = CT3D((9, 6, 6), (4, 5), cone_vectors(angles, 12.0, 5.0, pitch=2.0))(x)
    lower = CT3D((9, 6, 6), (4, 5), cone_vectors(angles[:1], 12.0, 5.0, pitch=2.0))(x.roll(-2, 0))
    torch.testing.assert_close(y[1], lower[0], rtol=0, atol=1e-12)


def test_half_a_scan_is_half_of_the_scan() -> None:
    x, full = _random(4, 6, 5), CT3D((4, 6, 5), (4, 5), cone_vectors(ANGLES, 12.0, 5.0))
    half = CT3D((4, 6, 5), (4, 5), cone_vectors(ANGLES[:5], 12.0, 5.0))
    assert torch.equal(half(x), full(x)[:5])


def test_magnification_of_a_cone_is_that_of_its_detector() -> None:
    """Twice as far, with pixels twice as large, is the same line."""
    x = _random(4, 6, 5)
    near = CT3D((4, 6, 5), (4, 5), cone_vectors(ANGLES, 10.0, 5.0))(x)
    far = CT3D((4, 6, 5), (4, 5), cone_vectors(ANGLES, 10.0, 20.0, 2.0))(x)
    torch.testing.assert_close(near, far, rtol=1e-12, atol=1e-12)


def test_vectors_are_differentiable_in_all_arguments() -> None:
    thetas = torch.tensor([0.1, 2.0], dtype=torch.float64, requires_grad=True)
    numbers = [torch.tensor(n, dtype=torch.float64, requires_grad=True) for n in (9.0, 4.0, 1.1, 0.9, 0.2, -0.1, 1.5)]
    x = _random(3, 4, 4)

    def scan(thetas, source, detector, rows, columns, up, aside, pitch):
        vectors = cone_vectors(thetas, source, detector, (rows, columns), (up, aside), pitch)
        return CT3D((3, 4, 4), (2, 3), vectors)(x)

    def inclined(thetas, rows, columns, up, aside, tilt):
        vectors = parallel3d_vectors(thetas, (rows, columns), (up, aside), tilt)
        return CT3D((3, 4, 4), (2, 3), vectors, "parallel3d")(x)

    assert torch.autograd.gradcheck(scan, (thetas, *numbers))
    assert torch.autograd.gradgradcheck(scan, (thetas, *numbers))
    assert torch.autograd.gradcheck(inclined, (thetas, *numbers[2:6], numbers[4]))
    each = torch.tensor([9.0, 9.5], dtype=torch.float64, requires_grad=True)  # another distance for each view
    assert torch.autograd.gradcheck(scan, (thetas, each, *numbers[1:]))


def test_vectors_of_arrays_are_those_of_tensors() -> None:
    arrays = cone_vectors(ANGLES, 9, 4, (2, 1), 0.5, 0.3)
    assert isinstance(arrays, np.ndarray)
    assert arrays.dtype == np.float64
    tensors = cone_vectors(torch.from_numpy(ANGLES), 9, torch.tensor(4.0), (2, 1), 0.5, 0.3)
    assert np.array_equal(tensors.numpy(), arrays)
    assert np.allclose(parallel3d_vectors(list(ANGLES), tilt=0.2)[:, :3] ** 2 @ np.ones(3), 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.float64])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
def test_fast_kernel_of_batches(dtype: torch.dtype, batch: tuple[int, ...]) -> None:
    C = CT3D((9, 12, 11), (13, 10), cone_vectors(ANGLES, 30.0, 12.0, 1.2))
    x = _random(*batch, 11, 12, 9, dtype=dtype).transpose(-1, -3)  # not contiguous
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    y = C._forward(x)
    for scale in (1.0, 1e-12, 1e12):
        torch.testing.assert_close(C._fast_forward(scale * x) / scale, y, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(
            C._fast_adjoint(scale * y) / scale, C._adjoint(y), rtol=tolerance, atol=50 * tolerance
        )


def test_fast_kernel_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    C = CT3D((9, 12, 11), (5, 7), cone_vectors(SQUARE, 30.0, 12.0, 1.2))
    x = _random(2, 9, 12, 11)
    y, back = C._fast_forward(x), C._fast_adjoint(C._forward(x))
    monkeypatch.setattr("torchlops.medical._planes.CHUNK", 1)
    monkeypatch.setattr("torchlops.basicoperators._taps.CHUNK", 500)
    assert len(list(C._pieces(0))) > 100
    torch.testing.assert_close(C._forward(x), y, rtol=0, atol=1e-12)
    torch.testing.assert_close(C._fast_forward(x), y, rtol=0, atol=1e-12)
    torch.testing.assert_close(C._fast_adjoint(y), back, rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rays_far_from_the_volume_are_zero(dtype: torch.dtype) -> None:
    away = parallel3d_vectors([0.0, 0.7], det_offset=(0.0, 1e12))
    near = parallel3d_vectors([0.0], det_offset=(0.0, 4.5))
    x = torch.ones(4, 6, 5, dtype=dtype)
    for vectors in (away, cone_vectors([0.0], 1e15, 1e15, det_offset=(1e14, 0.0))):
        C = CT3D((4, 6, 5), (2, 2), vectors, "parallel3d" if vectors is away else "cone")
        for y in (C._forward(x), C._fast_forward(x)):
            assert torch.equal(y, torch.zeros_like(y))
        assert torch.equal(C._fast_adjoint(torch.ones(C.dimsd, dtype=dtype)), torch.zeros_like(x))
    assert CT3D((4, 6, 5), (2, 2), near, "parallel3d")(x).count_nonzero() == 0


def test_a_backward_pass_keeps_nothing_of_the_rays() -> None:
    C = CT3D((16, 16, 16), (16, 16), cone_vectors(ANGLES, 40.0, 20.0, 1.3))
    x = _random(16, 16, 16).requires_grad_()
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        y = C(x)
    assert sum(kept) <= x.numel()
    y.sum().backward()
    torch.testing.assert_close(x.grad, C._adjoint(torch.ones_like(y)), rtol=1e-12, atol=1e-12)
    assert C.plan == torchlops.basicoperators._taps.Plan("gather", 0, None)


def test_learning_vectors_are_seen() -> None:
    vectors = torch.nn.Parameter(torch.from_numpy(cone_vectors(ANGLES, 40.0, 20.0, 1.3)))
    C, x = CT3D((16, 16, 16), (16, 16), vectors), _random(16, 16, 16)
    before = C(x)
    with torch.no_grad():
        assert torch.equal(C(x), C._fast_forward(x))  # without a gradient
        vectors[:, 3:6] += 0.1
    assert (C(x) - before).abs().max() > 1e-3
    C(x).square().sum().backward()
    assert vectors.grad.isfinite().all()


def test_vectors_that_are_not_finite_are_not_silent() -> None:
    """Rays without a direction have no value, in both kernels: not zero, as rays beside the volume."""
    vectors = torch.from_numpy(cone_vectors(ANGLES, 12.0, 5.0))
    C, x = CT3D((4, 6, 5), (2, 3), vectors), torch.ones(4, 6, 5, dtype=torch.float64)
    vectors[1, 1] = torch.nan
    for data in (C._forward(x), C._fast_forward(x)):
        assert torch.equal(data.isnan().any(2).any(1), torch.arange(len(ANGLES)) == 1)
    assert C._adjoint(data.nan_to_num() + 1).isnan().any()


def test_copies_live_alone() -> None:
    C = CT3D((4, 6, 5), (4, 5), cone_vectors(ANGLES, 12.0, 5.0))
    x = _random(4, 6, 5)
    y = C(x)
    copied, loaded = copy.deepcopy(C), pickle.loads(pickle.dumps(C))
    assert torch.equal(copied(x), y)
    assert torch.equal(loaded(x), y)
    del copied, loaded
    assert torch.equal(C(x), y)
    assert C.state_dict() == {}
    assert np.array_equal(C.vectors, cone_vectors(ANGLES, 12.0, 5.0))
    assert torch.equal(C.float()(x), y)  # the scan stays in double precision
    with pytest.raises(AttributeError, match="Build a new operator"):
        C.vectors = C.vectors + 1
    with pytest.raises(ValueError, match="read-only"):
        C.vectors[0] = 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dims": (4, 5)}, ValueError, r"dims must be \(nz, ny, nx\)"),
        ({"det_count": 3}, ValueError, "det_count"),
        ({"vectors": np.ones((3, 11))}, ValueError, r"\(views, 12\)"),
        ({"vectors": np.ones(12)}, ValueError, r"\(views, 12\)"),
        ({"vectors": np.full((3, 12), np.nan)}, ValueError, "finite"),
        ({"vectors": torch.full((3, 12), math.inf)}, ValueError, "finite"),
        ({"vectors": torch.ones(3, 12, dtype=torch.int64)}, TypeError, "real numbers"),
        ({"vectors": np.ones((3, 12)) * 1j}, TypeError, "real numbers"),
        ({"proj_geom_type": "fan"}, ValueError, "'cone' or 'parallel3d'"),
        ({"proj_geom_type": "parallel3d", "vectors": np.zeros((3, 12))}, ValueError, "direction of rays"),
        ({"vectors": cone_vectors(ANGLES, 1.9, 9.0)}, ValueError, r"view 0 is inside the volume \(3, 4, 5\)"),
        ({"vectors": parallel3d_vectors(ANGLES)}, ValueError, "pass proj_geom_type='parallel3d'"),
    ],
)
def test_refusals(change: dict, error: type[Exception], message: str) -> None:
    good = {"dims": (3, 4, 5), "det_count": (2, 3), "vectors": cone_vectors(ANGLES, 12.0, 5.0)}
    with pytest.raises(error, match=message):
        CT3D(**(good | change))


def test_refusals_of_vectors() -> None:
    with pytest.raises(ValueError, match="one for each of the 9 views"):
        cone_vectors(ANGLES, np.ones(3), 5.0)
    with pytest.raises(ValueError, match="list of angles"):
        cone_vectors(0.5, 4.0, 5.0)
    with pytest.raises(TypeError, match="real numbers"):
        cone_vectors(torch.arange(3), 4.0, 5.0)
    with pytest.raises(ValueError, match="det_spacing"):
        parallel3d_vectors(ANGLES, (1.0, 2.0, 3.0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
def test_on_a_gpu(dtype: torch.dtype) -> None:
    C = CT3D((9, 12, 11), (13, 10), cone_vectors(ANGLES, 30.0, 12.0, 1.2))
    F, on_gpu = FDK(C), FDK(copy.deepcopy(C)).to("cuda")
    x, y = _random(2, *C.dims, dtype=dtype), _random(2, *C.dimsd, seed=1, dtype=dtype)
    tolerance = 1e-11 if dtype == torch.float64 else 1e-4
    for A, other, z in ((C, on_gpu.projector, x), (C.H, on_gpu.projector.H, y), (F, on_gpu, y), (F.H, on_gpu.H, x)):
        torch.testing.assert_close(other(z.cuda()).cpu(), A(z), rtol=tolerance, atol=tolerance)
