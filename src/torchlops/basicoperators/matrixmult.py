"""Multiplication by a matrix. It is defined beside ``aslinearoperator``, which converts matrices to it."""

from torchlops.torchoperator import MatrixMult

__all__ = ["MatrixMult"]
