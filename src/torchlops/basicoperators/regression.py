"""Polynomial regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import complex_of, promoted, view
from torchlops.arrays import Array, DType, as_tensor, complex_dtype, conjugate
from torchlops.basicoperators._positions import Positions, precise, register_positions
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.shapes import as_integer


class Regression(AccumulatingOperator):
    r"""Values of a polynomial at given points, for polynomial regression.

    The model contains the coefficients, beginning with the constant term. The points may be integers, and the model
    may be complex (PyLops raises in both cases).

    Forward:
        .. math:: y_i = \sum_{n=0}^{\mathrm{order}} x_n \, t_i^n

    Adjoint:
        .. math:: (A^H y)_n = \sum_i \overline{t_i^n} \, y_i

    Args:
        taxis: The points :math:`t_i`, of shape ``(N,)``. A tensor carries gradients and affects the dtype of
            the result; an array does neither.
        order: Degree of the polynomial.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``taxis`` is not one-dimensional, or ``order`` is negative.
        TypeError: If ``taxis`` is not numeric, or ``order`` is not an integer.

    Example:
        >>> R = Regression([0, 1, 2], order=2)
        >>> R(torch.tensor([1.0, 0.0, 3.0])), R.apply(0.5, torch.tensor([1.0, 0.0, 3.0]))
        (tensor([ 1.,  4., 13.]), tensor(1.7500))
    """

    taxis = Positions()

    def __init__(self, taxis: Array, order: int, dtype: DType = "float64", name: str = "R") -> None:
        kind = type(self).__name__
        shape = tuple(taxis.shape) if hasattr(taxis, "shape") else (len(taxis),)
        if len(shape) != 1:
            raise ValueError(f"{kind}: taxis must be one-dimensional, got shape {shape}")
        order = as_integer(order, f"{kind}: order", least=0)
        super().__init__(order + 1, shape, dtype=dtype, name=name)
        self.order = order
        if "complex" in str(getattr(taxis, "dtype", "")):
            self._register("taxis", taxis)
        else:
            register_positions(self, "taxis", taxis)

    def _powers(self, points: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the powers ``(order + 1, N)`` of the points, and ``x``, in the dtype of the result."""
        points = precise(points)
        power = torch.ones_like(points)
        powers = [power]
        for _ in range(self.order):
            power = power * points
            powers.append(power)
        dtype = x.dtype
        for tensor in self._own_tensors():
            dtype = torch.promote_types(dtype, tensor.dtype)
        if power.is_complex():
            dtype = complex_dtype(dtype)
        return torch.stack(powers).to(dtype), x.to(dtype)

    def _forward(self, x: Tensor) -> Tensor:
        powers, x = self._powers(self._tensor("taxis"), x)
        return _product(x, powers)

    def _adjoint(self, y: Tensor) -> Tensor:
        powers, y = self._powers(self._tensor("taxis"), y)
        return _product(y, conjugate(powers).mT)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        taxis = view(self._tensor("taxis"))
        points = taxis.astype(np.promote_types(taxis.dtype, np.float32), copy=False)
        dtype = promoted(x[..., :0], self._own_tensors()).dtype
        dtype = complex_of(dtype) if points.dtype.kind == "c" else dtype
        if adjoint:
            power, sums = points.conj(), [x.sum(-1)]
            for k in range(self.order):
                power = power * points.conj() if k else power
                sums.append((x * power).sum(-1))
            return np.stack(sums, -1).astype(dtype, copy=False)
        y = x[..., self.order, None] + np.zeros_like(points)
        for k in reversed(range(self.order)):
            y = y * points + x[..., k, None]
        result: NDArray[Any] = y.astype(dtype, copy=False)
        return result

    def apply(self, t: Any, x: Any = None) -> Any:
        """Return the values of the polynomial with coefficients ``x`` at points ``t``.

        Called with a function as its only argument, this is ``nn.Module.apply``, which calls it on every submodule.

        Args:
            t: Points, of any shape.
            x: Coefficients ``(*batch, order + 1)``.

        Returns:
            Values ``(*batch, *t.shape)``, as the same type of array as ``x``.

        Raises:
            ValueError: If ``x`` has the wrong number of coefficients.
        """
        if x is None:
            return super().apply(t)
        if not isinstance(x, Tensor):
            return self._through_arrays(x, lambda tensor: self.apply(t, tensor))
        if x.ndim == 0 or x.shape[-1] != self.order + 1:
            raise ValueError(f"{self.name_and_type}.apply takes x of shape (*batch, {self.order + 1}), got {x.shape}")
        points = as_tensor(t, f"{type(self).__name__}: t").to(x.device)
        powers, coefficients = self._powers(points, x)
        if isinstance(t, Tensor):
            dtype = torch.promote_types(coefficients.dtype, points.dtype)
            powers, coefficients = powers.to(dtype), coefficients.to(dtype)
        values = _product(coefficients, powers.reshape(self.order + 1, points.numel()))
        return values.reshape((*x.shape[:-1], *points.shape))

    def extra_repr(self) -> str:
        return f"order={self.order}"


def _product(x: Tensor, matrix: Tensor) -> Tensor:
    return torch.mv(matrix.mT, x) if x.ndim == 1 else torch.matmul(x, matrix)
