"""Stochastic estimators of the trace of an operator."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import real_dtype


def trace_hutchinson(
    Op: Any,
    neval: int | None = None,
    batch_size: int | None = None,
    sampler: str = "rademacher",
    backend: str = "numpy",
) -> Any:
    r"""Hutchinson's estimator, :math:`\mathrm{tr}(A) \approx \frac1q \sum_i z_i^T A z_i` of random ``z_i``.

    Args:
        Op: A square operator, real or complex.
        neval: Number ``q`` of random vectors, a tenth of the size by default. ``unitvector`` takes as many
            different unit vectors, and is exact with all of them.
        batch_size: How many vectors go through the operator at once, at most 100 by default.
        sampler: ``gaussian``, ``rayleigh`` (Gaussian on a sphere), ``rademacher`` (signs) or ``unitvector``.
        backend: ``"numpy"`` for a number, ``"torch"`` for a tensor with the graph of the operator's tensors.

    Raises:
        ValueError: when the operator is not square, ``neval`` is too small, or an option is unknown.

    Source: Hutchinson, Communications in Statistics 18, 1059 (1989).

    >>> import torchlops
    >>> trace_hutchinson(torchlops.Diagonal(torch.arange(1.0, 5.0)), neval=3)
    10.0
    """
    size, neval, options = _prepare(Op, neval, backend)
    batch_size = min(neval, 100 if batch_size is None else batch_size)
    if sampler == "unitvector":
        count = min(neval, size)
        chosen = torch.randperm(size)[:count]
        probes = torch.nn.functional.one_hot(chosen, size).T.to(**options)
        scale = size / count
    else:
        count = neval
        probes = _sample(sampler, size, count, options)
        scale = 1 / count
    sums = [_diagonal_sum(probes[:, i : i + batch_size], Op) for i in range(0, count, batch_size)]
    return _give(torch.stack(sums).sum() * scale, backend)


def trace_hutchpp(Op: Any, neval: int | None = None, sampler: str = "rademacher", backend: str = "numpy") -> Any:
    r"""Hutch++: the trace on the range of ``A`` is taken exactly, the rest is estimated.

    :math:`\mathrm{tr}(Q^H A Q) + \frac3q \mathrm{tr}(G^H (I - Q Q^H) A (I - Q Q^H) G)`, with ``Q`` an orthonormal
    basis of ``A S``, and ``S`` and ``G`` a third of the ``q`` random vectors each. The arguments are those of
    :func:`trace_hutchinson`; PyLops leaves the conjugates out, which is wrong for complex operators.

    Source: Meyer, Musco, Musco and Woodruff, Symposium on Simplicity in Algorithms (2021).

    >>> import torchlops
    >>> A = torchlops.Diagonal(torch.tensor([3.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    >>> round(trace_hutchpp(A, neval=6), 6)
    3.0
    """
    size, neval, options = _prepare(Op, neval, backend)
    count = neval // 3
    _at_least_one(neval, count)
    S, G = _sample(sampler, size, count, options), _sample(sampler, size, count, options)
    Q = torch.linalg.qr(Op.matmat(S)).Q
    G = G.to(Q.dtype)
    G = G - Q @ (Q.mH @ G)
    return _give(_diagonal_sum(Q, Op) + _diagonal_sum(G, Op) / count, backend)


def trace_nahutchpp(
    Op: Any,
    neval: int | None = None,
    sampler: str = "rademacher",
    c1: float = 1.0 / 6.0,
    c2: float = 1.0 / 3.0,
    backend: str = "numpy",
) -> Any:
    r"""Non-adaptive Hutch++: one pass over the operator, with a low-rank part :math:`Z (S^H Z)^+ W^H` of ``A``.

    ``Z = A R`` and ``W = A^H S``. (PyLops takes ``A S`` for ``W``, which is right for symmetric operators only.)

    Args:
        Op: A square operator, real or complex.
        neval: Number of random vectors, a tenth of the size by default.
        sampler: ``gaussian``, ``rayleigh`` or ``rademacher``.
        c1: Their fraction in ``S``.
        c2: Their fraction in ``R``, larger than ``c1``; the others estimate the rest.
        backend: ``"numpy"`` for a number, ``"torch"`` for a tensor.

    Source: Meyer, Musco, Musco and Woodruff, Symposium on Simplicity in Algorithms (2021).

    >>> import torchlops
    >>> A = torchlops.Diagonal(torch.tensor([3.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    >>> round(trace_nahutchpp(A, neval=12), 6)
    3.0
    """
    size, neval, options = _prepare(Op, neval, backend)
    counts = round(neval * c1), round(neval * c2)
    rest = neval - sum(counts)
    _at_least_one(neval, *counts, rest)
    S, R, G = (_sample(sampler, size, count, options) for count in (*counts, rest))
    Z, W = Op.matmat(R), Op.rmatmat(S)
    dtype = torch.promote_types(Z.dtype, W.dtype)
    S, G, Z, W = (tensor.to(dtype) for tensor in (S, G, Z, W))
    core = torch.linalg.pinv(S.mH @ Z)
    low_rank = (core @ (W.mH @ Z)).diagonal().sum()
    of_probes = ((G.mH @ Z) @ core @ (W.mH @ G)).diagonal().sum()
    return _give(low_rank + (_diagonal_sum(G, Op) - of_probes) / rest, backend)


def _prepare(Op: Any, neval: int | None, backend: str) -> tuple[int, int, dict[str, Any]]:
    rows, size = Op.shape
    if rows != size:
        raise ValueError(f"only a square operator has a trace: {Op.name_and_type} is {Op.shape}")
    if backend not in ("numpy", "torch"):
        raise ValueError(f"backend must be 'numpy' or 'torch', got {backend!r}")
    neval = max(1, round(size * 0.1)) if neval is None else neval
    _at_least_one(neval, neval)
    return size, neval, {"dtype": real_dtype(Op._torch_dtype()), "device": Op._device()}


def _sample(sampler: str, size: int, count: int, options: dict[str, Any]) -> Tensor:
    if sampler == "rademacher":
        return torch.randint(0, 2, (size, count), device=options["device"]).to(options["dtype"]) * 2 - 1
    if sampler not in ("gaussian", "rayleigh"):
        raise ValueError(f"sampler must be gaussian, rayleigh, rademacher or unitvector, got {sampler!r}")
    probes = torch.randn(size, count, **options)
    if sampler == "rayleigh":  # unit length, so that z^T A z is a Rayleigh quotient, times the size
        probes = probes * (math.sqrt(size) / probes.norm(dim=0))
    return probes


def _diagonal_sum(probes: Tensor, Op: Any) -> Tensor:
    images: Tensor = Op.matmat(probes)
    return (probes.conj() * images).sum()


def _at_least_one(neval: int, *counts: int) -> None:
    if min(counts) < 1:
        raise ValueError(f"neval={neval} random vectors are too few for this estimator: give more")


def _give(trace: Any, backend: str) -> Any:
    return trace if backend == "torch" else trace.item()
