"""Indices, counts, scalars and arrays are taken exactly or refused, never read as something else."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

import torchlops
from torchlops import signalprocessing as sp

ONE = torch.ones(1, dtype=torch.float64)
X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize(
    "divisor",
    [3, 3.0, np.float32(3), np.int64(3), np.float16(3), Fraction(3), torch.tensor(3), torch.tensor(3.0), np.array(3.0)],
    ids=lambda value: type(value).__name__,
)
def test_division_keeps_the_precision_of_the_data(divisor):
    A = torchlops.Identity(1) / divisor
    assert abs(float(A(ONE)) * 3 - 1) < 1e-15
    assert abs(float(A.H(ONE)) * 3 - 1) < 1e-15
    assert A(ONE.float()).dtype == torch.float32


def test_division_by_a_tensor_sees_its_changes_and_has_its_gradient():
    p = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    A = torchlops.Identity(1) / p
    assert [q is p for q in A.parameters()] == [True]
    for value in (2.0, 4.0):
        with torch.no_grad():
            p.fill_(value)
        p.grad = None
        A(ONE).sum().backward()
        assert A(ONE).item() == 1 / value
        assert p.grad.item() == -1 / value**2
    z = torch.tensor(1 + 2j, dtype=torch.complex128)
    B = torchlops.Identity(1) / z
    assert complex(B(ONE)) == pytest.approx(1 / (1 + 2j))
    assert complex(B.H(ONE.to(z.dtype))) == pytest.approx(1 / (1 - 2j))
    assert "0.25" in (torchlops.Identity(1) / p).expression()


@pytest.mark.parametrize(
    "factor",
    [np.longdouble(1) / 3, np.clongdouble(1), np.array("2"), np.ma.masked, np.ma.array(2.0, mask=True), np.array(None)],
    ids=repr,
)
def test_factors_that_no_double_holds_are_refused(factor):
    with pytest.raises(TypeError, match="Identity"):
        factor * torchlops.Identity(1)
    with pytest.raises(TypeError, match="Identity"):
        torchlops.Identity(1) / factor


HIDDEN = np.ma.array([1.0, 2.0], mask=[True, False])
LONG = np.array([1.0, 2.0], dtype=np.longdouble)


@pytest.mark.parametrize("array", [HIDDEN, LONG], ids=["masked", "extended precision"])
@pytest.mark.parametrize(
    "take",
    [
        lambda array: torchlops.Identity(2)(array),
        lambda array: torchlops.Identity(2).H(array),
        lambda array: torchlops.Identity(2) @ array,
        lambda array: torchlops.Diagonal(array),
        lambda array: sp.Convolve1D(4, array),
        lambda array: sp.Interp(4, array),
        lambda array: torchlops.Regression(array, 1),
        lambda array: torchlops.MatrixMult(array[None]),
    ],
    ids=["A(x)", "A.H(y)", "A @ x", "diagonal", "filter", "positions", "points", "matrix"],
)
def test_masked_arrays_and_extended_precision_are_refused(take, array):
    with pytest.raises(TypeError, match=r"masked array|cast it to float64"):
        take(array)


def test_lists_of_extended_precision_are_refused():
    with pytest.raises(TypeError, match="cast it to float64"):
        sp.Convolve1D(4, list(LONG))


def test_a_masked_array_that_hides_nothing_is_an_array():
    np.testing.assert_array_equal(torchlops.Identity(2)(np.ma.array([1.0, 2.0])), [1.0, 2.0])


NOT_INTEGERS: list[Any] = [1.5, True, np.float32(1.0), "1"]


@pytest.mark.parametrize("value", NOT_INTEGERS, ids=repr)
@pytest.mark.parametrize(
    "build",
    [
        lambda n: torchlops.Identity(n),
        lambda n: torchlops.Flip((2, 3), axis=n),
        lambda n: torchlops.Transpose((2, 3), axes=(0, n)),
        lambda n: torchlops.Roll(4, shift=n),
        lambda n: torchlops.Pad(4, (n, 0)),
        lambda n: torchlops.Regression([0.0, 1.0], n),
        lambda n: torchlops.Smoothing1D(n, 5),
        lambda n: sp.Convolve1D(4, np.ones(3), offset=n),
        lambda n: sp.FFT(4, nfft=n),
        lambda n: sp.DTCWT(8, level=n),
        lambda n: sp.Seislet(np.zeros((4, 4)), level=n),
        lambda n: sp.PWSprayer2D((4, 4), np.zeros((4, 4)), radius=n),
        lambda n: sp.FourierRadon2D(np.arange(4.0), np.arange(2.0), np.arange(2.0), nfft=n),
        lambda n: torchlops.Identity(4).apply_columns([n]),
        lambda n: torchlops.Restriction(4, [n]),
    ],
)
def test_counts_axes_and_indices_are_integers(build, value):
    with pytest.raises((TypeError, ValueError), match=r"integer|whole number|must be|must have"):
        build(value)


def test_convolution_cuts_the_fraction_of_an_offset_with_a_warning():
    x, h = np.random.default_rng(0).standard_normal((5, 4)), np.arange(9.0).reshape(3, 3)
    with pytest.warns(UserWarning, match=r"offset 1.5 is not an integer: 1 is used"):
        y = sp.Convolve2D((5, 4), h, offset=(1.5, 2.0))(x)
    np.testing.assert_array_equal(y, sp.Convolve2D((5, 4), h, offset=(1, 2))(x))
    for value in (True, "1", float("nan")):
        with pytest.raises(TypeError, match="offset must be an integer"):
            sp.Convolve2D((5, 4), h, offset=(value, 0))


def test_spread_takes_whole_numbers():
    table = np.array([[[0.0, 1.0], [np.nan, 2.0]]])
    torchlops.Spread((1, 2), (2, 3), table=table)
    with pytest.raises(TypeError, match="fractions"):
        torchlops.Spread((1, 2), (2, 3), table=table + 0.5)


# -- masks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor, np.ndarray.tolist], ids=["array", "tensor", "list"])
def test_restriction_takes_masks(convert):
    line, plane = np.array([True, False, True]), np.array([[True, False, True], [False, True, False]])
    torch.testing.assert_close(torchlops.Restriction((2, 3), convert(line))(X), X[:, [0, 2]])
    torch.testing.assert_close(torchlops.Restriction((2, 3), convert(line[:2]), axis=0)(X), X[[0]])
    A = torchlops.Restriction((2, 3), convert(plane))
    assert A.dimsd == (3,)
    torch.testing.assert_close(A(X), X[torch.as_tensor(plane)])
    torch.testing.assert_close(A(torch.stack((X, -X))), torch.stack((A(X), -A(X))))
    torch.testing.assert_close(A.H(A(X)), X * torch.as_tensor(plane))
    np.testing.assert_array_equal(A.mask(X).mask, ~plane)


@pytest.mark.parametrize(
    "convert",
    [np.asarray, *(pytest.param(kind, marks=pytest.mark.slow) for kind in (torch.as_tensor, np.ndarray.tolist))],
    ids=["array", "tensor", "list"],
)
def test_a_restriction_by_a_mask_keeps_the_promises(convert):
    plane = np.array([[True, False, True], [False, True, False]])
    torchlops.testing.check(torchlops.Restriction((2, 3), convert(plane)), compile=False)


@pytest.mark.parametrize(
    ("mask", "axis", "says"),
    [
        ([True, False], -1, "shape"),
        (np.ones((3, 2), dtype=bool), -1, "shape"),
        (np.zeros(3, dtype=bool), -1, "no sample"),
        (np.ones((2, 3), dtype=bool), 0, "along all axes"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask, axis, says):
    with pytest.raises(ValueError, match=says):
        torchlops.Restriction((2, 3), mask, axis=axis)


def test_a_mask_inside_a_transform_says_what_to_do():
    def sampled(mask: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torchlops.Restriction(3, mask)(x)

    with pytest.raises(TypeError, match="Diagonal"):
        torch.func.vmap(sampled)(torch.ones(2, 3, dtype=torch.bool), X)


# -- positions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nearest", "linear", "cubic_spline"])
@pytest.mark.parametrize("position", [-0.6, -1.0, -3.0])
@pytest.mark.parametrize("convert", [np.array, torch.tensor], ids=["array", "tensor"])
def test_positions_before_the_axis_are_refused(kind, position, convert):
    with pytest.raises(ValueError, match="from 0 to 5"):
        sp.Interp(6, convert([position, 2.0]), kind=kind)


def test_nearest_positions_round_to_the_ends():
    A, positions = sp.Interp(6, np.array([-0.4, 5.4]), kind="nearest")
    np.testing.assert_array_equal(positions, [0, 5])
    np.testing.assert_array_equal(A @ np.arange(10.0, 16.0), [10, 15])
    with pytest.raises(ValueError, match="from 0 to 5"):
        sp.Interp(6, np.array([5.6]), kind="nearest")


@pytest.mark.parametrize("kind", ["linear", "cubic_spline"])
def test_positions_that_learn_their_way_out_stay_at_the_end(kind):
    positions = torch.nn.Parameter(torch.tensor([0.5, 4.5]))
    A, _ = sp.Interp(6, positions, kind=kind)
    with torch.no_grad():
        positions.copy_(torch.tensor([-2.0, 9.0]))
    torch.testing.assert_close(A(torch.arange(10.0, 16.0)), torch.tensor([10.0, 15.0]))


@pytest.mark.parametrize("kind", ["nearest", "linear", "sinc", "cubic_spline"])
def test_repeated_positions_are_refused_unless_intended(kind):
    positions = np.array([1.25, 3.0, 1.25])
    with pytest.raises(ValueError, match=r"Interp.*repeated positions.*repeated=True"):
        sp.Interp(6, positions, kind=kind)
    A, _ = sp.Interp(6, positions, kind=kind, repeated=True)
    y = A(torch.arange(6.0))
    assert y[0] == y[2]
    pairs = np.stack((positions, positions))
    with pytest.raises(ValueError, match=r"Bilinear.*repeated positions.*repeated=True"):
        sp.Bilinear(pairs, (6, 6))
    assert sp.Bilinear(pairs, (6, 6), repeated=True).shape == (3, 36)
    assert sp.Bilinear([[1, 1, 2], [1, 2, 1]], (6, 6)).shape == (3, 36)


def test_engines_of_pylops_are_accepted_and_others_refused():
    for engine in ("numpy", "scipy", "fftw", "mkl_fft", "numba", "cuda"):
        assert sp.FFT(8, engine=engine).engine == engine
    with pytest.raises(ValueError, match=r"`engine` must be numpy.*got 'foo'"):
        sp.Radon3D(None, None, None, None, None, engine="foo")


def test_an_operator_of_all_windows_does_not_use_the_shape_of_one():
    of_all = torchlops.Identity((3, 2, 4, 4, 3))
    A = sp.Sliding3D(of_all, (12, 8, 3), (10, 7, 3), (4, 4), (1, 1), nop=(9, 9))
    assert A.dims == (3, 2, 4, 4, 3)
    with pytest.raises(ValueError, match="nop="):
        sp.Sliding3D(torchlops.Identity((4, 4, 3)), (12, 8, 3), (10, 7, 3), (4, 4), (1, 1), nop=(9, 9))
