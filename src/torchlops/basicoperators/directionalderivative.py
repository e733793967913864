"""Both directional derivatives, under the name of PyLops's module."""

from torchlops.basicoperators.firstdirectionalderivative import FirstDirectionalDerivative
from torchlops.basicoperators.seconddirectionalderivative import SecondDirectionalDerivative

__all__ = ["FirstDirectionalDerivative", "SecondDirectionalDerivative"]
