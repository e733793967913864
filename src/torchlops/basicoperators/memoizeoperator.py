"""An operator that caches its results."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torchlops.arrays import to_numpy
from torchlops.attributes import Computed
from torchlops.linearoperator import FIRST_PART, CompositeOperator, LinearOperator
from torchlops.torch_internals import is_batched_by_legacy_vmap, is_plain_eager, is_wrapped
from torchlops.torchoperator import aslinearoperator


class MemoizeOperator(CompositeOperator):
    """An operator that caches its last results.

    A cached result is returned if the input has the same shape, dtype and values. (PyLops compares inputs with
    ``numpy.allclose``, and keeps forward and adjoint results in one cache, so that its :math:`A^H A x` is ``x``.)

    The cache is used only in plain eager execution without gradients. When a gradient is tracked, in ``torch.func``
    transforms, in forward-mode differentiation and in ``torch.compile``, every call computes its result, so that all
    derivatives are exact. The cache is cleared when a tensor of the operator is replaced or changed in place. Changes
    that torch cannot detect (through ``.data``, or of the NumPy array from which a tensor was made) are not noticed.
    On a GPU, each comparison synchronizes with the device.

    Forward:
        That of the operator, :math:`y = A x`.

    Adjoint:
        That of the operator, :math:`A^H y`.

    Args:
        Op: The operator.
        max_neval: Maximum number of cached results, for the forward and for the adjoint each; the oldest is dropped
            first. Use ``numpy.inf`` for no limit.

    Attributes:
        neval: Number of results computed and cached so far.

    Raises:
        ValueError: If ``max_neval`` is negative.

    Example:
        >>> import torchlops
        >>> A = MemoizeOperator(torchlops.Flip(3))
        >>> x = torch.tensor([1.0, 2.0, 3.0])
        >>> A(x), A(x.clone()), A.neval
        (tensor([3., 2., 1.]), tensor([3., 2., 1.]), 1)
    """

    Op = FIRST_PART
    store = Computed(lambda self: [tuple(map(to_numpy, pair)) for pair in (*self._store[0], *_swapped(self._store[1]))])

    def __init__(self, Op: LinearOperator | Any, max_neval: float = 10) -> None:
        if max_neval < 0:
            raise ValueError(f"MemoizeOperator: max_neval must be 0 or more, got {max_neval}")
        part = aslinearoperator(Op)
        super().__init__((part,), dims=part.dims, dimsd=part.dimsd, name=part.name, real_model=part.real_model)
        self.max_neval = max_neval
        self.neval = 0
        self.forget()

    def forget(self) -> None:
        """Clear the cache."""
        self._store: tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor]]] = [], []
        self._seen: list[tuple[Tensor, Tensor, int]] = []

    def _forward(self, x: Tensor) -> Tensor:
        return self._recall(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._recall(y, True)

    def _recall(self, x: Tensor, adjoint: bool) -> Tensor:
        part = self.operators[0]
        if not self._may_remember(x):
            return part.apply_nd(x, adjoint)
        if not self._is_unchanged():
            self.forget()
            self._seen = [(tensor, tensor.detach(), tensor._version) for tensor in self._all_tensors()]
        store = self._store[adjoint]
        for known, result in store:
            if known.shape == x.shape and known.dtype == x.dtype and known.device == x.device and torch.equal(known, x):
                return result.clone()
        y = part.apply_nd(x, adjoint)
        self.neval += 1
        store.append((x.clone(), y.clone()))
        if len(store) > self.max_neval:
            del store[0]
        return y

    def _may_remember(self, x: Tensor) -> bool:
        """Return whether the cache may be used, which is so in plain eager execution without gradients."""
        if torch.compiler.is_compiling() or not is_plain_eager():
            return False
        tensors = (x, *self._all_tensors())
        return (
            not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors))
            and not any(tensor.is_meta or tensor.is_inference() for tensor in tensors)
            and all(type(tensor) in (Tensor, nn.Parameter) for tensor in tensors)
            and not any(is_wrapped(tensor) or is_batched_by_legacy_vmap(tensor) for tensor in tensors)
        )

    def _is_unchanged(self) -> bool:
        """Return whether the tensors of the operator are those with which the results were computed."""
        now = self._all_tensors()
        return len(now) == len(self._seen) and all(
            tensor is known and tensor._version == version and tensor.data_ptr() == values.data_ptr()
            for tensor, (known, values, version) in zip(now, self._seen, strict=True)
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_store": ([], []), "_seen": []}

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, max_neval={self.max_neval}"


def _swapped(pairs: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """Return pairs of data and model as pairs of model and data."""
    return [(x, y) for y, x in pairs]
