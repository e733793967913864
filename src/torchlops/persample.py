"""One operator per sample of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.linearoperator import LinearOperator


class PerSampleOperator(LinearOperator):
    r"""Operators of one kind, one per sample: :math:`y_s = A_s x_s`, with the adjoint :math:`A_s^H y_s`.

    Created by :func:`per_sample`.

    Args:
        build: Function that builds the operator of one sample.
        tensors: The tensors to build the operators from, each ``(samples, ...)``.
    """

    def __init__(self, build: Callable[..., LinearOperator], tensors: tuple[Tensor | NDArray[Any], ...]) -> None:
        values = [tensor if isinstance(tensor, Tensor) else torch.from_numpy(tensor) for tensor in tensors]
        shapes = [tuple(value.shape) for value in values]
        counts = {shape[0] if shape else 0 for shape in shapes}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(
                "per_sample takes at least one tensor, each of shape (samples, ...) with the same number of samples, "
                f"got shapes {shapes}"
            )
        (samples,) = counts
        first = build(*(value.detach()[0] for value in values))
        if not isinstance(first, LinearOperator):
            raise TypeError(f"per_sample takes a function that builds an operator, but it returned {type(first)}")
        super().__init__(
            (samples, *first.dims),
            (samples, *first.dimsd),
            dtype=first._torch_dtype(),
            clinear=first.clinear,
            real_model=first.real_model,
            name=first.name,
        )
        self.build = build
        self._expression = first.expression()
        self._names = tuple(f"tensor{i}" for i in range(len(values)))
        for name, value in zip(self._names, values, strict=True):
            if value.is_floating_point() or value.is_complex():
                self._register(name, value)
            else:  # indices and masks
                self.register_buffer(name, value)

    def _forward(self, x: Tensor) -> Tensor:
        return self._map(lambda part, sample: part.apply_nd(sample, False), x, len(self.dims))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._map(lambda part, sample: part.apply_nd(sample, True), y, len(self.dimsd))

    def _inverse(self, y: Tensor) -> Tensor:
        return self._map(lambda part, sample: part._inverse(sample), y, len(self.dimsd))

    def _map(self, apply: Callable[[LinearOperator, Tensor], Tensor], x: Tensor, ndim: int) -> Tensor:
        """Apply each operator to its sample. The samples are the axis before the other axes of a model."""
        axis = x.ndim - ndim
        tensors = [getattr(self, name) for name in self._names]

        def of_one(sample: Tensor, *tensors: Tensor) -> Tensor:
            return apply(self.build(*tensors), sample)

        mapped = torch.func.vmap(of_one, in_dims=(axis, *(0 for _ in tensors)), out_dims=axis)
        y: Tensor = mapped(x, *tensors)
        return y.contiguous()

    def expression(self) -> str:
        return f"per_sample({self._expression}, {self.dims[0]} samples)"


def per_sample(build: Callable[..., LinearOperator], *tensors: Tensor | NDArray[Any]) -> PerSampleOperator:
    r"""Return an operator on a batch in which each sample has its own operator: a mask, a filter or coil maps.

    .. math:: y_s = A(\theta_s) \, x_s, \qquad x_s = A(\theta_s)^H \, y_s

    Each call builds all operators at once by ``torch.func.vmap``, without a loop over the samples. So changes of the
    tensors are seen, and gradients reach them. All operators must be of the same kind and shape. Boolean masks that
    select different numbers of samples must therefore be given to ``Diagonal``, not to ``Restriction``; index lists of
    the same length work with both.

    The result is a block-diagonal operator. The samples are the first axis of its model ``(samples, *dims)`` and of
    its data ``(samples, *dimsd)``; further batch axes come before it. Solvers treat it like any other operator: they
    solve for all samples at once, as one problem with one stopping rule.

    Args:
        build: Function that builds the operator of one sample from the slices ``tensor[s]``.
        tensors: Tensors or NumPy arrays ``(samples, ...)``. Parameters stay parameters; other tensors become buffers.

    Raises:
        ValueError: If no tensor is given, or the numbers of samples differ.
        TypeError: If ``build`` does not return an operator.

    Example:
        >>> import torchlops
        >>> masks = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
        >>> A = torchlops.per_sample(torchlops.Diagonal, masks)
        >>> A(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([[1., 0.],
                [3., 4.]])
    """
    return PerSampleOperator(build, tensors)
