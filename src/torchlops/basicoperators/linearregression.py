"""Linear regression."""

from __future__ import annotations

from torchlops.arrays import Array, DType
from torchlops.basicoperators.regression import Regression


class LinearRegression(Regression):
    r"""Values of a straight line at given points, for linear regression.

    This is a :class:`Regression` of order 1. The model contains the intercept and the slope.

    Forward:
        .. math:: y_i = x_0 + x_1 t_i

    Adjoint:
        .. math:: A^H y = \left( \sum_i y_i, \; \sum_i \overline{t_i} \, y_i \right)

    Args:
        taxis: The points :math:`t_i`, of shape ``(N,)``. A tensor carries gradients and affects the dtype of
            the result; an array does neither.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``taxis`` is not one-dimensional.
        TypeError: If ``taxis`` is not numeric.

    Example:
        >>> import torch
        >>> LinearRegression([0, 1, 2])(torch.tensor([1.0, 0.5]))
        tensor([1.0000, 1.5000, 2.0000])
    """

    def __init__(self, taxis: Array, dtype: DType = "float64", name: str = "L") -> None:
        super().__init__(taxis, 1, dtype=dtype, name=name)

    def extra_repr(self) -> str:
        return ""
