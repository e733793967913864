"""What goes around operators: tests, wavelets, tapers, metrics."""

from torchlops.utils.dottest import dottest
from torchlops.memory import reuse_memory

__all__ = ["dottest", "reuse_memory"]
