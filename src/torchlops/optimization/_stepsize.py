"""The largest step of gradient methods: one over the largest eigenvalue of ``A^H A``."""

from __future__ import annotations

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator


def largest_eigenvalue(A: LinearOperator, x: Tensor, niter: int = 60, tol: float = 1e-3) -> Tensor:
    """Return an upper bound, closer than ``tol`` (relative), of the largest eigenvalue of ``A^H A``.

    It is that of a Lanczos process, the power iteration that makes use of all its iterates: the largest Ritz value
    plus the norm of its residual. The result has the shape ``(*batch, 1)`` where the tensors of ``A`` differ from
    sample to sample, else ``(1,)``.

    Args:
        A: The operator.
        x: A model, of any values, with the batch shape, dtype and device to use.
        niter: Most iterations.
        tol: Relative tolerance.
    """
    with torch.no_grad():
        nd = len(A.dims)
        generator = torch.Generator().manual_seed(0)
        v = torch.randn(A.dims, generator=generator, dtype=torch.float64).to(x)
        try:
            shared = A.apply_nd(v, False).ndim == len(A.dimsd)
        except RuntimeError:
            shared = False
        if not shared:
            v = v.expand(x.shape).clone()
        axes = tuple(range(v.ndim - nd, v.ndim))
        old, beta = torch.zeros_like(v), v.abs().new_zeros(())
        v = v / _norm(v, axes)
        diagonal, off = [], []
        bound: Tensor = torch.zeros(())
        for k in range(1, min(niter, 2 * A.shape[1]) + 1):
            w = A.apply_nd(A.apply_nd(v, False), True).to(v.dtype) - beta * old
            alpha = (v.conj() * w).sum(axes, keepdim=True).real
            w = w - alpha * v
            beta = _norm(w, axes)
            old, v = v, w / torch.where(beta > 0, beta, 1.0)
            diagonal.append(alpha.reshape(alpha.shape[: v.ndim - nd]))
            off.append(beta.reshape(alpha.shape[: v.ndim - nd]))
            if k % 5 and k < min(niter, 2 * A.shape[1]):
                continue
            T = torch.diag_embed(torch.stack(diagonal, -1))
            if k > 1:
                sides = torch.stack(off[:-1], -1)
                T = T + torch.diag_embed(sides, 1) + torch.diag_embed(sides, -1)
            values, vectors = torch.linalg.eigh(torch.nan_to_num(T))
            value = values[..., -1:].clamp(min=0)
            error = off[-1].unsqueeze(-1) * vectors[..., -1:, -1]
            bound = value + error.abs()
            if bool((error.abs() <= tol * value).all()):
                break
        return bound


def _norm(v: Tensor, axes: tuple[int, ...]) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(v, dim=axes, keepdim=True)
    return length
