"""Acoustic modelling: its numbers against other truths, its two forms against each other, and its derivatives."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchlops.interop import DeepwaveBorn
from torchlops.utils import dottest
from torchlops.waveeqprocessing import AcousticBorn, AcousticModelling, AcousticWave2D
from torchlops.waveeqprocessing._acoustic import functions, grid
from torchlops.waveeqprocessing._acoustic.compiled import CompiledStep, can_compile
from torchlops.waveeqprocessing._acoustic.functions import Problem
from torchlops.waveeqprocessing._acoustic.grid import Grid
from torchlops.waveeqprocessing._acoustic.sampling import points

F64 = torch.float64


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=_generator())


def _modelling(dims: Any = (6, 7), **options: Any) -> AcousticModelling:
    defaults: dict[str, Any] = {
        "spacing": 10.0, "dt": 0.001, "nt": 9, "sources": [[1, 2], [3, 4.3]],
        "receivers": [[0, 4], [2, 1], [1.5, 3.25]],
        "max_velocity": 2600.0, "frequency": 25.0, "pml_width": 3,
    }  # fmt: skip
    return AcousticModelling(dims, **{**defaults, **options})


def _velocity(*shape: int) -> Tensor:
    return 2000 + 200 * _normal(*shape).tanh()


def _is_near(got: Tensor, want: Tensor, tolerance: float = 1e-13) -> bool:
    assert got.shape == want.shape
    got, want = got.detach(), want.detach()
    return float((got - want).norm()) <= tolerance * float(want.norm())


# -- other truths -------------------------------------------------------------------------------------------------


def test_a_point_in_space_gives_the_retarded_wavelet() -> None:
    """In three dimensions, u(r, t) = h^3 f(t - r / v) / (4 pi r)."""
    v, h, dt, nt, f0 = 2000.0, 10.0, 1e-3, 130, 20.0
    modelling = AcousticModelling(
        (12, 12, 20), h, dt, nt, [[6, 6, 4]], [[6, 6, 14], [8.5, 6, 15.2]], max_velocity=v, frequency=f0,
        space_order=8, pml_width=8,
    )  # fmt: skip
    data = modelling(torch.full((12, 12, 20), v, dtype=F64), modelling.ricker(F64))[0]
    t = torch.arange(nt, dtype=F64) * dt
    for trace, place in zip(data, modelling.receivers, strict=True):
        r = float((place - torch.tensor([6, 6, 4])).norm()) * h
        argument = (math.pi * (f0 * (t - r / v) - 1)) ** 2
        exact = h**3 * (1 - 2 * argument) * torch.exp(-argument) / (4 * math.pi * r)
        exact = torch.where(t < r / v, 0, exact)
        assert _is_near(trace, exact, 2e-2)


@pytest.mark.parametrize(("space_order", "width", "reflected"), [(2, 20, 1e-3), (4, 10, 5e-4), (8, 10, 1e-4)])
def test_the_layers_absorb(space_order: int, width: int, reflected: float) -> None:
    """The traces near a border are those of a model whose border is far away."""
    v, h, dt, nt, f0 = 2000.0, 10.0, 1e-3, 420, 15.0

    def record(more: int) -> Tensor:
        n = 40 + 2 * more
        places = torch.tensor([[5, 5], [5, 34], [20, 2], [34, 30]]) + more
        modelling = AcousticModelling(
            (n, n), h, dt, nt, [[20 + more, 20 + more]], places, max_velocity=v, frequency=f0, space_order=space_order,
            pml_width=20 if more else width,
        )  # fmt: skip
        return modelling(torch.full((n, n), v, dtype=F64), modelling.ricker(F64))

    assert _is_near(record(0), record(45), reflected)


def _of_deepwave(v: Tensor, amplitudes: Tensor, receivers: Tensor, source: int, **options: Any) -> Tensor:
    deepwave = pytest.importorskip("deepwave")
    places = torch.full((len(amplitudes), 1, 2), source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = deepwave.scalar(
            v, 10.0, 0.001, source_amplitudes=amplitudes, source_locations=places, receiver_locations=receivers,
            pml_freq=15.0, max_vel=2500.0, **options,
        )  # fmt: skip
    return -result.receiver_amplitudes


@pytest.mark.parametrize("space_order", [2, 4, 6, 8])
def test_data_are_those_of_deepwave(space_order: int) -> None:
    """In the interior they are equal to rounding; the layers differ in one term."""
    n, shots, nt = 60, 2, 90
    v = 2000 + 200 * _normal(n, n).tanh()
    receivers = torch.stack((torch.full((20,), 25), torch.arange(20, 40)), -1)
    modelling = AcousticModelling(
        (n, n), 10.0, 0.001, nt, torch.full((shots, 2), 30), receivers, max_velocity=2500.0, frequency=15.0,
        space_order=space_order, pml_width=20,
    )  # fmt: skip
    wavelets = modelling.ricker(F64) * torch.tensor([[1.0], [2.0]], dtype=F64)
    ours = modelling(v, wavelets)
    theirs = _of_deepwave(v, wavelets[:, None], receivers.expand(shots, -1, -1), 30, accuracy=space_order, pml_width=20)
    assert _is_near(ours, theirs, 1e-12)


def test_records_and_gradients_are_those_of_deepwave_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "REFLECTION", 1e-3)  # that of its layers
    n, nt = 40, 300
    v = (2000 + 200 * _normal(n, n).tanh()).float()
    receivers = torch.stack((torch.full((20,), 2), torch.arange(10, 30)), -1)
    modelling = AcousticModelling(
        (n, n), 10.0, 0.001, nt, [[20, 20]], receivers, max_velocity=2500.0, frequency=15.0, space_order=8, pml_width=20
    )
    wavelet = modelling.ricker()
    ours, theirs = v.clone().requires_grad_(), v.clone().requires_grad_()
    d, e = (
        modelling(ours, wavelet),
        _of_deepwave(theirs, wavelet[None, None], receivers[None], 20, accuracy=8, pml_width=20),
    )
    assert _is_near(d, e, 2e-5)
    d.square().sum().backward()
    e.square().sum().backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    assert _is_near(ours.grad, theirs.grad, 1e-4)


# -- one step in two forms ----------------------------------------------------------------------------------------


def _problem(
    shape: tuple[int, ...], order: int, shots: int, compiles: bool = False
) -> tuple[Problem, dict[str, Tensor]]:
    ndim, nt, models = len(shape), 9, 2
    nodes = Grid(shape, (10.0, 12.0, 11.0)[:ndim], 0.001, order, 3, 2500.0, 15.0)
    places = torch.rand(shots, 4, ndim, dtype=F64, generator=_generator()) * 3
    sources = points(places[:, :1], shape, 3, False).unweighted()
    problem = Problem(nodes, sources, points(places[:, 1:], shape, 3, False), compiles)
    w = ((2000 + 300 * _normal(1, *nodes.padded).tanh()) * 0.001) ** 2
    f = _normal(nt, shots, sources.nodes.shape[1])
    tensors = {"w": w, "f": f, "dw": w * _normal(models, 1, *nodes.padded), "df": f.flip(0)}
    return problem, {**tensors, "r": _normal(nt, models, shots, 3), "dr": _normal(nt, models, shots, 3).flip(0)}


def _everything(problem: Problem, t: dict[str, Tensor]) -> list[Tensor]:
    return [
        functions.data(problem, t["w"], t["f"]),
        functions.born(problem, t["w"], t["f"], t["dw"]),
        functions.born(problem, t["w"], t["f"], t["dw"], t["df"]),
        *functions.gradient(problem, t["w"], t["f"], t["r"]),
        *functions.second(problem, t["w"], t["f"], t["r"], t["dw"], t["df"], t["dr"]),
    ]


def _assert_same(problem: Problem, tensors: dict[str, Tensor], tolerance: float) -> None:
    got = _everything(problem, tensors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Problem, "is_fast_for", lambda *_: False)
        want = _everything(problem, tensors)
    for a, b in zip(got, want, strict=True):
        assert _is_near(a, b, tolerance)


@pytest.mark.parametrize(
    ("shape", "order", "shots"), [((8,), 8, 1), ((4, 5), 4, 2), ((9, 8), 8, 1), ((2, 7), 2, 3), ((6, 7, 6), 6, 1)]
)
def test_the_step_in_place_is_the_functional_one(shape: tuple[int, ...], order: int, shots: int) -> None:
    problem, tensors = _problem(shape, order, shots)
    assert problem.is_fast_for(*tensors.values())
    _assert_same(problem, tensors, 1e-14)


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="there is no C++ compiler")
@pytest.mark.parametrize("shots", [1, 2])
def test_the_compiled_step_is_the_functional_one(shots: int) -> None:
    """For one shot and for more: inductor is silently wrong for one on some kernels that write in place."""
    problem, tensors = _problem((9, 8), 4, shots, compiles=True)
    one = {name: x[:1] if name == "dw" else x[:, :1] if name in ("r", "dr") else x for name, x in tensors.items()}
    before = len(CompiledStep.kernels)
    _assert_same(problem, one, 1e-14)
    assert len(CompiledStep.kernels) > before


def test_grids_narrower_than_the_stencils_run_the_functional_step() -> None:
    problem, tensors = _problem((4, 3), 8, 1)
    assert not problem.is_fast_for(*tensors.values())
    assert functions.data(problem, tensors["w"], tensors["f"]).isfinite().all()


# -- derivatives --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_mode_gives_the_derivatives_of_the_data() -> None:
    places = torch.tensor([[1.2, 2.6], [0.7, 2.1]], dtype=F64)

    def data(velocity: Tensor, wavelet: Tensor, sources: Tensor, receivers: Tensor) -> Tensor:
        return _modelling((5, 4), nt=6, pml_width=2, sources=sources, receivers=receivers, space_order=2)(
            velocity, wavelet
        )

    arguments = [x.requires_grad_() for x in (_velocity(5, 4), _normal(6), places.clone(), places.flip(0) * 0.9)]
    options: dict[str, Any] = {"check_batched_grad": True, "fast_mode": True}
    assert torch.autograd.gradcheck(data, arguments, check_forward_ad=True, **options)
    assert torch.autograd.gradgradcheck(data, arguments, check_fwd_over_rev=True, **options)


def test_third_derivatives_are_those_of_the_functional_step() -> None:
    modelling, v, wavelet = _modelling(nt=6), _velocity(6, 7), _normal(6)
    t, s = _normal(6, 7), _normal(6, 7).flip(0)

    def third(create: Any) -> Tensor:
        x = v.clone().requires_grad_()
        y = modelling(x, wavelet).square().sum()
        for direction in (None, t, s):
            (y,) = torch.autograd.grad(y if direction is None else (y * direction).sum(), x, create_graph=create)
        return y

    got = third(True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Problem, "is_fast_for", lambda *_: False)
        want = third(True)
    assert _is_near(got, want, 1e-12)


def test_transforms_of_functions_give_what_reverse_mode_gives() -> None:
    modelling, wavelet = _modelling((4, 5), nt=6, sources=[[1, 2]]), _normal(6)
    v, t = _velocity(4, 5), 100 * _normal(4, 5)

    def loss(velocity: Tensor) -> Tensor:
        return modelling(velocity, wavelet).square().sum()

    x = v.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x), x, create_graph=True)
    (product,) = torch.autograd.grad(gradient, x, t)
    fn = torch.func
    assert _is_near(fn.grad(loss)(v), gradient.detach(), 1e-13)
    assert _is_near(fn.jvp(fn.grad(loss), (v,), (t,))[1], product, 1e-12)
    hessian = fn.hessian(loss)(v).reshape(20, 20)
    assert _is_near(hessian @ t.reshape(20), product.reshape(20), 1e-12)
    both = fn.vmap(fn.grad(loss))(torch.stack((v, v + t)))
    assert _is_near(both[0], gradient.detach(), 1e-13)
    jacobian = fn.jacfwd(lambda v: modelling(v, wavelet))(v)
    born = AcousticBorn(modelling, v, wavelet)
    assert _is_near(jacobian.reshape(-1, 20), born.todense("torch"), 1e-13)


def test_the_product_with_the_hessian_is_that_of_double_backward() -> None:
    modelling, wavelet = _modelling(), _normal(9)
    v, t, observed = _velocity(2, 6, 7), _normal(2, 6, 7), _normal(2, 2, 3, 9)

    def misfit(data: Tensor) -> Tensor:
        return ((data - observed) ** 2 + 0.1 * data**4).sum()

    result = modelling.hessian_product(misfit, v, wavelet, t)
    x = v.clone().requires_grad_()
    value = misfit(modelling(x, wavelet))
    (gradient,) = torch.autograd.grad(value, x, create_graph=True)
    (product,) = torch.autograd.grad(gradient, x, t)
    assert _is_near(result.value, value.detach(), 1e-14)
    assert _is_near(result.gradient, gradient.detach(), 1e-13)
    assert _is_near(result.product, product, 1e-12)
    linear = modelling.hessian_product(lambda d: (d * observed).sum(), v, wavelet, t)
    x = v.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((modelling(x, wavelet) * observed).sum(), x, create_graph=True)
    assert _is_near(linear.product, torch.autograd.grad(gradient, x, t)[0], 1e-12)


def test_gauss_newton_is_a_jacobian_and_its_transpose() -> None:
    modelling, v, wavelet, t = _modelling(), _velocity(6, 7), _normal(9), _normal(6, 7)
    born = AcousticBorn(modelling, v, wavelet)
    forward = torch.func.jvp(lambda v: modelling(v, wavelet), (v,), (t,))[1]
    back = torch.func.vjp(lambda v: modelling(v, wavelet), v)[1](forward)[0]
    assert _is_near((born.H @ born)(t), back, 1e-13)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-14), ("float32", 1e-6)])
@pytest.mark.parametrize("parameter", ["velocity", "slowness2"])
def test_the_born_operator_passes_the_dot_test_by_norms(dtype: str, tolerance: float, parameter: Any) -> None:
    kind = getattr(torch, dtype)
    modelling = _modelling((20, 30), nt=120, max_velocity=2500.0, space_order=8)
    born = AcousticBorn(modelling, _velocity(20, 30).to(kind), modelling.ricker(kind), parameter)
    x, y = _normal(20, 30).to(kind), _normal(2, 3, 120).to(kind)
    data, model = born(x), born.H(y)
    left, right = float((data * y).double().sum()), float((x * model).double().sum())
    assert abs(left - right) <= tolerance * float(data.norm() * y.norm())


def test_the_squared_slowness_is_another_parameter_of_the_same_operator() -> None:
    modelling, v, wavelet = _modelling(), _velocity(6, 7), _normal(9)
    by_v, by_m = AcousticBorn(modelling, v, wavelet), AcousticBorn(modelling, v, wavelet, "slowness2")
    dv = _normal(6, 7)
    assert _is_near(by_m(-2 * dv / v**3), by_v(dv), 1e-13)


def test_the_memory_of_a_gradient_grows_as_the_square_root_of_the_time() -> None:
    def fields(nt: int) -> float:
        problem, t = _problem((8, 8), 4, 1)
        f = t["f"][:1].expand(nt, *t["f"].shape[1:])
        fast = functions._Fast(problem, t["w"], f)
        fast.run(keeps=True)
        assert len(fast.tape.states) == math.ceil((nt - 1) / fast.tape.length)
        return 3 * len(fast.tape.states) + fast.tape.length

    assert fields(400) <= 2.2 * fields(100)
    assert fields(400) < 80


def test_one_sample_is_zero_and_has_zero_derivatives() -> None:
    modelling, v, wavelet = _modelling(nt=1), _velocity(6, 7).requires_grad_(), _normal(1).requires_grad_()
    data = modelling(v, wavelet)
    gradients = torch.autograd.grad(data.sum(), (v, wavelet))
    assert not any(x.count_nonzero() for x in (data, *gradients))
    assert not AcousticBorn(modelling, v, wavelet).H(torch.ones(2, 3, 1, dtype=F64)).count_nonzero()
    assert not AcousticBorn(modelling, v, wavelet).illumination().count_nonzero()
    result = modelling.hessian_product(lambda d: d.square().sum(), v, wavelet, _normal(6, 7))
    assert not result.product.count_nonzero()


# -- batches, receivers, numbers ----------------------------------------------------------------------------------


def test_shots_and_models_are_batches() -> None:
    modelling, v, wavelets = _modelling(), _velocity(3, 2, 6, 7), _normal(2, 9)
    data = modelling(v, wavelets)
    assert data.shape == (3, 2, 2, 3, 9)
    alone = _modelling(sources=[[3, 4.3]])
    assert _is_near(alone(v[1, 0], wavelets[1])[0], data[1, 0, 1], 1e-14)
    assert modelling(v[:0], wavelets).shape == (0, 2, 2, 3, 9)
    assert _is_near(modelling(v.mT.contiguous().mT, wavelets), data, 1e-15)


def test_sources_of_a_shot_fire_together() -> None:
    places = [[1, 2], [3, 4]]
    together = _modelling(sources=[places])(_velocity(6, 7), _normal(1, 2, 9))
    apart = _modelling(sources=places)(_velocity(6, 7), _normal(2, 9))
    assert _is_near(together[0], apart.sum(0), 1e-14)


def test_receivers_that_a_shot_lacks_are_silent() -> None:
    places = torch.tensor([[[0, 4], [2, 1]], [[1, 1], [-1, -1]]])
    some = _modelling(sources=[[1, 2], [3, 4]], receivers=places)
    every = _modelling(sources=[[1, 2], [3, 4]], receivers=places.clamp(min=0))
    v, wavelet = _velocity(6, 7), _normal(9)
    got, want = some(v, wavelet), every(v, wavelet)
    assert not got[1, 1].count_nonzero()
    want[1, 1] = 0
    assert _is_near(got, want, 1e-15)


def test_points_between_nodes_tend_to_those_on_nodes() -> None:
    v, wavelet = _velocity(6, 7), _normal(9)
    on = _modelling(sources=[[2, 3]], receivers=[[1, 4]])(v, wavelet)
    near = _modelling(sources=[[2 + 1e-9, 3]], receivers=[[1, 4 - 1e-9]])(v, wavelet)
    assert _is_near(near, on, 1e-7)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_no_scale_is_special(scale: float) -> None:
    modelling, v, wavelet = _modelling(), _velocity(6, 7).float(), _normal(9).float()
    data = modelling(v, wavelet)
    assert _is_near(modelling(v, scale * wavelet) / scale, data, 1e-6)
    units = _modelling(spacing=10.0 * scale, max_velocity=2600.0 * scale)
    assert _is_near(
        units(v.double() * scale, wavelet.double()) / scale**2, modelling(v.double(), wavelet.double()), 1e-12
    )


def test_dtypes_follow_the_tensors() -> None:
    modelling, v, wavelet = _modelling(), _velocity(6, 7), _normal(9)
    assert modelling(v.float(), wavelet.float()).dtype == torch.float32
    assert modelling(v.float(), wavelet).dtype == F64
    half = modelling(v.bfloat16(), wavelet.bfloat16())
    assert half.dtype == torch.bfloat16
    assert _is_near(half.double(), modelling(v.bfloat16().double(), wavelet.bfloat16().double()), 1e-2)


def test_small_numbers_are_normal_again_afterwards() -> None:
    smallest = torch.tensor(1e-40)
    _modelling()(_velocity(6, 7).float(), _normal(9).float())
    assert float(smallest * 1) > 0


def test_the_illumination_is_the_energy_that_nodes_emit() -> None:
    modelling, v, wavelet = _modelling(), _velocity(6, 7), _normal(9)
    survey = modelling.survey(v, wavelet)
    energy = sum(
        (q.square().sum(0) for _, q in functions.snapshots(survey.problem, survey.w, survey.f) if q is not None),
        start=torch.zeros(12, 13, dtype=F64),
    )
    want = (2 * 0.001**2 * v) ** 2 * energy[3:-3, 3:-3]
    assert _is_near(AcousticBorn(modelling, v, wavelet).illumination(), want, 1e-14)


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt": 0.01}, "unstable.*at most 0.00"),
        ({"space_order": 5}, "space_order must be 2, 4, 6 or 8"),
        ({"spacing": -1.0}, "spacing must be positive"),
        ({"frequency": float("nan")}, "frequency must be positive"),
        ({"max_velocity": float("inf")}, "max_velocity must be positive"),
        ({"sources": [[6, 0]]}, r"sources must be in nodes of the grid, from 0 to \[5, 6\]; one is at"),
        ({"sources": [[-1, -1]]}, "sources must be in nodes"),
        ({"receivers": [[0.0, -0.5]]}, "receivers must be in nodes"),
        ({"receivers": [[0.0, float("nan")]]}, "receivers must be in nodes"),
        ({"receivers": [[[0, 1]]]}, "sources of 2 shots, and receivers of 1"),
        ({"receivers": [0, 1]}, "receivers must be of shape"),
    ],
)
def test_bad_geometry_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _modelling(**options)


def test_coarse_grids_are_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"3.2 nodes per wavelength.*space_order=4 needs about 5"):
        _modelling(min_velocity=2000.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _modelling(min_velocity=2000.0, frequency=10.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
def test_velocities_that_are_none_are_refused(value: float) -> None:
    v = _velocity(6, 7)
    v[2, 3] = value
    with pytest.raises(ValueError, match="positive and finite"):
        _modelling()(v, _normal(9))
    with pytest.raises(ValueError, match="positive and finite"):
        AcousticBorn(_modelling(), v, _normal(9))


def test_velocities_and_wavelets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="unstable"):
        _modelling()(4 * _velocity(6, 7), _normal(9))
    with pytest.raises(ValueError, match=r"\(\*batch, 6, 7\)"):
        _modelling()(_velocity(7, 6), _normal(9))
    with pytest.raises(ValueError, match="the wavelet must be of shape"):
        _modelling()(_velocity(6, 7), _normal(8))
    with pytest.raises(ValueError, match="'velocity' or 'slowness2'"):
        AcousticBorn(_modelling(), _velocity(6, 7), _normal(9), parameter="density")  # type: ignore[arg-type]


def test_complex_wavelets_are_refused() -> None:
    """The adjoint state is that of real fields: derivatives by the velocity would be wrong."""
    wavelet = _normal(9) * (1 + 1j)
    with pytest.raises(TypeError, match="wavelet must be real"):
        _modelling()(_velocity(6, 7), wavelet)
    with pytest.raises(TypeError, match="wavelet must be real"):
        AcousticBorn(_modelling(), _velocity(6, 7), wavelet)


@pytest.mark.parametrize("positions", [torch.tensor([[0.5, 4.2]], dtype=F64), torch.tensor([[1, 4]])])
@pytest.mark.parametrize("what", ["sources", "receivers"])
def test_positions_that_leave_the_grid_are_refused(what: str, positions: Tensor) -> None:
    """Those that learn move, and a whole number too large would be a node of the next row."""
    moving = positions.clone()
    modelling, v, w = _modelling(**{"sources": [[1, 2]], what: moving}), _velocity(6, 7), _normal(9)
    moving += 1
    assert _is_near(modelling(v, w), _modelling(**{"sources": [[1, 2]], what: positions + 1})(v, w))
    moving += 3
    with pytest.raises(ValueError, match=f"{what} must be in nodes of the grid"):
        modelling(v, w)
    moving -= 7
    with pytest.raises(ValueError, match=f"{what} must be in nodes of the grid"):
        modelling(v, w)


def test_what_does_not_fit_is_named() -> None:
    v, w = _velocity(6, 7), _normal(9)
    with pytest.raises(TypeError, match="velocity must be a tensor, got ndarray"):
        _modelling()(v.numpy(), w)
    with pytest.raises(TypeError, match="wavelet must be a tensor, got ndarray"):
        _modelling()(v, w.numpy())
    with pytest.raises(ValueError, match=r"batch axes \(3,\) of velocities and \(2,\) of wavelets"):
        _modelling()(v.expand(3, 6, 7), w.expand(2, 1, 1, 9))
    with pytest.raises(ValueError, match="direction must have the shape"):
        _modelling().hessian_product(torch.sum, v, w, v[0])
    learned = torch.tensor(0.001, requires_grad=True)
    for name, value in (("dt", learned), ("spacing", (learned, learned)), ("frequency", learned)):
        with pytest.raises(TypeError, match=f"{name} is a constant"):
            _modelling(**{name: value})


# -- AcousticWave2D -----------------------------------------------------------------------------------------------


def _twoway(**options: Any) -> AcousticWave2D:
    vp = np.full((12, 20), 2000.0)
    x = np.linspace(0, 11, 8)
    return AcousticWave2D((12, 20), (0, 0), (1, 2), vp, [0.0, 11.0], 5, x, 5, 0.0, 60.0, **{
        "space_order": 4, "nbl": 6, "f0": 15, "dtype": "float32", **options,
    })  # fmt: skip


def test_the_time_axis_is_that_of_devito() -> None:
    """dt = sqrt(4 / (2 sum |c|)) h / v with the weights of order 8 for space_order=4, in single precision."""
    A = _twoway()
    weights = np.array([-205 / 72, 8 / 5, 8 / 5, 1 / 5, 1 / 5, 8 / 315, 8 / 315, 1 / 560, 1 / 560])
    dt = np.sqrt(4 / (2 * np.abs(weights).sum())) * 1 / 2.0
    assert A.geometry.dt == pytest.approx(dt, rel=1e-3)
    assert A.geometry.nt == math.ceil((60 + A.geometry.dt) / A.geometry.dt)
    assert A.geometry.time_axis.time_values[-1] == pytest.approx(A.geometry.dt * (A.geometry.nt - 1))
    assert A.dimsd == (2, 8, A.geometry.nt) == (A.geometry.nsrc, A.geometry.nrec, A.geometry.nt)
    t = A.geometry.time_axis.time_values
    r = (np.pi * 0.015 * (t - 1 / 0.015)) ** 2
    assert np.allclose(A.geometry.src.data[:, 1], (1 - 2 * r) * np.exp(-r), atol=1e-6)


def test_twoway_is_born_modelling_of_the_squared_slowness() -> None:
    """The data of m + eps dm, where the layers keep m, differ from those of m by eps times those of the operator."""
    A = _twoway(dtype="float64", nbl=4, space_order=2)
    dm = _normal(12, 20)
    survey = A.modelling.survey(A._background(), A.wavelet)
    nbl, dt, eps = 4, A.geometry.dt, 1e-5

    def data(sign: float) -> Tensor:
        m = dt**2 / survey.w.clone()
        m[0, nbl:-nbl, nbl:-nbl] += sign * eps * dm
        return functions.data(survey.problem, dt**2 / m, survey.f).movedim(0, -1)

    assert _is_near(A(dm), (data(1) - data(-1)) / (2 * eps), 1e-7)


def test_twoway_passes_the_dot_test() -> None:
    A = _twoway()
    dottest(A, *A.shape, rtol=1e-3, atol=1e-6 * float(A(torch.ones(12, 20)).norm()))
    x = np.ones(240, dtype="float32")
    y = A @ x
    assert y.dtype == (A.H @ y).dtype == np.float32


def test_a_wavelet_of_the_user_replaces_the_source() -> None:
    A = _twoway(dtype="float64")
    wav = A.geometry.src.data[:40, 0]
    x = _normal(12, 20)
    before = A(x)
    A.updatesrc(2 * wav)
    assert _is_near(A(x)[..., :40], 2 * before[..., :40], 1e-13)
    learned = torch.from_numpy(wav).requires_grad_()
    A.updatesrc(learned)
    A(x).square().sum().backward()
    assert learned.grad is not None
    with pytest.raises(ValueError, match="at most"):
        A.updatesrc(np.ones(10_000))


def test_a_wavelet_that_learns_is_followed() -> None:
    """What is appended to it belongs to each product, not to the operator."""
    A, x = _twoway(dtype="float64"), _normal(12, 20)
    learned = nn.Parameter(_normal(20))
    A.updatesrc(learned)
    assert [name for name, _ in A.named_parameters()] == ["wavelet"]
    before = A(x).detach()
    (gradient,) = torch.autograd.grad(A(x).square().sum(), learned)
    with torch.no_grad():
        learned *= 2
    assert _is_near(A(x), 2 * before)
    (doubled,) = torch.autograd.grad(A(x).square().sum(), learned)
    assert _is_near(doubled, 2 * gradient)
    assert _is_near(copy.deepcopy(A)(x), 2 * before)
    A.updatesrc(np.ones(3))
    assert not list(A.parameters())


def test_the_illumination_is_the_wavefield_squared() -> None:
    A = _twoway(dtype="float64", nbl=3)
    A.srcillumination_allshots(savewav=True)
    waves = np.stack(A.src_wavefield)
    assert waves.shape == (2, A.geometry.nt, 18, 26)
    assert not waves[:, 0].any()
    assert np.allclose(A.src_illumination, (waves[:, :, 3:-3, 3:-3] ** 2).sum((0, 1)), rtol=1e-12)


def test_twoway_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="must lie in the model"):
        AcousticWave2D((4, 4), (0, 0), (1, 1), np.full((4, 4), 1500.0), [-1.0], -1.0, [1.0], 1.0, 0.0, 5.0)
    with pytest.raises(ValueError, match="src_z be one number or as many"):
        AcousticWave2D((4, 4), (0, 0), (1, 1), np.full((4, 4), 1500.0), [1.0], [1.0, 2.0], [1.0], 1.0, 0.0, 5.0)
    with pytest.raises(ValueError, match="'Ricker' or 'Gabor'"):
        _twoway(src_type="Gauss")
    with pytest.raises(ValueError, match="unstable"):
        _twoway(dt=10.0)
    with pytest.raises(ValueError, match="tn=-1"):
        AcousticWave2D((4, 4), (0, 0), (1, 1), np.full((4, 4), 1500.0), [1.0], 1.0, [1.0], 1.0, 0.0, -1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1500.0])
def test_twoway_refuses_velocities_that_are_none(value: float) -> None:
    def build(vp: Any, **options: Any) -> AcousticWave2D:
        return AcousticWave2D((4, 5), (0, 0), (1, 1), vp, [1.0], 1.0, [1.0], 1.0, 0.0, 5.0, **options)

    everywhere = np.full((4, 5), value)
    for vp in (everywhere, np.where(np.eye(4, 5) > 0, value, 1500.0)):
        with pytest.raises(ValueError, match="vp must be positive and finite"):
            build(vp)
    with pytest.raises(ValueError, match="max_velocity must be positive"):
        build(np.full((4, 5), 1500.0), max_velocity=value)


def test_twoway_drops_nothing_silently() -> None:
    with pytest.raises(TypeError, match="vp must be real"):
        AcousticWave2D((4, 4), (0, 0), (1, 1), np.full((4, 4), 1500 + 1j), [1.0], 1.0, [1.0], 1.0, 0.0, 5.0)
    for dtype in ("int32", "complex64"):
        with pytest.raises(ValueError, match="real floating-point"):
            _twoway(dtype=dtype)
    for wav in (1j * np.ones(4), torch.ones(4, dtype=torch.complex64)):
        with pytest.raises(TypeError, match="wav must be real"):
            _twoway().updatesrc(wav)
    with pytest.raises(ValueError, match="at most"):
        _twoway().updatesrc(np.ones(0))
    with pytest.raises(ValueError, match="spacing must be positive"):
        AcousticWave2D((4, 4), (0, 0), (1, -1), np.full((4, 4), 1500.0), [1.0], 1.0, [1.0], 1.0, 0.0, 5.0)
    learned = torch.tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="rec_x carries no gradient"):
        AcousticWave2D((4, 4), (0, 0), (1, 1), np.full((4, 4), 1500.0), [1.0], 1.0, learned, 1.0, 0.0, 5.0)


# -- Deepwave -----------------------------------------------------------------------------------------------------


def _where(name: str) -> dict[str, Tensor]:
    places = torch.tensor([[[15, 15]], [[16, 9]]]), torch.tensor([[[5, 15], [5, 20]]]).expand(2, -1, -1)
    return {f"source_locations{name}": places[0], f"sc_receiver_locations{name}": places[1]}


def test_born_modelling_of_scalar_waves_by_deepwave_is_ours() -> None:
    pytest.importorskip("deepwave")
    n, v, w = 30, _velocity(30, 30), _normal(2, 1, 40)
    theirs = DeepwaveBorn(
        "scalar",
        [v],
        10.0,
        0.001,
        source_amplitudes=w,
        accuracy=4,
        pml_freq=20.0,
        max_vel=2500.0,
        pml_width=10,
        **_where(""),
    )
    places = _where("")
    modelling = AcousticModelling(
        (n, n),
        10.0,
        0.001,
        40,
        places["source_locations"],
        places["sc_receiver_locations"],
        max_velocity=2500.0,
        frequency=20.0,
    )
    dv = torch.zeros(n, n, dtype=F64)
    dv[10:20, 10:20] = _normal(10, 10)
    assert _is_near(-theirs(dv), AcousticBorn(modelling, v, w)(dv), 1e-9)


def test_deepwave_loses_no_gradient_silently() -> None:
    pytest.importorskip("deepwave")
    v, wavelet = _velocity(20, 21), _normal(1, 1, 12)

    def build(model: Any = v, **options: Any) -> DeepwaveBorn:
        return DeepwaveBorn("scalar", [model], 10.0, 0.001, **{
            "source_amplitudes": wavelet, "source_locations": torch.tensor([[[5, 5]]]), "max_vel": 2600.0,
            "sc_receiver_locations": torch.tensor([[[5, 9]]]), "pml_freq": 25.0, **options,
        })  # fmt: skip

    with pytest.raises(TypeError, match=r"models\[0\] carries a derivative"):
        build(v.clone().requires_grad_())
    with pytest.raises(TypeError, match="source_amplitudes carries a derivative"):
        build(source_amplitudes=wavelet.clone().requires_grad_())
    with pytest.raises(TypeError, match="dv is what the operator is applied to"):
        build(dv=v)
    x = _normal(20, 21)
    x[[0, -1]] = x[:, [0, -1]] = 0
    J = build()
    assert _is_near(build(v.numpy())(x), J(x), 0)
    y = J.H(J(x))
    with torch.inference_mode():
        assert _is_near(J.H(J(x)), y, 0)


def test_born_modelling_of_elastic_waves_is_an_operator() -> None:
    pytest.importorskip("deepwave")
    models = [torch.full((30, 30), value, dtype=F64) for value in (4e9, 2e9, 1 / 2000.0)]
    options: dict[str, Any] = {
        "source_amplitudes_y": _normal(2, 1, 40),
        "pml_freq": 10.0,
        "max_vel": 3000.0,
        "pml_width": 10,
    }
    build = {"output": "sc_receiver_amplitudes_y", **options, **_where("_y")}
    J = DeepwaveBorn("elastic", models, 10.0, 0.001, **build)
    assert J.dims == (3, 30, 30)
    x, y = _normal(2, 3, 30, 30) * torch.stack(models), _normal(2, *J.dimsd)
    data, model = J(x), J.H(y)
    assert abs(float((data * y).sum() - (x * model).sum())) <= 1e-13 * float(data.norm() * y.norm())
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(J(x), x, y)
    assert _is_near(gradient, model, 1e-14)
    with pytest.raises(NotImplementedError, match=r"DeepwaveBorn 'J'.*torch.func"):
        torch.func.vmap(J)(x.detach())
    with pytest.raises(ValueError, match=r"steps of 0.0005 within it"):
        DeepwaveBorn("elastic", models, 5.0, 0.001, **build)
    with pytest.raises(ValueError, match="elastic takes 3 models, for dlamb, dmu, dbuoyancy"):
        DeepwaveBorn("elastic", models[:1], 10.0, 0.001, **build)
    with pytest.raises(ValueError, match="one of scalar, acoustic, elastic"):
        DeepwaveBorn("seismic", models, 10.0, 0.001)
