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
    "Models of solvers, inversions and `A / y` have the shape `(*batch, *dims)` also for flat data: see "
    "[Shapes: one rule](#shapes-one-rule). The numbers are the same: write `.ravel()` where a flat model is wanted."
)
TYPES = (
    "The type of a result is that of the data and of the tensors of the operator: nothing is cast down in silence. "
    "`dtype` is what an operator has in the absence of data, so that a float32 operator on float64 data, or built from "
    "float64 arrays, gives float64, where PyLops casts the results of some operators to their `dtype`, and iterates in "
    "it. Integers are computed in float64. Write `A(x.astype(np.float32))` to compute in float32."
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
        topic="solvers",
    ),
    Difference(
        "decision",
        SHAPES,
        tests=("test_radon::test_Radon3D[*]",),
        where=lambda parameters: parameters["par"]["engine"] == "numba",
        topic="solvers",
    ),
    Difference(
        "decision",
        TYPES,
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
        topic="types",
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
        topic="digits",
    ),
    Difference(
        "decision",
        "An operator that holds complex numbers has a complex `dtype`, whatever it was labelled: "
        "`Diagonal(complex_array, dtype='float32')` is of `complex64`.",
        tests=("test_linearoperator::test_scaled[par1]",),
        topic="types",
    ),
    Difference(
        "decision",
        "`lsqr` of float32 data computes in float32, and says so in the dtype of the model; PyLops returns float64. "
        "Ill-conditioned problems, such as polynomials of degree 4, are solved less exactly: give float64 data.",
        tests=("test_basicoperators::test_Regression[par3]",),
        topic="types",
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
