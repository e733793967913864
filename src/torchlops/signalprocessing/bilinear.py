"""Bilinear interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import Unsuitable, real_of_dtype, scattered, view_of
from torchlops.arrays import Array, DType, to_numpy
from torchlops.attributes import Computed
from torchlops.basicoperators._positions import (
    constants,
    in_result_dtype,
    is_readable,
    register_positions,
    weight_dtype,
)
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.memory import in_blocks
from torchlops.shapes import PER_SAMPLE, as_dims
from torchlops.signalprocessing._interpolation import along, behind, between, put, refuse_repeated, take


class Bilinear(AccumulatingOperator):
    r"""Bilinear interpolation over the first two axes.

    Forward:
        .. math::

            y_i = (1 - v) (1 - w) \, x_{t, l} + (1 - v) \, w \, x_{t, l + 1}
                + v \, (1 - w) \, x_{t + 1, l} + v \, w \, x_{t + 1, l + 1}

        with :math:`t = \lfloor \mathrm{iava}_{0 i} \rfloor`, :math:`l = \lfloor \mathrm{iava}_{1 i} \rfloor` and the
        fractions :math:`v` and :math:`w`.

    Adjoint:
        Each :math:`y_i`, times these weights, is added to the four samples.

    Args:
        iava: The positions ``(2, n)`` along the first and the second axis. They may be at the last
            sample. A tensor carries gradients and affects the dtype of the result; an array does
            neither.
        dims: Shape of the model, with at least two axes.
        forceflat: Whether ``A @ x`` is always flat; see :class:`~torchlops.attributes.Attributes`.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
        repeated: Whether positions may repeat, which they never may in PyLops.

    Data have shape ``(n, *dims[2:])``.

    Raises:
        ValueError: If ``iava`` has the wrong shape, a position is out of range, or positions repeat without
            ``repeated=True``.

    Example:
        >>> B = Bilinear([[0.5, 1.0], [0.5, 0.0]], dims=(2, 2))
        >>> B(torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
        tensor([1.5000, 2.0000])
    """

    iava_t = Computed(lambda self: self._before(0))
    iava_b = Computed(lambda self: self._before(0) + 1)
    iava_l = Computed(lambda self: self._before(1))
    iava_r = Computed(lambda self: self._before(1) + 1)
    weights_tb = Computed(lambda self: self._shares_of_next(0))
    weights_lr = Computed(lambda self: self._shares_of_next(1))

    iava: Tensor
    index: Tensor
    shares: Tensor

    def __init__(
        self,
        iava: Array,
        dims: Sequence[int],
        forceflat: bool | None = None,
        dtype: DType = "float64",
        name: str = "B",
        repeated: bool = False,
    ) -> None:
        dims = as_dims(dims)
        positions = iava if isinstance(iava, Tensor) else constants(iava, "Bilinear: iava")
        shape = tuple(positions.shape)
        if len(dims) < 2 or len(shape) != 2 or shape[0] != 2 or shape[1] == 0:
            raise ValueError(
                f"Bilinear takes positions iava of shape (2, n) and dims with at least two axes, got iava of shape "
                f"{shape} and {dims=}. {PER_SAMPLE}"
            )
        if is_readable(positions):
            for axis, size in enumerate(dims[:2]):
                lowest, highest = float(positions.detach()[axis].min()), float(positions.detach()[axis].max())
                if not (lowest >= 0 and highest <= size - 1):
                    raise ValueError(
                        f"Bilinear: iava[{axis}] ranges from {lowest} to {highest}, but positions on axis {axis} of "
                        f"{dims=} are from 0 to {size - 1}"
                    )
        if not repeated:
            refuse_repeated(iava, "Bilinear")
        super().__init__(dims, (shape[1], *dims[2:]), dtype=dtype, forceflat=forceflat, name=name)
        self._learns = register_positions(self, "iava", iava, is_tabulated=True)
        if not self._learns:
            index, shares = self._locate(self.iava)
            self.register_buffer("index", index, persistent=False)
            self.register_buffer("shares", shares, persistent=False)

    def _locate(self, iava: Tensor) -> tuple[Tensor, Tensor]:
        """Return the flat indices of the four samples around each position, and their weights."""
        rows, columns = self.dims[:2]
        (top, v), (left, w) = (between(at, size) for at, size in zip(iava.unbind(), (rows, columns), strict=True))
        top, bottom, right = top * columns, behind(top, rows) * columns, behind(left, columns)
        index = torch.stack((top + left, top + right, bottom + left, bottom + right))
        return index, torch.stack(((1 - v) * (1 - w), (1 - v) * w, v * (1 - w), v * w))

    def _before(self, axis: int) -> NDArray[Any]:
        """Return the index of the sample before each position along an axis."""
        return to_numpy(between(self.iava[axis], self.dims[axis])[0])

    def _shares_of_next(self, axis: int) -> NDArray[Any]:
        """Return the weight of the sample after each position along an axis, which broadcasts to the data."""
        return to_numpy(along(between(self.iava[axis], self.dims[axis])[1], 1 - len(self.dims)))

    def _corners(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the flat index and the weight of each of the four samples around a position."""
        index, shares = self._locate(self.iava) if self._learns else (self.index, self.shares)
        weights = [along(share, 1 - len(self.dims)) for share in shares.to(weight_dtype(self, x)).unbind()]
        return list(zip(index.unbind(), weights, strict=True))

    def _forward(self, x: Tensor) -> Tensor:
        return self._interpolate(self._flat(in_result_dtype(self, x)), False)

    def _adjoint(self, y: Tensor) -> Tensor:
        x = self._interpolate_back(in_result_dtype(self, y), False)
        return x.reshape((*y.shape[: y.ndim - len(self.dimsd)], *self.dims))

    def _fast_forward(self, x: Tensor) -> Tensor:
        x = self._flat(in_result_dtype(self, x))
        return in_blocks(x, self.dimsd, x.dtype, (1 - len(self.dims),), lambda x: self._interpolate(x, True))

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        y = in_result_dtype(self, y)
        dims = (self.dims[0] * self.dims[1], *self.dims[2:])
        x = in_blocks(y, dims, y.dtype, (1 - len(self.dims),), lambda y: self._interpolate_back(y, True))
        return x.reshape((*y.shape[: y.ndim - len(self.dimsd)], *self.dims))

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        if self._learns:
            raise Unsuitable
        (rows, columns), axis = self.dims[:2], 1 - len(self.dims)
        index = view_of(self, "index")
        shares = view_of(self, "shares").astype(real_of_dtype(x.dtype), copy=False)
        shares = shares.reshape((*index.shape, *(1,) * (-axis - 1)))
        if adjoint:
            batch = x.shape[: x.ndim - len(self.dimsd)]
            products = np.expand_dims(x, axis - 1) * shares
            products = products.reshape((*batch, index.size, *self.dims[2:]))
            return scattered(products, index.reshape(-1), axis, rows * columns).reshape((*batch, *self.dims))
        batch = x.shape[: x.ndim - len(self.dims)]
        taken = x.reshape((*batch, rows * columns, *self.dims[2:])).take(index, axis)
        result: NDArray[Any] = (taken * shares).sum(axis - 1)
        return result

    def _flat(self, x: Tensor) -> Tensor:
        """Return ``x`` with its first two axes merged."""
        return x.reshape((*x.shape[: x.ndim - len(self.dims)], self.dims[0] * self.dims[1], *self.dims[2:]))

    def _interpolate(self, x: Tensor, fast: bool) -> Tensor:
        axis = 1 - len(self.dims)
        (index, weight), *others = self._corners(x)
        y = take(x, index, axis, fast) * weight
        for index, weight in others:
            term = take(x, index, axis, fast)
            y = y.addcmul_(term, weight.to(term.dtype)) if fast else y + term * weight
        return y

    def _interpolate_back(self, y: Tensor, fast: bool) -> Tensor:
        axis, size = 1 - len(self.dims), self.dims[0] * self.dims[1]
        x = None
        for index, weight in self._corners(y):
            x = put(y * weight, index, axis, size, x, fast)
        assert x is not None
        return x

    def extra_repr(self) -> str:
        return f"{self.dimsd[0]} positions"
