"""Operators as those of ``linear_operator``, the matrices of GPyTorch."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from torchlops.extras import import_extra
from torchlops.linalg import diagonal
from torchlops.linearoperator import LinearOperator
from torchlops.torchoperator import aslinearoperator


def as_gpytorch_operator(Op: Any) -> Any:
    """Return a real operator as a ``linear_operator.LinearOperator``, for the solvers and determinants of GPyTorch.

    It represents the matrix of the operator, on flattened models. Gradients reach the tensors of the operator.

    Args:
        Op: The operator: anything that :func:`~torchlops.aslinearoperator` takes.

    Raises:
        ImportError: If ``linear_operator`` is not installed.
        ValueError: If the operator is complex: GPyTorch's matrices are real.

    Example:
        >>> import torch, torchlops
        >>> A = as_gpytorch_operator(torchlops.Diagonal(torch.tensor([1.0, 2.0, 4.0])))  # doctest: +SKIP
        >>> A.diagonal()  # doctest: +SKIP
        tensor([1., 2., 4.])
    """
    A = aslinearoperator(Op)
    if A._torch_dtype().is_complex:
        raise ValueError(f"GPyTorch's matrices are real, and {A.name_and_type} is of {A._torch_dtype()}")
    like = torch.empty(0, dtype=A._torch_dtype(), device=A._device())
    return _matrix_class()(like, *_real_tensors(A).values(), operator=A)


def _real_tensors(A: nn.Module) -> dict[str, Tensor]:
    tensors = {**dict(A.named_parameters()), **dict(A.named_buffers())}
    return {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}


class _Matrix:
    """The methods that ``linear_operator.LinearOperator`` asks for.

    Its arguments are what GPyTorch differentiates: a tensor of the dtype and device, and the tensors of the operator.
    """

    _args: tuple[Tensor, ...]
    _nondifferentiable_kwargs: dict[str, LinearOperator]

    @property
    def _operator(self) -> LinearOperator:
        return self._nondifferentiable_kwargs["operator"]

    def _size(self) -> torch.Size:
        return torch.Size(self._operator.shape)

    def _matmul(self, rhs: Tensor) -> Tensor:
        A = self._operator
        rows = rhs.mT if rhs.ndim > 1 else rhs
        y = self._call(A, rows.reshape(*rows.shape[:-1], *A.dims)).reshape(*rows.shape[:-1], A.shape[0])
        return y.mT if rhs.ndim > 1 else y

    def _transpose_nonbatch(self) -> Any:
        return type(self)(*self._args, operator=self._operator.T)  # type: ignore[call-arg]

    def _diagonal(self) -> Tensor:
        return self._call(_Diagonal(self._operator))

    def _call(self, module: nn.Module, *arguments: Tensor) -> Tensor:
        """Call a module of the operator, with the tensors that GPyTorch gave in place of its own."""
        tensors = dict(zip(_real_tensors(module), self._args[1:], strict=True))
        result: Tensor = torch.func.functional_call(module, tensors, arguments)
        return result


class _Diagonal(nn.Module):
    def __init__(self, operator: LinearOperator) -> None:
        super().__init__()
        self.operator = operator

    def forward(self) -> Tensor:
        return diagonal(self.operator)


@functools.cache
def _matrix_class() -> Any:
    base = import_extra("linear_operator", "as_gpytorch_operator").LinearOperator
    return type("OperatorMatrix", (_Matrix, base), {})
