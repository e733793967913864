"""An operator for each sample of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator


class PerSampleOperator(LinearOperator):
    r"""Operators of one kind, each on a sample of its own: :math:`y_s = A_s x_s`, with :math:`A_s^H y_s`.

    See :func:`per_sample`, which makes it.

    Args:
        build: Builds the operator of one sample.
        tensors: What to build them from, ``(samples, ...)`` each.
    """

    def __init__(self, build: Callable[..., LinearOperator], tensors: tuple[Any, ...]) -> None:
        values = [tensor if isinstance(tensor, Tensor) else torch.from_numpy(tensor) for tensor in tensors]
        shapes = [tuple(value.shape) for value in values]
        counts = {shape[0] if shape else 0 for shape in shapes}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(
                "per_sample takes at least one tensor, each of shape (samples, ...) with as many samples, "
                f"got the shapes {shapes}"
            )
        (samples,) = counts
        first = build(*(value.detach()[0] for value in values))
        if not isinstance(first, LinearOperator):
            raise TypeError(f"per_sample takes a function that builds an operator, and it returned {type(first)}")
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
        """Apply each sample's operator to its sample, which is the axis before the others of a model."""
        axis = x.ndim - ndim
        tensors = [getattr(self, name) for name in self._names]

        def of_one(sample: Tensor, *tensors: Tensor) -> Tensor:
            return apply(self.build(*tensors), sample)

        mapped = torch.func.vmap(of_one, in_dims=(axis, *(0 for _ in tensors)), out_dims=axis)
        y: Tensor = mapped(x, *tensors)
        return y.contiguous()

    def expression(self) -> str:
        return f"per_sample({self._expression}, {self.dims[0]} samples)"


def per_sample(build: Callable[..., LinearOperator], *tensors: Any) -> PerSampleOperator:
    r"""Return the operator on a batch of which each sample has an operator of its own: a mask, a filter, coil maps.

    .. math:: y_s = A(\theta_s) \, x_s, \qquad x_s = A(\theta_s)^H \, y_s

    The operators are built in each call, all at once (by ``torch.func.vmap``: there is no loop over the samples), so
    that changes of the tensors are seen and gradients reach them. They have to be of one kind and of the same shapes.
    A boolean mask has a different number of samples in each image, so it is a ``Diagonal`` here, not a
    ``Restriction``; lists of as many indices each work in both.

    The result is a block-diagonal operator: the samples are the first axis of its model ``(samples, *dims)`` and of
    its data ``(samples, *dimsd)``, and further batch axes come before that. Solvers take it as any other and solve
    for all samples at once, as one problem, with one stopping rule.

    Args:
        build: Builds the operator of one sample from a slice ``tensor[s]`` of each of the tensors.
        tensors: Tensors or NumPy arrays ``(samples, ...)``. Parameters stay parameters; other tensors become buffers.

    Raises:
        ValueError: when there is no tensor, or their numbers of samples differ.
        TypeError: when ``build`` returns no operator.

    Example:
        >>> import torchlops
        >>> masks = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
        >>> A = torchlops.per_sample(torchlops.Diagonal, masks)
        >>> A(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([[1., 0.],
                [3., 4.]])
    """
    return PerSampleOperator(build, tensors)
