"""Discrete cosine transform along several axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import Unsuitable
from torchlops.arraykernels import on_parts as on_array_parts
from torchlops.arrays import DType
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.memory import in_blocks
from torchlops.shapes import Dims, accept_pylops_options, as_dims, as_trailing_axes
from torchlops.signalprocessing._parts import every_other, on_parts

_BY_MATRIX_TO = 64  # maximum number of samples for which a matrix product is faster than an FFT


class DCT(AccumulatingOperator):
    r"""Orthogonal discrete cosine transform along several axes.

    Forward:
        With :math:`n` samples along an axis, :math:`s_0 = \sqrt{1/2}` and :math:`s_k = 1` otherwise:

        ======== ==============================================================================================
        ``type`` :math:`y_k`
        ======== ==============================================================================================
        1        :math:`\sqrt{2/(n-1)}\, e_k \sum_i e_i x_i \cos(\pi i k / (n-1))`, :math:`e = \sqrt{1/2}` at both
                 ends and 1 between
        2        :math:`\sqrt{2/n}\, s_k \sum_i x_i \cos(\pi (2 i + 1) k / 2 n)`
        3        :math:`\sqrt{2/n}\, \sum_i s_i x_i \cos(\pi i (2 k + 1) / 2 n)`
        4        :math:`\sqrt{2/n}\, \sum_i x_i \cos(\pi (2 i + 1) (2 k + 1) / 4 n)`
        ======== ==============================================================================================

    Adjoint:
        The adjoint is the inverse: types 2 and 3 are inverses of each other, types 1 and 4 of themselves.

    Args:
        dims: Shape of the model.
        type: 1, 2, 3 or 4.
        axes: One or several axes. Defaults to all axes.
        dtype: Nominal dtype of the operator.
        workers: Accepted for compatibility; it has no effect, because torch manages its own threads.
        name: A name for error messages.

    Raises:
        ValueError: If ``type`` is unknown, or type 1 is used along an axis of one sample.

    References:
        G. Strang, The discrete cosine transform, SIAM Review 41 (1999), 135-147. J. Makhoul, A fast cosine
        transform in one and two dimensions, IEEE Transactions on Acoustics, Speech and Signal Processing 28
        (1980), 27-34.

    Example:
        >>> A = DCT(4)
        >>> y = A(torch.tensor([1.0, 1.0, 1.0, 1.0]))
        >>> torch.allclose(y, torch.tensor([2.0, 0.0, 0.0, 0.0]), atol=1e-6), torch.allclose(A.H(y), torch.ones(4))
        (True, True)
    """

    def __init__(
        self,
        dims: Dims,
        type: Literal[1, 2, 3, 4] = 2,
        axes: Dims | None = None,
        dtype: DType = "float64",
        workers: int | None = None,
        name: str = "C",
    ) -> None:
        accept_pylops_options(workers=workers)
        dims = as_dims(dims)
        super().__init__(dims, dtype=dtype, name=name)
        if type not in _FORWARD:
            raise ValueError(f"{self.name_and_type}: type must be 1, 2, 3 or 4, got {type!r}")
        self._type = type
        self.axes = as_trailing_axes(range(len(dims)) if axes is None else axes, dims)
        if type == 1 and any(dims[axis] < 2 for axis in self.axes):
            raise ValueError(
                f"{self.name_and_type}: type 1 requires at least two samples along each of axes={self.axes}, got "
                f"dims={dims}: omit that axis, or use another type"
            )

    def _forward(self, x: Tensor) -> Tensor:
        return self._transform(x, self._type)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._transform(y, _ADJOINT[self._type])

    _inverse = _adjoint

    def _fast_forward(self, x: Tensor) -> Tensor:
        return in_blocks(x, self.dimsd, x.dtype, self.axes, self._forward)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return in_blocks(y, self.dims, y.dtype, self.axes, self._adjoint)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        dctn = _dctn_of_scipy()
        if dctn is None:
            raise Unsuitable
        type = _ADJOINT[self._type] if adjoint else self._type
        return on_array_parts(lambda x: dctn(x, type, axes=self.axes, norm="ortho"), x)

    def _transform(self, x: Tensor, type: int) -> Tensor:
        y = x
        for axis in self.axes:
            y = on_parts(partial(_transform_axis, type=type, axis=axis), y)
        return y.clone() if y is x else y

    def extra_repr(self) -> str:
        return f"type={self._type}, axes={self.axes}"


@cache
def _dctn_of_scipy() -> Any:
    """Return SciPy's transform if SciPy is installed: it is the same, and faster than several calls of NumPy."""
    try:
        from scipy.fft import dctn
    except ImportError:
        return None
    return dctn


def _transform_axis(x: Tensor, type: int, axis: int) -> Tensor:
    """Return the transform of a real ``x`` along ``axis``."""
    n = x.shape[axis]
    if x.numel() == 0:  # the CPU FFT rejects an empty batch
        return x.clone()
    if n <= _BY_MATRIX_TO:
        return _times_matrix(x, _matrix(type, n, x), axis)
    return _FORWARD[type](x, axis)


def _times_matrix(x: Tensor, matrix: Tensor, axis: int) -> Tensor:
    if axis == -1:
        return x @ matrix.mT
    shape = x.shape[: x.ndim + axis + 1]
    return (matrix @ x.reshape((*shape, math.prod(x.shape[x.ndim + axis + 1 :])))).reshape(x.shape)


def _matrix(type: int, n: int, like: Tensor) -> Tensor:
    i = _counted(n, like)
    k = i[:, None]
    if type == 1:
        matrix = torch.cos(k * i * (math.pi / (n - 1)))
        ends = _with_half_power((i == 0) | (i == n - 1), i)
        return (matrix * ends * ends[:, None] * math.sqrt(2 / (n - 1))).to(like.dtype)
    if type == 4:
        return (torch.cos((2 * i + 1) * (2 * k + 1) * (math.pi / (4 * n))) * math.sqrt(2 / n)).to(like.dtype)
    matrix = torch.cos((2 * i + 1) * k * (math.pi / (2 * n)))
    matrix = (matrix * _with_half_power(k == 0, k) * math.sqrt(2 / n)).to(like.dtype)
    return matrix if type == 2 else matrix.mT


def _with_half_power(where: Tensor, like: Tensor) -> Tensor:
    return 1 - (1 - math.sqrt(0.5)) * where.to(like.dtype)


def _type_1(x: Tensor, axis: int) -> Tensor:
    """Transform by the FFT of the signal mirrored at both ends, with ``2 n - 2`` samples."""
    n = x.shape[axis]
    inner = x.narrow(axis, 1, n - 2)
    root = math.sqrt(2)
    mirrored = torch.cat((x.narrow(axis, 0, 1) * root, inner, x.narrow(axis, n - 1, 1) * root, inner.flip(axis)), axis)
    y = torch.fft.rfft(mirrored, dim=axis).real * math.sqrt(1 / (2 * n - 2))
    half = math.sqrt(0.5)
    return torch.cat((y.narrow(axis, 0, 1) * half, y.narrow(axis, 1, n - 2), y.narrow(axis, n - 1, 1) * half), axis)


def _type_2(x: Tensor, axis: int) -> Tensor:
    r"""Transform by one FFT of ``n`` real samples in Makhoul's order: even samples, then reversed odd samples.

    With :math:`V` the spectrum and :math:`z_k = e^{-i \pi k / 2 n} V_k`, :math:`y_k = 2 \mathrm{Re} z_k` and
    :math:`y_{n-k} = -2 \mathrm{Im} z_k`, for unscaled :math:`y`.
    """
    n = x.shape[axis]
    ordered = torch.cat((x[every_other(axis, 0)], x[every_other(axis, 1)].flip(axis)), axis)
    z = torch.fft.rfft(ordered, dim=axis, norm="ortho")
    z = z * _turn(z, n, axis, -0.5 / n, math.sqrt(2))
    first, paired = z.narrow(axis, 0, 1).real * math.sqrt(0.5), (n - 1) // 2
    return torch.cat((first, z.narrow(axis, 1, n // 2).real, -z.narrow(axis, 1, paired).imag.flip(axis)), axis)


def _type_3(x: Tensor, axis: int) -> Tensor:
    """Invert :func:`_type_2` step by step."""
    n = x.shape[axis]
    paired = (n - 1) // 2
    zero = x.narrow(axis, 0, 1)
    sine = -x.narrow(axis, n - paired, paired).flip(axis)
    sine = torch.cat((torch.zeros_like(zero), sine, *([torch.zeros_like(zero)] if n % 2 == 0 else [])), axis)
    z = torch.complex(torch.cat((zero * math.sqrt(2), x.narrow(axis, 1, n // 2)), axis), sine)
    z = z * _turn(z, n, axis, 0.5 / n, math.sqrt(0.5))
    if n % 2 == 0:  # at Nyquist, which was rotated by 45 degrees, the real part carries everything
        nyquist = x.narrow(axis, n // 2, 1).to(z.dtype)
        z = torch.cat((z.narrow(axis, 0, n // 2), nyquist), axis)
    ordered = torch.fft.irfft(z, n=n, dim=axis, norm="ortho")
    even, odd = ordered.narrow(axis, 0, n - n // 2), ordered.narrow(axis, n - n // 2, n // 2).flip(axis)
    return _interleaved(even, odd, axis)


def _type_4(x: Tensor, axis: int) -> Tensor:
    """Transform by one FFT of ``n / 2`` complex samples, or of ``2 n`` samples if ``n`` is odd."""
    n = x.shape[axis]
    if n % 2:
        i = _counted(n, x)
        turned = x * _on_axis(_unit(i * (-0.5 / n)), axis).to(_complex_of(x))
        y: Tensor = torch.fft.fft(turned, n=2 * n, dim=axis).narrow(axis, 0, n)
        y = y * _on_axis(_unit((i + 0.5) * (-0.5 / n)) * math.sqrt(2 / n), axis).to(y.dtype)
        return y.real
    turn = _on_axis(_unit((_counted(n // 2, x) + 0.125) * (-1 / n)), axis).to(_complex_of(x))
    z = torch.complex(x[every_other(axis, 0)], x.flip(axis)[every_other(axis, 0)]) * turn
    z = torch.fft.fft(z, dim=axis, norm="ortho") * turn
    return _interleaved(z.real, -z.imag.flip(axis), axis)


_FORWARD: dict[int, Callable[[Tensor, int], Tensor]] = {1: _type_1, 2: _type_2, 3: _type_3, 4: _type_4}
_ADJOINT = {1: 1, 2: 3, 3: 2, 4: 4}


def _interleaved(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    pairs = odd.shape[axis]
    shape = list(odd.shape)
    shape[axis] = 2 * pairs
    joined = torch.stack((even.narrow(axis, 0, pairs), odd), axis).reshape(shape)
    if even.shape[axis] == pairs:
        return joined
    return torch.cat((joined, even.narrow(axis, pairs, 1)), axis)


def _counted(n: int, like: Tensor) -> Tensor:
    """Return ``0 ... n - 1`` in double precision, for angles."""
    return torch.arange(n, dtype=torch.float32 if like.device.type == "mps" else torch.float64, device=like.device)


def _unit(halfturns: Tensor) -> Tensor:
    angle = halfturns * math.pi
    return torch.complex(torch.cos(angle), torch.sin(angle))


def _turn(z: Tensor, n: int, axis: int, step: float, scale: float) -> Tensor:
    """Return ``scale * exp(i pi step k)`` for the frequencies ``k`` of ``z``."""
    return _on_axis(_unit(_counted(n // 2 + 1, z) * step) * scale, axis).to(z.dtype)


def _on_axis(values: Tensor, axis: int) -> Tensor:
    return values.reshape(values.shape + (1,) * (-axis - 1))


def _complex_of(x: Tensor) -> torch.dtype:
    return torch.complex64 if x.dtype == torch.float32 else torch.complex128
