"""Second derivative along one axis."""

from __future__ import annotations

from typing import Literal

from torchlops.arrays import DType
from torchlops.basicoperators._stencils import Band, Stencil, StencilOperator, as_step
from torchlops.shapes import Dims


class SecondDerivative(StencilOperator):
    r"""Second derivative along one axis by three-point finite differences.

    Forward:
        ============== ===========================================================
        kind           :math:`y_i`
        ============== ===========================================================
        ``"forward"``  :math:`(x_{i+2} - 2 x_{i+1} + x_i) / \Delta x^2`
        ``"centered"`` :math:`(x_{i+1} - 2 x_i + x_{i-1}) / \Delta x^2`
        ``"backward"`` :math:`(x_i - 2 x_{i-1} + x_{i-2}) / \Delta x^2`
        ============== ===========================================================

        Where the stencil extends beyond the axis, :math:`y_i = 0`. With ``edge=True`` the centered kind uses the
        forward and the backward stencil at the two ends.

    Adjoint:
        The transposed stencils:

        ============== ===========================================================
        kind           :math:`(A^H y)_i`
        ============== ===========================================================
        ``"forward"``  :math:`(y_{i-2} - 2 y_{i-1} + y_i) / \Delta x^2`
        ``"centered"`` :math:`(y_{i-1} - 2 y_i + y_{i+1}) / \Delta x^2`
        ``"backward"`` :math:`(y_i - 2 y_{i+1} + y_{i+2}) / \Delta x^2`
        ============== ===========================================================

        Samples of :math:`y` beyond the axis, and those that the forward sets to zero, count as zero.

    Args:
        dims: Shape of the model.
        axis: Axis along which to differentiate.
        sampling: Sampling step :math:`\Delta x`.
        kind: ``"forward"``, ``"centered"`` or ``"backward"``.
        edge: Whether the centered kind is also computed at the ends (the other kinds ignore it).
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``sampling`` is 0, or ``edge=True`` is given for an axis of fewer than three samples.
        NotImplementedError: If ``kind`` is unknown.

    Example:
        >>> import torch
        >>> SecondDerivative(5)(torch.tensor([0.0, 1.0, 4.0, 9.0, 16.0]))
        tensor([0., 2., 2., 2., 0.])
    """

    def __init__(
        self,
        dims: Dims,
        axis: int = -1,
        sampling: float = 1.0,
        kind: Literal["forward", "centered", "backward"] = "centered",
        edge: bool = False,
        dtype: DType = "float64",
        name: str = "S",
    ) -> None:
        super().__init__(dims, axis, dtype=dtype, name=name)
        self.sampling, self.kind, self.edge = sampling, kind, edge
        self._stencil = second_derivative(self.dims[self.axis], sampling, kind, edge, type(self).__name__)

    def extra_repr(self) -> str:
        return f"axis={self.axis}, sampling={self.sampling}, kind={self.kind!r}, edge={self.edge}"


def second_derivative(n: int, sampling: float, kind: str, edge: bool, owner: str, weight: float = 1.0) -> Stencil:
    """Return the stencil of ``weight`` times the second derivative of ``n`` samples; errors name ``owner``."""
    centre = {"forward": 1, "centered": 0, "backward": -1}
    if kind not in centre:
        raise NotImplementedError(f"{owner}: kind must be 'forward', 'centered' or 'backward', got {kind!r}")
    scale = weight / as_step(sampling, f"{owner}: sampling") ** 2
    # The difference centered at sample j is stored at i = j - 1, j or j + 1.
    rows = [(1 - centre[kind], n - 1 - centre[kind], centre[kind])]
    if edge and kind == "centered":
        if n < 3:
            raise ValueError(f"{owner}: edge=True requires at least three samples per axis, got {n}: use edge=False")
        rows += [(0, 1, 1), (n - 1, n, -1)]
    bands = [
        Band(start, stop, shift + offset, factor)
        for start, stop, shift in rows
        for offset, factor in ((1, 1.0), (-1, 1.0), (0, -2.0))
    ]
    return Stencil(bands, n, scale)
