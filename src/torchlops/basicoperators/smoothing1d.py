"""Moving average along one axis."""

from __future__ import annotations

from torchlops.arrays import DType
from torchlops.attributes import Computed
from torchlops.basicoperators._smoothing import SmoothingOperator
from torchlops.shapes import Dims


class Smoothing1D(SmoothingOperator):
    r"""Moving average along one axis.

    The window may be longer than the axis (PyLops then returns data of a different length, or raises).

    Forward:
        .. math:: y_i = \frac{1}{n} \sum_{j=i-(n-1)/2}^{i+(n-1)/2} x_j

        with :math:`x = 0` outside the model, so that averages near the ends are smaller.

    Adjoint:
        The operator is self-adjoint, :math:`A^H y = A y`.

    Args:
        nsmooth: Length :math:`n` of the window in samples. Even lengths are increased by 1, as in PyLops.
        dims: Shape of the model.
        axis: Axis along which to smooth.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``nsmooth`` is less than 1.

    Example:
        >>> import torch
        >>> Smoothing1D(3, 5)(torch.tensor([0.0, 0.0, 3.0, 0.0, 6.0]))
        tensor([0., 1., 1., 3., 2.])
    """

    nh = Computed(lambda self: self.nsmooth)

    def __init__(self, nsmooth: int, dims: Dims, axis: int = -1, dtype: DType = "float64", name: str = "S") -> None:
        super().__init__((nsmooth,), dims, (axis,), dtype, name)
        self.nsmooth, self.axis = self._widths[0], self._axes[0]

    def extra_repr(self) -> str:
        return f"nsmooth={self.nsmooth}, axis={self.axis}"
