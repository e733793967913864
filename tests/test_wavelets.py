"""Facts of the wavelet transforms: what is orthogonal, what is a tight frame, and what inverts what."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import pywt
import scipy.fft
import torch
from torch import Tensor

from torchlops import LinearOperator
from torchlops.signalprocessing.dct import DCT
from torchlops.signalprocessing.dtcwt import DTCWT
from torchlops.signalprocessing.dwt import DWT
from torchlops.signalprocessing.dwt2d import DWT2D
from torchlops.signalprocessing.dwtnd import DWTND
from torchlops.signalprocessing.pwsmoother2d import PWSmoother2D
from torchlops.signalprocessing.pwsprayer2d import PWSprayer2D
from torchlops.signalprocessing.seislet import Seislet
from torchlops.signalprocessing.udct import UDCT


def _random(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def _assert_close(got: Tensor, want: Tensor, tolerance: float = 1e-12) -> None:
    assert got.shape == want.shape
    assert float((got - want).abs().max()) <= tolerance * max(float(want.abs().max()), 1e-300)


def _assert_adjoint(A: LinearOperator, tolerance: float = 1e-13) -> None:
    x, y = _random(*A.dims), _random(*A.dimsd, seed=1)
    assert float(((A(x) * y).sum() - (x * A.H(y)).sum()).abs()) <= tolerance * float(A(x).norm() * y.norm())


# -- cosine transform ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 64, 65, 66, 99])  # by the matrix, and by FFTs of odd and even lengths
@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_dct_is_scipys_and_orthogonal(kind: int, n: int) -> None:
    A = DCT((3, n, 2), type=kind, axes=1)
    x = _random(2, 3, n, 2, dtype=torch.complex128)
    _assert_close(A(x), torch.from_numpy(scipy.fft.dct(x.numpy(), type=kind, axis=2, norm="ortho")))
    _assert_close(A.H(A(x)), x)
    _assert_close(A / A(x), x)


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_dct_by_fft_has_exact_derivatives(kind: int) -> None:
    for n in (66, 67):
        A, x = DCT(n, type=kind), _random(n).requires_grad_()
        assert torch.autograd.gradcheck(A, (x,), check_forward_ad=True, check_batched_grad=True, fast_mode=True)
        matrix = A.todense(backend="torch")
        hessian = torch.func.hessian(lambda x, A=A: A(x).square().sum())(x.detach())
        _assert_close(hessian, 2 * matrix.mT @ matrix, 1e-11)


# -- discrete wavelet transforms -------------------------------------------------------------------------------


@pytest.mark.parametrize("wavelet", pywt.wavelist(kind="discrete"))
def test_dwt_of_every_wavelet(wavelet: str) -> None:
    A = DWT((2, 27), wavelet=wavelet, level=3)
    x = _random(3, 2, 27)
    padded = torch.nn.functional.pad(x, (0, 5)).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the level is high for so short a signal
        want = pywt.wavedec(padded, wavelet, mode="periodization", level=3)
    _assert_close(A(x), torch.from_numpy(np.concatenate(want, axis=-1)), 1e-11)
    _assert_close(A / A(x), x, 1e-9)
    _assert_adjoint(A)
    if pywt.Wavelet(wavelet).orthogonal and wavelet != "dmey":  # dmey is cut to 62 taps
        _assert_close(A.H(A(x)), x, 1e-9)


@pytest.mark.parametrize("wavelet", ["haar", "bior4.4", "db4"])
def test_coefficients_stand_where_pywt_looks_for_them(wavelet: str) -> None:
    A, x = DWT2D((64, 128), wavelet=wavelet, level=2), _random(64, 128)
    ours = pywt.array_to_coeffs(A(x).numpy(), A.sl, output_format="wavedec2")
    theirs = pywt.wavedec2(x.numpy(), wavelet, mode="periodization", level=2)
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-12)
    for our, their in zip(ours[1:], theirs[1:], strict=True):
        for a, b in zip(our, their, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128, torch.float32])
@pytest.mark.parametrize(
    "A",
    [
        DWT((3, 100), wavelet="db4", level=5),
        DWT((100, 3), axis=0, wavelet="bior3.1", level=2),
        DWT2D((50, 40), axes=(1, 0), wavelet="sym5", level=3),
        DWTND((6, 20, 12), wavelet="coif1", level=2),
        DCT((40, 70)),
        DTCWT((90, 4), axis=0, level=4),
        PWSprayer2D((40, 30), 0.7 * _random(40, 30), radius=4),
        PWSmoother2D((40, 30), 0.7 * _random(40, 30), radius=3),
    ],
    ids=lambda A: str(A.expression()),
)
def test_fast_kernels_agree_on_large_batches(A: LinearOperator, dtype: torch.dtype) -> None:
    tolerance = 2e-5 if dtype == torch.float32 else 1e-12
    x = _random(300, *A.dims, dtype=dtype)
    y = _random(300, *A.dimsd, dtype=dtype)
    _assert_close(A._fast_forward(x), A._forward(x), tolerance)
    _assert_close(A._fast_adjoint(y), A._adjoint(y), tolerance)
    _assert_close(A(x.movedim(0, -1).contiguous().movedim(-1, 0)), A._forward(x), tolerance)


# -- dual-tree complex wavelet transform -----------------------------------------------------------------------


@pytest.mark.parametrize("qshift", ["qshift_06", "qshift_a", "qshift_b", "qshift_c", "qshift_d"])
@pytest.mark.parametrize("biort", ["antonini", "legall", "near_sym_a", "near_sym_b"])
def test_dtcwt_has_an_exact_inverse_and_adjoint(biort: str, qshift: str) -> None:
    for n in (2, 10, 64):
        A = DTCWT((n, 3), biort=biort, qshift=qshift, level=4, axis=0)
        x = _random(2, n, 3, dtype=torch.complex128)
        _assert_close(A / A(x), x)
        _assert_adjoint(A)


# what the package dtcwt 0.14, a port of Kingsbury's toolbox, gives
FIRST = [
    0.8035714285714284 - 2.560714285714285j,
    2.832142857142857 - 2.1464285714285714j,
    -0.44107142857142895 + 4.357142857142856j,
    -3.0214285714285714 + 0.17678571428571427j,
]
SECOND = [0.9425951137550187 - 0.453668968423358j, -4.216149439039843 + 1.4998371807355237j]
LOWPASS = [0.7435044940158076, 2.5056579566920405, 3.5230138399425965, 2.7737653131797693]


def test_dtcwt_is_that_of_kingsburys_toolbox() -> None:
    A = DTCWT(8, level=2)
    y = A(torch.tensor([1.0, -2.0, 4.0, 0.0, 3.0, 8.0, -1.0, 0.5], dtype=torch.float64))
    pyramid = A.get_pyramid(y)
    _assert_close(pyramid.highpasses[0], torch.tensor(FIRST, dtype=torch.complex128), 1e-12)
    _assert_close(pyramid.highpasses[1], torch.tensor(SECOND, dtype=torch.complex128), 1e-12)
    _assert_close(pyramid.lowpass, torch.tensor(LOWPASS, dtype=torch.float64), 1e-12)


def test_magnitudes_hardly_change_when_the_signal_moves() -> None:
    """The energy of a level varies by percents with the place of a pulse, with real wavelets by far more."""
    pulses = torch.exp(-0.5 * ((torch.arange(128.0) - 56 - torch.arange(16.0)[:, None]) / 2) ** 2).double()
    dual, real = DTCWT(128, level=3, qshift="qshift_b"), DWT(128, wavelet="db7", level=3)
    of_dual = dual.get_pyramid(dual(pulses)).highpasses[2].abs().square().sum(-1)
    of_real = real(pulses)[:, 16:32].square().sum(-1)
    assert float(of_dual.max() / of_dual.min()) < 1.1
    assert float(of_real.max() / of_real.min()) > 1.5


# -- along slopes ----------------------------------------------------------------------------------------------


def _plane_wave(traces: int, samples: int, slope: float) -> Tensor:
    t = torch.arange(samples, dtype=torch.float64) - samples / 2
    delayed = t - slope * torch.arange(traces, dtype=torch.float64)[:, None]
    return (1 - (delayed / 3) ** 2) * torch.exp(-0.5 * (delayed / 3) ** 2)


@pytest.mark.parametrize("kind", ["haar", "linear"])
def test_seislet_compresses_a_plane_wave_to_its_coarsest_traces(kind: str) -> None:
    x = _plane_wave(16, 64, 0.6)
    A = Seislet(torch.full_like(x, 0.6), kind=kind)
    y = A(x)
    assert float(y[: A.levels_cum[-1]].norm()) < 0.02 * float(y.norm())
    _assert_close(A.inverse(y), x)
    _assert_adjoint(A)


def test_seislet_with_the_inverse_in_the_adjoints_place() -> None:
    slopes = 0.3 * _random(5, 4)
    A, B = Seislet(slopes, inv=True), Seislet(slopes)
    x, y = _random(2, 5, 4), _random(2, 8, 4)
    _assert_close(A.H(y), B.inverse(y))
    _assert_close(A.H(A(x)), x)
    for apply, value in ((A, x), (A.H, y)):
        value.requires_grad_()
        assert torch.autograd.gradcheck(apply, (value,), check_forward_ad=True, fast_mode=True)
    large = _random(2000, 5, 4).requires_grad_()  # as large as fast kernels want it
    (gradient,) = torch.autograd.grad(A(large).square().sum(), large)
    _assert_close(gradient, 2 * B.H(B(large)).detach())


def test_seislet_derivatives_at_slopes_of_zero() -> None:
    """There every sample falls on a sample, where a careless sinc has no second derivative."""
    x = _random(4, 3)
    for slopes in (torch.zeros(4, 3, dtype=torch.float64), torch.ones(4, 3, dtype=torch.float64)):
        slopes.requires_grad_()
        assert torch.autograd.gradcheck(lambda s: Seislet(s, kind="linear")(x), (slopes,))
        assert torch.autograd.gradgradcheck(lambda s: Seislet(s, level=2)(x), (slopes,))


def test_smoother_keeps_what_follows_the_slopes() -> None:
    x = _plane_wave(21, 60, 0.5).mT.contiguous()
    A = PWSmoother2D((60, 21), torch.full((60, 21), 0.5, dtype=torch.float64), radius=4)
    noise, middle = 0.3 * _random(60, 21), (slice(None), slice(8, 13))  # where all rays are of full length
    wave, rest = A(x)[middle], A(noise)[middle]
    scale = float((wave * x[middle]).sum()) / float(wave.square().sum())
    assert float((scale * wave - x[middle]).norm()) < 0.1 * float(x[middle].norm())
    assert float(scale * rest.norm()) < 0.5 * float(noise[middle].norm())


def test_smoother_is_positive_semi_definite() -> None:
    matrix = PWSmoother2D((4, 5), _random(4, 5), radius=2).todense(backend="torch")
    _assert_close(matrix, matrix.mT.contiguous())
    assert float(torch.linalg.eigvalsh(matrix).min()) > -1e-12


# -- curvelets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dims", "options"),
    [
        ((16, 24), {}),
        ((12, 12), {"transform_kind": "complex"}),
        ((8, 8, 4), {"num_scales": 2}),
        ((16, 16), {"wedges_per_direction": 6}),
    ],
)
def test_curvelets_are_a_tight_frame(dims: tuple[int, ...], options: dict) -> None:
    pytest.importorskip("curvelets")
    A = UDCT(dims, **options)
    x = _random(2, *dims)
    _assert_close(A.H(A(x)), x + 0j if options.get("transform_kind") else x)
    assert float(A(x).norm()) == pytest.approx(float(x.norm()))


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_curvelets_with_a_wavelet_scale_have_an_inverse_and_an_adjoint(kind: str) -> None:
    pytest.importorskip("curvelets")
    A = UDCT((12, 8), num_scales=2, high_frequency_mode="wavelet", transform_kind=kind)
    x = _random(3, 12, 8)
    _assert_close((A / A(x)).real, x)
    y = _random(*A.dimsd, dtype=torch.complex128)
    left, right = torch.vdot(y, A(x[0]).reshape(-1)).real, (x[0] * A.H(y).real).sum()
    _assert_close(left, right)


def test_curvelets_need_sizes_that_their_windows_divide() -> None:
    pytest.importorskip("curvelets")
    with pytest.raises(ValueError, match="multiple of 4"):
        UDCT((6, 8))
