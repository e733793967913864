"""PyLops's sub-packages for waves, AVO and medical imaging, its own sources, grafted on torchlops in place of ours.

They are two dozen classes and functions in PyLops's style that nobody here wrote: what a user of PyLops has, too.

``python -m tests.peers.graft pylops|torchlops RESULT.npz`` runs small examples of each, and keeps what they give.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

PACKAGES = ("waveeqprocessing", "avo", "medical")


class Graft:
    """Finds these sub-packages in the PyLops that is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root, *rest = fullname.split(".")
        if root != "pylops" or not rest or rest[0] not in PACKAGES:
            return None
        place = self.folder.joinpath(*rest)
        if place.is_dir():
            return importlib.util.spec_from_file_location(
                fullname, place / "__init__.py", submodule_search_locations=[str(place)]
            )
        return importlib.util.spec_from_file_location(fullname, place.with_suffix(".py"))


def install() -> None:
    """Make ``import pylops`` give torchlops, with these sub-packages of PyLops."""
    spec = importlib.util.find_spec("pylops")
    import torchlops.compat.pylops

    torchlops.compat.pylops.install()
    for name in [*sys.modules]:
        if name.startswith(tuple(f"pylops.{package}" for package in PACKAGES)):
            del sys.modules[name]
    sys.meta_path.insert(0, Graft(Path(spec.origin).parent))
    for package in PACKAGES:
        importlib.import_module(f"pylops.{package}")


def applied(A: Any) -> dict[str, Any]:
    """Return what an operator, and its adjoint, give for random vectors, after the dot test."""
    from pylops.utils import dottest

    assert dottest(A, rtol=1e-6)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(A.shape[1]), rng.standard_normal(A.shape[0])
    return {"shape": A.shape, "dims": A.dims, "forward": A.matvec(x), "adjoint": A.rmatvec(y)}


def blending() -> Iterator[tuple[str, Any]]:
    from pylops import waveeqprocessing as waves

    nt, nr, ns, dt = 12, 3, 4, 0.004
    times = np.array([0.0, 0.021, 0.047, 0.066])
    for shiftall in (False, True):
        A = waves.BlendingContinuous(nt, nr, ns, dt, times, shiftall=shiftall)
        yield f"BlendingContinuous {shiftall}", applied(A)
    for kind in (waves.BlendingGroup, waves.BlendingHalf):
        yield kind.__name__, applied(kind(nt, nr, ns, dt, times.reshape(2, 2), group_size=2, n_groups=2))


def kirchhoff() -> Iterator[tuple[str, Any]]:
    from pylops.utils.wavelets import ricker
    from pylops.waveeqprocessing import LSM, Kirchhoff

    x, z, t = np.arange(6.0), np.arange(8) * 2.0, np.arange(30) * 0.004
    sources, receivers = (np.vstack((np.linspace(0, 5, n), np.full(n, 2.0))) for n in (3, 2))
    wav, _, center = ricker(t[:11], f0=40)
    for dynamic in (False, True):
        A = Kirchhoff(z, x, t, sources, receivers, 500.0, wav, center, mode="analytic", dynamic=dynamic, engine="numpy")
        yield f"Kirchhoff {dynamic}", applied(A)
    lsm = LSM(z, x, t, sources, receivers, 500.0, wav, center, mode="analytic", engine="numpy")
    refl = np.zeros((len(x), len(z)))
    refl[:, 4] = 1
    yield "LSM", {"solved": lsm.solve(lsm.Demop @ refl.ravel(), iter_lim=5)}


def multidimensional() -> Iterator[tuple[str, Any]]:
    from pylops import waveeqprocessing as waves

    rng = np.random.default_rng(1)
    nt, ns, nr, nv = 15, 4, 3, 2
    G = np.fft.rfft(rng.standard_normal((ns, nr, nt)), axis=-1).transpose(2, 0, 1)
    for twosided in (False, True):
        A = waves.MDC(G, nt=nt, nv=nv, dt=0.004, dr=2.0, twosided=twosided)
        yield f"MDC {twosided}", {**applied(A), "dtype": np.zeros(1, A.dtype)}
    yield "MDC conj", applied(waves.MDC(G[:5], nt=nt, nv=1, twosided=False, conj=True))
    model = rng.standard_normal((nr, nt))
    data = (waves.MDC(G, nt=nt, nv=1, twosided=False) @ model.T.ravel()).reshape(nt, ns).T
    kernel = np.fft.irfft(G, nt, axis=0).transpose(1, 2, 0)
    found = waves.MDD(kernel, data, dt=1.0, dr=1.0, twosided=False, adjoint=True, psf=True, iter_lim=4)
    yield "MDD", {str(i): value for i, value in enumerate(found)}
    both = np.concatenate((np.zeros((nr, nr, 7)), rng.standard_normal((nr, nr, 8))), axis=-1)
    spectrum = np.fft.rfft(both, axis=-1)
    marchenko = waves.Marchenko(spectrum, dt=0.004, nt=8, dr=1.0, nfmax=8, wav=np.ones(3), toff=0.0, nsmooth=3)
    green = rng.standard_normal((nr, 8))
    found = marchenko.apply_onepoint(np.full(nr, 0.012), G0=green, rtm=True, greens=True, iter_lim=4)
    yield "Marchenko", {str(i): value for i, value in enumerate(found)}
    several = rng.standard_normal((nr, 2, 8))
    found = marchenko.apply_multiplepoints(np.full((nr, 2), 0.012), G0=several, rtm=True, greens=True, iter_lim=4)
    yield "Marchenko of several points", {str(i): value for i, value in enumerate(found)}
    field = waves.marchenko.directwave(np.ones(5), np.array([0.02, 0.03]), 8, 0.004, nfft=16, derivative=True)
    yield "directwave", {"field": field}


def oneway() -> Iterator[tuple[str, Any]]:
    from pylops import waveeqprocessing as waves

    nt, nr, dt, dr = 16, 9, 0.004, 10.0
    freq, kx = np.fft.rfftfreq(nt, dt), np.fft.fftshift(np.fft.fftfreq(nr, dr))
    yield "PhaseShift", applied(waves.PhaseShift(1500.0, 20.0, nt, freq, kx))
    yield "PhaseShift in 3D", applied(waves.PhaseShift(1500.0, 20.0, nt, freq, kx, kx[:5]))
    section = np.random.default_rng(2).standard_normal((nt, nr))
    up, down = waves.Deghosting(
        section, nt, nr, dt, dr, 1000.0, 20.0, win=np.ones_like(section), npad=3, ntaper=3, iter_lim=5
    )
    yield "Deghosting", {"up": up, "down": down}
    nffts = (16, 32)
    for topressure in (False, True):
        A = waves.PressureToVelocity(nt, nr, dt, dr, 1000.0, 1000.0, nffts=nffts, ntaper=2, topressure=topressure)
        yield f"PressureToVelocity {topressure}", applied(A)
    yield (
        "UpDownComposition2D",
        applied(waves.UpDownComposition2D(nt, nr, dt, dr, 1000.0, 1000.0, nffts=nffts, ntaper=2)),
    )
    A = waves.UpDownComposition3D(nt, (5, nr), dt, (dr, dr), 1000.0, 1000.0, nffts=(8, 16, 32), ntaper=2)
    yield "UpDownComposition3D", applied(A)
    for kind in ("analytical", "inverse"):
        how = {"iter_lim": 5, "damp": 1e-10} if kind == "inverse" else {}
        up, down = waves.WavefieldDecomposition(
            section.T, section.T**2, nt, nr, dt, dr, 1000.0, 1000.0, nffts=nffts, kind=kind, ntaper=2, **how
        )
        yield f"WavefieldDecomposition {kind}", {"up": up, "down": down}


def interpolation() -> Iterator[tuple[str, Any]]:
    from pylops.waveeqprocessing import SeismicInterpolation

    section, rows = np.random.default_rng(3).standard_normal((6, 12)), np.array([0, 2, 3, 5, 6, 8])
    ways: dict[str, dict[str, Any]] = {
        "spatial": {"epsRs": [0.3], "damp": 1e-2, "iter_lim": 5},
        "fk": {"nffts": (16, 16), "sampling": (5.0, 0.004), "niter": 5, "eps": 1e-2, "alpha": 0.5},
        "radon-linear": {
            "spataxis": np.arange(9.0), "taxis": np.arange(12.0), "paxis": np.linspace(-1, 1, 5), "centeredh": True,
            "niter": 5, "eps": 1e-2, "alpha": 0.05, "engine": "numpy",
        },
        "sliding": {
            "spataxis": np.arange(9.0), "taxis": np.arange(12.0), "paxis": np.linspace(-1, 1, 5), "nwin": 5, "nwins": 2,
            "nover": 1, "niter": 5, "eps": 1e-2, "alpha": 0.05, "engine": "numpy",
        },
    }  # fmt: skip
    for kind, how in ways.items():
        found = SeismicInterpolation(section, 9, rows, kind=kind, **how)
        yield f"SeismicInterpolation {kind}", {"section": found[0]}


def avo() -> Iterator[tuple[str, Any]]:
    from pylops import avo

    theta, nt = np.linspace(0, 30, 4), 20
    wav = np.array([0.1, -0.4, 1.0, -0.4, 0.1])
    rng = np.random.default_rng(4)
    model = np.cumsum(rng.standard_normal((nt, 3)) * 0.01, axis=0) + np.log([2000.0, 1000.0, 2200.0])
    media = (2000.0, 900.0, 2100.0, 2300.0, 1100.0, 2200.0)
    yield (
        "zoeppritz",
        {
            "scattering": avo.avo.zoeppritz_scattering(*media, theta[1:2]),
            "element": avo.avo.zoeppritz_element(*media, theta, element="PdSu"),
            "pp": avo.avo.zoeppritz_pp(*media, theta),
            "approximate": avo.avo.approx_zoeppritz_pp(*media, theta),
        },
    )
    for linearization in ("akirich", "fatti", "ps"):
        A = avo.avo.AVOLinearModelling(theta, vsvp=0.5, nt0=nt, linearization=linearization)
        yield f"AVOLinearModelling {linearization}", applied(A)
    for explicit in (False, True):
        post = avo.PoststackLinearModelling(wav, nt0=nt, spatdims=(3,), explicit=explicit)
        yield f"PoststackLinearModelling {explicit}", applied(post)
        pre = avo.PrestackLinearModelling(wav, theta, vsvp=0.5, nt0=nt, explicit=explicit)
        yield f"PrestackLinearModelling {explicit}", applied(pre)
        data = (post @ model.ravel()).reshape(nt, 3)
        for eps in (None, 1e-2):
            how = {"iter_lim": 8} if eps or not explicit else {}
            found = avo.PoststackInversion(data, wav, m0=model * 0.99, explicit=explicit, epsI=eps, epsR=eps, **how)
            exact = explicit and eps is None  # with a residual of rounding errors
            yield f"PoststackInversion {explicit} {eps}", {str(i): value for i, value in enumerate(found[: 2 - exact])}
        gather = (pre @ (model.T if explicit else model).ravel()).reshape((4, nt) if explicit else (nt, 4))
        gather = gather.T if explicit else gather
        found = avo.PrestackInversion(
            gather, theta, wav, m0=model * 0.99, explicit=explicit, simultaneous=not explicit, epsI=1e-2,
            **({} if explicit else {"iter_lim": 5}),
        )  # fmt: skip
        yield f"PrestackInversion {explicit}", {"model": found}
    A = avo.PrestackWaveletModelling(model, theta, nwav=5, wavc=2, vsvp=0.5)
    yield "PrestackWaveletModelling", applied(A)


def medical() -> Iterator[tuple[str, Any]]:
    from pylops.medical import CT2D, MRI2D

    mask = np.random.default_rng(5).integers(0, 2, (6, 8)).astype("complex128")
    yield "MRI2D of a mask", applied(MRI2D(dims=(6, 8), mask=mask))
    A = MRI2D(dims=(6, 8), mask="vertical-reg", nlines=3, perc_center=0.0)
    yield "MRI2D", {**applied(A), "of two": A @ np.ones((48, 2))}
    try:
        CT2D((8, 8), 1.0, 8, np.linspace(0, 3, 4), engine="cpu")
    except NotImplementedError as error:  # without ASTRA
        yield "CT2D", {"says": np.array("astra" in str(error).lower())}


def twoway() -> Iterator[tuple[str, Any]]:
    from pylops.waveeqprocessing import AcousticWave2D

    one = np.ones(1)
    try:
        AcousticWave2D((8, 8), (0, 0), (10, 10), np.ones((8, 8)), one, one, one, one, 0.0, 10.0)
    except NotImplementedError as error:  # without Devito
        yield "AcousticWave2D", {"says": np.array("devito" in str(error).lower())}


EXAMPLES: tuple[Callable[[], Iterator[tuple[str, Any]]], ...] = (
    blending, kirchhoff, multidimensional, oneway, interpolation, avo, medical, twoway,
)  # fmt: skip


def main() -> None:
    """Run all examples, and write what they give."""
    package, result = sys.argv[1:]
    if package == "torchlops":
        install()
    found: dict[str, Any] = {}
    for examples in EXAMPLES:
        for name, values in examples():
            found.update({f"{name}: {key}": np.asarray(value) for key, value in values.items()})
    np.savez(result, **found)


if __name__ == "__main__":
    main()
