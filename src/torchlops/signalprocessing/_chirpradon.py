r"""Common base of the chirp Radon transforms.

At the frequency :math:`f_k`, a linear Radon transform multiplies by :math:`e^{2 \pi i c_k m n}`, with positions ``m``
and ``n`` in samples relative to the middle and a step :math:`c_k` proportional to the frequency. Since
:math:`2 m n = m^2 + n^2 - (m - n)^2`, this is a product with a chirp, a convolution with another chirp, and again a
product with the first: three FFTs and no matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import Array, DType, conjugate
from torchlops.attributes import Computed
from torchlops.basicoperators._positions import (
    Positions,
    in_result_dtype,
    precise,
    register_positions,
    whole_numbers,
)
from torchlops.basicoperators._sparse import FAST_DTYPES
from torchlops.linearoperator import LinearOperator
from torchlops.signalprocessing._fourierradon import signals, zeros_of
from torchlops.signalprocessing._parts import with_parts_as_batch
from torchlops.signalprocessing._realfft import with_fft_errors


class ChirpRadon(LinearOperator):
    """Chirp Radon transform over one or two spatial axes; see :class:`ChirpRadon2D` for the arguments.

    Args:
        sizes: Number of samples of each spatial axis, slowest first.
        nt: Number of samples of the time axis.
        pmax: Largest slope along each spatial axis, in samples.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.
    """

    pmax = Positions()

    nt = Computed(lambda self: self.dims[-1])

    def __init__(self, sizes: Sequence[int], nt: int, pmax: float | Array, dtype: DType, name: str | None) -> None:
        super().__init__((*sizes, nt), dtype=dtype, name=name)
        self._is_constant = not register_positions(self, "pmax", pmax, is_tabulated=True)
        given = self._tensor("pmax")
        if given.numel() != len(sizes):
            wanted = "one number" if len(sizes) == 1 else f"{len(sizes)} numbers, one per spatial axis"
            raise ValueError(f"{type(self).__name__}: pmax must be {wanted}, got shape {tuple(given.shape)}")
        if self._is_constant:
            for axis in range(len(sizes)):
                self._keep_chirps(axis)

    def _keep_chirps(self, axis: int) -> None:
        for name, chirp in zip(("chirp", "spectrum"), self._make_chirps(axis), strict=True):
            self.register_buffer(f"{name}{axis}", chirp, persistent=False)

    def _make_chirps(self, axis: int) -> tuple[Tensor, Tensor]:
        """Return the chirp to multiply by, ``(n, nf)``, and the spectrum of that to convolve with, ``(2 n, nf)``."""
        n, nt = self.dims[axis], self.dims[-1]
        pmax = precise(self._tensor("pmax")).reshape(len(self.dims) - 1)[axis]
        k = whole_numbers(0, nt // 2 + 1, pmax)
        m = torch.cat((whole_numbers(0, n, pmax), whole_numbers(-n, 0, pmax)))  # positions in FFT order
        phase = (2 * math.pi / (n * nt)) * pmax * m.unsqueeze(1) ** 2 * k
        chirp = torch.complex(phase.cos(), -phase.sin())
        inner = conjugate(torch.cat((chirp[2 * n - (n - n // 2) :], chirp[: n // 2])))
        return inner, torch.fft.fft(chirp, dim=0)

    def _chirps(self, axis: int, x: Tensor, conjugated: bool) -> tuple[Tensor, Tensor]:
        """Return both chirps in the dtype of ``x``, conjugated for the adjoint."""
        if self._is_constant:
            inner, spectrum = getattr(self, f"chirp{axis}"), getattr(self, f"spectrum{axis}")
        else:
            inner, spectrum = self._make_chirps(axis)
        behind = (1,) * (len(self.dims) - 2 - axis)
        shape = (self.dims[axis], *behind, self.dims[-1] // 2 + 1)
        inner, spectrum = inner.to(x.dtype).reshape(shape), spectrum.to(x.dtype).reshape((2 * shape[0], *shape[1:]))
        # The chirp is even, so the spectrum of its conjugate is the conjugate of its spectrum.
        return (conjugate(inner), conjugate(spectrum)) if conjugated else (inner, spectrum)

    def _forward(self, x: Tensor) -> Tensor:
        return self._transform(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._transform(y, True)

    # The kernels are the same. As fast kernels their backward is the adjoint, half the cost of autograd's backward.
    _fast_forward, _fast_adjoint = _forward, _adjoint

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        return x.dtype in FAST_DTYPES

    def _transform(self, x: Tensor, conjugated: bool, inverse: bool = False) -> Tensor:
        def of_real(x: Tensor) -> Tensor:
            return self._transform_real(x, conjugated, inverse)

        remedy = "cast its input, for example by x.float()"
        x = in_result_dtype(self, x)
        return with_fft_errors(self.name_and_type, remedy, lambda x: with_parts_as_batch(of_real, x), x)

    def _transform_real(self, x: Tensor, conjugated: bool, inverse: bool) -> Tensor:
        if x.numel() == 0:
            return zeros_of(x, len(self.dims), self.dims)
        nt = self.dims[-1]
        g = torch.fft.rfft(x)
        for axis, n in enumerate(self.dims[:-1]):
            trailing = axis - len(self.dims)
            inner, spectrum = self._chirps(axis, g, conjugated)
            g = torch.fft.fft(g * inner, n=2 * n, dim=trailing)
            g = torch.fft.ifft(g * spectrum, dim=trailing).narrow(trailing, 0, n) * inner
        if inverse:
            frequencies = torch.arange(nt // 2 + 1, device=x.device, dtype=x.dtype)
            slopes = precise(self._tensor("pmax")).to(x.dtype).reshape(len(self.dims) - 1)
            for slope, n in zip(slopes.unbind(), self.dims[:-1], strict=True):
                g = g * (frequencies * slope * (2 / (n * nt)))
        return signals(g, nt, 0)

    def inverse(self, x: Any) -> Any:  # type: ignore[override]  # weights instead of a solver
        """Return the model of the data ``x``: the adjoint, with an analytic weight per frequency.

        Args:
            x: Data ``(*batch, *dims)``, or flattened.

        Returns:
            The model, with the shape and array type of ``x``. (In PyLops it is always flat.)

        Raises:
            ValueError: If ``x`` has the wrong shape.
        """
        if not isinstance(x, Tensor):
            return self._through_arrays(x, self.inverse)
        is_nd = x.shape[-len(self.dims) :] == self.dims
        if not is_nd and (x.ndim == 0 or x.shape[-1] != math.prod(self.dims)):
            raise self._wrong_shape(x, True)
        batch = x.shape[: x.ndim - len(self.dims)] if is_nd else x.shape[:-1]
        return self._transform(x.reshape((*batch, *self.dims)), True, inverse=True).reshape(x.shape)

    def extra_repr(self) -> str:
        learns = "" if self._is_constant else "pmax of a tensor, "
        return f"{learns}{' x '.join(map(str, self.dims))} samples"
