"""Moving average along two axes."""

from __future__ import annotations

from collections.abc import Sequence

from torchlops.arrays import DType
from torchlops.basicoperators._smoothing import SmoothingOperator
from torchlops.shapes import Dims


class Smoothing2D(SmoothingOperator):
    r"""Moving average over a rectangle.

    The sums are computed along one axis after the other.

    Forward:
        .. math:: y_{ij} = \frac{1}{n_1 n_2} \sum_{|k - i| \le (n_1-1)/2} \ \sum_{|l - j| \le (n_2-1)/2} x_{kl}

        with :math:`x = 0` outside the model, so that averages near the ends are smaller.

    Adjoint:
        The operator is self-adjoint, :math:`A^H y = A y`.

    Args:
        nsmooth: Lengths :math:`n_1` and :math:`n_2` of the rectangle along the two axes, in samples, or one length for
            both. Even lengths are increased by 1, as in PyLops.
        dims: Shape of the model.
        axes: The two axes, in the order of ``nsmooth`` (PyLops always uses them in ascending order).
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If there are not two axes, or ``nsmooth`` is not one positive length per axis.

    Example:
        >>> import torch
        >>> x = torch.zeros(3, 4)
        >>> x[1, 1] = 9
        >>> Smoothing2D((3, 3), (3, 4))(x)
        tensor([[1., 1., 1., 0.],
                [1., 1., 1., 0.],
                [1., 1., 1., 0.]])
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
        if len(self._axes) != 2:
            raise ValueError(f"Smoothing2D takes two axes, got {tuple(axes)}: use SmoothingND for any number of axes")
        self.nsmooth, self.axes = self._widths, self._axes

    def extra_repr(self) -> str:
        return f"nsmooth={self.nsmooth}, axes={self.axes}"
