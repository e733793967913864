"""Least-squares migration."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from torch import Tensor

from torchlops.arrays import Array
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.basic import lsqr
from torchlops.shapes import as_integer
from torchlops.utils.dottest import dottest as check_adjoint
from torchlops.waveeqprocessing._inversion import named_as_in_scipy
from torchlops.waveeqprocessing._traveltimes import as_axis, step_of
from torchlops.waveeqprocessing.kirchhoff import Kirchhoff
from torchlops.waveeqprocessing.twoway import AcousticWave2D

__all__ = ["LSM"]


class LSM:
    r"""Least-squares migration: the reflectivity that explains seismic data best.

    .. math:: \min_m \|d - A m\|^2

    where :math:`A` is demigration, by travel times or by the wave equation. Its adjoint is migration, the first step of
    an iterative solution.

    Args:
        z: Depth axis of the image, in m.
        x: Horizontal axis of the image, in m.
        t: Time axis of the data, in s.
        srcs: Positions of the sources, ``(2, ns)`` or ``(3, ns)``.
        recs: Positions of the receivers, as :class:`Kirchhoff` takes them; ``(2, nr)`` with ``"twowayac"``.
        vel: Velocity, a number or one per image point.
        wav: Wavelet.
        wavcenter: Index of its center.
        y: The other horizontal axis of the image, in 3-D.
        kind: ``"kirchhoff"`` for :class:`Kirchhoff`, whose model is a reflectivity, or ``"twowayac"`` for
            ``AcousticWave2D``, whose model is a perturbation of the squared slowness.
        dottest: Whether to check the adjoint of the operator, and print the result.
        **kwargs_mod: Further arguments of the operator.

    With ``"twowayac"``, the source is the wavelet, resampled to the steps of the propagation. Waves are propagated from
    its first sample, ``wavcenter`` samples before ``t[0]``, to the end of ``t``. PyLops 2.8 ignores the wavelet, and
    takes the number of samples of ``t`` as the time of its end in ms.

    Attributes:
        Demop: The operator.

    Raises:
        ValueError: If ``kind`` is unknown, or ``"twowayac"`` is asked for in 3-D.

    Source: G. T. Schuster, Seismic Inversion, SEG (2017), chapters 10 to 12.

    Example:
        >>> import torch
        >>> x = z = np.arange(4) * 10.0
        >>> positions = np.array([[0.0, 30.0], [0.0, 0.0]])
        >>> lsm = LSM(z, x, np.arange(12) * 0.01, positions, positions, 1000.0, np.ones(1), 0, mode="analytic")
        >>> m = torch.zeros(4, 4, dtype=torch.float64)
        >>> m[:, 2] = 1.0
        >>> d = lsm.Demop(m)
        >>> inverted = lsm.solve(d)
        >>> bool((lsm.Demop(inverted) - d).abs().max() < 1e-5)
        True
    """

    Demop: LinearOperator

    def __init__(
        self,
        z: Array,
        x: Array,
        t: Array,
        srcs: Array,
        recs: Array,
        vel: float | Array,
        wav: Array,
        wavcenter: int,
        y: Array | None = None,
        kind: Literal["kirchhoff", "twowayac"] = "kirchhoff",
        dottest: bool = False,
        **kwargs_mod: Any,
    ) -> None:
        self.y, self.x, self.z = y, x, z
        if kind == "kirchhoff":
            self.Demop = Kirchhoff(z, x, t, srcs, recs, vel, wav, wavcenter, y=y, **kwargs_mod)
        elif kind == "twowayac":
            if y is not None:
                raise ValueError("LSM: kind='twowayac' is for images with two axes, got y")
            self.Demop = _acoustic(z, x, t, srcs, recs, vel, wav, wavcenter, kwargs_mod)
        else:
            raise ValueError(f"kind must be either 'kirchhoff' or 'twowayac', got {kind!r}")
        if dottest:
            check_adjoint(self.Demop, *self.Demop.shape, raiseerror=True, verb=True)

    def solve(self, d: Any, solver: Callable[..., Any] = lsqr, **kwargs_solver: Any) -> Any:
        """Return the reflectivity that explains data.

        The derivatives with respect to the data, and to the tensors of the operator, are those of the solver:
        implicit ones, if it is one of :mod:`torchlops.optimization`.

        Args:
            d: Data ``(*batch, ns, nr, nt)`` or flattened ``(*batch, ns * nr * nt)``. Each sample of a batch is a
                problem of its own, which stops on its own; that takes a solver of :mod:`torchlops.optimization`.
            solver: Function of the operator, the data and options, that returns the solution first: one of
                :mod:`torchlops.optimization`, or of SciPy. The default, :func:`~torchlops.optimization.basic.lsqr`,
                has the defaults of SciPy here: ``atol=1e-6``, ``btol=1e-6``, and twice as many iterations as the model
                has samples. Their number may also be called ``iter_lim``, as there.
            **kwargs_solver: Options of the solver.

        Returns:
            The reflectivity, ``(*batch, nx, nz)`` or ``(*batch, ny, nx, nz)``.

        Raises:
            ValueError: If the shape of ``d`` is not that of data.
        """
        A = self.Demop
        size = math.prod(A.dimsd)
        shape = tuple(d.shape)
        if shape[-len(A.dimsd) :] == A.dimsd:
            batch = shape[: -len(A.dimsd)]
        elif shape and shape[-1] == size:
            batch = shape[:-1]
        elif math.prod(shape) == size:
            batch = ()
        else:
            raise ValueError(
                f"LSM: data must be of shape (*batch, {', '.join(map(str, A.dimsd))}) or (*batch, {size}), got {shape}"
            )
        if solver is lsqr:
            kwargs_solver = named_as_in_scipy(kwargs_solver, A)
        return solver(A, d.reshape((*batch, size)), **kwargs_solver)[0].reshape((*batch, *A.dims))


def _acoustic(
    z: Any, x: Any, t: Any, srcs: Any, recs: Any, vel: Any, wav: Any, wavcenter: int, options: dict[str, Any]
) -> LinearOperator:
    """Return the demigration by the wave equation, in PyLops's units: m, m/s and ms."""
    axes = as_axis(x, "x", "LSM"), as_axis(z, "z", "LSM")
    time = as_axis(t, "t", "LSM")
    spacing = step_of(axes[0], "x", "LSM"), step_of(axes[1], "z", "LSM")
    shape, origin = (len(axes[0]), len(axes[1])), (axes[0][0], axes[1][0])
    step = 1000.0 * step_of(time, "t", "LSM")
    center = as_integer(wavcenter, "LSM: wavcenter", 0)
    if center >= len(wav):
        raise ValueError(f"LSM: wavcenter={center} is not an index of the wavelet, which has {len(wav)} samples")
    for what, positions in (("srcs", srcs), ("recs", recs)):
        if np.ndim(positions if not isinstance(positions, Tensor) else positions.detach()) != 2 or len(positions) != 2:
            raise ValueError(
                f"LSM: kind='twowayac' takes {what} of shape (2, n), x and z, got {tuple(np.shape(positions))}: for "
                "receivers of each shot, use kind='kirchhoff', or AcousticBorn"
            )
    if not isinstance(vel, Tensor):
        vel = np.asarray(vel)
    if vel.ndim == 0:
        vel = vel.expand(shape) if isinstance(vel, Tensor) else np.full(shape, vel)
    start, end = 1000.0 * time[0] - center * step, 1000.0 * time[-1]
    A = AcousticWave2D(shape, origin, spacing, vel, srcs[0], srcs[1], recs[0], recs[1], start, end, **options)
    A._take_wavelet(wav, step)
    operator: LinearOperator = A
    return operator
