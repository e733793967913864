"""Linear operators for inverse problems that PyTorch differentiates exactly."""

from torchlops.linearoperator import LinearOperator

__all__ = ["LinearOperator"]
