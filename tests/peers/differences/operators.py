"""PyLops's tests that cannot pass, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.peers.differences.difference import Difference


def _is_missing_type(parameters: Mapping[str, Any]) -> bool:
    return np.dtype(parameters["par"]["dtype_precision"][0]).name in {"float16", "longdouble", "clongdouble"} | {
        np.dtype(kind).name for kind in (np.longdouble, np.clongdouble)
    }


SHAPES = (
    "All solvers, `A / y` and inversions answer with models of shape `(*batch, *dims)`, or flat for a flat `x0` or an "
    "operator with `forceflat=True`. PyLops's `cg`, `cgls`, `lsqr` and `spgl1` do the same; its `A / y`, its sparse "
    "solvers and inversions answer flat for flat data. Both hold the same numbers: write `.ravel()` where a flat model "
    "is wanted."
)

OPERATORS: tuple[Difference, ...] = (
    Difference(
        "type",
        "torch has no long double, and no FFT of float16 on a CPU. PyLops computes both in NumPy. An FFT here raises a "
        "`TypeError`; write `x.astype('float64')`, or `'float32'`, before it.",
        tests=(
            "test_ffts::test_FFT_small_real[*]",
            "test_ffts::test_FFT_random_real[*]",
            "test_ffts::test_FFT_small_complex[*]",
            "test_ffts::test_FFT_random_complex[*]",
            "test_ffts::test_FFT2D_random_real[*]",
            "test_ffts::test_FFT2D_small_complex[*]",
            "test_ffts::test_FFT2D_random_complex[*]",
            "test_ffts::test_FFTND_random_real[*]",
            "test_ffts::test_FFTND_small_complex[*]",
            "test_ffts::test_FFTND_random_complex[*]",
        ),
        where=_is_missing_type,
    ),
    Difference(
        "decision",
        SHAPES,
        tests=(
            "test_basicoperators::test_Symmetrize2D[*]",
            "test_basicoperators::test_Symmetrize3D[*]",
            "test_chirpradon::test_ChirpRadon2D[*]",
            "test_chirpradon::test_ChirpRadon3D[*]",
            "test_fourierradon::test_FourierRadon2D[par1]",
            "test_fourierradon::test_FourierRadon2D[par3]",
            "test_fourierradon::test_FourierRadon3D[par1]",
            "test_fourierradon::test_FourierRadon3D[par3]",
            "test_radon::test_Radon2D[*]",
        ),
    ),
    Difference(
        "decision",
        SHAPES,
        tests=("test_radon::test_Radon3D[*]",),
        where=lambda parameters: parameters["par"]["engine"] == "numba",
    ),
    Difference(
        "decision",
        "A float32 operator does not cast float64 data, nor float64 arrays that it is built from, down: the result is "
        "float64, where PyLops's is float32. `dtype` is what an operator has in the absence of data, and nothing is "
        "dropped in silence: give float32 arrays for float32 results.",
        tests=(
            "test_derivative::test_FirstDerivative_forwaback[float32-*]",
            "test_derivative::test_SecondDirectionalDerivative[float32-*]",
            "test_nonstatconvolve::test_NonStationaryFilters1D[float32-*]",
            "test_patching::test_Patch3D[float32-*]",
            "test_prestack::test_PrestackWaveletModelling[float32-*]",
            "test_patching::test_Patch3D_singlepatch1[float32-*]",
            "test_patching::test_Patch3D_singlepatch2[float32-*]",
            "test_patching::test_Patch3D_singlepatch3[float32-*]",
        ),
    ),
    Difference(
        "defect",
        "`toreal` and `toimag`: the adjoint is that of the real, or imaginary, part of the forward, so that the dot "
        "test holds for complex data too. For real data the two packages agree.",
        tests=("test_linearoperator::test_realimag[*]",),
    ),
    Difference(
        "decision",
        "The product with a small NumPy array is computed by NumPy, that with a tensor by torch: they agree to "
        "rounding, not to the last bit.",
        tests=(
            "test_torchoperator::test_TorchOperator[*-par0]",
            "test_torchoperator::test_TorchOperator_forward_adjoint[*-par0]",
        ),
        always=False,
    ),
    Difference(
        "decision",
        "An operator that holds complex numbers has a complex `dtype`, whatever it was labelled: "
        "`Diagonal(complex_array, dtype='float32')` is of `complex64`.",
        tests=("test_linearoperator::test_scaled[par1]",),
    ),
    Difference(
        "decision",
        "`lsqr` of float32 data computes in float32, and says so in the dtype of the model; PyLops returns float64. "
        "Ill-conditioned problems, such as polynomials of degree 4, are solved less exactly: give float64 data.",
        tests=("test_basicoperators::test_Regression[par3]",),
    ),
    Difference(
        "defect",
        "In `FFT(engine='scipy', overwrite_x=True)` PyLops overwrites the model that it is given, and then returns "
        "other numbers from the second call. Here the option has no effect, and an input is never changed.",
    ),
    Difference(
        "decision",
        "`engine` may be the name of any engine of PyLops in every operator that has this argument, and has no effect: "
        "torch is the engine. PyLops refuses engines that the one operator does not have.",
    ),
    Difference(
        "decision",
        "`repeated=True` lets positions of `Interp`, `InterpCubicSpline` and `Bilinear` repeat, which PyLops never "
        "does. Without it they are refused, as in PyLops.",
    ),
    Difference(
        "decision",
        "`Report` needs no further package. PyLops's prints a note without `scooby`.",
        tests=("test_utils::test_report",),
    ),
)
