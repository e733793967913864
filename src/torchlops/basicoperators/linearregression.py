"""Straight lines."""

from __future__ import annotations

from typing import Any

from torchlops.arrays import DType
from torchlops.basicoperators.regression import Regression


class LinearRegression(Regression):
    r"""Values of a straight line at given points, for linear regression.

    .. math::

        y_i = x_0 + x_1 t_i, \qquad A^H y = \left( \sum_i y_i, \; \sum_i \overline{t_i} \, y_i \right)

    It is :class:`Regression` of order 1; the model are intercept and slope.

    Args:
        taxis: The points :math:`t_i`, of shape ``(N,)``. A tensor carries gradients and takes part in the dtype of
            the result; an array does neither.
        dtype: Label of the operator.
        name: A name for errors.

    Raises:
        ValueError: when ``taxis`` has not one axis.
        TypeError: when ``taxis`` holds no numbers.

    Example:
        >>> import torch
        >>> LinearRegression([0, 1, 2])(torch.tensor([1.0, 0.5]))
        tensor([1.0000, 1.5000, 2.0000])
    """

    def __init__(self, taxis: Any, dtype: DType = "float64", name: str = "L") -> None:
        super().__init__(taxis, 1, dtype=dtype, name=name)

    def extra_repr(self) -> str:
        return ""
