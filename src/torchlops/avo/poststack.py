"""Post-stack modelling and inversion."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchlops.arrays import Array
from torchlops.avo._inversion import Inversion
from torchlops.avo._modelling import (
    Kind,
    Modelling,
    as_convolution,
    as_spatdims,
    as_wavelets,
    derivative,
    explicit_form,
)
from torchlops.basicoperators import FirstDerivative, Laplacian, SecondDerivative
from torchlops.shapes import Dims, as_dims

__all__ = ["PoststackInversion", "PoststackLinearModelling"]


class PoststackLinearModelling(Modelling):
    r"""Band-limited post-stack data from profiles of an elastic parameter, such as the logarithm of the impedance.

    Forward:
        .. math:: d(t) = \left(w * \frac{\mathrm{d} m}{\mathrm{d} t}\right)(t), \qquad d = W D m

        With half of a wavelet, and :math:`m` the logarithm of the acoustic impedance, these are zero-offset data.

    Adjoint:
        .. math:: A^H d = D^T W^H d

    Args:
        wav: The wavelet ``(nwav,)``, with time zero at ``nwav // 2``, or one per sample of the model,
            ``(nt0, nwav)``. Sample ``i`` of the reflectivity then emits wavelet ``i``.
        nt0: Number of samples in time.
        spatdims: Sizes of the axes in space; None if there is none.
        explicit: Whether to multiply by the matrix of a trace, the attribute ``A``, instead of by :math:`D` and
            :math:`W` in turn. The result is the same.
        sparse: Whether that matrix is a sparse one of SciPy (only for a ``wav`` that is no tensor).
        kind: How to differentiate: ``"centered"`` or ``"forward"``, in units of a sample.
        name: A name for error messages.

    Models and data have shape ``(nt0, *spatdims)``, also for a wavelet that is longer than ``nt0``. (PyLops then has
    data of ``nwav`` samples, or raises.)

    Raises:
        ValueError: If the shape of ``wav`` does not fit.
        NotImplementedError: If ``kind`` is not known.

    Example:
        >>> import torch
        >>> A = PoststackLinearModelling(torch.tensor([-1.0, 2.0, -1.0]), nt0=5)
        >>> A(torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0]))
        tensor([ 0.0000, -0.5000,  0.5000,  0.5000, -0.5000])
    """

    def __init__(
        self,
        wav: Array,
        nt0: int,
        spatdims: Dims | None = None,
        explicit: bool = False,
        sparse: bool = False,
        kind: Kind = "centered",
        name: str | None = None,
    ) -> None:
        owner = type(self).__name__
        (nt0,) = as_dims(nt0, f"{owner}: nt0")
        other = as_spatdims(spatdims, owner)
        wavelets = as_wavelets(wav, owner, nt0, "sample")
        dims = (nt0,) if explicit else (nt0, *other)
        is_constant = not isinstance(wav, Tensor)
        parts = (as_convolution(dims, wavelets, is_constant), derivative(dims, kind, owner, wavelets.dtype))
        if explicit:
            super().__init__((explicit_form(parts, other, sparse, is_constant, owner),))
        else:
            super().__init__(parts)
        self.name = name
        self.kind = kind


def PoststackInversion(
    data: Any,
    wav: Any,
    m0: Any = None,
    explicit: bool = False,
    simultaneous: bool = False,
    epsI: Any = None,
    epsR: Any = None,
    dottest: bool = False,
    epsRL1: Any = None,
    *,
    batch_ndim: int = 0,
    **kwargs_solver: Any,
) -> tuple[Any, Any]:
    r"""Return the elastic parameter that explains post-stack data, and the residual of the data.

    With the operator :math:`A = W D` of :class:`PoststackLinearModelling`, it minimises

    ===================== ===================================================================================
    ``epsR``, ``epsRL1``  cost
    ===================== ===================================================================================
    None, None            :math:`\|A (m - m_0) - (d - A m_0)\|^2 + \epsilon_I \|m - m_0\|^2`
    given, None           :math:`\|A m - d\|^2 + \epsilon_R^2 \|\nabla^2 m\|^2 + \epsilon_I^2 \|m\|^2`, from
                          :math:`m_0` on
    any, given            :math:`\frac{\mu}{2} \|A m - d\|^2 + \epsilon_{RL1}^2 \|D_t m\|_1 + \frac{\epsilon_R}{2}
                          \|\nabla^2 m\|^2 + \frac12 \epsilon_I^2 \|m\|^2`, from :math:`m_0` on, by split Bregman
    ===================== ===================================================================================

    The Laplacian :math:`\nabla^2` is that of time for one trace, of time and space for a section, and of both axes in
    space for a volume. In the last line it has only the axes in space, so that there is none for one trace.

    Without ``epsR`` and ``epsRL1``, ``explicit=True`` solves for all traces by one decomposition of the matrix of a
    trace: by the singular value decomposition, with singular values below ``cond`` of the largest left out, or with
    ``epsI`` by Cholesky's. (By default ``cond`` is the rounding times the size of the matrix: what is constant in time
    has no data, and its singular value is zero but for rounding. PyLops's default keeps some of these values.) In all
    other cases the solution is iterative, and ``explicit`` has no effect on it.

    Args:
        data: The data ``(nt0, [nx, [ny]])``. They are never changed (PyLops without ``m0`` overwrites them with the
            residual).
        wav: The wavelet, or one per sample, as for :class:`PoststackLinearModelling`.
        m0: The background model, of the shape of the data; zero by default.
        explicit: Whether to solve directly, by the matrix of a trace.
        simultaneous: Whether ``explicit=True`` solves for all traces at once, iteratively, with one stopping rule. When
            it has converged, the result is the same. (With ``epsI``, PyLops solves with wrong data here.)
        epsI: Weight of the damping, a number or a tensor. Note that it is squared in some of the costs. (PyLops
            ignores it with ``explicit=False``, and with ``epsR``.)
        epsR: Weight of the Laplacian.
        dottest: Whether to test the operator first.
        epsRL1: Weight of the blockiness in time. (PyLops ignores it without ``epsR``, and raises for one trace.)
        batch_ndim: The number of leading axes of the data that count problems, each of which stops on its own. The
            background model may have them, too.
        **kwargs_solver: Options of the solver: ``cond`` (or ``rcond``) with ``explicit=True``; ``mu``,
            ``niter_outer``, ``niter_inner`` and the others of :func:`~torchlops.optimization.sparsity.splitbregman`
            with ``epsRL1``; those of :func:`~torchlops.optimization.leastsquares.regularized_inversion` otherwise, such
            as ``iter_lim``, ``damp``, ``atol`` and ``grad``.

    Returns:
        The model and the residual :math:`d - A m`, of the shape of the data: arrays, or tensors if one of the arguments
        is one. They have exact derivatives in data, wavelet, background and weights, but with ``epsRL1`` none in the
        background, where the iteration starts. (The operator has no inverse, and direct solutions without ``epsI`` have
        derivatives of first and second order.)

    Raises:
        ValueError: If a shape does not fit, or ``epsI`` is too small for Cholesky's decomposition.
        TypeError: If an option of the solver is not known.

    Example:
        >>> import numpy as np
        >>> wav, m = np.array([-0.2, 1.0, -0.2]), np.repeat([7.0, 7.5, 7.2], 5)
        >>> m0 = np.linspace(7.0, 7.4, 15)
        >>> d = PoststackLinearModelling(wav, nt0=15)(m)
        >>> minv, residual = PoststackInversion(d, wav, m0=m0, explicit=True, epsI=1e-6)
        >>> bool(abs(minv - m).max() < abs(m0 - m).max()), bool(abs(residual).max() < 1e-5)
        (True, True)
    """
    problem = Inversion(
        "PoststackInversion", batch_ndim, (wav, epsI, epsR, epsRL1, *kwargs_solver.values()), data=data, m0=m0
    )
    d, background = problem.tensors
    assert d is not None
    spat = tuple(d.shape[problem.batch_ndim + 1 :])
    if d.ndim - problem.batch_ndim not in (1, 2, 3):
        raise problem.wrong_shape("data", d, "(nt0, [nx, [ny]])")
    problem.check_model(background, tuple(d.shape[problem.batch_ndim :]))
    A = PoststackLinearModelling(wav, d.shape[problem.batch_ndim], spat or None)
    dims = A.dims
    if not spat:
        laplacian: Any = SecondDerivative(dims)
        lateral: Any = None
    else:
        laplacian = Laplacian(dims) if len(spat) == 1 else Laplacian(dims, axes=(1, 2))
        lateral = SecondDerivative(dims, axis=1) if len(spat) == 1 else laplacian
    return problem.solve(
        A,
        (A.operators,),
        (1, dims[0], 1),
        explicit=explicit and not simultaneous,
        epsI=epsI,
        epsR=epsR,
        epsRL1=epsRL1,
        laplacian=laplacian,
        lateral=lateral,
        blockiness=FirstDerivative(dims, axis=0, kind="forward"),
        dottest=dottest,
        options=kwargs_solver,
    )
