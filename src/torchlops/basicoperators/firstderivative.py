"""First derivative along one axis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from torchlops.arrays import DType
from torchlops.basicoperators._stencils import Band, Stencil, StencilOperator, as_step
from torchlops.shapes import Dims


class FirstDerivative(StencilOperator):
    r"""First derivative along one axis by finite differences.

    As a penalty, write ``kind="forward"``: centered differences of samples that alternate in sign are zero, so that a
    solution may oscillate from sample to sample.

    Forward:
        ============================ =====================================================================
        kind                         :math:`y_i`
        ============================ =====================================================================
        ``"forward"``                :math:`(x_{i+1} - x_i) / \Delta x`
        ``"backward"``               :math:`(x_i - x_{i-1}) / \Delta x`
        ``"centered"``, ``order=3``  :math:`(x_{i+1} - x_{i-1}) / (2 \Delta x)`
        ``"centered"``, ``order=5``  :math:`(x_{i-2} - 8 x_{i-1} + 8 x_{i+1} - x_{i+2}) / (12 \Delta x)`
        ============================ =====================================================================

        Where a stencil extends beyond the axis, :math:`y_i = 0`. With ``edge=True`` the centered kinds use the widest
        centered stencil that fits there, and the forward and backward differences at the two end samples.
        (For two or three samples with ``order=5`` and ``edge=True``, PyLops raises or has a wrong adjoint.)

    Adjoint:
        The transposed stencils, which are the derivatives with the opposite sign away from the ends:

        ============================ =====================================================================
        kind                         :math:`(A^H y)_i`
        ============================ =====================================================================
        ``"forward"``                :math:`(y_{i-1} - y_i) / \Delta x`
        ``"backward"``               :math:`(y_i - y_{i+1}) / \Delta x`
        ``"centered"``, ``order=3``  :math:`(y_{i-1} - y_{i+1}) / (2 \Delta x)`
        ``"centered"``, ``order=5``  :math:`(y_{i+2} - 8 y_{i+1} + 8 y_{i-1} - y_{i-2}) / (12 \Delta x)`
        ============================ =====================================================================

        Samples of :math:`y` beyond the axis, and those that the forward sets to zero, count as zero.

    Args:
        dims: Shape of the model.
        axis: Axis along which to differentiate.
        sampling: Sampling step :math:`\Delta x`.
        kind: ``"forward"``, ``"centered"`` or ``"backward"``.
        edge: Whether the centered kinds have a derivative at the ends too (the others ignore it).
        order: Number of points of the centered stencil, 3 or 5 (the other kinds ignore it).
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``sampling`` is 0, or ``edge=True`` is given for an axis of one sample.
        NotImplementedError: If ``kind`` or ``order`` is unknown.

    References:
        B. Fornberg, Generation of finite difference formulas on arbitrarily spaced grids, Mathematics of
        Computation 51 (1988), 699-706.

    Example:
        >>> import torch
        >>> FirstDerivative(5, sampling=0.5)(torch.tensor([0.0, 1.0, 4.0, 9.0, 16.0]))
        tensor([ 0.,  4.,  8., 12.,  0.])
    """

    def __init__(
        self,
        dims: Dims,
        axis: int = -1,
        sampling: float = 1.0,
        kind: Literal["forward", "centered", "backward"] = "centered",
        edge: bool = False,
        order: int = 3,
        dtype: DType = "float64",
        name: str = "F",
    ) -> None:
        super().__init__(dims, axis, dtype=dtype, name=name)
        self.sampling, self.kind, self.edge, self.order = sampling, kind, edge, order
        self._stencil = first_derivative(self.dims[self.axis], sampling, kind, edge, order, type(self).__name__)

    def extra_repr(self) -> str:
        order = f", order={self.order}" if self.kind == "centered" else ""
        return f"axis={self.axis}, sampling={self.sampling}, kind={self.kind!r}, edge={self.edge}{order}"


def first_derivative(n: int, sampling: float, kind: str, edge: bool, order: int, owner: str) -> Stencil:
    """Return the stencil of the first derivative of ``n`` samples; errors name ``owner``."""
    step = as_step(sampling, f"{owner}: sampling")
    if order not in (3, 5):
        raise NotImplementedError(f"{owner}: order must be 3 or 5, got {order!r}")
    if kind == "forward":
        return Stencil([Band(0, n - 1, 1, 1.0), Band(0, n - 1, 0, -1.0)], n, 1 / step)
    if kind == "backward":
        return Stencil([Band(1, n, 0, 1.0), Band(1, n, -1, -1.0)], n, 1 / step)
    if kind != "centered":
        raise NotImplementedError(f"{owner}: kind must be 'forward', 'centered' or 'backward', got {kind!r}")
    if edge and n == 1:
        raise ValueError(f"{owner}: edge=True requires at least two samples per axis, got one: use edge=False")
    if order == 3:
        bands, scale, inner, one_sided = _centered(1, n - 1, 1.0), 1 / (2 * step), 0.0, 2.0
    else:
        bands, scale, inner, one_sided = _centered(2, n - 2, 8.0), 1 / (12 * step), 6.0, 12.0
        bands += [Band(2, n - 2, -2, 1.0), Band(2, n - 2, 2, -1.0)]
    if edge:
        for i in {1, n - 2} if inner and n > 2 else ():
            bands += _centered(i, i + 1, inner)
        bands += [Band(0, 1, 1, one_sided), Band(0, 1, 0, -one_sided)]
        bands += [Band(n - 1, n, 0, one_sided), Band(n - 1, n, -1, -one_sided)]
    return Stencil(bands, n, scale)


def _centered(start: int, stop: int, weight: float) -> list[Band]:
    return [Band(start, stop, 1, weight), Band(start, stop, -1, -weight)]


def first_derivatives(several: Any) -> Iterator[FirstDerivative]:
    """Yield the derivative along each axis that an operator, such as a gradient, is made of."""
    for axis, step in zip(several.axes, several.sampling, strict=True):
        yield FirstDerivative(
            several.dims, axis=axis, sampling=step, kind=several.kind, edge=several.edge, dtype=several.dtype
        )
