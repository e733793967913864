"""Wavelets, tapers, metrics, the dot test and memory against PyLops and against formulas."""

from __future__ import annotations

import warnings

import numpy as np
import pylops
import pytest
import torch

import torchlops
from torchlops.utils import metrics, reuse_memory, tapers, wavelets

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
    with pytest.raises(ValueError, match="ntap=4 must be smaller"):
        tapers.hanningtaper(7, 4)
    with pytest.raises(ValueError, match="ntap=4 must be smaller"):
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
