"""Reflection coefficients against independent truths, and inversions against dense solves and differences."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import torchlops
from torchlops.avo._inversion import smallest_solution
from torchlops.avo.avo import (
    akirichards,
    approx_zoeppritz_pp,
    fatti,
    ps,
    zoeppritz_element,
    zoeppritz_pp,
    zoeppritz_scattering,
)
from torchlops.optimization import Implicit

F64 = torch.float64
MEDIA = (2200.0, 1300.0, 2000.0, 2300.0, 1400.0, 2100.0)
FAST_BELOW = (2000.0, 900.0, 2000.0, 3000.0, 1500.0, 2300.0)
THETA = np.linspace(0.0, 40.0, 7)
WAV = torchlops.ricker(np.arange(7) * 0.004, 30)[0]


# -- exact coefficients ------------------------------------------------------------------------------------------


def test_exact_coefficients_are_those_of_pylops_where_it_has_them():
    theirs = pytest.importorskip("pylops.avo.avo")
    for media in (MEDIA, FAST_BELOW):
        ours = zoeppritz_scattering(*media, THETA)
        assert ours.dtype == np.float64
        np.testing.assert_allclose(ours, theirs.zoeppritz_scattering(*media, THETA), atol=1e-14)
        for function in ("zoeppritz_pp", "approx_zoeppritz_pp"):
            np.testing.assert_allclose(
                getattr(torchlops.avo.avo, function)(*media, THETA),
                getattr(theirs, function)(*media, THETA),
                atol=1e-14,
            )
        for element in ("PdSu", "SdPu", "PuPd", "SuSd"):
            found = zoeppritz_element(*media, THETA, element)
            np.testing.assert_allclose(found, theirs.zoeppritz_element(*media, THETA, element), atol=1e-14)
    single = zoeppritz_pp(*MEDIA, 10.0)
    assert single.shape == ()
    np.testing.assert_allclose(single, theirs.zoeppritz_pp(*MEDIA, 10.0), atol=1e-14)


def test_all_interfaces_and_angles_at_once():
    rng = np.random.default_rng(0)
    media = [np.array(MEDIA)[i] * (1 + 0.1 * rng.random((4, 1))) for i in range(6)]
    found = zoeppritz_scattering(*media, THETA)
    assert found.shape == (4, 4, 4, 7)
    for i in range(4):
        np.testing.assert_allclose(found[:, :, i], zoeppritz_scattering(*(v[i, 0] for v in media), THETA), atol=1e-14)
    flat = approx_zoeppritz_pp(*(v[:, 0] for v in media), THETA)
    np.testing.assert_allclose(flat, found[0, 0].T, atol=1e-14)


def energies(media: tuple[float, ...], theta: float) -> np.ndarray[Any, Any]:
    """Return the fluxes of energy of the waves that a P-wave from above makes, relative to its own."""
    vp1, vs1, rho1, vp0, vs0, rho0 = media
    p = np.sin(np.radians(theta)) / vp1
    slowness = [np.sqrt(max(1 / v**2 - p**2, 0)) for v in (vp1, vs1, vp0, vs0)]
    flux = [rho * v**2 * q for rho, v, q in zip((rho1, rho1, rho0, rho0), (vp1, vs1, vp0, vs0), slowness, strict=True)]
    coefficients = [zoeppritz_element(*media, theta, f"Pd{wave}") for wave in ("Pu", "Su", "Pd", "Sd")]
    return np.array([abs(c) ** 2 * f for c, f in zip(coefficients, flux, strict=True)]) / flux[0]


@pytest.mark.parametrize("theta", [0.0, 20.0, 41.0, 42.5, 60.0, 85.0])
def test_energy_is_conserved_below_and_beyond_the_critical_angle(theta):
    fluxes = energies(FAST_BELOW, theta)  # evanescent waves carry none away
    assert abs(fluxes.sum() - 1) < 1e-12
    assert (fluxes[2] == 0) == (theta > 41.9)


def test_the_phase_beyond_the_critical_angle_is_that_of_a_medium_with_small_losses():
    """In the convention of the FFT, losses make the imaginary part of a velocity positive, and a root continuous."""
    lossy = [torch.tensor(v * (1 + 1e-9j) if i in (0, 1, 3, 4) else v) for i, v in enumerate(FAST_BELOW)]
    theta = torch.tensor([30.0, 55.0, 70.0], dtype=F64)
    found = zoeppritz_pp(*lossy, theta)
    elastic = torch.from_numpy(zoeppritz_pp(*FAST_BELOW, theta.numpy()))
    assert elastic.imag[1:].min() > 0.1
    torch.testing.assert_close(found, elastic, rtol=0, atol=1e-7)
    fluids = (1500.0, 1e-6, 1000.0, 2500.0, 1e-6, 1000.0)  # an acoustic interface, of which the formula is short
    s = np.sin(np.radians(60.0))
    root = -1j * np.sqrt((s * 2500 / 1500) ** 2 - 1)  # exp(i w (t - p x - q z)), which decays with z
    wanted = (2500 * np.cos(np.radians(60.0)) - 1500 * root) / (2500 * np.cos(np.radians(60.0)) + 1500 * root)
    np.testing.assert_allclose(zoeppritz_pp(*fluids, 60.0), wanted, atol=1e-6)


def test_arrays_give_arrays_and_tensors_complex_tensors():
    assert zoeppritz_pp(*MEDIA, [0.0, 80.0]).dtype == np.complex128
    assert zoeppritz_pp(*MEDIA, THETA.astype(np.float32)).dtype == np.float32
    theta = torch.tensor([10.0, 20.0])
    found = zoeppritz_pp(*MEDIA, theta)
    assert found.dtype == torch.complex64
    np.testing.assert_allclose(found.real.numpy(), zoeppritz_pp(*MEDIA, [10.0, 20.0]), atol=1e-6)
    assert approx_zoeppritz_pp(*MEDIA, theta).dtype == torch.complex64
    assert isinstance(akirichards(theta, 0.5)[0], Tensor)
    with pytest.raises(ValueError, match="element"):
        zoeppritz_element(*MEDIA, THETA, "PdPp")


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_units_do_not_matter(unit):
    wanted = zoeppritz_scattering(*FAST_BELOW, [10.0, 60.0])
    velocities = [v * unit if i in (0, 1, 3, 4) else v for i, v in enumerate(FAST_BELOW)]
    densities = [v * unit if i in (2, 5) else v for i, v in enumerate(FAST_BELOW)]
    for media in (velocities, densities):
        np.testing.assert_allclose(zoeppritz_scattering(*media, [10.0, 60.0]), wanted, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("theta", [15.0, 65.0])
def test_exact_coefficients_have_derivatives_in_every_mode(theta):
    start = torch.tensor([*FAST_BELOW[:2], *FAST_BELOW[2:], theta], dtype=F64)

    def of(function: Any) -> Any:
        return lambda x: torch.view_as_real(function(*(start * x).unbind()).reshape(-1))

    x = torch.ones(7, dtype=F64, requires_grad=True)
    for function in (zoeppritz_pp, approx_zoeppritz_pp, zoeppritz_scattering):
        assert torch.autograd.gradcheck(of(function), x, check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(of(function), x)
    pp, closed = of(zoeppritz_pp), of(approx_zoeppritz_pp)
    x = x.detach()
    torch.testing.assert_close(torch.func.jacfwd(pp)(x), torch.func.jacrev(closed)(x))
    torch.testing.assert_close(
        torch.func.hessian(lambda x: pp(x).sum())(x), torch.func.hessian(lambda x: closed(x).sum())(x)
    )
    many = torch.stack((x, 1.01 * x))
    torch.testing.assert_close(torch.vmap(pp)(many), torch.stack([pp(each) for each in many]))
    compiled = torch.compile(pp, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), pp(x))


# -- linearisations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("linearization", "element"), [(akirichards, "PdPu"), (fatti, "PdPu"), (ps, "PdSu")], ids=["akirich", "fatti", "ps"]
)
@pytest.mark.parametrize("vsvp", [0.3, 0.5, 0.65])
def test_linearisations_are_the_limit_of_the_exact_coefficients(linearization, element, vsvp):
    """By differentiation of the exact coefficients, for a mean angle, at no contrast."""
    theta = np.array([0.0, 5.0, 15.0, 30.0, 50.0])
    vp, vs, rho, h = 2000.0, 2000.0 * vsvp, 2200.0, 1e-4
    found = linearization(theta, vsvp)
    for i in range(3):
        logs = np.zeros(3)
        logs[i] = h
        if linearization is fatti:  # of I_P, I_S and density, at constant others
            logs = np.array([logs[0] - logs[2], logs[1] - logs[2], logs[2]])
        upper, lower = np.array([vp, vs, rho]) * np.exp(-logs / 2), np.array([vp, vs, rho]) * np.exp(logs / 2)
        sines = np.sin(np.radians(theta)) * upper[0] / vp
        exact = zoeppritz_element(*upper, *lower, np.degrees(np.arcsin(sines)), element) / h
        np.testing.assert_allclose(found[i], exact, atol=2e-4 * abs(exact).max() + 1e-4)


def test_coefficients_have_the_shapes_of_pylops():
    theirs = pytest.importorskip("pylops.avo.avo")
    for vsvp, n in ((0.5, 1), (0.5, 4), (np.array([0.4, 0.5]), 1), (np.array([0.4]), 1)):
        for name in ("akirichards", "fatti"):
            ours = getattr(torchlops.avo.avo, name)(THETA, vsvp, n)
            for mine, want in zip(ours, getattr(theirs, name)(THETA, vsvp, n), strict=True):
                np.testing.assert_allclose(mine, want, atol=1e-14)
    assert ps(THETA, np.full((3, 2), 0.5))[1].shape == (7, 3, 2)


def test_ps_reaches_a_fluid():
    for coefficient in ps(THETA, 0.0):
        assert np.isfinite(coefficient).all()


# -- operators ---------------------------------------------------------------------------------------------------


def test_ratios_in_space_are_those_of_each_trace():
    vsvp = 0.5 + 0.05 * np.random.default_rng(0).standard_normal((6, 3))
    x = np.random.default_rng(1).standard_normal((6, 3, 3))
    A = torchlops.PrestackLinearModelling(WAV, THETA, vsvp, spatdims=3)
    for trace in range(3):
        one = torchlops.PrestackLinearModelling(WAV, THETA, vsvp[:, trace].copy())
        np.testing.assert_allclose(A(x)[..., trace], one(np.ascontiguousarray(x[..., trace])), atol=1e-13)


def test_a_wavelet_per_angle_is_that_of_each_angle():
    wavelets = np.stack([torchlops.ricker(np.arange(7) * 0.004, f)[0] for f in (20, 25, 30, 35, 40, 45, 50)])
    x = np.random.default_rng(1).standard_normal((15, 3, 2))
    A = torchlops.PrestackLinearModelling(wavelets, THETA, nt0=15, spatdims=2)
    for i, wav in enumerate(wavelets):
        one = torchlops.PrestackLinearModelling(wav, THETA, nt0=15, spatdims=2)
        np.testing.assert_allclose(A(x)[:, i], one(x)[:, i], atol=1e-13)


def test_explicit_forms_are_the_chains():
    rng = np.random.default_rng(0)
    for wav in (WAV, WAV[:-1], np.tile(WAV, 4), rng.standard_normal((9, 5)), rng.standard_normal((9, 6))):
        chain = torchlops.PoststackLinearModelling(wav, 9, 2, kind="forward")
        x = rng.standard_normal((9, 2))
        for sparse in (False, True):
            matrix = torchlops.PoststackLinearModelling(wav, 9, 2, explicit=True, sparse=sparse, kind="forward")
            np.testing.assert_allclose(matrix(x), chain(x), atol=1e-12)
            np.testing.assert_allclose(matrix.A @ x, chain(x), atol=1e-12)
        learnt = torchlops.PoststackLinearModelling(torch.from_numpy(wav), 9, 2, explicit=True, kind="forward")
        np.testing.assert_allclose(learnt(x), chain(x), atol=1e-12)
    x = rng.standard_normal((9, 3, 2))
    chain = torchlops.PrestackLinearModelling(WAV, THETA, nt0=9, spatdims=(2,))
    for theta in (THETA, torch.from_numpy(THETA)):
        matrix = torchlops.PrestackLinearModelling(WAV, theta, nt0=9, spatdims=(2,), explicit=True)
        found = matrix(x.swapaxes(0, 1).reshape(27, 2)).reshape(7, 9, 2).swapaxes(0, 1)
        np.testing.assert_allclose(found, chain(x), atol=1e-12)
    with pytest.raises(ValueError, match="sparse=True"):
        torchlops.PoststackLinearModelling(torch.from_numpy(WAV), 9, explicit=True, sparse=True)
    with pytest.raises(ValueError, match="varies in space"):
        torchlops.PrestackLinearModelling(WAV, THETA, np.full((9, 2), 0.5), spatdims=2, explicit=True)


def test_wavelets_longer_than_the_model():
    d = torchlops.PoststackLinearModelling(np.tile(WAV, 4), 5)(np.arange(5.0) ** 2)
    wanted = np.convolve(np.tile(WAV, 4), [0, 2, 4, 6, 0])[26:31]
    np.testing.assert_allclose(d, wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: torchlops.PoststackLinearModelling(np.ones((4, 3)), 5), ValueError, "one per sample"),
        (lambda: torchlops.PoststackLinearModelling(WAV, 5, kind="backward"), NotImplementedError, "kind"),
        (lambda: torchlops.PrestackLinearModelling(np.ones((4, 3)), THETA), ValueError, "one per angle"),
        (lambda: torchlops.PrestackLinearModelling(WAV, THETA, nt0=5, linearization="x"), NotImplementedError, "'ps'"),
        (lambda: torchlops.PrestackLinearModelling(WAV, THETA, np.ones((4, 2))), ValueError, "vsvp"),
        (lambda: torchlops.PrestackLinearModelling(WAV, np.ones((2, 2)), nt0=5), ValueError, "theta"),
        (lambda: torchlops.PrestackWaveletModelling(np.ones((5, 2)), THETA, 3), ValueError, "m must have shape"),
        (lambda: torchlops.PrestackWaveletModelling(np.ones((5, 3)), THETA, 3, 3), ValueError, "wavc"),
        (
            lambda: torchlops.avo.AVOLinearModelling(
                THETA, nt0=3, linearization=lambda theta, vsvp, n: [np.ones((2, 2))]
            ),
            ValueError,
            "coefficients of shape",
        ),
    ],
)
def test_wrong_arguments_say_so(build, error, message):
    with pytest.raises(error, match=message):
        build()


# -- inversions --------------------------------------------------------------------------------------------------


def profiles(nt0: int = 40, *spat: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return a blocky model of logarithms."""
    rng = np.random.default_rng(seed)
    steps = 0.1 * rng.standard_normal((nt0, *spat)) * (rng.random((nt0, *spat)) > 0.8)
    return 8 + np.cumsum(steps, axis=0)


def gathers(nt0: int = 25, *spat: int) -> np.ndarray[Any, Any]:
    return np.stack([profiles(nt0, *spat, seed=seed) for seed in range(3)], axis=1)


TIGHT = {"atol": 1e-13, "btol": 1e-13, "conlim": 0.0, "iter_lim": 20000}


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize(
    "eps", [{}, {"epsI": 1e-2}, {"epsR": 0.1}, {"epsR": 0.1, "epsI": 0.1}, {"epsRL1": 0.1}], ids=str
)
@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_data_are_never_changed(explicit, eps):
    m = profiles(20, 3)
    d = torchlops.PoststackLinearModelling(WAV, 20, 3)(m)
    kept = d.copy()
    minv, residual = torchlops.PoststackInversion(d, WAV, explicit=explicit, **eps)
    assert (d == kept).all()
    assert minv.shape == residual.shape == d.shape
    np.testing.assert_allclose(residual, d - torchlops.PoststackLinearModelling(WAV, 20, 3)(minv), atol=1e-12)
    d = torchlops.PrestackLinearModelling(WAV, THETA, nt0=20)(gathers(20))
    kept = d.copy()
    minv, residual = torchlops.PrestackInversion(d, THETA, WAV, explicit=explicit, returnres=True, **eps)
    assert (d == kept).all()
    assert not np.shares_memory(residual, d)


def test_direct_solutions_are_dense_ones():
    m, m0 = profiles(30, 2, 3), profiles(30, 2, 3, seed=1)
    A = torchlops.PoststackLinearModelling(WAV, 30, explicit=True).A
    d = np.einsum("ij,jxy->ixy", A, m)
    target = (d - np.einsum("ij,jxy->ixy", A, m0)).reshape(30, 6)
    damped, _ = torchlops.PoststackInversion(d, WAV, m0, explicit=True, epsI=0.05)
    wanted = np.linalg.solve(A.T @ A + 0.05 * np.eye(30), A.T @ target).reshape(m.shape) + m0
    np.testing.assert_allclose(damped, wanted, atol=1e-12)
    smallest, _ = torchlops.PoststackInversion(d, WAV, m0, explicit=True, cond=1e-3)
    wanted = (np.linalg.pinv(A, rcond=1e-3) @ target).reshape(m.shape) + m0
    np.testing.assert_allclose(smallest, wanted, atol=1e-11)

    m, m0 = gathers(20, 2), gathers(20, 2) * 0.99
    A = torchlops.PrestackLinearModelling(WAV, THETA, nt0=20, explicit=True).A
    ordered = [x.swapaxes(0, 1).reshape(60, 2) for x in (m, m0)]
    d = (A @ ordered[0]).reshape(7, 20, 2).swapaxes(0, 1)
    weights = np.repeat([0.01, 0.02, 0.05], 20)
    found = torchlops.PrestackInversion(d, THETA, WAV, m0, explicit=True, epsI=[0.01, 0.02, 0.05])
    change = np.linalg.solve(A.T @ A + np.diag(weights), A.T @ A @ (ordered[0] - ordered[1]))
    np.testing.assert_allclose(found, (change + ordered[1]).reshape(3, 20, 2).swapaxes(0, 1), atol=1e-11)


@pytest.mark.parametrize("epsI", [1e-2, 3.0])
def test_simultaneous_and_trace_by_trace_and_matrix_free_solutions_agree(epsI):
    d = torchlops.PoststackLinearModelling(WAV, 30, 4)(profiles(30, 4))
    m0 = profiles(30, 4, seed=3)
    wanted, _ = torchlops.PoststackInversion(d, WAV, m0, explicit=True, epsI=epsI)
    for explicit, simultaneous in ((True, True), (False, False)):
        found, _ = torchlops.PoststackInversion(d, WAV, m0, explicit, simultaneous, epsI, **TIGHT)
        assert abs(found - wanted).max() < 1e-8 * abs(wanted).max()
    for i in range(4):
        one, _ = torchlops.PoststackInversion(d[:, i].copy(), WAV, m0[:, i].copy(), explicit=True, epsI=epsI)
        assert abs(one - wanted[:, i]).max() < 1e-11
    d = torchlops.PrestackLinearModelling(WAV, THETA, nt0=20, spatdims=2, kind="forward")(gathers(20, 2))
    for eps in (epsI, [epsI, 2 * epsI, 3 * epsI]):
        how = {"epsI": eps, "kind": "forward"}
        wanted = torchlops.PrestackInversion(d, THETA, WAV, explicit=True, **how)
        for explicit in (False, True):
            found = torchlops.PrestackInversion(d, THETA, WAV, explicit=explicit, simultaneous=True, **how, **TIGHT)
            assert abs(found - wanted).max() < 1e-8 * abs(wanted).max()


def test_a_laplacian_with_an_explicit_operator_is_that_of_time_and_space():
    m0 = gathers(12, 3)
    d = torchlops.PrestackLinearModelling(WAV, THETA, nt0=12, spatdims=3)(gathers(12, 3) * 1.01)
    found = [
        torchlops.PrestackInversion(d, THETA, WAV, m0, explicit=explicit, epsR=0.3, epsI=0.1, **TIGHT)
        for explicit in (False, True)
    ]
    np.testing.assert_allclose(*found, rtol=1e-12)
    A = torchlops.PrestackLinearModelling(WAV, THETA, nt0=12, spatdims=3).todense()
    L = torchlops.Laplacian((12, 3, 3), axes=(0, 2)).todense()
    wanted = np.linalg.solve(A.T @ A + 0.09 * L.T @ L + 0.01 * np.eye(len(A.T)), A.T @ d.ravel()).reshape(m0.shape)
    np.testing.assert_allclose(found[0], wanted, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("epsI", [None, 0.3], ids=str)
def test_blocky_inversion_of_one_trace_differentiates_along_time(epsI):
    """The minimiser has no lower neighbour of its cost, which is that of the documentation."""
    how = {
        "epsRL1": 0.2,
        "mu": 1.0,
        "niter_outer": 100,
        "niter_inner": 1,
        "iter_lim": 30,
        "tol": 0.0,
        "on_fail": "ignore",
    }
    d = torchlops.PoststackLinearModelling(WAV, 12)(profiles(12))
    minv, _ = torchlops.PoststackInversion(d, WAV, m0=np.full(12, 8.0), epsI=epsI, **how)
    A, D = torchlops.PoststackLinearModelling(WAV, 12), torchlops.FirstDerivative(12, kind="forward")

    def cost(m: Any, A: Any, D: Any, d: Any) -> float:
        damping = 0.0 if epsI is None else 0.5 * epsI**2 * (m**2).sum()
        return float(0.5 * ((A(m) - d) ** 2).sum() + 0.2**2 * abs(D(m)).sum() + damping)

    rng = np.random.default_rng(0)
    least = cost(minv, A, D, d)
    assert all(cost(minv + 1e-3 * rng.standard_normal(12), A, D, d) > least for _ in range(50))
    d = torchlops.PrestackLinearModelling(WAV, THETA, nt0=8)(gathers(8))
    minv = torchlops.PrestackInversion(d, THETA, WAV, m0=np.full((8, 3), 8.0), epsI=epsI, **how)
    A = torchlops.PrestackLinearModelling(WAV, THETA, nt0=8)
    D = torchlops.FirstDerivative((8, 3), axis=0)
    least = cost(minv, A, D, d)
    assert all(cost(minv + 1e-3 * rng.standard_normal((8, 3)), A, D, d) > least for _ in range(50))


@pytest.mark.parametrize("kind", ["centered", "forward"])
def test_several_linearisations_are_inverted_together(kind):
    m = gathers(15, 2)
    wavelets = [WAV, 0.7 * WAV[1:-1]]
    kinds = ["akirich", "PS"]
    d = np.stack(
        [
            torchlops.PrestackLinearModelling(w, THETA, nt0=15, spatdims=2, linearization=each, kind=kind)(m)
            for w, each in zip(wavelets, kinds, strict=True)
        ]
    )
    how = {"linearization": kinds, "epsI": 1e-2, "returnres": True, "kind": kind}
    direct, residual = torchlops.PrestackInversion(d, THETA, wavelets, m0=m * 0.99, explicit=True, **how)
    iterated, _ = torchlops.PrestackInversion(d, THETA, wavelets, m0=m * 0.99, **how, **TIGHT)
    assert residual.shape == d.shape
    np.testing.assert_allclose(iterated, direct, atol=1e-8)
    exact, residual = torchlops.PrestackInversion(d, THETA, wavelets, m0=m, explicit=True, **how)
    np.testing.assert_allclose(exact, m, atol=1e-12)
    assert abs(residual).max() < 1e-12


def squared(theta: Any, vsvp: Any, n: int = 1) -> list[Any]:
    """Return the linearisation of Shuey with two terms."""
    return [0 * theta + 1, (theta * np.pi / 180) ** 2]


def test_functions_as_linearisations():
    m = gathers(15)[:, :2].copy()
    d = torchlops.PrestackLinearModelling(WAV, THETA, nt0=15, linearization=squared)(m)
    for explicit in (False, True):
        how = {} if explicit else TIGHT
        found = torchlops.PrestackInversion(
            d, THETA, WAV, m0=m, linearization=squared, explicit=explicit, epsI=1e-3, **how
        )
        np.testing.assert_allclose(found, m, atol=1e-10)


def test_batches_stop_one_by_one():
    wav = torch.from_numpy(WAV)
    scales = torch.tensor([1.0, 1e-12, 1e12], dtype=F64)[:, None, None]
    m = torch.from_numpy(np.stack([profiles(20, 2, seed=seed) for seed in range(3)])) * scales
    d = torchlops.PoststackLinearModelling(wav, 20, 2)(m)
    for how in (
        {"explicit": True, "epsI": 1e-2},
        {"damp": 0.1, "iter_lim": 300},
        {"epsR": 0.1, "damp": 0.1, "iter_lim": 300},
    ):
        found, residual = torchlops.PoststackInversion(d, wav, m0=0.9 * m, batch_ndim=1, **how)
        assert residual.shape == d.shape
        for i in range(3):
            one, _ = torchlops.PoststackInversion(d[i], wav, m0=0.9 * m[i], **how)
            torch.testing.assert_close(found[i], one, rtol=1e-9, atol=0)
    theta = torch.from_numpy(THETA)
    m = torch.from_numpy(np.stack([gathers(12), 2 * gathers(12)]))[:, None]
    d = torchlops.PrestackLinearModelling(wav, theta, nt0=12)(m)
    found = torchlops.PrestackInversion(d, theta, wav, m0=0.9 * m[0, 0], explicit=True, epsI=0.1, batch_ndim=2)
    assert found.shape == m.shape
    one = torchlops.PrestackInversion(d[1, 0], theta, wav, m0=0.9 * m[0, 0], explicit=True, epsI=0.1)
    torch.testing.assert_close(found[1, 0], one)
    empty = torchlops.PrestackInversion(d[:0], theta, wav, explicit=True, epsI=0.1, batch_ndim=2)
    assert empty.shape == (0, 1, 12, 3)


@pytest.mark.parametrize(
    "how",
    [
        {"explicit": True, "epsI": 0.1},
        {"explicit": True, "cond": 0.05},
        *(
            pytest.param(how, marks=pytest.mark.slow)
            for how in (
                {"explicit": True, "epsI": 0.1, "cond": 1e-9},
                {"epsI": 0.1, **TIGHT},
                {"epsR": 0.5, "epsI": 0.3, **TIGHT},
                {"damp": 0.3, **TIGHT},
                {"damp": 0.3, "epsR": 0.3, "grad": Implicit(), **TIGHT},
            )
        ),
    ],
    ids=str,
)
def test_inversions_have_derivatives(how):
    m = torch.from_numpy(profiles(7, 1))
    wav = torch.from_numpy(WAV[4:-4].copy())
    d = torchlops.PoststackLinearModelling(wav, 7, 1)(m) + 0.1 * torch.sin(m * 50)

    def invert(d: Tensor, wav: Tensor, m0: Tensor) -> tuple[Tensor, Tensor]:
        return torchlops.PoststackInversion(d, wav, m0=m0, **how)

    leaves = [x.clone().requires_grad_() for x in (d, wav, 0.9 * m)]
    assert torch.autograd.gradcheck(invert, leaves, check_forward_ad="explicit" in how, atol=1e-5, rtol=1e-4)
    if "explicit" in how:
        assert torch.autograd.gradgradcheck(invert, leaves, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("eps", [{}, {"epsR": 0.3}], ids=str)
def test_solutions_without_damping_have_derivatives(eps):
    """What is constant in time has no data: the solution is the one closest to the background."""
    wav = torch.tensor([0.2, 1.0, 0.2], dtype=F64, requires_grad=True)
    d = torch.randn(8, 2, dtype=F64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    m0 = torch.full((8, 2), 8.0, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda d, wav, m0: torchlops.PoststackInversion(d, wav, m0=m0, **eps, **TIGHT)[0],
        (d, wav, m0),
        atol=1e-5,
        rtol=1e-4,
    )


@pytest.mark.slow
def test_prestack_inversions_have_derivatives_in_angles_ratios_and_weights():
    m = torch.from_numpy(gathers(6))
    wav, theta = torch.from_numpy(WAV[4:-4].copy()), torch.tensor([0.0, 15.0, 35.0], dtype=F64)
    d = torchlops.PrestackLinearModelling(wav, theta, nt0=6)(m)
    given = [d, wav, theta, torch.full((6,), 0.5, dtype=F64), torch.tensor([0.3, 0.2, 0.1], dtype=F64)]
    for how in ({"explicit": True}, TIGHT):

        def invert(d: Tensor, wav: Tensor, theta: Tensor, vsvp: Tensor, epsI: Tensor, how: Any = how) -> Tensor:
            found: Tensor = torchlops.PrestackInversion(d, theta, wav, m0=0.9 * m, vsvp=vsvp, epsI=epsI, **how)
            return found

        leaves = [x.clone().requires_grad_() for x in given]
        assert torch.autograd.gradcheck(invert, leaves, atol=1e-5, rtol=1e-4)


def test_the_smallest_solution_has_exact_derivatives_where_singular_values_repeat():
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(n, 6, dtype=F64, generator=generator)).Q for n in (8, 6))
    b = torch.randn(8, 2, dtype=F64, generator=generator)
    A = (left * torch.tensor([3.0, 2.0, 2.0, 1e-3, 0.0, 0.0], dtype=F64)) @ right.mT
    wanted = torch.linalg.pinv(A, rtol=1e-2) @ b
    torch.testing.assert_close(smallest_solution(A, b, 1e-2), wanted)
    for matrix, data in ((A, b), (A.mT.contiguous(), b[:6])):
        leaf = matrix.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda A, b=data: smallest_solution(A, b, 1e-2), leaf, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(lambda A, b=data: smallest_solution(A, b, 1e-2), leaf)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: torchlops.PoststackInversion(d, WAV, m0=np.ones((20, 2))), ValueError, "m0"),
        (lambda d: torchlops.PoststackInversion(d[None, None], WAV), ValueError, "batch_ndim"),
        (lambda d: torchlops.PoststackInversion(d, WAV, explicit=True, iter_lim=3), TypeError, "iter_lim"),
        (lambda d: torchlops.PoststackInversion(d, WAV, explicit=True, epsI=1e-40), ValueError, "too small"),
        (lambda d: torchlops.PoststackInversion(d, WAV, explicit=True, epsI=[1.0, 2.0]), ValueError, "a number"),
        (lambda d: torchlops.PrestackInversion(d, THETA, WAV), ValueError, "of vsvp, theta"),
        (lambda d: torchlops.PrestackInversion(d, THETA[:3], WAV, epsI=[1.0]), ValueError, "one per parameter"),
        (lambda d: torchlops.PrestackInversion(d, THETA[:3], WAV, linearization=["ps", "ps"]), ValueError, "(2, nt0"),
        (lambda d: torchlops.PrestackInversion(d[0], THETA[:3], WAV), ValueError, "n_theta"),
        (
            lambda d: torchlops.PrestackInversion(d, THETA[:3], [WAV], linearization=["ps", "ps"]),
            ValueError,
            "wavelets",
        ),
    ],
)
def test_wrong_arguments_of_inversions_say_so(call, error, message):
    with pytest.raises(error) as raised:
        call(np.ones((20, 3)))
    assert message in str(raised.value)


def test_inversions_give_the_numbers_of_pylops():
    pylops = pytest.importorskip("pylops")
    m, m0 = profiles(30, 3), np.full((30, 3), 8.0)
    d = torchlops.PoststackLinearModelling(WAV, 30, 3)(m)
    ways: list[dict[str, Any]] = [
        {"explicit": True, "epsI": 1e-2},
        {"explicit": True, "cond": 1e-2},
        {"iter_lim": 8},
        {"explicit": True, "simultaneous": True, "iter_lim": 8},
        {"epsR": 0.1, "iter_lim": 8},
        {"epsR": 0.1, "epsRL1": 0.2, "niter_outer": 3, "niter_inner": 2, "iter_lim": 10, "mu": 2.0},
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for how in ways:
            ours = torchlops.PoststackInversion(d, WAV, m0=m0, **how)
            theirs = pylops.PoststackInversion(d.copy(), WAV, m0=m0, **how)
            for mine, want in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(mine, want, atol=1e-7)
        m, m0 = gathers(20, 2), np.full((20, 3, 2), 8.0)
        d = torchlops.PrestackLinearModelling(WAV, THETA, nt0=20, spatdims=2)(m)
        ways[4]["epsI"] = ways[5]["epsI"] = 0.1
        for how in ways:
            ours = torchlops.PrestackInversion(d, THETA, WAV, m0=m0, returnres=True, **how)
            theirs = pylops.PrestackInversion(d.copy(), THETA, WAV, m0=m0, returnres=True, **how)
            for mine, want in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(mine, want, atol=1e-7)
