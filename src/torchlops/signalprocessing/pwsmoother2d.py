"""Smoothing of a section along the slopes of its events."""

from __future__ import annotations

from torch import Tensor

from torchlops.signalprocessing.pwsprayer2d import PWSprayer2D


class PWSmoother2D(PWSprayer2D):
    """Smooth a section along the local slopes.

    Each sample is sprayed along the slopes, and the result is gathered along them. The operator is positive
    semidefinite, and serves as a structure-oriented regularization or preconditioner.

    Forward:
        .. math:: y = P^H P x

        with :math:`P` a :class:`PWSprayer2D`.

    Adjoint:
        The operator is self-adjoint, :math:`A^H y = P^H P y`.

    Args:
        dims: Shape ``(nz, nx)`` of a section.
        sigma: Slopes of shape ``dims``, in samples per trace. They may carry gradients.
        radius: Number of traces on each side, nonnegative.
        alpha: Decay factor from trace to trace; 1 means no decay.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``dims`` does not have two axes, ``sigma`` is complex or has the wrong shape, or ``radius`` is
            negative.

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
