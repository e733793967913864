"""Second derivative along a direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import NDArray
from torch import Tensor

from torchlops.arrays import Array, DType
from torchlops.attributes import Computed
from torchlops.basicoperators.firstdirectionalderivative import FirstDirectionalDerivative
from torchlops.linearoperator import CompositeOperator, part_of_array
from torchlops.shapes import Dims


class SecondDirectionalDerivative(CompositeOperator):
    """Second derivative along one direction, or along one direction per sample.

    The operator is differentiable with respect to :math:`v`.

    Forward:
        .. math:: y = -D^H D x

        with :math:`D` the :class:`FirstDirectionalDerivative`.

    Adjoint:
        The operator is self-adjoint, :math:`A^H y = -D^H D y`.

    Args:
        dims: Shape of the model, with ``d`` axes.
        v: The direction: a vector ``(d,)`` for all samples, or a field ``(d, *dims)``, usually of unit length. It is
            not normalized.
        sampling: Sampling step of each axis, or one step for all axes.
        edge: Whether the centered kind is also computed at the ends (the other kinds ignore it).
        kind: ``"forward"``, ``"centered"`` or ``"backward"``.
        dtype: Nominal dtype of the operator, and dtype of ``v`` if it is a list.
        name: A name for error messages.

    Raises:
        ValueError: For the reasons given in :class:`FirstDirectionalDerivative`.

    Example:
        >>> import torch
        >>> x = torch.arange(7.0).expand(3, 7) ** 2
        >>> SecondDirectionalDerivative((3, 7), [0.0, 1.0], kind="forward")(x)[0]
        tensor([  1.,   2.,   2.,   2.,   2.,   2., -11.], dtype=torch.float64)
    """

    Op = Computed(lambda self: -(self.operators[0].H @ self.operators[0]))

    def __init__(
        self,
        dims: Dims,
        v: Array,
        sampling: float | Sequence[float] = 1.0,
        edge: bool = False,
        kind: Literal["forward", "centered", "backward"] = "centered",
        dtype: DType = "float64",
        name: str = "S",
    ) -> None:
        first = FirstDirectionalDerivative(dims, v, sampling=sampling, edge=edge, kind=kind, dtype=dtype, name=name)
        super().__init__((first,), dims=first.dims, dtype=dtype, name=name)
        self.sampling, self.edge, self.kind = first.sampling, edge, kind

    @property
    def v(self) -> Tensor:
        """The direction."""
        v: Tensor = self.operators[0].v  # type: ignore[assignment]
        return v

    @v.setter
    def v(self, v: Any) -> None:
        self.operators[0].v = v

    def _forward(self, x: Tensor) -> Tensor:
        first = self.operators[0]
        return -first.apply_nd(first.apply_nd(x, False), True)

    _adjoint = _forward

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:  # noqa: ARG002
        first = self.operators[0]
        return -part_of_array(first, part_of_array(first, x, False), True)

    def extra_repr(self) -> str:
        return self.operators[0].extra_repr()
