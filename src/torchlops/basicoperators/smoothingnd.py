"""Moving average along several axes."""

from __future__ import annotations

from collections.abc import Sequence

from torchlops.arrays import DType
from torchlops.basicoperators._smoothing import SmoothingOperator
from torchlops.shapes import Dims


class SmoothingND(SmoothingOperator):
    r"""Average over a moving box.

    .. math:: y_i = \frac{1}{\prod_a n_a} \sum_{|j_a - i_a| \le (n_a-1)/2} x_j

    with :math:`x = 0` outside the model, so that averages near the ends are smaller. It is its own adjoint.
    The box is summed along one axis after the other.

    Args:
        nsmooth: Length :math:`n_a` of the box along each of the axes, in samples. Even ones are made odd by
            adding 1, as in PyLops. One number stands for all.
        dims: Shape of the model.
        axes: The axes, in the order of ``nsmooth`` (PyLops takes them in ascending order whatever is given).
        dtype: Label of the operator.
        name: A name for errors.

    Raises:
        ValueError: when there is not one length of 1 or more for each of the axes.

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
        super().__init__(nsmooth, dims, axes, dtype, name)
        self.nsmooth, self.axes = self._widths, self._axes

    def extra_repr(self) -> str:
        return f"nsmooth={self.nsmooth}, axes={self.axes}"
