"""What a case is: one operator, how it is built here and in PyLops, and what it may opt out of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

import torchlops
from torchlops import LinearOperator


@dataclass(frozen=True)
class Case:
    """One operator to hold to every promise.

    Attributes:
        name: The class, then what is special: ``"FirstDerivative centered order 5 edge"``.
        build: Builds the operator from a namespace (torchlops, or PyLops as the oracle: names and arguments
            are the same) and the tensors (NumPy arrays for PyLops).
        tensors: The tensors that the operator is built from, float64 or complex128, each of which carries
            gradients.
        oracle: True where PyLops 2.8.0 gives the right answer; otherwise why it does not.
        opt_out: Promises (names of the tests) that do not hold, each with its reason, which is printed.
        twin: Builds the PyLops operator where its call differs from ``build``.
    """

    name: str
    build: Callable[..., Any]
    tensors: Sequence[Tensor] = ()
    oracle: bool | str = True
    opt_out: Mapping[str, str] = field(default_factory=dict)
    twin: Callable[..., Any] | None = None

    @property
    def class_name(self) -> str:
        """The class of the operator."""
        return re.split(r"\W", self.name, maxsplit=1)[0]

    def make(self, *tensors: Tensor) -> LinearOperator:
        """Return a fresh operator, built from ``tensors`` in the place of the case's own."""
        operator: LinearOperator = self.build(torchlops, *(tensors or [tensor.clone() for tensor in self.tensors]))
        return operator

    def make_pylops(self, pylops: ModuleType) -> Any:
        """Return PyLops's operator."""
        build = self.twin or self.build
        return build(pylops, *(tensor.numpy() for tensor in self.tensors))


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return a fixed random tensor, for filters, diagonals and matrices."""
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))
