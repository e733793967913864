"""Non-uniform fast Fourier transform."""

from __future__ import annotations

from typing import Any

from torchlops.arrays import DType, real_dtype
from torchlops.basicoperators._positions import given_or_kept
from torchlops.basicoperators.diagonal import Diagonal
from torchlops.linearoperator import LinearOperator, Weights
from torchlops.shapes import Dims
from torchlops.signalprocessing._nonuniformfft import NonUniformTransform
from torchlops.signalprocessing.nufftgram import NUFFTGram


class NUFFT(NonUniformTransform):
    r"""Fourier transform of samples on a grid at arbitrary frequencies, the non-uniform FFT of type 2.

    Forward:
        .. math:: y_m = c \sum_n x_n e^{-i \omega_m \cdot n}

        with :math:`n_a = -\lfloor N_a / 2 \rfloor, \ldots` along each of one to three axes of :math:`N_a` samples, and
        :math:`c = 1`, or :math:`1 / \sqrt{\prod_a N_a}` with ``norm="ortho"``.

    Adjoint:
        The transform of type 1:

        .. math:: x_n = c \sum_m y_m e^{i \omega_m \cdot n}

    The relative error is at most about ``tol``. The sum is computed by an FFT over a grid of twice the size, which a
    window of Kaiser and Bessel interpolates. The frequencies have a period of :math:`2 \pi`, so that any number is
    right, and a uniform grid of them gives ``fftshift(fftn(ifftshift(x)))``.

    On the CPU, two sparse matrices hold the weights of the window, as long as they are smaller than
    :func:`~torchlops.config.set_sparse_limit` says; :attr:`plan` shows it.

    Args:
        dims: Shape of the grid, one to three axes.
        points: The frequencies :math:`\omega` in radians per sample (cycles times :math:`2 \pi`), ``(*samples, M, d)``
            for ``d`` axes, in their order. Spokes ``(spokes, n, d)`` of one trajectory are ``points.reshape(-1, d)``.
            With axes ``samples``, each sample has a trajectory of its own: the model has the shape
            ``(*samples, *dims)`` and the data ``(*samples, M)``. A tensor carries gradients and affects the dtype of
            the result; an array is constant, in float64.
        tol: Relative error, from 1e-12 to 0.1. In float32 the rounding of the FFT adds about 2e-6.
        norm: ``"none"``, or ``"ortho"`` for a factor that makes the transform unitary on a uniform grid.
        dtype: Nominal dtype of the operator. With a real one, models are real, and the adjoint takes the real part.
        name: A name for error messages.
        engine: ``"torch"``, or ``"finufft"``, which is faster in three dimensions without a table, but computes on the
            CPU, trajectory by trajectory, and gives no gradient by the points, which are then an array.

    Attributes:
        width: Number of taps of the window along each axis.

    Raises:
        ValueError: If a shape does not fit, ``tol``, ``norm`` or ``engine`` is unknown, or a point is not finite.
        TypeError: If the points are complex, or a tensor with ``engine="finufft"``.
        ImportError: If ``engine="finufft"``, and finufft is not installed.

    Source: A. Dutt and V. Rokhlin, Fast Fourier transforms for nonequispaced data, SIAM J. Sci. Comput. 14 (1993),
    1368-1393; J. A. Fessler and B. P. Sutton, Nonuniform fast Fourier transforms using min-max interpolation, IEEE
    Trans. Signal Process. 51 (2003), 560-574.

    Example:
        >>> import numpy as np
        >>> A = NUFFT(3, np.array([[0.0], [np.pi / 2]]))
        >>> A(np.array([1.0, 2.0, 3.0])).round(4)  # at n = -1, 0, 1
        array([6.+0.j, 2.-2.j])
    """

    def __init__(
        self,
        dims: Dims,
        points: Any,
        tol: float = 1e-6,
        norm: str = "none",
        dtype: DType = "complex128",
        name: str = "N",
        *,
        engine: str = "torch",
    ) -> None:
        super().__init__(dims, points, tol, norm, dtype, name, engine)

    def _gram(self, W: Weights) -> LinearOperator | None:
        points = given_or_kept(self, "points")
        if isinstance(W, Diagonal) and W.dims == self.dimsd:
            whole = tuple(W.diag.shape) == self.dimsd  # so that a parameter remains one
            W = W.diag if whole else W.diag.reshape(W._broadcast).expand(self.dimsd)
        if isinstance(W, LinearOperator) or (W is not None and W.is_complex()) or points.is_meta:
            return None
        dtype = real_dtype(self._torch_dtype()) if self.real_model else self._torch_dtype()
        G = NUFFTGram(self._axes, self.points, W, self.tol, self._norm, dtype, engine=self.engine)
        return G if points.is_cpu else G.to(points.device)
