"""Multiplication by a matrix; it stands in the gateway, which makes one of every matrix."""

from torchlops.torchoperator import MatrixMult

__all__ = ["MatrixMult"]
