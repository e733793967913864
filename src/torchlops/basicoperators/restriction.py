"""Sampling along one axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import DType
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.shapes import Dims, accept_pylops_options, as_dims, as_trailing_axis


class Restriction(AccumulatingOperator):
    r"""Take the samples ``iava`` along one axis, :math:`y_j = x_{i_j}`.

    The adjoint puts them back, adding where an index repeats: :math:`x_i = \sum_{j: i_j = i} y_j`.

    Args:
        dims: Shape of the model.
        iava: Indices of the samples, in any order; they may repeat, and count from the end where negative.
        axis: The axis.
        inplace: See :func:`~torchlops.shapes.accept_pylops_options`.
        forceflat: See :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Label of the operator.
        name: A name for errors.

    Raises:
        ValueError: when ``iava`` is empty, or an index is out of range.
        TypeError: when the indices are not integers.

    Example:
        >>> R = Restriction(4, [0, 2])
        >>> R(torch.tensor([1.0, 2.0, 3.0, 4.0])), R.H(torch.tensor([1.0, 3.0]))
        (tensor([1., 3.]), tensor([1., 0., 3., 0.]))
    """

    iava: Tensor
    _adds_up = (False, True)

    def __init__(
        self,
        dims: Dims,
        iava: Sequence[int] | Any,
        axis: int = -1,
        inplace: bool = True,
        forceflat: bool | None = None,
        dtype: DType = "float64",
        name: str = "R",
    ) -> None:
        accept_pylops_options(inplace=inplace, forceflat=forceflat)
        dims = as_dims(dims)
        trailing = as_trailing_axis(axis, dims)
        size = dims[trailing]
        indices = iava if isinstance(iava, Tensor) else torch.from_numpy(np.array(iava))
        if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
            raise TypeError(f"Restriction takes whole numbers as iava, got {indices.dtype} (Interp takes fractions)")
        if indices.ndim != 1 or indices.numel() == 0:
            raise ValueError(
                f"Restriction takes a list of at least one index as iava, got shape {tuple(indices.shape)}"
            )
        if not indices.is_meta and (int(indices.min()) < -size or int(indices.max()) >= size):
            raise ValueError(
                f"Restriction: iava goes from {int(indices.min())} to {int(indices.max())}, but axis {axis} of "
                f"dims={dims} has indices from {-size} to {size - 1}"
            )
        dimsd = [indices.numel() if i - len(dims) == trailing else n for i, n in enumerate(dims)]
        super().__init__(dims, dimsd, dtype=dtype, name=name)
        self.axis = trailing
        self.register_buffer("iava", indices.to(torch.int64) % size)

    def _index(self, shape: Sequence[int]) -> Tensor:
        iava = self.iava
        if self.axis != -1:
            iava = iava.reshape((*iava.shape, *(1,) * (-self.axis - 1)))
        return iava if len(shape) == 1 else iava.expand((*shape[: self.axis], *self.dimsd[self.axis :]))

    def _forward(self, x: Tensor) -> Tensor:
        return x.gather(self.axis, self._index(x.shape))

    def _adjoint(self, y: Tensor) -> Tensor:
        batch = y.shape[: y.ndim - len(self.dims)]
        return y.new_zeros((*batch, *self.dims)).scatter_add(self.axis, self._index(y.shape), y)

    # Off the last axis whole rows are copied, which index_select does 5 times faster than gather.

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._forward(x) if self.axis == -1 else x.index_select(self.axis, self.iava)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        if self.axis == -1:
            return self._adjoint(y)
        batch = y.shape[: y.ndim - len(self.dims)]
        return y.new_zeros((*batch, *self.dims)).index_add_(self.axis, self.iava, y)

    def mask(self, x: Any) -> np.ma.MaskedArray[Any, Any]:
        """Return the model ``x`` as a NumPy masked array that shows the taken samples only.

        Raises:
            ValueError: when an index repeats.
        """
        indices = self.iava.cpu().numpy()
        if len(np.unique(indices)) != len(indices):
            raise ValueError("Restriction: iava has repeated indices, of which a mask cannot tell")
        values = np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x).reshape(self.dims)
        hidden = np.ones(self.dims, dtype=bool)
        np.moveaxis(hidden, self.axis, 0)[indices] = False
        return np.ma.masked_array(np.where(hidden, 0, values), mask=hidden)

    def extra_repr(self) -> str:
        return f"{self.dimsd[self.axis]} of {self.dims[self.axis]} samples, axis={self.axis}"
