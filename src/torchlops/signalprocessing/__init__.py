"""Operators of signal processing: convolutions and transforms."""

from torchlops.signalprocessing.convolve1d import Convolve1D
from torchlops.signalprocessing.convolve2d import Convolve2D
from torchlops.signalprocessing.convolvend import ConvolveND
from torchlops.signalprocessing.fft import FFT
from torchlops.signalprocessing.fft2d import FFT2D
from torchlops.signalprocessing.fftnd import FFTND

__all__ = [
    "FFT",
    "FFT2D",
    "FFTND",
    "Convolve1D",
    "Convolve2D",
    "ConvolveND",
]
