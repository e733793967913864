"""Magnetic resonance imaging: masks, coils, and their sensitivities, against independent truths."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.every_operator.case import Case, random
from torchlops import Conj, Identity, Real, testing
from torchlops.medical import MRI2D, SENSE, Sensitivity, espirit_maps, walsh_maps
from torchlops.optimization import SolverWarning
from torchlops.signalprocessing import FFT2D, FFTND, NUFFT

C128 = torch.complex128


def complex_random(*shape: int, seed: int = 0) -> Tensor:
    return random(*shape, seed=seed, dtype=C128)


# -- MRI2D -----------------------------------------------------------------------------------------------------------


def exact(dims: tuple[int, int], positions: np.ndarray) -> np.ndarray:
    """The matrix of the transform at positions in samples of k-space, for an image whose origin is its first sample."""
    (ny, nx), (ky, kx) = dims, positions - np.array([[dims[0] // 2], [dims[1] // 2]])
    i, j = (axis.ravel() for axis in np.mgrid[:ny, :nx])
    return np.exp(-2j * np.pi * (np.outer(ky, i) / ny + np.outer(kx, j) / nx)) / math.sqrt(nx * ny)


@pytest.mark.parametrize("dims", [(8, 8), (6, 10), (10, 6), (7, 9), (9, 4), (1, 5), (5, 1)])
@pytest.mark.parametrize("mask", ["radial-reg", "radial-uni"])
def test_radial_lines_are_the_exact_transform(dims, mask):
    A = MRI2D(dims, mask, nlines=4, tol=1e-12, generator=np.random.default_rng(0))
    x = complex_random(*dims).numpy()
    samples = 2 * ((max(dims) - 1) // 2) + 1
    assert A.dimsd == (4, samples)
    assert A.mask.shape == (2, 4 * samples)
    np.testing.assert_allclose(A(x).ravel(), exact(dims, A.mask) @ x.ravel(), rtol=0, atol=2e-11)
    np.testing.assert_allclose(A.ROp(np.fft.fftshift(np.fft.fft2(x, norm="ortho"))), A(x), rtol=0, atol=2e-11)


@pytest.mark.parametrize("dims", [(8, 8), (6, 10), (11, 6), (9, 9)])
def test_radial_lines_are_whole_and_inside_the_grid(dims):
    A = MRI2D(dims, "radial-uni", nlines=50, generator=np.random.default_rng(0))
    positions = A.mask.reshape(2, *A.dimsd)
    assert positions.min() >= 0
    assert (positions <= np.array(dims).reshape(2, 1, 1) - 1).all()
    middle = np.array([n // 2 for n in dims])
    np.testing.assert_array_equal(positions[:, :, A.dimsd[1] // 2], np.stack([middle] * 50, 1))
    steps = np.diff(positions, axis=2)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :, :1], steps.shape), atol=1e-12)
    half = np.array([[(n - 1) // 2] for n in dims])
    at_edge = np.isclose(np.abs(positions[:, :, 0] - middle[:, None]), half).any(0)
    assert at_edge.all()


def test_regular_radial_lines_along_axes_and_diagonals_are_samples_of_the_grid():
    x = complex_random(9, 9)
    kspace = FFT2D((9, 9), fftshift_after=True)(x)
    y = MRI2D((9, 9), "radial-reg", nlines=4, tol=1e-12)(x)
    torch.testing.assert_close(y[0], kspace[:, 4], rtol=0, atol=1e-11)
    torch.testing.assert_close(y[1], kspace.diagonal(), rtol=0, atol=1e-11)
    torch.testing.assert_close(y[2], kspace[4], rtol=0, atol=1e-11)
    torch.testing.assert_close(y[3], kspace.flip(0).diagonal(), rtol=0, atol=1e-11)


@pytest.mark.parametrize("dims", [(1, 9), (2, 9), (2, 6)])
def test_a_line_along_a_narrow_image_is_whole(dims):
    A = MRI2D(dims, "radial-reg", nlines=2)
    across = A.mask.reshape(2, *A.dimsd)[:, 1]
    half = (dims[1] - 1) // 2
    np.testing.assert_allclose(across[0], dims[0] // 2, atol=1e-12)
    np.testing.assert_allclose(across[1], dims[1] // 2 + np.arange(-half, half + 1), atol=1e-12)


@pytest.mark.parametrize("dims", [(6, 8), (7, 9), (32, 64), (33, 65)])
@pytest.mark.parametrize("options", [{"mask": "array"}, {"mask": "vertical-reg", "nlines": 3, "perc_center": 0.0}])
def test_arrays_and_regular_columns_are_those_of_pylops(dims, options):
    pylops = pytest.importorskip("pylops")
    rng = np.random.default_rng(0)
    options = {**options, "mask": rng.random(dims)} if options["mask"] == "array" else options
    A, B = MRI2D(dims, **options), pylops.medical.MRI2D(dims, **options)
    x = rng.normal(size=dims) + 1j * rng.normal(size=dims)
    y = B @ x
    np.testing.assert_allclose(A(x).ravel(), y.ravel(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(A.adjoint(A(x)).ravel(), (B.H @ y).ravel(), rtol=0, atol=1e-12)
    np.testing.assert_allclose((A.ROp.H @ A(x)).ravel(), (B.ROp.H @ y).ravel(), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(A.mask, B.mask)


@pytest.mark.parametrize("perc_center", [0.0, 0.1, 0.25])
def test_random_columns_are_those_of_pylops_for_the_same_generator(monkeypatch, perc_center):
    pylops = pytest.importorskip("pylops")
    rng, dims = np.random.default_rng, (5, 31)
    A = MRI2D(dims, "vertical-uni", 7, perc_center, generator=rng(3))
    monkeypatch.setattr(np.random, "default_rng", lambda: rng(3))
    B = pylops.medical.MRI2D(dims, "vertical-uni", 7, perc_center)
    np.testing.assert_array_equal(A.mask, B.mask)
    x = complex_random(*dims).numpy()
    np.testing.assert_allclose(A(x).ravel(), B @ x.ravel(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("nx", "nlines", "perc_center"), [(64, 16, 0.1), (65, 30, 0.2), (10, 3, 0.1), (12, 10, 0.2)])
def test_regular_columns_with_a_central_part(nx, nlines, perc_center):
    columns = MRI2D((3, nx), "vertical-reg", nlines, perc_center).mask
    center = int(perc_center * nx)
    inside = nx // 2 - center // 2 + np.arange(center)
    assert len(columns) == len(set(columns)) == nlines + center
    assert set(inside) <= set(columns)
    place = np.flatnonzero(~np.isin(np.arange(nx), inside))  # of the other columns
    steps = np.diff(np.searchsorted(place, columns[~np.isin(columns, inside)]))
    assert np.ptp(steps) <= 1


def test_regular_columns_work_with_the_default_central_part():
    assert MRI2D((32, 64), "vertical-reg", nlines=16).dimsd == (32, 22)


@pytest.mark.parametrize("mask", ["vertical-uni", "radial-uni"])
def test_random_masks_follow_their_generator(mask):
    def drawn(generator: object = None) -> np.ndarray:
        return MRI2D((8, 40), mask, nlines=9, generator=generator).mask

    for make in (np.random.default_rng, lambda seed: torch.Generator().manual_seed(seed)):
        np.testing.assert_array_equal(drawn(make(1)), drawn(make(1)))
        assert not np.array_equal(drawn(make(1)), drawn(make(2)))
    torch.manual_seed(5)
    first = drawn()
    assert not np.array_equal(first, drawn())
    torch.manual_seed(5)
    np.testing.assert_array_equal(first, drawn())


def test_random_angles_fill_the_circle():
    positions = MRI2D((65, 65), "radial-uni", nlines=400, generator=torch.Generator().manual_seed(0)).mask
    last = positions.reshape(2, 400, -1)[:, :, -1] - 32
    quadrants = 2 * (last[0] > 0) + (last[1] > 0)
    assert np.bincount(quadrants, minlength=4).min() > 60


@pytest.mark.parametrize("mask", [np.eye(6, 8), np.eye(6, 8, dtype=bool), np.eye(6, 8, dtype=int)])
def test_an_array_does_not_affect_the_dtype_and_a_tensor_does(mask):
    x = torch.ones(6, 8, dtype=torch.complex64)
    assert MRI2D((6, 8), mask)(x).dtype == torch.complex64
    assert MRI2D((6, 8), torch.from_numpy(mask).double())(x).dtype == torch.complex128
    assert MRI2D((6, 8), torch.ones(6, 8, dtype=torch.bool))(x).dtype == torch.complex64
    assert isinstance(MRI2D((6, 8), mask).mask, np.ndarray)


def test_a_given_array_is_copied_and_may_be_replaced():
    mask = np.ones((3, 4))
    A, x = MRI2D((3, 4), mask), complex_random(3, 4)
    want = A(x)
    mask[:] = 0.0
    torch.testing.assert_close(A(x), want)
    A.mask = np.zeros((3, 4))
    assert not A(x).any()
    B = MRI2D((3, 4), "vertical-reg", nlines=2)
    with pytest.raises(AttributeError, match="build a new operator"):
        B.mask = np.arange(2)


def test_a_copy_may_die():
    A, x = MRI2D((6, 5), "radial-reg", nlines=3), complex_random(6, 5)
    want = A(x)
    other = copy.deepcopy(A)
    torch.testing.assert_close(other(x), want)
    del other
    torch.testing.assert_close(A(x), want)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask": "spiral", "nlines": 3}, "`mask` must be"),
        ({"mask": np.ones((8, 6))}, r"shape \(6, 8\), got \(8, 6\)"),
        ({"mask": np.ones((2, 6, 8))}, "per_sample"),
        ({"mask": np.ones(8)}, r"numpy\.broadcast_to\(mask, dims\)"),
        ({"mask": "vertical-reg"}, "`nlines` and `perc_center` must be specified"),
        ({"mask": "radial-reg", "nlines": 2, "perc_center": None}, "`nlines` and `perc_center` must be specified"),
        ({"mask": "vertical-uni", "nlines": 7, "perc_center": 0.5}, r"greater than .*\(11>8\)"),
        ({"mask": "vertical-reg", "nlines": 0}, "nlines must be at least 1"),
        ({"mask": "vertical-reg", "nlines": 2, "perc_center": -0.1}, "from 0 to 1, got -0.1"),
        ({"mask": "vertical-reg", "nlines": 2, "perc_center": math.nan}, "from 0 to 1, got nan"),
        ({"mask": "radial-reg", "nlines": 2, "fft_engine": "fast"}, "`fft_engine` must be"),
        ({"mask": "radial-reg", "nlines": 2, "engine": "fast"}, "`engine` must be"),
        ({"mask": "radial-reg", "nlines": 2, "dims": (6, 8, 2)}, "two axes"),
    ],
)
def test_wrong_arguments_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        MRI2D(**{"dims": (6, 8), **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"generator": 3}, r"numpy\.random\.default_rng\(seed\)"),
        ({"nlines": 2.5}, "integer"),
        ({"nprocs": 2}, "nprocs"),
    ],
)
def test_wrong_types_raise(arguments, message):
    with pytest.raises(TypeError, match=message):
        MRI2D(**{"dims": (6, 8), "mask": "vertical-uni", "nlines": 2, **arguments})


# -- Sensitivity and SENSE -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "dims"), [((3,), None), ((4, 5), (4, 5)), ((2, 4, 5), (5, 4)), ((0, 4), None), ((), None)]
)
def test_wrong_maps_raise(shape, dims):
    with pytest.raises(ValueError, match="maps must be of shape"):
        Sensitivity(torch.ones(shape), dims)


DIMS = (4, 5)
MAPS = complex_random(3, *DIMS)
POINTS = 2 * random(30, 2, seed=1)
BOTH = torch.stack((POINTS, -POINTS)).numpy()

OPERATORS = [
    Case("mask", lambda _, maps, mask: SENSE(maps, MRI2D((3, 4), mask)).Op, [complex_random(2, 3, 4), random(3, 4)]),
    Case(
        "trajectory",
        lambda _, maps, points: SENSE(maps, NUFFT((3, 4), points, 1e-3)).Op,
        [complex_random(2, 3, 4), random(5, 2)],
    ),
    Case(
        "trajectories",
        lambda _, maps: SENSE(maps, NUFFT((3, 4), BOTH[:, :5], 1e-3), (3, 4)).Op,
        [complex_random(2, 2, 3, 4)],
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("case", OPERATORS, ids=lambda case: case.name)
def test_the_operator_of_all_coils_keeps_every_promise(case):
    testing.check(case.make(), build=case.make, tensors=case.tensors)


@pytest.mark.parametrize("case", OPERATORS, ids=lambda case: case.name)
def test_the_operator_of_all_coils_has_an_exact_adjoint_and_gradients(case):
    testing.check_adjoint(case.make())
    testing.check_tensor_gradients(case.make, case.tensors)


def test_trajectories_and_maps_of_each_image():
    own = torch.stack((MAPS, MAPS.conj()))
    x = complex_random(2, *DIMS, seed=2)
    for maps, points in ((own, POINTS.numpy()), (MAPS, BOTH), (own, BOTH)):
        A = SENSE(maps, NUFFT(DIMS, points), DIMS).Op
        assert A.dims == (2, *DIMS)
        assert A.dimsd == (2, 3, 30)
        for s in range(2):
            one = SENSE(maps[s] if maps.ndim == 4 else maps, NUFFT(DIMS, points[s] if points.ndim == 3 else points)).Op
            torch.testing.assert_close(A(x)[s], one(x[s]), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="give dims"):
        SENSE(own, NUFFT(DIMS, torch.cat((POINTS[None],) * 3).numpy()), DIMS)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_normal_operators_of_radial_lines_and_of_all_coils_are_convolutions(is_weighted):
    A, x = MRI2D((6, 9), "radial-reg", nlines=4, tol=1e-10), complex_random(2, 6, 9)
    W = random(*A.dimsd).abs() if is_weighted else None
    short, want = A.gram(W), A.H(A(x) if W is None else W * A(x))
    assert type(short).__name__ == "NUFFTGram"
    torch.testing.assert_close(short(x), want, rtol=0, atol=1e-9)
    both = SENSE(complex_random(3, 6, 9), A).Op
    assert type(both.gram()).__name__ == "CoilGram"
    torch.testing.assert_close(both.gram()(x), both.H(both(x)), rtol=0, atol=1e-8)
    testing.check_adjoint(both.gram())


def dense_solution(maps, points, y, weights, noise, damp):
    """The solution by a dense matrix, from the definitions."""
    coils, samples = maps.shape[0], points.shape[0]
    grid = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) - n // 2 for n in DIMS), indexing="ij")
    E = torch.exp(-1j * (points @ torch.stack(grid).reshape(2, -1)))
    A = E * maps.reshape(coils, 1, -1)
    white = torch.linalg.inv(torch.linalg.cholesky(noise))
    A = weights.sqrt().unsqueeze(-1) * torch.einsum("ab,bmn->amn", white, A)
    y = weights.sqrt() * (white @ y)
    A, y = A.reshape(coils * samples, -1), y.reshape(-1, coils * samples)
    N = A.mH @ A + damp**2 * torch.eye(A.shape[1])
    return torch.linalg.solve(N, (A.mH @ y.mT)).mT.reshape(-1, *DIMS)


def test_normal_operators_of_real_linear_encodings_are_real_linear():
    E = Conj((30,)) @ NUFFT(DIMS, POINTS.numpy(), 1e-10) @ Conj(DIMS) + NUFFT(DIMS, -POINTS.numpy(), 1e-10) @ Conj(DIMS)
    A, x = SENSE(MAPS, E).Op, complex_random(*DIMS, seed=2)
    assert not A.gram().clinear
    turned = A.gram() @ (2j * Identity(DIMS))
    torch.testing.assert_close(turned(x), A.H(A(2j * x)), rtol=0, atol=1e-8)


def test_real_linear_encodings_take_real_noise():
    """Whitening across the coils takes place before the encoding, with which complex factors do not commute."""
    E = Real((30,)) @ NUFFT(DIMS, POINTS.numpy(), 1e-10)
    factor = complex_random(3, 3, seed=5)
    noise = factor @ factor.mH + torch.eye(3)
    with pytest.raises(TypeError, match="noise must be real"):
        SENSE(MAPS, E, noise=noise)
    noise, y, damp = noise.real.clone(), complex_random(3, 30, seed=3).real.clone(), 0.1
    x = SENSE(MAPS, E, noise=noise).solve(y, damp, rtol=1e-12)
    A, inverse = SENSE(MAPS, E).Op, torch.linalg.inv(noise).to(C128)
    residual = A.H(inverse @ (y - A(x)).to(C128)) - damp**2 * x
    assert residual.abs().max() <= 1e-9 * A.H(inverse @ y.to(C128)).abs().max()


def test_solutions_and_their_derivatives_are_those_of_a_dense_solve():
    factor = complex_random(3, 3, seed=5)
    given = [
        MAPS,
        POINTS,
        complex_random(2, 3, 30, seed=3),
        random(30, seed=4).abs(),
        factor @ factor.mH + torch.eye(3),
    ]
    target = complex_random(2, *DIMS, seed=6)

    def ours(maps, points, y, weights, noise, damp):
        sense = SENSE(maps, NUFFT(DIMS, points, 1e-10), weights=weights, noise=noise)
        return sense.solve(y, damp, rtol=1e-13)

    results = []
    for solve in (dense_solution, ours):
        tensors = [tensor.clone().requires_grad_() for tensor in given]
        damp = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        x = solve(*tensors, damp)
        results.append((x.detach(), *torch.autograd.grad(((x - target).abs() ** 2).sum(), [*tensors, damp])))
    for want, got in zip(*results, strict=True):
        assert (got - want).abs().max() <= 1e-7 * want.abs().max()


def test_derivatives_for_a_mask_are_those_of_a_dense_solve():
    mask, y = random(*DIMS, seed=1), complex_random(3, *DIMS, seed=2)
    target, damp = complex_random(*DIMS, seed=3), 0.2

    def dense(maps, mask):
        F = torch.as_tensor(FFT2D(DIMS, fftshift_after=True).todense())
        A = (mask.reshape(-1, 1) * F * maps.reshape(3, 1, -1)).reshape(-1, F.shape[1])
        N = A.mH @ A + damp**2 * torch.eye(A.shape[1])
        return torch.linalg.solve(N, A.mH @ y.reshape(-1)).reshape(DIMS)

    def ours(maps, mask):
        return SENSE(maps, MRI2D(DIMS, mask)).solve(y, damp, rtol=1e-13)

    results = []
    for solve in (dense, ours):
        tensors = [tensor.clone().requires_grad_() for tensor in (MAPS, mask)]
        x = solve(*tensors)
        results.append((x.detach(), *torch.autograd.grad(((x - target).abs() ** 2).sum(), tensors)))
    for want, got in zip(*results, strict=True):
        assert (got - want).abs().max() <= 1e-8 * want.abs().max()


@pytest.mark.parametrize("given", ["weights", "noise", ""])
def test_of_many_solutions_it_is_the_smallest_and_so_are_its_derivatives(given):
    """Fewer data than pixels, of which no coil sees some: the solution is that of the pseudo-inverse."""
    maps, target = MAPS.clone(), complex_random(*DIMS, seed=6)
    maps[:, 0] = 0.0
    weights = 1 + random(4, seed=7).abs() if given == "weights" else None
    noise = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)) if given == "noise" else None
    rows = torch.ones(3, 4, dtype=torch.float64)
    rows = rows if weights is None else rows * weights.sqrt()
    rows = rows if noise is None else rows / noise.diagonal().sqrt().unsqueeze(-1)

    def dense(points, y):
        grid = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) - n // 2 for n in DIMS), indexing="ij")
        E = torch.exp(-1j * (points @ torch.stack(grid).reshape(2, -1)))
        A = (rows.unsqueeze(-1) * E * maps.reshape(3, 1, -1)).reshape(12, -1)
        return (torch.linalg.pinv(A, rtol=1e-10) @ (rows * y).reshape(-1)).reshape(DIMS)

    def ours(points, y):
        sense = SENSE(maps, NUFFT(DIMS, points, 1e-11), weights=weights, noise=noise)
        return sense.solve(y, rtol=1e-12)

    results = []
    for solve in (dense, ours):
        tensors = [tensor.clone().requires_grad_() for tensor in (POINTS[:4], complex_random(3, 4, seed=3))]
        x = solve(*tensors)
        results.append((x.detach(), *torch.autograd.grad(((x - target).abs() ** 2).sum(), tensors)))
    for want, got in zip(*results, strict=True):
        assert (got - want).abs().max() <= 1e-6 * want.abs().max()


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_solutions_do_not_depend_on_units(scale):
    x = complex_random(*DIMS, seed=2)
    E = NUFFT(DIMS, POINTS.numpy(), 1e-9)
    y = SENSE(MAPS, E).Op(x)
    torch.testing.assert_close(SENSE(MAPS, E).solve(scale * y) / scale, x, rtol=0, atol=1e-4)
    torch.testing.assert_close(SENSE(scale * MAPS, E).solve(y) * scale, x, rtol=0, atol=1e-4)
    weighted = SENSE(MAPS, E, weights=torch.full((30,), scale, dtype=torch.float64), noise=torch.eye(3) / scale)
    torch.testing.assert_close(weighted.solve(y), x, rtol=0, atol=1e-4)


def test_each_item_of_a_batch_stops_on_its_own():
    y = SENSE(MAPS, MRI2D(DIMS, np.ones(DIMS))).Op(complex_random(3, *DIMS, seed=2))
    y[0] = 0.0
    y[1] *= 1e-9
    sense = SENSE(MAPS, MRI2D(DIMS, np.ones(DIMS)))
    together = sense.solve(y)
    for one, alone in zip(together, y, strict=True):
        torch.testing.assert_close(one, sense.solve(alone), rtol=1e-12, atol=0)


def test_arrays_flat_data_and_a_guess():
    sense = SENSE(MAPS.numpy(), NUFFT(DIMS, POINTS.numpy()))
    x = complex_random(*DIMS, seed=2).numpy()
    y = sense.Op(x)
    found = sense.solve(y)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(sense.solve(y.ravel()), found, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(sense.solve(y, x0=found, niter=0), found)
    with pytest.raises(ValueError, match="data must be of shape"):
        sense.solve(y[:2])


def test_a_solution_that_has_not_converged_says_so(monkeypatch):
    monkeypatch.setattr("torchlops.medical.sense.ENOUGH", 2)
    sense = SENSE(MAPS, NUFFT(DIMS, POINTS.numpy()))
    y = complex_random(2, 3, 30)
    with pytest.warns(SolverWarning, match="2 of 2 images"):
        sense.solve(y)
    sense.solve(y, niter=2)  # on purpose: a warning would be an error here


def test_whitening_gives_the_smallest_variance():
    """Where one coil is much noisier, its data count less: the error is that of the Gauss-Markov theorem."""
    noise = torch.diag(torch.tensor([1e4, 1.0, 1.0], dtype=torch.float64))
    E = MRI2D(DIMS, np.ones(DIMS))
    x = complex_random(*DIMS, seed=2)
    error = noise.sqrt().to(C128) @ complex_random(3, 20, seed=3)
    y = SENSE(MAPS, E).Op(x) + 0.01 * error.reshape(3, *DIMS)
    plain, white = (SENSE(MAPS, E, noise=given).solve(y) - x for given in (None, noise))
    assert white.abs().mean() < 0.1 * plain.abs().mean()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weights": torch.ones(7)}, ValueError, "broadcast"),
        ({"weights": -torch.ones(30)}, ValueError, "not negative"),
        ({"weights": torch.ones(30, dtype=C128)}, TypeError, "real"),
        ({"noise": torch.eye(2)}, ValueError, "covariance"),
        ({"noise": -torch.eye(3)}, ValueError, "positive definite"),
        ({"noise": torch.eye(3) + torch.ones(3, 3).triu(1)}, ValueError, "Hermitian"),
        ({"encoding": MRI2D((3, 3), np.ones((3, 3)))}, ValueError, "encoding takes images"),
        ({"encoding": np.ones(DIMS)}, TypeError, r"MRI2D\(dims, mask\)"),
        ({"maps": MAPS.movedim(0, -1)}, ValueError, r"maps \(coils, \*dims\) are of 4 coils"),
        ({"encoding": MRI2D(DIMS, np.ones(DIMS), dtype="float64")}, TypeError, "complex images"),
    ],
)
def test_wrong_problems_raise(options, error, message):
    with pytest.raises(error, match=message):
        SENSE(**{"maps": MAPS, "encoding": NUFFT(DIMS, POINTS.numpy()), **options})


# -- sensitivities from data -----------------------------------------------------------------------------------------


def ring(count: int, dims: tuple[int, ...]) -> Tensor:
    """Smooth sensitivities of coils on a ring around the image, whose squares add up to 1."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, n, dtype=torch.float64) for n in dims), indexing="ij")
    coils = []
    for c in range(count):
        angle = 2 * math.pi * c / count
        v, u = axes[0] - 1.5 * math.sin(angle), axes[1] - 1.5 * math.cos(angle)
        turned = torch.complex(u * math.cos(angle) + v * math.sin(angle), v * math.cos(angle) - u * math.sin(angle))
        coils.append(1 / turned * (1.0 if len(dims) == 2 else torch.exp(0.3j * c * axes[2])))
    maps = torch.stack(coils)
    return maps / maps.abs().square().sum(0).sqrt()


def phantom(dims: tuple[int, ...]) -> Tensor:
    """An ellipse with structure and a phase, zero outside."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, n, dtype=torch.float64) for n in dims), indexing="ij")
    inside = sum((axis / (0.55 + 0.1 * i)) ** 2 for i, axis in enumerate(axes)) < 1
    texture = 1 + 0.5 * torch.sin(9 * axes[0]) * torch.cos(7 * axes[1])
    return inside * texture * torch.exp(1j * (axes[0] + 0.5 * axes[1]))


def calibration(kspace: Tensor, size: int, ndim: int) -> Tensor:
    for axis in range(-ndim, 0):
        kspace = kspace.narrow(axis, kspace.shape[axis] // 2 - size // 2, size)
    return kspace


def similarity(maps: Tensor, truth: Tensor) -> Tensor:
    axis = truth.ndim - 1
    length = maps.abs().square().sum(-axis - 1).sqrt()
    return (maps * truth.conj()).sum(-axis - 1).abs() / length.clamp_min(1e-30)


@pytest.mark.parametrize(("dims", "size", "width"), [((48, 48), 24, 6), ((40, 51), 21, 5), ((16, 18, 17), 10, 4)])
@pytest.mark.parametrize("in_the_middle", [False, True])
def test_espirit_finds_the_sensitivities(dims, size, width, in_the_middle):
    truth, x = ring(6, dims), phantom(dims)
    F = FFTND(dims, axes=tuple(range(len(dims))), ifftshift_before=in_the_middle, fftshift_after=True)
    kspace = F(truth * x)
    kspace = kspace + 1e-3 * kspace.abs().square().mean().sqrt() * complex_random(*kspace.shape)
    maps, eigenvalues = espirit_maps(calibration(kspace, size, len(dims)), dims, width, ifftshift_before=in_the_middle)
    inside = x.abs() > 0
    assert similarity(maps, truth)[inside].min() > 0.99
    assert eigenvalues[inside].min() > 0.97
    assert eigenvalues.max() < 1 + 1e-9
    assert eigenvalues[~inside].mean() < 0.9
    torch.testing.assert_close(maps.abs().square().sum(0), (eigenvalues >= 0.95).double(), rtol=0, atol=1e-12)


def test_walsh_finds_the_sensitivities():
    truth, x = ring(6, (48, 40)), phantom((48, 40))
    images = truth * x
    images = images + 1e-3 * complex_random(*images.shape)
    maps = walsh_maps(images, 5)
    assert similarity(maps, truth)[x.abs() > 0].min() > 0.99
    torch.testing.assert_close(maps.abs().square().sum(0), torch.ones(48, 40, dtype=torch.float64))


def test_walsh_is_the_eigenvector_of_the_window():
    images = complex_random(3, 6, 7)
    maps = walsh_maps(images, (3, 5))
    for row, column in ((0, 0), (2, 3), (5, 6)):
        window = images[:, max(row - 1, 0) : row + 2, max(column - 2, 0) : column + 3].reshape(3, -1)
        vector = torch.linalg.eigh(window @ window.mH)[1][:, -1]
        assert abs(float((vector.conj() @ maps[:, row, column]).abs()) - 1) < 1e-12


def by_patches(kspace: Tensor, dims: tuple[int, int], width: int, threshold: float) -> Tensor:
    """The matrices of ESPIRiT at each pixel as the paper has them: from the transforms of all kernels."""
    coils = kspace.shape[0]
    starts = [range(n - width + 1) for n in kspace.shape[1:]]
    rows = torch.stack([kspace[:, i : i + width, j : j + width].reshape(-1) for i in starts[0] for j in starts[1]])
    _, values, Vh = torch.linalg.svd(rows, full_matrices=False)
    kernels = Vh[values >= threshold * values[0]].reshape(-1, coils, width, width)
    images = torch.fft.fftn(kernels.conj(), s=dims, dim=(-2, -1))
    return torch.einsum("kaij,kbij->abij", images.conj(), images) / width**2


def test_espirit_is_the_average_of_projected_windows():
    kspace, dims = complex_random(2, 7, 8), (9, 11)
    matrices = by_patches(kspace, dims, 3, 0.3)
    values, vectors = torch.linalg.eigh(matrices.permute(2, 3, 0, 1))
    maps, eigenvalues = espirit_maps(kspace, dims, 3, threshold=0.3, crop=0.0)
    torch.testing.assert_close(eigenvalues, values[..., -1], rtol=0, atol=1e-12)
    torch.testing.assert_close(
        (vectors[..., -1].permute(2, 0, 1).conj() * maps).sum(0).abs(), torch.ones(dims, dtype=torch.float64)
    )


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1e12, 1e200])
def test_sensitivities_do_not_depend_on_units(scale):
    images = complex_random(3, 10, 8)
    torch.testing.assert_close(walsh_maps(scale * images), walsh_maps(images), rtol=0, atol=1e-9)
    for got, want in zip(
        espirit_maps(scale * images, (12, 9), 3, 0.4), espirit_maps(images, (12, 9), 3, 0.4), strict=True
    ):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-9)


def test_sensitivities_of_batches_arrays_and_types():
    images = complex_random(2, 3, 10, 8)
    for estimate in (lambda y: walsh_maps(y, 3, ndim=2), lambda y: espirit_maps(y, (12, 9), 3, 0.4, 0.0)[0]):
        maps = estimate(images)
        for one, image in zip(maps, images, strict=True):
            torch.testing.assert_close(one, estimate(image), rtol=0, atol=1e-9)
        assert estimate(images[:0]).shape == (0, *maps.shape[1:])
        found = estimate(images.numpy())
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, maps, rtol=0, atol=1e-12)
        assert estimate(images.to(torch.complex64)).dtype == torch.complex64
        assert estimate(images.real).dtype == C128
        torch.testing.assert_close(estimate(images.mT.contiguous().mT), maps, rtol=0, atol=1e-9)


def test_the_phase_is_that_of_the_strongest_combination():
    images = complex_random(3, 10, 8)
    flat = images.reshape(3, -1)
    strongest = torch.linalg.eigh(flat @ flat.mH)[1][:, -1]
    largest = strongest[strongest.abs().argmax()]
    combined = torch.einsum("c,cij->ij", (strongest * largest.conj() / largest.abs()).conj(), walsh_maps(images))
    torch.testing.assert_close(combined, combined.abs().to(C128), rtol=0, atol=1e-12)


def test_no_data_have_no_sensitivities():
    for estimate in (walsh_maps, lambda y: espirit_maps(y, (12, 9), 3)[0]):
        maps = estimate(torch.zeros(3, 10, 8, dtype=C128))
        assert not maps.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sensitivities_of_16_bit_data_are_in_single_precision(dtype):
    images = random(3, 10, 8).to(dtype)
    for estimate in (walsh_maps, lambda y: espirit_maps(y, (12, 9), 3)[0]):
        assert torch.equal(estimate(images), estimate(images.to(torch.float32)))


def test_estimates_refuse_what_they_cannot_do():
    images = complex_random(3, 10, 8)
    for estimate in (walsh_maps, lambda y: espirit_maps(y, (12, 9), 3)):
        with pytest.raises(ValueError, match="must be finite"):
            estimate(torch.full_like(images, math.nan))
    for estimate in (walsh_maps, lambda y: espirit_maps(y, (12, 9), 3)):
        with pytest.raises(TypeError, match="carries a derivative"):
            estimate(images.clone().requires_grad_())
    with pytest.raises(ValueError, match="width must be odd"):
        walsh_maps(images, 4)
    with pytest.raises(ValueError, match="at least width"):
        espirit_maps(images, (12, 9), 9)
    with pytest.raises(ValueError, match="at most dims"):
        espirit_maps(images, (9, 9), 3)
    with pytest.raises(ValueError, match="threshold must be from 0 to 1"):
        espirit_maps(images, (12, 9), 3, threshold=2.0)
    with pytest.raises(ValueError, match=r"\(\*batch, coils, \*dims\)"):
        walsh_maps(images[0, 0])
