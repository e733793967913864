"""Helpers around operators: tests, wavelets, tapers, metrics."""

from torchlops.memory import reuse_memory
from torchlops.utils.dottest import dottest

__all__ = ["dottest", "reuse_memory"]
