"""Every script of the gallery runs, and holds what it claims: each asserts it. Together they show the whole package."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

import torchlops
from docs.site_pages.catalogue import names_in
from docs.site_pages.gallery import ORDER, Order

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))

OPERATORS = {
    "derivatives": {"FirstDerivative": "integration", "SecondDerivative": "derivatives", "Gradient": "helmholtz",
                    "Laplacian": "restoration"},
    "integration and regression": {"CausalIntegration": "integration", "LinearRegression": "integration",
                                   "Regression": "outliers"},
    "smoothing": {"Smoothing1D": "foreign", "Smoothing2D": "slopes"},
    "convolution": {"Convolve1D": "deconvolution", "Convolve2D": "unrolling", "blur": "convolution"},
    "non-stationary convolution": {"NonStationaryConvolve2D": "nonstationary"},
    "Fourier and cosine transforms": {"FFT2D": "coils", "DCT": "helmholtz"},
    "wavelets and curvelets": {"DWT": "export", "DWT2D": "restoration", "DTCWT": "export", "UDCT": "wavelets"},
    "Radon transforms": {"Radon2D": "radon", "ChirpRadon2D": "vsp", "FourierRadon2D": "missing_traces"},
    "interpolation": {"Bilinear": "interpolation", "Restriction": "gaussian_process"},
    "windows and patches": {"Sliding2D": "missing_traces", "Patch2D": "sliding"},
    "amplitudes and angles": {"AVOLinearModelling": "avo", "PrestackLinearModelling": "impedance"},
    "slopes": {"Seislet": "slopes", "PWSmoother2D": "planewave"},
    "wavefields": {"MDC": "mdd", "MDD": "mdd", "Marchenko": "marchenko"},
    "one-way waves": {"BlendingContinuous": "deblending", "Deghosting": "deghosting",
                      "WavefieldDecomposition": "updown"},
    "migration": {"LSM": "migration", "Kirchhoff": "segy"},
    "waves": {"AcousticBorn": "fwi"},
    "magnetic resonance imaging": {"MRI2D": "espirit", "espirit_maps": "espirit", "walsh_maps": "espirit",
                                   "SENSE": "radial_mri", "NUFFT": "radial_mri"},
    "tomography": {"CT2D": "sparse_ct", "FBP": "ct_calibration", "CT3D": "cone_beam", "FDK": "cone_beam"},
    "stacks and products": {"VStack": "coils", "HStack": "integration", "Kronecker": "outliers"},
    "diagonals and matrices": {"Diagonal": "coils", "MatrixMult": "sliding", "Identity": "preconditioner"},
    "shapes": {"Pad": "vsp", "Roll": "restoration"},
    "one's own": {"LinearOperator": "preconditioner", "_forward": "uncertainty"},
}  # fmt: skip
"""For each family of operators, a script that shows a member of it."""

SOLVERS = {
    "cg": "nonlinear", "cgls": "deconvolution", "lsqr": "integration", "lsmr": "integration", "minres": "helmholtz",
    "gmres": "helmholtz", "bicgstab": "helmholtz", "irls": "outliers", "omp": "sparse", "ista": "sparse",
    "fista": "restoration", "spgl1": "sparse", "splitbregman": "restoration", "regularized_inversion": "bilevel",
    "solve": "gaussian_process", "logdet": "gaussian_process", "eigh": "uncertainty", "spectrum": "integration",
}  # fmt: skip
"""For each solver, a script that shows it."""

DERIVATIVES = {
    "reverse mode": ("backward", "convolution"),
    "double backward": ("grad", "derivatives"),
    "forward mode": ("jvp", "wavelets"),
    "Jacobian": ("jacfwd", "interpolation"),
    "Hessian": ("hessian", "uncertainty"),
    "vmap": ("vmap", "uncertainty"),
    "through a solution": ("Implicit", "bilevel"),
    "through iterations": ("Unroll", "unrolling"),
    "compiled": ("compile", "export"),
    "exported": ("export", "export"),
    "an operator per sample": ("per_sample", "coils"),
    "operators as layers": ("Module", "learned_primal_dual"),
    "foreign operators as layers": ("TorchOperator", "foreign"),
    "foreign operators": ("aslinearoperator", "foreign"),
}
"""For each mode of derivatives, and each way to run an operator, a name and a script where it occurs."""

SHOWN = [
    *((name, script) for family in OPERATORS.values() for name, script in family.items()),
    *SOLVERS.items(),
    *DERIVATIVES.values(),
]


def _names(script: str) -> set[str]:
    return names_in(ast.parse((ROOT / "examples" / f"plot_{script}.py").read_text(encoding="utf-8")))


@pytest.mark.parametrize(("name", "script"), SHOWN)
def test_the_script_shows_what_it_is_said_to_show(name, script):
    assert name in _names(script)


def test_every_solver_is_shown():
    public = {name for name in torchlops.optimization.__all__ if name.islower()}
    assert public - set(SOLVERS) == {"normal_equations_inversion", "preconditioned_inversion"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_script_is_one_of_the_gallery(path):
    """The page of a script has a title, a question, cells, and figures that are left to it."""
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    title, underline, _, question = docstring.split("\n")[:4]
    assert underline == "=" * len(title)
    assert "?" in docstring.split("\n\n")[1], question
    assert text.count("\n# %%\n") >= 2
    assert re.search(r"^ *assert ", text, re.MULTILINE)
    assert not re.search(r"savefig|argparse|matplotlib\.use|__main__", text)


def test_the_gallery_has_an_order():
    assert sorted(ORDER) == [path.stem.removeprefix("plot_") for path in EXAMPLES]
    assert sorted((path.name for path in EXAMPLES), key=Order("examples"))[0] == f"plot_{ORDER[0]}.py"


# NumPy says this of torch, whose tensors are drawn as they are.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_holds_what_it_claims(path, capsys, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("Agg")
    plt.close("all")
    try:
        runpy.run_path(str(path))
        assert plt.get_fignums()
        for number in plt.get_fignums():
            figure = plt.figure(number)
            axes = [axis for axis in figure.axes if axis.get_label() != "<colorbar>"]
            assert any(axis.get_title() for axis in axes)
            figure.canvas.draw()
        assert capsys.readouterr().out
    finally:
        plt.close("all")
