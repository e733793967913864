"""Multiplication by a diagonal matrix."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor, nn

from torchlops.arraykernels import view_of
from torchlops.arrays import Array, DType, conjugate
from torchlops.attributes import Computed
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import PER_SAMPLE, Dims, as_trailing_axis


class Diagonal(LinearOperator):
    r"""Element-wise multiplication.

    Forward:
        .. math:: y_i = d_i x_i

    Adjoint:
        .. math:: (A^H y)_i = \bar d_i y_i

    Args:
        diag: The diagonal ``d``, of shape ``dims``. If ``dims`` is given, it may be one-dimensional or broadcastable
            to ``dims``.
        dims: Shape of the model. Defaults to the shape of ``diag``.
        axis: Axis of the model along which a one-dimensional ``diag`` is applied.
        dtype: Nominal dtype of the operator. Defaults to the dtype of ``diag``.
        name: A name for error messages.

    Raises:
        ValueError: If the shape of ``diag`` does not match ``dims``.

    Example:
        >>> import torch
        >>> Diagonal(torch.tensor([1.0, 2.0]), dims=(2, 3), axis=0)(torch.ones(2, 3))
        tensor([[1., 1., 1.],
                [2., 2., 2.]])
    """

    diag: Tensor

    complex = Computed(lambda self: self.diag.is_complex())

    def __init__(
        self, diag: Array, dims: Dims | None = None, axis: int = -1, dtype: DType | None = None, name: str = "D"
    ) -> None:
        if isinstance(diag, list | tuple) and any(isinstance(entry, Tensor) for entry in diag):
            raise TypeError(
                "Diagonal takes one tensor, got a list of tensors, to which no gradient would flow: give "
                "torch.stack(diag), or nn.Parameter(torch.stack(diag)) to learn it"
            )
        shape = tuple(getattr(diag, "shape", ())) or (len(diag),)
        super().__init__(shape if dims is None else dims, dtype=dtype, name=name)
        self.axis = as_trailing_axis(axis, self.dims)
        self._broadcast = self._broadcast_of(shape)
        self._register("diag", diag, dtype)

    def _broadcast_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape in which a diagonal is multiplied.

        A one-dimensional one is reshaped to it in each call, so that a parameter remains a parameter.
        """
        broadcast = shape if len(shape) != 1 else (shape[0],) + (1,) * (-self.axis - 1)
        padded = (1,) * (len(self.dims) - len(broadcast)) + broadcast
        if len(padded) != len(self.dims) or any(d not in (1, n) for d, n in zip(padded, self.dims, strict=True)):
            raise ValueError(
                f"{self.name_and_type}: diag of shape {shape} does not fit dims={self.dims} along axis {self.axis}. "
                f"{PER_SAMPLE}"
            )
        return broadcast

    def _fitted(self, name: str, tensor: Tensor, old: Tensor) -> Tensor:  # noqa: ARG002
        if tensor.ndim == 0 and not isinstance(tensor, nn.Parameter):
            tensor = tensor.expand(old.shape).clone()
        vars(self)["_broadcast"] = self._broadcast_of(tuple(tensor.shape))
        return tensor

    def _shaped(self) -> Tensor:
        return self.diag if self.diag.shape == self._broadcast else self.diag.reshape(self._broadcast)

    def _forward(self, x: Tensor) -> Tensor:
        return x * self._shaped()

    def _adjoint(self, y: Tensor) -> Tensor:
        return y * conjugate(self._shaped())

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        diagonal = view_of(self, "diag")
        if diagonal.shape != self._broadcast:
            diagonal = diagonal.reshape(self._broadcast)
        return x * (diagonal.conj() if adjoint else diagonal)

    def _inverse(self, y: Tensor) -> Tensor:
        return y / self._shaped()

    def matrix(self) -> Any:
        """Return the diagonal matrix as a NumPy array."""
        return self.todense()

    def extra_repr(self) -> str:
        return "" if self.diag.ndim != 1 or len(self.dims) == 1 else f"axis={self.axis}"
