"""Interpolation by cubic splines."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import Unsuitable, placed, real_of_dtype, scattered, view_of
from torchlops.arrays import Array, DType
from torchlops.basicoperators._positions import Positions, in_result_dtype, register_positions, weight_dtype
from torchlops.basicoperators._wide import AccumulatingOperator
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

_POLE = math.sqrt(3) - 2
"""Root of 1 + 4 r + r^2 between -1 and 0, the rate at which the influence of a sample on the spline decays."""

_REACH = 32
"""Number of samples after which this influence is below rounding error."""


class InterpCubicSpline(AccumulatingOperator):
    r"""Interpolation by a natural cubic spline, the interpolant with minimum bending energy.

    Away from the ends the second derivatives are :math:`m_j = \sqrt 3 \sum_k r^{|k|} z_{j - k}` for the second
    differences :math:`z` of the samples, with :math:`r = \sqrt 3 - 2`. The sum is built recursively from copies of
    itself shifted by 1, 2, 4, 8 and 16 samples (:math:`r^{32} < 10^{-18}`), and two multiples of :math:`r^j` correct
    the ends. All samples are thus computed at once, and all derivatives, with respect to ``x`` and to the positions,
    are exact.

    All floating-point and complex dtypes are supported (PyLops supports double precision only).

    Forward:
        .. math::

            y_i = (1 - w) \, x_l + w \, x_{l + 1}
                + \frac{(1 - w)^3 - (1 - w)}{6} \, m_l + \frac{w^3 - w}{6} \, m_{l + 1}

        with :math:`l = \lfloor t_i \rfloor`, :math:`w = t_i - l`, and the second derivatives :math:`m` of the spline at
        the samples. These are zero at both ends and satisfy

        .. math:: \tfrac{1}{6} (m_{j - 1} + 4 m_j + m_{j + 1}) = x_{j - 1} - 2 x_j + x_{j + 1}

    Adjoint:
        The weights of :math:`x` and :math:`m` are transposed, and so is the solution of the system for :math:`m`: with
        :math:`A = W + V T^{-1} D` for the system :math:`T m = D x`,

        .. math:: A^H y = W^T y + D^T T^{-1} V^T y

    Args:
        dims: Shape of the model.
        iava: The positions :math:`t_i`, in samples. Those at the last sample or
            beyond are moved to just before it, with a warning. A tensor carries gradients and affects the dtype of the
            result; an array does neither. Positions of a tensor that later move beyond an end are clipped to that end.
        bc_type: Boundary condition: ``"natural"``, with zero curvature at the ends.
        axis: Axis along which the operator is applied.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
        repeated: Whether positions may repeat, which they never may in PyLops.

    Attributes:
        iava: The positions.

    Raises:
        ValueError: If the axis has fewer than two samples, positions repeat without ``repeated=True``, or a position is
            negative (PyLops extrapolates there, but not after the last sample).
        NotImplementedError: If ``bc_type`` is not ``"natural"``.

    References:
        C. de Boor, A Practical Guide to Splines, Springer, 1978, chapter IV; M. Unser, A. Aldroubi, M. Eden, B-spline
        signal processing, IEEE Transactions on Signal Processing 41 (1993), 821-848.

    Example:
        >>> S = InterpCubicSpline(3, [0.5, 1.0])
        >>> S(torch.tensor([0.0, 1.0, 0.0]))
        tensor([0.6875, 1.0000])
    """

    bc_type = "natural"
    iava = Positions()
    left: Tensor
    weight: Tensor
    fading: Tensor

    def __init__(
        self,
        dims: Dims,
        iava: Array,
        bc_type: str = "natural",
        axis: int = -1,
        dtype: DType = "float64",
        name: str = "S",
        repeated: bool = False,
    ) -> None:
        dims = as_dims(dims)
        trailing = as_trailing_axis(axis, dims)
        size = dims[trailing]
        if size < 2:
            raise ValueError(f"InterpCubicSpline requires at least two samples along its axis, got {dims=}, {axis=}")
        if str(bc_type).lower() != "natural":
            raise NotImplementedError(f"InterpCubicSpline: bc_type must be 'natural', got {bc_type!r}")
        positions = as_positions(iava, size, "InterpCubicSpline")
        if not repeated:
            refuse_repeated(iava, "InterpCubicSpline")
        dimsd = list(dims)
        dimsd[trailing] = len(positions)
        super().__init__(dims, dimsd, dtype=dtype, name=name)
        self.axis, self._size = trailing, size
        powers = torch.tensor([_POLE**j for j in range(min(size, _REACH))], dtype=torch.float64, device="cpu")
        self.register_buffer("fading", powers, persistent=False)
        self._learns = register_positions(self, "iava", positions, is_tabulated=True)
        if not self._learns:
            left, weight = between(self._tensor("iava"), size)
            self.register_buffer("left", left, persistent=False)
            self.register_buffer("weight", weight, persistent=False)

    @property
    def positions(self) -> Any:
        """The positions, an array or a tensor, clipped to the last sample."""
        return positions_of(self._tensor("iava"), self._size, self._learns)

    def _cubics(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the samples before and after each position, and the weights of both and of their curvatures."""
        left, weight = between(self._tensor("iava"), self._size) if self._learns else (self.left, self.weight)
        other = 1 - weight
        weights = [other, weight, (other**3 - other) / 6, (weight**3 - weight) / 6]
        dtype = weight_dtype(self, x)
        return left, behind(left, self._size), [along(each.to(dtype), self.axis) for each in weights]

    def _forward(self, x: Tensor) -> Tensor:
        return self._evaluate(in_result_dtype(self, x), False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._evaluate_back(in_result_dtype(self, y), False)

    def _fast_forward(self, x: Tensor) -> Tensor:
        x = in_result_dtype(self, x)
        return in_blocks(x, self.dimsd, x.dtype, (self.axis,), lambda x: self._evaluate(x, True))

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        y = in_result_dtype(self, y)
        return in_blocks(y, self.dims, y.dtype, (self.axis,), lambda y: self._evaluate_back(y, True))

    def _evaluate(self, x: Tensor, fast: bool) -> Tensor:
        left, right, weights = self._cubics(x)
        zero = _zeros(x, self.axis, 1)
        curvature = self._solve(torch.cat((zero, _second_difference(x, self.axis), zero), self.axis))
        terms = [(x, left), (x, right), (curvature, left), (curvature, right)]
        y = take(*terms[0], self.axis, fast) * weights[0]
        for (source, index), weight in zip(terms[1:], weights[1:], strict=True):
            term = take(source, index, self.axis, fast)
            y = y.addcmul_(term, weight.to(term.dtype)) if fast else y + term * weight
        return y

    def _evaluate_back(self, y: Tensor, fast: bool) -> Tensor:
        left, right, weights = self._cubics(y)
        parts = []
        for first, second in (weights[:2], weights[2:]):
            part = put(y * first, left, self.axis, self._size, fast=fast)
            parts.append(put(y * second, right, self.axis, self._size, part, fast))
        zero = _zeros(y, self.axis, 1)
        inner = parts[1].narrow(self.axis, 1, self._size - 2)
        curvature = self._solve(torch.cat((zero, inner, zero), self.axis))
        return parts[0] + _second_difference(torch.cat((zero, curvature, zero), self.axis), self.axis)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        if self._learns:
            raise Unsuitable
        dtype, size = real_of_dtype(x.dtype), self._size
        left, weight = view_of(self, "left"), view_of(self, "weight")
        other = 1 - weight
        weights = [other, weight, (other**3 - other) / 6, (weight**3 - weight) / 6]
        first, second, third, fourth = (each.astype(dtype, copy=False) for each in weights)
        right = np.minimum(left + 1, size - 1)
        x = x.swapaxes(self.axis, -1)
        if not adjoint:
            curvature = self._solve_array(placed(_second_difference_of_array(x), -1, size, 1))
            y: NDArray[Any] = x.take(left, -1) * first + x.take(right, -1) * second
            y += curvature.take(left, -1) * third + curvature.take(right, -1) * fourth
            return y.swapaxes(self.axis, -1)
        index = np.concatenate((left, right))
        direct = scattered(np.concatenate((x * first, x * second), -1), index, -1, size)
        bent = scattered(np.concatenate((x * third, x * fourth), -1), index, -1, size)
        curvature = self._solve_array(placed(bent[..., 1:-1], -1, size, 1))
        result: NDArray[Any] = (direct + _second_difference_of_array(placed(curvature, -1, size + 2, 1))).swapaxes(
            self.axis, -1
        )
        return result

    def _solve_array(self, z: NDArray[Any]) -> NDArray[Any]:
        """Return the result of :meth:`_solve` for an array whose last axis is that of the spline."""
        n, shift = self._size, 1
        causal, anticausal = z.copy(), z.copy()
        while shift < min(n, _REACH):
            causal[..., shift:] += _POLE**shift * causal[..., :-shift].copy()
            anticausal[..., :-shift] += _POLE**shift * anticausal[..., shift:].copy()
            shift *= 2
        m = causal + anticausal - z
        first, last = m[..., :1].copy(), m[..., -1:].copy()
        far = _POLE ** (n - 1)
        fading = view_of(self, "fading").astype(real_of_dtype(z.dtype), copy=False) / (1 - far**2)
        reach = len(fading)
        m[..., :reach] -= (first - last * far) * fading
        m[..., n - reach :] -= (last - first * far) * fading[::-1]
        result: NDArray[Any] = m * math.sqrt(3)
        return result

    def _solve(self, z: Tensor) -> Tensor:
        """Solve ``(m[j - 1] + 4 m[j] + m[j + 1]) / 6 = z[j]`` for ``m``; ``m`` and ``z`` are zero at both ends."""
        axis, n = self.axis, self._size
        causal = anticausal = z
        shift = 1
        while shift < min(n, _REACH):
            factor, kept, zeros = _POLE**shift, n - shift, _zeros(z, axis, shift)
            earlier = torch.cat((zeros, causal.narrow(axis, 0, kept)), axis)
            later = torch.cat((anticausal.narrow(axis, shift, kept), zeros), axis)
            causal = torch.add(causal, earlier, alpha=factor)
            anticausal = torch.add(anticausal, later, alpha=factor)
            shift *= 2
        m = causal + anticausal - z
        # r^j and r^(n - 1 - j) solve the homogeneous equation. Multiples of them are subtracted to make both ends zero.
        first, last = m.narrow(axis, 0, 1), m.narrow(axis, n - 1, 1)
        far = _POLE ** (n - 1)
        scale = math.sqrt(3) / (1 - far**2)
        fading = along(self.fading.to(z.real.dtype), axis)
        from_first = (first - last * far) * scale * fading
        from_last = (last - first * far) * scale * fading.flip(axis)
        return m * math.sqrt(3) - _ends(from_first, from_last, n, axis)

    def extra_repr(self) -> str:
        return f"{self.dimsd[self.axis]} positions on {self._size} samples, axis={self.axis}"


def _zeros(x: Tensor, axis: int, size: int) -> Tensor:
    shape = list(x.shape)
    shape[axis] = size
    return x.new_zeros(shape)


def _second_difference(x: Tensor, axis: int) -> Tensor:
    size = x.shape[axis] - 2
    before, middle, after = (x.narrow(axis, start, size) for start in range(3))
    return torch.add(before, middle, alpha=-2) + after


def _second_difference_of_array(x: NDArray[Any]) -> NDArray[Any]:
    second: NDArray[Any] = x[..., :-2] - 2 * x[..., 1:-1] + x[..., 2:]
    return second


def _ends(first: Tensor, last: Tensor, n: int, axis: int) -> Tensor:
    """Return the sum of ``first`` at the first samples and ``last`` at the last samples of ``n``."""
    zeros = _zeros(first, axis, n - first.shape[axis])
    return torch.cat((first, zeros), axis) + torch.cat((zeros, last), axis)
