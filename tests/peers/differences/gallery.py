"""PyLops's tutorials and examples that cannot pass, each with its reason."""

from __future__ import annotations

from tests.peers.differences.difference import Difference
from tests.peers.differences.operators import TYPES

GALLERY: tuple[Difference, ...] = (
    Difference(
        "decision",
        "The solution of an iteration that stops early, at a tolerance of 1e-3 to 1e-6 or at `niter`, is only that "
        "accurate: rounding decides the last digits. (PyLops's own solution changes as much with the order of the rows "
        "of the matrix, or the unit of the data. With tighter tolerances both agree.) Write smaller `atol` and `btol`, "
        "or more iterations, for more digits.",
        (
            "examples/plot_causalintegration::xreg",
            "examples/plot_l1l1::xl1l1",
            "examples/plot_nonstatfilter::hsinv",
            "tutorials/deblurring::imdeblurtv",
            "tutorials/mdd::minvprec",
            *(f"tutorials/lsm::{name}" for name in ("minv", "minv_sparse", "dinv", "dinv_sparse")),
            "tutorials/timeshift::iava_est",
            "tutorials/timeshift::shift_estgn",
            "tutorials/timeshift::shift_estgn_hist",
            "tutorials/timeshift::d1shift",
            *(f"tutorials/timeshift::Jhist_gn[{step}]" for step in range(1, 11)),
            "tutorials/timeshift::iava_gn",
            "tutorials/timeshift::d1back_estgn",
            *(f"tutorials/timeshift::shift_estls_hist[{step}]" for step in range(1, 4)),
            "tutorials/timeshift::shift_estls",
            "tutorials/timeshift::iava_estls",
            "tutorials/prestack::minv",
            "tutorials/prestack::dPP_res",
            "tutorials/prestack::minv_noise",
            "tutorials/prestack::dPPn_res",
            "tutorials/bayesian::xpost_iter",
            "tutorials/bayesian::xrto",
            "tutorials/bayesian::xpost_rto",
            "tutorials/bayesian::Cmpost_rto",
        ),
        always=False,
        topic="digits",
    ),
    Difference(
        "decision",
        "`A / y` iterates until it has converged, at most four times the number of unknowns (between 100 and 1000), "
        "and warns if it has not. PyLops stops after 100 iterations, or at tolerances of 1e-6, without a word. Write "
        "`A.div(y, niter=100)` for as few.",
        (
            "examples/plot_causalintegration::xinv",
            "examples/plot_convolve::xinv",
            "examples/plot_convolve::h",
            "examples/plot_convolve::ymatched",
            "examples/plot_smoothing1d::xest",
            "examples/plot_smoothing2d::Aest",
            "examples/plot_smoothing3d::Aest",
        ),
        topic="solvers",
    ),
    Difference(
        "decision",
        TYPES,
        (
            "examples/plot_convolve::xlsqr",
            "examples/plot_ista::xls",
            "examples/plot_ista::nitero",
            "examples/plot_ista::costo",
        ),
        topic="types",
    ),
    Difference(
        "decision",
        "Residual norms of a problem that is solved exactly are rounding errors, 1e-16 of the data or less, on both.",
        (
            "examples/plot_cgls::r1norm",
            "examples/plot_cgls::r2norm",
            "examples/plot_cgls::arnorm",
            "examples/plot_matrixmult::r1norm",
            "examples/plot_matrixmult::r2norm",
        ),
        always=False,
        topic="digits",
    ),
    Difference(
        "decision",
        "The order in which coefficients that are equal but for rounding are sorted is that of their last digits.",
        ("examples/plot_seislet::dwt_strong_idx",),
        always=False,
        topic="digits",
    ),
    Difference(
        "defect",
        "The `cost` of ISTA and FISTA is the function that they minimise, `||y - A x||^2 + eps ||x||_1`, at the `x` of "
        "that iteration. PyLops adds half of the misfit before the iteration to `eps ||x||_1` after it, which the "
        "iterations (with the threshold `eps alpha / 2`) do not minimise.",
        (
            "examples/plot_ista::costi",
            "examples/plot_ista::costf",
            "tutorials/classsolvers::costi",
            "tutorials/classsolvers::costf",
            "tutorials/radonfiltering::cost",
            "tutorials/seismicinterpolation::cost",
        ),
    ),
    Difference(
        "decision",
        "The step of ISTA and FISTA without `alpha` is the inverse of a bound, from above and within 0.1 percent, of "
        "the largest eigenvalue of `A^H A`: a step that is too long may diverge. PyLops inverts an estimate, which for "
        "real data of complex models is wrong by a percent, and another one in each run. Models that have not "
        "converged differ accordingly. Pass `alpha` for the same steps.",
        (
            "tutorials/classsolvers::pfista",
            "tutorials/classsolvers::xfista",
            "tutorials/deblurring::imdeblurfista",
            "tutorials/seismicinterpolation::xl1",
            "tutorials/seismicinterpolation::Xl1",
        ),
        always=False,
        topic="solvers",
    ),
    Difference(
        "defect",
        "`pmax` of ChirpRadon3D is in the order of the axes, slow and fast, as PyLops documents it and its engine "
        "`fftw` takes it. PyLops's engine `numpy` uses the first for the fast axis: swap the two where a program "
        "relied on that.",
        (
            "examples/plot_chirpradon::dL_chirp",
            "examples/plot_chirpradon::dadj_chirp",
            "examples/plot_chirpradon::dinv_chirp",
        ),
    ),
    Difference(
        "defect",
        "`ps`, the linearised reflection from P to S, lacks a factor `1 / g` (with `g` the ratio of the velocities) in "
        "PyLops, so that its coefficients are about half of the exact ones; ours agree with `zoeppritz_element(..., "
        "element='PdSu')` for small contrasts.",
        (
            "examples/plot_avo::dPS",
            "examples/plot_avo::mean_dPS",
            "tutorials/prestack::dPPPS",
            "tutorials/prestack::dPPPSn",
            "tutorials/prestack::minvPPSP",
            "tutorials/prestack::dPPPS_res",
        ),
    ),
    Difference(
        "decision",
        "`PoststackInversion` and `PrestackInversion` with `explicit=True`, without `epsI` and `cond`, leave out "
        "singular values below the rounding times the size of the matrix. PyLops's limit is the rounding itself, so "
        "that what is constant in time, which has no data, may get values of 1e14. Write `cond=1e-6`, or give `epsI`.",
        (
            "tutorials/poststack::minv_dense",
            "tutorials/prestack::minv_dense",
            "tutorials/prestack::dPP_dense_res",
            "tutorials/prestack::dminv",
        ),
        always=False,
    ),
    Difference(
        "defect",
        "The `aperture` of Kirchhoff is the ratio of lengths, with a taper. PyLops's is that of numbers of samples, "
        "counts the first depth as 1, and does not taper, since its index to the taper is always zero.",
        tuple(f"tutorials/ilsm::{name}" for name in ("mmig", "mmigpsf", "psfs", "minv", "resnorm")),
    ),
)
