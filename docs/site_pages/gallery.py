"""The gallery: the order of its scripts."""

from __future__ import annotations

ORDER = (
    # operators and solvers
    "integration", "outliers", "restoration", "deconvolution", "sparse", "nonstationary", "missing_traces", "planewave",
    "coils", "helmholtz",
    # seismic waves
    "impedance", "avo", "migration", "segy", "fwi", "updown", "deghosting", "deblending", "mdd", "marchenko",
    # medical imaging
    "sparse_ct", "learned_primal_dual", "cone_beam", "espirit", "radial_mri",
    # gradients with respect to the tensors of an operator
    "convolution", "radon", "vsp", "slopes", "interpolation", "fft", "sliding", "ct_calibration",
    # second derivatives, and derivatives of solutions
    "wavelets", "derivatives", "gaussian_process", "uncertainty", "bilevel", "nonlinear", "preconditioner",
    "unrolling",
    # other packages
    "foreign", "export",
)  # fmt: skip
"""The scripts, from simple to advanced."""


class Order:
    """The key by which Sphinx-Gallery sorts scripts."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str) -> tuple[int, str]:
        title = name.removeprefix("plot_").removesuffix(".py")
        return ORDER.index(title) if title in ORDER else len(ORDER), title
