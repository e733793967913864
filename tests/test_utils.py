"""Wavelets, tapers, metrics, the dot test and memory against PyLops and against formulas."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pylops
import pytest
import torch

import torchlops
from torchlops.utils import metrics, reuse_memory, signalprocessing, tapers, wavelets
from torchlops.utils.describe import describe

TIMES = np.arange(51) * 0.004


@pytest.mark.parametrize("samples", [50, 51])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("ricker", (20.0,)), ("gaussian", (3.0,)), ("klauder", ((10.0, 60.0),)), ("ormsby", ((5.0, 10.0, 45.0, 60.0),))],
)
def test_wavelets_equal_those_of_pylops(name, arguments, samples):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ours = getattr(wavelets, name)(TIMES[:samples], *arguments)
    assert len(caught) == (samples % 2 == 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = getattr(pylops.utils.wavelets, name)(TIMES[:samples], *arguments)
    for mine, wanted in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["ricker", "klauder", "ormsby"])
def test_tapered_wavelets(name):
    ours = getattr(wavelets, name)(TIMES, taper=np.hanning)[0]
    np.testing.assert_allclose(ours, getattr(wavelets, name)(TIMES)[0] * np.hanning(101))


@pytest.mark.parametrize("tapertype", ["hanning", "cosine", "cosinesquare", "cosinesqrt", None])
@pytest.mark.parametrize(("nmask", "ntap"), [(12, 3), (13, 6), (8, 1), (7, 2)])
def test_tapers_equal_those_of_pylops(tapertype, nmask, ntap):
    theirs = pylops.utils.tapers
    np.testing.assert_allclose(tapers.taper(nmask, ntap, tapertype), theirs.taper(nmask, ntap, tapertype), atol=1e-15)
    for pair in (ntap, (ntap, 2)):
        np.testing.assert_allclose(
            tapers.taper2d(9, nmask, pair, tapertype), theirs.taper2d(9, nmask, pair, tapertype), atol=1e-15
        )
    np.testing.assert_allclose(
        tapers.taper3d(5, (nmask, 9), (ntap, 3), tapertype),
        theirs.taper3d(5, (nmask, 9), (ntap, 3), tapertype),
        atol=1e-15,
    )
    np.testing.assert_allclose(
        tapers.tapernd((nmask, 9, 6), (ntap, 3, 2), tapertype),
        theirs.tapernd((nmask, 9, 6), (ntap, 3, 2), tapertype),
        atol=1e-15,
    )


def test_tapers_without_ramps_are_ones():
    for tapertype in ("hanning", "cosine", "cosinesquare", "cosinesqrt"):
        assert tapers.taper(5, 0, tapertype).tolist() == [1.0] * 5


def test_tapers_that_do_not_fit_raise():
    with pytest.raises(ValueError, match="ntap=4 must be at most"):
        tapers.hanningtaper(7, 4)
    with pytest.raises(ValueError, match="ntap=4 must be at most"):
        tapers.cosinetaper(7, 4)
    with pytest.raises(ValueError, match="tapertype must be"):
        tapers.taper(7, 2, "triangle")


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_metrics(make):
    rng = np.random.default_rng(0)
    reference, other = rng.standard_normal((2, 40)) + 1j * rng.standard_normal((2, 40))
    for name in ("mae", "mse", "snr"):
        ours = getattr(metrics, name)(make(reference), make(other))
        assert float(ours) == pytest.approx(float(getattr(pylops.utils.metrics, name)(reference, other)), rel=1e-12)
    x, y = reference.real.copy(), other.real.copy()
    for limits in ({}, {"xmax": 2.0}, {"xmax": 2.0, "xmin": -1.0}, {"xmin": None}):
        ours = metrics.psnr(make(x), make(y), **limits)
        assert float(ours) == pytest.approx(float(pylops.utils.metrics.psnr(x, y, **limits)), rel=1e-12)


class WrongAdjoint(torchlops.LinearOperator):
    def _forward(self, x):
        return 2 * x

    def _adjoint(self, y):
        return 2.001 * y


def test_dottest_draws_what_pylops_draws():
    ours, theirs = torchlops.MatrixMult(np.ones((2, 3))), pylops.MatrixMult(np.ones((2, 3)))
    following = []
    for package, A in ((torchlops, ours), (pylops, theirs)):
        np.random.seed(3)
        package.utils.dottest(A, complexflag=2)
        following.append(np.random.standard_normal())
    assert following[0] == following[1]


def test_dottest_sees_a_wrong_adjoint(capsys):
    wrong = WrongAdjoint(8)
    with pytest.raises(AssertionError, match="Dot test failed"):
        torchlops.dottest(wrong)
    assert not torchlops.dottest(wrong, raiseerror=False, verb=True)
    assert "Dot test failed" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="do not match the shape"):
        torchlops.dottest(torchlops.Flip(8), 8, 7)
    assert torchlops.dottest(torchlops.Flip(8), 8, 8, complexflag=3, backend="torch")
    assert torchlops.dottest(pylops.Flip(8), 8, 8, complexflag=3)
    with pytest.raises(ValueError, match="backend"):
        torchlops.dottest(torchlops.Flip(8), backend="cupy")


def test_reuse_memory():
    assert reuse_memory() in (True, False)
    with pytest.raises(ValueError, match="limit"):
        reuse_memory(0)


X, Y, T = np.arange(11) * 10.0 - 50, np.arange(7) * 10.0 - 30, np.arange(60) * 0.004
WAVELET = wavelets.ricker(np.arange(21) * 0.004, 20)[0]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("linear2d", (X, T, 1500.0, (0.1, 0.2), (10.0, -20.0), (1.0, -2.0), WAVELET)),
        ("linear2d", (X, T, 1500.0, 0.1, 10.0, 1.0, WAVELET)),
        ("parabolic2d", (X, T, (0.1, 0.15), (1e-4, 0.0), (1e-5, 1e-6), (1.0, 2.0), WAVELET)),
        ("hyperbolic2d", (X, T, (0.05, 0.1), (500.0, 900.0), (1.0, 2.0), WAVELET)),
        ("linear3d", (X, Y, T, 1500.0, (0.1, 0.2), (10.0, -20.0), (5.0, 50.0), (1.0, -2.0), WAVELET)),
        (
            "parabolic3d",
            (X, Y, T, (0.1, 0.2), (1e-4, 0.0), (1e-5, 0.0), (1e-5, 1e-6), (1e-6, 1e-5), (1.0, 2.0), WAVELET),
        ),
        ("hyperbolic3d", (X, Y, T, (0.05, 0.1), (500.0, 900.0), (600.0, 700.0), (1.0, 2.0), WAVELET)),
    ],
)
def test_seismic_events_equal_those_of_pylops(name, arguments):
    ours = getattr(torchlops, name)(*arguments)
    theirs = getattr(pylops, name)(*arguments)
    for mine, wanted in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, wanted, atol=1e-13)


def test_events_outside_the_time_axis_are_left_out():
    """PyLops extrapolates those less than a sample before it."""
    d, _ = torchlops.linear2d(np.zeros(1), np.arange(4.0), 1.0, [-0.5, 9.0], [0.0, 0.0], [1.0, 1.0], np.ones(1))
    assert not d.any()
    with pytest.raises(ValueError, match="one value of each kind"):
        torchlops.linear2d(np.zeros(1), np.arange(4.0), 1.0, [1.0, 2.0], [0.0], [1.0], np.ones(1))


def test_makeaxis_equals_that_of_pylops():
    par = {"ox": -5, "dx": 2, "nx": 4, "oy": 0, "dy": 3, "ny": 5, "ot": 0, "dt": 0.004, "nt": 6}
    for mine, wanted in zip(torchlops.makeaxis(par), pylops.makeaxis(par), strict=True):
        np.testing.assert_array_equal(mine, wanted)


@pytest.mark.filterwarnings("ignore:A new implementation of convmtx:FutureWarning")
@pytest.mark.parametrize("sparse", [False, True])
def test_convolution_matrices_equal_those_of_pylops(sparse):
    theirs, rng = pylops.utils.signalprocessing, np.random.default_rng(0)
    h, filters = rng.standard_normal(5), rng.standard_normal((9, 5))

    def dense(matrix):
        return matrix.toarray() if sparse else matrix

    for offset in (0, 2):
        mine, wanted = (m.convmtx(h, 7, offset, sparse=sparse) for m in (signalprocessing, theirs))
        np.testing.assert_allclose(dense(mine), dense(wanted))
    for pad in ((0, 9), (9, 9)):
        mine, wanted = (m.nonstationary_convmtx(filters, 9, 2, pad, sparse=sparse) for m in (signalprocessing, theirs))
        np.testing.assert_allclose(dense(mine), dense(wanted))


def plane_waves():
    z, x = np.mgrid[:60, :50]
    return np.sin(0.4 * (z - 0.5 * x)) + 0.1 * np.random.default_rng(0).standard_normal((60, 50))


@pytest.mark.parametrize("options", [{}, {"dips": True}, {"dz": 2.0, "dx": 3.0, "smooth": 3.0}, {"eps": 0.2}])
def test_slopes_equal_those_of_pylops(options):
    d = plane_waves()
    theirs = pylops.utils.signalprocessing.slope_estimate(d, **options)
    for mine, wanted in zip(signalprocessing.slope_estimate(d, **options), theirs, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-8, atol=1e-10)
    batch = torch.from_numpy(np.stack([d, d]))
    for several in signalprocessing.slope_estimate(batch, **options):
        torch.testing.assert_close(several[0], several[1])
    np.testing.assert_allclose(
        signalprocessing.dip_estimate(d)[0], pylops.utils.signalprocessing.dip_estimate(d)[0], rtol=1e-8, atol=1e-10
    )
    assert not signalprocessing.slope_estimate(np.zeros((8, 8)), **options)[1].any()


@pytest.mark.slow  # PyLops compiles its own
@pytest.mark.parametrize("options", [{"liter": 5}, {"order": 1, "nsmooth": (8, 6), "damp": 0.1, "liter": 5}])
def test_plane_wave_destruction_equals_that_of_pylops(options):
    d = plane_waves()[:24, :20]
    ours = signalprocessing.pwd_slope_estimate(d, niter=2, **options)
    theirs = pylops.utils.signalprocessing.pwd_slope_estimate(d, niter=2, **options)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)
    with pytest.raises(ValueError, match="order"):
        signalprocessing.pwd_slope_estimate(d, order=3)


@pytest.mark.parametrize("axis", [1, 2])
def test_plane_wave_destruction_of_a_volume_is_that_of_its_sections(axis):
    d = plane_waves()[:24, :20]
    wanted = signalprocessing.pwd_slope_estimate(d, niter=2, liter=5, smoothing="boxcar", nsmooth=(5, 3))
    volume = np.moveaxis(np.stack([d, d, d]), 0, 3 - axis)
    nsmooth = (5, 3, 1) if axis == 1 else (5, 1, 3)
    slopes = signalprocessing.pwd_slope_estimate(
        volume, niter=2, liter=5, smoothing="boxcar", nsmooth=nsmooth, axis=axis
    )
    np.testing.assert_allclose(np.moveaxis(slopes, 3 - axis, 0), np.stack([wanted] * 3), rtol=1e-7, atol=1e-9)


def test_report():
    report = str(torchlops.Report(["pylops"], sort=True))
    assert "torch: " in report
    assert "pylops: 2.8.0" in report


def test_describe_gives_different_names(capsys):
    from torchlops.utils.describe import describe

    A, B = torchlops.Flip(2), torchlops.Flip(2)
    describe(torchlops.VStack([A @ B, 2j * A.T]))
    assert "{'F': 'Flip', 'A': 'Flip'}" in capsys.readouterr().out


def test_slopes_without_smoothing():
    z, x = np.mgrid[:16, :16]
    d = np.sin(0.4 * (z - 0.5 * x))
    for estimate in (signalprocessing.slope_estimate, signalprocessing.dip_estimate):
        for values in estimate(d, smooth=0):
            assert np.isfinite(values).all()
    slopes, _ = signalprocessing.slope_estimate(d, smooth=0)
    np.testing.assert_allclose(slopes, signalprocessing.slope_estimate(d, smooth=1e-3)[0])
    with pytest.raises(ValueError, match="smooth"):
        signalprocessing.dip_estimate(d, smooth=-1)


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("scipy.sparse.linalg", lambda: signalprocessing.pwd_slope_estimate(np.zeros((8, 8)))),
        ("scipy.sparse", lambda: signalprocessing.convmtx(np.ones(2), 2, sparse=True)),
        ("pywt", lambda: torchlops.signalprocessing.DWT(8)),
        ("curvelets.numpy", lambda: torchlops.signalprocessing.UDCT((8, 8), num_scales=2)),
        ("sympy", lambda: describe(torchlops.Flip(2))),
    ],
)
def test_a_missing_package_is_named_with_its_extra(module, use, monkeypatch):
    extras = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'torchlops\[\w+\]'") as error:
        use()
    extra = str(error.value).rpartition("[")[2].partition("]")[0]
    assert f"\n{extra} = [" in extras
