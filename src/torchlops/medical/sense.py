"""Reconstruction of images from the data of several receiver coils."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import Array, as_tensor, as_tensors, promote
from torchlops.attributes import Computed
from torchlops.basicoperators import Diagonal
from torchlops.basicoperators._positions import carries_derivative, is_readable
from torchlops.linearoperator import CompositeOperator, LinearOperator, Weights
from torchlops.medical.sensitivity import Sensitivity
from torchlops.optimization.basic import cg, cgls
from torchlops.optimization.solver.options import Implicit
from torchlops.optimization.solver.result import SolverWarning
from torchlops.optimization.solver.state import Status
from torchlops.shapes import Dims
from torchlops.torchoperator import aslinearoperator
from torchlops.warning import warn

__all__ = ["SENSE"]

ENOUGH = 500
"""Number of iterations after which a solution that has not converged is returned."""


class SENSE:
    r"""Parallel imaging: the image that explains the data of all coils best.

    .. math:: \min_x \| W^{1/2} L^{-1} (y - A x) \|^2 + \epsilon^2 \|x\|^2, \qquad (A x)_c = E (s_c x)

    with the sensitivity :math:`s_c` of coil :math:`c`; the encoding :math:`E`, which samples k-space; weights :math:`W`
    of the samples; and the covariance of the noise between the coils :math:`\Psi = L L^H`. The normal equations are
    solved by conjugate gradients. Where the encoding knows its :math:`E^H W E` as a convolution
    (:class:`~torchlops.signalprocessing.NUFFT`), no iteration transforms to the samples and back.

    Args:
        maps: Sensitivities of the coils, as of :class:`~torchlops.medical.Sensitivity`.
        encoding: Operator from the image of one coil to its data: :class:`~torchlops.medical.MRI2D`,
            :class:`~torchlops.signalprocessing.NUFFT`, or any other on images of shape ``dims``, or
            ``(*samples, *dims)`` for an encoding of its own for each of several images.
        dims: Shape of an image. By default all axes of ``maps`` but the first.
        weights: Weights of the samples, real and not negative, that broadcast to ``encoding.dimsd``: the density
            compensation of a trajectory, for instance. They change which misfit is minimised, and with it how fast the
            iterations converge.
        noise: Covariance of the noise between the coils, ``(coils, coils)``, Hermitian and positive definite.

    ``maps``, ``weights``, ``noise`` and the tensors of ``encoding`` carry gradients.

    Attributes:
        Op: The operator :math:`A`, from images ``(*samples, *dims)`` to data ``(*samples, coils, *data)``, with the
            shape ``data`` of the data of one coil. Other methods of reconstruction, such as
            :func:`~torchlops.fista` with a wavelet transform, start from it.

    Raises:
        ValueError: If shapes do not agree, a weight is negative, or ``noise`` is not positive definite.
        TypeError: If ``encoding`` is an array of samples, takes only real images, or is only real-linear with a complex
            ``noise``, with which it does not commute.

    Source: K. P. Pruessmann et al., Advances in sensitivity encoding with arbitrary k-space trajectories, Magnetic
    Resonance in Medicine 46 (2001), 638-651.

    Example:
        >>> from torchlops.medical import MRI2D
        >>> maps = torch.tensor([1.0, 0.5j]).reshape(2, 1, 1) * torch.ones(2, 4, 4)
        >>> sense = SENSE(maps, MRI2D((4, 4), "vertical-reg", nlines=4, perc_center=0.0))
        >>> x = torch.eye(4, dtype=torch.complex64)
        >>> bool((sense.solve(sense.Op(x)) - x).abs().max() < 1e-5)
        True
    """

    Op: CoilEncoding

    def __init__(
        self,
        maps: Array,
        encoding: LinearOperator,
        dims: Dims | None = None,
        *,
        weights: Array | None = None,
        noise: Array | None = None,
    ) -> None:
        S, given = Sensitivity(maps, dims), cast(Any, encoding)
        if isinstance(given, np.ndarray | Tensor) and (given.ndim != 2 or S.image_ndim != 1):  # it is no matrix
            raise TypeError(
                f"SENSE: encoding must be an operator on the image of one coil, got an array of shape "
                f"{tuple(given.shape)}: for a mask of k-space, pass MRI2D(dims, mask)"
            )
        self.Op = CoilEncoding(S, aslinearoperator(encoding))
        self.weights = None if weights is None else _as_weights(weights, self.Op.E)
        self.noise = None if noise is None else _as_covariance(noise, self.Op.S.coils)
        if self.noise is not None and self.noise.is_complex() and not self.Op.E.clinear:
            raise TypeError(
                f"SENSE: noise must be real for an encoding that is only real-linear, got {self.noise.dtype} for "
                f"{self.Op.E}"
            )

    def solve(
        self,
        y: Any,
        damp: Any = 0.0,
        niter: int | None = None,
        rtol: float = 1e-6,
        x0: Any = None,
        **kwargs_solver: Any,
    ) -> Any:
        """Return the image that explains the data.

        The derivatives, with respect to the data and to all tensors that the problem was made from, are those of the
        solution, by implicit differentiation. It assumes convergence: where few iterations regularise, pass
        ``grad="unroll"``. Where the data do not determine the image, the smallest one is returned, and its derivatives
        with respect to ``weights`` take ``damp``.

        Args:
            y: Data ``(*batch, *samples, coils, *data)`` or flattened ``(*batch, size)``. Each item of a batch is a
                problem of its own, which stops on its own.
            damp: The damping: a number, or one per item of the batch.
            niter: Maximum number of iterations. By default as many as are needed, up to 500, with a warning where these
                are not enough.
            rtol: Tolerance on the residual of the normal equations, relative to their right-hand side.
            x0: Initial guess, ``(*batch, *samples, *dims)``.
            **kwargs_solver: Further options of :func:`~torchlops.cg`.

        Returns:
            The image, ``(*batch, *samples, *dims)``: a tensor if ``y``, ``damp`` or ``x0`` is one, otherwise a NumPy
            array.

        Raises:
            ValueError: If the shape of ``y`` is not that of data.
        """
        (data, guess), back = as_tensors("SENSE", {"y": y, "x0": x0}, (damp, *kwargs_solver.values()))
        A = self.Op
        batch = _batch_of(tuple(data.shape), A.dimsd)
        white, data = self._in_units_of_noise(data.reshape((*batch, *A.dimsd)))
        steps = ENOUGH if niter is None else niter
        result: Any
        if self._may_have_null_space(damp, data):
            options: dict[str, Any] = {"grad": Implicit(full_rank=False), **kwargs_solver}
            result = cgls(*self._weighted(white, data), guess, steps, tol=0.0, gtol=rtol, **options)
        else:
            rhs = white.adjoint_of(data, self.weights)
            result = cg(CoilGram(white, self.weights), rhs, guess, steps, damp**2, tol=0.0, rtol1=rtol, **kwargs_solver)
        if niter is None and kwargs_solver.get("on_fail", "warn") == "warn":
            late = int((torch.as_tensor(result.status) == Status.MAXITER).sum())
            if late:
                warn(
                    f"SENSE: {late} of {math.prod(batch)} images have not converged to rtol={rtol} within {ENOUGH} "
                    "iterations: pass damp, a larger rtol, or niter to stop early on purpose",
                    SolverWarning,
                )
        return back(result.x)

    def _in_units_of_noise(self, y: Tensor) -> tuple[CoilEncoding, Tensor]:
        """Return the operator and the data, whose noise is white."""
        A, maps = self.Op, self.Op.S.maps
        if self.noise is None:
            return A, y
        L = torch.linalg.cholesky(self.noise)
        S = Sensitivity(_white(L, maps, -A.image_ndim - 1), A.S.dims[-A.image_ndim :])
        return CoilEncoding(S, A.E), _white(L, y, -A.data_ndim - 1)

    def _may_have_null_space(self, damp: Any, y: Tensor) -> bool:
        """Whether a derivative is wanted of a solution that may be one of several: the smallest.

        The adjoint solve has no solution then. For least squares, the solvers know what to do.
        """
        if isinstance(damp, Tensor) or np.any(damp) or (self.weights is not None and carries_derivative(self.weights)):
            return False
        if not torch.is_grad_enabled() and is_readable(y):
            return False
        others = () if self.noise is None else (self.noise,)
        return any(map(carries_derivative, (y, *others, *self.Op._all_tensors())))

    def _weighted(self, A: CoilEncoding, y: Tensor) -> tuple[LinearOperator, Tensor]:
        """Return the operator and the data of plain least squares."""
        if self.weights is None:
            return A, y
        W = Diagonal(self.weights.expand(A.E.dimsd).unsqueeze(-A.data_ndim - 1).sqrt(), dims=A.dimsd)
        weighted: LinearOperator = W @ A
        return weighted, W.apply_nd(y)


class CoilEncoding(CompositeOperator):
    """The data of all coils: an encoding of the images that they see.

    Args:
        S: The sensitivities.
        E: The encoding of the image of one coil, or of one coil for each of several samples.
    """

    S = Computed(lambda self: self.operators[0])
    E = Computed(lambda self: self.operators[1])

    def __init__(self, S: Sensitivity, E: LinearOperator) -> None:
        image = S.dims[-S.image_ndim :]
        own, of_maps = E.dims[: -len(image)], S.dims[: -len(image)]
        if E.dims[-len(image) :] != image or (own and of_maps and own != of_maps):
            raise ValueError(
                f"SENSE: encoding takes images {E.dims}, but maps (coils, *dims) are of {S.coils} coils and images "
                f"{S.dims}: for maps or an encoding of each of several images, give dims, the shape of one"
            )
        if E.real_model:
            raise TypeError(f"SENSE: encoding must take complex images, got {E}: build it with a complex dtype")
        samples = own or of_maps
        data = E.dimsd[len(own) :]
        if E.dimsd[: len(own)] != own or not data:
            raise ValueError(f"SENSE: encoding has data {E.dimsd}, which do not begin with its samples {own}")
        super().__init__((S, E), dims=(*samples, *image), dimsd=(*samples, S.coils, *data))
        self.image_ndim, self.data_ndim, self._own = len(image), len(data), len(own)

    def coils_first(self, x: Tensor, ndim: int) -> Tensor:
        """Return images or data, of ``ndim`` axes, with the coils before the samples of the encoding."""
        return x.movedim(-ndim - 1, -ndim - 1 - self._own) if self._own else x

    def coils_last(self, x: Tensor, ndim: int) -> Tensor:
        """Undo :meth:`coils_first`."""
        return x.movedim(-ndim - 1 - self._own, -ndim - 1) if self._own else x

    def images_of(self, x: Tensor) -> Tensor:
        """Return the images that the coils see, with the coils before the samples of the encoding."""
        return self.coils_first(self.S.apply_nd(x), self.image_ndim)

    def image_of(self, images: Tensor) -> Tensor:
        """Return what the adjoint of :meth:`images_of` does."""
        x: Tensor = self.S.apply_nd(self.coils_last(images, self.image_ndim), True)
        return x

    def adjoint_of(self, y: Tensor, weights: Tensor | None) -> Tensor:
        """Return the adjoint of weighted data."""
        y = self.coils_first(y, self.data_ndim)
        return self.image_of(self.E.apply_nd(y if weights is None else y * weights, True))

    def _forward(self, x: Tensor) -> Tensor:
        return self.coils_last(self.E.apply_nd(self.images_of(x)), self.data_ndim)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.adjoint_of(y, None)

    def _gram(self, W: Weights) -> LinearOperator | None:
        return CoilGram(self, None) if W is None else None

    def expression(self) -> str:
        return f"CoilEncoding({self.S.coils} coils, {self.E.expression()})"


class CoilGram(LinearOperator):
    """The normal operator ``A^H W A`` of the data of all coils.

    Args:
        A: The operator of these data.
        weights: Weights of the samples of one coil, or None.
    """

    def __init__(self, A: CoilEncoding, weights: Tensor | None) -> None:
        super().__init__(A.dims, dtype=A._torch_dtype(), clinear=A.clinear, name="normal equations")
        self.A = A
        self.G = A.E.gram(None if weights is None else weights.expand(A.E.dimsd))

    def _forward(self, x: Tensor) -> Tensor:
        return self.A.image_of(self.G.apply_nd(self.A.images_of(x)))

    _adjoint = _forward


def _white(L: Tensor, y: Tensor, axis: int) -> Tensor:
    """Return ``L^-1 y`` along the axis of the coils: in units of the noise, whose covariance is ``L L^H``."""
    dtype = promote([L.dtype, y.dtype])
    flat = y.to(dtype).movedim(axis, 0)
    white: Tensor = torch.linalg.solve_triangular(L.to(dtype), flat.reshape(len(L), -1), upper=False)
    return white.reshape(flat.shape).movedim(0, axis)


def _as_weights(weights: Array, E: LinearOperator) -> Tensor:
    tensor = as_tensor(weights, "SENSE: weights")
    if tensor.is_complex():
        raise TypeError(f"SENSE: weights must be real, got {tensor.dtype}")
    try:
        fits = torch.broadcast_shapes(tensor.shape, E.dimsd) == E.dimsd  # type: ignore[no-untyped-call]
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"SENSE: weights must broadcast to the data {E.dimsd} of a coil, got {tuple(tensor.shape)}")
    if is_readable(tensor) and not bool(((tensor >= 0) & tensor.isfinite()).all()):
        raise ValueError("SENSE: weights must be finite and not negative")
    return tensor


def _as_covariance(noise: Array, coils: int) -> Tensor:
    tensor = as_tensor(noise, "SENSE: noise")
    if tuple(tensor.shape) != (coils, coils):
        raise ValueError(f"SENSE: noise must be a covariance {(coils, coils)} of the coils, got {tuple(tensor.shape)}")
    if is_readable(tensor) and not _is_covariance(tensor.detach()):
        raise ValueError("SENSE: noise must be Hermitian and positive definite")
    return tensor


def _is_covariance(tensor: Tensor) -> bool:
    is_hermitian = bool((tensor - tensor.mH).abs().max() <= 1e-6 * tensor.abs().max())
    return is_hermitian and not bool(torch.linalg.cholesky_ex(tensor)[1])


def _batch_of(shape: tuple[int, ...], dimsd: tuple[int, ...]) -> tuple[int, ...]:
    """Return the batch axes of data ``(*batch, *dimsd)`` or ``(*batch, size)``."""
    if shape[-len(dimsd) :] == dimsd:
        return shape[: -len(dimsd)]
    size = math.prod(dimsd)
    if shape and shape[-1] == size:
        return shape[:-1]
    raise ValueError(
        f"SENSE: data must be of shape (*batch, {', '.join(map(str, dimsd))}) or (*batch, {size}), got {shape}"
    )
