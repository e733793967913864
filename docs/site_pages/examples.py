"""What the pictures of the catalogue show: for each operator, the code that builds it, and the model."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import skimage.data
import skimage.transform

import torchlops
from torchlops.utils.seismicevents import hyperbolic2d, linear2d, linear3d
from torchlops.utils.wavelets import ricker

RANDOM = np.random.default_rng(0)


# -- models ------------------------------------------------------------------------------------------------------


def shrunk(image: Any, *shape: int) -> Any:
    """Return an image in another size, with values from 0 to 1."""
    image = skimage.transform.resize(image.astype(float), shape, anti_aliasing=True)
    return (image - image.min()) / (image.max() - image.min())


def spikes(*shape: int, **at: float) -> Any:
    """Return zeros with some values: ``spikes(8, 8, **{"1 2": 1.0})`` has a one at ``[1, 2]``."""
    x = np.zeros(shape)
    for index, value in at.items():
        x[tuple(int(i) for i in index.split())] = value
    return x


def bell(length: int, width: float) -> Any:
    """Return a Gaussian filter of unit sum."""
    h = np.exp(-((np.arange(length) - length // 2) ** 2) / (2 * width**2))
    return h / h.sum()


def rotated(size: int, degrees: float, zoom: float) -> Any:
    """Return the positions of a square grid of half the size, turned and scaled about the middle."""
    angle = np.deg2rad(degrees)
    u, v = zoom * (np.mgrid[: size // 2, : size // 2].reshape(2, -1) - (size / 2 - 1) / 2)
    turned = np.stack([np.cos(angle) * u - np.sin(angle) * v, np.sin(angle) * u + np.cos(angle) * v])
    return np.clip(turned + (size - 1) / 2, 0, size - 1.001)


def folds(nx: int, nt: int) -> tuple[Any, Any]:
    """Return a section of folded layers and its slopes, both ``(nx, nt)``."""
    x, t = np.arange(nx), np.arange(nt, dtype=float)
    depth = 6 * np.sin(2 * np.pi * x / nx)
    layers = np.convolve(RANDOM.standard_normal(3 * nt) * (RANDOM.random(3 * nt) < 0.25), ricker(t[:9] / 50)[0], "same")
    section = np.stack([np.interp(t + nt - d, np.arange(3 * nt), layers) for d in depth])
    return section, np.repeat(np.gradient(depth)[:, None], nt, 1)


def volume_of(*shape: int) -> Any:
    """Return a volume whose slices show a head that grows."""
    phantom = skimage.data.shepp_logan_phantom()
    n, (rows, columns) = shape[0], shape[1:]
    sizes = np.linspace(0.45, 1, n)
    slices = np.zeros(shape)
    for slice_, size in zip(slices, sizes, strict=True):
        r, c = int(rows * size), int(columns * size)
        r0, c0 = (rows - r) // 2, (columns - c) // 2
        slice_[r0 : r0 + r, c0 : c0 + c] = shrunk(phantom, r, c)
    return slices


camera = shrunk(skimage.data.camera()[20:276, 100:356], 96, 96)
coins = shrunk(skimage.data.coins()[60:220, 20:180], 96, 96)
volume = volume_of(4, 48, 48)

places, depths, times = np.arange(80) * 8.0, np.arange(64) * 8.0, np.arange(160) * 0.006
sources = np.stack((np.array([80.0, 316.0, 552.0]), np.zeros(3)))
receivers = np.stack((np.linspace(0, 632, 40), np.zeros(40)))

n = np.arange(128)
signal = np.where(n < 20, 0, np.where(n < 45, 1, 0.2)) + np.exp(-((n - 68) ** 2) / 30) + (n > 88) * (n - 88) / 60
chirp = np.sin(2 * np.pi * (0.02 * n + 0.0011 * n**2)) * np.hanning(128)
spiral = np.exp(2j * np.pi * n / 32) * np.linspace(0.2, 1, 128)
reflectivity = spikes(128, **{"14": 1, "40": -0.7, "52": 0.6, "84": 1, "104": -0.8})
samples = np.sin(2 * np.pi * np.arange(24) / 11) * np.hanning(24)
noise = RANDOM.standard_normal(128)

wavelet = ricker(np.arange(17) * 0.004, 25)[0]
t, h = np.arange(64) * 0.004, np.arange(-20, 21) * 10.0
linear = linear2d(h, t, 1500, [0.06, 0.14, 0.16], [15, -25, 0], [1, 0.8, -1], wavelet)[1]
hyperbolas = hyperbolic2d(h, t, [0.04, 0.1, 0.17], [900, 1300, 1500], [1, -0.8, 0.9], wavelet)[1]
paths = np.stack([hyperbolic2d(h - x, t, [0.02, 0.08], [1500, 1800], [1, -0.6], wavelet)[1] for x in h])
pulses = np.zeros((64, 41))
pulses[:17, 10], pulses[8:25, 27] = wavelet[8:25], -wavelet[8:25]
responses = np.fft.rfft(paths).transpose(2, 0, 1)
freq, kx = np.fft.rfftfreq(64, 0.004), np.fft.fftshift(np.fft.fftfreq(41, 10.0))
shots = np.stack([np.roll(hyperbolas, 3 * i, 0) * (-1) ** i for i in range(4)])
slowness = np.linspace(-4e-4, 4e-4, 41)
layers, slopes = folds(64, 64)

lines, few = np.arange(-5, 6) * 20.0, np.linspace(-4e-4, 4e-4, 7)
planes = linear3d(lines, lines, t, 1500, [0.06, 0.14], [15, -20], [30, 100], [1, -0.8], wavelet)[1]

grid = np.zeros((64, 64))
grid[8::16, 8::16] = 1
blurs = np.stack([np.stack([np.outer(bell(9, 0.3 + i), bell(9, 0.3 + j)) for j in (0, 2)]) for i in (0, 2)])
rickers = np.stack([ricker(np.arange(13) * 0.004, f)[0] for f in (50, 15)])
tables = np.stack([[np.sqrt(i**2 + ((np.arange(41) - 20) * v) ** 2) for i in range(64)] for v in (1.2, 1.9, 3.0)])
rotation = rotated(96, 25, 1.2)
integral = np.stack(
    [np.stack([np.roll(np.pad(bell(31, w), (0, 65)), i - 15) for i in range(96)]) for w in (0.1, 1, 3, 6)]
)
angles = np.linspace(0, 45, 48)
contrasts = spikes(64, 3, **{"12 0": 1, "12 1": 0.5, "28 1": -1, "44 2": 0.8, "52 0": -0.6, "52 2": -0.4})
strata = np.floor(2 * np.sin(0.13 * np.arange(64)[:, None] + 1.2 * np.cos(np.arange(64) / 10)))
spokes = np.stack(
    [np.outer(f(np.arange(64) * np.pi / 64), np.linspace(-np.pi, np.pi, 96, False)) for f in (np.cos, np.sin)]
)
spokes = spokes.reshape(2, -1).T
POINTS = {"48 48": 1.0, "30 64": 0.6, "66 36": -0.8}
matrix = np.exp(-((np.arange(40)[:, None] * 3.2 - n) ** 2) / 40) / 11
rows = np.sort(RANDOM.permutation(96)[:40])
phantom = shrunk(skimage.data.shepp_logan_phantom(), 96, 96)
sampled = np.zeros((96, 96))
sampled[:, ::3] = sampled[:, 40:56] = 1
coils = np.stack(
    [np.exp(-((np.mgrid[:96, :96].T - corner) ** 2).sum(-1) / 4000) for corner in ((0, 0), (0, 95), (95, 0), (95, 95))]
)

SYMBOLS = {
    "t": "times, 64 samples of 4 ms",
    "h": "41 offsets from -200 to 200 m",
    "slowness": "41 values from -0.4 to 0.4 ms/m",
    "lines": "11 offsets from -100 to 100 m",
    "few": "seven slownesses from -0.4 to 0.4 ms/m",
    "wavelet": "a Ricker wavelet",
    "rickers": "Ricker wavelets of a high and a low frequency",
    "blurs": "Gaussian filters that widen downward and to the right",
    "reflectivity": "a series of spikes",
    "grid": "a grid of points",
    "tables": "hyperbolas of three velocities",
    "rotation": "the positions of a turned grid",
    "rows": "40 of the rows, drawn at random",
    "spokes": "the points of 64 diameters, radians per sample",
    "slopes": "the slopes of folded layers",
    "integral": "blurs, wider for each slice",
    "responses": "the spectra of recordings of sources at all receivers",
    "freq": "frequencies of the FFT over time",
    "kx": "wavenumbers of the FFT over offsets",
    "depths": "64 depths, 8 m apart",
    "places": "80 places along the surface, 8 m apart",
    "times": "160 times, 6 ms apart",
    "sources": "three positions at the surface",
    "receivers": "40 positions at the surface",
    "survey": "one shot and 56 receivers near the surface",
    "medium": "a velocity of 2000 m/s",
    "angles": "48 angles from 0 to 45 degrees",
    "contrasts": "spikes of two velocities and density",
    "matrix": "rows that are Gaussians",
    "sampled": "every third column and some in the middle",
    "coils": "four sensitivities, each largest in a corner",
}
"""What the names in the code of the examples stand for."""

survey = torchlops.waveeqprocessing.AcousticModelling(
    (64, 48), 10.0, 0.002, 256, [[32, 2]], [[x, 2] for x in range(4, 60)], max_velocity=2000.0, frequency=18.0
)
medium = np.full((64, 48), 2000.0)
reflectors = spikes(64, 48, **{f"{x} {z}": 100.0 for x in range(64) for z in (16, 32 - x // 8)})


# -- operators ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """How an operator is shown.

    Attributes:
        code: The expression that builds it, in the names of torchlops and of this module.
        x: The expression of the model, which may use the operator ``A``.
        says: What the model is, in words.
        section: Whether arrays are seismic: the first axis is drawn to the right, and the last one downward.
        complex: How complex arrays are drawn: ``"magnitude"``, or ``"parts"``.
        scale: A root that shows small values of ``A x`` (2: the square root).
        scale_of_model: A root that shows small values of the models.
        view: What of ``A x`` is drawn, as a function of the operator and of it.
        flat: The shape in which flat arrays of its size are drawn.
        at: Where the samples of ``A x`` are, along the samples of the model.
        axes: Names of the axes of the model and of the data, to the right and down, where they help.
    """

    code: str
    x: str
    says: str
    section: bool = False
    complex: str = "magnitude"
    scale: float = 1
    scale_of_model: float = 1
    view: Callable[[Any, Any], Any] = lambda _, y: y
    flat: tuple[int, ...] = ()
    at: str = ""
    axes: tuple[tuple[str, str], tuple[str, str]] = (("", ""), ("", ""))

    def symbols(self) -> list[str]:
        """Return the names in the code that are no operators and no arguments of a function, in their order."""
        tree = ast.parse(self.code)
        own = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} | {*NAMES, "np"}
        places = {node.id: node.col_offset for node in ast.walk(tree) if isinstance(node, ast.Name)}
        return sorted(set(places) - own, key=places.__getitem__)

    def make(self) -> tuple[Any, Any]:
        """Return the operator and the model."""
        names = NAMES | globals()
        A = eval(self.code, names)
        A = A[0] if isinstance(A, tuple) else A
        return A, np.asarray(eval(self.x, names | {"A": A}))


NAMES = {
    name: getattr(package, name)
    for package in (
        torchlops.basicoperators,
        torchlops.signalprocessing,
        torchlops.waveeqprocessing,
        torchlops.avo,
        torchlops.medical,
    )
    for name in package.__all__
}
NAMES |= {name: getattr(torchlops, name) for name in ("TorchOperator", "aslinearoperator")}

PHOTO = {"x": "camera", "says": "a photograph"}
LINE = {"x": "signal", "says": "a step, a bump and a ramp"}
VOLUME = {"x": "volume", "says": "four slices of a head"}
SECTION = {"section": True, "axes": (("trace", "time"), ("trace", "time"))}
GATHER = {"section": True, "axes": (("receiver", "time"), ("receiver", "time"))}
RADON = {"section": True, "axes": (("slope", "time"), ("offset", "time"))}
WAVES = {"section": True, "axes": (("x", "depth"), ("receiver", "time"))}
STACKING = {"section": True, "axes": (("offset", "time"), ("slope", "time"))}


def along_spokes(A: Any, y: Any) -> Any:  # noqa: ARG001
    """Return the data along each spoke, from edge to edge, as a row."""
    return np.abs(y).reshape(64, 96)


def curvelets(A: Any, y: Any) -> Any:
    """Return the curvelet coefficients of the finest scale as a row of planes, one a direction."""
    start, planes = 0, []
    for scale in A.transform.coefficient_shapes():
        planes = []
        for shape in (shape for direction in scale for shape in direction):
            planes.append(skimage.transform.resize(np.abs(y[start : start + np.prod(shape)].reshape(shape)), (48, 48)))
            start += np.prod(shape)
    return np.stack(planes[:: max(1, len(planes) // 4)][:4])


EXAMPLES = {
    # derivatives
    "FirstDerivative": Example("FirstDerivative((96, 96), axis=-1)", **PHOTO),
    "SecondDerivative": Example("SecondDerivative((96, 96), axis=0)", **PHOTO),
    "Gradient": Example("Gradient((96, 96), edge=True)", **PHOTO),
    "Laplacian": Example("Laplacian((96, 96))", **PHOTO),
    "FirstDirectionalDerivative": Example("FirstDirectionalDerivative((96, 96), v=np.array([0.6, -0.8]))", **PHOTO),
    "SecondDirectionalDerivative": Example("SecondDirectionalDerivative((96, 96), v=np.array([0.6, -0.8]))", **PHOTO),
    "CausalIntegration": Example("CausalIntegration(128)", "reflectivity", "a series of spikes"),
    # smoothing and convolution
    "Smoothing1D": Example("Smoothing1D(11, 128)", "signal + noise / 8", "a step, a bump and a ramp, with noise"),
    "Smoothing2D": Example("Smoothing2D((3, 11), (96, 96))", **PHOTO),
    "SmoothingND": Example("SmoothingND((3, 5, 5), (4, 48, 48), axes=(0, 1, 2))", **VOLUME),
    "Convolve1D": Example("Convolve1D(128, h=wavelet, offset=16)", "reflectivity", "a series of spikes"),
    "Convolve2D": Example("Convolve2D((96, 96), h=np.eye(15) / 15, offset=(7, 7))", **PHOTO),
    "ConvolveND": Example(
        "ConvolveND((4, 48, 48), h=np.ones((1, 1, 9)) / 9, offset=(0, 0, 4), axes=(0, 1, 2))", **VOLUME
    ),
    "NonStationaryConvolve1D": Example(
        "NonStationaryConvolve1D(128, hs=rickers, ih=(10, 110))",
        "reflectivity",
        "a series of spikes",
    ),
    "NonStationaryConvolve2D": Example(
        "NonStationaryConvolve2D((64, 64), hs=blurs, ihx=(8, 56), ihz=(8, 56))",
        "grid",
        "a grid of points",
    ),
    "NonStationaryConvolve3D": Example(
        "NonStationaryConvolve3D((4, 48, 48), hs=blurs[None, :, :, None], ihx=(0,), ihy=(8, 40), ihz=(8, 40))",
        **VOLUME,
    ),
    "NonStationaryFilters1D": Example(
        "NonStationaryFilters1D(reflectivity, hsize=25, ih=(10, 110))",
        "rickers",
        "two filters, Ricker wavelets of a high and a low frequency",
    ),
    "NonStationaryFilters2D": Example(
        "NonStationaryFilters2D(grid, hshape=(9, 9), ihx=(8, 56), ihz=(8, 56))",
        "blurs",
        "four Gaussian filters",
    ),
    # Fourier and other transforms
    "FFT": Example("FFT(128, real=True)", "chirp", "a chirp"),
    "FFT2D": Example("FFT2D((96, 96), fftshift_after=True)", **PHOTO, scale=4),
    "FFTND": Example("FFTND((4, 48, 48), fftshift_after=True)", **VOLUME, scale=4),
    "NUFFT": Example("NUFFT((96, 96), spokes)", **PHOTO, scale=4, view=along_spokes),
    "NUFFTGram": Example("NUFFTGram((96, 96), spokes)", "spikes(96, 96, **POINTS)", "three points"),
    "DCT": Example("DCT((96, 96))", **PHOTO, scale=4),
    "Shift": Example(
        "Shift(128, shift=20.5, real=True)",
        "np.exp(-((n - 30) ** 2) / 60) - np.exp(-((n - 50) ** 2) / 20)",
        "two bumps",
    ),
    # wavelets and curvelets
    "DWT": Example('DWT(128, wavelet="db2", level=3)', **LINE),
    "DWT2D": Example('DWT2D((128, 128), wavelet="haar", level=3)', "shrunk(camera, 128, 128)", "a photograph", scale=2),
    "DWTND": Example(
        'DWTND((4, 64, 64), wavelet="haar", level=1)', "volume_of(4, 64, 64)", "four slices of a head", scale=2
    ),
    "DTCWT": Example(
        "DTCWT(128, level=3)",
        **LINE
        | {"says": "a step, a bump and a ramp; the real parts of the coefficients are blue, the imaginary ones orange"},
    ),
    "UDCT": Example("UDCT((96, 96), num_scales=3)", **PHOTO, scale=2, view=curvelets),
    # Radon transforms
    "Radon2D": Example(
        "Radon2D(t, h, slowness)", 'spikes(41, 64, **{"12 20": 1, "20 40": -1, "33 30": 0.8})', "three points", **RADON
    ),
    "Radon3D": Example(
        "Radon3D(t, lines, lines, few, few)",
        'spikes(49, 64, **{"10 16": 1, "24 32": -1, "40 44": 1})',
        "three points",
        section=True,
        axes=(("slopes", "time"), ("offsets", "time")),
    ),
    "FourierRadon2D": Example(
        'FourierRadon2D(t, h, slowness / 150, nfft=128, kind="parabolic")',
        'Convolve1D((41, 64), wavelet, 16) @ spikes(41, 64, **{"26 12": 1, "20 40": 1, "36 24": -1})',
        "three wavelets",
        **RADON,
    ),
    "FourierRadon3D": Example(
        "FourierRadon3D(t, lines, lines, few, few, nfft=128)",
        'spikes(7, 7, 64, **{"1 2 16": 1, "3 3 32": -1, "5 5 44": 1})',
        "three points",
        section=True,
        view=lambda _, y: y[::4],
        axes=(("slopes", "time"), ("offsets", "time")),
    ),
    "ChirpRadon2D": Example("ChirpRadon2D(t, h, pmax=1.2)", "linear", "three lines", **STACKING),
    "ChirpRadon3D": Example(
        "ChirpRadon3D(t, lines, lines, pmax=(2.0, 2.0))",
        "planes",
        "two planes",
        section=True,
        view=lambda _, y: y[1::3],
        axes=(("offsets", "time"), ("slopes", "time")),
    ),
    "Spread": Example(
        "Spread((3, 64), (41, 64), table=tables.round())",
        'spikes(3, 64, **{"0 10": 1, "1 24": -1, "2 40": 1})',
        "one point for each of three velocities",
        section=True,
        axes=(("velocity", "time"), ("offset", "time")),
    ),
    # interpolation
    "Interp": Example(
        'Interp(24, np.arange(0, 22.9, 0.3), kind="sinc")', "samples", "a few samples", at="np.arange(0, 22.9, 0.3)"
    ),
    "LinearInterpolation": Example(
        'Interp(8, np.arange(0, 6.9, 0.1), kind="linear")', "samples[::3]", "a few samples", at="np.arange(0, 6.9, 0.1)"
    ),
    "SincInterpolation": Example(
        'Interp(24, np.array([2.5, 3.2, 7, 9.9, 12.3, 15.8, 20.1]), kind="sinc")',
        "samples",
        "a few samples",
        at="np.array([2.5, 3.2, 7, 9.9, 12.3, 15.8, 20.1])",
    ),
    "InterpCubicSpline": Example(
        "InterpCubicSpline(8, np.arange(0, 6.9, 0.1))", "samples[::3]", "a few samples", at="np.arange(0, 6.9, 0.1)"
    ),
    "Bilinear": Example(
        "Bilinear(rotation, (96, 96))",
        **PHOTO,
        view=lambda _, y: y.reshape(48, 48),
    ),
    "Restriction": Example("Restriction((96, 96), rows, axis=0)", **PHOTO),
    # sliding windows
    "Sliding1D": Example(
        "Sliding1D(FFT(32, real=True).H, dim=7 * 17, dimd=128, nwin=32, nover=16)",
        "A / chirp",
        "the spectra of the windows of a chirp",
        section=True,
        axes=(("window", "frequency"), ("", "")),
    ),
    "Sliding2D": Example(
        "Sliding2D(Radon2D(t, h[:17], slowness[::2]), dims=(63, 64), dimsd=(41, 64), nwin=17, nover=5)",
        'spikes(3, 21, 64, **{"0 6 40": 1, "1 10 20": -1, "2 15 36": 1})',
        "a point for each of three windows",
        section=True,
        axes=(("window, slope", "time"), ("offset", "time")),
    ),
    "Sliding3D": Example(
        "Sliding3D(DCT((6, 6, 64)).H, (12, 12, 64), (11, 11, 64), nwin=(6, 6), nover=(1, 1), nop=(6, 6, 64))",
        "A / planes",
        "the cosine transforms of windows of two planes",
        section=True,
        scale_of_model=2,
        view=lambda _, y: y[1::3],
    ),
    "Patch2D": Example(
        "Patch2D(DCT((20, 20)).H, (120, 120), (95, 95), nwin=(20, 20), nover=(5, 5), nop=(20, 20))",
        "A / camera[:95, :95]",
        "the cosine transforms of patches of a photograph",
        scale_of_model=4,
    ),
    "Patch3D": Example(
        "Patch3D(DCT((4, 16, 16)).H, (4, 64, 64), (4, 46, 46), nwin=(4, 16, 16), nover=(0, 6, 6), nop=(4, 16, 16))",
        "A / volume[:, 1:47, 1:47]",
        "the cosine transforms of patches of a head",
        scale_of_model=4,
    ),
    # seismic
    "Seislet": Example("Seislet(slopes, level=3)", "layers", "folded layers", **SECTION),
    "PWSprayer2D": Example(
        "PWSprayer2D((64, 64), slopes.T, radius=8)",
        'spikes(64, 64, **{"20 12": 1, "32 32": -1, "44 50": 1})',
        "three points",
    ),
    "PWSmoother2D": Example(
        "PWSmoother2D((64, 64), slopes.T, radius=6)",
        "layers.T + 0.3 * RANDOM.standard_normal((64, 64))",
        "folded layers, with noise",
    ),
    "Fredholm1": Example(
        "Fredholm1(integral, nz=96)",
        "np.stack([camera] * 4)",
        "four times a photograph",
    ),
    # wavefields
    "MDC": Example(
        "MDC(responses, 64, 1, twosided=False, prescaled=True)",
        "pulses[..., None]",
        "two pulses; ``G`` has a direct wave and an echo from every receiver to every source",
        flat=(64, 41),
        axes=(("receiver", "time"), ("source", "time")),
    ),
    # amplitudes and angles
    "AVOLinearModelling": Example(
        "AVOLinearModelling(angles, vsvp=0.5, nt0=64)",
        "contrasts",
        "contrasts of two velocities and density; angles from 0 to 45 degrees",
        axes=(("time", ""), ("angle", "time")),
    ),
    "PoststackLinearModelling": Example(
        "PoststackLinearModelling(wavelet, nt0=64, spatdims=64)",
        "strata",
        "the impedance of folded layers",
        axes=(("trace", "time"), ("trace", "time")),
    ),
    "PrestackLinearModelling": Example(
        "PrestackLinearModelling(wavelet, angles, nt0=64)",
        "np.cumsum(contrasts, axis=0)",
        "profiles of two velocities and density; angles from 0 to 45 degrees",
        axes=(("time", ""), ("angle", "time")),
    ),
    "PrestackWaveletModelling": Example(
        "PrestackWaveletModelling(np.cumsum(contrasts, axis=0), angles, nwav=33)",
        "wavelet",
        "a Ricker wavelet, for profiles of two velocities and density",
        section=True,
        flat=(48, 64),
        axes=(("time", ""), ("angle", "time")),
    ),
    # one-way waves and blending
    "PhaseShift": Example(
        "PhaseShift(1500.0, [0.0, 60.0], 64, freq, kx)", "hyperbolas.T", "three reflections, at two depths, 60 m apart"
    ),
    "PressureToVelocity": Example(
        "PressureToVelocity(64, 41, 0.004, 10.0, 1000.0, 1500.0, ntaper=3)", "hyperbolas", "three reflections", **GATHER
    ),
    "UpDownComposition2D": Example(
        "UpDownComposition2D(64, 41, 0.004, 10.0, 1000.0, 1500.0, ntaper=3, scaling=1.5e6)",
        "np.stack([linear, hyperbolas])",
        "linear events on their way down and reflections on their way up; the data are pressure and velocity",
        **GATHER,
    ),
    "UpDownComposition3D": Example(
        "UpDownComposition3D(64, (11, 11), 0.004, 20.0, 1000.0, 1500.0, ntaper=3, scaling=1.5e6)",
        "np.stack([planes, np.roll(planes, 20, -1)])",
        "plane waves on their way down and up, for receivers on a square; the data are pressure and velocity",
        **GATHER,
        flat=(2, 121, 64),
    ),
    "BlendingContinuous": Example(
        "BlendingContinuous(64, 41, 4, 0.004, [0.0, 0.11, 0.22, 0.35])",
        "shots",
        "four shots of 0.26 s, fired one or more tenths of a second apart",
        **GATHER,
    ),
    "BlendingGroup": Example(
        "BlendingGroup(64, 41, 4, 0.004, [[0.0, 0.0], [0.06, 0.09]], group_size=2, n_groups=2)",
        "shots",
        "four shots, of which the first two and the last two are recorded together",
        **GATHER,
    ),
    "BlendingHalf": Example(
        "BlendingHalf(64, 41, 4, 0.004, [[0.0, 0.0], [0.06, 0.09]], group_size=2, n_groups=2)",
        "shots",
        "two shots of each of two vessels, which are recorded together",
        **GATHER,
    ),
    # seismic waves
    "Kirchhoff": Example(
        'Kirchhoff(depths, places, times, sources, receivers, 1500.0, wavelet, 16, mode="analytic")',
        'spikes(80, 64, **{"18 20": 1, "40 34": -1, "62 48": 1})',
        "three points, seen by three shots of 40 receivers at the surface; the data are those of the middle shot",
        section=True,
        view=lambda _, y: y[1],
        axes=(("place", "depth"), ("receiver", "time")),
    ),
    # magnetic resonance imaging
    "MRI2D": Example("MRI2D((96, 96), sampled)", "phantom", "a phantom of a head", scale=4),
    "Sensitivity": Example("Sensitivity(coils)", "phantom", "a phantom of a head"),
    # tomography
    "CT2D": Example(
        "CT2D((96, 96), 1.0, 136, np.linspace(0, np.pi, 120, endpoint=False))",
        "phantom",
        "a phantom of a head; the data are its sinogram, the adjoint smears them back along the rays",
        axes=(("x", "y"), ("detector", "view")),
    ),
    "CT3D": Example(
        "CT3D((4, 48, 48), (20, 96), cone_vectors(np.arange(40) * np.pi / 20, 90.0, 60.0))",
        "volume",
        "four slices of a head; four of its 40 cone-beam views are drawn",
        view=lambda _, y: y[::10],
        axes=(("x", "y"), ("column", "row")),
    ),
    "FBP": Example(
        "FBP(CT2D((96, 96), 1.0, 136, np.linspace(0, np.pi, 120, endpoint=False)))",
        "A.projector(phantom)",
        "the sinogram of a head, from which it is reconstructed",
        axes=(("detector", "view"), ("x", "y")),
    ),
    "FDK": Example(
        "FDK(CT3D((4, 48, 48), (20, 96), cone_vectors(np.arange(90) * np.pi / 45, 90.0, 60.0)))",
        "A.projector(volume)",
        "cone-beam views of four slices of a head, which are reconstructed; the first four of 90 views are drawn",
        axes=(("column", "row"), ("x", "y")),
    ),
    # stacks and algebra
    "VStack": Example(
        "VStack([FirstDerivative((96, 96), axis=0), Smoothing2D(9, (96, 96))])", **PHOTO, flat=(2, 96, 96)
    ),
    "HStack": Example(
        "HStack([Identity((96, 96)), Smoothing2D(9, (96, 96))])",
        "np.stack([camera, coins]).ravel()",
        "two photographs",
        flat=(2, 96, 96),
    ),
    "Block": Example(
        "Block([[Identity((96, 96)), None], [Smoothing2D(9, (96, 96)), Flip((96, 96))]])",
        "np.stack([camera, coins]).ravel()",
        "two photographs",
        flat=(2, 96, 96),
    ),
    "BlockDiag": Example(
        "BlockDiag([Smoothing2D(9, (96, 96)), Laplacian((96, 96))])", "np.stack([camera, coins])", "two photographs"
    ),
    "Kronecker": Example(
        "Kronecker(FirstDerivative(96), Smoothing1D(15, 96))", "camera.ravel()", "a photograph", flat=(96, 96)
    ),
    "AdjointOperator": Example("CausalIntegration(128).H", "reflectivity", "a series of spikes"),
    "TransposedOperator": Example(
        "Convolve1D(128, h=np.exp(-np.arange(24) / 8)).T", "reflectivity", "a series of spikes"
    ),
    "ConjugatedOperator": Example(
        "FFT(128, fftshift_after=True).conj()",
        "np.exp(0.8j * n - (n - 64) ** 2 / 300)",
        "a complex wave packet",
        complex="parts",
    ),
    "PartOperator": Example("FFT(128, fftshift_after=True).toreal()", "chirp", "a chirp"),
    "ColumnsOperator": Example(
        "Convolve1D(128, h=wavelet, offset=16).apply_columns([20, 60, 90])",
        "np.array([1, 0.5, -1])",
        "the weights of three columns",
    ),
    "ScaledOperator": Example("-2 * Smoothing1D(11, 128)", **LINE),
    "SumOperator": Example("Identity((96, 96)) - 0.4 * Laplacian((96, 96))", **PHOTO),
    "ProductOperator": Example("Laplacian((96, 96)) @ Smoothing2D(5, (96, 96))", **PHOTO),
    "PowerOperator": Example("Smoothing2D(5, (96, 96)) ** 4", **PHOTO),
    "IdentityOperator": Example("Smoothing2D(5, (96, 96)) ** 0", **PHOTO),
    # waves
    "AcousticBorn": Example(
        "AcousticBorn(survey, medium, survey.ricker())",
        "reflectors",
        "two reflectors, as changes of the velocity; one shot in the middle, and receivers along the surface",
        view=lambda _, y: y[0],
        **WAVES,
    ),
    "AcousticWave2D": Example(
        "AcousticWave2D((64, 48), (0, 0), (10, 10), medium, [320.0], 20.0, np.arange(40.0, 600.0, 10.0), 20.0, 0.0, "
        "500.0, f0=18.0)",
        "-2e6 * reflectors / medium**3",
        "two reflectors, as changes of the squared slowness; one shot in the middle",
        view=lambda _, y: y[0],
        **WAVES,
    ),
    # regression
    "Regression": Example(
        "Regression(np.linspace(-1, 1, 60), order=3)", "np.array([0.2, -1, 0.1, 1.6])", "four coefficients"
    ),
    "LinearRegression": Example(
        "LinearRegression(np.linspace(0, 2, 60))", "np.array([1, -0.7])", "an intercept and a slope"
    ),
    # elementary operators
    "Identity": Example("Identity(128, 96)", "signal[:96]", "a step and a bump"),
    "Zero": Example("Zero((96, 96))", **PHOTO),
    "Diagonal": Example("Diagonal(np.outer(np.hanning(96), np.hanning(96)))", **PHOTO),
    "MatrixMult": Example("MatrixMult(matrix)", **LINE),
    "Pad": Example("Pad((96, 96), ((10, 20), (30, 0)))", **PHOTO),
    "Flip": Example("Flip((96, 96))", **PHOTO),
    "Roll": Example("Roll((96, 96), shift=30)", **PHOTO),
    "Transpose": Example("Transpose((96, 96), axes=(1, 0))", **PHOTO),
    "Sum": Example("Sum((96, 96), axis=0)", **PHOTO),
    "Symmetrize": Example("Symmetrize((96, 96))", **PHOTO),
    "Real": Example("Real(128)", "spiral", "a complex exponential", complex="parts"),
    "Imag": Example("Imag(128)", "spiral", "a complex exponential", complex="parts"),
    "Conj": Example("Conj(128)", "spiral", "a complex exponential", complex="parts"),
    "FunctionOperator": Example(
        "FunctionOperator(np.cumsum, lambda y: np.cumsum(y[::-1])[::-1], 128)", "reflectivity", "a series of spikes"
    ),
    "aslinearoperator": Example("aslinearoperator((np.fliplr, np.fliplr), dims=(96, 96))", **PHOTO),
    "TorchOperator": Example("TorchOperator(Smoothing2D(9, (96, 96)))", **PHOTO),
    "MemoizeOperator": Example("MemoizeOperator(Smoothing2D(9, (96, 96)))", **PHOTO),
    "ToDevice": Example('ToDevice((96, 96), device="cpu")', **PHOTO),
    "ToCupy": Example("ToCupy((96, 96))", **PHOTO),
}
"""The examples, in the order of the families."""
