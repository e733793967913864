"""Causal integration along one axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import at
from torchlops.arrays import DType
from torchlops.basicoperators._stencils import as_number
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.memory import empty
from torchlops.shapes import Dims, as_dims, as_trailing_axis

ROW_FROM = 512
"""Minimum row length for which adding whole rows is faster than torch.cumsum."""


class CausalIntegration(AccumulatingOperator):
    r"""Integral from the first sample up to each sample along one axis.

    Forward:
        =================== ==========================================================================
        kind                :math:`y_i`
        =================== ==========================================================================
        ``"full"``          :math:`\Delta t \sum_{j=0}^{i} x_j`
        ``"half"``          :math:`\Delta t \left(\sum_{j=0}^{i-1} x_j + x_i / 2\right)`
        ``"trapezoidal"``   :math:`\Delta t \left(x_0 / 2 + \sum_{j=1}^{i-1} x_j + x_i / 2\right)`
        =================== ==========================================================================

        For the trapezoidal rule :math:`y_0 = \Delta t \, x_0 / 2`, as in PyLops.

    Adjoint:
        The sum runs backward from the last sample:

        =================== ==========================================================================
        kind                :math:`(A^H y)_i`
        =================== ==========================================================================
        ``"full"``          :math:`\Delta t \sum_{j=i}^{n-1} y_j`
        ``"half"``          :math:`\Delta t \left(y_i / 2 + \sum_{j=i+1}^{n-1} y_j\right)`
        ``"trapezoidal"``   :math:`\Delta t \left(y_i / 2 + \sum_{j=i+1}^{n-1} y_j\right)` for :math:`i > 0`,
                            :math:`\Delta t \sum_{j=0}^{n-1} y_j / 2` for :math:`i = 0`
        =================== ==========================================================================

    Args:
        dims: Shape of the model.
        axis: Axis along which to integrate.
        sampling: Sampling step :math:`\Delta t`.
        kind: ``"full"``, ``"half"`` or ``"trapezoidal"``.
        removefirst: Whether to drop :math:`y_0`; the data is then shorter by one sample.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``kind`` is unknown, or ``removefirst`` is set for an axis of one sample.

    Example:
        >>> CausalIntegration(4, sampling=0.5)(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        tensor([0.5000, 1.5000, 3.0000, 5.0000])
    """

    def __init__(
        self,
        dims: Dims,
        axis: int = -1,
        sampling: float = 1.0,
        kind: Literal["full", "half", "trapezoidal"] = "full",
        removefirst: bool = False,
        dtype: DType = "float64",
        name: str = "C",
    ) -> None:
        dims = as_dims(dims)
        trailing = as_trailing_axis(axis, dims)
        n = dims[trailing]
        if kind not in ("full", "half", "trapezoidal"):
            raise ValueError(f"CausalIntegration: kind must be 'full', 'half' or 'trapezoidal', got {kind!r}")
        if removefirst and n == 1:
            raise ValueError(f"CausalIntegration: removefirst=True leaves nothing of axis {axis} of dims={dims}")
        dimsd = list(dims)
        dimsd[trailing] -= bool(removefirst)
        super().__init__(dims, dimsd, dtype=dtype, name=name)
        self.axis, self.sampling, self.kind, self.removefirst = trailing, sampling, kind, removefirst
        self._step = as_number(sampling, "CausalIntegration: sampling")
        self._is_trapezoidal = kind == "trapezoidal" and n > 1  # for one sample it is the same as "half"

    def _forward(self, x: Tensor) -> Tensor:
        axis, n = self.axis, self.dims[self.axis]
        y = x.cumsum(axis)
        if self.kind != "full":
            y = torch.sub(y, x, alpha=0.5)
        rest = y.narrow(axis, 1, n - 1) if self.removefirst or self._is_trapezoidal else y
        if self._is_trapezoidal:
            rest = torch.sub(rest, x.narrow(axis, 0, 1), alpha=0.5)
            y = rest if self.removefirst else torch.cat([y.narrow(axis, 0, 1), rest], axis)
        else:
            y = rest
        return y if self._step == 1 else y * self._step

    def _adjoint(self, y: Tensor) -> Tensor:
        axis = self.axis
        x = y.flip(axis).cumsum(axis).flip(axis)
        first = x.narrow(axis, 0, 1)  # the sum of all of y
        if self.kind != "full":
            x = torch.sub(x, y, alpha=0.5)
        if self.removefirst or self._is_trapezoidal:
            rest = x if self.removefirst else x.narrow(axis, 1, y.shape[axis] - 1)
            x = torch.cat([first * 0.5 if self._is_trapezoidal else first, rest], axis)
        return x if self._step == 1 else x * self._step

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        axis, step = self.axis, self._step
        if not adjoint:
            y = x.cumsum(axis)
            if self.kind != "full":
                y -= 0.5 * x
            rest = y[at(axis, 1)] if self.removefirst or self._is_trapezoidal else y
            if self._is_trapezoidal:
                rest -= 0.5 * x[at(axis, 0, 1)]
            return (rest if self.removefirst else y) * step
        sums = x[at(axis, None, None, -1)].cumsum(axis)[at(axis, None, None, -1)]
        y = sums if self.kind == "full" else sums - 0.5 * x
        if self.removefirst or self._is_trapezoidal:
            first = sums[at(axis, 0, 1)]
            rest = y if self.removefirst else y[at(axis, 1)]
            y = np.concatenate((first * 0.5 if self._is_trapezoidal else first, rest), axis)
        return y * step

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        # torch.cumsum is fast along the last axis and slow along others. There, adding whole rows is several times
        # faster, unless the rows are short.
        return self.axis != -1 and x.numel() >= ROW_FROM * x.shape[self.axis]

    def _fast_forward(self, x: Tensor) -> Tensor:
        axis, n = self.axis, self.dims[self.axis]
        y = empty(x.shape, x.dtype)
        _add_up(x.unbind(axis), y.unbind(axis), self._step)
        if self.kind != "full":
            y.sub_(x, alpha=0.5 * self._step)
        if self._is_trapezoidal:
            y.narrow(axis, 1, n - 1).sub_(x.narrow(axis, 0, 1), alpha=0.5 * self._step)
        return y.narrow(axis, 1, n - 1) if self.removefirst else y

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        axis, n = self.axis, self.dims[self.axis]
        x = empty((*y.shape[:axis], n, *y.shape[y.ndim + axis + 1 :]), y.dtype)
        rest = x.narrow(axis, 1, n - 1) if self.removefirst else x
        _add_up(y.unbind(axis)[::-1], rest.unbind(axis)[::-1], self._step)
        first = rest.select(axis, 0) * (0.5 if self._is_trapezoidal else 1.0)
        if self.kind != "full":
            rest.sub_(y, alpha=0.5 * self._step)
        if self.removefirst or self._is_trapezoidal:
            x.select(axis, 0).copy_(first)
        return x

    def extra_repr(self) -> str:
        return f"axis={self.axis}, sampling={self.sampling}, kind={self.kind!r}, removefirst={self.removefirst}"


def _add_up(rows: Sequence[Tensor], sums: Sequence[Tensor], step: float) -> None:
    """Write ``step`` times the running sums of ``rows`` into ``sums``."""
    torch.mul(rows[0], step, out=sums[0])
    for row, before, total in zip(rows[1:], sums[:-1], sums[1:], strict=True):
        torch.add(before, row, alpha=step, out=total)
