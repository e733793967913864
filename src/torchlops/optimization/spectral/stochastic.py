"""Stochastic estimates of the trace and the log-determinant of an operator."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from torchlops.arrays import real_dtype, to_numpy
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.tangents import constant
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import gram, inner, norm, orthonormal_rows
from torchlops.optimization.spectral.derivatives import differentiable_log
from torchlops.optimization.spectral.hermitian import Hermitian
from torchlops.optimization.spectral.lanczos import Lanczos
from torchlops.optimization.spectral.matrices import must_be_hermitian, signs, source, square
from torchlops.optimization.spectral.restarts import unit
from torchlops.optimization.spectral.results import Estimate, LogDeterminant, warn_not_converged

Backend: TypeAlias = Literal["numpy", "torch"]
Sampler: TypeAlias = Literal["gaussian", "rayleigh", "rademacher"]

_FIRST_CHECK = 10
_SHARE = 0.1


def trace_hutchinson(
    Op: LinearOperator,
    neval: int | None = None,
    batch_size: int | None = None,
    sampler: Literal[Sampler, "unitvector"] = "rademacher",
    backend: Backend = "numpy",
) -> Any:
    r"""Hutchinson's estimator, :math:`\mathrm{tr}(A) \approx \frac1q \sum_i z_i^T A z_i` with random ``z_i``.

    Args:
        Op: A square operator, real or complex.
        neval: Number ``q`` of random vectors; by default a tenth of the size. With ``unitvector``, they are distinct
            unit vectors, and the result is exact if all are used.
        batch_size: Maximum number of vectors per batch; 100 by default.
        sampler: ``gaussian``, ``rayleigh`` (Gaussian on a sphere), ``rademacher`` (signs) or ``unitvector``.
        backend: ``"numpy"`` for a NumPy number, of the type of the operator, ``"torch"`` for a differentiable tensor.

    Raises:
        ValueError: If the operator is not square, ``neval`` is too small, or an option is unknown.

    Source: Hutchinson, Communications in Statistics 18, 1059 (1989).

    >>> import torchlops
    >>> float(trace_hutchinson(torchlops.Diagonal(torch.arange(1.0, 5.0)), neval=3))
    10.0
    """
    neval, size = _prepare(Op, neval, backend), Op.shape[1]
    batch_size = min(neval, 100 if batch_size is None else batch_size)
    if sampler == "unitvector":
        chosen = torch.randperm(size)[: min(neval, size)]
        units = torch.nn.functional.one_hot(chosen, size)
        probes = math.sqrt(size) * units.to(Op._device(), real_dtype(Op._torch_dtype()))
    else:
        probes = _sample(sampler, Op, neval)
    samples = torch.cat([_forms(part, Op) for part in torch.split(probes, batch_size)])
    return _give(samples.mean(), backend)


def trace_hutchpp(
    Op: LinearOperator, neval: int | None = None, sampler: Sampler = "rademacher", backend: Backend = "numpy"
) -> Any:
    r"""Hutch++: the exact trace on an approximate range of ``A``, plus an estimate of the rest.

    :math:`\mathrm{tr}(Q^H A Q) + \frac3q \mathrm{tr}(G^H (I - Q Q^H) A (I - Q Q^H) G)`, with ``Q`` an orthonormal
    basis of ``A S``, and ``S`` and ``G`` a third of the ``q`` random vectors each. The arguments are those of
    :func:`trace_hutchinson`. (PyLops omits the conjugates, which is wrong for complex operators.)

    Source: Meyer, Musco, Musco and Woodruff, Symposium on Simplicity in Algorithms (2021).

    >>> import torchlops
    >>> A = torchlops.Diagonal(torch.tensor([3.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    >>> float(trace_hutchpp(A, neval=6).round(6))
    3.0
    """
    return _give(_hutchpp(Op, _prepare(Op, neval, backend), sampler).value, backend)


def estimate_trace(
    Op: LinearOperator, nprobes: int | None = None, *, generator: torch.Generator | None = None
) -> Estimate:
    """Return an estimate of the trace by Hutch++, and its standard error; see :func:`trace_hutchpp`.

    Both are tensors. The estimate is differentiable, with unbiased derivatives.

    Args:
        Op: A square operator, real or complex.
        nprobes: Number of random vectors; by default a tenth of the size, but at least 6.
        generator: Generator of the random vectors; by default one with a fixed seed.

    >>> import torchlops
    >>> value, error = estimate_trace(torchlops.Diagonal(torch.tensor([3.0, 0.0, 0.0, 0.0])), 6)
    >>> round(value.item(), 4), round(error.item(), 4)
    (3.0, 0.0)
    """
    neval = _prepare(Op, max(6, round(Op.shape[1] * 0.1)) if nprobes is None else nprobes, "torch")
    return _hutchpp(Op, neval, "rademacher", source(generator))


def _hutchpp(Op: LinearOperator, neval: int, sampler: str, generator: torch.Generator | None = None) -> Estimate:
    count = neval // 3
    _at_least_one(neval, count)
    S, G = (_sample(sampler, Op, count, generator) for _ in range(2))
    Q = orthonormal_rows(constant(Op._apply_to(S, False)))  # the estimate is unbiased for any Q, so Q is a constant
    G = G.to(Q.dtype)
    samples = _forms(G - gram(Q, G).mT @ Q, Op)
    return Estimate(_forms(Q, Op).sum() + samples.mean(), _standard_error(samples.detach()))


def trace_nahutchpp(
    Op: LinearOperator,
    neval: int | None = None,
    sampler: Sampler = "rademacher",
    c1: float = 1.0 / 6.0,
    c2: float = 1.0 / 3.0,
    backend: Backend = "numpy",
) -> Any:
    r"""Non-adaptive Hutch++: one pass over the operator, with a low-rank part :math:`Z (S^H Z)^+ W^H` of ``A``.

    ``Z = A R`` and ``W = A^H S``. (PyLops uses ``A S`` for ``W``, which is correct only for symmetric operators.)

    Args:
        Op: A square operator, real or complex.
        neval: Number of random vectors; by default a tenth of the size.
        sampler: ``gaussian``, ``rayleigh`` or ``rademacher``.
        c1: Fraction of the random vectors in ``S``.
        c2: Fraction of the random vectors in ``R``, larger than ``c1``. The others estimate the remainder.
        backend: ``"numpy"`` for a NumPy number, ``"torch"`` for a tensor.

    Source: Meyer, Musco, Musco and Woodruff, Symposium on Simplicity in Algorithms (2021).

    >>> import torchlops
    >>> A = torchlops.Diagonal(torch.tensor([3.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    >>> float(trace_nahutchpp(A, neval=12).round(6))
    3.0
    """
    neval = _prepare(Op, neval, backend)
    counts = round(neval * c1), round(neval * c2)
    rest = neval - sum(counts)
    _at_least_one(neval, *counts, rest)
    S, R, G = (_sample(sampler, Op, count) for count in (*counts, rest))
    Z, W = Op._apply_to(R, False), Op._apply_to(S, True)
    dtype = torch.promote_types(Z.dtype, W.dtype)
    S, G, Z, W = (rows.to(dtype) for rows in (S, G, Z, W))
    core = torch.linalg.pinv(gram(S, Z))
    low_rank = (core @ gram(W, Z)).diagonal().sum()
    of_probes = (gram(G, Z) @ core @ gram(W, G)).diagonal().sum()
    return _give(low_rank + (_forms(G, Op).sum() - of_probes) / rest, backend)


def _prepare(Op: LinearOperator, neval: int | None, backend: str) -> int:
    """Return the number of random vectors, by default a tenth of the size."""
    rows, size = Op.shape
    if rows != size:
        raise ValueError(f"only a square operator has a trace, but {Op.name_and_type} has shape {Op.shape}")
    if backend not in ("numpy", "torch"):
        raise ValueError(f"backend must be 'numpy' or 'torch', got {backend!r}")
    neval = max(1, round(size * 0.1)) if neval is None else neval
    _at_least_one(neval, neval)
    return neval


def _sample(sampler: str, Op: LinearOperator, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Return random vectors, as rows."""
    size, device, dtype = Op.shape[1], Op._device(), real_dtype(Op._torch_dtype())
    drawn_on = device if generator is None else generator.device
    if sampler == "rademacher":
        drawn = torch.randint(0, 2, (count, size), device=drawn_on, generator=generator)
        return drawn.to(device, dtype) * 2 - 1
    if sampler not in ("gaussian", "rayleigh"):
        raise ValueError(f"sampler must be gaussian, rayleigh, rademacher or unitvector, got {sampler!r}")
    probes = torch.randn(count, size, dtype=dtype, device=drawn_on, generator=generator).to(device)
    if sampler == "rayleigh":  # unit length, so that z^T A z is a Rayleigh quotient, times the size
        return math.sqrt(size) * unit(probes, norm(probes))
    return probes


def _forms(probes: Tensor, Op: LinearOperator) -> Tensor:
    """Return ``z^H A z`` for each probe."""
    images = Op._apply_to(probes, False)
    forms: Tensor = inner(probes.to(images.dtype), images).squeeze(-1)
    return forms


def _at_least_one(neval: int, *counts: int) -> None:
    if min(counts) < 1:
        raise ValueError(f"neval={neval} random vectors are too few for this estimator: increase neval")


def _give(trace: Tensor, backend: str) -> Any:
    return trace if backend == "torch" else to_numpy(trace)[()]


# -- log-determinants -------------------------------------------------------------------------------------------


def logdet(
    Op: LinearOperator,
    nprobes: int = 30,
    niter: int = 200,
    *,
    rtol: float | None = None,
    generator: torch.Generator | None = None,
) -> LogDeterminant:
    r"""Estimate the log-determinant of a Hermitian positive definite operator, by stochastic Lanczos quadrature.

    .. math::

        \log\det A = \mathrm{tr} \log A = \mathrm{E}\, z^H \log(A) z
        \approx \frac{n}{q} \sum_{i=1}^q \sum_j |s^{(i)}_{1j}|^2 \log \theta^{(i)}_j

    with random signs (or phases) ``z`` and the Ritz pairs of Lanczos steps from each of them, all as one batch. The
    steps stop when the last third of them has changed the estimate by less than a tenth of its standard error, so that
    the standard error covers the whole error. Derivatives of any order are estimated with the same random vectors; they
    are unbiased.

    Args:
        Op: The operator.
        nprobes: Number ``q`` of random vectors.
        niter: Maximum number of Lanczos steps, each with one product. Up to ``nprobes * niter`` vectors are stored.
        rtol: Relative tolerance of the solve ``A w = z`` in the backward pass. By default, the machine epsilon to the
            power 3/4.
        generator: Generator of the random vectors.

    Raises:
        ValueError: If the operator is not Hermitian positive definite.

    Source: S. Ubaru, J. Chen and Y. Saad, Fast estimation of tr(f(A)) via stochastic Lanczos quadrature, SIAM J. Matrix
    Anal. Appl. 38 (2017), 1075-1099.

    Example:
        >>> import torchlops
        >>> estimate, error = logdet(torchlops.Diagonal(torch.linspace(1.0, 2.0, 50)))
        >>> abs(estimate - torch.linspace(1.0, 2.0, 50).log().sum()) < 3 * error + 1e-4
        tensor(True)
    """
    A = square(Op, "logdet")
    if nprobes < 1 or niter < 1:
        raise ValueError(f"nprobes and niter must be 1 or more, got {nprobes} and {niter}")

    def compute(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor]:
        must_be_hermitian(flat.A, "logdet", "use half of the log-determinant of A.H @ A, or its matrix")
        drawn = source(generator)
        z = signs(flat, nprobes, drawn)
        values, change = _quadrature(Lanczos(flat, z, min(niter, flat.columns), drawn), A.name_and_type)
        allowed = _SHARE * _standard_error(values) if nprobes > 1 else flat.rounding**0.5 * values.abs().mean()
        converged = change <= allowed + flat.rounding * flat.columns
        warn_not_converged(
            "logdet", converged, f"the last steps changed the estimate {values.mean():.6g} by {float(change):.2g}"
        )
        return values, z, converged

    values, converged = differentiable_log(Hermitian(A), compute, max(10 * niter, 200), rtol)
    return LogDeterminant(values.mean(), _standard_error(values.detach()), converged)


def _quadrature(process: Lanczos, name: str) -> tuple[Tensor, Tensor]:
    """Return ``z^H log(A) z`` for each probe, and the change of the mean in the last steps."""
    values = change = torch.full((), math.inf, device=process.H.device)
    size = 0
    while size < process.capacity:
        size = min(max(_FIRST_CHECK, 3 * size // 2), process.capacity)
        process.extend(size)
        theta, S = torch.linalg.eigh(process.H[..., :size, :size])
        if not bool((theta > 0).all()):
            raise ValueError(
                f"logdet takes positive definite operators, but {name} has the Ritz value {float(theta.min()):.3g}"
            )
        before = values
        values = process.whole * (S[:, 0].abs() ** 2 * theta.log()).sum(-1)
        change = (values - before).mean().abs()
        if size == process.whole:
            change = torch.zeros_like(change)
        if bool(change <= 0.5 * _SHARE * _standard_error(values)):
            break
    return values, change


def _standard_error(values: Tensor) -> Tensor:
    count = values.shape[0]
    return values.std() / math.sqrt(count) if count > 1 else values.abs().new_tensor(math.inf)
