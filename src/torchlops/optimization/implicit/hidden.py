"""Tensors that an operator computes with and does not register: their derivatives would be lost."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from torchlops.arrays import real_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.rebind import MappedOperator, own_tensors, rebound
from torchlops.optimization.implicit.tangents import constant
from torchlops.torch_internals import is_mapped, is_plain_eager, is_wrapped, requires_gradient


def refuse_hidden_tensors(A: LinearOperator, batch: Sequence[int] = ()) -> None:
    """Raise where an operator, whose own tensors have no graph, computes with one that has.

    Args:
        A: The operator.
        batch: Shape of the batch that it is applied to: it may have tensors per sample.

    Raises:
        ValueError: then.
    """
    with torch.enable_grad():
        out = _image_of_zero(A, batch, own_tensors([A]))
    if out.requires_grad or is_wrapped(out):
        raise _hidden_tensor(A)


def refuse_tensors_of_transforms(operators: Sequence[LinearOperator], batch: Sequence[int] = ()) -> None:
    """Raise where an operator computes with a tensor that it does not register and that a transform differentiates.

    A transform of ``torch.func`` takes its tensors off before a rule of differentiation runs, which then sees nothing.

    Raises:
        ValueError: then.
    """
    if is_plain_eager():
        return
    theta = own_tensors(operators)
    for A in rebound(tuple(operators), theta, [constant(tensor) for tensor in theta]):
        if isinstance(A, MappedOperator):
            continue
        out = _image_of_zero(A, batch, theta)
        if requires_gradient(out) or (is_mapped(out) and not any(map(is_mapped, theta))):
            raise _hidden_tensor(A)


def _image_of_zero(A: LinearOperator, batch: Sequence[int], theta: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return ``A 0``, on the device of the tensors ``theta``."""
    device = next((tensor.device for tensor in theta), torch.device("cpu"))
    return A.apply_nd(torch.zeros((*batch, *A.dims), dtype=real_dtype(A._torch_dtype()), device=device), False)


def _hidden_tensor(A: LinearOperator) -> ValueError:
    return ValueError(
        f"{A.name_and_type} computes with a tensor that requires a gradient, or is mapped over, and that is none of "
        "its parameters or buffers: that would be lost. Register the tensor (self._register in a LinearOperator), or "
        "differentiate the iterations, with grad='unroll'."
    )
