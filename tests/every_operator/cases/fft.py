"""Cases of the Fourier transforms."""

from __future__ import annotations

import warnings
from typing import Any

from tests.every_operator.case import Case


def _truncated(lops: Any, kind: str, *args: Any, **kwargs: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both libraries warn of what these cases are about
        return getattr(lops.signalprocessing, kind)(*args, **kwargs)


CASES = [
    Case("FFT even", lambda lops: lops.signalprocessing.FFT(6)),
    Case("FFT odd none", lambda lops: lops.signalprocessing.FFT(5, norm="none")),
    Case("FFT 1/n padded shifted", lambda lops: lops.signalprocessing.FFT(4, nfft=7, norm="1/n", fftshift_after=True)),
    Case("FFT axis 0 of 2-D ifftshift", lambda lops: lops.signalprocessing.FFT((5, 2), axis=0, ifftshift_before=True)),
    Case(
        "FFT middle axis both shifts padded",
        lambda lops: lops.signalprocessing.FFT(
            (2, 3, 2), axis=1, nfft=4, ifftshift_before=True, fftshift_after=True, sampling=0.5
        ),
    ),
    Case("FFT truncated", lambda lops: _truncated(lops, "FFT", (2, 6), nfft=4, ifftshift_before=True)),
    Case("FFT one sample", lambda lops: lops.signalprocessing.FFT((3, 1))),
    Case("FFT two samples none", lambda lops: lops.signalprocessing.FFT((3, 2), norm="none")),
    Case("FFT real label", lambda lops: lops.signalprocessing.FFT(5, dtype="float64")),
    Case(
        "FFT real label none padded axis 0",
        lambda lops: lops.signalprocessing.FFT((3, 2), axis=0, nfft=4, norm="none", dtype="float64"),
    ),
    Case("FFT real even", lambda lops: lops.signalprocessing.FFT(6, real=True)),
    Case("FFT real odd none", lambda lops: lops.signalprocessing.FFT(5, real=True, norm="none")),
    Case("FFT real 1/n padded", lambda lops: lops.signalprocessing.FFT((2, 4), real=True, nfft=8, norm="1/n")),
    Case(
        "FFT real axis 0 ifftshift padded odd",
        lambda lops: lops.signalprocessing.FFT((4, 3), axis=0, real=True, nfft=5, ifftshift_before=True),
    ),
    Case("FFT real truncated", lambda lops: _truncated(lops, "FFT", 7, real=True, nfft=4, norm="none")),
    Case("FFT real shifted", lambda lops: _truncated(lops, "FFT", 6, real=True, fftshift_after=True)),
    Case("FFT real one sample", lambda lops: lops.signalprocessing.FFT(1, real=True)),
    Case("FFT real two samples axis 1", lambda lops: lops.signalprocessing.FFT((2, 2, 3), axis=1, real=True)),
    Case("FFT2D", lambda lops: lops.signalprocessing.FFT2D((4, 3))),
    Case(
        "FFT2D 1/n padded shifts of each axis",
        lambda lops: lops.signalprocessing.FFT2D(
            (3, 4), nffts=(5, None), norm="1/n", ifftshift_before=(True, False), fftshift_after=(False, True)
        ),
    ),
    Case("FFT2D axes (0, 2) of 3-D none", lambda lops: lops.signalprocessing.FFT2D((3, 2, 3), (0, 2), norm="none")),
    Case("FFT2D real label", lambda lops: lops.signalprocessing.FFT2D((2, 3), dtype="float64")),
    Case("FFT2D real even", lambda lops: lops.signalprocessing.FFT2D((3, 4), real=True)),
    Case(
        "FFT2D real odd none padded",
        lambda lops: lops.signalprocessing.FFT2D((2, 5), nffts=(4, 7), real=True, norm="none"),
    ),
    Case(
        "FFT2D real last over axis 0 of 3-D shifted",
        lambda lops: lops.signalprocessing.FFT2D(
            (4, 2, 3), axes=(2, 0), real=True, ifftshift_before=True, fftshift_after=(True, False)
        ),
    ),
    Case("FFT2D truncated", lambda lops: _truncated(lops, "FFT2D", (4, 3), nffts=(3, 5))),
    Case("FFT2D real truncated", lambda lops: _truncated(lops, "FFT2D", (3, 6), nffts=(2, 4), real=True, norm="1/n")),
    Case("FFT2D one and two samples", lambda lops: lops.signalprocessing.FFT2D((1, 2), real=True)),
    Case("FFTND", lambda lops: lops.signalprocessing.FFTND((2, 3, 2))),
    Case("FFTND one axis none", lambda lops: lops.signalprocessing.FFTND((2, 5), axes=0, norm="none")),
    Case("FFTND one dimension 1/n", lambda lops: lops.signalprocessing.FFTND(6, axes=(0,), norm="1/n", nffts=7)),
    Case("FFTND real label", lambda lops: lops.signalprocessing.FFTND((2, 2, 3), dtype="float64")),
    Case("FFTND real", lambda lops: lops.signalprocessing.FFTND((2, 3, 4), real=True)),
    Case(
        "FFTND real padded shifted none",
        lambda lops: lops.signalprocessing.FFTND(
            (2, 3, 3),
            nffts=(3, None, 4),
            real=True,
            norm="none",
            ifftshift_before=(False, True, True),
            fftshift_after=(True, True, False),
            sampling=(1.0, 0.5, 2.0),
        ),
    ),
    Case(
        "FFTND real one axis in the middle", lambda lops: lops.signalprocessing.FFTND((2, 4, 3), axes=(1,), real=True)
    ),
    Case("FFTND real truncated", lambda lops: _truncated(lops, "FFTND", (2, 3, 4), nffts=(3, 2, 3), real=True)),
]
