"""Operators of torchlops in the terms of other packages; JAX and PyTensor have modules of their own, as in PyLops."""

from torchlops.interop.deepinverse import as_linear_physics
from torchlops.interop.deepwave import DeepwaveBorn
from torchlops.interop.gpytorch import as_gpytorch_operator

__all__ = ["DeepwaveBorn", "as_gpytorch_operator", "as_linear_physics"]
