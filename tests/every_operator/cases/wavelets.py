"""Cases of the cosine, wavelet and curvelet transforms."""

from __future__ import annotations

import warnings

from tests.every_operator.case import Case

DEAD = "PyLops's needs the package dtcwt, which does not run with NumPy 2 (defect 28)"
INVERSE = "PyLops gives the inverse for the adjoint, which it is not in this mode: its dot test fails"


def _case(name: str, *args: object, oracle: bool | str = True, **options: object) -> Case:
    operator = name.split()[0]

    def build(lops):
        return getattr(lops.signalprocessing, operator)(*args, **options)

    def twin(lops):
        warnings.filterwarnings("ignore", message="Level value of")  # too high a one: PyWavelets takes it all the same
        return build(lops)

    return Case(name, build, oracle=oracle, twin=twin)


CASES = [
    _case("DCT", 5),
    _case("DCT by FFT", 66),
    _case("DCT type 1", 4, type=1),
    _case("DCT type 1 two samples", (3, 2), type=1, axes=-1),
    _case("DCT type 3 of all axes", (2, 3), type=3),
    _case("DCT type 4", (2, 3, 4), type=4, axes=(0, 2)),
    _case("DCT axis 0", (3, 2), axes=0, workers=2),
    _case("DCT one sample", 1),
    _case("DWT", 8),
    _case("DWT of an odd number of samples", 5, wavelet="db2", level=2),
    _case("DWT of several blocks", 32, wavelet="sym3", level=2),
    _case("DWT biorthogonal axis 0", (3, 2), axis=0, wavelet="bior2.2", level=1),
    _case("DWT longer than the signal", (2, 4), wavelet="coif2", level=2),
    _case("DWT no level", 3, level=0),
    _case("DWT one sample", 1, level=2, wavelet="rbio1.3"),
    _case("DWT2D", (4, 4), wavelet="db2", level=2),
    _case("DWT2D odd axes of three", (3, 2, 3), axes=(2, 0), wavelet="bior1.3"),
    _case("DWT2D no level", (2, 3), level=0),
    _case("DWTND", (2, 3, 2), wavelet="db2"),
    _case("DWTND one axis", (2, 3), axes=(0,), wavelet="sym2"),
    _case("DWTND two levels", (2, 2, 4), axes=(2, 1), level=2),
    _case("DTCWT", 8, level=2, oracle=DEAD),
    _case("DTCWT doubled ends axis 0", (6, 2), level=3, axis=0, oracle=DEAD),
    _case("DTCWT long filters", (2, 10), biort="near_sym_b", qshift="qshift_b", level=2, oracle=DEAD),
    _case("DTCWT one level", (2, 2), biort="legall", level=1, include_scale=True, oracle=DEAD),
    _case("UDCT", (4, 4), num_scales=2),
    _case("UDCT three scales", (8, 4)),
    _case("UDCT complex", (4, 4), num_scales=2, transform_kind="complex"),
    _case("UDCT wavelet at the finest scale", (4, 4), num_scales=2, high_frequency_mode="wavelet", oracle=INVERSE),
]
