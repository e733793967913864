"""Multi-dimensional convolution and deconvolution, Marchenko redatuming, and interpolation of seismic data."""

from __future__ import annotations

import functools
import importlib
import inspect
import math

import numpy as np
import pytest
import torch
from scipy.signal import filtfilt
from scipy.special import h2vp, hankel2

from torchlops.optimization import Implicit
from torchlops.waveeqprocessing import MDC, MDD, Marchenko, SeismicInterpolation
from torchlops.waveeqprocessing._hankel import hankel2_zero
from torchlops.waveeqprocessing._inversion import smoothed
from torchlops.waveeqprocessing.marchenko import directwave

F64 = torch.float64


def _numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def _close(found, wanted, tolerance):
    found, wanted = (np.asarray(array) for array in (found, wanted))
    assert found.shape == wanted.shape
    assert abs(found - wanted).max() <= tolerance * abs(wanted).max()


def _check_derivatives(function, *inputs, h=1e-5, tolerance=1e-6):
    """Compare the derivatives of both modes in one random direction with a central difference."""
    inputs = [tensor.detach() for tensor in inputs]
    generator = torch.Generator().manual_seed(0)
    direction = [torch.randn(tensor.shape, dtype=F64, generator=generator) for tensor in inputs]

    def total(*inputs):
        results = function(*inputs)
        results = results if isinstance(results, tuple) else (results,)
        return sum((result * torch.linspace(0.5, 2, result.numel()).reshape(result.shape)).sum() for result in results)

    def moved(step):
        with torch.no_grad():
            return total(*(tensor + step * part for tensor, part in zip(inputs, direction, strict=True)))

    wanted = float(moved(h) - moved(-h)) / (2 * h)
    _, forward = torch.func.jvp(total, tuple(inputs), tuple(direction))
    assert abs(float(forward) / wanted - 1) < tolerance
    required = [tensor.clone().requires_grad_() for tensor in inputs]
    grads = torch.autograd.grad(total(*required), required)
    assert all(bool(grad.any()) for grad in grads)
    backward = sum((grad * part).sum() for grad, part in zip(grads, direction, strict=True))
    assert abs(float(backward) / wanted - 1) < tolerance


def _pylops():
    pytest.importorskip("pylops")
    return importlib.import_module("pylops.waveeqprocessing")


# -- MDC ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nt", [6, 7])
def test_convolution_in_the_time_domain(nt):
    kernel, x = _numbers(nt, 2, 3), _numbers(nt, 3, 2, seed=1)
    A = MDC(np.fft.rfft(kernel, axis=0), nt, 2, dt=0.5, dr=3.0, twosided=False)
    wanted = sum(np.einsum("sr,trv->tsv", kernel[k], np.roll(x, k, 0)) for k in range(nt)) * 1.5 * math.sqrt(nt)
    _close(A(x), wanted, 1e-14)


def test_zero_time_is_in_the_middle_of_a_two_sided_model():
    kernel, x = np.zeros((5, 1, 1)), np.zeros((5, 1, 1))
    kernel[2 + 1], x[2 - 1] = 1.0, 1.0  # times 1 and -1 of -2, ..., 2
    A = MDC(np.fft.rfft(kernel, axis=0), 5, 1, prescaled=True)
    _close(A(x).ravel(), [0, 0, 1, 0, 0], 1e-15)


def test_frequencies_that_there_are_not_are_cut_off():
    G = _numbers(9, 2, 2) + 1j * _numbers(9, 2, 2, seed=1)
    with pytest.warns(UserWarning, match="9 frequencies, but signals of nt=7 samples have 4"):
        A = MDC(G, 7, 2)
    x = _numbers(7, 2, 2, seed=2)
    _close(A(x), MDC(G[:4], 7, 2)(x), 1e-15)
    assert A.nfmax == 4


def test_one_receiver_and_several_virtual_sources():
    G, x = _numbers(4, 2, 1) + 0j, _numbers(7, 1, 3)
    wanted = np.concatenate([MDC(G, 7, 1)(x[..., [i]]) for i in range(3)], -1)
    _close(MDC(G, 7, 3)(x), wanted, 1e-15)


@pytest.mark.parametrize("nt", [51, 63, 64])  # 51 = 3 x 17
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("conj", [False, True])
def test_fast_kernels_are_those_that_are_differentiated(nt, dtype, conj):
    G = torch.randn(nt // 2 + 1, 20, 20, dtype=dtype.to_complex())
    A = MDC(G, nt, 5, twosided=nt % 2 == 1, conj=conj)
    x = torch.randn(16, nt, 20, 5, dtype=dtype)
    tolerance = 20 * torch.finfo(dtype).eps
    for adjoint, plain in ((False, A._forward), (True, A._adjoint)):
        before = x.clone()
        found = A.apply_nd(x, adjoint)
        assert found.dtype == dtype
        assert torch.equal(x, before)
        _close(found, plain(x), tolerance)
        with torch.no_grad():  # a leaf, and a tensor that is the negative of its memory
            assert torch.equal(A.apply_nd(x.clone().requires_grad_(), adjoint), found)
            assert torch.equal(A.apply_nd(torch.complex(x, x).conj().imag, adjoint), -found)


def test_messages_of_mdc():
    G = torch.ones(3, 2, 2, dtype=torch.complex128)
    with pytest.raises(ValueError, match="nt must be odd"):
        MDC(G, 6, 1)
    with pytest.raises(ValueError, match=r"three axes .* got shape \(2, 2\)"):
        MDC(G[0], 5, 1)
    with pytest.raises(TypeError, match="unexpected argument 'worker'"):
        MDC(G, 5, 1, worker=3)
    assert MDC(G, 5, 1, engine="scipy", workers=4).dtype == np.dtype("float64")


# -- MDD ------------------------------------------------------------------------------------------------------

WAYS = {
    "plain": {},
    "few frequencies": {"nfmax": 7},
    "one-sided": {"twosided": False},
    "negative times given": {"add_negative": False},
    "causal": {"causality_precond": True, "smooth_precond": 3},
    "wavelet": {"wav": _numbers(6)},
    "long wavelet, all": {"wav": _numbers(33), "psf": True, "adjoint": True},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("nv", [None, 3])
def test_deconvolution_is_that_of_pylops(way, nv):
    G, d = _numbers(5, 4, 21), _numbers(*((5, 21) if nv is None else (5, nv, 21)), seed=1)
    options = {"dt": 0.004, "dr": 2.0, "damp": 1e-2, "iter_lim": 10, **way}
    found, wanted = MDD(G, d, **options), _pylops().MDD(G, d, **options)
    found, wanted = ((result,) if isinstance(result, np.ndarray) else result for result in (found, wanted))
    for ours, theirs in zip(found, wanted, strict=True):
        assert isinstance(ours, np.ndarray)
        _close(ours, theirs, 1e-10)


def test_virtual_sources_as_a_batch_stop_by_themselves():
    G = torch.from_numpy(_numbers(5, 4, 9))
    d = torch.from_numpy(_numbers(3, 5, 1, 9, seed=1)) * torch.tensor([1e-12, 1.0, 1e12], dtype=F64).reshape(3, 1, 1, 1)
    options = {"atol": 1e-10, "btol": 1e-10, "damp": 1e-3}
    found = MDD(G, d, dt=1.0, **options)
    assert found.shape == (3, 4, 1, 17)
    for ours, data in zip(found, d, strict=True):
        _close(ours, MDD(G, data, dt=1.0, **options), 1e-7)
        _close(ours.squeeze(1), MDD(G, data.squeeze(1), dt=1.0, **options), 1e-7)
    adjoint = MDD(G, d, dt=1.0, adjoint=True, iter_lim=1)[1]
    assert adjoint.shape == found.shape
    assert MDD(G, d[:0], dt=1.0, wav=d[0, 0, 0], iter_lim=1).shape == (0, 4, 1, 17)


def test_deconvolution_finds_what_was_convolved():
    G, m = _numbers(6, 4, 15), np.zeros((4, 2, 15))
    m[:, :, :7] = _numbers(4, 2, 7, seed=1)
    G[..., 8:] = 0.0
    A = MDC(np.fft.rfft(G, 29, -1).transpose(2, 0, 1), 29, 2, dt=0.5, dr=2.0, twosided=False)
    d = A(np.pad(m, ((0, 0), (0, 0), (0, 14))).transpose(2, 0, 1)).transpose(1, 2, 0)[..., :15]
    found = MDD(G, d, dt=0.5, dr=2.0, iter_lim=500, atol=1e-14, btol=1e-14)
    assert abs(found[..., :14]).max() < 1e-8
    _close(found[..., 14:], m, 1e-8)
    assert MDD(G.astype("float32"), d.astype("float32"), iter_lim=3).dtype == np.float32


@pytest.mark.parametrize("way", [{"twosided": False}, {"causality_precond": True}], ids=str)
def test_derivatives_of_deconvolutions(way):
    G, d, wav = (torch.from_numpy(_numbers(*shape, seed=i)) for i, shape in enumerate([(3, 2, 3), (2, 3, 1, 3), (2,)]))
    dt = torch.tensor(0.5, dtype=F64)

    def solve(G, d, wav, dt):
        return MDD(G, d, dt=dt, wav=wav, damp=0.3, iter_lim=200, atol=1e-14, btol=1e-14, **way)

    _check_derivatives(solve, G, d, wav, dt)


def test_a_callback_makes_it_cgls_as_in_pylops():
    G, d, seen = _numbers(4, 3, 7), _numbers(4, 7, seed=1), []
    found = MDD(G, d, niter=4, callback=lambda x: seen.append(x))
    _close(found, _pylops().MDD(G, d, niter=4, callback=lambda x: None), 1e-10)
    assert len(seen) == 4


def test_messages_of_mdd():
    G, d = np.ones((3, 2, 5)), np.ones((3, 5))
    with pytest.raises(ValueError, match=r"got shapes \(3, 2, 5\) and \(2, 5\)"):
        MDD(G, d[:2])
    with pytest.raises(TypeError, match="MDD: d must be real"):
        MDD(G, d + 0j)
    with pytest.raises(ValueError, match="wav must be a wavelet"):
        MDD(G, d, wav=np.ones((2, 2)), iter_lim=1)


@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_windows_are_smoothed_as_by_filtfilt(size):
    window = _numbers(2, 21)
    wanted = filtfilt(np.ones(size) / size, 1, window) if size > 1 else window  # SciPy takes no filter of one tap
    _close(smoothed(torch.from_numpy(window), size), wanted, 1e-14)


# -- the direct wave ------------------------------------------------------------------------------------------


def test_hankel_function():
    x = np.concatenate([np.geomspace(1e-10, 5, 500), np.linspace(4.9, 60, 2000), np.linspace(60, 3000, 500)])
    found = hankel2_zero(torch.from_numpy(x)).numpy()
    wanted = hankel2(0, x)
    assert (abs(found.real - wanted.real) / np.maximum(abs(wanted.real), 0.1)).max() < 1e-12
    assert (abs(found - wanted) / abs(wanted)).max() < 1e-12
    assert abs(found - wanted)[x < 100].max() < 5e-15
    t = torch.from_numpy(x[x > 1e-3]).requires_grad_()
    current = [hankel2_zero(t).real, hankel2_zero(t).imag]
    for order, tolerance in ((1, 1e-13), (2, 1e-12), (3, 1e-11)):
        current = [torch.autograd.grad(part.sum(), t, create_graph=True)[0] for part in current]
        wanted = h2vp(0, t.detach().numpy(), order)
        error = abs(current[0].detach().numpy() + 1j * current[1].detach().numpy() - wanted)
        assert (error / np.maximum(abs(wanted), 0.1)).max() < tolerance


@pytest.mark.parametrize("kind", ["2d", "3d"])
@pytest.mark.parametrize("derivative", [True, False])
@pytest.mark.parametrize("nfft", [None, 63, 64])
def test_direct_wave_is_that_of_pylops(kind, derivative, nfft):
    theirs = importlib.import_module("pylops.waveeqprocessing.marchenko").directwave
    wav, trav = _numbers(20), np.linspace(0.0, 0.1, 5)
    dist = 1500 * trav + 1
    options = {"nt": 40, "dt": 0.004, "nfft": nfft, "dist": dist, "kind": kind, "derivative": derivative}
    _close(directwave(wav, trav, **options), theirs(wav, trav, **options), 1e-13)
    batch = torch.from_numpy(np.stack([trav, trav + 0.01])).float()
    options["dist"] = torch.from_numpy(dist).float().expand(2, 5)
    found = directwave(torch.from_numpy(wav).float(), batch, **options)
    assert found.shape == (2, 40, 5)
    assert found.dtype == torch.float32
    _close(found[0], directwave(wav, trav, **{**options, "dist": dist}), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["2d", "3d"])
def test_derivatives_of_the_direct_wave_in_every_mode(kind):
    wav, trav, dist = torch.from_numpy(_numbers(4)), torch.tensor([0.3, 1.1], dtype=F64), torch.ones(2, dtype=F64)

    def wave(wav, trav, dist):
        return directwave(wav, trav, 6, 0.25, 7, dist, kind) * 100

    inputs = [tensor.clone().requires_grad_() for tensor in (wav, trav, dist)]
    assert torch.autograd.gradcheck(wave, inputs if kind == "3d" else [*inputs[:2], dist], check_forward_ad=True)
    one = functools.partial(lambda t: wave(wav, t.expand(2), dist).sum())
    t = torch.tensor(0.4, dtype=F64)
    h = 1e-4
    second = torch.func.jacfwd(torch.func.jacfwd(one))
    wanted = (second(t + h) - second(t - h)) / (2 * h)
    for modes in ([torch.func.jacfwd] * 3, [torch.func.jacrev] * 3, [torch.func.jacfwd, torch.func.jacrev] * 2):
        nested = one
        for mode in modes[:3]:
            nested = mode(nested)
        assert abs(float(nested(t) / wanted) - 1) < 1e-6
    many = torch.func.vmap(torch.func.grad(one))(torch.stack([t, 2 * t]))
    assert abs(float(many[1] - torch.func.grad(one)(2 * t))) < 1e-12
    compiled = torch.compile(torch.func.grad(one), fullgraph=True, backend="aot_eager")
    assert abs(float(compiled(t) - torch.func.grad(one)(t))) < 1e-12


def test_messages_of_the_direct_wave():
    with pytest.raises(ValueError, match="kind='3d' needs dist"):
        directwave(np.ones(3), np.ones(2), 8, 0.004, kind="3d")
    with pytest.raises(ValueError, match="kind must be '2d' or '3d', got '1d'"):
        directwave(np.ones(3), np.ones(2), 8, 0.004, kind="1d")
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        directwave(np.ones(3), -np.ones(2), 8, 0.004)


# -- Marchenko ------------------------------------------------------------------------------------------------

NT, NR = 20, 4
REFLECTION = _numbers(NR, NR, NT) * np.exp(-np.arange(NT) / 5)
STEPS = {"dt": 0.004, "dr": 2.0, "wav": _numbers(9, seed=3), "toff": 0.01}
TIMES = np.stack([np.linspace(0.02, 0.05, NR) + 0.004 * i for i in range(3)], 1)  # (nr, nvs)
ASKED = {"nfft": 64, "rtm": True, "greens": True, "iter_lim": 10}


@pytest.mark.parametrize("options", [{}, {"nfmax": 9}, {"nsmooth": 0}, {"nsmooth": 3, "toff": 0.0}], ids=str)
def test_redatuming_is_that_of_pylops(options):
    ours, theirs = (kind(REFLECTION, **{**STEPS, **options}) for kind in (Marchenko, _pylops().Marchenko))
    _close(ours.Rtwosided_fft, theirs.Rtwosided_fft, 1e-14)
    assert [getattr(ours, name) for name in ("ns", "nr", "nt", "nt2")] == [NR, NR, NT, 2 * NT - 1]
    every = ours.apply_multiplepoints(TIMES, **ASKED)
    for found, wanted in zip(every, theirs.apply_multiplepoints(TIMES, **ASKED), strict=True):
        _close(found, wanted, 1e-10)
    batch = ours.apply_onepoint(TIMES.T, **ASKED)
    for i in range(3):
        wanted = theirs.apply_onepoint(TIMES[:, i], **ASKED)
        for one, many, right in zip(ours.apply_onepoint(TIMES[:, i], **ASKED), batch, wanted, strict=True):
            assert isinstance(one, np.ndarray)
            _close(one, right, 1e-10)
            _close(many[i], right, 1e-10)


def test_reflection_data_in_frequency_and_prescaled():
    G0 = _numbers(NR, 3, NT, seed=4)
    plain = Marchenko(REFLECTION, **STEPS)
    spectrum = plain.Rtwosided_fft.transpose(1, 2, 0)
    factor = STEPS["dt"] * STEPS["dr"] * math.sqrt(2 * NT - 1)
    wanted = plain.apply_multiplepoints(TIMES, G0, greens=True, iter_lim=10)
    for R, prescaled in ((spectrum, False), (spectrum * factor, True)):
        redatuming = Marchenko(R, nt=NT, prescaled=prescaled, **STEPS)
        for found, right in zip(
            redatuming.apply_multiplepoints(TIMES, G0, greens=True, iter_lim=10), wanted, strict=True
        ):
            _close(found, right, 1e-12)


@pytest.mark.parametrize("factor", [1e-12, 1e12])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_points_of_a_batch_stop_by_themselves_at_every_scale(factor, dtype):
    R = torch.from_numpy(REFLECTION).to(dtype)
    trav, G0 = torch.from_numpy(TIMES.T.copy()).to(dtype), torch.from_numpy(_numbers(3, NR, NT, seed=4)).to(dtype)
    factors = torch.tensor([1.0, factor, 1.0], dtype=dtype).reshape(3, 1, 1)
    redatuming = Marchenko(R, **{**STEPS, "wav": None, "nsmooth": 0})
    accuracy = {"greens": True, "atol": 1e-6, "btol": 1e-6}
    scaled = redatuming.apply_onepoint(trav, G0 * factors, **accuracy)
    for found, wanted in zip(scaled, redatuming.apply_onepoint(trav, G0, **accuracy), strict=True):
        assert found.dtype == dtype
        _close(found / factors, wanted, 1e-4 if dtype == torch.float32 else 1e-5)
    two = redatuming.apply_onepoint(trav.reshape(1, 3, NR), G0.reshape(1, 3, NR, NT), iter_lim=3)
    assert two[0].shape == (1, 3, NR, 2 * NT - 1)
    for waves in ({"G0": G0[:0]}, {"nfft": 64}):
        redatuming.wav = G0[0, 0]
        assert redatuming.apply_onepoint(trav[:0], iter_lim=3, **waves)[0].shape == (0, NR, 2 * NT - 1)


def test_arrays_of_travel_times_do_not_affect_the_precision():
    R, wav = (torch.from_numpy(array).float() for array in (REFLECTION, STEPS["wav"]))
    redatuming = Marchenko(R, **{**STEPS, "wav": wav})
    assert redatuming.apply_onepoint(TIMES[:, 0], nfft=64, iter_lim=3)[0].dtype == torch.float32
    assert redatuming.apply_onepoint(torch.from_numpy(TIMES[:, 0]), nfft=64, iter_lim=3)[0].dtype == F64


def test_the_window_is_empty_where_waves_come_before_its_end():
    redatuming = Marchenko(REFLECTION, **{**STEPS, "toff": 0.1, "nsmooth": 0})
    f_minus, _ = redatuming.apply_onepoint(TIMES[:, 0], nfft=64, iter_lim=5)
    assert not f_minus.any()
    theirs = _pylops().Marchenko(REFLECTION, **{**STEPS, "toff": 0.1, "nsmooth": 0})
    assert theirs.apply_onepoint(TIMES[:, 0], nfft=64, iter_lim=5)[0].any()


def test_derivatives_of_redatuming():
    n, nt = 2, 4
    R = torch.from_numpy(_numbers(n, n, nt) * 0.1)
    trav = torch.tensor([[2.0, 3.0], [3.0, 2.0]], dtype=F64)
    wav = torch.from_numpy(_numbers(3, seed=1))
    tight = {"iter_lim": 100, "atol": 1e-14, "btol": 1e-14, "greens": True}

    def redatum(R, wav):
        redatuming = Marchenko(R, dt=1.0, wav=wav, nsmooth=0)
        return redatuming.apply_onepoint(trav, nfft=8, **tight)

    def redatum_jointly(R, G0):
        return Marchenko(R, dt=1.0, nsmooth=0).apply_multiplepoints(trav.mT, G0, **tight)

    G0 = torch.from_numpy(_numbers(n, 2, nt, seed=2))
    for function, other in ((redatum, wav), (redatum_jointly, G0)):
        _check_derivatives(function, R, other)


def test_messages_of_marchenko():
    redatuming = Marchenko(REFLECTION, **STEPS)
    with pytest.raises(ValueError, match="receivers where the sources are"):
        Marchenko(REFLECTION[:2])
    with pytest.raises(ValueError, match="nt must be given"):
        Marchenko(REFLECTION + 0j)
    with pytest.raises(ValueError, match=r"trav must be travel times \(\*batch, nr\) with nr=4, got shape \(3,\)"):
        redatuming.apply_onepoint(TIMES[:3, 0], nfft=64)
    with pytest.raises(ValueError, match=r"trav must be travel times \(\*batch, nr, nvs\) with nr=4, got shape \(4,\)"):
        redatuming.apply_multiplepoints(TIMES[:, 0], nfft=64)
    with pytest.raises(ValueError, match="give the direct waves G0"):
        redatuming.apply_onepoint(TIMES[:, 0])
    with pytest.raises(ValueError, match=r"G0 must be direct waves \(\*batch, nr, nt\) .* got shape \(4, 3\)"):
        redatuming.apply_onepoint(TIMES[:, 0], np.ones((4, 3)))


# -- interpolation --------------------------------------------------------------------------------------------

NY, NX, N = 12, 8, 16
CUBE, ROWS, COLUMNS = _numbers(NY, NX, N), np.array([0, 1, 3, 4, 6, 8, 9, 11]), np.array([0, 2, 3, 5, 6])
AXES = {"spataxis": np.arange(NY) * 2.0, "spat1axis": np.arange(NX) * 2.0, "taxis": np.arange(N) * 0.004}
SPARSE = {"niter": 8, "eps": 0.1, "alpha": 0.01}
SLOPES = {"paxis": np.linspace(-1e-3, 1e-3, 7), "p1axis": np.linspace(-1e-3, 1e-3, 5)}
CURVES = {name: axis + 1e-2 for name, axis in SLOPES.items()}
HOW = {
    "spatial": {"iter_lim": 10, "epsRs": [0.3]},
    "fk": {"nffts": (16, 10, 32), "sampling": (2, 2, 0.004), **SPARSE},
    "radon-linear": {**SLOPES, **SPARSE},
    "radon-parabolic": {**SLOPES, **SPARSE, "centeredh": False},
    "radon-hyperbolic": {**CURVES, **SPARSE},
    "chirpradon-linear": {**SLOPES, **SPARSE},
    "sliding": {"nwins": (3, 2), "nwin": (6, 5), "nover": (3, 2), **SLOPES, **SPARSE},
    "chirp-sliding": {"nwins": (3, 2), "nwin": (6, 5), "nover": (3, 2), **SLOPES, **SPARSE},
}


def _along_one_axis(options):
    one = {name: (value[0], *value[2:]) if isinstance(value, tuple) else value for name, value in options.items()}
    return {name: value[0] if name.startswith("nw") or name == "nover" else value for name, value in one.items()}


@pytest.mark.parametrize("kind", HOW)
def test_interpolation_is_that_of_pylops(kind):
    theirs = _pylops().SeismicInterpolation
    problems = [
        (CUBE[ROWS, 0], NY, None, _along_one_axis(HOW[kind])),
        (CUBE[ROWS], (NY, NX), None, HOW[kind]),
        (CUBE[ROWS][:, COLUMNS], (NY, NX), COLUMNS, HOW[kind]),
    ]
    for data, nrec, columns, options in problems:
        options = {**AXES, **options, "kind": kind, "engine": "numpy"}
        found = SeismicInterpolation(data, nrec, ROWS, columns, **options)
        wanted = theirs(data, nrec, ROWS, columns, **options)
        assert all(result is None or isinstance(result, np.ndarray) for result in found)
        for ours, right in zip(found[:2], wanted[:2], strict=True):
            if right is None:
                assert ours is None
            else:
                _close(ours, right, 1e-10)


@pytest.mark.parametrize("kind", ["spatial", "fk", "radon-linear"])
def test_gathers_are_a_batch(kind):
    options = {**AXES, **_along_one_axis(HOW[kind]), "kind": kind}
    data = torch.from_numpy(CUBE[ROWS]).movedim(1, 0).reshape(2, 4, len(ROWS), N)
    found, model, _ = SeismicInterpolation(data, NY, ROWS, **options)
    assert found.shape == (2, 4, NY, N)
    for i, j in ((0, 1), (1, 3)):
        one = SeismicInterpolation(data[i, j], NY, ROWS, **options)
        _close(found[i, j], one[0], 1e-10)
        if model is not None:
            _close(model[i, j], one[1], 1e-10)


def test_positions_between_traces():
    line = np.linspace(0, 3, 9)[:, None] * np.ones((9, 4))  # which linear interpolation and smoothness take exactly
    at = np.array([0.25, 2.5, 4.0, 6.75, 7.5])
    data = np.stack([np.interp(at, np.arange(9), trace) for trace in line.T], 1)
    found, *_ = SeismicInterpolation(data, 9, at, kind="spatial", epsRs=[1e-2], iter_lim=500, atol=1e-12, btol=1e-12)
    _close(found[1:-1], line[1:-1], 1e-6)
    with pytest.raises(AttributeError, match="'tuple'"):
        _pylops().SeismicInterpolation(data, 9, at, kind="spatial", epsRs=[1e-2])
    cube = np.broadcast_to(data[:, None], (5, 4, 4))
    found, *_ = SeismicInterpolation(cube, (9, 4), list(at), [0, 1, 2, 3], kind="spatial", epsRs=[1e-2], iter_lim=300)
    assert found.shape == (9, 4, 4)


def test_derivatives_of_smooth_interpolation():
    at, data = torch.tensor([0.3, 1.6, 3.2], dtype=F64), torch.from_numpy(_numbers(2, 3, 3))
    how = {"epsRs": [0.5], "iter_lim": 100, "atol": 1e-13, "btol": 1e-13, "damp": 0.1, "grad": Implicit(rtol=1e-9)}
    _check_derivatives(lambda *given: SeismicInterpolation(given[0], 5, given[1], kind="spatial", **how)[0], data, at)


@pytest.mark.slow
def test_derivatives_of_sparse_interpolation():
    how = {"kind": "radon-linear", "spataxis": range(5), "taxis": range(4), "paxis": np.linspace(-0.5, 0.5, 3)}
    how |= {"eps": 0.5, "niter": 800, "tol": 1e-12, "grad": Implicit(rtol=1e-9), "on_fail": "ignore"}
    data = torch.from_numpy(_numbers(2, 3, 4))
    _check_derivatives(lambda data: SeismicInterpolation(data, 5, [0, 2, 3], **how)[0], data, tolerance=1e-4)


def test_messages_of_interpolation():
    data = np.ones((3, 4))
    with pytest.raises(ValueError, match=r"kind must be one of spatial, fk, .* got 'best'"):
        SeismicInterpolation(data, 5, [0, 2, 3], kind="best")
    with pytest.raises(ValueError, match=r"must be \(\*batch, 2, 4\), got shape \(3, 4\)"):
        SeismicInterpolation(data, 5, [0, 2])
    with pytest.raises(ValueError, match="kind='radon-linear' needs spataxis"):
        SeismicInterpolation(data, 5, [0, 2, 3], kind="radon-linear")
    axes = {"spataxis": range(4), "taxis": range(4), "paxis": range(3)}
    with pytest.raises(ValueError, match=r"have \(4, 4\) samples, but the grid has \(5, 4\)"):
        SeismicInterpolation(data, 5, [0, 2, 3], kind="radon-linear", **axes)
    axes["spataxis"] = range(5)
    with pytest.raises(ValueError, match="needs nwins"):
        SeismicInterpolation(data, 5, [0, 2, 3], kind="sliding", **axes)
    with pytest.raises(TypeError, match="data must be real"):
        SeismicInterpolation(data + 0j, 5, [0, 2, 3])


# -- names ----------------------------------------------------------------------------------------------------


def test_arguments_are_those_of_pylops():
    theirs, ours = _pylops(), importlib.import_module("torchlops.waveeqprocessing")
    pairs = [(getattr(place, name) for place in (theirs, ours)) for name in ("MDC", "MDD", "SeismicInterpolation")]
    pairs += [(theirs.Marchenko.__init__, ours.Marchenko.__init__), (theirs.marchenko.directwave, directwave)]
    pairs += [
        (getattr(theirs.Marchenko, name), getattr(ours.Marchenko, name))
        for name in ("apply_onepoint", "apply_multiplepoints")
    ]
    for pair in pairs:
        wanted, found = (inspect.signature(function).parameters for function in pair)
        assert list(found) == list(wanted)
        assert [found[name].default for name in wanted] == [parameter.default for parameter in wanted.values()]
