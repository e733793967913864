"""Operators as the physics of DeepInverse."""

from __future__ import annotations

from typing import Any

from torchlops.extras import import_extra
from torchlops.torchoperator import aslinearoperator


def as_linear_physics(Op: Any, **options: Any) -> Any:
    r"""Return an operator as a ``deepinv.physics.LinearPhysics``, for DeepInverse's algorithms, losses and networks.

    Images are ``(B, *dims)``. DeepInverse's are ``(B, C, H, W)``: an operator on models ``(H, W)`` is applied to each
    channel, one on ``(C, H, W)`` to all together. The operator becomes a submodule, so its parameters are those of the
    physics, and gradients reach them.

    Args:
        Op: The operator: anything that :func:`~torchlops.aslinearoperator` takes.
        **options: Arguments of ``LinearPhysics``: ``noise_model``, ``sensor_model``, ``max_iter``, ``tol``, ``solver``
            and others, but not ``A`` and ``A_adjoint``. The defaults of ``img_size`` and ``device`` are the shape of
            one model and the device of the operator.

    Raises:
        ImportError: If DeepInverse is not installed.
        TypeError: If ``options`` contain ``A`` or ``A_adjoint``.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.FirstDerivative((8, 8), axis=0)
        >>> physics = as_linear_physics(A, max_iter=100)  # doctest: +SKIP
        >>> physics.A_dagger(physics.A(torch.ones(2, 1, 8, 8))).shape  # doctest: +SKIP
        torch.Size([2, 1, 8, 8])
    """
    physics = import_extra("deepinv.physics", "as_linear_physics")
    A = aslinearoperator(Op)
    defaults = {"img_size": A.dims, "device": A._device() or "cpu"}
    return physics.LinearPhysics(A=A, A_adjoint=A.adjoint, **{**defaults, **options})
