r"""Proximal operators of the penalties of sparse solvers, on real or complex arrays, one sample in the last axis.

Each returns the minimiser of :math:`\frac{1}{2} |x - z|^2 + \tau\, g(x)`. The argument ``tau`` is a number, or a tensor
that broadcasts against ``z``. Complex samples keep their phase.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from torchlops.optimization.solver.vectors import Scalar, sqrt, total

KINDS = ("hard", "soft", "half", "hard-percentile", "soft-percentile", "half-percentile")

_HALF = 54 ** (1 / 3) / 4


def soft(z: Tensor, tau: Scalar) -> Tensor:
    """Soft thresholding: the penalty is ``|x|``.

    >>> soft(torch.tensor([-3.0, 0.5, 2.0]), 1.0)
    tensor([-2., 0., 1.])
    """
    if not z.is_complex():
        return z - z.clamp(-tau, tau)
    size = z.abs()
    tau = torch.as_tensor(tau, dtype=size.dtype, device=size.device)
    beyond = size > tau
    return z * torch.where(beyond, 1 - tau / torch.where(beyond, size, 1.0), 0.0)


def hard(z: Tensor, tau: Scalar) -> Tensor:
    """Hard thresholding: the penalty is 1 where ``x`` is not 0.

    >>> hard(torch.tensor([-3.0, 0.5, 2.0]), 0.5)
    tensor([-3., 0., 2.])
    """
    return _keep_beyond(z, (2 * tau) ** 0.5)


def half(z: Tensor, tau: Scalar) -> Tensor:
    """Half thresholding: the penalty is ``|x|^(1/2)``.

    Source: Z. Xu, X. Chang, F. Xu and H. Zhang, L1/2 regularization, IEEE Trans. Neural Networks and Learning
    Systems 23 (2012), 1013-1027. (They minimise ``|x - z|^2 + lambda |x|^(1/2)``, so that ``lambda = 2 tau``.)
    """
    return _half(z, 2 * tau, _HALF * (2 * tau) ** (2 / 3))


def _half(z: Tensor, weight: Scalar, cut: Scalar) -> Tensor:
    size = z.abs()
    beyond = size > cut
    size = torch.where(beyond, size, 1.0)
    cosine = torch.where(beyond, weight / 8 * (size / 3) ** -1.5, 0.0)
    factor = 2 / 3 * (1 + torch.cos(2 / 3 * (math.pi - torch.arccos(cosine))))
    return torch.where(beyond, z * factor, 0.0)


def _keep_beyond(z: Tensor, cut: Scalar) -> Tensor:
    return torch.where(z.abs() > cut, z, 0.0)


def percentile(kind: str, z: Tensor, perc: float) -> Tensor:
    """Threshold so that about ``perc`` percent of each sample survive; ``kind`` is ``hard``, ``soft`` or ``half``.

    >>> percentile("hard", torch.tensor([1.0, -2.0, 3.0, -4.0, 5.0]), 50)
    tensor([ 0.,  0.,  0., -4.,  5.])
    """
    cut = torch.quantile(z.abs(), 1 - perc / 100, dim=-1, keepdim=True)
    if kind == "soft":
        return soft(z, cut)
    return _keep_beyond(z, cut) if kind == "hard" else _half(z, (cut / _HALF) ** 1.5, cut)


THRESHOLDS: dict[str, Callable[[Tensor, Scalar], Tensor]] = {"soft": soft, "hard": hard, "half": half}


def penalty(kind: str, x: Tensor) -> Scalar:
    """Return the sum of the penalties of each sample."""
    size = x.abs()
    if kind == "hard":
        size = (size != 0).to(size.dtype)
    elif kind == "half":
        size = sqrt(size)
    return total(size)


def phase(x: Tensor) -> Tensor:
    """Return ``x / |x|``, and 0 where ``x`` is 0."""
    full = x != 0
    return torch.where(full, x / torch.where(full, x, 1.0).abs(), 0.0)


def project_on_l1_ball(z: Tensor, radius: Scalar) -> Tensor:
    """Return the point of the ball ``sum |x| <= radius`` that is closest to ``z``.

    Source: J. Duchi et al., Efficient projections onto the l1-ball for learning in high dimensions, ICML 2008.

    >>> project_on_l1_ball(torch.tensor([3.0, 1.0, -0.5]), torch.tensor([2.5]))
    tensor([2.2500, 0.2500, 0.0000])
    """
    size = z.abs()
    sizes = size.sort(-1, descending=True).values
    count = torch.arange(1, z.shape[-1] + 1, dtype=size.dtype, device=size.device)
    cuts = (sizes.cumsum(-1) - radius) / count
    last = ((sizes > cuts).sum(-1, keepdim=True) - 1).clamp(min=0)
    return soft(z, cuts.gather(-1, last).clamp(min=0))
