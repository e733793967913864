"""What post-stack and pre-stack modelling are made of: the convolution with wavelets, and the matrix of one trace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from torchlops.arrays import as_tensor, conjugate, to_numpy
from torchlops.avo.avo import AVOLinearModelling
from torchlops.basicoperators import FirstDerivative, MatrixMult
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.extras import import_extra
from torchlops.linearoperator import CompositeOperator, LinearOperator, ProductOperator
from torchlops.shapes import PER_SAMPLE, Dims, as_dims
from torchlops.signalprocessing._convolution import Convolution, window

Kind = Literal["centered", "forward"]

VARIES = "vsvp varies in space, so that no matrix is that of all traces"


class Modelling(ProductOperator):
    """A chain of operators, or its matrix, as an operator of its own name, which its adjoint has in messages, too."""

    H = LinearOperator.H
    T = LinearOperator.T

    @property
    def A(self) -> Any:
        """The matrix of a trace of an explicit operator, as an array, a sparse matrix of SciPy, or a tensor."""
        (part,) = self.operators if len(self.operators) == 1 else (None,)
        if part is None:
            raise AttributeError(f"{self.name_and_type} has no matrix A: pass explicit=True, or call todense()")
        return part.A


class Wavelets(Convolution):
    """Convolution along time, the first axis, with one wavelet, or with one for each sample of the second axis.

    Unlike in ``Convolve1D``, the data has as many samples as the model for a wavelet of any length.

    Args:
        dims: Shape of the model.
        wav: The wavelet ``(nwav,)``, or the wavelets ``(dims[1], nwav)``, with time zero at ``nwav // 2``.
    """

    wav: Tensor
    h = property(lambda self: self.wav)

    def __init__(self, dims: tuple[int, ...], wav: Tensor) -> None:
        AccumulatingOperator.__init__(self, dims, dims, dtype=wav.dtype, name="W")  # the filter has other axes
        self._register("wav", wav)
        nwav = wav.shape[-1]
        self.method = None
        self._axes, self._offsets, self._lengths = (-len(dims),), (nwav // 2,), (nwav,)
        self._order = tuple(range(wav.ndim))[::-1]
        self._filter_shape = (nwav, *wav.shape[:-1], *(1,) * (len(dims) - wav.ndim))

    def extra_repr(self) -> str:
        return f"{self.dims}, wav={tuple(self.wav.shape)}"


class VaryingWavelets(LinearOperator):
    """Convolution along time, the first axis, with one wavelet per sample, by a matrix that is computed in each call.

    Args:
        dims: Shape of the model.
        wav: The wavelets ``(dims[0], nwav)``, with time zero at ``nwav // 2``.
    """

    wav: Tensor

    def __init__(self, dims: tuple[int, ...], wav: Tensor) -> None:
        super().__init__(dims, dtype=wav.dtype, name="W")
        self._register("wav", wav)

    def _forward(self, x: Tensor) -> Tensor:
        return _product(varying_matrix(self.wav), x, -len(self.dims))

    def _adjoint(self, y: Tensor) -> Tensor:
        return _product(conjugate(varying_matrix(self.wav)).mT, y, -len(self.dims))

    def extra_repr(self) -> str:
        return f"{self.dims}, wav={tuple(self.wav.shape)}"


def as_convolution(dims: tuple[int, ...], wav: Tensor, is_constant: bool) -> LinearOperator:
    """Return the convolution with a wavelet, or with one per sample, whose matrix is computed once if constant."""
    if wav.ndim == 1:
        return Wavelets(dims, wav)
    return (
        MatrixMult(to_numpy(varying_matrix(wav)), otherdims=dims[1:] or None)
        if is_constant
        else VaryingWavelets(dims, wav)
    )


def as_wavelets(wav: Any, owner: str, count: int, per: str) -> Tensor:
    """Return a user's wavelet, or wavelets, as a tensor.

    Args:
        wav: One wavelet ``(nwav,)``, or ``(count, nwav)``.
        owner: The name of the operator.
        count: The number of wavelets, if there are several.
        per: What there is one wavelet per: a sample or an angle.

    Raises:
        ValueError: If they have another shape.
    """
    wavelets = as_tensor(wav, f"{owner}: wav")
    shape = tuple(wavelets.shape)
    if len(shape) not in (1, 2) or wavelets.numel() == 0 or (len(shape) == 2 and shape[0] != count):
        raise ValueError(
            f"{owner}: wav must be a wavelet (nwav,), or one per {per}, ({count}, nwav), got shape {shape}. "
            f"{PER_SAMPLE}"
        )
    return wavelets


def derivative(dims: tuple[int, ...], kind: Kind, owner: str, dtype: torch.dtype) -> FirstDerivative:
    """Return the derivative along time.

    Raises:
        NotImplementedError: If ``kind`` is not known.
    """
    if kind not in ("centered", "forward"):
        raise NotImplementedError(f"{owner}: kind must be 'centered' or 'forward', got {kind!r}")
    return FirstDerivative(dims, axis=0, kind=kind, dtype=dtype, name="D")


def as_spatdims(spatdims: Dims | None, owner: str) -> tuple[int, ...]:
    """Return the sizes of the axes in space, of which there may be none."""
    return () if spatdims is None or spatdims == () else as_dims(spatdims, f"{owner}: spatdims")


# -- the matrix of one trace -------------------------------------------------------------------------------------


def matrix_of(parts: Sequence[LinearOperator]) -> Tensor:
    r"""Return the matrix of a chain :math:`W D` or :math:`W G D` for one trace.

    The model of a chain with :math:`G` is ordered by parameters, then time, its data by angles, then time.

    Args:
        parts: The convolution, the linearised reflectivity if there is one, and the derivative.
    """
    matrix = _matrices_of_wavelets(parts[0])
    if len(parts) == 3:
        avo = parts[1]
        assert isinstance(avo, AVOLinearModelling)
        table = avo._table()
        if math.prod(table.shape[3:]) > 1:
            raise ValueError(f"{VARIES}: pass explicit=False, or ratios (nt0,)")
        table = table.flatten(2)  # (nt0 or 1, n_m, n_theta)
        dtype = torch.promote_types(matrix.dtype, table.dtype) if avo._learns else matrix.dtype
        table = table.to(dtype).movedim(0, -1).transpose(0, 1)  # (n_theta, n_m, nt0 or 1)
        matrix = matrix.to(dtype).unsqueeze(-2) * table.unsqueeze(-3)  # (n_theta, nt0, n_m, nt0)
    rows = matrix.shape[0] * matrix.shape[1]
    step = parts[-1]
    assert isinstance(step, FirstDerivative)
    return step._stencil.apply(matrix, -1, adjoint=True).reshape(rows, -1)


def _matrices_of_wavelets(convolution: LinearOperator) -> Tensor:
    """Return the matrices ``(1 or n_theta, nt0, nt0)`` of the convolution of one trace."""
    if isinstance(convolution, MatrixMult):
        return convolution.matrix.unsqueeze(0)
    if isinstance(convolution, VaryingWavelets):
        return varying_matrix(convolution.wav).unsqueeze(0)
    assert isinstance(convolution, Wavelets)
    n = convolution.dims[0]
    taps, lags = _taps_and_lags(convolution.wav.reshape(-1, convolution.wav.shape[-1]), n)
    return taps.gather(-1, lags.reshape(1, -1).expand(taps.shape[0], -1)).reshape(-1, n, n)


def varying_matrix(wav: Tensor) -> Tensor:
    """Return the matrix of the convolution of one trace with one wavelet per sample, those of its columns."""
    taps, lags = _taps_and_lags(wav, wav.shape[0])
    return taps.gather(-1, lags.mT.contiguous()).mT


def _taps_and_lags(wav: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return wavelets of lags from ``1 - n`` to ``n - 1``, and where in these the lag of each entry of a matrix is."""
    taps = window(wav, -1, wav.shape[-1] // 2 - (n - 1), 2 * n - 1)
    samples = torch.arange(n, device=wav.device)
    return taps, samples[:, None] - samples + (n - 1)


def _product(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    """Return the product of a matrix with the samples along an axis."""
    dtype = torch.promote_types(x.dtype, matrix.dtype)
    return torch.matmul(x.to(dtype).movedim(axis, -1), matrix.to(dtype).mT).movedim(-1, axis).contiguous()


class ModellingMatrix(CompositeOperator):
    """Multiplication by the matrix of a chain, which is computed in each call from the tensors of the chain.

    Args:
        parts: The chain for one trace, as in :func:`matrix_of`.
        otherdims: Further axes of model and data.
    """

    def __init__(self, parts: Sequence[LinearOperator], otherdims: tuple[int, ...]) -> None:
        columns = parts[-1].shape[1]
        rows = parts[0].shape[0]
        super().__init__(parts, dims=(columns, *otherdims), dimsd=(rows, *otherdims), name="M")

    @property
    def A(self) -> Tensor:
        """The matrix."""
        return matrix_of(self.operators)

    def _forward(self, x: Tensor) -> Tensor:
        return _product(self.A, x, -len(self.dims))

    def _adjoint(self, y: Tensor) -> Tensor:
        return _product(conjugate(self.A).mT, y, -len(self.dims))

    def extra_repr(self) -> str:
        return f"the matrix of {' @ '.join(part.expression() for part in self.operators)}"


def explicit_form(
    parts: Sequence[LinearOperator], otherdims: tuple[int, ...], sparse: bool, is_constant: bool, owner: str
) -> LinearOperator:
    """Return a chain for one trace as a matrix that multiplies all traces.

    Args:
        parts: The chain, as in :func:`matrix_of`.
        otherdims: Further axes of model and data.
        sparse: Whether the matrix is a sparse one of SciPy.
        is_constant: Whether the chain was built from arrays: then the matrix is one, too, and is computed once.
        owner: The name of the operator.

    Raises:
        ValueError: If a sparse matrix is asked for a tensor.
    """
    if not is_constant:
        if sparse:
            raise ValueError(
                f"{owner}: sparse=True gives a matrix of SciPy, which carries no derivatives: pass wav as a NumPy "
                "array, or choose explicit=False, which needs even less memory"
            )
        return ModellingMatrix(parts, otherdims)
    with torch.no_grad():
        matrix = to_numpy(matrix_of(parts))
    if sparse:
        matrix = import_extra("scipy.sparse", owner).csc_matrix(matrix)
    return MatrixMult(matrix, otherdims=otherdims or None)
