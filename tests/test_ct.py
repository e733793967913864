"""Tomography against ASTRA, against clipped polygons, and against itself in other forms."""

from __future__ import annotations

import copy
import gc
import itertools
import math
import warnings

import numpy as np
import pytest
import torch

import torchlops
from torchlops.config import get_sparse_limit, set_sparse_limit
from torchlops.medical import CT2D, cone_vectors

TURN = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
FANS = ((60.0, 0.0), (60.0, 30.0))
SIZES = (((12, 17), 21), ((13, 13), 16), ((16, 16), 16), ((9, 14), 12))


def scan(dims, width, count, thetas, kernel, distances=None, **options):
    """Return our operator in float64."""
    options = {"dtype": "float64", "projector_type": kernel, **options}
    if distances is None:
        return CT2D(dims, width, count, thetas, **options)
    source, detector = distances
    fan = {"proj_geom_type": "fanflat", "source_origin_dist": source, "origin_detector_dist": detector}
    return CT2D(dims, width, count, thetas, **fan, **options)


def matrix(A):
    """Return the matrix of the differentiable kernel."""
    images = torch.eye(A.shape[1], dtype=torch.float64).reshape(-1, *A.dims)
    return A._forward(images).reshape(-1, A.shape[0]).mT.numpy()


def astras(dims, width, count, thetas, kernel, distances=None):
    """Return the matrix of ASTRA."""
    astra = pytest.importorskip("astra")
    geometry = "parallel" if distances is None else "fanflat"
    views = astra.create_proj_geom(geometry, width, count, np.asarray(thetas), *(distances or ()))
    name = kernel if distances is None else f"{kernel}_fanflat"
    projector = astra.create_projector(name, views, astra.create_vol_geom(*dims))
    found = astra.projector.matrix(projector)
    result = astra.matrix.get(found).toarray()
    astra.matrix.delete(found)
    astra.projector.delete(projector)
    return result


# -- an independent truth: polygons, clipped by half-planes -----------------------------------------------------------


def clipped(polygon, normal, level):
    """Return the part of a convex polygon ``(n, 2)`` where the product with a normal is at most ``level``."""
    result = []
    for a, b in itertools.pairwise([*polygon, polygon[0]]):
        da, db = normal @ a - level, normal @ b - level
        if da <= 0:
            result.append(a)
        if da * db < 0:
            result.append(a + (b - a) * da / (da - db))
    return result


def area(polygon):
    """Return the area of a polygon."""
    x, y = np.array(polygon).T if len(polygon) > 2 else np.zeros((2, 3))
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def length(pixel, point, direction):
    """Return the length of a line in a pixel, given by its center."""
    low, high = -math.inf, math.inf
    for axis in range(2):
        if abs(direction[axis]) < 1e-14:
            if abs(point[axis] - pixel[axis]) > 0.5:
                return 0.0
            continue
        ends = sorted((pixel[axis] + side - point[axis]) / direction[axis] for side in (-0.5, 0.5))
        low, high = max(low, ends[0]), min(high, ends[1])
    return max(0.0, high - low) * float(np.hypot(*direction))


def truth(dims, width, count, thetas, kernel, distances=None, offset=0.0):
    """Return the matrix of strips or lines by clipping, in the coordinates of the docstring: Y upwards."""
    ny, nx = dims
    centers = [np.array([c - nx / 2 + 0.5, ny / 2 - r - 0.5]) for r in range(ny) for c in range(nx)]
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    rows = []
    for theta, d in itertools.product(thetas, range(count)):
        across, along = np.array([np.cos(theta), np.sin(theta)]), np.array([np.sin(theta), -np.cos(theta)])
        u = (d - (count - 1) / 2) * width + offset
        if distances is None:
            ends = [((u + side * width) * across, along) for side in (-0.5, 0.0, 0.5)]
        else:
            source, apart = distances[0] * along, sum(distances)
            ends = [(source, (u + side * width) * across - apart * along) for side in (-0.5, 0.0, 0.5)]
        if kernel == "line":
            rows.append([length(center, *ends[1]) for center in centers])
            continue
        row = []
        for center in centers:
            part = list(center + corners)
            for (point, direction), sign in ((ends[0], -1), (ends[2], 1)):
                normal = sign * np.array([direction[1], -direction[0]])
                normal = normal * np.sign(normal @ across) * sign  # from the first edge to the last
                part = clipped(part, normal, normal @ point) if part else part
            weight = area(part) / width if part else 0.0
            if distances is not None:
                weight *= (apart**2 + u**2) / (apart * np.hypot(*(center - source)))
            row.append(weight)
        rows.append(row)
    return np.array(rows)


def straddles(width, count, thetas, distances):
    """Return for each view whether a strip has its edges on both sides of 45 degrees."""
    edges = (np.arange(count + 1) - count / 2) * width
    angles = np.arctan(edges / sum(distances))[None] + np.asarray(thetas)[:, None]
    side = np.floor((angles - np.pi / 4) / (np.pi / 2) + 1e-9)
    return (side != side[:, :1]).any(1)


@pytest.mark.parametrize(("dims", "count"), SIZES)
@pytest.mark.parametrize("width", [0.7, 1.0, 2.0])
@pytest.mark.parametrize("kernel", ["linear", "line", "strip"])
@pytest.mark.parametrize("distances", [None, *FANS])
def test_matrix_is_that_of_astra(dims, count, width, kernel, distances):
    """Weights are those of ASTRA, which computes in float32."""
    if kernel == "linear" and distances is not None:
        pytest.skip("ASTRA has no such kernel")
    thetas = TURN + 0.013
    difference = np.abs(
        matrix(scan(dims, width, count, thetas, kernel, distances))
        - astras(dims, width, count, thetas, kernel, distances)
    ).reshape(len(thetas), -1)
    if kernel == "strip" and distances is not None:
        is_wrong_there = straddles(width, count, thetas, distances)
        assert 0 < is_wrong_there.sum() < len(thetas)
        difference = difference[~is_wrong_there]
    assert difference.max() <= {"linear": 2e-5, "line": 1e-3, "strip": 1e-4}[kernel]


@pytest.mark.parametrize("kernel", ["strip", "line"])
@pytest.mark.parametrize("distances", [None, *FANS])
@pytest.mark.parametrize("offset", [0.0, 0.37])
def test_matrix_is_that_of_clipped_polygons(kernel, distances, offset):
    """Strips and lines are exact, also where the edges of a strip are on both sides of 45 degrees."""
    thetas = [0.0, 0.3, np.pi / 4 - 0.05, np.pi / 4, np.pi / 4 + 0.02, 1.1, np.pi / 2, 2.0, 3 * np.pi / 4, 3.9, 5.5]
    dims, count = (6, 8), 9  # positions of the detectors that are not on borders
    for width in (0.7, 1.3):
        want = truth(dims, width, count, thetas, kernel, distances, offset)
        if kernel == "line" and offset == 0.0:  # the ray in the middle is along a border
            want = sum(truth(dims, width, count, thetas, kernel, distances, o) for o in (-1e-13, 1e-13)) / 2
        got = matrix(scan(dims, width, count, thetas, kernel, distances, det_offset=offset))
        np.testing.assert_allclose(got, want, atol=1e-10)


@pytest.mark.parametrize("kernel", ["strip", "line"])
@pytest.mark.parametrize("distances", [None, (60.0, 30.0)])
@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_offsets_of_each_view(kernel, distances, kind):
    """They may be an array or a tensor, and each is that of its view."""
    thetas, offsets = [0.2, 1.1, -2.3], [0.37, -1.4, 0.0]
    A = scan((5, 6), 1.1, 7, thetas, kernel, distances, det_offset=kind(offsets, dtype=kind(0.5).dtype))
    views = zip(thetas, offsets, strict=True)
    want = np.concatenate([truth((5, 6), 1.1, 7, [theta], kernel, distances, offset) for theta, offset in views])
    np.testing.assert_allclose(matrix(A), want, atol=1e-7)  # the default dtype of tensors is float32
    assert A.plan.kernel == "sparse matrix"


@pytest.mark.parametrize("distances", [None, (60.0, 30.0)])
def test_strips_wider_than_the_image(distances):
    """They have no more pixels than the image, and their area is right."""
    for width in (17.0, 90.0):
        A = scan((6, 8), width, 3, [0.1, 0.8, 2.2], "strip", distances, det_offset=0.3)
        assert A._width == 8 * 8
        want = truth((6, 8), width, 3, [0.1, 0.8, 2.2], "strip", distances, 0.3)
        np.testing.assert_allclose(matrix(A), want, atol=1e-10)
    if distances is None:
        assert scan((64, 64), 1e9, 2, [0.1, 0.8], "strip")._width == 64 * 64
        torch.testing.assert_close(
            scan((4, 4), 1e5, 2, [0.1, 0.8], "strip")(torch.ones(4, 4, dtype=torch.float64)),
            torch.full((2, 2), 8e-5, dtype=torch.float64),
        )


@pytest.mark.parametrize("kernel", ["strip", "line", "linear"])
def test_no_ray_meets_the_image_behind_its_source(kernel):
    """A source beside a long image is refused, unless the fan is too narrow for that."""
    dims, theta = (3, 41), np.pi / 4
    for sign in (1, -1):  # each side
        with pytest.raises(ValueError, match="behind the source"):
            scan(dims, 1.0, 40, [0.0, sign * theta], kernel, (6.0, 3.0))
        with pytest.raises(ValueError, match="behind the source"):
            scan(dims, 1.0, 10, [0.0, sign * theta], kernel, (6.0, 3.0), det_offset=sign * -15.0)
    A = scan(dims, 1.0, 8, [0.1, theta], kernel, (6.0, 3.0), det_offset=0.1)
    assert matrix(A).min() >= -1e-15
    if kernel != "linear":
        np.testing.assert_allclose(matrix(A), truth(dims, 1.0, 8, [0.1, theta], kernel, (6.0, 3.0), 0.1), atol=1e-10)


def test_linear_is_interpolation_in_each_row_or_column():
    """Joseph's method, from its definition."""
    dims, thetas = (5, 7), np.array([0.0, 0.4, 1.2, np.pi / 2, 2.2, 3.0])
    image = np.random.default_rng(0).standard_normal(dims)
    A = scan(dims, 0.9, 8, thetas, "linear", det_offset=0.2)
    want = np.zeros(A.dimsd)
    for v, theta in enumerate(thetas):
        cosine, sine = np.cos(theta), np.sin(theta)
        for d in range(8):
            u = (d - 3.5) * 0.9 + 0.2
            if abs(sine) < abs(cosine):
                y = 2.0 - np.arange(5)
                at = (u - y * sine) / cosine + 3
                slices, step = image, 1 / abs(cosine)
            else:
                x = np.arange(7) - 3.0
                at = 2 - (u - x * cosine) / sine
                slices, step = image.T, 1 / abs(sine)
            n = slices.shape[1]
            grid = np.arange(-1, n + 1)
            want[v, d] = step * sum(
                np.interp(p, grid, np.pad(row, 1), left=0, right=0) for p, row in zip(at, slices, strict=True)
            )
    np.testing.assert_allclose(A(image), want, atol=1e-12)


def test_ray_along_a_border_is_shared_by_both_pixels():
    """Neither pixel is preferred, whatever the rounding of the angle."""
    for theta, axis in ((0.0, 1), (np.pi / 2, 0), (np.pi, 1), (3 * np.pi / 2, 0)):
        image = np.zeros((4, 4))
        image[(slice(None), 1) if axis else (1, slice(None))] = 1.0
        data = scan((4, 4), 1.0, 1, [theta], "line")(image)
        np.testing.assert_allclose(data, [[2.0]], atol=1e-12)


SCANS = {
    "half turn": ((16, 16), 16, np.linspace(0, np.pi, 12, endpoint=False), None),
    "odd": ((15, 15), 17, np.linspace(0, np.pi, 8, endpoint=False), None),
    "full turn, repeated views": ((16, 16), 15, np.concatenate((TURN, TURN[:5])), None),
    "fan": ((16, 16), 16, TURN, (30.0, 5.0)),
    "fan, odd": ((15, 15), 15, TURN, (30.0, 5.0)),
    "between": ((12, 12), 14, (np.arange(8) + 0.5) * np.pi / 8, None),
    "not square": ((9, 15), 14, TURN[:12], None),
    "any angles": ((12, 12), 14, np.array([0.3, 1.4, 2.2, 0.0, np.pi / 4]), None),
    "fan, any angles": ((9, 12), 14, np.array([0.3, 1.4, 2.2, 0.0, np.pi / 4]), (25.0, 5.0)),
}


@pytest.mark.parametrize("kernel", ["strip", "line", "linear"])
@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("has_tables", [True, False])
def test_fast_forms_agree_with_the_differentiable_kernel(name, kernel, has_tables):
    """The sparse matrix, that of few rays, and the sums without tables, for real and complex batches."""
    dims, count, thetas, distances = SCANS[name]
    A = scan(dims, 1.0, count, thetas, kernel, distances)
    limit = get_sparse_limit()
    if not has_tables:
        set_sparse_limit(0)
    try:
        images = 8 if dims[0] == dims[1] and "any" not in name else 2 if distances is None else 0
        assert A.plan.kernel == ("gather" if not has_tables else A._form)
        assert (0 if A._orbits is None else A._orbits.images) == images
        numbers = torch.Generator().manual_seed(1)
        for batch, dtype in (
            ((), torch.float64),
            ((2, 3), torch.float64),
            ((0,), torch.float64),
            ((3,), torch.complex128),
        ):
            x = torch.randn(*batch, *A.dims, dtype=dtype, generator=numbers)
            y = torch.randn(*batch, *A.dimsd, dtype=dtype, generator=numbers)
            torch.testing.assert_close(A._fast_forward(x), A._forward(x), rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(A._fast_adjoint(y), A._adjoint(y), rtol=1e-12, atol=1e-12)
    finally:
        set_sparse_limit(limit)


@pytest.mark.parametrize("kernel", ["strip", "line", "linear"])
@pytest.mark.parametrize("distances", [None, (60.0, 30.0)])
def test_adjoint_is_exact(kernel, distances):
    """The two inner products agree to rounding."""
    A = scan((64, 64), 1.1, 60, np.linspace(0, np.pi, 40), kernel, distances)
    numbers = np.random.default_rng(2)
    x, y = numbers.standard_normal(A.dims), numbers.standard_normal(A.dimsd)
    assert abs(np.vdot(A(x), y) - np.vdot(x, A.H(y))) <= 1e-13 * np.linalg.norm(A(x)) * np.linalg.norm(y)


def test_views_are_swept_in_parts(monkeypatch):
    """Sums without tables take the memory of some views."""
    monkeypatch.setattr("torchlops.medical.ct.CHUNK", 100)
    test_fast_forms_agree_with_the_differentiable_kernel("any angles", "strip", False)
    test_fast_forms_agree_with_the_differentiable_kernel("fan, any angles", "linear", False)
    widths = np.array([0.8, 1.0, 1.3, 0.9, 1.1])
    A = CT2D((12, 12), widths, 14, SCANS["any angles"][2], dtype="float64", det_offset=widths / 3)
    x = torch.rand(12, 12, dtype=torch.float64)
    torch.testing.assert_close(A._gathered_fast(x.reshape(-1)).reshape(A.dimsd), A._forward(x), rtol=1e-12, atol=1e-12)


def test_number_of_entries_is_not_exceeded():
    """Matrices are not larger than the plan says, also where they are counted because a bound is above the limit."""
    for name, kernel in itertools.product(SCANS, ("strip", "line", "linear")):
        dims, count, thetas, distances = SCANS[name]
        A = scan(dims, 1.0, count, thetas, kernel, distances)
        entries = A._make_matrix(torch.empty(0, dtype=torch.float64), False)._nnz()
        counted = sum(A._most_pixels(rays.as_columns()) for rays in A._few_in_chunks())
        assert entries <= counted <= A._entries(torch.empty(0))


def test_matrix_that_is_counted_fits():
    """A bound above the limit is replaced by a count, and the matrix is used if that is within."""
    A = scan((32, 32), 1.0, 40, [0.1, 0.9, 2.0], "strip")
    assert A._orbits is not None
    bound, counted = A._entries(torch.empty(0)), sum(A._most_pixels(r.as_columns()) for r in A._few_in_chunks())
    assert counted < bound
    limit = get_sparse_limit()
    try:
        set_sparse_limit(12 * counted)
        assert A.plan.kernel == "sparse matrix of some rays, with 2 images"
        set_sparse_limit(12 * counted - 1)
        assert A.plan.kernel == "gather"
    finally:
        set_sparse_limit(limit)


def test_plan_says_what_is_there():
    """The form, the bytes and the time are those of the operator."""
    A = CT2D((16, 16), 1.0, 16, np.linspace(0, np.pi, 12, endpoint=False), projector_type="linear")
    assert A.plan.build_time is None
    assert A.plan.nbytes == 2 * 8 * 4 * 8 * 16 * 2
    A._fast_forward(torch.ones(16, 16))
    assert A.plan.build_time > 0


@pytest.mark.parametrize("kernel", ["strip", "line", "linear"])
@pytest.mark.parametrize("distances", [None, (30.0, 4.0)])
def test_derivatives_of_the_geometry_are_those_of_finite_differences(kernel, distances):
    """Angles, width, offset and distances of each view."""
    image = torch.nn.functional.interpolate(
        torch.rand(1, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
        (12, 12),
        mode="bicubic",
    )[0, 0]
    names = ("thetas", "det_width", "det_offset", "source_origin_dist", "origin_detector_dist")
    given = [torch.tensor(v, dtype=torch.float64) for v in ([0.21, 1.3], [1.05, 0.9], [0.13, -0.2], [30.0, 31.0], 4.0)]
    names, given = (names, given) if distances else (names[:3], given[:3])
    weights = torch.rand(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    geometry = "fanflat" if distances else "parallel"

    def loss(*numbers):
        A = CT2D(
            (12, 12),
            det_count=9,
            projector_type=kernel,
            proj_geom_type=geometry,
            **dict(zip(names, numbers, strict=True)),
        )
        return (A(image) * weights).sum()

    leaves = [number.clone().requires_grad_() for number in given]
    gradients = torch.autograd.grad(loss(*leaves), leaves)
    step = 1e-6
    for i, (number, gradient) in enumerate(zip(given, gradients, strict=True)):
        for j in range(number.numel()):
            shift = torch.zeros(number.numel(), dtype=torch.float64)
            shift[j] = step
            shift = shift.reshape(number.shape)
            ends = [loss(*(n + s * shift if i == k else n for k, n in enumerate(given))) for s in (1, -1)]
            measured = (ends[0] - ends[1]) / (2 * step)
            assert abs(measured - gradient.reshape(-1)[j]) <= 1e-5 * max(1.0, abs(measured)), (names[i], j)


def test_strips_that_get_too_wide_are_an_error():
    """They are never cut off: an error where values can be read, and NaN where they cannot."""
    width = torch.tensor(1.0, dtype=torch.float64)
    A = CT2D((8, 8), width, 6, [0.3, 1.0])
    image = torch.ones(8, 8, dtype=torch.float64)
    with torch.no_grad():
        width.fill_(1.2)
    torch.testing.assert_close(A(image), CT2D((8, 8), 1.2, 6, [0.3, 1.0])(image))
    with torch.no_grad():
        width.fill_(2.6)
    with pytest.raises(ValueError, match="strips got wider than"):
        A(image)
    wide = torch.func.jacfwd(lambda w: torch.func.functional_call(A, {"det_width": w}, (image,)))(width)
    assert wide.isnan().any()


def test_copies_live_and_die_on_their_own():
    """The death of a copy does not harm the original, as in PyLops."""
    A = CT2D((32, 32), 1.0, 32, np.linspace(0, np.pi, 40, endpoint=False))
    image = torch.rand(32, 32)
    want = A(image)
    B = copy.deepcopy(A)
    torch.testing.assert_close(B(image), want)
    del B
    gc.collect()
    torch.testing.assert_close(A(image), want)


def test_backward_keeps_no_rays():
    """The derivative with respect to the image is the adjoint: nothing but the operator is kept for it."""
    A = CT2D((64, 64), 1.0, 64, np.linspace(0, np.pi, 60, endpoint=False) + 0.01)
    image = torch.rand(64, 64, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        loss = A(image).sum()
    assert sum(kept) <= A.dimsd[0]  # the angles
    (gradient,) = torch.autograd.grad(loss, image)
    torch.testing.assert_close(gradient, A.H(torch.ones(A.dimsd)))


def test_scales_and_precisions():
    """Results scale with the image, and float32 images have float32 results."""
    A = CT2D((16, 16), 1.0, 16, np.linspace(0, np.pi, 12, endpoint=False))
    image = torch.rand(16, 16, dtype=torch.float64)
    for factor in (1e-12, 1e12):
        torch.testing.assert_close(A(image * factor), A(image) * factor, rtol=1e-13, atol=0.0)
    assert A(image.float()).dtype == torch.float32
    torch.testing.assert_close(A(image.float()).double(), A(image), rtol=1e-6, atol=1e-6)
    strided = torch.rand(32, 16, dtype=torch.float64)[::2].mT
    torch.testing.assert_close(A(strided), A(strided.contiguous()))


def test_casts_do_not_round_the_angles():
    """Constants of the geometry stay in float64."""
    thetas = np.linspace(0, np.pi, 12, endpoint=False)
    A = scan((16, 16), 1.0, 16, thetas, "strip", (40.0 + np.arange(12), 5.0))
    image = torch.rand(16, 16, dtype=torch.float64)
    want = A(image)
    torch.testing.assert_close(A.float().double()(image), want, rtol=1e-14, atol=1e-14)
    assert isinstance(A.thetas, np.ndarray)
    assert A.thetas.dtype == np.float64
    with pytest.raises(AttributeError, match="Build a new operator"):
        A.thetas = thetas


def test_engine_cuda_means_joseph_as_in_pylops():
    """The engine decides only what the default kernel is."""
    thetas = [0.3, 1.0]
    cuda, linear = (
        CT2D((8, 8), 1.0, 6, thetas, **options) for options in ({"engine": "cuda"}, {"projector_type": "linear"})
    )
    assert (cuda.projector_type, linear.projector_type) == ("cuda", "linear")
    image = np.random.default_rng(0).standard_normal((8, 8))
    np.testing.assert_array_equal(cuda(image), linear(image))
    fan = {"proj_geom_type": "fanflat", "source_origin_dist": 20.0, "origin_detector_dist": 0.0}
    for given in (None, "strip", "strip_fanflat"):
        assert CT2D((8, 8), 1.0, 6, thetas, projector_type=given, **fan).projector_type == "strip_fanflat"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dims": 8}, ValueError, "shape of an image"),
        ({"dims": (2, 3, 4)}, ValueError, "shape of an image"),
        ({"det_count": 0}, ValueError, "det_count"),
        ({"det_width": 0.0}, ValueError, "det_width must be greater than 0"),
        ({"det_width": [1.0, 2.0, 3.0]}, ValueError, "each of 2 views"),
        ({"det_offset": np.nan}, ValueError, "finite"),
        ({"thetas": [0.0, np.inf]}, ValueError, "finite"),
        ({"thetas": 0.0}, ValueError, "vector of angles"),
        ({"thetas": []}, ValueError, "vector of angles"),
        ({"thetas": torch.ones(2, 2)}, ValueError, "vector of angles"),
        ({"thetas": [1j]}, TypeError, "real"),
        ({"thetas": torch.ones(2, dtype=torch.complex64)}, TypeError, "real"),
        ({"engine": "numpy"}, NotImplementedError, "engine must be"),
        ({"proj_geom_type": "cone"}, ValueError, "proj_geom_type must be"),
        ({"projector_type": "blob"}, ValueError, "projector_type must be"),
        ({"projector_type": "strip_fanflat"}, ValueError, "projector_type must be"),
        ({"proj_geom_type": "fanflat"}, ValueError, "source_origin_dist and origin_detector_dist"),
        ({"proj_geom_type": "fanflat", "source_origin_dist": 20.0}, ValueError, "needs origin_detector_dist"),
        ({"proj_geom_type": "fanflat", "source_origin_dist": 3.0, "origin_detector_dist": 9.0}, ValueError, "inside"),
        (
            {"proj_geom_type": "fanflat", "source_origin_dist": 9.0, "origin_detector_dist": -9.0},
            ValueError,
            "positive",
        ),
        ({"proj_geom_type": "fanflat", "source_origin_dist": -9.0, "origin_detector_dist": 9.0}, ValueError, "greater"),
        (
            {"proj_geom_type": "fanflat", "source_origin_dist": 9.0, "origin_detector_dist": -8.5},
            ValueError,
            "det_width must be at most",
        ),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    """Errors say what is wrong."""
    arguments = {"dims": (8, 8), "det_width": 1.0, "det_count": 6, "thetas": [0.0, 1.0], **options}
    with pytest.raises(error, match=message):
        CT2D(**arguments)


def test_slices_are_a_batch():
    """The shape of a volume is refused, with what to do instead."""
    with pytest.raises(ValueError, match=r"call the operator of one image with \(slices, ny, nx\)"):
        CT2D((3, 8, 8), 1.0, 6, [0.0, 1.0])


DEGREES = (
    np.arange(180),
    np.arange(0, 360, 10),
    np.linspace(0, 180, 50, endpoint=False),
    np.linspace(0, 360, 77),
    np.arange(-60, 61, 3),
    torch.linspace(0, 180, 33, dtype=torch.float64),
)
RADIANS = (
    np.linspace(0, np.pi, 180, endpoint=False),
    np.linspace(-2 * np.pi, 2 * np.pi, 90),
    np.arange(500) * np.pi * (np.sqrt(5) - 1) / 2,  # golden angles
    np.arange(8),
    [180.0],
)


@pytest.mark.parametrize("make", [lambda t: CT2D((8, 8), 1.0, 6, t), lambda t: cone_vectors(t, 20.0, 9.0)])
def test_degrees_are_warned_of(make):
    """They are silently wrong otherwise, and angles of common scans in radians are not taken for them."""
    for thetas in DEGREES:
        with pytest.warns(UserWarning, match=r"look like degrees: pass numpy\.deg2rad"):
            make(thetas)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for thetas in RADIANS:
            make(thetas)


def test_distances_of_parallel_rays_warn():
    """They have no effect, in PyLops silently."""
    with pytest.warns(UserWarning, match="source_origin_dist have no effect"):
        CT2D((8, 8), 1.0, 6, [0.0], source_origin_dist=20.0)


def test_nothing_is_silent_about_angles_that_are_not_finite():
    """NaN in a tensor of angles comes out."""
    for kernel in ("linear", "line"):
        thetas = torch.tensor([0.1, 0.2], dtype=torch.float64)
        A = CT2D((8, 8), 1.0, 6, thetas, projector_type=kernel)
        with torch.no_grad():
            thetas[1] = torch.nan
        for apply in (A, A._forward):
            data = apply(torch.ones(8, 8, dtype=torch.float64))
            assert data[1].isnan().all()
            assert data[0].isfinite().all()


def test_solvers_reconstruct():
    """CGLS finds the image from enough views."""
    image = np.zeros((16, 16))
    image[4:9, 5:12] = 1.0
    A = scan((16, 16), 1.0, 24, np.linspace(0, np.pi, 40, endpoint=False), "strip")
    found = torchlops.cgls(A, A(image), niter=1000, tol=0)[0]
    assert np.abs(found.reshape(16, 16) - image).max() < 1e-2
