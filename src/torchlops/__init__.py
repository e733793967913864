"""Linear operators for inverse problems that PyTorch differentiates exactly."""

from torchlops import basicoperators, signalprocessing, utils
from torchlops.basicoperators import *  # noqa: F403
from torchlops.basicoperators import __all__ as _basic
from torchlops.linearoperator import LinearOperator
from torchlops.torchoperator import TorchOperator, aslinearoperator
from torchlops.utils.dottest import dottest

__version__ = "0.1.0"

__all__ = [
    "LinearOperator",
    "TorchOperator",
    "aslinearoperator",
    "basicoperators",
    "dottest",
    "signalprocessing",
    "utils",
]
__all__ += _basic
