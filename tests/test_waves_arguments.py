"""Arguments of the operators and applications of waves: no derivative is lost, and no number is read as another one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchlops.avo import PoststackInversion, PrestackInversion
from torchlops.avo._inversion import smallest_solution
from torchlops.avo.avo import approx_zoeppritz_pp, zoeppritz_pp
from torchlops.waveeqprocessing import (
    MDC,
    MDD,
    BlendingContinuous,
    BlendingGroup,
    BlendingHalf,
    Deghosting,
    Marchenko,
    PressureToVelocity,
    SeismicInterpolation,
    UpDownComposition2D,
    UpDownComposition3D,
    WavefieldDecomposition,
)
from torchlops.waveeqprocessing.marchenko import directwave

RNG = np.random.default_rng(3)
WAV, THETA, TIMES = np.array([-0.2, 1.0, -0.2]), np.array([0.0, 20.0]), np.array([0.01, 0.012, 0.014])
KERNEL, FIELD = RNG.normal(size=(3, 3, 8)), RNG.normal(size=(8, 12))

SOLVES = {
    "MDD": lambda damp: MDD(KERNEL, KERNEL, dt=0.1, iter_lim=3, damp=damp),
    "Marchenko": lambda damp: Marchenko(KERNEL, wav=WAV, nsmooth=2).apply_onepoint(
        TIMES, nfft=16, iter_lim=3, damp=damp
    )[0],
    "spatial": lambda eps: SeismicInterpolation(
        FIELD[:3], 5, [0, 2, 4], kind="spatial", epsRs=[eps], iter_lim=9, damp=0.1
    )[0],
    "fk": lambda eps: SeismicInterpolation(FIELD[:3], 5, [0, 2, 4], eps=eps, niter=20, alpha=0.5, grad="unroll")[0],
    "decomposition": lambda damp: WavefieldDecomposition(
        FIELD, FIELD, 12, 8, 0.004, 5.0, 1.0, 1500.0, ntaper=0, scaling=1e3, damp=damp
    )[0],
    "deghosting": lambda damp: Deghosting(FIELD, 8, 12, 0.004, 5.0, 1500.0, 6.0, ntaper=3, npad=1, damp=damp)[0],
    "poststack": lambda damp: PoststackInversion(FIELD, WAV, damp=damp, iter_lim=9)[0],
    "poststack, in a list": lambda eps: PoststackInversion(FIELD, WAV, epsR=[eps], epsI=0.1, iter_lim=30)[0],
    "prestack": lambda damp: PrestackInversion(FIELD[:, :2], THETA, WAV, damp=damp, iter_lim=9),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of solves that stop early, which are enough here
@pytest.mark.parametrize("solve", SOLVES.values(), ids=SOLVES)
def test_weights_that_are_tensors_carry_derivatives_with_arrays(solve):
    weight = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    found = solve(weight)
    (slope,) = torch.autograd.grad(found.abs().square().sum(), weight)
    assert slope != 0
    plain = solve(0.3)
    assert isinstance(plain, np.ndarray)
    assert np.allclose(plain, found.detach().numpy())


GROUPS = {"nt": 8, "nr": 2, "ns": 4, "group_size": 2, "n_groups": 2, "times": np.zeros((2, 2))}
MEDIUM = {"nt": 8, "nr": 6, "dt": 0.004, "dr": 5.0, "rho": 1000.0, "vel": 1500.0, "ntaper": 0}
CONSTANTS = {
    "P2V": (PressureToVelocity, MEDIUM, ("dt", "dr", "critical")),
    "2D": (UpDownComposition2D, MEDIUM, ("dt", "dr", "critical")),
    "3D": (UpDownComposition3D, {**MEDIUM, "nr": (6, 5)}, ("dt", "dr", "critical")),
    "analytical": (
        lambda **how: WavefieldDecomposition(np.ones((6, 8)), np.ones((6, 8)), **how, kind="analytical"),
        MEDIUM,
        ("dt", "dr", "critical"),
    ),
    "deghosting": (
        lambda **how: Deghosting(FIELD, 8, 12, vel=1500.0, zrec=6.0, ntaper=3, **how),
        {"dt": 0.004, "dr": 5.0},
        ("dt", "dr"),
    ),
    "continuous": (BlendingContinuous, {"nt": 8, "nr": 2, "ns": 2, "dt": 0.1, "times": [0.0, 0.2]}, ("dt",)),
    "group": (BlendingGroup, {**GROUPS, "dt": 0.1}, ("dt",)),
    "half": (BlendingHalf, {**GROUPS, "dt": 0.1}, ("dt",)),
}


@pytest.mark.parametrize(
    ("build", "how", "name"), [(b, how, name) for b, how, names in CONSTANTS.values() for name in names]
)
def test_constants_refuse_what_they_would_lose_or_misread(build, how, name):
    build(**{**how, name: torch.tensor(how.get(name, 100.0))})
    build(**{**how, name: np.array(how.get(name, 100.0))})
    with pytest.raises(TypeError, match=f"{name} is a constant, which carries no derivative"):
        build(**{**how, name: torch.tensor(how.get(name, 100.0), requires_grad=True)})
    with pytest.raises(TypeError, match=name):
        torch.func.grad(lambda value: torch.as_tensor(len(repr(build(**{**how, name: value})))))(torch.ones(()))
    for wrong in (-1.0, np.nan, *(() if name == "critical" else (0.0, np.inf))):
        with pytest.raises(ValueError, match=f"{name} must"):
            build(**{**how, name: wrong})
    with pytest.raises(TypeError, match=f"{name} must be one real number"):
        build(**{**how, name: 1j})


LEARNING = {
    "MDC": (lambda **how: MDC(np.ones((3, 2, 2), dtype=complex), 5, 2, **how), ("dt", "dr")),
    "MDD": (lambda **how: MDD(KERNEL, KERNEL, iter_lim=2, **how), ("dt", "dr")),
    "Marchenko": (lambda **how: Marchenko(KERNEL, **how), ("dt", "dr")),
    "directwave": (lambda **how: directwave(WAV, TIMES, 8, **how), ("dt",)),
}


@pytest.mark.parametrize(("build", "name"), [(build, name) for build, names in LEARNING.values() for name in names])
def test_steps_are_one_positive_number(build, name):
    rest = {"dt": 0.1} if name == "dr" else {}
    for wrong in (0.0, -1.0, np.nan, torch.tensor(0.0), torch.tensor([1.0, 2.0])):
        with pytest.raises(ValueError, match=f"{name} must be"):
            build(**{**rest, name: wrong})
    with pytest.raises(TypeError, match=f"{name} must be"):
        build(**{**rest, name: torch.tensor(1j)})
    build(**{**rest, name: torch.tensor([0.1])})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: zoeppritz_pp(1500.0, 0.0, 1.0, 2000.0, 0.0, 1.1, THETA), "both media are fluids"),
        (lambda: approx_zoeppritz_pp(1500.0, 0.0, 1.0, 2000.0, 900.0, 1.1, THETA), "vs1 and vs0 must not be 0"),
        (lambda: PoststackInversion(FIELD, WAV, epsI=-1.0), "epsI must not be negative, got -1"),
        (lambda: PrestackInversion(FIELD[:, :2], THETA, WAV, epsI=[0.1, -0.1, 0.1]), "epsI must not be negative"),
        (lambda: MDC(np.ones((0, 2, 2)), 5, 2), "G must have three axes"),
        (lambda: MDD(KERNEL, KERNEL, wav=np.ones(0)), "wav must be a wavelet"),
        (lambda: MDD(KERNEL, KERNEL, causality_precond=True, smooth_precond=-1), "smooth_precond must be at least 0"),
        (lambda: Marchenko(KERNEL, nt=9), "nt=9 must be the number of samples in time of R, which has 8"),
        (lambda: directwave(np.ones((2, 2)), TIMES, 8, 0.1), "wav must be a wavelet"),
        (lambda: directwave(WAV, TIMES, 8, 0.1, nfft=0), "nfft must be at least 1"),
        (lambda: directwave(WAV, TIMES, 8, 0.1, dist=TIMES[:2], kind="3d"), "dist must be one distance for each"),
        (lambda: directwave(WAV, TIMES, 8, 0.1, dist=0 * TIMES, kind="3d"), "distances must be positive"),
        (lambda: BlendingGroup(**{**GROUPS, "times": np.full((2, 2), np.nan)}, dt=0.1), "must be numbers, got NaN"),
        (lambda: BlendingHalf(**{**GROUPS, "times": np.full((2, 2), np.nan)}, dt=0.1), "must be numbers, got NaN"),
    ],
)
def test_wrong_arguments_say_so(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("step", [1.0, 3.0])
def test_units_of_space_do_not_matter_in_windows(step):
    t, x, p = 0.004 * np.arange(10), step * np.arange(9), np.linspace(-1e-3, 1e-3, 5) / step
    data = RNG.normal(size=(5, 10))

    def interpolated(unit):
        how = {"nwins": 2, "nwin": 5, "nover": 1, "eps": 1e-3, "niter": 5, "alpha": 0.05}
        return SeismicInterpolation(
            data, 9, [0, 2, 3, 6, 8], kind="sliding", taxis=t, spataxis=x * unit, paxis=p / unit, **how
        )[0]

    assert np.allclose(interpolated(1e-3), interpolated(1.0), rtol=1e-9)


def test_windows_have_derivatives_in_the_axis_of_space():
    t, p = 0.004 * np.arange(10), np.linspace(-3e-3, 3e-3, 5)
    data, how = RNG.normal(size=(5, 10)), {"nwins": 2, "nwin": 5, "nover": 1, "eps": 1e-3, "niter": 3, "alpha": 0.05}

    def size(step):
        x = step * torch.arange(9, dtype=torch.float64)
        found = SeismicInterpolation(
            data, 9, [0, 2, 3, 6, 8], kind="sliding", taxis=t, spataxis=x, paxis=p, grad="unroll", **how
        )
        return found[0].square().sum()

    step = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(size(step), step)
    with torch.no_grad():
        difference = (size(step + 1e-6) - size(step - 1e-6)) / 2e-6
    assert slope != 0
    assert torch.allclose(slope, difference, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_singular_values_of_rounding_are_left_out_by_default(dtype):
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        A = torch.randn(30, 5, generator=generator, dtype=dtype) @ torch.randn(5, 40, generator=generator, dtype=dtype)
        b = torch.randn(30, 2, generator=generator, dtype=dtype)
        reference = torch.linalg.pinv(A.double(), rtol=1e-4) @ b.double()
        assert torch.allclose(
            smallest_solution(A, b).double(), reference, rtol=0, atol=1e-4 * float(reference.abs().max())
        )


def test_inversions_are_built_in_transforms():
    wav, data = torch.from_numpy(WAV), torch.from_numpy(FIELD)
    weights = torch.tensor([0.1, 0.2], dtype=torch.float64)

    def directly(wav):
        return PoststackInversion(data, wav, explicit=True, epsI=0.1)[0]

    assert torch.allclose(torch.vmap(directly)(torch.stack((wav, 2 * wav)))[1], directly(2 * wav))

    def damped(damp):
        return PoststackInversion(data, wav, damp=damp, iter_lim=99, atol=1e-12, btol=1e-12)[0]

    assert torch.allclose(torch.vmap(damped)(weights)[1], damped(0.2))
    with pytest.raises(ValueError, match=r"epsI=0\.0 is too small"):
        torch.vmap(lambda wav: PoststackInversion(data, wav, explicit=True, epsI=0.0)[0])(0 * wav.expand(2, 3))

    def interpolated(data):
        how = {"kind": "spatial", "epsRs": [0.3], "iter_lim": 99, "damp": 0.1, "atol": 1e-12, "btol": 1e-12}
        return SeismicInterpolation(data, 5, np.array([0.5, 2.25, 3.0]), **how)[0].square().sum()

    given = data[:3].clone().requires_grad_()
    (expected,) = torch.autograd.grad(interpolated(given), given)
    assert torch.allclose(torch.func.grad(interpolated)(data[:3]), expected)
