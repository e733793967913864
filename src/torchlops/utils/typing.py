"""Types, by the names with which code written for PyLops annotates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

__all__ = [
    "ArrayLike",
    "DTypeLike",
    "InputDimsLike",
    "IntNDArray",
    "NDArray",
    "SamplingLike",
    "ShapeLike",
    "TensorTypeLike",
]

# arrays
ArrayLike = npt.ArrayLike
DTypeLike = npt.DTypeLike
NDArray = npt.NDArray[np.number[Any]]
IntNDArray = npt.NDArray[np.integer[Any]]
FloatingNDArray = npt.NDArray[np.floating[Any]]
InexactNDArray = npt.NDArray[np.inexact[Any]]
TensorTypeLike = torch.Tensor

# shapes and samplings
ShapeLike = tuple[int, ...]
InputDimsLike = Sequence[int] | IntNDArray
SamplingLike = Sequence[float] | FloatingNDArray

# the values of PyLops's options
Tavolinearization = Literal["akirich", "fatti", "PS"]
Tbackend = Literal["numpy", "cupy"]
Tctengine = Literal["cpu", "cuda"]
Tctprojectortype = Literal["strip", "line", "linear", "cuda"]
Tctprojgeom = Literal["parallel", "fanflat"]
Tderivkind = Literal["forward", "centered", "backward"]
Tengine_nn = Literal["numpy", "numba"]
Tengine_nnc = Literal["numpy", "numba", "cuda"]
Tfftengine_ncj = Literal["numpy", "cupy", "jax"]
Tfftengine_nfsm = Literal["numpy", "fftw", "scipy", "mkl_fft"]
Tfftengine_ns = Literal["numpy", "scipy"]
Tfftengine_nsf = Literal["numpy", "scipy", "fftw"]
Tfftengine_nsm = Literal["numpy", "scipy", "mkl_fft"]
Tfftnorm = Literal["ortho", "none", "1/n"]
Tinoutengine = tuple[Tfftengine_ncj, Tfftengine_ncj]
Tirlskind = Literal["data", "model", "datamodel"]
Tmemunit = Literal["B", "KB", "MB", "GB"]
Tmriengine = Literal["numpy", "jax"]
Tmrimask = Literal["vertical-reg", "vertical-uni", "radial-reg", "radial-uni"]
Tparallel_kind = Literal["multiproc", "multithread"]
Tpwdsmoothing = Literal["triangle", "boxcar"]
Tsampler = Literal["gaussian", "rayleigh", "rademacher", "unitvector"]
Tsampler2 = Literal["gaussian", "rayleigh", "rademacher"]
Tsolverengine = Literal["scipy", "pylops"]
Ttaper = Literal["hanning", "cosine", "cosine_square"]
Tthreshkind = Literal["hard", "soft", "half", "hard-percentile", "soft-percentile", "half-percentile"]
