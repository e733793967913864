"""``ToCupy``, under the name of PyLops's module."""

from torchlops.basicoperators.todevice import ToCupy

__all__ = ["ToCupy"]
