"""The least-squares problems inside other solvers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchlops.optimization.solver.vectors import axpy, quotient, squared_norm, xpay

_CHECK_EVERY = 10


def least_squares(
    forward: Callable[[Tensor], Tensor],
    adjoint: Callable[[Tensor], Tensor],
    y: Tensor,
    x: Tensor | None,
    like: Tensor,
    damp: Any,
    niter: int,
    rtol: float,
) -> Tensor:
    """Minimise ``||y - A x||^2 + damp^2 ||x||^2`` on vectors, by conjugate gradients.

    Args:
        forward: Applies ``A``.
        adjoint: Applies ``A^H``.
        y: The data.
        x: Initial guess, or None for zero.
        like: A model vector, for shape and dtype.
        damp: A number of each sample.
        niter: Most iterations.
        rtol: Tolerance on the norm of the gradient, relative to that at ``x = 0``.
    """
    is_damped = isinstance(damp, Tensor) or damp != 0
    square = damp * damp

    def gradient(r: Tensor, x: Tensor) -> Tensor:
        s = adjoint(r)
        return axpy(s, square, x, -1) if is_damped else s

    s = adjoint(y)
    limit = squared_norm(s) * max(rtol, 0.1 * torch.finfo(y.dtype).eps) ** 2
    if x is None:
        x, r = torch.zeros_like(like), y.clone()
    else:
        x = x.clone()
        r = torch.sub(y, forward(x))
        s = gradient(r, x)
    p, k = s, squared_norm(s)
    active = k > limit
    for i in range(niter):
        if not isinstance(active, Tensor):
            if not active:
                break
        elif i % _CHECK_EVERY == 0 and not torch.is_grad_enabled() and not bool(active.any()):
            break
        q = forward(p)
        qq = squared_norm(q)
        alpha = quotient(k, qq + square * squared_norm(p) if is_damped else qq, active)
        x, r = axpy(x, alpha, p), axpy(r, alpha, q, -1)
        s = gradient(r, x)
        k, old = squared_norm(s), k
        p = xpay(s, quotient(k, old, active), p)
        active = active & (k > limit)
    return x


def read_inner_options(name: str, engine: str, options: dict[str, Any], niter: int) -> dict[str, Any]:
    """Return iterations and tolerance of the inner solver out of the options of PyLops's engines.

    Raises:
        ValueError: for an option that has no meaning here.
    """
    if engine not in ("scipy", "pylops"):
        raise ValueError(f"{name}: engine must be 'scipy' or 'pylops', got {engine!r}")
    known = {"iter_lim", "niter", "maxiter", "rtol", "atol", "btol", "tol", "conlim", "calc_var", "preallocate", "show"}
    if set(options) - known:
        unknown = ", ".join(sorted(set(options) - known))
        raise ValueError(
            f"{name} does not know {unknown}: options of its inner solver are niter (iter_lim) and rtol (atol)"
        )
    counts = [options[key] for key in ("iter_lim", "niter", "maxiter") if options.get(key) is not None]
    rtol = options.get("rtol", options.get("atol", 1e-10))
    return {"niter": counts[0] if counts else niter, "rtol": 0.0 if rtol is None else float(rtol)}
