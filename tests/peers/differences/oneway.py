"""Differences in one-way waves and blending."""

from __future__ import annotations

from tests.peers.differences.difference import Difference

WAVENUMBERS = (
    "`Deghosting` and wavenumbers of odd numbers of samples: PyLops, and the data of its tests, put them in the order "
    "of `ifftshift(fftfreq(n))`, which is that of `fftshift` for even numbers only, so that waves travel at wrong "
    "angles. Ours removes the ghosts of plane waves exactly for both. In one's own code, write "
    "`fftshift(fftfreq(n, d))` for the axes of `PhaseShift`."
)
SMOOTHING = (
    "The weights of `PressureToVelocity`, `UpDownComposition2D`, `UpDownComposition3D` and `WavefieldDecomposition` "
    "are smoothed on the circle, on which spectra are periodic. PyLops extends them at the ends of its arrays, where "
    "the smallest and the largest frequencies meet: the velocity of a real pressure has imaginary parts of 3 to 24 "
    "percent there, and none here. Evanescent waves (`critical` above 100) have the sign of `PhaseShift` at both "
    "signs of the frequency here; waves on the critical angle itself, whose reciprocal is a matter of rounding, are "
    "left out."
)
LATE = (
    "`BlendingGroup` and `BlendingHalf` do not record what comes after the end of a record, or before its beginning. "
    "In PyLops it returns at the other end: late echoes at the beginning. Shots that fit, delayed by whole samples, "
    "are the same in both; fractional delays differ by the tails of the interpolation. `A.H @ y` differs likewise."
)

TESTS: tuple[Difference, ...] = (Difference("defect", WAVENUMBERS, ("test_oneway::test_Deghosting_2dsignal[*]",)),)

SCRIPTS: tuple[Difference, ...] = (
    Difference("defect", WAVENUMBERS, ("tutorials/deghosting::pup", "tutorials/deghosting::pdown")),
    Difference(
        "defect",
        SMOOTHING,
        tuple(
            f"tutorials/wavefielddecomposition::{name}"
            for name in (
                "vz", "VZ", "VZ_obl", "vz_obl", "pup_sep", "pdown_sep", "pup_inv", "pdown_inv", "vdown_rec", "vup_rec",
                "vz_rec",
            )
        ),
    ),
    Difference("defect", LATE, ("examples/plot_blending::data_blended", "examples/plot_blending::data_pseudo")),
    Difference(
        "decision",
        "`A.eigs()` of an operator that is only real-linear, as one with an `FFT(real=True)`, raises a `TypeError`: "
        "it has no complex matrix. PyLops takes it for one, and its estimate is not that of a norm. Leave `alpha` of "
        "`fista` out, which then finds its step.",
        ("tutorials/deblending",),
    ),
)  # fmt: skip

UNSHOWN: tuple[Difference, ...] = (
    Difference(
        "defect",
        "`Deghosting` in two dimensions takes its default `npad`, and in three a step `dr` for each axis; PyLops "
        "raises for both. With `sptransf` or `restriction` alone it answers, too: PyLops raises. "
        "`WavefieldDecomposition` takes the default `nffts` in two dimensions, and its coefficients of complex "
        "transforms keep their imaginary parts.",
    ),
    Difference(
        "defect",
        "The text of PyLops's `Deghosting` has the signs of pressure and velocity the other way round; its code has "
        "`p - pd = (I - Phi) p-` and `vz = (I + Phi) vz-`, and so have ours.",
    ),
    Difference(
        "defect",
        "`PressureToVelocity` takes NumPy integers for `nr`. `BlendingContinuous` names negative times, which PyLops "
        "answers with an error of shapes, and its adjoint is one for complex data, too: their parts are blended "
        "separately. It has no `PadOp` and `ShiftOps`, but `shifts`.",
    ),
    Difference(
        "decision",
        "`nffts` of `PressureToVelocity` and of the compositions may not be smaller than the wavefield, which PyLops "
        "cuts. `WavefieldDecomposition` and `Deghosting` solve by our `lsqr` by default, with the options and "
        "defaults of SciPy's, which is PyLops's; `scipy.sparse.linalg.lsqr` may be given as `solver` for arrays. An "
        "unknown `kind` is a `ValueError`.",
    ),
)
