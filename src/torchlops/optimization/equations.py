"""Data, regularisers and weights as the equations of one least-squares problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import as_tensor
from torchlops.linearoperator import LinearOperator, VerticalStack, scaled
from torchlops.optimization.arguments import as_list, one_for_each
from torchlops.optimization.solver.problem import Layout, iteration_dtype, read_data, read_number, with_axes
from torchlops.torchoperator import aslinearoperator, operators_of


@dataclass(frozen=True)
class Data:
    """Data of a user, and how further arguments go with them.

    Attributes:
        name: The name of the inversion, for messages.
        y: The data, ``(*batch, *dimsd)``.
        layout: How the user sees them.
        like: An empty vector for each sample, of the type of the iterations.
    """

    name: str
    y: Tensor
    layout: Layout
    like: Tensor

    @property
    def batch(self) -> tuple[int, ...]:
        """Shape of the batch."""
        return tuple(self.like.shape[:-1])

    def number(self, value: Any, what: str) -> Any:
        """Return a number, or a tensor: one value, or one per sample.

        Raises:
            ValueError: when it is complex, or its shape is not that of the batch.
        """
        is_one = not getattr(value, "shape", ())
        number = read_number(value, self.name, what, self.like.new_empty(0) if is_one else self.like)
        return number.reshape(() if is_one else self.batch) if isinstance(number, Tensor) else number

    def factor(self, value: Any, part: LinearOperator, what: str) -> Any:
        """Return a number that multiplies the data of ``part``, with an axis for each of theirs."""
        return with_axes(self.number(value, what), part.dimsd)

    def array(self, value: Any, part: LinearOperator, what: str) -> Tensor:
        """Return data of ``part``, of one sample or of the batch, flattened or not, with their axes.

        Raises:
            ValueError: when they have another shape.
        """
        tensor = as_tensor(value, f"{self.name}: an array").to(self.y.device)
        for dims in (part.dimsd, part.shape[:1]):
            batch = tuple(tensor.shape[: tensor.ndim - len(dims)])
            if tuple(tensor.shape) in (dims, (*self.batch, *dims)):
                return tensor.reshape(*batch, *part.dimsd)
        raise ValueError(
            f"{self.name}: {what} the shape {part.dimsd}, after the batch {self.batch} or without it, "
            f"got {tuple(tensor.shape)}"
        )

    def weighted(self, Weight: Any) -> tuple[LinearOperator, Tensor]:
        """Return ``W A`` and ``W y``, for an operator, or for one weight per sample of the data."""
        A, y, W = self.layout.A, self.y, self._as_weight(Weight)
        if W is None:
            return A, y
        if isinstance(W, Tensor):
            return scaled(W, A), y * W
        return W @ A, W.apply_nd(y.reshape(*self.batch, *W.dims), False)

    def normal(self, weighted: LinearOperator, Weight: Any) -> LinearOperator:
        """Return ``A^H W A``, given ``W A``, in the shorter form that the operator may have."""
        A, W = self.layout.A, self._as_weight(Weight)
        is_of_each = isinstance(W, Tensor) and tuple(W.shape) != A.dimsd
        return (None if is_of_each else A._gram(W)) or A.H @ weighted

    def _as_weight(self, Weight: Any) -> LinearOperator | Tensor | None:
        """Return the operator or the weights that the user gave."""
        if isinstance(Weight, Tensor | np.ndarray):
            return self.array(Weight, self.layout.A, "Weight must be an operator, or have")
        return None if Weight is None else aslinearoperator(Weight)

    def regularizers(
        self, Regs: Sequence[Any] | None, dataregs: Sequence[Any] | None, epsRs: Sequence[Any] | None
    ) -> list[tuple[LinearOperator, Tensor | None, Any]]:
        """Return each regulariser with its data, or None for zero, and its epsilon."""
        parts = [aslinearoperator(part) for part in as_list(Regs, f"{self.name}: Regs")]
        data = one_for_each(parts, dataregs, None, f"{self.name}: dataregs")
        epsilons = one_for_each(parts, epsRs, 1.0, f"{self.name}: epsRs")
        if not len(parts) == len(data) == len(epsilons):
            raise ValueError(
                f"{self.name}: Regs, dataregs and epsRs must have the same length, got {len(parts)}, {len(data)} and "
                f"{len(epsilons)}"
            )
        values = [
            None if value is None else self.array(value, part, f"the data of {part.name_and_type} must have")
            for part, value in zip(parts, data, strict=True)
        ]
        return list(zip(parts, values, epsilons, strict=True))

    def records(self) -> torch.set_grad_enabled:
        """Return a context without a graph, where the data are no tensors."""
        return torch.set_grad_enabled(torch.is_grad_enabled() and self.layout.back is None)

    def model(self, x: Any) -> Any:
        """Return a solution as ``(*batch, *dims)``, or flat."""
        A = self.layout.A
        return x.reshape((*self.batch, A.shape[1]) if self.layout.flat else (*self.batch, *A.dims))


def read(A: LinearOperator, y: Any, name: str) -> Data:
    """Read the data of a user.

    Raises:
        ValueError: when their shape is not that of the data of ``A``.
        TypeError: when they are of a 16-bit type.
    """
    data, layout = read_data(A, y)
    batch = data.shape[: data.ndim - len(A.dimsd)]
    like = data.new_empty((*batch, 0), dtype=iteration_dtype(A, (data,), name))
    return Data(name, data, layout, like)


def RegularizedOperator(Op: Any, Regs: Sequence[Any], epsRs: Sequence[Any] = (1,)) -> LinearOperator:
    r"""Return the operator on top of its regularisers, :math:`(A;\ \epsilon_1 R_1;\ \epsilon_2 R_2; \ldots)`.

    Args:
        Op: The operator.
        Regs: The regularisers.
        epsRs: As many numbers, or tensors that broadcast against the data of the regularisers.

    Raises:
        ValueError: when there are not as many ``epsRs`` as ``Regs``.

    Example:
        >>> import torch, torchlops
        >>> RegularizedOperator(torchlops.Identity(2), [torchlops.Identity(2)], epsRs=[3.0])(torch.ones(2))
        tensor([1., 1., 3., 3.])
    """
    if len(Regs) != len(epsRs):
        raise ValueError(f"RegularizedOperator takes as many Regs as epsRs, got {len(Regs)} and {len(epsRs)}")
    parts = [scaled(eps, aslinearoperator(part)) for eps, part in zip(epsRs, Regs, strict=True)]
    return VerticalStack(operators_of([Op, *parts], "RegularizedOperator"))
