"""Interpolation at fractional positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import Unsuitable, scattered, view_of
from torchlops.arrays import Array, DType, real_dtype
from torchlops.basicoperators._positions import (
    constants,
    in_result_dtype,
    is_readable,
    precise,
    register_positions,
    weight_dtype,
)
from torchlops.basicoperators._sparse import SparseProducts, sparse_matrix
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.basicoperators.restriction import Restriction
from torchlops.linearoperator import LinearOperator
from torchlops.memory import in_blocks
from torchlops.shapes import Dims, as_dims, as_trailing_axis
from torchlops.signalprocessing._interpolation import (
    along,
    as_positions,
    behind,
    between,
    positions_of,
    put,
    refuse_repeated,
    take,
)
from torchlops.signalprocessing.interpcubicspline import InterpCubicSpline
from torchlops.torch_internals import is_plain_eager


def Interp(
    dims: Dims,
    iava: Array,
    axis: int = -1,
    kind: str = "linear",
    tol: float | None = None,
    dtype: DType = "float64",
    name: str = "I",
    repeated: bool = False,
) -> tuple[LinearOperator, Any]:
    """Interpolate a regularly sampled axis at fractional positions.

    With ``repeated=True`` positions may repeat (in PyLops they never may): all four operators and their adjoints are
    then well defined. Negative positions raise an error, except for ``"sinc"``, where the signal is zero outside of
    the axis. (In PyLops, linear interpolation wraps around to the end of the axis.)

    Forward:
        ================== ======================================================================================
        kind               operator
        ================== ======================================================================================
        ``"nearest"``      :class:`Restriction` to the nearest samples (ties are rounded to even)
        ``"linear"``       :class:`LinearInterpolation` between the two samples around a position
        ``"sinc"``         :class:`SincInterpolation` of all samples
        ``"cubic_spline"`` :class:`InterpCubicSpline`
        ================== ======================================================================================

    Adjoint:
        Each :math:`y_i` is added to the samples from which it was interpolated, with the same weights.

    Args:
        dims: Shape of the model.
        iava: The positions, in samples. A tensor carries gradients (except for ``"nearest"``) and affects the
            dtype of the result; an array does neither.
        axis: Axis along which the operator is applied.
        kind: Kind of interpolation.
        tol: For ``"sinc"``, weights with a magnitude below this value are omitted.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
        repeated: Whether positions may repeat.

    Returns:
        The operator, and the positions that it uses. They are rounded for ``"nearest"``. For ``"linear"`` and
        ``"cubic_spline"``, those at the last sample or beyond are moved to just before it, with a warning.

    Raises:
        ValueError: If ``kind`` is unknown, positions repeat without ``repeated=True``, a position is before the first
            sample, or, for ``"nearest"``, a position is rounded to one after the last sample.

    Example:
        >>> A, positions = Interp(4, [0.5, 2.25, 0.5], repeated=True)
        >>> A(torch.tensor([0.0, 10.0, 20.0, 30.0])), positions
        (tensor([ 5.0000, 22.5000,  5.0000]), array([0.5 , 2.25, 0.5 ]))
    """
    A: LinearOperator
    lower = str(kind).lower()
    if lower == "linear":
        A = LinearInterpolation(dims, iava, axis, dtype, name)
        positions = A.positions
    elif lower == "cubic_spline":
        A = InterpCubicSpline(dims, iava, axis=axis, dtype=dtype, name=name, repeated=True)
        positions = A.positions
    elif lower == "sinc":
        A, positions = SincInterpolation(dims, iava, axis, tol, dtype, name), iava
    elif lower == "nearest":
        A, positions = _nearest(as_dims(dims), iava, axis, dtype, name)
    else:
        raise ValueError(f"Interp: kind must be 'nearest', 'linear', 'sinc' or 'cubic_spline', got {kind!r}")
    if not repeated:
        refuse_repeated(positions, "Interp")
    return A, positions


def _nearest(dims: tuple[int, ...], iava: Array, axis: int, dtype: DType, name: str) -> tuple[LinearOperator, Any]:
    positions = iava.detach() if isinstance(iava, Tensor) else constants(iava, "Interp: iava")
    whole = positions.round().to(torch.int64)
    last = dims[as_trailing_axis(axis, dims)] - 1
    if is_readable(whole) and whole.numel() and not 0 <= int(whole.min()) <= int(whole.max()) <= last:
        raise ValueError(
            f"Interp: iava ranges from {float(positions.min())} to {float(positions.max())}, but positions on the axis "
            f"are from 0 to {last}"
        )
    samples = whole if isinstance(iava, Tensor) else whole.numpy()
    return Restriction(dims, samples, axis=axis, dtype=dtype, name=name), samples


class LinearInterpolation(AccumulatingOperator):
    r"""Linear interpolation between the samples around each position.

    The derivative with respect to a position is the slope :math:`x_{l + 1} - x_l`. At a sample, it is the slope towards
    the next sample.

    Forward:
        .. math::

            y_i = (1 - w_i) \, x_{l_i} + w_i \, x_{l_i + 1}, \qquad l_i = \lfloor t_i \rfloor, \; w_i = t_i - l_i

    Adjoint:
        :math:`(1 - w_i) \, y_i` and :math:`w_i \, y_i` are added to the two samples.

    Args:
        dims: Shape of the model.
        iava: The positions, which must not be negative and may repeat. Those beyond the last sample are moved to it.
        axis: Axis along which the operator is applied.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If a position is negative.

    Example:
        >>> LinearInterpolation(3, [0.25, 1.5])(torch.tensor([0.0, 4.0, 2.0]))
        tensor([1., 3.])
    """

    iava: Tensor
    left: Tensor
    weight: Tensor

    def __init__(self, dims: Dims, iava: Array, axis: int = -1, dtype: DType = "float64", name: str = "I") -> None:
        dims = as_dims(dims)
        trailing = as_trailing_axis(axis, dims)
        size = dims[trailing]
        positions = as_positions(iava, size, "LinearInterpolation")
        dimsd = list(dims)
        dimsd[trailing] = len(positions)
        super().__init__(dims, dimsd, dtype=dtype, name=name)
        self.axis, self._size = trailing, size
        self._learns = register_positions(self, "iava", positions, is_tabulated=True)
        if not self._learns:
            left, weight = between(self.iava, size)
            self.register_buffer("left", left, persistent=False)
            self.register_buffer("weight", weight, persistent=False)

    @property
    def positions(self) -> Any:
        """The positions, an array or a tensor, clipped to the last sample."""
        return positions_of(self.iava, self._size, self._learns)

    def _around(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the samples before and after each position, and the weight of the latter."""
        left, weight = between(self.iava, self._size) if self._learns else (self.left, self.weight)
        return left, behind(left, self._size), along(weight.to(weight_dtype(self, x)), self.axis)

    def _forward(self, x: Tensor) -> Tensor:
        return self._interpolate(in_result_dtype(self, x), False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._interpolate_back(in_result_dtype(self, y), False)

    def _fast_forward(self, x: Tensor) -> Tensor:
        x = in_result_dtype(self, x)
        return in_blocks(x, self.dimsd, x.dtype, (self.axis,), lambda x: self._interpolate(x, True))

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        y = in_result_dtype(self, y)
        return in_blocks(y, self.dims, y.dtype, (self.axis,), lambda y: self._interpolate_back(y, True))

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        if self._learns:
            raise Unsuitable
        left, weight = view_of(self, "left"), view_of(self, "weight").astype(x.real.dtype, copy=False)
        right = np.minimum(left + 1, self._size - 1)
        weight = weight.reshape((-1, *(1,) * (-self.axis - 1)))
        if not adjoint:
            before = x.take(left, self.axis)
            result: NDArray[Any] = before + (x.take(right, self.axis) - before) * weight
            return result
        share = x * weight
        both = np.concatenate((x - share, share), self.axis)
        return scattered(both, np.concatenate((left, right)), self.axis, self._size)

    def _interpolate(self, x: Tensor, fast: bool) -> Tensor:
        left, right, weight = self._around(x)
        before = take(x, left, self.axis, fast)
        step = take(x, right, self.axis, fast)
        return step.sub_(before).mul_(weight).add_(before) if fast else before + (step - before) * weight

    def _interpolate_back(self, y: Tensor, fast: bool) -> Tensor:
        left, right, weight = self._around(y)
        share = y * weight
        x = put(y - share, left, self.axis, self._size, fast=fast)
        return put(share, right, self.axis, self._size, x, fast)

    def extra_repr(self) -> str:
        return f"{self.dimsd[self.axis]} positions on {self._size} samples, axis={self.axis}"


class SincInterpolation(AccumulatingOperator):
    r"""Interpolation by the sinc function, exact for band-limited signals.

    Forward:
        .. math::

            y_i = \sum_j \mathrm{sinc}(t_i - j) \, x_j, \qquad \mathrm{sinc}(t) = \frac{\sin \pi t}{\pi t}

    Adjoint:
        .. math:: (A^H y)_j = \sum_i \mathrm{sinc}(t_i - j) \, y_i

    Args:
        dims: Shape of the model.
        iava: The positions :math:`t_i`. They may repeat, and may be outside of the axis.
        axis: Axis along which the operator is applied.
        tol: Weights with a magnitude below this value are omitted. If the positions are not a tensor, only the other
            weights are then stored. The full matrix is stored otherwise, or computed in each call if the positions are
            a tensor.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``iava`` is not one-dimensional.

    Example:
        >>> SincInterpolation(3, [1.0, 0.5])(torch.tensor([1.0, 2.0, 1.0]))
        tensor([2.0000, 1.6977])
    """

    _is_fast_without_autocast = True

    iava: Tensor
    matrix: Tensor
    rows: Tensor
    columns: Tensor
    values: Tensor

    def __init__(
        self,
        dims: Dims,
        iava: Array,
        axis: int = -1,
        tol: float | None = None,
        dtype: DType = "float64",
        name: str = "I",
    ) -> None:
        dims = as_dims(dims)
        trailing = as_trailing_axis(axis, dims)
        positions = as_positions(iava, dims[trailing], "SincInterpolation", clips=False, least=None)
        dimsd = list(dims)
        dimsd[trailing] = len(positions)
        super().__init__(dims, dimsd, dtype=dtype, name=name)
        self.axis, self.tol = trailing, tol
        self._learns = register_positions(self, "iava", positions, is_tabulated=True)
        self._is_sparse = tol is not None and not self._learns
        self._products = SparseProducts()
        if self._is_sparse:
            self._keep_entries()
        elif not self._learns:
            self.register_buffer("matrix", self._weights(self.iava), persistent=False)

    def _weights(self, positions: Tensor) -> Tensor:
        samples = torch.arange(self.dims[self.axis], dtype=positions.dtype, device=positions.device)
        whole = positions.detach().round()
        weights = sinc_of_sums((positions - whole).unsqueeze(1), whole.unsqueeze(1), samples)
        return weights if self.tol is None else torch.where(weights.detach().abs() < self.tol, 0, weights)

    def _keep_entries(self) -> None:
        found = []
        step = max(1, (1 << 20) // self.dims[self.axis])
        for start in range(0, len(self.iava), step):
            weights = self._weights(self.iava[start : start + step])
            rows, columns = weights.nonzero(as_tuple=True)
            found.append((rows + start, columns, weights[rows, columns]))
        for what, parts in zip(("rows", "columns", "values"), zip(*found, strict=True), strict=True):
            self.register_buffer(what, torch.cat(parts), persistent=False)

    def _forward(self, x: Tensor) -> Tensor:
        return self._multiply(in_result_dtype(self, x), False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._multiply(in_result_dtype(self, y), True)

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:
        if self._is_sparse:
            return self._along_last(lambda x: self._multiply_entries(x, adjoint), x)
        matrix = self._weights(precise(self.iava)) if self._learns else self.matrix
        matrix = matrix.to(weight_dtype(self, x)).to(x.dtype)
        matrix = matrix.mT if adjoint else matrix
        if x.ndim == 1:
            return torch.mv(matrix, x)
        if self.axis == -1:
            return torch.matmul(x, matrix.mT)
        lead, rest = x.shape[: x.ndim + self.axis], x.shape[x.ndim + self.axis + 1 :]
        y = torch.matmul(matrix, x.reshape((*lead, matrix.shape[1], math.prod(rest))))
        return y.reshape((*lead, matrix.shape[0], *rest))

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        if self._is_sparse or self._learns:
            raise Unsuitable
        matrix = view_of(self, "matrix").astype(x.real.dtype, copy=False)
        matrix = matrix.T if adjoint else matrix
        if self.axis == -1:
            result: NDArray[Any] = x @ matrix.T.astype(x.dtype, copy=False)
            return result
        columns = x.reshape((*x.shape[: self.axis + 1], math.prod(x.shape[x.ndim + self.axis + 1 :])))
        y = matrix.astype(x.dtype, copy=False) @ columns
        return y.reshape((*x.shape[: self.axis], matrix.shape[0], *x.shape[x.ndim + self.axis + 1 :]))

    def _along_last(self, apply: Any, x: Tensor) -> Tensor:
        y: Tensor = apply(x.movedim(self.axis, -1))
        return y if self.axis == -1 else y.movedim(-1, self.axis).contiguous()

    def _multiply_entries(self, x: Tensor, adjoint: bool) -> Tensor:
        source, target = (self.rows, self.columns) if adjoint else (self.columns, self.rows)
        products = take(x, source, -1) * self.values.to(real_dtype(x.dtype))
        return put(products, target, -1, (self.dims if adjoint else self.dimsd)[self.axis])

    # -- products with a sparse matrix ---------------------------------------------------------------------------

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return self._is_sparse and SparseProducts.suit(x, self._entries(), len(self.values))

    def _entries(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.rows, self.columns, self.values

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._along_last(lambda x: self._multiply_sparse(x, False), x)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._along_last(lambda y: self._multiply_sparse(y, True), y)

    def _multiply_sparse(self, x: Tensor, adjoint: bool) -> Tensor:
        return self._products.multiply(x, adjoint, self._entries(), self._make_matrix)

    def _make_matrix(self, x: Tensor, adjoint: bool) -> Tensor:
        values = self.values.to(real_dtype(x.dtype))
        size, count = self.dims[self.axis], self.dimsd[self.axis]
        if not adjoint:
            return sparse_matrix(self.rows, self.columns, values, (count, size))
        order = torch.argsort(self.columns, stable=True)
        return sparse_matrix(self.columns[order], self.rows[order], values[order], (size, count))

    def extra_repr(self) -> str:
        tol = "" if self.tol is None else f", tol={self.tol}"
        return f"{self.dimsd[self.axis]} positions on {self.dims[self.axis]} samples, axis={self.axis}{tol}"


def sinc(t: Tensor) -> Tensor:
    """Return ``sin(pi t) / (pi t)``, whose derivatives of low order are exact at zero, too."""
    square = (math.pi * t) ** 2
    near = square < 0.1
    series = torch.ones_like(t)
    for k in (12, 10, 8, 6, 4, 2):  # 1 - u / (2 3) (1 - u / (4 5) (1 - ...)), to rounding where u < 0.1
        series = 1 - square * series / (k * (k + 1))
    angle = math.pi * torch.where(near, 1, t)
    return torch.where(near, series, angle.sin() / angle)


def sinc_of_sums(rest: Tensor, left: Tensor, right: Tensor) -> Tensor:
    r"""Return :math:`\mathrm{sinc}(\delta + l - r)` for integers :math:`l` and :math:`r`, which broadcast.

    For :math:`m = l - r`, :math:`\sin \pi (\delta + m) = (-1)^m \sin \pi \delta`, so one sine per :math:`\delta` is
    enough. For :math:`m = 0` the quotient is replaced by :func:`sinc`, whose derivatives are exact at 0.
    """
    m = left - right
    middle = m == 0
    recorded = torch.is_grad_enabled() and rest.requires_grad
    own = m if is_plain_eager() and not recorded else None  # compute in the memory of m
    # (-1)^m is a product of one factor of l and one of r, so no tensor of the size of the result is needed
    sine = torch.sin(math.pi * rest) / math.pi * _alternating(left)
    argument = torch.add(m, rest, out=own)
    quotient = torch.div(sine, torch.where(middle, m.new_ones(()), argument, out=own), out=own)
    quotient = torch.mul(quotient, _alternating(right), out=own)
    return torch.where(middle, sinc(rest), quotient, out=own)


def _alternating(m: Tensor) -> Tensor:
    """Return ``(-1)^m`` for integers ``m``."""
    return 1 - 2 * torch.remainder(m, 2)
