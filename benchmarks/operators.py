"""The measured operators: how each is built, and the torch code that one would write by hand instead.

Names and arguments are those of PyLops, so one ``build`` works for both libraries.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, avg_pool2d, conv1d, conv2d, pad

Dims = tuple[int, ...]
Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Operator:
    """One row of the tables.

    Attributes:
        name: The class, followed by its variant.
        build: Builds the operator from a library (ours or PyLops), dims, and the name of its dtype.
        by_hand: Returns the hand-written torch function for dims and a dtype; it takes ``(*batch, *dims)``. None for
            foreign functions, which have no such counterpart.
        axes: Minimum number of axes that the operator needs.
        is_complex: Whether its models are complex.
        why_slower: Why PyLops may be faster; shown if it is.
    """

    name: str
    build: Callable[[Any, Dims, str], Any]
    by_hand: Callable[[Dims, str], Function] | None
    axes: int = 1
    is_complex: bool = False
    why_slower: str = ""

    def dtype(self, real: str) -> str:
        """Return the dtype of the models at the precision of ``real``."""
        return {"float32": "complex64", "float64": "complex128"}[real] if self.is_complex else real


def numbers(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    """Return reproducible random numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def kept(n: int) -> np.ndarray:
    """Return the half of ``n`` samples that the restrictions keep."""
    return np.sort(np.random.default_rng(0).permutation(n)[: n // 2])


def square(n: int, dtype: str, seed: int = 0) -> np.ndarray:
    return (numbers(n, n, seed=seed) / math.sqrt(n)).astype(dtype)


def banded(n: int, dtype: str) -> scipy.sparse.csr_matrix:
    bands = [numbers(n - abs(k), dtype=dtype, seed=k + 2) for k in range(-2, 3)]
    return scipy.sparse.csr_matrix(scipy.sparse.diags(bands, range(-2, 3)))


def factors(dims: Dims, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = dims if len(dims) == 2 else (math.isqrt(dims[0]), dims[0] // math.isqrt(dims[0]))
    return square(rows, dtype), square(columns, dtype, seed=1)


# -- by hand -----------------------------------------------------------------------------------------------------


def always(function: Function) -> Callable[[Dims, str], Function]:
    """Return a builder that returns ``function`` for all dims."""
    return lambda _dims, _dtype: function


def dense_by_hand(dims: Dims, dtype: str) -> Function:
    A = torch.from_numpy(square(dims[0], dtype))
    return (lambda x: x @ A.mT) if len(dims) == 1 else (lambda x: A @ x)


def sparse_by_hand(dims: Dims, dtype: str) -> Function:
    entries = banded(dims[0], dtype)
    parts = (torch.from_numpy(part) for part in (entries.indptr, entries.indices, entries.data))
    A = torch.sparse_csr_tensor(*parts, size=entries.shape)

    def multiply(x: Tensor) -> Tensor:
        columns = x.movedim(-len(dims), 0)
        return (A @ columns.reshape(dims[0], -1)).reshape(columns.shape).movedim(0, -len(dims))

    return multiply


def weights_by_hand(dims: Dims, dtype: str) -> Function:
    d = torch.from_numpy(numbers(*dims, dtype=dtype))
    return lambda x: x * d


def restriction_by_hand(axis: int) -> Callable[[Dims, str], Function]:
    def make(dims: Dims, _dtype: str) -> Function:
        samples = torch.from_numpy(kept(dims[axis]))
        return (lambda x: x[..., samples]) if axis == -1 else (lambda x: x[..., samples, :])

    return make


def forward_difference(x: Tensor) -> Tensor:
    return pad(x[..., 1:] - x[..., :-1], (0, 1))


def backward_difference(x: Tensor) -> Tensor:
    return pad(x[..., 1:] - x[..., :-1], (1, 0))


def centered(x: Tensor) -> Tensor:
    return pad((x[..., 2:] - x[..., :-2]) * 0.5, (1, 1))


def centered_of_five(x: Tensor) -> Tensor:
    return pad((x[..., :-4] - 8 * x[..., 1:-3] + 8 * x[..., 3:-1] - x[..., 4:]) / 12, (2, 2))


def centered_0(x: Tensor) -> Tensor:
    return pad((x[..., 2:, :] - x[..., :-2, :]) * 0.5, (0, 0, 1, 1))


def centered_adjoint(y: Tensor) -> Tensor:
    inner = y[..., 1:-1] * 0.5
    return pad(inner, (2, 0)) - pad(inner, (0, 2))


def centered_0_adjoint(y: Tensor) -> Tensor:
    inner = y[..., 1:-1, :] * 0.5
    return pad(inner, (0, 0, 2, 0)) - pad(inner, (0, 0, 0, 2))


def second(x: Tensor) -> Tensor:
    return pad(x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2], (1, 1))


def second_0(x: Tensor) -> Tensor:
    return pad(x[..., 2:, :] - 2 * x[..., 1:-1, :] + x[..., :-2, :], (0, 0, 1, 1))


DIRECTION = (0.6, 0.8)


def along_direction(x: Tensor) -> Tensor:
    return DIRECTION[0] * centered_0(x) + DIRECTION[1] * centered(x)


def twice_along_direction(x: Tensor) -> Tensor:
    y = along_direction(x)
    return -(DIRECTION[0] * centered_0_adjoint(y) + DIRECTION[1] * centered_adjoint(y))


def smooth(x: Tensor) -> Tensor:
    return avg_pool1d(x.reshape(-1, 1, x.shape[-1]), 5, 1, 2).reshape(x.shape)


def smooth_0(x: Tensor) -> Tensor:
    return avg_pool2d(x.reshape(-1, 1, *x.shape[-2:]), (5, 1), 1, (2, 0)).reshape(x.shape)


def smooth_2d(x: Tensor) -> Tensor:
    return avg_pool2d(x.reshape(-1, 1, *x.shape[-2:]), 5, 1, 2).reshape(x.shape)


def convolve_1d_by_hand(_dims: Dims, dtype: str) -> Function:
    h = torch.from_numpy(numbers(5, dtype=dtype)).flip(-1).reshape(1, 1, -1)
    return lambda x: conv1d(x.reshape(-1, 1, x.shape[-1]), h, padding=2).reshape(x.shape)


def convolve_2d_by_hand(size: int) -> Callable[[Dims, str], Function]:
    def make(_dims: Dims, dtype: str) -> Function:
        h = torch.from_numpy(numbers(size, size, dtype=dtype)).flip(-1, -2).reshape(1, 1, size, size)
        return lambda x: conv2d(x.reshape(-1, 1, *x.shape[-2:]), h, padding=size // 2).reshape(x.shape)

    return make


def real_fft_by_hand(count: int) -> Callable[[Dims, str], Function]:
    """Return the FFT of a real signal, with the weight sqrt(2) for frequencies that represent two."""

    def make(dims: Dims, dtype: str) -> Function:
        n = dims[-1]
        weights = torch.full((n // 2 + 1,), math.sqrt(2), dtype=getattr(torch, dtype))
        weights[0] = 1
        weights[-1] = 1 if n % 2 == 0 else math.sqrt(2)
        axes = tuple(range(-count, 0))
        return lambda x: torch.fft.rfftn(x, dim=axes, norm="ortho") * weights

    return make


def stacked(*functions: Function) -> Callable[[Dims, str], Function]:
    return lambda dims, _dtype: lambda x: torch.cat([f(x).flatten(-len(dims)) for f in functions], dim=-1)


def side_by_side(dims: Dims, _dtype: str) -> Function:
    def add(x: Tensor) -> Tensor:
        first, last = (part.reshape(*x.shape[:-1], *dims) for part in x.chunk(2, dim=-1))
        return first + centered(last)

    return add


def block_by_hand(dims: Dims, _dtype: str) -> Function:
    def multiply(x: Tensor) -> Tensor:
        first, last = (part.reshape(*x.shape[:-1], *dims) for part in x.chunk(2, dim=-1))
        rows = (first + centered(last), centered(first) + last)
        return torch.cat([row.flatten(-len(dims)) for row in rows], dim=-1)

    return multiply


def blocks_by_hand(dims: Dims, _dtype: str) -> Function:
    axis = -len(dims) - 1
    return lambda x: torch.stack([centered(x.select(axis, 0)), second(x.select(axis, 1))], dim=axis)


def kronecker_by_hand(dims: Dims, dtype: str) -> Function:
    A, B = (torch.from_numpy(factor) for factor in factors(dims, dtype))

    def multiply(x: Tensor) -> Tensor:
        return (A @ x.reshape(*x.shape[:-1], len(A), len(B)) @ B.mT).flatten(-2)

    return multiply


# -- the table ---------------------------------------------------------------------------------------------------


def identity_and_derivative(lops: Any, dims: Dims, dtype: str) -> tuple[Any, Any]:
    return lops.Identity(dims, dtype=dtype), lops.FirstDerivative(dims, dtype=dtype)


def numpy_function(lops: Any, dims: Dims, dtype: str) -> Any:
    n = math.prod(dims)
    d = numbers(n, dtype=dtype)
    return lops.FunctionOperator(lambda x: x * d, lambda y: y * d, n, dtype=dtype)


def torch_function(lops: Any, dims: Dims, dtype: str) -> Any:
    if lops.__name__ == "pylops":  # PyLops takes NumPy functions
        return numpy_function(lops, dims, dtype)
    n = math.prod(dims)
    d = torch.from_numpy(numbers(n, dtype=dtype))
    return lops.FunctionOperator(lambda x: x * d, lambda y: y * d, n, dtype=dtype, arrays="torch")


def flat_weights_by_hand(dims: Dims, dtype: str) -> Function:
    return weights_by_hand((math.prod(dims),), dtype)


def derivative(kind: str, order: int = 3, axis: int = -1) -> Callable[[Any, Dims, str], Any]:
    return lambda lops, dims, dtype: lops.FirstDerivative(dims, axis=axis, kind=kind, order=order, dtype=dtype)


def fourier(name: str, count: int | None, real: bool) -> Callable[[Any, Dims, str], Any]:
    """Return a builder of the transform ``name`` over the last ``count`` axes; over all axes by default."""

    def make(lops: Any, dims: Dims, dtype: str) -> Any:
        axes = {} if name != "FFTND" else {"axes": tuple(range(-(count or len(dims)), 0))}
        return getattr(lops.signalprocessing, name)(dims, **axes, real=real, dtype=dtype)

    return make


A_VIEW = "PyLops answers with a view of its input, which a later in-place change would corrupt; ours is a copy"

OPERATORS = (
    Operator(
        "MatrixMult dense",
        lambda lops, dims, dtype: lops.MatrixMult(square(dims[0], dtype), otherdims=dims[1:] or None, dtype=dtype),
        dense_by_hand,
    ),
    Operator(
        "MatrixMult sparse",
        lambda lops, dims, dtype: lops.MatrixMult(banded(dims[0], dtype), otherdims=dims[1:] or None, dtype=dtype),
        sparse_by_hand,
        why_slower="ours gathers and scatters, which has every derivative; SciPy's CSR product has none",
    ),
    Operator(
        "Identity", lambda lops, dims, dtype: lops.Identity(dims, dtype=dtype), always(torch.clone), why_slower=A_VIEW
    ),
    Operator("Zero", lambda lops, dims, dtype: lops.Zero(dims, dims, dtype=dtype), always(lambda x: x * 0)),
    Operator(
        "Diagonal", lambda lops, dims, dtype: lops.Diagonal(numbers(*dims, dtype=dtype), dtype=dtype), weights_by_hand
    ),
    Operator(
        "Restriction",
        lambda lops, dims, dtype: lops.Restriction(dims, kept(dims[-1]), dtype=dtype),
        restriction_by_hand(-1),
    ),
    Operator(
        "Restriction axis 0",
        lambda lops, dims, dtype: lops.Restriction(dims, kept(dims[0]), axis=0, dtype=dtype),
        restriction_by_hand(-2),
        axes=2,
    ),
    Operator(
        "Transpose",
        lambda lops, dims, dtype: lops.Transpose(dims, axes=(1, 0), dtype=dtype),
        always(lambda x: x.mT.contiguous()),
        axes=2,
    ),
    Operator("Flip", lambda lops, dims, dtype: lops.Flip(dims, dtype=dtype), always(lambda x: x.flip(-1))),
    Operator("Roll", lambda lops, dims, dtype: lops.Roll(dims, shift=3, dtype=dtype), always(lambda x: x.roll(3, -1))),
    Operator(
        "Pad",
        lambda lops, dims, dtype: lops.Pad(dims, ((2, 2),) * len(dims), dtype=dtype),
        lambda dims, _dtype: lambda x: pad(x, (2, 2) * len(dims)),
    ),
    Operator(
        "Sum",
        lambda lops, dims, dtype: lops.Sum(dims, forceflat=True, dtype=dtype),
        always(lambda x: x.sum(-1)),
        axes=2,
    ),
    Operator(
        "Symmetrize",
        lambda lops, dims, dtype: lops.Symmetrize(dims, dtype=dtype),
        always(lambda x: torch.cat([x[..., 1:].flip(-1), x], dim=-1)),
    ),
    Operator(
        "Real",
        lambda lops, dims, dtype: lops.Real(dims, dtype=dtype),
        always(lambda x: x.real.clone()),
        is_complex=True,
        why_slower=A_VIEW,
    ),
    Operator(
        "Imag",
        lambda lops, dims, dtype: lops.Imag(dims, dtype=dtype),
        always(lambda x: x.imag.clone()),
        is_complex=True,
        why_slower=A_VIEW,
    ),
    Operator(
        "Conj",
        lambda lops, dims, dtype: lops.Conj(dims, dtype=dtype),
        always(lambda x: x.conj().resolve_conj()),
        is_complex=True,
    ),
    Operator("FirstDerivative centered", derivative("centered"), always(centered)),
    Operator("FirstDerivative centered, order 5", derivative("centered", 5), always(centered_of_five)),
    Operator("FirstDerivative forward", derivative("forward"), always(forward_difference)),
    Operator("FirstDerivative backward", derivative("backward"), always(backward_difference)),
    Operator("FirstDerivative axis 0", derivative("centered", axis=0), always(centered_0), axes=2),
    Operator("SecondDerivative", lambda lops, dims, dtype: lops.SecondDerivative(dims, dtype=dtype), always(second)),
    Operator(
        "SecondDerivative axis 0",
        lambda lops, dims, dtype: lops.SecondDerivative(dims, axis=0, dtype=dtype),
        always(second_0),
        axes=2,
    ),
    Operator(
        "Laplacian",
        lambda lops, dims, dtype: lops.Laplacian(dims, dtype=dtype),
        always(lambda x: second_0(x) + second(x)),
        axes=2,
    ),
    Operator(
        "Gradient",
        lambda lops, dims, dtype: lops.Gradient(dims, dtype=dtype),
        always(lambda x: torch.stack([centered_0(x), centered(x)], dim=-3)),
        axes=2,
    ),
    Operator(
        "FirstDirectionalDerivative",
        lambda lops, dims, dtype: lops.FirstDirectionalDerivative(dims, np.array(DIRECTION, dtype=dtype), dtype=dtype),
        always(along_direction),
        axes=2,
    ),
    Operator(
        "SecondDirectionalDerivative",
        lambda lops, dims, dtype: lops.SecondDirectionalDerivative(dims, np.array(DIRECTION, dtype=dtype), dtype=dtype),
        always(twice_along_direction),
        axes=2,
    ),
    Operator(
        "CausalIntegration",
        lambda lops, dims, dtype: lops.CausalIntegration(dims, dtype=dtype),
        always(lambda x: x.cumsum(-1)),
    ),
    Operator(
        "CausalIntegration axis 0",
        lambda lops, dims, dtype: lops.CausalIntegration(dims, axis=0, dtype=dtype),
        always(lambda x: x.cumsum(-2)),
        axes=2,
    ),
    Operator("Smoothing1D", lambda lops, dims, dtype: lops.Smoothing1D(5, dims, dtype=dtype), always(smooth)),
    Operator(
        "Smoothing1D axis 0",
        lambda lops, dims, dtype: lops.Smoothing1D(5, dims, axis=0, dtype=dtype),
        always(smooth_0),
        axes=2,
    ),
    Operator(
        "Smoothing2D", lambda lops, dims, dtype: lops.Smoothing2D((5, 5), dims, dtype=dtype), always(smooth_2d), axes=2
    ),
    Operator(
        "SmoothingND", lambda lops, dims, dtype: lops.SmoothingND((5, 5), dims, dtype=dtype), always(smooth_2d), axes=2
    ),
    Operator(
        "Convolve1D",
        lambda lops, dims, dtype: lops.signalprocessing.Convolve1D(
            dims, numbers(5, dtype=dtype), offset=2, dtype=dtype
        ),
        convolve_1d_by_hand,
    ),
    Operator(
        "Convolve2D",
        lambda lops, dims, dtype: lops.signalprocessing.Convolve2D(
            dims, numbers(5, 5, dtype=dtype), offset=(2, 2), dtype=dtype
        ),
        convolve_2d_by_hand(5),
        axes=2,
    ),
    Operator(
        "ConvolveND",
        lambda lops, dims, dtype: lops.signalprocessing.ConvolveND(
            dims, numbers(3, 3, dtype=dtype), offset=(1, 1), dtype=dtype
        ),
        convolve_2d_by_hand(3),
        axes=2,
    ),
    Operator("FFT", fourier("FFT", 1, False), always(lambda x: torch.fft.fft(x, norm="ortho")), is_complex=True),
    Operator("FFT real", fourier("FFT", 1, True), real_fft_by_hand(1)),
    Operator(
        "FFT2D", fourier("FFT2D", 2, False), always(lambda x: torch.fft.fft2(x, norm="ortho")), axes=2, is_complex=True
    ),
    Operator("FFT2D real", fourier("FFT2D", 2, True), real_fft_by_hand(2), axes=2),
    Operator(
        "FFTND",
        fourier("FFTND", None, False),
        lambda dims, _dtype: lambda x: torch.fft.fftn(x, dim=tuple(range(-len(dims), 0)), norm="ortho"),
        is_complex=True,
    ),
    Operator("FFTND real", fourier("FFTND", None, True), lambda dims, dtype: real_fft_by_hand(len(dims))(dims, dtype)),
    Operator(
        "VStack",
        lambda lops, dims, dtype: lops.VStack(list(identity_and_derivative(lops, dims, dtype)), forceflat=True),
        stacked(lambda x: x, centered),
    ),
    Operator(
        "HStack",
        lambda lops, dims, dtype: lops.HStack(list(identity_and_derivative(lops, dims, dtype)), forceflat=True),
        side_by_side,
    ),
    Operator(
        "Block",
        lambda lops, dims, dtype: lops.Block(
            [list(identity_and_derivative(lops, dims, dtype)), list(identity_and_derivative(lops, dims, dtype))[::-1]]
        ),
        block_by_hand,
    ),
    Operator(
        "BlockDiag",
        lambda lops, dims, dtype: lops.BlockDiag(
            [lops.FirstDerivative(dims, dtype=dtype), lops.SecondDerivative(dims, dtype=dtype)]
        ),
        blocks_by_hand,
    ),
    Operator(
        "Kronecker",
        lambda lops, dims, dtype: lops.Kronecker(*map(lops.MatrixMult, factors(dims, dtype)), dtype=dtype),
        kronecker_by_hand,
    ),
    Operator(
        "FunctionOperator of NumPy functions",
        numpy_function,
        None,
        why_slower=(
            "ours goes through torch's dispatcher, which compiled, batched and forward-mode derivatives take; "
            "PyLops's is a bare autograd Function"
        ),
    ),
    Operator("FunctionOperator of torch functions", torch_function, flat_weights_by_hand),
)


def chain_of_five(lops: Any, dims: Dims) -> list[Any]:
    """Return the chain whose memory is measured: smoothing, derivative, Fourier transform, restriction, weights."""
    smaller = (*dims[:-1], dims[-1] // 2)
    return [
        lops.Smoothing1D(5, dims, dtype="float32"),
        lops.FirstDerivative(dims, dtype="float32"),
        lops.signalprocessing.FFT(dims, dtype="complex64"),
        lops.Restriction(dims, kept(dims[-1]), dtype="complex64"),
        lops.Diagonal(numbers(*smaller, dtype="float32"), dtype="complex64"),
    ]
