"""Operators of signal processing: convolutions and transforms."""

from torchlops.signalprocessing import _baseffts, interpspline, pwd2d  # noqa: F401
from torchlops.signalprocessing.bilinear import Bilinear
from torchlops.signalprocessing.chirpradon2d import ChirpRadon2D
from torchlops.signalprocessing.chirpradon3d import ChirpRadon3D
from torchlops.signalprocessing.convolve1d import Convolve1D
from torchlops.signalprocessing.convolve2d import Convolve2D
from torchlops.signalprocessing.convolvend import ConvolveND
from torchlops.signalprocessing.dct import DCT
from torchlops.signalprocessing.densitycompensation import density_compensation as density_compensation
from torchlops.signalprocessing.dtcwt import DTCWT
from torchlops.signalprocessing.dwt import DWT
from torchlops.signalprocessing.dwt2d import DWT2D
from torchlops.signalprocessing.dwtnd import DWTND
from torchlops.signalprocessing.fft import FFT
from torchlops.signalprocessing.fft2d import FFT2D
from torchlops.signalprocessing.fftnd import FFTND
from torchlops.signalprocessing.fourierradon2d import FourierRadon2D
from torchlops.signalprocessing.fourierradon3d import FourierRadon3D
from torchlops.signalprocessing.fredholm1 import Fredholm1
from torchlops.signalprocessing.interp import Interp
from torchlops.signalprocessing.interpcubicspline import InterpCubicSpline
from torchlops.signalprocessing.nonstatconvolve1d import NonStationaryConvolve1D, NonStationaryFilters1D
from torchlops.signalprocessing.nonstatconvolve2d import NonStationaryConvolve2D, NonStationaryFilters2D
from torchlops.signalprocessing.nonstatconvolve3d import NonStationaryConvolve3D
from torchlops.signalprocessing.nufft import NUFFT
from torchlops.signalprocessing.nufftgram import NUFFTGram
from torchlops.signalprocessing.patch2d import Patch2D
from torchlops.signalprocessing.patch2d import patch2d_design as patch2d_design
from torchlops.signalprocessing.patch3d import Patch3D
from torchlops.signalprocessing.patch3d import patch3d_design as patch3d_design
from torchlops.signalprocessing.pwsmoother2d import PWSmoother2D
from torchlops.signalprocessing.pwsprayer2d import PWSprayer2D
from torchlops.signalprocessing.radon2d import Radon2D
from torchlops.signalprocessing.radon3d import Radon3D
from torchlops.signalprocessing.seislet import Seislet
from torchlops.signalprocessing.shift import Shift
from torchlops.signalprocessing.sliding1d import Sliding1D
from torchlops.signalprocessing.sliding1d import sliding1d_design as sliding1d_design
from torchlops.signalprocessing.sliding2d import Sliding2D
from torchlops.signalprocessing.sliding2d import sliding2d_design as sliding2d_design
from torchlops.signalprocessing.sliding3d import Sliding3D
from torchlops.signalprocessing.sliding3d import sliding3d_design as sliding3d_design
from torchlops.signalprocessing.udct import UDCT

__all__ = [
    "DCT",
    "DTCWT",
    "DWT",
    "DWT2D",
    "DWTND",
    "FFT",
    "FFT2D",
    "FFTND",
    "NUFFT",
    "UDCT",
    "Bilinear",
    "ChirpRadon2D",
    "ChirpRadon3D",
    "Convolve1D",
    "Convolve2D",
    "ConvolveND",
    "FourierRadon2D",
    "FourierRadon3D",
    "Fredholm1",
    "Interp",
    "InterpCubicSpline",
    "NUFFTGram",
    "NonStationaryConvolve1D",
    "NonStationaryConvolve2D",
    "NonStationaryConvolve3D",
    "NonStationaryFilters1D",
    "NonStationaryFilters2D",
    "PWSmoother2D",
    "PWSprayer2D",
    "Patch2D",
    "Patch3D",
    "Radon2D",
    "Radon3D",
    "Seislet",
    "Shift",
    "Sliding1D",
    "Sliding2D",
    "Sliding3D",
]
