"""Smoothing of a section along the slopes of its events."""

from __future__ import annotations

from torch import Tensor

from torchlops.signalprocessing.pwsprayer2d import PWSprayer2D


class PWSmoother2D(PWSprayer2D):
    r"""Smooth a section along the local slopes, :math:`y = P^H P x` with :math:`P` a :class:`PWSprayer2D`.

    Each sample is sprayed along the slopes, and what lies along them is gathered again. The operator is its own
    adjoint, and positive semi-definite: a regulariser or preconditioner that keeps to the structure.

    Args:
        dims: Shape ``(nz, nx)`` of a section.
        sigma: Slopes of that shape, in samples per trace. They may carry gradients.
        radius: Number of traces on either side, 0 or more.
        alpha: Factor from trace to trace; with 1 nothing decays.
        dtype: Label of the operator.
        name: A name for errors.

    Raises:
        ValueError: when ``dims`` are not two, ``sigma`` is complex or of another shape, or ``radius`` is below 0.

    Example:
        >>> import torch
        >>> A = PWSmoother2D((1, 3), torch.zeros(1, 3), radius=1, alpha=0.5)
        >>> A(torch.tensor([[0.0, 4.0, 0.0]]))
        tensor([[4., 6., 4.]])
    """

    def _forward(self, x: Tensor) -> Tensor:
        return self._gather(self._spray(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._gather_in_place(self._spray_in_place(x))

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._fast_forward(y)
