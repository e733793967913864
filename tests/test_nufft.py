"""The non-uniform FFT against the exact sum: errors, derivatives, fast kernels, finufft, densities, its gram."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch

import torchlops
from torchlops import config, optimization
from torchlops.signalprocessing import FFTND, NUFFT, NUFFTGram, density_compensation

F64, C128 = torch.float64, torch.complex128
GRIDS = [(37,), (64,), (12, 15), (24, 17), (6, 7, 8), (40, 40), (1, 5), (1,), (3, 2), (2, 3, 1)]


def _exact(x, points):
    """Return the sum itself, for one trajectory ``(M, d)``."""
    dims = x.shape[-points.shape[-1] :]
    grid = torch.stack(torch.meshgrid(*[torch.arange(n, dtype=F64) - n // 2 for n in dims], indexing="ij"), -1).reshape(
        -1, len(dims)
    )
    matrix = torch.exp(-1j * (points @ grid.mT))
    return x.reshape(*x.shape[: x.ndim - len(dims)], -1).to(C128) @ matrix.mT


def _points(count, axes, seed=0, range=10.0):
    return (torch.rand(count, axes, dtype=F64, generator=torch.Generator().manual_seed(seed)) - 0.5) * 2 * range


def _complex(*shape, seed=0, dtype=C128):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def _error(found, wanted):
    return float(torch.linalg.vector_norm(found.detach() - wanted.detach()) / torch.linalg.vector_norm(wanted.detach()))


def _radial(spokes, samples):
    angle, radius = np.arange(spokes) * np.pi / spokes, np.linspace(-np.pi, np.pi, samples, endpoint=False)
    return np.stack([np.outer(np.cos(angle), radius).ravel(), np.outer(np.sin(angle), radius).ravel()], -1)


# -- the sum -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", GRIDS, ids=str)
def test_the_error_is_within_the_tolerance(dims):
    points, x = _points(150, len(dims)), _complex(2, *dims)
    wanted = _exact(x, points)
    for digits in range(1, 13):
        A = NUFFT(dims, points.numpy(), tol=10.0**-digits)
        assert A.width == digits + 1
        # rounding adds a little to the finest
        assert _error(A._forward(x), wanted) <= 1.05 * 10.0**-digits + 3e-13
        assert _error(A._adjoint(wanted), NUFFT(dims, points.numpy(), tol=1e-12)._adjoint(wanted)) <= 2 * 10.0**-digits


@pytest.mark.parametrize("dims", [(64,), (24, 17), (9, 8, 7)], ids=str)
def test_forward_and_adjoint_match(dims):
    points = _points(300, len(dims))
    for options in ({}, {"norm": "ortho"}, {"dtype": "float64"}, {"tol": 1e-12}):
        A = NUFFT(dims, points.numpy(), **options)
        x, y = _complex(*dims), _complex(300, seed=1)
        x = x.real.clone() if A.real_model else x
        for forward, adjoint in ((A._forward, A._adjoint), (A._fast_forward, A._fast_adjoint)):
            difference = (
                torch.vdot(y, forward(x)).real - torch.vdot(adjoint(y).to(C128).flatten(), x.to(C128).flatten()).real
            )
            assert abs(difference) <= 1e-13 * x.norm() * y.norm() * math.sqrt(300)


@pytest.mark.parametrize("dims", [(8,), (7,), (6, 8), (5, 6), (4, 5, 6)], ids=str)
def test_a_uniform_grid_of_points_gives_the_fft(dims):
    axes = [2 * np.pi / n * (np.arange(n) - n // 2) for n in dims]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(dims))
    A = NUFFT(dims, points, tol=1e-12, norm="ortho")
    F = FFTND(dims, axes=range(len(dims)), ifftshift_before=True, fftshift_after=True)
    x = _complex(*dims)
    assert _error(A(x), F(x).flatten()) <= 1e-12
    assert _error(A.H(A(x)), x) <= 3e-12


def test_points_on_the_grid_at_pi_and_beyond_a_period():
    special = [0.0, -0.0, np.pi, -np.pi, np.pi / 2, -np.pi / 64, np.nextafter(np.pi, 0), -1e-300, 1e-17, 2 * np.pi]
    points = torch.tensor([[a, b] for a in special for b in special], dtype=F64)
    x = _complex(32, 31)
    for turns in (0, 1, -1, 1000):
        moved = points + 2 * math.pi * turns
        for A in (NUFFT((32, 31), moved.numpy(), tol=1e-12), NUFFT((32, 31), moved, tol=1e-12)):
            for y in (A._forward(x), A._fast_forward(x)):
                assert y.isfinite().all()
                assert _error(y, _exact(x, points)) <= 2e-12 + 1e-13 * abs(turns)


def test_one_point_and_a_repeated_one():
    x = _complex(5, 4)
    for points in (_points(1, 2), _points(1, 2).expand(7, 2)):
        A = NUFFT((5, 4), points.numpy())
        assert _error(A(x), _exact(x, points)) <= 1e-6
        assert A.H(A(x)).shape == (5, 4)


@pytest.mark.parametrize("dims", [(40,), (20, 24), (8, 9, 10)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, C128], ids=str)
def test_fast_kernels_with_and_without_a_matrix(dims, dtype):
    """Both, and the differentiable one, agree, for one trajectory and for one per sample, and batches of several."""
    before = config.get_sparse_limit()
    tolerance = 2e-5 if dtype in (torch.float32, torch.complex64) else 1e-13
    try:
        for samples in ((), (2, 3)):
            points = _points(math.prod(samples) * 150, len(dims)).reshape(*samples, 150, len(dims)).numpy()
            for limit, kernel in ((before, "sparse matrix"), (0, "gather")):
                config.set_sparse_limit(limit)
                A = NUFFT(dims, points)
                for batch in ((), (3,), (2, 3), (0,)):
                    x = (
                        _complex(*batch, *A.dims).to(dtype)
                        if dtype.is_complex
                        else _complex(*batch, *A.dims).real.to(dtype)
                    )
                    y = A._forward(x)
                    assert y.dtype == (torch.complex64 if tolerance > 1e-10 else C128)
                    assert A._fast_forward(x).shape == y.shape == (*batch, *A.dimsd)
                    if 0 not in batch:
                        assert _error(A._fast_forward(x), y) <= tolerance
                        assert _error(A._fast_adjoint(y), A._adjoint(y)) <= tolerance
                        assert _error(A._fast_adjoint(y.real), A._adjoint(y.real)) <= tolerance
                assert A.plan.kernel == kernel
                assert (A.plan.nbytes == 0) == (kernel == "gather")
    finally:
        config.set_sparse_limit(before)


def test_a_trajectory_for_each_sample():
    points = _points(2 * 3 * 50, 2).reshape(2, 3, 50, 2)
    A = NUFFT((6, 7), points.numpy(), tol=1e-8)
    assert (A.dims, A.dimsd) == ((2, 3, 6, 7), (2, 3, 50))
    x = _complex(4, 2, 3, 6, 7)
    wanted = torch.stack([torch.stack([_exact(x[:, i, j], points[i, j]) for j in range(3)], 1) for i in range(2)], 1)
    assert _error(A(x), wanted) <= 1e-8


def test_single_precision_and_scales():
    points, x = _points(500, 2), _complex(40, 40)
    wanted = _exact(x, points)
    for tol in (1e-3, 1e-6, 1e-12):
        y = NUFFT((40, 40), points.numpy(), tol=tol)(x.to(torch.complex64))
        assert y.dtype == torch.complex64
        assert _error(y, wanted) <= tol + 2.5e-6
    A = NUFFT((40, 40), points.numpy())
    for scale in (1e-12, 1e12, 1e-150, 1e150):
        assert _error(A(x * scale) / scale, A(x)) <= 1e-14
        assert _error(A.H(wanted * scale) / scale, A.H(wanted)) <= 1e-14


def test_casts_do_not_shorten_constant_points():
    points, x = _points(200, 1, range=3), _complex(5000)
    A = NUFFT(5000, points.numpy(), tol=1e-9).to(torch.float32).to(F64)
    assert _error(A(x), _exact(x, points)) <= 1e-9


def test_strides_do_not_matter():
    points = _points(300, 2)
    A = NUFFT((20, 30), points.T.contiguous().T.numpy())
    x = _complex(30, 20, 2).permute(2, 1, 0)
    assert _error(A(x), A(x.contiguous())) <= 1e-15
    y = A(x)
    assert _error(A.H(y.mT.contiguous().mT), A.H(y)) <= 1e-15
    assert _error(A(x.conj()), A(x.conj().resolve_conj())) <= 1e-15


# -- what it is built from -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dims": (2, 2, 2, 2), "points": np.zeros((3, 4))}, "one to three axes"),
        ({"points": np.zeros((3, 3))}, r"\(\*samples, M, 2\)"),
        ({"points": np.zeros(2)}, r"\(\*samples, M, 2\)"),
        ({"points": np.zeros((0, 2))}, "one point at least"),
        ({"points": np.array([[0.0, np.nan]])}, "finite"),
        ({"points": torch.tensor([[0.0, np.inf]])}, "finite"),
        ({"tol": 1e-13}, "tol must be from"),
        ({"tol": 0.5}, "tol must be from"),
        ({"tol": float("nan")}, "tol must be from"),
        ({"norm": "backward"}, "'none' or 'ortho'"),
        ({"engine": "cufinufft"}, "'torch' or 'finufft'"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        NUFFT(**{"dims": (4, 4), "points": np.zeros((3, 2)), **arguments})


def test_complex_points_are_refused():
    for points in (np.zeros((3, 1), dtype=complex), torch.zeros(3, 1, dtype=C128)):
        with pytest.raises(TypeError, match="real"):
            NUFFT(4, points)


def test_points_are_an_attribute():
    given = _points(3, 1)
    A = NUFFT(4, given.numpy())
    assert np.array_equal(A.points, given.numpy())
    with pytest.raises(ValueError, match="read-only"):
        A.points[:] = 0
    given.zero_()  # which was copied
    assert A.points.any()
    with pytest.raises(AttributeError, match="Build a new operator"):
        A.points = np.zeros((3, 1))
    parameter = torch.nn.Parameter(_points(3, 1))
    B = NUFFT(4, parameter)
    assert B.points is parameter
    assert dict(B.named_parameters())["points"] is parameter


def test_a_change_in_place_is_seen_by_fast_kernels():
    points = torch.nn.Parameter(_points(600, 2))
    A, x = NUFFT((30, 30), points), _complex(4, 30, 30)
    for _ in range(3):
        with torch.no_grad():
            assert _error(A(x), _exact(x, points)) <= 1e-6
            y = A(x)
            assert _error(A.H(y), NUFFT((30, 30), points.detach().clone())._adjoint(y)) <= 1e-13
            points.mul_(0.9)
    assert A.plan.nbytes == A.shape[0] * 49 * 12


def test_copies_and_pickles():
    A, x = NUFFT((30, 30), _points(600, 2).numpy()), _complex(30, 30)
    wanted = A(x)
    for B in (copy.deepcopy(A), pickle.loads(pickle.dumps(A))):
        assert _error(B(x), wanted) <= 1e-15
        del B
    assert _error(A(x), wanted) <= 1e-15


# -- derivatives ---------------------------------------------------------------------------------------------------


def _learned(dims, real, adjoint, tol):
    def function(x, points):
        A = NUFFT(dims, points, tol=tol, dtype="float64" if real else "complex128")
        return A.H(x) if adjoint else A(x)

    return function


def _exact_function(dims, real, adjoint):
    def function(x, points):
        if not adjoint:
            return _exact(x, points)
        size = math.prod(dims)
        matrix = _exact(torch.eye(size, dtype=F64).reshape(size, *dims), points)  # its rows are the columns
        image = (x.to(C128) @ matrix.conj().mT).reshape(*x.shape[:-1], *dims)
        return image.real if real else image

    return function


def _derivatives(function, x, points):
    """Return the gradients, and those of a function of the gradients, of both inputs."""
    x, points = x.clone().requires_grad_(), points.clone().requires_grad_()
    y = function(x, points)
    tilt = torch.linspace(0, 1, y.numel(), dtype=F64).reshape(y.shape)
    first = torch.autograd.grad(y.abs().square().sum() + (y * tilt).real.sum(), (x, points), create_graph=True)
    second = torch.autograd.grad(first[0].abs().square().sum() + first[1].pow(3).sum(), (x, points))
    return [value.detach() for value in (*first, *second)]


@pytest.mark.parametrize("tol", [1e-6, 1e-12])
@pytest.mark.parametrize("real", [False, True], ids=["complex", "real"])
@pytest.mark.parametrize("adjoint", [False, True], ids=["forward", "adjoint"])
def test_gradients_of_fast_kernels_are_those_of_the_sum(adjoint, real, tol):
    dims, points = (15, 16), _points(400, 2)
    x = _complex(3, 400) if adjoint else _complex(3, *dims)
    x = x.real.clone() if real and not adjoint else x
    found = _derivatives(_learned(dims, real, adjoint, tol), x, points)
    wanted = _derivatives(_exact_function(dims, real, adjoint), x, points)
    for one, other in zip(found, wanted, strict=True):
        assert _error(one, other) <= 6 * tol


def test_the_gradient_uses_fast_kernels(monkeypatch):
    """In plain eager execution the points learn without the differentiable kernel; in a transform, by it."""
    A, x = NUFFT((15, 16), torch.nn.Parameter(_points(400, 2))), _complex(3, 15, 16)
    with monkeypatch.context() as patch:
        patch.setattr(NUFFT, "_taps", None)
        A(x).abs().square().sum().backward()
    native = torch.func.grad(lambda p: torch.func.functional_call(A, {"points": p}, (x,)).abs().square().sum())
    assert _error(A.points.grad, native(A.points.detach())) <= 1e-5


@pytest.mark.parametrize(("tol", "wanted"), [(1e-6, 1e-5), (1e-12, 1e-10)])
@pytest.mark.parametrize("dims", [(16, 15), (6, 7, 8)], ids=str)
def test_gradients_of_differentiable_kernels(dims, tol, wanted):
    points, x, c = _points(100, len(dims)), _complex(*dims), _complex(100)

    def loss(function):
        return lambda p: (function(x, p) * c).real.sum()

    exact, ours = loss(_exact_function(dims, False, False)), loss(_learned(dims, False, False, tol))
    assert _error(torch.func.grad(ours)(points), torch.func.grad(exact)(points)) <= wanted
    tangent = _points(100, len(dims), seed=1, range=1)
    pushed = torch.func.jvp(ours, (points,), (tangent,))[1]
    assert abs(pushed - torch.func.jvp(exact, (points,), (tangent,))[1]) <= wanted * abs(pushed) * 10
    hessians = [torch.func.jvp(torch.func.grad(f), (points,), (tangent,))[1] for f in (ours, exact)]
    assert _error(*hessians) <= 30 * wanted


def test_gradients_of_trajectories_of_each_sample():
    points = _points(2 * 700, 1).reshape(2, 700, 1)
    x = _complex(4, 2, 20)
    found = _derivatives(_learned((20,), False, False, 1e-9), x, points)

    def exact(x, p):
        return torch.stack([_exact(x[:, i], p[i]) for i in range(2)], 1)

    for one, other in zip(found, _derivatives(exact, x, points), strict=True):
        assert _error(one, other) <= 6e-9


@pytest.mark.parametrize("adjoint", [False, True], ids=["forward", "adjoint"])
def test_batched_gradients(adjoint):
    A, x = NUFFT((15, 16), _points(800, 2).requires_grad_()), _complex(3, 800) if adjoint else _complex(3, 15, 16)
    x.requires_grad_()
    y = A.H(x) if adjoint else A(x)
    assert "LearningKernel" in type(y.grad_fn).__name__
    directions = _complex(4, *y.shape, seed=1)
    found = torch.autograd.grad(y, (x, A.points), directions, is_grads_batched=True, retain_graph=True)
    single = [torch.autograd.grad(y, (x, A.points), one, retain_graph=True) for one in directions]
    for together, each in zip(found, zip(*single, strict=True), strict=True):
        assert _error(together, torch.stack(each)) <= 1e-5


def test_gradients_through_a_solution():
    """Those of the solution of normal equations by the points are those of a dense solution."""
    points, y = _points(120, 2, range=3), _complex(120)

    def solved(points):
        A = NUFFT((5, 6), points, tol=1e-11)
        solve = optimization.leastsquares.normal_equations_inversion
        return solve(A, y, None, epsI=1.0, niter=200, rtol=1e-13)[0].abs().pow(3).sum()

    def dense(points):
        matrix = _exact_function((5, 6), False, False)(torch.eye(30, dtype=F64).reshape(30, 5, 6), points).mT
        normal = matrix.mH @ matrix + torch.eye(30, dtype=F64)
        return torch.linalg.solve(normal, matrix.mH @ y).abs().pow(3).sum()

    gradients = [torch.autograd.grad(f(p), p)[0] for f in (solved, dense) for p in [points.clone().requires_grad_()]]
    assert _error(*gradients) <= 1e-8


def test_points_changed_between_forward_and_backward_raise():
    points = torch.nn.Parameter(_points(400, 2))
    y = NUFFT((15, 16), points)(_complex(3, 15, 16)).abs().sum()
    with torch.no_grad():
        points.mul_(0.5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


# -- finufft -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [(32,), (13, 16), (6, 7, 8)], ids=str)
def test_finufft_is_the_same_operator(dims):
    finufft = pytest.importorskip("finufft")
    points, x = _points(200, len(dims)), _complex(3, *dims)
    A = NUFFT(dims, points.numpy(), tol=1e-11, norm="ortho")
    B = NUFFT(dims, points.numpy(), tol=1e-11, norm="ortho", engine="finufft")
    assert _error(B(x), A(x)) <= 1e-10
    assert _error(B.H(A(x)), A.H(A(x))) <= 1e-10
    kind = getattr(finufft, f"nufft{len(dims)}d2")
    places = [np.ascontiguousarray(points[:, axis].numpy()) for axis in range(len(dims))]
    theirs = kind(*places, x[0].numpy(), eps=1e-12, isign=-1) / math.sqrt(math.prod(dims))
    assert _error(A(x[0]), torch.from_numpy(theirs)) <= 2e-11
    assert B.plan.kernel == "finufft"
    assert B(x.to(torch.complex64)).dtype == torch.complex64
    assert _error(B.gram()(x), A.gram()(x)) <= 1e-9
    for C in (copy.deepcopy(B), pickle.loads(pickle.dumps(B))):
        assert _error(C(x), B(x)) <= 1e-14


@pytest.mark.slow
def test_finufft_keeps_the_promises_of_foreign_operators():
    pytest.importorskip("finufft")
    points = _points(3 * 2, 2).reshape(2, 3, 2)
    for A in (
        NUFFT((2, 3), points.numpy(), tol=1e-10, engine="finufft"),
        NUFFT((2, 3), points[0].numpy(), tol=1e-10, dtype="float64", engine="finufft"),
    ):
        for name in ("adjoint", "batches", "derivatives", "functorch", "arrays", "compile"):
            torchlops.testing.PROMISES[name].check(A)


def test_finufft_gives_no_gradient_by_the_points():
    pytest.importorskip("finufft")
    with pytest.raises(TypeError, match="engine='torch'"):
        NUFFT(4, _points(3, 1), engine="finufft")


# -- normal operators ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [(9,), (8,), (8, 7), (5, 6, 4), (1, 3)], ids=str)
@pytest.mark.parametrize("norm", ["none", "ortho"])
def test_gram_is_the_product_with_the_adjoint(dims, norm):
    points, x = _points(150, len(dims)), _complex(3, *dims)
    weights = torch.rand(150, dtype=F64, generator=torch.Generator().manual_seed(0))
    for tol in (1e-3, 1e-6, 1e-12):
        A = NUFFT(dims, points.numpy(), tol=tol, norm=norm)
        for W in (
            None,
            weights,
            torchlops.Diagonal(weights),
            torchlops.Diagonal(weights) @ torchlops.Diagonal(weights),
        ):
            G = A.gram(W)
            wanted = A.H(A(x) if W is None else W * A(x) if isinstance(W, torch.Tensor) else W(A(x)))
            assert _error(G(x), wanted) <= 1.5 * tol
        G = A.gram(weights)
        assert isinstance(G, NUFFTGram)
        assert _error(G._fast_forward(x), G._forward(x)) <= 1e-14
        matrix = G.todense()
        assert abs(matrix - matrix.conj().T).max() <= 1e-15 * abs(matrix).max()
        assert np.linalg.eigvalsh(matrix).min() >= -2 * tol * abs(matrix).sum(0).max()


def test_gram_of_real_models_and_of_each_sample():
    points, x = _points(2 * 80, 2).reshape(2, 80, 2), _complex(3, 2, 5, 6).real
    A = NUFFT((5, 6), points.numpy(), dtype="float64")
    assert A.gram()(x).dtype == F64
    assert _error(A.gram()(x), A.H(A(x))) <= 1.5e-6
    S = torchlops.Diagonal(_complex(5, 6))
    B = NUFFT((5, 6), points[0].numpy()) @ S
    assert _error(B.gram()(_complex(5, 6)), B.H(B(_complex(5, 6)))) <= 1.5e-6


def test_gram_of_composites():
    points, x = _points(100, 2), _complex(8, 7)
    F, S = NUFFT((8, 7), points.numpy(), tol=1e-8), torchlops.Diagonal(_complex(8, 7, seed=3))
    D = torchlops.FirstDerivative((8, 7), axis=0, dtype="complex128")
    composites = [F @ S, 2j * F @ S, torchlops.VStack([F @ S, F, D]), F @ D @ S]
    for A in composites:
        assert "NUFFTGram" in repr(A.gram())
        assert A.gram().dims == A.gram().dimsd == A.dims
        assert _error(A.gram()(x), A.H(A(x))) <= 1e-7
    B = torchlops.BlockDiag([F @ S, F])
    x = _complex(*B.dims)
    assert "NUFFTGram" in repr(B.gram())
    assert _error(B.gram()(x), B.H(B(x))) <= 1e-7


def test_gram_of_stacks_of_real_and_complex_models_is_real():
    points = _points(30, 2).numpy()
    C, R = NUFFT((4, 5), points, tol=1e-10), NUFFT((4, 5), points, tol=1e-10, dtype="float64")
    for A in (torchlops.VStack([C, R]), torchlops.VStack([R, C]), torchlops.BlockDiag([C, R])):
        x = _complex(3, *A.dims).real.clone()
        y = A.H(A(x))
        assert y.dtype == F64
        assert A.gram()(x).dtype == F64
        assert _error(A.gram()(x), y) <= 1e-8
        b = A(x)
        found = optimization.leastsquares.normal_equations_inversion(A, b, None, epsI=0.1, niter=200, rtol=1e-12)[0]
        assert _error(A.H(A(found)) + 0.01 * found, A.H(b)) <= 1e-8


def test_gram_of_a_stack_has_its_dims():
    C, flat = NUFFT((4, 5), _points(30, 2).numpy()), torchlops.Identity(20, dtype="complex128")
    for parts in ([flat, C], [C, flat]):
        A = torchlops.VStack(parts)
        assert A.gram().dims == A.gram().dimsd == A.dims == (20,)


def test_weights_of_a_diagonal_remain_a_parameter():
    weights = torch.nn.Parameter(torch.linspace(0.5, 2, 40, dtype=F64))
    A, x = NUFFT((4, 5), _points(40, 2).numpy()), _complex(4, 5)
    G = A.gram(torchlops.Diagonal(weights))
    assert [name for name, _ in G.named_parameters()] == ["weights"]
    assert torch.equal(copy.deepcopy(G)(x), G(x))


def test_gram_without_values():
    for points in (_points(40, 2), _points(40, 2).numpy()):
        A = NUFFT((4, 5), points).to("meta")
        assert A.gram()(torch.empty(3, 4, 5, dtype=C128, device="meta")).shape == (3, 4, 5)


def test_gram_of_others_is_the_product():
    A = torchlops.MatrixMult(_complex(4, 3))
    W = torchlops.Diagonal(_complex(4).real)
    x = _complex(3)
    assert repr(A.gram()) == repr(A.H @ A)
    assert repr(A.gram(W)) == repr(A.H @ (W @ A))
    assert torch.equal(A.gram()(x), (A.H @ A)(x))
    assert _error(A.gram(np.array([1.0, 2.0, 3.0, 4.0]))(x), A.H(torch.arange(1.0, 5.0, dtype=F64) * A(x))) <= 1e-15
    with pytest.raises(ValueError, match="weights of shape"):
        A.gram(np.ones(3))


@pytest.mark.parametrize("args", [{"weights": np.ones(3)}, {"weights": np.full(5, np.nan)}], ids=["shape", "finite"])
def test_bad_weights(args):
    with pytest.raises(ValueError, match="weights must be"):
        NUFFTGram(4, np.zeros((5, 1)), **args)
    with pytest.raises(TypeError, match="real"):
        NUFFTGram(4, np.zeros((5, 1)), torch.ones(5, dtype=C128))


def test_gradients_of_gram():
    points, weights, x = _points(60, 2), _points(60, 1, seed=2)[:, 0].abs(), _complex(5, 6)

    def loss(of_gram, points, weights):
        A = NUFFT((5, 6), points, tol=1e-9)
        z = A.gram(weights)(x) if of_gram else A.H(weights * A(x))
        return z.abs().square().sum()

    for transform in (
        lambda f: torch.func.grad(f, (0, 1)),
        lambda f: lambda p, w: torch.autograd.grad(f(p, w), (p, w)),
    ):
        found, wanted = (
            transform(lambda p, w, g=of_gram: loss(g, p, w))(
                points.clone().requires_grad_(), weights.clone().requires_grad_()
            )
            for of_gram in (True, False)
        )
        for one, other in zip(found, wanted, strict=True):
            assert _error(one, other) <= 1e-7


def test_gram_follows_changes_in_place():
    points = torch.nn.Parameter(_points(400, 2))
    G, x = NUFFTGram((15, 16), points), _complex(15, 16)
    with torch.no_grad():
        before = G(x)
        points.mul_(0.9)
        A = NUFFT((15, 16), points)
        assert _error(G(x), A.H(A(x))) <= 2e-6
        assert _error(before, A.H(A(x))) > 1e-2


def test_solvers_of_normal_equations_use_it(monkeypatch):
    points, weights = _radial(20, 32), np.linspace(0.5, 2, 640)
    A, x = NUFFT((16, 16), points, tol=1e-10), _complex(2, 16, 16)
    y = A(x)
    plain = copy.deepcopy(A)
    plain._gram = lambda W: None
    counts = []
    forward = NUFFT._fast_forward
    monkeypatch.setattr(NUFFT, "_fast_forward", lambda self, x: counts.append(1) or forward(self, x))
    D = torchlops.FirstDerivative((16, 16), dtype="complex128")
    for Weight in (None, weights, torchlops.Diagonal(weights)):
        found = []
        for operator in (A, plain):
            counts.clear()
            result = optimization.leastsquares.normal_equations_inversion(
                operator, y, [D], Weight=Weight, epsRs=[1e-2], epsI=5.0, niter=10, rtol=0.0
            )
            found.append(result[0])
            assert bool(counts) == (operator is plain)
        assert _error(*found) <= 1e-6


# -- densities -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["pipe-menon", "ramp"])
@pytest.mark.parametrize("norm", ["none", "ortho"])
def test_density_compensation_makes_the_adjoint_an_inverse(method, norm):
    n = 24
    A = NUFFT((n, n), _radial(48, 48), norm=norm)
    grid = np.linspace(-1, 1, n)
    x = np.exp(-8 * (grid[:, None] ** 2 + (grid + 0.1) ** 2)).astype(complex)  # smooth: what a disk of points can tell
    w = density_compensation(A, method)
    assert isinstance(w, np.ndarray)
    assert (w > 0).all()
    assert np.linalg.norm(A.H(w * A(x)) - x) <= 0.1 * np.linalg.norm(x)
    assert np.linalg.norm(A.gram(w)(x) - x) <= 0.1 * np.linalg.norm(x)


def test_density_of_uniform_points_and_of_each_sample():
    axis = 2 * np.pi / 6 * (np.arange(6) - 3)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(36, 2)
    w = density_compensation(NUFFT((6, 6), np.stack([points, points])))
    assert w.shape == (2, 36)
    assert abs(w - 1 / 36).max() <= 1e-6
    assert abs(density_compensation(NUFFT((6, 6), points, norm="ortho")) - 1).max() <= 1e-5


def test_density_is_differentiable_in_the_points():
    points = _points(12, 1, range=3)
    for method in ("pipe-menon", "ramp"):

        def weights(p, method=method):
            return density_compensation(NUFFT(4, p, tol=1e-10), method, niter=3)

        assert not weights(points).requires_grad
        torch.autograd.gradcheck(weights, points.clone().requires_grad_())


@pytest.mark.parametrize("method", ["pipe-menon", "ramp"])
def test_density_is_differentiable_through_a_map_over_trajectories(method):
    points = torch.stack([_points(12, 2), _points(12, 2, seed=1)])

    def total(p):
        return density_compensation(NUFFT((4, 5), p), method, niter=2)[..., 3:].sum()

    found = torch.func.grad(lambda p: torch.func.vmap(total)(p).sum())(points)
    wanted = torch.stack([torch.func.grad(total)(p) for p in points])
    assert wanted.abs().max() > 0
    assert _error(found, wanted) <= 1e-12


def test_bad_arguments_of_density_compensation():
    A = NUFFT(4, np.zeros((3, 1)))
    with pytest.raises(ValueError, match="'pipe-menon' or 'ramp'"):
        density_compensation(A, "voronoi")
    with pytest.raises(ValueError, match="niter"):
        density_compensation(A, niter=0)
    with pytest.raises(TypeError, match="NUFFT"):
        density_compensation(torchlops.Identity(3))
