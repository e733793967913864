"""Moving average along several axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torchlops.arrays import DType
from torchlops.basicoperators._smoothing import SmoothingOperator
from torchlops.shapes import Dims, as_dims


class SmoothingND(SmoothingOperator):
    r"""Moving average over a box.

    The sums are computed along one axis after the other.

    Forward:
        .. math:: y_i = \frac{1}{\prod_a n_a} \sum_{|j_a - i_a| \le (n_a-1)/2} x_j

        with :math:`x = 0` outside the model, so that averages near the ends are smaller.

    Adjoint:
        The operator is self-adjoint, :math:`A^H y = A y`.

    Args:
        nsmooth: Length :math:`n_a` of the box along each axis, in samples, or one length for all axes. Even lengths
            are increased by 1, as in PyLops.
        dims: Shape of the model.
        axes: The axes, in the order of ``nsmooth`` (PyLops always uses them in ascending order). One length for each
            axis of ``dims`` needs none: with the default, the average is then along all axes, as in PyLops.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``nsmooth`` is not one positive length per axis.

    Example:
        >>> import torch
        >>> x = torch.zeros(3, 3, 3)
        >>> x[1, 1, 1] = 27
        >>> SmoothingND((3, 1, 3), (3, 3, 3), axes=(0, 1, 2))(x)[0]
        tensor([[0., 0., 0.],
                [3., 3., 3.],
                [0., 0., 0.]])
    """

    def __init__(
        self,
        nsmooth: int | Sequence[int],
        dims: Dims,
        axes: Sequence[int] = (-2, -1),
        dtype: DType = "float64",
        name: str = "S",
    ) -> None:
        sizes = as_dims(dims)
        if tuple(axes) == (-2, -1) and np.ndim(nsmooth) and len(nsmooth) == len(sizes):  # type: ignore[arg-type]
            axes = range(len(sizes))
        super().__init__(nsmooth, sizes, axes, dtype, name)
        self.nsmooth, self.axes = self._widths, self._axes

    def extra_repr(self) -> str:
        return f"nsmooth={self.nsmooth}, axes={self.axes}"
