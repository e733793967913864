"""What solvers do with vectors and with the numbers that steer them.

A vector is a real tensor ``(*batch, n)``, one sample in its last axis; complex samples are seen as real ones of
twice the length, whose inner product is then ``Re<a, b>``. (GMRES and BiCGSTAB, which need ``<a, b>`` itself, keep
complex vectors.) A number of each sample is a tensor ``(*batch, 1)``, or, for one problem on the CPU without a
graph, a Python number, which is several times faster. Every inner product and norm of every solver is one of
:func:`inner` and :func:`norm`.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import torch
from torch import Tensor

from torchlops.arrays import HALF_PRECISIONS
from torchlops.torch_internals import is_plain_eager

Scalar: TypeAlias = Any
"""A Python number, or a tensor ``(*batch, 1)``."""


_BLOCK = 2**20
"""Size from which an inner product, which stores all products before it sums them, goes part by part."""


def inner(a: Tensor, b: Tensor) -> Scalar:
    """Return ``<a, b>`` of each sample, conjugating ``a``; half precision is summed in float32.

    >>> inner(torch.ones(2, 3), 2 * torch.ones(2, 3))
    tensor([[6.], [6.]])
    """
    if a.dtype in HALF_PRECISIONS:
        a, b = a.float(), b.float()
    if is_one_problem(a):
        return torch.vdot(a, b).item()
    if a.ndim > 1 and a.numel() > _BLOCK and not torch.is_grad_enabled():
        parts = zip(*(torch.split(v.flatten(0, -2), max(1, _BLOCK // v.shape[-1])) for v in (a, b)), strict=True)
        return torch.cat([torch.linalg.vecdot(*part) for part in parts]).reshape(*a.shape[:-1], 1)
    return torch.linalg.vecdot(a, b).unsqueeze(-1)


def inners(basis: Tensor, a: Tensor) -> Tensor:
    """Return ``<v, a>`` for each row ``v`` of ``basis``, of shape ``(*batch, k, n)``, as ``(*batch, k)``."""
    return (basis.conj() @ a.unsqueeze(-1)).squeeze(-1)


def combination(basis: Tensor, coefficients: Tensor) -> Tensor:
    """Return the sum of the rows of ``basis``, ``(*batch, k, n)``, with ``coefficients``, ``(*batch, k)``."""
    return (coefficients.unsqueeze(-2) @ basis).squeeze(-2)


def gram(X: Tensor, Y: Tensor) -> Tensor:
    """Return ``<x, y>`` for each row ``x`` of ``X`` and ``y`` of ``Y``, as ``(*batch, k, l)``.

    >>> gram(torch.eye(2), torch.tensor([[1.0, 2.0]]))
    tensor([[1.],
            [2.]])
    """
    return X.conj() @ Y.mT


def orthogonalized(a: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``a`` less its part in the span of the orthonormal rows of ``basis``, and the coefficients of that part.

    The part is taken off twice, which is enough for orthogonality to rounding (W. Kahan).
    """
    first = inners(basis, a)
    a = a - combination(basis, first)
    second = inners(basis, a)
    return a - combination(basis, second), first + second


def orthonormal_rows(X: Tensor) -> Tensor:
    """Return orthonormal rows that span what those of ``X`` do (at most as many as columns)."""
    rows: Tensor = torch.linalg.qr(X.mT)[0].mT
    return rows


def norm(a: Tensor) -> Scalar:
    """Return the Euclidean norm of each sample.

    >>> norm(torch.tensor([3.0, 4.0]).expand(2, 2)).flatten()
    tensor([5., 5.])
    """
    if a.dtype in HALF_PRECISIONS:
        a = a.float()
    if is_one_problem(a):
        return torch.linalg.vector_norm(a).item()
    if torch.is_grad_enabled():  # the derivative of a norm is NaN at zero
        return sqrt((a * a.conj()).real.sum(-1, keepdim=True))
    return torch.linalg.vector_norm(a, dim=-1, keepdim=True)


def squared_norm(a: Tensor) -> Scalar:
    """Return the squared norm of each sample."""
    if torch.is_grad_enabled():
        return (a * a.conj()).real.sum(-1, keepdim=True)
    length = norm(a)
    return length * length


def is_one_problem(a: Tensor) -> bool:
    """Return whether the numbers that go with a vector are Python numbers."""
    return a.ndim == 1 and a.is_cpu and not torch.is_grad_enabled()


def largest_modulus(a: Tensor) -> Tensor:
    """Return the largest modulus of each sample, ``(*batch, 1)``, as a constant: NaN or infinite where anything is.

    >>> largest_modulus(torch.tensor([[3.0, -4.0], [0.0, 1.0]]))
    tensor([[4.],
            [1.]])
    """
    return a.detach().abs().amax(-1, keepdim=True)


def total(a: Tensor) -> Scalar:
    """Return the sum of each sample.

    >>> total(torch.ones(2, 3))
    tensor([[3.],
            [3.]])
    """
    return a.sum().item() if is_one_problem(a) else a.sum(-1, keepdim=True)


def largest(a: Tensor) -> Scalar:
    """Return the largest entry of each sample, which is real, with its derivatives."""
    return a.amax().item() if is_one_problem(a) else a.amax(-1, keepdim=True)


def as_complex(x: Tensor, in_pairs: bool) -> Tensor:
    """Return vectors of real pairs as vectors of complex samples; without pairs, the vectors.

    >>> as_complex(torch.tensor([1.0, 2.0, 3.0, 4.0]), True)
    tensor([1.+2.j, 3.+4.j])
    """
    return torch.view_as_complex(x.reshape(*x.shape[:-1], x.shape[-1] // 2, 2)) if in_pairs else x


def as_pairs(z: Tensor) -> Tensor:
    """Return the inverse of :func:`as_complex`."""
    return torch.view_as_real(z.resolve_conj()).flatten(-2) if z.is_complex() else z


def axpy(x: Tensor, alpha: Scalar, p: Tensor, sign: int = 1) -> Tensor:
    """Return ``x + sign alpha p``: in place of ``x`` where no graph is recorded."""
    if torch.is_grad_enabled():
        return torch.add(x, alpha * p, alpha=sign)
    if isinstance(alpha, Tensor):
        return x.addcmul_(p, alpha.to(x.dtype), value=sign)
    return x.add_(p, alpha=sign * alpha)


def xpay(s: Tensor, beta: Scalar, p: Tensor, sign: int = 1) -> Tensor:
    """Return ``s + sign beta p``: in place of ``p`` where no graph is recorded."""
    if torch.is_grad_enabled():
        return torch.add(s, beta * p, alpha=sign)
    if isinstance(beta, Tensor):
        return torch.addcmul(s, p, beta.to(p.dtype), value=sign, out=p)
    return torch.add(s, p, alpha=sign * beta, out=p)


def scale(p: Tensor, alpha: Scalar) -> Tensor:
    """Return ``alpha p``: in place where no graph is recorded."""
    return p * alpha if torch.is_grad_enabled() else p.mul_(alpha)


def normalized(p: Tensor) -> tuple[Tensor, Scalar]:
    """Return ``p`` over its norm, in place where no graph is recorded, and the norm; zero stays zero."""
    length = norm(p)
    return scale(p, reciprocal(length)), length


def where(condition: Scalar, a: Scalar, b: Scalar) -> Scalar:
    """Return ``a`` where the condition holds, else ``b``."""
    if isinstance(condition, Tensor):
        return torch.where(condition, a, b)
    return a if condition else b


def negate(condition: Scalar) -> Scalar:
    """Return where the condition does not hold."""
    return ~condition if isinstance(condition, Tensor) else not condition


def keep(active: Scalar, new: Tensor, old: Tensor) -> Tensor:
    """Return the new vectors of the active samples, the old ones of the others."""
    if not isinstance(active, Tensor):
        return new if active else old
    if active.is_cpu and is_plain_eager() and bool(active.all()):  # to look costs less than to copy
        return new
    return torch.where(active, new, old)


def ratio(a: Scalar, b: Scalar) -> Scalar:
    """Return ``a / b``, and 0 where ``b`` is 0; its derivative is finite there too.

    >>> ratio(1.0, 0.0), ratio(torch.ones(2), torch.tensor([0.0, 2.0]))
    (0.0, tensor([0.0000, 0.5000]))
    """
    if isinstance(b, Tensor):
        zero = b == 0
        if torch.is_grad_enabled():
            b = torch.where(zero, 1.0, b)
        return torch.where(zero, 0.0, a / b)
    return a / b if b != 0 else 0.0 * a


def reciprocal(b: Scalar) -> Scalar:
    """Return ``1 / b`` of a norm, and where that is 0, something finite, which is to multiply zeros only.

    >>> reciprocal(torch.tensor([2.0, 0.0])) * torch.tensor([1.0, 0.0])
    tensor([0.5000, 0.0000])
    """
    if not isinstance(b, Tensor):
        return 1.0 / b if b != 0 else 0.0
    if torch.is_grad_enabled():
        return ratio(1.0, b)
    return b.clamp(min=torch.finfo(b.dtype).tiny).reciprocal_()


def quotient(a: Scalar, b: Scalar, active: Scalar) -> Scalar:
    """Return ``a / b`` of the active samples, and 0 of the others, which a step of length 0 leaves as they are."""
    if not isinstance(active, Tensor):
        return a / b if active and b != 0 else 0.0 * a
    if torch.is_grad_enabled():
        return torch.where(active, ratio(a, b), 0.0)
    return torch.where(active & (b != 0), a / b, 0.0)


def sqrt(a: Scalar) -> Scalar:
    """Return the square root of a number that is 0 or more, up to rounding."""
    if not isinstance(a, Tensor):
        return math.sqrt(a) if a > 0 else a * 0.0
    if not torch.is_grad_enabled():
        return a.clamp(min=0).sqrt()
    positive = a > 0
    return torch.where(positive, torch.where(positive, a, 1.0).sqrt(), a * 0.0)


def hypot(a: Scalar, b: Scalar) -> Scalar:
    """Return ``sqrt(a^2 + b^2)``."""
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        return math.hypot(a, b)
    if isinstance(a, Tensor) and isinstance(b, Tensor) and not torch.is_grad_enabled():
        return torch.hypot(a, b)
    return sqrt(a * a + b * b)


def maximum(a: Scalar, b: Scalar) -> Scalar:
    """Return the larger of two numbers, NaN where one is."""
    if isinstance(a, Tensor):
        return torch.maximum(a, b) if isinstance(b, Tensor) else a.clamp(min=b)
    return torch.maximum(b, torch.as_tensor(a, dtype=b.dtype, device=b.device)) if isinstance(b, Tensor) else max(a, b)


def minimum(a: Scalar, b: Scalar) -> Scalar:
    """Return the smaller of two numbers, NaN where one is."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.minimum(a, b)
    return -maximum(-a, -b)
