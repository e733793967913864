"""Pre-stack modelling and inversion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import Array, as_tensor, conjugate, promote, real_dtype
from torchlops.avo._inversion import Inversion
from torchlops.avo._modelling import (
    VARIES,
    Kind,
    Modelling,
    Wavelets,
    as_spatdims,
    as_wavelets,
    derivative,
    explicit_form,
)
from torchlops.avo.avo import AVOLinearModelling, Linearization
from torchlops.basicoperators import FirstDerivative, Laplacian, SecondDerivative
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.linearoperator import LinearOperator, ProductOperator, VerticalStack
from torchlops.shapes import PER_SAMPLE, Dims, as_integer
from torchlops.signalprocessing._convolution import convolve_by_fft
from torchlops.signalprocessing._parts import with_parts_as_batch

__all__ = ["PrestackInversion", "PrestackLinearModelling", "PrestackWaveletModelling"]

_linearizations = {"akirich": 3, "fatti": 3, "ps": 3}
"""The number of elastic parameters of each linearisation, as PyLops has it."""


class PrestackLinearModelling(Modelling):
    r"""Band-limited angle gathers from profiles of elastic parameters, by a linearisation of Zoeppritz's equations.

    Forward:
        .. math:: d(t, \theta) = \left(w_\theta * \sum_i G_i(\theta, \cdot) \,
            \frac{\mathrm{d} m_i}{\mathrm{d} t}\right)(t), \qquad d = W G D m

        with the coefficients :math:`G_i` of :class:`~torchlops.avo.avo.AVOLinearModelling`, and the logarithms of the
        elastic parameters :math:`m_i`.

    Adjoint:
        .. math:: A^H d = D^T G^T W^H d

    Args:
        wav: The wavelet ``(nwav,)``, with time zero at ``nwav // 2``, or one per angle, ``(n_theta, nwav)``. (PyLops
            has no wavelets per angle.)
        theta: Angles in degrees, ``(n_theta,)``.
        vsvp: Ratio of the velocities of S- and P-waves: a number, one per sample ``(nt0,)``, or ``(nt0, *spatdims)``.
        nt0: Number of samples in time, if ``vsvp`` is a number.
        spatdims: Sizes of the axes in space; None if there is none.
        linearization: ``"akirich"``, ``"fatti"``, ``"ps"`` or a function, as for
            :class:`~torchlops.avo.avo.AVOLinearModelling`. (PyLops takes functions with ``explicit=True`` only.)
        explicit: Whether to multiply by the matrix of a trace, the attribute ``A``. **Model and data then have other
            axes.**
        kind: How to differentiate: ``"centered"`` or ``"forward"``, in units of a sample.
        name: A name for error messages.

    Models have shape ``(nt0, n_m, *spatdims)``, data ``(nt0, n_theta, *spatdims)``. With ``explicit=True``, models are
    ordered by parameters, ``(n_m * nt0, *spatdims)``, and data by angles, ``(n_theta * nt0, *spatdims)``, as in PyLops.

    Raises:
        ValueError: If a shape does not fit.
        NotImplementedError: If ``linearization`` or ``kind`` is not known.

    Example:
        >>> import torch
        >>> wav, theta = torch.tensor([-1.0, 2.0, -1.0]), torch.tensor([0.0, 30.0])
        >>> A = PrestackLinearModelling(wav, theta, nt0=4, kind="forward")
        >>> m = torch.zeros(4, 3)
        >>> m[2:, 0] = 0.3  # a step of ln V_P
        >>> A(m)
        tensor([[-0.1500, -0.2000],
                [ 0.3000,  0.4000],
                [-0.1500, -0.2000],
                [ 0.0000,  0.0000]])
    """

    def __init__(
        self,
        wav: Array,
        theta: Array,
        vsvp: float | Array = 0.5,
        nt0: int = 1,
        spatdims: Dims | None = None,
        linearization: Linearization = "akirich",
        explicit: bool = False,
        kind: Kind = "centered",
        name: str | None = None,
    ) -> None:
        owner = type(self).__name__
        other = as_spatdims(spatdims, owner)
        spatial = () if explicit else other
        of_tensors = [value.dtype for value in (theta, vsvp) if isinstance(value, Tensor) and value.ndim]
        label = promote([as_tensor(wav, f"{owner}: wav").dtype, *of_tensors])
        if explicit and as_tensor(vsvp, f"{owner}: vsvp").ndim > 1:
            raise ValueError(f"{owner}: {VARIES}: pass explicit=False, or ratios (nt0,)")
        avo = AVOLinearModelling(theta, vsvp, nt0, spatial or None, linearization, dtype=label, name="G")
        wavelets = as_wavelets(wav, owner, avo.ntheta, "angle")
        convolution = Wavelets((avo.nt0, avo.ntheta, *spatial), wavelets)
        parts = (convolution, avo, derivative(avo.dims, kind, owner, real_dtype(label)))
        if explicit:
            is_constant = not isinstance(wav, Tensor) and not avo._learns
            super().__init__((explicit_form(parts, other, False, is_constant, owner),))
        else:
            super().__init__(parts)
        self.name = name
        self.kind = kind


class PrestackWaveletModelling(AccumulatingOperator):
    r"""Band-limited angle gathers from a wavelet, for given profiles of elastic parameters.

    Forward:
        .. math:: d(\theta, t) = \left(w * r_\theta\right)(t), \qquad
            r_\theta(t) = \sum_i G_i(\theta, t) \, \frac{\mathrm{d} m_i}{\mathrm{d} t}(t)

    Adjoint:
        The gathers are correlated with the reflectivity, :math:`(A^H d)_k = \sum_\theta \sum_j
        \overline{r_\theta(j - k + c)} \, d(\theta, j)` with ``c`` = ``wavc``.

    Args:
        m: The profiles ``(nt0, n_m)``: logarithms of the elastic parameters.
        theta: Angles in degrees, ``(n_theta,)``.
        nwav: Number of samples of the wavelet.
        wavc: Index of its time zero; ``nwav // 2`` by default.
        vsvp: Ratio of the velocities of S- and P-waves: a number, or one per sample ``(nt0,)``.
        linearization: ``"akirich"``, ``"fatti"``, ``"ps"`` or a function, as for
            :class:`~torchlops.avo.avo.AVOLinearModelling`.
        name: A name for error messages.

    Models have shape ``(nwav,)``. Data are ordered by angles and flat, ``(n_theta * nt0,)``, as in PyLops.

    Raises:
        ValueError: If a shape does not fit, or ``wavc`` is not in the wavelet.
        NotImplementedError: If ``linearization`` is not known.

    Example:
        >>> import torch
        >>> m = torch.tensor([[0.0], [0.0], [0.4], [0.4], [0.4]]).expand(5, 3)
        >>> A = PrestackWaveletModelling(m, torch.tensor([0.0]), nwav=3)
        >>> d = A(torch.tensor([-1.0, 2.0, -1.0]))  # a reflectivity of 0.2 at two samples
        >>> torch.allclose(d, torch.tensor([-0.2, 0.2, 0.2, -0.2, 0.0]), atol=1e-6)
        True
    """

    m: Tensor

    def __init__(
        self,
        m: Array,
        theta: Array,
        nwav: int,
        wavc: int | None = None,
        vsvp: float | Array = 0.5,
        linearization: Linearization = "akirich",
        name: str | None = None,
    ) -> None:
        owner = type(self).__name__
        profiles = as_tensor(m, f"{owner}: m")
        if profiles.ndim != 2 or profiles.numel() == 0:
            raise ValueError(f"{owner}: m must be profiles (nt0, n_m), got shape {tuple(profiles.shape)}. {PER_SAMPLE}")
        nwav = as_integer(nwav, f"{owner}: nwav", least=1)
        wavc = nwav // 2 if wavc is None else as_integer(wavc, f"{owner}: wavc")
        if not 0 <= wavc < nwav:
            raise ValueError(f"{owner}: wavc must be from 0 to {nwav - 1}, the samples of the wavelet, got {wavc}")
        avo = AVOLinearModelling(theta, vsvp, profiles.shape[0], None, linearization, dtype=profiles.dtype, name="G")
        if tuple(profiles.shape) != avo.dims:
            raise ValueError(
                f"{owner}: m must have shape {avo.dims}, for the samples of vsvp and the parameters of the "
                f"linearization, got {tuple(profiles.shape)}"
            )
        super().__init__(nwav, avo.ntheta * avo.nt0, dtype=profiles.dtype, name=name)
        self.nwav, self.wavc = nwav, wavc
        self.reflectivity = ProductOperator((avo, derivative(avo.dims, "centered", owner, profiles.dtype)))
        self._register("m", profiles)
        self._sizes = (avo.ntheta, avo.nt0)

    def _filters(self) -> Tensor:
        """Return the reflectivity ``(n_theta, nt0)``."""
        reflectivity: Tensor = self.reflectivity.apply_nd(self.m)
        return reflectivity.mT

    def _forward(self, x: Tensor) -> Tensor:
        return self._convolve(x.unsqueeze(-2), self._filters(), self.wavc, self._sizes[1]).flatten(-2)

    def _adjoint(self, y: Tensor) -> Tensor:
        filters, last = conjugate(self._filters()).flip(-1), self._sizes[1] - 1
        return self._convolve(y.reshape(*y.shape[:-1], *self._sizes), filters, last - self.wavc, self.nwav).sum(-2)

    def _convolve(self, x: Tensor, filters: Tensor, offset: int, size: int) -> Tensor:
        """Return the convolution along the last axis with a filter per angle."""
        dtype = torch.promote_types(x.dtype, filters.dtype)
        if filters.is_complex():
            return convolve_by_fft(x.to(dtype), filters.to(dtype), (-1,), (offset,), (size,))
        filters = filters.to(real_dtype(dtype))
        return with_parts_as_batch(lambda x: convolve_by_fft(x, filters, (-1,), (offset,), (size,)), x.to(dtype))

    def extra_repr(self) -> str:
        return f"m={tuple(self.m.shape)}, {self._sizes[0]} angles, nwav={self.nwav}, wavc={self.wavc}"


def PrestackInversion(
    data: Any,
    theta: Any,
    wav: Any,
    m0: Any = None,
    linearization: Linearization | Sequence[Linearization] = "akirich",
    explicit: bool = False,
    simultaneous: bool = False,
    epsI: Any = None,
    epsR: Any = None,
    dottest: bool = False,
    returnres: bool = False,
    epsRL1: Any = None,
    kind: Kind = "centered",
    vsvp: Any = 0.5,
    *,
    batch_ndim: int = 0,
    **kwargs_solver: Any,
) -> Any:
    r"""Return the elastic parameters that explain angle gathers.

    The costs and the solvers are those of :func:`~torchlops.avo.poststack.PoststackInversion`, with the operator
    :math:`A = W G D` of :class:`PrestackLinearModelling`. The Laplacian is that of time for one gather, of time and
    space for a section of gathers, and of both axes in space for a volume; in the cost with ``epsRL1``, it is that of
    the axes in space, and the derivative in time is centered, as in PyLops. (For one gather, PyLops differentiates
    across the parameters there; with ``explicit=True`` and ``epsR``, it takes the Laplacian of wrong axes.)

    Args:
        data: The gathers ``(nt0, n_theta, [nx, [ny]])``; for a list of linearisations, ``(n_lin, nt0, ...)``. They are
            never changed (PyLops with ``returnres=True`` may overwrite them with the residual).
        theta: Angles in degrees, ``(n_theta,)``.
        wav: The wavelet, or one per angle, as for :class:`PrestackLinearModelling`; for a list of linearisations, also
            a list of these.
        m0: The background model ``(nt0, n_m, [nx, [ny]])``; zero by default.
        linearization: ``"akirich"``, ``"fatti"``, ``"ps"`` or a function, as for
            :class:`~torchlops.avo.avo.AVOLinearModelling`, or a list of these, which are inverted together: for
            example ``["akirich", "ps"]`` for PP and PS gathers.
        explicit: Whether to solve directly, by the matrix of a gather.
        simultaneous: Whether ``explicit=True`` solves for all gathers at once, iteratively, with one stopping rule.
        epsI: Weight of the damping, or a list of weights, one per parameter. (PyLops takes lists with ``epsR`` only.)
        epsR: Weight of the Laplacian.
        dottest: Whether to test the operator first.
        returnres: Whether to return the residual.
        epsRL1: Weight of the blockiness in time.
        kind: How to differentiate in the modelling: ``"centered"`` or ``"forward"``. (PyLops ignores it for a list of
            linearisations.)
        vsvp: Ratio of the velocities of S- and P-waves: a number, one per sample ``(nt0,)``, or, without
            ``explicit``, one per sample of each gather, ``(nt0, [nx, [ny]])``.
        batch_ndim: The number of leading axes of the data that count problems, each of which stops on its own. The
            background model may have them, too.
        **kwargs_solver: Options of the solver, as for :func:`~torchlops.avo.poststack.PoststackInversion`.

    Returns:
        The model ``(nt0, n_m, [nx, [ny]])`` and, with ``returnres``, the residual :math:`d - A m`, of the shape of the
        data: arrays, or tensors if one of the arguments is one. They have derivatives in data, wavelet, angles,
        velocity ratio, background (without ``epsRL1``) and weights.

    Raises:
        ValueError: If a shape does not fit, or ``epsI`` is too small for Cholesky's decomposition.
        TypeError: If an option of the solver is not known.

    Example:
        >>> import numpy as np
        >>> wav, theta = np.array([-0.2, 1.0, -0.2]), np.linspace(0, 40, 9)
        >>> m = np.repeat([[7.6, 7.0, 7.7], [7.8, 7.2, 7.75], [7.7, 7.0, 7.7]], 5, axis=0)
        >>> m0 = np.broadcast_to(m.mean(axis=0), m.shape)
        >>> d = PrestackLinearModelling(wav, theta, nt0=15)(m)
        >>> minv, residual = PrestackInversion(d, theta, wav, m0=m0, explicit=True, epsI=1e-6, returnres=True)
        >>> minv.shape, bool(abs(residual).max() < 1e-4)
        ((15, 3), True)
    """
    is_list = isinstance(linearization, list | tuple)
    kinds: list[Any] = list(linearization) if is_list else [linearization]  # type: ignore[arg-type]
    wavelets = list(wav) if is_list and isinstance(wav, list | tuple) else [wav] * len(kinds)
    if not kinds or len(wavelets) != len(kinds):
        raise ValueError(
            f"PrestackInversion: a list of wavelets must have one for each linearization, got {len(wavelets)} for "
            f"{len(kinds)}"
        )
    others = (theta, vsvp, epsI, epsR, epsRL1, *wavelets, *kwargs_solver.values())
    problem = Inversion("PrestackInversion", batch_ndim, others, data=data, m0=m0)
    d, background = problem.tensors
    assert d is not None
    shape = tuple(d.shape[problem.batch_ndim :])
    sample = shape[1:] if is_list else shape
    wanted = f"{'(n_lin, ' if is_list else '('}nt0, n_theta, [nx, [ny]])"
    if len(sample) not in (2, 3, 4) or (is_list and shape[0] != len(kinds)):
        raise problem.wrong_shape("data", d, wanted.replace("n_lin", str(len(kinds))))
    nt0, ntheta, spat = sample[0], sample[1], sample[2:]
    parts = [
        PrestackLinearModelling(w, theta, vsvp, nt0, spat or None, each, kind=kind)
        for w, each in zip(wavelets, kinds, strict=True)
    ]
    A: LinearOperator = VerticalStack(parts) if is_list else parts[0]
    if parts[0].dimsd != sample:
        raise problem.wrong_shape("data", d, f"{(len(kinds),) * is_list + parts[0].dimsd} (of vsvp, theta)")
    dims = parts[0].dims
    if any(part.dims != dims for part in parts):
        raise ValueError("PrestackInversion: all linearizations must have the same number of elastic parameters")
    problem.check_model(background, dims)
    if not spat:
        laplacian: Any = SecondDerivative(dims, axis=0)
        lateral: Any = None
    else:
        laplacian = Laplacian(dims, axes=(0, 2) if len(spat) == 1 else (2, 3))
        lateral = SecondDerivative(dims, axis=2) if len(spat) == 1 else laplacian
    model, residual = problem.solve(
        A,
        [part.operators for part in parts],
        (len(kinds), nt0, ntheta),
        explicit=explicit and not simultaneous,
        epsI=epsI,
        epsR=epsR,
        epsRL1=epsRL1,
        laplacian=laplacian,
        lateral=lateral,
        blockiness=FirstDerivative(dims, axis=0),
        dottest=dottest,
        options=kwargs_solver,
    )
    return (model, residual) if returnres else model
